/* The router: who speaks how, who is there, what each message means.
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
#include "broker/router.h"
#include "tests/lib/router_rig.h"

static int set_up(void **state)
{
    *state = rig_new(NULL);
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    rig_destroy(&rig);
    return 0;
}

/* Both versions, with and without the empty first frame, on both sides: each peer is answered as it
 * speaks. */
static void test_every_pair_of_dialects_understands_each_other(void **state)
{
    struct rig *rig = *state;
    static const struct {
        const char *request, *reply;
    } clients[] = {{"|MDPC01|s|a|b", "|MDPC01|s|A|B"},
                   {"MDPC01|s|a|b", "MDPC01|s|A|B"},
                   {"MDPC02|\\01|s|a|b", "MDPC02|\\03|s|A|B"},
                   {"|MDPC02|\\01|s|a|b", "|MDPC02|\\03|s|A|B"}};
    static const struct {
        const char *ready, *request, *reply, *disconnect;
    } workers[] = {{"|MDPW01|\\01|s", "|MDPW01|\\02|*||a|b", "|MDPW01|\\03", "|MDPW01|\\05"},
                   {"MDPW01|\\01|s", "MDPW01|\\02|*||a|b", "MDPW01|\\03", "MDPW01|\\05"},
                   {"MDPW02|\\01|s", "MDPW02|\\02|*||a|b", "MDPW02|\\04", "MDPW02|\\06"},
                   {"|MDPW02|\\01|s", "|MDPW02|\\02|*||a|b", "|MDPW02|\\04", "|MDPW02|\\06"}};
    for (size_t w = 0; w < 4; w++) {
        rig_send(rig, "w", workers[w].ready);
        for (size_t c = 0; c < 4; c++) {
            rig_send(rig, "c", clients[c].request);
            rig_expect(rig, "w", workers[w].request);
            rig_plain_reply(rig, "w", workers[w].reply, rig->id, "A|B");
            rig_expect(rig, "c", clients[c].reply);
        }
        rig_send(rig, "w", workers[w].disconnect);
    }
}

/* Plain and our own peers serve each other: a body of several frames is joined for the extension,
 * and a status that is an error still carries its body to a plain client. */
static void test_plain_peers_and_ours_serve_each_other(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "ours", 4);
    rig_send(rig, "c", "|MDPC01|ours|a|b");
    rig_expect(rig, "w", "REQUEST id=* attempt=1 ms=300000 ours ab");
    rig_reply(rig, "w", rig->id, ERR_NOT_FOUND, "no");
    rig_expect(rig, "c", "|MDPC01|ours|no");

    rig_send(rig, "p", "|MDPW01|\\01|plain");
    rig_request(rig, "d", 7, "plain", "hello", 1000, 0);
    rig_expect(rig, "p", "|MDPW01|\\02|*||hello");
    rig_plain_reply(rig, "p", "|MDPW01|\\03", rig->id, "x|y");
    rig_expect(rig, "d", "REPLY correlation=7 status=0 xy");
}

/* A client that uses both versions on one connection has each answer in the version it asked in. */
static void test_an_answer_has_the_dialect_of_its_request(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 2);
    rig_send(rig, "c", "|MDPC01|s|one");
    rig_expect(rig, "w", "REQUEST *one");
    const uint64_t one = rig->id;
    rig_send(rig, "c", "MDPC02|\\01|s|two");
    rig_expect(rig, "w", "REQUEST *two");
    rig_reply(rig, "w", rig->id, OK, "two");
    rig_reply(rig, "w", one, OK, "one");
    rig_expect(rig, "c", "MDPC02|\\03|s|two");
    rig_expect(rig, "c", "|MDPC01|s|one");
}

