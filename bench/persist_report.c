/* Forms of what was measured; see persist_report.h. */
#include "bench/persist_report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double shares[] = {0.5, 0.99, 0.999, 1};
static const char *const share_names[] = {"p50", "p99", "p99.9", "max"};
enum { N_SHARES = sizeof shares / sizeof shares[0] };

struct report_case *report_case(struct report *r, const char *name)
{
    struct report_case *c = &r->cases[r->n_cases];
    if (r->n_cases == REPORT_CASES_MAX) {
        fprintf(stderr, "persist_bench: too many cases\n");
        exit(1);
    }
    r->n_cases++;
    memset(c, 0, sizeof *c);
    snprintf(c->name, sizeof c->name, "%s", name);
    return c;
}

static struct report_figure *add(struct report *r, const char *name,
                                 double value)
{
    struct report_figure *f = &r->figures[r->n_figures];
    if (r->n_figures == REPORT_FIGURES_MAX) {
        fprintf(stderr, "persist_bench: too many figures\n");
        exit(1);
    }
    r->n_figures++;
    memset(f, 0, sizeof *f);
    snprintf(f->name, sizeof f->name, "%s", name);
    f->value = value;
    return f;
}

void report_figure(struct report *r, const char *name, double value,
                   const char *unit)
{
    add(r, name, value)->unit = unit;
}

void report_ratio(struct report *r, const char *name, double value,
                  bool lower_is_better)
{
    struct report_figure *f = add(r, name, value);
    f->unit = "ratio";
    f->kind = lower_is_better ? FIGURE_LOWER : FIGURE_HIGHER;
}

static double us(const struct histogram *h, double share)
{
    return (double)histogram_quantile(h, share) / 1000;
}

void report_table(const struct report *r, FILE *out)
{
    fprintf(out, "%-34s %12s %9s %9s %9s %9s %9s\n", "case", "per second",
            "mean us", "p50", "p99", "p99.9", "max");
    for (unsigned i = 0; i < r->n_cases; i++) {
        const struct report_case *c = &r->cases[i];
        fprintf(out, "%-34s %12.0f %9.1f", c->name, c->per_second,
                histogram_mean(&c->ns) / 1000);
        for (unsigned s = 0; s < N_SHARES; s++) {
            fprintf(out, " %9.1f", us(&c->ns, shares[s]));
        }
        fprintf(out, "\n");
    }
    fprintf(out, "\n");
    for (unsigned i = 0; i < r->n_figures; i++) {
        const struct report_figure *f = &r->figures[i];
        fprintf(out, "%-47s %14.3f %s\n", f->name, f->value, f->unit);
    }
}

static int end_file(FILE *f)
{
    int bad = ferror(f);
    if (fclose(f) != 0 || bad) {
        return errno != 0 ? errno : EIO;
    }
    return 0;
}

int report_json(const struct report *r, const char *path)
{
    FILE *f = fopen(path, "w");
    if (f == NULL) {
        return errno;
    }
    fprintf(f, "{\"cases\":[");
    for (unsigned i = 0; i < r->n_cases; i++) {
        const struct report_case *c = &r->cases[i];
        fprintf(f,
                "%s\n{\"name\":\"%s\",\"per_second\":%.1f,\"n\":%llu,"
                "\"mean_us\":%.3f",
                i > 0 ? "," : "", c->name, c->per_second,
                (unsigned long long)c->ns.n, histogram_mean(&c->ns) / 1000);
        for (unsigned s = 0; s < N_SHARES; s++) {
            fprintf(f, ",\"%s_us\":%.3f", share_names[s],
                    us(&c->ns, shares[s]));
        }
        fprintf(f, "}");
    }
    fprintf(f, "],\n\"figures\":{");
    for (unsigned i = 0; i < r->n_figures; i++) {
        fprintf(f, "%s\n\"%s\":%.6g", i > 0 ? "," : "", r->figures[i].name,
                r->figures[i].value);
    }
    fprintf(f, "}}\n");
    return end_file(f);
}

/* ---- the chart ------------------------------------------------------------*/

enum { LEFT = 70, TOP = 30, WIDTH = 640, HEIGHT = 360, RIGHT = 230 };

/* From 0 to 99.99%, so that each nine takes the same width. */
static double x_of(double share)
{
    return LEFT + WIDTH * -log10(1 - (share < 0.9999 ? share : 0.9999)) / 4;
}

/* From 100 ns to 1 s. */
static double y_of(double ns)
{
    double decades = log10(ns < 100 ? 100 : ns > 1e9 ? 1e9 : ns) - 2;
    return TOP + HEIGHT * (1 - decades / 7);
}

