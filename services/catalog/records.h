/* Keys: what was asked under each, and what was answered.
 *
 * States, and who makes the transition:
 *
 *   (none) -> WRITTEN              any write but reserve and undo; granted or refused, final
 *   (none) -> DENIED               a reserve that could not be granted; final for the key
 *   (none) -> GRANTED              a reserve
 *   GRANTED -> SETTLED             settle: its order exists
 *   GRANTED, SETTLED -> RELEASED   undo: the stock is back
 *   (none) -> RELEASED             undo of a grant long forgotten
 *   RELEASED -> CLOSED             close: its order says cancelled
 *   WRITTEN, DENIED, SETTLED, CLOSED -> (none)   forgotten
 *
 * Refusals are recorded as well as answers: a late duplicate of a stock change that was told
 * "not-found", or of a reserve that was told "out-of-stock", must not take effect after the item
 * came, or the stock. Not recorded is what no repetition can change (key-reused, stamp-old).
 *
 * When may a key be forgotten? (All times are log time.)
 *
 *   Let a record be made by an entry of time T, for a request stamped S. Every copy of the request
 *   carries S, and a copy that finds no record is refused once the time is above S + 24 h
 *   (STAMP_AGE_MS_MAX). It would do harm if it found no record before that. Now S is at most
 *   T + 1 h, because a stamp further ahead is refused (STAMP_AHEAD_MS_MAX); so from T + 25 h on all
 *   copies are refused or answered from the record, and the record is there until T + 48 h at least
 *   (RECORD_MEMORY_MS after it was last touched). A GRANTED or RELEASED one is there for ever.
 *
 *   An honest stamp is never so far ahead. Clients take it from our answers, which say the log's
 *   time: that of the last entry and what passed since at the leader. A new leader goes on from the
 *   last *entry*, so what was said may be ahead of what it goes on with, by the time without
 *   entries. Two rules bound that by ten minutes: no answer says more than LOG_TIME_AHEAD_MS above
 *   the last entry (machine.h), and the leader makes an entry (tick) after LOG_TIME_IDLE_MS
 *   without one, so that the bound is only reached by a leader that can commit nothing.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_RECORDS_H
#define PYGMY_CATALOG_RECORDS_H

#include <stdbool.h>

#include "services/catalog/command.h"
#include "services/catalog/outcome.h"
#include "services/catalog/state.h"

/* Stored: never renumbered. */
enum record_state {
    RECORD_WRITTEN = 1,
    RECORD_DENIED = 2,
    RECORD_GRANTED = 3,
    RECORD_SETTLED = 4,
    RECORD_RELEASED = 5,
    RECORD_CLOSED = 6,
};

/* A record as found; its texts are valid until record_leave(). */
struct record {
    enum record_state state;
    int code;            /* of the answer */
    struct text content; /* of the command (command.h) */
    struct text answer;  /* outcome_text() */
};

bool record_find(struct state *state, struct text key, struct record *record);
/* Done with what was found. */
void record_leave(struct state *state);

/* Decide whether a command may be applied. NULL: its key is new and its stamp good. Else what it is
 * answered: what was recorded, key-reused, stamp-old, invalid. Touches a record that is found. */
struct outcome *record_admit(struct state *state, const struct command *command);
/* The part of it that looks at the stamp: NULL, stamp-old or invalid. */
struct outcome *record_admit_stamp(struct state *state, const struct command *command);

/* Remember a command that record_admit() let pass, and its outcome. */
void record_add(struct state *state, const struct command *command, enum record_state in,
                const struct outcome *outcome);
/* Move a record to another state (see the states above; asserted), which touches it. */
void record_turn(struct state *state, struct text key, enum record_state from,
                 enum record_state to);
/* It was asked for: its memory begins anew. */
void record_touch(struct state *state, struct text key);

/* Forget up to FORGET_COUNT_MAX records that may be forgotten by now. Called once in each entry. */
void record_forget(struct state *state);

#endif
