/* A leased cache under any order of events: messages in order, doubled, late and lost, of this
 * leader or of one that was deposed; fills that take their time; clocks that differ by 1 %; pauses
 * of everybody, or of the cache alone, also between the entry and the clock that it is served by.
 * However it goes, no reader gets what was committed over before it asked.
 *
 * The leader is played by the rules B1 to B10, in their simplest form, for one cache; the log is a
 * list of the keys that were written. Nothing of what the cache says of itself is believed.
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

#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "client/store/leased_cache.h"

enum {
    KEYS = 6,
    ALL = KEYS, /* the lock that stands for all keys */
    WORDS_MAX = 64,
    FILLS_MAX = 16,
    LOG_MAX = 8192,
    ASKS_MAX = 65536,
    ENTRIES_MAX = 4,
    BYTES_MAX = 160,
    VALUE_BYTES_MAX = 64,
    STEPS = 10000,
    SEEDS = 300,
};

static const char *const names[KEYS + 1] = {"item:0", "item:1",  "item:2", "item:3",
                                            "item:4", "topic:5", NULL};

enum lock_state { QUIET, APPROVING, PENDING };

struct lock {
    enum lock_state state;
    uint64_t seq;
    int64_t told_ms;
    int writing; /* the key that a write changes, + 1; 0: there is none */
    bool proposed;
};

enum session_state { UNFLUSHED, SYNCED, LAPSED };

struct leader {
    uint64_t term, seq;
    int64_t since_ms, round_ms, anchor_ms; /* its clock */
    enum session_state state;
    uint64_t epoch, acked;
    struct lock locks[KEYS + 1];
};

enum word_type { WORD_NEWS, WORD_OPENED, WORD_SYNCED, WORD_GRANT, WORD_REFUSED };

/* To the cache. */
struct word {
    enum word_type type;
    struct leased_message message;
    const char *keys[KEYS];
    struct leased_ask ask;
    int64_t remaining_ms;
    uint64_t session;
    int code;
};

struct fill {
    uint64_t token; /* 0: none */
    uint64_t watermark;
    uint64_t floor; /* no reader of it may get what is older */
    int key;
};

struct world {
    uint64_t random;
    int64_t real_us;
    int64_t cache_permille, leader_permille; /* clocks' rates, +-10 around 1,000 */
    int64_t cache_read_ms;                   /* what its clock said last */
    bool reading;                            /* the cache may be stopped before its clock */
    struct leased_cache *cache;
    struct leader leader, deposed;
    uint64_t session, last_session, last_open;
    struct word words[WORDS_MAX];
    size_t word_count;
    struct leased_ask asks[WORDS_MAX];
    size_t ask_count;
    int64_t *sent_ms; /* by ask */
    int64_t lease_ms; /* no lease that was granted goes beyond, by the cache's clock */
    struct leased_ask last;
    struct fill fills[FILLS_MAX];
    int *log; /* by index, from 1: the key */
    uint64_t index;
    uint64_t version[KEYS];
    size_t hits, joins, answers, commits, elections, lapses, sessions, pauses;
};

/* xorshift64* */
static uint64_t draw(struct world *self, uint64_t below)
{
    self->random ^= self->random >> 12;
    self->random ^= self->random << 25;
    self->random ^= self->random >> 27;
    return (self->random * 0x2545f4914f6cdd1d >> 32) % below;
}

static bool chance(struct world *self, uint64_t one_in)
{
    return draw(self, one_in) == 0;
}

static int64_t cache_ms(const struct world *self)
{
    return 5000 + self->real_us * self->cache_permille / 1000000;
}

static int64_t leader_ms(const struct world *self)
{
    return 777000 + self->real_us * self->leader_permille / 1000000;
}

/* ---- The leader ------------------------------------------------------------------------------ */

static void say(struct world *self, const struct word *word)
{
    const size_t place =
        self->word_count < WORDS_MAX ? self->word_count++ : (size_t)draw(self, WORDS_MAX);
    self->words[place] = *word;
}

static void publish(struct world *self, enum leased_news type, uint64_t seq, int lock)
{
    struct word word = {.type = WORD_NEWS};
    word.message = (struct leased_message){
        .type = type, .term = self->leader.term, .seq = seq, .index = self->index};
    word.message.all = type != LEASED_BEAT && lock == ALL;
    word.message.count = type != LEASED_BEAT && lock != ALL;
    word.keys[0] = names[lock];
    say(self, &word);
}

