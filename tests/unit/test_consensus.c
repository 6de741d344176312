/* The driver around libraft's core: election, replication, commit, and what has to be durable when,
 * in a group of drivers in one thread (tests/lib/crew.h), which checks the driver's
 * invariants after each event.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "broker/bus/err.h"
#include "tests/lib/crew_messages.h"

/* ---- Election and replication ------------------------------------------------------------------- */

/* A group of one elects itself at once, in a new term, and commits what is durable. */
static void test_a_group_of_one_elects_itself_and_commits(void **state)
{
    struct crew *crew = crew_new(1, 0);
    struct crew_node *node = crew_node(crew, 1);
    replica_index index;
    (void)state;

    assert_int_equal(consensus_role(node->consensus), CONSENSUS_LEADER);
    assert_int_equal(consensus_term(node->consensus), 2);
    assert_int_equal(consensus_commit_index(node->consensus), 1);
    crew_run(crew, 1);
    assert_int_equal(node->applied, 2);
    assert_int_equal(crew_submit(crew, 1, "a", &index), 0);
    assert_int_equal(index, 3);
    assert_int_equal(node->applied, 2);
    crew_run(crew, 1);
    assert_int_equal(node->applied, 3);
    crew_destroy(&crew);
}

/* Three elect one, which commits when a majority has its entry on the disk, and all apply it. */
static void test_three_elect_and_replicate(void **state)
{
    struct crew *crew = crew_new(3, 0);
    replica_index index = 0;
    (void)state;

    const uint64_t leader = crew_elect(crew);
    for (int i = 0; i < 100; i++)
        assert_int_equal(crew_submit(crew, leader, "command", &index), 0);
    assert_int_equal(crew_submit(crew, leader % 3 + 1, "command", &index), ERR_NOT_LEADER);
    crew_converge(crew, index);
    assert_int_equal(crew_leader(crew), leader);
    for (uint64_t id = 1; id <= 3; id++)
        assert_int_equal(consensus_leader(crew_node(crew, id)->consensus), leader);
    crew_destroy(&crew);
}

/* Several entries of one submission are one append, one write and one message to each member. */
static void test_a_submission_is_one_append(void **state)
{
    struct crew *crew = crew_new(3, 0);
    struct log_entry entries[16];
    struct crew_seen seen;
    replica_index first;
    (void)state;

    struct crew_node *leader = crew_node(crew, crew_elect(crew));
    crew_run(crew, 50);
    for (size_t i = 0; i < 16; i++)
        entries[i] = (struct log_entry){.kind = LOG_ENTRY_COMMAND, .log_time_ms = crew->now_ms};
    crew_watch(crew, &seen);
    leader->disk_is_stalled = true;
    const replica_index last = consensus_last_index(leader->consensus);
    assert_int_equal(consensus_submit(leader->consensus, entries, 16, &first, crew->now_ms), 0);
    crew_follow(crew, leader);
    assert_int_equal(first, last + 1);
    assert_int_equal(seen.count[PEER_APPEND], 2);
    assert_int_equal(seen.appended, 32);
    assert_non_null(leader->writes);
    assert_int_equal(leader->writes->write.count, 16);
    assert_int_equal(leader->writes->write.term, 0);
    assert_null(leader->writes->next);
    crew_destroy(&crew);
}

/* With a third of all messages lost, leaders come and go and nothing that was committed does. */
static void test_messages_may_be_lost(void **state)
{
    struct crew *crew = crew_new(3, 0);
    replica_index index = 0;
    (void)state;

    crew->loss_percent = 30;
    for (int i = 0; i < 2000; i++) {
        const uint64_t leader = crew_leader(crew);
        if (leader != 0)
            crew_submit(crew, leader, i % 2 == 0 ? "even" : "odd", &index);
        crew_run(crew, 5);
    }
    crew->loss_percent = 0;
    assert_int_equal(crew_submit(crew, crew_elect(crew), "last", &index), 0);
    assert_true(index > 500);
    crew_converge(crew, index);
    crew_destroy(&crew);
}

/* A leader that is cut off commits nothing, leads no longer than an election timeout, and gives up
 * its tail for that of its successor. */
