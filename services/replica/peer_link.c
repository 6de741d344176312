/* See peer_link.h.
 *
 * Each message is one frame. libzmq aborts the process that reads one of several when the connection
 * is lost between two of them, on more ways than one (libzmq's issue 3663 among others).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/peer_link.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "services/replica/steady_socket.h"

/* The topic, and a message. */
#define LINK_FRAME_BYTES_MAX (PEER_TOPIC_BYTES + PEER_BYTES_MAX)

/* A bit for each number of bytes of it. */
#define FEED_TOPIC_BYTES_MAX 63

/* The series of the registry; each NULL without one. */
struct link_metrics {
    struct metric *sent;
    struct metric *sent_bytes;
    struct metric *dropped;
    struct metric *received;
    struct metric *received_bytes;
    struct metric *malformed;
    struct metric *version;
    struct metric *cluster;
    struct metric *sender;
};

/* Another member. */
struct peer {
    struct peer_link *link;
    uint64_t id;
    char endpoint[MEMBER_ADDRESS_BYTES_MAX + 1];
    struct steady_socket *socket; /* SUB; NULL: the endpoint is none */
    bool gone;                    /* forgotten while its messages were being taken */
};

/* The way to a broker's relay. */
struct feed {
    struct peer_link *link;
    struct steady_socket *socket; /* XPUB */
    /* Of each stream; bit N: there is a subscription to the first N bytes of its topic. */
    uint64_t wanted[FEED_STREAMS];
};

/* What a message of a stream begins with. */
struct feed_topic {
    uint8_t data[FEED_TOPIC_BYTES_MAX];
    size_t size; /* with its NUL */
};

struct peer_link {
    zloop_t *loop; /* not owned */
    void (*on_message)(void *arg, struct peer_message *message);
    void (*on_turn)(void *arg);
    void (*on_subscribers)(void *arg); /* or NULL */
    void *arg;
    char *group;
    uint8_t uuid[PEER_UUID_BYTES];
    uint64_t id;
    uint64_t start_id;
    uint8_t topic[PEER_TOPIC_BYTES]; /* of what is for this replica */
    zsock_t *publisher;              /* PUB, bound: to the members */
    struct feed *feeds;              /* one to each relay */
    size_t feed_count;
    struct feed_topic feed_topics[FEED_STREAMS];
    bool subscribed[FEED_STREAMS]; /* as on_subscribers was told last */
    struct peer *peers[MEMBERS_MAX];
    size_t peer_count;
    struct peer *taking;        /* its messages are being taken; NULL: nobody's */
    struct bytes_writer buffer; /* for what is being sent */
    struct link_metrics metrics;
};

/* ---- Sockets ------------------------------------------------------------------------------------ */

/* No option here can fail: they are libzmq's own, with values that it allows. */
static void link_set_bytes(zsock_t *socket, int option, const void *value, size_t size)
{
    const int rc = zmq_setsockopt(zsock_resolve(socket), option, value, size);
    assert(rc == 0);
    (void)rc;
}

/* A connection whose other end has vanished is given up and made anew, and so is one that does not
 * come about. The kernel sees to that, and not ZMTP's heartbeats: libzmq aborts the process when one
 * is due after the other end has hung up on a full queue, as a process finds it that was stopped for a
 * second (libzmq's issues 3937, 4364 and 4767). */
static zsock_t *link_socket(int type, int messages_max, int bytes_max)
{
    zsock_t *socket = zsock_new(type);
    assert(socket != NULL);
    zsock_set_linger(socket, 0);
    zsock_set_sndhwm(socket, messages_max);
    zsock_set_rcvhwm(socket, messages_max);
    zsock_set_maxmsgsize(socket, bytes_max);
    zsock_set_tcp_keepalive(socket, 1);
    zsock_set_tcp_keepalive_idle(socket, PEER_PROBE_S);
    zsock_set_tcp_keepalive_intvl(socket, PEER_PROBE_S);
    zsock_set_tcp_maxrt(socket, PEER_GONE_MS);
    zsock_set_connect_timeout(socket, PEER_GONE_MS);
    zsock_set_handshake_ivl(socket, PEER_GONE_MS);
    zsock_set_reconnect_ivl(socket, PEER_RECONNECT_MS);
    return socket;
}

