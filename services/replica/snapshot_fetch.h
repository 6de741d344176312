/* Fetching a snapshot from another replica's snapshot channel: in the snapshot thread, which has
 * nothing else to do meanwhile.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_SNAPSHOT_FETCH_H
#define PYGMY_REPLICA_SNAPSHOT_FETCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "services/replica/snapshot_mark.h"

struct snapshot_fetch_options {
    const char *endpoint;    /* of the other replica's channel */
    const char *uuid;        /* of the cluster */
    const char *path;        /* of the file to be made */
    const atomic_bool *stop; /* becomes true: give up */
    /* So many bytes are here; at most once in SNAPSHOT_PROGRESS_MS. */
    void (*on_progress)(void *arg, uint64_t bytes);
    void *arg;
};

/* Fetch it, compare it with the mark and sync it. What came of a fetch that failed is left at the
 * path, for the next one to write over.
 *
 * Returns 0, ERR_UNAVAILABLE (no progress for SNAPSHOT_STALL_MS, or stopped), ERR_NOT_FOUND (it is
 * not there, or not any more), ERR_CORRUPT (not what the mark says) or ERR_STORAGE; *error says more. */
int snapshot_fetch(const struct snapshot_fetch_options *options, const struct snapshot_mark *mark,
                   char **error);

#endif
