/* Writes and their keys. */
#include <criterion/criterion.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "gen/diag.h"
#include "gen/metrics.h"
#include "lab.h"
#include "souk/metrics.h"

TestSuite(pg_write, .init = lab_init, .fini = lab_done);

static atomic_int runs;

static const souk_pg_stmt_t s_insert = {.name = "lab_insert",
                                        .sql = "INSERT INTO notes (id, text) VALUES ($1, $2)"};

static void s_note_args(souk_ctx_t *ctx, souk_pg_args_t *args, int64_t id) {
    souk_pg_args_init(args, souk_ctx_arena(ctx));
    souk_pg_int(args, id);
    souk_pg_str(args, SOUK_STR("a note"));
}

static souk_err_t s_note(souk_ctx_t *ctx, int64_t id) {
    souk_pg_args_t args;
    s_note_args(ctx, &args, id);
    return souk_pg_run(ctx, &s_insert, &args, NULL);
}

static int64_t s_notes(void) {
    return lab_int("SELECT count(*) FROM notes");
}

static int64_t s_keys(const char *outcome) {
    return souk_metric_value(souk_metric(SOUK_METRIC_PG_KEYS_TOTAL, "lab", outcome, NULL));
}

static souk_err_t s_body(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    (void)req;
    int run = atomic_fetch_add(&runs, 1) + 1;
    SOUK_TRY(s_note(ctx, run));
    diag_echo_rep_set_number(ret_rep, run);
    return SOUK_OK;
}

static souk_err_t s_write(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    return souk_pg_write(ctx, s_body, req, ret_rep);
}

Test(pg_write, the_same_request_again_is_answered_from_the_stored_reply) {
    souk_ctx_t *first =
        lab_call(lab.pg, &(lab_call_t){.handler = s_write, .key = "k", .hash = "h"});
    souk_ctx_t *again =
        lab_call(lab.pg, &(lab_call_t){.handler = s_write, .key = "k", .hash = "h"});
    souk_str_t reply, stored;
    cr_assert_eq(souk_ctx_outcome(first, &reply), SOUK_OK);
    cr_assert_eq(souk_ctx_outcome(again, &stored), SOUK_OK);
    cr_assert(souk_str_equal(reply, stored));
    cr_assert(reply.size > 0);
    cr_assert(!souk_ctx_replayed(first));
    cr_assert(souk_ctx_replayed(again));
    cr_assert_eq(runs, 1);
    cr_assert_eq(lab_int("SELECT count(*) FROM notes"), 1);
    souk_ctx_destroy(&first);
    souk_ctx_destroy(&again);
}

Test(pg_write, another_request_under_the_same_key_is_refused) {
    cr_assert_eq(
        lab_end(lab_call(lab.pg, &(lab_call_t){.handler = s_write, .key = "k", .hash = "h"})),
        SOUK_OK);
    cr_assert_eq(
        lab_end(lab_call(lab.pg, &(lab_call_t){.handler = s_write, .key = "k", .hash = "i"})),
        SOUK_ERR_KEY_REUSED);
    cr_assert_eq(runs, 1);
    cr_assert_eq(s_keys("reused"), 1);
}

Test(pg_write, keys_of_different_callers_do_not_meet) {
    const lab_call_t first = {.handler = s_write, .key = "k", .hash = "h"};
    lab_call_t other = first;
    other.subject = "usr_2";
    other.hash = "i";
    cr_assert_eq(lab_end(lab_call(lab.pg, &first)), SOUK_OK);
    cr_assert_eq(lab_end(lab_call(lab.pg, &other)), SOUK_OK);
    cr_assert_eq(s_notes(), 2);
}

Test(pg_write, a_key_needs_somebody_whose_it_is) {
    const lab_call_t call = {.handler = s_write, .key = "k", .hash = "h", .subject = ""};
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_ERR_UNAUTHENTICATED);
    cr_assert_eq(runs, 0);
}

/* As of somebody who claims keys without storing replies. */
Test(pg_write, a_key_without_a_stored_reply_is_not_answered) {
    lab_do("INSERT INTO idempotency VALUES ('usr_1', 'echo', 'k', 'h')");
    const lab_call_t call = {.handler = s_write, .key = "k", .hash = "h"};
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_ERR_KEY_IN_PROGRESS);
    cr_assert_eq(runs, 0);
}

