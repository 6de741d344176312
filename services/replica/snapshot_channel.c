/* See snapshot_channel.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/snapshot_channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "broker/bus/alarm.h"
#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "broker/bus/probe.h"
#include "services/replica/snapshot_file.h"
#include "services/replica/snapshot_message.h"

#define SNAPSHOT_ROUTE_BYTES_MAX 255 /* of a routing id, as ZMTP has it */

/* A file that is asked for. */
struct snapshot_open_file {
    struct snapshot_mark mark; /* index, term and checksum: what it was asked for by */
    int fd;                    /* -1: the place is free */
    int64_t asked_ms;
};

/* Who asks. */
struct snapshot_fetcher {
    uint8_t route[SNAPSHOT_ROUTE_BYTES_MAX];
    size_t size; /* of it; 0: the place is free */
    int64_t asked_ms;
};

struct snapshot_channel {
    zloop_t *loop; /* not owned */
    zsock_t *socket;
    struct alarm *alarm; /* forgets who does not ask any more */
    char *directory;
    uint8_t uuid[SNAPSHOT_UUID_BYTES];
    struct log *log; /* not owned, or NULL */
    struct snapshot_open_file files[SNAPSHOT_OPEN_FILES_MAX];
    struct snapshot_fetcher fetchers[SNAPSHOT_FETCHERS_MAX];
    uint8_t *chunk; /* SNAPSHOT_CHUNK_BYTES of them */
    struct bytes_writer answer;
    struct metric *sent_bytes;
    struct metric *refused;
    struct metric *dropped;
    struct metric *fetching;
};

/* ---- Who asks, and for what ---------------------------------------------------------------- */

/* Forget who has not asked for long. */
static void snapshot_channel_forget_fetchers(struct snapshot_channel *self, int64_t now_ms)
{
    size_t count = 0;

    for (size_t i = 0; i < SNAPSHOT_FETCHERS_MAX; i++) {
        struct snapshot_fetcher *fetcher = &self->fetchers[i];
        if (fetcher->size > 0 && now_ms - fetcher->asked_ms >= SNAPSHOT_FETCHER_GONE_MS)
            fetcher->size = 0;
        count += fetcher->size > 0;
    }
    metric_set(self->fetching, (double)count);
}

/* Close what nobody has asked for. Returns when to look again; 0: nothing is open. */
static int64_t snapshot_channel_close_idle(struct snapshot_channel *self, int64_t now_ms)
{
    int64_t next_ms = 0;

    for (size_t i = 0; i < SNAPSHOT_OPEN_FILES_MAX; i++) {
        struct snapshot_open_file *file = &self->files[i];
        if (file->fd >= 0 && now_ms - file->asked_ms >= SNAPSHOT_FILE_IDLE_MS) {
            close(file->fd);
            file->fd = -1;
        }
        if (file->fd >= 0)
            next_ms = now_ms + SNAPSHOT_FETCHER_GONE_MS;
    }
    return next_ms;
}

/* Rings as long as a file is open. */
static void snapshot_channel_on_alarm(void *arg)
{
    struct snapshot_channel *self = arg;
    int64_t now_ms = clock_ms();

    snapshot_channel_forget_fetchers(self, now_ms);
    int64_t next_ms = snapshot_channel_close_idle(self, now_ms);
    if (next_ms > 0)
        alarm_set(self->alarm, next_ms);
}

/* Note who asks. Returns false when too many others do. */
static bool snapshot_channel_admit(struct snapshot_channel *self, zframe_t *route, int64_t now_ms)
{
    struct snapshot_fetcher *place = NULL;

    snapshot_channel_forget_fetchers(self, now_ms);
    for (size_t i = 0; i < SNAPSHOT_FETCHERS_MAX; i++) {
        struct snapshot_fetcher *fetcher = &self->fetchers[i];
        if (fetcher->size == zframe_size(route) &&
            memcmp(fetcher->route, zframe_data(route), fetcher->size) == 0) {
            fetcher->asked_ms = now_ms;
            return true;
        }
        if (fetcher->size == 0)
            place = fetcher;
    }
    if (place == NULL)
        return false;
    place->size = zframe_size(route);
    memcpy(place->route, zframe_data(route), place->size);
    place->asked_ms = now_ms;
    log_write(self->log, LOG_LEVEL_INFO, "a replica begins to fetch a snapshot", LOG_END);
    return true;
}

