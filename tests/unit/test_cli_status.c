/* The verdict on a cluster: what is not known is not well.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "client/cli/status.h"

/* Add a process that says what it is; @state NULL: it says nothing. */
static void add(json_t *rows, const char *kind, const char *role, const char *state)
{
    json_t *answer = state != NULL ? json_pack("{ss? ss}", "role", role, "state", state) : NULL;
    json_array_append_new(rows, status_row("x-1", kind, answer));
    json_decref(answer);
}

static void check(json_t *rows, enum status_verdict verdict)
{
    assert_int_equal(status_verdict_of(rows), verdict);
    json_decref(rows);
}

/* The least cluster, all up. */
static void test_a_cluster_that_is_all_up_is_healthy(void **state)
{
    json_t *rows = json_array();
    (void)state;
    add(rows, "broker", NULL, "up");
    add(rows, "catalog", "leader", "up");
    add(rows, "order", "leader", "up");
    add(rows, "bridge", NULL, "up");
    check(rows, STATUS_HEALTHY);
}

/* A process that is silent, starting or draining is a reason to look. */
static void test_a_missing_process_degrades(void **state)
{
    static const char *const states[] = {NULL, "starting", "draining", "something new"};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        json_t *rows = json_array();
        add(rows, "broker", NULL, "up");
        add(rows, "broker", NULL, states[i]);
        add(rows, "catalog", "leader", "up");
        add(rows, "order", "leader", "up");
        check(rows, STATUS_DEGRADED);
    }
}

/* A group of three may lack one follower, and no more. */
static void test_a_group_works_by_its_majority(void **state)
{
    (void)state;
    for (size_t missing = 0; missing <= 2; missing++) {
        json_t *rows = json_array();
        add(rows, "order", "leader", "up");
        add(rows, "catalog", "leader", "up");
        add(rows, "catalog", "follower", missing >= 1 ? NULL : "up");
        add(rows, "catalog", "follower", missing >= 2 ? NULL : "up");
        check(rows, missing == 0   ? STATUS_HEALTHY
                    : missing == 1 ? STATUS_DEGRADED
                                   : STATUS_NO_MAJORITY);
    }
}

/* Followers without a leader are no store, and a learner is no voter. */
static void test_a_group_without_a_leader_does_not_work(void **state)
{
    json_t *rows = json_array();
    (void)state;
    add(rows, "catalog", "leader", "up");
    add(rows, "order", "follower", "up");
    add(rows, "order", "follower", "up");
    check(rows, STATUS_NO_MAJORITY);
    rows = json_array();
    add(rows, "catalog", "leader", "up");
    add(rows, "catalog", "learner", "up");
    add(rows, "order", "leader", "up");
    check(rows, STATUS_HEALTHY);
}

/* A silent process has a row too: unknown, and null where nothing is known, never 0. */
static void test_what_is_unknown_is_null(void **state)
{
    static const char *const members[] = {
        "role",         "pid",           "term", "log_index",
        "commit_index", "applied_index", "lag",  "last_contact_ms",
        "version"};
    json_t *row = status_row("order-1", "order", NULL);
    (void)state;
    assert_string_equal(json_string_value(json_object_get(row, "name")), "order-1");
    assert_string_equal(json_string_value(json_object_get(row, "state")), "unknown");
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        assert_true(json_is_null(json_object_get(row, members[i])));
    assert_int_equal(json_object_size(row), 12);
    json_decref(row);
}

/* A row has what the process says, under the twelve names, and nothing else that it says. */
static void test_a_row_has_the_twelve_members_alone(void **state)
{
    json_t *answer = json_pack("{ss ss sI ss}", "state", "up", "role", "leader", "pid",
                               (json_int_t)77, "secret", "x");
    json_t *row = status_row("order-1", "order", answer);
    (void)state;
    assert_int_equal(json_integer_value(json_object_get(row, "pid")), 77);
    assert_null(json_object_get(row, "secret"));
    assert_int_equal(json_object_size(row), 12);
    json_decref(row);
    json_decref(answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cluster_that_is_all_up_is_healthy),
        cmocka_unit_test(test_a_missing_process_degrades),
        cmocka_unit_test(test_a_group_works_by_its_majority),
        cmocka_unit_test(test_a_group_without_a_leader_does_not_work),
        cmocka_unit_test(test_what_is_unknown_is_null),
        cmocka_unit_test(test_a_row_has_the_twelve_members_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
