/* Sessions of the lease table: see lease_table.h and lease_internal.h.
 *
 *   opened -> LAPSED -> SYNCED -> LAPSED -> ... -> closed
 *   in the log before: UNFLUSHED -> SYNCED, or LAPSED
 *   it leaves: any -> LAPSED, for good -> closed
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "services/replica/lease_internal.h"

/* ---- Who is there -------------------------------------------------------------------------- */

static void session_become(struct lease_table *self, struct lease_session *session,
                           enum session_state state)
{
    self->holder_count -= session->state != SESSION_LAPSED;
    self->holder_count += state != SESSION_LAPSED;
    session->state = state;
}

struct lease_session *session_add(struct lease_table *self, uint64_t id, enum session_state state,
                                  int64_t now_ms)
{
    struct lease_session *session = alloc_zero(sizeof *session);
    int rc;

    session->id = id;
    session->state = SESSION_LAPSED;
    session->heard_ms = now_ms;
    session->again_ms = now_ms;
    session->place = self->session_count;
    rc = zhashx_insert(self->by_id, &session->id, session);
    assert(rc == 0);
    self->sessions =
        alloc_resize(self->sessions, (self->session_count + 1) * sizeof(struct lease_session *));
    self->sessions[self->session_count++] = session;
    session_become(self, session, state);
    table_due(self, now_ms + LEASE_SILENT_MS);
    return session;
}

static void session_answer_held(struct lease_table *self, struct lease_session *session, int code)
{
    if (session->held.waits)
        table_refuse(self, session->held.ask.ticket, code); /* T6 */
    session->held.waits = false;
}

static void session_remove(struct lease_table *self, struct lease_session *session)
{
    session_become(self, session, SESSION_LAPSED);
    zhashx_delete(self->by_id, &session->id);
    self->sessions[session->place] = self->sessions[--self->session_count];
    self->sessions[session->place]->place = session->place;
    free(session);
}

void sessions_retire(struct lease_table *self)
{
    while (self->session_count > 0) {
        struct lease_session *session = self->sessions[self->session_count - 1];
        session_answer_held(self, session, ERR_NOT_LEADER);
        session_remove(self, session);
    }
}

/* It holds nothing yet, so nobody waits for it: as though it had lapsed. */
void lease_table_opened(struct lease_table *self, uint64_t session, int64_t now_ms)
{
    if (!self->leading)
        return;
    if (self->session_count >= LEASE_SESSIONS_MAX) {
        table_act(self, LEASE_CLOSE)->session = session;
        return;
    }
    session_add(self, session, SESSION_LAPSED, now_ms);
    table_due(self, self->beat_ms);
}

void lease_table_closed(struct lease_table *self, uint64_t session, int64_t now_ms)
{
    struct lease_session *closed = zhashx_lookup(self->by_id, &session);

    if (closed == NULL)
        return;
    session_answer_held(self, closed, ERR_NOT_FOUND);
    session_remove(self, closed);
    table_settle(self, now_ms);
}

/* ---- Who is left out ----------------------------------------------------------------------- */

/* From when on it can't have a lease any more (B3). */
static int64_t session_limit_ms(const struct lease_table *self, const struct lease_session *session)
{
    return (session->state == SESSION_SYNCED ? session->anchor_ms : self->since_ms) + LEASE_WAIT_MS;
}

static void session_lapse(struct lease_table *self, struct lease_session *session, int64_t now_ms)
{
    assert(session->state != SESSION_LAPSED);
    assert(now_ms >= session_limit_ms(self, session)); /* T3 */
    session_become(self, session, SESSION_LAPSED);
}

/* B10. Who kept up for as long as the longest pause begins anew with the shortest. */
static void session_back_off(struct lease_session *self, int64_t now_ms)
{
    const bool anew = self->backoff_ms == 0 || now_ms - self->synced_ms >= LEASE_BACKOFF_MS_MAX;

    self->backoff_ms = anew ? LEASE_BACKOFF_MS : 2 * self->backoff_ms;
    if (self->backoff_ms > LEASE_BACKOFF_MS_MAX)
        self->backoff_ms = LEASE_BACKOFF_MS_MAX;
    self->again_ms = now_ms + self->backoff_ms;
}

uint64_t sessions_leave_out(struct lease_table *self, int64_t now_ms)
{
    const uint64_t last = self->approving[self->approving_count - 1]->seq;
    uint64_t acked = last;

    for (size_t i = 0; i < self->session_count; i++) {
        struct lease_session *session = self->sessions[i];
        if (session->state == SESSION_LAPSED || session->acked >= last)
            continue;
        const int64_t limit_ms = session_limit_ms(self, session);
        if (now_ms >= limit_ms) {
            session_lapse(self, session, now_ms);
            self->lapses++;
            if (now_ms > keys_unacked_since(self, session->acked))
                session_back_off(session, now_ms);
        } else {
            if (session->acked < acked)
                acked = session->acked;
            table_due(self, limit_ms);
        }
    }
    return acked;
}

/* ---- Rounds -------------------------------------------------------------------------------- */

