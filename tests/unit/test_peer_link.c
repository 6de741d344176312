/* The link between replicas, with real sockets on a loopback address of the process' own.
 *
 * Several links live on one loop. A topic reaches its publisher some time after the subscriber has
 * connected, so a test first says hello until all have heard all; what must not arrive is waited for
 * by something else that was sent after it, on the same connection.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/peer_link.h"

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

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "broker/relay.h"

#define UUID        "0123456789abcdef0123456789ABCDEF"
#define DEADLINE_MS 10000
#define PORT        7001
#define NODES_MAX   5
#define NUMBERS_MAX 16384

static const uint8_t uuid[PEER_UUID_BYTES] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                                              0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};

/* One replica's end, and what it has heard. */
struct node {
    struct fixture *fixture;
    uint64_t id;
    char endpoint[64];
    const char *group;
    const char *relay; /* or NULL */
    struct metrics *metrics;
    struct peer_link *link;
    struct peer_message last;
    uint64_t numbers[NUMBERS_MAX]; /* of the rounds that were heard, in order; hellos not */
    size_t number_count;
    uint64_t hellos[NODES_MAX]; /* that were heard, by the sender's place */
    size_t turn_size;           /* messages since the last turn */
    size_t turn_size_max;
    const struct membership *update; /* to be made inside of the next message that is no hello */
};

struct fixture {
    zloop_t *loop;
    struct node nodes[NODES_MAX];
    size_t node_count;
    struct membership membership;
    bool (*condition)(struct fixture *self, void *arg);
    void *arg;
    int64_t end_ms;
    bool met;
};

/* ---- Addresses ---------------------------------------------------------------------------------- */

/* A loopback address of the process' own: tests run side by side, and nobody else listens there. */
static struct in_addr own_host(void)
{
    return (struct in_addr){htonl((127u << 24 | 2u << 16) + (uint32_t)getpid() % (200u << 16))};
}

static void own_endpoint(char *text, int port)
{
    sprintf(text, "tcp://%s:%d", inet_ntoa(own_host()), port);
}

/* ---- The loop ----------------------------------------------------------------------------------- */

static int look(zloop_t *loop, int timer, void *arg)
{
    struct fixture *self = arg;
    (void)loop;
    (void)timer;
    self->met = self->condition(self, self->arg);
    return self->met || clock_ms() > self->end_ms ? -1 : 0;
}

/* Run the loop until the condition is met; it is looked at every millisecond. */
static void run_until(struct fixture *self, bool (*condition)(struct fixture *, void *), void *arg)
{
    self->condition = condition;
    self->arg = arg;
    self->end_ms = clock_ms() + DEADLINE_MS;
    self->met = false;
    const int timer = zloop_timer(self->loop, 1, 0, look, self);
    zloop_start(self->loop);
    zloop_timer_end(self->loop, timer);
    assert_true(self->met);
}

/* ---- Nodes -------------------------------------------------------------------------------------- */

static struct node *node_of(struct fixture *self, uint64_t id)
{
    for (size_t i = 0; i < self->node_count; i++)
        if (self->nodes[i].id == id)
            return &self->nodes[i];
    fail_msg("no node %d", (int)id);
    return NULL;
}

static void hear(void *arg, struct peer_message *message)
{
    struct node *self = arg;
    assert_int_equal(message->to, self->id);
    self->turn_size++;
    if (self->turn_size > self->turn_size_max)
        self->turn_size_max = self->turn_size;
    if (message->kind == PEER_ROUND && message->round.number == 0) {
        self->hellos[node_of(self->fixture, message->from) - self->fixture->nodes]++;
    } else {
        if (message->kind == PEER_ROUND && self->number_count < NUMBERS_MAX)
            self->numbers[self->number_count++] = message->round.number;
        if (self->update != NULL)
            peer_link_update(self->link, self->update);
        self->update = NULL;
    }
    peer_message_close(&self->last);
    self->last = *message;
}

static void end_turn(void *arg)
{
    struct node *self = arg;
    self->turn_size = 0;
}

