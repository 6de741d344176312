/* What the broker says of itself, at its bounds.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "broker/status.h"
#include "tests/lib/router_rig.h"

/* The status of a rig's router. */
static json_t *status_of(struct rig *rig, size_t *size)
{
    static const char request[] = "{\"op\":\"status\"}";
    struct metrics *metrics = metrics_new();
    struct outbox *outbox = outbox_new(&(struct outbox_options){0});
    struct status *status = status_new(&(struct status_options){
        .name = "broker-1", .metrics = metrics, .router = rig->router, .outbox = outbox});
    struct bytes_writer answer = {0};
    assert_int_equal(status_answer(status, request, strlen(request), rig->now_ms, &answer), OK);
    json_t *json = json_loadb((const char *)answer.data, answer.size, 0, NULL);
    *size = answer.size;
    bytes_writer_close(&answer);
    status_destroy(&status);
    outbox_destroy(&outbox);
    metrics_destroy(&metrics);
    assert_non_null(json);
    return json;
}

/* Service and worker have names as long as they may be, so that the answer is as large as it gets. */
static void add_worker(struct rig *rig, int service, int worker)
{
    char peer[SERVICE_NAME_BYTES_MAX + 1], name[SERVICE_NAME_BYTES_MAX + 1];
    snprintf(peer, sizeof peer, "%0*d", SERVICE_NAME_BYTES_MAX, worker);
    snprintf(name, sizeof name, "%0*d", SERVICE_NAME_BYTES_MAX, service);
    rig_ready(rig, peer, name, 1);
    rig_beat(rig, peer, 'W', 1);
}

/* Above its rows services are only counted, and the answer fits one body. */
static void test_a_status_names_so_many_services(void **state)
{
    struct rig *rig = rig_new(NULL);
    size_t size;
    (void)state;
    for (int i = 0; i < STATUS_ROWS_MAX + 10; i++)
        add_worker(rig, i, i);
    json_t *status = status_of(rig, &size);
    assert_int_equal(json_array_size(json_object_get(status, "services")), STATUS_ROWS_MAX);
    assert_in_range(size, 1, BODY_BYTES_MAX);
    json_decref(status);
    rig_destroy(&rig);
}

/* And so are workers. */
static void test_a_status_names_so_many_workers(void **state)
{
    struct rig *rig = rig_new(NULL);
    size_t size;
    (void)state;
    for (int i = 0; i < STATUS_ROWS_MAX + 10; i++)
        add_worker(rig, 1, i);
    json_t *status = status_of(rig, &size);
    const json_t *service = json_array_get(json_object_get(status, "services"), 0);
    assert_int_equal(json_array_size(json_object_get(service, "workers")), STATUS_ROWS_MAX);
    assert_int_equal(json_integer_value(json_object_get(service, "worker_count")),
                     STATUS_ROWS_MAX + 10);
    assert_in_range(size, 1, BODY_BYTES_MAX);
    json_decref(status);
    rig_destroy(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_status_names_so_many_services),
        cmocka_unit_test(test_a_status_names_so_many_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
