/* Entities: versions, look-ups, SKUs, slugs, deletion, what malformed documents do, and that the
 * order of changes does not matter. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "index_impl.h"
#include "list.h"
#include "model.h"

static bool s_is(souk_str_t text, const char *expected) {
    return souk_str_equal(text, souk_str_of(expected));
}

static souk_err_t s_apply(catalog_index_t *index, const char *id, int64_t version,
                          souk_str_t document) {
    return catalog_index_apply(index,
                               &(catalog_change_t){.revision = catalog_index_revision(index) + 1,
                                                   .kind = CATALOG_PRODUCT,
                                                   .entity_id = souk_str_of(id),
                                                   .version = version,
                                                   .document = document});
}

Test(index, a_product_is_found_by_id_slug_and_sku) {
    catalog_index_t *index = catalog_index_new("EUR");
    model_product_t product = model_product(1);
    catalog_entity_t entity;
    cr_assert_not(catalog_index_entity(index, CATALOG_PRODUCT, souk_str_of(product.id), &entity));
    cr_assert_eq(model_apply(index, &product), SOUK_OK);
    cr_assert(catalog_index_entity(index, CATALOG_PRODUCT, souk_str_of(product.id), &entity));
    souk_arena_t *arena = souk_arena_new(1 << 20, 0);
    cr_assert(souk_str_equal(entity.document, model_document(&product, 1, arena)));
    cr_assert_eq(entity.version, 1);
    cr_assert_eq(entity.revision, 1);
    cr_assert_eq(entity.created_at_us, product.created_at_us);
    cr_assert_eq(entity.updated_at_us, product.created_at_us + 1);
    cr_assert_not(entity.deleted);
    cr_assert(
        s_is(catalog_index_slug_owner(index, CATALOG_PRODUCT, SOUK_STR("product-1")), product.id));
    cr_assert_eq(catalog_index_slug_owner(index, CATALOG_CATEGORY, SOUK_STR("product-1")).size, 0);
    cr_assert(s_is(catalog_index_sku_owner(index, SOUK_STR("SKU-1")), product.id));
    cr_assert_eq(catalog_index_sku_owner(index, SOUK_STR("sku-1")).size, 0,
                 "owners are looked up as written");
    cr_assert_eq(catalog_index_revision(index), 1);
    cr_assert_eq(catalog_index_entities(index), 1);
    souk_arena_destroy(&arena);
    catalog_index_destroy(&index);
}

Test(index, an_old_version_changes_nothing_but_the_revision) {
    catalog_index_t *index = catalog_index_new("EUR");
    model_product_t product = model_product(1), old;
    product.version = 3;
    cr_assert_eq(model_apply(index, &product), SOUK_OK);
    old = product;
    for (int64_t version = 3; version > 0; version--) {
        old.version = version;
        snprintf(old.slug, sizeof old.slug, "old-%d", (int)version);
        old.deleted = version == 2;
        cr_assert_eq(model_apply(index, &old), SOUK_OK);
    }
    catalog_entity_t entity;
    cr_assert(catalog_index_entity(index, CATALOG_PRODUCT, souk_str_of(product.id), &entity));
    cr_assert(entity.version == 3 && entity.revision == 1 && !entity.deleted);
    cr_assert_eq(catalog_index_slug_owner(index, CATALOG_PRODUCT, SOUK_STR("old-3")).size, 0);
    cr_assert(
        s_is(catalog_index_slug_owner(index, CATALOG_PRODUCT, SOUK_STR("product-1")), product.id));
    cr_assert_eq(catalog_index_revision(index), 4);
    catalog_index_destroy(&index);
}

Test(index, a_deleted_product_keeps_version_and_skus_and_comes_back) {
    catalog_index_t *index = catalog_index_new("EUR");
    model_product_t product = model_product(1);
    cr_assert_eq(model_apply(index, &product), SOUK_OK);
    product.deleted = true;
    model_put(index, &product);
    catalog_entity_t entity;
    cr_assert(catalog_index_entity(index, CATALOG_PRODUCT, souk_str_of(product.id), &entity));
    cr_assert(entity.deleted && entity.version == 2 && entity.document.size == 0);
    cr_assert_eq(entity.created_at_us, product.created_at_us);
    cr_assert_eq(catalog_index_slug_owner(index, CATALOG_PRODUCT, SOUK_STR("product-1")).size, 0);
    cr_assert(s_is(catalog_index_sku_owner(index, SOUK_STR("SKU-1")), product.id));
    cr_assert_eq(catalog_index_product(index, SOUK_STR("product-1")), CATALOG_NONE);
    cr_assert_eq(catalog_index_product(index, souk_str_of(product.id)), CATALOG_NONE);
    product.deleted = false;
    model_put(index, &product);
    cr_assert_eq(catalog_index_product(index, SOUK_STR("product-1")), 0);
    cr_assert_eq(catalog_index_version(index, CATALOG_PRODUCT, souk_str_of(product.id)), 3);
    cr_assert_eq(catalog_index_entities(index), 1);
    catalog_index_destroy(&index);
}

Test(index, a_sku_stays_bound_when_it_is_dropped_and_when_only_an_old_version_had_it) {
    catalog_index_t *index = catalog_index_new("EUR");
    model_product_t product = model_product(1);
    product.version = 5;
    cr_assert_eq(model_apply(index, &product), SOUK_OK);
    snprintf(product.variants[0].sku, sizeof product.variants[0].sku, "NEW-1");
    model_put(index, &product);
    cr_assert(s_is(catalog_index_sku_owner(index, SOUK_STR("SKU-1")), product.id));
    cr_assert(s_is(catalog_index_sku_owner(index, SOUK_STR("NEW-1")), product.id));
    model_product_t old = product; /* a record is read in no order */
    old.version = 2;
    snprintf(old.variants[0].sku, sizeof old.variants[0].sku, "OLD-1");
    cr_assert_eq(model_apply(index, &old), SOUK_OK);
    cr_assert(s_is(catalog_index_sku_owner(index, SOUK_STR("OLD-1")), product.id));
    model_product_t other = model_product(2);
    snprintf(other.variants[0].sku, sizeof other.variants[0].sku, "SKU-1");
    cr_assert_eq(model_apply(index, &other), SOUK_OK);
    cr_assert(s_is(catalog_index_sku_owner(index, SOUK_STR("SKU-1")), product.id), "for good");
    catalog_index_destroy(&index);
}

