/* See fault_calls.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#undef _FORTIFY_SOURCE /* with it some of these calls are defined in the headers */
#include "tests/lib/fault_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/lib/fault_disk.h"

#define FDS_MAX 1024

/* libc's names for the parameters of these are reserved to it. */
/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */

/* What an open descriptor is of; zero: of nothing on the disk. */
static struct {
    int file; /* + 1 */
    char directory[PATH_MAX];
} fault_fds[FDS_MAX];

void fault_calls_link(void)
{
}

static int fault_fail(int error)
{
    errno = error;
    return -1;
}

/* The file of a descriptor on the disk that is mounted; else FAULT_UNTRACKED. */
static int fault_file(int fd)
{
    if (fault_disk_mounted() == NULL || fd < 0 || fd >= FDS_MAX)
        return FAULT_UNTRACKED;
    return fault_fds[fd].file - 1;
}

static int fault_call_open(const char *path, int flags, mode_t mode)
{
    struct fault_disk *disk = fault_disk_mounted();
    int file = FAULT_UNTRACKED;

    if (disk != NULL && (flags & O_DIRECTORY) == 0) {
        int error = fault_disk_open(disk, path, flags, &file);
        if (error != 0)
            return fault_fail(error);
    }
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (disk == NULL || fd < 0 || fd >= FDS_MAX)
        return fd;
    fault_fds[fd].file = file + 1;
    snprintf(fault_fds[fd].directory, PATH_MAX, "%s", (flags & O_DIRECTORY) != 0 ? path : "");
    return fd;
}

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;

    if ((flags & O_CREAT) != 0) {
        va_list arguments;
        va_start(arguments, flags);
        mode = (mode_t)va_arg(arguments, unsigned);
        va_end(arguments);
    }
    return fault_call_open(path, flags, mode);
}

int close(int fd)
{
    if (fd >= 0 && fd < FDS_MAX) { /* the number may come back for something else */
        fault_fds[fd].file = 0;
        *fault_fds[fd].directory = '\0';
    }
    return (int)syscall(SYS_close, fd);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    int file = fault_file(fd);

    if (file != FAULT_UNTRACKED) {
        size_t room = size;
        int error = fault_disk_write(fault_disk_mounted(), file, data, &room, (uint64_t)offset);
        if (error == 0 && room < size)
            return (ssize_t)size; /* lost */
        if (error != 0 && (room == 0 || error != ENOSPC)) {
            if (room > 0)
                (void)syscall(SYS_pwrite64, fd, data, room, offset);
            return fault_fail(error);
        }
        size = room;
    }
    return syscall(SYS_pwrite64, fd, data, size, offset);
}

ssize_t write(int fd, const void *data, size_t size)
{
    if (fault_file(fd) == FAULT_UNTRACKED)
        return syscall(SYS_write, fd, data, size);
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t written = pwrite(fd, data, size, offset);
    if (written > 0)
        lseek(fd, offset + written, SEEK_SET);
    return written;
}

int ftruncate(int fd, off_t size)
{
    int file = fault_file(fd);

    if (file != FAULT_UNTRACKED) {
        int error = fault_disk_truncate(fault_disk_mounted(), file, (uint64_t)size);
        if (error != 0)
            return fault_fail(error);
    }
    return (int)syscall(SYS_ftruncate, fd, size);
}

int fsync(int fd)
{
    struct fault_disk *disk = fault_disk_mounted();
    int file = fault_file(fd);
    int error = 0;

    if (disk == NULL)
        return (int)syscall(SYS_fsync, fd);
    if (file != FAULT_UNTRACKED)
        error = fault_disk_sync(disk, file);
    else if (fd < FDS_MAX && *fault_fds[fd].directory != '\0')
        error = fault_disk_sync_directory(disk, fault_fds[fd].directory);
    return error == 0 ? 0 : fault_fail(error);
}

int fdatasync(int fd)
{
    return fault_disk_mounted() == NULL ? (int)syscall(SYS_fdatasync, fd) : fsync(fd);
}

int rename(const char *from, const char *to)
{
    struct fault_disk *disk = fault_disk_mounted();
    int error = disk != NULL ? fault_disk_rename(disk, from, to) : 0;

    return error == 0 ? (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0)
                      : fault_fail(error);
}

int unlink(const char *path)
{
    struct fault_disk *disk = fault_disk_mounted();
    int error = disk != NULL ? fault_disk_remove(disk, path) : 0;

    return error == 0 ? (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0) : fault_fail(error);
}

int mkdir(const char *path, mode_t mode)
{
    struct fault_disk *disk = fault_disk_mounted();
    int error = disk != NULL ? fault_disk_make(disk, path) : 0;

    return error == 0 ? (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode) : fault_fail(error);
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