/* Parts of an answer: passed on to a 0.2 client, collected into one frame for all others. */
static void test_partial_answers_are_passed_on_or_collected(void **state)
{
    struct rig *rig = *state;
    rig_send(rig, "w", "MDPW02|\\01|s");
    rig_send(rig, "c2", "MDPC02|\\01|s|a");
    rig_expect(rig, "w", "MDPW02|\\02|*||a");
    rig_plain_reply(rig, "w", "MDPW02|\\03", rig->id, "p|q");
    rig_expect(rig, "c2", "MDPC02|\\02|s|p|q");
    rig_plain_reply(rig, "w", "MDPW02|\\04", rig->id, "r");
    rig_expect(rig, "c2", "MDPC02|\\03|s|r");

    rig_send(rig, "c1", "|MDPC01|s|a");
    rig_expect(rig, "w", "MDPW02|\\02|*||a");
    rig_plain_reply(rig, "w", "MDPW02|\\03", rig->id, "p|q");
    rig_plain_reply(rig, "w", "MDPW02|\\03", rig->id, "r");
    rig_expect_nothing(rig, "c1");
    rig_plain_reply(rig, "w", "MDPW02|\\04", rig->id, "s|t");
    rig_expect(rig, "c1", "|MDPC01|s|pqrst");

    rig_request(rig, "c", 3, "s", "a", 1000, 0);
    rig_expect(rig, "w", "MDPW02|\\02|*||a");
    rig_plain_reply(rig, "w", "MDPW02|\\03", rig->id, "p");
    rig_plain_reply(rig, "w", "MDPW02|\\04", rig->id, "q");
    rig_expect(rig, "c", "REPLY correlation=3 status=0 pq");
}

/* A worker that leaves out the delimiter after the address is understood. */
static void test_a_reply_without_delimiter_is_understood(void **state)
{
    struct rig *rig = *state;
    char text[64];
    rig_send(rig, "w", "|MDPW01|\\01|s");
    rig_send(rig, "c", "|MDPC01|s|a");
    rig_expect(rig, "w", "|MDPW01|\\02|*||a");
    snprintf(text, sizeof text, "|MDPW01|\\03|%016llx|A", (unsigned long long)rig->id);
    rig_send(rig, "w", text);
    rig_expect(rig, "c", "|MDPC01|s|A");
}

/* 8/MMI: 200 for a service with a worker, busy ones too; 404 for others; 501 for other names. */
static void test_mmi_says_who_is_served(void **state)
{
    struct rig *rig = *state;
    rig_send(rig, "w", "|MDPW01|\\01|s");
    rig_send(rig, "c", "|MDPC01|mmi.service|s");
    rig_expect(rig, "c", "|MDPC01|mmi.service|200");
    rig_send(rig, "c", "MDPC02|\\01|mmi.service|t");
    rig_expect(rig, "c", "MDPC02|\\03|mmi.service|404");
    rig_send(rig, "c", "|MDPC01|mmi.other|s");
    rig_expect(rig, "c", "|MDPC01|mmi.other|501");
    rig_request(rig, "d", 9, "mmi.service", "s", 0, 0);
    rig_expect(rig, "d", "REPLY correlation=9 status=0 200");
    rig_request(rig, "d", 10, "mmi.service", "", 0, 0);
    rig_expect(rig, "d", "REPLY correlation=10 status=0 404");
    rig_request(rig, "d", 11, "mmi.service", "node.broker-1", 0, 0);
    rig_expect(rig, "d", "REPLY correlation=11 status=0 200");

    rig_send(rig, "c", "|MDPC01|s|work");
    rig_expect(rig, "w", "*work");
    rig_send(rig, "d2", "|MDPC01|mmi.service|s");
    rig_expect(rig, "d2", "|MDPC01|mmi.service|200");
}

/* Names that nobody may register: mmi.*, and the broker's own. */
static void test_reserved_names_are_refused(void **state)
{
    struct rig *rig = *state;
    rig_send(rig, "w1", "|MDPW01|\\01|mmi.service");
    rig_expect(rig, "w1", "|MDPW01|\\05");
    rig_ready(rig, "w2", "mmi.x", 1);
    rig_expect(rig, "w2", "DISCONNECT");
    rig_ready(rig, "w3", "node.broker-1", 1);
    rig_expect(rig, "w3", "DISCONNECT");
    rig_send(rig, "w4", "MDPW02|\\01|bad\\01name");
    rig_expect(rig, "w4", "MDPW02|\\06");
    assert_int_equal(router_count(rig->router, COUNT_READY_REFUSED), 4);
}

