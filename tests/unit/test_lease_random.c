/* The leader's side of leased caches under any order of events: feed, asks and answers that are
 * lost, doubled and late, caches that are slow, rounds that don't come, leaders that change, writes
 * that are never appended.
 *
 * Caches are played here by the rules that lease_table.h builds upon, as simply as can be: what a
 * cache has stored it serves while its lease lasts, and a fill is instantaneous. The judge knows
 * what they hold. However it goes: nobody holds a key that is being written, nor an old value (T2,
 * T3, T4, T5); the numbers of a term are contiguous (T1); each ask and each write is answered once
 * (T6).
 *
 * All clocks are one: what clocks do is the simulator's.
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

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/lease_table.h"

enum { CACHES = 4, NAMES = 300, POSTS = 64, TICKETS_MAX = 8192, STEPS = 2500, SEEDS = 300 };

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum answer { UNUSED, ASKED, ANSWERED };

struct cache {
    uint64_t session; /* 0: none */
    replica_term term;
    uint64_t epoch;
    bool synced;
    int64_t expiry;
    uint64_t last_seq, told_seq;
    uint64_t watermark;
    bool all_pending;
    bool pending[NAMES];     /* by name; beside all */
    uint64_t version[NAMES]; /* that it has stored; 0: nothing */
    int64_t deaf;            /* till then it takes nothing from the feed, and asks nothing */
};

/* What an ask was sent with. */
struct asked {
    size_t cache;
    uint64_t epoch;
    int64_t sent;
};

/* Something on its way: an ask or an answer, a message of the feed. */
struct post {
    enum { POST_NONE, POST_SYNC, POST_RENEW, POST_LEAVE, POST_FEED, POST_ANSWER } type;
    size_t cache;
    struct lease_ask ask;
    struct lease_action *action; /* ANSWER, FEED; a copy of its own */
};

struct write {
    uint64_t ticket;
    size_t first, count; /* keys */
    bool proposed;
};

struct world {
    uint64_t random;
    struct lease_table *table;
    int64_t now;
    uint64_t loss; /* in a hundred */
    bool busy;     /* with writes; else hardly */
    replica_term term;
    bool leading;
    uint64_t last_seq;
    size_t key_count;
    replica_index index;
    uint64_t version[NAMES];      /* applied; from 1 */
    replica_index changed[NAMES]; /* at that index */
    struct cache caches[CACHES];
    uint64_t sessions[CACHES * 64]; /* in the log */
    size_t session_count;
    uint64_t last_session;
    struct write writes[256];
    size_t write_count;
    struct post posts[POSTS];
    int64_t round; /* began then; -1: none is under way */
    enum answer *answers;
    struct asked *asked;
    uint64_t last_ticket, last_ask;
    size_t proposed, reads, lapses, elections, releases, grants, leaves;
};

/* xorshift64* */
static uint64_t draw(struct world *self, uint64_t below)
{
    self->random ^= self->random >> 12;
    self->random ^= self->random << 25;
    self->random ^= self->random >> 27;
    return (self->random * 0x2545f4914f6cdd1d >> 32) % below;
}

static size_t key_of(const char *name)
{
    return (size_t)strtoul(name + 1, NULL, 10);
}

static uint64_t ticket_new(struct world *self)
{
    assert_true(self->last_ticket + 1 < TICKETS_MAX);
    self->answers[++self->last_ticket] = ASKED;
    return self->last_ticket;
}

/* T6 */
static void answered(struct world *self, uint64_t ticket)
{
    assert_int_equal(self->answers[ticket], ASKED);
    self->answers[ticket] = ANSWERED;
}

/* ---- The judge ----------------------------------------------------------------------------- */

static bool may_serve(const struct world *self, const struct cache *cache, size_t key)
{
    return cache->synced && self->now < cache->expiry && cache->version[key] != 0;
}

static bool may_fill(const struct world *self, const struct cache *cache, size_t key)
{
    return cache->synced && self->now < cache->expiry && !cache->all_pending &&
           !cache->pending[key];
}

/* Nobody holds a key that is being written, nor may come to. */
static void judge_write(const struct world *self, const struct write *write)
{
    for (size_t i = 0; i < CACHES; i++)
        for (size_t key = write->first; key < write->first + write->count; key++)
            if (may_serve(self, &self->caches[i], key) || may_fill(self, &self->caches[i], key))
                fail_msg("cache %zu may have k%zu, which write %d changes", i, key,
                         (int)write->ticket);
}

