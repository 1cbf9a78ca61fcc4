/* The file of instance ids. */
#include "node/peer_book.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/config.h"
#include "raftlog/byte.h"
#include "raftlog/checksum.h"
#include "raftlog/file.h"

static const char magic[9] = "CKVpeers";

const uint8_t *peer_book_find(const struct peer_book *b, uint64_t id)
{
    for (unsigned i = 0; i < b->n; i++) {
        if (b->peers[i].id == id) {
            return b->peers[i].instance;
        }
    }
    return NULL;
}

int peer_book_set(struct peer_book *b, uint64_t id, const uint8_t *instance)
{
    unsigned i = 0;

    while (i < b->n && b->peers[i].id != id) {
        i++;
    }
    if (i == PEER_BOOK_MAX) {
        return ERR_TOOBIG;
    }
    b->peers[i].id = id;
    memcpy(b->peers[i].instance, instance, HANDSHAKE_INSTANCE_SIZE);
    if (i == b->n) {
        b->n++;
    }
    return 0;
}

size_t peer_book_encode(const struct peer_book *b,
                        uint8_t out[PEER_BOOK_SIZE_MAX])
{
    struct byte_writer w = byte_writer(out + 8, PEER_BOOK_SIZE_MAX - 8);

    memcpy(out, magic, 8);
    byte_put_u32(&w, PEER_BOOK_VERSION);
    byte_put_u32(&w, b->n);
    for (unsigned i = 0; i < b->n; i++) {
        byte_put_u64(&w, b->peers[i].id);
        byte_put(&w, b->peers[i].instance, HANDSHAKE_INSTANCE_SIZE);
    }
    byte_put_u64(&w, checksum(out, (size_t)(w.at - out), PEER_BOOK_VERSION));
    return (size_t)(w.at - out);
}

int peer_book_decode(const void *data, size_t size, struct peer_book *out)
{
    struct byte_reader r = byte_reader(data, size);
    const uint8_t *m = byte_get(&r, 8);
    uint32_t version = byte_get_u32(&r);
    uint32_t n = byte_get_u32(&r);
    struct peer_book b;

    if (m == NULL || memcmp(m, magic, 8) != 0 || r.failed) {
        return ERR_CORRUPT;
    }
    if (version != PEER_BOOK_VERSION) {
        return ERR_VERSION;
    }
    if (n > PEER_BOOK_MAX || byte_left(&r) != n * PEER_BOOK_ENTRY_SIZE + 8) {
        return ERR_CORRUPT;
    }
    memset(&b, 0, sizeof b);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t id = byte_get_u64(&r);
        const uint8_t *instance = byte_get(&r, HANDSHAKE_INSTANCE_SIZE);

        peer_book_set(&b, id, instance);
    }
    if (byte_get_u64(&r) != checksum(data, size - 8, PEER_BOOK_VERSION)) {
        return ERR_CORRUPT;
    }
    *out = b;
    return 0;
}

static void book_path(const char *data_dir, char out[CONFIG_PATH_MAX + 8])
{
    snprintf(out, CONFIG_PATH_MAX + 8, "%s/peers", data_dir);
}

int peer_book_load(const char *data_dir, struct peer_book *out)
{
    char path[CONFIG_PATH_MAX + 8];
    size_t size;
    void *data;
    int rc;

    memset(out, 0, sizeof *out);
    book_path(data_dir, path);
    rc = file_read_all(path, PEER_BOOK_SIZE_MAX, &data, &size);
    if (rc == ERR_NOTFOUND) {
        return 0;
    }
    if (rc != 0) {
        return rc;
    }
    rc = peer_book_decode(data, size, out);
    free(data);
    return rc;
}

int peer_book_save(const char *data_dir, const struct peer_book *b)
{
    char path[CONFIG_PATH_MAX + 8];
    uint8_t data[PEER_BOOK_SIZE_MAX];
    size_t size = peer_book_encode(b, data);

    book_path(data_dir, path);
    return file_replace(path, data, size);
}
