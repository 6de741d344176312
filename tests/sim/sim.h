/* One replica group in a simulated world (sim_world.h), and what lives in it.
 *
 * One seed is one run. Everything that happens is an event of the queue, fired in the order of its
 * time and, at the same time, of its making; everything random is drawn from one generator. Nothing
 * in it reads a clock, an address or the environment, so that a seed replays to the letter.
 *
 *   sim_net      messages between nodes: lost, doubled, delayed, overtaking, cut off
 *   sim_disk     what outlives a crash of a node, and what does not yet
 *   sim_node     a replica: the driver (services/replica/consensus.h), its log, its state machine
 *   sim_clients  who submits commands and reads
 *   sim_nemesis  who does harm, and at last heals
 *   sim_check    the judge, who sees everything
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_H
#define PYGMY_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "services/replica/log_entry.h"
#include "tests/sim/sim_machine.h"
#include "tests/sim/sim_mutation.h"
#include "tests/sim/sim_world.h"

/* Nodes that may ever have been; each has an id of its own, which is never given to another. */
#define SIM_NODES_MAX 12

/* A run is under fire for at least so long, and until so many commands are committed. */
#define SIM_FIRE_US      (20 * 1000000LL)
#define SIM_FIRE_COMMITS 500
/* Longer than this, the fire is too hot for the run to say anything. */
#define SIM_FIRE_US_MAX (300 * 1000000LL)
/* After it, so many further commands have to be applied everywhere, within so long. */
#define SIM_HEAL_COMMITS 20
#define SIM_HEAL_US_MAX  (20 * 1000000LL)

struct sim_use;

/* What is asked for; what is not, the seed decides. */
struct sim_options {
    uint64_t seed;
    unsigned servers;      /* 3 or 5; 0: by the seed */
    unsigned election_ms;  /* 0: by the seed, as is the next */
    unsigned heartbeat_ms; /* */
    int heal_majority;     /* 1: only a bare majority comes back; 0: all; -1: by the seed */
    int pre_vote;          /* 1, 0; -1: by the seed */
    int membership;        /* whether members come and go: 1, 0; -1: by the seed */
    enum sim_mutation mutation;
    bool store;                /* a whole store (sim_store.h) */
    bool lease;                /* a group with leased caches (sim_lease.h) */
    const struct sim_use *use; /* of a group in a world of its own */
    FILE *trace;               /* NULL: none */
};

/* What the seed has decided about its run. */
struct sim_traits {
    unsigned servers;
    unsigned election_ms;
    unsigned heartbeat_ms;
    bool heal_majority;
    bool pre_vote;
    bool membership;
    size_t voters_min;      /* below it none is removed */
    bool wire;              /* messages pass through their encoding */
    unsigned in_flight_max; /* entries */
    unsigned snapshot_retry_ms;
    unsigned snapshot_entries; /* applied since the last one, after which the next is taken */
    unsigned load_us;          /* between two acts of the clients, at the mean */
    unsigned batch_max;        /* commands of one submission */
    unsigned backlog_max;      /* uncommitted entries at which clients wait */
    unsigned command_bytes_max;
    unsigned change_us;   /* between two of the operator's changes of the membership */
    unsigned nemesis_us;  /* between two of the nemesis's, at the mean */
    unsigned disk_us_max; /* of a write */
    unsigned disk_fail;   /* of a million writes, those that fail, which ends the process */
    unsigned disk_stall;  /* of a million writes, those that take 800 ms */
    unsigned net_us_max;  /* of a message */
    int64_t drift_ppm;    /* of a process's clock, at most, either way; 0: they are all right */
};

struct sim_counts {
    uint64_t runs;
    uint64_t steps; /* events given to a driver */
    uint64_t simulated_ms;
    uint64_t elections;
    uint64_t crashes;
    uint64_t failed_writes; /* each ends a process, which is one of the crashes */
    uint64_t pauses;
    uint64_t partitions;
    uint64_t transfers;
    uint64_t lost_writes; /* that were under way at a crash */
    uint64_t sent;
    uint64_t dropped;
    uint64_t doubled;
    uint64_t snapshots_taken;
    uint64_t snapshots_installed;
    uint64_t changes; /* of the membership, committed */
    uint64_t commits; /* commands */
    uint64_t acknowledged;
    uint64_t reads;
    /* Of a store alone. */
    uint64_t bought; /* told to customers, as are the next five */
    uint64_t denied;
    uint64_t cancelled;
    uint64_t moved;
    uint64_t looked;
    uint64_t found;
    uint64_t repeated;
    uint64_t order_commits; /* of the commands committed, those of the orders' log */
    uint64_t calls;
    uint64_t calls_lost;
    uint64_t calls_doubled;
    /* Of leased caches alone. */
    uint64_t hits; /* reads from memory */
    uint64_t fills;
    uint64_t joins;
    uint64_t passes;
    uint64_t unread; /* reads without an answer in time */
    uint64_t stored; /* by fills */
    uint64_t flushes;
    uint64_t approvals; /* as lease_table.h counts them, as are the next two */
    uint64_t spared;
    uint64_t lapses;
    uint64_t refused_writes;
    uint64_t feed_lost; /* its messages, of those that no partition kept back */
    uint64_t feed_doubled;
    uint64_t feed_late;
    uint64_t long_pauses;        /* of caches that went on after longer than a lease */
    uint64_t long_leader_pauses; /* of replicas that went on after as long, and as leaders */
    uint64_t long_partitions;    /* of replicas and caches, on one way at least, for as long */
    uint64_t two_sided;          /* of them, the world in two, with caches in both parts */
    uint64_t hand_overs;         /* of the transfers, those that the old leader does not hear of */
    uint64_t sessions;           /* opened */
    uint64_t leaves;             /* of them, ended in order */
    uint64_t guarded[MUTATION_COUNT]; /* times that a guard made a difference */
    uint64_t heal_us;
    uint64_t heal_us_max;
    uint64_t heal_seed; /* of that run */
};

