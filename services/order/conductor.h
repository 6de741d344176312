/* The conductor carries out what the saga asks for: looks keys up, submits
 * commands, calls the catalog, and answers who waits. It owns the saga, and is
 * the only one who tells it the time.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_ORDER_CONDUCTOR_H
#define PYGMY_ORDER_CONDUCTOR_H

#include <stdint.h>

#include "services/order/machine.h"
#include "services/order/saga.h"
#include "services/order/sale.h"
#include "services/replica/node.h"

struct conductor;

/* @machine  its tables must be open when anything is asked; outlives the conductor */
struct conductor *conductor_new(struct node *node, struct machine *machine);
/* Who still waits is answered: not attempted, or unknown. Accepts NULL. */
void conductor_destroy(struct conductor **self_p);

/* A request to buy or to cancel, checked. @call is answered exactly once, now or later. */
void conductor_buy(struct conductor *self, struct node_call *call, const char *key, int64_t stamp,
                   const struct basket *basket);
void conductor_cancel(struct conductor *self, struct node_call *call, const char *key,
                      int64_t stamp, uint64_t number);

void conductor_lead(struct conductor *self, bool leader);

void conductor_numbers(const struct conductor *self, struct saga_numbers *numbers);

#endif
