/* Commands and reads that wait: see replica_internal.h.
 *
 * Each queue is in the order of the log, or of the tickets: what is finished is at the front.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/replica_internal.h"

/* ---- Queues -------------------------------------------------------------------------------- */

static void submission_push(struct submission_queue *self, struct submission *submission)
{
    submission->next = NULL;
    if (self->last != NULL)
        self->last->next = submission;
    else
        self->first = submission;
    self->last = submission;
    self->count++;
}

static struct submission *submission_pop(struct submission_queue *self)
{
    struct submission *submission = self->first;

    assert(submission != NULL);
    self->first = submission->next;
    if (self->first == NULL)
        self->last = NULL;
    self->count--;
    return submission;
}

static struct submission *submission_new(enum log_entry_kind kind, const void *data, size_t size,
                                         replica_done_fn *done, void *arg)
{
    struct submission *self = alloc_zero(sizeof *self + size);

    self->kind = kind;
    self->done = done;
    self->arg = arg;
    self->size = size;
    if (size > 0)
        memcpy(self->data, data, size);
    return self;
}

static void reading_push(struct reading_queue *self, struct reading *reading)
{
    reading->next = NULL;
    if (self->last != NULL)
        self->last->next = reading;
    else
        self->first = reading;
    self->last = reading;
}

static struct reading *reading_pop(struct reading_queue *self)
{
    struct reading *reading = self->first;

    assert(reading != NULL);
    self->first = reading->next;
    if (self->first == NULL)
        self->last = NULL;
    return reading;
}

/* ---- Commands ------------------------------------------------------------------------------ */

/* Say once that the space has run low, and once that it is back. */
static bool replica_disk_low(struct replica *self)
{
    bool low = directory_space_low(self->directory, clock_ms());

    if (low != self->disk_low) {
        log_write(self->log, low ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO,
                  low ? "too little free space: writes are refused" : "writes are accepted again",
                  LOG_INT("free_bytes_min", directory_free_bytes_min(self->directory)));
        metric_set(self->series.disk_low, low ? 1 : 0);
    }
    self->disk_low = low;
    return low;
}

static int replica_admit(struct replica *self, size_t size)
{
    if (!self->leader || self->closing || clock_ms() < self->transfer_until_ms)
        return ERR_NOT_LEADER;
    if (size > ENTRY_BYTES_MAX)
        return ERR_TOO_LARGE;
    if (self->pending_count >= SUBMIT_COUNT_MAX || self->pending_bytes + size > SUBMIT_BYTES_MAX)
        return ERR_BUSY;
    return replica_disk_low(self) ? ERR_DISK_LOW : 0;
}

int replica_submit(struct replica *self, const void *command, size_t size, replica_done_fn *done,
                   void *arg)
{
    assert(done != NULL);
    int result = replica_admit(self, size);
    metric_add(result == 0 ? self->series.accepted : self->series.refused, 1);
    if (result != 0)
        return result;
    submission_push(&self->waiting, submission_new(LOG_ENTRY_COMMAND, command, size, done, arg));
    self->pending_count++;
    self->pending_bytes += size;
    return 0;
}

void replica_finish(struct replica *self, struct submission *submission, int code, void *result,
                    replica_index index)
{
    replica_done_fn *done = submission->done;
    void *arg = submission->arg;

    if (done != NULL) {
        self->pending_count--;
        self->pending_bytes -= submission->size;
    }
    free(submission);
    if (done != NULL)
        done(arg, code, result, index);
}

/* The entries of the next append: all that wait, APPEND_COUNT_MAX at most. Returns how many. */
static size_t replica_gather(struct replica *self)
{
    int64_t now_ms = clock_ms();
    int64_t wall_ms = clock_wall_ms();
    size_t count = 0;

    for (const struct submission *submission = self->waiting.first;
         submission != NULL && count < APPEND_COUNT_MAX; submission = submission->next)
        self->append[count++] = (struct log_entry){
            .kind = submission->kind,
            .log_time_ms = log_time_propose(&self->time, now_ms),
            .wall_ms = wall_ms,
            .data = submission->data,
            .size = submission->size,
        };
    return count;
}

/* The first @count of those waiting are in the log, from @first on. */
static void replica_appended(struct replica *self, replica_index first, size_t count)
{
    /* Nothing outlives the leadership in which it was submitted: replica_lose_lead() is first. */
    assert(consensus_term_of(self->consensus, first) == self->lead_term);
    for (size_t i = 0; i < count; i++) {
        struct submission *submission = submission_pop(&self->waiting);
        submission->index = first + i;
        submission->term = self->lead_term;
        if (submission->done != NULL)
            submission_push(&self->under_way, submission);
        else
            free(submission);
    }
}

