/* A program on a pseudo terminal; see screen.h. */
#include "tests/lib/screen.h"

#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Row as text without blanks at its end, valid until the next call. */
static const char *row_text(const struct screen *s, int row)
{
    static char text[SCREEN_COLUMNS_MAX * 4 + 1];
    size_t size = 0;
    size_t used = 0;
    for (int i = 0; i < s->columns; i++) {
        const char *cell = s->cells[row][i];
        const char *shown = cell[0] == '\0' ? " " : cell;
        memcpy(text + size, shown, strlen(shown));
        size += strlen(shown);
        used = strcmp(shown, " ") == 0 ? used : size;
    }
    text[used] = '\0';
    return text;
}

/* All rows on stderr. */
static void dump(const struct screen *s)
{
    fprintf(stderr, "---- the screen, cursor in row %d, column %d\n", s->row,
            s->column);
    for (int i = 0; i < SCREEN_ROWS; i++) {
        fprintf(stderr, "|%s\n", row_text(s, i));
    }
}

bool screen_has(const struct screen *s, const char *words)
{
    for (int i = 0; i < SCREEN_ROWS; i++) {
        if (strstr(row_text(s, i), words) != NULL) {
            return true;
        }
    }
    return false;
}

static void screen_fail(const struct screen *s, const char *what,
                        const char *words)
{
    fprintf(stderr, "%s: '%s'\n", what, words);
    dump(s);
    kill(s->pid, SIGKILL);
    abort();
}

/* ---- what the program sends -----------------------------------------------*/

static void clear_cells(struct screen *s, int row, int from, int to)
{
    for (int i = from; i < to; i++) {
        s->cells[row][i][0] = '\0';
    }
}

static void line_feed(struct screen *s)
{
    if (s->row + 1 < SCREEN_ROWS) {
        s->row++;
        return;
    }
    memmove(s->cells[0], s->cells[1], sizeof(s->cells) - sizeof(s->cells[0]));
    clear_cells(s, SCREEN_ROWS - 1, 0, s->columns);
}

static void put_character(struct screen *s, const char *bytes, size_t size)
{
    if (s->wraps) {
        s->column = 0;
        s->wraps = false;
        line_feed(s);
    }
    memcpy(s->cells[s->row][s->column], bytes, size);
    s->cells[s->row][s->column][size] = '\0';
    s->wraps = s->column == s->columns - 1;
    s->column += s->wraps ? 0 : 1;
}

static void move(struct screen *s, int row, int column)
{
    s->row = row < 0 ? 0 : row;
    s->row = s->row < SCREEN_ROWS ? s->row : SCREEN_ROWS - 1;
    s->column = column < 0 ? 0 : column;
    s->column = s->column < s->columns ? s->column : s->columns - 1;
    s->wraps = false;
}

static void shift(struct screen *s, int n)
{
    size_t cell = sizeof(s->cells[0][0]);
    int rest = s->columns - s->column;
    int by = n < 0 ? -n : n;
    by = by < rest ? by : rest;
    char(*at)[5] = &s->cells[s->row][s->column];
    if (n > 0) {
        memmove(at + by, at, (size_t)(rest - by) * cell);
        clear_cells(s, s->row, s->column, s->column + by);
    } else {
        memmove(at, at + by, (size_t)(rest - by) * cell);
        clear_cells(s, s->row, s->columns - by, s->columns);
    }
}

static void erase_below(struct screen *s, int how)
{
    clear_cells(s, s->row, how == 2 ? 0 : s->column, s->columns);
    for (int i = how == 2 ? 0 : s->row + 1; i < SCREEN_ROWS; i++) {
        clear_cells(s, i, 0, s->columns);
    }
}

/* ESC [ numbers final */
static void control(struct screen *s, const char *text)
{
    char final = text[strlen(text) - 1];
    int first = atoi(text);
    int n = first > 0 ? first : 1;
    const char *second = strchr(text, ';');
    int column = second == NULL ? 1 : atoi(second + 1);
    if (text[0] == '?' || text[0] == '>' || final == 'm' || final == 'l' ||
        final == 'h') {
        return; /* modes and colours change no character */
    }
    switch (final) {
    case 'A':
        move(s, s->row - n, s->column);
        break;
    case 'B':
        move(s, s->row + n, s->column);
        break;
    case 'C':
        move(s, s->row, s->column + n);
        break;
    case 'D':
        move(s, s->row, s->column - n);
        break;
    case 'G':
        move(s, s->row, n - 1);
        break;
    case 'H':
        move(s, n - 1, column - 1);
        break;
    case 'J':
        erase_below(s, first);
        break;
    case 'K':
        clear_cells(s, s->row, s->column, s->columns);
        break;
    case '@':
        shift(s, n);
        break;
    case 'P':
        shift(s, -n);
        break;
    default:
        screen_fail(s, "an unknown sequence", text);
    }
}

