/* The kill loop and its figures: see torture.h. */
#include "tests/cluster/torture.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CALM_MS_MIN = 50, /* of load before a kill */
    CALM_MS_MAX = 300
};

/* ---- one cycle -----------------------------------------------------------*/

/* Ask the survivors, as fast as they answer, until one leads in a term above
 * the old one. The connections are made before the kill, so that what is timed
 * is the election and not the asking. */
static void wait_new_leader(struct cluster *c, redisContext **contexts,
                            uint64_t old_term, struct torture_cycle *cycle,
                            uint64_t killed_us)
{
    uint64_t end = killed_us + (uint64_t)CLUSTER_WAIT_MS * 1000;

    while (cluster_now_us() < end) {
        for (unsigned i = 0; i < c->n_nodes; i++) {
            char role[32] = "", term[32] = "";
            redisReply *reply;
            if (contexts[i] == NULL) {
                continue;
            }
            reply = redisCommand(contexts[i], "INFO");
            if (reply == NULL) {
                cluster_fail(c, "node %u closed the connection of the observer",
                             i + 1);
            }
            if (reply->type == REDIS_REPLY_STRING) {
                cluster_info_field(reply->str, "raft_role", role, sizeof role);
                cluster_info_field(reply->str, "raft_term", term, sizeof term);
            }
            freeReplyObject(reply);
            if (strcmp(role, "leader") == 0 &&
                strtoull(term, NULL, 10) > old_term) {
                cycle->leaderless_us = cluster_now_us() - killed_us;
                cycle->elected = i;
                cycle->term = strtoull(term, NULL, 10);
                return;
            }
        }
    }
    cluster_fail(c, "no new leader %d ms after node %u was killed",
                 CLUSTER_WAIT_MS, cycle->killed + 1);
}

static void run_cycle(struct cluster *c, struct load *load, unsigned calm_ms,
                      struct torture_cycle *cycle)
{
    redisContext *contexts[CLUSTER_NODES_MAX] = {NULL};
    uint64_t killed_us, led_us, restarted_us, commit, term, end;

    cluster_sleep_ms(calm_ms);
    cycle->killed = cluster_wait_leader(c);
    for (unsigned i = 0; i < c->n_nodes; i++) {
        if (i != cycle->killed) {
            contexts[i] = cluster_connect(c, i);
        }
    }
    term = cluster_info_u64(c, cycle->killed, "raft_term");
    load_reset_gap(load);
    killed_us = cluster_now_us();
    cluster_node_kill(c, cycle->killed);
    wait_new_leader(c, contexts, term, cycle, killed_us);
    led_us = cluster_now_us();
    end = led_us + (uint64_t)CLUSTER_WAIT_MS * 1000;
    while (load_last_ack_us(load) <= led_us) {
        if (cluster_now_us() > end) {
            cluster_fail(c,
                         "node %u leads, but no write was acknowledged in "
                         "%d ms",
                         cycle->elected + 1, CLUSTER_WAIT_MS);
        }
        cluster_sleep_ms(1);
    }
    cycle->gap_us = load_gap_us(load);
    for (unsigned i = 0; i < c->n_nodes; i++) {
        if (contexts[i] != NULL) {
            redisFree(contexts[i]);
        }
    }

    commit = cluster_info_u64(c, cycle->elected, "raft_commit_index");
    restarted_us = cluster_now_us();
    cluster_node_start(c, cycle->killed);
    cluster_wait_applied(c, cycle->killed, commit);
    cycle->rejoin_us = cluster_now_us() - restarted_us;
}

void torture_run(struct cluster *c, const struct torture_options *options,
                 void (*progress)(unsigned n,
                                  const struct torture_cycle *cycle),
                 struct torture_result *out)
{
    uint64_t begin = cluster_now_us(), random = options->seed | 1;
    struct load *load;

    memset(out, 0, sizeof *out);
    out->cycles = calloc(options->n_cycles + 1, sizeof *out->cycles);
    if (out->cycles == NULL) {
        abort();
    }
    load = load_start(c, &options->load);
    for (unsigned n = 0; n < options->n_cycles; n++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        run_cycle(c, load,
                  CALM_MS_MIN + (unsigned)(random >> 33) %
                                    (CALM_MS_MAX - CALM_MS_MIN + 1),
                  &out->cycles[n]);
        out->n_cycles = n + 1;
        if (progress != NULL) {
            progress(n + 1, &out->cycles[n]);
        }
    }
    load_stop(load);
    cluster_wait_leader(c);
    cluster_wait_equal(c, out->state_hash);
    out->n_broken = load_verify(load, &out->counts);
    load_free(load);
    out->duration_us = cluster_now_us() - begin;
}

void torture_result_free(struct torture_result *r)
{
    free(r->cycles);
    r->cycles = NULL;
}

