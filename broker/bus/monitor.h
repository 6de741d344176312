/* The end of a socket's connection, as libzmq reports it (zmq_socket_monitor(3)).
 *
 * libzmq makes another connection by itself and says nothing of what was missed meanwhile; or it
 * has given up for good, and says nothing either. Who has to know that watches the socket.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_MONITOR_H
#define PYGMY_BUS_MONITOR_H

#include <czmq.h>

struct monitor;

/* Watch @socket, before it is connected. @lost is called from the loop with @arg once a connection
 * has ended, and again in each turn until this is destroyed: it may put that off while something
 * that had arrived before is still to be read. NULL: it can't be watched now. */
struct monitor *monitor_new(zloop_t *loop, zsock_t *socket, zloop_reader_fn *lost, void *arg);
/* Before its socket; also from within @lost. Accepts NULL. */
void monitor_destroy(struct monitor **self_p);

#endif
