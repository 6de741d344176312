/* What the other modules of libpygmy need to know of a handle.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_STORE_HANDLE_H
#define PYGMY_STORE_HANDLE_H

#include <czmq.h>

#include "broker/bus/client.h"
#include "broker/bus/config.h"
#include "client/store/pygmy.h"

zloop_t *handle_loop(const struct pygmy *self);
struct bus_client *handle_bus(const struct pygmy *self);

/* The configuration that it was opened with, or NULL: it was given endpoints alone. */
const struct config *handle_config(const struct pygmy *self);

/* The cluster's secret, or NULL. Read from its file when it is first needed. */
const char *handle_secret(struct pygmy *self);

/* A call of the library's own: pygmy_start() past the cache, and counted nowhere. */
void handle_start(struct pygmy *self, const struct pygmy_call *call);

/* The calls whose callback would get @arg end without it. */
void handle_forget(struct pygmy *self, const void *arg);

/* ---- Calls that the cache may answer --------------------------------------------------------- */

/* A call that pygmy_start() has handed over (caching.h). It is handed back by call_settle() or
 * call_pass(), or it ends at its deadline: nothing is to be done with it after that. */
struct call;

/* The object, without a secret. */
const json_t *call_request(const struct call *self);
/* What is left of its time; 0 or below: nothing. */
int64_t call_left_ms(const struct call *self);

/* It waits for something of the cache's. @left is called with @arg if it ends by itself, or with
 * its handle. Another call_hold() takes the place of the one before; call_settle() and call_pass()
 * undo it. */
typedef void call_left_fn(void *arg);
void call_hold(struct call *self, call_left_fn *left, void *arg);

/* It ends so, with a callback in the loop's next turn. @reply: its body is taken over, NULL is that
 * of an error. */
void call_settle(struct call *self, const struct pygmy_reply *reply);
/* Go on as if there were no cache. */
void call_pass(struct call *self);

#endif
