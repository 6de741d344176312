/* A replicated log: submit a command, have committed ones applied in order,
 * read what they have made.
 *
 * This is the interface the services are written against. Underneath it is the pure driver of
 * consensus (consensus.h); this is the shell around it, which owns the loop's side: the disk
 * thread, the link to the other members, the machine, who waits for what. A group of one member is
 * a group whose majority is itself.
 *
 * Leadership comes and goes. A leader serves (replica_is_leader, machine->lead) from the moment
 * that its own barrier, the first entry of its term, is applied, until it learns that it leads no
 * more; one that has not learnt it yet can commit nothing, and no read of it is confirmed.
 *
 * Invariants
 *   R1  a command is applied only when it is committed, and durable here, in the order of the log,
 *       exactly once in the life of the process and of the machine's own store, which begins empty.
 *   R2  a submission's callback gets OK only after the entry is durable on a majority and applied
 *       here.
 *   R3  terms never fall; the log index of a command is never given to another command once it is
 *       committed.
 *   R4  log time never falls from one entry to the next, and never runs faster than real time. It
 *       is that of the last entry of earlier terms plus the CLOCK_BOOTTIME that passed at the
 *       leader since it applied its own barrier; no wall clock (log_time.h).
 *   R5  a read (replica_read()) is served from a state that holds every write acknowledged before
 *       the read began.
 *   R6  a replica that learns that its tables are not those of a majority (digest_vote.h) serves
 *       nothing from them any more, and ends the process (status 5); a leader first has another one
 *       lead, for an election timeout at most.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_REPLICA_H
#define PYGMY_REPLICA_REPLICA_H

#include <czmq.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bus/feed.h"
#include "broker/bus/log.h"
#include "broker/bus/metrics.h"

typedef uint64_t replica_term;  /* from 1; 0: none */
typedef uint64_t replica_index; /* log index, from 1; 0: none */

/* A committed command, as the machine sees it. */
struct replica_entry {
    replica_index index;
    replica_term term;
    int64_t log_time_ms; /* since the cluster's first entry; decides */
    int64_t wall_ms;     /* UTC at the leader; for people only */
    const uint8_t *data; /* the command; valid during the call */
    size_t size;
};

/* The state machine of a service. Apply is deterministic: it sees nothing but the entries and its
 * own tables. Any failure of its own storage ends the process (status 5): half an apply must never
 * be seen. */
struct replica_machine {
    void *self;
    /* Open the machine's own store at @path, where nothing is: the replica has removed what an
     * earlier process left there (directory.h). Returns 0 or a code, with *error set. */
    int (*open)(void *self, const char *path, char **error);
    /* Close it; open() may follow, with another file in its place. NULL: not possible (tests). */
    void (*close)(void *self);
    /* The digest of all that the tables hold (digest.h): equal at two replicas that have applied
     * the same entries. NULL: there is none. */
    uint64_t (*digest)(void *self);
    /* Of the digest: those of two formats are not compared. NULL: there is one. */
    uint32_t (*digest_format)(void *self);
    /* Count the rows of a file that open() is about to be given, for the digest: as long as that
     * takes, in another thread, without the machine and while nobody has the file open. NULL:
     * open() reads all rows itself, and holds the loop meanwhile. Returns 0 or a code, with *error
     * set. */
    int (*count)(const char *path, uint64_t *rows, char **error);
    /* What count() found in the file that is opened next; NULL as count is. */
    void (*counted)(void *self, uint64_t rows);
    /* The index of the last entry in the machine's tables, 0 when they are empty. */
    replica_index (*applied)(void *self);
    /* Begin and commit the transaction around a batch of applies. */
    void (*begin)(void *self);
    void (*commit)(void *self);
    /* Apply one command. The result is opaque here and handed to who submitted it, else (when it
     * is not NULL) to release(); NULL is a result too. */
    void *(*apply)(void *self, const struct replica_entry *entry);
    void (*release)(void *self, void *result);
    /* The group's leadership was gained (true, after the leader's own barrier is applied) or lost
     * at this replica. Not called when the replica is closed. */
    void (*lead)(void *self, bool leader, replica_term term);
};

struct membership;
struct digest_marks;

