/* See leader.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/leader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"

/* ---- What comes out ------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static void say(struct leader *self, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int len =
        vsnprintf(self->text + self->used, sizeof self->text - self->used, format, args);
    va_end(args);
    assert_true(len >= 0 && (size_t)len < sizeof self->text - self->used);
    self->used += (size_t)len;
}

static int compare_names(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

static void say_keys(struct leader *self, const struct lease_keys *keys)
{
    if (keys->count > 0)
        qsort(keys->keys, keys->count, sizeof keys->keys[0], compare_names);
    if (keys->all)
        say(self, "*");
    for (size_t i = 0; i < keys->count; i++)
        say(self, "%s%s", i > 0 ? "," : "", keys->keys[i]);
}

#define LLU(number) ((unsigned long long)(number))

static void say_action(struct leader *self, const struct lease_action *action)
{
    static const char *const names[] = {
        [LEASE_INVALIDATE] = "inv ", [LEASE_RELEASE] = "rel ", [LEASE_BEAT] = "beat ",
        [LEASE_SYNCED] = "sync ",    [LEASE_GRANT] = "grant ", [LEASE_REFUSE] = "no ",
        [LEASE_PROPOSE] = "go ",     [LEASE_ROUND] = "round ", [LEASE_CLOSE] = "close ",
    };
    assert_int_equal(action->term, self->term);
    if (action->type == LEASE_BEAT && !self->beats)
        return;
    say(self, "%s", names[action->type]);
    if (action->type == LEASE_SYNCED || action->type == LEASE_GRANT)
        say(self, "%llu/%llu", LLU(action->session), LLU(action->epoch));
    if (action->type == LEASE_SYNCED)
        say(self, ":");
    if (action->type <= LEASE_SYNCED)
        say(self, "%llu", LLU(action->seq));
    if (action->type <= LEASE_SYNCED && action->type != LEASE_BEAT)
        say(self, ":");
    say_keys(self, &action->keys);
    if (action->index != 0)
        say(self, "@%llu", LLU(action->index));
    if (action->remaining_ms != 0)
        say(self, "+%lld", (long long)action->remaining_ms);
    if (action->type == LEASE_REFUSE)
        say(self, "%llu:%s", LLU(action->ticket), err_type(action->code));
    if (action->type == LEASE_PROPOSE)
        say(self, "%llu", LLU(action->ticket));
    if (action->type == LEASE_CLOSE)
        say(self, "%llu", LLU(action->session));
    if (action->type != LEASE_ROUND)
        say(self, " ");
}

void leader_expect(struct leader *self, const char *text)
{
    struct lease_action *action;
    while ((action = lease_table_next(self->table)) != NULL) {
        say_action(self, action);
        lease_action_destroy(&action);
    }
    assert_string_equal(self->text, text);
    self->used = 0;
    self->text[0] = '\0';
}

struct lease_counts leader_counts(const struct leader *self)
{
    struct lease_counts counts;
    lease_table_count(self->table, &counts);
    return counts;
}

void leader_skip(struct leader *self)
{
    struct lease_action *action;
    while ((action = lease_table_next(self->table)) != NULL)
        lease_action_destroy(&action);
}

/* ---- What goes in -------------------------------------------------------------------------- */

void leader_open(struct leader *self)
{
    *self = (struct leader){.table = lease_table_new(), .term = 0};
    lease_table_commit(self->table, 100);
}

void leader_close(struct leader *self)
{
    lease_table_destroy(&self->table);
    assert_null(self->table);
}

void leader_lead(struct leader *self, replica_term term, const uint64_t *sessions, size_t count)
{
    self->term = term;
    lease_table_lead(self->table, term, sessions, count, self->now, self->now);
}

void leader_at(struct leader *self, int64_t now)
{
    self->now = now;
    lease_table_turn(self->table, now);
}

/* A round that begins and is confirmed now. */
void leader_confirm(struct leader *self)
{
    lease_table_confirmed(self->table, self->now, self->now);
}

struct lease_ask leader_ask(struct leader *self, uint64_t session, uint64_t epoch, uint64_t acked)
{
    self->ask++;
    return (struct lease_ask){.ticket = 1000 + self->ask,
                              .session = session,
                              .term = self->term,
                              .epoch = epoch,
                              .ask = self->ask,
                              .acked = acked};
}

/* Asks have the tickets 1001 and so on. */
void leader_sync(struct leader *self, uint64_t session, uint64_t epoch)
{
    const struct lease_ask ask = leader_ask(self, session, epoch, 0);
    lease_table_sync(self->table, &ask, self->now);
}

void leader_renew(struct leader *self, uint64_t session, uint64_t epoch, uint64_t acked)
{
    const struct lease_ask ask = leader_ask(self, session, epoch, acked);
    lease_table_renew(self->table, &ask, self->now);
}

/* Of keys that are separated by blanks; "*": all. */
void leader_write_until(struct leader *self, uint64_t ticket, const char *names, int64_t deadline)
{
    char *words = alloc_copy(names, strlen(names));
    char *keys[16];
    char *rest = words;
    struct lease_keys list = {.keys = keys, .all = strcmp(names, "*") == 0};
    for (char *word; !list.all && (word = strtok_r(rest, " ", &rest)) != NULL;)
        keys[list.count++] = word;
    lease_table_write(self->table, ticket, &list, deadline, self->now);
    free(words);
}

void leader_write(struct leader *self, uint64_t ticket, const char *names)
{
    leader_write_until(self, ticket, names, INT64_MAX);
}

void leader_write_many(struct leader *self, uint64_t ticket, size_t count)
{
    struct lease_keys list = {.keys = alloc_zero((count + 1) * sizeof(char *)), .count = count};
    for (size_t i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "k%zu", i);
        list.keys[i] = alloc_copy(name, strlen(name));
    }
    lease_table_write(self->table, ticket, &list, INT64_MAX, self->now);
    for (size_t i = 0; i < count; i++)
        free(list.keys[i]);
    free(list.keys);
}

void leader_written(struct leader *self, uint64_t ticket, replica_index index)
{
    lease_table_written(self->table, ticket, index, self->now);
}

/* Leads in term 1 since 0, with @count sessions, 1 and so on, synced in epoch 1 with leases from
 * 0. */
void leader_lease(struct leader *self, uint64_t count)
{
    leader_open(self);
    leader_lead(self, 1, NULL, 0);
    leader_confirm(self);
    for (uint64_t id = 1; id <= count; id++) {
        lease_table_opened(self->table, id, 0);
        leader_sync(self, id, 1);
    }
    leader_at(self, 0);
    leader_skip(self);
    assert_int_equal(leader_counts(self).synced, count);
    self->ask = 0;
}
