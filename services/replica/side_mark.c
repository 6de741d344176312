/* See side_mark.h.
 *
 * The file holds two slots, a page apart, written in turn, so that a torn write spoils one mark
 * and leaves the one before it. Each slot, all integers big-endian:
 *
 *   offset  bytes
 *   0       8      magic "PYGYMARK"
 *   8       4      format version, 1; another one is refused (ERR_VERSION)
 *   12      8      sequence: the valid slot with the higher one counts
 *   20      8      index of the log's last entry
 *   28      8      its term
 *   36      8      current term
 *   44      8      vote
 *   52      4      CRC-32 (zlib) of the 52 bytes before it
 *
 * The rest of each page is zeros.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/side_mark.h"

#include <assert.h>
#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/bytes.h"
#include "broker/bus/err.h"
#include "services/replica/directory.h"

#define SIDE_MARK_MAGIC        "PYGYMARK"
#define SIDE_MARK_MAGIC_BYTES  8
#define SIDE_MARK_VERSION      1
#define SIDE_MARK_SLOTS        2
#define SIDE_MARK_SLOT_BYTES   4096 /* a page: slots are never in one atomic unit of a disk */
#define SIDE_MARK_RECORD_BYTES 56
#define SIDE_MARK_SUMMED_BYTES 52

struct side_mark {
    int fd;                       /* -1: none */
    uint64_t sequence;            /* of the newest mark; its slot is sequence % 2 */
    struct side_mark_state state; /* the newest mark */
};

static void side_mark_encode(const struct side_mark_state *state, uint64_t sequence,
                             struct bytes_writer *record)
{
    bytes_put_raw(record, SIDE_MARK_MAGIC, SIDE_MARK_MAGIC_BYTES);
    bytes_put_u32(record, SIDE_MARK_VERSION);
    bytes_put_u64(record, sequence);
    bytes_put_u64(record, state->last_index);
    bytes_put_u64(record, state->last_term);
    bytes_put_u64(record, state->term);
    bytes_put_u64(record, state->vote);
    assert(record->size == SIDE_MARK_SUMMED_BYTES);
    bytes_put_u32(record, (uint32_t)crc32(0, record->data, SIDE_MARK_SUMMED_BYTES));
}

/* Returns 0, ERR_CORRUPT or ERR_VERSION; results are untouched on failure. */
static int side_mark_decode(const uint8_t *record, uint64_t *sequence,
                            struct side_mark_state *state)
{
    struct bytes_reader reader;
    struct side_mark_state found;

    bytes_reader_init(&reader, record, SIDE_MARK_RECORD_BYTES);
    const uint8_t *magic = bytes_get_raw(&reader, SIDE_MARK_MAGIC_BYTES);
    uint32_t version = bytes_get_u32(&reader);
    uint64_t found_sequence = bytes_get_u64(&reader);
    found.last_index = bytes_get_u64(&reader);
    found.last_term = bytes_get_u64(&reader);
    found.term = bytes_get_u64(&reader);
    found.vote = bytes_get_u64(&reader);
    uint32_t checksum = bytes_get_u32(&reader);
    assert(bytes_reader_done(&reader));

    if (memcmp(magic, SIDE_MARK_MAGIC, SIDE_MARK_MAGIC_BYTES) != 0 ||
        checksum != (uint32_t)crc32(0, record, SIDE_MARK_SUMMED_BYTES))
        return ERR_CORRUPT;
    if (version != SIDE_MARK_VERSION)
        return ERR_VERSION;
    *sequence = found_sequence;
    *state = found;
    return 0;
}

/* Write the mark of @sequence into its slot. */
static int side_mark_put(int fd, const struct side_mark_state *state, uint64_t sequence)
{
    struct bytes_writer record = {0};
    off_t offset = (off_t)(sequence % SIDE_MARK_SLOTS) * SIDE_MARK_SLOT_BYTES;

    side_mark_encode(state, sequence, &record);
    ssize_t written = pwrite(fd, record.data, record.size, offset);
    bool whole = written == (ssize_t)record.size;
    if (written >= 0 && !whole)
        errno = ENOSPC; /* what a short write to a file means */
    bytes_writer_close(&record);
    return whole ? 0 : ERR_STORAGE;
}

