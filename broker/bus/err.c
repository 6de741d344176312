/* See err.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/err.h"

#include <stddef.h>
#include <string.h>

static const struct err_row {
    int code;
    int http;
    const char *type;
    const char *title;
} err_rows[] = {
#define X(name, code, http, type, title) {code, http, type, title},
    ERR_TABLE(X)
#undef X
};

#define ERR_ROWS (sizeof err_rows / sizeof err_rows[0])

static const struct err_row *err_find(int code)
{
    for (size_t i = 0; i < ERR_ROWS; i++)
        if (err_rows[i].code == code)
            return &err_rows[i];
    return NULL;
}

/* The row that stands for codes we don't know: nothing may be concluded from them. */
static const struct err_row *err_row(int code)
{
    const struct err_row *row = err_find(code);
    return row != NULL ? row : err_find(ERR_UNKNOWN);
}

const char *err_type(int code)
{
    return err_row(code)->type;
}

const char *err_title(int code)
{
    return err_row(code)->title;
}

int err_http(int code)
{
    return err_row(code)->http;
}

bool err_is_unknown(int code)
{
    switch (err_row(code)->code) {
    case ERR_WORKER_LOST:
    case ERR_TIMEOUT:
    case ERR_UNKNOWN:
    case ERR_INTERNAL: return true;
    default: return false;
    }
}

bool err_is_verdict(int code)
{
    switch (code) {
    case OK:
    case ERR_TOO_LARGE:
    case ERR_INVALID:
    case ERR_NOT_FOUND:
    case ERR_OUT_OF_STOCK:
    case ERR_KEY_REUSED:
    case ERR_KEY_MISSING:
    case ERR_STAMP_OLD:
    case ERR_STATE:
    case ERR_EXISTS:
    case ERR_VERSION_CONFLICT:
    case ERR_VERSION_REQUIRED:
    case ERR_LIMIT: return true;
    default: return false;
    }
}

bool err_is_retryable(int code)
{
    switch (err_row(code)->code) {
    case ERR_NO_SERVICE:
    case ERR_QUEUE_FULL:
    case ERR_EXPIRED:
    case ERR_NOT_LEADER:
    case ERR_DRAINING:
    case ERR_NO_BROKER:
    case ERR_DISK_LOW:
    case ERR_BUSY:
    case ERR_UNAVAILABLE: return true;
    default: return err_is_unknown(code);
    }
}
