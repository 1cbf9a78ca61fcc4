/* Progress of a long act: a bar on a terminal, a plain line now and then
 * elsewhere.
 *
 *   progress_init(&p, stderr, "import", "records", now)
 *   loop: p.done = ..., p.n_items = ...; progress_update(&p, now)
 *   progress_note(&p, ...)    a line of its own, without harm to the bar
 *   progress_finish(&p, now)  takes the bar away; the caller prints the result
 *
 * Times are the caller's milliseconds, so tests need no clock. Nothing here
 * waits. The output stream is borrowed. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
    PROGRESS_TTY_EVERY_MS = 100,
    PROGRESS_PLAIN_EVERY_MS = 2000,
    PROGRESS_LINE_MAX = 160
};

struct progress {
    FILE *out;
    const char *label; /* borrowed */
    const char *unit;  /* what n_items counts; borrowed */
    bool tty;
    bool quiet;       /* draw nothing; notes are still printed */
    bool drawn;       /* a bar stands on the terminal's current line */
    uint64_t total;   /* in any measure; 0 if unknown */
    uint64_t done;    /* in the same measure */
    uint64_t n_items; /* what is counted for people */
    int64_t start_ms;
    int64_t shown_ms;
    int64_t rate_ms; /* the rate shown is that since this moment ... */
    uint64_t rate_items;
    double rate; /* ... smoothed, in items per second */
};

/* tty and width are looked up on the stream. */
void progress_init(struct progress *p, FILE *out, const char *label,
                   const char *unit, int64_t now_ms);
/* Draw if it is time to. */
void progress_update(struct progress *p, int64_t now_ms);
void progress_note(struct progress *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void progress_finish(struct progress *p);

/* The line that would be shown, at most width columns; pure. out has
 * PROGRESS_LINE_MAX bytes. Returns out. */
char *progress_format(const struct progress *p, int width, int64_t now_ms,
                      char *out);

#endif
