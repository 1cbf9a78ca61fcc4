/* The functions of node/replica.h, on plain fields: see the header. */
#include "tests/unit/service/fake_replica.h"

void fake_open(struct replica *r, uint64_t id)
{
    memset(r, 0, sizeof *r);
    r->id = id;
    r->term = 1;
    r->n_accepted_max = UINT32_MAX;
    r->n_log_files = 1;
    assert_int_equal(store_new(&r->store), 0);
    r->entries = calloc(FAKE_MAX, sizeof *r->entries);
    r->reads = calloc(FAKE_MAX, sizeof *r->reads);
    r->frames = calloc(FAKE_MAX, sizeof *r->frames);
    assert_non_null(r->entries);
    assert_non_null(r->reads);
    assert_non_null(r->frames);
}

void fake_frame_clear(struct fake_frame *f)
{
    wire_message_clear(&f->m);
    block_unref(f->block);
    block_unref(f->body);
    memset(f, 0, sizeof *f);
}

void fake_close(struct replica *r)
{
    for (unsigned i = 0; i < r->n_entries; i++) {
        block_unref(r->entries[i].block);
    }
    for (unsigned i = 0; i < r->n_frames; i++) {
        fake_frame_clear(&r->frames[i]);
    }
    free(r->entries);
    free(r->reads);
    free(r->frames);
    store_free(r->store);
}

int replica_propose(struct replica *r, uint64_t term, void *payload,
                    uint32_t size)
{
    struct fake_entry *e = &r->entries[r->n_entries];
    if (!r->leading || term != r->term) {
        return ERR_NOTLEADER;
    }
    if (r->n_entries >= r->n_accepted_max) {
        return r->propose_rv;
    }
    assert_true(r->n_entries < FAKE_MAX);
    assert_int_equal(block_size(payload), size);
    e->term = term;
    e->block = block_ref(payload);
    e->size = size;
    r->n_entries++;
    return 0;
}

int replica_read(struct replica *r, bool settle, replica_read_cb cb, void *ctx)
{
    if (r->read_rv != 0) {
        return r->read_rv;
    }
    assert_true(r->n_reads < FAKE_MAX);
    r->reads[r->n_reads].settle = settle;
    r->reads[r->n_reads].cb = cb;
    r->reads[r->n_reads].ctx = ctx;
    r->n_reads++;
    return 0;
}

bool replica_send(struct replica *r, uint64_t to, const struct wire_frame *f)
{
    struct fake_frame *frame = &r->frames[r->n_frames];
    if (to < 64 && (r->cut >> to & 1) != 0) {
        return false;
    }
    assert_true(r->n_frames < FAKE_MAX);
    assert_int_equal(f->lane, WIRE_LANE_MAIN);
    frame->to = to;
    frame->size = f->head_size + f->body_size;
    frame->block = block_new(frame->size);
    memcpy(frame->block, f->head, f->head_size);
    if (f->body_size > 0) {
        memcpy((uint8_t *)frame->block + f->head_size, f->body_at,
               f->body_size);
    }
    frame->body = block_ref(f->body);
    assert_int_equal(
        wire_decode(r->id, frame->block, frame->size, &frame->m, NULL), 0);
    r->n_frames++;
    return true;
}

int replica_transfer(struct replica *r, uint64_t target, struct err_info *info)
{
    if (r->transfer_rv != 0) {
        return err_set(info, r->transfer_rv, "refused by the test");
    }
    r->transfer_to = target;
    r->n_transfers++;
    return 0;
}

int replica_match(struct replica *r, uint64_t *commit,
                  uint64_t match[REPLICA_SERVERS_MAX], unsigned *n)
{
    if (!r->leading) {
        return ERR_NOTLEADER;
    }
    *commit = r->index;
    *n = r->n_match;
    memcpy(match, r->match, r->n_match * sizeof *match);
    return 0;
}

struct store *replica_store(struct replica *r)
{
    return r->store;
}

void replica_status(struct replica *r, struct replica_status *out)
{
    memset(out, 0, sizeof *out);
    out->id = r->id;
    out->role = r->leading ? REPLICA_LEADER : REPLICA_FOLLOWER;
    out->leader_id = r->leader_id;
    out->term = r->term;
    out->clock_ms = r->clock_ms;
    out->applied_index = r->index;
    out->snapshot_index = r->compacted;
}

bool replica_is_leader(const struct replica *r)
{
    return r->leading;
}

uint64_t replica_leader(const struct replica *r)
{
    return r->leader_id;
}

uint64_t replica_term(const struct replica *r)
{
    return r->term;
}

uint64_t replica_clock(const struct replica *r)
{
    return r->clock_ms;
}

uint64_t replica_leader_clock(struct replica *r)
{
    return r->leader_clock_ms;
}

void replica_log_stats(struct replica *r, struct raftlog_stats *out)
{
    (void)r;
    memset(out, 0, sizeof *out);
}

const struct replica_compactions *replica_compactions(const struct replica *r)
{
    (void)r;
    return NULL;
}

const struct raftlog_latency *replica_log_latency(const struct replica *r)
{
    static const struct raftlog_latency none;
    (void)r;
    return &none;
}

void replica_reset_stats(struct replica *r)
{
    (void)r;
}

/* A snapshot that is asked for is there with the next look. */
int replica_compact(struct replica *r)
{
    r->compacted = r->index;
    return r->compact_rv;
}

void replica_compaction(struct replica *r, struct replica_compaction *out)
{
    memset(out, 0, sizeof *out);
    out->n_failed = r->n_compact_failed;
}

size_t replica_log_files(const struct replica *r, struct raftlog_file *files,
                         size_t max)
{
    struct raftlog_file f = {"00000000000000000001-0000000002.seg",
                             1,
                             r->index,
                             65536,
                             8192,
                             0,
                             true};
    for (size_t i = 0; i < r->n_log_files && i < max; i++) {
        files[i] = f;
    }
    return r->n_log_files;
}

const char *replica_role_name(enum replica_role role)
{
    static const char *const names[] = {"follower", "candidate", "leader",
                                        "learner"};
    return names[role];
}

void fake_apply(struct replica *r, const struct replica_events *events,
                uint64_t term, const void *payload, size_t size)
{
    struct proposal p;
    struct buffer reply;
    struct command_env env;
    assert_int_equal(proposal_decode(payload, size, &p), 0);
    memset(&env, 0, sizeof env);
    if (p.clock_ms > r->clock_ms) {
        r->clock_ms = p.clock_ms;
    }
    env.store = r->store;
    env.now_ms = r->clock_ms;
    env.reply_max = 1 << 20;
    buffer_init(&reply);
    proposal_run(&p, &env, &reply);
    events->applied(events->ctx, ++r->index, term, &p, &reply);
    buffer_close(&reply);
    proposal_clear(&p);
}
