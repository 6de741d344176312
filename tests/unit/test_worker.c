/* The worker's side of the bus, against brokers whose part the test plays.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "tests/lib/scripted_broker.h"

#define CREDIT      8
#define IN_HAND_MAX 64

struct fixture {
    zloop_t *loop;
    struct scripted_broker *brokers[2];
    struct bus_worker *worker;
    struct bus_request *in_hand[IN_HAND_MAX]; /* what the service was given, in order */
    size_t in_hand_count;
    size_t batch_count;
    bool echo;          /* the service answers at once, with the request's body */
    int64_t slow_ms;    /* the service takes so long to take a request */
    int64_t arrived_ms; /* when the last request came */
};

static void serve(void *arg, struct bus_request *request)
{
    struct fixture *fixture = arg;
    fixture->arrived_ms = clock_ms();
    if (fixture->slow_ms > 0)
        scripted_hold_up(fixture->slow_ms);
    if (fixture->echo) {
        bus_request_reply(&request, OK, bus_request_body(request), bus_request_size(request));
        assert_null(request);
        return;
    }
    assert_true(fixture->in_hand_count < IN_HAND_MAX);
    fixture->in_hand[fixture->in_hand_count++] = request;
}

static void finish_batch(void *arg)
{
    struct fixture *fixture = arg;
    fixture->batch_count++;
}

static struct bus_worker *a_worker(struct fixture *fixture, uint32_t credit)
{
    const char *const endpoints[] = {fixture->brokers[0]->endpoint, fixture->brokers[1]->endpoint};
    struct bus_worker_options options = {
        .service = "catalog.leader",
        .name = "catalog-1",
        .secret = "the secret",
        .endpoints = endpoints,
        .endpoint_count = 2,
        .credit = credit,
        .on_request = serve,
        .on_batch = finish_batch,
        .arg = fixture,
    };
    return bus_worker_new(fixture->loop, &options);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->loop = zloop_new();
    for (size_t i = 0; i < 2; i++)
        fixture->brokers[i] = scripted_broker_new(fixture->loop, 'W');
    fixture->worker = a_worker(fixture, CREDIT);
    for (size_t i = 0; i < 2; i++)
        scripted_broker_await(fixture->brokers[i], PACK_READY, 1);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    bus_worker_destroy(&fixture->worker);
    for (size_t i = 0; i < fixture->in_hand_count; i++)
        if (fixture->in_hand[i] != NULL)
            bus_request_reply(&fixture->in_hand[i], OK, NULL, 0);
    for (size_t i = 0; i < 2; i++)
        scripted_broker_destroy(&fixture->brokers[i]);
    zloop_destroy(&fixture->loop);
    free(fixture);
    return 0;
}

struct expected {
    struct fixture *fixture;
    size_t count;
};

static bool are_in_hand(void *arg)
{
    const struct expected *expected = arg;
    return expected->fixture->in_hand_count >= expected->count;
}

static void await_in_hand(struct fixture *fixture, size_t count)
{
    struct expected expected = {fixture, count};
    scripted_run_until(fixture->loop, are_in_hand, &expected);
}

static bool are_connected(void *arg)
{
    const struct expected *expected = arg;
    return bus_worker_connected(expected->fixture->worker) == expected->count;
}

static void await_connected(struct fixture *fixture, size_t count)
{
    struct expected expected = {fixture, count};
    scripted_run_until(fixture->loop, are_connected, &expected);
}

/* Send @count requests with the correlations from 1 as one message. */
static void send_batch(struct scripted_broker *broker, uint64_t peer, size_t count)
{
    struct pack_record records[BATCH_COUNT_MAX];
    for (size_t i = 0; i < count; i++)
        records[i] = (struct pack_record){
            .command = PACK_REQUEST,
            .number = 5000,
            .correlation = i + 1,
            .attempt = 1,
            .body = (const uint8_t *)"x",
            .body_len = 1,
        };
    scripted_broker_send(broker, peer, records, count);
}