/* A second READY is an error: DISCONNECT, and what the worker had goes to another. */
static void test_a_second_ready_disconnects(void **state)
{
    struct rig *rig = *state;
    rig_send(rig, "w", "|MDPW01|\\01|s");
    rig_send(rig, "c", "|MDPC01|s|a");
    rig_expect(rig, "w", "|MDPW01|\\02|*||a");
    rig_send(rig, "w", "|MDPW01|\\01|s");
    rig_expect(rig, "w", "|MDPW01|\\05");
    rig_send(rig, "v", "|MDPW01|\\01|s");
    rig_expect(rig, "v", "|MDPW01|\\02|*||a");
}

/* A command out of place is answered by DISCONNECT once, and then nothing more, until READY or a
 * request makes a fresh start. */
static void test_a_misplaced_command_is_answered_once(void **state)
{
    struct rig *rig = *state;
    rig_send(rig, "w", "|MDPW01|\\04");
    rig_expect(rig, "w", "|MDPW01|\\05");
    rig_send(rig, "w", "|MDPW01|\\04");
    rig_send(rig, "w", "|MDPW01|\\03|00000000000000ff||a");
    rig_expect_nothing(rig, "w");
    rig_send(rig, "w", "|MDPW01|\\01|s");
    rig_send(rig, "c", "|MDPC01|s|a");
    rig_expect(rig, "w", "|MDPW01|\\02|*||a");

    rig_beat(rig, "x", 'C', 0);
    rig_expect(rig, "x", "DISCONNECT");
    rig_beat(rig, "y", 'W', 1);
    rig_expect(rig, "y", "DISCONNECT");
    rig_beat(rig, "y", 'W', 1);
    rig_expect_nothing(rig, "y");
}

/* What came with the misplaced command, in its message or in its turn, is ignored: its sender can't
 * have heard the DISCONNECT yet. */
static void test_what_follows_a_misplaced_command_is_ignored(void **state)
{
    struct rig *rig = *state;
    struct frame routing_id;
    struct message message;
    const struct pack_record records[] = {
        {.command = PACK_HEARTBEAT, .number = 1},
        {.command = PACK_READY, .number = 1, .service = "s", .service_len = 1}};
    rig_pack(rig, "x", 'W', records, 2);
    rig_expect(rig, "x", "DISCONNECT");

    frame_init_copy(&routing_id, "y", 1);
    rig_message(&message, "|MDPW01|\\04");
    router_receive(rig->router, &routing_id, &message, rig->now_ms);
    rig_message(&message, "|MDPW01|\\01|s");
    router_receive(rig->router, &routing_id, &message, rig->now_ms);
    frame_close(&routing_id);
    rig_settle(rig);
    rig_expect(rig, "y", "|MDPW01|\\05");
    rig_send(rig, "c", "|MDPC01|mmi.service|s");
    rig_expect(rig, "c", "|MDPC01|mmi.service|404");
}

/* A connection is a client or a worker, and speaks ours or plain Majordomo. */
static void test_a_peer_keeps_its_role(void **state)
{
    struct rig *rig = *state;
    rig_send(rig, "c", "MDPC02|\\01|s|a");
    rig_send(rig, "c", "MDPW02|\\01|s");
    rig_expect(rig, "c", "MDPW02|\\06");
    rig_ready(rig, "w", "s", 1);
    rig_request(rig, "w", 1, "s", "a", 0, 0);
    rig_expect(rig, "w", "DISCONNECT");
    rig_hello(rig, "d");
    rig_send(rig, "d", "MDPC02|\\01|s|a");
    rig_expect(rig, "d", "DISCONNECT");
    rig_pack(
        rig, "e", 'C',
        &(struct pack_record){.command = PACK_READY, .service = "s", .service_len = 1, .number = 1},
        1);
    rig_expect(rig, "e", "DISCONNECT");
}

/* What a closed worker had is not lost when it says DISCONNECT, and it is told nothing more. */
static void test_a_worker_may_disconnect_at_any_time(void **state)
{
    struct rig *rig = *state;
    rig_send(rig, "w0", "|MDPW01|\\05");
    rig_expect_nothing(rig, "w0");
    rig_send(rig, "w", "|MDPW01|\\01|s");
    rig_send(rig, "c", "|MDPC01|s|a");
    rig_expect(rig, "w", "*a");
    rig_send(rig, "w", "|MDPW01|\\05");
    rig_pass(rig, 1000);
    rig_expect_nothing(rig, "w");
    rig_ready(rig, "v", "s", 1);
    rig_expect(rig, "v", "REQUEST * attempt=2 * s a");
}

