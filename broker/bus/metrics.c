/* See metrics.h.
 *
 * A registry is a list of families (a name, its type and help), each with the list of its series.
 * Both are short and only searched when a series is made.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/metrics.h"

#include <assert.h>
#include <dirent.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

static const char *const metric_type_names[] = {
    [METRIC_COUNTER] = "counter",
    [METRIC_GAUGE] = "gauge",
    [METRIC_HISTOGRAM] = "histogram",
};

/* Upper bounds in seconds; the last bucket, +Inf, is the count itself. */
static const double metric_bounds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                       0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10};

#define METRIC_BOUNDS (sizeof metric_bounds / sizeof metric_bounds[0])

struct metric {
    enum metric_type type;
    char *labels;                    /* without braces; "" for none */
    double value;                    /* of a counter or gauge; the sum of a histogram */
    uint64_t buckets[METRIC_BOUNDS]; /* observations up to each bound, not cumulated */
    uint64_t count;                  /* observations */
    struct metric *next;
};

struct metric_family {
    char *name;
    char *help;
    enum metric_type type;
    struct metric *first;
    struct metric_family *next;
};

struct metrics {
    struct metric_family *first;
    int64_t start_wall_ms;
};

static char *metrics_copy(const char *text)
{
    return alloc_copy(text, strlen(text));
}

struct metrics *metrics_new(void)
{
    struct metrics *self = alloc_zero(sizeof *self);
    self->start_wall_ms = clock_wall_ms();
    return self;
}

static void metric_family_free(struct metric_family *family)
{
    while (family->first != NULL) {
        struct metric *metric = family->first;
        family->first = metric->next;
        free(metric->labels);
        free(metric);
    }
    free(family->name);
    free(family->help);
    free(family);
}

void metrics_destroy(struct metrics **self_p)
{
    struct metrics *self = *self_p;
    if (self == NULL)
        return;
    while (self->first != NULL) {
        struct metric_family *family = self->first;
        self->first = family->next;
        metric_family_free(family);
    }
    free(self);
    *self_p = NULL;
}

/* ---- Series ------------------------------------------------------------------------------- */

static struct metric_family *metrics_family(struct metrics *self, enum metric_type type,
                                            const char *name, const char *help)
{
    struct metric_family **place = &self->first;
    while (*place != NULL && strcmp((*place)->name, name) != 0)
        place = &(*place)->next;
    if (*place == NULL) {
        *place = alloc_zero(sizeof **place);
        (*place)->type = type;
        (*place)->name = metrics_copy(name);
        (*place)->help = metrics_copy(help);
    }
    assert((*place)->type == type);
    return *place;
}

static struct metric *metrics_series(struct metrics *self, enum metric_type type, const char *name,
                                     const char *labels, const char *help)
{
    struct metric **place = &metrics_family(self, type, name, help)->first;
    labels = labels != NULL ? labels : "";
    while (*place != NULL && strcmp((*place)->labels, labels) != 0)
        place = &(*place)->next;
    if (*place == NULL) {
        *place = alloc_zero(sizeof **place);
        (*place)->type = type;
        (*place)->labels = metrics_copy(labels);
    }
    return *place;
}

struct metric *metrics_counter(struct metrics *self, const char *name, const char *labels,
                               const char *help)
{
    return metrics_series(self, METRIC_COUNTER, name, labels, help);
}

struct metric *metrics_gauge(struct metrics *self, const char *name, const char *labels,
                             const char *help)
{
    return metrics_series(self, METRIC_GAUGE, name, labels, help);
}

struct metric *metrics_histogram(struct metrics *self, const char *name, const char *labels,
                                 const char *help)
{
    return metrics_series(self, METRIC_HISTOGRAM, name, labels, help);
}

void metric_add(struct metric *self, double value)
{
    if (self == NULL)
        return;
    assert(self->type != METRIC_HISTOGRAM);
    assert(self->type != METRIC_COUNTER || value >= 0);
    self->value += value;
}

void metric_set(struct metric *self, double value)
{
    if (self == NULL)
        return;
    assert(self->type == METRIC_GAUGE);
    self->value = value;
}

void metric_observe(struct metric *self, double seconds)
{
    if (self == NULL)
        return;
    assert(self->type == METRIC_HISTOGRAM);
    size_t bucket = 0;
    while (bucket < METRIC_BOUNDS && seconds > metric_bounds[bucket])
        bucket++;
    if (bucket < METRIC_BOUNDS)
        self->buckets[bucket]++;
    self->count++;
    self->value += seconds;
}

double metric_value(const struct metric *self)
{
    return self != NULL ? self->value : 0;
}

/* ---- Text --------------------------------------------------------------------------------- */

static void metrics_put(struct bytes_writer *text, const char *string)
{
    bytes_put_raw(text, string, strlen(string));
}

