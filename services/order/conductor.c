/* See conductor.h.
 *
 * Each event is told to the saga, and then conductor_run() carries out actions
 * until there are none. What an action finds out at once is told to the saga in
 * between; what comes later comes from the loop as an event of its own. So no
 * event is ever told from within another.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/order/conductor.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alarm.h"
#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "services/order/catalog_client.h"
#include "services/order/command.h"
#include "services/order/counts.h"
#include "services/order/lookup.h"
#include "services/order/render.h"
#include "services/order/scan.h"

struct conductor {
    struct node *node;
    struct machine *machine;
    struct saga *saga;
    struct catalog_client *catalog;
    struct counts counts;
    int timer;
    struct alarm *flush; /* of what was submitted in this turn of the loop */
    bool running;        /* conductor_run() is under way */
    bool submitted;      /* something is to be flushed: a command, or a read that was asked for */
};

/* A request that waits: the saga's ticket is its address. */
struct ticket {
    struct node_call *call;
    int64_t stamp;
    int64_t asked_us;
};

/* A step of a flow whose answer comes from the replica. */
struct step {
    struct conductor *conductor;
    uint64_t call;
    bool cancel; /* what is looked up: see saga_action */
    uint64_t number;
    char *key; /* NULL for a command */
};

/* ---- Answers to requests -------------------------------------------------- */

/* The log time of an answer: of a leader that has not heard the catalog yet, what the request
 * itself was stamped with, which is a log time as well. */
static int64_t answer_log_time(const struct saga_action *action, const struct ticket *ticket)
{
    return action->log_time_ms >= 0 ? action->log_time_ms : ticket->stamp;
}

static void answer_order(struct conductor *self, const struct saga_action *action,
                         struct ticket *ticket)
{
    struct order order = {0};
    bool found = orders_by_number(self->machine->orders, action->number, &order);
    json_t *body;

    assert(found); /* it was applied here, and no order is ever removed */
    body =
        json_pack("{s:o, s:b, s:I}", "order",
                  action->cancel ? render_order(&order) : render_order_made(&order), "replayed",
                  (int)action->replayed, "log_time", (json_int_t)answer_log_time(action, ticket));
    order_close(&order);
    node_answer(&ticket->call, body);
}

static const char *answer_detail(const struct saga_action *action)
{
    switch (action->code) {
    case ERR_KEY_REUSED: return "the key belongs to another operation or other content";
    case ERR_TIMEOUT:
    case ERR_UNKNOWN: return "the same key is safe to send again";
    case ERR_UNAVAILABLE: return "nothing was attempted in the time that was given";
    case ERR_NOT_FOUND: return "there is no order of that number";
    case ERR_STATE: return "the order was cancelled under another key";
    case ERR_INVALID: return "the stamp is ahead of the catalog's log time";
    default: return NULL;
    }
}

/* A denial goes on in the catalog's own words. */
static void answer_error(const struct saga_action *action, struct ticket *ticket)
{
    json_t *words = NULL;
    json_t *detail;

    if (action->error.size > 0)
        words = json_loadb((const char *)action->error.data, action->error.size, 0, NULL);
    if (words == NULL) {
        node_refuse(&ticket->call, action->code, answer_detail(action), NULL);
        return;
    }
    detail = json_incref(json_object_get(words, "detail"));
    json_object_del(words, "type");
    json_object_del(words, "title");
    json_object_del(words, "detail");
    node_refuse(&ticket->call, action->code, json_string_value(detail), words);
    json_decref(detail);
}

static void conductor_answer(struct conductor *self, const struct saga_action *action)
{
    struct ticket *ticket = (struct ticket *)(uintptr_t)action->ticket;

    counts_answered(&self->counts, action->cancel, action->code, action->replayed,
                    (double)(clock_us() - ticket->asked_us) / 1e6);
    if (action->code == OK)
        answer_order(self, action, ticket);
    else
        answer_error(action, ticket);
    free(ticket);
}

/* ---- Looking up ----------------------------------------------------------- */

static void conductor_run(struct conductor *self);