Test(index, slugs_that_change_hands_are_right_in_every_order_of_changes) {
    model_product_t first = model_product(1), renamed = first, second = model_product(2);
    renamed.version = 2;
    snprintf(renamed.slug, sizeof renamed.slug, "elsewhere");
    snprintf(second.slug, sizeof second.slug, "%s", first.slug);
    const model_product_t *const orders[][3] = {
        {&first, &renamed, &second}, {&first, &second, &renamed}, {&second, &first, &renamed},
        {&renamed, &first, &second}, {&renamed, &second, &first}, {&second, &renamed, &first}};
    for (size_t i = 0; i < SOUK_COUNT_OF(orders); i++) {
        catalog_index_t *index = catalog_index_new("EUR");
        for (size_t j = 0; j < 3; j++) {
            cr_assert_eq(model_apply(index, orders[i][j]), SOUK_OK);
        }
        cr_assert(s_is(catalog_index_slug_owner(index, CATALOG_PRODUCT, SOUK_STR("product-1")),
                       second.id),
                  "order %zu", i);
        cr_assert(
            s_is(catalog_index_slug_owner(index, CATALOG_PRODUCT, SOUK_STR("elsewhere")), first.id),
            "order %zu", i);
        catalog_index_destroy(&index);
    }
}

Test(index, what_cannot_be_read_leaves_the_index_as_it_was) {
    catalog_index_t *index = catalog_index_new("EUR");
    souk_arena_t *arena = souk_arena_new(1 << 20, 0);
    model_product_t product = model_product(1);
    cr_assert_eq(model_apply(index, &product), SOUK_OK);
    souk_str_t document = model_document(&product, 1, arena);
    for (size_t size = 0; size < document.size; size++) { /* cut off anywhere */
        cr_assert_eq(s_apply(index, product.id, 2, (souk_str_t){document.data, size}),
                     SOUK_ERR_MALFORMED, "%zu bytes", size);
    }
    cr_assert_eq(s_apply(index, "prod_other", 2, document), SOUK_ERR_MALFORMED,
                 "the id of another");
    cr_assert_eq(s_apply(index, "", 1, document), SOUK_ERR_MALFORMED);
    cr_assert_eq(s_apply(index, product.id, 0, document), SOUK_ERR_MALFORMED);
    cr_assert_eq(s_apply(index, product.id, 2, SOUK_STR("\xc0")), SOUK_ERR_MALFORMED);
    cr_assert_eq(catalog_index_version(index, CATALOG_PRODUCT, souk_str_of(product.id)), 1);
    cr_assert_eq(catalog_index_entities(index), 1);
    cr_assert_eq(index->items_count, 1);
    const catalog_change_t category = {.revision = 9999,
                                       .kind = CATALOG_CATEGORY,
                                       .entity_id = SOUK_STR("cat_a"),
                                       .version = 1,
                                       .document = document};
    cr_assert_eq(catalog_index_apply(index, &category), SOUK_ERR_MALFORMED);
    cr_assert_eq(index->tree.count, 0);
    cr_assert_eq(catalog_index_revision(index), 9999);
    souk_arena_destroy(&arena);
    catalog_index_destroy(&index);
}

static void s_copy_to(void *arg, const catalog_change_t *change) {
    cr_assert_eq(catalog_index_apply(arg, change), SOUK_OK);
}

