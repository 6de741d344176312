/* Messages to a crew's nodes that tests make up (crew_inject), and a look at those that they send.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_CREW_MESSAGES_H
#define PYGMY_TESTS_CREW_MESSAGES_H

#include "tests/lib/crew.h"

/* What was sent since crew_watch(), by kind; votes before the vote are left out. */
struct crew_seen {
    size_t count[PEER_DIGEST + 1];
    struct peer_message last[PEER_DIGEST + 1]; /* what it holds is gone */
    size_t appended;                           /* entries in PEER_APPEND */
};

void crew_watch(struct crew *crew, struct crew_seen *seen);

struct peer_message crew_heartbeat(uint64_t from, uint64_t to, replica_term term,
                                   replica_index prev_index, replica_term prev_term);
/* With @count commands of @entry_term. */
struct peer_message crew_append(uint64_t from, uint64_t to, replica_term term,
                                replica_index prev_index, replica_term prev_term,
                                replica_term entry_term, size_t count);
/* Make its entry at @place a membership of the @voters first nodes. */
void crew_make_membership(struct peer_message *message, size_t place, size_t voters);
/* @from gives its vote. */
void crew_vote_for(struct crew *crew, uint64_t from, uint64_t to, replica_term term);
/* @from asks for a vote, with a log that is as good as any. */
void crew_ask_for_vote(struct crew *crew, uint64_t from, uint64_t to, replica_term term);
void crew_acknowledge(struct crew *crew, uint64_t from, uint64_t to, replica_term term,
                      replica_index last);
/* A refusal of what follows @rejected. */
void crew_refuse(struct crew *crew, uint64_t from, uint64_t to, replica_term term,
                 replica_index rejected, replica_index last);

/* @voters nodes, all of which are down. */
struct crew *crew_of_none(size_t voters);
/* Start the node and wait until it stands for election; its term. */
replica_term crew_stand(struct crew *crew, uint64_t id);
/* The same, and make it the leader with the votes of nodes that are down. */
replica_term crew_make_leader(struct crew *crew, uint64_t id);

#endif
