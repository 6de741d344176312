/* The leader's side of leased caches, rule by rule (lease_table.h), each bound at its edge. Here:
 * who is left out, who is granted a lease, who is closed. How what the table does reads as a text
 * is said in tests/lib/leader.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "tests/lib/leader.h"

/* ---- B3: who is left out ------------------------------------------------------------------- */

/* A session that says nothing holds a writer up until its lease can't be any more: W after the
 * anchor. */
static void test_a_silent_session_is_left_out_after_its_lease(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 2);
    leader.now = 60;
    leader_confirm(&leader);
    leader.now = 70;
    leader_renew(&leader, 2, 1, 0);
    leader_expect(&leader, "grant 2/1+990 ");
    leader_write(&leader, 7, "a");
    leader_renew(&leader, 1, 1, 1);
    leader_expect(&leader, "inv 1:a grant 1/1+990 ");
    leader_at(&leader, 60 + LEASE_WAIT_MS - 1);
    leader_expect(&leader, "inv 1:a ");
    assert_int_equal(lease_table_deadline_ms(leader.table), 60 + LEASE_WAIT_MS);
    leader_at(&leader, 60 + LEASE_WAIT_MS);
    leader_expect(&leader, "go 7 ");
    assert_int_equal(leader_counts(&leader).lapsed, 1);
    assert_int_equal(leader_counts(&leader).lapses, 1);
    assert_int_equal(leader_counts(&leader).longest_ms, LEASE_WAIT_MS - 10);
    leader_renew(&leader, 2, 1, 1);
    leader_expect(&leader, "no 1003:mismatch ");
    leader_close(&leader);
}

/* A session from before this term: until W after it became leader, or until it has synced. */
static void test_a_new_leader_waits_for_the_sessions_in_the_log(void **state)
{
    struct leader leader;
    (void)state;
    leader_open(&leader);
    lease_table_lead(leader.table, leader.term = 3, (const uint64_t[]){1, 2}, 2, 100, 140);
    leader_write(&leader, 7, "a");
    leader_write(&leader, 8, "b");
    leader_expect(&leader, "inv 1:a inv 2:b ");
    leader.now = 150;
    leader_confirm(&leader);
    leader_sync(&leader, 1, 5);
    leader_expect(&leader, "sync 1/5:2:a,b@100+1000 ");
    leader_at(&leader, 100 + LEASE_WAIT_MS - 1);
    leader_expect(&leader, "inv 1:a inv 2:b ");
    leader_at(&leader, 100 + LEASE_WAIT_MS);
    leader_expect(&leader, "go 7 go 8 ");
    leader_close(&leader);
}

/* And not even that long when all of them have synced. */
static void test_a_new_leader_does_not_wait_for_who_has_synced(void **state)
{
    struct leader leader;
    (void)state;
    leader_open(&leader);
    leader_lead(&leader, 3, (const uint64_t[]){1, 2}, 2);
    leader_write(&leader, 7, "a");
    leader_confirm(&leader);
    leader_sync(&leader, 1, 5);
    leader_sync(&leader, 2, 9);
    leader_expect(&leader, "inv 1:a sync 1/5:1:a@100+1000 sync 2/9:1:a@100+1000 go 7 ");
    leader_close(&leader);
}

/* Who lapsed holds nothing, and is not waited for again. */
static void test_a_lapsed_session_is_not_waited_for(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 2);
    leader.now = LEASE_WAIT_MS;
    leader_confirm(&leader);
    leader_renew(&leader, 1, 1, 0);
    leader_write(&leader, 7, "a");
    leader_renew(&leader, 1, 1, 1);
    leader_expect(&leader, "grant 1/1+1000 inv 1:a go 7 grant 1/1+1000 ");
    assert_int_equal(leader_counts(&leader).lapsed, 1);
    leader_write(&leader, 8, "b");
    leader_renew(&leader, 1, 1, 2);
    leader_expect(&leader, "inv 2:b go 8 grant 1/1+1000 ");
    leader_close(&leader);
}

