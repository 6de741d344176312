/* See sim_node.h. Taking events in and carrying out what follows; a node's life is in sim_life.c,
 * its snapshots are in sim_snapshot.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_node.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "tests/sim/sim_check.h"
#include "tests/sim/sim_nemesis.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_node_internal.h"

static const char *const kinds[] = {
    [PEER_APPEND] = "append",     [PEER_APPEND_RESULT] = "append-result",
    [PEER_VOTE] = "vote",         [PEER_VOTE_RESULT] = "vote-result",
    [PEER_SNAPSHOT] = "snapshot", [PEER_TIMEOUT_NOW] = "timeout-now",
    [PEER_ROUND] = "round",       [PEER_ROUND_RESULT] = "round-result",
    [PEER_READ] = "read",         [PEER_READ_RESULT] = "read-result",
    [PEER_DIGEST] = "digest",
};

int64_t sim_node_now_ms(const struct sim *sim, const struct sim_node *self)
{
    return sim_clock_ms(sim->world->now_us, self->drift_ppm) + self->clock_ms;
}

int64_t sim_node_due_us(const struct sim_node *self, int64_t ms)
{
    return sim_clock_due_us(ms - self->clock_ms, self->drift_ppm);
}

bool sim_node_serves(const struct sim_node *self)
{
    return self->up && self->role == CONSENSUS_LEADER && self->applied.index >= self->barrier;
}

void sim_node_trace(const struct sim_node *self, FILE *file)
{
    static const char roles[] = {'F', 'C', 'L'};

    if (!self->up)
        fprintf(file, "n%-2" PRIu64 " %-20s ", self->id, "down");
    else
        fprintf(file, "n%-2" PRIu64 " %c t%-4" PRIu64 " %5" PRIu64 "/%-5" PRIu64 "%c ", self->id,
                roles[consensus_role(self->consensus)], consensus_term(self->consensus),
                consensus_last_index(self->consensus), self->applied.index,
                self->installing ? 'i' : ' ');
}

static void trace_message(struct sim *sim, int slot, const char *what,
                          const struct peer_message *message)
{
    if (sim->options.trace == NULL)
        return;
    switch (message->kind) {
    case PEER_APPEND:
        sim_trace(sim, slot,
                  "%s append %" PRIu64 ">%" PRIu64 " t%" PRIu64 " after %" PRIu64 ".%" PRIu64
                  " +%zu commit %" PRIu64,
                  what, message->from, message->to, message->term, message->append.prev_index,
                  message->append.prev_term, message->append.count, message->append.commit_index);
        break;
    case PEER_APPEND_RESULT:
        sim_trace(sim, slot,
                  "%s append-result %" PRIu64 ">%" PRIu64 " t%" PRIu64 " rejected %" PRIu64
                  " last %" PRIu64,
                  what, message->from, message->to, message->term, message->append_result.rejected,
                  message->append_result.last_index);
        break;
    case PEER_VOTE:
        sim_trace(sim, slot,
                  "%s %svote %" PRIu64 ">%" PRIu64 " t%" PRIu64 " last %" PRIu64 ".%" PRIu64, what,
                  message->vote.pre_vote ? "pre-" : "", message->from, message->to, message->term,
                  message->vote.last_index, message->vote.last_term);
        break;
    case PEER_VOTE_RESULT:
        sim_trace(sim, slot, "%s %svote-result %" PRIu64 ">%" PRIu64 " t%" PRIu64 " %s", what,
                  message->vote_result.pre_vote ? "pre-" : "", message->from, message->to,
                  message->term, message->vote_result.granted ? "granted" : "refused");
        break;
    default:
        sim_trace(sim, slot, "%s %s %" PRIu64 ">%" PRIu64 " t%" PRIu64, what, kinds[message->kind],
                  message->from, message->to, message->term);
    }
}

/* ---- What the driver asks for ------------------------------------------------------------------- */

static void disk_done(struct sim *sim, struct sim_event *event)
{
    struct sim_node *self = sim->nodes[event->node];
    struct sim_disk_op *op = &self->disk.ops[0];
    enum sim_disk_kind kind = op->kind;
    bool reported = op->reported;

    if (sim_node_deferred(sim, event))
        return;
    if (!sim->scripted && sim_chance(sim, sim->traits.disk_fail)) {
        sim->counts.failed_writes++;
        sim_nemesis_crash(sim, self->slot);
        return;
    }
    sim_disk_finish(&self->disk);
    if (kind == DISK_WRITE && !reported) {
        consensus_persisted(self->consensus, sim_node_now_ms(sim, self));
        sim_node_turn(sim, self);
    } else if (kind == DISK_INSTALL) {
        sim_node_installed(sim, self);
    }
}

