/* See read_index.h.
 *
 * Reads wait in one of two ways, by what the replica is. One that follows has at most one question
 * open, for the reads up to some ticket; those that come meanwhile wait for the next. One that leads
 * has at most one round open, for its own reads up to some ticket and for the questions that had come
 * when it began.
 *
 *   question: closed  follow_turn (a leader is known)        -> open
 *             open    follow_take_result, era_begin          -> closed
 *   round:    closed  round_begin                            -> open
 *             open    round_check (confirmed),
 *                     round_cancel (its voters are others,
 *                     or this replica leads no more)         -> closed
 *   asker:    idle    asker_take (a question came)           -> waits
 *             waits   round_begin                            -> in the round
 *             in it   round_answer -> idle; round_cancel     -> waits
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/read_index.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"

struct question {
    bool open;
    uint64_t number; /* from 1: no two of a process are alike */
    uint64_t ticket; /* it is asked for the reads up to this one */
    int64_t sent_ms;
};

struct round_voter {
    uint64_t id;
    bool confirmed;
};

struct round {
    bool open;
    uint64_t
        number; /* counted from the process's start id, so that no earlier process has had it */
    uint64_t ticket;     /* own reads up to this one were there when it began */
    replica_index index; /* the commit index then */
    int64_t sent_ms;     /* last to those who have not confirmed */
    size_t voter_count;
    struct round_voter voters[MEMBERS_MAX]; /* when it began */
};

enum asker_state { ASKER_IDLE, ASKER_WAITS, ASKER_IN_ROUND };

/* Another replica, and its last question. */
struct asker {
    uint64_t id; /* 0: nobody */
    uint64_t start_id;
    uint64_t number;
    enum asker_state state;
};

struct read_index {
    struct read_index_sink sink;
    replica_term term; /* of the era: with another term or leader all begins anew */
    uint64_t leader;
    uint64_t asked;     /* the last ticket */
    uint64_t confirmed; /* the last of the tickets that are */
    struct question question;
    struct round round;
    uint64_t round_count;
    struct asker askers[MEMBERS_MAX];
};

struct read_index *read_index_new(const struct read_index_sink *sink)
{
    struct read_index *self = alloc_zero(sizeof *self);
    self->sink = *sink;
    return self;
}

