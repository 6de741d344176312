/* A leader's lease table under test: what goes in, in few words, and what it does, as a text, in
 * order. BEATs are left out unless they are asked for.
 *
 *   inv 1:a,b    INVALIDATE of number 1          go 7         PROPOSE of the write 7
 *   rel 2:a@105  RELEASE with index 105          no 7:busy    REFUSE of an ask or a write
 *   beat 2       BEAT                            round        ROUND
 *   sync 1/2:4:a,b@105+990   SYNCED to session 1, epoch 2: seq, keys, index, what remains
 *   grant 1/2+990            GRANT               close 1      CLOSE
 *
 * "*" is "all keys".
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_LEADER_H
#define PYGMY_TESTS_LEADER_H

#include "services/replica/lease_table.h"

struct leader {
    struct lease_table *table;
    int64_t now;
    replica_term term;
    uint64_t ask; /* the last one's number */
    bool beats;
    char text[16384];
    size_t used;
};

/* It does not lead yet; 100 is committed. */
void leader_open(struct leader *self);
void leader_close(struct leader *self);
/* Lead from now on, since now. */
void leader_lead(struct leader *self, replica_term term, const uint64_t *sessions, size_t count);
/* Open one that leads in term 1 since 0, with @count sessions, 1 and so on, synced in epoch 1
 * with leases that count from 0. */
void leader_lease(struct leader *self, uint64_t count);

/* What it did since this was asked last. */
void leader_expect(struct leader *self, const char *text);
void leader_skip(struct leader *self);
struct lease_counts leader_counts(const struct leader *self);

/* Time comes. */
void leader_at(struct leader *self, int64_t now);
/* A round begins and is confirmed now. */
void leader_confirm(struct leader *self);

/* Asks; the first one's ticket is 1001. */
struct lease_ask leader_ask(struct leader *self, uint64_t session, uint64_t epoch, uint64_t acked);
void leader_sync(struct leader *self, uint64_t session, uint64_t epoch);
void leader_renew(struct leader *self, uint64_t session, uint64_t epoch, uint64_t acked);

/* A write of keys that are separated by blanks; "*": all. */
void leader_write(struct leader *self, uint64_t ticket, const char *names);
void leader_write_until(struct leader *self, uint64_t ticket, const char *names, int64_t deadline);
/* Of the keys k0 and so on, @count of them. */
void leader_write_many(struct leader *self, uint64_t ticket, size_t count);
void leader_written(struct leader *self, uint64_t ticket, replica_index index);

#endif
