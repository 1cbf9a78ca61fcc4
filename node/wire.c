/* Encoding and decoding of messages between nodes; see wire.h.
 *
 * Layout behind the type byte (u64 unless said otherwise):
 *   AppendEntries        term, prev index, prev term, commit, u32 n, then
 *                        (body) n * (u8 kind, varint term, varint size, data)
 *   AppendEntriesResult  term, rejected, last index
 *   RequestVote          term, last index, last term, u8 disrupt, u8 pre-vote
 *   RequestVoteResult    term, u8 granted, u8 pre-vote
 *   InstallSnapshot      term, last index, last term, conf index; (body)
 *                        manifest
 *   TimeoutNow           term, last index, last term
 *   BarrierPing, Pong    term, sequence
 *   ReadIndex            id, term, u8 settle
 *   ReadIndexResult      id, term, index, clock ms, u8 -status
 *   Forward              request id, term; (body) payload
 *   ForwardResult        request id, term, u8 -status; (body) reply
 *   SnapshotFetch        id[16], offset, u32 size
 *   SnapshotChunk        id[16], offset, u32 size, u8 -status; (body) bytes
 *   LeaderLost           term, leader id, last index, last term
 *   LogQuestion, Answer  term, last index, last term
 *   Transfer             request id, term, target id
 *   TransferResult       request id, term, u8 -status; (body) text
 *   Match                request id, term
 *   MatchResult          request id, term, commit; (body) n * u64
 * The candidate of a RequestVote is the sender: a node can not ask for
 * another's votes. */
#include "node/wire.h"

#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"

/* Terms and indexes beyond this are nobody's: a huge term would be adopted by
 * the core and leave no room for another election. */
static const uint64_t WIRE_NUMBER_MAX = (uint64_t)1 << 62;

static int protocol_error(struct err_info *info, const char *what)
{
    return err_set(info, ERR_PROTOCOL, "malformed peer message: %s", what);
}

size_t wire_entry_size(uint64_t term, uint32_t size)
{
    return 1 + byte_varint_size(term) + byte_varint_size(size) + size;
}

void wire_entry_put(struct byte_writer *w, uint8_t kind, uint64_t term,
                    const void *data, uint32_t size)
{
    byte_put_u8(w, kind);
    byte_put_varint(w, term);
    byte_put_varint(w, size);
    byte_put(w, data, size);
}

/* ---- configuration ---- */

/* One server as it stands in an encoded configuration. */
struct configuration_item {
    uint64_t id;
    const char *address;
    uint8_t role;
};

/* Reads the next server; the address is NUL-terminated inside the buffer. */
static void configuration_item_get(struct byte_reader *r,
                                   struct configuration_item *item)
{
    const uint8_t *nul;
    item->id = byte_get_u64(r);
    item->address = (const char *)r->at;
    nul = byte_left(r) > 0 ? memchr(r->at, 0, byte_left(r)) : NULL;
    if (nul == NULL || nul == r->at) {
        r->failed = true;
        return;
    }
    byte_get(r, (size_t)(nul - r->at) + 1);
    item->role = byte_get_u8(r);
    if (item->id == 0 || item->role > RAFT_SPARE) {
        r->failed = true;
    }
}

enum { CONFIGURATION_SERVERS_MAX = 64 };

int wire_configuration_check(const void *data, size_t size)
{
    struct configuration_item items[CONFIGURATION_SERVERS_MAX];
    struct byte_reader r = byte_reader(data, size);
    uint64_t n;
    if (byte_get_u8(&r) != 1) {
        return ERR_PROTOCOL;
    }
    n = byte_get_u64(&r);
    if (r.failed || n == 0 || n > CONFIGURATION_SERVERS_MAX) {
        return ERR_PROTOCOL;
    }
    for (uint64_t i = 0; i < n; i++) {
        configuration_item_get(&r, &items[i]);
        if (r.failed) {
            return ERR_PROTOCOL;
        }
        for (uint64_t j = 0; j < i; j++) {
            if (items[j].id == items[i].id ||
                strcmp(items[j].address, items[i].address) == 0) {
                return ERR_PROTOCOL;
            }
        }
    }
    /* The core pads the encoding to whole words with zeroes. */
    while (byte_left(&r) > 0) {
        if (byte_get_u8(&r) != 0) {
            return ERR_PROTOCOL;
        }
    }
    return 0;
}

