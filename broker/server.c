/* See server.h.
 *
 * A turn of the loop: take what the socket has, at most TURN_MESSAGES_MAX messages, step the router
 * with each, then carry out what it asks for. Nothing in it waits.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/server.h"

#include <assert.h>
#include <czmq.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/frame.h"
#include "broker/bus/limits.h"
#include "broker/bus/metrics.h"
#include "broker/bus/probe.h"
#include "broker/bus/signals.h"
#include "broker/outbox.h"
#include "broker/relay.h"
#include "broker/router.h"
#include "broker/status.h"

struct server {
    struct log *log; /* not owned */
    zloop_t *loop;
    zsock_t *socket; /* ROUTER */
    struct router *router;
    struct outbox *outbox;
    struct relay *relay; /* or NULL */
    struct metrics *metrics;
    struct status *status;
    bool flushing;                  /* server_on_flush() is due */
    unsigned flush_tries;           /* how often more it is set before the tick has to do */
    size_t waiting;                 /* messages in the outbox when that was last looked at */
    int signals;                    /* signalfd */
    int64_t drain_end_ms;           /* 0: not draining */
    int64_t told_ms;                /* when the present second of the log began */
    size_t told[ROUTER_NOTE_COUNT]; /* events of each kind in it */
};

/* ---- What the router asks for ----------------------------------------- */

/* Losses are worth a warning, comings and goings are news, the rest is told to who looks
 * closely. */
static enum log_level note_level(enum router_note_kind kind)
{
    switch (kind) {
    case NOTE_EXPIRED:
    case NOTE_LOST:
    case NOTE_POISON:
    case NOTE_BANNED:
    case NOTE_WORKER_REFUSED:
    case NOTE_WORKER_HUNG:
    case NOTE_PEER_REFUSED:
    case NOTE_QUEUE_FULL: return LOG_LEVEL_WARN;
    case NOTE_CLIENT_JOINED:
    case NOTE_CLIENT_LEFT: return LOG_LEVEL_DEBUG;
    default: return LOG_LEVEL_INFO;
    }
}

/* Log an event, unless there were many of its kind within this second: a peer must not be able to
 * fill the disk. */
static void server_tell(struct server *self, const struct router_note *note, int64_t now_ms)
{
    if (now_ms - self->told_ms >= 1000) {
        self->told_ms = now_ms;
        memset(self->told, 0, sizeof self->told);
    }
    if (self->told[note->kind]++ >= NOTES_PER_SECOND_MAX)
        return;
    log_write(self->log, note_level(note->kind), router_note_text(note->kind),
              LOG_TEXT("peer", note->peer), LOG_TEXT("service", note->service),
              LOG_UINT("count", note->number));
}

static void server_ask(struct server *self, struct router_action *action, int64_t now_ms)
{
    struct bytes_writer answer = {0};
    const int code = status_answer(self->status, frame_data(&action->body),
                                   frame_size(&action->body), now_ms, &answer);
    router_answer(self->router, action->id, code, answer.data, answer.size, now_ms);
    bytes_writer_close(&answer);
    frame_close(&action->body);
}

static void server_send(struct server *self, struct router_action *action, int64_t now_ms)
{
    const int rc = outbox_send(self->outbox, &action->routing_id, &action->message);
    if (rc == ERR_BUSY)
        router_deaf(self->router, &action->routing_id, now_ms);
    else if (rc != 0)
        router_lost(self->router, &action->routing_id, now_ms);
    frame_close(&action->routing_id);
}

/* Tell the router who turned out to be gone. Returns whether anybody did. */
static bool server_lose(struct server *self, int64_t now_ms)
{
    struct frame routing_id;
    bool any = false;
    for (; outbox_lost(self->outbox, &routing_id); any = true) {
        router_lost(self->router, &routing_id, now_ms);
        frame_close(&routing_id);
    }
    return any;
}

static void server_act(struct server *self, int64_t now_ms)
{
    struct router_action action;
    do {
        while (router_next(self->router, &action)) {
            switch (action.kind) {
            case ROUTER_SEND: server_send(self, &action, now_ms); break;
            case ROUTER_ASK: server_ask(self, &action, now_ms); break;
            case ROUTER_TELL: server_tell(self, &action.note, now_ms); break;
            }
        }
    } while (server_lose(self, now_ms));
}

