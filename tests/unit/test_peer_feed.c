/* What a link publishes for everybody: who has subscribed, and who gets it. The relays are played
 * by XSUB sockets, or are the broker's own.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/relay.h"
#include "services/replica/peer_link.h"

/* link: replica broker */

#define DEADLINE_MS 10000
#define PORT        7201 /* of the first relay; the link's own is the one before it */
#define RELAYS      2
#define TOPIC       "changes.catalog"
#define LEASES      "leases.catalog"

struct fixture {
    zloop_t *loop;
    struct peer_link *link;
    char own[64];
    char relays[RELAYS][64];
    zsock_t *relay; /* XSUB in the first one's place; NULL: nobody is there */
    size_t told;    /* times that on_subscribers was */
    bool (*condition)(struct fixture *self);
    bool expected;
    bool half; /* of what is awaited has come */
    int64_t end_ms;
    bool met;
};

static void endpoint(char *text, int port)
{
    /* A loopback address of the process' own. */
    const struct in_addr host = {
        htonl((127u << 24 | 2u << 16) + (uint32_t)getpid() % (200u << 16))};
    sprintf(text, "tcp://%s:%d", inet_ntoa(host), port);
}

static int look(zloop_t *loop, int timer, void *arg)
{
    struct fixture *self = arg;
    (void)loop;
    (void)timer;
    self->met = self->condition(self);
    return self->met || clock_ms() > self->end_ms ? -1 : 0;
}

static void run_until(struct fixture *self, bool (*condition)(struct fixture *))
{
    self->condition = condition;
    self->end_ms = clock_ms() + DEADLINE_MS;
    self->met = false;
    const int timer = zloop_timer(self->loop, 1, 0, look, self);
    zloop_start(self->loop);
    zloop_timer_end(self->loop, timer);
    assert_true(self->met);
}

static void on_message(void *arg, struct peer_message *message)
{
    (void)arg;
    peer_message_close(message);
}

static void on_turn(void *arg)
{
    (void)arg;
}

static void on_subscribers(void *arg)
{
    struct fixture *self = arg;
    self->told++;
}

static bool link_opens(struct fixture *self)
{
    const char *const relays[RELAYS] = {self->relays[0], self->relays[1]};
    const struct peer_link_options options = {
        .endpoint = self->own,
        .group = "catalog",
        .uuid = "0123456789abcdef0123456789ABCDEF",
        .id = 1,
        .relays = relays,
        .relay_count = RELAYS,
        .on_message = on_message,
        .on_turn = on_turn,
        .on_subscribers = on_subscribers,
        .arg = self,
    };
    self->link = peer_link_new(self->loop, &options);
    return self->link != NULL;
}

/* The kernel may not yet have let go of the port that the one before it had. */
static bool relay_opens(struct fixture *self)
{
    self->relay = zsock_new(ZMQ_XSUB);
    zsock_set_linger(self->relay, 0);
    if (zsock_bind(self->relay, "%s", self->relays[0]) < 0)
        zsock_destroy(&self->relay);
    return self->relay != NULL;
}

static int set_up(void **state)
{
    struct fixture *self = alloc_zero(sizeof *self);
    self->loop = zloop_new();
    endpoint(self->own, PORT - 1);
    for (int i = 0; i < RELAYS; i++)
        endpoint(self->relays[i], PORT + i);
    run_until(self, link_opens);
    run_until(self, relay_opens);
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *self = *state;
    peer_link_destroy(&self->link);
    zsock_destroy(&self->relay);
    zloop_destroy(&self->loop);
    free(self);
    return 0;
}

/* As a relay passes it on: 1 or 0, and the beginning of topics. */
static void subscribe(struct fixture *self, int more, const char *topic, size_t size)
{
    char frame[64] = {(char)more};
    memcpy(frame + 1, topic, size);
    assert_int_equal(zmq_send(zsock_resolve(self->relay), frame, size + 1, 0), (int)size + 1);
}

static bool is_as_expected(struct fixture *self)
{
    /* A socket takes its connections when it is used. */
    if (self->relay != NULL)
        (void)zsock_events(self->relay);
    return peer_link_has_subscribers(self->link, FEED_CHANGES) == self->expected;
}

static void expect(struct fixture *self, bool subscribers)
{
    self->expected = subscribers;
    run_until(self, is_as_expected);
}

