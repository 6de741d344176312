/* What the parts of a world with leased caches know of each other (sim_lease.h).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_LEASE_WORLD_H
#define PYGMY_SIM_LEASE_WORLD_H

#include "tests/sim/sim_lease_cache.h"
#include "tests/sim/sim_lease_judge.h"
#include "tests/sim/sim_lease_post.h"

#define LEASE_CACHES_MAX 4

/* The world in two parts, as it last fell into them: by slot and by number, who is in the leader's. */
struct lease_parts {
    int64_t since_us; /* 0: it is mended */
    size_t node_count;
    uint64_t nodes;
    uint64_t caches;
};

struct sim_lease { /* sim->user */
    struct sim *sim;
    struct sim_lease_post *post;
    struct sim_lease_judge judge;
    size_t cache_count;
    struct sim_lease_cache *caches[LEASE_CACHES_MAX];
    uint64_t cut; /* number of the last partition: an older one's end ends nothing */
    struct lease_parts parts;
    unsigned read_us;  /* between two reads of a cache, at the mean; 0: none, but by hand */
    unsigned write_us; /* between two writes, at the mean */
    unsigned harm_us;  /* between two harms, at the mean */
    unsigned ask_us;   /* after which a cache gives an ask up */
    bool calm;         /* no more harm, */
    bool still;        /* and no more writes */
};

static inline struct sim_lease *sim_lease_of(struct sim *sim)
{
    return sim->user;
}

/* sim_lease.c: a world in which nothing happens yet. */
void sim_lease_open(struct sim_lease *self, const struct sim_options *options);
void sim_lease_close(struct sim_lease *self);

/* sim_lease_nemesis.c */
void sim_lease_harm_start(struct sim_lease *self);
/* Everything between caches and replicas works again. */
void sim_lease_mend(struct sim_lease *self);

#endif
