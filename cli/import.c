/* Bulk import; see import.h. */
#include "cli/import.h"

#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "cli/clock.h"
#include "cli/cluster_view.h"
#include "cli/text.h"

/* Stop reading and sending; what is under way is still waited for. */
static void import_end(struct import *im, int code)
{
    if (!im->ending) {
        im->ending = true;
        im->draining = true;
        im->code = code;
        im->end_ms = clock_now_ms() + IMPORT_DRAIN_MS;
    }
}

/* The input cannot be read on: all before that place is still brought in. */
static void import_end_input(struct import *im, int code)
{
    im->input_code = code;
    im->input_info = im->info;
}

static void import_begin_waiting(struct import *im, const char *why)
{
    if (im->waiting_ms == 0) {
        /* What is found out late was broken since the last acknowledgement. */
        im->waiting_ms = im->acknowledged_ms;
        im->n_interruptions++;
        progress_note(&im->progress,
                      "import: %s; waiting for the cluster, %zu records are "
                      "not acknowledged",
                      why, im->window.n_items);
    }
}

static void import_stop_waiting(struct import *im)
{
    char text[TEXT_NUMBER_MAX];
    char peer[ENDPOINT_TEXT_MAX];
    if (im->waiting_ms == 0) {
        return;
    }
    int64_t waited = clock_now_ms() - im->waiting_ms;
    im->waiting_ms = 0;
    im->interrupted_ms += waited;
    im->longest_ms = waited > im->longest_ms ? waited : im->longest_ms;
    progress_note(&im->progress, "import: goes on after %s through %s",
                  text_duration(text, waited),
                  endpoint_format(peer, &im->client.conn.peer));
}

/* Give the connection up; everything that is here will be sent anew. */
static void import_lose_connection(struct import *im, const char *why)
{
    import_begin_waiting(im, why);
    client_disconnect(&im->client);
    im->n_sent_again += window_rewind(&im->window);
    im->draining = im->ending;
}

static void import_connect(struct import *im)
{
    int64_t deadline = im->acknowledged_ms + im->timeout_ms;
    struct err_info info = {0, ""};
    int code = client_connect(&im->client, deadline, &info);
    im->heard_ms = clock_now_ms();
    im->connected_ms = im->heard_ms;
    if (code == EXIT_CODE_OK && im->window.n_items == 0) {
        import_stop_waiting(im);
    }
    if (code != EXIT_CODE_OK) {
        im->info = info;
        import_end(im, code);
        im->end_ms = 0; /* without a connection there is nothing to drain */
    }
}

/* The record's key may still be under way: then it waits in im->record, which
 * stays valid because nothing more is read meanwhile. */
static bool import_push(struct import *im)
{
    if (window_has_key(&im->window, im->record.key, im->record.key_size)) {
        return false;
    }
    im->has_record = false;
    int rc = window_push(&im->window, &im->record, im->reader.line,
                         im->reader.offset);
    if (rc != 0) {
        err_set(&im->info, rc, "out of memory");
        import_end(im, EXIT_CODE_REFUSED);
        return false;
    }
    return true;
}

/* Fill the window from what has been read. True if the reader wants data. */
static bool import_take_records(struct import *im)
{
    while (!im->draining && im->input_code == EXIT_CODE_OK &&
           window_has_room(&im->window)) {
        if (!im->has_record) {
            int rc = record_reader_next(&im->reader, &im->record, &im->info);
            if (rc < 0) {
                import_end_input(im, EXIT_CODE_USAGE);
                return false;
            }
            if (rc == 0) {
                return !im->reader.at_end;
            }
            if (im->reader.line < im->from_line) {
                im->n_skipped++;
                continue;
            }
            im->has_record = true;
        }
        if (!import_push(im)) {
            return false;
        }
    }
    return false;
}

static void import_read(struct import *im)
{
    int rc = record_reader_fill(&im->reader, &im->info);
    if (rc != 0) {
        import_end_input(im, rc == ERR_TOOBIG ? EXIT_CODE_USAGE
                                              : EXIT_CODE_REFUSED);
    }
}

