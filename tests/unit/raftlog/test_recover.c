/* Every row of the recovery table (raftlog/recover.h), and that recovery is
 * idempotent and changes nothing when it refuses. */
#define FIXTURE_IN_MEMORY 1
#include "tests/unit/raftlog/log_fixture.h"

#include <dirent.h>
#include <sys/stat.h>

#include "raftlog/checksum.h"

enum { BLOCK = 4096, PATH = 1024, SECTOR = 512 };

/* ---- files ----------------------------------------------------------------*/

static const char *log_path(const struct fixture *x, const char *name)
{
    static char path[2][PATH];
    static unsigned next;
    char *p = path[next++ % 2];
    snprintf(p, PATH, "%s/log/%.500s", x->dir.path, name);
    return p;
}

static void change(const char *path, uint64_t offset, const void *data,
                   size_t size)
{
    struct file *f;
    assert_int_equal(file_open(path, FILE_WRITE, &f), 0);
    assert_int_equal(file_write_at(f, data, size, offset), 0);
    assert_int_equal(file_sync(f), 0);
    file_close(f);
}

static void flip(const char *path, uint64_t offset)
{
    struct file *f;
    uint8_t byte;
    size_t n;
    assert_int_equal(file_open(path, FILE_READ, &f), 0);
    assert_int_equal(file_read_at(f, &byte, 1, offset, &n), 0);
    assert_int_equal(n, 1);
    file_close(f);
    byte ^= 0x10;
    change(path, offset, &byte, 1);
}

static void zero(const char *path, uint64_t offset, size_t size)
{
    void *zeroes = calloc(1, size);
    assert_non_null(zeroes);
    change(path, offset, zeroes, size);
    free(zeroes);
}

/* Hash of all names and contents below the data directory, pool files left
 * out if asked: their content means nothing. */
struct tree_hash {
    const char *dir;
    uint64_t sum;
};

static void hash_tree(const char *dir, uint64_t *sum)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        char path[PATH];
        struct stat st;
        void *data;
        size_t size;
        if (e->d_name[0] == '.') {
            continue;
        }
        snprintf(path, sizeof path, "%.500s/%.255s", dir, e->d_name);
        assert_int_equal(stat(path, &st), 0);
        if (S_ISDIR(st.st_mode)) {
            hash_tree(path, sum);
            continue;
        }
        assert_int_equal(file_read_all(path, 1 << 26, &data, &size), 0);
        *sum += checksum(path, strlen(path), checksum(data, size, 1));
        free(data);
    }
    closedir(d);
}

static uint64_t state_of(const struct fixture *x)
{
    uint64_t sum = 0;
    hash_tree(x->dir.path, &sum);
    return sum;
}

/* ---- expectations ---------------------------------------------------------*/

/* Open refuses with this case's code, says which, and changes nothing. */
static void expect_refused(struct fixture *x, enum recover_case c,
                           const char *words)
{
    uint64_t before = state_of(x);
    char name[64];
    int rv = fixture_try_open(x);
    if (rv != recover_case_code(c)) {
        print_error("%s: %s\n", err_name(rv), x->info.message);
    }
    assert_int_equal(rv, recover_case_code(c));
    snprintf(name, sizeof name, "[%s]", recover_case_name(c));
    if (strstr(x->info.message, name) == NULL ||
        strstr(x->info.message, words) == NULL) {
        fail_msg("no %s and %s in: %s", name, words, x->info.message);
    }
    assert_true(state_of(x) == before);
}

/* Open takes this row; a second recovery finds the same log and nothing to
 * repair. The log is left open. */
static void expect_opened(struct fixture *x, enum recover_case c,
                          uint64_t first, uint64_t last)
{
    uint64_t before;
    fixture_open(x);
    assert_true(fixture_recovered_as(x, c));
    fixture_check_bounds(x, first, last);
    fixture_crash(x);
    before = state_of(x);
    fixture_open(x);
    fixture_check_bounds(x, first, last);
    assert_int_equal(x->report.torn_bytes, 0);
    assert_false(fixture_recovered_as(x, RECOVER_TORN));
    assert_false(fixture_recovered_as(x, RECOVER_LEFTOVER));
    assert_false(fixture_recovered_as(x, RECOVER_HARD_ONE));
    fixture_crash(x);
    assert_true(state_of(x) == before);
    fixture_open(x);
}

/* n frames of one 3000-byte entry, then a crash. `tail` is the name of the
 * last segment, `end` the offset behind its last frame. */