static struct peer_link_options options_of(struct node *self)
{
    return (struct peer_link_options){
        .endpoint = self->endpoint,
        .group = self->group,
        .uuid = UUID,
        .id = self->id,
        .start_id = self->id + 1000,
        .relays = &self->relay,
        .relay_count = self->relay != NULL,
        .metrics = self->metrics,
        .on_message = hear,
        .on_turn = end_turn,
        .arg = self,
    };
}

static bool link_opens(struct fixture *self, void *arg)
{
    struct node *node = arg;
    const struct peer_link_options options = options_of(node);
    node->link = peer_link_new(self->loop, &options);
    return node->link != NULL;
}

/* A member with this id, and its link unless it is a stranger's part that the test plays. Once more
 * if need be: the kernel may not yet have let go of the port that an earlier test had. */
static struct node *add(struct fixture *self, uint64_t id, bool stranger)
{
    struct node *node = &self->nodes[self->node_count];
    char endpoint[sizeof node->endpoint];
    own_endpoint(endpoint, PORT + (int)self->node_count++);
    node->fixture = self;
    node->id = id;
    node->group = "catalog";
    strcpy(node->endpoint, endpoint);
    node->metrics = metrics_new();
    struct member *member = &self->membership.members[self->membership.count++];
    member->id = id;
    member->role = MEMBER_VOTER;
    sprintf(member->address, "r%d %s %s-none", (int)self->node_count, endpoint, endpoint);
    if (!stranger)
        run_until(self, link_opens, node);
    return node;
}

static void update_all(struct fixture *self)
{
    for (size_t i = 0; i < self->node_count; i++)
        if (self->nodes[i].link != NULL)
            assert_int_equal(peer_link_update(self->nodes[i].link, &self->membership), 0);
}

static void say(struct node *self, uint64_t to, uint64_t number)
{
    struct peer_message message = {.kind = PEER_ROUND, .to = to, .term = 1};
    message.round.number = number;
    peer_link_send(self->link, &message);
    assert_int_equal(message.kind, 0);
}

static bool hears(const struct node *self, const struct node *other)
{
    return self->hellos[other - other->fixture->nodes] > 0;
}

static bool all_hear_all(struct fixture *self, void *arg)
{
    bool all = true;
    (void)arg;
    for (size_t i = 0; i < self->node_count; i++)
        for (size_t j = 0; j < self->node_count; j++) {
            struct node *one = &self->nodes[i], *other = &self->nodes[j];
            if (i == j || one->link == NULL || other->link == NULL || hears(other, one))
                continue;
            say(one, other->id, 0);
            all = false;
        }
    return all;
}

static bool has_heard(struct fixture *self, void *arg)
{
    const struct node *node = arg;
    (void)self;
    return node->number_count > 0 && node->numbers[node->number_count - 1] == UINT64_MAX;
}

/* Send a last word and run until it is heard, with all that was sent before. */
static void settle(struct fixture *self, struct node *from, struct node *to)
{
    say(from, to->id, UINT64_MAX);
    run_until(self, has_heard, to);
    to->number_count--;
}

static double metric_of(const struct node *self, const char *name, const char *labels)
{
    return metric_value(metrics_counter(self->metrics, name, labels, ""));
}

static double refused(const struct node *self, const char *labels)
{
    return metric_of(self, "pygmy_peer_messages_refused_total", labels);
}

static int setup(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);
    self->loop = zloop_new();
    *state = self;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *self = *state;
    for (size_t i = 0; i < self->node_count; i++) {
        peer_link_destroy(&self->nodes[i].link);
        peer_message_close(&self->nodes[i].last);
        metrics_destroy(&self->nodes[i].metrics);
    }
    zloop_destroy(&self->loop);
    free(self);
    return 0;
}

/* ---- Delivery ----------------------------------------------------------------------------------- */

