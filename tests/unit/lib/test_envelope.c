#include <criterion/criterion.h>
#include <msgpack.h>

#include "souk/envelope.h"

static souk_buf_t s_buf;

static void s_setup(void) {
    souk_buf_init(&s_buf, 1 << 20);
}

static void s_teardown(void) {
    souk_buf_done(&s_buf);
}

TestSuite(envelope, .init = s_setup, .fini = s_teardown);

static const char s_traceparent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
static const char s_hash[32] = "0123456789abcdef0123456789abcde";

static souk_req_t s_req(void) {
    return (souk_req_t){
        .corr = SOUK_STR("12345678"),
        .timeout_ms = 5000,
        .attempt = 1,
        .flags = SOUK_REQ_RESENT,
        .class_ = SOUK_CLASS_KEYED,
        .priority = SOUK_PRIORITY_BROWSE,
        .service = SOUK_STR("catalog"),
        .method = SOUK_STR("products_get"),
        .key = SOUK_STR("order-1"),
        .key_hash = {.data = s_hash, .size = 32},
        .traceparent = SOUK_STR(s_traceparent),
        .principal = SOUK_STR("\x80"),
        .body = SOUK_STR("\x81\xa1k\x01"),
        .request_id = SOUK_STR("req-77"),
        .address = SOUK_STR("2001:db8::7"),
    };
}

static void s_cursor(souk_mp_cursor_t *cursor) {
    souk_mp_cursor_init(cursor, s_buf.data, s_buf.size);
}

static souk_err_t s_parse(souk_envelope_t *ret) {
    souk_mp_cursor_t cursor;
    s_cursor(&cursor);
    return souk_envelope_read(&cursor, ret);
}

static void s_assert_str(souk_str_t got, souk_str_t expected) {
    cr_assert(souk_str_equal(got, expected), "got %.*s, expected %.*s", (int)got.size, got.data,
              (int)expected.size, expected.data);
    cr_assert_eq(got.data == NULL, expected.data == NULL);
}

/* One sample of each type, one after the other. */
static void s_write_sample(souk_msg_type_t type) {
    souk_req_t req = s_req();
    souk_welcome_t welcome = {.session = "fifteen letters",
                              .epoch = 1ULL << 40,
                              .heartbeat_ms = 500,
                              .envelope_bytes_max = 1114112,
                              .broker_name = SOUK_STR("b1")};
    souk_ready_row_t ready[] = {{SOUK_STR("catalog"), SOUK_STR("get"), SOUK_LANE_INLINE},
                                {SOUK_STR("catalog"), SOUK_STR("put"), SOUK_LANE_SLOT},
                                {SOUK_STR("diag"), SOUK_STR("echo"), SOUK_LANE_BATCH}};
    souk_credit_row_t credit[] = {{SOUK_STR("catalog"), SOUK_LANE_INLINE, 65535},
                                  {SOUK_STR("diag"), SOUK_LANE_BATCH, 0}};
    switch (type) {
    case SOUK_MSG_HELLO:
        souk_envelope_hello(&s_buf, SOUK_ROLE_WORKER, SOUK_STR("catalog-2"), 500);
        break;
    case SOUK_MSG_WELCOME:
        souk_envelope_welcome(&s_buf, &welcome);
        break;
    case SOUK_MSG_READY:
        souk_envelope_ready(&s_buf, ready, SOUK_COUNT_OF(ready));
        break;
    case SOUK_MSG_CREDIT:
        souk_envelope_credit(&s_buf, credit, SOUK_COUNT_OF(credit));
        break;
    case SOUK_MSG_REQ:
        souk_envelope_req(&s_buf, &req);
        break;
    case SOUK_MSG_REP:
        souk_envelope_rep(&s_buf, SOUK_STR("c"), SOUK_REP_REPLAYED, 1234, SOUK_STR("\x80"));
        break;
    case SOUK_MSG_ERR:
        souk_envelope_err(&s_buf, SOUK_STR("cc"), -1,
                          SOUK_STR("\x81\xa4"
                                   "code\xa1x"));
        break;
    case SOUK_MSG_REFUSED:
        souk_envelope_refused(&s_buf, SOUK_STR("c"), SOUK_REFUSED_DRAINING);
        break;
    case SOUK_MSG_CANCEL:
        souk_envelope_cancel(&s_buf, SOUK_STR("c"));
        break;
    case SOUK_MSG_PING:
        souk_envelope_ping(&s_buf, UINT64_MAX);
        break;
    case SOUK_MSG_PONG:
        souk_envelope_pong(&s_buf, 7);
        break;
    case SOUK_MSG_DRAIN:
        souk_envelope_drain(&s_buf);
        break;
    case SOUK_MSG_DRAINED:
        souk_envelope_drained(&s_buf);
        break;
    case SOUK_MSG_GOAWAY:
        souk_envelope_goaway(&s_buf, SOUK_GOAWAY_PROTOCOL, SOUK_STR("why"));
        break;
    }
    cr_assert(!s_buf.overflow);
}

