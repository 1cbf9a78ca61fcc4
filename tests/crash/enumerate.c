/* The engine of crash enumeration, and its command line:
 *
 *     crash_enumerate [--whole N] [--random N] [--second N] [--seed N]
 *                     [--every N] [WORKLOAD...]
 *
 * --whole N   up to N unsynced units: all 2^N choices; more: the telling ones
 * --random N  and N random ones
 * --second N  crash the recovery of every N-th state too (0: of none); that of
 *             a killed process always
 * --every N   look at every N-th moment only
 *
 * Disk 1 is the workload's, disk 2 a state of it, disk 3 a state of disk 2 in
 * the middle of its recovery. A state that was recovered before under the same
 * promises is not recovered again: counted are distinct states. */
#include "tests/crash/enumerate.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "raftlog/block.h"
#include "raftlog/checksum.h"
#include "tests/crash/crash_states.h"

enum { TRACE_MAX = 24, TRACE_SIZE = 96, SECOND_WHOLE = 5, SECOND_RANDOM = 6 };

static const struct crash_workload *const workloads[] = {
    &crash_log,  &crash_snapshot, &crash_receive, &crash_install,
    &crash_home, &crash_persist,  &crash_streams};

static struct options {
    unsigned n_whole;
    unsigned n_random;
    unsigned second;
    unsigned every;
    uint64_t seed;
} options = {8, 24, 16, 1, 1};

struct set {
    uint64_t *slots; /* 0: empty */
    size_t n;
    size_t capacity;
};

static struct run {
    const struct crash_workload *workload;
    void *model;
    struct sim_clock clock;
    struct sim_disk disk;
    struct set seen;
    uint64_t n_moments; /* of the workload */
    uint64_t n_states;  /* recovered: of a workload's moment */
    uint64_t n_second;  /* recovered: of a recovery's moment */
    uint64_t n_choices; /* with those that were seen before */
    bool in_second;
    uint64_t second_moment;
    char trace[TRACE_MAX][TRACE_SIZE]; /* the last operations, a ring */
    uint64_t n_traced;
    const struct crash_choice *choice; /* for messages */
} run;

void crash_check_failed(const char *file, int line, const char *condition,
                        const char *words)
{
    uint64_t first = run.n_traced > TRACE_MAX ? run.n_traced - TRACE_MAX : 0;
    fprintf(stderr, "%s:%d: %s\n%s\n", file, line, condition,
            words != NULL ? words : "");
    fprintf(stderr,
            "workload %s, moment %llu%s%llu; units:", run.workload->name,
            (unsigned long long)run.n_moments,
            run.in_second ? ", moment of its recovery " : ", recovery ",
            (unsigned long long)run.second_moment);
    for (size_t i = 0; run.choice != NULL && i < run.choice->n_units; i++) {
        fprintf(stderr, "%d", run.choice->fates[i]);
    }
    fprintf(stderr, "\noperations before it:\n");
    for (uint64_t i = first; i < run.n_traced; i++) {
        fprintf(stderr, "  %s\n", run.trace[i % TRACE_MAX]);
    }
    exit(1);
}

/* ---- states that were seen ------------------------------------------------*/

static bool set_put(struct set *s, uint64_t value)
{
    uint64_t *at;
    value += value == 0;
    for (uint64_t i = value;; i++) {
        at = &s->slots[i & (s->capacity - 1)];
        if (*at == value) {
            return false;
        }
        if (*at == 0) {
            *at = value;
            s->n++;
            return true;
        }
    }
}

static bool set_add(struct set *s, uint64_t value)
{
    if (2 * s->n >= s->capacity) {
        struct set bigger = {NULL, 0,
                             s->capacity == 0 ? 1 << 14 : 2 * s->capacity};
        bigger.slots = calloc(bigger.capacity, sizeof *bigger.slots);
        assert(bigger.slots != NULL);
        for (size_t i = 0; i < s->capacity; i++) {
            if (s->slots[i] != 0) {
                (void)set_put(&bigger, s->slots[i]);
            }
        }
        free(s->slots);
        *s = bigger;
    }
    return set_put(s, value);
}

/* ---- recovering a state ---------------------------------------------------*/

/* A disk on which a recovery runs, and what its own crash would leave. */
struct stage {
    struct sim_disk disk;
    struct sim_clock clock;
    const void *model;
    bool crash_again;
    uint64_t n_moments;
};

static struct stage *current; /* of the recovery that runs */

void crash_promise(const void *after)
{
    current->model = after;
}

static void on_misuse(void *ctx, const char *text)
{
    (void)ctx;
    crash_check(false, text);
}

