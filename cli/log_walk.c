/* A walk through segment files; see log_walk.h. */
#include "cli/log_walk.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- finding --------------------------------------------------------------*/

static int walk_add(struct log_walk *w, const char *dir, const char *name)
{
    uint64_t index;
    uint64_t id;
    if (!segment_name_parse(name, &index, &id)) {
        return 0;
    }
    if (w->n_segments == w->room) {
        size_t room = w->room == 0 ? 16 : w->room * 2;
        struct log_segment *grown =
            realloc(w->segments, room * sizeof(*w->segments));
        if (grown == NULL) {
            return ERR_NOMEM;
        }
        w->segments = grown;
        w->room = room;
    }
    struct log_segment *s = &w->segments[w->n_segments++];
    memset(s, 0, sizeof(*s));
    s->id = id;
    snprintf(s->name, sizeof(s->name), "%s", name);
    return inspect_path(s->path, dir, name) ? 0 : ERR_TOOBIG;
}

struct listing {
    struct log_walk *walk;
    const char *dir;
};

static int on_name(void *ctx, const char *name)
{
    const struct listing *l = ctx;
    return walk_add(l->walk, l->dir, name);
}

static int by_id(const void *a, const void *b)
{
    const struct log_segment *x = a;
    const struct log_segment *y = b;
    if (x->id != y->id) {
        return x->id < y->id ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

/* A single file may have any name: its header says what it is. */
static int walk_add_file(struct log_walk *w, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    w->segments = calloc(1, sizeof(*w->segments));
    if (w->segments == NULL) {
        return ERR_NOMEM;
    }
    struct log_segment *s = &w->segments[w->n_segments++];
    uint64_t index;
    if (!segment_name_parse(name, &index, &s->id)) {
        s->id = 0;
    }
    snprintf(s->name, sizeof(s->name), "%s", name);
    snprintf(s->path, sizeof(s->path), "%s", path);
    return 0;
}

static int walk_list(struct log_walk *w, const char *path)
{
    char log_dir[INSPECT_PATH_MAX];
    if (inspect_path(log_dir, path, "log") && inspect_is_dir(log_dir)) {
        path = log_dir;
    }
    struct listing listing = {w, path};
    int rc = file_list(path, on_name, &listing);
    if (rc == 0 && w->n_segments > 1) {
        qsort(w->segments, w->n_segments, sizeof(*w->segments), by_id);
    }
    return rc == 0 && w->n_segments == 0 ? ERR_NOTFOUND : rc;
}

/* ---- headers --------------------------------------------------------------*/

static void judge_header(struct log_walk *w, struct log_segment *s)
{
    uint64_t index;
    uint64_t id;
    const struct segment_header *h = &s->header;
    if (segment_name_parse(s->name, &index, &id) &&
        (id != h->segment_id || index != h->first_index)) {
        inspect_problem_add(w->problems, s->path, 0,
                            "the name contradicts the header (segment %" PRIu64
                            ", first index %" PRIu64 "): renamed or copied?",
                            h->segment_id, h->first_index);
    }
    s->id = h->segment_id;
    if (s->file_bytes < h->file_bytes) {
        inspect_problem_add(w->problems, s->path, s->file_bytes,
                            "the file ends here; its header says %" PRIu64
                            " bytes",
                            h->file_bytes);
    }
}

static int read_header(struct log_walk *w, struct log_segment *s)
{
    uint8_t data[SEGMENT_HEADER_SIZE];
    size_t n = 0;
    struct file *file = NULL;
    int rc = file_open(s->path, FILE_READ, &file);
    if (rc == 0) {
        rc = file_size(file, &s->file_bytes);
    }
    if (rc == 0) {
        rc = file_read_at(file, data, sizeof(data), 0, &n);
    }
    file_close(file);
    if (rc != 0) {
        return rc;
    }
    int bad = segment_header_decode(data, n, &s->header);
    s->header_sound = bad == 0 && s->header.block_bytes >= RECORD_BLOCK_MIN;
    if (bad == ERR_VERSION) {
        inspect_problem_add(w->problems, s->path, 8,
                            "a format version newer than this program's");
    } else if (!s->header_sound) {
        inspect_problem_add(w->problems, s->path, 0,
                            "damaged segment header; no frame can be told "
                            "without it");
    } else {
        judge_header(w, s);
    }
    return 0;
}

int log_walk_open(struct log_walk *w, const char *path)
{
    int rc = inspect_is_dir(path) ? walk_list(w, path) : walk_add_file(w, path);
    for (size_t i = 0; rc == 0 && i < w->n_segments; i++) {
        rc = read_header(w, &w->segments[i]);
    }
    return rc;
}

void log_walk_close(struct log_walk *w)
{
    free(w->segments);
    free(w->block);
    file_close(w->file);
    w->segments = NULL;
    w->block = NULL;
    w->file = NULL;
}

/* ---- frames ---------------------------------------------------------------*/

/* Read size bytes at offset into w->block. *whole: the file has them. */
static int walk_read(struct log_walk *w, uint64_t offset, size_t size,
                     bool *whole)
{
    size_t n = 0;
    if (size > w->block_room) {
        uint8_t *grown = realloc(w->block, size);
        if (grown == NULL) {
            return ERR_NOMEM;
        }
        w->block = grown;
        w->block_room = size;
    }
    int rc = file_read_at(w->file, w->block, size, offset, &n);
    *whole = rc == 0 && n == size;
    return rc;
}

/* Look at the place: header_sound and body_sound of t, and the header. */
static int look_at(struct log_walk *w, const struct log_segment *s,
                   uint64_t offset, struct recover_tail *t,
                   struct frame_header *h)
{
    uint32_t block = s->header.block_bytes;
    bool whole = false;
    memset(t, 0, sizeof(*t));
    memset(h, 0, sizeof(*h));
    if (offset + block > s->file_bytes) {
        return 0;
    }
    int rc = walk_read(w, offset, block, &whole);
    t->header_sound =
        whole &&
        frame_header_decode(w->block, block, s->header.cluster_id, h) == 0 &&
        h->segment_id == s->id && h->frame_bytes <= s->file_bytes - offset &&
        h->frame_bytes % block == 0;
    if (rc == 0 && t->header_sound) {
        rc = walk_read(w, offset, h->frame_bytes, &whole);
        t->body_sound = whole && frame_body_valid(h, w->block);
    }
    return rc;
}

/* Does a sound frame follow from those before it? */
static bool frame_continues(const struct log_walk *w,
                            const struct frame_header *h)
{
    if (!w->chained) {
        return true;
    }
    if (h->sequence != w->sequence || h->previous_checksum != w->chain) {
        return false;
    }
    return (h->flags & FRAME_RESET) != 0 || w->last_index == 0 ||
           h->first_index <= w->last_index ||
           h->first_index == w->last_index + 1;
}

static void take_entries(struct log_walk *w, struct log_segment *s,
                         uint64_t offset, const struct frame_header *h)
{
    const uint8_t *body = w->block + FRAME_HEADER_SIZE;
    struct byte_reader reader = byte_reader(body, h->body_bytes);
    for (uint32_t i = 0; i < h->n_entries; i++) {
        struct raftlog_entry e;
        uint64_t at = offset + FRAME_HEADER_SIZE + (uint64_t)(reader.at - body);
        uint64_t index = h->first_index + i;
        if (record_decode(&reader, &e) != 0) {
            inspect_problem_add(w->problems, s->path, at,
                                "entry %" PRIu64 " does not decode in a frame "
                                "whose checksum is right",
                                index);
            return;
        }
        if (w->on_entry != NULL) {
            w->on_entry(w->ctx, s, at, index, &e);
        }
        if (s->n_entries++ == 0) {
            s->first_index = index;
        }
        s->last_index = index;
        w->last_index = index;
    }
}

static void take_frame(struct log_walk *w, struct log_segment *s,
                       const struct frame_header *h)
{
    uint64_t offset = s->end;
    if (w->on_frame != NULL) {
        w->on_frame(w->ctx, s, offset, h);
    }
    if ((h->flags & (FRAME_RESET | FRAME_TRUNCATE)) != 0) {
        w->last_index = h->first_index - 1;
    }
    take_entries(w, s, offset, h);
    s->n_frames++;
    s->end = offset + h->frame_bytes;
    w->sequence = h->sequence + 1;
    w->chain = h->checksum;
    w->chained = true;
    w->watermark =
        h->durable_sequence > w->watermark ? h->durable_sequence : w->watermark;
    w->oldest =
        h->oldest_segment_id > w->oldest ? h->oldest_segment_id : w->oldest;
}

/* The offset of the next frame header of this segment behind `offset` that is
 * younger than what is missing; 0 if there is none. */
static int find_later(struct log_walk *w, const struct log_segment *s,
                      uint64_t offset, uint64_t *out)
{
    uint32_t block = s->header.block_bytes;
    *out = 0;
    for (; offset + block <= s->file_bytes; offset += block) {
        struct frame_header h;
        bool whole = false;
        int rc = walk_read(w, offset, block, &whole);
        if (rc != 0) {
            return rc;
        }
        if (whole &&
            frame_header_decode(w->block, block, s->header.cluster_id, &h) ==
                0 &&
            h.segment_id == s->id && h.sequence > w->sequence) {
            *out = offset;
            return 0;
        }
    }
    return 0;
}

static bool next_continues(const struct log_walk *w, size_t i)
{
    const struct log_segment *next = &w->segments[i + 1];
    return next->header_sound && next->header.first_sequence == w->sequence &&
           next->header.previous_checksum == w->chain;
}

static void add_damage(struct log_walk *w, const struct log_segment *s,
                       const struct recover_tail *t)
{
    const char *what = "is missing";
    if (s->ending == RECOVER_MISPLACED) {
        what = "is not there, another sound frame is";
    } else if (t->header_sound) {
        what = "has a broken body";
    }
    inspect_problem_add(w->problems, s->path, s->end,
                        "frame %" PRIu64 ", which begins with entry %" PRIu64
                        " or replaces it, was durable and %s [%s]",
                        w->sequence, w->last_index + 1, what,
                        recover_case_name(s->ending));
}

/* No frame that continues stands at s->end: judge it. True when there is a
 * later frame to go on with, at s->end then. */
static int judge_end(struct log_walk *w, size_t i, struct recover_tail *t,
                     bool *goes_on)
{
    struct log_segment *s = &w->segments[i];
    uint64_t later = 0;
    *goes_on = false;
    int rc = find_later(w, s, s->end + s->header.block_bytes, &later);
    if (rc != 0) {
        return rc;
    }
    t->last_segment = i + 1 == w->n_segments;
    t->evidence = later != 0 || w->watermark >= w->sequence;
    if (!t->last_segment) {
        t->next_continues = next_continues(w, i);
    }
    s->ending = recover_judge_tail(t);
    if (recover_case_code(s->ending) == 0) {
        return 0;
    }
    add_damage(w, s, t);
    w->chained = false;
    if (s->ending == RECOVER_MISPLACED) {
        later = s->end;
    }
    if (later != 0) {
        s->end = later;
        *goes_on = true;
    }
    return 0;
}

static int walk_segment(struct log_walk *w, size_t i)
{
    struct log_segment *s = &w->segments[i];
    bool goes_on = true;
    int rc = file_open(s->path, FILE_READ, &w->file);
    s->end = s->header.block_bytes;
    if (!w->chained || i == 0) {
        w->sequence = s->header.first_sequence;
        w->chain = s->header.previous_checksum;
        w->last_index = s->header.first_index - 1;
        w->chained = true;
    }
    while (rc == 0 && goes_on) {
        struct recover_tail t;
        struct frame_header h;
        rc = look_at(w, s, s->end, &t, &h);
        if (rc != 0) {
            break;
        }
        t.continues = t.body_sound && frame_continues(w, &h);
        if (t.continues) {
            take_frame(w, s, &h);
        } else {
            rc = judge_end(w, i, &t, &goes_on);
        }
    }
    file_close(w->file);
    w->file = NULL;
    return rc;
}

/* A segment that another one names and that is not there. */
static void check_presence(struct log_walk *w)
{
    for (size_t i = 0; i < w->n_segments; i++) {
        const struct log_segment *s = &w->segments[i];
        uint64_t before = s->header.previous_id;
        bool missing =
            i == 0 ? before != 0 && s->id > w->oldest
                   : before != w->segments[i - 1].id && before >= w->oldest;
        if (s->header_sound && missing && w->n_segments > 1) {
            inspect_problem_add(w->problems, s->path, 48,
                                "segment %" PRIu64 ", which came before this "
                                "one, is missing",
                                before);
        }
    }
}

int log_walk_run(struct log_walk *w)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < w->n_segments; i++) {
        struct log_segment *s = &w->segments[i];
        if (w->on_segment != NULL) {
            w->on_segment(w->ctx, s, true);
        }
        if (s->header_sound) {
            rc = walk_segment(w, i);
        } else {
            w->chained = false;
        }
        if (w->on_segment != NULL) {
            w->on_segment(w->ctx, s, false);
        }
    }
    check_presence(w);
    return rc;
}
