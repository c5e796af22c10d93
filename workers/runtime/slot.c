#include "slot.h"

#include <czmq.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "souk/clock.h"
#include "souk/id.h"
#include "souk/log.h"

#define RETRY_FIRST_MS 100
#define RETRY_MAX_MS 2000
#define IDLE_LOOK_MS 1000 /* how often slot_ok is asked without a job */

/* One service's connection in this slot; only the slot's thread touches it. */
typedef struct {
    void *slot; /* of slot_start */
    bool started;
    bool ok; /* as slot_ok said; else made anew at retry_at_us */
    int64_t retry_at_us;
    int64_t pause_ms;
} souk_slot_service_t;

struct souk_slot {
    souk_slot_options_t options;
    souk_slot_service_t *services;
    souk_mailbox_t *inbox;
    zactor_t *actor;
    souk_ticket_t *tickets[SOUK_BATCH_CALLS_MAX];
    size_t tickets_count;
    atomic_uint_fast64_t started;
    atomic_bool connecting;
    atomic_bool stopping;
};

/* ---- The slot's thread ----------------------------------------------------------------------- */

static bool s_is_ok(const souk_slot_t *self, size_t i) {
    const souk_served_t *served = &self->options.served[i];
    return served->service->slot_ok == NULL ||
           served->service->slot_ok(served->state, self->services[i].slot);
}

static void s_stop_service(souk_slot_t *self, size_t i) {
    const souk_served_t *served = &self->options.served[i];
    souk_slot_service_t *own = &self->services[i];
    if (own->started && served->service->slot_stop != NULL) {
        served->service->slot_stop(served->state, own->slot);
    }
    own->started = own->ok = false;
    own->slot = NULL;
}

/* Slots that failed together do not all come back together. */
static int64_t s_spread(int64_t pause_ms) {
    uint8_t random;
    souk_random(&random, sizeof(random));
    return pause_ms * (192 + random / 2) / 256;
}

static void s_start_service(souk_slot_t *self, size_t i) {
    const souk_served_t *served = &self->options.served[i];
    souk_slot_service_t *own = &self->services[i];
    s_stop_service(self, i);
    souk_err_t err = SOUK_OK;
    if (served->service->slot_start != NULL) {
        err = served->service->slot_start(served->state, &own->slot);
    }
    own->started = err == SOUK_OK;
    own->ok = own->started && s_is_ok(self, i);
    if (own->ok) {
        own->pause_ms = 0;
        return;
    }
    own->pause_ms = own->pause_ms == 0 ? RETRY_FIRST_MS : own->pause_ms * 2;
    if (own->pause_ms > RETRY_MAX_MS) {
        own->pause_ms = RETRY_MAX_MS;
    }
    int64_t pause_ms = s_spread(own->pause_ms);
    own->retry_at_us = souk_clock_mono_us() + pause_ms * 1000;
    if (err != SOUK_OK) {
        souk_log(SOUK_LOG_WARN, "WK-SLOT-START-FAILED",
                 SOUK_F_TEXT("service", served->service->name),
                 SOUK_F_INT("slot", self->options.number),
                 SOUK_F_TEXT("error", souk_err_info(err)->code), SOUK_F_INT("retry_ms", pause_ms));
    }
}

/* Starts what is due; meanwhile the slot says that it is connecting, so that no job waits behind a
 * slow connection. Returns the milliseconds to the next attempt, -1 for none. */
static int s_start_due(souk_slot_t *self) {
    int64_t now_us = souk_clock_mono_us();
    int64_t next_us = INT64_MAX;
    uint64_t started = 0;
    bool tried = false;
    for (size_t i = 0; i < self->options.served_count; i++) {
        souk_slot_service_t *own = &self->services[i];
        if (!own->ok && own->retry_at_us <= now_us) {
            atomic_store(&self->connecting, true);
            tried = true;
            s_start_service(self, i);
        }
        if (own->started) {
            started |= (uint64_t)1 << i;
        }
        if (!own->ok && own->retry_at_us < next_us) {
            next_us = own->retry_at_us;
        }
    }
    if (tried) {
        atomic_store(&self->started, started);
        atomic_store(&self->connecting, false);
        self->options.on_change(self->options.arg);
    }
    if (next_us == INT64_MAX) {
        return -1;
    }
    int64_t wait_us = next_us - souk_clock_mono_us();
    return wait_us > 0 ? (int)(wait_us / 1000 + 1) : 0;
}

