/* The extension's messages: what is written is read back, and what is damaged is refused.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"

static struct pack_record a_request(uint64_t correlation, const char *service, const char *body)
{
    return (struct pack_record){
        .command = PACK_REQUEST,
        .flags = PACK_REPLAY_SAFE,
        .number = 30000,
        .correlation = correlation,
        .attempt = 1,
        .service = service,
        .service_len = strlen(service),
        .body = (const uint8_t *)body,
        .body_len = strlen(body),
    };
}

/* A message of one head frame, and of a body frame when there is @body. */
static void a_message(struct message *message, const void *head, size_t head_size, const char *body)
{
    message_init(message);
    message_add_copy(message, head, head_size);
    if (body != NULL)
        message_add_copy(message, body, strlen(body));
}

/* Read @message, which is closed. */
static int read_code(struct message *message)
{
    struct pack_record records[BATCH_COUNT_MAX];
    size_t count = 4711;
    int code = pack_read(message, 'C', records, &count);
    if (code != 0)
        assert_int_equal(count, 4711);
    message_close(message);
    return code;
}

/* Every byte of a message is where the drawing in the header says. */
static void test_a_request_is_written_byte_by_byte_as_drawn(void **state)
{
    static const uint8_t head[] = {
        'P', 'Y', 'G',  'M',  'Y', '1', 'C', 1, /* magic, side, count */
        3,   1,   0,    0,                      /* REQUEST, REPLAY_SAFE, no status */
        0,   0,   0x75, 0x30,                   /* 30,000 ms */
        1,   2,   3,    4,    5,   6,   7,   8, /* correlation */
        0,   1,   0,    7,    0,   0,   0,   2, /* attempt, lengths of name and body */
        'c', 'a', 't',  'a',  'l', 'o', 'g',
    };
    struct pack_record record = a_request(0x0102030405060708, "catalog", "{}");
    struct message message;

    (void)state;
    pack_write(&message, 'C', &record, 1);
    assert_int_equal(message.count, 2);
    assert_int_equal(frame_size(&message.frames[0]), sizeof head);
    assert_memory_equal(frame_data(&message.frames[0]), head, sizeof head);
    assert_true(frame_equals(&message.frames[1], "{}", 2));
    message_close(&message);
}

/* A full batch comes back record by record, each with its own body, empty ones among them. */
static void test_a_full_batch_is_read_back_as_it_was_written(void **state)
{
    struct pack_record out[BATCH_COUNT_MAX], in[BATCH_COUNT_MAX];
    char bodies[BATCH_COUNT_MAX][16];
    struct message message;
    size_t count;

    (void)state;
    for (size_t i = 0; i < BATCH_COUNT_MAX; i++) {
        bodies[i][0] = '\0';
        if (i % 3 != 0)
            snprintf(bodies[i], sizeof bodies[i], "body %zu", i);
        out[i] = a_request(UINT64_MAX - i, i % 2 ? "order.leader" : "catalog", bodies[i]);
        out[i].status = (uint16_t)(i * 1000);
        out[i].attempt = (uint16_t)i;
    }
    pack_write(&message, 'W', out, BATCH_COUNT_MAX);
    assert_int_equal(pack_read(&message, 'W', in, &count), 0);
    assert_int_equal(count, BATCH_COUNT_MAX);
    for (size_t i = 0; i < BATCH_COUNT_MAX; i++) {
        assert_int_equal(in[i].command, out[i].command);
        assert_int_equal(in[i].flags, out[i].flags);
        assert_int_equal(in[i].status, out[i].status);
        assert_int_equal(in[i].number, out[i].number);
        assert_true(in[i].correlation == out[i].correlation);
        assert_int_equal(in[i].attempt, out[i].attempt);
        assert_int_equal(in[i].service_len, out[i].service_len);
        assert_memory_equal(in[i].service, out[i].service, out[i].service_len);
        assert_int_equal(in[i].body_len, out[i].body_len);
        assert_memory_equal(in[i].body, out[i].body, out[i].body_len);
    }
    message_close(&message);
}

/* There is no body frame when there is nothing to put into it. */
static void test_empty_bodies_make_no_frame(void **state)
{
    struct pack_record records[2] = {{.command = PACK_HEARTBEAT}, {.command = PACK_GOING_AWAY}};
    struct message message;

    (void)state;
    pack_write(&message, 'C', records, 2);
    assert_int_equal(message.count, 1);
    assert_int_equal(read_code(&message), 0);
}

/* A body that is a frame already travels as that frame, and an empty one makes none. */
static void test_a_body_that_is_a_frame_is_moved(void **state)
{
    struct pack_record record = a_request(1, "catalog", "to be ignored");
    struct pack_record in[BATCH_COUNT_MAX];
    struct message message;
    struct frame body;
    size_t count;

    (void)state;
    frame_init_size(&body, 1000);
    memset(frame_data_mutable(&body), 'x', 1000);
    const uint8_t *data = frame_data(&body);
    pack_write_frame(&message, 'C', &record, &body);
    assert_ptr_equal(frame_data(&message.frames[1]), data);
    assert_int_equal(pack_read(&message, 'C', in, &count), 0);
    assert_int_equal(in[0].body_len, 1000);
    assert_ptr_equal(in[0].body, data);
    message_close(&message);

    frame_init(&body);
    pack_write_frame(&message, 'C', &record, &body);
    assert_int_equal(message.count, 1);
    assert_int_equal(read_code(&message), 0);
}

