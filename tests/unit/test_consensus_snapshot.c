/* Snapshots, from the driver's side: taken, offered, fetched, installed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "tests/lib/crew_messages.h"

/* Three nodes of which one is down and lacks what the others have only in a snapshot, 300 commands;
 * and a fourth, down too, that belongs to no group yet. */
static struct crew *crew_with_one_behind(uint64_t *leader, uint64_t *behind, replica_index *index)
{
    struct crew *crew = crew_new(3, 1);

    *leader = crew_elect(crew);
    *behind = *leader % 3 + 1;
    crew_run(crew, 50);
    crew_crash(crew, *behind);
    crew_crash(crew, 4);
    for (int i = 0; i < 300; i++)
        crew_submit(crew, *leader, "command", index);
    crew_run(crew, 100);
    for (uint64_t id = 1; id <= 3; id++)
        if (id != *behind)
            crew_snapshot(crew, id, 10);
    return crew;
}

static struct peer_message offer(const struct crew_node *node, uint64_t from, replica_term term,
                                 replica_index index, replica_term index_term)
{
    struct peer_message message = {
        .kind = PEER_SNAPSHOT, .from = from, .to = node->id, .term = term};

    message.snapshot = alloc_zero(sizeof *message.snapshot);
    *message.snapshot = (struct snapshot_mark){.index = index,
                                               .term = index_term,
                                               .membership_index = 1,
                                               .membership = *consensus_membership(node->consensus),
                                               .bytes = 1};
    return message;
}

/* Who lacks more than the logs hold gets the snapshot and then the rest of the log, and can lead. */
static void test_who_is_behind_gets_the_snapshot(void **state)
{
    uint64_t leader;
    uint64_t behind;
    replica_index index;
    struct crew *crew = crew_with_one_behind(&leader, &behind, &index);
    (void)state;

    crew_submit(crew, leader, "after the snapshot", &index);
    crew_start(crew, behind);
    crew_converge(crew, index);
    assert_int_equal(crew_node(crew, behind)->fetches, 1);
    assert_int_equal(crew_node(crew, behind)->disk.first,
                     crew_node(crew, behind)->disk.snapshot.index + 1);
    assert_int_equal(consensus_transfer(crew_node(crew, leader)->consensus, behind, crew->now_ms),
                     0);
    crew_follow(crew, crew_node(crew, leader));
    crew_run(crew, 50);
    assert_int_equal(crew_leader(crew), behind);
    /* And from its disk it comes back. */
    crew_crash(crew, behind);
    crew_start(crew, behind);
    crew_submit(crew, crew_elect(crew), "once more", &index);
    crew_converge(crew, index);
    crew_destroy(&crew);
}

/* A newcomer with an empty disk gets the snapshot, too, and learns from it who belongs to the
 * group. */
static void test_a_newcomer_gets_the_snapshot(void **state)
{
    uint64_t leader;
    uint64_t behind;
    replica_index index;
    struct crew *crew = crew_with_one_behind(&leader, &behind, &index);
    (void)state;

    crew_start(crew, behind);
    crew_converge(crew, index);
    crew_start(crew, 4);
    struct crew_node *node = crew_node(crew, leader);
    assert_int_equal(consensus_add(node->consensus, 4, crew_address(4), &index, crew->now_ms), 0);
    crew_follow(crew, node);
    crew_converge(crew, index);
    assert_int_equal(crew_node(crew, 4)->fetches, 1);
    assert_int_equal(consensus_membership(crew_node(crew, 4)->consensus)->count, 4);
    crew_destroy(&crew);
}

/* While it fetches, however long, a member hears its leader, stands for nothing, and is asked for the
 * snapshot again in case the first fetch came to nothing. */
static void test_a_long_fetch_disturbs_nobody(void **state)
{
    uint64_t leader;
    uint64_t behind;
    replica_index index;
    struct crew *crew = crew_with_one_behind(&leader, &behind, &index);
    (void)state;

    crew_node(crew, behind)->ignores_fetches = true;
    crew_start(crew, behind);
    const replica_term term = consensus_term(crew_node(crew, leader)->consensus);
    crew_run(crew, 2000);
    assert_int_equal(crew_leader(crew), leader);
    assert_int_equal(consensus_term(crew_node(crew, behind)->consensus), term);
    assert_int_equal(consensus_role(crew_node(crew, behind)->consensus), CONSENSUS_FOLLOWER);
    assert_in_range(crew_node(crew, behind)->fetches, 5,
                    11); /* every 200 ms, and not for each offer */
    crew_node(crew, behind)->ignores_fetches = false;
    crew_converge(crew, index);
    crew_destroy(&crew);
}

