/* The client's side of the bus, against a broker whose part the test plays.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "tests/lib/scripted_broker.h"

/* Of a request whose deadline does not matter: not even to a busy machine. */
#define BUDGET_MS 30000

/* What became of a request. */
struct outcome {
    size_t call_count;
    int code;
    char body[64];
    bool *inside; /* set while bus_client_request() runs */
};

struct fixture {
    zloop_t *loop;
    struct scripted_broker *broker;
    struct bus_client *client;
    bool inside;
};

static void outcome_take(void *arg, int code, const uint8_t *body, size_t size)
{
    struct outcome *outcome = arg;
    assert_false(*outcome->inside);
    assert_true(size < sizeof outcome->body);
    assert_true((body == NULL) == (size == 0));
    outcome->call_count++;
    outcome->code = code;
    if (body != NULL)
        memcpy(outcome->body, body, size);
    outcome->body[size] = '\0';
}

static bool outcome_known(void *arg)
{
    const struct outcome *outcome = arg;
    return outcome->call_count > 0;
}

static bool is_connected(void *arg)
{
    return bus_client_connected(arg);
}

static bool is_not_connected(void *arg)
{
    return !bus_client_connected(arg);
}

static struct bus_client *a_client(struct fixture *fixture, const char *const *endpoints,
                                   size_t endpoint_count, size_t request_count_max)
{
    struct bus_client_options options = {
        .name = "bridge-1",
        .endpoints = endpoints,
        .endpoint_count = endpoint_count,
        .request_count_max = request_count_max,
    };
    return bus_client_new(fixture->loop, &options);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->loop = zloop_new();
    fixture->broker = scripted_broker_new(fixture->loop, 'C');
    const char *endpoint = fixture->broker->endpoint;
    fixture->client = a_client(fixture, &endpoint, 1, 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    bus_client_destroy(&fixture->client);
    scripted_broker_destroy(&fixture->broker);
    zloop_destroy(&fixture->loop);
    free(fixture);
    return 0;
}

static int request(struct fixture *fixture, struct outcome *outcome, const char *body,
                   int64_t budget_ms)
{
    outcome->inside = &fixture->inside;
    fixture->inside = true;
    int code = bus_client_request(fixture->client, "catalog", body, strlen(body), budget_ms,
                                  outcome_take, outcome);
    fixture->inside = false;
    return code;
}

/* Make a request and have it arrive at the broker, the @nth that it gets, from 0. */
static struct scripted_record *arrived_request(struct fixture *fixture, struct outcome *outcome,
                                               const char *body, int64_t budget_ms, size_t nth)
{
    assert_int_equal(request(fixture, outcome, body, budget_ms), 0);
    scripted_broker_await(fixture->broker, PACK_REQUEST, nth + 1);
    return scripted_broker_nth(fixture->broker, PACK_REQUEST, nth);
}

/* A request carries what its caller gave, what is left of its time, and that it may be replayed;
 * the reply's code and body go to its caller. */
static void test_a_request_is_answered_by_its_reply(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};

    struct scripted_record *record = arrived_request(fixture, &outcome, "{\"id\":1}", 5000, 0);
    assert_string_equal(record->service, "catalog");
    assert_string_equal(record->body, "{\"id\":1}");
    assert_int_equal(record->flags, PACK_REPLAY_SAFE);
    assert_int_equal(record->attempt, 1);
    assert_in_range(record->number, 1, 5000);

    scripted_broker_reply(fixture->broker, record, ERR_OUT_OF_STOCK, "none left");
    scripted_run_until(fixture->loop, outcome_known, &outcome);
    assert_int_equal(outcome.code, ERR_OUT_OF_STOCK);
    assert_string_equal(outcome.body, "none left");
    assert_true(bus_client_connected(fixture->client));
}

/* L1: a connection begins with the hello, which bears the client's name, although a request was
 * waiting before there was a connection. */
static void test_the_hello_comes_first(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};

    struct scripted_record *record = arrived_request(fixture, &outcome, "x", 5000, 0);
    struct scripted_record *hello = scripted_broker_nth(fixture->broker, PACK_HELLO, 0);
    assert_ptr_equal(zlistx_first(fixture->broker->records), hello);
    assert_string_equal(hello->service, "bridge-1");
    assert_int_equal(hello->message, 1);
    assert_int_equal(record->peer, hello->peer);
}

