/* The verb local logs: the end of one node's log, or of all, and what is
 * written to them from then on. Lines of several nodes are told apart by the
 * node's number in front. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/clock.h"
#include "cli/json_write.h"
#include "cli/local_nodes.h"
#include "cli/text.h"

enum { LOGS_LINES_DEFAULT = 20, LOGS_POLL_MS = 100, LOGS_BLOCK = 8192 };

struct log_file {
    uint64_t node;
    FILE *in; /* NULL: the node was never started */
    char *line;
    size_t room;
};

/* Move to the begin of the last n lines. */
static int seek_lines(FILE *in, uint64_t n)
{
    char block[LOGS_BLOCK];
    uint64_t found = 0;
    if (fseek(in, 0, SEEK_END) != 0) {
        return -1;
    }
    long end = ftell(in);
    long at = end;
    while (at > 0) {
        long size = at < LOGS_BLOCK ? at : LOGS_BLOCK;
        at -= size;
        if (fseek(in, at, SEEK_SET) != 0 ||
            fread(block, 1, (size_t)size, in) != (size_t)size) {
            return -1;
        }
        for (long i = size - 1; i >= 0; i--) {
            /* The newline at the very end closes the last line. */
            if (block[i] == '\n' && at + i + 1 < end && ++found == n) {
                return fseek(in, at + i + 1, SEEK_SET);
            }
        }
    }
    return fseek(in, 0, SEEK_SET);
}

static void print_line(const struct invocation *in, const struct log_file *f,
                       size_t size, bool prefix)
{
    if (size > 0 && f->line[size - 1] == '\n') {
        size--;
    }
    if (in->options.output == OUTPUT_JSON) {
        struct json_writer w = json_writer(stdout);
        json_open(&w, '{');
        json_name(&w, "node_id");
        json_uint(&w, f->node);
        json_bytes_member(&w, "line", f->line, size);
        json_close(&w, '}');
        json_end(&w);
        return;
    }
    if (prefix) {
        printf("%" PRIu64 " | ", f->node);
    }
    text_print_escaped(stdout, f->line, size);
    putchar('\n');
}

/* Print what is there; false if there is nothing new. */
static bool copy_lines(const struct invocation *in, struct log_file *f,
                       bool prefix)
{
    bool any = false;
    ssize_t n;
    clearerr(f->in);
    while (!clock_interrupted() && !ferror(stdout) &&
           (n = getline(&f->line, &f->room, f->in)) > 0) {
        if (f->line[n - 1] != '\n' && in->options.follow) {
            /* Half a line: its rest is still to come. */
            (void)fseek(f->in, -(long)n, SEEK_CUR);
            break;
        }
        print_line(in, f, (size_t)n, prefix);
        any = true;
    }
    return any;
}

static int open_log(const struct local *l, uint64_t node, uint64_t n_lines,
                    struct log_file *f)
{
    char path[LOCAL_PATH_MAX + 64];
    memset(f, 0, sizeof(*f));
    f->node = node;
    f->in = fopen(local_path(l, node, "log", path), "re");
    if (f->in == NULL && errno == ENOENT) {
        return EXIT_CODE_OK;
    }
    if (f->in == NULL || seek_lines(f->in, n_lines) != 0) {
        return verb_fail(EXIT_CODE_REFUSED, "cannot read %s: %s", path,
                         strerror(errno));
    }
    return EXIT_CODE_OK;
}

static int follow(const struct invocation *in, struct log_file *files,
                  uint64_t n)
{
    do {
        bool any = false;
        for (uint64_t i = 0; i < n; i++) {
            if (files[i].in != NULL) {
                any = copy_lines(in, &files[i], n > 1) || any;
            }
        }
        fflush(stdout);
        if (in->options.follow && !any) {
            clock_pause(LOGS_POLL_MS, INT64_MAX);
        }
    } while (in->options.follow && !clock_interrupted() && !ferror(stdout));
    return in->options.follow && clock_interrupted() ? EXIT_CODE_INTERRUPTED
                                                     : EXIT_CODE_OK;
}

int verb_local_logs(const struct invocation *in)
{
    static struct local l; /* large */
    struct log_file files[LOCAL_NODES_MAX];
    struct err_info info;
    uint64_t first = 1;
    uint64_t n_open = 0;
    uint64_t n_lines =
        in->options.lines > 0 ? in->options.lines : LOGS_LINES_DEFAULT;
    if (local_init(&l, in->options.dir, &info) != 0) {
        return verb_fail(EXIT_CODE_USAGE, "%s", info.message);
    }
    int rc = local_load(&l, &info);
    if (rc != 0) {
        return verb_fail(rc == ERR_NOTFOUND ? EXIT_CODE_NOT_FOUND
                                            : EXIT_CODE_REFUSED,
                         "%s", info.message);
    }
    uint64_t last = l.config.n_nodes;
    if (in->n_args > 0) {
        if (text_parse_count(in->args[0], 1, last, &first) != 0) {
            return verb_fail(EXIT_CODE_USAGE,
                             "'local logs' needs a node from 1 to %" PRIu64
                             ", or none for all",
                             last);
        }
        last = first;
    }
    int code = EXIT_CODE_OK;
    for (uint64_t node = first; code == EXIT_CODE_OK && node <= last; node++) {
        code = open_log(&l, node, n_lines, &files[n_open++]);
    }
    if (code == EXIT_CODE_OK) {
        code = follow(in, files, n_open);
    }
    for (uint64_t i = 0; i < n_open; i++) {
        free(files[i].line);
        if (files[i].in != NULL) {
            fclose(files[i].in);
        }
    }
    return verb_finish(code);
}
