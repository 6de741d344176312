/* A request to the broker itself (node.NAME), of any bytes: the answer is a JSON object that says the
 * same as the code.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "broker/bus/err.h"
#include "broker/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_answer(int code, const struct bytes_writer *answer)
{
    json_t *json =
        json_loadb((const char *)answer->data, answer->size, JSON_REJECT_DUPLICATES, NULL);
    const json_t *error = json_object_get(json, "error");
    const char *type = json_string_value(json_object_get(error, "type"));

    assert(json_is_object(json));
    assert((code == OK) == (error == NULL));
    assert(code == OK || strcmp(type, err_type(code)) == 0);
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct metrics *metrics = metrics_new();
    struct router *router =
        router_new(&(struct router_options){.name = "me",
                                            .limits = {.peers = 1, .services = 1, .requests = 1}},
                   1000);
    struct outbox *outbox = outbox_new(&(struct outbox_options){0});
    struct status *status = status_new(&(struct status_options){
        .name = "me", .metrics = metrics, .router = router, .outbox = outbox});
    struct bytes_writer answer = {0};

    check_answer(status_answer(status, data, size, 1000, &answer), &answer);
    bytes_writer_close(&answer);
    status_destroy(&status);
    outbox_destroy(&outbox);
    router_destroy(&router);
    metrics_destroy(&metrics);
    return 0;
}
