/* What replicas say to each other, as bytes: what is written is read, and nothing else is.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/peer_message.h"

/* Before the kind's own fields: format, cluster, sender, start id, kind, term. */
enum { KIND_AT = 33, TERM_AT = 34, FIELDS_AT = 42 };

static const uint8_t uuid[PEER_UUID_BYTES] = {1, 2,  3,  4,  5,  6,  7,  8,
                                              9, 10, 11, 12, 13, 14, 15, 16};

static struct membership membership_of_one(void)
{
    struct membership self = {.count = 1};
    self.members[0] = (struct member){.id = 4, .role = MEMBER_VOTER, .address = "a b c"};
    return self;
}

static struct shared_entry *entry_of(replica_index index, replica_term term, const char *command)
{
    const struct log_entry entry = {
        .index = index,
        .term = term,
        .kind = command[0] == '\0' ? LOG_ENTRY_BARRIER : LOG_ENTRY_COMMAND,
        .log_time_ms = (int64_t)(100 * index),
        .wall_ms = -5,
        .data = (const uint8_t *)command,
        .size = strlen(command),
    };
    return shared_entry_new(&entry);
}

static struct shared_entry *membership_entry(replica_index index, replica_term term)
{
    struct bytes_writer writer = {0};
    const struct membership membership = membership_of_one();
    membership_encode(&membership, &writer);
    const struct log_entry entry = {.index = index,
                                    .term = term,
                                    .kind = LOG_ENTRY_MEMBERSHIP,
                                    .log_time_ms = (int64_t)(100 * index),
                                    .data = writer.data,
                                    .size = writer.size};
    struct shared_entry *shared = shared_entry_new(&entry);
    bytes_writer_close(&writer);
    return shared;
}

/* One of each kind, with every field another number; entries of each kind. */
static struct peer_message message_of(enum peer_kind kind)
{
    struct peer_message self = {
        .kind = kind, .from = 0x0102030405060708, .start_id = UINT64_MAX, .term = 9};
    switch (kind) {
    case PEER_APPEND:
        self.append.prev_index = 10;
        self.append.prev_term = 7;
        self.append.commit_index = 8;
        self.append.entries = alloc_zero(3 * sizeof *self.append.entries);
        self.append.entries[self.append.count++] = entry_of(11, 7, "a command");
        self.append.entries[self.append.count++] = membership_entry(12, 8);
        self.append.entries[self.append.count++] = entry_of(13, 9, "");
        break;
    case PEER_APPEND_RESULT:
        self.append_result.rejected = 11;
        self.append_result.last_index = 12;
        break;
    case PEER_VOTE:
        self.vote.last_index = 13;
        self.vote.last_term = 8;
        self.vote.disrupt = true;
        break;
    case PEER_VOTE_RESULT: self.vote_result.granted = self.vote_result.pre_vote = true; break;
    case PEER_SNAPSHOT:
        self.snapshot = alloc_zero(sizeof *self.snapshot);
        *self.snapshot = (struct snapshot_mark){.index = 20,
                                                .term = 6,
                                                .log_time_ms = 7,
                                                .membership = membership_of_one(),
                                                .membership_index = 19,
                                                .bytes = 1000,
                                                .checksum = UINT32_MAX};
        break;
    case PEER_TIMEOUT_NOW:
        self.timeout_now.last_index = 14;
        self.timeout_now.last_term = 9;
        break;
    case PEER_ROUND:
    case PEER_ROUND_RESULT: self.round.number = UINT64_MAX - 1; break;
    case PEER_READ:
    case PEER_READ_RESULT:
        self.read.start_id = 15;
        self.read.number = 16;
        self.read.index = kind == PEER_READ_RESULT ? 17 : 0;
        break;
    case PEER_DIGEST:
        self.digest.index = 18;
        self.digest.digest = UINT64_MAX;
        self.digest.format = 0x00020001;
        break;
    }
    return self;
}

static int decode(struct peer_message *self, const struct bytes_writer *bytes)
{
    static const struct peer_message empty;
    const int code = peer_message_decode(self, uuid, bytes->data, bytes->size);
    if (code != 0)
        assert_memory_equal(self, &empty, sizeof empty);
    return code;
}

