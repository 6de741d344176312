/* Who belongs to a group: the content of a log entry of the kind LOG_ENTRY_MEMBERSHIP.
 *
 * A membership counts from the moment its entry stands in a replica's log, committed or not (Raft,
 * section 4.1: the latest configuration in the log is the one in force).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_MEMBERSHIP_H
#define PYGMY_REPLICA_MEMBERSHIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bus/bytes.h"
#include "broker/bus/limits.h"

/* Numbers are on disk: never renumbered. */
enum member_role {
    MEMBER_LEARNER = 0, /* gets the log, has no vote */
    MEMBER_VOTER = 1,
};

struct member {
    uint64_t id; /* of the replica, from 1; never given to another data directory. Whoever adds it
                  * sees to that: the log doesn't tell one who comes back with its data, which is
                  * allowed, from one who comes back without */
    enum member_role role;
    char address[MEMBER_ADDRESS_BYTES_MAX + 1]; /* "NAME LINK SNAPSHOTS": its name, its PUB's
                                                 * endpoint, and that of its snapshot channel */
};

struct membership {
    size_t count;
    struct member members[MEMBERS_MAX]; /* by position: a change never reorders them */
};

/* The member, or NULL. */
const struct member *membership_find(const struct membership *self, uint64_t id);
size_t membership_voters(const struct membership *self);
/* Voters that are more than half. */
size_t membership_majority(const struct membership *self);

/* One word of a member's address, "" where it has not so many. @text has room for
 * MEMBER_ADDRESS_BYTES_MAX + 1 bytes. Returns @text. */
enum member_word { MEMBER_NAME, MEMBER_LINK, MEMBER_SNAPSHOTS };
const char *member_word(const struct member *self, enum member_word word, char *text);

/* Write it, 1 to MEMBERS_MAX members (asserted); read it. A reader that holds none, one without a
 * voter, with an id or an address twice, or more than MEMBERS_MAX is marked failed, and @self is
 * empty. Bytes that follow are left to the caller. */
void membership_encode(const struct membership *self, struct bytes_writer *writer);
void membership_decode(struct membership *self, struct bytes_reader *reader);

#endif
