/* The leased cache, rule by rule (C1 to C7) and bound by bound; the numbers are those of
 * docs/consistency.md. Any order of events: test_leased_cache_random.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
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

static int64_t rig_clock(void *arg)
{
    return ((struct rig *)arg)->now_ms;
}

static void rig_begin_with(struct rig *self, size_t entries_max, size_t bytes_max)
{
    *self = (struct rig){.now_ms = 10000};
    self->cache = leased_cache_new(&(struct leased_cache_options){
        .entries_max = entries_max, .bytes_max = bytes_max, .now_ms = rig_clock, .arg = self});
}

static void rig_end(struct rig *self)
{
    leased_cache_destroy(&self->cache);
    assert_null(self->cache);
    leased_cache_destroy(&self->cache);
}

static struct leased_counts counts_of(const struct rig *self)
{
    struct leased_counts counts;
    leased_cache_count(self->cache, &counts);
    return counts;
}

/* ---- The leader's words ---------------------------------------------------------------------- */

static void expect_ask(struct rig *self, enum leased_ask_type type)
{
    const struct leased_ask last = self->ask;
    assert_true(leased_cache_ask(self->cache, self->now_ms, &self->ask));
    assert_int_equal(self->ask.type, type);
    assert_true(self->ask.ask > last.ask);
    assert_true(self->ask.epoch >= last.epoch &&
                (type != LEASED_SYNC || self->ask.epoch > last.epoch));
}

static void expect_no_ask(struct rig *self)
{
    struct leased_ask ask;
    assert_false(leased_cache_ask(self->cache, self->now_ms, &ask));
    assert_true(leased_cache_deadline_ms(self->cache) > self->now_ms);
}

/* The next ask, at its time, which is in so many milliseconds. */
static void expect_ask_in(struct rig *self, int64_t ms, enum leased_ask_type type)
{
    expect_no_ask(self);
    assert_int_equal(leased_cache_deadline_ms(self->cache), self->now_ms + ms);
    self->now_ms += ms - 1;
    expect_no_ask(self);
    self->now_ms++;
    expect_ask(self, type);
}

static void expect_acked(struct rig *self, uint64_t seq)
{
    expect_ask(self, LEASED_RENEW);
    assert_int_equal(self->ask.acked, seq);
}

static void opened(struct rig *self)
{
    leased_cache_opened(self->cache, self->ask.ask, SESSION, TERM, self->now_ms);
}

/* SYNCED to @ask, @pending a key or NULL. */
static void synced_to(struct rig *self, const struct leased_ask *ask, uint64_t seq,
                      const char *pending, int64_t remaining_ms)
{
    const struct leased_message message = {
        .term = ask->term, .seq = seq, .keys = &pending, .count = pending != NULL, .index = INDEX};
    leased_cache_synced(self->cache, ask->ask, ask->epoch, &message, remaining_ms, self->now_ms);
}

static void granted_to(struct rig *self, const struct leased_ask *ask, int64_t remaining_ms)
{
    leased_cache_granted(self->cache, ask->ask, ask->epoch, ask->term, remaining_ms, self->now_ms);
}

static void refused(struct rig *self, int code)
{
    leased_cache_refused(self->cache, self->ask.ask, code, self->now_ms);
}

static void hear(struct rig *self, enum leased_news type, uint64_t seq, const char *key)
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

static void beat(struct rig *self, uint64_t term, uint64_t seq)
{
    const struct leased_message message = {.type = LEASED_BEAT, .term = term, .seq = seq};
    leased_cache_hear(self->cache, &message, self->now_ms);
}

/* Time goes by without silence of the feed. */
static void pass(struct rig *self, int64_t ms, uint64_t seq)
{
    self->now_ms += ms;
    beat(self, TERM, seq);
}

/* One with a session that asks for its SYNC. */
static void rig_begin_unsynced(struct rig *self)
{
    rig_begin_with(self, 100, 10000);
    expect_ask(self, LEASED_OPEN);
    opened(self);
    expect_ask(self, LEASED_SYNC);
}

/* One that is synced at SEQ, with a whole lease. */
static void rig_begin(struct rig *self)
{
    rig_begin_unsynced(self);
    synced_to(self, &self->ask, SEQ, NULL, LEASE_MS);
    assert_int_equal(counts_of(self).lease_left_ms, LEASE_LOCAL_MS);
    expect_no_ask(self);
}

/* ---- The reader ------------------------------------------------------------------------------ */

static uint64_t expect_fill(struct rig *self, const char *key)
{
    uint64_t token = 0, watermark = 0;
    assert_int_equal(leased_cache_miss(self->cache, key, &token, &watermark), LEASED_FILL);
    assert_int_equal(watermark, counts_of(self).watermark);
    return token;
}

static void expect_join(struct rig *self, const char *key, uint64_t token)
{
    uint64_t joined = 0, watermark = 0;
    assert_int_equal(leased_cache_miss(self->cache, key, &joined, &watermark), LEASED_JOIN);
    assert_int_equal(joined, token);
    assert_true(watermark > 0);
}

static void expect_pass(struct rig *self, const char *key)
{
    uint64_t token, watermark;
    assert_int_equal(leased_cache_miss(self->cache, key, &token, &watermark), LEASED_PASS);
}

static void fill(struct rig *self, uint64_t token, const char *text)
{
    leased_cache_fill(self->cache, token, &(struct leased_value){text, strlen(text)});
}

static void expect_none(struct rig *self, const char *key)
{
    struct leased_value value;
    assert_false(leased_cache_get(self->cache, key, &value));
}

static void expect_served(struct rig *self, const char *key, const char *text)
{
    struct leased_value value;
    assert_true(leased_cache_get(self->cache, key, &value));
    assert_int_equal(value.size, strlen(text));
    assert_memory_equal(value.data, text, value.size);
}

static void store(struct rig *self, const char *key, const char *text)
{
    fill(self, expect_fill(self, key), text);
    expect_served(self, key, text);
}

static void expect_flushed(struct rig *self)
{
    const struct leased_counts counts = counts_of(self);
    assert_int_equal(counts.entries, 0);
    assert_int_equal(counts.bytes, 0);
    assert_int_equal(counts.pending, 0);
    assert_int_equal(counts.lease_left_ms, 0);
    assert_false(counts.synced || counts.all_pending);
    expect_pass(self, "item:1");
}

