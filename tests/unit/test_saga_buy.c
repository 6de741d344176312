/* The saga, event by event: a buy, and what is the same for all that it does.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/saga_rig.h"

/* ---- The buy --------------------------------------------------------------- */

/* Looked up, reserved, ordered, answered; key, content, stamp and grant pass unchanged. */
static void test_a_buy_is_reserved_then_ordered_then_answered(void **state)
{
    struct fixture *self = *state;

    buy(self, 1, "key", "content");
    looked_absent(self);
    expect(self, SAGA_RESERVE);
    assert_string_equal(self->action->key, "key");
    assert_int_equal(self->action->stamp, STAMP);
    assert_true(bytes_are(self->action->content, "content"));
    saga_reserved(self->saga, self->action->call, OK, bytes("grant"), self->now_ms);
    expect(self, SAGA_ORDER);
    assert_string_equal(self->action->key, "key");
    assert_int_equal(self->action->stamp, STAMP);
    assert_true(bytes_are(self->action->content, "content"));
    assert_true(bytes_are(self->action->grant, "grant"));
    saga_applied(self->saga, self->action->call, OK, 17, true, self->now_ms);
    expect_order(self, 1, 17, false);
    assert_int_equal(self->action->log_time_ms, LOG_TIME);
    expect_nothing(self);
}

/* An order that another leader's ORDER made is a replay. */
static void test_an_order_that_was_there_already_is_a_replay(void **state)
{
    struct fixture *self = *state;

    buy(self, 1, "key", "content");
    looked_absent(self);
    reserved(self, OK, "grant");
    ordered(self, OK, 17, false);
    expect_order(self, 1, 17, true);
}

/* A key with an order of the same content: the recorded answer, and nothing is sent. */
static void test_a_repetition_is_answered_from_the_order_tables(void **state)
{
    struct fixture *self = *state;

    buy(self, 1, "key", "content");
    looked(self, &(struct saga_known){
                     .state = SAGA_IS_CANCELLED, .number = 3, .content = bytes("content")});
    expect_order(self, 1, 3, true);
    expect_nothing(self);
}

/* A key with an order of other content, or with a cancel, is refused. */
static void test_a_key_of_something_else_is_refused(void **state)
{
    struct fixture *self = *state;

    buy(self, 1, "key", "content");
    looked(self,
           &(struct saga_known){.state = SAGA_ACTIVE, .number = 3, .content = bytes("other")});
    expect_answer(self, 1, ERR_KEY_REUSED);
    buy(self, 2, "key", "content");
    looked(self, &(struct saga_known){.state = SAGA_ABSENT, .key_used = true});
    expect_answer(self, 2, ERR_KEY_REUSED);
    expect_nothing(self);
}

/* Two asks of one key at one time are one buy, and both get its outcome. */
static void test_the_same_buy_at_the_same_time_joins(void **state)
{
    struct fixture *self = *state;
    uint64_t flow = buy_to_reserve(self, 1, "key");

    buy(self, 2, "key", "content");
    expect_nothing(self);
    saga_reserved(self->saga, flow, OK, bytes("grant"), self->now_ms);
    ordered(self, OK, 17, true);
    expect_order(self, 1, 17, false);
    expect_order(self, 2, 17, true);
    expect_nothing(self);
}

/* With other content, or as a cancel, the second is refused and the first goes on. */
static void test_another_operation_of_a_running_key_is_refused(void **state)
{
    struct fixture *self = *state;
    uint64_t flow = buy_to_reserve(self, 1, "key");

    buy(self, 2, "key", "other");
    expect_answer(self, 2, ERR_KEY_REUSED);
    cancel(self, 3, "key", 7);
    expect_answer(self, 3, ERR_KEY_REUSED);
    saga_reserved(self->saga, flow, OK, bytes("grant"), self->now_ms);
    ordered(self, OK, 17, true);
    expect_order(self, 1, 17, false);
}

