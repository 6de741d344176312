/* A catalog's file of any bytes: read without harm, and what is read can be written and read again.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/catalog_file.h"
#include "client/cli/csv.h"

/* Write a record; what is read from that must be the same. */
static void check_round_trip(const struct csv_reader *reader)
{
    struct bytes_writer out = {0};
    struct csv_reader again;
    for (size_t i = 0; i < reader->field_count; i++)
        csv_write(&out, csv_field(reader, i), i + 1 == reader->field_count);
    csv_reader_init(&again, out.data, out.size);
    /* A mark at the beginning of the first field would be skipped here. */
    again.at = 0;
    assert(csv_next(&again) == CSV_RECORD);
    assert(again.field_count == reader->field_count);
    for (size_t i = 0; i < reader->field_count; i++)
        assert(strcmp(csv_field(&again, i), csv_field(reader, i)) == 0);
    assert(csv_next(&again) == CSV_END);
    csv_reader_close(&again);
    bytes_writer_close(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct csv_reader reader;
    struct catalog_file file;
    char *error = NULL;
    csv_reader_init(&reader, data, size);
    while (csv_next(&reader) == CSV_RECORD)
        check_round_trip(&reader);
    csv_reader_close(&reader);
    if (catalog_file_read(&file, "fuzz", data, size, &error))
        catalog_file_close(&file);
    free(error);
    return 0;
}
