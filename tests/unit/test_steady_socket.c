/* A socket that stays connected, whatever it is that ends the connection.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/steady_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/bus/clock.h"

#define DEADLINE_MS 10000
#define PORT        7101 /* of the first test */
#define BYTES_MAX   1000

struct fixture {
    zloop_t *loop;
    struct sockaddr_in at; /* the endpoint's */
    char endpoint[64];
    struct steady_socket *steady; /* a SUB to everything */
    zsock_t *publisher;
    size_t heard;    /* messages */
    size_t made;     /* sockets */
    size_t turn_max; /* messages that a turn reads; 0: all */
    bool publishing; /* a message each millisecond */
    int64_t end_ms;
};

static struct sockaddr_in own_address(uint16_t port)
{
    /* Of the process' own: tests run side by side, and nobody else listens there. */
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr = {htonl((127u << 24 | 3u << 16) + (uint32_t)getpid() % (200u << 16))},
    };
}

static zsock_t *make_subscriber(void *arg)
{
    struct fixture *self = arg;
    zsock_t *socket = zsock_new(ZMQ_SUB);
    self->made++;
    zsock_set_subscribe(socket, "");
    zsock_set_maxmsgsize(socket, BYTES_MAX);
    return socket;
}

static int hear(zloop_t *loop, zsock_t *reader, void *arg)
{
    struct fixture *self = arg;
    uint8_t bytes[BYTES_MAX];
    (void)loop;
    for (size_t i = 0; self->turn_max == 0 || i < self->turn_max; i++) {
        if (zmq_recv(zsock_resolve(reader), bytes, sizeof bytes, ZMQ_DONTWAIT) < 0)
            break;
        self->heard++;
    }
    return 0;
}

static int end_loop(zloop_t *loop, int timer, void *arg)
{
    (void)loop;
    (void)timer;
    (void)arg;
    return -1;
}

/* Run the loop for a millisecond. False when the test's time is up. */
static bool run(struct fixture *self)
{
    if (self->publishing)
        zmq_send(zsock_resolve(self->publisher), "x", 1, ZMQ_DONTWAIT);
    zloop_timer(self->loop, 1, 1, end_loop, NULL);
    zloop_start(self->loop);
    return clock_ms() < self->end_ms;
}

/* Run the loop until @more messages more are heard. */
static void run_until_heard(struct fixture *self, size_t more)
{
    const size_t wanted = self->heard + more;
    while (self->heard < wanted)
        assert_true(run(self));
}

/* Bind a socket at the endpoint; the kernel may not yet have let go of the port. */
static zsock_t *bind_socket(struct fixture *self, int type)
{
    zsock_t *socket = zsock_new(type);
    zsock_set_sndhwm(socket, 0);
    while (zsock_bind(socket, "%s", self->endpoint) < 0)
        assert_true(errno == EADDRINUSE && clock_ms() < self->end_ms);
    return socket;
}

static void hear_again(struct fixture *self)
{
    self->publishing = true;
    run_until_heard(self, 1);
    self->publishing = false;
}

/* The state is the test's port: a socket that is gone listens until libzmq's thread has closed it, and
 * whom that still accepts loses the connection at once. */
static int setup(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);
    self->at = own_address(*(const uint16_t *)*state);
    sprintf(self->endpoint, "tcp://%s:%d", inet_ntoa(self->at.sin_addr), ntohs(self->at.sin_port));
    self->loop = zloop_new();
    self->end_ms = clock_ms() + DEADLINE_MS;
    self->steady = steady_socket_new(self->loop, self->endpoint, make_subscriber, hear, self);
    assert_non_null(self->steady);
    *state = self;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *self = *state;
    steady_socket_destroy(&self->steady);
    assert_null(self->steady);
    steady_socket_destroy(&self->steady);
    zsock_destroy(&self->publisher);
    zloop_destroy(&self->loop);
    free(self);
    return 0;
}

/* Whoever comes later than it, and comes again, is heard. */
static void test_it_finds_who_comes_later(void **state)
{
    struct fixture *self = *state;
    for (int i = 0; i < 3; i++) {
        self->publisher = bind_socket(self, ZMQ_PUB);
        hear_again(self);
        zsock_destroy(&self->publisher);
    }
}