/* The catalog's denial goes to everybody who waits, in its own words, and ends the flow. */
static void test_a_denial_is_passed_on_in_the_catalogs_words(void **state)
{
    static const int denials[] = {ERR_OUT_OF_STOCK, ERR_NOT_FOUND, ERR_KEY_REUSED, ERR_INVALID};
    struct fixture *self = *state;

    for (size_t i = 0; i < sizeof denials / sizeof denials[0]; i++) {
        uint64_t flow = buy_to_reserve(self, 1, "key");

        buy(self, 2, "key", "content");
        saga_reserved(self->saga, flow, denials[i], bytes("words"), self->now_ms);
        expect_answer(self, 1, denials[i]);
        assert_true(bytes_are(self->action->error, "words"));
        expect_answer(self, 2, denials[i]);
        assert_true(bytes_are(self->action->error, "words"));
        expect_nothing(self);
    }
}

/* "Too old" is told when a linearizable read has found no order of the key either: the catalog may
 * have forgotten the key of an order that old tables don't have. */
static void test_a_stamp_is_too_old_only_after_a_linearizable_read(void **state)
{
    struct fixture *self = *state;

    buy(self, 1, "key", "content");
    looked_absent(self);
    reserved(self, ERR_STAMP_OLD, "words");
    assert_true(expect(self, SAGA_LOOK_UP)->fresh);
    saga_looked(
        self->saga, self->action->call, OK,
        &(struct saga_known){.state = SAGA_ACTIVE, .number = 3, .content = bytes("content")},
        self->now_ms);
    expect_order(self, 1, 3, true);
    buy(self, 2, "other", "content");
    looked_absent(self);
    reserved(self, ERR_STAMP_OLD, "words");
    looked_absent(self);
    reserved(self, ERR_STAMP_OLD, "words");
    expect_answer(self, 2, ERR_STAMP_OLD);
    assert_true(bytes_are(self->action->error, "words"));
}

/* No answer, or one that leaves it open, denies nothing: RESERVE goes out again, with the same
 * stamp, after a pause that doubles up to its bound. */
static void test_an_unknown_reserve_is_sent_again_with_the_same_stamp(void **state)
{
    struct fixture *self = *state;
    int64_t pause = SAGA_BACKOFF_MS_MIN;

    buy(self, 1, "key", "content");
    looked_absent(self);
    for (int i = 0; i < 4; i++) {
        assert_true(pause < SCAN_PERIOD_MS / 4);
        reserved(self, i % 2 == 0 ? ERR_TIMEOUT : ERR_WORKER_LOST, "");
        pass(self, pause - 1);
        expect_nothing(self);
        pass(self, 1);
        pause *= 2;
    }
    assert_int_equal(expect(self, SAGA_RESERVE)->stamp, STAMP);
    saga_reserved(self->saga, self->action->call, OK, bytes("grant"), self->now_ms);
    ordered(self, OK, 17, true);
    expect_order(self, 1, 17, false);
}

/* At its deadline a ticket is told "unknown" once a RESERVE has left; the buy goes on without it,
 * and is there when it is asked for again. */
static void test_a_deadline_after_reserve_is_unknown_and_the_buy_goes_on(void **state)
{
    struct fixture *self = *state;
    uint64_t flow;

    buy_until(self, 1, "key", "content", self->now_ms + 100);
    looked_absent(self);
    flow = expect(self, SAGA_RESERVE)->call;
    pass(self, 99);
    expect_nothing(self);
    pass(self, 1);
    expect_answer(self, 1, ERR_TIMEOUT);
    buy(self, 2, "key", "content");
    saga_reserved(self->saga, flow, OK, bytes("grant"), self->now_ms);
    ordered(self, OK, 17, true);
    expect_order(self, 2, 17, true);
    expect_nothing(self);
}

/* When no RESERVE could leave, the deadline says so, and the buy is over. */
static void test_a_deadline_before_reserve_is_not_attempted(void **state)
{
    struct fixture *self = *state;
    struct saga_numbers numbers;

    buy_until(self, 1, "key", "content", self->now_ms + 60);
    looked_absent(self);
    reserved(self, ERR_NO_BROKER, "");
    pass(self, 20);
    reserved(self, ERR_QUEUE_FULL, "");
    pass(self, 40);
    expect_answer(self, 1, ERR_UNAVAILABLE);
    pass(self, 200);
    expect_nothing(self);
    saga_numbers(self->saga, &numbers);
    assert_int_equal(numbers.flows, 0);
}

