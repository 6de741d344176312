/* See sim_lease_node.h. What the table says is done in sim_lease_act.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_lease_node.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "client/store/leased_cache.h"
#include "tests/sim/sim_check.h"
#include "tests/sim/sim_lease_node_internal.h"

/* How long a write waits for its approval at most, and a read for its turn. */
#define WRITE_WAIT_MS 3000
#define FILL_WAIT_MS  300

static struct lease_process *process_of(const struct sim_node *node)
{
    return node->process;
}

int64_t lease_process_now_ms(const struct lease_process *self)
{
    return sim_node_now_ms(self->sim, self->node);
}

static bool leads(const struct lease_process *self)
{
    return self->node->lead_term != 0;
}

int64_t lease_process_short_ms(void)
{
    if (sim_mutation_is(MUTATION_LEASE_WAIT_100))
        return LEASE_WAIT_MS - LEASE_MS;
    if (sim_mutation_is(MUTATION_LEASE_WAIT_95))
        return LEASE_WAIT_MS - LEASE_MS * 95 / 100;
    return 0;
}

bool lease_process_before_barrier(const struct lease_process *self)
{
    const struct sim_node *node = self->node;
    const struct membership *membership = sim_check_committed_membership(self->sim);
    size_t count = 0;

    if (node->role != CONSENSUS_LEADER || node->applied.index >= node->barrier)
        return false;
    for (size_t i = 0; i < membership->count; i++) {
        const struct member *member = &membership->members[i];
        const struct sim_node *other = self->sim->nodes[sim_node_by_id(self->sim, member->id)];

        count += member->role == MEMBER_VOTER && other->up &&
                 consensus_term(other->consensus) == node->role_term;
    }
    return count >= membership_majority(membership);
}

/* ---- Time --------------------------------------------------------------------------------------- */

static void timer(struct sim *sim, struct sim_event *event)
{
    struct lease_process *self = process_of(sim->nodes[event->node]);

    if (event->argument != self->armed || sim_node_deferred(sim, event))
        return;
    self->armed_us = INT64_MAX;
    lease_table_turn(self->table, lease_process_now_ms(self));
    lease_process_act(self);
}

void lease_process_arm(struct lease_process *self)
{
    const int64_t deadline_ms = lease_table_deadline_ms(self->table);
    struct sim_event event = {.fire = timer, .node = self->node->slot, .life = self->node->life};

    if (deadline_ms == INT64_MAX)
        return;
    event.at_us = sim_node_due_us(self->node, deadline_ms);
    if (event.at_us <= self->sim->world->now_us)
        event.at_us = self->sim->world->now_us + 1000;
    if (event.at_us >= self->armed_us)
        return;
    self->armed_us = event.at_us;
    event.argument = ++self->armed;
    sim_at(self->sim, &event);
}

/* Before the table is told anything: what SYNCED tells must not be behind what was done. */
static void tell_commit(struct lease_process *self)
{
    if (leads(self))
        lease_table_commit(self->table, self->node->commit);
}

/* ---- Writes ------------------------------------------------------------------------------------- */

struct lease_keys *lease_keys_of(uint32_t keys, bool all)
{
    struct lease_keys *self = alloc_zero(sizeof *self);
    char name[16];

    self->all = all;
    self->keys = alloc_zero(LEASE_KEYS * sizeof *self->keys);
    for (unsigned key = 0; key < LEASE_KEYS && !all; key++)
        if ((keys >> key & 1) != 0) {
            snprintf(name, sizeof name, "k%u", key);
            self->keys[self->count++] = alloc_copy(name, strlen(name));
        }
    return self;
}

void lease_keys_free(struct lease_keys *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->keys[i]);
    free(self->keys);
    free(self);
}

/* MUTATION_LEASE_APPROVING: others have one of its keys approved already. */
static bool goes_along(const struct lease_process *self, const struct lease_mail *mail)
{
    const struct lease_waiting *waiting = self->waiting;

    while (waiting != NULL &&
           (waiting->mail.kind != LEASE_MAIL_WRITE || (waiting->mail.keys & mail->keys) == 0))
        waiting = waiting->next;
    return sim_mutation_is(MUTATION_LEASE_APPROVING) && waiting != NULL && leads(self);
}

static void receive_write(struct lease_process *self, const struct lease_mail *mail)
{
    const int64_t now_ms = lease_process_now_ms(self);
    const bool unapproved = sim_mutation_is(MUTATION_LEASE_APPROVAL) || goes_along(self, mail);
    struct lease_waiting *waiting = lease_waiting_new(self, mail);
    struct lease_keys *keys = lease_keys_of(mail->keys, mail->all);

    if (unapproved)
        lease_process_propose(self, waiting->ticket);
    else
        lease_table_write(self->table, waiting->ticket, keys, now_ms + WRITE_WAIT_MS, now_ms);
    lease_keys_free(keys);
}

