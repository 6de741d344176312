/* Each guard by itself; test_consensus_guards.c shows that the driver asks it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "services/replica/raft_guard.h"

/* A membership within a message would be registered at the index of the message's first entry: it is
 * the first of its piece. */
static void test_a_membership_is_the_first_of_its_piece(void **state)
{
    const struct raft_entry entries[] = {{.type = RAFT_COMMAND}, {.type = RAFT_BARRIER},
                                         {.type = RAFT_CHANGE},  {.type = RAFT_CHANGE},
                                         {.type = RAFT_COMMAND}, {.type = RAFT_COMMAND}};
    (void)state;

    assert_int_equal(raft_guard_split(entries, 6), 2);
    assert_int_equal(raft_guard_split(entries + 2, 4), 1);
    assert_int_equal(raft_guard_split(entries + 3, 3), 3);
    assert_int_equal(raft_guard_split(entries + 5, 1), 1);
}

/* A message that begins at the log's beginning would be appended at its end when that is in a
 * snapshot: what the snapshot holds is skipped, and its last entry stands for it. */
static void test_what_a_snapshot_holds_is_skipped(void **state)
{
    raft_index prev_index = 0;
    raft_term prev_term = 0;
    (void)state;

    assert_int_equal(raft_guard_prefix(10, 3, &prev_index, &prev_term, 4), 4);
    assert_int_equal(prev_index, 10);
    assert_int_equal(prev_term, 3);
    prev_index = 7;
    prev_term = 2;
    assert_int_equal(raft_guard_prefix(10, 3, &prev_index, &prev_term, 5), 3);
    assert_int_equal(prev_index, 10);
    assert_int_equal(prev_term, 3);
    assert_int_equal(raft_guard_prefix(10, 3, &prev_index, &prev_term, 5), 0);
    prev_index = 0;
    assert_int_equal(raft_guard_prefix(0, 0, &prev_index, &prev_term, 5), 0);
    assert_int_equal(prev_index, 0);
}

/* The result of a vote would be counted in memory that is a candidate's only. */
static void test_votes_are_counted_by_candidates_alone(void **state)
{
    (void)state;
    assert_true(raft_guard_vote_result(RAFT_CANDIDATE));
    assert_false(raft_guard_vote_result(RAFT_FOLLOWER));
    assert_false(raft_guard_vote_result(RAFT_LEADER));
}

/* An old refusal, once more, of what by now is known to match would send the member's progress below
 * that. */
static void test_a_refusal_of_what_matches_is_old(void **state)
{
    (void)state;
    assert_true(raft_guard_stale_reject(4, 4, 7, 7));
    assert_true(raft_guard_stale_reject(4, 4, 6, 7));
    assert_false(raft_guard_stale_reject(4, 4, 8, 7));
    assert_false(raft_guard_stale_reject(5, 4, 6, 7)); /* tells of a new term */
    assert_false(raft_guard_stale_reject(4, 4, 0, 7)); /* refuses nothing */
}

/* Of two memberships that are not known to be committed the first would be lost: it is said to be
 * committed, when the second comes from a leader that has it. */
static void test_the_first_of_two_changes_is_committed(void **state)
{
    (void)state;
    assert_true(raft_guard_double_change(5, 3, 9, true));
    assert_false(raft_guard_double_change(5, 3, 9, false)); /* the leader may not have it */
    assert_false(raft_guard_double_change(0, 3, 9, true));  /* there is none */
    assert_false(raft_guard_double_change(5, 5, 9, true));  /* it is known anyway */
    assert_false(raft_guard_double_change(9, 3, 9, true));  /* it is the same, or is replaced */
}

/* A refusal before the vote would repeat the asker's term, who then never hears of a higher one. */
static void test_a_refusal_before_the_vote_tells_the_higher_term(void **state)
{
    (void)state;
    assert_int_equal(raft_guard_pre_vote_term(9, 4, false), 9);
    assert_int_equal(raft_guard_pre_vote_term(3, 4, false), 4);
    assert_int_equal(raft_guard_pre_vote_term(9, 4, true), 4);
}

/* A leader that knows all it has to be committed would append nothing, and never know its term's
 * entries to be. */
static void test_a_new_leader_appends_something(void **state)
{
    (void)state;
    assert_true(raft_guard_barrier(true, false));
    assert_false(raft_guard_barrier(true, true));
    assert_false(raft_guard_barrier(false, false));
}

