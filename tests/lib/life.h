/* A life: what a test does in a process of its own, to see how that process ends.
 *
 * The child is forked, so the test program must have no thread at the time: nothing that makes one
 * (a replica, a socket) may be opened outside of a life. What a life tells, it writes into memory
 * that it shares with the test.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_LIFE_H
#define PYGMY_TESTS_LIFE_H

#include <stddef.h>

#define LIFE_SECONDS_MAX 60 /* a life that is not over by then hangs, and is ended (SIGALRM) */

/* Zeroed memory that lives share with the test; for the test program's whole life. */
void *life_share(size_t size);

/* Run @body in a child, which ends with the status that it returns unless it ends before. What it
 * writes to standard error goes to the file @said, which is made anew. Returns the exit status, or
 * minus the number of the signal that ended it. */
int life_run(int (*body)(void *arg), void *arg, const char *said);

#endif
