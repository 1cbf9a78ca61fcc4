/* Term runs and frame references of the live log; see log_index.h. */
#include "raftlog/log_index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/err.h"

/* Make room for n more elements behind head + count: shift the live ones to
 * the front if at least half of the array is dead, else grow it. */
static int reserve(void **array, size_t size, size_t *head, size_t count,
                   size_t *capacity, size_t n)
{
    size_t want;
    void *grown;
    if (*head + count + n <= *capacity) {
        return 0;
    }
    if (*head > 0 && *head >= *capacity / 2 && count + n <= *capacity) {
        memmove(*array, (char *)*array + *head * size, count * size);
        *head = 0;
        return 0;
    }
    want = *capacity == 0 ? 16 : *capacity * 2;
    while (want < *head + count + n) {
        want *= 2;
    }
    grown = realloc(*array, want * size);
    if (grown == NULL) {
        return ERR_NOMEM;
    }
    *array = grown;
    *capacity = want;
    return 0;
}

int log_index_reserve(struct log_index *x, size_t n_runs, size_t n_frames)
{
    void *runs = x->runs;
    void *frames = x->frames;
    int rv = reserve(&runs, sizeof *x->runs, &x->runs_head, x->n_runs,
                     &x->runs_capacity, n_runs);
    x->runs = runs;
    if (rv == 0) {
        rv = reserve(&frames, sizeof *x->frames, &x->frames_head, x->n_frames,
                     &x->frames_capacity, n_frames);
        x->frames = frames;
    }
    return rv;
}

static struct term_run *run_at(const struct log_index *x, size_t i)
{
    return &x->runs[x->runs_head + i];
}

static struct frame_ref *frame_at(const struct log_index *x, size_t i)
{
    return &x->frames[x->frames_head + i];
}

int log_index_init(struct log_index *x, uint64_t base, uint64_t base_term)
{
    int rv;
    memset(x, 0, sizeof *x);
    rv = log_index_reserve(x, 1, 1);
    if (rv != 0) {
        log_index_close(x);
        return rv;
    }
    log_index_reset(x, base, base_term);
    return 0;
}

void log_index_close(struct log_index *x)
{
    free(x->runs);
    free(x->frames);
    memset(x, 0, sizeof *x);
}

void log_index_reset(struct log_index *x, uint64_t base, uint64_t base_term)
{
    x->base = base;
    x->last = base;
    x->runs_head = 0;
    x->n_runs = 1;
    x->runs[0].first = base;
    x->runs[0].term = base_term;
    x->frames_head = 0;
    x->n_frames = 0;
}

void log_index_push(struct log_index *x, uint64_t term)
{
    x->last++;
    if (run_at(x, x->n_runs - 1)->term != term) {
        struct term_run *run = run_at(x, x->n_runs);
        assert(x->runs_head + x->n_runs < x->runs_capacity);
        run->first = x->last;
        run->term = term;
        x->n_runs++;
    }
}

void log_index_push_frame(struct log_index *x, const struct frame_ref *frame)
{
    assert(x->frames_head + x->n_frames < x->frames_capacity);
    assert(frame->first <= frame->last && frame->last <= x->last);
    *frame_at(x, x->n_frames) = *frame;
    x->n_frames++;
}

void log_index_truncate(struct log_index *x, uint64_t from)
{
    assert(from > x->base && from <= x->last + 1);
    x->last = from - 1;
    while (run_at(x, x->n_runs - 1)->first > x->last) {
        x->n_runs--;
    }
    while (x->n_frames > 0 && frame_at(x, x->n_frames - 1)->first > x->last) {
        x->n_frames--;
    }
    if (x->n_frames > 0 && frame_at(x, x->n_frames - 1)->last > x->last) {
        frame_at(x, x->n_frames - 1)->last = x->last;
    }
}

void log_index_trim(struct log_index *x, uint64_t through)
{
    assert(through <= x->last);
    if (through <= x->base) {
        return;
    }
    x->base = through;
    while (x->n_runs > 1 && run_at(x, 1)->first <= through) {
        x->runs_head++;
        x->n_runs--;
    }
    run_at(x, 0)->first = through;
    while (x->n_frames > 0 && frame_at(x, 0)->last <= through) {
        x->frames_head++;
        x->n_frames--;
    }
    if (x->n_frames > 0 && frame_at(x, 0)->first <= through) {
        frame_at(x, 0)->first = through + 1;
    }
}

uint64_t log_index_term(const struct log_index *x, uint64_t index)
{
    size_t low = 0;
    size_t high = x->n_runs;
    if (index < x->base || index > x->last) {
        return 0;
    }
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (run_at(x, middle)->first <= index) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return run_at(x, low)->term;
}

const struct frame_ref *log_index_frame(const struct log_index *x,
                                        uint64_t index)
{
    size_t low = 0;
    size_t high = x->n_frames;
    if (high == 0 || index < frame_at(x, 0)->first) {
        return NULL;
    }
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (frame_at(x, middle)->first <= index) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return index <= frame_at(x, low)->last ? frame_at(x, low) : NULL;
}

const struct frame_ref *log_index_frames_end(const struct log_index *x)
{
    return x->frames + x->frames_head + x->n_frames;
}
