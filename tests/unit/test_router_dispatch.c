/* The router: what becomes of requests.
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

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "broker/router.h"
#include "tests/lib/router_rig.h"

#define SAFE PACK_REPLAY_SAFE

static int set_up(void **state)
{
    *state = rig_new(NULL);
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    rig_destroy(&rig);
    return 0;
}

/* A worker of ours that stays alive while @ms pass. */
static void pass_beating(struct rig *rig, int64_t ms, const char *worker, uint32_t credit)
{
    for (int64_t passed = 0; passed < ms; passed += HEARTBEAT_MS) {
        rig_pass(rig, ms - passed < HEARTBEAT_MS ? ms - passed : HEARTBEAT_MS);
        rig_beat(rig, worker, 'W', credit);
    }
}

/* ---- Credit and turns ------------------------------------------------- */

/* A worker is never given more than its credit; an answer makes room for one more. */
static void test_a_worker_has_no_more_than_its_credit(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 2);
    for (uint64_t i = 1; i <= 3; i++)
        rig_request(rig, "c", i, "s", "x", 0, 0);
    rig_expect(rig, "w", "REQUEST *");
    rig_expect(rig, "w", "REQUEST *");
    rig_expect_nothing(rig, "w");
    rig_reply(rig, "w", rig->id, OK, "");
    rig_expect(rig, "c", "REPLY correlation=2 *");
    rig_expect(rig, "w", "REQUEST *");
}

/* A heartbeat may raise the credit, and the requests that wait go out; READY above the bound has
 * the bound. */
static void test_credit_may_be_raised_and_is_bounded(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 0);
    rig_request(rig, "c", 1, "s", "x", 0, 0);
    rig_expect_nothing(rig, "w");
    rig_beat(rig, "w", 'W', 1);
    rig_expect(rig, "w", "REQUEST *");
    rig_reply(rig, "w", rig->id, OK, "");
    rig_beat(rig, "w", 'W', 0);
    rig_request(rig, "c", 2, "s", "x", 0, 0);
    rig_expect_nothing(rig, "w");

    rig_ready(rig, "v", "t", UINT32_MAX);
    for (uint64_t i = 0; i <= CREDIT_MAX; i++)
        rig_request(rig, "d", i, "t", "x", 0, 0);
    for (uint64_t i = 0; i < CREDIT_MAX; i++)
        rig_expect(rig, "v", "REQUEST *");
    rig_expect_nothing(rig, "v");
}

/* A plain worker has one request at a time. */
static void test_a_plain_worker_has_one_request_at_a_time(void **state)
{
    struct rig *rig = *state;
    rig_send(rig, "w", "|MDPW01|\\01|s");
    rig_send(rig, "c", "|MDPC01|s|a");
    rig_send(rig, "c", "|MDPC01|s|b");
    rig_expect(rig, "w", "*|a");
    rig_expect_nothing(rig, "w");
    rig_plain_reply(rig, "w", "|MDPW01|\\03", rig->id, "A");
    rig_expect(rig, "w", "*|b");
}

/* The worker with the most free credit is used; among equals the one used longest ago. */
static void test_the_freest_worker_is_used_and_then_the_least_recent(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w2", "s", 2);
    rig_ready(rig, "w3", "s", 3);
    rig_request(rig, "c", 1, "s", "1", 0, 0); /* w3: 2 left */
    rig_request(rig, "c", 2, "s", "2", 0, 0); /* w2, before w3 at 2: 1 left */
    rig_request(rig, "c", 3, "s", "3", 0, 0); /* w3: 1 left */
    rig_request(rig, "c", 4, "s", "4", 0, 0); /* w2 */
    rig_request(rig, "c", 5, "s", "5", 0, 0); /* w3 */
    rig_expect(rig, "w3", "* 1");
    rig_expect(rig, "w2", "* 2");
    rig_expect(rig, "w3", "* 3");
    rig_expect(rig, "w2", "* 4");
    rig_expect(rig, "w3", "* 5");
}

/* Clients take turns: one that sends a hundred does not hold up another's one. */
static void test_clients_take_turns(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 1);
    for (uint64_t i = 0; i < 100; i++)
        rig_request(rig, "many", i, "s", "many", 0, 0);
    rig_request(rig, "one", 1, "s", "one", 0, 0);
    rig_request(rig, "two", 1, "s", "two", 0, 0);
    rig_expect(rig, "w", "* many");
    rig_reply(rig, "w", rig->id, OK, "");
    rig_expect(rig, "w", "* many");
    rig_reply(rig, "w", rig->id, OK, "");
    rig_expect(rig, "w", "* one");
    rig_reply(rig, "w", rig->id, OK, "");
    rig_expect(rig, "w", "* two");
    rig_reply(rig, "w", rig->id, OK, "");
    rig_expect(rig, "w", "* many");
}

