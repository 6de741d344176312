/* The leader's side of leased caches, rule by rule (lease_table.h), each bound at its edge. Here:
 * writes, keys and leadership; test_lease_sessions.c has who is left out and who is granted a
 * lease. How what the table does reads as a text is said in tests/lib/leader.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/bus/alloc.h"
#include "broker/bus/limits.h"
#include "tests/lib/leader.h"

/* ---- B1: ready ----------------------------------------------------------------------------- */

/* Who does not lead grants nothing and proposes nothing. */
static void test_nothing_is_granted_or_proposed_before_it_leads(void **state)
{
    struct leader leader;
    (void)state;
    leader_open(&leader);
    leader_confirm(&leader);
    leader_sync(&leader, 1, 1);
    leader_renew(&leader, 1, 1, 0);
    leader_write(&leader, 7, "a");
    leader_expect(&leader, "no 1001:not-leader no 1002:not-leader no 7:not-leader ");
    leader_at(&leader, 100);
    assert_int_equal(lease_table_deadline_ms(leader.table), INT64_MAX);
    leader_lead(&leader, 1, NULL, 0);
    leader_write(&leader, 8, "a");
    leader_expect(&leader, "go 8 ");
    leader_close(&leader);
}

/* ---- B2: writes ---------------------------------------------------------------------------- */

/* A quiet key: told once, proposed when the last session has acknowledged. */
static void test_a_write_is_proposed_when_all_have_let_go(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 2);
    leader_write(&leader, 7, "a b");
    leader_expect(&leader, "inv 1:a,b ");
    leader_renew(&leader, 1, 1, 1);
    leader_expect(&leader, "grant 1/1+1000 ");
    leader_renew(&leader, 2, 1, 0);
    leader_expect(&leader, "grant 2/1+1000 ");
    leader_renew(&leader, 2, 1, 1);
    leader_expect(&leader, "go 7 grant 2/1+1000 ");
    leader_close(&leader);
}

/* A hot key costs one approval: its next writes are proposed at once. */
static void test_a_pending_key_needs_no_approval(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader_write(&leader, 7, "a");
    leader_renew(&leader, 1, 1, 1);
    leader_expect(&leader, "inv 1:a go 7 grant 1/1+1000 ");
    leader_write(&leader, 8, "a");
    leader_written(&leader, 7, 101);
    leader_written(&leader, 8, 102);
    leader_write(&leader, 9, "a");
    leader_expect(&leader, "go 8 go 9 ");
    assert_int_equal(leader_counts(&leader).approvals, 1);
    assert_int_equal(leader_counts(&leader).spared, 2);
    leader_close(&leader);
}

/* Writes of a key that is being approved wait with it, and come in the order in which they came. */
static void test_writes_wait_with_a_key_that_is_approving(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader_write(&leader, 7, "a");
    leader_write(&leader, 8, "a");
    leader_write(&leader, 9, "b a");
    leader_expect(&leader, "inv 1:a inv 2:b ");
    assert_int_equal(leader_counts(&leader).waiting, 3);
    leader_renew(&leader, 1, 1, 1);
    leader_expect(&leader, "go 7 go 8 grant 1/1+1000 ");
    leader_renew(&leader, 1, 1, 2);
    leader_expect(&leader, "go 9 grant 1/1+1000 ");
    assert_int_equal(leader_counts(&leader).waiting, 0);
    leader_close(&leader);
}

/* Keys of which some are pending, some approving, some quiet: told is only what is quiet, waited
 * for is only what is not pending, and what is pending stays so meanwhile, however long. */