static void judge(struct world *self)
{
    if (self->write_count > 0) {
        const struct write *write = &self->writes[draw(self, self->write_count)];
        if (write->proposed)
            judge_write(self, write);
    }
    for (size_t i = 0; i < CACHES; i++) {
        const size_t key = draw(self, self->key_count);
        if (!may_serve(self, &self->caches[i], key))
            continue;
        self->reads++;
        if (self->caches[i].version[key] != self->version[key])
            fail_msg("cache %zu serves an old k%zu", i, key);
    }
}

/* ---- Caches -------------------------------------------------------------------------------- */

static void cache_flush(struct cache *self)
{
    self->epoch++;
    self->synced = false;
    memset(self->version, 0, sizeof self->version);
    memset(self->pending, 0, sizeof self->pending);
    self->all_pending = false;
}

static void cache_apply_keys(struct cache *self, const struct lease_action *action, bool pending)
{
    if (action->keys.all) {
        self->all_pending = pending;
        if (pending)
            memset(self->pending, 0, sizeof self->pending);
    }
    for (size_t i = 0; i < action->keys.count; i++)
        self->pending[key_of(action->keys.keys[i])] = pending;
    for (size_t key = 0; key < NAMES; key++)
        if (self->pending[key] || self->all_pending)
            self->version[key] = 0;
}

/* C3 */
static void cache_hear(struct world *self, struct cache *cache, const struct lease_action *action)
{
    if (cache->session == 0 || action->term < cache->term || self->now < cache->deaf)
        return;
    const uint64_t next = cache->last_seq + (action->type != LEASE_BEAT);
    if (action->term > cache->term || (cache->synced && action->seq > next)) {
        cache->term = action->term;
        cache_flush(cache);
        return;
    }
    if (!cache->synced || action->seq <= cache->last_seq || action->type == LEASE_BEAT)
        return;
    cache->last_seq = action->seq;
    cache_apply_keys(cache, action, action->type == LEASE_INVALIDATE);
    if (action->type == LEASE_RELEASE && action->index > cache->watermark)
        cache->watermark = action->index;
}

static void cache_answered(struct cache *self, const struct asked *asked,
                           const struct lease_action *action)
{
    const int64_t expiry = asked->sent + action->remaining_ms;
    if (action->type == LEASE_REFUSE && action->code == ERR_NOT_FOUND) {
        self->session = 0;
        cache_flush(self);
    }
    if (action->type == LEASE_REFUSE && action->term > self->term)
        self->term = action->term;
    if (action->type == LEASE_REFUSE && action->code == ERR_MISMATCH && self->synced)
        cache_flush(self);
    if (action->type == LEASE_REFUSE || asked->epoch != self->epoch || action->term != self->term)
        return;
    assert_true(action->remaining_ms > 0 && action->remaining_ms <= LEASE_MS);
    if (action->type == LEASE_SYNCED && !self->synced) {
        self->synced = true;
        self->last_seq = action->seq;
        self->watermark = action->index;
        self->expiry = expiry;
        cache_apply_keys(self, action, true);
    }
    if (self->synced && expiry > self->expiry)
        self->expiry = expiry;
}

/* C5: by a replica that has applied the watermark, and perhaps no more than that. */
static void cache_fill(struct world *self, struct cache *cache, size_t key)
{
    if (!may_fill(self, cache, key))
        return;
    const bool applied = cache->watermark >= self->changed[key];
    if (self->version[key] > 1 && !applied)
        fail_msg("a fill may be answered with an old k%zu", key);
    cache->version[key] = self->version[key];
}

/* ---- What is on its way -------------------------------------------------------------------- */

static struct lease_action *action_copy(const struct lease_action *action)
{
    struct lease_action *copy = alloc_zero(sizeof *copy);
    *copy = *action;
    copy->keys.keys = alloc_zero((action->keys.count + 1) * sizeof(char *));
    for (size_t i = 0; i < action->keys.count; i++)
        copy->keys.keys[i] = alloc_copy(action->keys.keys[i], strlen(action->keys.keys[i]));
    return copy;
}

