/* Who belongs to the group, see consensus_internal.h.
 *
 * The rules of a change (C6). It is alone in its entry and adds, promotes or removes one member, and
 * never moves one, for the core knows the members' progress by their positions. It follows on a
 * change that is committed, in a term in which an entry is committed. Each voter that the group will
 * have holds the last change already, or it would refuse its vote as one who has none, and the group
 * could be left without a majority though enough voters are up. So a voter that is down stands in the
 * way of every change but its own removal.
 *
 * A leader does not remove itself. It could (Ongaro 4.2.2): it would lead a group to which it does
 * not belong, and go without a word as soon as that is committed, so that the others wait for an
 * election timeout. It hands over first, and the next leader removes it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/consensus_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"

static const struct membership nobody;

/* ---- Forms -------------------------------------------------------------------------------------- */

void consensus_configuration(const struct membership *membership, struct raft_configuration *conf)
{
    raft_configuration_init(conf);
    for (size_t i = 0; i < membership->count; i++) {
        const struct member *member = &membership->members[i];
        int code = raft_configuration_add(conf, member->id, member->address,
                                          member->role == MEMBER_VOTER ? RAFT_VOTER : RAFT_STANDBY);
        assert(code == 0);
    }
}

bool consensus_membership_in(const struct log_entry *entry, struct membership *membership)
{
    struct bytes_reader reader;

    assert(entry->kind == LOG_ENTRY_MEMBERSHIP);
    bytes_reader_init(&reader, entry->data, entry->size);
    membership_decode(membership, &reader);
    return bytes_reader_done(&reader);
}

struct raft_buffer consensus_change_buffer(const struct log_entry *entry)
{
    struct membership membership;
    struct raft_configuration conf;
    struct raft_buffer buffer;

    bool read = consensus_membership_in(entry, &membership);
    assert(read);
    consensus_configuration(&membership, &conf);
    int code = raft_configuration_encode(&conf, &buffer);
    assert(code == 0);
    raft_configuration_close(&conf);
    return buffer;
}

/* ---- History ------------------------------------------------------------------------------------ */

void consensus_history_push(struct consensus *self, replica_index index,
                            const struct membership *membership)
{
    struct consensus_history *history = &self->history;

    assert(history->count == 0 || index > history->records[history->count - 1].index);
    if (history->count == history->capacity) {
        history->capacity = history->capacity == 0 ? 4 : 2 * history->capacity;
        history->records =
            alloc_resize(history->records, history->capacity * sizeof *history->records);
    }
    history->records[history->count].index = index;
    history->records[history->count++].membership = *membership;
    history->changed = true;
}

void consensus_history_cut(struct consensus *self, replica_index index)
{
    struct consensus_history *history = &self->history;

    while (history->count > 0 && history->records[history->count - 1].index >= index) {
        history->count--;
        history->changed = true;
    }
    /* One that was taken for committed by the word of a leader is. */
    assert(index == 0 || history->told < index);
}

void consensus_history_trim(struct consensus *self, replica_index index)
{
    struct consensus_history *history = &self->history;
    size_t gone = 0;

    while (gone + 1 < history->count && history->records[gone + 1].index <= index)
        gone++;
    history->count -= gone;
    memmove(history->records, history->records + gone, history->count * sizeof *history->records);
}

const struct consensus_record *consensus_history_at(const struct consensus *self,
                                                    replica_index index)
{
    for (size_t i = self->history.count; i > 0; i--)
        if (self->history.records[i - 1].index <= index)
            return &self->history.records[i - 1];
    return NULL;
}

void consensus_membership_at(const struct consensus *self, replica_index index,
                             struct membership *membership, replica_index *at)
{
    const struct consensus_record *record = consensus_history_at(self, index);

    assert(index <= self->commit_index && record != NULL);
    *membership = record->membership;
    *at = record->index;
}

const struct membership *consensus_membership(const struct consensus *self)
{
    const struct consensus_history *history = &self->history;

    return history->count == 0 ? &nobody : &history->records[history->count - 1].membership;
}

replica_index consensus_membership_index(const struct consensus *self)
{
    const struct consensus_history *history = &self->history;

    return history->count == 0 ? 0 : history->records[history->count - 1].index;
}

/* The core replaces its configuration at the word, and steps down where it is not in it any more. */
void consensus_tell_memberships(struct consensus *self, replica_index index)
{
    struct consensus_history *history = &self->history;

    for (size_t i = 0; i < history->count; i++) {
        const struct consensus_record *record = &history->records[i];
        if (record->index <= history->told || record->index > index)
            continue;
        struct raft_event event = {.type = RAFT_CONFIGURATION,
                                   .configuration = {.index = record->index}};
        consensus_configuration(&record->membership, &event.configuration.conf);
        history->told = record->index;
        consensus_step(self, &event, NULL, 0);
    }
}

