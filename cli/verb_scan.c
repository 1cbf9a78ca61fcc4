/* The verb scan: list keys, with their values if asked for. */
#include <stdlib.h>

#include "cli/clock.h"
#include "cli/reply_print.h"
#include "cli/scan.h"
#include "cli/verb.h"

static void print_pair(const struct invocation *in, const redisReply *key,
                       const redisReply *value)
{
    if (in->options.output == OUTPUT_JSON) {
        struct json_writer w = json_writer(stdout);
        pair_print_json(&w, key->str, key->len, value, false);
        json_end(&w);
    } else {
        pair_print_text(stdout, key->str, key->len, value);
    }
}

/* The values of the keys of one SCAN reply; the reply is given. */
static int scan_values(const struct invocation *in, struct client *client,
                       const redisReply *keys, redisReply **reply,
                       struct err_info *info)
{
    size_t n = keys->elements + 1;
    const char **args = calloc(n, sizeof(*args));
    size_t *sizes = calloc(n, sizeof(*sizes));
    int code = EXIT_CODE_REFUSED;
    if (args == NULL || sizes == NULL) {
        err_set(info, ERR_NOMEM, "out of memory");
        goto cleanup;
    }
    args[0] = "MGET";
    sizes[0] = 4;
    for (size_t i = 1; i < n; i++) {
        args[i] = keys->element[i - 1]->str;
        sizes[i] = keys->element[i - 1]->len;
    }
    struct command command = {(int)n, args, sizes};
    code = client_call(client, CLIENT_READ, &command, verb_deadline_ms(in),
                       reply, info);
    if (code == EXIT_CODE_OK && ((*reply)->type != REDIS_REPLY_ARRAY ||
                                 (*reply)->elements != keys->elements)) {
        freeReplyObject(*reply);
        code = EXIT_CODE_REFUSED;
        err_set(info, ERR_PROTOCOL, "the reply to MGET has a wrong shape");
    }
cleanup:
    free(args);
    free(sizes);
    return code;
}

/* Print one page of keys; *left is how many may still be printed. A key that
 * has gone (or is no string) since the SCAN is not there any more. */
static int scan_print(const struct invocation *in, struct client *client,
                      const redisReply *keys, uint64_t *left,
                      struct err_info *info)
{
    redisReply *values = NULL;
    if (in->options.values && keys->elements > 0) {
        int code = scan_values(in, client, keys, &values, info);
        if (code != EXIT_CODE_OK) {
            return code;
        }
    }
    for (size_t i = 0; i < keys->elements && *left > 0; i++) {
        const redisReply *value = values == NULL ? NULL : values->element[i];
        if (value == NULL || value->type == REDIS_REPLY_STRING) {
            print_pair(in, keys->element[i], value);
            (*left)--;
        }
    }
    if (values != NULL) {
        freeReplyObject(values);
    }
    return EXIT_CODE_OK;
}

/* One SCAN and its output. */
static int scan_page(const struct invocation *in, struct client *client,
                     struct scan *scan, uint64_t *left, struct err_info *info)
{
    struct command command;
    redisReply *reply;
    const redisReply *keys;
    scan_command(scan, &command);
    int code = client_call(client, CLIENT_READ, &command, verb_deadline_ms(in),
                           &reply, info);
    if (code != EXIT_CODE_OK && code != EXIT_CODE_REFUSED) {
        return code;
    }
    int rc = code == EXIT_CODE_OK ? scan_take(scan, reply, &keys, info)
                                  : scan_refused(scan, info);
    code = EXIT_CODE_OK;
    if (rc < 0) {
        code = EXIT_CODE_REFUSED;
    } else if (rc > 0) {
        code = scan_print(in, client, keys, left, info);
    }
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    return code;
}

int verb_scan(const struct invocation *in)
{
    struct client client;
    struct scan scan;
    struct err_info info = {0, ""};
    uint64_t left = in->options.limit > 0 ? in->options.limit : UINT64_MAX;
    int code;
    client_init(&client, &in->endpoints, in->options.direct);
    scan_init(&scan, in->options.match, in->options.count);
    do {
        code = scan_page(in, &client, &scan, &left, &info);
        if (code == EXIT_CODE_OK && clock_interrupted()) {
            err_set(&info, ERR_STOPPED, "interrupted");
            code = EXIT_CODE_INTERRUPTED;
        }
    } while (code == EXIT_CODE_OK && left > 0 && !scan.done && !ferror(stdout));
    scan_close(&scan);
    client_close(&client);
    if (code != EXIT_CODE_OK) {
        return verb_fail_call(in, code, &info);
    }
    return verb_finish(code);
}
