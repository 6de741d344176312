/* See peers.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/peers.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "broker/bus/clock.h"
#include "broker/bus/frame.h"
#include "broker/bus/limits.h"
#include "broker/bus/pack.h"

#define ANSWER_MS_MAX 5000

void times_add(struct times *self, int64_t us)
{
    self->count++;
    self->by_us[us < TIMES_US_MAX ? us : TIMES_US_MAX]++;
}

uint32_t times_percentile(const struct times *self, double share)
{
    uint64_t below = (uint64_t)(share * (double)self->count);
    for (uint32_t us = 0; us < TIMES_US_MAX; us++) {
        if (below < self->by_us[us])
            return us;
        below -= self->by_us[us];
    }
    return TIMES_US_MAX;
}

static _Noreturn void give_up(const char *what, const char *service)
{
    fprintf(stderr, "bench_broker: %s, service %s\n", what, service != NULL ? service : "none");
    exit(1);
}

/* ---- Sockets ---------------------------------------------------------- */

void *bench_socket(void *context, int type, const char *endpoint, bool bind)
{
    void *socket = zmq_socket(context, type);
    const int none = 0;
    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt(socket, ZMQ_SNDHWM, &none, sizeof none);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &none, sizeof none);
    if ((bind ? zmq_bind(socket, endpoint) : zmq_connect(socket, endpoint)) != 0)
        give_up(zmq_strerror(zmq_errno()), endpoint);
    return socket;
}

static bool socket_wait(void *socket, long timeout_ms)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    return zmq_poll(&item, 1, timeout_ms) > 0;
}

static void send_message(void *socket, struct message *message)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLOUT};
    while (message_send(message, socket, NULL) != 0)
        zmq_poll(&item, 1, 1000);
}

static void send_plain(void *socket, const char *header, char command, const char *service,
                       const uint8_t *body)
{
    struct message message;
    message_init(&message);
    message_add_copy(&message, header, strlen(header));
    message_add_copy(&message, &command, 1);
    if (service != NULL)
        message_add_copy(&message, service, strlen(service));
    if (body != NULL)
        message_add_copy(&message, body, BODY_BYTES);
    send_message(socket, &message);
}

/* ---- The client ------------------------------------------------------- */

struct client {
    const struct client_options *options;
    struct times *times;
    void *socket;
    size_t under_way;
    bool counting;
};

static void client_send_batch(struct client *self, const uint8_t *body, size_t count)
{
    struct pack_record records[BATCH_COUNT_MAX];
    struct message message;
    for (size_t i = 0; i < count; i++)
        records[i] = (struct pack_record){.command = PACK_REQUEST,
                                          .correlation = i,
                                          .service = self->options->service,
                                          .service_len = strlen(self->options->service),
                                          .body = body,
                                          .body_len = BODY_BYTES};
    pack_write(&message, 'C', records, count);
    send_message(self->socket, &message);
}

static void client_send(struct client *self, size_t count)
{
    uint8_t body[BODY_BYTES] = {0};
    const int64_t now_us = clock_us();
    struct message message;
    memcpy(body, &now_us, sizeof now_us);
    switch (self->options->speech) {
    case SPEECH_BARE:
        message_init(&message);
        message_add_copy(&message, body, sizeof body);
        send_message(self->socket, &message);
        break;
    case SPEECH_PLAIN:
        send_plain(self->socket, "MDPC02", '\1', self->options->service, body);
        break;
    case SPEECH_SINGLE:
    case SPEECH_BATCH: client_send_batch(self, body, count); break;
    }
    self->under_way += count;
}

static void client_fill(struct client *self)
{
    const size_t step = self->options->speech == SPEECH_BATCH ? BATCH_COUNT_MAX : 1;
    while (self->under_way < self->options->window) {
        const size_t room = self->options->window - self->under_way;
        client_send(self, room < step ? room : step);
    }
}

static void client_count(struct client *self, const uint8_t *body, size_t size)
{
    int64_t sent_us;
    if (size != BODY_BYTES)
        give_up("an answer that is no echo", self->options->service);
    memcpy(&sent_us, body, sizeof sent_us);
    const int64_t us = clock_us() - sent_us;
    self->under_way--;
    if (!self->counting)
        return;
    times_add(self->times, us);
}

static void client_take(struct client *self, const struct message *message)
{
    struct pack_record records[BATCH_COUNT_MAX];
    const struct frame *last = &message->frames[message->count - 1];
    size_t count = 0;
    if (self->options->speech == SPEECH_BARE || self->options->speech == SPEECH_PLAIN) {
        client_count(self, frame_data(last), frame_size(last));
        return;
    }
    if (pack_read(message, 'C', records, &count) != 0)
        give_up("an answer that can't be read", self->options->service);
    for (size_t i = 0; i < count; i++) {
        if (records[i].status != 0)
            give_up("an answer that is an error", self->options->service);
        client_count(self, records[i].body, records[i].body_len);
    }
}

/* Keep the window full until @end_us. */
static void client_go_on(struct client *self, int64_t end_us)
{
    struct message message;
    while (clock_us() < end_us) {
        client_fill(self);
        if (!socket_wait(self->socket, ANSWER_MS_MAX))
            give_up("no answer", self->options->service);
        while (message_receive(&message, self->socket, NULL) == 0) {
            client_take(self, &message);
            message_close(&message);
        }
    }
}

