/* The command line; see command_line.h. */
#include "cli/command_line.h"

#include <ctype.h>
#include <string.h>

#include "cli/suggest.h"

enum { VERBS_MAX = 64 };

/* Options that mean something for every verb. */
static const uint64_t common_options = OPTION_BIT(HELP) | OPTION_BIT(OUTPUT);

/* Words that other tools use for our verbs. */
static const char *const synonyms[][2] = {
    {"set", "put"},
    {"delete", "del"},
    {"rm", "del"},
    {"remove", "del"},
    {"keys", "scan"},
    {"ls", "scan"},
    {"list", "scan"},
    {"load", "import"},
    {"info", "status"},
    {"nodes", "status"},
    {"master", "leader"},
    {"wait", "wait-healthy"},
    {"health", "wait-healthy"},
    {"run", "exec"},
    {"start", "local up"},
    {"up", "local up"},
    {"stop", "local down"},
    {"down", "local down"},
    {"kill", "local kill"},
    {"restart", "local restart"},
    {"export", "scan --values"},
};

static uint64_t verb_options(const struct verb *verb)
{
    return common_options | verb->options |
           (verb->timeout_ms > 0 ? OPTION_BIT(TIMEOUT) : 0);
}

static const struct verb *find_verb(const struct verb *verbs, size_t n_verbs,
                                    const char *name)
{
    for (size_t i = 0; i < n_verbs; i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

static const char *guess_verb(const struct verb *verbs, size_t n_verbs,
                              const char *name)
{
    const char *names[VERBS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < sizeof(synonyms) / sizeof(synonyms[0]); i++) {
        if (strcmp(synonyms[i][0], name) == 0) {
            return synonyms[i][1];
        }
    }
    for (size_t i = 0; i < n_verbs && n < VERBS_MAX; i++) {
        names[n++] = verbs[i].name;
    }
    return suggest_nearest(name, names, n);
}

static int fail_verb(const struct verb *verbs, size_t n_verbs, const char *name,
                     struct err_info *info)
{
    char shown[80];
    const char *guess = guess_verb(verbs, n_verbs, name);
    err_escape(shown, sizeof(shown), name, strlen(name));
    if (guess != NULL) {
        return err_set(info, ERR_INVALID,
                       "unknown verb '%s'; did you mean 'concordctl %s'?",
                       shown, guess);
    }
    return err_set(info, ERR_INVALID,
                   "unknown verb '%s'; concordctl --help lists all", shown);
}

/* -5 is a number, not an option; "-" is stdin. */
static bool is_option(const char *arg)
{
    return arg[0] == '-' && arg[1] != '\0' && !(arg[1] >= '0' && arg[1] <= '9');
}

/* Take the word as the verb or its second half; 0 if more is needed. */
static int take_verb_word(struct invocation *in, const struct verb *verbs,
                          size_t n_verbs, const char *word, bool *local,
                          struct err_info *info)
{
    char name[64];
    if (!*local && strcmp(word, "local") == 0) {
        *local = true;
        return 0;
    }
    snprintf(name, sizeof(name), "%s%s", *local ? "local " : "", word);
    in->verb = find_verb(verbs, n_verbs, name);
    if (in->verb == NULL && strcmp(word, "help") != 0) {
        return fail_verb(verbs, n_verbs, name, info);
    }
    return 0;
}

static int check_options(const struct invocation *in, struct err_info *info)
{
    uint64_t wrong = in->options.seen & ~verb_options(in->verb);
    for (int i = 0; i < OPTION_N; i++) {
        if ((wrong & (UINT64_C(1) << i)) != 0) {
            return err_set(info, ERR_INVALID,
                           "'%s' takes no --%s; see concordctl %s --help",
                           in->verb->name, option_name((enum option_id)i),
                           in->verb->name);
        }
    }
    return 0;
}

static int check_args(const struct invocation *in, struct err_info *info)
{
    const struct verb *verb = in->verb;
    if (in->n_args < verb->min_args) {
        return err_set(info, ERR_INVALID,
                       "'%s' needs more arguments; usage: concordctl %s %s",
                       verb->name, verb->name, verb->usage);
    }
    if (in->n_args > verb->max_args) {
        char shown[80];
        const char *arg = in->args[verb->max_args];
        err_escape(shown, sizeof(shown), arg, strlen(arg));
        return err_set(info, ERR_INVALID,
                       "'%s' has no use for '%s' (a value with blanks needs "
                       "quotes); usage: concordctl %s %s",
                       verb->name, shown, verb->name, verb->usage);
    }
    if (in->n_extra > 0 && !verb->extra) {
        return err_set(info, ERR_INVALID, "'%s' takes nothing behind --",
                       verb->name);
    }
    return 0;
}

/* What is behind "--": arguments, or words to hand on. */
static void take_rest(struct invocation *in, char **argv, int argc, int at)
{
    if (in->verb != NULL && in->verb->extra) {
        in->extra = argv + at;
        in->n_extra = argc - at;
        return;
    }
    while (at < argc) {
        in->args[in->n_args++] = argv[at++];
    }
}

int command_line_parse(struct invocation *in, const struct verb *verbs,
                       size_t n_verbs, int argc, char **argv,
                       struct err_info *info)
{
    bool local = false;
    bool help = false;
    memset(in, 0, sizeof(*in));
    /* Arguments move to the front of argv, over words already read. */
    in->args = argv + 1;
    for (int at = 1; at < argc;) {
        const char *word = argv[at];
        if (strcmp(word, "--") == 0) {
            take_rest(in, argv, argc, at + 1);
            break;
        }
        bool verbatim =
            in->verb != NULL && in->verb->verbatim && in->n_args > 0;
        if (is_option(word) && !verbatim) {
            int used = option_take(&in->options, argv, argc, at, info);
            if (used < 0) {
                return used;
            }
            at += used;
        } else if (in->verb == NULL) {
            int rc = take_verb_word(in, verbs, n_verbs, word, &local, info);
            if (rc != 0) {
                return rc;
            }
            help = help || strcmp(word, "help") == 0;
            at++;
        } else {
            in->args[in->n_args++] = argv[at++];
        }
    }
    if (help || in->options.help) {
        return ERR_EXISTS;
    }
    if (in->verb == NULL) {
        return local ? err_set(info, ERR_INVALID,
                               "'local' needs one of: up, down, kill, "
                               "restart, status")
                     : err_set(info, ERR_INVALID,
                               "no verb; concordctl --help lists them");
    }
    int rc = check_options(in, info);
    return rc != 0 ? rc : check_args(in, info);
}

void command_line_print_help(FILE *out, const struct verb *verbs,
                             size_t n_verbs)
{
    fputs("concordctl " CONCORDKV_VERSION " - work with a ConcordKV cluster\n\n"
          "usage: concordctl VERB [ARGUMENTS] [OPTIONS]\n\nverbs:\n",
          out);
    for (size_t i = 0; i < n_verbs; i++) {
        fprintf(out, "  %-14s  %s\n", verbs[i].name, verbs[i].summary);
    }
    fputs("\noptions of most verbs:\n", out);
    option_print_help(out, common_options | OPTION_BIT(ENDPOINTS) |
                               OPTION_BIT(TIMEOUT));
    fputs("\nexit codes:\n", out);
#define EXIT_CODE_LINE(name, number, text)                                     \
    fprintf(out, "  %-4d  %s\n", number, text);
    EXIT_CODE_LIST(EXIT_CODE_LINE)
#undef EXIT_CODE_LINE
    fputs("\nconcordctl VERB --help explains one verb.\n", out);
}

void command_line_print_verb_help(FILE *out, const struct verb *verb)
{
    fprintf(out, "usage: concordctl %s [OPTIONS]%s%s\n\n%c%s.\n", verb->name,
            verb->usage[0] == '\0' ? "" : " ", verb->usage,
            toupper((unsigned char)verb->summary[0]), verb->summary + 1);
    if (verb->details != NULL) {
        fprintf(out, "\n%s\n", verb->details);
    }
    fputs("\noptions:\n", out);
    option_print_help(out, verb_options(verb));
    if (verb->timeout_ms > 0) {
        fprintf(out, "\n--timeout is %lld s unless given. ",
                (long long)(verb->timeout_ms / 1000));
    } else {
        putc('\n', out);
    }
    fputs("Exit codes: concordctl --help.\n", out);
}