/* Take the next message that has come to the relay: whether it is this one. */
static bool relay_got(struct fixture *self, const char *text)
{
    struct message message;
    if (message_receive(&message, zsock_resolve(self->relay), NULL) != 0)
        return false;
    assert_int_equal(message.count, 1);
    const struct frame *frame = &message.frames[0];
    assert_true(frame_size(frame) > sizeof TOPIC);
    assert_memory_equal(frame_data(frame), TOPIC, sizeof TOPIC);
    const bool equal = frame_size(frame) == sizeof TOPIC + strlen(text) &&
                       memcmp(frame_data(frame) + sizeof TOPIC, text, strlen(text)) == 0;
    message_close(&message);
    return equal;
}

static bool relay_got_last(struct fixture *self)
{
    return relay_got(self, "last");
}

static void publish(struct fixture *self, const char *text)
{
    peer_link_publish(self->link, FEED_CHANGES, text, strlen(text));
}

/* ---- Subscriptions --------------------------------------------------------------------------- */

/* It is told when the first subscriber comes, and when the last one goes. */
static void test_subscribers_are_told(void **state)
{
    struct fixture *self = *state;

    assert_false(peer_link_has_subscribers(self->link, FEED_CHANGES));
    assert_int_equal(self->told, 0);
    subscribe(self, 1, TOPIC, sizeof TOPIC);
    expect(self, true);
    assert_int_equal(self->told, 1);
    subscribe(self, 0, TOPIC, sizeof TOPIC);
    expect(self, false);
    assert_int_equal(self->told, 2);
}

/* Each beginning of the topic counts by itself, from nothing to all of it. */
static void test_a_beginning_of_the_topic_counts(void **state)
{
    struct fixture *self = *state;

    for (size_t size = 0; size <= sizeof TOPIC; size++) {
        subscribe(self, 1, TOPIC, size);
        expect(self, true);
        subscribe(self, 0, TOPIC, size);
        expect(self, false);
    }
    subscribe(self, 1, "", 0);
    subscribe(self, 1, TOPIC, sizeof TOPIC);
    subscribe(self, 0, "", 0);
    subscribe(self, 1, "changes.", 8);
    expect(self, true);
    subscribe(self, 0, "changes.", 8);
    publish(self, "first");
    expect(self, true);
    subscribe(self, 0, TOPIC, sizeof TOPIC);
    expect(self, false);
}

/* What others are asked for is nobody's here: the last of these is followed by one that counts. */
static void test_other_topics_do_not_count(void **state)
{
    static const char *const others[] = {"changes.order", "changes.catalogs", "x",
                                         "changes.catalog2"};
    struct fixture *self = *state;

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        subscribe(self, 1, others[i], strlen(others[i]));
    subscribe(self, 1, TOPIC "\0more", sizeof TOPIC + 4);
    subscribe(self, 1, TOPIC, sizeof TOPIC);
    expect(self, true);
    subscribe(self, 0, TOPIC, sizeof TOPIC);
    expect(self, false);
    assert_int_equal(self->told, 2);
}

/* Whether the next message has come to the relay; it is this one, of that topic. */
static bool relay_took(struct fixture *self, const char *topic, const char *text)
{
    struct message message;
    if (message_receive(&message, zsock_resolve(self->relay), NULL) != 0)
        return false;
    const struct frame *frame = &message.frames[0];
    const size_t topic_size = strlen(topic) + 1;
    assert_int_equal(frame_size(frame), topic_size + strlen(text));
    assert_memory_equal(frame_data(frame), topic, topic_size);
    assert_memory_equal(frame_data(frame) + topic_size, text, strlen(text));
    message_close(&message);
    return true;
}

static bool relay_got_lease(struct fixture *self)
{
    return relay_took(self, LEASES, "last");
}

static bool relay_got_both(struct fixture *self)
{
    if (!self->half)
        self->half = relay_took(self, LEASES, "of the leases");
    return self->half && relay_took(self, TOPIC, "of the changes");
}

/* Streams are told apart: each has the subscribers to its own topic, and they get nothing of the
 * other. */
