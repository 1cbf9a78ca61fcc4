/* Bulk export; see export.h. */
#include "cli/export.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "cli/clock.h"
#include "cli/text.h"

static void page_clear(struct export_page *page)
{
    if (page->value != NULL) {
        freeReplyObject(page->value);
    }
    if (page->reply != NULL) {
        freeReplyObject(page->reply);
    }
    memset(page, 0, sizeof(*page));
}

void export_close(struct export *ex)
{
    page_clear(&ex->pages[0]);
    page_clear(&ex->pages[1]);
    free(ex->request);
    scan_close(&ex->scan);
    client_close(&ex->client);
}

static void export_end(struct export *ex, int code)
{
    if (ex->code == EXIT_CODE_OK) {
        ex->code = code;
    }
}

/* ---- asking --------------------------------------------------------------*/

static void export_fail_memory(struct export *ex)
{
    err_set(&ex->info, ERR_NOMEM, "out of memory");
    export_end(ex, EXIT_CODE_REFUSED);
}

/* Hang one command on the request. */
static void export_add(struct export *ex, const struct command *command)
{
    char *data = NULL;
    size_t size = 0;
    if (ex->code != EXIT_CODE_OK) {
        return;
    }
    if (conn_encode(command, &data, &size) != 0) {
        export_fail_memory(ex);
        return;
    }
    if (ex->request_size + size > ex->request_room) {
        size_t room = (ex->request_size + size) * 2;
        char *larger = realloc(ex->request, room);
        if (larger == NULL) {
            redisFreeCommand(data);
            export_fail_memory(ex);
            return;
        }
        ex->request = larger;
        ex->request_room = room;
    }
    memcpy(ex->request + ex->request_size, data, size);
    ex->request_size += size;
    redisFreeCommand(data);
}

static void export_add_due(struct export *ex, enum export_due due)
{
    assert(ex->n_due < EXPORT_DUE_MAX);
    ex->due[ex->n_due++] = due;
}

static void export_ask_scan(struct export *ex)
{
    struct command command;
    scan_command(&ex->scan, &command);
    export_add(ex, &command);
    export_add_due(ex, EXPORT_DUE_SCAN);
}

static void export_ask_page(struct export *ex, struct export_page *page)
{
    page->with_expiry = !ex->no_expiry;
    for (size_t i = page->at; i < page->keys->elements; i++) {
        const redisReply *key = page->keys->element[i];
        const char *args[] = {"GET", key->str};
        size_t sizes[] = {3, key->len};
        struct command command = {2, args, sizes};
        export_add(ex, &command);
        if (page->with_expiry) {
            args[0] = "PEXPIRETIME";
            sizes[0] = strlen(args[0]);
            export_add(ex, &command);
        }
    }
    export_add_due(ex, EXPORT_DUE_PAGE);
}

/* ---- waiting for the cluster ----------------------------------------------*/

static void export_begin_waiting(struct export *ex, const char *why)
{
    if (!ex->waiting) {
        ex->waiting = true;
        ex->n_interruptions++;
        progress_note(&ex->progress, "export: %s; waiting for the cluster",
                      why);
    }
    client_disconnect(&ex->client);
}

static void export_stop_waiting(struct export *ex, int64_t now)
{
    char text[TEXT_NUMBER_MAX];
    char peer[ENDPOINT_TEXT_MAX];
    if (ex->waiting) {
        ex->waiting = false;
        ex->interrupted_ms += now - ex->heard_ms;
        progress_note(&ex->progress, "export: goes on after %s through %s",
                      text_duration(text, now - ex->heard_ms),
                      endpoint_format(peer, &ex->client.conn.peer));
    }
    ex->heard_ms = now;
}

/* A connection anew: what is not here yet is asked for again, the values of
 * the pages first, because the walk goes on behind them. */
static void export_connect(struct export *ex)
{
    struct err_info info = {0, ""};
    int code =
        client_connect(&ex->client, ex->heard_ms + ex->timeout_ms, &info);
    if (code != EXIT_CODE_OK) {
        ex->info = info;
        export_end(ex, code);
        return;
    }
    ex->connected_ms = clock_now_ms();
    ex->request_size = 0;
    ex->request_sent = 0;
    ex->n_due = 0;
    for (int i = 0; i < 2; i++) {
        struct export_page *page = &ex->pages[i];
        if (page->value != NULL) {
            freeReplyObject(page->value);
            page->value = NULL;
        }
        if (page->reply != NULL) {
            export_ask_page(ex, page);
        }
    }
    if (!ex->scan.done) {
        export_ask_scan(ex);
    }
}