/* A worker that leaves gets no more, and what it has it may answer. */
static void test_a_leaving_worker_finishes_what_it_has(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 4);
    rig_request(rig, "c", 1, "s", "a", 0, SAFE);
    rig_expect(rig, "w", "REQUEST *");
    rig_pack(rig, "w", 'W', &(struct pack_record){.command = PACK_GOING_AWAY}, 1);
    rig_request(rig, "c", 2, "s", "b", 0, SAFE);
    rig_beat(rig, "w", 'W', 4);
    rig_expect_nothing(rig, "w");
    rig_reply(rig, "w", rig->id, OK, "A");
    rig_expect(rig, "c", "REPLY correlation=1 status=0 A");
    rig_ready(rig, "v", "s", 4);
    rig_expect(rig, "v", "* b");
}

/* ---- Losses ----------------------------------------------------------- */

/* A worker is lost three ways, and each time its requests go to another, in their order and before
 * what came later. */
static void test_requests_of_a_lost_worker_go_to_another(void **state)
{
    struct rig *rig = *state;
    for (int way = 0; way < 3; way++) {
        rig_ready(rig, "w", "s", 2);
        rig_request(rig, "c", 1, "s", "1", 20000, SAFE);
        rig_request(rig, "c", 2, "s", "2", 20000, SAFE);
        rig_request(rig, "c", 3, "s", "3", 20000, SAFE);
        rig_expect(rig, "w", "* 1");
        rig_expect(rig, "w", "* 2");
        if (way == 0)
            rig_lose(rig, "w");
        else if (way == 1)
            rig_pack(rig, "w", 'W', &(struct pack_record){.command = PACK_DISCONNECT}, 1);
        else
            rig_pass(rig, HEARTBEAT_GONE_MS + 2 * WHEEL_TICK_MS);
        rig_ready(rig, "v", "s", 3);
        rig_expect(rig, "v", "REQUEST id=* attempt=2 ms=* s 1");
        rig_reply(rig, "v", rig->id, OK, "");
        rig_expect(rig, "v", "REQUEST id=* attempt=2 ms=* s 2");
        rig_reply(rig, "v", rig->id, OK, "");
        rig_expect(rig, "v", "REQUEST id=* attempt=1 ms=* s 3");
        rig_reply(rig, "v", rig->id, OK, "");
        rig_pack(rig, "v", 'W', &(struct pack_record){.command = PACK_DISCONNECT}, 1);
        rig_clear(rig);
    }
    assert_int_equal(router_count(rig->router, COUNT_REDISPATCHED), 6);
}

/* What a worker says of a repetition alone ("not attempted: busy") says nothing of the first attempt,
 * which may have been carried out. What it says of the request itself goes through. */
static void test_a_refused_repetition_is_unknown(void **state)
{
    static const int refusals[] = {ERR_BUSY,     ERR_QUEUE_FULL,  ERR_EXPIRED,
                                   ERR_DISK_LOW, ERR_UNAVAILABLE, ERR_DRAINING};
    struct rig *rig = *state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        rig_ready(rig, "w", "s", 1);
        rig_request(rig, "c", 1, "s", "a", 20000, SAFE);
        rig_expect(rig, "w", "REQUEST *");
        rig_lose(rig, "w");
        rig_ready(rig, "w", "s", 1);
        rig_expect(rig, "w", "REQUEST id=* attempt=2 *");
        rig_reply(rig, "w", rig->id, refusals[i], "{}");
        rig_expect(rig, "c", "REPLY correlation=1 status=100 ");
        rig_lose(rig, "w");
    }
    rig_ready(rig, "w", "s", 1);
    rig_request(rig, "c", 2, "s", "a", 20000, SAFE);
    rig_expect(rig, "w", "REQUEST *");
    rig_lose(rig, "w");
    rig_ready(rig, "w", "s", 1);
    rig_expect(rig, "w", "REQUEST id=* attempt=2 *");
    rig_reply(rig, "w", rig->id, ERR_OUT_OF_STOCK, "{}");
    rig_expect(rig, "c", "REPLY correlation=2 status=202 {}");
    rig_clear(rig);
    rig_request(rig, "c", 3, "s", "a", 20000, SAFE);
    rig_expect(rig, "w", "REQUEST *");
    rig_reply(rig, "w", rig->id, ERR_BUSY, "{}");
    rig_expect(rig, "c", "REPLY correlation=3 status=102 {}");
}

/* One that may not be repeated fails with an honest word at once. */
static void test_an_unsafe_request_is_not_repeated(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 1);
    rig_ready(rig, "v", "s", 1);
    rig_request(rig, "c", 1, "s", "a", 0, 0);
    rig_expect(rig, "w", "REQUEST *");
    rig_lose(rig, "w");
    rig_expect(rig, "c", "REPLY correlation=1 status=4 ");
    rig_expect_nothing(rig, "v");
}

