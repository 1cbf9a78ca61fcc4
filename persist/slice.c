/* From a slice of what has gathered to disk: the log is handed what files that
 * exist can hold, piece by piece, and each piece is waited for.
 *
 * An entry that is too large to count on the room of a prepared file is handed
 * over alone, when the disk has room for a file of its own.
 *
 * Failure: what the log was given can not be taken back. So nothing is given to
 * it that finds no room; and if a piece is not begun to be written for some
 * seconds all the same (no memory, or somebody else took the room for the file
 * of a large entry), the handle ends. */
#include "persist/internal.h"

enum {
    NS_PER_MS = 1000000,
    WAIT_WRITE_MS = 100,
    WAIT_SPACE_MS = 2,
    STUCK_MS = 5000,
    LARGE_SPARE_BYTES = 1024 * 1024
};

bool slice_is_full(const struct wal_private *w)
{
    struct raftlog_stats stats;

    raftlog_get_stats(w->log, &stats);
    return stats.no_space;
}

static bool is_settled(struct wal_private *w)
{
    return commit_failure(w, NULL) != 0 ||
           raftlog_durable_index(w->log) == raftlog_last_index(w->log);
}

/* What the log was given can not be taken back, so the handle ends. */
static void fail_stuck(struct wal_private *w, bool no_space)
{
    struct err_info info;

    (void)err_set(&info, no_space ? ERR_NOSPACE : ERR_NOMEM,
                  "nothing could be written in %s for %d s: %s; make room, "
                  "then open the directory again",
                  w->dir, STUCK_MS / 1000,
                  no_space ? "the disk is full" : "there is no memory");
    service_fail(w, &info);
}

/* log_lock is held: wait until everything in the log is durable. There is room
 * for it, so a write that is not begun lacks memory, or a file for a large
 * entry; the log tries again with each tick. What a disk takes its time for,
 * writes and files being filled, is waited for. */
static void wait_durable(struct wal_private *w)
{
    uint64_t seen = wal_now_ns(w);
    uint64_t idle_ns = 0;

    while (!is_settled(w)) {
        struct raftlog_stats stats;
        uint64_t before = seen;

        service_wait_log(w, WAIT_WRITE_MS);
        seen = wal_now_ns(w);
        raftlog_get_stats(w->log, &stats);
        if (is_settled(w) || stats.oldest_write_ms > 0) {
            idle_ns = 0;
            continue;
        }
        idle_ns += w->n_jobs_open == 0 ? seen - before : 0;
        if (idle_ns > (uint64_t)STUCK_MS * NS_PER_MS) {
            fail_stuck(w, stats.no_space);
        }
        raftlog_tick(w->log);
    }
}

/* How many of n entries, all up to the first large one, the files that exist
 * can hold. */
static size_t fitting(const struct wal_private *w,
                      const struct raftlog_entry *entries, size_t n)
{
    size_t size_max = 0;
    uint64_t room = 0;
    uint64_t used = 0;
    size_t fit = 0;

    while (fit < n && raftlog_fits_segment(w->log, entries[fit].size)) {
        if (fit == 0 || entries[fit].size > size_max) {
            size_max = entries[fit].size;
            room = raftlog_room(w->log, size_max);
        }
        used += entries[fit].size + (uint64_t)RAFTLOG_ENTRY_OVERHEAD;
        if (used > room) {
            break;
        }
        fit++;
    }
    return fit;
}

/* A large entry gets a file of its own, which the log makes when it has been
 * given the entry. */
static int check_large(struct wal_private *w, size_t size)
{
    uint64_t free_bytes = 0;
    int rv = file_free_bytes(w->dir, &free_bytes);

    if (rv == 0 && free_bytes < (uint64_t)size + LARGE_SPARE_BYTES) {
        rv = ERR_NOSPACE;
    }
    return rv;
}

/* log_lock is held: wait until some of the n entries fit. *fit is how many. */
static int wait_room(struct wal_private *w, const struct raftlog_entry *entries,
                     size_t n, size_t *fit)
{
    for (;;) {
        if (commit_failure(w, NULL) != 0) {
            return commit_failure(w, NULL);
        }
        if (!raftlog_fits_segment(w->log, entries[0].size)) {
            *fit = 1;
            return check_large(w, entries[0].size);
        }
        *fit = fitting(w, entries, n);
        if (*fit > 0) {
            return 0;
        }
        if (slice_is_full(w)) {
            return ERR_NOSPACE;
        }
        /* A file is being made or switched to. */
        raftlog_tick(w->log);
        service_wait_log(w, WAIT_SPACE_MS);
    }
}

int slice_write(struct wal_private *w, size_t n, size_t *n_done, bool *full)
{
    int rv = 0;

    *n_done = 0;
    pthread_mutex_lock(&w->log_lock);
    while (rv == 0 && *n_done < n) {
        const struct raftlog_entry *at = w->slice + *n_done;
        size_t fit = 0;

        rv = wait_room(w, at, n - *n_done, &fit);
        if (rv == 0) {
            rv =
                raftlog_append(w->log, raftlog_last_index(w->log) + 1, at, fit);
        }
        if (rv == 0) {
            wait_durable(w);
            rv = commit_failure(w, NULL);
        }
        if (rv == 0) {
            *n_done += fit;
            __atomic_store_n(&w->durable_seq, raftlog_durable_index(w->log),
                             __ATOMIC_RELEASE);
        }
    }
    *full = slice_is_full(w);
    pthread_mutex_unlock(&w->log_lock);
    return rv;
}
