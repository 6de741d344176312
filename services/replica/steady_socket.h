/* A socket that is connected to one endpoint, and stays so.
 *
 * libzmq connects a lost connection again by itself, unless it was the other side's breach of the
 * protocol that it was lost by: a frame above ZMQ_MAXMSGSIZE, something else than ZeroMQ that listens
 * there for a moment, a connection that has met itself. Then it gives up for good and tells nobody
 * (libzmq's issue 4196; its change 1043 says that it is meant so). So here each loss, whatever its
 * cause, has the socket made anew after PEER_RECONNECT_MS, when all that had arrived has been read.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_STEADY_SOCKET_H
#define PYGMY_REPLICA_STEADY_SOCKET_H

#include <czmq.h>

struct steady_socket;

/* Return a new socket with all of its options, not connected; it is taken over. Never NULL. */
typedef zsock_t *steady_socket_make_fn(void *arg);

/* Connect, which goes on by itself for as long as it takes.
 *
 * @read  the loop's handler while there is something to read; may be NULL. It must not destroy this
 *
 * Returns NULL when @endpoint is none. */
struct steady_socket *steady_socket_new(zloop_t *loop, const char *endpoint,
                                        steady_socket_make_fn *make, zloop_reader_fn *read,
                                        void *arg);
/* Accepts NULL. */
void steady_socket_destroy(struct steady_socket **self_p);

/* The socket there is now; NULL: none, for a moment after a loss. */
zsock_t *steady_socket_now(const struct steady_socket *self);

#endif
