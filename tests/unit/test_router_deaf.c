/* The router and clients that do not read.
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

static void set_deaf(struct rig *rig, const char *peer, bool deaf)
{
    struct frame routing_id;
    frame_init_copy(&routing_id, peer, strlen(peer));
    if (deaf)
        router_deaf(rig->router, &routing_id, rig->now_ms);
    else
        router_heard(rig->router, &routing_id, rig->now_ms);
    frame_close(&routing_id);
    rig_settle(rig);
}

/* What a deaf client asks waits, whatever credit there is, in each service; others are served; when
 * it has read, all that waited goes out. */
static void test_nobody_works_for_a_client_that_does_not_read(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 2);
    rig_ready(rig, "v", "t", 2);
    rig_request(rig, "c", 1, "s", "1", 0, 0);
    rig_expect(rig, "w", "* 1");
    set_deaf(rig, "c", true);
    set_deaf(rig, "c", true);
    rig_request(rig, "c", 2, "s", "2", 0, 0);
    rig_request(rig, "c", 3, "t", "3", 0, 0);
    rig_reply(rig, "w", rig->id, OK, "");
    rig_expect(rig, "c", "REPLY correlation=1 *");
    rig_expect_nothing(rig, "w");
    rig_expect_nothing(rig, "v");
    rig_request(rig, "d", 1, "s", "other", 0, 0);
    rig_expect(rig, "w", "* other");
    set_deaf(rig, "c", false);
    rig_expect(rig, "w", "* 2");
    rig_expect(rig, "v", "* 3");
    assert_int_equal(router_count(rig->router, COUNT_DEAF), 1);
}

/* What waited before it became deaf waits on, and leaves its turns to others. */
static void test_a_deaf_client_has_no_turns(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 1);
    rig_request(rig, "a", 1, "s", "a1", 0, 0);
    for (uint64_t i = 2; i <= 4; i++)
        rig_request(rig, "c", i, "s", "c", 0, 0);
    rig_request(rig, "a", 2, "s", "a2", 0, 0);
    rig_expect(rig, "w", "* a1");
    set_deaf(rig, "c", true);
    rig_reply(rig, "w", rig->id, OK, "");
    rig_expect(rig, "w", "* a2");
    rig_reply(rig, "w", rig->id, OK, "");
    rig_expect_nothing(rig, "w");
    set_deaf(rig, "c", false);
    rig_expect(rig, "w", "* c");
    rig_expect_nothing(rig, "w");
}

/* Its requests end like any other's: at their deadline, or with their client. */
static void test_what_a_deaf_client_asked_ends(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 2);
    rig_request(rig, "c", 1, "s", "1", 100, 0);
    rig_expect(rig, "w", "REQUEST *");
    set_deaf(rig, "c", true);
    rig_request(rig, "c", 2, "s", "2", 100, 0);
    rig_pass(rig, 100 + WHEEL_TICK_MS);
    rig_expect(rig, "c", "REPLY correlation=1 status=9 ");
    rig_expect(rig, "c", "REPLY correlation=2 status=3 ");
    rig_request(rig, "c", 3, "s", "3", 0, 0);
    rig_lose(rig, "c");
    assert_true(router_idle(rig->router));
    /* Its successor of the same name hears. */
    rig_request(rig, "c", 4, "s", "4", 0, 0);
    rig_expect(rig, "w", "* 4");
}

/* Within one turn a client that gets a great deal gets no further request to a worker before it is
 * sent; it may turn out to be deaf then. */
static void test_a_turn_full_of_answers_is_sent_first(void **state)
{
    struct rig *rig = *state;
    char *body = alloc_zero(OUTBOX_DEAF_BYTES + 2);
    memset(body, 'x', OUTBOX_DEAF_BYTES + 1);
    struct frame client, worker;
    struct message message;
    struct router_action action;
    struct pack_record reply = {
        .command = PACK_REPLY, .body = (const uint8_t *)body, .body_len = OUTBOX_DEAF_BYTES + 1};
    rig_ready(rig, "w", "s", 1);
    rig_request(rig, "c", 1, "s", "1", 0, 0);
    rig_request(rig, "c", 2, "s", "2", 0, 0);
    rig_expect(rig, "w", "* 1");
    reply.correlation = rig->id;
    pack_write(&message, 'W', &reply, 1);
    frame_init_copy(&worker, "w", 1);
    frame_init_copy(&client, "c", 1);
    router_receive(rig->router, &worker, &message, rig->now_ms);
    assert_true(router_next(rig->router, &action));
    assert_int_equal(action.kind, ROUTER_SEND);
    assert_true(frame_equals(&action.routing_id, "c", 1));
    message_close(&action.message);
    frame_close(&action.routing_id);
    router_deaf(rig->router, &client, rig->now_ms);
    rig_settle(rig);
    rig_expect_nothing(rig, "w");
    set_deaf(rig, "c", false);
    rig_expect(rig, "w", "* 2");

    /* One that reads is served on, without any further word. */
    rig_request(rig, "c", 3, "s", "3", 0, 0);
    rig_reply(rig, "w", rig->id, OK, body);
    rig_expect(rig, "c", "REPLY correlation=2 *");
    rig_expect(rig, "w", "* 3");
    frame_close(&client);
    frame_close(&worker);
    free(body);
}