/* What comes up in one turn of the loop shares messages. */
static void test_requests_of_one_turn_share_a_message(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcomes[BATCH_COUNT_MAX + 1] = {0};

    scripted_run_until(fixture->loop, is_connected, fixture->client);
    uint64_t before = fixture->broker->message_count;
    for (size_t i = 0; i <= BATCH_COUNT_MAX; i++)
        assert_int_equal(request(fixture, &outcomes[i], "x", 5000), 0);
    scripted_broker_await(fixture->broker, PACK_REQUEST, BATCH_COUNT_MAX + 1);
    /* The first goes at once, the rest by the end of the turn. */
    struct scripted_record *first = scripted_broker_nth(fixture->broker, PACK_REQUEST, 0);
    assert_true(first->message > before);
    for (size_t i = 1; i <= BATCH_COUNT_MAX; i++) {
        struct scripted_record *record = scripted_broker_nth(fixture->broker, PACK_REQUEST, i);
        assert_int_equal(record->message,
                         scripted_broker_nth(fixture->broker, PACK_REQUEST, 1)->message);
    }
}

/* Large bodies don't grow a message beyond its bound: each arrives, whole. */
static void test_large_requests_are_spread_over_messages(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcomes[4] = {0};
    char *body = malloc(BODY_BYTES_MAX);

    memset(body, 'x', BODY_BYTES_MAX);
    for (size_t i = 0; i < 4; i++) {
        outcomes[i].inside = &fixture->inside;
        assert_int_equal(bus_client_request(fixture->client, "catalog", body, BODY_BYTES_MAX, 5000,
                                            outcome_take, &outcomes[i]),
                         0);
    }
    scripted_broker_await(fixture->broker, PACK_REQUEST, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(scripted_broker_nth(fixture->broker, PACK_REQUEST, i)->body_len,
                         BODY_BYTES_MAX);
    free(body);
}

/* What can't be sent is refused at once, and its caller is not called. */
static void test_what_cannot_be_sent_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {.inside = &fixture->inside};
    static char huge[BODY_BYTES_MAX + 1];
    char long_name[SERVICE_NAME_BYTES_MAX + 2];
    const char *const names[] = {"", "with blank", "caf\xc3\xa9", "line\n", long_name};

    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(
            bus_client_request(fixture->client, names[i], "x", 1, 1000, outcome_take, &outcome),
            ERR_INVALID);
    assert_int_equal(bus_client_request(fixture->client, "catalog", huge, sizeof huge, 1000,
                                        outcome_take, &outcome),
                     ERR_TOO_LARGE);
    assert_int_equal(request(fixture, &outcome, "x", 0), ERR_EXPIRED);
    assert_int_equal(outcome.call_count, 0);
}

/* Requests under way are bounded by count and by bytes; what is answered makes room. */
static void test_requests_under_way_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};
    static char large[BODY_BYTES_MAX];
    const char *endpoint = fixture->broker->endpoint;

    outcome.inside = &fixture->inside;
    for (size_t i = 0; i < CLIENT_BYTES_MAX / BODY_BYTES_MAX; i++)
        assert_int_equal(bus_client_request(fixture->client, "catalog", large, sizeof large, 60000,
                                            outcome_take, &outcome),
                         0);
    assert_int_equal(request(fixture, &outcome, "x", 60000), ERR_QUEUE_FULL);

    bus_client_destroy(&fixture->client);
    fixture->client = a_client(fixture, &endpoint, 1, 2);
    assert_int_equal(request(fixture, &outcome, "x", 60000), 0);
    assert_int_equal(request(fixture, &outcome, "x", 20), 0);
    assert_int_equal(request(fixture, &outcome, "x", 60000), ERR_QUEUE_FULL);
    scripted_run_until(fixture->loop, outcome_known, &outcome);
    assert_int_equal(request(fixture, &outcome, "x", 60000), 0);
}

/* C3: a request that never left was not attempted; one that left and has no answer is unknown. */
static void test_at_its_deadline_a_request_ends_as_what_it_is(void **state)
{
    struct fixture *fixture = *state;
    struct outcome unsent = {0}, sent = {0};

    scripted_broker_stop(fixture->broker);
    int64_t start_ms = clock_ms();
    assert_int_equal(request(fixture, &unsent, "x", 30), 0);
    scripted_run_until(fixture->loop, outcome_known, &unsent);
    assert_int_equal(unsent.code, ERR_NO_BROKER);
    assert_true(clock_ms() - start_ms >= 30);
    assert_false(bus_client_connected(fixture->client));

    scripted_broker_start(fixture->broker);
    scripted_run_until(fixture->loop, is_connected, fixture->client);
    assert_int_equal(request(fixture, &sent, "x", 30), 0);
    scripted_run_until(fixture->loop, outcome_known, &sent);
    assert_int_equal(sent.code, ERR_TIMEOUT);
    assert_int_equal(scripted_broker_count(fixture->broker, PACK_REQUEST), 1);
}

