#include "model.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "souk/buf.h"
#include "souk/schema.h"

static souk_str_t s_encode(const souk_type_t *type, const void *value, souk_arena_t *arena) {
    souk_buf_t buf;
    souk_buf_init(&buf, 1 << 20);
    souk_schema_to_mp(type, value, &buf);
    souk_str_t copy = souk_arena_copy(arena, souk_buf_str(&buf));
    cr_assert(!buf.overflow && copy.data != NULL);
    souk_buf_done(&buf);
    return copy;
}

model_product_t model_product(int number) {
    model_product_t product = {
        .version = 1,
        .created_at_us = 1700000000000000 + (int64_t)number * 1000000,
        .status = CATALOG_PRODUCT_STATUS_ACTIVE,
        .variants_count = 1,
        .variants = {{.price = 1000 + number}},
    };
    snprintf(product.id, sizeof product.id, "prod_%026d", number);
    snprintf(product.slug, sizeof product.slug, "product-%d", number);
    snprintf(product.name, sizeof product.name, "Product %d", number);
    snprintf(product.variants[0].sku, sizeof product.variants[0].sku, "SKU-%d", number);
    return product;
}

int64_t model_price_min(const model_product_t *product) {
    int64_t price = INT64_MAX;
    for (size_t i = 0; i < product->variants_count; i++) {
        price = product->variants[i].price < price ? product->variants[i].price : price;
    }
    return price;
}

int64_t model_price_max(const model_product_t *product) {
    int64_t price = 0;
    for (size_t i = 0; i < product->variants_count; i++) {
        price = product->variants[i].price > price ? product->variants[i].price : price;
    }
    return price;
}

static souk_money_t s_money(int64_t amount) {
    souk_money_t money = {0};
    souk_money_set_amount(&money, amount);
    souk_money_set_currency(&money, SOUK_STR("EUR"));
    return money;
}

static void s_add_pair(souk_pair_t *pairs, size_t *count, const char *name, const char *value) {
    if (value != NULL) {
        pairs[(*count)++] = (souk_pair_t){.name = souk_str_of(name), .value = souk_str_of(value)};
    }
}

static void s_variants(const model_product_t *product, souk_arena_t *arena,
                       catalog_product_t *ret) {
    catalog_variant_t *variants = catalog_product_new_variants(ret, arena, product->variants_count);
    for (size_t i = 0; i < product->variants_count; i++) {
        const model_variant_t *variant = &product->variants[i];
        souk_pair_t *pairs = souk_arena_alloc_array(arena, 2, sizeof *pairs);
        size_t count = 0;
        s_add_pair(pairs, &count, "size", variant->size);
        s_add_pair(pairs, &count, "color", variant->color);
        catalog_variant_set_id(&variants[i], souk_arena_printf(arena, "var_%s", variant->sku));
        catalog_variant_set_sku(&variants[i], souk_str_of(variant->sku));
        variants[i].price = s_money(variant->price);
        souk_bits_set(&variants[i].bits, CATALOG_VARIANT_PRICE_BIT);
        catalog_variant_set_option_values(&variants[i],
                                          (souk_pairs_t){.items = pairs, .count = count});
        if (variant->compare_at > 0) {
            variants[i].compare_at_price = s_money(variant->compare_at);
            souk_bits_set(&variants[i].bits, CATALOG_VARIANT_COMPARE_AT_PRICE_BIT);
        }
    }
}

