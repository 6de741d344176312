/* Sessions and what they ask for: see leases.h and leases_internal.h.
 *
 * Opening and closing are entries of the log. All that is applied here while this replica leads was
 * submitted by itself, in this term, so its own callbacks tell the table of every session that
 * comes or goes; those of before are in the tables when it begins to lead.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/catalog/leases_internal.h"
#include "services/catalog/outcome.h"

/* Submit an entry about a session. */
static int leases_submit_session(struct leases *self, enum command_op op, uint64_t session,
                                 replica_done_fn *done, void *arg)
{
    const struct command command = {.op = op, .session = session};
    struct bytes_writer bytes = {0};

    command_encode(&command, &bytes);
    const int code = replica_submit(self->replica, bytes.data, bytes.size, done, arg);
    bytes_writer_close(&bytes);
    return code;
}

/* ---- Opening ------------------------------------------------------------------------------- */

struct leases_opening {
    struct leases *leases;
    leases_answer_fn *answer;
    void *arg;
};

/* The table knows of it before a write may pass the table by again: an index that is told from here
 * on covers all that has passed before. */
static void leases_opened(struct leases *self, uint64_t session, replica_index index)
{
    lease_table_commit(self->table, index);
    lease_table_opened(self->table, session, clock_ms());
    leases_act(self);
}

static void leases_open_done(void *arg, int code, void *result, replica_index index)
{
    struct leases_opening *opening = arg;
    struct leases *self = opening->leases;
    struct outcome *outcome = result;
    json_t *body = json_object();

    if (code == OK)
        code = outcome->code;
    if (code == OK) {
        leases_opened(self, index, index);
        json_object_set_new(body, "session", json_integer((json_int_t)index));
        json_object_set_new(body, "term",
                            json_integer((json_int_t)replica_current_term(self->replica)));
        json_object_set_new(body, "cluster", json_string(self->uuid));
    }
    self->opening--;
    opening->answer(opening->arg, code, body);
    outcome_destroy(&outcome);
    free(opening);
}

void leases_open(struct leases *self, leases_answer_fn *answer, void *arg)
{
    struct leases_opening *opening = alloc_zero(sizeof *opening);
    int code = ERR_BUSY;

    opening->leases = self;
    opening->answer = answer;
    opening->arg = arg;
    if (lease_table_sessions(self->table) + self->opening < LEASE_SESSIONS_MAX)
        code = leases_submit_session(self, COMMAND_SESSION_OPEN, 0, leases_open_done, opening);
    if (code == OK) {
        self->opening++;
        return;
    }
    free(opening);
    answer(arg, code, json_object());
}

/* ---- Closing ------------------------------------------------------------------------------- */

struct leases_closing {
    struct leases *leases;
    uint64_t session;
};

static void leases_close_done(void *arg, int code, void *result, replica_index index)
{
    struct leases_closing *closing = arg;
    struct leases *self = closing->leases;
    struct outcome *outcome = result;

    if (code == OK) {
        lease_table_commit(self->table, index);
        lease_table_closed(self->table, closing->session, clock_ms());
        leases_act(self);
    }
    outcome_destroy(&outcome);
    free(closing);
}

/* What is refused now the table wants again. */
void leases_close_session(struct leases *self, uint64_t session)
{
    struct leases_closing *closing = alloc_zero(sizeof *closing);

    closing->leases = self;
    closing->session = session;
    if (leases_submit_session(self, COMMAND_SESSION_CLOSE, session, leases_close_done, closing) !=
        OK)
        free(closing);
}

void leases_leave(struct leases *self, uint64_t session, leases_answer_fn *answer, void *arg)
{
    answer(arg, lease_table_leave(self->table, session, clock_ms()), json_object());
    leases_act(self);
}

/* ---- Asks ---------------------------------------------------------------------------------- */

/* The ask that waits under the ticket; it waits no more. */
static struct leases_ask *leases_take_ask(struct leases *self, uint64_t ticket)
{
    struct leases_ask *ask = zhashx_lookup(self->asks, &ticket);

    assert(ask != NULL); /* H4 */
    zhashx_delete(self->asks, &ticket);
    return ask;
}

static void leases_answer(struct leases *self, uint64_t ticket, int code, json_t *body)
{
    struct leases_ask *ask = leases_take_ask(self, ticket);

    ask->answer(ask->arg, code, body);
    free(ask);
}

/* What both kinds of answers have. */
static json_t *leases_lease(const struct lease_action *action)
{
    return json_pack("{s:I,s:I,s:I,s:I}", "term", (json_int_t)action->term, "epoch",
                     (json_int_t)action->epoch, "ask", (json_int_t)action->ask, "remaining_ms",
                     (json_int_t)action->remaining_ms);
}

void leases_answer_synced(struct leases *self, const struct lease_action *action)
{
    json_t *body = leases_lease(action);

    json_object_set_new(body, "seq", json_integer((json_int_t)action->seq));
    json_object_set_new(body, "index", json_integer((json_int_t)action->index));
    leases_put_keys(body, &action->keys);
    leases_answer(self, action->ticket, OK, body);
}

void leases_answer_granted(struct leases *self, const struct lease_action *action)
{
    leases_answer(self, action->ticket, OK, leases_lease(action));
}

/* A table that never led has no term to tell. */
void leases_refuse_ask(struct leases *self, const struct lease_action *action)
{
    json_t *body = json_object();

    if (action->term > 0)
        json_object_set_new(body, "term", json_integer((json_int_t)action->term));
    leases_answer(self, action->ticket, action->code, body);
}

/* Under a ticket. The table is told first how far the log is committed: what a SYNCED says. */
static struct lease_ask leases_enter_ask(struct leases *self, const struct lease_ask *ask,
                                         leases_answer_fn *answer, void *arg)
{
    struct leases_ask *waiting = alloc_zero(sizeof *waiting);
    struct lease_ask ticketed = *ask;
    int rc;

    waiting->ticket = ++self->last_ticket;
    waiting->answer = answer;
    waiting->arg = arg;
    rc = zhashx_insert(self->asks, &waiting->ticket, waiting);
    assert(rc == 0);
    ticketed.ticket = waiting->ticket;
    lease_table_commit(self->table, replica_commit_index(self->replica));
    return ticketed;
}

bool leases_is_ours(const struct leases *self, const char *cluster)
{
    return strcmp(cluster, self->uuid) == 0;
}

void leases_sync(struct leases *self, const struct lease_ask *ask, leases_answer_fn *answer,
                 void *arg)
{
    const struct lease_ask ticketed = leases_enter_ask(self, ask, answer, arg);

    lease_table_sync(self->table, &ticketed, clock_ms());
    leases_act(self);
}

void leases_renew(struct leases *self, const struct lease_ask *ask, leases_answer_fn *answer,
                  void *arg)
{
    const struct lease_ask ticketed = leases_enter_ask(self, ask, answer, arg);

    lease_table_renew(self->table, &ticketed, clock_ms());
    leases_act(self);
}
