/* What is on its way between the replicas of a group and the caches, and from those who write. Each
 * way between a replica and a cache may be cut; all of it may be lost, doubled, late.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_LEASE_POST_H
#define PYGMY_SIM_LEASE_POST_H

#include "services/replica/replica.h"
#include "tests/sim/sim_net.h"

enum lease_mail_kind {
    LEASE_MAIL_NEWS,   /* a message of the feed, to a cache */
    LEASE_MAIL_ASK,    /* of a cache, to the leader */
    LEASE_MAIL_ANSWER, /* to it */
    LEASE_MAIL_CLOSE,  /* of a cache, to the leader; there is no answer */
    LEASE_MAIL_READ,   /* of a cache, to any replica */
    LEASE_MAIL_VALUE,  /* its answer */
    LEASE_MAIL_WRITE,  /* to the leader, of nobody */
};

/* All of them in one; a message has what its kind needs. */
struct lease_mail {
    enum lease_mail_kind kind;
    int node;          /* slot */
    int cache;         /* -1: nobody's */
    uint64_t life;     /* of the cache's process; 0: any */
    uint64_t number;   /* READ, VALUE: of the attempt */
    int type;          /* NEWS, ASK, ANSWER: enum leased_news, leased_ask_type, lease_action_type */
    int code;          /* ANSWER */
    uint64_t session;  /* ASK, ANSWER, CLOSE */
    replica_term term; /* NEWS, ASK, ANSWER */
    uint64_t epoch;    /* ASK, ANSWER */
    uint64_t ask;      /* ASK, ANSWER */
    uint64_t acked;    /* ASK */
    uint64_t seq;      /* NEWS, ANSWER */
    uint32_t keys;     /* NEWS, ANSWER, WRITE: a bit for each; */
    bool all;          /* every key */
    unsigned key;      /* READ, VALUE */
    bool passes;       /* READ: by read index */
    replica_index index;  /* NEWS, ANSWER; READ: the watermark; VALUE: what is shown */
    int64_t remaining_ms; /* ANSWER */
};

/* Between a replica and a cache. Answers and feed go by different connections, of different brokers
 * perhaps. */
enum lease_way { LEASE_WAY_ASKS, LEASE_WAY_ANSWERS, LEASE_WAY_FEED, LEASE_WAY_COUNT };

struct sim_lease_post;

struct sim_lease_post *sim_lease_post_new(void);
/* Accepts NULL. What is on its way is the world's, and goes with it. */
void sim_lease_post_destroy(struct sim_lease_post **self_p);

/* From @mail->node to @mail->cache, or the other way, as its kind says; copied. */
void sim_lease_send(struct sim *sim, const struct lease_mail *mail);
/* To whoever is taken for the leader, or for one of the group. */
void sim_lease_send_leader(struct sim *sim, struct lease_mail *mail);
void sim_lease_send_any(struct sim *sim, struct lease_mail *mail);

/* Faults. */
void sim_lease_weather(struct sim_lease_post *self, const struct sim_weather *weather);
void sim_lease_cut(struct sim *sim, int node, int cache, enum lease_way way, bool cut);
void sim_lease_cut_all(struct sim *sim, int node, int cache);
void sim_lease_uncut_all(struct sim_lease_post *self);
/* For how long any way between a replica and a cache has been cut; 0: none is. */
int64_t sim_lease_longest_cut_us(const struct sim *sim);
/* Whether nothing has passed between the two since then. */
bool sim_lease_apart_since(const struct sim *sim, int node, int cache, int64_t since_us);
/* Directed cases: all of it is as quick as can be, and nobody takes the wrong one for the leader. */
void sim_lease_post_quick(struct sim_lease_post *self);

#endif
