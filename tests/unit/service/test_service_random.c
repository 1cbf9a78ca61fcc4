/* Three services over a small model of consensus, under random faults: no
 * write is executed twice, what was acknowledged is in the log, what was
 * answered as not executed is not, each session's writes are executed in its
 * order, and when the faults end everything succeeds again.
 *
 * The model keeps what matters to the service and nothing else: a log per
 * node, elections by the up-to-date rule, commitment of entries of the own
 * term on two of three, uncommitted tails that are lost or come back, nodes
 * that learn of all this late, snapshots that jump over entries, connections
 * that break with messages on the way, leaders that refuse for a while. */
#include "tests/unit/service/fake_replica.h"

#include <stdio.h>

#include "node/resp.h"
#include "node/service_private.h"

enum {
    N_NODES = 3,
    N_CLIENTS = 6, /* two to a node */
    N_STEPS = 4000,
    N_SEEDS = 60,
    LOG_MAX = 8192,
    QUEUE_MAX = 4096,
    REQUESTS_MAX = 4096,
    TIMEOUT_MS = 1000
};

enum outcome { OPEN, ACKNOWLEDGED, UNKNOWN, NOT_EXECUTED };

struct entry {
    uint64_t term;
    void *block; /* NULL: the barrier at the start of a term */
    uint32_t size;
};

struct request_record {
    bool read;
    unsigned key;     /* number of the write that made it */
    unsigned n_skip;  /* replies before the one that decides */
    enum outcome now; /* of a write */
};

struct client {
    struct session *session;
    unsigned node;
    unsigned requests[REQUESTS_MAX]; /* in the order of submission */
    unsigned n_requests, n_answered;
    unsigned last_write; /* record + 1; 0: none */
    bool alive;
};

struct node {
    struct replica replica; /* its id is the index + 1 */
    struct service *service;
    struct replica_events events;
    struct entry log[LOG_MAX];
    unsigned n_log, commit, applied;
};

struct queue {
    struct fake_frame frames[QUEUE_MAX];
    unsigned first, n;
};

struct world {
    uint64_t seed, now_ms;
    struct node nodes[N_NODES];
    struct queue queues[N_NODES][N_NODES];
    bool connected[N_NODES][N_NODES];
    struct client clients[N_CLIENTS];
    struct request_record records[REQUESTS_MAX * 2];
    unsigned n_records;
    unsigned n_elections, n_breaks, n_jumps, n_unknown, n_acknowledged;
    unsigned n_transactions, n_broken;
    unsigned n_before_heal; /* records */
};

static struct world *world;

