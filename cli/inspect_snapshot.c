/* The verb inspect snapshot: the chain that a MANIFEST names, or one file; all
 * blocks are read and every checksum is checked. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/inspect.h"
#include "cli/table.h"
#include "raftlog/file.h"
#include "snapshot/snapshot.h"

enum { SHOW_VALUE_BYTES = 60, HASH_TEXT_MAX = 33 };

/* One file of the chain, as named and as found. */
struct shown_file {
    char path[INSPECT_PATH_MAX];
    uint64_t from, to, term, n_records, size; /* to 0: not known */
    struct checksum128 state_hash;
    const char *state; /* sound, damaged, missing */
};

struct show {
    const struct invocation *in;
    struct json_writer w;
    struct inspect_problems problems;
    uint64_t n_listed;
};

/* The messages of the snapshot folder end in "at byte N ...". */
static uint64_t offset_in(const char *message)
{
    const char *at = strstr(message, " at byte ");
    return at == NULL ? 0 : strtoull(at + strlen(" at byte "), NULL, 10);
}

/* As INFO shows it. */
static char *hash_text(char *out, const struct checksum128 *hash)
{
    snprintf(out, HASH_TEXT_MAX, "%016" PRIx64 "%016" PRIx64, hash->high,
             hash->low);
    return out;
}

static void add_problem(struct show *show, const char *path,
                        const struct err_info *info)
{
    inspect_problem_add(&show->problems, path, offset_in(info->message), "%s",
                        info->message);
}

/* ---- records --------------------------------------------------------------*/

static const char *kind_name(enum snapshot_record_kind kind)
{
    switch (kind) {
    case SNAPSHOT_META:
        return "meta";
    case SNAPSHOT_KEY:
        return "key";
    default:
        return "tombstone";
    }
}

static void print_record_text(const struct snapshot_record *r)
{
    printf("%-9s  ", kind_name(r->kind));
    inspect_print_bytes(stdout, r->key.data, r->key.size, SHOW_VALUE_BYTES);
    if (r->kind != SNAPSHOT_TOMBSTONE) {
        printf("  type %u", r->type);
        if (r->expire_ms != 0) {
            printf("  expires %" PRIu64, r->expire_ms);
        }
        printf("  %zu B  ", r->value.size);
        inspect_print_bytes(stdout, r->value.data, r->value.size,
                            SHOW_VALUE_BYTES);
    }
    putchar('\n');
}

static void print_record_json(struct json_writer *w,
                              const struct snapshot_record *r)
{
    json_open(w, '{');
    json_name(w, "kind");
    json_text(w, kind_name(r->kind));
    json_bytes_member(w, "key", r->key.data, r->key.size);
    if (r->kind != SNAPSHOT_TOMBSTONE) {
        json_name(w, "type");
        json_uint(w, r->type);
        json_name(w, "expire_at_ms");
        json_uint(w, r->expire_ms);
        json_bytes_member(w, "value", r->value.data, r->value.size);
    }
    json_close(w, '}');
}

/* Read all records of an open file, list them if asked for. */
static int walk_records(struct show *show, struct snapshot_reader *reader,
                        struct err_info *info)
{
    const struct options *o = &show->in->options;
    struct snapshot_record record;
    int rc;
    while ((rc = snapshot_reader_next(reader, &record, info)) == 1) {
        if (!o->entries || (o->limit != 0 && show->n_listed >= o->limit)) {
            continue;
        }
        show->n_listed++;
        if (o->output == OUTPUT_JSON) {
            print_record_json(&show->w, &record);
        } else {
            print_record_text(&record);
        }
    }
    return rc;
}

/* ---- one file -------------------------------------------------------------*/

static void print_file_json(struct json_writer *w, const struct shown_file *f)
{
    char hash[HASH_TEXT_MAX];
    json_name(w, "file");
    json_text(w, f->path);
    json_name(w, "state");
    json_text(w, f->state);
    if (f->to != 0) {
        json_name(w, "from");
        json_uint(w, f->from);
        json_name(w, "to");
        json_uint(w, f->to);
        json_name(w, "term");
        json_uint(w, f->term);
        json_name(w, "records");
        json_uint(w, f->n_records);
        json_name(w, "bytes");
        json_uint(w, f->size);
        json_name(w, "state_hash");
        json_text(w, hash_text(hash, &f->state_hash));
    }
}

