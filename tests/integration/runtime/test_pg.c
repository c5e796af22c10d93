/* A connection: values both ways, pipelines, failures. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "lab.h"

TestSuite(pg, .init = lab_init, .fini = lab_done);

static souk_pg_args_t args;

static void s_args(void) {
    souk_pg_args_init(&args, lab.arena);
}

/* Runs sql, which has a row of its own here, with args. */
static const souk_pg_rows_t *s_rows(const souk_pg_stmt_t *stmt) {
    const souk_pg_rows_t *rows = NULL;
    cr_assert_eq(souk_pg_exec(lab.pg, LAB_TIMEOUT_MS, lab.arena, stmt, &args, &rows), SOUK_OK,
                 "%s: %s", stmt->name, souk_pg_sqlstate(lab.pg));
    return rows;
}

static souk_err_t s_exec(const souk_pg_stmt_t *stmt) {
    return souk_pg_exec(lab.pg, LAB_TIMEOUT_MS, lab.arena, stmt, NULL, NULL);
}

/* ---- Values ---------------------------------------------------------------------------------- */

#define BIG_BYTES ((size_t)1024 * 1024)

Test(pg, scalars_come_back_as_they_were_sent) {
    static const souk_pg_stmt_t stmt = {
        "scalars", "SELECT $1::bigint, $2::boolean, $3::text, $4::bytea, $5::timestamptz,"
                   " $1::bigint = -9007199254740993, octet_length($4), ($6::bigint)::integer,"
                   " ($6::bigint)::smallint, $7::text"};
    static const char bytes[] = {0, 1, (char)0xff, '\\', '\''};
    s_args();
    souk_pg_int(&args, -9007199254740993);
    souk_pg_bool(&args, true);
    souk_pg_str(&args, SOUK_STR("Grüße, 'quoted' \\ and \xf0\x9f\x8c\xb0"));
    souk_pg_bytes(&args, (souk_str_t){.data = bytes, .size = sizeof(bytes)});
    souk_pg_time(&args, 1795560000123456);
    souk_pg_int(&args, -7);
    souk_pg_str(&args, SOUK_STR(""));
    const souk_pg_rows_t *rows = s_rows(&stmt);
    cr_assert_eq(souk_pg_count(rows), 1);
    cr_assert_eq(souk_pg_get_int(rows, 0, 0), -9007199254740993);
    cr_assert(souk_pg_get_bool(rows, 0, 1));
    cr_assert(souk_str_equal(souk_pg_get_str(rows, 0, 2),
                             SOUK_STR("Grüße, 'quoted' \\ and \xf0\x9f\x8c\xb0")));
    cr_assert(souk_str_equal(souk_pg_get_str(rows, 0, 3),
                             (souk_str_t){.data = bytes, .size = sizeof(bytes)}));
    cr_assert_eq(souk_pg_get_time(rows, 0, 4), 1795560000123456);
    cr_assert(souk_pg_get_bool(rows, 0, 5));
    cr_assert_eq(souk_pg_get_int(rows, 0, 6), 5);
    cr_assert_eq(souk_pg_get_int(rows, 0, 7), -7);
    cr_assert_eq(souk_pg_get_int(rows, 0, 8), -7);
    cr_assert_eq(souk_pg_get_str(rows, 0, 9).size, 0);
    cr_assert(!souk_pg_is_null(rows, 0, 9));
}

Test(pg, the_server_reads_times_as_we_mean_them) {
    static const souk_pg_stmt_t stmt = {
        "times", "SELECT $1::timestamptz = '1969-12-31T23:59:59.5Z', $2::timestamptz ="
                 " '2026-11-25T00:00:00Z', timestamptz '2000-01-01T00:00:00Z', timestamptz"
                 " 'infinity', timestamptz '-infinity'"};
    s_args();
    souk_pg_time(&args, -500000);
    souk_pg_time(&args, (int64_t)1795564800 * 1000000);
    const souk_pg_rows_t *rows = s_rows(&stmt);
    cr_assert(souk_pg_get_bool(rows, 0, 0));
    cr_assert(souk_pg_get_bool(rows, 0, 1));
    cr_assert_eq(souk_pg_get_time(rows, 0, 2), (int64_t)946684800 * 1000000);
    cr_assert_eq(souk_pg_get_time(rows, 0, 3), INT64_MAX);
    cr_assert_eq(souk_pg_get_time(rows, 0, 4), INT64_MIN + 1);
}

