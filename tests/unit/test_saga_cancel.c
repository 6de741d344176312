/* The saga, event by event: a cancel.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/saga_rig.h"

/* CANCELLING, UNDO of the buy's key and lines with the cancel's stamp, CANCELLED, answer; CLOSE
 * after it, lazily. */
static void test_a_cancel_goes_through_both_logs(void **state)
{
    struct fixture *self = *state;

    cancel(self, 1, "cancel", 7);
    assert_false(expect(self, SAGA_LOOK_UP)->fresh);
    assert_true(self->action->cancel);
    saga_looked(self->saga, self->action->call, OK,
                &(struct saga_known){.state = SAGA_ACTIVE, .number = 7}, self->now_ms);
    expect(self, SAGA_CANCELLING);
    assert_int_equal(self->action->number, 7);
    assert_string_equal(self->action->key, "cancel");
    assert_int_equal(self->action->stamp, STAMP);
    saga_applied(self->saga, self->action->call, OK, 7, true, self->now_ms);
    looked_order(self, SAGA_IS_CANCELLING, true);
    expect(self, SAGA_UNDO);
    assert_string_equal(self->action->key, "buy");
    assert_int_equal(self->action->stamp, STAMP);
    assert_true(bytes_are(self->action->content, "content"));
    saga_undone(self->saga, self->action->call, OK, self->now_ms);
    assert_int_equal(expect(self, SAGA_CANCELLED)->number, 7);
    saga_applied(self->saga, self->action->call, OK, 7, true, self->now_ms);
    expect_order(self, 1, 7, false);
    pass(self, SETTLE_WAIT_MS);
    assert_string_equal(expect(self, SAGA_CLOSE)->keys[0], "buy");
    expect_nothing(self);
}

/* Nobody is told "no such order" but after a linearizable read. */
static void test_not_found_takes_a_linearizable_read(void **state)
{
    struct fixture *self = *state;

    cancel(self, 1, "cancel", 7);
    looked_absent(self);
    assert_true(expect(self, SAGA_LOOK_UP)->fresh);
    saga_looked(self->saga, self->action->call, ERR_UNAVAILABLE, NULL, self->now_ms);
    expect_nothing(self);
    pass(self, SAGA_BACKOFF_MS_MIN);
    assert_true(expect(self, SAGA_LOOK_UP)->fresh);
    saga_looked(self->saga, self->action->call, OK, &(struct saga_known){0}, self->now_ms);
    expect_answer(self, 1, ERR_NOT_FOUND);
}

/* Cancelled before: the same key gets the same answer again, another one "wrong state". */
static void test_a_cancelled_order_is_replayed_to_its_key_alone(void **state)
{
    struct fixture *self = *state;

    cancel(self, 1, "cancel", 7);
    looked_order(self, SAGA_IS_CANCELLED, true);
    expect_order(self, 1, 7, true);
    cancel(self, 2, "other", 7);
    looked_order(self, SAGA_IS_CANCELLED, false);
    expect_answer(self, 2, ERR_STATE);
    expect_nothing(self);
}

/* While another key's cancel is under way "cancelled" is not true yet: it waits, and then says so. */
static void test_a_cancel_under_another_key_is_waited_for(void **state)
{
    struct fixture *self = *state;

    cancel(self, 1, "other", 7);
    looked_order(self, SAGA_IS_CANCELLING, false);
    expect_nothing(self);
    pass(self, SAGA_BACKOFF_MS_MIN);
    looked_order(self, SAGA_IS_CANCELLING, false);
    pass(self, 2 * SAGA_BACKOFF_MS_MIN);
    looked_order(self, SAGA_IS_CANCELLED, false);
    expect_answer(self, 1, ERR_STATE);
}

/* If that takes too long nothing was attempted under its own key, not even when its own CANCELLING
 * came second. */
static void test_waiting_for_another_cancel_is_not_attempted(void **state)
{
    struct fixture *self = *state;

    cancel_until(self, 1, "other", 7, STAMP, self->now_ms + 30);
    looked_order(self, SAGA_ACTIVE, false);
    expect(self, SAGA_CANCELLING);
    saga_applied(self->saga, self->action->call, OK, 7, false, self->now_ms);
    looked_order(self, SAGA_IS_CANCELLING, false);
    pass(self, 30);
    expect_answer(self, 1, ERR_UNAVAILABLE);
    pass(self, 100);
    expect_nothing(self);
}

