/* Shopify's product export: several rows, one for each variant or picture, become one product in
 * our import format. Columns by help.shopify.com, "Using CSV files to import and export products".
 */
#ifndef SOUKCTL_SHOPIFY_H
#define SOUKCTL_SHOPIFY_H

#include "csv.h"
#include "souk/base.h"

typedef struct souk_shopify souk_shopify_t;

souk_shopify_t *souk_shopify_new(const char *currency, bool category_by_type);
void souk_shopify_destroy(souk_shopify_t **self_p);

/* Takes the header row: false when a column that is needed is missing. */
bool souk_shopify_header(souk_shopify_t *self, const souk_csv_t *row);
bool souk_shopify_has_header(const souk_shopify_t *self);

/* Whether a product was begun; whether the row belongs to it (or none was begun). */
bool souk_shopify_begun(const souk_shopify_t *self);
bool souk_shopify_continues(const souk_shopify_t *self, const souk_csv_t *row);
void souk_shopify_row(souk_shopify_t *self, const souk_csv_t *row);
/* The line that the product began on. */
unsigned long souk_shopify_line(const souk_shopify_t *self);
/* The product as JSON (to be freed), and room for the next. NULL: *ret_error says what is wrong
 * with it. */
char *souk_shopify_finish(souk_shopify_t *self, const char **ret_error);

#endif
