/* The state of a cluster.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/status.h"

#include <czmq.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/bytes.h"
#include "broker/bus/limits.h"

#define STATUS_WHY_BYTES 160

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
    if (json_array_size(json_object_get(answer, "members")) > 0)
        json_object_set(row, "members", json_object_get(answer, "members"));
    return row;
}

static bool status_is(const json_t *row, const char *member, const char *value)
{
    const char *text = json_string_value(json_object_get(row, member));
    return text != NULL && strcmp(text, value) == 0;
}

/* A number of the row, 0 when it has none. */
static int64_t status_number(const json_t *row, const char *member)
{
    return json_integer_value(json_object_get(row, member));
}

static bool status_is_known(const json_t *row)
{
    return !status_is(row, "state", "unknown");
}

/* ---- Groups ---------------------------------------------------------------------- */

struct status_group {
    size_t voters;
    size_t answering;      /* of the voters */
    const json_t *leader;  /* the one of the highest term; NULL: none answers */
    const json_t *members; /* as the leader has them, else who has heard most; NULL: nobody says */
};

/* Find the leader, and the members. One that was deposed and has not heard of it yet says "leader",
 * too. */
static void status_find(const json_t *rows, const char *kind, struct status_group *group)
{
    const json_t *most = NULL;
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        if (!status_is(row, "kind", kind))
            continue;
        if (status_is(row, "role", "leader") &&
            (group->leader == NULL ||
             status_number(row, "term") > status_number(group->leader, "term")))
            group->leader = row;
        if (json_object_get(row, "members") != NULL &&
            (most == NULL ||
             status_number(row, "commit_index") > status_number(most, "commit_index")))
            most = row;
    }
    group->members = json_object_get(group->leader != NULL ? group->leader : most, "members");
}

/* The member that a process is, NULL: none. */
static const json_t *status_member(const struct status_group *group, const json_t *row)
{
    size_t i;
    json_t *member;
    json_array_foreach(group->members, i, member)
    {
        if (status_is(member, "name", json_string_value(json_object_get(row, "name"))))
            return member;
    }
    return NULL;
}

/* Whether a process has a vote. Where nobody says who belongs to the group, all do that say nothing
 * else. */
static bool status_votes(const struct status_group *group, const json_t *row)
{
    if (group->members == NULL)
        return !status_is(row, "role", "learner");
    const json_t *member = status_member(group, row);
    return member != NULL && status_is(member, "role", "voter");
}

/* A voter may stand in no configuration, and counts all the same. */
static size_t status_voters(const struct status_group *group)
{
    size_t voters = 0;
    size_t i;
    json_t *member;
    json_array_foreach(group->members, i, member)
    {
        voters += status_is(member, "role", "voter");
    }
    return voters;
}

static struct status_group status_group_of(const json_t *rows, const char *kind)
{
    struct status_group group = {0};
    size_t i;
    json_t *row;
    status_find(rows, kind, &group);
    group.voters = status_voters(&group);
    json_array_foreach(rows, i, row)
    {
        if (!status_is(row, "kind", kind) || !status_votes(&group, row))
            continue;
        group.voters += group.members == NULL;
        group.answering += status_is_known(row);
    }
    return group;
}

static bool status_group_works(const struct status_group *group)
{
    return group->voters == 0 || (group->leader != NULL && group->answering * 2 > group->voters);
}

static const char *const status_groups[] = {"catalog", "order"};

#define STATUS_GROUPS (sizeof status_groups / sizeof status_groups[0])

void status_compare(json_t *rows)
{
    for (size_t at = 0; at < STATUS_GROUPS; at++) {
        struct status_group group = status_group_of(rows, status_groups[at]);
        size_t i;
        json_t *row;
        json_array_foreach(rows, i, row)
        {
            if (group.leader == NULL || !status_is(row, "kind", status_groups[at]) ||
                !json_is_integer(json_object_get(row, "applied_index")))
                continue;
            int64_t lag =
                status_number(group.leader, "commit_index") - status_number(row, "applied_index");
            if (lag > status_number(row, "lag"))
                json_object_set_new(row, "lag", json_integer(lag));
        }
    }
}

/* ---- The verdict ----------------------------------------------------------------- */

/* Whether a replica is known to be in no group: removed, or not yet added. */
static bool status_is_outside(const json_t *rows, const json_t *row)
{
    for (size_t at = 0; at < STATUS_GROUPS; at++) {
        struct status_group group = status_group_of(rows, status_groups[at]);
        if (status_is(row, "kind", status_groups[at]) && group.members != NULL)
            return status_member(&group, row) == NULL;
    }
    return false;
}