/* Each gets what is for it and nothing else, whatever the ids: a subscription compares beginnings. */
static void test_a_message_reaches_its_receiver_alone(void **state)
{
    static const uint64_t ids[] = {1, 10, 256, UINT64_MAX, 2};
    struct fixture *self = *state;

    for (size_t i = 0; i < NODES_MAX; i++)
        add(self, ids[i], false);
    update_all(self);
    run_until(self, all_hear_all, NULL);
    struct node *sender = node_of(self, 2);
    for (uint64_t round = 1; round <= 10; round++)
        for (size_t i = 0; i < NODES_MAX - 1; i++)
            say(sender, ids[i], 100 * round + i);
    for (size_t i = 0; i < NODES_MAX - 1; i++) {
        struct node *node = node_of(self, ids[i]);
        settle(self, sender, node);
        assert_int_equal(node->number_count, 10);
        for (uint64_t round = 1; round <= 10; round++)
            assert_int_equal(node->numbers[round - 1], 100 * round + i);
        assert_int_equal(node->last.from, 2);
        assert_int_equal(node->last.start_id, 1002);
    }
}

/* Members of another group, with the same ids at the same addresses, are not mistaken for one's own. */
static void test_another_group_is_not_heard(void **state)
{
    struct fixture *self = *state;
    struct node *one = add(self, 1, false);
    struct node *other = add(self, 2, true);

    other->group = "order";
    run_until(self, link_opens, other);
    struct node *third = add(self, 3, false);
    update_all(self);
    struct peer_link *foreign = other->link;
    other->link = NULL;
    run_until(self, all_hear_all, NULL);
    other->link = foreign;
    say(other, one->id, 5);
    settle(self, third, one);
    assert_int_equal(one->number_count, 0);
}

static struct shared_entry *entry_of(replica_index index, size_t size)
{
    uint8_t *data = alloc_zero(size);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 7 + index);
    const struct log_entry entry = {
        .index = index, .term = 1, .kind = LOG_ENTRY_COMMAND, .data = data, .size = size};
    struct shared_entry *shared = shared_entry_new(&entry);
    free(data);
    return shared;
}

static bool has_entries(struct fixture *self, void *arg)
{
    const struct node *node = arg;
    (void)self;
    return node->last.kind == PEER_APPEND;
}

/* The largest message that there may be goes through whole. */
static void test_a_message_of_the_largest_size_is_delivered(void **state)
{
    struct fixture *self = *state;
    struct node *one = add(self, 1, false), *other = add(self, 2, false);
    struct peer_message message = {.kind = PEER_APPEND, .to = 2, .term = 1};
    size_t bytes = PEER_APPEND_BYTES_MIN;

    update_all(self);
    run_until(self, all_hear_all, NULL);
    message.append.entries = alloc_zero(2 * sizeof *message.append.entries);
    message.append.entries[message.append.count++] = entry_of(1, ENTRY_BYTES_MAX);
    bytes += peer_message_entry_bytes(&message.append.entries[0]->entry);
    const size_t left = PEER_BYTES_MAX - bytes - peer_message_entry_bytes(&(struct log_entry){0});
    message.append.entries[message.append.count++] = entry_of(2, left);
    struct shared_entry *sent = shared_entry_hold(message.append.entries[0]);
    peer_link_send(one->link, &message);
    run_until(self, has_entries, other);
    assert_int_equal(other->last.append.count, 2);
    assert_int_equal(other->last.append.entries[1]->entry.size, left);
    assert_memory_equal(other->last.append.entries[0]->data, sent->data, ENTRY_BYTES_MAX);
    assert_int_equal(sent->holders, 1);
    shared_entry_release(&sent);
    assert_true(metric_of(one, "pygmy_peer_sent_bytes_total", NULL) > PEER_BYTES_MAX);
    assert_true(metric_of(other, "pygmy_peer_received_bytes_total", NULL) > PEER_BYTES_MAX);
}

/* ---- Who does not read, who floods, who is not there -------------------------------------------- */

static bool drops_some(struct fixture *self, void *arg)
{
    struct node *node = arg;
    say(&self->nodes[0], 9, 1);
    return metric_of(node, "pygmy_peer_messages_dropped_total", NULL) > 0;
}

/* A member that has connected and does not read fills its own queue, PEER_MESSAGES_MAX of ours; what
 * comes then is dropped and counted, and the others hear all that is for them. */
