/* The orders at a simulated replica; see sim_services.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/order/render.h"
#include "tests/sim/sim_conductor.h"
#include "tests/sim/sim_order.h"

struct order_process {
    struct sim_process process; /* first */
    struct sim_conductor *conductor;
};

struct waiting { /* a read */
    struct sim *sim;
    struct sim_node *node;
    struct sim_call *call; /* held */
};

struct sim_conductor *sim_conductor_of(const struct sim_node *node)
{
    return ((struct order_process *)node->process)->conductor;
}

static void waiting_drop(void *arg)
{
    struct waiting *self = arg;

    sim_call_release(&self->call);
    free(self);
}

static void refuse(struct sim_call *call, const struct sim_node *node, int code)
{
    sim_bus_answer(call, node, code, sim_refusal(code));
}

/* ---- Reads -------------------------------------------------------------------------------------- */

static void answer_order(struct waiting *self)
{
    const json_t *key = json_object_get(sim_call_request(self->call), "key");
    struct order order;

    if (!orders_by_key(sim_order_tables(self->node->machine), json_string_value(key), &order)) {
        refuse(self->call, self->node, ERR_NOT_FOUND);
        return;
    }
    sim_bus_answer(self->call, self->node, OK, json_pack("{s:o}", "order", render_order(&order)));
    order_close(&order);
}

static void may_read(void *arg, int code)
{
    struct waiting *self = arg;

    if (code == OK)
        answer_order(self);
    else
        refuse(self->call, self->node, code);
    waiting_drop(self);
}

static void serve_read(struct sim *sim, struct sim_node *node, struct sim_call *call)
{
    struct waiting *waiting = alloc_zero(sizeof *waiting);
    const struct sim_process *process = node->process;
    int64_t wait_ms = sim_call_remaining_ms(call, sim);

    *waiting = (struct waiting){sim, node, sim_call_hold(call)};
    if (wait_ms > READ_WAIT_MS)
        wait_ms = READ_WAIT_MS;
    sim_shell_read(process->shell, sim_node_now_ms(sim, node) + wait_ms, may_read, waiting_drop,
                   waiting);
}

/* ---- Writes ------------------------------------------------------------------------------------- */

static void serve_buy(struct sim_node *node, struct sim_call *call, json_t *request)
{
    struct fields fields;
    struct text key = {0};
    int64_t stamp = 0;
    struct basket basket;

    fields_init(&fields, request);
    fields_key(&fields, "key", &key);
    fields_integer(&fields, "stamp", 0, STAMP_MS_MAX, &stamp);
    render_read_basket(&fields, &basket);
    if (fields_end(&fields) != OK)
        refuse(call, node, ERR_INVALID);
    else
        sim_conductor_buy(sim_conductor_of(node), call, key.data, stamp, &basket);
}

static void serve_cancel(struct sim_node *node, struct sim_call *call, json_t *request)
{
    struct fields fields;
    struct text key = {0};
    int64_t stamp = 0, number = 0;

    fields_init(&fields, request);
    fields_key(&fields, "key", &key);
    fields_integer(&fields, "stamp", 0, STAMP_MS_MAX, &stamp);
    fields_integer(&fields, "number", 1, INT64_MAX, &number);
    if (fields_end(&fields) != OK)
        refuse(call, node, ERR_INVALID);
    else
        sim_conductor_cancel(sim_conductor_of(node), call, key.data, stamp, (uint64_t)number);
}

void sim_order_serve(struct sim *sim, struct sim_node *node, struct sim_call *call)
{
    json_t *request = sim_call_request(call);
    const char *op = json_string_value(json_object_get(request, "op"));

    if (sim_call_remaining_ms(call, sim) <= 0)
        refuse(call, node, ERR_EXPIRED);
    else if (op[0] == 'o')
        serve_read(sim, node, call);
    else if (node->lead_term == 0)
        refuse(call, node, ERR_NOT_LEADER);
    else if (op[0] == 'b')
        serve_buy(node, call, request);
    else
        serve_cancel(node, call, request);
}

/* ---- The process -------------------------------------------------------------------------------- */

void sim_order_born(struct sim *sim, struct sim_node *node)
{
    struct order_process *self = alloc_zero(sizeof *self);

    self->process.shell = sim_shell_new(sim, node);
    self->conductor = sim_conductor_new(sim, node, self->process.shell);
    node->process = self;
}

void sim_order_died(struct sim *sim, struct sim_node *node)
{
    struct order_process *self = node->process;

    (void)sim;
    sim_conductor_destroy(&self->conductor);
    sim_shell_destroy(&self->process.shell);
    free(self);
    node->process = NULL;
}

void sim_order_lead(struct sim *sim, struct sim_node *node, bool leads)
{
    struct order_process *self = node->process;

    (void)sim;
    if (leads)
        sim_shell_lead(self->process.shell, true);
    sim_conductor_lead(self->conductor, leads);
    if (!leads)
        sim_shell_lead(self->process.shell, false);
}
