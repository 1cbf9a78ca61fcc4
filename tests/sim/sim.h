/* One simulated cluster: nodes, network, clients and the judge, under a seed.
 *
 *   sim_random, sim_clock          chance and virtual time
 *   sim_disk, sim_inode, sim_file  disks under raftlog/file.h
 *   sim_net                        network under struct replica_io
 *   sim_node, sim_node_io          a process: replica, service, their world
 *   sim_client, sim_history        clients, and what they saw
 *   sim_lease                      when keys of theirs may and must expire
 *   sim_transaction                their transactions, and accounts
 *   sim_ask                        WAIT, and leadership handed over for them
 *   sim_check                      invariants, watched from outside
 *   sim_loss                       what power cuts may take, and what then
 *   sim_fault, sim_aim             random and aimed faults
 *   sim_plan                       one run from seed to verdict (sim_run)
 *   sim_scenario                   readable scenario text
 *
 * Calling sequence: sim_open; sim_node_start for each node; sim_step or
 * sim_advance, until sim.failed is set; sim_close. Thread: one. */
#ifndef SIM_H
#define SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "node/replica.h"
#include "node/service.h"
#include "tests/lib/linear.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_cover.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_fault.h"
#include "tests/sim/sim_loss.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_random.h"

enum { SIM_CLIENTS_MAX = 16, SIM_KEYS_MAX = 16, SIM_FAILURE_MAX = 1024 };

struct sim;

/* ---- options ---- */

struct sim_options {
    uint64_t seed;
    unsigned n_nodes;
    unsigned n_members; /* of the first configuration; the others join */
    bool trace;         /* print what happens to `out` */
    FILE *out;
    unsigned election_timeout_ms;
    uint64_t segment_bytes, cache_bytes;
    uint64_t snapshot_log_bytes, snapshot_entries, trailing_entries;
    uint64_t compact_threshold, compact_age_ms, compact_rate_bytes;
    uint64_t log_retention_bytes, log_retention_ms;
    unsigned inflight_entries;
    unsigned request_timeout_ms;
    unsigned stale_read_max_ms; /* 0: no client is content with stale reads */
    bool weak_syncs;      /* nodes draw their sync policies, and new ones */
    bool majority_cuts;   /* power cuts of more nodes than a minority */
    unsigned skew_ms_max; /* of wall clocks, either way, at first */
    bool flush_late; /* several events of a node before one replica_flush */
};

void sim_options_init(struct sim_options *o, uint64_t seed);

/* ---- nodes (sim_node.c) ---- */

struct sim_job {
    struct sim_job *next;
    uint64_t number;
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
    bool worked;
};

/* An event that came while the node was paused. */
struct sim_deferred {
    struct sim_deferred *next;
    uint64_t kind, arg;
};

/* A bit of a file that is not what was written. */
enum { SIM_ROT_AROUND = 512 };

struct sim_rot {
    char path[128]; /* empty: none */
    uint64_t offset;
    unsigned bit;
    int around[SIM_ROT_AROUND]; /* the sector since; -1: no such byte */
};

struct sim_node {
    struct sim *sim;
    unsigned id;
    struct sim_disk disk;
    struct sim_random random;
    struct replica *replica;
    struct service *service;
    struct replica_events service_events;
    bool up;
    bool paused;
    bool opening;
    bool inside; /* its code runs right now */
    uint64_t life;
    /* The process is to end when the current event is over. */
    bool dying;
    bool dying_by_power;
    bool stopping; /* inside replica_close: nothing is sent */
    struct sim_aim aim;
    uint64_t errors_before; /* injected ones before this life */
    bool data_was_lost;     /* its disk was wiped */
    struct sim_rot rot;
    struct raftlog_sync_policy sync; /* of its next life, and this one */
    bool unsynced; /* it is down, and a power cut would take something */
    bool lossy;    /* a power cut took something, and it is not back yet */
    struct sim_unsynced at_risk; /* sim_loss.c */