static void test_a_member_that_does_not_read_blocks_nobody(void **state)
{
    struct fixture *self = *state;
    struct node *one = add(self, 1, false), *other = add(self, 2, false);
    uint8_t topic[PEER_TOPIC_BYTES];
    enum { MANY = 3000 };

    update_all(self);
    run_until(self, all_hear_all, NULL);
    zsock_t *deaf = zsock_new(ZMQ_SUB);
    zsock_set_rcvhwm(deaf, 1);
    peer_message_topic("catalog", 9, topic);
    assert_int_equal(zmq_setsockopt(zsock_resolve(deaf), ZMQ_SUBSCRIBE, topic, sizeof topic), 0);
    assert_int_equal(zsock_connect(deaf, "%s", one->endpoint), 0);

    for (uint64_t i = 0; i < MANY; i++) {
        struct peer_message message = {.kind = PEER_APPEND, .to = 9, .term = 1};
        message.append.entries = alloc_zero(sizeof *message.append.entries);
        message.append.entries[message.append.count++] = entry_of(1, ENTRY_BYTES_MAX);
        peer_link_send(one->link, &message);
        if (i % (MANY / 10) == 0)
            say(one, 2, 1 + i);
    }
    run_until(self, drops_some, one);
    settle(self, one, other);
    assert_int_equal(other->number_count, 10);
    const double all = metric_of(one, "pygmy_peer_messages_sent_total", NULL) +
                       metric_of(one, "pygmy_peer_messages_dropped_total", NULL);
    assert_true(all >= MANY + 10);
    zsock_destroy(&deaf);
}

/* A member whose part the test plays: what it publishes to member 1. */
static zsock_t *stranger_bind(const struct node *self)
{
    zsock_t *socket = zsock_new(ZMQ_PUB);
    zsock_set_sndhwm(socket, 0);
    for (int64_t end_ms = clock_ms() + DEADLINE_MS; zsock_bind(socket, "%s", self->endpoint) < 0;)
        assert_true(errno == EADDRINUSE && clock_ms() < end_ms);
    return socket;
}

static void stranger_send(zsock_t *socket, const void *body, size_t size)
{
    uint8_t topic[PEER_TOPIC_BYTES];
    struct bytes_writer frame = {0};
    peer_message_topic("catalog", 1, topic);
    bytes_put_raw(&frame, topic, sizeof topic);
    bytes_put_raw(&frame, body, size);
    assert_int_equal(zmq_send(zsock_resolve(socket), frame.data, frame.size, 0), frame.size);
    bytes_writer_close(&frame);
}

static void stranger_say(zsock_t *socket, uint64_t from, uint64_t number)
{
    struct bytes_writer body = {0};
    struct peer_message message = {.kind = PEER_ROUND, .from = from, .term = 1};
    message.round.number = number;
    peer_message_encode(&message, uuid, &body);
    stranger_send(socket, body.data, body.size);
    bytes_writer_close(&body);
}

static bool stranger_is_heard(struct fixture *self, void *arg)
{
    const bool heard = hears(&self->nodes[0], &self->nodes[1]);
    if (!heard)
        stranger_say(arg, self->nodes[1].id, 0);
    return heard;
}

/* Member 1, and member 2 whose part the test plays, connected. */
static zsock_t *with_a_stranger(struct fixture *self)
{
    add(self, 1, false);
    zsock_t *stranger = stranger_bind(add(self, 2, true));
    update_all(self);
    run_until(self, stranger_is_heard, stranger);
    return stranger;
}

static void stranger_settle(struct fixture *self, zsock_t *stranger)
{
    stranger_say(stranger, 2, UINT64_MAX);
    run_until(self, has_heard, &self->nodes[0]);
    self->nodes[0].number_count--;
}

/* However many have come, no turn takes more than PEER_TURN_MAX of them; and none is left behind,
 * though nothing new arrives that would wake the loop. */
static void test_a_flood_is_taken_in_turns(void **state)
{
    struct fixture *self = *state;
    zsock_t *stranger = with_a_stranger(self);
    const struct node *one = &self->nodes[0];
    enum { MANY = 5000 };

    for (uint64_t i = 1; i <= MANY; i++)
        stranger_say(stranger, 2, i);
    stranger_settle(self, stranger);
    assert_int_equal(one->number_count, MANY);
    for (uint64_t i = 1; i <= MANY; i++)
        assert_int_equal(one->numbers[i - 1], i);
    assert_int_equal(one->turn_size_max, PEER_TURN_MAX);
    zsock_destroy(&stranger);
}

