/* Sessions: HELLO, heartbeats, the end. A peer without a session is kept only to be told so and
 * forgotten after three heartbeats. */
#include "state.h"

#include <stdlib.h>

#define S_SILENT_BEATS 3

souk_peer_state_t *souk_peer_find(const souk_core_t *core, souk_side_t side, souk_peer_t number) {
    return number < core->peers_size[side] ? core->peers[side][number] : NULL;
}

souk_peer_state_t *souk_peer_require(souk_core_t *core, souk_side_t side, souk_peer_t number) {
    souk_peer_state_t *self = souk_peer_find(core, side, number);
    if (self != NULL) {
        return self;
    }
    /* Numbers are dense: the transport bounds how many there are. */
    if (number >= core->peers_size[side]) {
        size_t size = core->peers_size[side] == 0 ? 64 : core->peers_size[side];
        while (size <= number) {
            size *= 2;
        }
        core->peers[side] = realloc(core->peers[side], size * sizeof(souk_peer_state_t *));
        souk_assert(core->peers[side] != NULL);
        memset(core->peers[side] + core->peers_size[side], 0,
               (size - core->peers_size[side]) * sizeof(souk_peer_state_t *));
        core->peers_size[side] = size;
    }
    self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->side = side;
    self->number = number;
    self->heartbeat_us = (int64_t)core->options.heartbeat_ms * 1000;
    self->heard_us = self->sent_us = core->now_us;
    souk_wheel_timer_init(&self->timer, S_TIMER_PEER);
    souk_link_init(&self->doomed);
    souk_link_init(&self->sessions);
    souk_link_init(&self->flights);
    core->peers[side][number] = self;
    souk_wheel_set(&core->wheel, &self->timer, core->now_us + S_SILENT_BEATS * self->heartbeat_us);
    return self;
}

void souk_peer_goaway(souk_core_t *core, souk_peer_state_t *self, souk_goaway_t reason,
                      const char *text) {
    souk_envelope_goaway(souk_core_begin(core, self), reason, souk_str_of(text));
    (void)souk_core_commit(core, self); /* a peer that reads nothing ends by silence */
}

static void s_welcome(souk_core_t *core, souk_peer_state_t *self) {
    souk_welcome_t welcome = {.epoch = core->options.epoch,
                              .heartbeat_ms = (uint32_t)(self->heartbeat_us / 1000),
                              .envelope_bytes_max = core->options.envelope_bytes_max,
                              .broker_name = souk_str_of(core->options.name)};
    memcpy(welcome.session, &core->options.epoch, 8);
    memcpy(welcome.session + 8, &self->serial, 8);
    souk_envelope_welcome(souk_core_begin(core, self), &welcome);
    if (!souk_core_commit(core, self)) {
        souk_core_doom(core, self, "slow");
    }
}

static void s_refuse(souk_core_t *core, souk_peer_state_t *self, souk_goaway_t reason,
                     const char *text) {
    souk_core_note(core, (souk_note_t){.kind = SOUK_NOTE_PEER_REFUSED, .reason = text}, self);
    souk_peer_goaway(core, self, reason, text);
}

/* What an ended session leaves behind, on the same peer: it said HELLO again. */
static void s_end_session(souk_core_t *core, souk_peer_state_t *self) {
    if (self->side == SOUK_SIDE_BACK) {
        souk_worker_end(core, self);
    } else {
        while (!souk_list_empty(&self->flights)) {
            souk_flight_drop(core, SOUK_OBJECT_OF(self->flights.next, souk_flight_t, of_client),
                             SOUK_COUNT_ABANDONED);
        }
    }
    souk_link_remove(&self->sessions);
    core->sessions_count[self->side]--;
    self->session = false;
}

static int64_t s_clamp_heartbeat(const souk_core_options_t *options, uint32_t wish_ms) {
    uint32_t ms = wish_ms == 0 ? options->heartbeat_ms : wish_ms;
    ms = ms < options->heartbeat_min_ms ? options->heartbeat_min_ms : ms;
    ms = ms > options->heartbeat_max_ms ? options->heartbeat_max_ms : ms;
    return (int64_t)ms * 1000;
}

