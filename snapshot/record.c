/* Encoding of records inside a block.
 *
 * A record is one line of text and then key and value as they are:
 *
 *     K <type> <expire_ms> <key size> <value size>\n<key>\n<value>\n
 *
 * K for a key, T for a tombstone, M for meta. Text costs a few bytes that lz4
 * takes back, and makes `lz4 -dc FILE | grep -a` a tool. Numbers have one
 * spelling only, so a record has one encoding. */
#include "snapshot/format.h"

#include <string.h>

static char kind_letter(enum snapshot_record_kind kind)
{
    switch (kind) {
    case SNAPSHOT_META:
        return 'M';
    case SNAPSHOT_KEY:
        return 'K';
    case SNAPSHOT_TOMBSTONE:
        return 'T';
    }
    return '?';
}

int snapshot_record_check(const struct snapshot_record *record, uint64_t from)
{
    if (kind_letter(record->kind) == '?') {
        return ERR_INVALID;
    }
    if (record->key.size > SNAPSHOT_KEY_MAX ||
        record->value.size > SNAPSHOT_VALUE_MAX) {
        return ERR_TOOBIG;
    }
    /* A base is the whole state: there is nothing for it to take away. */
    if (record->kind == SNAPSHOT_TOMBSTONE &&
        (from == 0 || record->type != 0 || record->expire_ms != 0 ||
         record->value.size != 0)) {
        return ERR_INVALID;
    }
    return 0;
}

static size_t number_size(uint64_t v)
{
    size_t n = 1;
    while (v >= 10) {
        v /= 10;
        n++;
    }
    return n;
}

size_t snapshot_record_size(const struct snapshot_record *record)
{
    return 1 + 4 + number_size(record->type) + number_size(record->expire_ms) +
           number_size(record->key.size) + number_size(record->value.size) + 1 +
           record->key.size + 1 + record->value.size + 1;
}

static void put_number(struct byte_writer *w, uint64_t v)
{
    size_t n = number_size(v);
    uint8_t *p;

    byte_put_u8(w, ' ');
    p = byte_put_room(w, n);
    while (p != NULL && n > 0) {
        p[--n] = (uint8_t)('0' + v % 10);
        v /= 10;
    }
}

void snapshot_record_encode(struct byte_writer *w,
                            const struct snapshot_record *record)
{
    byte_put_u8(w, (uint8_t)kind_letter(record->kind));
    put_number(w, record->type);
    put_number(w, record->expire_ms);
    put_number(w, record->key.size);
    put_number(w, record->value.size);
    byte_put_u8(w, '\n');
    byte_put(w, record->key.data, record->key.size);
    byte_put_u8(w, '\n');
    byte_put(w, record->value.data, record->value.size);
    byte_put_u8(w, '\n');
}

/* Digits up to `end`, at most max; anything else fails the reader. */
static uint64_t get_number(struct byte_reader *r, uint64_t max, uint8_t end)
{
    uint64_t v = 0;

    for (unsigned n = 0; n <= 20; n++) {
        uint8_t c = byte_get_u8(r);
        uint64_t digit = (uint64_t)c - '0';

        if (r->failed) {
            return 0;
        }
        if (c == end && n > 0) {
            return v;
        }
        if (c < '0' || c > '9' || (n == 1 && v == 0) ||
            v > (max - digit) / 10 || digit > max) {
            break;
        }
        v = v * 10 + digit;
    }
    r->failed = true;
    return 0;
}

static void get_byte(struct byte_reader *r, uint8_t expected)
{
    if (byte_get_u8(r) != expected) {
        r->failed = true;
    }
}

int snapshot_record_decode(struct byte_reader *r,
                           struct snapshot_record *record)
{
    struct snapshot_record out;

    switch (byte_get_u8(r)) {
    case 'M':
        out.kind = SNAPSHOT_META;
        break;
    case 'K':
        out.kind = SNAPSHOT_KEY;
        break;
    case 'T':
        out.kind = SNAPSHOT_TOMBSTONE;
        break;
    default:
        return ERR_CORRUPT;
    }
    get_byte(r, ' ');
    out.type = (uint8_t)get_number(r, UINT8_MAX, ' ');
    out.expire_ms = get_number(r, UINT64_MAX, ' ');
    out.key.size = get_number(r, SNAPSHOT_KEY_MAX, ' ');
    out.value.size = get_number(r, SNAPSHOT_VALUE_MAX, '\n');
    out.key.data = byte_get(r, out.key.size);
    get_byte(r, '\n');
    out.value.data = byte_get(r, out.value.size);
    get_byte(r, '\n');
    if (r->failed) {
        return ERR_CORRUPT;
    }
    *record = out;
    return 0;
}

uint8_t snapshot_record_rank(enum snapshot_record_kind kind)
{
    return kind == SNAPSHOT_META ? 1 : 2;
}

int snapshot_key_compare(uint8_t rank_a, struct bytes a, uint8_t rank_b,
                         struct bytes b)
{
    return rank_a != rank_b ? rank_a - rank_b : bytes_compare(a, b);
}
