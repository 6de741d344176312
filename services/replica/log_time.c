/* See log_time.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/log_time.h"

#include <assert.h>

#include "broker/bus/limits.h"

void log_time_init(struct log_time *self)
{
    *self = (struct log_time){0};
}

void log_time_start(struct log_time *self, int64_t now_ms)
{
    assert(!self->running);
    self->running = true;
    self->last_ms = self->applied_ms;
    self->base_ms = self->applied_ms;
    self->since_ms = now_ms;
}

void log_time_stop(struct log_time *self)
{
    assert(self->running);
    self->running = false;
}

/* What an entry proposed at @now_ms would get. */
static int64_t log_time_at(const struct log_time *self, int64_t now_ms)
{
    int64_t time_ms = self->base_ms + (now_ms - self->since_ms);

    assert(self->running);
    assert(now_ms >= self->since_ms);
    return time_ms > self->last_ms ? time_ms : self->last_ms;
}

int64_t log_time_propose(struct log_time *self, int64_t now_ms)
{
    self->last_ms = log_time_at(self, now_ms);
    return self->last_ms;
}

void log_time_apply(struct log_time *self, int64_t log_time_ms)
{
    assert(log_time_ms >= self->applied_ms);
    assert(!self->running || log_time_ms <= self->last_ms);
    self->applied_ms = log_time_ms;
}

int64_t log_time_read(struct log_time *self, int64_t now_ms)
{
    int64_t time_ms = self->running ? log_time_at(self, now_ms) : self->applied_ms;
    int64_t bound_ms = self->applied_ms + LOG_TIME_AHEAD_MS_MAX;

    if (time_ms > bound_ms)
        time_ms = bound_ms;
    if (time_ms > self->told_ms)
        self->told_ms = time_ms;
    return self->told_ms;
}

bool log_time_tick_due(const struct log_time *self, int64_t now_ms)
{
    return self->running && log_time_at(self, now_ms) - self->last_ms >= LOG_TIME_TICK_MS;
}
