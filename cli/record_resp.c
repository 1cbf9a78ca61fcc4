/* One command of the Redis protocol to one record; see record.h. */
#include <string.h>
#include <strings.h>

#include "cli/record.h"
#include "cli/text.h"

enum {
    RESP_ARGS_MAX = 8,
    RESP_LINE_MAX = 24 /* "*" or "$", a number, CRLF */
};

struct argument {
    char *data;
    size_t size;
};

/* The number of the line "<sign><number>CRLF" at *at, which moves behind it.
 * Returns 1, 0 if it is not complete yet, or ERR_INVALID. */
static int take_count(char **at, const char *end, char sign, uint64_t *out)
{
    char digits[RESP_LINE_MAX];
    size_t left = (size_t)(end - *at);
    const char *newline =
        memchr(*at, '\n', left < RESP_LINE_MAX ? left : RESP_LINE_MAX);
    if (left > 0 && **at != sign) {
        return ERR_INVALID;
    }
    if (newline == NULL) {
        return left < RESP_LINE_MAX ? 0 : ERR_INVALID;
    }
    size_t size = (size_t)(newline - *at);
    if (size < 3 || newline[-1] != '\r') {
        return ERR_INVALID;
    }
    memcpy(digits, *at + 1, size - 2);
    digits[size - 2] = '\0';
    if (text_parse_count(digits, 0, UINT32_MAX, out) != 0) {
        return ERR_INVALID;
    }
    *at += size + 1;
    return 1;
}

bool record_is_resp(const char *line, size_t size)
{
    if (size < 3 || line[0] != '*' || line[size - 1] != '\r') {
        return false;
    }
    for (size_t i = 1; i < size - 1; i++) {
        if (line[i] < '0' || line[i] > '9') {
            return false;
        }
    }
    return true;
}

static bool is_word(const struct argument *a, const char *word)
{
    return a->size == strlen(word) && strncasecmp(a->data, word, a->size) == 0;
}

static int refuse(const struct argument *name, const char *why,
                  struct err_info *info)
{
    char shown[64];
    return err_set(info, ERR_INVALID,
                   "command '%s' %s; import takes only what may be sent again "
                   "after a failover, redis-cli --pipe sends anything",
                   err_escape(shown, sizeof(shown), name->data, name->size),
                   why);
}

/* The options of SET behind its value. */
static bool set_is_repeatable(const struct argument *args, size_t n)
{
    static const char *const with_time[] = {"EX", "PX", "EXAT", "PXAT"};
    for (size_t i = 0; i < n; i++) {
        bool timed = false;
        for (size_t j = 0; j < 4; j++) {
            timed = timed || is_word(&args[i], with_time[j]);
        }
        if (!timed && !is_word(&args[i], "KEEPTTL")) {
            return false;
        }
        i += timed ? 1 : 0;
    }
    return true;
}

/* What the arguments mean, which lie in r->command. */
static int judge(struct record *r, const struct argument *args, size_t n,
                 struct err_info *info)
{
    static const struct {
        const char *name;
        size_t n_args;
    } rows[] = {{"SETEX", 4},    {"PSETEX", 4},    {"DEL", 2},
                {"UNLINK", 2},   {"EXPIRE", 3},    {"PEXPIRE", 3},
                {"EXPIREAT", 3}, {"PEXPIREAT", 3}, {"PERSIST", 2}};
    bool known = false;
    bool fits = false;
    if (is_word(&args[0], "SELECT")) {
        return n == 2 && is_word(&args[1], "0")
                   ? 0
                   : refuse(&args[0], "names a database other than 0", info);
    }
    if (is_word(&args[0], "SET")) {
        known = true;
        fits = n >= 3 && set_is_repeatable(args + 3, n - 3);
    }
    for (size_t i = 0; !known && i < sizeof(rows) / sizeof(rows[0]); i++) {
        known = is_word(&args[0], rows[i].name);
        fits = known && n == rows[i].n_args;
    }
    if (!known || !fits) {
        return refuse(&args[0],
                      known ? "has other arguments than import takes"
                            : "is none that import takes",
                      info);
    }
    if (args[1].size == 0) {
        return err_set(info, ERR_INVALID, "the key is empty");
    }
    r->key = args[1].data;
    r->key_size = args[1].size;
    return 0;
}

static int fail_form(struct err_info *info)
{
    return err_set(info, ERR_INVALID,
                   "not a command as an array of bulk strings "
                   "(\"*3\\r\\n$3\\r\\nSET\\r\\n...\")");
}

int record_parse_resp(struct record *r, char *data, size_t size, size_t *used,
                      struct err_info *info)
{
    struct argument args[RESP_ARGS_MAX];
    char *at = data;
    const char *end = data + size;
    uint64_t n = 0;
    uint64_t length = 0;
    int rc = take_count(&at, end, '*', &n);
    if (rc <= 0) {
        return rc == 0 ? 0 : fail_form(info);
    }
    if (n == 0 || n > RESP_ARGS_MAX) {
        return err_set(info, ERR_INVALID,
                       "a command of %u words; import takes those of 1 to %d",
                       (unsigned)n, (int)RESP_ARGS_MAX);
    }
    for (uint64_t i = 0; i < n; i++) {
        rc = take_count(&at, end, '$', &length);
        if (rc <= 0) {
            return rc == 0 ? 0 : fail_form(info);
        }
        if ((size_t)(end - at) < length + 2) {
            return 0;
        }
        if (memcmp(at + length, "\r\n", 2) != 0) {
            return fail_form(info);
        }
        args[i].data = at;
        args[i].size = (size_t)length;
        at += length + 2;
    }
    memset(r, 0, sizeof(*r));
    r->command = data;
    r->command_size = (size_t)(at - data);
    *used = r->command_size;
    rc = judge(r, args, (size_t)n, info);
    return rc != 0 ? rc : 1;
}