/* Take s->pending if it is complete now. */
static void take_pending(struct screen *s)
{
    static const unsigned char heads[][2] = {{0xe0, 2}, {0xf0, 3}, {0xf8, 4}};
    unsigned char first = (unsigned char)s->pending[0];
    char last = s->pending[s->n_pending - 1];
    if (first >= 0x80) {
        size_t size = 4;
        for (int i = 2; i >= 0; i--) {
            size = first < heads[i][0] ? heads[i][1] : size;
        }
        if (s->n_pending == size) {
            put_character(s, s->pending, size);
            s->n_pending = 0;
        }
        return;
    }
    if (s->n_pending == 2 && last != '[' && last != '(') {
        s->n_pending = 0; /* ESC = and the like: keypad modes */
    } else if (s->n_pending > 2 && s->pending[1] == '(') {
        s->n_pending = 0; /* a character set */
    } else if (s->n_pending > 2 && last >= '@' && last <= '~') {
        s->pending[s->n_pending] = '\0';
        s->n_pending = 0;
        control(s, s->pending + 2);
    } else if (s->n_pending == sizeof(s->pending) - 1) {
        screen_fail(s, "a sequence without end", s->pending);
    }
}

static void put_byte(struct screen *s, char c)
{
    if (s->n_pending > 0 || c == '\033' || (c & 0x80) != 0) {
        s->pending[s->n_pending++] = c;
        take_pending(s);
        return;
    }
    switch (c) {
    case '\r':
        move(s, s->row, 0);
        break;
    case '\n':
        s->wraps = false;
        line_feed(s);
        break;
    case '\b':
        move(s, s->row, s->column - 1);
        break;
    case '\t':
        move(s, s->row, (s->column / 8 + 1) * 8);
        break;
    case '\a':
        break;
    default:
        put_character(s, &c, 1);
        break;
    }
}

/* Take bytes of the program's output. */
static void put_bytes(struct screen *s, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        put_byte(s, data[i]);
    }
}

/* ---- the program ----------------------------------------------------------*/

void screen_start(struct screen *s, int columns, char *const *args)
{
    struct winsize size = {.ws_row = SCREEN_ROWS,
                           .ws_col = (unsigned short)columns};
    memset(s, 0, sizeof(*s));
    s->columns = columns;
    s->pid = forkpty(&s->fd, NULL, NULL, &size);
    if (s->pid == 0) {
        setenv("TERM", "xterm", 1);
        setenv("LC_ALL", "C.UTF-8", 1);
        execv(args[0], args);
        perror(args[0]);
        _exit(127);
    }
    if (s->pid < 0) {
        perror("forkpty");
        abort();
    }
}

void screen_type(struct screen *s, const char *keys)
{
    size_t size = strlen(keys);
    if (write(s->fd, keys, size) != (ssize_t)size) {
        screen_fail(s, "cannot type", keys);
    }
}

/* Read what has come within the time; false: nothing, or the program ended. */
static bool screen_read(struct screen *s, int timeout_ms)
{
    char data[4096];
    struct pollfd ready = {.fd = s->fd, .events = POLLIN};
    if (poll(&ready, 1, timeout_ms) <= 0) {
        return false;
    }
    ssize_t n = read(s->fd, data, sizeof(data));
    if (n <= 0) {
        return false; /* EIO: the last one has closed the terminal */
    }
    put_bytes(s, data, (size_t)n);
    return true;
}

void screen_expect(struct screen *s, const char *words)
{
    long until = now_ms() + SCREEN_WAIT_MS;
    while (!screen_has(s, words)) {
        if (now_ms() >= until) {
            screen_fail(s, "this did not come", words);
        }
        (void)screen_read(s, 100);
    }
}

void screen_expect_line(struct screen *s, const char *line)
{
    long until = now_ms() + SCREEN_WAIT_MS;
    while (strcmp(row_text(s, s->row), line) != 0) {
        if (now_ms() >= until) {
            screen_fail(s, "the cursor's line did not become", line);
        }
        (void)screen_read(s, 100);
    }
}

int screen_wait(struct screen *s)
{
    long until = now_ms() + SCREEN_WAIT_MS;
    int status = 0;
    pid_t pid = 0;
    while (pid == 0) {
        (void)screen_read(s, 50);
        pid = waitpid(s->pid, &status, WNOHANG);
        if (pid == 0 && now_ms() >= until) {
            screen_fail(s, "it did not end", "");
        }
    }
    while (screen_read(s, 0)) {
    }
    close(s->fd);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
