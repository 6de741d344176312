/* See alloc.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *alloc_check(void *memory)
{
    if (memory == NULL) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return memory;
}

void *alloc_zero(size_t size)
{
    return alloc_check(calloc(1, size > 0 ? size : 1));
}

void *alloc_resize(void *memory, size_t size)
{
    return alloc_check(realloc(memory, size));
}

char *alloc_copy(const void *data, size_t size)
{
    char *copy = alloc_check(malloc(size + 1));
    if (size > 0)
        memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}