/* ---- replies --------------------------------------------------------------*/

/* The reply is an error: say what it means for the export. */
static void export_take_error(struct export *ex, const redisReply *reply)
{
    char words[200];
    err_escape(words, sizeof(words), reply->str, reply->len);
    if (client_classify(reply) == REPLY_NOT_NOW) {
        export_begin_waiting(ex, words);
        clock_pause(EXPORT_RETRY_MS, ex->heard_ms + ex->timeout_ms);
        return;
    }
    err_set(&ex->info, ERR_INVALID, "%s", words);
    export_end(ex, EXIT_CODE_REFUSED);
}

static void export_take_scan(struct export *ex, redisReply *reply)
{
    const redisReply *keys = NULL;
    struct export_page *page = &ex->pages[ex->pages[0].reply == NULL ? 0 : 1];
    if (reply->type == REDIS_REPLY_ERROR &&
        client_classify(reply) == REPLY_NOT_NOW) {
        export_take_error(ex, reply);
        freeReplyObject(reply);
        return;
    }
    int rc = scan_take(&ex->scan, reply, &keys, &ex->info);
    if (rc < 0) {
        export_end(ex, EXIT_CODE_REFUSED);
    }
    bool has_keys = rc > 0 && keys->elements > 0;
    if (has_keys) {
        assert(page->reply == NULL);
        page->reply = reply;
        page->keys = keys;
    } else {
        freeReplyObject(reply);
    }
    /* The next SCAN before the values of this page: they travel meanwhile. */
    if (ex->code == EXIT_CODE_OK && !ex->scan.done) {
        export_ask_scan(ex);
    }
    if (has_keys) {
        export_ask_page(ex, page);
    }
}

/* The value, and the expiry if it has come too, of the page's next key. */
static void export_write_one(struct export *ex, struct export_page *page,
                             const redisReply *value, int64_t expire_at_ms)
{
    const redisReply *key = page->keys->element[page->at];
    struct record record;
    page->at++;
    ex->progress.done++;
    if (value->type == REDIS_REPLY_ERROR) {
        ex->n_other_types++;
        return;
    }
    /* -2: gone between the two; then it is not there any more. */
    if (value->type != REDIS_REPLY_STRING || expire_at_ms == -2) {
        return;
    }
    memset(&record, 0, sizeof(record));
    record.key = key->str;
    record.key_size = key->len;
    record.value = value->str;
    record.value_size = value->len;
    record.expire_at_ms = expire_at_ms > 0 ? (uint64_t)expire_at_ms : 0;
    ex->n_expiring += expire_at_ms > 0 ? 1 : 0;
    record_write(ex->out, ex->format, &record);
    ex->n_records++;
    ex->progress.n_items = ex->n_records;
}

/* Errors that belong to one key, or to a command that is not known there; all
 * others concern the export. */
static bool is_about_key(const redisReply *reply)
{
    return strncmp(reply->str, "WRONGTYPE", strlen("WRONGTYPE")) == 0;
}

static bool is_unknown_command(const redisReply *reply)
{
    static const char words[] = "ERR unknown command";
    return reply->type == REDIS_REPLY_ERROR &&
           strncmp(reply->str, words, strlen(words)) == 0;
}

/* One reply that belongs to the older page. Returns whether it is taken up. */
static bool export_take_value(struct export *ex, redisReply *reply)
{
    struct export_page *page = &ex->pages[0];
    bool is_expiry = page->value != NULL;
    if (is_expiry && is_unknown_command(reply)) {
        ex->no_expiry = true;
    } else if (reply->type == REDIS_REPLY_ERROR && !is_about_key(reply)) {
        export_take_error(ex, reply);
        return false;
    }
    if (!is_expiry && page->with_expiry) {
        page->value = reply;
        return true;
    }
    if (!is_expiry) {
        export_write_one(ex, page, reply, -1);
        return false;
    }
    export_write_one(ex, page, page->value,
                     reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1);
    freeReplyObject(page->value);
    page->value = NULL;
    return false;
}

static void export_end_page(struct export *ex)
{
    page_clear(&ex->pages[0]);
    ex->pages[0] = ex->pages[1];
    memset(&ex->pages[1], 0, sizeof(ex->pages[1]));
}

