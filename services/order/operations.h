/* The order service: its object, and its operations as docs/protocol.md has them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_ORDER_OPERATIONS_H
#define PYGMY_ORDER_OPERATIONS_H

#include "services/replica/node.h"

/* What main() hands to node_main(). */
extern const struct node_service order_service;

#endif
