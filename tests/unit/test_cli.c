/* What every verb shares: exit statuses and money.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/bus/err.h"
#include "client/cli/cli.h"

/* Every code of the table has a status, and it is the one that scripts are told of. */
static void test_every_code_has_its_exit_status(void **state)
{
    static const struct {
        int code;
        int status;
    } cases[] = {
        {OK, EXIT_DONE},
        {ERR_NOT_FOUND, EXIT_REFUSED},
        {ERR_OUT_OF_STOCK, EXIT_REFUSED},
        {ERR_KEY_REUSED, EXIT_REFUSED},
        {ERR_INVALID, EXIT_REFUSED},
        {ERR_STAMP_OLD, EXIT_REFUSED},
        {ERR_TOO_LARGE, EXIT_REFUSED},
        {ERR_NO_BROKER, EXIT_UNANSWERED},
        {ERR_NO_SERVICE, EXIT_UNANSWERED},
        {ERR_TIMEOUT, EXIT_UNANSWERED},
        {ERR_UNKNOWN, EXIT_UNANSWERED},
        {ERR_WORKER_LOST, EXIT_UNANSWERED},
        {ERR_INTERNAL, EXIT_UNANSWERED},
        {ERR_DISK_LOW, EXIT_UNANSWERED},
        {4242, EXIT_UNANSWERED}, /* of a newer peer: nothing may be concluded from it */
        {ERR_FORBIDDEN, EXIT_FORBIDDEN},
        {ERR_UNAUTHORIZED, EXIT_FORBIDDEN},
        {ERR_REFUSED, EXIT_FORBIDDEN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(cli_exit_of(cases[i].code), cases[i].status);
}

/* Cents are two digits, whatever the amount and its sign. */
static void test_money_is_exact(void **state)
{
    char text[CLI_MONEY_BYTES];
    (void)state;
    assert_string_equal(cli_money("USD", 1999, text), "USD 19.99");
    assert_string_equal(cli_money("EUR", 5, text), "EUR 0.05");
    assert_string_equal(cli_money("USD", 0, text), "USD 0.00");
    assert_string_equal(cli_money("USD", 100000000000000, text), "USD 1000000000000.00");
    assert_string_equal(cli_money("USD", -150, text), "USD -1.50");
    assert_string_equal(cli_money("USD", INT64_MIN, text), "USD -92233720368547758.08");
    assert_string_equal(cli_money("a currency of too many letters", 1, text),
                        "a currency of to 0.01");
}

/* What an answer lacks, or has in another type, reads as nothing. */
static void test_missing_members_read_as_nothing(void **state)
{
    json_t *object = json_pack("{ss si}", "title", "T", "stock", 5);
    (void)state;
    assert_string_equal(cli_text(object, "title"), "T");
    assert_string_equal(cli_text(object, "stock"), "");
    assert_string_equal(cli_text(object, "none"), "");
    assert_string_equal(cli_text(NULL, "none"), "");
    assert_int_equal(cli_integer(object, "stock"), 5);
    assert_int_equal(cli_integer(object, "title"), 0);
    assert_int_equal(cli_integer(NULL, "stock"), 0);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_has_its_exit_status),
        cmocka_unit_test(test_money_is_exact),
        cmocka_unit_test(test_missing_members_read_as_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