static void note(enum sim_disk_operation operation, const char *path,
                 const char *when)
{
    static const char *const names[] = {
        "create", "write",   "sync",   "truncate", "fill", "rename",
        "unlink", "syncdir", "submit", "complete", "read"};
    snprintf(run.trace[run.n_traced++ % TRACE_MAX], TRACE_SIZE, "%s %.60s%s",
             names[__builtin_ctz((unsigned)operation)], path, when);
}

static void crash_recovery(struct stage *stage, const void *model);

static void on_stage_operation(void *ctx, enum sim_disk_operation operation,
                               const char *path, bool after)
{
    struct stage *stage = ctx;
    if (operation == SIM_DISK_READ || (after && operation != SIM_DISK_SUBMIT)) {
        return;
    }
    note(operation, path, "");
    crash_recovery(stage, stage->model);
}

static void on_stage_half(void *ctx)
{
    struct stage *stage = ctx;
    crash_recovery(stage, stage->model);
}

static struct stage *stage_new(unsigned id, const void *model, bool crash_again)
{
    struct stage *stage = calloc(1, sizeof *stage);
    struct sim_disk_hooks hooks = {.ctx = stage, .misuse = on_misuse};
    struct sim_random random;
    assert(stage != NULL);
    if (crash_again) {
        hooks.operation = on_stage_operation;
        hooks.half_done = on_stage_half;
    }
    stage->model = model;
    stage->crash_again = crash_again;
    sim_clock_init(&stage->clock);
    sim_random_init(&random, options.seed);
    sim_disk_init(&stage->disk, id, &random, &stage->clock, &hooks);
    stage->disk.alignment = 4096;
    sim_disk_select(&stage->disk);
    return stage;
}

static void stage_free(struct stage *stage)
{
    sim_disk_close(&stage->disk);
    sim_clock_close(&stage->clock);
    free(stage);
}

static uint64_t promises(const void *model)
{
    return checksum(model, run.workload->model_size, 77);
}

/* Every state of a recovery that is under way, or over (then `model` is what it
 * told). */
static void crash_recovery(struct stage *from, const void *model)
{
    struct crash_states *s = crash_states_new(&from->disk);
    const struct crash_choice *before = run.choice;
    struct stage *stage;
    void *after = calloc(1, run.workload->model_size);
    struct crash_choice c;
    assert(after != NULL);
    from->n_moments++;
    crash_choice_init(&c, s, SECOND_WHOLE, SECOND_RANDOM,
                      options.seed + from->n_moments);
    run.in_second = true;
    run.second_moment = from->n_moments;
    run.choice = &c;
    while (crash_choice_next(&c)) {
        crash_states_cut(s, c.fates);
        run.n_choices++;
        if (!set_add(&run.seen, crash_states_hash(s) ^ promises(model))) {
            continue;
        }
        run.n_second++;
        stage = stage_new(3, model, false);
        crash_states_install(s, &stage->disk);
        current = stage;
        run.workload->recover(model, "/n3", &stage->clock, after, true);
        stage_free(stage);
    }
    current = from;
    run.in_second = false;
    run.choice = before;
    crash_choice_close(&c);
    crash_states_free(s);
    free(after);
    sim_disk_select(&from->disk);
}

/* Recover a state of the workload's disk; NULL: the process was killed. */
static void recover_state(struct crash_states *s, const struct crash_choice *c)
{
    bool again =
        c == NULL || (options.second > 0 && run.n_states % options.second == 0);
    struct stage *stage = stage_new(2, run.model, again);
    void *after = calloc(1, run.workload->model_size);
    assert(after != NULL);
    run.n_states++;
    run.choice = c;
    run.second_moment = 0;
    if (c == NULL) {
        crash_states_install_killed(s, &stage->disk);
    } else {
        crash_states_install(s, &stage->disk);
    }
    current = stage;
    /* A killed process is the case in which a recovery finds what is not
     * durable: what it builds on that must stand. */
    run.workload->recover(run.model, "/n2", &stage->clock, after,
                          !again || c == NULL);
    if (again) {
        /* What a recovery told is a promise: a second one finds the same. */
        crash_recovery(stage, after);
    }
    free(after);
    stage_free(stage);
    run.choice = NULL;
}

/* ---- the workload's moments -----------------------------------------------*/

/* What is not durable yet, as a number: the same again needs no second look. */
static uint64_t pending_hash(struct crash_states *s)
{
    size_t n = crash_states_n_units(s);
    uint8_t *fates = calloc(1, n + 1);
    uint64_t sum = promises(run.model) + n;
    assert(fates != NULL);
    crash_states_cut(s, fates);
    sum = checksum(&sum, sizeof sum, crash_states_hash(s));
    memset(fates, CRASH_KEPT, n);
    crash_states_cut(s, fates);
    sum = checksum(&sum, sizeof sum, crash_states_hash(s));
    free(fates);
    return sum;
}

