/* What brokers and replicas may send to a watch, of any bytes. The first byte says where it begins:
 * 'n' from now on, any other behind an index. Then each line is a letter and a JSON text: 'a' is an
 * answer to what was asked, 't' lets time pass, any other letter a live message.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/store_json.h"
#include "client/store/position.h"

#define REPLICAS 3
#define PASS_MS  5000
#define GROUP    "order"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the subscriber knows by what it was told. */
struct subscriber {
    struct position *position;
    int64_t known;
    int64_t now_ms;
    bool asking;
};

static void take_change(void *arg, const json_t *change, int64_t resume)
{
    const struct subscriber *self = arg;
    const int64_t version = json_integer_value(json_object_get(change, "version"));
    assert(version > self->known && resume >= self->known);
}

static void take_news(void *arg, enum position_news news, int64_t number)
{
    struct subscriber *self = arg;
    assert(number >= 0);
    if (news == POSITION_RESET)
        self->known = POSITION_NOW;
}

static const struct position_owner owner = {take_change, take_news};

static void take_line(struct subscriber *self, const char *line, size_t size)
{
    char why[STORE_JSON_WHY_BYTES];
    json_t *message = store_json_parse(line + 1, size - 1, why);
    if (line[0] == 't') {
        self->now_ms += PASS_MS;
        position_tick(self->position, self->now_ms);
    } else if (line[0] == 'a' && self->asking) {
        self->asking = false;
        position_answer(self->position, message, self->now_ms);
    } else if (line[0] != 'a' && message != NULL) {
        (void)position_live(self->position, message, size, self->now_ms);
    }
    json_decref(message);
}

/* After anything: the place has not gone back, and a question is one that can be asked. */
static void check(struct subscriber *self)
{
    struct position_ask ask;
    assert(position_known(self->position) >= self->known);
    self->known = position_known(self->position);
    if (!self->asking && position_ask(self->position, self->now_ms, &ask)) {
        assert(ask.replica < REPLICAS && ask.since == self->known);
        self->asking = true;
    }
    assert(!self->asking || !position_ask(self->position, self->now_ms, &ask));
    assert(position_wake_ms(self->position) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data;
    const char *end = at + size;
    struct subscriber self = {.known = POSITION_NOW};
    if (size == 0)
        return 0;
    self.position =
        position_new(GROUP, "", data[0] == 'n' ? POSITION_NOW : 10, REPLICAS, 0, &owner, &self);
    check(&self);
    while (++at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL)
            stop = end;
        if (stop > at)
            take_line(&self, at, (size_t)(stop - at));
        check(&self);
        at = stop;
    }
    position_destroy(&self.position);
    return 0;
}
