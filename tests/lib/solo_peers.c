/* What a test says to a solo replica in the name of its peers, and what it has
 * said to them. */
#include "tests/lib/solo.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/command.h"
#include "raftlog/block.h"

/* ---- what peers say -------------------------------------------------------*/

struct wire_message solo_message(enum wire_type type)
{
    struct wire_message m;
    memset(&m, 0, sizeof m);
    m.type = type;
    if (type <= WIRE_TIMEOUT_NOW) {
        m.as.raft.type = (enum raft_message_type)type;
    }
    return m;
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
    struct wire_message m = solo_message(WIRE_APPEND_ENTRIES);
    struct wire_frame f;
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
    solo_reject(s, from, term, 0, index);
}

void solo_reject(struct solo *s, uint64_t from, uint64_t term,
                 uint64_t rejected, uint64_t last)
{
    struct wire_message m = solo_message(WIRE_APPEND_ENTRIES_RESULT);
    m.as.raft.append_entries_result.term = term;
    m.as.raft.append_entries_result.rejected = rejected;
    m.as.raft.append_entries_result.last_log_index = last;
    solo_receive(s, from, &m);
}

void solo_vote(struct solo *s, uint64_t from, uint64_t term, bool pre_vote)
{
    struct wire_message m = solo_message(WIRE_REQUEST_VOTE_RESULT);
    m.as.raft.request_vote_result.term = term;
    m.as.raft.request_vote_result.vote_granted = true;
    m.as.raft.request_vote_result.pre_vote = pre_vote;
    solo_receive(s, from, &m);
}

void solo_ask_vote(struct solo *s, uint64_t from, uint64_t term, uint64_t last,
                   uint64_t last_term, bool pre_vote)
{
    struct wire_message m = solo_message(WIRE_REQUEST_VOTE);
    m.as.raft.request_vote.term = term;
    m.as.raft.request_vote.last_log_index = last;
    m.as.raft.request_vote.last_log_term = last_term;
    m.as.raft.request_vote.pre_vote = pre_vote;
    solo_receive(s, from, &m);
}

bool solo_gives_vote(struct solo *s, uint64_t from, uint64_t term,
                     uint64_t last, uint64_t last_term, bool pre_vote)
{
    size_t before = solo_count(s, from, WIRE_REQUEST_VOTE_RESULT);
    solo_ask_vote(s, from, term, last, last_term, pre_vote);
    solo_settle(s);
    assert(solo_count(s, from, WIRE_REQUEST_VOTE_RESULT) == before + 1);
    return solo_vote_result(s, from)->vote_granted;
}

void solo_leader_lost(struct solo *s, uint64_t from, uint64_t last)
{
    struct wire_message m = solo_message(WIRE_LEADER_LOST);
    m.as.leader_lost.term = 2;
    m.as.leader_lost.leader_id = 2;
    m.as.leader_lost.last_index = last;
    m.as.leader_lost.last_term = 2;
    solo_receive(s, from, &m);
}

/* ---- where the node stands ------------------------------------------------*/

void solo_follow(struct solo *s, uint64_t last)
{
    char kinds[64];
    size_t n = (size_t)(last - 1);
    struct replica_status st;
    assert(n < sizeof kinds);
    memset(kinds, 'c', n);
    kinds[n] = '\0';
    solo_open(s, 1, 3);
    solo_connect_all(s);
    solo_append(s, 2, 2, 1, 1, last, kinds, 2, 3);
    solo_settle(s);
    st = solo_status(s);
    assert(st.commit_index == last && st.applied_index == last);
    solo_forget(s);
}

/* The peer that votes for the node. */
static uint64_t friend_of(const struct solo *s)
{
    return s->options.id == 1 ? 2 : 1;
}

void solo_stand(struct solo *s)
{
    solo_connect_all(s);
    for (int i = 0; i < 2000 && raft_state(&s->r->raft) != RAFT_CANDIDATE;
         i++) {
        solo_advance(s, 1);
    }
    assert(raft_state(&s->r->raft) == RAFT_CANDIDATE);
}

void solo_elect(struct solo *s)
{
    solo_stand(s);
    solo_vote(s, friend_of(s), replica_term(s->r) + 1, true);
    solo_settle(s);
    solo_vote(s, friend_of(s), replica_term(s->r), false);
    solo_settle(s);
    assert(replica_is_leader(s->r));
}

void solo_lead(struct solo *s)
{
    uint64_t other = friend_of(s);
    solo_elect(s);
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

/* ---- what the node says ---------------------------------------------------*/

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

const struct raft_append_entries_result *
solo_append_result(const struct solo *s, uint64_t to)
{
    const struct wire_message *m = solo_last(s, to, WIRE_APPEND_ENTRIES_RESULT);
    assert(m != NULL);
    return &m->as.raft.append_entries_result;
}

const struct raft_request_vote_result *solo_vote_result(const struct solo *s,
                                                        uint64_t to)
{
    const struct wire_message *m = solo_last(s, to, WIRE_REQUEST_VOTE_RESULT);
    assert(m != NULL);
    return &m->as.raft.request_vote_result;
}