/* ---- C1: serve ------------------------------------------------------------------------------- */

/* An entry is served up to the last millisecond before the lease ends, by the clock as it is then. */
static void test_an_entry_is_served_until_the_lease_ends_and_not_longer(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    store(&rig, "item:1", "one");
    rig.now_ms += LEASE_LOCAL_MS - 1;
    expect_served(&rig, "item:1", "one");
    assert_int_equal(expect_fill(&rig, "item:2"), 2);
    rig.now_ms++;
    expect_none(&rig, "item:1");
    expect_pass(&rig, "item:3");
    rig_end(&rig);
}

/* A clock that looks at what was done before it was called. */
static int64_t looking_clock(void *arg)
{
    struct rig *self = arg;
    if (self->looking) {
        self->looking = false;
        self->looks++;
        leased_cache_count(self->cache, &self->looked);
    }
    return self->now_ms;
}

/* The clock is read when the entry has been taken, and before it is served; each time anew. */
static void test_the_clock_is_read_after_the_entry_was_taken(void **state)
{
    struct rig rig = {.now_ms = 10000};
    (void)state;
    rig.cache = leased_cache_new(&(struct leased_cache_options){
        .entries_max = 10, .bytes_max = 1000, .now_ms = looking_clock, .arg = &rig});
    expect_ask(&rig, LEASED_OPEN);
    opened(&rig);
    expect_ask(&rig, LEASED_SYNC);
    synced_to(&rig, &rig.ask, SEQ, NULL, LEASE_MS);
    fill(&rig, expect_fill(&rig, "item:1"), "one");
    for (size_t i = 1; i <= 3; i++) {
        rig.looking = true;
        expect_served(&rig, "item:1", "one");
        assert_int_equal(rig.looks, i);
        assert_int_equal(rig.looked.found, i);
        assert_int_equal(rig.looked.hits, i - 1);
    }
    rig_end(&rig);
}

/* Nothing is known before a session is synced. */
static void test_nothing_is_served_or_filled_without_a_lease(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin_with(&rig, 100, 10000);
    expect_pass(&rig, "item:1");
    expect_ask(&rig, LEASED_OPEN);
    opened(&rig);
    expect_pass(&rig, "item:1");
    expect_ask(&rig, LEASED_SYNC);
    synced_to(&rig, &rig.ask, SEQ, NULL, 0);
    expect_pass(&rig, "item:1");
    expect_none(&rig, "item:1");
    rig_end(&rig);
}

/* ---- C2: expiry ------------------------------------------------------------------------------ */

/* However late the answer, the lease counts from before the ask was sent, less what clocks may differ. */
static void test_a_lease_counts_from_before_its_ask_was_sent(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin_unsynced(&rig);
    rig.now_ms += 90;
    synced_to(&rig, &rig.ask, SEQ, NULL, 500);
    assert_int_equal(counts_of(&rig).lease_left_ms, 495 - 90);
    rig_end(&rig);
}

/* No leader gives more than a lease, so no more is taken. */
static void test_a_lease_is_no_longer_than_leases_are(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin_unsynced(&rig);
    synced_to(&rig, &rig.ask, SEQ, NULL, LEASE_MS + 1);
    assert_int_equal(counts_of(&rig).lease_left_ms, LEASE_LOCAL_MS);
    rig_end(&rig);
}

/* Grants overtake each other; the earlier one takes nothing away. */
static void test_a_grant_that_was_overtaken_does_not_shorten_the_lease(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    hear(&rig, LEASED_INVALIDATE, SEQ + 1, "item:1");
    expect_acked(&rig, SEQ + 1);
    const struct leased_ask first = rig.ask;
    pass(&rig, 100, SEQ + 1);
    hear(&rig, LEASED_INVALIDATE, SEQ + 2, "item:2");
    expect_acked(&rig, SEQ + 2);
    granted_to(&rig, &rig.ask, LEASE_MS);
    assert_int_equal(counts_of(&rig).lease_left_ms, LEASE_LOCAL_MS);
    granted_to(&rig, &first, LEASE_MS);
    assert_int_equal(counts_of(&rig).lease_left_ms, LEASE_LOCAL_MS);
    assert_int_equal(counts_of(&rig).renewals, 2);
    rig_end(&rig);
}

/* ---- C3: the feed ---------------------------------------------------------------------------- */

/* The next message is applied: the entry goes, the key is pending, and this is acknowledged at once. */
static void test_an_invalidation_is_applied_before_it_is_acknowledged(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    store(&rig, "item:1", "one");
    store(&rig, "item:2", "two");
    hear(&rig, LEASED_INVALIDATE, SEQ + 1, "item:1");
    assert_true(leased_cache_deadline_ms(rig.cache) <= rig.now_ms);
    expect_none(&rig, "item:1");
    expect_pass(&rig, "item:1");
    expect_served(&rig, "item:2", "two");
    expect_acked(&rig, SEQ + 1);
    expect_no_ask(&rig);
    rig_end(&rig);
}

/* What was applied is acknowledged again, and not applied again. */
static void test_a_message_that_comes_again_is_acknowledged_again(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    hear(&rig, LEASED_INVALIDATE, SEQ + 1, "item:1");
    hear(&rig, LEASED_RELEASE, SEQ + 2, "item:1");
    expect_acked(&rig, SEQ + 2);
    store(&rig, "item:1", "one");
    hear(&rig, LEASED_INVALIDATE, SEQ + 1, "item:1");
    expect_served(&rig, "item:1", "one");
    expect_acked(&rig, SEQ + 2);
    hear(&rig, LEASED_RELEASE, SEQ + 2, "item:1");
    beat(&rig, TERM, SEQ + 2);
    expect_no_ask(&rig);
    rig_end(&rig);
}