static void test_the_tail_of_a_cut_off_leader_goes(void **state)
{
    struct crew *crew = crew_new(3, 0);
    replica_index index = 0;
    (void)state;

    const uint64_t old = crew_elect(crew);
    crew_run(crew, 50);
    const replica_index committed = consensus_commit_index(crew_node(crew, old)->consensus);
    crew_node(crew, old)->is_cut_off = true;
    for (int i = 0; i < 50; i++)
        assert_int_equal(crew_submit(crew, old, "never", &index), 0);
    crew_run(crew, 2 * CREW_ELECTION_MS);
    assert_int_equal(consensus_role(crew_node(crew, old)->consensus), CONSENSUS_FOLLOWER);
    assert_int_equal(consensus_commit_index(crew_node(crew, old)->consensus), committed);
    const uint64_t leader = crew_elect(crew);
    assert_int_not_equal(leader, old);
    for (int i = 0; i < 10; i++)
        assert_int_equal(crew_submit(crew, leader, "for ever", &index), 0);
    crew_node(crew, old)->is_cut_off = false;
    crew_converge(crew, index);
    assert_int_equal(consensus_last_index(crew_node(crew, old)->consensus), index);
    crew_destroy(&crew);
}

/* Nothing that was committed is lost when all go down at once, and who comes back goes on. */
static void test_all_may_go_down(void **state)
{
    struct crew *crew = crew_new(3, 0);
    replica_index index = 0;
    (void)state;

    const uint64_t leader = crew_elect(crew);
    for (int i = 0; i < 20; i++)
        assert_int_equal(crew_submit(crew, leader, "command", &index), 0);
    crew_converge(crew, index);
    for (uint64_t id = 1; id <= 3; id++)
        crew_crash(crew, id);
    for (uint64_t id = 1; id <= 3; id++)
        crew_start(crew, id);
    crew_elect(crew);
    crew_converge(crew, index + 1); /* and the new leader's first */
    crew_destroy(&crew);
}

/* What a member lacks and the leader has not in memory is read from its disk. */
static void test_entries_come_from_the_disk(void **state)
{
    struct crew *crew = crew_new(3, 0);
    replica_index index = 0;
    (void)state;

    uint64_t leader = crew_elect(crew);
    const uint64_t behind = leader % 3 + 1;
    crew_crash(crew, behind);
    for (int i = 0; i < 200; i++)
        assert_int_equal(crew_submit(crew, leader, "command", &index), 0);
    crew_converge(crew, index);
    crew_crash(crew, leader);
    crew_crash(crew, leader % 3 == behind % 3 ? leader : 6 - leader - behind);
    for (uint64_t id = 1; id <= 3; id++) /* nobody remembers what he wrote */
        crew_start(crew, id);
    leader = crew_elect(crew);
    assert_int_not_equal(leader, behind);
    crew_converge(crew, index);
    assert_true(crew_node(crew, leader)->appends_on_disk > 0);
    crew_destroy(&crew);
}

/* A majority may hold an entry of an older term, and it is not committed: another may yet replace it
 * (Raft, figure 8). With the first entry of the leader's own term it is. */
static void test_an_old_term_is_not_committed_by_counting(void **state)
{
    struct crew *crew = crew_of_none(5);
    struct crew_node *node = crew_node(crew, 1);
    (void)state;

    crew_put(crew, 1, 2, "of term 2");
    const replica_term term = crew_make_leader(crew, 1);
    crew_run(crew, 1);
    assert_int_equal(consensus_durable_index(node->consensus), 3);
    crew_acknowledge(crew, 2, 1, term, 2);
    crew_acknowledge(crew, 3, 1, term, 2);
    crew_acknowledge(crew, 4, 1, term, 2);
    assert_int_equal(consensus_commit_index(node->consensus), 1);
    crew_acknowledge(crew, 2, 1, term, 3);
    assert_int_equal(consensus_commit_index(node->consensus), 1);
    crew_acknowledge(crew, 3, 1, term, 3);
    assert_int_equal(consensus_commit_index(node->consensus), 3);
    crew_destroy(&crew);
}

/* Nobody but the fifth gets a vote. */
static bool lose_other_votes(void *arg, const struct peer_message *message)
{
    (void)arg;
    return message->kind == PEER_VOTE && message->from != 5;
}

/* Figure 8 as it is drawn: the entry of term 2, which the first leader brought to a minority, is
 * replaced by one of term 3, although it was carried to a majority between. */
