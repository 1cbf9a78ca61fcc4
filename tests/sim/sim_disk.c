/* Names of simulated disks, and what crashes do to them.
 *
 * Two flat tables of full paths: as programs see them and as a power cut would
 * leave them, with the list of changes between the two. A node has a few dozen
 * files, so plain arrays do. Contents are in sim_inode.c, the functions of
 * file.h in sim_file.c. */
#include "tests/sim/sim_disk.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/checksum.h"
#include "raftlog/err.h"
#include "tests/sim/sim_disk_private.h"

/* file.h has no context argument: a path's first part names the disk. */
static struct sim_disk *disks[SIM_DISKS_MAX + 1];
static struct sim_disk *current;

struct sim_disk *sim_disk_of(const char *path)
{
    unsigned id = 0;
    const char *p = path + 2;

    assert(path[0] == '/' && path[1] == 'n');
    while (*p >= '0' && *p <= '9') {
        id = 10 * id + (unsigned)(*p++ - '0');
    }
    assert(*p == '\0' || *p == '/');
    assert(id >= 1 && id <= SIM_DISKS_MAX && disks[id] != NULL);
    current = disks[id];
    return current;
}

void sim_disk_select(struct sim_disk *d)
{
    current = d;
}

struct sim_disk *sim_disk_current(void)
{
    assert(current != NULL);
    return current;
}

static char *copy(const char *text)
{
    char *p = strdup(text);

    assert(p != NULL);
    return p;
}

size_t sim_disk_dir_size(const char *path)
{
    const char *slash = strrchr(path, '/');

    assert(slash != NULL);
    return (size_t)(slash - path);
}

static bool is_in_dir(const char *path, const char *dir)
{
    size_t n = sim_disk_dir_size(path);

    return strlen(dir) == n && memcmp(path, dir, n) == 0;
}

/* ---- tables of names ---- */

static size_t names_find(const struct sim_disk_name *names, size_t n,
                         const char *path)
{
    size_t i = 0;

    while (i < n && strcmp(names[i].path, path) != 0) {
        i++;
    }
    return i;
}

static void names_put(struct sim_disk_name **names, size_t *n, const char *path,
                      struct sim_inode *inode)
{
    size_t i = names_find(*names, *n, path);

    (void)sim_inode_ref(inode);
    if (i < *n) {
        sim_inode_unref((*names)[i].inode);
        (*names)[i].inode = inode;
        return;
    }
    *names = realloc(*names, (*n + 1) * sizeof **names);
    assert(*names != NULL);
    (*names)[*n].path = copy(path);
    (*names)[*n].inode = inode;
    (*n)++;
}

static void names_remove(struct sim_disk_name *names, size_t *n,
                         const char *path)
{
    size_t i = names_find(names, *n, path);

    if (i < *n) {
        free(names[i].path);
        sim_inode_unref(names[i].inode);
        memmove(&names[i], &names[i + 1], (*n - i - 1) * sizeof *names);
        (*n)--;
    }
}

static void names_clear(struct sim_disk_name **names, size_t *n)
{
    while (*n > 0) {
        names_remove(*names, n, (*names)[*n - 1].path);
    }
    free(*names);
    *names = NULL;
}

static void names_apply(struct sim_disk_name **names, size_t *n,
                        const struct sim_disk_change *c)
{
    switch (c->kind) {
    case SIM_CHANGE_CREATE:
        names_put(names, n, c->path, c->inode);
        break;
    case SIM_CHANGE_UNLINK:
        names_remove(*names, n, c->path);
        break;
    case SIM_CHANGE_RENAME:
        names_remove(*names, n, c->from);
        names_put(names, n, c->path, c->inode);
        break;
    }
}

/* ---- changes ---- */

static void change_remove(struct sim_disk *d, size_t i)
{
    free(d->changes[i].path);
    free(d->changes[i].from);
    sim_inode_unref(d->changes[i].inode);
    memmove(&d->changes[i], &d->changes[i + 1],
            (d->n_changes - i - 1) * sizeof *d->changes);
    d->n_changes--;
}

static bool change_names(const struct sim_disk_change *c, const char *path)
{
    return strcmp(c->path, path) == 0 ||
           (c->from != NULL && strcmp(c->from, path) == 0);
}