/* A gap, and a beat that is ahead: something was lost. */
static void test_a_gap_flushes(void **state)
{
    struct rig rig;
    (void)state;
    for (int i = 0; i < 3; i++) {
        rig_begin(&rig);
        store(&rig, "item:1", "one");
        beat(&rig, TERM, SEQ);
        expect_served(&rig, "item:1", "one");
        if (i == 0)
            hear(&rig, LEASED_INVALIDATE, SEQ + 2, "item:2");
        else if (i == 1)
            hear(&rig, LEASED_RELEASE, SEQ + 2, "item:2");
        else
            beat(&rig, TERM, SEQ + 1);
        expect_none(&rig, "item:1");
        expect_flushed(&rig);
        expect_ask_in(&rig, LEASE_REPEAT_MS, LEASED_SYNC);
        rig_end(&rig);
    }
}

/* A leader that was deposed says nothing that counts; a new one ends what the old one said. */
static void test_a_lower_term_is_ignored_and_a_higher_one_flushes(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    store(&rig, "item:1", "one");
    beat(&rig, TERM - 1, SEQ + 5);
    expect_served(&rig, "item:1", "one");
    beat(&rig, TERM + 1, 0);
    expect_none(&rig, "item:1");
    expect_flushed(&rig);
    expect_ask_in(&rig, LEASE_REPEAT_MS, LEASED_SYNC);
    assert_int_equal(rig.ask.term, TERM + 1);
    rig_end(&rig);
}

/* A release lets the key be filled, at the index that it names. */
static void test_a_release_raises_the_watermark_and_never_lowers_it(void **state)
{
    struct rig rig;
    uint64_t token, watermark;
    (void)state;
    rig_begin(&rig);
    assert_int_equal(leased_cache_miss(rig.cache, "item:9", &token, &watermark), LEASED_FILL);
    assert_int_equal(watermark, INDEX);
    hear(&rig, LEASED_INVALIDATE, SEQ + 1, "item:1");
    hear(&rig, LEASED_RELEASE, SEQ + 2, "item:1");
    assert_int_equal(leased_cache_miss(rig.cache, "item:1", &token, &watermark), LEASED_FILL);
    assert_int_equal(watermark, INDEX + SEQ + 2);
    const char *key = "item:2";
    leased_cache_hear(rig.cache,
                      &(struct leased_message){.type = LEASED_RELEASE,
                                               .term = TERM,
                                               .seq = SEQ + 3,
                                               .keys = &key,
                                               .count = 1,
                                               .index = INDEX},
                      rig.now_ms);
    assert_int_equal(counts_of(&rig).watermark, INDEX + SEQ + 2);
    rig_end(&rig);
}

/* A key that this cache never heard of is released like any other. */
static void test_the_release_of_an_unknown_key_raises_the_watermark(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    store(&rig, "item:1", "one");
    hear(&rig, LEASED_RELEASE, SEQ + 1, "item:5");
    assert_int_equal(counts_of(&rig).watermark, INDEX + SEQ + 1);
    assert_int_equal(counts_of(&rig).pending, 0);
    expect_served(&rig, "item:1", "one");
    expect_no_ask(&rig); /* nobody waits for its acknowledgement */
    rig_end(&rig);
}

/* "All keys" stands for each, those named before included, until it is released. */
static void test_all_keys_may_be_pending(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    store(&rig, "item:1", "one");
    const uint64_t token = expect_fill(&rig, "item:2");
    hear(&rig, LEASED_INVALIDATE, SEQ + 1, "item:3");
    hear(&rig, LEASED_INVALIDATE, SEQ + 2, NULL);
    expect_acked(&rig, SEQ + 2);
    fill(&rig, token, "two");
    expect_none(&rig, "item:1");
    expect_none(&rig, "item:2");
    expect_pass(&rig, "item:4");
    hear(&rig, LEASED_RELEASE, SEQ + 3, "item:4");
    expect_pass(&rig, "item:4");
    hear(&rig, LEASED_RELEASE, SEQ + 4, NULL);
    store(&rig, "item:3", "three");
    store(&rig, "item:4", "four");
    rig_end(&rig);
}

/* ---- C4: flush and SYNC ---------------------------------------------------------------------- */

/* SYNCED says which keys are pending, from which index on to read, and where the feed goes on. */
static void test_synced_is_where_to_begin(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin_unsynced(&rig);
    synced_to(&rig, &rig.ask, SEQ, "item:1", LEASE_MS);
    expect_pass(&rig, "item:1");
    store(&rig, "item:2", "two");
    assert_int_equal(counts_of(&rig).watermark, INDEX);
    hear(&rig, LEASED_RELEASE, SEQ + 1, "item:1");
    store(&rig, "item:1", "one");
    rig_end(&rig);
}

/* The same with "all keys"; more than may be named are taken for all of them. */
static void test_synced_may_say_that_all_keys_are_pending(void **state)
{
    const char *keys[LEASE_KEYS_MAX + 1];
    char texts[LEASE_KEYS_MAX + 1][16];
    struct rig rig;
    (void)state;
    for (size_t i = 0; i <= LEASE_KEYS_MAX; i++) {
        snprintf(texts[i], sizeof texts[i], "item:%zu", i);
        keys[i] = texts[i];
    }
    for (int i = 0; i < 3; i++) {
        const struct leased_message synced = {.term = TERM,
                                              .seq = SEQ,
                                              .all = i == 0,
                                              .keys = keys,
                                              .count =
                                                  i == 0 ? 0 : (size_t)(LEASE_KEYS_MAX + i - 1)};
        rig_begin_unsynced(&rig);
        leased_cache_synced(rig.cache, rig.ask.ask, rig.ask.epoch, &synced, LEASE_MS, rig.now_ms);
        assert_true(counts_of(&rig).all_pending == (i != 1));
        expect_pass(&rig, "item:1");
        if (i == 1)
            store(&rig, "item:256", "free");
        else
            expect_pass(&rig, "item:256");
        rig_end(&rig);
    }
}

/* What an earlier try is answered with, in its epoch or in its ask alone, counts for nothing. */
static void test_synced_to_an_earlier_try_is_ignored(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin_unsynced(&rig);
    const struct leased_ask first = rig.ask;
    expect_ask_in(&rig, LEASE_ANSWER_MS * 2, LEASED_SYNC); /* OPEN was the first try */
    const struct leased_ask second = rig.ask;
    assert_true(second.epoch > first.epoch && second.ask > first.ask);
    synced_to(&rig, &first, SEQ, NULL, LEASE_MS);
    assert_false(counts_of(&rig).synced);
    struct leased_ask mixed = second;
    mixed.epoch = first.epoch;
    synced_to(&rig, &mixed, SEQ, NULL, LEASE_MS);
    mixed = second;
    mixed.ask = first.ask;
    synced_to(&rig, &mixed, SEQ, NULL, LEASE_MS);
    mixed = second;
    mixed.term++;
    synced_to(&rig, &mixed, SEQ, NULL, LEASE_MS);
    assert_false(counts_of(&rig).synced);
    synced_to(&rig, &second, SEQ, NULL, LEASE_MS);
    assert_true(counts_of(&rig).synced);
    rig_end(&rig);
}

