#include "gateway/keys_poll.h"

#include <stdlib.h>

#include "gen/metrics.h"
#include "gen/routes.h"
#include "souk/clock.h"
#include "souk/log.h"
#include "souk/metrics.h"
#include "souk/mp.h"

#define AGAIN_US 1000000

struct souk_keys_poll {
    souk_keys_poll_options_t options;
    bool asking;
    bool failing; /* the last question had no good answer, and that was told */
    bool answered;
    int64_t asked_us;
    int64_t revision;
    uint64_t call;
    souk_buf_t body;
    souk_series_t *age;
};

souk_keys_poll_t *souk_keys_poll_new(const souk_keys_poll_options_t *options) {
    souk_keys_poll_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->options = *options;
    self->asked_us = INT64_MIN / 2;
    self->age = souk_metric(SOUK_METRIC_GATEWAY_KEYS_AGE_SECONDS, NULL);
    souk_buf_init(&self->body, 64);
    return self;
}

void souk_keys_poll_destroy(souk_keys_poll_t **self_p) {
    souk_keys_poll_t *self = *self_p;
    if (self != NULL) {
        if (self->asking) {
            souk_client_cancel(self->options.client, self->call);
        }
        souk_buf_done(&self->body);
        free(self);
        *self_p = NULL;
    }
}

/* Told once for a row of failures; the metric of age says how long it lasts. */
static void s_fail(souk_keys_poll_t *self, souk_err_t err) {
    if (!self->failing) {
        self->failing = true;
        souk_log(SOUK_LOG_WARN, "GW-AUTH-KEYS-FAILED",
                 SOUK_F_TEXT("code", souk_err_info(err)->code),
                 SOUK_F_INT("revision", self->revision));
    }
}

/* Asked again in a second, which may meet another worker of the source. */
static void s_refuse_old(souk_keys_poll_t *self, int64_t revision) {
    if (!self->failing) {
        self->failing = true;
        souk_log(SOUK_LOG_WARN, "GW-AUTH-KEYS-OLD", SOUK_F_INT("revision", self->revision),
                 SOUK_F_INT("answered", revision));
    }
}

static bool s_is_old(const souk_keys_poll_t *self, int64_t revision, int64_t now_us) {
    int64_t heard_us = atomic_load(&self->options.board->heard_us);
    return self->answered && revision < self->revision &&
           now_us - heard_us <= self->options.stale_us;
}

static void s_tell(souk_keys_poll_t *self, const souk_trust_facts_t *facts) {
    souk_log(facts->skipped > 0 ? SOUK_LOG_WARN : SOUK_LOG_INFO, "GW-AUTH-KEYS-LOADED",
             SOUK_F_INT("revision", facts->revision), SOUK_F_INT("keys", facts->keys_count),
             SOUK_F_INT("api_keys", facts->api_keys_count), SOUK_F_INT("skipped", facts->skipped));
    self->revision = facts->revision;
}

static void s_on_answer(void *arg, const souk_outcome_t *outcome) {
    souk_keys_poll_t *self = arg;
    souk_trust_t *trust = NULL;
    int64_t now_us = souk_loop_now_us(self->options.loop);
    self->asking = false;
    souk_err_t err = outcome->err;
    if (err == SOUK_OK) {
        err = souk_trust_read(outcome->body, &trust);
    }
    if (err == SOUK_OK && trust == NULL && !self->answered) {
        err = SOUK_ERR_BAD_REPLY; /* unchanged since what we never had */
    }
    if (err != SOUK_OK) {
        s_fail(self, err);
        return;
    }
    if (trust != NULL) {
        souk_trust_facts_t facts = souk_trust_facts(trust);
        if (s_is_old(self, facts.revision, now_us)) {
            souk_trust_unref(&trust);
            s_refuse_old(self, facts.revision);
            return;
        }
        souk_trust_board_put(self->options.board, &trust, now_us);
        s_tell(self, &facts);
    } else if (self->failing) {
        souk_log(SOUK_LOG_INFO, "GW-AUTH-KEYS-BACK", SOUK_F_INT("revision", self->revision));
    }
    self->failing = false;
    self->answered = true;
    atomic_store(&self->options.board->heard_us, now_us);
}

static void s_ask(souk_keys_poll_t *self) {
    souk_buf_clear(&self->body);
    souk_mp_write_map(&self->body, self->answered ? 1 : 0);
    if (self->answered) {
        souk_mp_write_str(&self->body, SOUK_STR("since"));
        souk_mp_write_int(&self->body, self->revision);
    }
    const souk_req_t req = {.class_ = SOUK_CLASS_READ,
                            .priority = souk_auth_source.priority,
                            .timeout_ms = souk_auth_source.timeout_ms,
                            .service = souk_str_of(souk_auth_source.service),
                            .method = souk_str_of(souk_auth_source.method),
                            .body = souk_buf_str(&self->body)};
    souk_err_t err = souk_client_call(self->options.client, &req, s_on_answer, self, &self->call);
    self->asked_us = souk_loop_now_us(self->options.loop);
    self->asking = err == SOUK_OK;
    if (err != SOUK_OK) {
        s_fail(self, err);
    }
}

static void s_measure(souk_keys_poll_t *self, int64_t now_us) {
    int64_t heard_us = atomic_load(&self->options.board->heard_us);
    souk_metric_set(self->age, heard_us == 0 ? -1 : (now_us - heard_us) / 1000000);
}

void souk_keys_poll_tick(souk_keys_poll_t *self) {
    int64_t now_us = souk_loop_now_us(self->options.loop);
    s_measure(self, now_us);
    if (self->asking || !souk_client_connected(self->options.client)) {
        return;
    }
    bool early = self->failing || !self->answered || atomic_load(&self->options.board->wanted);
    int64_t pause_us =
        early && self->options.interval_us > AGAIN_US ? AGAIN_US : self->options.interval_us;
    if (now_us - self->asked_us >= pause_us) {
        atomic_store(&self->options.board->wanted, false);
        s_ask(self);
    }
}