int wire_configuration_decode(const void *data, size_t size,
                              struct raft_configuration *out)
{
    struct raft_configuration conf;
    struct byte_reader r = byte_reader(data, size);
    int rv = wire_configuration_check(data, size);
    uint64_t n;
    if (rv != 0) {
        return rv;
    }
    raft_configuration_init(&conf);
    byte_get_u8(&r);
    n = byte_get_u64(&r);
    for (uint64_t i = 0; i < n; i++) {
        struct configuration_item item;
        configuration_item_get(&r, &item);
        if (raft_configuration_add(&conf, item.id, item.address, item.role) !=
            0) {
            raft_configuration_close(&conf);
            return ERR_NOMEM;
        }
    }
    *out = conf;
    return 0;
}

/* ---- decoding ---- */

static uint64_t get_number(struct byte_reader *r)
{
    uint64_t v = byte_get_u64(r);
    if (v > WIRE_NUMBER_MAX) {
        r->failed = true;
    }
    return v;
}

static bool get_bool(struct byte_reader *r)
{
    uint8_t v = byte_get_u8(r);
    if (v > 1) {
        r->failed = true;
    }
    return v == 1;
}

static int get_status(struct byte_reader *r)
{
    return -(int)byte_get_u8(r);
}

/* Entries of an AppendEntries: terms between prev term and the message's, not
 * decreasing (Log Matching); a configuration only at the head (C-RAFT.md B1),
 * and completely checked. */
static int decode_entries(struct byte_reader *r, uint32_t n,
                          struct raft_append_entries *ae, struct err_info *info)
{
    raft_term term = ae->prev_log_term > 0 ? ae->prev_log_term : 1;
    ae->entries = NULL;
    ae->n_entries = 0;
    if (n > WIRE_ENTRIES_MAX || n > byte_left(r) / 3) {
        return protocol_error(info, "too many entries");
    }
    if (n == 0) {
        return byte_left(r) == 0 ? 0 : protocol_error(info, "extra bytes");
    }
    ae->entries = calloc(n, sizeof *ae->entries);
    if (ae->entries == NULL) {
        return err_set(info, ERR_NOMEM, "no memory for %u entries", n);
    }
    for (uint32_t i = 0; i < n; i++) {
        struct raft_entry *e = &ae->entries[i];
        uint8_t kind = byte_get_u8(r);
        uint64_t size;
        e->term = byte_get_varint(r);
        size = byte_get_varint(r);
        e->buf.base = (void *)(uintptr_t)r->at;
        byte_get(r, size <= SIZE_MAX ? (size_t)size : SIZE_MAX);
        e->buf.len = (size_t)size;
        if (r->failed || kind < RAFT_COMMAND || kind > RAFT_CHANGE ||
            e->term < term || e->term > ae->term) {
            return protocol_error(info, "bad entry");
        }
        if (kind == RAFT_CHANGE &&
            (i > 0 || wire_configuration_check(e->buf.base, e->buf.len) != 0)) {
            return protocol_error(info, "bad configuration entry");
        }
        e->type = (enum raft_entry_type)kind;
        term = e->term;
    }
    ae->n_entries = n;
    return byte_left(r) == 0 ? 0 : protocol_error(info, "extra bytes");
}

static int decode_append_entries(struct byte_reader *r, struct raft_message *m,
                                 struct err_info *info)
{
    struct raft_append_entries *ae = &m->append_entries;
    uint32_t n;
    ae->term = get_number(r);
    ae->prev_log_index = get_number(r);
    ae->prev_log_term = get_number(r);
    ae->leader_commit = get_number(r);
    n = byte_get_u32(r);
    if (r->failed || ae->term == 0 || ae->prev_log_term > ae->term ||
        (ae->prev_log_index == 0) != (ae->prev_log_term == 0)) {
        return protocol_error(info, "bad AppendEntries");
    }
    return decode_entries(r, n, ae, info);
}

