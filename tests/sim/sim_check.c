/* See sim_check.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_check.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"

/* Everything of a driver is looked at (its log takes long) at each so many of its steps. */
#define FULL_CHECK_STEPS 32
/* Entries at the log's end that are compared at each step. */
#define TAIL_CHECK_ENTRIES 4

struct truth {                  /* what is committed at an index */
    struct shared_entry *entry; /* as the first had it; held */
    replica_term term;
    replica_term by_term; /* of the leader that committed it */
    uint32_t checksum;    /* of the entry */
    uint64_t digest;      /* of every state machine that has applied it; 0: none has */
};

struct sim_check {
    struct truth *truths; /* by index less 1 */
    size_t count;
    size_t capacity;
    int *leaders; /* by term: node + 1, 0: none yet */
    size_t terms;
    struct shared_entry **memberships; /* committed, in order; held */
    size_t membership_count;
    struct membership membership; /* the last of them */
    int64_t log_time_ms;          /* of the last truth */
    replica_index floor;
    bool healing;
    uint64_t heal_commits;      /* commits at which enough is done */
    replica_index heal_index;   /* to be applied everywhere; 0: not known yet */
    bool served[SIM_NODES_MAX]; /* a read, since then */
    char why[160];
};

struct sim_check *sim_check_new(void)
{
    return alloc_zero(sizeof(struct sim_check));
}

void sim_check_destroy(struct sim_check **self_p)
{
    struct sim_check *self = *self_p;

    if (self == NULL)
        return;
    for (size_t i = 0; i < self->membership_count; i++)
        shared_entry_release(&self->memberships[i]);
    for (size_t i = 0; i < self->count; i++)
        shared_entry_release(&self->truths[i].entry);
    free(self->memberships);
    free(self->truths);
    free(self->leaders);
    free(self);
    *self_p = NULL;
}

static struct truth *truth_at(const struct sim_check *self, replica_index index)
{
    return index >= 1 && index <= self->count ? &self->truths[index - 1] : NULL;
}

uint32_t sim_check_checksum(const struct sim *sim, const struct shared_entry *entry)
{
    const struct truth *truth = truth_at(sim->check, entry->entry.index);

    if (truth != NULL && truth->entry == entry)
        return truth->checksum;
    return log_entry_checksum(&entry->entry);
}

replica_index sim_check_committed(const struct sim *sim)
{
    return sim->check->count;
}

/* ---- What a disk holds -------------------------------------------------------------------------- */

/* A disk that lies (MUTATION_FSYNC) is believed until a crash shows it. */
static bool disk_lies(const struct sim_node *node)
{
    return node->up && sim_mutation_is(MUTATION_FSYNC);
}

static bool is_durable(const struct sim_node *node, replica_index index, replica_term term)
{
    const struct sim_disk_state *state = &node->disk.state;
    const struct shared_entry *entry =
        sim_log_entry(disk_lies(node) ? &node->log : &state->log, index);

    return index <= state->snapshot.mark.index || (entry != NULL && entry->entry.term == term);
}

/* ---- J1, J3: leaders ---------------------------------------------------------------------------- */

static void check_only_leader(struct sim *sim, const struct sim_node *node, replica_term term)
{
    struct sim_check *self = sim->check;

    if (term >= self->terms) {
        size_t terms = 2 * term + 64;

        self->leaders = alloc_resize(self->leaders, terms * sizeof *self->leaders);
        memset(self->leaders + self->terms, 0, (terms - self->terms) * sizeof *self->leaders);
        self->terms = terms;
    }
    if (self->leaders[term] == 0)
        sim->counts.elections++;
    else if (self->leaders[term] != node->slot + 1)
        sim_fail(sim, "J1: two leaders in term %" PRIu64 ": n%d, n%" PRIu64, term,
                 self->leaders[term], node->id);
    self->leaders[term] = node->slot + 1;
}

