/* See leases.h. Here: life, leadership, time and rounds. leases_internal.h says where the rest is.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/leases.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "broker/bus/number_table.h"
#include "services/catalog/leases_internal.h"
#include "services/catalog/sessions.h"

static void leases_show(struct leases *self);

/* ---- Rounds -------------------------------------------------------------------------------- */

struct leases_round {
    struct leases *leases;
    replica_term term; /* in which it was asked for */
    int64_t begun_ms;
};

/* A read was confirmed by a majority, in a round that began after it was asked for. If this replica
 * leads, and in the term in which it asked, then it was this term that was confirmed: nobody led in
 * between, and the read was this leader's own to confirm (B4). */
static void leases_round_done(void *arg, int code)
{
    struct leases_round *round = arg;
    struct leases *self = round->leases;

    if (code == OK && self->term == round->term) {
        lease_table_confirmed(self->table, round->begun_ms, clock_ms());
        leases_act(self);
    }
    free(round);
}

/* The clock is read before anybody is asked. What is refused, or gets no answer, is asked for again
 * by the table. */
static void leases_ask_round(struct leases *self)
{
    struct leases_round *round = alloc_zero(sizeof *round);

    round->leases = self;
    round->term = self->term;
    round->begun_ms = clock_ms();
    if (replica_read(self->replica, round->begun_ms + LEASE_ROUND_WAIT_MS, leases_round_done,
                     round) != OK)
        free(round);
}

/* ---- What the table wants ------------------------------------------------------------------- */

static void leases_take(struct leases *self, const struct lease_action *action)
{
    switch (action->type) {
    case LEASE_INVALIDATE:
    case LEASE_RELEASE:
    case LEASE_BEAT: leases_publish(self, action); return;
    case LEASE_SYNCED: leases_answer_synced(self, action); return;
    case LEASE_GRANT: leases_answer_granted(self, action); return;
    case LEASE_REFUSE:
        if (!leases_refuse_write(self, action->ticket, action->code))
            leases_refuse_ask(self, action);
        return;
    case LEASE_PROPOSE: leases_propose(self, action->ticket); return;
    case LEASE_ROUND: leases_ask_round(self); return;
    case LEASE_CLOSE: leases_close_session(self, action->session); return;
    }
}

void leases_act(struct leases *self)
{
    struct lease_action *action;

    if (self->acting)
        return;
    self->acting = true;
    do {
        while ((action = lease_table_next(self->table)) != NULL) {
            leases_take(self, action);
            lease_action_destroy(&action);
        }
    } while (leases_begin_ordered(self));
    self->acting = false;
    leases_due(self, lease_table_deadline_ms(self->table));
}

/* ---- Time ---------------------------------------------------------------------------------- */

/* Set anew only to come earlier: put off at each turn, it never would in a loop that is always
 * busy. */
void leases_due(struct leases *self, int64_t at_ms)
{
    if (at_ms >= self->alarm_ms)
        return;
    alarm_set(self->alarm, at_ms);
    self->alarm_ms = at_ms;
}

static void leases_on_alarm(void *arg)
{
    struct leases *self = arg;
    const int64_t now_ms = clock_ms();

    self->alarm_ms = INT64_MAX; /* it is off */
    leases_expire_ordered(self, now_ms);
    lease_table_commit(self->table, replica_commit_index(self->replica));
    lease_table_turn(self->table, now_ms);
    leases_act(self);
    leases_show(self);
    replica_flush(self->replica);
}

/* ---- Leadership ---------------------------------------------------------------------------- */

static void leases_take_lead(struct leases *self, replica_term term)
{
    struct state *state = machine_state(self->machine);
    uint64_t *sessions = alloc_zero(LEASE_SESSIONS_MAX * sizeof sessions[0]);
    const size_t count = sessions_list(state, sessions, LEASE_SESSIONS_MAX);
    const int64_t now_ms = clock_ms();

    self->term = term;
    lease_table_commit(self->table, replica_commit_index(self->replica));
    lease_table_lead(self->table, term, sessions, count, now_ms, now_ms);
    free(sessions);
}

static void leases_lose_lead(struct leases *self)
{
    self->term = 0;
    leases_drop_ordered(self, ERR_NOT_LEADER);
    lease_table_retire(self->table);
}

void leases_lead(struct leases *self, bool leader, replica_term term)
{
    if (leader)
        leases_take_lead(self, term);
    else
        leases_lose_lead(self);
    leases_act(self);
    leases_show(self);
}

bool leases_are_idle(const struct leases *self)
{
    return self->opening == 0 && lease_table_sessions(self->table) == 0;
}

/* ---- Sight --------------------------------------------------------------------------------- */

