/* One step of the core, and what follows from it, see consensus_internal.h.
 *
 * What the core hands out belongs to it, or to the caller, until the next step; so everything is
 * turned into actions at once, and in this order: term, vote and entries, one write; a snapshot to
 * install; messages; the commit index; the role.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/consensus_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "services/replica/raft_guard.h"

static enum raft_entry_type entry_type(const struct log_entry *entry)
{
    switch (entry->kind) {
    case LOG_ENTRY_COMMAND: return RAFT_COMMAND;
    case LOG_ENTRY_BARRIER: return RAFT_BARRIER;
    case LOG_ENTRY_MEMBERSHIP: return RAFT_CHANGE;
    }
    assert(false); /* no kind */
    return RAFT_COMMAND;
}

struct raft_entry *consensus_entries_new(struct shared_entry *const *entries, size_t count)
{
    struct raft_entry *made = alloc_zero(count * sizeof *made);

    for (size_t i = 0; i < count; i++) {
        made[i].term = entries[i]->entry.term;
        made[i].type = entry_type(&entries[i]->entry);
        if (made[i].type == RAFT_CHANGE)
            made[i].buf = consensus_change_buffer(&entries[i]->entry);
    }
    return made;
}

void consensus_entries_free(struct raft_entry *made, size_t count)
{
    for (size_t i = 0; i < count; i++)
        raft_free(made[i].buf.base);
    free(made);
}

/* One batch for all: the core frees it, or says that we are to, and never looks into it. */
static void entries_batch(struct raft_entry *made, size_t count)
{
    void *batch = raft_malloc(1);

    assert(batch != NULL);
    for (size_t i = 0; i < count; i++)
        made[i].batch = batch;
}

/* ---- What follows from a step ------------------------------------------------------------------- */

/* The log as the core has it now no longer holds the entries from @index on. */
static void cut(struct consensus *self, replica_index index)
{
    assert(index > self->commit_index); /* C3 */
    assert(index > self->applied_index);
    if (index > self->terms.last)
        return;
    consensus_terms_cut(&self->terms, index);
    log_tail_cut(self->tail, index);
    consensus_history_cut(self, index);
    if (self->durable_index >= index)
        self->durable_index = index - 1;
}

/* Put @entry at the log's end; it is the write's @place-th. */
static void add(struct consensus *self, struct consensus_write *write, size_t place,
                struct shared_entry *entry)
{
    struct membership membership;

    assert(entry->entry.index == self->terms.last + 1);
    assert(place == 0 || entry->entry.log_time_ms >= self->last_log_time_ms);
    consensus_terms_append(&self->terms, entry->entry.term);
    log_tail_append(self->tail, entry);
    self->last_log_time_ms = entry->entry.log_time_ms;
    self->last_wall_ms = entry->entry.wall_ms;
    if (entry->entry.kind == LOG_ENTRY_MEMBERSHIP) {
        bool read = consensus_membership_in(&entry->entry, &membership);
        assert(read);
        consensus_history_push(self, entry->entry.index, &membership);
    }
    write->entries[place] = shared_entry_hold(entry);
}

/* The entry that the core appends of itself, when it is elected, with the times of the one before:
 * a log time is a leader's to give only after this entry is applied (log_time.h). */
static struct shared_entry *core_barrier(const struct consensus *self,
                                         const struct raft_update *update)
{
    const struct raft_entry *made = &update->entries.batch[0];

    assert(update->entries.n == 1 && made->type == RAFT_BARRIER);
    return shared_entry_new(&(struct log_entry){.index = update->entries.index,
                                                .term = made->term,
                                                .kind = LOG_ENTRY_BARRIER,
                                                .log_time_ms = self->last_log_time_ms,
                                                .wall_ms = self->last_wall_ms});
}

static void write_entries(struct consensus *self, struct consensus_write *write,
                          const struct raft_update *update, struct shared_entry *const *entries)
{
    assert(!self->installing);
    assert(update->entries.index <= self->terms.last + 1);
    cut(self, update->entries.index);
    write->count = update->entries.n;
    write->entries = alloc_zero(write->count * sizeof(struct shared_entry *));
    for (size_t i = 0; i < write->count; i++) {
        struct shared_entry *entry = entries[i];
        assert(entry->entry.term == update->entries.batch[i].term);
        add(self, write, i, entry);
    }
}

/* Of the entries that an event brought the core appends those from some one on. */
static void follow_entries(struct consensus *self, struct consensus_write *write,
                           const struct raft_update *update, struct shared_entry *const *entries,
                           size_t count)
{
    struct shared_entry *barrier = NULL;

    if (entries == NULL) {
        barrier = core_barrier(self, update);
        entries = &barrier;
        count = 1;
    }
    const replica_index first = entries[0]->entry.index;
    assert(update->entries.index >= first);
    assert(update->entries.index - first + update->entries.n == count);
    write_entries(self, write, update, entries + (update->entries.index - first));
    shared_entry_release(&barrier);
}

