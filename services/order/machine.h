/* The order service's state machine: commands of the log into the tables.
 *
 * Deterministic: what an apply does follows from the entry and the tables alone.
 * An entry that can't be read ends the process (status 5) before anything of it
 * is applied; every replica does the same.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_ORDER_MACHINE_H
#define PYGMY_ORDER_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/bus/log.h"
#include "services/order/orders.h"
#include "services/replica/replica.h"

/* What became of a command: the result that replica_submit() hands to its callback. */
struct machine_result {
    int code;        /* OK, or ERR_KEY_REUSED: an ORDER whose key has an order of other content */
    uint64_t number; /* of the order */
    bool made;       /* it changed something */
};

/* @leader  as in replica_machine.lead */
typedef void machine_lead_fn(void *arg, bool leader);

struct machine {
    uint64_t rows;         /* what those of the file that is opened next come to */
    bool counted;          /* that is known */
    struct orders *orders; /* NULL while it is closed; another one when it is opened again */
    struct log *log;
    machine_lead_fn *lead;
    void *arg;
};

/* Fill @replica with the functions of this machine. @self outlives the replica. */
void machine_init(struct machine *self, struct log *log, machine_lead_fn *lead, void *arg,
                  struct replica_machine *replica);
void machine_close(struct machine *self);

/* Free a result. Accepts NULL. */
void machine_result_destroy(struct machine_result **self_p);

#endif
