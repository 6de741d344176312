/* A replica of the simulated group: what services/replica/replica.c is to the real driver.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_NODE_H
#define PYGMY_SIM_NODE_H

#include "services/replica/consensus.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_disk.h"

/* Reads that wait at a node; beyond it none begins. */
#define SIM_READS_MAX 256
/* Messages that wait for a node that is paused; beyond it they are lost (PEER_MESSAGES_MAX of each). */
#define SIM_BACKLOG_MAX 256

struct sim_read {
    uint64_t ticket;
    replica_index index; /* to be applied before it is served; 0: not known yet */
    replica_index floor; /* what it has to show at least, by the judge */
};

/* How far a machine has got. */
struct sim_applied {
    replica_index index; /* of the last applied entry; 0: none */
    replica_term term;   /* its term */
    int64_t log_time_ms; /* its log time */
};

struct sim_node {
    int slot;    /* in sim->nodes */
    uint64_t id; /* slot + 1 */
    char address[32];
    bool up;           /* a process runs */
    bool gone;         /* for ever: removed, or not among those that come back */
    uint64_t life;     /* number of the process, from 1; changes at its end */
    int64_t paused_us; /* since when; 0: it is not, or went on */
    int64_t paused_until_us;
    size_t backlog; /* messages that wait for the end of a pause */
    struct sim_disk disk;

    /* Of the process. */
    struct consensus *consensus;
    int64_t clock_ms;   /* its clock was so much ahead of the world's when the world began, */
    int64_t drift_ppm;  /* and gains so much on it since */
    int64_t armed_us;   /* when its timer fires; INT64_MAX: it is not armed */
    struct sim_log log; /* as it has been told, durable or not */
    replica_index commit;
    void *machine; /* of sim->use */
    struct sim_applied applied;
    bool installing;
    bool saving;          /* a snapshot is being taken */
    replica_index wanted; /* snapshot that is to be fetched; 0: none */
    struct sim_snapshot *fetched;
    enum consensus_role role;
    replica_term role_term;
    int64_t role_since_ms;  /* by its clock */
    replica_index barrier;  /* leader: the first entry of its term */
    replica_term lead_term; /* in which its use knows it to lead; 0: it does not */
    void *process;          /* what its use has in this process */
    struct sim_read reads[SIM_READS_MAX];
    size_t read_count;

    /* Of the judge. */
    replica_index checked; /* commits up to it were compared in this life */
    uint64_t steps;
};

/* Make the nodes of a new group and start them. */
void sim_nodes_found(struct sim *sim, size_t count);
/* Make one more, which has nothing and waits to be added; start it. Returns its slot, -1: no room. */
int sim_node_join(struct sim *sim);
void sim_node_destroy(struct sim *sim, struct sim_node **self_p);

int sim_node_by_id(const struct sim *sim, uint64_t id); /* slot; -1: there is none */

/* Faults. */
void sim_node_crash(struct sim *sim, int slot);
void sim_node_start(struct sim *sim, int slot);
void sim_node_pause(struct sim *sim, int slot, int64_t until_us);

/* Whether the node cannot take an event of its own now: then it is seen to. */
bool sim_node_deferred(struct sim *sim, struct sim_event *event);

/* Events; the node is up. */
void sim_node_receive(struct sim *sim, int slot, struct peer_message *message);
void sim_node_tick(struct sim *sim, int slot);
/* Returns 0 or the driver's code. What follows is carried out by the next call, so that who submits
 * can note the index before anything is applied. */
int sim_node_submit(struct sim *sim, int slot, const struct log_entry *entries, size_t count,
                    replica_index *first);
void sim_node_turn_after(struct sim *sim, int slot, int code);
/* Ask for a read; returns its ticket, by which it is known when it is served, or 0: there is no room.
 * What follows is carried out by sim_node_turn_after(). */
uint64_t sim_node_ask(struct sim *sim, int slot);
void sim_node_read(struct sim *sim, int slot);
/* Take a snapshot of what is applied, unless one is being taken or installed. */
void sim_node_snapshot(struct sim *sim, int slot, unsigned trailing);
int sim_node_add(struct sim *sim, int slot, int who);
int sim_node_promote(struct sim *sim, int slot, int who);
int sim_node_remove(struct sim *sim, int slot, int who);
int sim_node_transfer(struct sim *sim, int slot, int to); /* -1: to whom is furthest */

/* A leader that has applied the first entry of its term. */
bool sim_node_serves(const struct sim_node *self);
int64_t sim_node_now_ms(const struct sim *sim, const struct sim_node *self);
/* When its clock comes to show @ms, in the world's time. */
int64_t sim_node_due_us(const struct sim_node *self, int64_t ms);
void sim_node_trace(const struct sim_node *self, FILE *file);

#endif
