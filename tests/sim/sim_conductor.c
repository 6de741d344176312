/* See sim_conductor.h.
 *
 * Each event is told to the saga, and then run() carries out actions until there are none; what comes
 * later comes as an event of its own. What differs from the real one: the bus and the shell are the
 * simulated ones, and the time is the node's.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_conductor.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "services/order/command.h"
#include "services/order/lookup.h"
#include "services/order/machine.h"
#include "services/order/render.h"
#include "services/order/scan.h"
#include "tests/sim/sim_order.h"

enum catalog_call { CATALOG_RESERVE, CATALOG_UNDO, CATALOG_SETTLE, CATALOG_CLOSE, CATALOG_SCAN };

struct ticket {
    struct ticket *next;
    uint64_t id;
    struct sim_call *call; /* held */
    int64_t stamp;
};

/* MUTATION_STORE_EARLY: orders that are answered before they are applied, by number. */
#define EARLY_MAX 64

struct early {
    uint8_t *grant;
    size_t size;
};

struct sim_conductor {
    struct sim *sim;
    struct sim_node *node;
    struct sim_shell *shell;
    struct saga *saga;
    struct ticket *tickets;
    uint64_t tickets_made;
    struct early early[EARLY_MAX]; /* MUTATION_STORE_EARLY */
    uint64_t early_next;           /* the number that the next order will get */
    bool running;
};

/* A step of a flow whose answer comes from the shell. */
struct step {
    struct sim_conductor *conductor;
    uint64_t call;
    bool cancel;
    uint64_t number;
    char *key; /* NULL for a command */
};

static void run(struct sim_conductor *self);

static struct orders *orders_of(const struct sim_conductor *self)
{
    return sim_order_tables(self->node->machine);
}

static int64_t now_ms(const struct sim_conductor *self)
{
    return sim_node_now_ms(self->sim, self->node);
}

/* ---- Answers to requests ------------------------------------------------------------------------ */

static struct ticket *take_ticket(struct sim_conductor *self, uint64_t id)
{
    struct ticket **place = &self->tickets;
    struct ticket *ticket;

    while (*place != NULL && (*place)->id != id)
        place = &(*place)->next;
    ticket = *place;
    if (ticket == NULL)
        sim_fail(self->sim, "S6: a ticket is answered twice");
    else
        *place = ticket->next;
    return ticket;
}

static void ticket_free(struct ticket *ticket)
{
    sim_call_release(&ticket->call);
    free(ticket);
}

/* The order, as it is to be; false: that is not known. */
static bool find_early(struct sim_conductor *self, uint64_t number, struct order *order)
{
    const struct early *early = &self->early[number % EARLY_MAX];

    if (early->grant == NULL)
        return false;
    order->number = number;
    order->grant = (uint8_t *)alloc_copy(early->grant, early->size);
    order->grant_size = early->size;
    return true;
}

static json_t *answer_order(struct sim_conductor *self, const struct saga_action *action,
                            const struct ticket *ticket)
{
    struct order order = {0};
    json_t *body;

    if (!orders_by_number(orders_of(self), action->number, &order) &&
        !find_early(self, action->number, &order)) {
        sim_fail(self->sim, "an order is acknowledged that is not there");
        return NULL;
    }
    body = json_pack("{s:o, s:b, s:I}", "order",
                     action->cancel ? render_order(&order) : render_order_made(&order), "replayed",
                     (int)action->replayed, "log_time",
                     (json_int_t)(action->log_time_ms >= 0 ? action->log_time_ms : ticket->stamp));
    order_close(&order);
    return body;
}

static json_t *answer_error(const struct saga_action *action)
{
    json_t *words = NULL;

    if (action->error.size > 0)
        words = json_loadb((const char *)action->error.data, action->error.size, 0, NULL);
    return words != NULL ? json_pack("{s:o}", "error", words) : sim_refusal(action->code);
}

static void answer(struct sim_conductor *self, const struct saga_action *action)
{
    struct ticket *ticket = take_ticket(self, action->ticket);

    if (ticket == NULL)
        return;
    sim_trace(self->sim, self->node->slot, "answer %d, order %llu", action->code,
              (unsigned long long)action->number);
    sim_bus_answer(ticket->call, self->node, action->code,
                   action->code == OK ? answer_order(self, action, ticket) : answer_error(action));
    ticket_free(ticket);
}

/* ---- Looking up --------------------------------------------------------------------------------- */

