/* See fault_vfs.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/fault_vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "tests/lib/fault_disk.h"
#include "tests/lib/files.h"

struct fault_vfs {
    sqlite3_vfs base; /* first: SQLite's view of us */
    sqlite3_vfs *real;
    bool keep_synced;
    atomic_llong syncs;
    atomic_llong countdown; /* calls until the failing one; 0: none */
    atomic_bool for_good;
    pthread_mutex_t mutex; /* of `held` */
    pthread_cond_t released;
    bool held;
};

struct fault_file {
    sqlite3_file base;
    struct fault_vfs *vfs;
    char *path;          /* NULL: a temporary file */
    int on_disk;         /* its number on the disk that is mounted; or FAULT_UNTRACKED */
    bool made;           /* a journal or write-ahead log whose name has not been synced yet */
    sqlite3_file real[]; /* of the real VFS' size */
};

#define FAULT_REAL(file) (((struct fault_file *)(file))->real)

/* Whether this write or sync is to fail. */
static bool fault_now(struct fault_vfs *self)
{
    long long left = atomic_load(&self->countdown);
    if (left == 0)
        return false;
    if (left > 1) {
        atomic_store(&self->countdown, left - 1);
        return false;
    }
    if (!atomic_load(&self->for_good))
        atomic_store(&self->countdown, 0);
    return true;
}

static int fault_close(sqlite3_file *file)
{
    free(((struct fault_file *)file)->path);
    return FAULT_REAL(file)->pMethods->xClose(FAULT_REAL(file));
}

static int fault_read(sqlite3_file *file, void *data, int size, sqlite3_int64 offset)
{
    return FAULT_REAL(file)->pMethods->xRead(FAULT_REAL(file), data, size, offset);
}

/* Write as much as the disk that is mounted lets through. */
static int fault_write_disk(struct fault_file *self, const void *data, int size,
                            sqlite3_int64 offset)
{
    size_t room = (size_t)size;
    int error = 0;
    int code = SQLITE_OK;

    if (self->on_disk != FAULT_UNTRACKED)
        error =
            fault_disk_write(fault_disk_mounted(), self->on_disk, data, &room, (uint64_t)offset);
    if (room > 0)
        code = self->real->pMethods->xWrite(self->real, data, (int)room, offset);
    if (error == ENOSPC)
        return SQLITE_FULL;
    return error == 0 ? code : SQLITE_IOERR_WRITE;
}

static int fault_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
    struct fault_vfs *vfs = ((struct fault_file *)file)->vfs;
    if (fault_now(vfs))
        return SQLITE_IOERR_WRITE;
    return fault_write_disk((struct fault_file *)file, data, size, offset);
}

static int fault_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct fault_vfs *vfs = ((struct fault_file *)file)->vfs;
    int on_disk = ((struct fault_file *)file)->on_disk;
    if (fault_now(vfs) || (on_disk != FAULT_UNTRACKED &&
                           fault_disk_truncate(fault_disk_mounted(), on_disk, (uint64_t)size) != 0))
        return SQLITE_IOERR_TRUNCATE;
    return FAULT_REAL(file)->pMethods->xTruncate(FAULT_REAL(file), size);
}

static void fault_wait(struct fault_vfs *self)
{
    pthread_mutex_lock(&self->mutex);
    while (self->held)
        pthread_cond_wait(&self->released, &self->mutex);
    pthread_mutex_unlock(&self->mutex);
}

/* Where a disk is mounted nothing is really synced. SQLite syncs the directory with the first sync
 * of a journal or write-ahead log that it has made, and does not look at what comes of that. */
static int fault_sync_disk(struct fault_file *self)
{
    struct fault_disk *disk = fault_disk_mounted();

    if (self->on_disk == FAULT_UNTRACKED)
        return SQLITE_OK;
    if (fault_disk_sync(disk, self->on_disk) != 0)
        return SQLITE_IOERR_FSYNC;
    if (self->made)
        (void)fault_disk_sync_parent(disk, self->path);
    self->made = false;
    return SQLITE_OK;
}

static int fault_sync(sqlite3_file *file, int flags)
{
    struct fault_file *self = (struct fault_file *)file;
    atomic_fetch_add(&self->vfs->syncs, 1);
    fault_wait(self->vfs);
    if (fault_now(self->vfs))
        return SQLITE_IOERR_FSYNC;
    if (fault_disk_mounted() != NULL)
        return fault_sync_disk(self);
    int code = FAULT_REAL(file)->pMethods->xSync(FAULT_REAL(file), flags);
    if (code == SQLITE_OK && self->vfs->keep_synced && self->path != NULL) {
        char *synced = sqlite3_mprintf("%s.synced", self->path);
        files_copy(self->path, synced);
        sqlite3_free(synced);
    }
    return code;
}

static int fault_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return FAULT_REAL(file)->pMethods->xFileSize(FAULT_REAL(file), size);
}

static int fault_lock(sqlite3_file *file, int level)
{
    return FAULT_REAL(file)->pMethods->xLock(FAULT_REAL(file), level);
}

static int fault_unlock(sqlite3_file *file, int level)
{
    return FAULT_REAL(file)->pMethods->xUnlock(FAULT_REAL(file), level);
}

