/* Encoding, decoding and judging of hello and welcome. */
#include "node/handshake.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "raftlog/byte.h"
#include "raftlog/checksum.h"

enum { MAGIC_SIZE = 8 };
static const char hello_magic[MAGIC_SIZE + 1] = "CKVhello";
static const char welcome_magic[MAGIC_SIZE + 1] = "CKVwelco";

const char *handshake_reason_name(unsigned reason)
{
    switch (reason) {
#define HANDSHAKE_NAME(name, number, text)                                     \
    case number:                                                               \
        return text;
        HANDSHAKE_REASONS(HANDSHAKE_NAME)
#undef HANDSHAKE_NAME
    default:
        return "other";
    }
}

static void put_text(struct byte_writer *w, const char *text)
{
    size_t size = strlen(text);

    byte_put_u8(w, (uint8_t)size);
    byte_put(w, text, size);
}

/* out holds size_max + 1 bytes. A text is printable ASCII, whatever the other
 * side sends: it goes into logs and INFO. */
static void get_text(struct byte_reader *r, char *out, size_t size_max)
{
    size_t size = byte_get_u8(r);
    const uint8_t *text = byte_get(r, size);

    if (text == NULL || size > size_max) {
        r->failed = true;
        return;
    }
    for (size_t i = 0; i < size; i++) {
        if (text[i] < 0x20 || text[i] > 0x7e) {
            r->failed = true;
            return;
        }
    }
    memset(out, 0, size_max + 1);
    memcpy(out, text, size);
}

/* Complete a message whose body ends at w->at. */
static size_t seal(uint8_t *out, const char *magic, struct byte_writer *w)
{
    const uint8_t *body = out + HANDSHAKE_HEADER_SIZE;
    size_t size = (size_t)(w->at - body);
    struct byte_writer h =
        byte_writer(out + MAGIC_SIZE, HANDSHAKE_HEADER_SIZE - MAGIC_SIZE);

    memcpy(out, magic, MAGIC_SIZE);
    byte_put_u16(&h, WIRE_VERSION);
    byte_put_u16(&h, (uint16_t)size);
    byte_put_u32(&h, 0);
    byte_put_u64(&h, checksum(body, size, WIRE_VERSION));
    return HANDSHAKE_HEADER_SIZE + size;
}

/* What hello and welcome have in common, at two places of either. */

static void put_id(struct byte_writer *w, const struct handshake_node *node)
{
    byte_put(w, node->cluster_id, sizeof node->cluster_id);
    byte_put_u64(w, node->id);
}

static void put_addresses(struct byte_writer *w,
                          const struct handshake_node *node)
{
    put_text(w, node->client_address);
    put_text(w, node->peer_address);
}

static void get_array(struct byte_reader *r, uint8_t *out, size_t size)
{
    const uint8_t *p = byte_get(r, size);

    if (p != NULL) {
        memcpy(out, p, size);
    }
}

static void get_id(struct byte_reader *r, struct handshake_node *node)
{
    get_array(r, node->cluster_id, sizeof node->cluster_id);
    node->id = byte_get_u64(r);
}

static void get_addresses(struct byte_reader *r, struct handshake_node *node)
{
    get_text(r, node->client_address, ADDRESS_TEXT_MAX);
    get_text(r, node->peer_address, ADDRESS_TEXT_MAX);
}

size_t hello_encode(const struct hello *h, uint8_t out[HANDSHAKE_MAX])
{
    struct byte_writer w = byte_writer(out + HANDSHAKE_HEADER_SIZE,
                                       HANDSHAKE_MAX - HANDSHAKE_HEADER_SIZE);

    put_id(&w, &h->from);
    byte_put_u64(&w, h->to);
    byte_put(&w, h->from.instance, sizeof h->from.instance);
    byte_put_u8(&w, (uint8_t)h->lane);
    put_addresses(&w, &h->from);
    return seal(out, hello_magic, &w);
}

size_t welcome_encode(const struct welcome *m, uint8_t out[HANDSHAKE_MAX])
{
    struct byte_writer w = byte_writer(out + HANDSHAKE_HEADER_SIZE,
                                       HANDSHAKE_MAX - HANDSHAKE_HEADER_SIZE);

    put_id(&w, &m->from);
    byte_put(&w, m->from.instance, sizeof m->from.instance);
    byte_put_u16(&w, (uint16_t)m->reason);
    put_addresses(&w, &m->from);
    put_text(&w, m->text);
    return seal(out, welcome_magic, &w);
}

/* Check what stands in front; *body is set to the body when it is all there. */
static int open_message(const uint8_t *data, size_t size, const char *magic,
                        struct byte_reader *body, size_t *used,
                        struct err_info *info)
{
    struct byte_reader r = byte_reader(data, size);
    size_t n_magic = size < MAGIC_SIZE ? size : MAGIC_SIZE;
    unsigned version;
    size_t body_size;
    uint64_t sum;

