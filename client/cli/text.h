/* Text of others, made fit for a terminal or a line.
 *
 * Titles come from whoever may change the catalog; a terminal obeys control
 * characters. Pure.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_TEXT_H
#define PYGMY_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length of the UTF-8 character at @data (1 to 4), of which there are @size bytes, and its code
 * point; 0 when it is none: cut off, overlong, a surrogate, above U+10FFFF. */
size_t text_utf8_next(const uint8_t *data, size_t size, uint32_t *point);

/* Whether there is a control character (C0, C1, DEL) in @text, which is UTF-8. */
bool text_has_controls(const char *text);

/* A copy of @text on one line, fit for a terminal: runs of control characters (C0, C1, DEL, line
 * and paragraph separators) are one blank, what reorders the text around it (bidirectional
 * controls) is left out, broken UTF-8 is '?'. The caller's to free(). */
char *text_clean(const char *text);

/* Columns that a cleaned text takes on a terminal. */
size_t text_width(const char *text);

#endif
