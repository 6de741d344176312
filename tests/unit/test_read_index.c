/* Linearizable reads: what confirms them, and what does not.
 *
 * A few replicas, each with what it would know of its group; their messages wait in one bag until the
 * test delivers, doubles or loses them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/limits.h"
#include "services/replica/read_index.h"

enum { REPLICAS_MAX = 6, MESSAGES_MAX = 64 };

struct fixture;

struct replica {
    struct fixture *fixture;
    struct read_index *reads;
    struct read_index_view view;
    struct membership membership;
    uint64_t confirmed; /* the last ticket that was */
    replica_index index;
};

struct fixture {
    struct replica replicas[REPLICAS_MAX + 1]; /* by id */
    struct peer_message messages[MESSAGES_MAX];
    size_t message_count;
};

static void take_message(void *arg, struct peer_message *message)
{
    struct replica *self = arg;
    struct fixture *fixture = self->fixture;
    assert_int_equal(message->from, self->view.id);
    assert_int_equal(message->start_id, self->view.start_id);
    assert_int_equal(message->term, self->view.term);
    assert_int_not_equal(message->to, self->view.id);
    assert_true(fixture->message_count < MESSAGES_MAX);
    fixture->messages[fixture->message_count++] = *message;
}

static void take_confirmation(void *arg, uint64_t ticket, replica_index index)
{
    struct replica *self = arg;
    assert_true(ticket > self->confirmed);
    self->confirmed = ticket;
    self->index = index;
}

/* A new process of a replica, that knows nothing. */
static void start(struct fixture *fixture, uint64_t id)
{
    struct replica *self = &fixture->replicas[id];
    const struct read_index_sink sink = {
        .arg = self, .send = take_message, .confirm = take_confirmation};
    read_index_destroy(&self->reads);
    self->reads = read_index_new(&sink);
    self->fixture = fixture;
    self->confirmed = 0;
    self->view = (struct read_index_view){
        .id = id,
        .start_id = self->view.start_id + 1000 * id,
        .term = self->view.term,
        .membership = &self->membership,
        .now_ms = self->view.now_ms,
    };
}

static void turn(struct fixture *fixture)
{
    for (uint64_t id = 1; id <= REPLICAS_MAX; id++)
        if (fixture->replicas[id].reads != NULL)
            read_index_turn(fixture->replicas[id].reads, &fixture->replicas[id].view);
}

static void set_members(struct fixture *fixture, size_t voters, size_t learners)
{
    struct membership membership = {.count = voters + learners};
    for (size_t i = 0; i < membership.count; i++) {
        membership.members[i].id = 1 + i;
        membership.members[i].role = i < voters ? MEMBER_VOTER : MEMBER_LEARNER;
        snprintf(membership.members[i].address, sizeof membership.members[i].address, "r%zu", i);
    }
    for (uint64_t id = 1; id <= REPLICAS_MAX; id++)
        fixture->replicas[id].membership = membership;
}

static void set_leader(struct fixture *fixture, replica_term term, uint64_t leader)
{
    for (uint64_t id = 1; id <= REPLICAS_MAX; id++) {
        struct read_index_view *view = &fixture->replicas[id].view;
        view->term = term;
        view->leader = leader;
        view->leading = id == leader;
    }
    turn(fixture);
}

static void pass_ms(struct fixture *fixture, int64_t ms)
{
    for (uint64_t id = 1; id <= REPLICAS_MAX; id++)
        fixture->replicas[id].view.now_ms += ms;
    turn(fixture);
}

/* A group of so many voters and then learners, of which the first leads in term 5. */
static struct fixture *group(void **state, size_t voters, size_t learners)
{
    struct fixture *self = *state;
    for (uint64_t id = 1; id <= voters + learners; id++)
        start(self, id);
    set_members(self, voters, learners);
    set_leader(self, 5, 1);
    for (uint64_t id = 1; id <= REPLICAS_MAX; id++)
        self->replicas[id].view.commit_index = 100;
    assert_int_equal(self->message_count, 0);
    return self;
}

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct fixture));
    return 0;
}

