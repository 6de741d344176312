/* See http_server.h.
 *
 * libmicrohttpd runs without a thread of its own; its epoll descriptor is one of the loop's. It is
 * edge-triggered inside, so that a single run may leave work behind which no event announces: it is
 * run again while it asks for that, after each batch of resumed connections, and from a timer.
 *
 * The life of a call, and the function that moves it on:
 *
 *   HEAD      the request line is there                      server_on_target
 *   BODY      the headers are there and were accepted        server_on_head
 *   WAITING   handed over, the connection is suspended       server_on_whole
 *   ANSWERED  there is a reply                               call_answer
 *
 * From each state the client may go (server_on_completed): a call that its owner holds becomes an
 * orphan then and lives until the owner's reply, any other is freed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/bridge/http_server.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/bytes.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"

#define HTTP_DATE_BYTES 32 /* "Sun, 06 Nov 1994 08:49:37 GMT" */

struct http_server {
    zloop_t *loop;
    const struct http_handler *handler;
    void *arg;
    struct log *log;
    int64_t head_ms;
    int64_t answer_ms;
    struct MHD_Daemon *daemon;
    zmq_pollitem_t poll_item; /* libmicrohttpd's epoll descriptor; fd -1: not in the loop */
    int listen_fd;            /* ours to close only after http_server_drain() */
    zlistx_t *connections;    /* struct connection */
    zlistx_t *waiting;        /* struct http_call in state WAITING, the earliest deadline first */
    zlistx_t *orphans;        /* struct http_call whose connection is gone */
    int tick_timer;           /* -1: none */
    int run_timer;            /* a run that is due; -1: none */
    int64_t now_ms;           /* when the run began that is or was: each deadline is seconds away */
    bool running;             /* within MHD_run */
    bool draining;
    bool stopping;  /* nothing is handed over any more */
    size_t busy;    /* calls with a connection */
    uint64_t ended; /* calls that had one, so far */
    time_t date_s;  /* what @date says; 0: nothing */
    char date[HTTP_DATE_BYTES];
    struct metric *connections_now;
    struct metric *in_flight;
    struct metric *cut_off;
    struct metric *late;
};

struct connection {
    struct http_server *server;
    int fd;                 /* libmicrohttpd's */
    int64_t deadline_ms;    /* when it is cut off; 0: never */
    struct http_call *call; /* under way, or NULL */
    void *place;            /* in server->connections */
};

struct http_call {
    struct http_server *server;
    struct MHD_Connection *mhd; /* NULL: an orphan */
    struct connection *connection;
    enum { CALL_HEAD, CALL_BODY, CALL_WAITING, CALL_ANSWERED } state;
    bool held; /* its owner has not replied yet */
    bool suspended;
    int64_t deadline_ms;
    void *place;              /* in server->waiting or server->orphans */
    void *context;            /* the owner's */
    struct http_reply *reply; /* in state ANSWERED, until it is queued */
    struct http_request request;
    char *target;             /* of the request */
    struct http_header *head; /* its headers, and behind them the bytes that they name */
    struct bytes_writer body;
    size_t body_seen; /* bytes that came, kept or not */
};

/* ---- Calls -------------------------------------------------------------------------------- */

static void call_free(struct http_call *call)
{
    if (call->context != NULL)
        call->server->handler->free_context(call->context);
    http_reply_destroy(&call->reply);
    bytes_writer_close(&call->body);
    free(call->head);
    free(call->target);
    free(call);
}

const struct http_request *http_call_request(const struct http_call *self)
{
    return &self->request;
}

void http_call_set_context(struct http_call *self, void *context)
{
    assert(self->context == NULL);
    self->context = context;
}

void *http_call_context(const struct http_call *self)
{
    return self->context;
}

static int server_on_run_timer(zloop_t *loop, int timer, void *arg);

/* Have libmicrohttpd run soon: within this turn of the loop, or a millisecond later. */
static void server_run_soon(struct http_server *self, size_t delay_ms)
{
    if (self->run_timer < 0)
        self->run_timer = zloop_timer(self->loop, delay_ms, 1, server_on_run_timer, self);
}

/* Whether somebody still waits for the reply. */
static bool call_wanted(const struct http_call *self)
{
    return self->mhd != NULL && self->state != CALL_ANSWERED;
}

