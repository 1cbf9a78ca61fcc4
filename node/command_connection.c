/* PING, ECHO, QUIT, SELECT, TIME: answered by the node that got them, from
 * their arguments alone. That the connection closes after QUIT is the shell's.
 *
 * Of HELLO and CLIENT, which are about the session, only the checks are here.
 */
#include <string.h>

#include "node/command_internal.h"
#include "node/number.h"

/* Each is looked for among all clients. */
enum { CLIENT_LIST_IDS_MAX = 128 };

bool command_check_ping(uint32_t argc, const struct bytes *argv,
                        struct buffer *reply)
{
    (void)argv;
    if (argc > 2) {
        command_reply_arity(reply, "ping");
        return false;
    }
    return true;
}

void command_ping(struct command_env *env, uint32_t argc,
                  const struct bytes *argv, struct buffer *reply)
{
    (void)env;
    if (!command_check_ping(argc, argv, reply)) {
        return;
    }
    if (argc == 1) {
        resp_simple(reply, "PONG");
    } else {
        resp_bulk(reply, argv[1].data, argv[1].size);
    }
}

void command_echo(struct command_env *env, uint32_t argc,
                  const struct bytes *argv, struct buffer *reply)
{
    (void)env;
    (void)argc;
    resp_bulk(reply, argv[1].data, argv[1].size);
}

void command_quit(struct command_env *env, uint32_t argc,
                  const struct bytes *argv, struct buffer *reply)
{
    (void)env;
    (void)argc;
    (void)argv;
    resp_simple(reply, "OK");
}

bool command_check_wait(uint32_t argc, const struct bytes *argv,
                        struct buffer *reply)
{
    int64_t n;

    (void)argc;
    if (!number_parse(argv[1], &n)) {
        resp_error(reply, command_error_integer);
        return false;
    }
    if (!number_parse(argv[2], &n) || n > INT64_MAX / 2) {
        resp_error(reply, "ERR timeout is not an integer or out of range");
        return false;
    }
    if (n < 0) {
        resp_error(reply, "ERR timeout is negative");
        return false;
    }
    return true;
}

/* The clock of the node that was asked, in a transaction that of its entry;
 * whole milliseconds. */
void command_time(struct command_env *env, uint32_t argc,
                  const struct bytes *argv, struct buffer *reply)
{
    char text[NUMBER_TEXT_MAX];
    size_t size = number_format(text, (int64_t)(env->now_ms / 1000));

    (void)argc;
    (void)argv;
    resp_array(reply, 2);
    resp_bulk(reply, text, size);
    size = number_format(text, (int64_t)(env->now_ms % 1000 * 1000));
    resp_bulk(reply, text, size);
}

/* Within a transaction: EXEC forgets the watched keys anyway. */
void command_unwatch(struct command_env *env, uint32_t argc,
                     const struct bytes *argv, struct buffer *reply)
{
    (void)env;
    (void)argc;
    (void)argv;
    resp_simple(reply, "OK");
}

/* There is one database, number 0, as in a Redis cluster. */
bool command_check_db(struct bytes text, struct buffer *reply)
{
    int64_t n;

    if (!number_parse(text, &n)) {
        resp_error(reply, command_error_integer);
        return false;
    }
    if (n < INT32_MIN || n > INT32_MAX) {
        resp_error(reply, "ERR value is out of range, value must between "
                          "-2147483648 and 2147483647");
        return false;
    }
    if (n != 0) {
        resp_error(reply, "ERR DB index is out of range");
        return false;
    }
    return true;
}

bool command_check_select(uint32_t argc, const struct bytes *argv,
                          struct buffer *reply)
{
    (void)argc;
    return command_check_db(argv[1], reply);
}

void command_select(struct command_env *env, uint32_t argc,
                    const struct bytes *argv, struct buffer *reply)
{
    (void)env;
    if (command_check_select(argc, argv, reply)) {
        resp_simple(reply, "OK");
    }
}