static int teardown(void **state)
{
    struct fixture *self = *state;
    for (uint64_t id = 1; id <= REPLICAS_MAX; id++)
        read_index_destroy(&self->replicas[id].reads);
    free(self);
    return 0;
}

/* ---- Acting ------------------------------------------------------------------------------------- */

static uint64_t ask(struct fixture *self, uint64_t id)
{
    return read_index_ask(self->replicas[id].reads, &self->replicas[id].view);
}

static size_t count(const struct fixture *self, enum peer_kind kind)
{
    size_t found = 0;
    for (size_t i = 0; i < self->message_count; i++)
        found += self->messages[i].kind == kind;
    return found;
}

/* Take the first message of a kind to a replica, 0 for any, out of the bag. */
static struct peer_message take(struct fixture *self, enum peer_kind kind, uint64_t to)
{
    for (size_t i = 0; i < self->message_count; i++) {
        struct peer_message message = self->messages[i];
        if (message.kind != kind || (to != 0 && message.to != to))
            continue;
        self->message_count--;
        memmove(&self->messages[i], &self->messages[i + 1],
                (self->message_count - i) * sizeof message);
        return message;
    }
    fail_msg("no message of kind %d to %d", (int)kind, (int)to);
    return (struct peer_message){0};
}

static void give(struct fixture *self, const struct peer_message *message)
{
    struct replica *replica = &self->replicas[message->to];
    read_index_receive(replica->reads, message, &replica->view);
}

static void deliver(struct fixture *self, enum peer_kind kind, uint64_t to)
{
    const struct peer_message message = take(self, kind, to);
    give(self, &message);
}

/* All that is under way and all that follows. */
static void deliver_all(struct fixture *self)
{
    while (self->message_count > 0)
        deliver(self, self->messages[0].kind, self->messages[0].to);
}

static void lose_all(struct fixture *self)
{
    self->message_count = 0;
}

static uint64_t confirmed(const struct fixture *self, uint64_t id)
{
    return self->replicas[id].confirmed;
}

/* ---- The way of a read -------------------------------------------------------------------------- */

/* Who is alone asks nobody. */
static void test_a_group_of_one_confirms_at_once(void **state)
{
    struct fixture *self = group(state, 1, 0);
    for (uint64_t ticket = 1; ticket <= 3; ticket++) {
        assert_int_equal(ask(self, 1), ticket);
        assert_int_equal(confirmed(self, 1), ticket);
        assert_int_equal(self->replicas[1].index, 100);
    }
    assert_int_equal(self->message_count, 0);
    assert_true(read_index_deadline_ms(self->replicas[1].reads) == INT64_MAX);
}

/* Of three, one other makes the majority; of five, two others do. */
static void test_the_leader_asks_a_majority(void **state)
{
    struct fixture *self = group(state, 5, 0);
    assert_int_equal(ask(self, 1), 1);
    assert_int_equal(count(self, PEER_ROUND), 4);
    for (uint64_t id = 2; id <= 3; id++) {
        assert_int_equal(confirmed(self, 1), 0);
        deliver(self, PEER_ROUND, id);
        deliver(self, PEER_ROUND_RESULT, 1);
    }
    assert_int_equal(confirmed(self, 1), 1);
    assert_int_equal(self->replicas[1].index, 100);
}

/* Any other member, with or without a vote, asks the leader, which asks the voters. */
static void test_a_follower_asks_the_leader(void **state)
{
    struct fixture *self = group(state, 3, 1);
    for (uint64_t id = 2; id <= 4; id++) {
        self->replicas[1].view.commit_index = 200 + id;
        assert_int_equal(ask(self, id), 1);
        assert_int_equal(count(self, PEER_READ), 1);
        deliver(self, PEER_READ, 1);
        assert_int_equal(count(self, PEER_ROUND), 2);
        deliver_all(self);
        assert_int_equal(confirmed(self, id), 1);
        assert_int_equal(self->replicas[id].index, 200 + id);
    }
}

