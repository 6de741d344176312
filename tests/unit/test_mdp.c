/* Majordomo 0.1 and 0.2 as a broker reads and writes them.
 *
 * Messages are written here as one text: frames parted by '|', a backslash before two hexadecimal
 * digits for a byte ("|MDPW01|\01|echo" begins with an empty frame).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/err.h"
#include "broker/bus/mdp.h"

#define ADDRESS "00000000000000ff"

/* Append a frame written in the notation above, up to @end. */
static void add_frame(struct message *message, const char *text, const char *end)
{
    uint8_t bytes[256];
    size_t size = 0;
    while (text < end) {
        if (*text == '\\') {
            const char digits[3] = {text[1], text[2], '\0'};
            bytes[size++] = (uint8_t)strtoul(digits, NULL, 16);
            text += 3;
        } else {
            bytes[size++] = (uint8_t)*text++;
        }
    }
    message_add_copy(message, bytes, size);
}

static void message_of(struct message *message, const char *text)
{
    message_init(message);
    for (const char *end = strchr(text, '|'); end != NULL; end = strchr(text, '|')) {
        add_frame(message, text, end);
        text = end + 1;
    }
    add_frame(message, text, text + strlen(text));
}

static void assert_message_equal(struct message *message, const char *text)
{
    struct message expected;
    message_of(&expected, text);
    assert_int_equal(message->count, expected.count);
    for (size_t i = 0; i < expected.count; i++)
        assert_true(frame_equals(&message->frames[i], frame_data(&expected.frames[i]),
                                 frame_size(&expected.frames[i])));
    message_close(&expected);
    message_close(message);
}

static int read_text(const char *text, struct mdp_message *read)
{
    struct message message;
    message_of(&message, text);
    int rc = mdp_read(&message, read);
    message_close(&message);
    return rc;
}

/* Each command of each version is recognised by its own byte, with and without the empty frame. */
static void test_every_command_is_read_in_both_versions(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum mdp_version version;
        bool from_worker;
        enum mdp_command command;
        size_t service, body;
    } rows[] = {
        {"|MDPC01|echo|a|b", MDP_01, false, MDP_REQUEST, 2, 3},
        {"MDPC01|echo|a", MDP_01, false, MDP_REQUEST, 1, 2},
        {"MDPC02|\\01|echo|a|b", MDP_02, false, MDP_REQUEST, 2, 3},
        {"|MDPC02|\\01|echo|", MDP_02, false, MDP_REQUEST, 3, 4},
        {"|MDPW01|\\01|echo", MDP_01, true, MDP_READY, 3, 4},
        {"|MDPW01|\\03|" ADDRESS "||a", MDP_01, true, MDP_FINAL, 0, 5},
        {"|MDPW01|\\04", MDP_01, true, MDP_HEARTBEAT, 0, 3},
        {"|MDPW01|\\05", MDP_01, true, MDP_DISCONNECT, 0, 3},
        {"MDPW02|\\01|echo", MDP_02, true, MDP_READY, 2, 3},
        {"MDPW02|\\03|" ADDRESS "||a", MDP_02, true, MDP_PARTIAL, 0, 4},
        {"|MDPW02|\\04|" ADDRESS "||a", MDP_02, true, MDP_FINAL, 0, 5},
        {"MDPW02|\\05", MDP_02, true, MDP_HEARTBEAT, 0, 2},
        {"MDPW02|\\06", MDP_02, true, MDP_DISCONNECT, 0, 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mdp_message read;
        assert_int_equal(read_text(rows[i].text, &read), 0);
        assert_int_equal(read.dialect.version, rows[i].version);
        assert_int_equal(read.dialect.empty_first, rows[i].text[0] == '|');
        assert_int_equal(read.from_worker, rows[i].from_worker);
        assert_int_equal(read.command, rows[i].command);
        assert_int_equal(read.service, rows[i].service);
        assert_int_equal(read.body, rows[i].body);
    }
}

/* Whatever is cut off, has an unknown byte or frames too many is refused and writes nothing. */
static void test_what_is_malformed_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "|",
        "x",
        "|MDPC01",
        "|MDPC01|echo",
        "MDPC02",
        "MDPC02|\\01",
        "MDPC02|\\01|echo",
        "MDPC02|\\02|echo|a",
        "MDPC02|\\01\\01|echo|a",
        "MDPC03|\\01|echo|a",
        "||MDPC01|echo|a",
        "|MDPW01",
        "|MDPW01|",
        "|MDPW01|\\01",
        "|MDPW01|\\01|echo|more",
        "|MDPW01|\\02|" ADDRESS "||a",
        "|MDPW01|\\03",
        "|MDPW01|\\03|" ADDRESS,
        "|MDPW01|\\04|more",
        "|MDPW01|\\06",
        "|MDPW01|\\ff|" ADDRESS "||a",
        "MDPW02|\\07",
        "MDPW02|\\00",
        "MDPW02|\\04|" ADDRESS,
        "MDPW01x|\\04",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct mdp_message read = {.body = 99};
        assert_int_equal(read_text(texts[i], &read), ERR_MALFORMED);
        assert_int_equal(read.body, 99);
    }
    struct message nothing;
    struct mdp_message read;
    message_init(&nothing);
    assert_int_equal(mdp_read(&nothing, &read), ERR_MALFORMED);
}