/* What was fetched of a leader that is gone is installed all the same, in the name of the next. */
static void test_a_snapshot_outlives_its_leader(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    struct crew_seen seen;
    (void)state;

    crew_start(crew, 1);
    struct peer_message message = offer(node, 2, 5, 100, 4);
    const struct snapshot_mark mark = *message.snapshot;
    crew_inject(crew, &message);
    assert_int_equal(node->fetches, 1);
    message = crew_heartbeat(3, 1, 7, 1, 1);
    crew_inject(crew, &message);
    crew_watch(crew, &seen);
    consensus_snapshot_fetched(node->consensus, &mark, 2, 5, crew->now_ms);
    crew_follow(crew, node);
    crew_run(crew, 1);
    assert_int_equal(consensus_commit_index(node->consensus), 100);
    assert_int_equal(seen.last[PEER_APPEND_RESULT].to, 3);
    assert_int_equal(seen.last[PEER_APPEND_RESULT].term, 7);
    assert_int_equal(seen.last[PEER_APPEND_RESULT].append_result.last_index, 100);
    crew_destroy(&crew);
}

/* Without anybody who leads now it is not: it is offered again. */
static void test_a_snapshot_without_a_leader_waits(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    (void)state;

    crew_start(crew, 1);
    struct peer_message message = offer(node, 2, 5, 100, 4);
    const struct snapshot_mark mark = *message.snapshot;
    crew_inject(crew, &message);
    crew_ask_for_vote(crew, 3, 1, 7);
    consensus_snapshot_fetched(node->consensus, &mark, 2, 5, crew->now_ms);
    crew_follow(crew, node);
    crew_run(crew, 1);
    assert_int_equal(consensus_commit_index(node->consensus), 1);
    message = offer(node, 3, 7, 100, 4);
    crew_inject(crew, &message);
    assert_int_equal(node->fetches, 2);
    crew_destroy(&crew);
}

/* An offer of what is here already is answered, and fetched by nobody. */
static void test_what_is_here_is_not_fetched(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    struct crew_seen seen;
    (void)state;

    crew_start(crew, 1);
    struct peer_message message = crew_append(2, 1, 5, 1, 1, 5, 9);
    crew_inject(crew, &message);
    crew_run(crew, 1);
    crew_watch(crew, &seen);
    message = offer(node, 2, 5, 8, 5);
    crew_inject(crew, &message);
    assert_int_equal(node->fetches, 0);
    assert_int_equal(seen.last[PEER_APPEND_RESULT].append_result.last_index, 8);
    /* An old leader's is answered with the term. */
    message = offer(node, 3, 4, 80, 4);
    crew_inject(crew, &message);
    assert_int_equal(node->fetches, 0);
    assert_int_equal(seen.last[PEER_APPEND_RESULT].to, 3);
    assert_int_equal(seen.last[PEER_APPEND_RESULT].append_result.last_index, 0);
    crew_destroy(&crew);
}

/* While one is installed nothing is acknowledged, another offer is not taken (the core would keep
 * what it is given for ever), and entries are not. */
static void test_an_installation_is_alone(void **state)
{
    struct crew *crew = crew_of_none(3);
    struct crew_node *node = crew_node(crew, 1);
    struct crew_seen seen;
    (void)state;

    crew_start(crew, 1);
    struct peer_message message = offer(node, 2, 5, 100, 4);
    const struct snapshot_mark mark = *message.snapshot;
    crew_inject(crew, &message);
    node->disk_is_stalled = true;
    consensus_snapshot_fetched(node->consensus, &mark, 2, 5, crew->now_ms);
    crew_follow(crew, node);
    assert_true(node->installs);
    crew_watch(crew, &seen);
    message = offer(node, 2, 5, 200, 5);
    crew_inject(crew, &message);
    assert_int_equal(node->fetches, 1);
    struct snapshot_mark other = mark;
    other.index = 200;
    consensus_snapshot_fetched(node->consensus, &other, 2, 5, crew->now_ms);
    crew_follow(crew, node);
    message = crew_append(2, 1, 5, 100, 4, 5, 3);
    crew_inject(crew, &message);
    assert_int_equal(consensus_last_index(node->consensus), 100);
    assert_false(consensus_snapshot_taken(node->consensus, &other, 0, crew->now_ms));
    crew_run(crew, 1000); /* it stands for nothing */
    assert_int_equal(consensus_role(node->consensus), CONSENSUS_FOLLOWER);
    assert_int_equal(seen.count[PEER_VOTE], 0);
    node->disk_is_stalled = false;
    crew_run(crew, 1);
    assert_int_equal(consensus_durable_index(node->consensus), 100);
    message = crew_append(2, 1, 5, 100, 4, 5, 3);
    crew_inject(crew, &message);
    assert_int_equal(consensus_last_index(node->consensus), 103);
    crew_destroy(&crew);
}

