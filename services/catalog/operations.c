/* See operations.h.
 *
 * A read is answered at once, from the tables as they are: the skeleton calls when a linearizable
 * read may be made. A write is checked, encoded and submitted; its answer is what its apply came
 * to. What the replica answers in its stead (not leader, busy, unknown) goes out as it is.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/operations.h"

#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/catalog/auditor.h"
#include "services/catalog/command.h"
#include "services/catalog/leases.h"
#include "services/catalog/machine.h"
#include "services/catalog/outcome.h"
#include "services/catalog/reads.h"
#include "services/catalog/requests.h"
#include "services/catalog/upkeep.h"
#include "services/replica/fields.h"

/* Of the cluster's uuid. */
enum { UUID_DIGITS = 32 };

struct catalog {
    struct node *node;
    struct machine *machine;
    struct auditor *auditor; /* from catalog_started() on */
    struct leases *leases;   /* likewise */
    struct upkeep *upkeep;   /* likewise */
};

/* A request that is answered later. */
struct waiting {
    struct catalog *catalog;
    struct node_call *call;
    bool keyed; /* its answer says whether it was replayed */
};

/* As answers say it. While the program ends, the replica goes first: then it stands still. */
static int64_t catalog_log_time_ms(const struct catalog *self)
{
    struct replica *replica = node_replica(self->node);
    int64_t replica_ms =
        replica != NULL ? replica_log_time_ms(replica) : state_now_ms(machine_state(self->machine));
    return machine_log_time_ms(self->machine, replica_ms);
}

/* Answer with what it came to. The outcome is destroyed. */
static void catalog_answer(struct catalog *self, struct node_call **call, struct outcome *outcome)
{
    json_t *body = json_incref(outcome->body);
    json_object_set_new(body, "log_time", json_integer(catalog_log_time_ms(self)));
    if (outcome->code == OK) {
        node_answer(call, body);
    } else {
        json_t *detail = json_incref(json_object_get(body, "detail"));
        json_object_del(body, "detail");
        node_refuse(call, outcome->code, json_string_value(detail), body);
        json_decref(detail);
    }
    outcome_destroy(&outcome);
}

/* Answer with a code alone. */
static void catalog_refuse(struct catalog *self, struct node_call **call, int code)
{
    json_t *extra = json_pack("{s:I}", "log_time", (json_int_t)catalog_log_time_ms(self));
    node_refuse(call, code, NULL, extra);
}

static struct waiting *waiting_new(struct catalog *catalog, struct node_call *call)
{
    struct waiting *self = alloc_zero(sizeof *self);
    self->catalog = catalog;
    self->call = call;
    return self;
}

/* ---- Reads -------------------------------------------------------------- */

static void catalog_read(void *arg, struct node_call *call, json_t *request)
{
    struct catalog *self = arg;
    catalog_answer(self, &call,
                   read_answer(machine_state(self->machine), request, catalog_log_time_ms(self)));
}

static void catalog_audit_done(void *arg, int code, const struct audit_result *result)
{
    struct waiting *waiting = arg;
    if (code == OK)
        catalog_answer(
            waiting->catalog, &waiting->call,
            outcome_answer(json_pack(
                "{s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "items", (json_int_t)result->items, "initial",
                (json_int_t)result->initial, "moved", (json_int_t)result->moved, "sold",
                (json_int_t)result->sold, "stock", (json_int_t)result->stock, "violations",
                (json_int_t)result->violations, "log_index", (json_int_t)result->log_index)));
    else
        catalog_refuse(waiting->catalog, &waiting->call, code);
    free(waiting);
}

static void catalog_audit(void *arg, struct node_call *call, json_t *request)
{
    struct catalog *self = arg;
    struct fields fields;

    fields_init(&fields, request);
    struct outcome *refusal = outcome_of_fields(&fields);
    if (refusal != NULL) {
        catalog_answer(self, &call, refusal);
        return;
    }
    struct waiting *waiting = waiting_new(self, call);
    int code = auditor_ask(self->auditor, catalog_audit_done, waiting);
    if (code == OK)
        return;
    free(waiting);
    catalog_refuse(self, &call, code);
}

