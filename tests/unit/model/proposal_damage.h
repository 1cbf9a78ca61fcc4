/* What is done to the bytes of a proposal to see that decoding refuses them.
 * They are changed in memory of their own, so that a sanitizer sees a read
 * beyond their end. */
#ifndef TESTS_UNIT_MODEL_PROPOSAL_DAMAGE_H
#define TESTS_UNIT_MODEL_PROPOSAL_DAMAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/proposal.h"
#include "raftlog/err.h"

/* What decoding says of bytes that are not sound; takes them. */
static inline int decode_refused(uint8_t *bytes, size_t size)
{
    struct proposal p;
    int rc = proposal_decode(bytes, size, &p);

    assert_int_not_equal(rc, 0);
    free(bytes);
    return rc;
}

/* The first bytes of a proposal, given; zeros behind them. */
static inline uint8_t *copy_of(const uint8_t *bytes, size_t size, size_t room)
{
    uint8_t *copy = calloc(1, room > 0 ? room : 1);

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    return copy;
}

/* No beginning of it may be taken for the whole, nor may it with a byte more.
 */
static inline void assert_only_whole(const uint8_t *bytes, size_t size)
{
    for (size_t n = 0; n < size; n++) {
        assert_int_equal(decode_refused(copy_of(bytes, n, n), n), ERR_CORRUPT);
    }
    assert_int_equal(decode_refused(copy_of(bytes, size, size + 1), size + 1),
                     ERR_CORRUPT);
}

/* What decoding says with another byte at `at`. */
static inline int decode_changed(const uint8_t *bytes, size_t size, size_t at,
                                 uint8_t to)
{
    uint8_t *copy = copy_of(bytes, size, size);

    copy[at] = to;
    return decode_refused(copy, size);
}

/* Copy the bytes and change n of them by rand(). True: they are sound all the
 * same, and decoded; otherwise they were refused with one of the two errors. */
static inline bool decode_damaged(const uint8_t *bytes, size_t size,
                                  unsigned n_changes, uint8_t *copy,
                                  struct proposal *p)
{
    int rc;

    memcpy(copy, bytes, size);
    while (n_changes-- > 0) {
        copy[(unsigned)rand() % size] = (uint8_t)rand();
    }
    rc = proposal_decode(copy, size, p);
    assert_true(rc == 0 || rc == ERR_CORRUPT || rc == ERR_VERSION);
    return rc == 0;
}

#endif
