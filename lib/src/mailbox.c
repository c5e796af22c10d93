#include "souk/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "souk/thread.h"

struct souk_mailbox {
    pthread_mutex_t mutex;
    pthread_cond_t filled; /* monotonic clock */
    void (*notify)(void *arg);
    void *notify_arg;
    size_t items_max;
    size_t first;
    size_t count;
    size_t waiting; /* takers asleep: a put without one costs no system call */
    bool closed;
    void *items[]; /* ring of items_max */
};

/* A mutex of this module can only fail by a bug. */
static void s_lock(souk_mailbox_t *self) {
    int rc = pthread_mutex_lock(&self->mutex);
    souk_assert(rc == 0);
}

static void s_unlock(souk_mailbox_t *self) {
    int rc = pthread_mutex_unlock(&self->mutex);
    souk_assert(rc == 0);
}

souk_mailbox_t *souk_mailbox_new(size_t items_max, void (*notify)(void *arg), void *arg) {
    souk_assert(items_max > 0);
    if (items_max > (SIZE_MAX - sizeof(souk_mailbox_t)) / sizeof(void *)) {
        return NULL;
    }
    souk_mailbox_t *self = calloc(1, sizeof(*self) + items_max * sizeof(void *));
    if (self == NULL) {
        return NULL;
    }
    souk_assert(pthread_mutex_init(&self->mutex, NULL) == 0);
    souk_cond_init(&self->filled);
    self->notify = notify;
    self->notify_arg = arg;
    self->items_max = items_max;
    return self;
}

static void *s_pop(souk_mailbox_t *self) {
    void *item = self->items[self->first];
    self->first = self->first + 1 < self->items_max ? self->first + 1 : 0;
    self->count--;
    return item;
}

void souk_mailbox_destroy(souk_mailbox_t **self_p, void (*free_item)(void *item)) {
    souk_mailbox_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    *self_p = NULL;
    souk_assert(self->waiting == 0);
    souk_assert(self->count == 0 || free_item != NULL);
    while (self->count > 0) {
        free_item(s_pop(self));
    }
    pthread_cond_destroy(&self->filled);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

souk_err_t souk_mailbox_put(souk_mailbox_t *self, void *item) {
    souk_assert(item != NULL);
    souk_err_t err = SOUK_OK;
    void (*notify)(void *arg) = NULL;
    void *notify_arg = NULL;
    s_lock(self);
    if (self->closed) {
        err = SOUK_ERR_CLOSED;
    } else if (self->count == self->items_max) {
        err = SOUK_ERR_OVERLOADED;
    } else {
        if (self->count == 0) { /* copied: once unlocked, the receiver may destroy the mailbox */
            notify = self->notify;
            notify_arg = self->notify_arg;
        }
        size_t at = self->first + self->count;
        self->items[at < self->items_max ? at : at - self->items_max] = item;
        self->count++;
        if (self->waiting > 0) {
            pthread_cond_signal(&self->filled);
        }
    }
    s_unlock(self);
    if (notify != NULL) {
        notify(notify_arg);
    }
    return err;
}

static struct timespec s_until(int timeout_ms) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += timeout_ms / 1000;
    at.tv_nsec += timeout_ms % 1000 * 1000000L;
    if (at.tv_nsec >= 1000000000L) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000L;
    }
    return at;
}

void *souk_mailbox_take(souk_mailbox_t *self, int timeout_ms) {
    struct timespec until = s_until(timeout_ms > 0 ? timeout_ms : 0);
    int rc = timeout_ms == 0 ? ETIMEDOUT : 0;
    s_lock(self);
    while (self->count == 0 && !self->closed && rc == 0) {
        self->waiting++;
        rc = timeout_ms < 0 ? pthread_cond_wait(&self->filled, &self->mutex)
                            : pthread_cond_timedwait(&self->filled, &self->mutex, &until);
        self->waiting--;
    }
    void *item = self->count > 0 ? s_pop(self) : NULL;
    s_unlock(self);
    return item;
}

size_t souk_mailbox_take_all(souk_mailbox_t *self, void **ret_items, size_t items_max) {
    size_t taken = 0;
    s_lock(self);
    while (taken < items_max && self->count > 0) {
        ret_items[taken++] = s_pop(self);
    }
    s_unlock(self);
    return taken;
}

void souk_mailbox_close(souk_mailbox_t *self) {
    s_lock(self);
    self->closed = true;
    pthread_cond_broadcast(&self->filled);
    s_unlock(self);
}

size_t souk_mailbox_count(souk_mailbox_t *self) {
    s_lock(self);
    size_t count = self->count;
    s_unlock(self);
    return count;
}
