/* The verb stats: throughput and latency of each node, once or live.
 *
 * Rates are differences between two looks, so the first line comes after one
 * interval. A mean time is that of the interval: nodes tell mean and number of
 * all they have measured, and what was before is taken out. The percentiles are
 * the node's own, since it started or CONFIG RESETSTAT. With --watch tables are
 * drawn over those before (on a terminal; elsewhere behind them) until Ctrl-C.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/clock.h"
#include "cli/json_write.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/verb.h"

enum { STATS_INTERVAL_MS = 1000, WORD_MAX = 32 };

/* Percentiles of a histogram. */
struct spread {
    uint64_t p50, p99, max;
};

/* What one look at a node saw. */
struct sample {
    bool valid;
    int64_t at_us;
    uint64_t id;
    char role[WORD_MAX], sync[WORD_MAX];
    uint64_t writes, reads, entries, frames, syncs, payload_bytes;
    uint64_t log_bytes, compactions, keys;
    double write_mean, read_mean, log_mean; /* us, of all so far */
    uint64_t n_write, n_read, n_log;
    uint64_t write_p99, read_p99, log_p99;
    struct spread held, wait, compact; /* us */
    uint64_t written_bytes, saved_bytes;
};

/* ---- reading INFO ---------------------------------------------------------*/

/* The line of a field behind its colon; "" when there is none. */
static const char *value_of(const char *info, const char *name)
{
    size_t size = strlen(name);
    for (const char *p = info; p != NULL; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (strncmp(p, name, size) == 0 && p[size] == ':') {
            return p + size + 1;
        }
    }
    return "";
}

static uint64_t number_of(const char *info, const char *name)
{
    return strtoull(value_of(info, name), NULL, 10);
}

static void word_of(const char *info, const char *name, char out[WORD_MAX])
{
    const char *value = value_of(info, name);
    snprintf(out, WORD_MAX, "%.*s", (int)strcspn(value, "\r\n"), value);
}

/* A part "p99=..." of a line of percentiles. */
static double part_of(const char *info, const char *name, const char *part)
{
    const char *value = value_of(info, name);
    const char *end = value + strcspn(value, "\r\n");
    size_t size = strlen(part);
    while (value < end) {
        if (strncmp(value, part, size) == 0 && value[size] == '=') {
            return strtod(value + size + 1, NULL);
        }
        value += strcspn(value, ",\r\n");
        value += *value == ',';
    }
    return 0;
}

static void read_times(const char *info, const char *name, double *mean,
                       uint64_t *n, uint64_t *p99)
{
    *mean = part_of(info, name, "mean");
    *n = (uint64_t)part_of(info, name, "n");
    *p99 = (uint64_t)part_of(info, name, "p99");
}

static struct spread spread_of(const char *info, const char *name)
{
    struct spread s = {(uint64_t)part_of(info, name, "p50"),
                       (uint64_t)part_of(info, name, "p99"),
                       (uint64_t)part_of(info, name, "max")};
    return s;
}

static void read_sample(const struct answer *a, struct sample *s)
{
    memset(s, 0, sizeof *s);
    if (a->code != EXIT_CODE_OK || a->reply->type != REDIS_REPLY_STRING) {
        return;
    }
    const char *info = a->reply->str;
    s->valid = true;
    s->at_us = clock_now_us();
    s->id = number_of(info, "node_id");
    word_of(info, "raft_role", s->role);
    word_of(info, "sync_policy", s->sync);
    s->writes = number_of(info, "total_writes");
    s->reads = number_of(info, "total_reads");
    s->entries = number_of(info, "log_appends");
    s->frames = number_of(info, "log_frames");
    s->syncs = number_of(info, "log_syncs");
    s->payload_bytes = number_of(info, "log_payload_bytes");
    s->log_bytes = number_of(info, "log_size_bytes");
    s->compactions = number_of(info, "compactions");
    s->keys = number_of(info, "keys");
    read_times(info, "latency_percentiles_usec_write", &s->write_mean,
               &s->n_write, &s->write_p99);
    read_times(info, "latency_percentiles_usec_read", &s->read_mean, &s->n_read,
               &s->read_p99);
    read_times(info, "latency_percentiles_usec_log_write", &s->log_mean,
               &s->n_log, &s->log_p99);
    s->held = spread_of(info, "latency_percentiles_usec_loop");
    s->wait = spread_of(info, "latency_percentiles_usec_log_wait");
    s->compact = spread_of(info, "latency_percentiles_usec_compaction");
    s->written_bytes = number_of(info, "compaction_written_bytes");
    s->saved_bytes = number_of(info, "compaction_saved_bytes");
}

/* ---- what happened between two looks --------------------------------------*/

struct rates {
    double writes, reads, entries, frames, bytes; /* a second */
    double write_us, read_us, log_us;             /* means */
};

static double rate(uint64_t now, uint64_t before, double seconds)
{
    return now >= before && seconds > 0 ? (double)(now - before) / seconds : 0;
}

