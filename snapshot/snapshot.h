/* Snapshot files, and the chain of one base and its deltas.
 *
 * A snapshot file holds the last state of every key that the range of log
 * indexes (from, to] touched, sorted by key, tombstones included; from == 0 is
 * a base (no tombstones). Files are standard LZ4 frames with a header, an
 * index and a footer in skippable frames: `lz4 -dc FILE` prints the records,
 * and every block can be read alone. The MANIFEST names the chain and is
 * replaced atomically. Layout: snapshot/README.md.
 *
 * Thread: a writer, a reader and the chain functions may block and are used by
 * one thread at a time (a pool thread in the node).
 *
 * This folder knows neither the log nor Raft: configuration bytes are opaque.
 */
#ifndef SNAPSHOT_SNAPSHOT_H
#define SNAPSHOT_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftlog/byte.h"
#include "raftlog/checksum.h"
#include "raftlog/err.h"

enum {
    SNAPSHOT_ID_SIZE = 16,
    SNAPSHOT_CLUSTER_ID_SIZE = 16,
    SNAPSHOT_NAME_MAX = 64,
    SNAPSHOT_FILES_MAX = 64,
    SNAPSHOT_CONFIGURATION_MAX = 64 * 1024,
    SNAPSHOT_KEY_MAX = 64 * 1024,
    SNAPSHOT_VALUE_MAX = 128 * 1024 * 1024,
    SNAPSHOT_MANIFEST_MAX = 128 * 1024 /* encoded */
};

/* What a file says of itself; all of it is in the header or the footer. */
struct snapshot_meta {
    uint8_t cluster_id[SNAPSHOT_CLUSTER_ID_SIZE];
    uint64_t from;                 /* 0: a base */
    uint64_t to;                   /* state after applying this index */
    uint64_t to_term;              /* term of the entry at `to` */
    uint64_t clock_ms;             /* replicated clock at `to` */
    struct checksum128 state_hash; /* of the whole state at `to` */
    uint64_t configuration_index;  /* log index of the configuration */
    const void *configuration;     /* encoded; owner: see each function */
    size_t configuration_size;
};

/* One record. kind KEY carries a value, TOMBSTONE none; META records (sessions
 * and the like, named by their key) sort before all keys. */
enum snapshot_record_kind {
    SNAPSHOT_META = 1,
    SNAPSHOT_KEY = 2,
    SNAPSHOT_TOMBSTONE = 3
};
struct snapshot_record {
    enum snapshot_record_kind kind;
    uint8_t type;       /* of the value: 0 string */
    uint64_t expire_ms; /* 0: never */
    struct bytes key;
    struct bytes value;
};

/* One file of a chain. id is the content id: XXH3-128 of the whole file. */
struct snapshot_file {
    /* base-<to>-<id8>.lz4 or delta-<from>-<to>-<id8>.lz4; id8 is the first
     * eight hex digits of id, so that other content has another name. */
    char name[SNAPSHOT_NAME_MAX];
    uint8_t id[SNAPSHOT_ID_SIZE];
    uint64_t size;
    uint64_t from;
    uint64_t to;
    uint64_t to_term;
    uint64_t n_records;
    struct checksum128 state_hash;
};

/* A chain: files[0] is the base, files[i].from == files[i - 1].to. */
struct snapshot_manifest {
    uint8_t cluster_id[SNAPSHOT_CLUSTER_ID_SIZE];
    unsigned n_files; /* 0: no snapshot */
    struct snapshot_file files[SNAPSHOT_FILES_MAX];
    uint64_t configuration_index;
    void *configuration; /* malloc'd, owned by the manifest */
    size_t configuration_size;
};

/* ---- writing --------------------------------------------------------------
 * new; add records in strictly ascending (META first, then key) order; finish.
 * The file is written under dir/incoming/ and finish syncs it; it becomes part
 * of the chain only by snapshot_chain_adopt. abort removes it. */
struct snapshot_writer;
/* meta is copied (configuration too); dir is one that snapshot_chain_open has
 * been called for. Errors: ERR_INVALID unless from < to, ERR_TOOBIG
 * configuration, ERR_NOSPACE, ERR_IO, ERR_NOMEM. */
int snapshot_writer_new(const char *dir, const struct snapshot_meta *meta,
                        struct snapshot_writer **out, struct err_info *info);
/* Errors: ERR_INVALID not in order, a tombstone in a base or one with a value;
 * ERR_TOOBIG key or value; ERR_NOSPACE; ERR_IO; ERR_NOMEM. After an error only
 * abort is allowed (finish then fails with the same code). */
int snapshot_writer_add(struct snapshot_writer *w,
                        const struct snapshot_record *record);
/* Complete the file: fills *file; frees the writer also on failure. */
int snapshot_writer_finish(struct snapshot_writer *w,
                           struct snapshot_file *file, struct err_info *info);
void snapshot_writer_abort(struct snapshot_writer *w); /* NULL is allowed */

/* ---- reading --------------------------------------------------------------*/
struct snapshot_reader;
/* Open a file by path and check header, footer and index. meta() borrows from
 * the reader. Errors: ERR_CORRUPT, ERR_VERSION, ERR_NOTFOUND, ERR_IO. */
int snapshot_reader_open(const char *path, struct snapshot_reader **out,
                         struct err_info *info);
const struct snapshot_meta *
snapshot_reader_meta(const struct snapshot_reader *r);
uint64_t snapshot_reader_n_records(const struct snapshot_reader *r);
/* Next record in order, borrowed until the next call. Returns 1, 0 at the end
 * (all checksums held), or ERR_CORRUPT, ERR_IO. */
int snapshot_reader_next(struct snapshot_reader *r,
                         struct snapshot_record *record, struct err_info *info);