/* B3. */
static bool session_may_hold(struct world *self)
{
    const struct leader *leader = &self->leader;
    return self->session != 0 && leader->state != LAPSED;
}

static void leave_out(struct world *self, uint64_t seq)
{
    struct leader *leader = &self->leader;
    const int64_t from_ms = leader->state == UNFLUSHED ? leader->since_ms : leader->anchor_ms;
    if (!session_may_hold(self) || (leader->state == SYNCED && leader->acked >= seq) ||
        leader_ms(self) < from_ms + LEASE_WAIT_MS)
        return;
    leader->state = LAPSED;
    self->lapses++;
}

static void approve(struct world *self)
{
    struct leader *leader = &self->leader;
    for (int i = 0; i <= KEYS; i++) {
        struct lock *lock = &leader->locks[i];
        if (lock->state == APPROVING)
            leave_out(self, lock->seq);
        if (lock->state == APPROVING &&
            (!session_may_hold(self) || (leader->state == SYNCED && leader->acked >= lock->seq)))
            lock->state = PENDING;
        if (lock->state == PENDING && lock->writing != 0)
            lock->proposed = true;
    }
}

static bool all_quiet(const struct leader *leader)
{
    for (int i = 0; i < KEYS; i++)
        if (leader->locks[i].state != QUIET)
            return false;
    return true;
}

/* B2. */
static void write_key(struct world *self)
{
    struct leader *leader = &self->leader;
    const int key = (int)draw(self, KEYS);
    const bool all = leader->locks[ALL].state != QUIET || (all_quiet(leader) && chance(self, 10));
    const int place = all ? ALL : key;
    struct lock *lock = &leader->locks[place];
    if (lock->writing != 0)
        return;
    lock->writing = key + 1;
    if (lock->state == QUIET) {
        lock->state = APPROVING;
        lock->seq = ++leader->seq;
        lock->told_ms = leader_ms(self);
        publish(self, LEASED_INVALIDATE, lock->seq, place);
    }
    approve(self);
}

static void commit(struct world *self, struct lock *lock)
{
    if (!lock->proposed || self->index + 1 == LOG_MAX)
        return;
    self->log[++self->index] = lock->writing - 1;
    self->version[lock->writing - 1] = self->index;
    lock->proposed = false;
    lock->writing = 0;
    self->commits++;
}

/* B6. */
static void release(struct world *self, int place)
{
    struct lock *lock = &self->leader.locks[place];
    if (lock->state != PENDING || lock->writing != 0)
        return;
    lock->state = QUIET;
    publish(self, LEASED_RELEASE, ++self->leader.seq, place);
}

/* B7. */
static void repeat(struct world *self)
{
    for (int i = 0; i <= KEYS; i++)
        if (self->leader.locks[i].state == APPROVING)
            publish(self, LEASED_INVALIDATE, self->leader.locks[i].seq, i);
    publish(self, LEASED_BEAT, self->leader.seq, 0);
}

/* B8: what the old one proposed is committed by the new one's barrier, or lost. */
static void elect(struct world *self)
{
    for (int i = 0; i <= KEYS; i++)
        if (chance(self, 2))
            commit(self, &self->leader.locks[i]);
    self->deposed = self->leader;
    self->leader = (struct leader){.term = self->deposed.term + 1 + draw(self, 2),
                                   .since_ms = leader_ms(self),
                                   .round_ms = leader_ms(self)};
    self->elections++;
}

static void refuse(struct world *self, const struct leased_ask *ask, int code)
{
    say(self, &(struct word){.type = WORD_REFUSED, .ask = *ask, .code = code});
}

static void answer_open(struct world *self, const struct leased_ask *ask)
{
    if (ask->ask <= self->last_open)
        return;
    self->last_open = ask->ask;
    self->session = ++self->last_session;
    self->leader.state = LAPSED;
    self->leader.epoch = 0;
    self->sessions++;
    say(self, &(struct word){.type = WORD_OPENED, .ask = *ask, .session = self->session});
}