souk_str_t model_document(const model_product_t *product, int64_t revision, souk_arena_t *arena) {
    catalog_product_t whole = {0};
    souk_str_t *items = catalog_product_new_category_ids(&whole, arena, 3);
    size_t count = 0;
    for (size_t i = 0; i < 3 && product->categories[i] != NULL; i++) {
        items[count++] = souk_str_of(product->categories[i]);
    }
    whole.category_ids.count = count;
    items = catalog_product_new_tags(&whole, arena, 3);
    for (count = 0; count < 3 && product->tags[count] != NULL; count++) {
        items[count] = souk_str_of(product->tags[count]);
    }
    whole.tags.count = count;
    souk_pair_t *pairs = souk_arena_alloc_array(arena, 2, sizeof *pairs);
    count = 0;
    s_add_pair(pairs, &count, "material", product->material);
    s_add_pair(pairs, &count, "brand", product->brand);
    catalog_product_set_attributes(&whole, (souk_pairs_t){.items = pairs, .count = count});
    catalog_product_new_media(&whole, arena, 0);
    items = catalog_product_new_options(&whole, arena, 2);
    items[0] = SOUK_STR("size");
    items[1] = SOUK_STR("color");
    s_variants(product, arena, &whole);
    catalog_product_set_id(&whole, souk_str_of(product->id));
    catalog_product_set_version(&whole, product->version);
    catalog_product_set_revision(&whole, revision);
    catalog_product_set_slug(&whole, souk_str_of(product->slug));
    catalog_product_set_name(&whole, souk_str_of(product->name));
    catalog_product_set_description(&whole, souk_str_of(product->description));
    catalog_product_set_status(&whole, product->status);
    catalog_product_set_created_at(&whole, product->created_at_us);
    catalog_product_set_updated_at(&whole, product->created_at_us + product->version);
    whole.price_min = s_money(model_price_min(product));
    whole.price_max = s_money(model_price_max(product));
    souk_bits_set(&whole.bits, CATALOG_PRODUCT_PRICE_MIN_BIT);
    souk_bits_set(&whole.bits, CATALOG_PRODUCT_PRICE_MAX_BIT);
    return s_encode(&catalog_product_type, &whole, arena);
}

souk_err_t model_apply(catalog_index_t *index, const model_product_t *product) {
    souk_arena_t *arena = souk_arena_new(1 << 20, 0);
    catalog_change_t change = {.revision = catalog_index_revision(index) + 1,
                               .kind = CATALOG_PRODUCT,
                               .entity_id = souk_str_of(product->id),
                               .version = product->version,
                               .deleted = product->deleted};
    if (!product->deleted) {
        change.document = model_document(product, change.revision, arena);
    }
    souk_err_t err = catalog_index_apply(index, &change);
    souk_arena_destroy(&arena);
    return err;
}

void model_put(catalog_index_t *index, model_product_t *product) {
    product->version++;
    cr_assert_eq(model_apply(index, product), SOUK_OK);
}

void model_category(catalog_index_t *index, const char *id, const char *parent, int64_t version,
                    int64_t position) {
    souk_arena_t *arena = souk_arena_new(1 << 20, 0);
    catalog_category_t category = {0};
    catalog_category_set_id(&category, souk_str_of(id));
    catalog_category_set_version(&category, version);
    catalog_category_set_slug(&category, souk_arena_printf(arena, "slug-%s", id));
    catalog_category_set_name(&category, souk_arena_printf(arena, "Name %s", id));
    catalog_category_set_position(&category, position);
    catalog_category_set_created_at(&category, 1700000000000000);
    catalog_category_set_updated_at(&category, 1700000000000000 + version);
    if (parent != NULL) {
        catalog_category_set_parent_id(&category, souk_str_of(parent));
    } else {
        souk_bits_set_nil(&category.bits, CATALOG_CATEGORY_PARENT_ID_BIT);
    }
    const catalog_change_t change = {.revision = catalog_index_revision(index) + 1,
                                     .kind = CATALOG_CATEGORY,
                                     .entity_id = souk_str_of(id),
                                     .version = version,
                                     .document =
                                         s_encode(&catalog_category_type, &category, arena)};
    cr_assert_eq(catalog_index_apply(index, &change), SOUK_OK);
    souk_arena_destroy(&arena);
}

void model_category_delete(catalog_index_t *index, const char *id, int64_t version) {
    const catalog_change_t change = {.revision = catalog_index_revision(index) + 1,
                                     .kind = CATALOG_CATEGORY,
                                     .entity_id = souk_str_of(id),
                                     .version = version,
                                     .deleted = true};
    cr_assert_eq(catalog_index_apply(index, &change), SOUK_OK);
}

souk_err_t model_list(const catalog_index_t *index, const catalog_query_t *query,
                      catalog_sort_t sort, souk_str_t cursor, size_t limit, souk_arena_t *arena,
                      catalog_list_t *ret) {
    const catalog_list_request_t request = {
        .query = *query, .sort = sort, .cursor = cursor, .limit = limit};
    return catalog_list(index, &request, arena, ret);
}