static void s_check_small(const souk_envelope_t *e) {
    switch (e->type) {
    case SOUK_MSG_HELLO:
        cr_assert_eq(e->as.hello.role, SOUK_ROLE_WORKER);
        cr_assert_eq(e->as.hello.heartbeat_ms, 500);
        s_assert_str(e->as.hello.name, SOUK_STR("catalog-2"));
        break;
    case SOUK_MSG_WELCOME:
        cr_assert_eq(e->as.welcome.epoch, 1ULL << 40);
        cr_assert_eq(e->as.welcome.heartbeat_ms, 500);
        cr_assert_eq(e->as.welcome.envelope_bytes_max, 1114112);
        s_assert_str(e->as.welcome.broker_name, SOUK_STR("b1"));
        s_assert_str(e->as.welcome.session, (souk_str_t){"fifteen letters", 16});
        break;
    case SOUK_MSG_REFUSED:
        cr_assert_eq(e->as.refused.reason, SOUK_REFUSED_DRAINING);
        s_assert_str(e->as.refused.corr, SOUK_STR("c"));
        break;
    case SOUK_MSG_CANCEL:
        s_assert_str(e->as.cancel.corr, SOUK_STR("c"));
        break;
    case SOUK_MSG_PING:
        cr_assert_eq(e->as.ping.token, UINT64_MAX);
        break;
    case SOUK_MSG_PONG:
        cr_assert_eq(e->as.ping.token, 7);
        break;
    case SOUK_MSG_GOAWAY:
        cr_assert_eq(e->as.goaway.reason, SOUK_GOAWAY_PROTOCOL);
        s_assert_str(e->as.goaway.text, SOUK_STR("why"));
        break;
    default:
        break;
    }
}

Test(envelope, a_frame_of_every_type_reads_back_in_order) {
    for (int type = SOUK_MSG_HELLO; type <= SOUK_MSG_GOAWAY; type++) {
        s_write_sample((souk_msg_type_t)type);
    }
    souk_mp_cursor_t cursor;
    s_cursor(&cursor);
    size_t bytes = 0;
    for (int type = SOUK_MSG_HELLO; type <= SOUK_MSG_GOAWAY; type++) {
        souk_envelope_t envelope;
        cr_assert_eq(souk_envelope_read(&cursor, &envelope), SOUK_OK, "type %d", type);
        cr_assert_eq((int)envelope.type, type);
        s_check_small(&envelope);
        bytes += envelope.bytes.size;
    }
    cr_assert(souk_mp_at_end(&cursor));
    cr_assert_eq(bytes, s_buf.size);
}

Test(envelope, req_reads_back_every_field) {
    souk_req_t req = s_req();
    souk_envelope_req(&s_buf, &req);
    souk_envelope_t e;
    cr_assert_eq(s_parse(&e), SOUK_OK);
    const souk_req_t *got = &e.as.req;
    s_assert_str(got->corr, req.corr);
    cr_assert_eq(got->timeout_ms, 5000);
    cr_assert_eq(got->attempt, 1);
    cr_assert_eq(got->flags, SOUK_REQ_RESENT);
    cr_assert_eq(got->class_, SOUK_CLASS_KEYED);
    cr_assert_eq(got->priority, SOUK_PRIORITY_BROWSE);
    s_assert_str(got->service, req.service);
    s_assert_str(got->method, req.method);
    s_assert_str(got->key, req.key);
    s_assert_str(got->key_hash, req.key_hash);
    s_assert_str(got->traceparent, req.traceparent);
    s_assert_str(got->principal, req.principal);
    s_assert_str(got->body, req.body);
    s_assert_str(got->request_id, req.request_id);
    s_assert_str(got->address, req.address);
    cr_assert_eq(got->count, 17);
}