/* Make the checksum right: who can write it is no chance, and must be harmless all the same. */
static void seal(struct bytes_writer *bytes)
{
    assert_true(bytes->size >= 4);
    bytes->size -= 4;
    bytes_put_u32(bytes, (uint32_t)crc32(0, bytes->data, (uInt)bytes->size));
}

static void encode(enum peer_kind kind, struct bytes_writer *bytes)
{
    struct peer_message message = message_of(kind);
    bytes->size = 0;
    peer_message_encode(&message, uuid, bytes);
    peer_message_close(&message);
}

static void assert_same_entries(const struct peer_message *one, const struct peer_message *other)
{
    assert_int_equal(one->append.count, other->append.count);
    for (size_t i = 0; i < one->append.count; i++) {
        const struct log_entry *left = &one->append.entries[i]->entry;
        const struct log_entry *right = &other->append.entries[i]->entry;
        assert_int_equal(left->index, right->index);
        assert_int_equal(left->term, right->term);
        assert_int_equal(left->kind, right->kind);
        assert_int_equal(left->log_time_ms, right->log_time_ms);
        assert_int_equal(left->wall_ms, right->wall_ms);
        assert_int_equal(left->size, right->size);
        assert_memory_equal(left->data, right->data, left->size);
    }
}

/* All fields of all kinds; and the same bytes again. */
static void test_what_is_written_is_read(void **state)
{
    struct bytes_writer bytes = {0}, again = {0};

    (void)state;
    for (int kind = PEER_APPEND; kind <= PEER_DIGEST; kind++) {
        struct peer_message written = message_of((enum peer_kind)kind), read;
        bytes.size = again.size = 0;
        peer_message_encode(&written, uuid, &bytes);
        assert_int_equal(decode(&read, &bytes), 0);
        peer_message_encode(&read, uuid, &again);
        assert_int_equal(bytes.size, again.size);
        assert_memory_equal(bytes.data, again.data, bytes.size);
        struct peer_message same = read;
        if (kind == PEER_APPEND) {
            assert_same_entries(&read, &written);
            same.append.entries = written.append.entries;
        }
        if (kind == PEER_SNAPSHOT) {
            assert_memory_equal(read.snapshot, written.snapshot, sizeof *read.snapshot);
            same.snapshot = written.snapshot;
        }
        assert_memory_equal(&same, &written, sizeof same);
        peer_message_close(&read);
        peer_message_close(&written);
    }
    bytes_writer_close(&bytes);
    bytes_writer_close(&again);
}

/* Replicas of different versions talk to each other: the bytes are what they are. */
static void test_the_bytes_are_stable(void **state)
{
    static const uint8_t expected[] = {
        1, 1, 2, 3, 4, 5,    6,    7,    8,    9,    10,   11,   12,   13, 14, 15, 16, 1, 2, 3,
        4, 5, 6, 7, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 3,  0,  0,  0,  0, 0, 0,
        0, 9, 0, 0, 0, 0,    0,    0,    0,    13,   0,    0,    0,    0,  0,  0,  0,  8, 2};
    static const uint8_t topic[] = {0, 0x1b, 0x2c, 0x32, 0x47, 1, 2, 3, 4, 5, 6, 7, 8};
    struct bytes_writer bytes = {0};
    uint8_t made[PEER_TOPIC_BYTES];

    (void)state;
    encode(PEER_VOTE, &bytes);
    assert_int_equal(bytes.size, sizeof expected + 4);
    assert_memory_equal(bytes.data, expected, sizeof expected);
    peer_message_topic("catalog", 0x0102030405060708, made);
    assert_int_equal(sizeof topic, PEER_TOPIC_BYTES);
    assert_memory_equal(made, topic, sizeof topic);
    bytes_writer_close(&bytes);
}

/* A message may stand after others in one writer. */
static void test_it_is_written_after_what_is_there(void **state)
{
    struct bytes_writer alone = {0}, after = {0};
    struct peer_message message = message_of(PEER_DIGEST);

    (void)state;
    encode(PEER_DIGEST, &alone);
    bytes_put_u32(&after, 0);
    peer_message_encode(&message, uuid, &after);
    assert_int_equal(after.size, alone.size + 4);
    assert_memory_equal(after.data + 4, alone.data, alone.size);
    bytes_writer_close(&alone);
    bytes_writer_close(&after);
}

