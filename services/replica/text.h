/* A stretch of text that belongs to somebody else.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_TEXT_H
#define PYGMY_REPLICA_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
    const char *data; /* not owned, not NUL-terminated; NULL only when size is 0 */
    size_t size;      /* bytes */
};

#define TEXT(literal) ((struct text){(literal), sizeof(literal) - 1})

/* The text of a NUL-terminated string. */
struct text text_of(const char *string);
bool text_equal(struct text one, struct text other);
/* Whether it is valid UTF-8 without control characters (C0, DEL, C1): what a title, a name or a
 * reason is made of. The empty text is. */
bool text_plain(struct text self);
/* Its longest beginning of at most @size bytes that does not cut a UTF-8 character in two. */
struct text text_cut(struct text self, size_t size);
/* Copy into @buffer of @capacity bytes, with a NUL; it must fit (asserted). */
void text_copy(struct text self, char *buffer, size_t capacity);

#endif
