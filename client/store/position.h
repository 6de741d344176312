/* A subscriber's place in a group's stream of committed changes (docs/protocol.md, "The stream
 * of changes"), and what it does about what comes, comes twice, late, or not at all.
 *
 * Pure: live messages, answers and the time come in; what is delivered and what there is to say
 * goes out through the owner's functions, and what is to be asked of which replica through
 * position_ask().
 *
 * Everything up to the index `known` has been delivered, each row as it was then, or
 * later. A live message covers the entries from its `from` on up to its `index`.
 * One that begins at or below `known` moves it; one that begins above it shows a gap, is kept,
 * and a replica is asked. What is kept is bounded: beyond that it is dropped, and asked for when
 * its turn comes.
 *
 * Invariants
 *   P1  the versions that are delivered of one row rise, until another cluster is met.
 *   P2  `known` never falls, until another cluster is met; and whatever was changed by an entry
 *       up to it has been delivered as that entry left it, or as a later one did.
 *   P3  one question at a time; none while nothing is missing. A replica that does not answer,
 *       or has nothing of what is missing, is passed over for a while.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_STORE_POSITION_H
#define PYGMY_STORE_POSITION_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A place that is not known yet: that of the replica which is asked first. */
#define POSITION_NOW INT64_C(-1)

enum position_news {
    POSITION_BEGUN,  /* what comes is delivered; number: from this index on */
    POSITION_SILENT, /* nothing was heard of the group; number: for so many milliseconds */
    POSITION_HEARD,  /* it is heard again; number: after so many milliseconds */
    POSITION_AHEAD,  /* no replica has come to where we were told to go on; number: the furthest */
    POSITION_RESET,  /* this is another cluster: all that was delivered is void */
};

/* None of these calls a function of the position. */
struct position_owner {
    /* A row has changed. @change is as in the message, valid during the call. Whoever starts again
     * with @resume, when this call has returned, misses nothing of what comes after it. */
    void (*deliver)(void *arg, const json_t *change, int64_t resume);
    void (*report)(void *arg, enum position_news news, int64_t number);
};

/* What to ask a replica for. */
struct position_ask {
    size_t replica; /* its place among the group's */
    int64_t since;  /* or POSITION_NOW: without it */
};

struct position;

/* Begin after index @since, or POSITION_NOW, in the stream of @group (copied), which has
 * @replica_count replicas, one or more. @owner is borrowed.
 *
 * @cluster  what the uuid of the cluster begins with that @since is an index of (copied): if another
 *           one is met, that begins anew at once. "": any */
struct position *position_new(const char *group, const char *cluster, int64_t since,
                              size_t replica_count, int64_t now_ms,
                              const struct position_owner *owner, void *arg);
/* Accepts NULL. */
void position_destroy(struct position **self_p);

/* A live message has come, of @size bytes as text. Returns whether it was one of this stream. */
bool position_live(struct position *self, json_t *message, size_t size, int64_t now_ms);

/* The answer to what was asked has come; NULL: there will be none. */
void position_answer(struct position *self, const json_t *answer, int64_t now_ms);

/* Time has passed, and all that had arrived by @now_ms was told. */
void position_tick(struct position *self, int64_t now_ms);

/* Whether something is to be asked now, and what; it counts as asked then. */
bool position_ask(struct position *self, int64_t now_ms, struct position_ask *ask);

/* When to call position_tick() and position_ask() again if nothing comes; INT64_MAX: never. */
int64_t position_wake_ms(const struct position *self);

/* Everything up to here has been delivered; or POSITION_NOW. */
int64_t position_known(const struct position *self);
/* The uuid of the cluster that was met last; "": none was. */
const char *position_cluster(const struct position *self);

#endif