/* B5. */
static void answer_sync(struct world *self, struct leader *leader, const struct leased_ask *ask)
{
    if (ask->epoch <= leader->epoch || chance(self, 20)) {
        refuse(self, ask, ask->epoch <= leader->epoch ? ERR_MISMATCH : ERR_BUSY);
        return;
    }
    leader->state = SYNCED;
    leader->epoch = ask->epoch;
    leader->acked = leader->seq;
    leader->anchor_ms = leader->round_ms;
    struct word word = {.type = WORD_SYNCED, .ask = *ask};
    word.remaining_ms = LEASE_MS - (leader_ms(self) - leader->round_ms);
    word.message =
        (struct leased_message){.term = leader->term, .seq = leader->seq, .index = self->index};
    for (int i = 0; i < KEYS; i++)
        if (leader->locks[i].state != QUIET)
            word.keys[word.message.count++] = names[i];
    word.message.all = leader->locks[ALL].state != QUIET;
    say(self, &word);
}

/* B4. */
static void answer_renew(struct world *self, struct leader *leader, const struct leased_ask *ask)
{
    const int64_t remaining_ms = LEASE_MS - (leader_ms(self) - leader->round_ms);
    if (ask->epoch != leader->epoch || leader->state != SYNCED) {
        refuse(self, ask, ERR_MISMATCH);
        return;
    }
    assert_true(ask->acked <= leader->seq);
    leader->acked = ask->acked > leader->acked ? ask->acked : leader->acked;
    if (leader == &self->leader)
        approve(self);
    for (int i = 0; i <= KEYS; i++)
        if (leader->locks[i].state == APPROVING && leader->locks[i].seq > leader->acked &&
            leader_ms(self) > leader->locks[i].told_ms + LEASE_UNACKED_MS) {
            refuse(self, ask, ERR_BUSY);
            return;
        }
    if (leader->state != SYNCED || remaining_ms <= 0) {
        refuse(self, ask, leader->state != SYNCED ? ERR_MISMATCH : ERR_BUSY);
        return;
    }
    leader->anchor_ms = leader->round_ms;
    say(self, &(struct word){.type = WORD_GRANT, .ask = *ask, .remaining_ms = remaining_ms});
}

/* Rounds are confirmed for the leader only; the deposed one lives on what it had. */
static void answer(struct world *self, const struct leased_ask *ask)
{
    struct leader *leader = ask->term == self->deposed.term ? &self->deposed : &self->leader;
    if (chance(self, 4) && self->leader.round_ms < leader_ms(self))
        self->leader.round_ms = leader_ms(self) - (int64_t)draw(self, 30);
    if (ask->type == LEASED_OPEN)
        answer_open(self, ask);
    else if (ask->session != self->session)
        refuse(self, ask, ERR_NOT_FOUND);
    else if (ask->term != leader->term)
        refuse(self, ask, ERR_MISMATCH);
    else if (ask->type == LEASED_SYNC)
        answer_sync(self, leader, ask);
    else
        answer_renew(self, leader, ask);
}

/* B9. */
static void close_session(struct world *self)
{
    if (self->leader.state == LAPSED)
        self->session = 0;
}

static void hear_ask(struct world *self)
{
    if (self->ask_count == 0)
        return;
    const size_t place = chance(self, 4) ? (size_t)draw(self, self->ask_count) : 0;
    const struct leased_ask ask = self->asks[place];
    if (!chance(self, 8)) {
        self->ask_count--;
        memmove(&self->asks[place], &self->asks[place + 1],
                (self->ask_count - place) * sizeof self->asks[0]);
    }
    if (!chance(self, 10))
        answer(self, &ask);
}

static void leader_step(struct world *self)
{
    const uint64_t event = draw(self, 100);
    if (event < 3)
        write_key(self);
    else if (event < 15)
        commit(self, &self->leader.locks[draw(self, KEYS + 1)]);
    else if (event < 35)
        release(self, (int)draw(self, KEYS + 1));
    else if (event < 45)
        repeat(self);
    else if (event < 55)
        approve(self);
    else if (event < 98)
        hear_ask(self);
    else if (chance(self, 20))
        elect(self);
    else if (chance(self, 20))
        close_session(self);
}

/* ---- The cache ------------------------------------------------------------------------------- */

/* The world goes on while the cache is stopped. */
static void pause_cache(struct world *self, int64_t ms)
{
    const int64_t end_us = self->real_us + ms * 1000;
    self->pauses++;
    while (self->real_us < end_us) {
        self->real_us += (int64_t)draw(self, 60000);
        leader_step(self);
    }
}

