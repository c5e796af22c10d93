/* Background tasks. */
#include <criterion/criterion.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "gen/metrics.h"
#include "lab.h"
#include "proxy.h"
#include "runtime/keeper.h"
#include "souk/metrics.h"

TestSuite(keeper, .init = lab_init, .fini = lab_done);

static sem_t ran;
static atomic_int runs, backend;
static atomic_int answer;

#define SOON_MS 1
#define NEVER_MS 3600000

static souk_err_t s_task(souk_pg_t *pg, souk_arena_t *arena, void *arg) {
    static const souk_pg_stmt_t pid = {.name = "lab_task", .sql = "SELECT pg_backend_pid()"};
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_exec(pg, LAB_TIMEOUT_MS, arena, &pid, NULL, &rows));
    atomic_store(&backend, (int)souk_pg_get_int(rows, 0, 0));
    atomic_fetch_add(&runs, 1);
    sem_post(arg);
    return (souk_err_t)atomic_load(&answer);
}

static souk_keeper_t *s_start(uint32_t interval_ms) {
    sem_init(&ran, 0, 0);
    const souk_keeper_task_t task = {
        .name = "task", .interval_ms = interval_ms, .run = s_task, .arg = &ran};
    souk_keeper_t *keeper;
    const souk_keeper_options_t options = {.pg = lab.options, .tasks = &task, .tasks_count = 1};
    cr_assert_eq(souk_keeper_new(&options, &keeper), SOUK_OK);
    return keeper;
}

/* Within the test's time limit. */
static void s_await_run(void) {
    while (sem_wait(&ran) != 0) {
    }
}

Test(keeper, a_task_runs_at_its_interval) {
    souk_keeper_t *keeper = s_start(SOON_MS);
    for (int i = 0; i < 5; i++) {
        s_await_run();
    }
    souk_keeper_destroy(&keeper);
    cr_assert_null(keeper);
    int64_t counted =
        souk_metric_value(souk_metric(SOUK_METRIC_KEEPER_RUNS_TOTAL, "lab", "task", "ok", NULL));
    cr_assert_eq(counted, runs);
}

Test(keeper, one_that_has_more_to_do_runs_again_at_once_and_then_rests) {
    atomic_store(&answer, SOUK_ERR_RETRY);
    souk_keeper_t *keeper = s_start(NEVER_MS);
    for (int i = 0; i < 5; i++) {
        s_await_run();
    }
    atomic_store(&answer, SOUK_OK);
    souk_keeper_hurry(keeper, "task");
    s_await_run();
    souk_keeper_destroy(&keeper);
    cr_assert(runs >= 6);
}

Test(keeper, a_hurried_task_does_not_wait_for_its_interval) {
    souk_keeper_t *keeper = s_start(NEVER_MS);
    s_await_run(); /* soon after the start */
    souk_keeper_hurry(keeper, "another");
    souk_keeper_hurry(keeper, "task");
    s_await_run();
    souk_keeper_destroy(&keeper);
    cr_assert_eq(runs, 2);
}

Test(keeper, a_failed_run_is_counted_and_tried_again) {
    atomic_store(&answer, SOUK_ERR_INTERNAL);
    souk_keeper_t *keeper = s_start(SOON_MS);
    s_await_run();
    s_await_run();
    souk_keeper_destroy(&keeper);
    cr_assert(souk_metric_value(
                  souk_metric(SOUK_METRIC_KEEPER_RUNS_TOTAL, "lab", "task", "error", NULL)) >= 2);
}

static souk_err_t s_deadlock(souk_pg_t *pg, souk_arena_t *arena, void *arg) {
    static const souk_pg_stmt_t stmt = {.name = "lab_conflict", .sql = "SELECT lab_conflict()"};
    atomic_fetch_add(&runs, 1);
    sem_post(arg);
    return souk_pg_exec(pg, LAB_TIMEOUT_MS, arena, &stmt, NULL, NULL);
}

Test(keeper, a_deadlock_is_a_failure_and_not_more_to_do) {
    lab_do(
        "CREATE FUNCTION lab_conflict() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION"
        " USING ERRCODE = '40P01'; END $$");
    sem_init(&ran, 0, 0);
    const souk_keeper_task_t task = {
        .name = "task", .interval_ms = NEVER_MS, .run = s_deadlock, .arg = &ran};
    souk_keeper_t *keeper;
    const souk_keeper_options_t options = {.pg = lab.options, .tasks = &task, .tasks_count = 1};
    cr_assert_eq(souk_keeper_new(&options, &keeper), SOUK_OK);
    s_await_run();
    souk_series_t *failed =
        souk_metric(SOUK_METRIC_KEEPER_RUNS_TOTAL, "lab", "task", "error", NULL);
    while (souk_metric_value(failed) == 0) {
        lab_do("SELECT 1");
    }
    souk_keeper_destroy(&keeper);
    cr_assert_eq(
        souk_metric_value(souk_metric(SOUK_METRIC_KEEPER_RUNS_TOTAL, "lab", "task", "ok", NULL)),
        0);
}