/* Give a call its reply, taken over, the first of which counts. */
static void call_answer(struct http_call *call, struct http_reply *reply)
{
    struct http_server *server = call->server;
    if (!call_wanted(call)) {
        http_reply_destroy(&reply);
        return;
    }
    call->reply = reply;
    server->handler->answered(server->arg, call, reply);
    if (call->state == CALL_WAITING) {
        zlistx_delete(server->waiting, call->place);
        metric_add(server->in_flight, -1);
    }
    call->state = CALL_ANSWERED;
    if (call->suspended) {
        call->suspended = false;
        MHD_resume_connection(call->mhd);
        server_run_soon(server, 0);
    }
}

static void call_refuse(struct http_call *call, int code)
{
    struct http_server *server = call->server;
    call_answer(call, server->handler->refuse(server->arg, call, code));
}

void http_call_reply(struct http_call **self_p, struct http_reply **reply)
{
    struct http_call *call = *self_p;
    assert(call->held);
    call->held = false;
    call_answer(call, *reply);
    if (call->mhd == NULL) {
        zlistx_delete(call->server->orphans, call->place);
        call_free(call);
    }
    *reply = NULL;
    *self_p = NULL;
}

/* ---- Replies ------------------------------------------------------------------------------ */

/* The time for a reply's Date (RFC 9110, 5.6.7), made once a second. Nobody sets a locale. */
static const char *server_date(struct http_server *self)
{
    time_t now_s = (time_t)(clock_wall_ms() / 1000);
    struct tm parts;

    if (self->date_s != now_s && gmtime_r(&now_s, &parts) != NULL &&
        strftime(self->date, sizeof self->date, "%a, %d %b %Y %H:%M:%S GMT", &parts) > 0)
        self->date_s = now_s;
    return self->date;
}

