/* See snapshot_fetch.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/snapshot_fetch.h"

#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/snapshot_message.h"
#include "services/replica/snapshot_window.h"

#define SNAPSHOT_POLL_MS 50 /* how long a stop may go unseen */

struct snapshot_fetch {
    const struct snapshot_fetch_options *options;
    const struct snapshot_mark *mark;
    zsock_t *socket;
    zuuid_t *route; /* what the other side knows this fetch by */
    int fd;
    struct snapshot_window window;
    uLong sum;            /* of the bytes that are here */
    int64_t connected_ms; /* when the socket was made */
    int64_t told_ms;      /* when progress was last told */
    int refusal;          /* what the other side said last, OK: nothing */
    struct bytes_writer request;
    uint8_t *answer; /* SNAPSHOT_MESSAGE_BYTES_MAX of them */
};

static int snapshot_fetch_fail(struct snapshot_fetch *self, int code, const char *why, char **error)
{
    *error = zsys_sprintf("snapshot %" PRIu64 " can't be fetched from %s: %s (%" PRIu64
                          " of %" PRIu64 " bytes are here)",
                          self->mark->index, self->options->endpoint, why, self->window.here,
                          self->window.bytes);
    return code;
}

/* Connect, anew when nothing comes for a while: libzmq gives some losses up for good, and would not
 * notice others. It is the same fetcher to the other side. A request that finds no connection is not
 * sent. */
static int snapshot_fetch_connect(struct snapshot_fetch *self, char **error)
{
    zsock_destroy(&self->socket);
    self->connected_ms = clock_ms();
    self->socket = zsock_new(ZMQ_DEALER);
    if (self->socket == NULL)
        return snapshot_fetch_fail(self, ERR_UNAVAILABLE, strerror(errno), error);
    zsock_set_identity(self->socket, zuuid_str(self->route));
    zsock_set_linger(self->socket, 0);
    zsock_set_immediate(self->socket, 1);
    zsock_set_sndhwm(self->socket, 2 * SNAPSHOT_CREDIT);
    zsock_set_rcvhwm(self->socket, 2 * SNAPSHOT_CREDIT);
    zsock_set_maxmsgsize(self->socket, SNAPSHOT_MESSAGE_BYTES_MAX);
    zsock_set_reconnect_ivl(self->socket, RECONNECT_MS_MIN);
    if (zsock_connect(self->socket, "%s", self->options->endpoint) != 0)
        return snapshot_fetch_fail(self, ERR_UNAVAILABLE, strerror(errno), error);
    return 0;
}

/* Ask for a piece; false when there is no connection or no room. */
static bool snapshot_fetch_ask(struct snapshot_fetch *self, uint64_t offset, uint32_t size)
{
    struct snapshot_message request = {
        .kind = SNAPSHOT_REQUEST,
        .index = self->mark->index,
        .term = self->mark->term,
        .checksum = self->mark->checksum,
        .offset = offset,
        .size = size,
    };

    snapshot_message_set_uuid(&request, self->options->uuid);
    self->request.size = 0;
    snapshot_message_encode(&request, &self->request);
    return zmq_send(zsock_resolve(self->socket), self->request.data, self->request.size,
                    ZMQ_DONTWAIT) >= 0;
}

/* Write down a piece that follows what is here. */
static int snapshot_fetch_take(struct snapshot_fetch *self, const struct snapshot_message *chunk,
                               char **error)
{
    if (!snapshot_window_take(&self->window, chunk->offset, chunk->size, clock_ms()))
        return 0;
    ssize_t put = pwrite(self->fd, chunk->data, chunk->size, (off_t)chunk->offset);
    if (put != (ssize_t)chunk->size)
        return snapshot_fetch_fail(self, ERR_STORAGE, put < 0 ? strerror(errno) : "disk full",
                                   error);
    self->sum = crc32(self->sum, chunk->data, chunk->size);
    return 0;
}

static int snapshot_fetch_handle(struct snapshot_fetch *self, size_t size, char **error)
{
    struct snapshot_message answer;

    if (snapshot_message_decode(&answer, self->answer, size) != 0 ||
        answer.index != self->mark->index || answer.term != self->mark->term ||
        answer.checksum != self->mark->checksum)
        return 0; /* it is asked for again */
    if (answer.kind == SNAPSHOT_CHUNK)
        return snapshot_fetch_take(self, &answer, error);
    if (answer.kind == SNAPSHOT_REFUSAL)
        self->refusal = answer.code;
    if (self->refusal == ERR_NOT_FOUND)
        return snapshot_fetch_fail(self, ERR_NOT_FOUND, err_title(ERR_NOT_FOUND), error);
    return 0;
}

