#include "gate.h"

void catalog_gate_init(catalog_gate_t *self, void (*on_free)(void *arg), void *arg) {
    *self = (catalog_gate_t){.on_free = on_free, .arg = arg};
    souk_assert(pthread_mutex_init(&self->mutex, NULL) == 0);
    souk_assert(pthread_cond_init(&self->writer_done, NULL) == 0);
}

void catalog_gate_done(catalog_gate_t *self) {
    souk_assert(self->readers == 0 && !self->writer_in);
    pthread_cond_destroy(&self->writer_done);
    pthread_mutex_destroy(&self->mutex);
}

void catalog_gate_read(catalog_gate_t *self) {
    pthread_mutex_lock(&self->mutex);
    while (self->writer_in || self->writer_wants) {
        pthread_cond_wait(&self->writer_done, &self->mutex);
    }
    self->readers++;
    pthread_mutex_unlock(&self->mutex);
}

void catalog_gate_read_end(catalog_gate_t *self) {
    pthread_mutex_lock(&self->mutex);
    souk_assert(self->readers > 0);
    self->readers--;
    bool free_for_writer = self->readers == 0 && self->writer_wants;
    pthread_mutex_unlock(&self->mutex);
    if (free_for_writer) {
        self->on_free(self->arg);
    }
}

bool catalog_gate_try_write(catalog_gate_t *self) {
    pthread_mutex_lock(&self->mutex);
    bool entered = self->readers == 0;
    self->writer_wants = !entered;
    self->writer_in = entered;
    pthread_mutex_unlock(&self->mutex);
    return entered;
}

void catalog_gate_give_up(catalog_gate_t *self) {
    pthread_mutex_lock(&self->mutex);
    self->writer_wants = false;
    pthread_cond_broadcast(&self->writer_done);
    pthread_mutex_unlock(&self->mutex);
}

void catalog_gate_write_end(catalog_gate_t *self) {
    pthread_mutex_lock(&self->mutex);
    souk_assert(self->writer_in);
    self->writer_in = false;
    pthread_cond_broadcast(&self->writer_done);
    pthread_mutex_unlock(&self->mutex);
}
