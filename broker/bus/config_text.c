/* See config_text.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/config_text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"

enum { CONFIG_INDENT = 4, CONFIG_DEPTH_MAX = 3 };

static bool config_text_is_name(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '-' || byte == '.';
}

static size_t config_text_blanks(const char *line, size_t size, size_t at)
{
    size_t start = at;
    while (at < size && line[at] == ' ')
        at++;
    return at - start;
}

/* Whether nothing but a comment follows. */
static bool config_text_at_end(const char *line, size_t size, size_t at)
{
    at += config_text_blanks(line, size, at);
    return at == size || line[at] == '#';
}

/* What is wrong with the value that starts at @at, or NULL. */
static const char *config_text_check_value(const char *line, size_t size, size_t at)
{
    at += config_text_blanks(line, size, at);
    if (at == size || (line[at] != '"' && line[at] != '\''))
        return NULL;
    const char *end = memchr(line + at + 1, line[at], size - at - 1);
    if (end == NULL)
        return "the closing quote is missing";
    if (!config_text_at_end(line, size, (size_t)(end - line) + 1))
        return "there is something after the closing quote";
    return NULL;
}

/* What is wrong with a line that holds a node, or NULL. @depth is that of the node before it, 0 if
 * there is none, and becomes that of this one, from 1. */
static const char *config_text_check_node(const char *line, size_t size, size_t *depth)
{
    size_t at = config_text_blanks(line, size, 0);
    size_t name_at = at;

    if (at % CONFIG_INDENT != 0)
        return "the indentation is not a multiple of four blanks";
    if (at / CONFIG_INDENT > *depth)
        return "it is indented below nothing";
    if (at / CONFIG_INDENT >= CONFIG_DEPTH_MAX)
        return "it is nested too deeply";
    *depth = at / CONFIG_INDENT + 1;

    while (at < size && config_text_is_name(line[at]))
        at++;
    if (at == name_at)
        return "a name (letters, digits, '-', '_', '.') was expected";
    if (config_text_at_end(line, size, at))
        return NULL;
    at += config_text_blanks(line, size, at);
    if (line[at] != '=')
        return "a '=' was expected after the name";
    return config_text_check_value(line, size, at + 1);
}

/* What is wrong with the bytes of a line, or NULL. */
static const char *config_text_check_bytes(const char *line, size_t size)
{
    if (size > CONFIG_LINE_BYTES_MAX)
        return "the line is too long";
    for (size_t i = 0; i < size; i++) {
        if (line[i] == '\t')
            return "there is a tab; indent by four blanks";
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            return "there is a control character";
    }
    return NULL;
}

/* Look at one line; it is noted in self->lines when it holds a node. */
static const char *config_text_check_line(struct config_text *self, const char *line, size_t size,
                                          size_t number, size_t *depth)
{
    if (size > 0 && line[size - 1] == '\r')
        size--;
    const char *why = config_text_check_bytes(line, size);
    size_t indent = config_text_blanks(line, size, 0);

    if (why != NULL || indent == size)
        return why;
    if (line[indent] == '#')
        return indent % CONFIG_INDENT != 0 ? "the indentation is not a multiple of four blanks"
                                           : NULL;
    why = config_text_check_node(line, size, depth);
    if (why == NULL)
        self->lines[self->count++] = number;
    return why;
}

static size_t config_text_count_lines(const char *text, size_t size)
{
    size_t count = 1;
    for (size_t i = 0; i < size; i++)
        count += text[i] == '\n';
    return count;
}

static const char *config_text_check(struct config_text *self, const char *text, size_t size,
                                     size_t *line)
{
    const char *why = NULL;
    size_t depth = 0;

    self->lines = alloc_zero(config_text_count_lines(text, size) * sizeof *self->lines);
    *line = 0;
    while (size > 0 && why == NULL) {
        const char *end = memchr(text, '\n', size);
        size_t line_size = end != NULL ? (size_t)(end - text) : size;
        *line += 1;
        why = config_text_check_line(self, text, line_size, *line, &depth);
        text += line_size + (end != NULL);
        size -= line_size + (end != NULL);
    }
    return why;
}

static int config_text_count_node(zconfig_t *node, void *arg, int level)
{
    (void)node;
    *(size_t *)arg += level > 0;
    return 0;
}

int config_text_read(struct config_text *self, const char *text, size_t size, size_t *line,
                     char **why)
{
    size_t error_line = 1;
    size_t count = 0;
    *self = (struct config_text){0};

    const char *error = config_text_check(self, text, size, &error_line);
    if (error == NULL) {
        char *copy = alloc_copy(text, size);
        self->root = zconfig_str_load(copy);
        free(copy);
        if (self->root != NULL)
            zconfig_execute(self->root, config_text_count_node, &count);
        /* Our reading and zconfig's agree, or nothing may be said about lines. */
        if (count != self->count)
            error = "the file could not be understood";
    }
    if (error == NULL)
        return 0;
    *line = error_line;
    *why = alloc_copy(error, strlen(error));
    config_text_close(self);
    return ERR_INVALID;
}

void config_text_close(struct config_text *self)
{
    zconfig_destroy(&self->root);
    free(self->lines);
    *self = (struct config_text){0};
}
