/* Design note. A step is: what is due by the clock, then the event, envelope by envelope. After
 * each envelope the core settles: peers that failed meanwhile end (their end may dispatch, fail and
 * cancel other things), and pools that were marked dispatch. Handlers therefore never recurse into
 * each other's endings: they only mark and doom. */
#include "state.h"

#include <stdio.h>
#include <stdlib.h>

souk_core_t *souk_core_new(const souk_core_options_t *options, int64_t now_us) {
    souk_core_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->options = *options;
    self->now_us = now_us;
    souk_wheel_init(&self->wheel, now_us);
    souk_wheel_timer_init(&self->stop, S_TIMER_STOP);
    for (int side = 0; side < SOUK_SIDES_COUNT; side++) {
        souk_link_init(&self->sessions[side]);
    }
    souk_link_init(&self->doomed);
    souk_link_init(&self->dirty);
    self->services = calloc(options->services_max, sizeof(souk_service_t *));
    self->services_table = calloc(options->services_max, sizeof(souk_link_t));
    souk_assert(self->services != NULL && self->services_table != NULL);
    for (uint32_t i = 0; i < options->services_max; i++) {
        souk_link_init(&self->services_table[i]);
    }
    souk_buf_init(&self->scratch, 4096);
    souk_flights_init(self);
    return self;
}

static souk_buf_t *s_begin_nowhere(void *arg, souk_side_t side, souk_peer_t peer) {
    souk_buf_t *buf = arg;
    (void)side;
    (void)peer;
    souk_buf_clear(buf);
    return buf;
}

static souk_err_t s_commit_nowhere(void *arg, souk_side_t side, souk_peer_t peer) {
    (void)arg;
    (void)side;
    (void)peer;
    return SOUK_OK;
}

static void s_forget_nowhere(void *arg, souk_side_t side, souk_peer_t peer) {
    (void)arg;
    (void)side;
    (void)peer;
}

static void s_note_nowhere(void *arg, const souk_note_t *note) {
    (void)arg;
    (void)note;
}

static void s_waited_nowhere(void *arg, uint32_t index, uint8_t priority, int64_t us) {
    (void)arg;
    (void)index;
    (void)priority;
    (void)us;
}

static void s_settle(souk_core_t *self);

void souk_core_destroy(souk_core_t **self_p) {
    souk_core_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    souk_buf_t buf;
    souk_buf_init(&buf, self->options.envelope_bytes_max);
    const souk_out_t nowhere = {.arg = &buf,
                                .begin = s_begin_nowhere,
                                .commit = s_commit_nowhere,
                                .forget = s_forget_nowhere,
                                .note = s_note_nowhere,
                                .waited = s_waited_nowhere};
    self->out = &nowhere;
    for (int side = 0; side < SOUK_SIDES_COUNT; side++) {
        for (size_t i = 0; i < self->peers_size[side]; i++) {
            if (self->peers[side][i] != NULL) {
                souk_peer_end(self, self->peers[side][i], "destroyed", false);
                s_settle(self);
            }
        }
        free(self->peers[side]);
    }
    souk_assert(self->flights_count == 0 && self->bytes == 0);
    for (uint32_t i = 0; i < self->options.services_max; i++) {
        if (self->services[i] != NULL) {
            souk_service_destroy(self, self->services[i]);
        }
    }
    souk_flights_done(self);
    free(self->services);
    free(self->services_table);
    souk_buf_done(&self->scratch);
    souk_buf_done(&buf);
    free(self);
    *self_p = NULL;
}

souk_buf_t *souk_core_begin(souk_core_t *self, souk_peer_state_t *peer) {
    return self->out->begin(self->out->arg, peer->side, peer->number);
}

bool souk_core_commit(souk_core_t *self, souk_peer_state_t *peer) {
    if (self->out->commit(self->out->arg, peer->side, peer->number) != SOUK_OK) {
        return false;
    }
    peer->sent_us = self->now_us;
    return true;
}

void souk_core_note(souk_core_t *self, souk_note_t note, const souk_peer_state_t *peer) {
    if (peer != NULL) {
        note.side = peer->side;
        note.peer = (souk_str_t){.data = peer->name, .size = peer->name_size};
        note.session = peer->serial;
    }
    self->out->note(self->out->arg, &note);
}

void souk_core_doom(souk_core_t *self, souk_peer_state_t *peer, const char *reason) {
    if (peer->doom == NULL) {
        peer->doom = reason;
        souk_list_append(&self->doomed, &peer->doomed);
    }
}

/* Multiply and fold, eight bytes at a time, with a secret seed, so that clients cannot choose
 * colliding correlation ids. */
