/* See sim_shell.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_shell.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/log_time.h"
#include "tests/sim/sim_check.h"

/* What one of a group's own clients may leave uncommitted, in so many parts. */
#define BACKLOG_PART 8

struct submission {
    struct submission *next;
    sim_shell_done_fn *done;
    void (*drop)(void *arg);
    void *arg;
    replica_index floor; /* what had been shown when it began */
    replica_index index; /* 0: it waits to be appended */
    replica_term term;
    void *result; /* applied, and not called back yet */
    size_t size;
    uint8_t data[];
};

struct submissions {
    struct submission *first;
    struct submission **end; /* where the next one goes */
    size_t count;
};

struct reading {
    struct reading *next;
    sim_shell_read_fn *done;
    void (*drop)(void *arg);
    void *arg;
    uint64_t ticket; /* 0: it is not asked for yet */
    uint64_t number;
};

struct sim_shell {
    struct sim *sim;
    struct sim_node *node;
    struct log_time time;
    struct submissions waiting;
    struct submissions under_way; /* in the order of the log */
    struct submissions applied;
    struct reading *readings;
    uint64_t readings_made;
    bool flushing; /* it is due, in a moment */
};

/* ---- Queues ------------------------------------------------------------------------------------- */

static void push(struct submissions *self, struct submission *submission)
{
    submission->next = NULL;
    *self->end = submission;
    self->end = &submission->next;
    self->count++;
}

static struct submission *pop(struct submissions *self)
{
    struct submission *first = self->first;

    self->first = first->next;
    if (self->first == NULL)
        self->end = &self->first;
    self->count--;
    return first;
}

static void finish(struct submission *submission, int code, void *result)
{
    sim_shell_done_fn *done = submission->done;
    void *arg = submission->arg;

    free(submission);
    done(arg, code, result);
}

/* Those that are there now: what their callbacks submit is of the next time. */
static void finish_all(struct submissions *self, int code)
{
    for (size_t count = self->count; count > 0; count--)
        finish(pop(self), code, NULL);
}

struct sim_shell *sim_shell_new(struct sim *sim, struct sim_node *node)
{
    struct sim_shell *self = alloc_zero(sizeof *self);

    self->sim = sim;
    self->node = node;
    self->waiting.end = &self->waiting.first;
    self->under_way.end = &self->under_way.first;
    self->applied.end = &self->applied.first;
    log_time_init(&self->time);
    log_time_apply(&self->time, node->applied.log_time_ms);
    return self;
}

static void drop_all(struct sim_shell *self, struct submissions *queue)
{
    while (queue->count > 0) {
        struct submission *submission = pop(queue);

        self->sim->use->machine->release(self->node->machine, submission->result);
        submission->drop(submission->arg);
        free(submission);
    }
}

void sim_shell_destroy(struct sim_shell **self_p)
{
    struct sim_shell *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    drop_all(self, &self->waiting);
    drop_all(self, &self->under_way);
    drop_all(self, &self->applied);
    while (self->readings != NULL) {
        struct reading *reading = self->readings;

        self->readings = reading->next;
        reading->drop(reading->arg);
        free(reading);
    }
    free(self);
}

/* ---- Leadership and time ------------------------------------------------------------------------ */

bool sim_shell_leads(const struct sim_shell *self)
{
    return self->node->lead_term != 0;
}

static int64_t now_ms(const struct sim_shell *self)
{
    return sim_node_now_ms(self->sim, self->node);
}

int64_t sim_shell_log_time_ms(struct sim_shell *self)
{
    return log_time_read(&self->time, now_ms(self));
}