/* The same SYNCED once more would bring back its pending keys and its seq. */
static void test_synced_that_comes_again_is_ignored(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    const struct leased_ask ask = rig.ask;
    hear(&rig, LEASED_INVALIDATE, SEQ + 1, "item:1");
    synced_to(&rig, &ask, SEQ, NULL, LEASE_MS);
    expect_pass(&rig, "item:1");
    expect_acked(&rig, SEQ + 1);
    beat(&rig, TERM + 1, 0);
    synced_to(&rig, &ask, SEQ, NULL, LEASE_MS);
    expect_flushed(&rig);
    rig_end(&rig);
}

/* The feed may be faster than SYNCED: what it said above that is applied, in its order, once. */
static void test_messages_during_a_sync_are_applied_after_it(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin_unsynced(&rig);
    hear(&rig, LEASED_INVALIDATE, SEQ + 2, "item:2");
    hear(&rig, LEASED_INVALIDATE, SEQ, "item:0");
    hear(&rig, LEASED_INVALIDATE, SEQ + 1, "item:1");
    hear(&rig, LEASED_INVALIDATE, SEQ + 1, "item:1");
    hear(&rig, LEASED_RELEASE, SEQ + 3, "item:1");
    beat(&rig, TERM, SEQ + 3);
    synced_to(&rig, &rig.ask, SEQ, NULL, LEASE_MS);
    assert_int_equal(counts_of(&rig).pending, 1);
    assert_int_equal(counts_of(&rig).watermark, INDEX + SEQ + 3);
    store(&rig, "item:0", "zero");
    store(&rig, "item:1", "one");
    expect_pass(&rig, "item:2");
    expect_acked(&rig, SEQ + 3);
    rig_end(&rig);
}

/* With a gap among them nothing can be told of what is pending. */
static void test_a_gap_among_kept_messages_flushes_again(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin_unsynced(&rig);
    hear(&rig, LEASED_INVALIDATE, SEQ + 1, "item:1");
    hear(&rig, LEASED_INVALIDATE, SEQ + 3, "item:3");
    hear(&rig, LEASED_INVALIDATE, SEQ + 4, "item:4");
    synced_to(&rig, &rig.ask, SEQ, NULL, LEASE_MS);
    expect_flushed(&rig);
    expect_ask_in(&rig, LEASE_REPEAT_MS, LEASED_SYNC);
    synced_to(&rig, &rig.ask, SEQ + 4, NULL, LEASE_MS);
    assert_true(counts_of(&rig).synced);
    rig_end(&rig);
}

/* At the bound of what is kept the SYNC is given up for another one, which needs none of it. */
static void test_kept_messages_are_bounded(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin_unsynced(&rig);
    const struct leased_ask first = rig.ask;
    const uint64_t epoch = counts_of(&rig).epoch, flushes = counts_of(&rig).flushes;
    for (uint64_t i = 1; i <= LEASE_KEPT_MAX; i++)
        hear(&rig, LEASED_INVALIDATE, SEQ + i, "item:1");
    assert_int_equal(counts_of(&rig).epoch, epoch);
    hear(&rig, LEASED_INVALIDATE, SEQ + LEASE_KEPT_MAX + 1, "item:1");
    assert_int_equal(counts_of(&rig).epoch, epoch + 1);
    assert_int_equal(counts_of(&rig).flushes, flushes + 1);
    synced_to(&rig, &first, SEQ, NULL, LEASE_MS);
    assert_false(counts_of(&rig).synced);
    expect_ask_in(&rig, LEASE_REPEAT_MS, LEASED_SYNC);
    synced_to(&rig, &rig.ask, SEQ + LEASE_KEPT_MAX + 1, "item:1", LEASE_MS);
    expect_pass(&rig, "item:1");
    store(&rig, "item:2", "two");
    rig_end(&rig);
}

/* Up to the bound nothing is lost. */
static void test_as_many_messages_as_are_kept_are_applied(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin_unsynced(&rig);
    for (uint64_t i = 1; i <= LEASE_KEPT_MAX; i++)
        hear(&rig, LEASED_INVALIDATE, SEQ + i, "item:1");
    synced_to(&rig, &rig.ask, SEQ, NULL, LEASE_MS);
    expect_acked(&rig, SEQ + LEASE_KEPT_MAX);
    rig_end(&rig);
}

/* What came before a try was sent is known to its answer, so each try has the bound for itself. */
static void test_each_try_of_a_sync_keeps_messages_anew(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin_unsynced(&rig);
    for (uint64_t i = 1; i <= LEASE_KEPT_MAX; i++)
        hear(&rig, LEASED_INVALIDATE, SEQ + i, "item:1");
    expect_ask_in(&rig, LEASE_ANSWER_MS * 2, LEASED_SYNC);
    hear(&rig, LEASED_INVALIDATE, SEQ + LEASE_KEPT_MAX + 1, "item:1");
    synced_to(&rig, &rig.ask, SEQ + LEASE_KEPT_MAX, "item:1", LEASE_MS);
    expect_acked(&rig, SEQ + LEASE_KEPT_MAX + 1);
    rig_end(&rig);
}

/* Above the keys that a leader names it says "all": who hears of more has misunderstood something. */
static void test_pending_keys_are_bounded(void **state)
{
    char key[16];
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    store(&rig, "item:1", "one");
    for (uint64_t i = 1; i <= LEASE_KEYS_MAX; i++) {
        snprintf(key, sizeof key, "other:%d", (int)i);
        hear(&rig, LEASED_INVALIDATE, SEQ + i, key);
    }
    hear(&rig, LEASED_INVALIDATE, SEQ + LEASE_KEYS_MAX + 1, key);
    assert_int_equal(counts_of(&rig).pending, LEASE_KEYS_MAX);
    expect_served(&rig, "item:1", "one");
    hear(&rig, LEASED_INVALIDATE, SEQ + LEASE_KEYS_MAX + 2, "other:0");
    expect_flushed(&rig);
    rig_end(&rig);
}

