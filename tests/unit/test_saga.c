/* The saga, event by event.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/order/saga.h"

#define STAMP    5000
#define LOG_TIME 6000
#define LONG_MS  1000000

struct fixture {
    struct saga *saga;
    struct saga_action *action; /* the one last taken */
    int64_t now_ms;
};

static struct saga_bytes bytes(const char *text)
{
    return (struct saga_bytes){(const uint8_t *)text, strlen(text)};
}

static bool bytes_are(struct saga_bytes have, const char *text)
{
    return have.size == strlen(text) && memcmp(have.data, text, have.size) == 0;
}

/* Take the next action, which must be of @type. */
static struct saga_action *expect(struct fixture *self, enum saga_action_type type)
{
    saga_action_destroy(&self->action);
    self->action = saga_next(self->saga);
    assert_non_null(self->action);
    assert_int_equal(self->action->type, type);
    return self->action;
}

static void expect_nothing(struct fixture *self)
{
    saga_action_destroy(&self->action);
    self->action = saga_next(self->saga);
    assert_null(self->action);
}

static void expect_answer(struct fixture *self, uint64_t ticket, int code)
{
    struct saga_action *answer = expect(self, SAGA_ANSWER);

    assert_int_equal(answer->ticket, ticket);
    assert_int_equal(answer->code, code);
}

static void expect_order(struct fixture *self, uint64_t ticket, uint64_t number, bool replayed)
{
    expect_answer(self, ticket, OK);
    assert_int_equal(self->action->number, number);
    assert_int_equal(self->action->replayed, replayed);
}

static void pass(struct fixture *self, int64_t ms)
{
    self->now_ms += ms;
    saga_tick(self->saga, self->now_ms);
}

/* A leader whose first scan has been answered: nothing is left to be done. */
static int set_up(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);
    struct saga_scan nothing = {0};

    self->saga = saga_new();
    self->now_ms = 1000;
    saga_lead(self->saga, true, self->now_ms);
    pass(self, 0);
    expect(self, SAGA_SCAN);
    saga_heard(self->saga, LOG_TIME);
    saga_scanned(self->saga, self->action->call, OK, &nothing, self->now_ms);
    expect(self, SAGA_LIST);
    expect_nothing(self);
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *self = *state;

    saga_action_destroy(&self->action);
    saga_destroy(&self->saga);
    free(self);
    return 0;
}

/* ---- Short forms of the events -------------------------------------------- */

static void buy_until(struct fixture *self, uint64_t ticket, const char *key, const char *content,
                      int64_t deadline_ms)
{
    struct saga_ask ask = {
        .ticket = ticket,
        .key = key,
        .stamp = STAMP,
        .deadline_ms = deadline_ms,
        .content = bytes(content),
    };

    saga_buy(self->saga, &ask, self->now_ms);
}

static void buy(struct fixture *self, uint64_t ticket, const char *key, const char *content)
{
    buy_until(self, ticket, key, content, self->now_ms + LONG_MS);
}

static void cancel_until(struct fixture *self, uint64_t ticket, const char *key, uint64_t number,
                         int64_t stamp, int64_t deadline_ms)
{
    struct saga_ask ask = {
        .ticket = ticket,
        .key = key,
        .stamp = stamp,
        .deadline_ms = deadline_ms,
        .number = number,
    };

    saga_cancel(self->saga, &ask, self->now_ms);
}

static void cancel(struct fixture *self, uint64_t ticket, const char *key, uint64_t number)
{
    cancel_until(self, ticket, key, number, STAMP, self->now_ms + LONG_MS);
}

static void looked(struct fixture *self, const struct saga_known *known)
{
    saga_looked(self->saga, expect(self, SAGA_LOOK_UP)->call, OK, known, self->now_ms);
}

static void looked_absent(struct fixture *self)
{
    looked(self, &(struct saga_known){.state = SAGA_ABSENT});
}

static void reserved(struct fixture *self, int code, const char *body)
{
    saga_reserved(self->saga, expect(self, SAGA_RESERVE)->call, code, bytes(body), self->now_ms);
}