/* A session that closes is waited for no more. */
static void test_a_closed_session_is_not_waited_for(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 2);
    leader_write(&leader, 7, "a");
    leader_renew(&leader, 1, 1, 1);
    lease_table_closed(leader.table, 2, 0);
    leader_expect(&leader, "inv 1:a grant 1/1+1000 go 7 ");
    lease_table_closed(leader.table, 3, 0);
    leader_expect(&leader, "");
    leader_close(&leader);
}

/* ---- B4: grants ---------------------------------------------------------------------------- */

/* A lease counts from the start of the newest confirmed round; one that is a tenth of it old is
 * not used for another ask, which waits for a new one. */
static void test_a_grant_counts_from_a_confirmed_round(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader.now = LEASE_ROUND_MS - 1;
    leader_renew(&leader, 1, 1, 0);
    leader_expect(&leader, "grant 1/1+901 ");
    leader.now = LEASE_ROUND_MS;
    leader_renew(&leader, 1, 1, 0);
    leader_expect(&leader, "round ");
    leader.now = 130;
    lease_table_confirmed(leader.table, 110, 130);
    leader_expect(&leader, "grant 1/1+980 ");
    lease_table_confirmed(leader.table, 105, 131);
    leader_renew(&leader, 1, 1, 0);
    leader_expect(&leader, "grant 1/1+980 ");
    leader_close(&leader);
}

/* Without a round in its own term there is no grant: neither of an earlier term's, nor of one
 * that the ask does not wait for long enough. */
static void test_no_grant_without_a_confirmed_round(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    lease_table_retire(leader.table);
    leader_expect(&leader, "");
    leader_lead(&leader, 2, (const uint64_t[]){1}, 1);
    leader_sync(&leader, 1, 2);
    leader_expect(&leader, "round ");
    leader_at(&leader, LEASE_ROUND_WAIT_MS - 1);
    leader_expect(&leader, "");
    assert_int_equal(lease_table_deadline_ms(leader.table), LEASE_ROUND_WAIT_MS);
    leader_at(&leader, LEASE_ROUND_WAIT_MS);
    leader_expect(&leader, "no 1001:busy ");
    leader_sync(&leader, 1, 3);
    leader.now = LEASE_ROUND_WAIT_MS * 2;
    leader_confirm(&leader);
    leader_expect(&leader, "round no 1002:busy ");
    leader_close(&leader);
}

/* Where rounds are slow, one that began after the ask came will do, as long as anything remains. */
static void test_a_slow_round_will_do(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader.now = 1000;
    leader_renew(&leader, 1, 1, 0);
    leader_expect(&leader, "round ");
    leader.now = 1499;
    lease_table_confirmed(leader.table, 999, 1499);
    leader_expect(&leader, "round ");
    lease_table_confirmed(leader.table, 1000, 1499);
    leader_expect(&leader, "grant 1/1+501 ");
    leader_close(&leader);
}

/* One round for all asks that come; another is wanted when that one does not come. */
static void test_a_round_is_asked_for_once(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 3);
    leader.now = 200;
    leader_renew(&leader, 1, 1, 0);
    leader_renew(&leader, 2, 1, 0);
    leader_expect(&leader, "round ");
    leader.now = 200 + LEASE_ROUND_MS;
    leader_renew(&leader, 3, 1, 0);
    leader_expect(&leader, "round ");
    leader_confirm(&leader);
    leader_expect(&leader, "grant 1/1+1000 grant 2/1+1000 grant 3/1+1000 ");
    leader_close(&leader);
}

/* A grant is for the session's epoch and the term, and for nothing that was not said. */
static void test_a_renewal_is_for_one_term_and_epoch(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader_renew(&leader, 1, 0, 0);
    leader_renew(&leader, 1, 2, 0);
    leader_renew(&leader, 9, 1, 0);
    struct lease_ask ask = leader_ask(&leader, 1, 1, 0);
    ask.term = 2;
    lease_table_renew(leader.table, &ask, 0);
    ask.term = 0;
    lease_table_renew(leader.table, &ask, 0);
    leader_renew(&leader, 1, 1, 1);
    leader_expect(&leader, "no 1001:mismatch no 1002:mismatch no 1003:not-found no 1004:mismatch "
                           "no 1004:mismatch no 1005:mismatch ");
    leader_renew(&leader, 1, 1, 0);
    leader_expect(&leader, "grant 1/1+1000 ");
    leader_close(&leader);
}

