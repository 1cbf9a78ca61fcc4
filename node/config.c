/* The configuration at a start: defaults, environment, flags, and what no
 * option can be checked for alone. */
#include "node/config_private.h"

#include <stdio.h>
#include <string.h>

/* The environment variable of an option. */
static void env_name_of(const char *name, char *out, size_t out_size)
{
    snprintf(out, out_size, "CONCORDKV_%s", name);
    for (char *p = out; *p != '\0'; p++) {
        if (*p >= 'a' && *p <= 'z') {
            *p = (char)(*p - 'a' + 'A');
        } else if (*p == '-') {
            *p = '_';
        }
    }
}

/* How alike two names are: letters in common at the front and at the back. */
static size_t likeness(const char *a, size_t a_size, const char *b)
{
    size_t b_size = strlen(b);
    size_t least = a_size < b_size ? a_size : b_size;
    size_t front = 0;
    size_t back = 0;

    while (front < least && a[front] == b[front]) {
        front++;
    }
    while (front + back < least &&
           a[a_size - back - 1] == b[b_size - back - 1]) {
        back++;
    }
    return front + back;
}

static int refuse_unknown(const char *arg, size_t name_size,
                          struct err_info *info)
{
    const struct config_option *best = NULL;
    size_t best_score = 2;
    char shown[64];

    for (unsigned i = 0; name_size > 2 && i < config_n_options; i++) {
        size_t score = likeness(arg + 2, name_size - 2, config_options[i].name);
        if (score > best_score) {
            best_score = score;
            best = &config_options[i];
        }
    }
    err_escape(shown, sizeof shown, arg, name_size);
    if (best != NULL) {
        return err_set(info, ERR_INVALID,
                       "%s is not an option; did you mean --%s? (--help "
                       "lists all)",
                       shown, best->name);
    }
    return err_set(info, ERR_INVALID, "%s is not an option (--help lists all)",
                   shown);
}

static int load_environment(struct config *c, config_env_cb env,
                            struct err_info *info)
{
    char name[CONFIG_NAME_MAX];

    for (unsigned i = 0; i < config_n_options; i++) {
        const char *text;
        int rc;

        env_name_of(config_options[i].name, name, sizeof name);
        text = env(name);
        if (text == NULL) {
            continue;
        }
        rc = config_set_option(c, &config_options[i], name, text, info);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int load_flags(struct config *c, int argc, char *const *argv,
                      struct err_info *info)
{
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        size_t size = strcspn(arg, "=");
        const struct config_option *o = NULL;
        const char *value;
        char label[CONFIG_NAME_MAX];
        int rc;

        if (size > 2 && strncmp(arg, "--", 2) == 0) {
            o = config_find(arg + 2, size - 2, strncmp);
        }
        if (o == NULL) {
            return refuse_unknown(arg, size, info);
        }
        snprintf(label, sizeof label, "--%s", o->name);
        if (arg[size] == '=') {
            value = arg + size + 1;
        } else if (i + 1 < argc) {
            value = argv[++i];
        } else {
            return err_set(info, ERR_INVALID, "%s: needs a value (%s)", label,
                           o->unit);
        }
        rc = config_set_option(c, o, label, value, info);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int check_given(const struct config *c, struct err_info *info)
{
    char env[CONFIG_NAME_MAX];

    for (unsigned i = 0; i < config_n_options; i++) {
        const struct config_option *o = &config_options[i];
        if (o->value == NULL && *(const char *)config_field(c, o) == '\0') {
            env_name_of(o->name, env, sizeof env);
            return err_set(info, ERR_INVALID,
                           "--%s (or %s) must be given; --help explains it",
                           o->name, env);
        }
    }
    return 0;
}

/* What no option can be checked for alone. */
static int check_together(struct config *c, struct err_info *info)
{
    struct err_info detail;

    if (address_parse_cluster(c->initial_cluster, c->initial,
                              REPLICA_SERVERS_MAX, &c->n_initial,
                              &detail) != 0) {
        return err_set(info, ERR_INVALID, "--initial-cluster: %.300s",
                       detail.message);
    }
    if (c->listen_client[0] == '\0' || c->listen_peer[0] == '\0') {
        return err_set(info, ERR_INVALID, "--listen-%s: must not be empty",
                       c->listen_client[0] == '\0' ? "client" : "peer");
    }
    if (c->heartbeat_ms * 3 > c->election_timeout_ms) {
        return err_set(info, ERR_INVALID,
                       "--heartbeat-ms: %llu is more than "
                       "a third of --election-timeout-ms (%llu)",
                       (unsigned long long)c->heartbeat_ms,
                       (unsigned long long)c->election_timeout_ms);
    }
    return 0;
}

/* 0.0.0.0 leads nobody here; the peers' way to us leads clients as well. */
static void advertise_listen_client(struct config *c)
{
    const char *port = strrchr(c->listen_client, ':');
    const char *end = strrchr(c->advertise_peer, ':');
    struct address listen;

    if (address_parse(c->listen_client, &listen, NULL) != 0 || port == NULL ||
        end == NULL ||
        (strcmp(listen.host, "0.0.0.0") != 0 &&
         strcmp(listen.host, "::") != 0)) {
        memcpy(c->advertise_client, c->listen_client,
               sizeof c->advertise_client);
        return;
    }
    snprintf(c->advertise_client, sizeof c->advertise_client, "%.*s%s",
             (int)(end - c->advertise_peer), c->advertise_peer, port);
}

int config_complete(struct config *c, uint64_t id, const char *members,
                    struct err_info *info)
{
    const char *own = NULL;
    int rc;

    if (c->id == 0) {
        c->id = id;
    }
    if (c->n_initial == 0 && members[0] != '\0') {
        rc = address_parse_cluster(members, c->initial, REPLICA_SERVERS_MAX,
                                   &c->n_initial, info);
        if (rc != 0) {
            return rc;
        }
    }
    for (unsigned i = 0; i < c->n_initial; i++) {
        if (c->initial[i].id == c->id) {
            own = c->initial[i].address;
        }
    }
    if (c->advertise_peer[0] == '\0') {
        snprintf(c->advertise_peer, sizeof c->advertise_peer, "%s",
                 own != NULL ? own : c->listen_peer);
    }
    if (c->advertise_client[0] == '\0') {
        advertise_listen_client(c);
    }
    if (c->n_initial == 0) {
        c->n_initial = 1;
        c->initial[0].id = c->id;
        c->initial[0].role = RAFT_VOTER;
        memcpy(c->initial[0].address, c->advertise_peer,
               sizeof c->advertise_peer);
    }
    return 0;
}

int config_load(struct config *c, int argc, char *const *argv,
                config_env_cb env, struct err_info *info)
{
    int rc;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return CONFIG_HELP;
        }
        if (strcmp(argv[i], "--version") == 0) {
            return CONFIG_VERSION;
        }
    }
    memset(c, 0, sizeof *c);
    for (unsigned i = 0; i < config_n_options; i++) {
        const struct config_option *o = &config_options[i];
        if (o->value != NULL) {
            rc = config_set_option(c, o, o->name, o->value, info);
            if (rc != 0) {
                return rc;
            }
        }
    }
    rc = load_environment(c, env, info);
    if (rc == 0) {
        rc = load_flags(c, argc, argv, info);
    }
    if (rc == 0) {
        rc = check_given(c, info);
    }
    if (rc == 0) {
        rc = check_together(c, info);
    }
    return rc;
}
