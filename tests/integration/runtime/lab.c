#include "lab.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "gen/diag.h"
#include "gen/metrics.h"
#include "souk/clock.h"
#include "souk/id.h"
#include "souk/log.h"
#include "souk/mp.h"

#define MEMORY_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define WAIT_US ((int64_t)20 * 1000 * 1000)

lab_t lab;

/* As in plan and design: every service has these. */
static const char s_tables[] =
    "CREATE TABLE idempotency (subject text COLLATE \"C\" NOT NULL, method text COLLATE \"C\" NOT"
    " NULL, key text COLLATE \"C\" NOT NULL, hash bytea NOT NULL, reply bytea, created_at"
    " timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (subject, method, key));"
    "CREATE TABLE outbox (id text COLLATE \"C\" PRIMARY KEY, type text NOT NULL, aggregate text"
    " COLLATE \"C\" NOT NULL, sequence bigint NOT NULL, payload jsonb NOT NULL, traceparent text,"
    " created_at timestamptz NOT NULL DEFAULT now(), CONSTRAINT outbox_aggregate_sequence"
    " UNIQUE (aggregate, sequence));"
    "CREATE TABLE audit (id text COLLATE \"C\" PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(),"
    " actor text NOT NULL, action text NOT NULL, target text NOT NULL, before jsonb, after jsonb,"
    " request_id text);"
    "CREATE TABLE notes (id bigint PRIMARY KEY, text text)";

static const char *s_server(void) {
    const char *url = getenv("SOUK_TEST_DATABASE_URL");
    cr_assert(url != NULL, "SOUK_TEST_DATABASE_URL: run it by python -m support.with_servers");
    return url;
}

void lab_do(const char *sql) {
    PGresult *result = PQexec(lab.admin, sql);
    ExecStatusType status = PQresultStatus(result);
    cr_assert(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK, "%s: %s", sql,
              PQerrorMessage(lab.admin));
    PQclear(result);
}

int64_t lab_int(const char *sql) {
    PGresult *result = PQexec(lab.admin, sql);
    cr_assert_eq(PQresultStatus(result), PGRES_TUPLES_OK, "%s: %s", sql, PQerrorMessage(lab.admin));
    cr_assert_eq(PQntuples(result), 1);
    int64_t value = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return value;
}

void lab_until(const char *sql) {
    int64_t until_us = souk_clock_mono_us() + WAIT_US;
    char as_int[512];
    (void)snprintf(as_int, sizeof(as_int), "SELECT coalesce((%s), false)::int", sql);
    while (lab_int(as_int) == 0) {
        cr_assert(souk_clock_mono_us() < until_us, "never became true: %s", sql);
        struct timespec pause = {.tv_nsec = 2000000};
        nanosleep(&pause, NULL);
    }
}

void lab_init(void) {
    souk_log_init("test", SOUK_LOG_ERROR, 2);
    souk_metrics_init(souk_metric_decls, souk_metric_decls_count);
    char id[SOUK_ID_BYTES_MAX];
    souk_id_new("t", id);
    (void)snprintf(lab.schema, sizeof(lab.schema), "%s", id);
    for (char *at = lab.schema; *at != '\0'; at++) {
        *at = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
    }
    const char *server = s_server();
    (void)snprintf(lab.url, sizeof(lab.url), "%s%coptions=-csearch_path%%3D%s", server,
                   strchr(server, '?') != NULL ? '&' : '?', lab.schema);
    lab.admin = PQconnectdb(lab.url);
    cr_assert_eq(PQstatus(lab.admin), CONNECTION_OK, "%s", PQerrorMessage(lab.admin));
    char sql[128];
    (void)snprintf(sql, sizeof(sql), "CREATE SCHEMA %s", lab.schema);
    lab_do(sql);
    lab_do(s_tables);
    lab.options = (souk_pg_options_t){.url = lab.url, .service = "lab", .connect_timeout_ms = 5000};
    cr_assert_eq(souk_pg_open(&lab.options, &lab.pg), SOUK_OK);
    cr_assert(souk_pg_ok(lab.pg));
    lab.arena = souk_arena_new(MEMORY_BYTES_MAX, 0);
}

void lab_done(void) {
    souk_arena_destroy(&lab.arena);
    souk_pg_close(&lab.pg);
    char sql[128];
    (void)snprintf(sql, sizeof(sql), "SET client_min_messages = warning; DROP SCHEMA %s CASCADE",
                   lab.schema);
    lab_do(sql);
    PQfinish(lab.admin);
    souk_metrics_done();
}

