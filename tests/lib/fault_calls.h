/* The calls by which our own code changes files, as this program has them: fault_calls.c defines
 * open, close, write, pwrite, ftruncate, fsync, fdatasync, rename, unlink and mkdir itself, and the
 * linker takes these for all that is linked statically. They do what libc's do, unless a disk is mounted
 * (fault_disk.h): then it is asked first. Reads don't pass here.
 *
 * A program gets them by calling this.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_FAULT_CALLS_H
#define PYGMY_TESTS_FAULT_CALLS_H

void fault_calls_link(void);

#endif
