/* See feed_socket.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/store/feed_socket.h"

#include <assert.h>
#include <string.h>

#include "broker/bus/err.h"
#include "broker/bus/frame.h"
#include "broker/bus/limits.h"
#include "broker/bus/store_json.h"

zsock_t *feed_socket_new(const char *topic, int queue_max)
{
    zsock_t *self = zsock_new(ZMQ_SUB);
    if (self == NULL)
        return NULL;
    zsock_set_linger(self, 0);
    zsock_set_rcvhwm(self, queue_max);
    zsock_set_maxmsgsize(self, MESSAGE_BYTES_MAX);
    const int rc = zmq_setsockopt(zsock_resolve(self), ZMQ_SUBSCRIBE, topic, strlen(topic) + 1);
    assert(rc == 0);
    (void)rc;
    return self;
}

static void feed_take(const struct message *frames, const char *topic, feed_take_fn *take,
                      void *arg)
{
    char why[STORE_JSON_WHY_BYTES];
    const struct frame *frame = &frames->frames[0];
    const size_t size = frames->count == 1 ? frame_size(frame) : 0;
    const size_t head = strlen(topic) + 1;
    if (size < head || memcmp(frame_data(frame), topic, head) != 0)
        return;
    json_t *message = store_json_parse(frame_data(frame) + head, size - head, why);
    if (message == NULL)
        return;
    take(arg, message, size);
    json_decref(message);
}

void feed_socket_read(zsock_t *socket, const char *topic, int turn_max, feed_take_fn *take,
                      void *arg)
{
    struct message frames;
    for (int i = 0; i < turn_max; i++) {
        const int code = message_receive(&frames, zsock_resolve(socket), NULL);
        if (code == ERR_BUSY || code == ERR_UNKNOWN)
            break;
        if (code == OK)
            feed_take(&frames, topic, take, arg);
        message_close(&frames);
    }
}
