/* See outbox.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/outbox.h"

#include <assert.h>
#include <czmq.h>
#include <stdatomic.h>
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
    size_t large_bytes;    /* of its largest frame, if that is large */
    size_t count;          /* frames */
    struct frame frames[];
};

/* Bytes of large messages that libzmq has and has not written yet. Counted down by libzmq's thread,
 * which may outlive the outbox; freed by who lets go of it last. */
struct owed {
    atomic_size_t bytes;
    atomic_size_t users; /* the box, and each message */
};

/* What waits for one peer. A box exists while there are letters or libzmq owes something. */
struct box {
    struct frame routing_id;
    struct owed *owed;
    struct list letters;
    struct list_link link;
    size_t messages;
    size_t bytes;
    size_t large_bytes;
    bool deaf; /* had too much since it was last empty */
};

struct outbox {
    struct outbox_options options;
    zhashx_t *index;   /* struct frame (routing id, in the box) to struct box, owned */
    struct list boxes; /* struct box.link */
    struct list lost;  /* struct box.link: of peers that are gone; not in the index, no letters */
    struct list heard; /* the same, of peers that were deaf and are not any more */
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
    if (self->options.deaf_bytes == 0)
        self->options.deaf_bytes = OUTBOX_DEAF_BYTES;
    if (self->options.deaf_messages == 0)
        self->options.deaf_messages = OUTBOX_DEAF_MESSAGES;
    self->index = zhashx_new();
    zhashx_set_key_duplicator(self->index, NULL);
    zhashx_set_key_destructor(self->index, NULL);
    zhashx_set_key_hasher(self->index, outbox_key_hash);
    zhashx_set_key_comparator(self->index, outbox_key_compare);
    list_init(&self->boxes);
    list_init(&self->lost);
    list_init(&self->heard);
    return self;
}

static struct box *box_first(const struct list *boxes)
{
    struct list_link *link = list_first(boxes);
    return link == NULL ? NULL : LIST_OBJECT(link, struct box, link);
}

static struct letter *box_letter(const struct box *box)
{
    struct list_link *link = list_first(&box->letters);
    return link == NULL ? NULL : LIST_OBJECT(link, struct letter, link);
}

/* Drop a box's first letter, with the frames that it still has. */
static void outbox_drop(struct outbox *self, struct box *box, struct letter *letter)
{
    list_remove(&letter->link);
    box->messages--;
    box->bytes -= letter->bytes;
    box->large_bytes -= letter->large_bytes;
    self->messages--;
    self->bytes -= letter->bytes;
    for (size_t i = 0; i < letter->count; i++)
        frame_close(&letter->frames[i]);
    free(letter);
}

static void outbox_empty(struct outbox *self, struct box *box)
{
    struct letter *letter;
    while ((letter = box_letter(box)) != NULL)
        outbox_drop(self, box, letter);
}

static void outbox_remove(struct outbox *self, struct box *box)
{
    list_remove(&box->link);
    zhashx_delete(self->index, &box->routing_id);
}

static void owed_release(struct owed *owed)
{
    if (atomic_fetch_sub(&owed->users, 1) == 1)
        free(owed);
}

static void box_free(struct box *box)
{
    owed_release(box->owed);
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
    while (outbox_lost(self, &routing_id) || outbox_heard(self, &routing_id))
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
    box->owed = alloc_zero(sizeof *box->owed);
    box->owed->users = 1;
    list_add_last(&self->boxes, &box->link);
    int rc = zhashx_insert(self->index, &box->routing_id, box);
    assert(rc == 0);
    (void)rc;
    return box;
}

static struct frame *message_largest(struct message *message)
{
    struct frame *largest = &message->frames[0];
    for (size_t i = 1; i < message->count; i++) {
        if (frame_size(&message->frames[i]) > frame_size(largest))
            largest = &message->frames[i];
    }
    return largest;
}

/* Put a message at the end of a box, emptying it. */
static void outbox_put(struct outbox *self, struct box *box, struct message *message)
{
    struct letter *letter = alloc_zero(sizeof *letter + message->count * sizeof *letter->frames);
    letter->bytes = message_size(message) + message->count * sizeof *letter->frames;
    letter->large_bytes = frame_size(message_largest(message));
    if (letter->large_bytes < OUTBOX_LARGE_BYTES)
        letter->large_bytes = 0;
    letter->count = message->count;
    for (size_t i = 0; i < message->count; i++)
        frame_move(&letter->frames[i], &message->frames[i]);
    message_close(message);
    list_add_last(&box->letters, &letter->link);
    box->messages++;
    box->bytes += letter->bytes;
    box->large_bytes += letter->large_bytes;
    self->messages++;
    self->bytes += letter->bytes;
}

