/* Small helpers that every verb uses; see verb.h. */
#include "cli/verb.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "cli/clock.h"

int verb_fail(int code, const char *format, ...)
{
    va_list args;
    fflush(stdout);
    fputs("concordctl: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    putc('\n', stderr);
    return code;
}

int verb_fail_call(const struct invocation *in, int code,
                   const struct err_info *info)
{
    const char *next = "";
    if (code == EXIT_CODE_UNREACHABLE) {
        next = in->endpoints_guessed
                   ? "; name the nodes with --endpoints, or start some here "
                     "with 'concordctl local up'"
                   : "; 'concordctl status' shows each node";
    } else if (code == EXIT_CODE_UNKNOWN) {
        next = "; look before you send it again";
    }
    return verb_fail(code, "%s%s", info->message, next);
}

int64_t verb_timeout_ms(const struct invocation *in)
{
    return in->options.timeout_ms > 0 ? in->options.timeout_ms
                                      : in->verb->timeout_ms;
}

int64_t verb_deadline_ms(const struct invocation *in)
{
    return clock_now_ms() + verb_timeout_ms(in);
}

int verb_finish(int code)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return verb_fail(EXIT_CODE_REFUSED, "cannot write the result: %s",
                         strerror(errno));
    }
    return code;
}
