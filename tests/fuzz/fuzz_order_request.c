/* Whatever comes to the order service: requests of any peer, and answers of a catalog that may say
 * anything.
 *
 * The input is lines. "r", "w" and "n" in front of a request: it comes to order, to order.leader or
 * to node.NAME. "a" and a number in front of JSON: the oldest call to the catalog is answered with
 * this code and body. "t" and a number: so many milliseconds pass. What is left is refused at the end.
 *
 * Held: each request gets exactly one answer, numbers have no gaps, and no grant of a catalog that
 * talks nonsense makes an order that could not be read again.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/client.h"
#include "broker/bus/clock.h"
#include "broker/bus/key.h"
#include "services/order/machine.h"
#include "services/order/operations.h"
#include "tests/fuzz/fake_node.h"

#define CALLS_KEPT 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct waiting_call {
    bus_reply_fn *done;
    void *arg;
};

struct bus_client {
    struct waiting_call calls[CALLS_KEPT];
    size_t count;
};

/* What the functions below replace takes no argument of ours, so this one is a variable. */
static struct {
    struct bus_client *client;
    zloop_timer_fn *tick;
    void *tick_arg;
    int64_t now_ms;
} world;

/* ---- In the place of the clock and of the loop's timers ----------------------------------------- */

int64_t clock_ms(void)
{
    return world.now_ms;
}

int64_t clock_us(void)
{
    return world.now_ms * 1000;
}

int64_t clock_wall_ms(void)
{
    return world.now_ms;
}

char *clock_text(int64_t wall_ms, char *text)
{
    (void)wall_ms;
    return strcpy(text, "1970-01-01T00:00:00.000Z");
}

int zloop_timer(zloop_t *self, size_t delay, size_t times, zloop_timer_fn handler, void *arg)
{
    (void)self;
    (void)delay;
    (void)times;
    world.tick = handler;
    world.tick_arg = arg;
    return 1;
}

int zloop_timer_end(zloop_t *self, int timer)
{
    (void)self;
    (void)timer;
    return 0;
}

/* ---- In the place of client.c: the catalog is the input ---------------------------------------- */

struct bus_client *bus_client_new(zloop_t *loop, const struct bus_client_options *options)
{
    (void)loop;
    (void)options;
    world.client = alloc_zero(sizeof *world.client);
    return world.client;
}

void bus_client_destroy(struct bus_client **self_p)
{
    free(*self_p);
    *self_p = NULL;
    world.client = NULL;
}

/* What the service asks for is JSON, and all that a catalog demands of it. */
int bus_client_request(struct bus_client *self, const char *service, const void *body, size_t size,
                       int64_t timeout_ms, bus_reply_fn *done, void *arg)
{
    json_t *request = json_loadb(body, size, JSON_REJECT_DUPLICATES, NULL);
    const char *key = json_string_value(json_object_get(request, "key"));
    json_t *lines = json_object_get(request, "lines");

    assert(json_is_object(request) && strncmp(service, "catalog", strlen("catalog")) == 0);
    assert(key == NULL || key_valid(key, strlen(key)));
    assert(lines == NULL || (json_array_size(lines) >= 1 && key != NULL));
    assert(timeout_ms > 0);
    json_decref(request);
    if (self->count == CALLS_KEPT)
        return ERR_QUEUE_FULL;
    self->calls[self->count++] = (struct waiting_call){done, arg};
    return OK;
}

/* ---- The input ------------------------------------------------------------------------------- */

static int64_t number_at(const char **at, const char *end)
{
    int64_t number = 0;
    for (int digits = 0; digits < 6 && *at < end && **at >= '0' && **at <= '9'; digits++)
        number = 10 * number + (*(*at)++ - '0');
    return number;
}

static void answer(const char *text, const char *end)
{
    struct bus_client *self = world.client;
    const int code = (int)number_at(&text, end) & UINT16_MAX;
    if (self->count == 0)
        return;
    const struct waiting_call call = self->calls[0];
    memmove(self->calls, self->calls + 1, --self->count * sizeof self->calls[0]);
    call.done(call.arg, code, (const uint8_t *)text, (size_t)(end - text));
}

static void pass_time(const char *text, const char *end)
{
    world.now_ms += number_at(&text, end);
    world.tick(NULL, 1, world.tick_arg);
}

static void run_line(struct fake_node *self, const char *line, const char *end)
{
    const size_t size = (size_t)(end - line) - 1;

    switch (line[0]) {
    case 'r': fake_node_request(self, NODE_PORT_READ, line + 1, size); break;
    case 'w': fake_node_request(self, NODE_PORT_WRITE, line + 1, size); break;
    case 'n': fake_node_request(self, NODE_PORT_OWN, line + 1, size); break;
    case 'a': answer(line + 1, end); break;
    case 't': pass_time(line + 1, end); break;
    default: break;
    }
    fake_node_apply(self);
}

/* ---- What must hold -------------------------------------------------------------------------- */

struct seen {
    uint64_t before; /* the number that must not be reached: they fall by one */
};

static bool check_order(void *arg, const struct order *order)
{
    struct seen *seen = arg;
    struct bytes_reader reader;
    struct grant grant;

    assert(order->number == seen->before - 1);
    seen->before = order->number;
    bytes_reader_init(&reader, order->grant, order->grant_size);
    grant_read(&grant, &reader);
    assert(bytes_reader_done(&reader));
    grant_close(&grant);
    return true;
}

static void check_orders(struct orders *orders)
{
    struct seen seen = {.before = orders_last_number(orders) + 1};
    orders_page(orders, 0, check_order, &seen);
    assert(seen.before == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world.now_ms = 1000000;
    struct fake_node *node = fake_node_new(&order_service);
    struct machine *machine = node->replica.machine.self;
    const char *at = (const char *)data, *end = at + size;

    node->replica.machine.lead(machine, true, 1);
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (line_end == NULL)
            line_end = end;
        if (line_end > at)
            run_line(node, at, line_end);
        at = line_end + 1;
    }
    check_orders(machine->orders);
    fake_node_destroy(&node);
    return 0;
}
