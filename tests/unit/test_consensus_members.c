/* Who belongs to the group, and who leads it next.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "broker/bus/err.h"
#include "tests/lib/crew_messages.h"

enum change { ADD, PROMOTE, REMOVE };

/* Ask for a change at a node. */
static int change(struct crew *crew, uint64_t at, enum change change, uint64_t id,
                  replica_index *index)
{
    struct crew_node *node = crew_node(crew, at);
    int code = ERR_INVALID;

    switch (change) {
    case ADD:
        code = consensus_add(node->consensus, id, crew_address(id), index, crew->now_ms);
        break;
    case PROMOTE: code = consensus_promote(node->consensus, id, index, crew->now_ms); break;
    case REMOVE: code = consensus_remove(node->consensus, id, index, crew->now_ms); break;
    }
    crew_follow(crew, node);
    return code;
}

/* The same until it is not ERR_UNAVAILABLE or ERR_BUSY any more, and then until all have it. */
static void change_surely(struct crew *crew, uint64_t at, enum change what, uint64_t id)
{
    replica_index index = 0;
    int code = ERR_BUSY;

    for (int ms = 0; ms < 5000 && (code == ERR_BUSY || code == ERR_UNAVAILABLE); ms++) {
        code = change(crew, at, what, id, &index);
        crew_run(crew, 1);
    }
    assert_int_equal(code, 0);
    crew_run(crew, 50);
    assert_true(consensus_commit_index(crew_node(crew, at)->consensus) >= index);
}

static const struct member *member(struct crew *crew, uint64_t at, uint64_t id)
{
    return membership_find(consensus_membership(crew_node(crew, at)->consensus), id);
}

/* ---- Changes ------------------------------------------------------------------------------------ */

/* A newcomer gets the log as a learner, is promoted, and then counts: with two of the first three
 * down it and the third are no majority of four, with one of them they are. */
static void test_a_newcomer_learns_and_then_votes(void **state)
{
    struct crew *crew = crew_new(3, 1);
    replica_index index;
    (void)state;

    const uint64_t leader = crew_elect(crew);
    for (int i = 0; i < 100; i++)
        assert_int_equal(crew_submit(crew, leader, "command", &index), 0);
    crew_run(crew, 50);
    change_surely(crew, leader, ADD, 4);
    crew_converge(crew, index);
    assert_int_equal(member(crew, 4, 4)->role, MEMBER_LEARNER);
    change_surely(crew, leader, PROMOTE, 4);
    for (uint64_t id = 1; id <= 4; id++)
        assert_int_equal(member(crew, id, 4)->role, MEMBER_VOTER);
    const uint64_t one = leader % 3 + 1;
    const uint64_t two = one % 3 + 1;
    crew_crash(crew, one);
    crew_submit(crew, leader, "three of four", &index);
    crew_converge(crew, index);
    crew_crash(crew, two);
    crew_submit(crew, leader, "two of four", &index);
    crew_run(crew, 1000);
    assert_int_equal(consensus_commit_index(crew_node(crew, 4)->consensus), index - 1);
    crew_destroy(&crew);
}

/* A learner has no voice: it neither stands nor counts. */
static void test_a_learner_does_not_count(void **state)
{
    struct crew *crew = crew_new(3, 1);
    replica_index index;
    (void)state;

    const uint64_t leader = crew_elect(crew);
    crew_run(crew, 50);
    change_surely(crew, leader, ADD, 4);
    const uint64_t one = leader % 3 + 1;
    crew_crash(crew, one);
    crew_crash(crew, one % 3 + 1);
    crew_submit(crew, leader, "one of three", &index);
    crew_run(crew, 2000);
    assert_int_equal(consensus_commit_index(crew_node(crew, leader)->consensus), index - 1);
    assert_int_equal(crew_leader(crew), 0);
    assert_int_equal(consensus_role(crew_node(crew, 4)->consensus), CONSENSUS_FOLLOWER);
    crew_destroy(&crew);
}

