/* See link.h.
 *
 * States, by what the fields hold:
 *
 *   paused      no socket, until retry_ms     link_connect       -> connecting
 *   connecting  socket, nothing heard by it   link_receive       -> connected
 *                                             link_lose          -> paused, closed
 *   connected   socket, heard                 link_lose          -> paused, closed
 *   closed      no socket, leaving            for good
 *
 * libzmq would connect a lost socket again by itself, behind our back and without a hello. That is
 * put off for longer than any socket lives (LINK_RECONNECT_MS), and its monitor tells us of the
 * loss within a turn. It is neither switched off (ZMQ_RECONNECT_IVL of -1) nor are sockets kept
 * from taking messages by ZMQ_IMMEDIATE until they are connected: with either, libzmq 4.3 ends the
 * pipe to a lost connection at once, with all that had arrived by it, and aborts the process when
 * that falls between two frames of a message that is being read (fq.cpp: !_more). Instead nothing
 * is sent before the monitor reports the handshake.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/link.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "broker/bus/alarm.h"
#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"

struct bus_link {
    zloop_t *loop; /* not owned */
    char side;
    char **endpoints;
    size_t endpoint_count;
    size_t endpoint_index;    /* the one in use, or to be tried next */
    struct pack_record hello; /* what they point to is owned */
    struct pack_record heartbeat;
    const struct bus_link_owner *owner; /* not owned */
    void *arg;

    struct alarm *alarm; /* for the end of the pause, the next tick, or a sending that is due */
    zsock_t *socket;     /* NULL while paused or closed */
    zsock_t *monitor;    /* libzmq's reports on the socket; lives as long as that */
    uint64_t connection; /* from 1, counted up by each loss */

    bool heard;       /* the broker was, on this socket */
    bool hello_due;   /* the hello was not sent yet by this socket */
    bool beat_due;    /* nothing was sent for so long that a heartbeat is due */
    bool leave_due;   /* GOING_AWAY is to be sent */
    bool leaving;     /* no connection after this one */
    bool met;         /* the handshake with what listens there is done */
    bool ended;       /* the connection is; what had arrived by it may still be there */
    bool blocked;     /* the socket takes nothing until it reports that it is writable */
    bool broken;      /* the socket is to be given up at the end of this turn */
    bool dispatching; /* inside link_drain: what is to be sent leaves at its end */

    struct message message; /* the one being handed over; empty when all of it has been */
    struct pack_record records[BATCH_COUNT_MAX];
    size_t record_count;
    size_t record_next;  /* the first that was not handed over; record_count: none is left */
    int64_t received_ms; /* when the message came */

    int64_t tick_ms;      /* of the last tick */
    int64_t silent_ms;    /* time the loop ran without hearing the broker (L4) */
    int64_t sent_ms;      /* when something was sent last */
    int64_t heard_ms;     /* when this connection was heard first */
    int64_t retry_ms;     /* when the pause ends */
    size_t failure_count; /* connections that were lost within RECONNECT_MS_MAX, in a row */
};

/* ---- Receiving -------------------------------------------------------- */

static void link_take(struct bus_link *self, const struct pack_record *record, int64_t now_ms)
{
    switch (record->command) {
    case PACK_REQUEST:
    case PACK_REPLY:
    case PACK_GOING_AWAY: self->owner->record(self->arg, record, now_ms); break;
    case PACK_DISCONNECT: self->broken = true; break;
    default: break; /* a heartbeat says no more than any message; no other is sent to us */
    }
}

/* Whether a message came of which the owner has not seen all. */
static bool link_has_backlog(const struct bus_link *self)
{
    return self->record_next < self->record_count;
}

static void link_drop_backlog(struct bus_link *self)
{
    message_close(&self->message);
    self->record_count = self->record_next = 0;
}

/* Receive one message, to be handed over. Only what is well-formed is a sign of life: whatever
 * else answers at this address is no broker. Returns false when there is none. */
