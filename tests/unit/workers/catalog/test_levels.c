/* What is known of SKUs' availability, and products shown with it. */
#include "levels.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "model.h"
#include "souk/schema.h"

static catalog_levels_t levels;
static souk_arena_t *arena;
static souk_buf_t buf;

static void s_setup(void) {
    catalog_levels_init(&levels);
    arena = souk_arena_new(16 << 20, 0);
    souk_buf_init(&buf, 1 << 20);
}

static void s_teardown(void) {
    souk_buf_done(&buf);
    souk_arena_destroy(&arena);
    catalog_levels_done(&levels);
}

TestSuite(levels, .init = s_setup, .fini = s_teardown);

static souk_str_t s_document(void) {
    model_product_t product = model_product(1);
    product.variants_count = 3;
    product.variants[1] = (model_variant_t){.sku = "SKU-B", .price = 7, .size = "large"};
    product.variants[2] = (model_variant_t){.sku = "SKU-C", .price = 8, .size = "small"};
    return model_document(&product, 1, arena);
}

static void s_show(catalog_product_t *ret) {
    souk_issues_t issues;
    souk_issues_init(&issues);
    souk_buf_clear(&buf);
    cr_assert_eq(catalog_levels_show(&levels, s_document(), &buf), SOUK_OK);
    *ret = (catalog_product_t){0};
    cr_assert_eq(souk_schema_from_mp(&catalog_product_type,
                                     souk_arena_copy(arena, souk_buf_str(&buf)), arena, ret,
                                     &issues),
                 SOUK_OK, "%s %s", issues.items[0].pointer, issues.items[0].reason);
}

Test(levels, the_last_word_counts) {
    cr_assert_eq(catalog_levels_get(&levels, SOUK_STR("SKU-1")), CATALOG_LEVEL_UNKNOWN);
    catalog_levels_set(&levels, SOUK_STR("SKU-1"), CATALOG_LEVEL_LOW);
    catalog_levels_set(&levels, SOUK_STR("SKU-1"), CATALOG_LEVEL_LOW);
    catalog_levels_set(&levels, SOUK_STR("SKU-2"), CATALOG_LEVEL_IN_STOCK);
    cr_assert_eq(catalog_levels_get(&levels, SOUK_STR("SKU-1")), CATALOG_LEVEL_LOW);
    catalog_levels_set(&levels, SOUK_STR("SKU-1"), CATALOG_LEVEL_NONE);
    cr_assert_eq(catalog_levels_get(&levels, SOUK_STR("SKU-1")), CATALOG_LEVEL_NONE);
    cr_assert_eq(catalog_levels_get(&levels, SOUK_STR("SKU-2")), CATALOG_LEVEL_IN_STOCK);
    catalog_levels_clear(&levels);
    cr_assert_eq(catalog_levels_get(&levels, SOUK_STR("SKU-2")), CATALOG_LEVEL_UNKNOWN);
}

Test(levels, a_product_of_which_nothing_is_known_is_its_document) {
    catalog_levels_set(&levels, SOUK_STR("SKU-other"), CATALOG_LEVEL_LOW);
    cr_assert_eq(catalog_levels_show(&levels, s_document(), &buf), SOUK_OK);
    cr_assert(souk_str_equal(souk_buf_str(&buf), s_document()));
}

Test(levels, variants_show_what_is_known) {
    catalog_product_t product;
    size_t count = 0;
    catalog_levels_set(&levels, SOUK_STR("SKU-1"), CATALOG_LEVEL_NONE);
    catalog_levels_set(&levels, SOUK_STR("SKU-C"), CATALOG_LEVEL_IN_STOCK);
    s_show(&product);
    const catalog_variant_t *variants = catalog_product_variants(&product, &count);
    cr_assert_eq(count, 3);
    cr_assert_eq(variants[0].availability, CATALOG_VARIANT_AVAILABILITY_NONE);
    cr_assert(souk_bits_has(&variants[0].bits, CATALOG_VARIANT_AVAILABILITY_BIT));
    cr_assert_not(souk_bits_has(&variants[1].bits, CATALOG_VARIANT_AVAILABILITY_BIT));
    cr_assert_eq(variants[2].availability, CATALOG_VARIANT_AVAILABILITY_IN_STOCK);
    cr_assert(souk_str_equal(variants[1].sku, SOUK_STR("SKU-B")) && variants[1].price.amount == 7);
    cr_assert_eq(product.availability_tag.size, 8);
    cr_assert_eq(product.version, 1);
}

Test(levels, the_tag_differs_with_the_state_and_only_with_it) {
    char tags[64][9];
    size_t tags_count = 0;
    const char *const skus[] = {"SKU-1", "SKU-B", "SKU-C"};
    for (int state = 0; state < 27; state++) {
        catalog_product_t product;
        int rest = state;
        for (size_t i = 0; i < 3; i++, rest /= 3) {
            catalog_levels_set(&levels, souk_str_of(skus[i]), (catalog_level_t)(rest % 3));
        }
        s_show(&product);
        snprintf(tags[tags_count], sizeof tags[0], "%.*s", (int)product.availability_tag.size,
                 product.availability_tag.data);
        for (size_t i = 0; i < tags_count; i++) {
            cr_assert_str_neq(tags[i], tags[tags_count]);
        }
        tags_count++;
    }
    catalog_product_t product;
    for (size_t i = 0; i < 3; i++) {
        catalog_levels_set(&levels, souk_str_of(skus[i]), CATALOG_LEVEL_NONE);
    }
    s_show(&product);
    cr_assert(souk_str_equal(product.availability_tag, souk_str_of(tags[0])));
}

Test(levels, what_is_no_product_or_too_large_is_an_error) {
    catalog_levels_set(&levels, SOUK_STR("SKU-1"), CATALOG_LEVEL_LOW);
    souk_str_t document = s_document();
    souk_str_t cut = {.data = document.data, .size = document.size - 1};
    cr_assert_eq(catalog_levels_show(&levels, cut, &buf), SOUK_ERR_MALFORMED);
    souk_buf_t small;
    souk_buf_init(&small, document.size);
    cr_assert_eq(catalog_levels_show(&levels, document, &small), SOUK_ERR_TOO_LARGE);
    souk_buf_done(&small);
}