static void look_up(struct sim_conductor *self, uint64_t call, bool cancel, const char *key,
                    uint64_t number)
{
    struct lookup lookup;

    if (cancel)
        lookup_cancel(&lookup, orders_of(self), key, number);
    else
        lookup_buy(&lookup, orders_of(self), key);
    saga_looked(self->saga, call, OK, &lookup.known, now_ms(self));
    lookup_close(&lookup);
}

static struct step *step_new(struct sim_conductor *self, uint64_t call)
{
    struct step *step = alloc_zero(sizeof *step);

    step->conductor = self;
    step->call = call;
    return step;
}

static void drop(void *arg)
{
    struct step *step = arg;

    free(step->key);
    free(step);
}

static void may_read(void *arg, int code)
{
    struct step *step = arg;
    struct sim_conductor *self = step->conductor;

    if (code == OK)
        look_up(self, step->call, step->cancel, step->key, step->number);
    else
        saga_looked(self->saga, step->call, code, NULL, now_ms(self));
    drop(step);
    run(self);
}

static void look_up_fresh(struct sim_conductor *self, const struct saga_action *action)
{
    struct step *step = step_new(self, action->call);

    step->cancel = action->cancel;
    step->number = action->number;
    step->key = alloc_copy(action->key, strlen(action->key));
    sim_shell_read(self->shell, now_ms(self) + SAGA_CALL_MS, may_read, drop, step);
}

/* ---- Commands ----------------------------------------------------------------------------------- */

static void applied(void *arg, int code, void *outcome)
{
    struct step *step = arg;
    struct sim_conductor *self = step->conductor;
    struct machine_result *result = outcome;

    if (result != NULL)
        saga_applied(self->saga, step->call, result->code, result->number, result->made,
                     now_ms(self));
    else
        saga_applied(self->saga, step->call, code, 0, false, now_ms(self));
    machine_result_destroy(&result);
    drop(step);
    run(self);
}

static void write_command(const struct saga_action *action, struct bytes_writer *writer)
{
    if (action->type == SAGA_ORDER)
        order_command_write_order(writer, action->key, action->stamp, action->content.data,
                                  action->content.size, action->grant.data, action->grant.size);
    else if (action->type == SAGA_CANCELLING)
        order_command_write_cancelling(writer, action->number, action->key, action->stamp);
    else
        order_command_write_cancelled(writer, action->number);
}

static void acknowledge_early(struct sim_conductor *self, const struct saga_action *action)
{
    uint64_t last = orders_last_number(orders_of(self));
    struct early *early;

    if (self->early_next <= last)
        self->early_next = last + 1;
    early = &self->early[self->early_next % EARLY_MAX];
    free(early->grant);
    early->grant = (uint8_t *)alloc_copy(action->grant.data, action->grant.size);
    early->size = action->grant.size;
    saga_applied(self->saga, action->call, OK, self->early_next++, true, now_ms(self));
}

static void submit(struct sim_conductor *self, const struct saga_action *action)
{
    struct step *step = step_new(self, action->call);
    struct bytes_writer writer = {0};
    int code;

    write_command(action, &writer);
    code = sim_shell_submit(self->shell, writer.data, writer.size, applied, drop, step);
    bytes_writer_close(&writer);
    if (code != OK) {
        drop(step);
        saga_applied(self->saga, action->call, code, 0, false, now_ms(self));
    } else if (action->type == SAGA_ORDER && sim_mutation_is(MUTATION_STORE_EARLY)) {
        acknowledge_early(self, action);
    }
}

/* ---- The catalog -------------------------------------------------------------------------------- */

static bool grants_lines(const struct saga_bytes content, const struct grant *grant)
{
    struct bytes_writer writer = {0};
    struct basket basket;
    bool same;

    grant_basket(grant, &basket);
    basket_write(&basket, &writer);
    same = writer.size == content.size && memcmp(writer.data, content.data, writer.size) == 0;
    bytes_writer_close(&writer);
    return same;
}

static void granted(struct sim_conductor *self, uint64_t call, const json_t *body)
{
    struct bytes_writer writer = {0};
    struct grant grant;

    if (render_read_grant(body, &grant) == OK) {
        grant_write(&grant, &writer);
        saga_reserved(self->saga, call, OK, (struct saga_bytes){writer.data, writer.size},
                      now_ms(self));
        bytes_writer_close(&writer);
    } else {
        sim_fail(self->sim, "a grant of the catalog makes no sense");
    }
    grant_close(&grant);
}

