/* See snapshot_rule.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/snapshot_rule.h"

#include <assert.h>

#include "broker/bus/limits.h"

bool snapshot_due(const struct snapshot_view *view)
{
    if (view->busy || view->space_low || view->since_ms < SNAPSHOT_AGAIN_MS)
        return false;
    /* The log behind it must hold what it covers, and a leader applies before it is on its own
     * disk, once a majority has it. */
    if (view->applied_index <= view->snapshot_index || view->applied_index > view->durable_index)
        return false;
    return view->applied_index - view->snapshot_index >= SNAPSHOT_ENTRIES ||
           view->bytes >= SNAPSHOT_LOG_BYTES;
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