/* Change a visible name and remember that it is not durable. */
static void change(struct sim_disk *d, enum sim_change_kind kind,
                   const char *path, const char *from, struct sim_inode *inode)
{
    struct sim_disk_change *c;

    d->changes = realloc(d->changes, (d->n_changes + 1) * sizeof *d->changes);
    assert(d->changes != NULL);
    c = &d->changes[d->n_changes++];
    c->kind = kind;
    c->path = copy(path);
    c->from = from != NULL ? copy(from) : NULL;
    c->inode = sim_inode_ref(inode);
    names_apply(&d->live, &d->n_live, c);
}

void sim_disk_sync_names(struct sim_disk *d, const char *dir)
{
    size_t i = 0;

    while (i < d->n_changes) {
        struct sim_disk_change *c = &d->changes[i];
        if (!is_in_dir(c->path, dir)) {
            i++;
            continue;
        }
        names_apply(&d->durable, &d->n_durable, c);
        /* Older changes of these names are history now, wherever they are. */
        for (size_t k = i; k-- > 0;) {
            if (change_names(&d->changes[k], d->changes[i].path) ||
                (d->changes[i].from != NULL &&
                 change_names(&d->changes[k], d->changes[i].from))) {
                change_remove(d, k);
                i--;
            }
        }
        change_remove(d, i);
    }
}

struct sim_inode *sim_disk_find(const struct sim_disk *d, const char *path)
{
    size_t i = names_find(d->live, d->n_live, path);

    return i < d->n_live ? d->live[i].inode : NULL;
}

bool sim_disk_is_dir(const struct sim_disk *d, const char *path)
{
    struct sim_inode *inode = sim_disk_find(d, path);

    return inode != NULL && inode->is_dir;
}

static struct sim_inode *inode_new(struct sim_disk *d, bool is_dir)
{
    struct sim_inode *inode = calloc(1, sizeof *inode);

    assert(inode != NULL);
    inode->n_refs = 1;
    inode->is_dir = is_dir;
    inode->disk = d;
    return inode;
}

struct sim_inode *sim_disk_create(struct sim_disk *d, const char *path,
                                  bool is_dir)
{
    struct sim_inode *inode = inode_new(d, is_dir);

    change(d, SIM_CHANGE_CREATE, path, NULL, inode);
    sim_inode_unref(inode); /* The tables hold it now. */
    return inode;
}

void sim_disk_unlink(struct sim_disk *d, const char *path)
{
    change(d, SIM_CHANGE_UNLINK, path, NULL, sim_disk_find(d, path));
}

void sim_disk_rename(struct sim_disk *d, const char *from, const char *to)
{
    change(d, SIM_CHANGE_RENAME, to, from, sim_disk_find(d, from));
}

/* ---- life ---- */

static void new_boot_id(struct sim_disk *d)
{
    snprintf(d->boot_id, sizeof d->boot_id, "%08x-0000-4000-8000-%012llx",
             (unsigned)sim_random_next(&d->random),
             (unsigned long long)(sim_random_next(&d->random) >> 16));
}

static void make_root(struct sim_disk *d)
{
    char root[16];
    struct sim_inode *inode = inode_new(d, true);

    snprintf(root, sizeof root, "/n%u", d->id);
    names_put(&d->live, &d->n_live, root, inode);
    names_put(&d->durable, &d->n_durable, root, inode);
    sim_inode_unref(inode);
}

void sim_disk_init(struct sim_disk *d, unsigned id,
                   const struct sim_random *random, struct sim_clock *clock,
                   const struct sim_disk_hooks *hooks)
{
    assert(id >= 1 && id <= SIM_DISKS_MAX && disks[id] == NULL);
    memset(d, 0, sizeof *d);
    d->id = id;
    sim_random_fork(random, "disk", id, &d->random);
    d->clock = clock;
    d->hooks = *hooks;
    d->alignment = sim_random_chance(&d->random, 500) ? 512 : 4096;
    d->capacity_bytes = UINT64_MAX / 2;
    d->write_us_min = 60;
    d->write_us_max = 2000;
    new_boot_id(d);
    make_root(d);
    disks[id] = d;
}

