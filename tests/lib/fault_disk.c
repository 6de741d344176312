/* See fault_disk.h.
 *
 * A path below the root has a number, its *name*. A *file* is what a name stands for at a time: it
 * keeps its number when it is renamed, and a name that is made again stands for another file. What
 * happened is a list of *events*.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/fault_disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/files.h"
#include "tests/lib/life.h"

#define PATH_BYTES   200
#define NAMES_MAX    64
#define FILES_MAX    256
#define EVENTS_MAX   65536
#define BYTES_MAX    ((size_t)64 << 20)
#define SECTOR_BYTES 512
#define NO_NAME      (-1)

enum event_type {
    EVENT_WRITE,
    EVENT_TRUNCATE,
    EVENT_SYNC,   /* of a file: what was written to it before is durable */
    EVENT_FORGET, /* what was written to it before and is not durable never will be */
    EVENT_CREATE, /* a name for a new file */
    EVENT_DIRECTORY,
    EVENT_RENAME,
    EVENT_REMOVE,
    EVENT_SYNC_NAMES, /* of a directory */
};

struct event {
    enum event_type type;
    int file;
    int name;        /* of which; of a directory, for SYNC_NAMES */
    int to;          /* name after a rename */
    uint64_t offset; /* size, for TRUNCATE */
    size_t size;
    size_t data; /* where its bytes are kept */
};

struct fault_disk {
    char root[PATH_BYTES];
    char base[PATH_BYTES]; /* empty: none */
    enum fault_kind kind;
    int64_t nth;
    bool for_good;
    char only[PATH_BYTES];
    char except[PATH_BYTES];
    int64_t calls; /* of the kind that the plan speaks of */
    int64_t strikes;
    uint64_t grown; /* bytes, since the plan was made */
    pthread_mutex_t mutex;
    char names[NAMES_MAX][PATH_BYTES]; /* below the root; the root's own is empty */
    int name_count;
    bool seen[NAMES_MAX];   /* whether it has been looked for in the base */
    int file_of[NAMES_MAX]; /* what a name stands for; -1: nothing, or a directory */
    int origin[FILES_MAX];  /* the name under which a file stands in the base; or NO_NAME */
    int name_of[FILES_MAX]; /* its newest name, for the plan */
    uint64_t size[FILES_MAX];
    int file_count;
    struct event events[EVENTS_MAX];
    size_t event_count;
    size_t byte_count;
    uint8_t bytes[BYTES_MAX];
};

static void disk_set(char *to, const char *text)
{
    int length = snprintf(to, PATH_BYTES, "%s", text != NULL ? text : "");

    assert(length < PATH_BYTES);
    (void)length;
}

/* Interposed calls have no argument to bring it by. Written once, before there are threads. */
static struct fault_disk *fault_disk_of_process;

struct fault_disk *fault_disk_new(void)
{
    return life_share(sizeof(struct fault_disk));
}

void fault_disk_destroy(struct fault_disk **self_p)
{
    if (*self_p != NULL)
        munmap(*self_p, sizeof **self_p);
    *self_p = NULL;
}

void fault_disk_reset(struct fault_disk *self, const char *root, const char *base)
{
    disk_set(self->root, root);
    disk_set(self->base, base);
    self->name_count = self->file_count = 0;
    self->event_count = self->byte_count = 0;
    fault_disk_plan(self, &(struct fault_plan){.kind = FAULT_NONE});
}

void fault_disk_plan(struct fault_disk *self, const struct fault_plan *plan)
{
    self->kind = plan->kind;
    self->nth = plan->nth;
    self->for_good = plan->for_good;
    disk_set(self->only, plan->only);
    disk_set(self->except, plan->except);
    self->calls = self->strikes = 0;
    self->grown = 0;
}

int64_t fault_disk_strikes(const struct fault_disk *self)
{
    return self->strikes;
}

