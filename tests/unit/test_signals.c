/* Signals as events.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "broker/bus/signals.h"

/* Who is told to end lives on, and reads it; nothing is read when nothing came. */
static void test_the_signals_of_the_end_are_read(void **state)
{
    static const int ends[] = {SIGTERM, SIGINT};
    struct signalfd_siginfo info;
    (void)state;

    const int fd = signals_take();
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        assert_int_equal(kill(getpid(), ends[i]), 0);
        assert_int_equal(read(fd, &info, sizeof info), sizeof info);
        assert_int_equal(info.ssi_signo, ends[i]);
    }
    assert_int_equal(read(fd, &info, sizeof info), -1);
    assert_int_equal(errno, EAGAIN);
    close(fd);
}

/* Writing to a pipe that nobody reads any more is an error, and no death. */
static void test_a_pipe_without_a_reader_is_survived(void **state)
{
    int ends[2];
    (void)state;

    const int fd = signals_take();
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    assert_int_equal(write(ends[1], "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    close(ends[1]);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_signals_of_the_end_are_read),
        cmocka_unit_test(test_a_pipe_without_a_reader_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
