/* What the operator does with items: add, edit, remove, move stock, look at the movements.
 *
 * What the members hold is for the catalog to check; that they are known was checked before.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "broker/bus/err.h"
#include "client/bridge/etag.h"
#include "client/bridge/exchange.h"
#include "client/bridge/handlers.h"

/* The item of a change's answer, with its new version as the ETag. */
static struct http_reply *items_reply(struct exchange *exchange, int status, json_t *body)
{
    struct http_reply *reply = exchange_member_reply(exchange, status, body, "item");
    json_t *version = json_object_get(json_object_get(body, "item"), "version");
    char etag[32];

    snprintf(etag, sizeof etag, "\"%" JSON_INTEGER_FORMAT "\"", json_integer_value(version));
    if (reply->status == status)
        http_reply_header(reply, "ETag", etag);
    return reply;
}

static struct http_reply *items_on_changed(struct exchange *exchange, json_t *body)
{
    return items_reply(exchange, 200, body);
}

static struct http_reply *items_on_added(struct exchange *exchange, json_t *body)
{
    struct http_reply *reply = items_reply(exchange, 201, body);
    json_t *id = json_object_get(json_object_get(body, "item"), "id");
    char location[48];

    snprintf(location, sizeof location, "/lookup/%" JSON_INTEGER_FORMAT, json_integer_value(id));
    if (reply->status == 201)
        http_reply_header(reply, "Location", location);
    return reply;
}

static struct http_reply *items_on_removed(struct exchange *exchange, json_t *body)
{
    struct http_reply *reply = http_reply_new(204);
    http_reply_header(reply, "Idempotency-Key", exchange->key);
    if (json_is_true(json_object_get(body, "replayed")))
        http_reply_header(reply, "Idempotency-Replayed", "true");
    return reply;
}

static struct http_reply *items_on_movements(struct exchange *exchange, json_t *body)
{
    return exchange_page_reply(exchange, body, "movements");
}

/* The operation @op with the members of the body, and the path's id where it has one. */
static json_t *items_request(const struct exchange *exchange, const char *op)
{
    json_t *request = json_pack("{s:s}", "op", op);
    json_object_update(request, exchange->body);
    if (exchange->route->parameter == PARAMETER_NUMBER)
        json_object_set_new(request, "id", json_integer(exchange->number));
    return request;
}

/* Put the version that If-Match demands into @request. Returns 0, or a code: then nothing that
 * matches could be there, or the header is missing although @required. */
static int items_demand_version(const struct exchange *exchange, bool required, json_t *request)
{
    const struct http_request *http = http_call_request(exchange->call);
    const struct http_header *header = http_request_header(http, "If-Match", 0);
    int64_t version;

    if (header == NULL)
        return required ? ERR_VERSION_REQUIRED : 0;
    if (http_request_count(http, "If-Match") > 1)
        return ERR_VERSION_CONFLICT;
    switch (etag_demanded(header->value, header->value_len, &version)) {
    case ETAG_VERSION: json_object_set_new(request, "version", json_integer(version)); return 0;
    case ETAG_ANY: return 0;
    case ETAG_NONE: break;
    }
    return ERR_VERSION_CONFLICT;
}

static void items_ask_with_version(struct exchange *exchange, const char *op, bool required,
                                   exchange_answer_fn *answer)
{
    json_t *request = items_request(exchange, op);
    int rc = items_demand_version(exchange, required, request);

    if (rc == 0) {
        exchange_ask(exchange, "catalog.leader", request, answer);
        return;
    }
    json_decref(request);
    exchange_refuse(exchange, rc,
                    zsys_sprintf("If-Match must hold the ETag of the item as GET /lookup/%" PRId64
                                 " told it, or \"*\"",
                                 exchange->number));
}

void items_add(struct exchange *exchange)
{
    exchange_ask(exchange, "catalog.leader", items_request(exchange, "item_add"), items_on_added);
}

void items_edit(struct exchange *exchange)
{
    items_ask_with_version(exchange, "item_edit", true, items_on_changed);
}

void items_remove(struct exchange *exchange)
{
    items_ask_with_version(exchange, "item_remove", false, items_on_removed);
}

void items_stock(struct exchange *exchange)
{
    exchange_ask(exchange, "catalog.leader", items_request(exchange, "stock"), items_on_changed);
}

void items_movements(struct exchange *exchange)
{
    json_t *request = items_request(exchange, "movements");
    if (exchange_page(exchange, request))
        exchange_ask(exchange, "catalog", request, items_on_movements);
    else
        json_decref(request);
}