static void import_write(struct import *im)
{
    struct iovec parts[WINDOW_PARTS_MAX];
    struct err_info info;
    size_t written;
    int n = window_parts(&im->window, parts, WINDOW_PARTS_MAX);
    /* While draining, only the rest of a command begun goes out. */
    if (im->draining) {
        n = im->window.part_sent > 0 ? 1 : 0;
    }
    if (n == 0) {
        return;
    }
    if (im->window.sent.n_items == 0) {
        im->heard_ms = clock_now_ms();
    }
    if (conn_write(&im->client.conn, parts, n, &written, &info) != 0) {
        import_lose_connection(im, info.message);
        return;
    }
    window_advance(&im->window, written);
}

static void import_take_refusal(struct import *im, const redisReply *reply)
{
    const struct window_item *item = window_oldest_sent(&im->window);
    char key[80];
    char words[240];
    err_escape(key, sizeof(key), item->bytes + item->key_offset,
               item->key_size);
    if (reply->type == REDIS_REPLY_ERROR) {
        err_escape(words, sizeof(words), reply->str, reply->len);
    } else {
        snprintf(words, sizeof(words),
                 "a reply that is neither +OK nor a number");
    }
    if (!im->ending) {
        err_set(&im->info, ERR_INVALID, "%s %" PRIu64 ", key '%s': %s",
                im->reader.format == RECORD_RESP ? "command" : "line",
                item->line, key, words);
    }
    window_fail(&im->window);
    import_end(im, EXIT_CODE_REFUSED);
}

static void import_take_one(struct import *im, const redisReply *reply)
{
    char words[200];
    uint64_t offset;
    switch (client_classify(reply)) {
    case REPLY_FINE:
        /* A number is what DEL and the like in a RESP file answer. */
        if (reply->type != REDIS_REPLY_STATUS &&
            reply->type != REDIS_REPLY_INTEGER) {
            import_take_refusal(im, reply);
            return;
        }
        im->bytes_acknowledged += window_acknowledge(&im->window, &offset);
        im->n_acknowledged++;
        if (offset > im->progress.done) {
            im->progress.done = offset;
        }
        im->progress.n_items = im->n_acknowledged;
        im->acknowledged_ms = clock_now_ms();
        if (!im->draining) {
            import_stop_waiting(im);
        }
        return;
    case REPLY_NOT_NOW:
    case REPLY_NO_SPACE:
    case REPLY_UNKNOWN:
        err_escape(words, sizeof(words), reply->str, reply->len);
        err_set(&im->info,
                client_classify(reply) == REPLY_NO_SPACE ? ERR_NOSPACE
                                                         : ERR_AGAIN,
                "%s", words);
        import_begin_waiting(im, words);
        window_fail(&im->window);
        im->draining = true;
        return;
    case REPLY_REFUSED:
        import_take_refusal(im, reply);
        return;
    }
}

static void import_take_replies(struct import *im)
{
    struct err_info info;
    redisReply *reply = NULL;
    int rc = conn_fill(&im->client.conn, &info);
    /* What came before a close still counts. */
    for (;;) {
        int bad = conn_take_reply(&im->client.conn, &reply, &info);
        if (bad == 0 && reply != NULL && im->window.sent.n_items == 0) {
            bad = err_set(&info, ERR_PROTOCOL, "a reply nobody asked for");
            freeReplyObject(reply);
        }
        if (bad != 0 || reply == NULL) {
            rc = bad != 0 ? bad : rc;
            break;
        }
        im->heard_ms = clock_now_ms();
        import_take_one(im, reply);
        freeReplyObject(reply);
    }
    if (rc != 0) {
        import_lose_connection(im, info.message);
    }
}

/* All outstanding replies are here and some items failed: begin them again,
 * through whoever leads then. */
static void import_retry_failed(struct import *im)
{
    if (im->ending || !im->draining || im->window.sent.n_items > 0 ||
        im->window.part_sent > 0) {
        return;
    }
    im->n_sent_again += window_rewind(&im->window);
    im->draining = false;
    client_disconnect(&im->client);
    clock_pause(IMPORT_RETRY_MS, im->acknowledged_ms + im->timeout_ms);
}

/* Silence: is the node we talk to hung while another one leads? A slow leader
 * is left alone, because sending all again would make it slower. */
