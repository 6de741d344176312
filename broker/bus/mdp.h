/* The public Majordomo protocol as a broker reads and writes it: 7/MDP (0.1) and 18/MDP (0.2).
 *
 * Frames after the routing id; `[]` is an empty frame, `+` one or more.
 *
 *   from a client   0.1  [] MDPC01 service body+
 *                   0.2     MDPC02 0x01 service body+
 *   to a client     0.1  [] MDPC01 service body+
 *                   0.2     MDPC02 (0x02 PARTIAL | 0x03 FINAL) service body+
 *   from a worker   0.1  [] MDPW01 0x01 service                           READY
 *                        [] MDPW01 0x03 address [] body+                  REPLY
 *                        [] MDPW01 (0x04 HEARTBEAT | 0x05 DISCONNECT)
 *                   0.2     MDPW02 0x01 service                           READY
 *                           MDPW02 (0x03 PARTIAL | 0x04 FINAL) address [] body+
 *                           MDPW02 (0x05 HEARTBEAT | 0x06 DISCONNECT)
 *   to a worker     0.1  [] MDPW01 0x02 address [] body+                  REQUEST
 *                        [] MDPW01 (0x04 | 0x05)
 *                   0.2     MDPW02 0x02 address [] body+                  REQUEST
 *                           MDPW02 (0x05 | 0x06)
 *
 * Peers differ in two places, and both ways are read: the empty first frame (required by 0.1,
 * absent in 0.2, sent by half of the 0.2 peers that exist), and the empty frame after a reply's
 * address, which some workers leave out. What is written has the first as the peer sent it.
 *
 * The address is the broker's to choose and the worker's to return: here a number, as 16 lower-case
 * hexadecimal digits, for the peers that take it for a text.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_MDP_H
#define PYGMY_BUS_MDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bus/frame.h"

enum mdp_version { MDP_01, MDP_02 };

/* How one peer speaks. */
struct mdp_dialect {
    enum mdp_version version;
    bool empty_first; /* its messages begin with an empty frame, and so do ours to it */
};

/* What a message says, whatever its byte is in that version. */
enum mdp_command {
    MDP_REQUEST,
    MDP_READY,
    MDP_PARTIAL,
    MDP_FINAL, /* 0.1: REPLY */
    MDP_HEARTBEAT,
    MDP_DISCONNECT,
};

/* A message that was read. Indexes are those of the message's frames, from 0. */
struct mdp_message {
    struct mdp_dialect dialect;
    bool from_worker;
    enum mdp_command command;
    size_t service; /* index of the name; 0 when there is none. Its bytes were not looked at */
    bool known;     /* PARTIAL, FINAL: the address has our form */
    uint64_t address;
    size_t body; /* index of the first body frame; the message's count when there is none */
};

/* Read what a peer sent to a broker. @read is untouched on failure. Returns 0, ERR_MALFORMED. */
int mdp_read(const struct message *message, struct mdp_message *read);

/* Begin a message to a client, PARTIAL (0.2 only, asserted) or FINAL; @service is taken over.
 * The caller adds the body. @message is initialised here, as in the next two. */
void mdp_write_reply(struct message *message, struct mdp_dialect dialect, enum mdp_command command,
                     struct frame *service);

/* Begin a REQUEST to a worker. The caller adds the body. */
void mdp_write_request(struct message *message, struct mdp_dialect dialect, uint64_t address);

/* Write HEARTBEAT or DISCONNECT to a worker. */
void mdp_write_control(struct message *message, struct mdp_dialect dialect,
                       enum mdp_command command);

#endif
