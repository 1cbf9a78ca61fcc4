/* The inside of a replica: one struct, and which file does what to it.
 *
 *   replica_open.c       open and close
 *   replica_load.c       what is on disk -> store, log, RAFT_START (B5)
 *   replica_options.c    defaults; other limits while it runs
 *   replica_heap.c       the core's heap
 *   replica_peers.c      the table of peers; who votes
 *   replica.c            events from outside, what the service asks
 *   driver.c             raft_step and every part of its update, in order;
 *                        timers; gathering proposals into one submit
 *   filter.c             what may go into the core (C-RAFT.md 2, B1-B4, B12)
 *   outbound.c           what the core wants to send -> frames (B1, B10, B13)
 *   apply.c              committed entries -> store, configurations
 *   expiry.c             the replicated clock; keys whose time has come
 *   membership.c         changes of the configuration (B6, B7)
 *   forgot.c             no votes while acknowledged entries may be missing
 *   handover.c           draining, transfer (B8), agreed loss of a leader (B12)
 *   compaction.c         when one is taken
 *   retention.c          how much log stays below it
 *   snapshotter.c        taking a base in slices
 *   snapshot_serve.c     offering snapshots and serving their chunks
 *   snapshot_fetch.c     fetching and installing them
 *
 * Thread: the loop, except the job structs of the snapshot files while a pool
 * thread has them. */
#ifndef NODE_REPLICA_STATE_H
#define NODE_REPLICA_STATE_H

#include "node/read_barrier.h"
#include "node/replica.h"
#include "snapshot/snapshot.h"

_Static_assert(RAFT_VERSION_NUMBER == 2201,
               "ownership rules were audited for C-raft 0.22.1 only");

enum {
    HELD_FRAMES_MAX = 4096,  /* frames waiting for the hard state */
    OUTBOUND_QUEUE_MAX = 64, /* AppendEntries behind a log read, per peer */
    OUTBOUND_PIECE_BYTES = 1024 * 1024,     /* body of one AppendEntries */
    OUTBOUND_TURN_BYTES = 4 * 1024 * 1024,  /* encoded at once, per peer */
    OUTBOUND_PEER_BYTES = 16 * 1024 * 1024, /* in the transport, per peer */
    APPLY_ENTRIES_PER_TURN = 2048,
    APPLY_BYTES_PER_TURN = 4 * 1024 * 1024,
    TICK_MS = 100,
    EXPIRY_SWEEP_MAX = 300, /* keys of one entry: 1 ms from cold memory */
    RECLAIM_ITEMS_PER_TICK = 10000, /* of a cleared or replaced store */
    TIMER_STEP_MS = 5,              /* raft_timeout may lie in the past (B9) */
    SNAPSHOT_CHUNK_BYTES = 256 * 1024,
    SNAPSHOT_WINDOW = 8, /* chunks asked for at a time */
    SNAPSHOT_FETCH_TIMEOUT_MS = 1000,
    SNAPSHOT_OFFER_INTERVAL_MS = 500,
    SNAPSHOT_REOFFER_MS = 2000,
    SNAPSHOT_SENDING_IDLE_MS = 5000 /* a transfer without a fetch has ended */
};

/* A frame that waits until term and vote are durable. */
struct held_frame {
    struct held_frame *next;
    uint64_t to;
    struct wire_frame frame;
};

/* An AppendEntries whose entries are not in memory any more. */
struct outbound_item {
    struct outbound_item *next;
    struct raft_append_entries args; /* entries unused */
    uint64_t epoch;                  /* raftlog_epoch when it was made */
};

struct replica_peer {
    uint64_t id; /* 0: free */
    char address[REPLICA_ADDRESS_MAX + 1];
    bool connected;
    /* AppendEntries that wait for a log read, in order. */
    struct outbound_item *queue, **queue_tail;
    unsigned n_queued;
    bool reading;
    struct replica *replica;
    /* Snapshot offered or being fetched by the peer. */
    uint64_t offered_ms, fetched_ms;
    uint64_t offered_index;   /* over this connection */
    struct chunk_job *chunks; /* being read for it, in order */
    unsigned n_chunks;
    uint64_t fetch_credit, fetch_credit_ms; /* bytes; rate limit */
    /* The peer's word that its leader is gone (agreed loss). */
    uint64_t lost_term, lost_leader, lost_last_index, lost_last_term;
    uint64_t lost_ms; /* when it said so */
    /* The end of its log as told to a node that forgot; term 0: not told. */
    uint64_t told_in_term, told_index, told_term;
};

