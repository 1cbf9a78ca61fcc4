/* Nodes as their clients see them: the service on a fake replica, with two
 * clients connected. Entries are applied, reads confirmed and frames delivered
 * when the test says so, and time stands still unless it lets some pass:
 *
 *     struct node *n = open_leader(state);
 *     submit(n->a, "SET k v");
 *     expect(n->a, "");
 *     apply(n, 1);
 *     expect(n->a, OK);
 *
 * The functions carry no prefix, because the tests are dialogues. */
#ifndef TESTS_UNIT_SERVICE_SERVICE_FIXTURE_H
#define TESTS_UNIT_SERVICE_SERVICE_FIXTURE_H

#include "tests/unit/service/fake_replica.h"

#include <stdio.h>

#include "node/service_private.h"

enum { BEGIN_MS = 10000, TIMEOUT_MS = 1000 };

/* What the clocks of nodes show when they are opened. */
static const uint64_t CLOCK_MS = 1700000000000;

struct client {
    struct node *node;
    struct session *session; /* NULL: it has hung up */
    unsigned n_output;       /* how often it was told of output */
    bool close_in_output;    /* hang up the next time */
};

struct node {
    struct node *next; /* that the test has opened */
    struct replica replica;
    struct service *service;
    struct replica_events events;
    uint64_t now_ms, random;
    uint64_t leader_ms; /* the leader's clock, as confirmed reads are told */
    struct client *a, *b, clients[2];
};

/* ---- nodes ---- */

/* A test that opens nodes; they are closed behind it, also when it fails. */
#define TEST(name) cmocka_unit_test_teardown(name, close_nodes)
int close_nodes(void **state);

/* Node 1, which leads in term 5, and node 2, which follows it. Requests have
 * TIMEOUT_MS. */
struct node *open_leader(void **state);
struct node *open_follower(void **state);
/* Node `id`, with these options; node 1 leads in term 5. */
struct node *open_node(void **state, uint64_t id,
                       struct service_options options);
/* Node `id` whose service has no replica before `attach`; its chance begins at
 * `random`. */
struct node *open_detached(void **state, uint64_t id, uint64_t random,
                           struct service_options options);
void attach(struct node *n);
/* What the replica says of its term and leader; 0: it knows none. */
void changed(struct node *n, uint64_t term, uint64_t leader_id);
/* Another leads from now on, in the next term. */
void elect(struct node *n, uint64_t leader_id);
/* Let time go by, and run the timer if its time has come. */
void pass(struct node *n, uint64_t ms);
struct service_stats stats_of(const struct node *n);

/* ---- clients ---- */

void connect_client(struct node *n, struct client *c);
void hang_up(struct client *c);
/* A line as typed into an inline connection. Returns as session_submit. */
bool submit(struct client *c, const char *line);
/* Several lines, before anything else happens. */
#define pipeline(c, ...) submit_all(c, (const char *const[]){__VA_ARGS__, NULL})
void submit_all(struct client *c, const char *const *lines);
/* This is the whole output; it is consumed. `line` is what failures name. */
void expect_bytes(struct client *c, const char *line, const char *want,
                  size_t size);
void expect(struct client *c, const char *want);
/* The output begins so; all of it is consumed. */
void expect_prefix(struct client *c, const char *want);
/* The output has this in it; nothing is consumed. */
void assert_shows(const struct client *c, const char *text);
/* Submit a line that is answered at once. */
void say(struct client *c, const char *line, const char *want);
/* Submit a line and do all that can be done (settle). */
void run(struct client *c, const char *line, const char *want);

/* MULTI and a first command, which is queued. */
void multi(struct client *c, const char *line);

/* ---- entries and reads ---- */

/* Apply the next entries that were proposed here. */
void apply(struct node *n, unsigned n_entries);
/* Another node applies entry i that `leader` has proposed. */
void apply_of(struct node *n, const struct node *leader, unsigned i);
/* An entry without a command: the barrier at the start of a term. */
void apply_barrier(struct node *n, uint64_t term);
/* The proposal that entry i is; to be cleared. */
void decode_entry(const struct node *n, unsigned i, struct proposal *out);
/* Answer the next read. */
void confirm(struct node *n, int status);
/* Apply and confirm until there is nothing left. */
void settle(struct node *n);

/* ---- frames ---- */

/* Frame i, or the newest, which went to `to`. */
const struct wire_message *frame(const struct node *n, unsigned i, uint64_t to,
                                 enum wire_type type);
const struct wire_message *last_frame(const struct node *n, uint64_t to,
                                      enum wire_type type);
/* The request id of frame i, a write that was forwarded to node 1. */
uint64_t frame_id(const struct node *n, unsigned i);
/* Deliver frame i of one node to another. */
void deliver(const struct node *from, unsigned i, struct node *to);
/* A message that the test has made. */
void receive(struct node *n, const struct wire_message *m);
/* The leader's answer to a forwarded write. */
void answer(struct node *n, uint64_t id, uint64_t term, int status,
            const char *reply);

/* ---- replies ---- */

#define OK "+OK\r\n"
#define PONG "+PONG\r\n"
#define QUEUED "+QUEUED\r\n"
#define NONE "$-1\r\n"
#define EXECUTED "*1\r\n+OK\r\n" /* EXEC of one write */
#define BROKEN "*-1\r\n"         /* EXEC of a watch that has noticed */
#define ABORTED                                                                \
    "-EXECABORT Transaction discarded because of previous errors.\r\n"

#endif