/* What is known to be committed keeps its place. */
static void drop_submissions(struct sim_shell *self)
{
    struct submissions kept = {0}, all = self->under_way;
    const struct consensus *consensus = self->node->consensus;

    kept.end = &kept.first;
    if (all.count == 0)
        all.end = &all.first;
    while (all.count > 0 && all.first->index <= self->node->commit &&
           consensus_term_of(consensus, all.first->index) == all.first->term)
        push(&kept, pop(&all));
    self->under_way = kept;
    if (kept.count == 0)
        self->under_way.end = &self->under_way.first;
    while (all.count > 0)
        finish(pop(&all), ERR_UNKNOWN, NULL);
    finish_all(&self->waiting, ERR_NOT_LEADER);
}

void sim_shell_lead(struct sim_shell *self, bool leads)
{
    if (leads) {
        log_time_start(&self->time, now_ms(self));
        return;
    }
    log_time_stop(&self->time);
    drop_submissions(self);
}

/* ---- Flushing ----------------------------------------------------------------------------------- */

static void gather(struct sim_shell *self, struct log_entry *entries)
{
    const struct submission *submission = self->waiting.first;

    for (size_t i = 0; submission != NULL; submission = submission->next, i++)
        entries[i] = (struct log_entry){
            .kind = LOG_ENTRY_COMMAND,
            .log_time_ms = log_time_propose(&self->time, now_ms(self)),
            .wall_ms = sim_now_ms(self->sim) + 1, /* all wall clocks are right, here */
            .data = submission->data,
            .size = submission->size,
        };
}

/* Returns the driver's code. ERR_BUSY: they go on waiting. */
static int append(struct sim_shell *self)
{
    const size_t count = self->waiting.count;
    struct log_entry *entries = alloc_zero(count * sizeof *entries);
    replica_index first = 0;
    int code;

    gather(self, entries);
    code = sim_node_submit(self->sim, self->node->slot, entries, count, &first);
    free(entries);
    sim_trace(self->sim, self->node->slot, "submit %zu: %d", count, code);
    for (size_t i = 0; code == 0 && i < count; i++) {
        struct submission *submission = pop(&self->waiting);

        submission->index = first + i;
        submission->term = self->node->lead_term;
        push(&self->under_way, submission);
    }
    return code;
}

static void served_at_once(struct sim_shell *self)
{
    struct sim_read read = {0};

    sim_shell_served(self, &read);
}

static void ask(struct sim_shell *self)
{
    bool wanted = false;
    uint64_t ticket;

    for (struct reading *r = self->readings; r != NULL; r = r->next)
        wanted = wanted || r->ticket == 0;
    if (!wanted)
        return;
    if (sim_mutation_is(MUTATION_STORE_READ)) {
        served_at_once(self);
        return;
    }
    ticket = sim_node_ask(self->sim, self->node->slot);
    for (struct reading *r = self->readings; r != NULL && ticket != 0; r = r->next)
        if (r->ticket == 0)
            r->ticket = ticket;
    if (ticket != 0)
        sim_node_turn_after(self->sim, self->node->slot, 0);
}

static void flush(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = sim->nodes[event->node];
    struct sim_shell *self = *(struct sim_shell **)node->process;
    int code = 0;

    if (sim_node_deferred(sim, event))
        return;
    self->flushing = false;
    if (self->waiting.count > 0 && self->time.running) {
        code = append(self);
        if (code != 0 && code != ERR_BUSY)
            finish_all(&self->waiting, ERR_NOT_LEADER); /* leadership is being handed over */
        sim_node_turn_after(sim, node->slot, code);
    }
    ask(self);
}

static void flush_soon(struct sim_shell *self)
{
    struct sim_event event = {.at_us = self->sim->world->now_us,
                              .fire = flush,
                              .node = self->node->slot,
                              .life = self->node->life};

    if (self->flushing)
        return;
    self->flushing = true;
    sim_at(self->sim, &event);
}

/* ---- Commands ----------------------------------------------------------------------------------- */

/* Enough is under way: callers who give up and ask again would only fill the log with what is there
 * already. */
static size_t backlog_max(const struct sim_shell *self)
{
    return self->sim->traits.backlog_max / BACKLOG_PART;
}