    int64_t clock_skew_ms;   /* of the wall clock */
    uint64_t monotonic_base; /* ms */
    int64_t drift_ppm;
    uint64_t timer_at_us; /* scheduled; UINT64_MAX: none */
    uint64_t timer_number;
    bool flush_pending;
    struct sim_job *jobs;
    uint64_t n_jobs;
    struct sim_deferred *deferred, **deferred_tail;
    uint64_t timers_window_us, timers_in_window;

    /* What the judge knows of this node (sim_check.c). */
    uint64_t sent_term;     /* highest in a message that needs it durable */
    uint64_t durable_index; /* at the last crash, or now */
    /* The same under the node's sync policy; what a killed process keeps. */
    uint64_t persisted_index;
    uint64_t commit_seen, applied_seen; /* in this life */
    uint64_t commit_checked; /* terms compared with the ledger through */
    uint64_t truncations_seen;
    uint64_t log_first_seen;
    uint64_t segments_seen;
    uint64_t expired_seen;
    bool was_leader;
};

void sim_node_init(struct sim_node *n, struct sim *sim, unsigned id);
void sim_node_close(struct sim_node *n);
/* Start the process. false: it did not come up (why is traced; an error that
 * no fault explains fails the run). */
bool sim_node_start(struct sim_node *n);
/* Kill the process, or cut the power of its machine. From inside its own code
 * the crash happens when the current event is over, but nothing it does from
 * now on has any effect. */
void sim_node_crash(struct sim_node *n, bool power_cut, const char *why);
void sim_node_stop(struct sim_node *n); /* replica_close: clean */
void sim_node_pause(struct sim_node *n, bool paused);
/* A sync policy for this life and the next ones; draw: any. */
void sim_node_set_sync(struct sim_node *n,
                       const struct raftlog_sync_policy *policy);
struct raftlog_sync_policy sim_sync_draw(const struct sim *sim,
                                         struct sim_random *random);
void sim_node_wipe(struct sim_node *n); /* of a node that is down */
/* Damage a file of a node that is down; false: no such byte. */
bool sim_node_rot(struct sim_node *n, const char *path, uint64_t offset,
                  unsigned bit);
/* Put the bit right again unless the place was written since. */
void sim_node_unrot(struct sim_node *n);
/* Let code of the node run: enter, call, leave. false: it is not running. */
bool sim_node_enter(struct sim_node *n);
void sim_node_leave(struct sim_node *n);
/* Call client_cb(client, life) on the node after a delay, deferred by pauses.
 */
void sim_node_call_client(struct sim_node *n, uint64_t delay_us,
                          uint64_t client);
void sim_node_receive(struct sim_node *n, unsigned from, void *block,
                      size_t size);
void sim_node_peer(struct sim_node *n, unsigned peer, bool connected);
uint64_t sim_node_now_ms(const struct sim_node *n);
uint64_t sim_node_wall_ms(const struct sim_node *n);

/* ---- the judge (sim_check.c) ---- */

struct sim_ledger_entry {
    uint64_t term;         /* 0: not known to be committed */
    uint64_t committed_in; /* term of who said so first */
    bool has_payload;      /* applied somewhere */
    uint64_t payload;      /* checksum of what was applied */
    bool has_hash;
    struct checksum128 hash; /* of the state after it */
    uint64_t clock_ms;       /* of that state */
    uint64_t moment;         /* the last one before it was applied */
};

struct sim_vote {
    uint64_t term;
    unsigned node, candidate;
};

struct sim_check {
    struct sim_ledger_entry *ledger; /* by index */
    uint64_t n_ledger;
    uint64_t commit;   /* highest known to be committed */
    uint64_t *leaders; /* by term: node id, 0 none */
    uint64_t n_leaders;
    struct sim_vote *votes; /* ring of the latest */
    size_t n_votes;
    uint64_t n_applied, n_elections;
};

void sim_check_close(struct sim_check *c);
struct sim_ledger_entry *sim_check_entry(struct sim_check *c, uint64_t index);
/* How many nodes but one (0: none) have a committed entry on disk, or had it
 * when they said so. */
