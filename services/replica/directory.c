/* See directory.h.
 *
 * Small files are text, one `name = value` for each line, compared as a whole: what differs in any
 * byte is somebody else's.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/directory.h"

#include <assert.h>
#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"

#define DIRECTORY_LOCK           "lock"
#define DIRECTORY_IDENTITY       "identity"
#define DIRECTORY_TEXT_BYTES_MAX 1024 /* of a small file: an identity with room to spare */

struct directory {
    char *path;
    char *identity; /* the text that its identity file holds */
    int lock_fd;    /* -1: not locked */
    int64_t free_bytes_min;
    int64_t checked_ms; /* when the free space was asked for; -1: never */
    bool space_low;     /* what came out */
};

/* How much of the first @size bytes of @path stands before the slashes that these end in. */
static size_t directory_trim(const char *path, size_t size)
{
    while (size > 0 && path[size - 1] == '/')
        size--;
    return size;
}

/* The directory that @path stands in, the caller's to free(). Slashes after the last name don't make
 * that name the directory: "data/" stands where "data" does. */
static char *directory_parent(const char *path)
{
    size_t size = directory_trim(path, strlen(path));

    while (size > 0 && path[size - 1] != '/')
        size--;
    if (size == 0)
        return alloc_copy(*path == '/' ? "/" : ".", 1);
    size = directory_trim(path, size);
    return alloc_copy(path, size > 0 ? size : 1);
}

int directory_sync_parent(const char *path, char **error)
{
    char *parent = directory_parent(path);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = fd >= 0 && fsync(fd) == 0 ? 0 : ERR_STORAGE;

    if (result != 0)
        *error = zsys_sprintf("directory %s can't be synced: %s", parent, strerror(errno));
    if (fd >= 0)
        close(fd);
    free(parent);
    return result;
}

int directory_refuse(int code, char **error)
{
    char *reason = *error;

    *error =
        zsys_sprintf("%s; the replica must be re-seeded (scripts/cluster reseed NAME does it): "
                     "taken out of its group, it joins under a new id, with its data "
                     "directory moved away (a group of one member: restore a backup)",
                     reason);
    free(reason);
    return code;
}

bool directory_holds_log(const char *path)
{
    char *log = zsys_sprintf("%s/" DIRECTORY_LOG, path);
    bool there = access(log, F_OK) == 0;

    free(log);
    return there;
}

const char *directory_path(const struct directory *self)
{
    return self->path;
}

char *directory_file(const struct directory *self, const char *name)
{
    return zsys_sprintf("%s/%s", self->path, name);
}

static int directory_fail(const char *path, char **error)
{
    *error = zsys_sprintf("%s: %s", path, strerror(errno));
    return ERR_STORAGE;
}

