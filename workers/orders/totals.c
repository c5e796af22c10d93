#include "totals.h"

__extension__ typedef __int128 wide_t;

static bool s_amount_ok(int64_t amount) {
    return amount >= 0 && amount <= ORDERS_AMOUNT_MAX;
}

/* amount x part / whole, rounded half up. */
static int64_t s_share(int64_t amount, int64_t part, int64_t whole) {
    return (int64_t)(((wide_t)amount * part * 2 + whole) / ((wide_t)whole * 2));
}

souk_err_t orders_totals_items(const orders_totals_line_t *lines, size_t count,
                               int64_t *ret_items) {
    if (count > ORDERS_LINES_MAX) {
        return SOUK_ERR_AMOUNT_TOO_LARGE;
    }
    int64_t items = 0;
    for (size_t i = 0; i < count; i++) {
        const orders_totals_line_t *line = &lines[i];
        if (!s_amount_ok(line->unit_price) || line->quantity < 1 ||
            line->quantity > ORDERS_QUANTITY_MAX) {
            return SOUK_ERR_AMOUNT_TOO_LARGE;
        }
        items += line->unit_price * line->quantity; /* 100 x 999 x 10^12 fits */
    }
    if (!s_amount_ok(items)) {
        return SOUK_ERR_AMOUNT_TOO_LARGE;
    }
    *ret_items = items;
    return SOUK_OK;
}

/* ---- discount ---- */

souk_err_t orders_discount_check(const orders_discount_t *self, int64_t items, int64_t now_us) {
    bool begun = self->starts_at_us == ORDERS_NONE || now_us >= self->starts_at_us;
    bool ended = self->ends_at_us != ORDERS_NONE && now_us >= self->ends_at_us;
    if (!self->active || !begun || ended) {
        return SOUK_ERR_DISCOUNT_NOT_ACTIVE;
    }
    return items < self->minimum ? SOUK_ERR_DISCOUNT_MINIMUM_NOT_MET : SOUK_OK;
}

static souk_err_t s_discount(const orders_discount_t *discount, int64_t items,
                             int64_t *ret_amount) {
    bool percent = discount->kind == ORDERS_DISCOUNT_PERCENT;
    int64_t most = percent ? ORDERS_PPM : ORDERS_AMOUNT_MAX;
    if (discount->value < 0 || discount->value > most) {
        return SOUK_ERR_AMOUNT_TOO_LARGE;
    }
    int64_t amount = percent ? s_share(items, discount->value, ORDERS_PPM) : discount->value;
    *ret_amount = amount < items ? amount : items;
    return SOUK_OK;
}

/* Largest remainder. A share rounded down is below its line's subtotal unless the discount is all
 * of items, and then nothing is left over: so no line is discounted by more than it costs. */
static void s_allocate(int64_t amount, int64_t items, orders_totals_line_t *lines, size_t count) {
    int64_t remainders[ORDERS_LINES_MAX];
    int64_t left = amount;
    for (size_t i = 0; i < count; i++) {
        wide_t product = (wide_t)amount * lines[i].subtotal;
        lines[i].discount = items > 0 ? (int64_t)(product / items) : 0;
        remainders[i] = items > 0 ? (int64_t)(product % items) : 0;
        left -= lines[i].discount;
    }
    for (; left > 0; left--) {
        size_t best = 0;
        for (size_t i = 1; i < count; i++) {
            best = remainders[i] > remainders[best] ? i : best;
        }
        lines[best].discount++;
        remainders[best] = -1;
    }
}

/* ---- tax ---- */

const orders_tax_rate_t *orders_tax_find(const orders_tax_table_t *self, souk_str_t country,
                                         souk_str_t category) {
    const orders_tax_rate_t *standard = NULL;
    for (size_t i = 0; i < self->count; i++) {
        const orders_tax_rate_t *rate = &self->rates[i];
        if (!souk_str_equal(rate->country, country)) {
            continue;
        }
        if (souk_str_equal(rate->category, category)) {
            return rate;
        }
        if (souk_str_equal(rate->category, SOUK_STR("standard"))) {
            standard = rate;
        }
    }
    return standard;
}

typedef struct {
    int64_t tax, rate_ppm;
    bool included;
} s_tax_t;

