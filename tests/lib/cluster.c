/* Real processes on loopback: see cluster.h. The happy path is open, start,
 * close; what goes wrong on the way ends the test in cluster_fail, and the
 * directory with data and logs stays. What is asked of the nodes is in
 * cluster_ask.c. */
#include "tests/lib/cluster.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PORT_FIRST = 12000,
    PORT_LAST = 31999, /* below the usual ip_local_port_range */
    LOG_TAIL_BYTES = 3000
};

uint64_t cluster_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void cluster_sleep_ms(unsigned ms)
{
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    while (nanosleep(&t, &t) != 0 && errno == EINTR) {
    }
}

/* The program under test. */
static const char *program_path(void)
{
    const char *program = getenv("CONCORDKV_PROGRAM");
#ifdef CLUSTER_PROGRAM
    if (program == NULL) {
        program = CLUSTER_PROGRAM;
    }
#endif
    return program != NULL ? program : "concordkv";
}

/* ---- ports ---------------------------------------------------------------*/

static struct sockaddr_in loopback(unsigned short port)
{
    struct sockaddr_in a;
    memset(&a, 0, sizeof a);
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

/* Reserve a port among test programs; -1 when another one has it. */
static int reserve_port(unsigned short port)
{
    struct sockaddr_un a;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memset(&a, 0, sizeof a);
    a.sun_family = AF_UNIX;
    snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "concordkv-test-port-%u",
             (unsigned)port);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool port_is_free(unsigned short port)
{
    struct sockaddr_in a = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_free = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return is_free;
}

static unsigned short take_port(struct cluster *c, int *reservation)
{
    static unsigned next;
    unsigned span = PORT_LAST - PORT_FIRST + 1;

    if (next == 0) {
        next =
            (unsigned)(cluster_now_us() ^ ((uint64_t)getpid() * 7919)) % span;
    }
    for (unsigned tries = 0; tries < span; tries++) {
        unsigned short port = (unsigned short)(PORT_FIRST + next++ % span);
        *reservation = reserve_port(port);
        if (*reservation < 0) {
            continue;
        }
        if (port_is_free(port)) {
            return port;
        }
        close(*reservation);
    }
    cluster_fail(c, "no free port between %d and %d", PORT_FIRST, PORT_LAST);
}

int cluster_socket(unsigned short port)
{
    struct sockaddr_in a = loopback(port);
    struct timeval limit = {CLUSTER_REPLY_MS / 1000, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return fd;
}

long cluster_read_all(int fd, char *out, size_t size)
{
    size_t n = 0;
    long got = 0;

    while (n + 1 < size && (got = recv(fd, out + n, size - n - 1, 0)) > 0) {
        n += (size_t)got;
    }
    out[n] = '\0';
    /* What was sent and not read there makes the close a reset. */
    if (got < 0 && errno != ECONNRESET) {
        n = 0;
    }
    close(fd);
    return got < 0 && n == 0 ? -1 : (long)n;
}

/* ---- failure -------------------------------------------------------------*/

static void print_log_tail(const char *path)
{
    char text[LOG_TAIL_BYTES + 1];
    FILE *f = fopen(path, "r");
    size_t n;

    if (f == NULL) {
        return;
    }
    if (fseek(f, -LOG_TAIL_BYTES, SEEK_END) != 0) {
        rewind(f);
    }
    n = fread(text, 1, LOG_TAIL_BYTES, f);
    fclose(f);
    text[n] = '\0';
    fprintf(stderr, "---- the end of %s\n%s\n", path, text);
}

void cluster_fail(struct cluster *c, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "FAILED: ");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    for (unsigned i = 0; i < c->n_nodes; i++) {
        char role[32] = "no answer", term[32] = "?", applied[32] = "?";
        if (cluster_info(c, i, "raft_role", role, sizeof role)) {
            cluster_info(c, i, "raft_term", term, sizeof term);
            cluster_info(c, i, "raft_applied_index", applied, sizeof applied);
        }
        fprintf(stderr, "node %u: pid %d%s, %s, term %s, applied %s\n", i + 1,
                (int)c->nodes[i].pid, c->nodes[i].paused ? " (paused)" : "",
                role, term, applied);
    }
    for (unsigned i = 0; i < c->n_nodes; i++) {
        print_log_tail(c->nodes[i].log_path);
    }
    fprintf(stderr, "data and logs are kept in %s\n", c->dir.path);
    c->failed = true;
    cluster_close(c);
    /* Not cmocka's fail(): helper threads may be running, and it jumps. */
    exit(1);
}

/* ---- life of a cluster ---------------------------------------------------*/

void cluster_open(struct cluster *c, const struct cluster_options *options)
{
    static const struct cluster_options defaults;
    size_t used = 0;

    memset(c, 0, sizeof *c);
    c->options = options != NULL ? *options : defaults;
    c->n_nodes = c->options.n_nodes != 0 ? c->options.n_nodes : 3;
    temp_dir_make_in(&c->dir, c->options.parent);
    for (unsigned i = 0; i < c->n_nodes; i++) {
        struct cluster_node *n = &c->nodes[i];
        snprintf(n->data_dir, sizeof n->data_dir, "%s/n%u", c->dir.path, i + 1);
        snprintf(n->log_path, sizeof n->log_path, "%s/n%u.log", c->dir.path,
                 i + 1);
        n->client_port = take_port(c, &n->reservations[0]);
        n->peer_port = take_port(c, &n->reservations[1]);
        used += (size_t)snprintf(c->initial + used, sizeof c->initial - used,
                                 "%s%u=127.0.0.1:%u", i == 0 ? "" : ",", i + 1,
                                 (unsigned)n->peer_port);
    }
}

/* A node that says one of these has failed, however well the test went. */
static const char *const bad_words[] = {"Sanitizer",
                                        "runtime error:", "Assertion"};

void cluster_close(struct cluster *c)
{
    for (unsigned i = 0; i < c->n_nodes; i++) {
        struct cluster_node *n = &c->nodes[i];
        cluster_node_kill(c, i);
        for (unsigned k = 0; k < 2; k++) {
            if (n->client_port != 0 && n->reservations[k] > 0) {
                close(n->reservations[k]);
            }
        }
        memset(n->reservations, 0, sizeof n->reservations);
    }
    for (unsigned i = 0; i < c->n_nodes && !c->failed; i++) {
        for (size_t k = 0; k < sizeof bad_words / sizeof *bad_words; k++) {
            if (cluster_log_has(c, i, bad_words[k])) {
                cluster_fail(c, "the log of node %u says \"%s\"", i + 1,
                             bad_words[k]);
            }
        }
    }
    if (!c->failed) {
        temp_dir_remove(&c->dir);
    }
}

void cluster_start(struct cluster *c)
{
    for (unsigned i = 0; i < c->n_nodes; i++) {
        cluster_node_start(c, i);
    }
    cluster_wait_leader(c);
}

void cluster_kill_all(struct cluster *c)
{
    for (unsigned i = 0; i < c->n_nodes; i++) {
        cluster_node_kill(c, i);
    }
}

static void set_pid(struct cluster_node *n, pid_t pid)
{
    __atomic_store_n(&n->pid, pid, __ATOMIC_RELAXED);
}

/* In the child: its log, no terminal, dead when the test is. */
static void exec_node(const struct cluster_node *n, char *const *argv)
{
    int log = open(n->log_path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    int null = open("/dev/null", O_RDONLY);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(null, 0);
    dup2(log, 1);
    dup2(log, 2);
    execvp(argv[0], argv);
    fprintf(stderr, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

void cluster_node_start_with(struct cluster *c, unsigned i,
                             const char *const *args)
{
    struct cluster_node *n = &c->nodes[i];
    char id[16], client[32], peer[32], timeout[16];
    const char *argv[32 + 2 * CLUSTER_ARGS_MAX];
    size_t k = 0;
    pid_t pid;

    snprintf(id, sizeof id, "%u", i + 1);
    snprintf(client, sizeof client, "127.0.0.1:%u", (unsigned)n->client_port);
    snprintf(peer, sizeof peer, "127.0.0.1:%u", (unsigned)n->peer_port);
    argv[k++] = program_path();
    argv[k++] = "--id", argv[k++] = id;
    argv[k++] = "--data-dir", argv[k++] = n->data_dir;
    argv[k++] = "--listen-client", argv[k++] = client;
    argv[k++] = "--listen-peer", argv[k++] = peer;
    argv[k++] = "--initial-cluster", argv[k++] = c->initial;
    if (c->options.election_timeout_ms != 0) {
        snprintf(timeout, sizeof timeout, "%u", c->options.election_timeout_ms);
        argv[k++] = "--election-timeout-ms", argv[k++] = timeout;
    }
    for (unsigned a = 0; c->options.args[a] != NULL; a++) {
        argv[k++] = c->options.args[a];
    }
    for (unsigned a = 0; args != NULL && args[a] != NULL; a++) {
        argv[k++] = args[a];
    }
    argv[k] = NULL;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        exec_node(n, (char *const *)(uintptr_t)argv);
    }
    if (pid < 0) {
        cluster_fail(c, "cannot fork: %s", strerror(errno));
    }
    n->paused = false;
    set_pid(n, pid);
}

void cluster_node_start(struct cluster *c, unsigned i)
{
    cluster_node_start_with(c, i, NULL);
}

void cluster_node_kill(struct cluster *c, unsigned i)
{
    struct cluster_node *n = &c->nodes[i];
    if (n->pid > 0) {
        kill(n->pid, SIGKILL);
        waitpid(n->pid, NULL, 0);
        set_pid(n, 0);
        n->paused = false;
    }
}

int cluster_node_wait(struct cluster *c, unsigned i, unsigned timeout_ms)
{
    struct cluster_node *n = &c->nodes[i];
    uint64_t end = cluster_now_us() + (uint64_t)timeout_ms * 1000;
    int status;

    while (waitpid(n->pid, &status, WNOHANG) != n->pid) {
        if (cluster_now_us() > end) {
            return -1;
        }
        cluster_sleep_ms(1);
    }
    set_pid(n, 0);
    n->paused = false;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int cluster_node_stop(struct cluster *c, unsigned i, unsigned timeout_ms)
{
    int status;
    kill(c->nodes[i].pid, SIGTERM);
    status = cluster_node_wait(c, i, timeout_ms);
    if (status < 0) {
        cluster_fail(c, "node %u has not ended %u ms after SIGTERM", i + 1,
                     timeout_ms);
    }
    return status;
}

void cluster_node_pause(struct cluster *c, unsigned i)
{
    kill(c->nodes[i].pid, SIGSTOP);
    c->nodes[i].paused = true;
}

void cluster_node_resume(struct cluster *c, unsigned i)
{
    kill(c->nodes[i].pid, SIGCONT);
    c->nodes[i].paused = false;
}

bool cluster_node_running(const struct cluster *c, unsigned i)
{
    /* Helper threads ask while the main thread kills and starts. */
    return __atomic_load_n(&c->nodes[i].pid, __ATOMIC_RELAXED) > 0;
}

bool cluster_log_has(const struct cluster *c, unsigned i, const char *text)
{
    char line[4096];
    bool found = false;
    FILE *f = fopen(c->nodes[i].log_path, "r");

    while (f != NULL && !found && fgets(line, sizeof line, f) != NULL) {
        found = strstr(line, text) != NULL;
    }
    if (f != NULL) {
        fclose(f);
    }
    return found;
}
