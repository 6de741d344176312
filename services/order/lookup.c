/* See lookup.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/order/lookup.h"

#include <string.h>

static enum saga_state lookup_state(enum order_state state)
{
    static const enum saga_state states[] = {
        [ORDER_ACTIVE] = SAGA_ACTIVE,
        [ORDER_CANCELLING] = SAGA_IS_CANCELLING,
        [ORDER_CANCELLED] = SAGA_IS_CANCELLED,
    };

    return states[state];
}

static void lookup_found(struct lookup *self)
{
    const struct order *order = &self->order;

    self->known.state = lookup_state(order->state);
    self->known.number = order->number;
    self->known.content = (struct saga_bytes){order->content, order->content_size};
    self->known.order_key = order->key;
    self->known.cancel_stamp = order->cancel_stamp;
}

void lookup_buy(struct lookup *self, struct orders *orders, const char *key)
{
    *self = (struct lookup){0};
    self->known.key_used = orders_by_cancel_key(orders, key) != 0;
    if (orders_by_key(orders, key, &self->order))
        lookup_found(self);
}

static bool lookup_key_is_buy(struct orders *orders, const char *key)
{
    struct order order;

    if (!orders_by_key(orders, key, &order))
        return false;
    order_close(&order);
    return true;
}

void lookup_cancel(struct lookup *self, struct orders *orders, const char *key, uint64_t number)
{
    uint64_t cancels = orders_by_cancel_key(orders, key);

    *self = (struct lookup){0};
    /* A cancel under the key goes before another use of it: see orders.h. */
    self->known.key_used = cancels != 0 ? cancels != number : lookup_key_is_buy(orders, key);
    if (orders_by_number(orders, number, &self->order))
        lookup_found(self);
    self->known.mine = cancels != 0 && cancels == number;
}

void lookup_close(struct lookup *self)
{
    order_close(&self->order);
}