static void test_a_write_of_pending_and_approving_keys(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 2);
    leader_write(&leader, 7, "a");
    leader_renew(&leader, 1, 1, 1);
    leader_renew(&leader, 2, 1, 1);
    leader_written(&leader, 7, 101);
    leader_write(&leader, 8, "b");
    leader_expect(&leader, "inv 1:a grant 1/1+1000 go 7 grant 2/1+1000 inv 2:b ");
    leader_write(&leader, 9, "a b c");
    leader_expect(&leader, "inv 3:c ");
    leader.now = 10;
    leader_renew(&leader, 1, 1, 3);
    leader_renew(&leader, 2, 1, 2);
    leader_expect(&leader, "grant 1/1+990 go 8 grant 2/1+990 ");
    leader_at(&leader, LEASE_QUIET_MS + 5);
    leader_expect(&leader, "inv 3:c ");
    assert_int_equal(leader_counts(&leader).pending, 2);
    leader_renew(&leader, 2, 1, 3);
    leader_expect(&leader, "go 9 grant 2/1+945 ");
    leader_close(&leader);
}

/* The same key twice is once; a write without keys waits for nobody. */
static void test_keys_are_taken_once(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader_write(&leader, 7, "a b a a");
    leader_write(&leader, 8, "");
    leader_expect(&leader, "inv 1:a,b go 8 ");
    leader_renew(&leader, 1, 1, 1);
    leader_written(&leader, 7, 101);
    leader_written(&leader, 8, 102);
    leader_at(&leader, LEASE_QUIET_MS);
    leader_expect(&leader, "go 7 grant 1/1+1000 rel 2:a,b@102 ");
    leader_close(&leader);
}

/* A store without caches pays nothing: no message, no waiting; neither does one whose caches
 * lapsed. */
static void test_without_holders_a_write_is_proposed_at_once(void **state)
{
    struct leader leader;
    (void)state;
    leader_open(&leader);
    leader_lead(&leader, 1, NULL, 0);
    leader_write(&leader, 7, "a");
    leader_written(&leader, 7, 101);
    lease_table_opened(leader.table, 1, 0);
    leader_write(&leader, 8, "b");
    leader_written(&leader, 8, 102);
    leader_at(&leader, LEASE_QUIET_MS);
    leader_expect(&leader, "go 7 go 8 ");
    assert_int_equal(leader_counts(&leader).pending, 0);
    leader_close(&leader);
}

/* More than LEASE_WRITES_MAX don't wait. What would not have to is not refused. */
static void test_writes_that_wait_are_bounded(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader_write(&leader, 1, "hot");
    leader_renew(&leader, 1, 1, 1);
    leader_expect(&leader, "inv 1:hot go 1 grant 1/1+1000 ");
    for (uint64_t ticket = 1; ticket <= LEASE_WRITES_MAX; ticket++)
        leader_write(&leader, 10000 + ticket, "a");
    leader_expect(&leader, "inv 2:a ");
    leader_write(&leader, 7, "a");
    leader_write(&leader, 8, "b hot");
    leader_write(&leader, 9, "hot");
    leader_expect(&leader, "no 7:busy no 8:busy go 9 ");
    assert_int_equal(leader_counts(&leader).waiting, LEASE_WRITES_MAX);
    leader_close(&leader);
}

/* ---- Deadlines ----------------------------------------------------------------------------- */

/* Refused at its deadline, and not before; the key goes on to pending, and is released. */
static void test_a_deadline_passes_while_a_key_is_approving(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader_write_until(&leader, 7, "a", 15);
    leader_expect(&leader, "inv 1:a ");
    assert_int_equal(lease_table_deadline_ms(leader.table), 15);
    leader_at(&leader, 14);
    leader_expect(&leader, "");
    leader_at(&leader, 15);
    leader_expect(&leader, "no 7:unavailable ");
    assert_int_equal(leader_counts(&leader).approving, 1);
    leader_renew(&leader, 1, 1, 1);
    leader_expect(&leader, "grant 1/1+985 ");
    assert_int_equal(leader_counts(&leader).pending, 1);
    leader_at(&leader, 15 + LEASE_QUIET_MS - 1);
    leader_expect(&leader, "");
    leader_at(&leader, 15 + LEASE_QUIET_MS);
    leader_expect(&leader, "rel 2:a@100 ");
    leader_close(&leader);
}

/* One that comes late is refused at once; the acknowledgement that comes after the deadline, though
 * before the turn, does not have it proposed. */
