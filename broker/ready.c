/* See ready.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ready.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"

void ready_close(struct ready *self)
{
    for (size_t i = 0; i < READY_WORDS; i++)
        assert(self->used[i] == 0);
    free(self->levels);
    *self = (struct ready){0};
}

/* Move all links from the front of @from to the end of @to, keeping their order. */
static void ready_move_level(struct list *to, struct list *from)
{
    struct list_link *link;
    while ((link = list_first(from)) != NULL) {
        list_remove(link);
        list_add_last(to, link);
    }
}

/* Lists point to themselves, and so can't be moved by realloc. Happens once for each doubling of
 * the highest credit seen. */
static void ready_grow(struct ready *self, uint32_t level)
{
    uint32_t count = self->level_count > 0 ? self->level_count : 2;
    while (count <= level)
        count *= 2;
    struct list *levels = alloc_zero(count * sizeof *levels);
    for (uint32_t i = 0; i < count; i++) {
        list_init(&levels[i]);
        if (i < self->level_count)
            ready_move_level(&levels[i], &self->levels[i]);
    }
    free(self->levels);
    self->levels = levels;
    self->level_count = count;
}

static void ready_remove(struct ready *self, struct peer *worker)
{
    const uint32_t level = worker->ready_level;
    if (!list_linked(&worker->ready_link))
        return;
    list_remove(&worker->ready_link);
    if (list_empty(&self->levels[level]))
        self->used[level / 64] &= ~((uint64_t)1 << level % 64);
}

void ready_put(struct ready *self, struct peer *worker, uint32_t free_credit)
{
    assert(free_credit <= CREDIT_MAX);
    ready_remove(self, worker);
    if (free_credit == 0)
        return;
    if (free_credit >= self->level_count)
        ready_grow(self, free_credit);
    worker->ready_level = free_credit;
    list_add_last(&self->levels[free_credit], &worker->ready_link);
    self->used[free_credit / 64] |= (uint64_t)1 << free_credit % 64;
}

struct peer *ready_best(const struct ready *self)
{
    for (size_t i = READY_WORDS; i-- > 0;) {
        if (self->used[i] == 0)
            continue;
        const size_t level = i * 64 + 63 - (size_t)__builtin_clzll(self->used[i]);
        return LIST_OBJECT(list_first(&self->levels[level]), struct peer, ready_link);
    }
    return NULL;
}
