/* Aligned columns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/table.h"

static void test_table_columns_are_aligned(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size;
    struct table t;
    table_init(&t);
    table_column(&t, ">ID");
    table_column(&t, "NAME");
    table_column(&t, "LAST");
    table_cell(&t, "%d", 1000);
    table_cell(&t, "\xc3\xbc");
    table_cell(&t, "x");
    table_cell(&t, "7");
    table_cell(&t, ">longer");
    table_cell(&t, "yy");
    FILE *out = open_memstream(&text, &size);
    table_print(&t, out);
    fclose(out);
    assert_string_equal(text, "  ID  NAME     LAST\n"
                              "1000  \xc3\xbc        x\n"
                              "   7  >longer  yy\n");
    free(text);
    table_close(&t);
}

static void test_table_many_rows_are_all_kept(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size;
    struct table t;
    table_init(&t);
    table_column(&t, "N");
    for (int i = 0; i < 1000; i++) {
        table_cell(&t, "%03d", i);
    }
    FILE *out = open_memstream(&text, &size);
    table_print(&t, out);
    fclose(out);
    assert_int_equal(size, 2 + 1000 * 4);
    assert_non_null(strstr(text, "\n999\n"));
    free(text);
    table_close(&t);
}

/* The table of three columns at a width. */
static char *print_at(int room)
{
    struct table t;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    table_init(&t);
    table_column(&t, ">ID");
    table_column(&t, "NAME");
    table_column(&t, "LAST");
    table_cell(&t, "1");
    table_cell(&t, "first");
    table_cell(&t, "x");
    table_cell(&t, "2");
    table_cell(&t, "second");
    table_cell(&t, "y");
    table_print_width(&t, out, room);
    table_close(&t);
    fclose(out);
    return text;
}

static void test_table_narrow_terminal_takes_it_in_another_form(void **state)
{
    (void)state;
    static const struct {
        int room;
        const char *wanted;
    } rows[] = {
        {0, "ID  NAME    LAST\n 1  first   x\n 2  second  y\n"},
        {16, "ID  NAME    LAST\n 1  first   x\n 2  second  y\n"},
        {15, "ID NAME   LAST\n 1 first  x\n 2 second y\n"},
        {13, "ID    1\nNAME  first\nLAST  x\n\n"
             "ID    2\nNAME  second\nLAST  y\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *text = print_at(rows[i].room);
        assert_string_equal(text, rows[i].wanted);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_narrow_terminal_takes_it_in_another_form),
        cmocka_unit_test(test_table_columns_are_aligned),
        cmocka_unit_test(test_table_many_rows_are_all_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
