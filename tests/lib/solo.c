#include "tests/lib/solo.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/command.h"
#include "raftlog/block.h"
#include "raftlog/internal.h"

static uint64_t io_now(void *ctx)
{
    const struct solo *s = ctx;
    return s->now_ms;
}

static uint64_t io_clock(void *ctx)
{
    const struct solo *s = ctx;
    return s->clock_ms;
}

static uint64_t io_random(void *ctx)
{
    struct solo *s = ctx;
    s->random = s->random * 6364136223846793005u + 1442695040888963407u;
    return s->random >> 16;
}

static bool io_send(void *ctx, uint64_t to, const struct wire_frame *f)
{
    struct solo *s = ctx;
    struct solo_sent *sent = &s->sent[s->n_sent];
    struct err_info info;
    uint8_t *block = block_new(f->head_size + f->body_size);
    assert(s->n_sent < SOLO_SENT_MAX && block != NULL);
    memcpy(block, f->head, f->head_size);
    if (f->body_size > 0) {
        memcpy(block + f->head_size, f->body_at, f->body_size);
    }
    sent->to = to;
    sent->block = block;
    if (wire_decode(s->options.id, block, f->head_size + f->body_size, &sent->m,
                    &info) != 0) {
        fprintf(stderr, "own frame refused: %s\n", info.message);
        abort();
    }
    s->n_sent++;
    return true;
}

static uint64_t io_queued(void *ctx, uint64_t to, enum wire_lane lane)
{
    (void)ctx;
    (void)to;
    (void)lane;
    return 0;
}

static void io_work(void *ctx, void (*work)(void *), void (*done)(void *),
                    void *arg)
{
    struct solo *s = ctx;
    assert(s->n_jobs < SOLO_JOBS_MAX);
    s->jobs[s->n_jobs].work = work;
    s->jobs[s->n_jobs].done = done;
    s->jobs[s->n_jobs].arg = arg;
    s->n_jobs++;
}

static void io_fatal(void *ctx, const struct err_info *info)
{
    struct solo *s = ctx;
    s->fatal = true;
    snprintf(s->fatal_message, sizeof s->fatal_message, "%s", info->message);
}

static void io_trace(void *ctx, enum trace_level level, const char *line)
{
    (void)ctx;
    if (getenv("SOLO_TRACE") != NULL) {
        fprintf(stderr, "%d %s\n", (int)level, line);
    }
}

static void on_applied(void *ctx, uint64_t index, uint64_t term,
                       const struct proposal *p, const struct buffer *reply)
{
    struct solo *s = ctx;
    (void)index;
    (void)term;
    (void)reply;
    s->n_applied += p != NULL;
}

static void on_jumped(void *ctx, uint64_t index, uint64_t term)
{
    struct solo *s = ctx;
    (void)term;
    s->jumped_to = index;
}

static void on_nothing(void *ctx)
{
    (void)ctx;
}

static void on_message(void *ctx, const struct wire_message *m, void *block)
{
    (void)ctx;
    (void)m;
    (void)block;
}

static void on_peer(void *ctx, uint64_t id, bool connected)
{
    (void)ctx;
    (void)id;
    (void)connected;
}

static void on_drained(void *ctx)
{
    struct solo *s = ctx;
    s->n_drained++;
}

static void on_transferred(void *ctx, bool done)
{
    struct solo *s = ctx;
    s->n_transferred++;
    s->transferred = done;
}

static void open_replica(struct solo *s)
{
    struct replica_io io = {s,        io_now,      io_clock, io_random,
                            io_send,  io_queued,   io_work,  io_fatal,
                            io_trace, TRACE_DEBUG, NULL};
    struct replica_events events = {s,          on_applied, on_jumped,
                                    on_nothing, on_nothing, on_message,
                                    on_peer,    on_drained, on_transferred};
    struct err_info info;
    s->options.data_dir = s->dir.path;
    s->options.initial = s->servers;
    if (replica_open(&s->options, &io, &events, &s->r, &info) != 0) {
        fprintf(stderr, "replica_open: %s\n", info.message);
        abort();
    }
    solo_settle(s);
}

void solo_open(struct solo *s, uint64_t id, unsigned n)
{
    memset(s, 0, sizeof *s);
    s->now_ms = 1000000;
    s->clock_ms = 1700000000000u;
    s->random = 42 + id;
    temp_dir_make(&s->dir);
    s->options.id = id;
    s->options.n_initial = n;
    s->options.election_timeout_ms = 300;
    s->options.segment_bytes = 4 * 1024 * 1024;
    for (unsigned i = 0; i < n; i++) {
        s->servers[i].id = i + 1;
        s->servers[i].role = RAFT_VOTER;
        snprintf(s->servers[i].address, sizeof s->servers[i].address,
                 "node%u:1", i + 1);
    }
    open_replica(s);
}

