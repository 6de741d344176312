/* A process that has a leased cache, and reads: the host of client/store/leased_cache.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_LEASE_CACHE_H
#define PYGMY_SIM_LEASE_CACHE_H

#include "tests/sim/sim.h"
#include "tests/sim/sim_lease_post.h"

struct sim_lease_cache;

/* It begins to ask and to read at once. */
struct sim_lease_cache *sim_lease_cache_new(struct sim *sim, int number);
/* Accepts NULL. */
void sim_lease_cache_destroy(struct sim_lease_cache **self_p);

/* Faults: a pause, and the end of the process, after which another one begins at once. */
void sim_lease_cache_pause(struct sim_lease_cache *self, int64_t until_us);
void sim_lease_cache_crash(struct sim_lease_cache *self);
/* An end in order: the leader is told, and another process begins. */
void sim_lease_cache_leave(struct sim_lease_cache *self);
bool sim_lease_cache_paused(const struct sim_lease_cache *self);
/* The connection to the feed is made anew. */
void sim_lease_cache_lose(struct sim_lease_cache *self);

/* Whether it cannot take the event now: then it is put off, or dropped. */
bool sim_lease_cache_deferred(struct sim_lease_cache *self, struct sim_event *event);
void sim_lease_cache_receive(struct sim_lease_cache *self, const struct lease_mail *mail);

/* Reads from memory since this was asked last. */
uint64_t sim_lease_cache_hits(struct sim_lease_cache *self);

#endif