/* The key of another cancel, or of a buy, is refused. */
static void test_a_cancel_with_a_used_key_is_refused(void **state)
{
    struct fixture *self = *state;

    cancel(self, 1, "cancel", 7);
    looked(self, &(struct saga_known){.key_used = true, .state = SAGA_ACTIVE});
    expect_answer(self, 1, ERR_KEY_REUSED);
    cancel(self, 2, "cancel", 7);
    expect(self, SAGA_LOOK_UP);
    cancel(self, 3, "cancel", 8);
    expect_answer(self, 3, ERR_KEY_REUSED);
}

/* A CANCELLING whose outcome is unknown goes out again; at the deadline it is unknown. */
static void test_an_unknown_cancelling_is_submitted_again(void **state)
{
    struct fixture *self = *state;

    cancel_until(self, 1, "cancel", 7, STAMP, self->now_ms + 50);
    looked_order(self, SAGA_ACTIVE, false);
    saga_applied(self->saga, expect(self, SAGA_CANCELLING)->call, ERR_UNKNOWN, 0, false,
                 self->now_ms);
    pass(self, SAGA_BACKOFF_MS_MIN);
    expect(self, SAGA_CANCELLING);
    pass(self, 30);
    expect_answer(self, 1, ERR_TIMEOUT);
    expect_nothing(self);
}

/* One that never got into the log was not attempted. */
static void test_a_refused_cancelling_is_not_attempted(void **state)
{
    struct fixture *self = *state;

    cancel_until(self, 1, "cancel", 7, STAMP, self->now_ms + 10);
    looked_order(self, SAGA_ACTIVE, false);
    saga_applied(self->saga, expect(self, SAGA_CANCELLING)->call, ERR_BUSY, 0, false, self->now_ms);
    pass(self, 10);
    expect_answer(self, 1, ERR_UNAVAILABLE);
}

/* A stamp that the catalog would refuse is refused before anything is done. */
static void test_the_stamp_of_a_cancel_is_judged_first(void **state)
{
    struct fixture *self = *state;
    int64_t day = STAMP_AGE_MS_MAX;

    saga_heard(self->saga, day);
    cancel_until(self, 1, "ahead", 7, day + STAMP_AHEAD_MS_MAX + 1, self->now_ms + LONG_MS);
    looked_order(self, SAGA_ACTIVE, false);
    expect_answer(self, 1, ERR_INVALID);
    saga_heard(self->saga, day + 1);
    cancel_until(self, 2, "old", 7, 0, self->now_ms + LONG_MS);
    looked_order(self, SAGA_ACTIVE, false);
    expect_answer(self, 2, ERR_STAMP_OLD);
    cancel_until(self, 3, "just", 7, 1, self->now_ms + LONG_MS);
    looked_order(self, SAGA_ACTIVE, false);
    expect(self, SAGA_CANCELLING);
}

/* What the catalog's log time was when leadership was lost may be of days ago when it is regained: no
 * cancel is refused by it. */
static void test_a_regained_leadership_judges_no_stamp_by_an_old_time(void **state)
{
    struct fixture *self = *state;
    int64_t stamp = LOG_TIME + 2 * STAMP_AHEAD_MS_MAX;

    saga_lead(self->saga, false, self->now_ms);
    saga_heard(self->saga, LOG_TIME); /* late */
    self->now_ms += 2 * STAMP_AHEAD_MS_MAX;
    saga_lead(self->saga, true, self->now_ms);
    cancel_until(self, 1, "cancel", 7, stamp, self->now_ms + LONG_MS);
    looked_order(self, SAGA_ACTIVE, false);
    expect_nothing(self);
    saga_heard(self->saga, stamp);
    pass(self, SAGA_BACKOFF_MS_MAX);
    looked_order(self, SAGA_ACTIVE, false);
    assert_int_equal(expect(self, SAGA_SCAN)->type, SAGA_SCAN);
    expect(self, SAGA_LIST);
    expect(self, SAGA_CANCELLING);
}