static void drain_jobs(struct solo *s)
{
    s->jobs_held = false;
    while (s->n_jobs > 0) {
        solo_run_jobs(s);
    }
}

void solo_reopen(struct solo *s)
{
    replica_close(s->r);
    drain_jobs(s);
    solo_forget(s);
    open_replica(s);
}

void solo_restart(struct solo *s)
{
    open_replica(s);
}

void solo_close(struct solo *s)
{
    if (s->fatal) {
        replica_abandon(s->r);
    } else {
        replica_close(s->r);
    }
    drain_jobs(s);
    solo_forget(s);
    temp_dir_remove(&s->dir);
}

void solo_run_jobs(struct solo *s)
{
    size_t n = s->n_jobs;
    for (size_t i = 0; i < n; i++) {
        s->jobs[i].work(s->jobs[i].arg);
        s->jobs[i].done(s->jobs[i].arg);
    }
    memmove(s->jobs, s->jobs + n, (s->n_jobs - n) * sizeof s->jobs[0]);
    s->n_jobs -= n;
}

void solo_turn(struct solo *s)
{
    if (replica_deadline_ms(s->r) <= s->now_ms) {
        replica_timer(s->r);
    }
    replica_poll(s->r);
    if (!s->jobs_held) {
        solo_run_jobs(s);
    }
    replica_flush(s->r);
}

void solo_settle(struct solo *s)
{
    /* Bounded: a write that takes ten seconds fails the test that waits. */
    for (int i = 0; i < 1000 && !s->fatal; i++) {
        struct raftlog_stats stats;
        struct pollfd p = {replica_fd(s->r), POLLIN, 0};
        solo_turn(s);
        replica_log_stats(s->r, &stats);
        if (stats.pending_bytes == 0 && (s->n_jobs == 0 || s->jobs_held) &&
            raftlog_hard_state_durable(s->r->log) &&
            raftlog_persisted_index(s->r->log) ==
                raftlog_last_index(s->r->log) &&
            !s->r->log->syncing.active && s->r->n_gathered == 0 &&
            !s->r->apply_more) {
            break;
        }
        poll(&p, 1, 10);
    }
    solo_turn(s);
}

void solo_advance(struct solo *s, uint64_t ms)
{
    for (uint64_t i = 0; i < ms; i++) {
        s->now_ms++;
        s->clock_ms++;
        solo_turn(s);
        if (s->r->failed) {
            return;
        }
    }
    solo_settle(s);
}

void solo_connect_all(struct solo *s)
{
    for (unsigned i = 0; i < s->options.n_initial; i++) {
        replica_peer(s->r, s->servers[i].id, true);
    }
}

static void receive_block(struct solo *s, uint64_t from,
                          const struct wire_frame *f)
{
    uint8_t *block = block_new(f->head_size + f->body_size);
    memcpy(block, f->head, f->head_size);
    if (f->body_size > 0) {
        memcpy(block + f->head_size, f->body_at, f->body_size);
    }
    replica_receive(s->r, from, block, f->head_size + f->body_size);
    block_unref(block);
}

void solo_receive(struct solo *s, uint64_t from, const struct wire_message *m)
{
    struct wire_frame f;
    wire_encode(m, &f);
    receive_block(s, from, &f);
}

/* A payload that the replica can apply: SET k v. */
static void *set_payload(struct solo *s, const char *key, const char *value,
                         uint32_t *size)
{
    struct proposal p;
    static uint64_t request_id;
    struct bytes argv[3] = {
        {(const uint8_t *)"SET", 3},
        {(const uint8_t *)key, strlen(key)},
        {(const uint8_t *)value, strlen(value)},
    };
    memset(&p, 0, sizeof p);
    p.kind = PROPOSAL_COMMAND;
    p.origin = s->options.id;
    p.request_id = ++request_id;
    p.clock_ms = s->clock_ms;
    p.code = command_find(argv[0])->code;
    p.argc = 3;
    p.argv = argv;
    return proposal_encode(&p, size);
}

static void put_configuration(struct byte_writer *w, uint64_t term, unsigned n)
{
    struct raft_configuration conf;
    struct raft_buffer buf;
    raft_configuration_init(&conf);
    for (unsigned i = 0; i < n; i++) {
        char address[32];
        snprintf(address, sizeof address, "node%u:1", i + 1);
        raft_configuration_add(&conf, i + 1, address, RAFT_VOTER);
    }
    raft_configuration_encode(&conf, &buf);
    raft_configuration_close(&conf);
    wire_entry_put(w, RAFT_CHANGE, term, buf.base, (uint32_t)buf.len);
    raft_free(buf.base);
}