static int link_bind(struct peer_link *self, const char *endpoint)
{
    const int yes = 1;
    self->publisher = link_socket(ZMQ_PUB, PEER_MESSAGES_MAX, LINK_FRAME_BYTES_MAX);
    /* A full queue is told, so that what is dropped can be counted. A topic has one subscriber:
     * nobody else misses anything for it. */
    link_set_bytes(self->publisher, ZMQ_XPUB_NODROP, &yes, sizeof yes);
    return zsock_bind(self->publisher, "%s", endpoint) < 0 ? -1 : 0;
}

static void link_tell_subscribers(struct peer_link *self)
{
    bool news = false;

    for (size_t i = 0; i < FEED_STREAMS; i++) {
        const bool subscribed = peer_link_has_subscribers(self, (enum feed_stream)i);
        news = news || subscribed != self->subscribed[i];
        self->subscribed[i] = subscribed;
    }
    if (news && self->on_subscribers != NULL)
        self->on_subscribers(self->arg);
}

/* What comes here are subscriptions that a relay let pass, and libzmq may wrap them: with a bound as
 * low as its own, one of the largest would cut the relay off for good. */
static zsock_t *feed_make_socket(void *arg)
{
    struct feed *self = arg;
    zsock_t *socket = link_socket(ZMQ_XPUB, RELAY_MESSAGES_MAX, 2 * MESSAGE_BYTES_MAX);

    memset(self->wanted, 0, sizeof self->wanted);
    link_tell_subscribers(self->link);
    /* What nobody is there to take is not kept for him who comes later. */
    zsock_set_immediate(socket, 1);
    return socket;
}

static int feed_take(zloop_t *loop, zsock_t *reader, void *arg);

static int link_connect_relays(struct peer_link *self, const char *const *relays, size_t count)
{
    self->feeds = alloc_zero((count + 1) * sizeof self->feeds[0]);
    for (; self->feed_count < count; self->feed_count++) {
        struct feed *feed = &self->feeds[self->feed_count];
        feed->link = self;
        feed->socket = steady_socket_new(self->loop, relays[self->feed_count], feed_make_socket,
                                         feed_take, feed);
        if (feed->socket == NULL)
            return -1;
    }
    return 0;
}

static zsock_t *peer_make_socket(void *arg)
{
    const struct peer *self = arg;
    zsock_t *socket = link_socket(ZMQ_SUB, PEER_MESSAGES_MAX, LINK_FRAME_BYTES_MAX);
    link_set_bytes(socket, ZMQ_SUBSCRIBE, self->link->topic, sizeof self->link->topic);
    return socket;
}

static int link_take(zloop_t *loop, zsock_t *reader, void *arg);

static struct peer *peer_new(struct peer_link *link, const struct member *member)
{
    struct peer *self = alloc_zero(sizeof *self);
    self->link = link;
    self->id = member->id;
    member_word(member, MEMBER_LINK, self->endpoint);
    self->socket = steady_socket_new(link->loop, self->endpoint, peer_make_socket, link_take, self);
    return self;
}

static void peer_destroy(struct peer **self_p)
{
    struct peer *self = *self_p;
    *self_p = NULL;
    if (self == self->link->taking) {
        self->gone = true; /* link_take still looks at it, and destroys it then */
        return;
    }
    steady_socket_destroy(&self->socket);
    free(self);
}

/* ---- The link ----------------------------------------------------------------------------------- */