static void test_figure_8(void **state)
{
    struct crew *crew = crew_new(5, 0);
    struct crew_node *node = crew_node(crew, 3);
    (void)state;

    for (uint64_t id = 1; id <= 5; id++)
        crew_crash(crew, id);
    crew_put(crew, 1, 2, "2");
    crew_put(crew, 2, 2, "2");
    crew_put(crew, 5, 3, "3");
    /* (c): the first leads again, in term 4, and brings its entry to the third; then it is down. */
    crew_start(crew, 3);
    struct peer_message carried = crew_append(1, 3, 4, 1, 1, 2, 1);
    crew_inject(crew, &carried);
    crew_run(crew, 1);
    assert_int_equal(consensus_term_of(node->consensus, 2), 2);
    assert_int_equal(consensus_commit_index(node->consensus), 1);
    crew->lose = lose_other_votes;
    /* (d): the fifth is elected by all but the first, and the entry of term 2 goes. */
    crew_start(crew, 2);
    crew_start(crew, 4);
    crew_start(crew, 5);
    assert_int_equal(crew_elect(crew), 5);
    crew_start(crew, 1);
    crew_converge(crew, 3);
    for (uint64_t id = 1; id <= 5; id++)
        assert_int_equal(consensus_term_of(crew_node(crew, id)->consensus, 2), 3);
    crew_destroy(&crew);
}

/* ---- What is durable when ----------------------------------------------------------------------- */

/* Nobody hears of a candidate before its vote for itself is durable (C1). */
static void test_a_candidate_asks_when_its_vote_is_durable(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_seen seen;
    (void)state;

    crew_node(crew, 1)->disk_is_stalled = true;
    crew_watch(crew, &seen);
    crew_stand(crew, 1);
    assert_int_equal(seen.count[PEER_VOTE], 0);
    assert_int_equal(crew_node(crew, 1)->writes->write.term, 2);
    assert_int_equal(crew_node(crew, 1)->writes->write.vote, 1);
    crew_node(crew, 1)->disk_is_stalled = false;
    crew_run(crew, 1);
    assert_int_equal(seen.count[PEER_VOTE], 2);
    crew_destroy(&crew);
}

/* A vote that was lost with the process was never heard of, so another may have it (C1). */
static void test_a_vote_is_given_when_it_is_durable(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    struct crew_seen seen;
    (void)state;

    crew_start(crew, 1);
    node->disk_is_stalled = true;
    crew_watch(crew, &seen);
    crew_ask_for_vote(crew, 2, 1, 7);
    crew_run(crew, 10);
    assert_int_equal(node->writes->write.vote, 2);
    assert_int_equal(seen.count[PEER_VOTE_RESULT], 0);
    crew_crash(crew, 1);
    crew_start(crew, 1);
    assert_int_equal(consensus_term(node->consensus), 1);
    crew_ask_for_vote(crew, 3, 1, 7);
    node->disk_is_stalled = false;
    crew_run(crew, 1);
    assert_int_equal(seen.count[PEER_VOTE_RESULT], 1);
    assert_int_equal(seen.last[PEER_VOTE_RESULT].to, 3);
    assert_true(seen.last[PEER_VOTE_RESULT].vote_result.granted);
    crew_ask_for_vote(crew, 2, 1, 7);
    assert_false(seen.last[PEER_VOTE_RESULT].vote_result.granted);
    crew_destroy(&crew);
}

/* All that is said after a new term waits for it, as much as there is room for. */
static void test_messages_wait_for_the_term_that_they_speak_of(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_seen seen;
    (void)state;

    crew_start(crew, 1);
    crew_node(crew, 1)->disk_is_stalled = true;
    crew_watch(crew, &seen);
    for (int i = 0; i < CONSENSUS_HELD_MAX + 10; i++) {
        struct peer_message message = crew_heartbeat(2, 1, 5, 1, 1);
        crew_inject(crew, &message);
    }
    assert_int_equal(seen.count[PEER_APPEND_RESULT], 0);
    crew_node(crew, 1)->disk_is_stalled = false;
    crew_run(crew, 1);
    assert_int_equal(seen.count[PEER_APPEND_RESULT], CONSENSUS_HELD_MAX);
    assert_int_equal(seen.last[PEER_APPEND_RESULT].term, 5);
    struct peer_message message = crew_heartbeat(2, 1, 5, 1, 1);
    crew_inject(crew, &message);
    assert_int_equal(seen.count[PEER_APPEND_RESULT], CONSENSUS_HELD_MAX + 1);
    crew_destroy(&crew);
}

