/* A state machine small enough to be compared at every entry: some registers that commands write, and
 * a hash over all that was ever applied.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_TOY_H
#define PYGMY_SIM_TOY_H

#include "tests/sim/sim_machine.h"

extern const struct sim_machine_kind sim_toy;

#endif
