/* The order tables, the machine that fills them, and what a step of the saga finds in them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "services/order/command.h"
#include "services/order/lookup.h"
#include "services/order/machine.h"
#include "services/order/render.h"
#include "tests/unit/database_copy.h"

struct fixture {
    char directory[64];
    char path[96];
    struct machine machine;
    struct replica_machine replica;
    uint64_t index; /* of the last entry */
    int led;        /* how often machine.lead came through */
};

static void led(void *arg, bool leader)
{
    struct fixture *self = arg;

    self->led += leader ? 1 : -1;
}

static void open_machine(struct fixture *self)
{
    char *error = NULL;

    machine_init(&self->machine, NULL, led, self, &self->replica);
    assert_int_equal(self->replica.open(&self->machine, self->path, &error), OK);
    self->index = self->replica.applied(&self->machine);
}

static int set_up(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);

    snprintf(self->directory, sizeof self->directory, "/tmp/test_order_tables.XXXXXX");
    assert_non_null(mkdtemp(self->directory));
    snprintf(self->path, sizeof self->path, "%s/orders", self->directory);
    open_machine(self);
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    struct fixture *self = *state;
    char path[128];

    machine_close(&self->machine);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(path, sizeof path, "%s%s", self->path, suffixes[i]);
        unlink(path);
    }
    rmdir(self->directory);
    free(self);
    return 0;
}

/* ---- Entries ----------------------------------------------------------------- */

/* Apply a command, which is freed, in a transaction of its own. */
static struct machine_result apply(struct fixture *self, struct bytes_writer *command)
{
    struct replica_entry entry = {
        .index = ++self->index,
        .term = 1,
        .wall_ms = 1000000 + (int64_t)self->index,
        .data = command->data,
        .size = command->size,
    };
    struct machine_result *result, copy;

    self->replica.begin(&self->machine);
    result = self->replica.apply(&self->machine, &entry);
    self->replica.commit(&self->machine);
    copy = *result;
    self->replica.release(&self->machine, result);
    bytes_writer_close(command);
    return copy;
}

static struct machine_result apply_order(struct fixture *self, const char *key, int64_t id,
                                         int64_t quantity)
{
    struct basket basket = {1, {{id, quantity}}};
    struct bytes_writer command = {0}, content = {0}, granted = {0};
    struct grant grant = {.currency = "USD", .count = 1};

    grant.lines[0] = (struct grant_line){.id = id,
                                         .quantity = quantity,
                                         .price_cents = 150,
                                         .stock_left = 4,
                                         .version = 9,
                                         .title = alloc_copy("Emma", 4)};
    basket_write(&basket, &content);
    grant_write(&grant, &granted);
    order_command_write_order(&command, key, 500, content.data, content.size, granted.data,
                              granted.size);
    bytes_writer_close(&content);
    bytes_writer_close(&granted);
    grant_close(&grant);
    return apply(self, &command);
}

static struct machine_result apply_cancelling(struct fixture *self, uint64_t number,
                                              const char *key, int64_t stamp)
{
    struct bytes_writer command = {0};

    order_command_write_cancelling(&command, number, key, stamp);
    return apply(self, &command);
}

static struct machine_result apply_cancelled(struct fixture *self, uint64_t number)
{
    struct bytes_writer command = {0};

    order_command_write_cancelled(&command, number);
    return apply(self, &command);
}

static void expect_state(struct fixture *self, uint64_t number, enum order_state state)
{
    struct order order;

    assert_true(orders_by_number(self->machine.orders, number, &order));
    assert_int_equal(order.state, state);
    order_close(&order);
}

/* What active orders hold of an item. */
struct sold {
    int64_t id;
    int64_t quantity;
};

static bool sold_visit(void *arg, int64_t id, int64_t quantity)
{
    struct sold *sold = arg;

    if (id == sold->id)
        sold->quantity = quantity;
    return true;
}

static int64_t sold_of(struct fixture *self, int64_t id)
{
    struct sold sold = {.id = id};

    orders_sold(self->machine.orders, 0, sold_visit, &sold);
    return sold.quantity;
}

/* ---- Orders ------------------------------------------------------------------- */

/* Numbers rise from 1 without gaps; a second ORDER of a key changes nothing and finds the first. */
static void test_an_order_is_made_once_for_a_key(void **state)
{
    struct fixture *self = *state;
    struct machine_result first = apply_order(self, "one", 7, 2);
    struct machine_result again = apply_order(self, "one", 7, 2);
    struct machine_result second = apply_order(self, "two", 7, 2);

    assert_true(first.made && first.code == OK && first.number == 1);
    assert_true(!again.made && again.code == OK && again.number == 1);
    assert_true(second.made && second.code == OK && second.number == 2);
    assert_int_equal(orders_last_number(self->machine.orders), 2);
    assert_int_equal(orders_active(self->machine.orders), 2);
    assert_int_equal(sold_of(self, 7), 4);
}

