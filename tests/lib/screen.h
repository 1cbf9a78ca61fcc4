/* A program on a pseudo terminal, and what its screen shows.
 *
 * The screen understands what libedit and a progress bar send to a terminal of
 * the type xterm: cursor moves, erasing, inserting and deleting, wrapping at
 * the last column. A sequence it does not know ends the test, so that nothing
 * is passed over unseen. Every wait has a limit; what does not come in time
 * ends the test with the screen as it is. */
#ifndef TESTS_LIB_SCREEN_H
#define TESTS_LIB_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { SCREEN_ROWS = 24, SCREEN_COLUMNS_MAX = 132, SCREEN_WAIT_MS = 20000 };

struct screen {
    int columns;
    int fd;
    pid_t pid;
    int row, column;
    bool wraps;       /* the last column is written, the next wraps first */
    char pending[32]; /* an escape sequence that is not complete */
    size_t n_pending;
    /* One UTF-8 character in each cell; empty: a blank. */
    char cells[SCREEN_ROWS][SCREEN_COLUMNS_MAX][5];
};

/* Start args[0] (NULL at the end) on a terminal of that width. */
void screen_start(struct screen *s, int columns, char *const *args);
/* Type the bytes. */
void screen_type(struct screen *s, const char *keys);
/* Wait until some row holds the words. */
void screen_expect(struct screen *s, const char *words);
/* Wait until the row of the cursor is this, blanks at the end left out. */
void screen_expect_line(struct screen *s, const char *line);
/* Wait for the program's end; its exit status. */
int screen_wait(struct screen *s);

bool screen_has(const struct screen *s, const char *words);

#endif
