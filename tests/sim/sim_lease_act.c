/* What the lease table of a simulated replica wants done; see sim_lease_node.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "client/store/leased_cache.h"
#include "tests/sim/sim_lease_node.h"
#include "tests/sim/sim_lease_node_internal.h"
#include "tests/sim/sim_lease_world.h"

/* ---- Who waits ---------------------------------------------------------------------------------- */

struct lease_call *lease_call_new(struct lease_process *self, const struct lease_mail *mail)
{
    struct lease_call *call = alloc_zero(sizeof *call);

    call->sim = self->sim;
    call->node = self->node;
    call->term = self->node->lead_term;
    call->begun_ms = lease_process_now_ms(self);
    if (mail != NULL)
        call->mail = *mail;
    return call;
}

struct lease_waiting *lease_waiting_new(struct lease_process *self, const struct lease_mail *mail)
{
    struct lease_waiting *waiting = alloc_zero(sizeof *waiting);

    waiting->ticket = ++self->tickets;
    waiting->mail = *mail;
    waiting->next = self->waiting;
    self->waiting = waiting;
    return waiting;
}

void lease_waiting_end(struct lease_process *self, uint64_t ticket, struct lease_mail *mail)
{
    struct lease_waiting **place = &self->waiting, *waiting;

    while (*place != NULL && (*place)->ticket != ticket)
        place = &(*place)->next;
    waiting = *place;
    assert(waiting != NULL); /* T6: once */
    *place = waiting->next;
    if (mail != NULL)
        *mail = waiting->mail;
    free(waiting);
}

/* ---- Writes ------------------------------------------------------------------------------------- */

static struct lease_process *process_of(const struct lease_call *call)
{
    return call->node->process;
}

/* A table that leads no more, or in another term, has forgotten the write. */
static void tell_written(const struct lease_call *call, replica_index index)
{
    struct lease_process *self = process_of(call);

    if (call->term == 0 || call->node->lead_term != call->term ||
        sim_mutation_is(MUTATION_LEASE_APPROVAL) || sim_mutation_is(MUTATION_LEASE_RELEASE))
        return;
    lease_table_commit(self->table, call->node->commit);
    lease_table_written(self->table, call->ticket, index, lease_process_now_ms(self));
    lease_process_act(self);
}

static void written(void *arg, int code, void *result)
{
    struct lease_call *call = arg;
    const struct lease_result *done = result;

    if (code == OK) {
        tell_written(call, done->index);
        sim_lease_acknowledged(&sim_lease_of(call->sim)->judge, call->mail.keys, done->index);
    } else if (code == ERR_NOT_LEADER || code == ERR_BUSY) {
        tell_written(call, 0);
    } else {
        assert(code == ERR_UNKNOWN && call->node->lead_term != call->term);
    }
    free(result);
    free(call);
}

void lease_process_propose(struct lease_process *self, uint64_t ticket)
{
    struct lease_command command = {.op = LEASE_OP_WRITE};
    struct lease_call *call = lease_call_new(self, NULL);
    uint8_t data[LEASE_COMMAND_BYTES];
    int code;

    lease_waiting_end(self, ticket, &call->mail);
    call->ticket = ticket;
    command.keys = call->mail.keys;
    lease_command_encode(&command, data);
    code = sim_shell_submit(self->shell, data, sizeof data, written, free, call);
    if (sim_mutation_is(MUTATION_LEASE_RELEASE))
        lease_table_written(self->table, ticket, 0, lease_process_now_ms(self));
    if (code != OK)
        written(call, code, NULL);
}

/* ---- Rounds and sessions ------------------------------------------------------------------------ */

static void confirmed(void *arg, int code)
{
    struct lease_call *call = arg;
    struct lease_process *self = process_of(call);

    if (code == OK && call->node->lead_term == call->term) {
        if (self->confirmed_ms < call->begun_ms)
            self->confirmed_ms = call->begun_ms;
        lease_table_commit(self->table, call->node->commit);
        lease_table_confirmed(self->table, call->begun_ms - lease_process_short_ms(),
                              lease_process_now_ms(self));
        lease_process_act(self);
    }
    free(call);
}

/* MUTATION_LEASE_BARRIER: a round that a majority confirms at once, which no read would wait for. */
static bool grants_early(const struct lease_process *self)
{
    return sim_mutation_is(MUTATION_LEASE_BARRIER) && lease_process_before_barrier(self);
}

/* By the read index: a leader's own round, which a majority confirms in its term. What a node asked as
 * the leader of another term is not looked at: it may be another leader's answer. */
static void begin_round(struct lease_process *self)
{
    const int64_t now_ms = lease_process_now_ms(self);

    if (sim_mutation_is(MUTATION_LEASE_ANCHOR) || grants_early(self))
        lease_table_confirmed(self->table, now_ms, now_ms);
    else
        sim_shell_read(self->shell, now_ms + READ_WAIT_MS, confirmed, free,
                       lease_call_new(self, NULL));
}

static void closed(void *arg, int code, void *result)
{
    (void)code;
    free(result);
    free(arg);
}

static void close_session(struct lease_process *self, uint64_t session)
{
    const struct lease_command command = {.op = LEASE_OP_CLOSE, .session = session};
    struct lease_call *call = lease_call_new(self, NULL);
    uint8_t data[LEASE_COMMAND_BYTES];

    lease_command_encode(&command, data);
    if (sim_shell_submit(self->shell, data, sizeof data, closed, free, call) != OK)
        closed(call, OK, NULL);
}

