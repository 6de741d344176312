/* The router's invariants, as far as they can be seen in its state.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_ROUTER_CHECK_H
#define PYGMY_TESTS_ROUTER_CHECK_H

#include "broker/router.h"

/* Assert all of them. Looks at everything. */
void router_check(struct router *self);

#endif