/* The operator may switch repetition off for a service, for plain clients as well: silence, which
 * is counted. */
static void test_repetition_may_be_switched_off_for_a_service(void **state)
{
    (void)state;
    const char *const names[] = {"s"};
    struct rig *rig =
        rig_new(&(struct router_options){.name = "b", .replay_off = names, .replay_off_count = 1});
    rig_ready(rig, "w", "s", 2);
    rig_ready(rig, "v", "s", 1);
    rig_request(rig, "c", 1, "s", "a", 0, SAFE);
    rig_expect(rig, "w", "REQUEST *");
    rig_lose(rig, "w");
    rig_expect(rig, "c", "REPLY correlation=1 status=4 ");
    rig_send(rig, "d", "|MDPC01|s|b");
    rig_expect(rig, "v", "REQUEST *");
    rig_lose(rig, "v");
    rig_expect_nothing(rig, "d");
    assert_int_equal(router_count(rig->router, COUNT_SILENT), 1);
    rig_destroy(&rig);
}

/* A request that was lost with ATTEMPTS_MAX workers is called poison and ends. */
static void test_a_poisonous_request_ends(void **state)
{
    struct rig *rig = *state;
    rig_request(rig, "c", 1, "mmi.x", "", 0, 0);
    rig_clear(rig);
    for (int attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
        char pattern[64];
        rig_ready(rig, "w", "s", 1);
        if (attempt == 1)
            rig_request(rig, "c", 1, "s", "a", 0, SAFE);
        snprintf(pattern, sizeof pattern, "REQUEST id=* attempt=%d *", attempt);
        rig_expect(rig, "w", pattern);
        rig_lose(rig, "w");
    }
    rig_expect(rig, "c", "REPLY correlation=1 status=4 ");
    assert_int_equal(router_count(rig->router, COUNT_POISON), 1);
    assert_true(router_idle(rig->router));
}

/* Once a part of the answer is with the client, the request is not done again from the start. */
static void test_a_request_that_was_answered_in_part_is_not_repeated(void **state)
{
    struct rig *rig = *state;
    rig_send(rig, "w", "MDPW02|\\01|s");
    rig_send(rig, "c", "MDPC02|\\01|s|a");
    rig_expect(rig, "w", "*|a");
    rig_plain_reply(rig, "w", "MDPW02|\\03", rig->id, "part");
    rig_expect(rig, "c", "MDPC02|\\02|s|part");
    rig_lose(rig, "w");
    rig_send(rig, "v", "MDPW02|\\01|s");
    rig_expect_nothing(rig, "v");

    /* What was only collected is forgotten, and the request may go on. */
    rig_send(rig, "d", "|MDPC01|s|b");
    rig_expect(rig, "v", "*|b");
    rig_plain_reply(rig, "v", "MDPW02|\\03", rig->id, "half");
    rig_lose(rig, "v");
    rig_send(rig, "u", "MDPW02|\\01|s");
    rig_expect(rig, "u", "*|b");
    rig_plain_reply(rig, "u", "MDPW02|\\04", rig->id, "whole");
    rig_expect(rig, "d", "|MDPC01|s|whole");
}

/* An answer counts only for the present attempt, and only from the worker that has it. */
static void test_late_answers_are_dropped(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 1);
    rig_request(rig, "c", 1, "s", "a", 20000, SAFE);
    rig_expect(rig, "w", "REQUEST *");
    const uint64_t first = rig->id;
    rig_lose(rig, "w");
    rig_ready(rig, "w", "s", 1); /* the same routing id, come back */
    rig_expect(rig, "w", "REQUEST *");
    const uint64_t second = rig->id;
    assert_int_not_equal(first, second);
    rig_ready(rig, "v", "s", 1);
    rig_reply(rig, "w", first, OK, "late");
    rig_reply(rig, "v", second, OK, "foreign");
    rig_expect_nothing(rig, "c");
    rig_reply(rig, "w", second, OK, "good");
    rig_expect(rig, "c", "REPLY correlation=1 status=0 good");
    rig_reply(rig, "w", second, OK, "twice");
    rig_expect_nothing(rig, "c");
    assert_int_equal(router_count(rig->router, COUNT_LATE), 3);
}

/* A worker that does not lead: its request goes to another as if it had never been tried, and it
 * rests, so that nothing goes back and forth. */
