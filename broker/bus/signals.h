/* The signals of a daemon: SIGTERM and SIGINT come by a descriptor, one more event of its loop.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_SIGNALS_H
#define PYGMY_BUS_SIGNALS_H

/* Block SIGTERM and SIGINT, and return the descriptor that they are read from (signalfd(2)), the
 * caller's to close(). Before the first thread, libzmq's included, so that all have them blocked.
 * SIGPIPE is ignored: a log that nobody reads any more is no reason to die. */
int signals_take(void);

#endif
