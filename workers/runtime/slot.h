/* A slot: a thread (czmq actor) that runs one job at a time, with its own connection for each
 * service.
 *
 * A job is one call, or several of one batchable method. The bus thread fills the slot's job while
 * the slot is idle and hands it over through the inbox; the slot hands itself back through the done
 * mailbox. In between only the slot touches the job, but for cancel flags. So inbox holds at most
 * one item and done at most one for each slot: neither can be full. */
#ifndef RUNTIME_SLOT_H
#define RUNTIME_SLOT_H

#include "queue.h"
#include "souk/mailbox.h"

/* A service as this worker serves it; written by the bus thread before slots start. */
typedef struct {
    const souk_service_t *service;
    void *state; /* of service->start */
} souk_served_t;

typedef struct souk_slot souk_slot_t;

typedef struct {
    const souk_served_t *served; /* borrowed */
    size_t served_count;         /* at most 64 */
    souk_mailbox_t *done;        /* finished slots; borrowed */
    /* On the slot's thread: what souk_slot_started says may have changed. */
    void (*on_change)(void *arg);
    void *arg;
    uint32_t number;
} souk_slot_options_t;

SOUK_MUST_CHECK souk_err_t souk_slot_new(const souk_slot_options_t *options,
                                         souk_slot_t **ret_self);
/* Waits for the running job and for slot_stop. */
void souk_slot_destroy(souk_slot_t **self_p);

/* Any thread: a bit for each service whose slot_start has succeeded here. */
uint64_t souk_slot_started(const souk_slot_t *self);
/* Any thread: the slot is inside a slot_start; a job given now waits for its end. */
bool souk_slot_connecting(const souk_slot_t *self);

/* Bus thread, idle slots only: room for SOUK_BATCH_CALLS_MAX tickets of one method; then go. */
souk_ticket_t **souk_slot_job(souk_slot_t *self);
void souk_slot_run(souk_slot_t *self, size_t tickets_count);
/* Bus thread: the job's tickets; none when idle. While the slot runs, only souk_ctx_cancel may be
 * called on them. */
souk_ticket_t *const *souk_slot_tickets(const souk_slot_t *self, size_t *ret_count);
/* Bus thread, after the slot came through the done mailbox and its tickets were answered: idle
 * again. */
void souk_slot_clear(souk_slot_t *self);
uint32_t souk_slot_number(const souk_slot_t *self);

#endif
