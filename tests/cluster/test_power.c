/* The power of a whole cluster is cut under load, again and again: every
 * acknowledged write is there afterwards on every node (L3).
 *
 *     cluster_test_power [CUTS [FILE SYSTEM]]      4 cuts, ext4 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/cluster.h"
#include "tests/lib/load.h"
#include "tests/lib/power_disk.h"

enum { DISK_MB = 192, ACKED_BEFORE_A_CUT = 200 };

int main(int argc, char **argv)
{
    unsigned n_cuts = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 4;
    const char *filesystem = argc > 2 ? argv[2] : "ext4";
    struct cluster_options options = {
        .args = {"--segment-bytes", "1m", "--snapshot-log-bytes", "1m", NULL}};
    struct load_options load_options = {.pause_us = 300, .seed = 5};
    struct power_disk disk;
    struct cluster c;
    struct load *load;
    char why[200] = "";

    if (!power_disk_open(&disk, filesystem, DISK_MB, why, sizeof why)) {
        printf("not run: no file system whose power can be cut: %s\n", why);
        return POWER_DISK_EXIT_NOT_RUN;
    }
    options.parent = disk.mounted.path;
    cluster_open(&c, &options);
    cluster_start(&c);
    load = load_start(&c, &load_options);
    for (unsigned n = 0; n < n_cuts; n++) {
        load_wait_acked(load, ACKED_BEFORE_A_CUT + 37 * n);
        power_disk_cut(&disk);
        cluster_kill_all(&c);
        power_disk_restart(&disk);
        cluster_start(&c);
    }
    load_wait_acked(load, ACKED_BEFORE_A_CUT);
    load_finish(load, (uint64_t)n_cuts * ACKED_BEFORE_A_CUT);
    cluster_close(&c);
    power_disk_close(&disk);
    printf("%u power cuts of all nodes on %s: every acknowledged write is on "
           "every node\n",
           n_cuts, filesystem);
    return 0;
}