/* Said until it is heard, by a connection that is new. */
static bool stranger_has_a_last_word(struct fixture *self, void *arg)
{
    stranger_say(arg, 2, UINT64_MAX);
    return has_heard(self, &self->nodes[0]);
}

/* This process stands still while a member fills the queue and dies, as one that was stopped does; for
 * as long as connections are given up after. It goes on where it was, and hears the member again. */
static void test_a_pause_of_its_own_does_no_harm(void **state)
{
    struct fixture *self = *state;
    zsock_t *stranger = with_a_stranger(self);
    struct node *one = &self->nodes[0];

    for (uint64_t i = 1; i <= 5000; i++)
        stranger_say(stranger, 2, i);
    zclock_sleep(PEER_GONE_MS / 2);
    zsock_destroy(&stranger);
    zclock_sleep(PEER_GONE_MS);
    stranger = stranger_bind(&self->nodes[1]);
    run_until(self, stranger_has_a_last_word, stranger);
    assert_true(one->number_count > PEER_MESSAGES_MAX);
    zsock_destroy(&stranger);
}

/* A member's address at which somebody listens who never says a word, and one at which nobody does:
 * the others are connected at once and heard. */
static void test_members_that_are_not_there_cost_the_others_nothing(void **state)
{
    struct fixture *self = *state;
    struct node *one = add(self, 1, false);
    add(self, 2, true);
    add(self, 3, true);
    struct node *other = add(self, 4, false);
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(PORT + 1), .sin_addr = own_host()};
    const int yes = 1;

    int mute = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(mute, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    for (int64_t end_ms = clock_ms() + DEADLINE_MS;
         bind(mute, (const struct sockaddr *)&at, sizeof at) != 0;)
        assert_true(errno == EADDRINUSE && clock_ms() < end_ms);
    assert_int_equal(listen(mute, 1), 0);
    update_all(self);
    run_until(self, all_hear_all, NULL);
    say(one, 2, 1);
    say(one, 3, 1);
    say(one, 4, 1);
    settle(self, one, other);
    assert_int_equal(other->number_count, 1);
    close(mute);
}

/* ---- Membership --------------------------------------------------------------------------------- */

/* Who is no longer a member is no longer heard; who is one again is. */
static void test_it_follows_the_membership(void **state)
{
    struct fixture *self = *state;
    struct node *one = add(self, 1, false), *other = add(self, 2, false);
    struct node *third = add(self, 3, false);

    update_all(self);
    run_until(self, all_hear_all, NULL);
    struct membership without = self->membership;
    without.members[1] = without.members[2];
    without.count = 2;
    assert_int_equal(peer_link_update(one->link, &without), 0);
    say(other, 1, 5);
    say(other, 3, 6);
    settle(self, other, third);
    settle(self, third, one);
    assert_int_equal(one->number_count, 0);
    assert_int_equal(third->number_count, 1);

    assert_int_equal(peer_link_update(one->link, &self->membership), 0);
    one->hellos[1] = 0;
    run_until(self, all_hear_all, NULL);
}

/* A member that has moved is heard at its new address. */
static void test_a_member_that_has_moved_is_heard(void **state)
{
    struct fixture *self = *state;
    struct node *one = add(self, 1, false), *other = add(self, 2, false);

    update_all(self);
    run_until(self, all_hear_all, NULL);
    own_endpoint(other->endpoint, PORT + 7);
    sprintf(self->membership.members[1].address, "r2 %s", other->endpoint);
    peer_link_destroy(&other->link);
    run_until(self, link_opens, other);
    update_all(self);
    one->hellos[1] = other->hellos[0] = 0;
    run_until(self, all_hear_all, NULL);
}

