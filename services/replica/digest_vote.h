/* Whose tables are right: the rule by which a replica that disagrees with a majority is found. Pure.
 *
 * Each replica notes the digest of its tables at the same indexes of the log (digest_marks.h) and
 * tells all others. At one index, among the members that have a vote, what more than half of them hold
 * is taken for right: a replica that holds something else has to stop, before it is asked for more.
 * Where no majority holds the same, nobody knows who is right, and nobody stops.
 *
 * Compared is only what can be: digests of the same index, in the same format. A digest is of the
 * process that says it: one that was started again has made its tables anew, and what those before
 * it have said counts no more, also when it comes late. Learners are compared, but do not count.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_DIGEST_VOTE_H
#define PYGMY_REPLICA_DIGEST_VOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/replica/digest_marks.h"
#include "services/replica/membership.h"

/* What a member has said. */
struct digest_voice {
    uint64_t id;
    uint64_t start_id;                /* of its process */
    uint64_t past[DIGEST_STARTS_MAX]; /* those before it, the last one first; 0: none */
    bool foreign;                     /* its digests are of another format */
    struct digest_marks marks;
};

struct digest_vote {
    uint64_t id;             /* of this replica */
    uint32_t format;         /* of its digests */
    struct digest_marks own; /* of this process */
    struct digest_voice voices[MEMBERS_MAX];
    size_t count;
};

/* A digest as a member says it. */
struct digest_said {
    uint64_t from;
    uint64_t start_id;
    uint32_t format;
    replica_index index;
    uint64_t digest;
};

enum digest_outcome {
    DIGEST_OPEN,    /* nothing can be said, or not yet */
    DIGEST_AGREED,  /* a majority holds what this replica holds */
    DIGEST_DIFFERS, /* a majority holds something else: this replica has to stop */
    DIGEST_SPLIT,   /* some differ, and no majority can come to hold the same any more */
};

struct digest_finding {
    enum digest_outcome outcome;
    replica_index index;
    uint64_t own;
    uint64_t right; /* what the majority holds; when agreed, or this replica differs */
    size_t voters;  /* all of them */
    size_t holders; /* of what most hold */
    uint64_t agreed[MEMBERS_MAX]; /* voters, this replica left out, that hold what is right */
    size_t agreed_count;
    uint64_t others[MEMBERS_MAX]; /* members that do not, each once for an index */
    size_t other_count;
    bool told; /* that outcome was found at this index before */
};

void digest_vote_init(struct digest_vote *self, uint64_t id, uint32_t format);

/* The own tables were that at @index, which has a mark. */
void digest_vote_note(struct digest_vote *self, replica_index index, uint64_t digest);
/* The own tables are others now, a snapshot's: what was noted of the old ones says nothing of them. */
void digest_vote_forget(struct digest_vote *self);
/* A member says so; who is none is not heard. Twice, late, or in any order: it makes no difference. */
void digest_vote_hear(struct digest_vote *self, const struct digest_said *said,
                      const struct membership *membership);

/* What follows at @index for the members of now: after what was noted or heard of it.
 *
 * @waited  those who have said nothing of it so far are not waited for: a split may be one that they
 *          would have decided */
void digest_vote_judge(struct digest_vote *self, replica_index index, bool waited,
                       const struct membership *membership, struct digest_finding *finding);

#endif
