/* A disk that fails, and that loses what was not synced.
 *
 * It stands between a process and the files below one directory, the disk's root: SQLite's through
 * fault_vfs.h, all others through the calls of fault_calls.h. Each write, truncation, sync and
 * change of a directory passes through here, may be made to fail, and is written down with its
 * bytes, in memory that outlives the process: so that afterwards any image can be made of what the
 * disk may have held at any moment, had the power failed then.
 *
 * What is durable, as POSIX has it and no more: a file's bytes by a sync of the file, its name by a
 * sync of the directory. What is not may be there after a power failure, or not, or in part.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_FAULT_DISK_H
#define PYGMY_TESTS_FAULT_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fault_disk;

/* What goes wrong. Each but the last three is an error that the process is told. */
enum fault_kind {
    FAULT_NONE,
    FAULT_WRITE,      /* a write fails, and nothing of it is there */
    FAULT_WRITE_PART, /* a write fails, and half of it is there */
    FAULT_TRUNCATE,
    FAULT_SYNC, /* a sync of a file fails: what was written since the last one reads back, but never
                 * becomes durable, whatever is synced later (as Linux has it) */
    FAULT_SYNC_NAMES, /* a sync of a directory fails */
    FAULT_OPEN,
    FAULT_ENTRY,        /* a directory, a rename or a removal fails */
    FAULT_FULL,         /* files don't grow any more, after N times FAULT_FULL_BYTES */
    FAULT_KILL,         /* the process is killed before its Nth call of any kind */
    FAULT_WRITE_LOST,   /* a write does nothing and says that it did */
    FAULT_SYNC_SKIPPED, /* a sync, of a file or a directory, does nothing and says that it did */
    FAULT_KINDS
};

#define FAULT_FULL_BYTES 4096

struct fault_plan {
    enum fault_kind kind;
    int64_t nth;        /* the call of that kind that it strikes, from 1 */
    bool for_good;      /* and all of that kind after it */
    const char *only;   /* files in whose path this stands; NULL: all */
    const char *except; /* but for these; NULL: none */
};

/* Memory of a disk, shared with children. There is one set of files at a time: see reset. */
struct fault_disk *fault_disk_new(void);
void fault_disk_destroy(struct fault_disk **self_p);

/* Begin with what stands below @root now, all of it durable. Kept, and never written: a copy of it,
 * @base, which fault_disk_image() begins with (NULL: nothing stands there). */
void fault_disk_reset(struct fault_disk *self, const char *root, const char *base);
/* What is to go wrong from now on; counted from now on. */
void fault_disk_plan(struct fault_disk *self, const struct fault_plan *plan);
/* How often it did. */
int64_t fault_disk_strikes(const struct fault_disk *self);

/* In the process that is to use it, for all of its life: let all calls pass through it. Nothing in
 * that process is really synced from now on, below the root and elsewhere: there it is the disk
 * that says what is durable, and elsewhere nobody asks. */
void fault_disk_mount(struct fault_disk *self);
/* The disk that is mounted in this process, or NULL. */
struct fault_disk *fault_disk_mounted(void);

/* ---- After the power failed ---- */

enum fault_loss {
    FAULT_LOSE_ALL,  /* nothing but what was synced is there */
    FAULT_LOSE_DATA, /* the same, but all names are there: of files that may be empty */
    FAULT_LOSE_TAIL, /* all is there, but of the last write only the first half, then garbage */
    FAULT_LOSE_SOME, /* of what was not synced, some is there: each sector for itself */
    FAULT_LOSSES
};

/* How much has happened: grows with each call. */
size_t fault_disk_moment(const struct fault_disk *self);
/* Make the directory @target hold what the disk's root held if the power failed at @moment. @seed
 * chooses for FAULT_LOSE_SOME. */
void fault_disk_image(const struct fault_disk *self, size_t moment, enum fault_loss loss,
                      uint64_t seed, const char *target);

/* ---- For fault_vfs.c and fault_calls.c ---- */

#define FAULT_UNTRACKED (-1) /* a file elsewhere */

/* These return 0 or an errno. A file is a number, from open. */

int fault_disk_open(struct fault_disk *self, const char *path, int flags, int *file);
/* @size becomes how much of it is really to be written, also with an error. */
int fault_disk_write(struct fault_disk *self, int file, const void *data, size_t *size,
                     uint64_t offset);
int fault_disk_truncate(struct fault_disk *self, int file, uint64_t size);
int fault_disk_sync(struct fault_disk *self, int file);
int fault_disk_make(struct fault_disk *self, const char *path); /* a directory */
int fault_disk_rename(struct fault_disk *self, const char *from, const char *to);
int fault_disk_remove(struct fault_disk *self, const char *path);
/* The directory at @path, or that @path stands in. */
int fault_disk_sync_directory(struct fault_disk *self, const char *path);
int fault_disk_sync_parent(struct fault_disk *self, const char *path);

#endif
