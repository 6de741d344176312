/* The verdict on a cluster: what is not known is not well.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "broker/bus/limits.h"
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

/* Add a catalog replica by its name, with the group as it knows it. */
static void add_member(json_t *rows, const char *name, const char *role, int commit,
                       const char *members)
{
    json_t *answer =
        role == NULL ? NULL
                     : json_pack("{ss ss si si so}", "state", "up", "role", role, "term", 4,
                                 "commit_index", commit, "members", json_loads(members, 0, NULL));
    json_array_append_new(rows, status_row(name, "catalog", answer));
    json_decref(answer);
}

#define VOTER(name)   "{\"name\":\"" name "\",\"role\":\"voter\"}"
#define LEARNER(name) "{\"name\":\"" name "\",\"role\":\"learner\"}"

/* A majority is one of those that have a vote, whoever stands in the configuration: of three that are
 * down, one may be a learner, or have been removed. */
static void test_the_members_count_and_not_the_configuration(void **state)
{
    static const char *const group = "[" VOTER("c-1") "," VOTER("c-2") "," LEARNER("c-3") "]";
    static const char *const five =
        "[" VOTER("c-1") "," VOTER("c-2") "," VOTER("c-8") "," VOTER("c-9") "]";
    json_t *rows = json_array();
    (void)state;
    add(rows, "order", "leader", "up");
    add_member(rows, "c-1", "leader", 9, group);
    add_member(rows, "c-2", "follower", 9, group);
    add_member(rows, "c-3", NULL, 0, NULL);
    add_member(rows, "c-4", NULL, 0, NULL);
    add_member(rows, "c-5", NULL, 0, NULL);
    check(rows, STATUS_DEGRADED);
    rows = json_array();
    add(rows, "order", "leader", "up");
    add_member(rows, "c-1", "leader", 9, five);
    add_member(rows, "c-2", "follower", 9, five);
    check(rows, STATUS_NO_MAJORITY); /* two of four, and the others stand in no configuration */
}

/* The leader knows who belongs to the group, else who has heard most; who was removed does not. */
static void test_who_is_not_in_its_group_is_told(void **state)
{
    static const char *const old = "[" VOTER("c-1") "," VOTER("c-2") "," VOTER("c-3") "]";
    static const char *const new = "[" VOTER("c-1") "," VOTER("c-2") "]";
    json_t *rows = json_array();
    (void)state;
    add(rows, "order", "leader", "up");
    add_member(rows, "c-3", "follower", 8, old);
    add_member(rows, "c-2", "follower", 8, new);
    add_member(rows, "c-1", "leader", 7, new);
    char *sentence = status_sentence(rows);
    assert_string_equal(sentence, "degraded: the store works, but c-3 is not in its group");
    free(sentence);
    json_array_remove(rows, 3);
    add_member(rows, "c-1", "follower", 9, new);
    sentence = status_sentence(rows);
    assert_string_equal(sentence, "no majority: the catalog replicas have no leader, c-3 is not in "
                                  "its group");
    free(sentence);
    json_decref(rows);
}

/* Add a catalog replica that is up, with what it says of its log. */
static void add_replica(json_t *rows, const char *role, int term, int commit, int applied, int lag,
                        int contact_ms)
{
    json_t *answer = json_pack("{ss ss si si si si si}", "state", "up", "role", role, "term", term,
                               "commit_index", commit, "applied_index", applied, "lag", lag,
                               "last_contact_ms", contact_ms);
    char name[32];
    snprintf(name, sizeof name, "catalog-%zu", json_array_size(rows) + 1);
    json_array_append_new(rows, status_row(name, "catalog", answer));
    json_decref(answer);
}

static int64_t lag_of(const json_t *rows, size_t index)
{
    return json_integer_value(json_object_get(json_array_get(rows, index), "lag"));
}

/* A replica doesn't know what it hasn't heard: its lag is what its leader says it misses, and the
 * leader is the one of the highest term. */
static void test_the_lag_is_that_behind_the_leader(void **state)
{
    json_t *rows = json_array();
    (void)state;
    add_replica(rows, "leader", 3, 90, 90, 0, 0); /* deposed, and has not heard of it */
    add_replica(rows, "follower", 4, 80, 75, 5, 10);
    add_replica(rows, "leader", 4, 100, 98, 2, 0);
    add_replica(rows, "follower", 4, 101, 101, 0, 10); /* asked a moment later */
    json_array_append_new(rows, status_row("catalog-5", "catalog", NULL));
    add(rows, "broker", NULL, "up");
    status_compare(rows);
    assert_int_equal(lag_of(rows, 0), 10);
    assert_int_equal(lag_of(rows, 1), 25);
    assert_int_equal(lag_of(rows, 2), 2);
    assert_int_equal(lag_of(rows, 3), 0);
    for (size_t i = 4; i < 6; i++)
        assert_true(json_is_null(json_object_get(json_array_get(rows, i), "lag")));
    json_decref(rows);
}

