/* What customers do: search, look up, buy, look at orders, cancel.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "client/bridge/etag.h"
#include "client/bridge/exchange.h"
#include "client/bridge/handlers.h"

/* ---- Search ------------------------------------------------------------------------------- */

static struct http_reply *shop_on_items(struct exchange *exchange, json_t *body)
{
    return exchange_page_reply(exchange, body, "items");
}

/* Copy a parameter of the query, under the name that the store knows it by. */
static void shop_copy(const struct exchange *exchange, const char *parameter, json_t *request,
                      const char *member)
{
    const char *value = params_query_get(&exchange->query, parameter);
    if (value != NULL && value[0] != '\0')
        json_object_set_new(request, member, json_string(value));
}

/* Search with what @request holds already, which is taken over. */
static void shop_ask_search(struct exchange *exchange, json_t *request)
{
    exchange->cacheable = json_object_get(request, "topic") != NULL &&
                          json_object_get(request, "query") == NULL &&
                          json_object_get(request, "author") == NULL;
    if (exchange_page(exchange, request))
        exchange_ask(exchange, "catalog", request, shop_on_items);
    else
        json_decref(request);
}

void shop_search(struct exchange *exchange)
{
    json_t *request = json_pack("{s:s}", "op", "search");
    shop_copy(exchange, "q", request, "query");
    shop_copy(exchange, "topic", request, "topic");
    shop_copy(exchange, "author", request, "author");
    shop_ask_search(exchange, request);
}

void shop_search_topic(struct exchange *exchange)
{
    shop_ask_search(exchange, json_pack("{s:s, s:s}", "op", "search", "topic", exchange->text));
}

/* ---- Lookup ------------------------------------------------------------------------------- */

/* Tag the reply of an item; 304 when the client has just that: its Content-Length is that of the
 * item (RFC 9110, 8.6), the item itself is not sent. */
static struct http_reply *shop_tag(const struct exchange *exchange, struct http_reply *reply,
                                   const char *etag)
{
    const struct http_request *request = http_call_request(exchange->call);
    const struct http_header *known;

    if (reply->status != 200)
        return reply;
    http_reply_header(reply, "ETag", etag);
    for (size_t i = 0; (known = http_request_header(request, "If-None-Match", i)) != NULL; i++)
        if (etag_matches(known->value, known->value_len, etag))
            reply->status = 304;
    return reply;
}

static struct http_reply *shop_tag_version(const struct exchange *exchange,
                                           struct http_reply *reply, int64_t version)
{
    char etag[32];
    snprintf(etag, sizeof etag, "\"%" PRId64 "\"", version);
    return shop_tag(exchange, reply, etag);
}

static json_int_t shop_item_number(json_t *body, const char *name)
{
    return json_integer_value(json_object_get(json_object_get(body, "item"), name));
}

static struct http_reply *shop_on_item(struct exchange *exchange, json_t *body)
{
    return shop_tag_version(exchange, exchange_member_reply(exchange, 200, body, "item"),
                            shop_item_number(body, "version"));
}

/* A title may come to mean another item of the same version (one import makes many): here the tag
 * holds the id as well. */
static struct http_reply *shop_on_titled_item(struct exchange *exchange, json_t *body)
{
    char etag[64];
    snprintf(etag, sizeof etag, "\"%" JSON_INTEGER_FORMAT "-%" JSON_INTEGER_FORMAT "\"",
             shop_item_number(body, "version"), shop_item_number(body, "id"));
    return shop_tag(exchange, exchange_member_reply(exchange, 200, body, "item"), etag);
}

/* The reply of what is in memory: the same bytes as if the store had answered. */
static struct http_reply *shop_on_cached_item(const struct exchange *exchange,
                                              const struct pygmy_cached *item)
{
    if (item->present)
        return shop_tag_version(exchange,
                                exchange_text(200, alloc_copy(item->text, item->size), item->size),
                                item->version);
    json_t *body = json_pack("{s:o}", "error", json_loadb(item->text, item->size, 0, NULL));
    struct http_reply *reply = exchange_refused(exchange, ERR_NOT_FOUND, body);
    json_decref(body);
    return reply;
}

void shop_lookup(struct exchange *exchange)
{
    struct pygmy_cached item;
    if (pygmy_cached_item(exchange->bridge->store, exchange->number, &item)) {
        struct http_reply *reply = shop_on_cached_item(exchange, &item);
        exchange_tell_cache(exchange, reply, true);
        exchange_send(exchange, reply);
        return;
    }
    exchange->cacheable = true;
    exchange_ask(exchange, "catalog",
                 json_pack("{s:s, s:I}", "op", "lookup", "id", (json_int_t)exchange->number),
                 shop_on_item);
}

void shop_lookup_title(struct exchange *exchange)
{
    const char *title = params_query_get(&exchange->query, "title");
    if (title == NULL || title[0] == '\0') {
        exchange_refuse(exchange, ERR_INVALID,
                        zsys_sprintf("/lookup/ID or /lookup?title=TITLE is expected"));
        return;
    }
    exchange_ask(exchange, "catalog", json_pack("{s:s, s:s}", "op", "lookup", "title", title),
                 shop_on_titled_item);
}

