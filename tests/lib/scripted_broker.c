/* See scripted_broker.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/scripted_broker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/limits.h"

#define SCRIPTED_RUN_MS_MAX 40000 /* a sanitizer may make it ten times slower */

static void scripted_record_free(void **record_p)
{
    struct scripted_record *record = *record_p;
    free(record->service);
    free(record->body);
    free(record);
    *record_p = NULL;
}

static void scripted_peer_free(void **peer_p)
{
    frame_close(*peer_p);
    free(*peer_p);
    *peer_p = NULL;
}

/* ---- What comes ------------------------------------------------------- */

static struct frame *scripted_peer(struct scripted_broker *self, uint64_t number)
{
    struct frame *peer = zlistx_first(self->peers);
    for (uint64_t i = 1; i < number && peer != NULL; i++)
        peer = zlistx_next(self->peers);
    assert_non_null(peer);
    return peer;
}

/* The number of a peer, a new one when it was not seen in this life. */
static uint64_t scripted_peer_number(struct scripted_broker *self, struct frame *id)
{
    uint64_t number = 0;
    struct frame *peer = zlistx_first(self->peers);
    for (; peer != NULL; peer = zlistx_next(self->peers)) {
        number++;
        if (number > self->gone_count && frame_equals(peer, frame_data(id), frame_size(id)))
            return number;
    }
    peer = alloc_zero(sizeof *peer);
    frame_init_copy(peer, frame_data(id), frame_size(id));
    zlistx_add_end(self->peers, peer);
    return number + 1;
}

static void scripted_keep(struct scripted_broker *self, uint64_t peer,
                          const struct pack_record *from)
{
    if (from->command == PACK_HEARTBEAT) {
        self->beat_count++;
        return;
    }
    struct scripted_record *record = alloc_zero(sizeof *record);
    record->peer = peer;
    record->message = self->message_count;
    record->command = from->command;
    record->flags = from->flags;
    record->status = from->status;
    record->attempt = from->attempt;
    record->number = from->number;
    record->correlation = from->correlation;
    record->service = alloc_copy(from->service, from->service_len);
    record->body = alloc_copy(from->body, from->body_len);
    record->body_len = from->body_len;
    zlistx_add_end(self->records, record);
}

static int scripted_ready(zloop_t *loop, zsock_t *socket, void *arg)
{
    struct scripted_broker *self = arg;
    struct pack_record records[BATCH_COUNT_MAX];
    struct message message;
    struct frame id;
    size_t count;

    (void)loop;
    while (message_receive(&message, zsock_resolve(socket), &id) == 0) {
        assert_int_equal(pack_read(&message, self->side, records, &count), 0);
        self->message_count++;
        uint64_t peer = scripted_peer_number(self, &id);
        for (size_t i = 0; i < count; i++)
            scripted_keep(self, peer, &records[i]);
        message_close(&message);
        frame_close(&id);
    }
    return 0;
}

static int scripted_beat(zloop_t *loop, int timer, void *arg)
{
    struct scripted_broker *self = arg;

    (void)loop;
    (void)timer;
    if (self->router == NULL || self->mute)
        return 0;
    for (uint64_t peer = self->gone_count + 1; peer <= zlistx_size(self->peers); peer++)
        scripted_broker_command(self, peer, PACK_HEARTBEAT);
    return 0;
}

/* ---- Life ------------------------------------------------------------- */

void scripted_broker_set_deaf(struct scripted_broker *self, bool deaf)
{
    if (deaf)
        zloop_reader_end(self->loop, self->router);
    else
        zloop_reader(self->loop, self->router, scripted_ready, self);
}

/* 127.1.0.0 and up, by the process: all of 127/8 is the loopback. */
static uint32_t scripted_host(void)
{
    return (127u << 24 | 1u << 16) + (uint32_t)getpid() % (200u << 16);
}

void scripted_address(char *text)
{
    uint32_t host = scripted_host();

    snprintf(text, SCRIPTED_ADDRESS_BYTES, "tcp://%u.%u.%u.%u:![20000-32000]", host >> 24,
             host >> 16 & 255, host >> 8 & 255, host & 255);
}

void scripted_broker_start(struct scripted_broker *self)
{
    self->router = zsock_new(ZMQ_ROUTER);
    assert_non_null(self->router);
    zsock_set_linger(self->router, 0);
    zsock_set_sndhwm(self->router, 0);  /* what the test says is never dropped */
    zsock_set_rcvhwm(self->router, 10); /* a deaf broker is noticed soon */
    assert_int_not_equal(zsock_bind(self->router, "%s", self->endpoint), -1);
    snprintf(self->endpoint, sizeof self->endpoint, "%s", zsock_endpoint(self->router));
    zloop_reader(self->loop, self->router, scripted_ready, self);
}

