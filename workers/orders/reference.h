/* Shipping methods and tax rates in memory. They change seldom and every cart and order needs them:
 * their tables count their changes (reference_revision, by triggers), and whoever is about to
 * compute totals asks for that number in the round trip that it makes anyway. The number that this
 * process knows needs nothing more; another one reads the tables again.
 *
 *     queue orders_reference_stmt (no arguments; one row, one bigint) among one's own statements
 *     orders_reference_require(...) with what it said
 *
 * Any thread may use the cache; what it gives out stays as it is until the arena is reset. Bounds:
 * ORDERS_SHIPPING_MAX methods, ORDERS_TAX_RATES_MAX rates, which writing them keeps. */
#ifndef ORDERS_REFERENCE_H
#define ORDERS_REFERENCE_H

#include "orders/totals.h"
#include "runtime/pg.h"

#define ORDERS_SHIPPING_MAX 200
#define ORDERS_TAX_RATES_MAX 5000
#define ORDERS_COUNTRIES_MAX 250

typedef struct orders_reference orders_reference_t;

typedef struct {
    int64_t revision;
    const orders_shipping_t *shipping; /* by position, then id; inactive ones too */
    size_t shipping_count;
    orders_tax_table_t taxes; /* by country, then category */
} orders_reference_data_t;

orders_reference_t *orders_reference_new(void);
void orders_reference_destroy(orders_reference_t **self_p);

extern const souk_pg_stmt_t orders_reference_stmt;

/* What a reading of the tables may use: pg and timeout_ms as of souk_pg_exec; arena holds the
 * result. */
typedef struct {
    souk_pg_t *pg;
    uint32_t timeout_ms;
    souk_arena_t *arena;
} orders_reference_ask_t;

/* data of this revision or of a younger one. Errors of souk_pg_exec. No statement may be unread. */
SOUK_MUST_CHECK souk_err_t orders_reference_require(orders_reference_t *self,
                                                    const orders_reference_ask_t *ask,
                                                    int64_t revision,
                                                    const orders_reference_data_t **ret);

/* NULL: there is none with this id. */
const orders_shipping_t *orders_reference_shipping(const orders_reference_data_t *self,
                                                   souk_str_t id);
/* The country's rates alone: a short table for orders_totals_compute. */
orders_tax_table_t orders_reference_taxes(const orders_reference_data_t *self, souk_str_t country);
/* "DE,AT" -> its parts, borrowed from text; "": none. */
SOUK_MUST_CHECK souk_err_t orders_reference_countries(souk_str_t text, souk_arena_t *arena,
                                                      const souk_str_t **ret_countries,
                                                      size_t *ret_count);

#endif
