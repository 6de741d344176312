/* See peer_message.h. The kinds' own fields (docs/protocol.md has them in words):
 *
 *   APPEND         prev index u64, prev term u64, commit index u64, count u32, and of each entry
 *                  term u64, kind u8, log time i64, wall time i64, command (u32 length, then bytes);
 *                  its index follows from its place
 *   APPEND_RESULT  rejected u64, last index u64
 *   VOTE           last index u64, last term u64, flags u8 (bit 0 pre-vote, bit 1 disrupt)
 *   VOTE_RESULT    flags u8 (bit 0 pre-vote, bit 1 granted)
 *   SNAPSHOT       the mark (snapshot_mark.h)
 *   TIMEOUT_NOW    last index u64, last term u64
 *   ROUND, _RESULT number u64
 *   READ           start id u64, number u64
 *   READ_RESULT    start id u64, number u64, index u64
 *   DIGEST         index u64, digest u64, format u32
 *
 * There is one way to write each message, and a reader takes no other: what it has read gives the
 * same bytes again.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/peer_message.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/feed.h"

/* Of an entry, beside its command. */
#define PEER_ENTRY_HEAD_BYTES 29
#define PEER_SUM_BYTES        4
/* Indexes and terms stay below it: SQLite, which keeps them, has no larger integers. */
#define PEER_NUMBER_MAX    ((uint64_t)INT64_MAX)

#define PEER_FLAG_PRE_VOTE 0x01
#define PEER_FLAG_OTHER    0x02 /* of a vote: disrupt; of its result: granted */

void peer_message_close(struct peer_message *self)
{
    if (self->kind == PEER_APPEND && self->append.entries != NULL) {
        for (size_t i = 0; i < self->append.count; i++)
            shared_entry_release(&self->append.entries[i]);
        free(self->append.entries);
    }
    if (self->kind == PEER_SNAPSHOT)
        free(self->snapshot);
    *self = (struct peer_message){0};
}

size_t peer_message_entry_bytes(const struct log_entry *entry)
{
    return PEER_ENTRY_HEAD_BYTES + entry->size;
}

void peer_message_topic(const char *group, uint64_t id, uint8_t topic[PEER_TOPIC_BYTES])
{
    struct bytes_writer writer = {0};
    bytes_put_u8(&writer, FEED_TOPIC_PRIVATE);
    bytes_put_u32(&writer, (uint32_t)crc32(0, (const Bytef *)group, (uInt)strlen(group)));
    bytes_put_u64(&writer, id);
    assert(writer.size == PEER_TOPIC_BYTES);
    memcpy(topic, writer.data, PEER_TOPIC_BYTES);
    bytes_writer_close(&writer);
}

static uint32_t peer_sum(const uint8_t *data, size_t size)
{
    return (uint32_t)crc32(0, data, (uInt)size);
}

/* ---- Writing ------------------------------------------------------------------------------------ */

static void put_entry(const struct log_entry *entry, struct bytes_writer *writer)
{
    bytes_put_u64(writer, entry->term);
    bytes_put_u8(writer, (uint8_t)entry->kind);
    bytes_put_i64(writer, entry->log_time_ms);
    bytes_put_i64(writer, entry->wall_ms);
    bytes_put_blob(writer, entry->data, entry->size);
}

static void put_append(const struct peer_message *self, struct bytes_writer *writer)
{
    assert(self->append.count == 0 || self->append.entries != NULL);
    bytes_put_u64(writer, self->append.prev_index);
    bytes_put_u64(writer, self->append.prev_term);
    bytes_put_u64(writer, self->append.commit_index);
    bytes_put_u32(writer, (uint32_t)self->append.count);
    for (size_t i = 0; i < self->append.count; i++) {
        const struct log_entry *entry = &self->append.entries[i]->entry;
        assert(entry->index == self->append.prev_index + 1 + i);
        put_entry(entry, writer);
    }
}

static void put_two(uint64_t one, uint64_t other, struct bytes_writer *writer)
{
    bytes_put_u64(writer, one);
    bytes_put_u64(writer, other);
}

static void put_flags(bool pre_vote, bool other, struct bytes_writer *writer)
{
    bytes_put_u8(writer,
                 (uint8_t)((pre_vote ? PEER_FLAG_PRE_VOTE : 0) | (other ? PEER_FLAG_OTHER : 0)));
}

