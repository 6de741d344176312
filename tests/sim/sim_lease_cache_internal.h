/* What the parts of a process with a cache know of each other.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_LEASE_CACHE_INTERNAL_H
#define PYGMY_SIM_LEASE_CACHE_INTERNAL_H

#include "client/store/leased_cache.h"
#include "tests/sim/sim_lease_cache.h"
#include "tests/sim/sim_lease_machine.h"

/* Asks whose time is remembered. */
#define LEASE_ASKED_MAX 64

struct lease_asked {
    uint64_t ask;
    int64_t asked_ms;
    bool answered; /* or given up */
};

/* A read that waits for a replica's answer. */
struct lease_reading {
    struct lease_reading *next;
    unsigned key;
    replica_index floor; /* by the judge */
    uint64_t number;     /* of the attempt; those that have joined a fill share it */
    uint64_t token;      /* of the fill; 0: it is none */
    bool fills;          /* by watermark: a fill, or (a mutation) as if it were one */
    uint64_t watermark;
    uint64_t epoch;      /* in which the fill began */
    unsigned tries;      /* attempts that are left */
    replica_index taken; /* MUTATION_LEASE_THREADS: by one thread, and not compared yet */
};

struct sim_lease_cache {
    struct sim *sim;
    int number;
    uint64_t life;
    int64_t paused_us; /* since when; 0: it is not, or went on */
    int64_t paused_until_us;
    int64_t clock_ms;
    int64_t drift_ppm;
    struct leased_cache *cache;
    int64_t armed_us;
    uint64_t armed;
    struct lease_asked asked[LEASE_ASKED_MAX];
    struct lease_reading *readings;
    uint64_t numbers;
    uint64_t hits;
    /* For mutations alone. */
    int64_t timer_ms;
    int64_t expiry_ms;          /* of the lease, as it counts, */
    int64_t late_expiry_ms;     /* and as it would from its answers' arrival */
    replica_term withheld_term; /* of the feed, since there is no SYNCED; and the newest message */
    uint64_t withheld_seq;
    replica_term fed_term; /* of the last SYNCED; and the newest message in it */
    uint64_t fed_seq;
};

const char *lease_key_name(unsigned key);
int64_t sim_lease_cache_now_ms(const struct sim_lease_cache *self);

/* An event of this process, or of any that will have this place; fire() begins with the next one, which
 * returns NULL when it is not to be carried out. */
void sim_lease_cache_at(struct sim_lease_cache *self, int64_t at_us, sim_event_fn *fire,
                        uint64_t argument, bool any_life);
struct sim_lease_cache *sim_lease_cache_taken(struct sim_event *event);

/* Send what the cache wants to be sent, and be woken when it wants to. After whatever it was told. */
void sim_lease_cache_turn(struct sim_lease_cache *self);

/* ---- sim_lease_read.c */

/* Begin to read, for the rest of the run. */
void sim_lease_cache_read(struct sim_lease_cache *self);
/* One read. */
void sim_lease_cache_read_key(struct sim_lease_cache *self, unsigned key);
/* A replica's answer. */
void sim_lease_cache_value(struct sim_lease_cache *self, const struct lease_mail *mail);
/* Reads that wait get no answer. */
void sim_lease_cache_forget(struct sim_lease_cache *self);

#endif
