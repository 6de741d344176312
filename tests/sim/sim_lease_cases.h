/* Directed cases of leased caches: what takes a coincidence that chance finds once in thousands of
 * seeds. Here nothing happens by itself but timers: three replicas whose clocks are as fast as may be,
 * a cache whose clock is as slow, another one for which the leader has its term confirmed, and no post
 * that is late.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_LEASE_CASES_H
#define PYGMY_SIM_LEASE_CASES_H

#include "tests/sim/sim.h"

struct sim_lease;
typedef void sim_lease_play_fn(struct sim_lease *self);

/* Play one, in this process. Returns whether nothing was found; else *why says what was. */
bool sim_lease_play(sim_lease_play_fn *play, enum sim_mutation mutation, FILE *trace, char *why,
                    size_t size);

/* A lease ends when its cache says so, and not before its leader does: at the very edge of both (D). */
void play_lease_end(struct sim_lease *self);
/* The answer that brings a lease is late, as its cache was stopped meanwhile (C2). */
void play_lease_late_answer(struct sim_lease *self);
/* Who was left out is heard of again, and knows of nothing (B4). */
void play_lease_lapsed(struct sim_lease *self);
/* It is left out because of the very RENEW that comes from it (B4). */
void play_lease_renewal(struct sim_lease *self);

#endif
