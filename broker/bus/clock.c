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

/* A day of the calendar. */
struct clock_date {
    int year;
    int month;
    int day;
};

/* The date so many days after 1970-01-01, by the rule of leap years alone: gmtime_r(3) takes a lock
 * and looks for a time zone, for each line of a log. Years begin in March here, so that the odd day
 * is their last; 719,468 days lie between the first day of year 0 and 1970. */
static struct clock_date clock_date_of(int64_t days)
{
    int64_t since = days + 719468;
    int64_t era = since / 146097; /* of 400 years */
    int64_t day = since % 146097;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int64_t day_of_year = day - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* 0: March */

    return (struct clock_date){
        .year = (int)(era * 400 + year + (month >= 10)),
        .month = (int)(month < 10 ? month + 3 : month - 9),
        .day = (int)(day_of_year - (153 * month + 2) / 5 + 1),
    };
}

/* By hand, because each line of a log has one: strftime(3) and snprintf(3) take longer than all
 * else about the line. */
char *clock_text(int64_t wall_ms, char *text)
{
    bool known = wall_ms >= 0 && wall_ms <= CLOCK_TEXT_MS_MAX;
    int64_t seconds = known ? wall_ms / 1000 : 0;
    int second_of_day = (int)(seconds % 86400);
    struct clock_date date = clock_date_of(seconds / 86400);
    char *at = text;

    at = clock_put(at, date.year, 4, '-');
    at = clock_put(at, date.month, 2, '-');
    at = clock_put(at, date.day, 2, 'T');
    at = clock_put(at, second_of_day / 3600, 2, ':');
    at = clock_put(at, second_of_day / 60 % 60, 2, ':');
    at = clock_put(at, second_of_day % 60, 2, '.');
    at = clock_put(at, known ? (int)(wall_ms % 1000) : 0, 3, 'Z');
    *at = '\0';
    return text;
}
