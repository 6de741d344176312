/* The catalog's operations as the skeleton of a replica's program serves them (docs/protocol.md):
 * from a request to its answer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_OPERATIONS_H
#define PYGMY_CATALOG_OPERATIONS_H

#include "services/replica/node.h"

/* The whole service, for node_main(). */
extern const struct node_service operations_service;

#endif