/* A vote may come late: who leads in a term that is already past need not know what came after. */
static void check_leader_has_all(struct sim *sim, const struct sim_node *node, replica_term term)
{
    const struct sim_check *self = sim->check;

    for (replica_index index = node->log.first; index <= self->count; index++) {
        const struct truth *truth = &self->truths[index - 1];
        const struct shared_entry *entry = sim_log_entry(&node->log, index);

        if (truth->by_term < term && (entry == NULL || entry->entry.term != truth->term)) {
            sim_fail(sim,
                     "J3: n%" PRIu64 " leads in term %" PRIu64 " without entry %" PRIu64
                     ", which was committed in term %" PRIu64,
                     node->id, term, index, truth->by_term);
            return;
        }
    }
}

void sim_check_leader(struct sim *sim, const struct sim_node *node, replica_term term)
{
    check_only_leader(sim, node, term);
    check_leader_has_all(sim, node, term);
}

/* ---- J2: commits -------------------------------------------------------------------------------- */

static void keep_membership(struct sim *sim, struct shared_entry *entry)
{
    struct sim_check *self = sim->check;
    struct bytes_reader reader;

    self->memberships =
        alloc_resize(self->memberships, (self->membership_count + 1) * sizeof *self->memberships);
    self->memberships[self->membership_count++] = shared_entry_hold(entry);
    bytes_reader_init(&reader, entry->entry.data, entry->entry.size);
    membership_decode(&self->membership, &reader);
    if (!bytes_reader_done(&reader))
        sim_fail(sim, "the committed membership at %" PRIu64 " is none", entry->entry.index);
    if (entry->entry.index > 1)
        sim->counts.changes++;
}

static void check_majority(struct sim *sim, const struct sim_node *node, replica_index index,
                           replica_term term)
{
    const struct membership *membership = consensus_membership(node->consensus);
    size_t durable = 0;

    for (size_t i = 0; i < membership->count; i++) {
        int slot = sim_node_by_id(sim, membership->members[i].id);

        if (membership->members[i].role == MEMBER_VOTER && slot >= 0)
            durable += is_durable(sim->nodes[slot], index, term);
    }
    if (durable < membership_majority(membership))
        sim_fail(sim, "J2: n%" PRIu64 " commits entry %" PRIu64 ", which %zu of %zu voters have",
                 node->id, index, durable, membership_voters(membership));
}

/* The first to commit it is the leader; the entry with index 1 is so from the beginning. */
static void learn(struct sim *sim, const struct sim_node *node, struct shared_entry *entry)
{
    struct sim_check *self = sim->check;
    const struct log_entry *e = &entry->entry;

    if (self->count == self->capacity) {
        self->capacity = self->capacity == 0 ? 1024 : 2 * self->capacity;
        self->truths = alloc_resize(self->truths, self->capacity * sizeof *self->truths);
    }
    self->truths[self->count++] =
        (struct truth){shared_entry_hold(entry), e->term, consensus_term(node->consensus),
                       log_entry_checksum(e), 0};
    if (e->index > 1) {
        if (consensus_role(node->consensus) != CONSENSUS_LEADER)
            sim_fail(sim, "J2: n%" PRIu64 " commits entry %" PRIu64 " before any leader has",
                     node->id, e->index);
        check_majority(sim, node, e->index, e->term);
    }
    if (e->log_time_ms < self->log_time_ms)
        sim_fail(sim, "log time falls at entry %" PRIu64, e->index);
    self->log_time_ms = e->log_time_ms;
    if (e->kind == LOG_ENTRY_MEMBERSHIP)
        keep_membership(sim, entry);
    sim->use->committed(sim, e);
}

static void check_committed_entry(struct sim *sim, const struct sim_node *node, replica_index index)
{
    struct shared_entry *entry = sim_log_entry(&node->log, index);
    const struct truth *truth = truth_at(sim->check, index);

    if (entry == NULL)
        sim_fail(sim, "J2: n%" PRIu64 " commits entry %" PRIu64 ", which its log has not", node->id,
                 index);
    else if (truth == NULL)
        learn(sim, node, entry);
    else if (truth->term != entry->entry.term || truth->checksum != sim_check_checksum(sim, entry))
        sim_fail(sim,
                 "J2: n%" PRIu64 " commits another entry at %" PRIu64 ": term %" PRIu64
                 ", others' %" PRIu64,
                 node->id, index, entry->entry.term, truth->term);
}

