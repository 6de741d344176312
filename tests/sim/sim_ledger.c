/* See sim_ledger.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_ledger.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "services/order/orders.h"
#include "tests/sim/sim_catalog.h"
#include "tests/sim/sim_node.h"
#include "tests/sim/sim_order.h"

struct ledger_item {
    int64_t floor;     /* the highest version that was shown or acknowledged */
    int64_t moved;     /* acknowledged */
    int64_t *stock_of; /* by version; -1: not known */
    size_t versions;
};

struct sim_ledger {
    struct sim *sim;
    struct ledger_buy *buys;
    size_t count;
    size_t capacity;
    size_t *of_number; /* by order number: which buy it was acknowledged to, and 1; 0: none */
    size_t numbers;
    struct ledger_item items[LEDGER_ITEMS];
    int64_t sold[LEDGER_ITEMS]; /* by the active orders of the last replica that was checked */
};

struct sim_ledger *sim_ledger_new(struct sim *sim)
{
    struct sim_ledger *self = alloc_zero(sizeof *self);

    self->sim = sim;
    return self;
}

void sim_ledger_destroy(struct sim_ledger **self_p)
{
    struct sim_ledger *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    for (size_t i = 0; i < LEDGER_ITEMS; i++)
        free(self->items[i].stock_of);
    free(self->of_number);
    free(self->buys);
    free(self);
}

size_t sim_ledger_add(struct sim_ledger *self, const struct basket *basket, int64_t stamp)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity == 0 ? 256 : 2 * self->capacity;
        self->buys = alloc_resize(self->buys, self->capacity * sizeof *self->buys);
    }
    self->buys[self->count] = (struct ledger_buy){.basket = *basket, .stamp = stamp};
    return self->count++;
}

size_t sim_ledger_count(const struct sim_ledger *self)
{
    return self->count;
}

struct ledger_buy *sim_ledger_buy(struct sim_ledger *self, size_t index)
{
    return &self->buys[index];
}

void ledger_key(size_t index, bool cancel, char key[24])
{
    snprintf(key, 24, "%s-%zu", cancel ? "cancel" : "buy", index);
}

/* ---- Items -------------------------------------------------------------------------------------- */

static int64_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static int64_t *stock_of(struct ledger_item *item, int64_t version)
{
    if ((size_t)version >= item->versions) {
        size_t versions = 2 * (size_t)version + 64;

        item->stock_of = alloc_resize(item->stock_of, versions * sizeof *item->stock_of);
        for (size_t i = item->versions; i < versions; i++)
            item->stock_of[i] = -1;
        item->versions = versions;
    }
    return &item->stock_of[version];
}

/* Somebody is shown that, or it is acknowledged to him. */
static void shown(struct sim_ledger *self, int64_t id, int64_t version, int64_t stock)
{
    struct ledger_item *item;
    int64_t *known;

    if (id < 1 || id > LEDGER_ITEMS || version < 1 || stock < 0) {
        sim_fail(self->sim, "L1: item %" PRId64 " is shown with stock %" PRId64, id, stock);
        return;
    }
    item = &self->items[id - 1];
    known = stock_of(item, version);
    if (*known >= 0 && *known != stock)
        sim_fail(self->sim,
                 "L6: version %" PRId64 " of item %" PRId64 " has stock %" PRId64
                 ", and had %" PRId64,
                 version, id, stock, *known);
    *known = stock;
    if (item->floor < version)
        item->floor = version;
}

int64_t sim_ledger_floor(const struct sim_ledger *self, int64_t id)
{
    return self->items[id - 1].floor;
}

void sim_ledger_read(struct sim_ledger *self, int64_t id, int64_t floor, const json_t *item)
{
    int64_t version = number_of(item, "version");

    if (version < floor)
        sim_fail(self->sim,
                 "L6: a read shows version %" PRId64 " of item %" PRId64 "; %" PRId64
                 " was shown or acknowledged before it began",
                 version, id, floor);
    shown(self, id, version, number_of(item, "stock"));
}

void sim_ledger_moved(struct sim_ledger *self, int64_t id, int64_t change, const json_t *item)
{
    self->items[id - 1].moved += change;
    shown(self, id, number_of(item, "version"), number_of(item, "stock"));
}

/* ---- Orders ------------------------------------------------------------------------------------- */