/* Returns whether anything was sent. */
static bool server_flush(struct server *self, int64_t now_ms)
{
    if (outbox_idle(self->outbox))
        return false;
    const bool sent = outbox_flush(self->outbox);
    server_lose(self, now_ms);
    struct frame routing_id;
    while (outbox_heard(self->outbox, &routing_id)) {
        router_heard(self->router, &routing_id, now_ms);
        frame_close(&routing_id);
    }
    return sent;
}

static int server_on_flush(zloop_t *loop, int timer_id, void *arg);

/* What waits since this turn need not wait for the next event or tick: most peers read. */
static void server_flush_soon(struct server *self)
{
    if (outbox_messages(self->outbox) > self->waiting)
        self->flush_tries = OUTBOX_FLUSH_TRIES;
    self->waiting = outbox_messages(self->outbox);
    if (self->waiting == 0 || self->flush_tries == 0 || self->flushing)
        return;
    self->flush_tries--;
    self->flushing = zloop_timer(self->loop, OUTBOX_FLUSH_MS, 1, server_on_flush, self) >= 0;
}

static int server_on_flush(zloop_t *loop, int timer_id, void *arg)
{
    struct server *self = arg;
    const int64_t now_ms = clock_ms();
    (void)loop;
    (void)timer_id;
    self->flushing = false;
    if (server_flush(self, now_ms))
        self->flush_tries = OUTBOX_FLUSH_TRIES;
    server_act(self, now_ms);
    server_flush_soon(self);
    return 0;
}

/* ---- The loop --------------------------------------------------------- */

static int server_on_readable(zloop_t *loop, zsock_t *reader, void *arg)
{
    struct server *self = arg;
    void *socket = zsock_resolve(reader);
    const int64_t now_ms = clock_ms();
    (void)loop;
    for (int i = 0; i < TURN_MESSAGES_MAX; i++) {
        struct message message;
        struct frame routing_id;
        const int rc = message_receive(&message, socket, &routing_id);
        if (rc == 0)
            router_receive(self->router, &routing_id, &message, now_ms);
        else if (rc == ERR_MALFORMED)
            router_receive_malformed(self->router, &routing_id, now_ms);
        else
            break;
        frame_close(&routing_id);
    }
    server_flush(self, now_ms);
    server_act(self, now_ms);
    server_flush_soon(self);
    return 0;
}

static bool server_drained(const struct server *self, int64_t now_ms)
{
    if (self->drain_end_ms == 0)
        return false;
    if (now_ms >= self->drain_end_ms)
        return true;
    return router_idle(self->router) && outbox_messages(self->outbox) == 0;
}

static int server_on_tick(zloop_t *loop, int timer_id, void *arg)
{
    struct server *self = arg;
    const int64_t now_ms = clock_ms();
    (void)loop;
    (void)timer_id;
    server_flush(self, now_ms);
    router_tick(self->router, now_ms);
    server_act(self, now_ms);
    if (!server_drained(self, now_ms))
        return 0;
    router_stop(self->router, now_ms);
    server_act(self, now_ms);
    return -1;
}

static int server_on_signal(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    struct server *self = arg;
    struct signalfd_siginfo info;
    (void)loop;
    if (read(item->fd, &info, sizeof info) != (ssize_t)sizeof info)
        return 0;
    if (self->drain_end_ms != 0)
        _exit(128 + (int)info.ssi_signo);
    const int64_t now_ms = clock_ms();
    log_write(self->log, LOG_LEVEL_INFO, "draining", LOG_UINT("signal", info.ssi_signo));
    self->drain_end_ms = now_ms + DRAIN_MS_MAX;
    router_drain(self->router, now_ms);
    server_act(self, now_ms);
    return 0;
}

/* ---- Birth and death -------------------------------------------------- */

static int server_socket_send(void *arg, struct message *message, struct frame *routing_id)
{
    return message_send(message, zsock_resolve(arg), routing_id);
}

/* As many connections as the bound allows, as far as the system does. */
static void server_raise_descriptors(struct server *self)
{
    struct rlimit limit;
    const rlim_t wanted = BROKER_PEERS_MAX + 256;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
        log_write(self->log, LOG_LEVEL_WARN, "few descriptors: not all peers may connect",
                  LOG_UINT("limit", limit.rlim_cur));
}

