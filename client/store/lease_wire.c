/* See lease_wire.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/store/lease_wire.h"

#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"

json_t *lease_wire_request(const struct leased_ask *ask, const char *cluster)
{
    static const char *const names[] = {
        [LEASED_OPEN] = "lease_open", [LEASED_SYNC] = "lease_sync", [LEASED_RENEW] = "lease_renew"};
    json_t *request = json_pack("{ss}", "op", names[ask->type]);
    if (ask->type == LEASED_OPEN)
        return request;
    json_object_set_new(request, "cluster", json_string(cluster));
    json_object_set_new(request, "session", json_integer((json_int_t)ask->session));
    json_object_set_new(request, "term", json_integer((json_int_t)ask->term));
    json_object_set_new(request, "epoch", json_integer((json_int_t)ask->epoch));
    json_object_set_new(request, "ask", json_integer((json_int_t)ask->ask));
    if (ask->type == LEASED_RENEW)
        json_object_set_new(request, "acked", json_integer((json_int_t)ask->acked));
    return request;
}

json_t *lease_wire_close(uint64_t session, const char *cluster)
{
    return json_pack("{ss sI ss}", "op", "lease_close", "session", (json_int_t)session, "cluster",
                     cluster);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static bool wire_number(const json_t *json, const char *name, uint64_t *number)
{
    const json_t *value = json_object_get(json, name);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *number = (uint64_t)json_integer_value(value);
    return true;
}

/* "keys", an array of texts; or "all": true. */
static bool wire_keys(const json_t *json, struct lease_said *said)
{
    const json_t *keys = json_object_get(json, "keys");
    const size_t count = json_array_size(keys);
    said->message.all = json_is_true(json_object_get(json, "all"));
    if (said->message.all == json_is_array(keys))
        return false;
    said->keys = alloc_zero((count + 1) * sizeof *said->keys);
    for (size_t i = 0; i < count; i++) {
        said->keys[i] = json_string_value(json_array_get(keys, i));
        if (said->keys[i] == NULL)
            return false;
    }
    said->message.keys = said->keys;
    said->message.count = count;
    return true;
}

static bool wire_type(const json_t *json, enum leased_news *type)
{
    static const char *const names[] = {
        [LEASED_INVALIDATE] = "invalidate", [LEASED_RELEASE] = "release", [LEASED_BEAT] = "beat"};
    const char *name = json_string_value(json_object_get(json, "type"));
    for (size_t i = 0; name != NULL && i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        *type = (enum leased_news)i;
        return true;
    }
    return false;
}

static bool wire_read_news(const json_t *json, struct lease_said *said)
{
    struct leased_message *message = &said->message;
    said->cluster = json_string_value(json_object_get(json, "cluster"));
    return said->cluster != NULL && wire_type(json, &message->type) &&
           wire_number(json, "term", &message->term) && wire_number(json, "seq", &message->seq) &&
           (message->type == LEASED_BEAT || wire_keys(json, said)) &&
           (message->type != LEASED_RELEASE || wire_number(json, "index", &message->index));
}

static bool wire_read_grant(const json_t *json, struct lease_said *said)
{
    uint64_t remaining_ms;
    if (!wire_number(json, "term", &said->message.term) ||
        !wire_number(json, "epoch", &said->epoch) || !wire_number(json, "ask", &said->ask) ||
        !wire_number(json, "remaining_ms", &remaining_ms))
        return false;
    said->remaining_ms = (int64_t)remaining_ms;
    return true;
}

static bool wire_read_answer(const json_t *json, enum leased_ask_type type, struct lease_said *said)
{
    if (type == LEASED_RENEW)
        return wire_read_grant(json, said);
    if (type == LEASED_SYNC)
        return wire_read_grant(json, said) && wire_number(json, "seq", &said->message.seq) &&
               wire_number(json, "index", &said->message.index) && wire_keys(json, said);
    said->cluster = json_string_value(json_object_get(json, "cluster"));
    return said->cluster != NULL && wire_number(json, "session", &said->session) &&
           said->session > 0 && wire_number(json, "term", &said->message.term);
}

static bool wire_read(bool read, struct lease_said *said)
{
    if (!read)
        lease_said_close(said);
    return read;
}

bool lease_wire_news(const json_t *json, struct lease_said *said)
{
    *said = (struct lease_said){0};
    return wire_read(wire_read_news(json, said), said);
}

bool lease_wire_answer(const json_t *json, enum leased_ask_type type, struct lease_said *said)
{
    *said = (struct lease_said){0};
    return wire_read(wire_read_answer(json, type, said), said);
}

void lease_said_close(struct lease_said *self)
{
    free(self->keys);
    *self = (struct lease_said){0};
}
