/* The feed's way through a broker: publishers connect to one endpoint, subscribers to another, and
 * what is published goes to those who asked for it. Subscriptions go the other way, so that nothing
 * is sent to the broker that nobody wants.
 *
 * It never waits. A subscriber that does not read loses messages (counted), as is the feed's
 * contract: who needs all of it sees the gap and asks a replica. Topics between replicas
 * (FEED_TOPIC_PRIVATE) are not relayed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BROKER_RELAY_H
#define PYGMY_BROKER_RELAY_H

#include <czmq.h>
#include <stdint.h>

struct relay;

struct relay_counts {
    uint64_t relayed; /* messages */
    uint64_t dropped; /* messages that at least one subscriber was too slow for */
    uint64_t refused; /* messages and subscriptions of private topics, and malformed ones */
};

/* Bind XSUB at @publish and XPUB at @subscribe, and register with @loop. NULL when binding fails;
 * errno says why and @failed, unless NULL, which endpoint. */
struct relay *relay_new(zloop_t *loop, const char *publish, const char *subscribe,
                        const char **failed);
/* Accepts NULL. */
void relay_destroy(struct relay **self_p);
struct relay_counts relay_counts(const struct relay *self);

#endif