static void test_not_leader_is_no_attempt(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 9);
    rig_ready(rig, "v", "s", 1);
    rig_request(rig, "c", 1, "s", "a", 20000, 0);
    rig_expect(rig, "w", "REQUEST *");
    rig_reply(rig, "w", rig->id, ERR_NOT_LEADER, "");
    rig_expect(rig, "v", "REQUEST id=* attempt=1 ms=* s a");
    rig_reply(rig, "v", rig->id, ERR_NOT_LEADER, "");
    rig_expect_nothing(rig, "w");
    rig_expect_nothing(rig, "v");
    rig_expect_nothing(rig, "c");
    rig_pass(rig, NOT_LEADER_REST_MS + WHEEL_TICK_MS);
    rig_expect(rig, "w", "REQUEST id=* attempt=1 ms=* s a");
    rig_reply(rig, "w", rig->id, OK, "A");
    rig_expect(rig, "c", "REPLY correlation=1 status=0 A");
}

/* No leader until the deadline: definitely not attempted. */
static void test_without_a_leader_a_request_expires(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 1);
    rig_request(rig, "c", 1, "s", "a", 200, 0);
    for (int i = 0; i < 4; i++) {
        rig_expect(rig, "w", "REQUEST *");
        rig_reply(rig, "w", rig->id, ERR_NOT_LEADER, "");
        rig_pass(rig, NOT_LEADER_REST_MS);
    }
    rig_pass(rig, 2 * WHEEL_TICK_MS);
    rig_expect(rig, "c", "REPLY correlation=1 status=3 ");
}

/* A client that is gone: what waits is dropped, what a worker has gives back the credit when it is
 * answered. */
static void test_a_lost_clients_requests_are_dropped(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 1);
    rig_request(rig, "c", 1, "s", "a", 0, SAFE);
    rig_request(rig, "c", 2, "s", "b", 0, SAFE);
    rig_expect(rig, "w", "* a");
    rig_lose(rig, "c");
    rig_request(rig, "d", 1, "s", "d", 0, SAFE);
    rig_reply(rig, "w", rig->id, OK, "");
    rig_expect(rig, "w", "* d");
    rig_expect_nothing(rig, "c");
    assert_int_equal(router_result(rig->router, SERVICE_OTHER, RESULT_CLIENT_GONE), 2);
}

/* ---- Deadlines -------------------------------------------------------- */

/* What waits expires at its deadline, not before and at most a tick late: definitely not done. */
static void test_a_waiting_request_expires(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 0);
    rig_request(rig, "c", 1, "s", "a", 100, 0);
    rig_pass(rig, 99);
    rig_expect_nothing(rig, "c");
    rig_pass(rig, 1 + WHEEL_TICK_MS);
    rig_expect(rig, "c", "REPLY correlation=1 status=3 ");
}

/* One that had a worker, lost it and waits again may have been done: unknown. */
static void test_a_request_that_had_a_worker_expires_as_unknown(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 1);
    rig_request(rig, "c", 1, "s", "a", 100, SAFE);
    rig_expect(rig, "w", "REQUEST *");
    rig_lose(rig, "w");
    rig_pass(rig, 100 + WHEEL_TICK_MS);
    rig_expect(rig, "c", "REPLY correlation=1 status=9 ");
}

/* With one of our workers a request ends as unknown at its deadline, and the credit is free: the
 * worker knows the deadline and drops it as well. */
static void test_a_request_in_hand_times_out(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 1);
    rig_request(rig, "c", 1, "s", "a", 200, SAFE);
    rig_expect(rig, "w", "REQUEST id=* attempt=1 ms=200 s a");
    const uint64_t first = rig->id;
    rig_request(rig, "c", 2, "s", "b", 5000, SAFE);
    pass_beating(rig, 200 + WHEEL_TICK_MS, "w", 1);
    rig_expect(rig, "c", "REPLY correlation=1 status=9 ");
    rig_expect(rig, "w", "* b");
    rig_reply(rig, "w", first, OK, "late");
    rig_expect_nothing(rig, "c");
}

/* A plain worker can't be told: it stays busy until it answers. */
static void test_a_plain_worker_stays_busy_past_the_deadline(void **state)
{
    struct rig *rig = *state;
    rig_send(rig, "w", "|MDPW01|\\01|s");
    rig_request(rig, "c", 1, "s", "a", 200, SAFE);
    rig_request(rig, "c", 2, "s", "b", 5000, SAFE);
    rig_expect(rig, "w", "*|a");
    rig_pass(rig, 200 + WHEEL_TICK_MS);
    rig_expect(rig, "c", "REPLY correlation=1 status=9 ");
    rig_expect_nothing(rig, "w");
    assert_false(router_idle(rig->router));
    rig_plain_reply(rig, "w", "|MDPW01|\\03", rig->id, "late");
    rig_expect_nothing(rig, "c");
    rig_expect(rig, "w", "*|b");
}