/* A grant on its way during a flush was for what is no more. */
static void test_a_grant_that_arrives_after_a_flush_is_ignored(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    hear(&rig, LEASED_INVALIDATE, SEQ + 1, "item:1");
    expect_acked(&rig, SEQ + 1);
    const struct leased_ask renewed = rig.ask;
    leased_cache_lose(rig.cache, rig.now_ms);
    granted_to(&rig, &renewed, LEASE_MS);
    refused(&rig, ERR_NOT_FOUND);
    assert_int_equal(counts_of(&rig).session, SESSION);
    expect_flushed(&rig);
    expect_ask_in(&rig, LEASE_REPEAT_MS, LEASED_SYNC);
    granted_to(&rig, &renewed, LEASE_MS);
    expect_flushed(&rig);
    synced_to(&rig, &rig.ask, SEQ + 1, NULL, 0);
    granted_to(&rig, &renewed, LEASE_MS);
    assert_int_equal(counts_of(&rig).lease_left_ms, 0);
    rig_end(&rig);
}

/* A grant of another term or epoch than it was asked for in is nobody's. */
static void test_a_grant_of_another_epoch_or_term_is_ignored(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    expect_ask_in(&rig, LEASE_LOCAL_MS / 3, LEASED_RENEW);
    struct leased_ask other = rig.ask;
    other.epoch--;
    granted_to(&rig, &other, LEASE_MS);
    other = rig.ask;
    other.term--;
    granted_to(&rig, &other, LEASE_MS);
    other = rig.ask;
    other.ask--;
    granted_to(&rig, &other, LEASE_MS);
    assert_int_equal(counts_of(&rig).lease_left_ms, LEASE_LOCAL_MS - LEASE_LOCAL_MS / 3);
    granted_to(&rig, &rig.ask, LEASE_MS);
    assert_int_equal(counts_of(&rig).lease_left_ms, LEASE_LOCAL_MS);
    rig_end(&rig);
}

/* A feed that has fallen silent is one that may have lost anything. */
static void test_a_silent_feed_flushes(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    expect_ask_in(&rig, LEASE_LOCAL_MS / 3, LEASED_RENEW);
    granted_to(&rig, &rig.ask, LEASE_MS);
    expect_ask_in(&rig, LEASE_FEED_MS - LEASE_LOCAL_MS / 3, LEASED_SYNC);
    expect_flushed(&rig);
    rig_end(&rig);
}

/* ---- C5, C6: fills --------------------------------------------------------------------------- */

/* The answer of a fill that was overtaken by an invalidation is not stored, released or not. */
static void test_a_poisoned_fill_is_not_stored(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    const uint64_t token = expect_fill(&rig, "item:1");
    hear(&rig, LEASED_INVALIDATE, SEQ + 1, "item:1");
    hear(&rig, LEASED_RELEASE, SEQ + 2, "item:1");
    fill(&rig, token, "old");
    expect_none(&rig, "item:1");
    assert_int_equal(counts_of(&rig).discarded, 1);
    assert_int_equal(counts_of(&rig).fills, 0);
    rig_end(&rig);
}

/* Nor is one from before a flush. */
static void test_a_fill_from_before_a_flush_is_not_stored(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    const uint64_t token = expect_fill(&rig, "item:1");
    leased_cache_lose(rig.cache, rig.now_ms);
    rig.now_ms += LEASE_REPEAT_MS;
    expect_ask(&rig, LEASED_SYNC);
    synced_to(&rig, &rig.ask, SEQ, NULL, LEASE_MS);
    const uint64_t again = expect_fill(&rig, "item:1");
    assert_true(again > token);
    fill(&rig, token, "old");
    expect_none(&rig, "item:1");
    expect_join(&rig, "item:1", again);
    fill(&rig, again, "new");
    expect_served(&rig, "item:1", "new");
    rig_end(&rig);
}

/* Who comes while a fill runs takes part in it. */
static void test_a_running_fill_is_joined(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    const uint64_t token = expect_fill(&rig, "item:1");
    expect_join(&rig, "item:1", token);
    hear(&rig, LEASED_RELEASE, SEQ + 1, "item:2");
    expect_join(&rig, "item:1", token);
    fill(&rig, token, "one");
    expect_served(&rig, "item:1", "one");
    assert_int_equal(counts_of(&rig).joins, 2);
    rig_end(&rig);
}

/* Only by whom might begin one: not while the key is pending, not a poisoned one, not without a lease. */
static void test_a_fill_is_joined_only_where_one_might_begin(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    const uint64_t poisoned = expect_fill(&rig, "item:1");
    hear(&rig, LEASED_INVALIDATE, SEQ + 1, "item:1");
    expect_pass(&rig, "item:1");
    hear(&rig, LEASED_RELEASE, SEQ + 2, "item:1");
    const uint64_t token = expect_fill(&rig, "item:1");
    assert_true(token > poisoned);
    rig.now_ms += LEASE_LOCAL_MS - 1;
    expect_join(&rig, "item:1", token);
    rig.now_ms++;
    expect_pass(&rig, "item:1");
    fill(&rig, poisoned, "old");
    fill(&rig, token, "new");
    assert_int_equal(counts_of(&rig).stored, 1);
    rig_end(&rig);
}

/* The lease matters when the fill begins and when the entry is served, and not in between. */
static void test_a_fill_is_stored_although_the_lease_has_run_out(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    const uint64_t token = expect_fill(&rig, "item:1");
    pass(&rig, 400, SEQ);
    pass(&rig, 400, SEQ);
    pass(&rig, 400, SEQ);
    fill(&rig, token, "one");
    expect_none(&rig, "item:1");
    expect_ask(&rig, LEASED_RENEW);
    granted_to(&rig, &rig.ask, LEASE_MS);
    expect_served(&rig, "item:1", "one");
    rig_end(&rig);
}