/* ---- figures -------------------------------------------------------------*/

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The p-th percentile (0..100) of a field over all cycles. */
static uint64_t percentile(const struct torture_result *r, size_t field,
                           double p)
{
    uint64_t *all = calloc(r->n_cycles + 1, sizeof *all), value = 0;

    if (all == NULL) {
        abort();
    }
    for (unsigned i = 0; i < r->n_cycles; i++) {
        memcpy(&all[i], (const char *)&r->cycles[i] + field, sizeof *all);
    }
    qsort(all, r->n_cycles, sizeof *all, compare_u64);
    if (r->n_cycles > 0) {
        /* Nearest rank: the smallest value with p percent at or below it. */
        double rank = p / 100 * (double)r->n_cycles;
        size_t at = (size_t)rank;
        at = (double)at < rank ? at + 1 : at;
        value = all[at == 0 ? 0 : at - 1];
    }
    free(all);
    return value;
}

static const struct figure {
    const char *name, *title;
    size_t field;
} figures[] = {
    {"leaderless_ms", "without a leader",
     offsetof(struct torture_cycle, leaderless_us)},
    {"write_gap_ms", "without a write", offsetof(struct torture_cycle, gap_us)},
    {"rejoin_ms", "restart to caught up",
     offsetof(struct torture_cycle, rejoin_us)},
};
enum { N_FIGURES = sizeof figures / sizeof *figures };

void torture_print(const struct torture_result *r)
{
    const struct load_counts *k = &r->counts;

    printf("without a leader, ms, cycle by cycle:");
    for (unsigned i = 0; i < r->n_cycles; i++) {
        printf("%s%7.1f", i % 10 == 0 ? "\n " : "",
               (double)r->cycles[i].leaderless_us / 1000);
    }
    printf("\n\n%-22s %9s %9s %9s %9s\n", "ms", "min", "median", "p99", "max");
    for (unsigned f = 0; f < N_FIGURES; f++) {
        printf("%-22s", figures[f].title);
        for (unsigned p = 0; p < 4; p++) {
            static const double percents[] = {0, 50, 99, 100};
            printf(" %9.1f",
                   (double)percentile(r, figures[f].field, percents[p]) / 1000);
        }
        printf("\n");
    }
    printf("\n%u kills of the leader in %.1f s\n"
           "writes: %llu acknowledged, %llu refused, %llu unknown; "
           "%llu reads checked, %llu reconnects\n"
           "acknowledged writes lost: %llu, with a wrong value: %llu, "
           "doubled: %llu;\nrefused but done: %llu; stale reads: %llu\n"
           "state hash of all nodes: %s\n",
           r->n_cycles, (double)r->duration_us / 1e6,
           (unsigned long long)k->n_acked, (unsigned long long)k->n_refused,
           (unsigned long long)k->n_unknown, (unsigned long long)k->n_reads,
           (unsigned long long)k->n_reconnects, (unsigned long long)k->n_lost,
           (unsigned long long)k->n_wrong, (unsigned long long)k->n_doubled,
           (unsigned long long)k->n_undead, (unsigned long long)k->n_stale,
           r->state_hash);
}

bool torture_write_json(const struct torture_result *r, const char *path)
{
    const struct load_counts *k = &r->counts;
    FILE *f = fopen(path, "w");

    if (f == NULL) {
        return false;
    }
    fprintf(f, "{\"cycles\": %u, \"seconds\": %.1f,\n", r->n_cycles,
            (double)r->duration_us / 1e6);
    fprintf(f,
            " \"acknowledged\": %llu, \"refused\": %llu, \"unknown\": %llu,\n"
            " \"lost\": %llu, \"wrong\": %llu, \"doubled\": %llu,\n"
            " \"refused_but_done\": %llu, \"stale_reads\": %llu,\n"
            " \"reads_checked\": %llu, \"state_hash\": \"%s\",\n",
            (unsigned long long)k->n_acked, (unsigned long long)k->n_refused,
            (unsigned long long)k->n_unknown, (unsigned long long)k->n_lost,
            (unsigned long long)k->n_wrong, (unsigned long long)k->n_doubled,
            (unsigned long long)k->n_undead, (unsigned long long)k->n_stale,
            (unsigned long long)k->n_reads, r->state_hash);
    for (unsigned i = 0; i < N_FIGURES; i++) {
        fprintf(f, " \"%s\": {\"median\": %.3f, \"p99\": %.3f, \"all\": [",
                figures[i].name,
                (double)percentile(r, figures[i].field, 50) / 1000,
                (double)percentile(r, figures[i].field, 99) / 1000);
        for (unsigned n = 0; n < r->n_cycles; n++) {
            uint64_t us;
            memcpy(&us, (const char *)&r->cycles[n] + figures[i].field,
                   sizeof us);
            fprintf(f, "%s%.3f", n == 0 ? "" : ", ", (double)us / 1000);
        }
        fprintf(f, "]}%s\n", i + 1 < N_FIGURES ? "," : "}");
    }
    return fclose(f) == 0;
}