/* The worker registers with each broker: service, credit, the cluster's secret. */
static void test_a_worker_registers_with_all_brokers(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < 2; i++) {
        struct scripted_record *ready = zlistx_first(fixture->brokers[i]->records);
        assert_int_equal(ready->command, PACK_READY);
        assert_string_equal(ready->service, "catalog.leader");
        assert_int_equal(ready->number, CREDIT);
        assert_string_equal(ready->body, "the secret");
    }
    await_connected(fixture, 2);
}

/* The first message has a heartbeat, too: the worker's name is in none of the other records, and one
 * that always has answers to send would never come to say it. */
static void test_a_worker_says_its_name_at_once(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < 2; i++)
        assert_true(fixture->brokers[i]->beat_count > 0);
}

/* A worker whose options name no credit asks for CREDIT_DEFAULT. */
static void test_credit_has_a_default(void **state)
{
    struct fixture *fixture = *state;

    bus_worker_destroy(&fixture->worker);
    fixture->worker = a_worker(fixture, 0);
    scripted_broker_await(fixture->brokers[0], PACK_READY, 2);
    assert_int_equal(scripted_broker_nth(fixture->brokers[0], PACK_READY, 1)->number,
                     CREDIT_DEFAULT);
}

/* A request arrives whole, with its time counted from its arrival; the answer bears its id. */
static void test_a_request_is_answered_under_its_id(void **state)
{
    struct fixture *fixture = *state;
    struct pack_record record = {
        .command = PACK_REQUEST,
        .number = 2000,
        .correlation = 77,
        .attempt = 3,
        .body = (const uint8_t *)"the body",
        .body_len = 8,
    };

    scripted_broker_send(fixture->brokers[0], 1, &record, 1);
    await_in_hand(fixture, 1);
    struct bus_request *request = fixture->in_hand[0];
    assert_int_equal(bus_request_size(request), 8);
    assert_memory_equal(bus_request_body(request), "the body", 8);
    int64_t remaining_ms = bus_request_remaining_ms(request, fixture->arrived_ms);
    assert_true(remaining_ms > 1900 && remaining_ms <= 2000);
    assert_int_equal(bus_request_remaining_ms(request, fixture->arrived_ms + 2000),
                     remaining_ms - 2000);
    assert_int_equal(bus_worker_pending(fixture->worker), 1);

    bus_request_reply(&fixture->in_hand[0], ERR_NOT_FOUND, "the answer", 10);
    assert_null(fixture->in_hand[0]);
    assert_int_equal(bus_worker_pending(fixture->worker), 0);
    scripted_broker_await(fixture->brokers[0], PACK_REPLY, 1);
    struct scripted_record *reply = scripted_broker_nth(fixture->brokers[0], PACK_REPLY, 0);
    assert_true(reply->correlation == 77);
    assert_int_equal(reply->status, ERR_NOT_FOUND);
    assert_string_equal(reply->body, "the answer");
}

/* A request that names no time has the default one. */
static void test_a_request_without_a_time_gets_the_default(void **state)
{
    struct fixture *fixture = *state;

    scripted_broker_request(fixture->brokers[0], 1, 1, 0, "x");
    await_in_hand(fixture, 1);
    int64_t remaining_ms = bus_request_remaining_ms(fixture->in_hand[0], fixture->arrived_ms);
    assert_true(remaining_ms > REQUEST_DEADLINE_MS - 1000 && remaining_ms <= REQUEST_DEADLINE_MS);
}

/* A request that has expired is handed over all the same: the service decides. */
static void test_an_expired_request_is_handed_over(void **state)
{
    struct fixture *fixture = *state;

    scripted_broker_request(fixture->brokers[0], 1, 1, 1, "x");
    await_in_hand(fixture, 1);
    assert_true(bus_request_remaining_ms(fixture->in_hand[0], clock_ms() + 1) <= 0);
}

