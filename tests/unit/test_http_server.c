/* The HTTP server within its loop, with clients on real sockets.
 *
 * The server runs in the test's thread; a scenario plays the clients in a second one, and only
 * collects what it gets, for the test to judge after both have ended.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <czmq.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "client/bridge/http_server.h"

enum {
    HEAD_MS = 600,
    DRIP_MS = 50,
    ANSWER_MS = 400,
    TEXT_BYTES = 8192,
    HELD_MAX = 8,
    PORT = 20000
};

/* What a scenario finds, and what it leaves. */
struct fixture {
    zloop_t *loop;
    struct http_server *server;
    int done_fd;                      /* the scenario has ended */
    struct http_call *held[HELD_MAX]; /* calls that the handler did not answer at once */
    size_t held_count;
    int requests;          /* handed over */
    int contexts;          /* attached and not freed */
    int refused;           /* code of the last refusal by the server */
    size_t body_size;      /* of the last request */
    char text[TEXT_BYTES]; /* what the client got */
    size_t text_size;
    int64_t took_ms;
    bool stop_with_held; /* destroy the server while calls are held */
};

/* ---- The server's side -------------------------------------------------------------------- */

static struct http_reply *reply_of(int status, const char *text)
{
    struct http_reply *reply = http_reply_new(status);
    http_reply_body(reply, "text/plain", strdup(text), strlen(text));
    return reply;
}

static void answer(struct http_call *call, int status, const char *text)
{
    struct http_reply *reply = reply_of(status, text);
    http_call_reply(&call, &reply);
}

static int *context_of(struct fixture *self)
{
    self->contexts++;
    return &self->contexts;
}

static struct http_reply *on_head(void *arg, struct http_call *call)
{
    const struct http_request *request = http_call_request(call);
    http_call_set_context(call, context_of(arg));
    return http_request_header(request, "X-Refuse", 0) != NULL ? reply_of(400, "refused") : NULL;
}

static int on_later(zloop_t *loop, int timer, void *arg)
{
    (void)loop;
    (void)timer;
    answer(arg, 200, "later");
    return 0;
}

static void on_request(void *arg, struct http_call *call)
{
    struct fixture *self = arg;
    const struct http_request *request = http_call_request(call);

    self->requests++;
    self->body_size = request->body_size;
    if (strcmp(request->target, "/later") == 0)
        zloop_timer(self->loop, 30, 1, on_later, call);
    else if (strcmp(request->target, "/never") == 0)
        self->held[self->held_count++] = call;
    else
        answer(call, 200, request->target);
}

static struct http_reply *on_refuse(void *arg, struct http_call *call, int code)
{
    struct fixture *self = arg;
    if (http_call_context(call) == NULL)
        http_call_set_context(call, context_of(self));
    self->refused = code;
    return reply_of(err_http(code), "the server refuses");
}

static void on_answered(void *arg, struct http_call *call, struct http_reply *reply)
{
    (void)arg;
    (void)call;
    http_reply_header(reply, "X-Answered", "yes");
}

static void free_context(void *context)
{
    --*(int *)context;
}

static const struct http_handler handler = {on_head, on_request, on_refuse, on_answered,
                                            free_context};

static int on_done(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    (void)loop;
    (void)item;
    (void)arg;
    return -1;
}

/* ---- The client's side --------------------------------------------------------------------- */

/* A loopback address of the process' own: tests run side by side, and nobody else listens there. */
static struct in_addr own_host(void)
{
    return (struct in_addr){htonl((127u << 24 | 1u << 16) + (uint32_t)getpid() % (200u << 16))};
}

static int client_connect(void)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr = own_host()};
    const struct timeval limit = {.tv_sec = 5};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0)
        perror("connect");
    return fd;
}

static void client_send(int fd, const char *text)
{
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        perror("send");
}

/* Take what comes until @ending has come @count times, or the server closes. */
static void client_receive(struct fixture *self, int fd, const char *ending, int count)
{
    while (self->text_size < TEXT_BYTES - 1) {
        int seen = 0;
        for (const char *at = self->text; (at = strstr(at, ending)) != NULL; at++)
            seen++;
        if (seen >= count)
            return;
        ssize_t got = recv(fd, self->text + self->text_size, TEXT_BYTES - 1 - self->text_size, 0);
        if (got <= 0)
            return;
        self->text_size += (size_t)got;
        self->text[self->text_size] = '\0';
    }
}

#define REQUEST(target) "GET " target " HTTP/1.1\r\nHost: h\r\n\r\n"

/* ---- Running both -------------------------------------------------------------------------- */

typedef void scenario_fn(struct fixture *self);