Test(keeper, a_lost_connection_is_made_anew) {
    souk_keeper_t *keeper = s_start(SOON_MS);
    s_await_run();
    int before = atomic_load(&backend);
    char sql[128];
    (void)snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d, 5000)", before);
    lab_do(sql);
    while (atomic_load(&backend) == before) {
        s_await_run();
    }
    souk_keeper_destroy(&keeper);
}

Test(keeper, a_server_that_was_away_is_found_again) {
    proxy_t *proxy = proxy_new(lab.url);
    lab.options.url = proxy_url(proxy);
    souk_keeper_t *keeper = s_start(SOON_MS);
    s_await_run();
    proxy_set(proxy, PROXY_REFUSE, NULL);
    proxy_cut(proxy);
    souk_series_t *refused = souk_metric(SOUK_METRIC_PG_CONNECTS_TOTAL, "lab", "error", NULL);
    while (souk_metric_value(refused) < 2) {
        lab_do("SELECT 1");
    }
    int64_t before = atomic_load(&runs);
    proxy_set(proxy, PROXY_PASS, NULL);
    while (atomic_load(&runs) == before) {
        s_await_run();
    }
    souk_keeper_destroy(&keeper);
    proxy_destroy(&proxy);
}

static souk_err_t s_leave_open(souk_pg_t *pg, souk_arena_t *arena, void *arg) {
    static const souk_pg_stmt_t insert = {.name = "lab_leave",
                                          .sql = "INSERT INTO notes VALUES (1)"};
    SOUK_TRY(souk_pg_begin(pg, LAB_TIMEOUT_MS));
    SOUK_TRY(souk_pg_exec(pg, LAB_TIMEOUT_MS, arena, &insert, NULL, NULL));
    sem_post(arg);
    return SOUK_ERR_CONFLICT; /* and leaves the transaction to the keeper */
}

Test(keeper, a_transaction_that_a_task_leaves_open_is_rolled_back) {
    sem_init(&ran, 0, 0);
    const souk_keeper_task_t task = {
        .name = "task", .interval_ms = SOON_MS, .run = s_leave_open, .arg = &ran};
    souk_keeper_t *keeper;
    const souk_keeper_options_t options = {.pg = lab.options, .tasks = &task, .tasks_count = 1};
    cr_assert_eq(souk_keeper_new(&options, &keeper), SOUK_OK);
    s_await_run();
    s_await_run();
    souk_keeper_destroy(&keeper);
    cr_assert_eq(lab_int("SELECT count(*) FROM notes"), 0);
}

Test(keeper, old_keys_are_purged_and_younger_ones_stay) {
    lab_do("INSERT INTO idempotency SELECT 'usr_1', 'echo', n::text, 'h', 'r', now() - interval"
           " '25 hours' FROM generate_series(1, 1700) n");
    lab_do("INSERT INTO idempotency SELECT 'usr_1', 'echo', 'y' || n, 'h', 'r', now() - interval"
           " '23 hours' FROM generate_series(1, 30) n");
    const souk_keeper_task_t task = souk_keeper_purge_keys(24);
    souk_keeper_t *keeper;
    const souk_keeper_options_t options = {.pg = lab.options, .tasks = &task, .tasks_count = 1};
    cr_assert_eq(souk_keeper_new(&options, &keeper), SOUK_OK);
    lab_until("SELECT count(*) = 30 FROM idempotency");
    souk_keeper_destroy(&keeper);
    int64_t counted = souk_metric_value(
        souk_metric(SOUK_METRIC_KEEPER_RUNS_TOTAL, "lab", "purge_keys", "ok", NULL));
    cr_assert_eq(counted, 4, "three full batches and the rest");
    cr_assert_eq(lab_int("SELECT count(*) FROM idempotency WHERE key LIKE 'y%'"), 30);
}

Test(keeper, it_can_be_ended_while_the_server_is_away) {
    souk_pg_options_t away = lab.options;
    away.url = "postgresql://nobody@127.0.0.1:1/none";
    const souk_keeper_task_t task = souk_keeper_purge_keys(24);
    souk_keeper_t *keeper;
    const souk_keeper_options_t options = {.pg = away, .tasks = &task, .tasks_count = 1};
    cr_assert_eq(souk_keeper_new(&options, &keeper), SOUK_OK);
    souk_series_t *failed = souk_metric(SOUK_METRIC_PG_CONNECTS_TOTAL, "lab", "error", NULL);
    while (souk_metric_value(failed) == 0) {
        lab_do("SELECT 1");
    }
    souk_keeper_destroy(&keeper);
    cr_assert_eq(souk_metric_value(
                     souk_metric(SOUK_METRIC_KEEPER_RUNS_TOTAL, "lab", "purge_keys", "ok", NULL)),
                 0);
}
