/* What the inspect verbs share; see inspect.h. */
#include "cli/inspect.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/text.h"

void inspect_problems_init(struct inspect_problems *p)
{
    memset(p, 0, sizeof(*p));
    p->items = calloc(INSPECT_PROBLEMS_MAX, sizeof(*p->items));
    if (p->items == NULL) {
        fputs("concordctl: out of memory\n", stderr);
        abort();
    }
}

void inspect_problems_close(struct inspect_problems *p)
{
    free(p->items);
    memset(p, 0, sizeof(*p));
}

void inspect_problem_add(struct inspect_problems *p, const char *file,
                         uint64_t offset, const char *format, ...)
{
    va_list args;
    p->n_all++;
    if (p->n_items == INSPECT_PROBLEMS_MAX) {
        return;
    }
    struct inspect_problem *problem = &p->items[p->n_items++];
    snprintf(problem->file, sizeof(problem->file), "%s", file);
    problem->offset = offset;
    va_start(args, format);
    vsnprintf(problem->what, sizeof(problem->what), format, args);
    va_end(args);
}

int inspect_problems_report(const struct inspect_problems *p)
{
    if (p->n_all == 0) {
        return EXIT_CODE_OK;
    }
    for (size_t i = 0; i < p->n_items; i++) {
        verb_fail(EXIT_CODE_REFUSED, "%s: offset %" PRIu64 ": %s",
                  p->items[i].file, p->items[i].offset, p->items[i].what);
    }
    if (p->n_all > p->n_items) {
        fprintf(stderr, "concordctl: and %" PRIu64 " more\n",
                p->n_all - p->n_items);
    }
    return verb_fail(EXIT_CODE_REFUSED,
                     "%" PRIu64 " place%s damaged or missing. Nothing was "
                     "changed. Restore the file from a copy, or wipe this "
                     "node's data directory and let it join again",
                     p->n_all, p->n_all == 1 ? " is" : "s are");
}

void inspect_problems_print_json(const struct inspect_problems *p,
                                 struct json_writer *w)
{
    json_name(w, "n_problems");
    json_uint(w, p->n_all);
    json_name(w, "problems");
    json_open(w, '[');
    for (size_t i = 0; i < p->n_items; i++) {
        json_open(w, '{');
        json_name(w, "file");
        json_text(w, p->items[i].file);
        json_name(w, "offset");
        json_uint(w, p->items[i].offset);
        json_name(w, "what");
        json_text(w, p->items[i].what);
        json_close(w, '}');
    }
    json_close(w, ']');
}

bool inspect_path(char *out, const char *dir, const char *name)
{
    int n = snprintf(out, INSPECT_PATH_MAX, "%s/%s", dir, name);
    return n >= 0 && n < INSPECT_PATH_MAX;
}

bool inspect_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int inspect_fail_open(const char *path, int code)
{
    return verb_fail(code == ERR_NOTFOUND ? EXIT_CODE_NOT_FOUND
                                          : EXIT_CODE_REFUSED,
                     "cannot open %s: %s", path, err_text(code));
}

char *inspect_hex(char *out, const void *data, size_t size)
{
    const uint8_t *p = data;
    out[0] = '\0';
    for (size_t i = 0; i < size; i++) {
        snprintf(out + 2 * i, 3, "%02x", p[i]);
    }
    return out;
}

void inspect_print_bytes(FILE *out, const void *data, size_t size, size_t max)
{
    putc('"', out);
    text_print_escaped(out, data, size < max ? size : max);
    fputs(size > max ? "\"..." : "\"", out);
}