/* The vote is written with the term, and both only when they are others than before. */
static bool follow_vote(struct consensus *self, struct consensus_write *write)
{
    const replica_term term = raft_current_term(&self->raft);
    const uint64_t vote = raft_voted_for(&self->raft);

    if (term == self->term && vote == self->vote)
        return false;
    assert(term > self->term || (term == self->term && self->vote == 0));
    self->term = term;
    self->vote = vote;
    write->term = term;
    write->vote = vote;
    return true;
}

static void follow_write(struct consensus *self, struct raft_update *update,
                         struct shared_entry *const *entries, size_t count)
{
    struct consensus_write write = {0};
    const bool vote = follow_vote(self, &write);

    if ((update->flags & RAFT_UPDATE_ENTRIES) != 0) {
        follow_entries(self, &write, update, entries, count);
        raft_free(update->entries.batch[0].batch);
    }
    if (!vote && write.count == 0)
        return;
    consensus_expect(self, vote, write.count > 0 ? update->entries.index : 0,
                     write.count > 0 ? self->terms.last : 0);
    consensus_push(self, CONSENSUS_WRITE)->write = write;
}

static void follow_commit(struct consensus *self)
{
    const replica_index index =
        raft_guard_commit(self->commit_index, raft_commit_index(&self->raft));

    assert(index >= self->commit_index); /* C3 */
    assert(index <= self->terms.last);
    if (index == self->commit_index)
        return;
    self->commit_index = index;
    consensus_push(self, CONSENSUS_COMMIT)->commit = index;
}

/* @led  before the step */
static void follow_role(struct consensus *self, const struct raft_update *update, bool led)
{
    const bool became = consensus_leads(self) && !led;
    const bool appended = (update->flags & RAFT_UPDATE_ENTRIES) != 0;

    if (!consensus_leads(self)) {
        self->barrier = 0;
        self->barrier_due = false;
        self->transfer_id = 0;
        return;
    }
    if (!became)
        return;
    self->barrier = appended ? update->entries.index : 0;
    self->barrier_due = raft_guard_barrier(became, appended);
}

void consensus_step(struct consensus *self, struct raft_event *event,
                    struct shared_entry *const *entries, size_t count)
{
    const bool led = consensus_leads(self);
    struct raft_update update;

    event->time = (raft_time)self->now_ms;
    event->capacity = 0;
    int code = raft_step(&self->raft, event, &update);
    /* What it refuses it is not asked for; and a leader whose log contradicts what is committed here
     * is no fault that anybody could go on with. */
    assert(code == 0);
    follow_write(self, &update, entries, count);
    if ((update.flags & RAFT_UPDATE_SNAPSHOT) != 0)
        consensus_install(self, &update);
    follow_role(self, &update, led);
    if ((update.flags & RAFT_UPDATE_MESSAGES) != 0)
        for (unsigned i = 0; i < update.messages.n; i++)
            consensus_send_raft(self, &update.messages.batch[i]);
    follow_commit(self);
}

/* ---- Events that bring entries ------------------------------------------------------------------ */

void consensus_feed(struct consensus *self, struct raft_message *message, struct raft_entry *made,
                    struct shared_entry *const *entries, size_t count)
{
    struct raft_event event = {.type = RAFT_RECEIVE, .receive = {.message = message}};

    /* It has no use for addresses but to tell whether there is one. */
    message->server_address = "";
    if (count > 0) {
        entries_batch(made, count);
        message->append_entries.entries = made;
        message->append_entries.n_entries = (unsigned)count;
    }
    consensus_step(self, &event, count > 0 ? entries : NULL, count);
    /* The core remembers a leader beyond its term. */
    if ((message->type == RAFT_APPEND_ENTRIES &&
         message->append_entries.term == raft_current_term(&self->raft)) ||
        (message->type == RAFT_INSTALL_SNAPSHOT &&
         message->install_snapshot.term == raft_current_term(&self->raft)))
        self->leader_term = raft_current_term(&self->raft);
}

void consensus_append(struct consensus *self, struct shared_entry *const *entries, size_t count)
{
    struct raft_entry *made = consensus_entries_new(entries, count);
    struct raft_event event = {.type = RAFT_SUBMIT,
                               .submit = {.entries = made, .n = (unsigned)count}};

    entries_batch(made, count);
    consensus_step(self, &event, entries, count);
    consensus_entries_free(made, count);
}

void consensus_append_own(struct consensus *self, enum log_entry_kind kind, const void *data,
                          size_t size)
{
    struct shared_entry *entry =
        shared_entry_new(&(struct log_entry){.index = self->terms.last + 1,
                                             .term = raft_current_term(&self->raft),
                                             .kind = kind,
                                             .log_time_ms = self->last_log_time_ms,
                                             .wall_ms = self->last_wall_ms,
                                             .data = data,
                                             .size = size});
    consensus_append(self, &entry, 1);
    shared_entry_release(&entry);
}