static void conductor_look_up(struct conductor *self, uint64_t call, bool cancel, const char *key,
                              uint64_t number)
{
    struct lookup lookup;

    if (cancel)
        lookup_cancel(&lookup, self->machine->orders, key, number);
    else
        lookup_buy(&lookup, self->machine->orders, key);
    saga_looked(self->saga, call, OK, &lookup.known, clock_ms());
    lookup_close(&lookup);
}

static struct step *step_new(struct conductor *self, uint64_t call)
{
    struct step *step = alloc_zero(sizeof *step);

    step->conductor = self;
    step->call = call;
    return step;
}

static void step_free(struct step *step)
{
    free(step->key);
    free(step);
}

static void conductor_may_read(void *arg, int code)
{
    struct step *step = arg;
    struct conductor *self = step->conductor;

    if (code == OK)
        conductor_look_up(self, step->call, step->cancel, step->key, step->number);
    else
        saga_looked(self->saga, step->call, code, NULL, clock_ms());
    step_free(step);
    conductor_run(self);
}

static void conductor_look_up_fresh(struct conductor *self, const struct saga_action *action)
{
    struct step *step = step_new(self, action->call);
    int code;

    step->cancel = action->cancel;
    step->number = action->number;
    step->key = alloc_copy(action->key, strlen(action->key));
    code =
        replica_read(node_replica(self->node), clock_ms() + SAGA_CALL_MS, conductor_may_read, step);
    if (code == OK) {
        self->submitted = true;
    } else {
        step_free(step);
        saga_looked(self->saga, action->call, code, NULL, clock_ms());
    }
}

/* ---- Commands ------------------------------------------------------------- */

static void conductor_applied(void *arg, int code, void *applied, replica_index index)
{
    struct step *step = arg;
    struct conductor *self = step->conductor;
    struct machine_result *result = applied;

    (void)index;
    if (result != NULL)
        saga_applied(self->saga, step->call, result->code, result->number, result->made,
                     clock_ms());
    else
        saga_applied(self->saga, step->call, code, 0, false, clock_ms());
    machine_result_destroy(&result);
    step_free(step);
    conductor_run(self);
}

static void order_command_write(const struct saga_action *action, struct bytes_writer *writer)
{
    if (action->type == SAGA_ORDER)
        order_command_write_order(writer, action->key, action->stamp, action->content.data,
                                  action->content.size, action->grant.data, action->grant.size);
    else if (action->type == SAGA_CANCELLING)
        order_command_write_cancelling(writer, action->number, action->key, action->stamp);
    else
        order_command_write_cancelled(writer, action->number);
}

static void conductor_submit(struct conductor *self, const struct saga_action *action)
{
    struct step *step = step_new(self, action->call);
    struct bytes_writer writer = {0};
    int code;

    order_command_write(action, &writer);
    code =
        replica_submit(node_replica(self->node), writer.data, writer.size, conductor_applied, step);
    bytes_writer_close(&writer);
    if (code == OK) {
        self->submitted = true;
    } else {
        step_free(step);
        saga_applied(self->saga, action->call, code, 0, false, clock_ms());
    }
}

/* ---- The catalog ---------------------------------------------------------- */

static void conductor_lines(struct conductor *self, const struct saga_action *action)
{
    struct bytes_reader reader;
    struct basket basket;

    bytes_reader_init(&reader, action->content.data, action->content.size);
    basket_read(&basket, &reader);
    assert(bytes_reader_done(&reader)); /* our own bytes, from a request or a table */
    if (action->type == SAGA_RESERVE)
        catalog_client_reserve(self->catalog, action->call, action->key, action->stamp, &basket);
    else
        catalog_client_undo(self->catalog, action->call, action->key, action->stamp, &basket);
}