/* MUTATION_FSYNC: it is not durable at all. */
static void disk_lies(struct sim *sim, struct sim_event *event)
{
    struct sim_node *self = sim->nodes[event->node];

    if (sim_node_deferred(sim, event))
        return;
    consensus_persisted(self->consensus, sim_node_now_ms(sim, self));
    sim_node_turn(sim, self);
}

void sim_node_write(struct sim *sim, struct sim_node *self, const struct sim_disk_op *op)
{
    struct sim_disk_op begun = *op;
    struct sim_event event = {.fire = disk_done, .node = self->slot, .life = self->life};

    if (op->kind == DISK_WRITE && sim_mutation_is(MUTATION_FSYNC)) {
        struct sim_event lie = {
            .at_us = sim->world->now_us, .fire = disk_lies, .node = self->slot, .life = self->life};

        begun.reported = true;
        sim_at(sim, &lie);
    }
    event.at_us = sim_disk_begin(&self->disk, sim, &begun);
    sim_at(sim, &event);
}

static void write_action(struct sim *sim, struct sim_node *self, struct consensus_action *action)
{
    struct sim_disk_op op = {.kind = DISK_WRITE, .write = action->write};

    if (op.write.count > 0) {
        sim_trace(sim, self->slot, "write %" PRIu64 " +%zu", op.write.entries[0]->entry.index,
                  op.write.count);
        sim_check_write(sim, self, &op.write);
        sim_log_write(&self->log, op.write.entries, op.write.count);
    }
    sim_node_write(sim, self, &op);
}

/* Put in what the driver has not in memory. False when it is not there. */
static bool fill(struct sim_node *self, struct peer_message *message)
{
    if (message->kind != PEER_APPEND || message->append.count == 0 ||
        message->append.entries != NULL)
        return true;
    message->append.entries = alloc_zero(message->append.count * sizeof *message->append.entries);
    for (size_t i = 0; i < message->append.count; i++) {
        struct shared_entry *entry = sim_log_entry(&self->log, message->append.prev_index + 1 + i);

        if (entry == NULL)
            return false;
        message->append.entries[i] = shared_entry_hold(entry);
    }
    return true;
}

static void send_action(struct sim *sim, struct sim_node *self, struct consensus_action *action)
{
    struct peer_message *message = &action->message;

    struct peer_message rest;
    bool more = true;

    if (!fill(self, message)) {
        sim_fail(sim, "J8: n%" PRIu64 " is to send entries that its log has not", self->id);
        peer_message_close(message);
        return;
    }
    while (more) {
        more = message->kind == PEER_APPEND && consensus_split_append(message, &rest);
        trace_message(sim, self->slot, "send", message);
        sim_check_send(sim, self, message);
        sim_net_send(sim, self->slot, message);
        if (more)
            *message = rest;
    }
}

static void role_action(struct sim *sim, struct sim_node *self,
                        const struct consensus_action *action)
{
    sim_trace(sim, self->slot, "role %d term %" PRIu64 " leader %" PRIu64 " barrier %" PRIu64,
              (int)action->role.role, action->role.term, action->role.leader, action->role.barrier);
    if (action->role.role == CONSENSUS_LEADER)
        sim_check_leader(sim, self, action->role.term);
    self->role = action->role.role;
    self->role_term = action->role.term;
    self->role_since_ms = sim_node_now_ms(sim, self);
    self->barrier = action->role.barrier;
}

static void read_action(struct sim_node *self, const struct consensus_action *action)
{
    for (size_t i = 0; i < self->read_count; i++)
        if (self->reads[i].ticket <= action->read.ticket && self->reads[i].index == 0)
            self->reads[i].index = action->read.index;
}

static void commit_action(struct sim *sim, struct sim_node *self,
                          const struct consensus_action *action)
{
    sim_trace(sim, self->slot, "commit %" PRIu64, action->commit);
    sim_check_commit(sim, self, action->commit);
    self->commit = action->commit;
}

static void carry_out(struct sim *sim, struct sim_node *self, struct consensus_action *action)
{
    switch (action->kind) {
    case CONSENSUS_WRITE: write_action(sim, self, action); break;
    case CONSENSUS_SEND: send_action(sim, self, action); break;
    case CONSENSUS_COMMIT: commit_action(sim, self, action); break;
    case CONSENSUS_ROLE: role_action(sim, self, action); break;
    case CONSENSUS_MEMBERS: break; /* everybody reaches everybody */
    case CONSENSUS_FETCH: sim_node_fetch(sim, self, action); break;
    case CONSENSUS_INSTALL: sim_node_install(sim, self, action); break;
    case CONSENSUS_READ: read_action(self, action); break;
    }
}

/* ---- Applying and serving ----------------------------------------------------------------------- */

