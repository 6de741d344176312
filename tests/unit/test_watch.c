/* libpygmy's watch, against a broker, and feeds, whose part the test plays.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/frame.h"
#include "broker/bus/limits.h"
#include "client/store/pygmy.h"
#include "tests/lib/scripted_broker.h"

#define FEEDS 2

static const char TOPIC[] = "changes.order";

/* A broker's feed: an XPUB, which tells that the watch has subscribed. */
struct scripted_feed {
    char address[SCRIPTED_ADDRESS_BYTES];
    char endpoint[SCRIPTED_ADDRESS_BYTES];
    zsock_t *socket;
    size_t subscribed; /* subscriptions that came */
};

struct fixture {
    zloop_t *loop;
    struct scripted_broker *broker;
    struct scripted_feed feeds[FEEDS];
    struct pygmy *store;
    struct pygmy_watch *watch;
    char text[1024]; /* what the watch has told, as "begun 3 5@7 " */
    const char *wanted;
};

static void tell(struct fixture *self, const char *word, int64_t one, const char *between,
                 int64_t other)
{
    const size_t used = strlen(self->text);
    assert_true(used + 64 < sizeof self->text);
    if (between == NULL)
        snprintf(self->text + used, sizeof self->text - used, "%s %lld ", word, (long long)one);
    else
        snprintf(self->text + used, sizeof self->text - used, "%s%lld%s%lld ", word, (long long)one,
                 between, (long long)other);
}

static void on_change(void *arg, const json_t *change, int64_t resume)
{
    tell(arg, "", json_integer_value(json_object_get(change, "version")), "@", resume);
}

static void on_news(void *arg, enum pygmy_news news, int64_t number)
{
    static const char *const names[] = {"begun", "silent", "heard", "ahead", "reset"};
    /* How long a silence took depends on the machine. */
    const bool timed = news == PYGMY_SILENT || news == PYGMY_HEARD;
    if (timed)
        assert_true(number >= CHANGES_SILENCE_MS);
    tell(arg, names[news], timed ? 0 : number, NULL, 0);
}

/* ---- The other side --------------------------------------------------------------- */

static void feed_bind(struct scripted_feed *self)
{
    self->socket = zsock_new(ZMQ_XPUB);
    zsock_set_linger(self->socket, 0);
    zsock_set_xpub_verbose(self->socket, 1);
    self->subscribed = 0;
    assert_true(zsock_bind(self->socket, "%s", self->address) >= 0);
    char *endpoint = zsock_last_endpoint(self->socket);
    snprintf(self->endpoint, sizeof self->endpoint, "%s", endpoint);
    freen(endpoint);
}

static bool feed_is_subscribed(void *arg)
{
    struct scripted_feed *self = arg;
    struct message message;
    while (message_receive(&message, zsock_resolve(self->socket), NULL) == OK) {
        const struct frame *said = &message.frames[0];
        assert_true(frame_size(said) == 1 + sizeof TOPIC &&
                    memcmp(frame_data(said) + 1, TOPIC, sizeof TOPIC) == 0);
        self->subscribed += frame_data(said)[0];
        message_close(&message);
    }
    return self->subscribed > 0;
}

/* Say what stands behind the topic, whose last byte is the NUL. */
static void feed_say(struct scripted_feed *self, const char *text)
{
    struct message message;
    message_init(&message);
    struct frame frame;
    frame_init_size(&frame, sizeof TOPIC + strlen(text));
    memcpy(frame_data_mutable(&frame), TOPIC, sizeof TOPIC);
    memcpy(frame_data_mutable(&frame) + sizeof TOPIC, text, strlen(text));
    message_add_frame(&message, &frame);
    assert_int_equal(message_send(&message, zsock_resolve(self->socket), NULL), OK);
}

/* A live message, with a row of each version in it. */
static void feed_publish(struct scripted_feed *self, int64_t from, int64_t index)
{
    json_t *rows = json_array();
    for (int64_t version = from + 1; version <= index; version++)
        json_array_append_new(rows, json_pack("{sI}", "version", (json_int_t)version));
    json_t *message = json_pack("{ss ss sI sI so}", "group", "order", "cluster", "c1", "from",
                                (json_int_t)from, "index", (json_int_t)index, "changes", rows);
    char *text = json_dumps(message, 0);
    feed_say(self, text);
    free(text);
    json_decref(message);
}