struct script {
    struct fixture *fixture;
    scenario_fn *play;
};

static void *play(void *arg)
{
    const struct script *script = arg;
    int64_t start_ms = clock_ms();
    script->play(script->fixture);
    script->fixture->took_ms = clock_ms() - start_ms;
    eventfd_write(script->fixture->done_fd, 1);
    return NULL;
}

/* Run a scenario from the server's start to its end. */
static void run(struct fixture *self, scenario_fn *scenario)
{
    struct script script = {self, scenario};
    char address[32];
    char *error = NULL;
    pthread_t thread;

    snprintf(address, sizeof address, "%s:%d", inet_ntoa(own_host()), PORT);
    self->loop = zloop_new();
    self->done_fd = eventfd(0, 0);
    const struct http_server_options options = {.loop = self->loop,
                                                .address = address,
                                                .handler = &handler,
                                                .arg = self,
                                                .head_ms = HEAD_MS,
                                                .answer_ms = ANSWER_MS};
    assert_int_equal(http_server_new(&options, &self->server, &error), 0);
    zmq_pollitem_t done = {.fd = self->done_fd, .events = ZMQ_POLLIN};
    zloop_poller(self->loop, &done, on_done, NULL);

    assert_int_equal(pthread_create(&thread, NULL, play, &script), 0);
    zloop_start(self->loop);
    pthread_join(thread, NULL);
    for (size_t i = 0; i < self->held_count && !self->stop_with_held; i++)
        answer(self->held[i], 200, "much too late");
    http_server_destroy(&self->server);
    zloop_destroy(&self->loop);
    close(self->done_fd);
    assert_int_equal(self->contexts, 0);
}

static int count(const char *text, const char *part)
{
    int found = 0;
    for (; (text = strstr(text, part)) != NULL; text++)
        found++;
    return found;
}

/* ---- The tests ----------------------------------------------------------------------------- */

