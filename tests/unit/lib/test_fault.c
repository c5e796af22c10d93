#include <criterion/criterion.h>

#include "souk/envelope.h"

static souk_buf_t s_buf;

static void s_setup(void) {
    souk_buf_init(&s_buf, 1 << 16);
}

static void s_teardown(void) {
    souk_buf_done(&s_buf);
}

TestSuite(fault, .init = s_setup, .fini = s_teardown);

static void s_assert_str(souk_str_t got, const char *expected) {
    cr_assert(souk_str_equal(got, souk_str_of(expected)), "got %.*s, expected %s", (int)got.size,
              got.data, expected);
}

Test(fault, reads_back_what_was_written) {
    souk_fault_t fault = {
        .err = SOUK_ERR_VALIDATION,
        .detail = SOUK_STR("two fields"),
        .retry_after_ms = 1500,
        .items_count = 2,
        .items = {{SOUK_STR("/items/1/quantity"), SOUK_STR("too large"), SOUK_STR("body")},
                  {SOUK_STR("/limit"), SOUK_STR("not a number"), SOUK_STR("query")}}};
    souk_fault_write(&s_buf, &fault);
    souk_fault_t got;
    cr_assert_eq(souk_fault_read(souk_buf_str(&s_buf), &got), SOUK_OK);
    cr_assert_eq(got.err, SOUK_ERR_VALIDATION);
    s_assert_str(got.detail, "two fields");
    cr_assert_eq(got.retry_after_ms, 1500);
    cr_assert_eq(got.items_count, 2);
    s_assert_str(got.items[0].pointer, "/items/1/quantity");
    s_assert_str(got.items[1].reason, "not a number");
    s_assert_str(got.items[1].in, "query");
}

Test(fault, a_bare_code_is_one_field) {
    souk_fault_write(&s_buf, &(souk_fault_t){.err = SOUK_ERR_NOT_FOUND});
    s_assert_str(souk_buf_str(&s_buf), "\x81\xa4"
                                       "code\xa9not_found");
    souk_fault_t got;
    cr_assert_eq(souk_fault_read(souk_buf_str(&s_buf), &got), SOUK_OK);
    cr_assert_eq(got.err, SOUK_ERR_NOT_FOUND);
    cr_assert_eq(got.items_count, 0);
}

Test(fault, what_is_not_public_leaves_and_arrives_as_internal) {
    souk_fault_write(&s_buf, &(souk_fault_t){.err = SOUK_ERR_NO_MEMORY});
    souk_fault_t got;
    cr_assert_eq(souk_fault_read(souk_buf_str(&s_buf), &got), SOUK_OK);
    cr_assert_eq(got.err, SOUK_ERR_INTERNAL);
    cr_assert_eq(souk_fault_read(SOUK_STR("\x81\xa4"
                                          "code\xa9no_memory"),
                                 &got),
                 SOUK_OK);
    cr_assert_eq(got.err, SOUK_ERR_INTERNAL);
    cr_assert_eq(souk_fault_read(SOUK_STR("\x81\xa4"
                                          "code\xa7unheard"),
                                 &got),
                 SOUK_OK);
    cr_assert_eq(got.err, SOUK_ERR_INTERNAL);
}

Test(fault, unknown_fields_are_ignored_and_items_beyond_sixteen_dropped) {
    souk_mp_write_map(&s_buf, 3);
    souk_mp_write_str(&s_buf, SOUK_STR("colour"));
    souk_mp_write_array(&s_buf, 1);
    souk_mp_write_nil(&s_buf);
    souk_mp_write_str(&s_buf, SOUK_STR("errors"));
    souk_mp_write_array(&s_buf, 20);
    for (int i = 0; i < 20; i++) {
        souk_mp_write_map(&s_buf, 2);
        souk_mp_write_str(&s_buf, SOUK_STR("extra"));
        souk_mp_write_int(&s_buf, i);
        souk_mp_write_str(&s_buf, SOUK_STR("pointer"));
        souk_mp_write_str(&s_buf, SOUK_STR("/a"));
    }
    souk_mp_write_str(&s_buf, SOUK_STR("code"));
    souk_mp_write_str(&s_buf, SOUK_STR("validation"));
    souk_fault_t got;
    cr_assert_eq(souk_fault_read(souk_buf_str(&s_buf), &got), SOUK_OK);
    cr_assert_eq(got.items_count, 16);
    s_assert_str(got.items[15].pointer, "/a");
    s_assert_str(got.items[15].in, "body");
}

Test(fault, bad_bodies_leave_the_result_alone) {
    const souk_str_t bad[] = {
        SOUK_STR(""),
        SOUK_STR("\x80"), /* no code */
        SOUK_STR("\x81\xa4"
                 "code\x05"),      /* code is a number */
        SOUK_STR("\x81\x01\xa1x"), /* a key is a number */
        SOUK_STR("\x81\xa4"
                 "code\xa9not_found\x00"), /* something behind it */
        SOUK_STR("\x82\xa4"
                 "code\xa9not_found"), /* cut */
        SOUK_STR("\x82\xa4"
                 "code\xa9not_found\xa6"
                 "errors\x01"), /* errors is a number */
        SOUK_STR("\xdf\xff\xff\xff\xff"),
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        souk_fault_t got = {.retry_after_ms = 77};
        cr_assert_eq(souk_fault_read(bad[i], &got), SOUK_ERR_MALFORMED, "body %zu", i);
        cr_assert_eq(got.retry_after_ms, 77);
    }
}