void read_index_destroy(struct read_index **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

static void send_to(struct read_index *self, const struct read_index_view *view, uint64_t to,
                    struct peer_message *message)
{
    message->from = view->id;
    message->start_id = view->start_id;
    message->to = to;
    message->term = view->term;
    (*self->sink.send)(self->sink.arg, message);
}

/* Reads up to @ticket are confirmed; what is said twice is heard once. */
static void confirm(struct read_index *self, uint64_t ticket, replica_index index)
{
    assert(ticket <= self->asked);
    if (ticket <= self->confirmed)
        return;
    self->confirmed = ticket;
    self->sink.confirm(self->sink.arg, ticket, index);
}

/* ---- Leading ------------------------------------------------------------------------------------ */

static void round_answer(struct read_index *self, const struct read_index_view *view,
                         struct asker *asker)
{
    struct peer_message result = {.kind = PEER_READ_RESULT};
    result.read.start_id = asker->start_id;
    result.read.number = asker->number;
    result.read.index = self->round.index;
    asker->state = ASKER_IDLE;
    send_to(self, view, asker->id, &result);
}

/* Close the round when enough have confirmed it, with all that waited for it. */
static void round_check(struct read_index *self, const struct read_index_view *view)
{
    struct round *round = &self->round;
    size_t confirmed = 0;
    for (size_t i = 0; i < round->voter_count; i++)
        confirmed += round->voters[i].confirmed;
    if (!read_rule_confirmed(confirmed, round->voter_count))
        return;
    round->open = false;
    confirm(self, round->ticket, round->index);
    for (size_t i = 0; i < MEMBERS_MAX; i++)
        if (self->askers[i].state == ASKER_IN_ROUND)
            round_answer(self, view, &self->askers[i]);
}

/* Give up the round; who waited for it waits for the next. */
static void round_cancel(struct read_index *self)
{
    self->round.open = false;
    for (size_t i = 0; i < MEMBERS_MAX; i++)
        if (self->askers[i].state == ASKER_IN_ROUND)
            self->askers[i].state = ASKER_WAITS;
}

/* Ask those who have not confirmed it, for the first time or again. */
static void round_send(struct read_index *self, const struct read_index_view *view)
{
    struct round *round = &self->round;
    round->sent_ms = view->now_ms;
    for (size_t i = 0; i < round->voter_count; i++) {
        if (round->voters[i].confirmed)
            continue;
        struct peer_message message = {.kind = PEER_ROUND};
        message.round.number = round->number;
        send_to(self, view, round->voters[i].id, &message);
    }
}

/* I1: everything that waits at this moment is in it, and nothing that comes later. */
static void round_begin(struct read_index *self, const struct read_index_view *view)
{
    struct round *round = &self->round;
    *round = (struct round){
        .open = true,
        .number = view->start_id + ++self->round_count,
        .ticket = self->asked,
        .index = view->commit_index,
    };
    for (size_t i = 0; i < view->membership->count; i++) {
        const struct member *member = &view->membership->members[i];
        if (member->role == MEMBER_VOTER)
            round->voters[round->voter_count++] =
                (struct round_voter){.id = member->id, .confirmed = member->id == view->id};
    }
    for (size_t i = 0; i < MEMBERS_MAX; i++)
        if (self->askers[i].state == ASKER_WAITS)
            self->askers[i].state = ASKER_IN_ROUND;
    round_send(self, view);
    round_check(self, view);
}

/* Whether the voters are those with whom the round began. A majority of others says nothing. */
static bool round_is_of(const struct round *round, const struct membership *membership)
{
    size_t voters = 0;
    for (size_t i = 0; i < membership->count; i++) {
        if (membership->members[i].role != MEMBER_VOTER)
            continue;
        if (voters == round->voter_count || round->voters[voters].id != membership->members[i].id)
            return false;
        voters++;
    }
    return voters == round->voter_count;
}

static void round_take_result(struct read_index *self, const struct peer_message *message,
                              const struct read_index_view *view)
{
    struct round *round = &self->round;
    /* I3. The term is that of the round: a round ends with the era. */
    if (!round->open || message->round.number != round->number || message->term != view->term)
        return;
    for (size_t i = 0; i < round->voter_count; i++)
        if (round->voters[i].id == message->from)
            round->voters[i].confirmed = true;
    round_check(self, view);
}

static bool somebody_waits(const struct read_index *self)
{
    for (size_t i = 0; i < MEMBERS_MAX; i++)
        if (self->askers[i].state == ASKER_WAITS)
            return true;
    return self->asked > self->confirmed;
}

static void lead_turn(struct read_index *self, const struct read_index_view *view)
{
    if (self->round.open && !round_is_of(&self->round, view->membership))
        round_cancel(self);
    if (self->round.open && view->now_ms >= self->round.sent_ms + READ_RETRY_MS)
        round_send(self, view);
    if (!self->round.open && somebody_waits(self))
        round_begin(self, view);
}

/* Its place, or one that nobody of the membership has: there is one, as this replica needs none. */
static struct asker *asker_find(struct read_index *self, uint64_t id,
                                const struct membership *membership)
{
    struct asker *vacant = NULL;
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        if (self->askers[i].id == id)
            return &self->askers[i];
        if (membership_find(membership, self->askers[i].id) == NULL)
            vacant = &self->askers[i];
    }
    assert(vacant != NULL);
    *vacant = (struct asker){.id = id};
    return vacant;
}

