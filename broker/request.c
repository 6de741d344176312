/* See request.h. A slot map: an id is a slot's number and how often the slot was given an id.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/request.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/limits.h"

#define REQUEST_SLOTS_FIRST 256

struct request_slot {
    struct request *request; /* NULL: free */
    uint32_t generation;     /* of the present id, or of the last one */
    uint32_t free_next;      /* when free: the next free slot */
};

struct request_table {
    size_t count_max;
    size_t bytes_max;
    size_t count;
    size_t bytes;
    struct request_slot *slots;
    uint32_t slot_count;
    uint32_t free_first; /* slot_count: none */
};

struct request_table *request_table_new(size_t count_max, size_t bytes_max)
{
    struct request_table *self = alloc_zero(sizeof *self);
    assert(count_max < UINT32_MAX / 2);
    self->count_max = count_max;
    self->bytes_max = bytes_max;
    return self;
}

void request_table_destroy(struct request_table **self_p)
{
    struct request_table *self = *self_p;
    if (self == NULL)
        return;
    assert(self->count == 0);
    assert(self->bytes == 0);
    free(self->slots);
    free(self);
    *self_p = NULL;
}

size_t request_table_count(const struct request_table *self)
{
    return self->count;
}

size_t request_table_bytes(const struct request_table *self)
{
    return self->bytes;
}

bool request_table_fits(const struct request_table *self, size_t bytes)
{
    return self->count < self->count_max && bytes <= self->bytes_max - self->bytes;
}

static void request_table_grow(struct request_table *self)
{
    uint32_t count = self->slot_count > 0 ? 2 * self->slot_count : REQUEST_SLOTS_FIRST;
    self->slots = alloc_resize(self->slots, count * sizeof *self->slots);
    for (uint32_t i = self->slot_count; i < count; i++)
        self->slots[i] = (struct request_slot){.free_next = i + 1};
    self->free_first = self->slot_count;
    self->slot_count = count;
}

struct request *request_new(struct request_table *self, struct body *body)
{
    assert(request_table_fits(self, body->bytes));
    if (self->free_first == self->slot_count)
        request_table_grow(self);
    const uint32_t at = self->free_first;
    struct request_slot *slot = &self->slots[at];
    struct request *request = alloc_zero(sizeof *request);
    self->free_first = slot->free_next;
    slot->request = request;
    request->id = at;
    request->bytes = body->bytes;
    body_move(&request->body, body);
    self->count++;
    self->bytes += request->bytes;
    request_renew(self, request);
    return request;
}

void request_renew(struct request_table *self, struct request *request)
{
    const uint32_t at = (uint32_t)request->id;
    struct request_slot *slot = &self->slots[at];
    assert(slot->request == request);
    /* 0 is left out, so that no id is 0. */
    if (++slot->generation == 0)
        slot->generation = 1;
    request->id = (uint64_t)slot->generation << 32 | at;
}

struct request *request_find(const struct request_table *self, uint64_t id)
{
    const uint32_t at = (uint32_t)id;
    if (at >= self->slot_count || self->slots[at].request == NULL)
        return NULL;
    return self->slots[at].request->id == id ? self->slots[at].request : NULL;
}

bool request_collect(struct request_table *self, struct request *request, struct body *part)
{
    const size_t size = part->bytes;
    const bool fits =
        size <= BODY_BYTES_MAX - request->collected.size && size <= self->bytes_max - self->bytes;
    if (fits) {
        body_write(part, &request->collected);
        self->bytes += size;
    }
    body_close(part);
    return fits;
}

void request_collected_drop(struct request_table *self, struct request *request)
{
    self->bytes -= request->collected.size;
    bytes_writer_close(&request->collected);
}

void request_collected_take(struct request_table *self, struct request *request, struct body *rest)
{
    struct bytes_writer whole = request->collected;
    self->bytes -= whole.size;
    request->collected = (struct bytes_writer){0};
    body_write(rest, &whole);
    body_close(rest);
    body_copy_bytes(rest, whole.data, whole.size);
    bytes_writer_close(&whole);
}

void request_delete(struct request_table *self, struct request **request_p)
{
    struct request *request = *request_p;
    const uint32_t at = (uint32_t)request->id;
    assert(self->slots[at].request == request);
    assert(!list_linked(&request->client_link));
    assert(!list_linked(&request->place_link));
    assert(!list_linked(&request->unserved_link));
    assert(!list_linked(&request->timer.link));
    self->count--;
    self->bytes -= request->bytes;
    self->slots[at].request = NULL;
    self->slots[at].free_next = self->free_first;
    self->free_first = at;
    request_collected_drop(self, request);
    body_close(&request->body);
    free(request);
    *request_p = NULL;
}

struct request *request_each(const struct request_table *self, size_t *slot)
{
    while (*slot < self->slot_count) {
        struct request *request = self->slots[(*slot)++].request;
        if (request != NULL)
            return request;
    }
    return NULL;
}
