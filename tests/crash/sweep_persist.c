/* Sweep: the embedded library, its log with compaction, and its snapshots of
 * streams. It runs without threads of its own and with a clock that is fast, so
 * that the n-th operation is the same one each time and retries come at once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "persist/internal.h"
#include "persist/kv_persist.h"
#include "tests/crash/sweep.h"
#include "tests/lib/fault_alloc.h"

enum { N_KEYS = 12, N_APPENDS = 48, VALUE_SIZE = 900, FILE_SIZE = 16 * 4096 };

/* Append number i, from 1, sets key i % N_KEYS to i. */
struct replay {
    unsigned last[N_KEYS]; /* 0: the key is not there */
    unsigned n;
    bool bad;
};

static void make_value(unsigned i, char out[VALUE_SIZE + 1])
{
    for (unsigned k = 0; k < VALUE_SIZE; k++) {
        out[k] = (char)('a' + (i * 31 + k * 7) % 26);
    }
    out[VALUE_SIZE] = '\0';
    (void)snprintf(out, 16, "%u", i);
    out[strlen(out)] = ' ';
}

static int on_replay(void *engine, uint8_t op, const char *key,
                     const char *value)
{
    struct replay *r = engine;
    char expected[VALUE_SIZE + 1];
    unsigned k = (unsigned)strtoul(key + 4, NULL, 10);
    unsigned i = value == NULL ? 0 : (unsigned)strtoul(value, NULL, 10);
    make_value(i, expected);
    r->bad = r->bad || op != WAL_OP_SET || k >= N_KEYS || value == NULL ||
             i % N_KEYS != k || strcmp(value, expected) != 0;
    if (!r->bad) {
        r->last[k] = i;
        r->n++;
    }
    return 0;
}

/* What the callbacks of a compaction see: everything that was acknowledged. */
static unsigned n_acknowledged;

static unsigned last_of(unsigned k)
{
    unsigned i = n_acknowledged;
    while (i > 0 && i % N_KEYS != k) {
        i--;
    }
    return i;
}

static int get_all_keys(void *engine, char ***keys, int *count)
{
    char **list = malloc(N_KEYS * sizeof *list);
    int n = 0;
    (void)engine;
    if (list == NULL) {
        return -1;
    }
    for (unsigned k = 0; k < N_KEYS; k++) {
        char text[16];
        if (last_of(k) == 0) {
            continue;
        }
        snprintf(text, sizeof text, "key-%u", k);
        list[n] = strdup(text);
        if (list[n] == NULL) {
            while (n > 0) {
                free(list[--n]);
            }
            free(list);
            return -1;
        }
        n++;
    }
    *keys = list;
    *count = n;
    return 0;
}

static int get_value(void *engine, const char *key, char **value)
{
    char text[VALUE_SIZE + 1];
    (void)engine;
    make_value(last_of((unsigned)strtoul(key + 4, NULL, 10)), text);
    *value = strdup(text);
    return *value == NULL ? -1 : 0;
}

static int code_of(struct sweep_told *told)
{
    snprintf(told->info.message, sizeof told->info.message, "%s",
             persist_errmsg());
    return ERR_IO;
}

static int append_through(wal_t *wal, struct sweep_told *told, unsigned last)
{
    for (unsigned i = n_acknowledged + 1; i <= last; i++) {
        char key[16];
        char value[VALUE_SIZE + 1];
        snprintf(key, sizeof key, "key-%u", i % N_KEYS);
        make_value(i, value);
        if (wal_append(wal, WAL_OP_SET, key, value) != 0) {
            return code_of(told);
        }
        n_acknowledged = i;
        told->durable = i;
    }
    return 0;
}

static int replay(wal_t *wal, struct replay *r, struct sweep_told *told)
{
    memset(r, 0, sizeof *r);
    if (wal_recover(wal, r, on_replay) == 0) {
        return 0;
    }
    sweep_check(errno != ECANCELED, "a failure is told as the callback's will");
    return code_of(told);
}

/* Each acknowledged append is there, or a later one of the same key. */
static void check_replay(const struct replay *r, uint64_t durable)
{
    sweep_check(!r->bad, "something came back that nobody appended");
    for (unsigned k = 0; k < N_KEYS; k++) {
        unsigned i = (unsigned)durable;
        while (i > 0 && i % N_KEYS != k) {
            i--;
        }
        sweep_check(r->last[k] >= i, "an acknowledged append is lost");
    }
}

static const char *in(const char *dir, const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%.300s/%s", dir, name);
    return path;
}

static void prepare(const char *dir)
{
    (void)dir;
    n_acknowledged = 0;
    sweep_check(wal_set_option(NULL, WAL_OPTION_FILE_SIZE, FILE_SIZE) == 0,
                persist_errmsg());
}

static uint64_t fast_now_ns(void)
{
    static uint64_t now;
    return now += 10000000;
}

static int open_wal(wal_t *wal, const char *dir, struct err_info *info)
{
    static const struct wal_environment environment = {false, fast_now_ns,
                                                       NULL};
    memset(wal, 0, sizeof *wal);
    return wal_private_open(wal, dir, true, &environment, &wal->wal_private,
                            info);
}