unsigned sim_check_holders(struct sim *sim, uint64_t index, unsigned except);
/* Whether the node was seen to lead in a term above this one. */
bool sim_check_led(const struct sim *sim, unsigned id, uint64_t above);
/* After each event of a node; in the middle of the one that elects it. */
void sim_check_node(struct sim_node *n);
void sim_check_elected(struct sim_node *n);
/* When it was started, before it runs. */
void sim_check_started(struct sim_node *n);
void sim_check_crashed(struct sim_node *n);
void sim_check_applied(struct sim_node *n, uint64_t index, uint64_t term,
                       const struct proposal *p);
void sim_check_jumped(struct sim_node *n, uint64_t index, uint64_t term);
void sim_check_sent(struct sim_node *n, unsigned to,
                    const struct wire_frame *frame);
/* Whether the configuration of the leader (or of any node) has this one. */
bool sim_check_is_member(struct sim *sim, unsigned id);
/* All members are up and have applied the same index. */
bool sim_check_converged(struct sim *sim);
/* Compare whole logs and states, at the end of a run. */
void sim_check_final(struct sim *sim);

/* ---- clients (sim_client.c) ---- */

enum sim_op_kind {
    SIM_OP_GET,
    SIM_OP_SET,
    SIM_OP_DEL,
    SIM_OP_INCR,
    SIM_OP_INCRBY,
    SIM_OP_SETNX,
    SIM_OP_EXISTS,
    SIM_OP_MGET,
    SIM_OP_MSET,
    SIM_OP_SETPX,
    SIM_OP_PEXPIRE,
    SIM_OP_PERSIST,
    SIM_OP_PTTL,
    /* Of no key; see sim_ask.c. */
    SIM_OP_WAIT,
    SIM_OP_LEADER,
    /* Of several commands each; see sim_transaction.c. */
    SIM_OP_WATCH,
    SIM_OP_CAS,
    SIM_OP_TRANSFER,
    SIM_OP_AUDIT
};

/* What is known of a lease beyond its moments: which operation asked for it (by
 * the value it set, or the time to live), and when it ends. */
struct sim_lease_fact {
    enum sim_op_kind kind;
    int64_t tag;
    uint64_t end_ms; /* 0: its entry was not seen applied */
};

struct sim_key {
    char name[16];
    bool counter;
    struct linear_state initial; /* before the history */
    struct linear_op *ops;
    size_t n_ops, capacity;
    struct linear_lease *leases; /* those of the history, with facts */
    struct sim_lease_fact *lease_facts;
    size_t n_leases, leases_capacity;
    /* Counters: sums of what was acknowledged, and what may have happened. */
    int64_t added_min, added_max;
    bool tally_off; /* it was deleted or may have been */
};

enum { SIM_OP_KEYS_MAX = 4, SIM_PIPELINE_MAX = 4, SIM_ACCOUNTS = 3 };

struct sim_op {
    enum sim_op_kind kind;
    unsigned n_keys;
    unsigned key[SIM_OP_KEYS_MAX];
    size_t at[SIM_OP_KEYS_MAX]; /* its linear_op in the key's history */
    int64_t argument;
    int64_t ttl_ms;      /* SETPX, PEXPIRE */
    int64_t result;      /* CAS: the number set */
    unsigned account[2]; /* TRANSFER: from, to */
    uint64_t term;       /* of the node that was asked, and whether it led */
    bool led;
    bool crossed;       /* entries were lost since it was submitted */
    unsigned n_replies; /* that have come, of an operation with several */
    uint64_t started_us;
};

/* What a client has begun with WATCH. */
enum sim_watch { SIM_WATCH_NONE, SIM_WATCH_ASKED, SIM_WATCH_READ };

