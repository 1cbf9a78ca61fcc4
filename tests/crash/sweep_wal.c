/* Sweep: the embedding API, without threads: a directory from nothing and an
 * old one, with appends under two policies, both kinds of compaction, a replay
 * and a close. What was acknowledged as durable is there afterwards. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "persist/compact.h"
#include "persist/internal.h"
#include "tests/crash/sweep.h"

enum { KEYS = 8, FILE_SIZE = 64 * 1024, VALUE_SIZE = 2500, ROUNDS = 4 };

static uint64_t fake_ns;

static uint64_t now_ns(void)
{
    fake_ns += 20 * 1000 * 1000; /* fast, so that a retry comes at once */
    return fake_ns;
}

static const struct wal_environment environment = {false, now_ns, NULL};

static struct entry entry_of(char *key, char *value, unsigned i, unsigned round)
{
    struct entry e = {ENTRY_SET, {NULL, 0}, {NULL, 0}};
    int n = snprintf(key, 32, "key-%u", i);
    memset(value, 'v', VALUE_SIZE);
    (void)snprintf(value, VALUE_SIZE, "%u", round);
    e.key.data = (const uint8_t *)key;
    e.key.size = (size_t)n;
    e.value.data = (const uint8_t *)value;
    e.value.size = VALUE_SIZE;
    return e;
}

/* Each key once; one of them waits, the others go with a batch. */
static int append_round(struct wal_private *w, unsigned round,
                        struct err_info *info)
{
    char value[VALUE_SIZE];
    char key[32];
    int rv = 0;

    for (unsigned i = 0; rv == 0 && i < KEYS; i++) {
        struct entry e = entry_of(key, value, i, round);
        __atomic_store_n(&w->options[WAL_OPTION_SYNC_POLICY],
                         i == 2 ? WAL_SYNC_ALWAYS : WAL_SYNC_BATCH,
                         __ATOMIC_RELAXED);
        rv = commit_append(w, &e, info);
    }
    return rv == 0 ? commit_force(w, info) : rv;
}

static int open_wal(wal_t *shown, const char *dir, struct wal_private **w,
                    struct err_info *info)
{
    char path[300];
    int rv = wal_set_option(NULL, WAL_OPTION_FILE_SIZE, FILE_SIZE);
    sweep_check(rv == 0, NULL);
    memset(shown, 0, sizeof *shown);
    (void)snprintf(path, sizeof path, "%.200s/wal", dir);
    return wal_private_open(shown, path, true, &environment, w, info);
}

static int keys_cb(void *ctx, char ***keys, int *n)
{
    (void)ctx;
    *keys = calloc(KEYS, sizeof **keys);
    *n = 0;
    for (unsigned i = 0; *keys != NULL && i < KEYS; i++) {
        (*keys)[i] = malloc(32);
        if ((*keys)[i] == NULL) {
            while (i > 0) {
                free((*keys)[--i]);
            }
            free(*keys);
            return -1;
        }
        (void)snprintf((*keys)[i], 32, "key-%u", i);
        *n = (int)i + 1;
    }
    return *keys == NULL ? -1 : 0;
}

static int count_cb(void *ctx, uint8_t op, const char *key, const char *value)
{
    (void)op;
    (void)key;
    (void)value;
    ++*(unsigned *)ctx;
    return 0;
}

static int merge(struct wal_private *w, struct err_info *info)
{
    struct pace pace;
    int rv;

    pthread_mutex_lock(&w->compact_lock);
    pace_start(&pace, w, false);
    rv = compact_merge(w, 0, &pace, info);
    pthread_mutex_unlock(&w->compact_lock);
    return rv;
}

