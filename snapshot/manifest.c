/* The manifest: which files make the chain, encoded at rest and on the wire.
 *
 * Pure. What is checked here is what a manifest may be; whether its files are
 * there is chain.c's business. */
#include "snapshot/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "snapshot/format.h"

void snapshot_manifest_clear(struct snapshot_manifest *m)
{
    free(m->configuration);
    memset(m, 0, sizeof *m);
}

int snapshot_manifest_copy(struct snapshot_manifest *to,
                           const struct snapshot_manifest *from)
{
    void *configuration = NULL;

    if (from->configuration_size > 0) {
        configuration = malloc(from->configuration_size);
        if (configuration == NULL) {
            return ERR_NOMEM;
        }
        memcpy(configuration, from->configuration, from->configuration_size);
    }
    *to = *from;
    to->configuration = configuration;
    return 0;
}

const struct snapshot_file *
snapshot_manifest_find(const struct snapshot_manifest *m,
                       const uint8_t id[SNAPSHOT_ID_SIZE])
{
    for (unsigned i = 0; i < m->n_files; i++) {
        if (memcmp(m->files[i].id, id, SNAPSHOT_ID_SIZE) == 0) {
            return &m->files[i];
        }
    }
    return NULL;
}

/* One file and its place behind the file before it. */
static const char *check_file(const struct snapshot_file *file,
                              const struct snapshot_file *before)
{
    char name[SNAPSHOT_NAME_MAX];

    snapshot_name(file, name);
    if (memcmp(name, file->name, SNAPSHOT_NAME_MAX) != 0) {
        return "a file has a name of another form";
    }
    if (file->from >= file->to) {
        return "a file covers nothing";
    }
    if (file->from != (before == NULL ? 0 : before->to)) {
        return before == NULL ? "the first file is not a base"
                              : "a file does not continue the one before";
    }
    if (before != NULL && file->to_term < before->to_term) {
        return "terms go backwards";
    }
    if (file->size < SNAPSHOT_FOOTER_SIZE) {
        return "a file is too small to be one";
    }
    return NULL;
}

int snapshot_manifest_check(const struct snapshot_manifest *m, const char **why)
{
    const char *what = NULL;

    if (m->n_files > SNAPSHOT_FILES_MAX) {
        what = "too many files";
    } else if (m->configuration_size > SNAPSHOT_CONFIGURATION_MAX) {
        what = "the configuration is too long";
    }
    for (unsigned i = 0; what == NULL && i < m->n_files; i++) {
        what = check_file(&m->files[i], i == 0 ? NULL : &m->files[i - 1]);
    }
    *why = what != NULL ? what : "";
    return what == NULL ? 0 : ERR_INVALID;
}

static void put_file(struct byte_writer *w, const struct snapshot_file *file)
{
    size_t name_size = strlen(file->name);

    byte_put_u8(w, (uint8_t)name_size);
    byte_put(w, file->name, name_size);
    byte_put(w, file->id, SNAPSHOT_ID_SIZE);
    byte_put_u64(w, file->size);
    byte_put_u64(w, file->from);
    byte_put_u64(w, file->to);
    byte_put_u64(w, file->to_term);
    byte_put_u64(w, file->n_records);
    byte_put_u64(w, file->state_hash.low);
    byte_put_u64(w, file->state_hash.high);
}

static void get_file(struct byte_reader *r, struct snapshot_file *file)
{
    size_t name_size = byte_get_u8(r);
    const uint8_t *name = byte_get(r, name_size);
    const uint8_t *id = byte_get(r, SNAPSHOT_ID_SIZE);

    if (name_size >= SNAPSHOT_NAME_MAX) {
        r->failed = true;
    }
    if (r->failed) {
        return;
    }
    memset(file, 0, sizeof *file);
    memcpy(file->name, name, name_size);
    memcpy(file->id, id, SNAPSHOT_ID_SIZE);
    file->size = byte_get_u64(r);
    file->from = byte_get_u64(r);
    file->to = byte_get_u64(r);
    file->to_term = byte_get_u64(r);
    file->n_records = byte_get_u64(r);
    file->state_hash.low = byte_get_u64(r);
    file->state_hash.high = byte_get_u64(r);
}