/* It may be forgotten while its messages are being taken: not one more of them is. */
static void test_a_member_may_be_forgotten_in_the_middle_of_a_turn(void **state)
{
    struct fixture *self = *state;
    zsock_t *stranger = with_a_stranger(self);
    struct node *one = &self->nodes[0], *third = add(self, 3, false);
    struct membership without = self->membership;

    update_all(self);
    assert_int_equal(peer_link_update(one->link, &self->membership), 0);
    without.members[1] = without.members[2];
    without.count = 2;
    run_until(self, all_hear_all, NULL);
    one->update = &without;
    for (uint64_t i = 1; i <= 20; i++)
        stranger_say(stranger, 2, i);
    while (one->update != NULL) {
        one->hellos[2] = 0;
        run_until(self, all_hear_all, NULL);
    }
    settle(self, third, one);
    assert_int_equal(one->number_count, 1);
    assert_int_equal(one->numbers[0], 1);
    zsock_destroy(&stranger);
}

/* A member whose address has no endpoint is told of, and the others are connected all the same. */
static void test_an_address_without_an_endpoint_is_told(void **state)
{
    struct fixture *self = *state;
    struct node *one = add(self, 1, false);
    struct membership odd;

    add(self, 2, false);
    update_all(self);
    odd = self->membership;
    odd.members[odd.count] = (struct member){.id = 7, .role = MEMBER_VOTER, .address = "alone"};
    odd.count++;
    odd.members[odd.count] =
        (struct member){.id = 8, .role = MEMBER_VOTER, .address = "x nonsense://x y"};
    odd.count++;
    assert_int_equal(peer_link_update(one->link, &odd), ERR_INVALID);
    run_until(self, all_hear_all, NULL);
    assert_int_equal(peer_link_update(one->link, &self->membership), 0);
}

/* A replica that is started again is heard again, and hears, without anybody doing anything. */
static void test_a_restarted_member_is_heard_again(void **state)
{
    struct fixture *self = *state;
    struct node *one = add(self, 1, false), *other = add(self, 2, false);
    int64_t longest_ms = 0, sum_ms = 0;
    enum { TIMES = 10 };

    update_all(self);
    run_until(self, all_hear_all, NULL);
    for (int i = 0; i < TIMES; i++) {
        peer_link_destroy(&other->link);
        run_until(self, link_opens, other);
        assert_int_equal(peer_link_update(other->link, &self->membership), 0);
        one->hellos[1] = other->hellos[0] = 0;
        const int64_t begin_ms = clock_ms();
        run_until(self, all_hear_all, NULL);
        const int64_t took_ms = clock_ms() - begin_ms;
        sum_ms += took_ms;
        longest_ms = took_ms > longest_ms ? took_ms : longest_ms;
    }
    print_message("heard again after %d ms, %d ms at most\n", (int)(sum_ms / TIMES),
                  (int)longest_ms);
}

/* ---- What is refused ---------------------------------------------------------------------------- */

/* Each kind of refusal is counted apart, and what comes after it is heard. */
static void test_what_is_foreign_or_malformed_is_refused(void **state)
{
    static const uint8_t other_uuid[PEER_UUID_BYTES] = {1};
    struct fixture *self = *state;
    zsock_t *stranger = with_a_stranger(self);
    const struct node *one = &self->nodes[0];
    struct peer_message message = {.kind = PEER_ROUND, .from = 2, .term = 1};
    struct bytes_writer good = {0}, foreign = {0};

    peer_message_encode(&message, uuid, &good);
    peer_message_encode(&message, other_uuid, &foreign);
    stranger_send(stranger, foreign.data, foreign.size);
    good.data[0]++;
    stranger_send(stranger, good.data, good.size);
    good.data[0]--;
    good.data[good.size - 1] ^= 1;
    stranger_send(stranger, good.data, good.size);
    stranger_send(stranger, "", 0);
    stranger_say(stranger, 3, 77);

    /* Of two frames, of more than a message has, and with something between topic and message. */
    uint8_t topic[PEER_TOPIC_BYTES] = {0};
    peer_message_topic("catalog", 1, topic);
    for (size_t count = 2; count <= 40; count += 38)
        for (size_t i = 1; i <= count; i++)
            assert_true(zmq_send(zsock_resolve(stranger), topic, sizeof topic,
                                 i < count ? ZMQ_SNDMORE : 0) >= 0);
    struct bytes_writer moved = {0};
    good.data[good.size - 1] ^= 1;
    bytes_put_u8(&moved, PEER_FORMAT);
    bytes_put_raw(&moved, good.data, good.size);
    stranger_send(stranger, moved.data, moved.size);
    bytes_writer_close(&moved);

    stranger_settle(self, stranger);
    assert_int_equal(one->number_count, 0);
    assert_int_equal(refused(one, "reason=\"cluster\""), 1);
    assert_int_equal(refused(one, "reason=\"version\""), 1);
    assert_int_equal(refused(one, "reason=\"sender\""), 1);
    assert_int_equal(refused(one, "reason=\"malformed\""), 5);
    bytes_writer_close(&good);
    bytes_writer_close(&foreign);
    zsock_destroy(&stranger);
}

