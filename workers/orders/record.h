/* An order as its rows hold it, read from the database or about to be written, and the reply that
 * shows it. Texts are borrowed from the arena that was given. */
#ifndef ORDERS_RECORD_H
#define ORDERS_RECORD_H

#include "gen/orders.h"
#include "runtime/pg.h"

#define ORDERS_NO_TIME INT64_MIN

typedef struct {
    souk_str_t sku, product_id, name;
    souk_pairs_t options;
    int64_t quantity, unit_price, discount, tax, tax_rate_ppm, total, fulfilled;
} orders_record_line_t;

typedef struct {
    souk_str_t id, carrier, tracking; /* data NULL: none */
    int64_t created_at;
    orders_fulfilment_line_t *lines;
    size_t lines_count;
} orders_record_part_t;

/* Statuses are values of orders_order_t's enums. Times: ORDERS_NO_TIME for none. */
typedef struct {
    souk_str_t id, subject, email, currency, shipping_method, shipping_name;
    souk_str_t cart_id, discount_code; /* data NULL: none */
    int64_t number, version;
    int32_t status, payment_status, fulfilment_status, payment_method;
    int64_t items_total, discount_total, shipping_total, tax_total, grand_total;
    bool taxes_included;
    souk_address_t shipping_address;
    int64_t placed_at, expires_at, paid_at, cancelled_at, updated_at, erased_at;
    orders_record_line_t *lines; /* in order; the first is line 1 */
    size_t lines_count;
    orders_record_part_t *parts; /* oldest first */
    size_t parts_count;
} orders_record_t;

typedef struct {
    souk_pg_t *pg;
    uint32_t timeout_ms;
    souk_arena_t *arena;
} orders_records_ask_t;

/* Reads orders by id. owners[i].data NULL: whoever owns it; else only that subject's. A record
 * whose id.data is NULL was not found. Errors of souk_pg_exec. */
SOUK_MUST_CHECK souk_err_t orders_records_read(const orders_records_ask_t *ask,
                                               const souk_str_t *ids, const souk_str_t *owners,
                                               size_t count, orders_record_t *ret_records);

/* What clients see. SOUK_ERR_NO_MEMORY when the arena is full. */
SOUK_MUST_CHECK souk_err_t orders_record_reply(const orders_record_t *self, souk_arena_t *arena,
                                               orders_order_t *ret);
/* The same, encoded. */
SOUK_MUST_CHECK souk_err_t orders_record_encode(const orders_record_t *self, souk_arena_t *arena,
                                                souk_str_t *ret);

/* Columns of jsonb, as text. */
SOUK_MUST_CHECK souk_err_t orders_address_read(souk_str_t json, souk_arena_t *arena,
                                               souk_address_t *ret);
SOUK_MUST_CHECK souk_err_t orders_address_write(const souk_address_t *address, souk_arena_t *arena,
                                                souk_str_t *ret_json);
SOUK_MUST_CHECK souk_err_t orders_options_read(souk_str_t json, souk_arena_t *arena,
                                               souk_pairs_t *ret);
/* The index of an enum's value; -1 when it has none of that name. */
int32_t orders_enum_of(const souk_type_t *type, const char *field, souk_str_t value);

#endif