/* What is wrong with a process, or NULL. What drains, or is in a state that is not known here, does
 * not serve. */
static const char *status_why(const json_t *rows, const json_t *row, char *why)
{
    const char *state = json_string_value(json_object_get(row, "state"));
    int64_t lag = status_number(row, "lag");
    int64_t contact_ms = status_number(row, "last_contact_ms");

    if (!status_is_known(row))
        snprintf(why, STATUS_WHY_BYTES, "does not answer");
    else if (strcmp(state, "up") != 0)
        snprintf(why, STATUS_WHY_BYTES, "is %.64s", state);
    else if (status_is(row, "role", "learner") && json_is_integer(json_object_get(row, "term")) &&
             status_number(row, "term") == 0)
        snprintf(why, STATUS_WHY_BYTES, "waits to be added to its group");
    else if (status_is_outside(rows, row))
        snprintf(why, STATUS_WHY_BYTES, "is not in its group");
    else if (lag > STATUS_LAG_MAX)
        snprintf(why, STATUS_WHY_BYTES, "is %" PRId64 " entries behind", lag);
    else if (contact_ms > STATUS_CONTACT_MS_MAX)
        snprintf(why, STATUS_WHY_BYTES, "heard its leader %" PRId64 " ms ago", contact_ms);
    else
        return NULL;
    return why;
}

enum status_verdict status_verdict_of(const json_t *rows)
{
    char why[STATUS_WHY_BYTES];
    size_t i;
    json_t *row;
    for (size_t at = 0; at < STATUS_GROUPS; at++) {
        struct status_group group = status_group_of(rows, status_groups[at]);
        if (!status_group_works(&group))
            return STATUS_NO_MAJORITY;
    }
    json_array_foreach(rows, i, row)
    {
        if (status_why(rows, row, why) != NULL)
            return STATUS_DEGRADED;
    }
    return STATUS_HEALTHY;
}

/* ---- The sentence ---------------------------------------------------------------- */

/* Add to a list that commas separate. */
static void status_add(struct bytes_writer *text, size_t *count, const char *subject,
                       const char *why)
{
    char *part = zsys_sprintf("%s%s %s", (*count)++ > 0 ? ", " : "", subject, why);
    bytes_put_raw(text, part, strlen(part));
    free(part);
}

static void status_add_groups(struct bytes_writer *text, size_t *count, const json_t *rows)
{
    for (size_t at = 0; at < STATUS_GROUPS; at++) {
        struct status_group group = status_group_of(rows, status_groups[at]);
        char subject[STATUS_WHY_BYTES];
        bool few = group.answering * 2 <= group.voters;
        if (status_group_works(&group))
            continue;
        if (few)
            snprintf(subject, sizeof subject, "%zu of %zu %s replicas", group.answering,
                     group.voters, status_groups[at]);
        else
            snprintf(subject, sizeof subject, "the %s replicas", status_groups[at]);
        status_add(text, count, subject, few ? "answer" : "have no leader");
    }
}

/* The processes that something is wrong with: the first few by name, the others by number. */
static void status_add_processes(struct bytes_writer *text, size_t *count, const json_t *rows)
{
    size_t named = 0;
    size_t more = 0;
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        char why[STATUS_WHY_BYTES];
        if (status_why(rows, row, why) == NULL)
            continue;
        if (named < STATUS_NAMED_MAX)
            status_add(text, count, json_string_value(json_object_get(row, "name")), why);
        else
            more++;
        named++;
    }
    if (more > 0) {
        char subject[32];
        snprintf(subject, sizeof subject, "and %zu", more);
        status_add(text, count, subject, "more");
    }
}

char *status_sentence(const json_t *rows)
{
    static const char *const beginnings[] = {
        "healthy: every process is up",
        "degraded: the store works, but ",
        "no majority: ",
    };
    enum status_verdict verdict = status_verdict_of(rows);
    struct bytes_writer text = {0};
    size_t count = 0;

    bytes_put_raw(&text, beginnings[verdict], strlen(beginnings[verdict]));
    if (verdict == STATUS_NO_MAJORITY)
        status_add_groups(&text, &count, rows);
    if (verdict != STATUS_HEALTHY)
        status_add_processes(&text, &count, rows);
    char *sentence = alloc_copy(text.data, text.size);
    bytes_writer_close(&text);
    return sentence;
}
