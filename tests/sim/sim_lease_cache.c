/* See sim_lease_cache.h. What is read, and by which way, is in sim_lease_read.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_lease_cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "tests/sim/sim_lease_cache_internal.h"
#include "tests/sim/sim_lease_node_internal.h"
#include "tests/sim/sim_lease_world.h"

/* The timer of MUTATION_LEASE_TIMER. */
#define TIMER_US 10000

static const char *const names[LEASE_KEYS] = {"k0", "k1", "k2", "k3", "k4", "k5"};

const char *lease_key_name(unsigned key)
{
    assert(key < LEASE_KEYS);
    return names[key];
}

int64_t sim_lease_cache_now_ms(const struct sim_lease_cache *self)
{
    return sim_clock_ms(self->sim->world->now_us, self->drift_ppm) + self->clock_ms;
}

/* What the cache itself reads (C1). MUTATION_LEASE_ARRIVAL: a lease that ends later is the same as a clock
 * that is behind by as much. */
static int64_t clock_of_cache(void *arg)
{
    const struct sim_lease_cache *self = arg;
    const int64_t now_ms = sim_lease_cache_now_ms(self);

    if (sim_mutation_is(MUTATION_LEASE_ARRIVAL))
        return now_ms - (self->late_expiry_ms - self->expiry_ms);
    return sim_mutation_is(MUTATION_LEASE_TIMER) ? self->timer_ms : now_ms;
}

/* ---- Events ------------------------------------------------------------------------------------- */

struct tick {
    struct sim_lease_cache *cache;
    uint64_t life; /* 0: of any process */
};

static void tick_drop(void **load_p)
{
    free(*load_p);
    *load_p = NULL;
}

static void resume(struct sim_lease_cache *self)
{
    if (self->paused_us == 0)
        return;
    self->sim->counts.long_pauses += self->paused_until_us - self->paused_us > LEASE_WAIT_MS * 1000;
    self->paused_us = 0;
}

bool sim_lease_cache_deferred(struct sim_lease_cache *self, struct sim_event *event)
{
    struct sim_event later = *event;

    if (!sim_lease_cache_paused(self)) {
        resume(self);
        return false;
    }
    later.at_us = self->paused_until_us;
    sim_at(self->sim, &later);
    return true;
}

void sim_lease_cache_at(struct sim_lease_cache *self, int64_t at_us, sim_event_fn *fire,
                        uint64_t argument, bool any_life)
{
    struct tick *tick = alloc_zero(sizeof *tick);
    struct sim_event event = {
        .at_us = at_us, .fire = fire, .node = -1, .argument = argument, .drop = tick_drop};

    tick->cache = self;
    tick->life = any_life ? 0 : self->life;
    event.load = tick;
    sim_at(self->sim, &event);
}

struct sim_lease_cache *sim_lease_cache_taken(struct sim_event *event)
{
    const struct tick *tick = event->load;
    struct sim_lease_cache *self = tick->cache;
    const bool lives = tick->life == 0 || tick->life == self->life;

    if (lives && sim_lease_cache_deferred(self, event))
        return NULL;
    tick_drop(&event->load);
    return lives ? self : NULL;
}

/* ---- Asks --------------------------------------------------------------------------------------- */

static struct lease_asked *asked(struct sim_lease_cache *self, uint64_t ask)
{
    struct lease_asked *entry = &self->asked[ask % LEASE_ASKED_MAX];

    return entry->ask == ask ? entry : NULL;
}

static void unanswered(struct sim *sim, struct sim_event *event)
{
    const uint64_t ask = event->argument;
    struct sim_lease_cache *self = sim_lease_cache_taken(event);
    struct lease_asked *entry = self != NULL ? asked(self, ask) : NULL;

    (void)sim;
    if (entry == NULL || entry->answered)
        return;
    entry->answered = true;
    leased_cache_refused(self->cache, ask, ERR_TIMEOUT, sim_lease_cache_now_ms(self));
    sim_lease_cache_turn(self);
}

