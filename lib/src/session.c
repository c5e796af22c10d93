/* Sessions: notes.
 *
 * DOWN: HELLO each second. The socket takes nothing while no broker is connected, so at most one
 * HELLO is pending. UP:   WELCOME came. STOPPING: up, and the broker said that it is about to stop:
 * the session stays for what is outstanding and ends by silence or by GOAWAY 1 of the broker's
 * successor.
 *
 * One timer serves both: it fires when the next HELLO or PING is due or the broker has been silent
 * for too long, and what was sent or heard meanwhile only makes it look again. Timers run after the
 * messages that arrived before them (loop.c), so a process that was stopped for a while hears its
 * broker before it misses it.
 *
 * Envelopes of a session that was lost may still come: they are dropped while down, and after that
 * belong to nothing that the owner has outstanding. */
#include "souk/session.h"

#include <errno.h>
#include <stdlib.h>

#define HELLO_PAUSE_US ((int64_t)1000 * 1000)
#define REJECTED_PAUSE_US ((int64_t)5 * 1000 * 1000)
#define SILENT_HEARTBEATS_MAX 3
#define HEARTBEAT_MIN_MS 10
#define ZMTP_HEARTBEAT_MS 5000
/* More than any broker is configured for; how much it takes, WELCOME says. */
#define FRAME_BYTES_MAX ((size_t)16 * 1024 * 1024)

typedef enum { S_DOWN, S_UP, S_STOPPING } s_state_t;

struct souk_session {
    souk_session_options_t options;
    char *endpoint, *name;
    souk_loop_t *loop;
    souk_bus_t *bus;
    souk_timer_t *timer;
    s_state_t state;
    bool pause; /* rejected: no HELLO before the timer fires */
    uint8_t id[16];
    uint64_t epoch;
    int64_t heartbeat_us;
    size_t envelope_bytes_max;
    int64_t heard_us, sent_us;
    uint64_t token;
    bool nowhere;    /* begin and commit without a session */
    souk_buf_t sink; /* what they write to then */
    souk_session_stats_t stats;
};

/* ---- Out ---------------------------------------------------------------------------------------
 */

souk_buf_t *souk_session_begin(souk_session_t *self) {
    self->nowhere = self->state == S_DOWN;
    if (self->nowhere) {
        souk_buf_clear(&self->sink);
        return &self->sink;
    }
    return souk_bus_begin(self->bus, 0);
}

souk_err_t souk_session_commit(souk_session_t *self) {
    if (self->nowhere) {
        return SOUK_ERR_CLOSED;
    }
    self->sent_us = souk_loop_now_us(self->loop);
    return souk_bus_commit(self->bus);
}

/* No room for our own: then what is pending is a sign of life as well. */
static void s_note_unsent(souk_session_t *self, souk_err_t err) {
    self->stats.unsent += err != SOUK_OK;
}

static void s_send_hello(souk_session_t *self) {
    if (souk_bus_pending_bytes(self->bus, 0) == 0) {
        souk_envelope_hello(souk_bus_begin(self->bus, 0), self->options.role,
                            souk_str_of(self->name), self->options.heartbeat_ms);
        s_note_unsent(self, souk_bus_commit(self->bus)); /* the next second tries again */
    }
    souk_timer_set(self->timer, HELLO_PAUSE_US);
}

/* ---- State -------------------------------------------------------------------------------------
 */

static void s_arm(souk_session_t *self) {
    int64_t ping_us = self->sent_us + self->heartbeat_us;
    int64_t dead_us = self->heard_us + SILENT_HEARTBEATS_MAX * self->heartbeat_us;
    int64_t due_us = ping_us < dead_us ? ping_us : dead_us;
    souk_timer_set(self->timer, due_us - souk_loop_now_us(self->loop));
}

static void s_go_down(souk_session_t *self, souk_session_end_t why, souk_str_t text) {
    bool was_up = self->state != S_DOWN;
    self->state = S_DOWN;
    self->pause = why == SOUK_SESSION_REJECTED;
    souk_bus_forget(self->bus, 0);
    if (self->pause) {
        souk_timer_set(self->timer, REJECTED_PAUSE_US);
    } else if (why != SOUK_SESSION_REPLACED) {
        s_send_hello(self);
    }
    if (was_up || why == SOUK_SESSION_REJECTED) {
        self->options.on_down(self->options.arg, why, text);
    }
}

static void s_on_timer(void *arg) {
    souk_session_t *self = arg;
    if (self->state == S_DOWN) {
        self->pause = false;
        s_send_hello(self);
        return;
    }
    int64_t now_us = souk_loop_now_us(self->loop);
    if (now_us - self->heard_us >= SILENT_HEARTBEATS_MAX * self->heartbeat_us) {
        s_go_down(self, SOUK_SESSION_SILENCE, (souk_str_t){0});
        return;
    }
    if (now_us - self->sent_us >= self->heartbeat_us) {
        souk_envelope_ping(souk_session_begin(self), ++self->token);
        s_note_unsent(self, souk_session_commit(self));
    }
    s_arm(self);
}

static bool s_is_same(const souk_session_t *self, const souk_envelope_t *welcome) {
    return self->state != S_DOWN && welcome->as.welcome.epoch == self->epoch &&
           memcmp(welcome->as.welcome.session.data, self->id, sizeof(self->id)) == 0;
}

