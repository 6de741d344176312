/* What the order tables know for a step of the saga.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_ORDER_LOOKUP_H
#define PYGMY_ORDER_LOOKUP_H

#include "services/order/orders.h"
#include "services/order/saga.h"

/* An answer that points into the order it was found in. Close it after use. */
struct lookup {
    struct order order; /* empty when there is none */
    struct saga_known known;
};

void lookup_buy(struct lookup *self, struct orders *orders, const char *key);
void lookup_cancel(struct lookup *self, struct orders *orders, const char *key, uint64_t number);
void lookup_close(struct lookup *self);

#endif
