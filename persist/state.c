/* Log and snapshots of one data directory together. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "persist/compact.h"
#include "persist/error.h"

int persist_init(persist_state_t *state, const char *data_dir, int sync_write)
{
    struct err_info info = {0, ""};
    char path[WAL_PATH_MAX + 16];
    int rv;

    if (state == NULL) {
        return error_say(ERR_INVALID, "the state handle is NULL");
    }
    memset(state, 0, sizeof *state);
    if (wal_init(&state->wal, data_dir, sync_write) != 0) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/streams", data_dir);
    rv = snapshot_init(&state->snap, path);
    if (rv == 0) {
        rv = error_return(compact_auto_start(state->wal.wal_private, &info),
                          &info);
    }
    if (rv != 0) {
        int saved = errno;
        persist_destroy(state);
        errno = saved;
    }
    return rv;
}

void persist_destroy(persist_state_t *state)
{
    if (state != NULL) {
        snapshot_destroy(&state->snap);
        wal_destroy(&state->wal);
    }
}

int persist_get_stats(persist_state_t *state, persist_stats_t *out)
{
    return wal_get_stats(state == NULL ? NULL : &state->wal, out);
}

void persist_reset_stats(persist_state_t *state)
{
    wal_reset_stats(state == NULL ? NULL : &state->wal);
}
