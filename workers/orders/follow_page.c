#include "orders/follow_page.h"

#include "souk/json.h"
#include "souk/log.h"

#define TIMEOUT_MS 5000
#define OPTIONS_JSON_BYTES_MAX ((size_t)64 * 1024)

static const souk_pg_stmt_t s_apply = {
    .name = "orders_follow_apply",
    .sql =
        "SELECT held, array_to_string(taken[1:20], ' ')::text FROM follower_apply($1, $2, $3, $4,"
        " $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"};

/* As columns: what follower_apply takes. */
typedef struct {
    souk_str_t *products, *slugs, *names, *taxes;
    int64_t *revisions;
    bool *actives;
    souk_str_t *skus, *variants, *currencies, *options;
    int64_t *owners, *prices;
    size_t skus_count;
} columns_t;

static size_t s_skus_count(const orders_follow_page_t *self) {
    size_t count = 0;
    for (size_t i = 0; !self->withdraw && i < self->changes_count; i++) {
        count += self->changes[i].variants.count;
    }
    return count;
}

static souk_err_t s_alloc(souk_arena_t *arena, size_t products, size_t skus, columns_t *ret) {
    *ret = (columns_t){
        .products = souk_arena_alloc_array(arena, products, sizeof(souk_str_t)),
        .slugs = souk_arena_alloc_array(arena, products, sizeof(souk_str_t)),
        .names = souk_arena_alloc_array(arena, products, sizeof(souk_str_t)),
        .taxes = souk_arena_alloc_array(arena, products, sizeof(souk_str_t)),
        .revisions = souk_arena_alloc_array(arena, products, sizeof(int64_t)),
        .actives = souk_arena_alloc_array(arena, products, sizeof(bool)),
        .skus = souk_arena_alloc_array(arena, skus, sizeof(souk_str_t)),
        .variants = souk_arena_alloc_array(arena, skus, sizeof(souk_str_t)),
        .currencies = souk_arena_alloc_array(arena, skus, sizeof(souk_str_t)),
        .options = souk_arena_alloc_array(arena, skus, sizeof(souk_str_t)),
        .owners = souk_arena_alloc_array(arena, skus, sizeof(int64_t)),
        .prices = souk_arena_alloc_array(arena, skus, sizeof(int64_t)),
    };
    return souk_arena_overflowed(arena) ? SOUK_ERR_NO_MEMORY : SOUK_OK;
}

static souk_err_t s_options_json(const souk_pairs_t *pairs, souk_arena_t *arena,
                                 souk_str_t *ret_json) {
    SOUK_CLEANUP(souk_buf_done) souk_buf_t buf;
    souk_buf_init(&buf, OPTIONS_JSON_BYTES_MAX);
    souk_buf_append_byte(&buf, '{');
    for (size_t i = 0; i < pairs->count; i++) {
        if (i > 0) {
            souk_buf_append_byte(&buf, ',');
        }
        souk_json_write_str(&buf, pairs->items[i].name);
        souk_buf_append_byte(&buf, ':');
        souk_json_write_str(&buf, pairs->items[i].value);
    }
    souk_buf_append_byte(&buf, '}');
    if (buf.overflow) {
        return SOUK_ERR_TOO_LARGE;
    }
    *ret_json = souk_arena_copy(arena, souk_buf_str(&buf));
    return ret_json->data != NULL ? SOUK_OK : SOUK_ERR_NO_MEMORY;
}

static souk_err_t s_fill(const orders_follow_page_t *self, souk_arena_t *arena, columns_t *ret) {
    for (size_t i = 0; i < self->changes_count; i++) {
        const catalog_change_item_t *change = &self->changes[i];
        ret->products[i] = change->product_id;
        ret->revisions[i] = change->revision;
        ret->actives[i] = change->active;
        ret->slugs[i] = change->slug; /* data NULL of a deleted one, which has no SKUs here */
        ret->names[i] = change->name;
        ret->taxes[i] = change->tax_category;
        size_t count = 0;
        const catalog_change_variant_t *variants = catalog_change_item_variants(change, &count);
        for (size_t v = 0; !self->withdraw && v < count; v++) {
            size_t at = ret->skus_count++;
            ret->skus[at] = variants[v].sku;
            ret->owners[at] = (int64_t)i + 1;
            ret->variants[at] = variants[v].variant_id;
            ret->prices[at] = variants[v].price;
            ret->currencies[at] = variants[v].currency;
            SOUK_TRY(s_options_json(&variants[v].option_values, arena, &ret->options[at]));
        }
    }
    return SOUK_OK;
}

souk_err_t orders_follow_page_write(const orders_follow_page_t *self, souk_pg_t *pg,
                                    souk_arena_t *arena, bool *ret_held) {
    columns_t columns;
    souk_pg_args_t args;
    const souk_pg_rows_t *rows;
    size_t products = self->changes_count;
    SOUK_TRY(s_alloc(arena, products, s_skus_count(self), &columns));
    SOUK_TRY(s_fill(self, arena, &columns));
    souk_pg_args_init(&args, arena);
    souk_pg_int(&args, self->epoch);
    souk_pg_int(&args, self->after);
    souk_pg_int(&args, self->next);
    souk_pg_strs(&args, columns.products, products);
    souk_pg_ints(&args, columns.revisions, products);
    souk_pg_bools(&args, columns.actives, products);
    souk_pg_strs(&args, columns.slugs, products);
    souk_pg_strs(&args, columns.names, products);
    souk_pg_strs(&args, columns.taxes, products);
    souk_pg_strs(&args, columns.skus, columns.skus_count);
    souk_pg_ints(&args, columns.owners, columns.skus_count);
    souk_pg_strs(&args, columns.variants, columns.skus_count);
    souk_pg_ints(&args, columns.prices, columns.skus_count);
    souk_pg_strs(&args, columns.currencies, columns.skus_count);
    souk_pg_strs(&args, columns.options, columns.skus_count);
    SOUK_TRY(souk_pg_exec(pg, TIMEOUT_MS, arena, &s_apply, &args, &rows));
    *ret_held = souk_pg_get_bool(rows, 0, 0);
    souk_str_t taken = souk_pg_get_str(rows, 0, 1);
    if (taken.size > 0) {
        souk_log(SOUK_LOG_ERROR, "OR-FOLLOW-SKU-TAKEN", SOUK_F_STR("skus", taken));
    }
    return SOUK_OK;
}