/* What is larger than PEER_BYTES_MAX is not even received: the connection is closed, and made anew. */
static void test_a_message_above_the_bound_is_not_received(void **state)
{
    struct fixture *self = *state;
    zsock_t *stranger = with_a_stranger(self);
    struct node *one = &self->nodes[0];
    uint8_t *large = alloc_zero(PEER_BYTES_MAX + 1);

    stranger_send(stranger, large, PEER_BYTES_MAX);
    stranger_settle(self, stranger);
    assert_int_equal(refused(one, "reason=\"version\""), 1);
    stranger_send(stranger, large, PEER_BYTES_MAX + 1);
    one->hellos[1] = 0;
    run_until(self, stranger_is_heard, stranger);
    stranger_settle(self, stranger);
    assert_int_equal(refused(one, "reason=\"version\""), 1);
    free(large);
    zsock_destroy(&stranger);
}

/* ---- The feed ----------------------------------------------------------------------------------- */

/* A message of the stream of changes begins with its topic and a NUL. */
static bool is_public(const struct frame *frame, const char *text)
{
    static const char topic[] = "changes.catalog";
    return frame_size(frame) == sizeof topic + strlen(text) &&
           memcmp(frame_data(frame), topic, sizeof topic) == 0 &&
           memcmp(frame_data(frame) + sizeof topic, text, strlen(text)) == 0;
}

struct feed_end {
    zsock_t *socket;
    struct peer_link *link;
    size_t hello_count;
    size_t private_count;
    bool done;
};

/* Take what has come: "hello", what is private, and at last "done". */
static bool feed_is_heard(struct fixture *self, void *arg)
{
    struct feed_end *end = arg;
    struct message frames;
    (void)self;
    if (end->hello_count == 0)
        peer_link_publish(end->link, FEED_CHANGES, "hello", 5);
    while (message_receive(&frames, zsock_resolve(end->socket), NULL) == 0) {
        end->hello_count += is_public(&frames.frames[0], "hello");
        end->private_count += frame_data(&frames.frames[0])[0] == 0;
        end->done = end->done || is_public(&frames.frames[0], "done");
        message_close(&frames);
    }
    return end->done || (end->hello_count > 0 && end->link != NULL);
}

/* Send one of each, to the feed and to a member; the feed's end gets the first alone. */
static void assert_only_what_is_public_comes(struct fixture *self, struct feed_end *end)
{
    run_until(self, all_hear_all, NULL);
    run_until(self, feed_is_heard, end);
    for (uint64_t i = 1; i <= 20; i++)
        say(&self->nodes[0], 2, i);
    peer_link_publish(end->link, FEED_CHANGES, "done", 4);
    settle(self, &self->nodes[0], &self->nodes[1]);
    end->link = NULL;
    run_until(self, feed_is_heard, end);
    assert_true(end->done);
    assert_int_equal(end->private_count, 0);
}

static struct node *add_with_relay(struct fixture *self, const char *relay)
{
    struct node *node = add(self, 1, true);
    node->relay = relay;
    run_until(self, link_opens, node);
    add(self, 2, false);
    update_all(self);
    return node;
}

/* A relay gets what is for everybody, and nothing of what replicas say to each other, though it asks
 * for everything. */
static void test_what_is_private_does_not_reach_a_relay(void **state)
{
    struct fixture *self = *state;
    char endpoint[64];

    own_endpoint(endpoint, PORT + 20);
    struct feed_end end = {.socket = zsock_new(ZMQ_XSUB)};
    assert_true(zsock_bind(end.socket, "%s", endpoint) > 0);
    assert_int_equal(zmq_send(zsock_resolve(end.socket), "\1", 1, 0), 1);
    end.link = add_with_relay(self, endpoint)->link;
    assert_only_what_is_public_comes(self, &end);
    zsock_destroy(&end.socket);
}

