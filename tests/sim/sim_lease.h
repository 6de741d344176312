/* A group with leased caches in one world: the real lease table (services/replica/lease_table.h) at each
 * replica, real caches (client/store/leased_cache.h) that read, and customers that write.
 *
 *   sim_lease_machine  what is replicated: registers, and the sessions
 *   sim_lease_node     the lease table at a replica, as a service has it: writes, asks, reads
 *   sim_lease_cache    a process that has a cache: feed, asks, fills, reads
 *   sim_lease_post     what is on its way between the two, and from those who write
 *   sim_lease_nemesis  harm to all that: beside what is done to the group itself (sim_nemesis.h)
 *   sim_lease_judge    the judge, who knows what each read has to show at least
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_LEASE_H
#define PYGMY_SIM_LEASE_H

#include "tests/sim/sim.h"

/* Writes wait for leases to run out, and so the fire may take longer than a group's alone. */
#define SIM_LEASE_FIRE_US_MAX (900 * 1000000LL)
/* After it, each cache has to serve from memory again within this: the longest back-off (B10), and what
 * it takes to come to an end of it. */
#define SIM_LEASE_HEAL_US_MAX (80 * 1000000LL)

/* Run one to its end; options->use is not looked at. Whether nothing was found; else @violation says
 * what was. */
bool sim_lease_run(const struct sim_options *options, struct sim_counts *counts,
                   char violation[512]);

#endif
