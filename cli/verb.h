/* A verb of concordctl and how it is called. main.c has the table. */
#ifndef CLI_VERB_H
#define CLI_VERB_H

#include <stdio.h>

#include "cli/client.h"
#include "cli/exit_code.h"
#include "cli/option.h"

struct verb;

/* What the command line said; everything is borrowed from argv. */
struct invocation {
    const struct verb *verb;
    struct options options;
    struct endpoint_list endpoints;
    bool endpoints_guessed; /* nobody named them: those of `local up` */
    char **args;            /* behind the verb, without options */
    int n_args;
    char **extra; /* behind "--", for verbs that hand them on */
    int n_extra;
};

/* Returns an exit code, after saying on stderr what went wrong. */
typedef int (*verb_run_cb)(const struct invocation *in);

struct verb {
    const char *name; /* "local up" has two words */
    const char *usage;
    const char *summary;
    const char *details;
    uint64_t options; /* besides those every verb takes */
    int min_args;
    int max_args;
    int64_t timeout_ms; /* default of --timeout; 0: takes none */
    bool verbatim;      /* behind its first argument nothing is an option */
    bool extra;         /* takes words behind "--" */
    verb_run_cb run;
};

/* "concordctl: ..." on stderr; returns code. */
int verb_fail(int code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same for what a call to the cluster ended with; what to do next is said
 * where no node could be reached. */
int verb_fail_call(const struct invocation *in, int code,
                   const struct err_info *info);

/* now + --timeout or the verb's default. */
int64_t verb_deadline_ms(const struct invocation *in);
int64_t verb_timeout_ms(const struct invocation *in);

/* Flush stdout; a failed write is not success. */
int verb_finish(int code);

int verb_get(const struct invocation *in);
int verb_mget(const struct invocation *in);
int verb_put(const struct invocation *in);
int verb_del(const struct invocation *in);
int verb_incr(const struct invocation *in);
int verb_scan(const struct invocation *in);
int verb_exec(const struct invocation *in);
int verb_prompt(const struct invocation *in);
int verb_import(const struct invocation *in);
int verb_export(const struct invocation *in);
int verb_status(const struct invocation *in);
int verb_leader(const struct invocation *in);
int verb_leader_transfer(const struct invocation *in);
int verb_wait_healthy(const struct invocation *in);
int verb_ping(const struct invocation *in);
int verb_config_get(const struct invocation *in);
int verb_config_set(const struct invocation *in);
int verb_compact(const struct invocation *in);
int verb_log_list(const struct invocation *in);
int verb_stats(const struct invocation *in);
int verb_inspect_log(const struct invocation *in);
int verb_inspect_snapshot(const struct invocation *in);
int verb_inspect_hardstate(const struct invocation *in);
int verb_local_up(const struct invocation *in);
int verb_local_down(const struct invocation *in);
int verb_local_kill(const struct invocation *in);
int verb_local_pause(const struct invocation *in);
int verb_local_resume(const struct invocation *in);
int verb_local_restart(const struct invocation *in);
int verb_local_status(const struct invocation *in);
int verb_local_logs(const struct invocation *in);

#endif