/* Hand a call's reply to libmicrohttpd. */
static enum MHD_Result call_queue(struct http_call *call)
{
    struct http_reply *reply = call->reply;
    struct MHD_Response *response = MHD_create_response_from_buffer(
        reply->body_size, reply->body,
        reply->body != NULL ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (response == NULL)
        return MHD_NO;
    reply->body = NULL;
    MHD_add_response_header(response, "Date", server_date(call->server));
    for (size_t i = 0; i < reply->header_count; i++)
        MHD_add_response_header(response, reply->headers[i].name, http_reply_value(reply, i));
    if (call->server->draining)
        MHD_add_response_header(response, "Connection", "close");
    call->connection->deadline_ms = call->server->now_ms + HTTP_SEND_MS;
    enum MHD_Result result = MHD_queue_response(call->mhd, (unsigned)reply->status, response);
    MHD_destroy_response(response);
    http_reply_destroy(&call->reply);
    return result;
}

/* ---- Requests ----------------------------------------------------------------------------- */

static struct connection *server_connection(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info->socket_context;
}

/* Nobody can be answered any more by this call. */
static void server_end_call(struct http_server *self, struct http_call *call)
{
    self->busy--;
    self->ended++;
    call->connection->call = NULL;
    /* Until the next request is there, it may be idle and then send its headers. */
    call->connection->deadline_ms = self->now_ms + HTTP_IDLE_MS + self->head_ms;
    if (call->state == CALL_WAITING) {
        zlistx_delete(self->waiting, call->place);
        metric_add(self->in_flight, -1);
    }
    call->mhd = NULL;
    call->connection = NULL;
    if (call->held)
        call->place = zlistx_add_end(self->orphans, call);
    else
        call_free(call);
}

/* The request line is there; @target is raw. What is returned is the request's con_cls. */
static void *server_on_target(void *arg, const char *target, struct MHD_Connection *mhd)
{
    struct connection *connection = server_connection(mhd);
    struct http_call *call = alloc_zero(sizeof *call);
    int64_t deadline_ms = connection->server->now_ms + connection->server->head_ms;

    assert(connection->call == NULL);
    call->server = arg;
    call->mhd = mhd;
    call->connection = connection;
    call->state = CALL_HEAD;
    call->target = alloc_copy(target, strlen(target));
    connection->call = call;
    call->server->busy++;
    if (connection->deadline_ms > deadline_ms)
        connection->deadline_ms = deadline_ms;
    return call;
}

/* A request's headers, where libmicrohttpd has them. */
struct header_list {
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t count; /* of all of them: those beyond are left out */
    size_t bytes;
};

static enum MHD_Result header_list_add(void *arg, enum MHD_ValueKind kind, const char *name,
                                       size_t name_len, const char *value, size_t value_len)
{
    struct header_list *list = arg;
    /* Blanks after a value are no part of it (RFC 9112, 5.1); those before it are gone already. */
    while (value_len > 0 && (value[value_len - 1] == ' ' || value[value_len - 1] == '\t'))
        value_len--;
    (void)kind;
    if (list->count < HTTP_HEADERS_MAX)
        list->headers[list->count] = (struct http_header){name, name_len, value, value_len};
    list->count++;
    list->bytes += name_len + value_len;
    return MHD_YES;
}

/* Copy so many bytes to a place, which moves on. */
static const char *call_copy(char **place, const char *text, size_t size)
{
    char *copy = *place;
    if (size > 0)
        memcpy(copy, text, size);
    *place += size;
    return copy;
}

/* Returns 0 or ERR_HTTP_HEADERS. All that libmicrohttpd has lives as long as the request there, and
 * a call may outlive it: the headers, and the texts of everything, are copied to one place. */
static int call_copy_head(struct http_call *call, const char *method, const char *version)
{
    struct header_list list; /* large: what is not counted is not touched */
    list.count = list.bytes = 0;
    MHD_get_connection_values_n(call->mhd, MHD_HEADER_KIND, header_list_add, &list);
    bool fits =
        list.count <= HTTP_HEADERS_MAX && list.bytes + strlen(call->target) <= HTTP_HEAD_BYTES_MAX;
    size_t count = fits ? list.count : 0;

    call->head = alloc_zero(count * sizeof *call->head + (fits ? list.bytes : 0) + strlen(method) +
                            strlen(version) + 2);
    char *place = (char *)(call->head + count);
    for (size_t i = 0; i < count; i++) {
        const struct http_header *from = &list.headers[i];
        call->head[i].name = call_copy(&place, from->name, from->name_len);
        call->head[i].name_len = from->name_len;
        call->head[i].value = call_copy(&place, from->value, from->value_len);
        call->head[i].value_len = from->value_len;
    }
    call->request = (struct http_request){
        .method = call_copy(&place, method, strlen(method) + 1),
        .target = call->target,
        .version = call_copy(&place, version, strlen(version) + 1),
        .headers = call->head,
        .header_count = count,
    };
    return fits ? 0 : ERR_HTTP_HEADERS;
}

/* The length that the headers announce; 0 when they don't. They were checked before. */
static size_t call_announced(const struct http_call *call)
{
    const struct http_header *header = http_request_header(&call->request, "Content-Length", 0);
    size_t length = 0;
    for (size_t i = 0; header != NULL && i < header->value_len; i++) {
        if (length > HTTP_BODY_READ_MAX)
            return length;
        length = length * 10 + (size_t)(header->value[i] - '0');
    }
    return length;
}

/* Whether the body is not even to be read. One that is only somewhat too long is, unless the client
 * waits for permission: to close on unread bytes may take the refusal away from the client. */
static bool call_is_far_too_large(const struct http_call *call)
{
    size_t announced = call_announced(call);
    return announced > HTTP_BODY_READ_MAX ||
           (announced > HTTP_BODY_BYTES_MAX &&
            http_request_header(&call->request, "Expect", 0) != NULL);
}

/* The headers are there. A reply at this moment closes the connection, the body is never read. */
static enum MHD_Result server_on_head(struct http_server *self, struct http_call *call,
                                      const char *method, const char *version)
{
    int rc = call_copy_head(call, method, version);
    struct http_reply *reply = rc == 0 ? self->handler->head(self->arg, call) : NULL;

    if (rc != 0)
        call_refuse(call, rc);
    else if (reply != NULL)
        call_answer(call, reply);
    else if (call_is_far_too_large(call))
        call_refuse(call, ERR_TOO_LARGE);
    if (call->state == CALL_ANSWERED)
        return call_queue(call);
    call->state = CALL_BODY;
    call->connection->deadline_ms = self->now_ms + HTTP_BODY_MS;
    return MHD_YES;
}

/* A piece of the body. One that is too long is read on, for a while, because the refusal can only
 * be sent after it. */
static enum MHD_Result server_on_piece(struct http_call *call, const char *piece, size_t *size)
{
    call->body_seen += *size;
    if (call->body_seen <= HTTP_BODY_BYTES_MAX)
        bytes_put_raw(&call->body, piece, *size);
    *size = 0;
    return call->body_seen <= HTTP_BODY_READ_MAX ? MHD_YES : MHD_NO;
}

/* The whole request is there. */
static enum MHD_Result server_on_whole(struct http_server *self, struct http_call *call)
{
    if (call->body_seen > HTTP_BODY_BYTES_MAX) {
        call_refuse(call, ERR_TOO_LARGE);
        return call_queue(call);
    }
    if (self->stopping) {
        call_refuse(call, ERR_DRAINING);
        return call_queue(call);
    }
    call->request.body = call->body.data;
    call->request.body_size = call->body.size;
    call->connection->deadline_ms = 0;
    call->held = true;
    self->handler->request(self->arg, call);
    if (call->state == CALL_ANSWERED)
        return call_queue(call);

