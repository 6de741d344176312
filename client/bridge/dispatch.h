/* From a request to its handler: what every request has to pass, and what every answer has.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BRIDGE_DISPATCH_H
#define PYGMY_BRIDGE_DISPATCH_H

#include "client/bridge/http_server.h"

struct bridge;
struct dispatch;

struct dispatch *dispatch_new(struct bridge *bridge);
void dispatch_destroy(struct dispatch **self_p);

/* The callbacks for the server; their argument is the dispatch. */
const struct http_handler *dispatch_handler(void);

#endif