/* An earlier deadline that comes later is kept as well, in order. */
static void test_deadlines_are_kept_in_any_order(void **state)
{
    struct fixture *fixture = *state;
    struct outcome late = {0}, early = {0};

    assert_int_equal(request(fixture, &late, "x", 200), 0);
    assert_int_equal(request(fixture, &early, "x", 20), 0);
    scripted_run_until(fixture->loop, outcome_known, &early);
    assert_int_equal(late.call_count, 0);
    scripted_run_until(fixture->loop, outcome_known, &late);
    assert_int_equal(early.call_count, 1);
}

/* An answer that has arrived counts, although the loop comes to it after the deadline. */
static void test_an_answer_in_the_socket_beats_the_deadline(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};

    struct scripted_record *record = arrived_request(fixture, &outcome, "x", 500, 0);
    scripted_broker_reply(fixture->broker, record, OK, "in time");
    scripted_hold_up(500);
    scripted_run_until(fixture->loop, outcome_known, &outcome);
    assert_int_equal(outcome.code, OK);
}

/* C2: a late answer finds nobody. */
static void test_an_answer_after_the_deadline_is_dropped(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0}, next = {0};

    struct scripted_record *late = arrived_request(fixture, &outcome, "x", 500, 0);
    scripted_run_until(fixture->loop, outcome_known, &outcome);
    scripted_broker_reply(fixture->broker, late, OK, "late");
    struct scripted_record *record = arrived_request(fixture, &next, "y", 5000, 1);
    assert_true(record->correlation != late->correlation);
    scripted_broker_reply(fixture->broker, record, OK, "yes");
    scripted_run_until(fixture->loop, outcome_known, &next);
    assert_int_equal(outcome.call_count, 1);
    assert_int_equal(outcome.code, ERR_TIMEOUT);
    assert_string_equal(next.body, "yes");
}

/* A request that was with a broker that died is sent again, the same but for its id and attempt,
 * in order and ahead of newer ones; each is answered once (C1, C2). */
static void test_unanswered_requests_are_sent_again_to_the_next_broker(void **state)
{
    struct fixture *fixture = *state;
    struct outcome one = {0}, two = {0}, three = {0};

    struct scripted_record *first = arrived_request(fixture, &one, "one", 5000, 0);
    arrived_request(fixture, &two, "two", 5000, 1);
    uint64_t lost = first->correlation;
    scripted_broker_stop(fixture->broker);
    scripted_run_until(fixture->loop, is_not_connected, fixture->client);
    assert_int_equal(request(fixture, &three, "three", 5000), 0);
    scripted_broker_start(fixture->broker);
    scripted_broker_await(fixture->broker, PACK_REQUEST, 5);
    assert_int_equal(scripted_broker_count(fixture->broker, PACK_HELLO), 2);

    static const char *const bodies[] = {"one", "two", "three"};
    for (size_t i = 0; i < 3; i++) {
        struct scripted_record *record = scripted_broker_nth(fixture->broker, PACK_REQUEST, 2 + i);
        assert_string_equal(record->body, bodies[i]);
        /* One that found the broker's port and not the broker any more counts as well. */
        assert_true(record->attempt > (i < 2 ? 1 : 0));
        assert_true(record->correlation > lost + 1);
        assert_true(record->number < 5000);
    }
    struct scripted_record stale = *scripted_broker_nth(fixture->broker, PACK_REQUEST, 2);
    stale.correlation = lost;
    scripted_broker_reply(fixture->broker, &stale, OK, "of the first attempt");
    for (size_t i = 0; i < 3; i++)
        scripted_broker_reply(fixture->broker,
                              scripted_broker_nth(fixture->broker, PACK_REQUEST, 2 + i), OK,
                              bodies[i]);
    scripted_run_until(fixture->loop, outcome_known, &one);
    scripted_run_until(fixture->loop, outcome_known, &two);
    scripted_run_until(fixture->loop, outcome_known, &three);
    assert_string_equal(one.body, "one");
    assert_string_equal(two.body, "two");
    assert_string_equal(three.body, "three");
    assert_int_equal(one.call_count + two.call_count + three.call_count, 3);
}

/* What is sent once ends with the broker that got it, long before its deadline, and the next one
 * does not see it; others of the same time are sent again. */
