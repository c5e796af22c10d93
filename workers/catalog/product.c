#include "product.h"

#include <stdio.h>

#include "souk/id.h"
#include "souk/mp.h"
#include "souk/schema.h"

#define DOCUMENT_BYTES_MAX ((size_t)1024 * 1024)

/* ---- input ---- */

/* The encoded value under name in an encoded map; data NULL when it is not there. */
static souk_err_t s_value_of(souk_str_t map, souk_str_t name, souk_str_t *ret_value) {
    souk_mp_cursor_t cursor;
    uint32_t pairs = 0;
    *ret_value = (souk_str_t){0};
    souk_mp_cursor_init(&cursor, map.data, map.size);
    SOUK_TRY(souk_mp_read_map(&cursor, &pairs));
    for (uint32_t i = 0; i < pairs; i++) {
        souk_str_t key;
        SOUK_TRY(souk_mp_read_str(&cursor, &key));
        const uint8_t *start = cursor.at;
        SOUK_TRY(souk_mp_skip(&cursor));
        if (souk_str_equal(key, name)) {
            *ret_value =
                (souk_str_t){.data = (const char *)start, .size = (size_t)(cursor.at - start)};
            return SOUK_OK;
        }
    }
    return SOUK_OK;
}

static bool s_is_nil(souk_str_t value) {
    return value.size == 1 && (uint8_t)value.data[0] == 0xc0;
}

/* RFC 7396 on the top level: what the patch names replaces, nil removes, the rest stays. */
static souk_err_t s_merge(souk_str_t base, souk_str_t patch, souk_buf_t *ret) {
    const souk_type_t *type = &catalog_product_input_type;
    souk_str_t values[SOUK_FIELDS_MAX] = {{0}};
    uint32_t pairs = 0;
    for (size_t i = 0; i < type->fields_count; i++) {
        souk_str_t name = {.data = type->fields[i].name, .size = type->fields[i].name_size};
        SOUK_TRY(s_value_of(patch, name, &values[i]));
        if (values[i].data == NULL) {
            SOUK_TRY(s_value_of(base, name, &values[i]));
        }
        if (values[i].data != NULL && s_is_nil(values[i])) {
            values[i] = (souk_str_t){0};
        }
        pairs += values[i].data != NULL;
    }
    souk_mp_write_map(ret, pairs);
    for (size_t i = 0; i < type->fields_count; i++) {
        if (values[i].data != NULL) {
            souk_mp_write_str(
                ret, (souk_str_t){.data = type->fields[i].name, .size = type->fields[i].name_size});
            souk_buf_append_str(ret, values[i]);
        }
    }
    return SOUK_OK;
}

