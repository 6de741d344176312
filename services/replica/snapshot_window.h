/* Which pieces of a snapshot to ask for, and when again: the fetching side of the snapshot channel,
 * without its socket.
 *
 * At most SNAPSHOT_CREDIT pieces are asked for and not yet here. They come in order, or not at all:
 * one that does not follow what is here is dropped, and what did not come for SNAPSHOT_ASK_AGAIN_MS
 * is asked for again, from the first missing byte on.
 *
 * Pure: the time is told.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_SNAPSHOT_WINDOW_H
#define PYGMY_REPLICA_SNAPSHOT_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct snapshot_window {
    uint64_t bytes;        /* of the file, 1 or more */
    uint64_t here;         /* of them, from the beginning */
    uint64_t asked;        /* up to which they were asked for; not below `here` */
    int64_t progressed_ms; /* when the last piece came, or the fetch began */
    int64_t asked_ms;      /* when all that is missing was last asked for anew, or a piece came */
};

void snapshot_window_init(struct snapshot_window *self, uint64_t bytes, int64_t now_ms);

/* The next piece to ask for now; false when there is none. */
bool snapshot_window_next(struct snapshot_window *self, int64_t now_ms, uint64_t *offset,
                          uint32_t *size);

/* The piece at @offset, the last one that was given out, was not asked for after all. */
void snapshot_window_undo(struct snapshot_window *self, uint64_t offset);

/* A piece came. Whether it is the one that follows what is here: then it counts as here. */
bool snapshot_window_take(struct snapshot_window *self, uint64_t offset, uint32_t size,
                          int64_t now_ms);

bool snapshot_window_done(const struct snapshot_window *self);
/* Whether no piece came for SNAPSHOT_STALL_MS. */
bool snapshot_window_stalled(const struct snapshot_window *self, int64_t now_ms);

#endif
