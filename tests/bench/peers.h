/* The two ends of the broker's benchmark: one client that keeps so many requests under way, and one
 * worker that sends each body back. They are the same for whatever stands between them; only what
 * they say differs.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BENCH_PEERS_H
#define PYGMY_BENCH_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum speech {
    SPEECH_BARE,   /* the body alone */
    SPEECH_PLAIN,  /* Majordomo 0.2 */
    SPEECH_SINGLE, /* the extension, one request or answer in each message */
    SPEECH_BATCH,  /* the extension, as many as there are */
};

/* A body begins with the time at which it was sent. */
#define BODY_BYTES 64

/* Times from request to answer, counted by the microsecond. */
#define TIMES_US_MAX 1000000
struct times {
    uint64_t count;
    uint32_t by_us[TIMES_US_MAX + 1]; /* the last holds all above */
};
void times_add(struct times *self, int64_t us);
uint32_t times_percentile(const struct times *self, double share);

/* A socket without high-water marks: a proxy would drop what is above them. */
void *bench_socket(void *context, int type, const char *endpoint, bool bind);

struct client_options {
    void *context;
    const char *endpoint;
    const char *service; /* not for SPEECH_BARE */
    enum speech speech;
    size_t window;           /* requests under way */
    int64_t run_us;          /* that count; the same client has run for a quarter of this before */
    void (*mark)(void *arg); /* called when counting begins and when it ends */
    void *arg;
};

/* Returns requests answered in a second. @times is filled. Ends the process when an answer is an
 * error or does not come. */
double client_run(const struct client_options *options, struct times *times);

struct worker_options {
    const char *endpoint;
    const char *service; /* not for SPEECH_BARE */
    enum speech speech;
    uint32_t credit;
    bool bind; /* SPEECH_BARE: be the ROUTER that clients connect to */
};

/* Serve until the process is ended. */
_Noreturn void worker_run(const struct worker_options *options);

/* Wait until the broker says that somebody serves @service; ends the process if that takes 5 s. */
void client_wait_served(void *context, const char *endpoint, const char *service);

#endif
