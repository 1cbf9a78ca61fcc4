/* Transfer of a chain from one directory to another, chunk by chunk. */
#include "tests/unit/snapshot/fixture.h"

enum { CHUNK = 700 };

struct pair {
    struct fixture *from;
    struct fixture *to;
    struct snapshot_receiver *receiver;
};

static int setup(void **state)
{
    struct pair *p = calloc(1, sizeof *p);
    void *from;
    void *to;

    fixture_setup(&from);
    fixture_setup(&to);
    p->from = from;
    p->to = to;
    fixture_append(p->from, 0, 10, 100);
    fixture_append(p->from, 10, 20, 50);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;
    void *from = p->from;
    void *to = p->to;

    snapshot_receiver_close(p->receiver);
    fixture_teardown(&from);
    fixture_teardown(&to);
    free(p);
    return 0;
}

static void open_receiver(struct pair *p)
{
    snapshot_receiver_close(p->receiver);
    p->receiver = NULL;
    assert_int_equal(snapshot_receiver_open(p->to->dir, &p->to->chain,
                                            &p->from->chain, &p->receiver,
                                            &p->to->info),
                     0);
}

/* Ask for and bring one chunk; 1, 0 when there is nothing to ask for, or what
 * failed. */
static int bring(struct pair *p)
{
    struct snapshot_range range;
    uint8_t buf[CHUNK];
    int rv;

    if (!snapshot_receiver_next(p->receiver, CHUNK, &range)) {
        return 0;
    }
    rv = snapshot_chunk_read(p->from->dir, &p->from->chain, &range, buf,
                             &p->from->info);
    if (rv == 0) {
        rv = snapshot_receiver_put(p->receiver, &range, buf, &p->to->info);
    }
    return rv == 0 ? 1 : rv;
}

static unsigned bring_all(struct pair *p)
{
    unsigned n = 0;
    int rv;

    while ((rv = bring(p)) == 1) {
        n++;
    }
    assert_int_equal(rv, 0);
    return n;
}

static void verify_and_adopt(struct pair *p)
{
    int rv = snapshot_receiver_verify(p->receiver, &p->to->info);

    if (rv != 0) {
        print_message("%s\n", p->to->info.message);
    }
    assert_int_equal(rv, 0);
    assert_int_equal(snapshot_chain_adopt(p->to->dir, &p->to->chain,
                                          &p->from->chain, NULL, 0,
                                          &p->to->info),
                     0);
    fixture_restart(p->to);
    assert_int_equal(p->to->chain.n_files, p->from->chain.n_files);
    for (unsigned i = 0; i < p->to->chain.n_files; i++) {
        const struct snapshot_file *f = &p->to->chain.files[i];
        assert_memory_equal(f, &p->from->chain.files[i], sizeof *f);
        assert_int_equal(snapshot_file_verify(fixture_path(p->to, f->name), f,
                                              fixture_cluster, &p->to->info),
                         0);
    }
}

static void test_receiver_whole_chain_arrives(void **state)
{
    struct pair *p = *state;
    uint64_t done;
    uint64_t total;
    uint64_t size = p->from->chain.files[0].size + p->from->chain.files[1].size;

    open_receiver(p);
    assert_false(snapshot_receiver_complete(p->receiver));
    assert_int_equal(snapshot_receiver_verify(p->receiver, &p->to->info),
                     ERR_AGAIN);
    assert_true(bring_all(p) >= size / CHUNK);
    assert_true(snapshot_receiver_complete(p->receiver));
    snapshot_receiver_progress(p->receiver, &done, &total);
    assert_true(done == size && total == size);
    verify_and_adopt(p);
}

static void test_receiver_only_missing_files_travel(void **state)
{
    struct pair *p = *state;
    uint64_t done;
    uint64_t total;

    open_receiver(p);
    bring_all(p);
    verify_and_adopt(p);
    fixture_append(p->from, 20, 30, 10);
    open_receiver(p);
    snapshot_receiver_progress(p->receiver, &done, &total);
    assert_int_equal(done, 0);
    assert_true(total == p->from->chain.files[2].size);
    bring_all(p);
    verify_and_adopt(p);
    /* Nothing is missing: complete at once. */
    open_receiver(p);
    assert_true(snapshot_receiver_complete(p->receiver));
    verify_and_adopt(p);
}

