/* A node's snapshots: taking one, fetching another's, putting it in the place of state and log.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "tests/sim/sim_check.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_node_internal.h"

#define SAVE_US_LEAST    500
#define SAVE_US_GREATEST 50000
#define LOAD_US_GREATEST 100000

struct passage { /* a snapshot that is asked for, sent, or written to its file */
    struct sim_snapshot snapshot;
    unsigned trailing; /* of one that is being taken */
    int from;          /* node that has it */
    replica_term term;
};

static void passage_drop(void **load_p)
{
    struct passage *self = *load_p;

    sim_snapshot_close(&self->snapshot);
    free(*load_p);
    *load_p = NULL;
}

/* Hand @passage, taken over, to @fire after a while. */
static void pass(struct sim *sim, struct sim_node *self, int64_t in_us, sim_event_fn *fire,
                 struct passage *passage)
{
    struct sim_event event = {
        .at_us = sim->world->now_us + in_us,
        .fire = fire,
        .node = self->slot,
        .life = self->life,
        .load = passage,
        .drop = passage_drop,
    };

    sim_at(sim, &event);
}

/* ---- Taking ------------------------------------------------------------------------------------- */

static void saved(struct sim *sim, struct sim_event *event)
{
    struct sim_node *self = sim->nodes[event->node];
    struct passage *passage = event->load;
    replica_index index = passage->snapshot.mark.index;
    struct sim_disk_op cut = {.kind = DISK_CUT};

    if (sim_node_deferred(sim, event))
        return;
    self->saving = false;
    /* One that is installed, or being so, is above it, and takes its place. */
    if (!self->installing && index > self->disk.state.snapshot.mark.index) {
        sim_snapshot_copy(&self->disk.state.snapshot, &passage->snapshot);
        if (consensus_snapshot_taken(self->consensus, &passage->snapshot.mark, passage->trailing,
                                     sim_node_now_ms(sim, self))) {
            sim->counts.snapshots_taken++;
            sim_trace(sim, self->slot, "snapshot %" PRIu64 " taken, %u kept", index,
                      passage->trailing);
            cut.first = index > passage->trailing ? index - passage->trailing + 1 : 1;
            sim_log_cut(&self->log, cut.first);
            sim_node_write(sim, self, &cut);
        }
        sim_node_turn(sim, self);
    }
    passage_drop(&event->load);
}

void sim_node_snapshot(struct sim *sim, int slot, unsigned trailing)
{
    struct sim_node *self = sim->nodes[slot];
    struct passage *passage;
    struct snapshot_mark *mark;

    if (!self->up || self->saving || self->installing ||
        self->applied.index <= self->disk.state.snapshot.mark.index)
        return;
    passage = alloc_zero(sizeof *passage);
    passage->trailing = trailing;
    passage->snapshot.image = sim->use->machine->save(self->machine);
    mark = &passage->snapshot.mark;
    mark->index = self->applied.index;
    mark->term = self->applied.term;
    mark->log_time_ms = self->applied.log_time_ms;
    mark->bytes = passage->snapshot.image->size;
    mark->checksum = (uint32_t)sim->use->machine->digest(self->machine);
    consensus_membership_at(self->consensus, mark->index, &mark->membership,
                            &mark->membership_index);
    sim_check_membership(sim, self, mark);
    self->saving = true;
    pass(sim, self, sim_between(sim, SAVE_US_LEAST, SAVE_US_GREATEST), saved, passage);
}

/* ---- Fetching ----------------------------------------------------------------------------------- */

static void fetched(struct sim *sim, struct sim_event *event)
{
    struct sim_node *self = sim->nodes[event->node];
    struct passage *passage = event->load;

    if (sim_node_deferred(sim, event))
        return;
    if (passage->snapshot.mark.index == self->wanted && !self->installing) {
        self->wanted = 0;
        if (self->fetched == NULL)
            self->fetched = alloc_zero(sizeof *self->fetched);
        sim_snapshot_copy(self->fetched, &passage->snapshot);
        consensus_snapshot_fetched(self->consensus, &passage->snapshot.mark,
                                   sim->nodes[passage->from]->id, passage->term,
                                   sim_node_now_ms(sim, self));
        sim_node_turn(sim, self);
    }
    passage_drop(&event->load);
}

/* It has arrived and is written to a file. */
static void loaded(struct sim *sim, struct sim_event *event)
{
    struct sim_node *self = sim->nodes[event->node];

    if (sim_node_deferred(sim, event))
        return;
    pass(sim, self, sim_between(sim, SAVE_US_LEAST, SAVE_US_GREATEST), fetched, event->load);
}

/* The question has come to who has it: it is sent, if it is still the same. */
static void asked(struct sim *sim, struct sim_event *event)
{
    struct sim_node *self = sim->nodes[event->node];
    struct passage *passage = event->load;
    const struct sim_node *source = sim->nodes[passage->from];
    int64_t us = sim_net_passage_us(sim, passage->from, event->node);

    if (!source->up || source->paused_until_us > sim->world->now_us || us < 0 ||
        source->disk.state.snapshot.mark.index != passage->snapshot.mark.index) {
        passage_drop(&event->load);
        return;
    }
    sim_snapshot_copy(&passage->snapshot, &source->disk.state.snapshot);
    pass(sim, self, us + sim_between(sim, 0, LOAD_US_GREATEST), loaded, passage);
}

void sim_node_fetch(struct sim *sim, struct sim_node *self, const struct consensus_action *action)
{
    int from = sim_node_by_id(sim, action->fetch.from);
    int64_t us = sim_net_passage_us(sim, self->slot, from);
    struct passage *passage;

    sim_trace(sim, self->slot, "fetch %" PRIu64 " from n%" PRIu64, action->fetch.snapshot->index,
              action->fetch.from);
    self->wanted = action->fetch.snapshot->index;
    if (us < 0)
        return;
    passage = alloc_zero(sizeof *passage);
    passage->snapshot.mark = *action->fetch.snapshot;
    passage->from = from;
    passage->term = action->fetch.term;
    pass(sim, self, us, asked, passage);
}

/* ---- Installing --------------------------------------------------------------------------------- */

void sim_node_install(struct sim *sim, struct sim_node *self, const struct consensus_action *action)
{
    struct sim_disk_op op = {.kind = DISK_INSTALL, .snapshot = self->fetched};

    sim_trace(sim, self->slot, "install %" PRIu64, action->install->index);
    if (self->fetched == NULL || self->fetched->mark.index != action->install->index ||
        action->install->index <= self->applied.index) {
        sim_fail(sim,
                 "n%" PRIu64 ": snapshot %" PRIu64 " is to be installed, and was not fetched or "
                 "is old",
                 self->id, action->install->index);
        return;
    }
    self->installing = true;
    self->fetched = NULL;
    /* All in a snapshot is committed; the judge will compare the state instead of the entries. */
    self->checked = action->install->index;
    sim_log_reset(&self->log, action->install->index + 1);
    sim_node_write(sim, self, &op);
}

void sim_node_installed(struct sim *sim, struct sim_node *self)
{
    self->installing = false;
    sim_node_restore(sim, self);
    sim->counts.snapshots_installed++;
    sim_trace(sim, self->slot, "installed %" PRIu64, self->applied.index);
    sim_check_installed(sim, self);
    consensus_snapshot_installed(self->consensus, sim_node_now_ms(sim, self));
    sim_node_turn(sim, self);
}
