/* A file system small enough to fill: a tmpfs of its own (as root, or in a user
 * namespace that the calling program moves into), else a small /dev/shm as
 * containers have it, with ballast that makes it as small as asked: others must
 * not use it meanwhile. A filler file takes room away and gives it back. */
#ifndef TESTS_LIB_SMALL_DISK_H
#define TESTS_LIB_SMALL_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/lib/temp_dir.h"

struct small_disk {
    struct temp_dir dir;
    bool is_mounted;
};

/* Call while the program has one thread. false: no way here; why says what was
 * tried. */
bool small_disk_open(struct small_disk *d, unsigned megabytes, char *why,
                     unsigned why_size);
void small_disk_close(struct small_disk *d);
/* Make the filler so large that only `bytes` are free; 0 fills to the last
 * block. */
void small_disk_leave(struct small_disk *d, uint64_t bytes);
void small_disk_relieve(struct small_disk *d); /* remove the filler */

#endif
