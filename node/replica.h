/* One node of the cluster without its sockets: the driver over raft_step, the
 * log, the store, snapshots and linearizable reads.
 *
 * Calling sequence:
 *   replica_open          blocking: identity, snapshot, log, RAFT_START
 *   replica_receive       for each frame from an authenticated peer
 *   replica_peer          when a connection to a peer opens or has closed
 *   replica_timer         when replica_deadline_ms has come
 *   replica_poll          when replica_fd is readable
 *   replica_flush         once at the end of each loop turn
 *   replica_drain         SIGTERM: hand leadership over
 *   replica_close
 *
 * Thread: the loop. replica_events are called from inside the functions above
 * or a job's done, never from inside a function that the service calls
 * (replica_propose, replica_read, replica_send, replica_transfer). */
#ifndef NODE_REPLICA_H
#define NODE_REPLICA_H

#include <stdbool.h>
#include <stdint.h>

#include "node/buffer.h"
#include "node/proposal.h"
#include "node/replica_io.h"
#include "node/store.h"
#include "node/wire.h"
#include "raftlog/err.h"
#include "raftlog/raftlog.h"

struct replica;

enum { REPLICA_SERVERS_MAX = 16, REPLICA_ADDRESS_MAX = 255 };

struct replica_server {
    uint64_t id;
    char address[REPLICA_ADDRESS_MAX + 1]; /* peer address, host:port */
    int role;                              /* RAFT_VOTER, ... */
};

struct replica_options {
    uint64_t id;
    const char *data_dir; /* created when missing; borrowed during open */
    uint8_t cluster_id[RAFTLOG_CLUSTER_ID_SIZE];
    /* First configuration; used only when data_dir is new. n 0: a joiner. */
    const struct replica_server *initial;
    unsigned n_initial;
    unsigned election_timeout_ms; /* 0: 300 */
    unsigned heartbeat_ms;        /* 0: election timeout / 30, at least 5 */
    uint64_t segment_bytes;       /* of the log; 0: 64 MiB */
    uint64_t cache_bytes;         /* log entries in memory; 0: 64 MiB */
    const char *aio_filesystems;  /* see file_queue_options */
    uint64_t snapshot_log_bytes;  /* take a snapshot after; 0: 256 MiB */
    uint64_t snapshot_entries;    /* or after as many entries; 0: 1000000 */
    uint64_t trailing_entries;    /* kept below a snapshot; 0: 16384 */
    uint64_t log_retention_ms;    /* and files sealed for less; 0: not by age */
    uint64_t log_retention_bytes; /* but no more log than this; 0: no limit */
    /* Entries below a snapshot that the core is told of at a start; 0: 2 Mi. A
     * follower further behind gets the snapshot. */
    uint64_t loaded_entries_max;
    /* Compaction before that (compaction.c). */
    uint64_t compact_threshold;       /* entries; 0: 1000 */
    unsigned compact_ratio_percent;   /* superseded; 0: 30 */
    unsigned compact_base_percent;    /* log for live data; 0: 100 */
    unsigned compact_reserve_percent; /* of the next base, left free; 0: none */
    uint64_t compact_age_ms;          /* 0: never for its age */
    uint64_t compact_rate_bytes;      /* a second, of live data; 0: 64 MiB */
    uint64_t
        snapshot_rate_bytes;   /* per second and peer on the wire; 0: 128 MiB */
    unsigned inflight_entries; /* per follower; 0: 4096 */
    uint64_t uncommitted_entries_max; /* 0: 8192 */
    uint64_t uncommitted_bytes_max;   /* 0: 128 MiB */
    uint64_t batch_bytes;    /* submit at once when gathered; 0: 1 MiB */
    unsigned batch_delay_ms; /* or when this old; 0: 5 */
    struct raftlog_sync_policy sync; /* see raftlog/sync.c, forgot.c */
};

enum replica_role {
    REPLICA_FOLLOWER,
    REPLICA_CANDIDATE,
    REPLICA_LEADER,
    REPLICA_LEARNER
};
const char *replica_role_name(enum replica_role role);

