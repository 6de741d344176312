/* See saga.h. Here: flows and who waits for them, the queue of actions, time
 * and leadership. The steps themselves are in saga_buy.c and saga_cancel.c.
 *
 *   buy:     LOOKING -> RESERVING -> ORDERING -> (ended)
 *                            \-> LOOKING (stamp too old)
 *   cancel:  LOOKING -> CANCELLING -> LOOKING -> UNDOING -> CONCLUDING -> (ended)
 *                    \-> WAITING -> LOOKING          \-> CANCELLING (stamp too old)
 *
 * A flow that a scan found begins at ORDERING or UNDOING. In each step a flow
 * either awaits the answer of one call or backs off until retry_ms, never both.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/order/saga.h"

#include <assert.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/number_table.h"
#include "services/order/saga_internal.h"

/* ---- Bytes and actions ---------------------------------------------------- */

struct saga_bytes saga_bytes_copy(struct saga_bytes bytes)
{
    if (bytes.size == 0)
        return (struct saga_bytes){0};
    return (struct saga_bytes){(uint8_t *)alloc_copy(bytes.data, bytes.size), bytes.size};
}

bool saga_bytes_equal(struct saga_bytes one, struct saga_bytes other)
{
    return one.size == other.size && (one.size == 0 || memcmp(one.data, other.data, one.size) == 0);
}

static void saga_bytes_free(struct saga_bytes *bytes)
{
    free((void *)(uintptr_t)bytes->data);
    *bytes = (struct saga_bytes){0};
}

uint64_t saga_call(struct saga *self)
{
    return ++self->last_call;
}

struct saga_action *saga_act(struct saga *self, enum saga_action_type type, uint64_t call)
{
    struct saga_action *action = alloc_zero(sizeof *action);

    action->type = type;
    action->call = call;
    zlistx_add_end(self->actions, action);
    return action;
}

struct saga_action *saga_next(struct saga *self)
{
    if (zlistx_size(self->actions) == 0)
        return NULL;
    return zlistx_detach(self->actions, NULL);
}

void saga_action_destroy(struct saga_action **self_p)
{
    struct saga_action *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    free(self->key);
    saga_bytes_free(&self->content);
    saga_bytes_free(&self->grant);
    saga_bytes_free(&self->error);
    for (size_t i = 0; i < self->key_count; i++)
        free(self->keys[i]);
    free(self->keys);
    free(self);
}

static void saga_action_drop(void **item)
{
    saga_action_destroy((struct saga_action **)item);
}

/* ---- Flows ---------------------------------------------------------------- */

static void flow_free(void **item)
{
    struct flow *self = *item;

    free(self->key);
    free(self->order_key);
    saga_bytes_free(&self->content);
    saga_bytes_free(&self->grant);
    free(self->tickets);
    free(self);
    *item = NULL;
}

struct flow *saga_flow_of_key(struct saga *self, const char *key)
{
    return zhashx_lookup(self->by_key, key);
}

/* From here on the flow awaits the answer of a call. */
static void flow_await(struct saga *self, struct flow *flow)
{
    int rc;

    assert(flow->call == 0);
    flow->call = saga_call(self);
    rc = zhashx_insert(self->by_call, &flow->call, flow);
    assert(rc == 0);
}

static void flow_await_no_more(struct saga *self, struct flow *flow)
{
    if (flow->call != 0)
        zhashx_delete(self->by_call, &flow->call);
    flow->call = 0;
}

struct flow *saga_flow_answered(struct saga *self, uint64_t call)
{
    struct flow *flow = zhashx_lookup(self->by_call, &call);

    if (flow != NULL)
        flow_await_no_more(self, flow);
    return flow;
}

struct flow *saga_flow_new(struct saga *self, enum flow_kind kind, const char *key)
{
    struct flow *flow = alloc_zero(sizeof *flow);
    int rc;

    flow->kind = kind;
    flow->key = alloc_copy(key, strlen(key));
    flow->backoff_ms = SAGA_BACKOFF_MS_MIN;
    flow->handle = zlistx_add_end(self->flows, flow);
    rc = zhashx_insert(self->by_key, flow->key, flow);
    assert(rc == 0); /* S3 */
    return flow;
}

