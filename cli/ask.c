/* One command to each endpoint; see ask.h. */
#include "cli/ask.h"

#include <string.h>

/* One command to one node, on a connection of its own. */
static void ask_one(struct answer *a, const struct command *command,
                    enum client_kind kind, int64_t deadline_ms)
{
    struct conn conn = {NULL, {{0}, 0}};
    bool sent = false;
    int rc = conn_open(&conn, &a->endpoint, deadline_ms, &a->error);
    if (rc == 0) {
        rc =
            conn_call(&conn, command, deadline_ms, &a->reply, &sent, &a->error);
    }
    conn_close(&conn);
    if (rc != 0) {
        a->code = kind == CLIENT_WRITE && sent ? EXIT_CODE_UNKNOWN
                                               : EXIT_CODE_UNREACHABLE;
    } else if (a->reply->type == REDIS_REPLY_ERROR) {
        a->code = EXIT_CODE_REFUSED;
        err_escape(a->error.message, sizeof(a->error.message), a->reply->str,
                   a->reply->len);
        freeReplyObject(a->reply);
        a->reply = NULL;
    }
}

void ask_each(const struct invocation *in, const struct command *command,
              enum client_kind kind, struct answer *answers)
{
    for (size_t i = 0; i < in->endpoints.n_items; i++) {
        memset(&answers[i], 0, sizeof(answers[i]));
        answers[i].endpoint = in->endpoints.items[i];
        ask_one(&answers[i], command, kind, verb_deadline_ms(in));
    }
}

int ask_report(const struct answer *answers, size_t n)
{
    int code = EXIT_CODE_OK;
    for (size_t i = 0; i < n; i++) {
        char peer[ENDPOINT_TEXT_MAX];
        if (answers[i].code != EXIT_CODE_OK) {
            code = answers[i].code > code ? answers[i].code : code;
            verb_fail(code, "%s: %s",
                      endpoint_format(peer, &answers[i].endpoint),
                      answers[i].error.message);
        }
    }
    return code;
}

void ask_free(struct answer *answers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (answers[i].reply != NULL) {
            freeReplyObject(answers[i].reply);
        }
    }
}