static void test_receiver_resumes_after_each_chunk(void **state)
{
    struct pair *p = *state;
    unsigned n_chunks;
    unsigned n = 0;

    open_receiver(p);
    n_chunks = bring_all(p);
    assert_int_equal(snapshot_receiver_verify(p->receiver, &p->to->info), 0);
    fixture_restart(p->to);
    /* Again into a fresh directory, with a restart after every chunk. */
    temp_dir_remove_path(p->to->dir);
    fixture_restart(p->to);
    do {
        uint64_t done;
        uint64_t total;
        uint64_t again;
        open_receiver(p);
        snapshot_receiver_progress(p->receiver, &done, &total);
        if (bring(p) == 1) {
            n++;
        }
        snapshot_receiver_progress(p->receiver, &again, &total);
        assert_true(again > done);
        snapshot_receiver_close(p->receiver);
        p->receiver = NULL;
        fixture_restart(p->to);
        open_receiver(p);
        snapshot_receiver_progress(p->receiver, &done, &total);
        assert_true(done == again);
    } while (!snapshot_receiver_complete(p->receiver));
    assert_int_equal(n, n_chunks); /* Nothing travelled twice. */
    verify_and_adopt(p);
}

static void test_receiver_resumes_between_verify_and_adopt(void **state)
{
    struct pair *p = *state;

    open_receiver(p);
    bring_all(p);
    assert_int_equal(snapshot_receiver_verify(p->receiver, &p->to->info), 0);
    fixture_restart(p->to);
    open_receiver(p);
    assert_true(snapshot_receiver_complete(p->receiver));
    verify_and_adopt(p);
}

static void test_receiver_retry_asks_again_for_what_is_missing(void **state)
{
    struct pair *p = *state;
    struct snapshot_range first;
    struct snapshot_range range;
    unsigned n_asked = 0;

    open_receiver(p);
    assert_int_equal(bring(p), 1);
    assert_true(snapshot_receiver_next(p->receiver, CHUNK, &first));
    assert_int_equal(first.offset, CHUNK);
    while (snapshot_receiver_next(p->receiver, CHUNK, &range)) {
        n_asked++;
    }
    assert_true(n_asked > 0);
    snapshot_receiver_retry(p->receiver);
    assert_true(snapshot_receiver_next(p->receiver, CHUNK, &range));
    assert_int_equal(range.offset, first.offset);
    assert_memory_equal(range.id, first.id, SNAPSHOT_ID_SIZE);
    snapshot_receiver_retry(p->receiver);
    bring_all(p);
    verify_and_adopt(p);
}

static void test_receiver_chunk_out_of_place_is_ignored(void **state)
{
    struct pair *p = *state;
    uint8_t junk[4096];
    struct snapshot_range range;
    struct snapshot_range bad;
    uint64_t done;
    uint64_t total;

    memset(junk, 0xee, sizeof junk);
    open_receiver(p);
    assert_int_equal(bring(p), 1);
    assert_true(snapshot_receiver_next(p->receiver, CHUNK, &range));
    bad = range;
    bad.offset = 0; /* a repetition */
    assert_int_equal(
        snapshot_receiver_put(p->receiver, &bad, junk, &p->to->info), 0);
    bad.offset = range.offset + CHUNK; /* one was skipped */
    assert_int_equal(
        snapshot_receiver_put(p->receiver, &bad, junk, &p->to->info), 0);
    bad = range;
    bad.size = UINT32_MAX; /* past the end */
    assert_int_equal(
        snapshot_receiver_put(p->receiver, &bad, junk, &p->to->info), 0);
    bad = range;
    bad.size = 0;
    assert_int_equal(
        snapshot_receiver_put(p->receiver, &bad, junk, &p->to->info), 0);
    bad = range;
    bad.id[3] ^= 1; /* another file */
    assert_int_equal(
        snapshot_receiver_put(p->receiver, &bad, junk, &p->to->info), 0);
    snapshot_receiver_progress(p->receiver, &done, &total);
    assert_int_equal(done, CHUNK);
    snapshot_receiver_retry(p->receiver);
    bring_all(p);
    verify_and_adopt(p);
}

static void test_receiver_damaged_chunk_is_found_and_fetched_again(void **state)
{
    struct pair *p = *state;
    struct snapshot_range range;
    uint8_t buf[CHUNK];
    uint64_t done;
    uint64_t total;

    open_receiver(p);
    assert_true(snapshot_receiver_next(p->receiver, CHUNK, &range));
    assert_int_equal(snapshot_chunk_read(p->from->dir, &p->from->chain, &range,
                                         buf, &p->from->info),
                     0);
    buf[300] ^= 4;
    assert_int_equal(
        snapshot_receiver_put(p->receiver, &range, buf, &p->to->info), 0);
    bring_all(p);
    assert_int_equal(snapshot_receiver_verify(p->receiver, &p->to->info),
                     ERR_CORRUPT);
    assert_non_null(strstr(p->to->info.message, "content id"));
    assert_false(snapshot_receiver_complete(p->receiver));
    /* Only the bad file comes again. */
    snapshot_receiver_progress(p->receiver, &done, &total);
    assert_true(done == p->from->chain.files[1].size);
    bring_all(p);
    verify_and_adopt(p);
}

