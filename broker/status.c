#include "status.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

struct souk_status {
    pthread_mutex_t lock; /* held only to copy */
    bool settled;
    size_t count, max;
    souk_service_view_t *views;
};

souk_status_t *souk_status_new(size_t services_max) {
    souk_status_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->views = calloc(services_max, sizeof(*self->views));
    souk_assert(self->views != NULL);
    self->max = services_max;
    pthread_mutex_init(&self->lock, NULL);
    return self;
}

void souk_status_destroy(souk_status_t **self_p) {
    if (*self_p != NULL) {
        pthread_mutex_destroy(&(*self_p)->lock);
        free((*self_p)->views);
        free(*self_p);
        *self_p = NULL;
    }
}

void souk_status_put(souk_status_t *self, const souk_service_view_t *views, size_t views_count,
                     bool settled) {
    souk_assert(views_count <= self->max);
    pthread_mutex_lock(&self->lock);
    self->count = views_count;
    self->settled = settled;
    if (views_count > 0) {
        memcpy(self->views, views, views_count * sizeof(*views));
    }
    pthread_mutex_unlock(&self->lock);
}

/* demand is what the autoscaler divides: ready alone would let it stop busy workers. */
static void s_write(souk_buf_t *body, const souk_service_view_t *view) {
    uint64_t ready = 0, inflight = 0;
    int64_t oldest_us = 0;
    for (int priority = 0; priority < SOUK_PRIORITIES_COUNT; priority++) {
        const souk_queue_view_t *queue = &view->queues[priority];
        ready += queue->queued;
        inflight += queue->inflight;
        oldest_us = queue->oldest_us > oldest_us ? queue->oldest_us : oldest_us;
    }
    souk_buf_printf(body,
                    "{\"ready\":%" PRIu64 ",\"inflight\":%" PRIu64 ",\"demand\":%" PRIu64
                    ",\"oldest_seconds\":%" PRId64 ".%03" PRId64 ",\"workers\":%" PRIu32
                    ",\"slots_free\":%" PRIu32 "}",
                    ready, inflight, ready + inflight, oldest_us / 1000000, oldest_us / 1000 % 1000,
                    view->workers, view->slots_free);
}

static int s_answer_all(const souk_status_t *self, souk_buf_t *body) {
    souk_buf_append_str(body, SOUK_STR("{\"queues\":{"));
    for (size_t i = 0; i < self->count; i++) {
        /* names are [a-z][a-z0-9_]*: nothing to escape */
        souk_buf_printf(body, "%s\"%s\":", i == 0 ? "" : ",", self->views[i].name);
        s_write(body, &self->views[i]);
    }
    souk_buf_append_str(body, SOUK_STR("}}\n"));
    return 200;
}

static int s_answer_one(const souk_status_t *self, souk_str_t name, souk_buf_t *body) {
    for (size_t i = 0; i < self->count; i++) {
        if (souk_str_equal(name, souk_str_of(self->views[i].name))) {
            s_write(body, &self->views[i]);
            souk_buf_append_byte(body, '\n');
            return 200;
        }
    }
    return 404;
}

int souk_status_answer(void *arg, souk_str_t path_rest, souk_buf_t *ret_body) {
    souk_status_t *self = arg;
    int status = 503;
    pthread_mutex_lock(&self->lock);
    if (self->settled) {
        status = path_rest.size == 0 ? s_answer_all(self, ret_body)
                                     : s_answer_one(self, path_rest, ret_body);
    }
    pthread_mutex_unlock(&self->lock);
    return status;
}