/* Some are lost, as is what another one takes the place of. */
static void post(struct world *self, const struct post *sent)
{
    struct post *place = &self->posts[draw(self, POSTS)];
    for (size_t i = 0; i < POSTS && place->type != POST_NONE; i++)
        place = &self->posts[i];
    if (draw(self, 100) < self->loss)
        return;
    if (place->type != POST_NONE)
        place = &self->posts[draw(self, POSTS)];
    lease_action_destroy(&place->action);
    *place = *sent;
    if (sent->action != NULL)
        place->action = action_copy(sent->action);
}

static void deliver_to_table(struct world *self, const struct post *sent)
{
    struct lease_ask ask = sent->ask;
    const uint64_t first = ask.ticket;
    if (sent->type == POST_LEAVE) {
        (void)lease_table_leave(self->table, ask.session, self->now);
        return;
    }
    ask.ticket = ticket_new(self);
    self->asked[ask.ticket] = self->asked[first];
    if (sent->type == POST_SYNC)
        lease_table_sync(self->table, &ask, self->now);
    else
        lease_table_renew(self->table, &ask, self->now);
}

/* One of them, at random; and now and then it comes again. */
static void deliver(struct world *self)
{
    struct post *place = &self->posts[draw(self, POSTS)];
    for (size_t tries = 0; place->type == POST_NONE && tries < POSTS; tries++)
        place = &self->posts[draw(self, POSTS)];
    if (place->type == POST_NONE)
        return;
    if (place->type == POST_ANSWER)
        cache_answered(&self->caches[place->cache], &self->asked[place->action->ticket],
                       place->action);
    else if (place->type == POST_FEED)
        cache_hear(self, &self->caches[place->cache], place->action);
    else
        deliver_to_table(self, place);
    if (draw(self, 100) < self->loss)
        return;
    lease_action_destroy(&place->action);
    place->type = POST_NONE;
}

/* ---- What the table wants ------------------------------------------------------------------ */

static void publish(struct world *self, const struct lease_action *action)
{
    if (action->type != LEASE_BEAT && action->seq > self->last_seq) {
        assert_int_equal(action->seq, self->last_seq + 1); /* T1 */
        self->last_seq = action->seq;
    }
    assert_true(action->type == LEASE_INVALIDATE || action->seq == self->last_seq);
    self->releases += action->type == LEASE_RELEASE;
    /* Mostly in order at once, as a feed does; else late. */
    for (size_t i = 0; i < CACHES; i++) {
        if (draw(self, 100) >= 2 * self->loss)
            cache_hear(self, &self->caches[i], action);
        else if (draw(self, 2) == 0)
            post(self, &(struct post){.type = POST_FEED,
                                      .cache = i,
                                      .action = (struct lease_action *)(uintptr_t)action});
    }
}

static struct write *write_of(struct world *self, uint64_t ticket)
{
    for (size_t i = 0; i < self->write_count; i++)
        if (self->writes[i].ticket == ticket)
            return &self->writes[i];
    return NULL;
}

static void refuse(struct world *self, const struct lease_action *action)
{
    struct write *write = write_of(self, action->ticket);
    if (write != NULL)
        *write = self->writes[--self->write_count];
    else
        post(self, &(struct post){.type = POST_ANSWER,
                                  .cache = self->asked[action->ticket].cache,
                                  .action = (struct lease_action *)(uintptr_t)action});
}

static void session_close(struct world *self, uint64_t session)
{
    for (size_t i = 0; i < self->session_count; i++)
        if (self->sessions[i] == session)
            self->sessions[i] = self->sessions[--self->session_count];
    lease_table_closed(self->table, session, self->now);
}

static void act(struct world *self, const struct lease_action *action)
{
    assert_int_equal(action->term, self->term);
    switch (action->type) {
    case LEASE_INVALIDATE:
    case LEASE_RELEASE:
    case LEASE_BEAT: publish(self, action); return;
    case LEASE_ROUND: self->round = self->now; return;
    case LEASE_CLOSE:
        if (draw(self, 2) == 0)
            session_close(self, action->session);
        return;
    default: break;
    }
    answered(self, action->ticket);
    if (action->type == LEASE_REFUSE) {
        refuse(self, action);
    } else if (action->type == LEASE_PROPOSE) {
        struct write *write = write_of(self, action->ticket);
        assert_true(self->leading && write != NULL);
        write->proposed = true;
        self->proposed++;
        judge_write(self, write);
    } else {
        self->grants++;
        post(self, &(struct post){.type = POST_ANSWER,
                                  .cache = self->asked[action->ticket].cache,
                                  .action = (struct lease_action *)(uintptr_t)action});
    }
}

