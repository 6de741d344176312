/* What is said on the snapshot channel. Pure.
 *
 * On the wire: docs/protocol.md, "The snapshot channel". One frame, integers big-endian:
 *
 *   request   format u8 (SNAPSHOT_FORMAT), kind u8 (1), cluster uuid 16 bytes, index u64, term u64,
 *             checksum of the file u32, offset u64, size u32, CRC-32 over all before it
 *   chunk     format u8, kind u8 (2), index u64, term u64, checksum of the file u32, offset u64,
 *             the bytes (u32 length first), CRC-32 over all before it
 *   refusal   format u8, kind u8 (3), index u64, term u64, checksum of the file u32, code u16 (err.h),
 *             CRC-32 over all before it
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_SNAPSHOT_MESSAGE_H
#define PYGMY_REPLICA_SNAPSHOT_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "broker/bus/bytes.h"
#include "broker/bus/limits.h"
#include "services/replica/replica.h"

#define SNAPSHOT_FORMAT     1
#define SNAPSHOT_UUID_BYTES 16
/* None is longer: a chunk, and what stands around it. */
#define SNAPSHOT_MESSAGE_BYTES_MAX (SNAPSHOT_CHUNK_BYTES + 64)

/* Numbers are on the wire: never renumbered. A refusal's code is ERR_NOT_FOUND (no such snapshot, or
 * not any more), ERR_BUSY (others fetch now) or ERR_STORAGE (it can't be read). */
enum snapshot_message_kind {
    SNAPSHOT_REQUEST = 1, /* a piece of the file, please */
    SNAPSHOT_CHUNK = 2,   /* here it is; shorter than asked for: the file ends there */
    SNAPSHOT_REFUSAL = 3,
};

struct snapshot_message {
    enum snapshot_message_kind kind;
    uint8_t uuid[SNAPSHOT_UUID_BYTES]; /* of the cluster; in a request */
    replica_index index;
    replica_term term;
    uint32_t checksum;   /* of the whole file */
    uint64_t offset;     /* in a request and a chunk */
    uint32_t size;       /* 1 to SNAPSHOT_CHUNK_BYTES; the bytes wanted, or here */
    const uint8_t *data; /* of a chunk; not owned */
    int code;            /* of a refusal */
};

/* Set the cluster: 32 hexadecimal digits. */
void snapshot_message_set_uuid(struct snapshot_message *self, const char *uuid);

void snapshot_message_encode(const struct snapshot_message *self, struct bytes_writer *writer);
/* Read a message, trusting nothing. The data points into @data. Returns 0, ERR_MALFORMED or
 * ERR_VERSION (another format). */
int snapshot_message_decode(struct snapshot_message *self, const void *data, size_t size);

#endif
