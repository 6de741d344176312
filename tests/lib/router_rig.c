/* See router_rig.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/router_rig.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/alloc.h"
#include "broker/bus/limits.h"
#include "broker/router.h"
#include "tests/lib/router_check.h"

struct rig *rig_new(const struct router_options *options)
{
    /* New clients are a subject of their own. */
    const struct router_options nothing = {.name = "broker-1",
                                           .limits = {.new_credit = CREDIT_MAX + 1}};
    struct rig *self = alloc_zero(sizeof *self);
    self->now_ms = 1000000;
    self->router = router_new(options != NULL ? options : &nothing, self->now_ms);
    return self;
}

void rig_clear(struct rig *self)
{
    for (size_t i = 0; i < self->line_count; i++) {
        free(self->lines[i].peer);
        free(self->lines[i].text);
    }
    self->line_count = 0;
}

void rig_destroy(struct rig **self_p)
{
    struct rig *self = *self_p;
    rig_clear(self);
    router_destroy(&self->router);
    free(self->lines);
    free(self);
    *self_p = NULL;
}

/* ---- From the router -------------------------------------------------- */

static void rig_add(struct rig *self, const struct frame *routing_id, const char *text)
{
    if (strcmp(text, "HEARTBEAT") == 0 && !self->keep_heartbeats)
        return;
    self->lines = alloc_resize(self->lines, (self->line_count + 1) * sizeof *self->lines);
    self->lines[self->line_count++] = (struct rig_line){
        alloc_copy(frame_data(routing_id), frame_size(routing_id)), alloc_copy(text, strlen(text))};
}

static void rig_add_plain(struct rig *self, const struct frame *routing_id,
                          const struct message *message)
{
    struct bytes_writer text = {0};
    for (size_t i = 0; i < message->count; i++) {
        if (i > 0)
            bytes_put_u8(&text, '|');
        const uint8_t *data = frame_data(&message->frames[i]);
        for (size_t at = 0; at < frame_size(&message->frames[i]); at++) {
            char escaped[4];
            snprintf(escaped, sizeof escaped, "\\%02x", data[at]);
            if (data[at] >= 0x20 && data[at] < 0x7f)
                bytes_put_u8(&text, data[at]);
            else
                bytes_put_raw(&text, escaped, 3);
        }
    }
    bytes_put_u8(&text, 0);
    const char *line = (const char *)text.data;
    const bool beat = fnmatch("*MDPW01|\\04", line, FNM_NOESCAPE) == 0 ||
                      fnmatch("*MDPW02|\\05", line, FNM_NOESCAPE) == 0;
    if (!beat || self->keep_heartbeats)
        rig_add(self, routing_id, line);
    bytes_writer_close(&text);
}

static void rig_add_record(struct rig *self, const struct frame *routing_id,
                           const struct pack_record *record)
{
    static const char *const names[] = {"",      "HELLO",     "READY",      "REQUEST",
                                        "REPLY", "HEARTBEAT", "DISCONNECT", "GOING_AWAY"};
    const size_t size = 256 + record->body_len;
    char *line = alloc_zero(size);
    if (record->command == PACK_REQUEST)
        snprintf(line, size, "REQUEST id=%016" PRIx64 " attempt=%u ms=%u %.*s %.*s",
                 record->correlation, record->attempt, record->number, (int)record->service_len,
                 record->service, (int)record->body_len, (const char *)record->body);
    else if (record->command == PACK_REPLY)
        snprintf(line, size, "REPLY correlation=%" PRIu64 " status=%u %.*s", record->correlation,
                 record->status, (int)record->body_len, (const char *)record->body);
    else
        snprintf(line, size, "%s", names[record->command]);
    rig_add(self, routing_id, line);
    free(line);
}

static void rig_hear(struct rig *self, struct router_action *action)
{
    struct pack_record records[BATCH_COUNT_MAX];
    size_t count = 0;
    const char side = pack_is(&action->message, 'C') ? 'C' : 'W';
    self->messages++;
    if (!pack_is(&action->message, side)) {
        rig_add_plain(self, &action->routing_id, &action->message);
        return;
    }
    assert_int_equal(pack_read(&action->message, side, records, &count), 0);
    for (size_t i = 0; i < count; i++)
        rig_add_record(self, &action->routing_id, &records[i]);
}

void rig_settle(struct rig *self)
{
    struct router_action action;
    while (router_next(self->router, &action)) {
        switch (action.kind) {
        case ROUTER_SEND:
            rig_hear(self, &action);
            message_close(&action.message);
            frame_close(&action.routing_id);
            break;
        case ROUTER_ASK:
            self->ask_id = action.id;
            frame_close(&action.body);
            break;
        case ROUTER_TELL: self->notes[action.note.kind]++; break;
        }
    }
    router_check(self->router);
}

/* ---- To the router ---------------------------------------------------- */

static void rig_receive(struct rig *self, const char *peer, struct message *message)
{
    struct frame routing_id;
    frame_init_copy(&routing_id, peer, strlen(peer));
    router_receive(self->router, &routing_id, message, self->now_ms);
    frame_close(&routing_id);
    rig_settle(self);
}