/* A grant that makes no sense is no answer: the outcome is unknown, and it is asked again. */
static void conductor_granted(struct conductor *self, uint64_t call, const json_t *body)
{
    struct bytes_writer writer = {0};
    struct grant grant;

    if (render_read_grant(body, &grant) == OK) {
        grant_write(&grant, &writer);
        saga_reserved(self->saga, call, OK, (struct saga_bytes){writer.data, writer.size},
                      clock_ms());
        bytes_writer_close(&writer);
    } else {
        log_write(node_log(self->node), LOG_LEVEL_ERROR, "a grant of the catalog makes no sense",
                  LOG_UINT("call", call));
        saga_reserved(self->saga, call, ERR_UNKNOWN, (struct saga_bytes){0}, clock_ms());
    }
    grant_close(&grant);
}

static void conductor_reserved(struct conductor *self, uint64_t call, int code, const json_t *body)
{
    const json_t *error = json_object_get(body, "error");
    char *words;

    if (code == OK) {
        conductor_granted(self, call, body);
        return;
    }
    words = error != NULL ? json_dumps(error, JSON_COMPACT) : NULL;
    saga_reserved(self->saga, call, code,
                  (struct saga_bytes){(const uint8_t *)words, words != NULL ? strlen(words) : 0},
                  clock_ms());
    free(words);
}

static void conductor_scanned(struct conductor *self, uint64_t call, int code, const json_t *body)
{
    struct scan *scan = NULL;

    if (code == OK && scan_read(self->machine->orders, body, node_log(self->node), &scan) != OK)
        code = ERR_UNKNOWN;
    saga_scanned(self->saga, call, code, scan != NULL ? scan_found(scan) : NULL, clock_ms());
    scan_destroy(&scan);
}

static void conductor_heard(struct conductor *self, const json_t *body)
{
    const json_t *log_time = json_object_get(body, "log_time");

    if (json_is_integer(log_time) && json_integer_value(log_time) >= 0)
        saga_heard(self->saga, json_integer_value(log_time));
}

static void conductor_catalog_done(void *arg, enum catalog_call call, uint64_t number, int code,
                                   const json_t *body)
{
    struct conductor *self = arg;

    conductor_heard(self, body);
    switch (call) {
    case CATALOG_RESERVE: conductor_reserved(self, number, code, body); break;
    case CATALOG_UNDO: saga_undone(self->saga, number, code, clock_ms()); break;
    case CATALOG_SETTLE: saga_settled(self->saga, number, code, clock_ms()); break;
    case CATALOG_CLOSE: saga_closed(self->saga, number, code, clock_ms()); break;
    case CATALOG_SCAN: conductor_scanned(self, number, code, body); break;
    }
    conductor_run(self);
}

/* ---- Actions -------------------------------------------------------------- */

static void conductor_scan(struct conductor *self, const struct saga_action *action)
{
    struct saga_numbers numbers;

    saga_numbers(self->saga, &numbers);
    counts_numbers(&self->counts, &numbers);
    catalog_client_scan(self->catalog, action->call);
}

static void conductor_act(struct conductor *self, const struct saga_action *action)
{
    switch (action->type) {
    case SAGA_LOOK_UP:
        if (action->fresh)
            conductor_look_up_fresh(self, action);
        else
            conductor_look_up(self, action->call, action->cancel, action->key, action->number);
        break;
    case SAGA_RESERVE:
    case SAGA_UNDO: conductor_lines(self, action); break;
    case SAGA_ORDER:
    case SAGA_CANCELLING:
    case SAGA_CANCELLED: conductor_submit(self, action); break;
    case SAGA_SETTLE:
        catalog_client_settle(self->catalog, action->call, action->keys, action->key_count);
        break;
    case SAGA_CLOSE:
        catalog_client_close(self->catalog, action->call, action->keys, action->key_count);
        break;
    case SAGA_SCAN: conductor_scan(self, action); break;
    case SAGA_LIST: scan_list(self->machine->orders, self->saga); break;
    case SAGA_ANSWER: conductor_answer(self, action); break;
    }
}