/* Who is removed gets nothing any more, and disturbs nobody; the rest goes on, as small as it is. */
static void test_members_may_leave(void **state)
{
    struct crew *crew = crew_new(3, 0);
    replica_index index;
    (void)state;

    const uint64_t leader = crew_elect(crew);
    const uint64_t one = leader % 3 + 1;
    const uint64_t two = one % 3 + 1;
    crew_run(crew, 50);
    change_surely(crew, leader, REMOVE, one);
    const replica_term term = consensus_term(crew_node(crew, leader)->consensus);
    crew_run(crew, 2000);
    assert_int_equal(crew_leader(crew), leader);
    assert_int_equal(consensus_term(crew_node(crew, leader)->consensus), term);
    change_surely(crew, leader, REMOVE, two);
    crew_crash(crew, one);
    crew_crash(crew, two);
    assert_int_equal(crew_submit(crew, leader, "alone", &index), 0);
    crew_run(crew, 1);
    assert_int_equal(consensus_commit_index(crew_node(crew, leader)->consensus), index);
    assert_int_equal(change(crew, leader, REMOVE, leader, &index), ERR_INVALID);
    crew_destroy(&crew);
}

/* One change at a time, and none before the leader has committed an entry of its term (C4, C6). */
static void test_one_change_at_a_time(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    replica_index index;
    (void)state;

    const replica_term term = crew_make_leader(crew, 1);
    crew_run(crew, 1);
    assert_int_equal(change(crew, 1, ADD, 4, &index), ERR_BUSY);
    crew_acknowledge(crew, 2, 1, term, 2);
    crew_acknowledge(crew, 3, 1, term, 2);
    assert_int_equal(change(crew, 1, ADD, 4, &index), 0);
    assert_int_equal(index, 3);
    assert_int_equal(consensus_membership(node->consensus)->count, 4);
    assert_int_equal(change(crew, 1, ADD, 5, &index), ERR_BUSY);
    crew_run(crew, 1);
    crew_acknowledge(crew, 2, 1, term, 3);
    assert_int_equal(consensus_commit_index(node->consensus), 3);
    /* The third does not know of the fourth yet. */
    assert_int_equal(change(crew, 1, ADD, 5, &index), ERR_UNAVAILABLE);
    crew_acknowledge(crew, 3, 1, term, 3);
    assert_int_equal(change(crew, 1, ADD, 5, &index), 0);
    crew_destroy(&crew);
}

/* What makes no sense is refused, and at a follower everything is. */
static void test_changes_that_make_no_sense(void **state)
{
    struct crew *crew = crew_new(3, 1);
    replica_index index;
    (void)state;

    const uint64_t leader = crew_elect(crew);
    struct consensus *consensus = crew_node(crew, leader)->consensus;
    crew_run(crew, 50);
    assert_int_equal(change(crew, leader % 3 + 1, ADD, 4, &index), ERR_NOT_LEADER);
    assert_int_equal(change(crew, leader, ADD, 2, &index), ERR_INVALID);
    assert_int_equal(consensus_add(consensus, 0, "x", &index, crew->now_ms), ERR_INVALID);
    assert_int_equal(consensus_add(consensus, 4, "", &index, crew->now_ms), ERR_INVALID);
    assert_int_equal(consensus_add(consensus, 4, crew_address(1), &index, crew->now_ms),
                     ERR_INVALID);
    assert_int_equal(change(crew, leader, PROMOTE, 4, &index), ERR_INVALID);
    assert_int_equal(change(crew, leader, PROMOTE, 2, &index), ERR_INVALID);
    assert_int_equal(change(crew, leader, REMOVE, 4, &index), ERR_INVALID);
    assert_int_equal(change(crew, leader, REMOVE, leader, &index), ERR_INVALID);
    crew_destroy(&crew);
}

/* A voter that is down stands in the way of every change but its own removal: what the rest decides
 * it may not know when its vote is needed. */
