/* One call through decode, handler and encode. */
#include <criterion/criterion.h>
#include <string.h>

#include "gen/diag.h"
#include "runtime/invoke.h"
#include "souk/clock.h"
#include "souk/mp.h"

static souk_err_t (*handler)(souk_ctx_t *ctx, const diag_echo_req_t *req, diag_echo_rep_t *rep);

static souk_err_t s_thunk(souk_ctx_t *ctx, const void *request, void *reply) {
    return handler(ctx, request, reply);
}

static const souk_method_t s_method = {.name = "echo",
                                       .request = &diag_echo_req_type,
                                       .reply = &diag_echo_rep_type,
                                       .run = s_thunk,
                                       .memory_bytes_max = 4096,
                                       .reply_bytes_max = 256};

static souk_ctx_t *ctx;
static souk_buf_t body, principal;

static void s_setup(void) {
    ctx = souk_ctx_new(&s_method);
    souk_buf_init(&body, 1024);
    souk_buf_init(&principal, 1024);
}

static void s_teardown(void) {
    souk_ctx_destroy(&ctx);
    souk_buf_done(&body);
    souk_buf_done(&principal);
}

TestSuite(ctx, .init = s_setup, .fini = s_teardown);

static souk_req_t s_req(int64_t number) {
    souk_buf_clear(&body);
    souk_mp_write_map(&body, 2);
    souk_mp_write_str(&body, SOUK_STR("text"));
    souk_mp_write_str(&body, SOUK_STR("hello"));
    souk_mp_write_str(&body, SOUK_STR("number"));
    souk_mp_write_int(&body, number);
    return (souk_req_t){.corr = SOUK_STR("c"), .timeout_ms = 1000, .body = souk_buf_str(&body)};
}

static souk_err_t s_run(const souk_req_t *req, souk_str_t *ret_body) {
    souk_ctx_begin(ctx, req, souk_clock_mono_us() + 1000000);
    souk_ctx_run(ctx, NULL, NULL);
    return souk_ctx_outcome(ctx, ret_body);
}

static souk_err_t s_echo(souk_ctx_t *self, const diag_echo_req_t *req, diag_echo_rep_t *rep) {
    (void)self;
    diag_echo_rep_set_text(rep, req->text);
    diag_echo_rep_set_number(rep, req->number);
    return SOUK_OK;
}

static void s_fault(souk_str_t reply, souk_fault_t *ret) {
    cr_assert_eq(souk_fault_read(reply, ret), SOUK_OK);
}

Test(ctx, reply_is_the_encoded_struct_and_the_object_may_be_used_again) {
    handler = s_echo;
    for (int i = 0; i < 3; i++) {
        souk_req_t req = s_req(i);
        souk_str_t reply;
        cr_assert_eq(s_run(&req, &reply), SOUK_OK);
        cr_assert_eq(reply.size, body.size);
        cr_assert_arr_eq(reply.data, body.data, body.size);
        souk_ctx_end(ctx);
    }
}

static int runs;
static souk_err_t s_count(souk_ctx_t *self, const diag_echo_req_t *req, diag_echo_rep_t *rep) {
    runs++;
    return s_echo(self, req, rep);
}

Test(ctx, bad_request_does_not_reach_the_handler) {
    handler = s_count;
    souk_buf_clear(&body);
    souk_mp_write_map(&body, 1);
    souk_mp_write_str(&body, SOUK_STR("number"));
    souk_mp_write_str(&body, SOUK_STR("five"));
    souk_req_t req = {.corr = SOUK_STR("c"), .body = souk_buf_str(&body)};
    souk_str_t reply;
    cr_assert_eq(s_run(&req, &reply), SOUK_ERR_VALIDATION);
    souk_fault_t fault;
    s_fault(reply, &fault);
    cr_assert_eq(fault.err, SOUK_ERR_VALIDATION);
    cr_assert_eq(fault.items_count, 2);
    cr_assert_eq(runs, 0);
}