static void flow_remove(struct saga *self, struct flow *flow)
{
    bool recovered = flow->recovered;

    assert(flow->ticket_count == 0); /* S6 */
    zhashx_delete(self->by_key, flow->key);
    flow_await_no_more(self, flow);
    zlistx_delete(self->flows, flow->handle);
    if (recovered)
        saga_scan_flow_ended(self);
}

/* The steps that may follow each other; a step may always follow itself (it is tried again). */
static bool flow_step_allowed(const struct flow *flow, enum flow_step next)
{
    static const unsigned buy[] = {
        [FLOW_LOOKING] = 1u << FLOW_RESERVING | 1u << FLOW_ORDERING,
        [FLOW_RESERVING] = 1u << FLOW_ORDERING | 1u << FLOW_LOOKING,
        [FLOW_CONCLUDING] = 0,
    };
    static const unsigned cancel[] = {
        [FLOW_LOOKING] = 1u << FLOW_CANCELLING | 1u << FLOW_WAITING | 1u << FLOW_UNDOING,
        [FLOW_CANCELLING] = 1u << FLOW_LOOKING,
        [FLOW_WAITING] = 1u << FLOW_LOOKING,
        [FLOW_UNDOING] = 1u << FLOW_CONCLUDING | 1u << FLOW_CANCELLING,
        [FLOW_CONCLUDING] = 0,
    };
    const unsigned *follows = flow->kind == FLOW_BUY ? buy : cancel;

    return next == flow->step || (follows[flow->step] & 1u << next) != 0;
}

/* A flow is new in step LOOKING, so that "may follow" holds for its first step as well. */
void flow_enter(struct saga *self, struct flow *flow, enum flow_step step)
{
    assert(self->leader);
    assert(flow_step_allowed(flow, step));
    /* Going on starts the pauses anew; looking again while another key's cancel ends does not. */
    if (step > flow->step && step != FLOW_WAITING)
        flow->backoff_ms = SAGA_BACKOFF_MS_MIN;
    flow->step = step;
    flow->retry_ms = 0;
    flow->left_before = flow->left;
    if (step == FLOW_WAITING)
        return; /* for time to pass */
    flow_await(self, flow);
    if (flow->kind == FLOW_BUY)
        flow_buy_act(self, flow);
    else
        flow_cancel_act(self, flow);
}

static void saga_due(struct saga *self, int64_t at_ms)
{
    if (at_ms < self->due_ms)
        self->due_ms = at_ms;
}

void flow_back_off(struct saga *self, struct flow *flow, int64_t now_ms)
{
    assert(flow->call == 0);
    flow->retry_ms = now_ms + flow->backoff_ms;
    saga_due(self, flow->retry_ms);
    flow->backoff_ms *= 2;
    if (flow->backoff_ms > SAGA_BACKOFF_MS_MAX)
        flow->backoff_ms = SAGA_BACKOFF_MS_MAX;
}

bool flow_not_attempted(struct saga *self, struct flow *flow)
{
    flow->left = flow->left_before;
    if (flow->left || flow->ticket_count > 0)
        return true;
    flow_remove(self, flow);
    return false;
}

/* ---- Tickets -------------------------------------------------------------- */

static struct saga_action *saga_answer(struct saga *self, uint64_t ticket, enum flow_kind kind,
                                       int code)
{
    struct saga_action *answer = saga_act(self, SAGA_ANSWER, 0);

    answer->ticket = ticket;
    answer->cancel = kind == FLOW_CANCEL;
    answer->code = code;
    answer->log_time_ms = self->log_time_ms;
    return answer;
}

static void flow_add_ticket(struct saga *self, struct flow *flow, const struct saga_ask *ask,
                            bool first)
{
    flow->tickets = alloc_resize(flow->tickets, (flow->ticket_count + 1) * sizeof flow->tickets[0]);
    flow->tickets[flow->ticket_count++] =
        (struct flow_ticket){.id = ask->ticket, .deadline_ms = ask->deadline_ms, .first = first};
    saga_due(self, ask->deadline_ms);
}

