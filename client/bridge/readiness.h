/* Whether the store can be reached from here: each service is asked something cheap, again and
 * again.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BRIDGE_READINESS_H
#define PYGMY_BRIDGE_READINESS_H

#include <czmq.h>
#include <jansson.h>
#include <stdbool.h>

#include "broker/bus/metrics.h"
#include "client/store/pygmy.h"

struct readiness;

/* Begin to ask. @store outlives it, or is closed before it: no answer comes later. */
struct readiness *readiness_new(zloop_t *loop, struct pygmy *store, struct metrics *metrics);
void readiness_destroy(struct readiness **self_p);

/* Whether all is well: a broker was heard, and each service answered, within PROBE_FRESH_MS. The
 * loss of one of several brokers or replicas is over sooner, and makes nothing unready. */
bool readiness_is_ready(const struct readiness *self);

/* {"broker": true, "catalog": true, "order": false} */
json_t *readiness_checks(const struct readiness *self);

#endif
