/* The items of an import in flight; see window.h. */
#include "cli/window.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW_HEAD_MAX = 96 };

static void list_init(struct window_list *list)
{
    list->first = NULL;
    list->last = &list->first;
    list->n_items = 0;
}

static void list_append(struct window_list *list, struct window_item *item)
{
    item->next = NULL;
    *list->last = item;
    list->last = &item->next;
    list->n_items++;
}

static struct window_item *list_take(struct window_list *list)
{
    struct window_item *item = list->first;
    list->first = item->next;
    list->n_items--;
    if (list->first == NULL) {
        list->last = &list->first;
    }
    return item;
}

/* Hang all of `from` behind `to`; `from` is empty then. */
static void list_move(struct window_list *to, struct window_list *from)
{
    if (from->first != NULL) {
        *to->last = from->first;
        to->last = from->last;
        to->n_items += from->n_items;
        list_init(from);
    }
}

/* FNV-1a: only speed depends on it, and keys are short. */
static size_t window_bucket(const struct window *w, const char *key,
                            size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ (uint8_t)key[i]) * UINT64_C(0x100000001b3);
    }
    return (size_t)(hash ^ (hash >> 32)) & (w->n_buckets - 1);
}

int window_init(struct window *w, size_t n_items_max, size_t bytes_max)
{
    memset(w, 0, sizeof(*w));
    list_init(&w->unsent);
    list_init(&w->sent);
    list_init(&w->failed);
    w->n_items_max = n_items_max;
    w->bytes_max = bytes_max;
    w->n_buckets = 16;
    while (w->n_buckets < n_items_max * 2) {
        w->n_buckets *= 2;
    }
    w->buckets = calloc(w->n_buckets, sizeof(struct window_item *));
    return w->buckets == NULL ? ERR_NOMEM : 0;
}

static void list_free(struct window_list *list)
{
    while (list->first != NULL) {
        free(list_take(list));
    }
}

void window_close(struct window *w)
{
    list_free(&w->unsent);
    list_free(&w->sent);
    list_free(&w->failed);
    free(w->buckets);
    memset(w, 0, sizeof(*w));
}

bool window_has_room(const struct window *w)
{
    return w->n_items < w->n_items_max && w->bytes < w->bytes_max;
}

bool window_has_key(const struct window *w, const char *key, size_t size)
{
    const struct window_item *item = w->buckets[window_bucket(w, key, size)];
    while (item != NULL &&
           (item->key_size != size ||
            memcmp(item->bytes + item->key_offset, key, size) != 0)) {
        item = item->hash_next;
    }
    return item != NULL;
}

/* Hang an item with room for size bytes on the queue. NULL: NOMEM. */
static struct window_item *window_add(struct window *w,
                                      const struct record *record, size_t size,
                                      size_t key_offset)
{
    struct window_item *item = malloc(sizeof(*item) + size);
    if (item == NULL) {
        return NULL;
    }
    item->key_offset = key_offset;
    item->key_size = record->key_size;
    item->size = size;
    size_t bucket = window_bucket(w, record->key, record->key_size);
    item->hash_next = w->buckets[bucket];
    w->buckets[bucket] = item;
    list_append(&w->unsent, item);
    w->n_items++;
    w->bytes += size;
    return item;
}

static char *put(char *to, const char *data, size_t size)
{
    memcpy(to, data, size);
    return to + size;
}

/* SET key value, and PXAT time where it ends. */
static struct window_item *window_add_set(struct window *w,
                                          const struct record *record)
{
    char head[WINDOW_HEAD_MAX];
    char middle[WINDOW_HEAD_MAX];
    char tail[WINDOW_HEAD_MAX] = "\r\n";
    char time[24];
    bool ends = record->expire_at_ms != 0;
    size_t head_size =
        (size_t)snprintf(head, sizeof(head), "*%d\r\n$3\r\nSET\r\n$%zu\r\n",
                         ends ? 5 : 3, record->key_size);
    size_t middle_size = (size_t)snprintf(middle, sizeof(middle),
                                          "\r\n$%zu\r\n", record->value_size);
    if (ends) {
        int digits =
            snprintf(time, sizeof(time), "%" PRIu64, record->expire_at_ms);
        snprintf(tail, sizeof(tail), "\r\n$4\r\nPXAT\r\n$%d\r\n%s\r\n", digits,
                 time);
    }
    size_t size = head_size + record->key_size + middle_size +
                  record->value_size + strlen(tail);
    struct window_item *item = window_add(w, record, size, head_size);
    if (item != NULL) {
        char *to = put(item->bytes, head, head_size);
        to = put(to, record->key, record->key_size);
        to = put(to, middle, middle_size);
        to = put(to, record->value, record->value_size);
        (void)put(to, tail, strlen(tail));
    }
    return item;
}

int window_push(struct window *w, const struct record *record, uint64_t line,
                uint64_t offset_after)
{
    struct window_item *item;
    if (record->command != NULL) {
        item = window_add(w, record, record->command_size,
                          (size_t)(record->key - record->command));
        if (item != NULL) {
            memcpy(item->bytes, record->command, record->command_size);
        }
    } else {
        item = window_add_set(w, record);
    }
    if (item == NULL) {
        return ERR_NOMEM;
    }
    item->line = line;
    item->offset_after = offset_after;
    return 0;
}

int window_parts(const struct window *w, struct iovec *parts, int n_parts)
{
    struct window_item *item = w->unsent.first;
    size_t skip = w->part_sent;
    int n = 0;
    while (item != NULL && n < n_parts) {
        parts[n].iov_base = item->bytes + skip;
        parts[n].iov_len = item->size - skip;
        skip = 0;
        n++;
        item = item->next;
    }
    return n;
}

void window_advance(struct window *w, size_t n_bytes)
{
    w->part_sent += n_bytes;
    while (w->unsent.first != NULL && w->part_sent >= w->unsent.first->size) {
        w->part_sent -= w->unsent.first->size;
        list_append(&w->sent, list_take(&w->unsent));
    }
    assert(w->unsent.first != NULL || w->part_sent == 0);
}

static void window_forget_key(struct window *w, struct window_item *item)
{
    size_t bucket =
        window_bucket(w, item->bytes + item->key_offset, item->key_size);
    struct window_item **at = &w->buckets[bucket];
    while (*at != item) {
        at = &(*at)->hash_next;
    }
    *at = item->hash_next;
}

size_t window_acknowledge(struct window *w, uint64_t *offset_after)
{
    assert(w->sent.first != NULL);
    struct window_item *item = list_take(&w->sent);
    size_t size = item->size;
    *offset_after = item->offset_after;
    window_forget_key(w, item);
    w->n_items--;
    w->bytes -= size;
    free(item);
    return size;
}

void window_fail(struct window *w)
{
    assert(w->sent.first != NULL);
    list_append(&w->failed, list_take(&w->sent));
}

const struct window_item *window_oldest_sent(const struct window *w)
{
    return w->sent.first;
}

size_t window_rewind(struct window *w)
{
    size_t n = w->failed.n_items + w->sent.n_items + (w->part_sent > 0);
    /* What failed was sent before what is still waiting for its reply. */
    list_move(&w->failed, &w->sent);
    list_move(&w->failed, &w->unsent);
    list_move(&w->unsent, &w->failed);
    w->part_sent = 0;
    return n;
}

uint64_t window_first_line(const struct window *w)
{
    if (w->failed.first != NULL) {
        return w->failed.first->line;
    }
    if (w->sent.first != NULL) {
        return w->sent.first->line;
    }
    return w->unsent.first != NULL ? w->unsent.first->line : 0;
}
