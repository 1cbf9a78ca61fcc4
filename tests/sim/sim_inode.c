/* Content of simulated files: visible bytes and the changes not durable yet.
 *
 * Only the visible content is kept whole. Each unsynced change remembers what
 * it replaced, so the durable content is found by undoing them backwards; that
 * happens only at a power cut, and a sync just forgets the changes. */
#include "tests/sim/sim_disk_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/err.h"

struct sim_inode *sim_inode_ref(struct sim_inode *inode)
{
    inode->n_refs++;
    return inode;
}

static void forget_changes(struct sim_inode *inode)
{
    while (inode->first != NULL) {
        struct sim_change_data *c = inode->first;
        inode->first = c->next;
        free(c->old_data);
        free(c);
    }
    inode->last = NULL;
}

void sim_inode_unref(struct sim_inode *inode)
{
    if (inode == NULL || --inode->n_refs > 0) {
        return;
    }
    inode->disk->used_bytes -= inode->size;
    forget_changes(inode);
    free(inode->data);
    free(inode);
}

/* Set the visible size; new bytes are zero. */
static void set_size(struct sim_inode *inode, uint64_t size)
{
    if (size > inode->capacity) {
        uint64_t capacity = 2 * inode->capacity;
        if (capacity < size) {
            capacity = size;
        }
        inode->data = realloc(inode->data, capacity);
        assert(inode->data != NULL);
        inode->capacity = capacity;
    }
    if (size > inode->size) {
        memset(inode->data + inode->size, 0, size - inode->size);
    }
    inode->disk->used_bytes += size - inode->size;
    inode->size = size;
}

static int reserve(const struct sim_inode *inode, uint64_t end)
{
    const struct sim_disk *d = inode->disk;

    if (end > inode->size &&
        d->used_bytes + (end - inode->size) > d->capacity_bytes) {
        return ERR_NOSPACE;
    }
    return 0;
}

static void remember(struct sim_inode *inode, struct sim_change_data change,
                     const void *new_data)
{
    struct sim_change_data *c = malloc(sizeof *c);

    assert(c != NULL);
    *c = change;
    c->old_data = malloc(c->old_size + c->size + 1);
    assert(c->old_data != NULL);
    if (c->old_size > 0) {
        memcpy(c->old_data, inode->data + c->offset, c->old_size);
    }
    c->new_data = c->old_data + c->old_size;
    if (c->size > 0) {
        memcpy(c->new_data, new_data, c->size);
    }
    c->number = ++inode->n_changes;
    c->next = NULL;
    c->previous = inode->last;
    if (inode->last != NULL) {
        inode->last->next = c;
    } else {
        inode->first = c;
    }
    inode->last = c;
}

static int write_tracked(struct sim_inode *inode, const void *buf, size_t size,
                         uint64_t offset, bool durable)
{
    uint64_t end = offset + size;
    struct sim_change_data c = {0};
    int rv = reserve(inode, end);

    if (rv != 0) {
        return rv;
    }
    if (size == 0) {
        return 0;
    }
    c.durable = durable;
    c.offset = offset;
    c.size = size;
    c.size_before = inode->size;
    c.size_after = end > inode->size ? end : inode->size;
    if (offset < inode->size) {
        uint64_t old = inode->size - offset;
        c.old_size = old < size ? (size_t)old : size;
    }
    remember(inode, c, buf);
    if (end > inode->size) {
        set_size(inode, end);
    }
    memcpy(inode->data + offset, buf, size);
    return 0;
}

int sim_inode_write(struct sim_inode *inode, const void *buf, size_t size,
                    uint64_t offset)
{
    return write_tracked(inode, buf, size, offset, false);
}

void sim_inode_write_in_flight(struct sim_inode *inode, const void *buf,
                               size_t size, uint64_t offset)
{
    if (write_tracked(inode, buf, size, offset, false) == 0 && size > 0) {
        inode->last->in_flight = true;
    }
}

int sim_inode_write_durable(struct sim_inode *inode, const void *buf,
                            size_t size, uint64_t offset)
{
    int rv;

    /* Undoing older changes would take this one along: keep it in the list. */
    if (inode->first != NULL) {
        return write_tracked(inode, buf, size, offset, true);
    }
    rv = reserve(inode, offset + size);
    if (rv != 0) {
        return rv;
    }
    if (offset + size > inode->size) {
        set_size(inode, offset + size);
    }
    memcpy(inode->data + offset, buf, size);
    return 0;
}

int sim_inode_truncate(struct sim_inode *inode, uint64_t size)
{
    struct sim_change_data c = {0};
    int rv = reserve(inode, size);

    if (rv != 0) {
        return rv;
    }
    c.is_truncate = true;
    c.offset = size;
    c.size_before = inode->size;
    c.size_after = size;
    if (size < inode->size) {
        c.old_size = (size_t)(inode->size - size);
    }
    remember(inode, c, NULL);
    set_size(inode, size);
    return 0;
}

