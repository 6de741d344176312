/* See operations.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/order/operations.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "services/order/conductor.h"
#include "services/order/fields.h"
#include "services/order/render.h"

struct service {
    struct machine machine;
    struct conductor *conductor;
};

static bool refused(struct order_fields *fields, struct node_call **call)
{
    if (fields->code == OK)
        return false;
    node_refuse(call, fields->code, fields->detail, NULL);
    return true;
}

/* ---- Reads ---------------------------------------------------------------- */

static bool order_find(struct service *self, struct order_fields *fields, struct order *order)
{
    const char *key = order_fields_key_or_null(fields, "key");
    json_int_t number = order_fields_integer_or(fields, "number", 1, INT64_MAX, 0);

    if ((key == NULL) == (number == 0))
        order_fields_fail(fields, ERR_INVALID, "one of number and key must be given");
    if (fields->code != OK)
        return false;
    return key != NULL ? orders_by_key(self->machine.orders, key, order)
                       : orders_by_number(self->machine.orders, (uint64_t)number, order);
}

static void run_order(void *arg, struct node_call *call, json_t *request)
{
    static const char *const names[] = {"number", "key", NULL};
    struct order order;
    struct order_fields fields;
    bool found;

    order_fields_init(&fields, request, names);
    found = order_find(arg, &fields, &order);
    if (refused(&fields, &call))
        return;
    if (!found) {
        node_refuse(&call, ERR_NOT_FOUND, "there is no such order", NULL);
        return;
    }
    node_answer(&call, json_pack("{s:o}", "order", render_order(&order)));
    order_close(&order);
}

/* A page that is being filled: it ends at its limit, or before it gets too large for a body. */
struct page {
    json_t *rows;
    size_t limit;
    size_t bytes;
    int64_t last; /* number or id of the last row on it */
    bool more;    /* there was a row that is not on it */
};

static bool page_add(struct page *self, json_t *row, int64_t at)
{
    size_t bytes = json_dumpb(row, NULL, 0, JSON_COMPACT);

    self->more = json_array_size(self->rows) == self->limit ||
                 (self->last != 0 && self->bytes + bytes > PAGE_BYTES_MAX);
    if (self->more) {
        json_decref(row);
        return false;
    }
    json_array_append_new(self->rows, row);
    self->bytes += bytes + 1;
    self->last = at;
    return true;
}

static json_t *page_next(const struct page *self)
{
    char text[24];

    if (!self->more)
        return json_null();
    snprintf(text, sizeof text, "%" PRId64, self->last);
    return json_string(text);
}

static bool page_add_order(void *arg, const struct order *order)
{
    return page_add(arg, render_order(order), (int64_t)order->number);
}

static void run_orders(void *arg, struct node_call *call, json_t *request)
{
    static const char *const names[] = {"limit", "cursor", NULL};
    struct service *self = arg;
    struct page page = {0};
    struct order_fields fields;
    int64_t before;

    order_fields_init(&fields, request, names);
    page.limit = (size_t)order_fields_integer_or(&fields, "limit", 1, PAGE_MAX, PAGE_DEFAULT);
    before = order_fields_cursor(&fields, "cursor");
    if (refused(&fields, &call))
        return;
    page.rows = json_array();
    orders_page(self->machine.orders, (uint64_t)before, page_add_order, &page);
    node_answer(&call, json_pack("{s:o, s:o}", "orders", page.rows, "next", page_next(&page)));
}

static bool page_add_sold(void *arg, int64_t id, int64_t quantity)
{
    return page_add(
        arg, json_pack("{s:I, s:I}", "id", (json_int_t)id, "quantity", (json_int_t)quantity), id);
}

