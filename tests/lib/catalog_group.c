/* See groups.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/bytes.h"
#include "broker/bus/err.h"
#include "services/catalog/audit.h"
#include "services/catalog/machine.h"
#include "services/catalog/reads.h"
#include "services/catalog/requests.h"
#include "tests/lib/groups.h"

struct catalog_group {
    struct one_group group;
    struct machine *machine;
};

int catalog_group_open(zloop_t *loop, const char *directory, struct log *log,
                       struct catalog_group **self_p, char **error)
{
    struct catalog_group *self = alloc_zero(sizeof *self);
    struct replica_machine machine;

    self->group.loop = loop;
    self->machine = machine_new(log, NULL);
    machine_interface(self->machine, &machine);
    int result = group_open(&self->group, "catalog", directory, log, &machine, error);
    if (result == 0)
        *self_p = self;
    else
        catalog_group_close(&self);
    return result;
}

void catalog_group_close(struct catalog_group **self_p)
{
    if (*self_p == NULL)
        return;
    replica_close(&(*self_p)->group.replica);
    machine_destroy(&(*self_p)->machine);
    free(*self_p);
    *self_p = NULL;
}

static json_t *catalog_group_json(const char *format, va_list arguments)
{
    char *text = sqlite3_vmprintf(format, arguments);
    json_error_t error;

    for (char *c = text; *c != '\0'; c++)
        if (*c == '\'')
            *c = '"';
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL) {
        fprintf(stderr, "tests/lib/catalog_group: %s in %s\n", error.text, text);
        abort();
    }
    sqlite3_free(text);
    return json;
}

static int catalog_group_finish(struct outcome **outcome_p, json_t **body)
{
    int code = (*outcome_p)->code;

    if (body != NULL)
        *body = json_incref((*outcome_p)->body);
    outcome_destroy(outcome_p);
    return code;
}

int catalog_group_write(struct catalog_group *self, json_t **body, const char *format, ...)
{
    struct bytes_writer bytes = {0};
    struct command command;
    void *result = NULL;
    va_list arguments;
    int code = OK;

    va_start(arguments, format);
    json_t *request = catalog_group_json(format, arguments);
    va_end(arguments);
    struct outcome *outcome = request_read(request, &command);
    if (outcome == NULL) {
        command_encode(&command, &bytes);
        command_close(&command);
        code = group_submit(&self->group, bytes.data, bytes.size, &result);
        bytes_writer_close(&bytes);
        outcome = result;
    }
    json_decref(request);
    return code == OK ? catalog_group_finish(&outcome, body) : code;
}

int64_t catalog_group_stock(struct catalog_group *self, int64_t id)
{
    json_t *request = json_pack("{s:s, s:I}", "op", "lookup", "id", (json_int_t)id);
    struct outcome *outcome = read_answer(machine_state(self->machine), request, 0);
    int64_t stock = -1;

    if (outcome->code == OK)
        stock =
            json_integer_value(json_object_get(json_object_get(outcome->body, "item"), "stock"));
    outcome_destroy(&outcome);
    json_decref(request);
    return stock;
}

int64_t catalog_group_violations(struct catalog_group *self)
{
    struct audit *audit = audit_new(machine_path(self->machine), NULL);
    struct audit_result result = {.violations = -1};

    if (audit_begin(audit) == 0)
        while (!audit_step(audit, &result))
            ;
    audit_destroy(&audit);
    return result.violations;
}

int64_t catalog_group_unsettled(struct catalog_group *self)
{
    return state_totals(machine_state(self->machine))->unsettled;
}

replica_index catalog_group_last_index(const struct catalog_group *self)
{
    return replica_last_index(self->group.replica);
}