static void send_ask(struct sim_lease_cache *self, const struct leased_ask *ask)
{
    struct lease_mail mail = {.kind = LEASE_MAIL_ASK,
                              .cache = self->number,
                              .life = self->life,
                              .type = (int)ask->type,
                              .session = ask->session,
                              .term = ask->term,
                              .epoch = ask->epoch,
                              .ask = ask->ask,
                              .acked = ask->acked};

    self->asked[ask->ask % LEASE_ASKED_MAX] =
        (struct lease_asked){ask->ask, sim_lease_cache_now_ms(self), false};
    sim_lease_send_leader(self->sim, &mail);
    sim_lease_cache_at(self, self->sim->world->now_us + sim_lease_of(self->sim)->ask_us, unanswered,
                       ask->ask, false);
}

static void timer(struct sim *sim, struct sim_event *event)
{
    const uint64_t number = event->argument;
    struct sim_lease_cache *self = sim_lease_cache_taken(event);

    (void)sim;
    if (self == NULL || number != self->armed)
        return;
    self->armed_us = INT64_MAX;
    sim_lease_cache_turn(self);
}

static void arm(struct sim_lease_cache *self)
{
    const int64_t deadline_ms = leased_cache_deadline_ms(self->cache);
    int64_t at_us;

    if (deadline_ms == INT64_MAX)
        return;
    at_us = sim_clock_due_us(deadline_ms - self->clock_ms, self->drift_ppm);
    if (at_us <= self->sim->world->now_us)
        at_us = self->sim->world->now_us + 1000;
    if (at_us >= self->armed_us)
        return;
    self->armed_us = at_us;
    sim_lease_cache_at(self, at_us, timer, ++self->armed, false);
}

void sim_lease_cache_turn(struct sim_lease_cache *self)
{
    struct leased_ask ask;
    int count = 0;

    while (leased_cache_ask(self->cache, sim_lease_cache_now_ms(self), &ask)) {
        assert(++count < 100);
        send_ask(self, &ask);
    }
    arm(self);
}

/* ---- What comes --------------------------------------------------------------------------------- */

static size_t names_of(uint32_t keys, const char *found[LEASE_KEYS])
{
    size_t count = 0;

    for (unsigned key = 0; key < LEASE_KEYS; key++)
        if ((keys >> key & 1) != 0)
            found[count++] = names[key];
    return count;
}

/* As if the leader had said nothing of any key up to @last. */
static void hear_nothing(struct sim_lease_cache *self, replica_term term, uint64_t last)
{
    struct leased_message nothing = {.type = LEASED_RELEASE, .term = term};

    if (term != self->fed_term)
        return;
    for (nothing.seq = self->fed_seq + 1; nothing.seq <= last; nothing.seq++)
        leased_cache_hear(self->cache, &nothing, sim_lease_cache_now_ms(self));
}

/* MUTATION_LEASE_KEPT: it does not hear what is said before a SYNCED, */
static bool withheld(struct sim_lease_cache *self, const struct leased_counts *counts,
                     const struct leased_message *message)
{
    if (!sim_mutation_is(MUTATION_LEASE_KEPT) || counts->synced || counts->session == 0 ||
        counts->term != message->term)
        return false;
    if (self->withheld_term != message->term)
        self->withheld_seq = 0;
    self->withheld_term = message->term;
    if (message->type != LEASED_BEAT && self->withheld_seq < message->seq)
        self->withheld_seq = message->seq;
    return true;
}

static void receive_news(struct sim_lease_cache *self, const struct lease_mail *mail)
{
    const char *keys[LEASE_KEYS];
    struct leased_counts counts;
    struct leased_message message = {.type = (enum leased_news)mail->type,
                                     .term = mail->term,
                                     .seq = mail->seq,
                                     .keys = keys,
                                     .count = names_of(mail->keys, keys),
                                     .all = mail->all,
                                     .index = mail->index};

    if (sim_mutation_is(MUTATION_LEASE_RELEASE_MARK))
        message.index = 0;
    leased_cache_count(self->cache, &counts);
    if (sim_mutation_is(MUTATION_LEASE_NAMES) && counts.all_pending)
        message.count = 0;
    if (withheld(self, &counts, &message))
        return;
    if (sim_mutation_is(MUTATION_LEASE_OLD_TERM) && message.term < counts.term)
        message.term = counts.term;
    if (sim_mutation_is(MUTATION_LEASE_GAP))
        hear_nothing(self, mail->term, mail->seq - (mail->type != LEASED_BEAT));
    leased_cache_hear(self->cache, &message, sim_lease_cache_now_ms(self));
    if (mail->term == self->fed_term && mail->seq > self->fed_seq)
        self->fed_seq = mail->seq;
}