Test(pg, nulls_are_nulls_both_ways) {
    static const souk_pg_stmt_t stmt = {
        "nulls", "SELECT $1::integer, $2::text, $3::bytea, $4::timestamptz, num_nulls($1, $2, $3,"
                 " $4), null::boolean"};
    s_args();
    souk_pg_null(&args);
    souk_pg_str(&args, (souk_str_t){.data = NULL});
    souk_pg_bytes(&args, (souk_str_t){.data = NULL});
    souk_pg_time(&args, INT64_MIN);
    const souk_pg_rows_t *rows = s_rows(&stmt);
    for (int i = 0; i < 4; i++) {
        cr_assert(souk_pg_is_null(rows, 0, i));
    }
    cr_assert_eq(souk_pg_get_int(rows, 0, 0), 0);
    cr_assert_null(souk_pg_get_str(rows, 0, 1).data);
    cr_assert_null(souk_pg_get_str(rows, 0, 2).data);
    cr_assert_eq(souk_pg_get_time(rows, 0, 3), INT64_MIN);
    cr_assert_eq(souk_pg_get_int(rows, 0, 4), 4);
    cr_assert(!souk_pg_get_bool(rows, 0, 5));
}

Test(pg, a_parameter_may_be_null_first_and_a_value_later) {
    static const souk_pg_stmt_t stmt = {"null_first", "SELECT $1::bigint, $2::text"};
    s_args();
    souk_pg_null(&args);
    souk_pg_null(&args);
    cr_assert(souk_pg_is_null(s_rows(&stmt), 0, 0));
    s_args();
    souk_pg_int(&args, 5);
    souk_pg_str(&args, SOUK_STR("five"));
    const souk_pg_rows_t *rows = s_rows(&stmt);
    cr_assert_eq(souk_pg_get_int(rows, 0, 0), 5);
    cr_assert(souk_str_equal(souk_pg_get_str(rows, 0, 1), SOUK_STR("five")));
}

Test(pg, arrays_of_every_kind_arrive) {
    static const souk_pg_stmt_t stmt = {
        "arrays", "SELECT $1::bigint[] = '{1,-2,9007199254740993}', $2::boolean[] = '{t,f}',"
                  " $3::text[] = array['a','','c,\"d'], $4::bytea[] = array['\\x00ff'::bytea, ''],"
                  " $5::timestamptz[] = array['2000-01-01Z'::timestamptz]"};
    static const int64_t ints[] = {1, -2, 9007199254740993};
    static const bool bools[] = {true, false};
    const souk_str_t strs[] = {SOUK_STR("a"), SOUK_STR(""), SOUK_STR("c,\"d")};
    const souk_str_t bytes[] = {{.data = "\0\377", .size = 2}, SOUK_STR("")};
    static const int64_t times[] = {(int64_t)946684800 * 1000000};
    s_args();
    souk_pg_ints(&args, ints, SOUK_COUNT_OF(ints));
    souk_pg_bools(&args, bools, SOUK_COUNT_OF(bools));
    souk_pg_strs(&args, strs, SOUK_COUNT_OF(strs));
    souk_pg_bytess(&args, bytes, SOUK_COUNT_OF(bytes));
    souk_pg_times(&args, times, SOUK_COUNT_OF(times));
    const souk_pg_rows_t *rows = s_rows(&stmt);
    for (int i = 0; i < 5; i++) {
        cr_assert(souk_pg_get_bool(rows, 0, i), "column %d", i);
    }
}

Test(pg, arrays_may_be_empty_or_hold_nulls) {
    static const souk_pg_stmt_t stmt = {
        "empty_arrays",
        "SELECT $1::bigint[] = '{}', $2::boolean[] = '{}', $3::text[] = '{}', $4::bytea[] = '{}',"
        " $5::timestamptz[] = '{}', $6::text[] IS NOT DISTINCT FROM array['x', null, 'y'],"
        " $7::timestamptz[] IS NOT DISTINCT FROM array[null, '2000-01-01Z'::timestamptz]"};
    const souk_str_t strs[] = {SOUK_STR("x"), {.data = NULL}, SOUK_STR("y")};
    static const int64_t times[] = {INT64_MIN, (int64_t)946684800 * 1000000};
    s_args();
    souk_pg_ints(&args, NULL, 0);
    souk_pg_bools(&args, NULL, 0);
    souk_pg_strs(&args, NULL, 0);
    souk_pg_bytess(&args, NULL, 0);
    souk_pg_times(&args, NULL, 0);
    souk_pg_strs(&args, strs, SOUK_COUNT_OF(strs));
    souk_pg_times(&args, times, SOUK_COUNT_OF(times));
    const souk_pg_rows_t *rows = s_rows(&stmt);
    for (int i = 0; i < 7; i++) {
        cr_assert(souk_pg_get_bool(rows, 0, i), "column %d", i);
    }
}