void flow_end(struct saga *self, struct flow *flow, int code, uint64_t number, bool replayed,
              struct saga_bytes error)
{
    for (size_t i = 0; i < flow->ticket_count; i++) {
        struct saga_action *answer = saga_answer(self, flow->tickets[i].id, flow->kind, code);

        answer->number = number;
        answer->replayed = replayed || !flow->tickets[i].first;
        answer->error = saga_bytes_copy(error);
    }
    flow->ticket_count = 0;
    flow_remove(self, flow);
}

void flow_refuse(struct saga *self, struct flow *flow, int code)
{
    flow_end(self, flow, code, 0, false, (struct saga_bytes){0});
}

/* Whether @ask repeats what @flow does. */
static bool flow_same(const struct flow *flow, const struct saga_ask *ask, enum flow_kind kind)
{
    if (flow->kind != kind)
        return false;
    if (kind == FLOW_CANCEL)
        return flow->number == ask->number;
    return saga_bytes_equal(flow->content, ask->content);
}

/* Why @ask can't be taken on, or OK. @flow is that of its key, or NULL. */
static int saga_admission(struct saga *self, const struct flow *flow, const struct saga_ask *ask,
                          enum flow_kind kind, int64_t now_ms)
{
    if (!self->leader)
        return ERR_NOT_LEADER;
    if (flow != NULL && !flow_same(flow, ask, kind))
        return ERR_KEY_REUSED;
    if (ask->deadline_ms <= now_ms)
        return ERR_EXPIRED;
    if (flow != NULL)
        return flow->ticket_count < SAGA_TICKETS_MAX ? OK : ERR_BUSY;
    return zlistx_size(self->flows) - self->recovered < SAGA_FLOWS_MAX ? OK : ERR_BUSY;
}

struct flow *saga_admit(struct saga *self, const struct saga_ask *ask, enum flow_kind kind,
                        bool *made, int64_t now_ms)
{
    struct flow *flow = saga_flow_of_key(self, ask->key);
    int code = saga_admission(self, flow, ask, kind, now_ms);

    if (code != OK) {
        saga_answer(self, ask->ticket, kind, code);
        return NULL;
    }
    *made = flow == NULL;
    if (flow == NULL) {
        flow = saga_flow_new(self, kind, ask->key);
        flow->stamp = ask->stamp;
    }
    flow_add_ticket(self, flow, ask, *made);
    return flow;
}

/* ---- Answers that both kinds share ----------------------------------------- */

void saga_looked(struct saga *self, uint64_t call, int code, const struct saga_known *known,
                 int64_t now_ms)
{
    struct flow *flow = saga_flow_answered(self, call);

    if (flow == NULL)
        return;
    assert(flow->step == FLOW_LOOKING);
    assert((code == OK) == (known != NULL));
    if (known == NULL) {
        if (flow_not_attempted(self, flow))
            flow_back_off(self, flow, now_ms);
    } else if (flow->kind == FLOW_BUY) {
        flow_buy_looked(self, flow, known);
    } else {
        flow_cancel_looked(self, flow, known, now_ms);
    }
}

void saga_applied(struct saga *self, uint64_t call, int code, uint64_t number, bool made,
                  int64_t now_ms)
{
    struct flow *flow = saga_flow_answered(self, call);

    if (flow == NULL)
        return;
    if (flow->kind == FLOW_BUY)
        flow_buy_applied(self, flow, code, number, made, now_ms);
    else
        flow_cancel_applied(self, flow, code, made, now_ms);
}

void saga_heard(struct saga *self, int64_t log_time_ms)
{
    if (self->leader)
        self->log_time_ms = log_time_ms;
}

/* ---- Time and leadership --------------------------------------------------- */

/* Answer the tickets whose time is up (S1). */
static void flow_expire_tickets(struct saga *self, struct flow *flow, int64_t now_ms)
{
    size_t kept = 0;

    for (size_t i = 0; i < flow->ticket_count; i++) {
        if (flow->tickets[i].deadline_ms > now_ms) {
            saga_due(self, flow->tickets[i].deadline_ms);
            flow->tickets[kept++] = flow->tickets[i];
        } else {
            saga_answer(self, flow->tickets[i].id, flow->kind,
                        flow->left ? ERR_TIMEOUT : ERR_UNAVAILABLE);
        }
    }
    flow->ticket_count = kept;
}

