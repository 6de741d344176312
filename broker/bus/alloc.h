/* Memory that is never refused.
 *
 * Exhausted memory ends the process here, as it does inside czmq, so that no
 * caller carries a branch that can't be tested. Storage and network failures
 * are never treated so: they are return values.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_ALLOC_H
#define PYGMY_BUS_ALLOC_H

#include <stddef.h>

/* Return @size zeroed bytes, the caller's to free(). Aborts when there are none. */
void *alloc_zero(size_t size);

/* As realloc(), but aborts instead of returning NULL. @size is not 0. */
void *alloc_resize(void *memory, size_t size);

/* Return a copy of @size bytes at @data with a NUL after them, the caller's to free(). */
char *alloc_copy(const void *data, size_t size);

#endif
