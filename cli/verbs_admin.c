/* The verbs that change how the nodes work: leader transfer, config get,
 * config set. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/clock.h"
#include "cli/cluster_wait.h"
#include "cli/json_write.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/verb.h"

static bool wants_json(const struct invocation *in)
{
    return in->options.output == OUTPUT_JSON;
}

/* ---- leader transfer ------------------------------------------------------*/

/* The node that leads now; an exit code after saying why there is none. */
static int find_leader(const struct invocation *in, struct cluster_view *view,
                       int64_t deadline_ms)
{
    for (;;) {
        cluster_view_ask(view, &in->endpoints, CLUSTER_NODE_MS);
        if (view->leader >= 0) {
            return EXIT_CODE_OK;
        }
        if (clock_interrupted()) {
            return verb_fail(EXIT_CODE_INTERRUPTED, "interrupted");
        }
        if (clock_now_ms() >= deadline_ms) {
            return verb_fail(EXIT_CODE_UNREACHABLE,
                             "no node leads, so there is nothing to transfer; "
                             "'concordctl status' shows the nodes");
        }
        clock_pause(CLUSTER_POLL_MS, deadline_ms);
    }
}

static void print_transfer(const struct invocation *in, uint64_t from,
                           const struct node_info *leader)
{
    if (!wants_json(in)) {
        printf("node %" PRIu64 " leads in term %" PRIu64 ", before it node "
               "%" PRIu64 "\n",
               leader->node_id, leader->term, from);
        return;
    }
    struct json_writer w = json_writer(stdout);
    json_open(&w, '{');
    json_name(&w, "from");
    json_uint(&w, from);
    json_name(&w, "node_id");
    json_uint(&w, leader->node_id);
    json_name(&w, "term");
    json_uint(&w, leader->term);
    json_close(&w, '}');
    json_end(&w);
}

/* The order has been given: wait until another node (`wanted`, or any if 0)
 * leads. An election may bring up a third one: that is told too. */
static int wait_transfer(const struct invocation *in, uint64_t from,
                         uint64_t wanted, int64_t deadline_ms)
{
    static struct cluster_view view; /* large */
    for (;;) {
        cluster_view_ask(&view, &in->endpoints, CLUSTER_NODE_MS);
        const struct node_info *leader =
            view.leader >= 0 ? &view.nodes[view.leader].info : NULL;
        if (leader != NULL && leader->node_id != from) {
            print_transfer(in, from, leader);
            return wanted == 0 || leader->node_id == wanted
                       ? verb_finish(EXIT_CODE_OK)
                       : verb_fail(EXIT_CODE_REFUSED,
                                   "node %" PRIu64 " was elected instead of "
                                   "node %" PRIu64 "; try again",
                                   leader->node_id, wanted);
        }
        if (clock_interrupted()) {
            return verb_fail(EXIT_CODE_INTERRUPTED, "interrupted");
        }
        if (clock_now_ms() >= deadline_ms) {
            return leader == NULL
                       ? verb_fail(EXIT_CODE_UNREACHABLE,
                                   "no node leads since the transfer was "
                                   "asked for")
                       : verb_fail(EXIT_CODE_REFUSED,
                                   "node %" PRIu64 " still leads; is the "
                                   "other node caught up? 'concordctl status' "
                                   "shows its lag",
                                   from);
        }
        clock_pause(CLUSTER_POLL_MS, deadline_ms);
    }
}

int verb_leader_transfer(const struct invocation *in)
{
    static struct cluster_view view; /* large */
    const char *args[] = {"CONCORDKV", "LEADER", "TRANSFER",
                          in->n_args > 0 ? in->args[0] : NULL};
    struct command command = {in->n_args > 0 ? 4 : 3, args, NULL};
    int64_t deadline = verb_deadline_ms(in);
    uint64_t wanted = 0;
    struct client client;
    struct err_info info = {0, ""};
    redisReply *reply = NULL;
    if (in->n_args > 0 &&
        text_parse_count(in->args[0], 1, UINT64_MAX, &wanted) != 0) {
        return verb_fail(EXIT_CODE_USAGE,
                         "'leader transfer' needs a node's id, a number; "
                         "'concordctl status' lists them");
    }
    int code = find_leader(in, &view, deadline);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    uint64_t from = view.nodes[view.leader].info.node_id;
    if (wanted == from) {
        print_transfer(in, from, &view.nodes[view.leader].info);
        return verb_finish(EXIT_CODE_OK);
    }
    client_init(&client, &in->endpoints, false);
    code =
        client_call(&client, CLIENT_WRITE, &command, deadline, &reply, &info);
    client_close(&client);
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    /* Without an answer the nodes still tell what became of it. */
    if (code != EXIT_CODE_OK && code != EXIT_CODE_UNKNOWN) {
        return verb_fail(code, "%s", info.message);
    }
    return wait_transfer(in, from, wanted, deadline);
}

/* ---- config ---------------------------------------------------------------*/

/* A reply of names and values in turn. */
static bool is_pairs(const redisReply *reply)
{
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY ||
        reply->elements % 2 != 0) {
        return false;
    }
    for (size_t i = 0; i < reply->elements; i++) {
        if (reply->element[i]->type != REDIS_REPLY_STRING) {
            return false;
        }
    }
    return true;
}

