/* The disk of a node: writes become durable in order, after a while; those that come while one is under
 * way are the next one together, as in the disk thread.
 *
 * A crash loses what was under way, or keeps any first part of it. Each write is a transaction: it is
 * there as a whole or not at all.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_DISK_H
#define PYGMY_SIM_DISK_H

#include "services/replica/consensus.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_log.h"
#include "tests/sim/sim_machine.h"

/* A snapshot: its mark and the state itself. */
struct sim_snapshot {
    struct snapshot_mark mark; /* .index 0: there is none */
    struct sim_image *image;   /* held */
};

/* Make @self hold what @from does. */
void sim_snapshot_copy(struct sim_snapshot *self, const struct sim_snapshot *from);
void sim_snapshot_close(struct sim_snapshot *self);

/* What a restart finds. */
struct sim_disk_state {
    replica_term term;
    uint64_t vote;
    struct sim_log log;
    struct sim_snapshot snapshot;
};

enum sim_disk_kind {
    DISK_WRITE,   /* term, vote, entries: a CONSENSUS_WRITE */
    DISK_CUT,     /* drop entries before .first */
    DISK_INSTALL, /* .snapshot takes the place of snapshot and log */
};

struct sim_disk_op {
    enum sim_disk_kind kind;
    struct consensus_write write; /* owned */
    replica_index first;
    struct sim_snapshot *snapshot; /* owned */
    bool reported;                 /* said to be durable (only MUTATION_FSYNC: before it is) */
};

struct sim_disk {
    struct sim_disk_state state; /* durable */
    struct sim_disk_op *ops;     /* under way, oldest first */
    size_t count;
    size_t capacity;
    int64_t began_us; /* the last transaction begins (or began) */
    int64_t free_us;  /* and ends */
    unsigned slow;    /* factor of the latency of each, 1: as usual */
};

void sim_disk_init(struct sim_disk *self);
void sim_disk_close(struct sim_disk *self);

/* Begin a write; it and what it holds are taken over. Returns when it is done. */
int64_t sim_disk_begin(struct sim_disk *self, struct sim *sim, const struct sim_disk_op *op);
/* The oldest is done: it is durable now. */
void sim_disk_finish(struct sim_disk *self);
/* The node died. Returns how many writes are lost. */
size_t sim_disk_crash(struct sim_disk *self, struct sim *sim);

void sim_disk_op_close(struct sim_disk_op *op);

#endif
