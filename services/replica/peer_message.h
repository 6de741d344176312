/* What the replicas of a group say to each other.
 *
 * On the wire: docs/protocol.md, "Between replicas". Integers are big-endian.
 *
 *   topic    PEER_TOPIC_BYTES: 0x00, the group's number (CRC-32 of its name, u32), receiver u64
 *   message  format u8 (PEER_FORMAT), cluster uuid 16 bytes, sender's id u64, sender's start id u64,
 *            kind u8, term u64, the kind's own fields, and a CRC-32 over all of the message before it
 *
 * Both are one frame, so that a subscription to a topic is one to the beginnings of frames.
 *
 * A message is lost, doubled, delayed or reordered without harm; a stopped process gets its whole
 * backlog at once when it goes on, so whoever receives drops what is old before he looks further.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_PEER_MESSAGE_H
#define PYGMY_REPLICA_PEER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/replica/membership.h"
#include "services/replica/replica.h"
#include "services/replica/shared_entry.h"
#include "services/replica/snapshot_mark.h"

#define PEER_FORMAT      1
#define PEER_UUID_BYTES  16
#define PEER_TOPIC_BYTES 13

/* Numbers are on the wire: never renumbered. */
enum peer_kind {
    PEER_APPEND = 1,    /* leader to follower: entries, or a heartbeat (Raft 5.3) */
    PEER_APPEND_RESULT, /* and back */
    PEER_VOTE,          /* candidate to voter (5.2; 9.6 for the vote before the vote) */
    PEER_VOTE_RESULT,
    PEER_SNAPSHOT,    /* leader to follower: there is one to be fetched (7) */
    PEER_TIMEOUT_NOW, /* leader to its successor (3.10 of the dissertation) */
    PEER_ROUND,       /* leader to voter: does my term still stand? (6.4) */
    PEER_ROUND_RESULT,
    PEER_READ, /* follower to leader: up to which index must I have applied for these reads? */
    PEER_READ_RESULT,
    PEER_DIGEST, /* to all: the digest of my tables at that index */
};

struct peer_message {
    enum peer_kind kind;
    uint64_t from; /* replica ids */
    uint64_t to;
    uint64_t start_id; /* of the sender's process: random, at each start another */
    replica_term term; /* the sender's; in answers to a vote before the vote see raft_guard.h */
    union {
        struct {
            replica_index prev_index; /* of the entry before the first one */
            replica_term prev_term;
            replica_index commit_index;
            size_t count; /* of the entries; 0: a heartbeat */
            /* Each held. NULL though there are some, only from consensus_next(): they are on the
             * disk, to be filled in by the sender. */
            struct shared_entry **entries;
        } append;
        struct {
            replica_index rejected; /* the refused prev_index; 0: appended */
            replica_index last_index;
        } append_result;
        struct {
            replica_index last_index;
            replica_term last_term;
            bool disrupt; /* a leader hands over: don't protect it */
            bool pre_vote;
        } vote;
        struct {
            bool granted;
            bool pre_vote;
        } vote_result;
        /* PEER_SNAPSHOT; owned. Not part of the message: it is a hundred times as large as
         * everything else, and messages are copied. */
        struct snapshot_mark *snapshot;
        struct {
            replica_index last_index;
            replica_term last_term;
        } timeout_now;
        struct {
            uint64_t number;
        } round; /* PEER_ROUND and its result, which repeats the number */
        struct {
            uint64_t start_id; /* of who asks; repeated in the result, as the number is */
            uint64_t number;
            replica_index index; /* in the result */
        } read;
        struct {
            replica_index index;
            uint64_t digest;
            uint32_t format; /* of the digest: those of two formats can't be compared */
        } digest;
    };
};

/* Let go of what the message holds: its entries, and their array, and its snapshot's mark, which
 * free() takes. It is then empty; one that is {0} stays so. */
void peer_message_close(struct peer_message *self);

/* Bytes that PEER_APPEND takes without entries, and that each entry takes in it. */
#define PEER_APPEND_BYTES_MIN 74
size_t peer_message_entry_bytes(const struct log_entry *entry);

/* The topic of what is for the replica @id of a group. */
void peer_message_topic(const char *group, uint64_t id, uint8_t topic[PEER_TOPIC_BYTES]);

/* The message, after what the writer holds already. One of more than PEER_BYTES_MAX is a
 * programmer's error (asserted). */
void peer_message_encode(const struct peer_message *self, const uint8_t uuid[PEER_UUID_BYTES],
                         struct bytes_writer *writer);
/* Read a message, trusting nothing: terms from 1, indexes and terms below 2^63 and in order, kinds
 * and memberships that are known. On failure @self is empty. Its receiver is in the topic: `to` is
 * 0.
 *
 * Returns 0, ERR_MALFORMED, ERR_VERSION (another format) or ERR_MISMATCH (another cluster). */
int peer_message_decode(struct peer_message *self, const uint8_t uuid[PEER_UUID_BYTES],
                        const void *data, size_t size);

#endif
