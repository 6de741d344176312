/* Our extension of the Majordomo protocol on the wire: one head frame, and one
 * body frame unless all bodies are empty.
 *
 * The head frame, all integers big-endian:
 *
 *   offset  bytes
 *   0       6      magic "PYGMY1" (the digit is the format's version)
 *   6       1      side: 'C' between client and broker, 'W' between worker and broker
 *   7       1      number of records, 1 to BATCH_COUNT_MAX
 *   8              the records, one after the other:
 *     0     1      command (enum pack_command)
 *     1     1      flags: bit 0 REPLAY_SAFE (a REQUEST may be given to another worker when its
 *                  worker is lost; our own clients set it, because their operations carry keys);
 *                  other bits are sent as 0 and ignored
 *     2     2      status of a REPLY (err.h), else 0
 *     4     4      REQUEST: remaining time in ms, 0 = none given; READY and HEARTBEAT of a
 *                  worker: credit, how many requests it takes at once; else 0
 *     8     8      correlation id of a REQUEST or REPLY, chosen by who sends the REQUEST on this
 *                  hop and returned as it is; else 0
 *     16    2      attempt of a REQUEST, from 1; else 0
 *     18    2      length of the service's name, at most SERVICE_NAME_BYTES_MAX
 *     20    4      length of the body
 *     24           the name: the service in REQUEST and READY, the sender's own name (for status
 *                  displays) in HELLO and HEARTBEAT, else empty
 *
 * The body frame is all bodies, one after the other. Its length is the sum of theirs.
 *
 * A reader refuses what is cut off, has bytes left over, an unknown magic, or a count of 0; an
 * unknown command within a well-formed message is skipped, so that commands can be added.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_PACK_H
#define PYGMY_BUS_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bus/frame.h"

enum pack_command {
    PACK_HELLO =
        1, /* client to broker, first: "I speak this"; name in service, body: secret or empty */
    PACK_READY =
        2, /* worker to broker, first: service, credit; body: the cluster's secret or empty */
    PACK_REQUEST = 3,    /* client to broker, broker to worker */
    PACK_REPLY = 4,      /* worker to broker, broker to client; status */
    PACK_HEARTBEAT = 5,  /* all directions, when nothing else was sent for HEARTBEAT_MS */
    PACK_DISCONNECT = 6, /* all directions: nothing more comes from me; connect anew to go on */
    PACK_GOING_AWAY = 7, /* worker to broker: no more requests, please, those under way I will
                            answer; broker to all: I drain, use another */
};

enum pack_flag { PACK_REPLAY_SAFE = 1 };

struct pack_record {
    uint8_t command;
    uint8_t flags;
    uint16_t status;
    uint32_t number; /* remaining ms, or credit */
    uint64_t correlation;
    uint16_t attempt;
    const char *service; /* not NUL-terminated; within the head frame when it was read */
    size_t service_len;
    const uint8_t *body; /* within the body frame when it was read */
    size_t body_len;
};

/* Whether a message is in this format at all (magic and side), so that a broker can tell it from
 * MDP; nothing else is checked. */
bool pack_is(const struct message *message, char side);

/* Read a message. @records has room for BATCH_COUNT_MAX; what they point to lies within the frames,
 * and so lives until those are moved or closed. @count is the number of records with a known
 * command, which may be 0; it is untouched on failure. Returns 0 or ERR_MALFORMED. */
int pack_read(const struct message *message, char side, struct pack_record *records, size_t *count);

/* Write @count records, 1 to BATCH_COUNT_MAX, as one message; all is copied. The sum of bodies is
 * at most MESSAGE_BYTES_MAX less the head (asserted). @message is initialised here. */
void pack_write(struct message *message, char side, const struct pack_record *records,
                size_t count);

/* As pack_write for one record whose body is a frame that is taken over (no copy; it is closed or
 * emptied here); record->body and body_len are ignored. */
void pack_write_frame(struct message *message, char side, const struct pack_record *record,
                      struct frame *body);

#endif