static void test_nothing_is_proposed_after_its_deadline(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader_write_until(&leader, 7, "a", 0);
    leader_expect(&leader, "no 7:unavailable ");
    leader_write_until(&leader, 8, "a", 30);
    leader_write_until(&leader, 9, "a", 31);
    leader.now = 30;
    leader_renew(&leader, 1, 1, 1);
    leader_expect(&leader, "inv 1:a no 8:unavailable go 9 grant 1/1+970 ");
    leader_close(&leader);
}

/* ---- B6: release --------------------------------------------------------------------------- */

/* After a quiet time since its last write was applied, with the commit index, together with
 * others. */
static void test_a_key_is_released_when_it_was_quiet(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader_write(&leader, 7, "a b");
    leader_renew(&leader, 1, 1, 1);
    leader_expect(&leader, "inv 1:a,b go 7 grant 1/1+1000 ");
    leader_at(&leader, 500);
    leader_expect(&leader, "");
    lease_table_commit(leader.table, 104);
    leader_written(&leader, 7, 103);
    leader_at(&leader, 500 + LEASE_QUIET_MS - 1);
    leader_expect(&leader, "");
    assert_int_equal(leader_counts(&leader).pending, 2);
    assert_true(lease_table_deadline_ms(leader.table) <= 500 + LEASE_QUIET_MS);
    leader_at(&leader, 500 + LEASE_QUIET_MS);
    leader_expect(&leader, "rel 2:a,b@104 ");
    assert_int_equal(leader_counts(&leader).pending, 0);
    leader_write(&leader, 8, "a");
    leader_expect(&leader, "inv 3:a ");
    leader_close(&leader);
}

/* A write that comes meanwhile begins its quiet time anew, also one that was never appended. */
static void test_a_key_is_not_released_with_a_write_in_flight(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader_write(&leader, 7, "a");
    leader_write(&leader, 8, "a");
    leader_renew(&leader, 1, 1, 1);
    leader_expect(&leader, "inv 1:a go 7 go 8 grant 1/1+1000 ");
    leader_written(&leader, 7, 101);
    leader_at(&leader, 200);
    leader_expect(&leader, "");
    leader_written(&leader, 8, 0);
    leader_at(&leader, 200 + LEASE_QUIET_MS - 1);
    leader_write(&leader, 9, "a");
    leader_at(&leader, 300);
    leader_expect(&leader, "go 9 ");
    leader_written(&leader, 9, 102);
    leader_at(&leader, 300 + LEASE_QUIET_MS);
    leader_expect(&leader, "rel 2:a@102 ");
    leader_close(&leader);
}

/* ---- B7: again and again ------------------------------------------------------------------- */

/* What is not acknowledged is told again, the same under the same number. */
static void test_an_invalidation_is_repeated(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader_write(&leader, 7, "a b");
    leader.now = 5;
    leader_write(&leader, 8, "c");
    leader_expect(&leader, "inv 1:a,b inv 2:c ");
    leader_at(&leader, LEASE_REPEAT_MS - 1);
    leader_expect(&leader, "");
    assert_int_equal(lease_table_deadline_ms(leader.table), LEASE_REPEAT_MS);
    leader_at(&leader, LEASE_REPEAT_MS);
    leader_expect(&leader, "inv 1:a,b ");
    leader_at(&leader, 5 + LEASE_REPEAT_MS);
    leader_expect(&leader, "inv 2:c ");
    leader_renew(&leader, 1, 1, 1);
    leader_expect(&leader, "go 7 grant 1/1+975 ");
    leader_at(&leader, 2 * LEASE_REPEAT_MS);
    leader_expect(&leader, "");
    leader_at(&leader, 5 + 2 * LEASE_REPEAT_MS);
    leader_expect(&leader, "inv 2:c ");
    leader_close(&leader);
}

/* But ever more seldom: each time all caches hear it, and acknowledge it, also those that did so in
 * time. Were they too slow for 20 ms, they would be slower with each repetition. */