/* What a batch will take is known before it is built. */
static void test_sizes_are_known_beforehand(void **state)
{
    struct peer_message message = message_of(PEER_APPEND);
    struct bytes_writer bytes = {0};
    size_t expected = PEER_APPEND_BYTES_MIN;

    (void)state;
    for (size_t i = 0; i < message.append.count; i++)
        expected += peer_message_entry_bytes(&message.append.entries[i]->entry);
    peer_message_encode(&message, uuid, &bytes);
    assert_int_equal(bytes.size, expected);
    peer_message_close(&message);
    bytes_writer_close(&bytes);
}

/* Each entry is its own, held once, by the message: its bytes outlive those that were read. */
static void test_entries_outlive_what_they_were_read_from(void **state)
{
    struct bytes_writer bytes = {0};
    struct peer_message message;

    (void)state;
    encode(PEER_APPEND, &bytes);
    assert_int_equal(decode(&message, &bytes), 0);
    memset(bytes.data, 'x', bytes.size);
    bytes_writer_close(&bytes);
    struct shared_entry *first = shared_entry_hold(message.append.entries[0]);
    assert_int_equal(first->holders, 2);
    peer_message_close(&message);
    assert_int_equal(message.kind, 0);
    peer_message_close(&message);
    assert_int_equal(first->holders, 1);
    assert_memory_equal(first->entry.data, "a command", 9);
    shared_entry_release(&first);
}

/* A single bit that is another one makes it malformed, wherever it stands; in the first byte, of
 * another version. */
