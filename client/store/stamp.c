/* The catalog's log time, as last heard.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/store/stamp.h"

#include "broker/bus/limits.h"

void stamp_learn(struct stamp *self, int64_t log_time_ms, int64_t now_ms)
{
    if (log_time_ms < 0)
        return;
    *self = (struct stamp){.known = true, .log_time_ms = log_time_ms, .learnt_ms = now_ms};
}

bool stamp_get(const struct stamp *self, int64_t now_ms, int64_t *log_time_ms)
{
    if (!self->known || now_ms - self->learnt_ms > STAMP_FRESH_MS)
        return false;
    *log_time_ms = self->log_time_ms;
    return true;
}

void stamp_forget(struct stamp *self)
{
    self->known = false;
}
