/* See log_entry.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/log_entry.h"

#include <stdbool.h>
#include <zlib.h>

#include "broker/bus/bytes.h"

static uint32_t log_sum(const struct bytes_writer *head, const uint8_t *data, size_t size)
{
    uLong sum = crc32(0, head->data, (uInt)head->size);
    if (size > 0)
        sum = crc32(sum, data, (uInt)size);
    return (uint32_t)sum;
}

uint32_t log_entry_checksum(const struct log_entry *entry)
{
    struct bytes_writer head = {0};

    bytes_put_u64(&head, entry->index);
    bytes_put_u64(&head, entry->term);
    bytes_put_u8(&head, (uint8_t)entry->kind);
    bytes_put_i64(&head, entry->log_time_ms);
    bytes_put_i64(&head, entry->wall_ms);
    bytes_put_u32(&head, (uint32_t)entry->size);
    uint32_t sum = log_sum(&head, entry->data, entry->size);
    bytes_writer_close(&head);
    return sum;
}

uint32_t log_vote_checksum(replica_term term, uint64_t vote)
{
    struct bytes_writer head = {0};

    bytes_put_u64(&head, term);
    bytes_put_u64(&head, vote);
    uint32_t sum = log_sum(&head, NULL, 0);
    bytes_writer_close(&head);
    return sum;
}

uint32_t log_snapshot_checksum(const void *data, size_t size)
{
    return (uint32_t)crc32(0, data, (uInt)size);
}

/* Whether the index of @entry is one that may come next. */
static bool log_entry_in_order(const struct log_state *state, const struct log_entry *entry)
{
    if (state->first_index == 0)
        return entry->index >= 1 && entry->index <= state->snapshot_index + 1;
    return entry->index == state->last_index + 1;
}

const char *log_entry_misplaced(const struct log_state *state, const struct log_entry *entry)
{
    if (!log_entry_in_order(state, entry))
        return "entries before it are missing";
    if (entry->term == 0)
        return "it has no term";
    if (entry->term > state->term)
        return "its term is above the current one";
    if (entry->index == state->snapshot_index &&
        (entry->term != state->snapshot_term || entry->log_time_ms != state->snapshot_log_time_ms))
        return "it is not the entry that the snapshot ends with";
    /* Of a first entry that the snapshot covers, the one before it is not known. */
    if (state->first_index == 0 && entry->index <= state->snapshot_index)
        return NULL;
    if (entry->term < state->last_term)
        return "its term is lower than that of the entry before it";
    if (entry->log_time_ms < state->last_log_time_ms)
        return "its log time is before that of the entry before it";
    return NULL;
}

const char *log_state_lost(const struct log_state *state, const struct side_mark_state *mark,
                           replica_term term)
{
    bool covered = term == 0 && mark->last_index <= state->snapshot_index;

    if (state->last_index < mark->last_index)
        return "it ends before the last entry that was synced";
    if (!covered && term != mark->last_term)
        return "the last entry that was synced has another term";
    if (state->term < mark->term)
        return "its term is lower than the one that was synced";
    if (state->term == mark->term && mark->vote != 0 && state->vote != mark->vote)
        return "its vote is not the one that was synced";
    return NULL;
}

void log_state_add(struct log_state *state, const struct log_entry *entry)
{
    if (state->first_index == 0)
        state->first_index = entry->index;
    state->last_index = entry->index;
    state->last_term = entry->term;
    state->last_log_time_ms = entry->log_time_ms;
}

void log_state_clear(struct log_state *state)
{
    state->first_index = 0;
    state->last_index = state->snapshot_index;
    state->last_term = state->snapshot_term;
    state->last_log_time_ms = state->snapshot_log_time_ms;
}
