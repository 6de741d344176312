/* The judge of leased caches.
 *
 *   V1  no read, from memory or not, shows less than what had been acknowledged, or shown by any read,
 *       before it began
 *   V2  after the fire is out each cache serves from memory again within a bound
 *
 * All that is judged of a group (sim_check.h) is judged, too.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_LEASE_JUDGE_H
#define PYGMY_SIM_LEASE_JUDGE_H

#include "tests/sim/sim.h"
#include "tests/sim/sim_lease_machine.h"

struct sim_lease_judge {
    replica_index floors[LEASE_KEYS];
};

/* What a read of @key that begins now has to show at least. */
replica_index sim_lease_floor(const struct sim_lease_judge *self, unsigned key);
/* A write of these keys, which was done at @index, is acknowledged now. */
void sim_lease_acknowledged(struct sim_lease_judge *self, uint32_t keys, replica_index index);
/* A read shows the write at @index. @how: of which kind it was, for the words; @cache: whose. */
void sim_lease_shown(struct sim *sim, struct sim_lease_judge *self, unsigned key,
                     replica_index index, replica_index floor, const char *how, int cache);

#endif
