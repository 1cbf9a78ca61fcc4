/* The table of commands, one line each.
 *
 * The code stands for the name in log entries: a number is never changed or
 * given to another command, also when a command is withdrawn, and a new
 * command takes the next one. Codes in use: 1..56. Commands of which no entry
 * ever tells are counted from 200, in use:
 * 200 to 205, 210 to 213.
 *
 * X(code, name, arity, flags, first key, last key, key step, check, run,
 *   group, since, summary)
 * `since` is the version of Redis, whose documentation defines the command.
 * The lines are in order of the names: command_find searches by halves. */
#ifndef NODE_COMMAND_LIST_H
#define NODE_COMMAND_LIST_H

/* clang-format off */
#define COMMAND_LIST(X)                                                        \
    X(24, APPEND, 3, COMMAND_WRITE | COMMAND_FAST | COMMAND_DENYOOM, 1, 1, 1,  \
      NULL, command_append, "string", "2.0.0", "Append a value to a key")      \
    X(43, CLIENT, -2, COMMAND_LOCAL, 0, 0, 0, command_check_client, NULL,      \
      "connection", "2.4.0", "A container for client connection commands")     \
    X(202, CLUSTER, -2, COMMAND_LOCAL, 0, 0, 0, command_check_cluster, NULL,   \
      "cluster", "3.0.0", "A container for cluster commands")                  \
    X(4, COMMAND, -1, COMMAND_LOCAL, 0, 0, 0, command_check_command,           \
      command_command, "server", "2.8.13", "Get array of command details")     \
    X(200, CONCORDKV, -2, COMMAND_LOCAL | COMMAND_DANGEROUS, 0, 0, 0, NULL,    \
      NULL, "server", "1.0.0", "A container for commands to operators")        \
    X(5, CONFIG, -2, COMMAND_LOCAL, 0, 0, 0, command_check_config, NULL,       \
      "server", "2.0.0", "Get the values of configuration parameters")         \
    X(40, COPY, -3, COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_KEYSPACE, 1, 2,  \
      1, command_check_copy, command_copy, "generic", "6.2.0", "Copy a key")   \
    X(8, DBSIZE, 1, COMMAND_READ | COMMAND_FAST | COMMAND_KEYSPACE, 0, 0, 0,   \
      NULL, command_dbsize, "server", "1.0.0", "Return the number of keys")    \
    X(15, DECR, 2, COMMAND_WRITE | COMMAND_FAST | COMMAND_DENYOOM, 1, 1, 1,    \
      NULL, command_decr, "string", "1.0.0",                                   \
      "Decrement the integer value of a key by one")                           \
    X(17, DECRBY, 3, COMMAND_WRITE | COMMAND_FAST | COMMAND_DENYOOM, 1, 1, 1,  \
      command_check_incrby, command_decrby, "string", "1.0.0",                 \
      "Decrement the integer value of a key by the given number")              \
    X(12, DEL, -2, COMMAND_WRITE | COMMAND_KEYSPACE, 1, -1, 1, NULL,           \
      command_del, "generic", "1.0.0", "Delete a key")                         \
    X(212, DISCARD, 1, COMMAND_LOCAL | COMMAND_FAST | COMMAND_TRANSACTION, 0,  \
      0, 0, NULL, NULL, "transactions", "2.0.0",                               \
      "Discard all commands issued after MULTI")                               \
    X(2, ECHO, 2, COMMAND_LOCAL | COMMAND_FAST | COMMAND_MULTI, 0, 0, 0, NULL, \
      command_echo, "connection", "1.0.0", "Echo the given string")            \
    X(211, EXEC, 1, COMMAND_LOCAL | COMMAND_TRANSACTION, 0, 0, 0, NULL, NULL,  \
      "transactions", "1.2.0", "Execute all commands issued after MULTI")      \
    X(13, EXISTS, -2, COMMAND_READ | COMMAND_FAST | COMMAND_KEYSPACE, 1, -1,   \
      1, NULL, command_exists, "generic", "1.0.0",                             \
      "Determine if a key exists")                                             \
    X(44, EXPIRE, -3, COMMAND_WRITE | COMMAND_FAST | COMMAND_KEYSPACE,         \
      1, 1, 1, command_check_expire, command_expire, "generic",                \
      "1.0.0", "Set a key's time to live in seconds")                          \
    X(45, EXPIREAT, -3, COMMAND_WRITE | COMMAND_FAST | COMMAND_KEYSPACE,       \
      1, 1, 1, command_check_expire, command_expire, "generic",                \
      "1.2.0", "Set the expiration for a key as a UNIX timestamp")             \
    X(46, EXPIRETIME, 2, COMMAND_READ | COMMAND_FAST | COMMAND_KEYSPACE, 1,    \
      1, 1, NULL, command_expiretime, "generic", "7.0.0",                      \
      "Get the expiration Unix timestamp for a key")                           \
    X(21, FLUSHALL, -1, COMMAND_WRITE | COMMAND_KEYSPACE | COMMAND_DANGEROUS,  \
      0, 0, 0, command_check_flush, command_flush, "server", "1.0.0",          \
      "Remove all keys")                                                       \
    X(22, FLUSHDB, -1, COMMAND_WRITE | COMMAND_KEYSPACE | COMMAND_DANGEROUS,   \
      0, 0, 0, command_check_flush, command_flush, "server", "1.0.0",          \
      "Remove all keys of the database")                                       \
    X(11, GET, 2, COMMAND_READ | COMMAND_FAST, 1, 1, 1, NULL, command_get,     \
      "string", "1.0.0", "Get the value of a key")                             \
    X(27, GETDEL, 2, COMMAND_WRITE | COMMAND_FAST, 1, 1, 1, NULL,              \
      command_getdel, "string", "6.2.0",                                       \
      "Get the value of a key and delete the key")                             \
    X(47, GETEX, -2, COMMAND_WRITE | COMMAND_FAST, 1, 1, 1,                    \
      command_check_getex, command_getex, "string", "6.2.0",                   \
      "Get the value of a key and optionally set its expiration")              \
    X(29, GETRANGE, 4, COMMAND_READ, 1, 1, 1, command_check_getrange,          \
      command_getrange, "string", "2.4.0",                                     \
      "Get a substring of the string stored at a key")                         \
    X(25, GETSET, 3, COMMAND_WRITE | COMMAND_FAST | COMMAND_DENYOOM, 1, 1, 1,  \
      NULL, command_getset, "string", "1.0.0",                                 \
      "Set the string value of a key and return its old value")                \
    X(41, HELLO, -1, COMMAND_LOCAL | COMMAND_FAST, 0, 0, 0,                    \
      command_check_hello, NULL, "connection", "6.0.0",                        \
      "Handshake with Redis")                                                  \
    X(14, INCR, 2, COMMAND_WRITE | COMMAND_FAST | COMMAND_DENYOOM, 1, 1, 1,    \
      NULL, command_incr, "string", "1.0.0",                                   \
      "Increment the integer value of a key by one")                           \
    X(16, INCRBY, 3, COMMAND_WRITE | COMMAND_FAST | COMMAND_DENYOOM, 1, 1, 1,  \
      command_check_incrby, command_incrby, "string", "1.0.0",                 \
      "Increment the integer value of a key by the given amount")              \
    X(32, INCRBYFLOAT, 3, COMMAND_WRITE | COMMAND_FAST | COMMAND_DENYOOM, 1,   \
      1, 1, command_check_incrbyfloat, command_incrbyfloat, "string",          \
      "2.6.0", "Increment the float value of a key by the given amount")       \
    X(6, INFO, -1, COMMAND_LOCAL | COMMAND_DANGEROUS, 0, 0, 0, NULL, NULL,     \
      "server", "1.0.0", "Get information and statistics about the server")    \
    X(35, KEYS, 2,                                                             \
      COMMAND_READ | COMMAND_KEYSPACE | COMMAND_DANGEROUS | COMMAND_NO_MULTI,  \
      0, 0, 0, command_check_keys, command_keys, "generic", "1.0.0",           \
      "Find all keys matching the given pattern")                              \
    X(201, LASTSAVE, 1, COMMAND_LOCAL | COMMAND_FAST | COMMAND_DANGEROUS, 0,   \
      0, 0, NULL, NULL, "server", "1.0.0",                                     \
      "Get the UNIX time stamp of the last successful save to disk")           \
    X(18, MGET, -2, COMMAND_READ | COMMAND_FAST, 1, -1, 1, NULL,               \
      command_mget, "string", "1.0.0", "Get the values of all given keys")     \
    X(19, MSET, -3, COMMAND_WRITE | COMMAND_DENYOOM, 1, -1, 2,                 \
      command_check_mset, command_mset, "string", "1.0.1",                     \
      "Set multiple keys to multiple values")                                  \
    X(28, MSETNX, -3, COMMAND_WRITE | COMMAND_DENYOOM, 1, -1, 2,               \
      command_check_mset, command_msetnx, "string", "1.0.1",                   \
      "Set multiple keys to multiple values, only if none of the keys exist")  \
    X(210, MULTI, 1, COMMAND_LOCAL | COMMAND_FAST | COMMAND_TRANSACTION, 0, 0, \
      0, NULL, NULL, "transactions", "1.2.0",                                  \
      "Mark the start of a transaction block")                                 \
    X(48, PERSIST, 2, COMMAND_WRITE | COMMAND_FAST | COMMAND_KEYSPACE, 1, 1,   \
      1, NULL, command_persist, "generic", "2.2.0",                            \
      "Remove the expiration from a key")                                      \
    X(49, PEXPIRE, -3, COMMAND_WRITE | COMMAND_FAST | COMMAND_KEYSPACE,        \
      1, 1, 1, command_check_expire, command_expire, "generic",                \
      "2.6.0", "Set a key's time to live in milliseconds")                     \
    X(50, PEXPIREAT, -3, COMMAND_WRITE | COMMAND_FAST | COMMAND_KEYSPACE,      \
      1, 1, 1, command_check_expire, command_expire, "generic",                \
      "2.6.0", "Set the expiration for a key as a UNIX timestamp specified "   \
      "in milliseconds")                                                       \
    X(51, PEXPIRETIME, 2, COMMAND_READ | COMMAND_FAST | COMMAND_KEYSPACE, 1,   \
      1, 1, NULL, command_pexpiretime, "generic", "7.0.0",                     \
      "Get the expiration Unix timestamp for a key in milliseconds")           \
    X(1, PING, -1, COMMAND_LOCAL | COMMAND_FAST | COMMAND_MULTI, 0, 0, 0,      \
      command_check_ping, command_ping, "connection", "1.0.0",                 \
      "Ping the server")                                                       \
    X(52, PSETEX, 4, COMMAND_WRITE | COMMAND_DENYOOM, 1, 1, 1,                 \
      command_check_setex, command_setex, "string", "2.6.0",                   \
      "Set the value and expiration in milliseconds of a key")                 \
    X(53, PTTL, 2, COMMAND_READ | COMMAND_FAST | COMMAND_KEYSPACE, 1,          \
      1, 1, NULL, command_pttl, "generic", "2.6.0",                            \
      "Get the time to live for a key in milliseconds")                        \
    X(3, QUIT, -1, COMMAND_LOCAL | COMMAND_FAST, 0, 0, 0, NULL, command_quit,  \
      "connection", "1.0.0", "Close the connection")                           \
    X(36, RANDOMKEY, 1, COMMAND_READ | COMMAND_KEYSPACE, 0, 0, 0, NULL,        \
      command_randomkey, "generic", "1.0.0",                                   \
      "Return a random key from the keyspace")                                 \
    X(203, READONLY, 1, COMMAND_LOCAL | COMMAND_FAST, 0, 0, 0, NULL, NULL,     \
      "cluster", "3.0.0",                                                      \
      "Enables read-only queries for a connection to a replica node")          \
    X(204, READWRITE, 1, COMMAND_LOCAL | COMMAND_FAST, 0, 0, 0, NULL, NULL,    \
      "cluster", "3.0.0",                                                      \
      "Enables read-write queries for a connection to a replica node")         \
    X(38, RENAME, 3, COMMAND_WRITE | COMMAND_KEYSPACE, 1, 2, 1, NULL,          \
      command_rename, "generic", "1.0.0", "Rename a key")                      \
    X(39, RENAMENX, 3, COMMAND_WRITE | COMMAND_FAST | COMMAND_KEYSPACE, 1, 2,  \
      1, NULL, command_renamenx, "generic", "1.0.0",                           \
      "Rename a key, only if the new key does not exist")                      \
    X(42, RESET, 1, COMMAND_LOCAL | COMMAND_FAST, 0, 0, 0, NULL, NULL,         \
      "connection", "6.2.0", "Reset the connection")                           \
    X(20, SCAN, -2, COMMAND_READ | COMMAND_KEYSPACE | COMMAND_NO_MULTI, 0, 0,  \
      0, command_check_scan, command_scan, "generic", "2.8.0",                 \
      "Incrementally iterate the keys space")                                  \
    X(9, SELECT, 2, COMMAND_LOCAL | COMMAND_FAST | COMMAND_MULTI, 0, 0, 0,     \
      command_check_select, command_select, "connection", "1.0.0",             \
      "Change the selected database for the current connection")               \
    X(10, SET, -3, COMMAND_WRITE | COMMAND_DENYOOM, 1, 1, 1,                   \
      command_check_set, command_set, "string", "1.0.0",                       \
      "Set the string value of a key")                                         \
    X(54, SETEX, 4, COMMAND_WRITE | COMMAND_DENYOOM, 1, 1, 1,                  \
      command_check_setex, command_setex, "string", "2.0.0",                   \
      "Set the value and expiration of a key")                                 \
    X(26, SETNX, 3, COMMAND_WRITE | COMMAND_FAST | COMMAND_DENYOOM, 1, 1, 1,   \
      NULL, command_setnx, "string", "1.0.0",                                  \
      "Set the value of a key, only if the key does not exist")                \
    X(30, SETRANGE, 4, COMMAND_WRITE | COMMAND_DENYOOM, 1, 1, 1,               \
      command_check_setrange, command_setrange, "string", "2.2.0",             \
      "Overwrite part of a string at key starting at the specified offset")    \
    X(23, STRLEN, 2, COMMAND_READ | COMMAND_FAST, 1, 1, 1, NULL,               \
      command_strlen, "string", "2.2.0",                                       \
      "Get the length of the value stored in a key")                           \
    X(31, SUBSTR, 4, COMMAND_READ, 1, 1, 1, command_check_getrange,            \
      command_getrange, "string", "1.0.0",                                     \
      "Get a substring of the string stored at a key")                         \
    X(7, TIME, 1, COMMAND_LOCAL | COMMAND_FAST | COMMAND_MULTI, 0, 0, 0, NULL, \
      command_time, "server", "2.6.0", "Return the current server time")       \
    X(37, TOUCH, -2, COMMAND_READ | COMMAND_FAST | COMMAND_KEYSPACE, 1, -1,    \
      1, NULL, command_exists, "generic", "3.2.1",                             \
      "Alters the last access time of a key(s). Returns the number of "        \
      "existing keys specified.")                                              \
    X(55, TTL, 2, COMMAND_READ | COMMAND_FAST | COMMAND_KEYSPACE, 1,           \
      1, 1, NULL, command_ttl, "generic", "1.0.0",                             \
      "Get the time to live for a key in seconds")                             \
    X(34, TYPE, 2, COMMAND_READ | COMMAND_FAST | COMMAND_KEYSPACE, 1, 1, 1,    \
      NULL, command_type, "generic", "1.0.0",                                  \
      "Determine the type stored at key")                                      \
    X(33, UNLINK, -2, COMMAND_WRITE | COMMAND_FAST | COMMAND_KEYSPACE, 1, -1,  \
      1, NULL, command_del, "generic", "4.0.0",                                \
      "Delete a key asynchronously in another thread. Otherwise it is "        \
      "just as DEL, but non blocking.")                                        \
    X(56, UNWATCH, 1,                                                          \
      COMMAND_LOCAL | COMMAND_FAST | COMMAND_TRANSACTION | COMMAND_MULTI, 0,   \
      0, 0, NULL, command_unwatch, "transactions", "2.2.0",                    \
      "Forget about all watched keys")                                         \
    X(205, WAIT, 3, COMMAND_LOCAL, 0, 0, 0, command_check_wait, NULL,          \
      "generic", "3.0.0",                                                      \
      "Wait for the synchronous replication of all the write commands sent "   \
      "in the context of the current connection")                              \
    X(213, WATCH, -2, COMMAND_LOCAL | COMMAND_FAST | COMMAND_TRANSACTION, 1,   \
      -1, 1, NULL, NULL, "transactions", "2.2.0",                              \
      "Watch the given keys to determine execution of the MULTI/EXEC block")
/* clang-format on */

#endif