static void check_lines(struct sim_ledger *self, size_t index, const json_t *order)
{
    const struct basket *basket = &self->buys[index].basket;
    const json_t *lines = json_object_get(order, "lines");
    int64_t total = 0;

    if (json_array_size(lines) != basket->count) {
        sim_fail(self->sim, "L2: key buy-%zu is answered with an order of %zu lines, not %zu",
                 index, json_array_size(lines), basket->count);
        return;
    }
    for (size_t i = 0; i < basket->count; i++) {
        const json_t *line = json_array_get(lines, i);

        if (number_of(line, "id") != basket->lines[i].id ||
            number_of(line, "quantity") != basket->lines[i].quantity)
            sim_fail(self->sim, "L2: key buy-%zu is answered with an order of other content",
                     index);
        shown(self, number_of(line, "id"), number_of(line, "version"),
              number_of(line, "stock_left"));
        total += LEDGER_PRICE * basket->lines[i].quantity;
    }
    if (number_of(order, "total_cents") != total)
        sim_fail(self->sim, "L2: key buy-%zu is answered with another total", index);
}

static void take_number(struct sim_ledger *self, size_t index, uint64_t number)
{
    if (number >= self->numbers) {
        size_t numbers = 2 * number + 256;

        self->of_number = alloc_resize(self->of_number, numbers * sizeof *self->of_number);
        memset(self->of_number + self->numbers, 0,
               (numbers - self->numbers) * sizeof *self->of_number);
        self->numbers = numbers;
    }
    if (self->of_number[number] != 0 && self->of_number[number] != index + 1)
        sim_fail(self->sim, "L3: number %" PRIu64 " is of key buy-%zu and of key buy-%zu", number,
                 index, self->of_number[number] - 1);
    self->of_number[number] = index + 1;
}

static void told_number(struct sim_ledger *self, size_t index, uint64_t number)
{
    struct ledger_buy *buy = &self->buys[index];

    if (buy->denied)
        sim_fail(self->sim, "L4: key buy-%zu was denied and is order %" PRIu64, index, number);
    if (buy->number != 0 && buy->number != number)
        sim_fail(self->sim, "L2: key buy-%zu is order %" PRIu64 " and order %" PRIu64, index,
                 buy->number, number);
    take_number(self, index, number);
    buy->number = number;
}

void sim_ledger_bought(struct sim_ledger *self, size_t index, const json_t *order)
{
    told_number(self, index, (uint64_t)number_of(order, "order_number"));
    check_lines(self, index, order);
}

void sim_ledger_denied(struct sim_ledger *self, size_t index)
{
    struct ledger_buy *buy = &self->buys[index];

    if (buy->number != 0)
        sim_fail(self->sim, "L4: key buy-%zu is order %" PRIu64 " and is denied", index,
                 buy->number);
    buy->denied = true;
}

void sim_ledger_cancelled(struct sim_ledger *self, size_t index, const json_t *order)
{
    const char *state = json_string_value(json_object_get(order, "state"));

    if (state == NULL || strcmp(state, "cancelled") != 0)
        sim_fail(self->sim, "L5: order %" PRIu64 " is said to be cancelled, and is not",
                 self->buys[index].number);
    sim_ledger_bought(self, index, order);
    self->buys[index].cancelled = true;
}

void sim_ledger_found(struct sim_ledger *self, size_t index, const json_t *order)
{
    if (order == NULL)
        sim_fail(self->sim, "L6: order %" PRIu64 " was acknowledged and is not found",
                 self->buys[index].number);
    else
        sim_ledger_bought(self, index, order);
}

/* ---- On the way --------------------------------------------------------------------------------- */

void sim_ledger_audit(struct sim_ledger *self, const struct sim_node *node)
{
    struct sim_account account;

    sim_catalog_account(node->machine, &account);
    if (account.violations != 0)
        sim_fail(self->sim, "L1: at n%" PRIu64 " %" PRId64 " items break the law of conservation",
                 node->id, account.violations);
    for (int64_t id = 1; id <= LEDGER_ITEMS; id++)
        if (account.items[id - 1].version > 0 && node->applied.index > 0 &&
            account.items[id - 1].stock < 0)
            sim_fail(self->sim, "L1: at n%" PRIu64 " the stock of item %" PRId64 " is %" PRId64,
                     node->id, id, account.items[id - 1].stock);
}

bool sim_ledger_catalog_quiet(const struct sim_node *node)
{
    return sim_catalog_quiet(node->machine);
}

static bool none(void *arg, const struct order *order)
{
    (void)order;
    *(bool *)arg = false;
    return false;
}