static void remove_all(struct sim_disk *d)
{
    while (d->n_changes > 0) {
        change_remove(d, d->n_changes - 1);
    }
    free(d->changes);
    d->changes = NULL;
    names_clear(&d->live, &d->n_live);
    names_clear(&d->durable, &d->n_durable);
}

static void transfer_free(struct sim_disk_transfer *t)
{
    sim_inode_unref(t->inode);
    free(t->path);
    free(t);
}

void sim_disk_close(struct sim_disk *d)
{
    while (d->transfers != NULL) {
        struct sim_disk_transfer *t = d->transfers;
        d->transfers = t->next;
        transfer_free(t);
    }
    remove_all(d);
    disks[d->id] = NULL;
    current = NULL;
}

void sim_disk_wipe(struct sim_disk *d)
{
    remove_all(d);
    make_root(d);
    new_boot_id(d);
    d->frozen = false;
}

/* ---- operations, queued writes ---- */

void sim_disk_before(struct sim_disk *d, enum sim_disk_operation operation,
                     const char *path)
{
    d->stats.n_operations++;
    if (d->hooks.operation != NULL) {
        d->hooks.operation(d->hooks.ctx, operation, path, false);
    }
}

void sim_disk_after(struct sim_disk *d, enum sim_disk_operation operation,
                    const char *path)
{
    if (d->hooks.operation != NULL && !d->frozen) {
        d->hooks.operation(d->hooks.ctx, operation, path, true);
    }
}

void sim_disk_misuse(struct sim_disk *d, const char *text)
{
    if (d->hooks.misuse != NULL) {
        d->hooks.misuse(d->hooks.ctx, text);
    } else {
        fprintf(stderr, "sim_disk %u: %s\n", d->id, text);
        abort();
    }
}

/* The bytes of a queued write must stay as they were at the submit. */
static void check_buffer(struct sim_disk *d, const struct sim_disk_transfer *t)
{
    if (t->size > 0 && checksum(t->buf, t->size, 0) != t->buf_checksum) {
        sim_disk_misuse(d, "a buffer changed while its write was in flight");
    }
}

/* What a transfer does to the disk when nothing goes wrong. */
static int transfer_take_effect(const struct sim_disk_transfer *t)
{
    switch (t->kind) {
    case SIM_TRANSFER_DURABLE:
        return sim_inode_write_durable(t->inode, t->buf, t->size, t->offset);
    case SIM_TRANSFER_WRITE:
        return sim_inode_write(t->inode, t->buf, t->size, t->offset);
    case SIM_TRANSFER_SYNC:
        sim_inode_sync_through(t->inode, t->through);
        return 0;
    }
    return 0;
}

void sim_disk_transfer_finish(struct sim_disk *d, struct sim_disk_transfer *t)
{
    struct file_queue *q = t->queue;
    struct file_completion c = {.tag = t->tag};
    struct sim_disk_transfer **at = &d->transfers;

    while (*at != t) {
        at = &(*at)->next;
    }
    *at = t->next;
    check_buffer(d, t);
    if (d->fail_writes > 0 || q->failed != 0) {
        d->fail_writes -= d->fail_writes > 0;
        d->stats.n_errors_injected++;
        if (t->kind == SIM_TRANSFER_SYNC) {
            sim_inode_doom(t->inode);
        } else {
            (void)sim_inode_write(t->inode, t->buf, t->size, t->offset);
        }
        c.status = ERR_IO;
        c.os_error = 5; /* EIO */
    } else {
        c.status = transfer_take_effect(t);
        c.os_error = c.status == ERR_NOSPACE ? 28 : 0; /* ENOSPC */
    }
    if (c.status != 0) {
        q->failed = c.status;
    }
    q->done[q->n_done++] = c;
    sim_disk_after(d, SIM_DISK_COMPLETE, t->path);
    transfer_free(t);
}

