/* The broker without sockets: a pure function of (event, clock). The reactor feeds it frames and
 * the time and gives it places to write to; tests and simulations do the same with scripted ones.
 * Nothing in here reads a clock, a random source or a descriptor. */
#ifndef SOUK_BROKER_CORE_H
#define SOUK_BROKER_CORE_H

#include "souk/base.h"
#include "souk/buf.h"
#include "souk/bus.h"
#include "souk/envelope.h"
#include "souk/err.h"

typedef struct souk_core souk_core_t;

typedef enum { SOUK_SIDE_FRONT, SOUK_SIDE_BACK, SOUK_SIDES_COUNT } souk_side_t;

typedef struct {
    const char *name; /* borrowed for the core's life */
    uint64_t epoch;   /* differs from every earlier run's */
    uint64_t hash_seed;
    uint32_t peers_max;    /* sessions a side */
    uint32_t services_max; /* at most half of them may be made by requests for services that nobody
                              serves yet */
    uint32_t flights_max;  /* requests queued or in flight */
    uint32_t queue_count_max;
    size_t queue_bytes_max; /* each per (service, priority), of queued requests */
    size_t bytes_max;       /* of all requests held */
    uint32_t envelope_bytes_max;
    uint32_t heartbeat_min_ms, heartbeat_ms, heartbeat_max_ms;
    uint32_t cold_start_ms; /* how long a request waits for a first worker */
    uint32_t reserve_ms;    /* a request with less left is not dispatched any more */
    uint32_t retry_after_ms;
    uint32_t refusals_max; /* of one request, before it is answered as overloaded */
    uint32_t
        deaths_max;   /* workers that died with only this request in hand, before it is given up */
    uint32_t floor;   /* a waiting priority is passed over at most so many times in a row */
    uint32_t stop_ms; /* how long a stopping broker waits for what it holds */
} souk_core_options_t;

typedef enum {
    SOUK_EVENT_TICK, /* only time passed */
    SOUK_EVENT_FRAME,
    SOUK_EVENT_GONE, /* the transport says that the peer went away; it has forgotten the number
                        already */
    SOUK_EVENT_STOP, /* SIGTERM */
} souk_event_kind_t;

typedef struct {
    souk_event_kind_t kind;
    souk_side_t side;
    souk_peer_t peer;
    souk_str_t frame;
} souk_event_t;

/* What the core wants told to people. The reactor logs it. */
typedef enum {
    SOUK_NOTE_PEER_WELCOME,
    SOUK_NOTE_PEER_LOST,      /* reason says how */
    SOUK_NOTE_PEER_REFUSED,   /* too many, wrong version or role; reason */
    SOUK_NOTE_PEER_MALFORMED, /* first bad envelope of a session */
    SOUK_NOTE_WORKER_READY,   /* count: methods */
    SOUK_NOTE_WORKER_DRAIN,   /* count: in flight */
    SOUK_NOTE_WORKER_DRAINED,
    SOUK_NOTE_WORKER_DIED, /* with requests in hand; count: how many */
    SOUK_NOTE_READY_LIMIT, /* a worker announced more than the broker holds; count: rows left out */
    SOUK_NOTE_POISON, /* a request given up after its workers died; service, method, request_id;
                         count: deaths */
    SOUK_NOTE_SERVICE_MADE, /* index: its place, until the core is destroyed or another
                               NOTE_SERVICE_MADE for the same place */
    SOUK_NOTE_STOPPING,     /* count: requests held */
} souk_note_kind_t;

typedef struct {
    souk_note_kind_t kind;
    souk_side_t side;
    souk_str_t peer;  /* the name it gave itself */
    uint64_t session; /* its serial, 0: none */
    souk_str_t service, method, request_id;
    const char *reason;
    int64_t count;
    uint32_t index;
} souk_note_t;

/* Where the output of a step goes; all borrowed for the step. begin and commit as souk_bus_begin
 * and souk_bus_commit. */
