/* See scan.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/order/scan.h"

#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/bytes.h"
#include "broker/bus/err.h"
#include "broker/bus/key.h"
#include "services/order/render.h"

struct scan {
    json_t *body; /* a reference: the keys point into it */
    struct saga_scan found;
    struct saga_grant *grants; /* with content and grant of their own */
    const char **closable;
};

static bool scan_key_valid(const json_t *key)
{
    return json_is_string(key) && key_valid(json_string_value(key), json_string_length(key));
}

/* ---- Grants --------------------------------------------------------------- */

static enum saga_grant_order grant_order(struct orders *orders, const struct saga_grant *row)
{
    struct order order;
    bool same;

    if (!orders_by_key(orders, row->key, &order))
        return SAGA_UNORDERED;
    same = order.content_size == row->content.size &&
           memcmp(order.content, row->content.data, row->content.size) == 0;
    order_close(&order);
    return same ? SAGA_ORDERED : SAGA_ORDERED_OTHERWISE;
}

static struct saga_bytes bytes_of(struct bytes_writer *writer)
{
    return (struct saga_bytes){writer->data, writer->size};
}

/* The content of a grant's buy is that of its lines: what was asked, in sums for each item. */
static int scan_read_grant(struct orders *orders, const json_t *object, struct saga_grant *row)
{
    struct bytes_writer content = {0}, granted = {0};
    const json_t *key = json_object_get(object, "key");
    const json_t *stamp = json_object_get(object, "stamp");
    struct basket basket;
    struct grant grant;
    int code = render_read_grant(object, &grant);

    if (code == OK && scan_key_valid(key) && json_is_integer(stamp)) {
        grant_basket(&grant, &basket);
        basket_write(&basket, &content);
        grant_write(&grant, &granted);
        *row = (struct saga_grant){
            .key = json_string_value(key),
            .content = bytes_of(&content),
            .stamp = json_integer_value(stamp),
            .grant = bytes_of(&granted),
        };
        row->order = grant_order(orders, row);
    } else {
        code = ERR_INVALID;
    }
    grant_close(&grant);
    return code;
}

static void scan_read_grants(struct scan *self, struct orders *orders, const json_t *list,
                             struct log *log)
{
    json_t *object;
    size_t i;

    self->grants = alloc_zero((json_array_size(list) + 1) * sizeof self->grants[0]);
    json_array_foreach(list, i, object)
    {
        struct saga_grant *row = &self->grants[self->found.grant_count];

        if (scan_read_grant(orders, object, row) != OK) {
            log_write(log, LOG_LEVEL_ERROR, "an unsettled grant makes no sense",
                      LOG_UINT("row", i));
            continue;
        }
        if (row->order == SAGA_ORDERED_OTHERWISE)
            log_write(log, LOG_LEVEL_ERROR, "a grant's key has an order of other content",
                      LOG_TEXT("key", row->key));
        self->found.grant_count++;
    }
    self->found.grants = self->grants;
}

/* ---- Releases ------------------------------------------------------------- */

/* Whether the order of a released grant is cancelled. While it is cancelling its own flow goes on;
 * no order, or an active one, has no release, for UNDO comes after CANCELLING. */
static bool release_closable(struct orders *orders, const char *key)
{
    struct order order;
    bool cancelled;

    if (!orders_by_key(orders, key, &order))
        return false;
    cancelled = order.state == ORDER_CANCELLED;
    order_close(&order);
    return cancelled;
}

static void scan_read_releases(struct scan *self, struct orders *orders, const json_t *list)
{
    json_t *key;
    size_t i;

    self->closable = alloc_zero((json_array_size(list) + 1) * sizeof self->closable[0]);
    json_array_foreach(list, i, key) if (scan_key_valid(key) &&
                                         release_closable(orders, json_string_value(key)))
        self->closable[self->found.closable_count++] = json_string_value(key);
    self->found.closable = self->closable;
}

/* ---- The whole ------------------------------------------------------------ */

int scan_read(struct orders *orders, const json_t *body, struct log *log, struct scan **self_p)
{
    const json_t *grants = json_object_get(body, "grants");
    const json_t *releases = json_object_get(body, "releases");
    struct scan *self;

    if (!json_is_array(grants) || !json_is_array(releases))
        return ERR_INVALID;
    self = alloc_zero(sizeof *self);
    self->body = json_incref((json_t *)(uintptr_t)body);
    scan_read_grants(self, orders, grants, log);
    scan_read_releases(self, orders, releases);
    *self_p = self;
    return OK;
}

const struct saga_scan *scan_found(const struct scan *self)
{
    return &self->found;
}

void scan_destroy(struct scan **self_p)
{
    struct scan *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->found.grant_count; i++) {
        free((void *)(uintptr_t)self->grants[i].content.data);
        free((void *)(uintptr_t)self->grants[i].grant.data);
    }
    free(self->grants);
    free(self->closable);
    json_decref(self->body);
    free(self);
}

/* ---- Orders that are cancelling -------------------------------------------- */

struct listing {
    struct saga *saga;
    size_t count;
};

static bool listing_add(void *arg, const struct order *order)
{
    struct listing *self = arg;
    struct saga_listed row = {
        .cancel_key = order->cancel_key,
        .order_key = order->key,
        .number = order->number,
        .stamp = order->cancel_stamp,
        .content = {order->content, order->content_size},
    };

    saga_listed(self->saga, &row, 1);
    return ++self->count < SCAN_ROWS_MAX;
}

void scan_list(struct orders *orders, struct saga *saga)
{
    struct listing listing = {.saga = saga};

    orders_cancelling(orders, listing_add, &listing);
}
