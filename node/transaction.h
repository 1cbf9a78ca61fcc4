/* A transaction as it stands in a log entry: commands that are carried out
 * together, at one index, if the watched keys still are what the client saw.
 *
 * Layout, behind the head of its proposal (proposal.h):
 *   varint n watches | n * watch | varint n commands | n * command
 *   watch:   u8 present | [u64 low, u64 high] | varint size, key
 *   command: u16 code | varint argc | argc * (varint size, bytes)
 * low and high are the hash of the item, which covers value, type and expiry
 * (one that has expired is absent); argc leaves out the name, as in every
 * entry. All commands run by the clock of the entry, TIME included.
 *
 * Items have no version, so a watch is kept by two halves. Until EXEC the node
 * on which the session is marks a watch as broken by any change of the key that
 * is applied there (session_watch.c), and EXEC asks the read barrier first, so
 * what was acknowledged anywhere before it is applied by then: that covers all
 * that the client can have seen, and a change to the same value too. From then
 * on the entry is on its way, and the hash covers the rest: it is compared with
 * the item of the moment at which the entry is applied, on every node alike,
 * whoever leads by then. A key that was changed in that time and changed back
 * passes, and may: at that index it is what the client saw, so the transaction
 * is in its place in the one order of all writes.
 *
 * A transaction that only reads need not stand in the log: it runs by the same
 * functions behind one read barrier. */
#ifndef NODE_TRANSACTION_H
#define NODE_TRANSACTION_H

#include <stdbool.h>
#include <stdint.h>

#include "node/buffer.h"
#include "raftlog/byte.h"
#include "raftlog/checksum.h"

struct command;
struct command_env;

enum {
    TRANSACTION_COMMANDS_MAX = 1 << 20,
    TRANSACTION_WATCHES_MAX = 1 << 16,
    /* Of all replies of one that stands in the log: part of the replicated
     * behaviour, as what is beyond it is replaced by an error. */
    TRANSACTION_REPLY_MAX = 80 * 1024 * 1024
};

struct transaction {
    uint32_t n_watches, n_commands;
    uint32_t argc_max; /* of the commands, with the name; set by decode */
    bool writes;       /* one of them does; set by decode */
    struct bytes watches, commands; /* in the layout above, without the counts;
                                     * borrowed */
};

/* What a key was: absent, or the hash of its item. */
struct transaction_watch {
    struct bytes key;
    bool present;
    struct checksum128 hash;
};

/* What the key is now; an expired one is absent. key is borrowed. */
void transaction_look(struct command_env *env, struct bytes key,
                      struct transaction_watch *out);
/* Add one to the run of bytes that becomes `watches` or `commands`; out->failed
 * tells of a lack of memory. */
void transaction_put_watch(struct buffer *out,
                           const struct transaction_watch *watch);
void transaction_put_command(struct buffer *out, const struct command *command,
                             uint32_t argc, const struct bytes *argv);
/* Bytes that transaction_put_command adds. */
uint64_t transaction_command_size(uint32_t argc, const struct bytes *argv);

/* The whole layout with its counts. */
uint64_t transaction_size(const struct transaction *t);
void transaction_encode(const struct transaction *t, struct byte_writer *w);
/* Look at everything up to the end of r; what is in *out borrows from it.
 * Errors: ERR_CORRUPT (also: a command that may not be queued, or not as many
 * arguments as it needs); ERR_VERSION a command that is not known. */
int transaction_decode(struct byte_reader *r, struct transaction *out);

/* The commands of a decoded one, one after the other: r begins as a reader of
 * t->commands, argv is room for argc_max arguments. Returns how many there are,
 * with the name; 0: no more. */
uint32_t transaction_next(struct byte_reader *r, struct bytes *argv);

/* Carry out what transaction_decode has accepted. argv is room for argc_max
 * arguments. The reply is an array of their replies, or null when a watched key
 * is not what it was. env->error and env->due are set as by a command;
 * env->random, if a command needs chance, must be the same on all nodes. */
void transaction_run(const struct transaction *t, struct command_env *env,
                     struct bytes *argv, struct buffer *reply);

#endif
