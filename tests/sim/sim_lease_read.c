/* The reads of a process with a cache; see sim_lease_cache.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "client/store/leased_cache_internal.h"
#include "tests/sim/sim_lease_cache_internal.h"
#include "tests/sim/sim_lease_world.h"

/* How long a read waits for a replica, and how many it asks. */
#define READ_WAIT_US 200000
#define READ_TRIES   3

static void shown(struct sim_lease_cache *self, const struct lease_reading *reading,
                  replica_index index, const char *how)
{
    sim_lease_shown(self->sim, &sim_lease_of(self->sim)->judge, reading->key, index, reading->floor,
                    how, self->number);
}

static struct lease_reading *reading_new(struct sim_lease_cache *self, unsigned key,
                                         replica_index floor, uint64_t token)
{
    struct lease_reading *reading = alloc_zero(sizeof *reading);

    *reading = (struct lease_reading){
        .next = self->readings, .key = key, .floor = floor, .token = token, .tries = READ_TRIES};
    self->readings = reading;
    return reading;
}

/* A read's answer has come, or none in time: take it out. NULL: none waits for it any more. */
static struct lease_reading *take_out(struct sim_lease_cache *self, uint64_t number)
{
    struct lease_reading **place = &self->readings, *reading;

    while (*place != NULL && (*place)->number != number)
        place = &(*place)->next;
    reading = *place;
    if (reading != NULL)
        *place = reading->next;
    return reading;
}

void sim_lease_cache_forget(struct sim_lease_cache *self)
{
    while (self->readings != NULL)
        free(take_out(self, self->readings->number));
}

/* ---- Asking a replica --------------------------------------------------------------------------- */

static void unanswered(struct sim *sim, struct sim_event *event);

/* Of a fill, again, too, with the watermark that it began with: that was high enough when its callers
 * came. */
static void send_read(struct sim_lease_cache *self, struct lease_reading *reading)
{
    struct lease_mail mail = {.kind = LEASE_MAIL_READ,
                              .cache = self->number,
                              .life = self->life,
                              .number = ++self->numbers,
                              .key = reading->key,
                              .passes = !reading->fills,
                              .index = reading->watermark};

    if (sim_mutation_is(MUTATION_LEASE_FILL_MARK))
        mail.index = 0;
    reading->number = mail.number;
    reading->tries--;
    sim_lease_send_any(self->sim, &mail);
    sim_lease_cache_at(self, self->sim->world->now_us + READ_WAIT_US, unanswered, mail.number,
                       false);
}

/* Another attempt for all who wait for that one, if they may make it. */
static bool send_again(struct sim_lease_cache *self, uint64_t number)
{
    struct lease_reading *first = NULL;

    for (struct lease_reading *reading = self->readings; reading != NULL; reading = reading->next)
        if (reading->number == number)
            first = reading;
    if (first == NULL || first->tries == 0)
        return false;
    self->sim->counts.repeated++;
    send_read(self, first);
    for (struct lease_reading *reading = self->readings; reading != NULL; reading = reading->next)
        if (reading->number == number)
            reading->number = first->number;
    return true;
}

static void give_up(struct sim_lease_cache *self, uint64_t number)
{
    struct lease_reading *reading;
    uint64_t token = 0;

    while ((reading = take_out(self, number)) != NULL) {
        self->sim->counts.unread++;
        token = reading->token;
        free(reading);
    }
    if (token == 0)
        return;
    leased_cache_fill(self->cache, token, NULL);
    sim_lease_cache_turn(self);
}

static void unanswered(struct sim *sim, struct sim_event *event)
{
    const uint64_t number = event->argument;
    struct sim_lease_cache *self = sim_lease_cache_taken(event);

    (void)sim;
    if (self != NULL && !send_again(self, number))
        give_up(self, number);
}

static void fill(struct sim_lease_cache *self, struct lease_reading *reading, uint64_t watermark)
{
    struct lease_reading *other = reading->next;
    struct leased_counts counts;

    /* MUTATION_LEASE_JOIN: whatever fill of that key is under way. */
    while (other != NULL && (other->key != reading->key || other->token == 0))
        other = other->next;
    if (!sim_mutation_is(MUTATION_LEASE_JOIN) || other == NULL) {
        self->sim->counts.fills++;
        reading->fills = true;
        reading->watermark = watermark;
        leased_cache_count(self->cache, &counts);
        reading->epoch = counts.epoch;
        send_read(self, reading);
        return;
    }
    leased_cache_fill(self->cache, reading->token, NULL);
    reading->token = other->token;
    reading->number = other->number;
    reading->fills = true;
}

static void join(struct sim_lease_cache *self, struct lease_reading *reading)
{
    const struct lease_reading *other = reading->next;

    while (other != NULL && other->token != reading->token)
        other = other->next;
    assert(other != NULL);
    self->sim->counts.joins++;
    reading->number = other->number;
    reading->fills = true;
}

static void pass_by(struct sim_lease_cache *self, struct lease_reading *reading)
{
    struct leased_counts counts;

    self->sim->counts.passes++;
    reading->token = 0;
    leased_cache_count(self->cache, &counts);
    if (sim_mutation_is(MUTATION_LEASE_UNLEASED) && counts.pending == 0 && counts.epoch > 0) {
        reading->fills = true;
        reading->watermark = counts.watermark;
    }
    send_read(self, reading);
}

/* ---- Two threads -------------------------------------------------------------------------------- */

/* The most that a thread stands still between taking an entry and looking at the lease. */
#define THREAD_US 100000

