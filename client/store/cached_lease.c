/* See cached_lease.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/store/cached_lease.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alarm.h"
#include "broker/bus/alloc.h"
#include "broker/bus/client.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "broker/bus/store_json.h"
#include "client/store/cached_feed.h"
#include "client/store/handle.h"
#include "client/store/lease_wire.h"

#define LEASES_SERVICE "catalog.leases"

struct cached_lease {
    struct pygmy *store;
    struct leased_cache *cache;
    struct cached_feed *feed;
    struct alarm *alarm;
    int64_t wake_ms; /* what it is set to */
    zlistx_t *sent;  /* asks that may yet be answered; owns them */
    char *cluster;   /* that the session is one of; NULL: there was none yet */
    bool foreign;    /* what the feed said last was of another cluster */
    int64_t heard_ms;
};

/* An ask under way. */
struct sent_ask {
    struct cached_lease *lease;
    struct leased_ask ask;
    void *handle; /* of its place in the list */
};

static void sent_free(void **item)
{
    free(*item);
    *item = NULL;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

static void lease_answered(void *arg, int code, const uint8_t *body, size_t size);

/* @request is taken over. */
static int lease_post(struct cached_lease *self, json_t *request, int64_t budget_ms,
                      bus_reply_fn *done, void *arg)
{
    const char *secret = handle_secret(self->store);
    if (secret != NULL)
        json_object_set_new(request, "secret", json_string(secret));
    char *text = json_dumps(request, JSON_COMPACT);
    const int code = bus_client_request_once(handle_bus(self->store), LEASES_SERVICE, text,
                                             strlen(text), budget_ms, done, arg);
    free(text);
    json_decref(request);
    return code;
}

/* A session is worth waiting for as long as it lasts by itself; it is asked for again before. */
static void lease_send(struct cached_lease *self, const struct leased_ask *ask)
{
    struct sent_ask *sent = alloc_zero(sizeof *sent);
    *sent = (struct sent_ask){.lease = self, .ask = *ask};
    sent->handle = zlistx_add_end(self->sent, sent);
    const int code = lease_post(self, lease_wire_request(ask, self->cluster),
                                ask->type == LEASED_OPEN ? LEASE_SILENT_MS : LEASE_ROUND_WAIT_MS,
                                lease_answered, sent);
    if (code != OK) {
        zlistx_delete(self->sent, sent->handle);
        leased_cache_refused(self->cache, ask->ask, code, clock_ms());
    }
}

static void lease_closed(void *arg, int code, const uint8_t *body, size_t size)
{
    (void)arg;
    (void)code;
    (void)body;
    (void)size;
}

/* It is said once. If it is lost, the leader finds the session silent in the end. */
static void lease_close(struct cached_lease *self, uint64_t session, const char *cluster)
{
    (void)lease_post(self, lease_wire_close(session, cluster), LEASE_SILENT_MS, lease_closed, NULL);
}

/* The end of each turn: ask what is to be asked, and set the alarm for what comes next. While no
 * more answers may be waited for, the end of one of them is what comes next. */
static void lease_go_on(struct cached_lease *self)
{
    struct leased_ask ask;
    while (zlistx_size(self->sent) < CACHE_ASKS_MAX &&
           leased_cache_ask(self->cache, clock_ms(), &ask))
        lease_send(self, &ask);
    self->wake_ms = self->heard_ms + LEASE_FEED_MS;
    const int64_t due_ms = leased_cache_deadline_ms(self->cache);
    if (zlistx_size(self->sent) < CACHE_ASKS_MAX && due_ms < self->wake_ms)
        self->wake_ms = due_ms;
    alarm_set(self->alarm, self->wake_ms);
}

/* ---- Answers --------------------------------------------------------------------------------- */

/* There is a session; or this one comes too late, and must hold up no writer as one that is not
 * heard of. */
static void lease_opened(struct cached_lease *self, const struct leased_ask *ask,
                         const struct lease_said *said, int64_t now_ms)
{
    if (!leased_cache_opened(self->cache, ask->ask, said->session, said->message.term, now_ms)) {
        lease_close(self, said->session, said->cluster);
        return;
    }
    free(self->cluster);
    self->cluster = alloc_copy(said->cluster, strlen(said->cluster));
    self->foreign = false;
    self->heard_ms = now_ms;
}

static void lease_take(struct cached_lease *self, const struct leased_ask *ask,
                       const struct lease_said *said, int64_t now_ms)
{
    if (ask->type == LEASED_OPEN)
        lease_opened(self, ask, said, now_ms);
    else if (said->ask != ask->ask)
        leased_cache_refused(self->cache, ask->ask, ERR_MALFORMED, now_ms);
    else if (ask->type == LEASED_SYNC)
        leased_cache_synced(self->cache, ask->ask, said->epoch, &said->message, said->remaining_ms,
                            now_ms);
    else
        leased_cache_granted(self->cache, ask->ask, said->epoch, said->message.term,
                             said->remaining_ms, now_ms);
}

/* A number of a session means nothing in another cluster, whatever is answered to it there. */
static void lease_judge(struct cached_lease *self, const struct leased_ask *ask, int code,
                        const json_t *answer)
{
    const int64_t now_ms = clock_ms();
    struct lease_said said;
    if (self->foreign && ask->type != LEASED_OPEN)
        leased_cache_refused(self->cache, ask->ask, ERR_NOT_FOUND, now_ms);
    else if (code != OK)
        leased_cache_refused(self->cache, ask->ask, code, now_ms);
    else if (!lease_wire_answer(answer, ask->type, &said))
        leased_cache_refused(self->cache, ask->ask, ERR_MALFORMED, now_ms);
    else {
        lease_take(self, ask, &said, now_ms);
        lease_said_close(&said);
    }
}

static void lease_answered(void *arg, int code, const uint8_t *body, size_t size)
{
    struct sent_ask *sent = arg;
    struct cached_lease *self = sent->lease;
    const struct leased_ask ask = sent->ask;
    char why[STORE_JSON_WHY_BYTES];
    json_t *answer = code == OK && size > 0 ? store_json_parse(body, size, why) : NULL;
    zlistx_delete(self->sent, sent->handle);
    lease_judge(self, &ask, code, answer);
    json_decref(answer);
    lease_go_on(self);
}

/* ---- The feed -------------------------------------------------------------------------------- */

/* An answer to a fill may be read in the same turn, before this or after it. Before: it is stored,
 * and goes with the others here; it may have been served in between, which is no harm, for the
 * leader lets nothing happen to the key before it has our acknowledgement, and that is sent after
 * this turn's messages. After: it finds its fill poisoned, and goes to those alone who asked before
 * this was heard. */
static void lease_hear(void *arg, const json_t *json)
{
    struct cached_lease *self = arg;
    struct lease_said said;
    if (self->cluster == NULL || !lease_wire_news(json, &said))
        return;
    self->foreign = strcmp(said.cluster, self->cluster) != 0;
    if (!self->foreign) {
        self->heard_ms = clock_ms();
        leased_cache_hear(self->cache, &said.message, self->heard_ms);
    }
    lease_said_close(&said);
}

static void lease_lost(void *arg)
{
    struct cached_lease *self = arg;
    self->heard_ms = clock_ms();
    leased_cache_lose(self->cache, self->heard_ms);
}

static void lease_drained(void *arg)
{
    lease_go_on(arg);
}

static const struct cached_feed_owner lease_owner = {lease_hear, lease_lost, lease_drained};

/* A leader without sessions says nothing, so before there is one nobody is silent. Nor is anybody
 * while we have not listened: when the loop stood still, what has come by now is to be taken before
 * anything is judged. */
static void lease_rang(void *arg)
{
    struct cached_lease *self = arg;
    const int64_t now_ms = clock_ms();
    if (self->cluster == NULL || now_ms > self->wake_ms + LEASE_ANSWER_MS) {
        self->heard_ms = now_ms;
    } else if (now_ms >= self->heard_ms + LEASE_FEED_MS) {
        cached_feed_next(self->feed);
        lease_lost(self);
    }
    lease_go_on(self);
}

/* ---- Life ------------------------------------------------------------------------------------ */

struct cached_lease *cached_lease_new(struct pygmy *store, struct leased_cache *cache,
                                      const char *const *feeds, size_t feed_count)
{
    struct cached_lease *self = alloc_zero(sizeof *self);
    self->store = store;
    self->cache = cache;
    self->sent = zlistx_new();
    zlistx_set_destructor(self->sent, sent_free);
    self->heard_ms = clock_ms();
    self->alarm = alarm_new(handle_loop(store), lease_rang, self);
    self->feed = cached_feed_new(handle_loop(store), feeds, feed_count, &lease_owner, self);
    lease_go_on(self);
    return self;
}

void cached_lease_leave(struct cached_lease *self)
{
    const uint64_t session = leased_cache_leave(self->cache, clock_ms());
    if (session != 0)
        lease_close(self, session, self->cluster);
}

void cached_lease_destroy(struct cached_lease **self_p)
{
    struct cached_lease *self = *self_p;
    if (self == NULL)
        return;
    cached_feed_destroy(&self->feed);
    alarm_destroy(&self->alarm);
    zlistx_destroy(&self->sent);
    free(self->cluster);
    free(self);
    *self_p = NULL;
}
