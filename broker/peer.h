/* A connection to the broker, known by its routing id, and the table of all of them.
 *
 * A peer's role is fixed by its first valid message:
 *
 *   NEW -> CLIENT (a request, or HELLO)      NEW -> WORKER (READY)
 *   any -> CLOSED (it was told DISCONNECT, or is banned; what it sends is ignored)
 *   CLOSED -> CLIENT, WORKER (a fresh start on the same connection; not when banned)
 *
 * Names that a peer gives itself are for displays; its identity is the routing id.
 *
 * Liveness. Each peer is in one of three classes, and in a list of its class ordered by when it was
 * last heard, so that the silent ones are found at the front. The first two classes are also
 * listed by when something was last sent to them, for the heartbeats that are due.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BROKER_PEER_H
#define PYGMY_BROKER_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bus/frame.h"
#include "broker/bus/limits.h"
#include "broker/bus/mdp.h"
#include "broker/list.h"

struct service;

enum peer_role { PEER_NEW, PEER_CLIENT, PEER_WORKER, PEER_CLOSED };

enum peer_class {
    PEER_CLASS_OURS,  /* speaks the extension and beats: HEARTBEAT_MS, HEARTBEAT_GONE_MS */
    PEER_CLASS_PLAIN, /* a plain worker: HEARTBEAT_PLAIN_MS, HEARTBEAT_PLAIN_GONE_MS */
    PEER_CLASS_IDLE,  /* a client that doesn't beat, or closed: forgotten after PEER_IDLE_MS */
    PEER_CLASS_COUNT,
};

struct peer_key {
    uint32_t hash;
    const uint8_t *data; /* of the routing id; not owned */
    size_t size;
};

struct peer {
    struct peer_key key;     /* points into routing_id */
    struct frame routing_id; /* owned */
    enum peer_role role;
    bool extension;             /* speaks ours, else plain Majordomo in .dialect */
    bool worker_side;           /* of the last message; DISCONNECT goes to that side */
    struct mdp_dialect dialect; /* plain: how it spoke last */
    bool banned;                /* too many strikes: all it sends is dropped */
    bool doomed;                /* the table is full: forgotten as soon as it was answered */
    uint32_t strikes;           /* malformed or misplaced messages so far */
    char name[SERVICE_NAME_BYTES_MAX + 1]; /* as it calls itself, or "" */

    enum peer_class class;
    int64_t heard_ms; /* router's waking time (router_state.h), as is sent_ms */
    int64_t sent_ms;
    struct list_link heard_link;
    struct list_link sent_link; /* not for PEER_CLASS_IDLE */

    /* A client's: */
    struct list requests; /* struct request.client_link: all under way */
    size_t request_count;
    size_t request_bytes;
    struct list lanes;          /* struct lane.client_link: where it has requests that wait */
    bool deaf;                  /* it does not read: answers wait for it */
    bool held;                  /* not served until it is released, see router_hold.c */
    bool settled;               /* no longer new: it may have all of a worker's credit */
    uint32_t answered;          /* while it is new */
    uint32_t shared_count;      /* its requests with workers that take several */
    int64_t full_ms;            /* when it became full, as a new one */
    size_t posted_bytes;        /* of the large answers of this turn */
    struct list_link held_link; /* in the router's list when .held: of the full or of those to go */
    struct list unserved; /* struct request.unserved_link, oldest first: see router_unserved.c */
    uint32_t unserved_cost;

    /* A worker's: */
    struct service *service;       /* NULL unless PEER_WORKER */
    struct list_link service_link; /* in service->workers */
    uint32_t credit;               /* how many requests it takes at once */
    uint32_t in_hand_count;
    struct list in_hand;        /* struct request.place_link, oldest first */
    bool leaving;               /* said GOING_AWAY */
    bool resting;               /* answered NOT_LEADER just now */
    int64_t rest_end_ms;        /* when .resting */
    struct list_link rest_link; /* in the router's list */

    /* A worker's in service->ready, by free credit; a client's in router->unserved, by cost. */
    struct list_link rank_link;
    uint32_t rank;

    struct list parcels;          /* struct parcel: to be sent at the end of the turn */
    struct list_link parcel_link; /* in the router's list when there are parcels */
};

struct peer_table;

/* @hash_seed makes the places of routing ids unpredictable for those who choose them. */
struct peer_table *peer_table_new(uint64_t hash_seed);
/* Frees the peers that are left; their requests and parcels are gone before. Accepts NULL. */
void peer_table_destroy(struct peer_table **self_p);
size_t peer_table_count(const struct peer_table *self);

/* The peer of that routing id, or NULL. */
struct peer *peer_find(struct peer_table *self, const struct frame *routing_id);
/* A new peer, PEER_NEW, idle. The routing id is shared. There is none of that id. */
struct peer *peer_add(struct peer_table *self, struct frame *routing_id, int64_t awake_ms);
/* Forget a peer that has no requests, no service and no parcels. */
void peer_delete(struct peer_table *self, struct peer **peer_p);

/* Put a peer into a class, as heard and sent to at @awake_ms. */
void peer_classify(struct peer_table *self, struct peer *peer, enum peer_class class,
                   int64_t awake_ms);
/* Note that something was heard from it, or sent to it. */
void peer_heard(struct peer_table *self, struct peer *peer, int64_t awake_ms);
void peer_sent(struct peer_table *self, struct peer *peer, int64_t awake_ms);
/* The peer of a class that was silent longest, if that is since @before_ms or earlier, or NULL. */
struct peer *peer_silent(const struct peer_table *self, enum peer_class class, int64_t before_ms);
/* The same for what was sent to it. */
struct peer *peer_unsent(const struct peer_table *self, enum peer_class class, int64_t before_ms);
/* The first of all peers of a class, in order of silence, and the next one; NULL at the end. */
struct peer *peer_first(const struct peer_table *self, enum peer_class class);
struct peer *peer_after(const struct peer_table *self, const struct peer *peer);

/* Whether its requests are given to workers. */
bool peer_is_served(const struct peer *self);
/* Set the name for displays; characters that are not visible ASCII become '?'. */
void peer_set_name(struct peer *self, const char *name, size_t size);
/* For displays: the name, or the routing id in hexadecimal, into @text of PEER_TEXT_BYTES. */
#define PEER_TEXT_BYTES 160
const char *peer_text(const struct peer *self, char *text);

#endif
