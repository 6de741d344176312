/* The commands of the order log as bytes, and what they are made of.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/order/command.h"
#include "services/order/sale.h"

static struct grant grant_of_two_lines(void)
{
    struct grant grant = {.currency = "USD", .count = 2};

    grant.lines[0] = (struct grant_line){.id = 3,
                                         .quantity = 2,
                                         .price_cents = 1999,
                                         .stock_left = 10,
                                         .version = 345,
                                         .title = alloc_copy("The Odyssey", 11)};
    grant.lines[1] = (struct grant_line){.id = 8,
                                         .quantity = 1,
                                         .price_cents = 5,
                                         .stock_left = 0,
                                         .version = 1,
                                         .title = alloc_copy("", 0)};
    return grant;
}

/* The bytes of an ORDER for that grant. */
static void write_order(struct bytes_writer *writer, const char *key, struct grant *grant)
{
    struct bytes_writer content = {0}, granted = {0};
    struct basket basket;

    grant_basket(grant, &basket);
    basket_write(&basket, &content);
    grant_write(grant, &granted);
    order_command_write_order(writer, key, 77, content.data, content.size, granted.data,
                              granted.size);
    bytes_writer_close(&content);
    bytes_writer_close(&granted);
}

/* Lines of one item are summed, and all sorted, so that what means the same is the same bytes. */
static void test_a_basket_is_summed_and_sorted(void **state)
{
    struct basket basket = {3, {{8, 1}, {3, 2}, {8, 4}}};
    (void)state;

    assert_int_equal(basket_normalise(&basket), OK);
    assert_int_equal(basket.count, 2);
    assert_int_equal(basket.lines[0].id, 3);
    assert_int_equal(basket.lines[0].quantity, 2);
    assert_int_equal(basket.lines[1].id, 8);
    assert_int_equal(basket.lines[1].quantity, 5);
}

/* Ids and quantities, sums too, have their ranges. */
static void test_a_basket_out_of_range_is_refused(void **state)
{
    static const struct basket baskets[] = {
        {0, {{0, 0}}},
        {1, {{0, 1}}},
        {1, {{ITEM_ID_MAX + 1, 1}}},
        {1, {{1, 0}}},
        {1, {{1, -5}}},
        {1, {{1, QUANTITY_MAX + 1}}},
        {2, {{1, QUANTITY_MAX}, {1, 1}}},
    };
    (void)state;

    for (size_t i = 0; i < sizeof baskets / sizeof baskets[0]; i++) {
        struct basket basket = baskets[i];

        assert_int_equal(basket_normalise(&basket), ERR_INVALID);
    }
}

/* An ORDER comes back as it was written. */
static void test_an_order_survives_its_bytes(void **state)
{
    struct grant grant = grant_of_two_lines(), read;
    struct bytes_writer writer = {0};
    struct bytes_reader reader;
    struct order_command command;
    (void)state;

    write_order(&writer, "a-key", &grant);
    assert_int_equal(order_command_read(&command, writer.data, writer.size), OK);
    assert_int_equal(command.kind, COMMAND_ORDER);
    assert_string_equal(command.key, "a-key");
    assert_int_equal(command.stamp, 77);
    assert_int_equal(command.basket.count, 2);
    assert_int_equal(command.basket.lines[1].id, 8);
    bytes_reader_init(&reader, command.grant, command.grant_size);
    grant_read(&read, &reader);
    assert_true(bytes_reader_done(&reader));
    assert_string_equal(read.currency, "USD");
    assert_int_equal(read.total_cents, 2 * 1999 + 5);
    assert_string_equal(read.lines[0].title, "The Odyssey");
    assert_int_equal(read.lines[0].stock_left, 10);
    assert_int_equal(read.lines[0].version, 345);
    grant_close(&read);
    grant_close(&grant);
    order_command_close(&command);
    bytes_writer_close(&writer);
}

/* So do the commands of a cancel. */
static void test_a_cancel_survives_its_bytes(void **state)
{
    struct bytes_writer writer = {0};
    struct order_command command;
    (void)state;

    order_command_write_cancelling(&writer, 17, "cancel", 5);
    assert_int_equal(order_command_read(&command, writer.data, writer.size), OK);
    assert_int_equal(command.kind, COMMAND_CANCELLING);
    assert_int_equal(command.number, 17);
    assert_string_equal(command.key, "cancel");
    assert_int_equal(command.stamp, 5);
    order_command_close(&command);
    bytes_writer_close(&writer);
    order_command_write_cancelled(&writer, 18);
    assert_int_equal(order_command_read(&command, writer.data, writer.size), OK);
    assert_int_equal(command.kind, COMMAND_CANCELLED);
    assert_int_equal(command.number, 18);
    order_command_close(&command);
    bytes_writer_close(&writer);
}

