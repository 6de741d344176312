/* Whether the tables here are those of the others: see replica_internal.h, and digest_vote.h for the
 * rule.
 *
 * A replica whose tables are wrong ends, and its process is not started again by itself. What it would
 * say meanwhile would be wrong as well; so from the moment that it knows
 *
 *   a follower   ends, as soon as its mark has left
 *   a leader     hands leadership to a member that holds what is right, which needs its log and not its
 *                tables; then it ends
 *
 * and until then it applies nothing, gives out no snapshot, serves neither reads nor writes, and tells
 * who waits that it leads no more.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/bus/clock.h"
#include "broker/bus/limits.h"
#include "services/replica/fatal.h"
#include "services/replica/replica_internal.h"

static bool replica_has_digest(const struct replica *self)
{
    return self->machine.digest != NULL;
}

void replica_open_digests(struct replica *self)
{
    uint32_t format = 0;

    if (self->machine.digest_format != NULL)
        format = self->machine.digest_format(self->machine.self);
    digest_vote_init(&self->digests.vote, self->id, format);
    self->digests.repeat_ms = replica_has_digest(self) ? clock_ms() + DIGEST_REPEAT_MS : INT64_MAX;
}

bool replica_digest(const struct replica *self, uint64_t *digest)
{
    if (!replica_has_digest(self))
        return false;
    *digest = self->machine.digest(self->machine.self);
    return true;
}

const struct digest_marks *replica_digest_marks(const struct replica *self)
{
    return replica_has_digest(self) ? &self->digests.vote.own : NULL;
}

/* ---- The end ------------------------------------------------------------------------------- */

bool replica_is_leaving(const struct replica *self)
{
    return self->digests.leave_until_ms != 0;
}

void replica_leave(struct replica *self)
{
    if (!replica_is_leaving(self))
        return;
    if ((self->digests.handing_over && self->role != CONSENSUS_LEADER) ||
        clock_ms() >= self->digests.leave_until_ms)
        _exit(FATAL_EXIT_STATUS);
    replica_drop_reads(self);
    replica_drop_change(self);
}

static void replica_say_wrong(struct replica *self, const struct digest_finding *finding)
{
    char own[17], right[17];
    char *mended = zsys_sprintf("scripts/cluster reseed %s", self->name);

    snprintf(own, sizeof own, "%016" PRIx64, finding->own);
    snprintf(right, sizeof right, "%016" PRIx64, finding->right);
    log_write(self->log, LOG_LEVEL_ERROR,
              "the tables here are not those of the majority, and this process ends: the replica "
              "must be re-seeded",
              LOG_UINT("log_index", finding->index), LOG_TEXT("digest", own),
              LOG_TEXT("majority_digest", right), LOG_UINT("majority", finding->holders),
              LOG_UINT("voters", finding->voters), LOG_TEXT("mended_by", mended));
    free(mended);
}

/* Among those who hold what is right, the one that has most of the log. 0: there is none. */
static uint64_t replica_choose_successor(const struct replica *self,
                                         const struct digest_finding *finding)
{
    replica_index most = 0;
    uint64_t successor = 0;

    for (size_t i = 0; i < finding->agreed_count; i++) {
        replica_index match_index = 0;
        int64_t silence_ms;
        if (replica_progress(self, finding->agreed[i], &match_index, &silence_ms) &&
            match_index > most) {
            most = match_index;
            successor = finding->agreed[i];
        }
    }
    return successor;
}

/* Have another one lead, if there is one. */
static void replica_hand_to_right(struct replica *self, const struct digest_finding *finding)
{
    int64_t now_ms = clock_ms();
    uint64_t successor = replica_choose_successor(self, finding);

    if (successor == 0 || consensus_transfer(self->consensus, successor, now_ms) != 0)
        return;
    self->digests.handing_over = true;
    self->digests.leave_until_ms = now_ms + self->election_ms;
    replica_settle(self);
}

static void replica_begin_to_leave(struct replica *self, const struct digest_finding *finding)
{
    replica_say_wrong(self, finding);
    self->digests.leave_until_ms = clock_ms() + DIGEST_FAREWELL_MS;
    snapshot_channel_destroy(&self->snapshots.channel);
    if (self->role == CONSENSUS_LEADER)
        replica_hand_to_right(self, finding);
    alarm_set(self->more, 0);
}