static void leases_make_series(struct leases_series *self, struct metrics *metrics)
{
    if (metrics == NULL)
        return;
    self->sessions = metrics_gauge(metrics, "pygmy_lease_sessions", NULL,
                                   "Caches that this leader knows; 0 where it does not lead.");
    self->synced = metrics_gauge(metrics, "pygmy_lease_synced", NULL,
                                 "Caches that may have a lease in this term.");
    self->lapsed = metrics_gauge(metrics, "pygmy_lease_lapsed", NULL,
                                 "Caches without a lease, for which no write waits.");
    self->approving = metrics_gauge(metrics, "pygmy_lease_approving", NULL,
                                    "Keys that caches were told to let go of, and not all have.");
    self->pending = metrics_gauge(metrics, "pygmy_lease_pending", NULL,
                                  "Keys that no cache holds: they are changed, or just were.");
    self->waiting = metrics_gauge(metrics, "pygmy_lease_waiting", NULL,
                                  "Writes that wait until caches have let go.");
    self->approvals = metrics_counter(metrics, "pygmy_lease_approvals_total", NULL,
                                      "Keys that caches were asked to let go of.");
    self->spared = metrics_counter(metrics, "pygmy_lease_spared_total", NULL,
                                   "Keys of writes that no cache had to be asked for.");
    self->lapses = metrics_counter(metrics, "pygmy_lease_lapses_total", NULL,
                                   "Times that a write waited for a cache's lease to end.");
    self->messages = metrics_counter(metrics, "pygmy_lease_messages_total", NULL,
                                     "Messages to caches that were published, beats included.");
    self->wait_seconds = metrics_histogram(metrics, "pygmy_lease_wait_seconds", NULL,
                                           "How long writes waited until caches had let go.");
}

static void leases_show(struct leases *self)
{
    struct lease_counts counts;

    lease_table_count(self->table, &counts);
    metric_set(self->series.sessions, (double)counts.sessions);
    metric_set(self->series.synced, (double)counts.synced);
    metric_set(self->series.lapsed, (double)counts.lapsed);
    metric_set(self->series.approving, (double)counts.approving);
    metric_set(self->series.pending, (double)counts.pending);
    metric_set(self->series.waiting, (double)(counts.waiting + zlistx_size(self->ordered)));
    metric_add(self->series.approvals, (double)(counts.approvals - self->shown.approvals));
    metric_add(self->series.spared, (double)(counts.spared - self->shown.spared));
    metric_add(self->series.lapses, (double)(counts.lapses - self->shown.lapses));
    if (counts.lapses > self->shown.lapses)
        log_write(self->log, LOG_LEVEL_WARN, "a write waited for the leases of caches to end",
                  LOG_UINT("caches", counts.lapses - self->shown.lapses));
    self->shown = counts;
}

json_t *leases_status(const struct leases *self)
{
    struct lease_counts counts;

    if (self->term == 0)
        return json_null();
    lease_table_count(self->table, &counts);
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "sessions", (json_int_t)counts.sessions, "synced",
                     (json_int_t)counts.synced, "lapsed", (json_int_t)counts.lapsed, "approving",
                     (json_int_t)counts.approving, "pending", (json_int_t)counts.pending, "waiting",
                     (json_int_t)counts.waiting + (json_int_t)zlistx_size(self->ordered));
}

/* ---- Life ---------------------------------------------------------------------------------- */

struct leases *leases_new(const struct leases_options *options)
{
    struct leases *self = alloc_zero(sizeof *self);

    self->replica = options->replica;
    self->machine = options->machine;
    self->group = options->group;
    self->uuid = options->uuid;
    self->log = options->log;
    self->table = lease_table_new();
    self->alarm = alarm_new(options->loop, leases_on_alarm, self);
    self->alarm_ms = INT64_MAX;
    self->writes = number_table_new();
    self->asks = number_table_new();
    self->ordered = zlistx_new();
    self->ordered_ms = INT64_MAX;
    leases_make_series(&self->series, options->metrics);
    return self;
}

void leases_destroy(struct leases **self_p)
{
    struct leases *self = *self_p;

    if (self == NULL)
        return;
    leases_lose_lead(self);
    leases_act(self);
    assert(zhashx_size(self->writes) == 0 && zhashx_size(self->asks) == 0); /* H4 */
    assert(self->opening == 0 && self->ordered_count == 0);
    alarm_destroy(&self->alarm);
    zhashx_destroy(&self->writes);
    zhashx_destroy(&self->asks);
    zlistx_destroy(&self->ordered);
    lease_table_destroy(&self->table);
    free(self);
    *self_p = NULL;
}
