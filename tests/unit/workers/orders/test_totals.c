#include <criterion/criterion.h>

#include "totals.h"

/* SOUK_STR for initializers of static objects. */
#define TEXT(literal)                                                                              \
    { .data = (literal), .size = sizeof(literal) - 1 }

/* Germany: prices with tax; the United States of this test: tax on top. */
static const orders_tax_rate_t s_rates[] = {
    {.country = TEXT("DE"), .category = TEXT("standard"), .rate_ppm = 190000, .inclusive = true},
    {.country = TEXT("DE"), .category = TEXT("books"), .rate_ppm = 70000, .inclusive = true},
    {.country = TEXT("US"), .category = TEXT("shipping"), .rate_ppm = 0, .inclusive = false},
    {.country = TEXT("US"), .category = TEXT("standard"), .rate_ppm = 82500, .inclusive = false},
    {.country = TEXT("MX"), .category = TEXT("standard"), .rate_ppm = 160000, .inclusive = true},
    {.country = TEXT("MX"), .category = TEXT("luxury"), .rate_ppm = 100000, .inclusive = false},
    {.country = TEXT("NO"), .category = TEXT("food"), .rate_ppm = 150000, .inclusive = true},
};
static const orders_tax_table_t s_taxes = {.rates = s_rates, .count = SOUK_COUNT_OF(s_rates)};
static const souk_str_t s_countries[] = {TEXT("DE"), TEXT("US")};
static const orders_shipping_t s_parcel = {.id = TEXT("parcel"),
                                           .price = 495,
                                           .free_from = 5000,
                                           .countries = s_countries,
                                           .countries_count = SOUK_COUNT_OF(s_countries),
                                           .active = true};
static const orders_discount_t s_ten_percent = {.kind = ORDERS_DISCOUNT_PERCENT,
                                                .value = 100000,
                                                .minimum = 1000,
                                                .starts_at_us = 1000,
                                                .ends_at_us = 2000,
                                                .limit_total = ORDERS_NONE,
                                                .limit_per_customer = ORDERS_NONE,
                                                .active = true};

static orders_totals_line_t s_line(int64_t quantity, int64_t unit_price, const char *category) {
    return (orders_totals_line_t){
        .quantity = quantity, .unit_price = unit_price, .tax_category = souk_str_of(category)};
}

static orders_totals_input_t s_input(const char *country) {
    return (orders_totals_input_t){
        .taxes = &s_taxes, .country = souk_str_of(country), .now_us = 1500};
}

static orders_totals_t s_compute(const orders_totals_input_t *in, orders_totals_line_t *lines,
                                 size_t count) {
    orders_totals_t totals;
    cr_assert_eq(orders_totals_compute(in, lines, count, &totals), SOUK_OK);
    return totals;
}

Test(totals, inclusive_tax_is_contained_in_the_prices) {
    orders_totals_line_t lines[] = {s_line(2, 1999, "standard"), s_line(1, 1000, "books")};
    orders_totals_input_t in = s_input("DE");
    in.shipping = &s_parcel;
    orders_totals_t totals = s_compute(&in, lines, 2);
    cr_assert_eq(lines[0].subtotal, 3998);
    cr_assert_eq(lines[0].tax, 638); /* 638.3 */
    cr_assert_eq(lines[0].total, 3998);
    cr_assert_eq(lines[1].tax, 65); /* 65.4 */
    cr_assert_eq(lines[1].tax_rate_ppm, 70000);
    cr_assert_eq(totals.items, 4998);
    cr_assert_eq(totals.shipping, 495);
    cr_assert_eq(totals.shipping_tax, 79); /* 79.03; no rate for shipping: the standard one */
    cr_assert_eq(totals.tax, 638 + 65 + 79);
    cr_assert_eq(totals.tax_added, 0);
    cr_assert(totals.taxes_included);
    cr_assert_eq(totals.grand, 4998 + 495);
}

Test(totals, exclusive_tax_is_added) {
    orders_totals_line_t lines[] = {s_line(1, 1999, "standard"), s_line(3, 100, "books")};
    orders_totals_input_t in = s_input("US");
    in.shipping = &s_parcel;
    orders_totals_t totals = s_compute(&in, lines, 2);
    cr_assert_eq(lines[0].tax, 165); /* 164.9175 */
    cr_assert_eq(lines[0].total, 1999 + 165);
    cr_assert_eq(lines[1].tax, 25); /* 24.75, at the standard rate */
    cr_assert_eq(totals.shipping_tax, 0);
    cr_assert_eq(totals.tax, 190);
    cr_assert_eq(totals.tax_added, 190);
    cr_assert(!totals.taxes_included);
    cr_assert_eq(totals.grand, 2299 + 495 + 190);
}

