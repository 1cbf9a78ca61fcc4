/* The chart of persist_bench: what share of operations takes how long, and
 * below it how much memory was resident when. Each curve's name stands at the
 * right in its colour. */
#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "bench/persist_report.h"

enum {
    LEFT = 80,
    WIDTH = 640,
    RIGHT = 270, /* names */
    TOP = 40,
    HEIGHT = 400, /* of the upper panel */
    MEMORY_TOP = TOP + HEIGHT + 110,
    MEMORY_HEIGHT = 220,
    BOTTOM = 60,
    NAME_STEP = 18,
    N_COLOURS = 10,
    CASE_N_MIN = 100 /* operations; a curve of fewer says nothing */
};

/* Dark enough for text on white. */
static const char *const colours[N_COLOURS] = {
    "#1f77b4", "#d95f02", "#2ca02c", "#d62728", "#7a4fb0",
    "#8c564b", "#c2368f", "#5f5f5f", "#8a8b00", "#008b9c"};

static void text(FILE *f, double x, double y, const char *anchor,
                 const char *words)
{
    fprintf(f, "<text x='%.1f' y='%.1f' text-anchor='%s'>%s</text>\n", x, y,
            anchor, words);
}

static void line(FILE *f, double x1, double y1, double x2, double y2)
{
    fprintf(f,
            "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='#ddd'/>\n",
            x1, y1, x2, y2);
}

static void title(FILE *f, double y, const char *words)
{
    fprintf(f, "<text x='%d' y='%.1f' font-size='14'>%s</text>\n", LEFT, y,
            words);
}

/* The n-th name beside a panel, in the colour of its curve. */
static void name(FILE *f, int top, unsigned n, const char *words)
{
    fprintf(f, "<text x='%d' y='%d' fill='%s'>%s%s</text>\n", LEFT + WIDTH + 14,
            top + 12 + (int)n * NAME_STEP, colours[n % N_COLOURS], words,
            n >= N_COLOURS ? " (dashed)" : "");
}

/* ---- latency --------------------------------------------------------------*/

/* From 0 to 99.99%, so that each nine takes the same width. */
static double x_of(double share)
{
    return LEFT + WIDTH * -log10(1 - (share < 0.9999 ? share : 0.9999)) / 4;
}

/* From 10 ns to 1 s. */
static double y_of(double ns)
{
    double decades = log10(ns < 10 ? 10 : ns > 1e9 ? 1e9 : ns) - 1;
    return TOP + HEIGHT * (1 - decades / 8);
}

static void latency_axes(FILE *f)
{
    static const double marks[] = {0, 0.9, 0.99, 0.999, 0.9999};
    static const char *const shares[] = {"0%", "90%", "99%", "99.9%", "99.99%"};
    static const char *const names[] = {"10 ns", "100 ns", "1 us",
                                        "10 us", "100 us", "1 ms",
                                        "10 ms", "100 ms", "1 s"};
    for (unsigned i = 0; i < 5; i++) {
        line(f, x_of(marks[i]), TOP, x_of(marks[i]), TOP + HEIGHT);
        text(f, x_of(marks[i]), TOP + HEIGHT + 18, "middle", shares[i]);
    }
    for (unsigned i = 0; i < 9; i++) {
        double y = TOP + HEIGHT * (1 - i / 8.0);
        line(f, LEFT, y, LEFT + WIDTH, y);
        text(f, LEFT - 6, y + 4, "end", names[i]);
    }
    text(f, LEFT + WIDTH / 2.0, TOP + HEIGHT + 38, "middle",
         "share of operations, fastest first");
}

static void latency_curve(FILE *f, const struct report_case *c, unsigned n)
{
    enum { STEPS = 400 };
    double last_y = -1;
    double y = 0;
    double x = 0;
    fprintf(f,
            "<polyline fill='none' stroke='%s' stroke-width='1.5'%s points='",
            colours[n % N_COLOURS],
            n >= N_COLOURS ? " stroke-dasharray='5 3'" : "");
    for (unsigned k = 0; k <= STEPS; k++) {
        double share = 1 - pow(10, -4.0 * k / STEPS);
        x = x_of(share);
        y = y_of((double)histogram_quantile(&c->ns, share));
        if (fabs(y - last_y) >= 0.1) {
            fprintf(f, "%.1f,%.1f ", x, y);
            last_y = y;
        }
    }
    fprintf(f, "%.1f,%.1f'/>\n", x, y);
    name(f, TOP, n, c->name);
}

