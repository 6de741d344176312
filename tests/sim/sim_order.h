/* The orders' machine, all of it, in a simulated replica.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_ORDER_H
#define PYGMY_SIM_ORDER_H

#include "tests/sim/sim_machine.h"

struct orders; /* services/order/orders.h */

extern const struct sim_machine_kind sim_order;
struct orders *sim_order_tables(void *machine);

#endif
