/* The broker's data model on one page, for the files of the core only.
 *
 *   peer (client)  --- flights it waits for
 *   peer (worker)  --- flights in its hands; its seats
 *   service        --- methods; a queue for each priority; a pool for each lane; suspects
 *   method         --- a line for each priority: the flights that wait, oldest first
 *   pool           --- the seats of one (service, lane): those with free credit by free share
 *   seat           --- one worker's window in one pool
 *   flight         --- one request, from admission to the last answer
 *
 * Requests wait in a line for each method, and not in one list for the service, because lanes run
 * out of credit separately and because during a rollout not every worker serves every method:
 * neither may block what could run. Bounds and counts are the queue's, across its lines. */
#ifndef SOUK_BROKER_STATE_H
#define SOUK_BROKER_STATE_H

#include "core.h"
#include "wheel.h"

#define S_METHODS_MAX 128 /* of a service */
#define S_SEATS_MAX 96    /* of a worker */
#define S_SHARES 16
#define S_HEAD_BYTES_MAX 64 /* positions 0 to 5 of a REQ, with room to spare */
#define S_CHUNK 1024        /* flights are allocated so many at a time */
#define S_METHOD_WORDS (S_METHODS_MAX / 64)

typedef struct souk_peer souk_peer_state_t;
typedef struct souk_flight souk_flight_t;
typedef struct souk_service souk_service_t;
typedef struct souk_method souk_method_t;

enum { S_TIMER_FLIGHT, S_TIMER_PEER, S_TIMER_METHOD, S_TIMER_STOP };

typedef struct {
    souk_link_t flights; /* oldest first */
    souk_link_t active;  /* in the queue's list of lines that are not empty */
    souk_method_t *method;
} souk_line_t;

struct souk_method {
    souk_service_t *service;
    char name[SOUK_NAME_BYTES_MAX];
    uint8_t name_size;
    uint8_t index;                      /* in service->methods */
    bool known;                         /* some worker listed it */
    uint32_t servers[SOUK_LANES_COUNT]; /* serving seats that list it */
    uint32_t flights;                   /* in any state */
    uint32_t waiting;                   /* in its lines */
    int64_t unserved_us;                /* since when nobody serves it */
    souk_wheel_timer_t cold;            /* set while requests wait for a first worker */
    souk_line_t lines[SOUK_PRIORITIES_COUNT];
};

typedef struct {
    souk_link_t lines; /* not empty */
    uint32_t queued;   /* lines, suspects and those assigned to a worker alone */
    uint32_t inflight;
    size_t bytes; /* of the queued */
    uint64_t counts[SOUK_COUNTS];
} souk_queue_t;

typedef struct {
    souk_service_t *service;
    souk_lane_t lane;
    souk_link_t seats; /* that serve */
    souk_link_t
        free[S_SHARES]; /* seats with free credit by their free share, longest untouched first */
    uint32_t free_mask;
    uint32_t serving; /* seats in `seats` */
    souk_link_t dirty;
    uint32_t
        passed[SOUK_PRIORITIES_COUNT]; /* how often in a row a waiting priority was passed over */
} souk_pool_t;

typedef struct {
    souk_peer_state_t *worker;
    souk_pool_t *pool;
    souk_link_t pool_link, free_link;
    uint32_t window, inflight;
    uint8_t share;
    bool serving; /* lists a method */
    bool blocked; /* refused, or its transport is full: no work until it answers or sends credit */
    uint64_t methods[S_METHOD_WORDS];
} souk_seat_t;

struct souk_service {
    souk_link_t same_hash;
    uint32_t index; /* in core->services */
    char name[SOUK_NAME_BYTES_MAX];
    uint8_t name_size;
    bool known; /* some worker served it */
    uint32_t workers;
    uint32_t flights; /* in any state */
    uint32_t queued;  /* sum of the queues' */
    uint32_t trials;  /* workers set aside for a suspect */
    uint32_t suspects_count;
    souk_link_t suspects; /* flights whose worker died, waiting to be tried alone */
    souk_queue_t queues[SOUK_PRIORITIES_COUNT];
    souk_pool_t pools[SOUK_LANES_COUNT];
    souk_method_t *
        methods[S_METHODS_MAX]; /* an open-addressed table; an index stays while the method lives */
    uint32_t probe_max;
    uint32_t seats; /* of any worker, serving or not */
};

typedef enum {
    S_FLIGHT_FREE,
    S_FLIGHT_QUEUED,   /* in a line of its method */
    S_FLIGHT_SUSPECT,  /* its worker died: in service->suspects */
    S_FLIGHT_TRIAL,    /* a worker was set aside for it: worker->trial */
    S_FLIGHT_INFLIGHT, /* in a worker's hands; an orphan when client is NULL */
} souk_flight_state_t;