/* Requests of one message are one batch, and their answers are one message. */
static void test_answers_of_a_batch_share_a_message(void **state)
{
    struct fixture *fixture = *state;

    fixture->echo = true;
    send_batch(fixture->brokers[0], 1, CREDIT);
    scripted_broker_await(fixture->brokers[0], PACK_REPLY, CREDIT);
    assert_int_equal(fixture->batch_count, 1);
    for (size_t i = 0; i < CREDIT; i++) {
        struct scripted_record *reply = scripted_broker_nth(fixture->brokers[0], PACK_REPLY, i);
        assert_true(reply->correlation == i + 1);
        assert_int_equal(reply->message,
                         scripted_broker_nth(fixture->brokers[0], PACK_REPLY, 0)->message);
    }
}

/* The same holds for answers that come later, in one turn of the loop, while others are not
 * ready yet. */
static void test_later_answers_of_one_turn_share_a_message(void **state)
{
    struct fixture *fixture = *state;

    send_batch(fixture->brokers[0], 1, CREDIT);
    await_in_hand(fixture, CREDIT);
    for (size_t i = 0; i < CREDIT - 1; i++)
        bus_request_reply(&fixture->in_hand[i], OK, "x", 1);
    scripted_broker_await(fixture->brokers[0], PACK_REPLY, CREDIT - 1);
    assert_int_equal(scripted_broker_nth(fixture->brokers[0], PACK_REPLY, 0)->message,
                     scripted_broker_nth(fixture->brokers[0], PACK_REPLY, CREDIT - 2)->message);
    assert_int_equal(bus_worker_pending(fixture->worker), 1);
}

/* W3: each answer goes to the broker its request came from. */
static void test_answers_go_where_their_requests_came_from(void **state)
{
    struct fixture *fixture = *state;

    fixture->echo = true;
    scripted_broker_request(fixture->brokers[0], 1, 1, 5000, "first");
    scripted_broker_request(fixture->brokers[1], 1, 1, 5000, "second");
    scripted_broker_await(fixture->brokers[0], PACK_REPLY, 1);
    scripted_broker_await(fixture->brokers[1], PACK_REPLY, 1);
    assert_string_equal(scripted_broker_nth(fixture->brokers[0], PACK_REPLY, 0)->body, "first");
    assert_string_equal(scripted_broker_nth(fixture->brokers[1], PACK_REPLY, 0)->body, "second");
}

/* W3: when the connection is gone, an answer goes nowhere, neither in the pause nor on the next
 * connection; that begins with a new registration and works. */
static void test_an_answer_to_a_lost_connection_goes_nowhere(void **state)
{
    struct fixture *fixture = *state;

    send_batch(fixture->brokers[0], 1, 3);
    await_connected(fixture, 2);
    await_in_hand(fixture, 3);
    scripted_broker_stop(fixture->brokers[0]);
    await_connected(fixture, 1);
    bus_request_reply(&fixture->in_hand[0], OK, "in the pause", 12);
    scripted_broker_start(fixture->brokers[0]);
    scripted_broker_await(fixture->brokers[0], PACK_READY, 2);
    bus_request_reply(&fixture->in_hand[1], OK, "too late", 8);

    uint64_t peer = scripted_broker_nth(fixture->brokers[0], PACK_READY, 1)->peer;
    scripted_broker_request(fixture->brokers[0], peer, 99, 5000, "x");
    await_in_hand(fixture, 4);
    bus_request_reply(&fixture->in_hand[3], OK, "good", 4);
    scripted_broker_await(fixture->brokers[0], PACK_REPLY, 1);
    assert_string_equal(scripted_broker_nth(fixture->brokers[0], PACK_REPLY, 0)->body, "good");
    /* What is still in hand of the old connection counts, until it is replied to. */
    assert_int_equal(bus_worker_pending(fixture->worker), 1);
    bus_request_reply(&fixture->in_hand[2], OK, "far too late", 12);
    assert_int_equal(bus_worker_pending(fixture->worker), 0);
    assert_int_equal(scripted_broker_count(fixture->brokers[0], PACK_REPLY), 1);
}

/* W1: a broker may have given up what it gave, and give as much again; what is above that is
 * refused, unseen by the service and without effect on the other broker. */
