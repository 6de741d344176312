/* What the parts of a replica know of each other: replica_found.c (founding), replica_start.c (what
 * the log holds), replica.c (life), replica_turn.c (events and what follows from them),
 * replica_submit.c (commands and reads that wait), replica_apply.c, replica_snapshot.c,
 * replica_members.c (who belongs to the group), replica_peers.c (messages out, and what is known of
 * the others), replica_digest.c (whether the tables are those of the others), replica_series.c
 * (metrics).
 *
 * The way of a command at its leader:
 *
 *   waiting     submitted, not yet given an index                   replica_submit
 *   under way   in the log, by its index and term; at the disk      replica_submit_waiting
 *               thread and on the way to the other members
 *   committed   durable on a majority, says the driver              CONSENSUS_COMMIT
 *   applied     in the machine's tables, called back                replica_apply
 *
 * And of a read, at any replica:
 *
 *   asked       wanted in this turn                                 replica_read
 *   unconfirmed with the ticket that all of a turn share            replica_ask_reads
 *   confirmed   may be served when its index is applied             CONSENSUS_READ
 *
 * One that names the index itself (replica_read_at) needs no confirmation: it is `indexed` from the
 * start, in no order.
 *
 * Whatever happens is told to the driver as one event, and all actions that follow are taken before
 * the next event (replica_settle). Nobody's callback runs in between: these run in replica_turn()
 * alone, which is never inside of itself.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_REPLICA_INTERNAL_H
#define PYGMY_REPLICA_REPLICA_INTERNAL_H

#include "broker/bus/alarm.h"
#include "services/replica/consensus.h"
#include "services/replica/digest_vote.h"
#include "services/replica/directory.h"
#include "services/replica/disk_thread.h"
#include "services/replica/log_store.h"
#include "services/replica/log_time.h"
#include "services/replica/peer_link.h"
#include "services/replica/replica.h"
#include "services/replica/snapshot_channel.h"
#include "services/replica/snapshot_thread.h"

/* A command on its way, or an entry of the leader's own for the time alone. */
struct submission {
    struct submission *next;
    replica_index index; /* 0 while it waits */
    replica_term term;
    enum log_entry_kind kind;
    replica_done_fn *done; /* NULL: an own entry, nobody waits */
    void *arg;
    size_t size;
    uint8_t data[];
};

struct submission_queue {
    struct submission *first;
    struct submission *last;
    size_t count;
};

struct reading {
    struct reading *next;
    uint64_t ticket;     /* 0 before it was asked for */
    replica_index index; /* to be applied, when confirmed */
    int64_t deadline_ms;
    replica_read_fn *done;
    void *arg;
};

struct reading_queue {
    struct reading *first;
    struct reading *last;
};

/* What goes to the disk thread and comes back: one CONSENSUS_WRITE, or a snapshot's mark. */
struct replica_batch {
    struct disk_batch disk;       /* first: it comes back as this */
    struct snapshot_mark *mark;   /* owned; NULL: a write */
    struct shared_entry **shared; /* whose bytes the entries are; held */
    struct log_entry entries[];
};

struct replica_snapshots {
    struct snapshot_thread *thread;   /* NULL: the machine can't be closed */
    struct snapshot_channel *channel; /* NULL: no member could reach it */
    struct snapshot_mark mark;        /* of the last one that the log begins behind; 0: none */
    bool marking;                     /* one was taken, and its mark is on the way to the log */
    uint64_t entries_max;             /* after so many one is taken */
    uint64_t bytes;                   /* of the commands applied since the last one */
    uint64_t bytes_taken;             /* of them, those in the one that is being taken */
    int64_t begin_ms;                 /* when that was begun */
    int64_t rest_until_ms;            /* none is taken before */
    uint64_t from;                    /* who offered the one that is being fetched */
    replica_term term;                /* and in which term */
    bool installing;                  /* from CONSENSUS_INSTALL until it is installed */
    bool deferring;                   /* writes wait for the mark of what is being installed: */
    struct disk_batch *deferred_first;
    struct disk_batch *deferred_last;
    replica_index skip_index; /* submissions up to it are called back in the next turn: a snapshot
                               * stands for their entries */
};

struct replica_digests {
    struct digest_vote vote;
    replica_index told;   /* the highest own mark that the others were told */
    replica_index agreed; /* the highest one that a majority is known to share */
    replica_index waited; /* the highest one when it was last said again */
    int64_t repeat_ms;    /* when it is said again */
    /* The tables are wrong, and the process ends by then, or as soon as another one leads; 0: they
     * are not. */
    int64_t leave_until_ms;
    bool handing_over;
};

