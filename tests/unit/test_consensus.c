/* The driver around libraft's core: election, replication and commit in a group of drivers in one
 * thread (tests/lib/consensus_rig.h), which checks the driver's invariants after each event.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "broker/bus/err.h"
#include "tests/lib/consensus_rig.h"

/* A group of one elects itself at once, in a new term, and commits what is durable. */
static void test_a_group_of_one_elects_itself_and_commits(void **state)
{
    struct rig *rig = rig_open(1, 0);
    struct rig_node *node = rig_node(rig, 1);
    replica_index index;
    (void)state;

    assert_int_equal(consensus_role(node->consensus), CONSENSUS_LEADER);
    assert_int_equal(consensus_term(node->consensus), 2);
    assert_int_equal(consensus_commit_index(node->consensus), 1);
    rig_run(rig, 1);
    assert_int_equal(node->applied, 2);
    assert_int_equal(rig_submit(rig, 1, "a", &index), 0);
    assert_int_equal(index, 3);
    assert_int_equal(node->applied, 2);
    rig_run(rig, 1);
    assert_int_equal(node->applied, 3);
    rig_close(&rig);
}

/* Three elect one, which commits when a majority has its entry on the disk, and all apply it. */
static void test_three_elect_and_replicate(void **state)
{
    struct rig *rig = rig_open(3, 0);
    replica_index index;
    (void)state;

    const uint64_t leader = rig_elect(rig);
    for (int i = 0; i < 100; i++)
        assert_int_equal(rig_submit(rig, leader, "command", &index), 0);
    rig_converge(rig, index);
    assert_int_equal(rig_leader(rig), leader);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_group_of_one_elects_itself_and_commits),
        cmocka_unit_test(test_three_elect_and_replicate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