/* A configuration entry of the log that is not known to be committed, or is
 * committed but not applied. */
struct pending_change {
    uint64_t index;
    void *block;
    const void *data;
    uint32_t size;
};

struct proposal_waiting {
    void *block;
    uint32_t size;
};

struct compaction {
    /* Of the entries applied since the last snapshot; and as it was when the
     * one under way was begun. */
    uint64_t gathered_bytes, superseded_bytes;
    uint64_t gathered_at_start, superseded_at_start;
    uint64_t base_bytes, base_raw_bytes; /* of the last base of this process */
    uint64_t last_ms;
    bool asked;
    const char *why;
    struct replica_compaction stats;
    struct replica_compactions each;
};

struct replica {
    struct raft raft;
    struct raftlog *log;
    struct store *store;
    struct read_barrier *barrier;
    struct replica_io io;
    struct replica_events events;
    struct replica_options options; /* with defaults filled in; strings unset */
    char *data_dir;
    char *snapshot_dir;
    bool failed;  /* do nothing any more: fatal was reported, or it ends */
    bool closing; /* it ends in order: what fails is still to be reported */
    bool stepping;
    bool opening; /* inside replica_open: events wait */

    struct replica_peer peers[REPLICA_SERVERS_MAX];

    /* What the core was when events.changed was called last. */
    int seen_state;
    uint64_t seen_term, seen_leader;
    bool seen_accepts;
    enum raft_state role_before; /* before the step that is handled */
    uint64_t term_before;

    uint64_t commit; /* highest ever seen (B4) */
    uint64_t applied;
    uint64_t applied_term;
    uint64_t clock_ms; /* replicated: of the applied state */
    bool apply_reading;
    bool apply_more;
    struct buffer reply;

    struct {
        uint64_t clock_ms; /* highest given or seen in an entry */
        uint64_t given_ms; /* monotonic time of that */
        /* As leader: the last sweep made is not applied yet. */
        bool sweeping;
        uint64_t sweep_clock_ms;
        bool more; /* a sweep deleted as many as it might: look again */
    } expiry;
    uint64_t n_expired; /* keys deleted by sweeps, in this life */

    /* As leader: index of the first entry of the own term (B6). */
    uint64_t own_term_index;
    uint64_t submitted; /* last index of our own submits */
    struct proposal_waiting *gathered;
    size_t n_gathered, gathered_cap;
    uint64_t gathered_bytes;
    uint64_t gathered_since_ms;
    uint64_t uncommitted_bytes; /* payload of submitted, not committed */
    uint64_t refused;           /* a proposal was refused since events.room */

    /* Configurations: known committed and applied ones, and later ones. */
    void *configuration; /* block: encoded, as of configuration_index */
    uint32_t configuration_size;
    uint64_t configuration_index;
    struct pending_change *changes;
    unsigned n_changes, changes_cap;
    uint64_t change_delivered; /* index of the last RAFT_CONFIGURATION */

    struct held_frame *held, **held_tail;
    unsigned n_held;
    bool reply_stale; /* the message being stepped has a lower term (B13) */

    uint64_t last_time;
    uint64_t timer_fired_ms; /* last RAFT_TIMEOUT */
    uint64_t tick_ms;

    struct {
        bool active;
        bool draining;     /* the process is about to end */
        bool transferring; /* RAFT_TRANSFER was stepped */
        bool asked;        /* by replica_transfer */
        uint64_t target;   /* 0: any */
        uint64_t deadline_ms;
        uint64_t stalled_until_ms; /* no further handover for a stall before */
    } handover;
    struct {
        uint64_t term, leader; /* this node's own loss; 0: none */
        bool campaigning;
        uint64_t next_ms, deadline_ms;
        uint64_t hurry_until_ms; /* agreed: short timers; 0: no hurry */
    } loss;

    struct {
        bool active;   /* this node may have forgotten */
        uint64_t term; /* what it acknowledged in this term or before */
    } forgot;

    /* Snapshots. */
    struct snapshot_manifest manifest; /* the chain on disk */
    uint64_t snapshot_index;
    uint64_t snapshot_ms;
    uint64_t written_at_snapshot; /* raftlog written_bytes */
    uint64_t written_at_tick;     /* the same, for retention.c */
    uint64_t peers_need; /* serve_needs when it was taken: a connection that
                            is lost for a moment changes nothing */
    struct snapshotter *snapshotter; /* taking one; NULL: none */
    struct compaction compaction;
    uint64_t snapshot_retry_ms;
    uint64_t snapshot_slice_us_max;
    bool installing; /* between UPDATE_SNAPSHOT and PERSISTED_SNAPSHOT */
    struct snapshot_fetch *fetch; /* receiving one; NULL: none */
    struct store *old_store;      /* replaced, freed in slices */

