/* See sim_customers.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_customers.h"

#include <inttypes.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "services/order/render.h"

/* Keys of the changes of stock that are under way at most; those of the items come first. */
#define MOVES_MAX 4096
/* Acts without their last answer, above which nobody comes who wants something new. */
#define UNDER_WAY_MAX 250
/* Of a hundred whose answer is unknown, those that never ask again. */
#define GIVE_UP 2

enum act { ACT_ADD, ACT_BUY, ACT_CANCEL, ACT_MOVE, ACT_LOOK, ACT_FIND };

struct move {
    int64_t id;
    int64_t change;
    int64_t stamp;
    bool done;
};

struct sim_customers {
    struct sim_parts parts;
    struct sim_ledger *ledger;
    struct sim_customer_counts counts;
    struct move moves[MOVES_MAX]; /* by key; the first are the items' additions */
    size_t move_count;
    size_t under_way; /* acts without their last answer */
    size_t items;     /* that are there */
    int64_t log_time_ms;
    bool stopped;
    int64_t load_us;
};

static void begin(struct sim_customers *self, enum act act, uint64_t number);

struct sim_customers *sim_customers_new(const struct sim_parts *parts, struct sim_ledger *ledger)
{
    struct sim_customers *self = alloc_zero(sizeof *self);

    self->parts = *parts;
    self->ledger = ledger;
    self->load_us = sim_between(parts->order, 15000, 40000);
    return self;
}

