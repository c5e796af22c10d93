#include "link.h"

#include <stdlib.h>

#include "gen/metrics.h"
#include "souk/log.h"
#include "souk/metrics.h"

#define LINGER_MS 1000

struct souk_link {
    souk_link_options_t options;
    souk_session_t *session;
    uint32_t generation;
    uint64_t unread; /* envelopes already counted as malformed or unsupported */
};

static void s_on_up(void *arg, const souk_envelope_t *welcome) {
    souk_link_t *self = arg;
    self->generation++;
    souk_log(SOUK_LOG_INFO, "WK-SESSION",
             SOUK_F_TEXT("broker", souk_session_endpoint(self->session)),
             SOUK_F_STR("broker_name", welcome->as.welcome.broker_name),
             SOUK_F_INT("epoch", welcome->as.welcome.epoch),
             SOUK_F_INT("heartbeat_ms", welcome->as.welcome.heartbeat_ms));
    self->options.on_up(self->options.arg, self);
}

static void s_on_down(void *arg, souk_session_end_t why, souk_str_t text) {
    static const char *const reasons[] = {
        [SOUK_SESSION_SILENCE] = "silence",
        [SOUK_SESSION_UNKNOWN] = "unknown session",
        [SOUK_SESSION_REJECTED] = "rejected",
        [SOUK_SESSION_REPLACED] = "another session",
    };
    souk_link_t *self = arg;
    souk_log(why == SOUK_SESSION_REJECTED ? SOUK_LOG_ERROR : SOUK_LOG_WARN, "WK-SESSION-LOST",
             SOUK_F_TEXT("broker", souk_session_endpoint(self->session)),
             SOUK_F_TEXT("why", reasons[why]), SOUK_F_STR("text", text));
    self->options.on_down(self->options.arg, self);
}

static void s_on_envelope(void *arg, const souk_envelope_t *envelope, souk_err_t err) {
    souk_link_t *self = arg;
    self->options.on_envelope(self->options.arg, self, envelope, err);
}

souk_err_t souk_link_new(souk_loop_t *loop, souk_str_t endpoint, const souk_link_options_t *options,
                         souk_link_t **ret_self) {
    souk_link_t *self = calloc(1, sizeof(*self));
    char *text = strndup(endpoint.data, endpoint.size);
    souk_assert(self != NULL && text != NULL);
    self->options = *options;
    souk_session_options_t session = {
        .endpoint = text,
        .role = SOUK_ROLE_WORKER,
        .name = options->name,
        .heartbeat_ms = options->heartbeat_ms,
        .pending_bytes_max = options->pending_bytes_max,
        .linger_ms = LINGER_MS,
        .on_up = s_on_up,
        .on_down = s_on_down,
        .on_envelope = s_on_envelope,
        .arg = self,
    };
    souk_err_t err = souk_session_open(loop, &session, &self->session);
    free(text);
    if (err != SOUK_OK) {
        souk_link_destroy(&self);
        return err;
    }
    *ret_self = self;
    return SOUK_OK;
}

void souk_link_destroy(souk_link_t **self_p) {
    souk_link_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    if (self->session != NULL) {
        souk_session_close(&self->session);
    }
    free(self);
    *self_p = NULL;
}

void souk_link_count(souk_link_t *self) {
    souk_session_stats_t stats;
    souk_session_stats(self->session, &stats);
    uint64_t unread = stats.malformed + stats.unsupported;
    souk_metric_add(souk_metric(SOUK_METRIC_WORKER_MALFORMED_TOTAL, NULL),
                    (int64_t)(unread - self->unread));
    self->unread = unread;
}

bool souk_link_up(const souk_link_t *self) {
    return souk_session_is_up(self->session);
}

uint32_t souk_link_generation(const souk_link_t *self) {
    return self->generation;
}

uint32_t souk_link_number(const souk_link_t *self) {
    return self->options.number;
}

size_t souk_link_envelope_bytes_max(const souk_link_t *self) {
    return souk_session_envelope_bytes_max(self->session);
}

souk_buf_t *souk_link_begin(souk_link_t *self) {
    return souk_session_begin(self->session);
}

souk_err_t souk_link_commit(souk_link_t *self) {
    return souk_session_commit(self->session);
}
