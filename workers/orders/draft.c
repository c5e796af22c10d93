#include "orders/draft.h"

#include <stdarg.h>
#include <stdio.h>

#include "orders/currency.h"
#include "orders/form.h"
#include "orders/version.h"
#include "souk/id.h"
#include "souk/text.h"

#define POINTER_BYTES 48

typedef struct {
    const orders_draft_input_t *in;
    const orders_ground_t *ground;
    const orders_ground_cart_t *cart; /* NULL: the request has the items */
    orders_draft_t *draft;
    const orders_shipping_t *shipping;
} making_t;

static bool s_has(const making_t *self, unsigned bit) {
    return souk_bits_has(&self->in->req->bits, bit);
}

/* Refuses by a field; more fields of the same error join it. */
SOUK_PRINTF(4, 5)
static void s_refuse(const making_t *self, souk_err_t err, const char *pointer, const char *format,
                     ...) {
    char reason[160];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    orders_verdict_t *verdict = &self->draft->verdict;
    if (orders_verdict_refuse(verdict, self->in->arena, err, "%s: %s", pointer, reason) == err) {
        orders_verdict_field(verdict, self->in->arena, pointer, "%s", reason);
    }
}

/* Refuses by a line; more lines of the same error join it. */
SOUK_PRINTF(4, 5)
static void s_refuse_line(const making_t *self, souk_err_t err, size_t item, const char *format,
                          ...) {
    orders_verdict_t *verdict = &self->draft->verdict;
    char reason[160];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    if (orders_verdict_refuse(verdict, self->in->arena, err, "%s", reason) == err) {
        char pointer[POINTER_BYTES];
        (void)snprintf(pointer, sizeof(pointer), "/items/%zu/sku", item);
        orders_verdict_field(verdict, self->in->arena, pointer, "%s", reason);
    }
}

souk_err_t orders_draft_want(const orders_draft_input_t *in, orders_ground_wanted_t *wanted) {
    const orders_place_req_t *req = in->req;
    size_t count = 0;
    const orders_order_item_t *items = orders_place_req_items(req, &count);
    for (size_t i = 0; i < count; i++) {
        wanted->skus.at[wanted->skus.count++] = items[i].sku;
    }
    if (souk_bits_has(&req->bits, ORDERS_PLACE_REQ_CART_ID_BIT)) {
        wanted->carts.at[wanted->carts.count++] = req->cart_id;
    }
    if (souk_bits_has(&req->bits, ORDERS_PLACE_REQ_DISCOUNT_CODE_BIT)) {
        SOUK_TRY(orders_form_code(in->arena, req->discount_code,
                                  &wanted->codes.at[wanted->codes.count]));
        wanted->codes.count++;
    }
    wanted->orders_count++;
    return SOUK_OK;
}

/* ---- cart and lines -------------------------------------------------------------------------- */

static void s_take_cart(making_t *self) {
    const orders_place_req_t *req = self->in->req;
    souk_arena_t *arena = self->in->arena;
    orders_verdict_t *verdict = &self->draft->verdict;
    self->cart = orders_ground_cart(self->ground, req->cart_id);
    if (self->cart == NULL || !souk_str_equal(self->cart->subject, self->in->subject) ||
        (self->cart->expired && souk_str_equal(self->cart->status, SOUK_STR("open")))) {
        (void)orders_verdict_refuse(verdict, arena, SOUK_ERR_NOT_FOUND, "No cart %.*s",
                                    (int)req->cart_id.size, req->cart_id.data);
        return;
    }
    if (souk_str_equal(self->cart->status, SOUK_STR("ordered"))) {
        (void)orders_verdict_refuse(
            verdict, arena, SOUK_ERR_CART_TAKEN,
            "Cart %.*s was checked out; it opens again when its order is cancelled.",
            (int)req->cart_id.size, req->cart_id.data);
    } else if (!souk_str_equal(self->cart->status, SOUK_STR("open"))) {
        (void)orders_verdict_refuse(verdict, arena, SOUK_ERR_CART_NOT_OPEN,
                                    "Cart %.*s was merged into another one.",
                                    (int)req->cart_id.size, req->cart_id.data);
    } else if (s_has(self, ORDERS_PLACE_REQ_IF_MATCH_BIT) &&
               orders_require_version(self->in->ctx, req->if_match, self->cart->version) !=
                   SOUK_OK) {
        (void)orders_verdict_refuse(verdict, arena, SOUK_ERR_PRECONDITION_FAILED,
                                    "The cart is at version %lld", (long long)self->cart->version);
    } else if (s_has(self, ORDERS_PLACE_REQ_ITEMS_BIT)) {
        s_refuse(self, SOUK_ERR_VALIDATION, "/items", "the cart brings them");
    } else if (self->cart->items_count == 0) {
        (void)orders_verdict_refuse(verdict, arena, SOUK_ERR_CART_EMPTY, "The cart has no items.");
    }
}