struct scene {
    char first[SEGMENT_NAME_MAX];
    char second[SEGMENT_NAME_MAX];
    char tail[SEGMENT_NAME_MAX];
    uint64_t end;
};

static void build(struct fixture *x, uint64_t n, struct scene *s)
{
    fixture_open(x);
    for (uint64_t i = 1; i <= n; i++) {
        fixture_append_durable(x, i, 1, 1, 3000);
    }
    memset(s, 0, sizeof *s);
    memcpy(s->first, x->log->segments->name, SEGMENT_NAME_MAX);
    if (x->log->segments->next != NULL) {
        memcpy(s->second, x->log->segments->next->name, SEGMENT_NAME_MAX);
    }
    memcpy(s->tail, x->log->active->name, SEGMENT_NAME_MAX);
    s->end = x->log->active->end;
    fixture_crash(x);
}

/* ---- the directory --------------------------------------------------------*/

static void test_recover_new(void **state)
{
    struct fixture *x = *state;
    expect_opened(x, RECOVER_NEW, 1, 0);
}

static void test_recover_half_created(void **state)
{
    struct fixture *x = *state;
    /* Every prefix of the creation. */
    for (unsigned long n = 1;; n++) {
        bool struck;
        fixture_fresh_dir(x);
        fault_file_arm(FAULT_CHANGES, n, ERR_IO, FAULT_CRASH);
        if (fixture_try_open(x) == 0) {
            fixture_crash(x);
        }
        struck = fault_file_disarm();
        fixture_open(x);
        fixture_check_bounds(x, 1, 0);
        fixture_append_durable(x, 1, 1, 1, 10);
        fixture_crash(x);
        if (!struck) {
            break;
        }
    }
    fixture_fresh_dir(x);
    fault_file_arm(FAULT_FILL, 1, ERR_IO, FAULT_CRASH);
    assert_int_equal(fixture_try_open(x), ERR_IO);
    fault_file_disarm();
    expect_opened(x, RECOVER_HALF_CREATED, 1, 0);
}

static void test_recover_segments_gone(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    fixture_open(x);
    assert_int_equal(raftlog_set_hard_state(x->log, 1, 1), 0);
    fixture_settle(x);
    fixture_crash(x);
    build(x, 3, &s);
    assert_int_equal(file_unlink(log_path(x, s.tail)), 0);
    expect_refused(x, RECOVER_SEGMENTS_GONE, "no segments");
}

static void test_recover_hard_gone(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    build(x, 3, &s);
    assert_int_equal(file_unlink(temp_dir_path(&x->dir, "hardstate.0")), 0);
    assert_int_equal(file_unlink(temp_dir_path(&x->dir, "hardstate.1")), 0);
    expect_refused(x, RECOVER_HARD_GONE, "hard state");
}

/* ---- hard state -----------------------------------------------------------*/

static void test_recover_hard_both(void **state)
{
    struct fixture *x = *state;
    for (uint64_t term = 1; term <= 5; term++) {
        fixture_open(x);
        assert_int_equal(raftlog_set_hard_state(x->log, term, term + 1), 0);
        fixture_settle(x);
        fixture_crash(x);
        fixture_open(x);
        assert_true(fixture_recovered_as(x, RECOVER_HARD_BOTH));
        assert_int_equal(x->report.current_term, term);
        assert_int_equal(x->report.voted_for, term + 1);
        fixture_crash(x);
    }
    fixture_open(x);
}

/* Whichever slot is damaged after the mirror was written, nothing is lost. */
static void test_recover_hard_one(void **state)
{
    struct fixture *x = *state;
    static const char *const slots[] = {"hardstate.0", "hardstate.1"};
    uint64_t term = 1;
    for (int how = 0; how < 6; how++) {
        const char *path = temp_dir_path(&x->dir, slots[how % 2]);
        fixture_open(x);
        term++;
        assert_int_equal(raftlog_set_hard_state(x->log, term, 3), 0);
        fixture_settle(x);
        assert_false(x->log->hard.mirrored);
        fixture_tick(x);
        fixture_tick(x);
        assert_true(x->log->hard.mirrored);
        fixture_crash(x);
        if (how < 2) {
            flip(path, 40);
        } else if (how < 4) {
            zero(path, 0, BLOCK);
        } else {
            assert_int_equal(file_unlink(path), 0);
        }
        fixture_open(x);
        assert_true(fixture_recovered_as(x, RECOVER_HARD_ONE));
        assert_int_equal(x->report.current_term, term);
        assert_int_equal(x->report.voted_for, 3);
        fixture_crash(x);
        fixture_open(x);
        assert_true(fixture_recovered_as(x, RECOVER_HARD_BOTH));
        assert_int_equal(x->report.current_term, term);
        fixture_crash(x);
    }
    fixture_open(x);
}

