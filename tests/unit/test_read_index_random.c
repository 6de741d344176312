/* Reads of a whole group under any order of events: messages that are lost, doubled and late, leaders
 * that don't know yet that they are deposed, replicas that begin anew, members that change. However
 * it goes, a read that is confirmed is confirmed with an index that covers all that was committed
 * anywhere when it was asked (R5 of replica.h).
 *
 * Consensus itself is played by the rules that read_index.h builds upon: terms rise and never fall; a
 * leader has been elected by a majority that has its term, and knows all that was committed before;
 * it commits while a majority has its term, and leads when it has committed so once.
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

enum { REPLICAS = 6, MESSAGES_MAX = 128, TICKETS_MAX = 4096, STEPS = 3000, SEEDS = 60 };

struct world;

struct replica {
    struct world *world;
    struct read_index *reads;
    struct read_index_view view;
    struct membership membership; /* the one that it knows of */
    uint64_t confirmed;           /* ticket */
    replica_index *committed;     /* by ticket: what was committed when it was asked */
};

struct world {
    uint64_t random;
    struct replica replicas[REPLICAS]; /* id - 1 */
    struct membership membership;      /* in force at the leader of the highest term */
    replica_term term;                 /* the highest */
    replica_index committed;           /* anywhere */
    struct peer_message messages[MESSAGES_MAX];
    size_t message_count;
    uint64_t start_id;
    size_t confirmations, elections, commits, changes;
};

/* xorshift64* */
static uint64_t draw(struct world *self, uint64_t below)
{
    self->random ^= self->random >> 12;
    self->random ^= self->random << 25;
    self->random ^= self->random >> 27;
    return (self->random * 0x2545f4914f6cdd1d >> 32) % below;
}

static void take_message(void *arg, struct peer_message *message)
{
    struct replica *self = arg;
    struct world *world = self->world;
    if (message->to > REPLICAS || draw(world, 10) == 0)
        return;
    const size_t place =
        world->message_count < MESSAGES_MAX ? world->message_count++ : draw(world, MESSAGES_MAX);
    world->messages[place] = *message;
}

/* The property. */
static void take_confirmation(void *arg, uint64_t ticket, replica_index index)
{
    struct replica *self = arg;
    assert_true(ticket > self->confirmed && ticket < TICKETS_MAX);
    /* What was committed never falls, so the last of them stands for all. */
    if (index < self->committed[ticket])
        fail_msg("read %d at %d is confirmed with %d, but %d was committed", (int)ticket,
                 (int)self->view.id, (int)index, (int)self->committed[ticket]);
    self->confirmed = ticket;
    self->world->confirmations++;
}

static void start(struct replica *self)
{
    const struct read_index_sink sink = {self, take_message, take_confirmation};
    read_index_destroy(&self->reads);
    self->reads = read_index_new(&sink);
    self->confirmed = 0;
    memset(self->committed, 0, TICKETS_MAX * sizeof *self->committed);
    self->view.start_id = ++self->world->start_id;
    self->view.leader = 0;
    self->view.leading = false;
}

static struct world *world_new(uint64_t seed)
{
    struct world *self = calloc(1, sizeof *self);
    self->random = seed * 0x9e3779b97f4a7c15 + 1;
    self->membership.count = 3 + draw(self, 3);
    for (size_t i = 0; i < self->membership.count; i++)
        self->membership.members[i] =
            (struct member){.id = 1 + i, .role = MEMBER_VOTER, .address = {(char)('a' + i)}};
    for (uint64_t i = 0; i < REPLICAS; i++) {
        struct replica *replica = &self->replicas[i];
        replica->world = self;
        replica->committed = calloc(TICKETS_MAX, sizeof *replica->committed);
        replica->membership = self->membership;
        replica->view.id = 1 + i;
        replica->view.term = 1;
        replica->view.membership = &replica->membership;
        start(replica);
    }
    self->term = 1;
    return self;
}

static void world_destroy(struct world **self_p)
{
    for (size_t i = 0; i < REPLICAS; i++) {
        read_index_destroy(&(*self_p)->replicas[i].reads);
        free((*self_p)->replicas[i].committed);
    }
    free(*self_p);
    *self_p = NULL;
}

/* ---- Consensus, played -------------------------------------------------------------------------- */

static bool is_voter(const struct membership *membership, uint64_t id)
{
    const struct member *member = membership_find(membership, id);
    return member != NULL && member->role == MEMBER_VOTER;
}

/* A majority of the voters, drawn. */
static void draw_majority(struct world *self, bool chosen[REPLICAS])
{
    size_t count = 0;
    memset(chosen, 0, REPLICAS * sizeof *chosen);
    while (count < membership_majority(&self->membership)) {
        const size_t place = draw(self, REPLICAS);
        if (!chosen[place] && is_voter(&self->membership, 1 + place)) {
            chosen[place] = true;
            count++;
        }
    }
}

/* A majority goes to a new term, and one of it leads; the others, an old leader among them, learn of
 * it later, or not. */
