/* A walk over all keys; see scan.h. */
#include "cli/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void scan_init(struct scan *s, const char *match, uint64_t count)
{
    memset(s, 0, sizeof(*s));
    s->match = match;
    snprintf(s->count, sizeof(s->count), "%llu",
             (unsigned long long)(count > 0 ? count : SCAN_COUNT_DEFAULT));
    strcpy(s->cursor, "0");
}

void scan_close(struct scan *s)
{
    free(s->last);
    memset(s, 0, sizeof(*s));
}

void scan_command(struct scan *s, struct command *command)
{
    int n = 0;
    s->args[n++] = "SCAN";
    s->args[n++] = s->by_key ? "0" : s->cursor;
    s->args[n++] = "COUNT";
    s->args[n++] = s->count;
    if (s->match != NULL) {
        s->args[n++] = "MATCH";
        s->args[n++] = s->match;
    }
    for (int i = 0; i < n; i++) {
        s->sizes[i] = strlen(s->args[i]);
    }
    if (s->by_key && s->last != NULL) {
        s->args[n] = "AFTER";
        s->sizes[n++] = strlen("AFTER");
        s->args[n] = s->last;
        s->sizes[n++] = s->last_size;
    }
    command->n_args = n;
    command->args = s->args;
    command->sizes = s->sizes;
}

static bool is_scan_reply(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[0]->len >= TEXT_NUMBER_MAX ||
        reply->element[1]->type != REDIS_REPLY_ARRAY) {
        return false;
    }
    const redisReply *keys = reply->element[1];
    for (size_t i = 0; i < keys->elements; i++) {
        if (keys->element[i]->type != REDIS_REPLY_STRING) {
            return false;
        }
    }
    return true;
}

static int scan_remember(struct scan *s, const redisReply *key)
{
    char *copy = realloc(s->last, key->len + 1);
    if (copy == NULL) {
        return ERR_NOMEM;
    }
    memcpy(copy, key->str, key->len + 1);
    s->last = copy;
    s->last_size = key->len;
    return 0;
}

int scan_refused(struct scan *s, const struct err_info *info)
{
    static const char words[] = "ERR unknown cursor";
    if (s->by_key || strncmp(info->message, words, strlen(words)) != 0) {
        return info->code;
    }
    s->by_key = true;
    return 0;
}

int scan_take(struct scan *s, const redisReply *reply, const redisReply **keys,
              struct err_info *info)
{
    if (reply->type == REDIS_REPLY_ERROR) {
        char shown[200];
        err_escape(shown, sizeof(shown), reply->str, reply->len);
        err_set(info, ERR_INVALID, "%s", shown);
        return scan_refused(s, info);
    }
    if (!is_scan_reply(reply)) {
        return err_set(info, ERR_PROTOCOL,
                       "the reply to SCAN has a wrong shape");
    }
    const redisReply *page = reply->element[1];
    if (page->elements > 0 &&
        scan_remember(s, page->element[page->elements - 1]) != 0) {
        return err_set(info, ERR_NOMEM, "out of memory");
    }
    memcpy(s->cursor, reply->element[0]->str, reply->element[0]->len + 1);
    s->by_key = false;
    s->done = strcmp(s->cursor, "0") == 0;
    *keys = page;
    return 1;
}
