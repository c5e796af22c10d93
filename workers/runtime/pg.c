/* A connection's life: notes.
 *
 * A connection is LIVE, LOST (it broke after it worked) or AWAY (the last attempt to connect
 * failed). The next call mends a lost one once, within its deadline; while it is away, calls are
 * refused at once, and the slot's thread (slot_ok, slot_stop, slot_start) tries again with growing
 * pauses. So a server that restarts costs the calls that ran, one that is away costs nobody any
 * time.
 *
 * A connection whose pipeline is in a state that nobody knows is closed and never used again: what
 * was not committed is rolled back by the server. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "gen/metrics.h"
#include "pg_impl.h"
#include "souk/clock.h"
#include "souk/log.h"

#define NAME_BYTES 64
#define REASON_BYTES 200
#define TOLD_EVERY_US ((int64_t)10 * 1000 * 1000)
/* Times that an idle server may have something to say before we look away. */
#define UNASKED_MAX 16

/* ---- Metrics --------------------------------------------------------------------------------- */

static souk_series_t *s_statements(const char *service, const char *outcome) {
    return souk_metric(SOUK_METRIC_PG_STATEMENTS_TOTAL, service, outcome, NULL);
}

static souk_series_t *s_keys(const char *service, const char *outcome) {
    return souk_metric(SOUK_METRIC_PG_KEYS_TOTAL, service, outcome, NULL);
}

static void s_make_metrics(souk_pg_t *self) {
    const char *service = self->options.service;
    self->metrics.ok = s_statements(service, "ok");
    self->metrics.refused = s_statements(service, "refused");
    self->metrics.retry = s_statements(service, "retry");
    self->metrics.timeout = s_statements(service, "timeout");
    self->metrics.unavailable = s_statements(service, "unavailable");
    self->metrics.failed = s_statements(service, "error");
    self->metrics.seconds = souk_metric(SOUK_METRIC_PG_SECONDS, service, NULL);
    self->metrics.connected = souk_metric(SOUK_METRIC_PG_CONNECTS_TOTAL, service, "ok", NULL);
    self->metrics.not_connected =
        souk_metric(SOUK_METRIC_PG_CONNECTS_TOTAL, service, "error", NULL);
    self->metrics.up = souk_metric(SOUK_METRIC_PG_CONNECTIONS, service, NULL);
    self->metrics.retries = souk_metric(SOUK_METRIC_PG_RETRIES_TOTAL, service, NULL);
    self->metrics.claimed = s_keys(service, "claimed");
    self->metrics.replayed = s_keys(service, "replayed");
    self->metrics.reused = s_keys(service, "reused");
    self->metrics.in_progress = s_keys(service, "in_progress");
    self->metrics.key_seconds = souk_metric(SOUK_METRIC_PG_KEY_SECONDS, service, NULL);
}

/* ---- State ----------------------------------------------------------------------------------- */

static void s_count(souk_pg_t *self, int up, int away) {
    souk_metric_add(self->metrics.up, up);
    if (self->options.health != NULL) {
        atomic_fetch_add(&self->options.health->up, up);
        atomic_fetch_add(&self->options.health->away, away);
    }
}

static void s_become(souk_pg_t *self, souk_pg_state_t state) {
    s_count(self, (state == SOUK_PG_LIVE) - (self->state == SOUK_PG_LIVE),
            (state == SOUK_PG_AWAY) - (self->state == SOUK_PG_AWAY));
    self->state = state;
}

/* Forgets all that belonged to the connection. */
static void s_drop(souk_pg_t *self) {
    PQfinish(self->conn);
    self->conn = NULL;
    self->known_count = 0;
    if (self->known != NULL) {
        memset(self->known, 0, self->known_capacity * sizeof(*self->known));
    }
    self->steps_from = self->steps_to = 0;
    self->synced = false;
    self->failure = SOUK_OK;
    self->timeout_ms = 0;
    if (self->tx == SOUK_PG_TX_OPEN) { /* one that was only wanted begins on the next */
        self->tx = SOUK_PG_TX_FAILED;
    }
}