/* One item, its SKU looked up. Lines of one SKU are joined. */
static void s_add_line(making_t *self, size_t item, souk_str_t sku, int64_t quantity) {
    orders_draft_t *draft = self->draft;
    const orders_ground_sku_t *found = orders_ground_sku(self->ground, sku);
    int name_size = (int)sku.size;
    if (found == NULL) {
        s_refuse_line(self, SOUK_ERR_SKU_UNKNOWN, item, "there is no SKU %.*s", name_size,
                      sku.data);
        return;
    }
    if (!found->sellable) {
        s_refuse_line(self, SOUK_ERR_SKU_NOT_SELLABLE, item, "%.*s is not for sale", name_size,
                      sku.data);
        return;
    }
    if (!souk_str_equal(found->currency, self->in->currency)) {
        s_refuse_line(self, SOUK_ERR_CURRENCY_MISMATCH, item, "%.*s is not priced in %.*s",
                      name_size, sku.data, (int)self->in->currency.size, self->in->currency.data);
        return;
    }
    size_t at = 0;
    while (at < draft->record.lines_count && draft->lines[at].sku != found) {
        at++;
    }
    orders_draft_line_t *line = &draft->lines[at];
    if (at == draft->record.lines_count) {
        *line = (orders_draft_line_t){.sku = found, .item = item};
        draft->record.lines_count++;
    }
    line->quantity += quantity;
    if (line->quantity > ORDERS_QUANTITY_MAX) {
        s_refuse_line(self, SOUK_ERR_QUANTITY_TOO_LARGE, item, "more than %d of %.*s in all",
                      ORDERS_QUANTITY_MAX, name_size, sku.data);
    }
}

static souk_err_t s_take_lines(making_t *self) {
    orders_draft_t *draft = self->draft;
    size_t count = 0;
    const orders_order_item_t *items = orders_place_req_items(self->in->req, &count);
    count = self->cart != NULL ? self->cart->items_count : count;
    if (count == 0) {
        s_refuse(self, SOUK_ERR_VALIDATION, "/items", "is required");
        return SOUK_OK;
    }
    draft->lines = souk_arena_alloc_array(self->in->arena, count, sizeof(*draft->lines));
    draft->record.lines =
        souk_arena_alloc_array(self->in->arena, count, sizeof(*draft->record.lines));
    if (draft->lines == NULL || draft->record.lines == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        if (self->cart != NULL) {
            s_add_line(self, i, self->cart->items[i].sku, self->cart->items[i].quantity);
        } else {
            s_add_line(self, i, items[i].sku, items[i].quantity);
        }
    }
    return SOUK_OK;
}

/* ---- who and where --------------------------------------------------------------------------- */

static souk_err_t s_take_email(making_t *self) {
    souk_str_t text = self->cart != NULL ? self->cart->email : (souk_str_t){0};
    if (s_has(self, ORDERS_PLACE_REQ_EMAIL_BIT)) {
        text = self->in->req->email;
    }
    if (text.data == NULL) {
        s_refuse(self, SOUK_ERR_VALIDATION, "/email", "is required");
        return SOUK_OK;
    }
    souk_email_t email;
    souk_err_t err = souk_text_email(self->in->arena, text, &email);
    if (err == SOUK_ERR_VALIDATION) {
        s_refuse(self, SOUK_ERR_VALIDATION, "/email", "is no email address");
        return SOUK_OK;
    }
    SOUK_TRY(err);
    self->draft->record.email = email.shown;
    self->draft->customer = email.folded;
    return SOUK_OK;
}