/* ---- Asks --------------------------------------------------------------------------------------- */

static void opened(void *arg, int code, void *result)
{
    struct lease_call *call = arg;
    const struct lease_result *done = result;
    struct lease_mail mail = call->mail;

    mail.type = LEASE_MAIL_REFUSED;
    mail.code = code == OK ? ERR_BUSY : code;
    if (code == OK && done->session != 0) {
        mail.type = LEASE_MAIL_OPENED;
        mail.session = done->session;
        mail.term = call->node->lead_term;
        call->sim->counts.sessions++;
    }
    /* Whoever leads no more says so: it does not know of a term in which there is a session. */
    if (mail.type == LEASE_MAIL_OPENED && mail.term == 0)
        mail.type = LEASE_MAIL_REFUSED, mail.code = ERR_UNKNOWN;
    mail.kind = LEASE_MAIL_ANSWER;
    sim_lease_send(call->sim, &mail);
    free(result);
    free(call);
}

static void receive_open(struct lease_process *self, const struct lease_mail *mail)
{
    const struct lease_command command = {.op = LEASE_OP_OPEN};
    struct lease_call *call = lease_call_new(self, mail);
    uint8_t data[LEASE_COMMAND_BYTES];
    int code;

    lease_command_encode(&command, data);
    code = sim_shell_submit(self->shell, data, sizeof data, opened, free, call);
    if (code != OK)
        opened(call, code, NULL);
}

/* MUTATION_LEASE_RENEWAL: whoever lapses by a RENEW is taken for the one who sent it. */
static void renew(struct lease_process *self, const struct lease_ask *ask)
{
    struct lease_counts before, after;

    lease_table_count(self->table, &before);
    lease_table_renew(self->table, ask, lease_process_now_ms(self));
    lease_table_count(self->table, &after);
    if (sim_mutation_is(MUTATION_LEASE_RENEWAL) && after.lapses > before.lapses)
        self->renewed = ask->ticket;
}

static void receive_ask(struct lease_process *self, const struct lease_mail *mail)
{
    struct lease_waiting *waiting;
    struct lease_ask ask = {.session = mail->session,
                            .term = mail->term,
                            .epoch = mail->epoch,
                            .ask = mail->ask,
                            .acked = mail->acked};

    if (mail->type == LEASED_OPEN) {
        receive_open(self, mail);
        return;
    }
    waiting = lease_waiting_new(self, mail);
    ask.ticket = waiting->ticket;
    if (mail->type == LEASED_RENEW) {
        renew(self, &ask);
        return;
    }
    /* MUTATION_LEASE_RESYNC: an epoch that was seen passes for a new one. */
    if (sim_mutation_is(MUTATION_LEASE_RESYNC) &&
        lease_process_epoch(self, mail->session) == mail->epoch)
        ask.epoch = mail->epoch + 1;
    lease_table_sync(self->table, &ask, lease_process_now_ms(self));
}

/* ---- Reads -------------------------------------------------------------------------------------- */

static void send_value(const struct lease_process *self, const struct lease_mail *read)
{
    struct lease_mail mail = *read;

    mail.kind = LEASE_MAIL_VALUE;
    mail.node = self->node->slot;
    mail.index = lease_machine_read(self->node->machine, read->key);
    sim_lease_send(self->sim, &mail);
}

static void may_read(void *arg, int code)
{
    struct lease_call *call = arg;

    if (code == OK)
        send_value(process_of(call->node), &call->mail);
    free(call);
}

static bool applied_enough(const struct lease_process *self, const struct lease_mail *read)
{
    return !self->node->installing && self->node->applied.index >= read->index;
}

static void wait_to_fill(struct lease_process *self, const struct lease_mail *mail)
{
    struct lease_filling *filling = &self->fillings[self->filling_count];

    if (self->filling_count == LEASE_FILLINGS_MAX)
        return;
    self->filling_count++;
    filling->mail = *mail;
    filling->until_ms = lease_process_now_ms(self) + FILL_WAIT_MS;
}

static void receive_read(struct lease_process *self, const struct lease_mail *mail)
{
    const int64_t deadline_ms = lease_process_now_ms(self) + FILL_WAIT_MS;
    const bool early =
        sim_mutation_is(MUTATION_LEASE_READ_BARRIER) && lease_process_before_barrier(self);

    if (early && mail->passes && self->node->applied.index >= self->node->commit)
        send_value(self, mail);
    else if (mail->passes && !sim_mutation_is(MUTATION_LEASE_READ))
        sim_shell_read(self->shell, deadline_ms, may_read, free, lease_call_new(self, mail));
    else if (mail->passes || applied_enough(self, mail))
        send_value(self, mail);
    else
        wait_to_fill(self, mail);
}