static int fault_check_lock(sqlite3_file *file, int *result)
{
    return FAULT_REAL(file)->pMethods->xCheckReservedLock(FAULT_REAL(file), result);
}

static int fault_control(sqlite3_file *file, int operation, void *arg)
{
    return FAULT_REAL(file)->pMethods->xFileControl(FAULT_REAL(file), operation, arg);
}

static int fault_sector_size(sqlite3_file *file)
{
    return FAULT_REAL(file)->pMethods->xSectorSize(FAULT_REAL(file));
}

static int fault_characteristics(sqlite3_file *file)
{
    return FAULT_REAL(file)->pMethods->xDeviceCharacteristics(FAULT_REAL(file));
}

static int fault_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **map)
{
    return FAULT_REAL(file)->pMethods->xShmMap(FAULT_REAL(file), page, size, extend, map);
}

static int fault_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return FAULT_REAL(file)->pMethods->xShmLock(FAULT_REAL(file), offset, count, flags);
}

static void fault_shm_barrier(sqlite3_file *file)
{
    FAULT_REAL(file)->pMethods->xShmBarrier(FAULT_REAL(file));
}

static int fault_shm_unmap(sqlite3_file *file, int remove)
{
    return FAULT_REAL(file)->pMethods->xShmUnmap(FAULT_REAL(file), remove);
}

static const sqlite3_io_methods fault_methods = {
    .iVersion = 2, /* memory mapping, version 3, would pass us by */
    .xClose = fault_close,
    .xRead = fault_read,
    .xWrite = fault_write,
    .xTruncate = fault_truncate,
    .xSync = fault_sync,
    .xFileSize = fault_file_size,
    .xLock = fault_lock,
    .xUnlock = fault_unlock,
    .xCheckReservedLock = fault_check_lock,
    .xFileControl = fault_control,
    .xSectorSize = fault_sector_size,
    .xDeviceCharacteristics = fault_characteristics,
    .xShmMap = fault_shm_map,
    .xShmLock = fault_shm_lock,
    .xShmBarrier = fault_shm_barrier,
    .xShmUnmap = fault_shm_unmap,
};

static int fault_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out)
{
    struct fault_vfs *self = (struct fault_vfs *)vfs;
    struct fault_file *opened = (struct fault_file *)file;

    opened->base.pMethods = NULL;
    opened->on_disk = FAULT_UNTRACKED;
    opened->made = false;
    if (fault_disk_mounted() != NULL && path != NULL) {
        bool journal = (flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL)) != 0;
        opened->made = journal && access(path, F_OK) != 0;
        if (fault_disk_open(fault_disk_mounted(), path,
                            (flags & SQLITE_OPEN_CREATE) != 0 ? O_CREAT : 0, &opened->on_disk) != 0)
            return SQLITE_CANTOPEN;
    }
    int code = self->real->xOpen(self->real, path, opened->real, flags, out);
    if (code != SQLITE_OK)
        return code;
    opened->vfs = self;
    opened->path = path != NULL ? alloc_copy(path, strlen(path)) : NULL;
    opened->base.pMethods = &fault_methods;
    return SQLITE_OK;
}

static int fault_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
    struct fault_vfs *self = (struct fault_vfs *)vfs;
    struct fault_disk *disk = fault_disk_mounted();

    if (disk != NULL) { /* unlink is that of fault_calls.c */
        if (unlink(path) != 0)
            return errno == ENOENT ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE;
        return sync && fault_disk_sync_parent(disk, path) != 0 ? SQLITE_IOERR_DIR_FSYNC : SQLITE_OK;
    }
    return self->real->xDelete(self->real, path, sync);
}

struct fault_vfs *fault_vfs_new(const char *name, bool keep_synced)
{
    struct fault_vfs *self = alloc_zero(sizeof *self);

    self->real = sqlite3_vfs_find(NULL);
    self->keep_synced = keep_synced;
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->released, NULL);
    self->base = *self->real;
    self->base.pNext = NULL;
    self->base.zName = name;
    self->base.szOsFile = (int)sizeof(struct fault_file) + self->real->szOsFile;
    self->base.xOpen = fault_open;
    self->base.xDelete = fault_delete;
    sqlite3_vfs_register(&self->base, 0);
    return self;
}

void fault_vfs_set_default(struct fault_vfs *self)
{
    sqlite3_vfs_register(&self->base, 1);
}

void fault_vfs_destroy(struct fault_vfs **self_p)
{
    if (*self_p == NULL)
        return;
    sqlite3_vfs_unregister(&(*self_p)->base);
    pthread_mutex_destroy(&(*self_p)->mutex);
    pthread_cond_destroy(&(*self_p)->released);
    free(*self_p);
    *self_p = NULL;
}

void fault_vfs_fail(struct fault_vfs *self, int64_t count, bool for_good)
{
    atomic_store(&self->for_good, for_good);
    atomic_store(&self->countdown, count);
}

void fault_vfs_hold(struct fault_vfs *self, bool hold)
{
    pthread_mutex_lock(&self->mutex);
    self->held = hold;
    pthread_cond_broadcast(&self->released);
    pthread_mutex_unlock(&self->mutex);
}

int64_t fault_vfs_syncs(const struct fault_vfs *self)
{
    return atomic_load(&self->syncs);
}
