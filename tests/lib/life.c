/* See life.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/life.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void life_check(int result, const char *what)
{
    if (result >= 0)
        return;
    perror(what);
    abort();
}

void *life_share(size_t size)
{
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    life_check(memory == MAP_FAILED ? -1 : 0, "mmap");
    return memory;
}

int life_run(int (*body)(void *arg), void *arg, const char *said)
{
    int status;

    fflush(NULL);
    pid_t pid = fork();
    life_check(pid, "fork");
    if (pid == 0) {
        alarm(LIFE_SECONDS_MAX);
        int fd = open(said, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        life_check(fd, said);
        life_check(dup2(fd, STDERR_FILENO), "dup2");
        _exit(body(arg));
    }
    life_check(waitpid(pid, &status, 0), "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