/* Mean of what came between; counters that went back were set to zero. */
static double mean(double now, uint64_t n_now, double before, uint64_t n_before)
{
    if (n_now < n_before) {
        return now;
    }
    return n_now == n_before
               ? 0
               : (now * (double)n_now - before * (double)n_before) /
                     (double)(n_now - n_before);
}

static struct rates rates_of(const struct sample *now, const struct sample *old)
{
    double seconds = (double)(now->at_us - old->at_us) / 1e6;
    struct rates r = {
        rate(now->writes, old->writes, seconds),
        rate(now->reads, old->reads, seconds),
        rate(now->entries, old->entries, seconds),
        rate(now->frames, old->frames, seconds),
        rate(now->payload_bytes, old->payload_bytes, seconds),
        mean(now->write_mean, now->n_write, old->write_mean, old->n_write),
        mean(now->read_mean, now->n_read, old->read_mean, old->n_read),
        mean(now->log_mean, now->n_log, old->log_mean, old->n_log)};
    return r;
}

/* ---- output ---------------------------------------------------------------*/

/* Three tables, so that each fits a terminal of 80 columns: requests; the log;
 * what holds them up (turns of the loop, in us, and compactions, of all since
 * the start or CONFIG RESETSTAT). */
struct look {
    const struct answer *answers;
    const struct sample *now, *old;
    size_t n;
};

typedef void print_cells(struct table *t, const struct sample *now,
                         const struct rates *r);

static void print_requests(struct table *t, const struct sample *now,
                           const struct rates *r)
{
    table_cell(t, "%s", now->role);
    table_cell(t, "%.0f", r->writes);
    table_cell(t, "%.0f", r->write_us);
    table_cell(t, "%" PRIu64, now->write_p99);
    table_cell(t, "%.0f", r->reads);
    table_cell(t, "%.0f", r->read_us);
    table_cell(t, "%" PRIu64, now->read_p99);
}

static void print_log(struct table *t, const struct sample *now,
                      const struct rates *r)
{
    char bytes[TEXT_NUMBER_MAX], size[TEXT_NUMBER_MAX];
    table_cell(t, "%.1f", r->frames > 0 ? r->entries / r->frames : 0);
    table_cell(t, "%.0f", r->log_us);
    table_cell(t, "%" PRIu64, now->wait.p99);
    table_cell(t, "%" PRIu64, now->wait.max);
    table_cell(t, "%s/s", text_bytes(bytes, (uint64_t)r->bytes));
    table_cell(t, "%s", text_bytes(size, now->log_bytes));
}

static void print_stalls(struct table *t, const struct sample *now,
                         const struct rates *r)
{
    char written[TEXT_NUMBER_MAX], saved[TEXT_NUMBER_MAX];
    (void)r;
    table_cell(t, "%" PRIu64, now->held.p99);
    table_cell(t, "%" PRIu64, now->held.max);
    table_cell(t, "%" PRIu64, now->compactions);
    table_cell(t, "%.1f", (double)now->compact.p50 / 1000);
    table_cell(t, "%.1f", (double)now->compact.p99 / 1000);
    table_cell(t, "%s", text_bytes(written, now->written_bytes));
    table_cell(t, "%s", text_bytes(saved, now->saved_bytes));
}

/* headers end with NULL; NODE comes in front. */
static void print_part(const struct look *l, const char *const *headers,
                       print_cells *print)
{
    struct table t;
    unsigned n_columns = 0;
    table_init(&t);
    table_column(&t, "NODE");
    for (; headers[n_columns] != NULL; n_columns++) {
        table_column(&t, headers[n_columns]);
    }
    for (size_t i = 0; i < l->n; i++) {
        char node[ENDPOINT_TEXT_MAX];
        struct rates r = rates_of(&l->now[i], &l->old[i]);
        table_cell(&t, "%s", endpoint_format(node, &l->answers[i].endpoint));
        if (l->now[i].valid && l->old[i].valid) {
            print(&t, &l->now[i], &r);
            continue;
        }
        table_cell(&t, "%s", "no answer");
        for (unsigned k = 1; k < n_columns; k++) {
            table_cell(&t, "%s", "-");
        }
    }
    table_print(&t, stdout);
    table_close(&t);
}

static void print_tables(const struct look *l, bool over)
{
    static const char *const requests[] = {
        "ROLE", ">WRITES/S", ">US", ">P99", ">READS/S", ">US", ">P99", NULL};
    static const char *const log[] = {">BATCH", ">SYNC US", ">WAIT P99", ">MAX",
                                      ">LOG",   ">SIZE",    NULL};
    static const char *const stalls[] = {">HELD P99", ">MAX", ">COMPACTED",
                                         ">MS P50",   ">P99", ">WRITTEN",
                                         ">SAVED",    NULL};
    if (over) {
        fputs("\033[H\033[J", stdout);
    }
    print_part(l, requests, print_requests);
    putchar('\n');
    print_part(l, log, print_log);
    putchar('\n');
    print_part(l, stalls, print_stalls);
    fflush(stdout);
}