/* A frame above the bound, for which libzmq would never come back, costs the connection alone. */
static void test_it_outlives_a_frame_above_the_bound(void **state)
{
    static const uint8_t large[BYTES_MAX + 1];
    struct fixture *self = *state;
    self->publisher = bind_socket(self, ZMQ_PUB);
    hear_again(self);
    assert_int_equal(self->made, 1);
    zmq_send(zsock_resolve(self->publisher), large, sizeof large, 0);
    while (self->made == 1)
        assert_true(run(self));
    hear_again(self);
    assert_int_equal(self->made, 2);
}

/* A socket of a type that none of its kind talks to, and then the right one. */
static void test_it_outlives_the_wrong_socket(void **state)
{
    struct fixture *self = *state;
    zsock_t *wrong = bind_socket(self, ZMQ_REP);
    while (self->made < 2)
        assert_true(run(self));
    zsock_destroy(&wrong);
    self->publisher = bind_socket(self, ZMQ_PUB);
    hear_again(self);
}

/* Something that is not ZeroMQ at all, that talks first and hangs up. */
static void test_it_outlives_another_program(void **state)
{
    static const char greeting[] = "220 what do you want?\r\n";
    struct fixture *self = *state;
    const struct timeval limit = {.tv_sec = DEADLINE_MS / 1000};
    const int yes = 1;

    int listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    while (bind(listener, (const struct sockaddr *)&self->at, sizeof self->at) != 0)
        assert_true(errno == EADDRINUSE && clock_ms() < self->end_ms);
    assert_int_equal(listen(listener, 1), 0);
    int connection = accept(listener, NULL, NULL);
    assert_true(connection >= 0);
    assert_int_equal(send(connection, greeting, sizeof greeting, MSG_NOSIGNAL), sizeof greeting);
    close(connection);
    close(listener);
    self->publisher = bind_socket(self, ZMQ_PUB);
    hear_again(self);
}

/* What had arrived when the connection ended is read to its end, however many turns it takes. */
static void test_what_arrived_before_a_loss_is_read(void **state)
{
    struct fixture *self = *state;
    enum { MANY = 500 };
    self->publisher = bind_socket(self, ZMQ_PUB);
    hear_again(self);
    self->turn_max = 10;
    for (int i = 0; i < MANY; i++)
        assert_int_equal(zmq_send(zsock_resolve(self->publisher), "y", 1, 0), 1);
    zsock_set_linger(self->publisher, DEADLINE_MS);
    zsock_destroy(&self->publisher);
    run_until_heard(self, MANY);
}

/* It may go during the pause after a loss. */
static void test_it_may_end_during_the_pause(void **state)
{
    struct fixture *self = *state;
    self->publisher = bind_socket(self, ZMQ_PUB);
    hear_again(self);
    zsock_destroy(&self->publisher);
    while (steady_socket_now(self->steady) != NULL)
        assert_true(run(self));
}

static void test_an_endpoint_that_is_none_is_refused(void **state)
{
    struct fixture *self = *state;
    assert_null(steady_socket_new(self->loop, "nonsense", make_subscriber, hear, self));
    assert_null(steady_socket_new(self->loop, "", make_subscriber, hear, self));
    assert_null(steady_socket_new(self->loop, "tcp://127.0.0.1", make_subscriber, NULL, self));
}

int main(void)
{
    uint16_t ports[] = {PORT, PORT + 1, PORT + 2, PORT + 3, PORT + 4, PORT + 5, PORT + 6};
#define TEST(name, i) cmocka_unit_test_prestate_setup_teardown(name, setup, teardown, &ports[i])
    const struct CMUnitTest tests[] = {
        TEST(test_it_finds_who_comes_later, 0),
        TEST(test_it_outlives_a_frame_above_the_bound, 1),
        TEST(test_it_outlives_the_wrong_socket, 2),
        TEST(test_it_outlives_another_program, 3),
        TEST(test_what_arrived_before_a_loss_is_read, 4),
        TEST(test_it_may_end_during_the_pause, 5),
        TEST(test_an_endpoint_that_is_none_is_refused, 6),
    };
    zsys_handler_set(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
