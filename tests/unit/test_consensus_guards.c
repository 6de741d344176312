/* The driver asks each guard: what would go wrong in libraft's core without it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/lib/crew_messages.h"

/* A membership in the middle of a message counts at its own index; the core would register it at
 * that of the message's first entry, and never hear that it is committed. (The crew compares the
 * core's memberships with ours after each event.) */
static void test_a_membership_counts_at_its_own_index(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    (void)state;

    crew_start(crew, 1);
    struct peer_message message = crew_append(2, 1, 5, 1, 1, 5, 5);
    crew_make_membership(&message, 3, 4);
    message.append.commit_index = 3;
    crew_inject(crew, &message);
    assert_int_equal(consensus_last_index(node->consensus), 6);
    assert_int_equal(consensus_membership(node->consensus)->count, 4);
    crew_run(crew, 1);
    message = crew_heartbeat(2, 1, 5, 6, 5);
    message.append.commit_index = 6;
    crew_inject(crew, &message);
    assert_int_equal(consensus_commit_index(node->consensus), 6);
    /* A leader that does not have it takes it back to the one before, not further. */
    message = crew_append(3, 1, 6, 6, 5, 6, 1);
    crew_make_membership(&message, 0, 5);
    crew_inject(crew, &message);
    assert_int_equal(consensus_membership(node->consensus)->count, 5);
    message = crew_append(2, 1, 7, 6, 5, 7, 1);
    crew_inject(crew, &message);
    assert_int_equal(consensus_membership(node->consensus)->count, 4);
    crew_destroy(&crew);
}

/* A copy of the first message that comes when its entries are in a snapshot changes nothing; the
 * core would put them at the log's end. */
static void test_a_late_copy_of_the_first_message_changes_nothing(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    (void)state;

    crew_start(crew, 1);
    struct peer_message message = crew_append(2, 1, 5, 1, 1, 5, 9);
    message.append.commit_index = 10;
    crew_inject(crew, &message);
    crew_run(crew, 1);
    crew_snapshot(crew, 1, 0);
    message = crew_append(2, 1, 5, 0, 0, 1, 4);
    crew_make_membership(&message, 0, 3);
    crew_inject(crew, &message);
    assert_int_equal(consensus_last_index(node->consensus), 10);
    /* What goes beyond the snapshot is taken. */
    message = crew_append(2, 1, 5, 8, 5, 5, 4);
    crew_inject(crew, &message);
    assert_int_equal(consensus_last_index(node->consensus), 12);
    crew_destroy(&crew);
}

/* Votes that come to who is no candidate are not counted; the core would count them in memory that
 * is then used for something else. */
static void test_a_late_vote_is_not_counted(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    (void)state;

    crew_start(crew, 1);
    crew_vote_for(crew, 2, 1, 1);
    crew_vote_for(crew, 2, 1, 9);
    assert_int_equal(consensus_role(node->consensus), CONSENSUS_FOLLOWER);
    assert_int_equal(consensus_term(node->consensus), 1);
    crew_crash(crew, 1);
    const replica_term term = crew_make_leader(crew, 1);
    crew_vote_for(crew, 3, 1, term);
    crew_vote_for(crew, 3, 1, term + 1);
    assert_int_equal(consensus_role(node->consensus), CONSENSUS_LEADER);
    assert_int_equal(consensus_term(node->consensus), term);
    crew_destroy(&crew);
}

/* For an election timeout the second says nothing, and the third keeps the leader in its place. */
static void silence(struct crew *crew, replica_term term, replica_index last)
{
    for (int ms = 0; ms < CREW_ELECTION_MS; ms++) {
        crew_run(crew, 1);
        crew_acknowledge(crew, 3, 1, term, last);
    }
}

/* A refusal that comes twice, and the second time when what it refused matches, does not set the
 * member's progress back: the core would send from below what it has acknowledged. */
