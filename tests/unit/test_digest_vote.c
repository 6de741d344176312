/* Who stops because of its tables, and who does not: rows for each case of the rule.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "services/replica/digest_vote.h"

#define OWN    1
#define FORMAT 7
#define AT     (3 * (replica_index)DIGEST_EVERY)

/* Members 1 to so many have a vote, those above up to @count are learners. */
static struct membership members(size_t voters, size_t count)
{
    struct membership self = {.count = count};

    for (size_t i = 0; i < count; i++)
        self.members[i] = (struct member){
            .id = i + 1, .role = i < voters ? MEMBER_VOTER : MEMBER_LEARNER, .address = "x"};
    return self;
}

static void hear(struct digest_vote *self, const struct membership *membership, uint64_t from,
                 uint64_t start_id, replica_index index, uint64_t digest)
{
    const struct digest_said said = {from, start_id, FORMAT, index, digest};

    digest_vote_hear(self, &said, membership);
}

/* What member @id says in its first life; 0: nothing. */
static void hear_all(struct digest_vote *self, const struct membership *membership,
                     replica_index index, const uint64_t *digests, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (digests[i] != 0)
            hear(self, membership, i + 1, 100 + i, index, digests[i]);
}

static struct digest_finding judge(struct digest_vote *self, const struct membership *membership)
{
    struct digest_finding finding;

    digest_vote_judge(self, AT, false, membership, &finding);
    return finding;
}

/* ---- One index ----------------------------------------------------------------------------- */

static const struct {
    const char *what;
    size_t voters, members;
    uint64_t digests[7]; /* of members 1 (this replica) to 7; 0: not known */
    bool waited;
    enum digest_outcome outcome;
} rows[] = {
    {"alone", 1, 1, {5}, false, DIGEST_AGREED},
    {"three that agree", 3, 3, {5, 5, 5}, false, DIGEST_AGREED},
    {"two of three agree, the third is silent", 3, 3, {5, 5}, false, DIGEST_AGREED},
    {"nobody else has said anything", 3, 3, {5}, false, DIGEST_OPEN},
    {"nor will they", 3, 3, {5}, true, DIGEST_OPEN},
    {"this one differs", 3, 3, {5, 6, 6}, false, DIGEST_DIFFERS},
    {"one says something else, that is no majority", 3, 3, {5, 6}, false, DIGEST_OPEN},
    {"and the third is not waited for", 3, 3, {5, 6}, true, DIGEST_SPLIT},
    {"another one differs", 3, 3, {5, 5, 6}, false, DIGEST_AGREED},
    {"all three differ", 3, 3, {5, 6, 7}, false, DIGEST_SPLIT},
    {"this one lags behind", 3, 3, {0, 6, 6}, false, DIGEST_OPEN},
    {"two that differ: nobody knows", 2, 2, {5, 6}, false, DIGEST_SPLIT},
    {"four, two and two", 4, 4, {5, 5, 6, 6}, false, DIGEST_SPLIT},
    {"four, three and one", 4, 4, {5, 6, 6, 6}, false, DIGEST_DIFFERS},
    {"four, two and one, one to come", 4, 4, {5, 6, 6}, false, DIGEST_OPEN},
    {"five, three against two", 5, 5, {5, 5, 6, 6, 6}, false, DIGEST_DIFFERS},
    {"five, two against two, one to come", 5, 5, {5, 5, 6, 6}, false, DIGEST_OPEN},
    {"five, of which two can't be a majority any more", 5, 5, {5, 5, 6, 6, 7}, false, DIGEST_SPLIT},
    {"learners don't count", 3, 5, {5, 0, 0, 6, 6}, false, DIGEST_OPEN},
    {"learners against two voters", 3, 5, {5, 5, 0, 6, 6}, false, DIGEST_AGREED},
    {"a learner that differs", 3, 4, {5, 5, 5, 6}, false, DIGEST_AGREED},
    {"nobody has a vote", 0, 3, {5, 6, 6}, false, DIGEST_OPEN},
    {"no members", 0, 0, {5, 6, 6}, false, DIGEST_OPEN},
};

