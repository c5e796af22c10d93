#include <criterion/criterion.h>

#include "currency.h"

static void s_expect(int64_t amount, const char *currency, const char *expected) {
    char text[ORDERS_CURRENCY_TEXT_BYTES];
    cr_assert_str_eq(orders_currency_print(amount, souk_str_of(currency), text), expected);
}

Test(currency, amounts_have_their_currencys_places) {
    s_expect(1999, "EUR", "19.99 EUR");
    s_expect(5, "EUR", "0.05 EUR");
    s_expect(0, "USD", "0.00 USD");
    s_expect(1999, "JPY", "1999 JPY");
    s_expect(5, "KWD", "0.005 KWD");
    s_expect(12345678, "CLF", "1234.5678 CLF");
    s_expect(1000000000000, "EUR", "10000000000.00 EUR");
}

Test(currency, what_is_not_listed_has_two_places) {
    cr_assert_eq(orders_currency_exponent(SOUK_STR("EUR")), 2);
    cr_assert_eq(orders_currency_exponent(SOUK_STR("QQQ")), 2);
    cr_assert_eq(orders_currency_exponent(SOUK_STR("TND")), 3);
    cr_assert_eq(orders_currency_exponent(SOUK_STR("KRW")), 0);
}
