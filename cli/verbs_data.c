/* The verbs on keys: get mget put del incr exec. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command_names.h"
#include "cli/json_write.h"
#include "cli/reply_print.h"
#include "cli/text.h"
#include "cli/verb.h"

enum { VALUE_FILE_BYTES_MAX = 64 * 1024 * 1024 };

static bool wants_json(const struct invocation *in)
{
    return in->options.output == OUTPUT_JSON;
}

/* One command to the cluster. On EXIT_CODE_OK the reply is given; everything
 * else has been said on stderr. */
static int data_call(const struct invocation *in, enum client_kind kind,
                     const struct command *command, redisReply **reply)
{
    struct client client;
    struct err_info info = {0, ""};
    client_init(&client, &in->endpoints, in->options.direct);
    int code =
        client_call(&client, kind, command, verb_deadline_ms(in), reply, &info);
    client_close(&client);
    return code == EXIT_CODE_OK ? code : verb_fail_call(in, code, &info);
}

static int fail_reply(redisReply *reply)
{
    freeReplyObject(reply);
    return verb_fail(EXIT_CODE_REFUSED,
                     "the server's reply has an unexpected type");
}

int verb_get(const struct invocation *in)
{
    const char *args[] = {"GET", in->args[0]};
    struct command command = {2, args, NULL};
    redisReply *reply;
    int code = data_call(in, CLIENT_READ, &command, &reply);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_NIL) {
        return fail_reply(reply);
    }
    if (reply->type == REDIS_REPLY_NIL) {
        code = EXIT_CODE_NOT_FOUND;
    }
    if (wants_json(in)) {
        struct json_writer w = json_writer(stdout);
        pair_print_json(&w, in->args[0], strlen(in->args[0]),
                        code == EXIT_CODE_OK ? reply : NULL, true);
        json_end(&w);
    } else if (reply->type == REDIS_REPLY_NIL) {
        verb_fail(code, "no such key");
    } else if (in->options.raw) {
        (void)fwrite(reply->str, 1, reply->len, stdout);
    } else {
        reply_print_value(stdout, reply->str, reply->len,
                          isatty(STDOUT_FILENO) != 0);
    }
    freeReplyObject(reply);
    return verb_finish(code);
}

/* Exit codes: not found as soon as one of the keys is missing. */
static int print_mget(const struct invocation *in, const redisReply *values)
{
    struct json_writer w = json_writer(stdout);
    int code = EXIT_CODE_OK;
    if (wants_json(in)) {
        json_open(&w, '[');
    }
    for (int i = 0; i < in->n_args; i++) {
        const char *key = in->args[i];
        const redisReply *value = values->element[i];
        bool found = value->type == REDIS_REPLY_STRING;
        code = found ? code : EXIT_CODE_NOT_FOUND;
        if (wants_json(in)) {
            pair_print_json(&w, key, strlen(key), found ? value : NULL, true);
        } else if (found) {
            pair_print_text(stdout, key, strlen(key), value);
        } else {
            char shown[80];
            verb_fail(code, "no such key: %s",
                      err_escape(shown, sizeof(shown), key, strlen(key)));
        }
    }
    if (wants_json(in)) {
        json_close(&w, ']');
        json_end(&w);
    }
    return code;
}

int verb_mget(const struct invocation *in)
{
    redisReply *reply;
    const char **args = calloc((size_t)in->n_args + 1, sizeof(*args));
    if (args == NULL) {
        return verb_fail(EXIT_CODE_REFUSED, "out of memory");
    }
    struct command command = {in->n_args + 1, args, NULL};
    args[0] = "MGET";
    memcpy(args + 1, in->args, (size_t)in->n_args * sizeof(*args));
    int code = data_call(in, CLIENT_READ, &command, &reply);
    free(args);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (reply->type != REDIS_REPLY_ARRAY ||
        reply->elements != (size_t)in->n_args) {
        return fail_reply(reply);
    }
    code = print_mget(in, reply);
    freeReplyObject(reply);
    return verb_finish(code);
}

