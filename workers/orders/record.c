#include "orders/record.h"

#include "souk/transcode.h"

#define JSON_BYTES_MAX ((size_t)64 * 1024)
#define REPLY_BYTES_MAX ((size_t)1024 * 1024)

/* ---- columns --------------------------------------------------------------------------------- */

int32_t orders_enum_of(const souk_type_t *type, const char *field, souk_str_t value) {
    const souk_field_t *found = souk_type_field(type, souk_str_of(field));
    souk_assert(found != NULL && found->enum_count > 0);
    for (int32_t i = 0; i < found->enum_count; i++) {
        if (souk_str_equal(souk_str_of(found->enum_names[i]), value)) {
            return i;
        }
    }
    return -1;
}

static souk_err_t s_from_json(const souk_type_t *type, souk_str_t json, souk_arena_t *arena,
                              void *ret) {
    souk_issues_t issues;
    souk_issues_init(&issues);
    souk_err_t err = souk_schema_from_json(type, json, arena, ret, &issues);
    return err == SOUK_OK || err == SOUK_ERR_NO_MEMORY ? err : SOUK_ERR_INTERNAL;
}

souk_err_t orders_address_read(souk_str_t json, souk_arena_t *arena, souk_address_t *ret) {
    souk_address_t address = {0};
    SOUK_TRY(s_from_json(&souk_address_type, json, arena, &address));
    *ret = address;
    return SOUK_OK;
}