/* A fill that failed leaves nothing behind, and the next reader begins another one. */
static void test_a_fill_that_failed_may_begin_anew(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    const uint64_t token = expect_fill(&rig, "item:1");
    leased_cache_fill(rig.cache, token, NULL);
    expect_none(&rig, "item:1");
    assert_true(expect_fill(&rig, "item:1") > token);
    rig_end(&rig);
}

/* Poisoned ones count, too: their answers are still awaited. */
static void test_fills_are_bounded(void **state)
{
    char key[16];
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    uint64_t token = 0;
    for (size_t i = 0; i < LEASE_FILLS_MAX; i++) {
        snprintf(key, sizeof key, "item:%zu", i);
        token = expect_fill(&rig, key);
    }
    expect_pass(&rig, "item:more");
    expect_join(&rig, key, token);
    leased_cache_drop(rig.cache, NULL);
    expect_pass(&rig, "item:more");
    fill(&rig, token, "late");
    (void)expect_fill(&rig, "item:more");
    rig_end(&rig);
}

/* ---- C7 -------------------------------------------------------------------------------------- */

/* The leader left this cache out of no write, else it would not have granted. */
static void test_a_lease_that_ran_out_and_is_granted_again_keeps_its_entries(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    store(&rig, "item:1", "one");
    const uint64_t epoch = counts_of(&rig).epoch;
    for (int i = 0; i < 20; i++)
        pass(&rig, 300, SEQ);
    expect_none(&rig, "item:1");
    expect_ask(&rig, LEASED_RENEW);
    granted_to(&rig, &rig.ask, 10);
    expect_served(&rig, "item:1", "one");
    assert_int_equal(counts_of(&rig).epoch, epoch);
    rig_end(&rig);
}

/* ---- When is asked --------------------------------------------------------------------------- */

/* A third of the lease is over, but never sooner than a message could be repeated. */
static void test_a_lease_is_renewed_at_a_third(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    expect_ask_in(&rig, LEASE_LOCAL_MS / 3, LEASED_RENEW);
    assert_int_equal(rig.ask.session, SESSION);
    assert_int_equal(rig.ask.acked, SEQ);
    beat(&rig, TERM, SEQ);
    granted_to(&rig, &rig.ask, 30);
    assert_int_equal(leased_cache_deadline_ms(rig.cache), rig.now_ms + LEASE_ANSWER_MS);
    rig.now_ms += LEASE_ANSWER_MS;
    expect_ask(&rig, LEASED_RENEW);
    pass(&rig, 600, SEQ);
    granted_to(&rig, &rig.ask, 630);
    expect_ask(&rig, LEASED_RENEW);
    granted_to(&rig, &rig.ask, 30);
    expect_ask_in(&rig, LEASE_REPEAT_MS, LEASED_RENEW);
    rig_end(&rig);
}

/* What is not answered is asked again, with another number, ever more seldom. */
static void test_an_ask_without_an_answer_is_repeated_ever_more_seldom(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin_with(&rig, 100, 10000);
    expect_ask(&rig, LEASED_OPEN);
    expect_ask_in(&rig, LEASE_OPEN_MS, LEASED_OPEN);
    expect_ask_in(&rig, LEASE_OPEN_MS, LEASED_OPEN);
    rig_end(&rig);
    rig_begin(&rig);
    expect_ask_in(&rig, LEASE_LOCAL_MS / 3, LEASED_RENEW);
    static const int64_t pauses_ms[] = {100, 200, 400, 800, LEASE_BACKOFF_MS, LEASE_BACKOFF_MS};
    for (size_t i = 0; i < sizeof pauses_ms / sizeof *pauses_ms; i++) {
        beat(&rig, TERM, SEQ);
        pass(&rig, pauses_ms[i] / 2, SEQ);
        expect_no_ask(&rig);
        pass(&rig, pauses_ms[i] / 2 - 1, SEQ);
        expect_no_ask(&rig);
        rig.now_ms++;
        expect_ask(&rig, LEASED_RENEW);
    }
    rig_end(&rig);
}

/* A leader that refuses is not stormed; and one that gives a lease starts the pauses anew. */
static void test_who_is_refused_backs_off(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin_unsynced(&rig);
    int64_t pause_ms = LEASE_REPEAT_MS * 2; /* OPEN was the first try */
    for (int i = 0; i < 10; i++) {
        refused(&rig, i % 2 == 0 ? ERR_BUSY : ERR_MISMATCH);
        expect_ask_in(&rig, pause_ms, LEASED_SYNC);
        pause_ms = pause_ms * 2 < LEASE_BACKOFF_MS ? pause_ms * 2 : LEASE_BACKOFF_MS;
    }
    synced_to(&rig, &rig.ask, SEQ, NULL, LEASE_MS);
    expect_ask_in(&rig, LEASE_LOCAL_MS / 3, LEASED_RENEW);
    refused(&rig, ERR_BUSY);
    expect_ask_in(&rig, LEASE_REPEAT_MS, LEASED_RENEW);
    rig_end(&rig);
}

/* A flush, of which there may be many, does not shorten the pause of one that was refused. */
static void test_a_flush_does_not_end_a_back_off(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin_unsynced(&rig);
    refused(&rig, ERR_BUSY);
    leased_cache_lose(rig.cache, rig.now_ms);
    expect_ask_in(&rig, LEASE_REPEAT_MS * 2, LEASED_SYNC);
    refused(&rig, ERR_BUSY);
    rig.now_ms += LEASE_REPEAT_MS;
    beat(&rig, TERM + 1, 0); /* but a new leader knows nothing of it */
    expect_ask(&rig, LEASED_SYNC);
    rig_end(&rig);
}

/* SYNCs have a pace, whatever the feed loses. */
static void test_flushes_do_not_make_a_storm_of_syncs(void **state)
{
    struct rig rig;
    size_t syncs = 0;
    (void)state;
    rig_begin(&rig);
    for (int i = 0; i < 1000; i++) {
        leased_cache_lose(rig.cache, rig.now_ms);
        for (; leased_cache_ask(rig.cache, rig.now_ms, &rig.ask); syncs++)
            synced_to(&rig, &rig.ask, SEQ, NULL, LEASE_MS);
        rig.now_ms++;
    }
    assert_int_equal(syncs, 1000 / LEASE_REPEAT_MS - 1);
    rig_end(&rig);
}