/* A lease was taken, as the cache counts it, and as MUTATION_LEASE_ARRIVAL does. */
static void note_lease(struct sim_lease_cache *self, const struct lease_mail *mail, bool first)
{
    const struct lease_asked *entry = asked(self, mail->ask);
    const int64_t length_ms = mail->remaining_ms * (1000 - LEASE_DRIFT_PERMILLE) / 1000;
    const int64_t now_ms = sim_lease_cache_now_ms(self);

    if (first)
        self->expiry_ms = self->late_expiry_ms = 0;
    if (entry == NULL || length_ms <= 0)
        return;
    if (self->expiry_ms < entry->asked_ms + length_ms)
        self->expiry_ms = entry->asked_ms + length_ms;
    if (self->late_expiry_ms < now_ms + length_ms)
        self->late_expiry_ms = now_ms + length_ms;
}

static void receive_synced(struct sim_lease_cache *self, const struct lease_mail *mail)
{
    const char *keys[LEASE_KEYS];
    const struct leased_message synced = {.term = mail->term,
                                          .seq = mail->seq,
                                          .keys = keys,
                                          .count = names_of(mail->keys, keys),
                                          .all = mail->all,
                                          .index = mail->index};
    struct leased_counts before, after;

    leased_cache_count(self->cache, &before);
    leased_cache_synced(self->cache, mail->ask, mail->epoch, &synced, mail->remaining_ms,
                        sim_lease_cache_now_ms(self));
    leased_cache_count(self->cache, &after);
    if (before.synced || !after.synced)
        return;
    self->fed_term = mail->term;
    self->fed_seq = mail->seq;
    note_lease(self, mail, true);
    if (sim_mutation_is(MUTATION_LEASE_KEPT)) /* and goes on as if it had */
        hear_nothing(self, self->withheld_term, self->withheld_seq);
}

static void receive_grant(struct sim_lease_cache *self, const struct lease_mail *mail)
{
    struct leased_counts before, after;

    leased_cache_count(self->cache, &before);
    leased_cache_granted(self->cache, mail->ask, mail->epoch, mail->term, mail->remaining_ms,
                         sim_lease_cache_now_ms(self));
    leased_cache_count(self->cache, &after);
    if (after.renewals > before.renewals)
        note_lease(self, mail, false);
}

static void send_close(struct sim_lease_cache *self, uint64_t session)
{
    struct lease_mail mail = {.kind = LEASE_MAIL_CLOSE, .cache = self->number, .session = session};

    sim_lease_send_leader(self->sim, &mail);
}

static void receive_answer(struct sim_lease_cache *self, const struct lease_mail *mail)
{
    const int64_t now_ms = sim_lease_cache_now_ms(self);
    struct lease_asked *entry = asked(self, mail->ask);

    if (entry != NULL)
        entry->answered = true;
    switch (mail->type) {
    case LEASE_MAIL_OPENED:
        if (!leased_cache_opened(self->cache, mail->ask, mail->session, mail->term, now_ms))
            send_close(self, mail->session);
        break;
    case LEASE_MAIL_SYNCED: receive_synced(self, mail); break;
    case LEASE_MAIL_GRANT: receive_grant(self, mail); break;
    default: leased_cache_refused(self->cache, mail->ask, mail->code, now_ms); break;
    }
}

void sim_lease_cache_receive(struct sim_lease_cache *self, const struct lease_mail *mail)
{
    if (mail->kind != LEASE_MAIL_NEWS && mail->life != self->life)
        return;
    if (mail->kind == LEASE_MAIL_NEWS)
        receive_news(self, mail);
    else if (mail->kind == LEASE_MAIL_ANSWER)
        receive_answer(self, mail);
    else
        sim_lease_cache_value(self, mail);
    sim_lease_cache_turn(self);
}

