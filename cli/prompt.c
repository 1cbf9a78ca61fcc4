/* A session at the prompt; see prompt.h. */
#include "cli/prompt.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "cli/clock.h"
#include "cli/command_line.h"
#include "cli/command_names.h"
#include "cli/reply_print.h"
#include "cli/verb_table.h"

void prompt_init(struct prompt *p, const struct invocation *in)
{
    memset(p, 0, sizeof(*p));
    p->in = in;
    client_init(&p->client, &in->endpoints, in->options.direct);
}

void prompt_close(struct prompt *p)
{
    client_close(&p->client);
}

/* ---- who leads ------------------------------------------------------------*/

/* Is the node that we are connected to still what it was? In a transaction
 * even INFO would be queued. */
static void prompt_look(struct prompt *p)
{
    struct err_info info = {0, ""};
    int64_t deadline = clock_now_ms() + PROMPT_LOOK_MS;
    struct client *c = &p->client;
    if (p->multi) {
        return;
    }
    if (conn_is_open(&c->conn) &&
        conn_ask_info(&c->conn, deadline, &c->info, &info) != 0) {
        client_disconnect(c);
        p->watching = false;
    }
    bool led = c->direct || c->info.role != INFO_ROLE_FOLLOWER;
    if (conn_is_open(&c->conn) && !led && !p->watching) {
        client_disconnect(c); /* the leader has changed: go there */
    }
    if (!conn_is_open(&c->conn)) {
        (void)client_connect(c, deadline, &info);
    }
}

char *prompt_text(struct prompt *p, char *out)
{
    char peer[ENDPOINT_TEXT_MAX];
    const struct node_info *info = &p->client.info;
    prompt_look(p);
    const char *multi = p->multi ? " (multi)" : "";
    if (!conn_is_open(&p->client.conn)) {
        snprintf(out, PROMPT_TEXT_MAX, "no leader> ");
    } else if (info->role == INFO_ROLE_NONE) {
        snprintf(out, PROMPT_TEXT_MAX, "%.60s%s> ",
                 endpoint_format(peer, &p->client.conn.peer), multi);
    } else if (info->role == INFO_ROLE_LEADER) {
        snprintf(out, PROMPT_TEXT_MAX, "leader %" PRIu64 "%s> ", info->node_id,
                 multi);
    } else if (info->leader_id != 0) {
        snprintf(out, PROMPT_TEXT_MAX,
                 "node %" PRIu64 ", leader %" PRIu64 "%s> ", info->node_id,
                 info->leader_id, multi);
    } else {
        snprintf(out, PROMPT_TEXT_MAX, "node %" PRIu64 ", no leader%s> ",
                 info->node_id, multi);
    }
    return out;
}

/* ---- commands -------------------------------------------------------------*/

/* Replies that are text of many lines, for reading and not for quoting. */
static bool is_text_reply(const struct prompt_words *w)
{
    static const char *const rows[][2] = {
        {"INFO", NULL},     {"CLUSTER", "INFO"}, {"CLUSTER", "NODES"},
        {"CLIENT", "LIST"}, {"CLIENT", "INFO"},  {"CONCORDKV", NULL}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcasecmp(w->words[0], rows[i][0]) == 0 &&
            (rows[i][1] == NULL ||
             (w->n_words > 1 && strcasecmp(w->words[1], rows[i][1]) == 0))) {
            return true;
        }
    }
    return false;
}

static void print_reply(const struct prompt_words *w, const redisReply *reply,
                        bool json)
{
    if (json) {
        struct json_writer out = json_writer(stdout);
        reply_print_json(&out, reply);
        json_end(&out);
    } else if (reply->type == REDIS_REPLY_STRING && is_text_reply(w)) {
        (void)fwrite(reply->str, 1, reply->len, stdout);
        if (reply->len > 0 && reply->str[reply->len - 1] != '\n') {
            putchar('\n');
        }
    } else {
        reply_print_typed(stdout, reply);
    }
}

