/* See sim_lease_judge.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_lease_judge.h"

#include <assert.h>
#include <inttypes.h>

replica_index sim_lease_floor(const struct sim_lease_judge *self, unsigned key)
{
    assert(key < LEASE_KEYS);
    return self->floors[key];
}

static void raise_floor(struct sim_lease_judge *self, unsigned key, replica_index index)
{
    if (self->floors[key] < index)
        self->floors[key] = index;
}

void sim_lease_acknowledged(struct sim_lease_judge *self, uint32_t keys, replica_index index)
{
    for (unsigned key = 0; key < LEASE_KEYS; key++)
        if ((keys >> key & 1) != 0)
            raise_floor(self, key, index);
}

void sim_lease_shown(struct sim *sim, struct sim_lease_judge *self, unsigned key,
                     replica_index index, replica_index floor, const char *how, int cache)
{
    assert(key < LEASE_KEYS);
    if (index < floor)
        sim_fail(sim,
                 "V1: cache %d, %s: key %u is shown as of %" PRIu64 ", and %" PRIu64
                 " was shown or acknowledged before",
                 cache, how, key, index, floor);
    raise_floor(self, key, index);
}