/* Other content under a key that has an order is refused, and leaves no gap in the numbers. */
static void test_an_order_of_other_content_is_refused(void **state)
{
    struct fixture *self = *state;
    struct machine_result result;

    apply_order(self, "one", 7, 2);
    result = apply_order(self, "one", 7, 3);
    assert_true(!result.made && result.code == ERR_KEY_REUSED && result.number == 1);
    assert_int_equal(apply_order(self, "two", 7, 1).number, 2);
    assert_int_equal(sold_of(self, 7), 3);
}

/* CANCELLING and CANCELLED take effect once; what the order held is free from CANCELLING on. */
static void test_a_cancel_goes_on_once(void **state)
{
    struct fixture *self = *state;

    apply_order(self, "one", 7, 2);
    assert_false(apply_cancelled(self, 1).made); /* not before CANCELLING */
    expect_state(self, 1, ORDER_ACTIVE);
    assert_true(apply_cancelling(self, 1, "cancel", 600).made);
    assert_false(apply_cancelling(self, 1, "cancel", 600).made);
    expect_state(self, 1, ORDER_CANCELLING);
    assert_int_equal(sold_of(self, 7), 0);
    assert_int_equal(orders_active(self->machine.orders), 0);
    assert_true(apply_cancelled(self, 1).made);
    assert_false(apply_cancelled(self, 1).made);
    assert_false(apply_cancelling(self, 1, "cancel", 600).made);
    expect_state(self, 1, ORDER_CANCELLED);
    assert_int_equal(sold_of(self, 7), 0);
}

/* Another key's cancel, a buy's key, another order's cancel key, and an absent order: nothing. */
static void test_a_cancel_that_is_not_allowed_changes_nothing(void **state)
{
    struct fixture *self = *state;

    apply_order(self, "one", 7, 2);
    apply_order(self, "two", 7, 2);
    assert_false(apply_cancelling(self, 1, "two", 600).made);
    assert_false(apply_cancelling(self, 3, "cancel", 600).made);
    expect_state(self, 1, ORDER_ACTIVE);
    assert_true(apply_cancelling(self, 1, "cancel", 600).made);
    assert_false(apply_cancelling(self, 1, "other", 600).made);
    assert_false(apply_cancelling(self, 2, "cancel", 600).made);
    expect_state(self, 2, ORDER_ACTIVE);
    assert_false(apply_cancelled(self, 3).made);
}

/* The stamp of a cancel under way only rises, and only under its own key. */
static void test_the_stamp_of_a_cancel_rises(void **state)
{
    struct fixture *self = *state;
    struct order order;

    apply_order(self, "one", 7, 2);
    apply_cancelling(self, 1, "cancel", 600);
    apply_cancelling(self, 1, "cancel", 900);
    apply_cancelling(self, 1, "cancel", 700);
    apply_cancelling(self, 1, "other", 1000);
    assert_true(orders_by_number(self->machine.orders, 1, &order));
    assert_int_equal(order.cancel_stamp, 900);
    assert_string_equal(order.cancel_key, "cancel");
    order_close(&order);
}

/* A key that is a cancel's does not keep a grant from its order: somebody must hold the stock. */
static void test_a_grant_is_ordered_even_under_a_cancels_key(void **state)
{
    struct fixture *self = *state;

    apply_order(self, "one", 7, 2);
    apply_cancelling(self, 1, "both", 600);
    assert_true(apply_order(self, "both", 8, 1).made);
    assert_int_equal(orders_by_cancel_key(self->machine.orders, "both"), 1);
    assert_int_equal(sold_of(self, 8), 1);
}

/* ---- What is found -------------------------------------------------------------- */

/* A buy finds the order of its key, whatever became of it, and cancels that have its key. */
static void test_a_buy_finds_its_key(void **state)
{
    struct fixture *self = *state;
    struct lookup lookup;

    apply_order(self, "one", 7, 2);
    apply_cancelling(self, 1, "cancel", 600);
    lookup_buy(&lookup, self->machine.orders, "one");
    assert_int_equal(lookup.known.state, SAGA_IS_CANCELLING);
    assert_int_equal(lookup.known.number, 1);
    assert_false(lookup.known.key_used);
    lookup_close(&lookup);
    lookup_buy(&lookup, self->machine.orders, "cancel");
    assert_int_equal(lookup.known.state, SAGA_ABSENT);
    assert_true(lookup.known.key_used);
    lookup_close(&lookup);
    lookup_buy(&lookup, self->machine.orders, "none");
    assert_int_equal(lookup.known.state, SAGA_ABSENT);
    assert_false(lookup.known.key_used);
    lookup_close(&lookup);
}

