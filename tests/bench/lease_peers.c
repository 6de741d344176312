/* Caches and a writer, for bench_lease_cost: handles of libpygmy that do what a line of standard
 * input says, and answer it with one line.
 *
 *   hold N FIRST COUNT        have N handles with a cache, each its own; once each has held all the
 *                             items under a lease: "held"
 *   write FIRST COUNT TIMES   so many movements of stock, each sent when the one before is
 *                             answered, to each of the items in turn: what each took, in
 *                             microseconds
 *   ask SERVICE JSON          an operation of the protocol: its answer, as JSON
 *
 * It ends with its input, and with status 1 at what it can't do.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/clock.h"
#include "client/store/pygmy.h"

#define CACHES_MAX   100
#define ITEMS_MAX    1000
#define ENTRIES      (2 * ITEMS_MAX)
#define LOOKUPS_MAX  32 /* of one cache under way */
#define FILL_TURN_MS 5
#define LINE_BYTES   4096
#define READ_BYTES   1024
#define ASK_MS       10000
#define NUMBER_MAX   1000000
#define NAME_BYTES   32

struct peers {
    zloop_t *loop;
    const char *config;
    struct pygmy *store; /* without a cache: who writes and asks */
    struct pygmy *caches[CACHES_MAX];
    bool held[CACHES_MAX]; /* it was seen to hold all that "hold" asks for */
    size_t cache_count;
    char input[LINE_BYTES];
    size_t input_size;
    /* What is under way. */
    int fill_timer; /* -1: no "hold" */
    int64_t first, count;
    int64_t times, written;
    int64_t begun_us;
};

static void fail(const char *what, const char *detail)
{
    fprintf(stderr, "lease_peers: %s: %s\n", what, detail);
    exit(EXIT_FAILURE);
}

static struct pygmy *peers_open(struct peers *self, const char *name, size_t entries)
{
    struct pygmy *store = NULL;
    char *error = NULL;
    const struct pygmy_options options = {
        .name = name, .loop = self->loop, .config = self->config, .cache_entries = entries};

    if (pygmy_open(&options, &store, &error) != 0)
        fail("can't open the store", error);
    return store;
}

/* ---- hold ----------------------------------------------------------------------------------- */

/* It is in the cache, or it is not and the next turn asks again. */
static void hold_on_item(void *arg, const struct pygmy_reply *reply)
{
    (void)arg;
    (void)reply;
}

/* Returns whether this one holds all, after asking for some of what it does not. */
static bool hold_fill(struct peers *self, struct pygmy *cache)
{
    struct pygmy_cache_counts counts;
    struct pygmy_cached item;

    pygmy_cache_count(cache, &counts);
    if (counts.lease_left_ms == 0 || pygmy_pending(cache) > 0)
        return false;
    for (int64_t id = self->first; id < self->first + self->count; id++) {
        if (!pygmy_cached_item(cache, id, &item))
            pygmy_lookup(cache, id, hold_on_item, NULL);
        if (pygmy_pending(cache) == LOOKUPS_MAX)
            break;
    }
    return pygmy_pending(cache) == 0;
}

static int hold_turn(zloop_t *loop, int timer_id, void *arg)
{
    struct peers *self = arg;
    bool held = true;

    for (size_t i = 0; i < self->cache_count; i++) {
        self->held[i] = self->held[i] || hold_fill(self, self->caches[i]);
        held = held && self->held[i];
    }
    if (!held)
        return 0;
    zloop_timer_end(loop, timer_id);
    self->fill_timer = -1;
    puts("held");
    return 0;
}

static void hold_fewer(struct peers *self, size_t count)
{
    while (self->cache_count > count)
        pygmy_close(&self->caches[--self->cache_count]);
}

static void hold(struct peers *self, size_t count)
{
    char name[NAME_BYTES];

    hold_fewer(self, count);
    memset(self->held, 0, sizeof self->held);
    while (self->cache_count < count) {
        snprintf(name, sizeof name, "cache-%zu", self->cache_count + 1);
        self->caches[self->cache_count++] = peers_open(self, name, ENTRIES);
    }
    self->fill_timer = zloop_timer(self->loop, FILL_TURN_MS, 0, hold_turn, self);
}

/* ---- write ---------------------------------------------------------------------------------- */

static void write_next(struct peers *self);