/* A thousand reads, of the leader's own and of a follower's, that come during a round cost one more
 * round. */
static void test_reads_are_batched(void **state)
{
    struct fixture *self = group(state, 3, 0);
    for (int i = 0; i < 1000; i++) {
        ask(self, 1);
        ask(self, 2);
    }
    assert_int_equal(count(self, PEER_READ), 1);
    assert_int_equal(count(self, PEER_ROUND), 2);
    size_t rounds = 0;
    while (self->message_count > 0) {
        rounds += self->messages[0].kind == PEER_ROUND;
        deliver(self, self->messages[0].kind, self->messages[0].to);
    }
    assert_int_equal(confirmed(self, 1), 1000);
    assert_int_equal(confirmed(self, 2), 1000);
    assert_in_range(rounds, 4, 8);
}

/* ---- I1 ----------------------------------------------------------------------------------------- */

/* A read that comes to the leader during a round is not confirmed by it. */
static void test_a_round_that_is_under_way_confirms_no_later_read(void **state)
{
    struct fixture *self = group(state, 3, 0);
    ask(self, 1);
    deliver(self, PEER_ROUND, 2);
    ask(self, 1);
    deliver(self, PEER_ROUND_RESULT, 1);
    assert_int_equal(confirmed(self, 1), 1);
    /* The next round has begun. What is left of the first says nothing about it. */
    deliver(self, PEER_ROUND, 3);
    assert_int_equal(confirmed(self, 1), 1);
    deliver_all(self);
    assert_int_equal(confirmed(self, 1), 2);
}

/* And neither is a question. */
static void test_a_round_that_is_under_way_answers_no_later_question(void **state)
{
    struct fixture *self = group(state, 3, 0);
    ask(self, 1);
    ask(self, 3);
    deliver(self, PEER_ROUND, 2);
    deliver(self, PEER_READ, 1);
    self->replicas[1].view.commit_index = 101;
    deliver(self, PEER_ROUND_RESULT, 1);
    assert_int_equal(count(self, PEER_READ_RESULT), 0);
    deliver_all(self);
    assert_int_equal(confirmed(self, 3), 1);
    assert_int_equal(self->replicas[3].index, 101);
}

/* At a follower the same: an answer is for the reads that were there when the question was sent, also
 * when it was sent again since. */
static void test_a_question_is_for_the_reads_before_it(void **state)
{
    struct fixture *self = group(state, 3, 0);
    ask(self, 2);
    ask(self, 2);
    pass_ms(self, READ_RETRY_MS);
    assert_int_equal(count(self, PEER_READ), 2);
    take(self, PEER_READ, 1);
    deliver(self, PEER_READ, 1);
    deliver(self, PEER_ROUND, 3);
    deliver(self, PEER_ROUND_RESULT, 1);
    deliver(self, PEER_READ_RESULT, 2);
    assert_int_equal(confirmed(self, 2), 1);
    deliver_all(self);
    assert_int_equal(confirmed(self, 2), 2);
}

/* The index is that of the round's beginning: what is committed later need not be waited for. */
static void test_the_index_is_that_of_the_rounds_beginning(void **state)
{
    struct fixture *self = group(state, 3, 0);
    ask(self, 1);
    self->replicas[1].view.commit_index = 500;
    deliver_all(self);
    assert_int_equal(self->replicas[1].index, 100);
}

/* ---- I2 ----------------------------------------------------------------------------------------- */

/* A leader without a committed entry of its own begins no round; what came meanwhile, its own reads
 * and questions, goes into the first one. */
static void test_a_new_leader_commits_first(void **state)
{
    struct fixture *self = group(state, 3, 0);
    self->replicas[1].view.leading = false;
    set_leader(self, 6, 1);
    self->replicas[1].view.leading = false;
    self->replicas[1].view.term = self->replicas[2].view.term = self->replicas[3].view.term = 7;
    turn(self);
    ask(self, 1);
    ask(self, 2);
    deliver(self, PEER_READ, 1);
    pass_ms(self, READ_RETRY_MS / 2);
    assert_int_equal(self->message_count, 0);
    self->replicas[1].view.leading = true;
    self->replicas[1].view.commit_index = 150;
    turn(self);
    assert_int_equal(count(self, PEER_ROUND), 2);
    deliver_all(self);
    assert_int_equal(confirmed(self, 1), 1);
    assert_int_equal(confirmed(self, 2), 1);
    assert_int_equal(self->replicas[2].index, 150);
}

