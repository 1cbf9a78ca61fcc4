/* Aligned columns. */
#include "tests/unit/cli/printed.h"

#include "cli/table.h"

/* Three columns, the first to the right. */
static void open_table(struct table *t)
{
    table_init(t);
    table_column(t, ">ID");
    table_column(t, "NAME");
    table_column(t, "LAST");
}

static void test_table_columns_are_aligned(void **state)
{
    (void)state;
    struct printed p;
    struct table t;
    open_table(&t);
    table_cell(&t, "%d", 1000);
    table_cell(&t, "\xc3\xbc");
    table_cell(&t, "x");
    table_cell(&t, "7");
    table_cell(&t, ">longer");
    table_cell(&t, "yy");
    printed_open(&p);
    table_print(&t, p.out);
    table_close(&t);
    printed_expect(&p, "  ID  NAME     LAST\n"
                       "1000  \xc3\xbc        x\n"
                       "   7  >longer  yy\n");
}

static void test_table_many_rows_are_all_kept(void **state)
{
    (void)state;
    struct printed p;
    struct table t;
    table_init(&t);
    table_column(&t, "N");
    for (int i = 0; i < 1000; i++) {
        table_cell(&t, "%03d", i);
    }
    printed_open(&p);
    table_print(&t, p.out);
    table_close(&t);
    printed_end(&p);
    assert_int_equal(p.size, 2 + 1000 * 4);
    assert_non_null(strstr(p.text, "\n999\n"));
    printed_free(&p);
}

/* Two rows under three columns, at a width. */
static void print_at(struct printed *p, int room)
{
    struct table t;
    open_table(&t);
    table_cell(&t, "1");
    table_cell(&t, "first");
    table_cell(&t, "x");
    table_cell(&t, "2");
    table_cell(&t, "second");
    table_cell(&t, "y");
    printed_open(p);
    table_print_width(&t, p->out, room);
    table_close(&t);
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
        struct printed p;
        print_at(&p, rows[i].room);
        printed_expect(&p, rows[i].wanted);
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
