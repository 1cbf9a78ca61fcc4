/* CRC16 by half bytes: a table of 16 numbers is in the cache at once. */
#include "node/key_slot.h"

#include <stddef.h>
#include <string.h>

/* x^16 + x^12 + x^5 + 1; the remainder of each half byte. */
static const uint16_t remainders[16] = {
    0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
    0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};

static uint16_t crc16(const uint8_t *data, size_t size)
{
    unsigned crc = 0;

    for (size_t i = 0; i < size; i++) {
        crc = crc << 4 ^ remainders[(crc >> 12 ^ data[i] >> 4) & 15];
        crc &= 0xffff;
        crc = crc << 4 ^ remainders[(crc >> 12 ^ data[i]) & 15];
        crc &= 0xffff;
    }
    return (uint16_t)crc;
}

unsigned key_slot(struct bytes key)
{
    const uint8_t *open = key.size > 0 ? memchr(key.data, '{', key.size) : NULL;
    const uint8_t *close = NULL;

    if (open != NULL) {
        close = memchr(open + 1, '}', key.size - (size_t)(open + 1 - key.data));
    }
    if (close != NULL && close > open + 1) {
        return crc16(open + 1, (size_t)(close - open - 1)) % KEY_SLOTS;
    }
    return crc16(key.data, key.size) % KEY_SLOTS;
}