/* A replica that is there, but far behind, or without its leader, is a reason to look. */
static void test_a_replica_that_lags_degrades(void **state)
{
    static const struct {
        int lag, contact_ms;
        enum status_verdict verdict;
    } cases[] = {
        {STATUS_LAG_MAX, STATUS_CONTACT_MS_MAX, STATUS_HEALTHY},
        {STATUS_LAG_MAX + 1, 0, STATUS_DEGRADED},
        {0, STATUS_CONTACT_MS_MAX + 1, STATUS_DEGRADED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *rows = json_array();
        add_replica(rows, "leader", 4, 5000, 5000, 0, 0);
        add_replica(rows, "follower", 4, 5000, 5000 - cases[i].lag, cases[i].lag,
                    cases[i].contact_ms);
        check(rows, cases[i].verdict);
    }
}

/* One that has joined no group yet belongs to none, and somebody has to see to it. */
static void test_a_replica_that_waits_to_be_added_degrades(void **state)
{
    (void)state;
    for (int term = 0; term <= 1; term++) {
        json_t *rows = json_array();
        add_replica(rows, "leader", 1, 9, 9, 0, 0);
        add_replica(rows, "learner", term, 0, 0, 0, 0);
        check(rows, term == 0 ? STATUS_DEGRADED : STATUS_HEALTHY);
    }
}

/* @rows goes. */
static void check_sentence(json_t *rows, const char *sentence)
{
    char *said = status_sentence(rows);
    assert_string_equal(said, sentence);
    free(said);
    json_decref(rows);
}

/* The sentence says what is wrong, and with whom. */
static void test_the_sentence_gives_the_reasons(void **state)
{
    json_t *rows = json_array();
    (void)state;
    add_replica(rows, "leader", 1, 9, 9, 0, 0);
    check_sentence(json_incref(rows), "healthy: every process is up");
    json_array_append_new(rows, status_row("broker-2", "broker", NULL));
    add_replica(rows, "follower", 1, 9, 9, 5120, 10);
    add_replica(rows, "follower", 1, 9, 9, 0, 2812);
    check_sentence(rows, "degraded: the store works, but broker-2 does not answer, catalog-3 is "
                         "5120 entries behind, catalog-4 heard its leader 2812 ms ago");

    rows = json_array();
    add_replica(rows, "follower", 1, 9, 9, 0, 10);
    add_replica(rows, "follower", 1, 9, 9, 0, 10);
    json_array_append_new(rows, status_row("order-1", "order", NULL));
    check_sentence(rows, "no majority: the catalog replicas have no leader, 0 of 1 order replicas "
                         "answer, order-1 does not answer");
}

/* When a great deal is wrong the sentence is no list of all. */
static void test_the_sentence_names_the_first_few_and_counts_the_rest(void **state)
{
    json_t *rows = json_array();
    (void)state;
    add_replica(rows, "leader", 1, 9, 9, 0, 0);
    for (size_t i = 0; i < STATUS_NAMED_MAX + 2; i++)
        add(rows, "bridge", NULL, "draining");
    check_sentence(rows, "degraded: the store works, but x-1 is draining, x-1 is draining, x-1 is "
                         "draining, and 2 more");
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
        cmocka_unit_test(test_the_members_count_and_not_the_configuration),
        cmocka_unit_test(test_who_is_not_in_its_group_is_told),
        cmocka_unit_test(test_a_cluster_that_is_all_up_is_healthy),
        cmocka_unit_test(test_a_missing_process_degrades),
        cmocka_unit_test(test_a_group_works_by_its_majority),
        cmocka_unit_test(test_a_group_without_a_leader_does_not_work),
        cmocka_unit_test(test_the_lag_is_that_behind_the_leader),
        cmocka_unit_test(test_a_replica_that_lags_degrades),
        cmocka_unit_test(test_a_replica_that_waits_to_be_added_degrades),
        cmocka_unit_test(test_the_sentence_gives_the_reasons),
        cmocka_unit_test(test_the_sentence_names_the_first_few_and_counts_the_rest),
        cmocka_unit_test(test_what_is_unknown_is_null),
        cmocka_unit_test(test_a_row_has_the_twelve_members_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
