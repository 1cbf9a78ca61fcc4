/* A session at the prompt: lines to commands and verbs.
 *
 * A line is a Redis command, sent to the leader over one connection that is
 * kept, or a verb of concordctl that is no command of Redis ("status", "local
 * up"), run in this process with the same endpoints. What the client does about
 * a failover (client.h) holds here too, with one exception: what belongs to a
 * connection (MULTI, WATCH) is never continued on another one. */
#ifndef CLI_PROMPT_H
#define CLI_PROMPT_H

#include "cli/prompt_words.h"
#include "cli/verb.h"

enum {
    PROMPT_TEXT_MAX = 128,
    PROMPT_LOOK_MS = 500, /* to find out who leads, before each line */
    PROMPT_SLOW_MS = 500  /* then the time is shown behind the reply */
};

struct prompt {
    const struct invocation *in; /* of the verb prompt */
    struct client client;
    bool multi;    /* between MULTI and EXEC */
    bool watching; /* WATCH was said */
    bool quit;
    int code; /* of the last line that failed */
};

void prompt_init(struct prompt *p, const struct invocation *in);
void prompt_close(struct prompt *p);

/* Look who leads, and write what stands before the line into out, of
 * PROMPT_TEXT_MAX bytes: "leader 2> ", "node 1, leader 2> ", "no leader> ". */
char *prompt_text(struct prompt *p, char *out);

/* Carry out one line, print what comes of it. Returns an exit code. */
int prompt_run(struct prompt *p, const char *line);

/* prompt_edit.c: lines typed at a terminal, with history and completion, until
 * the session ends. */
int prompt_edit(struct prompt *p);

#endif