/* What the command, now answered, means for the connection. */
static void note_state(struct prompt *p, const char *name,
                       const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR &&
        strncmp(reply->str, "EXECABORT", 9) != 0) {
        return;
    }
    if (strcasecmp(name, "MULTI") == 0) {
        p->multi = true;
    } else if (strcasecmp(name, "WATCH") == 0) {
        p->watching = true;
    } else if (strcasecmp(name, "UNWATCH") == 0) {
        p->watching = false;
    } else if (strcasecmp(name, "EXEC") == 0 ||
               strcasecmp(name, "DISCARD") == 0 ||
               strcasecmp(name, "RESET") == 0) {
        p->multi = false;
        p->watching = false;
    }
}

/* On this connection and no other: a transaction lives there. An error reply is
 * a reply here, because only its words tell what has become of it. */
static int call_pinned(struct prompt *p, const struct command *command,
                       redisReply **reply, struct err_info *info)
{
    bool sent = false;
    char why[ERR_MESSAGE_MAX];
    int64_t deadline = clock_now_ms() + verb_timeout_ms(p->in);
    int rc =
        conn_is_open(&p->client.conn)
            ? conn_call(&p->client.conn, command, deadline, reply, &sent, info)
            : err_set(info, ERR_IO, "the connection is lost");
    if (rc == 0) {
        return EXIT_CODE_OK;
    }
    bool exec = strcasecmp(command->args[0], "EXEC") == 0 && sent;
    memcpy(why, info->message, sizeof(why));
    client_disconnect(&p->client);
    p->multi = false;
    p->watching = false;
    err_set(info, rc, "%.300s; %s", why,
            exec ? "EXEC was sent, but whether it happened is unknown"
                 : "the transaction or WATCH on it is gone, nothing of it "
                   "happened; begin it again");
    return exec ? EXIT_CODE_UNKNOWN : EXIT_CODE_UNREACHABLE;
}

/* Send it the way that its kind allows. */
static int call(struct prompt *p, const struct prompt_words *w,
                redisReply **reply, struct err_info *info)
{
    struct command command = {w->n_words, (const char **)w->words, w->sizes};
    bool stateful = strcasecmp(w->words[0], "MULTI") == 0 ||
                    strcasecmp(w->words[0], "WATCH") == 0;
    int64_t deadline = clock_now_ms() + verb_timeout_ms(p->in);
    if (p->multi || p->watching) {
        return call_pinned(p, &command, reply, info);
    }
    return client_call(&p->client,
                       stateful || command_names_is_read(w->words[0])
                           ? CLIENT_READ
                           : CLIENT_WRITE,
                       &command, deadline, reply, info);
}

static int run_command(struct prompt *p, const struct prompt_words *w)
{
    struct err_info info = {0, ""};
    redisReply *reply = NULL;
    if (strcasecmp(w->words[0], "HELLO") == 0 && w->n_words > 1 &&
        strcmp(w->words[1], "2") != 0) {
        return verb_fail(EXIT_CODE_USAGE,
                         "the prompt speaks RESP2; for RESP3 use redis-cli -3");
    }
    bool pinned = p->multi || p->watching;
    int64_t begin = clock_now_ms();
    int code = call(p, w, &reply, &info);
    int64_t took = clock_now_ms() - begin;
    if (code == EXIT_CODE_REFUSED) {
        printf("(error) %s\n", info.message);
        return code;
    }
    if (code != EXIT_CODE_OK) {
        return pinned ? verb_fail(code, "%s", info.message)
                      : verb_fail_call(p->in, code, &info);
    }
    print_reply(w, reply, p->in->options.output == OUTPUT_JSON);
    note_state(p, w->words[0], reply);
    if (took >= PROMPT_SLOW_MS) {
        printf("(%.2fs)\n", (double)took / 1000);
    }
    code = reply->type == REDIS_REPLY_ERROR ? EXIT_CODE_REFUSED : code;
    freeReplyObject(reply);
    return code;
}

/* ---- verbs and help -------------------------------------------------------*/

/* Does a verb, of one word or two, begin with this word? */
static bool begins_verb(const char *word)
{
    size_t size = strlen(word);
    for (size_t i = 0; i < verb_table_size; i++) {
        if (strncmp(verb_table[i].name, word, size) == 0 &&
            (verb_table[i].name[size] == '\0' ||
             verb_table[i].name[size] == ' ')) {
            return true;
        }
    }
    return false;
}

static bool is_command(const char *word)
{
    const char *summary;
    int arity;
    return command_names_describe(word, &summary, &arity);
}