/* Read a small file as text, the caller's to free(); NULL with errno set when that can't be. */
static char *directory_read_text(const char *path)
{
    char text[DIRECTORY_TEXT_BYTES_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    ssize_t size = read(fd, text, sizeof text);
    int saved_errno = errno;
    close(fd);
    errno = saved_errno;
    return size < 0 ? NULL : alloc_copy(text, (size_t)size);
}

/* Write a small file: under another name, synced, then renamed, and the directory synced. */
static int directory_write_text(const char *path, const char *text, char **error)
{
    char *temporary = zsys_sprintf("%s.new", path);
    size_t size = strlen(text);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool done = fd >= 0 && write(fd, text, size) == (ssize_t)size && fsync(fd) == 0 &&
                rename(temporary, path) == 0;
    int result = done ? directory_sync_parent(path, error) : directory_fail(path, error);

    if (fd >= 0)
        close(fd);
    free(temporary);
    return result;
}

static int directory_make(const char *path, char **error)
{
    struct stat status;

    if (mkdir(path, 0700) == 0)
        return 0;
    if (errno == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return 0;
    if (errno == EEXIST)
        errno = ENOTDIR;
    return directory_fail(path, error);
}

static int directory_refuse_locked(const struct directory *self, const char *lock, char **error)
{
    char *pid = directory_read_text(lock);

    *error = zsys_sprintf("%s is in use by another process (pid %s); stop that one first",
                          self->path, pid != NULL && *pid != '\0' ? pid : "unknown");
    free(pid);
    return ERR_LOCKED;
}

static int directory_lock(struct directory *self, char **error)
{
    char *path = directory_file(self, DIRECTORY_LOCK);
    int result = 0;

    self->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool locked = self->lock_fd >= 0 && flock(self->lock_fd, LOCK_EX | LOCK_NB) == 0;
    if (!locked && self->lock_fd >= 0 && errno == EWOULDBLOCK)
        result = directory_refuse_locked(self, path, error);
    else if (!locked || ftruncate(self->lock_fd, 0) != 0 ||
             dprintf(self->lock_fd, "%ld", (long)getpid()) < 0)
        result = directory_fail(path, error);
    free(path);
    return result;
}

/* Write the identity, into a directory whose own name is durable: whoever made it may have died
 * before it was. */
static int directory_write_identity(const struct directory *self, const char *path, char **error)
{
    int result = directory_sync_parent(self->path, error);

    return result == 0 ? directory_write_text(path, self->identity, error) : result;
}

static int directory_identify(struct directory *self, char **error)
{
    char *path = directory_file(self, DIRECTORY_IDENTITY);
    char *found = directory_read_text(path);
    int result = 0;

    if (found != NULL && strcmp(found, self->identity) != 0) {
        result = ERR_MISMATCH;
        *error = zsys_sprintf("%s belongs to another cluster, group or replica (see %s); check "
                              "cluster/uuid, the node's id and its data directory",
                              self->path, path);
    } else if (found == NULL && errno != ENOENT) {
        result = directory_fail(path, error);
    } else if (found == NULL && directory_holds_log(self->path)) {
        /* It is written before there is a log, and nothing of ours removes it. */
        result = ERR_CORRUPT;
        *error = zsys_sprintf("%s is missing beside a log", path);
    } else if (found == NULL) {
        result = directory_write_identity(self, path, error);
    }
    free(found);
    free(path);
    return result == ERR_CORRUPT ? directory_refuse(result, error) : result;
}

int directory_open(const char *path, const struct directory_identity *identity,
                   int64_t free_bytes_min, struct directory **self_p, char **error)
{
    struct directory *self = alloc_zero(sizeof *self);

    assert(*path != '\0');
    self->lock_fd = -1;
    self->checked_ms = -1;
    self->free_bytes_min = free_bytes_min;
    self->path = alloc_copy(path, strlen(path));
    self->identity = zsys_sprintf("format = 1\ncluster = %s\ngroup = %s\nreplica = %" PRIu64 "\n",
                                  identity->uuid, identity->group, identity->replica_id);
    int result = directory_make(path, error);
    if (result == 0)
        result = directory_lock(self, error);
    if (result == 0)
        result = directory_identify(self, error);
    if (result == 0)
        *self_p = self;
    else
        directory_close(&self);
    return result;
}

void directory_close(struct directory **self_p)
{
    struct directory *self = *self_p;

    if (self == NULL)
        return;
    if (self->lock_fd >= 0)
        close(self->lock_fd);
    free(self->identity);
    free(self->path);
    free(self);
    *self_p = NULL;
}

int directory_remove_state(const struct directory *self, char **error)
{
    const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    int result = 0;

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0] && result == 0; i++) {
        char *path = zsys_sprintf("%s/" DIRECTORY_STATE "%s", self->path, suffixes[i]);
        if (unlink(path) != 0 && errno != ENOENT)
            result = directory_fail(path, error);
        free(path);
    }
    return result;
}

bool directory_space_low(struct directory *self, int64_t now_ms)
{
    struct statvfs status;

    if (self->checked_ms >= 0 && now_ms - self->checked_ms < DISK_CHECK_MS)
        return self->space_low;
    self->checked_ms = now_ms;
    self->space_low = fstatvfs(self->lock_fd, &status) != 0 ||
                      (int64_t)(status.f_bavail * (uint64_t)status.f_frsize) < self->free_bytes_min;
    return self->space_low;
}

int64_t directory_free_bytes_min(const struct directory *self)
{
    return self->free_bytes_min;
}