static void test_streams_are_told_apart(void **state)
{
    struct fixture *self = *state;

    subscribe(self, 1, LEASES, sizeof LEASES);
    subscribe(self, 1, TOPIC, sizeof TOPIC);
    expect(self, true);
    assert_true(peer_link_has_subscribers(self->link, FEED_LEASES));
    peer_link_publish(self->link, FEED_LEASES, "of the leases", 13);
    publish(self, "of the changes");
    run_until(self, relay_got_both);
    subscribe(self, 0, TOPIC, sizeof TOPIC);
    expect(self, false);
    assert_true(peer_link_has_subscribers(self->link, FEED_LEASES));
    publish(self, "for nobody");
    peer_link_publish(self->link, FEED_LEASES, "last", 4);
    run_until(self, relay_got_lease); /* and nothing before it: that is asserted */
}

/* Whoever asks for everything is a subscriber to each. */
static void test_a_subscription_to_everything_is_to_each_stream(void **state)
{
    struct fixture *self = *state;

    subscribe(self, 1, "", 0);
    expect(self, true);
    assert_true(peer_link_has_subscribers(self->link, FEED_LEASES));
    subscribe(self, 0, "", 0);
    expect(self, false);
    assert_false(peer_link_has_subscribers(self->link, FEED_LEASES));
    assert_int_equal(self->told, 2);
}

/* ---- Relays that come and go ----------------------------------------------------------------- */

/* A relay that is lost has no subscribers, nor has the one in its place before it says so. */
static void test_the_subscriptions_of_a_lost_relay_are_forgotten(void **state)
{
    struct fixture *self = *state;

    subscribe(self, 1, TOPIC, sizeof TOPIC);
    expect(self, true);
    zsock_destroy(&self->relay);
    expect(self, false);
    assert_int_equal(self->told, 2);
    publish(self, "into the void");
    run_until(self, relay_opens);
    subscribe(self, 1, "x", 1);
    subscribe(self, 1, TOPIC, sizeof TOPIC);
    expect(self, true);
    publish(self, "last");
    run_until(self, relay_got_last);
}

/* One relay with a subscriber is enough, and gets all that is published while it has. */
static void test_what_is_published_while_there_are_subscribers_arrives(void **state)
{
    struct fixture *self = *state;

    publish(self, "too early");
    subscribe(self, 1, TOPIC, sizeof TOPIC);
    expect(self, true);
    publish(self, "last");
    run_until(self, relay_got_last); /* and nothing before it */
}

/* ---- The broker's own relay ------------------------------------------------------------------ */

/* A subscriber at the broker is known at the publisher, with what it has asked for, and until it
 * has gone; it makes no difference that there is a second one. */
static void test_subscribers_of_a_broker_are_known(void **state)
{
    struct fixture *self = *state;
    char subscribers[64];
    zsock_t *one = zsock_new(ZMQ_SUB), *other = zsock_new(ZMQ_SUB);

    endpoint(subscribers, PORT + 7);
    struct relay *relay = relay_new(self->loop, self->relays[1], subscribers, NULL);
    assert_non_null(relay);
    assert_int_equal(zmq_setsockopt(zsock_resolve(one), ZMQ_SUBSCRIBE, TOPIC, sizeof TOPIC), 0);
    assert_int_equal(zmq_setsockopt(zsock_resolve(other), ZMQ_SUBSCRIBE, TOPIC, sizeof TOPIC), 0);
    assert_int_equal(zsock_connect(one, "%s", subscribers), 0);
    expect(self, true);
    assert_int_equal(zsock_connect(other, "%s", subscribers), 0);
    zsock_destroy(&one);
    zsock_destroy(&other);
    expect(self, false);
    one = zsock_new(ZMQ_SUB);
    assert_int_equal(zmq_setsockopt(zsock_resolve(one), ZMQ_SUBSCRIBE, "", 0), 0);
    assert_int_equal(zsock_connect(one, "%s", subscribers), 0);
    expect(self, true);
    relay_destroy(&relay);
    expect(self, false);
    zsock_destroy(&one);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_subscribers_are_told),
        TEST(test_a_beginning_of_the_topic_counts),
        TEST(test_other_topics_do_not_count),
        TEST(test_streams_are_told_apart),
        TEST(test_a_subscription_to_everything_is_to_each_stream),
        TEST(test_the_subscriptions_of_a_lost_relay_are_forgotten),
        TEST(test_what_is_published_while_there_are_subscribers_arrives),
        TEST(test_subscribers_of_a_broker_are_known),
    };
    zsys_handler_set(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
