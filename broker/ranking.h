/* Peers in order of a small number, its rank: the highest first, among equals the one whose rank
 * was set longest ago. All in constant time: a list for each rank, and a bit for each list that is
 * not empty.
 *
 * Ranked are the workers of a service, by free credit, and the clients of the broker, by what of
 * theirs waits for services that nobody serves. A peer is in one ranking at most.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BROKER_RANKING_H
#define PYGMY_BROKER_RANKING_H

#include <stdint.h>

#include "broker/bus/limits.h"
#include "broker/peer.h"

#define RANK_MAX      CREDIT_MAX
#define RANKING_WORDS (RANK_MAX / 64 + 1)

/* Zeroed: empty. */
struct ranking {
    struct list *levels; /* peers by rank, struct peer.rank_link */
    uint32_t level_count;
    uint64_t used[RANKING_WORDS]; /* a bit for each level: not empty */
};

void ranking_close(struct ranking *self);
/* Enter @peer with @rank, 0 to RANK_MAX, behind those that have as much, or move it there; with 0
 * it is taken out. */
void ranking_put(struct ranking *self, struct peer *peer, uint32_t rank);
/* The first of all, or NULL. */
struct peer *ranking_first(const struct ranking *self);

#endif