/* Make the file at @path, whatever stood there, with both slots at zero; synced. */
static int side_mark_create_file(const char *path)
{
    const struct side_mark_state zeros = {0};
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool done = fd >= 0 && ftruncate(fd, SIDE_MARK_SLOTS * SIDE_MARK_SLOT_BYTES) == 0 &&
                side_mark_put(fd, &zeros, 0) == 0 && side_mark_put(fd, &zeros, 1) == 0 &&
                fsync(fd) == 0;
    int saved_errno = errno;

    if (fd >= 0)
        close(fd);
    errno = saved_errno;
    return done ? 0 : ERR_STORAGE;
}

int side_mark_create(const char *path, char **error)
{
    /* Under another name first: a crash in between must not leave half a file, which the next
     * start would have to call damaged. */
    char *temporary = zsys_sprintf("%s.new", path);
    int result = side_mark_create_file(temporary);

    if (result == 0 && rename(temporary, path) != 0)
        result = ERR_STORAGE;
    if (result != 0)
        *error = zsys_sprintf("%s: %s", path, strerror(errno));
    free(temporary);
    return result == 0 ? directory_sync_parent(path, error) : result;
}

/* Take the newer of the valid marks of an open file. */
static int side_mark_load(struct side_mark *self, const char *path, char **error)
{
    int result = ERR_CORRUPT;

    for (int slot = 0; slot < SIDE_MARK_SLOTS; slot++) {
        uint8_t record[SIDE_MARK_RECORD_BYTES] = {0};
        uint64_t sequence;
        struct side_mark_state state;
        if (pread(self->fd, record, sizeof record, (off_t)slot * SIDE_MARK_SLOT_BYTES) < 0) {
            *error = zsys_sprintf("%s: %s", path, strerror(errno));
            return ERR_STORAGE;
        }
        int decoded = side_mark_decode(record, &sequence, &state);
        if (decoded == ERR_VERSION)
            result = ERR_VERSION;
        if (decoded != 0 || result == ERR_VERSION)
            continue;
        if (result != 0 || sequence > self->sequence) {
            self->sequence = sequence;
            self->state = state;
        }
        result = 0;
    }
    if (result == ERR_VERSION)
        *error = zsys_sprintf("%s was written by a newer version of this program", path);
    else if (result == ERR_CORRUPT)
        *error = zsys_sprintf("%s holds no valid mark", path);
    return result;
}

int side_mark_open(const char *path, struct side_mark **self_p, char **error)
{
    struct side_mark *self = alloc_zero(sizeof *self);
    int result = ERR_STORAGE;

    self->fd = open(path, O_RDWR | O_CLOEXEC);
    if (self->fd >= 0)
        result = side_mark_load(self, path, error);
    else {
        result = errno == ENOENT ? ERR_NOT_FOUND : ERR_STORAGE;
        *error = zsys_sprintf("%s: %s", path, strerror(errno));
    }
    if (result == 0)
        *self_p = self;
    else
        side_mark_close(&self);
    return result;
}

void side_mark_close(struct side_mark **self_p)
{
    struct side_mark *self = *self_p;

    if (self == NULL)
        return;
    if (self->fd >= 0)
        close(self->fd);
    free(self);
    *self_p = NULL;
}

const struct side_mark_state *side_mark_read(const struct side_mark *self)
{
    return &self->state;
}

int side_mark_write(struct side_mark *self, const struct side_mark_state *state)
{
    int result = side_mark_put(self->fd, state, self->sequence + 1);

    if (result == 0) {
        self->sequence++;
        self->state = *state;
    }
    return result;
}

int side_mark_write_synced(struct side_mark *self, const struct side_mark_state *state)
{
    /* Both slots: after a power failure that tears the newer one, the older must be as low. */
    for (int slot = 0; slot < SIDE_MARK_SLOTS; slot++) {
        int result = side_mark_write(self, state);
        if (result != 0)
            return result;
    }
    return fdatasync(self->fd) == 0 ? 0 : ERR_STORAGE;
}
