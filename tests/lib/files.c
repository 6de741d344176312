/* See files.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/files.h"

#include <czmq.h>
#include <dirent.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void files_check(bool done, const char *what, const char *path)
{
    if (done)
        return;
    perror(path);
    fprintf(stderr, "tests/lib/files: can't %s\n", what);
    abort();
}

char *files_new_directory(void)
{
    const char *base = getenv("TMPDIR");
    char *path = zsys_sprintf("%s/pygmy-test-XXXXXX", base != NULL ? base : "/tmp");
    files_check(mkdtemp(path) != NULL, "make", path);
    return path;
}

char *files_path(const char *directory, const char *name)
{
    return zsys_sprintf("%s/%s", directory, name);
}

void files_remove_directory(char **path_p)
{
    char *roots[] = {*path_p, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *entry;

    files_check(tree != NULL, "open", *path_p);
    while ((entry = fts_read(tree)) != NULL)
        if (entry->fts_info != FTS_D) /* a directory comes twice: before and after what is in it */
            files_check(remove(entry->fts_accpath) == 0, "remove", entry->fts_path);
    fts_close(tree);
    free(*path_p);
    *path_p = NULL;
}

bool files_exist(const char *path)
{
    return access(path, F_OK) == 0;
}

size_t files_size(const char *path)
{
    struct stat status;
    files_check(stat(path, &status) == 0, "stat", path);
    return (size_t)status.st_size;
}

void files_copy(const char *from, const char *to)
{
    char buf[65536];
    size_t size;
    FILE *source = fopen(from, "rb");
    files_check(source != NULL, "open", from);
    FILE *target = fopen(to, "wb");
    files_check(target != NULL, "open", to);

    while ((size = fread(buf, 1, sizeof buf, source)) > 0)
        files_check(fwrite(buf, 1, size, target) == size, "write", to);
    fclose(source);
    files_check(fclose(target) == 0, "write", to);
}

void files_copy_directory(const char *from, const char *to)
{
    if (files_exist(to)) {
        char *old = zsys_sprintf("%s", to);
        files_remove_directory(&old);
    }
    files_check(mkdir(to, 0700) == 0, "make", to);
    DIR *directory = opendir(from);
    const struct dirent *entry;

    files_check(directory != NULL, "open", from);
    while ((entry = readdir(directory)) != NULL) {
        struct stat status;
        char *source = files_path(from, entry->d_name);
        char *target = files_path(to, entry->d_name);
        if (stat(source, &status) == 0 && S_ISREG(status.st_mode))
            files_copy(source, target);
        free(source);
        free(target);
    }
    closedir(directory);
}

void files_copy_tree(const char *from, const char *to)
{
    char *roots[] = {(char *)from, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    const FTSENT *entry;

    files_check(tree != NULL, "open", from);
    while ((entry = fts_read(tree)) != NULL) {
        char *target = zsys_sprintf("%s%s", to, entry->fts_path + strlen(from));
        if (entry->fts_info == FTS_D)
            files_check(mkdir(target, 0700) == 0, "make", target);
        else if (entry->fts_info == FTS_F)
            files_copy(entry->fts_path, target);
        free(target);
    }
    fts_close(tree);
}

void files_flip(const char *path, size_t offset, unsigned char mask)
{
    unsigned char byte = 0;
    int fd = open(path, O_RDWR);
    files_check(fd >= 0 && pread(fd, &byte, 1, (off_t)offset) == 1, "read", path);
    byte ^= mask;
    files_check(pwrite(fd, &byte, 1, (off_t)offset) == 1, "write", path);
    close(fd);
}

void files_truncate(const char *path, size_t size)
{
    files_check(truncate(path, (off_t)size) == 0, "truncate", path);
}

void files_remove(const char *path)
{
    files_check(unlink(path) == 0, "remove", path);
}

char *files_read(const char *path)
{
    size_t size = files_size(path);
    char *text = calloc(1, size + 1);
    FILE *file = fopen(path, "rb");
    files_check(file != NULL && fread(text, 1, size, file) == size, "read", path);
    fclose(file);
    return text;
}

void files_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    files_check(file != NULL && fputs(text, file) >= 0, "write", path);
    files_check(fclose(file) == 0, "write", path);
}