static const redisReply *find_value(const redisReply *pairs, const char *name)
{
    for (size_t i = 0; is_pairs(pairs) && i < pairs->elements; i += 2) {
        if (strcmp(pairs->element[i]->str, name) == 0) {
            return pairs->element[i + 1];
        }
    }
    return NULL;
}

static bool all_agree(const struct answer *answers, size_t n, const char *name,
                      const redisReply *value)
{
    for (size_t i = 0; i < n; i++) {
        const redisReply *other = find_value(answers[i].reply, name);
        if (answers[i].reply != NULL &&
            (other == NULL || strcmp(other->str, value->str) != 0)) {
            return false;
        }
    }
    return true;
}

static void print_option_row(struct table *t, const char *name,
                             const redisReply *value, const char *node)
{
    char shown[200];
    table_cell(t, "%s", name);
    table_cell(t, "%s",
               err_escape(shown, sizeof(shown), value->str, value->len));
    table_cell(t, "%s", node);
}

/* A row for each option; one for each node where they differ. Returns how
 * many rows there are. */
static size_t print_options_table(const struct answer *answers, size_t n)
{
    struct table t;
    char peer[ENDPOINT_TEXT_MAX];
    size_t n_rows = 0;
    table_init(&t);
    table_column(&t, "NAME");
    table_column(&t, "VALUE");
    table_column(&t, "NODES");
    for (size_t i = 0; i < n; i++) {
        const redisReply *pairs = answers[i].reply;
        for (size_t j = 0; is_pairs(pairs) && j < pairs->elements; j += 2) {
            const char *name = pairs->element[j]->str;
            const redisReply *value = pairs->element[j + 1];
            bool agree = all_agree(answers, n, name, value);
            bool shown = false;
            for (size_t k = 0; agree && k < i; k++) {
                shown = shown || find_value(answers[k].reply, name) != NULL;
            }
            if (!shown) {
                print_option_row(
                    &t, name, value,
                    agree ? "all"
                          : endpoint_format(peer, &answers[i].endpoint));
                n_rows++;
            }
        }
    }
    if (n_rows > 0) {
        table_print(&t, stdout);
    }
    table_close(&t);
    return n_rows;
}

static size_t print_options_json(const struct answer *answers, size_t n)
{
    struct json_writer w = json_writer(stdout);
    char peer[ENDPOINT_TEXT_MAX];
    size_t n_rows = 0;
    json_open(&w, '{');
    json_name(&w, "nodes");
    json_open(&w, '[');
    for (size_t i = 0; i < n; i++) {
        const redisReply *pairs = answers[i].reply;
        json_open(&w, '{');
        json_name(&w, "address");
        json_text(&w, endpoint_format(peer, &answers[i].endpoint));
        json_name(&w, "options");
        json_open(&w, '{');
        for (size_t j = 0; is_pairs(pairs) && j < pairs->elements; j += 2) {
            json_name(&w, pairs->element[j]->str);
            json_bytes(&w, pairs->element[j + 1]->str,
                       pairs->element[j + 1]->len);
            n_rows++;
        }
        json_close(&w, '}');
        json_close(&w, '}');
    }
    json_close(&w, ']');
    json_close(&w, '}');
    json_end(&w);
    return n_rows;
}

int verb_config_get(const struct invocation *in)
{
    static struct answer answers[ENDPOINT_LIST_MAX]; /* large */
    const char *args[] = {"CONFIG", "GET", in->n_args > 0 ? in->args[0] : "*"};
    struct command command = {3, args, NULL};
    size_t n = in->endpoints.n_items;
    ask_each(in, &command, CLIENT_READ, answers);
    size_t n_rows = wants_json(in) ? print_options_json(answers, n)
                                   : print_options_table(answers, n);
    int code = ask_report(answers, n);
    ask_free(answers, n);
    if (code == EXIT_CODE_OK && n_rows == 0) {
        char shown[80];
        code = EXIT_CODE_NOT_FOUND;
        verb_fail(code,
                  "no option matches '%s'; 'concordctl config get' "
                  "lists all",
                  err_escape(shown, sizeof(shown), args[2], strlen(args[2])));
    }
    return verb_finish(code);
}

int verb_config_set(const struct invocation *in)
{
    static struct answer answers[ENDPOINT_LIST_MAX]; /* large */
    const char *args[] = {"CONFIG", "SET", in->args[0], in->args[1]};
    struct command command = {4, args, NULL};
    size_t n = in->endpoints.n_items;
    ask_each(in, &command, CLIENT_WRITE, answers);
    struct json_writer w = json_writer(stdout);
    if (wants_json(in)) {
        json_open(&w, '{');
        json_name(&w, "nodes");
        json_open(&w, '[');
    }
    for (size_t i = 0; i < n; i++) {
        char peer[ENDPOINT_TEXT_MAX];
        endpoint_format(peer, &answers[i].endpoint);
        if (wants_json(in)) {
            json_open(&w, '{');
            json_name(&w, "address");
            json_text(&w, peer);
            json_name(&w, "done");
            json_bool(&w, answers[i].code == EXIT_CODE_OK);
            json_close(&w, '}');
        } else if (answers[i].code == EXIT_CODE_OK) {
            printf("%s: done\n", peer);
        }
    }
    if (wants_json(in)) {
        json_close(&w, ']');
        json_close(&w, '}');
        json_end(&w);
    }
    int code = ask_report(answers, n);
    ask_free(answers, n);
    return verb_finish(code);
}