/* Wait for the @nth question, from 0, which has to go to @service and say this. */
static struct scripted_record *expect_question(struct fixture *self, size_t nth,
                                               const char *service, const char *text)
{
    scripted_broker_await(self->broker, PACK_REQUEST, nth + 1);
    struct scripted_record *record = scripted_broker_nth(self->broker, PACK_REQUEST, nth);
    assert_string_equal(record->service, service);
    assert_string_equal(record->body, text);
    return record;
}

static void answer(struct fixture *self, const struct scripted_record *question, const char *text)
{
    scripted_broker_reply(self->broker, question, OK, text);
}

/* ---- Expecting -------------------------------------------------------------------- */

static bool is_told(void *arg)
{
    const struct fixture *self = arg;
    return strcmp(self->text, self->wanted) == 0;
}

/* Run until the watch has told exactly this since the last time. */
static void expect(struct fixture *self, const char *text)
{
    self->wanted = text;
    scripted_run_until(self->loop, is_told, self);
    self->text[0] = '\0';
}

static int set_up(void **state)
{
    struct fixture *self = alloc_zero(sizeof *self);
    char *error = NULL;
    self->loop = zloop_new();
    self->broker = scripted_broker_new(self->loop, 'C');
    for (size_t i = 0; i < FEEDS; i++) {
        scripted_address(self->feeds[i].address);
        feed_bind(&self->feeds[i]);
    }
    const char *endpoints[] = {self->broker->endpoint};
    assert_int_equal(pygmy_open(&(struct pygmy_options){.name = "test",
                                                        .loop = self->loop,
                                                        .endpoints = endpoints,
                                                        .endpoint_count = 1},
                                &self->store, &error),
                     OK);
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *self = *state;
    pygmy_watch_destroy(&self->watch);
    pygmy_close(&self->store);
    scripted_broker_destroy(&self->broker);
    for (size_t i = 0; i < FEEDS; i++)
        zsock_destroy(&self->feeds[i].socket);
    zloop_destroy(&self->loop);
    free(self);
    return 0;
}

static struct pygmy_watch_options options_of(struct fixture *self, const char *const *feeds,
                                             const char *const *replicas, int64_t since)
{
    return (struct pygmy_watch_options){.group = "order",
                                        .since = since,
                                        .feeds = feeds,
                                        .feed_count = FEEDS,
                                        .replicas = replicas,
                                        .replica_count = 2,
                                        .change = on_change,
                                        .news = on_news,
                                        .arg = self};
}

/* Begin to watch, with both feeds subscribed to. */
static void begin(struct fixture *self, int64_t since)
{
    const char *feeds[FEEDS] = {self->feeds[0].endpoint, self->feeds[1].endpoint};
    static const char *const replicas[] = {"order-1", "order-2"};
    const struct pygmy_watch_options options = options_of(self, feeds, replicas, since);
    char *error = NULL;
    assert_int_equal(pygmy_watch_new(self->store, &options, &self->watch, &error), OK);
    for (size_t i = 0; i < FEEDS; i++)
        scripted_run_until(self->loop, feed_is_subscribed, &self->feeds[i]);
}

/* Begin at index 10, with nothing missing. */
static void begin_at_10(struct fixture *self)
{
    begin(self, 10);
    answer(self, expect_question(self, 0, "node.order-1", "{\"op\":\"changes\",\"since\":10}"),
           "{\"group\":\"order\",\"cluster\":\"c1\",\"from\":10,\"index\":10,\"more\":false,"
           "\"changes\":[]}");
    expect(self, "begun 10 ");
}

/* ---- Tests ------------------------------------------------------------------------ */

/* A replica is asked where the group is; what is published while it answers is told after that. */
static void test_it_begins_where_a_replica_is(void **state)
{
    struct fixture *self = *state;
    begin(self, PYGMY_NOW);
    const struct scripted_record *question =
        expect_question(self, 0, "node.order-1", "{\"op\":\"changes\"}");
    assert_int_equal(pygmy_watch_index(self->watch), PYGMY_NOW);
    feed_publish(&self->feeds[0], 6, 8);
    answer(self, question,
           "{\"group\":\"order\",\"cluster\":\"c1\",\"from\":7,\"index\":7,\"more\":false,"
           "\"changes\":[]}");
    expect(self, "begun 7 8@8 ");
    assert_int_equal(pygmy_watch_index(self->watch), 8);
}