/* Malformed messages are dropped and counted; too many, and the peer is ignored. Others never
 * notice. */
static void test_too_many_malformed_messages_ban_a_peer(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 1);
    rig_ready(rig, "bad", "s", 1);
    for (int i = 0; i < BROKER_STRIKES_MAX - 1; i++)
        rig_send(rig, "bad", "|MDPW01|\\09");
    rig_expect_nothing(rig, "bad");
    rig_send(rig, "bad", "garbage");
    rig_expect(rig, "bad", "DISCONNECT");
    rig_ready(rig, "bad", "s", 1);
    rig_expect_nothing(rig, "bad");
    assert_int_equal(router_count(rig->router, COUNT_BANNED), 1);
    assert_int_equal(router_count(rig->router, COUNT_MALFORMED), BROKER_STRIKES_MAX);
    rig_request(rig, "c", 1, "s", "a", 0, 0);
    rig_expect(rig, "w", "REQUEST *");
    rig_reply(rig, "w", rig->id, OK, "b");
    rig_expect(rig, "c", "REPLY correlation=1 status=0 b");
}

/* What there is to tell between two turns is bounded: the rest is counted. */
static void test_what_is_told_in_a_turn_is_bounded(void **state)
{
    struct rig *rig = *state;
    struct frame routing_id;
    const int count = BROKER_NOTES_MAX + 5;
    for (int i = 0; i < count; i++) {
        frame_init_copy(&routing_id, &i, sizeof i);
        router_receive_malformed(rig->router, &routing_id, rig->now_ms);
        frame_close(&routing_id);
    }
    assert_int_equal(router_count(rig->router, COUNT_NOTES_DROPPED), 5);
    rig_settle(rig);
    assert_int_equal(rig->notes[NOTE_STRIKE], BROKER_NOTES_MAX);
    rig_send(rig, "bad", "garbage");
    assert_int_equal(rig->notes[NOTE_STRIKE], BROKER_NOTES_MAX + 1);
}

/* A name that is none is refused with a word, where there is one. */
static void test_an_invalid_name_is_refused(void **state)
{
    struct rig *rig = *state;
    rig_request(rig, "c", 1, "", "a", 0, 0);
    rig_expect(rig, "c", "REPLY correlation=1 status=7 ");
    rig_request(rig, "c", 2, "a\nb", "a", 0, 0);
    rig_expect(rig, "c", "REPLY correlation=2 status=7 ");
    rig_send(rig, "d", "|MDPC01||a");
    rig_expect_nothing(rig, "d");
    assert_int_equal(router_count(rig->router, COUNT_MALFORMED), 3);
}

/* Our own peers are beaten every 100 ms when nothing else was sent, busy workers too; clients
 * only after HELLO. */
static void test_our_peers_are_sent_heartbeats(void **state)
{
    struct rig *rig = *state;
    rig->keep_heartbeats = true;
    rig_ready(rig, "w", "s", 1);
    rig_hello(rig, "c");
    rig_request(rig, "d", 1, "s", "a", 0, 0);
    rig_expect(rig, "w", "REQUEST *");
    rig_pass(rig, HEARTBEAT_MS + WHEEL_TICK_MS);
    rig_expect(rig, "w", "HEARTBEAT");
    rig_expect(rig, "c", "HEARTBEAT");
    rig_expect_nothing(rig, "w");
    rig_expect_nothing(rig, "d");
    rig_beat(rig, "w", 'W', 1);
    rig_beat(rig, "c", 'C', 0);
    rig_pass(rig, HEARTBEAT_MS + WHEEL_TICK_MS);
    rig_expect(rig, "w", "HEARTBEAT");
    rig_expect(rig, "c", "HEARTBEAT");
}

/* Plain workers are beaten twice a second, busy or idle, in their dialect. */
static void test_plain_workers_are_sent_heartbeats(void **state)
{
    struct rig *rig = *state;
    rig->keep_heartbeats = true;
    rig_send(rig, "w1", "|MDPW01|\\01|s");
    rig_send(rig, "w2", "MDPW02|\\01|t");
    rig_send(rig, "c", "|MDPC01|s|a");
    rig_expect(rig, "w1", "*a");
    rig_pass(rig, HEARTBEAT_PLAIN_MS + WHEEL_TICK_MS);
    rig_expect(rig, "w1", "|MDPW01|\\04");
    rig_expect(rig, "w2", "MDPW02|\\05");
    rig_expect_nothing(rig, "w1");
}

