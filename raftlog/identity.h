/* Whose data directory this is: data_dir/identity and data_dir/LOCK.
 *
 * The identity is written once, at the first start, before anything else, and
 * never changes. Later starts need no flags: what they leave open is filled in
 * from the file; what they say must agree with it. The instance id is chance
 * of the first start: a node whose disk was wiped is another instance, and
 * peers can tell (C-raft's votes live on the disk). */
#ifndef RAFTLOG_IDENTITY_H
#define RAFTLOG_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftlog/err.h"
#include "raftlog/file.h"

enum {
    IDENTITY_VERSION = 1,
    IDENTITY_CLUSTER_ID_SIZE = 16,
    IDENTITY_INSTANCE_ID_SIZE = 16,
    IDENTITY_MEMBERSHIP_MAX = 64 * 1024,
    IDENTITY_FIXED_SIZE = 8 + 4 + 4 + 16 + 8 + 16,
    IDENTITY_SIZE_MAX = IDENTITY_FIXED_SIZE + IDENTITY_MEMBERSHIP_MAX + 8
};

struct identity {
    uint8_t cluster_id[IDENTITY_CLUSTER_ID_SIZE]; /* wanted: 0 is "any" */
    uint64_t node_id;                             /* wanted: 0 is "any" */
    uint8_t instance_id[IDENTITY_INSTANCE_ID_SIZE];
    /* The members at the first start, as text of the caller's own form. */
    char membership[IDENTITY_MEMBERSHIP_MAX];
};

/* Pure. encode: *size is how much of out (IDENTITY_SIZE_MAX) was used.
 * Errors of decode: ERR_CORRUPT, ERR_VERSION. */
void identity_encode(const struct identity *id, uint8_t *out, size_t *size);
int identity_decode(const void *data, size_t size, struct identity *out);

/* Read the identity of data_dir into found, or, when there is none, write
 * `wanted` (which must then be complete: node_id and cluster_id not 0;
 * instance_id is the caller's chance) and copy it. *created says which. When
 * the file is there, cluster_id and node_id of `wanted` must be 0 or agree; its
 * membership and instance_id are ignored. `wanted` and `found` may be the same.
 * Errors: ERR_CLUSTER with a message that says what differs and what to do;
 * ERR_INVALID no identity and `wanted` incomplete; ERR_CORRUPT damaged, or
 * missing beside a log; ERR_VERSION; ERR_NOSPACE; ERR_ACCESS; ERR_IO. */
int identity_open(const char *data_dir, const struct identity *wanted,
                  struct identity *found, bool *created, struct err_info *info);

/* Lock data_dir for this process; *out is given, file_close unlocks.
 * Errors: ERR_LOCKED, ERR_ACCESS, ERR_IO. */
int identity_lock(const char *data_dir, struct file **out,
                  struct err_info *info);

#endif