static void latency_panel(FILE *f, const struct report *r)
{
    unsigned n = 0;
    title(f, TOP - 16, "persist_bench: how long an operation takes");
    latency_axes(f);
    for (unsigned i = 0; i < r->n_cases; i++) {
        if (r->cases[i].ns.n >= CASE_N_MIN) {
            latency_curve(f, &r->cases[i], n++);
        }
    }
}

/* ---- memory ---------------------------------------------------------------*/

/* A round step that gives an axis at most so many marks. */
static double step_of(double top, unsigned marks_max)
{
    double step = 0.1;
    for (unsigned i = 0; top / step > marks_max; i++) {
        step *= i % 3 == 1 ? 2.5 : 2; /* 0.1 0.2 0.5 1 2 5 10 ... */
    }
    return step;
}

struct memory_scale {
    double seconds;
    double mib;
};

static double memory_x(const struct memory_scale *s, double at_s)
{
    return LEFT + WIDTH * at_s / s->seconds;
}

static double memory_y(const struct memory_scale *s, double mib)
{
    return MEMORY_TOP + MEMORY_HEIGHT * (1 - mib / s->mib);
}

static void memory_axes(FILE *f, const struct memory_scale *s)
{
    double step = step_of(s->seconds, 10);
    char words[32];
    for (double at = 0; at <= s->seconds; at += step) {
        snprintf(words, sizeof words, "%g s", at);
        line(f, memory_x(s, at), MEMORY_TOP, memory_x(s, at),
             MEMORY_TOP + MEMORY_HEIGHT);
        text(f, memory_x(s, at), MEMORY_TOP + MEMORY_HEIGHT + 18, "middle",
             words);
    }
    step = step_of(s->mib, 6);
    for (double at = 0; at <= s->mib; at += step) {
        snprintf(words, sizeof words, "%g MiB", at);
        line(f, LEFT, memory_y(s, at), LEFT + WIDTH, memory_y(s, at));
        text(f, LEFT - 6, memory_y(s, at) + 4, "end", words);
    }
}

/* The samples of one stage and the first one behind it, so that the curve has
 * no gaps. */
static void memory_curve(FILE *f, const struct report *r, unsigned stage,
                         const struct memory_scale *s)
{
    double begin = r->stages[stage].begin_s;
    double end = stage + 1 < r->n_stages ? r->stages[stage + 1].begin_s : 1e9;
    char words[REPORT_NAME_MAX + 32];
    fprintf(f, "<polyline fill='none' stroke='%s' stroke-width='2' points='",
            colours[stage % N_COLOURS]);
    for (unsigned i = 0; i < r->n_samples; i++) {
        const struct report_sample *p = &r->samples[i];
        bool before_is_in = i > 0 && r->samples[i - 1].at_s >= begin &&
                            r->samples[i - 1].at_s < end;
        if ((p->at_s >= begin && p->at_s < end) || before_is_in) {
            fprintf(f, "%.1f,%.1f ", memory_x(s, p->at_s), memory_y(s, p->mib));
        }
    }
    fprintf(f, "'/>\n");
    snprintf(words, sizeof words, "%s: %.0f MiB", r->stages[stage].name,
             r->stages[stage].max_mib);
    name(f, MEMORY_TOP, stage, words);
}

static void memory_panel(FILE *f, const struct report *r)
{
    struct memory_scale s = {1, 10};
    for (unsigned i = 0; i < r->n_samples; i++) {
        s.seconds =
            r->samples[i].at_s > s.seconds ? r->samples[i].at_s : s.seconds;
        s.mib = r->samples[i].mib > s.mib ? r->samples[i].mib : s.mib;
    }
    s.mib *= 1.1;
    title(f, MEMORY_TOP - 16,
          "resident memory at 1 M live keys, and the most of each stage");
    memory_axes(f, &s);
    for (unsigned i = 0; i < r->n_stages; i++) {
        memory_curve(f, r, i, &s);
    }
}

int report_svg(const struct report *r, const char *path)
{
    FILE *f = fopen(path, "w");
    int bad;
    if (f == NULL) {
        return errno;
    }
    fprintf(f,
            "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' "
            "font-family='sans-serif' font-size='12'>\n"
            "<rect width='100%%' height='100%%' fill='white'/>\n",
            LEFT + WIDTH + RIGHT, MEMORY_TOP + MEMORY_HEIGHT + BOTTOM - 20);
    latency_panel(f, r);
    memory_panel(f, r);
    fprintf(f, "</svg>\n");
    bad = ferror(f);
    if (fclose(f) != 0 || bad) {
        return errno != 0 ? errno : EIO;
    }
    return 0;
}
