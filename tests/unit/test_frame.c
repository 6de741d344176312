/* Frames and messages: values that are moved, shared, sent and received whole.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zmq.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/frame.h"

/* A connected pair over inproc, and what its tests send. */
struct pair {
    void *context;
    void *router; /* mandatory */
    void *dealer; /* routing id "d" */
};

static int pair_open(void **state)
{
    struct pair *pair = alloc_zero(sizeof *pair);
    int mandatory = 1;
    pair->context = zmq_ctx_new();
    pair->router = zmq_socket(pair->context, ZMQ_ROUTER);
    pair->dealer = zmq_socket(pair->context, ZMQ_DEALER);
    assert_int_equal(
        zmq_setsockopt(pair->router, ZMQ_ROUTER_MANDATORY, &mandatory, sizeof mandatory), 0);
    assert_int_equal(zmq_setsockopt(pair->dealer, ZMQ_ROUTING_ID, "d", 1), 0);
    assert_int_equal(zmq_bind(pair->router, "inproc://pair"), 0);
    assert_int_equal(zmq_connect(pair->dealer, "inproc://pair"), 0);
    *state = pair;
    return 0;
}

static int pair_close(void **state)
{
    struct pair *pair = *state;
    zmq_close(pair->dealer);
    zmq_close(pair->router);
    zmq_ctx_term(pair->context);
    free(pair);
    return 0;
}

/* Moving leaves an empty frame behind and keeps the very bytes. */
static void test_a_moved_frame_keeps_its_bytes_in_place(void **state)
{
    (void)state;
    uint8_t bytes[500];
    memset(bytes, 'x', sizeof bytes);
    struct frame one, other;
    frame_init_copy(&one, bytes, sizeof bytes);
    const uint8_t *place = frame_data(&one);
    frame_move(&other, &one);
    assert_ptr_equal(frame_data(&other), place);
    assert_true(frame_equals(&other, bytes, sizeof bytes));
    assert_int_equal(frame_size(&one), 0);
    frame_close(&one);
    frame_close(&other);
}

/* Both sides of a share hold the bytes, and each may be closed first. */
static void test_a_shared_frame_outlives_the_other_side(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 10000; size *= 100) {
        uint8_t bytes[10000];
        memset(bytes, 'y', sizeof bytes);
        struct frame one, other;
        frame_init_copy(&one, bytes, size);
        frame_share(&other, &one);
        frame_close(&one);
        assert_true(frame_equals(&other, bytes, size));
        frame_close(&other);
    }
}

/* Equality is of length and bytes. */
static void test_equality_is_of_length_and_bytes(void **state)
{
    (void)state;
    struct frame frame;
    frame_init_copy(&frame, "abc", 3);
    assert_true(frame_equals(&frame, "abc", 3));
    assert_false(frame_equals(&frame, "abc", 2));
    assert_false(frame_equals(&frame, "abd", 3));
    frame_close(&frame);
    frame_init(&frame);
    assert_true(frame_equals(&frame, NULL, 0));
    frame_close(&frame);
}

/* A message crosses both ways, frame by frame, empty frames too. */
static void test_a_message_crosses_both_ways(void **state)
{
    struct pair *pair = *state;
    struct message message;
    message_init(&message);
    message_add_copy(&message, "", 0);
    message_add_copy(&message, "hello", 5);
    assert_int_equal(message_size(&message), 5);
    assert_int_equal(message_send(&message, pair->dealer, NULL), 0);
    assert_int_equal(message.count, 0);

    struct frame routing_id;
    assert_int_equal(message_receive(&message, pair->router, &routing_id), 0);
    assert_true(frame_equals(&routing_id, "d", 1));
    assert_int_equal(message.count, 2);
    assert_int_equal(frame_size(&message.frames[0]), 0);
    assert_true(frame_equals(&message.frames[1], "hello", 5));

    assert_int_equal(message_send(&message, pair->router, &routing_id), 0);
    assert_true(frame_equals(&routing_id, "d", 1));
    assert_int_equal(message_receive(&message, pair->dealer, NULL), 0);
    assert_int_equal(message.count, 2);
    assert_true(frame_equals(&message.frames[1], "hello", 5));
    message_close(&message);
    frame_close(&routing_id);
}

/* A socket with nothing to read says so, and leaves nothing to close. */
static void test_an_empty_socket_is_busy(void **state)
{
    struct pair *pair = *state;
    struct message message;
    struct frame routing_id;
    assert_int_equal(message_receive(&message, pair->router, &routing_id), ERR_BUSY);
    assert_int_equal(message.count, 0);
}

