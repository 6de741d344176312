/* See outbox.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/outbox.h"

#include <assert.h>
#include <czmq.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "broker/list.h"

/* A message at rest, no larger than it is. */
struct letter {
    struct list_link link; /* in box->letters */
    size_t bytes;          /* charged */
    size_t count;          /* frames */
    struct frame frames[];
};

/* What waits for one peer. A box exists while it has letters. */
struct box {
    struct frame routing_id;
    struct list letters; /* never empty between calls */
    struct list_link link;
    size_t messages;
    size_t bytes;
};

struct outbox {
    struct outbox_options options;
    zhashx_t *index;   /* struct frame (routing id, in the box) to struct box, owned */
    struct list boxes; /* struct box.link */
    struct list lost;  /* struct box.link: of peers that are gone; not in the index, no letters */
    size_t messages;
    size_t bytes;
};

static size_t outbox_key_hash(const void *key)
{
    const struct frame *routing_id = key;
    const uint8_t *data = frame_data(routing_id);
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < frame_size(routing_id); i++)
        hash = (hash ^ data[i]) * 0x100000001b3u;
    return (size_t)(hash >> 16);
}

static int outbox_key_compare(const void *one, const void *other)
{
    const struct frame *key = other;
    return !frame_equals(one, frame_data(key), frame_size(key));
}

struct outbox *outbox_new(const struct outbox_options *options)
{
    struct outbox *self = alloc_zero(sizeof *self);
    self->options = *options;
    if (self->options.peer_messages_max == 0)
        self->options.peer_messages_max = OUTBOX_PEER_MESSAGES_MAX;
    if (self->options.peer_bytes_max == 0)
        self->options.peer_bytes_max = OUTBOX_PEER_BYTES_MAX;
    if (self->options.bytes_max == 0)
        self->options.bytes_max = OUTBOX_BYTES_MAX;
    self->index = zhashx_new();
    zhashx_set_key_duplicator(self->index, NULL);
    zhashx_set_key_destructor(self->index, NULL);
    zhashx_set_key_hasher(self->index, outbox_key_hash);
    zhashx_set_key_comparator(self->index, outbox_key_compare);
    list_init(&self->boxes);
    list_init(&self->lost);
    return self;
}

static struct box *box_first(const struct list *boxes)
{
    struct list_link *link = list_first(boxes);
    return link == NULL ? NULL : LIST_OBJECT(link, struct box, link);
}

/* Take the first letter out of a box; its frames are the caller's. */
static struct letter *outbox_take(struct outbox *self, struct box *box)
{
    struct list_link *link = list_first(&box->letters);
    if (link == NULL)
        return NULL;
    struct letter *letter = LIST_OBJECT(link, struct letter, link);
    list_remove(link);
    box->messages--;
    box->bytes -= letter->bytes;
    self->messages--;
    self->bytes -= letter->bytes;
    return letter;
}

static void outbox_empty(struct outbox *self, struct box *box)
{
    struct letter *letter;
    while ((letter = outbox_take(self, box)) != NULL) {
        for (size_t i = 0; i < letter->count; i++)
            frame_close(&letter->frames[i]);
        free(letter);
    }
}

static void outbox_remove(struct outbox *self, struct box *box)
{
    list_remove(&box->link);
    zhashx_delete(self->index, &box->routing_id);
}

static void box_free(struct box *box)
{
    frame_close(&box->routing_id);
    free(box);
}

void outbox_destroy(struct outbox **self_p)
{
    struct outbox *self = *self_p;
    struct box *box;
    struct frame routing_id;
    if (self == NULL)
        return;
    while ((box = box_first(&self->boxes)) != NULL) {
        outbox_empty(self, box);
        outbox_remove(self, box);
        box_free(box);
    }
    while (outbox_lost(self, &routing_id))
        frame_close(&routing_id);
    zhashx_destroy(&self->index);
    free(self);
    *self_p = NULL;
}

static struct box *outbox_box(struct outbox *self, struct frame *routing_id)
{
    struct box *box = zhashx_lookup(self->index, routing_id);
    if (box != NULL)
        return box;
    box = alloc_zero(sizeof *box);
    frame_share(&box->routing_id, routing_id);
    list_init(&box->letters);
    list_add_last(&self->boxes, &box->link);
    int rc = zhashx_insert(self->index, &box->routing_id, box);
    assert(rc == 0);
    (void)rc;
    return box;
}

