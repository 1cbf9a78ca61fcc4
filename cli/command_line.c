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
    {"dump", "export"},
    {"set-config", "config set"},
    {"transfer", "leader transfer"},
    {"stepdown", "leader transfer"},
    {"pause", "local pause"},
    {"resume", "local resume"},
    {"logs", "local logs"},
    {"shell", "prompt"},
};

uint64_t command_line_options(const struct verb *verb)
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

/* Do verbs of two words begin with this one? */
static bool is_group(const struct verb *verbs, size_t n_verbs, const char *word)
{
    size_t size = strlen(word);
    for (size_t i = 0; i < n_verbs; i++) {
        if (strncmp(verbs[i].name, word, size) == 0 &&
            verbs[i].name[size] == ' ') {
            return true;
        }
    }
    return false;
}

/* "'local' needs one of: up, down, ..." */
static int fail_group(const struct verb *verbs, size_t n_verbs,
                      const char *group, struct err_info *info)
{
    char words[ERR_MESSAGE_MAX / 2] = "";
    size_t size = strlen(group);
    for (size_t i = 0; i < n_verbs; i++) {
        size_t at = strlen(words);
        if (strncmp(verbs[i].name, group, size) == 0 &&
            verbs[i].name[size] == ' ') {
            snprintf(words + at, sizeof(words) - at, "%s%s", at > 0 ? ", " : "",
                     verbs[i].name + size + 1);
        }
    }
    return err_set(info, ERR_INVALID, "'%s' needs one of: %s", group, words);
}

/* What has been read of a command line. */
struct parse {
    const struct verb *verbs;
    size_t n_verbs;
    /* The first word of a verb of two, as long as the second may come: "local",
     * which is no verb alone, or "leader", which is one. */
    const char *group;
    bool help;
};

/* Take the word as the verb or as its second half. Returns 1 if it is neither,
 * but the first argument of the verb. */
static int take_verb_word(struct invocation *in, struct parse *p,
                          const char *word, struct err_info *info)
{
    char name[64];
    snprintf(name, sizeof(name), "%s%s%s", p->group == NULL ? "" : p->group,
             p->group == NULL ? "" : " ", word);
    const struct verb *found = find_verb(p->verbs, p->n_verbs, name);
    bool grouped = p->group != NULL;
    p->group = !grouped && is_group(p->verbs, p->n_verbs, word) ? word : NULL;
    if (found != NULL) {
        in->verb = found;
        return 0;
    }
    if (in->verb != NULL && in->verb->max_args > 0) {
        return 1;
    }
    if (!grouped && strcmp(word, "help") == 0) {
        p->help = true;
        return 0;
    }
    return p->group != NULL ? 0 : fail_verb(p->verbs, p->n_verbs, name, info);
}

static int check_options(const struct invocation *in, struct err_info *info)
{
    uint64_t wrong = in->options.seen & ~command_line_options(in->verb);
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

int command_line_check(const struct invocation *in, struct err_info *info)
{
    int rc = check_options(in, info);
    return rc != 0 ? rc : check_args(in, info);
}

static int finish_parse(const struct invocation *in, const struct parse *p,
                        struct err_info *info)
{
    if (p->help || in->options.help) {
        return ERR_EXISTS;
    }
    if (in->verb != NULL) {
        return command_line_check(in, info);
    }
    if (p->group != NULL) {
        return fail_group(p->verbs, p->n_verbs, p->group, info);
    }
    return err_set(info, ERR_NOTFOUND,
                   "no verb; concordctl --help lists them, and on a terminal "
                   "concordctl alone is a prompt");
}

int command_line_parse(struct invocation *in, const struct verb *verbs,
                       size_t n_verbs, int argc, char **argv,
                       struct err_info *info)
{
    struct parse p = {verbs, n_verbs, NULL, false};
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
            continue;
        }
        int rc = in->verb == NULL || (p.group != NULL && in->n_args == 0)
                     ? take_verb_word(in, &p, word, info)
                     : 1;
        if (rc < 0) {
            return rc;
        }
        if (rc > 0) {
            in->args[in->n_args++] = argv[at];
        }
        at++;
    }
    return finish_parse(in, &p, info);
}

void command_line_print_help(FILE *out, const struct verb *verbs,
                             size_t n_verbs)
{
    fputs("concordctl " CONCORDKV_VERSION " - work with a ConcordKV cluster\n\n"
          "usage: concordctl VERB [ARGUMENTS] [OPTIONS]\n"
          "       concordctl [OPTIONS]         a prompt, on a terminal\n\n"
          "verbs:\n",
          out);
    for (size_t i = 0; i < n_verbs; i++) {
        fprintf(out, "  %-17s  %s\n", verbs[i].name, verbs[i].summary);
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
    option_print_help(out, command_line_options(verb));
    if (verb->timeout_ms > 0) {
        fprintf(out, "\n--timeout is %lld s unless given. ",
                (long long)(verb->timeout_ms / 1000));
    } else {
        putc('\n', out);
    }
    fputs("Exit codes: concordctl --help.\n", out);
}