/* A follower acknowledges what is on its disk and nothing else; term and entries are one write. */
static void test_what_is_not_durable_is_not_acknowledged(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    struct crew_seen seen;
    (void)state;

    crew_start(crew, 1);
    node->disk_is_stalled = true;
    crew_watch(crew, &seen);
    struct peer_message message = crew_append(2, 1, 5, 1, 1, 5, 3);
    crew_inject(crew, &message);
    assert_int_equal(node->writes->write.term, 5);
    assert_int_equal(node->writes->write.count, 3);
    assert_int_equal(consensus_last_index(node->consensus), 4);
    assert_int_equal(consensus_durable_index(node->consensus), 1);
    assert_int_equal(seen.count[PEER_APPEND_RESULT], 0);
    node->disk_is_stalled = false;
    crew_run(crew, 1);
    assert_int_equal(seen.count[PEER_APPEND_RESULT], 1);
    assert_int_equal(seen.last[PEER_APPEND_RESULT].append_result.last_index, 4);
    node->disk_is_stalled = true;
    message = crew_append(2, 1, 5, 4, 5, 5, 2);
    crew_inject(crew, &message);
    message = crew_append(2, 1, 5, 4, 5, 5, 2); /* once more: it has them, but not for good */
    crew_inject(crew, &message);
    assert_int_equal(seen.last[PEER_APPEND_RESULT].append_result.last_index, 4);
    crew_destroy(&crew);
}

/* Entries that were cut off and came again are durable with the write that brought them back, not
 * with the first: between the two the disk loses them (C2). */
static void test_entries_that_came_again_are_not_durable_by_their_first_write(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    (void)state;

    crew_start(crew, 1);
    node->disk_is_stalled = true;
    struct peer_message message = crew_append(2, 1, 2, 1, 1, 2, 6); /* 2 to 7 of term 2 */
    crew_inject(crew, &message);
    message = crew_append(3, 1, 3, 3, 2, 3, 2); /* 4 and 5 of term 3 */
    crew_inject(crew, &message);
    message = crew_append(2, 1, 4, 3, 2, 2, 4); /* 4 to 7 of term 2 again */
    crew_inject(crew, &message);
    assert_int_equal(consensus_term_of(node->consensus, 7), 2);
    /* One write after the other, as a disk would. */
    const replica_index durable[] = {3, 3, 7};
    for (size_t i = 0; i < 3; i++) {
        struct crew_write *rest = node->writes->next;
        node->writes->next = NULL;
        node->disk_is_stalled = false;
        struct crew_write *one = node->writes;
        node->writes = one;
        crew_run(crew, 1);
        node->disk_is_stalled = true;
        node->writes = rest;
        assert_int_equal(consensus_durable_index(node->consensus), durable[i]);
    }
    crew_destroy(&crew);
}

/* The only voter, with a learner that lacks some entries, which it is sent from the disk, once the
 * voter's new term is durable. */
static struct crew *crew_with_a_message_from_the_disk(replica_term *term)
{
    struct crew *crew = crew_new(1, 1);
    struct crew_node *node = crew_node(crew, 1);
    replica_index index;

    crew_run(crew, 1);
    assert_int_equal(consensus_add(node->consensus, 2, crew_address(2), &index, crew->now_ms), 0);
    crew_follow(crew, node);
    crew_converge(crew, index);
    crew_crash(crew, 2);
    for (int i = 0; i < 3; i++)
        crew_submit(crew, 1, "command", &index);
    crew_run(crew, 1);
    crew_crash(crew, 1);
    node->disk_is_stalled = true;
    crew_start(crew, 1);
    *term = consensus_term(node->consensus);
    node->appends_on_disk = 0;
    crew_refuse(crew, 2, 1, *term, index, 3);
    return crew;
}

/* Entries that a message is to take from the disk are the message's only while this node leads: one
 * that waits, and no longer leads when it may go, stays. */