/* What the replica tells its owner (the service). */
struct replica_events {
    void *ctx;
    /* An entry was applied. p is NULL for entries that are no command; then
     * reply is NULL too. reply (borrowed) is what the client gets. */
    void (*applied)(void *ctx, uint64_t index, uint64_t term,
                    const struct proposal *p, const struct buffer *reply);
    /* A snapshot was installed: entries through index (of term) went by without
     * being seen one by one. */
    void (*jumped)(void *ctx, uint64_t index, uint64_t term);
    /* Role, term, leader, or whether proposals are taken has changed. */
    void (*changed)(void *ctx);
    /* Proposals refused with ERR_BUSY or ERR_NOSPACE may be taken now. */
    void (*room)(void *ctx);
    /* WIRE_FORWARD, WIRE_TRANSFER, WIRE_MATCH and their results. m is borrowed;
     * payload_block is the block that m's pointers lie in. */
    void (*message)(void *ctx, const struct wire_message *m,
                    void *payload_block);
    /* The connection to a peer opened or closed. */
    void (*peer)(void *ctx, uint64_t id, bool connected);
    /* A drain has ended: leadership is elsewhere or could not be given. */
    void (*drained)(void *ctx);
    /* What replica_transfer began has ended; done: another may lead now. */
    void (*transferred)(void *ctx, bool done);
};

/* Open. io and events are copied. On success *out is given and events may
 * follow. Errors: those of raftlog_open, snapshot_chain_open, identity. */
int replica_open(const struct replica_options *options,
                 const struct replica_io *io,
                 const struct replica_events *events, struct replica **out,
                 struct err_info *info);
/* Other limits while it runs: of `options` only batch_, uncommitted_,
 * snapshot_, compact_, trailing_ and log_retention_ fields count; and which
 * events are traced. */
void replica_configure(struct replica *r, const struct replica_options *options,
                       enum trace_level trace_max);
/* Stop cleanly: waits for queued writes, marks the log clean. */
void replica_close(struct replica *r);
/* Forget everything without writing (a crash in the simulator). */
void replica_abandon(struct replica *r);

/* A frame from peer `from`, in a block; the replica takes its own reference
 * where it keeps parts. Malformed or forbidden frames are dropped, counted and
 * traced. */
void replica_receive(struct replica *r, uint64_t from, void *block,
                     size_t size);
/* Connection state of a peer, both directions as one: connected when frames
 * can be sent to it; on disconnect call after everything received from it was
 * delivered. */
void replica_peer(struct replica *r, uint64_t id, bool connected);
uint64_t replica_deadline_ms(const struct replica *r);
void replica_timer(struct replica *r);
int replica_fd(const struct replica *r);
void replica_poll(struct replica *r);
void replica_flush(struct replica *r);

/* ---- for the service
 * -------------------------------------------------------*/

/* Propose a payload (proposal.h, in a block: a reference is taken) in term
 * `term`. It is gathered and submitted with others; its fate is seen in
 * events.applied: applied, or gone for certain once an entry of a higher term
 * has been applied without it.
 * Errors: ERR_NOTLEADER not leader, or of another term; ERR_AGAIN leadership
 * is being handed over, or no entry of the own term is committed yet; ERR_BUSY
 * too much is uncommitted; ERR_NOSPACE the log has no room; ERR_NOMEM. */
int replica_propose(struct replica *r, uint64_t term, void *payload,
                    uint32_t size);

/* Ask for a linearizable read: cb is called, never from inside this call, when
 * the local store may be read (status 0, read it inside cb or at any later
 * moment), or with ERR_NOTLEADER when leadership could not be confirmed or
 * there is no leader: ask again when events.changed. Rounds are batched.
 *
 * clock_ms is what the leader's clock showed after the read was asked for. A
 * read that comes to a key which has expired by it, but not by the clock of the
 * state (replica_clock), may neither show the key nor say that it is gone: it
 * asks again with `settle`, and the state's clock will be there, if an entry
 * could be made for it. */
typedef void (*replica_read_cb)(void *ctx, int status, uint64_t clock_ms);
int replica_read(struct replica *r, bool settle, replica_read_cb cb, void *ctx);

/* Send one of the service's messages in the main lane. */
bool replica_send(struct replica *r, uint64_t to, const struct wire_frame *f);

/* As leader: the commit index, and how far the log of each other member is
 * known to be durable. Errors: ERR_NOTLEADER; ERR_AGAIN no entry of the own
 * term is committed yet, so the commit index may be behind what others have
 * acknowledged. */
int replica_match(struct replica *r, uint64_t *commit,
                  uint64_t match[REPLICA_SERVERS_MAX], unsigned *n);
/* Begin to hand leadership over to a voter (target 0: the best); the end is
 * told by events.transferred. New proposals are refused meanwhile.
 * Errors: ERR_NOTLEADER; ERR_NOTFOUND the target is no member; ERR_INVALID it
 * is no voter, or this node is the only one; ERR_EXISTS it leads; ERR_AGAIN it
 * is not connected or far behind; ERR_BUSY a handover is under way. */
int replica_transfer(struct replica *r, uint64_t target, struct err_info *info);
/* Hand leadership over (target 0: the best follower) or, when not leader, do
 * nothing; events.drained follows. New proposals are refused meanwhile. */
