/* Metrics, as the text that Prometheus reads.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/metrics.h"

static void expect_text(struct metrics *metrics, const char *part)
{
    struct bytes_writer text = {0};
    metrics_write(metrics, &text);
    bytes_put_u8(&text, 0);
    if (strstr((const char *)text.data, part) == NULL)
        print_error("%s", (const char *)text.data);
    assert_non_null(strstr((const char *)text.data, part));
    bytes_writer_close(&text);
}

/* A series is there from the moment it is made, with 0. */
static void test_a_series_starts_at_zero(void **state)
{
    struct metrics *metrics = metrics_new();
    (void)state;

    metrics_counter(metrics, "pygmy_x_total", NULL, "Things.");
    metrics_gauge(metrics, "pygmy_y", "service=\"order\"", "Levels.");
    expect_text(metrics, "# HELP pygmy_x_total Things.\n# TYPE pygmy_x_total counter\n"
                         "pygmy_x_total 0\n");
    expect_text(metrics, "# TYPE pygmy_y gauge\npygmy_y{service=\"order\"} 0\n");
    metrics_destroy(&metrics);
    assert_null(metrics);
    metrics_destroy(&metrics);
}

/* The same name and labels are the same series; other labels another one of the same family. */
static void test_a_series_is_made_once(void **state)
{
    struct metrics *metrics = metrics_new();
    struct metric *one = metrics_counter(metrics, "pygmy_x_total", "a=\"1\"", "Things.");
    struct metric *other = metrics_counter(metrics, "pygmy_x_total", "a=\"2\"", "Things.");
    (void)state;

    assert_ptr_equal(metrics_counter(metrics, "pygmy_x_total", "a=\"1\"", "Things."), one);
    assert_ptr_not_equal(one, other);
    metric_add(one, 3);
    metric_add(other, 0.5);
    expect_text(metrics, "# TYPE pygmy_x_total counter\npygmy_x_total{a=\"1\"} 3\n"
                         "pygmy_x_total{a=\"2\"} 0.5\n");
    metrics_destroy(&metrics);
}

/* Gauges go up and down and are set. */
static void test_a_gauge_moves_both_ways(void **state)
{
    struct metrics *metrics = metrics_new();
    struct metric *gauge = metrics_gauge(metrics, "pygmy_y", NULL, "Levels.");
    (void)state;

    metric_set(gauge, 5);
    metric_add(gauge, -7);
    assert_true(metric_value(gauge) == -2);
    expect_text(metrics, "\npygmy_y -2\n");
    metrics_destroy(&metrics);
}

/* Buckets are cumulative, a value at a bound belongs below it, and one above all is counted. */
static void test_a_histogram_cumulates_its_buckets(void **state)
{
    struct metrics *metrics = metrics_new();
    struct metric *histogram = metrics_histogram(metrics, "pygmy_z_seconds", "r=\"x\"", "Times.");
    (void)state;

    metric_observe(histogram, 0.0001);
    metric_observe(histogram, 0.0002);
    metric_observe(histogram, 99);
    expect_text(metrics, "pygmy_z_seconds_bucket{r=\"x\",le=\"0.0001\"} 1\n"
                         "pygmy_z_seconds_bucket{r=\"x\",le=\"0.00025\"} 2\n");
    expect_text(metrics, "pygmy_z_seconds_bucket{r=\"x\",le=\"10\"} 2\n"
                         "pygmy_z_seconds_bucket{r=\"x\",le=\"+Inf\"} 3\n");
    expect_text(metrics, "pygmy_z_seconds_count{r=\"x\"} 3\n");
    metrics_destroy(&metrics);
}

/* Modules without a registry hold NULL series. */
static void test_a_null_series_is_ignored(void **state)
{
    (void)state;
    metric_add(NULL, 1);
    metric_set(NULL, 1);
    metric_observe(NULL, 1);
    assert_true(metric_value(NULL) == 0);
}

/* Every process tells its version and its resources. */
static void test_the_process_describes_itself(void **state)
{
    struct metrics *metrics = metrics_new();
    (void)state;

    expect_text(metrics, "pygmy_build_info{version=\"" PYGMY_VERSION "\"");
    expect_text(metrics, "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total ");
    expect_text(metrics, "\nprocess_open_fds ");
    expect_text(metrics, "\nprocess_max_fds ");
    expect_text(metrics, "\nprocess_resident_memory_bytes ");
    expect_text(metrics, "\nprocess_start_time_seconds ");
    metrics_destroy(&metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_series_starts_at_zero),
        cmocka_unit_test(test_a_series_is_made_once),
        cmocka_unit_test(test_a_gauge_moves_both_ways),
        cmocka_unit_test(test_a_histogram_cumulates_its_buckets),
        cmocka_unit_test(test_a_null_series_is_ignored),
        cmocka_unit_test(test_the_process_describes_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
