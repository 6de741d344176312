/* What the log holds at the start, as the driver wants to know it: see replica_internal.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "services/replica/replica_internal.h"

/* Gathers what consensus_start says of the log. */
struct replica_gathering {
    replica_term *terms;
    size_t count;
    size_t capacity;
    struct shared_entry **memberships;
    size_t membership_count;
    int64_t last_wall_ms;
};

static int replica_gather_entry(void *arg, const struct log_entry *entry)
{
    struct replica_gathering *self = arg;

    if (self->count == self->capacity) {
        self->capacity = 2 * self->capacity + 1024;
        self->terms = alloc_resize(self->terms, self->capacity * sizeof self->terms[0]);
    }
    self->terms[self->count++] = entry->term;
    self->last_wall_ms = entry->wall_ms;
    if (entry->kind != LOG_ENTRY_MEMBERSHIP)
        return 0;
    self->memberships =
        alloc_resize(self->memberships, (self->membership_count + 1) * sizeof self->memberships[0]);
    self->memberships[self->membership_count++] = shared_entry_new(entry);
    return 0;
}

static void replica_gathering_close(struct replica_gathering *self)
{
    for (size_t i = 0; i < self->membership_count; i++)
        shared_entry_release(&self->memberships[i]);
    free(self->memberships);
    free(self->terms);
}

/* The driver, beginning with what was gathered. */
static void replica_start_with(struct replica *self, const struct consensus_options *options,
                               const struct replica_gathering *gathering, int64_t now_ms)
{
    struct log_state log = log_store_state(self->reader);
    struct consensus_start start = {
        .term = log.term,
        .vote = log.vote,
        .snapshot = log_store_snapshot(self->reader),
        .first_index = log.first_index,
        .count = gathering->count,
        .terms = gathering->terms,
        .last_log_time_ms = log.last_log_time_ms,
        .last_wall_ms = gathering->last_wall_ms,
        .membership_count = gathering->membership_count,
        .memberships = gathering->memberships,
    };

    self->consensus = consensus_new(options, &start, now_ms);
}

int replica_start(struct replica *self, const struct consensus_options *options, int64_t now_ms,
                  char **error)
{
    struct replica_gathering gathering = {0};

    int result = log_store_read(self->reader, 1, INT64_MAX, replica_gather_entry, &gathering);
    if (result == 0) {
        replica_start_with(self, options, &gathering, now_ms);
        if (self->consensus == NULL) {
            result = ERR_CORRUPT;
            *error = zsys_sprintf("the log makes no sense");
        }
    } else {
        *error = zsys_sprintf("the log can't be read: %s", log_store_error(self->reader));
    }
    replica_gathering_close(&gathering);
    return result == ERR_CORRUPT ? directory_refuse(result, error) : result;
}
