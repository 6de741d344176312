/* Reads whose answers the cache may keep, and those who wait for them.
 *
 * One read serves all who ask for a key while it may be joined (leased_cache_miss()). It has the
 * time of the one for whom it was begun. Those who joined it wait within their own: when it fails
 * for that other's lack of time, they may begin anew.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_STORE_CACHED_FILLS_H
#define PYGMY_STORE_CACHED_FILLS_H

#include "client/store/cached_values.h"

struct cached_fills;
struct cached_waiter;

/* The answer; @value NULL: there is none that could be kept, because it failed or because it says
 * something else. The waiter waits no more. */
typedef void cached_waiter_fn(struct cached_waiter *self, const struct pygmy_reply *reply,
                              const struct leased_value *value);

/* Part of whoever waits. */
struct cached_waiter {
    struct cached_waiter *before, *after; /* a ring with the others; NULL: it does not wait */
    struct cached_fills *fills;
    bool joined;
    cached_waiter_fn *done;
};

/* What is to be read: the item @id, or the list of ids of @topic. */
struct cached_read {
    const char *key; /* NULL: the leader is to tell it */
    int64_t id;
    const char *topic;      /* NULL: an item */
    const char *request_id; /* or NULL */
    int64_t left_ms;        /* above 0 */
};

struct cached_fills *cached_fills_new(struct pygmy *store, struct leased_cache *cache);
/* After the handle's calls. Nobody is called. Accepts NULL. */
void cached_fills_destroy(struct cached_fills **self_p);

/* What to do about a key that is not there. LEASED_PASS: the waiter does not wait. Its `done` is
 * called later. */
enum leased_miss cached_fills_miss(struct cached_fills *self, const struct cached_read *read,
                                   struct cached_waiter *waiter);
/* Ask the leader for a topic's key and list; the answer is not kept, nor may it be joined. Returns
 * whether the waiter waits; false: CACHE_WAITERS_MAX do. */
bool cached_fills_ask(struct cached_fills *self, const struct cached_read *read,
                      struct cached_waiter *waiter);

/* Wait no more, if it does. */
void cached_waiter_leave(struct cached_waiter *self);
/* Whether one that got an answer without a value may begin anew: it failed by another's lack of
 * time. */
bool cached_waiter_may_retry(const struct cached_waiter *self, const struct pygmy_reply *reply,
                             int64_t left_ms);

#endif