static void link_make_metrics(struct peer_link *self, struct metrics *registry)
{
    static const char *const refused = "pygmy_peer_messages_refused_total";
    static const char *const refused_help = "Messages of other replicas that were not taken";
    struct link_metrics *metrics = &self->metrics;
    if (registry == NULL)
        return;
    metrics->sent = metrics_counter(registry, "pygmy_peer_messages_sent_total", NULL,
                                    "Messages handed over for other replicas");
    metrics->sent_bytes = metrics_counter(registry, "pygmy_peer_sent_bytes_total", NULL,
                                          "Bytes handed over for other replicas");
    metrics->dropped = metrics_counter(registry, "pygmy_peer_messages_dropped_total", NULL,
                                       "Messages for another replica whose queue was full");
    metrics->received = metrics_counter(registry, "pygmy_peer_messages_received_total", NULL,
                                        "Messages taken of other replicas");
    metrics->received_bytes = metrics_counter(registry, "pygmy_peer_received_bytes_total", NULL,
                                              "Bytes taken of other replicas");
    metrics->malformed = metrics_counter(registry, refused, "reason=\"malformed\"", refused_help);
    metrics->version = metrics_counter(registry, refused, "reason=\"version\"", refused_help);
    metrics->cluster = metrics_counter(registry, refused, "reason=\"cluster\"", refused_help);
    metrics->sender = metrics_counter(registry, refused, "reason=\"sender\"", refused_help);
}

/* Returns whether @text is 32 hexadecimal digits. */
static bool uuid_parse(const char *text, uint8_t uuid[PEER_UUID_BYTES])
{
    if (strlen(text) != 2 * PEER_UUID_BYTES ||
        strspn(text, "0123456789abcdefABCDEF") != 2 * PEER_UUID_BYTES)
        return false;
    for (size_t i = 0; i < PEER_UUID_BYTES; i++) {
        const char digits[] = {text[2 * i], text[2 * i + 1], '\0'};
        uuid[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return true;
}

static void link_name_stream(struct peer_link *self, enum feed_stream stream, const char *begin)
{
    struct feed_topic *topic = &self->feed_topics[stream];
    const int size = snprintf((char *)topic->data, sizeof topic->data, "%s%s", begin, self->group);

    assert(size > 0 && (size_t)size < sizeof topic->data);
    topic->size = (size_t)size + 1;
}

static int link_open(struct peer_link *self, const struct peer_link_options *options)
{
    if (!uuid_parse(options->uuid, self->uuid)) {
        errno = EINVAL;
        return -1;
    }
    if (link_bind(self, options->endpoint) != 0)
        return -1;
    return link_connect_relays(self, options->relays, options->relay_count);
}

struct peer_link *peer_link_new(zloop_t *loop, const struct peer_link_options *options)
{
    struct peer_link *self = alloc_zero(sizeof *self);
    self->loop = loop;
    self->on_message = options->on_message;
    self->on_turn = options->on_turn;
    self->on_subscribers = options->on_subscribers;
    self->arg = options->arg;
    self->group = alloc_copy(options->group, strlen(options->group));
    self->id = options->id;
    self->start_id = options->start_id;
    peer_message_topic(self->group, self->id, self->topic);
    link_name_stream(self, FEED_CHANGES, FEED_TOPIC_CHANGES);
    link_name_stream(self, FEED_LEASES, FEED_TOPIC_LEASES);
    link_make_metrics(self, options->metrics);
    if (link_open(self, options) != 0) {
        const int reason = errno;
        peer_link_destroy(&self);
        errno = reason;
    }
    return self;
}

void peer_link_destroy(struct peer_link **self_p)
{
    struct peer_link *self = *self_p;
    if (self == NULL)
        return;
    assert(self->taking == NULL);
    for (size_t i = 0; i < self->peer_count; i++)
        peer_destroy(&self->peers[i]);
    for (size_t i = 0; i < self->feed_count; i++)
        steady_socket_destroy(&self->feeds[i].socket);
    free(self->feeds);
    zsock_destroy(&self->publisher);
    bytes_writer_close(&self->buffer);
    free(self->group);
    free(self);
    *self_p = NULL;
}

/* ---- Members ------------------------------------------------------------------------------------ */

static bool peer_is_in(const struct peer *self, const struct membership *membership)
{
    char endpoint[MEMBER_ADDRESS_BYTES_MAX + 1];
    const struct member *member = membership_find(membership, self->id);
    return member != NULL &&
           strcmp(member_word(member, MEMBER_LINK, endpoint), self->endpoint) == 0;
}

static void link_forget(struct peer_link *self, const struct membership *membership)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->peer_count; i++) {
        if (peer_is_in(self->peers[i], membership))
            self->peers[kept++] = self->peers[i];
        else
            peer_destroy(&self->peers[i]);
    }
    self->peer_count = kept;
}