static void ordered(struct fixture *self, int code, uint64_t number, bool made)
{
    saga_applied(self->saga, expect(self, SAGA_ORDER)->call, code, number, made, self->now_ms);
}

/* A buy as far as its RESERVE, which is the action last taken: its flow. */
static uint64_t buy_to_reserve(struct fixture *self, uint64_t ticket, const char *key)
{
    buy(self, ticket, key, "content");
    looked_absent(self);
    return expect(self, SAGA_RESERVE)->call;
}

/* A whole buy. */
static void buy_through(struct fixture *self, uint64_t ticket, const char *key, uint64_t number)
{
    buy(self, ticket, key, "content");
    looked_absent(self);
    reserved(self, OK, "grant");
    ordered(self, OK, number, true);
    expect_order(self, ticket, number, false);
}

/* An order of the key "buy", as a cancel finds it. */
static struct saga_known known_order(enum saga_state state, bool mine)
{
    return (struct saga_known){
        .state = state,
        .number = 7,
        .content = bytes("content"),
        .order_key = "buy",
        .mine = mine,
        .cancel_stamp = STAMP,
    };
}

static void looked_order(struct fixture *self, enum saga_state state, bool mine)
{
    struct saga_known known = known_order(state, mine);

    looked(self, &known);
}

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

/* ---- SETTLE and the scan ---------------------------------------------------- */

/* SETTLE waits a moment for company, and names the keys whose orders were applied. */
static void test_settle_is_lazy_and_in_batches(void **state)
{
    struct fixture *self = *state;

    buy_through(self, 1, "one", 1);
    pass(self, SETTLE_WAIT_MS - 1);
    expect_nothing(self);
    buy_through(self, 2, "two", 2);
    pass(self, 1);
    expect(self, SAGA_SETTLE);
    assert_int_equal(self->action->key_count, 2);
    assert_string_equal(self->action->keys[0], "one");
    assert_string_equal(self->action->keys[1], "two");
    saga_settled(self->saga, self->action->call, OK, self->now_ms);
    pass(self, SETTLE_WAIT_MS);
    expect_nothing(self);
}

/* A full batch goes at once; one at a time is under way. */
static void test_a_full_batch_does_not_wait(void **state)
{
    struct fixture *self = *state;
    uint64_t call;
    char key[32];

    for (uint64_t i = 0; i < KEYS_MAX + 1; i++) {
        snprintf(key, sizeof key, "key-%d", (int)i);
        buy_through(self, i, key, i + 1);
    }
    pass(self, 0);
    call = expect(self, SAGA_SETTLE)->call;
    assert_int_equal(self->action->key_count, KEYS_MAX);
    pass(self, SETTLE_WAIT_MS);
    expect_nothing(self);
    saga_settled(self->saga, call, ERR_TIMEOUT, self->now_ms);
    pass(self, 0);
    expect(self, SAGA_SETTLE);
    assert_int_equal(self->action->key_count, 1);
}

/* Above the bound of keys that wait a key is left to the scan: what waits goes in batches, and no
 * more of it than there may be. */
static void test_keys_that_wait_for_a_settle_are_bounded(void **state)
{
    struct fixture *self = *state;
    size_t settled = 0;
    char key[32];

    for (uint64_t i = 0; i < SETTLE_QUEUE_MAX + KEYS_MAX; i++) {
        snprintf(key, sizeof key, "key-%d", (int)i);
        buy_through(self, i, key, i + 1);
    }
    pass(self, SETTLE_WAIT_MS);
    for (saga_action_destroy(&self->action); (self->action = saga_next(self->saga)) != NULL;
         saga_action_destroy(&self->action)) {
        if (self->action->type != SAGA_SETTLE)
            continue;
        settled += self->action->key_count;
        saga_settled(self->saga, self->action->call, OK, self->now_ms);
        pass(self, SETTLE_WAIT_MS);
    }
    assert_int_equal(settled, SETTLE_QUEUE_MAX);
}

/* Every second the catalog is asked for what is not settled: an unordered grant is ordered, with
 * the grant's own stamp, and then settled. */
