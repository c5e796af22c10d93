/* What a basket costs and how it is shown. */
#include <inttypes.h>

#include "orders/basket.h"
#include "orders/currency.h"
#include "orders/record.h"
#include "souk/clock.h"

#define LINE_PROBLEMS_MAX 3

/* ---- price ----------------------------------------------------------------------------------- */

static bool s_can_be_bought(const orders_service_t *service, const orders_basket_line_t *line) {
    return line->known && line->sellable && souk_str_equal(line->currency, service->currency);
}

static void s_object(orders_basket_price_t *price, int32_t code, souk_str_t detail) {
    souk_assert(price->problems_count < ORDERS_BASKET_PROBLEMS_MAX);
    price->problems[price->problems_count++] =
        (orders_basket_problem_t){.code = code, .detail = detail};
}

static souk_str_t s_minimum_detail(souk_ctx_t *ctx, const orders_discount_t *discount,
                                   int64_t items) {
    const orders_service_t *service = souk_ctx_service(ctx);
    char asked[ORDERS_CURRENCY_TEXT_BYTES], cost[ORDERS_CURRENCY_TEXT_BYTES];
    return souk_arena_printf(souk_ctx_arena(ctx), "the items cost %s, the code asks for %s",
                             orders_currency_print(items, service->currency, cost),
                             orders_currency_print(discount->minimum, service->currency, asked));
}

/* The discount that applies; NULL: none, and why is among the problems. */
static const orders_discount_t *s_discount(souk_ctx_t *ctx, const orders_basket_t *self,
                                           int64_t items, orders_basket_price_t *price) {
    if (self->discount_code.data == NULL || self->count == 0) {
        return NULL;
    }
    if (!self->discount_known) {
        s_object(price, ORDERS_CART_PROBLEM_CODE_DISCOUNT_UNKNOWN,
                 SOUK_STR("there is no such code any more"));
        return NULL;
    }
    const orders_discount_t *discount = &self->discount;
    switch (orders_discount_check(discount, items, souk_clock_unix_us())) {
    case SOUK_OK:
        break;
    case SOUK_ERR_DISCOUNT_MINIMUM_NOT_MET:
        s_object(price, ORDERS_CART_PROBLEM_CODE_DISCOUNT_MINIMUM_NOT_MET,
                 s_minimum_detail(ctx, discount, items));
        return NULL;
    default:
        s_object(price, ORDERS_CART_PROBLEM_CODE_DISCOUNT_NOT_ACTIVE,
                 SOUK_STR("the code is not valid at the moment"));
        return NULL;
    }
    if (discount->limit_total != ORDERS_NONE && discount->used >= discount->limit_total) {
        s_object(price, ORDERS_CART_PROBLEM_CODE_DISCOUNT_USED_UP,
                 SOUK_STR("the code has been used as often as it may be"));
        return NULL;
    }
    return discount;
}

/* The shipping method that is charged; NULL: none. */
static const orders_shipping_t *s_shipping(const orders_basket_t *self,
                                           orders_basket_price_t *price) {
    if (self->shipping_method.data == NULL) {
        return NULL;
    }
    price->shipping = orders_reference_shipping(self->reference, self->shipping_method);
    if (price->shipping == NULL ||
        orders_shipping_check(price->shipping, self->country) != SOUK_OK) {
        s_object(price, ORDERS_CART_PROBLEM_CODE_SHIPPING_NOT_AVAILABLE,
                 SOUK_STR("the method does not serve this address, or is no longer offered"));
        return NULL;
    }
    return price->shipping;
}