Test(pg, a_megabyte_goes_both_ways) {
    static const souk_pg_stmt_t stmt = {
        "big", "SELECT $1::text, length($1), cardinality($2::text[]), $2[1] = $1, $3::bytea"};
    char *text = malloc(BIG_BYTES);
    cr_assert(text != NULL);
    memset(text, 'x', BIG_BYTES);
    text[BIG_BYTES - 1] = 'y';
    souk_str_t big = {.data = text, .size = BIG_BYTES};
    const souk_str_t strs[] = {big, SOUK_STR("small")};
    s_args();
    souk_pg_str(&args, big);
    souk_pg_strs(&args, strs, 2);
    souk_pg_bytes(&args, big);
    const souk_pg_rows_t *rows = s_rows(&stmt);
    cr_assert(souk_str_equal(souk_pg_get_str(rows, 0, 0), big));
    cr_assert_eq(souk_pg_get_int(rows, 0, 1), BIG_BYTES);
    cr_assert_eq(souk_pg_get_int(rows, 0, 2), 2);
    cr_assert(souk_pg_get_bool(rows, 0, 3));
    cr_assert(souk_str_equal(souk_pg_get_str(rows, 0, 4), big));
    free(text);
}

Test(pg, json_comes_as_text) {
    static const souk_pg_stmt_t stmt = {"json", "SELECT $1::jsonb, $1::json, $1::jsonb::text"};
    s_args();
    souk_pg_str(&args, SOUK_STR("{\"a\":1}"));
    const souk_pg_rows_t *rows = s_rows(&stmt);
    cr_assert(souk_str_equal(souk_pg_get_str(rows, 0, 0), SOUK_STR("{\"a\": 1}")));
    cr_assert(souk_str_equal(souk_pg_get_str(rows, 0, 1), SOUK_STR("{\"a\":1}")));
    cr_assert(souk_str_equal(souk_pg_get_str(rows, 0, 2), SOUK_STR("{\"a\": 1}")));
}

Test(pg, rows_affected_are_counted) {
    static const souk_pg_stmt_t insert = {
        "insert_many", "INSERT INTO notes SELECT n, 'note' FROM generate_series(1, $1::bigint) n"};
    static const souk_pg_stmt_t update = {"update_some",
                                          "UPDATE notes SET text = 'x' WHERE id > $1"};
    s_args();
    souk_pg_int(&args, 10);
    cr_assert_eq(souk_pg_affected(s_rows(&insert)), 10);
    s_args();
    souk_pg_int(&args, 7);
    const souk_pg_rows_t *rows = s_rows(&update);
    cr_assert_eq(souk_pg_affected(rows), 3);
    cr_assert_eq(souk_pg_count(rows), 0);
}

/* ---- Pipelines ------------------------------------------------------------------------------- */

static const souk_pg_stmt_t s_insert = {"insert_one",
                                        "INSERT INTO notes (id, text) VALUES ($1, $2::text)"};

static souk_err_t s_queue_note(int64_t id) {
    s_args();
    souk_pg_int(&args, id);
    souk_pg_str(&args, SOUK_STR("note"));
    return souk_pg_exec_queue(lab.pg, LAB_TIMEOUT_MS, &s_insert, &args);
}

Test(pg, results_of_a_pipeline_come_in_order) {
    static const souk_pg_stmt_t stmt = {"number", "SELECT $1::bigint"};
    for (int64_t i = 0; i < SOUK_PG_QUEUE_MAX; i++) {
        s_args();
        souk_pg_int(&args, i);
        cr_assert_eq(souk_pg_exec_queue(lab.pg, LAB_TIMEOUT_MS, &stmt, &args), SOUK_OK);
    }
    for (int64_t i = 0; i < SOUK_PG_QUEUE_MAX; i++) {
        const souk_pg_rows_t *rows;
        cr_assert_eq(souk_pg_exec_next(lab.pg, lab.arena, &rows), SOUK_OK);
        cr_assert_eq(souk_pg_get_int(rows, 0, 0), i);
    }
}

