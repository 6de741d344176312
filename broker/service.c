/* See service.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/service.h"

#include <assert.h>
#include <czmq.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"

struct service_table {
    size_t count_max;
    zhashx_t *services;   /* name (in the service) to struct service, owned */
    struct list idle;     /* struct service.idle_link, idle longest first */
    zhashx_t *replay_off; /* names; the values say nothing */
};

bool service_name_valid(const char *name, size_t size)
{
    if (size == 0 || size > SERVICE_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (name[i] < 0x20 || name[i] > 0x7e)
            return false;
    }
    return true;
}

const char *service_class_label(enum service_class class)
{
    static const char *const labels[] = {
#define X(name, label) [name] = (label),
        SERVICE_CLASSES(X)
#undef X
    };
    return labels[class];
}

enum service_class service_classify(const char *name)
{
    if (strncmp(name, "node.", 5) == 0)
        return SERVICE_NODE;
    if (strncmp(name, "mmi.", 4) == 0)
        return SERVICE_MMI;
    for (int class = 0; class <= SERVICE_ORDER_LEADER; class ++) {
        if (strcmp(name, service_class_label((enum service_class) class)) == 0)
            return (enum service_class) class;
    }
    return SERVICE_OTHER;
}

struct service_table *service_table_new(size_t count_max, const char *const *replay_off,
                                        size_t replay_off_count)
{
    struct service_table *self = alloc_zero(sizeof *self);
    self->count_max = count_max;
    self->services = zhashx_new();
    zhashx_set_key_duplicator(self->services, NULL);
    zhashx_set_key_destructor(self->services, NULL);
    self->replay_off = zhashx_new();
    for (size_t i = 0; i < replay_off_count; i++)
        zhashx_insert(self->replay_off, replay_off[i], self);
    list_init(&self->idle);
    return self;
}

static void service_delete(struct service_table *self, struct service *service)
{
    assert(service->worker_count == 0);
    assert(service->in_hand_count == 0);
    list_remove(&service->idle_link);
    zhashx_delete(self->services, service->name);
    ranking_close(&service->ready);
    queue_close(&service->queue);
    frame_close(&service->name_frame);
    free(service);
}

void service_table_destroy(struct service_table **self_p)
{
    struct service_table *self = *self_p;
    if (self == NULL)
        return;
    struct service *service;
    while ((service = zhashx_first(self->services)) != NULL)
        service_delete(self, service);
    zhashx_destroy(&self->services);
    zhashx_destroy(&self->replay_off);
    free(self);
    *self_p = NULL;
}

size_t service_table_count(const struct service_table *self)
{
    return zhashx_size(self->services);
}

struct service *service_find(const struct service_table *self, const char *name, size_t size)
{
    char key[SERVICE_NAME_BYTES_MAX + 1];
    assert(size < sizeof key);
    memcpy(key, name, size);
    key[size] = '\0';
    return zhashx_lookup(self->services, key);
}

static struct service *service_new(const char *name, size_t size)
{
    struct service *service = alloc_zero(sizeof *service);
    memcpy(service->name, name, size);
    frame_init_copy(&service->name_frame, name, size);
    service->class = service_classify(service->name);
    list_init(&service->workers);
    queue_init(&service->queue);
    return service;
}

static struct service *service_idle_longest(const struct service_table *self)
{
    struct list_link *link = list_first(&self->idle);
    return link == NULL ? NULL : LIST_OBJECT(link, struct service, idle_link);
}

struct service *service_obtain(struct service_table *self, const char *name, size_t size,
                               int64_t now_ms)
{
    assert(service_name_valid(name, size));
    struct service *service = service_find(self, name, size);
    if (service != NULL)
        return service;
    if (service_table_count(self) >= self->count_max) {
        struct service *idle = service_idle_longest(self);
        if (idle == NULL || service_promising(idle, now_ms))
            return NULL;
        service_delete(self, idle);
    }
    service = service_new(name, size);
    service->replay_off = zhashx_lookup(self->replay_off, service->name) != NULL;
    int rc = zhashx_insert(self->services, service->name, service);
    assert(rc == 0);
    (void)rc;
    return service;
}

void service_settle(struct service_table *self, struct service *service)
{
    const bool idle =
        service->worker_count == 0 && service->queue.count == 0 && service->in_hand_count == 0;
    if (idle && !service->had_worker)
        service_delete(self, service);
    else if (idle && !list_linked(&service->idle_link))
        list_add_last(&self->idle, &service->idle_link);
    else if (!idle)
        list_remove(&service->idle_link);
}

bool service_promising(const struct service *self, int64_t now_ms)
{
    if (self->worker_count > 0)
        return true;
    return self->had_worker && now_ms - self->worker_left_ms < SERVICE_GRACE_MS;
}

void service_table_tick(struct service_table *self, int64_t now_ms)
{
    struct service *service;
    while ((service = service_idle_longest(self)) != NULL && !service_promising(service, now_ms))
        service_delete(self, service);
}

struct service *service_first(struct service_table *self)
{
    return zhashx_first(self->services);
}

struct service *service_next(struct service_table *self)
{
    return zhashx_next(self->services);
}