static bool link_receive(struct bus_link *self)
{
    int rc = message_receive(&self->message, zsock_resolve(self->socket), NULL);

    if (rc == ERR_UNKNOWN)
        self->broken = true;
    if (rc == ERR_BUSY || rc == ERR_UNKNOWN)
        return false;
    if (rc != 0 || pack_read(&self->message, self->side, self->records, &self->record_count) != 0) {
        link_drop_backlog(self);
        return true;
    }
    self->received_ms = clock_ms();
    self->silent_ms = 0;
    if (!self->heard) {
        self->heard = true;
        self->heard_ms = self->received_ms;
    }
    return true;
}

/* Hand over what has come, as much as one turn may: what takes the owner long is left for the next
 * turns, in the middle of a message if need be, or heartbeats would wait for all of it. What has
 * ended is broken when that was all. */
static void link_drain(struct bus_link *self)
{
    int64_t end_ms = clock_ms() + LINK_TURN_MS;
    size_t count = 0; /* a message counts too, even one of nothing */
    bool all = false;

    assert(!self->dispatching);
    self->dispatching = true;
    do {
        if (link_has_backlog(self))
            link_take(self, &self->records[self->record_next++], self->received_ms);
        else
            all = !link_receive(self);
        if (!link_has_backlog(self))
            link_drop_backlog(self);
        count++;
    } while (!all && count < LINK_RECORDS_MAX && !self->broken && clock_ms() < end_ms);
    self->owner->drained(self->arg);
    self->dispatching = false;
    if (link_has_backlog(self))
        alarm_set(self->alarm, 0);
    if (all && self->ended)
        self->broken = true;
}

/* ---- Sending ---------------------------------------------------------- */

/* Fill @records with what leaves in the next message: our own first, then the owner's, of which
 * @offered says how many. Returns the number of all. */
static size_t link_collect(struct bus_link *self, struct pack_record *records, size_t *offered)
{
    size_t count = 0;
    size_t bytes = 0;

    if (self->hello_due)
        records[count++] = self->hello;
    /* A worker's READY has the service's name, not its own; and if it is never idle, no other
     * heartbeat will leave. */
    if (self->hello_due && self->side == 'W')
        records[count++] = self->heartbeat;
    if (self->leave_due)
        records[count++] = (struct pack_record){.command = PACK_GOING_AWAY};
    size_t own = count;
    while (count < BATCH_COUNT_MAX && bytes < BATCH_BYTES_MAX &&
           self->owner->next(self->arg, count == own, &records[count])) {
        assert(records[count].body_len <= BODY_BYTES_MAX);
        bytes += records[count].body_len;
        count++;
    }
    *offered = count - own;
    if (count == 0 && self->beat_due)
        records[count++] = self->heartbeat;
    return count;
}

/* Send one message. Returns false when there was nothing to send, or no way to send it. */
static bool link_send_message(struct bus_link *self)
{
    struct pack_record records[BATCH_COUNT_MAX];
    struct message message;
    size_t offered;

    size_t count = link_collect(self, records, &offered);
    if (count == 0)
        return false;
    pack_write(&message, self->side, records, count);
    int rc = message_send(&message, zsock_resolve(self->socket), NULL);
    if (rc != 0) {
        message_close(&message);
        self->blocked = rc == ERR_BUSY;
        self->broken = rc != ERR_BUSY;
        return false;
    }
    self->hello_due = false;
    self->leave_due = false;
    self->beat_due = false;
    self->sent_ms = clock_ms();
    if (offered > 0)
        self->owner->sent(self->arg, offered);
    return true;
}

static int link_ready(zloop_t *loop, zmq_pollitem_t *item, void *arg);

/* Have the loop look for what the socket is waiting for. */
static void link_poll(struct bus_link *self)
{
    short events = ZMQ_POLLIN | (self->blocked && self->met ? ZMQ_POLLOUT : 0);
    zmq_pollitem_t item = {zsock_resolve(self->socket), 0, events, 0};
    zloop_poller_end(self->loop, &item);
    int rc = zloop_poller(self->loop, &item, link_ready, self);
    assert(rc == 0);
    (void)rc;
}