/* One that beats and never answers is disconnected in the end, so that its service gets on. */
static void test_a_hung_plain_worker_is_disconnected(void **state)
{
    struct rig *rig = *state;
    rig_send(rig, "w", "|MDPW01|\\01|s");
    rig_request(rig, "c", 1, "s", "a", 1000, SAFE);
    rig_expect(rig, "w", "*|a");
    for (int64_t passed = 0; passed < REQUEST_DEADLINE_MS_MAX + 1000; passed += 5000) {
        rig_expect_nothing(rig, "w");
        rig_pass(rig, 5000);
        rig_send(rig, "w", "|MDPW01|\\04");
    }
    rig_expect(rig, "w", "|MDPW01|\\05");
    assert_true(router_idle(rig->router));
}

/* A plain client's request waits for REQUEST_DEADLINE_MS and is dropped in silence; a worker that
 * has it may take longer. */
static void test_plain_clients_wait_in_silence(void **state)
{
    struct rig *rig = *state;
    rig_send(rig, "c", "|MDPC01|s|a");
    rig_pass(rig, REQUEST_DEADLINE_MS + WHEEL_TICK_MS);
    rig_expect_nothing(rig, "c");
    assert_int_equal(router_count(rig->router, COUNT_SILENT), 1);
    rig_send(rig, "w", "|MDPW01|\\01|s");
    rig_expect_nothing(rig, "w");
    rig_send(rig, "c", "|MDPC01|s|b");
    rig_expect(rig, "w", "*|b");
    for (int64_t passed = 0; passed < 2 * REQUEST_DEADLINE_MS; passed += 5000) {
        rig_pass(rig, 5000);
        rig_send(rig, "w", "|MDPW01|\\04");
    }
    rig_plain_reply(rig, "w", "|MDPW01|\\03", rig->id, "B");
    rig_expect(rig, "c", "|MDPC01|s|B");
}

/* The time that a worker may take is not for waiting again when that worker is lost. */
static void test_a_plain_request_that_lost_its_worker_waits_no_longer_than_others(void **state)
{
    struct rig *rig = *state;
    rig_send(rig, "w", "|MDPW01|\\01|s");
    rig_send(rig, "c", "|MDPC01|s|a");
    rig_expect(rig, "w", "*|a");
    rig_lose(rig, "w");
    rig_pass(rig, REQUEST_DEADLINE_MS - 1);
    assert_int_equal(router_count(rig->router, COUNT_SILENT), 0);
    rig_pass(rig, 1 + WHEEL_TICK_MS);
    assert_int_equal(router_count(rig->router, COUNT_SILENT), 1);
}

/* No deadline is longer than the longest. */
static void test_a_deadline_is_bounded(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 1);
    rig_request(rig, "c", 1, "s", "a", UINT32_MAX, 0);
    rig_expect(rig, "w", "REQUEST id=* attempt=1 ms=300000 s a");
}

/* After a pause longer than any deadline the first event finds all expired, whatever it is. */
static void test_deadlines_pass_while_the_broker_is_stopped(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 0);
    rig_request(rig, "c", 1, "s", "a", 60000, 0);
    rig->now_ms += 3600000;
    rig_request(rig, "c", 2, "s", "b", REQUEST_DEADLINE_MS_MAX, 0);
    rig_expect(rig, "c", "REPLY correlation=1 status=3 ");
    rig_beat(rig, "w", 'W', 2);
    rig_expect(rig, "w", "* b");
}

/* ---- Services --------------------------------------------------------- */

/* A service that never had a worker fails at once; one that had one within the grace waits; after
 * the grace it fails again. */
static void test_a_service_without_workers(void **state)
{
    struct rig *rig = *state;
    rig_request(rig, "c", 1, "s", "a", 0, SAFE);
    rig_expect(rig, "c", "REPLY correlation=1 status=1 ");
    rig_ready(rig, "w", "s", 1);
    rig_lose(rig, "w");
    rig_pass(rig, SERVICE_GRACE_MS - 100);
    rig_request(rig, "c", 2, "s", "b", 20000, SAFE);
    rig_expect_nothing(rig, "c");
    rig_pass(rig, 200);
    rig_request(rig, "c", 3, "s", "c", 20000, SAFE);
    rig_expect(rig, "c", "REPLY correlation=3 status=1 ");
    rig_ready(rig, "v", "s", 1);
    rig_expect(rig, "v", "* b");
}

/* Right after the broker's start workers may not have found it yet: requests wait for that long,
 * and then fail if none came. */
static void test_requests_forbear_with_a_young_broker(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&(struct router_options){.name = "b", .start_grace_ms = 1000});
    rig_request(rig, "c", 1, "s", "a", 20000, SAFE);
    rig_request(rig, "c", 2, "t", "b", 20000, SAFE);
    rig_request(rig, "c", 3, "t", "c", 500, SAFE);
    rig_pass(rig, 500 + WHEEL_TICK_MS);
    rig_expect(rig, "c", "REPLY correlation=3 status=3 ");
    rig_ready(rig, "w", "s", 0);
    rig_pass(rig, 500);
    rig_expect(rig, "c", "REPLY correlation=2 status=1 ");
    rig_expect_nothing(rig, "c");
    rig_ready(rig, "v", "s", 1);
    rig_expect(rig, "v", "* a");
    rig_request(rig, "c", 4, "u", "d", 20000, SAFE);
    rig_expect(rig, "c", "REPLY correlation=4 status=1 ");
    rig_destroy(&rig);
}

