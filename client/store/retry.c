/* Retries: growing pauses, and what is honest to say at the end.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/store/retry.h"

#include "broker/bus/err.h"
#include "broker/bus/limits.h"

/* Half of the doubled step for certain, the other half spread by the call's seed: calls that
 * failed together don't come back together, and a test can say when they come. */
static int64_t retry_pause(const struct retry *self)
{
    int64_t step_ms = RETRY_PAUSE_MS_MIN;
    for (int i = 1; i < self->attempts && step_ms < RETRY_PAUSE_MS_MAX; i++)
        step_ms *= 2;
    if (step_ms > RETRY_PAUSE_MS_MAX)
        step_ms = RETRY_PAUSE_MS_MAX;
    uint64_t mixed = (self->seed + (uint64_t)self->attempts) * 0x9e3779b97f4a7c15u;
    return step_ms - (int64_t)((mixed >> 32) % (uint64_t)(step_ms / 2 + 1));
}

bool retry_take(struct retry *self, int code, int64_t left_ms, int64_t *pause_ms)
{
    self->attempts++;
    if (self->write && err_is_unknown(code))
        self->unknown = true;
    if (!err_is_retryable(code))
        return false;
    int64_t wait_ms = retry_pause(self);
    if (wait_ms >= left_ms)
        return false;
    *pause_ms = wait_ms;
    return true;
}

int retry_outcome(const struct retry *self, int code)
{
    if (!self->unknown || err_is_verdict(code) || err_is_unknown(code))
        return code;
    return ERR_UNKNOWN;
}