/* One that leads no more, though it knows of no other leader yet, counts nothing. */
static void test_a_leader_that_leads_no_more_confirms_nothing(void **state)
{
    struct fixture *self = group(state, 3, 0);
    ask(self, 1);
    deliver(self, PEER_ROUND, 2);
    self->replicas[1].view.leading = false;
    deliver(self, PEER_ROUND_RESULT, 1);
    assert_int_equal(confirmed(self, 1), 0);
}

/* ---- I3 ----------------------------------------------------------------------------------------- */

/* An answer to the process before this one is no answer, though the numbers are the same. */
static void test_an_answer_to_an_earlier_process_confirms_nothing(void **state)
{
    struct fixture *self = group(state, 3, 0);
    ask(self, 2);
    deliver(self, PEER_READ, 1);
    deliver(self, PEER_ROUND, 3);
    deliver(self, PEER_ROUND_RESULT, 1);
    const struct peer_message old = take(self, PEER_READ_RESULT, 2);
    lose_all(self);
    start(self, 2);
    set_leader(self, 5, 1);
    self->replicas[1].view.commit_index = 101;
    ask(self, 2);
    assert_int_equal(self->messages[0].read.number, old.read.number);
    give(self, &old);
    assert_int_equal(confirmed(self, 2), 0);
    deliver_all(self);
    assert_int_equal(confirmed(self, 2), 1);
    assert_int_equal(self->replicas[2].index, 101);
}

/* A question of the process before comes late: it does not stand in the way of the new one's. */
static void test_a_late_question_of_an_earlier_process_does_no_harm(void **state)
{
    struct fixture *self = group(state, 3, 0);
    ask(self, 2);
    const struct peer_message old = take(self, PEER_READ, 1);
    start(self, 2);
    set_leader(self, 5, 1);
    ask(self, 2);
    deliver(self, PEER_READ, 1);
    give(self, &old);
    deliver_all(self);
    pass_ms(self, READ_RETRY_MS);
    deliver_all(self);
    assert_int_equal(confirmed(self, 2), 1);
}

/* Results for a round of the process before say nothing to this one, not even in the same term. */
static void test_results_of_an_earlier_process_confirm_nothing(void **state)
{
    struct fixture *self = group(state, 3, 0);
    ask(self, 1);
    deliver(self, PEER_ROUND, 2);
    const struct peer_message old = take(self, PEER_ROUND_RESULT, 1);
    lose_all(self);
    start(self, 1);
    set_leader(self, 5, 1);
    ask(self, 1);
    give(self, &old);
    assert_int_equal(confirmed(self, 1), 0);
    deliver_all(self);
    assert_int_equal(confirmed(self, 1), 1);
}

/* Nor do results of another term. */
static void test_results_of_another_term_confirm_nothing(void **state)
{
    struct fixture *self = group(state, 3, 0);
    ask(self, 1);
    struct peer_message round = take(self, PEER_ROUND, 2);
    set_leader(self, 6, 1);
    give(self, &round);
    assert_int_equal(count(self, PEER_ROUND_RESULT), 0);
    /* And if one came all the same, with the number of the present round: */
    struct peer_message result = {.kind = PEER_ROUND_RESULT, .from = 2, .to = 1, .term = 5};
    lose_all(self);
    pass_ms(self, READ_RETRY_MS);
    result.round.number = take(self, PEER_ROUND, 2).round.number;
    give(self, &result);
    assert_int_equal(confirmed(self, 1), 0);
    result.term = 6;
    give(self, &result);
    assert_int_equal(confirmed(self, 1), 1);
}

/* Nor does a round outlive the term that it began in, though the same replica leads in the next:
 * another may have led between. */