static void run_tally(void *arg, struct node_call *call, json_t *request)
{
    static const char *const names[] = {"cursor", NULL};
    struct service *self = arg;
    struct page page = {.limit = TALLY_ROWS_MAX};
    struct order_fields fields;
    int64_t after;

    order_fields_init(&fields, request, names);
    after = order_fields_cursor(&fields, "cursor");
    if (refused(&fields, &call))
        return;
    page.rows = json_array();
    orders_sold(self->machine.orders, after, page_add_sold, &page);
    node_answer(&call, json_pack("{s:I, s:I, s:o, s:o}", "orders",
                                 (json_int_t)orders_active(self->machine.orders), "last_number",
                                 (json_int_t)orders_last_number(self->machine.orders), "sold",
                                 page.rows, "next", page_next(&page)));
}

/* ---- Writes --------------------------------------------------------------- */

static void run_buy(void *arg, struct node_call *call, json_t *request)
{
    static const char *const names[] = {"key", "stamp", "lines", NULL};
    struct service *self = arg;
    struct basket basket;
    struct order_fields fields;
    const char *key;
    int64_t stamp;

    order_fields_init(&fields, request, names);
    key = order_fields_key(&fields, "key");
    stamp = order_fields_integer(&fields, "stamp", 0, STAMP_MS_MAX);
    order_fields_basket(&fields, "lines", &basket);
    if (!refused(&fields, &call))
        conductor_buy(self->conductor, call, key, stamp, &basket);
}

static void run_cancel(void *arg, struct node_call *call, json_t *request)
{
    static const char *const names[] = {"key", "stamp", "number", NULL};
    struct service *self = arg;
    struct order_fields fields;
    const char *key;
    int64_t stamp, number;

    order_fields_init(&fields, request, names);
    key = order_fields_key(&fields, "key");
    stamp = order_fields_integer(&fields, "stamp", 0, STAMP_MS_MAX);
    number = order_fields_integer(&fields, "number", 1, INT64_MAX);
    if (!refused(&fields, &call))
        conductor_cancel(self->conductor, call, key, stamp, (uint64_t)number);
}

static const struct node_operation operations[] = {
    {"order", NODE_READ, false, run_order},    {"orders", NODE_READ, false, run_orders},
    {"tally", NODE_READ, false, run_tally},    {"buy", NODE_WRITE, false, run_buy},
    {"cancel", NODE_WRITE, false, run_cancel},
};

/* ---- The service ---------------------------------------------------------- */

static void service_lead(void *arg, bool leader)
{
    struct service *self = arg;

    conductor_lead(self->conductor, leader);
}

static void *service_open(struct node *node, struct replica_machine *replica)
{
    struct service *self = alloc_zero(sizeof *self);

    machine_init(&self->machine, node_log(node), service_lead, self, replica);
    self->conductor = conductor_new(node, &self->machine);
    return self;
}

static void service_started(void *arg)
{
    (void)arg; /* what there is to do begins with leadership */
}

static void service_status(void *arg, json_t *status)
{
    struct service *self = arg;
    struct saga_numbers numbers;
    json_t *more;

    conductor_numbers(self->conductor, &numbers);
    more = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "active_orders",
                     (json_int_t)orders_active(self->machine.orders), "last_order_number",
                     (json_int_t)orders_last_number(self->machine.orders), "flows",
                     (json_int_t)numbers.flows, "recovered_flows", (json_int_t)numbers.recovered,
                     "waiting_requests", (json_int_t)numbers.tickets, "unsettled",
                     (json_int_t)numbers.unsettled, "conflicts", (json_int_t)numbers.conflicts);
    json_object_update_new(status, more);
}

static void service_close(void *arg)
{
    struct service *self = arg;

    conductor_destroy(&self->conductor);
    machine_close(&self->machine);
    free(self);
}

const struct node_service order_service = {
    .kind = NODE_ORDER,
    .program = "pygmy-order",
    .summary = "A replica of the order service: orders, the buy, the cancel.",
    .operations = operations,
    .operation_count = sizeof operations / sizeof operations[0],
    .open = service_open,
    .started = service_started,
    .status = service_status,
    .close = service_close,
};
