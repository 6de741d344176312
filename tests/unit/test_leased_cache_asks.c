/* The leased cache: what it asks of the leader, and when; what it has room for; what the operator may
 * do. The rules of serving, filling and flushing are in test_leased_cache.c.
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
    for (int64_t pause_ms = LEASE_OPEN_MS; pause_ms <= LEASE_OPEN_MS_MAX; pause_ms *= 2)
        expect_ask_in(&rig, pause_ms, LEASED_OPEN);
    expect_ask_in(&rig, LEASE_OPEN_MS_MAX, LEASED_OPEN);
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
        for (; leased_cache_ask(rig.cache, rig.now_ms, &rig.ask); syncs++) {
            synced_to(&rig, &rig.ask, SEQ, NULL, LEASE_MS);
            beat(&rig, TERM, SEQ);
        }
        rig.now_ms++;
    }
    assert_int_equal(syncs, 1000 / LEASE_REPEAT_MS - 1);
    rig_end(&rig);
}

/* Who hears nothing of the feed, though the leader answers, makes writers wait for its leases: it
 * takes one ever more seldom, until it hears something again. */
static void test_a_cache_that_hears_nothing_syncs_ever_more_seldom(void **state)
{
    static const int64_t pauses_ms[] = {0, 100, 200, 400, 800, LEASE_BACKOFF_MS, LEASE_BACKOFF_MS};
    struct rig rig;
    (void)state;
    rig_begin_unsynced(&rig);
    for (size_t i = 0; i < sizeof pauses_ms / sizeof *pauses_ms; i++) {
        synced_to(&rig, &rig.ask, SEQ, NULL, LEASE_MS);
        rig.now_ms += LEASE_FEED_MS;
        if (pauses_ms[i] > 0) {
            expect_ask_in(&rig, pauses_ms[i], LEASED_SYNC);
            continue;
        }
        expect_ask(&rig, LEASED_SYNC);
    }
    synced_to(&rig, &rig.ask, SEQ, NULL, LEASE_MS);
    beat(&rig, TERM, SEQ);
    rig.now_ms += LEASE_FEED_MS;
    expect_ask(&rig, LEASED_SYNC);
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
    beat(&rig, TERM + 5, 0); /* of those who knew it before: they tell nothing about the next */
    assert_true(leased_cache_opened(rig.cache, rig.ask.ask, SESSION + 1, TERM - 3, rig.now_ms));
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

/* A leader that is slow has its first answer taken, to whichever try it is: one session is enough. What
 * comes after it is for the host to close. */
static void test_the_first_session_that_comes_is_taken(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin_with(&rig, 100, 10000);
    expect_ask(&rig, LEASED_OPEN);
    const uint64_t first = rig.ask.ask;
    expect_ask_in(&rig, LEASE_OPEN_MS, LEASED_OPEN);
    const uint64_t second = rig.ask.ask;
    assert_true(leased_cache_opened(rig.cache, first, SESSION, TERM, rig.now_ms));
    expect_ask(&rig, LEASED_SYNC);
    assert_int_equal(rig.ask.session, SESSION);
    assert_false(leased_cache_opened(rig.cache, second, SESSION + 1, TERM, rig.now_ms));
    assert_true(leased_cache_opened(rig.cache, first, SESSION, TERM, rig.now_ms));
    synced_to(&rig, &rig.ask, SEQ, NULL, LEASE_MS);
    assert_int_equal(counts_of(&rig).session, SESSION);
    assert_int_equal(counts_of(&rig).lease_left_ms, LEASE_LOCAL_MS);
    rig_end(&rig);
}

/* An answer that comes twice, when the session that was taken is gone: its host has closed that other
 * one, or is about to. */
static void test_a_session_that_was_closed_is_not_taken_later(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin_with(&rig, 100, 10000);
    expect_ask(&rig, LEASED_OPEN);
    const uint64_t first = rig.ask.ask;
    expect_ask_in(&rig, LEASE_OPEN_MS, LEASED_OPEN);
    const uint64_t second = rig.ask.ask;
    assert_true(leased_cache_opened(rig.cache, first, SESSION, TERM, rig.now_ms));
    assert_false(leased_cache_opened(rig.cache, second, SESSION + 1, TERM, rig.now_ms));
    expect_ask(&rig, LEASED_SYNC);
    refused(&rig, ERR_NOT_FOUND);
    assert_false(leased_cache_opened(rig.cache, second, SESSION + 1, TERM, rig.now_ms));
    assert_false(leased_cache_opened(rig.cache, first, SESSION, TERM, rig.now_ms));
    assert_int_equal(counts_of(&rig).session, 0);
    expect_ask_in(&rig, LEASE_REPEAT_MS * 4, LEASED_OPEN);
    assert_true(leased_cache_opened(rig.cache, rig.ask.ask, SESSION + 2, TERM, rig.now_ms));
    rig_end(&rig);
}

/* Whoever leaves holds nothing from then on, whatever comes: an answer that was on its way, news, or
 * another session; and asks for nothing. */
static void test_who_leaves_is_silent_for_good(void **state)
{
    struct rig rig;
    (void)state;
    rig_begin(&rig);
    store(&rig, "item:1", "one");
    const uint64_t token = expect_fill(&rig, "item:2");
    expect_ask_in(&rig, LEASE_LOCAL_MS / 3, LEASED_RENEW);
    assert_int_equal(leased_cache_leave(rig.cache, rig.now_ms), SESSION);
    granted_to(&rig, &rig.ask, LEASE_MS);
    synced_to(&rig, &rig.ask, SEQ, NULL, LEASE_MS);
    refused(&rig, ERR_BUSY);
    beat(&rig, TERM, SEQ + 1);
    beat(&rig, TERM + 1, 0);
    fill(&rig, token, "two");
    assert_false(
        leased_cache_opened(rig.cache, rig.ask.ask + 1, SESSION + 1, TERM + 1, rig.now_ms));
    expect_none(&rig, "item:1");
    expect_none(&rig, "item:2");
    expect_flushed(&rig);
    assert_int_equal(counts_of(&rig).session, 0);
    rig.now_ms += 100 * LEASE_MS;
    expect_no_ask(&rig);
    assert_int_equal(leased_cache_leave(rig.cache, rig.now_ms), 0);
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
    assert_false(leased_cache_opened(rig.cache, rig.ask.ask + 1, SESSION + 1, TERM, rig.now_ms));
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

/* Keys and values count; what fits exactly stays, a byte more makes room, and what never fits is
 * not stored. */
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
        cmocka_unit_test(test_a_lease_is_renewed_at_a_third),
        cmocka_unit_test(test_an_ask_without_an_answer_is_repeated_ever_more_seldom),
        cmocka_unit_test(test_who_is_refused_backs_off),
        cmocka_unit_test(test_a_flush_does_not_end_a_back_off),
        cmocka_unit_test(test_flushes_do_not_make_a_storm_of_syncs),
        cmocka_unit_test(test_a_cache_that_hears_nothing_syncs_ever_more_seldom),
        cmocka_unit_test(test_an_acknowledgement_waits_for_no_answer),
        cmocka_unit_test(test_asks_under_way_are_bounded),
        cmocka_unit_test(test_an_unknown_session_is_flushed_and_another_one_opened),
        cmocka_unit_test(test_sessions_that_vanish_are_opened_ever_more_seldom),
        cmocka_unit_test(test_the_first_session_that_comes_is_taken),
        cmocka_unit_test(test_a_session_that_was_closed_is_not_taken_later),
        cmocka_unit_test(test_who_leaves_is_silent_for_good),
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
