/* cluster.conf of a local cluster: its text form. Pure; see local.h. */
#include "cli/local.h"

#include <inttypes.h>
#include <string.h>

#include "cli/text.h"

void local_config_print(const struct local_config *c, FILE *out)
{
    fprintf(out,
            "concordctl-local %d\nnodes %" PRIu64 "\nclient-port %" PRIu64
            "\npeer-port %" PRIu64 "\nserver %s\n",
            (int)LOCAL_FORMAT_VERSION, c->n_nodes, c->client_port, c->peer_port,
            c->server);
    for (size_t i = 0; i < c->n_extra; i++) {
        fprintf(out, "extra %s\n", c->extra[i]);
    }
}

static int fail_line(const char *name, const char *value, struct err_info *info)
{
    char shown[120];
    err_escape(shown, sizeof(shown), value, strlen(value));
    return err_set(info, ERR_CORRUPT, "cluster.conf: '%s %s' is not understood",
                   name, shown);
}

static int take_text(char *out, size_t out_size, const char *name,
                     const char *value, struct err_info *info)
{
    if (strlen(value) >= out_size) {
        return fail_line(name, value, info);
    }
    strcpy(out, value);
    return 0;
}

static int take_line(struct local_config *c, const char *name,
                     const char *value, struct err_info *info)
{
    int bad = 0;
    uint64_t version;
    if (strcmp(name, "concordctl-local") == 0) {
        bad = text_parse_count(value, 1, UINT32_MAX, &version);
        if (bad == 0 && version > LOCAL_FORMAT_VERSION) {
            return err_set(info, ERR_VERSION,
                           "cluster.conf was written by a newer concordctl "
                           "(format %" PRIu64 ")",
                           version);
        }
    } else if (strcmp(name, "nodes") == 0) {
        bad = text_parse_count(value, 1, LOCAL_NODES_MAX, &c->n_nodes);
    } else if (strcmp(name, "client-port") == 0) {
        bad = text_parse_count(value, 1, 65535, &c->client_port);
    } else if (strcmp(name, "peer-port") == 0) {
        bad = text_parse_count(value, 1, 65535, &c->peer_port);
    } else if (strcmp(name, "server") == 0) {
        return take_text(c->server, sizeof(c->server), name, value, info);
    } else if (strcmp(name, "extra") == 0 && c->n_extra < LOCAL_EXTRA_MAX) {
        return take_text(c->extra[c->n_extra++], LOCAL_EXTRA_BYTES_MAX, name,
                         value, info);
    } else {
        bad = ERR_INVALID;
    }
    return bad == 0 ? 0 : fail_line(name, value, info);
}

int local_config_parse(struct local_config *c, const char *text,
                       struct err_info *info)
{
    char line[LOCAL_PATH_MAX + 64];
    memset(c, 0, sizeof(*c));
    while (*text != '\0') {
        size_t size = strcspn(text, "\n");
        size_t n = size < sizeof(line) ? size : sizeof(line) - 1;
        memcpy(line, text, n);
        line[n] = '\0';
        text += size + (text[size] == '\n' ? 1 : 0);
        char *blank = strchr(line, ' ');
        if (blank == NULL || n != size) {
            return fail_line(line, "", info);
        }
        *blank = '\0';
        int rc = take_line(c, line, blank + 1, info);
        if (rc != 0) {
            return rc;
        }
    }
    if (c->n_nodes == 0 || c->client_port == 0 || c->peer_port == 0 ||
        c->server[0] == '\0') {
        return err_set(info, ERR_CORRUPT, "cluster.conf is incomplete");
    }
    return 0;
}