static void test_a_round_ends_with_its_term(void **state)
{
    struct fixture *self = group(state, 3, 0);
    ask(self, 1);
    lose_all(self);
    self->replicas[1].view.commit_index = 170;
    set_leader(self, 6, 1);
    deliver_all(self);
    assert_int_equal(confirmed(self, 1), 1);
    assert_int_equal(self->replicas[1].index, 170);
}

/* And who waited for it is not answered by another term's round: he has asked anew. */
static void test_a_question_ends_with_its_term(void **state)
{
    struct fixture *self = group(state, 3, 0);
    ask(self, 2);
    deliver(self, PEER_READ, 1);
    lose_all(self);
    set_leader(self, 6, 1);
    const struct peer_message anew = take(self, PEER_READ, 1);
    ask(self, 1);
    deliver(self, PEER_ROUND, 3);
    deliver(self, PEER_ROUND_RESULT, 1);
    assert_int_equal(confirmed(self, 1), 1);
    assert_int_equal(count(self, PEER_READ_RESULT), 0);
    give(self, &anew);
    deliver_all(self);
    assert_int_equal(confirmed(self, 2), 1);
}

/* An answer that comes twice does not confirm the reads of the next question. */
static void test_a_doubled_answer_confirms_nothing_new(void **state)
{
    struct fixture *self = group(state, 3, 0);
    ask(self, 2);
    deliver(self, PEER_READ, 1);
    deliver(self, PEER_ROUND, 3);
    deliver(self, PEER_ROUND_RESULT, 1);
    const struct peer_message answer = take(self, PEER_READ_RESULT, 2);
    give(self, &answer);
    ask(self, 2);
    give(self, &answer);
    assert_int_equal(confirmed(self, 2), 1);
}

/* Neither a follower nor another term has anything to say about a question to the leader. */
static void test_only_the_leader_of_the_term_answers(void **state)
{
    struct fixture *self = group(state, 3, 0);
    ask(self, 2);
    const struct peer_message question = take(self, PEER_READ, 1);
    struct peer_message answer = {.kind = PEER_READ_RESULT, .from = 3, .to = 2, .term = 5};
    answer.read = question.read;
    answer.read.index = 1;
    give(self, &answer);
    assert_int_equal(confirmed(self, 2), 0);
    answer.from = 1;
    answer.term = 4;
    give(self, &answer);
    assert_int_equal(confirmed(self, 2), 0);
    answer.term = 5;
    give(self, &answer);
    assert_int_equal(confirmed(self, 2), 1);
}

/* What a deposed leader answers late is not taken; the new one is asked. */
static void test_an_answer_of_an_earlier_leader_confirms_nothing(void **state)
{
    struct fixture *self = group(state, 3, 0);
    ask(self, 2);
    deliver(self, PEER_READ, 1);
    deliver(self, PEER_ROUND, 3);
    deliver(self, PEER_ROUND_RESULT, 1);
    const struct peer_message old = take(self, PEER_READ_RESULT, 2);
    lose_all(self);
    set_leader(self, 6, 3);
    give(self, &old);
    assert_int_equal(confirmed(self, 2), 0);
    assert_int_equal(take(self, PEER_READ, 3).term, 6);
}

/* ---- Who counts --------------------------------------------------------------------------------- */

static void test_a_doubled_result_counts_once(void **state)
{
    struct fixture *self = group(state, 5, 0);
    ask(self, 1);
    deliver(self, PEER_ROUND, 2);
    const struct peer_message result = take(self, PEER_ROUND_RESULT, 1);
    for (int i = 0; i < 5; i++)
        give(self, &result);
    assert_int_equal(confirmed(self, 1), 0);
    deliver(self, PEER_ROUND, 3);
    deliver(self, PEER_ROUND_RESULT, 1);
    assert_int_equal(confirmed(self, 1), 1);
}