void replica_drain(struct replica *r, uint64_t target);
/* Have the log compacted now; replica_status tells by snapshot_index when it is
 * done. ERR_NOTFOUND nothing was applied since the last time; ERR_BUSY a
 * snapshot is being taken or installed; ERR_STOPPED. */
int replica_compact(struct replica *r);
struct replica_compaction {
    uint64_t gathered_entries, gathered_bytes; /* since the last snapshot */
    unsigned superseded_percent;               /* of these bytes */
    uint64_t n_done, n_failed, n_without_room;
    uint64_t log_bytes;     /* of entries that were compacted */
    uint64_t saved_bytes;   /* of these, superseded */
    uint64_t written_bytes; /* of snapshot files */
    uint64_t ms_total, ms_max;
    uint64_t reserve_bytes; /* of the disk, kept for the next one */
    uint64_t first_index;   /* of the log */
    uint64_t kept_bytes;    /* of sealed files that the snapshot covers */
    uint64_t kept_ms;       /* since the oldest of them was sealed */
    uint64_t n_yielded;     /* of them, let go early for a full disk */
};
void replica_compaction(struct replica *r, struct replica_compaction *out);
/* The same for each compaction, since the start or replica_reset_stats.
 * Borrowed until the next call. */
struct replica_compactions {
    struct histogram us;
    struct histogram written_bytes;
    struct histogram saved_bytes;
};
const struct replica_compactions *replica_compactions(const struct replica *r);
/* Take a base snapshot now. ERR_BUSY one is being taken or installed;
 * ERR_AGAIN nothing was applied since the last. */
int replica_snapshot(struct replica *r);

struct store *replica_store(struct replica *r);

struct replica_status {
    uint64_t id;
    enum replica_role role;
    uint64_t leader_id; /* 0: none known */
    uint64_t term;
    uint64_t last_index;
    uint64_t durable_index;
    uint64_t persisted_index; /* more than durable under a weaker policy */
    bool forgot; /* has no vote until a leader has brought it up to date */
    uint64_t commit_index;
    uint64_t applied_index;
    uint64_t clock_ms;  /* replicated */
    uint64_t n_expired; /* keys deleted by sweeps since the start */
    uint64_t snapshot_index;
    uint64_t snapshot_bytes;
    /* Wall clock when it was taken; of one from before this start or from
     * another node, the replicated clock of its last entry. 0: none. */
    uint64_t snapshot_ms;
    bool snapshot_running;
    bool installing;
    uint64_t install_bytes_done, install_bytes_total;
    bool accepts; /* leader, own entry committed, not handing over */
    uint64_t n_elections_started, n_elections_won;
    uint64_t n_dropped_frames; /* malformed or forbidden */
    uint64_t
        snapshot_slice_us_max; /* longest stall of the loop by a snapshot */
    unsigned n_servers;
    struct replica_server servers[REPLICA_SERVERS_MAX];
    uint64_t match[REPLICA_SERVERS_MAX]; /* as leader */
};
void replica_status(struct replica *r, struct replica_status *out);
/* Cheap parts of it, for every request. */
bool replica_is_leader(const struct replica *r);
uint64_t replica_leader(const struct replica *r);
uint64_t replica_term(const struct replica *r);
uint64_t replica_applied(const struct replica *r);
/* The clock of the applied state: it says which keys have expired. */
uint64_t replica_clock(const struct replica *r);
/* What a leader writes into an entry: its wall clock, but never less than any
 * clock before (expiry.c). */
uint64_t replica_leader_clock(struct replica *r);
void replica_log_stats(struct replica *r, struct raftlog_stats *out);
const struct raftlog_latency *replica_log_latency(const struct replica *r);
/* Longest times, histograms and counters of failures anew. */
void replica_reset_stats(struct replica *r);
/* As raftlog_files. */
size_t replica_log_files(const struct replica *r, struct raftlog_file *files,
                         size_t max);

/* ---- membership (C-RAFT.md 1.8) ---------------------------------------------
 * One change at a time; each refusal says why in info.
 * Errors: ERR_NOTLEADER; ERR_BUSY a change is pending, or no entry of the own
 * term is committed, or a voter has not the previous change; ERR_INVALID;
 * ERR_EXISTS; ERR_NOTFOUND; ERR_AGAIN not caught up. */
int replica_member_add(struct replica *r, uint64_t id, const char *address,
                       struct err_info *info); /* as STANDBY */
int replica_member_promote(struct replica *r, uint64_t id,
                           struct err_info *info);
int replica_member_remove(struct replica *r, uint64_t id,
                          struct err_info *info);

#endif