Test(pg, a_pipeline_is_one_transaction) {
    cr_assert_eq(s_queue_note(1), SOUK_OK);
    cr_assert_eq(s_queue_note(1), SOUK_OK);
    cr_assert_eq(s_queue_note(2), SOUK_OK);
    cr_assert_eq(souk_pg_exec_next(lab.pg, lab.arena, NULL), SOUK_OK);
    cr_assert_eq(souk_pg_exec_next(lab.pg, lab.arena, NULL), SOUK_ERR_INTERNAL);
    cr_assert_str_eq(souk_pg_sqlstate(lab.pg), "23505");
    cr_assert_eq(souk_pg_exec_next(lab.pg, lab.arena, NULL), SOUK_ERR_CANCELLED);
    cr_assert_eq(lab_int("SELECT count(*) FROM notes"), 0);
    cr_assert_eq(s_queue_note(1), SOUK_OK);
    cr_assert_eq(souk_pg_exec_next(lab.pg, lab.arena, NULL), SOUK_OK);
    cr_assert_eq(lab_int("SELECT count(*) FROM notes"), 1);
}

Test(pg, results_that_nobody_reads_do_not_answer_the_next_statement) {
    static const souk_pg_stmt_t one = {"one", "SELECT 1"}, two = {"two", "SELECT 2"};
    cr_assert_eq(souk_pg_exec_queue(lab.pg, LAB_TIMEOUT_MS, &one, NULL), SOUK_OK);
    cr_assert_eq(souk_pg_exec_queue(lab.pg, LAB_TIMEOUT_MS, &one, NULL), SOUK_OK);
    cr_assert_eq(souk_pg_exec_next(lab.pg, lab.arena, NULL), SOUK_OK);
    s_args();
    cr_assert_eq(souk_pg_get_int(s_rows(&two), 0, 0), 2);
}

Test(pg, what_was_queued_and_not_sent_is_not_run_behind_another_call) {
    cr_assert_eq(s_queue_note(1), SOUK_OK);
    cr_assert(!souk_pg_ok(lab.pg));
    souk_pg_close(&lab.pg);
    cr_assert_eq(souk_pg_open(&lab.options, &lab.pg), SOUK_OK);
    cr_assert_eq(s_exec(&(souk_pg_stmt_t){"nothing", "SELECT 1"}), SOUK_OK);
    cr_assert_eq(lab_int("SELECT count(*) FROM notes"), 0);
}

Test(pg, a_statement_that_cannot_be_prepared_leaves_the_connection_usable) {
    static const souk_pg_stmt_t bad = {"bad", "SELECT no_such_column"};
    static const souk_pg_stmt_t good = {"good", "SELECT 1"};
    int backend = lab_backend(lab.pg);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(s_exec(&bad), SOUK_ERR_INTERNAL);
        cr_assert_str_eq(souk_pg_sqlstate(lab.pg), "42703");
        cr_assert_eq(s_exec(&good), SOUK_OK);
    }
    cr_assert_eq(lab_backend(lab.pg), backend);
}

Test(pg, hundreds_of_statements_stay_prepared) {
    enum { STATEMENTS = 300 };
    static souk_pg_stmt_t stmts[STATEMENTS];
    static char texts[STATEMENTS][2][32];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < STATEMENTS; i++) {
            (void)snprintf(texts[i][0], sizeof(texts[i][0]), "many_%d", i);
            (void)snprintf(texts[i][1], sizeof(texts[i][1]), "SELECT %d", i);
            stmts[i] = (souk_pg_stmt_t){texts[i][0], texts[i][1]};
            s_args();
            cr_assert_eq(souk_pg_get_int(s_rows(&stmts[i]), 0, 0), i);
        }
    }
    static const souk_pg_stmt_t count = {"prepared_count",
                                         "SELECT count(*) FROM pg_prepared_statements WHERE name"
                                         " LIKE 'many%'"};
    s_args();
    cr_assert_eq(souk_pg_get_int(s_rows(&count), 0, 0), STATEMENTS);
}

/* ---- Failures -------------------------------------------------------------------------------- */

