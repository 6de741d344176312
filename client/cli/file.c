/* Files of the user.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/file.h"

#include <czmq.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"

#define PART_BYTES (256 * 1024)

/* Read all of a stream; NULL when it fails or is too long. */
static char *file_read_stream(FILE *stream, size_t size_max, size_t *size)
{
    char *data = NULL;
    size_t used = 0;
    size_t capacity = 0;
    size_t got;
    do {
        if (used + PART_BYTES > capacity) {
            capacity = capacity * 2 + PART_BYTES;
            data = alloc_resize(data, capacity);
        }
        got = fread(data + used, 1, PART_BYTES, stream);
        used += got;
    } while (got > 0 && used <= size_max);
    if (ferror(stream) || used > size_max) {
        free(data);
        return NULL;
    }
    *size = used;
    return data;
}

char *file_read(const char *path, size_t size_max, size_t *size, char **error)
{
    FILE *stream = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    if (stream == NULL) {
        *error = zsys_sprintf("%s can't be opened: %s", path, strerror(errno));
        return NULL;
    }
    errno = 0;
    char *data = file_read_stream(stream, size_max, size);
    if (data == NULL && ferror(stream))
        *error = zsys_sprintf("%s can't be read: %s", path, strerror(errno));
    else if (data == NULL)
        *error = zsys_sprintf("%s is longer than %zu bytes", path, size_max);
    if (stream != stdin)
        fclose(stream);
    return data;
}
