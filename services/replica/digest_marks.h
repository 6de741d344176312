/* The machine's digest at each index of the log that is a multiple of DIGEST_EVERY, the last ones of
 * them: what two replicas compare that are never at the same index.
 *
 * It stands between the replica and the machine, and notes as commands pass. Not every entry is a
 * command: a mark at another kind of entry, which changes no table, is that of the command before it,
 * and is noted with the next command, or when it is asked for.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_DIGEST_MARKS_H
#define PYGMY_REPLICA_DIGEST_MARKS_H

#include <stdbool.h>
#include <stddef.h>

#include "broker/bus/limits.h"
#include "services/replica/replica.h"

struct digest_mark {
    replica_index index;
    uint64_t digest;
};

struct digest_marks {
    struct replica_machine machine;             /* what is noted of */
    replica_index last;                         /* of the last command that was applied */
    struct digest_mark marks[DIGEST_MARKS_MAX]; /* oldest first */
    size_t count;
};

/* Take the place of @machine, which must have a digest, in what the replica is given. @self outlives
 * the replica. */
void digest_marks_init(struct digest_marks *self, struct replica_machine *machine);

/* Note what is to be noted up to @applied_index, which all commands of the tables are at or below.
 * Not within a batch. Then the marks are those of every index up to there. */
void digest_marks_reach(struct digest_marks *self, replica_index applied_index);

#endif