Test(envelope, absent_fields_of_a_req_are_null) {
    souk_req_t req = {.corr = SOUK_STR("1"),
                      .timeout_ms = 1,
                      .class_ = SOUK_CLASS_EXTERNAL,
                      .service = SOUK_STR("diag"),
                      .method = SOUK_STR("echo")};
    souk_envelope_req(&s_buf, &req);
    souk_envelope_t e;
    cr_assert_eq(s_parse(&e), SOUK_OK);
    cr_assert_null(e.as.req.key.data);
    cr_assert_null(e.as.req.key_hash.data);
    cr_assert_null(e.as.req.traceparent.data);
    cr_assert_null(e.as.req.principal.data);
    cr_assert_null(e.as.req.request_id.data);
    cr_assert_null(e.as.req.address.data);
    cr_assert_eq(e.as.req.body.size, 0);
}

/* msgpack-c as the oracle of what we write. */
Test(envelope, an_independent_reader_sees_the_documented_positions) {
    souk_req_t req = s_req();
    souk_envelope_req(&s_buf, &req);
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    size_t offset = 0;
    cr_assert_eq(msgpack_unpack_next(&unpacked, (const char *)s_buf.data, s_buf.size, &offset),
                 MSGPACK_UNPACK_SUCCESS);
    cr_assert_eq(offset, s_buf.size);
    const msgpack_object *at = unpacked.data.via.array.ptr;
    cr_assert_eq(unpacked.data.via.array.size, 17);
    const int types[] = {2, 2, 8, 2, 2, 2, 2, 2, 5, 5, 5, 8, 5, 8, 8, 5, 5}; /* int, bin, str */
    for (int i = 0; i < 17; i++) {
        cr_assert_eq((int)at[i].type, types[i], "position %d", i);
    }
    cr_assert_eq(at[0].via.u64, 1);
    cr_assert_eq(at[1].via.u64, 5);
    cr_assert_eq(at[3].via.u64, 5000);
    cr_assert_eq(at[9].via.str.size, strlen("products_get"));
    msgpack_unpacked_destroy(&unpacked);
}

/* Rewrites the array's head so that it announces one element more, and appends that element. */
static void s_append_element(size_t start, uint8_t element) {
    uint8_t *head = s_buf.data + start;
    if (*head == 0x9f) { /* 15 elements: does not happen */
        cr_assert_fail("no such sample");
    }
    if ((*head & 0xf0) == 0x90) {
        ++*head;
    } else {
        cr_assert_eq(*head, 0xdc);
        ++head[2];
    }
    souk_buf_append_byte(&s_buf, element);
}

Test(envelope, elements_that_a_later_version_appends_are_ignored) {
    for (int type = SOUK_MSG_HELLO; type <= SOUK_MSG_GOAWAY; type++) {
        souk_buf_clear(&s_buf);
        s_write_sample((souk_msg_type_t)type);
        s_append_element(0, 0xc0);
        s_append_element(0, 0x81); /* a map {1: 2} */
        souk_buf_append(&s_buf, "\x01\x02", 2);
        souk_mp_cursor_t cursor;
        s_cursor(&cursor);
        souk_envelope_t envelope;
        cr_assert_eq(souk_envelope_read(&cursor, &envelope), SOUK_OK, "type %d", type);
        cr_assert_eq(envelope.bytes.size, s_buf.size);
        cr_assert(souk_mp_at_end(&cursor));
        s_check_small(&envelope);
    }
}

