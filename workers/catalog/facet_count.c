/* Counts are exact: each value's bitmap against the matches without the facet's own selection. Only
 * a facet with a selection needs a set of matches of its own. A value that fewer products have in
 * all than the last one kept has among the matches is not even looked at. */
#include "facet_count.h"

#include <stdlib.h>

#include "index_impl.h"

/* ---- the most frequent ---- */

typedef struct {
    souk_str_t value, label;
    uint64_t count;
} s_value_t;

typedef struct {
    s_value_t values[CATALOG_FACET_VALUES_MAX];
    size_t count;
} s_top_t;

static int s_compare_str(souk_str_t a, souk_str_t b) {
    size_t size = a.size < b.size ? a.size : b.size;
    int result = size > 0 ? memcmp(a.data, b.data, size) : 0;
    return result != 0 ? result : (a.size > b.size) - (a.size < b.size);
}

/* Negative: a is listed before b. */
static int s_compare(const s_value_t *a, const s_value_t *b) {
    if (a->count != b->count) {
        return a->count > b->count ? -1 : 1;
    }
    return s_compare_str(a->value, b->value);
}

/* False: something with at most this many matches cannot get in. */
static bool s_top_takes(const s_top_t *self, uint64_t count_max) {
    return count_max > 0 && (self->count < CATALOG_FACET_VALUES_MAX ||
                             count_max >= self->values[self->count - 1].count);
}

static void s_top_offer(s_top_t *self, const s_value_t *value) {
    bool full = self->count == CATALOG_FACET_VALUES_MAX;
    if (value->count == 0 || (full && s_compare(value, &self->values[self->count - 1]) > 0)) {
        return;
    }
    size_t low = 0, high = self->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s_compare(&self->values[middle], value) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    self->count += !full;
    memmove(&self->values[low + 1], &self->values[low],
            (self->count - 1 - low) * sizeof(self->values[0]));
    self->values[low] = *value;
}

/* ---- one facet ---- */

/* What a facet's values are counted in: the matches without the facet's own selection or, of a
 * catalogue of which some part matches, the rest of the catalogue. Array against array is
 * CRoaring's slowest intersection; of two complements at least one consists of bit sets. */
typedef struct {
    const roaring_bitmap_t *products;
    roaring_bitmap_t *own, *rest; /* to be freed; NULL: none */
    bool is_rest;
} s_matches_t;

typedef struct {
    const catalog_match_t *match;
    souk_arena_t *arena;
    catalog_facet_t *facets;
    size_t count;
    s_matches_t all;
    s_top_t top;
} s_count_t;

static s_matches_t s_matches_of(const catalog_match_t *match, const roaring_bitmap_t *matches) {
    uint64_t count = roaring_bitmap_get_cardinality(matches), ordinals = match->index->items_count;
    s_matches_t result = {.products = matches};
    if (count > ordinals / 256 && count < ordinals / 2) {
        result.rest = roaring_bitmap_flip(matches, 0, ordinals);
        souk_assert(result.rest != NULL);
        result.products = result.rest;
        result.is_rest = true;
    }
    return result;
}

static s_matches_t s_matches(const s_count_t *self, catalog_group_kind_t kind, souk_str_t name) {
    const catalog_match_t *match = self->match;
    for (size_t i = 0; i < match->groups_count; i++) {
        if (match->groups[i].kind == kind && souk_str_equal(match->groups[i].name, name)) {
            roaring_bitmap_t *own = catalog_match_without(match, i);
            s_matches_t result = s_matches_of(match, own);
            result.own = own;
            return result;
        }
    }
    s_matches_t result = self->all; /* freed at the end */
    result.rest = NULL;
    return result;
}

static void s_matches_done(s_matches_t *self) {
    if (self->own != NULL) {
        roaring_bitmap_free(self->own);
    }
    if (self->rest != NULL) {
        roaring_bitmap_free(self->rest);
    }
}

/* How many of the products match; count: how many there are. */
static uint64_t s_count(const s_matches_t *self, const roaring_bitmap_t *products, uint64_t count) {
    uint64_t both = roaring_bitmap_and_cardinality(products, self->products);
    return self->is_rest ? count - both : both;
}

