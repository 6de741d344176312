/* A doubly linked list through its members: no allocation, and removal from the middle without a
 * search, which is what every path of a message through the broker needs.
 *
 * A link is a member of what is listed. It is zeroed, or linked into one list.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BROKER_LIST_H
#define PYGMY_BROKER_LIST_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

struct list_link {
    struct list_link *next; /* NULL: not linked */
    struct list_link *prev;
};

struct list {
    struct list_link ends; /* next is the first, prev the last; both itself when empty */
};

/* The object of @type whose member @member is the link at @at; @at is not NULL. */
#define LIST_OBJECT(at, type, member) ((type *)(void *)((char *)(at)-offsetof(type, member)))

static inline void list_init(struct list *self)
{
    self->ends.next = self->ends.prev = &self->ends;
}

static inline bool list_linked(const struct list_link *link)
{
    return link->next != NULL;
}

static inline bool list_empty(const struct list *self)
{
    return self->ends.next == &self->ends;
}

static inline void list_insert(struct list_link *link, struct list_link *prev,
                               struct list_link *next)
{
    assert(!list_linked(link));
    link->prev = prev;
    link->next = next;
    prev->next = link;
    next->prev = link;
}

static inline void list_add_first(struct list *self, struct list_link *link)
{
    list_insert(link, &self->ends, self->ends.next);
}

static inline void list_add_last(struct list *self, struct list_link *link)
{
    list_insert(link, self->ends.prev, &self->ends);
}

/* Take @link out of its list; nothing happens to one that is in none. */
static inline void list_remove(struct list_link *link)
{
    if (!list_linked(link))
        return;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = NULL;
}

/* The first or last link, or NULL. */
static inline struct list_link *list_first(const struct list *self)
{
    /* The analyzer doesn't see that what was freed was taken out of its list before. */
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    return list_empty(self) ? NULL : self->ends.next;
}

static inline struct list_link *list_last(const struct list *self)
{
    return list_empty(self) ? NULL : self->ends.prev;
}

/* The link after @link, or NULL. */
static inline struct list_link *list_after(const struct list *self, const struct list_link *link)
{
    return link->next == &self->ends ? NULL : link->next;
}

#endif
