/* See auditor.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/auditor.h"

#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"

/* Between two slices, so that the loop turns. */
#define AUDITOR_SLICE_MS 1

struct auditor_waiter {
    auditor_done_fn *done;
    void *arg;
};

struct auditor {
    zloop_t *loop;
    struct audit *audit;
    struct metric *violations;
    int period_timer;
    int slice_timer; /* -1: no audit is wanted */
    struct auditor_waiter waiters[AUDIT_WAITERS_MAX];
    size_t waiter_count;
    size_t served_count; /* of the waiters, the first so many asked before the audit under way */
};

/* Tell the first @count waiters. Each may ask anew from its callback. */
static void auditor_tell(struct auditor *self, size_t count, int code,
                         const struct audit_result *result)
{
    struct auditor_waiter told[AUDIT_WAITERS_MAX];
    memcpy(told, self->waiters, count * sizeof told[0]);
    self->waiter_count -= count;
    self->served_count = 0;
    memmove(self->waiters, self->waiters + count, self->waiter_count * sizeof self->waiters[0]);
    for (size_t i = 0; i < count; i++)
        told[i].done(told[i].arg, code, result);
}

static void auditor_begin(struct auditor *self)
{
    int code = audit_begin(self->audit);
    if (code == OK)
        self->served_count = self->waiter_count;
    else
        auditor_tell(self, self->waiter_count, code, NULL);
}

static void auditor_step(struct auditor *self)
{
    struct audit_result result;
    if (!audit_step(self->audit, &result))
        return;
    metric_add(self->violations, (double)result.violations);
    auditor_tell(self, self->served_count, OK, &result);
}

static int auditor_on_slice(zloop_t *loop, int timer, void *arg)
{
    struct auditor *self = arg;
    if (audit_is_under_way(self->audit))
        auditor_step(self);
    else if (self->waiter_count > 0)
        auditor_begin(self);
    if (!audit_is_under_way(self->audit) && self->waiter_count == 0) {
        (void)zloop_timer_end(loop, timer);
        self->slice_timer = -1;
    }
    return 0;
}

static void auditor_wake(struct auditor *self)
{
    if (self->slice_timer < 0)
        self->slice_timer = zloop_timer(self->loop, AUDITOR_SLICE_MS, 0, auditor_on_slice, self);
}

/* The one that nobody asked for. */
static int auditor_on_period(zloop_t *loop, int timer, void *arg)
{
    struct auditor *self = arg;
    (void)loop;
    (void)timer;
    if (!audit_is_under_way(self->audit))
        auditor_begin(self);
    auditor_wake(self);
    return 0;
}

struct auditor *auditor_new(zloop_t *loop, const char *path, struct log *log,
                            struct metrics *metrics)
{
    struct auditor *self = alloc_zero(sizeof *self);
    self->loop = loop;
    self->audit = audit_new(path, log);
    self->slice_timer = -1;
    if (metrics != NULL)
        self->violations = metrics_counter(metrics, "pygmy_stock_invariant_violations_total", NULL,
                                           "Items found to break initial + moved - sold = stock.");
    self->period_timer = zloop_timer(loop, AUDIT_PERIOD_MS, 0, auditor_on_period, self);
    return self;
}

/* Who waits keeps the timer of the slices going, and so does an audit under way. */
void auditor_reset(struct auditor *self)
{
    audit_reset(self->audit);
    self->served_count = 0;
}

void auditor_destroy(struct auditor **self_p)
{
    struct auditor *self = *self_p;
    if (self == NULL)
        return;
    (void)zloop_timer_end(self->loop, self->period_timer);
    if (self->slice_timer >= 0)
        (void)zloop_timer_end(self->loop, self->slice_timer);
    auditor_tell(self, self->waiter_count, ERR_UNAVAILABLE, NULL);
    audit_destroy(&self->audit);
    free(self);
    *self_p = NULL;
}

int auditor_ask(struct auditor *self, auditor_done_fn *done, void *arg)
{
    if (self->waiter_count == AUDIT_WAITERS_MAX)
        return ERR_BUSY;
    self->waiters[self->waiter_count++] = (struct auditor_waiter){done, arg};
    auditor_wake(self);
    return OK;
}
