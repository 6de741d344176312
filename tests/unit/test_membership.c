/* Memberships: what is written is read, and what makes no sense is refused.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "services/replica/membership.h"

static void add(struct membership *self, uint64_t id, enum member_role role, const char *address)
{
    struct member *member = &self->members[self->count++];
    member->id = id;
    member->role = role;
    strcpy(member->address, address);
}

static struct membership three(void)
{
    struct membership self = {0};
    add(&self, 3, MEMBER_VOTER, "catalog-3 tcp://127.0.0.1:8130 tcp://127.0.0.1:8133");
    add(&self, 1, MEMBER_VOTER, "catalog-1 tcp://127.0.0.1:8131 tcp://127.0.0.1:8134");
    add(&self, UINT64_MAX, MEMBER_LEARNER, "catalog-9 tcp://127.0.0.1:8132 tcp://127.0.0.1:8135");
    return self;
}

/* Whether it is read; if it is not, that nothing of it is. */
static bool decodes(struct membership *self, const struct bytes_writer *writer, size_t size)
{
    static const struct membership empty;
    struct bytes_reader reader;
    bytes_reader_init(&reader, writer->data, size);
    membership_decode(self, &reader);
    if (reader.failed)
        assert_memory_equal(self, &empty, sizeof empty);
    return bytes_reader_done(&reader);
}

static void assert_same(const struct membership *one, const struct membership *other)
{
    assert_int_equal(one->count, other->count);
    for (size_t i = 0; i < one->count; i++) {
        assert_int_equal(one->members[i].id, other->members[i].id);
        assert_int_equal(one->members[i].role, other->members[i].role);
        assert_string_equal(one->members[i].address, other->members[i].address);
    }
}

/* Members come back in their order; what follows is left alone. */
static void test_what_is_written_is_read(void **state)
{
    struct bytes_writer writer = {0};
    struct bytes_reader reader;
    const struct membership written = three();
    struct membership read;

    (void)state;
    membership_encode(&written, &writer);
    bytes_put_u8(&writer, 77);
    bytes_reader_init(&reader, writer.data, writer.size);
    membership_decode(&read, &reader);
    assert_same(&read, &written);
    assert_int_equal(bytes_get_u8(&reader), 77);
    assert_true(bytes_reader_done(&reader));
    bytes_writer_close(&writer);
}

/* The bytes are in logs: these are what they are, for ever. */
static void test_the_bytes_are_stable(void **state)
{
    static const uint8_t expected[] = {1, 1, 0, 0, 0, 0,   0,   0,   1,   2,
                                       1, 0, 0, 0, 5, 'a', ' ', 'b', ' ', 'c'};
    struct bytes_writer writer = {0};
    struct membership one = {0};

    (void)state;
    add(&one, 258, MEMBER_VOTER, "a b c");
    membership_encode(&one, &writer);
    assert_int_equal(writer.size, sizeof expected);
    assert_memory_equal(writer.data, expected, sizeof expected);
    bytes_writer_close(&writer);
}

/* Half a membership is none, wherever it is cut off. */
static void test_what_is_cut_off_is_refused(void **state)
{
    struct bytes_writer writer = {0};
    const struct membership written = three();
    struct membership read;

    (void)state;
    membership_encode(&written, &writer);
    for (size_t size = 0; size < writer.size; size++)
        assert_false(decodes(&read, &writer, size));
    assert_true(decodes(&read, &writer, writer.size));
    bytes_writer_close(&writer);
}

/* A change of one byte of a good one, each of which makes no sense. */
static void test_what_makes_no_sense_is_refused(void **state)
{
    /* One member takes 8 bytes of id, 1 of role, 4 of length and 5 of address. */
    enum { HEAD = 2, MEMBER = 18, ROLE = 8, ADDRESS = 13 };
    static const struct {
        const char *what;
        size_t offset;
        uint8_t byte;
    } cases[] = {
        {"another format", 0, 2},
        {"no members", 1, 0},
        {"more than there are", 1, 3},
        {"no id", HEAD + 7, 0},
        {"an id twice", HEAD + MEMBER + 7, 1},
        {"an unknown role", HEAD + MEMBER + ROLE, 2},
        {"no voter", HEAD + ROLE, MEMBER_LEARNER},
        {"no address", HEAD + MEMBER + ADDRESS - 1, 0},
        {"an address twice", HEAD + MEMBER + ADDRESS, 'a'},
        {"an address with a NUL", HEAD + MEMBER + ADDRESS + 2, 0},
        {"a length beyond the bound", HEAD + MEMBER + ADDRESS - 3, 0xff},
    };
    struct membership written = {0}, read;
    struct bytes_writer writer = {0};

    (void)state;
    add(&written, 1, MEMBER_VOTER, "a b c");
    add(&written, 2, MEMBER_LEARNER, "d b c");
    membership_encode(&written, &writer);
    assert_int_equal(writer.size, HEAD + 2 * MEMBER);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint8_t before = writer.data[cases[i].offset];
        writer.data[cases[i].offset] = cases[i].byte;
        if (decodes(&read, &writer, writer.size))
            fail_msg("accepted: %s", cases[i].what);
        writer.data[cases[i].offset] = before;
    }
    assert_true(decodes(&read, &writer, writer.size));
    bytes_writer_close(&writer);
}

