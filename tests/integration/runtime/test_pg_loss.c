/* Connections that end: while idle, in the middle, at COMMIT, and a server that is away. */
#include <criterion/criterion.h>

#include "gen/diag.h"
#include "gen/metrics.h"
#include "lab.h"
#include "proxy.h"
#include "souk/metrics.h"

static proxy_t *proxy;
static souk_pg_health_t health;

/* The lab's connection, by way of the proxy. */
static void s_init(void) {
    lab_init();
    souk_pg_close(&lab.pg);
    proxy = proxy_new(lab.url);
    health = (souk_pg_health_t){0};
    lab.options.url = proxy_url(proxy);
    lab.options.health = &health;
    lab.pg = lab_open();
}

static void s_done(void) {
    souk_pg_close(&lab.pg);
    proxy_destroy(&proxy);
    lab_done();
}

TestSuite(pg_loss, .init = s_init, .fini = s_done);

static const souk_pg_stmt_t s_one = {.name = "lab_one", .sql = "SELECT 1"};
static const souk_pg_stmt_t s_insert = {.name = "lab_insert",
                                        .sql = "INSERT INTO notes VALUES (1)"};

static souk_err_t s_exec(const souk_pg_stmt_t *stmt) {
    return souk_pg_exec(lab.pg, LAB_TIMEOUT_MS, lab.arena, stmt, NULL, NULL);
}

static int64_t s_notes(void) {
    return lab_int("SELECT count(*) FROM notes");
}

static int64_t s_connects(const char *outcome) {
    return souk_metric_value(souk_metric(SOUK_METRIC_PG_CONNECTS_TOTAL, "lab", outcome, NULL));
}

static void s_terminate(int backend) {
    char sql[128];
    (void)snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d, 5000)", backend);
    lab_do(sql);
}

/* ---- By the server --------------------------------------------------------------------------- */

Test(pg_loss, one_that_was_closed_while_idle_is_made_anew_before_the_next_statement) {
    s_terminate(lab_backend(lab.pg));
    cr_assert_eq(s_exec(&s_one), SOUK_OK);
    s_terminate(lab_backend(lab.pg));
    cr_assert(!souk_pg_ok(lab.pg));
    cr_assert_eq(s_exec(&s_insert), SOUK_OK);
    cr_assert(souk_pg_ok(lab.pg));
    cr_assert_eq(s_notes(), 1);
}

static int backend;
static bool terminate_first;

static souk_err_t s_lose(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    (void)req;
    SOUK_TRY(souk_pg_run(ctx, &s_insert, NULL, NULL));
    diag_echo_rep_set_number(ret_rep, 1);
    if (backend != 0) {
        s_terminate(backend);
        backend = 0;
        return terminate_first ? souk_pg_run(ctx, &s_one, NULL, NULL) : SOUK_OK;
    }
    return SOUK_OK;
}

static souk_err_t s_write(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    return souk_pg_write(ctx, s_lose, req, ret_rep);
}

static const lab_call_t s_keyed = {.handler = s_write, .key = "k", .hash = "h"};
static const lab_call_t s_unkeyed = {.handler = s_write};

Test(pg_loss, in_the_middle_of_a_write_nothing_is_done_and_the_next_call_works) {
    backend = lab_backend(lab.pg);
    terminate_first = true;
    cr_assert_eq(lab_end(lab_call(lab.pg, &s_unkeyed)), SOUK_ERR_UNAVAILABLE);
    cr_assert_eq(s_notes(), 0);
    cr_assert_eq(lab_end(lab_call(lab.pg, &s_unkeyed)), SOUK_OK);
    cr_assert_eq(s_notes(), 1);
}

Test(pg_loss, before_commit_the_outcome_is_not_known_without_a_key) {
    backend = lab_backend(lab.pg);
    cr_assert_eq(lab_end(lab_call(lab.pg, &s_unkeyed)), SOUK_ERR_UNKNOWN_OUTCOME);
    cr_assert_eq(s_notes(), 0);
    backend = lab_backend(lab.pg);
    cr_assert_eq(lab_end(lab_call(lab.pg, &s_keyed)), SOUK_ERR_UNAVAILABLE);
    cr_assert_eq(s_notes(), 0);
    cr_assert_eq(lab_end(lab_call(lab.pg, &s_keyed)), SOUK_OK);
    cr_assert_eq(s_notes(), 1);
}