/* Whether somebody listens at the broker's address. */
static bool scripted_listens(const struct scripted_broker *self)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(scripted_host());
    address.sin_port = htons((uint16_t)strtol(strrchr(self->endpoint, ':') + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    int rc = connect(fd, (struct sockaddr *)&address, sizeof address);
    close(fd);
    return rc == 0;
}

void scripted_broker_stop(struct scripted_broker *self)
{
    int64_t end_ms = clock_ms() + SCRIPTED_RUN_MS_MAX;

    zloop_reader_end(self->loop, self->router);
    zsock_destroy(&self->router);
    /* Another thread closes it, some time after that. */
    while (scripted_listens(self))
        assert_true(clock_ms() < end_ms);
    self->gone_count = zlistx_size(self->peers);
}

struct scripted_broker *scripted_broker_new(zloop_t *loop, char side)
{
    struct scripted_broker *self = alloc_zero(sizeof *self);
    self->loop = loop;
    self->side = side;
    self->peers = zlistx_new();
    self->records = zlistx_new();
    zlistx_set_destructor(self->peers, scripted_peer_free);
    zlistx_set_destructor(self->records, scripted_record_free);
    static_assert(sizeof self->endpoint >= SCRIPTED_ADDRESS_BYTES, "an address fits");
    scripted_address(self->endpoint);
    scripted_broker_start(self);
    zloop_timer(loop, HEARTBEAT_MS, 0, scripted_beat, self);
    return self;
}

void scripted_broker_destroy(struct scripted_broker **self_p)
{
    struct scripted_broker *self = *self_p;
    if (self == NULL)
        return;
    if (self->router != NULL)
        scripted_broker_stop(self);
    zlistx_destroy(&self->peers);
    zlistx_destroy(&self->records);
    free(self);
    *self_p = NULL;
}

/* ---- What is asked and said ------------------------------------------- */

struct scripted_record *scripted_broker_nth(struct scripted_broker *self, uint8_t command,
                                            size_t nth)
{
    struct scripted_record *record = zlistx_first(self->records);
    for (; record != NULL; record = zlistx_next(self->records))
        if (record->command == command && nth-- == 0)
            return record;
    fail_msg("record of command %d has not come", command);
    return NULL;
}

size_t scripted_broker_count(struct scripted_broker *self, uint8_t command)
{
    size_t count = 0;
    struct scripted_record *record = zlistx_first(self->records);
    for (; record != NULL; record = zlistx_next(self->records))
        count += record->command == command ? 1 : 0;
    return count;
}

void scripted_broker_send(struct scripted_broker *self, uint64_t peer,
                          const struct pack_record *records, size_t count)
{
    struct message message;

    pack_write(&message, self->side, records, count);
    if (message_send(&message, zsock_resolve(self->router), scripted_peer(self, peer)) != 0)
        message_close(&message);
}

void scripted_broker_reply(struct scripted_broker *self, const struct scripted_record *request,
                           int code, const char *body)
{
    struct pack_record record = {
        .command = PACK_REPLY,
        .status = (uint16_t)code,
        .correlation = request->correlation,
        .body = (const uint8_t *)body,
        .body_len = strlen(body),
    };
    scripted_broker_send(self, request->peer, &record, 1);
}

void scripted_broker_request(struct scripted_broker *self, uint64_t peer, uint64_t correlation,
                             uint32_t remaining_ms, const char *body)
{
    struct pack_record record = {
        .command = PACK_REQUEST,
        .number = remaining_ms,
        .correlation = correlation,
        .attempt = 1,
        .body = (const uint8_t *)body,
        .body_len = strlen(body),
    };
    scripted_broker_send(self, peer, &record, 1);
}

void scripted_broker_command(struct scripted_broker *self, uint64_t peer, uint8_t command)
{
    struct pack_record record = {.command = command};
    scripted_broker_send(self, peer, &record, 1);
}

/* ---- Running ---------------------------------------------------------- */

struct scripted_run {
    scripted_condition_fn *condition; /* NULL: never */
    void *arg;
    int64_t end_ms;
    int64_t looked_ms; /* last */
    int64_t awake_ms;
    bool met;
};

static int scripted_look(zloop_t *loop, int timer, void *arg)
{
    struct scripted_run *run = arg;
    int64_t now_ms = clock_ms();
    int64_t elapsed_ms = now_ms - run->looked_ms;

    (void)loop;
    (void)timer;
    run->looked_ms = now_ms;
    run->awake_ms += elapsed_ms < 2 ? elapsed_ms : 2;
    run->met = run->condition != NULL && run->condition(run->arg);
    return run->met || now_ms >= run->end_ms ? -1 : 0;
}

static void scripted_run(zloop_t *loop, struct scripted_run *run)
{
    int timer = zloop_timer(loop, 1, 0, scripted_look, run);
    run->looked_ms = clock_ms();
    zloop_start(loop);
    zloop_timer_end(loop, timer);
}

int64_t scripted_run_until(zloop_t *loop, scripted_condition_fn *condition, void *arg)
{
    struct scripted_run run = {
        .condition = condition, .arg = arg, .end_ms = clock_ms() + SCRIPTED_RUN_MS_MAX};
    scripted_run(loop, &run);
    assert_true(run.met);
    return run.awake_ms;
}

void scripted_hold_up(int64_t duration_ms)
{
    int64_t end_ms = clock_ms() + duration_ms;
    for (int64_t left_ms = duration_ms; left_ms > 0; left_ms = end_ms - clock_ms())
        zclock_sleep((int)left_ms);
}

void scripted_run_for(zloop_t *loop, int64_t duration_ms)
{
    struct scripted_run run = {.end_ms = clock_ms() + duration_ms};
    scripted_run(loop, &run);
}

struct scripted_awaited {
    struct scripted_broker *broker;
    uint8_t command;
    size_t count;
};

static bool scripted_has_come(void *arg)
{
    struct scripted_awaited *awaited = arg;
    return scripted_broker_count(awaited->broker, awaited->command) >= awaited->count;
}

int64_t scripted_broker_await(struct scripted_broker *self, uint8_t command, size_t count)
{
    struct scripted_awaited awaited = {self, command, count};
    return scripted_run_until(self->loop, scripted_has_come, &awaited);
}
