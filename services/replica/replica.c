/* The life of a replica: see replica.h, and replica_internal.h for its parts.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/replica.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/fatal.h"
#include "services/replica/replica_internal.h"

/* ---- Opening ------------------------------------------------------------------------------- */

/* An empty directory becomes a member's by founding or by joining, never by itself. */
static int replica_check_founded(const struct replica_options *options, char **error)
{
    if (options->join || directory_holds_log(options->directory))
        return 0;
    *error =
        zsys_sprintf("there is no log in %s: a new group is founded first (--found), once; who "
                     "comes to a group later joins it (--join) under an id of its own, also "
                     "who has lost its disk (scripts/cluster reseed %s)",
                     options->directory, options->name);
    return ERR_NOT_FOUND;
}

/* Open the log, for reading here and for writing in the disk thread. */
static int replica_open_log(struct replica *self, const struct replica_options *options,
                            char **error)
{
    struct log_store_options store;

    replica_name_log(options, self->directory, &store);
    store.origin = options->join ? LOG_STORE_MAKE : LOG_STORE_EXISTING;
    int result = log_store_open(&store, &self->reader, error);
    store.origin = LOG_STORE_EXISTING;
    if (result == 0)
        result = disk_thread_new(&store, self->log, &self->disk, error);
    replica_unname_log(&store);
    return result;
}

/* What an earlier process wrote and died before its sync reads back as well: term and vote, written
 * once more, sync all that stands before them. Nothing is said to anybody before. */
static void replica_sync_log(struct replica *self)
{
    struct log_state log = log_store_state(self->reader);
    struct disk_batch batch = {.term = log.term, .vote = log.vote};

    disk_thread_put(self->disk, &batch);
    disk_thread_wait(self->disk);
}

/* The machine begins empty, or with a snapshot's tables; the log makes it what it was. */
static int replica_open_machine(struct replica *self, char **error)
{
    char *path = directory_file(self->directory, DIRECTORY_STATE);

    int result = replica_restore(self, error);
    if (result == 0)
        result = self->machine.open(self->machine.self, path, error);
    free(path);
    /* Not all entries that the snapshot stands for need have left anything in the tables. */
    assert(result != 0 || self->machine.applied(self->machine.self) <= self->applied_index);
    return result;
}

