/* Log lines: one for each event, logfmt, on stderr.
 *
 *   ts=2026-01-02T03:04:05.678Z level=info comp=order node=order-1 msg="took the lead" term=7
 *
 * Values with blanks, quotes, '=' or anything but visible ASCII are quoted and escaped: nobody can
 * forge a line by what they send. A value above LOG_VALUE_BYTES_MAX is cut and ends in "...". Never
 * log keys' secrets or tokens. Any thread may write.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_LOG_H
#define PYGMY_BUS_LOG_H

#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

struct log;

/* @component ("broker") and @node ("broker-1") stand on each line; both are copied. Standard error
 * stays the kind of thing that it is now (a file, a pipe). */
struct log *log_new(const char *component, const char *node, enum log_level level);
void log_destroy(struct log **self_p);
/* Parse "debug", "info", "warn", "error"; -1 if it is none of them. */
int log_level_parse(const char *text);

/* Write a line: @message, then any number of fields, built with the macros below, or LOG_END alone:
 *
 *   log_write(log, LOG_LEVEL_INFO, "took the lead", LOG_INT("term", term));
 *
 * A NULL @self writes nothing (tests). errno is left as it was. */
struct log_field {
    const char *name; /* NULL ends the list */
    enum { LOG_FIELD_TEXT, LOG_FIELD_INT, LOG_FIELD_UINT } kind;
    const char *text; /* NULL is written as "" */
    int64_t number;
};

#define LOG_TEXT(name, value) ((struct log_field){(name), LOG_FIELD_TEXT, (value), 0})
#define LOG_INT(name, value)  ((struct log_field){(name), LOG_FIELD_INT, 0, (int64_t)(value)})
#define LOG_UINT(name, value) ((struct log_field){(name), LOG_FIELD_UINT, 0, (int64_t)(value)})

/* Alone where a line has no fields. */
#define LOG_END ((struct log_field){0})

#define log_write(self, level, message, ...)                                                       \
    log_write_fields((self), (level), (message), (const struct log_field[]){__VA_ARGS__, LOG_END})
void log_write_fields(struct log *self, enum log_level level, const char *message,
                      const struct log_field *fields);

/* From here to log_release() lines for a file are kept, up to LOG_HELD_BYTES_MAX of them, and then
 * written together: for whoever writes many in one go, one for each request. A warning or an error
 * is written at once, and what was kept before it. Not for a log to which several threads write.
 * Does not nest; NULL does nothing. */
void log_hold(struct log *self);
void log_release(struct log *self);

#endif
