/* The broker's mind: what follows from each message, loss and passing of time.
 *
 * Pure: no socket, file, clock or randomness. Events go in with the time they happened, actions
 * come out as values:
 *
 *   router_receive(router, routing_id, message, now_ms);     ... all that was there
 *   while (router_next(router, &action))                     ... then carry out what follows
 *
 * Parts: router_intake.c reads what peers say, router_member.c keeps who is there,
 * router_dispatch.c takes requests from acceptance to answer, router_unserved.c bounds those that
 * nobody serves, router_hold.c keeps clients from harm to others, router.c holds them together;
 * router_state.h is theirs alone.
 *
 * Invariants
 *   R1  each request that was accepted ends exactly once: by an answer to its client, by the
 *       silence that plain Majordomo has for an error (counted), or by the loss of its client.
 *   R2  a worker is never given more than its credit; a plain worker one request at a time, until
 *       it answered or is gone, whatever became of the request.
 *   R3  an answer counts only from the worker that has the request now, for the present attempt.
 *   R4  no request waits for a service that has free credit, unless its client is deaf or held.
 *   R5  a request is given to another worker only if it may be repeated, or is known not to have
 *       been attempted; at most ATTEMPTS_MAX workers are lost with it.
 *   R6  nothing a peer sends is asserted on, and no step of its own costs more than the message.
 *   R7  everything held has a bound (limits.h) and at the bound an answer.
 *   R8  what waits for services that nobody serves takes no memory to speak of, and nobody's place:
 *       it has a bound of its own, and at it the oldest request of the client with most goes.
 *   R9  nobody works for a client that does not read: while answers wait for it (it is deaf), none
 *       of its requests is given to a worker; and as long as that is not known of a new client, few
 *       of them are (router_hold.c).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BROKER_ROUTER_H
#define PYGMY_BROKER_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bus/frame.h"
#include "broker/bus/metrics.h"
#include "broker/service.h"

struct router;

/* Bounds; a 0 stands for the one of limits.h in brackets. */
struct router_limits {
    size_t peers;            /* BROKER_PEERS_MAX */
    size_t services;         /* BROKER_SERVICES_MAX */
    size_t requests;         /* BROKER_REQUESTS_MAX */
    size_t bytes;            /* BROKER_BYTES_MAX */
    size_t client_requests;  /* BROKER_CLIENT_REQUESTS_MAX */
    size_t client_bytes;     /* BROKER_CLIENT_BYTES_MAX */
    size_t service_requests; /* BROKER_SERVICE_REQUESTS_MAX */
    size_t service_bytes;    /* BROKER_SERVICE_BYTES_MAX */
    uint32_t new_credit;     /* CLIENT_NEW_CREDIT */
    uint32_t unserved;       /* BROKER_UNSERVED_MAX, which is also the most */
};

struct router_options {
    const char *name;              /* own: requests to node.NAME are ROUTER_ASK; copied */
    const char *secret;            /* READY for a protected name needs it; NULL: none do; copied */
    const char *const *replay_off; /* services whose requests go to one worker only; copied */
    size_t replay_off_count;
    uint64_t hash_seed;
    int64_t start_grace_ms; /* see START_GRACE_MS */
    struct router_limits limits;
    struct metric *seconds[SERVICE_CLASS_COUNT]; /* time from request to answer; may be NULL */
};

/* What is told for the log. X(name, sentence) */
#define ROUTER_NOTES(X)                                                                            \
    X(NOTE_WORKER_JOINED, "worker joined")                                                         \
    X(NOTE_WORKER_LEFT, "worker left")                                                             \
    X(NOTE_WORKER_LEAVING, "worker takes no more requests")                                        \
    X(NOTE_WORKER_REFUSED, "worker refused")                                                       \
    X(NOTE_WORKER_HUNG, "worker disconnected, its request has been unanswered too long")           \
    X(NOTE_CLIENT_JOINED, "client joined")                                                         \
    X(NOTE_CLIENT_LEFT, "client left")                                                             \
    X(NOTE_EXPIRED, "peer expired, no heartbeat")                                                  \
    X(NOTE_LOST, "peer lost, its connection is gone or it does not read")                          \
    X(NOTE_STRIKE, "malformed message dropped")                                                    \
    X(NOTE_MISPLACED, "misplaced message, peer disconnected")                                      \
    X(NOTE_BANNED, "peer ignored, too many malformed messages")                                    \
    X(NOTE_PEER_REFUSED, "peer refused, too many connections")                                     \
    X(NOTE_REDISPATCHED, "requests given to another worker")                                       \
    X(NOTE_POISON, "request failed, it was lost with too many workers")                            \
    X(NOTE_NOT_LEADER, "worker does not lead, its requests go to another")                         \
    X(NOTE_QUEUE_FULL, "request refused, too many are held")

enum router_note_kind {
#define X(name, text) name,
    ROUTER_NOTES(X)
#undef X
        ROUTER_NOTE_COUNT
};

struct router_note {
    enum router_note_kind kind;
    char peer[PEER_TEXT_BYTES];
    char service[SERVICE_NAME_BYTES_MAX + 1]; /* or "" */
    size_t number;                            /* of requests concerned, or 0 */
};

const char *router_note_text(enum router_note_kind kind);

