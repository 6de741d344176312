/* What the sources of leases.h share. Nobody else includes this.
 *
 * The table is told something, and then leases_act() takes what follows from it, until nothing is
 * left. It does nothing inside of itself: what callbacks bring about meanwhile is taken by the one
 * that is under way.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_LEASES_INTERNAL_H
#define PYGMY_CATALOG_LEASES_INTERNAL_H

#include "broker/bus/alarm.h"
#include "services/catalog/leases.h"

/* A write that goes through the table, or that has to be counted. */
struct leases_write {
    struct leases *leases;
    uint64_t ticket;     /* 0: the table does not know it */
    bool ordered;        /* changes who belongs to a topic (H2) */
    int64_t deadline_ms; /* to be proposed by then */
    int64_t came_us;
    replica_done_fn *done;
    void *arg;
    size_t size;
    uint8_t data[];
};

/* SYNC or RENEW that waits for the table's answer. */
struct leases_ask {
    uint64_t ticket;
    leases_answer_fn *answer;
    void *arg;
};

struct leases_series {
    struct metric *sessions;
    struct metric *synced;
    struct metric *lapsed;
    struct metric *approving;
    struct metric *pending;
    struct metric *waiting;
    struct metric *approvals;
    struct metric *spared;
    struct metric *lapses;
    struct metric *messages;
    struct metric *wait_seconds;
};

struct leases {
    struct replica *replica; /* not owned; not touched once it is closed */
    struct machine *machine; /* not owned */
    const char *group;       /* not owned */
    const char *uuid;        /* not owned */
    struct log *log;         /* not owned, or NULL */
    struct lease_table *table;
    replica_term term; /* in which this replica leads; 0: it does not */
    uint64_t last_ticket;
    bool acting;
    struct alarm *alarm;
    int64_t alarm_ms; /* what it is set to; INT64_MAX: it is off */
    size_t opening;   /* sessions whose entry is on its way */

    zhashx_t *writes;              /* those in the table, by ticket */
    struct leases_write *entering; /* its submitter has not been told yet that it was taken on */
    int entering_code;             /* OK, or why it was not */
    zlistx_t *ordered;             /* writes that wait for those before them */
    size_t ordered_count;          /* of the same kind, on their way */
    int64_t ordered_ms;            /* none of those that wait ends before */
    zhashx_t *asks;                /* by ticket */

    struct leases_series series;
    struct lease_counts shown; /* what counters have been told of */
};

/* ---- leases.c */

/* Take what follows from what the table was told. */
void leases_act(struct leases *self);
/* Be called at @at_ms, at the latest. */
void leases_due(struct leases *self, int64_t at_ms);
/* Whether a write may pass the table by. */
bool leases_are_idle(const struct leases *self);

/* ---- leases_writes.c */

/* The table says that it may be proposed; or why it is not. False: no write has that ticket. */
void leases_propose(struct leases *self, uint64_t ticket);
bool leases_refuse_write(struct leases *self, uint64_t ticket, int code);
/* Begin with those that wait for others of their kind, as far as they may. Returns whether there
 * were any. */
bool leases_begin_ordered(struct leases *self);
/* Refuse those whose time is up, of those that wait so. */
void leases_expire_ordered(struct leases *self, int64_t now_ms);
/* Refuse them all. */
void leases_drop_ordered(struct leases *self, int code);

/* ---- leases_asks.c */

void leases_answer_synced(struct leases *self, const struct lease_action *action);
void leases_answer_granted(struct leases *self, const struct lease_action *action);
void leases_refuse_ask(struct leases *self, const struct lease_action *action);
/* Propose the end of a session. */
void leases_close_session(struct leases *self, uint64_t session);

/* ---- leases_feed.c */

/* The names, or that they are all: into @object. */
void leases_put_keys(json_t *object, const struct lease_keys *keys);
void leases_publish(struct leases *self, const struct lease_action *action);

#endif
