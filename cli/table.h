/* Aligned columns for people. Cells are collected, then printed at once. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdio.h>

enum { TABLE_COLUMNS_MAX = 16 };

struct table {
    int n_columns;
    int n_cells;
    int room;
    char **cells; /* row by row; the first row is the header */
};

/* Headers are given as "NAME"; one that begins with '>' is aligned right. */
void table_init(struct table *t);
void table_close(struct table *t);
void table_column(struct table *t, const char *header);
/* The next cell, row by row, all columns in order. Running out of memory ends
 * the process: there is nothing to undo in a listing. */
void table_cell(struct table *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Two blanks between columns; on a terminal that is too narrow for that one,
 * and where that is too wide still, each row as a block of lines. */
void table_print(const struct table *t, FILE *out);
/* The same for a given number of columns, 0: any. */
void table_print_width(const struct table *t, FILE *out, int room);

#endif