    uint64_t n_elections_started, n_elections_won, n_dropped_frames;
};

/* ---- driver.c ---- */
/* Run one event through the core and handle its update. Returns what
 * raft_step returned for refusals of SUBMIT and TRANSFER; any other error is
 * fatal. */
int driver_step(struct replica *r, struct raft_event *event);
void driver_receive(struct replica *r, struct raft_message *message);
/* Log progress: durable entries to the core, held frames out. */
void driver_progress(void *replica);
void driver_submit(struct replica *r, bool force);
uint64_t driver_deadline_ms(const struct replica *r);
void driver_timer(struct replica *r);
void driver_fatal(struct replica *r, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A leader has another entry where one is committed here. */
void driver_contradicted(struct replica *r);
/* Tell the service when role, term, leader or accepts differ from before. */
void driver_changed(struct replica *r);
bool replica_accepts(const struct replica *r);
uint64_t replica_now(struct replica *r);
/* Index and term of the last entry of the log. */
void replica_log_end(const struct replica *r, uint64_t *index, uint64_t *term);
void replica_trace(const struct replica *r, enum trace_level level,
                   const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- replica.c ---- */
int replica_open_barrier(struct replica *r);

/* ---- replica_load.c ---- */
/* Store and log from the data directory, made to agree. Errors: those of
 * raftlog_open and snapshot_chain_open, ERR_CORRUPT. */
int replica_load(struct replica *r, const struct replica_options *o,
                 struct raftlog_report *report, struct err_info *info);
/* RAFT_START with the snapshot and everything the log holds; may raise the term
 * in report. */
int replica_start(struct replica *r, struct raftlog_report *report,
                  struct err_info *info);

/* ---- replica_options.c ---- */
/* What is not given becomes its default. */
void replica_options_fill(struct replica_options *o);

/* ---- replica_heap.c ---- */
void replica_heap_install(void);

/* ---- replica_peers.c ---- */
struct replica_peer *replica_find_peer(struct replica *r, uint64_t id);
void replica_add_peer(struct replica *r, uint64_t id, const char *address);
/* Peers of the present configuration, added to those known before. */
void replica_sync_peers(struct replica *r);
/* Of the present configuration; NULL: no member. */
const struct raft_server *replica_find_server(const struct replica *r,
                                              uint64_t id);
bool replica_is_voter(const struct replica *r, uint64_t id);
unsigned replica_n_voters(const struct replica *r);
/* Voters connected, this node included if it is one. */
unsigned replica_n_voters_connected(struct replica *r);

/* ---- filter.c ---- */
/* Check and rewrite a decoded message before it is stepped. Returns false when
 * it must be dropped. */
bool filter_message(struct replica *r, struct raft_message *m);
/* A leader that was not heard for an election timeout is none. */
void filter_silent_leader(struct replica *r);
/* Before an AppendEntries with a configuration at its head (B2). */
void filter_before_change(struct replica *r, const struct raft_message *m);

/* ---- outbound.c ---- */
void outbound_message(struct replica *r, const struct raft_message *m);
/* Send, or hold until the hard state is durable. Takes the frame's body. */
bool outbound_send(struct replica *r, uint64_t to, struct wire_frame *frame);
void outbound_release_held(struct replica *r);
/* The connection has closed: what waits for it goes. */
void outbound_peer_lost(struct replica *r, struct replica_peer *peer);
void outbound_clear_peer(struct replica_peer *peer);
void outbound_close(struct replica *r);

/* ---- apply.c ---- */
void apply_commit(struct replica *r);
/* Remember and forget configuration entries of the log. */
int apply_note_change(struct replica *r, uint64_t index, const void *data,
                      uint32_t size);
void apply_truncate_changes(struct replica *r, uint64_t from);
/* Deliver RAFT_CONFIGURATION for what is committed through commit. */
void apply_deliver_changes(struct replica *r, uint64_t commit);
/* State restored from a snapshot. Takes a copy of the configuration. */
int apply_restore(struct replica *r, const struct snapshot_meta *meta);

/* ---- expiry.c ---- */
/* An entry of the log carries this clock, or the state of a snapshot does. */
void expiry_saw(struct replica *r, uint64_t clock_ms);
/* The clock of this node as leader; never goes back. */
uint64_t expiry_clock(struct replica *r);
/* As leader: false while an entry that brings the state's clock to this one is
 * on its way (it is made when there is none); true when the clock is there, or
 * no entry can be made now. */
bool expiry_settle(struct replica *r, uint64_t clock_ms);
/* Make a sweep when one is due: each tick; at the end of a turn when the sweep
 * before left some. */
void expiry_tick(struct replica *r);
void expiry_flush(struct replica *r);
/* Carry out a sweep; the state's clock has taken the entry's already. Errors:
 * ERR_NOMEM. */
int expiry_apply(struct replica *r, uint64_t term, const struct proposal *p);
/* Role or term is another one: what was gathered is gone. */
void expiry_changed(struct replica *r);

/* ---- forgot.c ---- */
/* What the log has reported, before START; may raise the term in report. */
int forgot_open(struct replica *r, struct raftlog_report *report,
                bool only_voter);
/* After progress of the log: is it all here again? */
void forgot_check(struct replica *r);
void forgot_tick(struct replica *r);
bool forgot_may_campaign(const struct replica *r);
/* A vote request; false: drop it. May make it one that is refused. */
bool forgot_filter_vote(const struct replica *r, struct raft_request_vote *m);
void forgot_asked(struct replica *r, const struct wire_message *m);
void forgot_told(struct replica *r, const struct wire_message *m);

/* ---- handover.c ---- */
void handover_start(struct replica *r, uint64_t target, bool draining);
void handover_poll(struct replica *r);
void handover_peer_lost(struct replica *r, uint64_t id);
void handover_peer_found(struct replica *r, uint64_t id);
void handover_leader_lost(struct replica *r, const struct wire_message *m);
/* After each step: another leader may have been heard. */
void handover_stepped(struct replica *r);
/* Whether a majority has agreed that this leader is gone. */
bool handover_is_lost(const struct replica *r, uint64_t leader);
uint64_t handover_deadline_ms(const struct replica *r);
void handover_tick(struct replica *r);

/* ---- compaction.c ---- */
/* An entry of size bytes was applied; before: the store's counts before it. */
void compaction_applied(struct replica *r, uint32_t size,
                        const struct store_counts *before);
/* A snapshot was begun; is complete; another one replaced the state. */
void compaction_started(struct replica *r);
void compaction_done(struct replica *r, uint64_t us);
void compaction_reset(struct replica *r);
/* Whether the disk has room for a base. */
bool compaction_has_room(struct replica *r);
/* How many bytes the disk lacks for one, and beside it for so much more log. */
uint64_t compaction_missing(const struct replica *r, uint64_t spare);
/* Begin one when it is due. */
void compaction_tick(struct replica *r);

/* ---- retention.c ---- */
/* How many entries at and below index stay when a snapshot covers it. */
uint64_t retention_keep(const struct replica *r, uint64_t index);
/* Let go of what the newest snapshot covers and the options do not keep. */
void retention_release(struct replica *r);
/* Whether a full disk can still be given files that only their age keeps. */
bool retention_can_yield(const struct replica *r);
void retention_tick(struct replica *r);
/* The log may have found no room for a segment. */
void retention_progress(struct replica *r);

/* ---- snapshotter.c ---- */
void snapshotter_tick(struct replica *r);
int snapshotter_start(struct replica *r);
/* Give up the snapshot being taken (the node stops). */
void snapshotter_abort(struct replica *r);
/* Load the chain into a new store. Blocking: start-up or pool thread. */
int snapshotter_load(const char *dir, const struct snapshot_manifest *manifest,
                     struct store **out, struct snapshot_meta *meta,
                     struct err_info *info);

/* ---- snapshot_serve.c ---- */
void serve_offer(struct replica *r, const struct raft_message *m);
void serve_fetch(struct replica *r, const struct wire_message *m);
/* How many entries at and below index the peers of a leader still need: those
 * that are connected and not too far behind. */
uint64_t serve_needs(const struct replica *r, uint64_t index);
/* Whether a peer is fetching from us. */
bool serve_active(const struct replica *r);
void serve_tick(struct replica *r);
void serve_close(struct replica *r);

/* ---- snapshot_fetch.c ---- */
void fetch_offered(struct replica *r, const struct wire_message *m);
void fetch_chunk(struct replica *r, const struct wire_message *m, void *block);
/* UPDATE_SNAPSHOT: the core accepted what was fetched. */
void fetch_install(struct replica *r, struct raft_snapshot_metadata *meta);
void fetch_tick(struct replica *r);
void fetch_progress(const struct replica *r, uint64_t *done, uint64_t *total);
void fetch_close(struct replica *r);

#endif
