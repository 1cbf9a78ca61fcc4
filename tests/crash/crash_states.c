/* Taking a simulated disk apart and putting its possible remains together. */
#include "tests/crash/crash_states.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/checksum.h"
#include "tests/sim/sim_disk_private.h"

enum { PATH_MAX_HERE = 512, NO_NODE = -1 };

/* A file or directory, whatever its name. */
struct node {
    const struct sim_inode *inode;
    uint8_t *base; /* durable content */
    uint64_t base_size;
    uint64_t base_hash;
    uint8_t *data; /* content of the state worked out last */
    uint64_t size;
    uint64_t capacity;
    bool changed; /* writes exist that are not durable */
};

/* A write or truncation that is not durable. */
struct change {
    size_t node;
    bool is_truncate;
    bool durable;
    bool in_flight;
    uint64_t offset;
    uint64_t size; /* of a write; the file's, of a truncation */
    const uint8_t *data;
};

struct name {
    const char *path;
    size_t node;
};

enum unit_kind { UNIT_NAME, UNIT_SECTOR, UNIT_TRUNCATE, UNIT_SIZE };

struct unit {
    enum unit_kind kind;
    size_t change; /* of a name or of a content */
    uint64_t from; /* of a sector */
    uint64_t end;
};

struct crash_states {
    const struct sim_disk *disk;
    struct node *nodes;
    size_t n_nodes;
    struct change *changes;
    size_t n_changes;
    struct unit *units;
    size_t n_units;
    struct name *names; /* of the state worked out last */
    size_t n_names;
};

static void *grow(void *array, size_t n, size_t size)
{
    void *grown = realloc(array, n * size);
    assert(grown != NULL);
    return grown;
}

/* ---- taking apart ---------------------------------------------------------*/

/* Undo what is not durable, the newest first, in a copy. */
static void find_base(struct node *n)
{
    const struct sim_inode *inode = n->inode;
    uint64_t size = inode->size;
    n->capacity = inode->size;
    for (const struct sim_change_data *c = inode->last; c != NULL;
         c = c->previous) {
        uint64_t most = c->offset + c->size > c->size_before
                            ? c->offset + c->size
                            : c->size_before;
        n->capacity = most > n->capacity ? most : n->capacity;
    }
    n->base = calloc(1, n->capacity + 1);
    n->data = calloc(1, n->capacity + 1);
    assert(n->base != NULL && n->data != NULL);
    if (size > 0) {
        memcpy(n->base, inode->data, size);
    }
    for (const struct sim_change_data *c = inode->last; c != NULL;
         c = c->previous) {
        if (c->old_size > 0) {
            memcpy(n->base + c->offset, c->old_data, c->old_size);
        }
        if (c->size_before < size) {
            memset(n->base + c->size_before, 0, size - c->size_before);
        }
        size = c->size_before;
    }
    n->base_size = size;
    n->base_hash = checksum(n->base, size, 0);
}

static size_t node_of(struct crash_states *s, const struct sim_inode *inode)
{
    for (size_t i = 0; i < s->n_nodes; i++) {
        if (s->nodes[i].inode == inode) {
            return i;
        }
    }
    s->nodes = grow(s->nodes, s->n_nodes + 1, sizeof *s->nodes);
    memset(&s->nodes[s->n_nodes], 0, sizeof *s->nodes);
    s->nodes[s->n_nodes].inode = inode;
    find_base(&s->nodes[s->n_nodes]);
    return s->n_nodes++;
}

static void add_unit(struct crash_states *s, enum unit_kind kind, size_t change,
                     uint64_t from, uint64_t end)
{
    s->units = grow(s->units, s->n_units + 1, sizeof *s->units);
    s->units[s->n_units].kind = kind;
    s->units[s->n_units].change = change;
    s->units[s->n_units].from = from;
    s->units[s->n_units].end = end;
    s->n_units++;
}

