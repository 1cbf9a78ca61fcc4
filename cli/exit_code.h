/* What concordctl's exit status means; scripts may rely on these numbers.
 *
 * A verb returns one of them from its run function; the same list is printed
 * at the end of `concordctl --help`. */
#ifndef CLI_EXIT_CODE_H
#define CLI_EXIT_CODE_H

/* X(name, number, text) */
#define EXIT_CODE_LIST(X)                                                      \
    X(OK, 0, "done")                                                           \
    X(NOT_FOUND, 1, "the key (or thing asked for) does not exist")             \
    X(USAGE, 2, "wrong verb, argument or input")                               \
    X(REFUSED, 3, "the server refused, or something local failed")             \
    X(UNKNOWN, 4, "a write was sent, but whether it happened is unknown")      \
    X(UNREACHABLE, 5, "no node reachable, or no leader, within --timeout")     \
    X(INTERRUPTED, 130, "stopped by Ctrl-C or SIGTERM")

enum exit_code {
#define EXIT_CODE_ENUM(name, number, text) EXIT_CODE_##name = (number),
    EXIT_CODE_LIST(EXIT_CODE_ENUM)
#undef EXIT_CODE_ENUM
};

#endif
