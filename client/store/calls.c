/* The calls of the store: each makes the request of its operation and starts it.
 *
 * Text that is not UTF-8 makes jansson return NULL for the whole object; the
 * call then ends in ERR_INVALID (pygmy_start).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/store/pygmy.h"

#include <stdio.h>

/* "node." and a node's name, which config.h bounds by NODE_NAME_BYTES_MAX. */
#define NODE_SERVICE_BYTES 128

static void calls_read(struct pygmy *self, const char *service, json_t *request,
                       pygmy_done_fn *done, void *arg)
{
    pygmy_start(self, &(struct pygmy_call){
                          .service = service, .request = request, .done = done, .arg = arg});
}

/* @key NULL: pygmy_start() makes one. A key that is no text makes the request none (NULL). */
static void calls_write(struct pygmy *self, const char *service, json_t *request, const char *key,
                        pygmy_done_fn *done, void *arg)
{
    if (request != NULL && key != NULL &&
        json_object_set_new(request, "key", json_string(key)) != 0) {
        json_decref(request);
        request = NULL;
    }
    pygmy_start(
        self, &(struct pygmy_call){
                  .service = service, .request = request, .write = true, .done = done, .arg = arg});
}

void pygmy_lookup(struct pygmy *self, int64_t id, pygmy_done_fn *done, void *arg)
{
    calls_read(self, "catalog", json_pack("{ss sI}", "op", "lookup", "id", (json_int_t)id), done,
               arg);
}

void pygmy_lookup_title(struct pygmy *self, const char *title, pygmy_done_fn *done, void *arg)
{
    calls_read(self, "catalog", json_pack("{ss ss}", "op", "lookup", "title", title), done, arg);
}

void pygmy_search(struct pygmy *self, const struct pygmy_search *search, pygmy_done_fn *done,
                  void *arg)
{
    json_t *request =
        json_pack("{ss ss* ss* ss* ss*}", "op", "search", "topic", search->topic, "query",
                  search->query, "author", search->author, "cursor", search->cursor);
    if (request != NULL && search->limit != 0)
        json_object_set_new(request, "limit", json_integer(search->limit));
    calls_read(self, "catalog", request, done, arg);
}

void pygmy_buy(struct pygmy *self, const struct pygmy_line *lines, size_t line_count,
               const char *key, pygmy_done_fn *done, void *arg)
{
    json_t *array = json_array();
    for (size_t i = 0; i < line_count; i++)
        json_array_append_new(array, json_pack("{sI sI}", "id", (json_int_t)lines[i].id, "quantity",
                                               (json_int_t)lines[i].quantity));
    calls_write(self, "order.leader", json_pack("{ss so}", "op", "buy", "lines", array), key, done,
                arg);
}

void pygmy_order(struct pygmy *self, int64_t number, pygmy_done_fn *done, void *arg)
{
    calls_read(self, "order", json_pack("{ss sI}", "op", "order", "number", (json_int_t)number),
               done, arg);
}

void pygmy_orders(struct pygmy *self, const char *cursor, int limit, pygmy_done_fn *done, void *arg)
{
    json_t *request = json_pack("{ss ss*}", "op", "orders", "cursor", cursor);
    if (request != NULL && limit != 0)
        json_object_set_new(request, "limit", json_integer(limit));
    calls_read(self, "order", request, done, arg);
}

void pygmy_cancel(struct pygmy *self, int64_t number, const char *key, pygmy_done_fn *done,
                  void *arg)
{
    calls_write(self, "order.leader",
                json_pack("{ss sI}", "op", "cancel", "number", (json_int_t)number), key, done, arg);
}

void pygmy_stock(struct pygmy *self, int64_t id, int64_t change, const char *reason,
                 const char *key, pygmy_done_fn *done, void *arg)
{
    json_t *request = json_pack("{ss sI sI ss*}", "op", "stock", "id", (json_int_t)id, "change",
                                (json_int_t)change, "reason", reason);
    calls_write(self, "catalog.leader", request, key, done, arg);
}

/* @fields is taken over and becomes the request. */
static void calls_item(struct pygmy *self, const char *op, json_t *fields, const char *key,
                       pygmy_done_fn *done, void *arg)
{
    if (fields != NULL)
        json_object_set_new(fields, "op", json_string(op));
    calls_write(self, "catalog.leader", fields, key, done, arg);
}

void pygmy_item_add(struct pygmy *self, json_t *fields, const char *key, pygmy_done_fn *done,
                    void *arg)
{
    calls_item(self, "item_add", fields, key, done, arg);
}

void pygmy_item_edit(struct pygmy *self, json_t *fields, const char *key, pygmy_done_fn *done,
                     void *arg)
{
    calls_item(self, "item_edit", fields, key, done, arg);
}

void pygmy_item_remove(struct pygmy *self, json_t *fields, const char *key, pygmy_done_fn *done,
                       void *arg)
{
    calls_item(self, "item_remove", fields, key, done, arg);
}

void pygmy_import(struct pygmy *self, json_t *fields, const char *key, pygmy_done_fn *done,
                  void *arg)
{
    calls_item(self, "import", fields, key, done, arg);
}

void pygmy_node_status(struct pygmy *self, const char *name, pygmy_done_fn *done, void *arg)
{
    char service[NODE_SERVICE_BYTES];
    snprintf(service, sizeof service, "node.%s", name);
    calls_read(self, service, json_pack("{ss}", "op", "status"), done, arg);
}
