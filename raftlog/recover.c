/* Recovery of a log from its directory; see recover.h for the table.
 *
 *   list segments -> headers -> chain of segments -> replay frames -> judge
 *   tails -> check against hard state -> (nothing refused) -> repair -> ready
 *
 * Files are read through the page cache here, in large pieces; the running log
 * uses direct I/O. Leaves to others: the frames' bytes (record.c), the steps of
 * a segment's life (segment.c), reading entries again (reader.c). */
#include "raftlog/recover.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/recover_private.h"

enum { WINDOW_BYTES = 1024 * 1024 };

static const struct {
    const char *name;
    int code;
} cases[RECOVER_N_CASES] = {
#define RECOVER_ROW(name, code, text) {#name, code},
    RECOVER_CASES(RECOVER_ROW)
#undef RECOVER_ROW
};

const char *recover_case_name(enum recover_case c)
{
    return cases[c].name;
}

int recover_case_code(enum recover_case c)
{
    return cases[c].code;
}

enum recover_case recover_judge_tail(const struct recover_tail *t)
{
    if (t->header_sound && t->body_sound) {
        assert(!t->continues);
        return RECOVER_MISPLACED;
    }
    if (!t->last_segment) {
        return t->next_continues && !t->header_sound ? RECOVER_SEALED
                                                     : RECOVER_ROT;
    }
    if (t->evidence) {
        return RECOVER_ROT;
    }
    if (t->header_sound) {
        return RECOVER_TORN;
    }
    return t->later ? RECOVER_LOST : RECOVER_END;
}

void recover_note(struct recovery *r, enum recover_case c)
{
    r->log->recovery_cases |= 1u << c;
}

/* Refuse with a message that names the case. */
static int refuse(struct recovery *r, enum recover_case c, const char *name,
                  const char *what)
{
    recover_note(r, c);
    return err_set(r->info, recover_case_code(c),
                   "%s/%s: %s [%s]; nothing was changed. Restore the file, or "
                   "wipe this node's data directory and let it join again",
                   r->log->log_dir, name, what, recover_case_name(c));
}

int recover_fail_io(struct recovery *r, int code, const char *name)
{
    return err_set(r->info, code, "cannot read or write %s/%s: %s",
                   r->log->log_dir, name, err_text(code));
}

/* ---- listing --------------------------------------------------------------*/

int recover_add_found(struct recovery *r, const char *name)
{
    struct found *f;
    uint64_t index;
    uint64_t id;
    if (!segment_name_parse(name, &index, &id)) {
        return 0;
    }
    if (r->n_found == r->found_capacity) {
        size_t capacity = r->found_capacity == 0 ? 16 : 2 * r->found_capacity;
        struct found *grown = realloc(r->found, capacity * sizeof *grown);
        if (grown == NULL) {
            return ERR_NOMEM;
        }
        r->found = grown;
        r->found_capacity = capacity;
    }
    f = &r->found[r->n_found++];
    memset(f, 0, sizeof *f);
    (void)snprintf(f->name, sizeof f->name, "%s", name);
    f->id = id;
    f->first_index = index;
    return 0;
}

static int on_name(void *ctx, const char *name)
{
    return recover_add_found(ctx, name);
}