/* Put a message at the end or in front of a box, emptying it. */
static void outbox_put(struct outbox *self, struct box *box, struct message *message, bool front)
{
    struct letter *letter = alloc_zero(sizeof *letter + message->count * sizeof *letter->frames);
    letter->bytes = message_size(message) + message->count * sizeof *letter->frames;
    letter->count = message->count;
    for (size_t i = 0; i < message->count; i++)
        frame_move(&letter->frames[i], &message->frames[i]);
    message_close(message);
    if (front)
        list_add_first(&box->letters, &letter->link);
    else
        list_add_last(&box->letters, &letter->link);
    box->messages++;
    box->bytes += letter->bytes;
    self->messages++;
    self->bytes += letter->bytes;
}

/* Drop what waits for a peer that is gone; who sent to it just now knows, others are told. */
static void outbox_give_up(struct outbox *self, struct box *box, bool tell)
{
    outbox_empty(self, box);
    outbox_remove(self, box);
    if (tell)
        list_add_last(&self->lost, &box->link);
    else
        box_free(box);
}

static struct box *outbox_largest(const struct outbox *self)
{
    struct box *largest = box_first(&self->boxes);
    for (struct list_link *link = &largest->link; link != NULL;
         link = list_after(&self->boxes, link)) {
        struct box *box = LIST_OBJECT(link, struct box, link);
        if (box->bytes > largest->bytes)
            largest = box;
    }
    return largest;
}

/* Who has to go, now that @box has grown, or NULL. Looking for the largest of all is rare: it is
 * emptied then. */
static struct box *outbox_over(const struct outbox *self, struct box *box)
{
    if (box->messages > self->options.peer_messages_max ||
        box->bytes > self->options.peer_bytes_max)
        return box;
    return self->bytes > self->options.bytes_max ? outbox_largest(self) : NULL;
}

int outbox_send(struct outbox *self, struct frame *routing_id, struct message *message)
{
    int rc = ERR_BUSY;
    /* What waits goes first. */
    if (self->messages == 0 || zhashx_lookup(self->index, routing_id) == NULL)
        rc = self->options.send(self->options.arg, message, routing_id);
    if (rc == 0)
        return 0;
    if (rc != ERR_BUSY) {
        message_close(message);
        return rc;
    }
    struct box *box = outbox_box(self, routing_id);
    outbox_put(self, box, message, false);
    struct box *gone = outbox_over(self, box);
    if (gone == NULL)
        return 0;
    outbox_give_up(self, gone, gone != box);
    return gone == box ? ERR_QUEUE_FULL : 0;
}

/* Send a box's letters until the peer takes no more. Returns 0 when all are gone, or why not. */
static int outbox_flush_box(struct outbox *self, struct box *box)
{
    struct letter *letter;
    while ((letter = outbox_take(self, box)) != NULL) {
        struct message message = {.count = letter->count};
        for (size_t i = 0; i < letter->count; i++)
            frame_move(&message.frames[i], &letter->frames[i]);
        free(letter);
        int rc = self->options.send(self->options.arg, &message, &box->routing_id);
        if (rc == ERR_BUSY)
            outbox_put(self, box, &message, true);
        message_close(&message);
        if (rc != 0)
            return rc;
    }
    return 0;
}

void outbox_flush(struct outbox *self)
{
    /* Who stays busy goes to the end, and is met again only in a later flush. */
    const struct list_link *last = list_last(&self->boxes);
    bool more = last != NULL;
    for (int tries = 0; more && tries < OUTBOX_FLUSH_PEERS_MAX; tries++) {
        struct box *box = box_first(&self->boxes);
        more = &box->link != last;
        const int rc = outbox_flush_box(self, box);
        if (rc != ERR_BUSY) {
            outbox_give_up(self, box, rc != 0);
        } else {
            list_remove(&box->link);
            list_add_last(&self->boxes, &box->link);
        }
    }
}

bool outbox_lost(struct outbox *self, struct frame *routing_id)
{
    struct box *box = box_first(&self->lost);
    if (box == NULL)
        return false;
    list_remove(&box->link);
    frame_move(routing_id, &box->routing_id);
    box_free(box);
    return true;
}

size_t outbox_bytes(const struct outbox *self)
{
    return self->bytes;
}

size_t outbox_messages(const struct outbox *self)
{
    return self->messages;
}