/* A connection that broke is made anew, the first time at once. */
static void s_look(souk_slot_t *self, size_t i) {
    souk_slot_service_t *own = &self->services[i];
    if (own->ok && !s_is_ok(self, i)) {
        own->ok = false;
        own->retry_at_us = 0;
    }
}

/* How long an idle slot may wait without looking at its connections; -1: for ever. */
static int s_look_ms(const souk_slot_t *self) {
    for (size_t i = 0; i < self->options.served_count; i++) {
        if (self->options.served[i].service->slot_ok != NULL) {
            return IDLE_LOOK_MS;
        }
    }
    return -1;
}

static void s_run_job(souk_slot_t *self) {
    souk_ticket_t *first = self->tickets[0];
    void *state = self->options.served[first->service].state;
    void *slot = self->services[first->service].slot;
    if (souk_ctx_method(first->ctx)->lane != SOUK_LANE_BATCH) {
        souk_assert(self->tickets_count == 1);
        souk_ctx_run(first->ctx, state, slot);
        return;
    }
    souk_ctx_t *calls[SOUK_BATCH_CALLS_MAX];
    for (size_t i = 0; i < self->tickets_count; i++) {
        calls[i] = self->tickets[i]->ctx;
    }
    souk_ctx_run_batch(calls, self->tickets_count, state, slot);
}

static void s_slot_main(zsock_t *pipe, void *arg) {
    souk_slot_t *self = arg;
    zsock_signal(pipe, 0); /* born */
    int look_ms = s_look_ms(self);
    while (!atomic_load(&self->stopping)) {
        int wait_ms = s_start_due(self);
        if (look_ms >= 0 && (wait_ms < 0 || wait_ms > look_ms)) {
            wait_ms = look_ms;
        }
        if (souk_mailbox_take(self->inbox, wait_ms) == NULL) {
            for (size_t i = 0; i < self->options.served_count; i++) {
                s_look(self, i);
            }
            continue;
        }
        uint32_t service = self->tickets[0]->service;
        s_run_job(self);
        souk_err_t err = souk_mailbox_put(self->options.done, self);
        souk_assert(err == SOUK_OK);
        s_look(self, service); /* the answer is on its way: the next call finds it mended */
    }
    for (size_t i = 0; i < self->options.served_count; i++) {
        s_stop_service(self, i);
    }
}

/* ---- The bus thread -------------------------------------------------------------------------- */

souk_err_t souk_slot_new(const souk_slot_options_t *options, souk_slot_t **ret_self) {
    souk_assert(options->served_count > 0 && options->served_count <= 64);
    souk_slot_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->options = *options;
    self->services = calloc(options->served_count, sizeof(*self->services));
    souk_assert(self->services != NULL);
    self->inbox = souk_mailbox_new(1, NULL, NULL);
    self->actor = zactor_new(s_slot_main, self);
    if (self->actor == NULL) {
        souk_slot_destroy(&self);
        return SOUK_ERR_IO;
    }
    *ret_self = self;
    return SOUK_OK;
}

void souk_slot_destroy(souk_slot_t **self_p) {
    souk_slot_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    atomic_store(&self->stopping, true);
    souk_mailbox_close(self->inbox);
    zactor_destroy(&self->actor);
    souk_mailbox_destroy(&self->inbox, NULL);
    free(self->services);
    free(self);
    *self_p = NULL;
}

uint64_t souk_slot_started(const souk_slot_t *self) {
    return atomic_load(&self->started);
}

bool souk_slot_connecting(const souk_slot_t *self) {
    return atomic_load(&self->connecting);
}

souk_ticket_t **souk_slot_job(souk_slot_t *self) {
    souk_assert(self->tickets_count == 0);
    return self->tickets;
}

void souk_slot_run(souk_slot_t *self, size_t tickets_count) {
    souk_assert(tickets_count > 0 && tickets_count <= SOUK_BATCH_CALLS_MAX);
    self->tickets_count = tickets_count;
    souk_err_t err = souk_mailbox_put(self->inbox, self);
    souk_assert(err == SOUK_OK);
}

souk_ticket_t *const *souk_slot_tickets(const souk_slot_t *self, size_t *ret_count) {
    *ret_count = self->tickets_count;
    return self->tickets;
}

void souk_slot_clear(souk_slot_t *self) {
    self->tickets_count = 0;
}

uint32_t souk_slot_number(const souk_slot_t *self) {
    return self->options.number;
}
