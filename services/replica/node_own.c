/* The operations of node.NAME: what a process says of itself.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <unistd.h>

#include "broker/bus/err.h"
#include "broker/bus/store_json.h"
#include "services/replica/digest_marks.h"
#include "services/replica/membership.h"
#include "services/replica/node_internal.h"

/* These take no members. Whether the request has some all the same, and has been refused. */
static bool node_own_refused(struct node_call **call, json_t *request)
{
    if (store_json_is_bare(request))
        return false;
    node_refuse(call, ERR_INVALID, STORE_JSON_BARE, NULL);
    return true;
}

/* The name of the group's leader, null while it is not known. */
static json_t *node_own_leader(const struct node *self, uint64_t id)
{
    const struct member *leader = membership_find(replica_membership(self->replica), id);
    char name[MEMBER_ADDRESS_BYTES_MAX + 1];

    return leader != NULL ? json_string(member_word(leader, MEMBER_NAME, name)) : json_null();
}

/* The group, as this replica's log has it. */
static json_t *node_own_members(const struct node *self)
{
    const struct membership *membership = replica_membership(self->replica);
    json_t *members = json_array();

    for (size_t i = 0; i < membership->count; i++)
        json_array_append_new(members, node_member_json(&membership->members[i]));
    return members;
}

/* A number that may not be known. */
static json_t *node_own_number(int64_t number)
{
    return number >= 0 ? json_integer(number) : json_null();
}

static void node_own_status(void *arg, struct node_call *call, json_t *request)
{
    struct node *node = arg;
    struct replica_status replica;

    if (node_own_refused(&call, request))
        return;
    replica_status(node->replica, &replica);
    json_t *status = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:s, s:o, s:o}", "name",
        node->member->name, "kind", config_kind_name(node->member->kind), "role", replica.role,
        "state", node->stage == NODE_UP ? "up" : "draining", "pid", (json_int_t)getpid(), "term",
        (json_int_t)replica.term, "log_index", (json_int_t)replica.last_index, "commit_index",
        (json_int_t)replica.commit_index, "applied_index", (json_int_t)replica.applied_index, "lag",
        (json_int_t)(replica.commit_index - replica.applied_index), "last_contact_ms",
        node_own_number(replica.last_contact_ms), "version", PYGMY_VERSION, "leader",
        node_own_leader(node, replica.leader), "members", node_own_members(node));

    if (node->service->status != NULL)
        node->service->status(node->object, status);
    node_answer(&call, status);
}

static void node_own_metrics(void *arg, struct node_call *call, json_t *request)
{
    struct node *node = arg;
    struct bytes_writer text = {0};

    if (node_own_refused(&call, request))
        return;
    metrics_write(node->metrics, &text);
    node_answer(&call, json_pack("{s:s%}", "text", (const char *)text.data, text.size));
    bytes_writer_close(&text);
}

static json_t *node_own_hex(uint64_t number)
{
    return json_sprintf("%016" PRIx64, number);
}

static json_t *node_own_marks(const struct digest_marks *marks)
{
    json_t *list = json_array();

    for (size_t i = 0; i < marks->count; i++)
        json_array_append_new(list, json_pack("[I, o]", (json_int_t)marks->marks[i].index,
                                              node_own_hex(marks->marks[i].digest)));
    return list;
}

/* What the tables here hold, in one number: now, and at marks that other replicas have as well. */
static void node_own_digest(void *arg, struct node_call *call, json_t *request)
{
    struct node *node = arg;
    uint64_t digest = 0;

    if (node_own_refused(&call, request))
        return;
    if (!replica_digest(node->replica, &digest)) {
        node_refuse(&call, ERR_NOT_IMPLEMENTED, "there are no tables with a digest here", NULL);
        return;
    }
    node_answer(&call, json_pack("{s:s, s:s, s:I, s:o, s:o}", "name", node->member->name, "group",
                                 config_kind_name(node->member->kind), "applied_index",
                                 (json_int_t)replica_applied_index(node->replica), "digest",
                                 node_own_hex(digest), "marks",
                                 node_own_marks(replica_digest_marks(node->replica))));
}

static void node_own_audit(void *arg, struct node_call *call, json_t *request)
{
    struct node *node = arg;

    if (node_own_refused(&call, request))
        return;
    if (node->service->audit != NULL)
        node->service->audit(node->object, call, request);
    else
        node_refuse(&call, ERR_NOT_IMPLEMENTED, "there is nothing here that must add up", NULL);
}

static void node_own_ping(void *arg, struct node_call *call, json_t *request)
{
    (void)arg;
    if (!node_own_refused(&call, request))
        node_answer(&call, json_object());
}

const struct node_operation node_own_operations[] = {
    {.name = "status", .kind = NODE_READ, .run = node_own_status},
    {.name = "metrics", .kind = NODE_READ, .run = node_own_metrics},
    {.name = "digest", .kind = NODE_READ, .run = node_own_digest},
    {.name = "audit", .kind = NODE_READ, .tables = true, .run = node_own_audit},
    {.name = "changes", .kind = NODE_READ, .tables = true, .run = node_changes_answer},
    {.name = "ping", .kind = NODE_READ, .run = node_own_ping},
};
const size_t node_own_operation_count = sizeof node_own_operations / sizeof node_own_operations[0];