struct souk_flight {
    souk_link_t place; /* by state: free list, line, suspects, worker's flights */
    souk_link_t of_client;
    souk_link_t same_hash;
    souk_wheel_timer_t deadline;
    uint32_t slot, generation;
    souk_flight_state_t state;
    uint8_t class_, priority;
    uint8_t corr_size;
    uint8_t corr[SOUK_CORR_BYTES]; /* the client's */
    uint8_t request_id_size;
    bool was_dispatched;
    souk_peer_state_t *client; /* NULL: nobody waits any more */
    souk_peer_state_t *worker; /* TRIAL, INFLIGHT */
    souk_seat_t *seat;         /* INFLIGHT */
    souk_method_t *method;
    int64_t queued_us, deadline_us;
    uint32_t attempt, deaths, refusals;
    uint32_t flags, elements; /* of the envelope as received */
    uint32_t request_id_at;   /* offset in bytes */
    uint32_t bytes_size;
    uint8_t *bytes; /* the envelope from position 6 to its end; freed when nobody waits */
};

struct souk_peer {
    souk_side_t side;
    souk_peer_t number;
    bool session; /* welcomed */
    bool fresh;   /* nothing but HELLO came since */
    bool malformed_noted;
    bool draining, drained;
    uint8_t name_size;
    char name[64];
    uint64_t serial;
    int64_t heartbeat_us, heard_us, sent_us;
    uint64_t ping_token;
    souk_wheel_timer_t timer;
    const char *doom;     /* why it ends with this step */
    souk_link_t doomed;   /* in core->doomed */
    souk_link_t sessions; /* in core->sessions[side] */
    souk_link_t flights;  /* client: that it waits for; worker: in its hands */
    uint32_t inflight;    /* worker: flights in its hands */
    souk_flight_t *trial; /* worker: set aside for this one */
    souk_seat_t **seats;
    uint32_t seats_count;
};

struct souk_core {
    souk_core_options_t options;
    const souk_out_t *out; /* during a step */
    int64_t now_us;
    souk_wheel_t wheel;
    souk_peer_state_t **peers[SOUK_SIDES_COUNT]; /* by number; NULL: unknown */
    size_t peers_size[SOUK_SIDES_COUNT];
    uint32_t sessions_count[SOUK_SIDES_COUNT];
    souk_link_t sessions[SOUK_SIDES_COUNT];
    uint64_t serials;
    souk_link_t doomed; /* peers */
    souk_link_t dirty;  /* pools that may have something to dispatch */
    souk_service_t **services;
    uint32_t services_count;
    souk_link_t *services_table;
    uint32_t services_unknown; /* made by requests only */
    souk_flight_t **chunks;
    uint32_t chunks_count;
    souk_link_t free_flights;
    uint32_t flights_count; /* not free */
    uint32_t waiting_count; /* with a client */
    size_t bytes;
    souk_link_t *corrs; /* flights with a client, by (client, corr) */
    uint64_t corrs_mask;
    bool stopping, served;
    souk_wheel_timer_t stop;
    uint64_t malformed, unexpected, forged, late, lost[SOUK_SIDES_COUNT];
    souk_buf_t scratch;
};

/* core.c */
souk_buf_t *souk_core_begin(souk_core_t *self, souk_peer_state_t *peer);
/* False: the transport holds too much for this peer already; nothing was sent. */
bool souk_core_commit(souk_core_t *self, souk_peer_state_t *peer);
void souk_core_note(souk_core_t *self, souk_note_t note, const souk_peer_state_t *peer);
/* The peer ends when the envelope at hand is done. */
void souk_core_doom(souk_core_t *self, souk_peer_state_t *peer, const char *reason);
uint64_t souk_core_hash(const souk_core_t *self, const void *data, size_t bytes, uint64_t salt);

/* peer.c: sessions */
souk_peer_state_t *souk_peer_find(const souk_core_t *core, souk_side_t side, souk_peer_t number);
souk_peer_state_t *souk_peer_require(souk_core_t *core, souk_side_t side, souk_peer_t number);
void souk_peer_hello(souk_core_t *core, souk_peer_state_t *self, const souk_envelope_t *envelope);
void souk_peer_goaway(souk_core_t *core, souk_peer_state_t *self, souk_goaway_t reason,
                      const char *text);
void souk_peer_timer(souk_core_t *core, souk_peer_state_t *self);
/* Ends the session by what protocol.md says and frees the peer; forget: the transport shall forget
 * the number too. */
void souk_peer_end(souk_core_t *core, souk_peer_state_t *self, const char *reason, bool forget);

/* worker.c: READY, CREDIT, DRAIN, what a worker's death means */
void souk_worker_ready(souk_core_t *core, souk_peer_state_t *self, const souk_envelope_t *envelope);
void souk_worker_credit(souk_core_t *core, souk_peer_state_t *self,
                        const souk_envelope_t *envelope);
