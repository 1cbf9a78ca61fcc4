/* Damage at every offset of every file of a small data directory (L2b).
 *
 *     offset_sweep [--step N] [CASE...]   every N-th byte of files of more than
 *                                         8 KiB; default 1
 *
 * A directory is made once. Then, for each byte of each file a bit is flipped,
 * and for each sector it is zeroed, filled with garbage, and replaced by the
 * one before it; and each time the real code opens a copy. It must
 *   - give exactly what was there, or
 *   - refuse, with words that name the file (and in a segment the offset), and
 *     change nothing on the disk, or
 *   - in a log whose newest frame no watermark covers, cut that frame.
 * Never may it give anything else. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/peer_book.h"
#include "raftlog/file.h"
#include "raftlog/identity.h"
#include "tests/crash/chain_model.h"
#include "tests/crash/crash_states.h"
#include "tests/crash/enumerate.h"
#include "tests/crash/log_model.h"
#include "tests/sim/sim_disk_private.h"

enum verdict { VERDICT_SAME, VERDICT_REFUSED, VERDICT_CUT, N_VERDICTS };

struct offset_case {
    const char *name;
    void (*make)(struct sim_clock *clock); /* on "/n1" */
    /* Open "/n2" and judge; info holds the words of a refusal. */
    enum verdict (*judge)(struct sim_clock *clock, struct err_info *info);
};

enum { SMALL_FILE = 8192 };

static uint64_t step = 1;

static struct {
    const char *name;
    const char *path;
    const char *damage;
    uint64_t offset;
} now;

void crash_check_failed(const char *file, int line, const char *condition,
                        const char *words)
{
    fprintf(stderr, "%s:%d: %s\n%s\ncase %s: %s, %s at offset %llu\n", file,
            line, condition, words != NULL ? words : "", now.name,
            now.path != NULL ? now.path : "none yet",
            now.damage != NULL ? now.damage : "",
            (unsigned long long)now.offset);
    exit(1);
}

void crash_promise(const void *after)
{
    (void)after;
}

/* ---- a log ----------------------------------------------------------------*/

static struct log_model log_made;
static uint64_t log_covered; /* entries through it are below a watermark */

static void make_log(struct sim_clock *clock, struct log_owner *o)
{
    struct raftlog_report report;
    memset(&log_made, 0, sizeof log_made);
    log_owner_open(o, &log_made, clock, "/n1", &report);
    log_owner_hard_state(o);
    for (uint64_t i = 1; i <= 22; i += 2) {
        log_owner_append(o, i, 2, 1);
        log_owner_settle(o);
    }
    log_owner_append(o, 21, 1, 2); /* a truncation */
    log_owner_hard_state(o);
    log_owner_settle(o);
    log_owner_release(o, 8);
    for (unsigned i = 0; i < 6; i++) {
        log_owner_tick(o);
    }
    log_covered = 21;
}

static void make_log_closed(struct sim_clock *clock)
{
    struct log_owner o;
    make_log(clock, &o);
    log_owner_close(&o);
}

static void make_log_killed(struct sim_clock *clock)
{
    struct log_owner o;
    make_log(clock, &o);
    log_owner_append(&o, 22, 2, 2);
    log_owner_settle(&o);
    log_owner_kill(&o);
}