/* Version 1.0 ended with the request id. */
Test(envelope, a_req_without_an_address_is_one_of_an_older_sender) {
    souk_req_t req = s_req();
    req.address = (souk_str_t){0};
    souk_envelope_req(&s_buf, &req);
    cr_assert_eq(s_buf.data[2], 17);
    s_buf.data[2] = 16;
    s_buf.size--; /* the nil */
    souk_envelope_t e, forwarded;
    cr_assert_eq(s_parse(&e), SOUK_OK);
    cr_assert_null(e.as.req.address.data);
    s_assert_str(e.as.req.request_id, req.request_id);
    souk_buf_t out;
    souk_buf_init(&out, 4096);
    souk_envelope_req_forward(&out, &e.as.req, (const uint8_t *)"sixteen letters!", 1, 0);
    souk_mp_cursor_t cursor;
    souk_mp_cursor_init(&cursor, out.data, out.size);
    cr_assert_eq(souk_envelope_read(&cursor, &forwarded), SOUK_OK);
    cr_assert_eq(forwarded.as.req.count, 16);
    souk_buf_done(&out);
}

Test(envelope, an_address_is_short_and_visible) {
    static const char *const bad[] = {"", "a b", "\x7f",
                                      "0123456789012345678901234567890123456789012345"};
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        souk_req_t req = s_req();
        req.address = souk_str_of(bad[i]);
        souk_buf_clear(&s_buf);
        souk_envelope_req(&s_buf, &req);
        souk_envelope_t e;
        cr_assert_eq(s_parse(&e), SOUK_ERR_MALFORMED, "%s", bad[i]);
    }
}

Test(envelope, forwarding_replaces_the_head_and_keeps_the_rest_byte_for_byte) {
    s_write_sample(SOUK_MSG_REQ);
    s_append_element(0, 0x2a); /* something of a later version */
    souk_envelope_t e, forwarded;
    cr_assert_eq(s_parse(&e), SOUK_OK);
    cr_assert_eq(e.as.req.count, 18);
    souk_buf_t out;
    souk_buf_init(&out, 4096);
    souk_envelope_req_forward(&out, &e.as.req, (const uint8_t *)"sixteen letters!", 4321, 2);
    souk_mp_cursor_t cursor;
    souk_mp_cursor_init(&cursor, out.data, out.size);
    cr_assert_eq(souk_envelope_read(&cursor, &forwarded), SOUK_OK);
    s_assert_str(forwarded.as.req.corr, SOUK_STR("sixteen letters!"));
    cr_assert_eq(forwarded.as.req.timeout_ms, 4321);
    cr_assert_eq(forwarded.as.req.attempt, 2);
    cr_assert_eq(forwarded.as.req.flags, SOUK_REQ_RESENT);
    s_assert_str(forwarded.as.req.tail, e.as.req.tail);
    s_assert_str(forwarded.as.req.body, e.as.req.body);
    cr_assert_eq(out.data[out.size - 1], 0x2a);
    souk_buf_done(&out);
}

Test(envelope, forwarding_a_reply_replaces_only_corr) {
    s_write_sample(SOUK_MSG_REP);
    s_append_element(0, 0x2a);
    souk_envelope_t e, forwarded;
    cr_assert_eq(s_parse(&e), SOUK_OK);
    cr_assert_eq(e.as.rep.flags, SOUK_REP_REPLAYED);
    s_assert_str(e.as.rep.meta, SOUK_STR("\x81\xa7"
                                         "exec_us\xcd\x04\xd2"));
    souk_buf_t out;
    souk_buf_init(&out, 4096);
    souk_envelope_rep_forward(&out, e.type, &e.as.rep, SOUK_STR("abc"));
    souk_mp_cursor_t cursor;
    souk_mp_cursor_init(&cursor, out.data, out.size);
    cr_assert_eq(souk_envelope_read(&cursor, &forwarded), SOUK_OK);
    cr_assert_eq(forwarded.type, SOUK_MSG_REP);
    s_assert_str(forwarded.as.rep.corr, SOUK_STR("abc"));
    s_assert_str(forwarded.as.rep.tail, e.as.rep.tail);
    s_assert_str(forwarded.as.rep.body, SOUK_STR("\x80"));
    souk_buf_done(&out);
}