/* A question came. It is kept even while I2 forbids a round; a leader-to-be has the same term. */
static void asker_take(struct read_index *self, const struct peer_message *message,
                       const struct read_index_view *view)
{
    if (view->leader != view->id || message->term != view->term || message->from == view->id ||
        membership_find(view->membership, message->from) == NULL)
        return;
    struct asker *asker = asker_find(self, message->from, view->membership);
    const bool same_process = asker->start_id == message->read.start_id;
    if (same_process && message->read.number < asker->number)
        return;
    /* What it asks again while it waits has its place already. */
    if (same_process && message->read.number == asker->number && asker->state != ASKER_IDLE)
        return;
    asker->start_id = message->read.start_id;
    asker->number = message->read.number;
    asker->state = ASKER_WAITS;
}

/* ---- Following ---------------------------------------------------------------------------------- */

static void question_send(struct read_index *self, const struct read_index_view *view)
{
    struct peer_message message = {.kind = PEER_READ};
    message.read.start_id = view->start_id;
    message.read.number = self->question.number;
    self->question.sent_ms = view->now_ms;
    send_to(self, view, view->leader, &message);
}

static void follow_turn(struct read_index *self, const struct read_index_view *view)
{
    struct question *question = &self->question;
    if (view->leader == 0 || view->leader == view->id)
        return;
    if (question->open && view->now_ms < question->sent_ms + READ_RETRY_MS)
        return;
    if (!question->open && self->asked > self->confirmed) {
        question->open = true;
        question->number++;
        question->ticket = self->asked;
    }
    if (question->open)
        question_send(self, view);
}

static void follow_take_result(struct read_index *self, const struct peer_message *message,
                               const struct read_index_view *view)
{
    struct question *question = &self->question;
    /* I3. */
    if (!question->open || message->read.start_id != view->start_id ||
        message->read.number != question->number || message->from != view->leader ||
        message->term != view->term)
        return;
    question->open = false;
    confirm(self, question->ticket, message->read.index);
}

/* Say that the leader's term stands here. It is enough that this replica's own is no other: had it
 * voted in a higher one, it would have that. */
static void follow_take_round(struct read_index *self, const struct peer_message *message,
                              const struct read_index_view *view)
{
    if (message->term != view->term || view->leader == view->id)
        return;
    struct peer_message result = {.kind = PEER_ROUND_RESULT};
    result.round.number = message->round.number;
    send_to(self, view, message->from, &result);
}

/* ---- Events ------------------------------------------------------------------------------------- */

/* Another term or another leader: nothing that was asked, of whom or by whom, counts any more. Own
 * reads that wait are asked anew. */
static void era_begin(struct read_index *self, const struct read_index_view *view)
{
    self->term = view->term;
    self->leader = view->leader;
    self->question.open = false;
    self->round.open = false;
    for (size_t i = 0; i < MEMBERS_MAX; i++)
        self->askers[i] = (struct asker){0};
}

void read_index_turn(struct read_index *self, const struct read_index_view *view)
{
    assert(!view->leading || view->leader == view->id);
    if (self->term != view->term || self->leader != view->leader)
        era_begin(self, view);
    if (!view->leading)
        round_cancel(self);
    if (view->leading)
        lead_turn(self, view);
    else
        follow_turn(self, view);
}

uint64_t read_index_ask(struct read_index *self, const struct read_index_view *view)
{
    self->asked++;
    read_index_turn(self, view);
    return self->asked;
}

void read_index_receive(struct read_index *self, const struct peer_message *message,
                        const struct read_index_view *view)
{
    /* What has changed since the last event comes before the message. */
    read_index_turn(self, view);
    switch (message->kind) {
    case PEER_ROUND: follow_take_round(self, message, view); break;
    case PEER_ROUND_RESULT: round_take_result(self, message, view); break;
    case PEER_READ: asker_take(self, message, view); break;
    case PEER_READ_RESULT: follow_take_result(self, message, view); break;
    default: assert(false); break;
    }
    read_index_turn(self, view);
}

int64_t read_index_deadline_ms(const struct read_index *self)
{
    if (self->round.open)
        return self->round.sent_ms + READ_RETRY_MS;
    if (self->question.open)
        return self->question.sent_ms + READ_RETRY_MS;
    return INT64_MAX;
}