static void flow_tick(struct saga *self, struct flow *flow, int64_t now_ms)
{
    flow_expire_tickets(self, flow, now_ms);
    if (flow->ticket_count == 0 && !flow->left)
        flow_remove(self, flow);
    else if (flow->retry_ms != 0 && flow->retry_ms <= now_ms)
        flow_enter(self, flow, flow->step == FLOW_WAITING ? FLOW_LOOKING : flow->step);
    else if (flow->retry_ms != 0)
        saga_due(self, flow->retry_ms);
}

void saga_tick(struct saga *self, int64_t now_ms)
{
    if (!self->leader)
        return;
    if (now_ms >= self->due_ms) {
        self->due_ms = INT64_MAX;
        /* Deleting the item that a zlistx stands at moves it back by one. */
        for (struct flow *flow = zlistx_first(self->flows); flow != NULL;
             flow = zlistx_next(self->flows))
            flow_tick(self, flow, now_ms);
    }
    saga_scan_tick(self, now_ms);
}

/* Of what was asked for and is not taken up yet, answers alone still go out (S7). */
static void saga_drop_actions(struct saga *self)
{
    /* Deleting the item that a zlistx stands at moves it back by one. */
    for (struct saga_action *action = zlistx_first(self->actions); action != NULL;
         action = zlistx_next(self->actions))
        if (action->type != SAGA_ANSWER)
            zlistx_delete(self->actions, zlistx_cursor(self->actions));
}

void saga_lead(struct saga *self, bool leader, int64_t now_ms)
{
    struct flow *flow;

    self->leader = leader;
    if (!leader)
        saga_drop_actions(self);
    while (!leader && (flow = zlistx_first(self->flows)) != NULL)
        flow_refuse(self, flow, flow->left ? ERR_UNKNOWN : ERR_NOT_LEADER);
    assert(zlistx_size(self->flows) == 0);
    /* What was heard in another leadership may be of long ago: no stamp is judged by it. */
    self->log_time_ms = -1;
    self->unsettled = 0;
    self->due_ms = INT64_MAX;
    saga_scan_reset(self, now_ms);
}

/* ---- Life ------------------------------------------------------------------ */

struct saga *saga_new(void)
{
    struct saga *self = alloc_zero(sizeof *self);

    self->log_time_ms = -1;
    self->due_ms = INT64_MAX;
    self->flows = zlistx_new();
    zlistx_set_destructor(self->flows, flow_free);
    self->actions = zlistx_new();
    zlistx_set_destructor(self->actions, saga_action_drop);
    self->by_key = zhashx_new();
    zhashx_set_key_duplicator(self->by_key, NULL);
    zhashx_set_key_destructor(self->by_key, NULL);
    self->by_call = number_table_new();
    batch_init(&self->settle, SAGA_SETTLE);
    batch_init(&self->close, SAGA_CLOSE);
    return self;
}

void saga_destroy(struct saga **self_p)
{
    struct saga *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    batch_close(&self->settle);
    batch_close(&self->close);
    zhashx_destroy(&self->by_key);
    zhashx_destroy(&self->by_call);
    zlistx_destroy(&self->flows);
    zlistx_destroy(&self->actions);
    free(self);
}

void saga_numbers(const struct saga *self, struct saga_numbers *numbers)
{
    *numbers = (struct saga_numbers){
        .flows = zlistx_size(self->flows),
        .recovered = self->recovered,
        .unsettled = self->unsettled,
        .settle_keys = zlistx_size(self->settle.keys),
        .close_keys = zlistx_size(self->close.keys),
        .conflicts = self->conflicts,
    };
    for (struct flow *flow = zlistx_first(self->flows); flow != NULL;
         flow = zlistx_next(self->flows))
        numbers->tickets += flow->ticket_count;
}
