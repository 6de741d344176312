/* The customers of a simulated store: they buy with keys, repeat what has no answer, cancel, change
 * stock, and look at items and orders anywhere. Whatever they are told goes into the ledger.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_CUSTOMERS_H
#define PYGMY_SIM_CUSTOMERS_H

#include "tests/sim/sim_ledger.h"
#include "tests/sim/sim_services.h"

struct sim_customers;

struct sim_customer_counts {
    uint64_t bought, denied, cancelled, moved, looked, found, repeated;
};

struct sim_customers *sim_customers_new(const struct sim_parts *parts, struct sim_ledger *ledger);
void sim_customers_destroy(struct sim_customers **self_p);
const struct sim_customer_counts *sim_customers_counts(const struct sim_customers *self);

/* They put the items in, and then go on until they are told to stop. */
void sim_customers_start(struct sim_customers *self);
/* Nothing new is begun; what was begun is brought to its end. */
void sim_customers_stop(struct sim_customers *self);
/* All have their answers. */
bool sim_customers_done(const struct sim_customers *self);

#endif
