/* The router among peers that say anything: random garbage, random valid messages, truncated and
 * twisted ones, losses and passing time, from one seed. Nothing asserts in the router, and its
 * invariants hold after each step.
 *
 * ROUTER_SEED and ROUTER_STEPS in the environment choose another run than the default.
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

#include "broker/bus/bytes.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "broker/bus/mdp.h"
#include "broker/bus/pack.h"
#include "broker/router.h"
#include "tests/lib/router_check.h"

#define PEERS       40
#define IDS         8 /* requests given to a peer that are remembered, for answers */
#define ASKS        16
#define CHECK_EVERY 16 /* steps between two looks at all of the state */

struct chaos {
    struct router *router;
    uint64_t random; /* xorshift64* */
    int64_t now_ms;
    bool stopped;
    uint64_t ids[PEERS][IDS]; /* of requests that each peer was given lately */
    uint8_t id_next[PEERS];
    uint64_t asked[ASKS];
    size_t ask_count;
    uint64_t
        accepted; /* answers and such that were seen, so that the run is known to do something */
};

static uint32_t pick(struct chaos *self, uint32_t count)
{
    self->random ^= self->random >> 12;
    self->random ^= self->random << 25;
    self->random ^= self->random >> 27;
    return (uint32_t)((self->random * 0x2545f4914f6cdd1du) >> 33) % count;
}

/* Mostly a name that can be served, now and then one that is reserved or none at all. */
static const char *pick_service(struct chaos *self)
{
    static const char *const served[] = {"a", "b", "c", "off", "catalog.leader"};
    if (pick(self, 10) > 0)
        return served[pick(self, 5)];
    static const char *const names[] = {
        "a",       "b",        "c", "catalog.leader", "mmi.service", "mmi.x",
        "node.me", "node.you", "",  "\x01",           "off",         "d"};
    return names[pick(self, sizeof names / sizeof *names)];
}

static size_t pick_size(struct chaos *self)
{
    switch (pick(self, 20)) {
    case 0: return 2000 + pick(self, 3000);
    case 1: return pick(self, 600);
    default: return pick(self, 40);
    }
}

/* The id of a request that @peer was given lately, sometimes another's, sometimes a guess. */
static uint64_t pick_id(struct chaos *self, char peer)
{
    const uint32_t kind = pick(self, 40);
    const size_t owner = kind == 0 ? pick(self, PEERS) : (size_t)(peer - 'A');
    return kind == 1 ? pick(self, UINT32_MAX) : self->ids[owner][pick(self, IDS)];
}

static void remember_id(struct chaos *self, char peer, uint64_t id)
{
    const size_t at = (size_t)(peer - 'A');
    self->ids[at][self->id_next[at]++ % IDS] = id;
}

static void add_bytes(struct chaos *self, struct message *message, size_t size)
{
    struct frame frame;
    frame_init_size(&frame, size);
    for (size_t i = 0; i < size; i++)
        frame_data_mutable(&frame)[i] = (uint8_t)pick(self, 256);
    message_add_frame(message, &frame);
}

static void add_text(struct message *message, const char *text)
{
    message_add_copy(message, text, strlen(text));
}

/* Each peer has a part that it mostly plays, else nothing would ever get done. */
static bool plays_worker(struct chaos *self, char peer)
{
    return (peer % 2 == 0) == (pick(self, 200) > 0);
}

static bool plays_plain(struct chaos *self, char peer)
{
    return (peer % 4 < 2) == (pick(self, 200) > 0);
}

/* READY, HEARTBEAT, DISCONNECT and answers, as 0.1 and 0.2 have them; sometimes anything. */
static uint8_t pick_worker_byte(struct chaos *self, bool second)
{
    const uint32_t kind = pick(self, 100);
    if (kind < 60)
        return second && kind < 45 ? 4 : 3;
    if (kind < 62)
        return 1;
    if (kind < 97)
        return second ? 5 : 4;
    return (uint8_t)pick(self, 9);
}

static void make_worker(struct chaos *self, struct message *message, char peer, bool second)
{
    char address[17];
    const uint8_t byte = pick_worker_byte(self, second);
    message_add_copy(message, &byte, 1);
    if (byte == 1)
        add_text(message, pick_service(self));
    if (byte != 3 && (byte != 4 || !second))
        return;
    snprintf(address, sizeof address, "%016llx", (unsigned long long)pick_id(self, peer));
    add_text(message, address);
    if (pick(self, 4) > 0)
        add_text(message, "");
    add_bytes(self, message, pick_size(self));
}

static void make_plain(struct chaos *self, struct message *message, char peer)
{
    const bool worker = plays_worker(self, peer), second = pick(self, 2) == 0;
    message_init(message);
    if (pick(self, 3) > 0)
        add_text(message, "");
    if (worker) {
        add_text(message, second ? "MDPW02" : "MDPW01");
        make_worker(self, message, peer, second);
        return;
    }
    add_text(message, second ? "MDPC02" : "MDPC01");
    if (second)
        message_add_copy(message, "\1", 1);
    add_text(message, pick_service(self));
    for (uint32_t i = 1 + pick(self, pick(self, 100) == 0 ? 26 : 3); i > 0; i--)
        add_bytes(self, message, pick_size(self));
}