/* Each text in its one form, or refused. */
static souk_err_t s_normalise(making_t *self, souk_address_t *address) {
    orders_form_issues_t issues;
    souk_err_t err = orders_form_address(self->in->arena, address, &issues);
    for (size_t i = 0; err == SOUK_ERR_VALIDATION && i < issues.count; i++) {
        char pointer[POINTER_BYTES];
        (void)snprintf(pointer, sizeof(pointer), "/shipping_address/%s", issues.items[i].field);
        s_refuse(self, SOUK_ERR_VALIDATION, pointer, "%s", issues.items[i].reason);
    }
    return err == SOUK_ERR_VALIDATION ? SOUK_OK : err;
}

static souk_err_t s_take_address(making_t *self) {
    orders_record_t *record = &self->draft->record;
    if (s_has(self, ORDERS_PLACE_REQ_SHIPPING_ADDRESS_BIT)) {
        record->shipping_address = self->in->req->shipping_address;
    } else if (self->cart != NULL && self->cart->address_json.data != NULL) {
        SOUK_TRY(orders_address_read(self->cart->address_json, self->in->arena,
                                     &record->shipping_address));
    } else {
        s_refuse(self, SOUK_ERR_VALIDATION, "/shipping_address", "is required");
        return SOUK_OK;
    }
    SOUK_TRY(s_normalise(self, &record->shipping_address));
    return orders_address_write(&record->shipping_address, self->in->arena,
                                &self->draft->address_json);
}

static void s_take_shipping(making_t *self) {
    souk_str_t id = self->cart != NULL ? self->cart->shipping_method : (souk_str_t){0};
    if (s_has(self, ORDERS_PLACE_REQ_SHIPPING_METHOD_BIT)) {
        id = self->in->req->shipping_method;
    }
    if (id.data == NULL) {
        s_refuse(self, SOUK_ERR_VALIDATION, "/shipping_method", "is required");
        return;
    }
    self->shipping = orders_reference_shipping(self->ground->reference, id);
    if (self->shipping == NULL) {
        s_refuse(self, SOUK_ERR_SHIPPING_NOT_AVAILABLE, "/shipping_method",
                 "there is no shipping method %.*s", (int)id.size, id.data);
        return;
    }
    self->draft->record.shipping_method = id;
    self->draft->record.shipping_name = self->shipping->name;
}

static souk_err_t s_take_discount(making_t *self) {
    souk_str_t code = self->cart != NULL ? self->cart->discount_code : (souk_str_t){0};
    if (s_has(self, ORDERS_PLACE_REQ_DISCOUNT_CODE_BIT)) {
        SOUK_TRY(orders_form_code(self->in->arena, self->in->req->discount_code, &code));
    }
    if (code.data == NULL) {
        return SOUK_OK;
    }
    self->draft->discount = orders_ground_code(self->ground, code);
    if (self->draft->discount == NULL) {
        s_refuse(self, SOUK_ERR_DISCOUNT_UNKNOWN, "/discount_code", "there is no code %.*s",
                 (int)code.size, code.data);
    }
    self->draft->record.discount_code = code;
    return SOUK_OK;
}

/* ---- totals ---------------------------------------------------------------------------------- */

static void s_refuse_totals(making_t *self, souk_err_t err) {
    const orders_draft_t *draft = self->draft;
    char text[ORDERS_CURRENCY_TEXT_BYTES];
    switch ((int)err) {
    case SOUK_ERR_DISCOUNT_NOT_ACTIVE:
        s_refuse(self, err, "/discount_code", "the code is not valid at the moment");
        break;
    case SOUK_ERR_DISCOUNT_MINIMUM_NOT_MET:
        s_refuse(self, err, "/discount_code", "the code asks for items of %s at least",
                 orders_currency_print(draft->discount->minimum, self->in->currency, text));
        break;
    case SOUK_ERR_SHIPPING_NOT_AVAILABLE:
        s_refuse(self, err, "/shipping_method", "is not available there");
        break;
    default:
        s_refuse(self, err, "/items", "the amount is larger than can be charged");
        break;
    }
}

