/* The workers of a service that have free credit: most free credit first, among equals the one that
 * was used longest ago. All in constant time: a list for each amount of credit, and a bit for each
 * list that is not empty.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BROKER_READY_H
#define PYGMY_BROKER_READY_H

#include <stdint.h>

#include "broker/bus/limits.h"
#include "broker/peer.h"

#define READY_WORDS (CREDIT_MAX / 64 + 1)

/* Zeroed: empty. */
struct ready {
    struct list *levels; /* workers by free credit, struct peer.ready_link */
    uint32_t level_count;
    uint64_t used[READY_WORDS]; /* a bit for each level: not empty */
};

void ready_close(struct ready *self);
/* Enter @worker with @free_credit, 0 to CREDIT_MAX, behind those that have as much, or move it
 * there; with 0 it is taken out. */
void ready_put(struct ready *self, struct peer *worker, uint32_t free_credit);
/* The worker to use next, or NULL. */
struct peer *ready_best(const struct ready *self);

#endif
