/* See mdp.h, which draws the messages.
 *
 * The reader is a fuzz target: it touches no frame before it knows that there is one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/mdp.h"

#include <assert.h>

#include "broker/bus/err.h"

#define MDP_HEADER_BYTES  6
#define MDP_ADDRESS_BYTES 16
#define MDP_NOTHING       0xff /* no command of a worker */

static const char mdp_client_header[][MDP_HEADER_BYTES + 1] = {"MDPC01", "MDPC02"};
static const char mdp_worker_header[][MDP_HEADER_BYTES + 1] = {"MDPW01", "MDPW02"};

/* The bytes of commands between worker and broker, by version and enum mdp_command. */
static const uint8_t mdp_worker_byte[2][6] = {
    [MDP_01] = {[MDP_REQUEST] = 0x02,
                [MDP_READY] = 0x01,
                [MDP_PARTIAL] = MDP_NOTHING,
                [MDP_FINAL] = 0x03,
                [MDP_HEARTBEAT] = 0x04,
                [MDP_DISCONNECT] = 0x05},
    [MDP_02] = {[MDP_REQUEST] = 0x02,
                [MDP_READY] = 0x01,
                [MDP_PARTIAL] = 0x03,
                [MDP_FINAL] = 0x04,
                [MDP_HEARTBEAT] = 0x05,
                [MDP_DISCONNECT] = 0x06},
};

/* The bytes of commands between client and broker in 0.2; 0.1 has none. */
#define MDP_02_CLIENT_REQUEST 0x01
#define MDP_02_CLIENT_PARTIAL 0x02
#define MDP_02_CLIENT_FINAL   0x03

static bool mdp_frame_is_byte(const struct frame *frame, uint8_t byte)
{
    return frame_size(frame) == 1 && frame_data(frame)[0] == byte;
}

/* REQUEST of a client, from frame @at on: [command] service body+. */
static int mdp_read_client(const struct message *message, size_t at, struct mdp_message *read)
{
    if (read->dialect.version == MDP_02) {
        if (at >= message->count || !mdp_frame_is_byte(&message->frames[at], MDP_02_CLIENT_REQUEST))
            return ERR_MALFORMED;
        at++;
    }
    if (message->count < at + 2)
        return ERR_MALFORMED;
    read->command = MDP_REQUEST;
    read->service = at;
    read->body = at + 1;
    return 0;
}

static int mdp_hex_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Read an address into @read; one that is not of our form is noted, and no mistake of form. */
static void mdp_read_address(const struct frame *frame, struct mdp_message *read)
{
    const uint8_t *digits = frame_data(frame);
    uint64_t address = 0;
    if (frame_size(frame) != MDP_ADDRESS_BYTES)
        return;
    for (size_t i = 0; i < MDP_ADDRESS_BYTES; i++) {
        int value = mdp_hex_value(digits[i]);
        if (value < 0)
            return;
        address = address << 4 | (uint64_t)value;
    }
    read->known = true;
    read->address = address;
}

/* PARTIAL or FINAL of a worker, from frame @at on: address [] body+, or address body+. */
static int mdp_read_worker_reply(const struct message *message, size_t at, struct mdp_message *read)
{
    if (message->count < at + 2)
        return ERR_MALFORMED;
    mdp_read_address(&message->frames[at], read);
    at++;
    /* An empty frame that nothing follows is the body of a worker that leaves the delimiter out. */
    if (frame_size(&message->frames[at]) == 0 && at + 1 < message->count)
        at++;
    read->body = at;
    return 0;
}