static void test_a_message_whose_entries_may_be_others_stays(void **state)
{
    replica_term term;
    struct crew *crew = crew_with_a_message_from_the_disk(&term);
    (void)state;

    crew_node(crew, 1)->disk_is_stalled = false;
    crew_run(crew, 1);
    assert_int_equal(crew_node(crew, 1)->appends_on_disk, 1);
    crew_destroy(&crew);

    crew = crew_with_a_message_from_the_disk(&term);
    struct peer_message message = crew_heartbeat(2, 1, term + 1, 1, 1);
    crew_inject(crew, &message);
    assert_int_equal(consensus_role(crew_node(crew, 1)->consensus), CONSENSUS_FOLLOWER);
    crew_node(crew, 1)->disk_is_stalled = false;
    crew_run(crew, 1);
    assert_int_equal(crew_node(crew, 1)->appends_on_disk, 0);
    crew_destroy(&crew);
}

/* Nor does it go when a snapshot was taken while it waited, and they are behind that: the log that is
 * to be read has them no more. The member is offered the snapshot. */
static void test_a_message_whose_entries_were_cut_off_stays(void **state)
{
    replica_term term;
    struct crew *crew = crew_with_a_message_from_the_disk(&term);
    struct crew_node *node = crew_node(crew, 1);
    (void)state;

    assert_true(node->applied >= 5);
    crew_snapshot(crew, 1, 1);
    node->disk_is_stalled = false;
    crew_run(crew, 1);
    assert_int_equal(node->appends_on_disk, 0);
    crew_destroy(&crew);
}

/* ---- Terms -------------------------------------------------------------------------------------- */

/* Who leads no more is told the term and nothing else: nothing that could be taken for an answer to
 * what it says when it leads again. */
static void test_a_message_of_an_old_term_is_answered_with_the_term(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_seen seen;
    (void)state;

    crew_start(crew, 1);
    struct peer_message message = crew_append(2, 1, 6, 1, 1, 6, 2);
    crew_inject(crew, &message);
    crew_run(crew, 1);
    crew_watch(crew, &seen);
    message = crew_append(3, 1, 5, 1, 1, 5, 4);
    crew_inject(crew, &message);
    assert_int_equal(consensus_last_index(crew_node(crew, 1)->consensus), 3);
    assert_int_equal(consensus_leader(crew_node(crew, 1)->consensus), 2);
    assert_int_equal(seen.last[PEER_APPEND_RESULT].to, 3);
    assert_int_equal(seen.last[PEER_APPEND_RESULT].term, 6);
    assert_int_equal(seen.last[PEER_APPEND_RESULT].append_result.rejected, 0);
    assert_int_equal(seen.last[PEER_APPEND_RESULT].append_result.last_index, 0);
    crew_destroy(&crew);
}

/* The leader of a term is not told as that of the next. */
static void test_no_leader_is_known_in_a_new_term(void **state)
{
    struct crew *crew = crew_of_none(3);
    (void)state;

    crew_start(crew, 1);
    struct peer_message message = crew_heartbeat(2, 1, 5, 1, 1);
    crew_inject(crew, &message);
    assert_int_equal(consensus_leader(crew_node(crew, 1)->consensus), 2);
    message = (struct peer_message){.kind = PEER_VOTE, .from = 3, .to = 1, .term = 6};
    message.vote.disrupt = true;
    crew_inject(crew, &message);
    assert_int_equal(consensus_term(crew_node(crew, 1)->consensus), 6);
    assert_int_equal(consensus_leader(crew_node(crew, 1)->consensus), 0);
    assert_int_equal(crew_node(crew, 1)->role.role.leader, 0);
    crew_destroy(&crew);
}

/* Whoever says that he leads in the term that this node leads in is not believed. */
static void test_a_term_has_one_leader(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    (void)state;

    const replica_term term = crew_make_leader(crew, 1);
    struct peer_message message = crew_append(2, 1, term, 1, 1, term, 5);
    crew_inject(crew, &message);
    assert_int_equal(consensus_role(node->consensus), CONSENSUS_LEADER);
    assert_int_equal(consensus_last_index(node->consensus), 2);
    crew_destroy(&crew);
}

/* What makes no sense changes nothing. */
static void test_nonsense_is_dropped(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    (void)state;

    crew_start(crew, 1);
    struct peer_message messages[] = {
        crew_heartbeat(2, 1, 0, 1, 1),    crew_append(2, 1, 5, 0, 3, 5, 1),
        crew_append(2, 1, 5, 1, 0, 5, 1), crew_append(2, 1, 5, 1, 1, 6, 1),
        crew_append(2, 1, 5, 2, 4, 3, 1), crew_append(1, 1, 5, 1, 1, 5, 1),
        crew_append(0, 1, 5, 1, 1, 5, 1)};
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++)
        crew_inject(crew, &messages[i]);
    struct peer_message foreign = crew_append(2, 3, 5, 1, 1, 5, 1);
    consensus_receive(node->consensus, &foreign, crew->now_ms);
    crew_follow(crew, node);
    assert_int_equal(consensus_term(node->consensus), 1);
    assert_int_equal(consensus_last_index(node->consensus), 1);
    crew_destroy(&crew);
}