static void test_receiver_manifest_that_lies_is_found(void **state)
{
    struct pair *p = *state;
    struct snapshot_manifest lie;
    int i;

    for (i = 0; i < 3; i++) {
        assert_int_equal(snapshot_manifest_copy(&lie, &p->from->chain), 0);
        if (i == 0) {
            lie.files[1].n_records++;
        } else if (i == 1) {
            lie.files[1].state_hash.low++;
        } else {
            lie.files[1].to_term++;
        }
        snapshot_receiver_close(p->receiver);
        p->receiver = NULL;
        temp_dir_remove_path(p->to->dir);
        fixture_restart(p->to);
        assert_int_equal(snapshot_receiver_open(p->to->dir, &p->to->chain, &lie,
                                                &p->receiver, &p->to->info),
                         0);
        bring_all(p);
        assert_int_equal(snapshot_receiver_verify(p->receiver, &p->to->info),
                         ERR_CORRUPT);
        snapshot_manifest_clear(&lie);
    }
}

static void test_receiver_open_removes_what_is_not_wanted(void **state)
{
    struct pair *p = *state;
    const char *other = "incoming/00112233445566778899aabbccddeeff.part";
    const char *ours = "incoming/writing-0-9.tmp";

    assert_int_equal(file_replace(fixture_path(p->to, other), "x", 1), 0);
    assert_int_equal(file_replace(fixture_path(p->to, ours), "x", 1), 0);
    open_receiver(p);
    assert_false(fixture_exists(fixture_path(p->to, other)));
    /* A snapshot being taken here is none of the transfer's business. */
    assert_true(fixture_exists(fixture_path(p->to, ours)));
}

static void test_receiver_open_other_cluster_is_refused(void **state)
{
    struct pair *p = *state;
    struct snapshot_receiver *r;

    p->to->chain.cluster_id[0] ^= 1;
    assert_int_equal(snapshot_receiver_open(p->to->dir, &p->to->chain,
                                            &p->from->chain, &r, &p->to->info),
                     ERR_CLUSTER);
}

static void test_receiver_open_more_than_the_disk_has_is_no_space(void **state)
{
    struct pair *p = *state;
    struct snapshot_receiver *r;

    p->from->chain.files[1].size = UINT64_MAX / 2;
    assert_int_equal(snapshot_receiver_open(p->to->dir, &p->to->chain,
                                            &p->from->chain, &r, &p->to->info),
                     ERR_NOSPACE);
    assert_non_null(strstr(p->to->info.message, "make room"));
}

static void test_receiver_no_space_chunk_can_be_put_again(void **state)
{
    struct pair *p = *state;
    struct snapshot_range range;
    uint8_t buf[CHUNK];

    open_receiver(p);
    assert_true(snapshot_receiver_next(p->receiver, CHUNK, &range));
    assert_int_equal(snapshot_chunk_read(p->from->dir, &p->from->chain, &range,
                                         buf, &p->from->info),
                     0);
    fault_file_arm(FAULT_WRITE, 1, ERR_NOSPACE, FAULT_TORN);
    assert_int_equal(
        snapshot_receiver_put(p->receiver, &range, buf, &p->to->info),
        ERR_NOSPACE);
    assert_true(fault_file_disarm());
    assert_int_equal(
        snapshot_receiver_put(p->receiver, &range, buf, &p->to->info), 0);
    bring_all(p);
    verify_and_adopt(p);
}

/* After a failed sync nobody knows what the disk holds, and a second one would
 * claim success. */
static void test_receiver_failed_sync_begins_the_file_again(void **state)
{
    struct pair *p = *state;
    struct snapshot_range range;
    unsigned n = 0;
    int rv;

    open_receiver(p);
    fault_file_arm(FAULT_SYNC, 1, ERR_IO, FAULT_ONCE);
    while ((rv = bring(p)) == 1) {
        n++;
    }
    assert_true(fault_file_disarm());
    assert_int_equal(rv, ERR_IO);
    assert_true(n > 0);
    assert_true(snapshot_receiver_next(p->receiver, CHUNK, &range));
    assert_int_equal(range.offset, 0);
    assert_memory_equal(range.id, p->from->chain.files[0].id, sizeof range.id);
    snapshot_receiver_retry(p->receiver);
    bring_all(p);
    verify_and_adopt(p);
}