void bus_link_send(struct bus_link *self)
{
    if (self->socket == NULL || self->dispatching || self->blocked)
        return;
    while (!self->broken && link_send_message(self)) {
    }
    if (self->blocked)
        link_poll(self);
    if (self->broken)
        bus_link_reset(self);
}

void bus_link_send_soon(struct bus_link *self)
{
    if (self->socket != NULL && !self->dispatching && !self->blocked)
        alarm_set(self->alarm, 0);
}

/* ---- Connecting ------------------------------------------------------- */

int64_t bus_link_pause_ms(char side, size_t failure_count, uint32_t random)
{
    int64_t bound_max = side == 'W' ? RECONNECT_WORKER_MS_MAX : RECONNECT_MS_MAX;
    int64_t bound = 2 * RECONNECT_MS_MIN;
    for (size_t i = 0; i < failure_count && bound < bound_max; i++)
        bound *= 2;
    if (bound > bound_max)
        bound = bound_max;
    return RECONNECT_MS_MIN + random % (bound - RECONNECT_MS_MIN + 1);
}

static uint32_t link_random(void)
{
    uint32_t random = 0;
    /* It spreads peers and no more: without it they are merely less well spread. */
    (void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
    return random;
}

/* Close the socket, if there is one. @linger_ms: for what libzmq still holds */
static void link_close(struct bus_link *self, int linger_ms)
{
    link_drop_backlog(self);
    if (self->socket != NULL) {
        void *handle = zsock_resolve(self->socket);
        zmq_pollitem_t item = {handle, 0, ZMQ_POLLIN, 0};
        zloop_poller_end(self->loop, &item);
        /* First, because libzmq's thread would wait for ever to report to a closed monitor. */
        zmq_socket_monitor(handle, NULL, 0);
        zsock_set_linger(self->socket, linger_ms);
        zsock_destroy(&self->socket);
    }
    if (self->monitor != NULL) {
        zmq_pollitem_t item = {zsock_resolve(self->monitor), 0, ZMQ_POLLIN, 0};
        zloop_poller_end(self->loop, &item);
        zsock_destroy(&self->monitor);
    }
}

/* Set the alarm for what comes next. */
static void link_arm(struct bus_link *self)
{
    if (link_has_backlog(self))
        alarm_set(self->alarm, 0);
    else if (self->socket != NULL)
        alarm_set(self->alarm, self->tick_ms + LINK_TICK_MS);
    else if (!self->leaving)
        alarm_set(self->alarm, self->retry_ms);
}

/* Give up the connection, or the attempt at one. With several brokers each is tried once before
 * the first pause. */
static void link_lose(struct bus_link *self, int64_t now_ms)
{
    link_close(self, 0);
    self->connection++;
    if (self->heard && now_ms - self->heard_ms >= RECONNECT_MS_MAX)
        self->failure_count = 0;
    self->heard = false;
    self->met = false;
    self->ended = false;
    self->blocked = false;
    self->broken = false;
    self->failure_count++;
    self->endpoint_index = (self->endpoint_index + 1) % self->endpoint_count;
    size_t rounds = self->failure_count / self->endpoint_count;
    bool pause = self->failure_count % self->endpoint_count == 0;
    self->retry_ms =
        pause ? now_ms + bus_link_pause_ms(self->side, rounds - 1, link_random()) : now_ms;
    self->owner->lost(self->arg);
    link_arm(self);
}

/* The end of each turn: give up what is broken, else send what has come up. */
static void link_settle(struct bus_link *self)
{
    if (self->socket != NULL && !self->broken)
        bus_link_send(self);
    if (self->socket != NULL && self->broken)
        link_lose(self, clock_ms());
}

static int link_ready(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    struct bus_link *self = arg;

    (void)loop;
    assert(item->socket == zsock_resolve(self->socket));
    link_drain(self);
    if ((item->revents & ZMQ_POLLOUT) != 0 && !self->broken) {
        self->blocked = false;
        link_poll(self);
    }
    link_settle(self);
    return 0;
}

/* The next of libzmq's reports on the socket, 0 when there is none. */
static uint16_t link_report(struct bus_link *self)
{
    uint8_t report[sizeof(uint16_t) + sizeof(uint32_t)]; /* the event, and a value of its own */
    uint16_t event = 0;

    if (zmq_recv(zsock_resolve(self->monitor), report, sizeof report, ZMQ_DONTWAIT) < 0)
        return 0;
    memcpy(&event, report, sizeof event);
    zmq_recv(zsock_resolve(self->monitor), NULL, 0, ZMQ_DONTWAIT); /* the endpoint */
    return event;
}

/* libzmq reports that the broker has been reached, or that the attempt has failed or the connection
 * has ended, after which nothing else is asked of it. What had arrived before is still good, and
 * each turn hears more of it until that was all. */
static int link_reported(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    struct bus_link *self = arg;
    uint16_t event;

    (void)loop;
    assert(item->socket == zsock_resolve(self->monitor));
    while ((event = link_report(self)) != 0) {
        if (event != ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
            self->ended = true;
        else if (!self->met) {
            self->met = true;
            self->blocked = false;
        }
    }
    link_drain(self);
    link_settle(self);
    return 0;
}

/* Have the connection's beginning and end reported. Returns 0 or -1. */
static int link_monitor(struct bus_link *self)
{
    char name[64]; /* libzmq forgets one with some delay: no two may be the same */
    snprintf(name, sizeof name, "inproc://link-%p-%" PRId64, (void *)self, clock_us());
    self->monitor = zsock_new(ZMQ_PAIR);
    if (self->monitor == NULL)
        return -1;
    zsock_set_linger(self->monitor, 0);
    if (zmq_socket_monitor(zsock_resolve(self->socket), name,
                           ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED |
                               ZMQ_EVENT_CLOSED) != 0)
        return -1;
    zmq_pollitem_t item = {zsock_resolve(self->monitor), 0, ZMQ_POLLIN, 0};
    if (zmq_connect(item.socket, name) != 0)
        return -1;
    return zloop_poller(self->loop, &item, link_reported, self);
}

/* Open a socket and start to connect. Returns 0 or -1. */
static int link_open(struct bus_link *self)
{
    self->socket = zsock_new(ZMQ_DEALER);
    if (self->socket == NULL)
        return -1;
    zsock_set_linger(self->socket, 0);
    zsock_set_reconnect_ivl(self->socket, LINK_RECONNECT_MS);
    zsock_set_sndhwm(self->socket, LINK_MESSAGES_MAX);
    zsock_set_rcvhwm(self->socket, LINK_MESSAGES_MAX);
    zsock_set_maxmsgsize(self->socket, MESSAGE_BYTES_MAX);
    if (link_monitor(self) != 0)
        return -1;
    return zsock_connect(self->socket, "%s", self->endpoints[self->endpoint_index]);
}

static void link_connect(struct bus_link *self, int64_t now_ms)
{
    assert(self->socket == NULL && !self->leaving);
    self->tick_ms = now_ms;
    self->silent_ms = 0;
    self->hello_due = true;
    if (link_open(self) != 0) {
        link_lose(self, now_ms);
        return;
    }
    /* Nothing is to be sent before the broker has been reached; the monitor will tell. */
    self->blocked = true;
    link_poll(self);
}

/* ---- The tick --------------------------------------------------------- */

static void link_tick(struct bus_link *self, int64_t now_ms)
{
    int64_t elapsed_ms = now_ms - self->tick_ms;
    self->tick_ms = now_ms;
    /* L4: a tick that comes late counts for no more than two, and none while we are behind. */
    if (!link_has_backlog(self))
        self->silent_ms += elapsed_ms < 2 * LINK_TICK_MS ? elapsed_ms : 2 * LINK_TICK_MS;
    if (self->silent_ms >= HEARTBEAT_GONE_MS) {
        link_drain(self);
        if (self->silent_ms >= HEARTBEAT_GONE_MS)
            self->broken = true;
    }
    /* Due when it would be late by the next tick. */
    if (now_ms + LINK_TICK_MS > self->sent_ms + HEARTBEAT_MS)
        self->beat_due = true;
}

static void link_alarm(void *arg)
{
    struct bus_link *self = arg;
    int64_t now_ms = clock_ms();

    if (self->socket == NULL && !self->leaving && now_ms >= self->retry_ms)
        link_connect(self, now_ms);
    else if (self->socket != NULL && now_ms >= self->tick_ms + LINK_TICK_MS)
        link_tick(self, now_ms);
    if (link_has_backlog(self) && !self->broken)
        link_drain(self);
    link_settle(self);
    link_arm(self);
}

/* ---- The public face -------------------------------------------------- */

static void link_record_copy(struct pack_record *self, const struct pack_record *from)
{
    *self = *from;
    self->service = alloc_copy(from->service, from->service_len);
    self->body = (uint8_t *)alloc_copy(from->body, from->body_len);
}

static void link_record_free(struct pack_record *self)
{
    free((char *)(uintptr_t)self->service);
    free((uint8_t *)(uintptr_t)self->body);
}

struct bus_link *bus_link_new(zloop_t *loop, char side, const char *const *endpoints,
                              size_t endpoint_count, const struct pack_record *hello,
                              const struct pack_record *heartbeat,
                              const struct bus_link_owner *owner, void *arg)
{
    assert(endpoint_count > 0);
    struct bus_link *self = alloc_zero(sizeof *self);
    self->loop = loop;
    self->side = side;
    self->endpoints = alloc_zero(endpoint_count * sizeof self->endpoints[0]);
    self->endpoint_count = endpoint_count;
    for (size_t i = 0; i < endpoint_count; i++)
        self->endpoints[i] = alloc_copy(endpoints[i], strlen(endpoints[i]));
    link_record_copy(&self->hello, hello);
    link_record_copy(&self->heartbeat, heartbeat);
    self->owner = owner;
    self->arg = arg;
    self->alarm = alarm_new(loop, link_alarm, self);
    self->connection = 1;
    /* The pause is over by the first turn: here the owner is not complete yet. */
    link_arm(self);
    return self;
}

void bus_link_destroy(struct bus_link **self_p)
{
    struct bus_link *self = *self_p;
    if (self == NULL)
        return;
    assert(!self->dispatching);
    if (self->socket != NULL && !self->hello_due && !self->blocked) {
        struct message message;
        pack_write(&message, self->side, &(struct pack_record){.command = PACK_DISCONNECT}, 1);
        if (message_send(&message, zsock_resolve(self->socket), NULL) != 0)
            message_close(&message);
    }
    link_close(self, LINK_LINGER_MS);
    alarm_destroy(&self->alarm);
    for (size_t i = 0; i < self->endpoint_count; i++)
        free(self->endpoints[i]);
    free(self->endpoints);
    link_record_free(&self->hello);
    link_record_free(&self->heartbeat);
    free(self);
    *self_p = NULL;
}

void bus_link_receive(struct bus_link *self)
{
    assert(!self->dispatching);
    if (self->socket == NULL)
        return;
    link_drain(self);
    bus_link_send(self);
}

void bus_link_reset(struct bus_link *self)
{
    if (self->socket == NULL)
        return;
    self->broken = true;
    alarm_set(self->alarm, 0);
}

void bus_link_leave(struct bus_link *self)
{
    self->leaving = true;
    if (self->socket == NULL)
        return;
    /* The broker that does not know of us yet never will. */
    if (self->hello_due) {
        bus_link_reset(self);
        return;
    }
    self->leave_due = true;
    bus_link_send(self);
}

bool bus_link_connected(const struct bus_link *self)
{
    return self->heard;
}

uint64_t bus_link_connection(const struct bus_link *self)
{
    return self->connection;
}