Test(index, each_gives_all_that_another_index_needs) {
    catalog_index_t *index = catalog_index_new("EUR"), *copy = catalog_index_new("EUR");
    model_category(index, "cat_a", NULL, 1, 1);
    model_category(index, "cat_b", "cat_a", 1, 1);
    model_category(index, "cat_c", NULL, 1, 1);
    model_category_delete(index, "cat_c", 2);
    for (int i = 0; i < 50; i++) {
        model_product_t product = model_product(i);
        product.categories[0] = "cat_b";
        cr_assert_eq(model_apply(index, &product), SOUK_OK);
        product.deleted = i % 5 == 0;
        model_put(index, &product);
    }
    catalog_index_each(index, s_copy_to, copy);
    cr_assert_eq(catalog_index_revision(copy), catalog_index_revision(index));
    cr_assert_eq(catalog_index_entities(copy), 53);
    cr_assert_eq(copy->products_count, 40);
    cr_assert_eq(catalog_index_version(copy, CATALOG_CATEGORY, SOUK_STR("cat_c")), 2);
    cr_assert(souk_str_equal(
        catalog_tree_encoded(&copy->tree, catalog_tree_find(&copy->tree, SOUK_STR("cat_a"))),
        catalog_tree_encoded(&index->tree, catalog_tree_find(&index->tree, SOUK_STR("cat_a")))));
    catalog_index_destroy(&copy);
    catalog_index_destroy(&index);
}

static void s_remember(void *arg, souk_str_t sku, souk_str_t product_id) {
    catalog_index_remember_sku(arg, sku, product_id);
}

Test(index, dropped_skus_can_be_handed_to_another_index) {
    catalog_index_t *index = catalog_index_new("EUR"), *copy = catalog_index_new("EUR");
    model_product_t product = model_product(1), gone = model_product(2);
    cr_assert_eq(model_apply(index, &product), SOUK_OK);
    snprintf(product.variants[0].sku, sizeof product.variants[0].sku, "NEW-1");
    model_put(index, &product);
    cr_assert_eq(model_apply(index, &gone), SOUK_OK);
    gone.deleted = true;
    model_put(index, &gone);
    catalog_index_each(index, s_copy_to, copy);
    cr_assert_eq(catalog_index_sku_owner(copy, SOUK_STR("SKU-1")).size, 0);
    catalog_index_each_dropped_sku(index, s_remember, copy);
    cr_assert(s_is(catalog_index_sku_owner(copy, SOUK_STR("SKU-1")), product.id));
    cr_assert(s_is(catalog_index_sku_owner(copy, SOUK_STR("SKU-2")), gone.id));
    catalog_index_remember_sku(copy, SOUK_STR("NEW-1"), souk_str_of(gone.id));
    cr_assert(s_is(catalog_index_sku_owner(copy, SOUK_STR("NEW-1")), product.id), "taken");
    catalog_index_remember_sku(copy, SOUK_STR("SKU-3"), SOUK_STR("prod_unknown"));
    cr_assert_eq(catalog_index_sku_owner(copy, SOUK_STR("SKU-3")).size, 0);
    catalog_index_destroy(&copy);
    catalog_index_destroy(&index);
}

Test(index, a_summary_tells_the_cheapest_variants_former_price_and_the_first_picture) {
    catalog_index_t *index = catalog_index_new("EUR");
    souk_arena_t *arena = souk_arena_new(1 << 20, 0);
    model_product_t product = model_product(1);
    product.variants_count = 3;
    for (int i = 0; i < 3; i++) {
        snprintf(product.variants[i].sku, sizeof product.variants[i].sku, "S-%d", i);
        product.variants[i].price = i == 1 ? 500 : 900;
        product.variants[i].compare_at = i == 1 ? 700 : 1900;
    }
    cr_assert_eq(model_apply(index, &product), SOUK_OK);
    catalog_query_t query = {.statuses = CATALOG_STATUSES_ALL};
    catalog_list_t list = {0};
    cr_assert_eq(model_list(index, &query, CATALOG_SORT_RELEVANCE, SOUK_STR(""), 5, arena, &list),
                 SOUK_OK);
    cr_assert(list.count == 1 && list.total == 1 && list.next.data == NULL &&
              s_is(list.revision, "1"));
    catalog_product_summary_t summary = {0};
    souk_issues_t issues;
    souk_issues_init(&issues);
    cr_assert_eq(
        souk_schema_from_mp(&catalog_product_summary_type, list.data[0], arena, &summary, &issues),
        SOUK_OK);
    cr_assert_eq(summary.price_min.amount, 500);
    cr_assert_eq(summary.price_max.amount, 900);
    cr_assert_eq(summary.compare_at_price.amount, 700);
    cr_assert_eq(summary.variants_count, 3);
    cr_assert(s_is(summary.slug, "product-1"));
    cr_assert_not(souk_bits_has(&summary.bits, CATALOG_PRODUCT_SUMMARY_IMAGE_BIT),
                  "this product has no picture");
    souk_arena_destroy(&arena);
    catalog_index_destroy(&index);
}
