#include "link.h"

#include <stdlib.h>

#include "gen/metrics.h"
#include "souk/log.h"
#include "souk/metrics.h"

#define HELLO_PAUSE_US ((int64_t)1000 * 1000)
#define REJECTED_PAUSE_US ((int64_t)5 * 1000 * 1000)
#define SILENT_HEARTBEATS_MAX 3
#define LINGER_MS 1000
/* More than any broker is configured to send (WELCOME says how much that is). */
#define FRAME_BYTES_MAX ((size_t)16 * 1024 * 1024)
/* ZMTP heartbeats find a dead path even while the peer's process is stopped in a debugger of its
 * own. */
#define ZMTP_HEARTBEAT_MS 5000

struct souk_link {
    souk_link_options_t options;
    char *endpoint;
    souk_loop_t *loop;
    souk_bus_t *bus;
    souk_timer_t *timer;
    bool up;
    uint32_t generation;
    uint8_t session[16];
    size_t session_bytes;
    uint64_t epoch;
    int64_t heartbeat_us;
    size_t envelope_bytes_max;
    int64_t heard_us, sent_us;
    uint64_t token;
};

/* Sends what concerns the session alone. When the connection takes no more, what is pending is a
 * sign of life too. */
static void s_commit(souk_link_t *self) {
    if (souk_link_commit(self) != SOUK_OK) {
        souk_metric_add(souk_metric(SOUK_METRIC_WORKER_LOST_ANSWERS_TOTAL, NULL), 1);
    }
}

static void s_send_hello(souk_link_t *self) {
    /* One HELLO at a time: while the broker is away they would pile up. */
    if (souk_bus_pending_bytes(self->bus, 0) == 0) {
        souk_envelope_hello(souk_bus_begin(self->bus, 0), SOUK_ROLE_WORKER,
                            souk_str_of(self->options.name), self->options.heartbeat_ms);
        s_commit(self);
    }
}

static void s_down(souk_link_t *self, const char *why, int64_t pause_us) {
    if (self->up) {
        self->up = false;
        souk_log(SOUK_LOG_WARN, "WK-SESSION-LOST", SOUK_F_TEXT("broker", self->endpoint),
                 SOUK_F_TEXT("why", why));
        self->options.on_down(self->options.arg, self);
    }
    souk_timer_set(self->timer, pause_us);
}

static void s_on_timer(void *arg) {
    souk_link_t *self = arg;
    int64_t now_us = souk_loop_now_us(self->loop);
    if (!self->up) {
        s_send_hello(self);
        souk_timer_set(self->timer, HELLO_PAUSE_US);
        return;
    }
    if (now_us - self->heard_us > SILENT_HEARTBEATS_MAX * self->heartbeat_us) {
        s_down(self, "silence", 0);
        return;
    }
    if (now_us - self->sent_us >= self->heartbeat_us) {
        souk_envelope_ping(souk_link_begin(self), ++self->token);
        s_commit(self);
    }
    souk_timer_set(self->timer, self->heartbeat_us / 2);
}

static void s_on_welcome(souk_link_t *self, const souk_envelope_t *envelope) {
    souk_str_t session = envelope->as.welcome.session;
    bool same = self->up && envelope->as.welcome.epoch == self->epoch &&
                souk_str_equal(session, (souk_str_t){.data = (const char *)self->session,
                                                     .size = self->session_bytes});
    if (same) {
        return; /* the answer to a repeated HELLO */
    }
    if (self->up) {
        s_down(self, "another session", HELLO_PAUSE_US);
    }
    self->session_bytes =
        session.size < sizeof(self->session) ? session.size : sizeof(self->session);
    memcpy(self->session, session.data, self->session_bytes);
    self->epoch = envelope->as.welcome.epoch;
    uint32_t heartbeat_ms = envelope->as.welcome.heartbeat_ms;
    self->heartbeat_us = (int64_t)(heartbeat_ms > 0 ? heartbeat_ms : 1) * 1000;
    self->envelope_bytes_max = envelope->as.welcome.envelope_bytes_max;
    self->generation++;
    self->up = true;
    self->heard_us = self->sent_us = souk_loop_now_us(self->loop);
    souk_timer_set(self->timer, self->heartbeat_us / 2);
    souk_log(SOUK_LOG_INFO, "WK-SESSION", SOUK_F_TEXT("broker", self->endpoint),
             SOUK_F_STR("broker_name", envelope->as.welcome.broker_name),
             SOUK_F_INT("epoch", self->epoch), SOUK_F_INT("heartbeat_ms", heartbeat_ms));
    self->options.on_up(self->options.arg, self);
}