Test(pg_write, a_key_needs_the_hash_of_its_request) {
    const lab_call_t call = {.handler = s_write, .key = "k"};
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_ERR_MALFORMED);
    cr_assert_eq(runs, 0);
}

Test(pg_write, without_a_key_each_call_runs) {
    const lab_call_t call = {.handler = s_write};
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_OK);
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_OK);
    cr_assert_eq(s_notes(), 2);
    cr_assert_eq(lab_int("SELECT count(*) FROM idempotency"), 0);
}

/* ---- Refusals and failures ------------------------------------------------------------------- */

static souk_err_t s_refuse_first(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    SOUK_TRY(s_body(ctx, req, ret_rep));
    return runs == 1 ? SOUK_ERR_CONFLICT : SOUK_OK;
}

static souk_err_t s_write_refused(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    return souk_pg_write(ctx, s_refuse_first, req, ret_rep);
}

Test(pg_write, a_refusal_leaves_nothing_and_is_not_stored) {
    const lab_call_t call = {.handler = s_write_refused, .key = "k", .hash = "h"};
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_ERR_CONFLICT);
    cr_assert_eq(s_notes(), 0);
    cr_assert_eq(lab_int("SELECT count(*) FROM idempotency"), 0);
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_OK);
    cr_assert_eq(s_notes(), 1);
}

Test(pg_write, a_reply_beyond_its_limit_rolls_back) {
    const lab_call_t call = {.handler = s_write, .key = "k", .hash = "h", .reply_bytes_max = 4};
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_ERR_BAD_REPLY);
    cr_assert_eq(runs, 1);
    cr_assert_eq(s_notes(), 0);
}

Test(pg_write, one_whose_time_is_over_is_rolled_back_and_says_so) {
    souk_pg_t *pg = lab_open();
    lab_do("BEGIN; LOCK TABLE notes IN SHARE MODE");
    const lab_call_t call = {.handler = s_write, .key = "k", .hash = "h", .timeout_ms = 400};
    cr_assert_eq(lab_end(lab_call(pg, &call)), SOUK_ERR_DEADLINE_EXCEEDED);
    cr_assert(souk_pg_ok(pg));
    lab_do("COMMIT");
    cr_assert_eq(s_notes(), 0);
    cr_assert_eq(lab_int("SELECT count(*) FROM idempotency"), 0);
    souk_pg_close(&pg);
}

static souk_err_t s_ignore(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    (void)req;
    (void)ret_rep;
    SOUK_TRY(s_note(ctx, 1));
    souk_err_t ignored = s_note(ctx, 1);
    (void)ignored;
    return SOUK_OK;
}

static souk_err_t s_write_ignoring(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    return souk_pg_write(ctx, s_ignore, req, ret_rep);
}

Test(pg_write, a_body_that_overlooks_an_error_does_not_commit) {
    const lab_call_t call = {.handler = s_write_ignoring};
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_ERR_INTERNAL);
    cr_assert_eq(s_notes(), 0);
}

static souk_err_t s_go_on(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    (void)s_ignore(ctx, req, ret_rep);
    return s_note(ctx, 2);
}

static souk_err_t s_write_going_on(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    return souk_pg_write(ctx, s_go_on, req, ret_rep);
}

Test(pg_write, a_body_that_goes_on_after_an_error_fails_as_a_bug) {
    const lab_call_t call = {.handler = s_write_going_on};
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_ERR_INTERNAL);
    cr_assert_eq(s_notes(), 0);
}

static souk_err_t s_leave_unread(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    (void)req;
    (void)ret_rep;
    souk_pg_args_t args;
    s_note_args(ctx, &args, atomic_fetch_add(&runs, 1) + 1);
    SOUK_TRY(souk_pg_queue(ctx, &s_insert, &args));
    s_note_args(ctx, &args, 2);
    return souk_pg_queue(ctx, &s_insert, &args);
}

static souk_err_t s_write_unread(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    return souk_pg_write(ctx, s_leave_unread, req, ret_rep);
}

Test(pg_write, what_the_body_left_unread_commits_or_fails_with_the_write) {
    const lab_call_t call = {.handler = s_write_unread, .key = "k", .hash = "h"};
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_OK);
    cr_assert_eq(s_notes(), 2);
    const lab_call_t again = {.handler = s_write_unread, .key = "l", .hash = "h"};
    cr_assert_eq(lab_end(lab_call(lab.pg, &again)), SOUK_ERR_INTERNAL);
    cr_assert_eq(s_notes(), 2);
    cr_assert_eq(lab_int("SELECT count(*) FROM idempotency"), 1);
}