/* MUTATION_LEASE_THREADS: the lease is looked at now, whatever the epoch in which the entry was. */
static void compare(struct sim *sim, struct sim_event *event)
{
    const uint64_t number = event->argument;
    struct sim_lease_cache *self = sim_lease_cache_taken(event);
    struct lease_reading *reading = self != NULL ? take_out(self, number) : NULL;
    struct leased_counts counts;

    (void)sim;
    if (reading == NULL)
        return;
    leased_cache_count(self->cache, &counts);
    if (counts.lease_left_ms > 0) {
        self->hits++;
        self->sim->counts.hits++;
        shown(self, reading, reading->taken, "from memory");
    } else {
        self->sim->counts.unread++;
    }
    free(reading);
}

/* A cache of which one thread takes entries, while another one hears the feed: this read is the
 * former's. Returns whether there was an entry. */
static bool take_early(struct sim_lease_cache *self, unsigned key, replica_index floor)
{
    const struct leased_key hashed = leased_key_in(self->cache, lease_key_name(key));
    const struct leased_entry *entry = leased_entries_take(self->cache->entries, &hashed);
    struct lease_reading *reading;

    if (entry == NULL)
        return false;
    reading = reading_new(self, key, floor, 0);
    memcpy(&reading->taken, entry->data, sizeof reading->taken);
    reading->number = ++self->numbers;
    sim_lease_cache_at(self, self->sim->world->now_us + sim_between(self->sim, 1, THREAD_US),
                       compare, reading->number, false);
    return true;
}

/* ---- A read ------------------------------------------------------------------------------------- */

static void read_key(struct sim_lease_cache *self, unsigned key)
{
    const replica_index floor = sim_lease_floor(&sim_lease_of(self->sim)->judge, key);
    struct lease_reading reading = {.key = key, .floor = floor};
    struct leased_value value;
    uint64_t token = 0, watermark = 0;
    enum leased_miss miss;
    replica_index index;

    if (sim_mutation_is(MUTATION_LEASE_THREADS) && take_early(self, key, floor))
        return;
    if (leased_cache_get(self->cache, lease_key_name(key), &value)) {
        assert(value.size == sizeof index);
        memcpy(&index, value.data, sizeof index);
        self->hits++;
        self->sim->counts.hits++;
        shown(self, &reading, index, "from memory");
        return;
    }
    miss = leased_cache_miss(self->cache, lease_key_name(key), &token, &watermark);
    switch (miss) {
    case LEASED_FILL: fill(self, reading_new(self, key, floor, token), watermark); break;
    case LEASED_JOIN: join(self, reading_new(self, key, floor, token)); break;
    case LEASED_PASS: pass_by(self, reading_new(self, key, floor, 0)); break;
    }
}

void sim_lease_cache_read_key(struct sim_lease_cache *self, unsigned key)
{
    read_key(self, key);
    sim_lease_cache_turn(self);
}

/* Some keys are read more than others, and so are those of a write (sim_lease.c). */
static void read_some(struct sim *sim, struct sim_event *event)
{
    struct sim_lease_cache *self = sim_lease_cache_taken(event);

    if (self == NULL)
        return;
    sim_lease_cache_read_key(self, (unsigned)sim_below(sim, 1 + sim_below(sim, LEASE_KEYS)));
    sim_lease_cache_read(self);
}

/* What passes by a cache without a lease costs a round of the group, and shows little. */
void sim_lease_cache_read(struct sim_lease_cache *self)
{
    int64_t mean_us = sim_lease_of(self->sim)->read_us;
    struct leased_counts counts;

    if (mean_us == 0)
        return;
    leased_cache_count(self->cache, &counts);
    if (counts.lease_left_ms == 0)
        mean_us *= 4;
    sim_lease_cache_at(self, self->sim->world->now_us + sim_between(self->sim, 1, 2 * mean_us),
                       read_some, 0, true);
}

/* ---- Its answer --------------------------------------------------------------------------------- */

/* MUTATION_LEASE_POISON, MUTATION_LEASE_FLUSH: what was not stored is stored after all, by a fill that
 * begins and ends now; if it was begun in @epoch, which is over. */
static void store_poisoned(struct sim_lease_cache *self, const char *name, uint64_t epoch,
                           const struct leased_value *value)
{
    struct leased_value found;
    struct leased_counts counts;
    uint64_t token, watermark;

    leased_cache_count(self->cache, &counts);
    if (!sim_mutation_is(MUTATION_LEASE_POISON) &&
        (!sim_mutation_is(MUTATION_LEASE_FLUSH) || counts.epoch == epoch))
        return;
    if (!leased_cache_get(self->cache, name, &found) &&
        leased_cache_miss(self->cache, name, &token, &watermark) == LEASED_FILL)
        leased_cache_fill(self->cache, token, value);
}

void sim_lease_cache_value(struct sim_lease_cache *self, const struct lease_mail *mail)
{
    const struct leased_value value = {&mail->index, sizeof mail->index};
    struct lease_reading *reading;
    uint64_t token = 0, epoch = 0;

    while ((reading = take_out(self, mail->number)) != NULL) {
        token = reading->token;
        epoch = reading->epoch;
        shown(self, reading, mail->index, reading->fills ? "by a fill" : "by read index");
        free(reading);
    }
    if (token == 0)
        return;
    leased_cache_fill(self->cache, token, &value);
    store_poisoned(self, lease_key_name(mail->key), epoch, &value);
}