static void test_results_of_a_former_round_do_not_count(void **state)
{
    struct fixture *self = group(state, 3, 0);
    ask(self, 1);
    deliver(self, PEER_ROUND, 2);
    deliver(self, PEER_ROUND, 3);
    const struct peer_message late = take(self, PEER_ROUND_RESULT, 1);
    deliver(self, PEER_ROUND_RESULT, 1);
    assert_int_equal(confirmed(self, 1), 1);
    ask(self, 1);
    give(self, &late);
    assert_int_equal(confirmed(self, 1), 1);
}

/* Learners are not asked; their results, and those of strangers, don't count. */
static void test_only_voters_count(void **state)
{
    struct fixture *self = group(state, 3, 1);
    ask(self, 1);
    assert_int_equal(count(self, PEER_ROUND), 2);
    struct peer_message result = {.kind = PEER_ROUND_RESULT, .to = 1, .term = 5};
    result.round.number = take(self, PEER_ROUND, 2).round.number;
    static const uint64_t others[] = {4, 5, 99, 1};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        result.from = others[i];
        give(self, &result);
        assert_int_equal(confirmed(self, 1), 0);
    }
    result.from = 2;
    give(self, &result);
    assert_int_equal(confirmed(self, 1), 1);
}

/* A leader that is on its way out is no voter, and does not count itself. */
static void test_a_leader_without_a_vote_does_not_count(void **state)
{
    struct fixture *self = group(state, 3, 0);
    self->replicas[1].membership.members[0].role = MEMBER_LEARNER;
    ask(self, 1);
    deliver(self, PEER_ROUND, 2);
    deliver(self, PEER_ROUND_RESULT, 1);
    assert_int_equal(confirmed(self, 1), 0);
    deliver(self, PEER_ROUND, 3);
    deliver(self, PEER_ROUND_RESULT, 1);
    assert_int_equal(confirmed(self, 1), 1);
}

/* Another membership comes into force during a round: it begins anew, and what was said before
 * counts no more, also where there are as many voters as before. */
static void test_a_round_under_another_membership_begins_anew(void **state)
{
    struct fixture *self = group(state, 5, 0);
    ask(self, 1);
    deliver(self, PEER_ROUND, 2);
    deliver(self, PEER_ROUND, 3);
    deliver(self, PEER_ROUND_RESULT, 1);
    const struct peer_message old = take(self, PEER_ROUND_RESULT, 1);
    lose_all(self);
    set_members(self, 6, 0);
    give(self, &old);
    assert_int_equal(confirmed(self, 1), 0);
    assert_int_equal(count(self, PEER_ROUND), 5);
    start(self, 6);
    set_leader(self, 5, 1);
    for (uint64_t id = 2; id <= 4; id++) {
        assert_int_equal(confirmed(self, 1), 0);
        deliver(self, PEER_ROUND, id);
        deliver(self, PEER_ROUND_RESULT, 1);
    }
    assert_int_equal(confirmed(self, 1), 1);

    lose_all(self);
    ask(self, 1);
    lose_all(self);
    self->replicas[1].membership.members[5].id = 7;
    turn(self);
    assert_int_equal(count(self, PEER_ROUND), 5);
    assert_int_equal(take(self, PEER_ROUND, 7).kind, PEER_ROUND);
    lose_all(self);
    set_members(self, 5, 0);
    self->replicas[1].view.commit_index = 300;
    turn(self);
    assert_int_equal(count(self, PEER_ROUND), 4);
    deliver_all(self);
    assert_int_equal(self->replicas[1].index, 300);
}

/* A question that waited for the round that began anew is answered by it. */
static void test_questions_outlive_a_change_of_membership(void **state)
{
    struct fixture *self = group(state, 3, 0);
    ask(self, 2);
    deliver(self, PEER_READ, 1);
    lose_all(self);
    set_members(self, 4, 0);
    start(self, 4);
    set_leader(self, 5, 1);
    deliver_all(self);
    assert_int_equal(confirmed(self, 2), 1);
}