/* ---- Draining --------------------------------------------------------- */

/* A draining broker tells its own, accepts nothing, lets what is under way end, and then
 * disconnects all. */
static void test_a_draining_broker_finishes_what_it_has(void **state)
{
    struct rig *rig = *state;
    rig_hello(rig, "c");
    rig_ready(rig, "w", "s", 1);
    rig_send(rig, "p", "|MDPW01|\\01|t");
    rig_request(rig, "c", 1, "s", "a", 0, 0);
    rig_request(rig, "c", 2, "s", "b", 0, 0);
    rig_ready(rig, "x", "gone", 1);
    rig_lose(rig, "x");
    rig_request(rig, "c", 3, "gone", "c", 0, 0);
    rig_expect(rig, "w", "* a");

    router_drain(rig->router, rig->now_ms);
    rig_settle(rig);
    rig_expect(rig, "w", "GOING_AWAY");
    rig_expect(rig, "c", "GOING_AWAY");
    rig_expect(rig, "c", "REPLY correlation=3 status=10 ");
    rig_request(rig, "c", 4, "s", "d", 0, 0);
    rig_expect(rig, "c", "REPLY correlation=4 status=10 ");
    rig_send(rig, "late", "|MDPW01|\\01|s");
    rig_expect(rig, "late", "|MDPW01|\\05");
    rig_send(rig, "plain", "|MDPC01|s|a");

    assert_false(router_idle(rig->router));
    rig_reply(rig, "w", rig->id, OK, "A");
    rig_expect(rig, "c", "REPLY correlation=1 status=0 A");
    rig_expect(rig, "w", "* b");
    rig_reply(rig, "w", rig->id, OK, "B");
    rig_expect(rig, "c", "REPLY correlation=2 status=0 B");
    assert_true(router_idle(rig->router));
    router_stop(rig->router, rig->now_ms);
    rig_settle(rig);
    rig_expect(rig, "w", "DISCONNECT");
    rig_expect(rig, "c", "DISCONNECT");
    rig_expect(rig, "p", "|MDPW01|\\05");
}

/* What waits for a worker that is lost during the drain does not wait in vain. */
static void test_a_draining_broker_expects_no_new_workers(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 1);
    rig_request(rig, "c", 1, "s", "a", 0, SAFE);
    rig_request(rig, "c", 2, "s", "b", 0, SAFE);
    router_drain(rig->router, rig->now_ms);
    rig_lose(rig, "w");
    rig_expect(rig, "c", "REPLY correlation=1 status=9 ");
    rig_expect(rig, "c", "REPLY correlation=2 status=10 ");
    assert_true(router_idle(rig->router));
}

/* What has not ended when the broker must is given up with an honest word. */
static void test_a_stopping_broker_gives_up_honestly(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 1);
    rig_request(rig, "c", 1, "s", "a", 0, 0);
    rig_request(rig, "c", 2, "s", "b", 0, 0);
    router_stop(rig->router, rig->now_ms);
    rig_settle(rig);
    rig_expect(rig, "c", "REPLY correlation=1 status=9 ");
    rig_expect(rig, "c", "REPLY correlation=2 status=10 ");
    assert_true(router_idle(rig->router));
}

/* ---- Bounds ----------------------------------------------------------- */

static struct rig *rig_limited(struct router_limits limits)
{
    return rig_new(&(struct router_options){.name = "b", .limits = limits});
}

/* Of one client, by count and by bytes; another client is not hindered, and an answer makes room. */
static void test_a_client_is_bounded_by_count_and_bytes(void **state)
{
    (void)state;
    struct rig *rig = rig_limited((struct router_limits){.client_requests = 2, .client_bytes = 10});
    rig_ready(rig, "w", "s", 1);
    rig_request(rig, "c", 1, "s", "1", 0, 0);
    rig_request(rig, "c", 2, "s", "2", 0, 0);
    rig_request(rig, "c", 3, "s", "3", 0, 0);
    rig_expect(rig, "c", "REPLY correlation=3 status=2 ");
    rig_request(rig, "d", 1, "s", "1234567890", 0, 0);
    rig_request(rig, "d", 2, "s", "1", 0, 0);
    rig_expect(rig, "d", "REPLY correlation=2 status=2 ");
    rig_send(rig, "p", "|MDPC01|s|12345678901");
    assert_int_equal(router_count(rig->router, COUNT_SILENT), 1);
    rig_expect(rig, "w", "* 1");
    rig_reply(rig, "w", rig->id, OK, "");
    rig_expect(rig, "c", "REPLY correlation=1 status=0 ");
    rig_request(rig, "c", 4, "s", "4", 0, 0);
    rig_expect_nothing(rig, "c");
    rig_destroy(&rig);
}

