/* See caching_internal.h. This part: lookups by id.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "client/store/caching_internal.h"

/* A lookup that waits for a fill. */
struct item_reader {
    struct cached_waiter waiter; /* the first, so that it leads to the reader */
    struct caching *caching;
    struct call *call;
    int64_t id;
};

static void reader_free(void *arg)
{
    struct item_reader *self = arg;
    cached_waiter_leave(&self->waiter);
    free(self);
}

/* A body of its own for each: what a caller does to one is nobody else's business. */
static void reader_done(struct cached_waiter *waiter, const struct pygmy_reply *reply,
                        const struct leased_value *value)
{
    struct item_reader *self = (struct item_reader *)waiter;
    if (value == NULL && cached_waiter_may_retry(waiter, reply, call_left_ms(self->call))) {
        cached_item_route(self->caching, self->call, self->id);
    } else {
        struct pygmy_reply own = *reply;
        own.body = json_deep_copy(reply->body);
        call_settle(self->call, &own);
    }
    reader_free(self);
}

static void item_settle(struct call *call, const struct leased_value *value)
{
    struct pygmy_cached item;
    cached_item_read(value, &item);
    call_settle(call, &(struct pygmy_reply){.code = item.present ? OK : ERR_NOT_FOUND,
                                            .body = cached_item_body(&item),
                                            .cached = true});
}

/* What is not in memory is read: one's own way, or with others. */
void cached_item_route(struct caching *self, struct call *call, int64_t id)
{
    char text[CACHED_KEY_BYTES];
    const char *key = cached_item_key(id, text);
    struct leased_value value;
    if (leased_cache_get(self->cache, key, &value)) {
        item_settle(call, &value);
        return;
    }
    struct item_reader *reader = alloc_zero(sizeof *reader);
    const struct cached_read read = {
        .key = key,
        .id = id,
        .request_id = json_string_value(json_object_get(call_request(call), "request_id")),
        .left_ms = call_left_ms(call)};
    *reader =
        (struct item_reader){.waiter.done = reader_done, .caching = self, .call = call, .id = id};
    if (read.left_ms > 0 && cached_fills_miss(self->fills, &read, &reader->waiter) != LEASED_PASS) {
        call_hold(call, reader_free, reader);
        return;
    }
    free(reader);
    call_pass(call);
}