void souk_peer_hello(souk_core_t *core, souk_peer_state_t *self, const souk_envelope_t *envelope) {
    uint32_t role = self->side == SOUK_SIDE_FRONT ? SOUK_ROLE_CLIENT : SOUK_ROLE_WORKER;
    if (self->session && self->fresh) {
        s_welcome(core, self); /* HELLO is repeated until WELCOME is there */
        return;
    }
    if (self->session) {
        core->lost[self->side]++;
        souk_core_note(core, (souk_note_t){.kind = SOUK_NOTE_PEER_LOST, .reason = "restarted"},
                       self);
        s_end_session(core, self);
    }
    souk_str_t name = envelope->as.hello.name;
    self->name_size = (uint8_t)(name.size < sizeof(self->name) ? name.size : sizeof(self->name));
    if (self->name_size > 0) {
        memcpy(self->name, name.data, self->name_size);
    }
    if (envelope->as.hello.role != role) {
        s_refuse(core, self, SOUK_GOAWAY_PROTOCOL,
                 "clients belong to the front socket and workers to the back socket");
        return;
    }
    if (core->stopping) {
        souk_peer_goaway(core, self, SOUK_GOAWAY_STOPPING, "");
        return;
    }
    if (core->sessions_count[self->side] >= core->options.peers_max) {
        s_refuse(core, self, SOUK_GOAWAY_TOO_MANY_PEERS, "too many peers");
        return;
    }
    self->session = self->fresh = true;
    self->malformed_noted = self->draining = self->drained = false;
    self->serial = ++core->serials;
    self->heartbeat_us = s_clamp_heartbeat(&core->options, envelope->as.hello.heartbeat_ms);
    core->sessions_count[self->side]++;
    souk_list_append(&core->sessions[self->side], &self->sessions);
    souk_wheel_set(&core->wheel, &self->timer, core->now_us + self->heartbeat_us);
    souk_core_note(core, (souk_note_t){.kind = SOUK_NOTE_PEER_WELCOME}, self);
    s_welcome(core, self);
}

/* A seat whose worker refused for want of room is blocked until the worker answers or sends credit.
 * With nothing left in its hands it cannot answer, and a worker that forgets to send credit would
 * be lost: so it gets another try once a heartbeat. */
static void s_unblock(souk_core_t *core, souk_peer_state_t *self) {
    for (uint32_t i = 0; i < self->seats_count; i++) {
        if (self->seats[i]->blocked && self->seats[i]->inflight == 0) {
            self->seats[i]->blocked = false;
            souk_seat_refresh(core, self->seats[i]);
        }
    }
}

void souk_peer_timer(souk_core_t *core, souk_peer_state_t *self) {
    int64_t silent_us = self->heard_us + S_SILENT_BEATS * self->heartbeat_us;
    if (silent_us <= core->now_us) {
        souk_core_doom(core, self, "silent");
        return;
    }
    if (!self->session) {
        souk_wheel_set(&core->wheel, &self->timer, silent_us);
        return;
    }
    int64_t ping_us = self->sent_us + self->heartbeat_us;
    if (ping_us <= core->now_us) {
        souk_envelope_ping(souk_core_begin(core, self), ++self->ping_token);
        (void)souk_core_commit(core, self); /* a peer that reads nothing ends by silence */
        ping_us = core->now_us + self->heartbeat_us;
    }
    s_unblock(core, self);
    souk_wheel_set(&core->wheel, &self->timer, ping_us < silent_us ? ping_us : silent_us);
}

void souk_peer_end(souk_core_t *core, souk_peer_state_t *self, const char *reason, bool forget) {
    souk_link_remove(&self->doomed);
    souk_wheel_clear(&core->wheel, &self->timer);
    core->peers[self->side][self->number] = NULL;
    if (self->session) {
        if (!self->drained || strcmp(reason, "gone") != 0) {
            core->lost[self->side]++;
        }
        souk_core_note(core, (souk_note_t){.kind = SOUK_NOTE_PEER_LOST, .reason = reason}, self);
        s_end_session(core, self);
    }
    if (forget) {
        core->out->forget(core->out->arg, self->side, self->number);
    }
    free(self);
}
