/* PostgreSQL for handlers: one connection per slot, statements prepared once, one round trip for
 * each step, the call's deadline as statement_timeout.
 *
 * Results live until the call's arena is reset: texts read from them may be borrowed by the reply.
 * All values travel in binary; SQL casts its columns to one of boolean, smallint, integer, bigint,
 * text, bytea, timestamptz (jsonb comes as text).
 *
 * A service's slot (souk_ctx_slot) IS its souk_pg_t *: slot_start opens it, slot_stop closes it,
 * slot_ok is souk_pg_ok. */
#ifndef RUNTIME_PG_H
#define RUNTIME_PG_H

#include <stdatomic.h>

#include "runtime/ctx.h"

typedef struct souk_pg souk_pg_t;           /* a connection; belongs to one thread */
typedef struct souk_pg_rows souk_pg_rows_t; /* a result; owned by the arena that was given */

/* A statement, static in the file that uses it; prepared on first use of a connection. */
typedef struct {
    const char *name; /* unique in the process, such as "orders_get" */
    const char *sql;  /* $1... as in PREPARE. Parameters arrive as the types below (bigint, text,
                         ...);  cast them where another one is wanted: $2::integer, $3::jsonb. One
                         that is  given by souk_pg_null gets its type from a cast: write one */
} souk_pg_stmt_t;

/* ---- Connection ------------------------------------------------------------------------------ */

/* How a service's connections stand, for its degraded(). Zeroed by the service, which owns it. */
typedef struct {
    atomic_int up, away;
    atomic_llong told_us; /* when a failure to connect was logged: once in ten seconds */
} souk_pg_health_t;

typedef struct {
    const char *url;     /* connection string; borrowed for the connection's life */
    const char *service; /* for metrics, logs and application_name; borrowed */
    uint32_t connect_timeout_ms;
    souk_pg_health_t *health; /* NULL: none; borrowed */
} souk_pg_options_t;

/* Connects. SOUK_OK also when the server is away: calls are then refused at once with
 * SOUK_ERR_UNAVAILABLE while slot_ok has the runtime try again. SOUK_ERR_VALIDATION: the url cannot
 * be read. */
SOUK_MUST_CHECK souk_err_t souk_pg_open(const souk_pg_options_t *options, souk_pg_t **ret_self);
void souk_pg_close(souk_pg_t **self_p);
/* False: the connection is lost, and the runtime shall make the slot's anew
 * (souk_service_t.slot_ok). For between calls: rolls back what one has left open. */
bool souk_pg_ok(souk_pg_t *self);
/* NULL, or "PostgreSQL is away": for souk_service_t.degraded. */
const char *souk_pg_degraded(const souk_pg_health_t *health);

/* ---- Parameters ------------------------------------------------------------------------------ */

#define SOUK_PG_ARGS_MAX 64

/* In order of $1, $2, ... A stack object, not to be copied; numbers are encoded in it, texts and
 * arrays in the arena (borrowed bytes are copied). A full arena is found by whoever runs it
 * (SOUK_ERR_NO_MEMORY). */
typedef struct {
    souk_arena_t *arena;
    size_t count;
    bool failed;
    const char *values[SOUK_PG_ARGS_MAX]; /* NULL: null */
    int sizes[SOUK_PG_ARGS_MAX];
    unsigned types[SOUK_PG_ARGS_MAX]; /* Oids */
    char numbers[SOUK_PG_ARGS_MAX][8];
} souk_pg_args_t;

void souk_pg_args_init(souk_pg_args_t *self, souk_arena_t *arena);
void souk_pg_null(souk_pg_args_t *self);
void souk_pg_int(souk_pg_args_t *self, int64_t value);      /* bigint */
void souk_pg_bool(souk_pg_args_t *self, bool value);        /* boolean */
void souk_pg_str(souk_pg_args_t *self, souk_str_t value);   /* text; data NULL: null */
void souk_pg_bytes(souk_pg_args_t *self, souk_str_t value); /* bytea; data NULL: null */
void souk_pg_time(souk_pg_args_t *self, int64_t unix_us);   /* timestamptz; INT64_MIN: null */
/* bigint[], boolean[]; text[] and bytea[] (data NULL: null element); timestamptz[] (INT64_MIN: null
 * element). */