/* ---- Time --------------------------------------------------------------------------------------- */

/* Before its time a tick does nothing, and time does not go back. */
static void test_nothing_is_done_before_its_time(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_seen seen;
    (void)state;

    crew_start(crew, 1);
    crew_watch(crew, &seen);
    struct consensus *consensus = crew_node(crew, 1)->consensus;
    const int64_t due_ms = consensus_deadline_ms(consensus);
    assert_true(due_ms >= crew->now_ms + CREW_ELECTION_MS);
    for (int64_t now_ms = crew->now_ms; now_ms < due_ms; now_ms++) {
        consensus_tick(consensus, now_ms);
        crew_follow(crew, crew_node(crew, 1));
        assert_int_equal(consensus_role(consensus), CONSENSUS_FOLLOWER);
    }
    consensus_tick(consensus, 0);
    crew_follow(crew, crew_node(crew, 1));
    assert_int_equal(consensus_deadline_ms(consensus), due_ms);
    struct peer_message message = crew_heartbeat(2, 1, 1, 1, 1);
    consensus_receive(consensus, &message, 0);
    crew_follow(crew, crew_node(crew, 1));
    assert_true(consensus_deadline_ms(consensus) >= due_ms - 1 + CREW_ELECTION_MS);
    crew_run(crew, due_ms - 1 - crew->now_ms);
    assert_int_equal(consensus_role(consensus), CONSENSUS_FOLLOWER);
    consensus_tick(consensus, consensus_deadline_ms(consensus));
    crew_follow(crew, crew_node(crew, 1));
    assert_int_equal(consensus_role(consensus), CONSENSUS_CANDIDATE);
    crew_destroy(&crew);
}

/* A leader that is asked too early does not take who has not answered yet for silent, and goes on
 * sending each entry once. */
static void test_a_leader_that_is_asked_too_early_waits(void **state)
{
    struct crew *crew = crew_new(3, 0);
    struct crew_seen seen;
    replica_index index;
    (void)state;

    struct crew_node *leader = crew_node(crew, crew_elect(crew));
    crew_run(crew, 50);
    crew_watch(crew, &seen);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(crew_submit(crew, leader->id, "command", &index), 0);
        consensus_tick(leader->consensus, crew->now_ms);
        crew_follow(crew, leader);
    }
    assert_int_equal(seen.count[PEER_APPEND], 2 * 4);
    assert_int_equal(seen.appended, 2 * 4);
    crew_destroy(&crew);
}

/* ---- Bounds ------------------------------------------------------------------------------------- */

/* A leader that cannot commit refuses at the bound, and nothing of what is refused happens. */
static void test_what_is_not_committed_is_bounded(void **state)
{
    struct crew *crew = crew_new(3, 0);
    static struct log_entry entries[512];
    replica_index first;
    (void)state;

    struct crew_node *leader = crew_node(crew, crew_elect(crew));
    leader->is_cut_off = true;
    leader->disk_is_stalled = true;
    for (size_t i = 0; i < 512; i++)
        entries[i] = (struct log_entry){.kind = LOG_ENTRY_COMMAND, .log_time_ms = crew->now_ms};
    for (size_t i = 0; i < CONSENSUS_UNCOMMITTED_MAX / 512; i++) {
        assert_int_equal(consensus_submit(leader->consensus, entries, 512, &first, crew->now_ms),
                         0);
        crew_follow(crew, leader);
    }
    const replica_index last = consensus_last_index(leader->consensus);
    assert_int_equal(last - consensus_commit_index(leader->consensus), CONSENSUS_UNCOMMITTED_MAX);
    assert_int_equal(consensus_submit(leader->consensus, entries, 1, &first, crew->now_ms),
                     ERR_BUSY);
    assert_int_equal(consensus_last_index(leader->consensus), last);
    crew_destroy(&crew);
}