/* Continue with the first KEY or TOMBSTONE record whose key is >= key; the
 * META records stand before it. Errors: ERR_CORRUPT, ERR_IO, ERR_NOMEM. */
int snapshot_reader_seek(struct snapshot_reader *r, struct bytes key,
                         struct err_info *info);
void snapshot_reader_close(struct snapshot_reader *r); /* NULL is allowed */

/* Read all of a file and check that it is what `expected` says: content id,
 * size, range, term, record count, state hash, every block and record.
 * Errors: ERR_CORRUPT, ERR_CLUSTER, ERR_VERSION, ERR_NOTFOUND, ERR_IO. */
int snapshot_file_verify(const char *path, const struct snapshot_file *expected,
                         const uint8_t cluster_id[SNAPSHOT_CLUSTER_ID_SIZE],
                         struct err_info *info);

/* ---- the chain of a node: dir = data/snapshots ----------------------------*/
void snapshot_manifest_clear(struct snapshot_manifest *m);
/* Here and below an out parameter is overwritten, not cleared first. */
int snapshot_manifest_copy(struct snapshot_manifest *to,
                           const struct snapshot_manifest *from);
/* One format at rest and on the wire. encode gives malloc'd memory; errors
 * ERR_INVALID, ERR_NOMEM. decode checks everything (names, contiguity,
 * limits); errors ERR_CORRUPT, ERR_VERSION, ERR_NOMEM. */
int snapshot_manifest_encode(const struct snapshot_manifest *m, void **out,
                             size_t *size);
int snapshot_manifest_decode(const void *data, size_t size,
                             struct snapshot_manifest *out,
                             struct err_info *info);
/* Read dir/MANIFEST (n_files 0 when there is none), create dir and
 * dir/incoming/ when missing, check that each file is there with its size, and
 * remove snapshot files that the manifest does not name. In incoming/ what
 * came from a peer is kept (transfers resume) and what was written here and
 * never adopted is removed. Call it before any writer or receiver exists.
 * Errors: ERR_CORRUPT, ERR_CLUSTER, ERR_VERSION, ERR_IO. */
int snapshot_chain_open(const char *dir,
                        const uint8_t cluster_id[SNAPSHOT_CLUSTER_ID_SIZE],
                        struct snapshot_manifest *out, struct err_info *info);
/* Make `next` the chain: every file it names is already in dir or complete in
 * dir/incoming/ (moved); sync, replace MANIFEST, sync the directory; then
 * remove all files that `next` does not name, except those with an id in
 * `keep` (being sent to a peer; removed by a later call). A file received must
 * have been verified. After a failure the chain on disk is `previous` or
 * `next`, whole; previous's files are still there; the call may be repeated.
 * Errors: ERR_INVALID, ERR_CLUSTER, ERR_NOTFOUND a file of next is missing,
 * ERR_CORRUPT it has another size, ERR_NOSPACE, ERR_IO, ERR_NOMEM. */
int snapshot_chain_adopt(const char *dir,
                         const struct snapshot_manifest *previous,
                         const struct snapshot_manifest *next,
                         const uint8_t (*keep)[SNAPSHOT_ID_SIZE],
                         unsigned n_keep, struct err_info *info);

/* ---- transfer: files in chunks ----------------------------------------------
 * Receiving side: what of a chain is missing here, chunk writing into
 * dir/incoming/<id>.part with resume, verification. One transfer at a time. */
struct snapshot_receiver;
/* Start or resume receiving the files of `wanted` that the present chain does
 * not have. wanted is copied. What an earlier transfer of other files left
 * behind is removed. Errors: ERR_INVALID, ERR_CLUSTER, ERR_NOSPACE the rest
 * does not fit on the disk, ERR_IO, ERR_NOMEM. */
int snapshot_receiver_open(const char *dir,
                           const struct snapshot_manifest *present,
                           const struct snapshot_manifest *wanted,
                           struct snapshot_receiver **out,
                           struct err_info *info);
/* The next byte range to ask for, at most chunk_max bytes, not yet asked.
 * Returns false when everything has been asked for. */
struct snapshot_range {
    uint8_t id[SNAPSHOT_ID_SIZE];
    uint64_t offset;
    uint32_t size;
};
bool snapshot_receiver_next(struct snapshot_receiver *r, uint32_t chunk_max,
                            struct snapshot_range *out);
/* Forget what was asked for but has not arrived (peer lost, leader changed). */
void snapshot_receiver_retry(struct snapshot_receiver *r);
/* Write a chunk. Chunks of a file arrive in order; another one is ignored
 * (not wanted, not next, or past the end).
 * Errors: ERR_NOSPACE, may be repeated later; ERR_IO. */
int snapshot_receiver_put(struct snapshot_receiver *r,
                          const struct snapshot_range *range, const void *data,
                          struct err_info *info);
bool snapshot_receiver_complete(const struct snapshot_receiver *r);
void snapshot_receiver_progress(const struct snapshot_receiver *r,
                                uint64_t *bytes_done, uint64_t *bytes_total);
/* Check content ids and every block of what arrived and make it durable, ready
 * for snapshot_chain_adopt; on ERR_CORRUPT the bad files are removed so that
 * they are fetched again. ERR_AGAIN: not complete. Blocking: pool thread. */
int snapshot_receiver_verify(struct snapshot_receiver *r,
                             struct err_info *info);
/* What has arrived stays for a later open. NULL is allowed. */
void snapshot_receiver_close(struct snapshot_receiver *r);

/* Sending side: read a range of a file of the chain by content id.
 * Errors: ERR_NOTFOUND not here any more; ERR_RANGE; ERR_IO. */
int snapshot_chunk_read(const char *dir, const struct snapshot_manifest *chain,
                        const struct snapshot_range *range, void *buf,
                        struct err_info *info);

#endif