static uint64_t replica_random(void)
{
    uint64_t random = (uint64_t)clock_us(); /* at least that, before the kernel has entropy */

    (void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
    return random;
}

static int replica_open_consensus(struct replica *self, const struct replica_options *options,
                                  uint64_t start_id, char **error)
{
    struct consensus_options consensus = {
        .id = options->id,
        .start_id = start_id,
        .address = options->address != NULL ? options->address : options->name,
        .seed = (unsigned)start_id,
        .election_ms = self->election_ms,
        .heartbeat_ms = options->heartbeat_ms > 0 ? options->heartbeat_ms : ELECTION_BEAT_MS,
        .snapshot_retry_ms = SNAPSHOT_RETRY_MS,
        .in_flight_max = PEER_IN_FLIGHT_MAX,
        .pre_vote = true,
    };

    return replica_start(self, &consensus, clock_ms(), error);
}

static int replica_open_link(struct replica *self, const struct replica_options *options,
                             uint64_t start_id, char **error)
{
    struct peer_link_options link = {
        .endpoint = options->peer,
        .group = options->group,
        .uuid = options->uuid,
        .id = options->id,
        .start_id = start_id,
        .relays = options->relays,
        .relay_count = options->relay_count,
        .metrics = options->metrics,
        .on_message = replica_on_message,
        .on_turn = replica_on_messages,
        .on_subscribers = replica_on_subscribers,
        .arg = self,
    };

    if (options->peer == NULL)
        return 0;
    self->link = peer_link_new(self->loop, &link);
    if (self->link != NULL)
        return 0;
    *error = zsys_sprintf("%s can't be bound: %s", options->peer, strerror(errno));
    return ERR_STORAGE;
}

/* All that may fail, in order. */
static int replica_open_all(struct replica *self, const struct replica_options *options,
                            char **error)
{
    uint64_t start_id = replica_random();

    int result = replica_check_options(options, error);
    if (result == 0)
        result = replica_check_founded(options, error);
    if (result == 0)
        result = replica_open_directory(options, &self->directory, error);
    if (result == 0)
        result = replica_open_log(self, options, error);
    if (result == 0)
        replica_sync_log(self);
    if (result == 0)
        result = replica_open_machine(self, error);
    if (result == 0)
        result = replica_open_consensus(self, options, start_id, error);
    if (result == 0)
        replica_open_digests(self);
    if (result == 0)
        result = replica_open_snapshots(self, options, error);
    return result == 0 ? replica_open_link(self, options, start_id, error) : result;
}

static struct replica *replica_new(zloop_t *loop, const struct replica_options *options,
                                   const struct replica_machine *machine)
{
    struct replica *self = alloc_zero(sizeof *self);

    self->loop = loop;
    self->log = options->log;
    self->machine = *machine;
    self->on_lead = options->on_lead;
    self->on_news = options->on_news;
    self->arg = options->arg;
    self->id = options->id;
    self->name = alloc_copy(options->name, strlen(options->name));
    self->election_ms = options->election_ms > 0 ? options->election_ms : ELECTION_MS;
    self->leader_heard_ms = -1;
    self->timer_ms = INT64_MAX;
    self->tick_ms = clock_ms() + LOG_TIME_TICK_MS;
    self->read_deadline_ms = INT64_MAX;
    self->read_index = UINT64_MAX;
    self->members_changed = true;
    if (options->contacts != NULL)
        self->contacts = *options->contacts;
    self->append = alloc_zero(APPEND_COUNT_MAX * sizeof self->append[0]);
    self->applied = alloc_zero(APPEND_COUNT_MAX * sizeof self->applied[0]);
    log_time_init(&self->time);
    replica_series_make(&self->series, options->metrics);
    return self;
}

int replica_open(zloop_t *loop, const struct replica_options *options,
                 const struct replica_machine *machine, struct replica **self_p, char **error)
{
    struct replica *self = replica_new(loop, options, machine);

    int result = replica_open_all(self, options, error);
    if (result != 0) {
        replica_close(&self);
        return result;
    }
    self->more = alarm_new(loop, replica_on_more, self);
    self->timer = alarm_new(loop, replica_on_timer, self);
    zloop_reader(loop, disk_thread_socket(self->disk), replica_on_disk, self);
    /* What follows from the start waits for the loop: callbacks find the replica open. */
    replica_settle(self);
    alarm_set(self->more, 0);
    *self_p = self;
    return 0;
}

/* ---- Closing ------------------------------------------------------------------------------- */

/* Wait for what is being written, and tell the others of it. */
static void replica_drain_disk(struct replica *self)
{
    while (disk_thread_pending(self->disk) > 0 || self->unwritten_first != NULL) {
        replica_hand_over(self);
        replica_persisted(self, disk_thread_wait(self->disk));
    }
}

/* Give everybody who waits an answer: what is committed by now is applied. */
static void replica_answer_all(struct replica *self)
{
    replica_drain_disk(self);
    replica_drop_change(self);
    replica_drop_submissions(self);
    while (self->under_way.count > 0)
        replica_apply(self);
    replica_drop_reads(self);
}

void replica_close(struct replica **self_p)
{
    struct replica *self = *self_p;

    if (self == NULL)
        return;
    assert(!self->turning);
    if (replica_is_leaving(self))
        _exit(FATAL_EXIT_STATUS);
    self->closing = true;
    if (self->timer != NULL) {
        replica_answer_all(self);
        zloop_reader_end(self->loop, disk_thread_socket(self->disk));
    }
    alarm_destroy(&self->more);
    alarm_destroy(&self->timer);
    replica_close_snapshots(self);
    peer_link_destroy(&self->link);
    consensus_destroy(&self->consensus);
    disk_thread_destroy(&self->disk);
    log_store_close(&self->reader);
    directory_close(&self->directory);
    free(self->name);
    free(self->append);
    free(self->applied);
    free(self);
    *self_p = NULL;
}
