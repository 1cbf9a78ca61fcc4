/* SCAN: the keys in order, a bounded piece at a time.
 *
 * As keys are in order, a cursor is the last key looked at, and every key that
 * is there during the whole scan is returned exactly once. A cursor is known
 * to its node only. Who has to go on elsewhere says AFTER key with cursor 0,
 * which is our own addition: all nodes list the keys in one order. */
#include "node/command_internal.h"
#include "node/cursor_table.h"
#include "node/glob.h"
#include "node/number.h"

enum {
    SCAN_COUNT_DEFAULT = 10,
    /* COUNT is a hint; a turn of the loop must stay short. */
    SCAN_COUNT_MAX = 10000,
    SCAN_STEPS_MAX = 4 * 1000 * 1000 /* of matching, some ten milliseconds */
};

struct scan {
    struct command_env *env;
    uint64_t cursor;
    uint64_t count;
    struct bytes pattern; /* data NULL: all */
    struct bytes after;   /* begin behind this key; data NULL: at the first */
    bool none;            /* TYPE asks for what does not exist */
    /* What has been done. */
    uint64_t n_visited;
    uint64_t bytes_max;
    struct bytes last; /* looked at, borrowed from the store */
    size_t n_keys;
    struct buffer keys; /* the reply's inner array */
    bool more;
};

static bool scan_parse_cursor(struct bytes text, uint64_t *out)
{
    uint64_t v = 0;

    /* Nothing is 0, as in Redis. */
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)(text.data[i] - '0');
        if (text.data[i] < '0' || digit > 9 || v > (UINT64_MAX - digit) / 10) {
            return false;
        }
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

/* One option with its value; NULL, or the text of an error. */
static const char *scan_option(struct scan *s, struct bytes name,
                               struct bytes value)
{
    int64_t n;

    if (command_is(name, "COUNT")) {
        if (!number_parse(value, &n)) {
            return command_error_integer;
        }
        if (n < 1) {
            return command_error_syntax;
        }
        s->count = n < SCAN_COUNT_MAX ? (uint64_t)n : SCAN_COUNT_MAX;
    } else if (command_is(name, "MATCH")) {
        if (value.size > COMMAND_PATTERN_MAX) {
            return command_error_pattern;
        }
        s->pattern = value;
    } else if (command_is(name, "AFTER")) {
        s->after = value;
        if (s->cursor != 0) {
            return "ERR AFTER goes with cursor 0";
        }
    } else if (command_is(name, "TYPE")) {
        s->none = !command_is(value, "STRING");
    } else {
        return command_error_syntax;
    }
    return NULL;
}

/* NULL, or the text of an error. */
static const char *scan_parse(uint32_t argc, const struct bytes *argv,
                              struct scan *s)
{
    const char *error = NULL;

    s->count = SCAN_COUNT_DEFAULT;
    if (!scan_parse_cursor(argv[1], &s->cursor)) {
        return "ERR invalid cursor";
    }
    for (uint32_t i = 2; i < argc && error == NULL; i += 2) {
        error = i + 1 < argc ? scan_option(s, argv[i], argv[i + 1])
                             : command_error_syntax;
    }
    return error;
}

bool command_check_scan(uint32_t argc, const struct bytes *argv,
                        struct buffer *reply)
{
    struct scan s = {0};
    const char *error = scan_parse(argc, argv, &s);

    if (error != NULL) {
        resp_error(reply, error);
        return false;
    }
    return true;
}

static bool scan_visit(void *ctx, struct store_item *item)
{
    struct scan *s = ctx;
    struct bytes key = store_item_key(item);

    if (s->n_visited > 0 &&
        (s->n_visited >= s->count || s->env->n_steps > SCAN_STEPS_MAX ||
         buffer_size(&s->keys) + key.size > s->bytes_max)) {
        s->more = true;
        return false;
    }
    s->n_visited++;
    s->env->n_steps += COMMAND_VISIT_STEPS;
    s->last = key;
    if (!s->none &&
        (s->pattern.data == NULL ||
         glob_match(s->pattern, key, false, &s->env->n_steps)) &&
        command_is_live(s->env, item)) {
        s->n_keys++;
        resp_bulk(&s->keys, key.data, key.size);
    }
    return true;
}

static void scan_reply(const struct command_env *env, struct scan *s,
                       struct buffer *reply)
{
    char text[NUMBER_TEXT_MAX];
    uint64_t next = 0;

    if (s->more) {
        next =
            env->cursors != NULL ? cursor_table_put(env->cursors, s->last) : 0;
        if (next == 0) {
            resp_error(reply, "ERR out of memory for the cursor");
            return;
        }
    }
    if (s->keys.failed) {
        resp_error(reply, "ERR out of memory");
        return;
    }
    resp_array(reply, 2);
    resp_bulk(reply, text, number_format(text, (int64_t)next));
    resp_array(reply, s->n_keys);
    buffer_append(reply, buffer_data(&s->keys), buffer_size(&s->keys));
}

void command_scan(struct command_env *env, uint32_t argc,
                  const struct bytes *argv, struct buffer *reply)
{
    struct scan s = {.env = env};
    const char *error = scan_parse(argc, argv, &s);

    if (error == NULL && s.cursor != 0 &&
        (env->cursors == NULL ||
         cursor_table_get(env->cursors, s.cursor, &s.after) != 0)) {
        error = "ERR unknown cursor: it is too old or of another node; start "
                "again from 0";
    }
    if (error != NULL) {
        resp_error(reply, error);
        return;
    }
    buffer_init(&s.keys);
    s.bytes_max = env->reply_max > 0 ? env->reply_max : UINT64_MAX;
    store_visit(env->store, s.after, scan_visit, &s);
    if (!env->due) {
        scan_reply(env, &s, reply);
    }
    buffer_close(&s.keys);
}