/* An applied entry whose callback is due. */
struct replica_applied {
    struct submission *submission;
    replica_index index;
    void *result;
};

/* A change of the group that waits for its turn. */
struct replica_change {
    enum { REPLICA_CHANGE_NONE, REPLICA_ADD, REPLICA_PROMOTE, REPLICA_REMOVE } kind;
    uint64_t id;
    char *address; /* REPLICA_ADD; owned */
    replica_done_fn *done;
    void *arg;
};

struct replica_series {
    struct metric *leader;
    struct metric *follower;
    struct metric *learner;
    struct metric *term;
    struct metric *leader_changes;
    struct metric *last_index;
    struct metric *commit_index;
    struct metric *applied_index;
    struct metric *pending;
    struct metric *accepted;
    struct metric *refused;
    struct metric *entries;
    struct metric *transactions;
    struct metric *disk_low;
    struct metric *digest_index;
    struct metric *digest_others;
    struct metric *digest_splits;
    struct metric *sync_seconds;
    struct metric *turn_seconds;
};

struct replica {
    zloop_t *loop;                                              /* not owned */
    struct log *log;                                            /* not owned, or NULL */
    struct replica_machine machine;                             /* its self is not owned */
    void (*on_lead)(void *arg, bool leader, replica_term term); /* or NULL */
    void (*on_news)(void *arg);                                 /* or NULL */
    void *arg;                                                  /* of both */
    char *name;
    uint64_t id;
    unsigned election_ms;
    struct directory *directory;
    struct log_store *reader; /* of the log, the loop's own */
    struct disk_thread *disk;
    struct consensus *consensus;
    struct peer_link *link; /* NULL: a group of one */
    struct alarm *more;     /* goes on in the loop's next turn */
    struct alarm *timer;    /* the earliest of what is due */
    int64_t timer_ms;       /* what it is set to; INT64_MAX: it is off */
    bool turning;           /* replica_turn() is under way: callbacks may run */
    bool closing;           /* nothing more is accepted */
    bool disk_low;
    bool members_changed; /* the link is to be told */
    struct membership contacts;
    struct replica_change change;

    /* Of the last CONSENSUS_ROLE. */
    enum consensus_role role;
    replica_term role_term;
    uint64_t leader_id;    /* 0: not known */
    replica_index barrier; /* of a leader: serves when this is applied */

    bool leader;                 /* serving, in lead_term */
    replica_term lead_term;      /* the last in which it served */
    int64_t transfer_until_ms;   /* leadership is being handed over; 0: it is not */
    int64_t leader_heard_ms;     /* when a message of leader_id came; -1: none did */
    replica_index applied_index; /* in the machine's tables */
    struct log_time time;
    int64_t tick_ms; /* when to look whether an entry for the time is due */

    struct submission_queue waiting;
    struct submission_queue under_way; /* in the order of their indexes */
    size_t pending_count;              /* submitted by others and not yet called back */
    size_t pending_bytes;              /* of their commands */

    struct reading_queue asked;
    struct reading_queue unconfirmed;
    struct reading_queue confirmed;
    struct reading_queue indexed;
    replica_index read_index; /* not above the lowest of `indexed`; UINT64_MAX: none waits */
    size_t read_count;        /* in all four */
    int64_t read_deadline_ms; /* not above the earliest of theirs; INT64_MAX: none waits */

    struct replica_snapshots snapshots;
    struct replica_digests digests;
    struct disk_batch *unwritten_first; /* what the disk thread has no room for, in order */
    struct disk_batch *unwritten_last;

    struct log_entry *append;        /* APPEND_COUNT_MAX: room for what is submitted at once */
    struct replica_applied *applied; /* APPEND_COUNT_MAX: those of one turn */
    size_t applied_count;
    struct replica_series series;
};

/* ---- replica_found.c ---- */

int replica_check_options(const struct replica_options *options, char **error);
int replica_open_directory(const struct replica_options *options, struct directory **directory,
                           char **error);
/* How to open the log in it; to be ended with the other. */
void replica_name_log(const struct replica_options *options, const struct directory *directory,
                      struct log_store_options *store);
void replica_unname_log(struct log_store_options *store);

/* ---- replica_start.c ---- */

/* Make the driver, with what the log holds. Returns 0, ERR_CORRUPT or ERR_STORAGE. */
int replica_start(struct replica *self, const struct consensus_options *options, int64_t now_ms,
                  char **error);

/* ---- replica_turn.c ---- */

/* Take all actions that follow from the last event. */
void replica_settle(struct replica *self);
/* Carry on with everything that can be carried on with, and run the callbacks that are due. Does
 * nothing inside of itself. */