static void test_what_is_sent_once_is_not_sent_again(void **state)
{
    struct fixture *fixture = *state;
    struct outcome before = {0}, once = {.inside = &fixture->inside}, after = {0};

    (void)arrived_request(fixture, &before, "before", 60000, 0);
    assert_int_equal(
        bus_client_request_once(fixture->client, "catalog", "once", 4, 60000, outcome_take, &once),
        0);
    (void)arrived_request(fixture, &after, "after", 60000, 2);
    struct scripted_record *record = scripted_broker_nth(fixture->broker, PACK_REQUEST, 1);
    assert_string_equal(record->body, "once");
    assert_int_equal(record->flags, 0);

    scripted_broker_stop(fixture->broker);
    scripted_run_until(fixture->loop, outcome_known, &once);
    assert_int_equal(once.code, ERR_TIMEOUT);
    scripted_broker_start(fixture->broker);
    scripted_broker_await(fixture->broker, PACK_REQUEST, 5);
    assert_string_equal(scripted_broker_nth(fixture->broker, PACK_REQUEST, 3)->body, "before");
    assert_string_equal(scripted_broker_nth(fixture->broker, PACK_REQUEST, 4)->body, "after");
    assert_int_equal(once.call_count, 1);
}

/* C3: a refusal without effect is definite as long as there was one attempt. After a lost one it
 * says nothing of that, and nor does a failure of that one attempt; the store's verdict on the
 * request is definite always. */
static void test_a_refusal_after_a_lost_attempt_is_not_definite(void **state)
{
    struct fixture *fixture = *state;
    struct outcome refused = {0}, unknown = {0}, definite = {0}, failed = {0};

    scripted_broker_reply(fixture->broker, arrived_request(fixture, &refused, "x", 5000, 0),
                          ERR_NO_SERVICE, "");
    scripted_run_until(fixture->loop, outcome_known, &refused);
    assert_int_equal(refused.code, ERR_NO_SERVICE);

    arrived_request(fixture, &unknown, "x", 5000, 1);
    arrived_request(fixture, &definite, "x", 5000, 2);
    arrived_request(fixture, &failed, "x", 5000, 3);
    scripted_broker_stop(fixture->broker);
    scripted_broker_start(fixture->broker);
    scripted_broker_await(fixture->broker, PACK_REQUEST, 7);
    scripted_broker_reply(fixture->broker, scripted_broker_nth(fixture->broker, PACK_REQUEST, 4),
                          ERR_NO_SERVICE, "");
    scripted_broker_reply(fixture->broker, scripted_broker_nth(fixture->broker, PACK_REQUEST, 5),
                          ERR_OUT_OF_STOCK, "");
    scripted_broker_reply(fixture->broker, scripted_broker_nth(fixture->broker, PACK_REQUEST, 6),
                          ERR_STORAGE, "");
    scripted_run_until(fixture->loop, outcome_known, &unknown);
    scripted_run_until(fixture->loop, outcome_known, &definite);
    scripted_run_until(fixture->loop, outcome_known, &failed);
    assert_int_equal(unknown.code, ERR_UNKNOWN);
    assert_int_equal(failed.code, ERR_UNKNOWN);
    assert_int_equal(definite.code, ERR_OUT_OF_STOCK);
}

/* A broker that dies is noticed by the end of its connection, long before its silence could be. */
static void test_the_end_of_the_connection_is_noticed_at_once(void **state)
{
    struct fixture *fixture = *state;
    int64_t shortest_ms = INT64_MAX;

    for (size_t life = 0; life < 5; life++) {
        scripted_run_until(fixture->loop, is_connected, fixture->client);
        scripted_broker_stop(fixture->broker);
        int64_t taken_ms = scripted_run_until(fixture->loop, is_not_connected, fixture->client);
        shortest_ms = taken_ms < shortest_ms ? taken_ms : shortest_ms;
        scripted_broker_start(fixture->broker);
    }
    assert_true(shortest_ms < HEARTBEAT_GONE_MS - HEARTBEAT_MS - LINK_TICK_MS);
}

/* A broker that is silent, with its connection standing, is gone after HEARTBEAT_GONE_MS, and a
 * new connection begins with a hello. */