static int64_t read_clock(void *arg)
{
    struct world *self = arg;
    if (self->reading && chance(self, 200))
        pause_cache(self, (int64_t)draw(self, 1500));
    self->cache_read_ms = cache_ms(self);
    return self->cache_read_ms;
}

/* Whatever it asks is on its way; no ask, and no epoch of a SYNC, comes twice. */
static void send_asks(struct world *self)
{
    struct leased_ask ask;
    while (leased_cache_ask(self->cache, cache_ms(self), &ask)) {
        assert_true(ask.ask == self->last.ask + 1 && ask.ask < ASKS_MAX);
        assert_true(ask.epoch >= self->last.epoch);
        assert_true(ask.type != LEASED_SYNC || ask.epoch > self->last.epoch);
        self->last = ask;
        self->sent_ms[ask.ask] = cache_ms(self);
        if (self->ask_count < WORDS_MAX)
            self->asks[self->ask_count++] = ask;
    }
}

/* The longest lease that may come of it. */
static void note_lease(struct world *self, const struct word *word)
{
    const int64_t end_ms = self->sent_ms[word->ask.ask] + word->remaining_ms * 99 / 100;
    if (end_ms > self->lease_ms)
        self->lease_ms = end_ms;
}

static void tell(struct world *self, struct word *word)
{
    const int64_t now_ms = cache_ms(self);
    word->message.keys = word->keys;
    switch (word->type) {
    case WORD_NEWS: leased_cache_hear(self->cache, &word->message, now_ms); break;
    case WORD_OPENED:
        (void)leased_cache_opened(self->cache, word->ask.ask, word->session, self->leader.term,
                                  now_ms);
        break;
    case WORD_SYNCED:
        note_lease(self, word);
        leased_cache_synced(self->cache, word->ask.ask, word->ask.epoch, &word->message,
                            word->remaining_ms, now_ms);
        break;
    case WORD_GRANT:
        note_lease(self, word);
        leased_cache_granted(self->cache, word->ask.ask, word->ask.epoch, word->ask.term,
                             word->remaining_ms, now_ms);
        break;
    case WORD_REFUSED: leased_cache_refused(self->cache, word->ask.ask, word->code, now_ms); break;
    }
}

/* Mostly the oldest; now and then another one, or again, or never. */
static void tell_cache(struct world *self)
{
    if (self->word_count == 0)
        return;
    const size_t place = chance(self, 30) ? (size_t)draw(self, self->word_count) : 0;
    struct word word = self->words[place];
    if (!chance(self, 12)) {
        self->word_count--;
        memmove(&self->words[place], &self->words[place + 1],
                (self->word_count - place) * sizeof self->words[0]);
    }
    if (!chance(self, 60))
        tell(self, &word);
}

static uint64_t version_at(const struct world *self, int key, uint64_t index)
{
    while (index > 0 && self->log[index] != key)
        index--;
    return index;
}

/* A reader asks for a key: nothing older than what is committed now will do. */
static void read_key(struct world *self)
{
    const int key = (int)draw(self, KEYS);
    const uint64_t floor = self->version[key];
    struct leased_value value;
    uint64_t token, watermark, version;
    self->cache_read_ms = INT64_MAX;
    if (leased_cache_get(self->cache, names[key], &value)) {
        memcpy(&version, value.data, sizeof version);
        assert_true(version >= floor && version_at(self, key, version) == version);
        assert_true(self->cache_read_ms < self->lease_ms);
        self->hits++;
        return;
    }
    const uint64_t missed = self->version[key];
    switch (leased_cache_miss(self->cache, names[key], &token, &watermark)) {
    case LEASED_PASS: break;
    case LEASED_FILL:
        for (size_t i = 0; i < FILLS_MAX; i++)
            if (self->fills[i].token == 0) {
                self->fills[i] = (struct fill){token, watermark, missed, key};
                return;
            }
        leased_cache_fill(self->cache, token, NULL);
        break;
    case LEASED_JOIN:
        for (size_t i = 0; i < FILLS_MAX; i++)
            if (self->fills[i].token == token && self->fills[i].floor < missed)
                self->fills[i].floor = missed;
        self->joins++;
        break;
    }
}

static void read_one(struct world *self)
{
    self->reading = true;
    read_key(self);
    self->reading = false;
}

