/* The state of a cluster.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static const char *const status_members[] = {
    "role", "state",           "pid",    "term", "log_index", "commit_index", "applied_index",
    "lag",  "last_contact_ms", "version"};

const char *status_verdict_name(enum status_verdict verdict)
{
    switch (verdict) {
    case STATUS_HEALTHY: return "healthy";
    case STATUS_DEGRADED: return "degraded";
    case STATUS_NO_MAJORITY: return "no majority";
    }
    return "";
}

json_t *status_row(const char *name, const char *kind, const json_t *answer)
{
    json_t *row = json_pack("{ss ss}", "name", name, "kind", kind);
    for (size_t i = 0; i < sizeof status_members / sizeof *status_members; i++) {
        json_t *value = json_object_get(answer, status_members[i]);
        json_object_set_new(row, status_members[i],
                            value != NULL ? json_incref(value) : json_null());
    }
    if (!json_is_string(json_object_get(row, "state")))
        json_object_set_new(row, "state", json_string("unknown"));
    return row;
}

static bool status_is(const json_t *row, const char *member, const char *value)
{
    const char *text = json_string_value(json_object_get(row, member));
    return text != NULL && strcmp(text, value) == 0;
}

static bool status_is_known(const json_t *row)
{
    return !status_is(row, "state", "unknown");
}

/* What drains, or is in a state that is not known here, does not serve. */
static bool status_is_well(const json_t *row)
{
    return status_is(row, "state", "up");
}

/* Whether a group has a leader, and a majority of its voters answers. */
static bool status_group_works(const json_t *rows, const char *kind)
{
    size_t voters = 0;
    size_t answering = 0;
    bool leader = false;
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        if (!status_is(row, "kind", kind) || status_is(row, "role", "learner"))
            continue;
        voters++;
        answering += status_is_known(row);
        leader = leader || status_is(row, "role", "leader");
    }
    return voters == 0 || (leader && answering * 2 > voters);
}

enum status_verdict status_verdict_of(const json_t *rows)
{
    size_t i;
    json_t *row;
    if (!status_group_works(rows, "catalog") || !status_group_works(rows, "order"))
        return STATUS_NO_MAJORITY;
    json_array_foreach(rows, i, row)
    {
        if (!status_is_well(row))
            return STATUS_DEGRADED;
    }
    return STATUS_HEALTHY;
}