souk_err_t orders_address_write(const souk_address_t *address, souk_arena_t *arena,
                                souk_str_t *ret_json) {
    SOUK_CLEANUP(souk_buf_done) souk_buf_t mp, json;
    souk_buf_init(&mp, JSON_BYTES_MAX);
    souk_buf_init(&json, JSON_BYTES_MAX);
    souk_schema_to_mp(&souk_address_type, address, &mp);
    souk_assert(!mp.overflow); /* the schema's bounds are far below */
    souk_err_t err = souk_transcode(souk_buf_str(&mp), &json, NULL, 0);
    souk_assert(err == SOUK_OK);
    souk_str_t copy = souk_arena_copy(arena, souk_buf_str(&json));
    if (copy.data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    *ret_json = copy;
    return SOUK_OK;
}

souk_err_t orders_options_read(souk_str_t json, souk_arena_t *arena, souk_pairs_t *ret) {
    souk_str_t whole =
        souk_arena_printf(arena, "{\"option_values\":%.*s}", (int)json.size, json.data);
    if (whole.data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    orders_stored_options_t options = {0};
    SOUK_TRY(s_from_json(&orders_stored_options_type, whole, arena, &options));
    *ret = options.option_values;
    return SOUK_OK;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* The orders first: a change between the statements then shows under the older version, which a
 * client that compares ETags asks for again. */
static const souk_pg_stmt_t s_orders = {
    .name = "orders_records",
    .sql = "SELECT a.i, o.id, o.subject, o.email, o.currency, o.shipping_method, o.shipping_name,"
           " o.cart_id, o.discount_code, o.number, o.version, o.status, o.payment_status,"
           " o.fulfilment_status, o.payment_method, o.items_total, o.discount_total,"
           " o.shipping_total, o.tax_total, o.grand_total, o.taxes_included,"
           " o.shipping_address::text, o.placed_at, o.expires_at, o.paid_at, o.cancelled_at,"
           " o.updated_at, o.erased_at"
           " FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS a(id, owner, i)"
           " JOIN orders o ON o.id = a.id AND o.subject = COALESCE(a.owner, o.subject)"
           " ORDER BY a.i"};
static const souk_pg_stmt_t s_lines = {
    .name = "orders_record_lines",
    .sql = "SELECT a.i, l.sku, l.product_id, l.name, l.option_values::text, l.quantity,"
           " l.unit_price, l.discount, l.tax, l.tax_rate_ppm, l.total, l.fulfilled"
           " FROM unnest($1::text[]) WITH ORDINALITY AS a(id, i)"
           " JOIN order_lines l ON l.order_id = a.id ORDER BY a.i, l.line"};
static const souk_pg_stmt_t s_parts = {
    .name = "orders_record_parts",
    .sql = "SELECT a.i, f.id, f.carrier, f.tracking, f.created_at, l.line, l.quantity"
           " FROM unnest($1::text[]) WITH ORDINALITY AS a(id, i)"
           " JOIN fulfilments f ON f.order_id = a.id"
           " JOIN fulfilment_lines l ON l.fulfilment_id = f.id ORDER BY a.i, f.id, l.line"};

static souk_err_t s_read_order(const souk_pg_rows_t *rows, size_t row, souk_arena_t *arena,
                               orders_record_t *ret) {
    souk_str_t *const texts[] = {&ret->id,       &ret->subject,         &ret->email,
                                 &ret->currency, &ret->shipping_method, &ret->shipping_name,
                                 &ret->cart_id,  &ret->discount_code};
    int64_t *const totals[] = {&ret->items_total, &ret->discount_total, &ret->shipping_total,
                               &ret->tax_total, &ret->grand_total};
    int64_t *const times[] = {&ret->placed_at,    &ret->expires_at, &ret->paid_at,
                              &ret->cancelled_at, &ret->updated_at, &ret->erased_at};
    int column = 1;
    for (size_t i = 0; i < SOUK_COUNT_OF(texts); i++) {
        *texts[i] = souk_pg_get_str(rows, row, column++);
    }
    ret->number = souk_pg_get_int(rows, row, column++);
    ret->version = souk_pg_get_int(rows, row, column++);
    const souk_type_t *type = &orders_order_type;
    ret->status = orders_enum_of(type, "status", souk_pg_get_str(rows, row, column++));
    ret->payment_status =
        orders_enum_of(type, "payment_status", souk_pg_get_str(rows, row, column++));
    ret->fulfilment_status =
        orders_enum_of(type, "fulfilment_status", souk_pg_get_str(rows, row, column++));
    ret->payment_method =
        orders_enum_of(type, "payment_method", souk_pg_get_str(rows, row, column++));
    for (size_t i = 0; i < SOUK_COUNT_OF(totals); i++) {
        *totals[i] = souk_pg_get_int(rows, row, column++);
    }
    ret->taxes_included = souk_pg_get_bool(rows, row, column++);
    SOUK_TRY(
        orders_address_read(souk_pg_get_str(rows, row, column++), arena, &ret->shipping_address));
    for (size_t i = 0; i < SOUK_COUNT_OF(times); i++) {
        *times[i] = souk_pg_get_time(rows, row, column++);
    }
    return SOUK_OK;
}

/* Rows of one position stand together. */
static size_t s_run_of(const souk_pg_rows_t *rows, size_t from) {
    size_t to = from;
    while (to < souk_pg_count(rows) &&
           souk_pg_get_int(rows, to, 0) == souk_pg_get_int(rows, from, 0)) {
        to++;
    }
    return to - from;
}

static souk_err_t s_read_lines(const souk_pg_rows_t *rows, souk_arena_t *arena,
                               orders_record_t *records) {
    for (size_t row = 0, run; row < souk_pg_count(rows); row += run) {
        run = s_run_of(rows, row);
        orders_record_t *record = &records[souk_pg_get_int(rows, row, 0) - 1];
        record->lines = souk_arena_alloc_array(arena, run, sizeof(*record->lines));
        if (record->lines == NULL) {
            return SOUK_ERR_NO_MEMORY;
        }
        record->lines_count = run;
        for (size_t i = 0; i < run; i++) {
            orders_record_line_t *line = &record->lines[i];
            line->sku = souk_pg_get_str(rows, row + i, 1);
            line->product_id = souk_pg_get_str(rows, row + i, 2);
            line->name = souk_pg_get_str(rows, row + i, 3);
            SOUK_TRY(orders_options_read(souk_pg_get_str(rows, row + i, 4), arena, &line->options));
            int64_t *const numbers[] = {&line->quantity, &line->unit_price,   &line->discount,
                                        &line->tax,      &line->tax_rate_ppm, &line->total,
                                        &line->fulfilled};
            for (size_t at = 0; at < SOUK_COUNT_OF(numbers); at++) {
                *numbers[at] = souk_pg_get_int(rows, row + i, 5 + (int)at);
            }
        }
    }
    return SOUK_OK;
}

static souk_err_t s_read_parts(const souk_pg_rows_t *rows, souk_arena_t *arena,
                               orders_record_t *records) {
    for (size_t row = 0, run; row < souk_pg_count(rows); row += run) {
        run = s_run_of(rows, row);
        orders_record_t *record = &records[souk_pg_get_int(rows, row, 0) - 1];
        record->parts = souk_arena_alloc_array(arena, run, sizeof(*record->parts));
        orders_fulfilment_line_t *lines = souk_arena_alloc_array(arena, run, sizeof(*lines));
        if (record->parts == NULL || lines == NULL) {
            return SOUK_ERR_NO_MEMORY;
        }
        orders_record_part_t *part = NULL;
        for (size_t i = 0; i < run; i++) {
            souk_str_t id = souk_pg_get_str(rows, row + i, 1);
            if (part == NULL || !souk_str_equal(part->id, id)) {
                part = &record->parts[record->parts_count++];
                *part = (orders_record_part_t){
                    .id = id,
                    .carrier = souk_pg_get_str(rows, row + i, 2),
                    .tracking = souk_pg_get_str(rows, row + i, 3),
                    .created_at = souk_pg_get_time(rows, row + i, 4),
                    .lines = &lines[i],
                };
            }
            orders_fulfilment_line_t *line = &part->lines[part->lines_count++];
            orders_fulfilment_line_set_line(line, souk_pg_get_int(rows, row + i, 5));
            orders_fulfilment_line_set_quantity(line, souk_pg_get_int(rows, row + i, 6));
        }
    }
    return SOUK_OK;
}

souk_err_t orders_records_read(const orders_records_ask_t *ask, const souk_str_t *ids,
                               const souk_str_t *owners, size_t count,
                               orders_record_t *ret_records) {
    souk_arena_t *arena = ask->arena;
    souk_pg_args_t args, ids_args;
    souk_pg_args_init(&args, arena);
    souk_pg_strs(&args, ids, count);
    souk_pg_strs(&args, owners, count);
    souk_pg_args_init(&ids_args, arena);
    souk_pg_strs(&ids_args, ids, count);
    SOUK_TRY(souk_pg_exec_queue(ask->pg, ask->timeout_ms, &s_orders, &args));
    SOUK_TRY(souk_pg_exec_queue(ask->pg, ask->timeout_ms, &s_lines, &ids_args));
    SOUK_TRY(souk_pg_exec_queue(ask->pg, ask->timeout_ms, &s_parts, &ids_args));
    const souk_pg_rows_t *orders, *lines, *parts;
    SOUK_TRY(souk_pg_exec_next(ask->pg, arena, &orders));
    SOUK_TRY(souk_pg_exec_next(ask->pg, arena, &lines));
    SOUK_TRY(souk_pg_exec_next(ask->pg, arena, &parts));
    memset(ret_records, 0, count * sizeof(*ret_records));
    SOUK_TRY(s_read_lines(lines, arena, ret_records));
    SOUK_TRY(s_read_parts(parts, arena, ret_records));
    for (size_t row = 0; row < souk_pg_count(orders); row++) {
        SOUK_TRY(
            s_read_order(orders, row, arena, &ret_records[souk_pg_get_int(orders, row, 0) - 1]));
    }
    return SOUK_OK;
}

/* ---- reply ----------------------------------------------------------------------------------- */

typedef struct {
    souk_bits_t *bits;
    souk_str_t currency;
} purse_t;

static void s_money(purse_t purse, souk_money_t *money, unsigned bit, int64_t amount) {
    souk_money_set_amount(money, amount);
    souk_money_set_currency(money, purse.currency);
    souk_bits_set(purse.bits, bit);
}

static void s_str_or_nil(souk_bits_t *bits, unsigned bit, souk_str_t *field, souk_str_t value) {
    *field = value;
    if (value.data == NULL) {
        souk_bits_set_nil(bits, bit);
    } else {
        souk_bits_set(bits, bit);
    }
}

static void s_time_or_nil(souk_bits_t *bits, unsigned bit, int64_t *field, int64_t value) {
    *field = value;
    if (value == ORDERS_NO_TIME) {
        souk_bits_set_nil(bits, bit);
    } else {
        souk_bits_set(bits, bit);
    }
}

static void s_line_reply(const orders_record_line_t *line, int64_t number, souk_str_t currency,
                         orders_order_line_t *ret) {
    purse_t purse = {.bits = &ret->bits, .currency = currency};
    orders_order_line_set_line(ret, number);
    orders_order_line_set_sku(ret, line->sku);
    orders_order_line_set_product_id(ret, line->product_id);
    orders_order_line_set_name(ret, line->name);
    orders_order_line_set_option_values(ret, line->options);
    orders_order_line_set_quantity(ret, line->quantity);
    s_money(purse, &ret->unit_price, ORDERS_ORDER_LINE_UNIT_PRICE_BIT, line->unit_price);
    s_money(purse, &ret->discount, ORDERS_ORDER_LINE_DISCOUNT_BIT, line->discount);
    s_money(purse, &ret->tax, ORDERS_ORDER_LINE_TAX_BIT, line->tax);
    orders_order_line_set_tax_rate_ppm(ret, line->tax_rate_ppm);
    s_money(purse, &ret->total, ORDERS_ORDER_LINE_TOTAL_BIT, line->total);
    orders_order_line_set_fulfilled(ret, line->fulfilled);
}

static void s_part_reply(const orders_record_part_t *part, orders_fulfilment_t *ret) {
    orders_fulfilment_set_id(ret, part->id);
    s_str_or_nil(&ret->bits, ORDERS_FULFILMENT_CARRIER_BIT, &ret->carrier, part->carrier);
    s_str_or_nil(&ret->bits, ORDERS_FULFILMENT_TRACKING_BIT, &ret->tracking, part->tracking);
    ret->lines = (souk_list_t){.items = part->lines, .count = part->lines_count};
    souk_bits_set(&ret->bits, ORDERS_FULFILMENT_LINES_BIT);
    orders_fulfilment_set_created_at(ret, part->created_at);
}

static void s_totals_reply(const orders_record_t *self, orders_order_t *ret) {
    purse_t purse = {.bits = &ret->bits, .currency = self->currency};
    s_money(purse, &ret->items_total, ORDERS_ORDER_ITEMS_TOTAL_BIT, self->items_total);
    s_money(purse, &ret->discount_total, ORDERS_ORDER_DISCOUNT_TOTAL_BIT, self->discount_total);
    s_money(purse, &ret->shipping_total, ORDERS_ORDER_SHIPPING_TOTAL_BIT, self->shipping_total);
    s_money(purse, &ret->tax_total, ORDERS_ORDER_TAX_TOTAL_BIT, self->tax_total);
    s_money(purse, &ret->grand_total, ORDERS_ORDER_GRAND_TOTAL_BIT, self->grand_total);
    orders_order_set_taxes_included(ret, self->taxes_included);
}

static void s_times_reply(const orders_record_t *self, orders_order_t *ret) {
    orders_order_set_placed_at(ret, self->placed_at);
    s_time_or_nil(&ret->bits, ORDERS_ORDER_EXPIRES_AT_BIT, &ret->expires_at, self->expires_at);
    s_time_or_nil(&ret->bits, ORDERS_ORDER_PAID_AT_BIT, &ret->paid_at, self->paid_at);
    s_time_or_nil(&ret->bits, ORDERS_ORDER_CANCELLED_AT_BIT, &ret->cancelled_at,
                  self->cancelled_at);
    orders_order_set_updated_at(ret, self->updated_at);
    s_time_or_nil(&ret->bits, ORDERS_ORDER_ERASED_AT_BIT, &ret->erased_at, self->erased_at);
}

souk_err_t orders_record_reply(const orders_record_t *self, souk_arena_t *arena,
                               orders_order_t *ret) {
    orders_order_line_t *lines = orders_order_new_items(ret, arena, self->lines_count);
    orders_fulfilment_t *parts = orders_order_new_fulfilments(ret, arena, self->parts_count);
    if (lines == NULL || parts == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < self->lines_count; i++) {
        s_line_reply(&self->lines[i], (int64_t)i + 1, self->currency, &lines[i]);
    }
    for (size_t i = 0; i < self->parts_count; i++) {
        s_part_reply(&self->parts[i], &parts[i]);
    }
    orders_order_set_id(ret, self->id);
    orders_order_set_number(ret, self->number);
    orders_order_set_version(ret, self->version);
    orders_order_set_status(ret, self->status);
    orders_order_set_payment_status(ret, self->payment_status);
    orders_order_set_fulfilment_status(ret, self->fulfilment_status);
    orders_order_set_subject(ret, self->subject);
    s_str_or_nil(&ret->bits, ORDERS_ORDER_CART_ID_BIT, &ret->cart_id, self->cart_id);
    orders_order_set_email(ret, self->email);
    s_totals_reply(self, ret);
    s_str_or_nil(&ret->bits, ORDERS_ORDER_DISCOUNT_CODE_BIT, &ret->discount_code,
                 self->discount_code);
    orders_order_set_shipping_method(ret, self->shipping_method);
    orders_order_set_shipping_name(ret, self->shipping_name);
    ret->shipping_address = self->shipping_address;
    souk_bits_set(&ret->bits, ORDERS_ORDER_SHIPPING_ADDRESS_BIT);
    orders_order_set_payment_method(ret, self->payment_method);
    s_times_reply(self, ret);
    return SOUK_OK;
}

souk_err_t orders_record_encode(const orders_record_t *self, souk_arena_t *arena, souk_str_t *ret) {
    orders_order_t order = {0};
    SOUK_TRY(orders_record_reply(self, arena, &order));
    SOUK_CLEANUP(souk_buf_done) souk_buf_t buf;
    souk_buf_init(&buf, REPLY_BYTES_MAX);
    souk_schema_to_mp(&orders_order_type, &order, &buf);
    if (buf.overflow) {
        return SOUK_ERR_BAD_REPLY;
    }
    souk_str_t copy = souk_arena_copy(arena, souk_buf_str(&buf));
    if (copy.data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    *ret = copy;
    return SOUK_OK;
}
