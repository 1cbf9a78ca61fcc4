/* A real file system whose power can be cut.
 *
 * An image file on a loop device, mounted where only this program and its
 * children see it. power_disk_cut shuts the file system down at once and
 * without writing its journal out, under whoever is using it: from then on
 * everything fails, and what the device has not been told is lost, as in a
 * power cut of the machine. power_disk_restart mounts what is left.
 *
 * Needs root and loop devices; open says when there are none. */
#ifndef TESTS_LIB_POWER_DISK_H
#define TESTS_LIB_POWER_DISK_H

#include <stdbool.h>

#include "tests/lib/temp_dir.h"

/* What a program returns that could not run: ctest is told that it is neither
 * passed nor failed. */
enum { POWER_DISK_EXIT_NOT_RUN = 77 };

struct power_disk {
    const char *filesystem;  /* "ext4" or "xfs"; borrowed */
    struct temp_dir image;   /* holds the image file */
    struct temp_dir mounted; /* where it is mounted */
    bool is_mounted;
    int loop; /* descriptor of the loop device */
    unsigned loop_number;
};

/* Call while the program has one thread. false: not here; why says what was
 * tried. */
bool power_disk_open(struct power_disk *d, const char *filesystem,
                     unsigned megabytes, char *why, size_t why_size);
/* The two end the program when they fail: nothing can be told then. Every
 * process that had files open there must have ended before restart. */
void power_disk_cut(struct power_disk *d);
void power_disk_restart(struct power_disk *d);
void power_disk_close(struct power_disk *d);

#endif
