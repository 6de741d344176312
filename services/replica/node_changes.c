/* The stream of changes at a node: changes.h has its rules, docs/protocol.md its messages.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/fields.h"
#include "services/replica/node_internal.h"

/* What a page says, with its rows. */
static json_t *node_changes_json(const struct node *self, const struct changes_page *page,
                                 uint64_t index)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:o}", "group",
                     config_kind_name(self->service->kind), "cluster", self->config->uuid, "term",
                     (json_int_t)replica_current_term(self->replica), "from",
                     (json_int_t)page->since, "index", (json_int_t)index, "changes", page->rows);
}

/* Fill a page from the tables here; without @since there is nothing on it. */
static json_t *node_changes_since(const struct node *self, uint64_t since, size_t limit)
{
    const uint64_t applied_index = replica_applied_index(self->replica);
    struct changes_page page;

    changes_page_init(&page, since, limit);
    if (since < applied_index)
        self->service->changes(self->object, &page);
    const uint64_t index = changes_page_index(&page, applied_index);
    json_t *answer = node_changes_json(self, &page, index);
    json_object_set_new(answer, "more", json_boolean(page.more));
    return answer;
}

void node_changes_answer(void *arg, struct node_call *call, json_t *request)
{
    struct node *self = arg;
    int64_t since = (int64_t)replica_applied_index(self->replica);
    int64_t limit = CHANGES_COUNT_MAX;
    struct fields fields;

    fields_init(&fields, request);
    fields_integer_optional(&fields, "since", 0, INT64_MAX, &since);
    fields_integer_optional(&fields, "limit", 1, CHANGES_COUNT_MAX, &limit);
    const int code = fields_end(&fields);
    if (code != OK)
        node_refuse(&call, code, fields.detail, NULL);
    else if (self->service->changes == NULL)
        node_refuse(&call, ERR_NOT_IMPLEMENTED, "there are no tables here", NULL);
    else
        node_answer(&call, node_changes_since(self, (uint64_t)since, (size_t)limit));
}