static enum verdict judge_log(struct sim_clock *clock, struct err_info *info)
{
    struct raftlog_report report;
    struct log_model after;
    struct log_owner o;
    enum verdict verdict = VERDICT_SAME;
    int rv = log_owner_try_open(&o, &after, clock, "/n2", &report, info);
    if (rv != 0) {
        crash_check(rv == ERR_CORRUPT || rv == ERR_CLUSTER || rv == ERR_VERSION,
                    err_text(rv));
        return VERDICT_REFUSED;
    }
    crash_check(report.first_index <= log_made.now.base + 1,
                "entries are lost");
    crash_check(report.last_index >= log_covered &&
                    report.last_index <= log_made.now.last,
                "entries below the watermark are lost");
    crash_check(report.current_term == log_made.hard_given &&
                    report.voted_for == log_made.hard_given + 7,
                "the hard state is another one");
    if (report.last_index < log_made.now.last) {
        crash_check(report.torn_bytes > 0 || log_covered < log_made.now.last,
                    "entries are lost without a word");
        verdict = VERDICT_CUT;
    }
    log_owner_kill(&o);
    /* All entries, byte for byte; and what was cut is not found again. */
    after = log_made;
    after.mended = true;
    after.now.durable = report.last_index;
    log_model_recover(&after, "/n2", clock, &after, &o);
    crash_check(after.now.last == report.last_index, "the next start differs");
    log_owner_kill(&o);
    return verdict;
}

/* ---- a chain of snapshots -------------------------------------------------*/

static void make_chain(struct sim_clock *clock)
{
    struct chain_model m = {0, 0};
    (void)clock;
    chain_known_clear();
    chain_open(&m, "/n1/snapshots");
    chain_take(&m, "/n1/snapshots", 0, 10, 120);
    chain_take(&m, "/n1/snapshots", 10, 20, 12);
}

/* All records of a file, as one number; 0: refused. */
static uint64_t read_file(const char *path, struct err_info *info)
{
    struct snapshot_reader *r = NULL;
    struct snapshot_record record;
    uint64_t sum = 1;
    int rv = snapshot_reader_open(path, &r, info);
    while (rv == 0) {
        int next = snapshot_reader_next(r, &record, info);
        if (next <= 0) {
            rv = next;
            break;
        }
        sum = checksum(record.key.data, record.key.size, sum);
        sum = checksum(record.value.data, record.value.size,
                       sum + (unsigned)record.kind + record.expire_ms);
    }
    snapshot_reader_close(r);
    crash_check(rv == 0 || rv == ERR_CORRUPT || rv == ERR_VERSION,
                err_text(rv));
    return rv == 0 ? sum : 0;
}

static enum verdict judge_chain(struct sim_clock *clock, struct err_info *info)
{
    static uint64_t sums[2];
    const struct snapshot_manifest *made = chain_known(2);
    struct snapshot_manifest chain;
    bool refused = false;
    int rv = snapshot_chain_open("/n2/snapshots", chain_cluster, &chain, info);
    (void)clock;
    if (rv != 0) {
        crash_check(rv == ERR_CORRUPT || rv == ERR_CLUSTER || rv == ERR_VERSION,
                    err_text(rv));
        return VERDICT_REFUSED;
    }
    crash_check(chain.n_files == 2, "the chain is another one");
    for (unsigned i = 0; i < 2; i++) {
        char path[256];
        uint64_t sum;
        crash_check(memcmp(&chain.files[i], &made->files[i],
                           sizeof chain.files[i]) == 0,
                    "the manifest is another one");
        snprintf(path, sizeof path, "/n2/snapshots/%.63s", chain.files[i].name);
        sum = read_file(path, info);
        /* The first time nothing is damaged. */
        sums[i] = sums[i] == 0 ? sum : sums[i];
        refused = refused || sum == 0;
        crash_check(sum == 0 || sum == sums[i], "wrong records were served");
    }
    snapshot_manifest_clear(&chain);
    return refused ? VERDICT_REFUSED : VERDICT_SAME;
}

/* ---- identity and peers ---------------------------------------------------*/

static void make_identity(struct identity *id)
{
    memset(id, 0, sizeof *id);
    memset(id->cluster_id, 7, sizeof id->cluster_id);
    memset(id->instance_id, 9, sizeof id->instance_id);
    id->node_id = 2;
    snprintf(id->membership, sizeof id->membership, "1=a:1,2=b:2,3=c:3");
}