static int work_log(const char *dir, struct sweep_told *told)
{
    struct replay r;
    wal_t wal;
    int rv;
    n_acknowledged = 0;
    rv = open_wal(&wal, in(dir, "wal"), &told->info);
    if (rv != 0) {
        return rv;
    }
    rv = append_through(&wal, told, N_APPENDS - 10);
    if (rv == 0) {
        rv = replay(&wal, &r, told);
    }
    if (rv == 0) {
        check_replay(&r, told->durable);
        rv = wal_compact_logs(&wal, NULL, get_all_keys, get_value) == 0
                 ? 0
                 : code_of(told);
    }
    if (rv == 0) {
        rv = append_through(&wal, told, N_APPENDS);
    }
    if (rv == 0) {
        wal_cleanup_old_logs(&wal, wal_last_seq(&wal));
        rv = wal_force_sync(&wal) == 0 ? 0 : code_of(told);
    }
    told->whole = rv == 0;
    wal_destroy(&wal);
    return rv;
}

static void check_log(const char *dir, const struct sweep_told *told)
{
    struct sweep_told again = {0};
    struct replay r;
    wal_t wal;
    sweep_check(open_wal(&wal, in(dir, "wal"), &again.info) == 0,
                again.info.message);
    sweep_check(replay(&wal, &r, &again) == 0, persist_errmsg());
    check_replay(&r, told->durable);
    /* It goes on, and compacts. An append that was not acknowledged may have
     * come back: numbers go on behind it. */
    n_acknowledged = N_APPENDS;
    sweep_check(append_through(&wal, &again, N_APPENDS + 3) == 0,
                persist_errmsg());
    sweep_check(replay(&wal, &r, &again) == 0, persist_errmsg());
    sweep_check(!r.bad && r.last[(N_APPENDS + 3) % N_KEYS] == N_APPENDS + 3,
                "it does not go on");
    wal_destroy(&wal);
}

/* ---- snapshots of streams -------------------------------------------------*/

/* The stream of base or increment `to`. */
static int write_stream(FILE *f, uint64_t to)
{
    for (unsigned i = 0; i < 300; i++) {
        if (fprintf(f, "line %u of %llu\n", i, (unsigned long long)to) < 0) {
            return -1;
        }
    }
    return 0;
}

static int save(void *engine, FILE *f)
{
    (void)engine;
    return write_stream(f, 10);
}

static int save_range(void *engine, FILE *f, uint64_t from, uint64_t to)
{
    (void)engine;
    (void)from;
    return write_stream(f, to);
}

struct taken {
    uint64_t at; /* the last stream's number */
    unsigned n;
    bool bad;
};

static int take(void *engine, FILE *f)
{
    struct taken *t = engine;
    char line[64];
    char expected[64];
    unsigned long long to = 0;
    unsigned i = 0;
    while (fgets(line, sizeof line, f) != NULL) {
        if (i == 0 && sscanf(line, "line 0 of %llu", &to) != 1) {
            t->bad = true;
        }
        snprintf(expected, sizeof expected, "line %u of %llu\n", i, to);
        t->bad = t->bad || strcmp(line, expected) != 0;
        i++;
    }
    if (ferror(f)) {
        return -1;
    }
    t->bad = t->bad || i != 300;
    t->at = to;
    t->n++;
    return 0;
}

static int work_streams(const char *dir, struct sweep_told *told)
{
    struct taken t = {0, 0, false};
    snapshot_t snap;
    int rv = 0;
    if (snapshot_init(&snap, in(dir, "streams")) != 0) {
        return code_of(told);
    }
    if (snapshot_create_at(&snap, NULL, 10, save) != 0) {
        rv = code_of(told);
    } else {
        told->durable = 10;
    }
    for (uint64_t to = 20; rv == 0 && to <= 30; to += 10) {
        if (snapshot_create_incremental(&snap, NULL, to - 10, to, save_range) !=
            0) {
            rv = code_of(told);
        } else {
            told->durable = to;
        }
    }
    if (rv == 0 && (snapshot_load(&snap, &t, take) != 0 ||
                    snapshot_apply_incremental(&snap, &t, take) != 0)) {
        rv = code_of(told);
    }
    sweep_check(!t.bad && (rv != 0 || (t.n == 3 && t.at == 30)),
                "other streams are read");
    told->whole = rv == 0;
    snapshot_destroy(&snap);
    return rv;
}

static void check_streams(const char *dir, const struct sweep_told *told)
{
    struct taken t = {0, 0, false};
    snapshot_t snap;
    int rv;
    sweep_check(snapshot_init(&snap, in(dir, "streams")) == 0,
                persist_errmsg());
    rv = snapshot_load(&snap, &t, take);
    sweep_check(rv == 0 || (told->durable == 0 && errno == ENOENT),
                persist_errmsg());
    if (rv == 0) {
        sweep_check(snapshot_apply_incremental(&snap, &t, take) == 0,
                    persist_errmsg());
        sweep_check(!t.bad && t.at >= told->durable,
                    "an acknowledged snapshot is lost");
    }
    sweep_check(snapshot_create(&snap, NULL, save) == 0, persist_errmsg());
    snapshot_destroy(&snap);
}

const struct sweep_case sweep_persist_log = {"persist", prepare, work_log,
                                             check_log};
const struct sweep_case sweep_persist_streams = {"streams", prepare,
                                                 work_streams, check_streams};