static int live(struct wal_private *w, struct sweep_told *told)
{
    unsigned n_replayed = 0;
    int rv = 0;

    for (unsigned round = 1; rv == 0 && round <= ROUNDS; round++) {
        rv = append_round(w, (unsigned)told->term + round, &told->info);
        if (rv == 0) {
            told->durable = told->term + round;
        }
        if (rv == 0 && round % 2 == 0) {
            rv = compact_now(w, false, &told->info);
        }
    }
    rv = rv == 0 ? merge(w, &told->info) : rv;
    rv = rv == 0 ? recover_replay(w, count_cb, &n_replayed, &told->info) : rv;
    sweep_check(rv != 0 || n_replayed == KEYS, "a replay of the merged base");
    return rv;
}

static int work_from(const char *dir, struct sweep_told *told, uint64_t first)
{
    struct wal_private *w;
    wal_t shown;
    int rv;

    told->term = first;
    told->durable = first;
    rv = open_wal(&shown, dir, &w, &told->info);
    if (rv != 0) {
        return rv;
    }
    rv = live(w, told);
    wal_private_close(w);
    told->whole = rv == 0;
    return rv;
}

static int work_new(const char *dir, struct sweep_told *told)
{
    return work_from(dir, told, 0);
}

static int work_old(const char *dir, struct sweep_told *told)
{
    return work_from(dir, told, ROUNDS);
}

static void prepare_old(const char *dir)
{
    struct sweep_told told;
    memset(&told, 0, sizeof told);
    sweep_check(work_from(dir, &told, 0) == 0, told.info.message);
}

struct state {
    unsigned round[KEYS]; /* last one seen; 0: none */
    unsigned n;
};

static int state_cb(void *ctx, uint8_t op, const char *key, const char *value)
{
    struct state *s = ctx;
    unsigned i = (unsigned)strtoul(key + 4, NULL, 10);
    unsigned round = (unsigned)strtoul(value, NULL, 10);
    sweep_check(op == WAL_OP_SET && i < KEYS, "an operation of nobody");
    sweep_check(round >= s->round[i], "an older value came later");
    s->round[i] = round;
    s->n++;
    return 0;
}

/* Each key has the value of a durable round or of a later one, and all goes on.
 */
static void check(const char *dir, const struct sweep_told *told)
{
    struct err_info info = {0, ""};
    struct wal_private *w;
    wal_t shown;
    for (unsigned life = 0; life < 2; life++) {
        struct state s;
        memset(&s, 0, sizeof s);
        sweep_check(open_wal(&shown, dir, &w, &info) == 0, info.message);
        sweep_check(recover_replay(w, state_cb, &s, &info) == 0, info.message);
        for (unsigned i = 0; i < KEYS; i++) {
            sweep_check(s.round[i] >= told->durable && s.round[i] <= 90,
                        "a durable value is missing");
        }
        sweep_check(append_round(w, 90, &info) == 0, info.message);
        sweep_check(compact_now(w, false, &info) == 0, info.message);
        wal_private_close(w);
    }
}

const struct sweep_case sweep_wal_new = {"wal_new", NULL, work_new, check};
const struct sweep_case sweep_wal_old = {"wal_old", prepare_old, work_old,
                                         check};

/* Compaction by hand: afterwards the entries before, or what the callbacks
 * gave. */
static int value_cb(void *ctx, const char *key, char **value)
{
    (void)ctx;
    (void)key;
    *value = malloc(8);
    if (*value == NULL) {
        return -1;
    }
    (void)snprintf(*value, 8, "50");
    return 0;
}

static int work_hand(const char *dir, struct sweep_told *told)
{
    struct wal_private *w;
    wal_t shown;
    int rv;

    told->durable = ROUNDS;
    rv = open_wal(&shown, dir, &w, &told->info);
    if (rv != 0) {
        return rv;
    }
    shown.wal_private = w;
    rv = wal_compact_logs(&shown, NULL, keys_cb, value_cb);
    if (rv != 0) {
        (void)err_set(&told->info, ERR_IO, "%s", persist_errmsg());
        rv = ERR_IO;
    }
    wal_private_close(w);
    told->whole = rv == 0;
    return rv;
}

const struct sweep_case sweep_wal_hand = {"wal_hand", prepare_old, work_hand,
                                          check};
