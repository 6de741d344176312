/* What the leader tells all caches: messages of the feed (docs/protocol.md).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "services/catalog/leases_internal.h"

static const char *leases_word(enum lease_action_type type)
{
    switch (type) {
    case LEASE_INVALIDATE: return "invalidate";
    case LEASE_RELEASE: return "release";
    default: assert(type == LEASE_BEAT); return "beat";
    }
}

void leases_put_keys(json_t *object, const struct lease_keys *keys)
{
    json_t *names;

    if (keys->all) {
        json_object_set_new(object, "all", json_true());
        return;
    }
    names = json_array();
    for (size_t i = 0; i < keys->count; i++) {
        /* Texts have come as JSON, or in a log that holds nothing else: a name that is left out
         * would be one that somebody keeps. */
        const int rc = json_array_append_new(names, json_string(keys->keys[i]));
        assert(rc == 0);
    }
    json_object_set_new(object, "keys", names);
}

void leases_publish(struct leases *self, const struct lease_action *action)
{
    json_t *message = json_pack("{s:s,s:s,s:I,s:s,s:I}", "group", self->group, "cluster",
                                self->uuid, "term", (json_int_t)action->term, "type",
                                leases_word(action->type), "seq", (json_int_t)action->seq);

    if (action->type != LEASE_BEAT)
        leases_put_keys(message, &action->keys);
    if (action->type == LEASE_RELEASE)
        json_object_set_new(message, "index", json_integer((json_int_t)action->index));
    char *text = json_dumps(message, JSON_COMPACT);
    replica_publish(self->replica, FEED_LEASES, text, strlen(text));
    metric_add(self->series.messages, 1);
    free(text);
    json_decref(message);
}
