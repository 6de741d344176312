/* A way to end a zloop from anywhere in its thread.
 *
 * A zloop ends when one of its handlers returns -1, but a callback that is
 * called by a handler of somebody else's can't do that. This is an eventfd
 * among the loop's pollers whose own handler does.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_STORE_LOOP_END_H
#define PYGMY_STORE_LOOP_END_H

#include <czmq.h>

struct loop_end;

/* Ends the process when there is no descriptor left for it. */
struct loop_end *loop_end_new(zloop_t *loop);

/* Accepts NULL. */
void loop_end_destroy(struct loop_end **self_p);

/* Let zloop_start() return in the next turn of the loop, once; when the loop is not running, soon
 * after it is started. */
void loop_end_now(struct loop_end *self);

#endif