static souk_err_t s_overlook_loss(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    (void)req;
    (void)ret_rep;
    SOUK_TRY(souk_pg_run(ctx, &s_insert, NULL, NULL));
    s_terminate(backend);
    cr_assert_eq(souk_pg_run(ctx, &s_one, NULL, NULL), SOUK_ERR_UNAVAILABLE);
    cr_assert_eq(souk_pg_run(ctx, &s_insert, NULL, NULL), SOUK_ERR_CANCELLED);
    return SOUK_OK;
}

static souk_err_t s_write_overlooking(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    return souk_pg_write(ctx, s_overlook_loss, req, ret_rep);
}

Test(pg_loss, a_body_that_goes_on_after_a_loss_does_nothing) {
    backend = lab_backend(lab.pg);
    const lab_call_t call = {.handler = s_write_overlooking};
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_ERR_INTERNAL);
    cr_assert_eq(s_notes(), 0);
    cr_assert_eq(s_exec(&s_insert), SOUK_OK);
    cr_assert_eq(s_notes(), 1);
}

/* The transaction must begin on the new connection, not be passed over. */
Test(pg_loss, a_write_on_one_that_was_closed_while_idle_is_whole_or_nothing) {
    int closed = lab_backend(lab.pg);
    s_terminate(closed);
    cr_assert_eq(lab_end(lab_call(lab.pg, &s_keyed)), SOUK_OK);
    cr_assert_eq(s_notes(), 1);
    lab_do("DELETE FROM notes");
    s_terminate(lab_backend(lab.pg));
    cr_assert_eq(souk_pg_begin(lab.pg, LAB_TIMEOUT_MS), SOUK_OK);
    cr_assert_eq(s_exec(&s_insert), SOUK_OK);
    souk_pg_rollback(lab.pg);
    cr_assert_eq(s_notes(), 0);
}

/* ---- By the network -------------------------------------------------------------------------- */

Test(pg_loss, when_commits_answer_is_lost_the_repeated_call_gets_the_stored_reply) {
    proxy_set(proxy, PROXY_CUT_ANSWER, "souk_commit");
    cr_assert_eq(lab_end(lab_call(lab.pg, &s_keyed)), SOUK_ERR_UNAVAILABLE);
    lab_until("SELECT count(*) = 1 FROM notes");
    proxy_set(proxy, PROXY_PASS, NULL);
    souk_ctx_t *again = lab_call(lab.pg, &s_keyed);
    cr_assert(souk_ctx_replayed(again));
    cr_assert_eq(lab_end(again), SOUK_OK);
    cr_assert_eq(s_notes(), 1);
}

Test(pg_loss, when_commits_answer_is_lost_without_a_key_the_caller_is_told_so) {
    proxy_set(proxy, PROXY_CUT_ANSWER, "souk_commit");
    cr_assert_eq(lab_end(lab_call(lab.pg, &s_unkeyed)), SOUK_ERR_UNKNOWN_OUTCOME);
    lab_until("SELECT count(*) = 1 FROM notes");
}

Test(pg_loss, when_commit_does_not_arrive_the_repeated_call_runs) {
    proxy_set(proxy, PROXY_CUT_REQUEST, "souk_commit");
    cr_assert_eq(lab_end(lab_call(lab.pg, &s_keyed)), SOUK_ERR_UNAVAILABLE);
    proxy_set(proxy, PROXY_PASS, NULL);
    souk_ctx_t *again = lab_call(lab.pg, &s_keyed);
    cr_assert(!souk_ctx_replayed(again));
    cr_assert_eq(lab_end(again), SOUK_OK);
    cr_assert_eq(s_notes(), 1);
}

/* Two notes, or none, in each way that a body can send its statements. */
typedef enum { WAY_RUN, WAY_QUEUE, WAY_POST, WAY_UNREAD, WAYS } way_t;
static way_t way;

static const souk_pg_stmt_t s_pair[] = {
    {.name = "lab_first", .sql = "INSERT INTO notes VALUES (1)"},
    {.name = "lab_second", .sql = "INSERT INTO notes VALUES (2)"},
};

