/* See snapshot_mark.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/snapshot_mark.h"

void snapshot_mark_encode(const struct snapshot_mark *self, struct bytes_writer *writer)
{
    bytes_put_u64(writer, self->index);
    bytes_put_u64(writer, self->term);
    bytes_put_i64(writer, self->log_time_ms);
    bytes_put_u64(writer, self->membership_index);
    bytes_put_u64(writer, self->bytes);
    bytes_put_u32(writer, self->checksum);
    membership_encode(&self->membership, writer);
}

static bool snapshot_mark_makes_sense(const struct snapshot_mark *self)
{
    return self->index >= 1 && self->index <= INT64_MAX && self->term >= 1 &&
           self->term <= INT64_MAX && self->log_time_ms >= 0 && self->membership_index >= 1 &&
           self->membership_index <= self->index && self->bytes >= 1 && self->bytes <= INT64_MAX;
}

void snapshot_mark_decode(struct snapshot_mark *self, struct bytes_reader *reader)
{
    self->index = bytes_get_u64(reader);
    self->term = bytes_get_u64(reader);
    self->log_time_ms = bytes_get_i64(reader);
    self->membership_index = bytes_get_u64(reader);
    self->bytes = bytes_get_u64(reader);
    self->checksum = bytes_get_u32(reader);
    membership_decode(&self->membership, reader);
    if (!snapshot_mark_makes_sense(self))
        bytes_reader_fail(reader);
}

bool snapshot_mark_same(const struct snapshot_mark *self, const struct snapshot_mark *other)
{
    return self->index == other->index && self->term == other->term &&
           self->bytes == other->bytes && self->checksum == other->checksum;
}
