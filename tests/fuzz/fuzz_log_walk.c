/* A segment file of any bytes under `concordctl inspect log`: the walk ends,
 * and names places inside the file. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/log_walk.h"
#include "tests/fuzz/fuzz.h"

static size_t file_bytes;

static void on_entry(void *ctx, const struct log_segment *s, uint64_t offset,
                     uint64_t index, const struct raftlog_entry *e)
{
    (void)ctx;
    (void)s;
    (void)index;
    assert(offset < file_bytes && e->size <= file_bytes - offset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct inspect_problems problems;
    struct log_walk walk;
    int fd = memfd_create("segment", MFD_CLOEXEC);
    assert(fd >= 0);
    assert(write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    file_bytes = size;
    memset(&walk, 0, sizeof walk);
    inspect_problems_init(&problems);
    walk.problems = &problems;
    walk.on_entry = on_entry;
    if (log_walk_open(&walk, path) == 0) {
        assert(walk.n_segments == 1);
        assert(log_walk_run(&walk) == 0);
        for (size_t i = 0; i < problems.n_items; i++) {
            assert(problems.items[i].offset <= size + RECORD_BLOCK_MIN);
            assert(problems.items[i].what[0] != '\0');
        }
    }
    log_walk_close(&walk);
    inspect_problems_close(&problems);
    close(fd);
    return 0;
}