/* The reply is given. */
static void export_take(struct export *ex, redisReply *reply)
{
    struct export_page *page = &ex->pages[0];
    bool is_scan = ex->due[0] == EXPORT_DUE_SCAN;
    if (!is_scan) {
        if (!export_take_value(ex, reply)) {
            freeReplyObject(reply);
        }
        if (!conn_is_open(&ex->client.conn) ||
            page->at < page->keys->elements || page->value != NULL) {
            return;
        }
        export_end_page(ex);
    }
    ex->n_due--;
    memmove(ex->due, ex->due + 1, ex->n_due * sizeof(ex->due[0]));
    if (is_scan) {
        export_take_scan(ex, reply);
    }
}

static void export_read(struct export *ex)
{
    struct err_info info = {0, ""};
    redisReply *reply = NULL;
    int rc = conn_fill(&ex->client.conn, &info);
    if (!ex->waiting) {
        ex->heard_ms = clock_now_ms(); /* a large value comes in many pieces */
    }
    /* What came before a close still counts. */
    while (ex->code == EXIT_CODE_OK && conn_is_open(&ex->client.conn)) {
        int bad = conn_take_reply(&ex->client.conn, &reply, &info);
        if (bad == 0 && reply != NULL && ex->n_due == 0) {
            bad = err_set(&info, ERR_PROTOCOL, "a reply nobody asked for");
            freeReplyObject(reply);
        }
        if (bad != 0 || reply == NULL) {
            rc = bad != 0 ? bad : rc;
            break;
        }
        bool failed = reply->type == REDIS_REPLY_ERROR;
        if (!failed) {
            export_stop_waiting(ex, clock_now_ms());
        }
        export_take(ex, reply);
    }
    if (!ex->waiting) {
        ex->heard_ms = clock_now_ms(); /* writing may have taken its time */
    }
    if (rc != 0 && conn_is_open(&ex->client.conn)) {
        export_begin_waiting(ex, info.message);
    }
}

/* ---- the loop -------------------------------------------------------------*/

static void export_write(struct export *ex)
{
    struct err_info info;
    struct iovec part = {ex->request + ex->request_sent,
                         ex->request_size - ex->request_sent};
    size_t written;
    if (part.iov_len == 0) {
        return;
    }
    if (conn_write(&ex->client.conn, &part, 1, &written, &info) != 0) {
        export_begin_waiting(ex, info.message);
        return;
    }
    ex->request_sent += written;
    if (ex->request_sent == ex->request_size) {
        ex->request_sent = 0;
        ex->request_size = 0;
    }
}

static void export_wait(struct export *ex)
{
    struct pollfd ready = {.fd = ex->client.conn.redis->fd, .events = POLLIN};
    if (ex->request_sent < ex->request_size) {
        ready.events |= POLLOUT;
    }
    if (poll(&ready, 1, CLOCK_WAIT_MAX_MS) > 0) {
        if ((ready.revents & ~POLLOUT) != 0) {
            export_read(ex);
        }
    } else if (clock_now_ms() - ex->heard_ms >= EXPORT_STALL_MS &&
               clock_now_ms() - ex->connected_ms >= EXPORT_STALL_MS) {
        export_begin_waiting(ex, "no reply for 3 s");
    }
}

static void export_check_limits(struct export *ex)
{
    if (clock_interrupted()) {
        err_set(&ex->info, ERR_STOPPED, "interrupted");
        export_end(ex, EXIT_CODE_INTERRUPTED);
    } else if (ferror(ex->out)) {
        err_set(&ex->info, ERR_IO, "cannot write: %s", strerror(errno));
        export_end(ex, EXIT_CODE_REFUSED);
    } else if (clock_now_ms() - ex->heard_ms >= ex->timeout_ms) {
        err_set(&ex->info, ERR_AGAIN, "no reply in time");
        export_end(ex, EXIT_CODE_UNREACHABLE);
    }
}

int export_run(struct export *ex)
{
    ex->heard_ms = clock_now_ms();
    if (ex->code == EXIT_CODE_OK) {
        export_connect(ex); /* the caller may be connected already */
    }
    while (ex->code == EXIT_CODE_OK &&
           (!ex->scan.done || ex->pages[0].reply != NULL)) {
        if (!conn_is_open(&ex->client.conn)) {
            export_connect(ex);
            continue;
        }
        export_write(ex);
        if (conn_is_open(&ex->client.conn)) {
            export_wait(ex);
        }
        export_check_limits(ex);
        progress_update(&ex->progress, clock_now_ms());
    }
    return ex->code;
}