static void drain(struct world *self)
{
    struct lease_action *action;
    while ((action = lease_table_next(self->table)) != NULL) {
        act(self, action);
        lease_action_destroy(&action);
    }
}

/* ---- Events -------------------------------------------------------------------------------- */

static void begin_write(struct world *self)
{
    char names[NAMES][8];
    char *keys[NAMES];
    if (self->write_count == COUNT(self->writes) || self->last_ticket > TICKETS_MAX / 2)
        return;
    struct write *write = &self->writes[self->write_count++];
    write->proposed = false;
    write->ticket = ticket_new(self);
    write->count = 1 + draw(self, draw(self, 20) == 0 ? self->key_count : 3);
    write->first = draw(self, self->key_count - write->count + 1);
    struct lease_keys list = {.keys = keys, .count = write->count};
    for (size_t i = 0; i < write->count; i++) {
        snprintf(names[i], sizeof names[i], "k%d", (int)((write->first + i) % 1000));
        keys[i] = names[i];
    }
    if (draw(self, 30) == 0) {
        write->first = 0;
        write->count = self->key_count;
        list = (struct lease_keys){.all = true};
    }
    const int64_t deadline = self->now + (int64_t)(draw(self, 4) == 0 ? draw(self, 200) : 5000);
    lease_table_write(self->table, write->ticket, &list, deadline, self->now);
}

static void apply(struct world *self, const struct write *write)
{
    self->index++;
    for (size_t key = write->first; key < write->first + write->count; key++) {
        self->version[key]++;
        self->changed[key] = self->index;
    }
}

/* A proposed write is applied, or was not appended. */
static void end_write(struct world *self)
{
    if (self->write_count == 0)
        return;
    struct write *place = &self->writes[draw(self, self->write_count)];
    if (!place->proposed)
        return;
    const struct write write = *place;
    const bool applied = draw(self, 8) != 0;
    *place = self->writes[--self->write_count];
    if (applied)
        apply(self, &write);
    lease_table_written(self->table, write.ticket, applied ? self->index : 0, self->now);
}

/* The leader is deposed. What it proposed is committed by the next one's barrier, or lost. */
static void depose(struct world *self)
{
    if (!self->leading)
        return;
    lease_table_retire(self->table);
    drain(self);
    self->leading = false;
    self->round = -1;
    for (size_t i = 0; i < self->write_count; i++) {
        assert_true(self->writes[i].proposed); /* those that waited were refused */
        if (draw(self, 2) == 0)
            apply(self, &self->writes[i]);
    }
    self->write_count = 0;
}

static void elect(struct world *self)
{
    if (self->leading)
        return;
    const int64_t since = self->now;
    self->now += (int64_t)draw(self, 100);
    self->leading = true;
    self->term++;
    self->last_seq = 0;
    self->elections++;
    lease_table_commit(self->table, ++self->index);
    lease_table_lead(self->table, self->term, self->sessions, self->session_count, since,
                     self->now);
}

static void ask(struct world *self, size_t place)
{
    struct cache *cache = &self->caches[place];
    if (self->now < cache->deaf || self->last_ticket > TICKETS_MAX / 2)
        return;
    if (cache->session == 0) {
        if (!self->leading || self->session_count == COUNT(self->sessions))
            return;
        cache->session = ++self->last_session;
        cache->term = self->term;
        self->sessions[self->session_count++] = cache->session;
        lease_table_opened(self->table, cache->session, self->now);
        return;
    }
    if (!cache->synced)
        cache->epoch++;
    struct post sent = {.type = cache->synced ? POST_RENEW : POST_SYNC, .cache = place};
    sent.ask = (struct lease_ask){.ticket = ++self->last_ticket,
                                  .session = cache->session,
                                  .term = cache->term,
                                  .epoch = cache->epoch,
                                  .ask = ++self->last_ask,
                                  .acked = cache->last_seq};
    self->asked[sent.ask.ticket] =
        (struct asked){.cache = place, .epoch = cache->epoch, .sent = self->now};
    post(self, &sent);
}

