/* cluster_torture: kill -9 of the leader in a loop under load, as a program
 * that prints a table and, asked for, JSON. Ends with 0 only if no promise was
 * broken and the run did what it was asked to do. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/cluster/torture.h"

static const char usage[] =
    "cluster_torture: kill the leader again and again, check every promise\n"
    "  --cycles N               kills of the leader (100)\n"
    "  --nodes N                nodes, 3 or 5 (3)\n"
    "  --workers N              writing clients (8)\n"
    "  --value-bytes N          bytes of a value (64)\n"
    "  --pause-us N             pause of a client between requests (200)\n"
    "  --seed N                 of the moments of the kills (1)\n"
    "  --election-timeout-ms N  of the nodes (their default)\n"
    "  --node FLAG=VALUE        a further flag of the nodes, without dashes\n"
    "  --json FILE              write all figures there too\n"
    "  --keep                   keep data and logs of the nodes\n"
    "The node's program is $CONCORDKV_PROGRAM or the one of this build.\n";

static void show_progress(unsigned n, const struct torture_cycle *cycle)
{
    if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "\rkill %u: node %u, %.1f ms without a leader   ", n,
                cycle->killed + 1, (double)cycle->leaderless_us / 1000);
    } else if (n % 10 == 0) {
        fprintf(stderr, "%u kills\n", n);
    }
}

static unsigned number(const char *name, const char *text, unsigned max)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);
    if (*text == '\0' || *end != '\0' || v > max) {
        fprintf(stderr, "--%s is a number up to %u, not \"%.40s\"\n", name, max,
                text);
        exit(2);
    }
    return (unsigned)v;
}

int main(int argc, char **argv)
{
    static const struct option flags[] = {
        {"cycles", required_argument, NULL, 'c'},
        {"nodes", required_argument, NULL, 'n'},
        {"workers", required_argument, NULL, 'w'},
        {"value-bytes", required_argument, NULL, 'v'},
        {"pause-us", required_argument, NULL, 'p'},
        {"seed", required_argument, NULL, 's'},
        {"election-timeout-ms", required_argument, NULL, 'e'},
        {"node", required_argument, NULL, 'N'},
        {"json", required_argument, NULL, 'j'},
        {"keep", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    struct cluster_options cluster_options = {0};
    struct torture_options options = {
        .n_cycles = 100, .seed = 1, .load = {.pause_us = 200, .seed = 1}};
    const char *json = NULL;
    struct torture_result result;
    struct cluster cluster;
    char *node_args[CLUSTER_ARGS_MAX] = {NULL};
    unsigned n_args = 0;
    bool ok, is_kept = false;
    int flag, at = 0;

    while ((flag = getopt_long(argc, argv, "", flags, &at)) != -1) {
        const char *name = flags[at].name;
        switch (flag) {
        case 'c':
            options.n_cycles = number(name, optarg, TORTURE_CYCLES_MAX);
            break;
        case 'n':
            cluster_options.n_nodes = number(name, optarg, CLUSTER_NODES_MAX);
            break;
        case 'w':
            options.load.n_workers = number(name, optarg, 64);
            break;
        case 'v':
            options.load.value_size = number(name, optarg, 4096);
            break;
        case 'p':
            options.load.pause_us = number(name, optarg, 999999);
            break;
        case 's':
            options.seed = number(name, optarg, 1u << 31);
            options.load.seed = options.seed;
            break;
        case 'e':
            cluster_options.election_timeout_ms = number(name, optarg, 60000);
            break;
        case 'N':
            if (n_args < CLUSTER_ARGS_MAX - 1 &&
                asprintf(&node_args[n_args], "--%s", optarg) > 0) {
                cluster_options.args[n_args] = node_args[n_args];
                n_args++;
            }
            break;
        case 'j':
            json = optarg;
            break;
        case 'k':
            is_kept = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }

    cluster_open(&cluster, &cluster_options);
    cluster_start(&cluster);
    torture_run(&cluster, &options, show_progress, &result);
    fprintf(stderr, "\n");
    torture_print(&result);
    ok = result.n_broken == 0 && result.n_cycles == options.n_cycles &&
         result.counts.n_acked > options.n_cycles;
    if (result.counts.n_acked <= options.n_cycles) {
        printf("VOID: fewer writes than kills\n");
    }
    if (json != NULL && !torture_write_json(&result, json)) {
        perror(json);
        ok = false;
    }
    cluster.failed = !ok || is_kept;
    if (cluster.failed) {
        printf("data and logs are kept in %s\n", cluster.dir.path);
    }
    cluster_close(&cluster);
    torture_result_free(&result);
    for (unsigned i = 0; i < n_args; i++) {
        free(node_args[i]);
    }
    printf("%s\n", ok ? "every promise was kept" : "FAILED");
    return ok ? 0 : 1;
}
