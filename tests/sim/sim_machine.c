/* See sim_machine.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_machine.h"

#include <assert.h>
#include <string.h>

void sim_command_write(uint8_t *data, size_t size, uint64_t command, unsigned place)
{
    assert(size >= SIM_COMMAND_BYTES_MIN && place < SIM_REGISTERS);
    for (int i = 0; i < 8; i++)
        data[i] = (uint8_t)(command >> (8 * i));
    data[8] = (uint8_t)place;
    memset(data + SIM_COMMAND_BYTES_MIN, (int)(command & 0xff), size - SIM_COMMAND_BYTES_MIN);
}

uint64_t sim_command_number(const struct log_entry *entry)
{
    uint64_t command = 0;

    if (entry->kind != LOG_ENTRY_COMMAND)
        return 0;
    assert(entry->size >= SIM_COMMAND_BYTES_MIN);
    for (int i = 7; i >= 0; i--)
        command = command << 8 | entry->data[i];
    return command;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
    return hash ^ (hash >> 29);
}

void sim_machine_apply(struct sim_machine *self, const struct log_entry *entry, uint32_t checksum)
{
    uint64_t command = sim_command_number(entry);

    if (command != 0) {
        struct sim_register *written = &self->registers[entry->data[8] % SIM_REGISTERS];

        written->command = command;
        written->version = entry->index;
    }
    self->chain = mix(self->chain, checksum);
    self->index = entry->index;
    self->term = entry->term;
    self->log_time_ms = entry->log_time_ms;
}

uint64_t sim_machine_digest(const struct sim_machine *self)
{
    uint64_t hash = mix(mix(self->chain, self->index), self->term);

    for (size_t i = 0; i < SIM_REGISTERS; i++)
        hash = mix(mix(hash, self->registers[i].command), self->registers[i].version);
    return hash;
}
