/* See catalog_client.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/order/catalog_client.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/client.h"
#include "broker/bus/err.h"
#include "services/order/render.h"

struct catalog_client {
    struct bus_client *bus;
    struct log *log;
    char *secret; /* or NULL */
    catalog_done_fn *done;
    void *arg;
    zlistx_t *calls; /* under way; owned */
};

struct call {
    struct catalog_client *client;
    enum catalog_call what;
    uint64_t number;
    void *handle;              /* its place among the calls */
    struct basket_line *lines; /* of a RESERVE; owned */
    size_t line_count;
};

static void call_free(void **item)
{
    struct call *self = *item;

    free(self->lines);
    free(self);
    *item = NULL;
}

static const char *call_name(enum catalog_call what)
{
    static const char *const names[] = {"reserve", "undo", "settle", "close", "unsettled"};

    return names[what];
}

struct catalog_client *catalog_client_new(zloop_t *loop,
                                          const struct catalog_client_options *options)
{
    struct catalog_client *self = alloc_zero(sizeof *self);
    struct bus_client_options bus = {
        .name = options->name,
        .endpoints = options->endpoints,
        .endpoint_count = options->endpoint_count,
    };

    self->log = options->log;
    self->done = options->done;
    self->arg = options->arg;
    if (options->secret != NULL)
        self->secret = alloc_copy(options->secret, strlen(options->secret));
    self->calls = zlistx_new();
    zlistx_set_destructor(self->calls, call_free);
    self->bus = bus_client_new(loop, &bus);
    return self;
}

void catalog_client_destroy(struct catalog_client **self_p)
{
    struct catalog_client *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    bus_client_destroy(&self->bus);
    zlistx_destroy(&self->calls);
    free(self->secret);
    free(self);
}

/* ---- Answers ------------------------------------------------------------- */

/* A code that the body contradicts can't be believed: nothing is concluded from it. */
static int call_code(int code, const json_t *body)
{
    bool error = json_object_get(body, "error") != NULL;

    if (code == OK && (!json_is_object(body) || error))
        return ERR_UNKNOWN;
    return code;
}

/* Whether a grant is of what was asked for. One of anything else must not get into the log, where it
 * would be an order that nobody can read. */
static bool call_grants_lines(const struct call *self, const json_t *body)
{
    const json_t *lines = json_object_get(body, "lines");

    if (json_array_size(lines) != self->line_count)
        return false;
    for (size_t i = 0; i < self->line_count; i++) {
        const json_t *line = json_array_get(lines, i);
        if (json_integer_value(json_object_get(line, "id")) != self->lines[i].id ||
            json_integer_value(json_object_get(line, "quantity")) != self->lines[i].quantity)
            return false;
    }
    return true;
}

static void call_answered(void *arg, int code, const uint8_t *data, size_t size)
{
    struct call *call = arg;
    struct catalog_client *self = call->client;
    enum catalog_call what = call->what;
    uint64_t number = call->number;
    json_t *body = NULL;
    int believed;

    if (size > 0)
        body = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    believed = call_code(code, body);
    if (believed == OK && what == CATALOG_RESERVE && !call_grants_lines(call, body))
        believed = ERR_UNKNOWN;
    if (believed != code)
        log_write(self->log, LOG_LEVEL_ERROR, "the catalog's answer makes no sense",
                  LOG_TEXT("op", call_name(what)));
    zlistx_delete(self->calls, call->handle);
    self->done(self->arg, what, number, believed, body);
    json_decref(body);
}

/* ---- Calls --------------------------------------------------------------- */

/* Send @request, which is taken over. @granted: the lines that a grant must be of, or NULL. */
static void catalog_client_send(struct catalog_client *self, enum catalog_call what,
                                uint64_t number, const char *service, json_t *request,
                                const struct basket *granted)
{
    struct call *call = alloc_zero(sizeof *call);
    char *text;
    int code;

    assert(request != NULL);
    json_object_set_new(request, "op", json_string(call_name(what)));
    if (self->secret != NULL)
        json_object_set_new(request, "secret", json_string(self->secret));
    *call = (struct call){.client = self, .what = what, .number = number};
    if (granted != NULL) {
        call->line_count = granted->count;
        call->lines = alloc_zero(granted->count * sizeof call->lines[0]);
        memcpy(call->lines, granted->lines, granted->count * sizeof call->lines[0]);
    }
    call->handle = zlistx_add_end(self->calls, call);
    text = json_dumps(request, JSON_COMPACT);
    assert(text != NULL);
    code = bus_client_request(self->bus, service, text, strlen(text), SAGA_CALL_MS, call_answered,
                              call);
    free(text);
    json_decref(request);
    if (code != OK) {
        zlistx_delete(self->calls, call->handle);
        self->done(self->arg, what, number, code, NULL);
    }
}

static void catalog_client_lines(struct catalog_client *self, enum catalog_call what,
                                 uint64_t number, const char *key, int64_t stamp,
                                 const struct basket *basket)
{
    json_t *request = json_pack("{s:s, s:I, s:o}", "key", key, "stamp", (json_int_t)stamp, "lines",
                                render_basket(basket));

    catalog_client_send(self, what, number, "catalog.leader", request,
                        what == CATALOG_RESERVE ? basket : NULL);
}

void catalog_client_reserve(struct catalog_client *self, uint64_t number, const char *key,
                            int64_t stamp, const struct basket *basket)
{
    catalog_client_lines(self, CATALOG_RESERVE, number, key, stamp, basket);
}

void catalog_client_undo(struct catalog_client *self, uint64_t number, const char *key,
                         int64_t stamp, const struct basket *basket)
{
    catalog_client_lines(self, CATALOG_UNDO, number, key, stamp, basket);
}

static void catalog_client_keys(struct catalog_client *self, enum catalog_call what,
                                uint64_t number, char *const *keys, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(keys[i]));
    catalog_client_send(self, what, number, "catalog.leader", json_pack("{s:o}", "keys", list),
                        NULL);
}

void catalog_client_settle(struct catalog_client *self, uint64_t number, char *const *keys,
                           size_t count)
{
    catalog_client_keys(self, CATALOG_SETTLE, number, keys, count);
}

void catalog_client_close(struct catalog_client *self, uint64_t number, char *const *keys,
                          size_t count)
{
    catalog_client_keys(self, CATALOG_CLOSE, number, keys, count);
}

void catalog_client_scan(struct catalog_client *self, uint64_t number)
{
    /* How old a grant is only the leader can tell: the log time of another replica is that of the last
     * entry, and stands still as long as nobody writes. */
    catalog_client_send(self, CATALOG_SCAN, number, "catalog.leader",
                        json_pack("{s:i, s:i}", "older_ms", SCAN_OLDER_MS, "limit", SCAN_ROWS_MAX),
                        NULL);
}