static void reserved(struct sim_conductor *self, uint64_t call, int code, const json_t *body)
{
    const json_t *error = json_object_get(body, "error");
    char *words;

    if (code == OK) {
        granted(self, call, body);
        return;
    }
    words = error != NULL ? json_dumps(error, JSON_COMPACT) : NULL;
    saga_reserved(self->saga, call, code,
                  (struct saga_bytes){(const uint8_t *)words, words != NULL ? strlen(words) : 0},
                  now_ms(self));
    free(words);
}

static void scanned(struct sim_conductor *self, uint64_t call, int code, const json_t *body)
{
    struct scan *scan = NULL;

    if (code == OK && scan_read(orders_of(self), body, NULL, &scan) != OK)
        sim_fail(self->sim, "what the catalog calls unsettled makes no sense");
    if (scan != NULL)
        for (size_t i = 0; i < scan_found(scan)->grant_count; i++) {
            struct grant grant;
            struct bytes_reader reader;
            const struct saga_grant *row = &scan_found(scan)->grants[i];

            bytes_reader_init(&reader, row->grant.data, row->grant.size);
            grant_read(&grant, &reader);
            if (row->order == SAGA_ORDERED_OTHERWISE || !grants_lines(row->content, &grant))
                sim_fail(self->sim, "key %s has a grant and another order", row->key);
            grant_close(&grant);
        }
    saga_scanned(self->saga, call, code, scan != NULL ? scan_found(scan) : NULL, now_ms(self));
    scan_destroy(&scan);
}

static void catalog_done(struct sim *sim, int slot, int what, uint64_t number, int code,
                         const json_t *body)
{
    struct sim_conductor *self = sim_conductor_of(sim->nodes[slot]);
    const json_t *log_time = json_object_get(body, "log_time");

    if (json_is_integer(log_time))
        saga_heard(self->saga, json_integer_value(log_time));
    switch ((enum catalog_call)what) {
    case CATALOG_RESERVE: reserved(self, number, code, body); break;
    case CATALOG_UNDO: saga_undone(self->saga, number, code, now_ms(self)); break;
    case CATALOG_SETTLE: saga_settled(self->saga, number, code, now_ms(self)); break;
    case CATALOG_CLOSE: saga_closed(self->saga, number, code, now_ms(self)); break;
    case CATALOG_SCAN: scanned(self, number, code, body); break;
    }
    run(self);
}

static void call_catalog(struct sim_conductor *self, enum catalog_call what, uint64_t number,
                         json_t *request)
{
    static const char *const names[] = {"reserve", "undo", "settle", "close", "unsettled"};
    const struct sim_parts *parts = self->sim->user;
    const struct sim_bus_caller caller = {self->sim, self->node->slot, (int)what, number,
                                          catalog_done};

    json_object_set_new(request, "op", json_string(names[what]));
    sim_bus_call(parts->bus, &caller, parts->catalog, true, SAGA_CALL_MS, request,
                 sim_catalog_serve);
}

static void call_lines(struct sim_conductor *self, const struct saga_action *action)
{
    struct bytes_reader reader;
    struct basket basket;

    bytes_reader_init(&reader, action->content.data, action->content.size);
    basket_read(&basket, &reader);
    assert(bytes_reader_done(&reader));
    call_catalog(self, action->type == SAGA_RESERVE ? CATALOG_RESERVE : CATALOG_UNDO, action->call,
                 json_pack("{s:s, s:I, s:o}", "key", action->key, "stamp",
                           (json_int_t)action->stamp, "lines", render_basket(&basket)));
}

static void call_keys(struct sim_conductor *self, const struct saga_action *action)
{
    json_t *list = json_array();

    for (size_t i = 0; i < action->key_count; i++)
        json_array_append_new(list, json_string(action->keys[i]));
    call_catalog(self, action->type == SAGA_SETTLE ? CATALOG_SETTLE : CATALOG_CLOSE, action->call,
                 json_pack("{s:o}", "keys", list));
}

/* ---- Actions ------------------------------------------------------------------------------------ */