/* A torn write of the newest slot, which nobody was told of, leaves the state
 * before it: at every sector, and every byte of a flip. */
static void test_recover_hard_torn_write_leaves_the_one_before(void **state)
{
    struct fixture *x = *state;
    char newest[PATH];
    void *good = NULL;
    size_t size = 0;
    fixture_open(x);
    assert_int_equal(raftlog_set_hard_state(x->log, 7, 1), 0);
    fixture_settle(x);
    assert_int_equal(raftlog_set_hard_state(x->log, 8, 2), 0);
    fixture_settle(x);
    snprintf(newest, sizeof newest, "%s",
             temp_dir_path(&x->dir,
                           x->log->hard.slot ? "hardstate.1" : "hardstate.0"));
    fixture_crash(x);
    assert_int_equal(file_read_all(newest, BLOCK, &good, &size), 0);
    for (uint64_t at = 0; at < HARDSTATE_SIZE; at++) {
        change(newest, 0, good, size);
        flip(newest, at);
        x->log = NULL;
        if (at >= 8 && at < 12) {
            continue; /* the version: refused, see NEWER_VERSION */
        }
        fixture_open(x);
        if (at < 12 || at >= 16) { /* the reserved field counts too */
            assert_int_equal(x->report.current_term, 7);
            assert_int_equal(x->report.voted_for, 1);
        }
        fixture_crash(x);
    }
    free(good);
    fixture_open(x);
}

static void test_recover_hard_none(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    uint64_t before;
    build(x, 1, &s);
    flip(temp_dir_path(&x->dir, "hardstate.0"), 20);
    flip(temp_dir_path(&x->dir, "hardstate.1"), 90);
    before = state_of(x);
    assert_int_equal(fixture_try_open(x), ERR_CORRUPT);
    assert_non_null(strstr(x->info.message, "both damaged"));
    assert_true(state_of(x) == before);
}

static void test_recover_hard_behind(void **state)
{
    struct fixture *x = *state;
    char newest[PATH];
    fixture_open(x);
    assert_int_equal(raftlog_set_hard_state(x->log, 7, 1), 0);
    fixture_settle(x);
    assert_int_equal(raftlog_set_hard_state(x->log, 8, 2), 0);
    assert_int_equal(fixture_append(x, 1, 1, 8, 100), 0);
    fixture_settle(x);
    snprintf(newest, sizeof newest, "%s",
             temp_dir_path(&x->dir,
                           x->log->hard.slot ? "hardstate.1" : "hardstate.0"));
    fixture_crash(x);
    flip(newest, 50);
    expect_refused(x, RECOVER_HARD_BEHIND, "vote");
}

/* ---- segments -------------------------------------------------------------*/

static void test_recover_other_cluster(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    uint64_t before;
    build(x, 3, &s);
    before = state_of(x);
    x->options.cluster_id[3] ^= 1;
    assert_int_equal(fixture_try_open(x), ERR_CLUSTER);
    x->options.cluster_id[3] ^= 1;
    x->options.node_id = 2;
    assert_int_equal(fixture_try_open(x), ERR_CLUSTER);
    assert_non_null(strstr(x->info.message, "node 1"));
    x->options.node_id = 1;
    assert_true(state_of(x) == before);
    fixture_open(x);
}

/* A segment of another cluster in our directory, hard state being ours. */
static void test_recover_other_cluster_segment(void **state)
{
    struct fixture *x = *state;
    struct segment_header h;
    uint8_t block[BLOCK];
    struct file *f;
    struct scene s;
    size_t n;
    build(x, 3, &s);
    assert_int_equal(file_open(log_path(x, s.tail), FILE_READ, &f), 0);
    assert_int_equal(file_read_at(f, block, BLOCK, 0, &n), 0);
    file_close(f);
    assert_int_equal(segment_header_decode(block, BLOCK, &h), 0);
    h.cluster_id[0] ^= 1;
    segment_header_encode(&h, block, BLOCK);
    change(log_path(x, s.tail), 0, block, BLOCK);
    expect_refused(x, RECOVER_OTHER_CLUSTER, s.tail);
}

