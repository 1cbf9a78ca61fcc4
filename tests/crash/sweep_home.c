/* Sweep: the data directory's identity, lock, and book of peers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/home.h"
#include "node/peer_book.h"
#include "tests/crash/sweep.h"

enum { PATH_BYTES = 300 };

static const char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

/* The caller's memory, taken once. */
static struct config *configure(const char *root, bool first)
{
    static struct config *c;
    char dir[PATH_BYTES];
    char *argv[] = {"concordkv", "--data-dir",        dir,          "--id",
                    "2",         "--initial-cluster", "1=a:1,2=b:2"};
    struct err_info info = {0};
    snprintf(dir, sizeof dir, "%s/data", root);
    if (c == NULL) {
        c = malloc(sizeof *c);
    }
    sweep_check(c != NULL, NULL);
    sweep_check(config_load(c, first ? 7 : 3, argv, no_environment, &info) == 0,
                info.message);
    return c;
}

static struct config *wanted;

static void prepare(const char *root)
{
    wanted = configure(root, true);
}

static struct peer_book make_book(void)
{
    struct peer_book book = {0};
    uint8_t instance[HANDSHAKE_INSTANCE_SIZE] = {4, 5};
    sweep_check(peer_book_set(&book, 1, instance) == 0, NULL);
    return book;
}

static int work(const char *root, struct sweep_told *told)
{
    struct peer_book book = make_book();
    struct handshake_node self;
    struct file *lock = NULL;
    int rv;
    (void)root;
    rv = home_open(wanted, &self, &lock, &told->info);
    if (rv != 0) {
        return rv;
    }
    told->durable = 1;
    rv = peer_book_save(wanted->data_dir, &book);
    told->durable = rv == 0 ? 2 : told->durable;
    if (rv == 0) {
        rv = peer_book_load(wanted->data_dir, &book);
    }
    if (rv != 0) {
        (void)err_set(&told->info, rv, "book of peers: %s", err_text(rv));
    }
    sweep_check(rv != 0 || book.n == 1, "the book is another one");
    file_close(lock);
    told->whole = rv == 0;
    return rv;
}

static void check(const char *root, const struct sweep_told *told)
{
    struct config *c = configure(root, told->durable == 0);
    struct handshake_node self;
    struct peer_book book;
    struct file *lock = NULL;
    struct err_info info = {0};
    /* Whoever was told of it needs no flags any more. */
    sweep_check(home_open(c, &self, &lock, &info) == 0, info.message);
    sweep_check(self.id == 2 && c->n_initial == 2, "the identity is lost");
    file_close(lock);
    sweep_check(peer_book_load(c->data_dir, &book) == 0, "load the book");
    sweep_check(book.n == 1 || told->durable < 2, "the book is lost");
}

const struct sweep_case sweep_home = {"home", prepare, work, check};