static void test_a_silent_broker_is_given_up(void **state)
{
    struct fixture *fixture = *state;

    scripted_run_until(fixture->loop, is_connected, fixture->client);
    fixture->broker->mute = true;
    int64_t start_ms = clock_ms();
    scripted_run_until(fixture->loop, is_not_connected, fixture->client);
    assert_true(clock_ms() - start_ms >= HEARTBEAT_GONE_MS - HEARTBEAT_MS - LINK_TICK_MS);
    fixture->broker->mute = false;
    scripted_run_until(fixture->loop, is_connected, fixture->client);
    assert_int_equal(scripted_broker_count(fixture->broker, PACK_HELLO), 2);
}

/* L4: after our own loop was held up the broker is not taken for silent. */
static void test_a_stall_of_our_own_is_no_silence(void **state)
{
    struct fixture *fixture = *state;

    scripted_run_until(fixture->loop, is_connected, fixture->client);
    scripted_hold_up(2 * HEARTBEAT_GONE_MS);
    scripted_run_for(fixture->loop, HEARTBEAT_GONE_MS);
    assert_true(bus_client_connected(fixture->client));
    assert_int_equal(scripted_broker_count(fixture->broker, PACK_HELLO), 1);
}

static bool has_beaten(void *arg)
{
    struct scripted_broker *broker = arg;
    return broker->beat_count >= 3;
}

/* A client with nothing to say beats. */
static void test_an_idle_client_sends_heartbeats(void **state)
{
    struct fixture *fixture = *state;

    scripted_run_until(fixture->loop, has_beaten, fixture->broker);
    assert_int_equal(fixture->broker->message_count, 1 + fixture->broker->beat_count);
}

/* After a DISCONNECT the client connects anew, and sends again what was under way. */
static void test_a_disconnect_is_followed_by_a_new_connection(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};

    struct scripted_record *record = arrived_request(fixture, &outcome, "x", 5000, 0);
    uint64_t peer = record->peer;
    scripted_broker_command(fixture->broker, peer, PACK_DISCONNECT);
    scripted_broker_await(fixture->broker, PACK_REQUEST, 2);
    record = scripted_broker_nth(fixture->broker, PACK_REQUEST, 1);
    assert_int_not_equal(record->peer, peer);
    assert_int_equal(scripted_broker_nth(fixture->broker, PACK_HELLO, 1)->peer, record->peer);
    scripted_broker_reply(fixture->broker, record, OK, "done");
    scripted_run_until(fixture->loop, outcome_known, &outcome);
    assert_int_equal(outcome.code, OK);
}

struct departure {
    struct fixture *fixture;
    struct outcome zero, one, two;
};

/* With the answer the client knows of the drain. */
static void departure_take(void *arg, int code, const uint8_t *body, size_t size)
{
    struct departure *self = arg;

    outcome_take(&self->zero, code, body, size);
    assert_int_equal(request(self->fixture, &self->two, "two", BUDGET_MS), 0);
}

/* A broker that drains answers what it has; what comes after goes to the next of the list. */
static void test_a_draining_broker_is_left_for_the_next(void **state)
{
    struct fixture *fixture = *state;
    struct scripted_broker *first = fixture->broker;
    struct scripted_broker *second = scripted_broker_new(fixture->loop, 'C');
    const char *endpoints[] = {first->endpoint, second->endpoint};
    struct departure calls = {.fixture = fixture, .zero.inside = &fixture->inside};

    bus_client_destroy(&fixture->client);
    fixture->client = a_client(fixture, endpoints, 2, 0);
    assert_int_equal(bus_client_request(fixture->client, "catalog", "zero", 4, BUDGET_MS,
                                        departure_take, &calls),
                     0);
    scripted_broker_await(first, PACK_REQUEST, 1);
    struct scripted_record *zero = scripted_broker_nth(first, PACK_REQUEST, 0);
    struct scripted_record *one = arrived_request(fixture, &calls.one, "one", BUDGET_MS, 1);
    struct pack_record away[] = {
        {.command = PACK_GOING_AWAY},
        {.command = PACK_REPLY, .correlation = zero->correlation},
    };
    scripted_broker_send(first, zero->peer, away, 2);
    scripted_broker_reply(first, one, OK, "answered");
    scripted_run_until(fixture->loop, outcome_known, &calls.one);
    assert_string_equal(calls.one.body, "answered");
    assert_int_equal(calls.zero.call_count, 1);
    scripted_broker_await(second, PACK_REQUEST, 1);
    scripted_broker_reply(second, scripted_broker_nth(second, PACK_REQUEST, 0), OK, "second");
    scripted_run_until(fixture->loop, outcome_known, &calls.two);
    assert_string_equal(calls.two.body, "second");
    assert_int_equal(scripted_broker_count(first, PACK_REQUEST), 2);
    bus_client_destroy(&fixture->client);
    scripted_broker_destroy(&second);
}

