/* Lets slot threads read what the bus thread changes, without the bus thread ever waiting. */
#ifndef CATALOG_GATE_H
#define CATALOG_GATE_H

#include <pthread.h>

#include "souk/base.h"

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t writer_done;
    unsigned readers;
    bool writer_wants, writer_in;
    void (*on_free)(void *arg); /* runs on the last reader's thread when the writer was refused */
    void *arg;
} catalog_gate_t;

void catalog_gate_init(catalog_gate_t *self, void (*on_free)(void *arg), void *arg);
void catalog_gate_done(catalog_gate_t *self);

/* Waits while the writer is in or wants in: at most one slice of the writer plus the readers
 * before. */
void catalog_gate_read(catalog_gate_t *self);
void catalog_gate_read_end(catalog_gate_t *self);

/* False when there are readers: no new ones enter then, and on_free is called when the last has
 * left. */
bool catalog_gate_try_write(catalog_gate_t *self);
/* The writer that was refused does not come back: readers need not wait for it. */
void catalog_gate_give_up(catalog_gate_t *self);
void catalog_gate_write_end(catalog_gate_t *self);

#endif
