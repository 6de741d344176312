/* The heap of deadlines, compared with a plain search.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include <cmocka.h>

#define NODES 500

/* A small generator, so that each run is the same. */
static uint32_t next_random(uint32_t *random)
{
    *random = *random * 1664525 + 1013904223;
    return *random >> 8;
}

static int64_t earliest(const struct heap_node *nodes)
{
    int64_t at_ms = INT64_MAX;
    for (size_t i = 0; i < NODES; i++)
        if (nodes[i].place != 0 && nodes[i].at_ms < at_ms)
            at_ms = nodes[i].at_ms;
    return at_ms;
}

/* After any mixture of putting in and taking out, from anywhere, the first is the earliest. */
static void test_the_first_is_always_the_earliest(void **state)
{
    struct heap heap = {0};
    struct heap_node nodes[NODES] = {0};
    uint32_t random = 1;
    size_t count = 0;

    (void)state;
    for (size_t step = 0; step < 20000; step++) {
        struct heap_node *node = &nodes[next_random(&random) % NODES];
        if (node->place == 0) {
            node->at_ms = next_random(&random) % 1000; /* with many equal ones */
            heap_push(&heap, node);
            count++;
        } else {
            heap_remove(&heap, node);
            assert_int_equal(node->place, 0);
            count--;
        }
        assert_int_equal(heap.count, count);
        struct heap_node *first = heap_first(&heap);
        assert_true((first == NULL) == (count == 0));
        if (first != NULL)
            assert_true(first->at_ms == earliest(nodes));
    }
    heap_close(&heap);
}

/* Taken from the front, all come in order. */
static void test_nodes_come_out_in_order(void **state)
{
    struct heap heap;
    struct heap_node nodes[NODES] = {0};
    uint32_t random = 2;
    int64_t last_ms = 0;

    (void)state;
    heap_init(&heap);
    assert_null(heap_first(&heap));
    for (size_t i = 0; i < NODES; i++) {
        nodes[i].at_ms = next_random(&random);
        heap_push(&heap, &nodes[i]);
    }
    for (size_t i = 0; i < NODES; i++) {
        struct heap_node *first = heap_first(&heap);
        assert_true(first->at_ms >= last_ms);
        last_ms = first->at_ms;
        heap_remove(&heap, first);
    }
    assert_null(heap_first(&heap));
    heap_close(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_is_always_the_earliest),
        cmocka_unit_test(test_nodes_come_out_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
