/* Coverage points: places that a set of runs must reach, or it proves too
 * little. They are observed from outside the product: by what crosses the
 * disks, the network, the event lines and the status. */
#ifndef SIM_COVER_H
#define SIM_COVER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SIM_COVER_LIST(X)                                                      \
    X(process_crash)                                                           \
    X(power_cut)                                                               \
    X(crash_leader)                                                            \
    X(crash_in_open)                                                           \
    X(crash_in_stop)                                                           \
    X(crash_of_all)                                                            \
    X(crash_after_vote)                                                        \
    X(crash_at_hardstate)                                                      \
    X(crash_log_submitted)                                                     \
    X(crash_log_durable)                                                       \
    X(crash_at_segment_switch)                                                 \
    X(crash_at_segment_fill)                                                   \
    X(crash_at_manifest)                                                       \
    X(crash_at_snapshot_file)                                                  \
    X(crash_in_install)                                                        \
    X(crash_at_unlink)                                                         \
    X(crash_after_ack)                                                         \
    X(crash_after_forward)                                                     \
    X(crash_after_timeout_now)                                                 \
    X(crash_after_truncation)                                                  \
    X(crash_new_leader)                                                        \
    X(write_lost)                                                              \
    X(write_torn)                                                              \
    X(sector_spoiled)                                                          \
    X(name_lost)                                                               \
    X(tail_cut)                                                                \
    X(partition)                                                               \
    X(partition_one_way)                                                       \
    X(partition_leader)                                                        \
    X(link_break)                                                              \
    X(pause)                                                                   \
    X(pause_leader)                                                            \
    X(disk_stall)                                                              \
    X(disk_full)                                                               \
    X(disk_full_refused)                                                       \
    X(disk_error)                                                              \
    X(disk_error_in_open)                                                      \
    X(rot_refused)                                                             \
    X(rot_harmless)                                                            \
    X(clock_jump)                                                              \
    X(hostile_drop)                                                            \
    X(hostile_double)                                                          \
    X(hostile_reorder)                                                         \
    X(clean_stop)                                                              \
    X(leader_elected)                                                          \
    X(leader_lost_agreed)                                                      \
    X(leadership_transferred)                                                  \
    X(log_truncated)                                                           \
    X(log_rotated)                                                             \
    X(log_released)                                                            \
    X(log_read_back)                                                           \
    X(log_reset)                                                               \
    X(snapshot_taken)                                                          \
    X(snapshot_installed)                                                      \
    X(snapshot_fetch_ended)                                                    \
    X(write_forwarded)                                                         \
    X(write_retried)                                                           \
    X(read_on_follower)                                                        \
    X(read_stale)                                                              \
    X(stale_refused)                                                           \
    X(key_swept)                                                               \
    X(read_settled)                                                            \
    X(leader_clock_ahead)                                                      \
    X(transaction_executed)                                                    \
    X(transaction_broken)                                                      \
    X(wait_answered)                                                           \
    X(wait_timed_out)                                                          \
    X(transfer_answered)                                                       \
    X(outcome_unknown)                                                         \
    X(answer_clusterdown)                                                      \
    X(client_gave_up)                                                          \
    X(persisted_before_durable)                                                \
    X(acknowledged_at_risk)                                                    \
    X(entries_lost)                                                            \
    X(forgot)                                                                  \
    X(remembered)                                                              \
    X(commit_before_own_disk)                                                  \
    X(member_added)                                                            \
    X(member_promoted)                                                         \
    X(member_removed)                                                          \
    X(one_node)                                                                \
    X(five_nodes)

enum sim_cover_point {
#define SIM_COVER_ENUM(name) SIM_COVER_##name,
    SIM_COVER_LIST(SIM_COVER_ENUM)
#undef SIM_COVER_ENUM
        SIM_COVER_N
};

#define COVER(name) (sim_cover_counts[SIM_COVER_##name]++)

/* Of the whole process, over all runs. */
extern uint64_t sim_cover_counts[SIM_COVER_N];

const char *sim_cover_name(enum sim_cover_point point);
/* Print the table, and on err the points that were missed; returns how many. */
unsigned sim_cover_report(FILE *out, FILE *err);

#endif
