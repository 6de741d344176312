/* The bytes of the catalog's commands.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* link: catalog */
#include "tests/unit/catalog_driver.h"

/* One request of each kind, with every field. */
static const char *const requests[] = {
    "{'op':'item_add','key':'k','stamp':5,'id':7,'title':'T','price_cents':1,'authors':'A; B',"
    "'topic':'t','year':-800,'isbn':'9780000000000','currency':'EUR','stock':3}",
    "{'op':'item_add','key':'k','stamp':0,'id':9007199254740991,'title':'T','price_cents':0}",
    "{'op':'item_edit','key':'k','stamp':5,'id':7,'version':3,'title':'T','authors':'','topic':'',"
    "'year':null,'isbn':'','price_cents':9,'restock':{'threshold':0,'amount':1,'period_ms':0}}",
    "{'op':'item_edit','key':'k','stamp':5,'id':7,'restock':null}",
    "{'op':'item_remove','key':'k','stamp':5,'id':7,'version':3}",
    "{'op':'stock','key':'k','stamp':5,'id':7,'change':-1000000,'reason':'lost'}",
    "{'op':'import','key':'k','stamp':5,'rows':[{'id':2,'title':'T','stock':1},"
    "{'id':1,'title':'U','price_cents':1,'year':null}],'default_price_cents':4,"
    "'default_stock':5}",
    "{'op':'reserve','key':'k','stamp':5,'lines':[{'id':2,'quantity':1},{'id':1,'quantity':2},"
    "{'id':2,'quantity':3}]}",
    "{'op':'undo','key':'k','stamp':5,'lines':[{'id':2,'quantity':1}]}",
    "{'op':'settle','keys':['a','b']}",
    "{'op':'close','keys':['a']}",
};

static void encode_request(const char *text, struct bytes_writer *bytes)
{
    char copy[1024];
    struct command command;
    size_t size = strlen(text);
    for (size_t i = 0; i <= size; i++)
        copy[i] = text[i] == '\'' ? '"' : text[i];
    json_t *json = json_loads(copy, 0, NULL);
    assert_non_null(json);
    assert_null(request_read(json, &command));
    command_encode(&command, bytes);
    command_close(&command);
    json_decref(json);
}

/* Decoded and encoded again, each command is the same bytes. */
static void test_a_command_comes_back_as_it_went(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct bytes_writer bytes = {0}, again = {0};
        struct command command;
        encode_request(requests[i], &bytes);
        assert_int_equal(command_decode(&command, bytes.data, bytes.size), OK);
        command_encode(&command, &again);
        assert_int_equal(again.size, bytes.size);
        assert_memory_equal(again.data, bytes.data, bytes.size);
        command_close(&command);
        bytes_writer_close(&bytes);
        bytes_writer_close(&again);
    }
}

/* What the leader submits by itself comes back as well. */
static void test_the_leaders_own_commands_come_back(void **state)
{
    int64_t ids[] = {1, 5, ITEM_ID_MAX};
    const struct command restock = {.op = COMMAND_RESTOCK, .count = 3, .ids = ids};
    struct bytes_writer bytes = {0};
    struct command command;
    (void)state;

    command_encode(&restock, &bytes);
    assert_int_equal(command_decode(&command, bytes.data, bytes.size), OK);
    assert_int_equal(command.op, COMMAND_RESTOCK);
    assert_int_equal(command.count, 3);
    assert_memory_equal(command.ids, ids, sizeof ids);
    command_close(&command);
    bytes_writer_close(&bytes);
}

static void expect_session_command(enum command_op op, uint64_t session, const uint8_t *drawn,
                                   size_t size)
{
    const struct command sent = {.op = op, .session = session};
    struct bytes_writer bytes = {0};
    struct command command;

    command_encode(&sent, &bytes);
    assert_int_equal(bytes.size, size);
    assert_memory_equal(bytes.data, drawn, size);
    assert_int_equal(command_decode(&command, bytes.data, bytes.size), OK);
    assert_int_equal(command.op, op);
    assert_true(command.session == session);
    command_close(&command);
    bytes_writer_close(&bytes);
}

/* So do those of leased caches, as they are drawn; there is no session 0, and none has a key. */
static void test_the_commands_of_sessions_come_back(void **state)
{
    static const uint8_t open[] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12};
    uint8_t close[] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13, 0, 0, 0, 0, 0, 0, 1, 2};
    static const uint8_t keyed[] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 'k', 12};
    struct command command;
    (void)state;

    expect_session_command(COMMAND_SESSION_OPEN, 0, open, sizeof open);
    expect_session_command(COMMAND_SESSION_CLOSE, 258, close, sizeof close);
    assert_int_equal(command_decode(&command, close, sizeof close - 1), ERR_CORRUPT);
    memset(close + 14, 0, 8);
    assert_int_equal(command_decode(&command, close, sizeof close), ERR_CORRUPT);
    memset(close + 14, 0xff, 8);
    assert_int_equal(command_decode(&command, close, sizeof close), ERR_CORRUPT);
    assert_int_equal(command_decode(&command, keyed, sizeof keyed), ERR_CORRUPT);
}