/* The kind's own fields. */
static void put_fields(const struct peer_message *self, struct bytes_writer *writer)
{
    switch (self->kind) {
    case PEER_APPEND: put_append(self, writer); return;
    case PEER_APPEND_RESULT:
        put_two(self->append_result.rejected, self->append_result.last_index, writer);
        return;
    case PEER_VOTE:
        put_two(self->vote.last_index, self->vote.last_term, writer);
        put_flags(self->vote.pre_vote, self->vote.disrupt, writer);
        return;
    case PEER_VOTE_RESULT:
        put_flags(self->vote_result.pre_vote, self->vote_result.granted, writer);
        return;
    case PEER_SNAPSHOT: snapshot_mark_encode(self->snapshot, writer); return;
    case PEER_TIMEOUT_NOW:
        put_two(self->timeout_now.last_index, self->timeout_now.last_term, writer);
        return;
    case PEER_ROUND:
    case PEER_ROUND_RESULT: bytes_put_u64(writer, self->round.number); return;
    case PEER_READ: put_two(self->read.start_id, self->read.number, writer); return;
    case PEER_READ_RESULT:
        put_two(self->read.start_id, self->read.number, writer);
        bytes_put_u64(writer, self->read.index);
        return;
    case PEER_DIGEST:
        put_two(self->digest.index, self->digest.digest, writer);
        bytes_put_u32(writer, self->digest.format);
        return;
    }
    assert(false); /* no kind */
}

void peer_message_encode(const struct peer_message *self, const uint8_t uuid[PEER_UUID_BYTES],
                         struct bytes_writer *writer)
{
    const size_t before = writer->size;
    bytes_put_u8(writer, PEER_FORMAT);
    bytes_put_raw(writer, uuid, PEER_UUID_BYTES);
    bytes_put_u64(writer, self->from);
    bytes_put_u64(writer, self->start_id);
    bytes_put_u8(writer, (uint8_t)self->kind);
    bytes_put_u64(writer, self->term);
    put_fields(self, writer);
    bytes_put_u32(writer, peer_sum(writer->data + before, writer->size - before));
    assert(writer->size - before <= PEER_BYTES_MAX);
}

/* ---- Reading ------------------------------------------------------------------------------------ */

/* An index or a term. */
static uint64_t get_number(struct bytes_reader *reader, uint64_t min)
{
    const uint64_t number = bytes_get_u64(reader);
    if (number < min || number > PEER_NUMBER_MAX)
        bytes_reader_fail(reader);
    return number;
}

/* The index and the term of an entry, or 0 and 0 for the place before the first one. Who has it has
 * come at least as far as its term. */
static void get_place(const struct peer_message *self, struct bytes_reader *reader,
                      replica_index *index, replica_term *term)
{
    *index = get_number(reader, 0);
    *term = get_number(reader, 0);
    if ((*index == 0) != (*term == 0) || *term > self->term)
        bytes_reader_fail(reader);
}

static void get_flags(struct bytes_reader *reader, bool *pre_vote, bool *other)
{
    const uint8_t flags = bytes_get_u8(reader);
    if (flags > (PEER_FLAG_PRE_VOTE | PEER_FLAG_OTHER))
        bytes_reader_fail(reader);
    *pre_vote = (flags & PEER_FLAG_PRE_VOTE) != 0;
    *other = (flags & PEER_FLAG_OTHER) != 0;
}

/* Whether what an entry says of itself is possible, and may come after @before. */
static bool entry_fits(const struct log_entry *entry, const struct log_entry *before)
{
    struct bytes_reader reader;
    struct membership membership;
    if (entry->term < before->term || entry->log_time_ms < before->log_time_ms)
        return false;
    switch (entry->kind) {
    case LOG_ENTRY_COMMAND:
    case LOG_ENTRY_BARRIER: return true;
    case LOG_ENTRY_MEMBERSHIP:
        bytes_reader_init(&reader, entry->data, entry->size);
        membership_decode(&membership, &reader);
        return bytes_reader_done(&reader);
    }
    return false;
}

/* The entry after @before; its command is within the reader's bytes. */
static bool get_entry(struct bytes_reader *reader, const struct log_entry *before,
                      struct log_entry *entry)
{
    entry->index = before->index + 1;
    entry->term = get_number(reader, 1);
    entry->kind = (enum log_entry_kind)bytes_get_u8(reader);
    entry->log_time_ms = bytes_get_i64(reader);
    entry->wall_ms = bytes_get_i64(reader);
    entry->data = bytes_get_blob(reader, ENTRY_BYTES_MAX, &entry->size);
    return !reader->failed && entry_fits(entry, before);
}

static void get_entries(struct peer_message *self, size_t count, struct bytes_reader *reader)
{
    struct log_entry before = {.index = self->append.prev_index, .term = self->append.prev_term};
    struct log_entry entry;

    self->append.entries = alloc_zero(count * sizeof(struct shared_entry *));
    while (self->append.count < count) {
        if (!get_entry(reader, &before, &entry)) {
            bytes_reader_fail(reader);
            return;
        }
        self->append.entries[self->append.count++] = shared_entry_new(&entry);
        before = entry;
    }
    if (before.term > self->term)
        bytes_reader_fail(reader);
}