/* A crash in the middle of an installation leaves the old log. */
static void test_an_installation_may_be_cut_short(void **state)
{
    uint64_t leader;
    uint64_t behind;
    replica_index index;
    struct crew *crew = crew_with_one_behind(&leader, &behind, &index);
    (void)state;

    crew_start(crew, behind);
    crew_node(crew, behind)->disk_is_stalled = true;
    for (int ms = 0; ms < 1000 && !crew_node(crew, behind)->installs; ms++)
        crew_run(crew, 1);
    assert_true(crew_node(crew, behind)->installs);
    crew_crash(crew, behind);
    crew_node(crew, behind)->disk_is_stalled = false;
    crew_start(crew, behind);
    crew_converge(crew, index);
    crew_destroy(&crew);
}

/* One that is not above the last is refused; one may keep more of the log than there is. */
static void test_snapshots_rise(void **state)
{
    struct crew *crew = crew_new(3, 0);
    replica_index index;
    (void)state;

    const uint64_t leader = crew_elect(crew);
    struct crew_node *node = crew_node(crew, leader);
    crew_submit(crew, leader, "command", &index);
    crew_run(crew, 50);
    crew_snapshot(crew, leader, 1000);
    assert_int_equal(consensus_term_of(node->consensus, 1), 1);
    assert_false(consensus_snapshot_taken(node->consensus, &node->disk.snapshot, 0, crew->now_ms));
    crew_submit(crew, leader, "command", &index);
    crew_run(crew, 50);
    crew_snapshot(crew, leader, 1);
    assert_int_equal(consensus_term_of(node->consensus, index - 1), 0);
    assert_int_equal(consensus_term_of(node->consensus, index), consensus_term(node->consensus));
    crew_destroy(&crew);
}

/* The history of memberships is cut with the log, down to the one that the snapshot needs. */
static void test_a_snapshot_keeps_its_membership(void **state)
{
    struct crew *crew = crew_new(3, 0);
    struct membership membership;
    replica_index index;
    replica_index second;
    replica_index at;
    (void)state;

    const uint64_t leader = crew_elect(crew);
    struct crew_node *node = crew_node(crew, leader);
    crew_run(crew, 50);
    assert_int_equal(consensus_add(node->consensus, 4, crew_address(4), &index, crew->now_ms), 0);
    crew_follow(crew, node);
    crew_run(crew, 50);
    assert_int_equal(consensus_add(node->consensus, 5, crew_address(5), &second, crew->now_ms), 0);
    crew_follow(crew, node);
    crew_snapshot(crew, leader, 0); /* before the second is committed */
    crew_run(crew, 50);
    consensus_membership_at(node->consensus, index, &membership, &at);
    assert_int_equal(at, index);
    assert_int_equal(membership.count, 4);
    consensus_membership_at(node->consensus, second, &membership, &at);
    assert_int_equal(at, second);
    assert_int_equal(membership.count, 5);
    crew_destroy(&crew);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_behind_gets_the_snapshot),
        cmocka_unit_test(test_a_newcomer_gets_the_snapshot),
        cmocka_unit_test(test_a_long_fetch_disturbs_nobody),
        cmocka_unit_test(test_a_snapshot_outlives_its_leader),
        cmocka_unit_test(test_a_snapshot_without_a_leader_waits),
        cmocka_unit_test(test_what_is_here_is_not_fetched),
        cmocka_unit_test(test_an_installation_is_alone),
        cmocka_unit_test(test_an_installation_may_be_cut_short),
        cmocka_unit_test(test_snapshots_rise),
        cmocka_unit_test(test_a_snapshot_keeps_its_membership),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
