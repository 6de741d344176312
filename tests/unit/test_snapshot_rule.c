/* When a snapshot is taken, and what it leaves of the log; and what is written of one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "broker/bus/limits.h"
#include "services/replica/snapshot_mark.h"
#include "services/replica/snapshot_rule.h"

static const struct snapshot_view due = {
    .applied_index = 70000 + SNAPSHOT_ENTRIES,
    .durable_index = 70000 + SNAPSHOT_ENTRIES,
    .snapshot_index = 70000,
    .needed_index = INT64_MAX,
};

/* After so many entries, or so many bytes, and not before. */
static void test_entries_and_bytes_count(void **state)
{
    struct snapshot_view view = due;

    (void)state;
    assert_true(snapshot_due(&view));
    view.applied_index--;
    assert_false(snapshot_due(&view));
    view.bytes = SNAPSHOT_LOG_BYTES - 1;
    assert_false(snapshot_due(&view));
    view.bytes++;
    assert_true(snapshot_due(&view));
    view.applied_index = view.snapshot_index;
    assert_false(snapshot_due(&view));
}

/* The number of entries may be another. */
static void test_the_number_of_entries_may_be_set(void **state)
{
    struct snapshot_view view = {
        .applied_index = 109, .durable_index = 109, .entries_max = 10, .needed_index = INT64_MAX};

    (void)state;
    view.snapshot_index = 100;
    assert_false(snapshot_due(&view));
    view.snapshot_index = 99;
    assert_true(snapshot_due(&view));
}

/* A member that is there, and needs what would be cut off, holds it up; but not for ever. */
static void test_who_is_behind_holds_it_up_for_a_while(void **state)
{
    struct snapshot_view view = due;

    (void)state;
    view.needed_index = view.applied_index - SNAPSHOT_TRAILING + 1;
    assert_true(snapshot_due(&view));
    view.needed_index--;
    assert_false(snapshot_due(&view));
    view.bytes = SNAPSHOT_WAIT_FACTOR * (uint64_t)SNAPSHOT_LOG_BYTES;
    assert_true(snapshot_due(&view));
    view.bytes = 0;
    view.applied_index = view.snapshot_index + SNAPSHOT_WAIT_FACTOR * SNAPSHOT_ENTRIES - 1;
    view.durable_index = view.applied_index;
    assert_false(snapshot_due(&view));
    view.applied_index++;
    view.durable_index++;
    assert_true(snapshot_due(&view));
}

/* Not while one is under way or one was taken a moment ago; and never of a state that is ahead of
 * the log on the disk. */
static void test_what_forbids_it(void **state)
{
    struct snapshot_view view = due;

    (void)state;
    view.busy = true;
    assert_false(snapshot_due(&view));
    view = due;
    view.resting = true;
    assert_false(snapshot_due(&view));
    view = due;
    view.durable_index--;
    assert_false(snapshot_due(&view));
}

/* As long as makes it a tenth of the time; after a failure a fixed time. */
static void test_how_long_to_rest(void **state)
{
    (void)state;
    assert_int_equal(snapshot_rest_ms(0, false), 0);
    assert_int_equal(snapshot_rest_ms(500, false), 4500);
    assert_int_equal(snapshot_rest_ms(500, true), SNAPSHOT_AGAIN_MS);
}

/* Half of what is covered anew stays, up to a bound; so a log of large entries is short. */
static void test_what_stays_of_the_log(void **state)
{
    (void)state;
    assert_int_equal(snapshot_trailing(20000, 0), 10000);
    assert_int_equal(snapshot_trailing(90000, 20000), SNAPSHOT_TRAILING);
    assert_int_equal(snapshot_trailing(20400, 20000), 200);
    assert_int_equal(snapshot_trailing(1, 0), 0);
    assert_int_equal(snapshot_keep_from(20000, 10000), 10001);
    assert_int_equal(snapshot_keep_from(20000, 0), 20001);
    assert_int_equal(snapshot_keep_from(20000, 20000), 1);
    assert_int_equal(snapshot_keep_from(5, 10000), 1);
}

static const struct snapshot_mark mark = {
    .index = 20000,
    .term = 7,
    .log_time_ms = 123456,
    .membership =
        {.count = 1,
         .members = {{.id = 3, .role = MEMBER_VOTER, .address = "a tcp://h:1 tcp://h:2"}}},
    .membership_index = 40,
    .bytes = UINT64_C(1) << 40,
    .checksum = 0xfedcba98,
};

/* A mark is read as it was written. */
static void test_a_mark_is_read_as_written(void **state)
{
    struct bytes_writer text = {0};
    struct bytes_reader reader;
    struct snapshot_mark read;

    (void)state;
    snapshot_mark_encode(&mark, &text);
    bytes_reader_init(&reader, text.data, text.size);
    snapshot_mark_decode(&read, &reader);
    assert_true(bytes_reader_done(&reader));
    assert_true(snapshot_mark_same(&read, &mark));
    assert_int_equal(read.log_time_ms, mark.log_time_ms);
    assert_int_equal(read.membership_index, mark.membership_index);
    assert_int_equal(read.membership.count, 1);
    assert_int_equal(read.membership.members[0].id, 3);
    bytes_writer_close(&text);
}

static void assert_nonsense(struct snapshot_mark bad)
{
    struct bytes_writer text = {0};
    struct bytes_reader reader;
    struct snapshot_mark read;

    snapshot_mark_encode(&bad, &text);
    bytes_reader_init(&reader, text.data, text.size);
    snapshot_mark_decode(&read, &reader);
    assert_true(reader.failed);
    bytes_writer_close(&text);
}

/* One that makes no sense is not. */
static void test_a_mark_without_sense_is_refused(void **state)
{
    struct snapshot_mark bad = mark;

    (void)state;
    bad.index = 0;
    assert_nonsense(bad);
    bad.index = UINT64_MAX;
    assert_nonsense(bad);
    bad = mark;
    bad.term = 0;
    assert_nonsense(bad);
    bad = mark;
    bad.log_time_ms = -1;
    assert_nonsense(bad);
    bad = mark;
    bad.membership_index = 20001;
    assert_nonsense(bad);
    bad.membership_index = 0;
    assert_nonsense(bad);
    bad = mark;
    bad.bytes = 0;
    assert_nonsense(bad);
    bad = mark;
    bad.membership.members[0].role = MEMBER_LEARNER; /* nobody to vote */
    assert_nonsense(bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries_and_bytes_count),
        cmocka_unit_test(test_the_number_of_entries_may_be_set),
        cmocka_unit_test(test_who_is_behind_holds_it_up_for_a_while),
        cmocka_unit_test(test_what_forbids_it),
        cmocka_unit_test(test_how_long_to_rest),
        cmocka_unit_test(test_what_stays_of_the_log),
        cmocka_unit_test(test_a_mark_is_read_as_written),
        cmocka_unit_test(test_a_mark_without_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