/* Waiting for one service, by count and by bytes; what workers have does not count. */
static void test_a_service_is_bounded_by_count_and_bytes(void **state)
{
    (void)state;
    struct rig *rig =
        rig_limited((struct router_limits){.service_requests = 2, .service_bytes = 10});
    rig_ready(rig, "w", "s", 1);
    rig_ready(rig, "v", "t", 1);
    for (uint64_t i = 1; i <= 4; i++)
        rig_request(rig, "c", i, "s", "x", 0, 0);
    rig_expect(rig, "c", "REPLY correlation=4 status=2 ");
    rig_request(rig, "c", 5, "t", "12345678901", 0, 0);
    rig_request(rig, "c", 6, "t", "1234567890", 0, 0);
    rig_request(rig, "c", 7, "t", "1", 0, 0);
    rig_expect(rig, "c", "REPLY correlation=7 status=2 ");
    rig_expect_nothing(rig, "c");
    rig_destroy(&rig);
}

/* Of all together, by count and by bytes. */
static void test_all_requests_are_bounded_by_count_and_bytes(void **state)
{
    (void)state;
    struct rig *rig = rig_limited((struct router_limits){.requests = 3, .bytes = 10});
    rig_ready(rig, "w", "s", 1);
    rig_request(rig, "c", 1, "s", "x", 0, 0);
    rig_request(rig, "d", 2, "s", "x", 0, 0);
    rig_request(rig, "e", 3, "s", "123456789", 0, 0);
    rig_expect(rig, "e", "REPLY correlation=3 status=2 ");
    rig_request(rig, "e", 4, "s", "12345678", 0, 0);
    rig_request(rig, "f", 5, "s", "", 0, 0);
    rig_expect(rig, "f", "REPLY correlation=5 status=2 ");
    rig_request(rig, "f", 6, "node.b", "", 0, 0);
    rig_expect(rig, "f", "REPLY correlation=6 status=2 ");
    rig_expect_nothing(rig, "e");
    rig_destroy(&rig);
}

/* Names: at the bound READY is refused and a request finds no service, unless a name that nobody
 * serves any more can give way. */
static void test_services_are_bounded(void **state)
{
    (void)state;
    struct rig *rig = rig_limited((struct router_limits){.services = 2});
    rig_ready(rig, "w1", "s1", 1);
    rig_send(rig, "c", "|MDPC01|s2|a");
    rig_ready(rig, "w3", "s3", 1);
    rig_expect(rig, "w3", "DISCONNECT");
    rig_send(rig, "d", "|MDPC01|s4|a");
    assert_int_equal(router_count(rig->router, COUNT_SILENT), 1);
    rig_lose(rig, "c");
    rig_ready(rig, "w5", "s5", 1);
    rig_request(rig, "e", 1, "s5", "a", 0, 0);
    rig_expect(rig, "w5", "* a");
    rig_destroy(&rig);
}

/* Connections: at the bound a client that waits for nothing is forgotten for a new one; one that
 * can't be taken is told so. */
static void test_peers_are_bounded(void **state)
{
    (void)state;
    struct rig *rig = rig_limited((struct router_limits){.peers = 3});
    rig_ready(rig, "w", "s", 1);
    rig_request(rig, "c", 1, "s", "a", 0, 0);
    rig_request(rig, "idle", 1, "none", "a", 0, 0);
    rig_request(rig, "d", 2, "s", "b", 0, 0); /* in place of idle */
    rig_ready(rig, "v", "s", 1);
    rig_expect(rig, "v", "DISCONNECT");
    rig_send(rig, "p", "|MDPW01|\\01|s");
    rig_expect(rig, "p", "|MDPW01|\\05");
    rig_hello(rig, "h");
    rig_expect(rig, "h", "DISCONNECT");
    rig_send(rig, "q", "|MDPC01|s|x");
    rig_expect_nothing(rig, "q");
    assert_int_equal(router_count(rig->router, COUNT_PEERS_REFUSED), 4);
    rig_expect(rig, "w", "* a");
    rig_reply(rig, "w", rig->id, OK, "");
    rig_expect(rig, "w", "* b");
    rig_ready(rig, "v", "s", 1); /* in place of c */
    rig_request(rig, "d", 3, "s", "c", 0, 0);
    rig_expect(rig, "v", "* c");
    rig_destroy(&rig);
}