static void elect(struct world *self)
{
    bool voters[REPLICAS];
    uint64_t leader = 0;
    draw_majority(self, voters);
    self->term++;
    for (size_t i = 0; i < REPLICAS; i++) {
        if (!voters[i])
            continue;
        struct read_index_view *view = &self->replicas[i].view;
        view->term = self->term;
        view->leader = 0;
        view->leading = false;
        leader = view->id;
    }
    struct replica *elected = &self->replicas[leader - 1];
    elected->view.leader = leader;
    elected->membership = self->membership;
    self->elections++;
}

static struct replica *leader_of(struct world *self, replica_term term)
{
    for (size_t i = 0; i < REPLICAS; i++)
        if (self->replicas[i].view.term == term &&
            self->replicas[i].view.leader == self->replicas[i].view.id)
            return &self->replicas[i];
    return NULL;
}

/* A replica hears of the highest term and of its leader. */
static void tell(struct world *self, struct replica *replica)
{
    const struct replica *leader = leader_of(self, self->term);
    if (leader == NULL || leader == replica)
        return;
    replica->view.term = self->term;
    replica->view.leader = leader->view.id;
    replica->view.leading = false;
    replica->membership = self->membership;
}

/* A leader commits, if a majority has its term (no higher one, that is), and itself knows it first. */
static void commit(struct world *self)
{
    struct replica *leader = leader_of(self, self->term);
    size_t followers = 0;
    if (leader == NULL)
        return;
    for (size_t i = 0; i < REPLICAS; i++)
        followers +=
            is_voter(&self->membership, 1 + i) && self->replicas[i].view.term == self->term;
    if (followers < membership_majority(&self->membership))
        return;
    leader->view.commit_index = ++self->committed;
    leader->view.leading = true;
    self->commits++;
}

/* A leader that leads adds a voter, or takes one away: one at a time, and it counts at once. */
static void change_members(struct world *self)
{
    struct replica *leader = leader_of(self, self->term);
    if (leader == NULL || !leader->view.leading)
        return;
    const uint64_t id = 1 + draw(self, REPLICAS);
    struct membership *membership = &self->membership;
    bool majority[REPLICAS];
    if (is_voter(membership, id)) {
        if (id == leader->view.id || membership->count <= 2)
            return;
        size_t kept = 0;
        for (size_t i = 0; i < membership->count; i++)
            if (membership->members[i].id != id)
                membership->members[kept++] = membership->members[i];
        membership->count = kept;
    } else {
        membership->members[membership->count++] =
            (struct member){.id = id, .role = MEMBER_VOTER, .address = {(char)('a' + id)}};
    }
    leader->membership = *membership;
    /* The change is committed: a majority of the new ones has it, and with it the term. */
    draw_majority(self, majority);
    for (size_t i = 0; i < REPLICAS; i++)
        if (majority[i] && &self->replicas[i] != leader)
            tell(self, &self->replicas[i]);
    commit(self);
    self->changes++;
}

/* ---- Events ------------------------------------------------------------------------------------- */

static void ask(struct world *self, struct replica *replica)
{
    struct replica *one = replica;
    uint64_t ticket = 0;
    for (ticket = 1; ticket < TICKETS_MAX && one->committed[ticket] != 0; ticket++)
        continue;
    if (ticket == TICKETS_MAX || self->committed == 0)
        return;
    one->committed[ticket] = self->committed;
    assert_int_equal(read_index_ask(one->reads, &one->view), ticket);
}

/* One message, at random: so late as chance has it, and now and then again. */
static void deliver(struct world *self)
{
    if (self->message_count == 0)
        return;
    const size_t place = draw(self, self->message_count);
    const struct peer_message message = self->messages[place];
    if (draw(self, 5) != 0)
        self->messages[place] = self->messages[--self->message_count];
    struct replica *replica = &self->replicas[message.to - 1];
    read_index_receive(replica->reads, &message, &replica->view);
}

static void step(struct world *self)
{
    struct replica *replica = &self->replicas[draw(self, REPLICAS)];
    const uint64_t event = draw(self, 1000);
    replica->view.now_ms += (int64_t)draw(self, READ_RETRY_MS);
    if (event < 8)
        elect(self);
    else if (event < 12)
        start(replica);
    else if (event < 16)
        change_members(self);
    else if (event < 60)
        tell(self, replica);
    else if (event < 120)
        commit(self);
    else if (event < 220)
        ask(self, replica);
    else if (event < 300)
        read_index_turn(replica->reads, &replica->view);
    else
        deliver(self);
}

/* Each seed is one history; together they must have had something to say. */
static void test_a_read_never_misses_what_was_committed_before_it(void **state)
{
    size_t confirmations = 0, elections = 0, commits = 0, changes = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world *world = world_new(seed);
        for (int i = 0; i < STEPS; i++)
            step(world);
        confirmations += world->confirmations;
        elections += world->elections;
        commits += world->commits;
        changes += world->changes;
        world_destroy(&world);
    }
    print_message("%zu confirmations, %zu elections, %zu commits, %zu changes\n", confirmations,
                  elections, commits, changes);
    assert_true(confirmations > 10 * SEEDS && elections > 10 * SEEDS && commits > 10 * SEEDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_read_never_misses_what_was_committed_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
