/* What is to be finished: the catalog's list of grants and releases against the
 * order tables, and the orders that are cancelling.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_ORDER_SCAN_H
#define PYGMY_ORDER_SCAN_H

#include <jansson.h>

#include "broker/bus/log.h"
#include "services/order/orders.h"
#include "services/order/saga.h"

struct scan;

/* Read the catalog's answer to `unsettled`. A row that makes no sense is logged and left out.
 * Returns 0, or ERR_INVALID when the answer as a whole makes none. */
int scan_read(struct orders *orders, const json_t *body, struct log *log, struct scan **self_p);
/* What was read, valid as long as the scan. */
const struct saga_scan *scan_found(const struct scan *self);
/* Accepts NULL. */
void scan_destroy(struct scan **self_p);

/* Tell the saga which orders are cancelling, at most SCAN_ROWS_MAX. */
void scan_list(struct orders *orders, struct saga *saga);

#endif
