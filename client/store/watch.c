/* A watch of a group's committed changes: a SUB socket at each broker's feed, questions to the
 * group's replicas, and a position (position.h) that says what to make of both.
 *
 * Socket options are libzmq's own but for bounds. Its heartbeats abort the process when one is
 * due while the queue is full. What it may give up for good, silently, is a connection: so a
 * feed that has been quiet for long is connected anew, whatever the cause. What is missed by it,
 * the position asks for.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alarm.h"
#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/config.h"
#include "broker/bus/err.h"
#include "broker/bus/feed.h"
#include "broker/bus/limits.h"
#include "client/store/feed_socket.h"
#include "client/store/handle.h"
#include "client/store/position.h"
#include "client/store/pygmy.h"

#define TOPIC_BYTES 32

_Static_assert(PYGMY_NOW == -1 && POSITION_NOW == -1, "two words for the same");

/* A broker's feed. */
struct feed {
    struct pygmy_watch *watch;
    char *endpoint;
    zsock_t *socket;  /* SUB; NULL: it could not be opened, and will be tried again */
    int64_t quiet_ms; /* since when nothing has come by it */
};

struct pygmy_watch {
    struct pygmy *store;
    struct pygmy_watch_options options; /* what it points to is gone, but for arg */
    char topic[TOPIC_BYTES];
    struct position *position;
    struct alarm *alarm;
    int64_t wake_ms;  /* what it is set to */
    int64_t ask_ms;   /* how long the next question may take */
    int64_t grace_ms; /* nothing is judged before, for the loop stood still */
    size_t feed_count;
    struct feed *feeds;
    size_t replica_count;
    char **replicas;
    bool in_callback;
};

/* ---- What comes out ----------------------------------------------------------------- */

static void watch_deliver(void *arg, const json_t *change, int64_t resume)
{
    struct pygmy_watch *self = arg;
    self->in_callback = true;
    self->options.change(self->options.arg, change, resume);
    self->in_callback = false;
}

static void watch_report(void *arg, enum position_news news, int64_t number)
{
    static const enum pygmy_news names[] = {[POSITION_BEGUN] = PYGMY_BEGUN,
                                            [POSITION_SILENT] = PYGMY_SILENT,
                                            [POSITION_HEARD] = PYGMY_HEARD,
                                            [POSITION_AHEAD] = PYGMY_AHEAD,
                                            [POSITION_RESET] = PYGMY_RESET};
    struct pygmy_watch *self = arg;
    self->in_callback = true;
    self->options.news(self->options.arg, names[news], number);
    self->in_callback = false;
}

static const struct position_owner watch_owner = {watch_deliver, watch_report};

/* ---- Asking ------------------------------------------------------------------------- */

static void watch_go_on(struct pygmy_watch *self);

static void watch_answered(void *arg, const struct pygmy_reply *reply)
{
    struct pygmy_watch *self = arg;
    self->ask_ms = reply->code == OK ? CHANGES_ASK_MS : 2 * self->ask_ms;
    if (self->ask_ms > CHANGES_ASK_MS_MAX)
        self->ask_ms = CHANGES_ASK_MS_MAX;
    position_answer(self->position, reply->code == OK ? reply->body : NULL, clock_ms());
    watch_go_on(self);
}

static void watch_ask(struct pygmy_watch *self)
{
    struct position_ask ask;
    char service[SERVICE_NAME_BYTES_MAX + 1];
    if (!position_ask(self->position, clock_ms(), &ask))
        return;
    json_t *request = json_pack("{ss}", "op", "changes");
    if (ask.since != POSITION_NOW)
        json_object_set_new(request, "since", json_integer(ask.since));
    snprintf(service, sizeof service, "node.%s", self->replicas[ask.replica]);
    pygmy_start(self->store, &(struct pygmy_call){.service = service,
                                                  .request = request,
                                                  .timeout_ms = self->ask_ms,
                                                  .done = watch_answered,
                                                  .arg = self});
}

/* When something is to be done if nothing comes. */
static int64_t watch_due_ms(const struct pygmy_watch *self)
{
    int64_t due_ms = position_wake_ms(self->position);
    for (size_t i = 0; i < self->feed_count; i++)
        if (self->feeds[i].quiet_ms + CHANGES_FEED_MS < due_ms)
            due_ms = self->feeds[i].quiet_ms + CHANGES_FEED_MS;
    return due_ms;
}

/* The end of each turn: ask what is to be asked, and set the alarm for what comes next. Nobody is
 * silent while we have not listened: when the loop itself stood still, what has come by now gets
 * the time to be taken before anything is judged. */
static void watch_go_on(struct pygmy_watch *self)
{
    const int64_t now_ms = clock_ms();
    if (now_ms > self->wake_ms + CHANGES_BEAT_MS)
        self->grace_ms = now_ms + CHANGES_BEAT_MS;
    watch_ask(self);
    self->wake_ms = watch_due_ms(self);
    if (self->wake_ms < self->grace_ms)
        self->wake_ms = self->grace_ms;
    alarm_set(self->alarm, self->wake_ms);
}

/* ---- Receiving ---------------------------------------------------------------------- */

static void feed_take(void *arg, json_t *message, size_t size)
{
    struct feed *self = arg;
    const int64_t now_ms = clock_ms();
    if (position_live(self->watch->position, message, size, now_ms))
        self->quiet_ms = now_ms;
}

static int feed_ready(zloop_t *loop, zsock_t *reader, void *arg)
{
    struct feed *self = arg;
    (void)loop;
    feed_socket_read(reader, self->watch->topic, CHANGES_TURN_MAX, feed_take, self);
    watch_go_on(self->watch);
    return 0;
}

/* ---- Feeds -------------------------------------------------------------------------- */

