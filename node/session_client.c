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

void session_set_address(struct session *session, const char *address)
{
    (void)snprintf(session->address, sizeof session->address, "%s", address);
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

static void reply_text(struct buffer *reply, const char *text)
{
    resp_bulk(reply, text, strlen(text));
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
    if (session->resp3) {
        resp_map(reply, 7);
    } else {
        resp_array(reply, 14);
    }
    reply_text(reply, "server");
    reply_text(reply, "redis");
    reply_text(reply, "version");
    reply_text(reply, INFO_REDIS_VERSION);
    reply_text(reply, "proto");
    resp_integer(reply, version);
    reply_text(reply, "id");
    resp_integer(reply, (int64_t)session->id);
    reply_text(reply, "mode");
    reply_text(reply,
               session->service->options.redirect ? "cluster" : "standalone");
    reply_text(reply, "role");
    /* Every node takes writes, and passes them to the leader itself. */
    reply_text(reply, "master");
    reply_text(reply, "modules");
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
    char command[32] = "NULL";
    if (of->last_command != NULL) {
        (void)snprintf(command, sizeof command, "%s", of->last_command->name);
        for (char *c = command; *c != '\0'; c++) {
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
        }
    }
    buffer_printf(b, "id=%" PRIu64, of->id);
    if (of->address[0] != '\0') {
        buffer_printf(b, " addr=%s", of->address);
    }
    put_name(b, "name", of->name);
    buffer_printf(b,
                  " age=%" PRIu64 " idle=%" PRIu64
                  " flags=N db=0 omem=%zu cmd=%s user=default",
                  (now - of->opened_ms) / 1000, (now - of->used_ms) / 1000,
                  buffer_size(&of->output), command);
    put_name(b, "lib-name", of->lib_name);
    put_name(b, "lib-ver", of->lib_version);
    buffer_printf(b, " resp=%d\n", of->resp3 ? 3 : 2);
}

static bool id_is_listed(uint64_t id, uint32_t argc, const struct bytes *argv)
{
    int64_t n;
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
            if (id_is_listed(at->id, argc, argv)) {
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

/* The one whose id is given last, unless it is this one and is to be skipped,
 * which Redis does unless told otherwise. */
static void kill_client(struct session *session, uint32_t argc,
                        const struct bytes *argv, struct buffer *reply)
{
    struct session *at = session->service->sessions;
    bool skip_me = true;
    int64_t id = 0;
    for (uint32_t i = 2; i + 1 < argc; i += 2) {
        if (command_is(argv[i], "SKIPME")) {
            skip_me = command_is(argv[i + 1], "YES");
        } else {
            (void)number_parse(argv[i + 1], &id);
        }
    }
    while (at != NULL && (id < 1 || at->id != (uint64_t)id)) {
        at = at->next;
    }
    if (at == NULL || (at == session && skip_me)) {
        resp_integer(reply, 0);
        return;
    }
    if (at == session) {
        session->ending = true; /* closes behind this reply */
    } else {
        at->failed = true;
        session_mark_dirty(at);
    }
    resp_integer(reply, 1);
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
        kill_client(session, argc, argv, reply);
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