Test(envelope, an_unknown_type_or_version_is_skipped_and_the_frame_goes_on) {
    souk_buf_append(&s_buf, "\x93\x01\x63\x81\x01\x02", 6); /* type 99 */
    souk_buf_append(&s_buf, "\x92\x02\x0a", 3);             /* version 2 */
    souk_buf_append(&s_buf, "\x92\x01\x00", 3);             /* type 0 */
    souk_envelope_ping(&s_buf, 3);
    souk_mp_cursor_t cursor;
    s_cursor(&cursor);
    souk_envelope_t e;
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(souk_envelope_read(&cursor, &e), SOUK_ERR_UNSUPPORTED);
        cr_assert_eq((int)e.type, 0);
    }
    cr_assert_eq(souk_envelope_read(&cursor, &e), SOUK_OK);
    cr_assert_eq(e.as.ping.token, 3);
}

Test(envelope, a_malformed_envelope_condemns_the_rest_of_the_frame_only) {
    souk_envelope_ping(&s_buf, 1);
    souk_buf_append(&s_buf, "\x93\x01\x0a\xc3", 4); /* PING true */
    souk_envelope_ping(&s_buf, 2);
    souk_mp_cursor_t cursor;
    s_cursor(&cursor);
    souk_envelope_t e;
    cr_assert_eq(souk_envelope_read(&cursor, &e), SOUK_OK);
    cr_assert_eq(souk_envelope_read(&cursor, &e), SOUK_ERR_MALFORMED);
    cr_assert(souk_mp_at_end(&cursor));
}

Test(envelope, every_truncation_is_malformed) {
    for (int type = SOUK_MSG_HELLO; type <= SOUK_MSG_GOAWAY; type++) {
        souk_buf_clear(&s_buf);
        s_write_sample((souk_msg_type_t)type);
        for (size_t size = 0; size < s_buf.size; size++) {
            uint8_t *copy = malloc(size + 1); /* so that ASan sees a read beyond */
            memcpy(copy, s_buf.data, size);
            copy = realloc(copy, size > 0 ? size : 1);
            souk_mp_cursor_t cursor;
            souk_mp_cursor_init(&cursor, copy, size);
            souk_envelope_t e;
            cr_assert_eq(souk_envelope_read(&cursor, &e), SOUK_ERR_MALFORMED,
                         "type %d cut to %zu bytes", type, size);
            cr_assert(souk_mp_at_end(&cursor));
            free(copy);
        }
    }
}

/* ---- What REQ refuses --------------------------------------------------------------------------
 */

static void s_assert_req_refused(const souk_req_t *req, const char *why) {
    souk_buf_clear(&s_buf);
    souk_envelope_req(&s_buf, req);
    souk_envelope_t e;
    cr_assert_eq(s_parse(&e), SOUK_ERR_MALFORMED, "%s", why);
    cr_assert_eq(e.type, SOUK_MSG_REQ, "%s: can be answered", why);
    s_assert_str(e.as.req.corr, req->corr);
}

