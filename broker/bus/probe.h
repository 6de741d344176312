/* Connections that end when the machine at their other end does.
 *
 * A machine that loses its power or its cable says nothing any more, and who has only accepted its
 * connection does not look for another one: unprobed, it stays for good, with its descriptor and
 * its queue. So the kernel probes the connections of a socket when they are silent, and ends them.
 *
 * Libzmq's heartbeats are not for that: version 4.3.4 ends the process by an assertion when their
 * timer meets a lost connection that still has something to be read (its issues 3937 and 4364).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_PROBE_H
#define PYGMY_BUS_PROBE_H

#include <czmq.h>

/* Have the connections of a socket probed that is not bound yet: one whose other end has vanished
 * ends within BROKER_PROBE_S * (BROKER_PROBES_MAX + 1). */
void probe_connections(zsock_t *socket);

#endif