/* Open and read a file; what it says of itself goes to f. */
static void read_file(struct show *show, struct shown_file *f)
{
    struct snapshot_reader *reader = NULL;
    struct err_info info = {0, ""};
    bool list = show->in->options.entries;
    bool json = show->in->options.output == OUTPUT_JSON;
    if (json) {
        json_open(&show->w, '{');
        if (list) {
            json_name(&show->w, "entries");
            json_open(&show->w, '[');
        }
    } else if (list) {
        printf("%s\n", f->path);
    }
    int rc = snapshot_reader_open(f->path, &reader, &info);
    if (rc == 0) {
        const struct snapshot_meta *meta = snapshot_reader_meta(reader);
        f->from = meta->from;
        f->to = meta->to;
        f->term = meta->to_term;
        f->state_hash = meta->state_hash;
        f->n_records = snapshot_reader_n_records(reader);
        rc = walk_records(show, reader, &info);
    }
    if (rc != 0) {
        f->state = rc == ERR_NOTFOUND ? "missing" : "damaged";
        add_problem(show, f->path, &info);
    }
    snapshot_reader_close(reader);
    if (json) {
        if (list) {
            json_close(&show->w, ']');
        }
        print_file_json(&show->w, f);
        json_close(&show->w, '}');
    }
}

static void print_table(const struct shown_file *files, size_t n)
{
    static const char *const columns[] = {"FILE",  ">FROM",     ">TO",
                                          ">TERM", ">RECORDS",  ">BYTES",
                                          "STATE", "STATE HASH"};
    struct table t;
    table_init(&t);
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        table_column(&t, columns[i]);
    }
    for (size_t i = 0; i < n; i++) {
        const struct shown_file *f = &files[i];
        const uint64_t numbers[] = {f->from, f->to, f->term, f->n_records,
                                    f->size};
        char hash[HASH_TEXT_MAX] = "-";
        const char *slash = strrchr(f->path, '/');
        table_cell(&t, "%s", slash == NULL ? f->path : slash + 1);
        for (size_t j = 0; j < 5; j++) {
            if (f->to != 0) {
                table_cell(&t, "%" PRIu64, numbers[j]);
            } else {
                table_cell(&t, "-");
            }
        }
        table_cell(&t, "%s", f->state);
        table_cell(&t, "%s",
                   f->to != 0 ? hash_text(hash, &f->state_hash) : hash);
    }
    table_print(&t, stdout);
    table_close(&t);
}

/* ---- the chain ------------------------------------------------------------*/

/* The manifest in dir. Errors: those of file_read_all and of decoding, with
 * words in info. */
static int read_manifest(const char *path, struct snapshot_manifest *out,
                         struct err_info *info)
{
    void *data = NULL;
    size_t size = 0;
    int rc = file_read_all(path, SNAPSHOT_MANIFEST_MAX, &data, &size);
    if (rc != 0) {
        return err_set(info, rc, "cannot read %.300s: %s", path, err_text(rc));
    }
    rc = snapshot_manifest_decode(data, size, out, info);
    free(data);
    return rc;
}

/* The file as the manifest names it: its content id too. */
static void check_against_manifest(struct show *show, struct shown_file *f,
                                   const struct snapshot_manifest *m,
                                   const struct snapshot_file *wanted)
{
    struct err_info info = {0, ""};
    if (strcmp(f->state, "sound") == 0 &&
        snapshot_file_verify(f->path, wanted, m->cluster_id, &info) != 0) {
        f->state = "damaged";
        add_problem(show, f->path, &info);
    }
}