static void test_requests_beyond_twice_the_credit_are_refused(void **state)
{
    struct fixture *fixture = *state;

    send_batch(fixture->brokers[0], 1, (size_t)2 * CREDIT);
    send_batch(fixture->brokers[1], 1, CREDIT);
    await_in_hand(fixture, (size_t)3 * CREDIT);
    scripted_broker_request(fixture->brokers[0], 1, 1000, 5000, "one too many");
    scripted_broker_await(fixture->brokers[0], PACK_REPLY, 1);
    struct scripted_record *reply = scripted_broker_nth(fixture->brokers[0], PACK_REPLY, 0);
    assert_true(reply->correlation == 1000);
    assert_int_equal(reply->status, ERR_QUEUE_FULL);
    assert_int_equal(fixture->in_hand_count, 3 * CREDIT);
    assert_int_equal(bus_worker_pending(fixture->worker), 3 * CREDIT);
    scripted_broker_request(fixture->brokers[1], 1, 1000, 5000, "one more");
    await_in_hand(fixture, (size_t)3 * CREDIT + 1);
}

/* Bodies in hand are bounded as well. */
static void test_bytes_in_hand_are_bounded(void **state)
{
    enum { COUNT = WORKER_BYTES_MAX / BODY_BYTES_MAX };
    struct fixture *fixture = *state;
    struct bus_request *in_hand[COUNT];
    struct pack_record record = {
        .command = PACK_REQUEST,
        .number = 60000,
        .body = calloc(1, BODY_BYTES_MAX),
        .body_len = BODY_BYTES_MAX,
    };

    bus_worker_destroy(&fixture->worker);
    fixture->worker = a_worker(fixture, CREDIT_MAX);
    scripted_broker_await(fixture->brokers[0], PACK_READY, 2);
    for (size_t i = 0; i < COUNT; i++) {
        scripted_broker_send(fixture->brokers[0], 2, &record, 1);
        await_in_hand(fixture, 1);
        in_hand[i] = fixture->in_hand[0];
        fixture->in_hand_count = 0;
    }
    record.body_len = 1;
    scripted_broker_send(fixture->brokers[0], 2, &record, 1);
    scripted_broker_await(fixture->brokers[0], PACK_REPLY, 1);
    assert_int_equal(scripted_broker_nth(fixture->brokers[0], PACK_REPLY, 0)->status,
                     ERR_QUEUE_FULL);
    for (size_t i = 0; i < COUNT; i++)
        bus_request_reply(&in_hand[i], OK, NULL, 0);
    scripted_broker_send(fixture->brokers[0], 2, &record, 1);
    await_in_hand(fixture, 1);
    free((uint8_t *)(uintptr_t)record.body);
}

static bool has_registered_again(void *arg)
{
    return scripted_broker_count(arg, PACK_READY) >= 2;
}

/* A broker that gives without end and takes no answers is left, before its answers fill us. */
static void test_a_broker_that_takes_no_answers_is_left(void **state)
{
    enum { ROUNDS = LINK_MESSAGES_MAX + 400, BODY_BYTES = 65536 };
    struct fixture *fixture = *state;
    static uint8_t body[BODY_BYTES];
    struct pack_record record = {
        .command = PACK_REQUEST, .number = 5000, .body = body, .body_len = sizeof body};

    fixture->echo = true;
    scripted_broker_set_deaf(fixture->brokers[0], true);
    /* Until the buffers between the two are full, and then twice the credit. */
    for (size_t i = 0; i < ROUNDS; i++) {
        scripted_broker_send(fixture->brokers[0], 1, &record, 1);
        if (i % CREDIT == 0)
            scripted_run_for(fixture->loop, 2);
    }
    await_connected(fixture, 1);
    scripted_broker_set_deaf(fixture->brokers[0], false);
    scripted_run_until(fixture->loop, has_registered_again, fixture->brokers[0]);
    assert_int_equal(scripted_broker_count(fixture->brokers[1], PACK_READY), 1);
}