enum { POSTS = 500 };

static souk_err_t s_post_many(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    (void)req;
    (void)ret_rep;
    for (int64_t i = 0; i < POSTS; i++) {
        souk_pg_args_t args;
        s_note_args(ctx, &args, i);
        SOUK_TRY(souk_pg_post(ctx, &s_insert, &args));
    }
    souk_pg_args_t args;
    s_note_args(ctx, &args, 0);
    return runs == 0 ? SOUK_OK : souk_pg_post(ctx, &s_insert, &args);
}

static souk_err_t s_write_posts(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    return souk_pg_write(ctx, s_post_many, req, ret_rep);
}

Test(pg_write, posts_have_no_bound_and_their_failure_is_the_writes) {
    const lab_call_t call = {.handler = s_write_posts};
    runs = 1;
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_ERR_INTERNAL);
    cr_assert_eq(s_notes(), 0);
    runs = 0;
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_OK);
    cr_assert_eq(s_notes(), POSTS);
}

/* ---- Running again --------------------------------------------------------------------------- */

static const souk_pg_stmt_t s_flaky = {.name = "lab_flaky", .sql = "SELECT lab_flaky()"};

/* Fails as a serializable transaction may, as long as the sequence has not come to failures. */
static void s_make_flaky(int failures) {
    char sql[512];
    (void)snprintf(sql, sizeof(sql),
                   "CREATE SEQUENCE tries; CREATE FUNCTION lab_flaky() RETURNS void LANGUAGE"
                   " plpgsql AS $$ BEGIN IF nextval('tries') <= %d THEN RAISE EXCEPTION USING"
                   " ERRCODE = '40001'; END IF; END $$",
                   failures);
    lab_do(sql);
}

static souk_err_t s_try_flaky(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    (void)req;
    const diag_echo_rep_t *rep = ret_rep;
    cr_assert_eq(rep->bits.has, 0, "the reply is as new in each try");
    int run = atomic_fetch_add(&runs, 1) + 1;
    diag_echo_rep_set_number(ret_rep, run);
    (void)souk_ctx_fail_field(ctx, "/text", "said in try %d", run);
    SOUK_TRY(s_note(ctx, run));
    return souk_pg_run(ctx, &s_flaky, NULL, NULL);
}

static souk_err_t s_write_flaky(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    return souk_pg_write(ctx, s_try_flaky, req, ret_rep);
}

Test(pg_write, a_serialization_failure_runs_the_body_again) {
    s_make_flaky(2);
    const lab_call_t call = {.handler = s_write_flaky, .key = "k", .hash = "h"};
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_OK);
    cr_assert_eq(runs, 3);
    cr_assert_eq(lab_int("SELECT id FROM notes"), 3);
    cr_assert_eq(souk_metric_value(souk_metric(SOUK_METRIC_PG_RETRIES_TOTAL, "lab", NULL)), 2);
}

Test(pg_write, running_again_has_an_end) {
    s_make_flaky(1000000);
    const lab_call_t call = {.handler = s_write_flaky};
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_ERR_OVERLOADED);
    cr_assert(runs > 1 && runs < 100);
    cr_assert_eq(s_notes(), 0);
}

static sem_t met[2];
static _Thread_local int side;

static const souk_pg_stmt_t s_lock = {.name = "lab_lock",
                                      .sql = "UPDATE notes SET text = 'x' WHERE id = $1"};

static souk_err_t s_update(souk_ctx_t *ctx, int64_t id) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_int(&args, id);
    return souk_pg_run(ctx, &s_lock, &args, NULL);
}

/* Each side locks its own row, waits for the other to have done so, then wants the other's. */
static souk_err_t s_cross(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    (void)req;
    (void)ret_rep;
    if (side == 0) {
        side = souk_str_equal(souk_ctx_subject(ctx), SOUK_STR("usr_1")) ? 1 : 2;
    } else {
        side += 2; /* in the second try nobody waits */
    }
    int own = side % 2 == 1 ? 1 : 2;
    SOUK_TRY(s_update(ctx, own));
    if (side <= 2) {
        sem_post(&met[2 - own]);
        sem_wait(&met[own - 1]);
    }
    return s_update(ctx, 3 - own);
}