/* Those whose watermark is reached now are answered; those who waited too long are not. */
static void fill_waiting(struct lease_process *self)
{
    size_t kept = 0;

    for (size_t i = 0; i < self->filling_count; i++) {
        struct lease_filling *filling = &self->fillings[i];

        if (filling->until_ms < lease_process_now_ms(self))
            continue;
        if (applied_enough(self, &filling->mail))
            send_value(self, &filling->mail);
        else
            self->fillings[kept++] = *filling;
    }
    self->filling_count = kept;
}

void sim_lease_node_receive(struct sim *sim, struct sim_node *node, const struct lease_mail *mail)
{
    struct lease_process *self = process_of(node);

    (void)sim;
    tell_commit(self);
    switch (mail->kind) {
    case LEASE_MAIL_WRITE: receive_write(self, mail); break;
    case LEASE_MAIL_ASK: receive_ask(self, mail); break;
    case LEASE_MAIL_CLOSE:
        (void)lease_table_leave(self->table, mail->session, lease_process_now_ms(self));
        break;
    default:
        assert(mail->kind == LEASE_MAIL_READ); /* the others are for caches */
        receive_read(self, mail);
    }
    lease_process_act(self);
}

/* ---- The process -------------------------------------------------------------------------------- */

void sim_lease_node_born(struct sim *sim, struct sim_node *node)
{
    struct lease_process *self = alloc_zero(sizeof *self);

    self->shell = sim_shell_new(sim, node);
    self->sim = sim;
    self->node = node;
    self->table = lease_table_new();
    self->armed_us = INT64_MAX;
    node->process = self;
}

void sim_lease_node_resumed(struct sim *sim, struct sim_node *node, int64_t paused_us)
{
    sim->counts.long_leader_pauses += node->lead_term != 0 && paused_us > LEASE_WAIT_MS * 1000;
}

void sim_lease_node_died(struct sim *sim, struct sim_node *node)
{
    struct lease_process *self = process_of(node);

    sim_lease_node_count(sim, node);
    sim_shell_destroy(&self->shell);
    lease_table_destroy(&self->table);
    while (self->waiting != NULL)
        lease_waiting_end(self, self->waiting->ticket, NULL);
    free(self);
    node->process = NULL;
}

void sim_lease_node_count(struct sim *sim, const struct sim_node *node)
{
    struct lease_counts counts;

    lease_table_count(process_of(node)->table, &counts);
    sim->counts.approvals += counts.approvals;
    sim->counts.spared += counts.spared;
    sim->counts.lapses += counts.lapses;
}

static void take_lead(struct lease_process *self)
{
    const int64_t now_ms = lease_process_now_ms(self);
    int64_t since_ms = self->node->role_since_ms - lease_process_short_ms();
    size_t count;
    const uint64_t *sessions = lease_machine_sessions(self->node->machine, &count);

    if (sim_mutation_is(MUTATION_LEASE_TAKEOVER))
        since_ms -= 10 * LEASE_MS;
    self->epoch_count = 0;
    tell_commit(self);
    lease_table_lead(self->table, self->node->lead_term, sessions, count, since_ms, now_ms);
}

/* MUTATION_LEASE_BARRIER: what log time is now is known when the barrier is applied, and no sooner. */
static void lead_shell(struct lease_process *self)
{
    if (self->appends || !leads(self) || !sim_node_serves(self->node))
        return;
    self->appends = true;
    sim_shell_lead(self->shell, true);
}

void sim_lease_node_lead(struct sim *sim, struct sim_node *node, bool now_leads)
{
    struct lease_process *self = process_of(node);

    (void)sim;
    if (now_leads) {
        lead_shell(self);
        take_lead(self);
        lease_process_act(self);
    } else {
        lease_table_retire(self->table);
        lease_process_act(self);
        if (!self->appends)
            sim_shell_lead(self->shell, true);
        self->appends = false;
        sim_shell_lead(self->shell, false);
    }
}

void sim_lease_node_applied(struct sim *sim, struct sim_node *node, const struct log_entry *entry,
                            void *result)
{
    struct lease_process *self = process_of(node);
    const uint64_t session = ((const struct lease_result *)result)->session;
    struct lease_command command;

    (void)sim;
    tell_commit(self);
    if (leads(self) && session != 0)
        lease_table_opened(self->table, session, lease_process_now_ms(self));
    else if (leads(self) && lease_command_decode(&command, entry) && command.op == LEASE_OP_CLOSE)
        lease_table_closed(self->table, command.session, lease_process_now_ms(self));
    lease_process_act(self);
    sim_shell_applied(self->shell, entry, result);
}

void sim_lease_node_settled(struct sim *sim, struct sim_node *node)
{
    struct lease_process *self = process_of(node);

    (void)sim;
    tell_commit(self);
    lead_shell(self);
    fill_waiting(self);
    sim_shell_settled(self->shell);
}

void sim_lease_node_served(struct sim *sim, struct sim_node *node, const struct sim_read *read)
{
    (void)sim;
    sim_shell_served(process_of(node)->shell, read);
}
