/* The machine of a group with leased caches: some registers that commands write, several at a time, and
 * the sessions that are open. A register holds the log index of the write that was its last.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_LEASE_MACHINE_H
#define PYGMY_SIM_LEASE_MACHINE_H

#include "services/replica/replica.h"
#include "tests/sim/sim_machine.h"

#define LEASE_KEYS 6
/* Sessions that may be open at one time; beyond it none is opened. */
#define LEASE_OPEN_MAX 128

enum lease_op { LEASE_OP_WRITE = 1, LEASE_OP_OPEN, LEASE_OP_CLOSE };

#define LEASE_COMMAND_BYTES 13

struct lease_command {
    enum lease_op op;
    uint32_t keys;    /* WRITE: a bit for each */
    uint64_t session; /* CLOSE */
};

void lease_command_encode(const struct lease_command *self, uint8_t data[LEASE_COMMAND_BYTES]);
/* False: the entry is none. */
bool lease_command_decode(struct lease_command *self, const struct log_entry *entry);

/* What came of a command. */
struct lease_result {
    replica_index index;
    uint64_t session; /* that was opened; 0: none */
};

extern const struct sim_machine_kind sim_lease_machine;

replica_index lease_machine_read(const void *machine, unsigned key);
/* The sessions that are open, and how many there are. */
const uint64_t *lease_machine_sessions(const void *machine, size_t *count);

#endif
