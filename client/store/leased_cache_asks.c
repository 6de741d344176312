/* See leased_cache.h. This part: what is asked of the leader, when, and its answers.
 *
 * An answer counts only while its ask is in `sent`. A flush takes out what was asked before it, and
 * each OPEN and SYNC the one before itself; so an answer to an earlier try, of an earlier epoch, or
 * that comes twice, finds nothing. But a session is one whichever OPEN brought it: where the leader
 * is slow, or there was none for a while, the first answer is to the first try.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <czmq.h>

#include "broker/bus/err.h"
#include "client/store/leased_cache_internal.h"

static int64_t later(int64_t one_ms, int64_t other_ms)
{
    return one_ms > other_ms ? one_ms : other_ms;
}

static int64_t earlier(int64_t one_ms, int64_t other_ms)
{
    return one_ms < other_ms ? one_ms : other_ms;
}

/* ---- When ------------------------------------------------------------------------------------ */

/* A pause that doubles with each try that brought no lease. */
static int64_t asks_pause_ms(const struct leased_cache *self, int64_t first_ms, int64_t max_ms)
{
    int64_t pause_ms = first_ms;
    for (unsigned i = 1; i < self->tries && pause_ms < max_ms; i++)
        pause_ms *= 2;
    return earlier(pause_ms, max_ms);
}

/* Until what was sent now is asked for again, */
static int64_t asks_unanswered_ms(const struct leased_cache *self, enum leased_ask_type type)
{
    return type == LEASED_OPEN ? asks_pause_ms(self, LEASE_OPEN_MS, LEASE_OPEN_MS_MAX)
                               : asks_pause_ms(self, LEASE_ANSWER_MS, LEASE_BACKOFF_MS);
}

/* or what was refused. */
static int64_t asks_refused_ms(const struct leased_cache *self)
{
    return asks_pause_ms(self, LEASE_REPEAT_MS, LEASE_BACKOFF_MS);
}

void leased_ask_soon(struct leased_cache *self, int64_t now_ms)
{
    self->due_ms = later(now_ms, self->next_sync_ms);
}

/* An acknowledgement is due at once, whatever was refused: a writer waits for it. */
static int64_t asks_due_ms(const struct leased_cache *self)
{
    assert(self->synced || !self->ack_due);
    if (self->left)
        return INT64_MAX;
    const int64_t due_ms = self->ack_due ? 0 : self->due_ms;
    if (self->sent_count < LEASE_ASKS_MAX)
        return due_ms;
    return later(due_ms, self->sent[0].sent_ms + LEASE_ANSWER_MS);
}

static int64_t asks_silence_ms(const struct leased_cache *self)
{
    return self->synced ? self->heard_ms + LEASE_FEED_MS : INT64_MAX;
}

int64_t leased_cache_deadline_ms(const struct leased_cache *self)
{
    return earlier(asks_due_ms(self), asks_silence_ms(self));
}

/* ---- Asks ------------------------------------------------------------------------------------ */

static void sent_remove(struct leased_cache *self, size_t place)
{
    self->sent_count--;
    memmove(&self->sent[place], &self->sent[place + 1],
            (self->sent_count - place) * sizeof self->sent[0]);
}

/* Note what is sent now. Of SYNC the last try alone may be answered, of OPEN it alone may be
 * refused. */
static void sent_add(struct leased_cache *self, int64_t now_ms)
{
    if (!self->synced)
        self->sent_count = 0;
    else if (self->sent_count == LEASE_ASKS_MAX)
        sent_remove(self, 0);
    self->sent[self->sent_count++] = (struct leased_sent){++self->last_ask, now_ms};
}

/* The answer to @ask has come. Returns whether it may be answered; then it may no more. */
static bool sent_take(struct leased_cache *self, uint64_t ask, int64_t *sent_ms)
{
    for (size_t i = 0; i < self->sent_count; i++) {
        if (self->sent[i].ask != ask)
            continue;
        *sent_ms = self->sent[i].sent_ms;
        sent_remove(self, i);
        return true;
    }
    return false;
}

/* C4: each try of a SYNC has an epoch of its own. Its answer's seq covers all that was said before
 * it was sent, so what is kept begins anew. */
static void asks_begin_sync(struct leased_cache *self, int64_t now_ms)
{
    self->epoch++;
    self->next_sync_ms = now_ms + LEASE_REPEAT_MS;
    leased_drop_kept(self);
}