/* A draining broker that does not answer holds nobody up for longer than CLIENT_LEAVE_MS. */
static void test_a_draining_broker_is_not_waited_for_for_ever(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};

    struct scripted_record *record = arrived_request(fixture, &outcome, "x", BUDGET_MS, 0);
    scripted_broker_command(fixture->broker, record->peer, PACK_GOING_AWAY);
    scripted_broker_await(fixture->broker, PACK_REQUEST, 2);
    record = scripted_broker_nth(fixture->broker, PACK_REQUEST, 1);
    assert_int_equal(record->attempt, 2);
    assert_true(record->number <= BUDGET_MS - CLIENT_LEAVE_MS);
}

/* What the client has with a broker that begins to drain, and asks once when that is answered. */
struct circle {
    struct fixture *fixture;
    struct scripted_broker *late; /* answers "buy" right after "once" was asked; or NULL */
    struct outcome zero, buy, once;
};

/* Inside the batch that brings the drain, before it or after it. */
static void circle_take(void *arg, int code, const uint8_t *body, size_t size)
{
    struct circle *self = arg;

    outcome_take(&self->zero, code, body, size);
    self->once.inside = &self->fixture->inside;
    assert_int_equal(bus_client_request_once(self->fixture->client, "catalog", "once", 4, BUDGET_MS,
                                             outcome_take, &self->once),
                     0);
    if (self->late != NULL) {
        scripted_broker_reply(self->late, scripted_broker_nth(self->late, PACK_REQUEST, 1), OK,
                              "sold");
        scripted_hold_up(HEARTBEAT_GONE_MS);
    }
}

/* Have @broker begin to drain with "buy" in hand, and the client then ask once, or just before. */
static void have_circle(struct circle *self, struct scripted_broker *broker, bool once_first)
{
    struct fixture *fixture = self->fixture;

    self->zero.inside = &fixture->inside;
    assert_int_equal(
        bus_client_request(fixture->client, "catalog", "zero", 4, BUDGET_MS, circle_take, self), 0);
    scripted_broker_await(broker, PACK_REQUEST, 1);
    struct scripted_record *zero = scripted_broker_nth(broker, PACK_REQUEST, 0);
    assert_int_equal(request(fixture, &self->buy, "buy", BUDGET_MS), 0);
    scripted_broker_await(broker, PACK_REQUEST, 2);
    struct pack_record drain[] = {
        {.command = PACK_GOING_AWAY},
        {.command = PACK_REPLY, .correlation = zero->correlation},
        {.command = PACK_GOING_AWAY},
    };
    scripted_broker_send(broker, zero->peer, &drain[once_first ? 1 : 0], 2);
}

/* An answer that a draining broker owes may wait for what is asked once: neither waits for the
 * other, and both are with the next broker long before CLIENT_LEAVE_MS. */
static void test_what_is_sent_once_does_not_wait_for_a_draining_broker(void **state)
{
    struct fixture *fixture = *state;

    for (int once_first = 0; once_first < 2; once_first++) {
        struct scripted_broker *first = scripted_broker_new(fixture->loop, 'C');
        struct scripted_broker *second = scripted_broker_new(fixture->loop, 'C');
        const char *endpoints[] = {first->endpoint, second->endpoint};
        struct circle calls = {.fixture = fixture};

        bus_client_destroy(&fixture->client);
        fixture->client = a_client(fixture, endpoints, 2, 0);
        have_circle(&calls, first, once_first == 1);
        int64_t taken_ms = scripted_broker_await(second, PACK_REQUEST, 2);
        assert_true(taken_ms < CLIENT_LEAVE_MS / 2);
        struct scripted_record *buy = scripted_broker_nth(second, PACK_REQUEST, 0);
        struct scripted_record *once = scripted_broker_nth(second, PACK_REQUEST, 1);
        assert_string_equal(buy->body, "buy");
        assert_int_equal(buy->attempt, 2);
        assert_string_equal(once->body, "once");
        assert_int_equal(once->attempt, 1);
        scripted_broker_reply(second, once, OK, "heard");
        scripted_broker_reply(second, buy, OK, "sold");
        scripted_run_until(fixture->loop, outcome_known, &calls.buy);
        assert_string_equal(calls.buy.body, "sold");
        assert_string_equal(calls.once.body, "heard");
        assert_int_equal(scripted_broker_count(first, PACK_REQUEST), 2);
        bus_client_destroy(&fixture->client);
        scripted_broker_destroy(&first);
        scripted_broker_destroy(&second);
    }
}

