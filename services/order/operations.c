/* See operations.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/order/operations.h"

#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "services/order/conductor.h"
#include "services/order/render.h"
#include "services/replica/changes.h"
#include "services/replica/fields.h"
#include "services/replica/page.h"

struct service {
    struct machine machine;
    struct conductor *conductor;
};

/* Whether something is wrong with the request; then it has been refused. Asked once, when all members
 * were read. */
static bool refused(struct fields *fields, struct node_call **call)
{
    int code = fields_end(fields);
    if (code == OK)
        return false;
    node_refuse(call, code, fields->detail, NULL);
    return true;
}

/* ---- Reads ---------------------------------------------------------------- */

static void run_order(void *arg, struct node_call *call, json_t *request)
{
    struct service *self = arg;
    struct order order;
    struct fields fields;
    struct text key = {0};
    int64_t number = 0;

    fields_init(&fields, request);
    bool by_key = fields_key_optional(&fields, "key", &key);
    bool by_number = fields_integer_optional(&fields, "number", 1, INT64_MAX, &number);
    if (by_key == by_number)
        fields_fail(&fields, "", "either number or key must be given");
    if (refused(&fields, &call))
        return;
    bool found = by_key ? orders_by_key(self->machine.orders, key.data, &order)
                        : orders_by_number(self->machine.orders, (uint64_t)number, &order);
    if (!found) {
        node_refuse(&call, ERR_NOT_FOUND, "there is no such order", NULL);
        return;
    }
    node_answer(&call, json_pack("{s:o}", "order", render_order(&order)));
    order_close(&order);
}

/* Add @row, taken over, to a page. Returns false when there was no room for it. */
static bool page_take(struct page *page, int64_t place, json_t *row)
{
    size_t bytes = json_dumpb(row, NULL, 0, JSON_COMPACT) + 1;

    if (!page_has_room(page, bytes)) {
        json_decref(row);
        return false;
    }
    page_add(page, place, row, bytes);
    return true;
}

static bool page_take_order(void *arg, const struct order *order)
{
    return page_take(arg, (int64_t)order->number, render_order(order));
}

static void run_orders(void *arg, struct node_call *call, json_t *request)
{
    struct service *self = arg;
    struct page page;
    struct fields fields;

    fields_init(&fields, request);
    page_init_asked(&page, &fields);
    if (refused(&fields, &call))
        return;
    page.rows = json_array();
    orders_page(self->machine.orders, (uint64_t)page.after, page_take_order, &page);
    node_answer(&call, json_pack("{s:o, s:o}", "orders", page.rows, "next", page_next(&page)));
}

static bool page_take_sold(void *arg, int64_t id, int64_t quantity)
{
    return page_take(
        arg, id, json_pack("{s:I, s:I}", "id", (json_int_t)id, "quantity", (json_int_t)quantity));
}

static void run_tally(void *arg, struct node_call *call, json_t *request)
{
    struct service *self = arg;
    struct page page;
    struct fields fields;

    fields_init(&fields, request);
    page_init(&page, &fields, TALLY_ROWS_MAX);
    if (refused(&fields, &call))
        return;
    page.rows = json_array();
    orders_sold(self->machine.orders, page.after, page_take_sold, &page);
    node_answer(&call, json_pack("{s:I, s:I, s:o, s:o}", "orders",
                                 (json_int_t)orders_active(self->machine.orders), "last_number",
                                 (json_int_t)orders_last_number(self->machine.orders), "sold",
                                 page.rows, "next", page_next(&page)));
}

/* ---- Writes --------------------------------------------------------------- */

static void run_buy(void *arg, struct node_call *call, json_t *request)
{
    struct service *self = arg;
    struct basket basket;
    struct fields fields;
    struct text key;
    int64_t stamp;

    fields_init(&fields, request);
    fields_key(&fields, "key", &key);
    fields_integer(&fields, "stamp", 0, STAMP_MS_MAX, &stamp);
    render_read_basket(&fields, &basket);
    if (!refused(&fields, &call))
        conductor_buy(self->conductor, call, key.data, stamp, &basket);
}

static void run_cancel(void *arg, struct node_call *call, json_t *request)
{
    struct service *self = arg;
    struct fields fields;
    struct text key;
    int64_t stamp, number;

    fields_init(&fields, request);
    fields_key(&fields, "key", &key);
    fields_integer(&fields, "stamp", 0, STAMP_MS_MAX, &stamp);
    fields_integer(&fields, "number", 1, INT64_MAX, &number);
    if (!refused(&fields, &call))
        conductor_cancel(self->conductor, call, key.data, stamp, (uint64_t)number);
}

static const struct node_operation operations[] = {
    {.name = "order", .kind = NODE_READ, .run = run_order},
    {.name = "orders", .kind = NODE_READ, .run = run_orders},
    {.name = "tally", .kind = NODE_READ, .run = run_tally},
    {.name = "buy", .kind = NODE_WRITE, .run = run_buy},
    {.name = "cancel", .kind = NODE_WRITE, .run = run_cancel},
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

static bool changes_take_order(void *arg, const struct order *order)
{
    struct changes_page *page = arg;
    json_t *object = render_order(order);
    size_t bytes = json_dumpb(object, NULL, 0, JSON_COMPACT);
    enum changes_room room = changes_page_room(page, order->version, bytes);

    if (room == CHANGES_WHOLE)
        json_incref(object);
    if (room != CHANGES_FULL)
        changes_page_add(page, order->version,
                         json_pack("{s:I, s:I, s:o}", "version", (json_int_t)order->version,
                                   "number", (json_int_t)order->number, "order",
                                   room == CHANGES_WHOLE ? object : json_null()),
                         bytes);
    json_decref(object);
    return room != CHANGES_FULL;
}

static void service_changes(void *arg, struct changes_page *page)
{
    struct service *self = arg;

    orders_changes(self->machine.orders, page->since, changes_take_order, page);
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
    .status = service_status,
    .changes = service_changes,
    .close = service_close,
};
