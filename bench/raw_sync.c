/* raw_sync: what one durable write costs on this disk, without any of us.
 *
 * Overwrites blocks of a file that were written before, one at a time, and
 * prints the percentiles of their durations: first each with pwrite and
 * fdatasync, then each as one direct write with RWF_DSYNC, as the log does it.
 * The two take turns of a hundred, so that both meet the same disk. That is the
 * floor under one client's write: what a store adds is the rest.
 *
 *   raw_sync DIRECTORY [WRITES]      default 3000 of each, 4096 bytes */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    FILE_BYTES = 64 * 1024 * 1024,
    WRITES_MAX = 10000000,
    FILL_BYTES = 1024 * 1024,
    BLOCK_BYTES = 4096,
    TURN = 100
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int fail(const char *what)
{
    fprintf(stderr, "raw_sync: %s: %s\n", what, strerror(errno));
    return 1;
}

/* Unwritten extents would make each first write change the file's map. */
static bool fill(int fd)
{
    static char zeros[FILL_BYTES];
    for (off_t at = 0; at < FILE_BYTES; at += FILL_BYTES) {
        if (pwrite(fd, zeros, FILL_BYTES, at) != FILL_BYTES) {
            return false;
        }
    }
    return fsync(fd) == 0;
}

static int write_buffered(int fd, const char *block, off_t at)
{
    return pwrite(fd, block, BLOCK_BYTES, at) == BLOCK_BYTES &&
                   fdatasync(fd) == 0
               ? 0
               : -1;
}

static int write_direct(int fd, const char *block, off_t at)
{
    struct iovec piece = {(void *)(uintptr_t)block, BLOCK_BYTES};
    return pwritev2(fd, &piece, 1, at, RWF_DSYNC) == BLOCK_BYTES ? 0 : -1;
}

/* One turn of n writes. */
static bool measure(int fd, int (*write_one)(int, const char *, off_t),
                    uint64_t *times, size_t n, off_t *at)
{
    static char block[BLOCK_BYTES] __attribute__((aligned(BLOCK_BYTES)));

    for (size_t i = 0; i < n; i++) {
        uint64_t begin;
        memset(block, (int)(i % 251), sizeof block);
        begin = now_ns();
        if (write_one(fd, block, *at) != 0) {
            return false;
        }
        times[i] = now_ns() - begin;
        *at = *at + 2 * BLOCK_BYTES > FILE_BYTES ? 0 : *at + BLOCK_BYTES;
    }
    return true;
}

static void print(const char *name, uint64_t *times, size_t n)
{
    qsort(times, n, sizeof *times, compare);
    printf("%s p50_us %.1f p99_us %.1f max_us %.1f\n", name,
           (double)times[n / 2] / 1000, (double)times[n * 99 / 100] / 1000,
           (double)times[n - 1] / 1000);
}

int main(int argc, char **argv)
{
    size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 3000;
    uint64_t *buffered, *direct;
    char path[4096];
    int fd = -1, direct_fd = -1, status = 0;
    off_t at = 0;

    if (argc < 2 || argc > 3 || n == 0 || n > WRITES_MAX) {
        fprintf(stderr, "usage: raw_sync DIRECTORY [WRITES]\n");
        return 2;
    }
    buffered = calloc(n, sizeof *buffered);
    direct = calloc(n, sizeof *direct);
    snprintf(path, sizeof path, "%s/raw-sync.tmp", argv[1]);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    direct_fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (fd < 0 || direct_fd < 0 || buffered == NULL || direct == NULL ||
        unlink(path) != 0 || !fill(fd)) {
        status = fail(path);
        goto cleanup;
    }
    for (size_t done = 0; done < n; done += TURN) {
        size_t turn = n - done < TURN ? n - done : TURN;
        if (!measure(fd, write_buffered, buffered + done, turn, &at) ||
            !measure(direct_fd, write_direct, direct + done, turn, &at)) {
            status = fail(path);
            goto cleanup;
        }
    }
    print("fdatasync", buffered, n);
    print("direct-dsync", direct, n);
cleanup:
    free(buffered);
    free(direct);
    if (fd >= 0) {
        close(fd);
    }
    if (direct_fd >= 0) {
        close(direct_fd);
    }
    return status;
}
