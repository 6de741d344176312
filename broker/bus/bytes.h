/* Integers and strings as bytes, in one stated order: big-endian, lengths
 * before contents. Used by every binary format of ours.
 *
 * A writer grows and never fails. A reader trusts nothing: a read past the end
 * returns zero, and marks the reader failed for good, so that a decoder can
 * read all its fields and ask once, at the end.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_BYTES_H
#define PYGMY_BUS_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes_writer {
    uint8_t *data;   /* the caller's to free() (bytes_writer_close), or to take */
    size_t size;     /* bytes written */
    size_t capacity; /* bytes held */
};

struct bytes_reader {
    const uint8_t *data; /* not owned */
    size_t size;         /* bytes that are left */
    bool failed;         /* a read went past the end, or bytes_reader_fail was called */
};

/* An empty writer: {0} will do as well. */
/* Free what it holds; it is empty and usable again. */
void bytes_writer_close(struct bytes_writer *self);
/* Have room for @size more bytes at once, where it is known that about so many will come. */
void bytes_reserve(struct bytes_writer *self, size_t size);
void bytes_put_u8(struct bytes_writer *self, uint8_t value);
void bytes_put_u16(struct bytes_writer *self, uint16_t value);
void bytes_put_u32(struct bytes_writer *self, uint32_t value);
void bytes_put_u64(struct bytes_writer *self, uint64_t value);
void bytes_put_i64(struct bytes_writer *self, int64_t value); /* two's complement */
void bytes_put_raw(struct bytes_writer *self, const void *data, size_t size);
/* u32 length, then the bytes; @size fits into the length (asserted). */
void bytes_put_blob(struct bytes_writer *self, const void *data, size_t size);
/* A NUL-terminated string as a blob without its NUL; NULL is written as "". */
void bytes_put_string(struct bytes_writer *self, const char *string);

/* Read @size bytes at @data, which outlive the reader; @data may be NULL when @size is 0. */
void bytes_reader_init(struct bytes_reader *self, const void *data, size_t size);
uint8_t bytes_get_u8(struct bytes_reader *self);
uint16_t bytes_get_u16(struct bytes_reader *self);
uint32_t bytes_get_u32(struct bytes_reader *self);
uint64_t bytes_get_u64(struct bytes_reader *self);
int64_t bytes_get_i64(struct bytes_reader *self);
/* @size bytes within the reader's data, or NULL when there are not so many. */
const uint8_t *bytes_get_raw(struct bytes_reader *self, size_t size);
/* A blob's bytes within the reader's data and its length in @size; NULL and 0 when it is cut off
 * or longer than @size_max. */
const uint8_t *bytes_get_blob(struct bytes_reader *self, size_t size_max, size_t *size);
/* A blob as a new NUL-terminated string, the caller's to free(); NULL when it is cut off, longer
 * than @size_max, or holds a NUL byte. */
char *bytes_get_string(struct bytes_reader *self, size_t size_max);
/* Mark it failed: a value made no sense. */
void bytes_reader_fail(struct bytes_reader *self);
/* True when nothing failed and nothing is left over. */
bool bytes_reader_done(const struct bytes_reader *self);

#endif