/* "Not attempted" of a later try does not undo the "unknown" of an earlier one. */
static void test_once_unknown_a_buy_stays_unknown(void **state)
{
    struct fixture *self = *state;

    buy_until(self, 1, "key", "content", self->now_ms + 60);
    looked_absent(self);
    reserved(self, ERR_TIMEOUT, "");
    pass(self, 20);
    reserved(self, ERR_NO_BROKER, "");
    pass(self, 40);
    expect_answer(self, 1, ERR_TIMEOUT);
    expect(self, SAGA_RESERVE); /* and on it goes */
}

/* A refusal that judges this try alone is told when there was no other, and never after one whose
 * outcome is unknown: that one may be granted yet. */
static void test_a_momentary_refusal_is_not_told_after_an_unknown_try(void **state)
{
    struct fixture *self = *state;
    struct saga_numbers numbers;

    buy_until(self, 1, "key", "content", self->now_ms + 60);
    looked_absent(self);
    reserved(self, ERR_TIMEOUT, "");
    pass(self, 20);
    reserved(self, ERR_INVALID, "words");
    expect_nothing(self);
    pass(self, 40);
    expect_answer(self, 1, ERR_TIMEOUT);
    reserved(self, ERR_INVALID, "words");
    expect_nothing(self);
    saga_numbers(self->saga, &numbers);
    assert_int_equal(numbers.flows, 0); /* nobody waits: the scan would find a grant */
}

/* A second answer to a RESERVE, an answer to a flow that has ended, and one to nobody at all
 * change nothing. */
static void test_late_and_doubled_answers_change_nothing(void **state)
{
    struct fixture *self = *state;
    uint64_t flow = buy_to_reserve(self, 1, "key");

    saga_reserved(self->saga, flow, OK, bytes("grant"), self->now_ms);
    saga_reserved(self->saga, flow, ERR_OUT_OF_STOCK, bytes("words"), self->now_ms);
    ordered(self, OK, 17, true);
    saga_applied(self->saga, flow, OK, 17, false, self->now_ms);
    expect_order(self, 1, 17, false);
    saga_reserved(self->saga, flow, ERR_OUT_OF_STOCK, bytes("words"), self->now_ms);
    saga_looked(self->saga, flow, OK, &(struct saga_known){0}, self->now_ms);
    saga_undone(self->saga, flow, OK, self->now_ms);
    saga_reserved(self->saga, 999, OK, bytes("grant"), self->now_ms);
    expect_nothing(self);
}

/* Once granted, a buy is ordered, however often the log fails to say so; RESERVE is not repeated. */
static void test_a_granted_buy_is_submitted_until_it_is_ordered(void **state)
{
    static const int failures[] = {ERR_UNKNOWN, ERR_BUSY, ERR_DISK_LOW, ERR_STORAGE};
    struct fixture *self = *state;

    buy(self, 1, "key", "content");
    looked_absent(self);
    reserved(self, OK, "grant");
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        ordered(self, failures[i], 0, false);
        expect_nothing(self);
        pass(self, (int64_t)SAGA_BACKOFF_MS_MIN << i);
    }
    ordered(self, OK, 17, true);
    expect_order(self, 1, 17, false);
}

/* A grant whose key turns out to have an order of other content is counted for the operator. */
static void test_a_grant_against_an_order_of_other_content_is_a_conflict(void **state)
{
    struct fixture *self = *state;
    struct saga_numbers numbers;

    buy(self, 1, "key", "content");
    looked_absent(self);
    reserved(self, OK, "grant");
    ordered(self, ERR_KEY_REUSED, 3, false);
    expect_answer(self, 1, ERR_KEY_REUSED);
    saga_numbers(self->saga, &numbers);
    assert_int_equal(numbers.conflicts, 1);
    pass(self, SETTLE_WAIT_MS);
    expect_nothing(self); /* and not settled */
}

/* ---- Leadership and bounds ------------------------------------------------- */

/* Who waits is told "unknown" when something has left, else "not the leader"; what comes later
 * changes nothing. */