static void test_who_is_down_may_be_removed_and_nothing_else(void **state)
{
    struct crew *crew = crew_new(3, 1);
    replica_index index;
    (void)state;

    const uint64_t first = crew_elect(crew);
    crew_run(crew, 50);
    crew_crash(crew, first);
    const uint64_t leader = crew_elect(crew);
    crew_run(crew, 50);
    assert_int_equal(change(crew, leader, ADD, 4, &index), ERR_UNAVAILABLE);
    assert_int_equal(change(crew, leader, REMOVE, 6 - leader - first, &index), ERR_UNAVAILABLE);
    change_surely(crew, leader, REMOVE, first);
    change_surely(crew, leader, ADD, 4);
    change_surely(crew, leader, PROMOTE, 4);
    assert_int_equal(membership_voters(consensus_membership(crew_node(crew, 4)->consensus)), 3);
    crew_destroy(&crew);
}

/* Where something is always under way no learner ever has all: one that keeps up is promoted, one
 * that hears nothing is not. */
static void test_a_learner_is_promoted_under_load(void **state)
{
    struct crew *crew = crew_new(3, 1);
    replica_index index;
    int code = ERR_UNAVAILABLE;
    (void)state;

    const uint64_t leader = crew_elect(crew);
    for (int i = 0; i < 1000; i++)
        crew_submit(crew, leader, "command", &index);
    crew_run(crew, 50);
    crew_node(crew, 4)->is_cut_off = true;
    change_surely(crew, leader, ADD, 4);
    for (int i = 0; i < 500; i++) {
        crew_submit(crew, leader, "command", &index);
        code = change(crew, leader, PROMOTE, 4, &index);
        assert_true(code == ERR_UNAVAILABLE || code == ERR_BUSY);
        crew_run(crew, 1);
    }
    crew_node(crew, 4)->is_cut_off = false;
    for (int i = 0; i < 12000 && code != 0; i++) {
        crew_submit(crew, leader, "command", &index);
        code = change(crew, leader, PROMOTE, 4, &index);
        crew_run(crew, i % 2);
    }
    assert_int_equal(code, 0);
    crew_converge(crew, index);
    crew_destroy(&crew);
}

/* That it had caught up once is not enough when nothing was heard of it since. */
static void test_a_learner_that_is_gone_again_is_not_promoted(void **state)
{
    struct crew *crew = crew_new(3, 1);
    replica_index index;
    (void)state;

    const uint64_t leader = crew_elect(crew);
    struct crew_node *node = crew_node(crew, leader);
    crew_run(crew, 50);
    change_surely(crew, leader, ADD, 4);
    crew_submit(crew, leader, "command", &index);
    assert_int_equal(change(crew, leader, PROMOTE, 4, &index), ERR_UNAVAILABLE);
    crew_run(crew, 50); /* now it has caught up */
    crew_node(crew, 4)->is_cut_off = true;
    crew_submit(crew, leader, "command", &index);
    crew_run(crew, 2 * CREW_ELECTION_MS);
    assert_int_equal(change(crew, leader, PROMOTE, 4, &index), ERR_UNAVAILABLE);
    assert_int_equal(membership_voters(consensus_membership(node->consensus)), 3);
    crew_destroy(&crew);
}

/* One that goes while it catches up holds up nobody else for long. */
static void test_a_learner_that_goes_while_it_catches_up_is_given_up(void **state)
{
    struct crew *crew = crew_new(3, 1);
    replica_index index;
    (void)state;

    const uint64_t leader = crew_elect(crew);
    crew_run(crew, 50);
    change_surely(crew, leader, ADD, 4);
    crew_run(crew, 50);
    crew_node(crew, 4)->is_cut_off = true;
    crew_submit(crew, leader, "command", &index);
    assert_int_equal(change(crew, leader, PROMOTE, 4, &index), ERR_UNAVAILABLE);
    assert_int_equal(change(crew, leader, REMOVE, 4, &index), ERR_BUSY);
    crew_run(crew, 12 * CREW_ELECTION_MS);
    assert_int_equal(change(crew, leader, REMOVE, 4, &index), 0);
    crew_destroy(&crew);
}