struct sim_client {
    struct sim *sim;
    unsigned id;
    unsigned node; /* 0: no session */
    uint64_t life; /* of the node, when the session was opened */
    struct session *session;
    struct sim_op pending[SIM_PIPELINE_MAX]; /* submitted, oldest first */
    unsigned n_pending;
    unsigned pipeline; /* how many at a time */
    bool idle;         /* no new operations */
    bool content;      /* with stale reads: sends READONLY first */
    bool readonly;     /* the session has been told so */
    bool telling;      /* is being told: its reply is no operation's */
    bool disappointed; /* was told that there is no leader: may move */
    bool pinned;       /* stays at `wanted_node` */
    unsigned wanted_node;
    bool scheduled;
    uint64_t think_us_max; /* between an answer and the next operation */
    uint64_t patience_us;  /* gives a session up after */
    uint64_t last_sent_us;
    uint64_t n_unknown;
    uint64_t wrote_index; /* of the session's writes; 0: none is known */
    enum sim_watch watch;
    bool watch_refused;
    unsigned watch_key;
    int64_t watch_value;
    /* Of the last finished operation, for scenarios. */
    bool last_ok, last_absent;
    int64_t last_result;
    char last_error[96];
};

void sim_clients_open(struct sim *sim, unsigned n_clients);
void sim_clients_close(struct sim *sim);
/* A submit of this client is due on the node it is connected to. */
void sim_client_due(struct sim_client *c, struct sim_node *n);
/* Send one given operation now, at the client's wanted node. */
bool sim_client_submit(struct sim_client *c, struct sim_op op);
/* Let the client act after a delay. */
void sim_client_wake(struct sim_client *c, uint64_t delay_us);
/* The node's process is about to end: sessions are lost. */
void sim_clients_node_down(struct sim_node *n);

/* ---- histories (sim_history.c) ---- */

unsigned sim_key_find(struct sim *sim, const char *name); /* made if missing */
/* An operation is submitted; its outcome will never be known; the bytes of
 * its answer (of the oldest pending): returns how many were used, 0 when the
 * answer is not complete. */
void sim_history_invoked(struct sim_client *c, struct sim_op *op);
void sim_history_unknown(struct sim_client *c);
size_t sim_history_answer(struct sim_client *c, const uint8_t *start,
                          const uint8_t *end);
/* Judge all histories; false: the run failed. */
bool sim_history_check(struct sim *sim);
/* Judge what was seen until now; from here on the keys are what they were
 * before some of it. What is pending may have happened or not, and so may
 * writes that were answered since that moment: an earlier attempt may be left.
 */
void sim_history_cut(struct sim *sim, uint64_t since);
/* Write the histories as JSON lines. */
void sim_history_write(struct sim *sim, FILE *out);

/* One reply, of an array its head. */
struct sim_reply {
    char type; /* + - : $ * */
    int64_t integer;
    const uint8_t *text;
    size_t size;
    bool null;
};
/* The reply at *at, which moves on; false: not complete. */
bool sim_reply_parse(const uint8_t **at, const uint8_t *end,
                     struct sim_reply *out);
/* The number that a value stands for. */
int64_t sim_reply_number(const struct sim_reply *r);

/* ---- transactions (sim_transaction.c) ---- */

struct sim_account {
    int64_t min, max; /* what it may hold, by what was acknowledged and tried */
    int64_t sure;     /* by what was acknowledged alone */
    int64_t last;     /* as last audited */
};

bool sim_is_transaction(enum sim_op_kind kind);
/* Begin one; counter: a key for those that count. */
struct sim_op sim_transaction_draw(struct sim_client *c, unsigned counter);
/* The client has read what it watches: what follows. */
struct sim_op sim_transaction_next(struct sim_client *c);
void sim_transaction_submit(struct sim_client *c, const struct sim_op *op);
/* How many replies the operation gets; the last one decides. */
unsigned sim_transaction_replies(const struct sim_op *op);
void sim_transaction_invoked(struct sim *sim, const struct sim_op *op);
/* A reply before the last; the last one, no error (false: nothing was
 * executed); it was not executed. */
void sim_transaction_part(struct sim_client *c, const struct sim_op *op,
                          const struct sim_reply *r);
bool sim_transaction_done(struct sim_client *c, struct sim_op *op,
                          const uint8_t *at, const uint8_t *end);