static int by_id(const void *a, const void *b)
{
    const struct found *x = a;
    const struct found *y = b;
    if (x->id != y->id) {
        return x->id < y->id ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

static int list_segments(struct recovery *r)
{
    int rv = file_list(r->log->log_dir, on_name, r);
    if (rv == ERR_NOTFOUND) {
        return 0;
    }
    if (rv != 0) {
        return recover_fail_io(r, rv, "");
    }
    if (r->n_found > 1) {
        qsort(r->found, r->n_found, sizeof *r->found, by_id);
    }
    return 0;
}

/* ---- reading --------------------------------------------------------------*/

int recover_open_segment(struct recovery *r, const char *name, unsigned flags)
{
    char path[SEGMENT_PATH_MAX];
    int rv;
    (void)segment_path(path, r->log->log_dir, name);
    rv = file_open(path, flags, &r->file);
    r->window.size = 0;
    return rv == 0 ? 0 : recover_fail_io(r, rv, name);
}

void recover_close_segment(struct recovery *r)
{
    if (r->file != NULL) {
        file_drop_cache(r->file);
        file_close(r->file);
        r->file = NULL;
    }
}

/* *out: size bytes at offset, borrowed until the next call. The caller has
 * checked that the file is that long. */
int recover_window(struct recovery *r, const char *name, uint64_t offset,
                   size_t size, const uint8_t **out)
{
    struct window *w = &r->window;
    size_t want = size > WINDOW_BYTES ? size : WINDOW_BYTES;
    int rv;
    if (offset >= w->offset && offset + size <= w->offset + w->size) {
        *out = w->data + (offset - w->offset);
        return 0;
    }
    if (want > w->capacity) {
        free(w->data);
        w->data = malloc(want);
        w->capacity = w->data == NULL ? 0 : want;
        w->size = 0;
        if (w->data == NULL) {
            return err_set(r->info, ERR_NOMEM, "out of memory");
        }
    }
    w->size = 0;
    w->offset = offset;
    rv = file_read_at(r->file, w->data, want, offset, &w->size);
    if (rv != 0) {
        w->size = 0;
        return recover_fail_io(r, rv, name);
    }
    if (w->size < size) {
        return refuse(r, RECOVER_BAD_HEADER, name,
                      "the file is shorter than its header says");
    }
    *out = w->data;
    return 0;
}

/* ---- segment headers ------------------------------------------------------*/

static int check_header(struct recovery *r, struct found *f)
{
    const struct raftlog_options *o = &r->log->options;
    const struct segment_header *h = &f->header;
    if (memcmp(h->cluster_id, o->cluster_id, sizeof h->cluster_id) != 0) {
        return refuse(r, RECOVER_OTHER_CLUSTER, f->name,
                      "the segment belongs to another cluster");
    }
    if (h->node_id != o->node_id) {
        return refuse(r, RECOVER_OTHER_CLUSTER, f->name,
                      "the segment belongs to another node");
    }
    if (h->segment_id != f->id || h->first_index != f->first_index) {
        return refuse(r, RECOVER_EXTRA, f->name,
                      "the name contradicts the header: was it renamed or "
                      "copied?");
    }
    if (f->file_bytes < h->file_bytes ||
        h->file_bytes < 2 * (uint64_t)h->block_bytes) {
        return refuse(r, RECOVER_BAD_HEADER, f->name,
                      "the file is shorter than its header says");
    }
    return 0;
}

static int read_header(struct recovery *r, struct found *f)
{
    uint8_t block[SEGMENT_HEADER_SIZE];
    size_t n_read = 0;
    int rv = recover_open_segment(r, f->name, FILE_READ);
    if (rv != 0) {
        return rv;
    }
    rv = file_size(r->file, &f->file_bytes);
    if (rv == 0) {
        rv = file_read_at(r->file, block, sizeof block, 0, &n_read);
    }
    file_close(r->file);
    r->file = NULL;
    if (rv != 0) {
        return recover_fail_io(r, rv, f->name);
    }
    rv = segment_header_decode(block, n_read, &f->header);
    if (rv == ERR_VERSION) {
        return refuse(r, RECOVER_NEWER_VERSION, f->name,
                      "the format version at offset 8 is newer than this "
                      "program: start the newer program");
    }
    if (rv != 0) {
        return refuse(r, RECOVER_BAD_HEADER, f->name,
                      "damaged segment header at offset 0");
    }
    return check_header(r, f);
}

/* Headers of all segments, and the longest unbroken chain at the end. What
 * stands before it must be leftovers of a release: judged after the replay,
 * when the oldest segment that is needed is known. */
static int read_headers(struct recovery *r)
{
    for (size_t i = 0; i < r->n_found; i++) {
        int rv = read_header(r, &r->found[i]);
        if (rv != 0) {
            return rv;
        }
        if (i > 0 && r->found[i].id == r->found[i - 1].id) {
            return refuse(r, RECOVER_EXTRA, r->found[i].name,
                          "two segments have the same id");
        }
    }
    r->first = r->n_found - 1;
    while (r->first > 0 &&
           r->found[r->first].header.previous_id == r->found[r->first - 1].id) {
        r->first--;
    }
    return 0;
}

/* ---- replay ---------------------------------------------------------------*/

struct segment *recover_segment_new(struct recovery *r, struct found *f)
{
    struct raftlog *log = r->log;
    struct segment *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    s->refs = 1;
    s->id = f->id;
    s->first_index = f->first_index;
    s->bytes = f->header.file_bytes;
    s->end = f->header.block_bytes;
    memcpy(s->name, f->name, sizeof s->name);
    if (log->active == NULL) {
        log->segments = s;
    } else {
        log->active->next = s;
    }
    log->active = s;
    log->n_segments++;
    log->stats.bytes_on_disk += s->bytes;
    f->segment = s;
    return s;
}

/* Does a sound frame follow from what was read so far? */
static bool frame_continues(const struct recovery *r,
                            const struct frame_header *h)
{
    const struct log_index *x = &r->log->index;
    uint64_t before = h->first_index - 1;
    if (h->sequence != r->sequence || h->previous_checksum != r->chain) {
        return false;
    }
    if ((h->flags & FRAME_RESET) || r->n_frames == 0) {
        return true; /* the oldest frame that is left says where it begins */
    }
    if (h->first_index > x->last + 1 ||
        (h->first_index <= x->last && (h->flags & FRAME_TRUNCATE) == 0)) {
        return false;
    }
    return before < x->base || log_index_term(x, before) == h->previous_term;
}

/* What act_complete of commit_queue.c does for a running log. */
static void apply_act(struct recovery *r, const struct frame_header *h)
{
    struct log_index *x = &r->log->index;
    uint64_t keep = h->flags & FRAME_RESET ? 0 : h->first_index - 1;
    if ((h->flags & FRAME_RESET) || h->first_index <= x->base) {
        log_index_reset(x, h->first_index - 1, h->previous_term);
    } else if (h->first_index <= x->last) {
        log_index_truncate(x, h->first_index);
    }
    for (struct segment *s = r->log->segments; s != NULL; s = s->next) {
        if (s->max_index > keep) {
            s->max_index = keep;
        }
    }
}

/* Take a good frame into the index. False: its records contradict it. */
static int apply_frame(struct recovery *r, const struct frame_header *h,
                       const uint8_t *at)
{
    struct raftlog *log = r->log;
    struct segment *s = log->active;
    struct byte_reader reader =
        byte_reader(at + FRAME_HEADER_SIZE, h->body_bytes);
    struct frame_ref ref = {h->first_index, h->first_index + h->n_entries - 1,
                            s, s->end, h->frame_bytes};
    if (r->n_frames == 0) {
        /* Not what the segment's header says: that was a plan, and a crash
         * between rotation and first frame can have changed it. */
        log_index_reset(&log->index, h->first_index - 1, h->previous_term);
    }
    if (h->flags & (FRAME_RESET | FRAME_TRUNCATE)) {
        apply_act(r, h);
    }
    for (uint32_t i = 0; i < h->n_entries; i++) {
        struct raftlog_entry e;
        if (record_decode(&reader, &e) != 0) {
            return refuse(r, RECOVER_MISPLACED, s->name,
                          "a sound frame with broken records");
        }
        if (log_index_reserve(&log->index, 1, 1) != 0) {
            return err_set(r->info, ERR_NOMEM, "out of memory");
        }
        log_index_push(&log->index, e.term);
    }
    if (h->n_entries > 0) {
        log_index_push_frame(&log->index, &ref);
        s->max_index = ref.last > s->max_index ? ref.last : s->max_index;
    }
    if (h->n_entries > 0 || h->flags & (FRAME_RESET | FRAME_TRUNCATE)) {
        r->act_sequence = h->sequence;
    }
    r->sequence = h->sequence + 1;
    r->chain = h->checksum;
    r->recorded = h->durable_sequence;
    r->last_flags = h->flags;
    r->n_frames++;
    if (h->durable_sequence > r->watermark) {
        r->watermark = h->durable_sequence;
    }
    if (h->oldest_segment_id > r->oldest) {
        r->oldest = h->oldest_segment_id;
    }
    if (h->hard_sequence > r->hard_sequence) {
        r->hard_sequence = h->hard_sequence;
    }
    s->end += h->frame_bytes;
    return 0;
}

/* Look for later frames of this segment behind `offset`. One that records a
 * watermark at the frame that should stand here proves that it was durable;
 * under `always` every later frame does. Without such a proof *end is where the
 * last of them ends: all of them go. */
static int find_later(struct recovery *r, const struct found *f,
                      uint64_t offset, struct recover_tail *t, uint64_t *end)
{
    uint32_t block = f->header.block_bytes;
    for (; offset + block <= f->header.file_bytes; offset += block) {
        struct frame_header h;
        const uint8_t *at;
        int rv = recover_window(r, f->name, offset, block, &at);
        if (rv != 0) {
            return rv;
        }
        if (frame_header_decode(at, block, r->log->options.cluster_id, &h) ==
                0 &&
            h.segment_id == f->id && h.sequence > r->sequence) {
            t->later = true;
            *end = offset + h.frame_bytes;
            if (h.durable_sequence >= r->sequence) {
                t->evidence = true;
                return 0;
            }
        }
    }
    return 0;
}

static int refuse_at(struct recovery *r, enum recover_case c,
                     const struct found *f)
{
    char what[256];
    (void)snprintf(what, sizeof what,
                   "damage at offset %" PRIu64 ": frame %" PRIu64
                   ", which begins with entry %" PRIu64
                   " or replaces it, was durable and %s",
                   f->segment->end, r->sequence, r->log->index.last + 1,
                   c == RECOVER_MISPLACED ? "another one stands there"
                                          : "is broken or missing");
    return refuse(r, c, f->name, what);
}

/* No good frame stands at the end of this segment: which row is it? */
static int judge_tail(struct recovery *r, size_t i, struct recover_tail *t,
                      const struct frame_header *h)
{
    const struct found *f = &r->found[i];
    const struct found *next = &r->found[i + 1];
    uint64_t end = f->segment->end + h->frame_bytes;
    enum recover_case c;
    t->last_segment = i + 1 == r->n_found;
    if (t->last_segment) {
        int rv =
            find_later(r, f, f->segment->end + f->header.block_bytes, t, &end);
        if (rv != 0) {
            return rv;
        }
        t->evidence = t->evidence || r->watermark >= r->sequence;
    } else {
        t->next_continues = next->header.first_sequence == r->sequence &&
                            next->header.previous_checksum == r->chain;
    }
    c = recover_judge_tail(t);
    recover_note(r, c);
    if (recover_case_code(c) != 0) {
        return refuse_at(r, c, f);
    }
    if (c == RECOVER_TORN || c == RECOVER_LOST) {
        r->torn = true;
        r->torn_offset = f->segment->end;
        r->torn_bytes = (end < f->segment->bytes ? end : f->segment->bytes) -
                        f->segment->end;
        r->torn_sequence = r->sequence;
    }
    return 0;
}

static int replay_segment(struct recovery *r, size_t i)
{
    struct found *f = &r->found[i];
    struct segment *s = recover_segment_new(r, f);
    uint32_t block = f->header.block_bytes;
    int rv = s == NULL ? err_set(r->info, ERR_NOMEM, "out of memory")
                       : recover_open_segment(r, f->name, FILE_READ);
    while (rv == 0) {
        struct recover_tail t = {0};
        struct frame_header h;
        const uint8_t *at;
        memset(&h, 0, sizeof h);
        if (s->end + block <= s->bytes) {
            rv = recover_window(r, f->name, s->end, block, &at);
            t.header_sound =
                rv == 0 &&
                frame_header_decode(at, block, r->log->options.cluster_id,
                                    &h) == 0 &&
                h.segment_id == f->id && h.frame_bytes <= s->bytes - s->end &&
                h.frame_bytes % block == 0;
        }
        if (rv == 0 && t.header_sound) {
            rv = recover_window(r, f->name, s->end, h.frame_bytes, &at);
            t.body_sound = rv == 0 && frame_body_valid(&h, at);
            t.continues = t.body_sound && frame_continues(r, &h);
        }
        if (rv == 0 && !t.continues) {
            rv = judge_tail(r, i, &t, &h);
            break;
        }
        rv = rv == 0 ? apply_frame(r, &h, at) : rv;
    }
    if (rv == 0 && i + 1 == r->n_found && s->end == block) {
        recover_note(r, RECOVER_EMPTY_LAST);
    }
    recover_close_segment(r);
    return rv;
}

/* Segments that should be there but are not, and those that should not. */
static int check_presence(struct recovery *r)
{
    const struct found *f = &r->found[r->first];
    if (f->header.previous_id != 0 && f->id > r->oldest) {
        char what[160];
        (void)snprintf(what, sizeof what,
                       "the segment before it (id %" PRIu64
                       ") is missing and was not released",
                       f->header.previous_id);
        return refuse(r, RECOVER_MISSING, f->name, what);
    }
    for (size_t i = 0; i < r->first; i++) {
        if (r->found[i].id >= r->oldest) {
            return refuse(r, RECOVER_MISSING, r->found[i].name,
                          "the segment after it is missing");
        }
    }
    return 0;
}

static int replay(struct recovery *r)
{
    struct raftlog *log = r->log;
    const struct segment_header *h = &r->found[r->first].header;
    int rv = 0;
    log_index_reset(&log->index, h->first_index - 1, h->previous_term);
    r->sequence = h->first_sequence;
    r->chain = h->previous_checksum;
    for (size_t i = r->first; rv == 0 && i < r->n_found; i++) {
        rv = replay_segment(r, i);
    }
    if (rv == 0) {
        rv = check_presence(r);
    }
    if (rv == 0 && r->hard_sequence > r->hard.state.sequence) {
        return refuse(r, RECOVER_HARD_BEHIND, "../hardstate.0",
                      "both hard state slots are older than a frame of the "
                      "log: a vote or term is lost");
    }
    return rv;
}
/* ---- hard state -----------------------------------------------------------*/

static int load_hard(struct recovery *r)
{
    struct raftlog *log = r->log;
    int rv = hardstate_load(log->data_dir, &log->options, &r->hard, r->info);
    if (rv == ERR_CORRUPT) {
        recover_note(r, RECOVER_HARD_NONE);
    } else if (rv == ERR_CLUSTER) {
        recover_note(r, RECOVER_OTHER_CLUSTER);
    } else if (rv == ERR_VERSION) {
        recover_note(r, RECOVER_NEWER_VERSION);
    }
    if (rv == 0 && !r->hard.missing) {
        recover_note(r, r->hard.both ? RECOVER_HARD_BOTH : RECOVER_HARD_ONE);
    }
    return rv;
}
static int judge_directory(struct recovery *r)
{
    if (r->n_found == 0 && !r->hard.missing &&
        (r->hard.state.sequence > 0 || r->hard.log_sequence > 0)) {
        return refuse(r, RECOVER_SEGMENTS_GONE, "*.seg",
                      "there are no segments, but the hard state says that "
                      "the log was in use");
    }
    if (r->n_found > 0 && r->hard.missing) {
        return refuse(r, RECOVER_HARD_GONE, "../hardstate.0",
                      "both hard state slots are missing beside a log");
    }
    return 0;
}

int recover_run(struct raftlog *log, struct raftlog_report *report,
                struct err_info *info)
{
    struct recovery r;
    int rv;
    memset(&r, 0, sizeof r);
    memset(report, 0, sizeof *report);
    r.log = log;
    r.report = report;
    r.info = info;
    rv = load_hard(&r);
    rv = rv == 0 ? list_segments(&r) : rv;
    rv = rv == 0 ? judge_directory(&r) : rv;
    if (rv == 0 && r.n_found == 0) {
        rv = repair_create(&r);
    } else if (rv == 0) {
        r.watermark = r.hard.log_sequence;
        rv = read_headers(&r);
        rv = rv == 0 ? replay(&r) : rv;
        rv = rv == 0 ? repair_run(&r) : rv;
    }
    recover_close_segment(&r);
    free(r.window.data);
    free(r.found);
    return rv;
}