    if (size > 0 && memcmp(data, magic, n_magic) != 0) {
        return err_set(info, ERR_PROTOCOL,
                       "no ConcordKV node speaks here (wrong magic)");
    }
    byte_get(&r, MAGIC_SIZE);
    version = byte_get_u16(&r);
    body_size = byte_get_u16(&r);
    byte_get_u32(&r);
    sum = byte_get_u64(&r);
    if (r.failed) {
        return ERR_AGAIN;
    }
    if (version != WIRE_VERSION) {
        return err_set(info, ERR_VERSION,
                       "peer protocol version %u, this node speaks %u", version,
                       (unsigned)WIRE_VERSION);
    }
    if (body_size > HANDSHAKE_MAX - HANDSHAKE_HEADER_SIZE) {
        return err_set(info, ERR_PROTOCOL, "handshake of %zu bytes", body_size);
    }
    if (byte_left(&r) < body_size) {
        return ERR_AGAIN;
    }
    if (checksum(r.at, body_size, version) != sum) {
        return err_set(info, ERR_PROTOCOL, "handshake checksum differs");
    }
    *body = byte_reader(r.at, body_size);
    *used = HANDSHAKE_HEADER_SIZE + body_size;
    return 0;
}

int hello_decode(const uint8_t *data, size_t size, struct hello *out,
                 size_t *used, struct err_info *info)
{
    struct byte_reader r;
    struct hello h;
    unsigned lane;
    int rc = open_message(data, size, hello_magic, &r, used, info);

    if (rc != 0) {
        return rc;
    }
    memset(&h, 0, sizeof h);
    get_id(&r, &h.from);
    h.to = byte_get_u64(&r);
    get_array(&r, h.from.instance, sizeof h.from.instance);
    lane = byte_get_u8(&r);
    get_addresses(&r, &h.from);
    if (r.failed || byte_left(&r) != 0 || lane >= WIRE_N_LANES ||
        h.from.id == 0) {
        return err_set(info, ERR_PROTOCOL, "malformed hello");
    }
    h.lane = (enum wire_lane)lane;
    *out = h;
    return 0;
}

int welcome_decode(const uint8_t *data, size_t size, struct welcome *out,
                   size_t *used, struct err_info *info)
{
    struct byte_reader r;
    struct welcome w;
    int rc = open_message(data, size, welcome_magic, &r, used, info);

    if (rc != 0) {
        return rc;
    }
    memset(&w, 0, sizeof w);
    get_id(&r, &w.from);
    get_array(&r, w.from.instance, sizeof w.from.instance);
    w.reason = byte_get_u16(&r);
    get_addresses(&r, &w.from);
    get_text(&r, w.text, HANDSHAKE_TEXT_MAX);
    if (r.failed || byte_left(&r) != 0) {
        return err_set(info, ERR_PROTOCOL, "malformed welcome");
    }
    *out = w;
    return 0;
}

static enum handshake_reason say(char *text, enum handshake_reason reason,
                                 const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum handshake_reason say(char *text, enum handshake_reason reason,
                                 const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(text, HANDSHAKE_TEXT_MAX + 1, format, args);
    va_end(args);
    return reason;
}

enum handshake_reason handshake_judge(const struct handshake_node *self,
                                      const struct handshake_node *other,
                                      uint64_t expected,
                                      const struct handshake_known *known,
                                      char *text)
{
    unsigned long long mine = self->id;
    unsigned long long theirs = other->id;

    text[0] = '\0';
    if (memcmp(self->cluster_id, other->cluster_id, sizeof self->cluster_id) !=
        0) {
        return say(text, HANDSHAKE_CLUSTER,
                   "node %llu says: node %llu belongs to another "
                   "cluster (compare --cluster-name and "
                   "--initial-cluster)",
                   mine, theirs);
    }
    if (other->id == self->id) {
        return say(text, HANDSHAKE_SELF,
                   "node %llu says: the other node has my id (two nodes with "
                   "one --id, or my address is listed for another node)",
                   mine);
    }
    if (expected != 0 && other->id != expected) {
        return say(text, HANDSHAKE_TARGET,
                   "node %llu answers where node %llu was expected (compare "
                   "the addresses of --initial-cluster)",
                   theirs, (unsigned long long)expected);
    }
    if (!known->member) {
        return say(text, HANDSHAKE_UNKNOWN,
                   "node %llu says: node %llu is no member of this cluster",
                   mine, theirs);
    }
    if (known->has_instance &&
        memcmp(known->instance, other->instance, sizeof known->instance) != 0) {
        return say(text, HANDSHAKE_INSTANCE,
                   "node %llu says: node %llu has another data directory than "
                   "before; remove it from the cluster and add it under a new "
                   "id",
                   mine, theirs);
    }
    return HANDSHAKE_ACCEPTED;
}