/* A membership that goes with the tail of its log is as if it had never been. */
static void test_a_change_that_is_not_committed_goes(void **state)
{
    struct crew *crew = crew_new(3, 1);
    replica_index index;
    (void)state;

    const uint64_t old = crew_elect(crew);
    crew_run(crew, 50);
    crew_node(crew, old)->is_cut_off = true;
    assert_int_equal(change(crew, old, ADD, 4, &index), 0);
    assert_non_null(member(crew, old, 4));
    crew_run(crew, 2 * CREW_ELECTION_MS);
    const uint64_t leader = crew_elect(crew);
    crew_submit(crew, leader, "command", &index);
    crew_node(crew, old)->is_cut_off = false;
    crew_run(crew, 1000);
    assert_null(member(crew, old, 4));
    assert_int_equal(consensus_commit_index(crew_node(crew, old)->consensus), index);
    crew_destroy(&crew);
}

/* A joiner that died when it had learnt a term, and nothing else yet, begins where one does that has
 * nothing: what it gets of the log then is there to fall back on. */
static void test_a_joiner_may_die_between_its_term_and_its_log(void **state)
{
    struct crew *crew = crew_new(3, 1);
    struct peer_message message = crew_heartbeat(1, 4, 2, 1, 1);
    (void)state;

    crew_leave_alone(crew, 4);
    crew_inject(crew, &message);
    crew_run(crew, 1);
    crew_crash(crew, 4);
    crew_start(crew, 4);
    message = crew_append(1, 4, 2, 0, 0, 1, 1);
    crew_make_membership(&message, 0, 3);
    message.append.commit_index = 1;
    crew_inject(crew, &message);
    crew_run(crew, 1);
    message = crew_append(1, 4, 2, 1, 1, 2, 1);
    crew_make_membership(&message, 0, 2);
    crew_inject(crew, &message);
    crew_run(crew, 1);
    assert_int_equal(consensus_membership(crew_node(crew, 4)->consensus)->count, 2);
    message = crew_append(2, 4, 3, 1, 1, 3, 1);
    crew_inject(crew, &message);
    crew_run(crew, 1);
    assert_int_equal(consensus_membership(crew_node(crew, 4)->consensus)->count, 3);
    crew_destroy(&crew);
}

/* The history says who belonged to the group at each committed index. */
static void test_the_history_of_memberships(void **state)
{
    struct crew *crew = crew_new(3, 1);
    struct membership membership;
    replica_index index;
    replica_index at;
    (void)state;

    const uint64_t leader = crew_elect(crew);
    const struct consensus *consensus = crew_node(crew, leader)->consensus;
    crew_run(crew, 50);
    assert_int_equal(change(crew, leader, ADD, 4, &index), 0);
    crew_run(crew, 50);
    consensus_membership_at(consensus, index - 1, &membership, &at);
    assert_int_equal(membership.count, 3);
    assert_int_equal(at, 1);
    consensus_membership_at(consensus, index, &membership, &at);
    assert_int_equal(membership.count, 4);
    assert_int_equal(at, index);
    crew_destroy(&crew);
}

/* ---- Hand-over ---------------------------------------------------------------------------------- */

static int transfer(struct crew *crew, uint64_t at, uint64_t id)
{
    int code = consensus_transfer(crew_node(crew, at)->consensus, id, crew->now_ms);

    crew_follow(crew, crew_node(crew, at));
    return code;
}

/* Leadership goes to who is named, within a round trip or two and not an election timeout. */
static void test_leadership_is_handed_over(void **state)
{
    struct crew *crew = crew_new(3, 0);
    replica_index index;
    (void)state;

    const uint64_t old = crew_elect(crew);
    const uint64_t next = old % 3 + 1;
    crew_run(crew, 50);
    assert_int_equal(transfer(crew, next, old), ERR_NOT_LEADER);
    assert_int_equal(transfer(crew, old, old), ERR_INVALID);
    assert_int_equal(transfer(crew, old, 9), ERR_INVALID);
    assert_int_equal(transfer(crew, old, next), 0);
    assert_int_equal(crew_submit(crew, old, "too late", &index), ERR_NOT_LEADER);
    assert_int_equal(transfer(crew, old, next), ERR_NOT_LEADER);
    crew_run(crew, 20);
    assert_int_equal(crew_leader(crew), next);
    crew_destroy(&crew);
}