static void apply_entry(struct sim *sim, struct sim_node *self, const struct shared_entry *shared)
{
    const struct log_entry *entry = &shared->entry;
    void *result = sim->use->machine->apply(self->machine, entry, sim_check_checksum(sim, shared));

    self->applied = (struct sim_applied){entry->index, entry->term, entry->log_time_ms};
    sim_check_apply(sim, self, entry);
    sim->use->applied(sim, self, entry, result);
}

static void apply_up_to(struct sim *sim, struct sim_node *self, replica_index last)
{
    sim->use->machine->begin(self->machine);
    while (self->applied.index < last && sim->world->violation[0] == '\0') {
        struct shared_entry *entry = sim_log_entry(&self->log, self->applied.index + 1);

        if (entry == NULL) {
            sim_fail(sim, "n%" PRIu64 ": entry %" PRIu64 " is committed and not in the log",
                     self->id, self->applied.index + 1);
            break;
        }
        apply_entry(sim, self, entry);
    }
    sim->use->machine->commit(self->machine);
}

static bool apply(struct sim *sim, struct sim_node *self)
{
    replica_index durable = consensus_durable_index(self->consensus);
    replica_index last = self->commit < durable ? self->commit : durable;

    if (self->installing || self->applied.index >= last || sim->world->violation[0] != '\0')
        return false;
    apply_up_to(sim, self, last);
    consensus_applied(self->consensus, self->applied.index);
    if (sim->use->settled != NULL)
        sim->use->settled(sim, self);
    return true;
}

/* ---- Leading ------------------------------------------------------------------------------------ */

/* In this order, around applying, as replica_turn() does it. */
static void lose_lead(struct sim *sim, struct sim_node *self)
{
    if (self->lead_term == 0 ||
        (self->role == CONSENSUS_LEADER && self->role_term == self->lead_term))
        return;
    self->lead_term = 0;
    if (sim->use->lead != NULL)
        sim->use->lead(sim, self, false);
}

/* MUTATION_LEASE_BARRIER: it does not wait for it. */
static bool may_lead(const struct sim_node *self)
{
    return sim_node_serves(self) ||
           (sim_mutation_is(MUTATION_LEASE_BARRIER) && self->up && self->role == CONSENSUS_LEADER &&
            self->applied.index > 0 && self->commit > 0);
}

static void take_lead(struct sim *sim, struct sim_node *self)
{
    if (self->lead_term != 0 || !may_lead(self))
        return;
    self->lead_term = self->role_term;
    if (sim->use->lead != NULL)
        sim->use->lead(sim, self, true);
}

static void serve(struct sim *sim, struct sim_node *self)
{
    struct sim_read due[SIM_READS_MAX];
    size_t kept = 0, count = 0;

    for (size_t i = 0; i < self->read_count; i++) {
        const struct sim_read *read = &self->reads[i];

        if (read->index == 0 || self->applied.index < read->index || self->installing)
            self->reads[kept++] = *read;
        else
            due[count++] = *read;
    }
    self->read_count = kept;
    for (size_t i = 0; i < count; i++) {
        sim_check_read(sim, self, &due[i]);
        if (sim->use->served != NULL)
            sim->use->served(sim, self, &due[i]);
    }
}

static void timer(struct sim *sim, struct sim_event *event);

static void arm(struct sim *sim, struct sim_node *self)
{
    int64_t deadline_us = sim_node_due_us(self, consensus_deadline_ms(self->consensus));
    struct sim_event event = {
        .at_us = deadline_us, .fire = timer, .node = self->slot, .life = self->life};

    if (sim->scripted || deadline_us >= self->armed_us)
        return;
    self->armed_us = event.at_us;
    sim_at(sim, &event);
}

/* Timers are mostly put off: one that fires too early is set again. */
static void timer(struct sim *sim, struct sim_event *event)
{
    struct sim_node *self = sim->nodes[event->node];

    if (event->at_us != self->armed_us && self->paused_until_us <= sim->world->now_us)
        return;
    if (sim_node_deferred(sim, event))
        return;
    self->armed_us = INT64_MAX;
    if (consensus_deadline_ms(self->consensus) > sim_node_now_ms(sim, self))
        arm(sim, self);
    else
        sim_node_tick(sim, self->slot);
}

static void follow(struct sim *sim, struct sim_node *self)
{
    struct consensus_action action;

    do {
        while (consensus_next(self->consensus, &action)) {
            if (sim->world->violation[0] == '\0')
                carry_out(sim, self, &action);
            else
                consensus_action_close(&action);
        }
        lose_lead(sim, self);
    } while (apply(sim, self));
    take_lead(sim, self);
    serve(sim, self);
}

