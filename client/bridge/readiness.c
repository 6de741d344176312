/* See readiness.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/bridge/readiness.h"

#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/limits.h"

enum { PROBES = 2 };

struct probe {
    struct readiness *owner;
    const char *service;
    bool asked;          /* a question is under way */
    int64_t asked_ms;    /* when the last one was sent */
    int64_t answered_ms; /* when the last good answer came; 0: never */
    struct metric *up;
};

struct readiness {
    zloop_t *loop;
    struct pygmy *store;
    int timer;
    int64_t heard_ms; /* when a broker was being heard; 0: never */
    struct probe probes[PROBES];
};

static bool probe_is_fresh(const struct probe *self, int64_t now_ms)
{
    return self->answered_ms > 0 && now_ms - self->answered_ms <= PROBE_FRESH_MS;
}

static void probe_on_answer(void *arg, const struct pygmy_reply *reply)
{
    struct probe *self = arg;
    self->asked = false;
    if (reply->code == 0)
        self->answered_ms = clock_ms();
}

/* The smallest read of each service. Any replica may answer it, and none can without a leader that
 * is in touch with a majority of its group: a read is linearizable. */
static json_t *probe_question(const struct probe *self)
{
    if (self == &self->owner->probes[0])
        return json_pack("{s:s}", "op", "time");
    return json_pack("{s:s, s:i}", "op", "orders", "limit", 1);
}

static void probe_ask(struct probe *self, int64_t now_ms)
{
    int64_t pause_ms = probe_is_fresh(self, now_ms) ? PROBE_MS : PROBE_AGAIN_MS;
    metric_set(self->up, probe_is_fresh(self, now_ms));
    if (self->asked || now_ms - self->asked_ms < pause_ms)
        return;
    self->asked = true;
    self->asked_ms = now_ms;
    pygmy_start(self->owner->store, &(struct pygmy_call){
                                        .service = self->service,
                                        .request = probe_question(self),
                                        .timeout_ms = PROBE_TIMEOUT_MS,
                                        .done = probe_on_answer,
                                        .arg = self,
                                    });
}

static int readiness_on_timer(zloop_t *loop, int timer, void *arg)
{
    struct readiness *self = arg;
    (void)loop;
    (void)timer;
    if (pygmy_connected(self->store))
        self->heard_ms = clock_ms();
    for (size_t i = 0; i < PROBES; i++)
        probe_ask(&self->probes[i], clock_ms());
    return 0;
}

struct readiness *readiness_new(zloop_t *loop, struct pygmy *store, struct metrics *metrics)
{
    static const char *const services[PROBES] = {"catalog", "order"};
    static const char *const labels[PROBES] = {"service=\"catalog\"", "service=\"order\""};
    struct readiness *self = alloc_zero(sizeof *self);

    self->loop = loop;
    self->store = store;
    for (size_t i = 0; i < PROBES; i++) {
        self->probes[i].owner = self;
        self->probes[i].service = services[i];
        self->probes[i].up = metrics_gauge(metrics, "pygmy_http_service_up", labels[i],
                                           "Whether the service answered lately.");
    }
    self->timer = zloop_timer(loop, PROBE_AGAIN_MS, 0, readiness_on_timer, self);
    return self;
}

void readiness_destroy(struct readiness **self_p)
{
    struct readiness *self = *self_p;
    if (self == NULL)
        return;
    zloop_timer_end(self->loop, self->timer);
    free(self);
    *self_p = NULL;
}

/* While the store moves from a broker that died to the next one, none is heard for a moment. */
static bool readiness_hears_broker(const struct readiness *self, int64_t now_ms)
{
    return pygmy_connected(self->store) ||
           (self->heard_ms > 0 && now_ms - self->heard_ms <= PROBE_FRESH_MS);
}

bool readiness_is_ready(const struct readiness *self)
{
    int64_t now_ms = clock_ms();
    bool ready = readiness_hears_broker(self, now_ms);
    for (size_t i = 0; i < PROBES; i++)
        ready = ready && probe_is_fresh(&self->probes[i], now_ms);
    return ready;
}

json_t *readiness_checks(const struct readiness *self)
{
    int64_t now_ms = clock_ms();
    json_t *checks = json_pack("{s:b}", "broker", readiness_hears_broker(self, now_ms));
    for (size_t i = 0; i < PROBES; i++)
        json_object_set_new(checks, self->probes[i].service,
                            json_boolean(probe_is_fresh(&self->probes[i], now_ms)));
    return checks;
}
