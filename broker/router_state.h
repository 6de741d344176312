/* What the parts of the router share; nobody else includes this but status.c, which shows it.
 *
 * Two times are kept. now_ms is the world's: deadlines are counted in it. awake_ms advances with it
 * while the broker turns, by at most AWAKE_STEP_MS_MAX from one event to the next: silence is
 * counted in it, so that peers are not gone because the broker itself was stopped.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BROKER_ROUTER_STATE_H
#define PYGMY_BROKER_ROUTER_STATE_H

#include "broker/body.h"
#include "broker/parcel.h"
#include "broker/peer.h"
#include "broker/request.h"
#include "broker/router.h"
#include "broker/service.h"
#include "broker/wheel.h"

struct router {
    char *name;   /* "node." and the broker's own */
    char *secret; /* or NULL */
    struct router_limits limits;
    struct metric *seconds[SERVICE_CLASS_COUNT];

    int64_t now_ms;
    int64_t awake_ms;
    int64_t start_grace_end_ms;
    bool draining;

    struct peer_table *peers;
    struct service_table *services;
    struct request_table *requests;
    struct wheel *wheel;
    size_t abandoned_count;  /* of the requests, see request.h */
    struct ranking unserved; /* clients with such requests, by what these cost */
    uint32_t unserved_cost;  /* of all of them, see router_unserved.c */

    struct list outgoing; /* struct peer.parcel_link: have parcels */
    struct list resting;  /* struct peer.rest_link, by .rest_end_ms */
    struct list held;     /* struct peer.held_link: released when all answers are sent */
    struct list full;     /* the same: new clients that have what a new one may have */
    struct list asks;     /* struct request.place_link: to be given out as ROUTER_ASK */

    struct router_note *notes; /* a ring of BROKER_NOTES_MAX */
    size_t note_first;
    size_t note_count;

    uint64_t counts[ROUTER_COUNT_COUNT];
    uint64_t results[SERVICE_CLASS_COUNT][ROUTER_RESULT_COUNT];
};

/* A request as it was read, before it is accepted. */
struct ask {
    const char *service;
    size_t service_len;
    struct body body; /* taken over */
    uint64_t correlation;
    struct mdp_dialect dialect;
    uint32_t budget_ms; /* 0: none given */
    bool replay_safe;
};

/* router.c */

/* Add a parcel for @peer, to leave at the end of the turn. */
struct parcel *router_post(struct router *self, struct peer *peer, enum pack_command command,
                           struct frame *name);
void router_tell(struct router *self, enum router_note_kind kind, const struct peer *peer,
                 const char *service, size_t number);

/* router_intake.c */

/* Act on a message of a peer. The message is closed by the caller. */
void intake_receive(struct router *self, struct peer *peer, struct message *message);

/* router_member.c */

/* A peer's first message: a new peer, doomed when there is no room. */
struct peer *member_arrive(struct router *self, struct frame *routing_id);
/* A malformed message: dropped and counted; one too many bans the peer. */
void member_strike(struct router *self, struct peer *peer);
/* Who may not be what it wants to be: told DISCONNECT, and it counts as a strike. */
void member_refuse(struct router *self, struct peer *peer);
/* A valid command at the wrong time: told DISCONNECT. */
void member_misplaced(struct router *self, struct peer *peer);
/* Make a client or worker of a new or closed peer. */
void member_client(struct router *self, struct peer *peer);
void member_worker(struct router *self, struct peer *peer, struct service *service,
                   uint32_t credit);
/* End its part: its requests go to other workers, or are dropped with the client. With @tell it
 * hears DISCONNECT. It stays known as closed. */
void member_close(struct router *self, struct peer *peer, bool tell);
/* End its part and forget it. */
void member_forget(struct router *self, struct peer **peer_p);
/* Forget the silent, wake the resting, send the heartbeats that are due. */
void member_tick(struct router *self);
/* How many more requests a worker may be given now. */
uint32_t member_free_credit(const struct peer *worker);
/* Take a worker's new credit. */
void member_set_credit(struct router *self, struct peer *worker, uint32_t credit);

/* router_dispatch.c */

/* Accept a request of @client, or refuse it. @ask->body is taken over either way. */
void dispatch_accept(struct router *self, struct peer *client, struct ask *ask);
/* Answer a request that was not accepted; a plain client hears nothing. @ask->body is closed. */
void dispatch_refuse(struct router *self, struct peer *client, struct ask *ask, int code);
/* Give the requests that wait to the workers that have credit. */
void dispatch_pump(struct router *self, struct service *service);
/* What a worker answered; @body is taken over. */
void dispatch_reply(struct router *self, struct peer *worker, uint64_t id, int status,
                    struct body *body);
void dispatch_partial(struct router *self, struct peer *worker, uint64_t id, struct body *body);
/* A worker is gone, out of its service already: what it had in hand goes on or ends. */
void dispatch_worker_lost(struct router *self, struct peer *worker);
/* A client is gone. */
void dispatch_client_lost(struct router *self, struct peer *client);
/* A peer does not read, or reads again. */
void dispatch_deaf(struct router *self, struct peer *peer);
void dispatch_heard(struct router *self, struct peer *peer);
/* The passing of deadlines. */
void dispatch_expire(struct router *self);
/* Refuse what waits for services without workers; give up everything. */
void dispatch_drain(struct router *self);
void dispatch_stop(struct router *self);
/* The answer to a ROUTER_ASK; @body is taken over. */
void dispatch_local_reply(struct router *self, uint64_t id, int code, struct body *body);
/* End a request with an error. */
void dispatch_fail(struct router *self, struct request *request, int code);
/* Free a request wherever it is. No answer is given. */
void dispatch_finish(struct router *self, struct request *request);

/* router_hold.c */

/* A client is given no more to workers, or again what it may have. */
void hold_stop_lanes(struct peer *client);
void hold_resume_lanes(struct router *self, struct peer *client);
/* An answer of @bytes was made for @client. */
void hold_answered(struct router *self, struct peer *client, size_t bytes);
/* A request was given to its worker, or is no longer with it. */
void hold_given(struct router *self, struct request *request);
void hold_returned(struct router *self, struct request *request);
/* All answers of this turn are sent, and who does not read them is known. */
void hold_release(struct router *self);
/* Time passes: who is new for long is not new. */
void hold_tick(struct router *self);

/* router_unserved.c */

/* What a request counts for there. */
uint32_t unserved_cost(const struct request *request);
/* A request begins to wait for a service that nobody serves. Others may have to go, or itself. */
void unserved_enter(struct router *self, struct request *request);
/* It waits no longer. Nothing happens to one that was not among them. */
void unserved_leave(struct router *self, struct request *request);

#endif