void souk_pg_ints(souk_pg_args_t *self, const int64_t *values, size_t count);
void souk_pg_bools(souk_pg_args_t *self, const bool *values, size_t count);
void souk_pg_strs(souk_pg_args_t *self, const souk_str_t *values, size_t count);
void souk_pg_bytess(souk_pg_args_t *self, const souk_str_t *values, size_t count);
void souk_pg_times(souk_pg_args_t *self, const int64_t *values, size_t count);

/* ---- Running --------------------------------------------------------------------------------- */

/* Runs stmt with what is left of ctx's deadline as statement_timeout: alone (a transaction of its
 * own: for reads, since nobody knows the outcome of a write whose connection is lost) or inside the
 * write that souk_pg_write opened. args may be NULL; ret_rows may be NULL. Failures are mapped: a
 * named constraint to the error whose row in schemas/errors.yaml lists it, lost connection ->
 * SOUK_ERR_UNAVAILABLE, deadline -> SOUK_ERR_TIMEOUT, a text with a
 * NUL -> SOUK_ERR_VALIDATION, deadlock or serialization -> SOUK_ERR_RETRY
 * (private; souk_pg_write runs again), all else -> SOUK_ERR_INTERNAL and a log line with SQLSTATE
 * (never parameters). A function may name a constraint itself: RAISE EXCEPTION USING ERRCODE =
 * '23514', CONSTRAINT = 'name'. A transaction that has failed takes no more statements
 * (SOUK_ERR_CANCELLED). */
SOUK_MUST_CHECK souk_err_t souk_pg_run(souk_ctx_t *ctx, const souk_pg_stmt_t *stmt,
                                       const souk_pg_args_t *args, const souk_pg_rows_t **ret_rows);

/* Pipelined: queue several (at most SOUK_PG_QUEUE_MAX), then read their results in order; one round
 * trip. Inside souk_pg_write or alone (then all queued statements are one transaction). After an
 * error the following results are SOUK_ERR_CANCELLED. Results may be left unread: a souk_pg_run
 * behind them takes the statements along, and their failure is its own. */
#define SOUK_PG_QUEUE_MAX 64
SOUK_MUST_CHECK souk_err_t souk_pg_queue(souk_ctx_t *ctx, const souk_pg_stmt_t *stmt,
                                         const souk_pg_args_t *args);
SOUK_MUST_CHECK souk_err_t souk_pg_next(souk_ctx_t *ctx, const souk_pg_rows_t **ret_rows);

/* Queues a statement whose result nobody reads: it travels with the next round trip, at the latest
 * with COMMIT, and its failure is that of the next result, or of the write. Only inside
 * souk_pg_write; any number. */
SOUK_MUST_CHECK souk_err_t souk_pg_post(souk_ctx_t *ctx, const souk_pg_stmt_t *stmt,
                                        const souk_pg_args_t *args);

/* A write handler's body: runs fn inside a transaction, again (reply struct zeroed) after a
 * deadlock or serialization failure within the deadline. Any error rolls back; at the deadline it
 * is SOUK_ERR_DEADLINE_EXCEEDED, which says that nothing was done. When the call carries an
 * Idempotency-Key: the key's row is claimed first; a stored reply is answered instead of running fn
 * (souk_ctx_mark_replayed); another hash is SOUK_ERR_KEY_REUSED; a twin that still runs is waited
 * for within the deadline, then SOUK_ERR_KEY_IN_PROGRESS. After fn the reply is encoded (one that
 * breaks its limits rolls back), with a key stored, and commits with the effect. A connection lost
 * at COMMIT: SOUK_ERR_UNAVAILABLE for calls with a key (the client repeats),
 * SOUK_ERR_UNKNOWN_OUTCOME otherwise. What fn has queued and not read travels with COMMIT; its
 * errors are the write's. fn gets req and ret_rep as they are given here. */
