/* A catalogue as plain structs, which tests change and search by brute force, and its documents. */
#ifndef TESTS_CATALOG_MODEL_H
#define TESTS_CATALOG_MODEL_H

#include "gen/catalog.h"
#include "index.h"
#include "list.h"
#include "souk/arena.h"

#define MODEL_VARIANTS_MAX 3

typedef struct {
    char sku[40];
    int64_t price, compare_at; /* compare_at 0: none */
    const char *size;          /* NULL: no option */
    const char *color;
} model_variant_t;

typedef struct {
    char id[40], slug[64], name[96], description[160];
    int64_t version, created_at_us;
    int status;
    const char *categories[3]; /* ids; NULL: none */
    const char *tags[3];
    const char *material, *brand; /* attributes; NULL: none */
    model_variant_t variants[MODEL_VARIANTS_MAX];
    size_t variants_count;
    bool deleted;
} model_product_t;

/* A product with everything filled in from number. */
model_product_t model_product(int number);
int64_t model_price_min(const model_product_t *product);
int64_t model_price_max(const model_product_t *product);

/* The document, in the arena. */
souk_str_t model_document(const model_product_t *product, int64_t revision, souk_arena_t *arena);
/* Applies the product as its version says; revision = the index's + 1. */
souk_err_t model_apply(catalog_index_t *index, const model_product_t *product);
/* The same as its next version, deleted or not. */
void model_put(catalog_index_t *index, model_product_t *product);

/* A category's stored document; parent NULL: at the top. Asserts success. */
void model_category(catalog_index_t *index, const char *id, const char *parent, int64_t version,
                    int64_t position);
void model_category_delete(catalog_index_t *index, const char *id, int64_t version);

/* catalog_list with its request spelled out. */
souk_err_t model_list(const catalog_index_t *index, const catalog_query_t *query,
                      catalog_sort_t sort, souk_str_t cursor, size_t limit, souk_arena_t *arena,
                      catalog_list_t *ret);

#endif