static souk_err_t s_make_pair(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    (void)req;
    diag_echo_rep_set_number(ret_rep, way);
    for (size_t i = 0; i < SOUK_COUNT_OF(s_pair); i++) {
        SOUK_TRY(way == WAY_RUN    ? souk_pg_run(ctx, &s_pair[i], NULL, NULL)
                 : way == WAY_POST ? souk_pg_post(ctx, &s_pair[i], NULL)
                                   : souk_pg_queue(ctx, &s_pair[i], NULL));
    }
    for (size_t i = 0; way == WAY_QUEUE && i < SOUK_COUNT_OF(s_pair); i++) {
        SOUK_TRY(souk_pg_next(ctx, NULL));
    }
    return SOUK_OK;
}

static souk_err_t s_write_pair(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    return souk_pg_write(ctx, s_make_pair, req, ret_rep);
}

static void s_check_keyed(souk_err_t first) {
    cr_assert(first == SOUK_OK || first == SOUK_ERR_UNAVAILABLE, "%d", first);
    const lab_call_t call = {.handler = s_write_pair, .key = "k", .hash = "h"};
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_OK);
    cr_assert_eq(s_notes(), 2);
}

static void s_check_unkeyed(souk_err_t first) {
    int64_t notes = s_notes();
    cr_assert(first != SOUK_OK || notes == 2);
    cr_assert(first != SOUK_ERR_UNAVAILABLE || notes == 0);
    cr_assert(first == SOUK_OK || first == SOUK_ERR_UNAVAILABLE ||
                  first == SOUK_ERR_UNKNOWN_OUTCOME,
              "%d", first);
    cr_assert(notes == 0 || notes == 2);
}

/* The backend whose client has gone may still be at its COMMIT. */
static void s_settle(int pid) {
    char sql[160];
    (void)snprintf(sql, sizeof(sql),
                   "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = %d AND state <> 'idle'",
                   pid);
    lab_until(sql);
}

Test(pg_loss, wherever_it_is_cut_a_write_is_whole_or_nothing, .timeout = 120) {
    static const char *const marks[] = {"souk_begin", "souk_key_claim", "lab_first",
                                        "lab_second", "souk_key_store", "souk_commit"};
    static const proxy_mode_t modes[] = {PROXY_CUT_REQUEST, PROXY_CUT_ANSWER};
    for (size_t i = 0; i < SOUK_COUNT_OF(marks) * SOUK_COUNT_OF(modes) * 2 * WAYS; i++) {
        bool is_keyed = i % 2 == 0;
        proxy_mode_t mode = modes[i / 2 % 2];
        way = (way_t)(i / 4 % WAYS);
        const char *mark = marks[i / 4 / WAYS];
        lab_do("TRUNCATE notes, idempotency");
        const lab_call_t call = {
            .handler = s_write_pair, .key = is_keyed ? "k" : NULL, .hash = is_keyed ? "h" : NULL};
        int pid = lab_backend(lab.pg);
        proxy_set(proxy, mode, mark);
        souk_err_t first = lab_end(lab_call(lab.pg, &call));
        proxy_set(proxy, PROXY_PASS, NULL);
        s_settle(pid);
        if (is_keyed) {
            s_check_keyed(first);
        } else {
            s_check_unkeyed(first);
        }
    }
}

Test(pg_loss, a_server_that_does_not_answer_costs_the_connection_and_not_the_slot) {
    cr_assert_eq(s_exec(&s_one), SOUK_OK);
    proxy_set(proxy, PROXY_SWALLOW, NULL);
    cr_assert_eq(souk_pg_exec(lab.pg, 100, lab.arena, &s_one, NULL, NULL), SOUK_ERR_TIMEOUT);
    cr_assert(!souk_pg_ok(lab.pg));
    proxy_set(proxy, PROXY_PASS, NULL);
    cr_assert_eq(s_exec(&s_one), SOUK_OK);
}

/* Whether there is a twin nobody knows: only the server may say that one runs. */
Test(pg_loss, a_key_that_gets_no_answer_is_not_said_to_be_in_progress) {
    lab_call_t call = s_keyed;
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_OK);
    call.timeout_ms = 200;
    proxy_set(proxy, PROXY_SWALLOW, NULL);
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_ERR_DEADLINE_EXCEEDED);
    cr_assert(!souk_pg_ok(lab.pg));
    proxy_set(proxy, PROXY_PASS, NULL);
    cr_assert_eq(s_exec(&s_one), SOUK_OK);
    call.timeout_ms = 2; /* not even asked */
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_ERR_DEADLINE_EXCEEDED);
}

