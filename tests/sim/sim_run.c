/* sim_run: run seeds. One seed gives one history, byte for byte. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "raftlog/block.h"
#include "tests/sim/sim_cover.h"
#include "tests/sim/sim_plan.h"

struct arguments {
    bool one_seed;
    uint64_t seed;
    uint64_t n_runs;
    bool trace;
    bool keep_going;
    bool no_cover;
    bool twice;
    const char *history;
};

/* What the crash handler tells. */
static volatile uint64_t running_seed;

static void on_crash(int number)
{
    char line[128];
    int n = snprintf(line, sizeof line,
                     "\nsignal %d in seed %" PRIu64
                     "\nreplay: sim_run --seed %" PRIu64 " --trace\n",
                     number, running_seed, running_seed);

    if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0) {
        _exit(3);
    }
    signal(number, SIG_DFL);
    raise(number);
}

static int usage(FILE *out, int code)
{
    fputs("usage: sim_run --seed N [--trace] [--history FILE]\n"
          "       sim_run --runs N [--from-seed S] [--keep-going] "
          "[--no-cover]\n"
          "Simulates clusters of real nodes. A seed replays exactly.\n"
          "  --trace       print every event of the run\n"
          "  --history F   write what the clients saw as JSON lines\n"
          "  --keep-going  go on after a failure\n"
          "  --no-cover    do not ask for every coverage point\n"
          "  --twice       run each seed twice and compare every byte\n",
          out);
    return code;
}

static bool parse_number(const char *text, uint64_t *out)
{
    char *end;

    errno = 0;
    *out = text != NULL ? strtoull(text, &end, 10) : 0;
    return text != NULL && *text != '\0' && *end == '\0' && errno == 0;
}

static bool parse(int argc, char **argv, struct arguments *a)
{
    a->seed = 1;
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--trace") == 0) {
            a->trace = true;
        } else if (strcmp(argv[i], "--keep-going") == 0) {
            a->keep_going = true;
        } else if (strcmp(argv[i], "--no-cover") == 0) {
            a->no_cover = true;
        } else if (strcmp(argv[i], "--twice") == 0) {
            a->twice = true;
        } else if (strcmp(argv[i], "--seed") == 0) {
            a->one_seed = true;
            if (!parse_number(next, &a->seed)) {
                return false;
            }
            i++;
        } else if (strcmp(argv[i], "--from-seed") == 0) {
            if (!parse_number(next, &a->seed)) {
                return false;
            }
            i++;
        } else if (strcmp(argv[i], "--runs") == 0) {
            if (!parse_number(next, &a->n_runs)) {
                return false;
            }
            i++;
        } else if (strcmp(argv[i], "--history") == 0 && next != NULL) {
            a->history = next;
            i++;
        } else {
            return false;
        }
    }
    return a->one_seed || a->n_runs > 0;
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print_totals(const struct sim_totals *t, double started)
{
    double took = seconds() - started;

    printf("%" PRIu64 " runs, %.2f simulated hours, %" PRIu64
           " events, %" PRIu64 " crashes, %" PRIu64 " faults, %" PRIu64
           " partitions, %" PRIu64 " elections, %" PRIu64
           " snapshots installed, %" PRIu64 " commits, %" PRIu64
           " operations (%" PRIu64
           " of unknown outcome); %.1f s, %.1f runs/s\n",
           t->n_runs, (double)t->simulated_us / 3.6e9, t->n_events,
           t->n_crashes, t->n_faults, t->n_partitions, t->n_elections,
           sim_cover_counts[SIM_COVER_snapshot_installed], t->n_commits,
           t->n_operations, t->n_unknown, took, (double)t->n_runs / took);
    fflush(stdout);
}

/* The trace of one seed in memory, given. */
static char *trace_of(uint64_t seed, struct sim_totals *totals, size_t *size)
{
    char failure[SIM_FAILURE_MAX];
    char *text = NULL;
    FILE *out = open_memstream(&text, size);

    if (out != NULL) {
        (void)sim_plan_run(seed, out, NULL, totals, failure);
        fclose(out);
    }
    return text;
}

/* One seed gives one history: the whole point of the simulator. */
static bool same_twice(uint64_t seed, struct sim_totals *totals)
{
    size_t sizes[2];
    char *texts[2];
    bool same;

    running_seed = seed;
    for (unsigned i = 0; i < 2; i++) {
        texts[i] = trace_of(seed, totals, &sizes[i]);
    }
    same = texts[0] != NULL && texts[1] != NULL && sizes[0] > 1000 &&
           sizes[0] == sizes[1] && memcmp(texts[0], texts[1], sizes[0]) == 0;
    free(texts[0]);
    free(texts[1]);
    if (!same) {
        fprintf(stderr, "seed %" PRIu64 " FAILED: two runs differ\n", seed);
    }
    return same;
}

static bool run_seed(uint64_t seed, const struct arguments *a,
                     struct sim_totals *totals)
{
    char failure[SIM_FAILURE_MAX];
    FILE *history = a->history != NULL ? fopen(a->history, "w") : NULL;
    size_t blocks = block_bytes_in_use();
    bool fine;

    running_seed = seed;
    fine =
        sim_plan_run(seed, a->trace ? stdout : NULL, history, totals, failure);
    if (history != NULL) {
        fclose(history);
    }
    if (fine && block_bytes_in_use() != blocks) {
        snprintf(failure, sizeof failure, "%zu bytes of blocks are leaked",
                 block_bytes_in_use() - blocks);
        fine = false;
    }
    if (!fine) {
        fflush(stdout);
        fprintf(stderr,
                "seed %" PRIu64 " FAILED: %s\n"
                "replay: sim_run --seed %" PRIu64 " --trace\n",
                seed, failure, seed);
    }
    return fine;
}

int main(int argc, char **argv)
{
    struct arguments a = {0};
    struct sim_totals totals = {0};
    double started = seconds();
    double told = started;
    uint64_t n_failed = 0;
    uint64_t n;

    if (!parse(argc, argv, &a)) {
        return usage(stderr, 2);
    }
    signal(SIGABRT, on_crash);
    signal(SIGSEGV, on_crash);
    signal(SIGFPE, on_crash);
    n = a.one_seed ? 1 : a.n_runs;
    for (uint64_t i = 0; i < n; i++) {
        bool fine = a.twice ? same_twice(a.seed + i, &totals)
                            : run_seed(a.seed + i, &a, &totals);
        if (!fine) {
            n_failed++;
            if (!a.keep_going) {
                break;
            }
        }
        if (seconds() - told > 10) {
            told = seconds();
            print_totals(&totals, started);
        }
    }
    print_totals(&totals, started);
    if (!a.one_seed && !a.twice) {
        unsigned n_missed =
            sim_cover_report(stdout, a.no_cover ? stdout : stderr);
        n_failed += n_missed > 0 && !a.no_cover;
    }
    return n_failed > 0;
}
