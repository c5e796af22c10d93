/* A connection does what a model of it says, whatever is asked of it in which order: random
 * sequences of statements, pipelines, failures, transactions and losses. A failure names its seed.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "lab.h"
#include "souk/log.h"

TestSuite(pg_random, .init = lab_init, .fini = lab_done);

#define SEQUENCES 150
#define STEPS 25
#define PIPELINE_MAX 5

static const souk_pg_stmt_t s_insert = {.name = "lab_insert",
                                        .sql = "INSERT INTO notes (id) VALUES ($1) RETURNING id"};
static const souk_pg_stmt_t s_bad = {.name = "lab_bad", .sql = "SELECT no_such_column"};
static const souk_pg_stmt_t s_worse = {.name = "lab_worse", .sql = "SELECT 1 / $1::bigint"};

/* The model. */
static struct {
    unsigned seed;
    int64_t next_id, committed, pending; /* ids count up: sums tell them apart */
    bool in_transaction, failed;
} model;

static unsigned s_below(unsigned n) {
    return (unsigned)rand_r(&model.seed) % n;
}

static souk_pg_args_t args;

static const souk_pg_args_t *s_args(int64_t value) {
    souk_pg_args_init(&args, lab.arena);
    souk_pg_int(&args, value);
    return &args;
}

static void s_note_done(int64_t sum) {
    *(model.in_transaction ? &model.pending : &model.committed) += sum;
}

static void s_note_failed(void) {
    model.failed = model.in_transaction;
}

/* ---- What can be asked ----------------------------------------------------------------------- */

static void s_exec(void) {
    int64_t id = ++model.next_id;
    const souk_pg_rows_t *rows;
    souk_err_t err = souk_pg_exec(lab.pg, LAB_TIMEOUT_MS, lab.arena, &s_insert, s_args(id), &rows);
    cr_assert_eq(err, model.failed ? SOUK_ERR_CANCELLED : SOUK_OK);
    if (err == SOUK_OK) {
        cr_assert_eq(souk_pg_get_int(rows, 0, 0), id);
        s_note_done(id);
    }
}

static souk_err_t s_queue(bool good, int64_t id) {
    if (good) {
        return souk_pg_exec_queue(lab.pg, LAB_TIMEOUT_MS, &s_insert, s_args(id));
    }
    return s_below(2) == 0 ? souk_pg_exec_queue(lab.pg, LAB_TIMEOUT_MS, &s_bad, NULL)
                           : souk_pg_exec_queue(lab.pg, LAB_TIMEOUT_MS, &s_worse, s_args(0));
}

static void s_exec_bad(void) {
    souk_err_t err = s_queue(false, 0);
    if (err == SOUK_OK) {
        err = souk_pg_exec_next(lab.pg, lab.arena, NULL);
    }
    cr_assert_eq(err, model.failed ? SOUK_ERR_CANCELLED : SOUK_ERR_INTERNAL);
    s_note_failed();
}

/* Some good statements, perhaps with a bad one among them; reads some of the results, or none and
 * then runs one more. */
static void s_pipeline(void) {
    unsigned count = 1 + s_below(PIPELINE_MAX), bad = s_below(2 * PIPELINE_MAX);
    unsigned reads = s_below(count + 1);
    int64_t first = model.next_id + 1, sum = 0;
    for (unsigned i = 0; i < count; i++) {
        int64_t id = ++model.next_id;
        sum += i == bad ? 0 : id;
        cr_assert_eq(s_queue(i != bad, id), model.failed ? SOUK_ERR_CANCELLED : SOUK_OK);
    }
    if (model.failed) {
        return;
    }
    for (unsigned i = 0; i < reads; i++) {
        const souk_pg_rows_t *rows;
        souk_err_t err = souk_pg_exec_next(lab.pg, lab.arena, &rows);
        cr_assert_eq(err, i < bad ? SOUK_OK : i == bad ? SOUK_ERR_INTERNAL : SOUK_ERR_CANCELLED);
        cr_assert(err != SOUK_OK || souk_pg_get_int(rows, 0, 0) == first + i);
    }
    bool is_bad = bad < count;
    if (reads == 0) {
        int64_t id = ++model.next_id;
        sum += id;
        const souk_pg_rows_t *rows;
        souk_err_t err =
            souk_pg_exec(lab.pg, LAB_TIMEOUT_MS, lab.arena, &s_insert, s_args(id), &rows);
        cr_assert_eq(err, is_bad ? SOUK_ERR_INTERNAL : SOUK_OK);
        cr_assert(err != SOUK_OK || souk_pg_get_int(rows, 0, 0) == id);
    }
    if (is_bad) {
        s_note_failed(); /* read or not: whatever comes next finds it */
    } else {
        s_note_done(sum);
    }
}

static void s_begin(void) {
    if (!model.in_transaction) {
        cr_assert_eq(souk_pg_begin(lab.pg, LAB_TIMEOUT_MS), SOUK_OK);
        model.in_transaction = true;
    }
}

static void s_end(bool commit) {
    if (!model.in_transaction) {
        return;
    }
    if (commit) {
        souk_err_t err = souk_pg_commit(lab.pg);
        cr_assert(model.failed ? err != SOUK_OK && err != SOUK_ERR_UNKNOWN_OUTCOME : err == SOUK_OK,
                  "%d", err);
        model.committed += model.failed ? 0 : model.pending;
    } else {
        souk_pg_rollback(lab.pg);
    }
    model.pending = 0;
    model.in_transaction = model.failed = false;
}

/* Only outside of transactions and pipelines, where it must not be noticed. */
static void s_lose(void) {
    if (model.in_transaction) {
        return;
    }
    char sql[128];
    (void)snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d, 5000)", lab_backend(lab.pg));
    lab_do(sql);
}

static void s_look(void) {
    if (!model.in_transaction && !souk_pg_ok(lab.pg)) {
        souk_pg_close(&lab.pg);
        lab.pg = lab_open();
    }
}

static void s_step(void) {
    switch (s_below(12)) {
    case 0:
    case 1:
    case 2:
        s_exec();
        break;
    case 3:
        s_exec_bad();
        break;
    case 4:
    case 5:
    case 6:
        s_pipeline();
        break;
    case 7:
        s_begin();
        break;
    case 8:
    case 9:
        s_end(true);
        break;
    case 10:
        s_end(false);
        break;
    default:
        if (s_below(8) == 0) {
            s_lose();
        }
        s_look();
        break;
    }
}

Test(pg_random, does_what_the_model_says, .timeout = 120) {
    souk_log_init("test", (souk_log_level_t)(SOUK_LOG_ERROR + 1), 2); /* failures are meant */
    for (unsigned seed = 1; seed <= SEQUENCES; seed++) {
        model.seed = seed;
        for (int i = 0; i < STEPS; i++) {
            s_step();
        }
        s_end(seed % 2 == 0);
        souk_arena_reset(lab.arena);
        cr_assert_eq(lab_int("SELECT coalesce(sum(id), 0) FROM notes"), model.committed, "seed %u",
                     seed);
    }
}
