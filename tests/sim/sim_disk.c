/* See sim_disk.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_disk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"

#define STALL_US 800000
#define LEAST_US 100

void sim_snapshot_copy(struct sim_snapshot *self, const struct sim_snapshot *from)
{
    struct sim_snapshot copy = *from;

    if (copy.image != NULL)
        sim_image_hold(copy.image);
    sim_snapshot_close(self);
    *self = copy;
}

void sim_snapshot_close(struct sim_snapshot *self)
{
    sim_image_release(&self->image);
    memset(self, 0, sizeof *self);
}

void sim_disk_init(struct sim_disk *self)
{
    memset(self, 0, sizeof *self);
    self->slow = 1;
    sim_log_init(&self->state.log, 1);
}

void sim_disk_op_close(struct sim_disk_op *op)
{
    for (size_t i = 0; i < op->write.count; i++)
        shared_entry_release(&op->write.entries[i]);
    free(op->write.entries);
    if (op->snapshot != NULL)
        sim_snapshot_close(op->snapshot);
    free(op->snapshot);
    memset(op, 0, sizeof *op);
}

void sim_disk_close(struct sim_disk *self)
{
    for (size_t i = 0; i < self->count; i++)
        sim_disk_op_close(&self->ops[i]);
    free(self->ops);
    sim_log_close(&self->state.log);
    sim_snapshot_close(&self->state.snapshot);
    sim_disk_init(self);
}

static int64_t latency_us(const struct sim_disk *self, struct sim *sim)
{
    if (sim->scripted)
        return (self->slow - 1) * 1000;
    if (sim_chance(sim, sim->traits.disk_stall))
        return STALL_US;
    return self->slow * sim_between(sim, LEAST_US, sim->traits.disk_us_max);
}

int64_t sim_disk_begin(struct sim_disk *self, struct sim *sim, const struct sim_disk_op *op)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity == 0 ? 16 : 2 * self->capacity;
        self->ops = alloc_resize(self->ops, self->capacity * sizeof *self->ops);
    }
    self->ops[self->count++] = *op;
    if (sim->world->now_us >= self->began_us) {
        self->began_us = self->free_us > sim->world->now_us ? self->free_us : sim->world->now_us;
        self->free_us = self->began_us + latency_us(self, sim);
    }
    return self->free_us;
}

static void carry_out(struct sim_disk_state *state, struct sim_disk_op *op)
{
    switch (op->kind) {
    case DISK_WRITE:
        if (op->write.term != 0) {
            assert(op->write.term >= state->term);
            state->term = op->write.term;
            state->vote = op->write.vote;
        }
        if (op->write.count > 0)
            sim_log_write(&state->log, op->write.entries, op->write.count);
        break;
    case DISK_CUT: sim_log_cut(&state->log, op->first); break;
    case DISK_INSTALL:
        sim_snapshot_copy(&state->snapshot, op->snapshot);
        sim_log_reset(&state->log, op->snapshot->mark.index + 1);
        break;
    }
}

static void drop_oldest(struct sim_disk *self)
{
    sim_disk_op_close(&self->ops[0]);
    self->count--;
    memmove(self->ops, self->ops + 1, self->count * sizeof *self->ops);
}

void sim_disk_finish(struct sim_disk *self)
{
    assert(self->count > 0);
    carry_out(&self->state, &self->ops[0]);
    drop_oldest(self);
}

size_t sim_disk_crash(struct sim_disk *self, struct sim *sim)
{
    size_t lost;

    if (!sim->scripted && sim_below(sim, 2) == 0)
        for (size_t kept = sim_below(sim, self->count + 1); kept > 0; kept--)
            sim_disk_finish(self);
    lost = self->count;
    while (self->count > 0)
        drop_oldest(self);
    self->began_us = self->free_us = 0;
    return lost;
}