static void get_append(struct peer_message *self, struct bytes_reader *reader)
{
    get_place(self, reader, &self->append.prev_index, &self->append.prev_term);
    self->append.commit_index = get_number(reader, 0);
    const size_t count = bytes_get_u32(reader);
    /* So many entries could be there, and an index could be given to each. */
    if (count > reader->size / PEER_ENTRY_HEAD_BYTES ||
        count > PEER_NUMBER_MAX - self->append.prev_index)
        bytes_reader_fail(reader);
    if (!reader->failed && count > 0)
        get_entries(self, count, reader);
}

static void get_snapshot(struct peer_message *self, struct bytes_reader *reader)
{
    self->snapshot = alloc_zero(sizeof *self->snapshot);
    snapshot_mark_decode(self->snapshot, reader);
    if (self->snapshot->term > self->term)
        bytes_reader_fail(reader);
}

static void get_read(struct peer_message *self, struct bytes_reader *reader)
{
    self->read.start_id = bytes_get_u64(reader);
    self->read.number = bytes_get_u64(reader);
    if (self->kind == PEER_READ_RESULT)
        self->read.index = get_number(reader, 0);
}

/* The kind's own fields; a kind that is none fails. */
static void get_fields(struct peer_message *self, struct bytes_reader *reader)
{
    switch (self->kind) {
    case PEER_APPEND: get_append(self, reader); return;
    case PEER_APPEND_RESULT:
        self->append_result.rejected = get_number(reader, 0);
        self->append_result.last_index = get_number(reader, 0);
        return;
    case PEER_VOTE:
        get_place(self, reader, &self->vote.last_index, &self->vote.last_term);
        get_flags(reader, &self->vote.pre_vote, &self->vote.disrupt);
        return;
    case PEER_VOTE_RESULT:
        get_flags(reader, &self->vote_result.pre_vote, &self->vote_result.granted);
        return;
    case PEER_SNAPSHOT: get_snapshot(self, reader); return;
    case PEER_TIMEOUT_NOW:
        get_place(self, reader, &self->timeout_now.last_index, &self->timeout_now.last_term);
        return;
    case PEER_ROUND:
    case PEER_ROUND_RESULT: self->round.number = bytes_get_u64(reader); return;
    case PEER_READ:
    case PEER_READ_RESULT: get_read(self, reader); return;
    case PEER_DIGEST:
        self->digest.index = get_number(reader, 1);
        self->digest.digest = bytes_get_u64(reader);
        self->digest.format = bytes_get_u32(reader);
        return;
    }
    bytes_reader_fail(reader);
}

/* Format, checksum and cluster, in this order: of another format nothing more is known, and what is
 * damaged is of no cluster. Leaves in @reader what is between cluster and checksum. */
static int open_frame(struct bytes_reader *reader, const uint8_t uuid[PEER_UUID_BYTES],
                      const void *data, size_t size)
{
    if (size > PEER_BYTES_MAX || size < 1 + PEER_UUID_BYTES + PEER_SUM_BYTES)
        return ERR_MALFORMED;
    bytes_reader_init(reader, data, size);
    if (bytes_get_u8(reader) != PEER_FORMAT)
        return ERR_VERSION;
    struct bytes_reader sum;
    bytes_reader_init(&sum, (const uint8_t *)data + size - PEER_SUM_BYTES, PEER_SUM_BYTES);
    if (bytes_get_u32(&sum) != peer_sum(data, size - PEER_SUM_BYTES))
        return ERR_MALFORMED;
    reader->size -= PEER_SUM_BYTES;
    if (memcmp(bytes_get_raw(reader, PEER_UUID_BYTES), uuid, PEER_UUID_BYTES) != 0)
        return ERR_MISMATCH;
    return 0;
}

int peer_message_decode(struct peer_message *self, const uint8_t uuid[PEER_UUID_BYTES],
                        const void *data, size_t size)
{
    struct bytes_reader reader;
    *self = (struct peer_message){0};
    const int code = open_frame(&reader, uuid, data, size);
    if (code != 0)
        return code;
    self->from = bytes_get_u64(&reader);
    self->start_id = bytes_get_u64(&reader);
    self->kind = (enum peer_kind)bytes_get_u8(&reader);
    self->term = get_number(&reader, 1);
    if (self->from == 0)
        bytes_reader_fail(&reader);
    if (!reader.failed)
        get_fields(self, &reader);
    if (bytes_reader_done(&reader))
        return 0;
    peer_message_close(self);
    return ERR_MALFORMED;
}