bool leased_cache_ask(struct leased_cache *self, int64_t now_ms, struct leased_ask *ask)
{
    if (now_ms >= asks_silence_ms(self))
        leased_flush(self, now_ms);
    if (now_ms < asks_due_ms(self))
        return false;
    const enum leased_ask_type type = self->session == 0 ? LEASED_OPEN
                                      : self->synced     ? LEASED_RENEW
                                                         : LEASED_SYNC;
    if (type == LEASED_SYNC)
        asks_begin_sync(self, now_ms);
    sent_add(self, now_ms);
    if (now_ms >= self->due_ms) {
        self->tries++;
        self->due_ms = now_ms + asks_unanswered_ms(self, type);
    }
    self->ack_due = false;
    *ask = (struct leased_ask){
        .type = type,
        .session = self->session,
        .term = self->term,
        .epoch = self->epoch,
        .ask = self->last_ask,
        .acked = type == LEASED_RENEW ? self->last_seq : 0,
    };
    return true;
}

/* ---- Answers --------------------------------------------------------------------------------- */

bool leased_cache_opened(struct leased_cache *self, uint64_t ask, uint64_t session, uint64_t term,
                         int64_t now_ms)
{
    /* An answer that was had, or is overtaken, may be of a session that the host has closed. */
    const bool late = ask <= self->opened_ask;
    assert(session != 0);
    if (!late)
        self->opened_ask = ask;
    if (self->session != 0 || self->left || late)
        return self->session == session;
    assert(!self->synced);
    self->session = session;
    self->sent_count = 0;
    if (term > self->term)
        self->term = term;
    leased_ask_soon(self, now_ms);
    return true;
}

/* C8. What is on its way to the leader may come after what is said now, and does no harm: nobody
 * takes the answer. */
uint64_t leased_cache_leave(struct leased_cache *self, int64_t now_ms)
{
    const uint64_t session = self->session;
    leased_flush(self, now_ms);
    self->session = 0;
    self->sent_count = 0;
    self->left = true;
    return session;
}

/* C2: from before the ask was sent, by a clock that may be too slow. A lease never ends earlier by
 * another answer: the leader keeps to the latest that it gave. Renewed is at a third. */
static void lease_take(struct leased_cache *self, int64_t sent_ms, int64_t remaining_ms)
{
    const int64_t length_ms =
        earlier(remaining_ms, LEASE_MS) * (1000 - LEASE_DRIFT_PERMILLE) / 1000;
    if (length_ms <= 0)
        return;
    self->tries = 0;
    if (sent_ms + length_ms <= self->expiry_ms)
        return;
    self->expiry_ms = sent_ms + length_ms;
    self->due_ms = sent_ms + later(length_ms / 3, LEASE_REPEAT_MS);
}

void leased_cache_synced(struct leased_cache *self, uint64_t ask, uint64_t epoch,
                         const struct leased_message *synced, int64_t remaining_ms, int64_t now_ms)
{
    int64_t sent_ms;
    if (self->session == 0 || self->synced || epoch != self->epoch || synced->term != self->term ||
        !sent_take(self, ask, &sent_ms))
        return;
    self->due_ms = now_ms + asks_refused_ms(self);
    lease_take(self, sent_ms, remaining_ms);
    leased_feed_begin(self, synced, now_ms);
}

/* C7: whether the lease has run out meanwhile does not matter; what was stored stays. */
void leased_cache_granted(struct leased_cache *self, uint64_t ask, uint64_t epoch, uint64_t term,
                          int64_t remaining_ms, int64_t now_ms)
{
    int64_t sent_ms;
    (void)now_ms;
    if (!self->synced || epoch != self->epoch || term != self->term ||
        !sent_take(self, ask, &sent_ms))
        return;
    self->renewals++;
    lease_take(self, sent_ms, remaining_ms);
}

/* The leader knows no such session: there can't be a lease, and another session has to be opened.
 * This may be another cluster, so whoever opens it tells what the term is. */
static void asks_lose_session(struct leased_cache *self, int64_t now_ms)
{
    leased_flush(self, now_ms);
    self->session = 0;
    self->term = 0;
    self->due_ms = now_ms + asks_refused_ms(self);
}

void leased_cache_refused(struct leased_cache *self, uint64_t ask, int code, int64_t now_ms)
{
    int64_t sent_ms;
    if (!sent_take(self, ask, &sent_ms))
        return;
    if (code == ERR_NOT_FOUND && self->session != 0)
        asks_lose_session(self, now_ms);
    else if (code == ERR_MISMATCH && self->synced)
        leased_flush(self, now_ms);
    else if (self->tries > 0)
        self->due_ms = now_ms + asks_refused_ms(self);
}