/* Appends are cut to messages that the link takes, each of which continues the one before. */
static void test_appends_are_cut_to_size(void **state)
{
    struct crew *crew = crew_new(3, 0);
    struct log_entry entries[6] = {{0}};
    struct crew_seen seen;
    replica_index first;
    (void)state;

    uint8_t *data = calloc(1, ENTRY_BYTES_MAX);
    struct crew_node *leader = crew_node(crew, crew_elect(crew));
    crew_run(crew, 50);
    for (size_t i = 0; i < 6; i++)
        entries[i] = (struct log_entry){.kind = LOG_ENTRY_COMMAND,
                                        .log_time_ms = crew->now_ms,
                                        .data = data,
                                        .size = i < 3 ? ENTRY_BYTES_MAX : ENTRY_BYTES_MAX / 3};
    crew_watch(crew, &seen);
    assert_int_equal(consensus_submit(leader->consensus, entries, 6, &first, crew->now_ms), 0);
    crew_follow(crew, leader);
    /* Each of the three large ones alone; then the three small ones. */
    assert_int_equal(seen.count[PEER_APPEND], 2 * 4);
    assert_int_equal(seen.appended, 2 * 6);
    crew_converge(crew, first + 5);
    free(data);
    crew_destroy(&crew);
}

/* No more entries are under way to a silent member than it is allowed. */
static void test_entries_in_flight_are_bounded(void **state)
{
    struct crew *crew = crew_new(3, 0);
    struct crew_seen seen;
    replica_index index;
    (void)state;

    for (uint64_t id = 1; id <= 3; id++)
        crew_crash(crew, id);
    crew->in_flight_max = 8;
    for (uint64_t id = 1; id <= 3; id++)
        crew_start(crew, id);
    const uint64_t leader = crew_elect(crew);
    crew_run(crew, 50);
    crew_watch(crew, &seen);
    for (int i = 0; i < 50; i++)
        assert_int_equal(crew_submit(crew, leader, "command", &index), 0);
    assert_int_equal(seen.appended, 2 * 8);
    crew_converge(crew, index);
    crew_destroy(&crew);
}

/* ---- Reads -------------------------------------------------------------------------------------- */

/* A read at a follower has to see what was committed when it came, and gets that index. */
static void test_a_read_at_a_follower_waits_for_what_was_committed(void **state)
{
    struct crew *crew = crew_new(3, 0);
    replica_index index = 0;
    (void)state;

    const uint64_t leader = crew_elect(crew);
    struct crew_node *follower = crew_node(crew, leader % 3 + 1);
    assert_int_equal(crew_submit(crew, leader, "command", &index), 0);
    crew_converge(crew, index);
    const uint64_t ticket = consensus_read(follower->consensus, crew->now_ms);
    crew_follow(crew, follower);
    assert_int_equal(ticket, 1);
    assert_int_equal(follower->read_ticket, 0);
    crew_run(crew, 20);
    assert_int_equal(follower->read_ticket, ticket);
    assert_true(follower->read_index >= index);
    crew_destroy(&crew);
}

/* A leader that was succeeded while it was cut off confirms no read (C5). */
static void test_a_cut_off_leader_confirms_no_read(void **state)
{
    struct crew *crew = crew_new(3, 0);
    (void)state;

    struct crew_node *leader = crew_node(crew, crew_elect(crew));
    crew_run(crew, 50);
    leader->is_cut_off = true;
    const uint64_t ticket = consensus_read(leader->consensus, crew->now_ms);
    crew_follow(crew, leader);
    crew_run(crew, 1000);
    assert_int_equal(leader->read_ticket, 0);
    leader->is_cut_off = false;
    crew_run(crew, 1000);
    assert_int_equal(leader->read_ticket, ticket);
    crew_destroy(&crew);
}

/* A new leader confirms no read before an entry of its term is committed (C4). */
static void test_no_read_before_the_first_entry_of_the_term(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    struct crew_seen seen;
    (void)state;

    const replica_term term = crew_make_leader(crew, 1);
    crew_watch(crew, &seen);
    const uint64_t ticket = consensus_read(node->consensus, crew->now_ms);
    crew_follow(crew, node);
    crew_run(crew, 1);
    assert_int_equal(seen.count[PEER_ROUND], 0);
    crew_acknowledge(crew, 2, 1, term, consensus_last_index(node->consensus));
    assert_int_equal(consensus_commit_index(node->consensus), node->role.role.barrier);
    assert_true(seen.count[PEER_ROUND] > 0);
    assert_int_equal(node->read_ticket, 0);
    struct peer_message result = {.kind = PEER_ROUND_RESULT, .from = 2, .to = 1, .term = term};
    result.round = seen.last[PEER_ROUND].round;
    crew_inject(crew, &result);
    assert_int_equal(node->read_ticket, ticket);
    assert_int_equal(node->read_index, node->role.role.barrier);
    crew_destroy(&crew);
}

