/* A message of a member becomes events of the core, see consensus_internal.h.
 *
 * The peer link has decoded it; here it is looked at whether it makes sense, and whether the core
 * would stand it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/consensus_internal.h"

#include <assert.h>

#include "services/replica/raft_guard.h"

/* ---- Entries ------------------------------------------------------------------------------------ */

static bool entry_makes_sense(const struct log_entry *entry, replica_index index,
                              replica_term least, replica_term most)
{
    struct membership membership;

    if (entry->index != index || entry->term < least || entry->term > most || entry->term == 0)
        return false;
    if (entry->kind == LOG_ENTRY_MEMBERSHIP)
        return consensus_membership_in(entry, &membership);
    return entry->kind == LOG_ENTRY_COMMAND || entry->kind == LOG_ENTRY_BARRIER;
}

static bool append_makes_sense(const struct peer_message *message)
{
    replica_term term = message->append.prev_term;

    if ((message->append.prev_index == 0) != (term == 0) || term > message->term)
        return false;
    if (message->append.count > 0 && message->append.entries == NULL)
        return false;
    for (size_t i = 0; i < message->append.count; i++) {
        const struct log_entry *entry = &message->append.entries[i]->entry;
        if (!entry_makes_sense(entry, message->append.prev_index + 1 + i, term, message->term))
            return false;
        term = entry->term;
    }
    return true;
}

/* Before the core is fed an append that begins with @entry: it holds one membership at a time that
 * it does not know to be committed. Its leader knows, or would not have appended another. */
static void tell_before(struct consensus *self, const struct log_entry *entry,
                        replica_term prev_term)
{
    const replica_index uncommitted = self->raft.configuration_uncommitted_index;
    const replica_term known = consensus_terms_of(&self->terms, entry->index - 1);

    if (entry->kind != LOG_ENTRY_MEMBERSHIP || self->installing)
        return;
    if (raft_guard_double_change(uncommitted, self->commit_index, entry->index, known == prev_term))
        consensus_tell_memberships(self, uncommitted);
    else
        consensus_tell_memberships(self, self->commit_index);
}

/* What of an append is still to be fed. */
struct append_rest {
    replica_index prev_index;
    replica_term prev_term;
    struct shared_entry *const *entries;
    struct raft_entry *made; /* of them, for the core */
    size_t count;
};

/* Feed the next piece, of @count entries. Returns whether the log holds it now, so that the one after
 * it may follow. */
static bool feed_piece(struct consensus *self, const struct peer_message *message,
                       struct append_rest *rest, size_t count)
{
    struct raft_message fed = {.type = RAFT_APPEND_ENTRIES,
                               .server_id = message->from,
                               .append_entries = {.term = message->term,
                                                  .prev_log_index = rest->prev_index,
                                                  .prev_log_term = rest->prev_term,
                                                  .leader_commit = message->append.commit_index}};

    if (count > 0)
        tell_before(self, &rest->entries[0]->entry, rest->prev_term);
    consensus_feed(self, &fed, rest->made, rest->entries, count);
    if (count == 0 || self->installing || raft_current_term(&self->raft) != message->term)
        return false;
    const struct log_entry *last = &rest->entries[count - 1]->entry;
    rest->prev_index = last->index;
    rest->prev_term = last->term;
    rest->entries += count;
    rest->made += count;
    rest->count -= count;
    return consensus_terms_of(&self->terms, last->index) == last->term;
}

static void feed_append(struct consensus *self, const struct peer_message *message)
{
    raft_index prev_index = message->append.prev_index;
    raft_term prev_term = message->append.prev_term;
    const size_t skip = raft_guard_prefix(self->terms.snapshot_index, self->terms.snapshot_term,
                                          &prev_index, &prev_term, message->append.count);
    const size_t count = message->append.count - skip;
    struct append_rest rest = {.prev_index = prev_index, .prev_term = prev_term, .count = count};

    if (count == 0) {
        feed_piece(self, message, &rest, 0);
        return;
    }
    struct raft_entry *made = consensus_entries_new(message->append.entries + skip, count);
    rest.entries = message->append.entries + skip;
    rest.made = made;
    bool more = true;
    while (more)
        more = feed_piece(self, message, &rest, raft_guard_split(rest.made, rest.count)) &&
               rest.count > 0;
    consensus_entries_free(made, count);
}

static void receive_append(struct consensus *self, const struct peer_message *message)
{
    if (append_makes_sense(message))
        feed_append(self, message);
}

static void receive_append_result(struct consensus *self, const struct peer_message *message)
{
    struct raft_message fed = {
        .type = RAFT_APPEND_ENTRIES_RESULT,
        .server_id = message->from,
        .append_entries_result = {.version = 2,
                                  .term = message->term,
                                  .rejected = message->append_result.rejected,
                                  .last_log_index = message->append_result.last_index}};
    raft_index match = 0;

    if (raft_match_index(&self->raft, message->from, &match) != 0)
        match = 0; /* not a leader any more, or nobody's who is a member: it looks after that */
    if (raft_guard_stale_reject(message->term, raft_current_term(&self->raft),
                                fed.append_entries_result.rejected, match))
        return;
    /* A hint may be below what is known to match: there, the term of what follows may go back far. */
    if (fed.append_entries_result.rejected > match &&
        fed.append_entries_result.last_log_index < match)
        fed.append_entries_result.last_log_index = match;
    consensus_feed(self, &fed, NULL, NULL, 0);
}

