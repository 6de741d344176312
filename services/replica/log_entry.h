/* One entry of the log, its checksum, and the rules that hold from one entry
 * to the next. Pure.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_LOG_ENTRY_H
#define PYGMY_REPLICA_LOG_ENTRY_H

#include <stddef.h>
#include <stdint.h>

#include "services/replica/replica.h"
#include "services/replica/side_mark.h"

/* Numbers are on disk: never renumbered. */
enum log_entry_kind {
    LOG_ENTRY_COMMAND = 1,    /* of the machine */
    LOG_ENTRY_BARRIER = 2,    /* a leader's own: begins its term, or carries nothing but the time */
    LOG_ENTRY_MEMBERSHIP = 3, /* who belongs to the group from here on (membership.h) */
};

struct log_entry {
    replica_index index;
    replica_term term;
    enum log_entry_kind kind;
    int64_t log_time_ms; /* see replica.h, R4 */
    int64_t wall_ms;     /* UTC; for people only */
    const uint8_t *data; /* the command; who owns it is said where an entry is handed over */
    size_t size;         /* at most ENTRY_BYTES_MAX */
};

/* What the log has come to. It may begin behind a snapshot (snapshot_mark.h), which stands for all
 * entries up to its index; some of these may be there as well, for members that lack them. */
struct log_state {
    replica_term term;            /* current; 0: none yet */
    uint64_t vote;                /* replica voted for in that term; 0: none */
    replica_index snapshot_index; /* 0: no snapshot */
    replica_term snapshot_term;   /* of the entry at that index */
    int64_t snapshot_log_time_ms; /* of that entry */
    replica_index first_index;    /* 0: no entries */
    replica_index last_index;     /* without entries: the snapshot's */
    replica_term last_term;       /* of the last entry, or of the snapshot */
    int64_t last_log_time_ms;     /* the same */
};

/* CRC-32 (zlib) over: index u64, term u64, kind u8, log time i64, wall time i64, length of the
 * command u32, the command; integers big-endian. */
uint32_t log_entry_checksum(const struct log_entry *entry);

/* CRC-32 (zlib) over: term u64, vote u64; big-endian. */
uint32_t log_vote_checksum(replica_term term, uint64_t vote);

/* CRC-32 (zlib) over the mark as bytes. */
uint32_t log_snapshot_checksum(const void *data, size_t size);

/* Whether @entry may stand after the last one of @state: next index, a term that is no lower and not
 * above the current one, no lower time. Where there are no entries yet, the first may be any up to
 * the one that follows the snapshot. The entry at the snapshot's index is the one that the snapshot
 * says. Returns NULL, or what is wrong with it. */
const char *log_entry_misplaced(const struct log_state *state, const struct log_entry *entry);

/* Whether a log lacks what its side mark says was durable (side_mark.h, M2). @term is that of the
 * log's entry at mark->last_index, 0 when there is no such entry: then the snapshot has to cover it.
 * Returns NULL, or what it lacks. */
const char *log_state_lost(const struct log_state *state, const struct side_mark_state *mark,
                           replica_term term);

/* Make @entry the last one of @state. */
void log_state_add(struct log_state *state, const struct log_entry *entry);

/* A log without entries, behind the snapshot of @state if there is one. */
void log_state_clear(struct log_state *state);

#endif