static souk_err_t s_taken(souk_ctx_t *self, const diag_echo_req_t *req, diag_echo_rep_t *rep) {
    (void)rep;
    souk_ctx_retry_after_ms(self, 1500);
    return souk_ctx_fail(self, SOUK_ERR_SLUG_TAKEN, "%.*s is in use", (int)req->text.size,
                         req->text.data);
}

Test(ctx, failure_carries_detail_and_retry) {
    handler = s_taken;
    souk_req_t req = s_req(1);
    souk_str_t reply;
    cr_assert_eq(s_run(&req, &reply), SOUK_ERR_SLUG_TAKEN);
    souk_fault_t fault;
    s_fault(reply, &fault);
    cr_assert_eq(fault.err, SOUK_ERR_SLUG_TAKEN);
    cr_assert(souk_str_equal(fault.detail, SOUK_STR("hello is in use")));
    cr_assert_eq(fault.retry_after_ms, 1500);
    souk_ctx_end(ctx);
    handler = s_echo;
    cr_assert_eq(s_run(&req, &reply), SOUK_OK, "nothing stays for the next call");
    cr_assert_eq(souk_ctx_detail(ctx).size, 0);
}

/* As whoever stores a reply does: encodes it, finds that it is stale, and encodes it anew. */
static souk_err_t s_encode_twice(souk_ctx_t *self, const diag_echo_req_t *req,
                                 diag_echo_rep_t *rep) {
    SOUK_TRY(s_echo(self, req, rep));
    souk_str_t stale, fresh;
    SOUK_TRY(souk_ctx_encode_reply(self, &stale));
    cr_assert(stale.size > 0);
    diag_echo_rep_set_number(rep, 7);
    SOUK_TRY(souk_ctx_encode_reply(self, &fresh));
    diag_echo_rep_set_number(rep, 8); /* too late */
    return SOUK_OK;
}

Test(ctx, a_reply_that_was_encoded_by_the_handler_is_the_answer) {
    handler = s_encode_twice;
    souk_req_t req = s_req(1);
    souk_str_t reply;
    cr_assert_eq(s_run(&req, &reply), SOUK_OK);
    (void)s_req(7); /* the body now is what the reply has to be */
    cr_assert(souk_str_equal(reply, souk_buf_str(&body)));
}

static const char large[1024];

static souk_err_t s_encode_large(souk_ctx_t *self, const diag_echo_req_t *req,
                                 diag_echo_rep_t *rep) {
    (void)req;
    diag_echo_rep_set_text(rep, (souk_str_t){.data = large, .size = sizeof(large)});
    souk_str_t reply = SOUK_STR("untouched");
    cr_assert_eq(souk_ctx_encode_reply(self, &reply), SOUK_ERR_BAD_REPLY);
    cr_assert(souk_str_equal(reply, SOUK_STR("untouched")));
    return SOUK_ERR_CONFLICT;
}

Test(ctx, a_handler_hears_that_its_reply_is_too_large) {
    handler = s_encode_large;
    souk_req_t req = s_req(1);
    souk_str_t reply;
    cr_assert_eq(s_run(&req, &reply), SOUK_ERR_CONFLICT);
}

static souk_err_t s_begin_again(souk_ctx_t *self, const diag_echo_req_t *req,
                                diag_echo_rep_t *rep) {
    (void)rep;
    souk_ctx_reply_encoded(self, SOUK_STR("\x80"));
    souk_ctx_mark_replayed(self);
    souk_ctx_retry_after_ms(self, 9000);
    (void)souk_ctx_fail_field(self, "/text", "was bad");
    (void)souk_ctx_fail(self, SOUK_ERR_CONFLICT, "was a conflict");
    souk_ctx_begin_again(self);
    return req->number == 0 ? SOUK_ERR_CONFLICT : s_echo(self, req, rep);
}

