/* The verb import: opens the input, runs the import, tells the result. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/clock.h"
#include "cli/import.h"
#include "cli/json_write.h"
#include "cli/text.h"
#include "cli/verb.h"

enum { IMPORT_WINDOW_DEFAULT = 1024 };

/* The input's descriptor, or -1 after saying why not. total is its size. */
static int open_input(const char *path, uint64_t *total)
{
    struct stat st;
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        verb_fail(EXIT_CODE_USAGE, "cannot open %s: %s", path, strerror(errno));
        return -1;
    }
    if (S_ISDIR(st.st_mode)) {
        verb_fail(EXIT_CODE_USAGE, "%s is a directory", path);
        close(fd);
        return -1;
    }
    if (is_stdin && isatty(fd)) {
        fputs("import: reading records from the terminal; Ctrl-D ends\n",
              stderr);
    }
    *total = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    return fd;
}

/* Every line before the returned one is acknowledged (or was left out). */
static uint64_t resume_line(const struct import *im)
{
    uint64_t line = window_first_line(&im->window);
    if (line != 0) {
        return line;
    }
    /* The last line read may be one that could not be understood. */
    bool unused = im->has_record || im->input_code != EXIT_CODE_OK;
    return im->reader.line + (unused && im->reader.line > 0 ? 0 : 1);
}

static void print_json(const struct import *im, int64_t elapsed_ms)
{
    struct json_writer w = json_writer(stdout);
    double seconds = (double)(elapsed_ms > 0 ? elapsed_ms : 1) / 1000;
    json_open(&w, '{');
    json_name(&w, "complete");
    json_bool(&w, im->code == EXIT_CODE_OK);
    json_name(&w, "acknowledged");
    json_uint(&w, im->n_acknowledged);
    json_name(&w, "bytes");
    json_uint(&w, im->bytes_acknowledged);
    json_name(&w, "seconds");
    json_real(&w, seconds);
    json_name(&w, "per_second");
    json_uint(&w, (uint64_t)((double)im->n_acknowledged / seconds));
    json_name(&w, "sent_again");
    json_uint(&w, im->n_sent_again);
    json_name(&w, "interruptions");
    json_uint(&w, im->n_interruptions);
    json_name(&w, "interrupted_ms");
    json_int(&w, im->interrupted_ms);
    json_name(&w, "longest_interruption_ms");
    json_int(&w, im->longest_ms);
    if (im->code != EXIT_CODE_OK) {
        json_name(&w, "unacknowledged");
        json_uint(&w, im->window.n_items);
        json_name(&w, "resume_line");
        json_uint(&w, resume_line(im));
        json_name(&w, "error");
        json_text(&w, im->info.message);
    }
    json_close(&w, '}');
    json_end(&w);
}

static void print_text(const struct import *im, int64_t elapsed_ms)
{
    char count[TEXT_NUMBER_MAX];
    char bytes[TEXT_NUMBER_MAX];
    char time[TEXT_NUMBER_MAX];
    char rate[TEXT_NUMBER_MAX];
    double seconds = (double)(elapsed_ms > 0 ? elapsed_ms : 1) / 1000;
    printf("acknowledged %s records (%s) in %s, %s/s\n",
           text_count(count, im->n_acknowledged),
           text_bytes(bytes, im->bytes_acknowledged),
           text_duration(time, elapsed_ms),
           text_count(rate, (uint64_t)((double)im->n_acknowledged / seconds)));
    if (im->n_interruptions > 0) {
        printf("waited %s in %" PRIu64 " interruption%s; %s records were sent "
               "again\n",
               text_duration(time, im->interrupted_ms), im->n_interruptions,
               im->n_interruptions == 1 ? "" : "s",
               text_count(count, im->n_sent_again));
    }
}

static int import_report(const struct invocation *in, const struct import *im,
                         int64_t elapsed_ms)
{
    if (in->options.output == OUTPUT_JSON) {
        print_json(im, elapsed_ms);
    } else {
        print_text(im, elapsed_ms);
    }
    if (im->code != EXIT_CODE_OK) {
        return verb_fail(im->code,
                         "import stopped: %s; every %s before %" PRIu64
                         " is acknowledged, to resume: --from-line %" PRIu64,
                         im->info.message,
                         im->reader.format == RECORD_RESP ? "command" : "line",
                         resume_line(im), resume_line(im));
    }
    return verb_finish(im->code);
}

int verb_import(const struct invocation *in)
{
    const char *path = in->n_args > 0 ? in->args[0] : "-";
    const struct options *o = &in->options;
    struct import im;
    uint64_t total;
    int fd = open_input(path, &total);
    if (fd < 0) {
        return EXIT_CODE_USAGE;
    }
    memset(&im, 0, sizeof(im));
    int64_t begin = clock_now_ms();
    im.timeout_ms = verb_timeout_ms(in);
    im.from_line = o->from_line;
    client_init(&im.client, &in->endpoints, o->direct);
    progress_init(&im.progress, stderr, "import", "records", begin);
    im.progress.total = total;
    im.progress.quiet = o->quiet;
    int code = EXIT_CODE_REFUSED;
    size_t line_max = o->line_bytes_max > 0 ? (size_t)o->line_bytes_max
                                            : IMPORT_LINE_BYTES_MAX;
    size_t n_items = o->window > 0 ? (size_t)o->window : IMPORT_WINDOW_DEFAULT;
    if (record_reader_init(
            &im.reader, fd,
            record_format_choose((enum record_format)in->options.format, path),
            line_max) != 0 ||
        window_init(&im.window, n_items, IMPORT_WINDOW_BYTES) != 0) {
        verb_fail(code, "out of memory");
    } else {
        import_run(&im);
        progress_finish(&im.progress);
        code = import_report(in, &im, clock_now_ms() - begin);
    }
    window_close(&im.window);
    record_reader_close(&im.reader);
    client_close(&im.client);
    if (fd != STDIN_FILENO) {
        close(fd);
    }
    return code;
}