int sim_shell_submit(struct sim_shell *self, const void *command, size_t size,
                     sim_shell_done_fn *done, void (*drop)(void *arg), void *arg)
{
    struct submission *submission;

    if (!sim_shell_leads(self))
        return ERR_NOT_LEADER;
    if (self->waiting.count + self->under_way.count >= backlog_max(self))
        return ERR_BUSY;
    submission = alloc_zero(sizeof *submission + size);
    submission->done = done;
    submission->drop = drop;
    submission->arg = arg;
    submission->floor = sim_check_floor(self->sim);
    submission->size = size;
    memcpy(submission->data, command, size);
    push(&self->waiting, submission);
    flush_soon(self);
    return 0;
}

void sim_shell_applied(struct sim_shell *self, const struct log_entry *entry, void *result)
{
    struct submission *first = self->under_way.first;

    log_time_apply(&self->time, entry->log_time_ms);
    if (first == NULL || first->index != entry->index) {
        self->sim->use->machine->release(self->node->machine, result);
        return;
    }
    if (first->term != entry->term)
        sim_fail(self->sim, "a submission waits for another entry's result");
    first->result = result;
    sim_check_acknowledged(self->sim, self->node, entry, first->floor);
    push(&self->applied, pop(&self->under_way));
}

void sim_shell_settled(struct sim_shell *self)
{
    /* What a snapshot has passed by is not applied here any more. */
    while (self->under_way.count > 0 && self->under_way.first->index <= self->node->applied.index)
        finish(pop(&self->under_way), ERR_UNKNOWN, NULL);
    for (size_t count = self->applied.count; count > 0; count--) {
        struct submission *submission = pop(&self->applied);

        finish(submission, OK, submission->result);
    }
    if (self->waiting.count > 0)
        flush_soon(self); /* there is room now */
}

/* ---- Reads -------------------------------------------------------------------------------------- */

static struct reading *take_out(struct reading **place)
{
    struct reading *reading = *place;

    *place = reading->next;
    return reading;
}

static void end_reading(struct reading *reading, int code)
{
    sim_shell_read_fn *done = reading->done;
    void *arg = reading->arg;

    free(reading);
    done(arg, code);
}

/* Take those of that ticket out first: what is called may ask for more. */
void sim_shell_served(struct sim_shell *self, const struct sim_read *read)
{
    struct reading *due = NULL, **end = &due;

    for (struct reading **place = &self->readings; *place != NULL;) {
        if ((*place)->ticket == read->ticket) {
            *end = take_out(place);
            end = &(*end)->next;
        } else {
            place = &(*place)->next;
        }
    }
    *end = NULL;
    while (due != NULL)
        end_reading(take_out(&due), OK);
}

static void expire(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = sim->nodes[event->node];
    struct sim_shell *self = *(struct sim_shell **)node->process;
    struct reading **place = &self->readings;

    if (sim_node_deferred(sim, event))
        return;
    while (*place != NULL && (*place)->number != event->argument)
        place = &(*place)->next;
    if (*place != NULL)
        end_reading(take_out(place), ERR_UNAVAILABLE);
}

void sim_shell_read(struct sim_shell *self, int64_t deadline_ms, sim_shell_read_fn *done,
                    void (*drop)(void *arg), void *arg)
{
    struct reading *reading = alloc_zero(sizeof *reading);
    struct reading **end = &self->readings;
    struct sim_event event = {.at_us = sim_node_due_us(self->node, deadline_ms) + 999,
                              .fire = expire,
                              .node = self->node->slot,
                              .life = self->node->life};

    reading->done = done;
    reading->drop = drop;
    reading->arg = arg;
    reading->number = event.argument = ++self->readings_made;
    while (*end != NULL)
        end = &(*end)->next;
    *end = reading;
    sim_at(self->sim, &event);
    flush_soon(self);
}
