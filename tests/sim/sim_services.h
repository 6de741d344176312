/* The two services of a simulated store, at a replica: from a request that the bus brings to its answer,
 * as services/catalog/operations.c and services/order/operations.c do it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_SERVICES_H
#define PYGMY_SIM_SERVICES_H

#include "tests/sim/sim_bus.h"
#include "tests/sim/sim_shell.h"

/* What both have in a process. */
struct sim_process {
    struct sim_shell *shell; /* first: sim_shell.c looks for it here */
};

/* What the groups of a store know of each other: sim->user. */
struct sim_parts {
    struct sim *catalog;
    struct sim *order;
    struct sim_bus *bus;
    struct sim_customers *customers;
};

void sim_catalog_serve(struct sim *sim, struct sim_node *node, struct sim_call *call);
void sim_order_serve(struct sim *sim, struct sim_node *node, struct sim_call *call);

/* Parts of struct sim_use. */
void sim_catalog_born(struct sim *sim, struct sim_node *node);
void sim_catalog_died(struct sim *sim, struct sim_node *node);
void sim_catalog_lead(struct sim *sim, struct sim_node *node, bool leads);
void sim_order_born(struct sim *sim, struct sim_node *node);
void sim_order_died(struct sim *sim, struct sim_node *node);
void sim_order_lead(struct sim *sim, struct sim_node *node, bool leads);

/* An answer's body for a refusal without words of its own. */
json_t *sim_refusal(int code);

#endif
