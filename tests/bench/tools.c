/* See tools.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/tools.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "tests/bench/peers.h"

bool bench_options(const char *program, int argc, char **argv, bool *json, size_t *rounds)
{
    *json = argc > 1 && strcmp(argv[1], "--json") == 0;
    const char *word = argc > 1 + *json ? argv[1 + *json] : NULL;
    char *end = "";
    const long number = word != NULL ? strtol(word, &end, 10) : ROUNDS_DEFAULT;
    *rounds = (size_t)number;
    if (argc <= 2 + *json && *end == '\0' && number >= 1 && number <= ROUNDS_MAX)
        return true;
    fprintf(stderr, "usage: %s [--json] [ROUNDS]    1 to %d rounds, by default %d\n", program,
            ROUNDS_MAX, ROUNDS_DEFAULT);
    return false;
}

/* ---- Figures ---------------------------------------------------------- */

static int double_compare(const void *one, const void *other)
{
    const double a = *(const double *)one, b = *(const double *)other;
    return a < b ? -1 : a > b;
}

struct spread spread_of(const double *values, size_t count)
{
    double sorted[ROUNDS_MAX];
    assert(count > 0 && count <= ROUNDS_MAX);
    memcpy(sorted, values, count * sizeof *values);
    qsort(sorted, count, sizeof *sorted, double_compare);
    return (struct spread){sorted[count / 2], sorted[0], sorted[count - 1]};
}

struct spread spread_of_ratios(const double *values, const double *beside, size_t count)
{
    double ratios[ROUNDS_MAX] = {0};
    for (size_t i = 0; i < count; i++)
        ratios[i] = values[i] / beside[i];
    return spread_of(ratios, count);
}

json_t *spread_json(struct spread spread)
{
    return json_pack("{s:f, s:f, s:f}", "median", spread.median, "least", spread.least, "most",
                     spread.most);
}

/* ---- Processes -------------------------------------------------------- */

pid_t child_new(void)
{
    const pid_t pid = fork();
    assert(pid >= 0);
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

void child_end(pid_t pid)
{
    if (pid <= 0)
        return;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

void endpoint_choose(void *context, char endpoint[ENDPOINT_BYTES])
{
    size_t size = ENDPOINT_BYTES;
    void *socket = bench_socket(context, ZMQ_ROUTER, "tcp://127.0.0.1:*", true);
    zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size);
    zmq_close(socket);
}