/* A replica that has applied as much as the watermark, or more, has answered, some time ago or
 * now. */
static void answer_fill(struct world *self)
{
    struct fill *fill = &self->fills[draw(self, FILLS_MAX)];
    uint8_t bytes[VALUE_BYTES_MAX] = {0};
    if (fill->token == 0)
        return;
    assert_true(fill->watermark <= self->index);
    const uint64_t applied = chance(self, 2)
                                 ? fill->watermark
                                 : fill->watermark + draw(self, self->index - fill->watermark + 1);
    const uint64_t version = version_at(self, fill->key, applied);
    assert_true(version >= fill->floor);
    memcpy(bytes, &version, sizeof version);
    leased_cache_fill(
        self->cache, fill->token,
        chance(self, 10) ? NULL : &(struct leased_value){bytes, sizeof version + draw(self, 40)});
    fill->token = 0;
    self->answers++;
}

static void check_bounds(const struct world *self)
{
    struct leased_counts counts;
    leased_cache_count(self->cache, &counts);
    assert_true(counts.entries <= ENTRIES_MAX && counts.bytes <= BYTES_MAX);
    assert_true(counts.pending <= KEYS && counts.fills <= FILLS_MAX);
}

static void step(struct world *self)
{
    const uint64_t event = draw(self, 1000);
    self->real_us += (int64_t)draw(self, 2000);
    if (event < 300)
        leader_step(self);
    else if (event < 600)
        tell_cache(self);
    else if (event < 850)
        read_one(self);
    else if (event < 950)
        answer_fill(self);
    else if (event < 953)
        leased_cache_drop(self->cache, chance(self, 2) ? NULL : names[draw(self, KEYS)]);
    else if (event < 954)
        leased_cache_lose(self->cache, cache_ms(self));
    else if (event < 957)
        pause_cache(self, (int64_t)draw(self, 3000));
    else if (event < 958)
        self->real_us += (int64_t)draw(self, 3000) * 1000;
    if (!chance(self, 5))
        send_asks(self);
    check_bounds(self);
}

static struct world *world_new(uint64_t seed)
{
    struct world *self = calloc(1, sizeof *self);
    self->random = seed * 0x9e3779b97f4a7c15 + 1;
    self->cache_permille = 990 + (int64_t)draw(self, 21);
    self->leader_permille = 990 + (int64_t)draw(self, 21);
    self->leader.term = 1;
    self->log = calloc(LOG_MAX, sizeof *self->log);
    self->log[0] = -1;
    self->sent_ms = calloc(ASKS_MAX, sizeof *self->sent_ms);
    self->cache = leased_cache_new(&(struct leased_cache_options){.entries_max = ENTRIES_MAX,
                                                                  .bytes_max = BYTES_MAX,
                                                                  .hash_seed = seed,
                                                                  .now_ms = read_clock,
                                                                  .arg = self});
    return self;
}

static void world_destroy(struct world **self_p)
{
    leased_cache_destroy(&(*self_p)->cache);
    free((*self_p)->sent_ms);
    free((*self_p)->log);
    free(*self_p);
    *self_p = NULL;
}

/* Each seed is one history; together they must have had something to say. */
static void test_nothing_is_served_that_was_committed_over(void **state)
{
    struct world sum = {0};
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world *world = world_new(seed);
        for (int i = 0; i < STEPS; i++)
            step(world);
        sum.hits += world->hits;
        sum.joins += world->joins;
        sum.answers += world->answers;
        sum.commits += world->commits;
        sum.elections += world->elections;
        sum.lapses += world->lapses;
        sum.sessions += world->sessions;
        sum.pauses += world->pauses;
        world_destroy(&world);
    }
    print_message("%zu hits, %zu fills, %zu joins, %zu commits, %zu elections, %zu lapses, "
                  "%zu sessions, %zu pauses\n",
                  sum.hits, sum.answers, sum.joins, sum.commits, sum.elections, sum.lapses,
                  sum.sessions, sum.pauses);
    assert_true(sum.hits > 100 * SEEDS && sum.answers > 20 * SEEDS && sum.commits > 20 * SEEDS);
    assert_true(sum.joins > SEEDS && sum.elections > SEEDS && sum.lapses > SEEDS);
    assert_true(sum.sessions > SEEDS && sum.pauses > SEEDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_served_that_was_committed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
