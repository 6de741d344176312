/* The saga against models of the two logs, under fire, by seed.
 *
 * Messages are lost, doubled and up to five days late; the catalog and the orders are at times
 * without a leader, for moments or for days; a leader of the orders crashes at any action, or is
 * deposed without knowing it and goes on with old tables; it may lead again later. Clients repeat, give up, cancel.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_SAGA_SIM_H
#define PYGMY_TESTS_SAGA_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/bus/heap.h"
#include "services/order/saga.h"
#include "tests/lib/two_logs.h"

#define SIM_ASKS_MAX 2000 /* requests of one run */

struct op { /* a client's buy, and the cancels of its order */
    struct content content;
    int64_t stamp;
    int64_t cancel_stamp;
    uint64_t number; /* acknowledged; 0: not yet */
    bool denied;
    bool maybe; /* some try may have had effect, as far as its client knows */
    bool cancel_asked;
    int cancelled; /* key of the acknowledged cancel, or -1 */
};

struct ask {
    int op;
    int cancel; /* which key of the op's cancel; -1: the buy */
    bool answered;
};

struct call;
struct entry;

struct sim {
    uint64_t seed;
    struct two_logs logs;
    bool calm;            /* no faults */
    int64_t gap_until_ms; /* days pass: ticks are far between */
    struct heap events;
    /* Place 0: who leads the orders; place 1: one that was deposed and does not know it. */
    struct saga *leaders[2];
    int leader_ids[2];     /* of a process, not of a leadership; -1: none */
    struct saga *follower; /* one that led before and may lead again; NULL: none */
    int follower_id;
    int regained; /* how often one did */
    int last_leader;
    struct made_table old_table; /* what the deposed one sees */
    struct entry *entries;
    int entry_count;
    struct op ops[MODEL_KEYS];
    struct ask asks[SIM_ASKS_MAX];
    int ask_count;
    struct call *calls;
    int call_count;
    int crash_at; /* crash at this action alone; 0: at random */
    int actions;
    const char *violation;
};

/* A store with a leader and stock, at peace. */
struct sim *sim_new(uint64_t seed, enum broken_rule broken);
void sim_destroy(struct sim *self);

/* A request of the client of @op: its buy (@cancel -1) or a cancel of its order under that key. */
void sim_ask(struct sim *self, int op, int cancel, int64_t in_ms);

/* Let time pass. */
void sim_run(struct sim *self, int64_t until_ms);

/* Everything goes wrong for a while. */
void sim_fire(struct sim *self);
/* Everything is well again; what is still on its way arrives; and who has no answer asks again. */
void sim_heal(struct sim *self);
/* What must hold then. The first violation of the run is in self->violation. */
void sim_check(struct sim *self);

#endif
