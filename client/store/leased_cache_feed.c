/* See leased_cache.h. This part: the leader's feed, and the flush.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <czmq.h>

#include "broker/bus/alloc.h"
#include "client/store/leased_cache_internal.h"

/* ---- Pending keys ---------------------------------------------------------------------------- */

bool leased_is_pending(const struct leased_cache *self, const struct leased_key *key)
{
    return self->all_pending || zhashx_lookup(self->pending, key) != NULL;
}

/* Returns whether there was room. */
static bool pending_add(struct leased_cache *self, const struct leased_key *key)
{
    if (zhashx_lookup(self->pending, key) != NULL)
        return true;
    if (zhashx_size(self->pending) == LEASE_KEYS_MAX)
        return false;
    struct leased_key *own = alloc_zero(sizeof *own + key->size + 1);
    char *text = (char *)(own + 1);
    memcpy(text, key->text, key->size);
    *own = (struct leased_key){key->hash, key->size, text};
    (void)zhashx_insert(self->pending, own, own);
    return true;
}

static void pending_clear(struct leased_cache *self)
{
    zhashx_purge(self->pending);
    self->all_pending = false;
}

/* ---- What is kept ---------------------------------------------------------------------------- */

static void kept_free(struct leased_message *self)
{
    for (size_t i = 0; i < self->count; i++)
        free((char *)(uintptr_t)self->keys[i]);
    free((void *)(uintptr_t)self->keys);
    *self = (struct leased_message){0};
}

static struct leased_message kept_copy(const struct leased_message *message)
{
    struct leased_message self = *message;
    char **keys = alloc_zero((message->count + 1) * sizeof *keys);
    for (size_t i = 0; i < message->count; i++)
        keys[i] = alloc_copy(message->keys[i], strlen(message->keys[i]));
    self.keys = (const char *const *)keys;
    return self;
}

void leased_drop_kept(struct leased_cache *self)
{
    while (self->kept_count > 0)
        kept_free(&self->kept[--self->kept_count]);
}

/* A message has come during a SYNC: SYNCED tells whether it counts (C4). A beat never does: the
 * next one says as much. */
static void feed_keep(struct leased_cache *self, const struct leased_message *message,
                      int64_t now_ms)
{
    size_t place = self->kept_count;
    while (place > 0 && self->kept[place - 1].seq > message->seq)
        place--;
    if (message->type == LEASED_BEAT || (place > 0 && self->kept[place - 1].seq == message->seq))
        return;
    if (self->kept_count == LEASE_KEPT_MAX) {
        leased_flush(self, now_ms);
        return;
    }
    memmove(&self->kept[place + 1], &self->kept[place],
            (self->kept_count - place) * sizeof self->kept[0]);
    self->kept[place] = kept_copy(message);
    self->kept_count++;
}

/* ---- The flush ------------------------------------------------------------------------------- */

/* Who is granted leases, but hears nothing, makes each writer wait for the end of one: it syncs
 * ever more seldom. The first time nothing is to be concluded, for the connection may be just the
 * next broker's. */
static int64_t flush_pause_ms(const struct leased_cache *self)
{
    int64_t pause_ms = self->deaf > 1 ? LEASE_ANSWER_MS : 0;
    for (unsigned i = 2; i < self->deaf && pause_ms < LEASE_BACKOFF_MS; i++)
        pause_ms *= 2;
    return pause_ms < LEASE_BACKOFF_MS ? pause_ms : LEASE_BACKOFF_MS;
}

void leased_flush(struct leased_cache *self, int64_t now_ms)
{
    /* One that was refused, or has no session, asks when it would have asked anyway. */
    const bool asks = self->synced || (self->session != 0 && self->sent_count > 0);
    if (self->synced)
        self->deaf = self->heard ? 0 : self->deaf + 1;
    leased_entries_clear(self->entries);
    leased_poison_all(self);
    pending_clear(self);
    leased_drop_kept(self);
    self->epoch++;
    self->synced = false;
    self->expiry_ms = 0;
    self->ack_due = false;
    self->flushes++;
    if (self->session != 0)
        self->sent_count = 0;
    if (asks)
        leased_ask_soon(self, now_ms + flush_pause_ms(self));
}