static void add_change(struct crash_states *s, struct change c)
{
    size_t at = s->n_changes;
    uint64_t end = c.offset + c.size;
    struct node *n = &s->nodes[c.node];
    s->changes = grow(s->changes, at + 1, sizeof *s->changes);
    s->changes[at] = c;
    s->n_changes++;
    n->changed = true;
    if (end > n->capacity) {
        n->base = grow(n->base, end + 1, 1);
        n->data = grow(n->data, end + 1, 1);
        memset(n->base + n->capacity, 0, end - n->capacity);
        n->capacity = end;
    }
    if (c.durable) {
        return;
    }
    if (c.is_truncate) {
        add_unit(s, UNIT_TRUNCATE, at, 0, 0);
        return;
    }
    if (end > n->base_size) {
        add_unit(s, UNIT_SIZE, at, 0, end);
    }
    for (uint64_t from = c.offset; from < end;) {
        uint64_t next = (from / SIM_SECTOR + 1) * SIM_SECTOR;
        next = next < end ? next : end;
        add_unit(s, UNIT_SECTOR, at, from, next);
        from = next;
    }
}

static void gather_contents(struct crash_states *s)
{
    for (size_t i = 0; i < s->n_nodes; i++) {
        const struct sim_inode *inode = s->nodes[i].inode;
        for (const struct sim_change_data *c = inode->first; c != NULL;
             c = c->next) {
            struct change change = {.node = i,
                                    .is_truncate = c->is_truncate,
                                    .durable = c->durable,
                                    .in_flight = c->in_flight,
                                    .offset = c->is_truncate ? 0 : c->offset,
                                    .size = c->is_truncate ? c->size_after
                                                           : c->size,
                                    .data = c->new_data};
            add_change(s, change);
        }
    }
    for (const struct sim_disk_transfer *t = s->disk->transfers; t != NULL;
         t = t->next) {
        struct change change = {.node = node_of(s, t->inode),
                                .in_flight = true,
                                .offset = t->offset,
                                .size = t->size,
                                .data = t->buf};
        add_change(s, change);
    }
}

struct crash_states *crash_states_new(const struct sim_disk *d)
{
    struct crash_states *s = calloc(1, sizeof *s);
    assert(s != NULL);
    s->disk = d;
    for (size_t i = 0; i < d->n_durable; i++) {
        (void)node_of(s, d->durable[i].inode);
    }
    for (size_t i = 0; i < d->n_changes; i++) {
        (void)node_of(s, d->changes[i].inode);
        add_unit(s, UNIT_NAME, i, 0, 0);
    }
    gather_contents(s);
    s->names = calloc(d->n_durable + d->n_changes + 1, sizeof *s->names);
    assert(s->names != NULL);
    return s;
}

void crash_states_free(struct crash_states *s)
{
    for (size_t i = 0; i < s->n_nodes; i++) {
        free(s->nodes[i].base);
        free(s->nodes[i].data);
    }
    free(s->nodes);
    free(s->changes);
    free(s->units);
    free(s->names);
    free(s);
}

size_t crash_states_n_units(const struct crash_states *s)
{
    return s->n_units;
}

static bool can_spoil(const struct crash_states *s, size_t unit)
{
    const struct unit *u = &s->units[unit];
    return u->kind == UNIT_SECTOR && s->changes[u->change].in_flight;
}

/* ---- putting together: names ----------------------------------------------*/

static void name_remove(struct crash_states *s, const char *path)
{
    for (size_t i = 0; i < s->n_names; i++) {
        if (strcmp(s->names[i].path, path) == 0) {
            s->names[i] = s->names[--s->n_names];
            return;
        }
    }
}

static void name_put(struct crash_states *s, const char *path, size_t node)
{
    name_remove(s, path);
    s->names[s->n_names].path = path;
    s->names[s->n_names].node = node;
    s->n_names++;
}

static bool speaks_of(const struct sim_disk_change *c, const char *path)
{
    return path != NULL && (strcmp(c->path, path) == 0 ||
                            (c->from != NULL && strcmp(c->from, path) == 0));
}

