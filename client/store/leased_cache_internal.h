/* What the sources of the leased cache share. Nobody else includes this.
 *
 * leased_cache.c        reading: get, fills, drop
 * leased_cache_feed.c   the feed: pending keys, what is kept during a SYNC, the flush
 * leased_cache_asks.c   the leader: session, SYNC, lease; when to ask
 *
 * Three states, by `session` and `synced`; leased_flush() is the way back from the last one.
 *
 *   no session       OPEN is asked for.       leased_cache_opened() ->
 *   not synced       SYNC is asked for.       leased_cache_synced() ->
 *   synced           RENEW is asked for; a lease, when there is one. ERR_NOT_FOUND -> no session
 *
 * leased_cache_leave() ends in the first one, in which nothing is asked for any more.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_STORE_LEASED_CACHE_INTERNAL_H
#define PYGMY_STORE_LEASED_CACHE_INTERNAL_H

#include "broker/bus/limits.h"
#include "client/store/leased_cache.h"
#include "client/store/leased_entries.h"

struct leased_fill {
    uint64_t token;
    uint64_t watermark; /* at its beginning */
    bool poisoned;
    struct leased_key key; /* its text stands in `text` */
    char text[];
};

/* An ask that may be answered yet. */
struct leased_sent {
    uint64_t ask;
    int64_t sent_ms;
};

struct leased_cache {
    struct leased_cache_options options;

    struct leased_entries *entries;
    zhashx_t *fills;        /* by token; owns them */
    zhashx_t *fills_by_key; /* those that are not poisoned, and so all of this epoch */
    uint64_t last_token;

    uint64_t term;  /* the highest that was heard of */
    uint64_t epoch; /* rises with each flush and each SYNC, and never falls, whatever the session */
    bool synced;
    uint64_t last_seq;  /* synced: all of the feed up to here was applied */
    uint64_t watermark; /* synced */
    zhashx_t *pending;  /* by key; owns struct leased_key in one piece with their text */
    struct leased_message kept[LEASE_KEPT_MAX]; /* during a SYNC; by seq, rising; keys are owned */
    size_t kept_count;
    bool all_pending; /* every key there is, beside those that are named */
    bool heard;       /* synced: the feed has said something since */
    unsigned deaf;    /* epochs in a row that ended before it had */
    int64_t heard_ms; /* synced: the feed, last */

    int64_t expiry_ms; /* of the lease of this epoch, by options.now_ms(); 0: there was none */

    uint64_t session; /* 0: none */
    uint64_t last_ask;
    uint64_t opened_ask;                     /* the highest that a session came for, taken or not */
    struct leased_sent sent[LEASE_ASKS_MAX]; /* oldest first; one at most while not synced */
    size_t sent_count;
    bool left;            /* there will be no session any more */
    bool ack_due;         /* synced: `last_seq` is to be acknowledged, at once */
    unsigned tries;       /* asks that were due, since the last one that brought a lease */
    int64_t due_ms;       /* when to ask again for what the state asks for */
    int64_t next_sync_ms; /* no SYNC before */

    uint64_t found, hits, misses, joins, passes, stored, discarded, evicted, invalidated, flushes,
        renewals;
};

/* leased_cache.c: no fill that is under way stores anything, nor is joined. */
void leased_poison_all(struct leased_cache *self);
/* The same of @key; and what is stored of it goes. */
void leased_forget(struct leased_cache *self, const struct leased_key *key);
struct leased_key leased_key_in(const struct leased_cache *self, const char *text);

/* leased_cache_feed.c */
bool leased_is_pending(const struct leased_cache *self, const struct leased_key *key);
/* C4: let go of everything, and SYNC anew. */
void leased_flush(struct leased_cache *self, int64_t now_ms);
/* SYNCED has come: begin where it says, and go on with what was kept. */
void leased_feed_begin(struct leased_cache *self, const struct leased_message *synced,
                       int64_t now_ms);
void leased_drop_kept(struct leased_cache *self);

/* leased_cache_asks.c: ask again as soon as may be. */
void leased_ask_soon(struct leased_cache *self, int64_t now_ms);

#endif
