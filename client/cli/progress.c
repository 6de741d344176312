/* A progress bar.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/progress.h"

#include <stdio.h>

#include "broker/bus/clock.h"

#define BAR_COLUMNS 30
#define DRAW_MS     100

void progress_set(struct progress *self, int64_t done, const char *note)
{
    int64_t now_ms = clock_ms();
    if (!self->shown || (self->drawn_ms != 0 && now_ms - self->drawn_ms < DRAW_MS))
        return;
    int64_t part = done < self->total ? done : self->total;
    int filled = (int)(part * BAR_COLUMNS / self->total);
    fprintf(stderr, "\r%s [%.*s%*s] %3d %%  %s\033[K", self->label, filled,
            "==============================", BAR_COLUMNS - filled, "",
            (int)(part * 100 / self->total), note);
    fflush(stderr);
    self->drawn_ms = now_ms;
}

void progress_end(struct progress *self)
{
    if (self->shown && self->drawn_ms != 0)
        fputs("\r\033[K", stderr);
    self->drawn_ms = 0;
}