static void test_the_scan_orders_what_was_granted(void **state)
{
    struct fixture *self = *state;
    struct saga_grant grant = {
        .key = "lost", .content = bytes("content"), .stamp = 77, .grant = bytes("grant")};
    struct saga_scan scan = {.grants = &grant, .grant_count = 1};

    pass(self, SCAN_PERIOD_MS);
    expect(self, SAGA_SCAN);
    saga_scanned(self->saga, self->action->call, OK, &scan, self->now_ms);
    expect(self, SAGA_LIST);
    expect(self, SAGA_ORDER);
    assert_string_equal(self->action->key, "lost");
    assert_int_equal(self->action->stamp, 77);
    assert_true(bytes_are(self->action->content, "content"));
    assert_true(bytes_are(self->action->grant, "grant"));
    buy(self, 1, "lost", "content"); /* its client asks again meanwhile */
    saga_applied(self->saga, self->action->call, OK, 17, true, self->now_ms);
    expect_order(self, 1, 17, true);
    pass(self, SETTLE_WAIT_MS);
    assert_string_equal(expect(self, SAGA_SETTLE)->keys[0], "lost");
}

/* A grant with its order is settled; one whose key has an order of other content is left alone;
 * one that is under way is left to its flow. */
static void test_the_scan_settles_what_is_ordered_and_nothing_else(void **state)
{
    struct fixture *self = *state;
    struct saga_grant grants[] = {
        {.key = "done", .content = bytes("c"), .grant = bytes("g"), .order = SAGA_ORDERED},
        {.key = "odd", .content = bytes("c"), .grant = bytes("g"), .order = SAGA_ORDERED_OTHERWISE},
        {.key = "running", .content = bytes("c"), .grant = bytes("g"), .order = SAGA_UNORDERED},
    };
    struct saga_scan scan = {.grants = grants, .grant_count = 3};
    struct saga_numbers numbers;

    buy_to_reserve(self, 1, "running");
    pass(self, SCAN_PERIOD_MS);
    expect(self, SAGA_SCAN);
    saga_scanned(self->saga, self->action->call, OK, &scan, self->now_ms);
    expect(self, SAGA_LIST);
    expect_nothing(self);
    pass(self, SETTLE_WAIT_MS);
    expect(self, SAGA_SETTLE);
    assert_int_equal(self->action->key_count, 1);
    assert_string_equal(self->action->keys[0], "done");
    saga_numbers(self->saga, &numbers);
    assert_int_equal(numbers.conflicts, 1);
    assert_int_equal(numbers.unsettled, 3);
}

/* While a scan finds work, the next follows as soon as that is done. */
static void test_a_scan_that_found_work_is_followed_at_once(void **state)
{
    struct fixture *self = *state;
    struct saga_grant grant = {.key = "k", .content = bytes("c"), .grant = bytes("g")};
    struct saga_scan scan = {.grants = &grant, .grant_count = 1};

    pass(self, SCAN_PERIOD_MS);
    expect(self, SAGA_SCAN);
    saga_scanned(self->saga, self->action->call, OK, &scan, self->now_ms);
    expect(self, SAGA_LIST);
    ordered(self, OK, 1, true);
    pass(self, SETTLE_WAIT_MS);
    expect(self, SAGA_SETTLE);
    saga_settled(self->saga, self->action->call, OK, self->now_ms);
    pass(self, 0);
    expect(self, SAGA_SCAN);
}

/* A scan without an answer is not repeated until it has failed, and then at its next second. */
static void test_one_scan_at_a_time(void **state)
{
    struct fixture *self = *state;
    uint64_t call;

    pass(self, SCAN_PERIOD_MS);
    call = expect(self, SAGA_SCAN)->call;
    expect(self, SAGA_LIST);
    pass(self, 3 * SCAN_PERIOD_MS);
    expect_nothing(self);
    saga_scanned(self->saga, call, ERR_TIMEOUT, NULL, self->now_ms);
    pass(self, 0);
    expect(self, SAGA_SCAN);
}

