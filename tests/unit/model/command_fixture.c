/* Commands on a store of their own: see the header. */
#include "tests/unit/model/command_fixture.h"

#include "node/cursor_table.h"
#include "node/resp.h"
#include "tests/lib/line.h"

int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    if (f == NULL || store_new(&f->env.store) != 0 ||
        cursor_table_new(16, &f->env.cursors) != 0) {
        return -1;
    }
    f->env.now_ms = NOW_MS;
    buffer_init(&f->reply);
    *state = f;
    return 0;
}

int teardown(void **state)
{
    struct fixture *f = *state;

    store_free(f->env.store);
    cursor_table_free(f->env.cursors);
    buffer_close(&f->reply);
    free(f);
    return 0;
}

void run_args(struct fixture *f, uint32_t argc, const struct bytes *argv)
{
    const struct command *c;

    buffer_clear(&f->reply);
    c = command_check(argc, argv, &f->reply);
    if (c == NULL) {
        assert_true(buffer_size(&f->reply) > 0);
        assert_int_equal(buffer_data(&f->reply)[0], '-');
    } else {
        assert_int_equal(buffer_size(&f->reply), 0);
        assert_non_null(c->run);
        /* A write knows nothing of the session's version. */
        f->env.resp3 = f->resp3 && (c->flags & COMMAND_WRITE) == 0;
        c->run(&f->env, argc, argv, &f->reply);
    }
    assert_int_equal(f->env.error, 0);
    if (f->resp3) {
        resp3_convert(&f->reply, 0);
    }
    assert_false(f->reply.failed);
}

void run(struct fixture *f, const char *line)
{
    struct line l;

    line_parse(&l, line);
    run_args(f, l.argc, l.argv);
    line_clear(&l);
}

bool reply_is(const struct fixture *f, const char *want, size_t size)
{
    return buffer_size(&f->reply) == size &&
           memcmp(buffer_data(&f->reply), want, size) == 0;
}

void assert_reply(const struct fixture *f, const char *line, const char *want)
{
    if (!reply_is(f, want, strlen(want))) {
        fail_msg("%s\n  want %s\n  got  %.*s", line, want,
                 (int)buffer_size(&f->reply),
                 (const char *)buffer_data(&f->reply));
    }
}

void assert_reply_prefix(const struct fixture *f, const char *want)
{
    assert_true(buffer_size(&f->reply) >= strlen(want));
    assert_memory_equal(buffer_data(&f->reply), want, strlen(want));
}

void check(struct fixture *f, const char *line, const char *want)
{
    run(f, line);
    assert_reply(f, line, want);
}

void check_other_type(struct fixture *f, const char *const *lines)
{
    struct bytes k = {(const uint8_t *)"k", 1};

    assert_int_equal(store_set(f->env.store, k, k, 1, 0), 0);
    while (*lines != NULL) {
        check(f, *lines++, WRONG_TYPE);
    }
}

void check_pattern_limit(struct fixture *f, uint32_t argc, struct bytes *argv,
                         const char *want)
{
    static const uint8_t pattern[4097];
    struct bytes *last = &argv[argc - 1];

    last->data = pattern;
    last->size = sizeof pattern - 1;
    run_args(f, argc, argv);
    assert_reply(f, "the longest pattern", want);
    last->size++;
    run_args(f, argc, argv);
    assert_reply(f, "a longer pattern", "-ERR pattern is too long\r\n");
}

uint64_t expire_ms_of(const struct fixture *f, const char *key)
{
    struct bytes name = {(const uint8_t *)key, strlen(key)};
    const struct store_item *item = store_get(f->env.store, name);

    assert_non_null(item);
    return store_item_expire_ms(item);
}