static void make_home(struct sim_clock *clock)
{
    static struct identity id;
    uint8_t instance[HANDSHAKE_INSTANCE_SIZE] = {3, 1, 4};
    struct peer_book book = {0};
    struct err_info info = {0};
    bool created;
    (void)clock;
    make_identity(&id);
    crash_check(identity_open("/n1", &id, &id, &created, &info) == 0,
                info.message);
    crash_check(peer_book_set(&book, 1, instance) == 0 &&
                    peer_book_set(&book, 3, instance) == 0 &&
                    peer_book_save("/n1", &book) == 0,
                NULL);
}

static enum verdict judge_home(struct sim_clock *clock, struct err_info *info)
{
    static struct identity made;
    static struct identity any;
    static struct identity found;
    struct peer_book book;
    bool created = true;
    int rv;
    (void)clock;
    make_identity(&made);
    rv = identity_open("/n2", &any, &found, &created, info);
    if (rv != 0) {
        return VERDICT_REFUSED;
    }
    crash_check(!created && memcmp(&made, &found, sizeof made) == 0,
                "the identity is another one");
    rv = peer_book_load("/n2", &book);
    if (rv != 0) {
        crash_check(book.n == 0, "a damaged book is not empty");
        (void)err_set(info, rv, "peers: %s", err_text(rv));
        return VERDICT_REFUSED;
    }
    crash_check(book.n == 2 && book.peers[1].id == 3 &&
                    book.peers[1].instance[1] == 1,
                "the book is another one");
    return VERDICT_SAME;
}

/* ---- the sweep ------------------------------------------------------------*/

static const struct offset_case cases[] = {
    {"log-closed", make_log_closed, judge_log},
    {"log-killed", make_log_killed, judge_log},
    {"chain", make_chain, judge_chain},
    {"home", make_home, judge_home},
};

struct sweep {
    const struct offset_case *what;
    struct sim_clock clock;
    struct sim_disk made;
    struct crash_states *states;
    uint64_t n[N_VERDICTS];
};

static void new_disk(struct sim_disk *d, unsigned id, struct sim_clock *clock)
{
    struct sim_disk_hooks hooks = {0};
    struct sim_random random;
    sim_clock_init(clock);
    sim_random_init(&random, id);
    sim_disk_init(d, id, &random, clock, &hooks);
    d->alignment = 4096;
    sim_disk_select(d);
}

/* Does the message name the file, and an offset in a segment that is not
 * behind the damage? Files of the log stand for each other at their ends. */
static void check_words(const struct err_info *info)
{
    const char *name = strrchr(now.path, '/') + 1;
    const char *at = strstr(info->message, "offset ");
    if (strncmp(name, "hardstate", 9) == 0) {
        crash_check(strstr(info->message, "hardstate.") != NULL, info->message);
    } else if (strstr(name, ".seg") != NULL) {
        crash_check(strstr(info->message, name) != NULL && at != NULL &&
                        strtoull(at + 7, NULL, 10) <= now.offset,
                    info->message);
    } else if (strcmp(name, "MANIFEST") == 0) {
        crash_check(strstr(info->message, "manifest") != NULL, info->message);
    } else {
        crash_check(strstr(info->message, name) != NULL, info->message);
    }
}

/* Damage a copy and open it. */
static void try_damage(struct sweep *s, const char *path, uint64_t offset,
                       uint64_t size, const uint8_t *bytes)
{
    struct sim_clock clock;
    struct sim_disk disk;
    struct sim_inode *inode;
    struct err_info info = {0};
    enum verdict verdict;
    char to[256];
    new_disk(&disk, 2, &clock);
    crash_states_install(s->states, &disk);
    now.offset = offset;
    now.path = path;
    if (path != NULL) {
        snprintf(to, sizeof to, "/n2%s", path + 3);
        inode = sim_disk_find(&disk, to);
        assert(inode != NULL && offset + size <= inode->size);
        memcpy(inode->data + offset, bytes, size);
    }
    disk.stats.n_operations = 0;
    verdict = s->what->judge(&clock, &info);
    s->n[verdict]++;
    if (verdict == VERDICT_REFUSED) {
        crash_check(path != NULL, info.message);
        check_words(&info);
        crash_check(s->what->judge != judge_log || disk.stats.n_operations == 0,
                    "refused, and the disk was changed");
    }
    crash_check(path != NULL || verdict == VERDICT_SAME, info.message);
    sim_disk_close(&disk);
    sim_clock_close(&clock);
}