void fault_disk_mount(struct fault_disk *self)
{
    pthread_mutex_init(&self->mutex, NULL); /* whoever had it may have been killed with it */
    fault_disk_of_process = self;
}

struct fault_disk *fault_disk_mounted(void)
{
    return fault_disk_of_process;
}

size_t fault_disk_moment(const struct fault_disk *self)
{
    return self->event_count;
}

/* ---- Names --------------------------------------------------------------------------------- */

/* The number of a path; NO_NAME when it is not below the root. */
static int disk_name(struct fault_disk *self, const char *path)
{
    size_t length = strlen(self->root);

    if (strncmp(path, self->root, length) != 0 || (path[length] != '/' && path[length] != '\0'))
        return NO_NAME;
    path += length + (path[length] == '/');
    for (int name = 0; name < self->name_count; name++)
        if (strcmp(self->names[name], path) == 0)
            return name;
    assert(self->name_count < NAMES_MAX);
    disk_set(self->names[self->name_count], path);
    self->file_of[self->name_count] = -1;
    self->seen[self->name_count] = false;
    return self->name_count++;
}

/* The directory that a name stands in. */
static int disk_parent(struct fault_disk *self, int name)
{
    char path[2 * PATH_BYTES];
    const char *slash = strrchr(self->names[name], '/');

    snprintf(path, sizeof path, "%s/%.*s", self->root,
             slash != NULL ? (int)(slash - self->names[name]) : 0, self->names[name]);
    if (slash == NULL)
        path[strlen(self->root)] = '\0';
    return disk_name(self, path);
}

static int disk_new_file(struct fault_disk *self, int name, int origin, uint64_t size)
{
    int file = self->file_count++;

    assert(file < FILES_MAX);
    self->file_of[name] = file;
    self->name_of[file] = name;
    self->origin[file] = origin;
    self->size[file] = size;
    return file;
}

/* The file of a name that stands for one; else -1. One of the base is known from when it is first
 * asked for. */
static int disk_file(struct fault_disk *self, int name)
{
    struct stat status;
    char path[2 * PATH_BYTES];

    if (self->file_of[name] >= 0 || self->seen[name])
        return self->file_of[name];
    self->seen[name] = true;
    snprintf(path, sizeof path, "%s/%s", self->base, self->names[name]);
    if (*self->base != '\0' && stat(path, &status) == 0 && S_ISREG(status.st_mode))
        disk_new_file(self, name, name, (uint64_t)status.st_size);
    return self->file_of[name];
}

/* ---- What goes wrong ----------------------------------------------------------------------- */

static bool disk_concerns(const struct fault_disk *self, int name)
{
    const char *path = self->names[name];

    return (*self->only == '\0' || strstr(path, self->only) != NULL) &&
           (*self->except == '\0' || strstr(path, self->except) == NULL);
}

/* Whether a call of that kind is struck. Every call is asked about for FAULT_KILL first. */
static bool disk_strikes(struct fault_disk *self, enum fault_kind kind, int name)
{
    if (self->kind != kind || !disk_concerns(self, name))
        return false;
    self->calls++;
    if (self->calls < self->nth || (self->calls > self->nth && !self->for_good))
        return false;
    self->strikes++;
    return true;
}

/* Enter a call about a file. */
static void disk_enter(struct fault_disk *self, int name)
{
    pthread_mutex_lock(&self->mutex);
    if (disk_strikes(self, FAULT_KILL, name))
        raise(SIGKILL);
}

/* Enter a call about a path. Returns its name; NO_NAME when it is not below the root, and then the
 * call is over already. */
static int disk_enter_path(struct fault_disk *self, const char *path)
{
    pthread_mutex_lock(&self->mutex);
    int name = disk_name(self, path);
    pthread_mutex_unlock(&self->mutex);
    if (name != NO_NAME)
        disk_enter(self, name);
    return name;
}

