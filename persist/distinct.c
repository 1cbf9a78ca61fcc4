/* HyperLogLog; see distinct.h. */
#include "persist/distinct.h"

#include <string.h>

#include "raftlog/checksum.h"

void distinct_clear(struct distinct *d)
{
    memset(d, 0, sizeof *d);
}

void distinct_add(struct distinct *d, struct bytes key)
{
    uint64_t hash = checksum(key.data, key.size, 0);
    unsigned i = (unsigned)(hash >> (64 - DISTINCT_BITS));
    /* The bit behind the end keeps the count of zeroes within the rest. */
    uint64_t rest =
        hash << DISTINCT_BITS | (UINT64_C(1) << (DISTINCT_BITS - 1));
    uint8_t rank = (uint8_t)(__builtin_clzll(rest) + 1);

    if (rank > d->registers[i]) {
        d->registers[i] = rank;
    }
}

void distinct_merge(struct distinct *d, const struct distinct *from)
{
    for (unsigned i = 0; i < DISTINCT_REGISTERS; i++) {
        if (from->registers[i] > d->registers[i]) {
            d->registers[i] = from->registers[i];
        }
    }
}

/* Natural logarithm of m / v for a whole v in 1..m: by halves of the series
 * for (1 + z) / (1 - z), so that no library of mathematics is needed. */
static double log_ratio(double m, double v)
{
    static const double ln2 = 0.693147180559945309417;
    double x = m / v;
    double sum = 0;
    double z;
    double power;

    while (x > 1.5) {
        x /= 2;
        sum += ln2;
    }
    z = (x - 1) / (x + 1);
    power = z;
    for (int k = 1; k < 20; k += 2) {
        sum += 2 * power / k;
        power *= z * z;
    }
    return sum;
}

double distinct_count(const struct distinct *d)
{
    static const double alpha = 0.7213 / (1 + 1.079 / DISTINCT_REGISTERS);
    static const double m = DISTINCT_REGISTERS;
    double sum = 0;
    unsigned n_zero = 0;
    double estimate;

    for (unsigned i = 0; i < DISTINCT_REGISTERS; i++) {
        sum += 1.0 / (double)(UINT64_C(1) << d->registers[i]);
        n_zero += d->registers[i] == 0;
    }
    estimate = alpha * m * m / sum;
    if (estimate <= 2.5 * m && n_zero > 0) {
        return m * log_ratio(m, n_zero);
    }
    return estimate;
}
