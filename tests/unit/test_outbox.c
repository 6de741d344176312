/* The outbox, with a scripted socket.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "broker/outbox.h"

/* A socket that takes what it has room for, and writes down who got what. */
struct wire {
    size_t room;   /* messages that it takes; then it is busy */
    size_t tries;  /* calls so far */
    char lost;     /* a peer that is gone, or 0 */
    char log[256]; /* peer and message, one character each */
    bool keeps;    /* it takes a message and keeps it, as libzmq does while nobody reads */
    struct message kept;
};

static int wire_send(void *arg, struct message *message, struct frame *routing_id)
{
    struct wire *wire = arg;
    const char peer = (char)frame_data(routing_id)[0];
    wire->tries++;
    if (peer == wire->lost)
        return ERR_WORKER_LOST;
    if (wire->room == 0)
        return ERR_BUSY;
    wire->room--;
    const size_t at = strlen(wire->log);
    wire->log[at] = peer;
    wire->log[at + 1] = (char)frame_data(&message->frames[0])[0];
    if (wire->keeps)
        message_add_frame(&wire->kept, &message->frames[0]);
    message_close(message);
    return 0;
}

static int send_text(struct outbox *outbox, char peer, const char *text)
{
    struct message message;
    struct frame routing_id;
    message_init(&message);
    message_add_copy(&message, text, strlen(text));
    frame_init_copy(&routing_id, &peer, 1);
    const int rc = outbox_send(outbox, &routing_id, &message);
    assert_int_equal(message.count, 0);
    frame_close(&routing_id);
    return rc;
}

/* While the socket takes all, nothing is kept. */
static void test_what_can_be_sent_is_sent_at_once(void **state)
{
    (void)state;
    struct wire wire = {.room = 9};
    struct outbox *outbox = outbox_new(&(struct outbox_options){.send = wire_send, .arg = &wire});
    assert_int_equal(send_text(outbox, 'a', "1"), 0);
    assert_int_equal(outbox_messages(outbox), 0);
    assert_string_equal(wire.log, "a1");
    outbox_destroy(&outbox);
}

/* What waits for a peer stays in order and before what comes later, even when there is room again;
 * another peer is not held up. */
static void test_the_order_to_a_peer_is_kept(void **state)
{
    (void)state;
    struct wire wire = {0};
    struct outbox *outbox = outbox_new(&(struct outbox_options){.send = wire_send, .arg = &wire});
    assert_int_equal(send_text(outbox, 'a', "1"), 0);
    assert_int_equal(send_text(outbox, 'a', "2"), 0);
    wire.room = 2;
    assert_int_equal(send_text(outbox, 'a', "3"), 0);
    assert_int_equal(send_text(outbox, 'b', "1"), 0);
    assert_string_equal(wire.log, "b1");
    outbox_flush(outbox);
    assert_string_equal(wire.log, "b1a1");
    assert_int_equal(outbox_messages(outbox), 2);
    wire.room = 9;
    outbox_flush(outbox);
    assert_string_equal(wire.log, "b1a1a2a3");
    assert_int_equal(outbox_messages(outbox), 0);
    assert_int_equal(outbox_bytes(outbox), 0);
    outbox_destroy(&outbox);
}

/* A peer that is gone is reported: at once by send, else after a flush; its messages are dropped. */
static void test_a_peer_that_is_gone_is_reported(void **state)
{
    (void)state;
    struct wire wire = {.lost = 'x'};
    struct outbox *outbox = outbox_new(&(struct outbox_options){.send = wire_send, .arg = &wire});
    struct frame routing_id;
    assert_int_equal(send_text(outbox, 'x', "1"), ERR_WORKER_LOST);
    assert_int_equal(send_text(outbox, 'a', "1"), 0);
    assert_int_equal(send_text(outbox, 'a', "2"), 0);
    assert_int_equal(send_text(outbox, 'b', "1"), 0);
    wire.lost = 'a';
    outbox_flush(outbox);
    assert_true(outbox_lost(outbox, &routing_id));
    assert_true(frame_equals(&routing_id, "a", 1));
    frame_close(&routing_id);
    assert_false(outbox_lost(outbox, &routing_id));
    assert_int_equal(outbox_messages(outbox), 1);
    outbox_flush(outbox);
    outbox_destroy(&outbox);
}

