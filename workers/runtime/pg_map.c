/* What a failed result means to a caller. */
#include "pg_impl.h"
#include "souk/log.h"

/* SQLSTATEs of which the server's text names only tables, columns and the like: it helps, and holds
 * no parameter. (docs: PostgreSQL, appendix A.) */
static bool s_may_tell(const char *sqlstate) {
    static const char *const classes[] = {"0A", "25", "26", "28", "3D", "3F",
                                          "42", "53", "55", "58", "XX"};
    for (size_t i = 0; i < SOUK_COUNT_OF(classes); i++) {
        if (strncmp(sqlstate, classes[i], 2) == 0) {
            return true;
        }
    }
    return false;
}

static const char *s_field(const PGresult *result, int field) {
    const char *text = PQresultErrorField(result, field);
    return text != NULL ? text : "";
}

static void s_log(const souk_pg_t *self, const souk_pg_stmt_t *stmt, const PGresult *result) {
    souk_log(SOUK_LOG_ERROR, "PG-STATEMENT-FAILED", SOUK_F_TEXT("service", self->options.service),
             SOUK_F_TEXT("statement", stmt != NULL ? stmt->name : ""),
             SOUK_F_TEXT("sqlstate", self->sqlstate),
             SOUK_F_TEXT("constraint", s_field(result, PG_DIAG_CONSTRAINT_NAME)),
             SOUK_F_TEXT("message", s_may_tell(self->sqlstate)
                                        ? s_field(result, PG_DIAG_MESSAGE_PRIMARY)
                                        : ""));
}

/* The server ends the connection, or it is of no use: a shutdown, a crash of another backend, a
 * primary that has become a standby, statements that a proxy has forgotten. */
static bool s_ends_connection(const char *sqlstate) {
    static const char *const states[] = {"57P01", "57P02", "57P03", "57P04",
                                         "57P05", "25P03", "25006", "26000"};
    for (size_t i = 0; i < SOUK_COUNT_OF(states); i++) {
        if (strcmp(sqlstate, states[i]) == 0) {
            return true;
        }
    }
    return strncmp(sqlstate, "08", 2) == 0;
}

/* A migration has changed what a prepared statement returns: preparing it again mends that. */
static bool s_is_plan_stale(const char *sqlstate, const PGresult *result) {
    return strcmp(sqlstate, "0A000") == 0 &&
           strcmp(s_field(result, PG_DIAG_SOURCE_FUNCTION), "RevalidateCachedQuery") == 0;
}

static bool s_is_conflict(const char *sqlstate) {
    return strcmp(sqlstate, "40001") == 0 || strcmp(sqlstate, "40P01") == 0 ||
           strcmp(sqlstate, "55P03") == 0;
}

/* A text with a NUL: every other text that a client can send fits. */
static bool s_is_bad_text(const char *sqlstate) {
    return strcmp(sqlstate, "22021") == 0 || strcmp(sqlstate, "22P05") == 0;
}

static souk_err_t s_count(souk_series_t *series, souk_err_t err) {
    souk_metric_add(series, 1);
    return err;
}

souk_err_t souk_pg_map(souk_pg_t *self, const souk_pg_stmt_t *stmt, const PGresult *result) {
    (void)snprintf(self->sqlstate, sizeof(self->sqlstate), "%s", s_field(result, PG_DIAG_SQLSTATE));
    const char *sqlstate = self->sqlstate;
    souk_err_t named = souk_err_of_constraint(s_field(result, PG_DIAG_CONSTRAINT_NAME));
    if (named != SOUK_OK) {
        return s_count(self->metrics.refused, named);
    }
    if (s_is_conflict(sqlstate)) {
        return s_count(self->metrics.retry, SOUK_ERR_RETRY);
    }
    if (strcmp(sqlstate, "57014") == 0) {
        return s_count(self->metrics.timeout, SOUK_ERR_TIMEOUT);
    }
    if (s_is_bad_text(sqlstate)) {
        return s_count(self->metrics.refused, SOUK_ERR_VALIDATION);
    }
    /* A failure without a state is libpq's own: the connection broke. */
    if (sqlstate[0] == '\0' || s_ends_connection(sqlstate) || s_is_plan_stale(sqlstate, result)) {
        souk_pg_lose(self, sqlstate[0] != '\0' ? sqlstate : "the connection broke");
        return s_count(self->metrics.unavailable, SOUK_ERR_UNAVAILABLE);
    }
    s_log(self, stmt, result);
    if (strncmp(sqlstate, "53", 2) == 0) { /* full: connections, memory, disk */
        return s_count(self->metrics.unavailable, SOUK_ERR_UNAVAILABLE);
    }
    return s_count(self->metrics.failed, SOUK_ERR_INTERNAL);
}
