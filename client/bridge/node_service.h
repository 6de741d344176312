/* The bridge as a service of the bus, node.NAME: its status and its metrics (docs/protocol.md,
 * "Nodes").
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BRIDGE_NODE_SERVICE_H
#define PYGMY_BRIDGE_NODE_SERVICE_H

struct bridge;
struct node_service;

/* Register with all brokers. @bridge outlives it. */
struct node_service *node_service_new(struct bridge *bridge);
/* Ask for no more requests. */
void node_service_drain(struct node_service *self);
void node_service_destroy(struct node_service **self_p);

#endif