Test(totals, each_line_follows_its_own_kind_of_rate) {
    orders_totals_line_t lines[] = {s_line(1, 11600, "standard"), s_line(1, 5000, "luxury")};
    orders_totals_input_t in = s_input("MX");
    orders_totals_t totals = s_compute(&in, lines, 2);
    cr_assert_eq(lines[0].tax, 1600);
    cr_assert(lines[0].tax_included);
    cr_assert_eq(lines[0].total, 11600);
    cr_assert_eq(lines[1].tax, 500);
    cr_assert(!lines[1].tax_included);
    cr_assert_eq(lines[1].total, 5500);
    cr_assert_eq(totals.tax, 2100);
    cr_assert_eq(totals.tax_added, 500);
    cr_assert_eq(totals.grand, 17100);
    cr_assert(!totals.taxes_included);
}

Test(totals, half_of_a_minor_unit_is_rounded_up) {
    orders_totals_line_t line = s_line(1, 50, "luxury"); /* 10 % of 50 is 5; of 45 it is 4.5 */
    orders_totals_input_t in = s_input("MX");
    s_compute(&in, &line, 1);
    cr_assert_eq(line.tax, 5);
    line = s_line(1, 45, "luxury");
    s_compute(&in, &line, 1);
    cr_assert_eq(line.tax, 5);
    line = s_line(1, 44, "luxury");
    s_compute(&in, &line, 1);
    cr_assert_eq(line.tax, 4);
}

Test(totals, a_country_or_category_without_rate_has_none) {
    orders_totals_line_t lines[] = {s_line(1, 1000, "standard"), s_line(1, 1150, "food")};
    orders_totals_input_t in = s_input("NO");
    orders_totals_t totals = s_compute(&in, lines, 2);
    cr_assert_eq(lines[0].tax, 0);
    cr_assert_eq(lines[0].tax_rate_ppm, 0);
    cr_assert_eq(lines[1].tax, 150);
    cr_assert_eq(totals.grand, 2150);
    in.country = SOUK_STR("");
    cr_assert_eq(s_compute(&in, lines, 2).tax, 0);
}

Test(totals, the_discount_is_shared_by_largest_remainder) {
    orders_totals_line_t lines[] = {s_line(1, 1000, "books"), s_line(1, 1000, "books"),
                                    s_line(1, 1000, "books"), s_line(1, 0, "books")};
    orders_discount_t discount = s_ten_percent;
    discount.kind = ORDERS_DISCOUNT_FIXED;
    discount.value = 500; /* 166.67 each */
    orders_totals_input_t in = s_input("DE");
    in.discount = &discount;
    orders_totals_t totals = s_compute(&in, lines, 4);
    cr_assert_eq(totals.discount, 500);
    cr_assert_eq(lines[0].discount, 167);
    cr_assert_eq(lines[1].discount, 167);
    cr_assert_eq(lines[2].discount, 166);
    cr_assert_eq(lines[3].discount, 0);
    cr_assert_eq(lines[2].tax, 55); /* of 834: 54.56 */
    cr_assert_eq(lines[2].total, 834);
}

Test(totals, a_discount_never_exceeds_the_items) {
    orders_totals_line_t lines[] = {s_line(2, 333, "books"), s_line(1, 335, "books")};
    orders_discount_t discount = s_ten_percent;
    discount.kind = ORDERS_DISCOUNT_FIXED;
    discount.value = ORDERS_AMOUNT_MAX;
    orders_totals_input_t in = s_input("DE");
    in.discount = &discount;
    in.shipping = &s_parcel;
    orders_totals_t totals = s_compute(&in, lines, 2);
    cr_assert_eq(totals.discount, 1001);
    cr_assert_eq(lines[0].total, 0);
    cr_assert_eq(lines[1].total, 0);
    cr_assert_eq(totals.grand, 495);
}