static int disk_leave(struct fault_disk *self, int error)
{
    pthread_mutex_unlock(&self->mutex);
    return error;
}

static struct event *disk_event(struct fault_disk *self, enum event_type type, int file, int name)
{
    struct event *event = &self->events[self->event_count++];

    assert(self->event_count < EVENTS_MAX);
    *event = (struct event){.type = type, .file = file, .name = name};
    return event;
}

/* ---- The calls ----------------------------------------------------------------------------- */

int fault_disk_open(struct fault_disk *self, const char *path, int flags, int *file)
{
    int name = disk_enter_path(self, path);

    *file = FAULT_UNTRACKED;
    if (name == NO_NAME)
        return 0;
    int found = disk_file(self, name);
    if (disk_strikes(self, FAULT_OPEN, name))
        return disk_leave(self, EIO);
    if (found < 0 && (flags & O_CREAT) != 0 && disk_strikes(self, FAULT_ENTRY, name))
        return disk_leave(self, EIO);
    if (found < 0 && (flags & O_CREAT) != 0) {
        found = disk_new_file(self, name, NO_NAME, 0);
        disk_event(self, EVENT_CREATE, found, name);
    }
    if (found >= 0 && (flags & O_TRUNC) != 0) {
        disk_event(self, EVENT_TRUNCATE, found, name);
        self->size[found] = 0;
    }
    *file = found;
    return disk_leave(self, 0);
}

/* How much of a write still finds room. */
static size_t disk_room(struct fault_disk *self, int file, size_t size, uint64_t offset)
{
    uint64_t end = offset + size;
    uint64_t growth = end > self->size[file] ? end - self->size[file] : 0;
    uint64_t room = (uint64_t)self->nth * FAULT_FULL_BYTES;

    if (self->kind != FAULT_FULL || !disk_concerns(self, self->name_of[file]) || growth == 0)
        return size;
    room = room > self->grown ? room - self->grown : 0;
    if (growth <= room) {
        self->grown += growth;
        return size;
    }
    self->strikes++;
    self->grown += room;
    return growth - room < size ? size - (size_t)(growth - room) : 0;
}

static void disk_record_write(struct fault_disk *self, int file, const void *data, size_t size,
                              uint64_t offset)
{
    struct event *event = disk_event(self, EVENT_WRITE, file, NO_NAME);

    assert(self->byte_count + size <= BYTES_MAX);
    event->offset = offset;
    event->size = size;
    event->data = self->byte_count;
    memcpy(self->bytes + self->byte_count, data, size);
    self->byte_count += size;
    if (offset + size > self->size[file])
        self->size[file] = offset + size;
}

int fault_disk_write(struct fault_disk *self, int file, const void *data, size_t *size,
                     uint64_t offset)
{
    int name = self->name_of[file];
    size_t wanted = *size;
    int error = 0;

    disk_enter(self, name);
    *size = disk_room(self, file, wanted, offset);
    if (*size < wanted)
        error = ENOSPC;
    else if (disk_strikes(self, FAULT_WRITE_LOST, name))
        *size = 0;
    else if (disk_strikes(self, FAULT_WRITE, name)) {
        *size = 0;
        error = EIO;
    } else if (disk_strikes(self, FAULT_WRITE_PART, name)) {
        *size /= 2;
        error = EIO;
    }
    if (*size > 0)
        disk_record_write(self, file, data, *size, offset);
    return disk_leave(self, error);
}

int fault_disk_truncate(struct fault_disk *self, int file, uint64_t size)
{
    int name = self->name_of[file];

    disk_enter(self, name);
    if (disk_strikes(self, FAULT_TRUNCATE, name))
        return disk_leave(self, EIO);
    disk_event(self, EVENT_TRUNCATE, file, NO_NAME)->offset = size;
    self->size[file] = size;
    return disk_leave(self, 0);
}

