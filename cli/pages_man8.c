/* concordkv(8) in mdoc, out of the text of the node's --help, which its table
 * of options makes. */
#include <string.h>

#include "cli/pages.h"
#include "node/config.h"

enum { HELP_MAX = 64 * 1024 };

struct page {
    FILE *out;
    bool listing; /* inside the list of a section */
};

static void end_list(struct page *p)
{
    if (p->listing) {
        fputs(".El\n", p->out);
        p->listing = false;
    }
}

/* "  --name <unit>  (default x)" */
static void print_option(struct page *p, char *line)
{
    char *unit = strchr(line, '<');
    char *end = unit == NULL ? NULL : strchr(unit, '>');
    char *name = line + strlen("  --");
    if (!p->listing) {
        fputs(".Bl -tag -width Ds\n", p->out);
        p->listing = true;
    }
    name[strcspn(name, " ")] = '\0';
    fprintf(p->out, ".It Fl Fl %s", name);
    if (end != NULL) {
        *end = '\0';
        fprintf(p->out, " Ar %s", unit + 1);
        end++;
        end += strspn(end, " ");
        fprintf(p->out, " No %s", end);
    }
    putc('\n', p->out);
}

static void print_line(struct page *p, char *line)
{
    size_t size = strlen(line);
    if (strncmp(line, "  --", 4) == 0) {
        print_option(p, line);
    } else if (line[0] == ' ' && p->listing) {
        pages_print_text(p->out, line + strspn(line, " "));
    } else if (size > 1 && line[size - 1] == ':' && line[0] != ' ') {
        end_list(p);
        line[size - 1] = '\0';
        fprintf(p->out, ".Ss %s\n", line);
    }
}

void pages_print_man8(FILE *out)
{
    static char help[HELP_MAX];
    struct page p = {out, false};
    (void)config_help(help, sizeof(help));
    fputs(".Dd November 23, 2026\n.Dt CONCORDKV 8\n.Os\n.Sh NAME\n"
          ".Nm concordkv\n.Nd one node of a ConcordKV cluster\n"
          ".Sh SYNOPSIS\n.Nm\n.Fl Fl data-dir Ar path\n.Op Ar option ...\n"
          ".Sh DESCRIPTION\n"
          "Runs one node of a Raft-replicated key/value cluster that speaks "
          "the Redis protocol.\n"
          "It logs to standard error, stays in the foreground, and on SIGTERM "
          "hands leadership\nover and ends.\n"
          ".Pp\n"
          "Each option is also read from the environment:\n.Fl Fl data-dir\n"
          "is\n.Ev CONCORDKV_DATA_DIR ,\nand so on; a flag wins.\n"
          "Bytes take the suffixes k, m and g (1024-fold).\n"
          ".Sh OPTIONS\n",
          out);
    for (char *line = strtok(help, "\n"); line != NULL;
         line = strtok(NULL, "\n")) {
        print_line(&p, line);
    }
    end_list(&p);
    fputs(".Sh SEE ALSO\n.Xr concordctl 1\n", out);
}
