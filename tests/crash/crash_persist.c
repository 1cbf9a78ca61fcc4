/* Workloads: the embedded library without threads of its own: the log through
 * rotation, compaction and cleaning, durable on return and in batches; and
 * snapshots of streams. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "persist/internal.h"
#include "persist/kv_persist.h"
#include "tests/crash/enumerate.h"

enum { N_KEYS = 7, VALUE_MAX = 2600, FILE_SIZE = 16 * 4096 };

/* ---- the log --------------------------------------------------------------*/

/* Append number i, from 1, is about key i % N_KEYS: each fifth deletes it. */
struct log_model {
    uint32_t promised; /* appends that are durable */
    uint32_t handed;   /* and those that may be */
};

static uint64_t fast_now_ns(void)
{
    static uint64_t now;
    return now += 1000000;
}

static const struct wal_environment environment = {false, fast_now_ns, NULL};

static void open_wal(wal_t *wal, const char *dir, bool sync)
{
    struct err_info info = {0};
    crash_check(wal_set_option(NULL, WAL_OPTION_FILE_SIZE, FILE_SIZE) == 0,
                persist_errmsg());
    memset(wal, 0, sizeof *wal);
    crash_check(wal_private_open(wal, dir, sync, &environment,
                                 &wal->wal_private, &info) == 0,
                info.message);
}

static bool is_delete(unsigned i)
{
    return i % 5 == 4;
}

static void make_value(unsigned i, char out[VALUE_MAX + 1])
{
    unsigned n = 20 + i * 641 % (VALUE_MAX - 20);
    memset(out, (int)('a' + i % 26), n);
    out[n] = '\0';
    (void)snprintf(out, 12, "%010u", i);
    out[10] = ' ';
}

/* The append that says what key k is after n appends; 0: none. */
static unsigned last_of(unsigned k, unsigned n)
{
    while (n > 0 && n % N_KEYS != k) {
        n--;
    }
    return n;
}

static void append(wal_t *wal, struct log_model *m, bool sync)
{
    unsigned i = ++m->handed;
    char key[16];
    char value[VALUE_MAX + 1];
    snprintf(key, sizeof key, "key-%u", i % N_KEYS);
    make_value(i, value);
    crash_check(wal_append(wal, is_delete(i) ? WAL_OP_DEL : WAL_OP_SET, key,
                           is_delete(i) ? NULL : value) == 0,
                persist_errmsg());
    if (sync) {
        m->promised = i;
    }
}

struct replay {
    unsigned last[N_KEYS]; /* number of the append; 0: the key is not there */
};

static int on_replay(void *engine, uint8_t op, const char *key,
                     const char *value)
{
    struct replay *r = engine;
    char expected[VALUE_MAX + 1];
    unsigned k = (unsigned)strtoul(key + 4, NULL, 10);
    unsigned i;
    crash_check(k < N_KEYS, "a key came back that nobody appended");
    if (op == WAL_OP_DEL) {
        r->last[k] = 0;
        return 0;
    }
    i = (unsigned)strtoul(value, NULL, 10);
    make_value(i, expected);
    crash_check(strcmp(value, expected) == 0 && i % N_KEYS == k,
                "a value came back that nobody appended");
    r->last[k] = i;
    return 0;
}

static bool is_state_of(const struct replay *r, unsigned n)
{
    for (unsigned k = 0; k < N_KEYS; k++) {
        unsigned i = last_of(k, n);
        if (r->last[k] != (is_delete(i) ? 0 : i)) {
            return false;
        }
    }
    return true;
}

/* The callbacks of a compaction see the store after *engine appends. */
static int get_all_keys(void *engine, char ***keys, int *count)
{
    unsigned n = *(const unsigned *)engine;
    *keys = malloc(N_KEYS * sizeof **keys);
    *count = 0;
    for (unsigned k = 0; *keys != NULL && k < N_KEYS; k++) {
        unsigned i = last_of(k, n);
        char key[16];
        if (i > 0 && !is_delete(i)) {
            snprintf(key, sizeof key, "key-%u", k);
            (*keys)[(*count)++] = strdup(key);
        }
    }
    return *keys == NULL ? -1 : 0;
}

static int get_value(void *engine, const char *key, char **value)
{
    unsigned n = *(const unsigned *)engine;
    char text[VALUE_MAX + 1];
    make_value(last_of((unsigned)strtoul(key + 4, NULL, 10), n), text);
    *value = strdup(text);
    return *value == NULL ? -1 : 0;
}

static void compact(wal_t *wal, struct log_model *m)
{
    unsigned n = m->handed;
    crash_check(wal_compact_logs(wal, &n, get_all_keys, get_value) == 0,
                persist_errmsg());
    m->promised = m->handed; /* the base holds all of it */
    wal_cleanup_old_logs(wal, wal_last_seq(wal));
}

static void play_log(void *model, struct sim_clock *clock)
{
    struct log_model *m = model;
    wal_t wal;
    (void)clock;
    open_wal(&wal, "/n1/wal", true);
    for (unsigned i = 0; i < 22; i++) {
        append(&wal, m, true);
    }
    compact(&wal, m);
    append(&wal, m, true);
    wal_destroy(&wal);
    /* Now in batches: what was not synced may be lost. */
    open_wal(&wal, "/n1/wal", false);
    for (unsigned i = 0; i < 5; i++) {
        append(&wal, m, false);
    }
    crash_check(wal_force_sync(&wal) == 0, persist_errmsg());
    m->promised = m->handed;
    for (unsigned i = 0; i < 16; i++) {
        append(&wal, m, false);
    }
    compact(&wal, m);
    append(&wal, m, false);
    wal_destroy(&wal);
    m->promised = m->handed;
}

