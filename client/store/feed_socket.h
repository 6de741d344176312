/* One topic of a broker's feed, heard at a SUB socket: each message is one frame, the topic and a
 * JSON object to its end (docs/protocol.md).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_STORE_FEED_SOCKET_H
#define PYGMY_STORE_FEED_SOCKET_H

#include <czmq.h>
#include <jansson.h>

/* A message: an object, which is gone after the call unless it is held on to, and the bytes of its
 * frame. */
typedef void feed_take_fn(void *arg, json_t *message, size_t size);

/* Not connected yet; libzmq's own options but for bounds: it holds @queue_max messages and drops
 * what is above. The NUL at the end of @topic is part of it. The caller's. NULL: there are no more
 * sockets. */
zsock_t *feed_socket_new(const char *topic, int queue_max);

/* Take what has come, as much as one turn may: @turn_max messages. Others than of the topic, and
 * what is no JSON object, are passed over. @take must not destroy the socket. */
void feed_socket_read(zsock_t *socket, const char *topic, int turn_max, feed_take_fn *take,
                      void *arg);

#endif