Test(ctx, a_body_that_runs_again_begins_as_new) {
    handler = s_begin_again;
    souk_req_t req = s_req(0);
    souk_str_t reply;
    cr_assert_eq(s_run(&req, &reply), SOUK_ERR_CONFLICT);
    souk_fault_t fault;
    s_fault(reply, &fault);
    cr_assert_eq(fault.detail.size, 0);
    cr_assert_eq(fault.items_count, 0);
    cr_assert_eq(fault.retry_after_ms, 0);
    souk_ctx_end(ctx);
    req = s_req(1);
    cr_assert_eq(s_run(&req, &reply), SOUK_OK);
    cr_assert(souk_str_equal(reply, souk_buf_str(&body)));
    cr_assert(!souk_ctx_replayed(ctx));
}

static souk_err_t s_fields(souk_ctx_t *self, const diag_echo_req_t *req, diag_echo_rep_t *rep) {
    (void)req;
    (void)rep;
    (void)souk_ctx_fail_field(self, "/text", "is %s", "dull");
    return souk_ctx_fail_field(self, "/number", "is odd");
}

Test(ctx, handler_names_bad_fields) {
    handler = s_fields;
    souk_req_t req = s_req(1);
    souk_str_t reply;
    cr_assert_eq(s_run(&req, &reply), SOUK_ERR_VALIDATION);
    souk_fault_t fault;
    s_fault(reply, &fault);
    cr_assert_eq(fault.items_count, 2);
    cr_assert(souk_str_equal(fault.items[0].pointer, SOUK_STR("/text")));
    cr_assert(souk_str_equal(fault.items[0].reason, SOUK_STR("is dull")));
    cr_assert(souk_str_equal(fault.items[1].pointer, SOUK_STR("/number")));
}

static souk_err_t s_private(souk_ctx_t *self, const diag_echo_req_t *req, diag_echo_rep_t *rep) {
    (void)req;
    (void)rep;
    return souk_ctx_fail(self, SOUK_ERR_IO, "password is hunter2");
}

Test(ctx, private_error_leaves_as_internal_without_detail) {
    handler = s_private;
    souk_req_t req = s_req(1);
    souk_str_t reply;
    cr_assert_eq(s_run(&req, &reply), SOUK_ERR_IO, "the log may know");
    souk_fault_t fault;
    s_fault(reply, &fault);
    cr_assert_eq(fault.err, SOUK_ERR_INTERNAL);
    cr_assert_eq(fault.detail.size, 0);
}

static souk_err_t s_long(souk_ctx_t *self, const diag_echo_req_t *req, diag_echo_rep_t *rep) {
    (void)req;
    (void)rep;
    char text[600];
    for (size_t i = 0; i + 2 < sizeof(text); i += 2) {
        memcpy(text + i, "\xc3\xa9", 3);
    }
    return souk_ctx_fail(self, SOUK_ERR_CONFLICT, "x%s", text);
}

Test(ctx, long_detail_is_cut_between_characters) {
    handler = s_long;
    souk_req_t req = s_req(1);
    souk_str_t reply;
    cr_assert_eq(s_run(&req, &reply), SOUK_ERR_CONFLICT);
    souk_str_t detail = souk_ctx_detail(ctx);
    cr_assert_gt(detail.size, 200);
    cr_assert_lt(detail.size, 256);
    cr_assert_eq((unsigned char)detail.data[detail.size - 1], 0xa9);
}

static souk_err_t s_hog(souk_ctx_t *self, const diag_echo_req_t *req, diag_echo_rep_t *rep) {
    (void)souk_arena_alloc(souk_ctx_arena(self), 100000);
    return s_echo(self, req, rep);
}

Test(ctx, memory_beyond_the_cap_fails_even_a_careless_handler) {
    handler = s_hog;
    souk_req_t req = s_req(1);
    souk_str_t reply;
    cr_assert_eq(s_run(&req, &reply), SOUK_ERR_NO_MEMORY);
    souk_fault_t fault;
    s_fault(reply, &fault);
    cr_assert_eq(fault.err, SOUK_ERR_INTERNAL);
}

