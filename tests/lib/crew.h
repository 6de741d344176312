/* A group of drivers (services/replica/consensus.h) in one thread: a clock, a network that delays
 * each message by a millisecond, and for each a disk. Every event is followed by consensus_check().
 *
 * Nothing here is random but what is lost on crew->loss_percent, which is drawn from crew->random.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_CREW_H
#define PYGMY_TESTS_CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/replica/consensus.h"

#define CREW_NODES_MAX   6
#define CREW_ENTRIES_MAX 8192
#define CREW_ELECTION_MS 150

struct crew_disk {
    replica_term term;
    uint64_t vote;
    struct snapshot_mark snapshot;                      /* index 0: none */
    replica_index first;                                /* of the log */
    replica_index last;                                 /* first - 1: empty */
    struct shared_entry *entries[CREW_ENTRIES_MAX + 1]; /* by index, held */
};

struct crew_write {
    struct crew_write *next;
    struct consensus_write write;
};

struct crew_node {
    struct consensus *consensus; /* NULL: down */
    uint64_t id;
    struct crew_disk disk;
    struct crew_write *writes; /* under way, in order */
    bool disk_is_stalled;      /* they stay under way */
    bool is_cut_off;           /* it neither sends nor gets */
    bool ignores_fetches;      /* what CONSENSUS_FETCH asks for never comes */
    bool installs;             /* .install is to be done */
    struct snapshot_mark install;
    replica_index applied;
    replica_index seen_commit; /* of the last CONSENSUS_COMMIT */
    uint64_t read_ticket;      /* of the last CONSENSUS_READ */
    replica_index read_index;
    struct consensus_action role;  /* the last CONSENSUS_ROLE */
    struct consensus_action fetch; /* the last CONSENSUS_FETCH; from nobody: none */
    struct snapshot_mark wanted;   /* what it asked for */
    unsigned fetches;              /* asked for */
    unsigned appends_on_disk;      /* messages whose entries it was asked to read */
    size_t messages;               /* sent */
};

struct crew_packet {
    struct crew_packet *next;
    int64_t at_ms;
    uint64_t to;
    uint8_t *data;
    size_t size;
};

struct crew {
    struct crew_node nodes[CREW_NODES_MAX]; /* the node with id i is nodes[i - 1] */
    size_t count;
    int64_t now_ms;
    struct crew_packet *packets; /* in order of their times */
    struct crew_packet **packets_end;
    unsigned loss_percent;
    uint64_t random;
    unsigned starts;
    bool pre_vote;
    unsigned in_flight_max;
    /* NULL, or whether a message is lost; called for each that is sent. */
    bool (*lose)(void *arg, const struct peer_message *message);
    void *arg;
};

/* @voters nodes, up, of the same founding membership, and @others, up, that belong to no group. */
struct crew *crew_new(size_t voters, size_t others);
void crew_destroy(struct crew **self_p);
struct crew_node *crew_node(struct crew *self, uint64_t id);

/* Let time pass, a millisecond at a time. */
void crew_run(struct crew *self, int64_t ms);
/* The same until there is a leader that serves, of the highest term; its id. Fails after 10 s. */
uint64_t crew_elect(struct crew *self);
/* Who leads now, in the highest term, of those that are up; 0: nobody. */
uint64_t crew_leader(const struct crew *self);

/* A crash takes with it what was not durable. */
void crew_crash(struct crew *self, uint64_t id);
void crew_start(struct crew *self, uint64_t id);

/* One command at a node. Returns what consensus_submit() does. */
int crew_submit(struct crew *self, uint64_t id, const char *text, replica_index *index);
/* Put an entry at the end of the disk of a node that is down; its term becomes the disk's. */
void crew_put(struct crew *self, uint64_t id, replica_term term, const char *text);
/* All nodes but @id are down. */
void crew_leave_alone(struct crew *self, uint64_t id);
/* Whether all that are up have applied the same @last entries. */
bool crew_agrees(const struct crew *self, replica_index last);
/* Run until they have. Fails after 20 s. */
void crew_converge(struct crew *self, replica_index last);
/* Take a snapshot at what the node has applied. */
void crew_snapshot(struct crew *self, uint64_t id, unsigned trailing);
/* Give the node a message of our making, at once. */
void crew_inject(struct crew *self, struct peer_message *message);
/* Carry out what a node asked for, after a call to its driver. */
void crew_follow(struct crew *self, struct crew_node *node);
/* Write a membership of the @voters first nodes. */
void crew_membership(size_t voters, struct bytes_writer *writer);
/* The address of a member. */
const char *crew_address(uint64_t id);

#endif