    /* All have the same time, so the list is in the order of its deadlines. */
    call->state = CALL_WAITING;
    call->deadline_ms = self->now_ms + self->answer_ms;
    call->place = zlistx_add_end(self->waiting, call);
    metric_add(self->in_flight, 1);
    call->suspended = true;
    MHD_suspend_connection(call->mhd);
    return MHD_YES;
}

static enum MHD_Result server_on_access(void *arg, struct MHD_Connection *mhd, const char *url,
                                        const char *method, const char *version, const char *piece,
                                        size_t *piece_size, void **con_cls)
{
    struct http_server *self = arg;
    struct http_call *call = *con_cls;

    (void)mhd;
    (void)url;
    if (call->state == CALL_HEAD)
        return server_on_head(self, call, method, version);
    if (call->state == CALL_ANSWERED)
        return call_queue(call);
    assert(call->state == CALL_BODY);
    if (*piece_size > 0)
        return server_on_piece(call, piece, piece_size);
    return server_on_whole(self, call);
}

/* ---- Connections -------------------------------------------------------------------------- */

/* libmicrohttpd is done with a request: it was answered, or its client has gone. */
static void server_on_completed(void *arg, struct MHD_Connection *mhd, void **con_cls,
                                enum MHD_RequestTerminationCode why)
{
    struct http_call *call = *con_cls;

    (void)mhd;
    (void)why;
    if (call == NULL)
        return;
    *con_cls = NULL;
    server_end_call(arg, call);
}

static void server_on_connection(void *arg, struct MHD_Connection *mhd, void **context,
                                 enum MHD_ConnectionNotificationCode what)
{
    struct http_server *self = arg;
    struct connection *connection = *context;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        connection = alloc_zero(sizeof *connection);
        connection->server = self;
        connection->fd =
            MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        connection->deadline_ms = self->now_ms + self->head_ms;
        connection->place = zlistx_add_end(self->connections, connection);
        *context = connection;
        metric_add(self->connections_now, 1);
    } else {
        /* A query of more parameters than its memory takes: it closes without completing. */
        if (connection->call != NULL)
            server_end_call(self, connection->call);
        zlistx_delete(self->connections, connection->place);
        free(connection);
        *context = NULL;
        metric_add(self->connections_now, -1);
    }
}

/* ---- The loop ----------------------------------------------------------------------------- */

/* Run for as long as there is something to do, within bounds. Whoever asks again as soon as he is
 * answered is waited for, for a moment: a turn of the loop asks the kernel about each socket and
 * alarm of the bus, some fifteen of them, which takes longer than an answer from memory. Nobody is
 * waited for while a request waits for the bus. */
static void server_run(struct http_server *self)
{
    int64_t begun_us = clock_us(), now_us = begun_us;
    MHD_UNSIGNED_LONG_LONG timeout_ms;
    uint64_t ended;
    int linger_ms = 0;
    bool due; /* there is work left, which no event announces */

    assert(!self->running);
    self->running = true;
    do {
        ended = self->ended;
        self->now_ms = now_us / 1000;
        log_hold(self->log);
        MHD_run_wait(self->daemon, linger_ms);
        log_release(self->log);
        due = MHD_get_timeout(self->daemon, &timeout_ms) == MHD_YES && timeout_ms == 0;
        linger_ms = due || zlistx_size(self->waiting) > 0 ? 0 : HTTP_LINGER_MS;
        now_us = clock_us();
    } while ((due || self->ended != ended) && now_us - begun_us < HTTP_TURN_US);
    self->running = false;
    if (due)
        server_run_soon(self, 1);
}