/* ---- Writes ------------------------------------------------------------- */

static void catalog_write_done(void *arg, int code, void *result, replica_index index)
{
    struct waiting *waiting = arg;
    struct outcome *outcome = result;
    (void)index;

    if (code == OK) {
        if (outcome->replayed || (waiting->keyed && outcome->code == OK))
            json_object_set_new(outcome->body, "replayed", json_boolean(outcome->replayed));
        catalog_answer(waiting->catalog, &waiting->call, outcome);
    } else {
        catalog_refuse(waiting->catalog, &waiting->call, code);
    }
    free(waiting);
}

/* An import of long texts may not fit an entry, though each row is good. */
static struct outcome *catalog_check_size(size_t size)
{
    if (size <= ENTRY_BYTES_MAX)
        return NULL;
    return outcome_refuse(
        ERR_TOO_LARGE, NULL,
        "it takes %zu bytes in the log, at most %d are possible: send less at once", size,
        ENTRY_BYTES_MAX);
}

/* Submit a command and its bytes: it is proposed when no cache may hold what it changes. Who
 * refuses it in the end does so in time. */
static void catalog_submit(struct catalog *self, struct node_call *call,
                           const struct command *command, const struct bytes_writer *bytes)
{
    const int64_t deadline_ms = clock_ms() + node_call_remaining_ms(call) - LEASE_REFUSAL_MS;
    struct outcome *refusal = catalog_check_size(bytes->size);
    if (refusal != NULL) {
        catalog_answer(self, &call, refusal);
        return;
    }
    struct waiting *waiting = waiting_new(self, call);
    waiting->keyed = command->key.size > 0 && command->op != COMMAND_UNDO;
    int code =
        leases_submit(self->leases, command, bytes, deadline_ms, catalog_write_done, waiting);
    if (code != OK) {
        free(waiting);
        catalog_refuse(self, &call, code);
    }
}

static void catalog_write(void *arg, struct node_call *call, json_t *request)
{
    struct catalog *self = arg;
    struct command command;
    struct bytes_writer bytes = {0};
    struct outcome *refusal = request_read(request, &command);

    if (refusal != NULL) {
        catalog_answer(self, &call, refusal);
        return;
    }
    command_encode(&command, &bytes);
    catalog_submit(self, call, &command, &bytes);
    bytes_writer_close(&bytes);
    command_close(&command);
}

/* ---- Leased caches ------------------------------------------------------ */

static void catalog_lease_done(void *arg, int code, json_t *body)
{
    struct waiting *waiting = arg;
    struct catalog *self = waiting->catalog;

    json_object_set_new(body, "log_time", json_integer(catalog_log_time_ms(self)));
    if (code == OK)
        node_answer(&waiting->call, body);
    else
        node_refuse(&waiting->call, code, NULL, body);
    free(waiting);
}

static void catalog_lease_open(void *arg, struct node_call *call, json_t *request)
{
    struct catalog *self = arg;
    struct fields fields;

    fields_init(&fields, request);
    struct outcome *refusal = outcome_of_fields(&fields);
    if (refusal != NULL)
        catalog_answer(self, &call, refusal);
    else
        leases_open(self->leases, catalog_lease_done, waiting_new(self, call));
}

/* What both asks have. */
struct catalog_ask {
    struct lease_ask ask;
    struct text cluster;
};