/* What scans have begun is bounded; further finds are left to a next scan. */
static void test_recovered_flows_are_bounded(void **state)
{
    struct fixture *self = *state;
    struct saga_numbers numbers;
    char key[32];

    for (int i = 0; i < SAGA_RECOVERED_MAX + 10; i++) {
        struct saga_listed row = {
            .cancel_key = key, .order_key = "o", .number = 1, .content = bytes("c")};

        snprintf(key, sizeof key, "cancel-%d", i);
        saga_listed(self->saga, &row, 1);
    }
    saga_numbers(self->saga, &numbers);
    assert_int_equal(numbers.recovered, SAGA_RECOVERED_MAX);
}

/* ---- The cancel -------------------------------------------------------------- */

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

/* A release whose order is cancelled is closed. */
static void test_the_scan_closes_releases_of_cancelled_orders(void **state)
{
    struct fixture *self = *state;
    const char *closable[] = {"buy"};
    struct saga_scan scan = {.closable = closable, .closable_count = 1};

    pass(self, SCAN_PERIOD_MS);
    expect(self, SAGA_SCAN);
    saga_scanned(self->saga, self->action->call, OK, &scan, self->now_ms);
    expect(self, SAGA_LIST);
    pass(self, SETTLE_WAIT_MS);
    assert_string_equal(expect(self, SAGA_CLOSE)->keys[0], "buy");
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_a_buy_is_reserved_then_ordered_then_answered),
        T(test_an_order_that_was_there_already_is_a_replay),
        T(test_a_repetition_is_answered_from_the_order_tables),
        T(test_a_key_of_something_else_is_refused),
        T(test_the_same_buy_at_the_same_time_joins),
        T(test_another_operation_of_a_running_key_is_refused),
        T(test_a_denial_is_passed_on_in_the_catalogs_words),
        T(test_a_stamp_is_too_old_only_after_a_linearizable_read),
        T(test_an_unknown_reserve_is_sent_again_with_the_same_stamp),
        T(test_a_deadline_after_reserve_is_unknown_and_the_buy_goes_on),
        T(test_a_deadline_before_reserve_is_not_attempted),
        T(test_once_unknown_a_buy_stays_unknown),
        T(test_a_momentary_refusal_is_not_told_after_an_unknown_try),
        T(test_late_and_doubled_answers_change_nothing),
        T(test_a_granted_buy_is_submitted_until_it_is_ordered),
        T(test_a_grant_against_an_order_of_other_content_is_a_conflict),
        T(test_lost_leadership_answers_everybody),
        T(test_a_new_leadership_ignores_the_answers_of_the_last),
        T(test_an_expired_request_is_not_begun),
        T(test_above_the_bound_of_flows_it_is_busy),
        T(test_above_the_bound_of_tickets_it_is_busy),
        T(test_settle_is_lazy_and_in_batches),
        T(test_a_full_batch_does_not_wait),
        T(test_keys_that_wait_for_a_settle_are_bounded),
        T(test_the_scan_orders_what_was_granted),
        T(test_the_scan_settles_what_is_ordered_and_nothing_else),
        T(test_a_scan_that_found_work_is_followed_at_once),
        T(test_one_scan_at_a_time),
        T(test_recovered_flows_are_bounded),
        T(test_a_cancel_goes_through_both_logs),
        T(test_not_found_takes_a_linearizable_read),
        T(test_a_cancelled_order_is_replayed_to_its_key_alone),
        T(test_a_cancel_under_another_key_is_waited_for),
        T(test_waiting_for_another_cancel_is_not_attempted),
        T(test_a_cancel_with_a_used_key_is_refused),
        T(test_an_unknown_cancelling_is_submitted_again),
        T(test_a_refused_cancelling_is_not_attempted),
        T(test_the_stamp_of_a_cancel_is_judged_first),
        T(test_a_cancel_waits_for_the_catalogs_log_time),
        T(test_an_undo_is_sent_until_it_is_answered),
        T(test_an_undo_that_is_too_old_is_stamped_anew_in_the_order_log),
        T(test_a_listed_cancel_goes_on),
        T(test_the_scan_closes_releases_of_cancelled_orders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