struct replica_options {
    const char *name;      /* "catalog-1" */
    const char *group;     /* "catalog" */
    const char *directory; /* founded, or to be joined with; locked while the replica lives */
    const char *uuid;      /* of the cluster: data of another one is refused (ERR_MISMATCH) */
    uint64_t id;           /* of this replica in the group, from 1 */
    const char *peer;      /* endpoint to bind the link to the other members at; NULL: no link, for
                              * a group of one */
    const char *address;   /* own, as in struct member; NULL where there is no link */
    const char *snapshots; /* endpoint to bind at what gives out snapshots; NULL: nothing does */
    const char *const *relays; /* the brokers' endpoints for publishers; read during the call */
    size_t relay_count;
    bool join; /* an empty directory is no error: it waits to be added to its group */
    /* Who is known to be in the group, itself or not: connected to as long as this replica has no
     * vote by its own log, which may not know those yet who lead now. NULL: nobody; copied. */
    const struct membership *contacts;
    unsigned election_ms;    /* 0: ELECTION_MS */
    unsigned heartbeat_ms;   /* 0: ELECTION_BEAT_MS */
    struct log *log;         /* or NULL */
    struct metrics *metrics; /* or NULL */
    /* Told of leadership after the machine was, at the same occasions; NULL: nobody. Called from
     * within the replica: it must not close it. */
    void (*on_lead)(void *arg, bool leader, replica_term term);
    /* Told when entries were applied, at the end of that turn, and when the subscribers to what is
     * published, stream by stream, have come or gone; NULL: nobody. Like on_lead. */
    void (*on_news)(void *arg);
    void *arg;
    uint64_t snapshot_entries; /* after so many a snapshot is taken; 0: SNAPSHOT_ENTRIES */
    const char *vfs;           /* SQLite's VFS for the log, by name; NULL: the default */
    int64_t free_bytes_min;    /* below it no more writes (ERR_DISK_LOW); 0: DISK_FREE_BYTES_MIN */
};

struct replica;

/* @code    OK: @result is what apply returned, now the callee's. Else @result is NULL: ERR_UNKNOWN
 *          when the command had been appended to the log and leadership was lost before it was
 *          known to be committed; ERR_NOT_LEADER when it never was appended, and so has no effect
 * @index   of the entry when OK, else 0 */
typedef void replica_done_fn(void *arg, int code, void *result, replica_index index);
/* @code    OK, or ERR_UNAVAILABLE: the deadline passed, or the replica is closing */
typedef void replica_read_fn(void *arg, int code);

/* Found a member of a new group: make the directory, with a log whose first entry, in term 1, is
 * @membership: the same at all founding members. Once in the life of a group: an empty directory
 * never becomes a voter by itself, or a member that lost its disk would vote a second time.
 *
 * Where there is a log with anything in it already, nothing is done.
 *
 * @error  on failure a sentence for the operator, the caller's to free()
 *
 * Returns 0, or as replica_open(). */
int replica_found(const struct replica_options *options, const struct membership *membership,
                  char **error);

/* Lock and check the directory, open and check the log, start the disk thread and the link. What
 * the machine lacks is applied, in turns of the loop, as the log's entries become known to be
 * committed; who leads is found out in the loop, too. A write that fails ends the process
 * (disk_thread.h).
 *
 * @error  on failure a sentence for the operator, the caller's to free()
 *
 * Returns 0, ERR_LOCKED, ERR_MISMATCH, ERR_CORRUPT, ERR_VERSION, ERR_STORAGE, ERR_INVALID, or
 * ERR_NOT_FOUND (neither founded nor to join). */
int replica_open(zloop_t *loop, const struct replica_options *options,
                 const struct replica_machine *machine, struct replica **self_p, char **error);

/* Finish what is being written, apply and call back what is then committed; call back the rest, see
 * replica_done_fn; release the lock. What callbacks submit meanwhile is refused. Not from inside a
 * callback of the replica (asserted). Accepts NULL. */
void replica_close(struct replica **self_p);

/* Submit a command; it is copied. Nothing is written before replica_flush(), so that everything
 * that arrived in one turn of the loop is one append, one message to each member and one fsync;
 * @done is never called from inside replica_submit(), and must not close the replica. It is
 * appended in the term in which this replica leads now, or never: what still waits when that ends
 * is called back with ERR_NOT_LEADER, also when this replica leads again by then.
 *
 * Returns 0, or a definite refusal with no effect: ERR_NOT_LEADER, ERR_BUSY (SUBMIT_COUNT_MAX or
 * SUBMIT_BYTES_MAX are waiting), ERR_TOO_LARGE (ENTRY_BYTES_MAX), ERR_DISK_LOW. */
int replica_submit(struct replica *self, const void *command, size_t size, replica_done_fn *done,
                   void *arg);

/* Append what was submitted and ask for the reads that were wanted: the end of a batch of requests.
 * Callbacks may run within. The replica does it by itself after its callbacks have run. What does
 * not fit yet (DISK_BATCH_COUNT_MAX, CONSENSUS_UNCOMMITTED_MAX) waits. */
