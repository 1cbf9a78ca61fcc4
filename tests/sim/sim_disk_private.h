/* What sim_disk.c shares with sim_file.c: files, names and changes. */
#ifndef SIM_DISK_PRIVATE_H
#define SIM_DISK_PRIVATE_H

#include "tests/sim/sim_disk.h"

/* A change of a file's content that is not durable. */
struct sim_change_data {
    struct sim_change_data *next;
    struct sim_change_data *previous;
    uint64_t number; /* counts the changes of the file */
    bool is_truncate;
    bool durable;   /* a queued write over older unsynced ones: always kept */
    bool in_flight; /* a queued write: a sector may be left unreadable */
    bool doomed; /* its sync failed: visible, and lost at the next power cut */
    uint64_t offset;
    size_t size;          /* of a write */
    uint64_t size_before; /* of the file */
    uint64_t size_after;
    size_t old_size;   /* bytes that were overwritten or cut off */
    uint8_t *old_data; /* one allocation with new_data */
    uint8_t *new_data;
};

struct sim_inode {
    unsigned n_refs; /* names, changes and open files */
    bool is_dir;
    bool locked;
    struct sim_disk *disk;
    uint8_t *data;
    uint64_t size;
    uint64_t capacity;
    struct sim_change_data *first, *last;
    uint64_t n_changes; /* ever */
};

struct sim_disk_name {
    char *path;
    struct sim_inode *inode;
};

enum sim_change_kind {
    SIM_CHANGE_CREATE,
    SIM_CHANGE_UNLINK,
    SIM_CHANGE_RENAME
};

struct sim_disk_change {
    enum sim_change_kind kind;
    char *path; /* the new name of a rename */
    char *from; /* the old one, else NULL */
    struct sim_inode *inode;
};

/* A queued write or sync. */
enum sim_transfer_kind {
    SIM_TRANSFER_DURABLE,
    SIM_TRANSFER_WRITE, /* not durable when it completes */
    SIM_TRANSFER_SYNC
};

struct sim_disk_transfer {
    struct sim_disk_transfer *next;
    enum sim_transfer_kind kind;
    uint64_t number;
    struct file_queue *queue; /* NULL: nobody waits any more */
    struct sim_inode *inode;
    char *path;
    const void *buf;
    uint64_t buf_checksum;
    size_t size;
    uint64_t offset;
    uint64_t through; /* of a sync: the last change that it covers */
    void *tag;
};

struct file {
    struct sim_inode *inode;
    unsigned flags;
    bool has_lock;
    char *path;
};

struct file_queue {
    struct sim_disk *disk;
    struct file_completion done[FILE_QUEUE_DEPTH_MAX];
    size_t n_done;
    size_t n_in_flight; /* submitted and not reaped */
    int failed;
};

/* The disk a path belongs to; asserts that there is one. */
struct sim_disk *sim_disk_of(const char *path);
/* The disk that was named last. */
struct sim_disk *sim_disk_current(void);

struct sim_inode *sim_inode_ref(struct sim_inode *inode);
void sim_inode_unref(struct sim_inode *inode);
/* Change the visible content and remember how to undo it. */
int sim_inode_write(struct sim_inode *inode, const void *buf, size_t size,
                    uint64_t offset);
/* A queued write that the crash caught in flight. */
void sim_inode_write_in_flight(struct sim_inode *inode, const void *buf,
                               size_t size, uint64_t offset);
/* A write that is durable at once. */
int sim_inode_write_durable(struct sim_inode *inode, const void *buf,
                            size_t size, uint64_t offset);
int sim_inode_truncate(struct sim_inode *inode, uint64_t size);
void sim_inode_sync(struct sim_inode *inode);
/* The same for its changes up to this number. */
void sim_inode_sync_through(struct sim_inode *inode, uint64_t number);
/* The sync failed: what it held will not survive. */
void sim_inode_doom(struct sim_inode *inode);
/* Draw what is left of the unsynced changes. */
void sim_inode_power_cut(struct sim_inode *inode);

/* The inode of a visible name; NULL. */
struct sim_inode *sim_disk_find(const struct sim_disk *d, const char *path);
bool sim_disk_is_dir(const struct sim_disk *d, const char *path);
struct sim_inode *sim_disk_create(struct sim_disk *d, const char *path,
                                  bool is_dir);
void sim_disk_unlink(struct sim_disk *d, const char *path);
void sim_disk_rename(struct sim_disk *d, const char *from, const char *to);
void sim_disk_sync_names(struct sim_disk *d, const char *dir);
/* Length of the directory part of a path, without the slash. */
size_t sim_disk_dir_size(const char *path);

/* End a queued write: the bytes reach the disk, or status says why not. */
void sim_disk_transfer_finish(struct sim_disk *d,
                              struct sim_disk_transfer *transfer);

void sim_disk_before(struct sim_disk *d, enum sim_disk_operation operation,
                     const char *path);
void sim_disk_after(struct sim_disk *d, enum sim_disk_operation operation,
                    const char *path);
void sim_disk_misuse(struct sim_disk *d, const char *text);

#endif
