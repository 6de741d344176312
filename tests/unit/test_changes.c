/* What belongs into a message of the stream of changes, and when one is due.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "broker/bus/limits.h"
#include "services/replica/changes.h"

/* link: replica */

#define NOW_MS 100000

/* A table: the versions of its rows, rising. */
struct table {
    const uint64_t *versions;
    size_t count;
    size_t bytes; /* of each row's content */
};

/* Fill a page as a service does. */
static void fill(struct changes_page *page, const struct table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        const uint64_t version = table->versions[i];
        if (version <= page->since)
            continue;
        const enum changes_room room = changes_page_room(page, version, table->bytes);
        if (room == CHANGES_FULL)
            break;
        changes_page_add(page, version, room == CHANGES_WHOLE ? json_true() : json_null(),
                         table->bytes);
    }
}

/* Without rows above it a page says that nothing has changed up to what is applied. */
static void test_without_rows_a_page_reaches_what_is_applied(void **state)
{
    struct changes_page page;

    (void)state;
    changes_page_init(&page, 7, 10);
    assert_false(page.more);
    assert_int_equal(changes_page_index(&page, 9), 9);
    json_decref(page.rows);
}

/* The entry that reaches the bound is told to its end, and the next page begins behind it; so each row
 * is on one page, and pages end somewhere. */
static void test_an_entry_is_never_divided(void **state)
{
    static const uint64_t versions[] = {1, 2, 2, 2, 2, 3, 5, 5, 6};
    static const uint64_t ends[] = {2, 5, 9};
    static const size_t counts[] = {5, 3, 1};
    const struct table table = {versions, sizeof versions / sizeof versions[0], 10};
    uint64_t since = 0;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct changes_page page;
        changes_page_init(&page, since, 2);
        fill(&page, &table);
        assert_int_equal(json_array_size(page.rows), counts[i]);
        assert_int_equal(page.more, i < 2);
        since = changes_page_index(&page, 9);
        assert_int_equal(since, ends[i]);
        json_decref(page.rows);
    }
}

/* No further entry is begun above so many rows, or bytes. */
static void test_a_page_is_bounded(void **state)
{
    uint64_t versions[2 * CHANGES_COUNT_MAX];
    struct table table = {versions, sizeof versions / sizeof versions[0], 10};
    struct changes_page page;

    (void)state;
    for (size_t i = 0; i < table.count; i++)
        versions[i] = i + 1;
    changes_page_init(&page, 0, CHANGES_COUNT_MAX);
    fill(&page, &table);
    assert_int_equal(json_array_size(page.rows), CHANGES_COUNT_MAX);
    assert_int_equal(changes_page_index(&page, 1000), CHANGES_COUNT_MAX);
    json_decref(page.rows);

    table.bytes = CHANGES_BYTES_MAX / 4 + 1;
    changes_page_init(&page, 0, CHANGES_COUNT_MAX);
    fill(&page, &table);
    assert_int_equal(json_array_size(page.rows), 4);
    assert_true(page.more);
    json_decref(page.rows);
}

/* The rows of an entry that has touched too much are all there, the last ones by name alone. */
static void test_what_is_too_much_is_named(void **state)
{
    uint64_t versions[IMPORT_ROWS_MAX + 1];
    struct table table = {versions, IMPORT_ROWS_MAX + 1, 4096};
    struct changes_page page;
    size_t whole = 0, i;
    json_t *row;

    (void)state;
    for (i = 0; i < IMPORT_ROWS_MAX; i++)
        versions[i] = 5;
    versions[IMPORT_ROWS_MAX] = 6;
    changes_page_init(&page, 0, CHANGES_COUNT_MAX);
    fill(&page, &table);
    assert_int_equal(json_array_size(page.rows), IMPORT_ROWS_MAX);
    assert_int_equal(changes_page_index(&page, 6), 5);
    json_array_foreach(page.rows, i, row) whole += json_is_true(row);
    assert_int_equal(whole, CHANGES_ENTRY_BYTES_MAX / table.bytes);
    assert_true(json_is_true(json_array_get(page.rows, whole - 1)));
    assert_true(json_is_null(json_array_get(page.rows, whole)));
    json_decref(page.rows);
}

/* Nothing is due while nobody wants it. */
static void test_who_is_not_wanted_publishes_nothing(void **state)
{
    struct changes_feed feed = {0};

    (void)state;
    assert_int_equal(changes_feed_due_ms(&feed, 10), INT64_MAX);
    changes_feed_want(&feed, false, 10, NOW_MS);
    assert_int_equal(changes_feed_due_ms(&feed, 20), INT64_MAX);
}

/* Who begins says at once where it is, and tells nothing of what was before. */
static void test_the_first_message_begins_at_what_is_applied(void **state)
{
    struct changes_feed feed = {0};

    (void)state;
    changes_feed_want(&feed, true, 10, NOW_MS);
    assert_true(changes_feed_due_ms(&feed, 10) <= NOW_MS);
    assert_int_equal(feed.index, 10);
}

/* Then something is due soon after it was applied, else a beat; and being wanted still is nothing new. */
static void test_messages_are_paced_and_beat(void **state)
{
    struct changes_feed feed = {0};

    (void)state;
    changes_feed_want(&feed, true, 10, NOW_MS);
    changes_feed_sent(&feed, 10, NOW_MS);
    assert_int_equal(changes_feed_due_ms(&feed, 10), NOW_MS + CHANGES_BEAT_MS);
    changes_feed_want(&feed, true, 12, NOW_MS + 1);
    assert_int_equal(feed.index, 10);
    assert_int_equal(changes_feed_due_ms(&feed, 12), NOW_MS + CHANGES_PAUSE_MS);
    changes_feed_sent(&feed, 11, NOW_MS + 3); /* there was no room for all */
    assert_int_equal(changes_feed_due_ms(&feed, 12), NOW_MS + 3 + CHANGES_PAUSE_MS);
    changes_feed_sent(&feed, 12, NOW_MS + 9);
    assert_int_equal(changes_feed_due_ms(&feed, 12), NOW_MS + 9 + CHANGES_BEAT_MS);
}

/* Who was not wanted for a while begins anew: what was applied meanwhile is asked for. */
static void test_who_is_wanted_again_begins_anew(void **state)
{
    struct changes_feed feed = {0};

    (void)state;
    changes_feed_want(&feed, true, 10, NOW_MS);
    changes_feed_sent(&feed, 10, NOW_MS);
    changes_feed_want(&feed, false, 11, NOW_MS);
    assert_int_equal(changes_feed_due_ms(&feed, 11), INT64_MAX);
    changes_feed_want(&feed, true, 5000, NOW_MS + 1);
    assert_int_equal(feed.index, 5000);
    assert_true(changes_feed_due_ms(&feed, 5000) <= NOW_MS + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_rows_a_page_reaches_what_is_applied),
        cmocka_unit_test(test_an_entry_is_never_divided),
        cmocka_unit_test(test_a_page_is_bounded),
        cmocka_unit_test(test_what_is_too_much_is_named),
        cmocka_unit_test(test_who_is_not_wanted_publishes_nothing),
        cmocka_unit_test(test_the_first_message_begins_at_what_is_applied),
        cmocka_unit_test(test_messages_are_paced_and_beat),
        cmocka_unit_test(test_who_is_wanted_again_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