static void act(struct sim_conductor *self, const struct saga_action *action)
{
    switch (action->type) {
    case SAGA_LOOK_UP:
        if (action->fresh)
            look_up_fresh(self, action);
        else
            look_up(self, action->call, action->cancel, action->key, action->number);
        break;
    case SAGA_RESERVE:
    case SAGA_UNDO: call_lines(self, action); break;
    case SAGA_ORDER:
    case SAGA_CANCELLING:
    case SAGA_CANCELLED: submit(self, action); break;
    case SAGA_SETTLE:
    case SAGA_CLOSE: call_keys(self, action); break;
    case SAGA_SCAN:
        call_catalog(self, CATALOG_SCAN, action->call,
                     json_pack("{s:i, s:i}", "older_ms", SCAN_OLDER_MS, "limit", SCAN_ROWS_MAX));
        break;
    case SAGA_LIST: scan_list(orders_of(self), self->saga); break;
    case SAGA_ANSWER: answer(self, action); break;
    }
}

static void run(struct sim_conductor *self)
{
    struct saga_action *action;

    if (self->running)
        return;
    self->running = true;
    while ((action = saga_next(self->saga)) != NULL) {
        act(self, action);
        saga_action_destroy(&action);
    }
    self->running = false;
}

/* ---- Events ------------------------------------------------------------------------------------- */

static struct saga_ask make_ask(struct sim_conductor *self, struct sim_call *call, const char *key,
                                int64_t stamp)
{
    struct ticket *ticket = alloc_zero(sizeof *ticket);

    *ticket = (struct ticket){self->tickets, ++self->tickets_made, sim_call_hold(call), stamp};
    self->tickets = ticket;
    return (struct saga_ask){
        .ticket = ticket->id,
        .key = key,
        .stamp = stamp,
        .deadline_ms = now_ms(self) + sim_call_remaining_ms(call, self->sim) - SAGA_ANSWER_MS,
    };
}

void sim_conductor_buy(struct sim_conductor *self, struct sim_call *call, const char *key,
                       int64_t stamp, const struct basket *basket)
{
    struct saga_ask ask = make_ask(self, call, key, stamp);
    struct bytes_writer content = {0};

    basket_write(basket, &content);
    ask.content = (struct saga_bytes){content.data, content.size};
    saga_buy(self->saga, &ask, now_ms(self));
    bytes_writer_close(&content);
    run(self);
}

void sim_conductor_cancel(struct sim_conductor *self, struct sim_call *call, const char *key,
                          int64_t stamp, uint64_t number)
{
    struct saga_ask ask = make_ask(self, call, key, stamp);

    ask.number = number;
    saga_cancel(self->saga, &ask, now_ms(self));
    run(self);
}

void sim_conductor_lead(struct sim_conductor *self, bool leads)
{
    if (!leads && sim_mutation_is(MUTATION_STORE_LEAD))
        return;
    saga_lead(self->saga, leads, now_ms(self));
    run(self);
}

bool sim_conductor_quiet(const struct sim_conductor *self)
{
    struct saga_numbers numbers;

    saga_numbers(self->saga, &numbers);
    return numbers.flows == 0 && numbers.tickets == 0 && numbers.settle_keys == 0 &&
           numbers.close_keys == 0;
}

/* ---- Life --------------------------------------------------------------------------------------- */

static void tick_later(struct sim_conductor *self);

static void tick(struct sim *sim, struct sim_event *event)
{
    struct sim_conductor *self;

    if (sim_node_deferred(sim, event))
        return;
    self = sim_conductor_of(sim->nodes[event->node]);
    saga_tick(self->saga, now_ms(self));
    run(self);
    tick_later(self);
}

static void tick_later(struct sim_conductor *self)
{
    struct sim_event event = {.at_us = self->sim->world->now_us + SAGA_TICK_MS * 1000,
                              .fire = tick,
                              .node = self->node->slot,
                              .life = self->node->life};

    sim_at(self->sim, &event);
}

struct sim_conductor *sim_conductor_new(struct sim *sim, struct sim_node *node,
                                        struct sim_shell *shell)
{
    struct sim_conductor *self = alloc_zero(sizeof *self);

    self->sim = sim;
    self->node = node;
    self->shell = shell;
    self->saga = saga_new();
    tick_later(self);
    return self;
}

void sim_conductor_destroy(struct sim_conductor **self_p)
{
    struct sim_conductor *self = *self_p;

    *self_p = NULL;
    while (self->tickets != NULL) {
        struct ticket *ticket = self->tickets;

        self->tickets = ticket->next;
        ticket_free(ticket);
    }
    for (size_t i = 0; i < EARLY_MAX; i++)
        free(self->early[i].grant);
    saga_destroy(&self->saga);
    free(self);
}