/* A conflicting tail would be walked back entry by entry: it is left by terms, and what is committed
 * never. */
static void test_the_hint_goes_before_the_conflicting_term(void **state)
{
    (void)state;
    assert_int_equal(raft_guard_hint(99, 40, 10), 39);
    assert_int_equal(raft_guard_hint(99, 40, 60), 60);
    assert_int_equal(raft_guard_hint(99, 0, 10), 99); /* nothing conflicts: the log is short */
    assert_int_equal(raft_guard_hint(39, 40, 10), 39);
    assert_int_equal(raft_guard_hint(5, 3, 10), 5); /* never above what was said */
}

/* The core's commit index would fall with a shorter message. */
static void test_the_commit_index_never_falls(void **state)
{
    (void)state;
    assert_int_equal(raft_guard_commit(7, 6), 7);
    assert_int_equal(raft_guard_commit(7, 8), 8);
}

/* What was written would be reported durable though it is no longer in the log, or was already, or
 * the log is being replaced: the core takes it at its word. */
static void test_only_what_is_still_there_is_reported(void **state)
{
    (void)state;
    assert_true(raft_guard_persisted(7, 3, 3, 6, false));
    assert_false(raft_guard_persisted(7, 3, 4, 6, false));
    assert_false(raft_guard_persisted(7, 3, 0, 6, false));
    assert_false(raft_guard_persisted(7, 3, 3, 7, false));
    assert_false(raft_guard_persisted(7, 3, 3, 6, true));
}

/* The timeout of a member without a vote would stay in the past, and the loop would spin. */
static void test_the_timer_is_never_in_the_past(void **state)
{
    (void)state;
    assert_int_equal(raft_guard_timeout(50, 1000), 1001);
    assert_int_equal(raft_guard_timeout(1000, 1000), 1001);
    assert_int_equal(raft_guard_timeout(1500, 1000), 1500);
}

/* The only voter would lead a second time in a term that it, or another, has led in. */
static void test_the_only_voter_leads_in_a_new_term(void **state)
{
    (void)state;
    assert_true(raft_guard_sole_voter(true, 4, 3));
    assert_true(raft_guard_sole_voter(true, 4, 0));
    assert_false(raft_guard_sole_voter(true, 4, 4));
    assert_false(raft_guard_sole_voter(false, 4, 3));
}

/* A learner that was made a voter, and does not know it yet, would refuse its vote. */
static void test_a_learner_votes_when_it_is_asked(void **state)
{
    (void)state;
    assert_int_equal(raft_guard_voting_role(RAFT_STANDBY), RAFT_VOTER);
    assert_int_equal(raft_guard_voting_role(RAFT_VOTER), RAFT_VOTER);
    assert_int_equal(raft_guard_voting_role(RAFT_SPARE), RAFT_SPARE);
}

/* A learner would never forget a leader that is gone, and so refuse its vote. */
static void test_a_learner_forgets_a_leader_that_it_does_not_hear(void **state)
{
    (void)state;
    assert_true(raft_guard_disrupt(false, false, false));
    assert_false(raft_guard_disrupt(false, false, true));
    assert_false(raft_guard_disrupt(false, true, false));
    assert_true(raft_guard_disrupt(true, true, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_membership_is_the_first_of_its_piece),
        cmocka_unit_test(test_what_a_snapshot_holds_is_skipped),
        cmocka_unit_test(test_votes_are_counted_by_candidates_alone),
        cmocka_unit_test(test_a_refusal_of_what_matches_is_old),
        cmocka_unit_test(test_the_first_of_two_changes_is_committed),
        cmocka_unit_test(test_a_refusal_before_the_vote_tells_the_higher_term),
        cmocka_unit_test(test_a_new_leader_appends_something),
        cmocka_unit_test(test_the_hint_goes_before_the_conflicting_term),
        cmocka_unit_test(test_the_commit_index_never_falls),
        cmocka_unit_test(test_only_what_is_still_there_is_reported),
        cmocka_unit_test(test_the_timer_is_never_in_the_past),
        cmocka_unit_test(test_the_only_voter_leads_in_a_new_term),
        cmocka_unit_test(test_a_learner_votes_when_it_is_asked),
        cmocka_unit_test(test_a_learner_forgets_a_leader_that_it_does_not_hear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
