/* See ranking.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ranking.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"

void ranking_close(struct ranking *self)
{
    for (size_t i = 0; i < RANKING_WORDS; i++)
        assert(self->used[i] == 0);
    free(self->levels);
    *self = (struct ranking){0};
}

/* Move all links from the front of @from to the end of @to, keeping their order. */
static void ranking_move_level(struct list *to, struct list *from)
{
    struct list_link *link;
    while ((link = list_first(from)) != NULL) {
        list_remove(link);
        list_add_last(to, link);
    }
}

/* Lists point to themselves, and so can't be moved by realloc. Happens once for each doubling of
 * the highest rank seen. */
static void ranking_grow(struct ranking *self, uint32_t rank)
{
    uint32_t count = self->level_count > 0 ? self->level_count : 2;
    while (count <= rank)
        count *= 2;
    struct list *levels = alloc_zero(count * sizeof *levels);
    for (uint32_t i = 0; i < count; i++) {
        list_init(&levels[i]);
        if (i < self->level_count)
            ranking_move_level(&levels[i], &self->levels[i]);
    }
    free(self->levels);
    self->levels = levels;
    self->level_count = count;
}

static void ranking_remove(struct ranking *self, struct peer *peer)
{
    const uint32_t level = peer->rank;
    if (!list_linked(&peer->rank_link))
        return;
    list_remove(&peer->rank_link);
    if (list_empty(&self->levels[level]))
        self->used[level / 64] &= ~((uint64_t)1 << level % 64);
}

void ranking_put(struct ranking *self, struct peer *peer, uint32_t rank)
{
    assert(rank <= RANK_MAX);
    ranking_remove(self, peer);
    if (rank == 0)
        return;
    if (rank >= self->level_count)
        ranking_grow(self, rank);
    peer->rank = rank;
    list_add_last(&self->levels[rank], &peer->rank_link);
    self->used[rank / 64] |= (uint64_t)1 << rank % 64;
}

struct peer *ranking_first(const struct ranking *self)
{
    for (size_t i = RANKING_WORDS; i-- > 0;) {
        if (self->used[i] == 0)
            continue;
        const size_t level = i * 64 + 63 - (size_t)__builtin_clzll(self->used[i]);
        return LIST_OBJECT(list_first(&self->levels[level]), struct peer, rank_link);
    }
    return NULL;
}
