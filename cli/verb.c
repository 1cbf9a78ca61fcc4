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
