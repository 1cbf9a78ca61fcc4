/* What file.c shares with file_queue.c and nobody else: the inside of an open
 * file. Other code goes through file.h, so that a simulation can replace it. */
#ifndef RAFTLOG_FILE_PRIVATE_H
#define RAFTLOG_FILE_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

struct file {
    int fd;
};

/* pwrite all of it; 0 or an errno value. */
int file_private_write_all(int fd, const void *buf, size_t size,
                           uint64_t offset);

#endif
