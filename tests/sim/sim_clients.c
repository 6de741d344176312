/* See sim_clients.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_clients.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "tests/sim/sim_catalog.h"
#include "tests/sim/sim_check.h"
#include "tests/sim/sim_toy.h"

struct command {
    int node; /* that took it; -1: none did */
    uint64_t life;
    replica_index index;     /* where it put it */
    replica_index floor;     /* what had been shown when it began */
    replica_index committed; /* 0: not */
};

struct sim_clients {
    struct command *commands; /* by number less 1 */
    size_t count;
    size_t capacity;
    uint8_t *bytes; /* room for one submission */
    size_t size;
};

struct sim_clients *sim_clients_new(void)
{
    return alloc_zero(sizeof(struct sim_clients));
}

void sim_clients_destroy(struct sim_clients **self_p)
{
    struct sim_clients *self = *self_p;

    if (self == NULL)
        return;
    free(self->commands);
    free(self->bytes);
    free(self);
    *self_p = NULL;
}

/* ---- Submitting --------------------------------------------------------------------------------- */

static uint64_t command_new(struct sim *sim)
{
    struct sim_clients *self = sim->clients;

    if (self->count == self->capacity) {
        self->capacity = self->capacity == 0 ? 1024 : 2 * self->capacity;
        self->commands = alloc_resize(self->commands, self->capacity * sizeof *self->commands);
    }
    self->commands[self->count++] = (struct command){-1, 0, 0, sim_check_floor(sim), 0};
    return self->count;
}

static void make_entries(struct sim *sim, struct log_entry *entries, size_t count)
{
    struct sim_clients *self = sim->clients;
    size_t each = sim->traits.command_bytes_max > SIM_COMMAND_BYTES_ROOM
                      ? sim->traits.command_bytes_max
                      : SIM_COMMAND_BYTES_ROOM;

    if (self->size < count * each) {
        self->size = count * each;
        self->bytes = alloc_resize(self->bytes, self->size);
    }
    for (size_t i = 0; i < count; i++) {
        size_t size =
            (size_t)sim_between(sim, SIM_COMMAND_BYTES_MIN, (int64_t)sim->traits.command_bytes_max);

        size = sim->use->machine->command(self->bytes + i * each, size, command_new(sim),
                                          (unsigned)sim_below(sim, SIM_PLACES));
        entries[i] = (struct log_entry){.kind = LOG_ENTRY_COMMAND,
                                        .log_time_ms = sim_now_ms(sim),
                                        .data = self->bytes + i * each,
                                        .size = size};
    }
}

int sim_clients_submit(struct sim *sim, int slot, size_t count)
{
    struct sim_clients *self = sim->clients;
    const struct sim_node *node = sim->nodes[slot];
    size_t before = self->count;
    struct log_entry *entries;
    replica_index first;
    int code;

    if (sim_log_last(&node->log) - node->commit >= sim->traits.backlog_max)
        return ERR_BUSY;
    entries = alloc_zero(count * sizeof *entries);
    make_entries(sim, entries, count);
    code = sim_node_submit(sim, slot, entries, count, &first);
    free(entries);
    sim_trace(sim, slot, "submit %zu: %d", count, code);
    for (size_t i = 0; code == 0 && i < count; i++) {
        struct command *command = &self->commands[before + i];

        command->node = slot;
        command->life = node->life;
        command->index = first + i;
    }
    sim_node_turn_after(sim, slot, code);
    return code;
}

/* ---- What becomes of them ----------------------------------------------------------------------- */

static void committed(struct sim *sim, const struct log_entry *entry)
{
    uint64_t number = sim->use->machine->number(entry);
    struct command *command;

    if (number == 0)
        return;
    assert(number <= sim->clients->count);
    command = &sim->clients->commands[number - 1];
    if (command->committed != 0)
        sim_fail(sim, "J5: command %" PRIu64 " is committed twice, at %" PRIu64 " and %" PRIu64,
                 number, command->committed, entry->index);
    command->committed = entry->index;
    sim->counts.commits++;
}

static void applied(struct sim *sim, struct sim_node *node, const struct log_entry *entry,
                    void *result)
{
    uint64_t number = sim->use->machine->number(entry);
    const struct command *command;

    sim->use->machine->release(node->machine, result);
    if (number == 0)
        return;
    command = &sim->clients->commands[number - 1];
    if (command->node != node->slot || command->life != node->life)
        return;
    if (command->index != entry->index)
        sim_fail(sim, "J5: command %" PRIu64 " was told %" PRIu64 " and is at %" PRIu64, number,
                 command->index, entry->index);
    sim_check_acknowledged(sim, node, entry, command->floor);
}

/* ---- Their life --------------------------------------------------------------------------------- */

static bool listens(const struct sim *sim, const struct sim_node *node)
{
    return node->up && node->paused_until_us <= sim->world->now_us;
}

/* A node that listens, and that leads if @leads; -1: there is none. */
static int some_node(struct sim *sim, bool leads)
{
    size_t offset = sim_below(sim, sim->node_count);

    for (size_t i = 0; i < sim->node_count; i++) {
        const struct sim_node *node = sim->nodes[(offset + i) % sim->node_count];

        if (listens(sim, node) && (!leads || sim_node_serves(node)))
            return node->slot;
    }
    return -1;
}

static size_t batch_size(struct sim *sim)
{
    if (sim->traits.batch_max > 64 && sim_below(sim, 2) == 0)
        return sim->traits.batch_max;
    return (size_t)sim_between(sim, 1, sim->traits.batch_max);
}

static void act(struct sim *sim, struct sim_event *event)
{
    bool reads = sim_below(sim, 3) == 0;
    int slot = some_node(sim, !reads && sim_below(sim, 16) != 0);
    struct sim_event next = *event;

    if (reads && sim_check_unserved(sim) >= 0)
        slot = sim_check_unserved(sim);
    if (slot >= 0 && reads)
        sim_node_read(sim, slot);
    else if (slot >= 0)
        sim_clients_submit(sim, slot, batch_size(sim));
    next.at_us = sim->world->now_us + sim_between(sim, 1, 2 * (int64_t)sim->traits.load_us);
    sim_at(sim, &next);
}

static void start(struct sim *sim)
{
    struct sim_event event = {.at_us = sim->world->now_us, .fire = act, .node = -1};

    sim_at(sim, &event);
}

const struct sim_use sim_use_toy = {
    .name = "",
    .machine = &sim_toy,
    .start = start,
    .submit = sim_clients_submit,
    .committed = committed,
    .applied = applied,
};

const struct sim_use sim_use_catalog = {
    .name = "",
    .machine = &sim_catalog,
    .start = start,
    .submit = sim_clients_submit,
    .committed = committed,
    .applied = applied,
};
