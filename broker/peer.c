/* See peer.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/peer.h"

#include <assert.h>
#include <czmq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"

struct peer_table {
    uint64_t hash_seed;
    zhashx_t *peers; /* struct peer_key (in the peer) to struct peer, owned */
    struct list heard[PEER_CLASS_COUNT];
    struct list sent[PEER_CLASS_COUNT];
};

/* FNV-1a from a secret start, mixed at the end. */
static uint32_t peer_hash(uint64_t seed, const uint8_t *data, size_t size)
{
    uint64_t hash = seed ^ 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ data[i]) * 0x100000001b3u;
    hash ^= hash >> 32;
    hash *= seed | 1;
    return (uint32_t)(hash >> 32);
}

static size_t peer_key_hash(const void *key)
{
    return ((const struct peer_key *)key)->hash;
}

static int peer_key_compare(const void *one_key, const void *other_key)
{
    const struct peer_key *one = one_key, *other = other_key;
    if (one->hash != other->hash || one->size != other->size)
        return 1;
    return memcmp(one->data, other->data, one->size);
}

static struct peer_key peer_key_of(const struct peer_table *self, const struct frame *routing_id)
{
    const uint8_t *data = frame_data(routing_id);
    const size_t size = frame_size(routing_id);
    return (struct peer_key){peer_hash(self->hash_seed, data, size), data, size};
}

struct peer_table *peer_table_new(uint64_t hash_seed)
{
    struct peer_table *self = alloc_zero(sizeof *self);
    self->hash_seed = hash_seed;
    self->peers = zhashx_new();
    zhashx_set_key_duplicator(self->peers, NULL);
    zhashx_set_key_destructor(self->peers, NULL);
    zhashx_set_key_hasher(self->peers, peer_key_hash);
    zhashx_set_key_comparator(self->peers, peer_key_compare);
    for (int class = 0; class < PEER_CLASS_COUNT; class ++) {
        list_init(&self->heard[class]);
        list_init(&self->sent[class]);
    }
    return self;
}

static void peer_free(struct peer *peer)
{
    assert(list_empty(&peer->requests));
    assert(list_empty(&peer->lanes));
    assert(list_empty(&peer->unserved));
    assert(list_empty(&peer->in_hand));
    assert(list_empty(&peer->parcels));
    assert(peer->service == NULL);
    frame_close(&peer->routing_id);
    free(peer);
}

void peer_table_destroy(struct peer_table **self_p)
{
    struct peer_table *self = *self_p;
    if (self == NULL)
        return;
    for (int class = 0; class < PEER_CLASS_COUNT; class ++) {
        struct peer *peer;
        while ((peer = peer_first(self, (enum peer_class) class)) != NULL)
            peer_delete(self, &peer);
    }
    zhashx_destroy(&self->peers);
    free(self);
    *self_p = NULL;
}

size_t peer_table_count(const struct peer_table *self)
{
    return zhashx_size(self->peers);
}

struct peer *peer_find(struct peer_table *self, const struct frame *routing_id)
{
    const struct peer_key key = peer_key_of(self, routing_id);
    return zhashx_lookup(self->peers, &key);
}

struct peer *peer_add(struct peer_table *self, struct frame *routing_id, int64_t awake_ms)
{
    struct peer *peer = alloc_zero(sizeof *peer);
    frame_share(&peer->routing_id, routing_id);
    peer->key = peer_key_of(self, &peer->routing_id);
    list_init(&peer->requests);
    list_init(&peer->lanes);
    list_init(&peer->unserved);
    list_init(&peer->in_hand);
    list_init(&peer->parcels);
    int rc = zhashx_insert(self->peers, &peer->key, peer);
    assert(rc == 0);
    (void)rc;
    peer_classify(self, peer, PEER_CLASS_IDLE, awake_ms);
    return peer;
}

void peer_delete(struct peer_table *self, struct peer **peer_p)
{
    struct peer *peer = *peer_p;
    *peer_p = NULL;
    list_remove(&peer->heard_link);
    list_remove(&peer->sent_link);
    zhashx_delete(self->peers, &peer->key);
    peer_free(peer);
}

void peer_classify(struct peer_table *self, struct peer *peer, enum peer_class class,
                   int64_t awake_ms)
{
    peer->class = class;
    peer_heard(self, peer, awake_ms);
    list_remove(&peer->sent_link);
    peer_sent(self, peer, awake_ms);
}

void peer_heard(struct peer_table *self, struct peer *peer, int64_t awake_ms)
{
    peer->heard_ms = awake_ms;
    list_remove(&peer->heard_link);
    list_add_last(&self->heard[peer->class], &peer->heard_link);
}

void peer_sent(struct peer_table *self, struct peer *peer, int64_t awake_ms)
{
    peer->sent_ms = awake_ms;
    list_remove(&peer->sent_link);
    if (peer->class != PEER_CLASS_IDLE)
        list_add_last(&self->sent[peer->class], &peer->sent_link);
}

struct peer *peer_first(const struct peer_table *self, enum peer_class class)
{
    struct list_link *link = list_first(&self->heard[class]);
    return link == NULL ? NULL : LIST_OBJECT(link, struct peer, heard_link);
}

struct peer *peer_after(const struct peer_table *self, const struct peer *peer)
{
    struct list_link *link = list_after(&self->heard[peer->class], &peer->heard_link);
    return link == NULL ? NULL : LIST_OBJECT(link, struct peer, heard_link);
}

struct peer *peer_silent(const struct peer_table *self, enum peer_class class, int64_t before_ms)
{
    struct peer *peer = peer_first(self, class);
    return peer != NULL && peer->heard_ms <= before_ms ? peer : NULL;
}

struct peer *peer_unsent(const struct peer_table *self, enum peer_class class, int64_t before_ms)
{
    struct list_link *link = list_first(&self->sent[class]);
    struct peer *peer = link == NULL ? NULL : LIST_OBJECT(link, struct peer, sent_link);
    return peer != NULL && peer->sent_ms <= before_ms ? peer : NULL;
}

bool peer_is_served(const struct peer *self)
{
    return !self->deaf && !self->held;
}

void peer_set_name(struct peer *self, const char *name, size_t size)
{
    if (size > SERVICE_NAME_BYTES_MAX)
        size = SERVICE_NAME_BYTES_MAX;
    for (size_t i = 0; i < size; i++)
        self->name[i] = name[i] > 0x20 && name[i] < 0x7f ? name[i] : '?';
    self->name[size] = '\0';
}

const char *peer_text(const struct peer *self, char *text)
{
    if (self->name[0] != '\0') {
        snprintf(text, PEER_TEXT_BYTES, "%s", self->name);
        return text;
    }
    const uint8_t *data = frame_data(&self->routing_id);
    size_t size = frame_size(&self->routing_id);
    if (size > (PEER_TEXT_BYTES - 1) / 2)
        size = (PEER_TEXT_BYTES - 1) / 2;
    text[0] = '\0';
    for (size_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", data[i]);
    return text;
}