int fault_disk_sync(struct fault_disk *self, int file)
{
    int name = self->name_of[file];
    int error = 0;

    disk_enter(self, name);
    if (disk_strikes(self, FAULT_SYNC, name)) {
        disk_event(self, EVENT_FORGET, file, NO_NAME);
        error = EIO;
    } else if (!disk_strikes(self, FAULT_SYNC_SKIPPED, name)) {
        disk_event(self, EVENT_SYNC, file, NO_NAME);
    }
    return disk_leave(self, error);
}

int fault_disk_make(struct fault_disk *self, const char *path)
{
    int name = disk_enter_path(self, path);

    if (name == NO_NAME)
        return 0;
    if (access(path, F_OK) == 0) /* the call itself will tell */
        return disk_leave(self, 0);
    if (disk_strikes(self, FAULT_ENTRY, name))
        return disk_leave(self, EIO);
    disk_event(self, EVENT_DIRECTORY, -1, name);
    return disk_leave(self, 0);
}

int fault_disk_rename(struct fault_disk *self, const char *from, const char *to)
{
    int name = disk_enter_path(self, from);

    if (name == NO_NAME)
        return 0;
    int file = disk_file(self, name);
    if (file < 0)
        return disk_leave(self, 0);
    if (disk_strikes(self, FAULT_ENTRY, name))
        return disk_leave(self, EIO);
    int target = disk_name(self, to);
    assert(target != NO_NAME);
    disk_file(self, target);
    disk_event(self, EVENT_RENAME, file, name)->to = target;
    self->file_of[name] = -1;
    self->file_of[target] = file;
    self->name_of[file] = target;
    return disk_leave(self, 0);
}

int fault_disk_remove(struct fault_disk *self, const char *path)
{
    int name = disk_enter_path(self, path);

    if (name == NO_NAME)
        return 0;
    int file = disk_file(self, name);
    if (file < 0)
        return disk_leave(self, 0);
    if (disk_strikes(self, FAULT_ENTRY, name))
        return disk_leave(self, EIO);
    disk_event(self, EVENT_REMOVE, file, name);
    self->file_of[name] = -1;
    return disk_leave(self, 0);
}

static int disk_sync_names(struct fault_disk *self, int name)
{
    int error = 0;

    if (disk_strikes(self, FAULT_SYNC_NAMES, name))
        error = EIO;
    else if (!disk_strikes(self, FAULT_SYNC_SKIPPED, name))
        disk_event(self, EVENT_SYNC_NAMES, -1, name);
    return disk_leave(self, error);
}

int fault_disk_sync_directory(struct fault_disk *self, const char *path)
{
    int name = disk_enter_path(self, path);

    return name == NO_NAME ? 0 : disk_sync_names(self, name);
}

int fault_disk_sync_parent(struct fault_disk *self, const char *path)
{
    int name = disk_enter_path(self, path);

    return name == NO_NAME ? 0 : disk_sync_names(self, disk_parent(self, name));
}

/* ---- Images -------------------------------------------------------------------------------- */

/* A file as it comes to be on the disk. */
struct content {
    uint8_t *bytes;
    uint64_t size;
};

struct image {
    const struct fault_disk *disk;
    size_t moment;
    enum fault_loss loss;
    uint64_t random;
    size_t names_kept;      /* events of names, not synced, that are there nevertheless */
    size_t last_write;      /* the last event that is a write */
    int file_of[NAMES_MAX]; /* -1: nothing stands there */
    bool directory[NAMES_MAX];
    struct content contents[FILES_MAX];
};

static uint64_t image_random(struct image *self, uint64_t bound)
{
    self->random = self->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (self->random >> 33) % bound;
}

static void content_resize(struct content *self, uint64_t size)
{
    self->bytes = realloc(self->bytes, size > 0 ? size : 1);
    if (size > self->size)
        memset(self->bytes + self->size, 0, size - self->size);
    self->size = size;
}