double client_run(const struct client_options *options, struct times *times)
{
    struct client self = {.options = options, .times = times};
    memset(times, 0, sizeof *times);
    self.socket = bench_socket(options->context, ZMQ_DEALER, options->endpoint, false);
    client_go_on(&self, clock_us() + options->run_us / 4);

    const int64_t begin_us = clock_us();
    options->mark(options->arg);
    self.counting = true;
    client_go_on(&self, begin_us + options->run_us);
    self.counting = false;
    options->mark(options->arg);
    const int64_t end_us = clock_us();

    /* Take the rest as well: it would be the next one's load. */
    struct message message;
    while (self.under_way > 0 && socket_wait(self.socket, ANSWER_MS_MAX)) {
        while (message_receive(&message, self.socket, NULL) == 0) {
            client_take(&self, &message);
            message_close(&message);
        }
    }
    if (self.under_way > 0)
        give_up("no answer", options->service);
    zmq_close(self.socket);
    return (double)times->count * 1e6 / (double)(end_us - begin_us);
}

void client_wait_served(void *context, const char *endpoint, const char *service)
{
    void *socket = bench_socket(context, ZMQ_DEALER, endpoint, false);
    const int64_t end_ms = clock_ms() + ANSWER_MS_MAX;
    bool served = false;
    while (!served) {
        struct message message;
        message_init(&message);
        message_add_copy(&message, "MDPC02", 6);
        message_add_copy(&message, "\1", 1);
        message_add_copy(&message, "mmi.service", 11);
        message_add_copy(&message, service, strlen(service));
        send_message(socket, &message);
        if (!socket_wait(socket, ANSWER_MS_MAX) || clock_ms() > end_ms)
            give_up("nobody came to serve", service);
        if (message_receive(&message, socket, NULL) == 0) {
            served = frame_equals(&message.frames[message.count - 1], "200", 3);
            message_close(&message);
        }
    }
    zmq_close(socket);
}

/* ---- The worker ------------------------------------------------------- */

static void worker_say(void *socket, const struct worker_options *options, uint8_t command)
{
    struct message message;
    if (options->speech == SPEECH_PLAIN) {
        const bool ready = command == PACK_READY;
        send_plain(socket, "MDPW02", ready ? '\1' : '\5', ready ? options->service : NULL, NULL);
    } else if (options->speech != SPEECH_BARE) {
        pack_write(&message, 'W',
                   &(struct pack_record){.command = command,
                                         .number = options->credit,
                                         .service = options->service,
                                         .service_len = strlen(options->service)},
                   1);
        send_message(socket, &message);
    }
}

/* Each body back in a message of its own, or all that came together in one. */
static void worker_answer_ours(void *socket, bool batch, const struct message *message)
{
    struct pack_record records[BATCH_COUNT_MAX], replies[BATCH_COUNT_MAX];
    struct message reply;
    size_t count = 0, reply_count = 0;
    if (pack_read(message, 'W', records, &count) != 0)
        give_up("a request that can't be read", NULL);
    for (size_t i = 0; i < count; i++)
        if (records[i].command == PACK_REQUEST)
            replies[reply_count++] = (struct pack_record){.command = PACK_REPLY,
                                                          .correlation = records[i].correlation,
                                                          .body = records[i].body,
                                                          .body_len = records[i].body_len};
    const size_t step = batch ? BATCH_COUNT_MAX : 1;
    for (size_t i = 0; i < reply_count; i += step) {
        pack_write(&reply, 'W', &replies[i], reply_count - i < step ? reply_count - i : step);
        send_message(socket, &reply);
    }
}

/* The frames as they came, but for the command: REQUEST becomes FINAL. */
static void worker_answer_plain(void *socket, struct message *message)
{
    if (message->count < 5)
        return; /* a heartbeat */
    frame_close(&message->frames[1]);
    frame_init_copy(&message->frames[1], "\4", 1);
    send_message(socket, message);
}

static void worker_answer(void *socket, const struct worker_options *options,
                          struct message *message)
{
    switch (options->speech) {
    case SPEECH_BARE: send_message(socket, message); break;
    case SPEECH_PLAIN: worker_answer_plain(socket, message); break;
    case SPEECH_SINGLE: worker_answer_ours(socket, false, message); break;
    case SPEECH_BATCH: worker_answer_ours(socket, true, message); break;
    }
}

_Noreturn void worker_run(const struct worker_options *options)
{
    void *context = zmq_ctx_new();
    void *socket = bench_socket(context, options->bind ? ZMQ_ROUTER : ZMQ_DEALER, options->endpoint,
                                options->bind);
    worker_say(socket, options, PACK_READY);
    for (int64_t beat_ms = clock_ms();;) {
        struct message message;
        socket_wait(socket, HEARTBEAT_MS / 2);
        while (message_receive(&message, socket, NULL) == 0) {
            worker_answer(socket, options, &message);
            message_close(&message);
        }
        if (clock_ms() - beat_ms >= HEARTBEAT_MS) {
            beat_ms = clock_ms();
            worker_say(socket, options, PACK_HEARTBEAT);
        }
    }
}