static void test_every_flipped_bit_is_seen(void **state)
{
    struct bytes_writer bytes = {0};
    struct peer_message message;

    (void)state;
    for (int kind = PEER_APPEND; kind <= PEER_DIGEST; kind++) {
        encode((enum peer_kind)kind, &bytes);
        for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
            bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(decode(&message, &bytes), bit < 8 ? ERR_VERSION : ERR_MALFORMED);
            bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
    bytes_writer_close(&bytes);
}

/* Cut off anywhere, or with a byte too many, though the checksum be right. */
static void test_what_is_cut_off_or_too_long_is_refused(void **state)
{
    struct bytes_writer bytes = {0};
    struct peer_message message;

    (void)state;
    for (int kind = PEER_APPEND; kind <= PEER_DIGEST; kind++) {
        encode((enum peer_kind)kind, &bytes);
        const size_t whole = bytes.size;
        while (bytes.size > 4) {
            bytes.size--;
            seal(&bytes);
            assert_int_equal(decode(&message, &bytes), ERR_MALFORMED);
        }
        for (; bytes.size > 0; bytes.size--)
            assert_int_equal(decode(&message, &bytes), ERR_MALFORMED);
        assert_int_equal(decode(&message, &bytes), ERR_MALFORMED);
        encode((enum peer_kind)kind, &bytes);
        assert_int_equal(bytes.size, whole);
        bytes_put_u8(&bytes, 0);
        seal(&bytes);
        assert_int_equal(decode(&message, &bytes), ERR_MALFORMED);
    }
    bytes_writer_close(&bytes);
}

/* Another cluster and another format are not malformed: an operator looks for other causes. */
static void test_what_is_foreign_is_told_apart(void **state)
{
    static const uint8_t other[PEER_UUID_BYTES] = {9};
    struct bytes_writer bytes = {0};
    struct peer_message message;

    (void)state;
    encode(PEER_ROUND, &bytes);
    assert_int_equal(peer_message_decode(&message, other, bytes.data, bytes.size), ERR_MISMATCH);
    bytes.data[0] = PEER_FORMAT + 1;
    assert_int_equal(decode(&message, &bytes), ERR_VERSION);
    seal(&bytes);
    assert_int_equal(decode(&message, &bytes), ERR_VERSION);
    bytes_writer_close(&bytes);
}

/* A number of eight bytes, one, or four, at a place of a good message; each makes no sense there. */
static void test_what_makes_no_sense_is_refused(void **state)
{
    enum { COUNT_AT = FIELDS_AT + 24, FIRST_AT = COUNT_AT + 4, SECOND_AT = FIRST_AT + 29 + 9 };
    enum { TERM = 0, KIND = 8, LOG_TIME = 9, LENGTH = 25, COMMAND = 29 }; /* of an entry */
    static const uint64_t high = (uint64_t)INT64_MAX + 1;
    const struct {
        const char *what;
        enum peer_kind kind;
        size_t offset, size;
        uint64_t value;
    } cases[] = {
        {"no sender", PEER_ROUND, 17, 8, 0},
        {"no kind", PEER_ROUND, KIND_AT, 1, 0},
        {"an unknown kind", PEER_ROUND, KIND_AT, 1, PEER_DIGEST + 1},
        {"another kind", PEER_ROUND, KIND_AT, 1, PEER_APPEND},
        {"no term", PEER_ROUND, TERM_AT, 8, 0},
        {"a term that no log could hold", PEER_ROUND, TERM_AT, 8, high},
        {"an index that no log could hold", PEER_APPEND, FIELDS_AT, 8, high},
        {"an index without room for the entries", PEER_APPEND, FIELDS_AT, 8, high - 1},
        {"a term for the place before all", PEER_APPEND, FIELDS_AT, 8, 0},
        {"no term for a place that has one", PEER_APPEND, FIELDS_AT + 8, 8, 0},
        {"a place's term above the sender's", PEER_APPEND, FIELDS_AT + 8, 8, 10},
        {"a commit index that no log could hold", PEER_APPEND, FIELDS_AT + 16, 8, high},
        {"fewer entries than there are", PEER_APPEND, COUNT_AT, 4, 2},
        {"more entries than there are", PEER_APPEND, COUNT_AT, 4, 4},
        {"no end of entries", PEER_APPEND, COUNT_AT, 4, UINT32_MAX},
        {"an entry without a term", PEER_APPEND, FIRST_AT + TERM, 8, 0},
        {"an entry of a lower term", PEER_APPEND, FIRST_AT + TERM, 8, 6},
        {"an entry of a higher term than the next", PEER_APPEND, FIRST_AT + TERM, 8, 9},
        {"entries of a term above the sender's", PEER_APPEND, TERM_AT, 8, 8},
        {"an entry of no kind", PEER_APPEND, FIRST_AT + KIND, 1, 0},
        {"an entry of an unknown kind", PEER_APPEND, FIRST_AT + KIND, 1, 4},
        {"a command that is no membership", PEER_APPEND, FIRST_AT + KIND, 1, LOG_ENTRY_MEMBERSHIP},
        {"a time before all", PEER_APPEND, FIRST_AT + LOG_TIME, 8, UINT64_MAX},
        {"a time after that of the next", PEER_APPEND, FIRST_AT + LOG_TIME, 8, 1201},
        {"a command longer than there is", PEER_APPEND, FIRST_AT + LENGTH, 4, UINT32_MAX},
        {"a command shorter than there is", PEER_APPEND, FIRST_AT + LENGTH, 4, 8},
        {"a membership without a format", PEER_APPEND, SECOND_AT + COMMAND, 1, 0},
        {"an index of the result", PEER_APPEND_RESULT, FIELDS_AT, 8, high},
        {"a last index of the result", PEER_APPEND_RESULT, FIELDS_AT + 8, 8, high},
        {"a vote for a log without a term", PEER_VOTE, FIELDS_AT + 8, 8, 0},
        {"a vote for a log ahead of its term", PEER_VOTE, FIELDS_AT + 8, 8, 10},
        {"unknown flags of a vote", PEER_VOTE, FIELDS_AT + 16, 1, 4},
        {"unknown flags of its result", PEER_VOTE_RESULT, FIELDS_AT, 1, 0x80},
        {"a snapshot of nothing", PEER_SNAPSHOT, FIELDS_AT, 8, 0},
        {"a snapshot ahead of its term", PEER_SNAPSHOT, FIELDS_AT + 8, 8, 10},
        {"a hand-over to a log without a term", PEER_TIMEOUT_NOW, FIELDS_AT + 8, 8, 0},
        {"a read at an index that no log could hold", PEER_READ_RESULT, FIELDS_AT + 16, 8, high},
        {"a digest of nothing", PEER_DIGEST, FIELDS_AT, 8, 0},
    };
    struct bytes_writer bytes = {0};
    struct peer_message message;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        encode(cases[i].kind, &bytes);
        for (size_t byte = 0; byte < cases[i].size; byte++)
            bytes.data[cases[i].offset + byte] =
                (uint8_t)(cases[i].value >> 8 * (cases[i].size - 1 - byte));
        seal(&bytes);
        const int code = decode(&message, &bytes);
        if (code != ERR_MALFORMED)
            fail_msg("%s: %d", cases[i].what, code);
    }
    bytes_writer_close(&bytes);
}

