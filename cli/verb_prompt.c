/* The verb prompt: commands typed at a terminal, or read from a pipe, a line
 * each. */
#include <stdlib.h>
#include <unistd.h>

#include "cli/clock.h"
#include "cli/prompt.h"

/* Lines of a pipe or file: no prompt, no editing. */
static int read_lines(struct prompt *p)
{
    char *line = NULL;
    size_t room = 0;
    while (!p->quit && !clock_interrupted() &&
           getline(&line, &room, stdin) > 0) {
        (void)prompt_run(p, line);
    }
    free(line);
    return clock_interrupted() ? EXIT_CODE_INTERRUPTED : p->code;
}

int verb_prompt(const struct invocation *in)
{
    static struct prompt p; /* large */
    prompt_init(&p, in);
    int code = isatty(STDIN_FILENO) ? prompt_edit(&p) : read_lines(&p);
    prompt_close(&p);
    return verb_finish(code);
}
