/* What other replicas may send, of any bytes: it is refused with a code, or read as a message that
 * makes sense and gives the same bytes again; and memberships, as logs hold them, likewise.
 *
 * The first byte says what the rest is: 0, a frame as it came; 1, a frame but for its beginning, which
 * is put before it, and its checksum, which is put right (no mutation would ever get there by itself);
 * else a membership.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>
#include <zlib.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/peer_message.h"

static const uint8_t uuid[PEER_UUID_BYTES] = "0123456789abcde";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What whoever receives an append relies upon. */
static void check_append(const struct peer_message *message)
{
    replica_index index = message->append.prev_index;
    replica_term term = message->append.prev_term;
    assert((message->append.count == 0) == (message->append.entries == NULL));
    for (size_t i = 0; i < message->append.count; i++) {
        const struct shared_entry *shared = message->append.entries[i];
        assert(shared->holders == 1 && shared->entry.data == shared->data);
        assert(shared->entry.index == ++index && index <= INT64_MAX);
        assert(shared->entry.term >= term && shared->entry.term <= message->term);
        assert(shared->entry.size <= ENTRY_BYTES_MAX);
        term = shared->entry.term;
    }
}

static void check_frame(const uint8_t *data, size_t size)
{
    struct peer_message message;
    struct bytes_writer again = {0};
    const int code = peer_message_decode(&message, uuid, data, size);
    assert(code == OK || code == ERR_MALFORMED || code == ERR_VERSION || code == ERR_MISMATCH);
    if (code != OK) {
        assert(message.kind == 0);
        return;
    }
    assert(message.from != 0 && message.term >= 1 && message.term <= INT64_MAX);
    if (message.kind == PEER_APPEND)
        check_append(&message);
    peer_message_encode(&message, uuid, &again);
    assert(again.size == size && memcmp(again.data, data, size) == 0);
    bytes_writer_close(&again);
    peer_message_close(&message);
}

static void check_sealed(const uint8_t *data, size_t size)
{
    struct bytes_writer frame = {0};
    bytes_put_u8(&frame, PEER_FORMAT);
    bytes_put_raw(&frame, uuid, sizeof uuid);
    bytes_put_raw(&frame, data, size);
    bytes_put_u32(&frame, (uint32_t)crc32(0, frame.data, (uInt)frame.size));
    check_frame(frame.data, frame.size);
    bytes_writer_close(&frame);
}

static void check_membership(const uint8_t *data, size_t size)
{
    struct membership membership;
    struct bytes_reader reader;
    struct bytes_writer again = {0};
    bytes_reader_init(&reader, data, size);
    membership_decode(&membership, &reader);
    if (reader.failed) {
        assert(membership.count == 0);
        return;
    }
    assert(membership.count <= MEMBERS_MAX && membership_voters(&membership) >= 1);
    for (size_t i = 0; i < membership.count; i++)
        assert(membership_find(&membership, membership.members[i].id) == &membership.members[i]);
    membership_encode(&membership, &again);
    assert(again.size == size - reader.size && memcmp(again.data, data, again.size) == 0);
    bytes_writer_close(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    switch (data[0]) {
    case 0: check_frame(data + 1, size - 1); break;
    case 1: check_sealed(data + 1, size - 1); break;
    default: check_membership(data + 1, size - 1); break;
    }
    return 0;
}