static void write_done(void *arg, const struct pygmy_reply *reply)
{
    struct peers *self = arg;
    const int64_t took_us = clock_us() - self->begun_us;

    if (reply->code != 0)
        fail("a write", pygmy_code_type(reply->code));
    printf("%s%" PRId64, self->written == 0 ? "" : " ", took_us);
    self->written++;
    write_next(self);
}

static void write_next(struct peers *self)
{
    if (self->written == self->times) {
        self->times = 0;
        puts("");
        return;
    }
    self->begun_us = clock_us();
    pygmy_stock(self->store, self->first + self->written % self->count, 1, NULL, NULL, write_done,
                self);
}

/* ---- ask ------------------------------------------------------------------------------------ */

static void ask_done(void *arg, const struct pygmy_reply *reply)
{
    (void)arg;
    if (reply->code != 0)
        fail("an operation", pygmy_code_type(reply->code));
    json_dumpf(reply->body, stdout, JSON_COMPACT);
    puts("");
}

static void ask(struct peers *self, const char *service, const char *text)
{
    json_t *request = json_loads(text, 0, NULL);

    if (request == NULL)
        fail("no JSON", text);
    pygmy_start(self->store, &(struct pygmy_call){.service = service,
                                                  .request = request,
                                                  .timeout_ms = ASK_MS,
                                                  .done = ask_done,
                                                  .arg = self});
}

/* ---- Lines ---------------------------------------------------------------------------------- */

/* Three numbers after the word @verb; each is 0 to NUMBER_MAX. */
static bool line_has(const char *line, const char *verb, int64_t numbers[3])
{
    const size_t size = strlen(verb);
    char *end;

    if (strncmp(line, verb, size) != 0)
        return false;
    line += size;
    for (size_t i = 0; i < 3; i++, line = end) {
        numbers[i] = strtoll(line, &end, 10);
        if (end == line || numbers[i] < 0 || numbers[i] > NUMBER_MAX)
            return false;
    }
    return *line == '\0';
}

static void peers_obey(struct peers *self, char *line)
{
    int64_t numbers[3];

    assert(self->fill_timer < 0 && self->times == 0); /* one thing at a time */
    if (line_has(line, "hold ", numbers) && numbers[0] <= CACHES_MAX && numbers[2] <= ITEMS_MAX) {
        self->first = numbers[1], self->count = numbers[2];
        hold(self, (size_t)numbers[0]);
    } else if (line_has(line, "write ", numbers) && numbers[1] > 0 && numbers[2] > 0) {
        self->first = numbers[0], self->count = numbers[1], self->times = numbers[2];
        self->written = 0;
        write_next(self);
    } else if (strncmp(line, "ask ", 4) == 0 && strchr(line + 4, ' ') != NULL) {
        char *end = strchr(line + 4, ' ');
        *end = '\0';
        ask(self, line + 4, end + 1);
    } else {
        fail("no such command", line);
    }
}

static void peers_take_lines(struct peers *self)
{
    char *end;

    while ((end = memchr(self->input, '\n', self->input_size)) != NULL) {
        *end = '\0';
        peers_obey(self, self->input);
        self->input_size -= (size_t)(end + 1 - self->input);
        memmove(self->input, end + 1, self->input_size);
    }
    if (sizeof self->input - self->input_size < READ_BYTES)
        fail("no such command", "a line is too long");
}

static int peers_on_input(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    struct peers *self = arg;
    const ssize_t got = read(item->fd, self->input + self->input_size, READ_BYTES);

    (void)loop;
    if (got <= 0)
        return -1; /* the end */
    self->input_size += (size_t)got;
    peers_take_lines(self);
    return 0;
}

int main(int argc, char **argv)
{
    struct peers self = {.fill_timer = -1};
    zmq_pollitem_t input = {.fd = STDIN_FILENO, .events = ZMQ_POLLIN};

    if (argc != 2) {
        fprintf(stderr, "usage: lease_peers CONFIG    (bench_lease_cost starts it)\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    self.config = argv[1];
    self.loop = zloop_new();
    self.store = peers_open(&self, "writer", 0);
    zloop_poller(self.loop, &input, peers_on_input, &self);
    zloop_start(self.loop);
    hold_fewer(&self, 0);
    pygmy_close(&self.store);
    zloop_destroy(&self.loop);
    return EXIT_SUCCESS;
}