/* An acknowledgement in another epoch is none: what the cache let go of then it may hold again. */
static void test_an_acknowledgement_of_another_epoch_is_none(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader_sync(&leader, 1, 2);
    leader_write(&leader, 7, "a");
    leader_renew(&leader, 1, 1, 1);
    leader_renew(&leader, 1, 3, 1);
    leader_expect(&leader, "sync 1/2:0:@100+1000 inv 1:a no 1002:mismatch no 1003:mismatch ");
    leader_close(&leader);
}

/* The renewal whose acknowledgement has the table look who may be left out, and it is itself. */
static void test_a_renewal_may_lapse_its_own_session(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader.now = LEASE_WAIT_MS - LEASE_UNACKED_MS;
    leader_write(&leader, 7, "a");
    leader.now = LEASE_WAIT_MS - 50;
    leader_write(&leader, 8, "b");
    leader_expect(&leader, "inv 1:a inv 2:b ");
    leader.now = LEASE_WAIT_MS;
    lease_table_confirmed(leader.table, LEASE_WAIT_MS - 1, LEASE_WAIT_MS);
    leader_renew(&leader, 1, 1, 1);
    leader_expect(&leader, "go 7 go 8 no 1001:mismatch ");
    assert_int_equal(leader_counts(&leader).lapsed, 1);
    leader_close(&leader);
}

/* One that acknowledges everything as late as that is not left out. */
static void test_a_late_acknowledgement_still_counts(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader.now = LEASE_WAIT_MS - 1;
    leader_write(&leader, 7, "a");
    leader.now = LEASE_WAIT_MS;
    leader_confirm(&leader);
    leader_renew(&leader, 1, 1, 1);
    leader_expect(&leader, "inv 1:a go 7 grant 1/1+1000 ");
    leader_close(&leader);
}

/* The session may lapse while its renewal waits for a round: it is looked at when that is there. */
static void test_a_session_may_lapse_while_its_renewal_waits(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader.now = LEASE_WAIT_MS - 20;
    leader_renew(&leader, 1, 1, 0);
    leader_write(&leader, 7, "a");
    leader_expect(&leader, "round inv 1:a ");
    leader_at(&leader, LEASE_WAIT_MS);
    leader_confirm(&leader);
    leader_expect(&leader, "go 7 no 1001:mismatch ");
    leader_close(&leader);
}

/* Or it may leave an INVALIDATE unacknowledged for too long meanwhile. What it does acknowledge
 * counts at once, round or not. */
static void test_an_acknowledgement_does_not_wait_for_a_round(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader.now = 200;
    leader_write(&leader, 7, "a");
    leader_renew(&leader, 1, 1, 1);
    leader_write(&leader, 8, "b");
    leader_expect(&leader, "inv 1:a go 7 round inv 2:b ");
    leader.now = 200 + LEASE_UNACKED_MS + 1;
    leader_confirm(&leader);
    leader_expect(&leader, "no 1001:busy ");
    leader_close(&leader);
}

/* A write of "a" is told of at 10; 100 ms later a round is confirmed, and the session renews its
 * lease without acknowledging. */
static void leader_renew_unacknowledged(struct leader *self)
{
    leader_lease(self, 1);
    self->now = 10;
    leader_write(self, 7, "a");
    self->now = 10 + LEASE_UNACKED_MS;
    leader_confirm(self);
    leader_renew(self, 1, 1, 0);
}

/* Not renewed while an INVALIDATE that is older than 100 ms is not acknowledged; before, for no longer
 * than a lease from when it was told. */