static souk_err_t s_write_cross(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    return souk_pg_write(ctx, s_cross, req, ret_rep);
}

Test(pg_write, a_deadlock_is_run_again) {
    lab_do("INSERT INTO notes VALUES (1, ''), (2, '')");
    sem_init(&met[0], 0, 0);
    sem_init(&met[1], 0, 0);
    souk_pg_t *second = lab_open();
    lab_thread_t one, two;
    lab_spawn(&one, lab.pg, &(lab_call_t){.handler = s_write_cross, .subject = "usr_1"});
    lab_spawn(&two, second, &(lab_call_t){.handler = s_write_cross, .subject = "usr_2"});
    cr_assert_eq(lab_end(lab_join(&one)), SOUK_OK);
    cr_assert_eq(lab_end(lab_join(&two)), SOUK_OK);
    cr_assert(souk_metric_value(souk_metric(SOUK_METRIC_PG_RETRIES_TOTAL, "lab", NULL)) >= 1);
    souk_pg_close(&second);
}

/* ---- Twins ----------------------------------------------------------------------------------- */

static sem_t inside, leave;
static atomic_bool refuse;

/* The first to come in stays until it is let go. */
static souk_err_t s_stay(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    SOUK_TRY(s_body(ctx, req, ret_rep));
    if (runs == 1) {
        sem_post(&inside);
        sem_wait(&leave);
        return atomic_load(&refuse) ? SOUK_ERR_CONFLICT : SOUK_OK;
    }
    return SOUK_OK;
}

static souk_err_t s_write_stay(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    return souk_pg_write(ctx, s_stay, req, ret_rep);
}

static const lab_call_t s_twin = {.handler = s_write_stay, .key = "k", .hash = "h"};

/* One twin is inside, the other waits for its key. */
static souk_pg_t *s_make_twins(lab_thread_t *first, lab_thread_t *second) {
    sem_init(&inside, 0, 0);
    sem_init(&leave, 0, 0);
    souk_pg_t *pg = lab_open();
    int backend = lab_backend(pg);
    lab_spawn(first, lab.pg, &s_twin);
    sem_wait(&inside);
    lab_spawn(second, pg, &s_twin);
    lab_until_blocked(backend);
    return pg;
}

Test(pg_write, a_twin_waits_for_the_first_and_gets_its_reply) {
    lab_thread_t first, second;
    souk_pg_t *pg = s_make_twins(&first, &second);
    sem_post(&leave);
    souk_ctx_t *one = lab_join(&first);
    souk_ctx_t *two = lab_join(&second);
    souk_str_t reply, twin;
    cr_assert_eq(souk_ctx_outcome(one, &reply), SOUK_OK);
    cr_assert_eq(souk_ctx_outcome(two, &twin), SOUK_OK);
    cr_assert(souk_str_equal(reply, twin));
    cr_assert(souk_ctx_replayed(two));
    cr_assert_eq(runs, 1);
    cr_assert_eq(s_notes(), 1);
    cr_assert_eq(s_keys("claimed"), 1);
    cr_assert_eq(s_keys("replayed"), 1);
    (void)lab_end(one);
    (void)lab_end(two);
    souk_pg_close(&pg);
}

Test(pg_write, a_twin_of_a_call_that_was_refused_runs_itself) {
    lab_thread_t first, second;
    souk_pg_t *pg = s_make_twins(&first, &second);
    atomic_store(&refuse, true);
    sem_post(&leave);
    cr_assert_eq(lab_end(lab_join(&first)), SOUK_ERR_CONFLICT);
    souk_ctx_t *two = lab_join(&second);
    cr_assert(!souk_ctx_replayed(two));
    cr_assert_eq(lab_end(two), SOUK_OK);
    cr_assert_eq(runs, 2);
    cr_assert_eq(s_notes(), 1);
    souk_pg_close(&pg);
}

