/* What a basket costs: pure arithmetic, the same for carts and for orders. No database, no clock,
 * no memory.
 *
 * All amounts are integers in minor units of one currency. The rules, in this order
 * (docs/pricing.md):
 *   1. A line's subtotal is unit price x quantity; items is their sum.
 *   2. The discount is a share of items (rounded half up) or a fixed amount, never more than items.
 * Every line qualifies in proportion to its subtotal: shares are rounded down, what is left goes by
 * one minor unit to the lines with the largest remainders, of equal ones to the first.
 *   3. A line's tax is taken from its discounted amount at the rate of (country, tax category),
 * else of (country, 'standard'), else 0, rounded half up per line. An inclusive rate's tax is
 * contained in the amount: a x r / (1 + r). An exclusive one's is added to it: a x r.
 *   4. Shipping costs the method's price, or nothing from free_from of items after discount. It is
 * taxed as the category 'shipping', by the same rules as a line.
 *   5. grand = items - discount + shipping + tax_added, where tax_added is the part of tax with
 * exclusive rates. Rates of both kinds may meet in one order: each line follows its own. A basket
 * without lines costs nothing, shipping included.
 *
 * Bounds: 1 to 999 of a line, 100 lines, rates of at most 100 %, and every amount and sum 0 to
 * 10^12. What is outside is SOUK_ERR_AMOUNT_TOO_LARGE; products are taken in 128 bits. */
#ifndef ORDERS_TOTALS_H
#define ORDERS_TOTALS_H

#include "souk/base.h"
#include "souk/err.h"

#define ORDERS_LINES_MAX 100
#define ORDERS_QUANTITY_MAX 999
#define ORDERS_AMOUNT_MAX ((int64_t)1000000000000)
#define ORDERS_PPM ((int64_t)1000000) /* parts per million: a whole */
/* Of bounds that are not there: discount windows, limits, free shipping. */
#define ORDERS_NONE INT64_MIN

/* ---- what is looked up; texts are borrowed ---- */

typedef struct {
    souk_str_t id, name;
    int64_t price;
    int64_t free_from; /* ORDERS_NONE: never free */
    const souk_str_t *countries;
    size_t countries_count; /* 0: every country */
    bool active;
    int64_t position, version;
} orders_shipping_t;

typedef struct {
    souk_str_t country, category, name;
    int64_t rate_ppm;
    bool inclusive;
    int64_t version;
} orders_tax_rate_t;

typedef struct {
    const orders_tax_rate_t *rates; /* no (country, category) twice; in any order */
    size_t count;
} orders_tax_table_t;

typedef enum { ORDERS_DISCOUNT_PERCENT, ORDERS_DISCOUNT_FIXED } orders_discount_kind_t;

typedef struct {
    souk_str_t code;
    orders_discount_kind_t kind;
    int64_t value;   /* percent: ppm of items; fixed: an amount */
    int64_t minimum; /* of items before discount; 0: none */
    int64_t starts_at_us,
        ends_at_us; /* applies from starts_at until just before ends_at, or ORDERS_NONE */
    int64_t limit_total, limit_per_customer,
        used; /* limits: ORDERS_NONE or a number; held by whoever places */
    bool active;
    int64_t version;
} orders_discount_t;

/* ---- the basket ---- */

typedef struct {
    souk_str_t sku; /* not looked at */
    int64_t quantity, unit_price;
    souk_str_t tax_category;
    /* What orders_totals_compute fills in. total: what the customer pays for the line. */
    int64_t subtotal, discount, tax, total, tax_rate_ppm;
    bool tax_included; /* tax is a part of the discounted amount, else on top of it */
} orders_totals_line_t;

typedef struct {
    const orders_shipping_t *shipping; /* NULL: not chosen yet, costs nothing */
    const orders_tax_table_t *taxes;
    souk_str_t country; /* ISO 3166 code of two capital letters; "": not known yet, no tax */
    const orders_discount_t *discount; /* NULL: none */
    int64_t now_us;
} orders_totals_input_t;

typedef struct {
    int64_t items;    /* sum of the lines' subtotals */
    int64_t discount; /* sum of the lines' discounts */
    int64_t shipping; /* before an exclusive tax */
    int64_t tax;      /* all tax, shipping's too, contained or added */
    int64_t tax_added;
    int64_t grand;
    bool taxes_included; /* no tax comes on top of the prices */
    int64_t shipping_tax, shipping_tax_rate_ppm;
} orders_totals_t;

/* SOUK_ERR_DISCOUNT_NOT_ACTIVE, SOUK_ERR_DISCOUNT_MINIMUM_NOT_MET, SOUK_ERR_SHIPPING_NOT_AVAILABLE
 * as of the two checks below, SOUK_ERR_AMOUNT_TOO_LARGE; lines and ret are untouched then. Of
 * discounts, limits are not looked at. */
SOUK_MUST_CHECK souk_err_t orders_totals_compute(const orders_totals_input_t *in,
                                                 orders_totals_line_t *lines, size_t count,
                                                 orders_totals_t *ret);

/* Sum of unit price x quantity: what minimum is compared with. */
SOUK_MUST_CHECK souk_err_t orders_totals_items(const orders_totals_line_t *lines, size_t count,
                                               int64_t *ret_items);

SOUK_MUST_CHECK souk_err_t orders_discount_check(const orders_discount_t *self, int64_t items,
                                                 int64_t now_us);

/* Active, and for the country; one that is not known yet is let pass. */
SOUK_MUST_CHECK souk_err_t orders_shipping_check(const orders_shipping_t *self, souk_str_t country);

/* The rate that is taken for the category in the country; NULL: none, 0 %. */
const orders_tax_rate_t *orders_tax_find(const orders_tax_table_t *self, souk_str_t country,
                                         souk_str_t category);

#endif
