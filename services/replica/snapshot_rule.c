/* See snapshot_rule.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/snapshot_rule.h"

#include <assert.h>

#include "broker/bus/limits.h"

/* Whether so many entries, or bytes of them, have come since the last one. */
static bool snapshot_has_grown(const struct snapshot_view *view, uint64_t factor)
{
    uint64_t entries_max = view->entries_max > 0 ? view->entries_max : SNAPSHOT_ENTRIES;

    return view->applied_index - view->snapshot_index >= factor * entries_max ||
           view->bytes >= factor * SNAPSHOT_LOG_BYTES;
}

bool snapshot_due(const struct snapshot_view *view)
{
    if (view->busy || view->resting)
        return false;
    /* The log behind it must hold what it covers, and a leader applies before it is on its own
     * disk, once a majority has it. */
    if (view->applied_index <= view->snapshot_index || view->applied_index > view->durable_index)
        return false;
    if (!snapshot_has_grown(view, 1))
        return false;
    unsigned trailing = snapshot_trailing(view->applied_index, view->snapshot_index);
    return view->needed_index >= snapshot_keep_from(view->applied_index, trailing) ||
           snapshot_has_grown(view, SNAPSHOT_WAIT_FACTOR);
}

int64_t snapshot_rest_ms(int64_t duration_ms, bool failed)
{
    return failed ? SNAPSHOT_AGAIN_MS : SNAPSHOT_REST_FACTOR * duration_ms;
}

unsigned snapshot_trailing(replica_index snapshot_index, replica_index previous_index)
{
    assert(snapshot_index > previous_index);
    replica_index half = (snapshot_index - previous_index) / 2;
    return half < SNAPSHOT_TRAILING ? (unsigned)half : SNAPSHOT_TRAILING;
}

replica_index snapshot_keep_from(replica_index snapshot_index, unsigned trailing)
{
    return snapshot_index > trailing ? snapshot_index - trailing + 1 : 1;
}