void sim_node_turn(struct sim *sim, struct sim_node *self)
{
    sim->counts.steps++;
    self->steps++;
    follow(sim, self);
    sim_check_step(sim, self);
    if (sim->world->violation[0] != '\0')
        return;
    if (self->applied.index >= self->disk.state.snapshot.mark.index + sim->traits.snapshot_entries)
        sim_node_snapshot(sim, self->slot, (unsigned)sim_below(sim, 64));
    arm(sim, self);
}

/* ---- Events ------------------------------------------------------------------------------------- */

static void unload(struct sim_event *event)
{
    if (event->drop != NULL)
        event->drop(&event->load);
}

static void resume(struct sim *sim, struct sim_node *self)
{
    const int64_t paused_us = self->paused_us;

    self->backlog = 0;
    self->paused_us = 0;
    if (paused_us != 0 && sim->use->resumed != NULL)
        sim->use->resumed(sim, self, self->paused_until_us - paused_us);
}

bool sim_node_deferred(struct sim *sim, struct sim_event *event)
{
    struct sim_node *self = sim->nodes[event->node];
    struct sim_event later = *event;

    if (!self->up) {
        unload(event);
        return true;
    }
    if (self->paused_until_us <= sim->world->now_us) {
        resume(sim, self);
        return false;
    }
    later.at_us = self->paused_until_us;
    if (event->fire == timer)
        self->armed_us = later.at_us;
    if (event->life == 0 && ++self->backlog > SIM_BACKLOG_MAX)
        unload(event);
    else
        sim_at(sim, &later);
    return true;
}

void sim_node_receive(struct sim *sim, int slot, struct peer_message *message)
{
    struct sim_node *self = sim->nodes[slot];

    if (!self->up) {
        peer_message_close(message);
        return;
    }
    trace_message(sim, slot, "receive", message);
    consensus_receive(self->consensus, message, sim_node_now_ms(sim, self));
    sim_node_turn(sim, self);
}

void sim_node_tick(struct sim *sim, int slot)
{
    struct sim_node *self = sim->nodes[slot];

    consensus_tick(self->consensus, sim_node_now_ms(sim, self));
    sim_node_turn(sim, self);
}

int sim_node_submit(struct sim *sim, int slot, const struct log_entry *entries, size_t count,
                    replica_index *first)
{
    struct sim_node *self = sim->nodes[slot];

    return consensus_submit(self->consensus, entries, count, first, sim_node_now_ms(sim, self));
}

void sim_node_turn_after(struct sim *sim, int slot, int code)
{
    follow(sim, sim->nodes[slot]);
    if (code == 0)
        sim_node_turn(sim, sim->nodes[slot]);
    else
        sim_node_tick(sim, slot);
}

uint64_t sim_node_ask(struct sim *sim, int slot)
{
    struct sim_node *self = sim->nodes[slot];
    struct sim_read *read = &self->reads[self->read_count];

    if (self->read_count == SIM_READS_MAX)
        return 0;
    self->read_count++;
    *read = (struct sim_read){0, 0, sim_check_floor(sim)};
    read->ticket = consensus_read(self->consensus, sim_node_now_ms(sim, self));
    return read->ticket;
}

void sim_node_read(struct sim *sim, int slot)
{
    if (sim_node_ask(sim, slot) != 0)
        sim_node_turn(sim, sim->nodes[slot]);
}

/* ---- The operator's ------------------------------------------------------------------------------ */

/* What was refused may have been no event to the driver; then its timer is due as it was. */
static int told(struct sim *sim, struct sim_node *self, const char *what, int who, int code)
{
    sim_trace(sim, self->slot, "%s n%d: %d", what, who + 1, code);
    sim_node_turn_after(sim, self->slot, code);
    return code;
}

int sim_node_add(struct sim *sim, int slot, int who)
{
    struct sim_node *self = sim->nodes[slot];
    replica_index index;

    return told(sim, self, "add", who,
                consensus_add(self->consensus, sim->nodes[who]->id, sim->nodes[who]->address,
                              &index, sim_node_now_ms(sim, self)));
}

int sim_node_promote(struct sim *sim, int slot, int who)
{
    struct sim_node *self = sim->nodes[slot];
    replica_index index;

    return told(sim, self, "promote", who,
                consensus_promote(self->consensus, sim->nodes[who]->id, &index,
                                  sim_node_now_ms(sim, self)));
}

int sim_node_remove(struct sim *sim, int slot, int who)
{
    struct sim_node *self = sim->nodes[slot];
    replica_index index;

    return told(
        sim, self, "remove", who,
        consensus_remove(self->consensus, sim->nodes[who]->id, &index, sim_node_now_ms(sim, self)));
}

int sim_node_transfer(struct sim *sim, int slot, int to)
{
    struct sim_node *self = sim->nodes[slot];

    return told(sim, self, "transfer", to,
                consensus_transfer(self->consensus, to < 0 ? 0 : sim->nodes[to]->id,
                                   sim_node_now_ms(sim, self)));
}
