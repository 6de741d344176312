/* What the core says to a member becomes messages of the peer link, see consensus_internal.h.
 *
 * It names entries by their indexes only. Those in memory are put into the message; what is not in
 * memory is durable, and read by who sends it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/consensus_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "services/replica/raft_guard.h"

/* What a PEER_APPEND takes beside its entries: 74 bytes now (peer_message.h). */
#define APPEND_HEAD_BYTES_MAX 128
_Static_assert(APPEND_HEAD_BYTES_MAX + 64 + ENTRY_BYTES_MAX <= PEER_BYTES_MAX,
               "any entry fits a message");

bool consensus_split_append(struct peer_message *message, struct peer_message *rest)
{
    const size_t count = message->append.count;
    size_t bytes = APPEND_HEAD_BYTES_MAX;
    size_t keep = 0;

    assert(message->kind == PEER_APPEND && (count == 0 || message->append.entries != NULL));
    for (; keep < count; keep++) {
        bytes += peer_message_entry_bytes(&message->append.entries[keep]->entry);
        if (bytes > PEER_BYTES_MAX)
            break;
    }
    if (keep == count)
        return false;
    assert(keep > 0);
    const struct log_entry *last = &message->append.entries[keep - 1]->entry;
    *rest = *message;
    rest->append.prev_index = last->index;
    rest->append.prev_term = last->term;
    rest->append.count = count - keep;
    rest->append.entries = alloc_zero(rest->append.count * sizeof(struct shared_entry *));
    memcpy(rest->append.entries, message->append.entries + keep,
           rest->append.count * sizeof(struct shared_entry *));
    message->append.count = keep;
    return true;
}

/* ---- Entries ------------------------------------------------------------------------------------ */

static void send_from_disk(struct consensus *self, const struct peer_message *head,
                           replica_index first, size_t count)
{
    struct peer_message message = *head;

    assert(first + count - 1 <= self->durable_index);
    message.append.count = count;
    message.append.entries = NULL;
    consensus_send(self, &message);
}

static void send_from_memory(struct consensus *self, const struct peer_message *head,
                             replica_index first, size_t count)
{
    struct peer_message message = *head;
    struct peer_message rest;

    message.append.prev_index = first - 1;
    if (first - 1 != head->append.prev_index)
        message.append.prev_term = consensus_terms_of(&self->terms, first - 1);
    message.append.count = count;
    message.append.entries = alloc_zero(count * sizeof(struct shared_entry *));
    for (size_t i = 0; i < count; i++) {
        struct shared_entry *entry = log_tail_entry(self->tail, first + i);
        assert(entry != NULL);
        message.append.entries[i] = shared_entry_hold(entry);
    }
    while (consensus_split_append(&message, &rest)) {
        consensus_send(self, &message);
        message = rest;
    }
    consensus_send(self, &message);
}

static void send_append(struct consensus *self, struct peer_message *message,
                        const struct raft_append_entries *args)
{
    const replica_index first = args->prev_log_index + 1;
    const replica_index in_memory = log_tail_first(self->tail);
    size_t on_disk = 0;

    message->kind = PEER_APPEND;
    message->term = args->term;
    message->append.prev_index = args->prev_log_index;
    message->append.prev_term = args->prev_log_term;
    message->append.commit_index = args->leader_commit;
    message->append.count = 0;
    message->append.entries = NULL;
    if (args->n_entries == 0) {
        consensus_send(self, message);
        return;
    }
    assert(args->prev_log_index + args->n_entries <= self->terms.last);
    if (first < in_memory)
        on_disk = in_memory - first < args->n_entries ? in_memory - first : args->n_entries;
    if (on_disk > 0)
        send_from_disk(self, message, first, on_disk);
    if (on_disk < args->n_entries)
        send_from_memory(self, message, first + on_disk, args->n_entries - on_disk);
}

/* ---- The other kinds ---------------------------------------------------------------------------- */