static souk_err_t s_tax(const orders_totals_input_t *in, souk_str_t category, int64_t amount,
                        s_tax_t *ret) {
    const orders_tax_rate_t *rate = orders_tax_find(in->taxes, in->country, category);
    if (rate == NULL) {
        *ret = (s_tax_t){.included = true};
        return SOUK_OK;
    }
    if (rate->rate_ppm < 0 || rate->rate_ppm > ORDERS_PPM) {
        return SOUK_ERR_AMOUNT_TOO_LARGE;
    }
    int64_t whole = rate->inclusive ? ORDERS_PPM + rate->rate_ppm : ORDERS_PPM;
    *ret = (s_tax_t){.tax = s_share(amount, rate->rate_ppm, whole),
                     .rate_ppm = rate->rate_ppm,
                     .included = rate->inclusive};
    return SOUK_OK;
}

static souk_err_t s_tax_lines(const orders_totals_input_t *in, orders_totals_line_t *lines,
                              size_t count, orders_totals_t *totals) {
    for (size_t i = 0; i < count; i++) {
        orders_totals_line_t *line = &lines[i];
        int64_t amount = line->subtotal - line->discount;
        s_tax_t tax;
        SOUK_TRY(s_tax(in, line->tax_category, amount, &tax));
        line->tax = tax.tax;
        line->tax_rate_ppm = tax.rate_ppm;
        line->tax_included = tax.included;
        line->total = amount + (tax.included ? 0 : tax.tax);
        totals->tax += tax.tax;
        totals->tax_added += tax.included ? 0 : tax.tax;
        totals->taxes_included = totals->taxes_included && tax.included;
    }
    return SOUK_OK;
}

/* ---- shipping ---- */

souk_err_t orders_shipping_check(const orders_shipping_t *self, souk_str_t country) {
    bool served = self->countries_count == 0 || country.size == 0;
    for (size_t i = 0; i < self->countries_count && !served; i++) {
        served = souk_str_equal(self->countries[i], country);
    }
    return self->active && served ? SOUK_OK : SOUK_ERR_SHIPPING_NOT_AVAILABLE;
}

static souk_err_t s_ship(const orders_totals_input_t *in, orders_totals_t *totals) {
    const orders_shipping_t *shipping = in->shipping;
    if (shipping == NULL) {
        return SOUK_OK;
    }
    SOUK_TRY(orders_shipping_check(shipping, in->country));
    bool free = shipping->free_from != ORDERS_NONE &&
                totals->items - totals->discount >= shipping->free_from;
    totals->shipping = free ? 0 : shipping->price;
    if (!s_amount_ok(totals->shipping)) {
        return SOUK_ERR_AMOUNT_TOO_LARGE;
    }
    s_tax_t tax;
    SOUK_TRY(s_tax(in, SOUK_STR("shipping"), totals->shipping, &tax));
    totals->shipping_tax = tax.tax;
    totals->shipping_tax_rate_ppm = tax.rate_ppm;
    totals->tax += tax.tax;
    totals->tax_added += tax.included ? 0 : tax.tax;
    totals->taxes_included = totals->taxes_included && tax.included;
    return SOUK_OK;
}

/* ---- all of it ---- */

static souk_err_t s_compute(const orders_totals_input_t *in, orders_totals_line_t *lines,
                            size_t count, orders_totals_t *totals) {
    SOUK_TRY(orders_totals_items(lines, count, &totals->items));
    for (size_t i = 0; i < count; i++) {
        lines[i].subtotal = lines[i].unit_price * lines[i].quantity;
    }
    if (in->discount != NULL) {
        SOUK_TRY(orders_discount_check(in->discount, totals->items, in->now_us));
        SOUK_TRY(s_discount(in->discount, totals->items, &totals->discount));
    }
    s_allocate(totals->discount, totals->items, lines, count);
    SOUK_TRY(s_tax_lines(in, lines, count, totals));
    SOUK_TRY(s_ship(in, totals));
    totals->grand = totals->items - totals->discount + totals->shipping + totals->tax_added;
    return s_amount_ok(totals->grand) && s_amount_ok(totals->tax) ? SOUK_OK
                                                                  : SOUK_ERR_AMOUNT_TOO_LARGE;
}

souk_err_t orders_totals_compute(const orders_totals_input_t *in, orders_totals_line_t *lines,
                                 size_t count, orders_totals_t *ret) {
    orders_totals_t totals = {.taxes_included = true};
    if (count == 0) {
        *ret = totals;
        return SOUK_OK;
    }
    if (count > ORDERS_LINES_MAX) {
        return SOUK_ERR_AMOUNT_TOO_LARGE;
    }
    orders_totals_line_t priced[ORDERS_LINES_MAX]; /* so that lines stay as they are on failure */
    memcpy(priced, lines, count * sizeof priced[0]);
    SOUK_TRY(s_compute(in, priced, count, &totals));
    memcpy(lines, priced, count * sizeof priced[0]);
    *ret = totals;
    return SOUK_OK;
}