souk_err_t catalog_product_input(const catalog_draft_t *draft, const souk_type_t *type,
                                 const void *request, souk_str_t base,
                                 catalog_product_input_t *ret) {
    SOUK_CLEANUP(souk_buf_done) souk_buf_t patch;
    SOUK_CLEANUP(souk_buf_done) souk_buf_t merged;
    souk_buf_init(&patch, DOCUMENT_BYTES_MAX);
    souk_buf_init(&merged, DOCUMENT_BYTES_MAX);
    souk_schema_to_mp(type, request, &patch);
    souk_str_t bytes = souk_buf_str(&patch);
    if (base.size > 0) {
        SOUK_TRY(s_merge(base, bytes, &merged));
        bytes = souk_buf_str(&merged);
    }
    if (patch.overflow || merged.overflow) {
        return catalog_refuse(draft->objection, SOUK_ERR_VALIDATION, "",
                              "the product is larger than %zu bytes", DOCUMENT_BYTES_MAX);
    }
    bytes = souk_arena_copy(draft->arena, bytes); /* the struct borrows from it */
    if (bytes.data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    souk_issues_t issues;
    souk_issues_init(&issues);
    *ret = (catalog_product_input_t){0};
    souk_err_t err =
        souk_schema_from_mp(&catalog_product_input_type, bytes, draft->arena, ret, &issues);
    if (err != SOUK_OK && err != SOUK_ERR_NO_MEMORY) {
        const souk_issue_t *issue = &issues.items[0];
        return catalog_refuse(draft->objection, SOUK_ERR_VALIDATION,
                              issues.count > 0 ? issue->pointer : "", "%s",
                              issues.count > 0 ? issue->reason : "not a product");
    }
    return err;
}

/* ---- checks ---- */

static const souk_str_t *s_pair_value(const souk_pairs_t *pairs, souk_str_t name) {
    for (size_t i = 0; i < pairs->count; i++) {
        if (souk_str_equal(pairs->items[i].name, name)) {
            return &pairs->items[i].value;
        }
    }
    return NULL;
}

static bool s_pairs_equal(const souk_pairs_t *a, const souk_pairs_t *b) {
    for (size_t i = 0; i < a->count; i++) {
        const souk_str_t *other = s_pair_value(b, a->items[i].name);
        if (other == NULL || !souk_str_equal(*other, a->items[i].value)) {
            return false;
        }
    }
    return a->count == b->count;
}

static souk_err_t s_check_options(const catalog_product_input_t *input,
                                  catalog_objection_t *objection) {
    size_t variants_count = 0;
    const catalog_variant_input_t *variants =
        catalog_product_input_variants(input, &variants_count);
    const souk_str_t *options = input->options.items;
    for (size_t v = 0; v < variants_count; v++) {
        char pointer[64];
        snprintf(pointer, sizeof pointer, "/variants/%zu/option_values", v);
        for (size_t o = 0; o < input->options.count; o++) {
            if (s_pair_value(&variants[v].option_values, options[o]) == NULL) {
                return catalog_refuse(objection, SOUK_ERR_VALIDATION, pointer,
                                      "must have the option %.*s", (int)options[o].size,
                                      options[o].data);
            }
        }
        if (variants[v].option_values.count != input->options.count) {
            return catalog_refuse(objection, SOUK_ERR_VALIDATION, pointer,
                                  "has an option that the product does not list");
        }
        for (size_t w = 0; w < v; w++) {
            if (s_pairs_equal(&variants[v].option_values, &variants[w].option_values)) {
                return catalog_refuse(objection, SOUK_ERR_VALIDATION, pointer,
                                      "is the same as that of variant %zu", w);
            }
        }
    }
    return SOUK_OK;
}

static souk_err_t s_check_money(const catalog_variant_input_t *variant, size_t at,
                                const char *currency, catalog_objection_t *objection) {
    char pointer[64];
    snprintf(pointer, sizeof pointer, "/variants/%zu/price/currency", at);
    if (!souk_str_equal(variant->price.currency, souk_str_of(currency))) {
        return catalog_refuse(objection, SOUK_ERR_VALIDATION, pointer,
                              "must be %s, the store's currency", currency);
    }
    if (!souk_bits_has(&variant->bits, CATALOG_VARIANT_INPUT_COMPARE_AT_PRICE_BIT) ||
        souk_bits_nil(&variant->bits, CATALOG_VARIANT_INPUT_COMPARE_AT_PRICE_BIT)) {
        return SOUK_OK;
    }
    snprintf(pointer, sizeof pointer, "/variants/%zu/compare_at_price", at);
    if (!souk_str_equal(variant->compare_at_price.currency, souk_str_of(currency))) {
        return catalog_refuse(objection, SOUK_ERR_VALIDATION, pointer,
                              "must be in %s, the store's currency", currency);
    }
    if (variant->compare_at_price.amount <= variant->price.amount) {
        return catalog_refuse(objection, SOUK_ERR_VALIDATION, pointer,
                              "must be greater than the price");
    }
    return SOUK_OK;
}

static souk_err_t s_check_variants(const catalog_index_t *index,
                                   const catalog_product_input_t *input, souk_str_t id,
                                   const char *currency, catalog_objection_t *objection) {
    size_t count = 0;
    const catalog_variant_input_t *variants = catalog_product_input_variants(input, &count);
    for (size_t v = 0; v < count; v++) {
        char pointer[64];
        souk_str_t sku = variants[v].sku;
        snprintf(pointer, sizeof pointer, "/variants/%zu/sku", v);
        for (size_t w = 0; w < v; w++) {
            if (souk_str_equal(variants[w].sku, sku)) {
                return catalog_refuse(objection, SOUK_ERR_VALIDATION, pointer,
                                      "is the same as that of variant %zu", w);
            }
        }
        souk_str_t owner = catalog_index_sku_owner(index, sku);
        if (owner.size > 0 && !souk_str_equal(owner, id)) {
            return catalog_refuse(objection, SOUK_ERR_SKU_TAKEN, pointer,
                                  "SKU %.*s belongs to product %.*s", (int)sku.size, sku.data,
                                  (int)owner.size, owner.data);
        }
        SOUK_TRY(s_check_money(&variants[v], v, currency, objection));
    }
    return s_check_options(input, objection);
}

static souk_err_t s_categories(const catalog_index_t *index, const catalog_product_input_t *input,
                               souk_arena_t *arena, catalog_product_t *ret,
                               catalog_objection_t *objection) {
    const souk_str_t *keys = input->category_ids.items;
    souk_str_t *ids = catalog_product_new_category_ids(ret, arena, input->category_ids.count);
    if (ids == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    size_t kept = 0;
    for (size_t i = 0; i < input->category_ids.count; i++) {
        souk_str_t id = catalog_index_category_id(index, keys[i]);
        bool known = false;
        if (id.size == 0) {
            char pointer[64];
            snprintf(pointer, sizeof pointer, "/category_ids/%zu", i);
            return catalog_refuse(objection, SOUK_ERR_VALIDATION, pointer,
                                  "there is no category %.*s", (int)keys[i].size, keys[i].data);
        }
        for (size_t k = 0; k < kept; k++) {
            known = known || souk_str_equal(ids[k], id); /* once by id and once by slug */
        }
        if (!known) {
            ids[kept++] = id;
        }
    }
    ret->category_ids.count = kept;
    return SOUK_OK;
}

/* ---- the document ---- */

static souk_err_t s_decode(souk_str_t document, souk_arena_t *arena, catalog_product_t *ret) {
    souk_issues_t issues;
    souk_issues_init(&issues);
    *ret = (catalog_product_t){0};
    return souk_schema_from_mp(&catalog_product_type, document, arena, ret, &issues);
}

static souk_err_t s_encode(const catalog_product_t *product, souk_arena_t *arena,
                           souk_str_t *ret_document) {
    SOUK_CLEANUP(souk_buf_done) souk_buf_t buf;
    souk_buf_init(&buf, DOCUMENT_BYTES_MAX);
    souk_schema_to_mp(&catalog_product_type, product, &buf);
    if (buf.overflow) {
        return SOUK_ERR_TOO_LARGE;
    }
    *ret_document = souk_arena_copy(arena, souk_buf_str(&buf));
    return ret_document->data != NULL ? SOUK_OK : SOUK_ERR_NO_MEMORY;
}

static souk_err_t s_variant_id(const catalog_product_t *current, souk_str_t sku,
                               souk_arena_t *arena, souk_str_t *ret) {
    size_t count = 0;
    const catalog_variant_t *variants = catalog_product_variants(current, &count);
    for (size_t i = 0; i < count; i++) {
        if (souk_str_equal(variants[i].sku, sku)) {
            *ret = variants[i].id;
            return SOUK_OK;
        }
    }
    char id[SOUK_ID_BYTES_MAX];
    size_t size = souk_id_new("var_", id);
    *ret = souk_arena_copy(arena, (souk_str_t){.data = id, .size = size});
    return ret->data != NULL ? SOUK_OK : SOUK_ERR_NO_MEMORY;
}

static bool s_given(const souk_bits_t *bits, unsigned bit) {
    return souk_bits_has(bits, bit) && !souk_bits_nil(bits, bit);
}

static void s_variant(const catalog_variant_input_t *from, souk_str_t id, catalog_variant_t *ret) {
    catalog_variant_set_id(ret, id);
    catalog_variant_set_sku(ret, from->sku);
    catalog_variant_set_option_values(ret, from->option_values);
    ret->price = from->price;
    souk_bits_set(&ret->bits, CATALOG_VARIANT_PRICE_BIT);
    if (s_given(&from->bits, CATALOG_VARIANT_INPUT_COMPARE_AT_PRICE_BIT)) {
        ret->compare_at_price = from->compare_at_price;
        souk_bits_set(&ret->bits, CATALOG_VARIANT_COMPARE_AT_PRICE_BIT);
    }
    if (s_given(&from->bits, CATALOG_VARIANT_INPUT_WEIGHT_G_BIT)) {
        catalog_variant_set_weight_g(ret, from->weight_g);
    }
    if (s_given(&from->bits, CATALOG_VARIANT_INPUT_BARCODE_BIT)) {
        catalog_variant_set_barcode(ret, from->barcode);
    }
}

static souk_err_t s_variants(const catalog_product_input_t *input, const catalog_product_t *current,
                             souk_arena_t *arena, catalog_product_t *ret) {
    size_t count = 0;
    const catalog_variant_input_t *from = catalog_product_input_variants(input, &count);
    catalog_variant_t *to = catalog_product_new_variants(ret, arena, count);
    if (to == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    ret->price_min = from[0].price;
    ret->price_max = from[0].price;
    souk_bits_set(&ret->bits, CATALOG_PRODUCT_PRICE_MIN_BIT);
    souk_bits_set(&ret->bits, CATALOG_PRODUCT_PRICE_MAX_BIT);
    for (size_t i = 0; i < count; i++) {
        souk_str_t id;
        SOUK_TRY(s_variant_id(current, from[i].sku, arena, &id));
        s_variant(&from[i], id, &to[i]);
        if (from[i].price.amount < ret->price_min.amount) {
            ret->price_min = from[i].price;
        }
        if (from[i].price.amount > ret->price_max.amount) {
            ret->price_max = from[i].price;
        }
    }
    return SOUK_OK;
}

static void s_copy_plain(const catalog_product_input_t *input, catalog_product_t *ret) {
    catalog_product_set_slug(ret, input->slug);
    catalog_product_set_name(ret, input->name);
    catalog_product_set_status(ret, input->status);
    catalog_product_set_tax_category(ret, input->tax_category);
    if (s_given(&input->bits, CATALOG_PRODUCT_INPUT_DESCRIPTION_BIT)) {
        catalog_product_set_description(ret, input->description);
    }
    catalog_product_set_attributes(ret, input->attributes);
    ret->tags = input->tags;
    ret->media = input->media;
    ret->options = input->options;
    souk_bits_set(&ret->bits, CATALOG_PRODUCT_TAGS_BIT);
    souk_bits_set(&ret->bits, CATALOG_PRODUCT_MEDIA_BIT);
    souk_bits_set(&ret->bits, CATALOG_PRODUCT_OPTIONS_BIT);
}

souk_err_t catalog_product_document(const catalog_draft_t *draft,
                                    const catalog_product_input_t *input, souk_str_t current,
                                    const catalog_stamp_t *stamp, souk_str_t *ret_document) {
    souk_str_t owner = catalog_index_slug_owner(draft->index, CATALOG_PRODUCT, input->slug);
    if (owner.size > 0 && !souk_str_equal(owner, stamp->id)) {
        return catalog_refuse(draft->objection, SOUK_ERR_SLUG_TAKEN, "/slug",
                              "the slug %.*s belongs to product %.*s", (int)input->slug.size,
                              input->slug.data, (int)owner.size, owner.data);
    }
    catalog_product_t *former = souk_arena_alloc(draft->arena, sizeof *former);
    catalog_product_t *product = souk_arena_alloc(draft->arena, sizeof *product);
    if (former == NULL || product == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    if (current.size > 0) {
        SOUK_TRY(s_decode(current, draft->arena, former));
    }
    SOUK_TRY(s_check_variants(draft->index, input, stamp->id, draft->currency, draft->objection));
    SOUK_TRY(s_categories(draft->index, input, draft->arena, product, draft->objection));
    SOUK_TRY(s_variants(input, former, draft->arena, product));
    s_copy_plain(input, product);
    catalog_product_set_id(product, stamp->id);
    catalog_product_set_revision(product, stamp->revision);
    catalog_product_set_version(product, stamp->version);
    catalog_product_set_created_at(product, stamp->created_at_us);
    catalog_product_set_updated_at(product, stamp->updated_at_us);
    return s_encode(product, draft->arena, ret_document);
}