/* Who is in no membership is not answered. */
static void test_strangers_are_not_answered(void **state)
{
    struct fixture *self = group(state, 3, 0);
    struct peer_message question = {.kind = PEER_READ, .from = 9, .to = 1, .term = 5};
    question.read.number = 1;
    give(self, &question);
    assert_int_equal(self->message_count, 0);
}

/* However many come and go, a member's question finds its place. */
static void test_members_that_come_and_go_leave_no_trace(void **state)
{
    struct fixture *self = group(state, 3, 0);
    for (uint64_t id = 100; id < 100 + 3 * MEMBERS_MAX; id++) {
        struct membership *membership = &self->replicas[1].membership;
        membership->count = MEMBERS_MAX;
        for (uint64_t i = 3; i < MEMBERS_MAX; i++) {
            membership->members[i].id = id + i;
            membership->members[i].role = MEMBER_LEARNER;
        }
        for (uint64_t i = 3; i < MEMBERS_MAX; i++) {
            struct peer_message question = {.kind = PEER_READ, .from = id + i, .to = 1, .term = 5};
            question.read.number = 1000 - id;
            question.read.start_id = id;
            give(self, &question);
        }
        deliver(self, PEER_ROUND, 2);
        deliver(self, PEER_ROUND_RESULT, 1);
        while (count(self, PEER_ROUND) > 0) {
            deliver(self, PEER_ROUND, 0);
            deliver(self, PEER_ROUND_RESULT, 1);
        }
        assert_int_equal(count(self, PEER_READ_RESULT), MEMBERS_MAX - 3);
        lose_all(self);
    }
}

/* ---- What is lost, and when --------------------------------------------------------------------- */

/* A round is repeated for those who have not answered, and a question for the leader; no sooner than
 * after READ_RETRY_MS, and for as long as it takes. */
static void test_what_may_be_lost_is_sent_again(void **state)
{
    struct fixture *self = group(state, 5, 0);
    ask(self, 1);
    deliver(self, PEER_ROUND, 2);
    deliver(self, PEER_ROUND_RESULT, 1);
    lose_all(self);
    for (int i = 0; i < 5; i++) {
        pass_ms(self, READ_RETRY_MS - 1);
        assert_int_equal(self->message_count, 0);
        assert_int_equal(read_index_deadline_ms(self->replicas[1].reads),
                         self->replicas[1].view.now_ms + 1);
        pass_ms(self, 1);
        assert_int_equal(count(self, PEER_ROUND), 3);
        lose_all(self);
    }
    ask(self, 4);
    lose_all(self);
    pass_ms(self, READ_RETRY_MS - 1);
    assert_int_equal(count(self, PEER_READ), 0);
    pass_ms(self, 1);
    assert_int_equal(count(self, PEER_READ), 1);
    deliver_all(self);
    assert_int_equal(confirmed(self, 1), 1);
    assert_int_equal(confirmed(self, 4), 1);
    assert_true(read_index_deadline_ms(self->replicas[1].reads) == INT64_MAX);
    assert_true(read_index_deadline_ms(self->replicas[4].reads) == INT64_MAX);
}

/* A question that is asked again while it waits neither loses its place nor is answered twice; where
 * the answer was lost, it is answered again. */
static void test_a_repeated_question_keeps_its_place(void **state)
{
    struct fixture *self = group(state, 3, 0);
    ask(self, 2);
    pass_ms(self, READ_RETRY_MS);
    deliver(self, PEER_READ, 1);
    deliver(self, PEER_ROUND, 3);
    deliver(self, PEER_READ, 1);
    deliver(self, PEER_ROUND_RESULT, 1);
    assert_int_equal(count(self, PEER_READ_RESULT), 1);
    lose_all(self);
    pass_ms(self, READ_RETRY_MS);
    deliver_all(self);
    assert_int_equal(confirmed(self, 2), 1);
}

/* A late question with a lower number than one that waits is not worth a word. */
static void test_an_old_question_does_not_replace_a_newer_one(void **state)
{
    struct fixture *self = group(state, 3, 0);
    ask(self, 2);
    const struct peer_message old = self->messages[0];
    deliver_all(self);
    ask(self, 2);
    deliver(self, PEER_READ, 1);
    give(self, &old);
    deliver_all(self);
    assert_int_equal(confirmed(self, 2), 2);
}

