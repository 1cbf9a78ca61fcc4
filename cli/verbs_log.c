/* The verbs about each node's log: compact, log list. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/json_write.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/verb.h"

static bool wants_json(const struct invocation *in)
{
    return in->options.output == OUTPUT_JSON;
}

/* ---- compact --------------------------------------------------------------*/

static void compact_json(const struct answer *answers, size_t n)
{
    struct json_writer w = json_writer(stdout);
    json_open(&w, '[');
    for (size_t i = 0; i < n; i++) {
        char node[ENDPOINT_TEXT_MAX];
        if (answers[i].code == EXIT_CODE_OK) {
            json_open(&w, '{');
            json_name(&w, "node");
            json_text(&w, endpoint_format(node, &answers[i].endpoint));
            json_name(&w, "snapshot_index");
            json_int(&w, answers[i].reply->integer);
            json_close(&w, '}');
        }
    }
    json_close(&w, ']');
    json_end(&w);
}

int verb_compact(const struct invocation *in)
{
    static struct answer answers[ENDPOINT_LIST_MAX]; /* large */
    const char *args[] = {"CONCORDKV", "COMPACT"};
    struct command command = {2, args, NULL};
    size_t n = in->endpoints.n_items;
    int code;
    ask_each(in, &command, CLIENT_WRITE, answers);
    if (wants_json(in)) {
        compact_json(answers, n);
    }
    for (size_t i = 0; i < n && !wants_json(in); i++) {
        char node[ENDPOINT_TEXT_MAX];
        if (answers[i].code == EXIT_CODE_OK) {
            printf("%s: compacted through entry %lld\n",
                   endpoint_format(node, &answers[i].endpoint),
                   answers[i].reply->integer);
        }
    }
    code = ask_report(answers, n);
    ask_free(answers, n);
    return code == EXIT_CODE_OK ? verb_finish(code) : code;
}

/* ---- log list -------------------------------------------------------------*/

/* The value behind "name=" in a line of CONCORDKV LOG LIST. */
static const char *field(const char *line, const char *name, char *out,
                         size_t out_size)
{
    size_t size = strlen(name);
    for (const char *p = line; p != NULL; p = strchr(p, ' ')) {
        p += *p == ' ';
        if (strncmp(p, name, size) == 0 && p[size] == '=') {
            snprintf(out, out_size, "%.*s", (int)strcspn(p + size + 1, " "),
                     p + size + 1);
            return out;
        }
    }
    return "";
}

static const char *const columns[] = {"file", "first",    "last", "bytes",
                                      "used", "sealed_s", "state"};
enum { N_COLUMNS = sizeof columns / sizeof *columns, CELL_MAX = 128 };

static void list_table(const struct answer *a, struct table *t)
{
    char node[ENDPOINT_TEXT_MAX], cell[CELL_MAX], shown[4 * CELL_MAX];
    for (size_t i = 0; i < a->reply->elements; i++) {
        const char *line = a->reply->element[i]->str;
        table_cell(t, "%s", endpoint_format(node, &a->endpoint));
        for (size_t k = 0; k < N_COLUMNS; k++) {
            const char *text = field(line, columns[k], cell, sizeof cell);
            table_cell(t, "%s",
                       err_escape(shown, sizeof shown, text, strlen(text)));
        }
    }
}

static void list_json(const struct answer *a, struct json_writer *w)
{
    char node[ENDPOINT_TEXT_MAX], cell[CELL_MAX];
    for (size_t i = 0; i < a->reply->elements; i++) {
        const char *line = a->reply->element[i]->str;
        json_open(w, '{');
        json_name(w, "node");
        json_text(w, endpoint_format(node, &a->endpoint));
        for (size_t k = 0; k < N_COLUMNS; k++) {
            const char *text = field(line, columns[k], cell, sizeof cell);
            json_name(w, columns[k]);
            if (k == 0 || k == N_COLUMNS - 1) {
                json_text(w, text);
            } else {
                json_uint(w, strtoull(text, NULL, 10));
            }
        }
        json_close(w, '}');
    }
}

/* An array of strings; anything else is no answer of a node of ours. */
static bool is_list(const struct answer *a)
{
    if (a->code != EXIT_CODE_OK || a->reply->type != REDIS_REPLY_ARRAY) {
        return false;
    }
    for (size_t i = 0; i < a->reply->elements; i++) {
        if (a->reply->element[i]->type != REDIS_REPLY_STRING) {
            return false;
        }
    }
    return true;
}

int verb_log_list(const struct invocation *in)
{
    static struct answer answers[ENDPOINT_LIST_MAX]; /* large */
    const char *args[] = {"CONCORDKV", "LOG", "LIST"};
    struct command command = {3, args, NULL};
    size_t n = in->endpoints.n_items;
    struct json_writer w = json_writer(stdout);
    struct table t;
    int code;
    ask_each(in, &command, CLIENT_READ, answers);
    table_init(&t);
    table_column(&t, "NODE");
    table_column(&t, "FILE");
    table_column(&t, ">FIRST");
    table_column(&t, ">LAST");
    table_column(&t, ">BYTES");
    table_column(&t, ">USED");
    table_column(&t, ">SEALED S");
    table_column(&t, "STATE");
    if (wants_json(in)) {
        json_open(&w, '[');
    }
    for (size_t i = 0; i < n; i++) {
        if (is_list(&answers[i]) && wants_json(in)) {
            list_json(&answers[i], &w);
        } else if (is_list(&answers[i])) {
            list_table(&answers[i], &t);
        }
    }
    if (wants_json(in)) {
        json_close(&w, ']');
        json_end(&w);
    } else {
        table_print(&t, stdout);
    }
    table_close(&t);
    code = ask_report(answers, n);
    ask_free(answers, n);
    return code == EXIT_CODE_OK ? verb_finish(code) : code;
}
