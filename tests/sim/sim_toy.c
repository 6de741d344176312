/* See sim_toy.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_toy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "tests/sim/sim_clients.h"

struct toy_register {
    uint64_t command;      /* that wrote it last; 0: none */
    replica_index version; /* that command's log index */
};

struct toy {
    replica_index index; /* of the last applied entry; 0: none */
    replica_term term;   /* its term */
    uint64_t chain;      /* hash of everything applied, in its order */
    struct toy_register registers[SIM_PLACES];
};

/* A command's bytes: its number, its register, and padding. */
#define COMMAND_BYTES_MIN SIM_COMMAND_BYTES_MIN

static size_t toy_command(uint8_t *data, size_t size, uint64_t number, unsigned place)
{
    assert(size >= COMMAND_BYTES_MIN && place < SIM_PLACES);
    for (int i = 0; i < 8; i++)
        data[i] = (uint8_t)(number >> (8 * i));
    data[8] = (uint8_t)place;
    memset(data + COMMAND_BYTES_MIN, (int)(number & 0xff), size - COMMAND_BYTES_MIN);
    return size;
}

static uint64_t toy_number(const struct log_entry *entry)
{
    uint64_t command = 0;

    if (entry->kind != LOG_ENTRY_COMMAND)
        return 0;
    assert(entry->size >= COMMAND_BYTES_MIN);
    for (int i = 7; i >= 0; i--)
        command = command << 8 | entry->data[i];
    return command;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
    return hash ^ (hash >> 29);
}

/* Whatever the index: the judge finds one that was left out or applied twice by the chain. */
static void *toy_apply(void *machine, const struct log_entry *entry, uint32_t checksum)
{
    struct toy *self = machine;
    uint64_t command = toy_number(entry);

    if (command != 0) {
        struct toy_register *written = &self->registers[entry->data[8] % SIM_PLACES];

        written->command = command;
        written->version = entry->index;
    }
    self->chain = mix(self->chain, checksum);
    self->index = entry->index;
    self->term = entry->term;
    return NULL;
}

static uint64_t toy_digest(const void *machine)
{
    const struct toy *self = machine;
    uint64_t hash = mix(mix(self->chain, self->index), self->term);

    for (size_t i = 0; i < SIM_PLACES; i++)
        hash = mix(mix(hash, self->registers[i].command), self->registers[i].version);
    return hash;
}

static struct sim_image *toy_blank(void)
{
    return sim_image_new(sizeof(struct toy));
}

static struct sim_image *toy_save(void *machine)
{
    struct sim_image *image = sim_image_new(sizeof(struct toy));

    memcpy(image->data, machine, image->size);
    return image;
}

static void *toy_open(const struct sim_image *image, const char *name)
{
    (void)name;
    assert(image->size == sizeof(struct toy));
    return alloc_copy(image->data, image->size);
}

static void toy_transaction(void *machine)
{
    (void)machine;
}

static void toy_release(void *machine, void *result)
{
    (void)machine;
    (void)result;
}

const struct sim_machine_kind sim_toy = {
    .name = "toy",
    .blank = toy_blank,
    .open = toy_open,
    .close = free,
    .save = toy_save,
    .begin = toy_transaction,
    .commit = toy_transaction,
    .apply = toy_apply,
    .release = toy_release,
    .digest = toy_digest,
    .command = toy_command,
    .number = toy_number,
};
