/* Counts of measured values in log-linear buckets of fixed memory.
 *
 * A value below 32 has a bucket of its own; each further power of two is
 * divided into 32 buckets, so a quantile is at most 1/32 (3.1%) above the
 * value it stands for, over all of uint64_t, in 15 KiB. Recording is a count of
 * leading zeroes and an addition: a few nanoseconds, no memory is taken, and
 * nothing can fail. The unit is the owner's (nanoseconds, bytes, entries).
 *
 * Thread: one at a time; owners with several threads keep one histogram for
 * each and merge, or hold their lock. A histogram of zero bytes is empty.
 * Source: the bucket layout of Gil Tene's HdrHistogram. */
#ifndef RAFTLOG_HISTOGRAM_H
#define RAFTLOG_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_SUB_BITS = 5,
    HISTOGRAM_BUCKETS = (64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS
};

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t n;
    uint64_t sum; /* wraps after 2^64: 584 years of nanoseconds */
    uint64_t min; /* 0 while n is 0 */
    uint64_t max;
};

/* The bucket of a value, and the largest value that falls into a bucket. */
static inline unsigned histogram_bucket(uint64_t value)
{
    unsigned shift;
    if (value < (UINT64_C(1) << HISTOGRAM_SUB_BITS)) {
        return (unsigned)value;
    }
    shift = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    return (shift << HISTOGRAM_SUB_BITS) + (unsigned)(value >> shift);
}
uint64_t histogram_bucket_top(unsigned bucket);

/* Count the value n times. */
static inline void histogram_record_n(struct histogram *h, uint64_t value,
                                      uint64_t n)
{
    if (n == 0) {
        return;
    }
    h->counts[histogram_bucket(value)] += n;
    if (h->n == 0 || value < h->min) {
        h->min = value;
    }
    if (value > h->max) {
        h->max = value;
    }
    h->n += n;
    h->sum += value * n;
}

static inline void histogram_record(struct histogram *h, uint64_t value)
{
    histogram_record_n(h, value, 1);
}

void histogram_reset(struct histogram *h);
/* Add what `from` has counted. */
void histogram_merge(struct histogram *h, const struct histogram *from);
/* The value that a share q (0..1) of all values does not exceed, rounded up to
 * the top of its bucket but never above the maximum; 0 when empty. */
uint64_t histogram_quantile(const struct histogram *h, double q);
/* Mean of all values; 0 when empty. */
double histogram_mean(const struct histogram *h);

#endif
