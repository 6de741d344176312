/* The catalog's state: its tables, the entry that is being applied, and the sums that are kept
 * beside the tables so that nobody has to count rows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_STATE_H
#define PYGMY_CATALOG_STATE_H

#include <stdint.h>

#include "broker/bus/log.h"
#include "services/catalog/sql.h"
#include "services/replica/text.h"

struct state;

/* What counting rows would give; read at the start and kept from there on. */
struct state_totals {
    int64_t items;     /* present */
    int64_t topics;    /* different spellings of items present */
    int64_t records;   /* keys remembered */
    int64_t unsettled; /* grants not settled */
    int64_t unclosed;  /* releases not closed */
    int64_t sessions;  /* of leased caches */
    /* No record that may be forgotten was touched before this log time. */
    int64_t touched_from_ms;
};

/* @rows  what state_count() found in the file; NULL: all rows are counted here
 *
 * Returns 0, or as sql_open(). */
int state_open(const char *path, struct log *log, const uint64_t *rows, struct state **self_p,
               char **error);
/* As replica_machine.count. */
int state_count(const char *path, uint64_t *rows, char **error);
/* Accepts NULL. */
void state_close(struct state **self_p);

struct sql *state_sql(struct state *self);
/* The fold of a text (fold.h), valid until the next call. */
struct text state_fold(struct state *self, struct text text);
/* To be changed by whoever changes the rows they count. */
struct state_totals *state_totals(struct state *self);

/* The transaction around a batch of entries. At its end the last entry's index and log time are
 * written, so that they are never apart from what the entries did. */
void state_begin(struct state *self);
void state_commit(struct state *self);
/* An entry is applied: its index is one above the last or more. */
void state_enter(struct state *self, uint64_t index, int64_t log_time_ms, int64_t wall_ms);
/* Of the last entry entered; after opening, of the last one in the tables (0: none). */
uint64_t state_index(const struct state *self);
int64_t state_now_ms(const struct state *self);  /* log time; decides */
int64_t state_wall_ms(const struct state *self); /* UTC, for people only; 0 after opening */

/* The digest of all that the entries made (digest.h), also within a batch; equal wherever the same
 * entries were applied. */
uint64_t state_digest(const struct state *self);

/* What it can be compared with. */
uint32_t state_digest_format(const struct state *self);

/* Mark a point within an entry; then keep what was done since, or undo it, sums included. */
void state_save(struct state *self);
void state_keep(struct state *self);
void state_undo(struct state *self);

#endif
