/* What persist_bench has measured, and its forms: table, JSON, SVG
 * (persist_chart.c), and the comparison of ratios with a committed baseline. */
#ifndef BENCH_PERSIST_REPORT_H
#define BENCH_PERSIST_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "raftlog/histogram.h"

enum {
    REPORT_CASES_MAX = 40,
    REPORT_FIGURES_MAX = 80,
    REPORT_STAGES_MAX = 12,
    REPORT_SAMPLES_MAX = 4096,
    REPORT_NAME_MAX = 48
};

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

/* Resident memory over time, in stages of some work. */
struct report_stage {
    char name[REPORT_NAME_MAX];
    double begin_s;
    double max_mib;
};

struct report_sample {
    double at_s;
    double mib;
};

struct report {
    struct report_case cases[REPORT_CASES_MAX];
    unsigned n_cases;
    struct report_figure figures[REPORT_FIGURES_MAX];
    unsigned n_figures;
    struct report_stage stages[REPORT_STAGES_MAX];
    unsigned n_stages;
    struct report_sample samples[REPORT_SAMPLES_MAX];
    unsigned n_samples;
};

/* A new, empty case; never NULL. */
struct report_case *report_case(struct report *r, const char *name);
void report_figure(struct report *r, const char *name, double value,
                   const char *unit);
void report_ratio(struct report *r, const char *name, double value,
                  bool lower_is_better);
/* A stage begins, and ends the one before. */
void report_stage(struct report *r, const char *name, double at_s);
/* So much was resident during the stage; before the first one, nothing. */
void report_stage_saw(struct report *r, double mib);
/* A point of the curve; those beyond the limit are left out. */
void report_memory(struct report *r, double at_s, double mib);

void report_table(const struct report *r, FILE *out);
/* 0, or an errno value. */
int report_json(const struct report *r, const char *path);
/* Two panels: latency by share of operations, both axes logarithmic, and
 * memory over time. */
int report_svg(const struct report *r, const char *path);
/* Lines of `NAME VALUE TOLERANCE`, # begins a remark: a ratio may be worse
 * than VALUE by the part TOLERANCE. Returns how many are worse, or -1. */
int report_compare(const struct report *r, const char *path, FILE *out);

#endif