/* Open a file in the place of another one, or of none; that stays when it fails. */
static int snapshot_channel_open(struct snapshot_channel *self, struct snapshot_open_file *file,
                                 const struct snapshot_mark *mark)
{
    char *path = snapshot_file_path(self->directory, mark);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const int refusal = errno == ENOENT ? ERR_NOT_FOUND : ERR_STORAGE;

    free(path);
    if (fd < 0)
        return refusal;
    if (file->fd >= 0)
        close(file->fd);
    file->fd = fd;
    file->mark = *mark;
    return OK;
}

static bool snapshot_channel_has(const struct snapshot_open_file *file,
                                 const struct snapshot_mark *mark)
{
    return file->fd >= 0 && snapshot_mark_same(&file->mark, mark);
}

/* The place for a file: its own, a free one, or that of the file that was not asked for the longest.
 * NULL: all are in use. A fetch asks at least every SNAPSHOT_ASK_AGAIN_MS; when it is over, or has
 * been given up, nobody says so. */
static struct snapshot_open_file *snapshot_channel_place(struct snapshot_channel *self,
                                                         const struct snapshot_mark *mark,
                                                         int64_t now_ms)
{
    struct snapshot_open_file *idle = &self->files[0];

    for (size_t i = 0; i < SNAPSHOT_OPEN_FILES_MAX; i++) {
        struct snapshot_open_file *file = &self->files[i];
        if (snapshot_channel_has(file, mark))
            return file;
        if (idle->fd >= 0 && (file->fd < 0 || file->asked_ms < idle->asked_ms))
            idle = file;
    }
    return idle->fd < 0 || now_ms - idle->asked_ms > SNAPSHOT_ASK_AGAIN_MS ? idle : NULL;
}

/* The file that is asked for, opened if it is not yet. Returns OK or the code of the refusal. */
static int snapshot_channel_file(struct snapshot_channel *self,
                                 const struct snapshot_message *request, int64_t now_ms, int *fd)
{
    const struct snapshot_mark mark = {
        .index = request->index, .term = request->term, .checksum = request->checksum};
    struct snapshot_open_file *place = snapshot_channel_place(self, &mark, now_ms);

    if (place == NULL)
        return ERR_BUSY;
    if (!snapshot_channel_has(place, &mark)) {
        alarm_set(self->alarm, now_ms + SNAPSHOT_FETCHER_GONE_MS);
        const int rc = snapshot_channel_open(self, place, &mark);
        if (rc != OK)
            return rc;
    }
    place->asked_ms = now_ms;
    *fd = place->fd;
    return OK;
}

/* ---- Answers ------------------------------------------------------------------------------- */