static void content_put(struct content *self, const uint8_t *bytes, uint64_t offset, size_t size)
{
    if (offset + size > self->size)
        content_resize(self, offset + size);
    memcpy(self->bytes + offset, bytes, size);
}

static void content_load(struct content *self, const char *base, const char *name)
{
    char *path = files_path(base, name);
    FILE *file = fopen(path, "rb");
    size_t size = files_size(path);

    content_resize(self, size);
    if (file == NULL || fread(self->bytes, 1, size, file) != size)
        abort();
    fclose(file);
    free(path);
}

/* ---- What of a file's bytes is there */

/* Whether the event, a write or truncation, is durable for certain. */
static bool image_is_synced(const struct image *self, size_t at)
{
    const struct event *events = self->disk->events;

    for (size_t i = at + 1; i < self->moment; i++) {
        if (events[i].file != events[at].file)
            continue;
        if (events[i].type == EVENT_SYNC)
            return true;
        if (events[i].type == EVENT_FORGET)
            return false;
    }
    return false;
}

/* The first half, and garbage for the rest. */
static void image_put_torn(struct content *content, const struct event *event, const uint8_t *bytes)
{
    size_t half = event->size / 2;
    uint8_t garbage[SECTOR_BYTES];

    content_put(content, bytes, event->offset, half);
    memset(garbage, 0xa5, sizeof garbage);
    for (size_t done = half; done < event->size; done += SECTOR_BYTES) {
        size_t left = event->size - done;
        content_put(content, garbage, event->offset + done,
                    left < SECTOR_BYTES ? left : SECTOR_BYTES);
    }
}

/* Each sector for itself. */
static void image_put_some(struct image *self, struct content *content, const struct event *event,
                           const uint8_t *bytes)
{
    size_t size;

    for (size_t done = 0; done < event->size; done += size) {
        uint64_t offset = event->offset + done;
        size = SECTOR_BYTES - (size_t)(offset % SECTOR_BYTES);
        if (size > event->size - done)
            size = event->size - done;
        if (image_random(self, 2) == 0)
            content_put(content, bytes + done, offset, size);
    }
}

static void image_put(struct image *self, size_t at)
{
    const struct event *event = &self->disk->events[at];
    const uint8_t *bytes = self->disk->bytes + event->data;
    struct content *content = &self->contents[event->file];
    bool synced = image_is_synced(self, at);

    if (event->type == EVENT_TRUNCATE) {
        if (synced || self->loss == FAULT_LOSE_TAIL ||
            (self->loss == FAULT_LOSE_SOME && image_random(self, 2) == 0))
            content_resize(content, event->offset);
    } else if (synced || (self->loss == FAULT_LOSE_TAIL && at != self->last_write)) {
        content_put(content, bytes, event->offset, event->size);
    } else if (self->loss == FAULT_LOSE_TAIL) {
        image_put_torn(content, event, bytes);
    } else if (self->loss == FAULT_LOSE_SOME) {
        image_put_some(self, content, event, bytes);
    }
}

/* ---- Which names are there */

static bool image_name_is_synced(const struct image *self, size_t at)
{
    const struct fault_disk *disk = self->disk;
    const char *path = disk->names[disk->events[at].name];
    const char *slash = strrchr(path, '/');
    size_t length = slash != NULL ? (size_t)(slash - path) : 0;

    for (size_t i = at + 1; i < self->moment; i++)
        if (disk->events[i].type == EVENT_SYNC_NAMES) {
            const char *synced = disk->names[disk->events[i].name];
            if (strlen(synced) == length && strncmp(synced, path, length) == 0)
                return true;
        }
    return false;
}

static bool event_is_of_names(const struct event *event)
{
    return event->type == EVENT_CREATE || event->type == EVENT_DIRECTORY ||
           event->type == EVENT_RENAME || event->type == EVENT_REMOVE;
}

