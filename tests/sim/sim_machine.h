/* A state machine small enough to be compared at every entry: some registers that commands write, and
 * a hash over all that was ever applied.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_MACHINE_H
#define PYGMY_SIM_MACHINE_H

#include "services/replica/log_entry.h"

#define SIM_REGISTERS 8

struct sim_register {
    uint64_t command;      /* that wrote it last; 0: none */
    replica_index version; /* that command's log index */
};

struct sim_machine {
    replica_index index; /* of the last applied entry; 0: none */
    replica_term term;   /* its term */
    int64_t log_time_ms; /* its log time */
    uint64_t chain;      /* hash of everything applied, in its order */
    struct sim_register registers[SIM_REGISTERS];
};

/* A command's bytes: its number, which no other has, its register, and padding. */
#define SIM_COMMAND_BYTES_MIN 9
void sim_command_write(uint8_t *data, size_t size, uint64_t command, unsigned place);
/* 0 for an entry that is no command. */
uint64_t sim_command_number(const struct log_entry *entry);

/* Whatever the index: the judge finds one that was left out or applied twice by the chain.
 * @checksum  the entry's */
void sim_machine_apply(struct sim_machine *self, const struct log_entry *entry, uint32_t checksum);
/* Hash of all of it. */
uint64_t sim_machine_digest(const struct sim_machine *self);

#endif
