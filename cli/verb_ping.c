/* The verb ping: how long each node takes to answer.
 *
 * One connection a node; in each round all nodes are asked in turn, so that
 * what disturbs this machine for a moment disturbs all of them alike. A PING
 * without a reply within --timeout counts as lost and takes a new connection.
 * Ctrl-C ends the rounds; what has been measured is shown. */
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/clock.h"
#include "cli/json_write.h"
#include "cli/latency.h"
#include "cli/table.h"
#include "cli/verb.h"

enum { PING_COUNT_DEFAULT = 100, PING_INTERVAL_MS = 20, PING_BAR_MAX = 40 };

struct target {
    struct endpoint endpoint;
    struct conn conn;
    struct node_info info;
    uint64_t n_sent;
    struct latency latency;
    struct err_info error; /* of the last one lost */
};

static uint64_t target_lost(const struct target *t)
{
    return t->n_sent - t->latency.n_times;
}

static int target_connect(struct target *t, int64_t deadline_ms)
{
    int rc = conn_open(&t->conn, &t->endpoint, deadline_ms, &t->error);
    if (rc == 0) {
        rc = conn_ask_info(&t->conn, deadline_ms, &t->info, &t->error);
    }
    return rc;
}

static void target_ping(struct target *t, int64_t timeout_ms)
{
    const char *args[] = {"PING"};
    struct command command = {1, args, NULL};
    redisReply *reply = NULL;
    bool sent = false;
    int rc = 0;
    int64_t deadline = clock_now_ms() + timeout_ms;
    t->n_sent++;
    if (!conn_is_open(&t->conn)) {
        rc = target_connect(t, deadline);
    }
    int64_t begin = clock_now_us();
    if (rc == 0) {
        rc = conn_call(&t->conn, &command, deadline, &reply, &sent, &t->error);
    }
    if (rc != 0) {
        conn_close(&t->conn);
        return;
    }
    latency_add(&t->latency, clock_now_us() - begin);
    freeReplyObject(reply);
}

/* Columns for a bar, behind bound and count. */
static int bar_room(void)
{
    enum { BEFORE = 21, LEAST = 5 };
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 ||
        size.ws_col - BEFORE > PING_BAR_MAX) {
        return PING_BAR_MAX;
    }
    return size.ws_col - BEFORE > LEAST ? size.ws_col - BEFORE : LEAST;
}

static void print_bars(const struct target *t)
{
    static const char bar[PING_BAR_MAX + 1] =
        "########################################";
    uint64_t buckets[LATENCY_BUCKETS];
    char text[LATENCY_TEXT_MAX];
    char peer[ENDPOINT_TEXT_MAX];
    uint64_t most = 0;
    size_t first = LATENCY_BUCKETS;
    size_t last = 0;
    latency_buckets(&t->latency, buckets);
    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        most = buckets[i] > most ? buckets[i] : most;
        if (buckets[i] > 0) {
            first = first == LATENCY_BUCKETS ? i : first;
            last = i;
        }
    }
    int widest = bar_room();
    printf("\n%s, %s\n", endpoint_format(peer, &t->endpoint),
           info_role_name(t->info.role));
    for (size_t i = first; i <= last && first < LATENCY_BUCKETS; i++) {
        int n = (int)(buckets[i] * (uint64_t)widest / most);
        /* Few are not none. */
        n = n == 0 && buckets[i] > 0 ? 1 : n;
        printf("  < %7s  %6" PRIu64 "%s%.*s\n",
               latency_text(text, latency_bound_us(i)), buckets[i],
               n > 0 ? "  " : "", n, bar);
    }
}

static void print_time_cell(struct table *t, const struct target *target,
                            uint64_t us)
{
    char text[LATENCY_TEXT_MAX];
    table_cell(t, "%s",
               target->latency.n_times > 0 ? latency_text(text, us) : "-");
}

static void print_table(struct target *targets, size_t n)
{
    static const char *const columns[] = {">ID",   "ADDRESS", "ROLE", ">SENT",
                                          ">LOST", ">P50",    ">P99", ">MAX"};
    struct table t;
    char peer[ENDPOINT_TEXT_MAX];
    table_init(&t);
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        table_column(&t, columns[i]);
    }
    for (size_t i = 0; i < n; i++) {
        struct target *target = &targets[i];
        bool known = info_has(&target->info, INFO_node_id);
        if (known) {
            table_cell(&t, "%" PRIu64, target->info.node_id);
        } else {
            table_cell(&t, "-");
        }
        table_cell(&t, "%s", endpoint_format(peer, &target->endpoint));
        table_cell(&t, "%s", info_role_name(target->info.role));
        table_cell(&t, "%" PRIu64, target->n_sent);
        table_cell(&t, "%" PRIu64, target_lost(target));
        print_time_cell(&t, target, latency_percentile(&target->latency, 0.5));
        print_time_cell(&t, target, latency_percentile(&target->latency, 0.99));
        print_time_cell(&t, target, latency_percentile(&target->latency, 1));
    }
    table_print(&t, stdout);
    table_close(&t);
    for (size_t i = 0; i < n; i++) {
        if (targets[i].latency.n_times > 0) {
            print_bars(&targets[i]);
        }
    }
}