/* Take all that has come. */
static int snapshot_fetch_receive(struct snapshot_fetch *self, char **error)
{
    int result = 0;
    int size;

    while (result == 0 && (size = zmq_recv(zsock_resolve(self->socket), self->answer,
                                           SNAPSHOT_MESSAGE_BYTES_MAX, ZMQ_DONTWAIT)) >= 0)
        result = snapshot_fetch_handle(self, (size_t)size, error);
    return result;
}

static void snapshot_fetch_tell(struct snapshot_fetch *self)
{
    int64_t now_ms = clock_ms();

    if (self->window.here == 0 || now_ms - self->told_ms < SNAPSHOT_PROGRESS_MS)
        return;
    self->told_ms = now_ms;
    self->options->on_progress(self->options->arg, self->window.here);
}

/* Ask for what may be asked for now. Returns the events to wait for. */
static short snapshot_fetch_ask_all(struct snapshot_fetch *self, int64_t now_ms)
{
    uint64_t offset;
    uint32_t size;

    while (snapshot_window_next(&self->window, now_ms, &offset, &size)) {
        if (snapshot_fetch_ask(self, offset, size))
            continue;
        snapshot_window_undo(&self->window, offset);
        return ZMQ_POLLIN | ZMQ_POLLOUT;
    }
    return ZMQ_POLLIN;
}

/* Whether to go on. */
static int snapshot_fetch_check(struct snapshot_fetch *self, int64_t now_ms, char **error)
{
    const char *why = self->refusal != OK ? err_title(self->refusal) : "no answer";

    if (atomic_load(self->options->stop))
        return snapshot_fetch_fail(self, ERR_UNAVAILABLE, "given up", error);
    if (snapshot_window_stalled(&self->window, now_ms))
        return snapshot_fetch_fail(self, ERR_UNAVAILABLE, why, error);
    return 0;
}

/* Wait for what was asked for, and take it. */
static int snapshot_fetch_turn(struct snapshot_fetch *self, char **error)
{
    zmq_pollitem_t item = {.socket = zsock_resolve(self->socket)};

    item.events = snapshot_fetch_ask_all(self, clock_ms());
    (void)zmq_poll(&item, 1, SNAPSHOT_POLL_MS);
    int result = snapshot_fetch_receive(self, error);
    snapshot_fetch_tell(self);
    return result;
}

/* Whether nothing has come over this connection for long. */
static bool snapshot_fetch_lost(const struct snapshot_fetch *self, int64_t now_ms)
{
    return now_ms - self->connected_ms >= SNAPSHOT_RECONNECT_MS &&
           now_ms - self->window.progressed_ms >= SNAPSHOT_RECONNECT_MS;
}

static int snapshot_fetch_all(struct snapshot_fetch *self, char **error)
{
    int result = 0;

    while (result == 0 && !snapshot_window_done(&self->window)) {
        result = snapshot_fetch_turn(self, error);
        if (result == 0)
            result = snapshot_fetch_check(self, clock_ms(), error);
        if (result == 0 && snapshot_fetch_lost(self, clock_ms()))
            result = snapshot_fetch_connect(self, error);
    }
    return result;
}

/* All that may fail, in order. */
static int snapshot_fetch_run(struct snapshot_fetch *self, char **error)
{
    self->fd = open(self->options->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (self->fd < 0)
        return snapshot_fetch_fail(self, ERR_STORAGE, strerror(errno), error);
    int result = snapshot_fetch_connect(self, error);
    if (result == 0)
        result = snapshot_fetch_all(self, error);
    if (result == 0 && (uint32_t)self->sum != self->mark->checksum)
        return snapshot_fetch_fail(self, ERR_CORRUPT, "its checksum is wrong", error);
    if (result == 0 && fsync(self->fd) != 0)
        return snapshot_fetch_fail(self, ERR_STORAGE, strerror(errno), error);
    return result;
}

int snapshot_fetch(const struct snapshot_fetch_options *options, const struct snapshot_mark *mark,
                   char **error)
{
    struct snapshot_fetch self = {
        .options = options,
        .mark = mark,
        .fd = -1,
        .route = zuuid_new(),
        .sum = crc32(0, NULL, 0),
        .answer = alloc_zero(SNAPSHOT_MESSAGE_BYTES_MAX),
    };

    snapshot_window_init(&self.window, mark->bytes, clock_ms());
    int result = snapshot_fetch_run(&self, error);
    if (self.fd >= 0)
        close(self.fd);
    zsock_destroy(&self.socket);
    zuuid_destroy(&self.route);
    bytes_writer_close(&self.request);
    free(self.answer);
    return result;
}