/* How requests ended. X(name, label) */
#define ROUTER_RESULTS(X)                                                                          \
    X(RESULT_OK, "ok")                                                                             \
    X(RESULT_FAILED, "failed") /* the worker's answer is an error */                               \
    X(RESULT_NO_SERVICE, "no_service")                                                             \
    X(RESULT_QUEUE_FULL, "queue_full")                                                             \
    X(RESULT_EXPIRED, "expired")                                                                   \
    X(RESULT_TIMEOUT, "timeout")                                                                   \
    X(RESULT_WORKER_LOST, "worker_lost")                                                           \
    X(RESULT_REFUSED, "refused")                                                                   \
    X(RESULT_TOO_LARGE, "too_large")                                                               \
    X(RESULT_DRAINING, "draining")                                                                 \
    X(RESULT_CLIENT_GONE, "client_gone")

enum router_result {
#define X(name, label) name,
    ROUTER_RESULTS(X)
#undef X
        ROUTER_RESULT_COUNT
};

/* What is counted beside. X(name, label, help) */
#define ROUTER_COUNTS(X)                                                                           \
    X(COUNT_RECEIVED, "messages_received", "Messages from peers")                                  \
    X(COUNT_SENT, "messages_sent", "Messages to peers")                                            \
    X(COUNT_MALFORMED, "malformed", "Messages dropped because they could not be understood")       \
    X(COUNT_MISPLACED, "misplaced", "Commands at the wrong time, answered by DISCONNECT")          \
    X(COUNT_BANNED, "banned", "Peers ignored after too many malformed messages")                   \
    X(COUNT_IGNORED, "ignored", "Messages of peers that were told DISCONNECT or are ignored")      \
    X(COUNT_LATE, "late_replies", "Replies dropped because their attempt was over")                \
    X(COUNT_REDISPATCHED, "retries", "Requests given to another worker when one was lost")         \
    X(COUNT_NOT_LEADER, "not_leader", "Replies of workers that do not lead")                       \
    X(COUNT_POISON, "poison", "Requests that were lost with too many workers")                     \
    X(COUNT_SILENT, "silent", "Requests of plain clients that ended without an answer")            \
    X(COUNT_EXPIRED_PEERS, "heartbeat_misses", "Peers gone because they were silent")              \
    X(COUNT_LOST_PEERS, "lost_peers", "Peers gone because sending to them failed")                 \
    X(COUNT_DEAF, "deaf_clients", "Clients not served for a while, they did not read")             \
    X(COUNT_UNSERVED, "unserved_refused",                                                          \
      "Requests given up, too many wait for nobody's services")                                    \
    X(COUNT_READY_REFUSED, "ready_refused", "Workers refused")                                     \
    X(COUNT_PEERS_REFUSED, "peers_refused", "Connections refused at the bound")                    \
    X(COUNT_NOTES_DROPPED, "notes_dropped", "Events that were not logged")

enum router_count {
#define X(name, label, help) name,
    ROUTER_COUNTS(X)
#undef X
        ROUTER_COUNT_COUNT
};

enum router_action_kind {
    ROUTER_SEND, /* .message to .routing_id */
    ROUTER_ASK,  /* answer .body by router_answer(.id); it was addressed to the broker itself */
    ROUTER_TELL, /* log .note */
};

/* What is named for the kind is initialised and the caller's to close; nothing else is. */
struct router_action {
    enum router_action_kind kind;
    struct frame routing_id;
    struct message message;
    uint64_t id;
    struct frame body;
    struct router_note note;
};

struct router *router_new(const struct router_options *options, int64_t now_ms);
void router_destroy(struct router **self_p);

/* Events. @now_ms is CLOCK_BOOTTIME's and never goes back. */

/* A message came. Its frames are taken over; @routing_id is shared. */
void router_receive(struct router *self, struct frame *routing_id, struct message *message,
                    int64_t now_ms);
/* A message of too many frames came and was dropped. */
void router_receive_malformed(struct router *self, struct frame *routing_id, int64_t now_ms);
/* Sending to that peer failed, or it does not read: it is gone. */
void router_lost(struct router *self, const struct frame *routing_id, int64_t now_ms);
/* That peer does not read: a good deal waits to be sent to it. Nothing happens to one that is known
 * to be deaf. */
void router_deaf(struct router *self, const struct frame *routing_id, int64_t now_ms);
/* It has read all that waited. */
void router_heard(struct router *self, const struct frame *routing_id, int64_t now_ms);
/* The answer to a ROUTER_ASK. One whose request is over is ignored. */
void router_answer(struct router *self, uint64_t id, int code, const void *body, size_t size,
                   int64_t now_ms);
/* Time passed. To be called every WHEEL_TICK_MS or so. */
void router_tick(struct router *self, int64_t now_ms);

/* Tell our own peers to go elsewhere, and accept no more requests and workers. */
void router_drain(struct router *self, int64_t now_ms);
/* Whether no request is under way. */
bool router_idle(const struct router *self);
/* Give up what is under way, with an honest code, and disconnect all workers. */
void router_stop(struct router *self, int64_t now_ms);

/* Take the next action; false when there are none. */
bool router_next(struct router *self, struct router_action *action);

uint64_t router_count(const struct router *self, enum router_count count);
uint64_t router_result(const struct router *self, enum service_class class,
                       enum router_result result);
const char *router_count_label(enum router_count count);
const char *router_count_help(enum router_count count);
const char *router_result_label(enum router_result result);

#endif
