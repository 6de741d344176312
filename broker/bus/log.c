/* See log.h.
 *
 * A line is put together in memory and leaves in one write(2), so that lines of several threads or
 * processes on one descriptor don't mix. A bridge writes one for each request, so what a line takes
 * is what a request takes: no printf(3) in it, and one allocation.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/bytes.h"
#include "broker/bus/clock.h"
#include "broker/bus/limits.h"

/* Nothing of it ever changes, and it is read by all threads; but for what is held, which is of the
 * one thread that there is then. */
struct log {
    char *origin; /* " comp=broker node=broker-1" */
    enum log_level level;
    bool to_file; /* standard error is a file, which takes each line at once */
    bool
        holding; /* never what is not a file: other processes' lines may be mixed with ours there */
    struct bytes_writer held; /* whole lines; LOG_HELD_BYTES_MAX and a line at most */
};

#define LOG_LINE_BYTES 256 /* most lines are shorter */

static const char *const log_level_names[] = {
    [LOG_LEVEL_DEBUG] = "debug",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_ERROR] = "error",
};

#define LOG_LEVELS ((int)(sizeof log_level_names / sizeof log_level_names[0]))

int log_level_parse(const char *text)
{
    for (int level = 0; level < LOG_LEVELS; level++)
        if (strcmp(log_level_names[level], text) == 0)
            return level;
    return -1;
}

static void log_put(struct bytes_writer *line, const char *text)
{
    bytes_put_raw(line, text, strlen(text));
}

/* Whether @byte may stand in a value as it is. All else is escaped: line breaks could forge a line,
 * and bytes above ASCII hold a terminal's control sequences. */
static bool log_is_plain(char byte)
{
    return byte >= 0x20 && byte <= 0x7e && byte != '"' && byte != '\\';
}

static void log_put_escaped(struct bytes_writer *line, char byte)
{
    char text[8];

    if (byte == '"' || byte == '\\')
        snprintf(text, sizeof text, "\\%c", byte);
    else if (byte == '\n')
        snprintf(text, sizeof text, "\\n");
    else
        snprintf(text, sizeof text, "\\x%02x", (unsigned char)byte);
    log_put(line, text);
}

static bool log_needs_quotes(const char *text, size_t size)
{
    if (size == 0)
        return true;
    for (size_t i = 0; i < size; i++)
        if (!log_is_plain(text[i]) || text[i] == ' ' || text[i] == '=')
            return true;
    return false;
}

static void log_put_text(struct bytes_writer *line, const char *name, const char *text)
{
    size_t size = strlen(text);
    bool cut = size > LOG_VALUE_BYTES_MAX;
    if (cut)
        size = LOG_VALUE_BYTES_MAX;

    log_put(line, " ");
    log_put(line, name);
    log_put(line, "=");
    if (!cut && !log_needs_quotes(text, size)) {
        bytes_put_raw(line, text, size);
        return;
    }
    log_put(line, "\"");
    for (size_t i = 0; i < size; i++) {
        if (log_is_plain(text[i]))
            bytes_put_raw(line, &text[i], 1);
        else
            log_put_escaped(line, text[i]);
    }
    log_put(line, cut ? "...\"" : "\"");
}

static void log_put_number(struct bytes_writer *line, const char *name, bool negative,
                           uint64_t amount)
{
    char digits[24];
    char *at = digits + sizeof digits;

    do
        *--at = (char)('0' + amount % 10);
    while ((amount /= 10) > 0);
    if (negative)
        *--at = '-';
    log_put(line, " ");
    log_put(line, name);
    log_put(line, "=");
    bytes_put_raw(line, at, (size_t)(digits + sizeof digits - at));
}

static void log_put_field(struct bytes_writer *line, const struct log_field *field)
{
    uint64_t number = (uint64_t)field->number;
    bool negative = field->kind == LOG_FIELD_INT && field->number < 0;

    if (field->kind == LOG_FIELD_TEXT)
        log_put_text(line, field->name, field->text != NULL ? field->text : "");
    else
        log_put_number(line, field->name, negative, negative ? 0 - number : number);
}

/* ---- Start and end ------------------------------------------------------------------------ */

/* Where what is written goes is looked at once: nobody changes it after the start. */
static bool log_is_to_file(void)
{
    struct stat status;
    return fstat(STDERR_FILENO, &status) == 0 && S_ISREG(status.st_mode);
}

struct log *log_new(const char *component, const char *node, enum log_level level)
{
    struct log *self = alloc_zero(sizeof *self);
    struct bytes_writer origin = {0};

    log_put_text(&origin, "comp", component);
    log_put_text(&origin, "node", node);
    bytes_put_u8(&origin, 0);
    self->origin = (char *)origin.data;
    self->level = level;
    self->to_file = log_is_to_file();
    return self;
}

void log_destroy(struct log **self_p)
{
    struct log *self = *self_p;
    if (self == NULL)
        return;
    log_release(self);
    bytes_writer_close(&self->held);
    free(self->origin);
    free(self);
    *self_p = NULL;
}

/* ---- A line ------------------------------------------------------------------------------- */

/* Whether the descriptor takes something at once: it must not make a process wait. */
static bool log_is_writable(void)
{
    struct pollfd item = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&item, 1, 0) == 1 && (item.revents & POLLOUT) != 0;
}

/* A descriptor that takes no more loses lines; a process must not stop for its log. A pipe that is
 * writable has room for PIPE_BUF bytes (pipe(7)): what is asked for at a time is no more, and so
 * doesn't wait for whoever should read it. */
static void log_flush(const struct log *self, const struct bytes_writer *line)
{
    size_t done = 0;

    while (done < line->size) {
        size_t left = line->size - done;
        if (!self->to_file && !log_is_writable())
            return;
        ssize_t wrote = write(STDERR_FILENO, line->data + done,
                              self->to_file || left < PIPE_BUF ? left : PIPE_BUF);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return;
        done += (size_t)wrote;
    }
}

static void log_put_line(const struct log *self, struct bytes_writer *line, enum log_level level,
                         const char *message, const struct log_field *fields)
{
    char now[CLOCK_TEXT_BYTES];

    log_put(line, "ts=");
    log_put(line, clock_text(clock_wall_ms(), now));
    log_put(line, " level=");
    log_put(line, log_level_names[level]);
    log_put(line, self->origin);
    log_put_text(line, "msg", message);
    for (; fields->name != NULL; fields++)
        log_put_field(line, fields);
    log_put(line, "\n");
}

/* What is held leaves in one write, like a line. */
static void log_flush_held(struct log *self)
{
    log_flush(self, &self->held);
    self->held.size = 0;
}

void log_write_fields(struct log *self, enum log_level level, const char *message,
                      const struct log_field *fields)
{
    struct bytes_writer line = {0};
    int saved_errno = errno;

    if (self == NULL || level < self->level)
        return;
    if (self->holding) {
        log_put_line(self, &self->held, level, message, fields);
        if (level >= LOG_LEVEL_WARN || self->held.size >= LOG_HELD_BYTES_MAX)
            log_flush_held(self);
    } else {
        bytes_reserve(&line, LOG_LINE_BYTES);
        log_put_line(self, &line, level, message, fields);
        log_flush(self, &line);
        bytes_writer_close(&line);
    }
    errno = saved_errno;
}

void log_hold(struct log *self)
{
    if (self != NULL)
        self->holding = self->to_file;
}

void log_release(struct log *self)
{
    if (self == NULL || !self->holding)
        return;
    int saved_errno = errno;
    self->holding = false;
    log_flush_held(self);
    errno = saved_errno;
}
