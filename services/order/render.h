/* Orders, lines and grants as JSON, and lines and grants out of JSON; the
 * shapes are in docs/protocol.md, part two.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_ORDER_RENDER_H
#define PYGMY_ORDER_RENDER_H

#include <jansson.h>

#include "services/order/orders.h"
#include "services/order/sale.h"
#include "services/replica/fields.h"

/* An order as it is, or as it was made (active, whatever became of it since). */
json_t *render_order(const struct order *order);
json_t *render_order_made(const struct order *order);

/* The lines asked for. */
json_t *render_basket(const struct basket *basket);

/* Read the "lines" of a buy, made canonical; @basket is only good when @fields are. */
void render_read_basket(struct fields *fields, struct basket *basket);

/* Read a grant out of an object with "lines", "currency" and, where it is known, "total_cents", and
 * check it. Members that are not known here are passed over: the catalog may be newer. Returns 0
 * or ERR_INVALID; close @grant in any case. */
int render_read_grant(const json_t *object, struct grant *grant);

#endif
