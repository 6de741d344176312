/* A cache that is never stale: what it holds under a lease, when it may serve it, and what it tells
 * the group's leader. The leader's side and the protocol, with the rules' numbers that are used
 * here, are docs/consistency.md.
 *
 * Pure: messages come in with the time; what is to be sent comes back as asks from
 * leased_cache_ask(). One exception is the heart of it: leased_cache_get() takes the entry first
 * and reads the clock after that (C1), so the clock is a function that is given to it. It has to be
 * CLOCK_BOOTTIME, read when it is called: never a loop's cached time, nor a flag that a timer sets.
 *
 * One thread. An *epoch* is the time between two flushes. *Pending* is a key that is being changed:
 * it is neither served nor stored. The *watermark* is the log index that a replica must have
 * applied to answer a fill. A *fill* is a read whose answer may be stored; it is *poisoned* by what
 * makes its answer too old to be stored, and nobody joins it then.
 *
 * Invariants
 *   L1  served is only what was stored in the epoch that is, while a lease of that epoch was valid
 *       by a clock that was read after the entry was taken and after the request came.
 *   L2  a lease ends LEASE_DRIFT_PERMILLE early by its own clock, counted from before its ask was
 *       sent.
 *   L3  messages of the feed are applied in order, in their term, without a gap, each once; an
 *       acknowledgement is never ahead of what was applied.
 *   L4  an entry is stored only by a fill of this epoch that is not poisoned, of a key that is not
 *       pending.
 *   L5  entries and bytes are bounded; what was not used longest goes first. Fills are bounded too,
 *       and so are pending keys and what is kept of the feed during a SYNC: at those bounds it
 *       begins anew.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_STORE_LEASED_CACHE_H
#define PYGMY_STORE_LEASED_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct leased_cache;

struct leased_cache_options {
    size_t entries_max;
    size_t bytes_max;             /* keys and values */
    uint64_t hash_seed;           /* a secret: whoever asks chooses keys */
    int64_t (*now_ms)(void *arg); /* above 0; it calls nothing here but leased_cache_count() */
    void *arg;
};

/* Bytes of a value are copied; the cache never looks into them. */
struct leased_cache *leased_cache_new(const struct leased_cache_options *options);
/* Accepts NULL. */
void leased_cache_destroy(struct leased_cache **self_p);

/* ---- Reading --------------------------------------------------------------------------------- */

struct leased_value {
    const void *data;
    size_t size;
};

/* Whether @key is here and may be served; then @value is valid until the next call of any function
 * but this one and leased_cache_miss(). */
bool leased_cache_get(struct leased_cache *self, const char *key, struct leased_value *value);

enum leased_miss {
    LEASED_FILL, /* ask any replica that has applied @watermark, then leased_cache_fill() */
    LEASED_JOIN, /* somebody does already: take that one's answer, of the same @token */
    LEASED_PASS, /* a linearizable read of one's own; the answer is not stored */
};

/* What to do about a key that leased_cache_get() did not have, asked for a request that came by
 * now.
 *
 * @token      of the fill, never used twice
 * @watermark  a log index; 0: any */
enum leased_miss leased_cache_miss(struct leased_cache *self, const char *key, uint64_t *token,
                                   uint64_t *watermark);
/* The fill's answer has come, once for each LEASED_FILL: it is stored if it may be. NULL: it
 * failed. Whoever joined may have the answer in any case: it was fresh when they joined. */
void leased_cache_fill(struct leased_cache *self, uint64_t token, const struct leased_value *value);

/* Let go, as an operator asks: of one key, or (NULL) of all of them. The lease stays. Running fills
 * are poisoned. */
void leased_cache_drop(struct leased_cache *self, const char *key);

/* ---- Messages -------------------------------------------------------------------------------- */

enum leased_news { LEASED_INVALIDATE, LEASED_RELEASE, LEASED_BEAT };

/* A message of the feed, borrowed. */
struct leased_message {
    enum leased_news type;
    uint64_t term;
    uint64_t seq;
    const char *const *keys;
    size_t count;
    /* Every key: those, too, that were named before, which are then not released by name. RELEASE
     * of all lifts nothing that was named since. */
    bool all;
    uint64_t index; /* RELEASE */
};

void leased_cache_hear(struct leased_cache *self, const struct leased_message *message,
                       int64_t now_ms);
/* The feed may have lost something (another broker, a new connection). */
void leased_cache_lose(struct leased_cache *self, int64_t now_ms);

enum leased_ask_type { LEASED_OPEN, LEASED_SYNC, LEASED_RENEW };

/* To the group's leader. */
struct leased_ask {
    enum leased_ask_type type;
    uint64_t session; /* SYNC, RENEW */
    uint64_t term;
    uint64_t epoch;
    uint64_t ask;
    uint64_t acked; /* RENEW */
};

/* What to send now, if anything; @now_ms is read before it is sent. To be called until there is
 * nothing more, after every message and answer, and when leased_cache_deadline_ms() has come.
 *
 * Each ask has a number of its own, and each SYNC an epoch of its own, which are not used again by
 * this cache, in whatever session. A lease is renewed when a third of it is over; what gets no
 * answer, or is refused, is asked again after a pause that doubles up to LEASE_BACKOFF_MS (for a
 * session, LEASE_OPEN_MS_MAX). So is SYNC where the feed was silent from one to the next. An
 * acknowledgement is sent at once; while LEASE_ASKS_MAX asks are under way it waits. */
bool leased_cache_ask(struct leased_cache *self, int64_t now_ms, struct leased_ask *ask);
int64_t leased_cache_deadline_ms(const struct leased_cache *self);

/* The end: everything goes, and from now on nothing is served, stored or asked, whatever comes.
 * Returns the session that is over, of which the leader may be told now; 0: there is none. */
uint64_t leased_cache_leave(struct leased_cache *self, int64_t now_ms);

/* What the leader answered: the session that it opened, to whichever of the asks for one. Returns
 * whether it is this cache's from now on; else the cache has one already, or this was said before
 * or is overtaken, and this one is to be closed; */
bool leased_cache_opened(struct leased_cache *self, uint64_t ask, uint64_t session, uint64_t term,
                         int64_t now_ms);
/* SYNCED, whose keys are those of @synced (its type is not looked at), and its index the commit
 * index; */
void leased_cache_synced(struct leased_cache *self, uint64_t ask, uint64_t epoch,
                         const struct leased_message *synced, int64_t remaining_ms, int64_t now_ms);
/* GRANT; */
void leased_cache_granted(struct leased_cache *self, uint64_t ask, uint64_t epoch, uint64_t term,
                          int64_t remaining_ms, int64_t now_ms);
/* or that it refuses (lease_table.h has the codes), or that no answer came in time. */
void leased_cache_refused(struct leased_cache *self, uint64_t ask, int code, int64_t now_ms);

/* ---- Sight ----------------------------------------------------------------------------------- */

struct leased_counts {
    size_t entries, bytes, pending, fills; /* now */
    bool all_pending, synced;
    uint64_t session, term, epoch, watermark;
    int64_t lease_left_ms; /* 0: none */
    uint64_t found;        /* by leased_cache_get(): `hits` of them could be served */
    uint64_t misses;       /* `joins` and `passes` are among them, the others are fills */
    uint64_t hits, joins, passes, stored, discarded, evicted, invalidated, flushes, renewals;
};
void leased_cache_count(const struct leased_cache *self, struct leased_counts *counts);

#endif