static struct rig *rig_of_new(void)
{
    return rig_new(&(struct router_options){.name = "b"});
}

static void ask_many(struct rig *rig, const char *client, const char *service, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        rig_request(rig, client, i, service, "x", 0, 0);
}

/* How many requests a worker got, all of which it answers if @answer. */
static size_t take(struct rig *rig, const char *worker, bool answer)
{
    uint64_t ids[CREDIT_MAX];
    size_t count = 0;
    for (size_t i = 0; i < rig->line_count;) {
        if (strcmp(rig->lines[i].peer, worker) != 0) {
            i++;
            continue;
        }
        rig_expect(rig, worker, "REQUEST *");
        ids[count++] = rig->id;
    }
    for (size_t i = 0; answer && i < count; i++)
        rig_reply(rig, worker, ids[i], OK, "");
    return count;
}

/* Of a client that nobody knows yet few requests are with a worker, so that another's find room
 * and little before them; each answer makes room for one more. */
static void test_a_new_client_has_few_requests_with_workers(void **state)
{
    (void)state;
    struct rig *rig = rig_of_new();
    rig_ready(rig, "w", "s", CREDIT_DEFAULT);
    ask_many(rig, "c", "s", 100);
    assert_int_equal(take(rig, "w", true), CLIENT_NEW_CREDIT);
    assert_int_equal(take(rig, "w", false), CLIENT_NEW_CREDIT);
    ask_many(rig, "d", "s", 1);
    assert_int_equal(take(rig, "w", false), 1);
    rig_destroy(&rig);
}

/* Soon it may have all there is. */
static void test_a_client_that_got_answers_has_the_whole_credit(void **state)
{
    (void)state;
    struct rig *rig = rig_of_new();
    size_t got = 0;
    rig_ready(rig, "w", "s", CREDIT_DEFAULT);
    ask_many(rig, "c", "s", 300);
    while (got < CLIENT_NEW_ANSWERS)
        got += take(rig, "w", true);
    assert_int_equal(take(rig, "w", false), CREDIT_DEFAULT);
    rig_destroy(&rig);
}

/* Where work takes long, nothing is learned by waiting for answers. */
static void test_a_new_client_has_the_whole_credit_for_long_work(void **state)
{
    (void)state;
    struct rig *rig = rig_of_new();
    rig_ready(rig, "w", "s", CREDIT_DEFAULT);
    ask_many(rig, "c", "s", 100);
    assert_int_equal(take(rig, "w", false), CLIENT_NEW_CREDIT);
    rig_pass(rig, CLIENT_NEW_MS + WHEEL_TICK_MS);
    assert_int_equal(take(rig, "w", false), CREDIT_DEFAULT - CLIENT_NEW_CREDIT);
    rig_destroy(&rig);
}

/* Workers that take one request at a time are all used at once. */
static void test_a_new_client_has_as_many_plain_workers_as_there_are(void **state)
{
    (void)state;
    struct rig *rig = rig_of_new();
    char name[8];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "w%d", i);
        rig_ready(rig, name, "s", 1);
    }
    ask_many(rig, "c", "s", 30);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "w%d", i);
        assert_int_equal(take(rig, name, false), 1);
    }
    rig_destroy(&rig);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_nobody_works_for_a_client_that_does_not_read),
        TEST(test_a_deaf_client_has_no_turns),
        TEST(test_what_a_deaf_client_asked_ends),
        TEST(test_a_turn_full_of_answers_is_sent_first),
        cmocka_unit_test(test_a_new_client_has_few_requests_with_workers),
        cmocka_unit_test(test_a_client_that_got_answers_has_the_whole_credit),
        cmocka_unit_test(test_a_new_client_has_the_whole_credit_for_long_work),
        cmocka_unit_test(test_a_new_client_has_as_many_plain_workers_as_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