static bool link_has(const struct peer_link *self, uint64_t id)
{
    for (size_t i = 0; i < self->peer_count; i++)
        if (self->peers[i]->id == id)
            return true;
    return false;
}

int peer_link_update(struct peer_link *self, const struct membership *membership)
{
    int code = 0;
    link_forget(self, membership);
    for (size_t i = 0; i < membership->count; i++) {
        const struct member *member = &membership->members[i];
        if (member->id != self->id && !link_has(self, member->id))
            self->peers[self->peer_count++] = peer_new(self, member);
    }
    for (size_t i = 0; i < self->peer_count; i++)
        if (self->peers[i]->socket == NULL)
            code = ERR_INVALID;
    return code;
}

/* ---- Receiving ---------------------------------------------------------------------------------- */

static struct metric *link_refusal(struct peer_link *self, int code)
{
    switch (code) {
    case ERR_VERSION: return self->metrics.version;
    case ERR_MISMATCH: return self->metrics.cluster;
    default: return self->metrics.malformed;
    }
}

static int link_decode(struct peer_link *self, const struct message *frames,
                       struct peer_message *message)
{
    const struct frame *frame = &frames->frames[0];
    if (frames->count != 1 || frame_size(frame) < PEER_TOPIC_BYTES)
        return ERR_MALFORMED;
    return peer_message_decode(message, self->uuid, frame_data(frame) + PEER_TOPIC_BYTES,
                               frame_size(frame) - PEER_TOPIC_BYTES);
}

static void link_take_one(struct peer *peer, const struct message *frames)
{
    struct peer_link *self = peer->link;
    struct peer_message message;
    const int code = link_decode(self, frames, &message);
    if (code != 0) {
        metric_add(link_refusal(self, code), 1);
        return;
    }
    /* An address that was given to another replica: whatever that says, the member did not. */
    if (message.from != peer->id) {
        metric_add(self->metrics.sender, 1);
        peer_message_close(&message);
        return;
    }
    message.to = self->id;
    metric_add(self->metrics.received, 1);
    metric_add(self->metrics.received_bytes, (double)message_size(frames));
    self->on_message(self->arg, &message);
}

/* The loop comes back as long as there are more: it asks libzmq for the state of the socket, and not
 * only the descriptor for a change of it. */
static int link_take(zloop_t *loop, zsock_t *reader, void *arg)
{
    struct peer *peer = arg;
    struct peer_link *self = peer->link;
    struct message frames;

    (void)loop;
    assert(self->taking == NULL);
    self->taking = peer;
    for (int i = 0; i < PEER_TURN_MAX && !peer->gone; i++) {
        const int code = message_receive(&frames, zsock_resolve(reader), NULL);
        if (code == ERR_MALFORMED)
            metric_add(self->metrics.malformed, 1);
        else if (code != 0)
            break;
        else
            link_take_one(peer, &frames);
        message_close(&frames);
    }
    self->taking = NULL;
    if (peer->gone)
        peer_destroy(&peer);
    self->on_turn(self->arg);
    return 0;
}