/* The whole file; *data is given. The size is found by reading, so pipes do. */
static int read_value(const char *path, char **data, size_t *size)
{
    FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    size_t room = 64 * 1024;
    size_t n = 0;
    char *buffer = malloc(room);
    int code = EXIT_CODE_OK;
    if (in == NULL) {
        code = verb_fail(EXIT_CODE_USAGE, "cannot open %s: %s", path,
                         strerror(errno));
    }
    while (code == EXIT_CODE_OK && buffer != NULL) {
        size_t got = fread(buffer + n, 1, room - n, in);
        n += got;
        if (got == 0) {
            break;
        }
        if (n > VALUE_FILE_BYTES_MAX) {
            code = verb_fail(EXIT_CODE_USAGE, "%s is larger than 64 MiB", path);
        } else if (n == room) {
            char *larger = realloc(buffer, room * 2);
            if (larger == NULL) {
                break;
            }
            buffer = larger;
            room *= 2;
        }
    }
    if (code == EXIT_CODE_OK && (buffer == NULL || !feof(in))) {
        code = verb_fail(EXIT_CODE_REFUSED, "cannot read %s: %s", path,
                         buffer != NULL && ferror(in) ? strerror(errno)
                                                      : "out of memory");
    }
    if (in != NULL && in != stdin) {
        fclose(in);
    }
    if (code != EXIT_CODE_OK) {
        free(buffer);
        return code;
    }
    *data = buffer;
    *size = n;
    return code;
}

static void print_result_json(const char *name, const redisReply *reply)
{
    struct json_writer w = json_writer(stdout);
    json_open(&w, '{');
    json_name(&w, name);
    reply_print_json(&w, reply);
    json_close(&w, '}');
    json_end(&w);
}

static int print_result(const struct invocation *in, const char *name,
                        redisReply *reply, int code)
{
    if (wants_json(in)) {
        print_result_json(name, reply);
    } else {
        reply_print_text(stdout, reply, isatty(STDOUT_FILENO) != 0);
    }
    freeReplyObject(reply);
    return verb_finish(code);
}

int verb_put(const struct invocation *in)
{
    const char *path = in->options.value_file;
    char *data = NULL;
    const char *args[] = {"SET", in->args[0], NULL};
    size_t sizes[] = {3, strlen(in->args[0]), 0};
    struct command command = {3, args, sizes};
    redisReply *reply;
    if ((path != NULL) != (in->n_args == 1)) {
        return verb_fail(EXIT_CODE_USAGE,
                         "'put' needs either a VALUE or --value-file");
    }
    if (path != NULL) {
        int code = read_value(path, &data, &sizes[2]);
        if (code != EXIT_CODE_OK) {
            return code;
        }
        args[2] = data;
    } else {
        args[2] = in->args[1];
        sizes[2] = strlen(in->args[1]);
    }
    int code = data_call(in, CLIENT_WRITE, &command, &reply);
    free(data);
    return code != EXIT_CODE_OK ? code : print_result(in, "result", reply, 0);
}

int verb_del(const struct invocation *in)
{
    redisReply *reply;
    const char **args = calloc((size_t)in->n_args + 1, sizeof(*args));
    if (args == NULL) {
        return verb_fail(EXIT_CODE_REFUSED, "out of memory");
    }
    struct command command = {in->n_args + 1, args, NULL};
    args[0] = "DEL";
    memcpy(args + 1, in->args, (size_t)in->n_args * sizeof(*args));
    int code = data_call(in, CLIENT_WRITE, &command, &reply);
    free(args);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (reply->type != REDIS_REPLY_INTEGER) {
        return fail_reply(reply);
    }
    code = reply->integer == 0 ? EXIT_CODE_NOT_FOUND : EXIT_CODE_OK;
    return print_result(in, "deleted", reply, code);
}

int verb_incr(const struct invocation *in)
{
    const char *args[] = {"INCRBY", in->args[0],
                          in->n_args > 1 ? in->args[1] : "1"};
    struct command command = {3, args, NULL};
    redisReply *reply;
    const char *digits = args[2] + (args[2][0] == '-' ? 1 : 0);
    uint64_t by;
    if (text_parse_count(digits, 0, INT64_MAX, &by) != 0) {
        return verb_fail(EXIT_CODE_USAGE,
                         "'incr' needs a whole number of 64 bits, for example "
                         "5 or -5");
    }
    int code = data_call(in, CLIENT_WRITE, &command, &reply);
    return code != EXIT_CODE_OK ? code : print_result(in, "value", reply, 0);
}

int verb_exec(const struct invocation *in)
{
    struct command command = {in->n_args, (const char **)in->args, NULL};
    redisReply *reply;
    enum client_kind kind =
        command_names_is_read(in->args[0]) ? CLIENT_READ : CLIENT_WRITE;
    int code = data_call(in, kind, &command, &reply);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (reply->type == REDIS_REPLY_NIL) {
        code = EXIT_CODE_NOT_FOUND;
    }
    return print_result(in, "reply", reply, code);
}