static void test_recover_newer_version(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    uint8_t version = 2;
    uint8_t old = 1;
    build(x, 3, &s);
    change(log_path(x, s.tail), 8, &version, 1);
    expect_refused(x, RECOVER_NEWER_VERSION, "newer");
    change(log_path(x, s.tail), 8, &old, 1);
    version = HARDSTATE_VERSION + 1;
    old = HARDSTATE_VERSION;
    change(temp_dir_path(&x->dir, "hardstate.1"), 8, &version, 1);
    assert_int_equal(fixture_try_open(x), ERR_VERSION);
    change(temp_dir_path(&x->dir, "hardstate.1"), 8, &old, 1);
    fixture_open(x);
}

static void test_recover_bad_header(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    struct file *f;
    build(x, 30, &s);
    for (uint64_t at = 0; at < SEGMENT_HEADER_SIZE; at++) {
        if (at >= 8 && at < 12) {
            continue;
        }
        flip(log_path(x, s.second), at);
        expect_refused(x, RECOVER_BAD_HEADER, s.second);
        flip(log_path(x, s.second), at);
    }
    assert_int_equal(file_open(log_path(x, s.first), FILE_WRITE, &f), 0);
    assert_int_equal(file_truncate(f, FIXTURE_SEGMENT / 2), 0);
    file_close(f);
    expect_refused(x, RECOVER_BAD_HEADER, "shorter");
}

static void test_recover_extra(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    char other[PATH];
    void *data;
    size_t size;
    build(x, 30, &s);
    /* A copy under another index: the name contradicts the header. */
    assert_int_equal(file_read_all(log_path(x, s.tail), 1 << 20, &data, &size),
                     0);
    snprintf(other, sizeof other, "%020d-%s", 7, strchr(s.tail, '-') + 1);
    assert_int_equal(file_replace(log_path(x, other), data, size), 0);
    expect_refused(x, RECOVER_EXTRA, other);
    assert_int_equal(file_unlink(log_path(x, other)), 0);
    /* A copy under another id. */
    snprintf(other, sizeof other, "%.21s%010d.seg", s.tail, 999);
    assert_int_equal(file_replace(log_path(x, other), data, size), 0);
    expect_refused(x, RECOVER_EXTRA, other);
    assert_int_equal(file_unlink(log_path(x, other)), 0);
    free(data);
    fixture_open(x);
}

static void test_recover_missing(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    char aside[PATH];
    build(x, 60, &s);
    snprintf(aside, sizeof aside, "%s/aside", x->dir.path);
    /* The first, */
    assert_int_equal(file_rename(log_path(x, s.first), aside), 0);
    expect_refused(x, RECOVER_MISSING, "missing");
    assert_int_equal(file_rename(aside, log_path(x, s.first)), 0);
    /* one in the middle. */
    assert_int_equal(file_rename(log_path(x, s.second), aside), 0);
    expect_refused(x, RECOVER_MISSING, "missing");
    assert_int_equal(file_rename(aside, log_path(x, s.second)), 0);
    fixture_open(x);
    fixture_check_range(x, 1, 60, 1, 3000);
}

/* The newest: known from the watermark in the hard state of a clean close. */
static void test_recover_missing_last(void **state)
{
    struct fixture *x = *state;
    char aside[PATH];
    char tail[PATH];
    fixture_open(x);
    for (uint64_t i = 1; i <= 30; i++) {
        fixture_append_durable(x, i, 1, 1, 3000);
    }
    snprintf(tail, sizeof tail, "%s", log_path(x, x->log->active->name));
    fixture_close_log(x);
    snprintf(aside, sizeof aside, "%s/aside", x->dir.path);
    assert_int_equal(file_rename(tail, aside), 0);
    expect_refused(x, RECOVER_ROT, "durable");
    assert_int_equal(file_rename(aside, tail), 0);
    fixture_open(x);
    fixture_check_range(x, 1, 30, 1, 3000);
}

static void test_recover_leftover(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    char path[PATH];
    void *data;
    size_t size;
    build(x, 60, &s);
    assert_int_equal(file_read_all(log_path(x, s.first), 1 << 20, &data, &size),
                     0);
    snprintf(path, sizeof path, "%s", log_path(x, s.first));
    fixture_open(x);
    raftlog_release(x->log, 40);
    fixture_tick(x);
    fixture_tick(x);
    assert_int_equal(x->log->n_segments, 2);
    fixture_crash(x);
    /* The first one is back, the second is not: names of a file system that
     * lost some of the renames. */
    assert_int_equal(file_replace(path, data, size), 0);
    free(data);
    expect_opened(x, RECOVER_LEFTOVER, 37, 60);
    fixture_check_range(x, 37, 60, 1, 3000);
}

