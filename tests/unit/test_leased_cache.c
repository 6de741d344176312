/* The leased cache, rule by rule (C1 to C7); the numbers are those of docs/consistency.md. When it
 * asks, and what it has room for: test_leased_cache_asks.c. Any order of events:
 * test_leased_cache_random.c.
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
#include "tests/unit/leased_rig.h"

/* ---- C1: serve ------------------------------------------------------------------------------- */

/* An entry is served up to the last millisecond before the lease ends, by the clock as it is
 * then. */
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

/* However late the answer, the lease counts from before the ask was sent, less what clocks may
 * differ. */
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

/* The next message is applied: the entry goes, the key is pending, and this is acknowledged at
 * once. */
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

/* Above the keys that a leader names it says "all": who hears of more has misunderstood
 * something. */
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

/* Only by whom might begin one: not while the key is pending, not a poisoned one, not without a
 * lease. */
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