static void feed_close(struct feed *self)
{
    if (self->socket != NULL)
        zloop_reader_end(handle_loop(self->watch->store), self->socket);
    zsock_destroy(&self->socket);
}

/* Returns 0, or -1 when the endpoint is none. */
static int feed_open(struct feed *self)
{
    self->quiet_ms = clock_ms();
    self->socket = feed_socket_new(self->watch->topic, CHANGES_QUEUE_MAX);
    if (self->socket == NULL)
        return -1;
    if (zsock_connect(self->socket, "%s", self->endpoint) != 0 ||
        zloop_reader(handle_loop(self->watch->store), self->socket, feed_ready, self) != 0) {
        zsock_destroy(&self->socket);
        return -1;
    }
    return 0;
}

/* ---- Time --------------------------------------------------------------------------- */

static void watch_judge(struct pygmy_watch *self, int64_t now_ms)
{
    position_tick(self->position, now_ms);
    for (size_t i = 0; i < self->feed_count; i++) {
        struct feed *feed = &self->feeds[i];
        if (now_ms - feed->quiet_ms < CHANGES_FEED_MS)
            continue;
        feed_close(feed);
        (void)feed_open(feed);
    }
}

static void watch_rang(void *arg)
{
    struct pygmy_watch *self = arg;
    const int64_t now_ms = clock_ms();
    if (now_ms >= self->grace_ms && now_ms <= self->wake_ms + CHANGES_BEAT_MS)
        watch_judge(self, now_ms);
    watch_go_on(self);
}

/* ---- Opening and closing ------------------------------------------------------------ */

static void watch_add_feed(struct pygmy_watch *self, const char *endpoint)
{
    self->feeds[self->feed_count++] =
        (struct feed){.watch = self, .endpoint = alloc_copy(endpoint, strlen(endpoint))};
}

static void watch_add_replica(struct pygmy_watch *self, const char *name)
{
    self->replicas[self->replica_count++] = alloc_copy(name, strlen(name));
}

/* Take over the names that were given, or those of the configuration. */
static void watch_find(struct pygmy_watch *self, const struct pygmy_watch_options *options)
{
    const struct config *config = handle_config(self->store);
    const size_t node_count = config != NULL ? config->node_count : 0;
    self->feeds = alloc_zero((options->feed_count + node_count + 1) * sizeof *self->feeds);
    self->replicas = alloc_zero((options->replica_count + node_count + 1) * sizeof *self->replicas);
    for (size_t i = 0; i < options->feed_count; i++)
        watch_add_feed(self, options->feeds[i]);
    for (size_t i = 0; i < options->replica_count; i++)
        watch_add_replica(self, options->replicas[i]);
    for (size_t i = 0; i < node_count; i++) {
        const struct config_node *node = &config->nodes[i];
        if (options->feeds == NULL && node->subscribe != NULL)
            watch_add_feed(self, node->subscribe);
        if (options->replicas == NULL &&
            strcmp(config_kind_name(node->kind), options->group) == 0 &&
            (node->kind == NODE_CATALOG || node->kind == NODE_ORDER))
            watch_add_replica(self, node->name);
    }
}

static int watch_open(struct pygmy_watch *self, char **error)
{
    if (self->feed_count == 0) {
        *error = zsys_sprintf("no broker is known to have a feed");
        return ERR_INVALID;
    }
    if (self->replica_count == 0) {
        *error =
            zsys_sprintf("no replica of \"%s\" is known", self->topic + strlen(FEED_TOPIC_CHANGES));
        return ERR_INVALID;
    }
    /* From here on nothing that is published is missed: only then the position begins to ask. */
    for (size_t i = 0; i < self->feed_count; i++)
        if (feed_open(&self->feeds[i]) != 0) {
            *error = zsys_sprintf("\"%s\" is no endpoint of a feed", self->feeds[i].endpoint);
            return ERR_INVALID;
        }
    return OK;
}

int pygmy_watch_new(struct pygmy *store, const struct pygmy_watch_options *options,
                    struct pygmy_watch **self_p, char **error)
{
    assert(options->change != NULL && options->news != NULL);
    struct pygmy_watch *self = alloc_zero(sizeof *self);
    self->store = store;
    self->options = *options;
    const int length =
        snprintf(self->topic, sizeof self->topic, FEED_TOPIC_CHANGES "%s", options->group);
    assert(length > 0 && length < TOPIC_BYTES);
    self->alarm = alarm_new(handle_loop(store), watch_rang, self);
    watch_find(self, options);
    const int code = watch_open(self, error);
    if (code != OK) {
        pygmy_watch_destroy(&self);
        return code;
    }
    self->wake_ms = clock_ms();
    self->ask_ms = CHANGES_ASK_MS;
    self->position =
        position_new(options->group, options->cluster != NULL ? options->cluster : "",
                     options->since, self->replica_count, clock_ms(), &watch_owner, self);
    watch_go_on(self);
    *self_p = self;
    return OK;
}

void pygmy_watch_destroy(struct pygmy_watch **self_p)
{
    struct pygmy_watch *self = *self_p;
    if (self == NULL)
        return;
    assert(!self->in_callback);
    handle_forget(self->store, self);
    for (size_t i = 0; i < self->feed_count; i++) {
        feed_close(&self->feeds[i]);
        free(self->feeds[i].endpoint);
    }
    for (size_t i = 0; i < self->replica_count; i++)
        free(self->replicas[i]);
    free(self->feeds);
    free(self->replicas);
    alarm_destroy(&self->alarm);
    position_destroy(&self->position);
    free(self);
    *self_p = NULL;
}

int64_t pygmy_watch_index(const struct pygmy_watch *self)
{
    return position_known(self->position);
}

const char *pygmy_watch_cluster(const struct pygmy_watch *self)
{
    return position_cluster(self->position);
}