void solo_append(struct solo *s, uint64_t from, uint64_t term, uint64_t prev,
                 uint64_t prev_term, uint64_t commit, const char *kinds,
                 uint64_t entry_term, unsigned n_servers)
{
    static uint8_t body[1 << 16];
    struct byte_writer w = byte_writer(body, sizeof body);
    struct wire_message m;
    struct wire_frame f;
    memset(&m, 0, sizeof m);
    m.type = WIRE_APPEND_ENTRIES;
    m.as.raft.type = RAFT_APPEND_ENTRIES;
    m.as.raft.append_entries.term = term;
    m.as.raft.append_entries.prev_log_index = prev;
    m.as.raft.append_entries.prev_log_term = prev_term;
    m.as.raft.append_entries.leader_commit = commit;
    m.as.raft.append_entries.n_entries = (unsigned)strlen(kinds);
    for (const char *k = kinds; *k != '\0'; k++) {
        uint32_t size;
        void *payload;
        char key[32];
        if (*k == 'C') {
            put_configuration(&w, entry_term, n_servers);
        } else if (*k == 'b') {
            wire_entry_put(&w, RAFT_BARRIER, entry_term, "12345678", 8);
        } else {
            snprintf(key, sizeof key, "key%llu",
                     (unsigned long long)(prev + (uint64_t)(k - kinds) + 1));
            payload = set_payload(s, key, "value", &size);
            wire_entry_put(&w, RAFT_COMMAND, entry_term, payload, size);
            block_unref(payload);
        }
    }
    wire_encode(&m, &f);
    f.body_at = body;
    f.body_size = (uint32_t)(w.at - body);
    receive_block(s, from, &f);
}

void solo_ack(struct solo *s, uint64_t from, uint64_t term, uint64_t index)
{
    struct wire_message m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_APPEND_ENTRIES_RESULT;
    m.as.raft.type = RAFT_APPEND_ENTRIES_RESULT;
    m.as.raft.append_entries_result.term = term;
    m.as.raft.append_entries_result.last_log_index = index;
    solo_receive(s, from, &m);
}

void solo_vote(struct solo *s, uint64_t from, uint64_t term, bool pre_vote)
{
    struct wire_message m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_REQUEST_VOTE_RESULT;
    m.as.raft.type = RAFT_REQUEST_VOTE_RESULT;
    m.as.raft.request_vote_result.term = term;
    m.as.raft.request_vote_result.vote_granted = true;
    m.as.raft.request_vote_result.pre_vote = pre_vote;
    solo_receive(s, from, &m);
}

void solo_lead(struct solo *s)
{
    uint64_t other = s->options.id == 1 ? 2 : 1;
    solo_connect_all(s);
    for (int i = 0; i < 2000 && raft_state(&s->r->raft) != RAFT_CANDIDATE;
         i++) {
        solo_advance(s, 1);
    }
    solo_vote(s, other, replica_term(s->r) + 1, true);
    solo_settle(s);
    solo_vote(s, other, replica_term(s->r), false);
    solo_settle(s);
    assert(replica_is_leader(s->r));
    solo_ack(s, other, replica_term(s->r), raftlog_last_index(s->r->log));
    solo_settle(s);
    assert(replica_accepts(s->r));
}

void solo_propose(struct solo *s, const char *key, const char *value)
{
    uint32_t size;
    void *payload = set_payload(s, key, value, &size);
    int rv = replica_propose(s->r, replica_term(s->r), payload, size);
    block_unref(payload);
    if (rv != 0) {
        fprintf(stderr, "replica_propose: %s\n", err_text(rv));
        abort();
    }
}

const struct wire_message *solo_last(const struct solo *s, uint64_t to,
                                     enum wire_type type)
{
    for (size_t i = s->n_sent; i > 0; i--) {
        if ((to == 0 || s->sent[i - 1].to == to) &&
            s->sent[i - 1].m.type == type) {
            return &s->sent[i - 1].m;
        }
    }
    return NULL;
}

size_t solo_count(const struct solo *s, uint64_t to, enum wire_type type)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_sent; i++) {
        n += (to == 0 || s->sent[i].to == to) && s->sent[i].m.type == type;
    }
    return n;
}

void solo_forget(struct solo *s)
{
    for (size_t i = 0; i < s->n_sent; i++) {
        wire_message_clear(&s->sent[i].m);
        block_unref(s->sent[i].block);
    }
    s->n_sent = 0;
}