static uint64_t chance(uint64_t n)
{
    uint64_t z = (world->seed += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return (z ^ (z >> 31)) % n;
}

static uint64_t io_now_ms(void *ctx)
{
    (void)ctx;
    return world->now_ms;
}

static uint64_t io_random(void *ctx)
{
    (void)ctx;
    /* Often near the end of an epoch. */
    return chance(2) == 0
               ? (chance(UINT32_MAX) << 32) | (UINT32_MAX - chance(40))
               : chance(UINT64_MAX);
}

static void local(void *ctx, struct session *session,
                  const struct command *command, uint32_t argc,
                  const struct bytes *argv, struct buffer *reply)
{
    (void)ctx;
    (void)session;
    (void)command;
    (void)argc;
    (void)argv;
    resp_simple(reply, "OK");
}

/* ---- consensus ---- */

static void log_truncate(struct node *n, unsigned size)
{
    assert_true(size >= n->commit);
    while (n->n_log > size) {
        block_unref(n->log[--n->n_log].block);
    }
}

static void log_add(struct node *n, uint64_t term, void *block, uint32_t size)
{
    struct entry *e = &n->log[n->n_log++];
    assert_true(n->n_log < LOG_MAX);
    e->term = term;
    e->block = block_ref(block);
    e->size = size;
}

static uint64_t last_term(const struct node *n)
{
    return n->n_log == 0 ? 0 : n->log[n->n_log - 1].term;
}

static void drop_gathered(struct node *n)
{
    for (unsigned i = 0; i < n->replica.n_entries; i++) {
        block_unref(n->replica.entries[i].block);
    }
    n->replica.n_entries = 0;
}

/* What replica_propose gathered goes into the leader's log. */
static void submit_gathered(struct node *n)
{
    struct replica *r = &n->replica;
    for (unsigned i = 0; i < r->n_entries; i++) {
        log_add(n, r->entries[i].term, r->entries[i].block, r->entries[i].size);
    }
    drop_gathered(n);
}

static void set_term(struct node *n, uint64_t term, uint64_t leader_id)
{
    struct replica *r = &n->replica;
    bool leading = leader_id == r->id;
    if (r->term == term && r->leader_id == leader_id) {
        return;
    }
    if (r->leading && !leading) {
        drop_gathered(n);
    }
    r->term = term;
    r->leader_id = leader_id;
    r->leading = leading;
    n->events.changed(n->events.ctx);
}

static void elect(void)
{
    unsigned i = (unsigned)chance(N_NODES), j;
    struct node *n = &world->nodes[i], *voter;
    uint64_t term;
    j = (i + 1 + (unsigned)chance(N_NODES - 1)) % N_NODES;
    voter = &world->nodes[j];
    if (last_term(voter) > last_term(n) ||
        (last_term(voter) == last_term(n) && voter->n_log > n->n_log)) {
        return;
    }
    term = 1 + (n->replica.term > voter->replica.term ? n->replica.term
                                                      : voter->replica.term);
    world->n_elections++;
    drop_gathered(n);
    set_term(voter, term, 0);
    log_add(n, term, NULL, 0);
    set_term(n, term, i + 1);
}

/* The leader's log goes to a follower, up to some entry. */
static void replicate(struct node *leader, struct node *follower)
{
    unsigned same = 0, to;
    if (!leader->replica.leading || leader == follower ||
        leader->replica.term < follower->replica.term) {
        return;
    }
    set_term(follower, leader->replica.term, leader->replica.id);
    while (same < leader->n_log && same < follower->n_log &&
           leader->log[same].term == follower->log[same].term) {
        same++;
    }
    to = same + (unsigned)chance(leader->n_log - same + 1);
    if (to > same && same < follower->n_log) {
        log_truncate(follower, same);
    }
    for (unsigned i = same; i < to; i++) {
        log_add(follower, leader->log[i].term, leader->log[i].block,
                leader->log[i].size);
    }
    if (to > leader->commit &&
        leader->log[to - 1].term == leader->replica.term) {
        leader->commit = to; /* on two of three */
    }
    if (follower->commit < leader->commit) {
        follower->commit = leader->commit < to ? leader->commit : to;
    }
}

static void run(struct node *n, const struct entry *e)
{
    struct proposal p;
    struct buffer reply;
    struct command_env env;
    assert_int_equal(proposal_decode(e->block, e->size, &p), 0);
    memset(&env, 0, sizeof env);
    env.store = n->replica.store;
    buffer_init(&reply);
    proposal_run(&p, &env, &reply);
    buffer_close(&reply);
    proposal_clear(&p);
}

static void apply(struct node *n, unsigned to)
{
    while (n->applied < to) {
        const struct entry e = n->log[n->applied++];
        if (e.block != NULL) {
            fake_apply(&n->replica, &n->events, e.term, e.block, e.size);
        } else {
            n->events.applied(n->events.ctx, n->applied, e.term, NULL, NULL);
        }
    }
}

/* A snapshot: the entries go by unseen. */
static void jump(struct node *n)
{
    if (n->applied == n->commit || n->replica.leading) {
        return;
    }
    world->n_jumps++;
    while (n->applied < n->commit) {
        const struct entry *e = &n->log[n->applied++];
        if (e->block != NULL) {
            run(n, e);
        }
    }
    n->events.jumped(n->events.ctx, n->applied, n->log[n->applied - 1].term);
}

/* Reads: confirmed when the store has all that was committed anywhere. */
static void confirm_reads(struct node *n)
{
    struct replica *r = &n->replica;
    unsigned commit = 0, until = r->n_reads;
    int status = chance(4) == 0 ? ERR_NOTLEADER : 0;
    for (unsigned i = 0; i < N_NODES; i++) {
        if (world->nodes[i].commit > commit) {
            commit = world->nodes[i].commit;
        }
    }
    if (status == 0 && n->applied < commit) {
        return;
    }
    while (r->n_called < until) {
        struct fake_read *read = &r->reads[r->n_called++];
        read->cb(read->ctx, status, 0);
    }
    if (r->n_called == r->n_reads) {
        r->n_called = r->n_reads = 0;
    }
}

/* ---- network ---- */

static void collect(struct node *n)
{
    struct replica *r = &n->replica;
    unsigned i = (unsigned)r->id - 1;
    for (unsigned k = 0; k < r->n_frames; k++) {
        struct queue *q = &world->queues[i][r->frames[k].to - 1];
        assert_true(q->n < QUEUE_MAX);
        q->frames[(q->first + q->n++) % QUEUE_MAX] = r->frames[k];
    }
    r->n_frames = 0;
}

static void deliver(unsigned from, unsigned to)
{
    struct queue *q = &world->queues[from][to];
    struct node *n = &world->nodes[to];
    struct fake_frame f;
    if (q->n == 0) {
        return;
    }
    f = q->frames[q->first];
    q->first = (q->first + 1) % QUEUE_MAX;
    q->n--;
    n->events.message(n->events.ctx, &f.m, f.block);
    fake_frame_clear(&f);
}

static void drop_queue(struct queue *q)
{
    while (q->n > 0) {
        fake_frame_clear(&q->frames[q->first]);
        q->first = (q->first + 1) % QUEUE_MAX;
        q->n--;
    }
}

static void set_connected(unsigned i, unsigned j, bool connected)
{
    struct node *a = &world->nodes[i], *b = &world->nodes[j];
    uint64_t bit_a = (uint64_t)1 << (i + 1), bit_b = (uint64_t)1 << (j + 1);
    if (i == j || world->connected[i][j] == connected) {
        return;
    }
    world->connected[i][j] = world->connected[j][i] = connected;
    collect(a);
    collect(b);
    if (connected) {
        a->replica.cut &= ~bit_b;
        b->replica.cut &= ~bit_a;
    } else {
        world->n_breaks++;
        a->replica.cut |= bit_b;
        b->replica.cut |= bit_a;
        drop_queue(&world->queues[i][j]);
        drop_queue(&world->queues[j][i]);
    }
    a->events.peer(a->events.ctx, j + 1, connected);
    b->events.peer(b->events.ctx, i + 1, connected);
}

/* ---- clients ---- */

static void take_reply(struct client *c, const char *line)
{
    struct request_record *r = &world->records[c->requests[c->n_answered]];
    enum outcome write = world->records[r->key].now;
    if (r->n_skip > 0) {
        r->n_skip--;
        return;
    }
    if (strcmp(line, "*1") == 0) {
        world->n_transactions++;
        return; /* what is in it comes next */
    }
    c->n_answered++;
    if (r->read) {
        if (strncmp(line, "$1", 2) == 0) {
            assert_true(write == ACKNOWLEDGED || write == UNKNOWN);
        } else if (strcmp(line, "$-1") == 0) {
            assert_true(write == NOT_EXECUTED || write == UNKNOWN);
        } else {
            assert_true(strncmp(line, "-CLUSTERDOWN", 12) == 0);
        }
        return;
    }
    assert_int_equal(r->now, OPEN);
    if (strcmp(line, ":1") == 0) {
        r->now = ACKNOWLEDGED;
        world->n_acknowledged++;
    } else if (strncmp(line, "-UNKNOWN", 8) == 0) {
        r->now = UNKNOWN;
        world->n_unknown++;
    } else if (strcmp(line, "*-1") == 0) {
        world->n_broken++; /* a snapshot went over the watch */
        r->now = NOT_EXECUTED;
    } else {
        assert_true(strncmp(line, "-CLUSTERDOWN", 12) == 0);
        r->now = NOT_EXECUTED;
    }
}

static void output(void *ctx)
{
    struct client *c = ctx;
    struct buffer *out = session_output(c->session);
    char line[256];
    while (buffer_size(out) > 0) {
        const uint8_t *end = memchr(buffer_data(out), '\n', buffer_size(out));
        size_t size;
        assert_non_null(end);
        size = (size_t)(end - buffer_data(out)) + 1;
        assert_true(size < sizeof line);
        memcpy(line, buffer_data(out), size);
        line[size - 2] = '\0';
        buffer_consume(out, size);
        if (strcmp(line, "1") != 0) { /* the value behind "$1" */
            take_reply(c, line);
        }
    }
}

static void send(struct client *c, const char *name, const char *key)
{
    struct bytes argv[2] = {{(const uint8_t *)name, strlen(name)}};
    uint32_t argc = 1;
    if (key != NULL) {
        argv[argc].data = (const uint8_t *)key;
        argv[argc++].size = strlen(key);
    }
    session_submit(c->session, argc, argv);
}

/* A read, a write, or a write in a transaction, which may watch the key. */
static void submit(struct client *c)
{
    char key[16];
    uint64_t way = chance(4);
    struct request_record *r = &world->records[world->n_records];
    if (!c->alive || c->n_requests == REQUESTS_MAX ||
        world->n_records == 2 * REQUESTS_MAX) {
        return;
    }
    r->read = c->last_write > 0 && chance(4) == 0;
    r->key = r->read ? c->last_write - 1 : world->n_records;
    if (!r->read) {
        c->last_write = world->n_records + 1;
    }
    c->requests[c->n_requests++] = world->n_records++;
    snprintf(key, sizeof key, "u%u", r->key);
    if (r->read || way >= 2) {
        send(c, r->read ? "GET" : "INCR", key);
        return;
    }
    r->n_skip = way == 0 ? 3 : 2;
    if (way == 0) {
        send(c, "WATCH", key);
    }
    send(c, "MULTI", NULL);
    send(c, "INCR", key);
    send(c, "EXEC", NULL);
}

static void client_close(struct client *c)
{
    if (!c->alive) {
        return;
    }
    session_close(c->session);
    c->alive = false;
    while (c->n_answered < c->n_requests) {
        struct request_record *r =
            &world->records[c->requests[c->n_answered++]];
        if (!r->read) {
            r->now = UNKNOWN;
        }
    }
}

/* ---- running ---- */

static void flush(void)
{
    for (unsigned i = 0; i < N_NODES; i++) {
        struct node *n = &world->nodes[i];
        if (n->replica.leading && chance(2) == 0) {
            submit_gathered(n);
        }
        if (service_deadline_ms(n->service) <= world->now_ms) {
            service_timer(n->service);
        }
        collect(n);
    }
}

static void step(void)
{
    struct node *n = &world->nodes[chance(N_NODES)];
    struct node *m = &world->nodes[chance(N_NODES)];
    unsigned i = (unsigned)chance(N_NODES), j = (unsigned)chance(N_NODES);
    uint64_t dice = chance(1000);
    if (dice < 250) {
        submit(&world->clients[chance(N_CLIENTS)]);
    } else if (dice < 500) {
        for (uint64_t k = chance(12); k > 0; k--) {
            deliver(i, j);
        }
    } else if (dice < 700) {
        for (unsigned k = 0; k < N_NODES; k++) {
            replicate(&world->nodes[k], m);
        }
    } else if (dice < 850) {
        apply(n, n->applied + (unsigned)chance(n->commit - n->applied + 1));
    } else if (dice < 910) {
        confirm_reads(n);
    } else if (dice < 935) {
        world->now_ms += chance(20);
    } else if (dice < 950) {
        set_connected(i, j, false);
    } else if (dice < 980) {
        set_connected(i, j, true);
    } else if (dice < 988) {
        n->replica.n_accepted_max =
            n->replica.n_accepted_max == 0 ? UINT32_MAX : 0;
        n->replica.propose_rv = chance(2) == 0 ? ERR_BUSY : ERR_AGAIN;
        n->events.room(n->events.ctx);
    } else if (dice < 992) {
        set_term(n, n->replica.term, 0); /* loses sight of its leader */
    } else if (dice < 995) {
        elect();
    } else if (dice < 999) {
        jump(n);
    } else if (chance(3) == 0) {
        client_close(&world->clients[chance(N_CLIENTS)]);
    }
    flush();
}

static void settle(void)
{
    for (unsigned i = 0; i < N_NODES; i++) {
        world->nodes[i].replica.n_accepted_max = UINT32_MAX;
        for (unsigned j = 0; j < N_NODES; j++) {
            set_connected(i, j, true);
        }
    }
    for (unsigned round = 0; round < 400; round++) {
        bool led = false;
        for (unsigned i = 0; i < N_NODES; i++) {
            struct node *n = &world->nodes[i];
            unsigned highest = 0;
            for (unsigned j = 0; j < N_NODES; j++) {
                replicate(n, &world->nodes[j]);
                deliver(i, j);
                if (world->nodes[j].replica.term >
                    world->nodes[highest].replica.term) {
                    highest = j;
                }
            }
            led |= world->nodes[highest].replica.leading;
            apply(n, n->commit);
            confirm_reads(n);
        }
        if (!led) {
            elect();
        }
        if (round == 200) {
            /* All old requests are answered: from now on nothing may fail. */
            world->n_before_heal = world->n_records;
        }
        /* A transaction with a watch takes a few rounds. */
        for (unsigned i = 0;
             round >= 200 && round < 300 && round % 5 == 0 && i < N_CLIENTS;
             i++) {
            submit(&world->clients[i]);
        }
        world->now_ms += 10;
        flush();
    }
}

static unsigned key_of(const struct entry *e)
{
    struct proposal p;
    char text[16] = "";
    assert_int_equal(proposal_decode(e->block, e->size, &p), 0);
    if (p.kind == PROPOSAL_TRANSACTION) {
        struct byte_reader r = byte_reader(p.transaction.commands.data,
                                           p.transaction.commands.size);
        assert_int_equal(transaction_next(&r, p.argv), 2);
    }
    memcpy(text, p.argv[1].data + 1, p.argv[1].size - 1);
    proposal_clear(&p);
    return (unsigned)strtoul(text, NULL, 10);
}

static void check(void)
{
    static unsigned count[2 * REQUESTS_MAX], place[2 * REQUESTS_MAX];
    struct node *n = &world->nodes[0];
    memset(count, 0, sizeof count);
    for (unsigned i = 1; i < N_NODES; i++) {
        if (world->nodes[i].commit > n->commit) {
            n = &world->nodes[i];
        }
    }
    for (unsigned i = 0; i < n->commit; i++) {
        if (n->log[i].block != NULL) {
            unsigned key = key_of(&n->log[i]);
            count[key]++;
            place[key] = i;
        }
    }
    for (unsigned i = 0; i < N_CLIENTS; i++) {
        const struct client *c = &world->clients[i];
        unsigned before = 0;
        assert_int_equal(c->n_answered, c->n_requests);
        for (unsigned k = 0; k < c->n_requests; k++) {
            unsigned key = c->requests[k];
            const struct request_record *r = &world->records[key];
            if (r->read) {
                continue;
            }
            assert_true(r->now != OPEN);
            assert_true(count[key] <= 1);
            if (r->now == ACKNOWLEDGED) {
                assert_int_equal(count[key], 1);
                assert_true(place[key] >= before);
                before = place[key];
            } else if (r->now == NOT_EXECUTED) {
                assert_int_equal(count[key], 0);
            }
            if (key >= world->n_before_heal) {
                assert_int_equal(r->now, ACKNOWLEDGED);
            }
        }
    }
    for (unsigned i = 0; i < N_NODES; i++) {
        assert_int_equal(service_pending(world->nodes[i].service), 0);
    }
}

static void world_open(uint64_t seed)
{
    struct replica_io io;
    struct service_options options;
    memset(world, 0, sizeof *world);
    world->seed = seed;
    world->now_ms = 1000;
    memset(&io, 0, sizeof io);
    io.now_ms = io_now_ms;
    io.clock_ms = io_now_ms;
    io.random = io_random;
    memset(&options, 0, sizeof options);
    options.request_timeout_ms = TIMEOUT_MS;
    for (unsigned i = 0; i < N_NODES; i++) {
        struct node *n = &world->nodes[i];
        fake_open(&n->replica, i + 1);
        assert_int_equal(service_new(&options, &io, local, NULL, &n->service),
                         0);
        service_events(n->service, &n->events);
        service_attach(n->service, &n->replica);
        for (unsigned j = 0; j < N_NODES; j++) {
            world->connected[i][j] = true;
        }
    }
    for (unsigned i = 0; i < N_CLIENTS; i++) {
        struct client *c = &world->clients[i];
        c->node = i % N_NODES;
        c->alive = true;
        assert_int_equal(
            session_open(world->nodes[c->node].service, output, c, &c->session),
            0);
    }
}

static void world_close(void)
{
    for (unsigned i = 0; i < N_CLIENTS; i++) {
        client_close(&world->clients[i]);
    }
    for (unsigned i = 0; i < N_NODES; i++) {
        struct node *n = &world->nodes[i];
        service_free(n->service);
        n->commit = 0;
        log_truncate(n, 0);
        drop_gathered(n);
        fake_close(&n->replica);
        for (unsigned j = 0; j < N_NODES; j++) {
            drop_queue(&world->queues[i][j]);
        }
    }
}

static void test_service_random_faults_execute_once(void **state)
{
    unsigned n_elections = 0, n_breaks = 0, n_jumps = 0, n_unknown = 0,
             n_acknowledged = 0, n_transactions = 0, n_broken = 0;
    (void)state;
    world = calloc(1, sizeof *world);
    assert_non_null(world);
    for (uint64_t seed = 1; seed <= N_SEEDS; seed++) {
        world_open(seed);
        for (unsigned i = 0; i < N_STEPS; i++) {
            step();
        }
        settle();
        check();
        n_elections += world->n_elections;
        n_breaks += world->n_breaks;
        n_jumps += world->n_jumps;
        n_unknown += world->n_unknown;
        n_acknowledged += world->n_acknowledged;
        n_transactions += world->n_transactions;
        n_broken += world->n_broken;
        world_close();
    }
    free(world);
    print_message("%d seeds: %u elections, %u breaks, %u jumps, "
                  "%u acknowledged, %u unknown; %u transactions executed, %u "
                  "broken\n",
                  N_SEEDS, n_elections, n_breaks, n_jumps, n_acknowledged,
                  n_unknown, n_transactions, n_broken);
    /* A run that did too little proves nothing. */
    assert_true(n_elections > 5 * N_SEEDS && n_breaks > 10 * N_SEEDS);
    assert_true(n_jumps > N_SEEDS && n_unknown > 10 * N_SEEDS);
    assert_true(n_acknowledged > 200 * N_SEEDS);
    assert_true(n_transactions > 50 * N_SEEDS && n_broken > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_service_random_faults_execute_once),
    };
    return cmocka_run_group_tests_name("service_random", tests, NULL, NULL);
}