static void test_who_does_not_acknowledge_is_not_renewed(void **state)
{
    struct leader leader;
    (void)state;
    leader_renew_unacknowledged(&leader);
    leader_expect(&leader, "inv 1:a grant 1/1+900 ");
    leader.now++;
    leader_renew(&leader, 1, 1, 0);
    leader_expect(&leader, "no 1002:busy ");
    leader_renew(&leader, 1, 1, 1);
    leader_expect(&leader, "go 7 grant 1/1+999 ");
    leader_close(&leader);
}

/* So a writer waits for W at most, whatever is granted while it waits. */
static void test_a_renewal_while_a_writer_waits_does_not_make_it_wait_longer(void **state)
{
    struct leader leader;
    (void)state;
    leader_renew_unacknowledged(&leader);
    leader_skip(&leader);
    leader_at(&leader, 10 + LEASE_WAIT_MS - 1);
    leader_skip(&leader);
    assert_int_equal(leader_counts(&leader).waiting, 1);
    leader_at(&leader, 10 + LEASE_WAIT_MS);
    leader_expect(&leader, "go 7 ");
    leader_close(&leader);
}

/* One ask of a session waits, the newest; each is answered. */
static void test_a_newer_ask_takes_the_place_of_the_one_that_waits(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader.now = 500;
    const struct lease_ask old = leader_ask(&leader, 1, 1, 0);
    leader_renew(&leader, 1, 1, 0);
    leader_sync(&leader, 1, 2);
    lease_table_renew(leader.table, &old, 500);
    leader_expect(&leader, "round no 1002:busy no 1001:busy ");
    leader_confirm(&leader);
    leader_expect(&leader, "sync 1/2:0:@100+1000 ");
    leader_close(&leader);
}

/* A lease that ran out is renewed by a plain GRANT: nothing was written without that session
 * (C7). */
static void test_a_lease_that_ran_out_is_renewed(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader_at(&leader, 5000);
    leader_confirm(&leader);
    leader_renew(&leader, 1, 1, 0);
    leader_expect(&leader, "grant 1/1+1000 ");
    leader_close(&leader);
}

/* ---- B5: SYNC ------------------------------------------------------------------------------ */

/* A session opened while keys are approving or pending: nobody waits for it, and it is told them
 * all. */
static void test_a_session_that_opens_is_told_what_is_not_quiet(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader_write(&leader, 7, "a");
    leader_renew(&leader, 1, 1, 1);
    leader_write(&leader, 8, "b");
    leader_expect(&leader, "inv 1:a go 7 grant 1/1+1000 inv 2:b ");
    lease_table_opened(leader.table, 2, 0);
    leader_renew(&leader, 1, 1, 2);
    leader_write(&leader, 9, "c");
    leader_expect(&leader, "go 8 grant 1/1+1000 inv 3:c ");
    leader_written(&leader, 7, 109);
    leader_sync(&leader, 2, 1);
    leader_expect(&leader, "sync 2/1:3:a,b,c@109+1000 ");
    leader_write(&leader, 10, "d");
    leader_renew(&leader, 1, 1, 4);
    leader_expect(&leader, "inv 4:d go 9 grant 1/1+1000 ");
    leader_renew(&leader, 2, 1, 4);
    leader_expect(&leader, "go 10 grant 2/1+1000 ");
    leader_close(&leader);
}

/* To sync is to acknowledge everything that was told: all was flushed. */
static void test_a_sync_counts_as_an_acknowledgement(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader_write(&leader, 7, "a");
    leader_sync(&leader, 1, 2);
    leader_expect(&leader, "inv 1:a sync 1/2:1:a@100+1000 go 7 ");
    leader_close(&leader);
}

/* A doubled SYNC that comes after an INVALIDATE would count as its acknowledgement. */
static void test_an_epoch_syncs_once(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader_write(&leader, 7, "a");
    leader_sync(&leader, 1, 1);
    leader_sync(&leader, 1, 0);
    leader_expect(&leader, "inv 1:a no 1001:mismatch no 1002:mismatch ");
    leader_close(&leader);
}