souk_err_t orders_basket_price(souk_ctx_t *ctx, const orders_basket_t *self,
                               orders_basket_price_t *ret) {
    *ret = (orders_basket_price_t){.totals = {.taxes_included = true}};
    orders_totals_line_t sold[ORDERS_LINES_MAX];
    size_t from[ORDERS_LINES_MAX], count = 0;
    for (size_t i = 0; i < self->count; i++) {
        const orders_basket_line_t *line = &self->lines[i];
        ret->lines[i].tax_included = true;
        if (s_can_be_bought(souk_ctx_service(ctx), line)) {
            from[count] = i;
            sold[count++] = (orders_totals_line_t){.sku = line->sku,
                                                   .quantity = line->quantity,
                                                   .unit_price = line->price,
                                                   .tax_category = line->tax_category};
        }
    }
    int64_t items;
    SOUK_TRY(orders_totals_items(sold, count, &items));
    orders_tax_table_t taxes = orders_reference_taxes(self->reference, self->country);
    const orders_totals_input_t in = {
        .shipping = s_shipping(self, ret),
        .taxes = &taxes,
        .country = self->country,
        .discount = s_discount(ctx, self, items, ret),
        .now_us = souk_clock_unix_us(),
    };
    SOUK_TRY(orders_totals_compute(&in, sold, count, &ret->totals));
    for (size_t i = 0; i < count; i++) {
        ret->lines[from[i]] = sold[i];
    }
    return SOUK_OK;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void s_money(souk_ctx_t *ctx, int64_t amount, souk_money_t *ret) {
    const orders_service_t *service = souk_ctx_service(ctx);
    souk_money_set_amount(ret, amount);
    souk_money_set_currency(ret, service->currency);
}

static void s_or_null(souk_str_t value, souk_str_t *member, souk_bits_t *bits, unsigned bit) {
    if (value.data == NULL) {
        souk_bits_set_nil(bits, bit);
    } else {
        *member = value;
        souk_bits_set(bits, bit);
    }
}

static void s_problem(orders_cart_problem_t *ret, int32_t code, souk_str_t detail) {
    orders_cart_problem_set_code(ret, code);
    orders_cart_problem_set_detail(ret, detail);
}

/* What keeps the line from being bought, or should be known. */
static size_t s_line_problems(souk_ctx_t *ctx, const orders_basket_line_t *line,
                              orders_cart_problem_t problems[static LINE_PROBLEMS_MAX]) {
    const orders_service_t *service = souk_ctx_service(ctx);
    souk_arena_t *arena = souk_ctx_arena(ctx);
    size_t count = 0;
    if (!line->known) {
        s_problem(&problems[count++], ORDERS_CART_PROBLEM_CODE_SKU_UNKNOWN,
                  SOUK_STR("there is no such SKU"));
        return count;
    }
    if (!line->sellable) {
        s_problem(&problems[count++], ORDERS_CART_PROBLEM_CODE_SKU_NOT_SELLABLE,
                  SOUK_STR("it is not for sale"));
    } else if (!s_can_be_bought(service, line)) {
        s_problem(&problems[count++], ORDERS_CART_PROBLEM_CODE_CURRENCY_MISMATCH,
                  SOUK_STR("its price is in another currency than the store's"));
    } else if (line->in_stock < line->quantity) {
        int64_t left = line->in_stock > 0 ? line->in_stock : 0;
        s_problem(&problems[count++], ORDERS_CART_PROBLEM_CODE_INSUFFICIENT_STOCK,
                  souk_arena_printf(arena, "%" PRId64 " of %" PRId64 " are in stock", left,
                                    line->quantity));
    }
    if (line->seen_price != ORDERS_NONE && line->seen_price != line->price) {
        char former[ORDERS_CURRENCY_TEXT_BYTES], now[ORDERS_CURRENCY_TEXT_BYTES];
        s_problem(&problems[count++], ORDERS_CART_PROBLEM_CODE_PRICE_CHANGED,
                  souk_arena_printf(arena, "from %s to %s",
                                    orders_currency_print(line->seen_price, line->currency, former),
                                    orders_currency_print(line->price, line->currency, now)));
    }
    return count;
}

static void s_line_amounts(souk_ctx_t *ctx, const orders_basket_line_t *line,
                           const orders_totals_line_t *priced, orders_cart_line_t *ret) {
    const orders_service_t *service = souk_ctx_service(ctx);
    souk_money_set_amount(&ret->unit_price, line->price);
    souk_money_set_currency(&ret->unit_price, line->known ? line->currency : service->currency);
    s_money(ctx, priced->subtotal, &ret->subtotal);
    s_money(ctx, priced->discount, &ret->discount);
    s_money(ctx, priced->tax, &ret->tax);
    s_money(ctx, priced->total, &ret->total);
    static const unsigned bits[] = {ORDERS_CART_LINE_UNIT_PRICE_BIT, ORDERS_CART_LINE_SUBTOTAL_BIT,
                                    ORDERS_CART_LINE_DISCOUNT_BIT, ORDERS_CART_LINE_TAX_BIT,
                                    ORDERS_CART_LINE_TOTAL_BIT};
    for (size_t i = 0; i < SOUK_COUNT_OF(bits); i++) {
        souk_bits_set(&ret->bits, bits[i]);
    }
    if (line->known && line->seen_price != ORDERS_NONE && line->seen_price != line->price) {
        s_money(ctx, line->seen_price, &ret->previous_price);
        souk_bits_set(&ret->bits, ORDERS_CART_LINE_PREVIOUS_PRICE_BIT);
    } else {
        souk_bits_set_nil(&ret->bits, ORDERS_CART_LINE_PREVIOUS_PRICE_BIT);
    }
    orders_cart_line_set_tax_rate_ppm(ret, priced->tax_rate_ppm);
    orders_cart_line_set_tax_included(ret, priced->tax_included);
}

static souk_err_t s_line(souk_ctx_t *ctx, const orders_basket_line_t *line,
                         const orders_totals_line_t *priced, orders_cart_line_t *ret) {
    souk_arena_t *arena = souk_ctx_arena(ctx);
    orders_cart_line_set_sku(ret, line->sku);
    orders_cart_line_set_quantity(ret, line->quantity);
    s_or_null(line->product_id, &ret->product_id, &ret->bits, ORDERS_CART_LINE_PRODUCT_ID_BIT);
    s_or_null(line->slug, &ret->slug, &ret->bits, ORDERS_CART_LINE_SLUG_BIT);
    s_or_null(line->name, &ret->name, &ret->bits, ORDERS_CART_LINE_NAME_BIT);
    souk_pairs_t options = {0};
    if (line->known) {
        SOUK_TRY(orders_options_read(line->options, arena, &options));
    }
    orders_cart_line_set_option_values(ret, options);
    s_line_amounts(ctx, line, priced, ret);
    int64_t available = line->in_stock < line->quantity ? line->in_stock : line->quantity;
    orders_cart_line_set_available(ret, available > 0 ? available : 0);
    orders_cart_problem_t problems[LINE_PROBLEMS_MAX] = {0};
    size_t count = s_line_problems(ctx, line, problems);
    orders_cart_problem_t *copies = orders_cart_line_new_problems(ret, arena, count);
    if (copies == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    memcpy(copies, problems, count * sizeof problems[0]);
    return SOUK_OK;
}

/* ---- the cart -------------------------------------------------------------------------------- */

static souk_err_t s_head(souk_ctx_t *ctx, const orders_basket_t *self,
                         const orders_basket_price_t *price, orders_cart_t *ret) {
    const orders_service_t *service = souk_ctx_service(ctx);
    souk_str_t none = {0};
    orders_cart_set_id(ret, self->id);
    orders_cart_set_version(ret, self->version);
    orders_cart_set_status(ret, self->status);
    orders_cart_set_subject(ret, self->subject);
    s_or_null(self->email, &ret->email, &ret->bits, ORDERS_CART_EMAIL_BIT);
    s_or_null(self->shipping_method, &ret->shipping_method, &ret->bits,
              ORDERS_CART_SHIPPING_METHOD_BIT);
    s_or_null(price->shipping != NULL ? price->shipping->name : none, &ret->shipping_name,
              &ret->bits, ORDERS_CART_SHIPPING_NAME_BIT);
    s_or_null(self->discount_code, &ret->discount_code, &ret->bits, ORDERS_CART_DISCOUNT_CODE_BIT);
    orders_cart_set_currency(ret, service->currency);
    orders_cart_set_created_at(ret, self->created_at);
    orders_cart_set_updated_at(ret, self->updated_at);
    orders_cart_set_expires_at(ret, self->expires_at);
    if (self->address.data == NULL) {
        souk_bits_set_nil(&ret->bits, ORDERS_CART_SHIPPING_ADDRESS_BIT);
        return SOUK_OK;
    }
    souk_bits_set(&ret->bits, ORDERS_CART_SHIPPING_ADDRESS_BIT);
    return orders_address_read(self->address, souk_ctx_arena(ctx), &ret->shipping_address);
}

static void s_totals(souk_ctx_t *ctx, const orders_totals_t *totals, orders_cart_t *ret) {
    s_money(ctx, totals->items, &ret->items_total);
    s_money(ctx, totals->discount, &ret->discount_total);
    s_money(ctx, totals->shipping, &ret->shipping_total);
    s_money(ctx, totals->tax, &ret->tax_total);
    s_money(ctx, totals->grand, &ret->grand_total);
    static const unsigned bits[] = {ORDERS_CART_ITEMS_TOTAL_BIT, ORDERS_CART_DISCOUNT_TOTAL_BIT,
                                    ORDERS_CART_SHIPPING_TOTAL_BIT, ORDERS_CART_TAX_TOTAL_BIT,
                                    ORDERS_CART_GRAND_TOTAL_BIT};
    for (size_t i = 0; i < SOUK_COUNT_OF(bits); i++) {
        souk_bits_set(&ret->bits, bits[i]);
    }
    orders_cart_set_taxes_included(ret, totals->taxes_included);
}

/* FNV-1a, by whole numbers and by bytes. */
static uint64_t s_mix_int(uint64_t hash, int64_t value) {
    return (hash ^ (uint64_t)value) * 0x100000001b3U;
}

static uint64_t s_mix_text(uint64_t hash, souk_str_t text) {
    for (size_t i = 0; i < text.size; i++) {
        hash = s_mix_int(hash, (unsigned char)text.data[i]);
    }
    return hash;
}

/* Stands in the ETag behind the version: what is shown and changes without a new one. */
static souk_str_t s_pricing_tag(souk_ctx_t *ctx, const orders_basket_t *self,
                                const orders_basket_price_t *price) {
    uint64_t hash = 0xcbf29ce484222325U;
    for (size_t i = 0; i < self->count; i++) {
        const orders_basket_line_t *line = &self->lines[i];
        const orders_totals_line_t *priced = &price->lines[i];
        int64_t left = line->in_stock < line->quantity ? line->in_stock : line->quantity;
        const int64_t numbers[] = {line->known,   line->sellable,      line->price,
                                   left,          priced->discount,    priced->tax,
                                   priced->total, priced->tax_rate_ppm};
        for (size_t k = 0; k < SOUK_COUNT_OF(numbers); k++) {
            hash = s_mix_int(hash, numbers[k]);
        }
        hash = s_mix_text(s_mix_text(s_mix_text(hash, line->name), line->slug), line->options);
    }
    const orders_totals_t *totals = &price->totals;
    const int64_t numbers[] = {totals->discount, totals->shipping, totals->tax, totals->grand,
                               totals->taxes_included};
    for (size_t k = 0; k < SOUK_COUNT_OF(numbers); k++) {
        hash = s_mix_int(hash, numbers[k]);
    }
    for (size_t i = 0; i < price->problems_count; i++) {
        hash = s_mix_int(hash, price->problems[i].code);
    }
    return souk_arena_printf(souk_ctx_arena(ctx), "%08" PRIx32, (uint32_t)(hash >> 32));
}

souk_err_t orders_basket_reply(souk_ctx_t *ctx, const orders_basket_t *self, bool strict,
                               orders_cart_t *ret_rep) {
    souk_arena_t *arena = souk_ctx_arena(ctx);
    orders_basket_price_t price;
    souk_err_t err = orders_basket_price(ctx, self, &price);
    if (err == SOUK_ERR_AMOUNT_TOO_LARGE && !strict) {
        price = (orders_basket_price_t){.totals = {.taxes_included = true}};
        s_object(&price, ORDERS_CART_PROBLEM_CODE_AMOUNT_TOO_LARGE,
                 SOUK_STR("the sum is larger than can be charged"));
        err = SOUK_OK;
    }
    SOUK_TRY(err);
    SOUK_TRY(s_head(ctx, self, &price, ret_rep));
    orders_cart_line_t *lines = orders_cart_new_items(ret_rep, arena, self->count);
    orders_cart_problem_t *problems =
        orders_cart_new_problems(ret_rep, arena, price.problems_count);
    if (lines == NULL || problems == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    int64_t items_count = 0;
    for (size_t i = 0; i < self->count; i++) {
        SOUK_TRY(s_line(ctx, &self->lines[i], &price.lines[i], &lines[i]));
        items_count += self->lines[i].quantity;
    }
    for (size_t i = 0; i < price.problems_count; i++) {
        s_problem(&problems[i], price.problems[i].code, price.problems[i].detail);
    }
    orders_cart_set_items_count(ret_rep, items_count);
    s_totals(ctx, &price.totals, ret_rep);
    orders_cart_set_pricing_tag(ret_rep, s_pricing_tag(ctx, self, &price));
    return souk_arena_overflowed(arena) ? SOUK_ERR_NO_MEMORY : SOUK_OK;
}