/* Without a leader nothing is sent and nothing is due; the first that is known is asked. */
static void test_reads_wait_for_a_leader(void **state)
{
    struct fixture *self = group(state, 3, 0);
    set_leader(self, 6, 0);
    ask(self, 2);
    ask(self, 2);
    pass_ms(self, 1000);
    assert_int_equal(self->message_count, 0);
    assert_true(read_index_deadline_ms(self->replicas[2].reads) == INT64_MAX);
    set_leader(self, 7, 3);
    assert_int_equal(take(self, PEER_READ, 3).read.number, 1);
}

/* What a leader had not confirmed when it lost the lead, it asks of the next one; and a follower that
 * takes the lead confirms its own. */
static void test_reads_move_with_the_lead(void **state)
{
    struct fixture *self = group(state, 3, 0);
    ask(self, 1);
    ask(self, 2);
    lose_all(self);
    set_leader(self, 6, 2);
    assert_int_equal(count(self, PEER_READ), 1);
    assert_int_equal(count(self, PEER_ROUND), 2);
    deliver_all(self);
    assert_int_equal(confirmed(self, 1), 1);
    assert_int_equal(confirmed(self, 2), 1);
}

/* Only a replica of that very term says that the term stands. */
static void test_a_replica_of_another_term_is_silent(void **state)
{
    struct fixture *self = group(state, 3, 0);
    ask(self, 1);
    self->replicas[2].view.term = 6;
    self->replicas[3].view.term = 4;
    deliver_all(self);
    assert_int_equal(confirmed(self, 1), 0);
}

/* More than half, and never of nobody. */
static void test_the_rule(void **state)
{
    (void)state;
    for (size_t voters = 0; voters <= MEMBERS_MAX; voters++)
        for (size_t some = 0; some <= voters; some++)
            assert_int_equal(read_rule_confirmed(some, voters), 2 * some > voters);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_group_of_one_confirms_at_once),
        TEST(test_the_leader_asks_a_majority),
        TEST(test_a_follower_asks_the_leader),
        TEST(test_reads_are_batched),
        TEST(test_a_round_that_is_under_way_confirms_no_later_read),
        TEST(test_a_round_that_is_under_way_answers_no_later_question),
        TEST(test_a_question_is_for_the_reads_before_it),
        TEST(test_the_index_is_that_of_the_rounds_beginning),
        TEST(test_a_new_leader_commits_first),
        TEST(test_a_leader_that_leads_no_more_confirms_nothing),
        TEST(test_an_answer_to_an_earlier_process_confirms_nothing),
        TEST(test_a_late_question_of_an_earlier_process_does_no_harm),
        TEST(test_results_of_an_earlier_process_confirm_nothing),
        TEST(test_results_of_another_term_confirm_nothing),
        TEST(test_a_round_ends_with_its_term),
        TEST(test_a_question_ends_with_its_term),
        TEST(test_a_doubled_answer_confirms_nothing_new),
        TEST(test_only_the_leader_of_the_term_answers),
        TEST(test_an_answer_of_an_earlier_leader_confirms_nothing),
        TEST(test_a_doubled_result_counts_once),
        TEST(test_results_of_a_former_round_do_not_count),
        TEST(test_only_voters_count),
        TEST(test_a_leader_without_a_vote_does_not_count),
        TEST(test_a_round_under_another_membership_begins_anew),
        TEST(test_questions_outlive_a_change_of_membership),
        TEST(test_strangers_are_not_answered),
        TEST(test_members_that_come_and_go_leave_no_trace),
        TEST(test_what_may_be_lost_is_sent_again),
        TEST(test_a_repeated_question_keeps_its_place),
        TEST(test_an_old_question_does_not_replace_a_newer_one),
        TEST(test_reads_wait_for_a_leader),
        TEST(test_reads_move_with_the_lead),
        TEST(test_a_replica_of_another_term_is_silent),
        TEST(test_the_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
