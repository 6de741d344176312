/* See saga_sim.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/saga_sim.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/order/saga.h"

#define OPS             MODEL_KEYS /* buys of one run; each may have cancels */
#define SIM_CALLS_MAX   20000
#define SIM_ENTRIES_MAX 4096

struct call { /* a message to the catalog */
    int leader;
    uint64_t number; /* the saga's, of this call */
    enum saga_action_type type;
    int op;
    struct content content;
    int64_t stamp;
    int ops[OPS];
    int op_count;
    bool doubled; /* there are two of it on the way */
    bool answered;
};

struct entry { /* submitted, not committed */
    int leader;
    uint64_t call;
    enum saga_action_type type;
    int op;
    int cancel;
    uint64_t number;
    struct content content;
    int64_t stamp;
    bool used;
};

enum event_kind {
    NO_EVENT,
    EV_TICK,
    EV_ASK,     /* a request arrives at the order service */
    EV_ARRIVE,  /* a call arrives at the catalog */
    EV_TIMEOUT, /* a call has had no answer */
    EV_COMMIT,
    EV_ELECT,
    EV_CATALOG, /* the catalog has a leader again, or no more */
    EV_RESTOCK,
    EV_DEPOSE,
    EV_ZOMBIE_ENDS,
};

struct event {
    struct heap_node node; /* first: a node of the heap is its event */
    enum event_kind kind;
    int index;
};

/* ---- Random numbers ------------------------------------------------------- */