/* Through the broker's own relay, to a subscriber that asks for everything, and for what is private
 * by its topic. */
static void test_a_relay_passes_on_what_is_public(void **state)
{
    struct fixture *self = *state;
    char publishers[64], subscribers[64];
    uint8_t topic[PEER_TOPIC_BYTES];

    own_endpoint(publishers, PORT + 30);
    own_endpoint(subscribers, PORT + 31);
    struct relay *relay = relay_new(self->loop, publishers, subscribers, NULL);
    assert_non_null(relay);
    struct feed_end end = {.socket = zsock_new(ZMQ_SUB)};
    peer_message_topic("catalog", 2, topic);
    void *handle = zsock_resolve(end.socket);
    assert_int_equal(zmq_setsockopt(handle, ZMQ_SUBSCRIBE, "", 0), 0);
    assert_int_equal(zmq_setsockopt(handle, ZMQ_SUBSCRIBE, topic, sizeof topic), 0);
    assert_int_equal(zsock_connect(end.socket, "%s", subscribers), 0);
    end.link = add_with_relay(self, publishers)->link;
    assert_only_what_is_public_comes(self, &end);
    assert_int_equal(relay_counts(relay).refused, 1); /* the subscription; not one message */
    assert_true(relay_counts(relay).relayed >= 2);
    zsock_destroy(&end.socket);
    relay_destroy(&relay);
}

/* Without brokers there is nobody to tell. */
static void test_without_relays_nothing_is_published(void **state)
{
    struct fixture *self = *state;
    const struct node *node = add(self, 1, false);
    assert_false(peer_link_has_subscribers(node->link, FEED_CHANGES));
    peer_link_publish(node->link, FEED_CHANGES, "text", 4);
}

/* ---- Opening ------------------------------------------------------------------------------------ */

static void assert_refused(struct fixture *self, const struct peer_link_options *options,
                           int reason)
{
    errno = 0;
    assert_null(peer_link_new(self->loop, options));
    assert_int_equal(errno, reason);
}

static void test_what_can_not_be_opened_is_refused(void **state)
{
    static const char *const nonsense[] = {"nonsense"};
    struct fixture *self = *state;
    struct node *one = add(self, 1, false), *other = add(self, 2, true);
    struct peer_link_options options = options_of(other);
    struct peer_link *none = NULL;

    options.endpoint = one->endpoint;
    assert_refused(self, &options, EADDRINUSE);
    options = options_of(other);
    options.uuid = "0123456789abcdef0123456789abcde";
    assert_refused(self, &options, EINVAL);
    options.uuid = "0123456789abcdef0123456789abcdeg";
    assert_refused(self, &options, EINVAL);
    options = options_of(other);
    options.relays = nonsense;
    options.relay_count = 1;
    assert_refused(self, &options, EINVAL);
    peer_link_destroy(&none);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_message_reaches_its_receiver_alone),
        TEST(test_another_group_is_not_heard),
        TEST(test_a_message_of_the_largest_size_is_delivered),
        TEST(test_a_member_that_does_not_read_blocks_nobody),
        TEST(test_a_flood_is_taken_in_turns),
        TEST(test_a_pause_of_its_own_does_no_harm),
        TEST(test_members_that_are_not_there_cost_the_others_nothing),
        TEST(test_it_follows_the_membership),
        TEST(test_a_member_that_has_moved_is_heard),
        TEST(test_a_member_may_be_forgotten_in_the_middle_of_a_turn),
        TEST(test_an_address_without_an_endpoint_is_told),
        TEST(test_a_restarted_member_is_heard_again),
        TEST(test_what_is_foreign_or_malformed_is_refused),
        TEST(test_a_message_above_the_bound_is_not_received),
        TEST(test_what_is_private_does_not_reach_a_relay),
        TEST(test_a_relay_passes_on_what_is_public),
        TEST(test_without_relays_nothing_is_published),
        TEST(test_what_can_not_be_opened_is_refused),
    };
    zsys_handler_set(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