/* Also called from within itself, where an answer comes at once: then whoever runs goes on. */
static void conductor_run(struct conductor *self)
{
    struct saga_action *action;

    if (self->running)
        return;
    self->running = true;
    while ((action = saga_next(self->saga)) != NULL) {
        conductor_act(self, action);
        saga_action_destroy(&action);
    }
    self->running = false;
    if (!self->submitted)
        return;
    self->submitted = false;
    /* Not at once: the catalog's answers come many at a time, each as an event, and what follows from
     * them is to be one append, one message to each member and one sync. */
    alarm_set(self->flush, 0);
}

/* ---- Events --------------------------------------------------------------- */

static struct saga_ask conductor_ask(struct node_call *call, const char *key, int64_t stamp)
{
    struct ticket *ticket = alloc_zero(sizeof *ticket);

    *ticket = (struct ticket){.call = call, .stamp = stamp, .asked_us = clock_us()};
    return (struct saga_ask){
        .ticket = (uint64_t)(uintptr_t)ticket,
        .key = key,
        .stamp = stamp,
        .deadline_ms = clock_ms() + node_call_remaining_ms(call) - SAGA_ANSWER_MS,
    };
}

void conductor_buy(struct conductor *self, struct node_call *call, const char *key, int64_t stamp,
                   const struct basket *basket)
{
    struct saga_ask ask = conductor_ask(call, key, stamp);
    struct bytes_writer content = {0};

    basket_write(basket, &content);
    ask.content = (struct saga_bytes){content.data, content.size};
    saga_buy(self->saga, &ask, clock_ms());
    bytes_writer_close(&content);
    conductor_run(self);
}

void conductor_cancel(struct conductor *self, struct node_call *call, const char *key,
                      int64_t stamp, uint64_t number)
{
    struct saga_ask ask = conductor_ask(call, key, stamp);

    ask.number = number;
    saga_cancel(self->saga, &ask, clock_ms());
    conductor_run(self);
}

void conductor_lead(struct conductor *self, bool leader)
{
    log_write(node_log(self->node), LOG_LEVEL_INFO,
              leader ? "leads the orders" : "leads the orders no more", LOG_END);
    saga_lead(self->saga, leader, clock_ms());
    conductor_run(self);
}

static void conductor_flush(void *arg)
{
    struct conductor *self = arg;

    replica_flush(node_replica(self->node)); /* callbacks run within, and conductor_run() in them */
}

static int conductor_tick(zloop_t *loop, int timer, void *arg)
{
    struct conductor *self = arg;

    (void)loop;
    (void)timer;
    saga_tick(self->saga, clock_ms());
    conductor_run(self);
    return 0;
}

void conductor_numbers(const struct conductor *self, struct saga_numbers *numbers)
{
    saga_numbers(self->saga, numbers);
}

/* ---- Life ----------------------------------------------------------------- */

static struct catalog_client *conductor_open_catalog(struct conductor *self)
{
    struct catalog_client_options options = {
        .name = node_name(self->node),
        .secret = node_secret(self->node),
        .log = node_log(self->node),
        .done = conductor_catalog_done,
        .arg = self,
    };
    const char **endpoints = config_bus_endpoints(node_config(self->node), &options.endpoint_count);
    struct catalog_client *client;

    options.endpoints = endpoints;
    client = catalog_client_new(node_loop(self->node), &options);
    free(endpoints);
    return client;
}

struct conductor *conductor_new(struct node *node, struct machine *machine)
{
    struct conductor *self = alloc_zero(sizeof *self);

    self->node = node;
    self->machine = machine;
    self->saga = saga_new();
    counts_init(&self->counts, node_metrics(node));
    self->catalog = conductor_open_catalog(self);
    self->flush = alarm_new(node_loop(node), conductor_flush, self);
    self->timer = zloop_timer(node_loop(node), SAGA_TICK_MS, 0, conductor_tick, self);
    return self;
}

void conductor_destroy(struct conductor **self_p)
{
    struct conductor *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    zloop_timer_end(node_loop(self->node), self->timer);
    saga_lead(self->saga, false, clock_ms());
    conductor_run(self);
    alarm_destroy(&self->flush);
    catalog_client_destroy(&self->catalog);
    saga_destroy(&self->saga);
    free(self);
}