/* Silence: ours are gone after 500 ms, plain workers after 7.5 s, busy or idle; any message is a
 * sign of life. What they had goes on. */
static void test_the_silent_are_gone(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 1);
    rig_send(rig, "p", "|MDPW01|\\01|t");
    rig_request(rig, "c", 1, "s", "a", 20000, PACK_REPLAY_SAFE);
    rig_expect(rig, "w", "REQUEST *");
    rig_pass(rig, HEARTBEAT_GONE_MS - 50);
    rig_beat(rig, "w", 'W', 1);
    rig_pass(rig, HEARTBEAT_GONE_MS - 50);
    assert_int_equal(router_count(rig->router, COUNT_EXPIRED_PEERS), 0);
    rig_pass(rig, 50 + 2 * WHEEL_TICK_MS);
    assert_int_equal(router_count(rig->router, COUNT_EXPIRED_PEERS), 1);
    rig_ready(rig, "v", "s", 1);
    rig_expect(rig, "v", "REQUEST id=* attempt=2 ms=* s a");
    rig_reply(rig, "v", rig->id, OK, "b");
    rig_expect(rig, "c", "REPLY correlation=1 status=0 b");

    rig_pass(rig, HEARTBEAT_PLAIN_GONE_MS);
    rig_send(rig, "c2", "|MDPC01|mmi.service|t");
    rig_expect(rig, "c2", "|MDPC01|mmi.service|404");
    /* It comes back to life, and is told that it is out. */
    rig_send(rig, "p", "|MDPW01|\\04");
    rig_expect(rig, "p", "|MDPW01|\\05");
}

/* A broker that was stopped for a minute does not take its own absence for that of its peers. */
static void test_the_brokers_own_pause_is_no_silence(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, "w", "s", 1);
    rig_send(rig, "p", "|MDPW01|\\01|t");
    rig->now_ms += 60000;
    rig_pass(rig, WHEEL_TICK_MS);
    assert_int_equal(router_count(rig->router, COUNT_EXPIRED_PEERS), 0);
    rig_beat(rig, "w", 'W', 1);
    rig_request(rig, "c", 1, "s", "a", 0, 0);
    rig_expect(rig, "w", "REQUEST *");
    rig_pass(rig, HEARTBEAT_GONE_MS + 2 * WHEEL_TICK_MS);
    assert_int_equal(router_count(rig->router, COUNT_EXPIRED_PEERS), 1);
}

/* Protected names take the secret; a wrong one counts towards being ignored. Other names don't. */
static void test_protected_names_take_the_secret(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&(struct router_options){.name = "b", .secret = "open sesame"});
    struct pack_record ready = {.command = PACK_READY,
                                .number = 1,
                                .service = "catalog.leader",
                                .service_len = 14,
                                .body = (const uint8_t *)"open sesame",
                                .body_len = 11};
    rig_pack(rig, "good", 'W', &ready, 1);
    rig_request(rig, "c", 1, "catalog.leader", "a", 0, 0);
    rig_expect(rig, "good", "REQUEST *");
    ready.body = (const uint8_t *)"open sesamE";
    rig_pack(rig, "bad", 'W', &ready, 1);
    rig_expect(rig, "bad", "DISCONNECT");
    ready.body = (const uint8_t *)"open sesame\0";
    ready.body_len = 12;
    rig_pack(rig, "worse", 'W', &ready, 1);
    rig_expect(rig, "worse", "DISCONNECT");
    rig_ready(rig, "none", "order", 1);
    rig_expect(rig, "none", "DISCONNECT");
    rig_send(rig, "plain", "|MDPW01|\\01|node.x");
    rig_expect(rig, "plain", "|MDPW01|\\05");
    rig_ready(rig, "free", "echo", 1);
    rig_expect_nothing(rig, "free");
    for (int i = 0; i < 2 * BROKER_STRIKES_MAX; i++)
        rig_pack(rig, "worse", 'W', &ready, 1);
    assert_int_equal(router_count(rig->router, COUNT_BANNED), 1);

    rig_pack(rig, "client", 'C',
             &(struct pack_record){.command = PACK_HELLO,
                                   .service = "x",
                                   .service_len = 1,
                                   .body = (const uint8_t *)"wrong",
                                   .body_len = 5},
             1);
    rig_expect(rig, "client", "DISCONNECT");
    rig_destroy(&rig);
}

