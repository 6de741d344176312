/* What the sources of the saga share. Nobody else includes this.
 *
 * saga.c        flows, tickets, actions, time, leadership
 * saga_buy.c    the steps of a buy
 * saga_cancel.c the steps of a cancel
 * saga_scan.c   SETTLE and CLOSE in batches; the scan and what it begins
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_ORDER_SAGA_INTERNAL_H
#define PYGMY_ORDER_SAGA_INTERNAL_H

#include <czmq.h>

#include "broker/bus/limits.h"
#include "services/order/saga.h"

enum flow_kind { FLOW_BUY, FLOW_CANCEL };

/* What a flow waits for, or backs off from (retry_ms). See flow_step_allowed() for who follows
 * whom. */
enum flow_step {
    FLOW_LOOKING,    /* the order tables */
    FLOW_RESERVING,  /* buy: the catalog's word */
    FLOW_ORDERING,   /* buy: the grant is here; its ORDER */
    FLOW_CANCELLING, /* cancel: its CANCELLING */
    FLOW_WAITING,    /* cancel: that the cancel under another key comes to its end */
    FLOW_UNDOING,    /* cancel: the catalog's word that the stock is back */
    FLOW_CONCLUDING, /* cancel: its CANCELLED */
};

struct flow_ticket {
    uint64_t id;
    int64_t deadline_ms;
    bool first; /* it began the flow, and is no repetition */
};

struct flow {
    uint64_t call; /* that it awaits the answer of; 0: it backs off */
    enum flow_kind kind;
    enum flow_step step;
    char *key;
    struct saga_bytes content; /* owned; buy: as asked; cancel: the order's, once it is known */
    struct saga_bytes grant;   /* owned; buy: from FLOW_ORDERING on */
    char *order_key;           /* cancel: the buy's key, once the order is known */
    uint64_t number;           /* cancel */
    int64_t stamp;
    bool left;          /* something may have taken effect, or may still */
    bool left_before;   /* the same without the try that is under way */
    bool acted;         /* cancel: a CANCELLING of this flow changed something: no replay */
    bool fresh;         /* the look-up is to be a linearizable read */
    bool recovered;     /* begun by a scan */
    int64_t retry_ms;   /* when to do the step again; 0: it awaits an answer */
    int64_t backoff_ms; /* the next pause */
    struct flow_ticket *tickets;
    size_t ticket_count;
    void *handle; /* its place in the list of flows */
};

/* Keys on their way to the catalog, by SETTLE or by CLOSE. */
struct batch {
    enum saga_action_type type;
    zlistx_t *keys;     /* of owned strings, oldest first */
    int64_t due_ms;     /* when to send although few; 0: empty */
    uint64_t under_way; /* the call that is awaited; 0: none */
};

struct saga {
    zhashx_t *by_key;  /* flows by key; owned by the list */
    zhashx_t *by_call; /* flows by &call: those that await an answer */
    zlistx_t *flows;   /* in the order of their beginning */
    zlistx_t *actions;
    uint64_t last_call;
    bool leader;
    int64_t log_time_ms; /* the catalog's, as last heard; -1: never */
    int64_t due_ms;      /* no deadline or retry of a flow is earlier; INT64_MAX: none */
    struct batch settle;
    struct batch close;
    int64_t scan_due_ms;
    uint64_t scan_under_way; /* the call that is awaited; 0: none */
    bool scan_again;         /* the last scan found something: look again when that is done */
    size_t recovered;
    size_t unsettled;
    uint64_t conflicts;
};

/* ---- saga.c */

struct saga_bytes saga_bytes_copy(struct saga_bytes bytes);
bool saga_bytes_equal(struct saga_bytes one, struct saga_bytes other);

/* A number for a call. */
uint64_t saga_call(struct saga *self);
/* Append an action of @type and return it for its fields to be filled with copies. @call is 0 for
 * one that is no call. */
struct saga_action *saga_act(struct saga *self, enum saga_action_type type, uint64_t call);

/* A new flow that has taken no step yet. @key has none. */
struct flow *saga_flow_new(struct saga *self, enum flow_kind kind, const char *key);
struct flow *saga_flow_of_key(struct saga *self, const char *key);
/* The flow that awaits the answer of that call, which it awaits no more; NULL: nobody does. */
struct flow *saga_flow_answered(struct saga *self, uint64_t call);

/* Take a step: ask for its action and await the answer. */
void flow_enter(struct saga *self, struct flow *flow, enum flow_step step);
/* Do the present step again after the pause. */
void flow_back_off(struct saga *self, struct flow *flow, int64_t now_ms);
/* The try that was under way had no effect: it counts as not made. A flow of which nothing was
 * attempted and for which nobody waits ends here; returns whether it is still there. */
bool flow_not_attempted(struct saga *self, struct flow *flow);
/* Answer all tickets, and be gone. @number 0: none. */
void flow_end(struct saga *self, struct flow *flow, int code, uint64_t number, bool replayed,
              struct saga_bytes error);
/* flow_end for a refusal without words of the catalog's. */
void flow_refuse(struct saga *self, struct flow *flow, int code);

/* The flow that @ask belongs to: a running one that it joins, or a new one that has taken no step
 * yet (*made). NULL: @ask has been answered. */
struct flow *saga_admit(struct saga *self, const struct saga_ask *ask, enum flow_kind kind,
                        bool *made, int64_t now_ms);

/* ---- saga_buy.c and saga_cancel.c: the steps */

void flow_buy_act(struct saga *self, struct flow *flow);
void flow_buy_looked(struct saga *self, struct flow *flow, const struct saga_known *known);
void flow_buy_applied(struct saga *self, struct flow *flow, int code, uint64_t number, bool made,
                      int64_t now_ms);
void flow_cancel_act(struct saga *self, struct flow *flow);
void flow_cancel_looked(struct saga *self, struct flow *flow, const struct saga_known *known,
                        int64_t now_ms);
void flow_cancel_applied(struct saga *self, struct flow *flow, int code, bool made, int64_t now_ms);

/* ---- saga_scan.c */

void batch_init(struct batch *self, enum saga_action_type type);
void batch_close(struct batch *self);
/* Put a key into a batch; a full one leaves it to the scan. */
void batch_add(struct batch *self, const char *key, int64_t now_ms);
void saga_scan_tick(struct saga *self, int64_t now_ms);
/* Leadership was gained: scan at once. Lost: forget what was under way. */
void saga_scan_reset(struct saga *self, int64_t now_ms);
/* A flow that a scan had begun has ended. */
void saga_scan_flow_ended(struct saga *self);

#endif
