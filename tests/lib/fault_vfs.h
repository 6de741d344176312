/* A VFS of SQLite's that counts and fails: what a disk does to the log.
 *
 * It stands before the default VFS. Reads pass; writes, truncations and syncs fail from the one that was
 * asked for. With @keep_synced it also keeps, beside each file F, F.synced:
 * what was on the disk if the power failed now and everything that was not synced were lost.
 *
 * Where a disk is mounted (fault_disk.h), all that SQLite does to files goes through that as well.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_FAULT_VFS_H
#define PYGMY_TESTS_FAULT_VFS_H

#include <stdbool.h>
#include <stdint.h>

struct fault_vfs;

/* Register under @name, which must stay. */
struct fault_vfs *fault_vfs_new(const char *name, bool keep_synced);
void fault_vfs_destroy(struct fault_vfs **self_p);

/* Let all of this process' SQLite use it that names no other. */
void fault_vfs_set_default(struct fault_vfs *self);

/* Fail the write or sync that is @count calls from now (1: the next), and, if @for_good, all after
 * it; 0: none. */
void fault_vfs_fail(struct fault_vfs *self, int64_t count, bool for_good);

/* Let no sync go on until this is undone: a disk that takes its time. */
void fault_vfs_hold(struct fault_vfs *self, bool hold);

/* Syncs so far. */
int64_t fault_vfs_syncs(const struct fault_vfs *self);

#endif