/* ---- What is found ------------------------------------------------------------------------- */

static void replica_say_others(struct replica *self, const struct digest_finding *finding)
{
    const struct membership *membership = consensus_membership(self->consensus);
    char name[MEMBER_ADDRESS_BYTES_MAX + 1];

    for (size_t i = 0; i < finding->other_count; i++) {
        const struct member *member = membership_find(membership, finding->others[i]);
        metric_add(self->series.digest_others, 1);
        log_write(self->log, LOG_LEVEL_ERROR, "a member's tables are not those of the majority",
                  LOG_TEXT("member", member_word(member, MEMBER_NAME, name)),
                  LOG_UINT("log_index", finding->index), LOG_UINT("majority", finding->holders),
                  LOG_UINT("voters", finding->voters));
    }
}

static void replica_say_split(struct replica *self, const struct digest_finding *finding)
{
    if (finding->told)
        return;
    metric_add(self->series.digest_splits, 1);
    log_write(self->log, LOG_LEVEL_ERROR,
              "tables differ, and no majority of the members has the same: nobody knows which are "
              "right",
              LOG_UINT("log_index", finding->index), LOG_UINT("voters", finding->voters));
}

static void replica_judge_digest(struct replica *self, replica_index index, bool waited)
{
    struct digest_finding finding;

    if (replica_is_leaving(self))
        return;
    digest_vote_judge(&self->digests.vote, index, waited, consensus_membership(self->consensus),
                      &finding);
    replica_say_others(self, &finding);
    switch (finding.outcome) {
    case DIGEST_OPEN: return;
    case DIGEST_AGREED:
        if (index > self->digests.agreed) {
            self->digests.agreed = index;
            metric_set(self->series.digest_index, (double)index);
        }
        return;
    case DIGEST_SPLIT: replica_say_split(self, &finding); return;
    case DIGEST_DIFFERS: break;
    }
    replica_begin_to_leave(self, &finding);
}

/* ---- Noting, telling, hearing -------------------------------------------------------------- */

void replica_note_digest(struct replica *self, replica_index index)
{
    if (replica_has_digest(self) && digest_marks_at(index))
        digest_vote_note(&self->digests.vote, index, self->machine.digest(self->machine.self));
}

static void replica_tell_digest(struct replica *self, const struct digest_mark *mark)
{
    const struct membership *membership = consensus_membership(self->consensus);

    for (size_t i = 0; self->link != NULL && i < membership->count; i++) {
        struct peer_message message = {
            .kind = PEER_DIGEST,
            .to = membership->members[i].id,
            .term = consensus_term(self->consensus),
            .digest = {mark->index, mark->digest, self->digests.vote.format},
        };
        if (message.to != self->id)
            peer_link_send(self->link, &message);
    }
}

void replica_compare_digests(struct replica *self)
{
    const struct digest_marks *own = &self->digests.vote.own;

    for (size_t i = 0; i < own->count; i++) {
        const struct digest_mark *mark = &own->marks[i];
        if (mark->index <= self->digests.told)
            continue;
        self->digests.told = mark->index;
        replica_tell_digest(self, mark);
        replica_judge_digest(self, mark->index, false);
    }
}

void replica_hear_digest(struct replica *self, const struct peer_message *message)
{
    const struct digest_said said = {
        .from = message->from,
        .start_id = message->start_id,
        .format = message->digest.format,
        .index = message->digest.index,
        .digest = message->digest.digest,
    };

    if (!replica_has_digest(self))
        return;
    digest_vote_hear(&self->digests.vote, &said, consensus_membership(self->consensus));
    replica_judge_digest(self, said.index, false);
}

void replica_repeat_digest(struct replica *self, int64_t now_ms)
{
    const struct digest_mark *newest = digest_marks_newest(&self->digests.vote.own);

    if (now_ms < self->digests.repeat_ms)
        return;
    self->digests.repeat_ms = now_ms + DIGEST_REPEAT_MS;
    if (newest == NULL)
        return;
    replica_tell_digest(self, newest);
    replica_judge_digest(self, self->digests.waited, true);
    self->digests.waited = newest->index;
}