void sim_transaction_failed(struct sim_client *c, const struct sim_op *op);
/* After the last audit, when all is quiet. */
void sim_accounts_check(struct sim *sim);
/* They hold what this store does: what was done is not known to be. */
void sim_accounts_restart(struct sim *sim, struct store *store);

/* ---- WAIT and LEADER TRANSFER (sim_ask.c) ---- */

bool sim_is_ask(enum sim_op_kind kind);
struct sim_op sim_ask_draw(struct sim_client *c);
void sim_ask_submit(struct sim_client *c, const struct sim_op *op);
/* The answer, no error. */
void sim_ask_done(struct sim_client *c, const struct sim_op *op, int64_t reply);
/* A write of the session was answered; an entry was applied, or taken back
 * behind an index. */
void sim_ask_wrote(struct sim_client *c, const struct sim_op *op);
void sim_ask_applied(struct sim *sim, const struct proposal *p, uint64_t index);
void sim_ask_cut(struct sim *sim, uint64_t last);
/* Whether some node takes writes. */
bool sim_takes_writes(struct sim *sim);

/* ---- the order of what clients did (sim_moment.c) ---- */

/* The next moment. */
uint64_t sim_moment(struct sim *sim);
/* One behind all moments that are more than `us` ago, and before the others. */
uint64_t sim_moment_ago(struct sim *sim, uint64_t us);
void sim_moments_close(struct sim *sim);

/* ---- keys that expire (sim_lease.c) ---- */

/* No leader's clock is above this now. */
uint64_t sim_clock_bound_ms(struct sim *sim);
/* Bring the moments of all leases up to now: before each moment of the
 * histories. */
void sim_leases_update(struct sim *sim);
/* Set the wall clock of a node by so much. */
void sim_node_set_wall(struct sim_node *n, int64_t by_ms);
/* A lease of a key, to be known again by kind and tag when it is applied; its
 * number. */
size_t sim_lease_new(struct sim_key *key, enum sim_op_kind kind, int64_t tag);
/* An entry was applied for the first time; the state's clock after it. */
void sim_lease_applied(struct sim *sim, const struct proposal *p,
                       uint64_t clock_ms);

/* ---- the whole ---- */

struct sim {
    struct sim_options options;
    struct sim_random random;
    struct sim_clock clock;
    struct sim_net net;
    struct sim_node nodes[SIM_NODES_MAX + 1]; /* from 1 */
    struct sim_check check;
    struct sim_client clients[SIM_CLIENTS_MAX];
    unsigned n_clients;
    struct sim_random client_random;
    struct sim_key keys[SIM_KEYS_MAX];
    unsigned n_keys;
    struct sim_account accounts[SIM_ACCOUNTS];
    int64_t value_padding; /* bytes added to values; -1: draw */
    struct sim_clock_bound {
        uint64_t ms, at_us;
    } clock_bound;    /* sim_lease.c */
    int64_t n_ttls;   /* each time to live given by PEXPIRE is another */
    int64_t n_values; /* each written value has a number of its own */
    struct sim_moments {
        uint64_t last;
        struct sim_moment_at *at; /* in order of time */
        size_t n, capacity;
        uint64_t n_ago;
    } moments; /* sim_moment.c */
    struct sim_written {
        struct sim_written_at *at; /* in order of the log */
        size_t n, capacity;
    } written; /* sim_ask.c */
    struct sim_loss loss;
    struct sim_faults faults;
    uint64_t n_acknowledged;
    uint64_t n_crashes;
    bool failed;
    char failure[SIM_FAILURE_MAX];
};

void sim_open(struct sim *sim, const struct sim_options *options);
void sim_close(struct sim *sim);
/* One event, or time to limit_us; false: nothing more before, or failed. */
bool sim_step(struct sim *sim, uint64_t limit_us);
void sim_advance(struct sim *sim, uint64_t duration_us);
/* The first failure is kept. */
void sim_fail(struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void sim_trace(struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct sim_node *sim_leader(struct sim *sim); /* of the highest term; NULL */

#endif
