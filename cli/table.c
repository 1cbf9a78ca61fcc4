/* Aligned columns; see table.h. */
#include "cli/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cli/text.h"

void table_init(struct table *t)
{
    memset(t, 0, sizeof(*t));
}

void table_close(struct table *t)
{
    for (int i = 0; i < t->n_cells; i++) {
        free(t->cells[i]);
    }
    free(t->cells);
    memset(t, 0, sizeof(*t));
}

static void table_add(struct table *t, char *cell)
{
    if (t->n_cells == t->room) {
        t->room = t->room == 0 ? 64 : t->room * 2;
        t->cells = realloc(t->cells, (size_t)t->room * sizeof(*t->cells));
    }
    if (t->cells == NULL || cell == NULL) {
        fputs("concordctl: out of memory\n", stderr);
        abort();
    }
    t->cells[t->n_cells++] = cell;
}

void table_column(struct table *t, const char *header)
{
    assert(t->n_columns == t->n_cells && t->n_columns < TABLE_COLUMNS_MAX);
    t->n_columns++;
    table_add(t, strdup(header));
}

void table_cell(struct table *t, const char *format, ...)
{
    char *cell = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&cell, format, args) < 0) {
        cell = NULL;
    }
    va_end(args);
    table_add(t, cell);
}

/* Columns on the screen: code points, close enough for what is shown. */
static int table_width(const char *text)
{
    int width = 0;
    for (size_t left = strlen(text); left > 0;) {
        size_t n = text_utf8_size(text, left);
        n = n == 0 ? 1 : n;
        text += n;
        left -= n;
        width++;
    }
    return width;
}

/* Columns of the terminal behind out; 0: it is none, any width will do. */
static int table_room(FILE *out)
{
    struct winsize size;
    int fd = fileno(out);
    return fd >= 0 && ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static void print_rows(const struct table *t, FILE *out, const int *widths,
                       const bool *right, int gap)
{
    for (int i = 0; i < t->n_cells; i++) {
        int column = i % t->n_columns;
        bool last = column == t->n_columns - 1;
        const char *cell = t->cells[i];
        if (i < t->n_columns && right[column]) {
            cell++;
        }
        int pad = widths[column] - table_width(cell);
        if (right[column]) {
            fprintf(out, "%*s%s", pad, "", cell);
        } else {
            fprintf(out, "%s%*s", cell, last ? 0 : pad, "");
        }
        fprintf(out, "%*s", last ? 0 : gap, "");
        fputs(last ? "\n" : "", out);
    }
}

/* One line for each cell, its header in front; a blank line between rows. */
static void print_blocks(const struct table *t, FILE *out, const bool *right)
{
    int widest = 0;
    for (int i = 0; i < t->n_columns; i++) {
        int width = table_width(t->cells[i]) - (right[i] ? 1 : 0);
        widest = width > widest ? width : widest;
    }
    for (int i = t->n_columns; i < t->n_cells; i++) {
        int column = i % t->n_columns;
        if (column == 0 && i > t->n_columns) {
            putc('\n', out);
        }
        fprintf(out, "%-*s  %s\n", widest,
                t->cells[column] + (right[column] ? 1 : 0), t->cells[i]);
    }
}

void table_print_width(const struct table *t, FILE *out, int room)
{
    int widths[TABLE_COLUMNS_MAX] = {0};
    bool right[TABLE_COLUMNS_MAX] = {false};
    int all = 0;
    for (int i = 0; i < t->n_cells; i++) {
        int column = i % t->n_columns;
        int width = table_width(t->cells[i]);
        if (i < t->n_columns && t->cells[i][0] == '>') {
            right[column] = true;
            width--;
        }
        if (width > widths[column]) {
            widths[column] = width;
        }
    }
    for (int i = 0; i < t->n_columns; i++) {
        all += widths[i];
    }
    int n_gaps = t->n_columns - 1;
    if (room == 0 || all + 2 * n_gaps <= room) {
        print_rows(t, out, widths, right, 2);
    } else if (all + n_gaps <= room) {
        print_rows(t, out, widths, right, 1);
    } else {
        print_blocks(t, out, right);
    }
}

void table_print(const struct table *t, FILE *out)
{
    table_print_width(t, out, table_room(out));
}