static void catalog_read_ask(struct fields *fields, struct catalog_ask *self)
{
    int64_t session = 0, term = 0, epoch = 0, number = 0;

    fields_text(fields, "cluster", UUID_DIGITS, UUID_DIGITS, &self->cluster);
    fields_integer(fields, "session", 1, INT64_MAX, &session);
    fields_integer(fields, "term", 0, INT64_MAX, &term);
    fields_integer(fields, "epoch", 0, INT64_MAX, &epoch);
    fields_integer(fields, "ask", 0, INT64_MAX, &number);
    self->ask = (struct lease_ask){.session = (uint64_t)session,
                                   .term = (uint64_t)term,
                                   .epoch = (uint64_t)epoch,
                                   .ask = (uint64_t)number};
}

/* Refuse what is none, and what is for another cluster. Returns whether it was. */
static bool catalog_refuse_ask(struct catalog *self, struct node_call *call, struct fields *fields,
                               const struct catalog_ask *ask)
{
    struct outcome *refusal = outcome_of_fields(fields);
    if (refusal != NULL)
        catalog_answer(self, &call, refusal);
    else if (!leases_is_ours(self->leases, ask->cluster.data))
        catalog_lease_done(waiting_new(self, call), ERR_NOT_FOUND, json_object());
    else
        return false;
    return true;
}

static void catalog_lease_sync(void *arg, struct node_call *call, json_t *request)
{
    struct catalog *self = arg;
    struct catalog_ask read = {0};
    struct fields fields;

    fields_init(&fields, request);
    catalog_read_ask(&fields, &read);
    if (!catalog_refuse_ask(self, call, &fields, &read))
        leases_sync(self->leases, &read.ask, catalog_lease_done, waiting_new(self, call));
}

static void catalog_lease_renew(void *arg, struct node_call *call, json_t *request)
{
    struct catalog *self = arg;
    struct catalog_ask read = {0};
    struct fields fields;
    int64_t acked = 0;

    fields_init(&fields, request);
    catalog_read_ask(&fields, &read);
    fields_integer(&fields, "acked", 0, INT64_MAX, &acked);
    read.ask.acked = (uint64_t)acked;
    if (!catalog_refuse_ask(self, call, &fields, &read))
        leases_renew(self->leases, &read.ask, catalog_lease_done, waiting_new(self, call));
}

static void catalog_lease_close(void *arg, struct node_call *call, json_t *request)
{
    struct catalog *self = arg;
    struct catalog_ask read = {0};
    struct fields fields;
    int64_t session = 0;

    fields_init(&fields, request);
    fields_text(&fields, "cluster", UUID_DIGITS, UUID_DIGITS, &read.cluster);
    fields_integer(&fields, "session", 1, INT64_MAX, &session);
    if (!catalog_refuse_ask(self, call, &fields, &read))
        leases_leave(self->leases, (uint64_t)session, catalog_lease_done, waiting_new(self, call));
}

/* ---- The service -------------------------------------------------------- */

static void *catalog_open(struct node *node, struct replica_machine *machine)
{
    struct catalog *self = alloc_zero(sizeof *self);
    self->node = node;
    self->machine = machine_new(node_log(node), node_metrics(node));
    machine_interface(self->machine, machine);
    return self;
}

static void catalog_closing(void *arg)
{
    struct catalog *self = arg;
    auditor_reset(self->auditor);
}

static void catalog_started(void *arg)
{
    struct catalog *self = arg;
    self->auditor = auditor_new(node_loop(self->node), machine_path(self->machine),
                                node_log(self->node), node_metrics(self->node));
    const struct leases_options leases = {
        .loop = node_loop(self->node),
        .replica = node_replica(self->node),
        .machine = self->machine,
        .group = config_kind_name(NODE_CATALOG),
        .uuid = node_config(self->node)->uuid,
        .log = node_log(self->node),
        .metrics = node_metrics(self->node),
    };
    self->leases = leases_new(&leases);
    self->upkeep = upkeep_new(node_loop(self->node), node_replica(self->node), self->leases,
                              self->machine, node_log(self->node));
    machine_on_closing(self->machine, catalog_closing, self);
}

static void catalog_lead(void *arg, bool leader, replica_term term)
{
    struct catalog *self = arg;
    leases_lead(self->leases, leader, term);
}

