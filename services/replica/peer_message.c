/* See peer_message.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/peer_message.h"

#include <stdlib.h>

/* Of an entry in PEER_APPEND, beside its command: term u64, kind u8, log time i64, wall time i64,
 * length of the command u32. Its index follows from its place. */
#define PEER_ENTRY_HEAD_BYTES 29

void peer_message_close(struct peer_message *self)
{
    if (self->kind == PEER_APPEND && self->append.entries != NULL) {
        for (size_t i = 0; i < self->append.count; i++)
            shared_entry_release(&self->append.entries[i]);
        free(self->append.entries);
    }
    *self = (struct peer_message){0};
}

size_t peer_message_entry_bytes(const struct log_entry *entry)
{
    return PEER_ENTRY_HEAD_BYTES + entry->size;
}