Test(pg, a_statement_ends_at_its_timeout) {
    static const souk_pg_stmt_t sleep = {"sleep", "SELECT pg_sleep(30)"};
    static const souk_pg_stmt_t good = {"good", "SELECT 1"};
    int backend = lab_backend(lab.pg);
    cr_assert_eq(souk_pg_exec(lab.pg, 300, lab.arena, &sleep, NULL, NULL), SOUK_ERR_TIMEOUT);
    cr_assert_str_eq(souk_pg_sqlstate(lab.pg), "57014"); /* by the server, not by our patience */
    cr_assert_eq(s_exec(&good), SOUK_OK);
    cr_assert_eq(lab_backend(lab.pg), backend);
}

Test(pg, the_timeout_follows_each_budget) {
    static const souk_pg_stmt_t show = {
        "show", "SELECT setting::bigint FROM pg_settings WHERE name = 'statement_timeout'"};
    static const uint32_t budgets[] = {5000, 300, 5000, 60000, 200};
    for (size_t i = 0; i < SOUK_COUNT_OF(budgets); i++) {
        const souk_pg_rows_t *rows;
        cr_assert_eq(souk_pg_exec(lab.pg, budgets[i], lab.arena, &show, NULL, &rows), SOUK_OK);
        int64_t timeout_ms = souk_pg_get_int(rows, 0, 0);
        cr_assert(timeout_ms < budgets[i] && timeout_ms > budgets[i] / 2, "%u: %ld", budgets[i],
                  (long)timeout_ms);
    }
    cr_assert_eq(souk_pg_exec(lab.pg, 5, lab.arena, &show, NULL, NULL), SOUK_ERR_TIMEOUT);
}

Test(pg, a_timeout_that_was_rolled_back_is_set_again) {
    static const souk_pg_stmt_t sleep = {"sleep", "SELECT pg_sleep(30)"};
    cr_assert_eq(souk_pg_begin(lab.pg, LAB_TIMEOUT_MS), SOUK_OK);
    cr_assert_eq(
        souk_pg_exec(lab.pg, 200, lab.arena, &(souk_pg_stmt_t){"x", "SELECT 1"}, NULL, NULL),
        SOUK_OK);
    souk_pg_rollback(lab.pg);
    cr_assert_eq(souk_pg_exec(lab.pg, 200, lab.arena, &sleep, NULL, NULL), SOUK_ERR_TIMEOUT);
    cr_assert_str_eq(souk_pg_sqlstate(lab.pg), "57014");
}

Test(pg, a_timeout_that_a_failure_undid_is_set_again) {
    static const souk_pg_stmt_t sleep = {"sleep", "SELECT pg_sleep(30)"};
    static const souk_pg_stmt_t divide = {"divide", "SELECT 1 / (pg_backend_pid() * 0)"};
    cr_assert_eq(souk_pg_exec(lab.pg, 200, lab.arena, &divide, NULL, NULL), SOUK_ERR_INTERNAL);
    cr_assert_eq(souk_pg_exec(lab.pg, 200, lab.arena, &sleep, NULL, NULL), SOUK_ERR_TIMEOUT);
    cr_assert_str_eq(souk_pg_sqlstate(lab.pg), "57014");
}

Test(pg, a_named_constraint_is_the_error_that_lists_it) {
    static const souk_pg_stmt_t event = {
        "event", "INSERT INTO outbox (id, type, aggregate, sequence, payload) VALUES"
                 " (gen_random_uuid()::text, 'a', 'a', 1, '{}')"};
    static const souk_pg_stmt_t raise = {"raise", "SELECT lab_raise()"};
    cr_assert_eq(s_exec(&event), SOUK_OK);
    cr_assert_eq(s_exec(&event), SOUK_ERR_RETRY);
    lab_do("CREATE FUNCTION lab_raise() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION"
           " USING ERRCODE = '23514', CONSTRAINT = 'outbox_aggregate_sequence'; END $$");
    cr_assert_eq(s_exec(&raise), SOUK_ERR_RETRY);
}

Test(pg, a_text_that_postgresql_cannot_hold_is_the_clients_error) {
    static const souk_pg_stmt_t text = {"nul_text", "SELECT $1::text"};
    static const souk_pg_stmt_t json = {"nul_json", "SELECT $1::jsonb->>'a'"};
    s_args();
    souk_pg_str(&args, (souk_str_t){.data = "a\0b", .size = 3});
    cr_assert_eq(souk_pg_exec(lab.pg, LAB_TIMEOUT_MS, lab.arena, &text, &args, NULL),
                 SOUK_ERR_VALIDATION);
    s_args();
    souk_pg_str(&args, SOUK_STR("{\"a\": \"\\u0000\"}"));
    cr_assert_eq(souk_pg_exec(lab.pg, LAB_TIMEOUT_MS, lab.arena, &json, &args, NULL),
                 SOUK_ERR_VALIDATION);
}