static void recover_log(const void *model, const char *root,
                        struct sim_clock *clock, void *after, bool go_on)
{
    const struct log_model *m = model;
    struct log_model *back = after;
    struct replay r = {{0}};
    char dir[32];
    char words[200];
    wal_t wal;
    unsigned n;
    (void)clock;
    snprintf(dir, sizeof dir, "%s/wal", root);
    open_wal(&wal, dir, true);
    crash_check(wal_recover(&wal, &r, on_replay) == 0, persist_errmsg());
    n = m->promised;
    while (n < m->handed && !is_state_of(&r, n)) {
        n++;
    }
    snprintf(
        words, sizeof words,
        "no state between %u (promised) and %u appends (handed over): keys "
        "were set by %u %u %u %u %u %u %u",
        m->promised, m->handed, r.last[0], r.last[1], r.last[2], r.last[3],
        r.last[4], r.last[5], r.last[6]);
    crash_check(is_state_of(&r, n), words);
    /* States of several numbers can be equal, and nothing was told of which. */
    back->promised = n;
    back->handed = m->handed;
    while (back->handed > n && !is_state_of(&r, back->handed)) {
        back->handed--;
    }
    crash_promise(back);
    if (go_on) {
        back->handed = back->promised;
        append(&wal, back, true);
        compact(&wal, back);
    }
    wal_destroy(&wal);
}

/* ---- streams --------------------------------------------------------------*/

struct stream_model {
    uint32_t promised; /* the chain of streams ends here */
    uint32_t handed;
};

enum { N_LINES = 40 };

static int write_stream(FILE *f, uint64_t to)
{
    for (unsigned i = 0; i < N_LINES; i++) {
        if (fprintf(f, "line %u of %llu\n", i, (unsigned long long)to) < 0) {
            return -1;
        }
    }
    return 0;
}

static int save(void *engine, FILE *f)
{
    return write_stream(f, *(const uint64_t *)engine);
}

static int save_range(void *engine, FILE *f, uint64_t from, uint64_t to)
{
    (void)engine;
    (void)from;
    return write_stream(f, to);
}

static int take(void *engine, FILE *f)
{
    uint32_t *at = engine;
    char line[64];
    char expected[64];
    unsigned n = 0;
    unsigned to = 0;
    while (fgets(line, sizeof line, f) != NULL) {
        if (n == 0) {
            (void)sscanf(line, "line 0 of %u", &to);
        }
        snprintf(expected, sizeof expected, "line %u of %u\n", n, to);
        crash_check(strcmp(line, expected) == 0, "another stream came back");
        n++;
    }
    crash_check(n == N_LINES, "a stream came back cut");
    *at = to;
    return 0;
}

static void base(snapshot_t *snap, struct stream_model *m, uint64_t to)
{
    m->handed = (uint32_t)to;
    crash_check(snapshot_create_at(snap, &to, to, save) == 0, persist_errmsg());
    m->promised = m->handed;
}

static void increment(snapshot_t *snap, struct stream_model *m, uint64_t to)
{
    m->handed = (uint32_t)to;
    crash_check(snapshot_create_incremental(snap, NULL, m->promised, to,
                                            save_range) == 0,
                persist_errmsg());
    m->promised = m->handed;
}

static void play_streams(void *model, struct sim_clock *clock)
{
    struct stream_model *m = model;
    snapshot_t snap;
    (void)clock;
    crash_check(snapshot_init(&snap, "/n1/streams") == 0, persist_errmsg());
    base(&snap, m, 10);
    increment(&snap, m, 20);
    increment(&snap, m, 30);
    snapshot_destroy(&snap);
    crash_check(snapshot_init(&snap, "/n1/streams") == 0, persist_errmsg());
    base(&snap, m, 40);
    increment(&snap, m, 50);
    snapshot_destroy(&snap);
}

static void recover_streams(const void *model, const char *root,
                            struct sim_clock *clock, void *after, bool go_on)
{
    const struct stream_model *m = model;
    struct stream_model *back = after;
    snapshot_t snap;
    uint32_t at = 0;
    char dir[32];
    int rv;
    (void)clock;
    snprintf(dir, sizeof dir, "%s/streams", root);
    crash_check(snapshot_init(&snap, dir) == 0, persist_errmsg());
    rv = snapshot_load(&snap, &at, take);
    crash_check(rv == 0 || (errno == ENOENT && m->promised == 0),
                persist_errmsg());
    if (rv == 0) {
        crash_check(snapshot_apply_incremental(&snap, &at, take) == 0,
                    persist_errmsg());
    }
    crash_check(at == m->promised || at == m->handed,
                "the chain ends elsewhere");
    back->promised = at;
    back->handed = at;
    crash_promise(back);
    if (go_on) {
        if (at > 0) {
            increment(&snap, back, at + 5);
        }
        base(&snap, back, at + 8);
    }
    snapshot_destroy(&snap);
}

const struct crash_workload crash_persist = {
    "persist", sizeof(struct log_model), play_log, recover_log};
const struct crash_workload crash_streams = {
    "streams", sizeof(struct stream_model), play_streams, recover_streams};
