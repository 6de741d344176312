/* Messages to the other members, and what is known of them: see replica_internal.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/replica_internal.h"

/* Stops log_store_read(): no code of err.h. */
#define FILLED_ENOUGH (-1)

/* ---- Sending ------------------------------------------------------------------------------- */

/* A message that is being filled in from the log. */
struct replica_filling {
    struct shared_entry **entries;
    size_t count;
    size_t bytes;
};

static int replica_fill_entry(void *arg, const struct log_entry *entry)
{
    struct replica_filling *self = arg;

    self->entries[self->count++] = shared_entry_new(entry);
    self->bytes += peer_message_entry_bytes(entry);
    return self->bytes < PEER_FILL_BYTES_MAX ? 0 : FILLED_ENOUGH;
}

/* Fill in entries that are no longer in memory. What is beyond the bound counts as lost on the way:
 * the member will say up to where it got it. */
static void replica_fill(struct replica *self, struct peer_message *message)
{
    struct replica_filling filling = {
        .entries = alloc_zero(message->append.count * sizeof(struct shared_entry *))};
    replica_index from = message->append.prev_index + 1;

    int result = log_store_read(self->reader, from, from + message->append.count - 1,
                                replica_fill_entry, &filling);
    if (result != 0 && result != FILLED_ENOUGH)
        replica_fail(self);
    assert(filling.count > 0 && filling.entries[0]->entry.index == from);
    message->append.entries = filling.entries;
    message->append.count = filling.count;
}

/* Whether a member has not been heard for as long as makes others stand for election. */
static bool replica_is_silent(const struct replica *self, uint64_t id)
{
    replica_index match_index;
    int64_t silence_ms;

    return replica_progress(self, id, &match_index, &silence_ms) &&
           (silence_ms < 0 || silence_ms > self->election_ms);
}

/* What begins at the same place and carries nothing: a heartbeat. */
static void replica_empty(struct peer_message *message)
{
    struct peer_message empty = *message;

    empty.append.count = 0;
    empty.append.entries = NULL;
    peer_message_close(message);
    *message = empty;
}

static void replica_send_append(struct replica *self, struct peer_message *message)
{
    struct peer_message rest;

    /* The core offers a member that is down all that it lacks, with every heartbeat: it is not read
     * from the disk before the member is there to take it. */
    if (message->append.count > 0 && replica_is_silent(self, message->to))
        replica_empty(message);
    if (message->append.count > 0 && message->append.entries == NULL)
        replica_fill(self, message);
    while (consensus_split_append(message, &rest)) {
        peer_link_send(self->link, message);
        *message = rest;
    }
    peer_link_send(self->link, message);
}

void replica_send(struct replica *self, struct peer_message *message)
{
    bool unfit = message->kind == PEER_SNAPSHOT && replica_is_leaving(self);

    if (self->link == NULL || unfit)
        peer_message_close(message);
    else if (message->kind == PEER_APPEND)
        replica_send_append(self, message);
    else
        peer_link_send(self->link, message);
}

int replica_transfer(struct replica *self, uint64_t id)
{
    int64_t now_ms = clock_ms();

    assert(!self->turning);
    int result = self->leader ? consensus_transfer(self->consensus, id, now_ms) : ERR_NOT_LEADER;
    replica_settle(self);
    if (result == 0)
        self->transfer_until_ms = now_ms + self->election_ms;
    replica_turn(self);
    return result;
}

/* ---- What is known ------------------------------------------------------------------------- */

bool replica_is_leader(const struct replica *self)
{
    return self->leader;
}

replica_term replica_current_term(const struct replica *self)
{
    return consensus_term(self->consensus);
}

replica_index replica_last_index(const struct replica *self)
{
    return consensus_last_index(self->consensus);
}

replica_index replica_commit_index(const struct replica *self)
{
    return consensus_commit_index(self->consensus);
}

replica_index replica_applied_index(const struct replica *self)
{
    return self->applied_index;
}

int64_t replica_log_time_ms(struct replica *self)
{
    return log_time_read(&self->time, clock_ms());
}

size_t replica_pending(const struct replica *self)
{
    return self->pending_count + self->read_count;
}

const struct membership *replica_membership(const struct replica *self)
{
    return consensus_membership(self->consensus);
}

bool replica_has_subscribers(const struct replica *self, enum feed_stream stream)
{
    return self->link != NULL && peer_link_has_subscribers(self->link, stream);
}

void replica_publish(struct replica *self, enum feed_stream stream, const void *text, size_t size)
{
    if (self->link != NULL)
        peer_link_publish(self->link, stream, text, size);
}

replica_index replica_membership_index(const struct replica *self)
{
    return consensus_membership_index(self->consensus);
}

bool replica_progress(const struct replica *self, uint64_t id, replica_index *match_index,
                      int64_t *last_contact_ms)
{
    int64_t heard_ms = -1;

    if (!consensus_progress(self->consensus, id, match_index, &heard_ms))
        return false;
    *last_contact_ms = heard_ms < 0 ? -1 : clock_ms() - heard_ms;
    return true;
}

static const char *replica_role(const struct replica *self)
{
    const struct member *own = membership_find(consensus_membership(self->consensus), self->id);

    if (consensus_role(self->consensus) == CONSENSUS_LEADER)
        return "leader";
    return own != NULL && own->role == MEMBER_VOTER ? "follower" : "learner";
}

static int replica_compare_contacts(const void *one, const void *other)
{
    int64_t a = *(const int64_t *)one;
    int64_t b = *(const int64_t *)other;

    return (a > b) - (a < b);
}

/* Since when a leader has not heard a majority, itself included: the longest silence among the
 * voters of the freshest majority. */
static int64_t replica_majority_contact(const struct replica *self)
{
    const struct membership *membership = consensus_membership(self->consensus);
    int64_t silences_ms[MEMBERS_MAX] = {0};
    size_t count = 0;

    for (size_t i = 0; i < membership->count; i++) {
        const struct member *member = &membership->members[i];
        replica_index match_index;
        int64_t silence_ms = 0;
        if (member->role != MEMBER_VOTER)
            continue;
        if (member->id != self->id &&
            (!replica_progress(self, member->id, &match_index, &silence_ms) || silence_ms < 0))
            silence_ms = INT64_MAX;
        silences_ms[count++] = silence_ms;
    }
    qsort(silences_ms, count, sizeof silences_ms[0], replica_compare_contacts);
    int64_t silence_ms = count > 0 ? silences_ms[membership_majority(membership) - 1] : INT64_MAX;
    return silence_ms == INT64_MAX ? -1 : silence_ms;
}

void replica_status(const struct replica *self, struct replica_status *status)
{
    bool leads = consensus_role(self->consensus) == CONSENSUS_LEADER;

    *status = (struct replica_status){
        .role = replica_role(self),
        .term = consensus_term(self->consensus),
        .leader = consensus_leader(self->consensus),
        .last_index = consensus_last_index(self->consensus),
        .durable_index = consensus_durable_index(self->consensus),
        .commit_index = consensus_commit_index(self->consensus),
        .applied_index = self->applied_index,
        .last_contact_ms = leads                        ? replica_majority_contact(self)
                           : self->leader_heard_ms >= 0 ? clock_ms() - self->leader_heard_ms
                                                        : -1,
    };
}