static void catalog_status(void *arg, json_t *status)
{
    struct catalog *self = arg;
    if (machine_state(self->machine) == NULL)
        return;
    const struct state_totals *totals = state_totals(machine_state(self->machine));
    json_object_set_new(status, "items", json_integer(totals->items));
    json_object_set_new(status, "keys", json_integer(totals->records));
    json_object_set_new(status, "unsettled", json_integer(totals->unsettled));
    json_object_set_new(status, "unclosed", json_integer(totals->unclosed));
    json_object_set_new(status, "log_time", json_integer(catalog_log_time_ms(self)));
    json_object_set_new(status, "leases", leases_status(self->leases));
}

static void catalog_changes(void *arg, struct changes_page *page)
{
    struct catalog *self = arg;
    read_changes(machine_state(self->machine), page);
}

static void catalog_close(void *arg)
{
    struct catalog *self = arg;
    leases_destroy(&self->leases);
    upkeep_destroy(&self->upkeep);
    auditor_destroy(&self->auditor);
    machine_destroy(&self->machine);
    free(self);
}

static const struct node_operation operations[] = {
    {.name = "time", .kind = NODE_READ, .run = catalog_read},
    {.name = "lookup", .kind = NODE_READ, .applied = true, .run = catalog_read},
    {.name = "search", .kind = NODE_READ, .run = catalog_read},
    {.name = "items", .kind = NODE_READ, .run = catalog_read},
    {.name = "topic", .kind = NODE_READ, .applied = true, .run = catalog_read},
    {.name = "topics", .kind = NODE_READ, .run = catalog_read},
    {.name = "movements", .kind = NODE_READ, .run = catalog_read},
    {.name = "audit", .kind = NODE_READ, .tables = true, .run = catalog_audit},
    {.name = "unsettled", .kind = NODE_READ, .secret = true, .run = catalog_read},
    {.name = "item_add", .kind = NODE_WRITE, .secret = true, .run = catalog_write},
    {.name = "item_edit", .kind = NODE_WRITE, .secret = true, .run = catalog_write},
    {.name = "item_remove", .kind = NODE_WRITE, .secret = true, .run = catalog_write},
    {.name = "stock", .kind = NODE_WRITE, .secret = true, .run = catalog_write},
    {.name = "import", .kind = NODE_WRITE, .secret = true, .run = catalog_write},
    {.name = "reserve", .kind = NODE_WRITE, .secret = true, .run = catalog_write},
    {.name = "undo", .kind = NODE_WRITE, .secret = true, .run = catalog_write},
    {.name = "settle", .kind = NODE_WRITE, .secret = true, .run = catalog_write},
    {.name = "close", .kind = NODE_WRITE, .secret = true, .run = catalog_write},
};

static const struct node_operation lease_operations[] = {
    {.name = "lease_open", .kind = NODE_WRITE, .secret = true, .run = catalog_lease_open},
    {.name = "lease_sync", .kind = NODE_WRITE, .secret = true, .run = catalog_lease_sync},
    {.name = "lease_renew", .kind = NODE_WRITE, .secret = true, .run = catalog_lease_renew},
    {.name = "lease_close", .kind = NODE_WRITE, .secret = true, .run = catalog_lease_close},
};

const struct node_service operations_service = {
    .kind = NODE_CATALOG,
    .program = "pygmy-catalog",
    .summary = "A replica of the catalog: items, stock, search, reservations.",
    .operations = operations,
    .operation_count = sizeof operations / sizeof operations[0],
    .lease_operations = lease_operations,
    .lease_operation_count = sizeof lease_operations / sizeof lease_operations[0],
    .open = catalog_open,
    .started = catalog_started,
    .lead = catalog_lead,
    .status = catalog_status,
    .audit = catalog_audit,
    .changes = catalog_changes,
    .close = catalog_close,
};