/* What is left of a lease that counts from the newest confirmed round, if that will do for an
 * ask that came at @came_ms (B4); else 0: another round is needed. Where rounds are slow, one
 * that began after the ask came will do however long it took. */
static int64_t table_remaining_ms(const struct lease_table *self, int64_t came_ms, int64_t now_ms)
{
    if (!self->confirmed)
        return 0;
    const int64_t age_ms = now_ms - self->round_ms;
    if (age_ms >= LEASE_MS || (age_ms >= LEASE_ROUND_MS && self->round_ms < came_ms))
        return 0;
    return LEASE_MS - age_ms;
}

static void table_ask_round(struct lease_table *self, int64_t now_ms)
{
    if (self->asked && now_ms - self->asked_ms < LEASE_ROUND_MS)
        return;
    self->asked = true;
    self->asked_ms = now_ms;
    table_act(self, LEASE_ROUND);
}

/* One ask of a session waits at a time, the newest. */
static void session_hold(struct lease_table *self, struct lease_session *session,
                         const struct lease_held *held, int64_t now_ms)
{
    if (session->held.waits && session->held.ask.ask > held->ask.ask) {
        table_refuse(self, held->ask.ticket, ERR_BUSY);
        return;
    }
    session_answer_held(self, session, ERR_BUSY);
    session->held = *held;
    session->held.waits = true;
    table_due(self, held->came_ms + LEASE_ROUND_WAIT_MS);
    table_ask_round(self, now_ms);
}

/* ---- Grants -------------------------------------------------------------------------------- */

/* B4. While a message is not acknowledged a lease counts from when that was told, at the latest:
 * the writer that waits for it waits for W at most. */
static int64_t session_next_anchor_ms(const struct lease_table *self,
                                      const struct lease_session *session)
{
    const int64_t unacked_ms = keys_unacked_since(self, session->acked);
    return unacked_ms < self->round_ms ? unacked_ms : self->round_ms;
}

static_assert(LEASE_MS > LEASE_ROUND_WAIT_MS + LEASE_UNACKED_MS, "something is left of each lease");

/* An answer that gives a lease, of which @remaining_ms are left since the newest round: its anchor
 * is noted before (T5). */
static struct lease_action *session_grant(struct lease_table *self, struct lease_session *session,
                                          enum lease_action_type type, const struct lease_ask *ask,
                                          int64_t remaining_ms)
{
    const int64_t anchor_ms = session_next_anchor_ms(self, session);

    remaining_ms -= self->round_ms - anchor_ms;
    assert(self->leading && session->state == SESSION_SYNCED && !session->closing); /* T4 */
    assert(self->confirmed && remaining_ms > 0 && session->epoch == ask->epoch);
    assert(anchor_ms >= session->anchor_ms);
    session->anchor_ms = anchor_ms;
    struct lease_action *action = table_act(self, type);
    action->ticket = ask->ticket;
    action->session = session->id;
    action->epoch = ask->epoch;
    action->ask = ask->ask;
    action->remaining_ms = remaining_ms;
    return action;
}

/* B5, B10 */
static int session_sync_code(const struct lease_table *self, const struct lease_session *session,
                             const struct lease_ask *ask, int64_t now_ms)
{
    if (ask->term != self->term || ask->epoch <= session->epoch)
        return ERR_MISMATCH;
    if (session->state == SESSION_LAPSED && now_ms < session->again_ms)
        return ERR_BUSY;
    return OK;
}

static void session_sync(struct lease_table *self, struct lease_session *session,
                         const struct lease_held *held, int64_t now_ms)
{
    const struct lease_ask *ask = &held->ask;
    const int code = session_sync_code(self, session, ask, now_ms);
    const int64_t remaining_ms = table_remaining_ms(self, held->came_ms, now_ms);

    if (code != OK) {
        table_refuse(self, ask->ticket, code);
        return;
    }
    if (remaining_ms == 0) {
        session_hold(self, session, held, now_ms);
        return;
    }
    session_become(self, session, SESSION_SYNCED);
    session->epoch = ask->epoch;
    session->acked = self->last_seq;
    session->synced_ms = now_ms;
    struct lease_action *action = session_grant(self, session, LEASE_SYNCED, ask, remaining_ms);
    action->seq = self->last_seq;
    action->keys = keys_not_quiet(self);
    action->index = self->commit_index;
    table_settle(self, now_ms);
}

/* Whether it is a session's, and its acknowledgement can be one. */
static bool session_renewable(const struct lease_table *self, const struct lease_session *session,
                              const struct lease_ask *ask)
{
    return session->state == SESSION_SYNCED && ask->term == self->term &&
           ask->epoch == session->epoch && ask->acked <= self->last_seq;
}

/* B4. The acknowledgement counts whatever is answered; and to settle what it settles may make
 * this very session lapse, so it is looked at again after that. */