/* Does change i stand on a change before it that was lost? */
static bool stands_on_lost(const struct crash_states *s, size_t i,
                           const bool *lost)
{
    const struct sim_disk_change *c = &s->disk->changes[i];
    for (size_t k = 0; k < i; k++) {
        const struct sim_disk_change *before = &s->disk->changes[k];
        if (lost[k] &&
            (speaks_of(before, c->path) || speaks_of(before, c->from) ||
             before->inode == c->inode)) {
            return true;
        }
    }
    return false;
}

static bool has_parent(const struct crash_states *s, const char *path)
{
    size_t n = sim_disk_dir_size(path);
    if (n == 0) {
        return true; /* the root of the disk */
    }
    for (size_t i = 0; i < s->n_names; i++) {
        if (strlen(s->names[i].path) == n &&
            memcmp(s->names[i].path, path, n) == 0) {
            return true;
        }
    }
    return false;
}

/* A name whose directory is gone is gone with it. */
static void drop_orphans(struct crash_states *s)
{
    for (size_t i = 0; i < s->n_names;) {
        if (has_parent(s, s->names[i].path)) {
            i++;
        } else {
            name_remove(s, s->names[i].path);
            i = 0;
        }
    }
}

static void cut_names(struct crash_states *s, const uint8_t *fates)
{
    const struct sim_disk *d = s->disk;
    bool *lost = calloc(d->n_changes + 1, sizeof *lost);
    assert(lost != NULL);
    s->n_names = 0;
    for (size_t i = 0; i < d->n_durable; i++) {
        name_put(s, d->durable[i].path, node_of(s, d->durable[i].inode));
    }
    for (size_t i = 0; i < d->n_changes; i++) { /* the first units are these */
        const struct sim_disk_change *c = &d->changes[i];
        lost[i] = fates[i] == CRASH_LOST || stands_on_lost(s, i, lost);
        if (lost[i]) {
            continue;
        }
        if (c->kind == SIM_CHANGE_UNLINK) {
            name_remove(s, c->path);
            continue;
        }
        if (c->kind == SIM_CHANGE_RENAME) {
            name_remove(s, c->from);
        }
        name_put(s, c->path, node_of(s, c->inode));
    }
    free(lost);
    drop_orphans(s);
}

/* ---- putting together: contents -------------------------------------------*/

static void set_size(struct node *n, uint64_t size)
{
    assert(size <= n->capacity);
    if (size > n->size) {
        memset(n->data + n->size, 0, size - n->size);
    }
    n->size = size;
}

static void apply(struct crash_states *s, const struct change *c, uint64_t from,
                  uint64_t end)
{
    struct node *n = &s->nodes[c->node];
    if (end > n->size) {
        set_size(n, end);
    }
    memcpy(n->data + from, c->data + (from - c->offset), end - from);
}

static void apply_unit(struct crash_states *s, const struct unit *u,
                       uint8_t fate)
{
    const struct change *c = &s->changes[u->change];
    struct node *n = &s->nodes[c->node];
    if (fate == CRASH_LOST) {
        return;
    }
    switch (u->kind) {
    case UNIT_NAME:
        break;
    case UNIT_TRUNCATE:
        set_size(n, c->size);
        break;
    case UNIT_SIZE:
        if (u->end > n->size) {
            set_size(n, u->end);
        }
        break;
    case UNIT_SECTOR:
        apply(s, c, u->from, u->end);
        if (fate == CRASH_SPOILED) {
            for (uint64_t i = u->from; i < u->end; i++) {
                n->data[i] = (uint8_t)(0xa5 ^ (i * 37));
            }
        }
        break;
    }
}

void crash_states_cut(struct crash_states *s, const uint8_t *fates)
{
    size_t unit = s->disk->n_changes;
    cut_names(s, fates);
    for (size_t i = 0; i < s->n_nodes; i++) {
        struct node *n = &s->nodes[i];
        if (n->changed) {
            memcpy(n->data, n->base, n->base_size);
            n->size = n->base_size;
        }
    }
    for (size_t i = 0; i < s->n_changes; i++) {
        const struct change *c = &s->changes[i];
        if (c->durable && c->is_truncate) {
            set_size(&s->nodes[c->node], c->size);
        } else if (c->durable) {
            apply(s, c, c->offset, c->offset + c->size);
        }
        while (unit < s->n_units && s->units[unit].change == i) {
            apply_unit(s, &s->units[unit], fates[unit]);
            unit++;
        }
    }
}

