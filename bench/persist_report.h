/* What persist_bench has measured, and its forms: table, JSON, SVG, and the
 * comparison of ratios with a committed baseline. */
#ifndef BENCH_PERSIST_REPORT_H
#define BENCH_PERSIST_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "raftlog/histogram.h"

enum { REPORT_CASES_MAX = 40, REPORT_FIGURES_MAX = 60, REPORT_NAME_MAX = 48 };

/* One case with a latency for each operation, in nanoseconds. */
struct report_case {
    char name[REPORT_NAME_MAX];
    double per_second; /* operations; 0: not measured */
    struct histogram ns;
};

/* One number that stands for itself. A ratio can be held against a baseline;
 * then lower is better, or higher. */
struct report_figure {
    char name[REPORT_NAME_MAX];
    const char *unit;
    double value;
    enum { FIGURE_PLAIN, FIGURE_LOWER, FIGURE_HIGHER } kind;
};

struct report {
    struct report_case cases[REPORT_CASES_MAX];
    unsigned n_cases;
    struct report_figure figures[REPORT_FIGURES_MAX];
    unsigned n_figures;
};

/* A new, empty case; never NULL. */
struct report_case *report_case(struct report *r, const char *name);
void report_figure(struct report *r, const char *name, double value,
                   const char *unit);
void report_ratio(struct report *r, const char *name, double value,
                  bool lower_is_better);

void report_table(const struct report *r, FILE *out);
/* 0, or an errno value. */
int report_json(const struct report *r, const char *path);
/* Latency by share of operations, both axes logarithmic. */
int report_svg(const struct report *r, const char *path);
/* Lines of `NAME VALUE TOLERANCE`, # begins a remark: a ratio may be worse
 * than VALUE by the part TOLERANCE. Returns how many are worse, or -1. */
int report_compare(const struct report *r, const char *path, FILE *out);

#endif
