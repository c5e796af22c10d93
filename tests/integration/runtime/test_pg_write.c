/* Writes and their keys. */
#include <criterion/criterion.h>

#include "gen/diag.h"
#include "lab.h"

TestSuite(pg_write, .init = lab_init, .fini = lab_done);

static int64_t runs;

static const souk_pg_stmt_t s_insert = {.name = "lab_insert",
                                        .sql = "INSERT INTO notes (id, text) VALUES ($1, $2)"};

static souk_err_t s_note(souk_ctx_t *ctx, int64_t id) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_int(&args, id);
    souk_pg_str(&args, SOUK_STR("a note"));
    return souk_pg_run(ctx, &s_insert, &args, NULL);
}

static souk_err_t s_body(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    (void)req;
    SOUK_TRY(s_note(ctx, ++runs));
    diag_echo_rep_set_number(ret_rep, runs);
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
    souk_ctx_t *first =
        lab_call(lab.pg, &(lab_call_t){.handler = s_write, .key = "k", .hash = "h"});
    souk_ctx_t *other =
        lab_call(lab.pg, &(lab_call_t){.handler = s_write, .key = "k", .hash = "i"});
    souk_str_t body;
    cr_assert_eq(souk_ctx_outcome(other, &body), SOUK_ERR_KEY_REUSED);
    cr_assert_eq(runs, 1);
    souk_ctx_destroy(&first);
    souk_ctx_destroy(&other);
}

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
    souk_ctx_t *call = lab_call(lab.pg, &(lab_call_t){.handler = s_write_events});
    souk_str_t body;
    cr_assert_eq(souk_ctx_outcome(call, &body), SOUK_OK);
    cr_assert_eq(lab_int("SELECT count(*) FROM outbox WHERE aggregate = 'note_1' AND id ~ '^evt_'"),
                 2);
    cr_assert_eq(lab_int("SELECT sequence FROM outbox WHERE type = 'note.changed'"), 2);
    cr_assert_eq(lab_int("SELECT count(*) FROM audit WHERE actor = 'usr_1' AND before IS NULL"
                         " AND after->>'n' = '1'"),
                 1);
    souk_ctx_destroy(&call);
}