static void test_recover_empty_last(void **state)
{
    struct fixture *x = *state;
    uint64_t i = 0;
    fixture_open(x);
    x->hold_jobs = false;
    while (!x->log->rotating) {
        fixture_run_jobs(x);
        i++;
        assert_int_equal(fixture_append(x, i, 1, 1, 3000), 0);
        while (x->log->frame.active) {
            (void)file_queue_wait(x->log->queue, 10000);
            raftlog_poll(x->log);
        }
    }
    x->jobs[0].work(x->jobs[0].arg); /* the rotation happens, and then */
    raftlog_abandon(x->log);         /* the process ends */
    x->log = NULL;
    x->jobs[0].done(x->jobs[0].arg);
    x->n_jobs = 0;
    expect_opened(x, RECOVER_EMPTY_LAST, 1, i - 1);
    fixture_append_durable(x, i, 1, 1, 3000);
    fixture_check_range(x, 1, i, 1, 3000);
}

/* ---- tails ----------------------------------------------------------------*/

static void test_recover_sealed_and_end(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    build(x, 60, &s);
    expect_opened(x, RECOVER_SEALED, 1, 60);
    assert_true(fixture_recovered_as(x, RECOVER_END));
    fixture_check_range(x, 1, 60, 1, 3000);
}

static void test_recover_torn_is_cut_and_kept_aside(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    char path[PATH];
    void *tail;
    void *kept;
    size_t size;
    fixture_open(x);
    fixture_append_durable(x, 1, 5, 1, 100);
    fixture_append_durable(x, 6, 3, 1, 8000);
    memcpy(s.tail, x->log->active->name, SEGMENT_NAME_MAX);
    fixture_crash(x);
    flip(log_path(x, s.tail), 2 * BLOCK + 20000);
    assert_int_equal(file_read_all(log_path(x, s.tail), 1 << 20, &tail, &size),
                     0);
    fixture_open(x);
    assert_true(fixture_recovered_as(x, RECOVER_TORN));
    assert_int_equal(x->report.torn_bytes, 6 * BLOCK);
    snprintf(path, sizeof path, "%s/%s", x->dir.path, x->report.torn_path);
    assert_int_equal(file_read_all(path, 1 << 20, &kept, &size), 0);
    assert_int_equal(size, 6 * BLOCK);
    assert_memory_equal(kept, (uint8_t *)tail + 2 * BLOCK, size);
    free(kept);
    free(tail);
    fixture_check_bounds(x, 1, 5);
    fixture_check_range(x, 1, 5, 1, 100);
    fixture_crash(x);
    expect_opened(x, RECOVER_END, 1, 5);
    fixture_append_durable(x, 6, 1, 2, 10);
    fixture_crash(x);
    fixture_open(x);
    fixture_check_range(x, 6, 6, 2, 10);
}

static void test_recover_torn_with_a_full_disk_opens_all_the_same(void **s)
{
    struct fixture *x = *s;
    char tail[PATH];
    fixture_open(x);
    fixture_append_durable(x, 1, 2, 1, 3000);
    snprintf(tail, sizeof tail, "%s", log_path(x, x->log->active->name));
    fixture_crash(x);
    flip(tail, BLOCK + 4000);
    fault_file_arm(FAULT_WRITE, 1, ERR_NOSPACE, FAULT_ONCE);
    fixture_open(x);
    assert_true(fault_file_disarm());
    assert_int_equal(x->report.torn_bytes, 2 * BLOCK);
    assert_string_equal(x->report.torn_path, "");
    fixture_check_bounds(x, 1, 0);
}

static void test_recover_torn_files_are_bounded(void **state)
{
    struct fixture *x = *state;
    unsigned n = 0;
    DIR *d;
    struct dirent *e;
    for (uint64_t i = 1; i <= 12; i++) {
        char tail[PATH];
        uint64_t end;
        fixture_open(x);
        fixture_append_durable(x, i, 1, 1, 10);
        end = x->log->active->end;
        fixture_append_durable(x, i + 1, 1, 1, 3000);
        snprintf(tail, sizeof tail, "%s", log_path(x, x->log->active->name));
        fixture_crash(x);
        flip(tail, end + 2000);
    }
    fixture_open(x);
    d = opendir(log_path(x, ""));
    while ((e = readdir(d)) != NULL) {
        n += strncmp(e->d_name, "torn-", 5) == 0;
    }
    closedir(d);
    assert_true(n >= 8 && n <= 9);
}