/* ---- the connection's own state: the session carries these out ---- */

/* No blanks, control or non-ASCII bytes: it stands in CLIENT LIST. */
static bool name_is_plain(struct bytes name)
{
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] < '!' || name.data[i] > '~') {
            return false;
        }
    }
    return true;
}

static bool check_client_name(struct bytes name, struct buffer *reply)
{
    if (!name_is_plain(name)) {
        resp_error(reply, "ERR Client names cannot contain spaces, newlines or "
                          "special characters.");
        return false;
    }
    if (name.size > COMMAND_CLIENT_NAME_MAX) {
        resp_errorf(reply, "ERR client name is larger than %d bytes",
                    COMMAND_CLIENT_NAME_MAX);
        return false;
    }
    return true;
}

bool command_check_hello(uint32_t argc, const struct bytes *argv,
                         struct buffer *reply)
{
    int64_t version;

    if (argc >= 2 && !number_parse(argv[1], &version)) {
        resp_error(reply,
                   "ERR Protocol version is not an integer or out of range");
        return false;
    }
    if (argc >= 2 && (version < 2 || version > 3)) {
        resp_error(reply, "NOPROTO unsupported protocol version");
        return false;
    }
    for (uint32_t i = 2; i < argc; i++) {
        uint32_t n_more = argc - 1 - i;
        if (command_is(argv[i], "AUTH") && n_more >= 2) {
            resp_error(reply, "ERR AUTH <password> called without any password "
                              "configured for the default user. Are you sure "
                              "your configuration is correct?");
            return false;
        }
        if (!command_is(argv[i], "SETNAME") || n_more < 1) {
            struct resp_shown shown = resp_shown(argv[i]);
            resp_errorf(reply, "ERR Syntax error in HELLO option '%.*s'",
                        shown.size, shown.text);
            return false;
        }
        if (!check_client_name(argv[++i], reply)) {
            return false;
        }
    }
    return true;
}

/* Of CLUSTER, which is about the node, too. */
bool command_check_cluster(uint32_t argc, const struct bytes *argv,
                           struct buffer *reply)
{
    static const struct command_subcommand list[] = {
        {"COUNTKEYSINSLOT", "cluster|countkeysinslot", 3, NULL},
        {"HELP", "cluster|help", 2, NULL},
        {"INFO", "cluster|info", 2, NULL},
        {"KEYSLOT", "cluster|keyslot", 3, NULL},
        {"MYID", "cluster|myid", 2, NULL},
        {"NODES", "cluster|nodes", 2, NULL},
        {"SHARDS", "cluster|shards", 2, NULL},
        {"SLOTS", "cluster|slots", 2, NULL},
        {NULL, NULL, 0, NULL},
    };

    return command_subcommand_find(list, "CLUSTER", argc, argv, reply) != NULL;
}

static bool check_setinfo(const struct bytes *argv, struct buffer *reply)
{
    struct resp_shown name = resp_shown(argv[2]);

    if (!command_is(argv[2], "LIB-NAME") && !command_is(argv[2], "LIB-VER")) {
        resp_errorf(reply, "ERR Unrecognized option '%.*s'", name.size,
                    name.text);
        return false;
    }
    if (!name_is_plain(argv[3])) {
        resp_errorf(reply,
                    "ERR %.*s cannot contain spaces, newlines or special "
                    "characters.",
                    name.size, name.text);
        return false;
    }
    if (argv[3].size > COMMAND_CLIENT_NAME_MAX) {
        resp_errorf(reply, "ERR %.*s is larger than %d bytes", name.size,
                    name.text, COMMAND_CLIENT_NAME_MAX);
        return false;
    }
    return true;
}

