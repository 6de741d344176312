/* Numbers, strictly.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/number.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool number_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Whether @text is a whole number, and its value held within int64_t. */
static bool number_scan(const char *text, int64_t *value)
{
    bool negative = *text == '-';
    const char *at = text + negative;
    int64_t sum = 0;
    if (!number_is_digit(*at))
        return false;
    /* Summed below zero, where there is one more. */
    for (; number_is_digit(*at); at++) {
        if (__builtin_mul_overflow(sum, 10, &sum) || __builtin_sub_overflow(sum, *at - '0', &sum))
            sum = INT64_MIN;
    }
    if (*at != '\0')
        return false;
    *value = negative ? sum : sum == INT64_MIN ? INT64_MAX : -sum;
    return true;
}

bool number_read(const char *text, int64_t min, int64_t max, int64_t *value)
{
    int64_t number;
    assert(min > INT64_MIN && max < INT64_MAX);
    if (!number_scan(text, &number) || number < min || number > max)
        return false;
    *value = number;
    return true;
}

char *number_why(const char *text, int64_t min, int64_t max, char *why)
{
    int64_t number;
    if (number_scan(text, &number))
        snprintf(why, NUMBER_WHY_BYTES, "must be %" PRId64 " to %" PRId64, min, max);
    else
        snprintf(why, NUMBER_WHY_BYTES, "is not a whole number (%" PRId64 " to %" PRId64 ")", min,
                 max);
    return why;
}

/* Read digits with an optional fraction. Returns what follows, or NULL when there is none. */
static const char *number_scan_real(const char *text, double *value)
{
    const char *at = text;
    double sum = 0;
    if (!number_is_digit(*at))
        return NULL;
    for (; number_is_digit(*at); at++)
        sum = sum * 10 + (*at - '0');
    if (*at == '.') {
        double weight = 1;
        if (!number_is_digit(*++at))
            return NULL;
        for (; number_is_digit(*at); at++)
            sum += (*at - '0') * (weight /= 10);
    }
    *value = sum;
    return at;
}

bool number_read_real(const char *text, double min, double max, double *value)
{
    double number;
    const char *rest = number_scan_real(text, &number);
    if (rest == NULL || *rest != '\0' || !(number >= min && number <= max))
        return false;
    *value = number;
    return true;
}

bool number_read_duration(const char *text, int64_t min_ms, int64_t max_ms, int64_t *value_ms)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60000}};
    double number;
    const char *unit = number_scan_real(text, &number);
    for (size_t i = 0; unit != NULL && i < sizeof units / sizeof *units; i++) {
        if (strcmp(unit, units[i].unit) != 0)
            continue;
        double ms = number * units[i].ms;
        if (!(ms >= (double)min_ms && ms <= (double)max_ms))
            return false;
        *value_ms = (int64_t)ms;
        return true;
    }
    return false;
}
