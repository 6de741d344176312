/* See signals.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/signals.h"

#include <assert.h>
#include <czmq.h>
#include <signal.h>
#include <sys/signalfd.h>

int signals_take(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    zsys_handler_set(NULL); /* else czmq takes both with its first socket */
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    assert(fd >= 0);
    return fd;
}
