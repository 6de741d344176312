/* See log.h.
 *
 * A line is put together in memory and leaves in one write(2), so that lines of several threads or
 * processes on one descriptor don't mix.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/log.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/bytes.h"
#include "broker/bus/clock.h"
#include "broker/bus/limits.h"

struct log {
    char *component;
    char *node;
    enum log_level level; /* never changed: read by all threads */
};

static const char *const log_level_names[] = {
    [LOG_LEVEL_DEBUG] = "debug",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_ERROR] = "error",
};

#define LOG_LEVELS ((int)(sizeof log_level_names / sizeof log_level_names[0]))

struct log *log_new(const char *component, const char *node, enum log_level level)
{
    struct log *self = alloc_zero(sizeof *self);
    self->component = alloc_copy(component, strlen(component));
    self->node = alloc_copy(node, strlen(node));
    self->level = level;
    return self;
}

void log_destroy(struct log **self_p)
{
    struct log *self = *self_p;
    if (self == NULL)
        return;
    free(self->component);
    free(self->node);
    free(self);
    *self_p = NULL;
}

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

    if (log_is_plain(byte))
        snprintf(text, sizeof text, "%c", byte);
    else if (byte == '"' || byte == '\\')
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
    for (size_t i = 0; i < size; i++)
        log_put_escaped(line, text[i]);
    log_put(line, cut ? "...\"" : "\"");
}

static void log_put_field(struct bytes_writer *line, const struct log_field *field)
{
    char number[24];

    switch (field->kind) {
    case LOG_FIELD_INT: snprintf(number, sizeof number, "%" PRId64, field->number); break;
    case LOG_FIELD_UINT:
        snprintf(number, sizeof number, "%" PRIu64, (uint64_t)field->number);
        break;
    case LOG_FIELD_TEXT:
        log_put_text(line, field->name, field->text != NULL ? field->text : "");
        return;
    }
    log_put_text(line, field->name, number);
}

/* A descriptor that takes no more loses lines; a process must not stop for its log. A pipe that is
 * writable has room for PIPE_BUF bytes (pipe(7)): what is asked for at a time is no more, and so
 * doesn't wait for whoever should read it. */
static void log_flush(const struct bytes_writer *line)
{
    struct pollfd item = {.fd = STDERR_FILENO, .events = POLLOUT};
    size_t done = 0;

    while (done < line->size) {
        size_t left = line->size - done;
        if (poll(&item, 1, 0) != 1 || (item.revents & POLLOUT) == 0)
            return;
        ssize_t wrote = write(STDERR_FILENO, line->data + done, left < PIPE_BUF ? left : PIPE_BUF);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return;
        done += (size_t)wrote;
    }
}

void log_write_fields(struct log *self, enum log_level level, const char *message,
                      const struct log_field *fields)
{
    struct bytes_writer line = {0};
    char now[CLOCK_TEXT_BYTES];
    int saved_errno = errno;

    if (self == NULL || level < self->level)
        return;
    log_put(&line, "ts=");
    log_put(&line, clock_text(clock_wall_ms(), now));
    log_put_text(&line, "level", log_level_names[level]);
    log_put_text(&line, "comp", self->component);
    log_put_text(&line, "node", self->node);
    log_put_text(&line, "msg", message);
    for (; fields->name != NULL; fields++)
        log_put_field(&line, fields);
    log_put(&line, "\n");
    log_flush(&line);
    bytes_writer_close(&line);
    errno = saved_errno;
}
