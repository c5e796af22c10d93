/* What a service hands to the runtime: its generated dispatch table and its life cycle.
 * workers/runtime/services.c lists all services that the binary holds; SOUK_WORKER_SERVICES says
 * which ones a process serves. */
#ifndef RUNTIME_SERVICE_H
#define RUNTIME_SERVICE_H

#include "runtime/ctx.h"
#include "souk/envelope.h"
#include "souk/loop.h"
#include "souk/schema.h"

/* Generated typed thunk around the handler. request and reply are structs of the method's types. */
typedef souk_err_t (*souk_thunk_fn)(souk_ctx_t *ctx, const void *request, void *reply);

/* A batchable method: one call of many. Each call owns its context, request, reply and error
 * (SOUK_OK from the start). */
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
    souk_thunk_fn run;       /* inline and slot */
    souk_batch_fn run_batch; /* batch */
    souk_lane_t lane;
    souk_class_t class_;
    bool key_required; /* keyed: never without a key; else it may come as unkeyed */
    size_t memory_bytes_max, reply_bytes_max;
} souk_method_t;

typedef struct souk_worker_config souk_worker_config_t; /* generated: gen/config.h */

/* Hooks of a service. Those on the bus thread must not block: pongs wait for them. NULL: none. */
typedef struct {
    const char *name;
    const souk_method_t *methods;
    size_t methods_count;
    /* Bus thread, once, before READY. May start threads of its own, which feed the service and call
     * souk_loop_wake(loop) to get a turn (souk_loop_on_wake itself belongs to the runtime). config
     * and loop outlive the service; ret_service is handed to all hooks and handlers. An error ends
     * the process: what may recover by itself belongs behind ready(). */
    souk_err_t (*start)(const souk_worker_config_t *config, souk_loop_t *loop, void **ret_service);
    /* Bus thread, once, after the last handler and slot_stop. */
    void (*stop)(void *service);
    /* Each slot's own thread: its connection. A failure is tried again with growing pauses; until
     * it works the slot takes no calls of this service. NULL: nothing to make. slot_stop runs on
     * the same thread, only after slot_start was SOUK_OK. */
    souk_err_t (*slot_start)(void *service, void **ret_slot);
    void (*slot_stop)(void *service, void *slot);
    /* The slot's thread, after each of its jobs and while it is idle: whether the connection still
     * works. False: slot_stop, then slot_start at once, and again with growing pauses; meanwhile
     * the slot goes on taking calls (a slot that cannot answer them says so at once). NULL: always
     * true. Must not block. */
    bool (*slot_ok)(void *service, void *slot);
    /* Bus thread, after each souk_loop_wake and at least ten times a second: at most a millisecond
     * of work of the service's own (applying changes). True: there is more, call again in the next
     * turn. */
    bool (*turn)(void *service);
    /* Bus thread, after turn: the service is announced (READY) and gets credit while this is true.
     * NULL: always. */
    bool (*ready)(void *service);
    /* Bus thread, ten times a second: NULL, or why the service works with less than it should (a
     * dependency is away); borrowed until the next call. /readyz then says degraded, still 200. The
     * runtime alone calls souk_health_set: it joins this with ready, the brokers' sessions and
     * drain. */
    const char *(*degraded)(void *service);
} souk_service_t;

#endif