static struct pack_record make_record(struct chaos *self, char side, char peer)
{
    static const uint8_t bytes[5000];
    static const uint16_t codes[] = {OK, OK, ERR_NOT_LEADER, ERR_NOT_FOUND, ERR_BUSY};
    static const uint8_t commands[2][10] = {
        {PACK_REQUEST, PACK_REQUEST, PACK_REQUEST, PACK_REQUEST, PACK_REQUEST, PACK_REQUEST,
         PACK_REQUEST, PACK_REQUEST, PACK_REQUEST, PACK_HELLO},
        {PACK_REPLY, PACK_REPLY, PACK_REPLY, PACK_REPLY, PACK_REPLY, PACK_REPLY, PACK_REPLY,
         PACK_HEARTBEAT, PACK_HEARTBEAT, PACK_HEARTBEAT},
    };
    const char *name = pick_service(self);
    struct pack_record record = {
        .command = commands[side == 'W'][pick(self, 10)],
        .flags = (uint8_t)pick(self, 4),
        .status = codes[pick(self, 5)],
        .number = pick(self, 50) == 0 ? UINT32_MAX : pick(self, side == 'C' ? 3000 : 9),
        .correlation = side == 'C' ? self->random : pick_id(self, peer),
        .service = name,
        .service_len = strlen(name),
        .body = bytes,
        .body_len = pick_size(self),
    };
    if (side == 'W' && pick(self, 100) == 0)
        record.command = PACK_READY;
    if (pick(self, 400) == 0)
        record.command = (uint8_t)(1 + pick(self, 7));
    return record;
}

static void make_ours(struct chaos *self, struct message *message, char peer)
{
    struct pack_record records[BATCH_COUNT_MAX];
    const char side = plays_worker(self, peer) ? 'W' : 'C';
    const uint32_t count = 1 + pick(self, pick(self, 10) == 0 ? BATCH_COUNT_MAX : 4);
    for (uint32_t i = 0; i < count; i++)
        records[i] = make_record(self, side, peer);
    pack_write(message, side, records, count);
}

static void make_garbage(struct chaos *self, struct message *message)
{
    message_init(message);
    for (uint32_t i = 1 + pick(self, 6); i > 0; i--)
        add_bytes(self, message, pick(self, 30));
}

/* Change a byte, or drop or add a frame. */
static void twist(struct chaos *self, struct message *message)
{
    struct frame *frame = &message->frames[pick(self, (uint32_t)message->count)];
    switch (pick(self, 3)) {
    case 0:
        if (frame_size(frame) > 0)
            frame_data_mutable(frame)[pick(self, (uint32_t)frame_size(frame))] ^=
                (uint8_t)(1 << pick(self, 8));
        break;
    case 1:
        if (message->count > 1)
            frame_close(&message->frames[--message->count]);
        break;
    default:
        if (message->count < MESSAGE_FRAMES_MAX)
            add_bytes(self, message, pick(self, 20));
        break;
    }
}

/* Read what the router sends, as its receiver would: all must be well formed. */
static void hear(struct chaos *self, const struct router_action *action)
{
    struct pack_record records[BATCH_COUNT_MAX];
    size_t count = 0;
    const struct message *message = &action->message;
    const char side = pack_is(message, 'C') ? 'C' : 'W';
    const char peer = (char)frame_data(&action->routing_id)[0];
    assert_true(message->count > 0 && message->count <= MESSAGE_FRAMES_MAX);
    self->accepted++;
    if (!pack_is(message, side)) {
        /* The address of a plain REQUEST is the frame before an empty one. */
        for (size_t i = 2; i + 1 < message->count && i < 4; i++) {
            char text[17] = "";
            if (frame_size(&message->frames[i]) != 16 || frame_size(&message->frames[i + 1]) != 0)
                continue;
            memcpy(text, frame_data(&message->frames[i]), 16);
            remember_id(self, peer, strtoull(text, NULL, 16));
        }
        return;
    }
    assert_int_equal(pack_read(message, side, records, &count), 0);
    for (size_t i = 0; i < count; i++) {
        if (side == 'W' && records[i].command == PACK_REQUEST) {
            assert_true(records[i].attempt >= 1 && records[i].attempt <= ATTEMPTS_MAX);
            remember_id(self, peer, records[i].correlation);
        }
    }
}

static void drain_actions(struct chaos *self)
{
    struct router_action action;
    while (router_next(self->router, &action)) {
        if (action.kind == ROUTER_SEND) {
            hear(self, &action);
            message_close(&action.message);
            frame_close(&action.routing_id);
        } else if (action.kind == ROUTER_ASK) {
            self->asked[self->ask_count++ % ASKS] = action.id;
            frame_close(&action.body);
        }
    }
}

static void step_message(struct chaos *self, struct frame *routing_id, char peer)
{
    struct message message;
    if (pick(self, 200) == 0)
        make_garbage(self, &message);
    else if (plays_plain(self, peer))
        make_plain(self, &message, peer);
    else
        make_ours(self, &message, peer);
    if (pick(self, 200) == 0)
        twist(self, &message);
    router_receive(self->router, routing_id, &message, self->now_ms);
    assert_int_equal(message.count, 0);
}

