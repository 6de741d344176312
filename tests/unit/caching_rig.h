/* A handle with a cache, and the other side played by the test: a broker with the catalog's leader
 * behind it, and two brokers' feeds.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_CACHING_RIG_H
#define PYGMY_TESTS_CACHING_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/frame.h"
#include "broker/bus/limits.h"
#include "client/store/pygmy.h"
#include "tests/lib/scripted_broker.h"

#define FEEDS      2
#define READS_KEPT 64

static const char TOPIC[] = "leases.catalog";

struct rig_feed {
    char address[SCRIPTED_ADDRESS_BYTES];
    char endpoint[SCRIPTED_ADDRESS_BYTES];
    zsock_t *socket; /* XPUB */
    int subscribed;  /* who are there */
    int ever;        /* who came */
};

/* A leader that answers what it is asked, unless it is mute, and leaves reads to the test. */
struct rig {
    zloop_t *loop;
    struct scripted_broker *broker;
    struct rig_feed feeds[FEEDS];
    struct pygmy *store;

    const char *cluster;
    const char *opened; /* the cluster of the last session */
    uint64_t term, session, seq, index;
    const char *keys; /* of SYNCED */
    bool mute;
    bool quiet; /* the first broker's feed; else it beats */
    int64_t beat_ms;
    int refuse; /* a code for SYNC and RENEW, or OK */
    size_t opens, syncs, renews, closes;
    uint64_t closed;                    /* the last session that was said to be over */
    const struct scripted_record *late; /* the first OPEN, which the test answers; or NULL */
    bool slow;                          /* so it does */
    uint64_t acked;
    size_t seen;                               /* records that were looked at */
    struct scripted_record *reads[READS_KEPT]; /* requests of anything else */
    size_t read_count;

    bool (*condition)(struct rig *self);
    const void *wanted;
    uint64_t number;
};

/* ---- The leader ------------------------------------------------------------------------------ */

static inline void rig_answer(struct rig *self, const struct scripted_record *record, int code,
                              json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT);
    scripted_broker_reply(self->broker, record, code, text);
    free(text);
    json_decref(body);
}

static inline void rig_answer_ask(struct rig *self, const struct scripted_record *record,
                                  const json_t *ask)
{
    const char *op = json_string_value(json_object_get(ask, "op"));
    json_t *body = json_pack("{sI sO? sO?}", "term", (json_int_t)self->term, "epoch",
                             json_object_get(ask, "epoch"), "ask", json_object_get(ask, "ask"));
    if (strcmp(op, "lease_open") == 0) {
        json_object_set_new(body, "session", json_integer((json_int_t)self->session));
        json_object_set_new(body, "cluster", json_string(self->cluster));
        self->opened = self->cluster;
    } else if (self->refuse != OK) {
        rig_answer(self, record, self->refuse, body);
        return;
    }
    json_object_set_new(body, "remaining_ms", json_integer(LEASE_MS));
    json_object_set_new(body, "seq", json_integer((json_int_t)self->seq));
    json_object_set_new(body, "keys", json_loads(self->keys, 0, NULL));
    json_object_set_new(body, "index", json_integer((json_int_t)self->index));
    rig_answer(self, record, OK, body);
}

static inline void rig_take_ask(struct rig *self, const struct scripted_record *record)
{
    json_t *ask = json_loads(record->body, 0, NULL);
    const char *op = json_string_value(json_object_get(ask, "op"));
    const json_t *acked = json_object_get(ask, "acked");
    assert_string_equal(json_string_value(json_object_get(ask, "secret")), "a-secret");
    assert_int_equal(record->flags, 0);
    self->opens += strcmp(op, "lease_open") == 0;
    self->syncs += strcmp(op, "lease_sync") == 0;
    self->renews += strcmp(op, "lease_renew") == 0;
    if (strcmp(op, "lease_close") == 0) {
        self->closes++;
        self->closed = (uint64_t)json_integer_value(json_object_get(ask, "session"));
        assert_string_equal(json_string_value(json_object_get(ask, "cluster")), self->cluster);
    }
    if (self->slow && self->late == NULL && strcmp(op, "lease_open") == 0) {
        self->late = record;
        json_decref(ask);
        return;
    }
    if (strcmp(op, "lease_open") != 0)
        assert_string_equal(json_string_value(json_object_get(ask, "cluster")), self->opened);
    if (acked != NULL)
        self->acked = (uint64_t)json_integer_value(acked);
    if (!self->mute)
        rig_answer_ask(self, record, ask);
    json_decref(ask);
}

