/* Leased caches at the catalog's leader: the shell around the lease table (lease_table.h), which
 * decides. What it is told: leadership, sessions, asks, writes, confirmed rounds, time. What it
 * says is done: proposed, published, answered, in the same turn.
 *
 *   lead     -> the sessions of the tables                         leases.c
 *   ask      -> SYNCED, GRANT, or why not                          leases_asks.c
 *   write    -> its keys -> approval -> the log -> applied         leases_writes.c
 *   messages -> the feed                                           leases_feed.c
 *
 * Every write of the catalog goes through here. While there is no session, and none is being
 * opened, it is handed to the replica as it is: it comes before the opening of whatever session
 * follows in the log, so the index that the cache is told when it syncs covers it.
 *
 * Invariants
 *   H1  what the table lets be proposed is submitted at once, so in the term in which it may be: a
 *       replica refuses, and never appends, what it still holds when it loses the lead.
 *   H2  the keys of a write that changes topics are computed when all such writes before it are
 *       applied: the item's old topic is then in the tables.
 *   H3  a write is told to be in flight no more only when it is applied here, or was never
 *       appended. One whose outcome is unknown keeps its keys until leadership ends.
 *   H4  each write and each ask is answered once.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_LEASES_H
#define PYGMY_CATALOG_LEASES_H

#include <czmq.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/bus/bytes.h"
#include "broker/bus/log.h"
#include "broker/bus/metrics.h"
#include "services/catalog/command.h"
#include "services/catalog/machine.h"
#include "services/replica/lease_table.h"
#include "services/replica/replica.h"

struct leases;

struct leases_options {
    zloop_t *loop;
    struct replica *replica;
    struct machine *machine;
    const char *group;       /* "catalog" */
    const char *uuid;        /* of the cluster */
    struct log *log;         /* or NULL */
    struct metrics *metrics; /* or NULL */
};

/* All is borrowed and outlives this, but for the replica, which may be closed before. */
struct leases *leases_new(const struct leases_options *options);
/* Whoever waits is told ERR_NOT_LEADER. The replica does not call back any more. Accepts NULL. */
void leases_destroy(struct leases **self_p);

/* As the machine is told (struct replica_machine): the leader's barrier is applied, or it leads no
 * more. The table counts its leadership from here, which is after the election: later is safe. */
void leases_lead(struct leases *self, bool leader, replica_term term);

/* ---- Writes ---------------------------------------------------------------------------------- */

/* Submit a command when no cache may hold what it changes. @bytes are those of @command; both are
 * copied, as far as they are needed. @done is called as replica_submit() does, and never from
 * within.
 *
 * @deadline_ms  (clock_ms) when ERR_UNAVAILABLE is due, if it is not proposed by then
 *
 * Returns 0, or a refusal that means that nothing was attempted: as replica_submit(), or
 * ERR_UNAVAILABLE. The same may come to @done as well. */
int leases_submit(struct leases *self, const struct command *command,
                  const struct bytes_writer *bytes, int64_t deadline_ms, replica_done_fn *done,
                  void *arg);

/* ---- Sessions -------------------------------------------------------------------------------- */

/* @code  OK, or a code of lease_table.h, or what replica_submit() gives
 * @body  the callee's: the members of the answer, or of the error */
typedef void leases_answer_fn(void *arg, int code, json_t *body);

/* These answer now or later, once. */
void leases_open(struct leases *self, leases_answer_fn *answer, void *arg);
/* Whether this is the cluster. In another one the number of a session would be somebody else's, and
 * he would be said to have acknowledged what he has not heard. */
bool leases_is_ours(const struct leases *self, const char *cluster);
/* The ticket of @ask is given here. */
void leases_sync(struct leases *self, const struct lease_ask *ask, leases_answer_fn *answer,
                 void *arg);
void leases_renew(struct leases *self, const struct lease_ask *ask, leases_answer_fn *answer,
                  void *arg);
/* The cache says that its session is over. */
void leases_leave(struct leases *self, uint64_t session, leases_answer_fn *answer, void *arg);

/* ---- Sight ----------------------------------------------------------------------------------- */

/* What a status says of it: an object; null where this replica does not lead. */
json_t *leases_status(const struct leases *self);

#endif
