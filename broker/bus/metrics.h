/* Metrics in Prometheus' text format, version 0.0.4.
 *
 * Names follow Prometheus' rules: prefix pygmy_, base units, _total on
 * counters. A series exists, with 0, from the moment it is made. No label is
 * ever taken from what a peer sent.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_METRICS_H
#define PYGMY_BUS_METRICS_H

#include <stdint.h>

#include "broker/bus/bytes.h"

struct metrics; /* a registry; each process has one */
struct metric;  /* a series; owned by its registry */

struct metrics *metrics_new(void);
void metrics_destroy(struct metrics **self_p);

/* Make a series, or return the one of that name and labels. @labels as in the text format without
 * braces (`service="order",result="ok"`), or NULL. Strings are copied. */
struct metric *metrics_counter(struct metrics *self, const char *name, const char *labels,
                               const char *help);
struct metric *metrics_gauge(struct metrics *self, const char *name, const char *labels,
                             const char *help);
/* Seconds, in buckets from 0.1 ms to 10 s. */
struct metric *metrics_histogram(struct metrics *self, const char *name, const char *labels,
                                 const char *help);

/* A NULL series is ignored by all of these (tests, and modules without a registry). */
void metric_add(struct metric *self, double value);       /* counter or gauge */
void metric_set(struct metric *self, double value);       /* gauge */
void metric_observe(struct metric *self, double seconds); /* histogram */
double metric_value(const struct metric *self);

/* Append the whole registry as text, with pygmy_build_info and the process_* series. */
void metrics_write(struct metrics *self, struct bytes_writer *text);

#endif
