/* Files of the user, read as a whole.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_FILE_H
#define PYGMY_CLI_FILE_H

#include <stddef.h>

/* Read a file of at most @size_max bytes; "-" is standard input.
 *
 * @error  on failure a sentence, the caller's to free()
 *
 * Returns the bytes, the caller's to free(), or NULL. */
char *file_read(const char *path, size_t size_max, size_t *size, char **error);

#endif
