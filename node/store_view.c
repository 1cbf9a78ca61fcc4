/* The frozen view: the state at the moment of the freeze, read in slices while
 * writes go on.
 *
 * Opening raises the store's epoch, which costs nothing. From then on
 *  - an item made since carries the new epoch: the view passes over it;
 *  - an older item that is replaced or removed before the view came to it moves
 *    to `aside`; one already passed goes its usual way;
 *  - a cleared store hands its whole tree over and goes on with an empty one.
 * So the state of the freeze is what is old in the tree, plus what is aside,
 * and no key is in both. Everything aside lies ahead of the view: what is
 * given out leaves it. */
#include <assert.h>
#include <stdlib.h>

#include "node/store_internal.h"
#include "raftlog/err.h"

/* Newer items a slice passes over, unless it has nothing to give yet. */
enum { VIEW_STEPS_MAX = 4096 };

int store_view_open(struct store *s, struct store_view **out)
{
    struct store_view *v;

    if (s->view != NULL) {
        return ERR_BUSY;
    }
    v = calloc(1, sizeof *v);
    if (v == NULL) {
        return ERR_NOMEM;
    }
    /* 2^32 snapshots of one process: not reached. */
    assert(s->epoch < UINT32_MAX - 1);
    s->epoch++;
    v->store = s;
    s->view = v;
    *out = v;
    return 0;
}

bool store_view_needs(const struct store_view *v, const struct store_item *it)
{
    if (v->detached || v->at_end || it->epoch >= v->store->epoch) {
        return false;
    }
    return v->last == NULL ||
           store_key_compare(store_item_key(it), store_item_key(v->last)) > 0;
}

void store_view_detach(struct store_view *v, struct tree *tree)
{
    v->base = *tree;
    v->detached = true;
    tree->root = NULL;
    tree->n_items = 0;
    tree->n_bytes = 0;
}

/* Reading both sources side by side during one slice. */
struct view_merge {
    struct tree_iter it;
    /* Where the search in the tree stands: an item to show, or one that it has
     * only come to; NULL at the end. */
    struct store_item *ahead;
    size_t steps; /* newer items that may still be passed over */
};

static bool view_shows(const struct store_view *v, const struct store_item *it)
{
    return it->epoch < v->store->epoch;
}

static void view_search(struct store_view *v, struct view_merge *m)
{
    m->ahead = tree_peek_before(&m->it, v->store->epoch, &m->steps);
}

static void view_begin(struct store_view *v, struct view_merge *m)
{
    const struct tree *tree = v->detached ? &v->base : &v->store->tree;
    struct bytes from;

    m->ahead = NULL;
    m->steps = VIEW_STEPS_MAX;
    if (v->tree_done) {
        return;
    }
    if (v->ahead != NULL) {
        from = store_item_key(v->ahead);
    }
    tree_seek(&m->it, tree, v->ahead != NULL ? &from : NULL, true);
    view_search(v, m);
}

static void view_replace(struct store_item **held, struct store_item *item)
{
    struct store_item *old = *held;

    *held = item != NULL ? store_item_ref(item) : NULL;
    if (old != NULL) {
        store_item_unref(old);
    }
}

/* The next item, with a reference for the caller. NULL: there is none, or
 * *pause: the search through newer items takes long. */
static struct store_item *view_take(struct store_view *v, struct view_merge *m,
                                    bool *pause)
{
    struct store_item *aside = tree_first(&v->aside);
    struct store_item *item = m->ahead;

    *pause = false;
    if (aside != NULL &&
        (item == NULL ||
         store_key_compare(store_item_key(aside), store_item_key(item)) <= 0)) {
        return tree_remove(&v->aside, store_item_key(aside));
    }
    if (item == NULL) {
        return NULL;
    }
    if (!view_shows(v, item)) {
        *pause = true;
        return NULL;
    }
    (void)tree_next(&m->it);
    view_search(v, m);
    return store_item_ref(item);
}

int store_view_next(struct store_view *v, struct store_item **items,
                    size_t n_max, size_t bytes_max, size_t *n)
{
    struct view_merge m;
    struct store_item *item;
    size_t n_bytes = 0;
    bool pause = false;

    *n = 0;
    if (v->at_end || n_max == 0) {
        return 0;
    }
    view_begin(v, &m);
    while (*n < n_max && (*n == 0 || n_bytes < bytes_max)) {
        item = view_take(v, &m, &pause);
        if (item == NULL && pause && *n == 0) {
            m.steps = VIEW_STEPS_MAX;
            view_search(v, &m);
            continue;
        }
        if (item == NULL) {
            /* At the end no later write needs to keep anything. */
            v->at_end = !pause;
            break;
        }
        items[(*n)++] = item;
        n_bytes += store_item_bytes(item);
    }
    if (*n > 0) {
        view_replace(&v->last, items[*n - 1]);
    }
    view_replace(&v->ahead, m.ahead);
    v->tree_done = m.ahead == NULL;
    return 0;
}

uint64_t store_view_memory(const struct store_view *v)
{
    return v->aside.n_bytes + v->base.n_bytes;
}

void store_view_close(struct store_view *v)
{
    if (v == NULL) {
        return;
    }
    view_replace(&v->last, NULL);
    view_replace(&v->ahead, NULL);
    tree_discard(&v->aside, &v->store->garbage);
    tree_discard(&v->base, &v->store->garbage);
    v->store->view = NULL;
    free(v);
}
