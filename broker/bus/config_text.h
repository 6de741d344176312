/* The text of a configuration: ZPL (4/ZPL) as a tree whose nodes know their lines.
 *
 * zconfig reads the tree, but it tells an error on standard output only, takes some wrong texts
 * without a word, and forgets the lines. So the text is checked here first, line by line, and what
 * is wrong is told by line.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_CONFIG_TEXT_H
#define PYGMY_BUS_CONFIG_TEXT_H

#include <czmq.h>
#include <stddef.h>

struct config_text {
    zconfig_t *root;
    size_t *lines; /* line of each node, from 1, in the order of the text (pre-order, no root) */
    size_t count;  /* nodes */
};

/* Read @size bytes at @text.
 *
 * @line, @why  on failure the line and a sentence, the caller's to free(); else untouched
 *
 * A node is at most three levels deep. Returns 0 or ERR_INVALID. */
int config_text_read(struct config_text *self, const char *text, size_t size, size_t *line,
                     char **why);
/* Free what it holds; {0} will do. */
void config_text_close(struct config_text *self);

#endif
