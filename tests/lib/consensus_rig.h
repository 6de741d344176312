/* A group of drivers (services/replica/consensus.h) in one thread: a clock, a network that delays
 * each message by a millisecond, and for each a disk. Every event is followed by consensus_check().
 *
 * Nothing here is random but what is lost on rig->loss_percent, which is drawn from rig->random.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_CONSENSUS_RIG_H
#define PYGMY_TESTS_CONSENSUS_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/replica/consensus.h"

#define RIG_NODES_MAX   6
#define RIG_ENTRIES_MAX 8192
#define RIG_ELECTION_MS 150

struct rig_disk {
    replica_term term;
    uint64_t vote;
    struct snapshot_mark snapshot;                     /* index 0: none */
    replica_index first;                               /* of the log */
    replica_index last;                                /* first - 1: empty */
    struct shared_entry *entries[RIG_ENTRIES_MAX + 1]; /* by index, held */
};

struct rig_write {
    struct rig_write *next;
    struct consensus_write write;
};

struct rig_node {
    struct consensus *consensus; /* NULL: down */
    uint64_t id;
    struct rig_disk disk;
    struct rig_write *writes; /* under way, in order */
    bool disk_is_stalled;     /* they stay under way */
    bool is_cut_off;          /* it neither sends nor gets */
    bool ignores_fetches;     /* what CONSENSUS_FETCH asks for never comes */
    bool installs;            /* .install is to be done */
    struct snapshot_mark install;
    replica_index applied;
    replica_index seen_commit; /* of the last CONSENSUS_COMMIT */
    uint64_t read_ticket;      /* of the last CONSENSUS_READ */
    replica_index read_index;
    struct consensus_action role; /* the last CONSENSUS_ROLE */
    unsigned fetches;             /* asked for */
    unsigned appends_on_disk;     /* messages whose entries it was asked to read */
    size_t messages;              /* sent */
    replica_term wrote_term;      /* of the last CONSENSUS_WRITE with one */
};

struct rig_packet {
    struct rig_packet *next;
    int64_t at_ms;
    uint64_t to;
    uint8_t *data;
    size_t size;
};

struct rig {
    struct rig_node nodes[RIG_NODES_MAX]; /* the node with id i is nodes[i - 1] */
    size_t count;
    int64_t now_ms;
    struct rig_packet *packets; /* in order of their times */
    struct rig_packet **packets_end;
    unsigned loss_percent;
    uint64_t random;
    unsigned starts;
    bool pre_vote;
    unsigned in_flight_max;
    /* NULL, or whether a message is lost. */
    bool (*lose)(void *arg, const struct peer_message *message);
    void *arg;
};

/* @voters nodes, up, of the same founding membership, and @others, up, that belong to no group. */
struct rig *rig_open(size_t voters, size_t others);
void rig_close(struct rig **self_p);
struct rig_node *rig_node(struct rig *self, uint64_t id);

/* Let time pass, a millisecond at a time. */
void rig_run(struct rig *self, int64_t ms);
/* The same until there is a leader that serves, of the highest term; its id. Fails after 10 s. */
uint64_t rig_elect(struct rig *self);
/* Who leads now, in the highest term, of those that are up; 0: nobody. */
uint64_t rig_leader(const struct rig *self);

/* A crash takes with it what was not durable. */
void rig_crash(struct rig *self, uint64_t id);
void rig_start(struct rig *self, uint64_t id);

/* One command at a node. Returns what consensus_submit() does. */
int rig_submit(struct rig *self, uint64_t id, const char *text, replica_index *index);
/* Whether all that are up have applied the same @last entries. */
bool rig_agrees(const struct rig *self, replica_index last);
/* Run until they have. Fails after 20 s. */
void rig_converge(struct rig *self, replica_index last);
/* Take a snapshot at what the node has applied. */
void rig_snapshot(struct rig *self, uint64_t id, unsigned trailing);
/* Give the node a message of our making, at once. */
void rig_inject(struct rig *self, struct peer_message *message);
/* Carry out what a node asked for, after a call to its driver. */
void rig_follow(struct rig *self, struct rig_node *node);
/* The address of a member. */
const char *rig_address(uint64_t id);

#endif