void sim_check_commit(struct sim *sim, struct sim_node *node, replica_index commit)
{
    if (commit < node->commit)
        sim_fail(sim, "J8: the commit index of n%" PRIu64 " falls from %" PRIu64 " to %" PRIu64,
                 node->id, node->commit, commit);
    while (node->checked < commit && sim->world->violation[0] == '\0')
        check_committed_entry(sim, node, ++node->checked);
}

/* Nothing committed is ever cut off, whatever the driver is told. */
void sim_check_write(struct sim *sim, const struct sim_node *node,
                     const struct consensus_write *write)
{
    const struct log_entry *first = &write->entries[0]->entry;

    if (first->index <= node->commit && !node->installing)
        sim_fail(sim,
                 "J2: n%" PRIu64 " overwrites its log from %" PRIu64
                 " on, and has committed %" PRIu64,
                 node->id, first->index, node->commit);
}

/* ---- J4: state machines ------------------------------------------------------------------------- */

static void check_digest(struct sim *sim, const struct sim_node *node, replica_index index)
{
    struct truth *truth = truth_at(sim->check, index);
    uint64_t digest = sim->use->machine->digest(node->machine);

    if (truth == NULL)
        sim_fail(sim, "J4: n%" PRIu64 " has applied entry %" PRIu64 ", which is not committed",
                 node->id, index);
    else if (truth->digest == 0)
        truth->digest = digest;
    else if (truth->digest != digest)
        sim_fail(sim, "J4: the state of n%" PRIu64 " at %" PRIu64 " is not that of the others",
                 node->id, index);
}

void sim_check_apply(struct sim *sim, const struct sim_node *node, const struct log_entry *entry)
{
    check_digest(sim, node, entry->index);
}

void sim_check_installed(struct sim *sim, const struct sim_node *node)
{
    check_digest(sim, node, node->applied.index);
}

/* The membership of a snapshot is the last one that was committed by then. */
void sim_check_membership(struct sim *sim, const struct sim_node *node,
                          const struct snapshot_mark *mark)
{
    const struct sim_check *self = sim->check;
    const struct log_entry *last = NULL;
    struct bytes_writer writer = {0};

    for (size_t i = 0; i < self->membership_count; i++)
        if (self->memberships[i]->entry.index <= mark->index)
            last = &self->memberships[i]->entry;
    membership_encode(&mark->membership, &writer);
    if (last == NULL || mark->membership_index != last->index || writer.size != last->size ||
        memcmp(writer.data, last->data, last->size) != 0)
        sim_fail(sim,
                 "J8: n%" PRIu64 " takes that of %" PRIu64 " for the membership at %" PRIu64
                 ", which is that of %" PRIu64,
                 node->id, mark->membership_index, mark->index, last != NULL ? last->index : 0);
    bytes_writer_close(&writer);
}

/* ---- J7: what messages speak of ----------------------------------------------------------------- */

static bool vote_is_durable(const struct sim_disk_state *state, const struct peer_message *message)
{
    switch (message->kind) {
    case PEER_VOTE: return state->vote == message->from;
    case PEER_VOTE_RESULT: return !message->vote_result.granted || state->vote == message->to;
    default: return true;
    }
}

static bool is_pre_vote(const struct peer_message *message)
{
    return (message->kind == PEER_VOTE && message->vote.pre_vote) ||
           (message->kind == PEER_VOTE_RESULT && message->vote_result.pre_vote);
}

/* Who says that it has the leader's log up to an index has it on its disk. */
static void check_acknowledges(struct sim *sim, const struct sim_node *node,
                               const struct peer_message *message)
{
    const struct sim_node *leader = sim->nodes[message->to - 1];
    replica_index last = message->append_result.last_index;
    const struct shared_entry *entry = sim_log_entry(&leader->log, last);
    const struct truth *truth = truth_at(sim->check, last); /* for what the leader has cut off */
    replica_term term = entry != NULL ? entry->entry.term : truth != NULL ? truth->term : 0;

    if (!leader->up || consensus_role(leader->consensus) != CONSENSUS_LEADER ||
        consensus_term(leader->consensus) != message->term)
        return;
    if (last > 0 && !is_durable(node, last, term))
        sim_fail(sim, "J7: n%" PRIu64 " says it has all of the leader's up to %" PRIu64, node->id,
                 last);
}

