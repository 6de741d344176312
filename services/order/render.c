/* See render.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/order/render.h"

#include <assert.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"

static json_t *render_line(const struct grant_line *line)
{
    return json_pack("{s:I, s:s, s:I, s:I, s:I, s:I}", "id", (json_int_t)line->id, "title",
                     line->title, "quantity", (json_int_t)line->quantity, "price_cents",
                     (json_int_t)line->price_cents, "stock_left", (json_int_t)line->stock_left,
                     "version", (json_int_t)line->version);
}

static json_t *render_time(int64_t wall_ms)
{
    char text[CLOCK_TEXT_BYTES];

    return wall_ms != 0 ? json_string(clock_text(wall_ms, text)) : json_null();
}

static json_t *render(const struct order *order, enum order_state state, int64_t cancelled_ms)
{
    struct bytes_reader reader;
    struct grant grant;
    json_t *lines = json_array();
    json_t *object;

    bytes_reader_init(&reader, order->grant, order->grant_size);
    grant_read(&grant, &reader);
    assert(bytes_reader_done(&reader)); /* it was checked before it was applied */
    for (size_t i = 0; i < grant.count; i++)
        json_array_append_new(lines, render_line(&grant.lines[i]));
    object =
        json_pack("{s:I, s:s, s:o, s:I, s:s, s:o, s:o}", "order_number", (json_int_t)order->number,
                  "state", order_state_name(state), "lines", lines, "total_cents",
                  (json_int_t)grant.total_cents, "currency", grant.currency, "created_at",
                  render_time(order->created_ms), "cancelled_at", render_time(cancelled_ms));
    grant_close(&grant);
    assert(object != NULL);
    return object;
}

json_t *render_order(const struct order *order)
{
    return render(order, order->state, order->cancelled_ms);
}

json_t *render_order_made(const struct order *order)
{
    return render(order, ORDER_ACTIVE, 0);
}

json_t *render_basket(const struct basket *basket)
{
    json_t *lines = json_array();

    for (size_t i = 0; i < basket->count; i++)
        json_array_append_new(lines, json_pack("{s:I, s:I}", "id", (json_int_t)basket->lines[i].id,
                                               "quantity", (json_int_t)basket->lines[i].quantity));
    return lines;
}

void render_read_basket(struct fields *fields, struct basket *basket)
{
    json_t *lines = fields_array(fields, "lines", 1, ORDER_LINES_MAX);

    basket->count = json_array_size(lines);
    for (size_t i = 0; i < basket->count; i++) {
        struct fields line;
        fields_init_element(&line, json_array_get(lines, i), "lines", i);
        fields_integer(&line, "id", 1, ITEM_ID_MAX, &basket->lines[i].id);
        fields_integer(&line, "quantity", 1, QUANTITY_MAX, &basket->lines[i].quantity);
        (void)fields_end(&line);
        fields_fail_as(fields, &line);
    }
    if (fields->code == OK && basket_normalise(basket) != OK)
        fields_fail(fields, "lines", "must not sum up to more than %d of one item", QUANTITY_MAX);
}

static int render_read_line(json_t *object, struct grant_line *line)
{
    json_int_t id, quantity, price_cents, stock_left, version;
    const char *title;

    if (json_unpack(object, "{s:I, s:s, s:I, s:I, s:I, s:I}", "id", &id, "title", &title,
                    "quantity", &quantity, "price_cents", &price_cents, "stock_left", &stock_left,
                    "version", &version) != 0)
        return ERR_INVALID;
    *line = (struct grant_line){
        .id = id,
        .quantity = quantity,
        .price_cents = price_cents,
        .stock_left = stock_left,
        .version = version,
        .title = alloc_copy(title, strlen(title)),
    };
    return OK;
}

int render_read_grant(const json_t *object, struct grant *grant)
{
    const json_t *lines = json_object_get(object, "lines");
    const json_t *total = json_object_get(object, "total_cents");
    const char *currency = json_string_value(json_object_get(object, "currency"));

    *grant = (struct grant){0};
    if (json_array_size(lines) > ORDER_LINES_MAX || currency == NULL ||
        strlen(currency) > CURRENCY_BYTES_MAX)
        return ERR_INVALID;
    memcpy(grant->currency, currency, strlen(currency) + 1);
    for (; grant->count < json_array_size(lines); grant->count++)
        if (render_read_line(json_array_get(lines, grant->count), &grant->lines[grant->count]) !=
            OK)
            return ERR_INVALID;
    if (grant_check(grant) != OK ||
        (total != NULL && json_integer_value(total) != grant->total_cents))
        return ERR_INVALID;
    return OK;
}