/* ---- A server that is away ------------------------------------------------------------------- */

Test(pg_loss, while_the_server_is_away_calls_are_refused_at_once_until_it_is_back) {
    cr_assert_null(souk_pg_degraded(&health));
    proxy_set(proxy, PROXY_REFUSE, NULL);
    proxy_cut(proxy);
    cr_assert_eq(lab_end(lab_call(lab.pg, &s_keyed)), SOUK_ERR_UNAVAILABLE);
    cr_assert_str_eq(souk_pg_degraded(&health), "PostgreSQL is away");
    int64_t attempts = s_connects("error");
    cr_assert_eq(attempts, 1);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(lab_end(lab_call(lab.pg, &s_unkeyed)), SOUK_ERR_UNAVAILABLE);
        cr_assert_eq(s_exec(&s_one), SOUK_ERR_UNAVAILABLE);
    }
    cr_assert_eq(s_connects("error"), attempts, "a call does not try what has just failed");
    /* As the runtime does, since slot_ok is false. */
    cr_assert(!souk_pg_ok(lab.pg));
    souk_pg_close(&lab.pg);
    cr_assert_eq(souk_pg_open(&lab.options, &lab.pg), SOUK_OK);
    cr_assert(!souk_pg_ok(lab.pg));
    proxy_set(proxy, PROXY_PASS, NULL);
    souk_pg_close(&lab.pg);
    cr_assert_eq(souk_pg_open(&lab.options, &lab.pg), SOUK_OK);
    cr_assert(souk_pg_ok(lab.pg));
    cr_assert_null(souk_pg_degraded(&health));
    cr_assert_eq(lab_end(lab_call(lab.pg, &s_keyed)), SOUK_OK);
    cr_assert_eq(s_notes(), 1);
    cr_assert_eq(atomic_load(&health.up), 1);
    cr_assert_eq(atomic_load(&health.away), 0);
}

Test(pg_loss, one_that_does_not_answer_a_new_connection_is_waited_for_so_long_only) {
    proxy_set(proxy, PROXY_SWALLOW, NULL);
    souk_pg_options_t options = lab.options;
    options.connect_timeout_ms = 50;
    options.health = NULL;
    souk_pg_t *pg;
    cr_assert_eq(souk_pg_open(&options, &pg), SOUK_OK);
    cr_assert(!souk_pg_ok(pg));
    cr_assert_eq(s_connects("error"), 1);
    souk_pg_close(&pg);
}

Test(pg_loss, a_standby_is_as_good_as_none) {
    char url[1200];
    (void)snprintf(url, sizeof(url), "%s%%20-cdefault_transaction_read_only%%3Don", lab.url);
    souk_pg_options_t options = lab.options;
    options.url = url;
    souk_pg_t *pg;
    cr_assert_eq(souk_pg_open(&options, &pg), SOUK_OK);
    cr_assert(!souk_pg_ok(pg));
    souk_pg_close(&pg);
}

Test(pg_loss, one_whose_server_became_a_standby_is_given_up) {
    static const souk_pg_stmt_t demote = {
        .name = "lab_demote",
        .sql = "SELECT set_config('default_transaction_read_only', 'on', false)"};
    cr_assert_eq(s_exec(&demote), SOUK_OK);
    cr_assert_eq(s_exec(&s_insert), SOUK_ERR_UNAVAILABLE);
    cr_assert(!souk_pg_ok(lab.pg));
    cr_assert_eq(s_exec(&s_insert), SOUK_OK);
}

Test(pg_loss, a_statement_whose_result_was_migrated_is_prepared_again) {
    static const souk_pg_stmt_t all = {.name = "lab_all", .sql = "SELECT * FROM notes"};
    cr_assert_eq(s_exec(&all), SOUK_OK);
    lab_do("ALTER TABLE notes ADD COLUMN more text");
    cr_assert_eq(s_exec(&all), SOUK_ERR_UNAVAILABLE);
    cr_assert_eq(s_exec(&all), SOUK_OK);
}

Test(pg_loss, a_url_that_cannot_be_read_is_said_at_once) {
    souk_pg_options_t options = lab.options;
    options.url = "postgres://%zz";
    souk_pg_t *pg = NULL;
    cr_assert_eq(souk_pg_open(&options, &pg), SOUK_ERR_VALIDATION);
    cr_assert_null(pg);
}