/* A file counts as received only once it is durable. */
static void test_receiver_verify_syncs_before_it_names(void **state)
{
    struct pair *p = *state;
    char seen[64] = "";
    size_t n = 0;

    open_receiver(p);
    bring_all(p);
    fault_file_arm(FAULT_ALL, 0, ERR_IO, FAULT_ONCE);
    assert_int_equal(snapshot_receiver_verify(p->receiver, &p->to->info), 0);
    (void)fault_file_disarm();
    for (const char *t = fault_file_trace(); *t != '\0'; t++) {
        if (strchr("twsndu", *t) != NULL && n < sizeof seen - 1) {
            seen[n++] = *t;
        }
    }
    assert_string_equal(seen, "snsnd"); /* two files, one directory */
}

/* Whatever fails and whenever, another attempt from the top gets there. */
static void fail_each(struct pair *p, enum fault_mode mode)
{
    unsigned n_struck = 0;

    for (unsigned long n = 1;; n++) {
        bool struck;
        int rv;

        snapshot_receiver_close(p->receiver);
        p->receiver = NULL;
        temp_dir_remove_path(p->to->dir);
        fixture_restart(p->to);
        fault_file_arm(FAULT_CHANGES, n, ERR_IO, mode);
        rv = snapshot_receiver_open(p->to->dir, &p->to->chain, &p->from->chain,
                                    &p->receiver, &p->to->info);
        while (rv == 0 && (rv = bring(p)) == 1) {
            rv = 0;
        }
        if (rv == 0) {
            rv = snapshot_receiver_verify(p->receiver, &p->to->info);
        }
        if (rv == 0) {
            rv = snapshot_chain_adopt(p->to->dir, &p->to->chain,
                                      &p->from->chain, NULL, 0, &p->to->info);
        }
        struck = fault_file_disarm();
        assert_true(struck || rv == 0);
        fixture_restart(p->to);
        assert_true(rv != 0 || p->to->chain.n_files == 2);
        open_receiver(p);
        bring_all(p);
        verify_and_adopt(p);
        if (!struck) {
            break;
        }
        n_struck++;
    }
    assert_true(n_struck > 15);
}

static void test_receiver_each_failing_operation_is_overcome(void **state)
{
    fail_each(*state, FAULT_ONCE);
}

static void test_receiver_crash_at_each_operation_is_overcome(void **state)
{
    fail_each(*state, FAULT_CRASH);
}

static void test_receiver_torn_write_at_each_is_overcome(void **state)
{
    fail_each(*state, FAULT_TORN);
}

static void test_receiver_chunk_read_refuses_what_is_not_there(void **state)
{
    struct pair *p = *state;
    struct snapshot_range range;
    uint8_t buf[CHUNK];

    open_receiver(p);
    assert_true(snapshot_receiver_next(p->receiver, CHUNK, &range));
    range.offset = p->from->chain.files[0].size;
    assert_int_equal(snapshot_chunk_read(p->from->dir, &p->from->chain, &range,
                                         buf, &p->from->info),
                     ERR_RANGE);
    range.offset = UINT64_MAX - 10;
    assert_int_equal(snapshot_chunk_read(p->from->dir, &p->from->chain, &range,
                                         buf, &p->from->info),
                     ERR_RANGE);
    range.offset = 0;
    assert_int_equal(
        file_unlink(fixture_path(p->from, p->from->chain.files[0].name)), 0);
    assert_int_equal(snapshot_chunk_read(p->from->dir, &p->from->chain, &range,
                                         buf, &p->from->info),
                     ERR_NOTFOUND);
    range.id[0] ^= 1;
    assert_int_equal(snapshot_chunk_read(p->from->dir, &p->from->chain, &range,
                                         buf, &p->from->info),
                     ERR_NOTFOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_receiver_whole_chain_arrives),
        TEST(test_receiver_only_missing_files_travel),
        TEST(test_receiver_resumes_after_each_chunk),
        TEST(test_receiver_resumes_between_verify_and_adopt),
        TEST(test_receiver_retry_asks_again_for_what_is_missing),
        TEST(test_receiver_chunk_out_of_place_is_ignored),
        TEST(test_receiver_damaged_chunk_is_found_and_fetched_again),
        TEST(test_receiver_manifest_that_lies_is_found),
        TEST(test_receiver_open_removes_what_is_not_wanted),
        TEST(test_receiver_open_other_cluster_is_refused),
        TEST(test_receiver_open_more_than_the_disk_has_is_no_space),
        TEST(test_receiver_no_space_chunk_can_be_put_again),
        TEST(test_receiver_failed_sync_begins_the_file_again),
        TEST(test_receiver_verify_syncs_before_it_names),
        TEST(test_receiver_each_failing_operation_is_overcome),
        TEST(test_receiver_crash_at_each_operation_is_overcome),
        TEST(test_receiver_torn_write_at_each_is_overcome),
        TEST(test_receiver_chunk_read_refuses_what_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
