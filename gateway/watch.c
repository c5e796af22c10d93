#include "gateway/watch.h"

#include "souk/admin.h"
#include "souk/log.h"

#define KEYS_LOOK_US 1000000

/* ---- keys ---- */

static void s_look_at_file(souk_server_t *self) {
    const char *cause = NULL;
    souk_keys_change_t change = souk_auth_refresh_file(self->auth, &cause);
    if (change == SOUK_KEYS_SAME || self->number != 0) {
        return; /* each thread reads the file, one of them tells */
    }
    const char *path = self->gateway->config->keys_file;
    if (change == SOUK_KEYS_LOADED) {
        souk_log(SOUK_LOG_INFO, "GW-KEYS-LOADED", SOUK_F_TEXT("path", path),
                 SOUK_F_INT("count", souk_auth_file_keys_count(self->auth)));
    } else if (change == SOUK_KEYS_GONE) {
        souk_log(SOUK_LOG_WARN, "GW-KEYS-MISSING", SOUK_F_TEXT("path", path));
    } else {
        souk_log(SOUK_LOG_ERROR, "GW-KEYS-BAD", SOUK_F_TEXT("path", path),
                 SOUK_F_TEXT("cause", cause));
    }
}

/* True when that has changed. */
static bool s_watch_keys(souk_server_t *self, int64_t now_us) {
    if (self->poll != NULL) {
        souk_keys_poll_tick(self->poll);
    }
    souk_auth_refresh(self->auth, now_us);
    if (now_us - self->keys_looked_us >= KEYS_LOOK_US) {
        self->keys_looked_us = now_us;
        s_look_at_file(self);
    }
    bool knows = souk_auth_knows_keys(self->auth);
    if (knows == self->knows_keys) {
        return false;
    }
    self->knows_keys = knows;
    if (!knows && self->number == 0) {
        souk_log(SOUK_LOG_ERROR, "GW-AUTH-KEYS-STALE",
                 SOUK_F_INT("stale_s", self->gateway->config->auth_stale_s));
    }
    return true;
}

/* ---- broker ---- */

/* True when that has changed. */
static bool s_watch_broker(souk_server_t *self) {
    bool connected = souk_client_connected(self->client);
    if (connected == self->connected) {
        return false;
    }
    self->connected = connected;
    atomic_fetch_add(&self->gateway->servers_connected, connected ? 1 : -1);
    return true;
}

static void s_tell_broker(const souk_server_t *self) {
    if (self->connected) {
        souk_log(SOUK_LOG_INFO, "GW-BROKER-CONNECTED", SOUK_F_INT("thread", self->number));
    } else {
        souk_log(SOUK_LOG_WARN, "GW-BROKER-LOST", SOUK_F_INT("thread", self->number));
    }
}

/* Ready: all threads have a broker, and keys are known; degraded: some; failed: none. */
static void s_set_health(const souk_server_t *self) {
    souk_gateway_t *gateway = self->gateway;
    int64_t with_broker = atomic_load(&gateway->servers_connected);
    if (atomic_load(&gateway->draining)) {
        return;
    }
    if (with_broker == 0) {
        souk_health_set(SOUK_HEALTH_FAILED, "no broker answers");
    } else if (with_broker < gateway->config->threads) {
        souk_health_set(SOUK_HEALTH_DEGRADED, "some threads have no broker");
    } else if (!self->knows_keys) {
        souk_health_set(SOUK_HEALTH_DEGRADED, "keys of users are not known");
    } else {
        souk_health_set(SOUK_HEALTH_READY, "");
    }
}

void souk_watch_begin(souk_server_t *self) {
    self->knows_keys = souk_auth_knows_keys(self->auth);
    self->keys_looked_us = souk_loop_now_us(self->loop);
    s_look_at_file(self);
}

void souk_watch_tick(souk_server_t *self, int64_t now_us) {
    bool broker_changed = s_watch_broker(self);
    bool keys_changed = s_watch_keys(self, now_us);
    if (broker_changed || keys_changed) {
        s_set_health(self);
    }
    if (broker_changed) {
        s_tell_broker(self);
    }
}