/* The same when the first one waits for a round still. */
static void test_a_doubled_sync_that_waits_syncs_once(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader.now = 200;
    const struct lease_ask ask = leader_ask(&leader, 1, 2, 0);
    lease_table_sync(leader.table, &ask, 200);
    leader_confirm(&leader);
    leader_write(&leader, 7, "a");
    leader.now = 400;
    lease_table_sync(leader.table, &ask, 400);
    leader_expect(&leader, "round sync 1/2:0:@100+1000 inv 1:a no 1001:mismatch ");
    leader_close(&leader);
}

/* A SYNC meant for another term is none: its epoch was flushed before that. */
static void test_a_sync_is_for_one_term(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    struct lease_ask ask = leader_ask(&leader, 1, 2, 0);
    ask.term = 0;
    lease_table_sync(leader.table, &ask, 0);
    ask.term = 2;
    lease_table_sync(leader.table, &ask, 0);
    leader_sync(&leader, 9, 1);
    leader_expect(&leader, "no 1001:mismatch no 1001:mismatch no 1002:not-found ");
    leader_close(&leader);
}

/* ---- B9: the end of a session -------------------------------------------------------------- */

/* Silent for ten seconds, a session is closed; others are not. Its asks are refused from then
 * on, and its end is proposed again if it does not come. */
static void test_a_session_that_is_silent_is_closed(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 2);
    leader_at(&leader, 1000);
    leader_renew(&leader, 2, 7, 0);
    leader_at(&leader, LEASE_SILENT_MS - 1);
    leader_expect(&leader, "no 1001:mismatch ");
    leader_at(&leader, LEASE_SILENT_MS);
    leader_expect(&leader, "close 1 ");
    assert_int_equal(leader_counts(&leader).lapsed, 1);
    assert_int_equal(leader_counts(&leader).lapses, 0);
    leader_confirm(&leader);
    leader_sync(&leader, 1, 2);
    leader_renew(&leader, 1, 1, 0);
    leader_renew(&leader, 2, 1, 0);
    leader_expect(&leader, "no 1002:not-found no 1003:not-found grant 2/1+1000 ");
    leader_at(&leader, 2 * LEASE_SILENT_MS - 1);
    leader_expect(&leader, "");
    leader_at(&leader, 2 * LEASE_SILENT_MS);
    leader_expect(&leader, "close 1 close 2 ");
    lease_table_closed(leader.table, 1, leader.now);
    assert_int_equal(leader_counts(&leader).sessions, 1);
    leader_close(&leader);
}

/* So is one that was never heard of in this term, and what waits for it waits no longer than W. */
static void test_a_session_never_heard_of_is_closed(void **state)
{
    struct leader leader;
    (void)state;
    leader_open(&leader);
    leader_lead(&leader, 2, (const uint64_t[]){1}, 1);
    leader_at(&leader, LEASE_SILENT_MS);
    leader_write(&leader, 7, "a");
    leader_expect(&leader, "close 1 go 7 ");
    leader_close(&leader);
}

/* A cache that says that it is over is waited for no more, and its end is proposed: no lease has to run
 * out. What it asked before and comes late is refused; to say it twice is to say it once. */
static void test_who_leaves_is_waited_for_no_more(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 2);
    leader_write(&leader, 7, "a");
    leader_renew(&leader, 1, 1, 1);
    leader_expect(&leader, "inv 1:a grant 1/1+1000 ");
    assert_int_equal(lease_table_leave(leader.table, 2, leader.now), OK);
    leader_expect(&leader, "close 2 go 7 ");
    assert_int_equal(leader_counts(&leader).lapsed, 1);
    assert_int_equal(leader_counts(&leader).lapses, 0);
    leader_sync(&leader, 2, 9);
    leader_renew(&leader, 2, 1, 1);
    leader_expect(&leader, "no 1002:not-found no 1003:not-found ");
    assert_int_equal(lease_table_leave(leader.table, 2, leader.now), OK);
    leader_expect(&leader, "");
    leader_write(&leader, 8, "b");
    leader_renew(&leader, 1, 1, 2);
    leader_expect(&leader, "inv 2:b go 8 grant 1/1+1000 ");
    lease_table_closed(leader.table, 2, leader.now);
    assert_int_equal(lease_table_leave(leader.table, 2, leader.now), ERR_NOT_FOUND);
    lease_table_retire(leader.table);
    assert_int_equal(lease_table_leave(leader.table, 1, leader.now), ERR_NOT_LEADER);
    leader_expect(&leader, "");
    leader_close(&leader);
}