/* A leader that has not heard the catalog's log time yet begins no cancel, and begins it then. */
static void test_a_cancel_waits_for_the_catalogs_log_time(void **state)
{
    struct fixture *self = *state;

    saga_heard(self->saga, -1);
    cancel(self, 1, "cancel", 7);
    looked_order(self, SAGA_ACTIVE, false);
    expect_nothing(self);
    saga_heard(self->saga, LOG_TIME);
    pass(self, SAGA_BACKOFF_MS_MIN);
    looked_order(self, SAGA_ACTIVE, false);
    expect(self, SAGA_CANCELLING);
}

/* An UNDO is repeated until the catalog says that the stock is back. */
static void test_an_undo_is_sent_until_it_is_answered(void **state)
{
    static const int failures[] = {ERR_TIMEOUT, ERR_NO_SERVICE, ERR_DISK_LOW};
    struct fixture *self = *state;

    cancel(self, 1, "cancel", 7);
    looked_order(self, SAGA_IS_CANCELLING, true);
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        saga_undone(self->saga, expect(self, SAGA_UNDO)->call, failures[i], self->now_ms);
        expect_nothing(self);
        pass(self, (int64_t)SAGA_BACKOFF_MS_MIN << i);
    }
    saga_undone(self->saga, expect(self, SAGA_UNDO)->call, OK, self->now_ms);
    expect(self, SAGA_CANCELLED);
}

/* An UNDO refused for its age (nobody led the orders for a day) gets a new stamp, through the order
 * log first. */
static void test_an_undo_that_is_too_old_is_stamped_anew_in_the_order_log(void **state)
{
    struct fixture *self = *state;
    int64_t later = STAMP + 2 * STAMP_AGE_MS_MAX;
    struct saga_known known = known_order(SAGA_IS_CANCELLING, true);

    cancel(self, 1, "cancel", 7);
    looked(self, &known);
    saga_heard(self->saga, later);
    saga_undone(self->saga, expect(self, SAGA_UNDO)->call, ERR_STAMP_OLD, self->now_ms);
    assert_int_equal(expect(self, SAGA_CANCELLING)->stamp, later);
    assert_string_equal(self->action->key, "cancel");
    saga_applied(self->saga, self->action->call, OK, 7, false, self->now_ms);
    known.cancel_stamp = later;
    looked(self, &known);
    assert_int_equal(expect(self, SAGA_UNDO)->stamp, later);
}

/* An order that was left cancelling goes on from UNDO, with the stamp on record; a client that
 * repeats its cancel joins. */
static void test_a_listed_cancel_goes_on(void **state)
{
    struct fixture *self = *state;
    struct saga_listed row = {
        .cancel_key = "cancel",
        .order_key = "buy",
        .number = 7,
        .stamp = 99,
        .content = bytes("content"),
    };
    uint64_t flow;

    saga_listed(self->saga, &row, 1);
    flow = expect(self, SAGA_UNDO)->call;
    assert_string_equal(self->action->key, "buy");
    assert_int_equal(self->action->stamp, 99);
    saga_listed(self->saga, &row, 1); /* the next scan finds it again */
    cancel(self, 1, "cancel", 7);
    expect_nothing(self);
    saga_undone(self->saga, flow, OK, self->now_ms);
    saga_applied(self->saga, expect(self, SAGA_CANCELLED)->call, OK, 7, true, self->now_ms);
    expect_order(self, 1, 7, true);
    pass(self, SETTLE_WAIT_MS);
    assert_string_equal(expect(self, SAGA_CLOSE)->keys[0], "buy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_cancel_goes_through_both_logs),
        TEST(test_not_found_takes_a_linearizable_read),
        TEST(test_a_cancelled_order_is_replayed_to_its_key_alone),
        TEST(test_a_cancel_under_another_key_is_waited_for),
        TEST(test_waiting_for_another_cancel_is_not_attempted),
        TEST(test_a_cancel_with_a_used_key_is_refused),
        TEST(test_an_unknown_cancelling_is_submitted_again),
        TEST(test_a_refused_cancelling_is_not_attempted),
        TEST(test_the_stamp_of_a_cancel_is_judged_first),
        TEST(test_a_regained_leadership_judges_no_stamp_by_an_old_time),
        TEST(test_a_cancel_waits_for_the_catalogs_log_time),
        TEST(test_an_undo_is_sent_until_it_is_answered),
        TEST(test_an_undo_that_is_too_old_is_stamped_anew_in_the_order_log),
        TEST(test_a_listed_cancel_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