struct sim_node;
struct sim_read;

/* What a group is there for: its state machine, and who uses it. */
struct sim_use {
    const char *name; /* before each line of the trace */
    const struct sim_machine_kind *machine;
    /* Those who use it come: for the rest of the run. */
    void (*start)(struct sim *sim);
    /* Submit so many commands at once, if the node lets them. NULL: not possible. */
    int (*submit)(struct sim *sim, int slot, size_t count);
    /* An entry is known to be committed. */
    void (*committed)(struct sim *sim, const struct log_entry *entry);
    /* A node has applied it. @result, of the machine, is taken over. */
    void (*applied)(struct sim *sim, struct sim_node *node, const struct log_entry *entry,
                    void *result);
    /* What a node has applied at once is in its tables. Of this and the next five NULL: nobody asks. */
    void (*settled)(struct sim *sim, struct sim_node *node);
    /* A read of the node may be made now. */
    void (*served)(struct sim *sim, struct sim_node *node, const struct sim_read *read);
    /* A node leads, its own barrier applied; or does so no more. */
    void (*lead)(struct sim *sim, struct sim_node *node, bool leads);
    /* A process begins and ends: what it alone knows comes and goes. */
    void (*born)(struct sim *sim, struct sim_node *node);
    void (*died)(struct sim *sim, struct sim_node *node);
    /* It goes on, after it stood still for so long. */
    void (*resumed)(struct sim *sim, struct sim_node *node, int64_t paused_us);
};

/* Clients that submit commands and read (sim_clients.h): to the toy. */
extern const struct sim_use sim_use_toy;

struct sim {
    struct sim_options options;
    struct sim_traits traits;
    struct sim_counts counts;
    struct sim_world *world;
    bool owns_world;
    const struct sim_use *use;
    void *user;              /* of the use's own */
    struct sim_image *blank; /* what the machine of a new node holds */
    size_t node_count;
    struct sim_node *nodes[SIM_NODES_MAX];
    struct sim_net *net;
    struct sim_clients *clients;
    struct sim_nemesis *nemesis;
    struct sim_check *check;
    bool scripted; /* a directed case: timers and messages go by the script's hand */
};

/* A world in which nothing has happened, without nodes. */
struct sim *sim_new(const struct sim_options *options);
/* A group in a world that has others, and that is destroyed before them. */
struct sim *sim_new_in(struct sim_world *world, const struct sim_options *options,
                       const struct sim_use *use);
void sim_destroy(struct sim **self_p);

/* Run to the end. Whether nothing was found. */
bool sim_run(struct sim *self);

/* The parts of it. */
void sim_start(struct sim *self);
bool sim_fire_is_over(const struct sim *self);
/* Look at everything once more, and count; the fire was put out at @heal_us. */
void sim_end(struct sim *self, int64_t heal_us);

/* Put an event into the queue; its time must not be past. Number and load are taken over. */
void sim_at(struct sim *self, const struct sim_event *event);
/* Whether an event's time has come. */
bool sim_due(const struct sim *self);
/* Fire the earliest event; false when there is none or something was found. */
bool sim_step(struct sim *self);
int64_t sim_now_ms(const struct sim *self);

/* Random numbers. */
uint64_t sim_draw(struct sim *self);
uint64_t sim_below(struct sim *self, uint64_t below);                   /* 0 to below - 1 */
int64_t sim_between(struct sim *self, int64_t least, int64_t greatest); /* both may come */
bool sim_chance(struct sim *self, unsigned of_a_million);
/* How wrong the clock of a process is. */
int64_t sim_draw_drift_ppm(struct sim *self);
#define SIM_PERCENT 10000u /* sim_chance(sim, 3 * SIM_PERCENT) */

/* Note a violation; only the first one counts. */
void sim_fail(struct sim *self, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* One line of the trace. @node -1: of nobody. */
void sim_trace(struct sim *self, int node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Add up; of the healing time the longest is taken, too. */
void sim_counts_add(struct sim_counts *self, const struct sim_counts *more);

#endif