static inline void rig_look(struct rig *self)
{
    const size_t count = scripted_broker_count(self->broker, PACK_REQUEST);
    for (; self->seen < count; self->seen++) {
        struct scripted_record *record =
            scripted_broker_nth(self->broker, PACK_REQUEST, self->seen);
        if (strcmp(record->service, "catalog.leases") == 0) {
            rig_take_ask(self, record);
        } else {
            assert_true(self->read_count < READS_KEPT);
            self->reads[self->read_count++] = record;
        }
    }
}

/* ---- The feeds ------------------------------------------------------------------------------- */

static inline void rig_bind(struct rig_feed *self)
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

static inline void rig_hear_subscribers(struct rig_feed *self)
{
    struct message message;
    if (self->socket == NULL)
        return;
    while (message_receive(&message, zsock_resolve(self->socket), NULL) == OK) {
        const struct frame *said = &message.frames[0];
        assert_true(frame_size(said) == 1 + sizeof TOPIC &&
                    memcmp(frame_data(said) + 1, TOPIC, sizeof TOPIC) == 0);
        self->subscribed += frame_data(said)[0] != 0 ? 1 : -1;
        self->ever += frame_data(said)[0] != 0;
        message_close(&message);
    }
}

static inline void rig_say(struct rig_feed *self, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    struct message message;
    struct frame frame;
    message_init(&message);
    frame_init_size(&frame, sizeof TOPIC + strlen(text));
    memcpy(frame_data_mutable(&frame), TOPIC, sizeof TOPIC);
    memcpy(frame_data_mutable(&frame) + sizeof TOPIC, text, strlen(text));
    message_add_frame(&message, &frame);
    assert_int_equal(message_send(&message, zsock_resolve(self->socket), NULL), OK);
    free(text);
    json_decref(json);
}

/* A message of the feed of broker @place. @key NULL: none, as of a beat. */
static inline void rig_publish(struct rig *self, size_t place, const char *type, uint64_t seq,
                               const char *key)
{
    json_t *json = json_pack("{ss ss ss sI sI sI}", "group", "catalog", "cluster", self->cluster,
                             "type", type, "term", (json_int_t)self->term, "seq", (json_int_t)seq,
                             "index", (json_int_t)self->index);
    if (key != NULL)
        json_object_set_new(json, "keys", json_pack("[s]", key));
    rig_say(&self->feeds[place], json);
}

/* The next message, of a key, by the first broker. */
static inline void rig_tell(struct rig *self, const char *type, const char *key)
{
    rig_publish(self, 0, type, ++self->seq, key);
}

/* ---- Waiting --------------------------------------------------------------------------------- */

static inline void rig_beat(struct rig *self)
{
    if (self->quiet || self->feeds[0].socket == NULL || clock_ms() < self->beat_ms)
        return;
    self->beat_ms = clock_ms() + LEASE_BEAT_MS;
    rig_publish(self, 0, "beat", self->seq, NULL);
}

static inline bool rig_step(void *arg)
{
    struct rig *self = arg;
    rig_look(self);
    rig_beat(self);
    for (size_t i = 0; i < FEEDS; i++)
        rig_hear_subscribers(&self->feeds[i]);
    return self->condition(self);
}

static inline int64_t rig_run_until(struct rig *self, bool (*condition)(struct rig *))
{
    self->condition = condition;
    return scripted_run_until(self->loop, rig_step, self);
}

static inline struct pygmy_cache_counts rig_counts(const struct rig *self)
{
    struct pygmy_cache_counts counts;
    pygmy_cache_count(self->store, &counts);
    return counts;
}

static inline bool rig_has_lease(struct rig *self)
{
    return rig_counts(self).lease_left_ms > 0;
}

static inline bool rig_has_reads(struct rig *self)
{
    return self->read_count >= self->number;
}

/* Wait for the @nth read, from 0, and see that it goes to @service and says this. */
static inline struct scripted_record *rig_expect(struct rig *self, size_t nth, const char *service,
                                                 const char *text)
{
    self->number = nth + 1;
    rig_run_until(self, rig_has_reads);
    assert_int_equal(self->read_count, nth + 1);
    assert_string_equal(self->reads[nth]->service, service);
    assert_string_equal(self->reads[nth]->body, text);
    return self->reads[nth];
}