/* Several requests for one of our workers, and several replies to one of our clients, leave in one
 * message each. */
static void test_what_goes_to_one_peer_in_a_turn_leaves_in_one_message(void **state)
{
    struct rig *rig = *state;
    struct pack_record records[10];
    uint64_t ids[10];
    rig_ready(rig, "w", "s", 64);
    for (size_t i = 0; i < 10; i++)
        records[i] = (struct pack_record){.command = PACK_REQUEST,
                                          .correlation = i,
                                          .service = "s",
                                          .service_len = 1,
                                          .body = (const uint8_t *)"0123456789" + i,
                                          .body_len = 1};
    rig->messages = 0;
    rig_pack(rig, "c", 'C', records, 10);
    assert_int_equal(rig->messages, 1);
    for (size_t i = 0; i < 10; i++) {
        char pattern[64];
        snprintf(pattern, sizeof pattern, "REQUEST id=* attempt=1 ms=30000 s %zu", i);
        rig_expect(rig, "w", pattern);
        ids[i] = rig->id;
    }
    for (size_t i = 0; i < 10; i++)
        records[i] = (struct pack_record){.command = PACK_REPLY, .correlation = ids[i]};
    rig_pack(rig, "w", 'W', records, 10);
    assert_int_equal(rig->messages, 2);
    for (size_t i = 0; i < 10; i++) {
        char pattern[64];
        snprintf(pattern, sizeof pattern, "REPLY correlation=%zu status=0 ", i);
        rig_expect(rig, "c", pattern);
    }
}

/* The broker is asked for itself under its own name, and answers in the asker's speech. */
static void test_a_request_to_the_broker_itself_is_asked_of_its_owner(void **state)
{
    struct rig *rig = *state;
    rig_request(rig, "c", 5, "node.broker-1", "{}", 0, 0);
    assert_int_not_equal(rig->ask_id, 0);
    router_answer(rig->router, rig->ask_id, OK, "me", 2, rig->now_ms);
    rig_settle(rig);
    rig_expect(rig, "c", "REPLY correlation=5 status=0 me");
    rig_send(rig, "d", "|MDPC01|node.broker-1|{}");
    router_answer(rig->router, rig->ask_id, OK, "me", 2, rig->now_ms);
    router_answer(rig->router, rig->ask_id, OK, "me", 2, rig->now_ms);
    rig_settle(rig);
    rig_expect(rig, "d", "|MDPC01|node.broker-1|me");
    rig_expect_nothing(rig, "d");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_every_pair_of_dialects_understands_each_other),
        TEST(test_plain_peers_and_ours_serve_each_other),
        TEST(test_an_answer_has_the_dialect_of_its_request),
        TEST(test_partial_answers_are_passed_on_or_collected),
        TEST(test_a_reply_without_delimiter_is_understood),
        TEST(test_mmi_says_who_is_served),
        TEST(test_reserved_names_are_refused),
        TEST(test_a_second_ready_disconnects),
        TEST(test_a_misplaced_command_is_answered_once),
        TEST(test_what_follows_a_misplaced_command_is_ignored),
        TEST(test_a_peer_keeps_its_role),
        TEST(test_a_worker_may_disconnect_at_any_time),
        TEST(test_too_many_malformed_messages_ban_a_peer),
        TEST(test_what_is_told_in_a_turn_is_bounded),
        TEST(test_an_invalid_name_is_refused),
        TEST(test_our_peers_are_sent_heartbeats),
        TEST(test_plain_workers_are_sent_heartbeats),
        TEST(test_the_silent_are_gone),
        TEST(test_the_brokers_own_pause_is_no_silence),
        TEST(test_protected_names_take_the_secret),
        TEST(test_what_goes_to_one_peer_in_a_turn_leaves_in_one_message),
        TEST(test_a_request_to_the_broker_itself_is_asked_of_its_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