/* The end of a box; with @told its peer is listed there. */
static void outbox_end(struct outbox *self, struct box *box, struct list *told)
{
    outbox_empty(self, box);
    outbox_remove(self, box);
    if (told != NULL)
        list_add_last(told, &box->link);
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

/* A large frame on its way through libzmq. */
struct ride {
    struct owed *owed;
    size_t bytes;
};

static void ride_end(void *arg)
{
    struct ride *ride = arg;
    atomic_fetch_sub(&ride->owed->bytes, ride->bytes);
    owed_release(ride->owed);
    free(ride);
}

/* Send a message with a large frame, watching when libzmq is through with that. */
static int outbox_send_watched(struct outbox *self, struct box *box, struct message *message,
                               struct frame *large)
{
    struct frame kept;
    struct ride *ride = alloc_zero(sizeof *ride);
    ride->owed = box->owed;
    ride->bytes = frame_size(large);
    atomic_fetch_add(&ride->owed->users, 1);
    atomic_fetch_add(&ride->owed->bytes, ride->bytes);
    frame_share(&kept, large);
    frame_watch(large, large, ride_end, ride);
    const int rc = self->options.send(self->options.arg, message, &box->routing_id);
    if (rc == 0) {
        frame_close(&kept);
    } else {
        frame_close(large);
        frame_move(large, &kept);
    }
    return rc;
}

/* Send it if libzmq doesn't owe the peer too much already. It bounds what it holds by messages
 * alone, and a hundred large answers that nobody reads are a great deal of work done in vain. */
static int outbox_try(struct outbox *self, struct frame *routing_id, struct message *message)
{
    struct frame *large = message_largest(message);
    if (frame_size(large) < OUTBOX_LARGE_BYTES)
        return self->options.send(self->options.arg, message, routing_id);
    struct box *box = outbox_box(self, routing_id);
    if (atomic_load(&box->owed->bytes) > OUTBOX_OWED_BYTES_MAX)
        return ERR_BUSY;
    return outbox_send_watched(self, box, message, large);
}

static bool outbox_waits(const struct outbox *self, struct frame *routing_id)
{
    const struct box *box = self->messages > 0 ? zhashx_lookup(self->index, routing_id) : NULL;
    return box != NULL && box->messages > 0;
}

int outbox_send(struct outbox *self, struct frame *routing_id, struct message *message)
{
    /* What waits goes first. */
    const int rc =
        outbox_waits(self, routing_id) ? ERR_BUSY : outbox_try(self, routing_id, message);
    if (rc == 0)
        return 0;
    if (rc != ERR_BUSY) {
        message_close(message);
        return rc;
    }
    struct box *box = outbox_box(self, routing_id);
    outbox_put(self, box, message);
    struct box *gone = outbox_over(self, box);
    /* Who sends to it just now knows; others are told. */
    if (gone != NULL)
        outbox_end(self, gone, gone != box ? &self->lost : NULL);
    if (gone == box)
        return ERR_QUEUE_FULL;
    if (box->large_bytes > self->options.deaf_bytes || box->messages > self->options.deaf_messages)
        box->deaf = true;
    return box->deaf ? ERR_BUSY : 0;
}

/* Send a box's letters until the peer takes no more. Returns 0 when all are gone, or why not. */
static int outbox_flush_box(struct outbox *self, struct box *box)
{
    struct letter *letter;
    while ((letter = box_letter(box)) != NULL) {
        struct message message = {.count = letter->count};
        for (size_t i = 0; i < letter->count; i++)
            frame_move(&message.frames[i], &letter->frames[i]);
        int rc = outbox_try(self, &box->routing_id, &message);
        if (rc == ERR_BUSY) {
            for (size_t i = 0; i < letter->count; i++)
                frame_move(&letter->frames[i], &message.frames[i]);
            return rc;
        }
        message_close(&message);
        outbox_drop(self, box, letter);
        if (rc != 0)
            return rc;
    }
    return 0;
}

bool outbox_flush(struct outbox *self)
{
    const size_t messages = self->messages;
    /* Who stays busy goes to the end, and is met again only in a later flush. */
    const struct list_link *last = list_last(&self->boxes);
    bool more = last != NULL;
    for (int tries = 0; more && tries < OUTBOX_FLUSH_PEERS_MAX; tries++) {
        struct box *box = box_first(&self->boxes);
        more = &box->link != last;
        const int rc = outbox_flush_box(self, box);
        const bool owed = rc == 0 && atomic_load(&box->owed->bytes) > 0;
        if (rc != ERR_BUSY && !owed) {
            outbox_end(self, box, rc != 0 ? &self->lost : box->deaf ? &self->heard : NULL);
        } else {
            list_remove(&box->link);
            list_add_last(&self->boxes, &box->link);
        }
    }
    return self->messages < messages;
}

/* Take the first of the boxes that are at their end. */
static bool outbox_tell(struct list *told, struct frame *routing_id)
{
    struct box *box = box_first(told);
    if (box == NULL)
        return false;
    list_remove(&box->link);
    frame_move(routing_id, &box->routing_id);
    box_free(box);
    return true;
}

bool outbox_lost(struct outbox *self, struct frame *routing_id)
{
    return outbox_tell(&self->lost, routing_id);
}

bool outbox_heard(struct outbox *self, struct frame *routing_id)
{
    return outbox_tell(&self->heard, routing_id);
}

size_t outbox_bytes(const struct outbox *self)
{
    return self->bytes;
}

bool outbox_idle(const struct outbox *self)
{
    return list_empty(&self->boxes);
}

size_t outbox_messages(const struct outbox *self)
{
    return self->messages;
}
