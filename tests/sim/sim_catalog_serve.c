/* The catalog at a simulated replica; see sim_services.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/catalog/command.h"
#include "services/catalog/machine.h"
#include "services/catalog/outcome.h"
#include "services/catalog/reads.h"
#include "services/catalog/requests.h"
#include "tests/sim/sim_catalog.h"
#include "tests/sim/sim_services.h"

struct waiting {
    struct sim *sim;
    struct sim_node *node;
    struct sim_call *call; /* held */
    bool keyed;
};

static struct waiting *waiting_new(struct sim *sim, struct sim_node *node, struct sim_call *call)
{
    struct waiting *self = alloc_zero(sizeof *self);

    *self = (struct waiting){sim, node, sim_call_hold(call), false};
    return self;
}

static void waiting_drop(void *arg)
{
    struct waiting *self = arg;

    sim_call_release(&self->call);
    free(self);
}

json_t *sim_refusal(int code)
{
    return json_pack("{s:{s:s, s:s}}", "error", "type", err_type(code), "title", err_title(code));
}

static struct sim_shell *shell_of(const struct sim_node *node)
{
    return ((struct sim_process *)node->process)->shell;
}

static int64_t log_time_ms(const struct sim_node *node)
{
    return machine_log_time_ms(sim_catalog_machine(node->machine),
                               sim_shell_log_time_ms(shell_of(node)));
}

/* The outcome is destroyed. */
static void answer(struct waiting *self, struct outcome *outcome)
{
    json_t *body = json_incref(outcome->body);

    json_object_set_new(body, "log_time", json_integer(log_time_ms(self->node)));
    if (outcome->code != OK)
        body = json_pack("{s:o}", "error", body);
    sim_bus_answer(self->call, self->node, outcome->code, body);
    outcome_destroy(&outcome);
}

static void refuse(struct waiting *self, int code)
{
    json_t *body = sim_refusal(code);

    json_object_set_new(json_object_get(body, "error"), "log_time",
                        json_integer(log_time_ms(self->node)));
    sim_bus_answer(self->call, self->node, code, body);
}

/* ---- Reads -------------------------------------------------------------------------------------- */

static void may_read(void *arg, int code)
{
    struct waiting *self = arg;

    if (code == OK)
        answer(self, read_answer(machine_state(sim_catalog_machine(self->node->machine)),
                                 sim_call_request(self->call), log_time_ms(self->node)));
    else
        refuse(self, code);
    waiting_drop(self);
}

static void serve_read(struct waiting *self)
{
    int64_t wait_ms = sim_call_remaining_ms(self->call, self->sim);

    if (wait_ms > READ_WAIT_MS)
        wait_ms = READ_WAIT_MS;
    sim_shell_read(shell_of(self->node), sim_node_now_ms(self->sim, self->node) + wait_ms, may_read,
                   waiting_drop, self);
}

/* ---- Writes ------------------------------------------------------------------------------------- */

static void write_done(void *arg, int code, void *result)
{
    struct waiting *self = arg;
    struct outcome *outcome = result;

    if (code == OK) {
        if (outcome->replayed || (self->keyed && outcome->code == OK))
            json_object_set_new(outcome->body, "replayed", json_boolean(outcome->replayed));
        answer(self, outcome);
    } else {
        refuse(self, code);
    }
    waiting_drop(self);
}

static void serve_write(struct waiting *self)
{
    struct command command;
    struct bytes_writer bytes = {0};
    struct outcome *refusal = request_read(sim_call_request(self->call), &command);
    int code;

    if (refusal != NULL) {
        answer(self, refusal);
        waiting_drop(self);
        return;
    }
    command_encode(&command, &bytes);
    self->keyed = command.key.size > 0 && command.op != COMMAND_UNDO;
    code = sim_shell_submit(shell_of(self->node), bytes.data, bytes.size, write_done, waiting_drop,
                            self);
    bytes_writer_close(&bytes);
    command_close(&command);
    if (code == OK)
        return;
    refuse(self, code);
    waiting_drop(self);
}

void sim_catalog_serve(struct sim *sim, struct sim_node *node, struct sim_call *call)
{
    struct waiting *waiting = waiting_new(sim, node, call);
    const char *op = json_string_value(json_object_get(sim_call_request(call), "op"));

    if (sim_call_remaining_ms(call, sim) <= 0) {
        refuse(waiting, ERR_EXPIRED);
        waiting_drop(waiting);
    } else if (op[0] == 'l' || (op[0] == 'u' && op[2] == 's')) {
        serve_read(waiting); /* lookup, unsettled */
    } else {
        serve_write(waiting);
    }
}

/* ---- The process -------------------------------------------------------------------------------- */

void sim_catalog_born(struct sim *sim, struct sim_node *node)
{
    struct sim_process *process = alloc_zero(sizeof *process);

    process->shell = sim_shell_new(sim, node);
    node->process = process;
}

void sim_catalog_died(struct sim *sim, struct sim_node *node)
{
    struct sim_process *process = node->process;

    (void)sim;
    sim_shell_destroy(&process->shell);
    free(process);
    node->process = NULL;
}

void sim_catalog_lead(struct sim *sim, struct sim_node *node, bool leads)
{
    (void)sim;
    sim_shell_lead(shell_of(node), leads);
}
