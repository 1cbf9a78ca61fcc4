/* Times of replies: a histogram with bounds that double, and percentiles of
 * the exact times. Pure. */
#ifndef CLI_LATENCY_H
#define CLI_LATENCY_H

#include <stddef.h>
#include <stdint.h>

enum { LATENCY_BUCKETS = 24, LATENCY_TEXT_MAX = 32 };

struct latency {
    uint32_t *times_us; /* of all replies so far */
    size_t n_times;
    size_t n_times_max;
};

/* Errors: ERR_NOMEM. */
int latency_init(struct latency *l, size_t n_times_max);
void latency_close(struct latency *l);
/* What does not fit is left out. */
void latency_add(struct latency *l, int64_t us);

/* The smallest time that part (0..1) of all times do not exceed; 0: none.
 * Sorts the times. */
uint64_t latency_percentile(struct latency *l, double part);

/* Bucket i holds what is below 2^i * 16 us (and not in one before), the last
 * one all the rest. */
uint64_t latency_bound_us(size_t i);
void latency_buckets(const struct latency *l, uint64_t out[LATENCY_BUCKETS]);

/* "85 us", "1.4 ms", "2.10 s"; out has LATENCY_TEXT_MAX bytes. */
char *latency_text(char *out, uint64_t us);

#endif
