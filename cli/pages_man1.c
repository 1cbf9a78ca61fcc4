/* concordctl(1) in mdoc. */
#include <string.h>

#include "cli/command_line.h"
#include "cli/pages.h"
#include "cli/verb_table.h"

void pages_print_text(FILE *out, const char *text)
{
    bool at_begin = true;
    for (; *text != '\0'; text++) {
        if (text[0] == '\n' && text[1] == '\n') {
            fputs("\n.Pp\n", out);
            at_begin = true;
            text++;
            continue;
        }
        char c = *text == '\n' ? ' ' : *text;
        /* mdoc sets the space behind a sentence, where its line ends. */
        if (c == ' ' && !at_begin && strchr(".!?", text[-1]) != NULL) {
            putc('\n', out);
            at_begin = true;
            continue;
        }
        if (at_begin && (c == '.' || c == '\'')) {
            fputs("\\&", out);
        }
        if (c == '\\') {
            fputs("\\e", out);
        } else {
            putc(c, out);
        }
        at_begin = false;
    }
    putc('\n', out);
}

/* As it would be typed: no macro in it, and '-' as the character itself. */
static void print_literal(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\\') {
            fputs("\\e", out);
        } else if (*text == '-') {
            fputs("\\-", out);
        } else {
            putc(*text, out);
        }
    }
}

static void print_options(FILE *out, uint64_t mask)
{
    fputs(".Bl -tag -width Ds\n", out);
    for (int i = 0; i < OPTION_N; i++) {
        enum option_id id = (enum option_id)i;
        if ((mask & (UINT64_C(1) << i)) == 0) {
            continue;
        }
        fputs(".It ", out);
        if (option_letter(id) != '\0') {
            fprintf(out, "Fl %c , ", option_letter(id));
        }
        fprintf(out, "Fl Fl %s", option_name(id));
        if (option_value(id) != NULL) {
            fprintf(out, " Ar %s", option_value(id));
        }
        putc('\n', out);
        pages_print_text(out, option_help(id));
    }
    fputs(".El\n", out);
}

/* "--name, --other" of the verb's own options. */
static void print_option_names(FILE *out, uint64_t mask)
{
    bool any = false;
    for (int i = 0; i < OPTION_N; i++) {
        if ((mask & (UINT64_C(1) << i)) != 0) {
            fprintf(out, "%s.Fl Fl %s", any ? " ,\n" : "",
                    option_name((enum option_id)i));
            any = true;
        }
    }
    fputs(" .\n", out);
}

static void print_verb(FILE *out, const struct verb *verb)
{
    static const uint64_t common = OPTION_BIT(HELP) | OPTION_BIT(OUTPUT);
    uint64_t own = command_line_options(verb) & ~common;
    fprintf(out, ".It Cm %s", verb->name);
    if (verb->usage[0] != '\0') {
        fputs(" No ", out);
        print_literal(out, verb->usage);
    }
    putc('\n', out);
    char summary[200];
    snprintf(summary, sizeof(summary), "%s.", verb->summary);
    if (summary[0] >= 'a' && summary[0] <= 'z') {
        summary[0] = (char)(summary[0] - 'a' + 'A');
    }
    pages_print_text(out, summary);
    if (verb->details != NULL) {
        fputs(".Pp\n", out);
        pages_print_text(out, verb->details);
    }
    if (own != 0) {
        fputs(".Pp\nOptions:\n", out);
        print_option_names(out, own);
    }
    if (verb->timeout_ms > 0) {
        fprintf(out, "The default of\n.Fl Fl timeout\nis %lld s.\n",
                (long long)(verb->timeout_ms / 1000));
    }
}

static void print_end(FILE *out)
{
    fputs(".Sh ENVIRONMENT\n.Bl -tag -width Ds\n"
          ".It Ev CONCORDKV_ENDPOINTS\n"
          "Client addresses of the nodes, where\n.Fl Fl endpoints\n"
          "is not given.\n"
          ".It Ev CONCORDKV_SERVER\n"
          "The program that\n.Cm local up\nstarts, where\n.Fl Fl server\n"
          "is not given.\n"
          ".It Ev XDG_STATE_HOME\n"
          "Where the local cluster and the history of the prompt are kept, as\n"
          ".Pa concordkv/local\nand\n.Pa concordkv/history ;\n"
          "else\n.Pa ~/.local/state .\n.El\n",
          out);
    fputs(".Sh EXIT STATUS\n.Bl -tag -width Ds\n", out);
#define PRINT_CODE(name, number, text)                                         \
    fprintf(out, ".It %d\n", number);                                          \
    pages_print_text(out, text);
    EXIT_CODE_LIST(PRINT_CODE)
#undef PRINT_CODE
    fputs(".El\n"
          ".Sh EXAMPLES\n"
          "A cluster of three nodes on this machine, a key, and the end:\n"
          ".Bd -literal -offset indent\n"
          "concordctl local up\n"
          "concordctl put greeting hello\n"
          "concordctl get greeting\n"
          "concordctl local down\n"
          ".Ed\n.Pp\n"
          "A copy of all keys, with when they end, and back into another "
          "cluster:\n"
          ".Bd -literal -offset indent\n"
          "concordctl export all.jsonl\n"
          "concordctl \\-\\-endpoints other:6379 import all.jsonl\n"
          ".Ed\n.Pp\n"
          "What a stopped node has in its log:\n"
          ".Bd -literal -offset indent\n"
          "concordctl inspect log /var/lib/concordkv \\-\\-entries\n"
          ".Ed\n"
          ".Sh SEE ALSO\n.Xr concordkv 8\n",
          out);
}

void pages_print_man1(FILE *out)
{
    uint64_t all = 0;
    fputs(".Dd November 23, 2026\n.Dt CONCORDCTL 1\n.Os\n.Sh NAME\n"
          ".Nm concordctl\n.Nd work with a ConcordKV cluster\n"
          ".Sh SYNOPSIS\n.Nm\n.Ar verb\n.Op Ar argument ...\n"
          ".Op Ar option ...\n.Nm\n.Op Ar option ...\n"
          ".Sh DESCRIPTION\n"
          "Reads and writes keys of a ConcordKV cluster, moves many of them in "
          "and out, shows\nand changes how its nodes work, runs a cluster on "
          "this machine, and looks into the\nfiles of a node.\n"
          "Without a verb, on a terminal, it is a prompt.\n"
          ".Pp\n"
          "The endpoints are asked in turn who leads; a command that was "
          "certainly not carried\nout is sent again, one whose fate is unknown "
          "is reported as that (exit status 4).\n"
          ".Pp\n"
          "Options may stand before or behind the verb.\n"
          "The word\n.Cm \\-\\-\nends them.\n"
          ".Sh VERBS\n.Bl -tag -width Ds\n",
          out);
    for (size_t i = 0; i < verb_table_size; i++) {
        print_verb(out, &verb_table[i]);
        all |= command_line_options(&verb_table[i]);
    }
    fputs(".El\n.Sh OPTIONS\n"
          "Each verb takes those that are named with it, and\n.Fl Fl help\n"
          "and\n.Fl Fl output .\n",
          out);
    print_options(out, all);
    print_end(out);
}