void replica_turn(struct replica *self);
void replica_batch_free(struct replica_batch *self);
/* Put a batch behind those that are to be written. */
void replica_put_batch(struct replica *self, struct replica_batch *batch);
/* Hand to the disk thread what waits for room there. */
void replica_hand_over(struct replica *self);
/* Tell the driver of what has become durable: those of one transaction. */
void replica_persisted(struct replica *self, struct disk_batch *first);
/* Handlers of the loop. */
int replica_on_disk(zloop_t *loop, zsock_t *socket, void *arg);
void replica_on_more(void *arg);
void replica_on_timer(void *arg);
void replica_on_message(void *arg, struct peer_message *message);
void replica_on_messages(void *arg);
void replica_on_subscribers(void *arg);
/* The log can't be read any more: end the process. */
_Noreturn void replica_fail(struct replica *self);

/* ---- replica_submit.c ---- */

/* Submit what waits, as far as there is room. */
void replica_submit_waiting(struct replica *self);
/* Call back what leadership's end leaves without an outcome. */
void replica_drop_submissions(struct replica *self);
/* Call back those for whose entries a snapshot that was installed stands: what came of them is not
 * known here. */
void replica_skip_submissions(struct replica *self);
/* The submission of the entry at @index, taken out of those under way; NULL: nobody here waits. */
struct submission *replica_submission_of(struct replica *self, replica_index index,
                                         replica_term term);
/* Forget a submission and tell who made it. */
void replica_finish(struct replica *self, struct submission *submission, int code, void *result,
                    replica_index index);
/* Call back when the change of the group at @index is applied. */
void replica_await_change(struct replica *self, replica_index index, replica_done_fn *done,
                          void *arg);
/* The idle leader's entry for the time, when one is due. */
void replica_tick(struct replica *self, int64_t now_ms);

void replica_ask_reads(struct replica *self);
/* The driver has confirmed reads up to @ticket, at @index. */
void replica_confirm_reads(struct replica *self, uint64_t ticket, replica_index index);
/* Run reads whose index is applied, confirmed ones and those that need no confirmation. */
void replica_serve_reads(struct replica *self);
void replica_expire_reads(struct replica *self, int64_t now_ms);
void replica_drop_reads(struct replica *self);

/* ---- replica_apply.c ---- */

/* The last entry that may be applied: committed, and durable here. */
replica_index replica_appliable(const struct replica *self);
/* Apply as much of it as one turn may, and call back. */
void replica_apply(struct replica *self);

/* ---- replica_snapshot.c ---- */

/* Make the machine's file from the snapshot that the log begins behind; without one, there is none.
 * Returns 0, ERR_CORRUPT or ERR_STORAGE. */
int replica_restore(struct replica *self, char **error);
/* Returns 0 or ERR_STORAGE. */
int replica_open_snapshots(struct replica *self, const struct replica_options *options,
                           char **error);
void replica_close_snapshots(struct replica *self);
/* Take one, when it is time to. */
void replica_take_snapshot(struct replica *self);
/* CONSENSUS_FETCH and CONSENSUS_INSTALL. */
void replica_fetch(struct replica *self, const struct consensus_action *action);
void replica_install(struct replica *self, const struct snapshot_mark *mark);
/* The log has got a snapshot's mark. */
void replica_marked(struct replica *self, struct replica_batch *batch);

/* ---- replica_digest.c ---- */

void replica_open_digests(struct replica *self);
/* The entry at @index has just been applied, within the machine's transaction. */
void replica_note_digest(struct replica *self, replica_index index);
/* Tell the others what was noted, and compare it: see replica_is_leaving(). */
void replica_compare_digests(struct replica *self);
/* A member says what its tables are; the same. */
void replica_hear_digest(struct replica *self, const struct peer_message *message);
/* Say the newest mark again, when it is time to; the same. */
void replica_repeat_digest(struct replica *self, int64_t now_ms);
/* End the process, when it is time to. */
void replica_leave(struct replica *self);

/* ---- replica_members.c ---- */

/* Be connected to who belongs to the group. */
void replica_connect(struct replica *self);
/* Make the change that waits. */
void replica_change_members(struct replica *self);
/* Refuse it. */
void replica_drop_change(struct replica *self);

/* ---- replica_peers.c ---- */

/* Send a message that the driver gave; taken over. Entries that it lacks are read from the log. */
void replica_send(struct replica *self, struct peer_message *message);

/* ---- replica_series.c ---- */

void replica_series_make(struct replica_series *self, struct metrics *metrics);
void replica_series_update(struct replica *self);

#endif