static inline bool rig_is_done(struct rig *self)
{
    return ((const struct pygmy_reply *)self->wanted)->done;
}

static inline void rig_await(struct rig *self, const struct pygmy_reply *reply)
{
    self->wanted = reply;
    rig_run_until(self, rig_is_done);
}

/* Whether what was told up to `seq` is acknowledged. */
static inline bool rig_is_acked(struct rig *self)
{
    return self->acked == self->seq;
}

/* ---- Items ----------------------------------------------------------------------------------- */

/* As the store gives it. */
static inline json_t *rig_item(int64_t id, int64_t version)
{
    char title[32];
    snprintf(title, sizeof title, "Title %lld", (long long)id);
    return json_pack("{sI ss ss ss sI sI sI}", "id", (json_int_t)id, "title", title, "authors",
                     "A. One", "topic", "classics", "price_cents", (json_int_t)(100 + id), "stock",
                     (json_int_t)7, "version", (json_int_t)version);
}

static inline void rig_answer_item(struct rig *self, const struct scripted_record *read, int64_t id,
                                   int64_t version)
{
    rig_answer(self, read, OK,
               json_pack("{so sI}", "item", rig_item(id, version), "log_time", (json_int_t)1));
}

static inline int64_t rig_version(const struct pygmy_reply *reply)
{
    return json_integer_value(json_object_get(json_object_get(reply->body, "item"), "version"));
}

/* ---- Life ------------------------------------------------------------------------------------ */

static inline void rig_open(struct rig *self, size_t entries)
{
    const char *endpoints[] = {self->broker->endpoint};
    const char *feeds[FEEDS] = {self->feeds[0].endpoint, self->feeds[1].endpoint};
    char *error = NULL;
    assert_int_equal(pygmy_open(&(struct pygmy_options){.name = "test",
                                                        .loop = self->loop,
                                                        .endpoints = endpoints,
                                                        .endpoint_count = 1,
                                                        .secret = "a-secret",
                                                        .cache_entries = entries,
                                                        .feeds = feeds,
                                                        .feed_count = FEEDS},
                                &self->store, &error),
                     OK);
}

static inline int rig_set_up(void **state)
{
    struct rig *self = alloc_zero(sizeof *self);
    self->loop = zloop_new();
    self->broker = scripted_broker_new(self->loop, 'C');
    for (size_t i = 0; i < FEEDS; i++) {
        scripted_address(self->feeds[i].address);
        rig_bind(&self->feeds[i]);
    }
    self->cluster = "c1";
    self->term = 3;
    self->session = 17;
    self->seq = 5;
    self->index = 40;
    self->keys = "[]";
    rig_open(self, 100);
    *state = self;
    return 0;
}

static inline int rig_tear_down(void **state)
{
    struct rig *self = *state;
    pygmy_close(&self->store);
    scripted_broker_destroy(&self->broker);
    for (size_t i = 0; i < FEEDS; i++)
        zsock_destroy(&self->feeds[i].socket);
    zloop_destroy(&self->loop);
    free(self);
    return 0;
}

static inline bool rig_is_subscribed(struct rig *self)
{
    return self->feeds[0].subscribed > 0 && rig_has_lease(self);
}

/* Until it has a lease, and hears the first broker's feed. */
static inline void rig_begin(struct rig *self)
{
    rig_run_until(self, rig_is_subscribed);
}

/* Have an item in memory. */
static inline void rig_fill(struct rig *self, int64_t id, int64_t version)
{
    struct pygmy_reply reply = {0};
    const size_t nth = self->read_count;
    pygmy_lookup(self->store, id, pygmy_keep, &reply);
    self->number = nth + 1;
    rig_run_until(self, rig_has_reads);
    rig_answer_item(self, self->reads[nth], id, version);
    rig_await(self, &reply);
    assert_int_equal(reply.code, OK);
    assert_false(reply.cached);
    pygmy_reply_close(&reply);
}

/* The version of an item in memory; 0: it may not be served. */
static inline int64_t rig_cached(struct rig *self, int64_t id)
{
    struct pygmy_cached item;
    if (!pygmy_cached_item(self->store, id, &item))
        return 0;
    assert_true(item.present);
    assert_int_equal(strlen(item.text), item.size);
    return item.version;
}

#endif