Test(totals, a_discount_applies_in_its_window_and_from_its_minimum) {
    orders_totals_line_t line = s_line(1, 999, "books");
    orders_totals_input_t in = s_input("DE");
    orders_discount_t discount = s_ten_percent;
    in.discount = &discount;
    orders_totals_t totals = {.grand = -7};
    cr_assert_eq(orders_totals_compute(&in, &line, 1, &totals), SOUK_ERR_DISCOUNT_MINIMUM_NOT_MET);
    cr_assert_eq(totals.grand, -7);
    cr_assert_eq(line.subtotal, 0);
    line.unit_price = 1000;
    cr_assert_eq(s_compute(&in, &line, 1).discount, 100);
    const int64_t outside[] = {999, 2000, INT64_MAX, 0};
    for (size_t i = 0; i < SOUK_COUNT_OF(outside); i++) {
        in.now_us = outside[i];
        cr_assert_eq(orders_totals_compute(&in, &line, 1, &totals), SOUK_ERR_DISCOUNT_NOT_ACTIVE);
    }
    discount.starts_at_us = ORDERS_NONE;
    discount.ends_at_us = ORDERS_NONE;
    cr_assert_eq(s_compute(&in, &line, 1).discount, 100);
    discount.active = false;
    cr_assert_eq(orders_totals_compute(&in, &line, 1, &totals), SOUK_ERR_DISCOUNT_NOT_ACTIVE);
}

Test(totals, shipping_is_free_from_a_threshold_after_discount) {
    orders_totals_line_t line = s_line(1, 5555, "books");
    orders_totals_input_t in = s_input("DE");
    in.shipping = &s_parcel;
    cr_assert_eq(s_compute(&in, &line, 1).shipping, 0);
    in.discount = &s_ten_percent; /* 555.5: 4999 are left */
    cr_assert_eq(s_compute(&in, &line, 1).shipping, 495);
    line.unit_price = 5556; /* 5000 are left */
    cr_assert_eq(s_compute(&in, &line, 1).shipping, 0);
}

Test(totals, shipping_serves_its_countries_while_active) {
    orders_totals_line_t line = s_line(1, 100, "books");
    orders_totals_input_t in = s_input("NO");
    orders_shipping_t shipping = s_parcel;
    in.shipping = &shipping;
    orders_totals_t totals;
    cr_assert_eq(orders_totals_compute(&in, &line, 1, &totals), SOUK_ERR_SHIPPING_NOT_AVAILABLE);
    shipping.countries_count = 0;
    cr_assert_eq(s_compute(&in, &line, 1).shipping, 495);
    shipping.active = false;
    cr_assert_eq(orders_totals_compute(&in, &line, 1, &totals), SOUK_ERR_SHIPPING_NOT_AVAILABLE);
    shipping = s_parcel;
    in.country = SOUK_STR("");
    cr_assert_eq(s_compute(&in, &line, 1).shipping, 495);
}

Test(totals, an_empty_basket_costs_nothing) {
    orders_totals_input_t in = s_input("DE");
    in.shipping = &s_parcel;
    orders_totals_t totals = s_compute(&in, NULL, 0);
    cr_assert_eq(totals.grand, 0);
    cr_assert_eq(totals.shipping, 0);
    cr_assert(totals.taxes_included);
}

Test(totals, what_is_out_of_bounds_is_named) {
    orders_totals_line_t lines[ORDERS_LINES_MAX + 1];
    for (size_t i = 0; i < SOUK_COUNT_OF(lines); i++) {
        lines[i] = s_line(1, ORDERS_AMOUNT_MAX / ORDERS_LINES_MAX, "books");
    }
    orders_totals_input_t in = s_input("DE");
    orders_totals_t totals;
    cr_assert_eq(s_compute(&in, lines, ORDERS_LINES_MAX).grand, ORDERS_AMOUNT_MAX);
    in.country = SOUK_STR("US"); /* the tax comes on top */
    lines[0].tax = -7;
    cr_assert_eq(orders_totals_compute(&in, lines, ORDERS_LINES_MAX, &totals),
                 SOUK_ERR_AMOUNT_TOO_LARGE);
    cr_assert_eq(lines[0].tax, -7);
    in.country = SOUK_STR("DE");
    cr_assert_eq(orders_totals_compute(&in, lines, ORDERS_LINES_MAX + 1, &totals),
                 SOUK_ERR_AMOUNT_TOO_LARGE);
    lines[0].unit_price++;
    cr_assert_eq(orders_totals_compute(&in, lines, ORDERS_LINES_MAX, &totals),
                 SOUK_ERR_AMOUNT_TOO_LARGE);
    const struct {
        int64_t quantity, unit_price;
    } bad[] = {{0, 1},          {-1, 1},
               {1000, 1},       {1, -1},
               {1, INT64_MAX},  {999, ORDERS_AMOUNT_MAX},
               {INT64_MIN, -1}, {1, ORDERS_AMOUNT_MAX + 1}};
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        lines[0] = s_line(bad[i].quantity, bad[i].unit_price, "books");
        cr_assert_eq(orders_totals_compute(&in, lines, 1, &totals), SOUK_ERR_AMOUNT_TOO_LARGE);
    }
}