static void play_two_requests(struct fixture *self)
{
    int fd = client_connect();
    client_send(fd, REQUEST("/one"));
    client_receive(self, fd, "/one", 1);
    client_send(fd, "POST /two HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    client_receive(self, fd, "/two", 1);
    close(fd);
}

/* Requests are answered one after the other on one connection, with or without a body. */
static void test_a_connection_serves_one_request_after_the_other(void **state)
{
    struct fixture self = {0};
    (void)state;
    run(&self, play_two_requests);
    assert_int_equal(self.requests, 2);
    assert_int_equal(self.body_size, 3);
    assert_int_equal(count(self.text, "HTTP/1.1 200"), 2);
    assert_int_equal(count(self.text, "X-Answered: yes"), 2);
}

static void play_pipeline(struct fixture *self)
{
    int fd = client_connect();
    client_send(fd, REQUEST("/later") REQUEST("/at-once") REQUEST("/later"));
    client_receive(self, fd, "later", 2);
    close(fd);
}

/* Replies that come later are sent in the order of their requests, also when these were sent all at
 * once. */
static void test_late_replies_keep_their_order(void **state)
{
    struct fixture self = {0};
    (void)state;
    run(&self, play_pipeline);
    assert_int_equal(count(self.text, "HTTP/1.1 200"), 3);
    const char *first = strstr(self.text, "later");
    const char *second = strstr(self.text, "/at-once");
    assert_true(first != NULL && second != NULL && first < second);
    assert_non_null(strstr(second, "later"));
}

static void play_never(struct fixture *self)
{
    int fd = client_connect();
    client_send(fd, REQUEST("/never"));
    client_receive(self, fd, "refuses", 1);
    client_send(fd, REQUEST("/next"));
    client_receive(self, fd, "/next", 1);
    close(fd);
}

/* A request that nobody answers gets a 504 at its deadline, the connection goes on, and a reply that
 * comes after it is dropped. */
static void test_a_late_request_gets_its_504(void **state)
{
    struct fixture self = {0};
    (void)state;
    run(&self, play_never);
    assert_int_equal(self.refused, ERR_TIMEOUT);
    assert_int_equal(count(self.text, "HTTP/1.1 504"), 1);
    assert_int_equal(count(self.text, "HTTP/1.1 200"), 1);
    assert_null(strstr(self.text, "much too late"));
    assert_in_range(self.took_ms, ANSWER_MS, ANSWER_MS + 4 * HTTP_TICK_MS);
}

/* A server may end while calls are held: they are freed with it, and nothing is sent twice. */
static void test_held_calls_end_with_the_server(void **state)
{
    struct fixture self = {.stop_with_held = true};
    (void)state;
    run(&self, play_never);
    assert_int_equal(self.held_count, 1);
}

static void play_vanish(struct fixture *self)
{
    int fds[HELD_MAX];
    for (size_t i = 0; i < HELD_MAX; i++) {
        fds[i] = client_connect();
        client_send(fds[i], REQUEST("/never"));
    }
    for (size_t i = 0; i < HELD_MAX; i++)
        close(fds[i]);
    int fd = client_connect();
    client_send(fd, REQUEST("/later"));
    client_receive(self, fd, "later", 1);
    close(fd);
}

/* Clients that go while their requests are under way harm nobody; replies to them are dropped. */
static void test_vanished_clients_are_forgotten(void **state)
{
    struct fixture self = {0};
    (void)state;
    run(&self, play_vanish);
    assert_int_equal(self.held_count, HELD_MAX);
    assert_int_equal(count(self.text, "HTTP/1.1 200"), 1);
}

static void play_refused_head(struct fixture *self)
{
    int fd = client_connect();
    client_send(fd,
                "POST /x HTTP/1.1\r\nHost: h\r\nX-Refuse: 1\r\nContent-Length: 40\r\n\r\n" REQUEST(
                    "/smuggled"));
    client_receive(self, fd, "never comes", 1);
    close(fd);
}

/* A request whose headers are refused is the last of its connection: what follows is not read as
 * another one. */
static void test_a_refused_head_closes_the_connection(void **state)
{
    struct fixture self = {0};
    (void)state;
    run(&self, play_refused_head);
    assert_int_equal(count(self.text, "HTTP/1.1"), 1);
    assert_int_equal(count(self.text, "HTTP/1.1 400"), 1);
    assert_int_equal(self.requests, 0);
}

static void play_drip(struct fixture *self)
{
    int fd = client_connect();
    const char *text = "GET /drip HTTP/1.1\r\nHost: h\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    struct pollfd closed = {.fd = fd, .events = POLLIN};
    while (*text != '\0' && send(fd, text, 1, MSG_NOSIGNAL) == 1 && poll(&closed, 1, DRIP_MS) == 0)
        text++;
    client_receive(self, fd, "never comes", 1);
    close(fd);
}

/* Who sends headers byte by byte is cut off at the deadline, however steadily the bytes come. */
static void test_slow_headers_are_cut_off(void **state)
{
    struct fixture self = {0};
    (void)state;
    run(&self, play_drip);
    assert_int_equal(self.requests, 0);
    assert_int_equal(self.text_size, 0);
    assert_in_range(self.took_ms, HEAD_MS - HTTP_TICK_MS, HEAD_MS + 4 * HTTP_TICK_MS);
}

static void play_large_body(struct fixture *self)
{
    static const char piece[] = "100\r\n"
                                "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                                "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                                "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                                "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                                "\r\n";
    int fd = client_connect();
    client_send(fd, "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t sent = 0; sent <= HTTP_BODY_BYTES_MAX; sent += 256)
        client_send(fd, piece);
    client_send(fd, "0\r\n\r\n");
    client_receive(self, fd, "refuses", 1);
    close(fd);
}

/* A body without a length is counted, and refused where the limit is. */
static void test_a_chunked_body_is_bounded(void **state)
{
    struct fixture self = {0};
    (void)state;
    run(&self, play_large_body);
    assert_int_equal(self.refused, ERR_TOO_LARGE);
    assert_int_equal(count(self.text, "HTTP/1.1 413"), 1);
    assert_int_equal(self.requests, 0);
}

/* An address that is in use is told, and nothing stays behind. */
static void test_an_address_in_use_is_an_error(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    zloop_t *loop = zloop_new();
    struct http_server *server = NULL;
    char address[32];
    char *error = NULL;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)state;

    inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    snprintf(address, sizeof address, "127.0.0.1:%d", ntohs(at.sin_port));
    const struct http_server_options options = {
        .loop = loop, .address = address, .handler = &handler};
    assert_int_equal(http_server_new(&options, &server, &error), ERR_STORAGE);
    assert_null(server);
    assert_non_null(strstr(error, address));
    assert_non_null(strstr(error, "in use"));
    free(error);
    zloop_destroy(&loop);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_connection_serves_one_request_after_the_other),
        cmocka_unit_test(test_late_replies_keep_their_order),
        cmocka_unit_test(test_a_late_request_gets_its_504),
        cmocka_unit_test(test_held_calls_end_with_the_server),
        cmocka_unit_test(test_vanished_clients_are_forgotten),
        cmocka_unit_test(test_a_refused_head_closes_the_connection),
        cmocka_unit_test(test_slow_headers_are_cut_off),
        cmocka_unit_test(test_a_chunked_body_is_bounded),
        cmocka_unit_test(test_an_address_in_use_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
