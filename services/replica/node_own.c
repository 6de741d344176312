/* The operations of node.NAME: what a process says of itself.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "broker/bus/err.h"
#include "broker/bus/store_json.h"
#include "services/replica/node_internal.h"

/* These take no members. Whether the request has some all the same, and has been refused. */
static bool node_own_refused(struct node_call **call, json_t *request)
{
    if (store_json_is_bare(request))
        return false;
    node_refuse(call, ERR_INVALID, STORE_JSON_BARE, NULL);
    return true;
}

static void node_own_status(void *arg, struct node_call *call, json_t *request)
{
    struct node *node = arg;
    const struct replica *replica = node->replica;

    if (node_own_refused(&call, request))
        return;
    replica_index commit = replica_commit_index(replica);
    replica_index applied = replica_applied_index(replica);
    bool leader = replica_is_leader(replica);
    json_t *status = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "name", node->member->name,
        "kind", config_kind_name(node->member->kind), "role", leader ? "leader" : "follower",
        "state", node->drain_deadline_ms == 0 ? "up" : "draining", "pid", (json_int_t)getpid(),
        "term", (json_int_t)replica_current_term(replica), "log_index",
        (json_int_t)replica_last_index(replica), "commit_index", (json_int_t)commit,
        "applied_index", (json_int_t)applied, "lag", (json_int_t)(commit - applied),
        "last_contact_ms", (json_int_t)0, "version", PYGMY_VERSION);

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

static void node_own_ping(void *arg, struct node_call *call, json_t *request)
{
    (void)arg;
    if (!node_own_refused(&call, request))
        node_answer(&call, json_object());
}

const struct node_operation node_own_operations[] = {
    {.name = "status", .kind = NODE_READ, .run = node_own_status},
    {.name = "metrics", .kind = NODE_READ, .run = node_own_metrics},
    {.name = "ping", .kind = NODE_READ, .run = node_own_ping},
};
const size_t node_own_operation_count = sizeof node_own_operations / sizeof node_own_operations[0];
