/* Times of replies; see latency.h. */
#include "cli/latency.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/err.h"

enum { LATENCY_FIRST_US = 16 };

int latency_init(struct latency *l, size_t n_times_max)
{
    memset(l, 0, sizeof(*l));
    l->times_us = calloc(n_times_max, sizeof(*l->times_us));
    l->n_times_max = n_times_max;
    return l->times_us == NULL ? ERR_NOMEM : 0;
}

void latency_close(struct latency *l)
{
    free(l->times_us);
    memset(l, 0, sizeof(*l));
}

void latency_add(struct latency *l, int64_t us)
{
    if (l->n_times < l->n_times_max && us >= 0) {
        l->times_us[l->n_times++] = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
    }
}

static int by_time(const void *a, const void *b)
{
    const uint32_t *x = a;
    const uint32_t *y = b;
    return (*x > *y) - (*x < *y);
}

uint64_t latency_percentile(struct latency *l, double part)
{
    if (l->n_times == 0) {
        return 0;
    }
    qsort(l->times_us, l->n_times, sizeof(*l->times_us), by_time);
    /* Nearest rank: the first one with part of all at or below it. */
    double rank = part * (double)l->n_times;
    size_t at = (size_t)rank;
    at = (double)at < rank ? at + 1 : at;
    return l->times_us[at == 0 ? 0 : at - 1];
}

uint64_t latency_bound_us(size_t i)
{
    return (uint64_t)LATENCY_FIRST_US << i;
}

void latency_buckets(const struct latency *l, uint64_t out[LATENCY_BUCKETS])
{
    memset(out, 0, LATENCY_BUCKETS * sizeof(out[0]));
    for (size_t i = 0; i < l->n_times; i++) {
        size_t at = 0;
        while (at < LATENCY_BUCKETS - 1 &&
               l->times_us[i] >= latency_bound_us(at)) {
            at++;
        }
        out[at]++;
    }
}

char *latency_text(char *out, uint64_t us)
{
    if (us < 1000) {
        snprintf(out, LATENCY_TEXT_MAX, "%" PRIu64 " us", us);
    } else if (us < 1000 * 1000) {
        snprintf(out, LATENCY_TEXT_MAX, "%.1f ms", (double)us / 1000);
    } else {
        snprintf(out, LATENCY_TEXT_MAX, "%.2f s", (double)us / 1e6);
    }
    return out;
}
