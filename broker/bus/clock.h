/* The clocks, read in one place.
 *
 * Nothing pure includes this header: a pure module is told the time.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_CLOCK_H
#define PYGMY_BUS_CLOCK_H

#include <stdint.h>

/* Milliseconds of CLOCK_BOOTTIME: monotonic, and it counts the time that the machine slept, as
 * every deadline, lease and heartbeat here must (clock_gettime(2)). */
int64_t clock_ms(void);

/* The same in microseconds, for durations that are measured. */
int64_t clock_us(void);

/* Milliseconds since 1970, UTC. For people only: it may jump, and decides nothing. */
int64_t clock_wall_ms(void);

/* Write @wall_ms as RFC 3339 UTC with milliseconds ("2026-01-02T03:04:05.678Z") into @text, which
 * has room for CLOCK_TEXT_BYTES. What it can't say (before 1970, after 9999) becomes the beginning
 * of 1970. Returns @text. */
#define CLOCK_TEXT_BYTES 32
char *clock_text(int64_t wall_ms, char *text);

#endif