void souk_worker_drain(souk_core_t *core, souk_peer_state_t *self);
/* One flight less in its hands. */
void souk_worker_relieved(souk_core_t *core, souk_peer_state_t *self);
void souk_worker_end(souk_core_t *core, souk_peer_state_t *self);
/* Puts every seat of the worker into the list where it belongs now. */
void souk_worker_refresh(souk_core_t *core, souk_peer_state_t *self);

/* service.c: names, methods, lines */
souk_service_t *souk_service_find(const souk_core_t *core, souk_str_t name);
souk_service_t *souk_service_require(souk_core_t *core, souk_str_t name, bool by_worker);
void souk_service_destroy(souk_core_t *core, souk_service_t *self);
static inline uint32_t souk_method_hash(souk_str_t name) {
    uint32_t hash = 2166136261U; /* FNV-1a: names of methods are few and from workers */
    for (size_t i = 0; i < name.size; i++) {
        hash = (hash ^ (uint8_t)name.data[i]) * 16777619U;
    }
    return hash ^ (hash >> 15);
}
souk_method_t *souk_method_find(const souk_service_t *service, souk_str_t name);
souk_method_t *souk_method_require(souk_core_t *core, souk_service_t *service, souk_str_t name);
bool souk_method_served(const souk_method_t *self);
/* Nobody serves it any more: what waits gets the cold-start allowance from now on. */
void souk_method_unserved(souk_core_t *core, souk_method_t *self);
/* A request was put into its lines. */
void souk_method_waits(souk_core_t *core, souk_method_t *self);
void souk_method_timer(souk_core_t *core, souk_method_t *self);
void souk_method_fail_waiting(souk_core_t *core, souk_method_t *self, souk_err_t err,
                              souk_count_t count);
/* Frees a method that only requests named and that none names any more. */
void souk_method_release(souk_core_t *core, souk_method_t *self);

/* flight.c: the table, states, answers to clients */
void souk_flights_init(souk_core_t *core);
void souk_flights_done(souk_core_t *core);
souk_flight_t *souk_flight_at(const souk_core_t *core, uint32_t slot);
void souk_flight_request(souk_core_t *core, souk_peer_state_t *client, const souk_req_t *req);
void souk_flight_cancel(souk_core_t *core, souk_peer_state_t *client, souk_str_t corr);
void souk_flight_timer(souk_core_t *core, souk_flight_t *self);
/* The only ways from one state to another. */
void souk_flight_queue(souk_core_t *core, souk_flight_t *self, bool at_head);
void souk_flight_suspect(souk_core_t *core, souk_flight_t *self, bool at_head);
void souk_flight_assign(souk_core_t *core, souk_flight_t *self, souk_peer_state_t *worker);
void souk_flight_take_off(souk_core_t *core, souk_flight_t *self, souk_seat_t *seat);
void souk_flight_free(souk_core_t *core, souk_flight_t *self);
/* Answers the client and forgets it; then frees the flight, or leaves it as an orphan when a worker
 * holds it (and tells that worker to stop). */
void souk_flight_fail(souk_core_t *core, souk_flight_t *self, souk_err_t err, souk_count_t count);
/* The same without an answer. */
void souk_flight_drop(souk_core_t *core, souk_flight_t *self, souk_count_t count);
void souk_flight_corr(const souk_core_t *core, const souk_flight_t *self,
                      uint8_t ret_corr[SOUK_CORR_BYTES]);
souk_str_t souk_flight_request_id(const souk_flight_t *self);
void souk_fail(souk_core_t *core, souk_peer_state_t *client, souk_str_t corr, souk_err_t err);

/* answer.c: REP, ERR, REFUSED from workers */
void souk_answer_take(souk_core_t *core, souk_peer_state_t *worker,
                      const souk_envelope_t *envelope);
void souk_answer_refused(souk_core_t *core, souk_peer_state_t *worker,
                         const souk_envelope_t *envelope);

/* dispatch.c: seats and who gets what */
void souk_seat_refresh(souk_core_t *core, souk_seat_t *self);
void souk_pool_mark(souk_core_t *core, souk_pool_t *self);
void souk_dispatch(souk_core_t *core, souk_pool_t *pool);
/* Hands a flight to a seat. False: the transport would not take it, and the seat is blocked. */
bool souk_dispatch_send(souk_core_t *core, souk_flight_t *flight, souk_seat_t *seat);

/* suspect.c: redelivery after a death, one at a time */
void souk_suspects_assign(souk_core_t *core, souk_service_t *service);
void souk_trial_start(souk_core_t *core, souk_peer_state_t *worker);
/* The worker is not set aside any more. */
void souk_trial_release(souk_core_t *core, souk_peer_state_t *worker);

#endif
