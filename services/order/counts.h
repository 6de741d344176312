/* The order service's metrics.
 *
 *   pygmy_orders_total{result}   buys answered
 *   pygmy_cancels_total{result}  cancels answered
 *   pygmy_order_seconds          from a buy's arrival to its answer
 *   pygmy_order_flows            buys and cancels under way
 *   pygmy_order_unsettled        grants without SETTLE, as of the last scan
 *   pygmy_order_conflicts        grants whose key has an order of other content; must stay 0
 *
 * Results: made, replayed, out-of-stock, not-found, key-reused, refused (another definite denial),
 * not-attempted (safe and useful to send again), unknown.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_ORDER_COUNTS_H
#define PYGMY_ORDER_COUNTS_H

#include <stdbool.h>

#include "broker/bus/metrics.h"
#include "services/order/saga.h"

enum { COUNTS_RESULTS = 8 };

struct counts {
    struct metric *buys[COUNTS_RESULTS];
    struct metric *cancels[COUNTS_RESULTS];
    struct metric *seconds;
    struct metric *flows;
    struct metric *unsettled;
    struct metric *conflicts;
};

void counts_init(struct counts *self, struct metrics *metrics);
/* A request was answered. @seconds since it came. */
void counts_answered(struct counts *self, bool cancel, int code, bool replayed, double seconds);
void counts_numbers(struct counts *self, const struct saga_numbers *numbers);

#endif