/* A writer waits for an acknowledgement, so it waits for no answer and for no pause of ours. */
static void test_an_acknowledgement_waits_for_no_answer(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    expect_ask_in(&rig, LEASE_LOCAL_MS / 3, LEASED_RENEW);
    hear(&rig, LEASED_INVALIDATE, SEQ + 1, "item:1");
    expect_acked(&rig, SEQ + 1);
    refused(&rig, ERR_BUSY);
    hear(&rig, LEASED_INVALIDATE, SEQ + 2, "item:2");
    expect_acked(&rig, SEQ + 2);
    expect_no_ask(&rig);
    rig_end(&rig);
}

/* But with so many asks under way the next one waits, and acknowledges all that came meanwhile. */
static void test_asks_under_way_are_bounded(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    const struct leased_ask before = rig.ask;
    for (uint64_t i = 1; i <= LEASE_ASKS_MAX; i++) {
        hear(&rig, LEASED_INVALIDATE, SEQ + i, "item:1");
        expect_acked(&rig, SEQ + i);
    }
    hear(&rig, LEASED_INVALIDATE, SEQ + LEASE_ASKS_MAX + 1, "item:1");
    hear(&rig, LEASED_INVALIDATE, SEQ + LEASE_ASKS_MAX + 2, "item:1");
    expect_no_ask(&rig);
    granted_to(&rig, &rig.ask, LEASE_MS);
    expect_acked(&rig, SEQ + LEASE_ASKS_MAX + 2);
    hear(&rig, LEASED_INVALIDATE, SEQ + LEASE_ASKS_MAX + 3, "item:1");
    expect_ask_in(&rig, LEASE_ANSWER_MS, LEASED_RENEW);
    assert_int_equal(rig.ask.ask, before.ask + LEASE_ASKS_MAX + 2);
    rig_end(&rig);
}

/* A session that the leader does not know is gone, and all that was held under it. */
static void test_an_unknown_session_is_flushed_and_another_one_opened(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    store(&rig, "item:1", "one");
    hear(&rig, LEASED_INVALIDATE, SEQ + 1, "item:2");
    expect_acked(&rig, SEQ + 1);
    const struct leased_ask last = rig.ask;
    refused(&rig, ERR_NOT_FOUND);
    expect_none(&rig, "item:1");
    expect_flushed(&rig);
    assert_int_equal(counts_of(&rig).session, 0);
    expect_ask_in(&rig, LEASE_REPEAT_MS, LEASED_OPEN);
    assert_true(rig.ask.ask > last.ask);
    leased_cache_opened(rig.cache, rig.ask.ask, SESSION + 1, TERM - 3, rig.now_ms);
    expect_ask(&rig, LEASED_SYNC);
    assert_int_equal(rig.ask.session, SESSION + 1);
    assert_int_equal(rig.ask.term, TERM - 3);
    assert_true(rig.ask.ask > last.ask + 1 && rig.ask.epoch > last.epoch);
    rig_end(&rig);
}

/* Sessions that vanish as soon as they are opened don't make a storm of log entries. */
static void test_sessions_that_vanish_are_opened_ever_more_seldom(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin_unsynced(&rig);
    int64_t pause_ms = LEASE_REPEAT_MS * 2;
    for (int i = 0; i < 6; i++) {
        refused(&rig, ERR_NOT_FOUND);
        expect_ask_in(&rig, pause_ms, LEASED_OPEN);
        opened(&rig);
        expect_ask(&rig, LEASED_SYNC);
        pause_ms = pause_ms * 4 < LEASE_BACKOFF_MS ? pause_ms * 4 : LEASE_BACKOFF_MS;
    }
    rig_end(&rig);
}

/* Who must sync first does so at once. */
static void test_a_renewal_that_mismatches_flushes(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    store(&rig, "item:1", "one");
    expect_ask_in(&rig, LEASE_LOCAL_MS / 3, LEASED_RENEW);
    refused(&rig, ERR_MISMATCH);
    expect_none(&rig, "item:1");
    expect_flushed(&rig);
    expect_ask(&rig, LEASED_SYNC);
    rig_end(&rig);
}

/* Refusals, and sessions, that were not asked for now change nothing. */
static void test_an_answer_that_nobody_awaits_is_ignored(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    store(&rig, "item:1", "one");
    refused(&rig, ERR_NOT_FOUND);
    leased_cache_opened(rig.cache, rig.ask.ask, SESSION + 1, TERM, rig.now_ms);
    granted_to(&rig, &rig.ask, LEASE_MS);
    assert_int_equal(counts_of(&rig).session, SESSION);
    expect_served(&rig, "item:1", "one");
    rig_end(&rig);
}

/* ---- Bounds of what is stored, and the operator ---------------------------------------------- */

/* The entry that was not used for longest makes room. */
static void test_entries_are_bounded_and_the_least_used_goes(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin_with(&rig, 3, 10000);
    expect_ask(&rig, LEASED_OPEN);
    opened(&rig);
    expect_ask(&rig, LEASED_SYNC);
    synced_to(&rig, &rig.ask, SEQ, NULL, LEASE_MS);
    store(&rig, "item:1", "one");
    store(&rig, "item:2", "two");
    store(&rig, "item:3", "three");
    assert_int_equal(counts_of(&rig).evicted, 0);
    expect_served(&rig, "item:1", "one");
    store(&rig, "item:4", "four");
    expect_none(&rig, "item:2");
    expect_served(&rig, "item:1", "one");
    expect_served(&rig, "item:3", "three");
    assert_int_equal(counts_of(&rig).entries, 3);
    assert_int_equal(counts_of(&rig).evicted, 1);
    rig_end(&rig);
}

/* Keys and values count; what fits exactly stays, a byte more makes room, and what never fits is not
 * stored. */
