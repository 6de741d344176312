/* What a leased cache and the catalog's leader say to each other, as JSON (docs/protocol.md,
 * "Leased caches"). Pure.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_STORE_LEASE_WIRE_H
#define PYGMY_STORE_LEASE_WIRE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/store/leased_cache.h"

/* The request of an ask, without a secret; the caller's. @cluster: that the session is one of; OPEN
 * has none. */
json_t *lease_wire_request(const struct leased_ask *ask, const char *cluster);

/* That the session of the cluster is over; the same. */
json_t *lease_wire_close(uint64_t session, const char *cluster);

/* A message of the feed, or what SYNCED and GRANT say. */
struct lease_said {
    struct leased_message message; /* its keys point into the JSON; its type counts in the feed */
    const char *cluster;           /* in the JSON; NULL: not said */
    uint64_t session;              /* 0: not said, as for all below */
    uint64_t epoch;
    uint64_t ask;
    int64_t remaining_ms;
    const char **keys; /* the array of the message */
};

/* Read a message of the feed, or the answer to an ask of that type. Returns whether it is one; then
 * lease_said_close() is to be called, and @json has to live as long. */
bool lease_wire_news(const json_t *json, struct lease_said *said);
bool lease_wire_answer(const json_t *json, enum leased_ask_type type, struct lease_said *said);
void lease_said_close(struct lease_said *self);

#endif
