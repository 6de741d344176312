/* What the driver asks for, in order; the writes that were not reported yet; and the messages that
 * wait for them, see consensus_internal.h.
 *
 * A message is held while a term or a vote is not durable (C1). A candidate that asked for votes, or
 * a voter that gave one, and then forgot it would do so twice in a term; and whatever a message says
 * in a term, it says as one who will not go back behind it. All messages after such a write wait,
 * and not only those of its step: each bears the term.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/consensus_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"

/* Memory for actions is kept from one event to the next up to this many. */
#define ACTIONS_KEEP 64

struct consensus_action *consensus_push(struct consensus *self, enum consensus_action_kind kind)
{
    if (self->action_count == self->action_capacity) {
        self->action_capacity = self->action_capacity == 0 ? 16 : 2 * self->action_capacity;
        self->actions = alloc_resize(self->actions, self->action_capacity * sizeof *self->actions);
    }
    struct consensus_action *action = &self->actions[self->action_count++];
    action->kind = kind;
    return action;
}

bool consensus_next(struct consensus *self, struct consensus_action *action)
{
    if (self->action_next < self->action_count) {
        *action = self->actions[self->action_next++];
        return true;
    }
    self->action_next = 0;
    self->action_count = 0;
    if (self->action_capacity > ACTIONS_KEEP) {
        free(self->actions);
        self->actions = NULL;
        self->action_capacity = 0;
    }
    return false;
}

void consensus_action_close(struct consensus_action *action)
{
    if (action->kind == CONSENSUS_SEND)
        peer_message_close(&action->message);
    if (action->kind == CONSENSUS_WRITE) {
        for (size_t i = 0; i < action->write.count; i++)
            shared_entry_release(&action->write.entries[i]);
        free(action->write.entries);
    }
    *action = (struct consensus_action){0};
}

/* ---- Writes ------------------------------------------------------------------------------------- */

void consensus_expect(struct consensus *self, bool vote, replica_index first, replica_index last)
{
    if (self->pending_count == self->pending_capacity) {
        self->pending_capacity = self->pending_capacity == 0 ? 16 : 2 * self->pending_capacity;
        self->pendings =
            alloc_resize(self->pendings, self->pending_capacity * sizeof *self->pendings);
    }
    self->write_number++;
    if (vote)
        self->vote_number = self->write_number;
    self->pendings[self->pending_count++] =
        (struct consensus_pending){.number = self->write_number,
                                   .first = first,
                                   .last = last,
                                   .last_term = consensus_terms_of(&self->terms, last)};
}

/* It is not enough that the last entry is still there with its term (C2): it may have been cut off
 * and have come again from a later leader, and then the disk holds it now, will lose it to the write
 * between, and gets it back with a third. So an entry counts when no write that is under way begins
 * at it or before it. */
replica_index consensus_reported(struct consensus *self, replica_term *term)
{
    assert(self->pending_count > 0);
    const struct consensus_pending done = self->pendings[0];
    replica_index durable = done.last;

    self->pending_count--;
    memmove(self->pendings, self->pendings + 1, self->pending_count * sizeof *self->pendings);
    self->reported_number = done.number;
    for (size_t i = 0; i < self->pending_count; i++)
        if (self->pendings[i].first != 0 && self->pendings[i].first <= durable)
            durable = self->pendings[i].first - 1;
    *term = done.last_term;
    if (durable < done.first || done.first == 0)
        return 0;
    if (durable < done.last)
        *term = consensus_terms_of(&self->terms, durable);
    return durable;
}

/* ---- Messages ----------------------------------------------------------------------------------- */

static void hold(struct consensus *self, struct peer_message *message)
{
    /* What does not fit is lost, as any message may be. */
    if (self->held_count == CONSENSUS_HELD_MAX) {
        peer_message_close(message);
        return;
    }
    if (self->held_count == self->held_capacity) {
        self->held_capacity = self->held_capacity == 0 ? 8 : 2 * self->held_capacity;
        self->held = alloc_resize(self->held, self->held_capacity * sizeof *self->held);
    }
    struct consensus_held *held = &self->held[self->held_count++];
    held->number = self->vote_number;
    held->message = *message;
}

void consensus_send(struct consensus *self, struct peer_message *message)
{
    message->from = self->id;
    message->start_id = self->start_id;
    assert(message->to != 0 && message->to != self->id);
    if (self->vote_number > self->reported_number)
        hold(self, message);
    else
        consensus_push(self, CONSENSUS_SEND)->message = *message;
}

/* Entries that are to be read from the disk are those of the message only as long as this replica
 * leads in its term: then it cuts nothing off the end of its log. At the beginning it does, behind a
 * snapshot: who leads without a durable vote is the only voter, and commits what it has. */
static bool held_is_good(const struct consensus *self, const struct peer_message *message)
{
    return message->kind != PEER_APPEND || message->append.count == 0 ||
           message->append.entries != NULL ||
           (consensus_leads(self) && message->term == self->raft.current_term &&
            message->append.prev_index + 1 >= self->terms.first);
}

void consensus_release(struct consensus *self)
{
    size_t done = 0;

    for (; done < self->held_count && self->held[done].number <= self->reported_number; done++) {
        struct peer_message *message = &self->held[done].message;
        if (held_is_good(self, message))
            consensus_push(self, CONSENSUS_SEND)->message = *message;
        else
            peer_message_close(message);
    }
    self->held_count -= done;
    if (done > 0)
        memmove(self->held, self->held + done, self->held_count * sizeof *self->held);
}

void consensus_actions_close(struct consensus *self)
{
    for (size_t i = self->action_next; i < self->action_count; i++)
        consensus_action_close(&self->actions[i]);
    for (size_t i = 0; i < self->held_count; i++)
        peer_message_close(&self->held[i].message);
    free(self->actions);
    free(self->held);
    free(self->pendings);
}
