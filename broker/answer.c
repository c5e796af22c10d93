/* What workers answer. Nothing they say is believed about a flight that they do not hold. */
#include "state.h"

/* The flight that the worker answers, or NULL (counted). */
static souk_flight_t *s_held(souk_core_t *core, const souk_peer_state_t *worker, souk_str_t corr) {
    uint64_t epoch = 0;
    uint32_t slot = 0, generation = 0;
    if (corr.size == SOUK_CORR_BYTES) {
        memcpy(&epoch, corr.data, 8);
        memcpy(&slot, corr.data + 8, 4);
        memcpy(&generation, corr.data + 12, 4);
    }
    souk_flight_t *flight = epoch == core->options.epoch ? souk_flight_at(core, slot) : NULL;
    if (flight == NULL) {
        core->forged++;
        return NULL;
    }
    if (flight->state != S_FLIGHT_INFLIGHT || flight->generation != generation) {
        core->late++;
        return NULL;
    }
    if (flight->worker != worker) {
        core->forged++;
        return NULL;
    }
    return flight;
}

static void s_forward(souk_core_t *core, souk_flight_t *flight, const souk_envelope_t *envelope) {
    souk_str_t corr = {.data = (const char *)flight->corr, .size = flight->corr_size};
    souk_envelope_rep_forward(souk_core_begin(core, flight->client), envelope->type,
                              &envelope->as.rep, corr);
    if (!souk_core_commit(core, flight->client)) {
        souk_core_doom(core, flight->client, "slow");
    }
}

void souk_answer_take(souk_core_t *core, souk_peer_state_t *worker,
                      const souk_envelope_t *envelope) {
    souk_flight_t *flight = s_held(core, worker, envelope->as.rep.corr);
    if (flight == NULL) {
        return;
    }
    uint64_t *counts = flight->method->service->queues[flight->priority].counts;
    if (flight->client == NULL) {
        counts[SOUK_COUNT_ORPHANED]++;
    } else {
        s_forward(core, flight, envelope);
        counts[envelope->type == SOUK_MSG_REP ? SOUK_COUNT_REPLIED : SOUK_COUNT_FAILED]++;
    }
    flight->seat->blocked = false;
    souk_flight_free(core, flight);
    souk_worker_relieved(core, worker);
}

void souk_answer_refused(souk_core_t *core, souk_peer_state_t *worker,
                         const souk_envelope_t *envelope) {
    souk_flight_t *flight = s_held(core, worker, envelope->as.refused.corr);
    if (flight == NULL) {
        return;
    }
    souk_seat_t *seat = flight->seat;
    bool suspect = flight->attempt > 0;
    if (flight->client == NULL) {
        souk_flight_free(core, flight); /* a cancelled request that had not started */
    } else {
        flight->method->service->queues[flight->priority].counts[SOUK_COUNT_REFUSED]++;
        flight->refusals++;
        flight->was_dispatched = suspect; /* this time it did not start */
        /* It gets no more until it answers something or sends credit, else the same request would
         * go back and forth. */
        seat->blocked = envelope->as.refused.reason != SOUK_REFUSED_DEADLINE;
        if (suspect) {
            souk_flight_suspect(core, flight, true);
        } else {
            souk_flight_queue(core, flight, true);
        }
        if (envelope->as.refused.reason == SOUK_REFUSED_DEADLINE && !suspect) {
            souk_flight_fail(core, flight, SOUK_ERR_DEADLINE_EXCEEDED, SOUK_COUNT_EXPIRED);
        } else if (flight->refusals > core->options.refusals_max) {
            souk_flight_fail(core, flight, suspect ? SOUK_ERR_WORKER_LOST : SOUK_ERR_OVERLOADED,
                             SOUK_COUNT_REFUSED_OUT);
        }
    }
    souk_seat_refresh(core, seat);
    souk_worker_relieved(core, worker);
}