static void test_a_refusal_comes_twice(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    struct crew_seen seen;
    replica_index match;
    int64_t at_ms;
    (void)state;

    for (int i = 0; i < 20; i++)
        crew_put(crew, 1, 2, "command");
    const replica_term term = crew_make_leader(crew, 1);
    crew_run(crew, 1);
    crew_refuse(crew, 2, 1, term, 21, 5);
    crew_acknowledge(crew, 2, 1, term, 21);
    assert_true(consensus_progress(node->consensus, 2, &match, &at_ms));
    assert_int_equal(match, 21);
    silence(crew, term, 22); /* it is sent what follows 21 again */
    crew_watch(crew, &seen);
    crew_refuse(crew, 2, 1, term, 21, 5);
    assert_int_equal(seen.count[PEER_APPEND], 0);
    crew_destroy(&crew);
}

/* A member that was away, and whose tail is of a term that begins below what it has acknowledged,
 * names a place below that: it is taken for what matches. (Only the core's own assertions can tell: the
 * leader's log begins behind both, and what follows is the snapshot.) */
static void test_a_hint_may_go_too_far_back(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    struct crew_seen seen;
    (void)state;

    for (int i = 0; i < 20; i++)
        crew_put(crew, 1, 2, "command");
    const replica_term term = crew_make_leader(crew, 1);
    crew_run(crew, 1);
    crew_acknowledge(crew, 2, 1, term, 10);
    silence(crew, term, 22);
    assert_int_equal(node->applied, 22);
    crew_snapshot(crew, 1, 0);
    silence(crew, term, 22);
    crew_watch(crew, &seen);
    crew_refuse(crew, 2, 1, term, 22, 3);
    assert_int_equal(seen.count[PEER_SNAPSHOT], 1);
    crew_destroy(&crew);
}

/* Two memberships come before either is known to be committed, and the second is taken back: the
 * first is in force again; the core would fall back to the one before that. */
static void test_the_first_of_two_memberships_is_kept(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    (void)state;

    crew_start(crew, 1);
    struct peer_message message = crew_append(2, 1, 5, 1, 1, 5, 6);
    crew_make_membership(&message, 1, 4);
    crew_make_membership(&message, 4, 5);
    crew_inject(crew, &message);
    assert_int_equal(consensus_membership(node->consensus)->count, 5);
    assert_int_equal(consensus_commit_index(node->consensus), 1);
    message = crew_append(3, 1, 6, 5, 5, 6, 1);
    crew_inject(crew, &message);
    assert_int_equal(consensus_last_index(node->consensus), 6);
    assert_int_equal(consensus_membership(node->consensus)->count, 4);
    crew_destroy(&crew);
}

/* The same when the message that brings the second says that the first is committed. */
static void test_the_first_of_two_memberships_is_committed_on_the_way(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    (void)state;

    crew_start(crew, 1);
    struct peer_message message = crew_append(2, 1, 5, 1, 1, 5, 2);
    crew_make_membership(&message, 1, 4);
    crew_inject(crew, &message);
    message = crew_append(2, 1, 5, 3, 5, 5, 3);
    crew_make_membership(&message, 2, 5);
    message.append.commit_index = 4;
    crew_inject(crew, &message);
    assert_int_equal(consensus_membership(node->consensus)->count, 5);
    message = crew_append(3, 1, 6, 5, 5, 6, 1);
    crew_inject(crew, &message);
    assert_int_equal(consensus_membership(node->consensus)->count, 4);
    crew_destroy(&crew);
}

/* Who refuses a vote before the vote tells its own term when it is the higher one; the core would
 * repeat the asker's, who then asks in vain for ever. */
static void test_a_refusal_tells_the_higher_term(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_seen seen;
    (void)state;

    crew_put(crew, 1, 9, "command");
    crew_start(crew, 1);
    crew_watch(crew, &seen);
    struct peer_message message = {.kind = PEER_VOTE, .from = 2, .to = 1, .term = 3};
    message.vote.last_index = 1;
    message.vote.last_term = 1;
    message.vote.pre_vote = true;
    crew_inject(crew, &message);
    assert_int_equal(seen.count[PEER_VOTE_RESULT], 1);
    assert_false(seen.last[PEER_VOTE_RESULT].vote_result.granted);
    assert_int_equal(seen.last[PEER_VOTE_RESULT].term, 9);
    assert_int_equal(consensus_term(crew_node(crew, 1)->consensus), 9);
    crew_destroy(&crew);
}

