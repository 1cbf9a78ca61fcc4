/* The commands: their table, and what the ones that touch the store do.
 *
 * A command runs from its arguments and the store alone; what depends on time
 * comes in through the environment (the replicated clock). The same function
 * serves reads on any node and writes applied from the log on every node, so a
 * write gives the same reply everywhere. */
#ifndef NODE_COMMAND_H
#define NODE_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "node/buffer.h"
#include "node/store.h"
#include "node/command_list.h"
#include "raftlog/byte.h"

enum command_flags {
    COMMAND_READ = 1,  /* needs a linearizable view of the store */
    COMMAND_WRITE = 2, /* goes through the log */
    COMMAND_LOCAL = 4, /* answered by the node that got it (PING, INFO ...) */
    COMMAND_FAST = 8,  /* the rest is for COMMAND's output */
    COMMAND_DENYOOM = 16,
    COMMAND_DANGEROUS = 32,
    COMMAND_KEYSPACE = 64,
    /* Of transactions: MULTI and its kin, which are the session's; one that may
     * not be queued though it reads or writes; one that may though it is local,
     * because its reply comes from its arguments and the clock alone. */
    COMMAND_TRANSACTION = 128,
    COMMAND_NO_MULTI = 256,
    COMMAND_MULTI = 512
};

/* The stable numbers by name: COMMAND_CODE_GET and so on. */
enum command_code {
#define COMMAND_ENUM(code, name, ...) COMMAND_CODE_##name = (code),
    COMMAND_LIST(COMMAND_ENUM)
#undef COMMAND_ENUM
};

struct cursor_table; /* SCAN cursors of this node: number -> last key */

struct command_env {
    struct store *store;
    struct cursor_table *cursors; /* may be NULL for writes */
    /* The clock of the state: says what has expired. For commands of LOCAL,
     * which do not look at the store, this node's wall clock. */
    uint64_t now_ms;
    /* Reads: the leader's clock when the read was asked for, 0 when none is
     * known. How long keys have to live is told by the later of the two. */
    uint64_t leader_ms;
    uint64_t random; /* of this call; reads only */
    /* Out: what it has cost beyond its arguments and its reply, in steps of
     * looking at keys. Added to. */
    uint64_t n_steps;
    /* The reply may use maps and sets of RESP3. Never set for writes: their
     * replies come from the log and are converted where they are delivered
     * (resp3_convert), as are nulls everywhere. */
    bool resp3;
    uint64_t reply_max; /* bytes, 0: any; a longer reply becomes an error */
    /* Out: 0, or ERR_NOMEM when a write could not be carried out for lack of
     * memory. Set but never cleared by commands. The node must then stop: going
     * on it would differ from the others. */
    int error;
    /* Out, reads: a key was met that has expired by leader_ms, but not by
     * now_ms. The reply is void: the read is to be asked for again when the
     * state's clock has come so far. Set but never cleared. */
    bool due;
};

struct command {
    const char *name; /* upper case */
    uint16_t code;    /* stable number, used in log entries; never reused */
    int16_t arity;    /* as Redis: counts the name; negative: at least */
    uint16_t flags;
    int16_t first_key, last_key, key_step;
    /* Look at the arguments alone; false after writing an error reply. NULL:
     * nothing to look at but what command_check does for every command. */
    bool (*check)(uint32_t argc, const struct bytes *argv,
                  struct buffer *reply);
    /* Arguments that did not pass the check give an error reply, never more.
     * NULL for commands that need the node (INFO, CONFIG, TIME). */
    void (*run)(struct command_env *env, uint32_t argc,
                const struct bytes *argv, struct buffer *reply);
    const char *group;
    const char *since;
    const char *summary;
};

/* By name in any case, NULL when unknown; by stable code; the whole table. */
const struct command *command_find(struct bytes name);
const struct command *command_by_code(uint16_t code);
const struct command *command_table(unsigned *n);

/* Check what can be told before a command is queued or logged: name, arity,
 * key and value sizes, integer arguments, option syntax. On failure writes the
 * error reply in Redis' words and returns NULL. */
const struct command *command_check(uint32_t argc, const struct bytes *argv,
                                    struct buffer *reply);

/* The part of it that is asked before a command is queued in a transaction:
 * name, arity, sizes. What is wrong with an argument is told by the reply at
 * its place. */
const struct command *command_check_form(uint32_t argc,
                                         const struct bytes *argv,
                                         struct buffer *reply);
/* arity as in struct command. */
bool command_arity_fits(int arity, uint32_t argc);
/* Where the last key is; without keys 0. The arity fits. */
uint32_t command_last_key(const struct command *c, uint32_t argc);
/* False after an error reply: a key is longer than this. */
bool command_keys_fit(const struct command *c, uint32_t argc,
                      const struct bytes *argv, uint64_t size_max,
                      struct buffer *reply);
/* May it stand in a transaction? Not what depends on the node or the session
 * (its reply comes out of the log), nor SCAN and KEYS: the cursors of SCAN are
 * the node's, and many KEYS in one entry would hold up every node. */
bool command_may_queue(const struct command *c);

enum {
    COMMAND_NAME_MAX = 32,          /* with NUL */
    COMMAND_CLIENT_NAME_MAX = 1024, /* bytes, also of SETINFO's values */
    COMMAND_VISIT_STEPS = 16 /* what looking at a key costs, see n_steps */
};

/* Does this command go through the log with these arguments? GETEX may only
 * read. */
bool command_writes(const struct command *c, uint32_t argc);

/* False after an error reply: matching costs its length, for each name. */
bool command_pattern_fits(struct bytes pattern, struct buffer *reply);

/* A command's name, cut to COMMAND_NAME_MAX, in lower case; its length. */
size_t command_name_lower(const char *name, char out[COMMAND_NAME_MAX]);

/* Is the argument this word (given in upper case), in any case? */
bool command_is(struct bytes arg, const char *word);

/* Bounded table of SCAN cursors (least recently used goes first). */
int cursor_table_new(unsigned n_max, struct cursor_table **out);
void cursor_table_free(struct cursor_table *t);

#endif