/* ---- Elections ---------------------------------------------------------------------------------- */

/* This replica in the core's configuration; NULL: it is not in it. */
static struct raft_server *own_server(struct consensus *self)
{
    struct raft_configuration *conf = &self->raft.configuration;

    for (unsigned i = 0; i < conf->n; i++)
        if (conf->servers[i].id == self->id)
            return &conf->servers[i];
    return NULL;
}

static void receive_vote(struct consensus *self, const struct peer_message *message)
{
    struct raft_server *own = own_server(self); /* a vote leaves the configuration as it is */
    const int role = own != NULL ? own->role : RAFT_SPARE;
    const uint64_t leader = consensus_leader(self);
    /* A leader that asks for a vote is none. */
    const bool hears = leader != 0 && leader != message->from && consensus_hears(self, leader);
    struct raft_message fed = {
        .type = RAFT_REQUEST_VOTE,
        .server_id = message->from,
        .request_vote = {.version = 2,
                         .term = message->term,
                         .candidate_id = message->from,
                         .last_log_index = message->vote.last_index,
                         .last_log_term = message->vote.last_term,
                         .disrupt_leader =
                             raft_guard_disrupt(message->vote.disrupt, role == RAFT_VOTER, hears),
                         .pre_vote = message->vote.pre_vote}};

    if (own != NULL)
        own->role = raft_guard_voting_role(role);
    consensus_feed(self, &fed, NULL, NULL, 0);
    if (own != NULL)
        own->role = role;
}

static void receive_vote_result(struct consensus *self, const struct peer_message *message)
{
    struct raft_message fed = {.type = RAFT_REQUEST_VOTE_RESULT,
                               .server_id = message->from,
                               .request_vote_result = {.version = 2,
                                                       .term = message->term,
                                                       .vote_granted = message->vote_result.granted,
                                                       .pre_vote = message->vote_result.pre_vote}};

    if (raft_guard_vote_result(self->raft.state))
        consensus_feed(self, &fed, NULL, NULL, 0);
}

static void receive_timeout_now(struct consensus *self, const struct peer_message *message)
{
    struct raft_message fed = {.type = RAFT_TIMEOUT_NOW,
                               .server_id = message->from,
                               .timeout_now = {.term = message->term,
                                               .last_log_index = message->timeout_now.last_index,
                                               .last_log_term = message->timeout_now.last_term}};

    /* The only voter would lead at once, in the term of who hands over. */
    if (raft_guard_sole_voter(consensus_is_sole_voter(self), raft_current_term(&self->raft),
                              self->sole_term))
        return;
    consensus_feed(self, &fed, NULL, NULL, 0);
}

/* ---- All of them -------------------------------------------------------------------------------- */

/* Leaders alone say these. Returns whether the sender may be one. */
static bool from_leader(struct consensus *self, const struct peer_message *message)
{
    const replica_term term = raft_current_term(&self->raft);

    if (message->term < term) {
        consensus_send_stale(self, message);
        return false;
    }
    /* A term has one leader. The core takes that for granted, and would be spoilt. */
    return !(consensus_leads(self) && message->term == term);
}

static void receive(struct consensus *self, const struct peer_message *message)
{
    struct read_index_view view;

    switch (message->kind) {
    case PEER_APPEND:
        if (from_leader(self, message))
            receive_append(self, message);
        break;
    case PEER_SNAPSHOT:
        if (from_leader(self, message))
            consensus_receive_snapshot(self, message);
        break;
    case PEER_APPEND_RESULT: receive_append_result(self, message); break;
    case PEER_VOTE: receive_vote(self, message); break;
    case PEER_VOTE_RESULT: receive_vote_result(self, message); break;
    case PEER_TIMEOUT_NOW: receive_timeout_now(self, message); break;
    case PEER_ROUND:
    case PEER_ROUND_RESULT:
    case PEER_READ:
    case PEER_READ_RESULT:
        consensus_view(self, &view);
        read_index_receive(self->reads, message, &view);
        break;
    case PEER_DIGEST: break; /* not for the driver */
    }
}

/* The link need not say to whom a message was that came here. */
static bool for_us(const struct consensus *self, const struct peer_message *message)
{
    return message->from != 0 && message->from != self->id && message->term != 0 &&
           (message->to == 0 || message->to == self->id);
}

void consensus_receive(struct consensus *self, struct peer_message *message, int64_t now_ms)
{
    consensus_begin(self, now_ms);
    if (for_us(self, message)) {
        consensus_contact(self, message->from);
        receive(self, message);
    }
    peer_message_close(message);
    consensus_settle(self);
}