static void svg_axes(FILE *f)
{
    static const double marks[] = {0, 0.9, 0.99, 0.999, 0.9999};
    static const char *const names[] = {"100 ns", "1 us",  "10 us",  "100 us",
                                        "1 ms",   "10 ms", "100 ms", "1 s"};
    for (unsigned i = 0; i < 5; i++) {
        fprintf(f,
                "<line x1='%.1f' y1='%d' x2='%.1f' y2='%d' stroke='#ddd'/>"
                "<text x='%.1f' y='%d' text-anchor='middle'>%g%%</text>\n",
                x_of(marks[i]), TOP, x_of(marks[i]), TOP + HEIGHT,
                x_of(marks[i]), TOP + HEIGHT + 18, marks[i] * 100);
    }
    for (unsigned i = 0; i < 8; i++) {
        double y = TOP + HEIGHT * (1 - i / 7.0);
        fprintf(f,
                "<line x1='%d' y1='%.1f' x2='%d' y2='%.1f' stroke='#ddd'/>"
                "<text x='%d' y='%.1f' text-anchor='end'>%s</text>\n",
                LEFT, y, LEFT + WIDTH, y, LEFT - 6, y + 4, names[i]);
    }
}

static void svg_case(FILE *f, const struct report_case *c, unsigned i)
{
    static const char *const colours[] = {
        "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd",
        "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"};
    const char *colour = colours[i % 10];
    fprintf(f,
            "<polyline fill='none' stroke='%s' stroke-width='1.5'%s points='",
            colour, i >= 10 ? " stroke-dasharray='5 3'" : "");
    for (unsigned k = 0; k <= 200; k++) {
        double share = 1 - pow(10, -4.0 * k / 200);
        fprintf(f, "%.1f,%.1f ", x_of(share),
                y_of((double)histogram_quantile(&c->ns, share)));
    }
    fprintf(f, "'/>\n<text x='%d' y='%d' fill='%s'>%s</text>\n",
            LEFT + WIDTH + 14, TOP + 14 + (int)i * 18, colour, c->name);
}

int report_svg(const struct report *r, const char *path)
{
    FILE *f = fopen(path, "w");
    if (f == NULL) {
        return errno;
    }
    fprintf(f,
            "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' "
            "font-family='sans-serif' font-size='12'>\n"
            "<rect width='100%%' height='100%%' fill='white'/>\n"
            "<text x='%d' y='18' font-size='14'>persist_bench: latency that a "
            "share of operations does not exceed</text>\n",
            LEFT + WIDTH + RIGHT, TOP + HEIGHT + 40, LEFT);
    svg_axes(f);
    for (unsigned i = 0, n = 0; i < r->n_cases; i++) {
        if (r->cases[i].ns.n >= 100) {
            svg_case(f, &r->cases[i], n++);
        }
    }
    fprintf(f, "</svg>\n");
    return end_file(f);
}

/* ---- the baseline ---------------------------------------------------------*/

static const struct report_figure *find(const struct report *r,
                                        const char *name)
{
    for (unsigned i = 0; i < r->n_figures; i++) {
        if (strcmp(r->figures[i].name, name) == 0 &&
            r->figures[i].kind != FIGURE_PLAIN) {
            return &r->figures[i];
        }
    }
    return NULL;
}

int report_compare(const struct report *r, const char *path, FILE *out)
{
    FILE *f = fopen(path, "r");
    char line[256];
    int n_worse = 0;
    int n_lines = 0;
    if (f == NULL) {
        return -1;
    }
    while (fgets(line, sizeof line, f) != NULL) {
        const struct report_figure *figure;
        char name[64];
        double value;
        double tolerance;
        double limit;
        bool worse;
        if (line[0] == '#' || line[0] == '\n') {
            continue;
        }
        if (sscanf(line, "%63s %lf %lf", name, &value, &tolerance) != 3 ||
            (figure = find(r, name)) == NULL) {
            fprintf(out, "%s: not understood: %s", path, line);
            n_worse++;
            continue;
        }
        n_lines++;
        limit = figure->kind == FIGURE_LOWER ? value * (1 + tolerance)
                                             : value * (1 - tolerance);
        worse = figure->kind == FIGURE_LOWER ? figure->value > limit
                                             : figure->value < limit;
        n_worse += worse;
        fprintf(out, "%-40s %10.3f, baseline %10.3f, limit %10.3f: %s\n", name,
                figure->value, value, limit, worse ? "WORSE" : "ok");
    }
    fclose(f);
    return n_lines == 0 ? -1 : n_worse;
}
