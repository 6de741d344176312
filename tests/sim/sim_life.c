/* A node's birth, deaths and restarts.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "tests/sim/sim_check.h"
#include "tests/sim/sim_node_internal.h"

int sim_node_by_id(const struct sim *sim, uint64_t id)
{
    return id >= 1 && id <= sim->node_count ? (int)id - 1 : -1;
}

static struct sim_node *node_new(struct sim *sim)
{
    struct sim_node *self = alloc_zero(sizeof *self);

    assert(sim->node_count < SIM_NODES_MAX);
    self->slot = (int)sim->node_count;
    self->id = sim->node_count + 1;
    snprintf(self->address, sizeof self->address, "n%d link-%d snap-%d", self->slot + 1,
             self->slot + 1, self->slot + 1);
    self->life = 1;
    sim_disk_init(&self->disk);
    sim_log_init(&self->log, 1);
    sim->nodes[sim->node_count++] = self;
    return self;
}

static void found(struct sim_disk_state *state, const struct membership *membership)
{
    struct bytes_writer writer = {0};
    struct log_entry entry = {.index = 1, .term = 1, .kind = LOG_ENTRY_MEMBERSHIP};
    struct shared_entry *shared;

    membership_encode(membership, &writer);
    entry.data = writer.data;
    entry.size = writer.size;
    shared = shared_entry_new(&entry);
    sim_log_write(&state->log, &shared, 1);
    shared_entry_release(&shared);
    bytes_writer_close(&writer);
    state->term = 1;
}

void sim_nodes_found(struct sim *sim, size_t count)
{
    struct membership membership = {0};

    for (size_t i = 0; i < count; i++) {
        const struct sim_node *self = node_new(sim);
        struct member *member = &membership.members[membership.count++];

        member->id = self->id;
        member->role = MEMBER_VOTER;
        snprintf(member->address, sizeof member->address, "%s", self->address);
    }
    for (size_t i = 0; i < count; i++)
        found(&sim->nodes[i]->disk.state, &membership);
    for (size_t i = 0; i < count; i++)
        sim_node_start(sim, (int)i);
}

int sim_node_join(struct sim *sim)
{
    const struct sim_node *self;

    if (sim->node_count == SIM_NODES_MAX)
        return -1;
    self = node_new(sim);
    sim_node_start(sim, self->slot);
    return self->slot;
}

static void machine_close(const struct sim_use *use, struct sim_node *self)
{
    if (self->machine != NULL)
        use->machine->close(self->machine);
    self->machine = NULL;
}

static void process_close(struct sim_node *self)
{
    consensus_destroy(&self->consensus);
    sim_log_close(&self->log);
    if (self->fetched != NULL)
        sim_snapshot_close(self->fetched);
    free(self->fetched);
    self->fetched = NULL;
}

void sim_node_destroy(struct sim *sim, struct sim_node **self_p)
{
    struct sim_node *self = *self_p;

    if (self == NULL)
        return;
    if (self->up && sim->use->died != NULL)
        sim->use->died(sim, self);
    process_close(self);
    machine_close(sim->use, self);
    sim_disk_close(&self->disk);
    free(self);
    *self_p = NULL;
}

void sim_node_crash(struct sim *sim, int slot)
{
    struct sim_node *self = sim->nodes[slot];

    if (!self->up)
        return;
    sim_trace(sim, slot, "crash");
    self->up = false;
    self->life++;
    if (sim->use->died != NULL)
        sim->use->died(sim, self);
    process_close(self);
    if (!sim_mutation_is(MUTATION_APPLY_TWICE))
        machine_close(sim->use, self);
    sim->counts.crashes++;
    sim->counts.lost_writes += sim_disk_crash(&self->disk, sim);
}

/* ---- Start -------------------------------------------------------------------------------------- */

static int64_t last_log_time_ms(const struct sim_disk_state *state)
{
    const struct shared_entry *last = sim_log_entry(&state->log, sim_log_last(&state->log));

    return last != NULL ? last->entry.log_time_ms : state->snapshot.mark.log_time_ms;
}