typedef souk_err_t (*souk_pg_fn)(souk_ctx_t *ctx, const void *req, void *ret_rep);
SOUK_MUST_CHECK souk_err_t souk_pg_write(souk_ctx_t *ctx, souk_pg_fn fn, const void *req,
                                         void *ret_rep);

/* Something that happened, for whoever subscribes to it. */
typedef struct {
    const char *type;     /* such as "order.placed", of schemas/events.yaml */
    souk_str_t aggregate; /* the id of what it happened to */
    int64_t sequence;     /* of the aggregate, from 1: its version. 0: the next in the outbox, for
                             callers that hold the aggregate's row locked */
    souk_str_t payload_json;
} souk_event_t;

/* Rows of the tables outbox and audit in the write's transaction (as souk_pg_post; only inside
 * souk_pg_write). The audit row's actor is the call's subject; before_json and after_json may have
 * data NULL. */
SOUK_MUST_CHECK souk_err_t souk_pg_outbox(souk_ctx_t *ctx, const souk_event_t *event);
SOUK_MUST_CHECK souk_err_t souk_pg_audit(souk_ctx_t *ctx, const char *action, souk_str_t target,
                                         souk_str_t before_json, souk_str_t after_json);

/* ---- Batches and background tasks ------------------------------------------------------------ */

/* As above without a ctx: timeout_ms is the statement's budget, arena owns the rows. */
SOUK_MUST_CHECK souk_err_t souk_pg_exec(souk_pg_t *self, uint32_t timeout_ms, souk_arena_t *arena,
                                        const souk_pg_stmt_t *stmt, const souk_pg_args_t *args,
                                        const souk_pg_rows_t **ret_rows);
/* Pipelined, as souk_pg_queue and souk_pg_next: timeout_ms is the budget of the whole. */
SOUK_MUST_CHECK souk_err_t souk_pg_exec_queue(souk_pg_t *self, uint32_t timeout_ms,
                                              const souk_pg_stmt_t *stmt,
                                              const souk_pg_args_t *args);
SOUK_MUST_CHECK souk_err_t souk_pg_exec_next(souk_pg_t *self, souk_arena_t *arena,
                                             const souk_pg_rows_t **ret_rows);

/* Explicit transactions for tasks that need several statements. BEGIN travels with the first
 * statement. commit within the time that begin gave or a second, whichever is later; any error of
 * it but SOUK_ERR_UNKNOWN_OUTCOME (the connection was lost meanwhile) means: rolled back. */
SOUK_MUST_CHECK souk_err_t souk_pg_begin(souk_pg_t *self, uint32_t timeout_ms);
SOUK_MUST_CHECK souk_err_t souk_pg_commit(souk_pg_t *self);
void souk_pg_rollback(souk_pg_t *self);
/* SQLSTATE of the last failure of this connection, "" when none: for batches that bisect. */
const char *souk_pg_sqlstate(const souk_pg_t *self);

/* ---- Results --------------------------------------------------------------------------------- */

/* Row and column from 0; a wrong type or position is a bug: asserts. */
size_t souk_pg_count(const souk_pg_rows_t *rows);
/* Rows that INSERT, UPDATE, DELETE or SELECT touched. */
size_t souk_pg_affected(const souk_pg_rows_t *rows);
bool souk_pg_is_null(const souk_pg_rows_t *rows, size_t row, int column);
/* smallint, integer, bigint; 0 when null */
int64_t souk_pg_get_int(const souk_pg_rows_t *rows, size_t row, int column);
bool souk_pg_get_bool(const souk_pg_rows_t *rows, size_t row, int column); /* false when null */
/* text, bytea, json, jsonb; borrowed, a NUL behind it; data NULL when null */
souk_str_t souk_pg_get_str(const souk_pg_rows_t *rows, size_t row, int column);
/* unix us; INT64_MIN when null, INT64_MAX for infinity */
int64_t souk_pg_get_time(const souk_pg_rows_t *rows, size_t row, int column);

#endif