/* A body above BODY_BYTES_MAX is refused; such an answer, or parts that would be one when joined,
 * leaves the outcome unknown. A plain client hears nothing of it. */
static void test_bodies_are_bounded(void **state)
{
    struct rig *rig = *state;
    char *body = alloc_zero(BODY_BYTES_MAX + 2);
    memset(body, 'x', BODY_BYTES_MAX + 1);
    rig_ready(rig, "w", "s", 2);
    rig_request(rig, "c", 1, "s", body, 0, 0);
    rig_expect(rig, "c", "REPLY correlation=1 status=6 ");
    body[BODY_BYTES_MAX] = '\0';
    rig_request(rig, "c", 2, "s", body, 0, 0);
    rig_expect(rig, "w", "REQUEST *");
    body[BODY_BYTES_MAX] = 'x';
    rig_reply(rig, "w", rig->id, OK, body);
    rig_expect(rig, "c", "REPLY correlation=2 status=100 ");

    rig_send(rig, "p", "MDPW02|\\01|t");
    rig_request(rig, "c", 3, "t", "a", 0, 0);
    rig_expect(rig, "p", "*|a");
    body[BODY_BYTES_MAX - 1] = '\0';
    rig_plain_reply(rig, "p", "MDPW02|\\03", rig->id, body);
    rig_plain_reply(rig, "p", "MDPW02|\\03", rig->id, "y");
    rig_expect_nothing(rig, "c");
    rig_plain_reply(rig, "p", "MDPW02|\\03", rig->id, "z");
    rig_expect(rig, "c", "REPLY correlation=3 status=100 ");
    /* The worker keeps its request until it has finished with it. */
    rig_request(rig, "c", 4, "t", "b", 0, 0);
    rig_expect_nothing(rig, "p");
    rig_plain_reply(rig, "p", "MDPW02|\\04", rig->id, "end");
    rig_expect(rig, "p", "*|b");
    free(body);
}

/* A plain body of too many frames is malformed. */
static void test_frames_are_bounded(void **state)
{
    struct rig *rig = *state;
    char text[128] = "|MDPC01|s";
    for (int i = 0; i < BODY_FRAMES_MAX; i++)
        strcat(text, "|x");
    rig_ready(rig, "w", "s", 2);
    rig_send(rig, "c", text);
    rig_expect(rig, "w", "REQUEST *");
    strcat(text, "|x");
    rig_send(rig, "c", text);
    rig_expect_nothing(rig, "w");
    assert_int_equal(router_count(rig->router, COUNT_MALFORMED), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_worker_has_no_more_than_its_credit),
        TEST(test_credit_may_be_raised_and_is_bounded),
        TEST(test_a_plain_worker_has_one_request_at_a_time),
        TEST(test_the_freest_worker_is_used_and_then_the_least_recent),
        TEST(test_clients_take_turns),
        TEST(test_a_leaving_worker_finishes_what_it_has),
        TEST(test_requests_of_a_lost_worker_go_to_another),
        TEST(test_a_refused_repetition_is_unknown),
        TEST(test_an_unsafe_request_is_not_repeated),
        cmocka_unit_test(test_repetition_may_be_switched_off_for_a_service),
        TEST(test_a_poisonous_request_ends),
        TEST(test_a_request_that_was_answered_in_part_is_not_repeated),
        TEST(test_late_answers_are_dropped),
        TEST(test_not_leader_is_no_attempt),
        TEST(test_without_a_leader_a_request_expires),
        TEST(test_a_lost_clients_requests_are_dropped),
        TEST(test_a_waiting_request_expires),
        TEST(test_a_request_that_had_a_worker_expires_as_unknown),
        TEST(test_a_request_in_hand_times_out),
        TEST(test_a_plain_worker_stays_busy_past_the_deadline),
        TEST(test_a_hung_plain_worker_is_disconnected),
        TEST(test_plain_clients_wait_in_silence),
        TEST(test_a_plain_request_that_lost_its_worker_waits_no_longer_than_others),
        TEST(test_a_deadline_is_bounded),
        TEST(test_deadlines_pass_while_the_broker_is_stopped),
        TEST(test_a_service_without_workers),
        cmocka_unit_test(test_requests_forbear_with_a_young_broker),
        TEST(test_a_draining_broker_finishes_what_it_has),
        TEST(test_a_draining_broker_expects_no_new_workers),
        TEST(test_a_stopping_broker_gives_up_honestly),
        cmocka_unit_test(test_a_client_is_bounded_by_count_and_bytes),
        cmocka_unit_test(test_a_service_is_bounded_by_count_and_bytes),
        cmocka_unit_test(test_all_requests_are_bounded_by_count_and_bytes),
        cmocka_unit_test(test_services_are_bounded),
        cmocka_unit_test(test_peers_are_bounded),
        TEST(test_bodies_are_bounded),
        TEST(test_frames_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
