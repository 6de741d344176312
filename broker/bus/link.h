/* One connection to one broker of a list, kept up: what the worker's and the
 * client's side of the bus have in common.
 *
 * It opens a DEALER, says the hello record first (a worker's, which has not got
 * its name, together with a heartbeat, which has), sends a heartbeat when nothing
 * else was sent, and takes the broker for gone when libzmq reports the end of
 * the connection, when the broker says DISCONNECT, or after HEARTBEAT_GONE_MS of
 * silence. Then it pauses, and goes on with a new socket and the next broker.
 *
 * What is to be sent stays with the owner until it can leave: the link asks for
 * it, as much as fits into one message at a time. So nothing is queued twice,
 * and all that one turn of the loop gave rise to leaves together.
 *
 * Invariants
 *   L1  the hello record is the first thing a connection carries.
 *   L2  records leave in the order in which the owner offers them, and sent() says exactly which.
 *   L3  a connection has one number; what came by one is never answered by another (the owner
 *       compares bus_link_connection()).
 *   L4  only time during which the loop ran counts as silence, and all that has arrived is heard
 *       before it is judged: a stall of our own is no fault of the broker.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_LINK_H
#define PYGMY_BUS_LINK_H

#include <czmq.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bus/pack.h"

struct bus_link;

/* What the owner does. All but next() and sent() are called from the loop, and by
 * bus_link_receive(), but never inside another call; none may destroy the link. */
struct bus_link_owner {
    /* Give the next record that waits to be sent, the first of all when @first; false when there
     * are no more. What @record points to is valid until the next call of any kind. Nothing has
     * been sent yet, and the same records may be asked for again. */
    bool (*next)(void *arg, bool first, struct pack_record *record);
    /* The first @count of the records that were given have left. */
    void (*sent)(void *arg, size_t count);
    /* A record has come: a request, a reply, or the broker's GOING_AWAY. @now_ms: clock_ms() */
    void (*record)(void *arg, const struct pack_record *record, int64_t now_ms);
    /* All that had arrived has been handed over. What is to be sent now leaves right after. */
    void (*drained)(void *arg);
    /* The connection is lost; what was sent by it gets no answer any more. */
    void (*lost)(void *arg);
};

/* Connect in the background, to the first of @endpoints (1 or more, copied).
 *
 * @side       'C' or 'W' (pack.h)
 * @hello      sent first; @heartbeat: sent when nothing else was. Copied, with what they point to
 * @owner      borrowed for as long as the link lives; @arg is handed to each of its functions */
struct bus_link *bus_link_new(zloop_t *loop, char side, const char *const *endpoints,
                              size_t endpoint_count, const struct pack_record *hello,
                              const struct pack_record *heartbeat,
                              const struct bus_link_owner *owner, void *arg);

/* Say DISCONNECT and close; libzmq goes on sending for LINK_LINGER_MS at most. What waits with the
 * owner is not asked for. Not inside a call from the link (asserted). Accepts NULL. */
void bus_link_destroy(struct bus_link **self_p);

/* Send what waits: now; or at the end of the turn in which the loop is, together with what else
 * comes up in it. Inside record() and drained() both mean the end of that batch. */
void bus_link_send(struct bus_link *self);
void bus_link_send_soon(struct bus_link *self);

/* Hand over what has arrived, now. Not inside a call from the link (asserted). */
void bus_link_receive(struct bus_link *self);

/* Give up the connection, in the next turn of the loop, and go on with the next broker. */
void bus_link_reset(struct bus_link *self);

/* Say GOING_AWAY, and don't connect again when this connection ends. */
void bus_link_leave(struct bus_link *self);

/* Whether the broker was heard on this connection and is not gone. */
bool bus_link_connected(const struct bus_link *self);

/* The number of the connection, from 1; it changes at the moment at which one is lost. */
uint64_t bus_link_connection(const struct bus_link *self);

/* The pause before another attempt: at least RECONNECT_MS_MIN, at most a bound that doubles with
 * @failure_count up to RECONNECT_MS_MAX, or for the @side of workers RECONNECT_WORKER_MS_MAX; where
 * in between is drawn from @random. */
int64_t bus_link_pause_ms(char side, size_t failure_count, uint32_t random);

#endif
