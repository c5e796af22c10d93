/* What a service hands to the runtime: its generated dispatch table and its life cycle. workers/runtime/services.c lists all services that the
 * binary holds; SOUK_WORKER_SERVICES says which ones a process serves. */
#ifndef RUNTIME_SERVICE_H
#define RUNTIME_SERVICE_H

#include "runtime/ctx.h"
#include "souk/envelope.h"
#include "souk/loop.h"
#include "souk/schema.h"

/* Generated typed thunk around the handler. request and reply are structs of the method's types. */
typedef souk_err_t (*souk_thunk_fn)(souk_ctx_t *ctx, const void *request, void *reply);

/* A batchable method: one call of many. Each call owns its context, request, reply and error (SOUK_OK from the start). */
typedef struct {
    souk_ctx_t *ctx;
    const void *request;
    void *reply;
    souk_err_t err;
} souk_call_t;
typedef struct {
    void *service, *slot; /* as of souk_ctx_service, souk_ctx_slot */
    uint32_t remaining_ms;
} souk_batch_t;
typedef void (*souk_batch_fn)(souk_batch_t *batch, souk_call_t *calls, size_t calls_count);

/* Generated, one row a method. */
typedef struct {
    const char *name;
    const souk_type_t *request, *reply;
    souk_thunk_fn run;        /* inline and slot */
    souk_batch_fn run_batch;  /* batch */
    souk_lane_t lane;
    souk_class_t class_;
    size_t memory_bytes_max, reply_bytes_max;
} souk_method_t;

typedef struct souk_worker_config souk_worker_config_t; /* generated: gen/config.h */

typedef struct {
    const char *name;
    const souk_method_t *methods;
    size_t methods_count;
    /* Runs on the bus thread before READY. May start threads of its own. ret_service is handed to all others. NULL: none. */
    souk_err_t (*start)(const souk_worker_config_t *config, souk_loop_t *loop, void **ret_service);
    void (*stop)(void *service);
    /* Runs on each slot's thread, for a connection of its own. A failure here is tried again; the worker is up meanwhile. NULL: none. */
    souk_err_t (*slot_start)(void *service, void **ret_slot);
    void (*slot_stop)(void *service, void *slot);
    /* Polled by the bus thread each turn and at least ten times a second: the worker says READY to the broker while true. NULL: always. */
    bool (*ready)(void *service);
} souk_service_t;

#endif
