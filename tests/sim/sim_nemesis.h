/* Who does harm: crashes, pauses, cuts, slow disks, storms, and the operator's acts at the worst time.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_NEMESIS_H
#define PYGMY_SIM_NEMESIS_H

#include "tests/sim/sim.h"

struct sim_nemesis;

struct sim_nemesis *sim_nemesis_new(void);
void sim_nemesis_destroy(struct sim_nemesis **self_p);

void sim_nemesis_start(struct sim *sim);
/* End a process; it comes back after a while. */
void sim_nemesis_crash(struct sim *sim, int slot);
/* It does no more; what it has begun may still be under way until nothing is paused. */
void sim_nemesis_stop(struct sim *sim);
bool sim_nemesis_paused(const struct sim *sim);
/* Everything works again and who is down comes back: all, or a bare majority; the rest is gone. */
void sim_nemesis_heal(struct sim *sim);

#endif
