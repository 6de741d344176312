/* See caching_internal.h. This part: searches by topic alone.
 *
 * A page is made of the topic's list of ids and of the items, each of which comes out of memory, or
 * from a fill that is asked for or joined. If one of all these may not be kept now, or more items
 * are missing than CACHE_PAGE_FILLS_MAX, the whole page is asked for as if there were no cache:
 * that is one request, and the fills, up to so many, are there for the next time.
 *
 *   the key of the topic's spelling is not known   the leader tells it, and the list
 *   known, the list not there                      a fill of the list
 *   the list                                       fills of the items that are not there, if few
 *   all items                                      the end
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "client/store/caching_internal.h"

/* A row of a page, and who waits for it. */
struct page_row {
    struct cached_waiter waiter; /* the first, so that it leads to the row */
    struct page *page;
    int64_t id;
    /* What memory has of it, while page_begin_rows() runs; no data: nothing. */
    struct leased_value found;
    json_t *item; /* the short form; NULL: there is no such item, or not yet */
    size_t bytes; /* what the store counts it as in a page */
};

struct page {
    struct cached_waiter waiter; /* for the list; the first, so that it leads to the page */
    struct caching *caching;
    struct call *call;
    struct cached_search search; /* its topic is that of the call's request */
    uint64_t term;               /* in which the leader was asked for the list */
    bool asks_key;               /* and for the key */
    struct page_row *rows;
    size_t row_count;
    size_t missing; /* rows that are waited for */
    bool more;      /* of the list, behind the rows */
    bool cached;    /* all so far came from memory */
    int attempts;   /* of what was asked, the most */
};

static void page_free(void *arg)
{
    struct page *self = arg;
    cached_waiter_leave(&self->waiter);
    for (size_t i = 0; i < self->row_count; i++) {
        cached_waiter_leave(&self->rows[i].waiter);
        json_decref(self->rows[i].item);
    }
    free(self->rows);
    free(self);
}

static void page_pass(struct page *self)
{
    struct call *call = self->call;
    page_free(self);
    call_pass(call);
}

/* Another's read failed for its lack of time, or one's own has: begin anew, or end so. What says
 * something else than was asked for is for the store itself to answer. */
static void page_fail(struct page *self, const struct cached_waiter *waiter,
                      const struct pygmy_reply *reply)
{
    struct call *call = self->call;
    if (cached_waiter_may_retry(waiter, reply, call_left_ms(call))) {
        struct caching *caching = self->caching;
        const struct cached_search search = self->search;
        page_free(self);
        cached_page_route(caching, call, &search);
    } else if (err_is_retryable(reply->code)) {
        struct pygmy_reply own = *reply;
        own.body = json_deep_copy(reply->body);
        page_free(self);
        call_settle(call, &own);
    } else {
        page_pass(self);
    }
}

/* ---- The end --------------------------------------------------------------------------------- */

/* The place of the last row that was looked at is where the next page begins. Without a row there
 * was none: who asks for at least one gets one, if there is any. */
static json_t *page_next(const struct page *self, size_t count)
{
    char cursor[CURSOR_BYTES_MAX + 1];
    if (count == self->row_count && !self->more)
        return json_null();
    assert(count > 0);
    snprintf(cursor, sizeof cursor, "%" PRId64, self->rows[count - 1].id);
    return json_string(cursor);
}

/* As the store does it: in rising order, no more than fits into an answer. */
static void page_finish(struct page *self)
{
    json_t *items = json_array();
    size_t bytes = 0;
    size_t i = 0;
    for (; i < self->row_count; i++) {
        const struct page_row *row = &self->rows[i];
        if (row->item == NULL)
            continue;
        bytes += row->bytes;
        if (bytes > PAGE_BYTES_MAX && json_array_size(items) > 0)
            break;
        json_array_append(items, row->item);
    }
    struct call *call = self->call;
    const struct pygmy_reply reply = {
        .code = OK,
        .body = json_pack("{so so}", "items", items, "next", page_next(self, i)),
        .attempts = self->attempts,
        .cached = self->cached};
    page_free(self);
    call_settle(call, &reply);
}