static void server_new_socket(struct server *self)
{
    self->socket = zsock_new(ZMQ_ROUTER);
    assert(self->socket != NULL);
    zsock_set_router_mandatory(self->socket, 1);
    zsock_set_sndhwm(self->socket, BROKER_MESSAGES_MAX);
    zsock_set_rcvhwm(self->socket, BROKER_MESSAGES_MAX);
    zsock_set_maxmsgsize(self->socket, MESSAGE_BYTES_MAX);
    zsock_set_sndbuf(self->socket, BROKER_SEND_BYTES);
    zsock_set_linger(self->socket, BROKER_LINGER_MS);
    zsock_set_backlog(self->socket, BROKER_BACKLOG);
    probe_connections(self->socket);
}

static int server_bind(struct server *self, const struct server_options *options)
{
    const char *failed = NULL;
    for (size_t i = 0; i < options->endpoint_count && failed == NULL; i++) {
        if (zsock_bind(self->socket, "%s", options->endpoints[i]) < 0)
            failed = options->endpoints[i];
        else
            log_write(self->log, LOG_LEVEL_INFO, "listening",
                      LOG_TEXT("endpoint", zsock_endpoint(self->socket)));
    }
    if (failed == NULL && options->publish != NULL && options->subscribe != NULL)
        self->relay = relay_new(self->loop, options->publish, options->subscribe, &failed);
    if (failed == NULL)
        return 0;
    log_write(self->log, LOG_LEVEL_ERROR, "cannot bind", LOG_TEXT("endpoint", failed),
              LOG_TEXT("err", zmq_strerror(zmq_errno())));
    return -1;
}

static void server_new_router(struct server *self, const struct server_options *options)
{
    struct router_options router = {
        .name = options->name,
        .secret = options->secret,
        .replay_off = options->replay_off,
        .replay_off_count = options->replay_off_count,
        .start_grace_ms = START_GRACE_MS,
    };
    /* Without randomness the seed is 0, and only worse. */
    (void)!getrandom(&router.hash_seed, sizeof router.hash_seed, 0);
    self->metrics = metrics_new();
    for (int class = 0; class < SERVICE_CLASS_COUNT; class ++) {
        char labels[64];
        snprintf(labels, sizeof labels, "service=\"%s\"",
                 service_class_label((enum service_class) class));
        router.seconds[class] =
            metrics_histogram(self->metrics, "pygmy_broker_request_duration_seconds", labels,
                              "Time from request to answer, as seen by the broker");
    }
    self->router = router_new(&router, clock_ms());
    self->outbox =
        outbox_new(&(struct outbox_options){.send = server_socket_send, .arg = self->socket});
    self->status = status_new(&(struct status_options){.name = options->name,
                                                       .metrics = self->metrics,
                                                       .router = self->router,
                                                       .outbox = self->outbox,
                                                       .relay = self->relay});
}

struct server *server_new(const struct server_options *options)
{
    struct server *self = alloc_zero(sizeof *self);
    self->log = options->log;
    self->signals = signals_take();
    server_raise_descriptors(self);
    self->loop = zloop_new();
    server_new_socket(self);
    if (server_bind(self, options) != 0) {
        server_destroy(&self);
        return NULL;
    }
    server_new_router(self, options);
    return self;
}

void server_destroy(struct server **self_p)
{
    struct server *self = *self_p;
    if (self == NULL)
        return;
    status_destroy(&self->status);
    router_destroy(&self->router);
    outbox_destroy(&self->outbox);
    relay_destroy(&self->relay);
    metrics_destroy(&self->metrics);
    zloop_destroy(&self->loop);
    zsock_destroy(&self->socket);
    close(self->signals);
    free(self);
    *self_p = NULL;
}

int server_run(struct server *self)
{
    zmq_pollitem_t signals = {.fd = self->signals, .events = ZMQ_POLLIN};
    zloop_reader(self->loop, self->socket, server_on_readable, self);
    zloop_poller(self->loop, &signals, server_on_signal, self);
    zloop_timer(self->loop, WHEEL_TICK_MS, 0, server_on_tick, self);
    zloop_start(self->loop);
    log_write(self->log, LOG_LEVEL_INFO, "ended", LOG_END);
    return 0;
}
