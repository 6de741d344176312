/* See membership.h. What is written:
 *
 *   bytes
 *   1      format, 1; another one is refused
 *   1      count of the members, 1 to MEMBERS_MAX
 *   ...    of each, in order of their positions: id u64, role u8, address (u32 length, then bytes)
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/membership.h"

#include <assert.h>
#include <string.h>

#define MEMBERSHIP_FORMAT 1

const struct member *membership_find(const struct membership *self, uint64_t id)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->members[i].id == id)
            return &self->members[i];
    return NULL;
}

size_t membership_voters(const struct membership *self)
{
    size_t voters = 0;
    for (size_t i = 0; i < self->count; i++)
        voters += self->members[i].role == MEMBER_VOTER;
    return voters;
}

size_t membership_majority(const struct membership *self)
{
    return membership_voters(self) / 2 + 1;
}

const char *member_word(const struct member *self, enum member_word word, char *text)
{
    const char *at = self->address;
    for (int i = 0; i < (int)word; i++) {
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
    size_t size = strcspn(at, " ");
    memcpy(text, at, size);
    text[size] = '\0';
    return text;
}

void membership_encode(const struct membership *self, struct bytes_writer *writer)
{
    assert(self->count >= 1 && self->count <= MEMBERS_MAX);
    bytes_put_u8(writer, MEMBERSHIP_FORMAT);
    bytes_put_u8(writer, (uint8_t)self->count);
    for (size_t i = 0; i < self->count; i++) {
        bytes_put_u64(writer, self->members[i].id);
        bytes_put_u8(writer, (uint8_t)self->members[i].role);
        bytes_put_string(writer, self->members[i].address);
    }
}

static bool member_decode(struct member *self, struct bytes_reader *reader)
{
    size_t size;
    self->id = bytes_get_u64(reader);
    const uint8_t role = bytes_get_u8(reader);
    const uint8_t *address = bytes_get_blob(reader, MEMBER_ADDRESS_BYTES_MAX, &size);
    if (address == NULL || size == 0 || memchr(address, '\0', size) != NULL)
        return false;
    memcpy(self->address, address, size);
    self->role = role == MEMBER_VOTER ? MEMBER_VOTER : MEMBER_LEARNER;
    return self->id != 0 && (role == MEMBER_VOTER || role == MEMBER_LEARNER);
}

/* Whether a member before @member has something of it that only one may have. */
static bool member_is_double(const struct membership *self, const struct member *member)
{
    for (const struct member *other = self->members; other < member; other++)
        if (other->id == member->id || strcmp(other->address, member->address) == 0)
            return true;
    return false;
}

static bool membership_decode_members(struct membership *self, struct bytes_reader *reader)
{
    if (bytes_get_u8(reader) != MEMBERSHIP_FORMAT)
        return false;
    const size_t count = bytes_get_u8(reader);
    if (count < 1 || count > MEMBERS_MAX)
        return false;
    for (; self->count < count; self->count++) {
        struct member *member = &self->members[self->count];
        if (!member_decode(member, reader) || member_is_double(self, member))
            return false;
    }
    return membership_voters(self) > 0;
}

void membership_decode(struct membership *self, struct bytes_reader *reader)
{
    *self = (struct membership){0};
    if (membership_decode_members(self, reader))
        return;
    *self = (struct membership){0};
    bytes_reader_fail(reader);
}