/* Order must not matter: names are summed. */
uint64_t crash_states_hash(const struct crash_states *s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < s->n_names; i++) {
        const struct node *n = &s->nodes[s->names[i].node];
        uint64_t content =
            n->changed ? checksum(n->data, n->size, 0) : n->base_hash;
        uint64_t fields[2] = {content, n->changed ? n->size : n->base_size};
        const char *path = s->names[i].path;
        sum += checksum(path, strlen(path), checksum(fields, sizeof fields, 0));
    }
    return sum;
}

/* ---- onto a disk ----------------------------------------------------------*/

/* The path on disk d of a name of another disk. */
static const char *path_on(const struct sim_disk *d, const char *path,
                           char out[PATH_MAX_HERE])
{
    const char *rest = strchr(path + 1, '/');
    int n =
        snprintf(out, PATH_MAX_HERE, "/n%u%s", d->id, rest == NULL ? "" : rest);
    assert(n > 0 && n < PATH_MAX_HERE);
    return out;
}

static void sync_all_names(struct sim_disk *d)
{
    char path[PATH_MAX_HERE];
    while (d->n_changes > 0) {
        size_t n = sim_disk_dir_size(d->changes[0].path);
        assert(n < sizeof path);
        memcpy(path, d->changes[0].path, n);
        path[n] = '\0';
        sim_disk_sync_names(d, path);
    }
}

static struct sim_inode *install_name(struct sim_disk *d, const char *path,
                                      const struct node *n, const uint8_t *data,
                                      uint64_t size)
{
    char to[PATH_MAX_HERE];
    struct sim_inode *inode;
    int rv = 0;
    if (strchr(path + 1, '/') == NULL) {
        return sim_disk_find(d, path_on(d, path, to)); /* the root is there */
    }
    inode = sim_disk_create(d, path_on(d, path, to), n->inode->is_dir);
    if (size > 0) {
        rv = sim_inode_write_durable(inode, data, size, 0);
    }
    assert(rv == 0);
    return inode;
}

void crash_states_install(const struct crash_states *s, struct sim_disk *d)
{
    for (size_t i = 0; i < s->n_names; i++) {
        const struct node *n = &s->nodes[s->names[i].node];
        (void)install_name(d, s->names[i].path, n,
                           n->changed ? n->data : n->base,
                           n->changed ? n->size : n->base_size);
    }
    sync_all_names(d);
}

/* The same change of names again, on d. */
static void repeat_name(const struct crash_states *s, struct sim_disk *d,
                        const struct sim_disk_change *c,
                        struct sim_inode **inodes)
{
    char path[PATH_MAX_HERE];
    char from[PATH_MAX_HERE];
    size_t node = 0;
    while (s->nodes[node].inode != c->inode) {
        node++;
    }
    (void)path_on(d, c->path, path);
    switch (c->kind) {
    case SIM_CHANGE_CREATE:
        /* Its content may be durable although its name is not. */
        inodes[node] =
            install_name(d, c->path, &s->nodes[node], s->nodes[node].base,
                         s->nodes[node].base_size);
        break;
    case SIM_CHANGE_UNLINK:
        sim_disk_unlink(d, path);
        break;
    case SIM_CHANGE_RENAME:
        sim_disk_rename(d, path_on(d, c->from, from), path);
        break;
    }
}