static void test_an_invalidation_is_repeated_ever_more_seldom(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader_write(&leader, 7, "a");
    leader_expect(&leader, "inv 1:a ");
    for (int64_t age_ms = LEASE_REPEAT_MS; age_ms < LEASE_WAIT_MS / 2; age_ms *= 2) {
        leader_at(&leader, age_ms - 1);
        leader_expect(&leader, "");
        leader_at(&leader, age_ms);
        leader_expect(&leader, "inv 1:a ");
    }
    leader_close(&leader);
}

/* Who has nothing to tell says what was told last, at once in a new term: a lost message is
 * noticed. */
static void test_silence_is_filled_with_beats(void **state)
{
    struct leader leader;
    (void)state;
    leader_open(&leader);
    leader.beats = true;
    leader_lead(&leader, 1, NULL, 0);
    assert_int_equal(lease_table_deadline_ms(leader.table), INT64_MAX);
    leader_at(&leader, 10);
    leader_expect(&leader, "");
    lease_table_opened(leader.table, 1, 10);
    assert_true(lease_table_deadline_ms(leader.table) <= 10);
    leader_at(&leader, 10);
    leader_confirm(&leader);
    leader_sync(&leader, 1, 1);
    leader_expect(&leader, "beat 0 sync 1/1:0:@100+1000 ");
    assert_int_equal(lease_table_deadline_ms(leader.table), 10 + LEASE_BEAT_MS);
    leader_at(&leader, 20);
    leader_write(&leader, 7, "a");
    leader_renew(&leader, 1, 1, 1);
    leader_at(&leader, 20 + LEASE_BEAT_MS - 1);
    leader_expect(&leader, "inv 1:a go 7 grant 1/1+990 ");
    leader_at(&leader, 20 + LEASE_BEAT_MS);
    leader_expect(&leader, "beat 1 ");
    lease_table_retire(leader.table);
    leader_lead(&leader, 2, (const uint64_t[]){1}, 1);
    leader_expect(&leader, "beat 0 ");
    leader_close(&leader);
}

/* ---- B8: leadership comes and goes --------------------------------------------------------- */

/* What waits is refused; what was to be proposed and was not yet may not be in a later term,
 * where the key is held again. */
static void test_who_waits_is_refused_when_leadership_goes(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 2);
    leader.now = 200;
    leader_write(&leader, 7, "a");
    leader_renew(&leader, 2, 1, 0);
    leader_renew(&leader, 1, 1, 1);
    leader_expect(&leader, "inv 1:a round ");
    leader_write(&leader, 8, "");
    lease_table_retire(leader.table);
    leader_expect(&leader,
                  "no 8:not-leader no 7:not-leader no 1001:not-leader no 1002:not-leader ");
    assert_int_equal(leader_counts(&leader).sessions + leader_counts(&leader).approving, 0);
    leader_at(&leader, 5000);
    lease_table_retire(leader.table);
    leader_expect(&leader, "");
    leader_close(&leader);
}

/* The write of an earlier term says nothing about a key of this one. The numbers begin anew
 * (T1). */
static void test_a_write_of_an_earlier_term_is_no_more(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader_write(&leader, 7, "a");
    leader_renew(&leader, 1, 1, 1);
    leader_expect(&leader, "inv 1:a go 7 grant 1/1+1000 ");
    lease_table_retire(leader.table);
    leader_lead(&leader, 2, (const uint64_t[]){1}, 1);
    leader_write(&leader, 8, "a");
    leader_written(&leader, 7, 101);
    leader_expect(&leader, "inv 1:a ");
    leader_confirm(&leader);
    leader_renew(&leader, 1, 1, 1);
    leader_sync(&leader, 1, 2);
    leader_expect(&leader, "no 1002:mismatch sync 1/2:1:a@101+1000 go 8 ");
    leader_close(&leader);
}

/* ---- B9: many keys --------------------------------------------------------------------------- */

