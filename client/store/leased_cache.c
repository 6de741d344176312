/* See leased_cache.h. This part: what is read, and what is stored.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/store/leased_cache.h"

#include <assert.h>
#include <czmq.h>

#include "broker/bus/alloc.h"
#include "broker/bus/number_table.h"
#include "client/store/leased_cache_internal.h"

/* ---- Life ------------------------------------------------------------------------------------ */

static void fill_free(void **fill_p)
{
    free(*fill_p);
    *fill_p = NULL;
}

struct leased_cache *leased_cache_new(const struct leased_cache_options *options)
{
    struct leased_cache *self = alloc_zero(sizeof *self);
    assert(options->now_ms != NULL);
    self->options = *options;
    self->entries = leased_entries_new(options->entries_max, options->bytes_max);
    self->fills = number_table_new();
    zhashx_set_destructor(self->fills, fill_free);
    self->fills_by_key = leased_key_table_new();
    self->pending = leased_key_table_new();
    zhashx_set_destructor(self->pending, fill_free);
    self->next_sync_ms = INT64_MIN;
    return self;
}

void leased_cache_destroy(struct leased_cache **self_p)
{
    struct leased_cache *self = *self_p;
    if (self == NULL)
        return;
    leased_drop_kept(self);
    zhashx_destroy(&self->pending);
    zhashx_destroy(&self->fills_by_key);
    zhashx_destroy(&self->fills);
    leased_entries_destroy(&self->entries);
    free(self);
    *self_p = NULL;
}

struct leased_key leased_key_in(const struct leased_cache *self, const char *text)
{
    return leased_key_of(self->options.hash_seed, text);
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* Whether a lease of this epoch is valid. The clock is read here and now. */
static bool lease_is_valid(const struct leased_cache *self)
{
    assert(self->synced || self->expiry_ms == 0);
    return self->expiry_ms != 0 && self->options.now_ms(self->options.arg) < self->expiry_ms;
}

/* C1: first the entry, then the clock, then the comparison. */
bool leased_cache_get(struct leased_cache *self, const char *key, struct leased_value *value)
{
    const struct leased_key hashed = leased_key_in(self, key);
    const struct leased_entry *entry = leased_entries_take(self->entries, &hashed);
    if (entry == NULL)
        return false;
    self->found++;
    if (!lease_is_valid(self))
        return false;
    /* A flush drops all entries and begins an epoch, so entry and lease are of the same one. */
    assert(entry->epoch == self->epoch);
    self->hits++;
    *value = (struct leased_value){entry->data, entry->size};
    return true;
}

/* ---- Fills ----------------------------------------------------------------------------------- */

static struct leased_fill *fill_begin(struct leased_cache *self, const struct leased_key *key)
{
    struct leased_fill *fill = alloc_zero(sizeof *fill + key->size + 1);
    memcpy(fill->text, key->text, key->size);
    fill->key = (struct leased_key){key->hash, key->size, fill->text};
    fill->token = ++self->last_token;
    fill->watermark = self->watermark;
    (void)zhashx_insert(self->fills, &fill->token, fill);
    (void)zhashx_insert(self->fills_by_key, &fill->key, fill);
    return fill;
}

/* C5, C6. To join a fill takes what it takes to begin one. That one's watermark may be lower than
 * the present one: it was high enough for this key, which was not pending then or since. */
enum leased_miss leased_cache_miss(struct leased_cache *self, const char *key, uint64_t *token,
                                   uint64_t *watermark)
{
    const struct leased_key hashed = leased_key_in(self, key);
    struct leased_fill *fill = zhashx_lookup(self->fills_by_key, &hashed);
    const bool joins = fill != NULL;
    self->misses++;
    if (!lease_is_valid(self) || leased_is_pending(self, &hashed) ||
        (!joins && zhashx_size(self->fills) == LEASE_FILLS_MAX)) {
        self->passes++;
        return LEASED_PASS;
    }
    self->joins += joins;
    if (!joins)
        fill = fill_begin(self, &hashed);
    assert(!fill->poisoned);
    *token = fill->token;
    *watermark = fill->watermark;
    return joins ? LEASED_JOIN : LEASED_FILL;
}

static void fill_store(struct leased_cache *self, const struct leased_fill *fill,
                       const struct leased_value *value)
{
    const size_t gone =
        leased_entries_put(self->entries, &fill->key, self->epoch, value->data, value->size);
    if (gone == SIZE_MAX) {
        self->discarded++;
        return;
    }
    self->stored++;
    self->evicted += gone;
}

/* C5: one that is not poisoned is of this epoch, and nothing was said of its key since it began.
 * Whether there is a lease does not matter here. */
void leased_cache_fill(struct leased_cache *self, uint64_t token, const struct leased_value *value)
{
    struct leased_fill *fill = zhashx_lookup(self->fills, &token);
    assert(fill != NULL);
    if (!fill->poisoned) {
        assert(self->synced && !leased_is_pending(self, &fill->key));
        zhashx_delete(self->fills_by_key, &fill->key);
        if (value != NULL)
            fill_store(self, fill, value);
    } else if (value != NULL) {
        self->discarded++;
    }
    zhashx_delete(self->fills, &token);
}

void leased_poison_all(struct leased_cache *self)
{
    struct leased_fill *fill;
    for (fill = zhashx_first(self->fills_by_key); fill != NULL;
         fill = zhashx_next(self->fills_by_key))
        fill->poisoned = true;
    zhashx_purge(self->fills_by_key);
}

void leased_forget(struct leased_cache *self, const struct leased_key *key)
{
    struct leased_fill *fill = zhashx_lookup(self->fills_by_key, key);
    (void)leased_entries_remove(self->entries, key);
    if (fill == NULL)
        return;
    fill->poisoned = true;
    zhashx_delete(self->fills_by_key, key);
}

void leased_cache_drop(struct leased_cache *self, const char *key)
{
    if (key == NULL) {
        leased_entries_clear(self->entries);
        leased_poison_all(self);
    } else {
        const struct leased_key hashed = leased_key_in(self, key);
        leased_forget(self, &hashed);
    }
}

/* ---- Sight ----------------------------------------------------------------------------------- */

static int64_t lease_left_ms(const struct leased_cache *self)
{
    if (self->expiry_ms == 0)
        return 0;
    const int64_t left_ms = self->expiry_ms - self->options.now_ms(self->options.arg);
    return left_ms > 0 ? left_ms : 0;
}

void leased_cache_count(const struct leased_cache *self, struct leased_counts *counts)
{
    *counts = (struct leased_counts){
        .entries = leased_entries_count(self->entries),
        .bytes = leased_entries_bytes(self->entries),
        .pending = zhashx_size(self->pending),
        .fills = zhashx_size(self->fills),
        .all_pending = self->all_pending,
        .synced = self->synced,
        .session = self->session,
        .term = self->term,
        .epoch = self->epoch,
        .watermark = self->watermark,
        .lease_left_ms = lease_left_ms(self),
        .found = self->found,
        .hits = self->hits,
        .misses = self->misses,
        .joins = self->joins,
        .passes = self->passes,
        .stored = self->stored,
        .discarded = self->discarded,
        .evicted = self->evicted,
        .invalidated = self->invalidated,
        .flushes = self->flushes,
        .renewals = self->renewals,
    };
}
