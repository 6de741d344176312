/* Faults that are put into the driver or its surroundings on purpose, to show that they are found.
 *
 * The programs know nothing of it. The guards (raft_guard.h) and the rule of the read index are
 * functions in sources of their own, called through their names; the simulator is linked so that
 * the names lead here first (ld --wrap).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_MUTATION_H
#define PYGMY_SIM_MUTATION_H

#include <stdbool.h>
#include <stdint.h>

enum sim_mutation {
    MUTATION_NONE,
    /* Of the surroundings: sim_disk.c and sim_node.c look whether they are on. */
    MUTATION_FSYNC,       /* a write is said to be durable when it was only begun */
    MUTATION_APPLY_TWICE, /* after a restart, entries that the state holds are applied again */
    /* Of the driver. */
    MUTATION_READ_ROUND, /* reads are confirmed without a majority */
    MUTATION_SPLIT,
    MUTATION_PREFIX,
    MUTATION_VOTE_RESULT,
    MUTATION_STALE_REJECT,
    MUTATION_DOUBLE_CHANGE,
    MUTATION_PRE_VOTE_TERM,
    MUTATION_BARRIER,
    MUTATION_HINT,
    MUTATION_COMMIT,
    MUTATION_PERSISTED,
    MUTATION_TIMEOUT,
    MUTATION_SOLE_VOTER,
    MUTATION_VOTING_ROLE,
    MUTATION_DISRUPT,
    /* Of the store: sim_shell.c and sim_conductor.c look whether they are on. */
    MUTATION_STORE_FIRST,
    MUTATION_STORE_READ = MUTATION_STORE_FIRST, /* reads of the tables as they are */
    MUTATION_STORE_EARLY,  /* a buy is acknowledged when its order is submitted */
    MUTATION_STORE_LEAD,   /* the saga does not hear that leadership is lost */
    MUTATION_STORE_DENIAL, /* the catalog does not record denials */
    /* Of leased caches, put in where a part of them meets its host: sim_lease_*.c look. Of the leader: */
    MUTATION_LEASE_FIRST,
    MUTATION_LEASE_APPROVAL = MUTATION_LEASE_FIRST, /* writes are proposed without approval (B2) */
    MUTATION_LEASE_ANCHOR,                          /* grants without a confirmed round (B4) */
    MUTATION_LEASE_TAKEOVER,                        /* a new leader does not wait (B3) */
    MUTATION_LEASE_WAIT_100,                        /* W = 1.00 L */
    MUTATION_LEASE_WAIT_95,                         /* W = 0.95 L */
    MUTATION_LEASE_DRIFT_3,                         /* clocks are wrong by up to 3 %, */
    MUTATION_LEASE_DRIFT_5,                         /* 5 %, */
    MUTATION_LEASE_DRIFT_10,                        /* 10 % */
    MUTATION_LEASE_RELEASE,      /* a key is released with a write in flight (B6) */
    MUTATION_LEASE_LAPSED,       /* a lapsed session is renewed by a plain GRANT (B4) */
    MUTATION_LEASE_RESYNC,       /* a doubled SYNC is accepted (B5) */
    MUTATION_LEASE_PENDING,      /* SYNCED does not tell the pending keys (B5), */
    MUTATION_LEASE_SYNC_MARK,    /* or the commit index */
    MUTATION_LEASE_APPROVING,    /* a write does not wait while its key is being approved (B2) */
    MUTATION_LEASE_BARRIER,      /* it leads, and grants, before its own barrier (B1) */
    MUTATION_LEASE_READ_BARRIER, /* a read index before it (B1) */
    MUTATION_LEASE_RENEWAL,      /* a session that lapses by the very RENEW is renewed by it (B4) */
    /* Of the cache: */
    MUTATION_LEASE_RELEASE_MARK, /* RELEASE does not raise the watermark (C3) */
    MUTATION_LEASE_FILL_MARK,    /* fills go without it (C5) */
    MUTATION_LEASE_GAP,          /* gaps are ignored (C3) */
    MUTATION_LEASE_OLD_TERM,     /* a lower term's news are taken (C3) */
    MUTATION_LEASE_POISON,       /* a poisoned fill is stored (C5) */
    MUTATION_LEASE_JOIN,         /* a poisoned fill is joined (C5) */
    MUTATION_LEASE_UNLEASED,     /* the lease is not looked at when a fill is sent (C5) */
    MUTATION_LEASE_ARRIVAL,      /* a lease counts from its answer's arrival (C2) */
    MUTATION_LEASE_TIMER,        /* the clock is what a timer of 10 ms has read (C1) */
    MUTATION_LEASE_THREADS, /* an entry of before a flush is compared with the lease after (C1) */
    MUTATION_LEASE_READ,    /* reads that pass by the cache need no read index (C6) */
    MUTATION_LEASE_KEPT,    /* what is said during a SYNC is not applied after it (C4) */
    MUTATION_LEASE_FLUSH,   /* fills are kept over a flush (C4) */
    MUTATION_LEASE_NAMES,   /* what is told while all keys are pending has no names (B11) */
    MUTATION_LEASE_LEAVE,   /* it serves on when it has said that its session is over (C8) */
    MUTATION_COUNT,
};

/* Its name, for the command line and the table. */
const char *sim_mutation_name(enum sim_mutation mutation);
/* By name; MUTATION_COUNT: there is none of that name. */
enum sim_mutation sim_mutation_find(const char *name);

/* Switch one on for the runs that follow in this process: a wrapped function gets no argument that
 * could say so, which is why this is the one variable outside all objects. */
void sim_mutation_set(enum sim_mutation mutation);
bool sim_mutation_is(enum sim_mutation mutation);
/* How often, since then, that guard's answer was another than that of no guard. */
uint64_t sim_mutation_acted(enum sim_mutation mutation);

#endif