static void test_bytes_are_bounded(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin_with(&rig, 100, 20);
    expect_ask(&rig, LEASED_OPEN);
    opened(&rig);
    expect_ask(&rig, LEASED_SYNC);
    synced_to(&rig, &rig.ask, SEQ, NULL, LEASE_MS);
    store(&rig, "item:1", "1234");
    store(&rig, "item:2", "1234");
    assert_int_equal(counts_of(&rig).bytes, 20);
    fill(&rig, expect_fill(&rig, "item:2"), "12345");
    expect_none(&rig, "item:1");
    assert_int_equal(counts_of(&rig).bytes, 11);
    fill(&rig, expect_fill(&rig, "item:3"), "123456789012345");
    expect_none(&rig, "item:3");
    expect_served(&rig, "item:2", "12345");
    assert_int_equal(counts_of(&rig).discarded, 1);
    store(&rig, "item:3", "12345678901234");
    assert_int_equal(counts_of(&rig).entries, 1);
    rig_end(&rig);
}

/* A value may be empty, which is something else than none. */
static void test_an_empty_value_is_a_value(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    store(&rig, "item:1", "");
    rig_end(&rig);
}

/* The operator's drop reaches what is on its way, too; the lease and the other keys stay. */
static void test_a_drop_poisons_the_fill_that_runs(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    store(&rig, "item:2", "two");
    const uint64_t token = expect_fill(&rig, "item:1");
    leased_cache_drop(rig.cache, "item:1");
    const uint64_t again = expect_fill(&rig, "item:1");
    fill(&rig, token, "old");
    expect_none(&rig, "item:1");
    fill(&rig, again, "new");
    expect_served(&rig, "item:1", "new");
    expect_served(&rig, "item:2", "two");
    const uint64_t third = expect_fill(&rig, "item:3");
    leased_cache_drop(rig.cache, NULL);
    fill(&rig, third, "old");
    assert_int_equal(counts_of(&rig).entries, 0);
    assert_int_equal(counts_of(&rig).lease_left_ms, LEASE_LOCAL_MS);
    store(&rig, "item:3", "new");
    rig_end(&rig);
}

/* Whoever drops the cache with everything under way gives all of it back. */
static void test_a_cache_ends_with_all_that_it_holds(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    store(&rig, "item:1", "one");
    (void)expect_fill(&rig, "item:2");
    hear(&rig, LEASED_INVALIDATE, SEQ + 1, "item:3");
    rig_end(&rig);
    rig_begin_unsynced(&rig);
    hear(&rig, LEASED_INVALIDATE, SEQ + 1, "item:3");
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_entry_is_served_until_the_lease_ends_and_not_longer),
        cmocka_unit_test(test_the_clock_is_read_after_the_entry_was_taken),
        cmocka_unit_test(test_nothing_is_served_or_filled_without_a_lease),
        cmocka_unit_test(test_a_lease_counts_from_before_its_ask_was_sent),
        cmocka_unit_test(test_a_lease_is_no_longer_than_leases_are),
        cmocka_unit_test(test_a_grant_that_was_overtaken_does_not_shorten_the_lease),
        cmocka_unit_test(test_an_invalidation_is_applied_before_it_is_acknowledged),
        cmocka_unit_test(test_a_message_that_comes_again_is_acknowledged_again),
        cmocka_unit_test(test_a_gap_flushes),
        cmocka_unit_test(test_a_lower_term_is_ignored_and_a_higher_one_flushes),
        cmocka_unit_test(test_a_release_raises_the_watermark_and_never_lowers_it),
        cmocka_unit_test(test_the_release_of_an_unknown_key_raises_the_watermark),
        cmocka_unit_test(test_all_keys_may_be_pending),
        cmocka_unit_test(test_synced_is_where_to_begin),
        cmocka_unit_test(test_synced_may_say_that_all_keys_are_pending),
        cmocka_unit_test(test_synced_to_an_earlier_try_is_ignored),
        cmocka_unit_test(test_synced_that_comes_again_is_ignored),
        cmocka_unit_test(test_messages_during_a_sync_are_applied_after_it),
        cmocka_unit_test(test_a_gap_among_kept_messages_flushes_again),
        cmocka_unit_test(test_kept_messages_are_bounded),
        cmocka_unit_test(test_as_many_messages_as_are_kept_are_applied),
        cmocka_unit_test(test_each_try_of_a_sync_keeps_messages_anew),
        cmocka_unit_test(test_pending_keys_are_bounded),
        cmocka_unit_test(test_a_grant_that_arrives_after_a_flush_is_ignored),
        cmocka_unit_test(test_a_grant_of_another_epoch_or_term_is_ignored),
        cmocka_unit_test(test_a_silent_feed_flushes),
        cmocka_unit_test(test_a_poisoned_fill_is_not_stored),
        cmocka_unit_test(test_a_fill_from_before_a_flush_is_not_stored),
        cmocka_unit_test(test_a_running_fill_is_joined),
        cmocka_unit_test(test_a_fill_is_joined_only_where_one_might_begin),
        cmocka_unit_test(test_a_fill_is_stored_although_the_lease_has_run_out),
        cmocka_unit_test(test_a_fill_that_failed_may_begin_anew),
        cmocka_unit_test(test_fills_are_bounded),
        cmocka_unit_test(test_a_lease_that_ran_out_and_is_granted_again_keeps_its_entries),
        cmocka_unit_test(test_a_lease_is_renewed_at_a_third),
        cmocka_unit_test(test_an_ask_without_an_answer_is_repeated_ever_more_seldom),
        cmocka_unit_test(test_who_is_refused_backs_off),
        cmocka_unit_test(test_a_flush_does_not_end_a_back_off),
        cmocka_unit_test(test_flushes_do_not_make_a_storm_of_syncs),
        cmocka_unit_test(test_an_acknowledgement_waits_for_no_answer),
        cmocka_unit_test(test_asks_under_way_are_bounded),
        cmocka_unit_test(test_an_unknown_session_is_flushed_and_another_one_opened),
        cmocka_unit_test(test_sessions_that_vanish_are_opened_ever_more_seldom),
        cmocka_unit_test(test_a_renewal_that_mismatches_flushes),
        cmocka_unit_test(test_an_answer_that_nobody_awaits_is_ignored),
        cmocka_unit_test(test_entries_are_bounded_and_the_least_used_goes),
        cmocka_unit_test(test_bytes_are_bounded),
        cmocka_unit_test(test_an_empty_value_is_a_value),
        cmocka_unit_test(test_a_drop_poisons_the_fill_that_runs),
        cmocka_unit_test(test_a_cache_ends_with_all_that_it_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
