/* What a node says of itself: the INFO reply as a struct. Pure.
 *
 * A field that the node does not serve keeps its bit in `present` clear, so a
 * plain Redis, or a node of another version, is shown with gaps instead of
 * zeroes. */
#ifndef CLI_INFO_H
#define CLI_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(field of the struct, name in INFO) of all whole numbers. */
#define INFO_NUMBERS(X)                                                        \
    X(node_id, "node_id")                                                      \
    X(leader_id, "raft_leader_id")                                             \
    X(term, "raft_term")                                                       \
    X(last_index, "raft_last_index")                                           \
    X(commit_index, "raft_commit_index")                                       \
    X(applied_index, "raft_applied_index")                                     \
    X(log_size_bytes, "log_size_bytes")                                        \
    X(log_segments, "log_segments")                                            \
    X(snapshot_index, "snapshot_index")                                        \
    X(keys, "keys")                                                            \
    X(memory_bytes, "used_memory_rss")                                         \
    X(uptime_s, "uptime_in_seconds")

enum info_number {
#define INFO_ENUM(field, name) INFO_##field,
    INFO_NUMBERS(INFO_ENUM)
#undef INFO_ENUM
        INFO_N_NUMBERS
};

enum info_role {
    INFO_ROLE_NONE, /* not a node of ours */
    INFO_ROLE_LEADER,
    INFO_ROLE_FOLLOWER,
    INFO_ROLE_CANDIDATE,
    INFO_ROLE_LEARNER
};

enum { INFO_TEXT_MAX = 280 };

struct node_info {
    uint32_t present; /* bit (1 << INFO_<field>) for each number served */
    enum info_role role;
#define INFO_FIELD(field, name) uint64_t field;
    INFO_NUMBERS(INFO_FIELD)
#undef INFO_FIELD
    char cluster_id[INFO_TEXT_MAX];
    char state_hash[INFO_TEXT_MAX];
    char leader_address[INFO_TEXT_MAX]; /* of its clients' port */
    char version[INFO_TEXT_MAX];
};

/* Lines "field:value" with CRLF or LF, "# section" lines and unknown fields
 * passed over; a number that does not parse counts as absent. */
void info_parse(struct node_info *info, const char *text, size_t size);

bool info_has(const struct node_info *info, enum info_number number);
const char *info_role_name(enum info_role role);
/* The name in INFO and the value, for whoever lists all numbers. */
const char *info_number_name(enum info_number number);
uint64_t info_number_value(const struct node_info *info,
                           enum info_number number);

#endif
