/* The end of the log in memory: what is not yet durable, not yet applied, or was written a short
 * while ago and may have to be sent again.
 *
 * Invariants
 *   T1  it holds the entries from first to last without a gap, and `last` is the log's last entry,
 *       durable or not.
 *   T2  no entry above the floor that trimming is told is ever dropped but by a cut.
 *
 * Pure.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_LOG_TAIL_H
#define PYGMY_REPLICA_LOG_TAIL_H

#include <stddef.h>

#include "services/replica/shared_entry.h"

struct log_tail;

/* An empty tail, behind a log whose last entry is the one at @last_index. */
struct log_tail *log_tail_new(replica_index last_index);
void log_tail_destroy(struct log_tail **self_p);

/* Forget everything; the log's last entry is now the one at @last_index (a snapshot's). */
void log_tail_reset(struct log_tail *self, replica_index last_index);
/* Hold an entry at the end: its index is last + 1 (asserted). The caller keeps its own hold. */
void log_tail_append(struct log_tail *self, struct shared_entry *entry);
/* Take off all entries from @index on, which is at most last + 1 (asserted); the log's last entry is
 * then the one at @index - 1, in memory or not. */
void log_tail_cut(struct log_tail *self, replica_index index);
/* Drop entries from the front, none above @floor, while the bytes held are above @bytes_max. Those
 * are of the commands, and of each entry's struct shared_entry. */
void log_tail_trim(struct log_tail *self, replica_index floor, size_t bytes_max);

/* The entry at @index, the tail's own, or NULL when it is not in memory. */
struct shared_entry *log_tail_entry(const struct log_tail *self, replica_index index);
replica_index log_tail_first(const struct log_tail *self); /* last + 1 when it is empty */
replica_index log_tail_last(const struct log_tail *self);

#endif
