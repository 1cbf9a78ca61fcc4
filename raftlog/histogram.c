/* Questions to a histogram; recording is inline in histogram.h.
 *
 * Pure: no I/O, no clock. What is measured, when, and under which lock is left
 * to the owner. */
#include "raftlog/histogram.h"

#include <assert.h>
#include <string.h>

uint64_t histogram_bucket_top(unsigned bucket)
{
    unsigned shift;
    uint64_t low;

    assert(bucket < HISTOGRAM_BUCKETS);
    if (bucket < 2u << HISTOGRAM_SUB_BITS) {
        return bucket;
    }
    shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
    low = (uint64_t)(bucket - (shift << HISTOGRAM_SUB_BITS)) << shift;
    return low + ((UINT64_C(1) << shift) - 1);
}

void histogram_reset(struct histogram *h)
{
    memset(h, 0, sizeof *h);
}

void histogram_merge(struct histogram *h, const struct histogram *from)
{
    if (from->n == 0) {
        return;
    }
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        h->counts[i] += from->counts[i];
    }
    if (h->n == 0 || from->min < h->min) {
        h->min = from->min;
    }
    if (from->max > h->max) {
        h->max = from->max;
    }
    h->n += from->n;
    h->sum += from->sum;
}

/* How many values, counted from the smallest, the share q is: at least one. */
static uint64_t rank_of(const struct histogram *h, double q)
{
    double exact;
    uint64_t rank;

    if (!(q > 0)) {
        return 1;
    }
    if (q >= 1) {
        return h->n;
    }
    exact = q * (double)h->n;
    rank = (uint64_t)exact;
    if ((double)rank < exact) {
        rank++;
    }
    return rank == 0 ? 1 : rank > h->n ? h->n : rank;
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
    uint64_t left;

    if (h->n == 0) {
        return 0;
    }
    left = rank_of(h, q);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (h->counts[i] >= left) {
            uint64_t top = histogram_bucket_top(i);
            return top < h->max ? top : h->max;
        }
        left -= h->counts[i];
    }
    return h->max;
}

double histogram_mean(const struct histogram *h)
{
    return h->n == 0 ? 0 : (double)h->sum / (double)h->n;
}
