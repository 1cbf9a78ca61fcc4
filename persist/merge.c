/* Merging sorted files; see merge.h.
 *
 * At each step the smallest key of all files is taken from the newest file that
 * has it, and the others that have it move on. A chain has 64 files at most and
 * mostly a few, so the smallest is found by looking at each. */
#include "persist/merge.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

struct source {
    struct snapshot_reader *reader;
    struct snapshot_record record;
    bool has_record;
};

static int advance(struct source *s, struct err_info *info)
{
    int rv = snapshot_reader_next(s->reader, &s->record, info);

    s->has_record = rv == 1;
    return rv < 0 ? rv : 0;
}

static int open_source(struct source *s, const char *dir, const char *name,
                       struct err_info *info)
{
    char path[PATH_MAX];
    int rv;

    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) {
        return err_set(info, ERR_INVALID,
                       "the path of the directory is too "
                       "long");
    }
    rv = snapshot_reader_open(path, &s->reader, info);
    return rv == 0 ? advance(s, info) : rv;
}

/* The newest source with the smallest key; n when all have ended. */
static unsigned smallest(const struct source *sources, unsigned n)
{
    unsigned best = n;

    for (unsigned i = 0; i < n; i++) {
        if (sources[i].has_record &&
            (best == n || bytes_compare(sources[i].record.key,
                                        sources[best].record.key) <= 0)) {
            best = i;
        }
    }
    return best;
}

/* The sources that have this key move on, the one that lends it last. */
static int pass(struct source *sources, unsigned n, unsigned best,
                struct err_info *info)
{
    struct bytes key = sources[best].record.key;
    int rv = 0;

    for (unsigned i = 0; rv == 0 && i < n; i++) {
        if (i != best && sources[i].has_record &&
            bytes_compare(sources[i].record.key, key) == 0) {
            rv = advance(&sources[i], info);
        }
    }
    return rv == 0 ? advance(&sources[best], info) : rv;
}

int merge_chain(const char *dir, const struct snapshot_manifest *chain,
                unsigned first, merge_cb cb, void *ctx, struct err_info *info)
{
    unsigned n = chain->n_files - first;
    struct source *sources = calloc(n, sizeof *sources);
    unsigned best;
    int rv = 0;

    if (sources == NULL) {
        return err_set(info, ERR_NOMEM, "out of memory");
    }
    for (unsigned i = 0; rv == 0 && i < n; i++) {
        rv = open_source(&sources[i], dir, chain->files[first + i].name, info);
    }
    while (rv == 0 && (best = smallest(sources, n)) < n) {
        if (first > 0 || sources[best].record.kind == SNAPSHOT_KEY) {
            rv = cb(ctx, &sources[best].record);
        }
        if (rv == 0) {
            rv = pass(sources, n, best, info);
        }
    }
    for (unsigned i = 0; i < n; i++) {
        snapshot_reader_close(sources[i].reader);
    }
    free(sources);
    return rv;
}