void sim_disk_freeze(struct sim_disk *d)
{
    if (d->frozen) {
        return;
    }
    d->frozen = true;
    /* What was in flight may reach the disk or not, as any unsynced write. */
    while (d->transfers != NULL) {
        struct sim_disk_transfer *t = d->transfers;
        d->transfers = t->next;
        check_buffer(d, t);
        if (t->kind != SIM_TRANSFER_SYNC) {
            sim_inode_write_in_flight(t->inode, t->buf, t->size, t->offset);
        }
        if (t->queue != NULL) {
            /* Who waits for it must come to an end. */
            t->queue->failed = ERR_IO;
            t->queue->done[t->queue->n_done++] = (struct file_completion){
                .tag = t->tag, .status = ERR_IO, .os_error = 5};
        }
        transfer_free(t);
    }
}

/* ---- crash ---- */

/* Keep or lose each change of names. One that stands on a lost one is lost. */
static void draw_names(struct sim_disk *d)
{
    unsigned keep_permille = (unsigned)sim_random_below(&d->random, 4) * 333;
    bool *lost = calloc(d->n_changes + 1, sizeof *lost);

    assert(lost != NULL);
    keep_permille = d->lose_all ? 0 : keep_permille;
    for (size_t i = 0; i < d->n_changes; i++) {
        const struct sim_disk_change *c = &d->changes[i];
        lost[i] = !sim_random_chance(&d->random, keep_permille);
        for (size_t k = 0; k < i && !lost[i]; k++) {
            lost[i] =
                lost[k] &&
                (change_names(&d->changes[k], c->path) ||
                 (c->from != NULL && change_names(&d->changes[k], c->from)) ||
                 d->changes[k].inode == c->inode);
        }
        if (lost[i]) {
            d->stats.n_names_lost++;
        } else {
            names_apply(&d->durable, &d->n_durable, c);
        }
    }
    free(lost);
}

/* A name whose directory did not survive is gone with it. */
static void drop_orphans(struct sim_disk *d)
{
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < d->n_durable; i++) {
            char *dir = copy(d->durable[i].path);
            bool orphan;
            dir[sim_disk_dir_size(dir)] = '\0';
            orphan = dir[0] != '\0' &&
                     names_find(d->durable, d->n_durable, dir) == d->n_durable;
            free(dir);
            if (orphan) {
                names_remove(d->durable, &d->n_durable, d->durable[i].path);
                again = true;
                break;
            }
        }
    }
}

static void power_cut(struct sim_disk *d)
{
    draw_names(d);
    drop_orphans(d);
    while (d->n_changes > 0) {
        change_remove(d, d->n_changes - 1);
    }
    names_clear(&d->live, &d->n_live);
    for (size_t i = 0; i < d->n_durable; i++) {
        names_put(&d->live, &d->n_live, d->durable[i].path,
                  d->durable[i].inode);
        sim_inode_power_cut(d->durable[i].inode);
    }
    new_boot_id(d);
}

void sim_disk_crash(struct sim_disk *d, bool cut)
{
    sim_disk_freeze(d);
    if (cut) {
        power_cut(d);
    }
    for (size_t i = 0; i < d->n_live; i++) {
        d->live[i].inode->locked = false;
    }
    d->frozen = false;
}

bool sim_disk_rot(struct sim_disk *d, const char *path, uint64_t offset,
                  unsigned bit)
{
    struct sim_inode *inode = sim_disk_find(d, path);

    if (inode == NULL || offset >= inode->size) {
        return false;
    }
    inode->data[offset] ^= (uint8_t)(1u << (bit & 7));
    return true;
}

size_t sim_disk_n_files(const struct sim_disk *d)
{
    size_t n = 0;

    for (size_t i = 0; i < d->n_live; i++) {
        n += !d->live[i].inode->is_dir;
    }
    return n;
}

const char *sim_disk_file(const struct sim_disk *d, size_t i, uint64_t *size)
{
    for (size_t k = 0; k < d->n_live; k++) {
        const struct sim_disk_name *name = &d->live[k];
        if (!name->inode->is_dir && i-- == 0) {
            *size = name->inode->size;
            return name->path;
        }
    }
    return NULL;
}

int sim_disk_byte(const struct sim_disk *d, const char *path, uint64_t offset)
{
    const struct sim_inode *inode = sim_disk_find(d, path);

    return inode != NULL && offset < inode->size ? inode->data[offset] : -1;
}
