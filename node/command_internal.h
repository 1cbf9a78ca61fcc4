/* Inside of the commands: what the groups share. */
#ifndef NODE_COMMAND_INTERNAL_H
#define NODE_COMMAND_INTERNAL_H

#include <stdbool.h>

#include "node/command.h"
#include "node/resp.h"

/* ---- the functions of the table ---- */
#define COMMAND_RUN(name)                                                      \
    void name(struct command_env *env, uint32_t argc,                          \
              const struct bytes *argv, struct buffer *reply)
#define COMMAND_CHECK(name)                                                    \
    bool name(uint32_t argc, const struct bytes *argv, struct buffer *reply)

/* command_connection.c */
COMMAND_RUN(command_ping);
COMMAND_RUN(command_echo);
COMMAND_RUN(command_quit);
COMMAND_RUN(command_select);
COMMAND_RUN(command_time);
COMMAND_RUN(command_unwatch);
COMMAND_CHECK(command_check_client);
COMMAND_CHECK(command_check_cluster);
COMMAND_CHECK(command_check_hello);
COMMAND_CHECK(command_check_ping);
COMMAND_CHECK(command_check_select);
COMMAND_CHECK(command_check_wait);
/* command_describe.c */
COMMAND_RUN(command_command);
COMMAND_CHECK(command_check_command);
COMMAND_CHECK(command_check_config);
/* command_expire.c */
COMMAND_RUN(command_expire);
COMMAND_RUN(command_expiretime);
COMMAND_RUN(command_persist);
COMMAND_RUN(command_pexpiretime);
COMMAND_RUN(command_pttl);
COMMAND_RUN(command_ttl);
COMMAND_CHECK(command_check_expire);
/* command_float.c */
COMMAND_RUN(command_incrbyfloat);
COMMAND_CHECK(command_check_incrbyfloat);
/* Has this node the numbers that INCRBYFLOAT needs? False after an error. */
bool command_float_fits(struct buffer *reply);
/* command_keys.c */
COMMAND_RUN(command_keys);
COMMAND_RUN(command_randomkey);
COMMAND_CHECK(command_check_keys);
/* command_range.c */
COMMAND_RUN(command_getrange);
COMMAND_RUN(command_setrange);
COMMAND_CHECK(command_check_getrange);
COMMAND_CHECK(command_check_setrange);
/* command_rename.c */
COMMAND_RUN(command_copy);
COMMAND_RUN(command_rename);
COMMAND_RUN(command_renamenx);
COMMAND_CHECK(command_check_copy);
/* command_keyspace.c */
COMMAND_RUN(command_dbsize);
COMMAND_RUN(command_del);
COMMAND_RUN(command_exists);
COMMAND_RUN(command_flush);
COMMAND_RUN(command_type);
COMMAND_CHECK(command_check_flush);
/* command_scan.c */
COMMAND_RUN(command_scan);
COMMAND_CHECK(command_check_scan);
/* command_set.c */
COMMAND_RUN(command_getex);
COMMAND_RUN(command_getset);
COMMAND_RUN(command_set);
COMMAND_RUN(command_setex);
COMMAND_CHECK(command_check_getex);
COMMAND_CHECK(command_check_set);
COMMAND_CHECK(command_check_setex);
/* command_string.c */
COMMAND_RUN(command_append);
COMMAND_RUN(command_get);
COMMAND_RUN(command_getdel);
COMMAND_RUN(command_mget);
COMMAND_RUN(command_mset);
COMMAND_RUN(command_msetnx);
COMMAND_RUN(command_setnx);
COMMAND_RUN(command_strlen);
COMMAND_CHECK(command_check_mset);
/* command_counter.c */
COMMAND_RUN(command_decr);
COMMAND_RUN(command_decrby);
COMMAND_RUN(command_incr);
COMMAND_RUN(command_incrby);
COMMAND_CHECK(command_check_incrby);

/* ---- arguments and replies ---- */
extern const char command_error_syntax[];
extern const char command_error_integer[];
extern const char command_error_string_size[];
extern const char command_error_pattern[];
enum { COMMAND_PATTERN_MAX = 4096 };

/* "wrong number of arguments for '<name>' command"; name in any case. */
void command_reply_arity(struct buffer *reply, const char *name);
void command_reply_subcommand(struct buffer *reply, const char *name,
                              struct bytes sub);
struct command_subcommand {
    const char *name;
    const char *full_name; /* for errors */
    int arity;             /* with both names; negative: at least */
    void (*run)(const struct command_env *env, uint32_t argc,
                const struct bytes *argv, struct buffer *reply);
};
/* The row of argv[1] in a list that ends with NULL; NULL after writing an error
 * reply. */
const struct command_subcommand *
command_subcommand_find(const struct command_subcommand *list, const char *name,
                        uint32_t argc, const struct bytes *argv,
                        struct buffer *reply);
/* Is this text the number of the one database? False after an error reply. */
bool command_check_db(struct bytes text, struct buffer *reply);
/* A value as a bulk string, or the error that the reply is too long. */
void command_reply_value(const struct command_env *env, struct bytes value,
                         struct buffer *reply);
void command_reply_too_long(const struct command_env *env,
                            struct buffer *reply);

/* ---- expiry (command_expire.c) ---- */
/* EX, PX, EXAT or PXAT with its time. */
struct command_expiry {
    struct bytes time; /* data NULL: none was given */
    bool seconds, absolute;
};
/* Is argv[i] one of them? 0 no; 1 yes, with its time behind it; -1 yes, but
 * without a time, or beside another one. */
int command_expiry_option(struct command_expiry *e, uint32_t argc,
                          const struct bytes *argv, uint32_t i);
/* The moment it means; now_ms 0: only what can be told without a clock. False
 * after writing an error reply that names the command (in lower case). */
bool command_expiry_at(const struct command_expiry *e, uint64_t now_ms,
                       const char *name, uint64_t *at_ms, struct buffer *reply);
/* Give a live item this expiry (0: none), or delete it when that has passed.
 * False after writing an error reply. */
bool command_expire_item(struct command_env *env, struct store_item *item,
                         uint64_t at_ms, struct buffer *reply);

/* ---- the store ---- */
/* The item of a key, borrowed; NULL when it is absent or has expired. All
 * commands look through this, or through command_is_live. */
struct store_item *command_lookup(struct command_env *env, struct bytes key);
/* False: the item's time has come. */
bool command_is_live(struct command_env *env, const struct store_item *item);
/* The string of a key: *item NULL when the key is absent. False after writing
 * an error reply: the key holds something else. */
bool command_lookup_string(struct command_env *env, struct bytes key,
                           struct store_item **item, struct buffer *reply);
/* Set a string; false after writing an error reply. */
bool command_store_string(struct command_env *env, struct bytes key,
                          struct bytes value, uint64_t expire_ms,
                          struct buffer *reply);
/* The write failed for lack of memory: error reply, env->error. */
void command_out_of_memory(struct command_env *env, struct buffer *reply);

#endif