static souk_err_t s_compute(making_t *self) {
    orders_record_t *record = &self->draft->record;
    orders_totals_line_t *lines =
        souk_arena_alloc_array(self->in->arena, record->lines_count, sizeof(*lines));
    if (lines == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < record->lines_count; i++) {
        const orders_draft_line_t *line = &self->draft->lines[i];
        lines[i] = (orders_totals_line_t){.sku = line->sku->sku,
                                          .quantity = line->quantity,
                                          .unit_price = line->sku->price,
                                          .tax_category = line->sku->tax_category};
    }
    const orders_tax_table_t taxes =
        orders_reference_taxes(self->ground->reference, record->shipping_address.country);
    const orders_totals_input_t input = {.shipping = self->shipping,
                                         .taxes = &taxes,
                                         .country = record->shipping_address.country,
                                         .discount = self->draft->discount,
                                         .now_us = self->in->at_us};
    orders_totals_t totals;
    souk_err_t err = orders_totals_compute(&input, lines, record->lines_count, &totals);
    if (err != SOUK_OK) {
        s_refuse_totals(self, err);
        return SOUK_OK;
    }
    record->items_total = totals.items;
    record->discount_total = totals.discount;
    record->shipping_total = totals.shipping;
    record->tax_total = totals.tax;
    record->grand_total = totals.grand;
    record->taxes_included = totals.taxes_included;
    for (size_t i = 0; i < record->lines_count; i++) {
        const orders_ground_sku_t *sku = self->draft->lines[i].sku;
        record->lines[i] = (orders_record_line_t){.sku = sku->sku,
                                                  .product_id = sku->product_id,
                                                  .name = sku->name,
                                                  .options = sku->options,
                                                  .quantity = lines[i].quantity,
                                                  .unit_price = lines[i].unit_price,
                                                  .discount = lines[i].discount,
                                                  .tax = lines[i].tax,
                                                  .tax_rate_ppm = lines[i].tax_rate_ppm,
                                                  .total = lines[i].total};
    }
    return SOUK_OK;
}

