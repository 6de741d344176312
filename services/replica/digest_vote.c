/* See digest_vote.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/digest_vote.h"

#include <assert.h>
#include <string.h>

void digest_vote_init(struct digest_vote *self, uint64_t id, uint32_t format)
{
    memset(self, 0, sizeof *self);
    self->id = id;
    self->format = format;
}

void digest_vote_note(struct digest_vote *self, replica_index index, uint64_t digest)
{
    digest_marks_add(&self->own, index, digest);
}

void digest_vote_forget(struct digest_vote *self)
{
    self->own.count = 0;
}

/* ---- What members say ---------------------------------------------------------------------- */

static struct digest_voice *digest_vote_find(struct digest_vote *self, uint64_t id)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->voices[i].id == id)
            return &self->voices[i];
    return NULL;
}

/* Room for a member that was not heard before: that of one who is a member no more, if need be. */
static struct digest_voice *digest_vote_room(struct digest_vote *self,
                                             const struct membership *membership)
{
    if (self->count < MEMBERS_MAX)
        return &self->voices[self->count++];
    for (size_t i = 0; i < self->count; i++)
        if (membership_find(membership, self->voices[i].id) == NULL)
            return &self->voices[i];
    assert(false && "there are more members than there can be");
    return NULL;
}

static struct digest_voice *digest_vote_voice(struct digest_vote *self, uint64_t id,
                                              const struct membership *membership)
{
    struct digest_voice *voice = digest_vote_find(self, id);

    if (voice == NULL) {
        voice = digest_vote_room(self, membership);
        memset(voice, 0, sizeof *voice);
        voice->id = id;
    }
    return voice;
}

static bool digest_voice_is_past(const struct digest_voice *self, uint64_t start_id)
{
    for (size_t i = 0; i < DIGEST_STARTS_MAX; i++)
        if (self->past[i] == start_id)
            return true;
    return false;
}

/* A process begins to speak: the one before it has ended, and its tables with it. */
static void digest_voice_begin(struct digest_voice *self, const struct digest_said *said)
{
    memmove(self->past + 1, self->past, (DIGEST_STARTS_MAX - 1) * sizeof self->past[0]);
    self->past[0] = self->start_id;
    self->start_id = said->start_id;
    self->marks.count = 0;
}

void digest_vote_hear(struct digest_vote *self, const struct digest_said *said,
                      const struct membership *membership)
{
    if (said->from == self->id || membership_find(membership, said->from) == NULL ||
        !digest_marks_at(said->index))
        return;
    struct digest_voice *voice = digest_vote_voice(self, said->from, membership);
    if (digest_voice_is_past(voice, said->start_id))
        return;
    if (said->start_id != voice->start_id)
        digest_voice_begin(voice, said);
    voice->foreign = said->format != self->format;
    if (!voice->foreign)
        digest_marks_add(&voice->marks, said->index, said->digest);
}

/* ---- The rule ------------------------------------------------------------------------------ */

/* What is known at one index: of one voter after the other. */
struct digest_ballots {
    uint64_t digests[MEMBERS_MAX];
    size_t count;
    size_t silent; /* voters of whom something may still be heard */
};

/* What a member holds at @index; NULL: it is not known. */
static struct digest_mark *digest_vote_mark(struct digest_vote *self, uint64_t id,
                                            replica_index index)
{
    if (id == self->id)
        return digest_marks_find(&self->own, index);
    struct digest_voice *voice = digest_vote_find(self, id);
    return voice != NULL && !voice->foreign ? digest_marks_find(&voice->marks, index) : NULL;
}

static void digest_vote_gather(struct digest_vote *self, replica_index index,
                               const struct membership *membership, struct digest_ballots *ballots)
{
    *ballots = (struct digest_ballots){0};
    for (size_t i = 0; i < membership->count; i++) {
        const struct member *member = &membership->members[i];
        if (member->role != MEMBER_VOTER)
            continue;
        const struct digest_mark *mark = digest_vote_mark(self, member->id, index);
        const struct digest_voice *voice = digest_vote_find(self, member->id);
        if (mark != NULL)
            ballots->digests[ballots->count++] = mark->digest;
        else if (voice == NULL || !voice->foreign)
            ballots->silent++;
    }
}

/* How many hold what most hold, which is *digest. */
static size_t digest_ballots_most(const struct digest_ballots *self, uint64_t *digest)
{
    size_t most = 0;

    for (size_t i = 0; i < self->count; i++) {
        size_t same = 0;
        for (size_t j = 0; j < self->count; j++)
            same += self->digests[j] == self->digests[i];
        if (same > most) {
            most = same;
            *digest = self->digests[i];
        }
    }
    return most;
}

/* Among the others, who holds what is right, and who is newly seen to hold something else. */
static void digest_vote_sort(struct digest_vote *self, const struct membership *membership,
                             struct digest_finding *finding)
{
    for (size_t i = 0; i < membership->count; i++) {
        const struct member *member = &membership->members[i];
        struct digest_mark *mark = digest_vote_mark(self, member->id, finding->index);
        if (mark == NULL || member->id == self->id)
            continue;
        if (mark->digest != finding->right && !mark->told) {
            mark->told = true;
            finding->others[finding->other_count++] = member->id;
        } else if (mark->digest == finding->right && member->role == MEMBER_VOTER) {
            finding->agreed[finding->agreed_count++] = member->id;
        }
    }
}

void digest_vote_judge(struct digest_vote *self, replica_index index, bool waited,
                       const struct membership *membership, struct digest_finding *finding)
{
    struct digest_mark *own = digest_marks_find(&self->own, index);
    struct digest_ballots ballots;

    *finding = (struct digest_finding){.index = index, .voters = membership_voters(membership)};
    if (own == NULL || finding->voters == 0)
        return;
    digest_vote_gather(self, index, membership, &ballots);
    finding->own = own->digest;
    finding->holders = digest_ballots_most(&ballots, &finding->right);
    const size_t majority = membership_majority(membership);
    const size_t silent = waited ? 0 : ballots.silent;
    if (finding->holders >= majority) {
        finding->outcome = finding->right == own->digest ? DIGEST_AGREED : DIGEST_DIFFERS;
        digest_vote_sort(self, membership, finding);
    } else if (finding->holders < ballots.count && finding->holders + silent < majority) {
        finding->outcome = DIGEST_SPLIT;
        finding->told = own->told;
        own->told = true;
    }
}
