/* The router: what waits for services that nobody serves.
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

static struct rig *rig_limited(uint32_t unserved, int64_t start_grace_ms)
{
    return rig_new(
        &(struct router_options){.name = "b",
                                 .start_grace_ms = start_grace_ms,
                                 .limits = {.new_credit = CREDIT_MAX + 1, .unserved = unserved}});
}

/* A plain client asks: "|MDPC01|SERVICE|BODY" */
static void ask(struct rig *rig, const char *client, const char *service, const char *body)
{
    char *text = alloc_zero(strlen(service) + strlen(body) + 32);
    sprintf(text, "|MDPC01|%s|%s", service, body);
    rig_send(rig, client, text);
    free(text);
}

/* A worker comes, and takes all there is, in order; each is the end of a plain request. */
static void expect_served(struct rig *rig, const char *service, const char *const *bodies,
                          size_t count)
{
    char pattern[64];
    rig_ready(rig, "w", service, CREDIT_MAX);
    for (size_t i = 0; i < count; i++) {
        snprintf(pattern, sizeof pattern, "REQUEST id=* %s", bodies[i]);
        rig_expect(rig, "w", pattern);
    }
    rig_expect_nothing(rig, "w");
    rig_lose(rig, "w");
}

/* By count: above it the oldest goes, in silence, and is counted; whatever names are asked for. */
static void test_what_nobody_serves_is_bounded_by_count(void **state)
{
    (void)state;
    struct rig *rig = rig_limited(0, 0);
    char name[16];
    for (int i = 0; i < 3 * BROKER_UNSERVED_MAX; i++) {
        snprintf(name, sizeof name, "s%d", i % 2 == 0 ? 0 : i);
        ask(rig, "c", name, "x");
    }
    assert_int_equal(router_count(rig->router, COUNT_UNSERVED), 2 * BROKER_UNSERVED_MAX);
    assert_int_equal(router_count(rig->router, COUNT_SILENT), 2 * BROKER_UNSERVED_MAX);
    assert_int_equal(router_result(rig->router, SERVICE_OTHER, RESULT_QUEUE_FULL),
                     2 * BROKER_UNSERVED_MAX);
    rig_expect_nothing(rig, "c");
    rig_pass(rig, REQUEST_DEADLINE_MS + WHEEL_TICK_MS);
    assert_int_equal(router_count(rig->router, COUNT_SILENT), 3 * BROKER_UNSERVED_MAX);
    rig_destroy(&rig);
}

/* By bytes: a body counts for each of its pieces. */
static void test_what_nobody_serves_is_bounded_by_bytes(void **state)
{
    (void)state;
    struct rig *rig = rig_limited(0, 0);
    const uint64_t pieces = BODY_BYTES_MAX / BROKER_UNSERVED_PIECE_BYTES;
    const uint64_t fit = BROKER_UNSERVED_MAX / (1 + pieces);
    char *body = alloc_zero(BODY_BYTES_MAX + 1);
    memset(body, 'x', BODY_BYTES_MAX);
    for (uint64_t i = 0; i < fit + 3; i++)
        ask(rig, "c", "s", body);
    assert_int_equal(router_count(rig->router, COUNT_UNSERVED), 3);
    free(body);
    rig_destroy(&rig);
}

/* Who has less than others keeps all of it, however much they ask; what goes is their oldest. */
static void test_nobody_crowds_out_others(void **state)
{
    (void)state;
    struct rig *rig = rig_limited(6, 0);
    ask(rig, "few", "s", "f1");
    for (int i = 0; i < 100; i++)
        ask(rig, "many", "s", "m");
    ask(rig, "few", "s", "f2");
    for (int i = 0; i < 100; i++)
        ask(rig, "more", "s", "n");
    /* Each has its share, and takes its turn. */
    expect_served(rig, "s", (const char *const[]){"s f1", "s m", "s n", "s f2", "s m", "s n"}, 6);
    rig_destroy(&rig);
}

/* Large bodies take no more room from others than small ones. */
static void test_nobody_crowds_out_others_with_large_bodies(void **state)
{
    (void)state;
    struct rig *rig = rig_limited(6, 0);
    char body[3 * BROKER_UNSERVED_PIECE_BYTES + 1] = "";
    memset(body, 'x', sizeof body - 1);
    ask(rig, "few", "s", "f1");
    ask(rig, "few", "s", "f2");
    for (int i = 0; i < 10; i++)
        ask(rig, "large", "s", body);
    assert_int_equal(router_count(rig->router, COUNT_UNSERVED), 9);
    rig_ready(rig, "w", "s", 9);
    rig_expect(rig, "w", "* f1");
    rig_expect(rig, "w", "* xxx*");
    rig_expect(rig, "w", "* f2");
    rig_expect_nothing(rig, "w");
    rig_destroy(&rig);
}