static int server_on_run_timer(zloop_t *loop, int timer, void *arg)
{
    struct http_server *self = arg;
    (void)loop;
    (void)timer;
    self->run_timer = -1;
    server_run(self);
    return 0;
}

static int server_on_readable(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    (void)loop;
    (void)item;
    server_run(arg);
    return 0;
}

/* Cut off who took too long to send or to take; libmicrohttpd sees it as their going. */
static void server_cut_off(struct http_server *self, int64_t now_ms)
{
    struct connection *connection = zlistx_first(self->connections);
    for (; connection != NULL; connection = zlistx_next(self->connections)) {
        if (connection->deadline_ms == 0 || connection->deadline_ms > now_ms)
            continue;
        connection->deadline_ms = 0;
        shutdown(connection->fd, SHUT_RDWR);
        metric_add(self->cut_off, 1);
    }
}

/* Answer for those whose owner did not. */
static void server_expire(struct http_server *self, int64_t now_ms)
{
    struct http_call *call;
    while ((call = zlistx_first(self->waiting)) != NULL && call->deadline_ms <= now_ms) {
        call_refuse(call, ERR_TIMEOUT);
        metric_add(self->late, 1);
    }
}

static int server_on_tick(zloop_t *loop, int timer, void *arg)
{
    struct http_server *self = arg;
    int64_t now_ms = clock_ms();
    (void)loop;
    (void)timer;
    server_cut_off(self, now_ms);
    server_expire(self, now_ms);
    server_run(self);
    return 0;
}

/* ---- Start and stop ----------------------------------------------------------------------- */

/* A listening socket; -1 and errno when there is none. @ipv6 is set. */
static int server_listen(const struct addrinfo *at, bool *ipv6)
{
    int on = 1;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    *ipv6 = at->ai_family == AF_INET6;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int server_open(struct http_server *self, const char *address, bool *ipv6, char **error)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const char *colon = strrchr(address, ':');
    bool brackets = address[0] == '[' && colon != NULL && colon > address && colon[-1] == ']';
    size_t len = colon != NULL ? (size_t)(colon - address) : 0;
    char *host = brackets ? alloc_copy(address + 1, len - 2) : alloc_copy(address, len);
    int rc = colon != NULL ? getaddrinfo(host, colon + 1, &hints, &found) : EAI_NONAME;

    if (rc == 0)
        self->listen_fd = server_listen(found, ipv6);
    if (self->listen_fd < 0)
        *error = zsys_sprintf("can't listen on %s: %s", address,
                              rc == 0 ? strerror(errno) : gai_strerror(rc));
    if (found != NULL)
        freeaddrinfo(found);
    free(host);
    return self->listen_fd >= 0 ? 0 : ERR_STORAGE;
}

/* Escapes are ours to judge: the target is taken raw, and nothing is decoded behind our back. */
static size_t server_keep_escapes(void *arg, struct MHD_Connection *mhd, char *text)
{
    (void)arg;
    (void)mhd;
    return strlen(text);
}

