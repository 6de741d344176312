/* A progress bar on standard error: one line that is written over.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_PROGRESS_H
#define PYGMY_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool shown;        /* nothing is written otherwise */
    const char *label; /* before the bar */
    int64_t total;     /* 1 or more */
    int64_t drawn_ms;  /* when it was last drawn; 0: never */
};

/* Draw it for @done of the total; at most ten times a second. @note is written after the bar, on
 * the same line. */
void progress_set(struct progress *self, int64_t done, const char *note);

/* Wipe the line, so that what is written next stands alone. */
void progress_end(struct progress *self);

#endif