/* What a majority of those with a vote hold at one index is right; where there is none, nobody stops. */
static void test_a_majority_is_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct digest_vote self;
        struct membership membership = members(rows[i].voters, rows[i].members);
        struct digest_finding finding;
        digest_vote_init(&self, OWN, FORMAT);
        hear_all(&self, &membership, AT, rows[i].digests, 7);
        if (rows[i].digests[0] != 0)
            digest_vote_note(&self, AT, rows[i].digests[0]);
        digest_vote_judge(&self, AT, rows[i].waited, &membership, &finding);
        if (finding.outcome != rows[i].outcome)
            fail_msg("%s: %d", rows[i].what, (int)finding.outcome);
    }
}

/* A learner is compared like anybody, though it does not count. */
static void test_a_learner_that_differs_stops(void **state)
{
    struct membership membership = members(3, 4);
    struct digest_vote self;

    (void)state;
    digest_vote_init(&self, 4, FORMAT);
    digest_vote_note(&self, AT, 5);
    hear(&self, &membership, 1, 100, AT, 6);
    assert_int_equal(judge(&self, &membership).outcome, DIGEST_OPEN);
    hear(&self, &membership, 2, 100, AT, 6);
    assert_int_equal(judge(&self, &membership).outcome, DIGEST_DIFFERS);
}

/* What is found names who holds what is right, and each who does not, once for an index. */
static void test_who_differs_is_named_once(void **state)
{
    struct membership membership = members(3, 5);
    struct digest_vote self;

    (void)state;
    digest_vote_init(&self, OWN, FORMAT);
    digest_vote_note(&self, AT, 5);
    hear_all(&self, &membership, AT, (const uint64_t[]){0, 6, 0, 5}, 4);
    assert_int_equal(judge(&self, &membership).other_count, 0); /* nobody knows yet */
    hear(&self, &membership, 3, 102, AT, 5);
    struct digest_finding finding = judge(&self, &membership);
    assert_int_equal(finding.right, 5);
    assert_int_equal(finding.voters, 3);
    assert_int_equal(finding.holders, 2);
    assert_int_equal(finding.agreed_count, 1);
    assert_int_equal(finding.agreed[0], 3);
    assert_int_equal(finding.other_count, 1);
    assert_int_equal(finding.others[0], 2);
    hear(&self, &membership, 5, 104, AT, 7);
    finding = judge(&self, &membership);
    assert_int_equal(finding.other_count, 1);
    assert_int_equal(finding.others[0], 5);
    assert_int_equal(judge(&self, &membership).other_count, 0);
}

/* A split is told once for an index. */
static void test_a_split_is_told_once(void **state)
{
    struct membership membership = members(2, 2);
    struct digest_vote self;

    (void)state;
    digest_vote_init(&self, OWN, FORMAT);
    digest_vote_note(&self, AT, 5);
    hear(&self, &membership, 2, 100, AT, 6);
    assert_false(judge(&self, &membership).told);
    assert_true(judge(&self, &membership).told);
}

/* ---- What is not compared ------------------------------------------------------------------ */

/* Digests of other indexes say nothing of this one, though they come from everybody. */
static void test_other_indexes_say_nothing(void **state)
{
    static const replica_index others[] = {AT - DIGEST_EVERY, AT + DIGEST_EVERY, AT - 1, AT + 1};
    struct membership membership = members(3, 3);
    struct digest_vote self;

    (void)state;
    digest_vote_init(&self, OWN, FORMAT);
    digest_vote_note(&self, AT, 5);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        hear_all(&self, &membership, others[i], (const uint64_t[]){0, 6, 6}, 3);
    assert_int_equal(judge(&self, &membership).outcome, DIGEST_OPEN);
}