static size_t encoded_bytes;
static souk_err_t s_encoded(souk_ctx_t *self, const diag_echo_req_t *req, diag_echo_rep_t *rep) {
    (void)req;
    (void)rep;
    char bytes[1024];
    memset(bytes, 'e', sizeof(bytes));
    souk_ctx_reply_encoded(self, (souk_str_t){.data = bytes, .size = encoded_bytes});
    memset(bytes, 0, sizeof(bytes)); /* it was copied */
    souk_ctx_mark_replayed(self);
    return SOUK_OK;
}

Test(ctx, encoded_reply_is_copied_and_capped) {
    handler = s_encoded;
    encoded_bytes = 256;
    souk_req_t req = s_req(1);
    souk_str_t reply;
    cr_assert_eq(s_run(&req, &reply), SOUK_OK);
    cr_assert_eq(reply.size, 256);
    cr_assert_eq(reply.data[255], 'e');
    cr_assert(souk_ctx_replayed(ctx));
    souk_ctx_end(ctx);
    encoded_bytes = 257;
    cr_assert_eq(s_run(&req, &reply), SOUK_ERR_BAD_REPLY);
}

static void s_principal(const char *sub, const char *const *scopes, size_t scopes_count) {
    souk_buf_clear(&principal);
    souk_mp_write_map(&principal, 3);
    souk_mp_write_str(&principal, SOUK_STR("kind"));
    souk_mp_write_str(&principal, SOUK_STR("api_key"));
    souk_mp_write_str(&principal, SOUK_STR("sub"));
    souk_mp_write_str(&principal, souk_str_of(sub));
    souk_mp_write_str(&principal, SOUK_STR("scopes"));
    souk_mp_write_array(&principal, (uint32_t)scopes_count);
    for (size_t i = 0; i < scopes_count; i++) {
        souk_mp_write_str(&principal, souk_str_of(scopes[i]));
    }
}

static void s_begin(void) {
    souk_req_t req = s_req(1);
    req.principal = souk_buf_str(&principal);
    souk_ctx_begin(ctx, &req, souk_clock_mono_us() + 1000000);
}

Test(ctx, principal_gives_subject_and_scopes) {
    const char *scopes[] = {"catalog:read", "catalog:write"};
    s_principal("key_7", scopes, 2);
    s_begin();
    cr_assert(souk_str_equal(souk_ctx_subject(ctx), SOUK_STR("key_7")));
    cr_assert(souk_ctx_has_scope(ctx, "catalog:write"));
    cr_assert_not(souk_ctx_has_scope(ctx, "catalog:writ"));
    souk_ctx_end(ctx);
    souk_req_t anonymous = s_req(1);
    souk_ctx_begin(ctx, &anonymous, 0);
    cr_assert_eq(souk_ctx_subject(ctx).size, 0);
    cr_assert_not(souk_ctx_has_scope(ctx, "catalog:write"));
}

