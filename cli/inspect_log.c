/* The verb inspect log: what the segment files of a log hold, entry by entry,
 * and whether all of it is sound. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/inspect_entry.h"
#include "cli/log_walk.h"
#include "cli/table.h"
#include "raftlog/hardstate.h"

enum { HARD_BYTES_MAX = 1 << 20 };

struct show {
    const struct invocation *in;
    struct json_writer w;
    uint64_t n_listed;
};

static bool is_listed(const struct show *show, uint64_t index)
{
    const struct options *o = &show->in->options;
    return o->entries && index >= o->from_index &&
           (o->limit == 0 || show->n_listed < o->limit);
}

static void on_entry(void *ctx, const struct log_segment *s, uint64_t offset,
                     uint64_t index, const struct raftlog_entry *e)
{
    struct show *show = ctx;
    struct json_writer *w = &show->w;
    (void)s;
    if (!is_listed(show, index)) {
        return;
    }
    show->n_listed++;
    if (show->in->options.output == OUTPUT_JSON) {
        json_open(w, '{');
        json_name(w, "index");
        json_uint(w, index);
        json_name(w, "term");
        json_uint(w, e->term);
        json_name(w, "offset");
        json_uint(w, offset);
        inspect_entry_json(w, e);
        json_close(w, '}');
    } else {
        printf("%10" PRIu64 "  %6" PRIu64 "  %10" PRIu64 "  %8" PRIu32 "  ",
               index, e->term, offset, e->size);
        inspect_entry_print(stdout, e);
        putchar('\n');
    }
}

/* Acts of a frame that change what stands before it. */
static void on_frame(void *ctx, const struct log_segment *s, uint64_t offset,
                     const struct frame_header *h)
{
    const struct show *show = ctx;
    (void)s;
    if (show->in->options.output == OUTPUT_JSON ||
        !is_listed(show, h->first_index)) {
        return;
    }
    if ((h->flags & FRAME_RESET) != 0) {
        printf("%30" PRIu64 "  reset: the log begins anew with entry %" PRIu64
               "\n",
               offset, h->first_index);
    } else if ((h->flags & FRAME_TRUNCATE) != 0) {
        printf("%30" PRIu64 "  truncation: what was entry %" PRIu64
               " and after it is void\n",
               offset, h->first_index);
    }
}

static const char *ending_name(const struct log_segment *s)
{
    if (!s->header_sound || recover_case_code(s->ending) != 0) {
        return "damaged";
    }
    switch (s->ending) {
    case RECOVER_SEALED:
        return "sealed";
    case RECOVER_TORN:
        return "torn tail";
    default:
        return "open";
    }
}

static void on_segment(void *ctx, const struct log_segment *s, bool begin)
{
    struct show *show = ctx;
    struct json_writer *w = &show->w;
    if (show->in->options.output != OUTPUT_JSON) {
        if (begin && show->in->options.entries) {
            printf("%s\n%10s  %6s  %10s  %8s  ENTRY\n", s->path, "INDEX",
                   "TERM", "OFFSET", "BYTES");
        }
        return;
    }
    if (begin) {
        json_open(w, '{');
        json_name(w, "file");
        json_text(w, s->path);
        if (show->in->options.entries) {
            json_name(w, "entries");
            json_open(w, '[');
        }
        return;
    }
    if (show->in->options.entries) {
        json_close(w, ']');
    }
    json_name(w, "segment_id");
    json_uint(w, s->id);
    json_name(w, "state");
    json_text(w, ending_name(s));
    json_name(w, "frames");
    json_uint(w, s->n_frames);
    json_name(w, "n_entries");
    json_uint(w, s->n_entries);
    if (s->n_entries > 0) {
        json_name(w, "first_index");
        json_uint(w, s->first_index);
        json_name(w, "last_index");
        json_uint(w, s->last_index);
    }
    json_name(w, "end");
    json_uint(w, s->end);
    json_name(w, "bytes");
    json_uint(w, s->file_bytes);
    json_close(w, '}');
}

static void print_segments(const struct log_walk *walk)
{
    static const char *const columns[] = {"SEGMENT",  ">FIRST",  ">LAST",
                                          ">ENTRIES", ">FRAMES", ">END",
                                          ">BYTES",   "STATE"};
    struct table t;
    table_init(&t);
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        table_column(&t, columns[i]);
    }
    for (size_t i = 0; i < walk->n_segments; i++) {
        const struct log_segment *s = &walk->segments[i];
        table_cell(&t, "%s", s->name);
        if (s->n_entries > 0) {
            table_cell(&t, "%" PRIu64, s->first_index);
            table_cell(&t, "%" PRIu64, s->last_index);
        } else {
            table_cell(&t, "-");
            table_cell(&t, "-");
        }
        table_cell(&t, "%" PRIu64, s->n_entries);
        table_cell(&t, "%" PRIu64, s->n_frames);
        table_cell(&t, "%" PRIu64, s->end);
        table_cell(&t, "%" PRIu64, s->file_bytes);
        table_cell(&t, "%s", ending_name(s));
    }
    table_print(&t, stdout);
    table_close(&t);
}

/* The frame that the hard state of a data directory says was durable; 0 if
 * there is none to read. */
static uint64_t hard_watermark(const char *path)
{
    uint64_t watermark = 0;
    static const char *const names[] = {"hardstate.0", "hardstate.1"};
    for (size_t i = 0; i < 2; i++) {
        char file[INSPECT_PATH_MAX];
        struct hardstate h;
        void *data = NULL;
        size_t size = 0;
        if (inspect_path(file, path, names[i]) &&
            file_read_all(file, HARD_BYTES_MAX, &data, &size) == 0) {
            if (hardstate_decode(data, size, &h) == 0 &&
                h.log_sequence > watermark) {
                watermark = h.log_sequence;
            }
            free(data);
        }
    }
    return watermark;
}

int verb_inspect_log(const struct invocation *in)
{
    const char *path = in->args[0];
    struct inspect_problems problems;
    struct show show = {in, json_writer(stdout), 0};
    struct log_walk walk;
    bool json = in->options.output == OUTPUT_JSON;
    memset(&walk, 0, sizeof(walk));
    inspect_problems_init(&problems);
    walk.problems = &problems;
    walk.on_segment = on_segment;
    walk.on_frame = on_frame;
    walk.on_entry = on_entry;
    walk.ctx = &show;
    walk.watermark = hard_watermark(path);
    int code = EXIT_CODE_OK;
    int rc = log_walk_open(&walk, path);
    if (rc == ERR_NOTFOUND && inspect_is_dir(path)) {
        code = verb_fail(EXIT_CODE_NOT_FOUND,
                         "%s holds no segment files (*.seg); name a data "
                         "directory, its log/, or one file",
                         path);
    } else if (rc != 0) {
        code = inspect_fail_open(path, rc);
    }
    if (code == EXIT_CODE_OK) {
        if (json) {
            json_open(&show.w, '{');
            json_name(&show.w, "segments");
            json_open(&show.w, '[');
        }
        rc = log_walk_run(&walk);
        if (json) {
            json_close(&show.w, ']');
            inspect_problems_print_json(&problems, &show.w);
            json_close(&show.w, '}');
            json_end(&show.w);
        } else {
            print_segments(&walk);
        }
        code = rc != 0 ? verb_fail(EXIT_CODE_REFUSED, "cannot read %s: %s",
                                   path, err_text(rc))
                       : inspect_problems_report(&problems);
    }
    log_walk_close(&walk);
    inspect_problems_close(&problems);
    return verb_finish(code);
}
