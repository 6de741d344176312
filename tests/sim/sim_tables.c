/* See sim_tables.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_tables.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"

struct sim_tables {
    char *path;
    sqlite3_file *file;
};

static sqlite3_vfs *memory(void)
{
    sqlite3_vfs *vfs;

    /* Before its first use in this process, else it changes nothing: one thread is all there is. */
    (void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    (void)sqlite3_initialize();
    vfs = sqlite3_vfs_find("memdb");
    assert(vfs != NULL);
    if (sqlite3_vfs_find(NULL) != vfs)
        (void)sqlite3_vfs_register(vfs, 1);
    return vfs;
}

struct sim_tables *sim_tables_new(const char *path, const struct sim_image *image)
{
    struct sim_tables *self = alloc_zero(sizeof *self);
    sqlite3_vfs *vfs = memory();
    int code;

    self->path = alloc_copy(path, strlen(path));
    self->file = alloc_zero((size_t)vfs->szOsFile);
    code = vfs->xOpen(vfs, self->path, self->file,
                      SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    if (code == SQLITE_OK && image != NULL)
        code = self->file->pMethods->xWrite(self->file, image->data, (int)image->size, 0);
    assert(code == SQLITE_OK);
    return self;
}

void sim_tables_destroy(struct sim_tables **self_p)
{
    struct sim_tables *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    self->file->pMethods->xClose(self->file);
    free(self->file);
    free(self->path);
    free(self);
}

const char *sim_tables_path(const struct sim_tables *self)
{
    return self->path;
}

struct sim_image *sim_tables_save(struct sim_tables *self)
{
    struct sim_image *image;
    sqlite3_int64 size = 0;
    int code = self->file->pMethods->xFileSize(self->file, &size);

    assert(code == SQLITE_OK);
    image = sim_image_new((size_t)size);
    code = self->file->pMethods->xRead(self->file, image->data, (int)size, 0);
    assert(code == SQLITE_OK);
    return image;
}