/* The five small messages of Raft. */
static void decode_raft_small(struct byte_reader *r, enum wire_type type,
                              uint64_t from, struct raft_message *m)
{
    switch (type) {
    case WIRE_APPEND_ENTRIES_RESULT:
        m->append_entries_result.version = 2;
        m->append_entries_result.term = get_number(r);
        m->append_entries_result.rejected = get_number(r);
        m->append_entries_result.last_log_index = get_number(r);
        break;
    case WIRE_REQUEST_VOTE:
        m->request_vote.version = 2;
        m->request_vote.candidate_id = from;
        m->request_vote.term = get_number(r);
        m->request_vote.last_log_index = get_number(r);
        m->request_vote.last_log_term = get_number(r);
        m->request_vote.disrupt_leader = get_bool(r);
        m->request_vote.pre_vote = get_bool(r);
        break;
    case WIRE_REQUEST_VOTE_RESULT:
        /* Below version 2 the core takes a pre-vote grant for a vote. */
        m->request_vote_result.version = 2;
        m->request_vote_result.term = get_number(r);
        m->request_vote_result.vote_granted = get_bool(r);
        m->request_vote_result.pre_vote = get_bool(r);
        break;
    case WIRE_INSTALL_SNAPSHOT:
        m->install_snapshot.term = get_number(r);
        m->install_snapshot.last_index = get_number(r);
        m->install_snapshot.last_term = get_number(r);
        m->install_snapshot.conf_index = get_number(r);
        if (m->install_snapshot.last_index == 0 ||
            m->install_snapshot.last_term == 0 ||
            m->install_snapshot.last_term > m->install_snapshot.term ||
            m->install_snapshot.conf_index == 0 ||
            m->install_snapshot.conf_index > m->install_snapshot.last_index) {
            r->failed = true;
        }
        break;
    default:
        m->timeout_now.term = get_number(r);
        m->timeout_now.last_log_index = get_number(r);
        m->timeout_now.last_log_term = get_number(r);
        break;
    }
}

static uint64_t raft_message_term(const struct raft_message *m)
{
    switch (m->type) {
    case RAFT_APPEND_ENTRIES:
        return m->append_entries.term;
    case RAFT_APPEND_ENTRIES_RESULT:
        return m->append_entries_result.term;
    case RAFT_REQUEST_VOTE:
        return m->request_vote.term;
    case RAFT_REQUEST_VOTE_RESULT:
        return m->request_vote_result.term;
    case RAFT_INSTALL_SNAPSHOT:
        return m->install_snapshot.term;
    default:
        return m->timeout_now.term;
    }
}

static void get_body(struct byte_reader *r, struct bytes *out)
{
    out->size = byte_left(r);
    out->data = byte_get(r, out->size);
}

static void get_range(struct byte_reader *r, struct snapshot_range *range)
{
    const uint8_t *id = byte_get(r, SNAPSHOT_ID_SIZE);
    if (id != NULL) {
        memcpy(range->id, id, SNAPSHOT_ID_SIZE);
    }
    range->offset = get_number(r);
    range->size = byte_get_u32(r);
    if (range->size == 0 || range->size > WIRE_CHUNK_MAX) {
        r->failed = true;
    }
}

/* The messages that are ours, not Raft's. */
static void decode_own(struct byte_reader *r, struct wire_message *m)
{
    switch (m->type) {
    case WIRE_BARRIER_PING:
    case WIRE_BARRIER_PONG:
        m->as.barrier.term = get_number(r);
        m->as.barrier.sequence = byte_get_u64(r);
        break;
    case WIRE_READ_INDEX:
    case WIRE_READ_INDEX_RESULT:
        m->as.read_index.id = byte_get_u64(r);
        m->as.read_index.term = get_number(r);
        if (m->type == WIRE_READ_INDEX_RESULT) {
            m->as.read_index.index = get_number(r);
            m->as.read_index.clock_ms = byte_get_u64(r);
            m->as.read_index.status = get_status(r);
        } else {
            m->as.read_index.settle = get_bool(r);
        }
        break;
    case WIRE_FORWARD:
    case WIRE_FORWARD_RESULT:
        m->as.forward.request_id = byte_get_u64(r);
        m->as.forward.term = get_number(r);
        if (m->type == WIRE_FORWARD_RESULT) {
            m->as.forward.status = get_status(r);
        }
        get_body(r, &m->as.forward.body);
        break;
    case WIRE_SNAPSHOT_FETCH:
        get_range(r, &m->as.snapshot.range);
        break;
    case WIRE_SNAPSHOT_CHUNK:
        get_range(r, &m->as.snapshot.range);
        m->as.snapshot.status = get_status(r);
        get_body(r, &m->as.snapshot.body);
        if (m->as.snapshot.status == 0 &&
            m->as.snapshot.body.size != m->as.snapshot.range.size) {
            r->failed = true;
        }
        break;
    case WIRE_MATCH:
    case WIRE_MATCH_RESULT:
        m->as.match.request_id = byte_get_u64(r);
        m->as.match.term = get_number(r);
        if (m->type == WIRE_MATCH_RESULT) {
            m->as.match.commit = get_number(r);
            get_body(r, &m->as.match.body);
        }
        break;
    case WIRE_LOG_QUESTION:
    case WIRE_LOG_ANSWER:
        m->as.log_end.term = get_number(r);
        m->as.log_end.last_index = get_number(r);
        m->as.log_end.last_term = get_number(r);
        break;
    case WIRE_TRANSFER:
    case WIRE_TRANSFER_RESULT:
        m->as.transfer.request_id = byte_get_u64(r);
        m->as.transfer.term = get_number(r);
        if (m->type == WIRE_TRANSFER) {
            m->as.transfer.target = get_number(r);
        } else {
            m->as.transfer.status = get_status(r);
            get_body(r, &m->as.transfer.text);
        }
        break;
    default:
        m->as.leader_lost.term = get_number(r);
        m->as.leader_lost.leader_id = get_number(r);
        m->as.leader_lost.last_index = get_number(r);
        m->as.leader_lost.last_term = get_number(r);
        break;
    }
}