/* All clients here are of the type "normal"; the others are none's. */
static bool check_client_type(struct bytes type, struct buffer *reply)
{
    static const char *const types[] = {"NORMAL", "MASTER", "REPLICA", "SLAVE",
                                        "PUBSUB"};
    struct resp_shown shown = resp_shown(type);

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (command_is(type, types[i])) {
            return true;
        }
    }
    resp_errorf(reply, "ERR Unknown client type '%.*s'", shown.size,
                shown.text);
    return false;
}

static bool check_client_list(uint32_t argc, const struct bytes *argv,
                              struct buffer *reply)
{
    int64_t id;

    if (argc == 2) {
        return true;
    }
    if (argc == 4 && command_is(argv[2], "TYPE")) {
        return check_client_type(argv[3], reply);
    }
    if (argc == 3 || !command_is(argv[2], "ID")) {
        resp_error(reply, command_error_syntax);
        return false;
    }
    if (argc > 3 + CLIENT_LIST_IDS_MAX) {
        resp_errorf(reply, "ERR more than %d client IDs", CLIENT_LIST_IDS_MAX);
        return false;
    }
    for (uint32_t i = 3; i < argc; i++) {
        if (!number_parse(argv[i], &id)) {
            resp_error(reply, "ERR Invalid client ID");
            return false;
        }
    }
    return true;
}

/* There is no other one. */
static bool is_default_user(struct bytes name)
{
    return name.size == 7 && memcmp(name.data, "default", 7) == 0;
}

static bool check_kill_filter(struct bytes name, struct bytes value,
                              struct buffer *reply)
{
    int64_t id;

    if (command_is(name, "ID")) {
        if (!number_parse(value, &id) || id < 1) {
            resp_error(reply, "ERR client-id should be greater than 0");
            return false;
        }
        return true;
    }
    if (command_is(name, "TYPE")) {
        return check_client_type(value, reply);
    }
    if (command_is(name, "USER") && !is_default_user(value)) {
        struct resp_shown shown = resp_shown(value);
        resp_errorf(reply, "ERR No such user '%.*s'", shown.size, shown.text);
        return false;
    }
    if (command_is(name, "SKIPME")
            ? !command_is(value, "YES") && !command_is(value, "NO")
            : !command_is(name, "ADDR") && !command_is(name, "LADDR") &&
                  !command_is(name, "USER")) {
        resp_error(reply, command_error_syntax);
        return false;
    }
    return true;
}

/* One address, or filters that all have to fit. */
static bool check_client_kill(uint32_t argc, const struct bytes *argv,
                              struct buffer *reply)
{
    if (argc == 3) {
        return true;
    }
    for (uint32_t i = 2; i < argc; i += 2) {
        if (i + 1 == argc) {
            resp_error(reply, command_error_syntax);
            return false;
        }
        if (!check_kill_filter(argv[i], argv[i + 1], reply)) {
            return false;
        }
    }
    return true;
}

bool command_check_client(uint32_t argc, const struct bytes *argv,
                          struct buffer *reply)
{
    static const struct command_subcommand list[] = {
        {"GETNAME", "client|getname", 2, NULL},
        {"HELP", "client|help", 2, NULL},
        {"ID", "client|id", 2, NULL},
        {"INFO", "client|info", 2, NULL},
        {"KILL", "client|kill", -3, NULL},
        {"LIST", "client|list", -2, NULL},
        {"SETINFO", "client|setinfo", 4, NULL},
        {"SETNAME", "client|setname", 3, NULL},
        {NULL, NULL, 0, NULL},
    };

    if (command_subcommand_find(list, "CLIENT", argc, argv, reply) == NULL) {
        return false;
    }
    if (command_is(argv[1], "SETNAME")) {
        return check_client_name(argv[2], reply);
    }
    if (command_is(argv[1], "SETINFO")) {
        return check_setinfo(argv, reply);
    }
    if (command_is(argv[1], "LIST")) {
        return check_client_list(argc, argv, reply);
    }
    return !command_is(argv[1], "KILL") || check_client_kill(argc, argv, reply);
}