/* Answers that have arrived by then count: nothing of that is asked again. */
static void test_a_draining_broker_is_heard_out_before_it_is_left(void **state)
{
    struct fixture *fixture = *state;
    struct scripted_broker *first = fixture->broker;
    struct scripted_broker *second = scripted_broker_new(fixture->loop, 'C');
    const char *endpoints[] = {first->endpoint, second->endpoint};
    struct circle calls = {.fixture = fixture, .late = first};

    bus_client_destroy(&fixture->client);
    fixture->client = a_client(fixture, endpoints, 2, 0);
    have_circle(&calls, first, false);
    scripted_run_until(fixture->loop, outcome_known, &calls.buy);
    assert_string_equal(calls.buy.body, "sold");
    scripted_broker_await(second, PACK_REQUEST, 1);
    assert_string_equal(scripted_broker_nth(second, PACK_REQUEST, 0)->body, "once");
    bus_client_destroy(&fixture->client);
    scripted_broker_destroy(&second);
}

/* Where there is no other broker, its answers are the best that can be had. */
static void test_the_only_broker_is_not_left_for_what_is_sent_once(void **state)
{
    struct fixture *fixture = *state;
    struct circle calls = {.fixture = fixture};

    have_circle(&calls, fixture->broker, false);
    scripted_broker_await(fixture->broker, PACK_REQUEST, 4);
    struct scripted_record *buy = scripted_broker_nth(fixture->broker, PACK_REQUEST, 2);
    assert_string_equal(buy->body, "buy");
    assert_int_equal(buy->attempt, 2);
    assert_true(buy->number <= BUDGET_MS - CLIENT_LEAVE_MS);
}

/* With several brokers, dead ones cost no pause. */
static void test_the_next_broker_is_tried_at_once(void **state)
{
    enum { DEAD_COUNT = 20, ROUNDS = 5 };
    struct fixture *fixture = *state;
    struct scripted_broker *alive = scripted_broker_new(fixture->loop, 'C');
    const char *endpoints[DEAD_COUNT + 1];
    int64_t shortest_ms = INT64_MAX;

    bus_client_destroy(&fixture->client);
    scripted_broker_stop(fixture->broker);
    for (size_t i = 0; i < DEAD_COUNT; i++)
        endpoints[i] = fixture->broker->endpoint;
    endpoints[DEAD_COUNT] = alive->endpoint;
    for (size_t round = 1; round <= ROUNDS; round++) {
        struct outcome outcome = {0};
        fixture->client = a_client(fixture, endpoints, DEAD_COUNT + 1, 0);
        assert_int_equal(request(fixture, &outcome, "x", BUDGET_MS), 0);
        int64_t taken_ms = scripted_broker_await(alive, PACK_REQUEST, round);
        shortest_ms = taken_ms < shortest_ms ? taken_ms : shortest_ms;
        bus_client_destroy(&fixture->client);
    }
    assert_true(shortest_ms < DEAD_COUNT * RECONNECT_MS_MIN);
    scripted_broker_destroy(&alive);
}

/* A broker that takes nothing in blocks nobody: what does not fit waits here, and is answered
 * when the broker reads on, each once. */
static void test_a_full_socket_loses_nothing(void **state)
{
    enum { COUNT = 3000, BODY_BYTES = 16384 };
    struct fixture *fixture = *state;
    struct outcome *outcomes = calloc(COUNT, sizeof *outcomes);
    static char body[BODY_BYTES];

    scripted_run_until(fixture->loop, is_connected, fixture->client);
    scripted_broker_set_deaf(fixture->broker, true);
    for (size_t i = 0; i < COUNT; i++) {
        outcomes[i].inside = &fixture->inside;
        assert_int_equal(bus_client_request(fixture->client, "catalog", body, sizeof body, 60000,
                                            outcome_take, &outcomes[i]),
                         0);
    }
    scripted_run_for(fixture->loop, HEARTBEAT_MS);
    scripted_broker_set_deaf(fixture->broker, false);
    scripted_broker_await(fixture->broker, PACK_REQUEST, COUNT);
    struct scripted_record *record = zlistx_first(fixture->broker->records);
    for (; record != NULL; record = zlistx_next(fixture->broker->records))
        if (record->command == PACK_REQUEST) {
            struct pack_record reply = {.command = PACK_REPLY, .correlation = record->correlation};
            scripted_broker_send(fixture->broker, record->peer, &reply, 1);
        }
    for (size_t i = 0; i < COUNT; i++) {
        scripted_run_until(fixture->loop, outcome_known, &outcomes[i]);
        assert_int_equal(outcomes[i].call_count, 1);
    }
    free(outcomes);
}