int snapshot_manifest_encode(const struct snapshot_manifest *m, void **out,
                             size_t *size)
{
    const char *why;
    struct byte_writer w;
    uint8_t *data;
    int rv = snapshot_manifest_check(m, &why);

    if (rv != 0) {
        return rv;
    }
    data = malloc(SNAPSHOT_MANIFEST_MAX);
    if (data == NULL) {
        return ERR_NOMEM;
    }
    w = byte_writer(data, SNAPSHOT_MANIFEST_MAX);
    snapshot_envelope_begin(&w, SNAPSHOT_PART_MANIFEST);
    byte_put(&w, m->cluster_id, SNAPSHOT_CLUSTER_ID_SIZE);
    byte_put_u32(&w, m->n_files);
    for (unsigned i = 0; i < m->n_files; i++) {
        put_file(&w, &m->files[i]);
    }
    byte_put_u64(&w, m->configuration_index);
    byte_put_u32(&w, (uint32_t)m->configuration_size);
    byte_put(&w, m->configuration, m->configuration_size);
    snapshot_envelope_end(&w, data, SNAPSHOT_PART_MANIFEST, 0);
    if (w.failed) {
        free(data); /* Cannot be: 64 files and a configuration fit. */
        return ERR_INVALID;
    }
    *out = data;
    *size = (size_t)(w.at - data);
    return 0;
}

/* The body into m, configuration borrowed; NULL or what is wrong. */
static const char *decode_body(struct byte_reader r,
                               struct snapshot_manifest *m,
                               const uint8_t **configuration)
{
    const uint8_t *id = byte_get(&r, SNAPSHOT_CLUSTER_ID_SIZE);
    const char *why;

    m->n_files = byte_get_u32(&r);
    if (r.failed || m->n_files > SNAPSHOT_FILES_MAX) {
        return "too many files";
    }
    memcpy(m->cluster_id, id, SNAPSHOT_CLUSTER_ID_SIZE);
    for (unsigned i = 0; i < m->n_files && !r.failed; i++) {
        get_file(&r, &m->files[i]);
    }
    m->configuration_index = byte_get_u64(&r);
    m->configuration_size = byte_get_u32(&r);
    *configuration = byte_get(&r, m->configuration_size);
    if (r.failed || byte_left(&r) > 0) {
        return "its fields do not fill it";
    }
    return snapshot_manifest_check(m, &why) == 0 ? NULL : why;
}

int snapshot_manifest_decode(const void *data, size_t size,
                             struct snapshot_manifest *out,
                             struct err_info *info)
{
    struct snapshot_manifest *m;
    struct byte_reader body;
    const uint8_t *configuration = NULL;
    const char *why = "bad magic, length or checksum";
    int rv = ERR_CORRUPT;

    if (size <= SNAPSHOT_MANIFEST_MAX) {
        rv = snapshot_envelope_open(data, size, SNAPSHOT_PART_MANIFEST, 0,
                                    &body, NULL);
    }
    if (rv == ERR_VERSION) {
        return err_set(info, rv,
                       "the manifest of snapshots was written by a newer "
                       "version of this program; upgrade this node");
    }
    if (rv != 0) {
        return err_set(info, rv, "the manifest of snapshots is damaged: %s",
                       why);
    }
    m = calloc(1, sizeof *m);
    if (m == NULL) {
        return err_set(info, ERR_NOMEM, "out of memory for a manifest");
    }
    why = decode_body(body, m, &configuration);
    if (why != NULL) {
        rv = err_set(info, ERR_CORRUPT,
                     "the manifest of snapshots is damaged: %s", why);
        goto cleanup;
    }
    if (m->configuration_size > 0) {
        m->configuration = malloc(m->configuration_size);
        if (m->configuration == NULL) {
            rv = err_set(info, ERR_NOMEM, "out of memory for a manifest");
            goto cleanup;
        }
        memcpy(m->configuration, configuration, m->configuration_size);
    }
    *out = *m;
cleanup:
    free(m);
    return rv;
}