/* A broker that is answered has its credit back. */
static void test_credit_comes_back_with_each_answer(void **state)
{
    struct fixture *fixture = *state;

    fixture->echo = true;
    for (size_t round = 1; round <= 4; round++) {
        send_batch(fixture->brokers[0], 1, CREDIT);
        scripted_broker_await(fixture->brokers[0], PACK_REPLY, round * CREDIT);
    }
    assert_int_equal(scripted_broker_count(fixture->brokers[0], PACK_READY), 1);
}

/* W1: connections that come and go while the service is slow leave no more in its hands. */
static void test_requests_of_lost_connections_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    struct scripted_broker *broker = fixture->brokers[0];

    for (uint64_t life = 1; life <= 2; life++) {
        scripted_broker_await(broker, PACK_READY, life);
        send_batch(broker, life, CREDIT);
        await_in_hand(fixture, life * CREDIT);
        scripted_broker_command(broker, life, PACK_DISCONNECT);
    }
    scripted_broker_await(broker, PACK_READY, 3);
    send_batch(broker, 3, 1);
    scripted_broker_await(broker, PACK_REPLY, 1);
    assert_int_equal(scripted_broker_nth(broker, PACK_REPLY, 0)->status, ERR_QUEUE_FULL);
    bus_request_reply(&fixture->in_hand[0], OK, NULL, 0);
    send_batch(broker, 3, 1);
    await_in_hand(fixture, 2 * CREDIT + 1);
}

/* An answer that is too large for the bus was work done all the same: its outcome is unknown. */
static void test_an_answer_too_large_is_unknown(void **state)
{
    struct fixture *fixture = *state;
    static char huge[BODY_BYTES_MAX + 1];

    send_batch(fixture->brokers[0], 1, 2);
    await_in_hand(fixture, 2);
    bus_request_reply(&fixture->in_hand[0], OK, huge, sizeof huge);
    bus_request_reply(&fixture->in_hand[1], OK, huge, sizeof huge - 1);
    scripted_broker_await(fixture->brokers[0], PACK_REPLY, 2);
    struct scripted_record *reply = scripted_broker_nth(fixture->brokers[0], PACK_REPLY, 0);
    assert_int_equal(reply->status, ERR_UNKNOWN);
    assert_int_equal(reply->body_len, 0);
    reply = scripted_broker_nth(fixture->brokers[0], PACK_REPLY, 1);
    assert_int_equal(reply->status, OK);
    assert_int_equal(reply->body_len, BODY_BYTES_MAX);
}

/* A worker that drains says so, answers what it has, and does not come back. */
static void test_a_draining_worker_answers_and_does_not_return(void **state)
{
    struct fixture *fixture = *state;

    send_batch(fixture->brokers[0], 1, 1);
    await_in_hand(fixture, 1);
    bus_worker_drain(fixture->worker);
    for (size_t i = 0; i < 2; i++)
        scripted_broker_await(fixture->brokers[i], PACK_GOING_AWAY, 1);
    bus_request_reply(&fixture->in_hand[0], OK, "x", 1);
    scripted_broker_await(fixture->brokers[0], PACK_REPLY, 1);
    scripted_broker_command(fixture->brokers[0], 1, PACK_DISCONNECT);
    await_connected(fixture, 1);
    scripted_run_for(fixture->loop, 4 * RECONNECT_MS_MIN);
    assert_int_equal(scripted_broker_count(fixture->brokers[0], PACK_READY), 1);
}

/* A worker that goes sends what it has answered and says goodbye; requests in hand can still be
 * returned, to no effect. */
static void test_requests_outlive_their_worker(void **state)
{
    struct fixture *fixture = *state;

    send_batch(fixture->brokers[0], 1, 3);
    await_in_hand(fixture, 3);
    bus_request_reply(&fixture->in_hand[0], OK, "x", 1);
    bus_worker_destroy(&fixture->worker);
    assert_null(fixture->worker);
    bus_request_reply(&fixture->in_hand[1], OK, "y", 1);
    bus_request_reply(&fixture->in_hand[2], OK, "z", 1);
    scripted_broker_await(fixture->brokers[0], PACK_DISCONNECT, 1);
    assert_int_equal(scripted_broker_count(fixture->brokers[0], PACK_REPLY), 1);
}

