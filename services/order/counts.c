/* See counts.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/order/counts.h"

#include <stdio.h>

#include "broker/bus/err.h"

enum result {
    RESULT_MADE,
    RESULT_REPLAYED,
    RESULT_OUT_OF_STOCK,
    RESULT_NOT_FOUND,
    RESULT_KEY_REUSED,
    RESULT_REFUSED,
    RESULT_NOT_ATTEMPTED,
    RESULT_UNKNOWN,
};

static const char *const result_names[COUNTS_RESULTS] = {
    "made",       "replayed", "out-of-stock",  "not-found",
    "key-reused", "refused",  "not-attempted", "unknown",
};

static enum result result_of(int code, bool replayed)
{
    switch (code) {
    case OK: return replayed ? RESULT_REPLAYED : RESULT_MADE;
    case ERR_OUT_OF_STOCK: return RESULT_OUT_OF_STOCK;
    case ERR_NOT_FOUND: return RESULT_NOT_FOUND;
    case ERR_KEY_REUSED: return RESULT_KEY_REUSED;
    default: break;
    }
    if (err_is_unknown(code))
        return RESULT_UNKNOWN;
    return err_is_retryable(code) ? RESULT_NOT_ATTEMPTED : RESULT_REFUSED;
}

static struct metric *counter(struct metrics *metrics, const char *name, int result,
                              const char *help)
{
    char labels[64];

    snprintf(labels, sizeof labels, "result=\"%s\"", result_names[result]);
    return metrics_counter(metrics, name, labels, help);
}

void counts_init(struct counts *self, struct metrics *metrics)
{
    for (int i = 0; i < COUNTS_RESULTS; i++) {
        self->buys[i] = counter(metrics, "pygmy_orders_total", i, "Buys answered.");
        self->cancels[i] = counter(metrics, "pygmy_cancels_total", i, "Cancels answered.");
    }
    self->seconds = metrics_histogram(metrics, "pygmy_order_seconds", NULL,
                                      "From a buy's arrival to its answer.");
    self->flows = metrics_gauge(metrics, "pygmy_order_flows", NULL, "Buys and cancels under way.");
    self->unsettled = metrics_gauge(metrics, "pygmy_order_unsettled", NULL,
                                    "Grants that the last scan found not settled.");
    self->conflicts = metrics_gauge(metrics, "pygmy_order_conflicts", NULL,
                                    "Grants whose key has an order of other content.");
}

void counts_answered(struct counts *self, bool cancel, int code, bool replayed, double seconds)
{
    enum result result = result_of(code, replayed);

    metric_add(cancel ? self->cancels[result] : self->buys[result], 1);
    if (!cancel)
        metric_observe(self->seconds, seconds);
}

void counts_numbers(struct counts *self, const struct saga_numbers *numbers)
{
    metric_set(self->flows, (double)numbers->flows);
    metric_set(self->unsettled, (double)numbers->unsettled);
    metric_set(self->conflicts, (double)numbers->conflicts);
}
