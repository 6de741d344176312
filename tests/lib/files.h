/* Files for tests: a directory of its own for each, copies, damage.
 *
 * Everything here ends the test program when it fails: there is nothing to be tested then.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_FILES_H
#define PYGMY_TESTS_FILES_H

#include <stdbool.h>
#include <stddef.h>

/* Make a new directory below TMPDIR or /tmp; its path is the caller's to free(). */
char *files_new_directory(void);
/* Remove a directory with all that is in it, free the path and set it to NULL. */
void files_remove_directory(char **path_p);
/* Path of a file in a directory, the caller's to free(). */
char *files_path(const char *directory, const char *name);

bool files_exist(const char *path);
size_t files_size(const char *path);
void files_copy(const char *from, const char *to);
/* Copy all plain files of a directory into another one, which is made or emptied first. */
void files_copy_directory(const char *from, const char *to);
/* Copy a directory with all that is in it. @to must not exist. */
void files_copy_tree(const char *from, const char *to);
/* Turn over the bits of @mask in the byte at @offset. */
void files_flip(const char *path, size_t offset, unsigned char mask);
void files_truncate(const char *path, size_t size);
void files_remove(const char *path);
/* The file's text, the caller's to free(). */
char *files_read(const char *path);
void files_write(const char *path, const char *text);

#endif