static uint64_t draw(struct sim *self)
{
    uint64_t z = self->seed += 0x9e3779b97f4a7c15ULL; /* splitmix64 */

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* 0 to @below - 1. */
static int64_t draw_below(struct sim *self, int64_t below)
{
    return (int64_t)(draw(self) % (uint64_t)below);
}

static bool chance(struct sim *self, int percent)
{
    return draw_below(self, 100) < percent;
}

static void check(struct sim *self, bool good, const char *violation)
{
    if (!good && self->violation == NULL)
        self->violation = violation;
}

/* ---- Events ---------------------------------------------------------------- */

static void schedule(struct sim *self, int64_t in_ms, enum event_kind kind, int index)
{
    struct event *event = calloc(1, sizeof *event);

    event->node.at_ms = self->logs.now_ms + in_ms;
    event->kind = kind;
    event->index = index;
    heap_push(&self->events, &event->node);
}

/* ---- Keys ------------------------------------------------------------------ */

static void key_text(char *text, int op, int cancel)
{
    snprintf(text, 32, "%d/%d", op, cancel);
}

static void key_parse(const char *text, int *op, int *cancel)
{
    char *rest;

    *op = (int)strtol(text, &rest, 10);
    assert(*rest == '/');
    *cancel = (int)strtol(rest + 1, &rest, 10);
    assert(*rest == '\0');
}

static struct saga_bytes content_bytes(const struct content *content)
{
    return (struct saga_bytes){(const uint8_t *)content, sizeof *content};
}

static struct content content_of(struct saga_bytes bytes)
{
    struct content content;

    assert(bytes.size == sizeof content);
    memcpy(&content, bytes.data, sizeof content);
    return content;
}

/* ---- Carrying actions out --------------------------------------------------- */

static struct made_table *table_of(struct sim *self, int place)
{
    return place == 0 ? &self->logs.table : &self->old_table;
}

/* Where the leader of that id is now: 0, 1, or -1 when it is no more. */
static int place_of(const struct sim *self, int leader)
{
    for (int i = 0; i < 2; i++)
        if (self->leaders[i] != NULL && self->leader_ids[i] == leader)
            return i;
    return -1;
}

static enum saga_state state_of(enum made_state state)
{
    static const enum saga_state states[] = {
        [MADE_ACTIVE] = SAGA_ACTIVE,
        [MADE_CANCELLING] = SAGA_IS_CANCELLING,
        [MADE_CANCELLED] = SAGA_IS_CANCELLED,
    };

    return states[state];
}

static void look_up(struct sim *self, int place, const struct saga_action *action)
{
    struct made_table *table = table_of(self, place);
    struct saga_known known = {0};
    const struct made *order;
    char key[32];
    int op, cancel;

    /* A deposed leader can't make a linearizable read. */
    if (action->fresh && place != 0) {
        saga_looked(self->leaders[place], action->call, ERR_UNAVAILABLE, NULL, self->logs.now_ms);
        return;
    }
    key_parse(action->key, &op, &cancel);
    if (action->cancel) {
        known.number = action->number;
        order = action->number <= table->count ? &table->orders[action->number - 1] : NULL;
    } else {
        order = made_table_find(table, op, &known.number);
    }
    if (order != NULL) {
        key_text(key, order->key, -1);
        known.state = state_of(order->state);
        known.content = content_bytes(&order->content);
        known.order_key = key;
        known.mine = order->cancel == cancel && action->cancel;
        known.cancel_stamp = order->cancel_stamp;
    }
    saga_looked(self->leaders[place], action->call, OK, &known, self->logs.now_ms);
}

static int64_t delay(struct sim *self)
{
    if (self->calm || !chance(self, 3))
        return 1 + draw_below(self, 20);
    return chance(self, 20) ? draw_below(self, 5 * MODEL_DAY_MS) : draw_below(self, 5000);
}

static void call_catalog(struct sim *self, int place, const struct saga_action *action)
{
    int index = self->call_count++;
    struct call *call = &self->calls[index];
    int cancel;

    assert(self->call_count < SIM_CALLS_MAX);
    *call = (struct call){.leader = self->leader_ids[place],
                          .number = action->call,
                          .type = action->type,
                          .stamp = action->stamp};
    if (action->key != NULL) {
        key_parse(action->key, &call->op, &cancel);
        call->content = content_of(action->content);
    }
    if (action->type == SAGA_RESERVE && self->logs.broken == FRESH_STAMP)
        call->stamp = two_logs_time(&self->logs);
    assert(action->key_count <= OPS);
    for (; call->op_count < (int)action->key_count; call->op_count++)
        key_parse(action->keys[call->op_count], &call->ops[call->op_count], &cancel);
    if (self->calm || !chance(self, 10))
        schedule(self, delay(self), EV_ARRIVE, index);
    call->doubled = !self->calm && chance(self, 10);
    if (call->doubled)
        schedule(self, delay(self), EV_ARRIVE, index);
    if (action->type == SAGA_RESERVE && self->logs.broken == UNKNOWN_IS_NOTHING)
        schedule(self, 1, EV_TIMEOUT, index);
    schedule(self, SAGA_CALL_MS, EV_TIMEOUT, index);
}

static void submit(struct sim *self, int place, const struct saga_action *action)
{
    int index = self->entry_count++;
    struct entry *entry = &self->entries[index];

    assert(self->entry_count < SIM_ENTRIES_MAX);
    if (!self->calm && chance(self, 3)) {
        saga_applied(self->leaders[place], action->call, ERR_BUSY, 0, false, self->logs.now_ms);
        return;
    }
    *entry = (struct entry){.leader = self->leader_ids[place],
                            .call = action->call,
                            .type = action->type,
                            .number = action->number,
                            .stamp = action->stamp,
                            .used = place == 0};
    if (action->key != NULL)
        key_parse(action->key, &entry->op, &entry->cancel);
    if (action->type == SAGA_ORDER) {
        entry->content = content_of(action->grant);
        check(self, entry->content.item == content_of(action->content).item,
              "the grant of another buy is ordered");
    }
    schedule(self, 1 + draw_below(self, 10), EV_COMMIT, index);
}

static void list_cancelling(struct sim *self, int place)
{
    struct made_table *table = table_of(self, place);

    for (uint64_t i = 0; i < table->count; i++) {
        const struct made *order = &table->orders[i];
        char cancel_key[32], order_key[32];
        struct saga_listed row = {.cancel_key = cancel_key,
                                  .order_key = order_key,
                                  .number = i + 1,
                                  .stamp = order->cancel_stamp,
                                  .content = content_bytes(&order->content)};

        if (order->state != MADE_CANCELLING)
            continue;
        key_text(cancel_key, order->key, order->cancel);
        key_text(order_key, order->key, -1);
        saga_listed(self->leaders[place], &row, 1);
    }
}

static void answered_cancel(struct sim *self, struct op *op, int cancel,
                            const struct saga_action *action)
{
    const struct made *order = &self->logs.table.orders[op->number - 1];

    if (action->code == OK) {
        check(self, order->state == MADE_CANCELLED && order->cancel == cancel,
              "an acknowledged cancel is not there");
        op->cancelled = cancel;
    } else if (action->code == ERR_STATE) {
        check(self, order->state == MADE_CANCELLED && order->cancel != cancel,
              "cancelled under another key, it was said, and is not");
    } else {
        check(self, action->code != ERR_NOT_FOUND && action->code != ERR_KEY_REUSED,
              "an acknowledged order is not found by its cancel");
    }
}

static void answered_buy(struct sim *self, struct op *op, const struct saga_action *action)
{
    if (action->code == OK) {
        check(self, op->number == 0 || op->number == action->number, "two orders of one key");
        check(self, !op->denied, "sold after it was denied");
        check(self,
              action->number >= 1 && action->number <= self->logs.table.count &&
                  &self->ops[self->logs.table.orders[action->number - 1].key] == op,
              "an acknowledged order is not there");
        op->number = action->number;
    } else if (err_is_unknown(action->code) || action->code == ERR_INVALID) {
        op->maybe = true; /* a stamp ahead of its time is refused only until that has come */
    } else if (action->code == ERR_OUT_OF_STOCK || action->code == ERR_KEY_REUSED ||
               action->code == ERR_STAMP_OLD) {
        check(self, op->number == 0, "denied after it was sold");
        op->denied = true;
    }
}

static void answer(struct sim *self, const struct saga_action *action)
{
    struct ask *ask = &self->asks[action->ticket];

    check(self, !ask->answered, "a ticket is answered twice");
    ask->answered = true;
    if (ask->cancel < 0)
        answered_buy(self, &self->ops[ask->op], action);
    else
        answered_cancel(self, &self->ops[ask->op], ask->cancel, action);
}

static void crash(struct sim *self, int place)
{
    saga_destroy(&self->leaders[place]);
    self->leader_ids[place] = -1;
    if (place == 0)
        schedule(self, chance(self, 5) && !self->calm ? draw_below(self, 4 * MODEL_DAY_MS) : 150,
                 EV_ELECT, 0);
}

static bool crashes_now(struct sim *self)
{
    self->actions++;
    if (self->crash_at != 0)
        return self->actions == self->crash_at;
    return !self->calm && draw_below(self, 300) == 0;
}

static void act(struct sim *self, int place, const struct saga_action *action)
{
    switch (action->type) {
    case SAGA_LOOK_UP: look_up(self, place, action); break;
    case SAGA_RESERVE:
    case SAGA_UNDO:
    case SAGA_SETTLE:
    case SAGA_CLOSE:
    case SAGA_SCAN: call_catalog(self, place, action); break;
    case SAGA_ORDER:
    case SAGA_CANCELLING:
    case SAGA_CANCELLED: submit(self, place, action); break;
    case SAGA_LIST: list_cancelling(self, place); break;
    case SAGA_ANSWER: answer(self, action); break;
    }
}

static void run_leader(struct sim *self, int place)
{
    struct saga_action *action;

    while (self->leaders[place] != NULL && (action = saga_next(self->leaders[place])) != NULL) {
        if (crashes_now(self))
            crash(self, place);
        else
            act(self, place, action);
        saga_action_destroy(&action);
    }
}

/* ---- What happens ----------------------------------------------------------- */

/* The tables of whoever asks: what a scan's rows are compared with. */
static void scan(struct sim *self, int place, uint64_t call)
{
    struct saga_grant grants[OPS];
    const char *closable[OPS];
    char keys[OPS][32];
    struct saga_scan found = {.grants = grants, .closable = closable};
    uint64_t number;

    for (int op = 0; op < OPS; op++) {
        const struct record *record = &self->logs.records[op];
        const struct made *order = made_table_find(table_of(self, place), op, &number);

        if (record->since > two_logs_time(&self->logs) - SCAN_OLDER_MS)
            continue;
        key_text(keys[op], op, -1);
        if (record->state == GRANTED)
            grants[found.grant_count++] = (struct saga_grant){
                .key = keys[op],
                .content = content_bytes(&record->content),
                .stamp = record->stamp,
                .grant = content_bytes(&record->content),
                .order = order != NULL ? SAGA_ORDERED : SAGA_UNORDERED,
            };
        if (record->state == RELEASED && order != NULL && order->state == MADE_CANCELLED)
            closable[found.closable_count++] = keys[op];
    }
    saga_scanned(self->leaders[place], call, OK, &found, self->logs.now_ms);
}

static void reply(struct sim *self, struct call *call, int code)
{
    int place = place_of(self, call->leader);
    struct saga *saga = place >= 0 ? self->leaders[place] : NULL;

    if (call->answered || saga == NULL)
        return;
    call->answered = true;
    if (code == OK || code == ERR_STAMP_OLD) /* what it says may be ahead */
        saga_heard(saga,
                   two_logs_time(&self->logs) + (chance(self, 10) ? draw_below(self, 300000) : 0));
    switch (call->type) {
    case SAGA_RESERVE:
        saga_reserved(saga, call->number, code, content_bytes(&call->content), self->logs.now_ms);
        break;
    case SAGA_UNDO: saga_undone(saga, call->number, code, self->logs.now_ms); break;
    case SAGA_SETTLE: saga_settled(saga, call->number, code, self->logs.now_ms); break;
    case SAGA_CLOSE: saga_closed(saga, call->number, code, self->logs.now_ms); break;
    default:
        if (code == OK)
            scan(self, place, call->number);
        else
            saga_scanned(saga, call->number, code, NULL, self->logs.now_ms);
        break;
    }
    run_leader(self, place);
}

static int happen_at_catalog(struct sim *self, const struct call *call)
{
    if (call->type == SAGA_RESERVE)
        return two_logs_reserve(&self->logs, call->op, call->content, call->stamp);
    if (call->type == SAGA_UNDO)
        return two_logs_undo(&self->logs, call->op, call->content, call->stamp);
    for (int i = 0; i < call->op_count; i++) {
        if (call->type == SAGA_SETTLE)
            two_logs_settle(&self->logs, call->ops[i]);
        else
            two_logs_close(&self->logs, call->ops[i]);
    }
    return OK;
}

static void arrive(struct sim *self, struct call *call)
{
    int code;

    if (!self->logs.catalog_up) {
        /* "Nobody was there" is only said of a message that was the only one. */
        if (!call->doubled && chance(self, 50))
            reply(self, call, ERR_NO_SERVICE);
        return;
    }
    code = happen_at_catalog(self, call);
    for (int i = 0; i < MODEL_ITEMS; i++)
        check(self, self->logs.stock[i] >= 0, "stock below zero");
    if (self->calm || !chance(self, 10)) /* else the answer is lost */
        reply(self, call, code);
}

static void time_out(struct sim *self, struct call *call)
{
    int code = ERR_TIMEOUT;

    if (call->type == SAGA_RESERVE && self->logs.broken == DENIED_BY_TIMEOUT)
        code = ERR_OUT_OF_STOCK;
    if (call->type == SAGA_RESERVE && self->logs.broken == UNKNOWN_IS_NOTHING)
        code = ERR_NO_BROKER;
    reply(self, call, code);
}

static bool apply(struct sim *self, const struct entry *entry, uint64_t *number)
{
    if (entry->type == SAGA_ORDER)
        return two_logs_order(&self->logs, entry->op, entry->content, number);
    *number = entry->number;
    if (entry->type == SAGA_CANCELLING)
        return two_logs_cancelling(&self->logs, entry->number, entry->cancel, entry->stamp);
    return two_logs_cancelled(&self->logs, entry->number);
}

/* What the log makes of an entry of the leader: applied, lost, or applied without a word. */
static int commit_used(struct sim *self, struct entry *entry, uint64_t *number, bool *made)
{
    bool fault = !self->calm && chance(self, 8);

    if (fault && chance(self, 30)) { /* it is committed later */
        schedule(self, draw_below(self, 2000), EV_COMMIT, (int)(entry - self->entries));
        return ERR_UNKNOWN;
    }
    entry->used = false;
    if (!fault || chance(self, 50))
        *made = apply(self, entry, number);
    return fault ? ERR_UNKNOWN : OK;
}

static void commit(struct sim *self, struct entry *entry)
{
    int place = place_of(self, entry->leader);
    uint64_t number = 0;
    bool made = false;
    int code = ERR_UNKNOWN; /* of a leader that is deposed by now */

    if (place < 0)
        return;
    if (place == 0 && entry->used)
        code = commit_used(self, entry, &number, &made);
    saga_applied(self->leaders[place], entry->call, code, number, made, self->logs.now_ms);
    run_leader(self, place);
}

/* A new leader: what the last one had submitted survives up to some point, and is applied first. */
static void elect(struct sim *self)
{
    int survive = self->calm ? 100 : (int)draw_below(self, 101);

    if (self->leaders[0] != NULL)
        return;
    for (int i = 0; i < self->entry_count; i++) {
        struct entry *entry = &self->entries[i];
        uint64_t number;

        if (entry->used && chance(self, survive))
            apply(self, entry, &number);
        entry->used = false;
    }
    if (self->follower != NULL && chance(self, 70)) {
        self->leaders[0] = self->follower;
        self->leader_ids[0] = self->follower_id;
        self->follower = NULL;
        self->regained++;
    } else {
        self->leaders[0] = saga_new();
        self->leader_ids[0] = ++self->last_leader;
    }
    saga_lead(self->leaders[0], true, self->logs.now_ms);
    schedule(self, 1, EV_TICK, self->leader_ids[0]);
    run_leader(self, 0);
}

/* The leader is deposed and does not know it. */
static void depose(struct sim *self)
{
    if (self->calm || self->leaders[0] == NULL || self->leaders[1] != NULL)
        return;
    self->leaders[1] = self->leaders[0];
    self->leader_ids[1] = self->leader_ids[0];
    self->old_table = self->logs.table;
    self->leaders[0] = NULL;
    self->leader_ids[0] = -1;
    schedule(self, chance(self, 10) ? draw_below(self, 3 * MODEL_DAY_MS) : draw_below(self, 10000),
             EV_ZOMBIE_ENDS, 0);
    elect(self);
}

/* It learns that it is deposed. Its process may live on, and lead again one day: then late answers to
 * what it asked for in its first time still come. */
static void zombie_ends(struct sim *self)
{
    if (self->leaders[1] == NULL)
        return;
    saga_lead(self->leaders[1], false, self->logs.now_ms);
    run_leader(self, 1);
    if (self->leaders[1] == NULL)
        return;
    if (self->follower == NULL && chance(self, 60)) {
        self->follower = self->leaders[1];
        self->follower_id = self->leader_ids[1];
        self->leaders[1] = NULL;
        self->leader_ids[1] = -1;
    } else {
        crash(self, 1);
    }
}

static void ask(struct sim *self, int index)
{
    struct ask *one = &self->asks[index];
    struct op *op = &self->ops[one->op];
    int place = self->leaders[1] != NULL && chance(self, 30) ? 1 : 0;
    char key[32];
    struct saga_ask event = {.ticket = (uint64_t)index, .key = key};

    if (self->leaders[place] == NULL) {
        op->maybe = true; /* it is told "no answer in time" */
        return;
    }
    key_text(key, one->op, one->cancel);
    event.deadline_ms = self->logs.now_ms + 100 + draw_below(self, 10000);
    if (one->cancel < 0) {
        event.stamp = op->stamp;
        event.content = content_bytes(&op->content);
        saga_buy(self->leaders[place], &event, self->logs.now_ms);
    } else {
        event.stamp = op->cancel_stamp;
        event.number = op->number;
        saga_cancel(self->leaders[place], &event, self->logs.now_ms);
    }
    run_leader(self, place);
}

void sim_ask(struct sim *self, int op, int cancel, int64_t in_ms)
{
    if (self->ask_count == SIM_ASKS_MAX)
        return;
    self->asks[self->ask_count] = (struct ask){.op = op, .cancel = cancel};
    schedule(self, in_ms, EV_ASK, self->ask_count++);
}

/* Clients: a new buy, a repetition of one, or a cancel of one that was acknowledged. */
static void clients(struct sim *self, int *begun)
{
    int which = (int)draw_below(self, OPS);
    struct op *op;

    if (*begun < OPS && chance(self, 20)) {
        op = &self->ops[*begun];
        op->content = (struct content){(int32_t)draw_below(self, MODEL_ITEMS),
                                       (int32_t)(1 + draw_below(self, 3))};
        /* What a client knows of log time may be an hour old, or made up. */
        op->stamp = two_logs_time(&self->logs) -
                    (chance(self, 20) ? draw_below(self, MODEL_DAY_MS / 24) : 0);
        if (chance(self, 3))
            op->stamp = two_logs_time(&self->logs) + draw_below(self, 2 * STAMP_AHEAD_MS_MAX);
        sim_ask(self, (*begun)++, -1, delay(self));
        return;
    }
    if (which >= *begun)
        return;
    op = &self->ops[which];
    if (which % 4 == 0 && op->number == 0)
        return; /* some ask only once */
    if (op->number == 0 || chance(self, 30)) {
        if (op->number != 0 || !op->denied || chance(self, 10))
            sim_ask(self, which, -1, delay(self));
    } else if (op->cancel_asked || chance(self, 20)) {
        if (!op->cancel_asked)
            op->cancel_stamp = two_logs_time(&self->logs);
        op->cancel_asked = true;
        sim_ask(self, which, chance(self, 80) ? 0 : 1, delay(self));
    }
}

static void tick(struct sim *self, int leader)
{
    int place = place_of(self, leader);
    int64_t next_ms = chance(self, 99) ? 10 + draw_below(self, 40) : 500;

    if (place < 0)
        return;
    saga_tick(self->leaders[place], self->logs.now_ms);
    if (self->gap_until_ms > self->logs.now_ms)
        next_ms = 1000 + (self->gap_until_ms - self->logs.now_ms) / 20;
    schedule(self, next_ms, EV_TICK, leader);
    run_leader(self, place);
}

static void happen(struct sim *self, const struct event *event)
{
    switch (event->kind) {
    case EV_TICK: tick(self, event->index); break;
    case EV_ASK: ask(self, event->index); break;
    case EV_ARRIVE: arrive(self, &self->calls[event->index]); break;
    case EV_TIMEOUT: time_out(self, &self->calls[event->index]); break;
    case EV_COMMIT: commit(self, &self->entries[event->index]); break;
    case EV_ELECT: elect(self); break;
    case EV_CATALOG: two_logs_switch_catalog(&self->logs, true); break;
    case EV_RESTOCK: two_logs_supply(&self->logs, event->index, 3); break;
    case EV_DEPOSE: depose(self); break;
    case EV_ZOMBIE_ENDS: zombie_ends(self); break;
    case NO_EVENT: break;
    }
}

void sim_run(struct sim *self, int64_t until_ms)
{
    struct heap_node *node;

    while ((node = heap_first(&self->events)) != NULL && node->at_ms <= until_ms) {
        struct event *event = (struct event *)node;

        heap_remove(&self->events, node);
        self->logs.now_ms = node->at_ms;
        happen(self, event);
        free(event);
    }
    self->logs.now_ms = until_ms;
}

/* ---- A run ------------------------------------------------------------------- */

struct sim *sim_new(uint64_t seed, enum broken_rule broken)
{
    struct sim *self = calloc(1, sizeof *self);

    self->seed = seed;
    self->logs.broken = broken;
    self->entries = calloc(SIM_ENTRIES_MAX, sizeof self->entries[0]);
    self->calls = calloc(SIM_CALLS_MAX, sizeof self->calls[0]);
    self->logs.now_ms = self->logs.log_time_at_ms = 1000000;
    self->logs.log_time_ms = 10 * MODEL_DAY_MS;
    self->logs.catalog_up = true;
    self->leader_ids[0] = self->leader_ids[1] = -1;
    for (int i = 0; i < MODEL_ITEMS; i++)
        two_logs_supply(&self->logs, i, 3 + draw_below(self, 6));
    for (int i = 0; i < OPS; i++)
        self->ops[i].cancelled = -1;
    elect(self);
    return self;
}

void sim_destroy(struct sim *self)
{
    saga_destroy(&self->leaders[0]);
    saga_destroy(&self->leaders[1]);
    saga_destroy(&self->follower);
    while (heap_first(&self->events) != NULL) {
        struct event *event = (struct event *)heap_first(&self->events);

        heap_remove(&self->events, &event->node);
        free(event);
    }
    heap_close(&self->events);
    free(self->entries);
    free(self->calls);
    free(self);
}

static void trouble(struct sim *self)
{
    if (draw_below(self, 150) == 0)
        depose(self);
    if (draw_below(self, 100) == 0 && self->logs.catalog_up) {
        two_logs_switch_catalog(&self->logs, false);
        schedule(self, draw_below(self, 3000), EV_CATALOG, 0);
    }
    if (draw_below(self, 60) == 0)
        schedule(self, draw_below(self, 3000), EV_RESTOCK, (int)draw_below(self, MODEL_ITEMS));
}

/* Days pass, with both groups up, or one of them without a leader. */
static void gap(struct sim *self)
{
    int64_t length_ms = draw_below(self, 3 * MODEL_DAY_MS);

    self->gap_until_ms = self->logs.now_ms + length_ms;
    if (chance(self, 40) && self->leaders[0] != NULL)
        schedule(self, 0, EV_DEPOSE, 0);
    if (chance(self, 30) && self->leaders[0] != NULL) {
        saga_destroy(&self->leaders[0]);
        self->leader_ids[0] = -1;
        schedule(self, length_ms, EV_ELECT, 0);
    }
    if (chance(self, 30) && self->logs.catalog_up) {
        two_logs_switch_catalog(&self->logs, false);
        schedule(self, length_ms, EV_CATALOG, 0);
    }
    sim_run(self, self->gap_until_ms + 1);
}

void sim_fire(struct sim *self)
{
    int begun = 0;

    for (int segment = 0; segment < 6 && self->violation == NULL; segment++) {
        for (int i = 0; i < 120; i++) {
            clients(self, &begun);
            trouble(self);
            sim_run(self, self->logs.now_ms + draw_below(self, 120));
        }
        if (chance(self, 60))
            gap(self);
    }
}

/* Who heard "not attempted" at each try, and has not asked since, has no order. */
static void check_honesty(struct sim *self)
{
    uint64_t number;

    for (int i = 0; i < self->ask_count; i++)
        if (!self->asks[i].answered)
            self->ops[self->asks[i].op].maybe = true;
    for (int i = 0; i < OPS; i++)
        check(self,
              self->ops[i].maybe || self->ops[i].number != 0 ||
                  made_table_find(&self->logs.table, i, &number) == NULL,
              "nothing was attempted, it was said, and it is sold");
}

void sim_heal(struct sim *self)
{
    self->calm = true;
    zombie_ends(self);
    two_logs_switch_catalog(&self->logs, true);
    sim_run(self, self->logs.now_ms + 10000);
    if (self->leaders[0] == NULL)
        elect(self);
    self->gap_until_ms = self->logs.now_ms + 6 * MODEL_DAY_MS;
    sim_run(self, self->gap_until_ms);
    check_honesty(self);
    for (int i = 0; i < OPS; i++)
        if (self->ops[i].content.quantity > 0)
            sim_ask(self, i, -1, 1);
    sim_run(self, self->logs.now_ms + 15000);
}

static void check_ops(struct sim *self)
{
    uint64_t number;

    for (int i = 0; i < OPS; i++) {
        const struct op *op = &self->ops[i];
        const struct made *order = made_table_find(&self->logs.table, i, &number);

        check(self, order == NULL || !op->denied, "denied, and sold all the same");
        check(self, op->number == 0 || (order != NULL && number == op->number),
              "an acknowledged order is lost");
        check(self, op->cancelled < 0 || (order != NULL && order->state == MADE_CANCELLED),
              "an acknowledged cancel is lost");
    }
}

void sim_check(struct sim *self)
{
    const char *violation = two_logs_check(&self->logs);

    check(self, violation == NULL, violation);
    check_ops(self);
}