/* A candidate learns that term, and stands in a higher one. */
static void test_a_candidate_learns_the_higher_term(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    (void)state;

    crew_start(crew, 1);
    while (consensus_role(node->consensus) != CONSENSUS_CANDIDATE)
        crew_run(crew, 1);
    struct peer_message message = {.kind = PEER_VOTE_RESULT, .from = 2, .to = 1, .term = 9};
    message.vote_result.pre_vote = true;
    crew_inject(crew, &message);
    assert_int_equal(consensus_term(node->consensus), 9);
    crew_destroy(&crew);
}

/* An elected leader appends an entry of its term although it knows all it has to be committed, and
 * until that is committed it changes no membership; the core would do without. */
static void test_a_leader_that_knows_all_appends_all_the_same(void **state)
{
    struct crew *crew = crew_new(3, 0);
    (void)state;

    const uint64_t first = crew_elect(crew);
    crew_run(crew, 100);
    const replica_index last = consensus_last_index(crew_node(crew, first)->consensus);
    for (uint64_t id = 1; id <= 3; id++)
        assert_int_equal(consensus_commit_index(crew_node(crew, id)->consensus), last);
    crew_crash(crew, first);
    const uint64_t second = crew_elect(crew);
    assert_int_equal(crew_node(crew, second)->role.role.barrier, last + 1);
    assert_int_equal(consensus_commit_index(crew_node(crew, second)->consensus), last + 1);
    crew_destroy(&crew);
}

/* A tail of some thousand entries of a wrong term goes with a refusal or two; the core would walk it
 * back one entry for each round trip. */
static void test_a_long_wrong_tail_goes_at_once(void **state)
{
    struct crew *crew = crew_of_none(3);
    replica_index index;
    (void)state;

    for (int i = 0; i < 3000; i++)
        crew_put(crew, 1, 2, "wrong");
    for (int i = 0; i < 2500; i++) {
        crew_put(crew, 2, 3, "right");
        crew_put(crew, 3, 3, "right");
    }
    crew_start(crew, 2);
    crew_start(crew, 3);
    const uint64_t leader = crew_elect(crew);
    crew_submit(crew, leader, "command", &index);
    crew_converge(crew, index);
    const int64_t start_ms = crew->now_ms;
    crew_start(crew, 1);
    crew_converge(crew, index);
    assert_true(crew->now_ms - start_ms < 2 * CREW_ELECTION_MS);
    crew_destroy(&crew);
}

/* A short message of old that tells a higher commit index than its last entry does not lower ours;
 * the core's falls to that entry. */
static void test_a_short_message_lowers_no_commit_index(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    (void)state;

    crew_start(crew, 1);
    struct peer_message message = crew_append(2, 1, 5, 1, 1, 5, 9);
    message.append.commit_index = 8;
    crew_inject(crew, &message);
    assert_int_equal(consensus_commit_index(node->consensus), 8);
    message = crew_heartbeat(2, 1, 5, 3, 5);
    message.append.commit_index = 9;
    crew_inject(crew, &message);
    assert_int_equal(consensus_commit_index(node->consensus), 8);
    crew_destroy(&crew);
}

/* What is written for a log that a snapshot is about to replace is not reported; the core would take
 * an entry for durable that it no longer has. */
static void test_a_write_before_an_installation_is_not_reported(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    struct snapshot_mark mark = {.index = 100, .term = 4, .membership_index = 1, .bytes = 1};
    (void)state;

    crew_start(crew, 1);
    node->disk_is_stalled = true;
    struct peer_message message = crew_append(2, 1, 5, 1, 1, 5, 9);
    crew_inject(crew, &message);
    mark.membership = *consensus_membership(node->consensus);
    consensus_snapshot_fetched(node->consensus, &mark, 2, 5, crew->now_ms);
    crew_follow(crew, node);
    assert_true(node->installs);
    assert_int_equal(consensus_last_index(node->consensus), 100);
    node->disk_is_stalled = false;
    crew_run(crew, 1);
    assert_int_equal(consensus_durable_index(node->consensus), 100);
    assert_int_equal(consensus_commit_index(node->consensus), 100);
    crew_destroy(&crew);
}