/* A cancel finds its order, whether it was begun under its key, and other uses of the key. */
static void test_a_cancel_finds_its_order_and_key(void **state)
{
    static const struct {
        const char *key;
        uint64_t number;
        enum saga_state state;
        bool mine, used;
    } cases[] = {
        {"cancel", 1, SAGA_IS_CANCELLED, true, false},
        {"other", 1, SAGA_IS_CANCELLED, false, false},
        {"cancel", 2, SAGA_ACTIVE, false, true},
        {"one", 2, SAGA_ACTIVE, false, true},
        {"other", 2, SAGA_ACTIVE, false, false},
        {"other", 3, SAGA_ABSENT, false, false},
    };
    struct fixture *self = *state;

    apply_order(self, "one", 7, 2);
    apply_order(self, "two", 7, 2);
    apply_cancelling(self, 1, "cancel", 600);
    apply_cancelled(self, 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lookup lookup;

        lookup_cancel(&lookup, self->machine.orders, cases[i].key, cases[i].number);
        assert_int_equal(lookup.known.state, cases[i].state);
        assert_int_equal(lookup.known.mine, cases[i].mine);
        assert_int_equal(lookup.known.key_used, cases[i].used);
        lookup_close(&lookup);
    }
}

static bool take_numbers(void *arg, const struct order *order)
{
    char *text = arg;

    snprintf(text + strlen(text), 8, "%d ", (int)order->number);
    return strlen(text) < 4; /* two of one digit */
}

/* Lists go by number: pages newest first, below a bound; those cancelling oldest first. */
static void test_lists_go_by_number(void **state)
{
    struct fixture *self = *state;
    char key[8], text[64];

    for (int i = 1; i <= 5; i++) {
        snprintf(key, sizeof key, "k%d", i);
        apply_order(self, key, 7, 1);
    }
    apply_cancelling(self, 4, "c4", 1);
    apply_cancelling(self, 2, "c2", 1);
    text[0] = '\0';
    orders_page(self->machine.orders, 0, take_numbers, text);
    assert_string_equal(text, "5 4 ");
    text[0] = '\0';
    orders_page(self->machine.orders, 4, take_numbers, text);
    assert_string_equal(text, "3 2 ");
    text[0] = '\0';
    orders_cancelling(self->machine.orders, take_numbers, text);
    assert_string_equal(text, "2 4 ");
}

/* ---- The stream of changes ------------------------------------------------------- */

/* Versions and numbers as text: "VERSION:NUMBER " of each. */
struct listing {
    char text[256];
    size_t max; /* orders */
    size_t count;
};

static bool listing_visit(void *arg, const struct order *order)
{
    struct listing *self = arg;
    size_t size = strlen(self->text);

    snprintf(self->text + size, sizeof self->text - size, "%d:%d ", (int)order->version,
             (int)order->number);
    return ++self->count < self->max;
}

static void expect_changes(struct fixture *self, uint64_t since, size_t max, const char *expected)
{
    struct listing listing = {.max = max};

    orders_changes(self->machine.orders, since, listing_visit, &listing);
    assert_string_equal(listing.text, expected);
}

/* An order stands at the index of its last change; what changes none leaves no trace. */
static void test_an_order_comes_by_its_last_change(void **state)
{
    struct fixture *self = *state;

    apply_order(self, "one", 7, 2);
    apply_order(self, "two", 7, 2);
    apply_order(self, "one", 7, 2); /* known */
    apply_order(self, "three", 7, 2);
    expect_changes(self, 0, 9, "1:1 2:2 4:3 ");
    apply_cancelling(self, 1, "cancel", 1);
    expect_changes(self, 2, 9, "4:3 5:1 ");
    apply_cancelled(self, 1);
    apply_cancelled(self, 1); /* it is */
    expect_changes(self, 0, 9, "2:2 4:3 6:1 ");
    expect_changes(self, 6, 9, "");
    expect_changes(self, UINT64_MAX, 9, "");
    expect_changes(self, 0, 2, "2:2 4:3 ");
    machine_close(&self->machine);
    open_machine(self);
    expect_changes(self, 2, 9, "4:3 6:1 ");
}