bool consensus_is_sole_voter(const struct consensus *self)
{
    const struct membership *membership = consensus_membership(self);
    const struct member *member = membership_find(membership, self->id);

    return member != NULL && member->role == MEMBER_VOTER && membership_voters(membership) == 1;
}

/* ---- Contact ------------------------------------------------------------------------------------ */

void consensus_contact(struct consensus *self, uint64_t id)
{
    struct consensus_contact *oldest = self->contacts;

    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        struct consensus_contact *contact = &self->contacts[i];
        if (contact->id == id) {
            oldest = contact;
            break;
        }
        if (contact->at_ms < oldest->at_ms)
            oldest = contact;
    }
    *oldest = (struct consensus_contact){.id = id, .at_ms = self->now_ms};
}

/* INT64_MIN: never. */
static int64_t heard_ms(const struct consensus *self, uint64_t id)
{
    for (size_t i = 0; i < MEMBERS_MAX; i++)
        if (self->contacts[i].id == id)
            return self->contacts[i].at_ms;
    return INT64_MIN;
}

bool consensus_hears(const struct consensus *self, uint64_t id)
{
    const int64_t at_ms = heard_ms(self, id);

    return at_ms != INT64_MIN && self->now_ms - at_ms <= self->election_ms;
}

bool consensus_progress(const struct consensus *self, uint64_t id, replica_index *match,
                        int64_t *last_contact_ms)
{
    raft_index index;

    if (!consensus_leads(self) || raft_match_index(&self->raft, id, &index) != 0)
        return false;
    *match = index;
    *last_contact_ms = id == self->id ? self->now_ms : heard_ms(self, id);
    return true;
}

/* ---- Changes ------------------------------------------------------------------------------------ */

/* Whether a change may be made at all now. Returns 0 or a code. */
static int change_ready(const struct consensus *self, uint64_t promotee)
{
    if (!consensus_leads(self) || self->transfer_id != 0 || raft_transferee(&self->raft) != 0)
        return ERR_NOT_LEADER;
    if (!consensus_serves(self) || consensus_membership_index(self) > self->commit_index)
        return ERR_BUSY;
    assert(self->raft.configuration_uncommitted_index == 0);
    const uint64_t catching_up = self->raft.leader_state.promotee_id;
    if (catching_up != 0)
        return catching_up == promotee ? ERR_UNAVAILABLE : ERR_BUSY;
    return self->terms.last - self->commit_index < CONSENSUS_UNCOMMITTED_MAX ? 0 : ERR_BUSY;
}

static bool voters_know_last_change(const struct consensus *self, const struct membership *next)
{
    const replica_index last = consensus_membership_index(self);
    raft_index match;

    for (size_t i = 0; i < next->count; i++) {
        const struct member *member = &next->members[i];
        if (member->role != MEMBER_VOTER || member->id == self->id)
            continue;
        if (raft_match_index(&self->raft, member->id, &match) != 0 || match < last)
            return false;
    }
    return true;
}

static int change(struct consensus *self, const struct membership *next, replica_index *index,
                  int64_t now_ms)
{
    struct bytes_writer writer = {0};

    if (!voters_know_last_change(self, next))
        return ERR_UNAVAILABLE;
    assert(membership_voters(next) > 0);
    consensus_begin(self, now_ms);
    *index = self->terms.last + 1;
    membership_encode(next, &writer);
    consensus_append_own(self, LOG_ENTRY_MEMBERSHIP, writer.data, writer.size);
    bytes_writer_close(&writer);
    consensus_settle(self);
    return 0;
}

static bool address_is_taken(const struct membership *membership, const char *address)
{
    for (size_t i = 0; i < membership->count; i++)
        if (strcmp(membership->members[i].address, address) == 0)
            return true;
    return false;
}

int consensus_add(struct consensus *self, uint64_t id, const char *address, replica_index *index,
                  int64_t now_ms)
{
    struct membership next = *consensus_membership(self);
    const size_t size = strlen(address);
    int code = change_ready(self, 0);

    if (code != 0)
        return code;
    if (id == 0 || size == 0 || size > MEMBER_ADDRESS_BYTES_MAX || next.count == MEMBERS_MAX ||
        membership_find(&next, id) != NULL || address_is_taken(&next, address))
        return ERR_INVALID;
    struct member *member = &next.members[next.count++];
    *member = (struct member){.id = id, .role = MEMBER_LEARNER};
    memcpy(member->address, address, size + 1);
    return change(self, &next, index, now_ms);
}

