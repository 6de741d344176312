/* A whole store in one world: the catalog's group and the orders', with their real machines, the saga
 * at whoever leads the orders, a bus and customers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_STORE_H
#define PYGMY_SIM_STORE_H

#include "tests/sim/sim.h"

/* An order takes both groups, and so the fire may take longer than a group's alone (SIM_FIRE_US_MAX). */
#define SIM_STORE_FIRE_US_MAX (900 * 1000000LL)
/* A store recovers within this: commits wait for both groups, and for customers who ask again. */
#define SIM_STORE_HEAL_US_MAX (40 * 1000000LL)
/* After that, what was begun has to come to its end within this. */
#define SIM_STORE_QUIET_US_MAX (60 * 1000000LL)

/* Run one to its end; options->use is not looked at. Whether nothing was found; else @violation says
 * what was. */
bool sim_store_run(const struct sim_options *options, struct sim_counts *counts,
                   char violation[512]);

#endif