static void session_renew(struct lease_table *self, struct lease_session *session,
                          const struct lease_held *held, int64_t now_ms)
{
    const struct lease_ask *ask = &held->ask;
    const int64_t remaining_ms = table_remaining_ms(self, held->came_ms, now_ms);

    if (!session_renewable(self, session, ask)) {
        table_refuse(self, ask->ticket, ERR_MISMATCH);
        return;
    }
    if (ask->acked > session->acked)
        session->acked = ask->acked;
    table_settle(self, now_ms);
    if (session->state != SESSION_SYNCED)
        table_refuse(self, ask->ticket, ERR_MISMATCH);
    else if (now_ms - LEASE_UNACKED_MS > keys_unacked_since(self, session->acked))
        table_refuse(self, ask->ticket, ERR_BUSY);
    else if (remaining_ms == 0)
        session_hold(self, session, held, now_ms);
    else
        session_grant(self, session, LEASE_GRANT, ask, remaining_ms);
}

static void session_ask(struct lease_table *self, struct lease_session *session,
                        const struct lease_held *held, int64_t now_ms)
{
    if (held->sync)
        session_sync(self, session, held, now_ms);
    else
        session_renew(self, session, held, now_ms);
}

static void table_ask(struct lease_table *self, const struct lease_ask *ask, bool sync,
                      int64_t now_ms)
{
    struct lease_session *session = zhashx_lookup(self->by_id, &ask->session);

    if (!self->leading || session == NULL || session->closing) { /* B1, B9 */
        table_refuse(self, ask->ticket, self->leading ? ERR_NOT_FOUND : ERR_NOT_LEADER);
        return;
    }
    session->heard_ms = now_ms;
    session_ask(self, session, &(struct lease_held){.ask = *ask, .sync = sync, .came_ms = now_ms},
                now_ms);
}

void lease_table_sync(struct lease_table *self, const struct lease_ask *ask, int64_t now_ms)
{
    table_ask(self, ask, true, now_ms);
}

void lease_table_renew(struct lease_table *self, const struct lease_ask *ask, int64_t now_ms)
{
    table_ask(self, ask, false, now_ms);
}

/* Refuse what waits for too long; when it would, if it does not yet. */
static void session_expire(struct lease_table *self, struct lease_session *session, int64_t now_ms)
{
    if (!session->held.waits)
        return;
    if (now_ms >= session->held.came_ms + LEASE_ROUND_WAIT_MS)
        session_answer_held(self, session, ERR_BUSY);
    else
        table_due(self, session->held.came_ms + LEASE_ROUND_WAIT_MS);
}

/* Whether an ask may be granted is found out anew: the session may have lapsed while it waited. */
void lease_table_confirmed(struct lease_table *self, int64_t begun_ms, int64_t now_ms)
{
    if (!self->leading)
        return;
    assert(begun_ms <= now_ms);
    if (!self->confirmed || begun_ms > self->round_ms)
        self->round_ms = begun_ms;
    self->confirmed = true;
    self->asked = false;
    for (size_t i = 0; i < self->session_count; i++) {
        struct lease_session *session = self->sessions[i];
        session_expire(self, session, now_ms);
        const struct lease_held held = session->held;
        session->held.waits = false;
        if (held.waits)
            session_ask(self, session, &held, now_ms);
    }
}

/* ---- Time ---------------------------------------------------------------------------------- */

static_assert(LEASE_SILENT_MS > LEASE_ROUND_WAIT_MS + LEASE_WAIT_MS,
              "a session that is silent for so long has no lease");

/* Propose its end, again and again: an entry may be lost with its leader. */
static void session_close(struct lease_table *self, struct lease_session *session, int64_t now_ms)
{
    assert(session->state == SESSION_LAPSED && !session->held.waits);
    session->closing = true;
    session->closed_ms = now_ms;
    table_act(self, LEASE_CLOSE)->session = session->id;
    table_due(self, now_ms + LEASE_SILENT_MS);
}

/* It holds nothing, so there is no lease whose end would have to be waited for. What it asked
 * before is refused, as is what comes late: another leader may take that up, for nobody (B5). */
int lease_table_leave(struct lease_table *self, uint64_t session, int64_t now_ms)
{
    struct lease_session *left = zhashx_lookup(self->by_id, &session);

    if (!self->leading)
        return ERR_NOT_LEADER;
    if (left == NULL)
        return ERR_NOT_FOUND;
    if (left->closing)
        return OK;
    session_answer_held(self, left, ERR_NOT_FOUND);
    session_become(self, left, SESSION_LAPSED);
    session_close(self, left, now_ms);
    table_settle(self, now_ms);
    return OK;
}

static void session_turn(struct lease_table *self, struct lease_session *session, int64_t now_ms)
{
    session_expire(self, session, now_ms);
    const int64_t last_ms = session->closing ? session->closed_ms : session->heard_ms;
    if (now_ms < last_ms + LEASE_SILENT_MS) {
        table_due(self, last_ms + LEASE_SILENT_MS);
        return;
    }
    /* B9. Who is silent for so long holds no lease. */
    if (session->state != SESSION_LAPSED)
        session_lapse(self, session, now_ms);
    session_close(self, session, now_ms);
}

void sessions_turn(struct lease_table *self, int64_t now_ms)
{
    for (size_t i = 0; i < self->session_count; i++)
        session_turn(self, self->sessions[i], now_ms);
}
