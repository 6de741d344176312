/* SETTLE and CLOSE in batches, and the scan that finishes what others left; see
 * saga.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "services/order/saga_internal.h"

/* ---- Batches ------------------------------------------------------------- */

static void key_free(void **item)
{
    free(*item);
    *item = NULL;
}

void batch_init(struct batch *self, enum saga_action_type type)
{
    *self = (struct batch){.type = type, .keys = zlistx_new()};
    zlistx_set_destructor(self->keys, key_free);
}

void batch_close(struct batch *self)
{
    zlistx_destroy(&self->keys);
}

static void batch_clear(struct batch *self)
{
    zlistx_purge(self->keys);
    self->due_ms = 0;
    self->under_way = 0;
}

void batch_add(struct batch *self, const char *key, int64_t now_ms)
{
    if (zlistx_size(self->keys) >= SETTLE_QUEUE_MAX)
        return; /* S5 */
    if (zlistx_size(self->keys) == 0)
        self->due_ms = now_ms + SETTLE_WAIT_MS;
    zlistx_add_end(self->keys, alloc_copy(key, strlen(key)));
}

static void batch_send(struct saga *self, struct batch *batch)
{
    struct saga_action *action = saga_act(self, batch->type, saga_call(self));
    size_t count = zlistx_size(batch->keys);

    if (count > KEYS_MAX)
        count = KEYS_MAX;
    action->keys = alloc_zero(count * sizeof action->keys[0]);
    while (action->key_count < count)
        action->keys[action->key_count++] = zlistx_detach(batch->keys, NULL);
    batch->under_way = action->call;
    /* What is left is as old as this batch: it goes as soon as this one is answered. */
}

static void batch_tick(struct saga *self, struct batch *batch, int64_t now_ms)
{
    size_t count = zlistx_size(batch->keys);

    if (count > 0 && batch->under_way == 0 && (count >= KEYS_MAX || now_ms >= batch->due_ms))
        batch_send(self, batch);
}

/* Another scan at once, when what the last one found is done and there may be more. */
static void saga_scan_hurry(struct saga *self, int64_t now_ms)
{
    if (self->scan_again && self->recovered == 0 && self->settle.under_way == 0 &&
        self->close.under_way == 0)
        self->scan_due_ms = now_ms;
}

/* Whether it took effect or not, its keys are not sent again: what is left the scan finds (S5). */
static void batch_answered(struct saga *self, struct batch *batch, uint64_t call, int code,
                           int64_t now_ms)
{
    if (call != batch->under_way)
        return;
    batch->under_way = 0;
    if (code == OK)
        saga_scan_hurry(self, now_ms);
}

void saga_settled(struct saga *self, uint64_t call, int code, int64_t now_ms)
{
    batch_answered(self, &self->settle, call, code, now_ms);
}

void saga_closed(struct saga *self, uint64_t call, int code, int64_t now_ms)
{
    batch_answered(self, &self->close, call, code, now_ms);
}

/* ---- The scan ------------------------------------------------------------ */

void saga_scan_reset(struct saga *self, int64_t now_ms)
{
    batch_clear(&self->settle);
    batch_clear(&self->close);
    self->scan_due_ms = now_ms;
    self->scan_under_way = 0;
    self->scan_again = false;
}

void saga_scan_flow_ended(struct saga *self)
{
    assert(self->recovered > 0);
    self->recovered--;
}

void saga_scan_tick(struct saga *self, int64_t now_ms)
{
    batch_tick(self, &self->settle, now_ms);
    batch_tick(self, &self->close, now_ms);
    if (now_ms < self->scan_due_ms || self->scan_under_way != 0)
        return;
    self->scan_due_ms = now_ms + SCAN_PERIOD_MS;
    self->scan_again = false;
    self->scan_under_way = saga_call(self);
    saga_act(self, SAGA_SCAN, self->scan_under_way);
    saga_act(self, SAGA_LIST, 0);
}

/* A flow for what a scan found; NULL when there is one of that key, or enough of them. */
static struct flow *saga_recover(struct saga *self, enum flow_kind kind, const char *key)
{
    struct flow *flow;

    if (self->recovered >= SAGA_RECOVERED_MAX || saga_flow_of_key(self, key) != NULL)
        return NULL;
    flow = saga_flow_new(self, kind, key);
    flow->recovered = true;
    flow->left = true;
    self->recovered++;
    return flow;
}

static void saga_scanned_grant(struct saga *self, const struct saga_grant *found, int64_t now_ms)
{
    struct flow *flow;

    if (found->order == SAGA_ORDERED) {
        batch_add(&self->settle, found->key, now_ms);
        self->scan_again = true;
    } else if (found->order == SAGA_ORDERED_OTHERWISE) {
        self->conflicts++;
    } else if ((flow = saga_recover(self, FLOW_BUY, found->key)) != NULL) {
        flow->content = saga_bytes_copy(found->content);
        flow->grant = saga_bytes_copy(found->grant);
        flow->stamp = found->stamp;
        flow_enter(self, flow, FLOW_ORDERING);
        self->scan_again = true;
    }
}

void saga_scanned(struct saga *self, uint64_t call, int code, const struct saga_scan *scan,
                  int64_t now_ms)
{
    if (call != self->scan_under_way)
        return;
    self->scan_under_way = 0;
    if (code != OK)
        return; /* the next one is due in a second */
    self->unsettled = scan->grant_count;
    for (size_t i = 0; i < scan->grant_count; i++)
        saga_scanned_grant(self, &scan->grants[i], now_ms);
    for (size_t i = 0; i < scan->closable_count; i++) {
        batch_add(&self->close, scan->closable[i], now_ms);
        self->scan_again = true;
    }
}

void saga_listed(struct saga *self, const struct saga_listed *rows, size_t count)
{
    if (!self->leader)
        return;
    for (size_t i = 0; i < count; i++) {
        struct flow *flow = saga_recover(self, FLOW_CANCEL, rows[i].cancel_key);

        if (flow == NULL)
            continue;
        flow->number = rows[i].number;
        flow->stamp = rows[i].stamp;
        flow->content = saga_bytes_copy(rows[i].content);
        flow->order_key = alloc_copy(rows[i].order_key, strlen(rows[i].order_key));
        flow_enter(self, flow, FLOW_UNDOING);
    }
}