void crash_states_install_killed(const struct crash_states *s,
                                 struct sim_disk *d)
{
    struct sim_inode **inodes = calloc(s->n_nodes, sizeof *inodes);
    assert(inodes != NULL);
    for (size_t i = 0; i < s->disk->n_durable; i++) {
        const struct sim_disk_name *name = &s->disk->durable[i];
        size_t node = 0;
        while (s->nodes[node].inode != name->inode) {
            node++;
        }
        inodes[node] =
            install_name(d, name->path, &s->nodes[node], s->nodes[node].base,
                         s->nodes[node].base_size);
    }
    sync_all_names(d);
    for (size_t i = 0; i < s->disk->n_changes; i++) {
        repeat_name(s, d, &s->disk->changes[i], inodes);
    }
    for (size_t i = 0; i < s->n_changes; i++) {
        const struct change *c = &s->changes[i];
        struct sim_inode *inode = inodes[c->node];
        int rv = 0;
        if (inode == NULL) {
            continue; /* a file that no name leads to any more */
        }
        if (c->is_truncate) {
            rv = sim_inode_truncate(inode, c->size);
        } else if (c->durable) {
            rv = sim_inode_write_durable(inode, c->data, c->size, c->offset);
        } else {
            rv = sim_inode_write(inode, c->data, c->size, c->offset);
        }
        assert(rv == 0);
    }
    free(inodes);
}

/* ---- choices --------------------------------------------------------------*/

enum family {
    FAMILY_WHOLE,  /* all of them, counted in binary */
    FAMILY_NONE,   /* nothing is kept */
    FAMILY_PREFIX, /* units 0..at are kept */
    FAMILY_SUFFIX, /* units at.. are kept */
    FAMILY_BUT_ONE,
    FAMILY_ONLY_ONE,
    FAMILY_SPOILED,        /* one spoiled, all others kept */
    FAMILY_SPOILED_PREFIX, /* one spoiled, those before it kept */
    FAMILY_RANDOM,
    FAMILY_END
};

void crash_choice_init(struct crash_choice *c, const struct crash_states *s,
                       unsigned n_whole, unsigned n_random, uint64_t seed)
{
    memset(c, 0, sizeof *c);
    c->states = s;
    c->n_whole = n_whole;
    c->n_random = n_random;
    c->n_units = s->n_units;
    c->family = s->n_units <= n_whole ? FAMILY_WHOLE : FAMILY_NONE;
    c->fates = calloc(1, s->n_units + 1);
    assert(c->fates != NULL && n_whole < 32);
    sim_random_init(&c->random, seed);
}

/* How many choices a family has. */
static uint64_t family_size(const struct crash_choice *c)
{
    switch (c->family) {
    case FAMILY_WHOLE:
        return (uint64_t)1 << c->n_units;
    case FAMILY_NONE:
        return 1;
    case FAMILY_RANDOM:
        return c->n_units <= c->n_whole ? 0 : c->n_random;
    case FAMILY_SPOILED:
    case FAMILY_SPOILED_PREFIX:
        return c->n_units;
    default:
        return c->n_units <= c->n_whole ? 0 : c->n_units;
    }
}

static uint8_t fate_of(struct crash_choice *c, size_t unit)
{
    switch (c->family) {
    case FAMILY_WHOLE:
        return c->at >> unit & 1;
    case FAMILY_PREFIX:
        return unit <= c->at;
    case FAMILY_SUFFIX:
        return unit >= c->at;
    case FAMILY_BUT_ONE:
        return unit != c->at;
    case FAMILY_ONLY_ONE:
        return unit == c->at;
    case FAMILY_SPOILED:
        return unit == c->at ? CRASH_SPOILED : CRASH_KEPT;
    case FAMILY_SPOILED_PREFIX:
        return unit == c->at ? CRASH_SPOILED : unit < c->at;
    case FAMILY_RANDOM:
        return sim_random_chance(&c->random, 500);
    default:
        return CRASH_LOST;
    }
}

bool crash_choice_next(struct crash_choice *c)
{
    while (c->family != FAMILY_END) {
        bool spoils =
            c->family == FAMILY_SPOILED || c->family == FAMILY_SPOILED_PREFIX;
        if (c->at >= family_size(c)) {
            c->family++;
            c->at = 0;
            continue;
        }
        if (spoils && !can_spoil(c->states, (size_t)c->at)) {
            c->at++;
            continue;
        }
        for (size_t i = 0; i < c->n_units; i++) {
            c->fates[i] = fate_of(c, i);
        }
        c->at++;
        return true;
    }
    return false;
}

void crash_choice_close(struct crash_choice *c)
{
    free(c->fates);
}