static void print_target_json(struct json_writer *w, struct target *t)
{
    uint64_t buckets[LATENCY_BUCKETS];
    char peer[ENDPOINT_TEXT_MAX];
    static const struct {
        const char *name;
        double part;
    } percentiles[] = {{"p50_us", 0.5}, {"p99_us", 0.99}, {"max_us", 1}};
    json_open(w, '{');
    json_name(w, "address");
    json_text(w, endpoint_format(peer, &t->endpoint));
    if (info_has(&t->info, INFO_node_id)) {
        json_name(w, "node_id");
        json_uint(w, t->info.node_id);
        json_name(w, "role");
        json_text(w, info_role_name(t->info.role));
    }
    json_name(w, "sent");
    json_uint(w, t->n_sent);
    json_name(w, "lost");
    json_uint(w, target_lost(t));
    for (size_t i = 0; i < 3; i++) {
        json_name(w, percentiles[i].name);
        json_uint(w, latency_percentile(&t->latency, percentiles[i].part));
    }
    json_name(w, "buckets");
    json_open(w, '[');
    latency_buckets(&t->latency, buckets);
    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        if (buckets[i] > 0) {
            json_open(w, '{');
            json_name(w, "below_us");
            json_uint(w, latency_bound_us(i));
            json_name(w, "count");
            json_uint(w, buckets[i]);
            json_close(w, '}');
        }
    }
    json_close(w, ']');
    json_close(w, '}');
}

static void print_json(struct target *targets, size_t n)
{
    struct json_writer w = json_writer(stdout);
    json_open(&w, '{');
    json_name(&w, "nodes");
    json_open(&w, '[');
    for (size_t i = 0; i < n; i++) {
        print_target_json(&w, &targets[i]);
    }
    json_close(&w, ']');
    json_close(&w, '}');
    json_end(&w);
}

static int ping_report(const struct invocation *in, struct target *targets,
                       size_t n)
{
    int code = clock_interrupted() ? EXIT_CODE_INTERRUPTED : EXIT_CODE_OK;
    if (in->options.output == OUTPUT_JSON) {
        print_json(targets, n);
    } else {
        print_table(targets, n);
    }
    for (size_t i = 0; i < n; i++) {
        if (targets[i].latency.n_times == 0 && targets[i].n_sent > 0) {
            verb_fail(EXIT_CODE_UNREACHABLE, "%s", targets[i].error.message);
            code = code == EXIT_CODE_OK ? EXIT_CODE_UNREACHABLE : code;
        }
    }
    return verb_finish(code);
}

int verb_ping(const struct invocation *in)
{
    static struct target targets[ENDPOINT_LIST_MAX]; /* large */
    size_t n = in->endpoints.n_items;
    uint64_t count =
        in->options.count > 0 ? in->options.count : PING_COUNT_DEFAULT;
    int64_t interval = in->options.interval_ms > 0 ? in->options.interval_ms
                                                   : PING_INTERVAL_MS;
    int code = EXIT_CODE_OK;
    memset(targets, 0, sizeof(targets));
    for (size_t i = 0; i < n; i++) {
        targets[i].endpoint = in->endpoints.items[i];
        if (latency_init(&targets[i].latency, (size_t)count) != 0) {
            code = verb_fail(EXIT_CODE_REFUSED, "out of memory");
        }
    }
    for (uint64_t round = 0;
         code == EXIT_CODE_OK && round < count && !clock_interrupted();
         round++) {
        int64_t next = clock_now_ms() + interval;
        for (size_t i = 0; i < n && !clock_interrupted(); i++) {
            target_ping(&targets[i], verb_timeout_ms(in));
        }
        if (round + 1 < count) {
            clock_pause(next - clock_now_ms(), next);
        }
    }
    if (code == EXIT_CODE_OK) {
        code = ping_report(in, targets, n);
    }
    for (size_t i = 0; i < n; i++) {
        conn_close(&targets[i].conn);
        latency_close(&targets[i].latency);
    }
    return code;
}
