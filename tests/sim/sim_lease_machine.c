/* See sim_lease_machine.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_lease_machine.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"

struct machine {
    replica_index index; /* of the last applied entry; 0: none */
    uint64_t chain;      /* hash of everything applied, in its order */
    replica_index registers[LEASE_KEYS];
    size_t session_count;
    uint64_t sessions[LEASE_OPEN_MAX]; /* each is the index of the entry that opened it */
};

static void put(uint8_t *data, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        data[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get(const uint8_t *data, int bytes)
{
    uint64_t value = 0;

    for (int i = bytes - 1; i >= 0; i--)
        value = value << 8 | data[i];
    return value;
}

void lease_command_encode(const struct lease_command *self, uint8_t data[LEASE_COMMAND_BYTES])
{
    data[0] = (uint8_t)self->op;
    put(data + 1, self->keys, 4);
    put(data + 5, self->session, 8);
}

bool lease_command_decode(struct lease_command *self, const struct log_entry *entry)
{
    if (entry->kind != LOG_ENTRY_COMMAND)
        return false;
    assert(entry->size == LEASE_COMMAND_BYTES);
    self->op = (enum lease_op)entry->data[0];
    self->keys = (uint32_t)get(entry->data + 1, 4);
    self->session = get(entry->data + 5, 8);
    return true;
}

/* ---- Applying ----------------------------------------------------------------------------------- */

static void write_keys(struct machine *self, uint32_t keys, replica_index index)
{
    for (unsigned key = 0; key < LEASE_KEYS; key++)
        if ((keys >> key & 1) != 0)
            self->registers[key] = index;
}

static uint64_t open_session(struct machine *self, replica_index index)
{
    if (self->session_count == LEASE_OPEN_MAX)
        return 0;
    self->sessions[self->session_count++] = index;
    return index;
}

static void close_session(struct machine *self, uint64_t session)
{
    for (size_t i = 0; i < self->session_count; i++)
        if (self->sessions[i] == session) {
            self->sessions[i] = self->sessions[--self->session_count];
            self->sessions[self->session_count] = 0;
            return;
        }
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
    return hash ^ (hash >> 29);
}

static void *apply(void *machine, const struct log_entry *entry, uint32_t checksum)
{
    struct machine *self = machine;
    struct lease_result *result = alloc_zero(sizeof *result);
    struct lease_command command;

    result->index = entry->index;
    if (lease_command_decode(&command, entry)) {
        if (command.op == LEASE_OP_WRITE)
            write_keys(self, command.keys, entry->index);
        else if (command.op == LEASE_OP_OPEN)
            result->session = open_session(self, entry->index);
        else
            close_session(self, command.session);
    }
    self->chain = mix(self->chain, checksum);
    self->index = entry->index;
    return result;
}

replica_index lease_machine_read(const void *machine, unsigned key)
{
    assert(key < LEASE_KEYS);
    return ((const struct machine *)machine)->registers[key];
}

const uint64_t *lease_machine_sessions(const void *machine, size_t *count)
{
    const struct machine *self = machine;

    *count = self->session_count;
    return self->sessions;
}

/* ---- What it holds ------------------------------------------------------------------------------ */

static uint64_t digest(const void *machine)
{
    const struct machine *self = machine;
    uint64_t hash = mix(self->chain, self->index);

    for (size_t i = 0; i < LEASE_KEYS; i++)
        hash = mix(hash, self->registers[i]);
    for (size_t i = 0; i < self->session_count; i++)
        hash = mix(hash, self->sessions[i]);
    return hash;
}

static struct sim_image *blank(void)
{
    return sim_image_new(sizeof(struct machine));
}

static struct sim_image *save(void *machine)
{
    struct sim_image *image = sim_image_new(sizeof(struct machine));

    memcpy(image->data, machine, image->size);
    return image;
}

static void *open_image(const struct sim_image *image, const char *name)
{
    (void)name;
    assert(image->size == sizeof(struct machine));
    return alloc_copy(image->data, image->size);
}

static void transaction(void *machine)
{
    (void)machine;
}

static void release(void *machine, void *result)
{
    (void)machine;
    free(result);
}

const struct sim_machine_kind sim_lease_machine = {
    .name = "lease",
    .blank = blank,
    .open = open_image,
    .close = free,
    .save = save,
    .begin = transaction,
    .commit = transaction,
    .apply = apply,
    .release = release,
    .digest = digest,
};