/* At each of its bounds a peer that does not read counts as gone, and all of its is dropped. */
static void test_a_peer_that_does_not_read_is_gone_at_the_bound(void **state)
{
    (void)state;
    static const struct outbox_options bounds[] = {{.peer_messages_max = 2},
                                                   {.peer_bytes_max = 2 * 64 + 2 * 8},
                                                   {.bytes_max = 3 * 64 + 3 * 8}};
    for (size_t i = 0; i < 3; i++) {
        struct wire wire = {0};
        struct outbox_options options = bounds[i];
        options.send = wire_send;
        options.arg = &wire;
        struct outbox *outbox = outbox_new(&options);
        assert_int_equal(send_text(outbox, 'b', "12345678"), 0);
        assert_int_equal(send_text(outbox, 'a', "12345678"), 0);
        assert_int_equal(send_text(outbox, 'a', "12345678"), 0);
        assert_int_equal(send_text(outbox, 'a', "12345678"), ERR_QUEUE_FULL);
        assert_int_equal(outbox_messages(outbox), 1);
        assert_int_equal(outbox_bytes(outbox), 64 + 8);
        outbox_destroy(&outbox);
    }
}

/* The bound for all is paid for by who holds most of it, not by who comes last: peers that don't read
 * must not be able to have others counted as gone. */
