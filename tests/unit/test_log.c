/* Log lines, as they arrive on standard error.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/bus/limits.h"
#include "broker/bus/log.h"

/* Standard error goes into a file while a test runs. */
struct capture {
    int saved;
    FILE *file;
    char text[4096];
};

static void capture_begin(struct capture *self)
{
    self->file = tmpfile();
    assert_non_null(self->file);
    self->saved = dup(STDERR_FILENO);
    assert_true(dup2(fileno(self->file), STDERR_FILENO) >= 0);
}

/* Return what was written, less the time stamp of its first line. */
static const char *capture_end(struct capture *self)
{
    assert_true(dup2(self->saved, STDERR_FILENO) >= 0);
    close(self->saved);
    rewind(self->file);
    self->text[fread(self->text, 1, sizeof self->text - 1, self->file)] = '\0';
    fclose(self->file);
    const char *level = strstr(self->text, " level=");
    return level != NULL ? level + 1 : self->text;
}

/* A line has the fixed fields first, then those of the caller, numbers as numbers. */
static void test_a_line_holds_its_fields_in_order(void **state)
{
    struct capture capture;
    struct log *log = log_new("order", "order-1", LOG_LEVEL_INFO);
    (void)state;

    capture_begin(&capture);
    log_write(log, LOG_LEVEL_INFO, "took the lead", LOG_INT("term", -7),
              LOG_UINT("big", UINT64_MAX), LOG_TEXT("peer", "order-2"), LOG_TEXT("none", NULL));
    assert_string_equal(capture_end(&capture),
                        "level=info comp=order node=order-1 msg=\"took the lead\" term=-7 "
                        "big=18446744073709551615 peer=order-2 none=\"\"\n");
    assert_memory_equal(capture.text, "ts=20", 5);
    log_destroy(&log);
    assert_null(log);
    log_destroy(&log);
}

/* Whatever a peer sends, it stays one line and one field. */
static void test_a_value_cannot_forge_a_line(void **state)
{
    struct capture capture;
    struct log *log = log_new("x", "y", LOG_LEVEL_DEBUG);
    (void)state;

    capture_begin(&capture);
    log_write(log, LOG_LEVEL_WARN, "odd", LOG_TEXT("v", "a\nts=1 \"q\"\\ \x1b[2J \xc3\xab=\t"));
    assert_string_equal(capture_end(&capture),
                        "level=warn comp=x node=y msg=odd "
                        "v=\"a\\nts=1 \\\"q\\\"\\\\ \\x1b[2J \\xc3\\xab=\\x09\"\n");
    log_destroy(&log);
}

/* A value is cut at its bound, and says so. */
static void test_a_long_value_is_cut(void **state)
{
    struct capture capture;
    struct log *log = log_new("x", "y", LOG_LEVEL_DEBUG);
    char value[LOG_VALUE_BYTES_MAX + 2];
    (void)state;

    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = '\0';
    capture_begin(&capture);
    log_write(log, LOG_LEVEL_INFO, "long", LOG_TEXT("v", value));
    const char *cut = strchr(strstr(capture_end(&capture), " v="), '"');
    assert_int_equal(strspn(cut + 1, "v"), LOG_VALUE_BYTES_MAX);
    assert_string_equal(cut + 1 + LOG_VALUE_BYTES_MAX, "...\"\n");
    log_destroy(&log);
}

/* Lines below the level are not written. */
static void test_the_level_decides_what_is_written(void **state)
{
    struct capture capture;
    struct log *log = log_new("x", "y", LOG_LEVEL_WARN);
    (void)state;

    capture_begin(&capture);
    log_write(log, LOG_LEVEL_INFO, "hidden", LOG_END);
    log_write(log, LOG_LEVEL_WARN, "seen", LOG_END);
    log_write(NULL, LOG_LEVEL_ERROR, "nowhere", LOG_END);
    assert_string_equal(capture_end(&capture), "level=warn comp=x node=y msg=seen\n");
    log_destroy(&log);
}

/* The four names are levels, and nothing else is. */
static void test_levels_are_known_by_name(void **state)
{
    (void)state;
    assert_int_equal(log_level_parse("debug"), LOG_LEVEL_DEBUG);
    assert_int_equal(log_level_parse("info"), LOG_LEVEL_INFO);
    assert_int_equal(log_level_parse("warn"), LOG_LEVEL_WARN);
    assert_int_equal(log_level_parse("error"), LOG_LEVEL_ERROR);
    assert_int_equal(log_level_parse("INFO"), -1);
    assert_int_equal(log_level_parse(""), -1);
}

/* A log that begins when standard error is a file writes to it as to anything else; numbers are
 * whole up to the last. */
static void test_a_file_is_written_to(void **state)
{
    struct capture capture;
    (void)state;

    capture_begin(&capture);
    struct log *log = log_new("x", "y", LOG_LEVEL_INFO);
    log_write(log, LOG_LEVEL_INFO, "m", LOG_INT("least", INT64_MIN), LOG_INT("most", INT64_MAX),
              LOG_INT("none", 0));
    assert_string_equal(capture_end(&capture), "level=info comp=x node=y msg=m "
                                               "least=-9223372036854775808 "
                                               "most=9223372036854775807 none=0\n");
    log_destroy(&log);
}