static void rig_add_frame(struct message *message, const char *text, const char *end)
{
    struct bytes_writer bytes = {0};
    while (text < end) {
        if (*text == '\\') {
            const char digits[3] = {text[1], text[2], '\0'};
            bytes_put_u8(&bytes, (uint8_t)strtoul(digits, NULL, 16));
            text += 3;
        } else {
            bytes_put_u8(&bytes, (uint8_t)*text++);
        }
    }
    message_add_copy(message, bytes.data, bytes.size);
    bytes_writer_close(&bytes);
}

void rig_message(struct message *message, const char *text)
{
    message_init(message);
    for (const char *end = strchr(text, '|'); end != NULL; end = strchr(text, '|')) {
        rig_add_frame(message, text, end);
        text = end + 1;
    }
    rig_add_frame(message, text, text + strlen(text));
}

void rig_send(struct rig *self, const char *peer, const char *text)
{
    struct message message;
    rig_message(&message, text);
    rig_receive(self, peer, &message);
}

void rig_pack(struct rig *self, const char *peer, char side, const struct pack_record *records,
              size_t count)
{
    struct message message;
    pack_write(&message, side, records, count);
    rig_receive(self, peer, &message);
}

static void rig_pack_one(struct rig *self, const char *peer, char side, struct pack_record record,
                         const char *service, const char *body)
{
    record.service = service;
    record.service_len = strlen(service);
    record.body = (const uint8_t *)body;
    record.body_len = strlen(body);
    rig_pack(self, peer, side, &record, 1);
}

void rig_hello(struct rig *self, const char *client)
{
    rig_pack_one(self, client, 'C', (struct pack_record){.command = PACK_HELLO}, client, "");
}

void rig_request(struct rig *self, const char *client, uint64_t correlation, const char *service,
                 const char *body, uint32_t budget_ms, uint8_t flags)
{
    rig_pack_one(self, client, 'C',
                 (struct pack_record){.command = PACK_REQUEST,
                                      .correlation = correlation,
                                      .number = budget_ms,
                                      .flags = flags},
                 service, body);
}

void rig_ready(struct rig *self, const char *worker, const char *service, uint32_t credit)
{
    rig_pack_one(self, worker, 'W', (struct pack_record){.command = PACK_READY, .number = credit},
                 service, "");
}

void rig_reply(struct rig *self, const char *worker, uint64_t id, int status, const char *body)
{
    rig_pack_one(
        self, worker, 'W',
        (struct pack_record){.command = PACK_REPLY, .correlation = id, .status = (uint16_t)status},
        "", body);
}

void rig_beat(struct rig *self, const char *peer, char side, uint32_t credit)
{
    rig_pack_one(self, peer, side,
                 (struct pack_record){.command = PACK_HEARTBEAT, .number = credit}, peer, "");
}

void rig_plain_reply(struct rig *self, const char *worker, const char *head, uint64_t id,
                     const char *body)
{
    char *text = alloc_zero(strlen(head) + strlen(body) + 64);
    sprintf(text, "%s|%016" PRIx64 "||%s", head, id, body);
    rig_send(self, worker, text);
    free(text);
}

void rig_lose(struct rig *self, const char *peer)
{
    struct frame routing_id;
    frame_init_copy(&routing_id, peer, strlen(peer));
    router_lost(self->router, &routing_id, self->now_ms);
    frame_close(&routing_id);
    rig_settle(self);
}

void rig_pass(struct rig *self, int64_t ms)
{
    const int64_t end_ms = self->now_ms + ms;
    while (self->now_ms < end_ms) {
        const int64_t step_ms = end_ms - self->now_ms;
        self->now_ms += step_ms < WHEEL_TICK_MS ? step_ms : WHEEL_TICK_MS;
        router_tick(self->router, self->now_ms);
        rig_settle(self);
    }
}

/* ---- What tests expect ------------------------------------------------ */

static size_t rig_find(const struct rig *self, const char *peer)
{
    size_t at = 0;
    while (at < self->line_count && strcmp(self->lines[at].peer, peer) != 0)
        at++;
    return at;
}

/* Remember the id of a REQUEST: ours says so, a plain one has it as its address. */
static void rig_take_id(struct rig *self, const char *text)
{
    static const char *const heads[] = {"REQUEST id=", "MDPW01|\\02|", "MDPW02|\\02|"};
    const char *at = NULL;
    for (size_t i = 0; i < sizeof heads / sizeof *heads && at == NULL; i++) {
        at = strstr(text, heads[i]);
        if (at != NULL)
            at += strlen(heads[i]);
    }
    if (at != NULL)
        self->id = strtoull(at, NULL, 16);
}

void rig_expect(struct rig *self, const char *peer, const char *pattern)
{
    const size_t at = rig_find(self, peer);
    if (at == self->line_count)
        fail_msg("nothing for %s, expected: %s", peer, pattern);
    if (fnmatch(pattern, self->lines[at].text, FNM_NOESCAPE) != 0)
        fail_msg("for %s: %s\nexpected: %s", peer, self->lines[at].text, pattern);
    rig_take_id(self, self->lines[at].text);
    free(self->lines[at].peer);
    free(self->lines[at].text);
    self->line_count--;
    memmove(&self->lines[at], &self->lines[at + 1], (self->line_count - at) * sizeof *self->lines);
}

void rig_expect_nothing(struct rig *self, const char *peer)
{
    const size_t at = rig_find(self, peer);
    if (at < self->line_count)
        fail_msg("for %s, unexpected: %s", peer, self->lines[at].text);
}
