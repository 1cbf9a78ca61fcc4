/* Workload: the small files that are replaced as a whole: identity and the
 * book of peers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/peer_book.h"
#include "raftlog/identity.h"
#include "tests/crash/enumerate.h"

struct model {
    uint32_t identity; /* 1: was told that it stands */
    uint32_t book;     /* peers in the book that was saved */
    uint32_t handed;   /* and in the one being saved */
};

static struct identity *make_wanted(void)
{
    struct identity *id = calloc(1, sizeof *id);
    crash_check(id != NULL, NULL);
    memset(id->cluster_id, 7, sizeof id->cluster_id);
    memset(id->instance_id, 9, sizeof id->instance_id);
    id->node_id = 2;
    snprintf(id->membership, sizeof id->membership, "1=a:1,2=b:2,3=c:3");
    return id;
}

static struct peer_book make_book(uint32_t n)
{
    struct peer_book b = {0};
    uint8_t instance[HANDSHAKE_INSTANCE_SIZE];
    for (uint32_t i = 0; i < n; i++) {
        memset(instance, (int)(i + 1), sizeof instance);
        crash_check(peer_book_set(&b, i + 1, instance) == 0, NULL);
    }
    return b;
}

/* Open the identity of dir; true when there was none. */
static bool open_identity(const char *dir)
{
    struct identity *wanted = make_wanted();
    struct identity *found = calloc(1, sizeof *found);
    struct err_info info = {0};
    bool created = false;
    crash_check(found != NULL, NULL);
    crash_check(identity_open(dir, wanted, found, &created, &info) == 0,
                info.message);
    crash_check(memcmp(wanted, found, sizeof *wanted) == 0,
                "the identity is another one");
    free(wanted);
    free(found);
    return created;
}

static void play(void *model, struct sim_clock *clock)
{
    struct model *m = model;
    (void)clock;
    (void)open_identity("/n1");
    m->identity = 1;
    for (uint32_t n = 1; n <= 3; n++) {
        struct peer_book b = make_book(n);
        m->handed = n;
        crash_check(peer_book_save("/n1", &b) == 0, "save the book");
        m->book = n;
    }
    crash_check(!open_identity("/n1"), NULL);
}

static void recover(const void *model, const char *dir, struct sim_clock *clock,
                    void *after, bool go_on)
{
    const struct model *m = model;
    struct model *back = after;
    struct peer_book found;
    struct peer_book expected;
    bool created = open_identity(dir);
    (void)clock;
    crash_check(!(created && m->identity), "the identity is lost");
    crash_check(peer_book_load(dir, &found) == 0, "load the book");
    crash_check(found.n == m->book || found.n == m->handed,
                "a book came back that was not saved");
    expected = make_book(found.n);
    crash_check(memcmp(&found, &expected, sizeof found) == 0,
                "the book differs");
    /* The book is advisory: reading it is no promise that it stands. */
    *back = *m;
    back->identity = 1;
    crash_promise(back);
    if (go_on) {
        expected = make_book(5);
        back->book = found.n;
        back->handed = 5;
        crash_check(peer_book_save(dir, &expected) == 0, "save the book");
        back->book = 5;
    }
}

const struct crash_workload crash_home = {"home", sizeof(struct model), play,
                                          recover};