/* The line as concordctl's own command line, at the same endpoints. */
static int run_verb(struct prompt *p, struct prompt_words *w)
{
    static struct invocation in; /* large */
    char *argv[PROMPT_WORDS_MAX + 2];
    struct err_info info = {0, ""};
    argv[0] = (char *)"concordctl";
    memcpy(argv + 1, w->words, (size_t)w->n_words * sizeof(argv[0]));
    argv[w->n_words + 1] = NULL;
    int rc = command_line_parse(&in, verb_table, verb_table_size,
                                w->n_words + 1, argv, &info);
    if (rc == ERR_EXISTS) {
        command_line_print_verb_help(stdout, in.verb);
        return EXIT_CODE_OK;
    }
    if (rc != 0) {
        return verb_fail(EXIT_CODE_USAGE, "%s", info.message);
    }
    if (strcmp(in.verb->name, "prompt") == 0) {
        return verb_fail(EXIT_CODE_USAGE, "this is the prompt already");
    }
    in.endpoints = p->in->endpoints;
    in.endpoints_guessed = p->in->endpoints_guessed;
    if (in.options.endpoints != NULL &&
        endpoint_list_parse(&in.endpoints, in.options.endpoints, &info) != 0) {
        return verb_fail(EXIT_CODE_USAGE, "--endpoints: %s", info.message);
    }
    return in.verb->run(&in);
}

static void help_about(const char *word)
{
    const char *summary;
    int arity;
    if (command_names_describe(word, &summary, &arity)) {
        int n = (arity < 0 ? -arity : arity) - 1;
        printf("%s: %s.\n%s%d argument%s\n", word, summary,
               arity < 0 ? "at least " : "", n, n == 1 ? "" : "s");
    } else {
        printf("no command '%s'; 'help' lists what there is\n", word);
    }
}

static int run_help(const struct prompt_words *w)
{
    char name[64] = "";
    for (int i = 1; i < w->n_words && i < 3; i++) {
        size_t at = strlen(name);
        snprintf(name + at, sizeof(name) - at, "%s%s", i > 1 ? " " : "",
                 w->words[i]);
    }
    const struct verb *verb = verb_table_find(name);
    if (name[0] == '\0') {
        puts("A line is a Redis command, such as: set key \"a value\"\n"
             "or a verb of concordctl, such as: status, or: leader transfer\n"
             "Where a word is both, Redis has it.\n\n"
             "help WORD   about a command or a verb (help status)\n"
             "exit        or Ctrl-D: leave\n"
             "clear       an empty screen\n"
             "Tab         completes; twice lists what there is\n"
             "Up, Down    earlier lines; Ctrl-R searches them\n"
             "Ctrl-C      gives the line up, or stops waiting\n\n"
             "A blank in front keeps a line out of the history.");
    } else if (is_command(w->words[1])) {
        help_about(w->words[1]);
    } else if (verb != NULL) {
        command_line_print_verb_help(stdout, verb);
    } else {
        help_about(w->words[1]);
    }
    return EXIT_CODE_OK;
}

static int run_words(struct prompt *p, struct prompt_words *w)
{
    const char *first = w->words[0];
    if (strcasecmp(first, "quit") == 0 || strcasecmp(first, "exit") == 0) {
        p->quit = true;
        return EXIT_CODE_OK;
    }
    if (strcmp(first, "help") == 0 || strcmp(first, "?") == 0) {
        return run_help(w);
    }
    if (strcmp(first, "clear") == 0) {
        fputs("\033[H\033[2J", stdout);
        return EXIT_CODE_OK;
    }
    return begins_verb(first) && !is_command(first) ? run_verb(p, w)
                                                    : run_command(p, w);
}

int prompt_run(struct prompt *p, const char *line)
{
    struct prompt_words words;
    struct err_info info = {0, ""};
    if (prompt_words_split(&words, line, &info) != 0) {
        p->code = verb_fail(EXIT_CODE_USAGE, "%s", info.message);
        return p->code;
    }
    int code = words.n_words == 0 ? EXIT_CODE_OK : run_words(p, &words);
    prompt_words_close(&words);
    fflush(stdout);
    p->code = code != EXIT_CODE_OK ? code : p->code;
    return code;
}
