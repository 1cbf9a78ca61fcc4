/* A cluster of real processes on loopback for one test: start, kill, pause,
 * ask. Every wait has a limit; what cannot be done in time ends the test with
 * the facts and the last lines of each node's log.
 *
 * Nodes are counted from 0 here; node i has the Raft id i + 1. Ports lie below
 * the range from which the kernel takes ports for outgoing connections, so that
 * nobody takes the port of a node that is down for a moment; a reservation
 * (an abstract socket) keeps test programs that run side by side apart.
 * A node dies with the thread that started it: start nodes on the main thread.
 *
 * The program is $CONCORDKV_PROGRAM, else what the build was told. */
#ifndef TESTS_LIB_CLUSTER_H
#define TESTS_LIB_CLUSTER_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/lib/temp_dir.h"

enum {
    CLUSTER_NODES_MAX = 5,
    CLUSTER_ARGS_MAX = 24,    /* further flags of a node */
    CLUSTER_REPLY_MS = 15000, /* limit of a reply on a connection */
    CLUSTER_WAIT_MS = 30000   /* limit of a wait unless it names its own */
};

struct cluster_options {
    unsigned n_nodes;                   /* 0: 3 */
    unsigned election_timeout_ms;       /* 0: the program's own */
    const char *args[CLUSTER_ARGS_MAX]; /* for each node, NULL at the end */
    const char *parent; /* of the directory; NULL: $TMPDIR, /tmp */
};

struct cluster_node {
    pid_t pid; /* 0: not running */
    bool paused;
    unsigned short client_port, peer_port;
    int reservations[2];
    char data_dir[TEMP_DIR_MAX + 64];
    char log_path[TEMP_DIR_MAX + 64];
};

struct cluster {
    struct cluster_options options;
    struct temp_dir dir;
    unsigned n_nodes;
    char initial[CLUSTER_NODES_MAX * 32];
    struct cluster_node nodes[CLUSTER_NODES_MAX];
    bool failed; /* keep the directory */
};

/* Choose ports and directories; nothing runs yet. */
void cluster_open(struct cluster *c, const struct cluster_options *options);
/* Kill what runs and remove the directory. */
void cluster_close(struct cluster *c);
/* Start all and wait for a leader that answers. */
void cluster_start(struct cluster *c);

void cluster_node_start(struct cluster *c, unsigned i);
/* The same with further flags (NULL at the end) after all others. */
void cluster_node_start_with(struct cluster *c, unsigned i,
                             const char *const *args);
void cluster_node_kill(struct cluster *c, unsigned i); /* SIGKILL, reaped */
/* SIGTERM; returns the exit status (128 + n for signal n). */
int cluster_node_stop(struct cluster *c, unsigned i, unsigned timeout_ms);
void cluster_kill_all(struct cluster *c); /* cluster_start brings them back */
/* Wait for a node to end by itself; -1 if it has not in time. */
int cluster_node_wait(struct cluster *c, unsigned i, unsigned timeout_ms);
void cluster_node_pause(struct cluster *c, unsigned i);
void cluster_node_resume(struct cluster *c, unsigned i);
bool cluster_node_running(const struct cluster *c, unsigned i);
/* Whether the log of node i holds the text. */
bool cluster_log_has(const struct cluster *c, unsigned i, const char *text);

/* Connect, with a limit on the connection and on each reply. NULL if refused
 * (try) or the test ends (without try). */
redisContext *cluster_try_connect(const struct cluster *c, unsigned i,
                                  unsigned timeout_ms);
redisContext *cluster_connect(struct cluster *c, unsigned i);
/* A connected socket to a port on loopback, or -1. */
int cluster_socket(unsigned short port);
/* Read until the other side closes, then close. At most size - 1 bytes go to
 * out, with a NUL behind them. Returns how many; -1 when the other side is
 * silent but does not close. */
long cluster_read_all(int fd, char *out, size_t size);

/* One field of INFO, asked anew. false: no answer, or no such field. */
bool cluster_info(const struct cluster *c, unsigned i, const char *field,
                  char *value, size_t size);
/* The same as a number; 0 when there is no answer. */
uint64_t cluster_info_u64(const struct cluster *c, unsigned i,
                          const char *field);
/* One field out of the text of an INFO reply. */
bool cluster_info_field(const char *text, const char *field, char *value,
                        size_t size);

/* Wait until some node leads and takes a write. */
unsigned cluster_wait_leader(struct cluster *c);
/* Wait until a number in node i's INFO is at least, or at most, this. */
void cluster_wait_info(struct cluster *c, unsigned i, const char *field,
                       uint64_t least);
void cluster_wait_info_at_most(struct cluster *c, unsigned i, const char *field,
                               uint64_t most);
/* Wait until node i has applied at least index. */
void cluster_wait_applied(struct cluster *c, unsigned i, uint64_t index);
/* Wait until all running nodes stand at one applied index with one state hash;
 * the hash goes to hash when it is not NULL. */
void cluster_wait_equal(struct cluster *c, char hash[64]);

/* One command to node i on a connection of its own; the test ends when it
 * gets no answer. Given: freeReplyObject. */
redisReply *cluster_command(struct cluster *c, unsigned i, const char *format,
                            ...) __attribute__((format(printf, 3, 4)));
/* The same on a connection that stays; the formats are those of hiredis. */
redisReply *cluster_ask(struct cluster *c, redisContext *r, const char *format,
                        ...);
/* The next reply to what was appended. Given; the test ends without. */
redisReply *cluster_next_reply(struct cluster *c, redisContext *r);
/* The test ends unless this is the text of the reply. Taken. */
void cluster_expect(struct cluster *c, redisReply *reply, const char *text);

/* End the test: the words, each node's state, the tails of the logs. */
void cluster_fail(struct cluster *c, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));

uint64_t cluster_now_us(void); /* monotonic */
void cluster_sleep_ms(unsigned ms);

#endif
