/* The simulated disk of one node: what is visible now, and what a power cut
 * would leave.
 *
 * Model. A file has the content that programs see and a list of changes that
 * are not durable yet; file_sync empties the list. After a power cut each
 * unsynced write is lost, kept or torn (some of its 512-byte sectors), in any
 * combination, so that a later one may survive an earlier one; the size may be
 * ahead of the data, which then reads as zeroes. A name (create, unlink,
 * rename, mkdir) is durable only after file_sync_dir of its directory; before
 * that a power cut keeps or loses it, but an operation whose names depend on
 * a lost one is lost too. A rename is atomic. Durable writes of a queue
 * (file_queue_submit) become durable when they complete; in flight they count
 * as unsynced, and a sector of them may be left with garbage. A process crash
 * keeps everything visible: the page cache outlives the process, and a later
 * power cut can still take it.
 *
 * Aimed crashes: hooks.operation is called before and after each operation
 * and may call sim_disk_freeze: from then on nothing has any effect and
 * everything fails, until sim_disk_crash decides what is left.
 *
 * Assumption about disks: what was synced and is not being written over
 * stays (bit rot only on request). */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftlog/file.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_random.h"

enum { SIM_DISKS_MAX = 9, SIM_SECTOR = 512 };

enum sim_disk_operation {
    SIM_DISK_CREATE = 1,
    SIM_DISK_WRITE = 2,
    SIM_DISK_SYNC = 4,
    SIM_DISK_TRUNCATE = 8,
    SIM_DISK_FILL = 16,
    SIM_DISK_RENAME = 32,
    SIM_DISK_UNLINK = 64,
    SIM_DISK_SYNC_DIR = 128,
    SIM_DISK_SUBMIT = 256,   /* a durable write was handed over */
    SIM_DISK_COMPLETE = 512, /* and became durable */
    SIM_DISK_READ = 1024,    /* changes nothing; only told behind it */
    SIM_DISK_ANY = 1023      /* that changes something */
};

struct sim_disk_hooks {
    void *ctx;
    /* Around each operation that changes the disk; path is the new name of a
     * rename. NULL: none. */
    void (*operation)(void *ctx, enum sim_disk_operation operation,
                      const char *path, bool after);
    /* A fill has written its zeroes and not synced them: the one place in the
     * middle of an operation where more is unsynced than around it. */
    void (*half_done)(void *ctx);
    /* Completions can be reaped. */
    void (*completed)(void *ctx);
    /* The code above broke the rules of file.h. */
    void (*misuse)(void *ctx, const char *text);
};

struct sim_disk_stats {
    uint64_t n_operations;
    uint64_t n_syncs;
    uint64_t n_lost, n_torn; /* unsynced writes at power cuts */
    uint64_t n_names_lost;
    uint64_t n_spoiled; /* sectors left with garbage */
    uint64_t n_errors_injected;
};

struct sim_disk_name; /* sim_disk.c */
struct sim_disk_change;
struct sim_disk_transfer;

struct sim_disk {
    unsigned id;
    struct sim_random random;
    struct sim_clock *clock;
    struct sim_disk_hooks hooks;
    struct sim_disk_stats stats;
    char boot_id[FILE_BOOT_ID_SIZE];

    /* Faults and speed; changed at any time. */
    size_t alignment;
    uint64_t capacity_bytes;
    uint64_t write_us_min, write_us_max;
    uint64_t sync_us;        /* what a queued sync takes beyond that */
    uint64_t stall_until_us; /* nothing completes before */
    bool lose_all;           /* a power cut keeps nothing that was not synced */
    unsigned fail_writes;    /* as many queued writes end in EIO */
    unsigned fail_syncs;     /* as many file_sync end in EIO */
    unsigned fail_reads;
    unsigned fail_reads_after; /* so many reads go well before */

    bool frozen;
    uint64_t used_bytes;
    /* Names as programs see them, as a power cut leaves them, and the changes
     * in between, oldest first. */
    struct sim_disk_name *live;
    size_t n_live;
    struct sim_disk_name *durable;
    size_t n_durable;
    struct sim_disk_change *changes;
    size_t n_changes;
    struct sim_disk_transfer *transfers; /* queued writes in flight */
    uint64_t n_transfers;
};

/* Make the disk of node `id` (1 .. SIM_DISKS_MAX): paths below "/n<id>" go to
 * it. One disk of a number at a time in the process. */
void sim_disk_init(struct sim_disk *d, unsigned id,
                   const struct sim_random *random, struct sim_clock *clock,
                   const struct sim_disk_hooks *hooks);
void sim_disk_close(struct sim_disk *d);

/* The node of this disk runs now: what has no path (file_boot_id) is its. */
void sim_disk_select(struct sim_disk *d);

/* From now on nothing reaches the disk and every call fails. */
void sim_disk_freeze(struct sim_disk *d);
/* After the process has let go of its files: decide what is left, thaw. */
void sim_disk_crash(struct sim_disk *d, bool power_cut);
/* Remove everything: a replaced disk. */
void sim_disk_wipe(struct sim_disk *d);

/* Flip a bit of the durable content of a file (bit rot). False: no such byte.
 */
bool sim_disk_rot(struct sim_disk *d, const char *path, uint64_t offset,
                  unsigned bit);
/* Files that are there; the path and size of the i-th. */
size_t sim_disk_n_files(const struct sim_disk *d);
const char *sim_disk_file(const struct sim_disk *d, size_t i, uint64_t *size);
/* A byte of a file as programs see it; -1: no such byte. */
int sim_disk_byte(const struct sim_disk *d, const char *path, uint64_t offset);

#endif