void leased_cache_lose(struct leased_cache *self, int64_t now_ms)
{
    leased_flush(self, now_ms);
}

/* ---- Messages -------------------------------------------------------------------------------- */

static void feed_invalidate(struct leased_cache *self, const struct leased_message *message,
                            int64_t now_ms)
{
    self->invalidated += message->count + message->all;
    if (message->all) {
        leased_entries_clear(self->entries);
        leased_poison_all(self);
        pending_clear(self);
        self->all_pending = true;
    }
    for (size_t i = 0; i < message->count; i++) {
        const struct leased_key key = leased_key_in(self, message->keys[i]);
        leased_forget(self, &key);
        if (!pending_add(self, &key)) {
            leased_flush(self, now_ms);
            return;
        }
    }
    self->last_seq = message->seq;
    self->ack_due = true;
}

static void feed_release(struct leased_cache *self, const struct leased_message *message)
{
    for (size_t i = 0; i < message->count; i++) {
        const struct leased_key key = leased_key_in(self, message->keys[i]);
        zhashx_delete(self->pending, &key);
    }
    if (message->all)
        self->all_pending = false;
    if (message->index > self->watermark)
        self->watermark = message->index;
    self->last_seq = message->seq;
}

/* C3. Nobody waits for the acknowledgement of a RELEASE. */
static void feed_take(struct leased_cache *self, const struct leased_message *message,
                      int64_t now_ms)
{
    assert(self->synced && message->term == self->term);
    self->heard = true;
    const bool beat = message->type == LEASED_BEAT;
    if (message->seq <= self->last_seq)
        self->ack_due = self->ack_due || message->type == LEASED_INVALIDATE;
    else if (beat || message->seq > self->last_seq + 1)
        leased_flush(self, now_ms);
    else if (message->type == LEASED_INVALIDATE)
        feed_invalidate(self, message, now_ms);
    else
        feed_release(self, message);
}

void leased_cache_hear(struct leased_cache *self, const struct leased_message *message,
                       int64_t now_ms)
{
    /* Without a session it is whoever opens one that tells the term: what is heard now may be
     * another cluster's, whose terms were higher. */
    if (self->session == 0 || message->term < self->term)
        return;
    if (message->term > self->term) {
        self->term = message->term;
        leased_flush(self, now_ms);
        self->tries = 0;
        leased_ask_soon(self, now_ms);
    }
    self->heard_ms = now_ms;
    if (self->synced)
        feed_take(self, message, now_ms);
    else if (self->sent_count > 0)
        feed_keep(self, message, now_ms);
    /* What was said before the SYNC is sent is covered by the seq of its answer. */
}

void leased_feed_begin(struct leased_cache *self, const struct leased_message *synced,
                       int64_t now_ms)
{
    assert(leased_entries_count(self->entries) == 0 && zhashx_size(self->fills_by_key) == 0);
    assert(zhashx_size(self->pending) == 0 && !self->all_pending && !self->ack_due);
    self->all_pending = synced->all || synced->count > LEASE_KEYS_MAX;
    for (size_t i = 0; i < synced->count && !self->all_pending; i++) {
        const struct leased_key key = leased_key_in(self, synced->keys[i]);
        (void)pending_add(self, &key);
    }
    self->synced = true;
    self->heard = false;
    self->last_seq = synced->seq;
    self->watermark = synced->index;
    self->heard_ms = now_ms;
    /* What is not above the seq is known already. A flush ends the loop: it drops what is kept. */
    for (size_t i = 0; i < self->kept_count; i++)
        feed_take(self, &self->kept[i], now_ms);
    leased_drop_kept(self);
}