/* The last frame of a script with every subset of its sectors missing, old
 * content being zeroes or a frame of the file's former life: it is there as a
 * whole or not at all. */
static void every_torn_write(struct fixture *x, bool recycled)
{
    uint8_t old[4 * BLOCK];
    uint8_t *whole;
    char tail[PATH];
    uint64_t offset;
    uint64_t last;
    size_t size;
    fixture_open(x);
    for (last = 1; last <= (recycled ? 60 : 5); last++) {
        fixture_append_durable(x, last, 1, 1, 3000);
        raftlog_release(x->log, last > 3 ? last - 3 : 0);
        fixture_tick(x);
        fixture_tick(x);
    }
    while (x->log->active->end > FIXTURE_SEGMENT / 2) {
        fixture_append_durable(x, last++, 1, 1, 3000);
    }
    offset = x->log->active->end;
    snprintf(tail, sizeof tail, "%s", log_path(x, x->log->active->name));
    assert_int_equal(file_read_all(tail, 1 << 20, (void **)&whole, &size), 0);
    memcpy(old, whole + offset, sizeof old);
    free(whole);
    fixture_append_durable(x, last, 2, 1, 3000);
    fixture_crash(x);
    assert_int_equal(file_read_all(tail, 1 << 20, (void **)&whole, &size), 0);
    /* 6,120 bytes in 12 of 16 sectors: all prefixes and suffixes, each single
     * sector, and pseudo-random subsets. */
    for (unsigned step = 0; step < 16 + 16 + 16 + 40; step++) {
        uint32_t lost = step < 16   ? 0xffffu << step
                        : step < 32 ? 0xffffu >> (step - 16)
                        : step < 48 ? 1u << (step - 32)
                                    : step * 2654435761u >> 7;
        change(tail, offset, whole + offset, 2 * BLOCK);
        for (unsigned i = 0; i < 16; i++) {
            if (lost >> i & 1) {
                change(tail, offset + i * SECTOR, old + i * SECTOR, SECTOR);
            }
        }
        fixture_open(x);
        fixture_check_range(x, last - 1, last - 1, 1, 3000);
        if ((lost & 0xfff) != 0 || raftlog_last_index(x->log) < last) {
            assert_true((lost & 0xffff) != 0);
            assert_int_equal(raftlog_last_index(x->log), last - 1);
        } else {
            assert_int_equal(raftlog_last_index(x->log), last + 1);
            fixture_check_range(x, last, last + 1, 1, 3000);
        }
        fixture_crash(x);
    }
    free(whole);
    fixture_open(x);
}

static void test_recover_every_torn_write_in_a_new_segment(void **state)
{
    every_torn_write(*state, false);
}

static void test_recover_every_torn_write_in_a_recycled_segment(void **state)
{
    every_torn_write(*state, true);
}

static void test_recover_rot_in_a_sealed_segment(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    char words[64];
    build(x, 30, &s);
    flip(log_path(x, s.first), 3 * BLOCK + 700);
    snprintf(words, sizeof words, "offset %d", 3 * BLOCK);
    expect_refused(x, RECOVER_ROT, words);
    flip(log_path(x, s.first), 3 * BLOCK + 700);
    zero(log_path(x, s.first), 2 * BLOCK, BLOCK);
    expect_refused(x, RECOVER_ROT, "entry 2");
}

static void test_recover_rot_before_a_later_frame(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    build(x, 6, &s);
    flip(log_path(x, s.tail), 3 * BLOCK + 700);
    expect_refused(x, RECOVER_ROT,
                   "offset 12288: frame 3, which begins with "
                   "entry 3");
    flip(log_path(x, s.tail), 3 * BLOCK + 700);
    flip(log_path(x, s.tail), 3 * BLOCK + 2); /* its header */
    expect_refused(x, RECOVER_ROT, s.tail);
    flip(log_path(x, s.tail), 3 * BLOCK + 2);
    expect_opened(x, RECOVER_END, 1, 6);
}

