/* The broker as it runs: the router's events from a socket, its actions to it, the feed beside, in
 * one loop.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BROKER_SERVER_H
#define PYGMY_BROKER_SERVER_H

#include <stddef.h>

#include "broker/bus/log.h"

struct server;

struct server_options {
    const char *name;
    const char *secret; /* see router.h; or NULL */
    const char *const *endpoints;
    size_t endpoint_count;
    const char *publish; /* the feed's; this or the next NULL: no feed */
    const char *subscribe;
    const char *const *replay_off; /* see router.h */
    size_t replay_off_count;
    struct log *log;
};

/* Bind everything. NULL when that fails, which is logged. Nothing of @options is kept but the
 * log. */
struct server *server_new(const struct server_options *options);
/* Accepts NULL. */
void server_destroy(struct server **self_p);
/* Run until SIGTERM or SIGINT and all that is under way has ended (DRAIN_MS_MAX at most); a second
 * signal ends the process at once. Returns the exit status. */
int server_run(struct server *self);

#endif