static void send_append_result(struct consensus *self, struct peer_message *message,
                               const struct raft_append_entries_result *result)
{
    message->kind = PEER_APPEND_RESULT;
    message->term = result->term;
    message->append_result.rejected = result->rejected;
    message->append_result.last_index = result->last_log_index;
    if (result->rejected != 0)
        message->append_result.last_index = raft_guard_hint(
            result->last_log_index, consensus_terms_first_of(&self->terms, result->rejected),
            self->commit_index);
    /* Nothing is acknowledged that is not durable: the core goes by what was reported to it. */
    assert(result->rejected != 0 || result->last_log_index <= self->durable_index);
    consensus_send(self, message);
}

static void send_vote(struct consensus *self, struct peer_message *message,
                      const struct raft_request_vote *args)
{
    assert(args->last_log_index <= self->durable_index);
    message->kind = PEER_VOTE;
    message->term = args->term;
    message->vote.last_index = args->last_log_index;
    message->vote.last_term = args->last_log_term;
    message->vote.disrupt = args->disrupt_leader;
    message->vote.pre_vote = args->pre_vote;
    consensus_send(self, message);
}

static void send_vote_result(struct consensus *self, struct peer_message *message,
                             const struct raft_request_vote_result *result)
{
    message->kind = PEER_VOTE_RESULT;
    message->term = result->term;
    if (result->pre_vote)
        message->term = raft_guard_pre_vote_term(raft_current_term(&self->raft), result->term,
                                                 result->vote_granted);
    message->vote_result.granted = result->vote_granted;
    message->vote_result.pre_vote = result->pre_vote;
    consensus_send(self, message);
}

static void send_snapshot(struct consensus *self, struct peer_message *message,
                          const struct raft_install_snapshot *args)
{
    assert(args->last_index == self->snapshot.index && args->last_term == self->snapshot.term);
    assert(args->conf_index == self->snapshot.membership_index);
    message->kind = PEER_SNAPSHOT;
    message->term = args->term;
    message->snapshot = alloc_zero(sizeof *message->snapshot);
    *message->snapshot = self->snapshot;
    consensus_send(self, message);
}

static void send_timeout_now(struct consensus *self, struct peer_message *message,
                             const struct raft_timeout_now *args)
{
    message->kind = PEER_TIMEOUT_NOW;
    message->term = args->term;
    message->timeout_now.last_index = args->last_log_index;
    message->timeout_now.last_term = args->last_log_term;
    consensus_send(self, message);
}

void consensus_send_raft(struct consensus *self, const struct raft_message *message)
{
    struct peer_message made = {.to = message->server_id};

    /* The answer to the vote of raft_guard_sole_voter(). */
    if (message->server_id == self->id)
        return;
    switch (message->type) {
    case RAFT_APPEND_ENTRIES: send_append(self, &made, &message->append_entries); return;
    case RAFT_APPEND_ENTRIES_RESULT:
        send_append_result(self, &made, &message->append_entries_result);
        return;
    case RAFT_REQUEST_VOTE: send_vote(self, &made, &message->request_vote); return;
    case RAFT_REQUEST_VOTE_RESULT:
        send_vote_result(self, &made, &message->request_vote_result);
        return;
    case RAFT_INSTALL_SNAPSHOT: send_snapshot(self, &made, &message->install_snapshot); return;
    case RAFT_TIMEOUT_NOW: send_timeout_now(self, &made, &message->timeout_now); return;
    }
    assert(false); /* no kind */
}

/* The core would say of an index that it never set that it is durable here, or would refuse; and the
 * leader of that term may by now lead in this one, and take it for an answer to what it says now. All
 * it has to learn is the term. */
void consensus_send_stale(struct consensus *self, const struct peer_message *message)
{
    struct peer_message answer = {
        .kind = PEER_APPEND_RESULT, .to = message->from, .term = raft_current_term(&self->raft)};
    answer.append_result.rejected = 0;
    answer.append_result.last_index = 0;
    consensus_send(self, &answer);
}
