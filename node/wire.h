/* Messages between nodes: the six of Raft and ours, encoded and decoded.
 *
 * A message is one frame: a small head made per receiver and a body (entries,
 * a manifest, a chunk, a forwarded payload) that is a counted block and may be
 * shared by frames to several peers. How frames travel (length, checksum,
 * handshake) is the transport's business. Decoding checks every length and
 * every precondition that can be told from the bytes alone (C-raft has no
 * asserts: what passes here goes straight into its memory); what depends on
 * the node's state is checked in node/filter.c. Pure: no I/O.
 *
 * Layout: u8 type, then the fields of the type in order, integers
 * little-endian; see wire.c. */
#ifndef NODE_WIRE_H
#define NODE_WIRE_H

#include <raft.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftlog/byte.h"
#include "snapshot/snapshot.h"

enum {
    WIRE_VERSION = 1, /* of this format; part of the handshake */
    WIRE_HEAD_MAX = 128,
    WIRE_FRAME_MAX = 80 * 1024 * 1024, /* one message, in bytes */
    WIRE_ENTRIES_MAX = 65536,          /* entries of one AppendEntries */
    WIRE_CHUNK_MAX = 1024 * 1024
};

enum wire_type {
    WIRE_APPEND_ENTRIES = 1,
    WIRE_APPEND_ENTRIES_RESULT = 2,
    WIRE_REQUEST_VOTE = 3,
    WIRE_REQUEST_VOTE_RESULT = 4,
    WIRE_INSTALL_SNAPSHOT = 5, /* body: the manifest */
    WIRE_TIMEOUT_NOW = 6,
    WIRE_BARRIER_PING = 7, /* leader: what is your term? */
    WIRE_BARRIER_PONG = 8,
    WIRE_READ_INDEX = 9, /* follower: from which index may I read? */
    WIRE_READ_INDEX_RESULT = 10,
    WIRE_FORWARD = 11,        /* follower: propose this; body: the payload */
    WIRE_FORWARD_RESULT = 12, /* body: the reply */
    WIRE_SNAPSHOT_FETCH = 13,
    WIRE_SNAPSHOT_CHUNK = 14,  /* body: the bytes */
    WIRE_LEADER_LOST = 15,     /* my connection to the leader closed */
    WIRE_TRANSFER = 16,        /* to the leader: hand leadership over */
    WIRE_TRANSFER_RESULT = 17, /* only when it was not; body: why */
    WIRE_MATCH = 18,           /* to the leader: how far are the others? */
    WIRE_MATCH_RESULT = 19,    /* body: u64 durable index of each */
    WIRE_LOG_QUESTION = 20,    /* where does your log end? (forgot.c) */
    WIRE_LOG_ANSWER = 21,
    WIRE_TYPE_MAX = 21
};

/* Order is kept within a lane. The bulk lane has a connection of its own, so
 * that nothing else is ever behind a chunk. */
enum wire_lane { WIRE_LANE_MAIN = 0, WIRE_LANE_BULK = 1, WIRE_N_LANES = 2 };

struct wire_frame {
    enum wire_lane lane;
    uint32_t head_size;
    uint8_t head[WIRE_HEAD_MAX];
    void *body;          /* block, NULL: none */
    const void *body_at; /* inside body */
    uint32_t body_size;
};

/* A decoded message. Pointers borrow from the received block. */
struct wire_message {
    enum wire_type type;
    uint64_t from;
    union {
        /* WIRE_APPEND_ENTRIES .. WIRE_TIMEOUT_NOW. For AppendEntries,
         * append_entries.entries is malloc'd (freed by wire_message_clear) and
         * entries' data borrow from the block, their batch is unset. For
         * InstallSnapshot, conf and data are unset and `manifest` is set. */
        struct raft_message raft;
        struct {
            uint64_t term;
            uint64_t sequence;
        } barrier; /* PING, PONG */
        struct {
            uint64_t id;
            uint64_t term;
            bool settle;    /* READ_INDEX: bring the state's clock to yours */
            uint64_t index; /* RESULT, as what follows */
            uint64_t clock_ms; /* of the leader, see read_barrier.h */
            int status;        /* 0 or ERR_ code */
        } read_index;
        struct {
            uint64_t request_id;
            uint64_t term; /* the leader's term it is meant for */
            int status;    /* RESULT: 0 or ERR_ code */
            struct bytes body;
        } forward; /* FORWARD, FORWARD_RESULT */
        struct {
            struct snapshot_range range;
            int status; /* CHUNK: 0 or ERR_ code */
            struct bytes body;
        } snapshot; /* FETCH, CHUNK */
        struct {
            uint64_t term;
            uint64_t leader_id;
            uint64_t last_index;
            uint64_t last_term;
        } leader_lost;
        struct {
            uint64_t term; /* the sender's, of now */
            uint64_t last_index;
            uint64_t last_term;
        } log_end; /* LOG_QUESTION, LOG_ANSWER */
        struct {
            uint64_t request_id;
            uint64_t term;   /* the leader's term it is meant for */
            uint64_t target; /* TRANSFER: node id; 0: any */
            int status;      /* RESULT: ERR_ code */
            struct bytes text;
        } transfer; /* TRANSFER, TRANSFER_RESULT */
        struct {
            uint64_t request_id;
            uint64_t term;   /* the leader's term it is meant for */
            uint64_t commit; /* RESULT: the leader's */
            struct bytes body;
        } match; /* MATCH, MATCH_RESULT */
    } as;
    struct bytes manifest;
};

/* Decode one received frame. Errors: ERR_PROTOCOL (info says what). */
int wire_decode(uint64_t from, const void *data, size_t size,
                struct wire_message *out, struct err_info *info);
void wire_message_clear(struct wire_message *m);

/* Fill a frame (body fields NULL/0) from a message. AppendEntries and
 * InstallSnapshot take their body from wire_entries_* / the caller:
 * set frame->body* afterwards. */
void wire_encode(const struct wire_message *m, struct wire_frame *out);
/* A frame may own a reference to its body. */
void wire_frame_clear(struct wire_frame *f);

/* Size of entries on the wire and encoding of one behind the other. */
size_t wire_entry_size(uint64_t term, uint32_t size);
void wire_entry_put(struct byte_writer *w, uint8_t kind, uint64_t term,
                    const void *data, uint32_t size);

/* Check an encoded configuration completely (C-RAFT.md 2.4) and decode it into
 * raft_malloc'd memory, given. Errors: ERR_PROTOCOL, ERR_NOMEM. */
int wire_configuration_check(const void *data, size_t size);
int wire_configuration_decode(const void *data, size_t size,
                              struct raft_configuration *out);

#endif