/* MEMBERS_MAX members with addresses of MEMBER_ADDRESS_BYTES_MAX are a membership; one more of
 * either is none. */
static void test_members_and_addresses_are_bounded(void **state)
{
    struct membership written = {0}, read;
    struct bytes_writer writer = {0};

    (void)state;
    for (uint64_t id = 1; id <= MEMBERS_MAX; id++) {
        char address[MEMBER_ADDRESS_BYTES_MAX + 1];
        memset(address, 'x', sizeof address);
        address[sizeof address - 1] = '\0';
        address[0] = (char)('a' + id);
        add(&written, id, MEMBER_VOTER, address);
    }
    membership_encode(&written, &writer);
    assert_true(decodes(&read, &writer, writer.size));
    assert_same(&read, &written);

    bytes_put_u64(&writer, MEMBERS_MAX + 1);
    bytes_put_u8(&writer, MEMBER_VOTER);
    bytes_put_string(&writer, "one more");
    writer.data[1] = MEMBERS_MAX + 1;
    assert_false(decodes(&read, &writer, writer.size));
    bytes_writer_close(&writer);

    bytes_put_u8(&writer, 1);
    bytes_put_u8(&writer, 1);
    bytes_put_u64(&writer, 1);
    bytes_put_u8(&writer, MEMBER_VOTER);
    bytes_put_u32(&writer, MEMBER_ADDRESS_BYTES_MAX + 1);
    for (int i = 0; i <= MEMBER_ADDRESS_BYTES_MAX; i++)
        bytes_put_u8(&writer, 'x');
    assert_false(decodes(&read, &writer, writer.size));
    bytes_writer_close(&writer);
}

/* Learners count for nothing, and half of the voters is not more than half. */
static void test_a_majority_is_of_the_voters(void **state)
{
    static const size_t majorities[] = {1, 1, 2, 2, 3, 3};
    struct membership self = {0};

    (void)state;
    add(&self, 100, MEMBER_LEARNER, "learner");
    for (size_t voters = 0; voters < sizeof majorities / sizeof majorities[0]; voters++) {
        assert_int_equal(membership_voters(&self), voters);
        assert_int_equal(membership_majority(&self), majorities[voters]);
        char address[16];
        snprintf(address, sizeof address, "voter-%zu", voters);
        add(&self, 1 + voters, MEMBER_VOTER, address);
    }
}

static void test_a_member_is_found_by_its_id(void **state)
{
    const struct membership self = three();

    (void)state;
    assert_ptr_equal(membership_find(&self, 1), &self.members[1]);
    assert_ptr_equal(membership_find(&self, UINT64_MAX), &self.members[2]);
    assert_null(membership_find(&self, 2));
    assert_null(membership_find(&self, 0));
}

/* The words of an address, also of one that has not all of them. */
static void test_an_address_has_words(void **state)
{
    char text[MEMBER_ADDRESS_BYTES_MAX + 1];
    struct membership self = three();

    (void)state;
    const struct member *member = &self.members[0];
    assert_string_equal(member_word(member, MEMBER_NAME, text), "catalog-3");
    assert_string_equal(member_word(member, MEMBER_LINK, text), "tcp://127.0.0.1:8130");
    assert_string_equal(member_word(member, MEMBER_SNAPSHOTS, text), "tcp://127.0.0.1:8133");
    strcpy(self.members[0].address, "alone");
    assert_string_equal(member_word(member, MEMBER_NAME, text), "alone");
    assert_string_equal(member_word(member, MEMBER_LINK, text), "");
    assert_string_equal(member_word(member, MEMBER_SNAPSHOTS, text), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_the_bytes_are_stable),
        cmocka_unit_test(test_what_is_cut_off_is_refused),
        cmocka_unit_test(test_what_makes_no_sense_is_refused),
        cmocka_unit_test(test_members_and_addresses_are_bounded),
        cmocka_unit_test(test_a_majority_is_of_the_voters),
        cmocka_unit_test(test_a_member_is_found_by_its_id),
        cmocka_unit_test(test_an_address_has_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