/* ---- Sending ------------------------------------------------------------------------------------ */

void peer_link_send(struct peer_link *self, struct peer_message *message)
{
    uint8_t topic[PEER_TOPIC_BYTES];
    struct message frames;

    assert(message->to != 0 && message->to != self->id);
    message->from = self->id;
    message->start_id = self->start_id;
    peer_message_topic(self->group, message->to, topic);
    self->buffer.size = 0;
    bytes_put_raw(&self->buffer, topic, sizeof topic);
    peer_message_encode(message, self->uuid, &self->buffer);
    message_init(&frames);
    message_add_copy(&frames, self->buffer.data, self->buffer.size);
    if (message_send(&frames, zsock_resolve(self->publisher), NULL) == 0) {
        metric_add(self->metrics.sent, 1);
        metric_add(self->metrics.sent_bytes, (double)self->buffer.size);
    } else {
        metric_add(self->metrics.dropped, 1);
        message_close(&frames);
    }
    peer_message_close(message);
}

/* ---- The feed ----------------------------------------------------------------------------------- */

/* A subscription is one frame: 1 or 0 (no more), then the beginning of topics. Others than those that
 * a stream's topic begins with are for somebody else. */
static void feed_note(struct feed *self, const struct frame *frame)
{
    const uint8_t *data = frame_data(frame);
    const size_t size = frame_size(frame);

    if (size == 0 || data[0] > 1)
        return;
    for (size_t i = 0; i < FEED_STREAMS; i++) {
        const struct feed_topic *topic = &self->link->feed_topics[i];
        uint64_t *wanted = &self->wanted[i];
        if (size - 1 > topic->size || memcmp(data + 1, topic->data, size - 1) != 0)
            continue;
        const uint64_t bit = UINT64_C(1) << (size - 1);
        *wanted = data[0] == 1 ? *wanted | bit : *wanted & ~bit;
    }
}

static int feed_take(zloop_t *loop, zsock_t *reader, void *arg)
{
    struct feed *self = arg;
    struct message frames;

    (void)loop;
    for (int i = 0; i < PEER_TURN_MAX; i++) {
        const int code = message_receive(&frames, zsock_resolve(reader), NULL);
        if (code != 0 && code != ERR_MALFORMED)
            break;
        if (code == 0 && frames.count == 1)
            feed_note(self, &frames.frames[0]);
        message_close(&frames);
    }
    link_tell_subscribers(self->link);
    return 0;
}

bool peer_link_has_subscribers(const struct peer_link *self, enum feed_stream stream)
{
    for (size_t i = 0; i < self->feed_count; i++)
        if (self->feeds[i].wanted[stream] != 0)
            return true;
    return false;
}

/* Not being told to do otherwise, libzmq drops what finds no room. */
static void feed_send(struct feed *self, struct frame *frame)
{
    zsock_t *socket = steady_socket_now(self->socket);
    struct message copy;

    if (socket == NULL) /* the relay was lost a moment ago */
        return;
    message_init(&copy);
    frame_share(&copy.frames[copy.count++], frame);
    (void)message_send(&copy, zsock_resolve(socket), NULL);
    message_close(&copy);
}

void peer_link_publish(struct peer_link *self, enum feed_stream stream, const void *text,
                       size_t size)
{
    const struct feed_topic *topic = &self->feed_topics[stream];
    struct frame frame;

    frame_init_size(&frame, topic->size + size);
    memcpy(frame_data_mutable(&frame), topic->data, topic->size);
    memcpy(frame_data_mutable(&frame) + topic->size, text, size);
    assert(frame_size(&frame) <= MESSAGE_BYTES_MAX);
    for (size_t i = 0; i < self->feed_count; i++)
        if (self->feeds[i].wanted[stream] != 0)
            feed_send(&self->feeds[i], &frame);
    frame_close(&frame);
}