static void import_check_stall(struct import *im)
{
    static struct cluster_view view; /* large */
    int64_t now = clock_now_ms();
    int64_t since = im->acknowledged_ms > im->connected_ms ? im->acknowledged_ms
                                                           : im->connected_ms;
    const struct node_info *peer = &im->client.info;
    uint64_t leader_id =
        peer->role == INFO_ROLE_LEADER ? peer->node_id : peer->leader_id;
    if (im->window.sent.n_items == 0 || now - im->heard_ms < IMPORT_STALL_MS) {
        return;
    }
    if (now - since >= IMPORT_STALL_MAX_MS) {
        import_lose_connection(im, "no reply for 8 s");
        return;
    }
    cluster_view_ask(&view, &im->client.endpoints, CLIENT_PROBE_MS / 2);
    im->heard_ms = clock_now_ms();
    if (view.leader >= 0 && view.nodes[view.leader].info.node_id != leader_id) {
        import_lose_connection(im, "no reply, and another node leads");
    }
}

static void import_check_limits(struct import *im)
{
    int64_t now = clock_now_ms();
    if (im->window.n_items == 0) {
        /* Waiting for a slow input is not the cluster's fault. */
        im->acknowledged_ms = now;
    } else if (now - im->acknowledged_ms >= im->timeout_ms && !im->ending) {
        if (im->info.message[0] == '\0') {
            err_set(&im->info, ERR_AGAIN, "no acknowledgement");
        }
        import_end(im, im->info.code == ERR_NOSPACE ? EXIT_CODE_REFUSED
                                                    : EXIT_CODE_UNREACHABLE);
    }
    if (clock_interrupted() && !im->ending) {
        err_set(&im->info, ERR_STOPPED, "interrupted");
        import_end(im, EXIT_CODE_INTERRUPTED);
    }
}

/* Wait for whatever comes next: replies, room to write, input. */
static void import_wait(struct import *im, bool wants_data)
{
    struct pollfd fds[2];
    nfds_t n = 1;
    bool unsent =
        im->draining ? im->window.part_sent > 0 : im->window.unsent.n_items > 0;
    fds[0].fd = im->client.conn.redis->fd;
    fds[0].events = (short)(POLLIN | (unsent ? POLLOUT : 0));
    fds[0].revents = 0;
    if (wants_data) {
        fds[1].fd = im->reader.fd;
        fds[1].events = POLLIN;
        fds[1].revents = 0;
        n = 2;
    }
    if (poll(fds, n, CLOCK_WAIT_MAX_MS) <= 0) {
        return;
    }
    if (n == 2 && fds[1].revents != 0) {
        import_read(im);
    }
    if ((fds[0].revents & ~POLLOUT) != 0) {
        import_take_replies(im);
    }
}

static bool import_is_done(const struct import *im)
{
    if (im->ending) {
        return im->window.sent.n_items == 0 || clock_now_ms() >= im->end_ms ||
               !conn_is_open(&im->client.conn);
    }
    bool read_all = im->reader.at_end && im->reader.begin == im->reader.end &&
                    !im->has_record;
    return (read_all || im->input_code != EXIT_CODE_OK) &&
           im->window.n_items == 0;
}

int import_run(struct import *im)
{
    im->acknowledged_ms = clock_now_ms();
    im->heard_ms = im->acknowledged_ms;
    while (!import_is_done(im)) {
        if (!conn_is_open(&im->client.conn)) {
            import_connect(im);
            continue;
        }
        bool wants_data = import_take_records(im);
        import_write(im);
        if (conn_is_open(&im->client.conn) && !import_is_done(im)) {
            import_wait(im, wants_data);
        }
        if (conn_is_open(&im->client.conn)) {
            import_retry_failed(im);
        }
        if (conn_is_open(&im->client.conn)) {
            import_check_stall(im);
        }
        import_check_limits(im);
        progress_update(&im->progress, clock_now_ms());
    }
    if (im->code == EXIT_CODE_OK && im->input_code != EXIT_CODE_OK) {
        im->code = im->input_code;
        im->info = im->input_info;
    }
    return im->code;
}
