/* The stream of changes at a node: changes.h has its rules, docs/protocol.md its messages.
 *
 * A leader publishes in turns of the loop of their own, one message each, and only while somebody has
 * subscribed: however much there is to tell, the loop is held for one message's worth of it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/fields.h"
#include "services/replica/node_internal.h"

/* The changes since an index, from the tables here: what messages and answers have in common. @index
 * is where they end. */
static json_t *node_changes_since(const struct node *self, uint64_t since, size_t limit,
                                  struct changes_page *page, uint64_t *index)
{
    const uint64_t applied_index = replica_applied_index(self->replica);

    changes_page_init(page, since, limit);
    if (since < applied_index)
        self->service->changes(self->object, page);
    *index = changes_page_index(page, applied_index);
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:o}", "group",
                     config_kind_name(self->service->kind), "cluster", self->config->uuid, "term",
                     (json_int_t)replica_current_term(self->replica), "from", (json_int_t)since,
                     "index", (json_int_t)*index, "changes", page->rows);
}

/* ---- What was missed ------------------------------------------------------------------------ */

static json_t *node_changes_missed(const struct node *self, uint64_t since, size_t limit)
{
    struct changes_page page;
    uint64_t index;
    json_t *answer = node_changes_since(self, since, limit, &page, &index);

    json_object_set_new(answer, "more", json_boolean(page.more));
    return answer;
}

void node_changes_answer(void *arg, struct node_call *call, json_t *request)
{
    struct node *self = arg;
    int64_t since = (int64_t)replica_applied_index(self->replica); /* nothing was missed */
    int64_t limit = CHANGES_COUNT_MAX;
    struct fields fields;

    fields_init(&fields, request);
    fields_integer_optional(&fields, "since", 0, INT64_MAX, &since);
    fields_integer_optional(&fields, "limit", 1, CHANGES_COUNT_MAX, &limit);
    const int code = fields_end(&fields);
    if (code != OK)
        node_refuse(&call, code, fields.detail, NULL);
    else if (self->service->changes == NULL)
        node_refuse(&call, ERR_NOT_IMPLEMENTED, "there are no rows here that change", NULL);
    else
        node_answer(&call, node_changes_missed(self, (uint64_t)since, (size_t)limit));
}

/* ---- What is published ---------------------------------------------------------------------- */

static bool node_feed_wanted(const struct node *self)
{
    return self->service->changes != NULL && replica_is_leader(self->replica) &&
           !replica_is_leaving(self->replica) &&
           replica_has_subscribers(self->replica, FEED_CHANGES);
}

static void node_feed_set_alarm(struct node *self)
{
    struct node_feed *feed = &self->feed;
    const int64_t due_ms =
        changes_feed_due_ms(&feed->changes, replica_applied_index(self->replica));

    if (due_ms != feed->due_ms && due_ms != INT64_MAX)
        alarm_set(feed->alarm, due_ms);
    feed->due_ms = due_ms;
}

static void node_feed_want(struct node *self)
{
    changes_feed_want(&self->feed.changes, node_feed_wanted(self),
                      replica_applied_index(self->replica), clock_ms());
}

void node_feed_look(void *arg)
{
    struct node *self = arg;

    if (self->replica == NULL) /* it is being opened or closed */
        return;
    node_feed_want(self);
    node_feed_set_alarm(self);
}

/* Publish one message. */
static void node_feed_publish(struct node *self)
{
    struct node_feed *feed = &self->feed;
    const int64_t begin_us = clock_us();
    struct changes_page page;
    uint64_t index;
    json_t *message =
        node_changes_since(self, feed->changes.index, CHANGES_COUNT_MAX, &page, &index);
    char *text = json_dumps(message, JSON_COMPACT);

    metric_add(feed->messages, 1);
    metric_add(feed->rows, (double)json_array_size(page.rows));
    replica_publish(self->replica, FEED_CHANGES, text, strlen(text));
    changes_feed_sent(&feed->changes, index, clock_ms());
    free(text);
    json_decref(message);
    metric_observe(feed->seconds, (double)(clock_us() - begin_us) / 1e6);
}

static void node_feed_on_alarm(void *arg)
{
    struct node *self = arg;
    struct node_feed *feed = &self->feed;

    feed->due_ms = INT64_MAX; /* it is off */
    if (self->replica == NULL)
        return;
    node_feed_want(self); /* the tables may just have been found to be wrong */
    if (changes_feed_due_ms(&feed->changes, replica_applied_index(self->replica)) <= clock_ms())
        node_feed_publish(self);
    node_feed_set_alarm(self);
}

void node_feed_init(struct node *self)
{
    struct node_feed *feed = &self->feed;

    feed->due_ms = INT64_MAX;
    feed->alarm = alarm_new(self->loop, node_feed_on_alarm, self);
    feed->messages = metrics_counter(self->metrics, "pygmy_changes_messages_total", NULL,
                                     "Messages of the stream of changes that were published");
    feed->rows = metrics_counter(self->metrics, "pygmy_changes_rows_total", NULL,
                                 "Rows in messages of the stream of changes");
    feed->seconds = metrics_histogram(self->metrics, "pygmy_changes_message_seconds", NULL,
                                      "How long the loop was held to make a message of them");
}

void node_feed_close(struct node *self)
{
    alarm_destroy(&self->feed.alarm);
}
