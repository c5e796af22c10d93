/* Client addresses as places. */
#include <criterion/criterion.h>

#include "souk/address.h"

static const char *s_form(const char *address) {
    static char form[SOUK_ADDRESS_FORM_BYTES];
    souk_address_form(souk_str_of(address), form);
    return form;
}

Test(address, ipv4_is_itself) {
    cr_assert_str_eq(s_form("192.0.2.1"), "192.0.2.1");
    cr_assert_str_eq(s_form("::ffff:192.0.2.1"), "192.0.2.1");
    cr_assert_str_eq(s_form("::FFFF:c000:0201"), "192.0.2.1");
}

Test(address, ipv6_is_its_network) {
    cr_assert_str_eq(s_form("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    cr_assert_str_eq(s_form("2001:db8:1:2::7"), "2001:db8:1:2::");
    cr_assert_str_eq(s_form("2001:DB8:0:0:0:0:0:1"), "2001:db8::");
    cr_assert_str_eq(s_form("::1"), "::");
}

Test(address, what_is_none_is_nowhere) {
    static const char *const bad[] = {"",
                                      "x",
                                      "192.0.2",
                                      "192.0.2.1.1",
                                      "192.0.2.1:80",
                                      "[::1]",
                                      "fe80::1%eth0",
                                      "2001:db8:1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17"};
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        cr_assert_str_eq(s_form(bad[i]), "", "%s", bad[i]);
    }
}