/* The brokers give out the same: it is told once, and the loss of one of them is not noticed. */
static void test_two_feeds_are_one_stream(void **state)
{
    struct fixture *self = *state;
    begin_at_10(self);
    feed_publish(&self->feeds[0], 10, 11);
    feed_publish(&self->feeds[1], 10, 11);
    feed_publish(&self->feeds[1], 11, 12);
    expect(self, "11@11 12@12 ");
    zsock_destroy(&self->feeds[1].socket);
    feed_publish(&self->feeds[0], 11, 13);
    expect(self, "13@13 ");
    assert_int_equal(scripted_broker_count(self->broker, PACK_REQUEST), 1);
}

/* What was lost is asked for, at the next replica when one does not answer in time. */
static void test_a_gap_is_asked_for(void **state)
{
    struct fixture *self = *state;
    begin_at_10(self);
    feed_publish(&self->feeds[0], 12, 13);
    expect_question(self, 1, "node.order-2", "{\"op\":\"changes\",\"since\":10}");
    answer(self, expect_question(self, 2, "node.order-1", "{\"op\":\"changes\",\"since\":10}"),
           "{\"group\":\"order\",\"cluster\":\"c1\",\"from\":10,\"index\":12,\"more\":false,"
           "\"changes\":[{\"version\":12}]}");
    expect(self, "12@12 13@13 ");
}

/* Where nobody answers, each question may take twice as long as the one before, up to a bound; the
 * first answer ends that. */
static void test_who_is_slow_is_given_more_time(void **state)
{
    static const char *const replicas[] = {"node.order-2", "node.order-1"};
    struct fixture *self = *state;
    const struct scripted_record *question = NULL;
    int64_t bound_ms = CHANGES_ASK_MS;
    begin_at_10(self);
    feed_publish(&self->feeds[0], 12, 13);
    for (size_t i = 0; i < 6; i++) {
        question =
            expect_question(self, 1 + i, replicas[i % 2], "{\"op\":\"changes\",\"since\":10}");
        assert_in_range(question->number, bound_ms * 3 / 4, bound_ms);
        feed_publish(&self->feeds[0], 12, 13); /* nobody is silent */
        if (i < 5)
            scripted_broker_reply(self->broker, question, ERR_INVALID, "{}");
        bound_ms = 2 * bound_ms < CHANGES_ASK_MS_MAX ? 2 * bound_ms : CHANGES_ASK_MS_MAX;
    }
    answer(self, question,
           "{\"group\":\"order\",\"cluster\":\"c1\",\"from\":10,\"index\":12,\"more\":false,"
           "\"changes\":[{\"version\":12}]}");
    expect(self, "12@12 13@13 ");
    feed_publish(&self->feeds[0], 15, 16);
    question = expect_question(self, 7, "node.order-1", "{\"op\":\"changes\",\"since\":13}");
    assert_in_range(question->number, 1, CHANGES_ASK_MS);
}

/* What is no message of the stream is passed over. */
static void test_nonsense_is_passed_over(void **state)
{
    struct fixture *self = *state;
    begin_at_10(self);
    feed_say(&self->feeds[0], "");
    feed_say(&self->feeds[0], "no JSON");
    feed_say(&self->feeds[0], "{\"group\":\"order\"}");
    feed_say(&self->feeds[0], "{\"group\":\"catalog\",\"cluster\":\"c1\",\"from\":10,"
                              "\"index\":11,\"changes\":[]}");
    zsock_send(self->feeds[0].socket, "bs", TOPIC, sizeof TOPIC, "{}");
    feed_publish(&self->feeds[0], 10, 11);
    expect(self, "11@11 ");
}

/* A feed that brings nothing is connected anew, for libzmq may have given it up; silence is told
 * once, and so is its end. */
static void test_a_quiet_feed_is_connected_anew(void **state)
{
    struct fixture *self = *state;
    begin_at_10(self);
    expect(self, "silent 0 ");
    for (size_t i = 0; i < FEEDS; i++) {
        self->feeds[i].subscribed = 0;
        scripted_run_until(self->loop, feed_is_subscribed, &self->feeds[i]);
    }
    feed_publish(&self->feeds[1], 10, 11);
    expect(self, "heard 0 11@11 ");
}