void sim_customers_destroy(struct sim_customers **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

const struct sim_customer_counts *sim_customers_counts(const struct sim_customers *self)
{
    return &self->counts;
}

bool sim_customers_done(const struct sim_customers *self)
{
    return self->under_way == 0;
}

/* ---- Again -------------------------------------------------------------------------------------- */

static struct sim_customers *customers_of(const struct sim *sim)
{
    return ((const struct sim_parts *)sim->user)->customers;
}

static void again(struct sim *sim, struct sim_event *event)
{
    struct sim_customers *self = customers_of(sim);

    self->under_way--;
    self->counts.repeated++;
    begin(self, (enum act)(event->argument & 7), event->argument >> 3);
}

static void later(struct sim_customers *self, enum act act, uint64_t number)
{
    struct sim *sim = self->parts.order;
    struct sim_event event = {.at_us = sim->world->now_us + sim_between(sim, 1000, 1500000),
                              .fire = again,
                              .node = -1,
                              .argument = number << 3 | act};

    self->under_way++;
    sim_at(sim, &event);
}

/* ---- Answers ------------------------------------------------------------------------------------ */

static void hear(struct sim_customers *self, const json_t *body)
{
    const json_t *log_time = json_object_get(body, "log_time");

    if (json_is_integer(log_time))
        self->log_time_ms = json_integer_value(log_time);
}

static bool gives_up(struct sim_customers *self)
{
    return !self->stopped && sim_below(self->parts.order, 100) < GIVE_UP;
}

static void added(struct sim_customers *self, uint64_t number, int code)
{
    if (code == OK)
        self->items++;
    else
        later(self, ACT_ADD, number);
}

static void bought(struct sim_customers *self, uint64_t number, int code, const json_t *body)
{
    struct ledger_buy *buy = sim_ledger_buy(self->ledger, number);

    buy->under_way = false;
    if (code == OK) {
        sim_ledger_bought(self->ledger, number, json_object_get(body, "order"));
        self->counts.bought++;
    } else if (code == ERR_OUT_OF_STOCK) {
        sim_ledger_denied(self->ledger, number);
        self->counts.denied++;
    } else if (err_is_verdict(code)) {
        sim_fail(self->parts.order, "key buy-%" PRIu64 " is refused: %s", number, err_type(code));
    } else if (!gives_up(self)) {
        later(self, ACT_BUY, number);
    }
}

static void cancelled(struct sim_customers *self, uint64_t number, int code, const json_t *body)
{
    struct ledger_buy *buy = sim_ledger_buy(self->ledger, number);

    buy->under_way = false;
    if (code == OK) {
        sim_ledger_cancelled(self->ledger, number, json_object_get(body, "order"));
        self->counts.cancelled++;
    } else if (err_is_verdict(code)) {
        sim_fail(self->parts.order, "the cancel of order %" PRIu64 " is refused: %s", buy->number,
                 err_type(code));
    } else if (!gives_up(self)) {
        later(self, ACT_CANCEL, number);
    }
}

static void moved(struct sim_customers *self, uint64_t number, int code, const json_t *body)
{
    const struct move *move = &self->moves[number];

    if (code == OK) {
        sim_ledger_moved(self->ledger, move->id, move->change, json_object_get(body, "item"));
        self->counts.moved++;
    } else if (code != ERR_OUT_OF_STOCK) {
        later(self, ACT_MOVE, number);
    }
}

static void done(struct sim *sim, int slot, int what, uint64_t number, int code, const json_t *body)
{
    struct sim_customers *self = customers_of(sim);

    (void)slot;
    self->under_way--;
    hear(self, body);
    sim_trace(sim, -1, "customer's act %d, %" PRIu64 ": %s", what, number, err_type(code));
    switch ((enum act)what) {
    case ACT_ADD: added(self, number, code); break;
    case ACT_BUY: bought(self, number, code, body); break;
    case ACT_CANCEL: cancelled(self, number, code, body); break;
    case ACT_MOVE: moved(self, number, code, body); break;
    case ACT_LOOK:
        if (code == OK) {
            sim_ledger_read(self->ledger, (int64_t)(number & 7), (int64_t)(number >> 3),
                            json_object_get(body, "item"));
            self->counts.looked++;
        }
        break;
    case ACT_FIND:
        if (code == OK || code == ERR_NOT_FOUND) {
            sim_ledger_found(self->ledger, number, json_object_get(body, "order"));
            self->counts.found++;
        }
        break;
    }
}

/* ---- Requests ----------------------------------------------------------------------------------- */

static json_t *request_buy(struct sim_customers *self, uint64_t number)
{
    struct ledger_buy *buy = sim_ledger_buy(self->ledger, number);
    char key[24];

    ledger_key(number, false, key);
    buy->under_way = true;
    return json_pack("{s:s, s:s, s:I, s:o}", "op", "buy", "key", key, "stamp",
                     (json_int_t)buy->stamp, "lines", render_basket(&buy->basket));
}

static json_t *request_cancel(struct sim_customers *self, uint64_t number)
{
    struct ledger_buy *buy = sim_ledger_buy(self->ledger, number);
    char key[24];

    ledger_key(number, true, key);
    buy->under_way = true;
    return json_pack("{s:s, s:s, s:I, s:I}", "op", "cancel", "key", key, "stamp",
                     (json_int_t)buy->cancel_stamp, "number", (json_int_t)buy->number);
}

static json_t *request_move(const struct sim_customers *self, uint64_t number)
{
    const struct move *move = &self->moves[number];
    char key[32];

    snprintf(key, sizeof key, "move-%" PRIu64, number);
    return json_pack("{s:s, s:s, s:I, s:I, s:I}", "op", "stock", "key", key, "stamp",
                     (json_int_t)move->stamp, "id", (json_int_t)move->id, "change",
                     (json_int_t)move->change);
}

static json_t *request_add(uint64_t id)
{
    char key[32];

    snprintf(key, sizeof key, "add-%" PRIu64, id);
    return json_pack("{s:s, s:s, s:i, s:I, s:s, s:i, s:i}", "op", "item_add", "key", key, "stamp",
                     0, "id", (json_int_t)id, "title", key, "price_cents", LEDGER_PRICE, "stock",
                     LEDGER_INITIAL);
}

static json_t *request_find(uint64_t number)
{
    char key[24];

    ledger_key(number, false, key);
    return json_pack("{s:s, s:s}", "op", "order", "key", key);
}

static json_t *request_of(struct sim_customers *self, enum act act, uint64_t number)
{
    switch (act) {
    case ACT_ADD: return request_add(number);
    case ACT_BUY: return request_buy(self, number);
    case ACT_CANCEL: return request_cancel(self, number);
    case ACT_MOVE: return request_move(self, number);
    case ACT_FIND: return request_find(number);
    case ACT_LOOK: break;
    }
    return json_pack("{s:s, s:I}", "op", "lookup", "id", (json_int_t)(number & 7));
}

/* Send it, for the first time or again. */
static void begin(struct sim_customers *self, enum act act, uint64_t number)
{
    const struct sim_bus_caller caller = {self->parts.order, -1, (int)act, number, done};
    bool of_orders = act == ACT_BUY || act == ACT_CANCEL || act == ACT_FIND;

    self->under_way++;
    sim_bus_call(
        self->parts.bus, &caller, of_orders ? self->parts.order : self->parts.catalog,
        act != ACT_LOOK && act != ACT_FIND,
        sim_between(self->parts.order, 300, sim_below(self->parts.order, 4) == 0 ? 600 : 4000),
        request_of(self, act, number), of_orders ? sim_order_serve : sim_catalog_serve);
}

/* ---- What they do ------------------------------------------------------------------------------- */

static void act_buy(struct sim_customers *self)
{
    struct sim *sim = self->parts.order;
    struct basket basket = {.count = (size_t)sim_between(sim, 1, 3)};

    for (size_t i = 0; i < basket.count; i++)
        basket.lines[i] =
            (struct basket_line){sim_between(sim, 1, LEDGER_ITEMS), sim_between(sim, 1, 3)};
    if (basket_normalise(&basket) == OK)
        begin(self, ACT_BUY, sim_ledger_add(self->ledger, &basket, self->log_time_ms));
}

/* A buy that was acknowledged; false: none was hit upon. */
static bool some_order(struct sim_customers *self, size_t *index)
{
    size_t count = sim_ledger_count(self->ledger);

    for (int tries = 0; tries < 8 && count > 0; tries++) {
        *index = sim_below(self->parts.order, count);
        if (sim_ledger_buy(self->ledger, *index)->number != 0)
            return true;
    }
    return false;
}

static void act_cancel(struct sim_customers *self)
{
    struct ledger_buy *buy;
    size_t index;

    if (!some_order(self, &index))
        return;
    buy = sim_ledger_buy(self->ledger, index);
    if (buy->under_way || buy->cancel_asked)
        return;
    buy->cancel_asked = true;
    buy->cancel_stamp = self->log_time_ms;
    begin(self, ACT_CANCEL, index);
}

static void act_move(struct sim_customers *self)
{
    struct sim *sim = self->parts.order;

    if (self->move_count == MOVES_MAX)
        return;
    self->moves[self->move_count] = (struct move){
        .id = sim_between(sim, 1, LEDGER_ITEMS),
        .change = sim_below(sim, 8) == 0 ? -sim_between(sim, 1, 5) : sim_between(sim, 1, 12),
        .stamp = self->log_time_ms,
    };
    begin(self, ACT_MOVE, self->move_count++);
}

static void act_look(struct sim_customers *self)
{
    int64_t id = sim_between(self->parts.order, 1, LEDGER_ITEMS);

    begin(self, ACT_LOOK, (uint64_t)sim_ledger_floor(self->ledger, id) << 3 | (uint64_t)id);
}

static void act_find(struct sim_customers *self)
{
    size_t index;

    if (some_order(self, &index))
        begin(self, ACT_FIND, index);
}

static void act_once(struct sim_customers *self)
{
    uint64_t drawn = sim_below(self->parts.order, 100);

    if (drawn < 50)
        act_buy(self);
    else if (drawn < 62)
        act_cancel(self);
    else if (drawn < 74)
        act_move(self);
    else if (drawn < 90)
        act_look(self);
    else
        act_find(self);
}

static void act(struct sim *sim, struct sim_event *event)
{
    struct sim_customers *self = customers_of(sim);
    struct sim_event next = *event;

    if (self->stopped)
        return;
    if (self->items == LEDGER_ITEMS && self->under_way < UNDER_WAY_MAX)
        act_once(self);
    next.at_us = sim->world->now_us + sim_between(sim, 1, 2 * self->load_us);
    sim_at(sim, &next);
}

void sim_customers_start(struct sim_customers *self)
{
    struct sim *sim = self->parts.order;
    struct sim_event event = {.at_us = sim->world->now_us, .fire = act, .node = -1};

    for (uint64_t id = 1; id <= LEDGER_ITEMS; id++)
        begin(self, ACT_ADD, id);
    sim_at(sim, &event);
}

void sim_customers_stop(struct sim_customers *self)
{
    self->stopped = true;
}