static void test_lost_leadership_answers_everybody(void **state)
{
    struct fixture *self = *state;
    uint64_t flow = buy_to_reserve(self, 1, "one");

    buy(self, 2, "two", "content");
    expect(self, SAGA_LOOK_UP);
    saga_lead(self->saga, false, self->now_ms);
    expect_answer(self, 1, ERR_UNKNOWN);
    expect_answer(self, 2, ERR_NOT_LEADER);
    saga_reserved(self->saga, flow, OK, bytes("grant"), self->now_ms);
    buy(self, 3, "three", "content");
    expect_answer(self, 3, ERR_NOT_LEADER);
    cancel(self, 4, "four", 7);
    expect_answer(self, 4, ERR_NOT_LEADER);
    pass(self, 10 * SCAN_PERIOD_MS);
    expect_nothing(self);
}

/* Answers to what an earlier leadership asked are nothing to the next one. */
static void test_a_new_leadership_ignores_the_answers_of_the_last(void **state)
{
    struct fixture *self = *state;
    struct saga_grant grant = {.key = "old", .content = bytes("c"), .grant = bytes("g")};
    struct saga_scan scan = {.grants = &grant, .grant_count = 1};
    uint64_t old_flow = buy_to_reserve(self, 1, "key");
    uint64_t old_scan;

    pass(self, SCAN_PERIOD_MS);
    old_scan = expect(self, SAGA_SCAN)->call;
    expect(self, SAGA_LIST);
    saga_lead(self->saga, false, self->now_ms);
    expect_answer(self, 1, ERR_UNKNOWN);
    saga_lead(self->saga, true, self->now_ms);
    saga_reserved(self->saga, old_flow, OK, bytes("grant"), self->now_ms);
    saga_scanned(self->saga, old_scan, OK, &scan, self->now_ms);
    expect_nothing(self);
    pass(self, 0);
    assert_true(expect(self, SAGA_SCAN)->call > old_scan);
}

/* What was asked for and not taken up before leadership was lost is not done any more; only answers
 * come. */
static void test_what_was_not_taken_up_before_the_loss_is_not_done(void **state)
{
    struct fixture *self = *state;

    buy_through(self, 1, "done", 5); /* whose SETTLE is due */
    buy(self, 2, "one", "content");
    looked_absent(self);
    buy(self, 3, "two", "content");
    pass(self, SCAN_PERIOD_MS); /* RESERVE, LOOK_UP, SETTLE, SCAN and LIST are waiting */
    saga_lead(self->saga, false, self->now_ms);
    expect_answer(self, 2, ERR_UNKNOWN);
    expect_answer(self, 3, ERR_NOT_LEADER);
    expect_nothing(self);
}

/* Leadership that comes and goes and comes: each time a scan, at once, and nothing of what the one
 * before had under way; a repetition of what was answered "unknown" is taken on as new. */
static void test_a_regained_leadership_begins_anew(void **state)
{
    struct fixture *self = *state;
    struct saga_scan nothing = {0};
    uint64_t old_order;

    buy(self, 1, "key", "content");
    looked_absent(self);
    reserved(self, OK, "grant");
    old_order = expect(self, SAGA_ORDER)->call;
    saga_lead(self->saga, false, self->now_ms);
    expect_answer(self, 1, ERR_UNKNOWN);
    for (int i = 0; i < 3; i++) {
        saga_lead(self->saga, true, self->now_ms);
        pass(self, 0);
        saga_scanned(self->saga, expect(self, SAGA_SCAN)->call, OK, &nothing, self->now_ms);
        expect(self, SAGA_LIST);
        expect_nothing(self);
        if (i < 2)
            saga_lead(self->saga, false, self->now_ms);
    }
    buy(self, 2, "key", "content");
    saga_applied(self->saga, old_order, OK, 9, true, self->now_ms); /* late, of the first time */
    looked_absent(self);
    reserved(self, OK, "grant");
    ordered(self, OK, 9, false);
    expect_order(self, 2, 9, true);
}