/* Cut off anywhere, or with a byte left over, a command is refused. */
static void test_a_cut_command_is_refused(void **state)
{
    struct grant grant = grant_of_two_lines();
    struct bytes_writer writer = {0};
    struct order_command command;
    (void)state;

    write_order(&writer, "a-key", &grant);
    for (size_t size = 0; size < writer.size; size++) {
        uint8_t *cut = (uint8_t *)alloc_copy(writer.data, size); /* so that reading on is seen */

        assert_int_equal(order_command_read(&command, cut, size), ERR_CORRUPT);
        order_command_close(&command);
        free(cut);
    }
    bytes_put_u8(&writer, 0);
    assert_int_equal(order_command_read(&command, writer.data, writer.size), ERR_CORRUPT);
    order_command_close(&command);
    grant_close(&grant);
    bytes_writer_close(&writer);
}

/* Any changed byte is refused or read as another command that is within all bounds; nothing else
 * happens (the sanitizers watch). */
static void test_a_changed_command_does_no_harm(void **state)
{
    struct grant grant = grant_of_two_lines();
    struct bytes_writer writer = {0};
    (void)state;

    write_order(&writer, "a-key", &grant);
    for (size_t at = 0; at < writer.size; at++) {
        uint8_t was = writer.data[at];

        for (int value = 0; value < 256; value++) {
            struct order_command command;

            writer.data[at] = (uint8_t)value;
            if (order_command_read(&command, writer.data, writer.size) == OK)
                assert_true(command.basket.count >= 1 && command.stamp >= 0);
            order_command_close(&command);
        }
        writer.data[at] = was;
    }
    grant_close(&grant);
    bytes_writer_close(&writer);
}

/* A version or kind that is not known is told from damage. */
static void test_an_unknown_version_is_named(void **state)
{
    struct bytes_writer writer = {0};
    struct order_command command;
    (void)state;

    order_command_write_cancelled(&writer, 1);
    writer.data[0] = 2;
    assert_int_equal(order_command_read(&command, writer.data, writer.size), ERR_VERSION);
    writer.data[0] = 1;
    writer.data[1] = 9;
    assert_int_equal(order_command_read(&command, writer.data, writer.size), ERR_VERSION);
    bytes_writer_close(&writer);
}

/* A grant of other lines than were asked for is no grant of this buy. */
static void test_a_grant_of_other_lines_is_refused(void **state)
{
    struct grant grant = grant_of_two_lines();
    struct bytes_writer writer = {0}, content = {0}, granted = {0};
    struct order_command command;
    struct basket basket;
    (void)state;

    grant_basket(&grant, &basket);
    basket.lines[0].quantity++;
    basket_write(&basket, &content);
    grant_write(&grant, &granted);
    order_command_write_order(&writer, "key", 1, content.data, content.size, granted.data,
                              granted.size);
    assert_int_equal(order_command_read(&command, writer.data, writer.size), ERR_CORRUPT);
    order_command_close(&command);
    grant_close(&grant);
    bytes_writer_close(&writer);
    bytes_writer_close(&content);
    bytes_writer_close(&granted);
}

/* The largest order there can be fits an entry of the log, and totals don't overflow. */
static void test_the_largest_order_fits_an_entry(void **state)
{
    struct grant grant = {.currency = "USD", .count = ORDER_LINES_MAX};
    struct bytes_writer writer = {0};
    struct order_command command;
    char title[TITLE_BYTES_MAX], key[KEY_BYTES_MAX + 1] = {0};
    (void)state;

    memset(title, 't', sizeof title);
    memset(key, 'k', KEY_BYTES_MAX);
    for (size_t i = 0; i < grant.count; i++)
        grant.lines[i] = (struct grant_line){.id = (int64_t)i + 1,
                                             .quantity = QUANTITY_MAX,
                                             .price_cents = 1000,
                                             .stock_left = STOCK_MAX,
                                             .version = INT64_MAX,
                                             .title = alloc_copy(title, sizeof title)};
    write_order(&writer, key, &grant);
    assert_true(writer.size <= ENTRY_BYTES_MAX);
    assert_int_equal(order_command_read(&command, writer.data, writer.size), OK);
    order_command_close(&command);
    for (size_t i = 0; i < grant.count; i++)
        grant.lines[i].price_cents = PRICE_CENTS_MAX;
    assert_int_equal(grant_check(&grant), ERR_INVALID); /* above TOTAL_CENTS_MAX */
    grant_close(&grant);
    bytes_writer_close(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_basket_is_summed_and_sorted),
        cmocka_unit_test(test_a_basket_out_of_range_is_refused),
        cmocka_unit_test(test_an_order_survives_its_bytes),
        cmocka_unit_test(test_a_cancel_survives_its_bytes),
        cmocka_unit_test(test_a_cut_command_is_refused),
        cmocka_unit_test(test_a_changed_command_does_no_harm),
        cmocka_unit_test(test_an_unknown_version_is_named),
        cmocka_unit_test(test_a_grant_of_other_lines_is_refused),
        cmocka_unit_test(test_the_largest_order_fits_an_entry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