Test(pg, a_full_arena_is_an_error_and_nothing_is_run) {
    souk_arena_t *small = souk_arena_new(64, 0);
    souk_pg_args_init(&args, small);
    souk_pg_int(&args, 1);
    char text[256] = {0};
    souk_pg_str(&args, (souk_str_t){.data = text, .size = sizeof(text)});
    cr_assert_eq(souk_pg_exec(lab.pg, LAB_TIMEOUT_MS, lab.arena, &s_insert, &args, NULL),
                 SOUK_ERR_NO_MEMORY);
    cr_assert_eq(lab_int("SELECT count(*) FROM notes"), 0);
    souk_arena_destroy(&small);
}

Test(pg, arrays_and_results_that_do_not_fit_their_arena_are_errors) {
    static const souk_pg_stmt_t stmt = {"some_ints", "SELECT cardinality($1::bigint[])"};
    static const int64_t ints[100];
    souk_arena_t *small = souk_arena_new(64, 0);
    souk_pg_args_init(&args, small);
    souk_pg_ints(&args, ints, SOUK_COUNT_OF(ints));
    cr_assert_eq(souk_pg_exec(lab.pg, LAB_TIMEOUT_MS, lab.arena, &stmt, &args, NULL),
                 SOUK_ERR_NO_MEMORY);
    s_args();
    souk_pg_ints(&args, ints, SOUK_COUNT_OF(ints));
    const souk_pg_rows_t *rows = NULL;
    while (souk_arena_alloc(small, 8) != NULL) {
    }
    cr_assert_eq(souk_pg_exec(lab.pg, LAB_TIMEOUT_MS, small, &stmt, &args, &rows),
                 SOUK_ERR_NO_MEMORY);
    cr_assert_null(rows);
    souk_arena_destroy(&small);
    cr_assert_eq(souk_pg_get_int(s_rows(&stmt), 0, 0), SOUK_COUNT_OF(ints));
}

Test(pg, a_full_server_is_unavailable_and_stays_connected) {
    static const souk_pg_stmt_t full = {"full", "SELECT lab_full()"};
    lab_do("CREATE FUNCTION lab_full() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING"
           " 'nearly full'; RAISE EXCEPTION USING ERRCODE = '53100'; END $$");
    int backend = lab_backend(lab.pg);
    cr_assert_eq(s_exec(&full), SOUK_ERR_UNAVAILABLE);
    cr_assert_eq(lab_backend(lab.pg), backend);
}

Test(pg, statements_of_one_name_are_a_bug_that_is_said) {
    static const souk_pg_stmt_t one = {"twice", "SELECT 1"}, two = {"twice", "SELECT 2"};
    cr_assert_eq(s_exec(&one), SOUK_OK);
    cr_assert_eq(s_exec(&two), SOUK_ERR_INTERNAL);
    cr_assert_str_eq(souk_pg_sqlstate(lab.pg), "42P05");
    cr_assert_eq(s_exec(&one), SOUK_OK);
}

/* The pipeline cannot carry it. */
Test(pg, copy_costs_the_connection_and_nothing_else) {
    static const souk_pg_stmt_t copy = {"copy", "COPY notes TO STDOUT"};
    lab_do("INSERT INTO notes VALUES (1, 'a')");
    souk_err_t err = s_exec(&copy);
    cr_assert(err != SOUK_OK);
    cr_assert_eq(s_exec(&(souk_pg_stmt_t){"after_copy", "SELECT 1"}), SOUK_OK);
}

/* ---- Transactions ---------------------------------------------------------------------------- */

static souk_err_t s_note(int64_t id) {
    SOUK_TRY(s_queue_note(id));
    return souk_pg_exec_next(lab.pg, lab.arena, NULL);
}