/* A pipe that nobody reads loses lines and holds up nobody. */
static void test_a_full_pipe_loses_lines_and_does_not_block(void **state)
{
    int ends[2];
    char page[4096] = {0};
    (void)state;

    int saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    struct log *log = log_new("order", "order-1", LOG_LEVEL_INFO);
    for (int i = 0; i < 2000; i++) /* more than any pipe holds */
        log_write(log, LOG_LEVEL_INFO, "nobody reads this", LOG_INT("line", i));
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    assert_true(read(ends[0], page, sizeof page) > 0);
    assert_memory_equal(page, "ts=20", 5);
    close(saved);
    close(ends[0]);
    close(ends[1]);
    log_destroy(&log);
}

/* How much has been written into the file so far. */
static long capture_size(const struct capture *self)
{
    struct stat status;
    assert_int_equal(fstat(fileno(self->file), &status), 0);
    return (long)status.st_size;
}

/* Lines that are held come together and in order when they are released, not before. */
static void test_held_lines_are_written_together(void **state)
{
    struct capture capture;
    (void)state;

    capture_begin(&capture);
    struct log *log = log_new("x", "y", LOG_LEVEL_INFO);
    log_hold(log);
    log_write(log, LOG_LEVEL_INFO, "first", LOG_END);
    log_write(log, LOG_LEVEL_INFO, "second", LOG_END);
    assert_int_equal(capture_size(&capture), 0);
    log_release(log);
    assert_true(capture_size(&capture) > 0);
    log_release(log);
    log_write(log, LOG_LEVEL_INFO, "third", LOG_END);
    log_hold(log);
    log_write(log, LOG_LEVEL_INFO, "last", LOG_END);
    log_destroy(&log);
    capture_end(&capture);
    const char *first = strstr(capture.text, "msg=first\n"), *second, *third;
    assert_non_null(first);
    assert_non_null(second = strstr(first, "msg=second\n"));
    assert_non_null(third = strstr(second, "msg=third\n"));
    assert_non_null(strstr(third, "msg=last\n"));
}

/* Who looks for why a process has ended finds it, and what came before. */
static void test_a_warning_is_not_held_nor_what_was_before_it(void **state)
{
    struct capture capture;
    (void)state;

    capture_begin(&capture);
    struct log *log = log_new("x", "y", LOG_LEVEL_INFO);
    log_hold(log);
    log_write(log, LOG_LEVEL_INFO, "before", LOG_END);
    log_write(log, LOG_LEVEL_WARN, "odd", LOG_END);
    const long at_once = capture_size(&capture);
    log_destroy(&log);
    assert_int_equal(capture_size(&capture), at_once);
    capture_end(&capture);
    assert_non_null(strstr(capture.text, "msg=before\n"));
    assert_non_null(strstr(capture.text, "msg=odd\n"));
}

/* However many lines there are, memory for them is bounded. */
static void test_no_more_lines_are_held_than_the_bound(void **state)
{
    struct capture capture;
    size_t lines = 0;
    (void)state;

    capture_begin(&capture);
    struct log *log = log_new("x", "y", LOG_LEVEL_INFO);
    log_hold(log);
    while (capture_size(&capture) == 0 && lines++ < LOG_HELD_BYTES_MAX)
        log_write(log, LOG_LEVEL_INFO, "a line", LOG_END);
    const long size = capture_size(&capture);
    log_destroy(&log);
    capture_end(&capture);
    assert_in_range(size, LOG_HELD_BYTES_MAX, LOG_HELD_BYTES_MAX + LOG_VALUE_BYTES_MAX);
}

/* A pipe may be several processes' own, whose lines must not mix: nothing is held for it. */
static void test_a_pipe_gets_each_line_at_once(void **state)
{
    int ends[2], saved = dup(STDERR_FILENO);
    char text[256];
    (void)state;

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    struct log *log = log_new("x", "y", LOG_LEVEL_INFO);
    log_hold(log);
    log_write(log, LOG_LEVEL_INFO, "at once", LOG_END);
    const ssize_t size = read(ends[0], text, sizeof text);
    log_release(log);
    const ssize_t more = read(ends[0], text, sizeof text);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    assert_true(size > 0);
    assert_true(more < 0);
    close(saved);
    close(ends[0]);
    close(ends[1]);
    log_destroy(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_holds_its_fields_in_order),
        cmocka_unit_test(test_a_value_cannot_forge_a_line),
        cmocka_unit_test(test_a_long_value_is_cut),
        cmocka_unit_test(test_the_level_decides_what_is_written),
        cmocka_unit_test(test_levels_are_known_by_name),
        cmocka_unit_test(test_a_file_is_written_to),
        cmocka_unit_test(test_a_full_pipe_loses_lines_and_does_not_block),
        cmocka_unit_test(test_held_lines_are_written_together),
        cmocka_unit_test(test_a_warning_is_not_held_nor_what_was_before_it),
        cmocka_unit_test(test_no_more_lines_are_held_than_the_bound),
        cmocka_unit_test(test_a_pipe_gets_each_line_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