static void step(struct chaos *self)
{
    struct frame routing_id;
    const char peer = (char)('A' + pick(self, PEERS));
    frame_init_copy(&routing_id, &peer, 1);
    const uint32_t kind = pick(self, 1000);
    if (kind < 890)
        step_message(self, &routing_id, peer);
    else if (kind < 892)
        router_deaf(self->router, &routing_id, self->now_ms);
    else if (kind < 895)
        router_heard(self->router, &routing_id, self->now_ms);
    else if (kind < 897)
        router_lost(self->router, &routing_id, self->now_ms);
    else if (kind < 898)
        router_receive_malformed(self->router, &routing_id, self->now_ms);
    else if (kind < 900)
        router_answer(self->router, self->asked[pick(self, ASKS)], OK, "x", 1, self->now_ms);
    else if (kind < 999)
        router_tick(self->router, self->now_ms += pick(self, 40));
    else
        router_tick(self->router, self->now_ms += pick(self, 400000));
    frame_close(&routing_id);
    /* Several events make a turn. */
    if (pick(self, 4) == 0)
        drain_actions(self);
}

static struct router *new_router(int64_t now_ms)
{
    const char *const off[] = {"off"};
    return router_new(&(struct router_options){.name = "me",
                                               .replay_off = off,
                                               .replay_off_count = 1,
                                               .hash_seed = 7,
                                               .start_grace_ms = 100,
                                               .limits = {.peers = 30,
                                                          .services = 6,
                                                          .requests = 400,
                                                          .bytes = 40000,
                                                          .client_requests = 50,
                                                          .client_bytes = 8000,
                                                          .service_requests = 100,
                                                          .service_bytes = 9000,
                                                          .unserved = 20}},
                      now_ms);
}

/* One long run; then it drains and stops with nothing left under way. */
static void run(uint64_t seed, long steps)
{
    struct chaos chaos = {.random = seed * 2 + 1, .now_ms = 5000};
    chaos.router = new_router(chaos.now_ms);
    for (long i = 0; i < steps; i++) {
        step(&chaos);
        if (i % CHECK_EVERY == 0)
            router_check(chaos.router);
    }
    router_drain(chaos.router, chaos.now_ms);
    for (long i = 0; i < steps / 100; i++)
        step(&chaos);
    router_check(chaos.router);
    router_stop(chaos.router, chaos.now_ms);
    drain_actions(&chaos);
    router_check(chaos.router);
    assert_true(router_idle(chaos.router));
    printf(
        "seed %llu: %llu sent, ok %llu, retries %llu, late %llu, malformed %llu, queue full %llu, "
        "expired %llu, timeout %llu, not leader %llu\n",
        (unsigned long long)seed, (unsigned long long)chaos.accepted,
        (unsigned long long)router_result(chaos.router, SERVICE_OTHER, RESULT_OK),
        (unsigned long long)router_count(chaos.router, COUNT_REDISPATCHED),
        (unsigned long long)router_count(chaos.router, COUNT_LATE),
        (unsigned long long)router_count(chaos.router, COUNT_MALFORMED),
        (unsigned long long)router_result(chaos.router, SERVICE_OTHER, RESULT_QUEUE_FULL),
        (unsigned long long)router_result(chaos.router, SERVICE_OTHER, RESULT_EXPIRED),
        (unsigned long long)router_result(chaos.router, SERVICE_OTHER, RESULT_TIMEOUT),
        (unsigned long long)router_count(chaos.router, COUNT_NOT_LEADER));
    /* A run in which nothing happens proves nothing. */
    assert_true(router_result(chaos.router, SERVICE_OTHER, RESULT_OK) > (uint64_t)steps / 200);
    assert_true(router_count(chaos.router, COUNT_REDISPATCHED) > 0);
    assert_true(router_count(chaos.router, COUNT_LATE) > 0);
    assert_true(router_count(chaos.router, COUNT_MALFORMED) > 0);
    assert_true(router_count(chaos.router, COUNT_NOT_LEADER) > 0);
    assert_true(router_count(chaos.router, COUNT_UNSERVED) > 0);
    assert_true(router_count(chaos.router, COUNT_DEAF) > 0);
    assert_true(router_result(chaos.router, SERVICE_OTHER, RESULT_EXPIRED) > 0);
    assert_true(router_result(chaos.router, SERVICE_OTHER, RESULT_TIMEOUT) > 0);
    router_destroy(&chaos.router);
}

static long number_of(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtol(text, NULL, 10) : otherwise;
}

static void test_nothing_that_peers_say_breaks_an_invariant(void **state)
{
    (void)state;
    const long seed = number_of("ROUTER_SEED", 0), steps = number_of("ROUTER_STEPS", 50000);
    if (seed > 0) {
        run((uint64_t)seed, steps);
        return;
    }
    for (uint64_t each = 1; each <= 4; each++)
        run(each, steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_that_peers_say_breaks_an_invariant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
