/* The calls that wait in a worker: one line for each method, served in order of arrival. Belongs to
 * the bus thread.
 *
 * It is bounded by whoever puts: the worker admits no more calls of a service and lane than the
 * window it gave. */
#ifndef RUNTIME_QUEUE_H
#define RUNTIME_QUEUE_H

#include "runtime/invoke.h"

/* A call on the bus thread's books, from REQ to answer. */
typedef struct souk_ticket souk_ticket_t;
struct souk_ticket {
    souk_ctx_t *ctx;
    size_t method;       /* row of the worker's table of methods */
    uint32_t service;    /* row of its table of services */
    uint32_t link;       /* the broker that it came from */
    uint32_t generation; /* and that broker's session */
    int64_t received_us, deadline_us;
    uint64_t number; /* order of arrival, set by souk_queue_put */
    souk_ticket_t *next, *previous;
};

typedef struct {
    souk_ticket_t *head, *tail;
    uint32_t service;
    bool is_batch;
} souk_queue_line_t;

typedef struct {
    souk_queue_line_t *lines; /* by ticket.method */
    size_t lines_count;
    size_t count;
    uint64_t number;
} souk_queue_t;

void souk_queue_init(souk_queue_t *self, size_t lines_count);
/* Must be empty. */
void souk_queue_done(souk_queue_t *self);
void souk_queue_describe(souk_queue_t *self, size_t line, uint32_t service, bool is_batch);

/* Takes the ticket in at the end of its method's line. */
void souk_queue_put(souk_queue_t *self, souk_ticket_t *ticket);

typedef struct {
    uint64_t services;        /* bit for each service that may be taken */
    size_t batch_max;         /* most calls of a batchable method, 1 or more */
    int64_t deadline_from_us; /* calls that end before this are not started */
} souk_queue_pick_t;

/* The next job for a free slot: the call that waited longest, and when its method is batchable what
 * else waits for that method, up to batch_max; ret_tickets has room for that many. Nobody waits for
 * a batch to fill. Returns how many, 0 when nothing waits. What was met on the way and is too near
 * its deadline comes as a list (by next) in ret_late. */
size_t souk_queue_take(souk_queue_t *self, const souk_queue_pick_t *pick,
                       souk_ticket_t **ret_tickets, souk_ticket_t **ret_late);

/* Takes out every ticket that matches, as a list (by next) in order of lines. */
souk_ticket_t *souk_queue_take_if(souk_queue_t *self,
                                  bool (*match)(const souk_ticket_t *ticket, const void *arg),
                                  const void *arg);

#endif