void sim_inode_sync(struct sim_inode *inode)
{
    struct sim_change_data *c;
    bool any_doomed = false;

    for (c = inode->first; c != NULL; c = c->next) {
        any_doomed = any_doomed || c->doomed;
    }
    if (!any_doomed) {
        forget_changes(inode);
        return;
    }
    /* After a failed sync the pages count as clean: a later sync covers only
     * what was written since, and must not save what was dropped. */
    for (c = inode->first; c != NULL; c = c->next) {
        c->durable = c->durable || !c->doomed;
    }
}

/* A sync that ran while writes went on: those behind it are not its. */
void sim_inode_sync_through(struct sim_inode *inode, uint64_t number)
{
    struct sim_change_data *c;

    for (c = inode->first; c != NULL && c->number <= number; c = c->next) {
        c->durable = c->durable || !c->doomed;
    }
    while (inode->first != NULL && inode->first->durable) {
        c = inode->first;
        inode->first = c->next;
        if (inode->first != NULL) {
            inode->first->previous = NULL;
        } else {
            inode->last = NULL;
        }
        free(c->old_data);
        free(c);
    }
}

void sim_inode_doom(struct sim_inode *inode)
{
    for (struct sim_change_data *c = inode->first; c != NULL; c = c->next) {
        c->doomed = !c->durable;
    }
}

/* Go back to the durable content. */
static void undo_all(struct sim_inode *inode)
{
    for (struct sim_change_data *c = inode->last; c != NULL; c = c->previous) {
        if (c->old_size > 0) {
            set_size(inode, c->size_before > inode->size ? c->size_before
                                                         : inode->size);
            memcpy(inode->data + c->offset, c->old_data, c->old_size);
        }
        set_size(inode, c->size_before);
    }
}

enum lottery { LOTTERY_LOST, LOTTERY_KEPT, LOTTERY_PREFIX, LOTTERY_SECTORS };

/* A sector that was being written may be neither old nor new: the device
 * rewrites it in place, and its checksum is wrong or its content mixed. Only
 * what was in flight to the device is at risk. */
static void spoil(struct sim_inode *inode, const struct sim_change_data *c,
                  uint64_t from, uint64_t end)
{
    struct sim_random *random = &inode->disk->random;

    if (!c->in_flight || !sim_random_chance(random, 100)) {
        return;
    }
    for (uint64_t at = from; at < end && at < inode->size; at++) {
        inode->data[at] = (uint8_t)sim_random_next(random);
    }
    inode->disk->stats.n_spoiled++;
}

/* Do a write again, as far as the draw lets it. */
static void redo_write(struct sim_inode *inode, const struct sim_change_data *c,
                       enum lottery lottery)
{
    struct sim_random *random = &inode->disk->random;
    uint64_t end = c->offset + c->size;
    uint64_t at = c->offset;
    uint64_t prefix_end = c->offset + sim_random_below(random, c->size + 1);
    bool lost = false;
    bool kept = false;

    while (at < end) {
        uint64_t next = (at / SIM_SECTOR + 1) * SIM_SECTOR;
        bool keep =
            lottery == LOTTERY_KEPT ||
            (lottery == LOTTERY_PREFIX && at < prefix_end) ||
            (lottery == LOTTERY_SECTORS && sim_random_chance(random, 500));
        if (next > end) {
            next = end;
        }
        if (keep) {
            if (next > inode->size) {
                set_size(inode, next);
            }
            memcpy(inode->data + at, c->new_data + (at - c->offset),
                   (size_t)(next - at));
            kept = true;
        } else {
            lost = true;
            spoil(inode, c, at, next);
        }
        at = next;
    }
    /* The size is metadata of its own and can be ahead of the data. */
    if (lost && end > inode->size && sim_random_chance(random, 200)) {
        set_size(inode, end);
    }
    if (lost && kept) {
        inode->disk->stats.n_torn++;
    } else if (lost) {
        inode->disk->stats.n_lost++;
    }
}

static enum lottery draw(struct sim_random *random)
{
    static const enum lottery table[] = {
        LOTTERY_LOST,   LOTTERY_LOST,    LOTTERY_KEPT,
        LOTTERY_PREFIX, LOTTERY_SECTORS, LOTTERY_SECTORS,
    };

    return table[sim_random_below(random, sizeof table / sizeof table[0])];
}

void sim_inode_power_cut(struct sim_inode *inode)
{
    struct sim_random *random = &inode->disk->random;
    /* Often one fate for all of a file's writes, else one for each. */
    bool together = sim_random_chance(random, 400);
    enum lottery fate = draw(random);

    if (inode->first == NULL) {
        return;
    }
    if (inode->disk->lose_all) {
        together = true;
        fate = LOTTERY_LOST;
    }
    undo_all(inode);
    for (struct sim_change_data *c = inode->first; c != NULL; c = c->next) {
        if (!together) {
            fate = draw(random);
        }
        if (c->doomed) {
            continue;
        }
        if (!c->is_truncate) {
            redo_write(inode, c, c->durable ? LOTTERY_KEPT : fate);
        } else if (c->durable || fate == LOTTERY_KEPT ||
                   (fate != LOTTERY_LOST && sim_random_chance(random, 500))) {
            set_size(inode, c->size_after);
        }
    }
    forget_changes(inode);
}