void souk_pg_lose(souk_pg_t *self, const char *why) {
    if (self->conn == NULL) {
        return;
    }
    souk_log(SOUK_LOG_WARN, "PG-LOST", SOUK_F_TEXT("service", self->options.service),
             SOUK_F_TEXT("cause", why));
    s_drop(self);
    s_become(self, SOUK_PG_LOST);
}

/* The server may have closed the connection while it was idle: better to know before a call's first
 * statement than after it. Reads what the server says without being asked. */
static bool s_is_open(souk_pg_t *self) {
    for (int i = 0; i < UNASKED_MAX; i++) {
        char byte;
        ssize_t n = recv(PQsocket(self->conn), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (n < 0) {
            return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
        }
        if (n == 0 || PQconsumeInput(self->conn) == 0 || PQstatus(self->conn) != CONNECTION_OK) {
            return false;
        }
    }
    return false;
}

bool souk_pg_ok(souk_pg_t *self) {
    if (self->state != SOUK_PG_LIVE) {
        return false;
    }
    souk_pg_rollback(self); /* what a handler left open or unread, if so */
    if (self->state == SOUK_PG_LIVE && !s_is_open(self)) {
        souk_pg_lose(self, "closed by the server");
    }
    return self->state == SOUK_PG_LIVE;
}

const char *souk_pg_degraded(const souk_pg_health_t *health) {
    bool away = atomic_load(&health->up) == 0 && atomic_load(&health->away) > 0;
    return away ? "PostgreSQL is away" : NULL;
}

/* ---- Connecting ------------------------------------------------------------------------------ */

/* What a function or the server warns of; the text is ours or the server's, never a parameter's. */
static void s_on_notice(void *arg, const PGresult *result) {
    const souk_pg_t *self = arg;
    souk_log(SOUK_LOG_WARN, "PG-NOTICE", SOUK_F_TEXT("service", self->options.service),
             SOUK_F_TEXT("sqlstate", PQresultErrorField(result, PG_DIAG_SQLSTATE)),
             SOUK_F_TEXT("notice", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)));
}

static PGconn *s_begin_connect(const souk_pg_t *self) {
    char name[NAME_BYTES];
    (void)snprintf(name, sizeof(name), "souk-worker %s", self->options.service);
    /* The url comes last: what it says itself counts. A primary only: a standby would take our
     * reads and refuse our writes. How long a worker that is stopped in the middle of a write may
     * hold its locks is a setting of its role's, which an option here would override. */
    const char *const keywords[] = {"application_name",
                                    "client_encoding",
                                    "target_session_attrs",
                                    "keepalives_idle",
                                    "keepalives_interval",
                                    "keepalives_count",
                                    "options",
                                    "dbname",
                                    NULL};
    const char *const values[] = {name,
                                  "UTF8",
                                  "read-write",
                                  "30",
                                  "10",
                                  "3",
                                  "-c client_min_messages=warning",
                                  self->options.url,
                                  NULL};
    return PQconnectStartParams(keywords, values, /* expand_dbname= */ 1);
}

/* Waits for the socket; false: the time is over. */
static bool s_wait(PGconn *conn, short events, int64_t until_us) {
    for (;;) {
        int64_t left_us = until_us - souk_clock_mono_us();
        if (left_us <= 0) {
            return false;
        }
        struct pollfd fd = {.fd = PQsocket(conn), .events = events};
        int rc = poll(&fd, 1, (int)(left_us / 1000 + 1));
        if (rc > 0 || (rc < 0 && errno != EINTR)) {
            return true;
        }
    }
}

static bool s_finish_connect(PGconn *conn, int64_t until_us) {
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    while (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING) {
        if (!s_wait(conn, status == PGRES_POLLING_READING ? POLLIN : POLLOUT, until_us)) {
            return false;
        }
        status = PQconnectPoll(conn);
    }
    return status == PGRES_POLLING_OK && PQsetnonblocking(conn, 1) == 0 &&
           PQenterPipelineMode(conn) == 1;
}

