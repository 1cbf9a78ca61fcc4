/* Formatting and writing of event lines. */
#include "node/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t trace_node_id;
static enum trace_level trace_level_max = TRACE_INFO;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void trace_init(uint64_t node_id, enum trace_level max)
{
    trace_node_id = node_id;
    trace_level_max = max;
}

enum trace_level trace_max(void)
{
    return trace_level_max;
}

static bool trace_on(enum trace_level level)
{
    return level <= trace_level_max;
}

const char *trace_level_name(enum trace_level level)
{
    return level_names[level];
}

int trace_level_parse(const char *text, enum trace_level *out)
{
    for (unsigned i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *out = (enum trace_level)i;
            return 0;
        }
    }
    return ERR_INVALID;
}

char *trace_quote(char *out, size_t out_size, const char *text)
{
    if (out_size < 3) {
        out[0] = '\0';
        return out;
    }
    out[0] = '"';
    err_escape(out + 1, out_size - 2, text, strlen(text));
    for (char *p = out + 1; *p != '\0'; p++) {
        if (*p == '"') {
            *p = '\''; /* So that a reader finds the end of the text. */
        }
    }
    strcat(out, "\"");
    return out;
}

size_t trace_format(char out[TRACE_LINE_MAX], uint64_t clock_ms,
                    enum trace_level level, uint64_t node_id, const char *line)
{
    time_t seconds = (time_t)(clock_ms / 1000);
    char day[32];
    char node[40] = "";
    struct tm tm;
    int size;

    memset(&tm, 0, sizeof tm);
    gmtime_r(&seconds, &tm);
    if (strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
        day[0] = '\0';
    }
    if (node_id != 0) {
        snprintf(node, sizeof node, " node=%llu", (unsigned long long)node_id);
    }
    size =
        snprintf(out, TRACE_LINE_MAX, "%s.%03uZ %s%s %s", day,
                 (unsigned)(clock_ms % 1000), level_names[level], node, line);
    if (size < 0) {
        return 0;
    }
    if (size > TRACE_LINE_MAX - 2) {
        size = TRACE_LINE_MAX - 2;
        memcpy(out + size - 3, "...", 3);
    }
    for (int i = 0; i < size; i++) {
        if ((unsigned char)out[i] < 0x20) {
            out[i] = '?'; /* One event is one line whatever it quotes. */
        }
    }
    out[size] = '\n';
    return (size_t)size + 1;
}

void trace_line(enum trace_level level, const char *line)
{
    char out[TRACE_LINE_MAX];
    struct timespec now;
    size_t size;
    size_t done = 0;

    if (!trace_on(level)) {
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    size = trace_format(
        out, (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000,
        level, trace_node_id, line);
    while (done < size) {
        ssize_t n = write(STDERR_FILENO, out + done, size - done);
        if (n <= 0) {
            return; /* Nobody is left to be told. */
        }
        done += (size_t)n;
    }
}

void trace_event(enum trace_level level, const char *format, ...)
{
    char line[TRACE_LINE_MAX];
    va_list args;
    int size;

    if (!trace_on(level)) {
        return;
    }
    va_start(args, format);
    size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (size > 0) {
        trace_line(level, line);
    }
}