Test(ctx, a_user_has_kind_session_and_roles) {
    souk_mp_write_map(&principal, 6);
    souk_mp_write_str(&principal, SOUK_STR("sub"));
    souk_mp_write_str(&principal, SOUK_STR("usr_1"));
    souk_mp_write_str(&principal, SOUK_STR("kind"));
    souk_mp_write_str(&principal, SOUK_STR("user"));
    souk_mp_write_str(&principal, SOUK_STR("scopes"));
    souk_mp_write_array(&principal, 0);
    souk_mp_write_str(&principal, SOUK_STR("roles"));
    souk_mp_write_array(&principal, 2);
    souk_mp_write_str(&principal, SOUK_STR("customer"));
    souk_mp_write_str(&principal, SOUK_STR("*"));
    souk_mp_write_str(&principal, SOUK_STR("later"));
    souk_mp_write_map(&principal, 0);
    souk_mp_write_str(&principal, SOUK_STR("sid"));
    souk_mp_write_str(&principal, SOUK_STR("ses_9"));
    souk_req_t req = s_req(1);
    req.principal = souk_buf_str(&principal);
    req.address = SOUK_STR("192.0.2.1");
    souk_ctx_begin(ctx, &req, souk_clock_mono_us() + 1000000);
    cr_assert_eq(souk_ctx_kind(ctx), SOUK_PRINCIPAL_USER);
    cr_assert(souk_str_equal(souk_ctx_session(ctx), SOUK_STR("ses_9")));
    cr_assert(souk_str_equal(souk_ctx_address(ctx), SOUK_STR("192.0.2.1")));
    cr_assert(souk_ctx_has_role(ctx, "customer"));
    cr_assert_not(souk_ctx_has_role(ctx, "admin"));
    cr_assert_not(souk_ctx_has_scope(ctx, "orders:read"));
    souk_ctx_end(ctx);
    souk_req_t anonymous = s_req(1);
    souk_ctx_begin(ctx, &anonymous, 0);
    cr_assert_eq(souk_ctx_kind(ctx), SOUK_PRINCIPAL_ANONYMOUS);
    cr_assert_eq(souk_ctx_session(ctx).size, 0);
    cr_assert_eq(souk_ctx_address(ctx).size, 0);
    cr_assert_not(souk_ctx_has_role(ctx, "customer"));
}

/* The kind decides what a subject means: without one there is nobody. */
Test(ctx, a_principal_of_no_kind_is_nobody) {
    static const char *const kinds[] = {"", "admin", "User"};
    for (size_t i = 0; i < SOUK_COUNT_OF(kinds); i++) {
        souk_buf_clear(&principal);
        souk_mp_write_map(&principal, 2);
        souk_mp_write_str(&principal, SOUK_STR("sub"));
        souk_mp_write_str(&principal, SOUK_STR("usr_1"));
        souk_mp_write_str(&principal, SOUK_STR("kind"));
        souk_mp_write_str(&principal, souk_str_of(kinds[i]));
        s_begin();
        cr_assert_eq(souk_ctx_subject(ctx).size, 0, "%s", kinds[i]);
        cr_assert_eq(souk_ctx_kind(ctx), SOUK_PRINCIPAL_ANONYMOUS);
        souk_ctx_end(ctx);
    }
}

Test(ctx, star_stands_for_all_scopes) {
    const char *scopes[] = {"*"};
    s_principal("key_1", scopes, 1);
    s_begin();
    cr_assert(souk_ctx_has_scope(ctx, "anything"));
}

Test(ctx, unreadable_principal_has_no_rights) {
    const char *scopes[] = {"catalog:write"};
    s_principal("key_7", scopes, 1);
    principal.size--;
    s_begin();
    cr_assert_eq(souk_ctx_subject(ctx).size, 0);
    cr_assert_not(souk_ctx_has_scope(ctx, "catalog:write"));
}

Test(ctx, remaining_time_ends_at_zero) {
    souk_req_t req = s_req(1);
    souk_ctx_begin(ctx, &req, souk_clock_mono_us() - 5000000);
    cr_assert_eq(souk_ctx_remaining_ms(ctx), 0);
    souk_ctx_end(ctx);
    souk_ctx_begin(ctx, &req, souk_clock_mono_us() + 600000000);
    cr_assert_gt(souk_ctx_remaining_ms(ctx), 1000);
}

Test(ctx, cancel_flag_is_of_one_call) {
    souk_req_t req = s_req(1);
    souk_ctx_begin(ctx, &req, 0);
    cr_assert_not(souk_ctx_cancelled(ctx));
    souk_ctx_cancel(ctx);
    cr_assert(souk_ctx_cancelled(ctx));
    souk_ctx_end(ctx);
    souk_ctx_begin(ctx, &req, 0);
    cr_assert_not(souk_ctx_cancelled(ctx));
}
