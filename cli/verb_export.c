/* The verb export: opens the output, runs the export, tells the result. The
 * summary goes to stdout, or to stderr when the records themselves do. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli/clock.h"
#include "cli/export.h"
#include "cli/json_write.h"
#include "cli/text.h"
#include "cli/verb.h"
#include "cli/whole_file.h"

static void print_json(FILE *out, const struct export *ex, int64_t elapsed_ms)
{
    struct json_writer w = json_writer(out);
    double seconds = (double)(elapsed_ms > 0 ? elapsed_ms : 1) / 1000;
    json_open(&w, '{');
    json_name(&w, "complete");
    json_bool(&w, ex->code == EXIT_CODE_OK);
    json_name(&w, "records");
    json_uint(&w, ex->n_records);
    json_name(&w, "expiring");
    json_uint(&w, ex->n_expiring);
    json_name(&w, "left_out");
    json_uint(&w, ex->n_other_types);
    json_name(&w, "seconds");
    json_real(&w, seconds);
    json_name(&w, "per_second");
    json_uint(&w, (uint64_t)((double)ex->n_records / seconds));
    json_name(&w, "interruptions");
    json_uint(&w, ex->n_interruptions);
    json_name(&w, "interrupted_ms");
    json_int(&w, ex->interrupted_ms);
    if (ex->code != EXIT_CODE_OK) {
        json_name(&w, "error");
        json_text(&w, ex->info.message);
    }
    json_close(&w, '}');
    json_end(&w);
}

static void print_text(FILE *out, const struct export *ex, int64_t elapsed_ms)
{
    char count[TEXT_NUMBER_MAX];
    char time[TEXT_NUMBER_MAX];
    char rate[TEXT_NUMBER_MAX];
    double seconds = (double)(elapsed_ms > 0 ? elapsed_ms : 1) / 1000;
    fprintf(out, "exported %s records in %s, %s/s\n",
            text_count(count, ex->n_records), text_duration(time, elapsed_ms),
            text_count(rate, (uint64_t)((double)ex->n_records / seconds)));
    if (ex->n_interruptions > 0) {
        fprintf(out, "waited %s in %" PRIu64 " interruption%s\n",
                text_duration(time, ex->interrupted_ms), ex->n_interruptions,
                ex->n_interruptions == 1 ? "" : "s");
    }
}

/* What is not in the file although it is in the cluster. */
static void print_losses(const struct export *ex)
{
    char count[TEXT_NUMBER_MAX];
    if (ex->n_expiring > 0 && !record_format_has_expiry(ex->format)) {
        fprintf(stderr,
                "concordctl: not exported: when %s of the keys end%s, which "
                "TSV cannot carry; --format jsonl and resp can\n",
                text_count(count, ex->n_expiring),
                ex->n_expiring == 1 ? "s" : "");
    }
    if (ex->n_other_types > 0) {
        fprintf(stderr,
                "concordctl: keys left out, because they hold no string: %s\n",
                text_count(count, ex->n_other_types));
    }
}

static int export_report(const struct invocation *in, struct export *ex,
                         struct whole_file *file, int64_t elapsed_ms)
{
    FILE *out = whole_file_is_stdout(file) ? stderr : stdout;
    if (ex->code == EXIT_CODE_OK) {
        if (whole_file_commit(file, &ex->info) != 0) {
            ex->code = EXIT_CODE_REFUSED;
        }
    } else {
        whole_file_abandon(file);
    }
    bool json = in->options.output == OUTPUT_JSON;
    if (json) {
        print_json(out, ex, elapsed_ms);
    } else if (ex->code == EXIT_CODE_OK &&
               (out == stdout || !in->options.quiet)) {
        print_text(out, ex, elapsed_ms);
    }
    print_losses(ex);
    if (ex->code != EXIT_CODE_OK) {
        return verb_fail(ex->code, "export stopped: %s; %s", ex->info.message,
                         out == stderr ? "what was written is not whole"
                                       : "no file was written");
    }
    return verb_finish(ex->code);
}

/* How many keys there are, for the bar; it will change meanwhile. */
static void count_keys(struct export *ex)
{
    const char *args[] = {"DBSIZE"};
    struct command command = {1, args, NULL};
    redisReply *reply;
    ex->code = client_call(&ex->client, CLIENT_READ, &command,
                           clock_now_ms() + ex->timeout_ms, &reply, &ex->info);
    if (ex->code == EXIT_CODE_OK) {
        ex->progress.total =
            reply->type == REDIS_REPLY_INTEGER ? (uint64_t)reply->integer : 0;
        freeReplyObject(reply);
    }
}

int verb_export(const struct invocation *in)
{
    const char *path = in->n_args > 0 ? in->args[0] : "-";
    const struct options *o = &in->options;
    struct export ex;
    struct whole_file file;
    struct err_info info;
    memset(&ex, 0, sizeof(ex));
    if (whole_file_open(&file, path, &info) != 0) {
        return verb_fail(EXIT_CODE_REFUSED, "%s", info.message);
    }
    int64_t begin = clock_now_ms();
    ex.out = file.out;
    ex.timeout_ms = verb_timeout_ms(in);
    ex.format = record_format_choose((enum record_format)o->format, path);
    ex.format = ex.format == RECORD_AUTO ? RECORD_JSONL : ex.format;
    client_init(&ex.client, &in->endpoints, o->direct);
    scan_init(&ex.scan, o->match, o->count);
    progress_init(&ex.progress, stderr, "export", "records", begin);
    /* On one terminal, bar and records would write over each other. */
    ex.progress.quiet =
        o->quiet || (whole_file_is_stdout(&file) && isatty(STDOUT_FILENO));
    if (o->match == NULL) {
        count_keys(&ex);
    }
    export_run(&ex);
    progress_finish(&ex.progress);
    int code = export_report(in, &ex, &file, clock_now_ms() - begin);
    export_close(&ex);
    return code;
}