/* ---- Life ------------------------------------------------------------------------ */

/* What was committed is there when the file is opened again, with its index and counters. */
static void test_tables_survive_a_restart_of_the_process(void **state)
{
    struct fixture *self = *state;

    apply_order(self, "one", 7, 2);
    apply_cancelling(self, 1, "cancel", 600);
    apply_order(self, "two", 7, 1);
    machine_close(&self->machine);
    open_machine(self);
    assert_int_equal(self->index, 3);
    assert_int_equal(orders_active(self->machine.orders), 1);
    expect_state(self, 1, ORDER_CANCELLING);
    assert_int_equal(apply_order(self, "three", 7, 1).number, 3);
}

/* All rows of the tables as text. */
static char *dump(const char *path)
{
    static const char sql[] =
        "SELECT group_concat(number || state || key || stamp || hex(content) || hex(granted) ||"
        " created_ms || ifnull(cancel_key, '-') || cancel_stamp || cancelled_ms, '/') ||"
        " (SELECT group_concat(id || ':' || quantity) FROM sold) ||"
        " (SELECT applied || ',' || last_number || ',' || active FROM counters) FROM orders";
    sqlite3_stmt *statement = NULL;
    sqlite3 *db = NULL;
    char *text;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    text = strdup((const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return text;
}

/* A machine that had another past goes on from another one's file: with its orders, counters and
 * index, and nothing of its own. */
static void test_a_machine_goes_on_from_another_ones_file(void **state)
{
    struct fixture *self = *state, other = *self;
    char *error = NULL;

    snprintf(other.path, sizeof other.path, "%s/other", self->directory);
    open_machine(&other);
    for (int i = 0; i < 5; i++)
        apply_order(&other, (const char *[]){"a", "b", "c", "d", "e"}[i], 9, 1);
    apply_order(self, "one", 7, 2);
    apply_order(self, "two", 7, 1);
    apply_cancelling(self, 1, "cancel", 600);

    other.replica.close(&other.machine);
    assert_null(other.machine.orders);
    database_remove(other.path);
    database_copy(self->path, other.path);
    assert_int_equal(other.replica.open(&other.machine, other.path, &error), OK);
    other.index = other.replica.applied(&other.machine);
    assert_int_equal(other.index, 3);
    assert_true(self->replica.digest(&self->machine) == other.replica.digest(&other.machine));
    assert_int_equal(orders_last_number(other.machine.orders), 2);
    assert_int_equal(orders_active(other.machine.orders), 1);
    assert_int_equal(apply_order(&other, "two", 7, 1).number, 2);
    assert_int_equal(apply_order(self, "two", 7, 1).number, 2);
    assert_int_equal(apply_order(&other, "a", 7, 1).number, 3);
    assert_int_equal(apply_order(self, "a", 7, 1).number, 3);
    assert_true(apply_cancelled(&other, 1).made);
    assert_true(apply_cancelled(self, 1).made);
    char *first = dump(self->path), *second = dump(other.path);
    assert_string_equal(first, second);
    assert_true(self->replica.digest(&self->machine) == other.replica.digest(&other.machine));
    free(first);
    free(second);
    machine_close(&other.machine);
    database_remove(other.path);
}

/* Opened with what was counted beforehand, they are not counted again: what is wrong there stays wrong. */
static void test_what_was_counted_beforehand_is_taken(void **state)
{
    struct fixture *self = *state;
    struct replica_machine *machine = &self->replica;
    uint64_t rows = 0;
    char *error = NULL;

    apply_order(self, "one", 7, 1);
    uint64_t digest = machine->digest(machine->self);
    for (uint64_t wrong = 0; wrong <= 1; wrong++) {
        machine->close(machine->self);
        assert_int_equal(machine->count(self->path, &rows, &error), OK);
        machine->counted(machine->self, rows + wrong);
        assert_int_equal(machine->open(machine->self, self->path, &error), OK);
        assert_int_equal(machine->digest(machine->self) == digest, wrong == 0);
    }
}

/* Tables of another version, such as the one before this, are not read: they mean something else. */
static void test_tables_of_another_version_are_refused(void **state)
{
    struct fixture *self = *state;
    struct orders *orders = NULL;
    sqlite3 *db = NULL;
    char *error = NULL;

    machine_close(&self->machine);
    assert_int_equal(sqlite3_open(self->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 1", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(orders_open(self->path, NULL, NULL, &orders, &error), ERR_VERSION);
    assert_non_null(strstr(error, "version 1,"));
    assert_null(orders);
    free(error);
}

/* A file that can't be opened is an error that names it. */
static void test_a_file_that_cannot_be_opened_is_named(void **state)
{
    struct orders *orders = NULL;
    char *error = NULL;
    (void)state;

    assert_int_equal(orders_open("/nonexistent/orders", NULL, NULL, &orders, &error), ERR_STORAGE);
    assert_non_null(strstr(error, "/nonexistent/orders"));
    assert_null(orders);
    free(error);
}

/* Leadership goes through to the service. */
static void test_leadership_is_passed_on(void **state)
{
    struct fixture *self = *state;

    self->replica.lead(&self->machine, true, 5);
    assert_int_equal(self->led, 1);
    self->replica.lead(&self->machine, false, 6);
    assert_int_equal(self->led, 0);
}

static void apply_random(struct fixture *self, unsigned seed)
{
    unsigned state = seed;
    char key[16];

    for (int i = 0; i < 300; i++) {
        state = state * 1103515245u + 12345u;
        unsigned draw = state >> 8;

        snprintf(key, sizeof key, "k%u", draw % 50);
        if (draw % 3 == 0)
            apply_order(self, key, 1 + draw % 4, 1 + draw % 2);
        else if (draw % 3 == 1)
            apply_cancelling(self, 1 + draw % 20, key, draw % 1000);
        else
            apply_cancelled(self, 1 + draw % 20);
    }
}

/* The same entries make the same tables, whatever the batches, also when they are replayed. */
static void test_apply_is_deterministic(void **state)
{
    struct fixture *self = *state;
    char *first, *second;
    uint64_t digest;

    apply_random(self, 42);
    first = dump(self->path);
    digest = self->replica.digest(&self->machine);
    machine_close(&self->machine);
    unlink(self->path);
    open_machine(self);
    assert_int_equal(self->index, 0);
    apply_random(self, 42);
    second = dump(self->path);
    assert_string_equal(first, second);
    assert_true(self->replica.digest(&self->machine) == digest);
    machine_close(&self->machine);
    open_machine(self);
    assert_true(self->replica.digest(&self->machine) == digest);
    free(first);
    free(second);
}

/* ---- JSON -------------------------------------------------------------------------- */

/* An order as it is, and as it was made. */
static void test_an_order_is_rendered_as_it_is_and_as_it_was_made(void **state)
{
    struct fixture *self = *state;
    struct order order;
    json_t *now, *made;
    char *text;

    apply_order(self, "one", 7, 2);
    apply_cancelling(self, 1, "cancel", 600);
    apply_cancelled(self, 1);
    assert_true(orders_by_number(self->machine.orders, 1, &order));
    now = render_order(&order);
    made = render_order_made(&order);
    text = json_dumps(made, JSON_COMPACT);
    assert_string_equal(text, "{\"order_number\":1,\"state\":\"active\",\"lines\":[{\"id\":7,"
                              "\"title\":\"Emma\",\"quantity\":2,\"price_cents\":150,"
                              "\"stock_left\":4,\"version\":9}],\"total_cents\":300,"
                              "\"currency\":\"USD\",\"created_at\":\"1970-01-01T00:16:40.001Z\","
                              "\"cancelled_at\":null}");
    assert_string_equal(json_string_value(json_object_get(now, "state")), "cancelled");
    assert_string_equal(json_string_value(json_object_get(now, "cancelled_at")),
                        "1970-01-01T00:16:40.003Z");
    free(text);
    json_decref(now);
    json_decref(made);
    order_close(&order);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_an_order_is_made_once_for_a_key),
        T(test_an_order_of_other_content_is_refused),
        T(test_a_cancel_goes_on_once),
        T(test_a_cancel_that_is_not_allowed_changes_nothing),
        T(test_the_stamp_of_a_cancel_rises),
        T(test_a_grant_is_ordered_even_under_a_cancels_key),
        T(test_a_buy_finds_its_key),
        T(test_a_cancel_finds_its_order_and_key),
        T(test_lists_go_by_number),
        T(test_tables_survive_a_restart_of_the_process),
        T(test_a_machine_goes_on_from_another_ones_file),
        T(test_what_was_counted_beforehand_is_taken),
        T(test_tables_of_another_version_are_refused),
        T(test_a_file_that_cannot_be_opened_is_named),
        T(test_leadership_is_passed_on),
        T(test_apply_is_deterministic),
        T(test_an_order_comes_by_its_last_change),
        T(test_an_order_is_rendered_as_it_is_and_as_it_was_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