/* A number without loss: whole ones as such, others so that they read back the same. */
static void metrics_put_number(struct bytes_writer *text, double value)
{
    char number[40];
    if (value == floor(value) && fabs(value) < 1e15)
        snprintf(number, sizeof number, "%.0f", value);
    else
        snprintf(number, sizeof number, "%.17g", value);
    metrics_put(text, number);
}

/* One line: name, suffix, {labels,bound}, value. */
static void metrics_put_line(struct bytes_writer *text, const char *name, const char *suffix,
                             const char *labels, const char *bound, double value)
{
    metrics_put(text, name);
    metrics_put(text, suffix);
    if (labels[0] != '\0' || bound != NULL) {
        metrics_put(text, "{");
        metrics_put(text, labels);
        if (bound != NULL) {
            metrics_put(text, labels[0] != '\0' ? ",le=\"" : "le=\"");
            metrics_put(text, bound);
            metrics_put(text, "\"");
        }
        metrics_put(text, "}");
    }
    metrics_put(text, " ");
    metrics_put_number(text, value);
    metrics_put(text, "\n");
}

static void metrics_put_head(struct bytes_writer *text, const char *name, enum metric_type type,
                             const char *help)
{
    metrics_put(text, "# HELP ");
    metrics_put(text, name);
    metrics_put(text, " ");
    metrics_put(text, help);
    metrics_put(text, "\n# TYPE ");
    metrics_put(text, name);
    metrics_put(text, " ");
    metrics_put(text, metric_type_names[type]);
    metrics_put(text, "\n");
}

static void metrics_put_histogram(struct bytes_writer *text, const char *name,
                                  const struct metric *metric)
{
    uint64_t count = 0;
    char bound[16];
    for (size_t i = 0; i < METRIC_BOUNDS; i++) {
        count += metric->buckets[i];
        snprintf(bound, sizeof bound, "%g", metric_bounds[i]);
        metrics_put_line(text, name, "_bucket", metric->labels, bound, (double)count);
    }
    metrics_put_line(text, name, "_bucket", metric->labels, "+Inf", (double)metric->count);
    metrics_put_line(text, name, "_sum", metric->labels, NULL, metric->value);
    metrics_put_line(text, name, "_count", metric->labels, NULL, (double)metric->count);
}

static void metrics_put_family(struct bytes_writer *text, const struct metric_family *family)
{
    metrics_put_head(text, family->name, family->type, family->help);
    for (const struct metric *metric = family->first; metric != NULL; metric = metric->next) {
        if (metric->type == METRIC_HISTOGRAM)
            metrics_put_histogram(text, family->name, metric);
        else
            metrics_put_line(text, family->name, "", metric->labels, NULL, metric->value);
    }
}

/* ---- The process -------------------------------------------------------------------------- */

static double metrics_cpu_seconds(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Second number of /proc/self/statm, in pages (proc(5)). */
static double metrics_resident_bytes(void)
{
    char line[128] = "";
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    const char *read = fgets(line, sizeof line, file);
    const char *second = read != NULL ? strchr(line, ' ') : NULL;
    fclose(file);
    return second != NULL ? (double)strtoul(second, NULL, 10) * (double)sysconf(_SC_PAGESIZE) : 0;
}

/* Entries of /proc/self/fd, less the one that this look opens. */
static double metrics_open_fds(void)
{
    DIR *folder = opendir("/proc/self/fd");
    const struct dirent *entry;
    double count = -1;

    if (folder == NULL)
        return 0;
    while ((entry = readdir(folder)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static double metrics_max_fds(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (double)limit.rlim_cur : 0;
}

static void metrics_put_process(struct bytes_writer *text, const struct metrics *self)
{
    const struct {
        const char *name;
        enum metric_type type;
        const char *help;
        double value;
    } rows[] = {
        {"process_cpu_seconds_total", METRIC_COUNTER, "User and system time.",
         metrics_cpu_seconds()},
        {"process_resident_memory_bytes", METRIC_GAUGE, "Resident memory.",
         metrics_resident_bytes()},
        {"process_open_fds", METRIC_GAUGE, "Open file descriptors.", metrics_open_fds()},
        {"process_max_fds", METRIC_GAUGE, "Limit of open file descriptors.", metrics_max_fds()},
        {"process_start_time_seconds", METRIC_GAUGE, "Start, in seconds since 1970.",
         (double)self->start_wall_ms / 1000},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        metrics_put_head(text, rows[i].name, rows[i].type, rows[i].help);
        metrics_put_line(text, rows[i].name, "", "", NULL, rows[i].value);
    }
}

void metrics_write(struct metrics *self, struct bytes_writer *text)
{
    metrics_put_head(text, "pygmy_build_info", METRIC_GAUGE, "Always 1; the labels say what runs.");
    metrics_put_line(text, "pygmy_build_info", "",
                     "version=\"" PYGMY_VERSION "\",protocol=\"PYGMY1\"", NULL, 1);
    metrics_put_process(text, self);
    for (const struct metric_family *family = self->first; family != NULL; family = family->next)
        metrics_put_family(text, family);
}