/* The last frame, once the idle log has recorded the watermark. */
static void test_recover_rot_below_the_watermark_of_an_idle_log(void **state)
{
    struct fixture *x = *state;
    char tail[PATH];
    fixture_open(x);
    fixture_append_durable(x, 1, 1, 1, 3000);
    fixture_tick(x);
    fixture_tick(x);
    assert_int_equal(x->log->stats.n_frames, 2);
    fixture_tick(x);
    fixture_tick(x);
    assert_int_equal(x->log->stats.n_frames, 2); /* once is enough */
    snprintf(tail, sizeof tail, "%s", log_path(x, x->log->active->name));
    fixture_crash(x);
    flip(tail, BLOCK + 700);
    expect_refused(x, RECOVER_ROT, "entry 1");
    flip(tail, BLOCK + 700);
    /* Damage to the watermark's own frame loses nothing. */
    flip(tail, 2 * BLOCK + 700);
    fixture_open(x);
    fixture_check_range(x, 1, 1, 1, 3000);
}

/* The hard state's watermark covers a log whose newest frame is gone. */
static void test_recover_rot_below_the_watermark_of_the_hard_state(void **s)
{
    struct fixture *x = *s;
    char tail[PATH];
    fixture_open(x);
    fixture_append_durable(x, 1, 1, 1, 3000);
    assert_int_equal(raftlog_set_hard_state(x->log, 2, 2), 0);
    fixture_settle(x);
    snprintf(tail, sizeof tail, "%s", log_path(x, x->log->active->name));
    fixture_crash(x);
    zero(tail, BLOCK, BLOCK);
    expect_refused(x, RECOVER_ROT, "entry 1");
}

static void test_recover_misplaced(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    uint8_t *data;
    size_t size;
    build(x, 6, &s);
    assert_int_equal(
        file_read_all(log_path(x, s.tail), 1 << 20, (void **)&data, &size), 0);
    /* A sound frame of this segment at another place: a misdirected write. */
    change(log_path(x, s.tail), 3 * BLOCK, data + 5 * BLOCK, BLOCK);
    expect_refused(x, RECOVER_MISPLACED, "another one stands there");
    free(data);
}

/* A sound frame whose header says something that can not follow: another
 * chain, a gap, a truncation without the flag, another term before it. */
static void test_recover_misplaced_by_what_the_header_says(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    uint8_t *data;
    size_t size;
    build(x, 6, &s);
    assert_int_equal(
        file_read_all(log_path(x, s.tail), 1 << 20, (void **)&data, &size), 0);
    for (int how = 0; how < 4; how++) {
        uint8_t frame[BLOCK];
        struct frame_header h;
        memcpy(frame, data + 6 * BLOCK, BLOCK);
        assert_int_equal(
            frame_header_decode(frame, BLOCK, x->options.cluster_id, &h), 0);
        h.previous_checksum ^= how == 0;
        h.first_index += how == 1;
        h.first_index -= how == 2;
        h.previous_term += how == 3;
        frame_seal(&h, x->options.cluster_id, frame);
        change(log_path(x, s.tail), 6 * BLOCK, frame, BLOCK);
        expect_refused(x, RECOVER_MISPLACED, "offset 24576");
    }
    change(log_path(x, s.tail), 6 * BLOCK, data + 6 * BLOCK, BLOCK);
    free(data);
    expect_opened(x, RECOVER_END, 1, 6);
}

/* Flip one bit at every 37th offset of a small log whose watermark is
 * recorded: opened with everything, or refused; never less. */
static void test_recover_offset_sweep_never_loses_silently(void **state)
{
    struct fixture *x = *state;
    char tail[PATH];
    uint64_t end;
    unsigned n_refused = 0;
    fixture_open(x);
    fixture_append_durable(x, 1, 2, 1, 3000);
    fixture_append_durable(x, 3, 2, 1, 3000);
    end = x->log->active->end;
    snprintf(tail, sizeof tail, "%s", log_path(x, x->log->active->name));
    fixture_close_log(x);
    for (uint64_t at = 0; at < end; at += 37) {
        int rv;
        flip(tail, at);
        rv = fixture_try_open(x);
        if (rv == 0) {
            fixture_check_bounds(x, 1, 4);
            fixture_check_range(x, 1, 4, 1, 3000);
            fixture_crash(x);
        } else {
            assert_true(rv == ERR_CORRUPT || rv == ERR_VERSION);
            n_refused++;
        }
        flip(tail, at);
    }
    assert_true(n_refused >= (end - BLOCK) / 37 - 1);
    fixture_open(x);
}

/* Frames of the file's last life stand behind the end: nothing is torn, and
 * nothing is lost. */
