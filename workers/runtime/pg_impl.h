/* What the files of a PostgreSQL connection share: pg.c (life), pg_wire.c (the pipeline), pg_run.c
 * (statements and transactions), pg_map.c (failures), idem.c (writes and their keys). */
#ifndef RUNTIME_PG_IMPL_H
#define RUNTIME_PG_IMPL_H

#include <libpq-fe.h>

#include "runtime/pg.h"
#include "souk/metrics.h"

/* Oids of pg_type that this program speaks; they are fixed (src/include/catalog/pg_type.dat). */
enum {
    SOUK_PG_BOOL = 16,
    SOUK_PG_BYTEA = 17,
    SOUK_PG_INT8 = 20,
    SOUK_PG_INT2 = 21,
    SOUK_PG_INT4 = 23,
    SOUK_PG_TEXT = 25,
    SOUK_PG_JSON = 114,
    SOUK_PG_BOOL_ARRAY = 1000,
    SOUK_PG_BYTEA_ARRAY = 1001,
    SOUK_PG_TEXT_ARRAY = 1009,
    SOUK_PG_INT8_ARRAY = 1016,
    SOUK_PG_BPCHAR = 1042,
    SOUK_PG_VARCHAR = 1043,
    SOUK_PG_TIMESTAMPTZ = 1184,
    SOUK_PG_TIMESTAMPTZ_ARRAY = 1185,
    SOUK_PG_JSONB = 3802,
};

/* Microseconds from 1970 to PostgreSQL's 2000-01-01. */
#define SOUK_PG_EPOCH_US ((int64_t)946684800 * 1000000)

typedef enum {
    SOUK_PG_AWAY, /* the last attempt to connect failed: calls do not try */
    SOUK_PG_LOST, /* it broke after it worked: the next call tries once */
    SOUK_PG_LIVE,
} souk_pg_state_t;

typedef enum {
    SOUK_PG_TX_NONE,
    SOUK_PG_TX_WANTED, /* BEGIN travels with the first statement */
    SOUK_PG_TX_OPEN,
    SOUK_PG_TX_FAILED, /* only ROLLBACK is taken */
} souk_pg_tx_t;

/* A statement as this connection knows it. */
typedef struct {
    const souk_pg_stmt_t *stmt;
    enum {
        SOUK_PG_KNOWN_NOT,
        SOUK_PG_KNOWN_ASKED, /* PREPARE is on its way */
        SOUK_PG_KNOWN_READY,
    } state;
} souk_pg_known_t;

typedef enum { SOUK_PG_STEP_PREPARE, SOUK_PG_STEP_OWN, SOUK_PG_STEP_STMT } souk_pg_step_kind_t;

/* What was sent and not answered yet. OWN: the runtime's (BEGIN, statement_timeout, ...), whose
 * result nobody waits for. */
typedef struct {
    souk_pg_step_kind_t kind;
    const souk_pg_stmt_t *stmt;
} souk_pg_step_t;

/* Each queued statement may bring a PREPARE; besides, BEGIN, statement_timeout and what ends a
 * write, with theirs. */
#define SOUK_PG_STEPS_MAX (2 * (SOUK_PG_QUEUE_MAX + 6))

struct souk_pg {
    souk_pg_options_t options;
    PGconn *conn; /* NULL: none */
    souk_pg_state_t state;
    char sqlstate[6];

    souk_pg_known_t *known; /* open addressing by address */
    size_t known_count, known_capacity;

    souk_pg_step_t steps[SOUK_PG_STEPS_MAX];
    size_t steps_from, steps_to; /* those between wait for their results */
    bool synced;                 /* the pipeline was closed and sent */
    souk_err_t failure;          /* of a step of the runtime's, not told yet */
    int64_t deadline_us;         /* of what is queued */

    souk_pg_tx_t tx;
    int64_t tx_until_us;
    uint32_t timeout_ms; /* statement_timeout as the server has it; 0: not known */

    struct {
        souk_series_t *ok, *refused, *retry, *timeout, *unavailable, *failed, *seconds;
        souk_series_t *connected, *not_connected, *up;
        souk_series_t *retries, *claimed, *replayed, *reused, *in_progress, *key_seconds;
    } metrics;
};

/* pg.c: a live connection for the next statement; mends a lost one once. */
SOUK_MUST_CHECK souk_err_t souk_pg_require(souk_pg_t *self, int64_t deadline_us);
bool souk_pg_url_valid(const char *url);
/* The connection is of no use any more: closed, never used again. */
void souk_pg_lose(souk_pg_t *self, const char *why);

/* pg_map.c: what a failed result means; logs what nobody expects. Loses the connection when the
 * server says that it ends it. */
souk_err_t souk_pg_map(souk_pg_t *self, const souk_pg_stmt_t *stmt, const PGresult *result);

/* pg_wire.c: into the pipeline, not sent yet. SOUK_ERR_UNAVAILABLE: lost. */
SOUK_MUST_CHECK souk_err_t souk_pg_send(souk_pg_t *self, souk_pg_step_kind_t kind,
                                        const souk_pg_stmt_t *stmt, const souk_pg_args_t *args);
/* The result of the next STMT; sends what is queued first. *ret_result is the caller's. */
SOUK_MUST_CHECK souk_err_t souk_pg_receive(souk_pg_t *self, PGresult **ret_result);
/* Whether a result of a STMT is still to come. */
bool souk_pg_has_unread(const souk_pg_t *self);
/* What was queued runs, but nobody reads its results any more. */
void souk_pg_disown(souk_pg_t *self);
/* Reads and drops what is still to come, so that the next pipeline can begin. The first error. */
SOUK_MUST_CHECK souk_err_t souk_pg_drain(souk_pg_t *self);
/* The same where the errors were told. What was queued outside a transaction and not sent is not
 * run: the connection goes. */
void souk_pg_forget(souk_pg_t *self);

/* pg_run.c: BEGIN when wanted, statement_timeout when it has to change, then stmt. */
SOUK_MUST_CHECK souk_err_t souk_pg_put(souk_pg_t *self, int64_t deadline_us,
                                       souk_pg_step_kind_t kind, const souk_pg_stmt_t *stmt,
                                       const souk_pg_args_t *args);
/* COMMIT, behind what is queued. until_us: how long it is waited for. */
SOUK_MUST_CHECK souk_err_t souk_pg_commit_until(souk_pg_t *self, int64_t until_us);
/* The connection of the call's slot. */
souk_pg_t *souk_pg_of(const souk_ctx_t *ctx);
int64_t souk_pg_deadline_us(const souk_ctx_t *ctx);

/* pg_rows.c: consumes result. SOUK_ERR_NO_MEMORY: the arena is full. */
SOUK_MUST_CHECK souk_err_t souk_pg_rows_new(souk_arena_t *arena, PGresult **result_p,
                                            const souk_pg_rows_t **ret_rows);

#endif