/* It is as true of another term than that in which the cache last heard of the leader. */
static void test_who_leaves_holds_up_no_new_leader(void **state)
{
    struct leader leader;
    (void)state;
    leader_open(&leader);
    assert_int_equal(lease_table_leave(leader.table, 1, leader.now), ERR_NOT_LEADER);
    leader_lead(&leader, 3, (const uint64_t[]){1, 2}, 2);
    leader_write(&leader, 7, "a");
    assert_int_equal(lease_table_leave(leader.table, 1, leader.now), OK);
    leader_expect(&leader, "inv 1:a close 1 ");
    assert_int_equal(lease_table_leave(leader.table, 2, leader.now), OK);
    leader_expect(&leader, "close 2 go 7 ");
    leader_write(&leader, 8, "b");
    leader_expect(&leader, "go 8 ");
    leader_close(&leader);
}

/* An ask of it that waits for a round is refused at once; and an end that was not written down is
 * proposed again. */
static void test_who_leaves_waits_for_no_answer(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader.now = LEASE_ROUND_MS;
    leader_renew(&leader, 1, 1, 0);
    assert_int_equal(lease_table_leave(leader.table, 1, leader.now), OK);
    leader_expect(&leader, "round no 1001:not-found close 1 ");
    leader_confirm(&leader);
    leader_at(&leader, LEASE_ROUND_MS + LEASE_SILENT_MS - 1);
    leader_expect(&leader, "");
    leader_at(&leader, LEASE_ROUND_MS + LEASE_SILENT_MS);
    leader_expect(&leader, "close 1 ");
    leader_close(&leader);
}

/* One session too many is closed again, and none to the table. */
static void test_sessions_are_bounded(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, LEASE_SESSIONS_MAX);
    lease_table_opened(leader.table, LEASE_SESSIONS_MAX + 1, 0);
    leader_sync(&leader, LEASE_SESSIONS_MAX + 1, 1);
    leader_expect(&leader, "close 1001 no 1001:not-found ");
    lease_table_closed(leader.table, LEASE_SESSIONS_MAX + 1, 0);
    lease_table_closed(leader.table, 1, 0);
    lease_table_opened(leader.table, LEASE_SESSIONS_MAX + 2, 0);
    leader_sync(&leader, LEASE_SESSIONS_MAX + 2, 1);
    leader_expect(&leader, "sync 1002/1:0:@100+1000 ");
    leader_close(&leader);
}

/* ---- B10: back-off ------------------------------------------------------------------------- */

/* Session 1 makes a writer wait until it is left out. */
static void make_wait(struct leader *self, uint64_t ticket)
{
    leader_write(self, ticket, "a");
    leader_at(self, self->now + LEASE_WAIT_MS);
    leader_written(self, ticket, 100 + ticket);
    leader_at(self, self->now + LEASE_QUIET_MS);
    assert_int_equal(leader_counts(self).lapsed, 1);
    leader_skip(self);
}

/* Who made a writer wait is let in again after a second, two, four and so on to a minute; and
 * who kept up for a minute has one second to wait again. */
