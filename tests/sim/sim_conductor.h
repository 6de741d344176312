/* The saga at a simulated replica, carried out as services/order/conductor.c does it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_CONDUCTOR_H
#define PYGMY_SIM_CONDUCTOR_H

#include "services/order/saga.h"
#include "services/order/sale.h"
#include "tests/sim/sim_services.h"

struct sim_conductor;

struct sim_conductor *sim_conductor_new(struct sim *sim, struct sim_node *node,
                                        struct sim_shell *shell);
/* The process has ended: nobody is answered. Before the shell. */
void sim_conductor_destroy(struct sim_conductor **self_p);

void sim_conductor_buy(struct sim_conductor *self, struct sim_call *call, const char *key,
                       int64_t stamp, const struct basket *basket);
void sim_conductor_cancel(struct sim_conductor *self, struct sim_call *call, const char *key,
                          int64_t stamp, uint64_t number);
void sim_conductor_lead(struct sim_conductor *self, bool leads);
/* Nothing is under way in it. */
bool sim_conductor_quiet(const struct sim_conductor *self);

/* The conductor in a node's process. */
struct sim_conductor *sim_conductor_of(const struct sim_node *node);

#endif