/* ---- Buy ---------------------------------------------------------------------------------- */

static struct http_reply *shop_on_bought(struct exchange *exchange, json_t *body)
{
    struct http_reply *reply = exchange_member_reply(exchange, 201, body, "order");
    json_t *number = json_object_get(json_object_get(body, "order"), "order_number");
    char location[48];

    snprintf(location, sizeof location, "/orders/%" JSON_INTEGER_FORMAT,
             json_integer_value(number));
    if (reply->status == 201)
        http_reply_header(reply, "Location", location);
    return reply;
}

/* What is wrong with a member that must be a whole number, or NULL; the caller's to free(). */
static char *shop_check_number(const json_t *value, const char *where, const char *name,
                               json_int_t max)
{
    if (json_is_integer(value) && json_integer_value(value) >= 1 &&
        json_integer_value(value) <= max)
        return NULL;
    return zsys_sprintf("%s%s must be a whole number from 1 to %" JSON_INTEGER_FORMAT, where, name,
                        max);
}

/* What is wrong with a line of an order, or NULL; the caller's to free(). */
static char *shop_check_line(const json_t *line, size_t index)
{
    char where[48];
    const char *name;
    json_t *value;
    char *why = NULL;

    snprintf(where, sizeof where, "the body: lines[%zu].", index);
    if (!json_is_object(line))
        return zsys_sprintf("the body: lines[%zu] must be {\"id\", \"quantity\"}", index);
    json_object_foreach((json_t *)(uintptr_t)line, name, value)
    {
        if (strcmp(name, "id") != 0 && strcmp(name, "quantity") != 0)
            return zsys_sprintf("%s%s: there is no such member", where, name);
    }
    why = shop_check_number(json_object_get(line, "id"), where, "id", ITEM_ID_MAX);
    if (why == NULL)
        why = shop_check_number(json_object_get(line, "quantity"), where, "quantity", QUANTITY_MAX);
    return why;
}

/* What is wrong with the lines of an order, or NULL; the caller's to free(). */
static char *shop_check_lines(const json_t *lines)
{
    char *why = NULL;
    if (!json_is_array(lines) || json_array_size(lines) < 1 ||
        json_array_size(lines) > ORDER_LINES_MAX)
        return zsys_sprintf("the body: lines must be a list of 1 to %d lines", ORDER_LINES_MAX);
    for (size_t i = 0; why == NULL && i < json_array_size(lines); i++)
        why = shop_check_line(json_array_get(lines, i), i);
    return why;
}

/* Buy; @lines is taken over. */
static void shop_ask_buy(struct exchange *exchange, json_t *lines)
{
    exchange_ask(exchange, "order.leader", json_pack("{s:s, s:o}", "op", "buy", "lines", lines),
                 shop_on_bought);
}

void shop_buy(struct exchange *exchange)
{
    json_t *asked = json_object_get(exchange->body, "quantity");
    char *why =
        asked != NULL ? shop_check_number(asked, "the body: ", "quantity", QUANTITY_MAX) : NULL;
    if (why != NULL) {
        exchange_refuse(exchange, ERR_INVALID, why);
        return;
    }
    shop_ask_buy(exchange, json_pack("[{s:I, s:I}]", "id", (json_int_t)exchange->number, "quantity",
                                     asked != NULL ? json_integer_value(asked) : (json_int_t)1));
}

void shop_order_make(struct exchange *exchange)
{
    json_t *lines = json_object_get(exchange->body, "lines");
    char *why = shop_check_lines(lines);
    if (why != NULL)
        exchange_refuse(exchange, ERR_INVALID, why);
    else
        shop_ask_buy(exchange, json_incref(lines));
}

/* ---- Orders ------------------------------------------------------------------------------- */

static struct http_reply *shop_on_order(struct exchange *exchange, json_t *body)
{
    return exchange_member_reply(exchange, 200, body, "order");
}

static struct http_reply *shop_on_orders(struct exchange *exchange, json_t *body)
{
    return exchange_page_reply(exchange, body, "orders");
}

void shop_order(struct exchange *exchange)
{
    exchange_ask(exchange, "order",
                 json_pack("{s:s, s:I}", "op", "order", "number", (json_int_t)exchange->number),
                 shop_on_order);
}

void shop_orders(struct exchange *exchange)
{
    json_t *request = json_pack("{s:s}", "op", "orders");
    if (exchange_page(exchange, request))
        exchange_ask(exchange, "order", request, shop_on_orders);
    else
        json_decref(request);
}

void shop_order_cancel(struct exchange *exchange)
{
    exchange_ask(exchange, "order.leader",
                 json_pack("{s:s, s:I}", "op", "cancel", "number", (json_int_t)exchange->number),
                 shop_on_order);
}
