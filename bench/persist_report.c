/* Forms of what was measured; see persist_report.h. */
#include "bench/persist_report.h"

#include <errno.h>
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

void report_stage(struct report *r, const char *name, double at_s)
{
    struct report_stage *s = &r->stages[r->n_stages];
    if (r->n_stages == REPORT_STAGES_MAX) {
        fprintf(stderr, "persist_bench: too many stages\n");
        exit(1);
    }
    r->n_stages++;
    snprintf(s->name, sizeof s->name, "%s", name);
    s->begin_s = at_s;
    s->max_mib = 0;
}

void report_stage_saw(struct report *r, double mib)
{
    struct report_stage *s;
    if (r->n_stages == 0) {
        return;
    }
    s = &r->stages[r->n_stages - 1];
    s->max_mib = mib > s->max_mib ? mib : s->max_mib;
}

void report_memory(struct report *r, double at_s, double mib)
{
    if (r->n_samples < REPORT_SAMPLES_MAX) {
        r->samples[r->n_samples].at_s = at_s;
        r->samples[r->n_samples++].mib = mib;
    }
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
    fprintf(out, "\n");
    for (unsigned i = 0; i < r->n_stages; i++) {
        fprintf(out, "resident: %-37s %14.1f MiB at most\n", r->stages[i].name,
                r->stages[i].max_mib);
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

static void json_memory(const struct report *r, FILE *f)
{
    fprintf(f, "\"memory\":{\"stages\":[");
    for (unsigned i = 0; i < r->n_stages; i++) {
        fprintf(f, "%s\n{\"name\":\"%s\",\"begin_s\":%.3f,\"max_mib\":%.2f}",
                i > 0 ? "," : "", r->stages[i].name, r->stages[i].begin_s,
                r->stages[i].max_mib);
    }
    fprintf(f, "],\n\"seconds_and_mib\":[");
    for (unsigned i = 0; i < r->n_samples; i++) {
        fprintf(f, "%s[%.2f,%.2f]", i > 0 ? "," : "", r->samples[i].at_s,
                r->samples[i].mib);
    }
    fprintf(f, "]}");
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
    fprintf(f, "},\n");
    json_memory(r, f);
    fprintf(f, "}\n");
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
