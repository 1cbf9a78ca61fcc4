/* CLUSTER COUNTKEYSINSLOT: all keys are looked at, a slice in each turn.
 *
 * Nothing else needs an index of keys by slot, which every write would pay for.
 * A slice goes on behind the last key of the one before, and the slices of all
 * clients share the work of a turn. So the count is like what a SCAN collects:
 * keys that are there all the time count once, those that come or go meanwhile
 * may count. Keys that have expired count until they are swept. */
#include "node/service_private.h"

#include "node/key_slot.h"
#include "node/number.h"
#include "node/resp.h"

struct slice {
    struct count *count;
    struct store_item *last; /* borrowed; NULL: none was looked at */
    unsigned n_visited;
    bool more;
};

static bool count_key(void *ctx, struct store_item *item)
{
    struct slice *slice = ctx;
    struct count *c = slice->count;
    if (slice->n_visited == COUNT_SLICE_KEYS) {
        slice->more = true;
        return false;
    }
    slice->n_visited++;
    slice->last = item;
    c->n += key_slot(store_item_key(item)) == c->slot;
    return true;
}

static void count_forget(struct operation *o)
{
    if (o->as.count.last != NULL) {
        store_item_unref(o->as.count.last);
        o->as.count.last = NULL;
    }
}

static void count_poll(struct operation *o)
{
    struct service *s = o->request->service;
    struct count *c = &o->as.count;
    struct slice slice = {c, NULL, 0, false};
    struct bytes after = {NULL, 0};
    if (service_turn_is_over(s)) {
        operation_due(o, service_now_ms(s));
        return;
    }
    if (c->last != NULL) {
        after = store_item_key(c->last);
    }
    store_visit(replica_store(s->replica), after, count_key, &slice);
    s->turn_steps += (uint64_t)slice.n_visited * COMMAND_VISIT_STEPS;
    if (slice.more) {
        store_item_ref(slice.last);
        count_forget(o);
        c->last = slice.last;
        operation_due(o, service_now_ms(s));
        return;
    }
    resp_integer(&o->request->reply, c->n);
    operation_done(o);
}

void count_begin(struct request *r)
{
    struct operation *o;
    int64_t slot;
    if (!number_parse(r->argv[2], &slot)) {
        request_error(r, "ERR value is not an integer or out of range");
    } else if (slot < 0 || slot >= KEY_SLOTS) {
        request_error(r, "ERR Invalid slot");
    } else if (operation_new(r, count_poll, &o) != 0) {
        request_error(r, "ERR out of memory");
    } else {
        o->forget = count_forget;
        o->as.count.slot = (unsigned)slot;
        count_poll(o);
    }
}
