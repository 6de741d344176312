/* See cached_fills.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/store/cached_fills.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "broker/bus/number_table.h"
#include "client/store/handle.h"

struct cached_fills {
    struct pygmy *store;
    struct leased_cache *cache;
    zlistx_t *list;      /* all of them: owns them */
    zhashx_t *by_token;  /* those that may be kept */
    size_t waiter_count; /* at most CACHE_WAITERS_MAX */
};

/* A read under way. */
struct fill {
    struct cached_fills *fills;
    uint64_t token;               /* 0: nothing is kept of it */
    struct cached_waiter waiters; /* the ring's own place */
    char *key;                    /* or NULL */
    int64_t id;
    bool is_list;
    void *handle; /* of its place in the list */
};

/* ---- Waiters --------------------------------------------------------------------------------- */

static void waiter_join(struct cached_waiter *self, struct fill *fill, bool joined)
{
    struct cached_waiter *ring = &fill->waiters;
    assert(self->before == NULL && fill->fills->waiter_count < CACHE_WAITERS_MAX);
    self->fills = fill->fills;
    self->joined = joined;
    self->after = ring;
    self->before = ring->before;
    self->before->after = self;
    ring->before = self;
    self->fills->waiter_count++;
}

void cached_waiter_leave(struct cached_waiter *self)
{
    if (self->before == NULL)
        return;
    self->before->after = self->after;
    self->after->before = self->before;
    self->before = self->after = NULL;
    self->fills->waiter_count--;
}

bool cached_waiter_may_retry(const struct cached_waiter *self, const struct pygmy_reply *reply,
                             int64_t left_ms)
{
    return self->joined && left_ms > 0 && err_is_retryable(reply->code);
}

/* ---- Fills ----------------------------------------------------------------------------------- */

static void fill_free(void **item)
{
    struct fill *fill = *item;
    free(fill->key);
    free(fill);
    *item = NULL;
}

static void fill_keep(struct fill *self, const struct leased_value *value)
{
    if (self->token == 0)
        return;
    zhashx_delete(self->fills->by_token, &self->token);
    leased_cache_fill(self->fills->cache, self->token, value);
}

/* The answer is kept, if it may be, before anybody hears of it: who is told may ask again at once.
 * One who waits may begin another read, but of this one nobody knows any more. */
static void fill_done(void *arg, const struct pygmy_reply *reply)
{
    struct fill *self = arg;
    size_t size = 0;
    void *bytes = self->is_list ? cached_list_value(reply, self->key, &size)
                                : cached_item_value(reply, self->id, &size);
    const struct leased_value value = {bytes, size};
    fill_keep(self, bytes != NULL ? &value : NULL);
    while (self->waiters.after != &self->waiters) {
        struct cached_waiter *waiter = self->waiters.after;
        cached_waiter_leave(waiter);
        waiter->done(waiter, reply, bytes != NULL ? &value : NULL);
    }
    free(bytes);
    zlistx_delete(self->fills->list, self->handle);
}

static struct fill *fill_new(struct cached_fills *fills, const struct cached_read *read,
                             uint64_t token)
{
    struct fill *self = alloc_zero(sizeof *self);
    self->fills = fills;
    self->token = token;
    self->waiters.before = self->waiters.after = &self->waiters;
    self->key = read->key != NULL ? alloc_copy(read->key, strlen(read->key)) : NULL;
    self->id = read->id;
    self->is_list = read->topic != NULL;
    self->handle = zlistx_add_end(fills->list, self);
    if (token != 0)
        (void)zhashx_insert(fills->by_token, &self->token, self);
    return self;
}

/* An item is read at any replica. A list is the leader's: another replica may fold case otherwise,
 * and count items in that the leader files elsewhere. */
static void fill_start(struct fill *self, const struct cached_read *read, uint64_t watermark)
{
    json_t *request = self->is_list
                          ? json_pack("{ss ss}", "op", "topic", "topic", read->topic)
                          : json_pack("{ss sI}", "op", "lookup", "id", (json_int_t)read->id);
    if (self->token != 0)
        json_object_set_new(request, "applied", json_integer((json_int_t)watermark));
    handle_start(self->fills->store,
                 &(struct pygmy_call){.service = self->is_list ? "catalog.leader" : "catalog",
                                      .request = request,
                                      .request_id = read->request_id,
                                      .timeout_ms = read->left_ms,
                                      .done = fill_done,
                                      .arg = self});
}

/* ---- The public face ------------------------------------------------------------------------- */

struct cached_fills *cached_fills_new(struct pygmy *store, struct leased_cache *cache)
{
    struct cached_fills *self = alloc_zero(sizeof *self);
    self->store = store;
    self->cache = cache;
    self->list = zlistx_new();
    zlistx_set_destructor(self->list, fill_free);
    self->by_token = number_table_new();
    return self;
}

void cached_fills_destroy(struct cached_fills **self_p)
{
    struct cached_fills *self = *self_p;
    if (self == NULL)
        return;
    zhashx_destroy(&self->by_token);
    zlistx_destroy(&self->list);
    free(self);
    *self_p = NULL;
}

enum leased_miss cached_fills_miss(struct cached_fills *self, const struct cached_read *read,
                                   struct cached_waiter *waiter)
{
    uint64_t token, watermark;
    assert(read->left_ms > 0);
    if (self->waiter_count == CACHE_WAITERS_MAX)
        return LEASED_PASS;
    const enum leased_miss miss = leased_cache_miss(self->cache, read->key, &token, &watermark);
    if (miss == LEASED_JOIN) {
        struct fill *fill = zhashx_lookup(self->by_token, &token);
        assert(fill != NULL);
        waiter_join(waiter, fill, true);
    } else if (miss == LEASED_FILL) {
        struct fill *fill = fill_new(self, read, token);
        waiter_join(waiter, fill, false);
        fill_start(fill, read, watermark);
    }
    return miss;
}

bool cached_fills_ask(struct cached_fills *self, const struct cached_read *read,
                      struct cached_waiter *waiter)
{
    if (self->waiter_count == CACHE_WAITERS_MAX)
        return false;
    struct fill *fill = fill_new(self, read, 0);
    waiter_join(waiter, fill, false);
    fill_start(fill, read, 0);
    return true;
}
