/* See caching.h. This part: which calls, and life.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/store/caching.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/limits.h"
#include "client/store/caching_internal.h"

/* ---- Which calls ----------------------------------------------------------------------------- */

static bool request_is(const json_t *request, const char *op)
{
    const char *name = json_string_value(json_object_get(request, "op"));
    return name != NULL && strcmp(name, op) == 0;
}

/* Whether it has these members, beside those that all may have, and no other. */
static bool request_has_only(const json_t *request, const char *const *names, size_t count)
{
    static const char *const always[] = {"op", "request_id"};
    size_t known = 0;
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        known += json_object_get(request, always[i]) != NULL;
    for (size_t i = 0; i < count; i++)
        known += json_object_get(request, names[i]) != NULL;
    return known == json_object_size(request);
}

static bool request_is_item(const json_t *request, int64_t *id)
{
    static const char *const names[] = {"id"};
    const json_t *value = json_object_get(request, "id");
    *id = json_integer_value(value);
    return request_is(request, "lookup") && request_has_only(request, names, 1) && *id >= 1 &&
           *id <= ITEM_ID_MAX;
}

/* The place after which a page begins: the decimal digits of an id. */
static bool request_cursor(const json_t *value, int64_t *after)
{
    const char *text = json_string_value(value);
    *after = 0;
    if (value == NULL)
        return true;
    if (text == NULL || *text == '\0' || strlen(text) > CURSOR_BYTES_MAX)
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || *after > ITEM_ID_MAX)
            return false;
        *after = 10 * *after + (*text - '0');
    }
    return true;
}

/* What is not as it should be is for the store to refuse. */
static bool request_is_search(const json_t *request, struct cached_search *search)
{
    static const char *const names[] = {"topic", "cursor", "limit"};
    const json_t *topic = json_object_get(request, "topic");
    const json_t *limit = json_object_get(request, "limit");
    const size_t bytes = json_string_length(topic);
    search->topic = json_string_value(topic);
    search->limit = limit == NULL ? PAGE_DEFAULT : (size_t)json_integer_value(limit);
    return request_is(request, "search") && request_has_only(request, names, 3) && bytes >= 1 &&
           bytes <= TOPIC_BYTES_MAX && bytes == strlen(search->topic) && search->limit >= 1 &&
           search->limit <= PAGE_MAX &&
           request_cursor(json_object_get(request, "cursor"), &search->after);
}

bool caching_take(struct caching *self, struct call *call, const char *service)
{
    const json_t *request = call_request(call);
    struct cached_search search;
    int64_t id;
    if (strcmp(service, "catalog") != 0)
        return false;
    if (request_is_item(request, &id)) {
        cached_item_route(self, call, id);
        return true;
    }
    if (request_is_search(request, &search)) {
        cached_page_route(self, call, &search);
        return true;
    }
    return false;
}

/* ---- Without a call -------------------------------------------------------------------------- */

bool caching_item(struct caching *self, int64_t id, struct pygmy_cached *item)
{
    char text[CACHED_KEY_BYTES];
    struct leased_value value;
    if (id < 1 || !leased_cache_get(self->cache, cached_item_key(id, text), &value))
        return false;
    cached_item_read(&value, item);
    return true;
}

void caching_drop(struct caching *self, int64_t id)
{
    char text[CACHED_KEY_BYTES];
    leased_cache_drop(self->cache, id > 0 ? cached_item_key(id, text) : NULL);
}

void caching_count(const struct caching *self, struct leased_counts *counts)
{
    leased_cache_count(self->cache, counts);
}

/* ---- Life ------------------------------------------------------------------------------------ */

/* C1: read at each call, never a loop's cached time. */
static int64_t caching_now_ms(void *arg)
{
    (void)arg;
    return clock_ms();
}

static struct caching *caching_make(struct pygmy *store, const struct pygmy_options *options,
                                    const char *const *feeds, size_t feed_count)
{
    struct caching *self = alloc_zero(sizeof *self);
    uint64_t seed = 0;
    (void)!getrandom(&seed, sizeof seed, 0);
    self->store = store;
    self->cache = leased_cache_new(&(struct leased_cache_options){
        .entries_max = options->cache_entries,
        .bytes_max = options->cache_bytes > 0 ? options->cache_bytes : CACHE_BYTES,
        .hash_seed = seed,
        .now_ms = caching_now_ms,
    });
    self->fills = cached_fills_new(store, self->cache);
    self->spellings = cached_spellings_new(seed);
    self->lease = cached_lease_new(store, self->cache, feeds, feed_count);
    return self;
}

/* The feeds that were given, or those of the configuration. */
struct caching *caching_new(struct pygmy *store, const struct pygmy_options *options)
{
    const struct config *config = handle_config(store);
    const char *const *feeds = options->feeds;
    const char **found = NULL;
    size_t feed_count = feeds != NULL ? options->feed_count : 0;
    struct caching *self = NULL;
    if (feeds == NULL && config != NULL)
        feeds = found = config_feeds(config, &feed_count);
    if (options->cache_entries > 0 && feed_count > 0)
        self = caching_make(store, options, feeds, feed_count);
    free(found);
    return self;
}

void caching_leave(struct caching *self)
{
    cached_lease_leave(self->lease);
}

void caching_destroy(struct caching **self_p)
{
    struct caching *self = *self_p;
    if (self == NULL)
        return;
    cached_lease_destroy(&self->lease);
    cached_fills_destroy(&self->fills);
    cached_spellings_destroy(&self->spellings);
    leased_cache_destroy(&self->cache);
    free(self);
    *self_p = NULL;
}
