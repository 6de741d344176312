/* See snapshot_file.h.
 *
 * Why a pinned connection, and not a copy of the file: the machine's store has a write-ahead log of
 * its own, and the machine goes on writing while the copy is made. A read transaction that stays
 * open holds one state of both; the backup that reads through it never has to start over.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/snapshot_file.h"

#include <czmq.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/directory.h"

#define SNAPSHOT_PREFIX "snapshot-"

struct snapshot_pin {
    sqlite3 *db;
    uint64_t bytes;
};

static int snapshot_fail(const char *path, char **error)
{
    *error = zsys_sprintf("%s: %s", path, strerror(errno));
    return ERR_STORAGE;
}

static int snapshot_fail_sql(const char *path, sqlite3 *db, char **error)
{
    *error = zsys_sprintf("%s: %s", path, db != NULL ? sqlite3_errmsg(db) : "out of memory");
    return ERR_STORAGE;
}

/* ---- Taking -------------------------------------------------------------------------------- */

/* Begin the read transaction, by a read that also tells the size. Returns SQLite's code. */
static int snapshot_pin_begin(struct snapshot_pin *self)
{
    sqlite3_stmt *size = NULL;
    int code = sqlite3_exec(self->db, "BEGIN", NULL, NULL, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(self->db,
                                  "SELECT page_count * page_size FROM pragma_page_count,"
                                  " pragma_page_size",
                                  -1, &size, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(size);
    if (code == SQLITE_ROW)
        self->bytes = (uint64_t)sqlite3_column_int64(size, 0);
    sqlite3_finalize(size);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

int snapshot_pin_open(const char *state_path, struct snapshot_pin **self_p, char **error)
{
    struct snapshot_pin *self = alloc_zero(sizeof *self);

    int code =
        sqlite3_open_v2(state_path, &self->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        code = snapshot_pin_begin(self);
    if (code == SQLITE_OK) {
        *self_p = self;
        return 0;
    }
    int result = snapshot_fail_sql(state_path, self->db, error);
    snapshot_pin_close(&self);
    return result;
}

uint64_t snapshot_pin_bytes(const struct snapshot_pin *self)
{
    return self->bytes;
}

void snapshot_pin_close(struct snapshot_pin **self_p)
{
    struct snapshot_pin *self = *self_p;

    if (self == NULL)
        return;
    sqlite3_close(self->db);
    free(self);
    *self_p = NULL;
}

/* Copy all pages into an open database, a few at a time. Returns SQLite's code. */
static int snapshot_copy_pages(struct snapshot_pin *pin, sqlite3 *target, const atomic_bool *stop)
{
    sqlite3_backup *backup = sqlite3_backup_init(target, "main", pin->db, "main");
    int code = SQLITE_OK;

    if (backup == NULL)
        return sqlite3_errcode(target);
    while (code == SQLITE_OK && !atomic_load(stop))
        code = sqlite3_backup_step(backup, SNAPSHOT_COPY_PAGES);
    int finished = sqlite3_backup_finish(backup);
    if (code == SQLITE_OK)
        return SQLITE_INTERRUPT;
    return code == SQLITE_DONE ? finished : code;
}

/* Without journal and syncs: nobody reads it before it is whole and synced as a whole. */
static int snapshot_copy_tables(struct snapshot_pin *pin, const char *path, const atomic_bool *stop,
                                char **error)
{
    sqlite3 *target = NULL;
    int result = 0;

    int code = sqlite3_open_v2(path, &target, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(target, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", NULL,
                            NULL, NULL);
    if (code == SQLITE_OK)
        code = snapshot_copy_pages(pin, target, stop);
    if (code != SQLITE_OK)
        result = snapshot_fail_sql(path, target, error);
    sqlite3_close(target);
    return result;
}

/* Read @fd from its beginning to its end; find its size and checksum, and write it all to @target,
 * unless that is -1. Returns 0, or -1 with errno set. */
static int snapshot_read(int fd, int target, uint64_t *bytes, uint32_t *checksum)
{
    uint8_t *data = alloc_zero(SNAPSHOT_COPY_BYTES);
    uLong sum = crc32(0, NULL, 0);
    uint64_t size = 0;
    ssize_t got;

    while ((got = pread(fd, data, SNAPSHOT_COPY_BYTES, (off_t)size)) > 0) {
        ssize_t put = target < 0 ? got : pwrite(target, data, (size_t)got, (off_t)size);
        if (put >= 0 && put < got)
            errno = ENOSPC; /* what a short write to a file means */
        if (put < got) {
            got = -1;
            break;
        }
        sum = crc32(sum, data, (uInt)got);
        size += (uint64_t)got;
    }
    free(data);
    *bytes = size;
    *checksum = (uint32_t)sum;
    return got == 0 ? 0 : -1;
}

int snapshot_file_copy(struct snapshot_pin *pin, const char *path, struct snapshot_mark *mark,
                       const atomic_bool *stop, char **error)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return snapshot_fail(path, error);
    int result = snapshot_copy_tables(pin, path, stop, error);
    if (result != 0)
        return result;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0 || snapshot_read(fd, -1, &mark->bytes, &mark->checksum) != 0)
        result = snapshot_fail(path, error);
    if (fd >= 0)
        close(fd);
    return result;
}

int snapshot_file_fits(const char *directory, uint64_t bytes, int64_t free_bytes_min, char **error)
{
    struct statvfs status;

    if (statvfs(directory, &status) != 0)
        return snapshot_fail(directory, error);
    uint64_t there = status.f_bavail * (uint64_t)status.f_frsize;
    uint64_t reserve = free_bytes_min > 0 ? (uint64_t)free_bytes_min : DISK_FREE_BYTES_MIN;
    if (there > reserve && (there - reserve) / 2 >= bytes)
        return 0;
    *error = zsys_sprintf("%s: no room for a snapshot of %" PRIu64 " bytes", directory, bytes);
    return ERR_STORAGE;
}

/* ---- Keeping ------------------------------------------------------------------------------- */

static char *snapshot_file_name(const struct snapshot_mark *mark)
{
    return zsys_sprintf(SNAPSHOT_PREFIX "%" PRIu64 "-%" PRIu64 "-%08" PRIx32 ".db", mark->index,
                        mark->term, mark->checksum);
}

char *snapshot_file_path(const char *directory, const struct snapshot_mark *mark)
{
    char *name = snapshot_file_name(mark);
    char *path = zsys_sprintf("%s/%s", directory, name);

    free(name);
    return path;
}

int snapshot_file_keep(const char *directory, const char *path, const struct snapshot_mark *mark,
                       char **error)
{
    char *kept = snapshot_file_path(directory, mark);
    int result = rename(path, kept) == 0 ? 0 : snapshot_fail(kept, error);

    if (result == 0)
        result = directory_sync_parent(kept, error);
    free(kept);
    return result;
}

/* ---- Restoring ----------------------------------------------------------------------------- */

/* Copy one open file to the other and compare it with the mark. */
static int snapshot_restore_copy(int fd, int target, const char *path,
                                 const struct snapshot_mark *mark, char **error)
{
    uint64_t bytes;
    uint32_t checksum;

    if (snapshot_read(fd, target, &bytes, &checksum) != 0)
        return snapshot_fail(path, error);
    if (bytes == mark->bytes && checksum == mark->checksum)
        return 0;
    *error = zsys_sprintf("%s is damaged: it is not what the log says of it (%" PRIu64
                          " bytes, checksum %08" PRIx32 ")",
                          path, bytes, checksum);
    return directory_refuse(ERR_CORRUPT, error);
}

int snapshot_file_restore(const char *directory, const struct snapshot_mark *mark, char **error)
{
    char *path = snapshot_file_path(directory, mark);
    char *restored = zsys_sprintf("%s/" SNAPSHOT_RESTORED, directory);
    int target = -1;
    int result = 0;

    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        bool missing = errno == ENOENT;
        result = snapshot_fail(path, error);
        if (missing)
            result = directory_refuse(ERR_CORRUPT, error);
    } else {
        target = open(restored, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        result = target < 0 ? snapshot_fail(restored, error)
                            : snapshot_restore_copy(fd, target, path, mark, error);
    }
    if (fd >= 0)
        close(fd);
    if (target >= 0)
        close(target);
    free(path);
    free(restored);
    return result;
}

int snapshot_file_put_in_place(const char *directory, char **error)
{
    char *restored = zsys_sprintf("%s/" SNAPSHOT_RESTORED, directory);
    char *state = zsys_sprintf("%s/" DIRECTORY_STATE, directory);

    int result = rename(restored, state) == 0 ? 0 : snapshot_fail(state, error);
    free(restored);
    free(state);
    return result;
}

/* ---- Removing ------------------------------------------------------------------------------ */

/* Whether a file has such a name; what SQLite left beside one has it, too. */
static bool snapshot_is_ours(const char *name)
{
    const char *const prefixes[] = {SNAPSHOT_PREFIX, SNAPSHOT_TAKING, SNAPSHOT_FETCHING,
                                    SNAPSHOT_RESTORED};

    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static bool snapshot_is_other(const char *name, const struct snapshot_mark *mark)
{
    char *kept = mark != NULL ? snapshot_file_name(mark) : NULL;
    bool other = snapshot_is_ours(name) && (kept == NULL || strcmp(name, kept) != 0);

    free(kept);
    return other;
}

static bool snapshot_is_older(const char *name, const struct snapshot_mark *mark)
{
    const size_t size = strlen(SNAPSHOT_PREFIX);

    return strncmp(name, SNAPSHOT_PREFIX, size) == 0 &&
           strtoull(name + size, NULL, 10) < mark->index;
}

static int snapshot_remove(const char *directory, const char *name, char **error)
{
    char *path = zsys_sprintf("%s/%s", directory, name);
    int result = unlink(path) == 0 || errno == ENOENT ? 0 : snapshot_fail(path, error);

    free(path);
    return result;
}

/* Remove the files of a directory whose names @match. */
static int snapshot_remove_all(const char *directory,
                               bool (*match)(const char *name, const struct snapshot_mark *mark),
                               const struct snapshot_mark *mark, char **error)
{
    DIR *listing = opendir(directory);
    const struct dirent *entry;
    int result = listing != NULL ? 0 : snapshot_fail(directory, error);

    while (result == 0 && (entry = readdir(listing)) != NULL)
        if (match(entry->d_name, mark))
            result = snapshot_remove(directory, entry->d_name, error);
    if (listing != NULL)
        closedir(listing);
    return result;
}

int snapshot_file_remove_others(const char *directory, const struct snapshot_mark *mark,
                                char **error)
{
    return snapshot_remove_all(directory, snapshot_is_other, mark, error);
}

int snapshot_file_remove_older(const char *directory, const struct snapshot_mark *mark,
                               char **error)
{
    return snapshot_remove_all(directory, snapshot_is_older, mark, error);
}