static void test_who_makes_writers_wait_is_kept_out_for_longer_each_time(void **state)
{
    struct leader leader;
    uint64_t epoch = 2;
    (void)state;
    leader_lease(&leader, 1);
    for (int64_t pause = LEASE_BACKOFF_MS; pause < 4 * LEASE_BACKOFF_MS_MAX; pause *= 2) {
        make_wait(&leader, epoch);
        const int64_t lapsed = leader.now - LEASE_QUIET_MS;
        leader.now = lapsed + (pause < LEASE_BACKOFF_MS_MAX ? pause : LEASE_BACKOFF_MS_MAX) - 1;
        leader_confirm(&leader);
        leader.ask = 0;
        leader_sync(&leader, 1, epoch);
        leader_expect(&leader, "no 1001:busy ");
        leader.now++;
        leader_sync(&leader, 1, epoch++);
        assert_int_equal(leader_counts(&leader).synced, 1);
        lease_action_destroy(&(struct lease_action *){lease_table_next(leader.table)});
    }
    for (int64_t second = 0; second < LEASE_BACKOFF_MS_MAX / 1000; second++) {
        leader_at(&leader, leader.now + 1000 - (second == 0 ? LEASE_WAIT_MS : 0));
        leader_confirm(&leader);
        leader_renew(&leader, 1, epoch - 1, 0);
    }
    make_wait(&leader, epoch);
    leader.now += LEASE_BACKOFF_MS - LEASE_QUIET_MS;
    leader_confirm(&leader);
    leader_sync(&leader, 1, epoch);
    assert_int_equal(leader_counts(&leader).synced, 1);
    leader_close(&leader);
}

/* Whose lease had ended before the writer came has cost nothing, and may come back at once. */
static void test_who_cost_nobody_anything_is_let_in_at_once(void **state)
{
    struct leader leader;
    (void)state;
    leader_lease(&leader, 1);
    leader.now = LEASE_WAIT_MS;
    leader_write(&leader, 7, "a");
    leader_confirm(&leader);
    leader_sync(&leader, 1, 2);
    leader_expect(&leader, "inv 1:a go 7 sync 1/2:1:a@100+1000 ");
    assert_int_equal(leader_counts(&leader).lapses, 1);
    leader_close(&leader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_silent_session_is_left_out_after_its_lease),
        cmocka_unit_test(test_a_new_leader_waits_for_the_sessions_in_the_log),
        cmocka_unit_test(test_a_new_leader_does_not_wait_for_who_has_synced),
        cmocka_unit_test(test_a_lapsed_session_is_not_waited_for),
        cmocka_unit_test(test_a_closed_session_is_not_waited_for),
        cmocka_unit_test(test_a_grant_counts_from_a_confirmed_round),
        cmocka_unit_test(test_no_grant_without_a_confirmed_round),
        cmocka_unit_test(test_a_slow_round_will_do),
        cmocka_unit_test(test_a_round_is_asked_for_once),
        cmocka_unit_test(test_a_renewal_is_for_one_term_and_epoch),
        cmocka_unit_test(test_an_acknowledgement_of_another_epoch_is_none),
        cmocka_unit_test(test_a_renewal_may_lapse_its_own_session),
        cmocka_unit_test(test_a_late_acknowledgement_still_counts),
        cmocka_unit_test(test_a_session_may_lapse_while_its_renewal_waits),
        cmocka_unit_test(test_an_acknowledgement_does_not_wait_for_a_round),
        cmocka_unit_test(test_who_does_not_acknowledge_is_not_renewed),
        cmocka_unit_test(test_a_renewal_while_a_writer_waits_does_not_make_it_wait_longer),
        cmocka_unit_test(test_a_newer_ask_takes_the_place_of_the_one_that_waits),
        cmocka_unit_test(test_a_lease_that_ran_out_is_renewed),
        cmocka_unit_test(test_a_session_that_opens_is_told_what_is_not_quiet),
        cmocka_unit_test(test_a_sync_counts_as_an_acknowledgement),
        cmocka_unit_test(test_an_epoch_syncs_once),
        cmocka_unit_test(test_a_doubled_sync_that_waits_syncs_once),
        cmocka_unit_test(test_a_sync_is_for_one_term),
        cmocka_unit_test(test_a_session_that_is_silent_is_closed),
        cmocka_unit_test(test_a_session_never_heard_of_is_closed),
        cmocka_unit_test(test_who_leaves_is_waited_for_no_more),
        cmocka_unit_test(test_who_leaves_holds_up_no_new_leader),
        cmocka_unit_test(test_who_leaves_waits_for_no_answer),
        cmocka_unit_test(test_sessions_are_bounded),
        cmocka_unit_test(test_who_makes_writers_wait_is_kept_out_for_longer_each_time),
        cmocka_unit_test(test_who_cost_nobody_anything_is_let_in_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