/* A broker tells the extension from MDP by the first frame alone. */
static void test_only_the_magic_and_the_side_make_it_ours(void **state)
{
    static const struct {
        const char *head;
        bool ours;
    } rows[] = {
        {"PYGMY1C", true}, {"PYGMY1C and more", true}, {"PYGMY1W", false}, {"PYGMY2C", false},
        {"PYGMY1", false}, {"MDPC02", false},          {"", false},
    };
    struct message message;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        a_message(&message, rows[i].head, strlen(rows[i].head), NULL);
        assert_int_equal(pack_is(&message, 'C'), rows[i].ours);
        message_close(&message);
    }
    message_init(&message);
    assert_false(pack_is(&message, 'C'));
}

/* Wherever a message is cut off, and whatever is added to it, it is refused. */
static void test_a_message_cut_off_or_too_long_is_refused(void **state)
{
    struct pack_record records[2] = {a_request(1, "catalog", "one"), a_request(2, "order", "two")};
    struct message message;
    uint8_t head[128] = {0};

    (void)state;
    pack_write(&message, 'C', records, 2);
    size_t size = frame_size(&message.frames[0]);
    memcpy(head, frame_data(&message.frames[0]), size);
    message_close(&message);

    for (size_t cut = 0; cut < size; cut++) {
        a_message(&message, head, cut, "onetwo");
        assert_int_equal(read_code(&message), ERR_MALFORMED);
    }
    a_message(&message, head, size + 1, "onetwo");
    assert_int_equal(read_code(&message), ERR_MALFORMED);
    static const char *const bodies[] = {NULL, "", "onetw", "onetwo!"};
    for (size_t i = 0; i < 4; i++) {
        a_message(&message, head, size, bodies[i]);
        assert_int_equal(read_code(&message), ERR_MALFORMED);
    }
    a_message(&message, head, size, "onetwo");
    message_add_copy(&message, "third", 5);
    assert_int_equal(read_code(&message), ERR_MALFORMED);
    a_message(&message, head, size, "onetwo");
    assert_int_equal(read_code(&message), 0);
}

/* Lengths and counts that nobody may send are refused before they are believed. */
static void test_counts_and_lengths_are_checked(void **state)
{
    enum { COUNT = 7, NAME_LEN = 8 + 18, BODY_LEN = 8 + 20 };
    static const struct {
        size_t offset;
        uint8_t value;
    } rows[] = {
        {COUNT, 0},   {COUNT, 2},       {COUNT, BATCH_COUNT_MAX + 1},
        {COUNT, 255}, {NAME_LEN, 0xff}, {BODY_LEN, 0xff},
    };
    struct pack_record record = a_request(1, "catalog", "one");
    struct message message;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pack_write(&message, 'C', &record, 1);
        frame_data_mutable(&message.frames[0])[rows[i].offset] = rows[i].value;
        assert_int_equal(read_code(&message), ERR_MALFORMED);
    }

    char name[SERVICE_NAME_BYTES_MAX + 1];
    memset(name, 'n', sizeof name);
    record.service = name;
    record.service_len = SERVICE_NAME_BYTES_MAX;
    pack_write(&message, 'C', &record, 1);
    assert_int_equal(read_code(&message), 0);

    /* One byte more, written by hand: the name, and the length that says so. */
    uint8_t head[8 + 24 + sizeof name];
    pack_write(&message, 'C', &record, 1);
    memcpy(head, frame_data(&message.frames[0]), sizeof head - 1);
    head[sizeof head - 1] = 'n';
    head[NAME_LEN + 1]++;
    message_close(&message);
    a_message(&message, head, sizeof head, "one");
    assert_int_equal(read_code(&message), ERR_MALFORMED);
}

/* A command of a later version is stepped over with its body; its neighbours are understood. */
static void test_an_unknown_command_is_skipped_with_its_body(void **state)
{
    struct pack_record out[3] = {a_request(1, "a", "one"), a_request(2, "b", "two"),
                                 a_request(3, "c", "three")};
    struct pack_record in[BATCH_COUNT_MAX];
    struct message message;
    size_t count;

    (void)state;
    pack_write(&message, 'C', out, 3);
    frame_data_mutable(&message.frames[0])[8 + 24 + 1] = 200;
    assert_int_equal(pack_read(&message, 'C', in, &count), 0);
    assert_int_equal(count, 2);
    assert_true(in[0].correlation == 1);
    assert_true(in[1].correlation == 3);
    assert_memory_equal(in[1].body, "three", 5);
    message_close(&message);

    pack_write(&message, 'C', out, 1);
    frame_data_mutable(&message.frames[0])[8] = 0;
    assert_int_equal(pack_read(&message, 'C', in, &count), 0);
    assert_int_equal(count, 0);
    message_close(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_is_written_byte_by_byte_as_drawn),
        cmocka_unit_test(test_a_full_batch_is_read_back_as_it_was_written),
        cmocka_unit_test(test_empty_bodies_make_no_frame),
        cmocka_unit_test(test_a_body_that_is_a_frame_is_moved),
        cmocka_unit_test(test_only_the_magic_and_the_side_make_it_ours),
        cmocka_unit_test(test_a_message_cut_off_or_too_long_is_refused),
        cmocka_unit_test(test_counts_and_lengths_are_checked),
        cmocka_unit_test(test_an_unknown_command_is_skipped_with_its_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