/* The delimiter after a reply's address may be left out; a lone empty frame is then the body. */
static void test_the_delimiter_of_a_reply_is_optional(void **state)
{
    (void)state;
    struct mdp_message read;
    assert_int_equal(read_text("|MDPW01|\\03|" ADDRESS "||a|b", &read), 0);
    assert_int_equal(read.body, 5);
    assert_int_equal(read_text("|MDPW01|\\03|" ADDRESS "|a|b", &read), 0);
    assert_int_equal(read.body, 4);
    assert_int_equal(read_text("|MDPW01|\\03|" ADDRESS "|", &read), 0);
    assert_int_equal(read.body, 4);
    assert_int_equal(read_text("|MDPW01|\\03|" ADDRESS "||", &read), 0);
    assert_int_equal(read.body, 5);
}

/* An address comes back as the number it was made of; another form is known to be not ours. */
static void test_an_address_comes_back_as_it_was_written(void **state)
{
    (void)state;
    static const uint64_t addresses[] = {0, 1, 255, 0x0123456789abcdef, UINT64_MAX};
    const struct mdp_dialect dialect = {MDP_02, false};
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        struct message message;
        mdp_write_request(&message, dialect, addresses[i]);
        char text[64];
        snprintf(text, sizeof text, "MDPW02|\\04|%.16s||a",
                 (const char *)frame_data(&message.frames[2]));
        struct mdp_message read;
        assert_int_equal(read_text(text, &read), 0);
        assert_true(read.known);
        assert_int_equal(read.address, addresses[i]);
        message_close(&message);
    }
    static const char *const strangers[] = {"", "x", "00000000000000fF", "00000000000000ff0"};
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        char text[64];
        struct mdp_message read;
        snprintf(text, sizeof text, "MDPW02|\\04|%s||a", strangers[i]);
        assert_int_equal(read_text(text, &read), 0);
        assert_false(read.known);
    }
}

/* What is written is what the two documents say, with the empty frame for who sent one. */
static void test_messages_are_written_as_the_documents_say(void **state)
{
    (void)state;
    const struct mdp_dialect v1 = {MDP_01, true}, v2 = {MDP_02, false}, v2_empty = {MDP_02, true};
    struct message message;
    struct frame service;

    mdp_write_request(&message, v1, 255);
    message_add_copy(&message, "a", 1);
    assert_message_equal(&message, "|MDPW01|\\02|" ADDRESS "||a");
    mdp_write_request(&message, v2, 255);
    message_add_copy(&message, "a", 1);
    assert_message_equal(&message, "MDPW02|\\02|" ADDRESS "||a");

    mdp_write_control(&message, v1, MDP_HEARTBEAT);
    assert_message_equal(&message, "|MDPW01|\\04");
    mdp_write_control(&message, v1, MDP_DISCONNECT);
    assert_message_equal(&message, "|MDPW01|\\05");
    mdp_write_control(&message, v2, MDP_HEARTBEAT);
    assert_message_equal(&message, "MDPW02|\\05");
    mdp_write_control(&message, v2_empty, MDP_DISCONNECT);
    assert_message_equal(&message, "|MDPW02|\\06");

    frame_init_copy(&service, "echo", 4);
    mdp_write_reply(&message, v1, MDP_FINAL, &service);
    assert_message_equal(&message, "|MDPC01|echo");
    frame_init_copy(&service, "echo", 4);
    mdp_write_reply(&message, v2, MDP_FINAL, &service);
    assert_message_equal(&message, "MDPC02|\\03|echo");
    frame_init_copy(&service, "echo", 4);
    mdp_write_reply(&message, v2_empty, MDP_PARTIAL, &service);
    assert_message_equal(&message, "|MDPC02|\\02|echo");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_command_is_read_in_both_versions),
        cmocka_unit_test(test_what_is_malformed_is_refused),
        cmocka_unit_test(test_the_delimiter_of_a_reply_is_optional),
        cmocka_unit_test(test_an_address_comes_back_as_it_was_written),
        cmocka_unit_test(test_messages_are_written_as_the_documents_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