typedef struct {
    void *arg;
    souk_buf_t *(*begin)(void *arg, souk_side_t side, souk_peer_t peer);
    souk_err_t (*commit)(void *arg, souk_side_t side, souk_peer_t peer);
    void (*forget)(void *arg, souk_side_t side, souk_peer_t peer);
    void (*note)(void *arg, const souk_note_t *note);
    /* A request of the service at index left its queue for the first time, after so long. */
    void (*waited)(void *arg, uint32_t index, uint8_t priority, int64_t us);
} souk_out_t;

souk_core_t *souk_core_new(const souk_core_options_t *options, int64_t now_us);
void souk_core_destroy(souk_core_t **self_p);

/* Handles one event and everything that is due at now_us (monotonic; an earlier time than before
 * counts as no time passed). */
void souk_core_step(souk_core_t *self, const souk_event_t *event, int64_t now_us,
                    const souk_out_t *out);
/* When to step next even if nothing comes in; INT64_MAX: never. */
int64_t souk_core_next_wake_us(const souk_core_t *self);
/* After STOP: nobody waits for an answer any more. */
bool souk_core_finished(const souk_core_t *self);

/* What became of requests, counted per (service, priority). Every admitted request ends in exactly
 * one of REPLIED to ABANDONED. */
typedef enum {
    SOUK_COUNT_ADMITTED,
    SOUK_COUNT_REPLIED,
    SOUK_COUNT_FAILED,  /* the worker answered ERR */
    SOUK_COUNT_EXPIRED, /* in the queue, not run */
    SOUK_COUNT_TIMEOUT, /* in a worker */
    SOUK_COUNT_NO_WORKER,
    SOUK_COUNT_UNKNOWN_METHOD,
    SOUK_COUNT_REFUSED_OUT, /* workers refused it too often */
    SOUK_COUNT_WORKER_LOST,
    SOUK_COUNT_UNKNOWN_OUTCOME,
    SOUK_COUNT_CANCELLED,
    SOUK_COUNT_ABANDONED,  /* its client died */
    SOUK_COUNT_STOPPED,    /* the broker stopped */
    SOUK_COUNT_OVERLOADED, /* from here on: not among the admitted, or not an end */
    SOUK_COUNT_REJECTED,   /* unknown method or no room for the name */
    SOUK_COUNT_DISPATCHED,
    SOUK_COUNT_REFUSED,
    SOUK_COUNT_REDELIVERED,
    SOUK_COUNT_ORPHANED, /* answers that nobody waited for any more */
    SOUK_COUNTS,
} souk_count_t;

/* The name of a counter as in metrics ("replied"). */
const char *souk_count_name(souk_count_t count);

typedef struct {
    uint32_t queued, inflight;
    size_t queued_bytes;
    int64_t oldest_us; /* age of the oldest queued request */
    uint64_t counts[SOUK_COUNTS];
} souk_queue_view_t;

typedef struct {
    uint32_t index;
    char name[SOUK_NAME_BYTES_MAX + 1];
    uint32_t workers;           /* serving, not draining */
    uint32_t slots, slots_free; /* sum of their windows; what of them is free */
    souk_queue_view_t queues[SOUK_PRIORITIES_COUNT];
} souk_service_view_t;

typedef struct {
    uint32_t peers[SOUK_SIDES_COUNT]; /* sessions */
    uint32_t services;
    uint32_t flights;    /* requests held */
    size_t bytes;        /* of them */
    bool served;         /* some worker was READY since the start */
    uint64_t malformed;  /* envelopes */
    uint64_t unexpected; /* envelopes of a type, version or role that does not belong here */
    uint64_t forged;     /* answers by somebody who does not hold the request */
    uint64_t late;       /* answers to a request that is over, or a second answer */
    uint64_t lost[SOUK_SIDES_COUNT]; /* sessions that died */
} souk_core_view_t;

void souk_core_view(const souk_core_t *self, souk_core_view_t *ret);
/* Fills up to services_max views; returns how many. Ages are at now_us. */
size_t souk_core_services(const souk_core_t *self, int64_t now_us, souk_service_view_t *ret,
                          size_t services_max);

/* Walks everything and asserts the invariants between lists and counts. For tests. */
void souk_core_check(const souk_core_t *self);

#endif
