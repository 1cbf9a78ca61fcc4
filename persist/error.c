/* The last failure of each thread; see error.h. */
#include "persist/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "persist/kv_persist.h"

static __thread char message[ERR_MESSAGE_MAX];

const char *persist_errmsg(void)
{
    return message;
}

const char *persist_version(void)
{
    return CONCORDKV_VERSION;
}

int error_number(int code)
{
    switch (code) {
    case ERR_NOMEM:
        return ENOMEM;
    case ERR_NOSPACE:
        return ENOSPC;
    case ERR_CORRUPT:
        return EBADMSG;
    case ERR_VERSION:
        return ENOTSUP;
    case ERR_EXISTS:
        return EEXIST;
    case ERR_NOTFOUND:
        return ENOENT;
    case ERR_CLUSTER:
    case ERR_INVALID:
        return EINVAL;
    case ERR_BUSY:
    case ERR_LOCKED:
        return EBUSY;
    case ERR_RANGE:
    case ERR_GAP:
        return ERANGE;
    case ERR_TOOBIG:
        return EMSGSIZE;
    case ERR_AGAIN:
        return EAGAIN;
    case ERR_STOPPED:
        return ECANCELED;
    case ERR_ACCESS:
        return EACCES;
    default:
        return EIO;
    }
}

int error_return(int code, const struct err_info *info)
{
    const char *words = info != NULL ? info->message : "";

    if (code == 0) {
        return 0;
    }
    (void)snprintf(message, sizeof message, "%s",
                   words[0] != '\0' ? words : err_text(code));
    errno = error_number(code);
    return -1;
}

int error_say(int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    errno = error_number(code);
    return -1;
}