Test(pg, a_transaction_is_seen_when_it_commits) {
    cr_assert_eq(souk_pg_begin(lab.pg, LAB_TIMEOUT_MS), SOUK_OK);
    cr_assert_eq(s_note(1), SOUK_OK);
    cr_assert_eq(s_note(2), SOUK_OK);
    cr_assert_eq(lab_int("SELECT count(*) FROM notes"), 0);
    cr_assert_eq(souk_pg_commit(lab.pg), SOUK_OK);
    cr_assert_eq(lab_int("SELECT count(*) FROM notes"), 2);
    cr_assert_eq(souk_pg_begin(lab.pg, LAB_TIMEOUT_MS), SOUK_OK);
    cr_assert_eq(s_note(3), SOUK_OK);
    souk_pg_rollback(lab.pg);
    cr_assert_eq(souk_pg_begin(lab.pg, LAB_TIMEOUT_MS), SOUK_OK); /* an empty one */
    cr_assert_eq(souk_pg_commit(lab.pg), SOUK_OK);
    cr_assert_eq(lab_int("SELECT count(*) FROM notes"), 2);
}

Test(pg, a_failed_transaction_takes_nothing_more_and_does_not_commit) {
    cr_assert_eq(souk_pg_begin(lab.pg, LAB_TIMEOUT_MS), SOUK_OK);
    cr_assert_eq(s_note(1), SOUK_OK);
    cr_assert_eq(s_note(1), SOUK_ERR_INTERNAL);
    cr_assert_eq(s_note(2), SOUK_ERR_CANCELLED);
    cr_assert_eq(souk_pg_commit(lab.pg), SOUK_ERR_CANCELLED);
    cr_assert_eq(lab_int("SELECT count(*) FROM notes"), 0);
    cr_assert_eq(s_note(4), SOUK_OK);
}

Test(pg, a_transaction_whose_first_statement_fails_takes_nothing_more) {
    static const souk_pg_stmt_t bad = {"bad", "SELECT no_such_column"};
    cr_assert_eq(souk_pg_begin(lab.pg, LAB_TIMEOUT_MS), SOUK_OK);
    cr_assert_eq(s_exec(&bad), SOUK_ERR_INTERNAL);
    cr_assert_eq(s_note(1), SOUK_ERR_CANCELLED);
    souk_pg_rollback(lab.pg);
    cr_assert_eq(lab_int("SELECT count(*) FROM notes"), 0);
    cr_assert_eq(s_note(1), SOUK_OK);
}

Test(pg, a_deferred_constraint_fails_at_commit) {
    lab_do("DROP TABLE outbox; CREATE TABLE later (n int CONSTRAINT outbox_aggregate_sequence "
           "UNIQUE DEFERRABLE"
           " INITIALLY DEFERRED)");
    static const souk_pg_stmt_t insert = {"later", "INSERT INTO later VALUES (1), (1)"};
    cr_assert_eq(s_exec(&insert), SOUK_ERR_RETRY);
    cr_assert_eq(souk_pg_begin(lab.pg, LAB_TIMEOUT_MS), SOUK_OK);
    cr_assert_eq(s_exec(&insert), SOUK_OK);
    cr_assert_eq(souk_pg_commit(lab.pg), SOUK_ERR_RETRY);
    cr_assert_eq(lab_int("SELECT count(*) FROM later"), 0);
    cr_assert_eq(s_note(1), SOUK_OK);
}

/* ---- Settings -------------------------------------------------------------------------------- */

/* A worker that is stopped in the middle of a write holds its locks no longer than its role says
 * (deploy/local/stack/migrations.py). */
Test(pg, what_the_role_bounds_is_not_overridden) {
    const char *url = getenv("SOUK_TEST_ORDERS_URL");
    cr_assert(url != NULL, "SOUK_TEST_ORDERS_URL: run it by python -m support.with_servers");
    static const souk_pg_stmt_t stmt = {
        "bound", "SELECT current_setting('idle_in_transaction_session_timeout')"};
    souk_pg_options_t options = lab.options;
    options.url = url;
    souk_pg_t *pg;
    cr_assert_eq(souk_pg_open(&options, &pg), SOUK_OK);
    const souk_pg_rows_t *rows = NULL;
    cr_assert_eq(souk_pg_exec(pg, LAB_TIMEOUT_MS, lab.arena, &stmt, NULL, &rows), SOUK_OK);
    souk_str_t bound = souk_pg_get_str(rows, 0, 0);
    cr_assert(souk_str_equal(bound, SOUK_STR("10s")), "%.*s", (int)bound.size, bound.data);
    souk_pg_close(&pg);
}