/* The largest entry and the largest message are read; one byte more of either is not. */
static void test_sizes_are_bounded(void **state)
{
    static uint8_t command[ENTRY_BYTES_MAX + 1];
    struct bytes_writer bytes = {0};
    struct peer_message message = {.kind = PEER_APPEND, .from = 1, .term = 1};
    struct log_entry entry = {.index = 1, .term = 1, .kind = LOG_ENTRY_COMMAND, .data = command};

    (void)state;
    entry.size = ENTRY_BYTES_MAX + 1;
    message.append.entries = alloc_zero(2 * sizeof *message.append.entries);
    message.append.entries[message.append.count++] = shared_entry_new(&entry);
    peer_message_encode(&message, uuid, &bytes);
    peer_message_close(&message);
    assert_int_equal(decode(&message, &bytes), ERR_MALFORMED);

    message = (struct peer_message){.kind = PEER_APPEND, .from = 1, .term = 1};
    message.append.entries = alloc_zero(2 * sizeof *message.append.entries);
    entry.size = ENTRY_BYTES_MAX;
    message.append.entries[message.append.count++] = shared_entry_new(&entry);
    entry.index = 2;
    entry.size = PEER_BYTES_MAX - PEER_APPEND_BYTES_MIN - peer_message_entry_bytes(&entry);
    entry.size -= peer_message_entry_bytes(&(struct log_entry){0});
    message.append.entries[message.append.count++] = shared_entry_new(&entry);
    bytes.size = 0;
    peer_message_encode(&message, uuid, &bytes);
    peer_message_close(&message);
    assert_int_equal(bytes.size, PEER_BYTES_MAX);
    assert_int_equal(decode(&message, &bytes), 0);
    peer_message_close(&message);
    /* One byte more of the last command, and its length accordingly. */
    uint8_t *length = bytes.data + bytes.size - 4 - entry.size - 4;
    assert_int_equal(length[3], entry.size & 0xff);
    assert_int_not_equal(length[3], 0xff);
    length[3]++;
    bytes_put_u8(&bytes, 0);
    seal(&bytes);
    assert_int_equal(bytes.size, PEER_BYTES_MAX + 1);
    assert_int_equal(decode(&message, &bytes), ERR_MALFORMED);
    bytes_writer_close(&bytes);
}

/* Groups and members have topics of their own, none of which begins another. */
static void test_topics_differ(void **state)
{
    static const char *const groups[] = {"catalog", "order", "catalog.1", ""};
    static const uint64_t ids[] = {1, 10, 256, UINT64_MAX};
    uint8_t topics[16][PEER_TOPIC_BYTES];

    (void)state;
    for (size_t i = 0; i < 16; i++) {
        peer_message_topic(groups[i / 4], ids[i % 4], topics[i]);
        assert_int_equal(topics[i][0], 0);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(topics[i], topics[j], PEER_TOPIC_BYTES);
    }
}

/* An empty message has nothing to let go of. */
static void test_an_empty_message_is_closed(void **state)
{
    static const struct peer_message empty;
    struct peer_message message = {0};

    (void)state;
    peer_message_close(&message);
    assert_memory_equal(&message, &empty, sizeof empty);
    message.kind = PEER_APPEND; /* as the driver hands it over: there are some, on the disk */
    message.append.count = 5;
    peer_message_close(&message);
    assert_memory_equal(&message, &empty, sizeof empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_the_bytes_are_stable),
        cmocka_unit_test(test_it_is_written_after_what_is_there),
        cmocka_unit_test(test_sizes_are_known_beforehand),
        cmocka_unit_test(test_entries_outlive_what_they_were_read_from),
        cmocka_unit_test(test_every_flipped_bit_is_seen),
        cmocka_unit_test(test_what_is_cut_off_or_too_long_is_refused),
        cmocka_unit_test(test_what_is_foreign_is_told_apart),
        cmocka_unit_test(test_what_makes_no_sense_is_refused),
        cmocka_unit_test(test_sizes_are_bounded),
        cmocka_unit_test(test_topics_differ),
        cmocka_unit_test(test_an_empty_message_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
