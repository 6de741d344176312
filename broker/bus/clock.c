/* See clock.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/clock.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

static int64_t clock_read_us(clockid_t id)
{
    struct timespec now;
    int result = clock_gettime(id, &now);
    assert(result == 0);
    (void)result;
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_ms(void)
{
    return clock_read_us(CLOCK_BOOTTIME) / 1000;
}

int64_t clock_us(void)
{
    return clock_read_us(CLOCK_BOOTTIME);
}

int64_t clock_wall_ms(void)
{
    return clock_read_us(CLOCK_REALTIME) / 1000;
}

char *clock_text(int64_t wall_ms, char *text)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    char day[CLOCK_TEXT_BYTES - 5]; /* ten digits of a year fit: gmtime_r knows no more */

    bool known = wall_ms >= 0 && gmtime_r(&seconds, &parts) != NULL &&
                 strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &parts) > 0;
    snprintf(text, CLOCK_TEXT_BYTES, "%s.%03dZ", known ? day : "1970-01-01T00:00:00",
             known ? (int)(wall_ms % 1000) : 0);
    return text;
}