/* The first bytes of a stored command never change: they are on every replica's disk. */
static void test_the_format_is_as_drawn(void **state)
{
    static const uint8_t drawn[] = {1,                                              /* version */
                                    0,    0,    0,    0,    0,    0,    0,    5,    /* stamp */
                                    0,    0,    0,    1,    'k',                    /* key */
                                    4,                                              /* stock */
                                    0,    0,    0,    0,    0,    0,    0,    7,    /* id */
                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, /* change */
                                    0,    0,    0,    1,    'r'};                   /* reason */
    struct bytes_writer bytes = {0};
    (void)state;

    encode_request("{'op':'stock','key':'k','stamp':5,'id':7,'change':-2,'reason':'r'}", &bytes);
    assert_int_equal(bytes.size, sizeof drawn);
    assert_memory_equal(bytes.data, drawn, sizeof drawn);
    bytes_writer_close(&bytes);
}

/* The same meaning is the same content: lines in another order or split, defaults said or not. */
static void test_content_is_canonical(void **state)
{
    static const char *const pairs[][2] = {
        {"{'op':'reserve','key':'k','stamp':5,'lines':[{'id':2,'quantity':4},{'id':1,"
         "'quantity':2}]}",
         "{'op':'reserve','key':'k','stamp':9,'lines':[{'id':1,'quantity':1},{'id':2,"
         "'quantity':4},{'id':1,'quantity':1}]}"},
        {"{'op':'item_add','key':'k','stamp':0,'id':1,'title':'T','price_cents':5}",
         "{'stamp':4,'stock':0,'isbn':'','year':null,'topic':'','authors':'','currency':'USD',"
         "'op':'item_add','key':'k','id':1,'title':'T','price_cents':5}"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct bytes_writer one = {0}, other = {0};
        struct command a, b;
        encode_request(pairs[i][0], &one);
        encode_request(pairs[i][1], &other);
        assert_int_equal(command_decode(&a, one.data, one.size), OK);
        assert_int_equal(command_decode(&b, other.data, other.size), OK);
        assert_int_equal(a.content_size, b.content_size);
        assert_memory_equal(a.content, b.content, a.content_size);
        command_close(&a);
        command_close(&b);
        bytes_writer_close(&one);
        bytes_writer_close(&other);
    }
}

/* Another version of the format is told apart from damage. */
static void test_an_unknown_version_is_named(void **state)
{
    struct bytes_writer bytes = {0};
    struct command command;
    (void)state;

    encode_request(requests[0], &bytes);
    bytes.data[0] = 2;
    assert_int_equal(command_decode(&command, bytes.data, bytes.size), ERR_VERSION);
    assert_int_equal(command_decode(&command, bytes.data, 0), ERR_CORRUPT);
    bytes_writer_close(&bytes);
}

/* Whatever is cut off or has something left over is refused. */
static void test_a_cut_or_longer_command_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct bytes_writer bytes = {0};
        struct command command;
        encode_request(requests[i], &bytes);
        for (size_t size = 1; size < bytes.size; size++) {
            /* A copy of its own, so that a sanitizer sees a read past the end. */
            uint8_t *cut = (uint8_t *)alloc_copy(bytes.data, size);
            uint8_t *exact = alloc_zero(size);
            memcpy(exact, cut, size);
            assert_int_equal(command_decode(&command, exact, size), ERR_CORRUPT);
            free(cut);
            free(exact);
        }
        bytes_put_u8(&bytes, 0);
        assert_int_equal(command_decode(&command, bytes.data, bytes.size), ERR_CORRUPT);
        bytes_writer_close(&bytes);
    }
}

/* A decoder that accepts changed bytes has read a command that encodes to them: no value is taken
 * that the leader could not have written. */
static void test_changed_bytes_are_refused_or_mean_themselves(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct bytes_writer bytes = {0};
        encode_request(requests[i], &bytes);
        for (size_t at = 0; at < bytes.size; at++) {
            for (int bit = 0; bit < 8; bit++) {
                struct bytes_writer again = {0};
                struct command command;
                bytes.data[at] ^= (uint8_t)(1 << bit);
                if (command_decode(&command, bytes.data, bytes.size) == OK) {
                    command_encode(&command, &again);
                    assert_int_equal(again.size, bytes.size);
                    assert_memory_equal(again.data, bytes.data, bytes.size);
                    command_close(&command);
                }
                bytes.data[at] ^= (uint8_t)(1 << bit);
                bytes_writer_close(&again);
            }
        }
        bytes_writer_close(&bytes);
    }
}

/* An import that names an id twice can't be in the log. */
static void test_a_doubled_row_is_refused(void **state)
{
    struct command_item rows[2] = {{.id = 3, .fields = COMMAND_TITLE, .title = TEXT("T")},
                                   {.id = 3, .fields = COMMAND_TITLE, .title = TEXT("U")}};
    struct command import = {.op = COMMAND_IMPORT, .key = TEXT("k"), .count = 2, .rows = rows};
    struct bytes_writer bytes = {0};
    struct command command;
    (void)state;

    command_encode(&import, &bytes);
    assert_int_equal(command_decode(&command, bytes.data, bytes.size), ERR_CORRUPT);
    rows[1].id = 4;
    bytes.size = 0;
    command_encode(&import, &bytes);
    assert_int_equal(command_decode(&command, bytes.data, bytes.size), OK);
    command_close(&command);
    bytes_writer_close(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_command_comes_back_as_it_went),
        cmocka_unit_test(test_the_leaders_own_commands_come_back),
        cmocka_unit_test(test_the_commands_of_sessions_come_back),
        cmocka_unit_test(test_the_format_is_as_drawn),
        cmocka_unit_test(test_content_is_canonical),
        cmocka_unit_test(test_an_unknown_version_is_named),
        cmocka_unit_test(test_a_cut_or_longer_command_is_refused),
        cmocka_unit_test(test_changed_bytes_are_refused_or_mean_themselves),
        cmocka_unit_test(test_a_doubled_row_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