int wire_decode(uint64_t from, const void *data, size_t size,
                struct wire_message *out, struct err_info *info)
{
    struct byte_reader r = byte_reader(data, size);
    uint8_t type = byte_get_u8(&r);
    int rv;
    memset(out, 0, sizeof *out);
    if (r.failed || type == 0 || type > WIRE_TYPE_MAX) {
        return protocol_error(info, "unknown type");
    }
    out->type = (enum wire_type)type;
    out->from = from;
    if (type > WIRE_TIMEOUT_NOW) {
        decode_own(&r, out);
    } else {
        out->as.raft.type = (enum raft_message_type)type;
        out->as.raft.server_id = from;
        if (out->type == WIRE_APPEND_ENTRIES) {
            rv = decode_append_entries(&r, &out->as.raft, info);
            if (rv != 0) {
                wire_message_clear(out);
            }
            return rv;
        }
        decode_raft_small(&r, out->type, from, &out->as.raft);
        if (out->type == WIRE_INSTALL_SNAPSHOT) {
            get_body(&r, &out->manifest);
        }
        if (raft_message_term(&out->as.raft) == 0) {
            return protocol_error(info, "no term");
        }
    }
    if (r.failed || byte_left(&r) > 0) {
        return protocol_error(info, "bad length or value");
    }
    return 0;
}

void wire_message_clear(struct wire_message *m)
{
    if (m->type == WIRE_APPEND_ENTRIES) {
        free(m->as.raft.append_entries.entries);
        m->as.raft.append_entries.entries = NULL;
    }
}

/* ---- encoding ---- */

static void encode_raft(struct byte_writer *w, const struct raft_message *m)
{
    switch (m->type) {
    case RAFT_APPEND_ENTRIES:
        byte_put_u64(w, m->append_entries.term);
        byte_put_u64(w, m->append_entries.prev_log_index);
        byte_put_u64(w, m->append_entries.prev_log_term);
        byte_put_u64(w, m->append_entries.leader_commit);
        byte_put_u32(w, m->append_entries.n_entries);
        break;
    case RAFT_APPEND_ENTRIES_RESULT:
        byte_put_u64(w, m->append_entries_result.term);
        byte_put_u64(w, m->append_entries_result.rejected);
        byte_put_u64(w, m->append_entries_result.last_log_index);
        break;
    case RAFT_REQUEST_VOTE:
        byte_put_u64(w, m->request_vote.term);
        byte_put_u64(w, m->request_vote.last_log_index);
        byte_put_u64(w, m->request_vote.last_log_term);
        byte_put_u8(w, m->request_vote.disrupt_leader);
        byte_put_u8(w, m->request_vote.pre_vote);
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        byte_put_u64(w, m->request_vote_result.term);
        byte_put_u8(w, m->request_vote_result.vote_granted);
        byte_put_u8(w, m->request_vote_result.pre_vote);
        break;
    case RAFT_INSTALL_SNAPSHOT:
        byte_put_u64(w, m->install_snapshot.term);
        byte_put_u64(w, m->install_snapshot.last_index);
        byte_put_u64(w, m->install_snapshot.last_term);
        byte_put_u64(w, m->install_snapshot.conf_index);
        break;
    case RAFT_TIMEOUT_NOW:
        byte_put_u64(w, m->timeout_now.term);
        byte_put_u64(w, m->timeout_now.last_log_index);
        byte_put_u64(w, m->timeout_now.last_log_term);
        break;
    }
}

