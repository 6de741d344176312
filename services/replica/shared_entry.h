/* A log entry that several hold at a time: the log's tail in memory, a batch at the disk thread, a
 * message that is being built. It never changes; the last holder frees it.
 *
 * Held and released on the loop's thread only: the disk thread reads entries that its batch holds,
 * and the batch is let go of on the loop when it has come back.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_SHARED_ENTRY_H
#define PYGMY_REPLICA_SHARED_ENTRY_H

#include <stddef.h>
#include <stdint.h>

#include "services/replica/log_entry.h"

struct shared_entry {
    struct log_entry entry; /* its data is the bytes below */
    size_t holders;
    uint8_t data[];
};

/* A copy of @entry and its bytes, held once: by the caller. */
struct shared_entry *shared_entry_new(const struct log_entry *entry);
/* Hold it once more; returns @self. */
struct shared_entry *shared_entry_hold(struct shared_entry *self);
/* Let go of it; *self_p becomes NULL. Accepts NULL. */
void shared_entry_release(struct shared_entry **self_p);

#endif