/* Messages of another kind, or none at all, neither stop a client nor make it a connection. */
static void test_nonsense_is_no_sign_of_life(void **state)
{
    struct fixture *fixture = *state;

    fixture->broker->mute = true;
    scripted_broker_await(fixture->broker, PACK_HELLO, 1);
    struct frame *peer = zlistx_first(fixture->broker->peers);
    static const char *const frames[] = {"", "MDPC01", "PYGMY1C", "PYGMY1W\1", "PYGMY1C\1\4"};
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        struct message message;
        message_init(&message);
        for (size_t times = 0; times <= i; times++)
            message_add_copy(&message, frames[i], strlen(frames[i]));
        assert_int_equal(message_send(&message, zsock_resolve(fixture->broker->router), peer), 0);
    }
    scripted_run_for(fixture->loop, LINK_TICK_MS);
    assert_false(bus_client_connected(fixture->client));
    fixture->broker->mute = false;
    scripted_run_until(fixture->loop, is_connected, fixture->client);
}

/* A client that goes with requests under way says goodbye and calls nobody. */
static void test_a_destroyed_client_calls_nobody(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};

    arrived_request(fixture, &outcome, "x", 5000, 0);
    bus_client_destroy(&fixture->client);
    scripted_broker_await(fixture->broker, PACK_DISCONNECT, 1);
    assert_int_equal(outcome.call_count, 0);
}

struct chain {
    struct fixture *fixture;
    size_t left;
};

static void chain_take(void *arg, int code, const uint8_t *body, size_t size)
{
    struct chain *chain = arg;
    (void)body;
    (void)size;
    assert_int_equal(code, ERR_TIMEOUT);
    if (--chain->left > 0)
        assert_int_equal(
            bus_client_request(chain->fixture->client, "catalog", "x", 1, 1, chain_take, chain), 0);
}

static bool chain_is_over(void *arg)
{
    const struct chain *chain = arg;
    return chain->left == 0;
}

/* A callback may make the next request, from a deadline as well. */
static void test_a_callback_may_make_a_request(void **state)
{
    struct fixture *fixture = *state;
    struct chain chain = {fixture, 10};

    scripted_run_until(fixture->loop, is_connected, fixture->client);
    assert_int_equal(bus_client_request(fixture->client, "catalog", "x", 1, 1, chain_take, &chain),
                     0);
    scripted_run_until(fixture->loop, chain_is_over, &chain);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_request_is_answered_by_its_reply),
        TEST(test_the_hello_comes_first),
        TEST(test_requests_of_one_turn_share_a_message),
        TEST(test_large_requests_are_spread_over_messages),
        TEST(test_what_cannot_be_sent_is_refused),
        TEST(test_requests_under_way_are_bounded),
        TEST(test_at_its_deadline_a_request_ends_as_what_it_is),
        TEST(test_deadlines_are_kept_in_any_order),
        TEST(test_an_answer_in_the_socket_beats_the_deadline),
        TEST(test_an_answer_after_the_deadline_is_dropped),
        TEST(test_unanswered_requests_are_sent_again_to_the_next_broker),
        TEST(test_what_is_sent_once_is_not_sent_again),
        TEST(test_a_refusal_after_a_lost_attempt_is_not_definite),
        TEST(test_the_end_of_the_connection_is_noticed_at_once),
        TEST(test_a_silent_broker_is_given_up),
        TEST(test_a_stall_of_our_own_is_no_silence),
        TEST(test_an_idle_client_sends_heartbeats),
        TEST(test_a_disconnect_is_followed_by_a_new_connection),
        TEST(test_a_draining_broker_is_left_for_the_next),
        TEST(test_a_draining_broker_is_not_waited_for_for_ever),
        TEST(test_what_is_sent_once_does_not_wait_for_a_draining_broker),
        TEST(test_a_draining_broker_is_heard_out_before_it_is_left),
        TEST(test_the_only_broker_is_not_left_for_what_is_sent_once),
        TEST(test_the_next_broker_is_tried_at_once),
        TEST(test_a_full_socket_loses_nothing),
        TEST(test_nonsense_is_no_sign_of_life),
        TEST(test_a_destroyed_client_calls_nobody),
        TEST(test_a_callback_may_make_a_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