void replica_flush(struct replica *self);

/* Call @done when a linearizable read may be made of the machine's tables here, at a leader or not:
 * not before replica_flush(), and not from inside replica_read(). At @deadline_ms (clock_ms) it is
 * called with ERR_UNAVAILABLE: a group without a majority answers nobody.
 *
 * Returns 0, ERR_BUSY (READS_MAX are waiting) or ERR_UNAVAILABLE (the replica is closing). */
int replica_read(struct replica *self, int64_t deadline_ms, replica_read_fn *done, void *arg);

/* Call @done when this replica has applied the entry at @index, and all before it; as
 * replica_read() in all else. No round is made: what is read then may be older than what others
 * have been told, and is no linearizable read but where somebody sees to that by other means
 * (lease_table.h). */
int replica_read_at(struct replica *self, replica_index index, int64_t deadline_ms,
                    replica_read_fn *done, void *arg);

/* Whether there are subscribers to that stream of the group, and publish to them (peer_link.h). */
bool replica_has_subscribers(const struct replica *self, enum feed_stream stream);
void replica_publish(struct replica *self, enum feed_stream stream, const void *text, size_t size);

/* Hand leadership to the member @id, or, with 0, to the one that is furthest. Commands are refused
 * from now on, until it is given up after an election timeout. Returns 0, ERR_NOT_LEADER,
 * ERR_INVALID or ERR_UNAVAILABLE (there is nobody to hand it to). */
int replica_transfer(struct replica *self, uint64_t id);

/* Change who belongs to the group, at its leader: add a learner, make a voter of one, remove a
 * member; what speaks against it is said in consensus.h. One change at a time. @address is copied.
 *
 * @done is told, never from within: OK (with no result) when the entry is committed and applied
 * here; ERR_UNKNOWN when leadership was lost before; else nothing has happened, and it is what
 * consensus.h says. A promotion that ends in ERR_UNAVAILABLE has the learner catch up, and is to be
 * repeated.
 *
 * Returns 0, ERR_NOT_LEADER, or ERR_BUSY (another one waits). */
int replica_add(struct replica *self, uint64_t id, const char *address, replica_done_fn *done,
                void *arg);
int replica_promote(struct replica *self, uint64_t id, replica_done_fn *done, void *arg);
int replica_remove(struct replica *self, uint64_t id, replica_done_fn *done, void *arg);

/* Whether this replica serves as its group's leader. */
bool replica_is_leader(const struct replica *self);
replica_term replica_current_term(const struct replica *self);
replica_index replica_last_index(const struct replica *self);
replica_index replica_commit_index(const struct replica *self);
replica_index replica_applied_index(const struct replica *self);
/* The log time that an entry submitted now would get at least. Never falls while the process lives;
 * a later leader's may be behind it by LOG_TIME_AHEAD_MS_MAX at most (log_time.h). */
int64_t replica_log_time_ms(struct replica *self);
/* Submitted and not yet called back, and reads wanted and not yet called back. */
size_t replica_pending(const struct replica *self);

/* What the replica knows of itself. */
struct replica_status {
    const char
        *role; /* "leader" (serving or about to), "follower" (a candidate is one), "learner" (has
                       * no vote: not yet, or not any more) */
    replica_term term;
    uint64_t leader;          /* id; 0: not known */
    replica_index last_index; /* of the log, durable or not */
    replica_index durable_index;
    replica_index commit_index;
    replica_index applied_index;
    int64_t last_contact_ms; /* since the leader (of a leader: a majority) was heard; -1: unknown */
};

void replica_status(const struct replica *self, struct replica_status *status);
/* The digest of the tables as they are, and those noted on the way there (digest_marks.h). False
 * and NULL for a machine that has none. */
bool replica_digest(const struct replica *self, uint64_t *digest);
const struct digest_marks *replica_digest_marks(const struct replica *self);
/* Whether the tables are wrong, as was just found, and the process is about to end: nothing is
 * applied, read, or given out. */
bool replica_is_leaving(const struct replica *self);
/* Who belongs to the group, by the entries of the log so far, and the index of the entry that says
 * so (0: none does): above the commit index it may yet be undone. */
const struct membership *replica_membership(const struct replica *self);
replica_index replica_membership_index(const struct replica *self);
/* At the leader: how far the log of a member is known to agree, and since when nothing was heard of
 * it (-1: never). False elsewhere. */
bool replica_progress(const struct replica *self, uint64_t id, replica_index *match_index,
                      int64_t *last_contact_ms);

#endif