int consensus_remove(struct consensus *self, uint64_t id, replica_index *index, int64_t now_ms)
{
    struct membership next = *consensus_membership(self);
    const struct member *member = membership_find(&next, id);
    int code = change_ready(self, 0);

    if (code != 0)
        return code;
    if (member == NULL || id == self->id)
        return ERR_INVALID;
    if (member->role == MEMBER_VOTER && membership_voters(&next) == 1)
        return ERR_INVALID;
    const size_t place = (size_t)(member - next.members);
    memmove(next.members + place, next.members + place + 1,
            (next.count - place - 1) * sizeof *next.members);
    next.count--;
    return change(self, &next, index, now_ms);
}

/* Whether a learner has what it takes to vote on the next entries: all there is, or, where there is
 * always something under way, it has caught up in this leader's time and has not fallen behind. */
static bool has_caught_up(const struct consensus *self, uint64_t id)
{
    raft_index match = 0;
    int status = RAFT_CATCH_UP_NONE;

    if (raft_match_index(&self->raft, id, &match) != 0)
        return false;
    if (match == self->terms.last)
        return true;
    return raft_catch_up(&self->raft, id, &status) == 0 && status == RAFT_CATCH_UP_FINISHED &&
           self->terms.last - match <= PEER_IN_FLIGHT_MAX;
}

int consensus_promote(struct consensus *self, uint64_t id, replica_index *index, int64_t now_ms)
{
    struct membership next = *consensus_membership(self);
    int code = change_ready(self, id);

    if (code != 0)
        return code;
    struct member *member = (struct member *)membership_find(&next, id);
    if (member == NULL || member->role == MEMBER_VOTER)
        return ERR_INVALID;
    /* One that does not answer would hold up every other change until the core gives it up. */
    if (!consensus_hears(self, id))
        return ERR_UNAVAILABLE;
    if (!has_caught_up(self, id)) {
        struct raft_event event = {.type = RAFT_CATCH_UP, .catch_up = {.server_id = id}};
        consensus_begin(self, now_ms);
        consensus_step(self, &event, NULL, 0);
        consensus_settle(self);
        return ERR_UNAVAILABLE;
    }
    member->role = MEMBER_VOTER;
    return change(self, &next, index, now_ms);
}

/* ---- Hand-over ---------------------------------------------------------------------------------- */

/* The voter that has most of the log, of those that are there. 0: nobody. */
static uint64_t furthest(const struct consensus *self)
{
    const struct membership *membership = consensus_membership(self);
    raft_index most = 0;
    uint64_t id = 0;

    for (size_t i = 0; i < membership->count; i++) {
        const struct member *member = &membership->members[i];
        raft_index match;
        if (member->role != MEMBER_VOTER || member->id == self->id ||
            !consensus_hears(self, member->id) ||
            raft_match_index(&self->raft, member->id, &match) != 0)
            continue;
        if (id == 0 || match > most) {
            id = member->id;
            most = match;
        }
    }
    return id;
}

int consensus_transfer(struct consensus *self, uint64_t id, int64_t now_ms)
{
    const struct member *member = membership_find(consensus_membership(self), id);

    if (!consensus_leads(self) || self->transfer_id != 0 || raft_transferee(&self->raft) != 0)
        return ERR_NOT_LEADER;
    if (id != 0 && (member == NULL || member->role != MEMBER_VOTER || id == self->id))
        return ERR_INVALID;
    if (id == 0)
        id = furthest(self);
    if (id == 0 || !consensus_hears(self, id))
        return ERR_UNAVAILABLE;
    consensus_begin(self, now_ms);
    self->transfer_id = id;
    self->transfer_until_ms = self->now_ms + self->election_ms;
    consensus_settle(self);
    return 0;
}

/* The core would tell the member to stand as soon as it acknowledges anything, and once only: one
 * that lacks the rest then refuses, and nothing more is done. So it is told when the member has all,
 * which comes, since nothing new is accepted meanwhile. */
void consensus_transfer_turn(struct consensus *self)
{
    struct raft_event event = {.type = RAFT_TRANSFER, .transfer = {.server_id = self->transfer_id}};
    raft_index match;

    if (self->transfer_id == 0)
        return;
    if (self->now_ms >= self->transfer_until_ms) {
        self->transfer_id = 0;
        return;
    }
    if (raft_transferee(&self->raft) == 0 &&
        raft_match_index(&self->raft, self->transfer_id, &match) == 0 && match == self->terms.last)
        consensus_step(self, &event, NULL, 0);
}