/* A leader that is deposed without knowing it has the order log refuse all it submits: it tries on,
 * with longer and longer pauses, answers "unknown" when the time is up, and denies nothing. */
static void test_a_deposed_leader_that_does_not_know_it_denies_nothing(void **state)
{
    struct fixture *self = *state;
    int tries = 1;

    buy_until(self, 1, "key", "content", self->now_ms + 700);
    looked_absent(self);
    reserved(self, OK, "grant");
    ordered(self, ERR_NOT_LEADER, 0, false);
    while (self->action->type != SAGA_ANSWER) {
        pass(self, SAGA_TICK_MS);
        saga_action_destroy(&self->action);
        self->action = saga_next(self->saga);
        if (self->action == NULL)
            self->action = calloc(1, sizeof *self->action);
        else if (self->action->type == SAGA_ORDER) {
            saga_applied(self->saga, self->action->call, ERR_NOT_LEADER, 0, false, self->now_ms);
            tries++;
        }
    }
    assert_int_equal(self->action->code, ERR_TIMEOUT);
    assert_in_range(tries, 4, 8);
    saga_lead(self->saga, false, self->now_ms);
    expect_nothing(self);
}

/* A request without time left is not begun. */
static void test_an_expired_request_is_not_begun(void **state)
{
    struct fixture *self = *state;

    buy_until(self, 1, "key", "content", self->now_ms);
    expect_answer(self, 1, ERR_EXPIRED);
    expect_nothing(self);
}

/* At the bound of flows a new key is refused and a running one may still be joined. */
static void test_above_the_bound_of_flows_it_is_busy(void **state)
{
    struct fixture *self = *state;
    char key[32];

    for (int i = 0; i < SAGA_FLOWS_MAX; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        buy(self, (uint64_t)i, key, "content");
        expect(self, SAGA_LOOK_UP);
    }
    buy(self, 5000, "one-more", "content");
    expect_answer(self, 5000, ERR_BUSY);
    buy(self, 5001, "key-0", "content");
    expect_nothing(self);
}

/* So it is with the requests that wait for one key. */
static void test_above_the_bound_of_tickets_it_is_busy(void **state)
{
    struct fixture *self = *state;

    for (uint64_t i = 0; i < SAGA_TICKETS_MAX; i++)
        buy(self, i, "key", "content");
    expect(self, SAGA_LOOK_UP);
    buy(self, 100, "key", "content");
    expect_answer(self, 100, ERR_BUSY);
    expect_nothing(self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_buy_is_reserved_then_ordered_then_answered),
        TEST(test_an_order_that_was_there_already_is_a_replay),
        TEST(test_a_repetition_is_answered_from_the_order_tables),
        TEST(test_a_key_of_something_else_is_refused),
        TEST(test_the_same_buy_at_the_same_time_joins),
        TEST(test_another_operation_of_a_running_key_is_refused),
        TEST(test_a_denial_is_passed_on_in_the_catalogs_words),
        TEST(test_a_stamp_is_too_old_only_after_a_linearizable_read),
        TEST(test_an_unknown_reserve_is_sent_again_with_the_same_stamp),
        TEST(test_a_deadline_after_reserve_is_unknown_and_the_buy_goes_on),
        TEST(test_a_deadline_before_reserve_is_not_attempted),
        TEST(test_once_unknown_a_buy_stays_unknown),
        TEST(test_a_momentary_refusal_is_not_told_after_an_unknown_try),
        TEST(test_late_and_doubled_answers_change_nothing),
        TEST(test_a_granted_buy_is_submitted_until_it_is_ordered),
        TEST(test_a_grant_against_an_order_of_other_content_is_a_conflict),
        TEST(test_lost_leadership_answers_everybody),
        TEST(test_a_new_leadership_ignores_the_answers_of_the_last),
        TEST(test_what_was_not_taken_up_before_the_loss_is_not_done),
        TEST(test_a_regained_leadership_begins_anew),
        TEST(test_a_deposed_leader_that_does_not_know_it_denies_nothing),
        TEST(test_an_expired_request_is_not_begun),
        TEST(test_above_the_bound_of_flows_it_is_busy),
        TEST(test_above_the_bound_of_tickets_it_is_busy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