/* Without a name it goes to who has most of the log. */
static void test_leadership_goes_to_who_is_furthest(void **state)
{
    struct crew *crew = crew_new(3, 0);
    replica_index index;
    (void)state;

    const uint64_t old = crew_elect(crew);
    const uint64_t slow = old % 3 + 1;
    crew_run(crew, 50);
    crew_node(crew, slow)->disk_is_stalled = true;
    for (int i = 0; i < 10; i++)
        assert_int_equal(crew_submit(crew, old, "command", &index), 0);
    crew_run(crew, 10);
    assert_int_equal(transfer(crew, old, 0), 0);
    crew_run(crew, 20);
    assert_int_equal(crew_leader(crew), 6 - old - slow);
    crew_destroy(&crew);
}

/* Who lacks a few entries gets them first; the core would give it up after the first of them. */
static void test_leadership_waits_for_the_rest_of_the_log(void **state)
{
    struct crew *crew = crew_new(3, 0);
    struct crew_seen seen;
    replica_index index;
    (void)state;

    for (uint64_t id = 1; id <= 3; id++)
        crew_crash(crew, id);
    crew->in_flight_max = 2;
    for (uint64_t id = 1; id <= 3; id++)
        crew_start(crew, id);
    const uint64_t old = crew_elect(crew);
    const uint64_t next = old % 3 + 1;
    crew_run(crew, 50);
    for (int i = 0; i < 20; i++)
        assert_int_equal(crew_submit(crew, old, "command", &index), 0);
    crew_watch(crew, &seen);
    assert_int_equal(transfer(crew, old, next), 0);
    crew_run(crew, 2);
    assert_int_equal(seen.count[PEER_TIMEOUT_NOW], 0);
    crew_run(crew, 80);
    assert_int_equal(crew_leader(crew), next);
    crew_destroy(&crew);
}

/* Nobody to hand it to; and who does not take it in an election timeout does not get it. */
static void test_a_hand_over_that_fails_is_given_up(void **state)
{
    struct crew *crew = crew_new(3, 0);
    replica_index index;
    (void)state;

    const uint64_t leader = crew_elect(crew);
    const uint64_t next = leader % 3 + 1;
    crew_run(crew, 50);
    crew_node(crew, next)->disk_is_stalled = true;
    assert_int_equal(crew_submit(crew, leader, "command", &index), 0);
    assert_int_equal(transfer(crew, leader, next), 0);
    crew_run(crew, CREW_ELECTION_MS / 2);
    assert_int_equal(crew_submit(crew, leader, "command", &index), ERR_NOT_LEADER);
    crew_run(crew, CREW_ELECTION_MS);
    assert_int_equal(crew_leader(crew), leader);
    assert_int_equal(crew_submit(crew, leader, "command", &index), 0);
    crew_crash(crew, next);
    crew_run(crew, 2 * CREW_ELECTION_MS);
    assert_int_equal(transfer(crew, leader, next), ERR_UNAVAILABLE);
    crew_destroy(&crew);

    crew = crew_new(1, 0);
    assert_int_equal(transfer(crew, 1, 0), ERR_UNAVAILABLE);
    crew_destroy(&crew);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_newcomer_learns_and_then_votes),
        cmocka_unit_test(test_a_learner_does_not_count),
        cmocka_unit_test(test_members_may_leave),
        cmocka_unit_test(test_one_change_at_a_time),
        cmocka_unit_test(test_changes_that_make_no_sense),
        cmocka_unit_test(test_who_is_down_may_be_removed_and_nothing_else),
        cmocka_unit_test(test_a_learner_is_promoted_under_load),
        cmocka_unit_test(test_a_learner_that_is_gone_again_is_not_promoted),
        cmocka_unit_test(test_a_learner_that_goes_while_it_catches_up_is_given_up),
        cmocka_unit_test(test_a_change_that_is_not_committed_goes),
        cmocka_unit_test(test_a_joiner_may_die_between_its_term_and_its_log),
        cmocka_unit_test(test_the_history_of_memberships),
        cmocka_unit_test(test_leadership_is_handed_over),
        cmocka_unit_test(test_leadership_goes_to_who_is_furthest),
        cmocka_unit_test(test_leadership_waits_for_the_rest_of_the_log),
        cmocka_unit_test(test_a_hand_over_that_fails_is_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
