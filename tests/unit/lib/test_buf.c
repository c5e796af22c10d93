#include <criterion/criterion.h>
#include <signal.h>

#include "souk/buf.h"

static souk_buf_t s_buf;

static void s_setup(void) {
    souk_buf_init(&s_buf, 1000);
}

static void s_teardown(void) {
    souk_buf_done(&s_buf);
}

static void s_expect(const char *text) {
    cr_assert(souk_str_equal(souk_buf_str(&s_buf), souk_str_of(text)), "%.*s", (int)s_buf.size,
              (const char *)s_buf.data);
}

TestSuite(buf, .init = s_setup, .fini = s_teardown);

Test(buf, appends_in_order) {
    cr_assert_eq(souk_buf_str(&s_buf).size, 0);
    souk_buf_append(&s_buf, "ab", 2);
    souk_buf_append(&s_buf, NULL, 0);
    souk_buf_append_byte(&s_buf, '-');
    souk_buf_append_str(&s_buf, SOUK_STR("cd"));
    souk_buf_printf(&s_buf, "%03d", 7);
    s_expect("ab-cd007");
    cr_assert(!s_buf.overflow);
}

Test(buf, fills_to_exactly_max) {
    for (int i = 0; i < 1000; i++) {
        souk_buf_append_byte(&s_buf, (uint8_t)('a' + i % 26));
    }
    cr_assert_eq(s_buf.size, 1000);
    cr_assert_leq(s_buf.capacity, 1000);
    cr_assert(!s_buf.overflow);
    souk_buf_append_byte(&s_buf, 'x');
    cr_assert(s_buf.overflow);
    cr_assert_eq(s_buf.size, 1000);
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(s_buf.data[i], 'a' + i % 26);
    }
}

Test(buf, overflow_is_sticky_until_clear) {
    char big[1001];
    memset(big, 'x', sizeof(big));
    souk_buf_append(&s_buf, "ab", 2);
    souk_buf_append(&s_buf, big, 999);
    cr_assert(s_buf.overflow);
    souk_buf_append(&s_buf, "c", 1);
    souk_buf_append_byte(&s_buf, 'c');
    souk_buf_printf(&s_buf, "c");
    cr_assert_null(souk_buf_reserve(&s_buf, 1));
    s_expect("ab");
    souk_buf_clear(&s_buf);
    cr_assert(!s_buf.overflow);
    souk_buf_append(&s_buf, big, 1000);
    cr_assert_eq(s_buf.size, 1000);
    souk_buf_clear(&s_buf);
    souk_buf_append(&s_buf, big, 1001);
    cr_assert(s_buf.overflow);
    cr_assert_null(souk_buf_reserve(&s_buf, SIZE_MAX));
}

Test(buf, printf_fills_to_exactly_max) {
    souk_buf_printf(&s_buf, "%999d", 5);
    souk_buf_printf(&s_buf, "%d", 6);
    cr_assert_eq(s_buf.size, 1000);
    cr_assert(!s_buf.overflow);
    cr_assert_eq(s_buf.data[998], '5');
    cr_assert_eq(s_buf.data[999], '6');
    souk_buf_printf(&s_buf, "%s", "");
    cr_assert(!s_buf.overflow);
    souk_buf_printf(&s_buf, "7");
    cr_assert(s_buf.overflow);
    souk_buf_clear(&s_buf);
    souk_buf_printf(&s_buf, "%1001d", 5);
    cr_assert(s_buf.overflow);
    cr_assert_eq(s_buf.size, 0);
}

Test(buf, reserved_room_is_added_by_the_caller) {
    uint8_t *room = souk_buf_reserve(&s_buf, 500);
    cr_assert_not_null(room);
    memset(room, 'r', 500);
    cr_assert_eq(s_buf.size, 0);
    s_buf.size += 2;
    s_expect("rr");
    room = souk_buf_reserve(&s_buf, 998);
    cr_assert_eq(room, s_buf.data + 2);
    cr_assert_null(souk_buf_reserve(&s_buf, 999));
}

Test(buf, consume_drops_the_front) {
    souk_buf_append(&s_buf, "abcdef", 6);
    souk_buf_consume(&s_buf, 0);
    souk_buf_consume(&s_buf, 2);
    s_expect("cdef");
    souk_buf_consume(&s_buf, 4);
    s_expect("");
    souk_buf_append(&s_buf, "z", 1);
    s_expect("z");
}

Test(buf, consuming_more_than_there_is_is_a_bug, .signal = SIGABRT) {
    souk_buf_append(&s_buf, "abc", 3);
    souk_buf_consume(&s_buf, 4);
}

Test(buf, clear_keeps_and_shrink_gives_back_memory) {
    uint8_t *room = souk_buf_reserve(&s_buf, 900);
    memset(room, 'x', 900);
    s_buf.size = 900;
    souk_buf_shrink(&s_buf, 10);
    cr_assert_eq(s_buf.capacity, 900, "the content stays");
    souk_buf_clear(&s_buf);
    cr_assert_eq(s_buf.capacity, 900);
    souk_buf_shrink(&s_buf, 1000);
    cr_assert_eq(s_buf.capacity, 900);
    souk_buf_shrink(&s_buf, 100);
    cr_assert_eq(s_buf.capacity, 100);
    souk_buf_shrink(&s_buf, 0);
    cr_assert_eq(s_buf.capacity, 0);
    souk_buf_append(&s_buf, "ok", 2);
    s_expect("ok");
}
