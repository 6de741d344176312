/* Log time: milliseconds that the group had a leader, as far as the log knows.
 *
 * It decides what expires and what may be forgotten, so it must be the same at
 * every replica (it stands in the entries), never fall, and never run faster
 * than real time. No wall clock enters it. While a leader leads it is the time
 * of the last entry of earlier terms plus the CLOCK_BOOTTIME that passed since
 * the leader applied its own barrier; while there is none it stands still.
 *
 * (Counting anew from each entry, from the moment it was applied, would lose
 * the time from its proposal to its apply every time: under steady load log
 * time would stand still.)
 *
 * What a leader tells others is lost with it unless an entry holds it. So it
 * tells at most LOG_TIME_AHEAD_MS_MAX more than the last applied entry has,
 * and an idle leader appends an entry from time to time (log_time_tick_due).
 *
 * Pure: the time of the clock is told.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_LOG_TIME_H
#define PYGMY_REPLICA_LOG_TIME_H

#include <stdbool.h>
#include <stdint.h>

struct log_time {
    int64_t last_ms;    /* of the last entry that was proposed; only when running */
    int64_t applied_ms; /* of the last applied entry */
    int64_t told_ms;    /* the highest that was told */
    int64_t base_ms;    /* log time at since_ms; only when running */
    int64_t since_ms;   /* the clock when this leader applied its barrier; only when running */
    bool running;       /* a leader whose barrier is applied */
};

/* Nothing is applied yet. */
void log_time_init(struct log_time *self);

/* This replica leads and has applied its barrier, just now: there is no entry in the log with a later
 * time. */
void log_time_start(struct log_time *self, int64_t now_ms);
/* It leads no more. What it proposed may yet be committed, or be gone. */
void log_time_stop(struct log_time *self);

/* The time of an entry that is proposed now; only when running. */
int64_t log_time_propose(struct log_time *self, int64_t now_ms);
/* An entry of that time was applied. */
void log_time_apply(struct log_time *self, int64_t log_time_ms);

/* The time to tell: an entry that this leader proposes from now on has at least this one. Never falls
 * while the process lives. */
int64_t log_time_read(struct log_time *self, int64_t now_ms);

/* Whether the last entry is so old that an idle leader should append one. */
bool log_time_tick_due(const struct log_time *self, int64_t now_ms);

#endif