bool sim_ledger_order_quiet(const struct sim_node *node)
{
    bool quiet = true;

    orders_cancelling(sim_order_tables(node->machine), none, &quiet);
    return quiet;
}

/* ---- The end ------------------------------------------------------------------------------------ */

static bool same_content(const struct ledger_buy *buy, const struct order *order)
{
    struct bytes_writer content = {0};
    bool same;

    basket_write(&buy->basket, &content);
    same = content.size == order->content_size &&
           memcmp(content.data, order->content, content.size) == 0;
    bytes_writer_close(&content);
    return same;
}

static void check_order(struct sim_ledger *self, const struct sim_node *node, uint64_t number,
                        bool *seen)
{
    struct order order;
    struct ledger_buy *buy;
    size_t index;
    char key[24];

    if (!orders_by_number(sim_order_tables(node->machine), number, &order)) {
        sim_fail(self->sim, "L3: n%" PRIu64 " has no order %" PRIu64, node->id, number);
        return;
    }
    index = strtoul(order.key + strlen("buy-"), NULL, 10);
    ledger_key(index, false, key);
    buy = index < self->count ? &self->buys[index] : NULL;
    if (buy == NULL || strcmp(key, order.key) != 0 || seen[index] || !same_content(buy, &order))
        sim_fail(self->sim, "L2: at n%" PRIu64 " order %" PRIu64 " is nobody's, or a second one",
                 node->id, number);
    else if (buy->denied)
        sim_fail(self->sim, "L4: key %s was denied and is order %" PRIu64, key, number);
    else if (buy->number != 0 && buy->number != number)
        sim_fail(self->sim, "L2: key %s was told order %" PRIu64 " and is %" PRIu64, key,
                 buy->number, number);
    else if (order.state == ORDER_CANCELLING ||
             (order.state == ORDER_CANCELLED && !buy->cancel_asked))
        sim_fail(self->sim, "L5: order %" PRIu64 " is %s", number, order_state_name(order.state));
    else if (buy->cancelled && order.state != ORDER_CANCELLED)
        sim_fail(self->sim, "L5: order %" PRIu64 " was said to be cancelled and is not", number);
    else
        seen[index] = true;
    for (size_t i = 0; buy != NULL && order.state == ORDER_ACTIVE && i < buy->basket.count; i++)
        self->sold[buy->basket.lines[i].id - 1] += buy->basket.lines[i].quantity;
    order_close(&order);
}

void sim_ledger_check_orders(struct sim_ledger *self, const struct sim_node *node)
{
    uint64_t last = orders_last_number(sim_order_tables(node->machine));
    bool *seen = alloc_zero((self->count + 1) * sizeof *seen);

    memset(self->sold, 0, sizeof self->sold);
    for (uint64_t number = 1; number <= last && self->sim->world->violation[0] == '\0'; number++)
        check_order(self, node, number, seen);
    for (size_t i = 0; i < self->count && self->sim->world->violation[0] == '\0'; i++)
        if (self->buys[i].number != 0 && !seen[i])
            sim_fail(self->sim,
                     "L2: key buy-%zu was told order %" PRIu64 ", which n%" PRIu64 " has not", i,
                     self->buys[i].number, node->id);
    free(seen);
}

void sim_ledger_check_catalog(struct sim_ledger *self, const struct sim_node *node)
{
    struct sim_account account;

    sim_ledger_audit(self, node);
    sim_catalog_account(node->machine, &account);
    if (account.unsettled != 0 || account.unclosed != 0)
        sim_fail(self->sim, "L7: n%" PRIu64 " has %" PRId64 " grants and %" PRId64 " releases open",
                 node->id, account.unsettled, account.unclosed);
    for (size_t i = 0; i < LEDGER_ITEMS; i++) {
        const struct sim_account_item *item = &account.items[i];

        if (item->sold != self->sold[i])
            sim_fail(self->sim,
                     "L7: at n%" PRIu64 " %" PRId64
                     " of item %zu are sold, and orders hold %" PRId64,
                     node->id, item->sold, i + 1, self->sold[i]);
        if (item->moved != self->items[i].moved || item->initial != LEDGER_INITIAL)
            sim_fail(self->sim,
                     "L7: at n%" PRIu64 " %" PRId64 " of item %zu were moved, and %" PRId64
                     " acknowledged",
                     node->id, item->moved, i + 1, self->items[i].moved);
    }
}