/* Whatever the manifest names, each file read as a whole. */
static void read_chain(struct show *show, const char *dir,
                       const struct snapshot_manifest *m,
                       struct shown_file *files)
{
    for (unsigned i = 0; i < m->n_files; i++) {
        const struct snapshot_file *wanted = &m->files[i];
        struct shown_file *f = &files[i];
        memset(f, 0, sizeof(*f));
        f->state = "sound";
        f->size = wanted->size;
        (void)inspect_path(f->path, dir, wanted->name);
        read_file(show, f);
        if (f->to == 0) {
            /* It cannot tell itself; the manifest can. */
            f->from = wanted->from;
            f->to = wanted->to;
            f->term = wanted->to_term;
            f->n_records = wanted->n_records;
            f->state_hash = wanted->state_hash;
        }
        check_against_manifest(show, f, m, wanted);
    }
}

static int inspect_chain(struct show *show, const char *dir)
{
    struct snapshot_manifest m;
    struct err_info info = {0, ""};
    char path[INSPECT_PATH_MAX];
    bool json = show->in->options.output == OUTPUT_JSON;
    struct shown_file *files = calloc(SNAPSHOT_FILES_MAX, sizeof(*files));
    memset(&m, 0, sizeof(m));
    if (files == NULL || !inspect_path(path, dir, "MANIFEST")) {
        free(files);
        return inspect_fail_open(dir, ERR_NOMEM);
    }
    int rc = read_manifest(path, &m, &info);
    if (rc == ERR_NOTFOUND) {
        free(files);
        return verb_fail(EXIT_CODE_NOT_FOUND,
                         "%s has no MANIFEST, so there is no snapshot; name a "
                         "data directory, its snapshots/, or one file",
                         dir);
    }
    if (rc != 0) {
        inspect_problem_add(&show->problems, path, 0, "%s", info.message);
    }
    if (json) {
        json_open(&show->w, '{');
        json_name(&show->w, "manifest");
        json_text(&show->w, path);
        json_name(&show->w, "files");
        json_open(&show->w, '[');
    }
    read_chain(show, dir, &m, files);
    if (json) {
        json_close(&show->w, ']');
        inspect_problems_print_json(&show->problems, &show->w);
        json_close(&show->w, '}');
        json_end(&show->w);
    } else if (rc == 0) {
        print_table(files, m.n_files);
    }
    snapshot_manifest_clear(&m);
    free(files);
    return inspect_problems_report(&show->problems);
}

static int inspect_one(struct show *show, const char *path)
{
    static struct shown_file f; /* large */
    struct file *file = NULL;
    int rc = file_open(path, FILE_READ, &file);
    memset(&f, 0, sizeof(f));
    if (rc == 0) {
        rc = file_size(file, &f.size);
    }
    file_close(file);
    if (rc != 0) {
        return inspect_fail_open(path, rc);
    }
    f.state = "sound";
    snprintf(f.path, sizeof(f.path), "%s", path);
    bool json = show->in->options.output == OUTPUT_JSON;
    if (json) {
        json_open(&show->w, '{');
        json_name(&show->w, "files");
        json_open(&show->w, '[');
    }
    read_file(show, &f);
    if (json) {
        json_close(&show->w, ']');
        inspect_problems_print_json(&show->problems, &show->w);
        json_close(&show->w, '}');
        json_end(&show->w);
    } else {
        print_table(&f, 1);
    }
    return inspect_problems_report(&show->problems);
}

int verb_inspect_snapshot(const struct invocation *in)
{
    const char *path = in->args[0];
    char dir[INSPECT_PATH_MAX];
    struct show show;
    int code;
    memset(&show, 0, sizeof(show));
    show.in = in;
    show.w = json_writer(stdout);
    inspect_problems_init(&show.problems);
    if (!inspect_is_dir(path)) {
        const char *slash = strrchr(path, '/');
        bool manifest =
            strcmp(slash == NULL ? path : slash + 1, "MANIFEST") == 0;
        if (manifest) {
            snprintf(dir, sizeof(dir), "%.*s",
                     slash == NULL ? 1 : (int)(slash - path),
                     slash == NULL ? "." : path);
        }
        code = manifest ? inspect_chain(&show, dir) : inspect_one(&show, path);
    } else if (inspect_path(dir, path, "snapshots") && inspect_is_dir(dir)) {
        code = inspect_chain(&show, dir);
    } else {
        code = inspect_chain(&show, path);
    }
    inspect_problems_close(&show.problems);
    return verb_finish(code);
}