/* A send that fails keeps the message, so that it can be tried again or given to another. */
static void test_a_failed_send_keeps_the_message(void **state)
{
    struct pair *pair = *state;
    struct message message;
    struct frame nobody;
    frame_init_copy(&nobody, "nobody", 6);
    message_init(&message);
    message_add_copy(&message, "one", 3);
    message_add_copy(&message, "two", 3);
    assert_int_equal(message_send(&message, pair->router, &nobody), ERR_WORKER_LOST);
    assert_int_equal(message.count, 2);
    assert_true(frame_equals(&message.frames[0], "one", 3));
    message_close(&message);
    frame_close(&nobody);
}

/* A full pipe is ERR_BUSY at the first frame, never half a message. */
static void test_a_full_pipe_refuses_whole_messages(void **state)
{
    struct pair *pair = *state;
    struct message message;
    size_t sent = 0;
    int rc = 0;
    while (rc == 0 && sent < 1000000) {
        message_init(&message);
        message_add_copy(&message, "one", 3);
        message_add_copy(&message, "two", 3);
        rc = message_send(&message, pair->dealer, NULL);
        sent += rc == 0;
    }
    assert_int_equal(rc, ERR_BUSY);
    assert_int_equal(message.count, 2);
    message_close(&message);
    struct frame routing_id;
    for (size_t i = 0; i < sent; i++) {
        assert_int_equal(message_receive(&message, pair->router, &routing_id), 0);
        assert_int_equal(message.count, 2);
        message_close(&message);
        frame_close(&routing_id);
    }
}

/* A message of the most frames passes; one more is dropped whole, and the next one is unharmed. */
static void test_a_message_of_too_many_frames_is_dropped_whole(void **state)
{
    struct pair *pair = *state;
    struct message message;
    struct frame routing_id;
    for (size_t count = MESSAGE_FRAMES_MAX; count <= MESSAGE_FRAMES_MAX + 1; count++) {
        for (size_t i = 0; i < count; i++) {
            int more = i + 1 < count ? ZMQ_SNDMORE : 0;
            assert_int_equal(zmq_send(pair->dealer, "a", 1, more), 1);
        }
    }
    assert_int_equal(zmq_send(pair->dealer, "b", 1, 0), 1);

    assert_int_equal(message_receive(&message, pair->router, &routing_id), 0);
    assert_int_equal(message.count, MESSAGE_FRAMES_MAX);
    message_close(&message);
    frame_close(&routing_id);
    assert_int_equal(message_receive(&message, pair->router, &routing_id), ERR_MALFORMED);
    assert_int_equal(message.count, 0);
    assert_true(frame_equals(&routing_id, "d", 1));
    frame_close(&routing_id);
    assert_int_equal(message_receive(&message, pair->router, &routing_id), 0);
    assert_true(frame_equals(&message.frames[0], "b", 1));
    message_close(&message);
    frame_close(&routing_id);
}

static void count_gone(void *arg)
{
    ++*(int *)arg;
}

/* The end of a watched frame is told once, when the last that shares it is closed. */
static void test_the_end_of_a_watched_frame_is_told(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 10000};
    for (size_t i = 0; i < 2; i++) {
        struct frame frame, watched, shared;
        int gone = 0;
        frame_init_size(&frame, sizes[i]);
        memset(frame_data_mutable(&frame), 'x', sizes[i]);
        frame_watch(&watched, &frame, count_gone, &gone);
        frame_close(&frame);
        assert_int_equal(frame_size(&watched), sizes[i]);
        assert_int_equal(frame_data(&watched)[sizes[i] - 1], 'x');
        frame_share(&shared, &watched);
        frame_close(&watched);
        assert_int_equal(gone, 0);
        frame_close(&shared);
        assert_int_equal(gone, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_moved_frame_keeps_its_bytes_in_place),
        cmocka_unit_test(test_a_shared_frame_outlives_the_other_side),
        cmocka_unit_test(test_equality_is_of_length_and_bytes),
        cmocka_unit_test(test_the_end_of_a_watched_frame_is_told),
        cmocka_unit_test_setup_teardown(test_a_message_crosses_both_ways, pair_open, pair_close),
        cmocka_unit_test_setup_teardown(test_an_empty_socket_is_busy, pair_open, pair_close),
        cmocka_unit_test_setup_teardown(test_a_failed_send_keeps_the_message, pair_open,
                                        pair_close),
        cmocka_unit_test_setup_teardown(test_a_full_pipe_refuses_whole_messages, pair_open,
                                        pair_close),
        cmocka_unit_test_setup_teardown(test_a_message_of_too_many_frames_is_dropped_whole,
                                        pair_open, pair_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