static void sweep_bytes(struct sweep *s, const char *path,
                        const struct sim_inode *inode)
{
    uint64_t stride = inode->size > SMALL_FILE ? step : 1;
    now.damage = "a flipped bit";
    for (uint64_t at = 0; at < inode->size; at += stride) {
        uint8_t byte = (uint8_t)(inode->data[at] ^ 1u << at % 8);
        try_damage(s, path, at, 1, &byte);
    }
}

static void sweep_sectors(struct sweep *s, const char *path,
                          const struct sim_inode *inode)
{
    for (uint64_t at = 0; at < inode->size; at += SIM_SECTOR) {
        uint8_t zeroes[SIM_SECTOR] = {0};
        uint8_t garbage[SIM_SECTOR];
        uint64_t size =
            inode->size - at < SIM_SECTOR ? inode->size - at : SIM_SECTOR;
        for (size_t i = 0; i < SIM_SECTOR; i++) {
            garbage[i] = (uint8_t)(i * 167 + at / 3 + 5);
        }
        now.damage = "a sector of zeroes";
        try_damage(s, path, at, size, zeroes);
        now.damage = "a sector of garbage";
        try_damage(s, path, at, size, garbage);
        now.damage = "the sector before it";
        if (at > 0) {
            try_damage(s, path, at, size, inode->data + at - SIM_SECTOR);
        }
    }
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run(const struct offset_case *c)
{
    struct sweep s = {.what = c};
    double start = now_s();
    uint64_t bytes = 0;
    now.name = c->name;
    new_disk(&s.made, 1, &s.clock);
    c->make(&s.clock);
    s.states = crash_states_new(&s.made);
    crash_states_cut(s.states, NULL);
    try_damage(&s, NULL, 0, 0, NULL);
    for (size_t i = 0; i < s.made.n_live; i++) {
        const struct sim_disk_name *name = &s.made.live[i];
        if (!name->inode->is_dir) {
            bytes += name->inode->size;
            sweep_bytes(&s, name->path, name->inode);
            sweep_sectors(&s, name->path, name->inode);
        }
    }
    printf("%-10s %7llu bytes of files; the same %llu, refused %llu, newest "
           "frame cut %llu; %.1f s\n",
           c->name, (unsigned long long)bytes,
           (unsigned long long)s.n[VERDICT_SAME],
           (unsigned long long)s.n[VERDICT_REFUSED],
           (unsigned long long)s.n[VERDICT_CUT], now_s() - start);
    fflush(stdout);
    now.path = NULL;
    crash_check(s.n[VERDICT_REFUSED] > 20, "too little was done"); /* void */
    crash_states_free(s.states);
    sim_disk_close(&s.made);
    sim_clock_close(&s.clock);
}

int main(int argc, char **argv)
{
    int first = 1;
    bool any = false;
    if (argc > 2 && strcmp(argv[1], "--step") == 0) {
        step = strtoull(argv[2], NULL, 10);
        first = 3;
    }
    if (step == 0) {
        fprintf(stderr, "--step must be at least 1\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool wanted = first == argc;
        for (int a = first; a < argc; a++) {
            wanted = wanted || strcmp(argv[a], cases[i].name) == 0;
        }
        if (wanted) {
            run(&cases[i]);
        }
        any = any || wanted;
    }
    if (!any) {
        fprintf(stderr, "no such case\n");
    }
    return any ? 0 : 2;
}