static void s_on_welcome(souk_session_t *self, const souk_envelope_t *welcome) {
    if (s_is_same(self, welcome) || self->pause) {
        return; /* the answer to a repeated HELLO, or to one before we were rejected */
    }
    if (self->state != S_DOWN) {
        s_go_down(self, SOUK_SESSION_REPLACED, (souk_str_t){0});
    }
    memcpy(self->id, welcome->as.welcome.session.data, sizeof(self->id));
    self->epoch = welcome->as.welcome.epoch;
    self->envelope_bytes_max = welcome->as.welcome.envelope_bytes_max;
    uint32_t heartbeat_ms = welcome->as.welcome.heartbeat_ms;
    self->heartbeat_us =
        (int64_t)(heartbeat_ms > HEARTBEAT_MIN_MS ? heartbeat_ms : HEARTBEAT_MIN_MS) * 1000;
    self->state = S_UP;
    self->stats.sessions++;
    self->heard_us = self->sent_us = souk_loop_now_us(self->loop);
    s_arm(self);
    self->options.on_up(self->options.arg, welcome);
}

static void s_on_goaway(souk_session_t *self, const souk_envelope_t *goaway) {
    uint32_t reason = goaway->as.goaway.reason;
    if (reason == SOUK_GOAWAY_STOPPING) {
        self->state = self->state == S_UP ? S_STOPPING : self->state;
    } else if (reason != SOUK_GOAWAY_UNKNOWN_SESSION) {
        s_go_down(self, SOUK_SESSION_REJECTED, goaway->as.goaway.text);
    } else if (self->state != S_DOWN) { /* else HELLO is on its way already */
        s_go_down(self, SOUK_SESSION_UNKNOWN, (souk_str_t){0});
    }
}

/* ---- In ----------------------------------------------------------------------------------------
 */

static void s_dispatch(souk_session_t *self, const souk_envelope_t *envelope, souk_err_t err) {
    if (envelope->type == SOUK_MSG_WELCOME) {
        s_on_welcome(self, envelope);
    } else if (envelope->type == SOUK_MSG_GOAWAY) {
        s_on_goaway(self, envelope);
    } else if (self->state == S_DOWN || envelope->type == SOUK_MSG_PONG ||
               envelope->type == SOUK_MSG_HELLO) {
        return;
    } else if (envelope->type == SOUK_MSG_PING) {
        souk_envelope_pong(souk_session_begin(self), envelope->as.ping.token);
        s_note_unsent(self, souk_session_commit(self));
    } else {
        self->options.on_envelope(self->options.arg, envelope, err);
    }
}

static void s_on_frame(void *arg, souk_peer_t peer, souk_str_t frame) {
    (void)peer;
    souk_session_t *self = arg;
    self->heard_us = souk_loop_now_us(self->loop);
    souk_mp_cursor_t cursor;
    souk_mp_cursor_init(&cursor, frame.data, frame.size);
    while (!souk_mp_at_end(&cursor)) {
        souk_envelope_t envelope;
        souk_err_t err = souk_envelope_read(&cursor, &envelope);
        if (err == SOUK_ERR_UNSUPPORTED) {
            self->stats.unsupported++;
            continue;
        }
        self->stats.malformed += err != SOUK_OK;
        if (err == SOUK_OK || envelope.type == SOUK_MSG_REQ) {
            s_dispatch(self, &envelope, err);
        }
    }
}

/* ---- Life --------------------------------------------------------------------------------------
 */

static souk_err_t s_open(souk_session_t *self) {
    self->endpoint = strdup(self->options.endpoint);
    self->name = strdup(self->options.name);
    self->timer = souk_timer_new(self->loop, s_on_timer, self);
    if (self->endpoint == NULL || self->name == NULL || self->timer == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    souk_bus_options_t bus = {
        .endpoint = self->endpoint,
        .pending_bytes_max = self->options.pending_bytes_max,
        .frame_bytes_max = FRAME_BYTES_MAX,
        .heartbeat_ms = ZMTP_HEARTBEAT_MS,
        .linger_ms = self->options.linger_ms,
        .on_frame = s_on_frame,
        .arg = self,
    };
    SOUK_TRY(souk_bus_open(self->loop, &bus, &self->bus));
    s_send_hello(self);
    return SOUK_OK;
}

souk_err_t souk_session_open(souk_loop_t *loop, const souk_session_options_t *options,
                             souk_session_t **ret_self) {
    souk_session_t *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    self->loop = loop;
    self->options = *options;
    souk_buf_init(&self->sink, FRAME_BYTES_MAX);
    souk_err_t err = s_open(self);
    if (err != SOUK_OK) {
        int saved = errno;
        souk_session_close(&self);
        errno = saved;
        return err;
    }
    *ret_self = self;
    return SOUK_OK;
}

void souk_session_close(souk_session_t **self_p) {
    souk_session_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    *self_p = NULL;
    if (self->bus != NULL && self->state == S_DOWN) {
        souk_bus_forget(self->bus, 0); /* a HELLO is not worth waiting for */
    }
    souk_bus_close(&self->bus);
    souk_timer_destroy(&self->timer);
    souk_buf_done(&self->sink);
    free(self->endpoint);
    free(self->name);
    free(self);
}

bool souk_session_is_up(const souk_session_t *self) {
    return self->state != S_DOWN;
}

bool souk_session_takes_requests(const souk_session_t *self) {
    return self->state == S_UP;
}

size_t souk_session_envelope_bytes_max(const souk_session_t *self) {
    return self->envelope_bytes_max;
}

size_t souk_session_pending_bytes(const souk_session_t *self) {
    return souk_bus_pending_bytes(self->bus, 0);
}

const char *souk_session_endpoint(const souk_session_t *self) {
    return self->endpoint;
}

void souk_session_stats(const souk_session_t *self, souk_session_stats_t *ret) {
    *ret = self->stats;
}
