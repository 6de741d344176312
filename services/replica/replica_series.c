/* A replica's metrics.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "services/replica/replica_internal.h"

/* What it is, and how far it has got. */
static void replica_series_make_gauges(struct replica_series *self, struct metrics *metrics)
{
    const char *name = "pygmy_replica_role";
    const char *help = "1 for the role that the replica has in its group";

    self->leader = metrics_gauge(metrics, name, "role=\"leader\"", help);
    self->follower = metrics_gauge(metrics, name, "role=\"follower\"", help);
    self->learner = metrics_gauge(metrics, name, "role=\"learner\"", help);
    self->term = metrics_gauge(metrics, "pygmy_replica_term", NULL, "Current term");
    name = "pygmy_replica_log_index";
    help = "How far the log has got";
    self->last_index = metrics_gauge(metrics, name, "kind=\"last\"", help);
    self->commit_index = metrics_gauge(metrics, name, "kind=\"commit\"", help);
    self->applied_index = metrics_gauge(metrics, name, "kind=\"applied\"", help);
    self->pending = metrics_gauge(metrics, "pygmy_replica_pending_commands", NULL,
                                  "Commands submitted and not yet applied");
    self->disk_low = metrics_gauge(metrics, "pygmy_replica_disk_low", NULL,
                                   "1 while writes are refused for lack of free space");
}

static void replica_series_make_digests(struct replica_series *self, struct metrics *metrics)
{
    self->digest_index =
        metrics_gauge(metrics, "pygmy_replica_digest_agreed_index", NULL,
                      "Highest log index at which a majority is known to hold the same tables");
    self->digest_others = metrics_counter(
        metrics, "pygmy_replica_digest_conflicts_total", "kind=\"member\"",
        "Marks at which a member's tables are not the majority's, or no majority has the same");
    self->digest_splits = metrics_counter(
        metrics, "pygmy_replica_digest_conflicts_total", "kind=\"no-majority\"",
        "Marks at which a member's tables are not the majority's, or no majority has the same");
}

void replica_series_make(struct replica_series *self, struct metrics *metrics)
{
    const char *name = "pygmy_replica_submissions_total";
    const char *help = "Commands that were submitted";

    if (metrics == NULL)
        return;
    replica_series_make_gauges(self, metrics);
    self->accepted = metrics_counter(metrics, name, "result=\"accepted\"", help);
    self->refused = metrics_counter(metrics, name, "result=\"refused\"", help);
    self->leader_changes = metrics_counter(metrics, "pygmy_replica_leader_changes_total", NULL,
                                           "Leaders that this process has known");
    replica_series_make_digests(self, metrics);
    self->entries = metrics_counter(metrics, "pygmy_replica_entries_total", NULL,
                                    "Entries that were made durable");
    self->transactions = metrics_counter(metrics, "pygmy_replica_transactions_total", NULL,
                                         "Transactions of the log, each with one sync");
    self->sync_seconds = metrics_histogram(metrics, "pygmy_fsync_duration_seconds", NULL,
                                           "Time of a transaction of the log with its sync");
    self->turn_seconds =
        metrics_histogram(metrics, "pygmy_replica_turn_duration_seconds", NULL,
                          "Time that the loop was held by the replica and those it called back");
}

void replica_series_update(struct replica *self)
{
    const struct replica_series *series = &self->series;
    struct replica_status status;

    replica_status(self, &status);
    metric_set(series->leader, strcmp(status.role, "leader") == 0 ? 1 : 0);
    metric_set(series->follower, strcmp(status.role, "follower") == 0 ? 1 : 0);
    metric_set(series->learner, strcmp(status.role, "learner") == 0 ? 1 : 0);
    metric_set(series->term, (double)status.term);
    metric_set(series->last_index, (double)status.last_index);
    metric_set(series->commit_index, (double)status.commit_index);
    metric_set(series->applied_index, (double)status.applied_index);
    metric_set(series->pending, (double)self->pending_count);
}
