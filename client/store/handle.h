/* What the other modules of libpygmy need to know of a handle.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_STORE_HANDLE_H
#define PYGMY_STORE_HANDLE_H

#include <czmq.h>

#include "broker/bus/config.h"
#include "client/store/pygmy.h"

zloop_t *handle_loop(const struct pygmy *self);

/* The configuration that it was opened with, or NULL: it was given endpoints alone. */
const struct config *handle_config(const struct pygmy *self);

/* The calls whose callback would get @arg end without it. */
void handle_forget(struct pygmy *self, const void *arg);

#endif