static void look(void)
{
    struct crash_states *s;
    struct crash_choice c;
    run.n_moments++;
    if (run.n_moments % options.every != 0) {
        return;
    }
    s = crash_states_new(&run.disk);
    if (set_add(&run.seen, pending_hash(s))) {
        recover_state(s, NULL);
        crash_choice_init(&c, s, options.n_whole, options.n_random,
                          options.seed + run.n_moments);
        while (crash_choice_next(&c)) {
            crash_states_cut(s, c.fates);
            run.n_choices++;
            if (set_add(&run.seen,
                        crash_states_hash(s) ^ promises(run.model))) {
                recover_state(s, &c);
            }
        }
        crash_choice_close(&c);
    }
    crash_states_free(s);
    sim_disk_select(&run.disk);
}

static void on_operation(void *ctx, enum sim_disk_operation operation,
                         const char *path, bool after)
{
    (void)ctx;
    if (operation == SIM_DISK_READ || (after && operation != SIM_DISK_SUBMIT)) {
        return;
    }
    note(operation, path, after ? " (handed over)" : "");
    look();
}

static void on_half_done(void *ctx)
{
    (void)ctx;
    look();
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void enumerate(const struct crash_workload *workload)
{
    struct sim_disk_hooks hooks = {.operation = on_operation,
                                   .half_done = on_half_done,
                                   .misuse = on_misuse};
    struct sim_random random;
    double start = now_s();
    memset(&run, 0, sizeof run);
    run.workload = workload;
    run.model = calloc(1, workload->model_size);
    assert(run.model != NULL);
    sim_clock_init(&run.clock);
    sim_random_init(&random, options.seed);
    sim_disk_init(&run.disk, 1, &random, &run.clock, &hooks);
    run.disk.alignment = 4096;
    sim_disk_select(&run.disk);
    workload->play(run.model, &run.clock);
    look(); /* the end */
    sim_disk_close(&run.disk);
    sim_clock_close(&run.clock);
    free(run.model);
    free(run.seen.slots);
    printf("%-10s %6llu moments, %8llu states and %8llu of recoveries "
           "recovered (%llu choices), all sound, %.1f s\n",
           workload->name, (unsigned long long)run.n_moments,
           (unsigned long long)run.n_states, (unsigned long long)run.n_second,
           (unsigned long long)run.n_choices, now_s() - start);
    fflush(stdout);
    if (block_bytes_in_use() != 0) {
        crash_check(false, "blocks of entries were leaked");
    }
    /* A run that did too little is void. */
    if (run.n_moments < 10 || run.n_states < run.n_moments / options.every) {
        crash_check(false, "too little was done");
    }
}

/* ---- command line ---------------------------------------------------------*/

static bool number_option(const char *name, const char *value, unsigned *to,
                          unsigned max)
{
    unsigned long v = strtoul(value, NULL, 10);
    if (v > max) {
        fprintf(stderr, "%s: at most %u\n", name, max);
        exit(2);
    }
    *to = (unsigned)v;
    return true;
}

static bool take_option(const char *name, const char *value)
{
    unsigned seed = 0;
    if (strcmp(name, "--whole") == 0) {
        return number_option(name, value, &options.n_whole, 20);
    }
    if (strcmp(name, "--random") == 0) {
        return number_option(name, value, &options.n_random, 1000000);
    }
    if (strcmp(name, "--second") == 0) {
        return number_option(name, value, &options.second, 1000000);
    }
    if (strcmp(name, "--every") == 0) {
        return number_option(name, value, &options.every, 1000000) &&
               options.every > 0;
    }
    if (strcmp(name, "--seed") == 0) {
        (void)number_option(name, value, &seed, 1u << 31);
        options.seed = seed;
        return true;
    }
    return false;
}

static const struct crash_workload *find(const char *name)
{
    for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++) {
        if (strcmp(workloads[i]->name, name) == 0) {
            return workloads[i];
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    int first = 1;
    while (first + 1 < argc && strncmp(argv[first], "--", 2) == 0 &&
           take_option(argv[first], argv[first + 1])) {
        first += 2;
    }
    for (int i = first; i < argc; i++) {
        if (find(argv[i]) == NULL) {
            fprintf(stderr,
                    "%s: neither an option nor a workload; see the head of "
                    "tests/crash/enumerate.c\n",
                    argv[i]);
            return 2;
        }
        enumerate(find(argv[i]));
    }
    for (size_t i = 0;
         first == argc && i < sizeof workloads / sizeof workloads[0]; i++) {
        enumerate(workloads[i]);
    }
    return 0;
}
