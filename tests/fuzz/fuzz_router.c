/* The router's whole input: peers that say anything, losses, passing time, drain and stop, as events
 * that are read from the bytes one after the other. Nothing asserts in it, its invariants hold after
 * each event, and what it sends is well formed.
 *
 * An event is a byte (which), a byte (whose), and what the event needs. Events make messages of the
 * right form with ease, since few would be by chance; one kind is any frames at all. Ids of requests
 * that a peer was given are remembered, so that answers find theirs.
 *
 * Held beside router_check(): no client of ours gets more answers to a correlation id than it sent
 * requests with it; and when all is stopped, nothing is under way.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/err.h"
#include "broker/bus/pack.h"
#include "broker/router.h"
#include "tests/fuzz/frames.h"
#include "tests/lib/router_check.h"

enum { PEERS = 14, IDS = 4, ASKS = 4, BALANCES = 1024, EVENTS_MAX = 2000 };

/* Requests less answers of one correlation id of one peer. */
struct balance {
    char peer;
    uint64_t correlation;
    int64_t open;
};

struct play {
    struct router *router;
    struct bytes_reader input;
    int64_t now_ms;
    uint64_t ids[PEERS][IDS]; /* of requests that each peer was given lately */
    uint8_t id_next[PEERS];
    uint64_t asked[ASKS];
    size_t ask_count;
    struct balance balances[BALANCES];
    size_t balance_count;
    bool stopped;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- What the router says -------------------------------------------------------------------- */

/* NULL when there are too many to keep: those are not looked at. */
static struct balance *find_balance(struct play *self, char peer, uint64_t correlation)
{
    for (size_t i = 0; i < self->balance_count; i++)
        if (self->balances[i].peer == peer && self->balances[i].correlation == correlation)
            return &self->balances[i];
    if (self->balance_count == BALANCES)
        return NULL;
    self->balances[self->balance_count] = (struct balance){peer, correlation, 0};
    return &self->balances[self->balance_count++];
}

/* Whether a message is one of ours, and then its records. */
static bool read_ours(const struct message *message, char side, struct pack_record *records,
                      size_t *count)
{
    return pack_is(message, side) && pack_read(message, side, records, count) == 0;
}

static void note_requests(struct play *self, char peer, const struct message *message)
{
    struct pack_record records[BATCH_COUNT_MAX];
    size_t count;

    if (!read_ours(message, 'C', records, &count))
        return;
    for (size_t i = 0; i < count; i++) {
        struct balance *balance = find_balance(self, peer, records[i].correlation);
        if (records[i].command == PACK_REQUEST && balance != NULL)
            balance->open++;
    }
}

static void remember_id(struct play *self, char peer, uint64_t id)
{
    const size_t at = (size_t)(peer - 'A');
    self->ids[at][self->id_next[at]++ % IDS] = id;
}

static void hear_ours(struct play *self, char peer, char side, const struct pack_record *record)
{
    if (record->command == PACK_REQUEST) {
        assert(side == 'W' && record->attempt >= 1 && record->attempt <= ATTEMPTS_MAX);
        remember_id(self, peer, record->correlation);
    } else if (record->command == PACK_REPLY) {
        struct balance *balance = find_balance(self, peer, record->correlation);
        assert(side == 'C');
        if (balance != NULL)
            assert(balance->open-- > 0);
    }
}

/* The address of a plain REQUEST is the frame before an empty one. */
static void hear_plain(struct play *self, char peer, const struct message *message)
{
    for (size_t i = 2; i + 1 < message->count && i < 4; i++) {
        char text[17] = "";
        if (frame_size(&message->frames[i]) != 16 || frame_size(&message->frames[i + 1]) != 0)
            continue;
        memcpy(text, frame_data(&message->frames[i]), 16);
        remember_id(self, peer, strtoull(text, NULL, 16));
    }
}

static void hear(struct play *self, const struct router_action *action)
{
    struct pack_record records[BATCH_COUNT_MAX];
    const struct message *message = &action->message;
    const char side = pack_is(message, 'C') ? 'C' : 'W';
    const char peer = (char)frame_data(&action->routing_id)[0];
    size_t count = 0;

    assert(message->count > 0 && message->count <= MESSAGE_FRAMES_MAX);
    assert(message_size(message) <= MESSAGE_BYTES_MAX);
    if (!pack_is(message, side)) {
        hear_plain(self, peer, message);
        return;
    }
    int code = pack_read(message, side, records, &count);
    assert(code == 0 && count > 0);
    for (size_t i = 0; i < count; i++)
        hear_ours(self, peer, side, &records[i]);
}

static void settle(struct play *self)
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
    router_check(self->router);
}

