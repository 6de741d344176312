/* See problem.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/bridge/problem.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "broker/bus/err.h"

#define PROBLEM_TYPE        "urn:pygmy:problem:"
#define PROBLEM_RETRY_AFTER "1" /* second: a fail-over takes less than half of one */

static const char problem_unknown[] = "The outcome is unknown: it may have taken effect, or may "
                                      "still. Send the same request with the "
                                      "same Idempotency-Key to find out; that is safe.";
static const char problem_late[] = "There was no answer in time. To ask again is safe.";

/* Members of ours, which those of a store's error must not replace; and the log's time, which is
 * between the store and us. */
static bool problem_is_ours(const char *name)
{
    static const char *const names[] = {"type",     "title",      "status",  "detail",
                                        "instance", "request_id", "log_time"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* Text of which the store or a client may have said anything: what is not UTF-8 is left out. */
static void problem_set_text(json_t *object, const char *name, const char *text)
{
    json_t *string = text != NULL ? json_string(text) : NULL;
    if (string != NULL)
        json_object_set_new(object, name, string);
}

static json_t *problem_json(const struct problem *self)
{
    char type[64];
    snprintf(type, sizeof type, PROBLEM_TYPE "%s", err_type(self->code));
    json_t *object = json_pack("{s:s, s:s, s:i}", "type", type, "title", err_title(self->code),
                               "status", err_http(self->code));
    const char *detail = self->detail;
    if (err_is_unknown(self->code))
        detail = self->write ? problem_unknown : problem_late;

    problem_set_text(object, "detail", detail);
    problem_set_text(object, "instance", self->instance);
    problem_set_text(object, "request_id", self->request_id);
    const char *name;
    json_t *value;
    json_object_foreach(self->extra, name, value)
    {
        if (!problem_is_ours(name))
            json_object_set(object, name, value);
    }
    return object;
}

struct http_reply *problem_reply(const struct problem *self)
{
    int status = err_http(self->code);
    struct http_reply *reply = http_reply_new(status);
    json_t *object = problem_json(self);
    char *text = json_dumps(object, JSON_COMPACT);

    assert(self->code != OK && text != NULL);
    json_decref(object);
    http_reply_body(reply, "application/problem+json", text, strlen(text));
    http_reply_header(reply, "Cache-Control", "no-store");
    if (status == 503 || status == 429)
        http_reply_header(reply, "Retry-After", PROBLEM_RETRY_AFTER);
    if (status == 401)
        http_reply_header(reply, "WWW-Authenticate", "Bearer realm=\"pygmy\"");
    return reply;
}

struct problem problem_of_answer(int code, const json_t *body)
{
    json_t *error = json_object_get(body, "error");
    return (struct problem){
        .code = code,
        .detail = json_string_value(json_object_get(error, "detail")),
        .extra = json_is_object(error) ? error : NULL,
    };
}