Test(pg_write, a_twin_whose_time_is_over_says_that_the_first_still_runs) {
    sem_init(&inside, 0, 0);
    sem_init(&leave, 0, 0);
    souk_pg_t *pg = lab_open();
    int backend = lab_backend(pg);
    lab_thread_t first;
    lab_spawn(&first, lab.pg, &s_twin);
    sem_wait(&inside);
    lab_call_t hasty = s_twin;
    hasty.timeout_ms = 300;
    cr_assert_eq(lab_end(lab_call(pg, &hasty)), SOUK_ERR_KEY_IN_PROGRESS);
    cr_assert_eq(s_keys("in_progress"), 1);
    cr_assert_eq(lab_backend(pg), backend, "waiting cost no connection");
    sem_post(&leave);
    cr_assert_eq(lab_end(lab_join(&first)), SOUK_OK);
    souk_ctx_t *third = lab_call(pg, &s_twin);
    cr_assert(souk_ctx_replayed(third));
    cr_assert_eq(lab_end(third), SOUK_OK);
    cr_assert_eq(s_notes(), 1);
    souk_pg_close(&pg);
}

Test(pg_write, a_twin_that_may_wait_for_locks_so_long_only_says_the_same) {
    static const souk_pg_stmt_t impatient = {
        .name = "lab_impatient", .sql = "SELECT set_config('lock_timeout', '30ms', false)"};
    sem_init(&inside, 0, 0);
    sem_init(&leave, 0, 0);
    souk_pg_t *pg = lab_open();
    cr_assert_eq(souk_pg_exec(pg, LAB_TIMEOUT_MS, lab.arena, &impatient, NULL, NULL), SOUK_OK);
    lab_thread_t first;
    lab_spawn(&first, lab.pg, &s_twin);
    sem_wait(&inside);
    cr_assert_eq(lab_end(lab_call(pg, &s_twin)), SOUK_ERR_KEY_IN_PROGRESS);
    sem_post(&leave);
    cr_assert_eq(lab_end(lab_join(&first)), SOUK_OK);
    souk_pg_close(&pg);
}

/* ---- Rows beside the effect ------------------------------------------------------------------ */

static souk_err_t s_tell(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    (void)req;
    (void)ret_rep;
    souk_str_t aggregate = SOUK_STR("note_1");
    SOUK_TRY(souk_pg_outbox(ctx, &(souk_event_t){.type = "note.made",
                                                 .aggregate = aggregate,
                                                 .payload_json = SOUK_STR("{\"n\": 1}")}));
    SOUK_TRY(s_note(ctx, 1)); /* its own result, not the event's */
    SOUK_TRY(souk_pg_outbox(ctx, &(souk_event_t){.type = "note.changed",
                                                 .aggregate = aggregate,
                                                 .payload_json = SOUK_STR("{}")}));
    souk_str_t none = {.data = NULL};
    return souk_pg_audit(ctx, "notes.make", aggregate, none, SOUK_STR("{\"n\": 1}"));
}

static souk_err_t s_write_events(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    return souk_pg_write(ctx, s_tell, req, ret_rep);
}

Test(pg_write, events_and_audit_rows_commit_with_the_effect) {
    const lab_call_t call = {.handler = s_write_events};
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_OK);
    cr_assert_eq(lab_int("SELECT count(*) FROM outbox WHERE aggregate = 'note_1' AND id ~ '^evt_'"),
                 2);
    cr_assert_eq(lab_int("SELECT sequence FROM outbox WHERE type = 'note.changed'"), 2);
    cr_assert_eq(lab_int("SELECT count(*) FROM audit WHERE actor = 'usr_1' AND before IS NULL"
                         " AND after->>'n' = '1'"),
                 1);
}

static souk_err_t s_tell_version(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    (void)req;
    (void)ret_rep;
    return souk_pg_outbox(ctx, &(souk_event_t){.type = "note.changed",
                                               .aggregate = SOUK_STR("note_1"),
                                               .sequence = 7,
                                               .payload_json = SOUK_STR("{}")});
}

static souk_err_t s_write_version(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    return souk_pg_write(ctx, s_tell_version, req, ret_rep);
}

Test(pg_write, an_event_has_the_number_that_its_aggregate_gives_and_has_it_once) {
    const lab_call_t call = {.handler = s_write_version};
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_OK);
    cr_assert_eq(lab_int("SELECT sequence FROM outbox"), 7);
    cr_assert_eq(lab_end(lab_call(lab.pg, &call)), SOUK_ERR_OVERLOADED);
    cr_assert_eq(lab_int("SELECT count(*) FROM outbox"), 1);
}
