/* When a replica takes a snapshot, and how much of the log before it stays. Pure.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_SNAPSHOT_RULE_H
#define PYGMY_REPLICA_SNAPSHOT_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "services/replica/replica.h"

/* What is so now, at this replica. */
struct snapshot_view {
    replica_index applied_index;
    replica_index durable_index;  /* last entry on the disk */
    replica_index snapshot_index; /* of the last snapshot, 0: none */
    uint64_t bytes;               /* of the commands applied since that */
    uint64_t entries_max;         /* 0: SNAPSHOT_ENTRIES */
    replica_index needed_index;   /* of the first entry that a member that is there still lacks; at
                                   * who does not lead, or where none lacks any: INT64_MAX */
    bool busy;                    /* the snapshot thread is, or one is being installed */
    bool resting;                 /* snapshot_rest_ms() has not passed */
};

/* Whether to take one now, of the state at the applied index: after so many entries, or
 * SNAPSHOT_LOG_BYTES of commands, since the last one; and after SNAPSHOT_WAIT_FACTOR times as many,
 * if it would cut off what a member that is there still needs. One that fetches the last snapshot
 * for longer than it takes to come by the next would be offered that, and so on for ever. */
bool snapshot_due(const struct snapshot_view *view);

/* How long to rest after one that took so long: snapshots take a tenth of the time at most, however
 * large the tables have become; and SNAPSHOT_AGAIN_MS after one that failed. */
int64_t snapshot_rest_ms(int64_t duration_ms, bool failed);

/* How many entries up to the snapshot's index stay, for members that lag a little: half of what it
 * covers anew, and at most SNAPSHOT_TRAILING. So the log is bounded in bytes, too. */
unsigned snapshot_trailing(replica_index snapshot_index, replica_index previous_index);

/* The first entry that stays then. */
replica_index snapshot_keep_from(replica_index snapshot_index, unsigned trailing);

#endif