/* The refusal carries the new totals, one field each. */
static void s_require_expected(const making_t *self) {
    const orders_record_t *record = &self->draft->record;
    const souk_money_t *expected = &self->in->req->expected_total;
    if (expected->amount == record->grand_total) {
        return;
    }
    orders_verdict_t *verdict = &self->draft->verdict;
    souk_str_t currency = self->in->currency;
    char was[ORDERS_CURRENCY_TEXT_BYTES], now[ORDERS_CURRENCY_TEXT_BYTES];
    (void)orders_verdict_refuse(verdict, self->in->arena, SOUK_ERR_PRICE_CHANGED,
                                "The total is %s, not %s.",
                                orders_currency_print(record->grand_total, currency, now),
                                orders_currency_print(expected->amount, currency, was));
    const struct {
        const char *pointer;
        int64_t amount;
    } totals[] = {
        {"/grand_total", record->grand_total},       {"/items_total", record->items_total},
        {"/discount_total", record->discount_total}, {"/shipping_total", record->shipping_total},
        {"/tax_total", record->tax_total},
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(totals); i++) {
        orders_verdict_field(verdict, self->in->arena, totals[i].pointer, "%lld %.*s",
                             (long long)totals[i].amount, (int)currency.size, currency.data);
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static souk_err_t s_head(making_t *self, int64_t number) {
    orders_record_t *record = &self->draft->record;
    const orders_draft_input_t *in = self->in;
    char id[SOUK_ID_BYTES_MAX];
    size_t size = souk_id_new("ord_", id);
    record->id = souk_arena_copy(in->arena, (souk_str_t){.data = id, .size = size});
    if (record->id.data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    record->number = number;
    record->version = 1;
    record->subject = in->subject;
    record->currency = in->currency;
    record->status = ORDERS_ORDER_STATUS_PLACED;
    record->payment_status = ORDERS_ORDER_PAYMENT_STATUS_PENDING;
    record->fulfilment_status = ORDERS_ORDER_FULFILMENT_STATUS_UNFULFILLED;
    record->payment_method = in->req->payment_method;
    record->placed_at = record->updated_at = in->at_us;
    record->expires_at = in->expires_at_us;
    record->paid_at = record->cancelled_at = record->erased_at = ORDERS_NO_TIME;
    if (self->cart != NULL) {
        record->cart_id = self->cart->id;
        self->draft->cart_version = self->cart->version;
    }
    return SOUK_OK;
}

souk_err_t orders_draft_make(const orders_draft_input_t *in, const orders_ground_t *ground,
                             int64_t number, orders_draft_t *ret) {
    *ret = (orders_draft_t){0};
    making_t making = {.in = in, .ground = ground, .draft = ret};
    orders_verdict_t *verdict = &ret->verdict;
    if (s_has(&making, ORDERS_PLACE_REQ_CART_ID_BIT)) {
        s_take_cart(&making);
        if (verdict->err != SOUK_OK) {
            return SOUK_OK;
        }
    }
    if (!souk_str_equal(in->req->expected_total.currency, in->currency)) {
        s_refuse(&making, SOUK_ERR_CURRENCY_MISMATCH, "/expected_total/currency",
                 "the store's currency is %.*s", (int)in->currency.size, in->currency.data);
    }
    SOUK_TRY(s_take_email(&making));
    SOUK_TRY(s_take_address(&making));
    s_take_shipping(&making);
    SOUK_TRY(s_take_discount(&making));
    SOUK_TRY(s_take_lines(&making));
    if (verdict->err != SOUK_OK) {
        return SOUK_OK;
    }
    SOUK_TRY(s_head(&making, number));
    SOUK_TRY(s_compute(&making));
    if (verdict->err != SOUK_OK) {
        return SOUK_OK;
    }
    s_require_expected(&making);
    return verdict->err != SOUK_OK ? SOUK_OK
                                   : orders_record_encode(&ret->record, in->arena, &ret->reply);
}

void orders_draft_lacks_stock(orders_draft_t *self, souk_arena_t *arena, int64_t line,
                              int64_t remaining) {
    souk_assert(line >= 1 && (size_t)line <= self->record.lines_count);
    const orders_draft_line_t *lacking = &self->lines[line - 1];
    souk_str_t sku = lacking->sku->sku;
    (void)orders_verdict_refuse(&self->verdict, arena, SOUK_ERR_INSUFFICIENT_STOCK,
                                "Of %.*s there are %lld left, not %lld.", (int)sku.size, sku.data,
                                (long long)remaining, (long long)lacking->quantity);
    char pointer[POINTER_BYTES];
    (void)snprintf(pointer, sizeof(pointer), "/items/%zu/quantity", lacking->item);
    orders_verdict_field(&self->verdict, arena, pointer, "%lld left of %.*s", (long long)remaining,
                         (int)sku.size, sku.data);
}

void orders_draft_lacks_uses(orders_draft_t *self, souk_arena_t *arena) {
    souk_str_t code = self->record.discount_code;
    (void)orders_verdict_refuse(&self->verdict, arena, SOUK_ERR_DISCOUNT_USED_UP,
                                "The code %.*s has been used as often as it may be.",
                                (int)code.size, code.data);
    orders_verdict_field(&self->verdict, arena, "/discount_code", "has been used up");
}

void orders_draft_too_many(orders_draft_t *self, souk_arena_t *arena) {
    (void)orders_verdict_refuse(&self->verdict, arena, SOUK_ERR_UNPAID_LIMIT,
                                "This client, or guests of its network, have as many unpaid"
                                " orders as they may: pay or cancel one, or try later.");
}
