/* Options: defaults, limits, and their values in each handle. Values are read
 * by many threads while one sets them, so they are atomic. */
#include "persist/internal.h"

#include "persist/error.h"

struct range {
    uint64_t initial;
    uint64_t min;
    uint64_t max;
};

#define MIB (UINT64_C(1) << 20)
#define COUNT_MAX (UINT64_C(1) << 40)

static const struct range ranges[WAL_OPTION_END] = {
    [WAL_OPTION_SYNC_POLICY] = {WAL_SYNC_BATCH, WAL_SYNC_ALWAYS,
                                WAL_SYNC_INTERVAL},
    [WAL_OPTION_BATCH_SIZE] = {INCREMENTAL_BATCH_SIZE, 1, COUNT_MAX},
    [WAL_OPTION_SYNC_INTERVAL_MS] = {INCREMENTAL_SYNC_INTERVAL * 1000, 1,
                                     COUNT_MAX},
    [WAL_OPTION_UNSYNCED_MAX] = {0, 0, COUNT_MAX},
    [WAL_OPTION_PENDING_BYTES_MAX] = {16 * MIB, 64 * 1024, 1024 * MIB},
    [WAL_OPTION_FILE_SIZE] = {WAL_MAX_FILE_SIZE, 64 * 1024, 4096 * MIB},
    [WAL_OPTION_COMPACT_THRESHOLD] = {WAL_COMPACT_THRESHOLD, 1, COUNT_MAX},
    [WAL_OPTION_COMPACT_RATIO] = {(uint64_t)(WAL_COMPACT_RATIO * 100), 0, 100},
    [WAL_OPTION_COMPACT_LOG_BYTES] = {512 * MIB, 0, UINT64_MAX},
    [WAL_OPTION_COMPACT_AGE_S] = {0, 0, COUNT_MAX},
    [WAL_OPTION_COMPACT_PAUSE_MS] = {1000, 0, COUNT_MAX},
    [WAL_OPTION_COMPACT_RATE] = {32 * MIB, 0, UINT64_MAX},
    [WAL_OPTION_COMPACT_CPU_PERCENT] = {25, 1, 100},
    [WAL_OPTION_COMPACT_MEMORY] = {16 * MIB, 256 * 1024, 4096 * MIB},
    [WAL_OPTION_RETAIN_BYTES] = {0, 0, UINT64_MAX},
    [WAL_OPTION_RETAIN_SECONDS] = {0, 0, COUNT_MAX},
};

/* Plus one, so that zero means "never set". Atomic. */
static uint64_t process_defaults[WAL_OPTION_END];

static bool is_option(enum wal_option option)
{
    return (int)option >= WAL_OPTION_SYNC_POLICY &&
           (int)option < WAL_OPTION_END;
}

static uint64_t default_of(enum wal_option option)
{
    uint64_t set = __atomic_load_n(&process_defaults[option], __ATOMIC_RELAXED);
    return set != 0 ? set - 1 : ranges[option].initial;
}

void wal_option_defaults(uint64_t options[WAL_OPTION_END])
{
    for (int i = WAL_OPTION_SYNC_POLICY; i < WAL_OPTION_END; i++) {
        options[i] = default_of((enum wal_option)i);
    }
}

uint64_t wal_option_get(const struct wal_private *w, enum wal_option option)
{
    return __atomic_load_n(&w->options[option], __ATOMIC_RELAXED);
}

int wal_set_option(wal_t *wal, enum wal_option option, uint64_t value)
{
    if (!is_option(option)) {
        return error_say(ERR_INVALID, "there is no option %d", (int)option);
    }
    if (value < ranges[option].min || value > ranges[option].max) {
        return error_say(
            ERR_INVALID, "option %d must be from %llu to %llu, not %llu",
            (int)option, (unsigned long long)ranges[option].min,
            (unsigned long long)ranges[option].max, (unsigned long long)value);
    }
    if (wal == NULL) {
        /* The largest value counts as the one below it. */
        __atomic_store_n(&process_defaults[option],
                         value == UINT64_MAX ? value : value + 1,
                         __ATOMIC_RELAXED);
        return 0;
    }
    if (wal->wal_private == NULL) {
        return error_say(ERR_INVALID, "the log is not open");
    }
    if (option == WAL_OPTION_FILE_SIZE) {
        return error_say(ERR_INVALID,
                         "the size of segment files is fixed while the log is "
                         "open: set it with a NULL handle before wal_init");
    }
    __atomic_store_n(&wal->wal_private->options[option], value,
                     __ATOMIC_RELAXED);
    /* What has gathered may be due by the new value. */
    pthread_mutex_lock(&wal->wal_private->gather_lock);
    pthread_cond_signal(&wal->wal_private->due);
    pthread_mutex_unlock(&wal->wal_private->gather_lock);
    return 0;
}

int wal_get_option(wal_t *wal, enum wal_option option, uint64_t *value)
{
    if (!is_option(option) || value == NULL) {
        return error_say(ERR_INVALID, "there is no option %d", (int)option);
    }
    if (wal == NULL) {
        *value = default_of(option);
        return 0;
    }
    if (wal->wal_private == NULL) {
        return error_say(ERR_INVALID, "the log is not open");
    }
    *value = wal_option_get(wal->wal_private, option);
    return 0;
}