/* ---- What peers say -------------------------------------------------------------------------- */

static const char *get_service(struct play *self)
{
    static const char *const names[] = {"a",   "b",           "off",     "catalog.leader",
                                        "c",   "mmi.service", "node.me", "node.you",
                                        "mmi", "\x01",        "",        "a"};
    return names[bytes_get_u8(&self->input) % (sizeof names / sizeof *names)];
}

/* Small ones mostly, and some above each bound. */
static size_t get_size(struct play *self)
{
    const uint8_t byte = bytes_get_u8(&self->input);
    return byte < 200 ? byte : byte < 250 ? (size_t)(byte - 199) * 100 : (size_t)byte * 2500;
}

static uint64_t get_id(struct play *self, char peer)
{
    const uint8_t byte = bytes_get_u8(&self->input);
    if (byte >= 0xf0)
        return bytes_get_u64(&self->input);
    return self->ids[byte & 0x80 ? byte % PEERS : peer - 'A'][byte % IDS];
}

static void add_text(struct message *message, const char *text)
{
    message_add_copy(message, text, strlen(text));
}

static void add_body(struct play *self, struct message *message)
{
    const size_t size = get_size(self);
    struct frame frame;
    frame_init_size(&frame, size);
    if (size > 0)
        memset(frame_data_mutable(&frame), 'x', size);
    message_add_frame(message, &frame);
}

static void make_client(struct play *self, struct message *message)
{
    const uint8_t how = bytes_get_u8(&self->input);

    message_init(message);
    if (how & 1)
        add_text(message, "");
    add_text(message, how & 2 ? "MDPC02" : "MDPC01");
    if (how & 2)
        message_add_copy(message, "\1", 1);
    add_text(message, get_service(self));
    for (unsigned i = 0; i <= how % 29u && message->count < MESSAGE_FRAMES_MAX; i++)
        add_body(self, message);
}

static void make_worker(struct play *self, struct message *message, char peer)
{
    const uint8_t how = bytes_get_u8(&self->input), byte = how >> 4;
    char address[17];

    message_init(message);
    if (how & 1)
        add_text(message, "");
    add_text(message, how & 2 ? "MDPW02" : "MDPW01");
    message_add_copy(message, &byte, 1);
    if (byte == 1)
        add_text(message, get_service(self));
    if (byte != 3 && (byte != 4 || !(how & 2)))
        return;
    snprintf(address, sizeof address, "%016llx", (unsigned long long)get_id(self, peer));
    add_text(message, address);
    if (how & 4)
        add_text(message, "");
    for (int i = how & 8 ? 3 : 1; i > 0; i--)
        add_body(self, message);
}

static struct pack_record get_record(struct play *self, char side, char peer, const uint8_t *body)
{
    static const uint16_t codes[] = {OK, ERR_NOT_LEADER, ERR_BUSY, 65535};
    const uint8_t how = bytes_get_u8(&self->input);
    const char *service = get_service(self);
    struct pack_record record = {
        .command = (uint8_t)(1 + how % 7),
        .flags = how >> 3 & 3,
        .status = codes[how >> 5 & 3],
        .number = how & 128 ? bytes_get_u32(&self->input) : bytes_get_u8(&self->input),
        .attempt = how,
        .service = service,
        .service_len = strlen(service),
        .body = body,
    };
    record.body_len = get_size(self) / 10; /* so that as many as there can be fit a message */
    record.correlation = side == 'W' ? get_id(self, peer) : bytes_get_u8(&self->input);
    return record;
}

