/* What a snapshot is, without its bytes: where in the log it stands, who belonged to the group then,
 * and what its file holds. Pure.
 *
 * A snapshot is a copy of the machine's tables as they were when the entry at its index had been
 * applied. Each replica makes its own; the bytes differ from one replica to the next, the tables in
 * them don't.
 *
 * As bytes, integers big-endian:
 *
 *   index u64, term u64, log time i64, index of the membership u64, bytes of the file u64,
 *   checksum of the file u32, membership (membership.h)
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_SNAPSHOT_MARK_H
#define PYGMY_REPLICA_SNAPSHOT_MARK_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/bus/bytes.h"
#include "services/replica/membership.h"
#include "services/replica/replica.h"

struct snapshot_mark {
    replica_index index;          /* of the last entry in it; 0: no snapshot */
    replica_term term;            /* of that entry */
    int64_t log_time_ms;          /* of that entry */
    struct membership membership; /* in force at that entry */
    replica_index membership_index;
    uint64_t bytes;    /* of its file */
    uint32_t checksum; /* CRC-32 of the file */
};

/* Write it; read it. A reader whose mark makes no sense (no index, no term, a membership above the
 * index or without members) is marked failed, and the mark is then not to be used. */
void snapshot_mark_encode(const struct snapshot_mark *self, struct bytes_writer *writer);
void snapshot_mark_decode(struct snapshot_mark *self, struct bytes_reader *reader);

/* Whether both speak of the same file. */
bool snapshot_mark_same(const struct snapshot_mark *self, const struct snapshot_mark *other);

#endif