static void server_on_log(void *arg, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
static void server_on_log(void *arg, const char *format, va_list arguments)
{
    struct http_server *self = arg;
    char text[256];
    vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\n")] = '\0';
    log_write(self->log, LOG_LEVEL_DEBUG, "libmicrohttpd", LOG_TEXT("says", text));
}

static struct MHD_Daemon *server_start(struct http_server *self, bool ipv6)
{
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                     (ipv6 ? (unsigned)MHD_USE_IPv6 : 0);
    /* The logger comes first, else what the start has to say goes to standard error. */
    return MHD_start_daemon(
        flags, 0, NULL, NULL, server_on_access, self, MHD_OPTION_EXTERNAL_LOGGER, server_on_log,
        self, MHD_OPTION_LISTEN_SOCKET, self->listen_fd, MHD_OPTION_URI_LOG_CALLBACK,
        server_on_target, self, MHD_OPTION_UNESCAPE_CALLBACK, server_keep_escapes, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, server_on_completed, self, MHD_OPTION_NOTIFY_CONNECTION,
        server_on_connection, self, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_MEMORY_BYTES,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_PER_IP_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(HTTP_IDLE_MS / 1000),
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
}

static void server_join_loop(struct http_server *self)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(self->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    self->poll_item = (zmq_pollitem_t){.fd = info->epoll_fd, .events = ZMQ_POLLIN};
    zloop_poller(self->loop, &self->poll_item, server_on_readable, self);
    zloop_poller_set_tolerant(self->loop, &self->poll_item);
    self->tick_timer = zloop_timer(self->loop, HTTP_TICK_MS, 0, server_on_tick, self);
}

static void server_make_metrics(struct http_server *self, struct metrics *metrics)
{
    if (metrics == NULL)
        return;
    self->connections_now =
        metrics_gauge(metrics, "pygmy_http_connections", NULL, "Open connections of clients.");
    self->in_flight = metrics_gauge(metrics, "pygmy_http_in_flight", NULL,
                                    "Requests that wait for an answer of the store.");
    self->cut_off = metrics_counter(metrics, "pygmy_http_cut_off_total", NULL,
                                    "Connections that took too long to send or to take.");
    self->late = metrics_counter(metrics, "pygmy_http_late_total", NULL,
                                 "Requests that got a 504 because the answer was late.");
}

int http_server_new(const struct http_server_options *options, struct http_server **self_p,
                    char **error)
{
    struct http_server *self = alloc_zero(sizeof *self);
    bool ipv6 = false;

    self->loop = options->loop;
    self->handler = options->handler;
    self->arg = options->arg;
    self->head_ms = options->head_ms > 0 ? options->head_ms : HTTP_HEAD_MS;
    self->answer_ms = options->answer_ms > 0 ? options->answer_ms : HTTP_ANSWER_MS;
    self->now_ms = clock_ms();
    self->log = options->log;
    self->poll_item.fd = -1;
    self->listen_fd = -1;
    self->tick_timer = -1;
    self->run_timer = -1;
    self->connections = zlistx_new();
    self->waiting = zlistx_new();
    self->orphans = zlistx_new();
    server_make_metrics(self, options->metrics);

    int rc = server_open(self, options->address, &ipv6, error);
    if (rc == 0 && (self->daemon = server_start(self, ipv6)) == NULL) {
        *error = zsys_sprintf("can't serve HTTP on %s", options->address);
        rc = ERR_STORAGE;
    }
    if (rc != 0) {
        http_server_destroy(&self);
        return rc;
    }
    server_join_loop(self);
    *self_p = self;
    return 0;
}

void http_server_drain(struct http_server *self)
{
    if (self->draining)
        return;
    self->draining = true;
    self->listen_fd = MHD_quiesce_daemon(self->daemon);
    close(self->listen_fd);
    self->listen_fd = -1;
}

size_t http_server_busy(const struct http_server *self)
{
    return self->busy;
}

/* Resume everything: libmicrohttpd demands it before its end. What was handed over may have taken
 * effect, so what is told is that it is unknown. */
static void server_refuse_waiting(struct http_server *self)
{
    struct http_call *call;
    self->stopping = true;
    while ((call = zlistx_first(self->waiting)) != NULL)
        call_refuse(call, ERR_TIMEOUT);
    server_run(self);
}

static void server_leave_loop(struct http_server *self)
{
    if (self->poll_item.fd >= 0)
        zloop_poller_end(self->loop, &self->poll_item);
    if (self->tick_timer >= 0)
        zloop_timer_end(self->loop, self->tick_timer);
    if (self->run_timer >= 0)
        zloop_timer_end(self->loop, self->run_timer);
}

void http_server_destroy(struct http_server **self_p)
{
    struct http_server *self = *self_p;
    struct http_call *call;
    if (self == NULL)
        return;
    if (self->daemon != NULL) {
        server_refuse_waiting(self);
        server_leave_loop(self);
        MHD_stop_daemon(self->daemon);
    } else if (self->listen_fd >= 0) {
        close(self->listen_fd);
    }
    while ((call = zlistx_detach(self->orphans, NULL)) != NULL)
        call_free(call);
    zlistx_destroy(&self->connections);
    zlistx_destroy(&self->waiting);
    zlistx_destroy(&self->orphans);
    free(self);
    *self_p = NULL;
}