static void s_on_goaway(souk_link_t *self, const souk_envelope_t *envelope) {
    uint32_t reason = envelope->as.goaway.reason;
    if (reason == SOUK_GOAWAY_STOPPING) {
        return; /* the session stays for what is in flight and ends by silence */
    }
    if (reason == SOUK_GOAWAY_UNKNOWN_SESSION) {
        if (self->up) { /* else our HELLO is on its way already */
            s_down(self, "unknown session", 0);
        }
        return;
    }
    souk_log(SOUK_LOG_ERROR, "WK-REJECTED", SOUK_F_TEXT("broker", self->endpoint),
             SOUK_F_INT("reason", reason), SOUK_F_STR("text", envelope->as.goaway.text));
    s_down(self, "rejected", REJECTED_PAUSE_US);
}

static void s_on_message(souk_link_t *self, const souk_envelope_t *envelope, souk_err_t err) {
    if (envelope->type == SOUK_MSG_WELCOME) {
        s_on_welcome(self, envelope);
        return;
    }
    if (envelope->type == SOUK_MSG_GOAWAY) {
        s_on_goaway(self, envelope);
        return;
    }
    if (!self->up) {
        return;
    }
    switch (envelope->type) {
    case SOUK_MSG_PING:
        souk_envelope_pong(souk_link_begin(self), envelope->as.ping.token);
        s_commit(self);
        break;
    case SOUK_MSG_REQ:
    case SOUK_MSG_CANCEL:
    case SOUK_MSG_DRAINED:
        self->options.on_envelope(self->options.arg, self, envelope, err);
        break;
    default:
        break; /* PONG has done its work; the rest is not for a worker */
    }
}

static void s_on_frame(void *arg, souk_peer_t peer, souk_str_t frame) {
    (void)peer;
    souk_link_t *self = arg;
    self->heard_us = souk_loop_now_us(self->loop);
    souk_mp_cursor_t cursor;
    souk_mp_cursor_init(&cursor, frame.data, frame.size);
    while (!souk_mp_at_end(&cursor)) {
        souk_envelope_t envelope = {0};
        souk_err_t err = souk_envelope_read(&cursor, &envelope);
        if (err == SOUK_OK) {
            s_on_message(self, &envelope, SOUK_OK);
            continue;
        }
        souk_metric_add(souk_metric(SOUK_METRIC_WORKER_MALFORMED_TOTAL, NULL), 1);
        if (err == SOUK_ERR_UNSUPPORTED) {
            continue;
        }
        if (envelope.type == SOUK_MSG_REQ && envelope.as.req.corr.size > 0) {
            s_on_message(self, &envelope, SOUK_ERR_MALFORMED);
        }
        return;
    }
}

souk_err_t souk_link_new(souk_loop_t *loop, souk_str_t endpoint, const souk_link_options_t *options,
                         souk_link_t **ret_self) {
    souk_link_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->options = *options;
    self->endpoint = strndup(endpoint.data, endpoint.size);
    souk_assert(self->endpoint != NULL);
    self->loop = loop;
    self->timer = souk_timer_new(loop, s_on_timer, self);
    souk_bus_options_t bus = {
        .endpoint = self->endpoint,
        .pending_bytes_max = options->pending_bytes_max,
        .frame_bytes_max = FRAME_BYTES_MAX,
        .heartbeat_ms = ZMTP_HEARTBEAT_MS,
        .linger_ms = LINGER_MS,
        .on_frame = s_on_frame,
        .arg = self,
    };
    souk_err_t err = souk_bus_open(loop, &bus, &self->bus);
    if (err != SOUK_OK) {
        souk_link_destroy(&self);
        return err;
    }
    souk_timer_set(self->timer, 0);
    *ret_self = self;
    return SOUK_OK;
}

void souk_link_destroy(souk_link_t **self_p) {
    souk_link_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    souk_timer_destroy(&self->timer);
    if (self->bus != NULL) {
        souk_bus_close(&self->bus);
    }
    free(self->endpoint);
    free(self);
    *self_p = NULL;
}

bool souk_link_up(const souk_link_t *self) {
    return self->up;
}

uint32_t souk_link_generation(const souk_link_t *self) {
    return self->generation;
}

uint32_t souk_link_number(const souk_link_t *self) {
    return self->options.number;
}

size_t souk_link_envelope_bytes_max(const souk_link_t *self) {
    return self->envelope_bytes_max;
}

souk_buf_t *souk_link_begin(souk_link_t *self) {
    return souk_bus_begin(self->bus, 0);
}

souk_err_t souk_link_commit(souk_link_t *self) {
    self->sent_us = souk_loop_now_us(self->loop);
    return souk_bus_commit(self->bus);
}
