/* One cluster for all tests of a program. */
#ifndef TESTS_CLUSTER_GROUP_H
#define TESTS_CLUSTER_GROUP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"

static struct cluster cluster;

/* For a group's setup; NULL: three nodes with the program's own settings. */
static inline int group_start(const struct cluster_options *options)
{
    cluster_open(&cluster, options);
    cluster_start(&cluster);
    return 0;
}

static inline int group_setup(void **state)
{
    (void)state;
    return group_start(NULL);
}

static inline int group_teardown(void **state)
{
    (void)state;
    cluster_close(&cluster);
    return 0;
}

#endif