void sim_check_send(struct sim *sim, const struct sim_node *node,
                    const struct peer_message *message)
{
    const struct sim_disk_state *state = &node->disk.state;

    if (disk_lies(node))
        return;
    if (!is_pre_vote(message) && (message->term > state->term || !vote_is_durable(state, message)))
        sim_fail(sim,
                 "J7: n%" PRIu64 " speaks of term %" PRIu64
                 " or a vote in it; its disk has term %" PRIu64 ", vote %" PRIu64,
                 node->id, message->term, state->term, state->vote);
    if (message->kind == PEER_APPEND_RESULT && message->append_result.rejected == 0)
        check_acknowledges(sim, node, message);
}

/* ---- J8: the driver's own ----------------------------------------------------------------------- */

void sim_check_own_membership(const struct sim_node *node, struct membership *membership)
{
    const struct sim_log *log = node->up ? &node->log : &node->disk.state.log;

    for (size_t i = log->count; i > 0; i--) {
        const struct log_entry *entry = &log->entries[i - 1]->entry;
        struct bytes_reader reader;

        if (entry->kind != LOG_ENTRY_MEMBERSHIP)
            continue;
        bytes_reader_init(&reader, entry->data, entry->size);
        membership_decode(membership, &reader);
        return;
    }
    *membership = node->disk.state.snapshot.mark.membership;
}

static void check_own_membership(struct sim *sim, const struct sim_node *node)
{
    const struct membership *said = consensus_membership(node->consensus);
    struct membership own;

    if (node->installing)
        return;
    sim_check_own_membership(node, &own);
    if (own.count != said->count)
        sim_fail(sim, "J8: n%" PRIu64 " goes by %zu members, its log names %zu", node->id,
                 said->count, own.count);
    for (size_t i = 0; i < own.count && i < said->count; i++)
        if (own.members[i].id != said->members[i].id ||
            own.members[i].role != said->members[i].role)
            sim_fail(sim, "J8: n%" PRIu64 " goes by another membership than its log's", node->id);
}

static void check_log_end(struct sim *sim, const struct sim_node *node)
{
    replica_index last = sim_log_last(&node->log);

    if (consensus_last_index(node->consensus) != last) {
        sim_fail(sim, "J8: n%" PRIu64 " takes %" PRIu64 " for its last entry, which is %" PRIu64,
                 node->id, consensus_last_index(node->consensus), last);
        return;
    }
    for (size_t i = 0; i < TAIL_CHECK_ENTRIES && i < node->log.count; i++) {
        const struct log_entry *entry = &node->log.entries[node->log.count - 1 - i]->entry;

        if (consensus_term_of(node->consensus, entry->index) != entry->term)
            sim_fail(sim, "J8: n%" PRIu64 " knows another term of entry %" PRIu64, node->id,
                     entry->index);
    }
}

/* While a snapshot is being installed there is no log of which anything could be durable. */
static void check_durable(struct sim *sim, const struct sim_node *node)
{
    const replica_index durable = consensus_durable_index(node->consensus);
    const replica_term term = consensus_term_of(node->consensus, durable);

    if (durable > 0 && (node->installing || !is_durable(node, durable, term)))
        sim_fail(sim, "J8: n%" PRIu64 " takes %" PRIu64 " for durable", node->id, durable);
}

void sim_check_step(struct sim *sim, struct sim_node *node)
{
    if (consensus_deadline_ms(node->consensus) <= sim_node_now_ms(sim, node))
        sim_fail(sim, "J8: n%" PRIu64 " wants to be woken at once, for ever", node->id);
    if (consensus_commit_index(node->consensus) != node->commit)
        sim_fail(sim, "J8: n%" PRIu64 " has committed %" PRIu64 " and told %" PRIu64, node->id,
                 consensus_commit_index(node->consensus), node->commit);
    if (!disk_lies(node))
        check_durable(sim, node);
    if (!node->installing)
        check_log_end(sim, node);
    if (node->steps % FULL_CHECK_STEPS == 0 || sim->scripted) {
        check_own_membership(sim, node);
        consensus_check(node->consensus);
    }
}