/* ---- Items ----------------------------------------------------------------------------------- */

/* What a list shows of an item (docs/protocol.md, "Shapes"). */
static json_t *row_short(const json_t *item)
{
    static const char *const names[] = {"id", "title", "authors", "topic", "price_cents"};
    json_t *self = json_object();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        json_object_set(self, names[i], json_object_get(item, names[i]));
    return self;
}

/* So that a page ends where one of the store does. */
static size_t row_bytes(const json_t *item)
{
    return PAGE_ROW_BYTES + 2 * (json_string_length(json_object_get(item, "title")) +
                                 json_string_length(json_object_get(item, "authors")) +
                                 json_string_length(json_object_get(item, "topic")) +
                                 json_string_length(json_object_get(item, "isbn")));
}

static void row_take(struct page_row *self, const struct leased_value *value)
{
    struct pygmy_cached item;
    cached_item_read(value, &item);
    if (!item.present)
        return;
    json_t *body = cached_item_body(&item);
    self->item = row_short(json_object_get(body, "item"));
    self->bytes = row_bytes(json_object_get(body, "item"));
    json_decref(body);
}

static void row_done(struct cached_waiter *waiter, const struct pygmy_reply *reply,
                     const struct leased_value *value)
{
    struct page_row *self = (struct page_row *)waiter;
    struct page *page = self->page;
    if (value == NULL) {
        page_fail(page, waiter, reply);
        return;
    }
    row_take(self, value);
    if (page->attempts < reply->attempts)
        page->attempts = reply->attempts;
    if (--page->missing == 0)
        page_finish(page);
}

static struct cached_read page_read(const struct page *self)
{
    const json_t *request = call_request(self->call);
    return (struct cached_read){.request_id =
                                    json_string_value(json_object_get(request, "request_id")),
                                .left_ms = call_left_ms(self->call)};
}

/* Returns whether memory knows of the row's item. */
static bool row_find(struct page_row *self)
{
    char text[CACHED_KEY_BYTES];
    return leased_cache_get(self->page->caching->cache, cached_item_key(self->id, text),
                            &self->found);
}

/* Returns whether the row waits for its item. */
static bool row_ask(struct page_row *self)
{
    char text[CACHED_KEY_BYTES];
    struct page *page = self->page;
    struct cached_read read = page_read(page);
    read.key = cached_item_key(self->id, text);
    read.id = self->id;
    if (read.left_ms <= 0 ||
        cached_fills_miss(page->caching->fills, &read, &self->waiter) == LEASED_PASS)
        return false;
    page->missing++;
    return true;
}

/* The ids of this page, out of the list, which is gone when the first item is asked for. */
static void page_make_rows(struct page *self, const struct leased_value *list)
{
    const size_t count = cached_list_count(list);
    size_t first = 0;
    for (size_t end = count; first < end;) {
        const size_t middle = first + (end - first) / 2;
        if (cached_list_id(list, middle) <= self->search.after)
            first = middle + 1;
        else
            end = middle;
    }
    self->row_count = count - first < self->search.limit ? count - first : self->search.limit;
    self->more = first + self->row_count < count;
    self->rows = alloc_zero((self->row_count + 1) * sizeof *self->rows);
    for (size_t i = 0; i < self->row_count; i++)
        self->rows[i] = (struct page_row){
            .waiter.done = row_done, .page = self, .id = cached_list_id(list, first + i)};
}

/* Look for the rows in memory, up to the first that is one too many to be asked for. Returns how
 * many are missing of those. */
static size_t page_find_rows(struct page *self)
{
    size_t missing = 0;
    for (size_t i = 0; i < self->row_count && missing <= CACHE_PAGE_FILLS_MAX; i++)
        missing += !row_find(&self->rows[i]);
    return missing;
}