/* The only voter comes back in a new term, so that what it had sent to a learner, and lost, is not
 * taken for what it writes at that index now; the core would lead on in the same term. */
static void test_the_only_voter_comes_back_in_a_new_term(void **state)
{
    struct crew *crew = crew_new(1, 1);
    struct crew_node *voter = crew_node(crew, 1);
    replica_index index;
    (void)state;

    crew_run(crew, 1);
    assert_int_equal(consensus_add(voter->consensus, 2, crew_address(2), &index, crew->now_ms), 0);
    crew_follow(crew, voter);
    crew_converge(crew, index);
    const replica_term term = consensus_term(voter->consensus);
    voter->disk_is_stalled = true;
    assert_int_equal(crew_submit(crew, 1, "lost with the disk's cache", &index), 0);
    crew_run(crew, 10);
    assert_int_equal(consensus_durable_index(crew_node(crew, 2)->consensus), index);
    crew_crash(crew, 1);
    voter->disk_is_stalled = false;
    crew_start(crew, 1);
    assert_int_equal(consensus_term(voter->consensus), term + 1);
    crew_run(crew, 1);
    assert_int_equal(crew_submit(crew, 1, "written now", &index), 0);
    crew_converge(crew, index);
    crew_destroy(&crew);
}

/* A follower that is left as the only voter leads in a term of its own, and not in that of the
 * leader which left. */
static void test_the_last_voter_leads_in_a_term_of_its_own(void **state)
{
    struct crew *crew = crew_of_none(2);
    struct crew_node *node = crew_node(crew, 1);
    (void)state;

    crew_start(crew, 1);
    struct peer_message message = crew_append(2, 1, 5, 1, 1, 5, 1);
    crew_make_membership(&message, 0, 1);
    crew_inject(crew, &message);
    /* Not even when it is told to stand. */
    message = (struct peer_message){.kind = PEER_TIMEOUT_NOW, .from = 2, .to = 1, .term = 5};
    message.timeout_now.last_index = 2;
    message.timeout_now.last_term = 5;
    crew_run(crew, 1);
    crew_inject(crew, &message);
    assert_int_equal(consensus_role(node->consensus), CONSENSUS_FOLLOWER);
    crew_run(crew, 5 * CREW_ELECTION_MS);
    assert_int_equal(consensus_role(node->consensus), CONSENSUS_LEADER);
    assert_int_equal(consensus_term(node->consensus), 6);
    assert_int_equal(node->applied, 3);
    crew_destroy(&crew);
}

/* An event that comes when the timeout has passed leaves a time to come, and so a loop that sleeps;
 * the core would leave its own. */
static void test_a_late_tick_leaves_no_time_in_the_past(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    (void)state;

    crew_start(crew, 1);
    crew->now_ms += 10 * CREW_ELECTION_MS;
    crew_vote_for(crew, 2, 1, 1);
    assert_int_equal(consensus_deadline_ms(node->consensus), crew->now_ms + 1);
    crew_destroy(&crew);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_membership_counts_at_its_own_index),
        cmocka_unit_test(test_a_late_copy_of_the_first_message_changes_nothing),
        cmocka_unit_test(test_a_late_vote_is_not_counted),
        cmocka_unit_test(test_a_refusal_comes_twice),
        cmocka_unit_test(test_a_hint_may_go_too_far_back),
        cmocka_unit_test(test_a_late_tick_leaves_no_time_in_the_past),
        cmocka_unit_test(test_the_first_of_two_memberships_is_kept),
        cmocka_unit_test(test_the_first_of_two_memberships_is_committed_on_the_way),
        cmocka_unit_test(test_a_refusal_tells_the_higher_term),
        cmocka_unit_test(test_a_candidate_learns_the_higher_term),
        cmocka_unit_test(test_a_leader_that_knows_all_appends_all_the_same),
        cmocka_unit_test(test_a_long_wrong_tail_goes_at_once),
        cmocka_unit_test(test_a_short_message_lowers_no_commit_index),
        cmocka_unit_test(test_a_write_before_an_installation_is_not_reported),
        cmocka_unit_test(test_the_only_voter_comes_back_in_a_new_term),
        cmocka_unit_test(test_the_last_voter_leads_in_a_term_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
