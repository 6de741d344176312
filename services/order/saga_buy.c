/* The steps of a buy; see saga.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "services/order/saga_internal.h"

void saga_buy(struct saga *self, const struct saga_ask *ask, int64_t now_ms)
{
    bool made;
    struct flow *flow = saga_admit(self, ask, FLOW_BUY, &made, now_ms);

    if (flow == NULL || !made)
        return;
    flow->content = saga_bytes_copy(ask->content);
    flow_enter(self, flow, FLOW_LOOKING);
}

static void flow_submit_order(struct saga *self, struct flow *flow)
{
    struct saga_action *action = saga_act(self, SAGA_ORDER, flow->call);

    assert(flow->grant.size > 0); /* S4: an order has a grant */
    action->key = alloc_copy(flow->key, strlen(flow->key));
    action->content = saga_bytes_copy(flow->content);
    action->stamp = flow->stamp;
    action->grant = saga_bytes_copy(flow->grant);
    flow->left = true;
}

static void flow_reserve(struct saga *self, struct flow *flow)
{
    struct saga_action *action = saga_act(self, SAGA_RESERVE, flow->call);

    action->key = alloc_copy(flow->key, strlen(flow->key));
    action->content = saga_bytes_copy(flow->content);
    action->stamp = flow->stamp; /* S2 */
    flow->left = true;
}

void flow_buy_act(struct saga *self, struct flow *flow)
{
    if (flow->step == FLOW_RESERVING) {
        flow_reserve(self, flow);
    } else if (flow->step == FLOW_ORDERING) {
        flow_submit_order(self, flow);
    } else {
        struct saga_action *action = saga_act(self, SAGA_LOOK_UP, flow->call);

        assert(flow->step == FLOW_LOOKING);
        action->fresh = flow->fresh;
        action->key = alloc_copy(flow->key, strlen(flow->key));
    }
}

void flow_buy_looked(struct saga *self, struct flow *flow, const struct saga_known *known)
{
    /* An order under the key goes before another use of the key: see orders.h. */
    if (known->state == SAGA_ABSENT && !known->key_used)
        flow_enter(self, flow, FLOW_RESERVING);
    else if (known->state != SAGA_ABSENT && saga_bytes_equal(known->content, flow->content))
        flow_end(self, flow, OK, known->number, true, (struct saga_bytes){0});
    else
        flow_refuse(self, flow, ERR_KEY_REUSED);
}

/* The catalog's word for this key, now and for ever: granted to nobody before, granted to nobody
 * after, whichever try of ours it answers. */
static bool buy_denial_is_final(int code)
{
    return code == ERR_OUT_OF_STOCK || code == ERR_NOT_FOUND || code == ERR_KEY_REUSED ||
           code == ERR_STAMP_OLD;
}

/* The catalog's word on this try alone: an earlier try that is still on its way might be judged
 * otherwise (the stamp is too far ahead only until log time has come nearer). */
static bool buy_denial_is_momentary(int code)
{
    return code == ERR_INVALID || code == ERR_LIMIT;
}

/* "Too old, and not known" is also what the catalog says of an order made so long ago that it has
 * forgotten the key; and a leader that was deposed without knowing it may not have that order in its
 * tables. So it is told only when a linearizable read finds no order either. */
static bool flow_must_look_again(const struct flow *flow, int code)
{
    return code == ERR_STAMP_OLD && !flow->fresh;
}

static void flow_reserve_denied(struct saga *self, struct flow *flow, int code,
                                struct saga_bytes words, int64_t now_ms)
{
    if (flow_must_look_again(flow, code)) {
        flow->left = flow->left_before;
        flow->fresh = true;
        flow_enter(self, flow, FLOW_LOOKING);
    } else if (buy_denial_is_final(code) || !flow->left_before)
        flow_end(self, flow, code, 0, false, words);
    else if (flow->ticket_count == 0)
        flow_refuse(self, flow, code); /* nobody hears it; an early try's grant is the scan's */
    else
        flow_back_off(self, flow, now_ms);
}

void saga_reserved(struct saga *self, uint64_t call, int code, struct saga_bytes body,
                   int64_t now_ms)
{
    struct flow *flow = saga_flow_answered(self, call);

    if (flow == NULL)
        return;
    assert(flow->step == FLOW_RESERVING);
    if (code == OK) {
        flow->grant = saga_bytes_copy(body);
        flow_enter(self, flow, FLOW_ORDERING);
    } else if (buy_denial_is_final(code) || buy_denial_is_momentary(code)) {
        flow_reserve_denied(self, flow, code, body, now_ms);
    } else if (err_is_unknown(code) || flow_not_attempted(self, flow)) {
        flow_back_off(self, flow, now_ms);
    }
}

/* Whatever became of it but success: the grant stands, so the order is to be made (S4). */
void flow_buy_applied(struct saga *self, struct flow *flow, int code, uint64_t number, bool made,
                      int64_t now_ms)
{
    assert(flow->step == FLOW_ORDERING);
    if (code == OK) {
        batch_add(&self->settle, flow->key, now_ms);
        flow_end(self, flow, OK, number, !made, (struct saga_bytes){0});
    } else if (code == ERR_KEY_REUSED) {
        self->conflicts++;
        flow_refuse(self, flow, code);
    } else {
        flow_back_off(self, flow, now_ms);
    }
}