/* It ends in order, and another one begins in its place. */
static void leave(struct world *self, size_t place)
{
    struct cache *cache = &self->caches[place];
    const struct post sent = {
        .type = POST_LEAVE, .cache = place, .ask = {.session = cache->session}};
    if (self->now < cache->deaf || cache->session == 0)
        return;
    cache->session = 0;
    cache_flush(cache);
    self->leaves++;
    post(self, &sent);
}

static void confirm(struct world *self)
{
    if (self->round < 0)
        return;
    const int64_t begun = self->round;
    self->round = -1;
    if (draw(self, 10) != 0)
        lease_table_confirmed(self->table, begun, self->now);
}

static void pass_time(struct world *self)
{
    self->now += (int64_t)draw(self, draw(self, 50) == 0 ? LEASE_MS : 8);
    if (self->now >= lease_table_deadline_ms(self->table) || draw(self, 10) == 0) {
        lease_table_turn(self->table, self->now);
        assert_true(lease_table_deadline_ms(self->table) > self->now);
    }
}

static void step(struct world *self)
{
    const uint64_t event = draw(self, 1000);
    const size_t place = draw(self, CACHES);
    if (draw(self, 200) == 0)
        self->busy = !self->busy;
    if (event < 1)
        depose(self);
    else if (event < 11)
        elect(self);
    else if (event < 13)
        self->caches[place].deaf = self->now + (int64_t)draw(self, 3 * LEASE_MS);
    else if (event < 14)
        leave(self, place);
    else if (event < (self->busy ? 100 : 16))
        begin_write(self);
    else if (event < 220)
        end_write(self);
    else if (event < 300)
        ask(self, place);
    else if (event < 500)
        cache_fill(self, &self->caches[place], draw(self, self->key_count));
    else if (event < 600)
        confirm(self);
    else if (event < 750)
        pass_time(self);
    else
        deliver(self);
    drain(self);
    judge(self);
}

/* ---- The test ------------------------------------------------------------------------------ */

static struct world *world_new(uint64_t seed)
{
    struct world *self = alloc_zero(sizeof *self);
    self->random = seed * 0x9e3779b97f4a7c15 + 1;
    self->table = lease_table_new();
    self->key_count = seed % 4 == 0 ? NAMES : 5;
    self->loss = seed % 3 * 8;
    self->round = -1;
    for (size_t key = 0; key < NAMES; key++)
        self->version[key] = 1;
    self->answers = alloc_zero(TICKETS_MAX * sizeof *self->answers);
    self->asked = alloc_zero(TICKETS_MAX * sizeof *self->asked);
    return self;
}

/* Nothing that was asked is left without an answer when leadership ends (T6). */
static void world_destroy(struct world **self_p)
{
    struct world *self = *self_p;
    struct lease_counts counts;
    lease_table_count(self->table, &counts);
    self->lapses = counts.lapses;
    depose(self);
    for (uint64_t ticket = 1; ticket <= self->last_ticket; ticket++)
        assert_int_not_equal(self->answers[ticket], ASKED);
    for (size_t i = 0; i < POSTS; i++)
        lease_action_destroy(&self->posts[i].action);
    lease_table_destroy(&self->table);
    free(self->answers);
    free(self->asked);
    free(self);
    *self_p = NULL;
}

/* Each seed is one history; together they must have had something to say. */
static void test_nobody_holds_what_is_being_written(void **state)
{
    size_t proposed = 0, reads = 0, lapses = 0, elections = 0, releases = 0, grants = 0, leaves = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world *world = world_new(seed);
        struct lease_counts counts;
        for (int i = 0; i < STEPS; i++)
            step(world);
        lease_table_count(world->table, &counts);
        lapses += counts.lapses;
        proposed += world->proposed;
        reads += world->reads;
        elections += world->elections;
        releases += world->releases;
        grants += world->grants;
        leaves += world->leaves;
        world_destroy(&world);
    }
    print_message("%zu writes proposed, %zu reads, %zu grants, %zu lapses, %zu releases, "
                  "%zu elections, %zu leaves\n",
                  proposed, reads, grants, lapses, releases, elections, leaves);
    assert_true(proposed > 10 * SEEDS && reads > 10 * SEEDS && grants > 10 * SEEDS);
    assert_true(lapses > SEEDS && releases > SEEDS && elections > SEEDS && leaves > SEEDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_holds_what_is_being_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
