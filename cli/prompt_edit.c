/* Lines typed at a terminal: editing, history and completion by libedit. The
 * only file that knows it.
 *
 * The history is kept in concordkv/history under $XDG_STATE_HOME or
 * ~/.local/state, for this user alone. A line that begins with a blank, and one
 * that carries a password (AUTH), is not kept. */
#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/clock.h"
#include "cli/prompt.h"
#include "cli/prompt_complete.h"

enum { HISTORY_LINES = 1000, HISTORY_PATH_MAX = 1024 };

struct editor {
    EditLine *edit;
    History *history;
    char history_path[HISTORY_PATH_MAX]; /* empty: not kept */
    char text[PROMPT_TEXT_MAX];
};

static char *give_text(EditLine *edit)
{
    struct editor *e = NULL;
    (void)el_get(edit, EL_CLIENTDATA, &e);
    return e->text;
}

/* ---- completion -----------------------------------------------------------*/

static int screen_width(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0
               ? size.ws_col
               : 80;
}

/* All candidates in columns, below the line. */
static void list_candidates(const struct completion *c)
{
    size_t widest = 0;
    for (size_t i = 0; i < c->n_items; i++) {
        size_t size = strlen(c->items[i]);
        widest = size > widest ? size : widest;
    }
    size_t columns = (size_t)screen_width() / (widest + 2);
    columns = columns == 0 ? 1 : columns;
    size_t rows = (c->n_items + columns - 1) / columns;
    putchar('\n');
    for (size_t row = 0; row < rows; row++) {
        for (size_t i = row; i < c->n_items; i += rows) {
            bool last = i + rows >= c->n_items;
            printf("%-*s", last ? 0 : (int)(widest + 2), c->items[i]);
        }
        putchar('\n');
    }
    fflush(stdout);
}

static unsigned char on_tab(EditLine *edit, int key)
{
    static struct completion c; /* large */
    char line[4096];
    char common[COMPLETE_WORD_MAX];
    const LineInfo *info = el_line(edit);
    size_t size = (size_t)(info->cursor - info->buffer);
    (void)key;
    if (size >= sizeof(line)) {
        return CC_ERROR;
    }
    memcpy(line, info->buffer, size);
    line[size] = '\0';
    prompt_complete(&c, line);
    if (c.n_items == 0) {
        return CC_ERROR;
    }
    completion_common(&c, common);
    if (strlen(common) > c.word_size) {
        if (el_insertstr(edit, common + c.word_size) != 0) {
            return CC_ERROR;
        }
    } else if (c.n_items > 1) {
        list_candidates(&c);
        return CC_REDISPLAY;
    }
    if (c.n_items == 1 && el_insertstr(edit, " ") != 0) {
        return CC_ERROR;
    }
    return CC_REFRESH;
}

/* ---- history --------------------------------------------------------------*/

/* mkdir of the last two parts; what is above must be there. */
static void find_history(struct editor *e)
{
    char dir[HISTORY_PATH_MAX - 16];
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int n = -1;
    if (state != NULL && state[0] == '/') {
        n = snprintf(dir, sizeof(dir), "%s/concordkv", state);
    } else if (home != NULL && home[0] == '/') {
        n = snprintf(dir, sizeof(dir), "%s/.local/state/concordkv", home);
    }
    if (n < 0 || (size_t)n >= sizeof(dir)) {
        return;
    }
    for (char *at = dir + 1;; at++) {
        char c = *at;
        if (c == '/' || c == '\0') {
            *at = '\0';
            if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
                return; /* no place to keep it, so it is not kept */
            }
            *at = c;
        }
        if (c == '\0') {
            break;
        }
    }
    snprintf(e->history_path, sizeof(e->history_path), "%s/history", dir);
}

static bool is_kept(const char *line)
{
    return line[0] != ' ' && line[0] != '\n' &&
           strncasecmp(line, "auth ", 5) != 0;
}

static void keep_line(struct editor *e, const char *line)
{
    HistEvent event;
    if (!is_kept(line)) {
        return;
    }
    (void)history(e->history, &event, H_ENTER, line);
    if (e->history_path[0] != '\0') {
        mode_t before = umask(077);
        (void)history(e->history, &event, H_SAVE, e->history_path);
        (void)umask(before);
    }
}

/* ---- the loop -------------------------------------------------------------*/

/* Without a UTF-8 locale libedit would take each byte for a character. */
static void set_locale(void)
{
    if (setlocale(LC_CTYPE, "") == NULL ||
        strcmp(nl_langinfo(CODESET), "UTF-8") != 0) {
        (void)setlocale(LC_CTYPE, "C.UTF-8");
    }
}

static int open_editor(struct editor *e)
{
    HistEvent event;
    memset(e, 0, sizeof(*e));
    set_locale();
    e->edit = el_init("concordctl", stdin, stdout, stderr);
    e->history = history_init();
    if (e->edit == NULL || e->history == NULL) {
        return verb_fail(EXIT_CODE_REFUSED,
                         "cannot set up the terminal; is TERM right?");
    }
    find_history(e);
    (void)history(e->history, &event, H_SETSIZE, HISTORY_LINES);
    (void)history(e->history, &event, H_SETUNIQUE, 1);
    if (e->history_path[0] != '\0') {
        (void)history(e->history, &event, H_LOAD, e->history_path);
    }
    (void)el_set(e->edit, EL_CLIENTDATA, e);
    (void)el_set(e->edit, EL_PROMPT, give_text);
    (void)el_set(e->edit, EL_EDITOR, "emacs");
    (void)el_set(e->edit, EL_SIGNAL, 1);
    (void)el_set(e->edit, EL_HIST, history, e->history);
    /* The wide form: the narrow one copies the words and never frees them. */
    (void)el_wset(e->edit, EL_ADDFN, L"complete", L"complete the word", on_tab);
    (void)el_set(e->edit, EL_BIND, "^I", "complete", NULL);
    (void)el_set(e->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    (void)el_source(e->edit, NULL); /* ~/.editrc, as all users of libedit */
    return EXIT_CODE_OK;
}

static void close_editor(struct editor *e)
{
    if (e->edit != NULL) {
        el_end(e->edit);
    }
    if (e->history != NULL) {
        history_end(e->history);
    }
}

int prompt_edit(struct prompt *p)
{
    static struct editor e; /* large */
    int code = open_editor(&e);
    printf("concordctl %s; help explains, Ctrl-D leaves\n", CONCORDKV_VERSION);
    while (code == EXIT_CODE_OK && !p->quit) {
        int n = 0;
        /* Before the prompt is shown: a key that comes right behind it must not
         * be echoed by the terminal as well. */
        (void)el_set(e.edit, EL_PREP_TERM, 1);
        prompt_text(p, e.text);
        const char *line = el_gets(e.edit, &n);
        int number = clock_take_interrupt();
        if (number == SIGTERM) {
            code = EXIT_CODE_INTERRUPTED;
        } else if (line == NULL && (number != 0 || (n < 0 && errno == EINTR))) {
            putchar('\n'); /* Ctrl-C gives the line up */
        } else if (line == NULL || n <= 0) {
            putchar('\n');
            break;
        } else {
            keep_line(&e, line);
            (void)prompt_run(p, line);
            (void)clock_take_interrupt();
        }
    }
    close_editor(&e);
    return code;
}
