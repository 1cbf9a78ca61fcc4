/* HELLO, RESET, READONLY, READWRITE and CLIENT: what a session knows of its
 * client.
 *
 * Answered at once, when the request comes in: what follows in the pipeline is
 * already of the new protocol version, what came before keeps the old one (each
 * request remembers it). Nothing of this is in a log entry, and nothing of it
 * changes what a write does. Fields of CLIENT LIST that this node has no truth
 * for (buffers of the kernel, subscriptions) are left out. */
#include "node/service_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/info.h"
#include "node/number.h"
#include "node/resp.h"

void session_set_address(struct session *session, const char *address,
                         const char *local)
{
    (void)snprintf(session->address, sizeof session->address, "%s", address);
    (void)snprintf(session->local, sizeof session->local, "%s", local);
}

void session_client_close(struct session *session)
{
    free((void *)(uintptr_t)session->name.data);
    free((void *)(uintptr_t)session->lib_name.data);
    free((void *)(uintptr_t)session->lib_version.data);
}

/* An empty text unsets it. False: out of memory, the old one is kept. */
static bool set_text(struct bytes *text, struct bytes to)
{
    uint8_t *copy = NULL;
    if (to.size > 0) {
        copy = malloc(to.size);
        if (copy == NULL) {
            return false;
        }
        memcpy(copy, to.data, to.size);
    }
    free((void *)(uintptr_t)text->data);
    text->data = copy;
    text->size = to.size;
    return true;
}

static void reply_set(struct buffer *reply, bool done)
{
    if (done) {
        resp_simple(reply, "OK");
    } else {
        resp_error(reply, "ERR out of memory");
    }
}

/* ---- HELLO and RESET ---- */

static void hello(struct session *session, uint32_t argc,
                  const struct bytes *argv, struct buffer *reply)
{
    int64_t version = session->resp3 ? 3 : 2;
    for (uint32_t i = 2; i + 1 < argc; i += 2) {
        if (!set_text(&session->name, argv[i + 1])) {
            reply_set(reply, false);
            return;
        }
    }
    if (argc >= 2) {
        (void)number_parse(argv[1], &version);
    }
    session->resp3 = version == 3;
    resp_pairs(reply, session->resp3, 7);
    resp_text(reply, "server");
    resp_text(reply, "redis");
    resp_text(reply, "version");
    resp_text(reply, INFO_REDIS_VERSION);
    resp_text(reply, "proto");
    resp_integer(reply, version);
    resp_text(reply, "id");
    resp_integer(reply, (int64_t)session->id);
    resp_text(reply, "mode");
    resp_text(reply,
              session->service->options.redirect ? "cluster" : "standalone");
    resp_text(reply, "role");
    /* Every node takes writes, and passes them to the leader itself. */
    resp_text(reply, "master");
    resp_text(reply, "modules");
    resp_array(reply, 0);
}

static void reset(struct session *session, struct buffer *reply)
{
    struct bytes none = {NULL, 0};
    session->resp3 = false;
    session->readonly = false;
    (void)set_text(&session->name, none);
    resp_simple(reply, "RESET");
}

/* ---- CLIENT ---- */

static void put_name(struct buffer *b, const char *label, struct bytes name)
{
    buffer_printf(b, " %s=", label);
    if (name.size > 0) {
        buffer_append(b, name.data, name.size);
    }
}

static void put_client(struct buffer *b, const struct session *of)
{
    uint64_t now = service_now_ms(of->service);
    char command[COMMAND_NAME_MAX] = "NULL";
    if (of->last_command != NULL) {
        (void)command_name_lower(of->last_command->name, command);
    }
    buffer_printf(b, "id=%" PRIu64, of->id);
    if (of->address[0] != '\0') {
        buffer_printf(b, " addr=%s", of->address);
    }
    if (of->local[0] != '\0') {
        buffer_printf(b, " laddr=%s", of->local);
    }
    put_name(b, "name", of->name);
    buffer_printf(b,
                  " age=%" PRIu64 " idle=%" PRIu64
                  " flags=%s db=0 multi=%" PRId64 " watch=%" PRIu32
                  " omem=%zu cmd=%s user=default",
                  (now - of->opened_ms) / 1000, (now - of->used_ms) / 1000,
                  of->queue != NULL ? "x" : "N",
                  of->queue != NULL ? (int64_t)of->queue->n : -1, of->n_watches,
                  buffer_size(&of->output), command);
    put_name(b, "lib-name", of->lib_name);
    put_name(b, "lib-ver", of->lib_version);
    buffer_printf(b, " resp=%d\n", of->resp3 ? 3 : 2);
}

static bool is_listed(uint64_t id, uint32_t argc, const struct bytes *argv)
{
    int64_t n;
    if (argc > 2 && command_is(argv[2], "TYPE")) {
        return command_is(argv[3], "NORMAL");
    }
    for (uint32_t i = 3; i < argc; i++) {
        if (number_parse(argv[i], &n) && n > 0 && (uint64_t)n == id) {
            return true;
        }
    }
    return argc == 2;
}

/* All, or those whose ids are given, oldest first. INFO is a list of one. */
static void list(struct session *session, uint32_t argc,
                 const struct bytes *argv, struct buffer *reply)
{
    struct session *at = session->service->sessions;
    struct buffer text;
    buffer_init(&text);
    if (command_is(argv[1], "INFO")) {
        put_client(&text, session);
    } else {
        while (at->next != NULL) {
            at = at->next;
        }
        for (; at != NULL; at = at->previous) {
            if (is_listed(at->id, argc, argv)) {
                put_client(&text, at);
            }
        }
    }
    if (text.failed) {
        resp_error(reply, "ERR out of memory");
    } else {
        resp_bulk(reply, buffer_data(&text), buffer_size(&text));
        if (session->resp3) {
            resp3_convert_text(reply, 0);
        }
    }
    buffer_close(&text);
}

