/* Progress display; see progress.h. */
#include "cli/progress.h"

#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/text.h"

enum { PROGRESS_BAR_MAX = 30, PROGRESS_RATE_EVERY_MS = 500 };

void progress_init(struct progress *p, FILE *out, const char *label,
                   const char *unit, int64_t now_ms)
{
    memset(p, 0, sizeof(*p));
    p->out = out;
    p->label = label;
    p->unit = unit;
    p->tty = fileno(out) >= 0 && isatty(fileno(out));
    p->start_ms = now_ms;
    p->shown_ms = now_ms;
    p->rate_ms = now_ms;
}

static int progress_width(const struct progress *p)
{
    struct winsize size;
    if (ioctl(fileno(p->out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
        return 80;
    }
    return size.ws_col;
}

/* "[=====>    ]" of n columns inside; the caller has the room. */
static void progress_put_bar(char *out, int n, double part)
{
    int filled = (int)(part * n);
    *out++ = '[';
    for (int i = 0; i < n; i++) {
        char c = i == filled ? '>' : ' ';
        *out++ = i < filled ? '=' : c;
    }
    *out++ = ']';
    *out = '\0';
}

/* What stands behind the bar, shorter with each step. */
static void progress_put_tail(const struct progress *p, int step,
                              const char *time, char *out)
{
    char count[TEXT_NUMBER_MAX];
    char rate[TEXT_NUMBER_MAX];
    text_count(count, p->n_items);
    text_count(rate, (uint64_t)(p->rate + 0.5));
    switch (step) {
    case 0:
        snprintf(out, PROGRESS_LINE_MAX, " %s %.20s, %s/s, %.40s", count,
                 p->unit, rate, time);
        break;
    case 1:
        snprintf(out, PROGRESS_LINE_MAX, " %s %.20s, %s/s", count, p->unit,
                 rate);
        break;
    case 2:
        snprintf(out, PROGRESS_LINE_MAX, " %s, %s/s", count, rate);
        break;
    default:
        snprintf(out, PROGRESS_LINE_MAX, " %s", count);
        break;
    }
}

char *progress_format(const struct progress *p, int width, int64_t now_ms,
                      char *out)
{
    enum { STEPS = 4, BAR_MIN = 8, BRACKETS = 2 };
    char duration[TEXT_NUMBER_MAX];
    char time[TEXT_NUMBER_MAX + 8];
    char bar[PROGRESS_BAR_MAX + 3] = "";
    char tail[PROGRESS_LINE_MAX] = "";
    char head[PROGRESS_LINE_MAX];
    int64_t elapsed = now_ms - p->start_ms;
    double part = 0;
    int bar_min = 0;
    int room = 0;
    snprintf(head, sizeof(head), "%.40s", p->label);
    snprintf(time, sizeof(time), "%s", text_duration(duration, elapsed));
    if (p->total > 0) {
        uint64_t done = p->done < p->total ? p->done : p->total;
        part = (double)done / (double)p->total;
        bar_min = BAR_MIN + BRACKETS;
        snprintf(head, sizeof(head), "%.40s %3d%% ", p->label,
                 (int)(part * 100));
        /* Of nothing, no rate follows. */
        if (part > 0) {
            text_duration(duration,
                          (int64_t)((double)elapsed * (1 - part) / part));
            snprintf(time, sizeof(time), "%s left", duration);
        }
    }
    for (int step = 0; step < STEPS; step++) {
        progress_put_tail(p, step, time, tail);
        room = width - 1 - (int)strlen(head) - (int)strlen(tail);
        if (room >= bar_min) {
            break;
        }
    }
    if (bar_min > 0 && room >= bar_min) {
        room -= BRACKETS;
        progress_put_bar(bar, room < PROGRESS_BAR_MAX ? room : PROGRESS_BAR_MAX,
                         part);
    }
    snprintf(out, PROGRESS_LINE_MAX, "%.60s%s%.60s", head, bar, tail);
    /* The last column stays free: some terminals wrap when it is written. */
    if (width > 0 && strlen(out) >= (size_t)width) {
        out[width - 1] = '\0';
    }
    return out;
}

static void progress_measure(struct progress *p, int64_t now_ms)
{
    int64_t span = now_ms - p->rate_ms;
    if (span <= 0) {
        return;
    }
    double now = (double)(p->n_items - p->rate_items) * 1000 / (double)span;
    if (span < PROGRESS_RATE_EVERY_MS) {
        /* Too short to smooth, but at the begin there is nothing better. */
        p->rate = p->rate_ms == p->start_ms ? now : p->rate;
        return;
    }
    p->rate = p->rate_ms == p->start_ms ? now : (p->rate + now) / 2;
    p->rate_ms = now_ms;
    p->rate_items = p->n_items;
}

void progress_update(struct progress *p, int64_t now_ms)
{
    char line[PROGRESS_LINE_MAX];
    int64_t every = p->tty ? PROGRESS_TTY_EVERY_MS : PROGRESS_PLAIN_EVERY_MS;
    progress_measure(p, now_ms);
    if (p->quiet || now_ms - p->shown_ms < every) {
        return;
    }
    p->shown_ms = now_ms;
    if (p->tty) {
        fprintf(p->out, "\r%s\033[K",
                progress_format(p, progress_width(p), now_ms, line));
        p->drawn = true;
    } else {
        fprintf(p->out, "%s\n",
                progress_format(p, PROGRESS_LINE_MAX, now_ms, line));
    }
    fflush(p->out);
}

void progress_finish(struct progress *p)
{
    if (p->drawn) {
        fputs("\r\033[K", p->out);
        fflush(p->out);
        p->drawn = false;
    }
}

void progress_note(struct progress *p, const char *format, ...)
{
    va_list args;
    progress_finish(p);
    va_start(args, format);
    vfprintf(p->out, format, args);
    va_end(args);
    putc('\n', p->out);
    fflush(p->out);
}
