/* The steps of a cancel; see saga.h.
 *
 * The order tables decide: after each of its commands a flow looks again at
 * what they know, and does what comes next for an order in that state.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "services/order/saga_internal.h"

void saga_cancel(struct saga *self, const struct saga_ask *ask, int64_t now_ms)
{
    bool made;
    struct flow *flow = saga_admit(self, ask, FLOW_CANCEL, &made, now_ms);

    if (flow == NULL || !made)
        return;
    flow->number = ask->number;
    flow_enter(self, flow, FLOW_LOOKING);
}

static void flow_undo(struct saga *self, struct flow *flow)
{
    struct saga_action *action = saga_act(self, SAGA_UNDO, flow->call);

    assert(flow->order_key != NULL);
    action->key = alloc_copy(flow->order_key, strlen(flow->order_key));
    action->content = saga_bytes_copy(flow->content);
    action->stamp = flow->stamp;
}

void flow_cancel_act(struct saga *self, struct flow *flow)
{
    struct saga_action *action;

    if (flow->step == FLOW_UNDOING) {
        flow_undo(self, flow);
        return;
    }
    if (flow->step == FLOW_LOOKING) {
        action = saga_act(self, SAGA_LOOK_UP, flow->call);
        action->cancel = true;
        action->fresh = flow->fresh;
    } else if (flow->step == FLOW_CANCELLING) {
        action = saga_act(self, SAGA_CANCELLING, flow->call);
        action->stamp = flow->stamp;
        flow->left = true;
    } else {
        assert(flow->step == FLOW_CONCLUDING);
        action = saga_act(self, SAGA_CANCELLED, flow->call);
    }
    action->key = alloc_copy(flow->key, strlen(flow->key));
    action->number = flow->number;
}

/* What is wrong with a stamp by which a cancel is to begin, or OK. The catalog would refuse the
 * UNDO for it, when there is no way back any more. ERR_UNAVAILABLE: log time is not known until the
 * first scan's answer says it. */
static int cancel_stamp_check(int64_t stamp, int64_t log_time_ms)
{
    if (log_time_ms < 0)
        return ERR_UNAVAILABLE;
    if (stamp > log_time_ms + STAMP_AHEAD_MS_MAX)
        return ERR_INVALID;
    if (stamp < log_time_ms - STAMP_AGE_MS_MAX)
        return ERR_STAMP_OLD;
    return OK;
}

static void flow_cancel_begin(struct saga *self, struct flow *flow, int64_t now_ms)
{
    int code = OK;

    /* One that was begun before was judged then, and may not be refused any more. */
    if (!flow->left)
        code = cancel_stamp_check(flow->stamp, self->log_time_ms);
    if (code == ERR_UNAVAILABLE)
        flow_back_off(self, flow, now_ms);
    else if (code != OK)
        flow_refuse(self, flow, code);
    else
        flow_enter(self, flow, FLOW_CANCELLING);
}

static void flow_cancel_go_on(struct saga *self, struct flow *flow, const struct saga_known *known)
{
    flow->left = true;
    flow->stamp = known->cancel_stamp;
    if (flow->order_key == NULL) {
        flow->order_key = alloc_copy(known->order_key, strlen(known->order_key));
        flow->content = saga_bytes_copy(known->content);
    }
    flow_enter(self, flow, FLOW_UNDOING);
}

/* The order is being, or was, cancelled under another key: nothing of this flow can take effect. */
static void flow_cancel_too_late(struct saga *self, struct flow *flow, bool done, int64_t now_ms)
{
    flow->left = false;
    if (done) {
        flow_refuse(self, flow, ERR_STATE);
    } else {
        flow_enter(self, flow, FLOW_WAITING);
        flow_back_off(self, flow, now_ms);
    }
}

static void flow_cancel_absent(struct saga *self, struct flow *flow)
{
    if (flow->fresh) {
        flow_refuse(self, flow, ERR_NOT_FOUND);
    } else {
        flow->fresh = true;
        flow_enter(self, flow, FLOW_LOOKING);
    }
}

void flow_cancel_looked(struct saga *self, struct flow *flow, const struct saga_known *known,
                        int64_t now_ms)
{
    if (known->key_used)
        flow_refuse(self, flow, ERR_KEY_REUSED);
    else if (known->state == SAGA_ABSENT)
        flow_cancel_absent(self, flow);
    else if (known->state == SAGA_ACTIVE)
        flow_cancel_begin(self, flow, now_ms);
    else if (!known->mine)
        flow_cancel_too_late(self, flow, known->state == SAGA_IS_CANCELLED, now_ms);
    else if (known->state == SAGA_IS_CANCELLING)
        flow_cancel_go_on(self, flow, known);
    else
        flow_end(self, flow, OK, known->number, !flow->acted, (struct saga_bytes){0});
}

void saga_undone(struct saga *self, uint64_t call, int code, int64_t now_ms)
{
    struct flow *flow = saga_flow_answered(self, call);

    if (flow == NULL)
        return;
    assert(flow->step == FLOW_UNDOING);
    if (code == OK) {
        flow_enter(self, flow, FLOW_CONCLUDING);
    } else if (code == ERR_STAMP_OLD && self->log_time_ms > flow->stamp) {
        /* S2: nobody led the orders for a day. The catalog never forgets a release that is not
         * closed, so this UNDO has had no effect and, log time never falling, never will. */
        flow->stamp = self->log_time_ms;
        flow_enter(self, flow, FLOW_CANCELLING);
    } else {
        flow_back_off(self, flow, now_ms);
    }
}

static void flow_cancelling_applied(struct saga *self, struct flow *flow, int code, bool made,
                                    int64_t now_ms)
{
    if (code == OK) {
        flow->acted |= made;
        flow_enter(self, flow, FLOW_LOOKING);
    } else if (err_is_unknown(code) || flow_not_attempted(self, flow)) {
        flow_back_off(self, flow, now_ms);
    }
}

void flow_cancel_applied(struct saga *self, struct flow *flow, int code, bool made, int64_t now_ms)
{
    if (flow->step == FLOW_CANCELLING) {
        flow_cancelling_applied(self, flow, code, made, now_ms);
        return;
    }
    assert(flow->step == FLOW_CONCLUDING);
    if (code == OK) {
        batch_add(&self->close, flow->order_key, now_ms);
        flow_end(self, flow, OK, flow->number, !flow->acted, (struct saga_bytes){0});
    } else {
        flow_back_off(self, flow, now_ms);
    }
}