/* For people: the first letter large; a tag's hyphens are blanks. */
static souk_str_t s_label(s_count_t *self, souk_str_t value, bool is_slug) {
    char *label = souk_arena_alloc(self->arena, value.size + 1);
    if (label == NULL) {
        return (souk_str_t){0};
    }
    for (size_t i = 0; i < value.size; i++) {
        label[i] = is_slug && value.data[i] == '-' ? ' ' : value.data[i];
    }
    if (label[0] >= 'a' && label[0] <= 'z') {
        label[0] = (char)(label[0] - 'a' + 'A');
    }
    return (souk_str_t){.data = label, .size = value.size};
}

/* What top holds becomes the next facet. */
static void s_emit(s_count_t *self, souk_str_t name, bool is_slug) {
    if (self->top.count == 0 || self->count == CATALOG_FACETS_MAX) {
        return;
    }
    catalog_facet_t *facet = &self->facets[self->count];
    catalog_facet_value_t *values = catalog_facet_new_values(facet, self->arena, self->top.count);
    if (values == NULL) {
        return;
    }
    catalog_facet_set_name(facet, name);
    for (size_t i = 0; i < self->top.count; i++) {
        const s_value_t *value = &self->top.values[i];
        bool has_label = value->label.data != NULL;
        catalog_facet_value_set_value(&values[i], souk_arena_copy(self->arena, value->value));
        catalog_facet_value_set_label(&values[i], has_label
                                                      ? souk_arena_copy(self->arena, value->label)
                                                      : s_label(self, value->value, is_slug));
        catalog_facet_value_set_count(&values[i], (int64_t)value->count);
    }
    self->count++;
}

static void s_count_categories(s_count_t *self) {
    const catalog_tree_t *tree = &self->match->index->tree;
    s_matches_t matches = s_matches(self, CATALOG_BY_CATEGORY, SOUK_STR(""));
    self->top.count = 0;
    for (uint32_t i = 0; i < tree->count; i++) {
        const catalog_node_t *node = &tree->nodes[i];
        uint64_t count = roaring_bitmap_get_cardinality(node->below);
        if (catalog_tree_is_there(tree, i) && s_top_takes(&self->top, count)) {
            const s_value_t value = {.value = node->slug,
                                     .label = node->name,
                                     .count = s_count(&matches, node->below, count)};
            s_top_offer(&self->top, &value);
        }
    }
    s_matches_done(&matches);
    s_emit(self, SOUK_STR("category"), false);
}

static void s_count_property(s_count_t *self, const catalog_property_t *property) {
    static const catalog_group_kind_t kinds[] = {CATALOG_BY_TAG, CATALOG_BY_OPTION,
                                                 CATALOG_BY_ATTRIBUTE};
    static const char *const names[] = {"tag", "option.", "attribute."};
    const catalog_facets_t *facets = &self->match->index->facets;
    souk_str_t name = catalog_property_name(property);
    s_matches_t matches = s_matches(self, kinds[property->kind], name);
    self->top.count = 0;
    for (uint32_t i = 0; i < property->values_count; i++) {
        const catalog_value_t *value = &facets->values[property->values[i]];
        if (s_top_takes(&self->top, value->products_count)) {
            const s_value_t counted = {
                .value = catalog_value_text(value),
                .count = s_count(&matches, value->products, value->products_count)};
            s_top_offer(&self->top, &counted);
        }
    }
    s_matches_done(&matches);
    if (self->top.count > 0) {
        s_emit(self,
               souk_arena_printf(self->arena, "%s%.*s", names[property->kind], (int)name.size,
                                 name.data),
               property->kind == CATALOG_TAG);
    }
}

/* ---- which facets ---- */

static int s_compare_listed(const catalog_property_t *a, const catalog_property_t *b) {
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    return s_compare_str(catalog_property_name(a), catalog_property_name(b));
}

static int s_by_listing(const void *a, const void *b) {
    return s_compare_listed(*(const catalog_property_t *const *)a,
                            *(const catalog_property_t *const *)b);
}

