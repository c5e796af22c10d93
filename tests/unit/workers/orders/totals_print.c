/* Reads baskets as JSON lines from standard input and prints what orders_totals_compute makes of
 * each, as a JSON line; test_totals_oracle.py writes the one and judges the other. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "totals.h"

#define LINE_BYTES_MAX 65536
#define RATES_MAX 64
#define COUNTRIES_MAX 16

static int64_t s_int(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    souk_assert(json_is_integer(value) || json_is_null(value));
    return json_is_null(value) ? ORDERS_NONE : (int64_t)json_integer_value(value);
}

static souk_str_t s_str(const json_t *object, const char *name) {
    const char *value = json_string_value(json_object_get(object, name));
    souk_assert(value != NULL);
    return souk_str_of(value);
}

static bool s_bool(const json_t *object, const char *name) {
    souk_assert(json_is_boolean(json_object_get(object, name)));
    return json_is_true(json_object_get(object, name));
}

typedef struct {
    orders_tax_rate_t rates[RATES_MAX];
    orders_tax_table_t taxes;
    souk_str_t countries[COUNTRIES_MAX];
    orders_shipping_t shipping;
    orders_discount_t discount;
    orders_totals_input_t in;
    orders_totals_line_t lines[ORDERS_LINES_MAX + 1];
    size_t count;
} s_case_t;

static void s_read_taxes(const json_t *from, s_case_t *ret) {
    souk_assert(json_array_size(from) <= RATES_MAX);
    for (size_t i = 0; i < json_array_size(from); i++) {
        const json_t *rate = json_array_get(from, i);
        ret->rates[i] = (orders_tax_rate_t){.country = s_str(rate, "country"),
                                            .category = s_str(rate, "category"),
                                            .rate_ppm = s_int(rate, "rate_ppm"),
                                            .inclusive = s_bool(rate, "inclusive")};
    }
    ret->taxes = (orders_tax_table_t){.rates = ret->rates, .count = json_array_size(from)};
    ret->in.taxes = &ret->taxes;
}

static void s_read_shipping(const json_t *from, s_case_t *ret) {
    if (json_is_null(from)) {
        return;
    }
    const json_t *countries = json_object_get(from, "countries");
    souk_assert(json_array_size(countries) <= COUNTRIES_MAX);
    for (size_t i = 0; i < json_array_size(countries); i++) {
        ret->countries[i] = souk_str_of(json_string_value(json_array_get(countries, i)));
    }
    ret->shipping = (orders_shipping_t){.price = s_int(from, "price"),
                                        .free_from = s_int(from, "free_from"),
                                        .countries = ret->countries,
                                        .countries_count = json_array_size(countries),
                                        .active = s_bool(from, "active")};
    ret->in.shipping = &ret->shipping;
}

static void s_read_discount(const json_t *from, s_case_t *ret) {
    if (json_is_null(from)) {
        return;
    }
    bool percent = souk_str_equal(s_str(from, "kind"), SOUK_STR("percent"));
    ret->discount = (orders_discount_t){
        .kind = percent ? ORDERS_DISCOUNT_PERCENT : ORDERS_DISCOUNT_FIXED,
        .value = s_int(from, "value"),
        .minimum = s_int(from, "minimum"),
        .starts_at_us = s_int(from, "starts_at"),
        .ends_at_us = s_int(from, "ends_at"),
        .limit_total = ORDERS_NONE,
        .limit_per_customer = ORDERS_NONE,
        .active = s_bool(from, "active"),
    };
    ret->in.discount = &ret->discount;
}

static void s_read(const json_t *from, s_case_t *ret) {
    *ret = (s_case_t){.in = {.country = s_str(from, "country"), .now_us = s_int(from, "now")}};
    s_read_taxes(json_object_get(from, "taxes"), ret);
    s_read_shipping(json_object_get(from, "shipping"), ret);
    s_read_discount(json_object_get(from, "discount"), ret);
    const json_t *lines = json_object_get(from, "lines");
    ret->count = json_array_size(lines);
    souk_assert(ret->count <= SOUK_COUNT_OF(ret->lines));
    for (size_t i = 0; i < ret->count; i++) {
        const json_t *line = json_array_get(lines, i);
        ret->lines[i] = (orders_totals_line_t){.quantity = s_int(line, "quantity"),
                                               .unit_price = s_int(line, "unit_price"),
                                               .tax_category = s_str(line, "tax_category")};
    }
}

static json_t *s_written(const s_case_t *self, const orders_totals_t *totals) {
    json_t *lines = json_array();
    for (size_t i = 0; i < self->count; i++) {
        const orders_totals_line_t *line = &self->lines[i];
        json_t *row =
            json_pack("[I, I, I, I, I, b]", (json_int_t)line->subtotal, (json_int_t)line->discount,
                      (json_int_t)line->tax, (json_int_t)line->total,
                      (json_int_t)line->tax_rate_ppm, (int)line->tax_included);
        souk_assert(row != NULL && json_array_append_new(lines, row) == 0);
    }
    json_t *made = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:o}", "items", (json_int_t)totals->items,
        "discount", (json_int_t)totals->discount, "shipping", (json_int_t)totals->shipping, "tax",
        (json_int_t)totals->tax, "tax_added", (json_int_t)totals->tax_added, "grand",
        (json_int_t)totals->grand, "taxes_included", (int)totals->taxes_included, "shipping_tax",
        (json_int_t)totals->shipping_tax, "shipping_tax_rate_ppm",
        (json_int_t)totals->shipping_tax_rate_ppm, "lines", lines);
    souk_assert(made != NULL);
    return made;
}

int main(void) {
    static char text[LINE_BYTES_MAX];
    static s_case_t basket;
    while (fgets(text, sizeof text, stdin) != NULL) {
        json_t *from = json_loads(text, 0, NULL);
        souk_assert(from != NULL);
        s_read(from, &basket);
        orders_totals_t totals;
        souk_err_t err = orders_totals_compute(&basket.in, basket.lines, basket.count, &totals);
        json_t *made = err == SOUK_OK ? s_written(&basket, &totals)
                                      : json_pack("{s:s}", "error", souk_err_info(err)->code);
        souk_assert(made != NULL && json_dumpf(made, stdout, JSON_COMPACT) == 0);
        putchar('\n');
        json_decref(made);
        json_decref(from);
    }
    return EXIT_SUCCESS;
}