static void test_at_the_bound_for_all_the_largest_goes(void **state)
{
    (void)state;
    struct wire wire = {0};
    struct outbox *outbox = outbox_new(
        &(struct outbox_options){.send = wire_send, .arg = &wire, .bytes_max = 4 * (64 + 8)});
    struct frame routing_id;
    assert_int_equal(send_text(outbox, 'b', "12345678"), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(send_text(outbox, 'a', "12345678"), 0);
    assert_false(outbox_lost(outbox, &routing_id));
    assert_int_equal(send_text(outbox, 'c', "12345678"), 0);
    assert_true(outbox_lost(outbox, &routing_id));
    assert_true(frame_equals(&routing_id, "a", 1));
    frame_close(&routing_id);
    assert_false(outbox_lost(outbox, &routing_id));
    assert_int_equal(outbox_messages(outbox), 2);
    wire.room = 9;
    outbox_flush(outbox);
    assert_string_equal(wire.log, "b1c1");
    outbox_destroy(&outbox);
}

/* However many peers do not read, one flush tries only so many of them, and the next goes on with
 * others: what it costs is bounded, and no peer is forgotten. */
static void test_a_flush_tries_so_many_peers_and_each_in_its_turn(void **state)
{
    (void)state;
    struct wire wire = {0};
    struct outbox *outbox = outbox_new(&(struct outbox_options){.send = wire_send, .arg = &wire});
    for (int peer = 0; peer < OUTBOX_FLUSH_PEERS_MAX + 10; peer++)
        assert_int_equal(send_text(outbox, (char)(peer + 1), "1"), 0);
    wire.tries = 0;
    outbox_flush(outbox);
    assert_int_equal(wire.tries, OUTBOX_FLUSH_PEERS_MAX);
    wire.room = 10;
    outbox_flush(outbox);
    assert_int_equal(wire.log[0], OUTBOX_FLUSH_PEERS_MAX + 1);
    assert_int_equal(strlen(wire.log), 20);
    outbox_destroy(&outbox);
}

/* What is left at the end is freed. */
static void test_an_outbox_may_be_destroyed_full(void **state)
{
    (void)state;
    struct wire wire = {0};
    struct outbox *outbox = outbox_new(&(struct outbox_options){.send = wire_send, .arg = &wire});
    char text[1000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    for (char peer = 'a'; peer < 'f'; peer++)
        assert_int_equal(send_text(outbox, peer, text), 0);
    wire.lost = 'a';
    outbox_flush(outbox);
    outbox_destroy(&outbox);
    outbox_destroy(&outbox);
}

/* A peer is deaf from the message on that is one too many, until it has taken all. */
static void test_a_peer_is_deaf_until_it_has_taken_all(void **state)
{
    (void)state;
    struct wire wire = {0};
    struct outbox *outbox =
        outbox_new(&(struct outbox_options){.send = wire_send, .arg = &wire, .deaf_messages = 2});
    struct frame routing_id;
    assert_int_equal(send_text(outbox, 'a', "1"), 0);
    assert_int_equal(send_text(outbox, 'a', "2"), 0);
    assert_int_equal(send_text(outbox, 'a', "3"), ERR_BUSY);
    assert_int_equal(send_text(outbox, 'b', "1"), 0);
    wire.room = 2;
    assert_true(outbox_flush(outbox));
    assert_false(outbox_heard(outbox, &routing_id));
    assert_int_equal(send_text(outbox, 'a', "4"), ERR_BUSY);
    wire.room = 9;
    assert_true(outbox_flush(outbox));
    assert_true(outbox_heard(outbox, &routing_id));
    assert_true(frame_equals(&routing_id, "a", 1));
    frame_close(&routing_id);
    assert_false(outbox_heard(outbox, &routing_id));
    assert_true(outbox_idle(outbox));
    assert_false(outbox_flush(outbox));
    outbox_destroy(&outbox);
}

/* Of large messages the socket gets no more than it can pass on, though it would take them; small
 * ones do not count. It may pass them on after the outbox has ended. */
static void test_what_the_socket_owes_is_bounded_by_bytes(void **state)
{
    (void)state;
    char large[OUTBOX_OWED_BYTES_MAX / 2 + 2] = "";
    memset(large, 'x', sizeof large - 1);
    assert_true(sizeof large > OUTBOX_LARGE_BYTES);
    struct wire wire = {.room = 99, .keeps = true};
    struct outbox *outbox = outbox_new(&(struct outbox_options){.send = wire_send, .arg = &wire});
    for (int i = 0; i < 2; i++) {
        assert_int_equal(send_text(outbox, 'a', large), 0);
        assert_int_equal(send_text(outbox, 'a', "1"), 0);
    }
    assert_int_equal(outbox_messages(outbox), 0);
    assert_int_equal(send_text(outbox, 'a', large), 0);
    assert_int_equal(send_text(outbox, 'a', "2"), 0);
    assert_int_equal(outbox_messages(outbox), 2);
    assert_false(outbox_flush(outbox));
    assert_string_equal(wire.log, "axa1axa1");
    assert_int_equal(send_text(outbox, 'b', large), 0);
    message_close(&wire.kept);
    assert_true(outbox_flush(outbox));
    assert_string_equal(wire.log, "axa1axa1bxaxa2");
    outbox_destroy(&outbox);
    message_close(&wire.kept);
}

/* Few large messages are as bad as many. */
static void test_a_peer_is_deaf_to_few_large_messages(void **state)
{
    (void)state;
    char large[OUTBOX_DEAF_BYTES / 2 + 2] = "";
    memset(large, 'x', sizeof large - 1);
    struct wire wire = {0};
    struct outbox *outbox = outbox_new(&(struct outbox_options){.send = wire_send, .arg = &wire});
    assert_int_equal(send_text(outbox, 'a', large), 0);
    assert_int_equal(send_text(outbox, 'a', large), ERR_BUSY);
    outbox_destroy(&outbox);
}

/* A large message that the socket refuses is kept whole. */
static void test_a_large_message_survives_a_busy_socket(void **state)
{
    (void)state;
    char large[OUTBOX_LARGE_BYTES + 1] = "";
    memset(large, 'x', sizeof large - 1);
    struct wire wire = {.keeps = true};
    struct outbox *outbox = outbox_new(&(struct outbox_options){.send = wire_send, .arg = &wire});
    assert_int_equal(send_text(outbox, 'a', large), 0);
    assert_false(outbox_flush(outbox));
    wire.room = 1;
    assert_true(outbox_flush(outbox));
    assert_true(frame_equals(&wire.kept.frames[0], large, sizeof large - 1));
    message_close(&wire.kept);
    outbox_flush(outbox);
    assert_true(outbox_idle(outbox));
    outbox_destroy(&outbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_can_be_sent_is_sent_at_once),
        cmocka_unit_test(test_the_order_to_a_peer_is_kept),
        cmocka_unit_test(test_a_peer_that_is_gone_is_reported),
        cmocka_unit_test(test_a_peer_that_does_not_read_is_gone_at_the_bound),
        cmocka_unit_test(test_at_the_bound_for_all_the_largest_goes),
        cmocka_unit_test(test_a_flush_tries_so_many_peers_and_each_in_its_turn),
        cmocka_unit_test(test_an_outbox_may_be_destroyed_full),
        cmocka_unit_test(test_a_peer_is_deaf_until_it_has_taken_all),
        cmocka_unit_test(test_what_the_socket_owes_is_bounded_by_bytes),
        cmocka_unit_test(test_a_peer_is_deaf_to_few_large_messages),
        cmocka_unit_test(test_a_large_message_survives_a_busy_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