static struct consensus *driver_new(struct sim *sim, const struct sim_node *self)
{
    const struct sim_disk_state *state = &self->disk.state;
    const struct sim_traits *traits = &sim->traits;
    struct consensus_options options = {
        .id = self->id,
        .start_id = sim_draw(sim),
        .address = self->address,
        .seed = (unsigned)sim_draw(sim),
        .election_ms = traits->election_ms,
        .heartbeat_ms = traits->heartbeat_ms,
        .snapshot_retry_ms = traits->snapshot_retry_ms,
        .in_flight_max = traits->in_flight_max,
        .pre_vote = traits->pre_vote,
    };
    replica_term *terms = alloc_zero((state->log.count + 1) * sizeof *terms);
    struct shared_entry **memberships = alloc_zero((state->log.count + 1) * sizeof *memberships);
    struct consensus_start start = {
        .term = state->term,
        .vote = state->vote,
        .snapshot = state->snapshot.mark.index != 0 ? &state->snapshot.mark : NULL,
        .first_index = state->log.first,
        .count = state->log.count,
        .terms = terms,
        .last_log_time_ms = last_log_time_ms(state),
        .memberships = memberships,
    };
    struct consensus *consensus;

    for (size_t i = 0; i < state->log.count; i++) {
        terms[i] = state->log.entries[i]->entry.term;
        if (state->log.entries[i]->entry.kind == LOG_ENTRY_MEMBERSHIP)
            memberships[start.membership_count++] = state->log.entries[i];
    }
    consensus = consensus_new(&options, &start, sim_node_now_ms(sim, self));
    free(terms);
    free(memberships);
    return consensus;
}

/* The state machine is rebuilt from the snapshot and the log. */
void sim_node_restore(struct sim *sim, struct sim_node *self)
{
    const struct sim_snapshot *snapshot = &self->disk.state.snapshot;
    const struct snapshot_mark *mark = &snapshot->mark;
    const replica_index survived = self->machine != NULL ? self->applied.index : 0;
    char name[64];

    self->applied = (struct sim_applied){mark->index, mark->term, mark->log_time_ms};
    if (survived > mark->index)
        return; /* MUTATION_APPLY_TWICE: the tables stay, and their end is not known */
    machine_close(sim->use, self);
    snprintf(name, sizeof name, "/%s%" PRIu64, sim->use->machine->name, self->id);
    self->machine = sim->use->machine->open(mark->index != 0 ? snapshot->image : sim->blank, name);
}

void sim_node_start(struct sim *sim, int slot)
{
    struct sim_node *self = sim->nodes[slot];

    if (self->up || self->gone)
        return;
    self->up = true;
    self->clock_ms = sim_between(sim, 0, 1000000000);
    if (sim->traits.drift_ppm != 0)
        self->drift_ppm = sim_draw_drift_ppm(sim);
    self->armed_us = INT64_MAX;
    self->paused_us = self->paused_until_us = 0;
    self->backlog = 0;
    self->installing = self->saving = false;
    self->wanted = 0;
    self->role = CONSENSUS_FOLLOWER;
    self->read_count = 0;
    self->lead_term = 0;
    self->checked = self->disk.state.snapshot.mark.index;
    self->commit = self->disk.state.snapshot.mark.index;
    sim_node_restore(sim, self);
    sim_log_init(&self->log, 1);
    sim_log_copy(&self->log, &self->disk.state.log);
    self->consensus = driver_new(sim, self);
    if (self->consensus == NULL) {
        self->up = false;
        sim_fail(sim, "n%" PRIu64 " does not start from its disk", self->id);
        return;
    }
    sim_trace(sim, slot,
              "start: term %" PRIu64 ", vote %" PRIu64 ", snapshot %" PRIu64 ", log %" PRIu64
              " +%zu",
              self->disk.state.term, self->disk.state.vote, self->disk.state.snapshot.mark.index,
              self->log.first, self->log.count);
    if (sim->use->born != NULL)
        sim->use->born(sim, self);
    sim_node_turn(sim, self);
}

void sim_node_pause(struct sim *sim, int slot, int64_t until_us)
{
    struct sim_node *self = sim->nodes[slot];

    if (!self->up || self->paused_until_us > sim->world->now_us)
        return;
    sim_trace(sim, slot, "pause until %" PRId64 " ms", until_us / 1000);
    self->paused_us = sim->world->now_us;
    self->paused_until_us = until_us;
    sim->counts.pauses++;
}