/* Many clients with one request each, as of those that are gone: the oldest makes room. */
static void test_new_requests_are_not_kept_out_by_those_of_the_dead(void **state)
{
    (void)state;
    struct rig *rig = rig_limited(3, 0);
    ask(rig, "c1", "s", "1");
    ask(rig, "c2", "s", "2");
    ask(rig, "c3", "s", "3");
    ask(rig, "c4", "s", "4");
    expect_served(rig, "s", (const char *const[]){"s 2", "s 3", "s 4"}, 3);
    rig_destroy(&rig);
}

/* A service that has a worker, or had one a moment ago, has the large bounds: a fail-over is no
 * outage. So has what was accepted meanwhile, for as long as it waits. */
static void test_a_fail_over_is_no_outage(void **state)
{
    (void)state;
    struct rig *rig = rig_limited(2, 0);
    rig_ready(rig, "w", "s", 1);
    for (int i = 0; i < 10; i++)
        ask(rig, "c", "s", "x");
    rig_lose(rig, "w");
    rig_pass(rig, SERVICE_GRACE_MS - WHEEL_TICK_MS);
    for (int i = 0; i < 10; i++)
        ask(rig, "c", "s", "x");
    rig_pass(rig, 2 * WHEEL_TICK_MS);
    for (int i = 0; i < 10; i++)
        ask(rig, "d", "s", "y");
    assert_int_equal(router_count(rig->router, COUNT_UNSERVED), 8);
    rig_ready(rig, "v", "s", CREDIT_MAX);
    for (int i = 0; i < 22; i++)
        rig_expect(rig, "v", "REQUEST *");
    rig_expect_nothing(rig, "v");
    rig_destroy(&rig);
}

/* What began to wait for nobody is safe from the bound as soon as there is a worker, though it has
 * no credit yet. */
static void test_what_is_served_by_now_is_not_given_up(void **state)
{
    (void)state;
    struct rig *rig = rig_limited(2, 0);
    ask(rig, "c", "s", "1");
    ask(rig, "c", "s", "2");
    rig_ready(rig, "w", "s", 0);
    for (int i = 0; i < 5; i++)
        ask(rig, "c", "t", "x");
    assert_int_equal(router_count(rig->router, COUNT_UNSERVED), 3);
    rig_beat(rig, "w", 'W', 2);
    rig_expect(rig, "w", "* 1");
    rig_expect(rig, "w", "* 2");
    rig_destroy(&rig);
}

/* Clients of ours are told; they wait at all only right after the broker's start. */
static void test_our_clients_are_told(void **state)
{
    (void)state;
    struct rig *rig = rig_limited(2, 1000);
    for (uint64_t i = 1; i <= 3; i++)
        rig_request(rig, "c", i, "s", "x", 20000, PACK_REPLAY_SAFE);
    rig_expect(rig, "c", "REPLY correlation=1 status=2 ");
    rig_expect_nothing(rig, "c");
    rig_pass(rig, 1000 + WHEEL_TICK_MS);
    rig_expect(rig, "c", "REPLY correlation=2 status=1 ");
    rig_expect(rig, "c", "REPLY correlation=3 status=1 ");
    rig_destroy(&rig);
}

/* Names that nobody serves cost nothing once nothing waits for them, at once: workers find room for
 * theirs even beside one that was served a moment ago. */
static void test_names_that_nobody_serves_take_no_room(void **state)
{
    (void)state;
    struct rig *rig =
        rig_new(&(struct router_options){.name = "b", .limits = {.services = 3, .unserved = 1}});
    rig_ready(rig, "w", "s", 1);
    rig_lose(rig, "w");
    for (char name[] = "a"; name[0] <= 'j'; name[0]++)
        ask(rig, "c", name, "x");
    rig_ready(rig, "v", "t", 1);
    rig_request(rig, "d", 1, "t", "x", 0, 0);
    rig_expect(rig, "v", "REQUEST *");
    rig_destroy(&rig);
}

/* A client that is gone leaves nothing that waits. */
static void test_a_lost_client_makes_room(void **state)
{
    (void)state;
    struct rig *rig = rig_limited(2, 0);
    ask(rig, "c", "s", "1");
    ask(rig, "c", "s", "2");
    rig_lose(rig, "c");
    ask(rig, "d", "s", "3");
    ask(rig, "d", "s", "4");
    assert_int_equal(router_count(rig->router, COUNT_UNSERVED), 0);
    expect_served(rig, "s", (const char *const[]){"s 3", "s 4"}, 2);
    rig_destroy(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_nobody_serves_is_bounded_by_count),
        cmocka_unit_test(test_what_nobody_serves_is_bounded_by_bytes),
        cmocka_unit_test(test_nobody_crowds_out_others),
        cmocka_unit_test(test_nobody_crowds_out_others_with_large_bodies),
        cmocka_unit_test(test_new_requests_are_not_kept_out_by_those_of_the_dead),
        cmocka_unit_test(test_a_fail_over_is_no_outage),
        cmocka_unit_test(test_what_is_served_by_now_is_not_given_up),
        cmocka_unit_test(test_our_clients_are_told),
        cmocka_unit_test(test_names_that_nobody_serves_take_no_room),
        cmocka_unit_test(test_a_lost_client_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