/* What a worker sent, from frame @at on, which is the command. */
static int mdp_read_worker(const struct message *message, size_t at, struct mdp_message *read)
{
    if (at >= message->count || frame_size(&message->frames[at]) != 1)
        return ERR_MALFORMED;
    const uint8_t byte = frame_data(&message->frames[at])[0];
    const uint8_t *bytes = mdp_worker_byte[read->dialect.version];
    read->from_worker = true;
    read->body = message->count;
    at++;
    if (byte == bytes[MDP_READY]) {
        read->command = MDP_READY;
        read->service = at;
        return message->count == at + 1 ? 0 : ERR_MALFORMED;
    }
    if (byte == bytes[MDP_HEARTBEAT] || byte == bytes[MDP_DISCONNECT]) {
        read->command = byte == bytes[MDP_HEARTBEAT] ? MDP_HEARTBEAT : MDP_DISCONNECT;
        return message->count == at ? 0 : ERR_MALFORMED;
    }
    if (byte == bytes[MDP_FINAL] || (byte == bytes[MDP_PARTIAL] && byte != MDP_NOTHING)) {
        read->command = byte == bytes[MDP_FINAL] ? MDP_FINAL : MDP_PARTIAL;
        return mdp_read_worker_reply(message, at, read);
    }
    return ERR_MALFORMED;
}

int mdp_read(const struct message *message, struct mdp_message *read)
{
    struct mdp_message found = {0};
    size_t at = 0;
    int rc = ERR_MALFORMED;
    if (message->count > 0 && frame_size(&message->frames[0]) == 0) {
        found.dialect.empty_first = true;
        at = 1;
    }
    if (at >= message->count)
        return ERR_MALFORMED;
    for (int version = MDP_01; version <= MDP_02; version++) {
        const struct frame *header = &message->frames[at];
        found.dialect.version = (enum mdp_version)version;
        if (frame_equals(header, mdp_client_header[version], MDP_HEADER_BYTES)) {
            rc = mdp_read_client(message, at + 1, &found);
            break;
        }
        if (frame_equals(header, mdp_worker_header[version], MDP_HEADER_BYTES)) {
            rc = mdp_read_worker(message, at + 1, &found);
            break;
        }
    }
    if (rc == 0)
        *read = found;
    return rc;
}

static void mdp_write_header(struct message *message, struct mdp_dialect dialect,
                             const char headers[][MDP_HEADER_BYTES + 1])
{
    message_init(message);
    if (dialect.empty_first)
        message_add_copy(message, "", 0);
    message_add_copy(message, headers[dialect.version], MDP_HEADER_BYTES);
}

static void mdp_write_byte(struct message *message, uint8_t byte)
{
    message_add_copy(message, &byte, 1);
}

void mdp_write_reply(struct message *message, struct mdp_dialect dialect, enum mdp_command command,
                     struct frame *service)
{
    assert(command == MDP_FINAL || (command == MDP_PARTIAL && dialect.version == MDP_02));
    mdp_write_header(message, dialect, mdp_client_header);
    if (dialect.version == MDP_02)
        mdp_write_byte(message, command == MDP_FINAL ? MDP_02_CLIENT_FINAL : MDP_02_CLIENT_PARTIAL);
    message_add_frame(message, service);
}

void mdp_write_request(struct message *message, struct mdp_dialect dialect, uint64_t address)
{
    static const char digits[] = "0123456789abcdef";
    char text[MDP_ADDRESS_BYTES];
    for (size_t i = 0; i < MDP_ADDRESS_BYTES; i++)
        text[i] = digits[address >> (4 * (MDP_ADDRESS_BYTES - 1 - i)) & 0xf];
    mdp_write_header(message, dialect, mdp_worker_header);
    mdp_write_byte(message, mdp_worker_byte[dialect.version][MDP_REQUEST]);
    message_add_copy(message, text, sizeof text);
    message_add_copy(message, "", 0);
}

void mdp_write_control(struct message *message, struct mdp_dialect dialect,
                       enum mdp_command command)
{
    assert(command == MDP_HEARTBEAT || command == MDP_DISCONNECT);
    mdp_write_header(message, dialect, mdp_worker_header);
    mdp_write_byte(message, mdp_worker_byte[dialect.version][command]);
}