/* Call back those that wait now: nothing of them was ever appended. */
static void replica_refuse_waiting(struct replica *self)
{
    for (size_t count = self->waiting.count; count > 0; count--)
        replica_finish(self, submission_pop(&self->waiting), ERR_NOT_LEADER, NULL, 0);
}

void replica_submit_waiting(struct replica *self)
{
    while (self->leader && self->waiting.count > 0 && self->unwritten_first == NULL &&
           disk_thread_pending(self->disk) < DISK_BATCH_COUNT_MAX) {
        replica_index first;
        size_t count = replica_gather(self);
        int code = consensus_submit(self->consensus, self->append, count, &first, clock_ms());
        if (code == ERR_BUSY)
            return; /* what is not committed yet is enough */
        if (code != 0) {
            replica_refuse_waiting(self); /* leadership is being handed over */
            return;
        }
        replica_appended(self, first, count);
        replica_settle(self);
    }
}

void replica_await_change(struct replica *self, replica_index index, replica_done_fn *done,
                          void *arg)
{
    struct submission *submission = submission_new(LOG_ENTRY_MEMBERSHIP, NULL, 0, done, arg);

    submission->index = index;
    submission->term = self->lead_term;
    submission_push(&self->under_way, submission);
    self->pending_count++;
}

void replica_drop_submissions(struct replica *self)
{
    replica_index commit_index = consensus_commit_index(self->consensus);
    struct submission_queue under_way = self->under_way;

    /* What is known to be committed keeps its place, and will be applied and called back. */
    self->under_way = (struct submission_queue){0};
    while (under_way.count > 0 && under_way.first->index <= commit_index &&
           consensus_term_of(self->consensus, under_way.first->index) == under_way.first->term)
        submission_push(&self->under_way, submission_pop(&under_way));
    while (under_way.count > 0)
        replica_finish(self, submission_pop(&under_way), ERR_UNKNOWN, NULL, 0);
    replica_refuse_waiting(self);
}

void replica_skip_submissions(struct replica *self)
{
    while (self->under_way.count > 0 && self->under_way.first->index <= self->snapshots.skip_index)
        replica_finish(self, submission_pop(&self->under_way), ERR_UNKNOWN, NULL, 0);
}

struct submission *replica_submission_of(struct replica *self, replica_index index,
                                         replica_term term)
{
    struct submission *first = self->under_way.first;

    assert(first == NULL || first->index >= index);
    if (first == NULL || first->index != index)
        return NULL;
    assert(first->term == term); /* see replica_drop_submissions */
    return submission_pop(&self->under_way);
}

void replica_tick(struct replica *self, int64_t now_ms)
{
    if (now_ms < self->tick_ms)
        return;
    self->tick_ms = now_ms + LOG_TIME_TICK_MS;
    if (self->leader && log_time_tick_due(&self->time, now_ms))
        submission_push(&self->waiting, submission_new(LOG_ENTRY_BARRIER, NULL, 0, NULL, NULL));
}

/* ---- Reads --------------------------------------------------------------------------------- */

/* Returns 0, or why there can't be another one. */
static int replica_admit_read(const struct replica *self)
{
    if (self->closing || replica_is_leaving(self))
        return ERR_UNAVAILABLE;
    return self->read_count >= READS_MAX ? ERR_BUSY : 0;
}

static void replica_add_read(struct replica *self, struct reading_queue *queue,
                             const struct reading *read)
{
    struct reading *reading = alloc_zero(sizeof *reading);

    *reading = *read;
    reading_push(queue, reading);
    self->read_count++;
    if (reading->deadline_ms < self->read_deadline_ms)
        self->read_deadline_ms = reading->deadline_ms;
}

int replica_read(struct replica *self, int64_t deadline_ms, replica_read_fn *done, void *arg)
{
    const struct reading read = {.deadline_ms = deadline_ms, .done = done, .arg = arg};
    const int result = replica_admit_read(self);

    if (result == 0)
        replica_add_read(self, &self->asked, &read);
    return result;
}

