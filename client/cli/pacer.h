/* Beats at a fixed rate, counted also when nobody listened.
 *
 * A load generator with a rate of its own must know when each request *should*
 * have gone out, however late it does: a slow answer must not excuse the
 * requests that it holds up. This is a periodic timerfd: beat k is due at
 * begin + k / rate.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_PACER_H
#define PYGMY_CLI_PACER_H

#include <czmq.h>
#include <stdint.h>

#define PACER_RATE_MAX 1000000

struct pacer;

/* @count beats, 1 or more, have become due since the last call. */
typedef void pacer_fn(void *arg, uint64_t count);

/* Beat @rate times a second, more than 0 to PACER_RATE_MAX, from now on. */
struct pacer *pacer_new(zloop_t *loop, double rate, pacer_fn *handler, void *arg);
/* Accepts NULL. */
void pacer_destroy(struct pacer **self_p);

/* When beat @number, from 0, is due: on clock_us(). */
int64_t pacer_due_us(const struct pacer *self, uint64_t number);

#endif