/* All slots try again and again while a server is away: once in a while is enough. */
static bool s_is_told(const souk_pg_t *self) {
    souk_pg_health_t *health = self->options.health;
    if (health == NULL) {
        return false;
    }
    int64_t now_us = souk_clock_mono_us();
    long long told_us = atomic_load(&health->told_us);
    return (told_us != 0 && now_us - told_us < TOLD_EVERY_US) ||
           !atomic_compare_exchange_strong(&health->told_us, &told_us, now_us);
}

static const char *s_cause(const PGconn *conn) {
    if (conn == NULL) {
        return "no memory";
    }
    return PQstatus(conn) == CONNECTION_BAD ? PQerrorMessage(conn) : "no answer in time";
}

/* libpq's messages have line breaks. */
static void s_log_failure(const souk_pg_t *self, const PGconn *conn) {
    if (s_is_told(self)) {
        return;
    }
    char reason[REASON_BYTES];
    (void)snprintf(reason, sizeof(reason), "%s", s_cause(conn));
    for (char *at = reason; *at != '\0'; at++) {
        if (*at == '\n' || *at == '\t') {
            *at = ' ';
        }
    }
    souk_log(SOUK_LOG_WARN, "PG-CONNECT-FAILED", SOUK_F_TEXT("service", self->options.service),
             SOUK_F_TEXT("cause", reason));
}

static void s_connect(souk_pg_t *self, int64_t until_us) {
    souk_assert(self->conn == NULL);
    PGconn *conn = s_begin_connect(self);
    if (conn == NULL || PQstatus(conn) == CONNECTION_BAD || !s_finish_connect(conn, until_us)) {
        s_log_failure(self, conn);
        PQfinish(conn);
        souk_metric_add(self->metrics.not_connected, 1);
        s_become(self, SOUK_PG_AWAY);
        return;
    }
    (void)PQsetNoticeReceiver(conn, s_on_notice, self);
    self->conn = conn;
    souk_metric_add(self->metrics.connected, 1);
    souk_log(SOUK_LOG_INFO, "PG-CONNECTED", SOUK_F_TEXT("service", self->options.service),
             SOUK_F_INT("server_version", PQserverVersion(conn)),
             SOUK_F_INT("backend", PQbackendPID(conn)));
    s_become(self, SOUK_PG_LIVE);
}

souk_err_t souk_pg_require(souk_pg_t *self, int64_t deadline_us) {
    if (self->state == SOUK_PG_LIVE && !s_is_open(self)) {
        souk_pg_lose(self, "closed by the server");
    }
    if (self->state == SOUK_PG_LOST) {
        int64_t now_us = souk_clock_mono_us();
        int64_t most_us = (int64_t)self->options.connect_timeout_ms * 1000;
        int64_t half_us =
            (deadline_us - now_us) / 2; /* the statement needs time too, or the answer */
        s_connect(self, now_us + (half_us < most_us ? half_us : most_us));
    }
    return self->state == SOUK_PG_LIVE ? SOUK_OK : SOUK_ERR_UNAVAILABLE;
}

/* ---- Open and close -------------------------------------------------------------------------- */

bool souk_pg_url_valid(const char *url) {
    char *message = NULL;
    PQconninfoOption *parsed = PQconninfoParse(url, &message);
    bool valid = parsed != NULL;
    PQconninfoFree(parsed);
    PQfreemem(message);
    return valid;
}

souk_err_t souk_pg_open(const souk_pg_options_t *options, souk_pg_t **ret_self) {
    if (!souk_pg_url_valid(options->url)) {
        return SOUK_ERR_VALIDATION;
    }
    souk_pg_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->options = *options;
    self->state = SOUK_PG_LOST;
    s_make_metrics(self);
    s_connect(self, souk_clock_mono_us() + (int64_t)options->connect_timeout_ms * 1000);
    *ret_self = self;
    return SOUK_OK;
}

void souk_pg_close(souk_pg_t **self_p) {
    souk_pg_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    s_drop(self);
    s_become(self, SOUK_PG_LOST);
    free(self->known);
    free(self);
    *self_p = NULL;
}

const char *souk_pg_sqlstate(const souk_pg_t *self) {
    return self->sqlstate;
}
