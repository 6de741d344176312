/* See heap.h. A binary heap in an array: the node at place p is never later than those at 2p and
 * 2p + 1.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/heap.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"

#define HEAP_CAPACITY_MIN 64

void heap_init(struct heap *self)
{
    *self = (struct heap){0};
}

void heap_close(struct heap *self)
{
    free(self->nodes);
    *self = (struct heap){0};
}

static struct heap_node *heap_at(const struct heap *self, size_t place)
{
    return self->nodes[place - 1];
}

static void heap_put(struct heap *self, size_t place, struct heap_node *node)
{
    self->nodes[place - 1] = node;
    node->place = place;
}

/* Put @node where it belongs, @place being free: towards the root while it is earlier. */
static void heap_rise(struct heap *self, size_t place, struct heap_node *node)
{
    while (place > 1 && node->at_ms < heap_at(self, place / 2)->at_ms) {
        heap_put(self, place, heap_at(self, place / 2));
        place /= 2;
    }
    heap_put(self, place, node);
}

/* The same, away from the root while one below is earlier. */
static void heap_sink(struct heap *self, size_t place, struct heap_node *node)
{
    for (;;) {
        size_t child = 2 * place;
        if (child < self->count && heap_at(self, child + 1)->at_ms < heap_at(self, child)->at_ms)
            child++;
        if (child > self->count || node->at_ms <= heap_at(self, child)->at_ms)
            break;
        heap_put(self, place, heap_at(self, child));
        place = child;
    }
    heap_put(self, place, node);
}

void heap_push(struct heap *self, struct heap_node *node)
{
    assert(node->place == 0);
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? 2 * self->capacity : HEAP_CAPACITY_MIN;
        self->nodes = alloc_resize(self->nodes, self->capacity * sizeof self->nodes[0]);
    }
    self->count++;
    heap_rise(self, self->count, node);
}

void heap_remove(struct heap *self, struct heap_node *node)
{
    size_t place = node->place;
    assert(place >= 1 && place <= self->count);
    assert(heap_at(self, place) == node);

    /* The last node takes the free place, and from there finds its own. */
    struct heap_node *last = heap_at(self, self->count);
    self->count--;
    node->place = 0;
    if (last == node)
        return;
    if (place > 1 && last->at_ms < heap_at(self, place / 2)->at_ms)
        heap_rise(self, place, last);
    else
        heap_sink(self, place, last);
}

struct heap_node *heap_first(const struct heap *self)
{
    return self->count > 0 ? heap_at(self, 1) : NULL;
}