Test(envelope, a_req_beyond_the_limits_is_malformed_but_can_be_answered) {
    static char letters[300];
    memset(letters, 'a', sizeof(letters));
    souk_req_t good = s_req(), req;
#define REFUSED(member, ...)                                                                       \
    do {                                                                                           \
        req = good;                                                                                \
        req.member = (__typeof__(req.member))__VA_ARGS__;                                          \
        s_assert_req_refused(&req, #member " = " #__VA_ARGS__);                                    \
    } while (0)
    REFUSED(timeout_ms, 0);
    REFUSED(timeout_ms, 600001);
    REFUSED(class_, 4);
    REFUSED(priority, 4);
    REFUSED(service, {"", 0});
    REFUSED(service, {letters, 33});
    REFUSED(service, {"Catalog", 7});
    REFUSED(service, {"1a", 2});
    REFUSED(service, {"a-b", 3});
    REFUSED(method, {"_a", 2});
    REFUSED(method, {"a\0b", 3});
    REFUSED(key, {0});
    REFUSED(key, {"", 0});
    REFUSED(key, {"a b", 3});
    REFUSED(key, {"a\x7f", 2});
    REFUSED(key, {"\xc3\xa4", 2});
    REFUSED(key, {letters, 256});
    REFUSED(key_hash, {letters, 31});
    REFUSED(key_hash, {letters, 33});
    REFUSED(traceparent, {letters, 54});
    REFUSED(traceparent, {letters, 56});
    REFUSED(request_id, {letters, 65});
    REFUSED(request_id, {"", 0});
#undef REFUSED
    req = good;
    req.key = (souk_str_t){letters, 255};
    req.service = (souk_str_t){letters, 32};
    req.request_id = (souk_str_t){letters, 64};
    req.timeout_ms = 600000;
    souk_buf_clear(&s_buf);
    souk_envelope_req(&s_buf, &req);
    souk_envelope_t e;
    cr_assert_eq(s_parse(&e), SOUK_OK, "the limits themselves are allowed");
}

Test(envelope, a_req_without_a_sound_corr_cannot_be_answered) {
    souk_req_t req = s_req();
    req.corr = SOUK_STR("seventeen letters");
    souk_envelope_req(&s_buf, &req);
    souk_envelope_t e;
    cr_assert_eq(s_parse(&e), SOUK_ERR_MALFORMED);
    cr_assert_eq((int)e.type, 0);
    souk_buf_clear(&s_buf);
    req.corr = SOUK_STR("");
    souk_envelope_req(&s_buf, &req);
    cr_assert_eq(s_parse(&e), SOUK_ERR_MALFORMED);
    cr_assert_eq((int)e.type, 0);
}

typedef struct {
    char why[40];
    uint8_t bytes[40];
    size_t size;
} raw_t;

/* Beginnings of what strangers may send; none may be taken. */
Test(envelope, other_bad_input_is_malformed) {
    static const raw_t raws[] = {
        {"not an array", {0x81, 1, 2}, 3},
        {"empty array", {0x90}, 1},
        {"no type", {0x91, 1}, 2},
        {"version is text", {0x92, 0xa1, '1', 10}, 4},
        {"type is negative", {0x92, 1, 0xff}, 3},
        {"array longer than the frame", {0xdd, 0xff, 0xff, 0xff, 0xff, 1, 10}, 7},
        {"role 0", {0x95, 1, 1, 0, 0xa1, 'n', 0}, 7},
        {"role 3", {0x95, 1, 1, 3, 0xa1, 'n', 0}, 7},
        {"HELLO too short", {0x94, 1, 1, 1, 0xa1, 'n'}, 6},
        {"REQ too short", {0x92, 1, 5}, 3},
        {"READY: lane 3", {0x93, 1, 3, 0x91, 0x92, 0xa1, 'a', 0x91, 0x92, 0xa1, 'b', 3}, 12},
        {"READY: no lane", {0x93, 1, 3, 0x91, 0x92, 0xa1, 'a', 0x91, 0x91, 0xa1, 'b'}, 11},
        {"CREDIT: window 65536", {0x93, 1, 4, 0x91, 0x93, 0xa1, 'a', 0, 0xce, 0, 1, 0, 0}, 13},
        {"REP: meta is a number", {0x96, 1, 6, 0xc4, 1, 'c', 0, 1, 0xc4, 0}, 10},
        {"REP: body is text", {0x96, 1, 6, 0xc4, 1, 'c', 0, 0xc0, 0xa0}, 9},
        {"CANCEL: corr is text", {0x93, 1, 9, 0xa1, 'c'}, 5},
        {"reserved byte", {0x93, 1, 10, 0xc1}, 4},
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(raws); i++) {
        souk_buf_clear(&s_buf);
        souk_buf_append(&s_buf, raws[i].bytes, raws[i].size);
        souk_envelope_t e;
        cr_assert_eq(s_parse(&e), SOUK_ERR_MALFORMED, "%s", raws[i].why);
    }
}

/* ---- READY and CREDIT --------------------------------------------------------------------------
 */

Test(envelope, ready_gives_its_methods_one_by_one) {
    s_write_sample(SOUK_MSG_READY);
    souk_envelope_t e;
    cr_assert_eq(s_parse(&e), SOUK_OK);
    souk_ready_iter_t iter;
    souk_ready_iter_init(&iter, &e);
    const char *expected[][2] = {{"catalog", "get"}, {"catalog", "put"}, {"diag", "echo"}};
    const souk_lane_t lanes[] = {SOUK_LANE_INLINE, SOUK_LANE_SLOT, SOUK_LANE_BATCH};
    souk_str_t service, method;
    souk_lane_t lane;
    for (size_t i = 0; i < 3; i++) {
        cr_assert(souk_ready_next(&iter, &service, &method, &lane));
        s_assert_str(service, souk_str_of(expected[i][0]));
        s_assert_str(method, souk_str_of(expected[i][1]));
        cr_assert_eq(lane, lanes[i]);
    }
    cr_assert(!souk_ready_next(&iter, &service, &method, &lane));
}

Test(envelope, ready_with_appended_elements_and_empty_services_is_walked) {
    /* [1, 3, [["a", [], 9], ["b", [["m", 1, 9, 9]], 9, 9]]] */
    static const uint8_t bytes[] = {0x93, 1,    3,    0x92, 0x93, 0xa1, 'a', 0x90, 9, 0x94, 0xa1,
                                    'b',  0x91, 0x94, 0xa1, 'm',  1,    9,   9,    9, 9};
    souk_buf_append(&s_buf, bytes, sizeof(bytes));
    souk_envelope_t e;
    cr_assert_eq(s_parse(&e), SOUK_OK);
    souk_ready_iter_t iter;
    souk_ready_iter_init(&iter, &e);
    souk_str_t service, method;
    souk_lane_t lane;
    cr_assert(souk_ready_next(&iter, &service, &method, &lane));
    s_assert_str(service, SOUK_STR("b"));
    s_assert_str(method, SOUK_STR("m"));
    cr_assert_eq(lane, SOUK_LANE_SLOT);
    cr_assert(!souk_ready_next(&iter, &service, &method, &lane));
}

Test(envelope, credit_gives_its_windows_one_by_one) {
    s_write_sample(SOUK_MSG_CREDIT);
    souk_envelope_t e;
    cr_assert_eq(s_parse(&e), SOUK_OK);
    souk_credit_iter_t iter;
    souk_credit_iter_init(&iter, &e);
    souk_str_t service;
    souk_lane_t lane;
    uint32_t window;
    cr_assert(souk_credit_next(&iter, &service, &lane, &window));
    s_assert_str(service, SOUK_STR("catalog"));
    cr_assert_eq(window, 65535);
    cr_assert(souk_credit_next(&iter, &service, &lane, &window));
    cr_assert_eq(lane, SOUK_LANE_BATCH);
    cr_assert_eq(window, 0);
    cr_assert(!souk_credit_next(&iter, &service, &lane, &window));
}

Test(envelope, a_worker_that_serves_nothing_says_so) {
    souk_envelope_ready(&s_buf, NULL, 0);
    souk_envelope_credit(&s_buf, NULL, 0);
    souk_mp_cursor_t cursor;
    s_cursor(&cursor);
    souk_envelope_t e;
    cr_assert_eq(souk_envelope_read(&cursor, &e), SOUK_OK);
    souk_ready_iter_t iter;
    souk_ready_iter_init(&iter, &e);
    souk_str_t service, method;
    souk_lane_t lane;
    cr_assert(!souk_ready_next(&iter, &service, &method, &lane));
    cr_assert_eq(souk_envelope_read(&cursor, &e), SOUK_OK);
}

/* Bytes changed at random: never a crash, and what is taken stays within the frame. */
Test(envelope, random_damage_is_survived) {
    uint32_t seed = 1;
    for (int round = 0; round < 200000; round++) {
        souk_buf_clear(&s_buf);
        seed = seed * 1664525u + 1013904223u;
        s_write_sample((souk_msg_type_t)(SOUK_MSG_HELLO + (seed >> 8) % SOUK_MSG_GOAWAY));
        for (int change = 0; change < 3; change++) {
            seed = seed * 1664525u + 1013904223u;
            s_buf.data[(seed >> 16) % s_buf.size] = (uint8_t)(seed >> 8);
        }
        souk_mp_cursor_t cursor;
        s_cursor(&cursor);
        while (!souk_mp_at_end(&cursor)) {
            souk_envelope_t e;
            souk_err_t err = souk_envelope_read(&cursor, &e);
            cr_assert(err == SOUK_OK || err == SOUK_ERR_MALFORMED || err == SOUK_ERR_UNSUPPORTED);
        }
    }
}