/* Returns whether those that are missing are waited for, or as many as may be. */
static bool page_ask_rows(struct page *self)
{
    for (size_t i = 0; i < self->row_count && self->missing < CACHE_PAGE_FILLS_MAX; i++)
        if (self->rows[i].found.data == NULL && !row_ask(&self->rows[i]))
            return false;
    return true;
}

static void page_take_rows(struct page *self)
{
    for (size_t i = 0; i < self->row_count; i++) {
        struct page_row *row = &self->rows[i];
        if (row->found.data != NULL)
            row_take(row, &row->found);
        row->found.data = NULL;
    }
}

/* What is in memory is made into rows, which takes longest, only when the page needs them: with a
 * row that is just being sold it passes. */
static void page_begin_rows(struct page *self, const struct leased_value *list)
{
    page_make_rows(self, list);
    const size_t missing = page_find_rows(self);
    self->cached = self->cached && missing == 0;
    if (!page_ask_rows(self) || missing > CACHE_PAGE_FILLS_MAX) {
        page_pass(self);
        return;
    }
    page_take_rows(self);
    if (missing == 0)
        page_finish(self);
}

/* ---- The list -------------------------------------------------------------------------------- */

static uint64_t page_term(const struct page *self)
{
    struct leased_counts counts;
    leased_cache_count(self->caching->cache, &counts);
    return counts.term;
}

/* What the leader said counts in the term in which it was asked: a later one may fold case
 * otherwise. Of a fill, whoever it was that thought to lead, that the list is too long to be
 * one. */
static void page_learn(const struct page *self, const struct pygmy_reply *reply)
{
    const char *key = json_string_value(json_object_get(reply->body, "key"));
    if (reply->code == ERR_TOO_LARGE)
        key = CACHED_NO_KEY;
    else if (reply->code != OK)
        key = NULL;
    if (key != NULL && self->term == page_term(self))
        cached_spellings_learn(self->caching->spellings, self->term, self->search.topic, key);
}

static void list_done(struct cached_waiter *waiter, const struct pygmy_reply *reply,
                      const struct leased_value *value)
{
    struct page *self = (struct page *)waiter;
    if (self->asks_key || reply->code == ERR_TOO_LARGE)
        page_learn(self, reply);
    self->attempts = reply->attempts;
    if (value != NULL)
        page_begin_rows(self, value);
    else
        page_fail(self, waiter, reply);
}

static struct page *page_new(struct caching *caching, struct call *call,
                             const struct cached_search *search, uint64_t term)
{
    struct page *self = alloc_zero(sizeof *self);
    *self = (struct page){.waiter.done = list_done,
                          .caching = caching,
                          .call = call,
                          .search = *search,
                          .term = term,
                          .cached = true};
    call_hold(call, page_free, self);
    return self;
}

/* The list of a known key. */
static void page_begin_list(struct page *self, const char *key)
{
    struct leased_value list;
    struct cached_read read = page_read(self);
    if (leased_cache_get(self->caching->cache, key, &list)) {
        page_begin_rows(self, &list);
        return;
    }
    read.key = key;
    read.topic = self->search.topic;
    self->cached = false;
    if (read.left_ms <= 0 ||
        cached_fills_miss(self->caching->fills, &read, &self->waiter) == LEASED_PASS)
        page_pass(self);
}

static void page_ask_leader(struct page *self)
{
    struct cached_read read = page_read(self);
    read.topic = self->search.topic;
    self->asks_key = true;
    self->cached = false;
    if (read.left_ms <= 0 || !cached_fills_ask(self->caching->fills, &read, &self->waiter))
        page_pass(self);
}

void cached_page_route(struct caching *self, struct call *call, const struct cached_search *search)
{
    struct leased_counts counts;
    leased_cache_count(self->cache, &counts);
    const char *key = cached_spellings_find(self->spellings, counts.term, search->topic);
    if (counts.lease_left_ms == 0 || (key != NULL && strcmp(key, CACHED_NO_KEY) == 0)) {
        call_pass(call);
        return;
    }
    struct page *page = page_new(self, call, search, counts.term);
    if (key != NULL)
        page_begin_list(page, key);
    else
        page_ask_leader(page);
}