static void test_recover_recycled_segment_ends_where_it_ends(void **state)
{
    struct fixture *x = *state;
    uint64_t next = 1;
    fixture_open(x);
    for (unsigned i = 0; i < 100; i++) {
        fixture_append_durable(x, next++, 1, 1, 3000);
        raftlog_release(x->log, next - 2);
        fixture_tick(x);
    }
    for (unsigned i = 0; i < 20; i++) { /* wherever the end is */
        fixture_append_durable(x, next++, 1, 1, 3000);
        fixture_crash(x);
        fixture_open(x);
        assert_int_equal(x->report.torn_bytes, 0);
        assert_false(fixture_recovered_as(x, RECOVER_LOST));
    }
    assert_int_equal(raftlog_last_index(x->log), next - 1);
}

/* ---- the pure part --------------------------------------------------------*/

static void test_recover_judge_tail_is_total_and_never_cuts_evidence(void **s)
{
    (void)s;
    for (unsigned bits = 0; bits < 128; bits++) {
        struct recover_tail t = {bits & 1,  bits & 2,  bits & 4, bits & 8,
                                 bits & 16, bits & 32, bits & 64};
        enum recover_case c;
        if (t.continues || (t.body_sound && !t.header_sound)) {
            continue; /* a good frame; and a body needs a header */
        }
        c = recover_judge_tail(&t);
        if (recover_case_code(c) == 0 && c != RECOVER_SEALED) {
            assert_true(t.last_segment);
            assert_false(t.evidence);
        }
        if (c == RECOVER_SEALED) {
            assert_true(t.next_continues && !t.last_segment);
        }
        if (c == RECOVER_END) {
            assert_false(t.later);
        }
        assert_true(c == RECOVER_SEALED || c == RECOVER_END ||
                    c == RECOVER_LOST || c == RECOVER_TORN ||
                    c == RECOVER_ROT || c == RECOVER_MISPLACED);
    }
}

/* A pool file that a live segment still uses must not be written to. */
static void test_recover_pool_copy_of_a_live_segment_is_removed(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    void *data;
    size_t size;
    bool exists = true;
    build(x, 3, &s);
    assert_int_equal(file_read_all(log_path(x, s.tail), 1 << 20, &data, &size),
                     0);
    assert_int_equal(
        file_replace(log_path(x, "pool/0000000900.free"), data, size), 0);
    assert_int_equal(
        file_replace(log_path(x, "pool/0000000901.tmp"), data, size), 0);
    free(data);
    fixture_open(x);
    assert_int_equal(file_exists(log_path(x, "pool/0000000900.free"), &exists),
                     0);
    assert_false(exists);
    assert_int_equal(file_exists(log_path(x, "pool/0000000901.tmp"), &exists),
                     0);
    assert_false(exists);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_recover_new),
        fixture_test(test_recover_half_created),
        fixture_test(test_recover_segments_gone),
        fixture_test(test_recover_hard_gone),
        fixture_test(test_recover_hard_both),
        fixture_test(test_recover_hard_one),
        fixture_test(test_recover_hard_torn_write_leaves_the_one_before),
        fixture_test(test_recover_hard_none),
        fixture_test(test_recover_hard_behind),
        fixture_test(test_recover_other_cluster),
        fixture_test(test_recover_other_cluster_segment),
        fixture_test(test_recover_newer_version),
        fixture_test(test_recover_bad_header),
        fixture_test(test_recover_extra),
        fixture_test(test_recover_missing),
        fixture_test(test_recover_missing_last),
        fixture_test(test_recover_leftover),
        fixture_test(test_recover_empty_last),
        fixture_test(test_recover_sealed_and_end),
        fixture_test(test_recover_torn_is_cut_and_kept_aside),
        fixture_test(test_recover_torn_with_a_full_disk_opens_all_the_same),
        fixture_test(test_recover_torn_files_are_bounded),
        fixture_test(test_recover_every_torn_write_in_a_new_segment),
        fixture_test(test_recover_every_torn_write_in_a_recycled_segment),
        fixture_test(test_recover_rot_in_a_sealed_segment),
        fixture_test(test_recover_rot_before_a_later_frame),
        fixture_test(test_recover_rot_below_the_watermark_of_an_idle_log),
        fixture_test(test_recover_rot_below_the_watermark_of_the_hard_state),
        fixture_test(test_recover_misplaced),
        fixture_test(test_recover_misplaced_by_what_the_header_says),
        fixture_test(test_recover_offset_sweep_never_loses_silently),
        fixture_test(test_recover_judge_tail_is_total_and_never_cuts_evidence),
        fixture_test(test_recover_recycled_segment_ends_where_it_ends),
        fixture_test(test_recover_pool_copy_of_a_live_segment_is_removed),
    };
    return cmocka_run_group_tests_name("recover", tests, NULL, NULL);
}