uint64_t souk_core_hash(const souk_core_t *self, const void *data, size_t bytes, uint64_t salt) {
    const uint8_t *at = data;
    uint64_t hash = self->options.hash_seed ^ (salt * 0x9E3779B97F4A7C15ULL) ^ bytes;
    while (bytes > 0) {
        uint64_t word = 0;
        size_t take = bytes < 8 ? bytes : 8;
        memcpy(&word, at, take);
        __extension__ unsigned __int128 product =
            (unsigned __int128)(hash ^ word) * 0xD6E8FEB86659FD93ULL;
        hash = (uint64_t)product ^ (uint64_t)(product >> 64) ^ self->options.hash_seed;
        at += take;
        bytes -= take;
    }
    return hash ^ (hash >> 32);
}

static void s_settle(souk_core_t *self) {
    while (!souk_list_empty(&self->doomed) || !souk_list_empty(&self->dirty)) {
        if (!souk_list_empty(&self->doomed)) {
            souk_peer_state_t *peer = SOUK_OBJECT_OF(self->doomed.next, souk_peer_state_t, doomed);
            souk_peer_end(self, peer, peer->doom, true);
            continue;
        }
        souk_pool_t *pool = SOUK_OBJECT_OF(self->dirty.next, souk_pool_t, dirty);
        souk_link_remove(&pool->dirty);
        if (pool->service->suspects_count > 0) {
            souk_suspects_assign(self, pool->service);
        }
        souk_dispatch(self, pool);
    }
}

/* The version of an envelope that could not be read otherwise; 0 when there is none. */
static uint64_t s_version_of(souk_str_t bytes) {
    souk_mp_cursor_t at;
    uint32_t count = 0;
    uint64_t version = 0;
    souk_mp_cursor_init(&at, bytes.data, bytes.size);
    if (souk_mp_read_array(&at, &count) != SOUK_OK ||
        souk_mp_read_uint(&at, UINT32_MAX, &version) != SOUK_OK) {
        return 0;
    }
    return version;
}

static void s_client_message(souk_core_t *self, souk_peer_state_t *peer,
                             const souk_envelope_t *envelope) {
    switch ((int)envelope->type) {
    case SOUK_MSG_REQ:
        souk_flight_request(self, peer, &envelope->as.req);
        break;
    case SOUK_MSG_CANCEL:
        souk_flight_cancel(self, peer, envelope->as.cancel.corr);
        break;
    default:
        self->unexpected++;
        break;
    }
}

static void s_worker_message(souk_core_t *self, souk_peer_state_t *peer,
                             const souk_envelope_t *envelope) {
    switch ((int)envelope->type) {
    case SOUK_MSG_REP:
    case SOUK_MSG_ERR:
        souk_answer_take(self, peer, envelope);
        break;
    case SOUK_MSG_REFUSED:
        souk_answer_refused(self, peer, envelope);
        break;
    case SOUK_MSG_READY:
        souk_worker_ready(self, peer, envelope);
        break;
    case SOUK_MSG_CREDIT:
        souk_worker_credit(self, peer, envelope);
        break;
    case SOUK_MSG_DRAIN:
        souk_worker_drain(self, peer);
        break;
    default:
        self->unexpected++;
        break;
    }
}

static void s_message(souk_core_t *self, souk_peer_state_t *peer, const souk_envelope_t *envelope) {
    if (envelope->type == SOUK_MSG_HELLO) {
        souk_peer_hello(self, peer, envelope);
        return;
    }
    if (!peer->session) {
        souk_peer_goaway(self, peer, SOUK_GOAWAY_UNKNOWN_SESSION, "");
        return;
    }
    peer->fresh = false;
    if (envelope->type == SOUK_MSG_PING) {
        souk_envelope_pong(souk_core_begin(self, peer), envelope->as.ping.token);
        (void)souk_core_commit(self, peer);
    } else if (envelope->type == SOUK_MSG_PONG) {
        return;
    } else if (peer->side == SOUK_SIDE_FRONT) {
        s_client_message(self, peer, envelope);
    } else {
        s_worker_message(self, peer, envelope);
    }
}

static void s_malformed(souk_core_t *self, souk_peer_state_t *peer,
                        const souk_envelope_t *envelope) {
    self->malformed++;
    if (!peer->malformed_noted) {
        peer->malformed_noted = true;
        souk_core_note(self, (souk_note_t){.kind = SOUK_NOTE_PEER_MALFORMED}, peer);
    }
    if (!peer->session) {
        souk_peer_goaway(self, peer, SOUK_GOAWAY_UNKNOWN_SESSION, "");
    } else if (peer->side == SOUK_SIDE_FRONT && envelope->type == SOUK_MSG_REQ &&
               envelope->as.req.corr.size > 0) {
        souk_fail(self, peer, envelope->as.req.corr, SOUK_ERR_MALFORMED);
    }
}

