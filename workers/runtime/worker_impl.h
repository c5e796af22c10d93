/* What the files of the bus actor share: worker.c (life), admit.c (requests in), serve.c (jobs,
 * answers out), announce.c (READY, CREDIT, health). */
#ifndef RUNTIME_WORKER_IMPL_H
#define RUNTIME_WORKER_IMPL_H

#include <stdatomic.h>

#include "credit.h"
#include "gen/config.h"
#include "link.h"
#include "queue.h"
#include "slot.h"
#include "souk/metrics.h"
#include "worker.h"

#define SOUK_SERVED_MAX 16
#define SOUK_LINKS_MAX 8
#define SOUK_METHODS_MAX 256

/* A method as this worker serves it. */
typedef struct {
    const souk_method_t *method;
    souk_str_t name, service_name;
    uint32_t service;     /* index of served */
    souk_ticket_t *spare; /* used before, by next; as many as were ever in flight at once */
    souk_series_t *ok, *failed, *refused, *seconds, *wait_seconds, *batches, *overruns;
} souk_row_t;

/* A service's standing. */
typedef struct {
    bool ready;
    bool announced; /* stands in the last READY */
    uint32_t in_flight[SOUK_LANES_COUNT];
    uint32_t room[SOUK_LANES_COUNT]; /* the most that is admitted: 0 where it has no method of that
                                        lane */
    uint32_t window[SOUK_LANES_COUNT]; /* as in the last CREDIT */
    souk_series_t *slots_started;
} souk_standing_t;

typedef struct {
    souk_slot_t *slot;
    int64_t deadline_us; /* the latest of its job */
    bool stalled;
} souk_seat_t;

typedef enum { SOUK_WORKER_RUNNING, SOUK_WORKER_DRAINING, SOUK_WORKER_DRAINED } souk_worker_phase_t;

struct souk_worker {
    const souk_worker_config_t *config;
    souk_loop_t *loop;
    souk_worker_phase_t phase;
    atomic_bool drain_asked;
    bool joined; /* takes part in the loop's turns */
    int64_t drain_until_us;

    souk_served_t served[SOUK_SERVED_MAX];
    souk_standing_t standing[SOUK_SERVED_MAX];
    size_t served_count, started_count;
    souk_row_t *rows;
    size_t rows_count;

    souk_link_t *links[SOUK_LINKS_MAX];
    bool drained[SOUK_LINKS_MAX];
    size_t links_count;

    souk_seat_t *seats;
    size_t seats_count;
    size_t busy, stalled;
    souk_mailbox_t *done;
    souk_queue_t waiting;  /* for a slot */
    souk_queue_t deferred; /* inline, beyond this turn's budget */
    int64_t inline_left_us;
    souk_timer_t *tick;

    struct {
        souk_series_t *refused[SOUK_REFUSED_DEADLINE + 1];
        souk_series_t *waiting, *busy, *stalled, *stalls, *sessions, *cancelled, *late, *lost;
    } metrics;
};

/* admit.c: one envelope of a session. */
void souk_worker_admit(void *arg, souk_link_t *link, const souk_envelope_t *envelope,
                       souk_err_t err);
/* What waits and was received in a session that is lost. */
void souk_worker_drop_session(souk_worker_t *self, souk_link_t *link);
/* What waits for a slot and is too near its deadline; everything in a queue. */
void souk_worker_refuse_late(souk_worker_t *self);
void souk_worker_refuse_all(souk_worker_t *self, souk_queue_t *queue, souk_refused_t reason);
/* Calls that end before this are not started. */
int64_t souk_worker_deadline_from_us(const souk_worker_t *self);

/* serve.c: runs an inline call now. */
void souk_worker_run_inline(souk_worker_t *self, souk_ticket_t *ticket);
/* A new turn: what was deferred, within the budget; then jobs for idle slots. */
void souk_worker_serve(souk_worker_t *self);
/* Answers what slots have finished. */
void souk_worker_collect(souk_worker_t *self);
/* Counts slots whose job is long past its deadline. */
void souk_worker_watch(souk_worker_t *self);
souk_ticket_t *souk_worker_take_ticket(souk_worker_t *self, size_t row);
void souk_worker_refuse(souk_worker_t *self, souk_ticket_t *ticket, souk_refused_t reason);
/* Gives the ticket back without an answer. */
void souk_worker_release(souk_worker_t *self, souk_ticket_t *ticket);
void souk_worker_send_refused(souk_worker_t *self, souk_link_t *link, souk_str_t corr,
                              souk_refused_t reason);

/* announce.c: everything that a new session must hear. */
void souk_worker_introduce(souk_worker_t *self, souk_link_t *link);
/* The services' turn and ready hooks; tells the brokers what changed. */
void souk_worker_review(souk_worker_t *self);
/* Gauges and /readyz. */
void souk_worker_report(souk_worker_t *self);

#endif