static bool has_beaten(void *arg)
{
    struct scripted_broker *broker = arg;
    return broker->beat_count >= 3;
}

/* A busy worker beats like an idle one. */
static void test_a_busy_worker_sends_heartbeats(void **state)
{
    struct fixture *fixture = *state;

    send_batch(fixture->brokers[0], 1, 1);
    await_in_hand(fixture, 1);
    fixture->brokers[0]->beat_count = 0;
    scripted_run_until(fixture->loop, has_beaten, fixture->brokers[0]);
}

/* A batch whose requests take long leaves room for the heartbeats, to all brokers: a worker that
 * is merely slow is not taken for dead, nor is its work given to another and done twice. */
static void test_a_slow_service_leaves_room_for_heartbeats(void **state)
{
    struct fixture *fixture = *state;
    const size_t count = 2 * CREDIT;
    size_t before[2];

    fixture->slow_ms = HEARTBEAT_GONE_MS / 10;
    send_batch(fixture->brokers[0], 1, count);
    for (size_t i = 0; i < 2; i++)
        before[i] = fixture->brokers[i]->beat_count;
    await_in_hand(fixture, count);
    for (size_t i = 0; i < 2; i++)
        assert_true(fixture->brokers[i]->beat_count >= before[i] + 3);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(bus_request_size(fixture->in_hand[i]), 1);
}

/* What came before the broker went is heard to its end, in as many turns as it takes. */
static void test_a_lost_brokers_last_batch_is_heard(void **state)
{
    struct fixture *fixture = *state;

    fixture->slow_ms = 2 * LINK_TURN_MS;
    send_batch(fixture->brokers[0], 1, CREDIT);
    await_in_hand(fixture, 1);
    scripted_broker_stop(fixture->brokers[0]);
    await_in_hand(fixture, CREDIT);
    scripted_broker_start(fixture->brokers[0]);
    scripted_broker_await(fixture->brokers[0], PACK_READY, 2);
}

/* A worker may go while a part of a batch was not handed over yet. */
static void test_a_worker_may_go_amid_a_batch(void **state)
{
    struct fixture *fixture = *state;

    fixture->slow_ms = 2 * LINK_TURN_MS;
    send_batch(fixture->brokers[0], 1, CREDIT);
    await_in_hand(fixture, 1);
    bus_worker_destroy(&fixture->worker);
    assert_true(fixture->in_hand_count < CREDIT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_worker_registers_with_all_brokers),
        TEST(test_a_worker_says_its_name_at_once),
        TEST(test_credit_has_a_default),
        TEST(test_a_request_is_answered_under_its_id),
        TEST(test_a_request_without_a_time_gets_the_default),
        TEST(test_an_expired_request_is_handed_over),
        TEST(test_answers_of_a_batch_share_a_message),
        TEST(test_later_answers_of_one_turn_share_a_message),
        TEST(test_answers_go_where_their_requests_came_from),
        TEST(test_an_answer_to_a_lost_connection_goes_nowhere),
        TEST(test_requests_beyond_twice_the_credit_are_refused),
        TEST(test_bytes_in_hand_are_bounded),
        TEST(test_a_broker_that_takes_no_answers_is_left),
        TEST(test_credit_comes_back_with_each_answer),
        TEST(test_requests_of_lost_connections_are_bounded),
        TEST(test_an_answer_too_large_is_unknown),
        TEST(test_a_draining_worker_answers_and_does_not_return),
        TEST(test_requests_outlive_their_worker),
        TEST(test_a_slow_service_leaves_room_for_heartbeats),
        TEST(test_a_lost_brokers_last_batch_is_heard),
        TEST(test_a_worker_may_go_amid_a_batch),
        TEST(test_a_busy_worker_sends_heartbeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