static void put_range(struct byte_writer *w, const struct snapshot_range *range)
{
    byte_put(w, range->id, SNAPSHOT_ID_SIZE);
    byte_put_u64(w, range->offset);
    byte_put_u32(w, range->size);
}

static void encode_own(struct byte_writer *w, const struct wire_message *m)
{
    switch (m->type) {
    case WIRE_BARRIER_PING:
    case WIRE_BARRIER_PONG:
        byte_put_u64(w, m->as.barrier.term);
        byte_put_u64(w, m->as.barrier.sequence);
        break;
    case WIRE_READ_INDEX:
    case WIRE_READ_INDEX_RESULT:
        byte_put_u64(w, m->as.read_index.id);
        byte_put_u64(w, m->as.read_index.term);
        if (m->type == WIRE_READ_INDEX_RESULT) {
            byte_put_u64(w, m->as.read_index.index);
            byte_put_u64(w, m->as.read_index.clock_ms);
            byte_put_u8(w, (uint8_t)-m->as.read_index.status);
        } else {
            byte_put_u8(w, m->as.read_index.settle);
        }
        break;
    case WIRE_FORWARD:
    case WIRE_FORWARD_RESULT:
        byte_put_u64(w, m->as.forward.request_id);
        byte_put_u64(w, m->as.forward.term);
        if (m->type == WIRE_FORWARD_RESULT) {
            byte_put_u8(w, (uint8_t)-m->as.forward.status);
        }
        break;
    case WIRE_SNAPSHOT_FETCH:
        put_range(w, &m->as.snapshot.range);
        break;
    case WIRE_SNAPSHOT_CHUNK:
        put_range(w, &m->as.snapshot.range);
        byte_put_u8(w, (uint8_t)-m->as.snapshot.status);
        break;
    case WIRE_MATCH:
    case WIRE_MATCH_RESULT:
        byte_put_u64(w, m->as.match.request_id);
        byte_put_u64(w, m->as.match.term);
        if (m->type == WIRE_MATCH_RESULT) {
            byte_put_u64(w, m->as.match.commit);
        }
        break;
    case WIRE_LOG_QUESTION:
    case WIRE_LOG_ANSWER:
        byte_put_u64(w, m->as.log_end.term);
        byte_put_u64(w, m->as.log_end.last_index);
        byte_put_u64(w, m->as.log_end.last_term);
        break;
    case WIRE_TRANSFER:
    case WIRE_TRANSFER_RESULT:
        byte_put_u64(w, m->as.transfer.request_id);
        byte_put_u64(w, m->as.transfer.term);
        if (m->type == WIRE_TRANSFER) {
            byte_put_u64(w, m->as.transfer.target);
        } else {
            byte_put_u8(w, (uint8_t)-m->as.transfer.status);
        }
        break;
    default:
        byte_put_u64(w, m->as.leader_lost.term);
        byte_put_u64(w, m->as.leader_lost.leader_id);
        byte_put_u64(w, m->as.leader_lost.last_index);
        byte_put_u64(w, m->as.leader_lost.last_term);
        break;
    }
}

void wire_encode(const struct wire_message *m, struct wire_frame *out)
{
    struct byte_writer w = byte_writer(out->head, sizeof out->head);
    out->lane =
        m->type == WIRE_SNAPSHOT_CHUNK ? WIRE_LANE_BULK : WIRE_LANE_MAIN;
    out->body = NULL;
    out->body_at = NULL;
    out->body_size = 0;
    byte_put_u8(&w, (uint8_t)m->type);
    if (m->type <= WIRE_TIMEOUT_NOW) {
        encode_raft(&w, &m->as.raft);
    } else {
        encode_own(&w, m);
    }
    out->head_size = (uint32_t)(w.at - out->head);
}

void wire_frame_clear(struct wire_frame *f)
{
    block_unref(f->body);
    f->body = NULL;
}
