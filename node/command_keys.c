/* KEYS and RANDOMKEY: looking at keys without a cursor. */
#include <string.h>

#include "node/command_internal.h"
#include "node/glob.h"

enum {
    RANDOM_DRAWS_MAX = 64,
    RANDOM_VISITS_MAX = 10000,
    /* All that it looks at in one go must not hold up the loop: a node that is
     * silent for longer than an election timeout loses its leadership. */
    KEYS_STEPS_MAX = 16 * 1000 * 1000,
    RANDOM_DEPTH_MAX = 1024
};

/* ---- KEYS ---- */

struct keys {
    struct command_env *env;
    struct bytes pattern;
    uint64_t bytes_max;
    size_t n_keys;
    struct buffer keys;
    bool too_long;
};

bool command_check_keys(uint32_t argc, const struct bytes *argv,
                        struct buffer *reply)
{
    (void)argc;
    return command_pattern_fits(argv[1], reply);
}

static bool keys_visit(void *ctx, struct store_item *item)
{
    struct keys *k = ctx;
    struct bytes key = store_item_key(item);

    k->env->n_steps += COMMAND_VISIT_STEPS;
    if (k->env->n_steps > KEYS_STEPS_MAX) {
        return false;
    }
    if (!glob_match(k->pattern, key, false, &k->env->n_steps) ||
        !command_is_live(k->env, item)) {
        return true;
    }
    if (buffer_size(&k->keys) + key.size > k->bytes_max) {
        k->too_long = true;
        return false;
    }
    k->n_keys++;
    resp_bulk(&k->keys, key.data, key.size);
    return !k->keys.failed;
}

void command_keys(struct command_env *env, uint32_t argc,
                  const struct bytes *argv, struct buffer *reply)
{
    struct keys k = {.env = env, .pattern = argv[1]};

    if (!command_check_keys(argc, argv, reply)) {
        return;
    }
    k.bytes_max = env->reply_max > 0 ? env->reply_max : UINT64_MAX;
    buffer_init(&k.keys);
    store_visit(env->store, (struct bytes){NULL, 0}, keys_visit, &k);
    if (k.keys.failed) {
        resp_error(reply, "ERR out of memory");
    } else if (k.too_long) {
        command_reply_too_long(env, reply);
    } else if (env->n_steps > KEYS_STEPS_MAX) {
        resp_error(reply, "ERR too many keys to look at in one go; use SCAN");
    } else {
        resp_array(reply, k.n_keys);
        if (buffer_size(&k.keys) > 0) {
            buffer_append(reply, buffer_data(&k.keys), buffer_size(&k.keys));
        }
    }
    buffer_close(&k.keys);
}

/* ---- RANDOMKEY ---- */

/* splitmix64 */
static uint64_t random_next(uint64_t *state)
{
    uint64_t v = *state += 0x9e3779b97f4a7c15U;

    v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9U;
    v = (v ^ (v >> 27)) * 0x94d049bb133111ebU;
    return v ^ (v >> 31);
}

static bool take_first(void *ctx, struct store_item *item)
{
    *(struct store_item **)ctx = item;
    return false;
}

/* The first key that begins with prefix and a byte greater than this one
 * (-1: any), NULL: none. */
static struct store_item *random_probe(struct store *store, uint8_t *prefix,
                                       size_t size, int byte)
{
    struct store_item *item = NULL;
    struct bytes after = {prefix, size};
    struct bytes key;

    if (byte >= 0) {
        /* Keys with this very byte and more behind it may come first: they
         * begin with the prefix too, so they will do. */
        prefix[size] = (uint8_t)byte;
        after.size++;
    }
    store_visit(store, after, take_first, &item);
    if (item == NULL) {
        return NULL;
    }
    key = store_item_key(item);
    return key.size > size && (size == 0 || memcmp(key.data, prefix, size) == 0)
               ? item
               : NULL;
}

/* Walk down byte by byte, at each step to the first key behind a random byte.
 * Every key can be drawn (but for those that differ only far behind), though
 * not all alike: one that few others resemble is drawn more often. The cost
 * does not depend on the number of keys. */
static struct store_item *random_item(struct store *store, uint64_t random)
{
    uint8_t prefix[RANDOM_DEPTH_MAX + 1];
    struct store_item *item = NULL; /* begins with the prefix */

    for (size_t size = 0; size < RANDOM_DEPTH_MAX; size++) {
        struct bytes key = {prefix, size};
        struct store_item *exact = store_get(store, key);
        struct store_item *next;
        uint64_t draw = random_next(&random);
        if (exact != NULL && draw >> 63 != 0) {
            return exact;
        }
        next = random_probe(store, prefix, size, (int)(draw % 257) - 1);
        if (next == NULL) {
            next = random_probe(store, prefix, size, -1);
        }
        if (next == NULL) {
            return exact;
        }
        item = next;
        prefix[size] = store_item_key(item).data[size];
    }
    return item;
}

struct first_live {
    struct command_env *env;
    struct store_item *item;
    unsigned n_visits;
};

static bool take_first_live(void *ctx, struct store_item *item)
{
    struct first_live *f = ctx;

    if (command_is_live(f->env, item)) {
        f->item = item;
        return false;
    }
    return ++f->n_visits < RANDOM_VISITS_MAX;
}

/* Draw until it is one that has not expired. When nearly all have and wait to
 * be swept, the first one that has not will do. */
static struct store_item *random_live(struct command_env *env)
{
    struct first_live first = {env, NULL, 0};
    uint64_t random = env->random;

    for (unsigned i = 0; i < RANDOM_DRAWS_MAX; i++) {
        struct store_item *item = random_item(env->store, random);
        if (item == NULL || command_is_live(env, item)) {
            return item;
        }
        (void)random_next(&random);
    }
    store_visit(env->store, (struct bytes){NULL, 0}, take_first_live, &first);
    return first.item;
}

void command_randomkey(struct command_env *env, uint32_t argc,
                       const struct bytes *argv, struct buffer *reply)
{
    struct store_item *item = random_live(env);

    (void)argc;
    (void)argv;
    if (item == NULL) {
        resp_null(reply);
    } else {
        command_reply_value(env, store_item_key(item), reply);
    }
}
