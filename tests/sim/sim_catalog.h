/* The catalog's machine, all of it, in a simulated replica.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_CATALOG_H
#define PYGMY_SIM_CATALOG_H

#include "tests/sim/sim.h"

struct machine; /* services/catalog/machine.h */

extern const struct sim_machine_kind sim_catalog;
struct machine *sim_catalog_machine(void *machine);

/* What its tables say of the first items, by id, and of what is open. */
#define SIM_ACCOUNT_ITEMS 4

struct sim_account_item {
    int64_t initial, moved, sold, stock, version; /* version 0: there is no such item */
};

struct sim_account {
    struct sim_account_item items[SIM_ACCOUNT_ITEMS];
    int64_t unsettled;
    int64_t unclosed;
    int64_t violations; /* items that break the law of conservation, by an audit */
};

void sim_catalog_account(void *machine, struct sim_account *account);
/* Whether all grants are settled and all releases closed. */
bool sim_catalog_quiet(void *machine);

/* A group of its own, whose clients (sim_clients.h) add items and change their stock. */
extern const struct sim_use sim_use_catalog;

#endif