int lab_backend(souk_pg_t *pg) {
    static const souk_pg_stmt_t pid = {.name = "lab_pid", .sql = "SELECT pg_backend_pid()"};
    const souk_pg_rows_t *rows;
    cr_assert_eq(souk_pg_exec(pg, LAB_TIMEOUT_MS, lab.arena, &pid, NULL, &rows), SOUK_OK);
    return (int)souk_pg_get_int(rows, 0, 0);
}

/* ---- Calls ----------------------------------------------------------------------------------- */

/* What a call borrows for its life. */
typedef struct {
    souk_method_t method;
    souk_buf_t body, principal;
} lab_parts_t;

static void s_free(void *arg) {
    lab_parts_t *parts = arg;
    souk_buf_done(&parts->body);
    souk_buf_done(&parts->principal);
    free(parts);
}

static lab_parts_t *s_parts(const lab_call_t *call) {
    lab_parts_t *parts = calloc(1, sizeof(*parts));
    cr_assert(parts != NULL);
    parts->method = (souk_method_t){
        .name = "echo",
        .request = &diag_echo_req_type,
        .reply = &diag_echo_rep_type,
        .run = call->handler,
        .lane = SOUK_LANE_SLOT,
        .class_ = call->key != NULL ? SOUK_CLASS_KEYED : SOUK_CLASS_UNKEYED,
        .memory_bytes_max = MEMORY_BYTES_MAX,
        .reply_bytes_max = call->reply_bytes_max != 0 ? call->reply_bytes_max : 65536};
    souk_buf_init(&parts->body, 1024);
    souk_mp_write_map(&parts->body, 1);
    souk_mp_write_str(&parts->body, SOUK_STR("text"));
    souk_mp_write_str(&parts->body, SOUK_STR("hello"));
    souk_buf_init(&parts->principal, 1024);
    souk_mp_write_map(&parts->principal, 2);
    souk_mp_write_str(&parts->principal, SOUK_STR("kind"));
    souk_mp_write_str(&parts->principal, SOUK_STR("user"));
    souk_mp_write_str(&parts->principal, SOUK_STR("sub"));
    souk_mp_write_str(&parts->principal,
                      souk_str_of(call->subject != NULL ? call->subject : "usr_1"));
    return parts;
}

souk_ctx_t *lab_begin(const lab_call_t *call) {
    lab_parts_t *parts = s_parts(call);
    souk_ctx_t *ctx = souk_ctx_new(&parts->method);
    cr_assert_eq(souk_arena_on_reset(lab.arena, s_free, parts), SOUK_OK);
    uint32_t timeout_ms = call->timeout_ms != 0 ? call->timeout_ms : LAB_TIMEOUT_MS;
    souk_req_t req = {.corr = SOUK_STR("c"),
                      .timeout_ms = timeout_ms,
                      .service = SOUK_STR("lab"),
                      .method = SOUK_STR("echo"),
                      .key = souk_str_of(call->key),
                      .key_hash = souk_str_of(call->hash),
                      .principal = souk_buf_str(&parts->principal),
                      .body = souk_buf_str(&parts->body)};
    souk_ctx_begin(ctx, &req, souk_clock_mono_us() + (int64_t)timeout_ms * 1000);
    return ctx;
}

souk_ctx_t *lab_call(souk_pg_t *pg, const lab_call_t *call) {
    souk_ctx_t *ctx = lab_begin(call);
    souk_ctx_run(ctx, NULL, pg);
    return ctx;
}

static void *s_run(void *arg) {
    lab_thread_t *thread = arg;
    souk_ctx_run(thread->ctx, NULL, thread->pg);
    return NULL;
}

void lab_spawn(lab_thread_t *ret_thread, souk_pg_t *pg, const lab_call_t *call) {
    *ret_thread = (lab_thread_t){.ctx = lab_begin(call), .pg = pg};
    cr_assert_eq(pthread_create(&ret_thread->thread, NULL, s_run, ret_thread), 0);
}

souk_ctx_t *lab_join(lab_thread_t *thread) {
    cr_assert_eq(pthread_join(thread->thread, NULL), 0);
    return thread->ctx;
}

souk_err_t lab_end(souk_ctx_t *ctx) {
    souk_str_t body;
    souk_err_t err = souk_ctx_outcome(ctx, &body);
    souk_ctx_destroy(&ctx);
    return err;
}

souk_pg_t *lab_open(void) {
    souk_pg_t *pg;
    cr_assert_eq(souk_pg_open(&lab.options, &pg), SOUK_OK);
    cr_assert(souk_pg_ok(pg));
    return pg;
}

void lab_until_blocked(int backend) {
    char sql[128];
    (void)snprintf(sql, sizeof(sql),
                   "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %d", backend);
    lab_until(sql);
}