int replica_read_at(struct replica *self, replica_index index, int64_t deadline_ms,
                    replica_read_fn *done, void *arg)
{
    const struct reading read = {
        .index = index, .deadline_ms = deadline_ms, .done = done, .arg = arg};
    const int result = replica_admit_read(self);

    if (result != 0)
        return result;
    replica_add_read(self, &self->indexed, &read);
    if (index < self->read_index)
        self->read_index = index;
    return 0;
}

void replica_ask_reads(struct replica *self)
{
    if (self->asked.first == NULL)
        return;
    /* All of a turn share a ticket, which was asked for after the last of them came. */
    uint64_t ticket = consensus_read(self->consensus, clock_ms());
    while (self->asked.first != NULL) {
        struct reading *reading = reading_pop(&self->asked);
        reading->ticket = ticket;
        reading_push(&self->unconfirmed, reading);
    }
    replica_settle(self);
}

void replica_confirm_reads(struct replica *self, uint64_t ticket, replica_index index)
{
    while (self->unconfirmed.first != NULL && self->unconfirmed.first->ticket <= ticket) {
        struct reading *reading = reading_pop(&self->unconfirmed);
        reading->index = index;
        reading_push(&self->confirmed, reading);
    }
}

static void replica_end_read(struct replica *self, struct reading *reading, int code)
{
    replica_read_fn *done = reading->done;
    void *arg = reading->arg;

    self->read_count--;
    free(reading);
    done(arg, code);
}

/* Take those out of `indexed` whose index is applied, into @ready. Each look finds one at least,
 * but for one that follows an expiry. */
static void reading_split_applied(struct replica *self, struct reading_queue *ready)
{
    struct reading_queue all = self->indexed;

    self->indexed = (struct reading_queue){0};
    self->read_index = UINT64_MAX;
    while (all.first != NULL) {
        struct reading *reading = reading_pop(&all);
        const bool applied = reading->index <= self->applied_index;
        if (!applied && reading->index < self->read_index)
            self->read_index = reading->index;
        reading_push(applied ? ready : &self->indexed, reading);
    }
}

/* What their callbacks ask for anew waits for the next time. */
static void replica_serve_indexed(struct replica *self)
{
    struct reading_queue ready = {0};

    if (self->read_index > self->applied_index)
        return;
    reading_split_applied(self, &ready);
    while (ready.first != NULL)
        replica_end_read(self, reading_pop(&ready), OK);
}

void replica_serve_reads(struct replica *self)
{
    replica_serve_indexed(self);
    while (self->confirmed.first != NULL && self->confirmed.first->index <= self->applied_index)
        replica_end_read(self, reading_pop(&self->confirmed), OK);
    if (self->read_count == 0)
        self->read_deadline_ms = INT64_MAX;
}

/* Take those out of @queue whose time is up, into @late. */
static void reading_split(struct reading_queue *queue, int64_t now_ms, struct reading_queue *late,
                          int64_t *deadline_ms)
{
    struct reading_queue all = *queue;

    *queue = (struct reading_queue){0};
    while (all.first != NULL) {
        struct reading *reading = reading_pop(&all);
        if (reading->deadline_ms > now_ms && reading->deadline_ms < *deadline_ms)
            *deadline_ms = reading->deadline_ms;
        reading_push(reading->deadline_ms > now_ms ? queue : late, reading);
    }
}

void replica_expire_reads(struct replica *self, int64_t now_ms)
{
    struct reading_queue late = {0};

    if (now_ms < self->read_deadline_ms)
        return;
    self->read_deadline_ms = INT64_MAX;
    reading_split(&self->asked, now_ms, &late, &self->read_deadline_ms);
    reading_split(&self->unconfirmed, now_ms, &late, &self->read_deadline_ms);
    reading_split(&self->confirmed, now_ms, &late, &self->read_deadline_ms);
    reading_split(&self->indexed, now_ms, &late, &self->read_deadline_ms);
    /* Each look goes over all of them: not for every single one. */
    if (self->read_deadline_ms < now_ms + READ_LOOK_MS)
        self->read_deadline_ms = now_ms + READ_LOOK_MS;
    while (late.first != NULL)
        replica_end_read(self, reading_pop(&late), ERR_UNAVAILABLE);
}

void replica_drop_reads(struct replica *self)
{
    struct reading_queue *const queues[] = {&self->confirmed, &self->indexed, &self->unconfirmed,
                                            &self->asked};

    for (size_t i = 0; i < sizeof queues / sizeof queues[0]; i++)
        while (queues[i]->first != NULL)
            replica_end_read(self, reading_pop(queues[i]), ERR_UNAVAILABLE);
    assert(self->read_count == 0);
}
