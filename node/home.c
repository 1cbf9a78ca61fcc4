/* Opening the data directory. */
#include "node/home.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "node/cluster_id.h"
#include "raftlog/identity.h"

static int is_new(const char *data_dir, bool *out)
{
    char path[CONFIG_PATH_MAX + 16];
    bool exists;
    int rc;

    snprintf(path, sizeof path, "%s/identity", data_dir);
    rc = file_exists(path, &exists);
    if (rc == 0) {
        *out = !exists;
    }
    return rc;
}

/* Identity file and config, each completing the other. */
static int agree(struct config *c, struct identity *id, struct err_info *info)
{
    bool created;
    bool fresh;
    int rc = is_new(c->data_dir, &fresh);

    if (rc != 0) {
        return err_set(info, rc, "cannot read %s: %s", c->data_dir,
                       err_text(rc));
    }
    memset(id, 0, sizeof *id);
    if (fresh) {
        rc = config_complete(c, 0, "", info);
        if (rc != 0) {
            return rc;
        }
        if (getrandom(id->instance_id, sizeof id->instance_id, 0) !=
            (ssize_t)sizeof id->instance_id) {
            return err_set(info, ERR_IO, "the system gives no randomness");
        }
    }
    id->node_id = c->id;
    if (c->n_initial > 0) {
        cluster_id_make(c, id->cluster_id);
        address_print_cluster(c->initial, c->n_initial, id->membership,
                              sizeof id->membership);
    }
    rc = identity_open(c->data_dir, id, id, &created, info);
    if (rc == 0 && !fresh) {
        rc = config_complete(c, id->node_id, id->membership, info);
    }
    return rc;
}

int home_open(struct config *config, struct handshake_node *self,
              struct file **lock, struct err_info *info)
{
    struct identity *id = malloc(sizeof *id);
    int rc;

    if (id == NULL) {
        return err_set(info, ERR_NOMEM, "cannot start: out of memory");
    }
    rc = file_make_dir(config->data_dir);
    if (rc != 0) {
        err_set(info, rc,
                "--data-dir: cannot make %s: %s (its parent must exist)",
                config->data_dir, err_text(rc));
        goto out;
    }
    rc = identity_lock(config->data_dir, lock, info);
    if (rc != 0) {
        goto out;
    }
    rc = agree(config, id, info);
    if (rc != 0) {
        file_close(*lock);
        *lock = NULL;
        goto out;
    }
    memset(self, 0, sizeof *self);
    self->id = config->id;
    memcpy(self->cluster_id, id->cluster_id, sizeof self->cluster_id);
    memcpy(self->instance, id->instance_id, sizeof self->instance);
    memcpy(self->client_address, config->advertise_client,
           sizeof self->client_address);
    memcpy(self->peer_address, config->advertise_peer,
           sizeof self->peer_address);
out:
    free(id);
    return rc;
}
