#include "currency.h"

#include <inttypes.h>
#include <stdio.h>

/* Most have two places; these have not. */
static const struct {
    char code[4];
    int exponent;
} s_others[] = {
    {"BHD", 3}, {"BIF", 0}, {"CLF", 4}, {"CLP", 0}, {"DJF", 0}, {"GNF", 0}, {"IQD", 3},
    {"ISK", 0}, {"JOD", 3}, {"JPY", 0}, {"KMF", 0}, {"KRW", 0}, {"KWD", 3}, {"LYD", 3},
    {"OMR", 3}, {"PYG", 0}, {"RWF", 0}, {"TND", 3}, {"UGX", 0}, {"UYI", 0}, {"UYW", 4},
    {"VND", 0}, {"VUV", 0}, {"XAF", 0}, {"XOF", 0}, {"XPF", 0},
};

int orders_currency_exponent(souk_str_t currency) {
    for (size_t i = 0; i < SOUK_COUNT_OF(s_others); i++) {
        if (souk_str_equal(souk_str_of(s_others[i].code), currency)) {
            return s_others[i].exponent;
        }
    }
    return 2;
}

const char *orders_currency_print(int64_t amount, souk_str_t currency,
                                  char text[static ORDERS_CURRENCY_TEXT_BYTES]) {
    int exponent = orders_currency_exponent(currency);
    int64_t whole = 1;
    for (int i = 0; i < exponent; i++) {
        whole *= 10;
    }
    if (exponent == 0) {
        (void)snprintf(text, ORDERS_CURRENCY_TEXT_BYTES, "%" PRId64 " %.3s", amount, currency.data);
    } else {
        (void)snprintf(text, ORDERS_CURRENCY_TEXT_BYTES, "%" PRId64 ".%0*" PRId64 " %.3s",
                       amount / whole, exponent, amount % whole, currency.data);
    }
    return text;
}
