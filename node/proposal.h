/* The payload of a command entry in the log.
 *
 * Layout, version 1 (integers little-endian, varints LEB128):
 *   u8 version = 1 | u8 kind | varint origin node id | u64 request id |
 *   u64 clock ms | ... by kind
 *   COMMAND: u16 command code | varint argc | argc * (varint size, bytes)
 *   SWEEP:   varint keys max
 *   TRANSACTION: see transaction.h
 * argv[0], the name, is left out: the code stands for it (argc counts the
 * rest).
 *
 * (origin, request id) names the client request: the node that took it from
 * its client recognises it when it is applied, whoever was leader then.
 *
 * A sweep is nobody's request (both are 0). The leader makes it to carry its
 * clock into the state and to delete keys that have expired by it, at most as
 * many as it says, so that no entry takes long to apply. */
#ifndef NODE_PROPOSAL_H
#define NODE_PROPOSAL_H

#include <stdint.h>

#include "node/transaction.h"
#include "raftlog/byte.h"

enum {
    PROPOSAL_VERSION = 1,
    PROPOSAL_COMMAND = 1,
    PROPOSAL_SWEEP = 2,
    PROPOSAL_TRANSACTION = 3,
    PROPOSAL_ARGS_MAX = 1 << 20
};

struct proposal {
    uint8_t kind;
    uint64_t origin;
    uint64_t request_id;
    uint64_t clock_ms;
    uint64_t sweep_max;          /* SWEEP */
    uint16_t code;               /* COMMAND */
    uint32_t argc;               /* COMMAND: with the name; otherwise 0 */
    struct bytes *argv;          /* malloc'd by decode, freed by proposal_clear;
                                  * points into the payload; argv[0] is the name;
                                  * room for those of a transaction */
    struct bytes inline_argv[8]; /* argv of short commands: no allocation */
    struct transaction transaction;
};

/* Encode a command, argv[1..] and the code, or a transaction into a new block
 * (block.h), given; argv[0] is not looked at. NULL: out of memory, or more than
 * 4 GiB. */
void *proposal_encode(const struct proposal *p, uint32_t *size);
/* A sweep into a new block, given. NULL: out of memory. */
void *proposal_encode_sweep(uint64_t clock_ms, uint64_t sweep_max,
                            uint32_t *size);
/* Errors: ERR_CORRUPT (also: not a write command, or not as many arguments as
 * it needs), ERR_VERSION (also: a kind or command of a newer version),
 * ERR_NOMEM. argv and transaction borrow from data; *out must stay where it is,
 * as argv may point into it. On an error *out needs no clear. */
int proposal_decode(const void *data, size_t size, struct proposal *out);
void proposal_clear(struct proposal *p);
/* Carry a decoded one out on the store of env: what every node does when the
 * entry is applied. The reply is the client's; see env->error. */
void proposal_run(const struct proposal *p, struct command_env *env,
                  struct buffer *reply);
/* The clock lies at a fixed place so that the leader can set it when it
 * submits a forwarded payload. */
void proposal_set_clock(void *payload, uint32_t size, uint64_t clock_ms);
/* The clock of any kind of payload, 0 when it is too short to have one. */
uint64_t proposal_clock(const void *payload, size_t size);

#endif