/* So many keys may be not quiet; one more, and "all keys" stands for them. */
static void test_keys_are_bounded(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader_write_many(&leader, 7, LEASE_KEYS_MAX);
    leader_write(&leader, 8, "k0 k255");
    assert_int_equal(leader_counts(&leader).approving, LEASE_KEYS_MAX);
    leader_renew(&leader, 1, 1, 1);
    assert_int_equal(leader_counts(&leader).pending, LEASE_KEYS_MAX);
    leader_written(&leader, 7, 101);
    struct lease_action *action = lease_table_next(leader.table);
    assert_int_equal(action->keys.count, LEASE_KEYS_MAX);
    assert_false(action->keys.all);
    lease_action_destroy(&action);
    leader_expect(&leader, "go 7 go 8 grant 1/1+1000 ");
    leader_write(&leader, 9, "k256");
    leader_expect(&leader, "inv 2:* ");
    assert_int_equal(leader_counts(&leader).pending, 0);
    leader_renew(&leader, 1, 1, 2);
    leader_expect(&leader, "go 9 grant 1/1+1000 ");
    leader_written(&leader, 9, 102);
    leader_at(&leader, 200);
    leader_expect(&leader, ""); /* the write 8 is in flight, of keys that were absorbed */
    leader_written(&leader, 8, 103);
    leader_at(&leader, 200 + LEASE_QUIET_MS);
    leader_expect(&leader, "rel 3:*@103 ");
    assert_int_equal(leader_counts(&leader).pending, 0);
    leader_close(&leader);
}

/* A write of more keys than that is one of all of them. The same key often is not more keys. */
static void test_a_write_of_many_keys_is_one_of_all(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader_write_many(&leader, 7, LEASE_KEYS_MAX + 1);
    leader_expect(&leader, "inv 1:* ");
    leader_renew(&leader, 1, 1, 1);
    leader_written(&leader, 7, 101);
    leader_at(&leader, LEASE_QUIET_MS);
    leader_expect(&leader, "go 7 grant 1/1+1000 rel 2:*@101 ");
    char name[] = "a";
    char *names[LEASE_KEYS_MAX + 1];
    for (size_t i = 0; i < LEASE_KEYS_MAX + 1; i++)
        names[i] = name;
    const struct lease_keys same = {.keys = names, .count = LEASE_KEYS_MAX + 1};
    lease_table_write(leader.table, 8, &same, INT64_MAX, leader.now);
    leader_expect(&leader, "inv 3:a ");
    leader_close(&leader);
}

/* "All keys" overlaps every key: what waited for one waits for it, what comes needs nothing
 * else. */
static void test_all_keys_overlap_each(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader_write(&leader, 6, "p");
    leader_renew(&leader, 1, 1, 1);
    leader_write(&leader, 7, "a");
    leader_expect(&leader, "inv 1:p go 6 grant 1/1+1000 inv 2:a ");
    leader_write(&leader, 8, "*");
    leader_write(&leader, 9, "b p");
    leader_write(&leader, 10, "");
    leader_expect(&leader, "inv 3:* go 10 ");
    leader_renew(&leader, 1, 1, 2);
    leader_expect(&leader, "grant 1/1+1000 ");
    lease_table_opened(leader.table, 2, 0);
    leader_sync(&leader, 2, 1);
    leader_expect(&leader, "sync 2/1:3:*@100+1000 ");
    leader_at(&leader, LEASE_REPEAT_MS);
    leader_expect(&leader, "inv 3:* ");
    leader_renew(&leader, 1, 1, 3);
    leader_expect(&leader, "go 7 go 8 go 9 grant 1/1+980 ");
    leader_write(&leader, 11, "c");
    leader_write(&leader, 12, "*");
    leader_expect(&leader, "go 11 go 12 ");
    for (uint64_t ticket = 6; ticket <= 12; ticket++)
        leader_written(&leader, ticket, 100 + ticket);
    leader_at(&leader, LEASE_REPEAT_MS + LEASE_QUIET_MS);
    leader_expect(&leader, "rel 4:*@112 ");
    leader_write(&leader, 13, "c");
    leader_expect(&leader, "inv 5:c ");
    leader_close(&leader);
}

/* While all keys are pending a write of some of them makes these pending, and nothing else longer so:
 * what is still being written is told by name, and all else is released. */