static void s_unsupported(souk_core_t *self, souk_peer_state_t *peer,
                          const souk_envelope_t *envelope) {
    self->unexpected++;
    if (peer->session) {
        return;
    }
    bool version = s_version_of(envelope->bytes) != SOUK_PROTOCOL_VERSION;
    souk_peer_goaway(self, peer, version ? SOUK_GOAWAY_VERSION : SOUK_GOAWAY_UNKNOWN_SESSION, "");
}

static void s_frame(souk_core_t *self, const souk_event_t *event) {
    souk_mp_cursor_t at;
    souk_mp_cursor_init(&at, event->frame.data, event->frame.size);
    do {
        /* Looked up for each envelope: the one before may have ended the peer. */
        souk_peer_state_t *peer = souk_peer_require(self, event->side, event->peer);
        peer->heard_us = self->now_us;
        souk_envelope_t envelope = {0};
        souk_err_t err = souk_envelope_read(&at, &envelope);
        if (err == SOUK_OK) {
            s_message(self, peer, &envelope);
        } else if (err == SOUK_ERR_UNSUPPORTED) {
            s_unsupported(self, peer, &envelope);
        } else {
            s_malformed(self, peer, &envelope);
        }
        s_settle(self);
        if (err == SOUK_ERR_MALFORMED) {
            return;
        }
    } while (!souk_mp_at_end(&at) && souk_peer_find(self, event->side, event->peer) != NULL);
}

static void s_stop(souk_core_t *self) {
    if (self->stopping) {
        return;
    }
    self->stopping = true;
    souk_core_note(self, (souk_note_t){.kind = SOUK_NOTE_STOPPING, .count = self->flights_count},
                   NULL);
    souk_wheel_set(&self->wheel, &self->stop, self->now_us + (int64_t)self->options.stop_ms * 1000);
    for (int side = 0; side < SOUK_SIDES_COUNT; side++) {
        for (souk_link_t *at = self->sessions[side].next; at != &self->sessions[side];
             at = at->next) {
            souk_peer_state_t *peer = SOUK_OBJECT_OF(at, souk_peer_state_t, sessions);
            souk_peer_goaway(self, peer, SOUK_GOAWAY_STOPPING, "");
        }
    }
}

/* The patience of a stopping broker is over: everybody gets an answer that says what is known. */
static void s_stop_now(souk_core_t *self) {
    for (uint32_t slot = 0; slot < self->chunks_count * S_CHUNK; slot++) {
        souk_flight_t *flight = souk_flight_at(self, slot);
        if (flight->client == NULL) {
            continue;
        }
        souk_err_t err = SOUK_ERR_DRAINING;
        if (flight->was_dispatched) {
            err =
                flight->class_ == SOUK_CLASS_UNKEYED ? SOUK_ERR_UNKNOWN_OUTCOME : SOUK_ERR_TIMEOUT;
        }
        souk_flight_fail(self, flight, err, SOUK_COUNT_STOPPED);
    }
}

static void s_due(souk_core_t *self) {
    souk_wheel_timer_t *timer;
    while ((timer = souk_wheel_pop(&self->wheel, self->now_us)) != NULL) {
        switch (timer->kind) {
        case S_TIMER_FLIGHT:
            souk_flight_timer(self, SOUK_OBJECT_OF(timer, souk_flight_t, deadline));
            break;
        case S_TIMER_PEER:
            souk_peer_timer(self, SOUK_OBJECT_OF(timer, souk_peer_state_t, timer));
            break;
        case S_TIMER_METHOD:
            souk_method_timer(self, SOUK_OBJECT_OF(timer, souk_method_t, cold));
            break;
        default:
            s_stop_now(self);
            break;
        }
        s_settle(self);
    }
}

void souk_core_step(souk_core_t *self, const souk_event_t *event, int64_t now_us,
                    const souk_out_t *out) {
    self->now_us = now_us > self->now_us ? now_us : self->now_us;
    self->out = out;
    s_due(self);
    switch (event->kind) {
    case SOUK_EVENT_TICK:
        break;
    case SOUK_EVENT_FRAME:
        s_frame(self, event);
        break;
    case SOUK_EVENT_GONE: {
        souk_peer_state_t *peer = souk_peer_find(self, event->side, event->peer);
        if (peer != NULL) {
            souk_peer_end(self, peer, "gone", false);
        }
        break;
    }
    case SOUK_EVENT_STOP:
        s_stop(self);
        break;
    }
    s_settle(self);
    self->out = NULL;
}

int64_t souk_core_next_wake_us(const souk_core_t *self) {
    return souk_wheel_next_us(&self->wheel);
}

bool souk_core_finished(const souk_core_t *self) {
    return self->stopping && self->waiting_count == 0;
}