static int s_by_products(const void *a, const void *b) {
    const catalog_property_t *left = *(const catalog_property_t *const *)a,
                             *right = *(const catalog_property_t *const *)b;
    bool left_tag = left->kind == CATALOG_TAG, right_tag = right->kind == CATALOG_TAG;
    if (left_tag != right_tag) {
        return left_tag ? -1 : 1;
    }
    if (left->products_sum != right->products_sum) {
        return left->products_sum > right->products_sum ? -1 : 1;
    }
    return s_compare_listed(left, right);
}

static void s_count_properties(s_count_t *self) {
    const catalog_facets_t *facets = &self->match->index->facets;
    const catalog_property_t **properties =
        calloc((size_t)facets->properties_count + 1, sizeof(properties[0]));
    souk_assert(properties != NULL);
    size_t count = 0;
    for (uint32_t i = 0; i < facets->properties_count; i++) {
        if (facets->properties[i].key != NULL) {
            properties[count++] = &facets->properties[i];
        }
    }
    if (count > CATALOG_FACETS_MAX - 1) {
        qsort(properties, count, sizeof(properties[0]), s_by_products);
        count = CATALOG_FACETS_MAX - 1; /* and category */
    }
    qsort(properties, count, sizeof(properties[0]), s_by_listing);
    for (size_t i = 0; i < count && !souk_arena_overflowed(self->arena); i++) {
        s_count_property(self, properties[i]);
    }
    free(properties);
}

/* ---- prices ---- */

static bool s_fold_prices(uint32_t ordinal, void *arg) {
    void **args = arg;
    const catalog_item_t *item = &((const catalog_index_t *)args[0])->items[ordinal];
    int64_t *range = args[1];
    range[0] = item->price_min < range[0] ? item->price_min : range[0];
    range[1] = item->price_max > range[1] ? item->price_max : range[1];
    return true;
}

static void s_prices(const catalog_match_t *match, souk_arena_t *arena,
                     catalog_products_facets_rep_t *ret) {
    int64_t range[2] = {INT64_MAX, INT64_MIN};
    void *args[2];
    memcpy(&args[0], &match->index, sizeof(args[0]));
    args[1] = range;
    roaring_iterate(match->all, s_fold_prices, args);
    if (range[0] > range[1]) {
        souk_bits_set_nil(&ret->bits, CATALOG_PRODUCTS_FACETS_REP_PRICE_MIN_BIT);
        souk_bits_set_nil(&ret->bits, CATALOG_PRODUCTS_FACETS_REP_PRICE_MAX_BIT);
        return;
    }
    souk_money_set_amount(&ret->price_min, range[0]);
    souk_str_t currency = souk_arena_copy(arena, souk_str_of(match->index->currency));
    souk_money_set_currency(&ret->price_min, currency);
    souk_money_set_amount(&ret->price_max, range[1]);
    souk_money_set_currency(&ret->price_max, currency);
    souk_bits_set(&ret->bits, CATALOG_PRODUCTS_FACETS_REP_PRICE_MIN_BIT);
    souk_bits_set(&ret->bits, CATALOG_PRODUCTS_FACETS_REP_PRICE_MAX_BIT);
}

souk_err_t catalog_facet_count(const catalog_match_t *match, souk_arena_t *arena,
                               catalog_products_facets_rep_t *ret) {
    s_count_t *self = souk_arena_alloc(arena, sizeof(*self));
    catalog_facet_t *facets =
        catalog_products_facets_rep_new_facets(ret, arena, CATALOG_FACETS_MAX);
    if (self == NULL || facets == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    self->match = match;
    self->arena = arena;
    self->facets = facets;
    self->all = s_matches_of(match, match->all);
    s_count_categories(self);
    s_count_properties(self);
    s_matches_done(&self->all);
    ret->facets.count = self->count;
    s_prices(match, arena, ret);
    catalog_products_facets_rep_set_total(ret, (int64_t)roaring_bitmap_get_cardinality(match->all));
    catalog_products_facets_rep_set_revision(
        ret, souk_arena_printf(arena, "%lld", (long long)match->index->revision));
    return souk_arena_overflowed(arena) ? SOUK_ERR_NO_MEMORY : SOUK_OK;
}