/* ---- J5, J6: operations ------------------------------------------------------------------------- */

replica_index sim_check_floor(const struct sim *sim)
{
    return sim->check->floor;
}

static void raise_floor(struct sim *sim, replica_index index)
{
    if (sim->check->floor < index)
        sim->check->floor = index;
}

void sim_check_read(struct sim *sim, struct sim_node *node, const struct sim_read *read)
{
    sim->counts.reads++;
    sim->check->served[node->slot] = true;
    if (node->applied.index < read->floor)
        sim_fail(sim,
                 "J6: n%" PRIu64 " shows the state at %" PRIu64 ", and that at %" PRIu64
                 " was shown or acknowledged before",
                 node->id, node->applied.index, read->floor);
    raise_floor(sim, node->applied.index);
}

void sim_check_acknowledged(struct sim *sim, const struct sim_node *node,
                            const struct log_entry *entry, replica_index floor)
{
    const struct truth *truth = truth_at(sim->check, entry->index);

    sim->counts.acknowledged++;
    if (truth == NULL || truth->term != entry->term)
        sim_fail(sim, "J5: n%" PRIu64 " acknowledges entry %" PRIu64 ", which is not committed",
                 node->id, entry->index);
    if (entry->index <= floor)
        sim_fail(sim,
                 "J6: n%" PRIu64 " writes at %" PRIu64 " what began when %" PRIu64 " was shown",
                 node->id, entry->index, floor);
    raise_floor(sim, entry->index);
}

const struct membership *sim_check_committed_membership(const struct sim *sim)
{
    return &sim->check->membership;
}

/* ---- J9: the end -------------------------------------------------------------------------------- */

void sim_check_heal(struct sim *sim)
{
    sim->check->healing = true;
    sim->check->heal_commits = sim->counts.commits + SIM_HEAL_COMMITS;
    memset(sim->check->served, 0, sizeof sim->check->served);
}

static bool has_healed(struct sim_check *self, const struct sim_node *node)
{
    if (node->applied.index >= self->heal_index && self->served[node->slot])
        return true;
    snprintf(self->why, sizeof self->why,
             "n%" PRIu64 " has applied %" PRIu64 " of %" PRIu64 " and served %s", node->id,
             node->applied.index, self->heal_index, self->served[node->slot] ? "reads" : "none");
    return false;
}

bool sim_check_healed(struct sim *sim)
{
    struct sim_check *self = sim->check;

    if (sim->counts.commits < self->heal_commits)
        return false;
    if (self->heal_index == 0)
        self->heal_index = self->count;
    for (size_t i = 0; i < self->membership.count; i++) {
        const struct sim_node *node =
            sim->nodes[sim_node_by_id(sim, self->membership.members[i].id)];

        if (!node->gone && !has_healed(self, node))
            return false;
    }
    return true;
}

int sim_check_unserved(const struct sim *sim)
{
    const struct sim_check *self = sim->check;

    for (size_t i = 0; self->healing && i < self->membership.count; i++) {
        int slot = sim_node_by_id(sim, self->membership.members[i].id);

        if (sim->nodes[slot]->up && !self->served[slot] && sim->nodes[slot]->read_count == 0)
            return slot;
    }
    return -1;
}

const char *sim_check_unhealed(struct sim *sim)
{
    struct sim_check *self = sim->check;

    if (sim->counts.commits < self->heal_commits)
        snprintf(self->why, sizeof self->why, "%" PRIu64 " more commands to be committed",
                 self->heal_commits - sim->counts.commits);
    return self->why;
}

void sim_check_end(struct sim *sim)
{
    for (size_t i = 0; i < sim->node_count; i++)
        if (sim->nodes[i]->up && sim->nodes[i]->applied.index > 0)
            check_digest(sim, sim->nodes[i], sim->nodes[i]->applied.index);
}