/* A digest in another format is none, and who speaks it will not decide anything. */
static void test_other_formats_say_nothing(void **state)
{
    struct membership membership = members(3, 3);
    struct digest_vote self;

    (void)state;
    digest_vote_init(&self, OWN, FORMAT);
    digest_vote_note(&self, AT, 5);
    for (uint64_t id = 2; id <= 3; id++)
        digest_vote_hear(&self, &(struct digest_said){id, 100, FORMAT + 1, AT, 6}, &membership);
    assert_int_equal(judge(&self, &membership).outcome, DIGEST_OPEN);
    hear(&self, &membership, 2, 200, AT, 6); /* is another version now */
    assert_int_equal(judge(&self, &membership).outcome, DIGEST_SPLIT);
    hear(&self, &membership, 3, 200, AT, 6);
    assert_int_equal(judge(&self, &membership).outcome, DIGEST_DIFFERS);
}

/* What the process before it has said counts no more, also when it comes late. */
static void test_an_old_start_says_nothing(void **state)
{
    struct membership membership = members(3, 3);
    struct digest_vote self;

    (void)state;
    digest_vote_init(&self, OWN, FORMAT);
    digest_vote_note(&self, AT, 5);
    hear(&self, &membership, 2, 100, AT, 6);
    hear(&self, &membership, 2, 101, AT + DIGEST_EVERY, 8);
    hear(&self, &membership, 3, 100, AT, 6);
    assert_int_equal(judge(&self, &membership).outcome, DIGEST_OPEN);
    hear(&self, &membership, 2, 100, AT, 6);
    assert_int_equal(judge(&self, &membership).outcome, DIGEST_OPEN);
    hear(&self, &membership, 2, 101, AT, 5);
    assert_int_equal(judge(&self, &membership).outcome, DIGEST_AGREED);
}

/* Nor does what any of the processes before it has said: whose message comes late is not a new one. It
 * would have made a majority for the wrong tables here, and the member's true voice would not be heard. */
static void test_an_older_start_says_nothing_either(void **state)
{
    struct membership membership = members(3, 3);
    struct digest_vote self;

    (void)state;
    digest_vote_init(&self, OWN, FORMAT);
    digest_vote_note(&self, AT, 5);
    hear(&self, &membership, 3, 100, AT, 6);
    for (uint64_t start_id = 100; start_id <= 100 + DIGEST_STARTS_MAX; start_id++)
        hear(&self, &membership, 2, start_id, AT + DIGEST_EVERY, 8);
    for (uint64_t start_id = 100; start_id < 100 + DIGEST_STARTS_MAX; start_id++)
        hear(&self, &membership, 2, start_id, AT, 6);
    assert_int_equal(judge(&self, &membership).outcome, DIGEST_OPEN);
    hear(&self, &membership, 2, 100 + DIGEST_STARTS_MAX, AT, 5);
    assert_int_equal(judge(&self, &membership).outcome, DIGEST_AGREED);
}

/* Twice the same of one member is one; it can't take back what it has said of an index. */
static void test_a_member_counts_once(void **state)
{
    struct membership membership = members(5, 5);
    struct digest_vote self;

    (void)state;
    digest_vote_init(&self, OWN, FORMAT);
    digest_vote_note(&self, AT, 5);
    for (int i = 0; i < 3; i++)
        hear(&self, &membership, 2, 100, AT, 6);
    assert_int_equal(judge(&self, &membership).outcome, DIGEST_OPEN);
    hear(&self, &membership, 2, 100, AT, 5);
    hear(&self, &membership, 3, 100, AT, 6);
    hear(&self, &membership, 4, 100, AT, 6);
    assert_int_equal(judge(&self, &membership).outcome, DIGEST_DIFFERS);
}

/* Who is no member is not heard, nor somebody who says to be this replica; who was removed counts no
 * more, who was added and promoted does, with what it said as a learner. */
