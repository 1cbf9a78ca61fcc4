/* The program concordkv: options in, a running node out. */
#include <stdio.h>
#include <stdlib.h>

#include "node/config.h"
#include "node/daemon.h"
#include "node/trace.h"

static const char *environment(const char *name)
{
    return getenv(name);
}

static int print_help(void)
{
    size_t size = config_help(NULL, 0) + 1;
    char *text = malloc(size);

    if (text == NULL) {
        return DAEMON_EXIT_START;
    }
    config_help(text, size);
    fputs(text, stdout);
    free(text);
    return DAEMON_EXIT_OK;
}

int main(int argc, char **argv)
{
    static struct config config;
    struct err_info info;
    int status;

    switch (config_load(&config, argc, argv, environment, &info)) {
    case CONFIG_RUN:
        break;
    case CONFIG_HELP:
        return print_help();
    case CONFIG_VERSION:
        puts("concordkv " CONCORDKV_VERSION);
        return DAEMON_EXIT_OK;
    default:
        fprintf(stderr, "concordkv: %s\n", info.message);
        return DAEMON_EXIT_USAGE;
    }
    trace_init(config.id, config.trace_max);
    status = daemon_run(&config, &info);
    if (status == DAEMON_EXIT_START) {
        fprintf(stderr, "concordkv: %s\n", info.message);
    }
    return status;
}