/* ---- The process -------------------------------------------------------------------------------- */

static void keep_time(struct sim *sim, struct sim_event *event)
{
    struct sim_lease_cache *self = sim_lease_cache_taken(event);

    if (self == NULL)
        return;
    self->timer_ms = sim_lease_cache_now_ms(self);
    sim_lease_cache_at(self, sim->world->now_us + TIMER_US, keep_time, 0, false);
}

static void begin(struct sim_lease_cache *self)
{
    const struct leased_cache_options options = {
        .entries_max = 4, .bytes_max = 4096, .now_ms = clock_of_cache, .arg = self};

    self->life++;
    self->armed_us = INT64_MAX;
    self->fed_term = self->fed_seq = 0;
    self->withheld_term = self->withheld_seq = 0;
    self->expiry_ms = self->late_expiry_ms = 0;
    self->cache = leased_cache_new(&options);
    self->timer_ms = sim_lease_cache_now_ms(self);
    if (sim_mutation_is(MUTATION_LEASE_TIMER))
        sim_lease_cache_at(self, self->sim->world->now_us + TIMER_US, keep_time, 0, false);
    sim_lease_cache_turn(self);
}

static void end(struct sim_lease_cache *self)
{
    struct leased_counts counts;

    leased_cache_count(self->cache, &counts);
    self->sim->counts.stored += counts.stored;
    self->sim->counts.flushes += counts.flushes;
    leased_cache_destroy(&self->cache);
    sim_lease_cache_forget(self);
    memset(self->asked, 0, sizeof self->asked);
}

struct sim_lease_cache *sim_lease_cache_new(struct sim *sim, int number)
{
    struct sim_lease_cache *self = alloc_zero(sizeof *self);

    self->sim = sim;
    self->number = number;
    self->clock_ms = sim_between(sim, 0, 1000000000);
    self->drift_ppm = sim_draw_drift_ppm(sim);
    begin(self);
    sim_lease_cache_read(self);
    return self;
}

void sim_lease_cache_destroy(struct sim_lease_cache **self_p)
{
    struct sim_lease_cache *self = *self_p;

    if (self == NULL)
        return;
    end(self);
    free(self);
    *self_p = NULL;
}

void sim_lease_cache_pause(struct sim_lease_cache *self, int64_t until_us)
{
    if (sim_lease_cache_paused(self))
        return;
    sim_trace(self->sim, -1, "cache %d: pause", self->number);
    self->paused_us = self->sim->world->now_us;
    self->paused_until_us = until_us;
    self->sim->counts.pauses++;
}

bool sim_lease_cache_paused(const struct sim_lease_cache *self)
{
    return self->paused_until_us > self->sim->world->now_us;
}

void sim_lease_cache_crash(struct sim_lease_cache *self)
{
    sim_trace(self->sim, -1, "cache %d: crash", self->number);
    self->sim->counts.crashes++;
    self->paused_us = self->paused_until_us = 0;
    end(self);
    begin(self);
}

/* MUTATION_LEASE_LEAVE: it says so, and goes on. */
void sim_lease_cache_leave(struct sim_lease_cache *self)
{
    struct leased_counts counts;
    uint64_t session;

    if (sim_lease_cache_paused(self))
        return;
    sim_trace(self->sim, -1, "cache %d: leaves", self->number);
    leased_cache_count(self->cache, &counts);
    session = sim_mutation_is(MUTATION_LEASE_LEAVE)
                  ? counts.session
                  : leased_cache_leave(self->cache, sim_lease_cache_now_ms(self));
    if (session != 0) {
        self->sim->counts.leaves++;
        send_close(self, session);
    }
    if (sim_mutation_is(MUTATION_LEASE_LEAVE))
        return;
    end(self);
    begin(self);
}

void sim_lease_cache_lose(struct sim_lease_cache *self)
{
    if (sim_lease_cache_paused(self))
        return;
    leased_cache_lose(self->cache, sim_lease_cache_now_ms(self));
    sim_lease_cache_turn(self);
}

uint64_t sim_lease_cache_hits(struct sim_lease_cache *self)
{
    const uint64_t hits = self->hits;

    self->hits = 0;
    return hits;
}