static void make_ours(struct play *self, struct message *message, char peer)
{
    static const uint8_t body[64 * 1024];
    struct pack_record records[BATCH_COUNT_MAX];
    const uint8_t how = bytes_get_u8(&self->input);
    const char side = how & 64 ? 'W' : 'C';
    const size_t count = 1 + (size_t)how % (how & 128 ? BATCH_COUNT_MAX : 3);
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++) {
        records[i] = get_record(self, side, peer, body);
        if (bytes + records[i].body_len > MESSAGE_BYTES_MAX / 2)
            records[i].body_len = 0;
        bytes += records[i].body_len;
    }
    pack_write(message, side, records, count);
}

static void play_message(struct play *self, struct frame *routing_id, char peer, unsigned kind)
{
    struct message message;

    switch (kind) {
    case 0: frames_get(&self->input, &message); break;
    case 1: make_client(self, &message); break;
    case 2: make_worker(self, &message, peer); break;
    default: make_ours(self, &message, peer); break;
    }
    note_requests(self, peer, &message);
    router_receive(self->router, routing_id, &message, self->now_ms);
    assert(message.count == 0);
}

/* ---- Events ---------------------------------------------------------------------------------- */

static void play_time(struct play *self)
{
    const uint16_t ms = bytes_get_u16(&self->input);
    self->now_ms += ms < 60000 ? ms : (ms - 60000u) * 100;
    router_tick(self->router, self->now_ms);
}

static void play_event(struct play *self)
{
    const uint8_t which = bytes_get_u8(&self->input);
    const char peer = (char)('A' + bytes_get_u8(&self->input) % PEERS);
    const uint8_t stop = 255, drain = 254;
    struct frame routing_id;

    frame_init_copy(&routing_id, &peer, 1);
    if (which == stop) {
        router_stop(self->router, self->now_ms);
        self->stopped = true;
    } else if (which == drain) {
        router_drain(self->router, self->now_ms);
    } else if (which >= 250) {
        router_lost(self->router, &routing_id, self->now_ms);
    } else if (which >= 245) {
        router_receive_malformed(self->router, &routing_id, self->now_ms);
    } else if (which >= 235) {
        router_answer(self->router, self->asked[which % ASKS], which & 1 ? OK : ERR_INVALID, "{}",
                      2, self->now_ms);
    } else if (which >= 200) {
        play_time(self);
    } else {
        play_message(self, &routing_id, peer, which % 4u);
    }
    frame_close(&routing_id);
    settle(self);
}

static struct router *new_router(int64_t now_ms)
{
    static const char *const off[] = {"off"};
    return router_new(&(struct router_options){.name = "me",
                                               .secret = "s",
                                               .replay_off = off,
                                               .replay_off_count = 1,
                                               .hash_seed = 7,
                                               .start_grace_ms = 100,
                                               .limits = {.peers = 10,
                                                          .services = 4,
                                                          .requests = 60,
                                                          .bytes = 20000,
                                                          .client_requests = 20,
                                                          .client_bytes = 6000,
                                                          .service_requests = 30,
                                                          .service_bytes = 9000}},
                      now_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play *play = calloc(1, sizeof *play);

    assert(play != NULL);
    play->now_ms = 5000;
    play->router = new_router(play->now_ms);
    bytes_reader_init(&play->input, data, size);
    for (int i = 0; i < EVENTS_MAX && play->input.size > 0 && !play->stopped; i++)
        play_event(play);
    router_stop(play->router, play->now_ms);
    settle(play);
    assert(router_idle(play->router));
    router_destroy(&play->router);
    free(play);
    return 0;
}
