/* Founding a member of a group: see replica.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/membership.h"
#include "services/replica/replica_internal.h"

int replica_check_options(const struct replica_options *options, char **error)
{
    if (options->id >= 1 && options->id <= INT64_MAX)
        return 0;
    *error = zsys_sprintf("%s: a replica's id is 1 to %" PRId64, options->name, INT64_MAX);
    return ERR_INVALID;
}

int replica_open_directory(const struct replica_options *options, struct directory **directory,
                           char **error)
{
    struct directory_identity identity = {
        .uuid = options->uuid, .group = options->group, .replica_id = options->id};
    int64_t free_bytes_min =
        options->free_bytes_min > 0 ? options->free_bytes_min : DISK_FREE_BYTES_MIN;

    return directory_open(options->directory, &identity, free_bytes_min, directory, error);
}

void replica_name_log(const struct replica_options *options, const struct directory *directory,
                      struct log_store_options *store)
{
    *store = (struct log_store_options){
        .path = directory_file(directory, DIRECTORY_LOG),
        .mark_path = directory_file(directory, DIRECTORY_MARK),
        .vfs = options->vfs,
        .identity = {options->uuid, options->group, options->id},
        .check = true,
    };
}

void replica_unname_log(struct log_store_options *store)
{
    free((char *)(uintptr_t)store->path);
    free((char *)(uintptr_t)store->mark_path);
}

int replica_found(const struct replica_options *options, const struct membership *membership,
                  char **error)
{
    struct log_store_options store = {0};
    struct directory *directory = NULL;
    struct log_store *log = NULL;

    assert(membership_find(membership, options->id) != NULL);
    int result = replica_check_options(options, error);
    if (result == 0)
        result = replica_open_directory(options, &directory, error);
    if (result == 0) {
        replica_name_log(options, directory, &store);
        store.origin = LOG_STORE_FOUND;
        store.founders = membership;
        result = log_store_open(&store, &log, error);
    }
    log_store_close(&log);
    replica_unname_log(&store);
    directory_close(&directory);
    return result;
}