/* ---- Start -------------------------------------------------------------------------------------- */

/* A log that does not fit together is refused. */
static void test_a_broken_log_is_refused(void **state)
{
    const struct consensus_options options = {.id = 1,
                                              .address = "a 1 1",
                                              .election_ms = 150,
                                              .heartbeat_ms = 15,
                                              .snapshot_retry_ms = 200,
                                              .in_flight_max = 10};
    struct crew *crew = crew_of_none(3);
    struct shared_entry *entry = crew_node(crew, 1)->disk.entries[1];
    const replica_term falling[] = {2, 1};
    const replica_term rising[] = {1, 2};
    const struct consensus_start broken[] = {
        {.term = 0, .vote = 1},
        {.term = 2,
         .first_index = 1,
         .count = 2,
         .terms = falling,
         .membership_count = 1,
         .memberships = &entry},
        {.term = 1,
         .first_index = 1,
         .count = 2,
         .terms = rising,
         .membership_count = 1,
         .memberships = &entry},
        {.term = 2, .first_index = 1, .count = 2, .terms = rising},
        {.term = 2,
         .first_index = 2,
         .count = 2,
         .terms = rising,
         .membership_count = 1,
         .memberships = &entry},
        {.term = 2, .membership_count = 1, .memberships = &entry},
    };
    (void)state;

    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        assert_null(consensus_new(&options, &broken[i], 0));
    const struct consensus_start whole = {.term = 2,
                                          .first_index = 1,
                                          .count = 2,
                                          .terms = rising,
                                          .membership_count = 1,
                                          .memberships = &entry};
    struct consensus *consensus = consensus_new(&options, &whole, 0);
    assert_non_null(consensus);
    consensus_destroy(&consensus);
    crew_destroy(&crew);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_group_of_one_elects_itself_and_commits),
        cmocka_unit_test(test_three_elect_and_replicate),
        cmocka_unit_test(test_a_submission_is_one_append),
        cmocka_unit_test(test_messages_may_be_lost),
        cmocka_unit_test(test_the_tail_of_a_cut_off_leader_goes),
        cmocka_unit_test(test_all_may_go_down),
        cmocka_unit_test(test_entries_come_from_the_disk),
        cmocka_unit_test(test_an_old_term_is_not_committed_by_counting),
        cmocka_unit_test(test_figure_8),
        cmocka_unit_test(test_a_candidate_asks_when_its_vote_is_durable),
        cmocka_unit_test(test_a_vote_is_given_when_it_is_durable),
        cmocka_unit_test(test_messages_wait_for_the_term_that_they_speak_of),
        cmocka_unit_test(test_what_is_not_durable_is_not_acknowledged),
        cmocka_unit_test(test_entries_that_came_again_are_not_durable_by_their_first_write),
        cmocka_unit_test(test_a_message_whose_entries_may_be_others_stays),
        cmocka_unit_test(test_a_message_whose_entries_were_cut_off_stays),
        cmocka_unit_test(test_a_message_of_an_old_term_is_answered_with_the_term),
        cmocka_unit_test(test_no_leader_is_known_in_a_new_term),
        cmocka_unit_test(test_a_term_has_one_leader),
        cmocka_unit_test(test_nonsense_is_dropped),
        cmocka_unit_test(test_nothing_is_done_before_its_time),
        cmocka_unit_test(test_a_leader_that_is_asked_too_early_waits),
        cmocka_unit_test(test_what_is_not_committed_is_bounded),
        cmocka_unit_test(test_appends_are_cut_to_size),
        cmocka_unit_test(test_entries_in_flight_are_bounded),
        cmocka_unit_test(test_a_read_at_a_follower_waits_for_what_was_committed),
        cmocka_unit_test(test_a_cut_off_leader_confirms_no_read),
        cmocka_unit_test(test_no_read_before_the_first_entry_of_the_term),
        cmocka_unit_test(test_a_broken_log_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