/* A process that was stopped does not take its own silence for the store's. */
static void test_a_stall_of_our_own_is_no_silence(void **state)
{
    struct fixture *self = *state;
    begin_at_10(self);
    scripted_hold_up(CHANGES_SILENCE_MS + 2 * CHANGES_BEAT_MS);
    scripted_run_for(self->loop, CHANGES_BEAT_MS / 10);
    feed_publish(&self->feeds[1], 10, 11);
    expect(self, "11@11 ");
}

/* A dead feed is connected anew also while the other one brings news all the time, and after a
 * stall. */
static void test_a_dead_feed_is_found_beside_a_live_one(void **state)
{
    struct fixture *self = *state;
    begin_at_10(self);
    scripted_hold_up(CHANGES_FEED_MS + 2 * CHANGES_BEAT_MS);
    self->feeds[1].subscribed = 0;
    for (int64_t i = 0; !feed_is_subscribed(&self->feeds[1]); i++) {
        assert_true(i < 10 * CHANGES_FEED_MS / CHANGES_BEAT_MS);
        feed_publish(&self->feeds[0], 10, 10);
        scripted_run_for(self->loop, CHANGES_BEAT_MS / 2);
    }
}

/* More than one turn takes is taken in the next ones. */
static void test_a_flood_is_taken_in_turns(void **state)
{
    struct fixture *self = *state;
    begin_at_10(self);
    for (int64_t i = 0; i < 3 * CHANGES_TURN_MAX; i++)
        feed_publish(&self->feeds[0], 10, 10);
    feed_publish(&self->feeds[0], 10, 11);
    expect(self, "11@11 ");
}

static bool one_is_pending(void *arg)
{
    return pygmy_pending(arg) == 1;
}

/* It may end while a question is under way, whose answer then goes to nobody. */
static void test_it_may_end_while_it_asks(void **state)
{
    struct fixture *self = *state;
    begin(self, PYGMY_NOW);
    const struct scripted_record *question =
        expect_question(self, 0, "node.order-1", "{\"op\":\"changes\"}");
    pygmy_watch_destroy(&self->watch);
    answer(self, question, "{}");
    struct pygmy_reply reply = {0};
    pygmy_lookup(self->store, 1, pygmy_keep, &reply);
    assert_int_equal(pygmy_pending(self->store), 2);
    scripted_run_until(self->loop, one_is_pending, self->store);
    scripted_broker_await(self->broker, PACK_REQUEST, 2);
    assert_false(reply.done);
    assert_string_equal(self->text, "");
}

/* Without feeds or replicas, or with what is none, there is nothing to watch. */
static void test_what_can_not_be_watched_is_refused(void **state)
{
    static const char *const good[] = {"tcp://127.0.0.1:9", "tcp://127.0.0.1:9"};
    static const char *const bad[] = {"tcp://127.0.0.1:9", "nonsense"};
    static const char *const replicas[] = {"order-1", "order-2"};
    struct fixture *self = *state;
    const struct {
        const char *const *feeds;
        const char *const *replicas;
        const char *why;
    } cases[] = {
        {NULL, replicas, "no broker is known to have a feed"},
        {good, NULL, "no replica of \"order\" is known"},
        {bad, replicas, "\"nonsense\" is no endpoint of a feed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pygmy_watch_options options =
            options_of(self, cases[i].feeds, cases[i].replicas, PYGMY_NOW);
        char *error = NULL;
        if (options.feeds == NULL)
            options.feed_count = 0;
        if (options.replicas == NULL)
            options.replica_count = 0;
        assert_int_equal(pygmy_watch_new(self->store, &options, &self->watch, &error), ERR_INVALID);
        assert_string_equal(error, cases[i].why);
        assert_null(self->watch);
        free(error);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_it_begins_where_a_replica_is),
        TEST(test_two_feeds_are_one_stream),
        TEST(test_a_gap_is_asked_for),
        TEST(test_who_is_slow_is_given_more_time),
        TEST(test_nonsense_is_passed_over),
        TEST(test_a_quiet_feed_is_connected_anew),
        TEST(test_a_stall_of_our_own_is_no_silence),
        TEST(test_a_dead_feed_is_found_beside_a_live_one),
        TEST(test_a_flood_is_taken_in_turns),
        TEST(test_it_may_end_while_it_asks),
        TEST(test_what_can_not_be_watched_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