/* Send what finds room; what does not is asked for again. */
static void snapshot_channel_send(struct snapshot_channel *self, zframe_t *route,
                                  const struct snapshot_message *answer)
{
    void *socket = zsock_resolve(self->socket);

    self->answer.size = 0;
    snapshot_message_encode(answer, &self->answer);
    if (zmq_send(socket, zframe_data(route), zframe_size(route), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        zmq_send(socket, self->answer.data, self->answer.size, ZMQ_DONTWAIT) < 0)
        metric_add(self->dropped, 1);
    else if (answer->kind == SNAPSHOT_CHUNK)
        metric_add(self->sent_bytes, (double)answer->size);
    else
        metric_add(self->refused, 1);
}

static void snapshot_channel_refuse(struct snapshot_channel *self, zframe_t *route,
                                    const struct snapshot_message *request, int code)
{
    struct snapshot_message refusal = {
        .kind = SNAPSHOT_REFUSAL,
        .index = request->index,
        .term = request->term,
        .checksum = request->checksum,
        .code = code,
    };

    snapshot_channel_send(self, route, &refusal);
}

/* Give out a piece of the file, as long as asked for unless the file ends. */
static void snapshot_channel_give(struct snapshot_channel *self, zframe_t *route,
                                  const struct snapshot_message *request, int fd)
{
    struct snapshot_message chunk = *request;

    ssize_t got = pread(fd, self->chunk, request->size, (off_t)request->offset);
    if (got <= 0) {
        snapshot_channel_refuse(self, route, request, got == 0 ? ERR_NOT_FOUND : ERR_STORAGE);
        return;
    }
    chunk.kind = SNAPSHOT_CHUNK;
    chunk.size = (uint32_t)got;
    chunk.data = self->chunk;
    snapshot_channel_send(self, route, &chunk);
}

static void snapshot_channel_handle(struct snapshot_channel *self, zframe_t *route,
                                    zframe_t *content)
{
    struct snapshot_message request;
    int64_t now_ms = clock_ms();
    int fd = -1;

    if (snapshot_message_decode(&request, zframe_data(content), zframe_size(content)) != 0 ||
        request.kind != SNAPSHOT_REQUEST ||
        memcmp(request.uuid, self->uuid, sizeof self->uuid) != 0) {
        metric_add(self->dropped, 1);
        return;
    }
    int code = snapshot_channel_admit(self, route, now_ms)
                   ? snapshot_channel_file(self, &request, now_ms, &fd)
                   : ERR_BUSY;
    if (code == OK)
        snapshot_channel_give(self, route, &request, fd);
    else
        snapshot_channel_refuse(self, route, &request, code);
}

/* One request: a route and one frame. Of a message with more, nothing is looked at. */
static int snapshot_channel_on_socket(zloop_t *loop, zsock_t *socket, void *arg)
{
    struct snapshot_channel *self = arg;
    zframe_t *route = zframe_recv(socket);
    zframe_t *content = route != NULL && zframe_more(route) ? zframe_recv(socket) : NULL;

    (void)loop;
    if (content != NULL && !zframe_more(content))
        snapshot_channel_handle(self, route, content);
    else
        metric_add(self->dropped, 1);
    if (content != NULL && zframe_more(content))
        zsock_flush(socket);
    zframe_destroy(&route);
    zframe_destroy(&content);
    return 0;
}

/* ---- Opening and closing ------------------------------------------------------------------- */

static void snapshot_channel_make_series(struct snapshot_channel *self, struct metrics *metrics)
{
    const char *name = "pygmy_snapshot_channel_refusals_total";

    if (metrics == NULL)
        return;
    self->sent_bytes = metrics_counter(metrics, "pygmy_snapshot_channel_bytes_total", NULL,
                                       "Bytes of snapshots that were sent to other replicas");
    self->refused =
        metrics_counter(metrics, name, NULL, "Pieces of snapshots that were asked for in vain");
    self->dropped = metrics_counter(metrics, "pygmy_snapshot_channel_dropped_total", NULL,
                                    "Requests that made no sense, and answers that found no room");
    self->fetching = metrics_gauge(metrics, "pygmy_snapshot_channel_fetchers", NULL,
                                   "Replicas that fetch a snapshot from here");
}

static zsock_t *snapshot_channel_bind(const char *endpoint)
{
    zsock_t *socket = zsock_new(ZMQ_ROUTER);

    if (socket == NULL)
        return NULL;
    zsock_set_linger(socket, 0);
    zsock_set_router_mandatory(socket, 1);
    zsock_set_router_handover(socket, 1); /* a fetcher that comes back is the same */
    zsock_set_sndhwm(socket, 2 * SNAPSHOT_CREDIT);
    zsock_set_rcvhwm(socket, 2 * SNAPSHOT_CREDIT);
    zsock_set_maxmsgsize(socket, SNAPSHOT_MESSAGE_BYTES_MAX);
    probe_connections(socket);
    if (zsock_bind(socket, "%s", endpoint) < 0) {
        int saved_errno = errno;
        zsock_destroy(&socket);
        errno = saved_errno;
    }
    return socket;
}

struct snapshot_channel *snapshot_channel_new(zloop_t *loop,
                                              const struct snapshot_channel_options *options)
{
    struct snapshot_message cluster;
    zsock_t *socket = snapshot_channel_bind(options->endpoint);

    if (socket == NULL)
        return NULL;
    struct snapshot_channel *self = alloc_zero(sizeof *self);
    self->loop = loop;
    self->socket = socket;
    self->log = options->log;
    self->directory = alloc_copy(options->directory, strlen(options->directory));
    snapshot_message_set_uuid(&cluster, options->uuid);
    memcpy(self->uuid, cluster.uuid, sizeof self->uuid);
    for (size_t i = 0; i < SNAPSHOT_OPEN_FILES_MAX; i++)
        self->files[i].fd = -1;
    self->chunk = alloc_zero(SNAPSHOT_CHUNK_BYTES);
    snapshot_channel_make_series(self, options->metrics);
    self->alarm = alarm_new(loop, snapshot_channel_on_alarm, self);
    zloop_reader(loop, socket, snapshot_channel_on_socket, self);
    return self;
}

void snapshot_channel_destroy(struct snapshot_channel **self_p)
{
    struct snapshot_channel *self = *self_p;

    if (self == NULL)
        return;
    zloop_reader_end(self->loop, self->socket);
    alarm_destroy(&self->alarm);
    zsock_destroy(&self->socket);
    for (size_t i = 0; i < SNAPSHOT_OPEN_FILES_MAX; i++)
        if (self->files[i].fd >= 0)
            close(self->files[i].fd);
    bytes_writer_close(&self->answer);
    free(self->chunk);
    free(self->directory);
    free(self);
    *self_p = NULL;
}
