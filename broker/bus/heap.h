/* A heap of deadlines: the earliest is found at once, any can be taken out.
 *
 * The nodes are embedded in what they stand for; the heap holds pointers to
 * them and owns nothing.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_HEAP_H
#define PYGMY_BUS_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_node {
    int64_t at_ms; /* orders the heap; not changed while the node is in it */
    size_t place;  /* its place in the heap, from 1; 0: in none */
};

struct heap {
    struct heap_node **nodes; /* by place less 1 */
    size_t count;
    size_t capacity;
};

/* An empty heap: {0} will do as well. */
void heap_init(struct heap *self);

/* Free the heap's own memory. The nodes are left as they are. */
void heap_close(struct heap *self);

/* Put @node in; it is in no heap. */
void heap_push(struct heap *self, struct heap_node *node);

/* Take @node out, wherever it is; it is in this heap. */
void heap_remove(struct heap *self, struct heap_node *node);

/* The node of the earliest time, which stays in; NULL when there is none. */
struct heap_node *heap_first(const struct heap *self);

#endif
