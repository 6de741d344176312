/* The feed of leases: a SUB socket at one broker at a time, and the way to the next one.
 *
 * Socket options are libzmq's own but for bounds; its heartbeats abort the process when one is due
 * while the queue is full. A connection that ends is noticed by libzmq's own report, and another
 * broker is tried; one that is only silent is for the owner to give up.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_STORE_CACHED_FEED_H
#define PYGMY_STORE_CACHED_FEED_H

#include <czmq.h>
#include <jansson.h>

struct cached_feed;

/* All are called from the loop, and none may destroy the feed. */
struct cached_feed_owner {
    /* A message has come: an object, valid during the call. */
    void (*hear)(void *arg, const json_t *message);
    /* The connection has ended. What was said from now on may be missed. */
    void (*lost)(void *arg);
    /* What one turn may take was taken: of hear() and lost() the last. */
    void (*drained)(void *arg);
};

/* Connect to the first of @endpoints (1 or more; copied). @owner is borrowed. */
struct cached_feed *cached_feed_new(zloop_t *loop, const char *const *endpoints, size_t count,
                                    const struct cached_feed_owner *owner, void *arg);
/* Accepts NULL. */
void cached_feed_destroy(struct cached_feed **self_p);

/* Go on with the next broker, or with a new connection to the only one. What has come by the
 * present one is not heard any more, nor is lost() called. Not from within hear(). */
void cached_feed_next(struct cached_feed *self);

#endif