static void json_number(struct json_writer *w, const char *name, double value)
{
    json_name(w, name);
    json_uint(w, (uint64_t)(value + 0.5));
}

/* name_p50, name_p99, name_max */
static void json_spread(struct json_writer *w, const char *name,
                        const struct spread *s)
{
    char field[64];
    snprintf(field, sizeof field, "%s_p50", name);
    json_number(w, field, (double)s->p50);
    snprintf(field, sizeof field, "%s_p99", name);
    json_number(w, field, (double)s->p99);
    snprintf(field, sizeof field, "%s_max", name);
    json_number(w, field, (double)s->max);
}

static void print_json(const struct answer *answers, const struct sample *now,
                       const struct sample *old, size_t n)
{
    struct json_writer w = json_writer(stdout);
    json_open(&w, '[');
    for (size_t i = 0; i < n; i++) {
        char node[ENDPOINT_TEXT_MAX];
        struct rates r = rates_of(&now[i], &old[i]);
        if (!now[i].valid || !old[i].valid) {
            continue;
        }
        json_open(&w, '{');
        json_name(&w, "node");
        json_text(&w, endpoint_format(node, &answers[i].endpoint));
        json_name(&w, "role");
        json_text(&w, now[i].role);
        json_name(&w, "sync_policy");
        json_text(&w, now[i].sync);
        json_number(&w, "writes_per_s", r.writes);
        json_number(&w, "write_us_mean", r.write_us);
        json_number(&w, "write_us_p99", (double)now[i].write_p99);
        json_number(&w, "reads_per_s", r.reads);
        json_number(&w, "read_us_mean", r.read_us);
        json_number(&w, "read_us_p99", (double)now[i].read_p99);
        json_number(&w, "log_entries_per_s", r.entries);
        json_number(&w, "log_writes_per_s", r.frames);
        json_number(&w, "log_write_us_mean", r.log_us);
        json_number(&w, "log_write_us_p99", (double)now[i].log_p99);
        json_number(&w, "log_bytes_per_s", r.bytes);
        json_number(&w, "log_size_bytes", (double)now[i].log_bytes);
        json_number(&w, "log_syncs", (double)now[i].syncs);
        json_spread(&w, "log_wait_us", &now[i].wait);
        json_spread(&w, "loop_us", &now[i].held);
        json_number(&w, "compactions", (double)now[i].compactions);
        json_spread(&w, "compaction_us", &now[i].compact);
        json_number(&w, "compaction_written_bytes",
                    (double)now[i].written_bytes);
        json_number(&w, "compaction_saved_bytes", (double)now[i].saved_bytes);
        json_number(&w, "keys", (double)now[i].keys);
        json_close(&w, '}');
    }
    json_close(&w, ']');
    json_end(&w);
    fflush(stdout);
}

/* ---- the verb -------------------------------------------------------------*/

static int look(const struct invocation *in, struct answer *answers,
                struct sample *samples)
{
    const char *args[] = {"INFO",        "stats",    "persistence",
                          "replication", "keyspace", "latencystats"};
    struct command command = {6, args, NULL};
    int code = EXIT_CODE_UNREACHABLE;
    ask_each(in, &command, CLIENT_READ, answers);
    for (size_t i = 0; i < in->endpoints.n_items; i++) {
        read_sample(&answers[i], &samples[i]);
        code = samples[i].valid ? EXIT_CODE_OK : code;
    }
    return code;
}

int verb_stats(const struct invocation *in)
{
    static struct answer answers[ENDPOINT_LIST_MAX]; /* large */
    static struct sample samples[2][ENDPOINT_LIST_MAX];
    size_t n = in->endpoints.n_items;
    int64_t interval = in->options.interval_ms > 0 ? in->options.interval_ms
                                                   : STATS_INTERVAL_MS;
    bool over = in->options.watch && isatty(STDOUT_FILENO) == 1;
    unsigned now = 0;
    int code = look(in, answers, samples[now]);
    while (code == EXIT_CODE_OK && !clock_interrupted()) {
        clock_pause(interval, clock_now_ms() + interval);
        if (clock_interrupted()) {
            break;
        }
        ask_free(answers, n);
        now = !now;
        code = look(in, answers, samples[now]);
        if (in->options.output == OUTPUT_JSON) {
            print_json(answers, samples[now], samples[!now], n);
        } else {
            const struct look l = {answers, samples[now], samples[!now], n};
            print_tables(&l, over);
        }
        if (!in->options.watch) {
            break;
        }
    }
    if (!in->options.watch || code != EXIT_CODE_OK) {
        int failures = ask_report(answers, n);
        code = code == EXIT_CODE_OK ? failures : code;
    }
    ask_free(answers, n);
    return code == EXIT_CODE_OK ? verb_finish(code) : code;
}
