/* What the parts of a replica with leases know of each other.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_LEASE_NODE_INTERNAL_H
#define PYGMY_SIM_LEASE_NODE_INTERNAL_H

#include "broker/bus/limits.h"
#include "services/replica/lease_table.h"
#include "tests/sim/sim_lease_machine.h"
#include "tests/sim/sim_lease_post.h"
#include "tests/sim/sim_shell.h"

/* Fills that wait for their watermark at a replica; beyond it they get no answer. */
#define LEASE_FILLINGS_MAX 256

/* The types of an answer to a cache. */
enum lease_mail_answer {
    LEASE_MAIL_OPENED,
    LEASE_MAIL_SYNCED,
    LEASE_MAIL_GRANT,
    LEASE_MAIL_REFUSED
};

/* An ask or a write that the table has not answered yet. */
struct lease_waiting {
    struct lease_waiting *next;
    uint64_t ticket;
    struct lease_mail mail;
};

struct lease_filling {
    struct lease_mail mail;
    int64_t until_ms;
};

/* The newest epoch in which a session was synced here, in this term. */
struct lease_epoch {
    uint64_t session;
    uint64_t epoch;
};

struct lease_process {
    struct sim_shell *shell; /* first: sim_shell.c looks for it here */
    struct sim *sim;
    struct sim_node *node;
    struct lease_table *table;
    uint64_t tickets;
    struct lease_waiting *waiting;
    size_t filling_count;
    struct lease_filling fillings[LEASE_FILLINGS_MAX];
    int64_t armed_us; /* when the table's timer fires; INT64_MAX: it is not armed */
    uint64_t armed;   /* number of that timer: an older one does nothing */
    /* For mutations alone. */
    size_t epoch_count;
    struct lease_epoch epochs[LEASE_OPEN_MAX];
    int64_t confirmed_ms; /* the newest round that was */
    bool appends;         /* its shell knows that it leads */
    uint64_t renewed;     /* ticket of a RENEW that is granted though the table refuses it */
};

/* What is called back with the result of a submission or a read. */
struct lease_call {
    struct sim *sim;
    struct sim_node *node;
    replica_term term; /* in which the node led */
    int64_t begun_ms;
    uint64_t ticket;
    struct lease_mail mail;
};

int64_t lease_process_now_ms(const struct lease_process *self);
/* By how much the leader's wait is too short: its leases count from so much earlier than it says. */
int64_t lease_process_short_ms(void);
/* It leads by its own knowledge, a majority is in its term, and its barrier is not applied yet. */
bool lease_process_before_barrier(const struct lease_process *self);
void lease_process_arm(struct lease_process *self);

struct lease_keys *lease_keys_of(uint32_t keys, bool all);
void lease_keys_free(struct lease_keys *self);

/* ---- sim_lease_act.c */

/* @mail NULL: there is none. The caller's to free(). */
struct lease_call *lease_call_new(struct lease_process *self, const struct lease_mail *mail);
struct lease_waiting *lease_waiting_new(struct lease_process *self, const struct lease_mail *mail);
/* It waits no more; @mail, if not NULL: what it was. */
void lease_waiting_end(struct lease_process *self, uint64_t ticket, struct lease_mail *mail);
/* The epoch in which a session is synced; 0: in none. */
uint64_t lease_process_epoch(const struct lease_process *self, uint64_t session);
/* Do all that the table wants done, and wake it when it has to be. */
void lease_process_act(struct lease_process *self);
/* Submit the write that waits with @ticket. */
void lease_process_propose(struct lease_process *self, uint64_t ticket);

#endif
