#include <criterion/criterion.h>

#include "orders/form.h"

static souk_arena_t *s_arena;

static void s_setup(void) {
    s_arena = souk_arena_new(65536, 0);
}

static void s_teardown(void) {
    souk_arena_destroy(&s_arena);
}

TestSuite(form, .init = s_setup, .fini = s_teardown);

static void s_expect(souk_str_t actual, const char *expected) {
    cr_assert(souk_str_equal(actual, souk_str_of(expected)), "%.*s", (int)actual.size, actual.data);
}

static souk_address_t s_address(void) {
    souk_address_t address = {0};
    souk_address_set_name(&address, SOUK_STR("  Zoe\u0308 M\u00fcller "));
    souk_address_set_line1(&address, SOUK_STR("12 St James's Square"));
    souk_address_set_city(&address, SOUK_STR("Ko\u0308ln"));
    souk_address_set_country(&address, SOUK_STR("DE"));
    return address;
}

Test(form, an_address_is_brought_into_one_form) {
    souk_address_t address = s_address();
    souk_address_set_phone(&address, SOUK_STR("+49 221 1234"));
    orders_form_issues_t issues;
    cr_assert_eq(orders_form_address(s_arena, &address, &issues), SOUK_OK);
    cr_assert_eq(issues.count, 0);
    s_expect(address.name, "Zo\u00eb M\u00fcller");
    s_expect(address.city, "K\u00f6ln");
    cr_assert(!souk_bits_has(&address.bits, SOUK_ADDRESS_COMPANY_BIT));
}

Test(form, all_that_is_wrong_with_an_address_is_told) {
    souk_address_t address = s_address();
    souk_address_set_name(&address, SOUK_STR(" \u00a0 "));
    souk_address_set_company(&address, SOUK_STR("a\nb"));
    souk_address_set_line1(&address, SOUK_STR("a\u202eb"));
    souk_address_set_line2(&address, SOUK_STR("\x01"));
    souk_address_set_postal_code(&address, SOUK_STR(""));
    souk_address_set_city(&address, SOUK_STR("\u2028"));
    souk_address_set_region(&address, SOUK_STR("\t"));
    souk_address_set_country(&address, SOUK_STR("UK"));
    souk_address_set_phone(&address, SOUK_STR("call me"));
    orders_form_issues_t issues;
    cr_assert_eq(orders_form_address(s_arena, &address, &issues), SOUK_ERR_VALIDATION);
    static const char *const fields[] = {"name", "company", "line1",   "line2", "postal_code",
                                         "city", "region",  "country", "phone"};
    cr_assert_eq(issues.count, SOUK_COUNT_OF(fields));
    for (size_t i = 0; i < issues.count; i++) {
        cr_assert_str_eq(issues.items[i].field, fields[i]);
    }
}

Test(form, codes_are_capitals) {
    souk_str_t code;
    cr_assert_eq(orders_form_code(s_arena, SOUK_STR("Welcome-10_z.A"), &code), SOUK_OK);
    s_expect(code, "WELCOME-10_Z.A");
    cr_assert_eq(orders_form_code(s_arena, SOUK_STR("\u00e4"), &code), SOUK_OK);
    s_expect(code, "\u00e4");
}

Test(form, a_full_arena_is_told) {
    souk_arena_t *small = souk_arena_new(16, 0);
    souk_address_t address = s_address();
    orders_form_issues_t issues;
    cr_assert_eq(orders_form_address(small, &address, &issues), SOUK_ERR_NO_MEMORY);
    souk_arena_destroy(&small);
}
