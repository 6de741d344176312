/* The network between the nodes: every ordered pair of them is a link of its own, which may be cut.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_NET_H
#define PYGMY_SIM_NET_H

#include "services/replica/peer_message.h"
#include "tests/sim/sim.h"

struct sim_net;

/* How bad it is at the moment, of a million messages. */
struct sim_weather {
    unsigned lost;
    unsigned doubled;
    unsigned late; /* overtaken: it takes up to .late_us longer */
    int64_t late_us_max;
};

struct sim_net *sim_net_new(void);
void sim_net_destroy(struct sim_net **self_p);

/* Take a message over that @from sends; from and start_id are set. */
void sim_net_send(struct sim *sim, int from, struct peer_message *message);

void sim_net_weather(struct sim *sim, const struct sim_weather *weather);
void sim_net_block(struct sim *sim, int from, int to, bool blocked);
/* Whether it is cut, and has been all the time since then. */
bool sim_net_blocked_since(const struct sim *sim, int from, int to, int64_t since_us);
void sim_net_unblock_all(struct sim *sim);
/* What is on the way does not arrive. */
void sim_net_lose_all(struct sim *sim);
/* Something else than a peer message (a snapshot) goes from one to the other: how long it takes;
 * negative: it is lost. */
int64_t sim_net_passage_us(struct sim *sim, int from, int to);

/* Directed cases: messages wait until the script says what becomes of them. -1, 0: any. Returns how
 * many there were. */
size_t sim_net_deliver(struct sim *sim, int from, int to, enum peer_kind kind);
size_t sim_net_discard(struct sim *sim, int from, int to, enum peer_kind kind);
/* Lay copies aside, and deliver all that lie there, late as they are. */
size_t sim_net_lay_aside(struct sim *sim, int from, int to, enum peer_kind kind);
size_t sim_net_deliver_aside(struct sim *sim);

#endif