/* ---- CLIENT KILL ---- */

struct kill_filter {
    int64_t id;                        /* 0: any */
    struct bytes address, local, type; /* data NULL: any */
    bool skip_me;
};

static bool is_text_of(struct bytes given, const char *text)
{
    return given.size == strlen(text) &&
           memcmp(given.data, text, given.size) == 0;
}

static bool is_meant(const struct session *at, const struct kill_filter *f)
{
    return (f->id == 0 || (uint64_t)f->id == at->id) &&
           (f->address.data == NULL || is_text_of(f->address, at->address)) &&
           (f->local.data == NULL || is_text_of(f->local, at->local)) &&
           (f->type.data == NULL || command_is(f->type, "NORMAL"));
}

/* Without the caller, unless it says otherwise, as in Redis. */
static void read_filter(uint32_t argc, const struct bytes *argv,
                        struct kill_filter *f)
{
    memset(f, 0, sizeof *f);
    f->skip_me = argc > 3;
    if (argc == 3) {
        f->address = argv[2];
        return;
    }
    for (uint32_t i = 2; i + 1 < argc; i += 2) {
        if (command_is(argv[i], "SKIPME")) {
            f->skip_me = command_is(argv[i + 1], "YES");
        } else if (command_is(argv[i], "ADDR")) {
            f->address = argv[i + 1];
        } else if (command_is(argv[i], "LADDR")) {
            f->local = argv[i + 1];
        } else if (command_is(argv[i], "TYPE")) {
            f->type = argv[i + 1];
        } else if (command_is(argv[i], "ID")) {
            (void)number_parse(argv[i + 1], &f->id);
        }
    }
}

static void kill_clients(struct session *session, uint32_t argc,
                         const struct bytes *argv, struct buffer *reply)
{
    struct kill_filter filter;
    int64_t n = 0;
    read_filter(argc, argv, &filter);
    for (struct session *at = session->service->sessions; at != NULL;
         at = at->next) {
        if (!is_meant(at, &filter) || at->failed ||
            (at == session && filter.skip_me)) {
            continue;
        }
        n++;
        if (at == session) {
            session->ending = true; /* closes behind this reply */
        } else {
            at->failed = true;
            session_mark_dirty(at);
        }
    }
    if (argc > 3) {
        resp_integer(reply, n);
    } else if (n > 0) {
        resp_simple(reply, "OK");
    } else {
        resp_error(reply, "ERR No such client");
    }
}

static void client_help(struct buffer *reply)
{
    static const char *const lines[] = {
        "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GETNAME",
        "    Return the name of the current connection.",
        "ID",
        "    Return the ID of the current connection.",
        "INFO",
        "    Return information about the current client connection.",
        "KILL <ip:port>",
        "    Kill connection made from <ip:port>.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Kill connections. Options are: ADDR, LADDR, TYPE, USER, ID, "
        "SKIPME (YES|NO).",
        "LIST [TYPE <type> | ID <id> ...]",
        "    Return information about client connections.",
        "SETINFO <LIB-NAME|LIB-VER> <value>",
        "    Set the name or version of the client library.",
        "SETNAME <name>",
        "    Assign the name <name> to the current connection.",
        "HELP",
        "    Prints this help.",
    };

    resp_lines(reply, lines, sizeof lines / sizeof *lines);
}

static void client(struct session *session, uint32_t argc,
                   const struct bytes *argv, struct buffer *reply)
{
    if (command_is(argv[1], "ID")) {
        resp_integer(reply, (int64_t)session->id);
    } else if (command_is(argv[1], "SETNAME")) {
        reply_set(reply, set_text(&session->name, argv[2]));
    } else if (command_is(argv[1], "GETNAME")) {
        if (session->name.size > 0) {
            resp_bulk(reply, session->name.data, session->name.size);
        } else {
            resp_null(reply);
        }
    } else if (command_is(argv[1], "SETINFO")) {
        reply_set(reply, set_text(command_is(argv[2], "LIB-NAME")
                                      ? &session->lib_name
                                      : &session->lib_version,
                                  argv[3]));
    } else if (command_is(argv[1], "KILL")) {
        kill_clients(session, argc, argv, reply);
    } else if (command_is(argv[1], "HELP")) {
        client_help(reply);
    } else {
        list(session, argc, argv, reply);
    }
    if (session->resp3 && !command_is(argv[1], "INFO") &&
        !command_is(argv[1], "LIST")) {
        resp3_convert(reply, 0);
    }
}

void session_client(struct session *session, const struct command *command,
                    uint32_t argc, const struct bytes *argv,
                    struct buffer *reply)
{
    switch (command->code) {
    case COMMAND_CODE_HELLO:
        hello(session, argc, argv, reply);
        break;
    case COMMAND_CODE_READONLY:
    case COMMAND_CODE_READWRITE:
        session->readonly = command->code == COMMAND_CODE_READONLY;
        resp_simple(reply, "OK");
        break;
    case COMMAND_CODE_RESET:
        reset(session, reply);
        break;
    default:
        client(session, argc, argv, reply);
        break;
    }
}