static void image_name(struct image *self, size_t at)
{
    const struct event *event = &self->disk->events[at];

    if (!image_name_is_synced(self, at)) {
        if (self->names_kept == 0)
            return;
        self->names_kept--;
    }
    switch (event->type) {
    case EVENT_DIRECTORY: self->directory[event->name] = true; break;
    case EVENT_CREATE: self->file_of[event->name] = event->file; break;
    case EVENT_RENAME:
        self->file_of[event->name] = -1;
        self->file_of[event->to] = event->file;
        break;
    default: self->file_of[event->name] = -1; break;
    }
}

/* How many of the changes of names that were not synced are there: the first ones, for a file
 * system keeps these in order. */
static void image_choose_names(struct image *self)
{
    size_t count = 0;

    for (size_t i = 0; i < self->moment; i++)
        count += event_is_of_names(&self->disk->events[i]) && !image_name_is_synced(self, i);
    if (self->loss == FAULT_LOSE_DATA || self->loss == FAULT_LOSE_TAIL)
        self->names_kept = count;
    else if (self->loss == FAULT_LOSE_SOME)
        self->names_kept = (size_t)image_random(self, count + 1);
}

/* ---- All of it */

static void image_begin(struct image *self)
{
    const struct fault_disk *disk = self->disk;

    for (int name = 0; name < NAMES_MAX; name++)
        self->file_of[name] = -1;
    for (int file = 0; file < disk->file_count; file++)
        if (disk->origin[file] != NO_NAME) {
            self->file_of[disk->origin[file]] = file;
            content_load(&self->contents[file], disk->base, disk->names[disk->origin[file]]);
        }
    for (size_t i = 0; i < self->moment; i++)
        if (disk->events[i].type == EVENT_WRITE)
            self->last_write = i;
    image_choose_names(self);
}

static void image_run(struct image *self)
{
    for (size_t i = 0; i < self->moment; i++) {
        const struct event *event = &self->disk->events[i];
        if (event->type == EVENT_WRITE || event->type == EVENT_TRUNCATE)
            image_put(self, i);
        else if (event_is_of_names(event))
            image_name(self, i);
    }
}

static void image_write(const struct image *self, const char *target)
{
    const struct fault_disk *disk = self->disk;

    for (int name = 0; name < disk->name_count; name++) {
        char *path = files_path(target, disk->names[name]);
        if (self->directory[name])
            (void)mkdir(path, 0700);
        int file = self->file_of[name];
        FILE *out = file >= 0 ? fopen(path, "wb") : NULL; /* not without its directory */
        if (out != NULL) {
            const struct content *content = &self->contents[file];
            if (content->size > 0 && fwrite(content->bytes, 1, content->size, out) != content->size)
                abort();
            fclose(out);
        }
        free(path);
    }
}

/* Remove what stands at @target, and put a copy of the base there. */
static void image_prepare(const struct fault_disk *disk, const char *target)
{
    if (files_exist(target)) {
        char *old = files_path(target, "");
        files_remove_directory(&old);
    }
    if (*disk->base != '\0')
        files_copy_tree(disk->base, target);
    else if (mkdir(target, 0700) != 0)
        abort();
    for (int name = 0; name < disk->name_count; name++) {
        char *path = files_path(target, disk->names[name]);
        if (disk->seen[name])
            (void)unlink(path); /* it is written anew, or is not there */
        free(path);
    }
}

void fault_disk_image(const struct fault_disk *self, size_t moment, enum fault_loss loss,
                      uint64_t seed, const char *target)
{
    struct image *image = calloc(1, sizeof *image);

    assert(fault_disk_of_process == NULL);
    image->disk = self;
    image->moment = moment;
    image->loss = loss;
    image->random = seed;
    image_begin(image);
    image_run(image);
    image_prepare(self, target);
    image_write(image, target);
    for (int file = 0; file < FILES_MAX; file++)
        free(image->contents[file].bytes);
    free(image);
}
