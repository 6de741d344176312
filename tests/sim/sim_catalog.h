/* The catalog's machine, all of it, in a simulated replica.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_CATALOG_H
#define PYGMY_SIM_CATALOG_H

#include "tests/sim/sim.h"

extern const struct sim_machine_kind sim_catalog;
/* A group of its own, whose clients (sim_clients.h) add items and change their stock. */
extern const struct sim_use sim_use_catalog;

#endif
