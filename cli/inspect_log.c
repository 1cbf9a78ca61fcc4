/* The verb inspect log: what the segment files of a log hold, entry by entry,
 * and whether all of it is sound. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/log_walk.h"
#include "cli/table.h"
#include "node/proposal.h"
#include "raftlog/hardstate.h"

enum {
    SHOW_PREFIX_BYTES = 16,
    SHOW_ARGUMENT_BYTES = 40,
    SHOW_ARGUMENTS_MAX = 8,
    SHOW_COMMANDS_MAX = 4,
    HARD_BYTES_MAX = 1 << 20
};

/* What a node writes; the numbers are raft.h's entry types. Other owners of a
 * log have kinds of their own. */
enum { KIND_COMMAND = 1, KIND_BARRIER = 2, KIND_CHANGE = 3 };

struct show {
    const struct invocation *in;
    struct json_writer w;
    uint64_t n_listed;
};

static const char *kind_name(uint8_t kind)
{
    static const char *const names[] = {NULL, "command", "barrier", "change"};
    return kind >= KIND_COMMAND && kind <= KIND_CHANGE ? names[kind] : NULL;
}

/* SET "key" "value" */
static void print_command(FILE *out, uint32_t argc, const struct bytes *argv)
{
    fwrite(argv[0].data, 1, argv[0].size, out);
    for (uint32_t i = 1; i < argc; i++) {
        if (i > SHOW_ARGUMENTS_MAX) {
            fprintf(out, " and %" PRIu32 " more", argc - i);
            break;
        }
        putc(' ', out);
        inspect_print_bytes(out, argv[i].data, argv[i].size,
                            SHOW_ARGUMENT_BYTES);
    }
}

/* MULTI (2 watched): SET "a" "1"; INCR "b" */
static void print_transaction(FILE *out, const struct proposal *p)
{
    const struct transaction *t = &p->transaction;
    struct byte_reader r = byte_reader(t->commands.data, t->commands.size);
    fprintf(out, "MULTI (%" PRIu32 " watched):", t->n_watches);
    for (uint32_t i = 0; i < t->n_commands; i++) {
        uint32_t argc = transaction_next(&r, p->argv);
        if (i >= SHOW_COMMANDS_MAX) {
            fprintf(out, " and %" PRIu32 " more", t->n_commands - i);
            break;
        }
        fputs(i == 0 ? " " : "; ", out);
        print_command(out, argc, p->argv);
    }
}

static void print_proposal(FILE *out, const struct proposal *p)
{
    switch (p->kind) {
    case PROPOSAL_SWEEP:
        fprintf(out, "sweep of at most %" PRIu64 " keys, clock %" PRIu64,
                p->sweep_max, p->clock_ms);
        break;
    case PROPOSAL_TRANSACTION:
        print_transaction(out, p);
        break;
    default:
        print_command(out, p->argc, p->argv);
        break;
    }
}

static void print_hex(FILE *out, const struct raftlog_entry *e)
{
    char hex[2 * SHOW_PREFIX_BYTES + 1];
    size_t n = e->size < SHOW_PREFIX_BYTES ? e->size : SHOW_PREFIX_BYTES;
    fprintf(out, "%s%s", inspect_hex(hex, e->data, n),
            e->size > n ? "..." : "");
}

static void print_entry_text(uint64_t offset, uint64_t index,
                             const struct raftlog_entry *e,
                             const struct proposal *p)
{
    printf("%10" PRIu64 "  %6" PRIu64 "  %10" PRIu64 "  %8" PRIu32 "  ", index,
           e->term, offset, e->size);
    if (p != NULL) {
        print_proposal(stdout, p);
    } else if (kind_name(e->kind) != NULL) {
        printf("%s ", kind_name(e->kind));
        print_hex(stdout, e);
    } else {
        char letter = e->kind >= 'A' && e->kind <= 'Z' ? (char)e->kind : '-';
        printf("kind %u (%c) ", e->kind, letter);
        print_hex(stdout, e);
    }
    putchar('\n');
}

static void json_command(struct json_writer *w, uint32_t argc,
                         const struct bytes *argv)
{
    json_open(w, '[');
    for (uint32_t i = 0; i < argc; i++) {
        json_bytes(w, argv[i].data, argv[i].size);
    }
    json_close(w, ']');
}

static void json_proposal(struct json_writer *w, const struct proposal *p)
{
    const struct transaction *t = &p->transaction;
    struct byte_reader r = byte_reader(t->commands.data, t->commands.size);
    if (p->kind == PROPOSAL_SWEEP) {
        json_name(w, "sweep");
        json_uint(w, p->sweep_max);
    } else if (p->kind == PROPOSAL_TRANSACTION) {
        json_name(w, "watched");
        json_uint(w, t->n_watches);
        json_name(w, "commands");
        json_open(w, '[');
        for (uint32_t i = 0; i < t->n_commands; i++) {
            uint32_t argc = transaction_next(&r, p->argv);
            json_command(w, argc, p->argv);
        }
        json_close(w, ']');
    } else {
        json_name(w, "command");
        json_command(w, p->argc, p->argv);
    }
}

static void print_entry_json(struct json_writer *w, uint64_t offset,
                             uint64_t index, const struct raftlog_entry *e,
                             const struct proposal *p)
{
    char hex[2 * SHOW_PREFIX_BYTES + 1];
    size_t n = e->size < SHOW_PREFIX_BYTES ? e->size : SHOW_PREFIX_BYTES;
    json_open(w, '{');
    json_name(w, "index");
    json_uint(w, index);
    json_name(w, "term");
    json_uint(w, e->term);
    json_name(w, "offset");
    json_uint(w, offset);
    json_name(w, "kind");
    json_uint(w, e->kind);
    json_name(w, "bytes");
    json_uint(w, e->size);
    if (p != NULL) {
        json_proposal(w, p);
        json_name(w, "origin");
        json_uint(w, p->origin);
        json_name(w, "request_id");
        json_uint(w, p->request_id);
        json_name(w, "clock_ms");
        json_uint(w, p->clock_ms);
    } else {
        json_name(w, "hex");
        json_text(w, inspect_hex(hex, e->data, n));
    }
    json_close(w, '}');
}

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
    struct proposal p;
    (void)s;
    if (!is_listed(show, index)) {
        return;
    }
    show->n_listed++;
    /* What does not decode may be of a newer version: then its bytes tell. */
    bool decoded =
        e->kind == KIND_COMMAND && proposal_decode(e->data, e->size, &p) == 0;
    if (show->in->options.output == OUTPUT_JSON) {
        print_entry_json(&show->w, offset, index, e, decoded ? &p : NULL);
    } else {
        print_entry_text(offset, index, e, decoded ? &p : NULL);
    }
    if (decoded) {
        proposal_clear(&p);
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