static void test_only_members_count(void **state)
{
    struct membership three = members(3, 3), four = members(3, 4), all = members(4, 4);
    struct digest_vote self;

    (void)state;
    digest_vote_init(&self, OWN, FORMAT);
    digest_vote_note(&self, AT, 5);
    hear(&self, &three, 4, 100, AT, 6);
    hear(&self, &three, OWN, 100, AT, 6);
    assert_int_equal(self.count, 0);
    hear(&self, &four, 4, 100, AT, 6);
    hear(&self, &four, 2, 100, AT, 6);
    assert_int_equal(judge(&self, &four).outcome, DIGEST_OPEN);
    hear(&self, &four, 3, 100, AT, 6);
    assert_int_equal(judge(&self, &four).outcome, DIGEST_DIFFERS);
    assert_int_equal(judge(&self, &all).outcome, DIGEST_DIFFERS);
    all.members[2].id = 33; /* of the three, one is another one by now */
    all.members[3].role = MEMBER_LEARNER;
    assert_int_equal(judge(&self, &all).outcome, DIGEST_OPEN);
}

/* A snapshot was put in the tables' place: they are judged by what is noted from there on. */
static void test_tables_that_were_replaced_are_not_judged(void **state)
{
    struct membership membership = members(3, 3);
    struct digest_vote self;

    (void)state;
    digest_vote_init(&self, OWN, FORMAT);
    digest_vote_note(&self, AT, 5);
    digest_vote_forget(&self);
    hear_all(&self, &membership, AT, (const uint64_t[]){0, 6, 6}, 3);
    assert_int_equal(judge(&self, &membership).outcome, DIGEST_OPEN);
}

/* ---- Bounds -------------------------------------------------------------------------------- */

/* Any number of members may come and go; there is room for those of now. */
static void test_who_is_gone_makes_room(void **state)
{
    struct membership membership = members(MEMBERS_MAX, MEMBERS_MAX);
    struct digest_vote self;

    (void)state;
    digest_vote_init(&self, OWN, FORMAT);
    digest_vote_note(&self, AT, 5);
    for (uint64_t life = 0; life < 5; life++) {
        for (size_t i = 1; i < MEMBERS_MAX; i++) {
            membership.members[i].id = 1000 * life + i + 1;
            hear(&self, &membership, membership.members[i].id, 100, AT, 6);
        }
        struct digest_finding finding = judge(&self, &membership);
        assert_int_equal(finding.outcome, DIGEST_DIFFERS);
        assert_int_equal(finding.holders, MEMBERS_MAX - 1);
        assert_true(self.count <= MEMBERS_MAX);
    }
}

/* Who lags by more than what is kept is not compared, and catches up with the others' marks. */
static void test_who_lags_is_compared_when_it_is_there(void **state)
{
    const replica_index last = (DIGEST_MARKS_MAX + 10) * (replica_index)DIGEST_EVERY;
    struct membership membership = members(3, 3);
    struct digest_finding finding;
    struct digest_vote self;

    (void)state;
    digest_vote_init(&self, OWN, FORMAT);
    for (replica_index index = DIGEST_EVERY; index <= last; index += DIGEST_EVERY)
        hear_all(&self, &membership, index, (const uint64_t[]){0, 6, 6}, 3);
    for (replica_index index = DIGEST_EVERY; index <= last; index += DIGEST_EVERY) {
        digest_vote_note(&self, index, 5);
        digest_vote_judge(&self, index, false, &membership, &finding);
        assert_int_equal(finding.outcome,
                         index <= 10 * DIGEST_EVERY ? DIGEST_OPEN : DIGEST_DIFFERS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_majority_is_right),
        cmocka_unit_test(test_a_learner_that_differs_stops),
        cmocka_unit_test(test_who_differs_is_named_once),
        cmocka_unit_test(test_a_split_is_told_once),
        cmocka_unit_test(test_other_indexes_say_nothing),
        cmocka_unit_test(test_other_formats_say_nothing),
        cmocka_unit_test(test_an_old_start_says_nothing),
        cmocka_unit_test(test_an_older_start_says_nothing_either),
        cmocka_unit_test(test_a_member_counts_once),
        cmocka_unit_test(test_only_members_count),
        cmocka_unit_test(test_tables_that_were_replaced_are_not_judged),
        cmocka_unit_test(test_who_is_gone_makes_room),
        cmocka_unit_test(test_who_lags_is_compared_when_it_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
