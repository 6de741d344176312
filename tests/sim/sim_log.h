/* A log as a list of shared entries: what a process takes for its log, and what its disk holds of it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_LOG_H
#define PYGMY_SIM_LOG_H

#include <stddef.h>

#include "services/replica/shared_entry.h"

struct sim_log {
    replica_index first; /* index of the first entry, or of the next one when there is none */
    size_t count;
    size_t capacity;
    struct shared_entry **entries; /* each held */
};

void sim_log_init(struct sim_log *self, replica_index first);
void sim_log_close(struct sim_log *self);
/* Make @self hold what @from does. */
void sim_log_copy(struct sim_log *self, const struct sim_log *from);

replica_index sim_log_last(const struct sim_log *self);
/* NULL: not in it. */
struct shared_entry *sim_log_entry(const struct sim_log *self, replica_index index);
/* @count > 0 entries take the place of all from the first one's index on. Without a gap (asserted). */
void sim_log_write(struct sim_log *self, struct shared_entry *const *entries, size_t count);
/* Forget all entries before @first. */
void sim_log_cut(struct sim_log *self, replica_index first);
/* Forget all; the next entry is the one at @first. */
void sim_log_reset(struct sim_log *self, replica_index first);

#endif
