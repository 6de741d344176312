/* Whether a call is sent again, after which pause, and what its caller is told in the end.
 *
 * Pure: codes and times come in, decisions go out.
 *
 * A call is sent again while time is left and the outcome allows it
 * (err_is_retryable). For a write, the honest part is the memory: once an
 * attempt has ended unknown, no later "not attempted" can undo that, so the
 * call as a whole ends unknown, unless a later attempt got the store's own
 * verdict, which holds for the key.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_STORE_RETRY_H
#define PYGMY_STORE_RETRY_H

#include <stdbool.h>
#include <stdint.h>

struct retry {
    bool write;    /* the call changes something */
    uint64_t seed; /* spreads the pauses of calls that failed together; any number */
    int attempts;  /* attempts whose outcome was taken in */
    bool unknown;  /* one of them may have taken effect */
};

/* Take in the outcome @code of an attempt, with @left_ms until the call's deadline.
 *
 * @pause_ms  when true is returned: how long to wait before the next attempt, 1 to
 *            RETRY_PAUSE_MS_MAX and less than @left_ms
 *
 * Returns whether there is a next attempt. */
bool retry_take(struct retry *self, int code, int64_t left_ms, int64_t *pause_ms);

/* What the caller is told when the last attempt ended in @code: that code, or ERR_UNKNOWN. */
int retry_outcome(const struct retry *self, int code);

#endif
