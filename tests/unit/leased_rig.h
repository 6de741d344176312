/* A leased cache with a clock, and what tests tell it and expect of it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_LEASED_RIG_H
#define PYGMY_TESTS_LEASED_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "client/store/leased_cache.h"

enum { TERM = 7, SESSION = 11, SEQ = 40, INDEX = 900, LEASE_LOCAL_MS = 990 };

/* A cache with its clock, and its last ask. */
struct rig {
    struct leased_cache *cache;
    int64_t now_ms;
    struct leased_ask ask;
    struct leased_counts looked; /* test_the_clock_is_read_after_the_entry_was_taken */
    size_t looks;
    bool looking;
};

static inline int64_t rig_clock(void *arg)
{
    return ((struct rig *)arg)->now_ms;
}

static inline void rig_begin_with(struct rig *self, size_t entries_max, size_t bytes_max)
{
    *self = (struct rig){.now_ms = 10000};
    self->cache = leased_cache_new(&(struct leased_cache_options){
        .entries_max = entries_max, .bytes_max = bytes_max, .now_ms = rig_clock, .arg = self});
}

static inline void rig_end(struct rig *self)
{
    leased_cache_destroy(&self->cache);
    assert_null(self->cache);
    leased_cache_destroy(&self->cache);
}

static inline struct leased_counts counts_of(const struct rig *self)
{
    struct leased_counts counts;
    leased_cache_count(self->cache, &counts);
    return counts;
}

/* ---- The leader's words ---------------------------------------------------------------------- */

static inline void expect_ask(struct rig *self, enum leased_ask_type type)
{
    const struct leased_ask last = self->ask;
    assert_true(leased_cache_ask(self->cache, self->now_ms, &self->ask));
    assert_int_equal(self->ask.type, type);
    assert_true(self->ask.ask > last.ask);
    assert_true(self->ask.epoch >= last.epoch &&
                (type != LEASED_SYNC || self->ask.epoch > last.epoch));
}

static inline void expect_no_ask(struct rig *self)
{
    struct leased_ask ask;
    assert_false(leased_cache_ask(self->cache, self->now_ms, &ask));
    assert_true(leased_cache_deadline_ms(self->cache) > self->now_ms);
}

/* The next ask, at its time, which is in so many milliseconds. */
static inline void expect_ask_in(struct rig *self, int64_t ms, enum leased_ask_type type)
{
    expect_no_ask(self);
    assert_int_equal(leased_cache_deadline_ms(self->cache), self->now_ms + ms);
    self->now_ms += ms - 1;
    expect_no_ask(self);
    self->now_ms++;
    expect_ask(self, type);
}

static inline void expect_acked(struct rig *self, uint64_t seq)
{
    expect_ask(self, LEASED_RENEW);
    assert_int_equal(self->ask.acked, seq);
}

static inline void opened(struct rig *self)
{
    assert_true(leased_cache_opened(self->cache, self->ask.ask, SESSION, TERM, self->now_ms));
}

/* SYNCED to @ask, @pending a key or NULL. */
static inline void synced_to(struct rig *self, const struct leased_ask *ask, uint64_t seq,
                             const char *pending, int64_t remaining_ms)
{
    const struct leased_message message = {
        .term = ask->term, .seq = seq, .keys = &pending, .count = pending != NULL, .index = INDEX};
    leased_cache_synced(self->cache, ask->ask, ask->epoch, &message, remaining_ms, self->now_ms);
}

static inline void granted_to(struct rig *self, const struct leased_ask *ask, int64_t remaining_ms)
{
    leased_cache_granted(self->cache, ask->ask, ask->epoch, ask->term, remaining_ms, self->now_ms);
}

static inline void refused(struct rig *self, int code)
{
    leased_cache_refused(self->cache, self->ask.ask, code, self->now_ms);
}

static inline void hear(struct rig *self, enum leased_news type, uint64_t seq, const char *key)
{
    const struct leased_message message = {.type = type,
                                           .term = TERM,
                                           .seq = seq,
                                           .keys = &key,
                                           .count = key != NULL,
                                           .all = key == NULL && type != LEASED_BEAT,
                                           .index = INDEX + seq};
    leased_cache_hear(self->cache, &message, self->now_ms);
}

static inline void beat(struct rig *self, uint64_t term, uint64_t seq)
{
    const struct leased_message message = {.type = LEASED_BEAT, .term = term, .seq = seq};
    leased_cache_hear(self->cache, &message, self->now_ms);
}

/* Time goes by without silence of the feed. */
static inline void pass(struct rig *self, int64_t ms, uint64_t seq)
{
    self->now_ms += ms;
    beat(self, TERM, seq);
}

/* One with a session that asks for its SYNC. */
static inline void rig_begin_unsynced(struct rig *self)
{
    rig_begin_with(self, 100, 10000);
    expect_ask(self, LEASED_OPEN);
    opened(self);
    expect_ask(self, LEASED_SYNC);
}

/* One that is synced at SEQ, with a whole lease. */
static inline void rig_begin(struct rig *self)
{
    rig_begin_unsynced(self);
    synced_to(self, &self->ask, SEQ, NULL, LEASE_MS);
    assert_int_equal(counts_of(self).lease_left_ms, LEASE_LOCAL_MS);
    expect_no_ask(self);
}

/* ---- The reader ------------------------------------------------------------------------------ */

static inline uint64_t expect_fill(struct rig *self, const char *key)
{
    uint64_t token = 0, watermark = 0;
    assert_int_equal(leased_cache_miss(self->cache, key, &token, &watermark), LEASED_FILL);
    assert_int_equal(watermark, counts_of(self).watermark);
    return token;
}

static inline void expect_join(struct rig *self, const char *key, uint64_t token)
{
    uint64_t joined = 0, watermark = 0;
    assert_int_equal(leased_cache_miss(self->cache, key, &joined, &watermark), LEASED_JOIN);
    assert_int_equal(joined, token);
    assert_true(watermark > 0);
}

static inline void expect_pass(struct rig *self, const char *key)
{
    uint64_t token, watermark;
    assert_int_equal(leased_cache_miss(self->cache, key, &token, &watermark), LEASED_PASS);
}

static inline void fill(struct rig *self, uint64_t token, const char *text)
{
    leased_cache_fill(self->cache, token, &(struct leased_value){text, strlen(text)});
}

static inline void expect_none(struct rig *self, const char *key)
{
    struct leased_value value;
    assert_false(leased_cache_get(self->cache, key, &value));
}

static inline void expect_served(struct rig *self, const char *key, const char *text)
{
    struct leased_value value;
    assert_true(leased_cache_get(self->cache, key, &value));
    assert_int_equal(value.size, strlen(text));
    assert_memory_equal(value.data, text, value.size);
}

static inline void store(struct rig *self, const char *key, const char *text)
{
    fill(self, expect_fill(self, key), text);
    expect_served(self, key, text);
}

static inline void expect_flushed(struct rig *self)
{
    const struct leased_counts counts = counts_of(self);
    assert_int_equal(counts.entries, 0);
    assert_int_equal(counts.bytes, 0);
    assert_int_equal(counts.pending, 0);
    assert_int_equal(counts.lease_left_ms, 0);
    assert_false(counts.synced || counts.all_pending);
    expect_pass(self, "item:1");
}

#endif