static void test_a_key_that_is_written_on_does_not_keep_all_keys_unheld(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 2);
    leader_write(&leader, 7, "*");
    leader_renew(&leader, 1, 1, 1);
    leader_renew(&leader, 2, 1, 1);
    leader_write(&leader, 8, "a");
    leader_write(&leader, 9, "b c");
    leader_expect(&leader, "inv 1:* grant 1/1+1000 go 7 grant 2/1+1000 go 8 go 9 ");
    leader_sync(&leader, 1, 2);
    leader_expect(&leader, "sync 1/2:1:*@100+1000 ");
    leader_written(&leader, 7, 101);
    leader_written(&leader, 8, 102);
    leader_at(&leader, LEASE_QUIET_MS);
    leader_expect(&leader, "inv 2:b,c rel 3:*@102 ");
    leader_sync(&leader, 1, 3);
    leader_write(&leader, 10, "a");
    leader_write(&leader, 11, "b");
    leader_expect(&leader, "sync 1/3:3:b,c@102+950 inv 4:a go 11 ");
    leader_written(&leader, 9, 103);
    leader_written(&leader, 11, 104);
    leader_renew(&leader, 1, 3, 4);
    leader_renew(&leader, 2, 1, 4);
    leader_at(&leader, 2 * LEASE_QUIET_MS);
    leader_expect(&leader, "grant 1/3+950 go 10 grant 2/1+950 rel 5:b,c@104 ");
    leader_close(&leader);
}

/* Is it too many of them, they are all keys after all. */
static void test_too_many_keys_while_all_are_pending_are_of_all(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader_write(&leader, 7, "*");
    leader_renew(&leader, 1, 1, 1);
    leader_write_many(&leader, 8, LEASE_KEYS_MAX);
    leader_write(&leader, 9, "k256");
    leader_write(&leader, 10, "k0");
    leader_expect(&leader, "inv 1:* go 7 grant 1/1+1000 go 8 go 9 go 10 ");
    assert_int_equal(leader_counts(&leader).pending, 2);
    leader_written(&leader, 7, 101);
    leader_written(&leader, 9, 102);
    leader_at(&leader, LEASE_QUIET_MS);
    leader_expect(&leader, "");
    leader_written(&leader, 8, 103);
    leader_at(&leader, 2 * LEASE_QUIET_MS);
    leader_expect(&leader, "inv 2:k0 rel 3:*@103 ");
    leader_close(&leader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_granted_or_proposed_before_it_leads),
        cmocka_unit_test(test_a_write_is_proposed_when_all_have_let_go),
        cmocka_unit_test(test_a_pending_key_needs_no_approval),
        cmocka_unit_test(test_writes_wait_with_a_key_that_is_approving),
        cmocka_unit_test(test_a_write_of_pending_and_approving_keys),
        cmocka_unit_test(test_keys_are_taken_once),
        cmocka_unit_test(test_without_holders_a_write_is_proposed_at_once),
        cmocka_unit_test(test_writes_that_wait_are_bounded),
        cmocka_unit_test(test_a_deadline_passes_while_a_key_is_approving),
        cmocka_unit_test(test_nothing_is_proposed_after_its_deadline),
        cmocka_unit_test(test_a_key_is_released_when_it_was_quiet),
        cmocka_unit_test(test_a_key_is_not_released_with_a_write_in_flight),
        cmocka_unit_test(test_an_invalidation_is_repeated),
        cmocka_unit_test(test_an_invalidation_is_repeated_ever_more_seldom),
        cmocka_unit_test(test_silence_is_filled_with_beats),
        cmocka_unit_test(test_who_waits_is_refused_when_leadership_goes),
        cmocka_unit_test(test_a_write_of_an_earlier_term_is_no_more),
        cmocka_unit_test(test_keys_are_bounded),
        cmocka_unit_test(test_a_write_of_many_keys_is_one_of_all),
        cmocka_unit_test(test_all_keys_overlap_each),
        cmocka_unit_test(test_a_key_that_is_written_on_does_not_keep_all_keys_unheld),
        cmocka_unit_test(test_too_many_keys_while_all_are_pending_are_of_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
