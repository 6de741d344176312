/* See two_logs.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/two_logs.h"

#include <stddef.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"

/* ---- The catalog ----------------------------------------------------------- */

int64_t two_logs_time(const struct two_logs *self)
{
    return self->log_time_ms + (self->catalog_up ? self->now_ms - self->log_time_at_ms : 0);
}

void two_logs_switch_catalog(struct two_logs *self, bool up)
{
    self->log_time_ms = two_logs_time(self);
    self->log_time_at_ms = self->now_ms;
    self->catalog_up = up;
}

void two_logs_supply(struct two_logs *self, int item, int64_t quantity)
{
    self->stock[item] += quantity;
    self->supplied[item] += quantity;
}

static bool record_may_go(const struct two_logs *self, const struct record *record)
{
    if (record->touched >= two_logs_time(self) - RECORD_MEMORY_MS)
        return false;
    return record->state == DENIED || record->state == SETTLED || record->state == CLOSED ||
           (record->state == GRANTED && self->broken == UNSETTLED_FORGOTTEN);
}

/* The record of a key, unless it has been forgotten by now. */
static struct record *two_logs_record(struct two_logs *self, int key)
{
    struct record *record = &self->records[key];

    if (record_may_go(self, record))
        *record = (struct record){0};
    record->touched = two_logs_time(self);
    return record;
}

static int two_logs_stamp(const struct two_logs *self, int64_t stamp)
{
    int64_t time_ms = two_logs_time(self);

    if (stamp < time_ms - STAMP_AGE_MS_MAX && self->broken != OLD_STAMP_ACCEPTED)
        return ERR_STAMP_OLD;
    return stamp > time_ms + STAMP_AHEAD_MS_MAX ? ERR_INVALID : OK;
}

static struct record record_now(const struct two_logs *self, enum record_state state,
                                struct content content, int64_t stamp)
{
    int64_t time_ms = two_logs_time(self);

    return (struct record){state, content, stamp, time_ms, time_ms};
}

int two_logs_reserve(struct two_logs *self, int key, struct content content, int64_t stamp)
{
    struct record *record = two_logs_record(self, key);
    int code = two_logs_stamp(self, stamp);

    if (record->state != NO_RECORD)
        return record->state == DENIED ? ERR_OUT_OF_STOCK : OK;
    if (code != OK)
        return code;
    if (self->stock[content.item] >= content.quantity) {
        self->stock[content.item] -= content.quantity;
        *record = record_now(self, GRANTED, content, stamp);
        return OK;
    }
    if (self->broken != DENIAL_FORGOTTEN)
        *record = record_now(self, DENIED, content, stamp);
    return ERR_OUT_OF_STOCK;
}

int two_logs_undo(struct two_logs *self, int key, struct content content, int64_t stamp)
{
    struct record *record = two_logs_record(self, key);
    int code = two_logs_stamp(self, stamp);

    if ((record->state == RELEASED || record->state == CLOSED) && self->broken != UNDO_TWICE)
        return OK;
    if (record->state == NO_RECORD && code != OK)
        return code;
    self->stock[content.item] += content.quantity;
    *record = record_now(self, RELEASED, content, stamp);
    return OK;
}

void two_logs_settle(struct two_logs *self, int key)
{
    struct record *record = two_logs_record(self, key);

    if (record->state == GRANTED ||
        (record->state == RELEASED && self->broken == LATE_SETTLE_COUNTS))
        record->state = SETTLED;
}

void two_logs_close(struct two_logs *self, int key)
{
    struct record *record = two_logs_record(self, key);

    if (record->state == RELEASED)
        record->state = CLOSED;
}

/* ---- The order log --------------------------------------------------------- */

struct made *made_table_find(struct made_table *self, int key, uint64_t *number)
{
    for (uint64_t i = 0; i < self->count; i++) {
        if (self->orders[i].key != key)
            continue;
        *number = i + 1;
        return &self->orders[i];
    }
    return NULL;
}

bool two_logs_order(struct two_logs *self, int key, struct content content, uint64_t *number)
{
    struct made_table *table = &self->table;

    if (self->broken != ORDER_NOT_UNIQUE && made_table_find(table, key, number) != NULL)
        return false;
    if (table->count == sizeof table->orders / sizeof table->orders[0])
        return false; /* only when orders are not unique */
    table->orders[table->count++] = (struct made){.key = key, .content = content, .cancel = -1};
    *number = table->count;
    return true;
}

bool two_logs_cancelling(struct two_logs *self, uint64_t number, int cancel, int64_t stamp)
{
    struct made *order = &self->table.orders[number - 1];

    if (order->state == MADE_ACTIVE) {
        order->state = MADE_CANCELLING;
        order->cancel = cancel;
        order->cancel_stamp = stamp;
        return true;
    }
    if (order->state == MADE_CANCELLING && order->cancel == cancel && order->cancel_stamp < stamp)
        order->cancel_stamp = stamp;
    return false;
}

bool two_logs_cancelled(struct two_logs *self, uint64_t number)
{
    struct made *order = &self->table.orders[number - 1];
    bool cancelling = order->state == MADE_CANCELLING;

    if (cancelling)
        order->state = MADE_CANCELLED;
    return cancelling;
}

/* ---- What must hold in the end ---------------------------------------------- */

const char *two_logs_check(const struct two_logs *self)
{
    int64_t held[MODEL_ITEMS] = {0};

    for (int key = 0; key < MODEL_KEYS; key++) {
        if (self->records[key].state == GRANTED)
            return "a grant was left unsettled";
        if (self->records[key].state == RELEASED)
            return "a release was left open";
    }
    for (uint64_t i = 0; i < self->table.count; i++) {
        const struct made *order = &self->table.orders[i];

        if (order->state == MADE_CANCELLING)
            return "an order was left cancelling";
        if (order->state == MADE_ACTIVE)
            held[order->content.item] += order->content.quantity;
    }
    for (int item = 0; item < MODEL_ITEMS; item++)
        if (self->supplied[item] - held[item] != self->stock[item])
            return "stock is not conserved";
    return NULL;
}