uint64_t lease_process_epoch(const struct lease_process *self, uint64_t session)
{
    for (size_t i = 0; i < self->epoch_count; i++)
        if (self->epochs[i].session == session)
            return self->epochs[i].epoch;
    return 0;
}

static void note_epoch(struct lease_process *self, uint64_t session, uint64_t epoch)
{
    size_t i = 0;

    while (i < self->epoch_count && self->epochs[i].session != session)
        i++;
    if (i == LEASE_OPEN_MAX)
        return;
    if (i == self->epoch_count)
        self->epoch_count++;
    self->epochs[i] = (struct lease_epoch){session, epoch};
}

/* ---- Messages ----------------------------------------------------------------------------------- */

static uint32_t bits_of(const struct lease_keys *keys)
{
    uint32_t bits = 0;

    for (size_t i = 0; i < keys->count; i++)
        bits |= UINT32_C(1) << (keys->keys[i][1] - '0');
    return bits;
}

static void publish(struct lease_process *self, const struct lease_action *action,
                    enum leased_news type)
{
    struct lease_mail mail = {.kind = LEASE_MAIL_NEWS,
                              .node = self->node->slot,
                              .type = (int)type,
                              .term = action->term,
                              .seq = action->seq,
                              .keys = bits_of(&action->keys),
                              .all = action->keys.all,
                              .index = action->index};

    for (size_t i = 0; i < sim_lease_of(self->sim)->cache_count; i++) {
        mail.cache = (int)i;
        sim_lease_send(self->sim, &mail);
    }
}

static void send_synced(struct lease_process *self, const struct lease_action *action)
{
    struct lease_mail mail;

    lease_waiting_end(self, action->ticket, &mail);
    note_epoch(self, action->session, action->epoch);
    mail.kind = LEASE_MAIL_ANSWER;
    mail.type = LEASE_MAIL_SYNCED;
    mail.term = action->term;
    mail.epoch = action->epoch;
    mail.ask = action->ask;
    mail.seq = action->seq;
    mail.remaining_ms = action->remaining_ms;
    if (action->remaining_ms > 0)
        mail.remaining_ms += lease_process_short_ms();
    if (!sim_mutation_is(MUTATION_LEASE_PENDING)) {
        mail.keys = bits_of(&action->keys);
        mail.all = action->keys.all;
    }
    if (!sim_mutation_is(MUTATION_LEASE_SYNC_MARK))
        mail.index = action->index;
    sim_lease_send(self->sim, &mail);
}

static void send_grant(struct lease_process *self, const struct lease_action *action)
{
    struct lease_mail mail;

    lease_waiting_end(self, action->ticket, &mail);
    mail.kind = LEASE_MAIL_ANSWER;
    mail.type = LEASE_MAIL_GRANT;
    mail.term = action->term;
    mail.epoch = action->epoch;
    mail.ask = action->ask;
    mail.remaining_ms = action->remaining_ms + lease_process_short_ms();
    sim_lease_send(self->sim, &mail);
}

/* MUTATION_LEASE_LAPSED: what the table refuses gets a plain GRANT, if it was synced in its epoch. */
static bool grants_lapsed(const struct lease_process *self, uint64_t ticket,
                          const struct lease_mail *mail)
{
    return (sim_mutation_is(MUTATION_LEASE_LAPSED) || ticket == self->renewed) &&
           mail->type == LEASED_RENEW && mail->term == self->node->lead_term &&
           lease_process_epoch(self, mail->session) == mail->epoch;
}

static void send_refusal(struct lease_process *self, const struct lease_action *action)
{
    struct lease_mail mail;

    lease_waiting_end(self, action->ticket, &mail);
    if (mail.kind == LEASE_MAIL_WRITE) {
        self->sim->counts.refused_writes++;
        return;
    }
    if (grants_lapsed(self, action->ticket, &mail)) {
        mail.remaining_ms = self->confirmed_ms + LEASE_MS - lease_process_now_ms(self);
        mail.type = LEASE_MAIL_GRANT;
    } else {
        mail.type = LEASE_MAIL_REFUSED;
    }
    mail.kind = LEASE_MAIL_ANSWER;
    mail.code = action->code;
    sim_lease_send(self->sim, &mail);
}

/* ---- All of it ---------------------------------------------------------------------------------- */

static void carry_out(struct lease_process *self, const struct lease_action *action)
{
    switch (action->type) {
    case LEASE_INVALIDATE: publish(self, action, LEASED_INVALIDATE); break;
    case LEASE_RELEASE: publish(self, action, LEASED_RELEASE); break;
    case LEASE_BEAT: publish(self, action, LEASED_BEAT); break;
    case LEASE_SYNCED: send_synced(self, action); break;
    case LEASE_GRANT: send_grant(self, action); break;
    case LEASE_REFUSE: send_refusal(self, action); break;
    case LEASE_PROPOSE: lease_process_propose(self, action->ticket); break;
    case LEASE_ROUND: begin_round(self); break;
    case LEASE_CLOSE: close_session(self, action->session); break;
    }
}

void lease_process_act(struct lease_process *self)
{
    struct lease_action *action;

    while ((action = lease_table_next(self->table)) != NULL) {
        carry_out(self, action);
        lease_action_destroy(&action);
    }
    lease_process_arm(self);
}
