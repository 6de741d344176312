/* The reader of plain Majordomo on any frames: what it says of a message lies within it, and the
 * same message written by the book is read as the same.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "broker/bus/mdp.h"
#include "tests/fuzz/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The byte of a worker's command, in its version. */
static uint8_t command_byte(const struct mdp_message *read)
{
    const int later = read->dialect.version == MDP_02;

    switch (read->command) {
    case MDP_READY: return 1;
    case MDP_PARTIAL: return 3;
    case MDP_FINAL: return (uint8_t)(3 + later);
    case MDP_HEARTBEAT: return (uint8_t)(4 + later);
    default: return (uint8_t)(5 + later);
    }
}

static void add_text(struct message *message, const char *text)
{
    message_add_copy(message, text, strlen(text));
}

static void add_frames(struct message *to, const struct message *from, size_t first)
{
    for (size_t i = first; i < from->count && to->count < MESSAGE_FRAMES_MAX; i++)
        message_add_copy(to, frame_data(&from->frames[i]), frame_size(&from->frames[i]));
}

static void write_again(struct message *again, const struct message *message,
                        const struct mdp_message *read)
{
    static const char *const headers[2][2] = {{"MDPC01", "MDPW01"}, {"MDPC02", "MDPW02"}};
    const uint8_t byte = read->from_worker ? command_byte(read) : 1;

    message_init(again);
    if (read->dialect.empty_first)
        add_text(again, "");
    add_text(again, headers[read->dialect.version == MDP_02][read->from_worker]);
    if (read->from_worker || read->dialect.version == MDP_02)
        message_add_copy(again, &byte, 1);
    if (read->service != 0)
        message_add_copy(again, frame_data(&message->frames[read->service]),
                         frame_size(&message->frames[read->service]));
    if (read->from_worker && (read->command == MDP_PARTIAL || read->command == MDP_FINAL)) {
        char address[17];
        for (int i = 0; i < 16; i++)
            address[i] = "0123456789abcdef"[read->address >> (60 - 4 * i) & 15];
        message_add_copy(again, address, 16);
        add_text(again, "");
    }
    add_frames(again, message, read->body);
}

static void check_again(const struct message *message, const struct mdp_message *read)
{
    struct message again;
    struct mdp_message back;

    write_again(&again, message, read);
    int code = mdp_read(&again, &back);
    assert(code == 0);
    assert(back.dialect.version == read->dialect.version);
    assert(back.dialect.empty_first == read->dialect.empty_first);
    assert(back.from_worker == read->from_worker && back.command == read->command);
    assert(back.known == read->known && back.address == read->address);
    message_close(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes_reader reader;
    struct message message;
    struct mdp_message read;

    bytes_reader_init(&reader, data, size);
    frames_get(&reader, &message);
    if (mdp_read(&message, &read) == 0) {
        assert(read.service < message.count && read.body <= message.count);
        assert((read.service != 0) == (read.command == MDP_REQUEST || read.command == MDP_READY));
        /* Above the bound there may be no room for the delimiter that was left out. */
        if ((read.known || read.service != 0) && message.count < MESSAGE_FRAMES_MAX)
            check_again(&message, &read);
    }
    message_close(&message);
    return 0;
}
