/* From the signal to the end of the loop: see node_internal.h.
 *
 *   up            -> finishing      a leader takes no more writes, and answers those in hand:
 *                                   handed over, they would be told "unknown"
 *   finishing     -> handing over   they are answered, or NODE_FINISH_MS are over
 *   handing over  -> draining       another member leads, or there is none that could
 *   draining      -> the end        all is answered, or DRAIN_MS_MAX are over
 *
 * Brokers keep the writes that come meanwhile for the next leader.
 *
 * Signals come by a descriptor (broker/bus/signals.h): the loop is the only place that learns of
 * them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "broker/bus/clock.h"
#include "broker/bus/limits.h"
#include "services/replica/node_internal.h"

#define NODE_STOP_LOOK_MS 10  /* pace of looking whether a stage has ended */
#define NODE_FINISH_MS    250 /* for writes in hand, before leadership is handed over */

static void node_port_drain(struct node_port *self)
{
    if (self->worker != NULL)
        bus_worker_drain(self->worker);
}

/* What still has to be answered. */
static size_t node_pending(const struct node *self)
{
    size_t count = replica_pending(self->replica) - (self->asking ? 1 : 0);

    for (size_t i = 0; i < NODE_PORTS; i++)
        if (self->ports[i].worker != NULL)
            count += bus_worker_pending(self->ports[i].worker);
    return count;
}

static size_t node_pending_writes(const struct node *self)
{
    const struct bus_worker *worker = self->ports[NODE_PORT_WRITE].worker;

    return worker != NULL ? bus_worker_pending(worker) : 0;
}

/* A handler of zloop ends the loop by returning -1; an alarm can't, so it goes through a timer. */
static int node_end_loop(zloop_t *loop, int timer, void *arg)
{
    (void)loop;
    (void)timer;
    (void)arg;
    return -1;
}

static void node_stop_enter(struct node *self, enum node_stage stage, int64_t time_ms)
{
    assert(stage > self->stage);
    self->stage = stage;
    self->stage_end_ms = clock_ms() + time_ms;
}

static void node_stop_finish(struct node *self)
{
    log_write(self->log, LOG_LEVEL_INFO, "draining", LOG_UINT("pending", node_pending(self)));
    node_stop_enter(self, NODE_FINISHING, NODE_FINISH_MS);
    node_port_drain(&self->ports[NODE_PORT_WRITE]);
}

static void node_stop_drain(struct node *self)
{
    node_stop_enter(self, NODE_DRAINING, DRAIN_MS_MAX);
    for (size_t i = 0; i < NODE_PORTS; i++)
        node_port_drain(&self->ports[i]);
}

static void node_stop_hand_over(struct node *self)
{
    /* What the driver takes for itself to give it up, and the new leader's election. */
    node_stop_enter(self, NODE_HANDING_OVER, 2 * (int64_t)self->config->election_ms);
    if (replica_transfer(self->replica, 0) != 0)
        node_stop_drain(self);
}

static void node_stop_end(struct node *self)
{
    size_t pending = node_pending(self);

    if (pending > 0)
        log_write(self->log, LOG_LEVEL_WARN, "requests are left without an answer",
                  LOG_UINT("pending", pending));
    zloop_timer(self->loop, 0, 1, node_end_loop, NULL);
}

/* Whether the stage has done what it is for. */
static bool node_stop_done(const struct node *self)
{
    switch (self->stage) {
    case NODE_FINISHING: return node_pending_writes(self) == 0;
    case NODE_HANDING_OVER: return !replica_is_leader(self->replica);
    default: return node_pending(self) == 0;
    }
}

void node_on_stop(void *arg)
{
    struct node *self = arg;
    int64_t now_ms = clock_ms();

    assert(self->stage != NODE_UP);
    if (!node_stop_done(self) && now_ms < self->stage_end_ms) {
        alarm_set(self->stop, now_ms + NODE_STOP_LOOK_MS);
        return;
    }
    switch (self->stage) {
    case NODE_FINISHING: node_stop_hand_over(self); break;
    case NODE_HANDING_OVER: node_stop_drain(self); break;
    default: node_stop_end(self); return;
    }
    alarm_set(self->stop, now_ms + NODE_STOP_LOOK_MS);
}

int node_on_signal(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    struct node *self = arg;
    struct signalfd_siginfo signal;

    (void)loop;
    if (read(item->fd, &signal, sizeof signal) != (ssize_t)sizeof signal)
        return 0;
    if (self->stage != NODE_UP)
        return -1;
    node_stop_finish(self);
    alarm_set(self->stop, 0);
    return 0;
}
