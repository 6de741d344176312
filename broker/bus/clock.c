/* See clock.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/clock.h"

#include <assert.h>
#include <stdbool.h>
#include <time.h>

#define CLOCK_TEXT_MS_MAX INT64_C(253402300799999) /* the end of 9999, RFC 3339's last year */

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

/* Write @number as so many digits, and what comes after it. Returns where that ends. */
static char *clock_put(char *text, int number, int digits, char after)
{
    for (int i = digits - 1; i >= 0; i--, number /= 10)
        text[i] = (char)('0' + number % 10);
    text[digits] = after;
    return text + digits + 1;
}

/* By hand, because each line of a log has one: strftime(3) and snprintf(3) take longer than all
 * else about the line. */
char *clock_text(int64_t wall_ms, char *text)
{
    bool known = wall_ms >= 0 && wall_ms <= CLOCK_TEXT_MS_MAX;
    time_t seconds = known ? (time_t)(wall_ms / 1000) : 0;
    struct tm parts;
    char *at = text;

    const struct tm *done = gmtime_r(&seconds, &parts);
    assert(done != NULL);
    (void)done;
    at = clock_put(at, parts.tm_year + 1900, 4, '-');
    at = clock_put(at, parts.tm_mon + 1, 2, '-');
    at = clock_put(at, parts.tm_mday, 2, 'T');
    at = clock_put(at, parts.tm_hour, 2, ':');
    at = clock_put(at, parts.tm_min, 2, ':');
    at = clock_put(at, parts.tm_sec, 2, '.');
    at = clock_put(at, known ? (int)(wall_ms % 1000) : 0, 3, 'Z');
    *at = '\0';
    return text;
}
