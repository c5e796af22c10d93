/* Lists, totals, cursors and facets against a search by brute force, over random catalogues that
 * change at random. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "facet_count.h"
#include "index_impl.h"
#include "list.h"
#include "model.h"

#define PRODUCTS 300

static const char *const s_categories[] = {"cat_home", "cat_kitchen", "cat_boards", "cat_garden",
                                           "cat_tools"};
static const int s_parents[] = {-1, 0, 1, -1, 3};
static const char *const s_parent_ids[] = {NULL, "cat_home", "cat_kitchen", NULL, "cat_garden"};
static const char *const s_tags[] = {"gift", "wood", "sale", "new-in"};
static const char *const s_materials[] = {"oak", "walnut", "steel"};
static const char *const s_brands[] = {"Acme", "Nord & Co"};
static const char *const s_sizes[] = {"small", "large"};
static const char *const s_colors[] = {"red", "green", "blue"};
static const char *const s_words[] = {"board", "knife", "bowl", "spoon", "lamp", "chair"};

typedef struct {
    catalog_index_t *index;
    model_product_t products[PRODUCTS];
    souk_arena_t *arena;
    uint64_t random;
} s_world_t;

static uint32_t s_random(s_world_t *self, uint32_t below) {
    self->random = self->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(self->random >> 33) % below;
}

#define S_ANY(self, array) (array)[s_random(self, SOUK_COUNT_OF(array))]

/* New content for a product; version, id and SKUs stay. */
static void s_shuffle(s_world_t *self, int number) {
    model_product_t *product = &self->products[number];
    int64_t version = product->version;
    *product = model_product(number);
    product->version = version;
    product->status =
        s_random(self, 10) < 7 ? CATALOG_PRODUCT_STATUS_ACTIVE : (int)s_random(self, 3);
    product->created_at_us =
        1700000000000000 + (int64_t)s_random(self, 40) * 1000000; /* many are equal */
    snprintf(product->name, sizeof product->name, "%s %s", S_ANY(self, s_words),
             S_ANY(self, s_words));
    snprintf(product->description, sizeof product->description, "A %s of %s", S_ANY(self, s_words),
             S_ANY(self, s_materials));
    for (size_t i = 0, count = s_random(self, 3); i < count; i++) {
        product->categories[i] = s_categories[(number + (int)i) % 5];
        product->tags[i] = s_tags[(number + (int)i) % 4];
    }
    product->material = s_random(self, 4) > 0 ? S_ANY(self, s_materials) : NULL;
    product->brand = s_random(self, 3) > 0 ? S_ANY(self, s_brands) : NULL;
    product->variants_count = 1 + s_random(self, MODEL_VARIANTS_MAX);
    for (size_t i = 0; i < product->variants_count; i++) {
        model_variant_t *variant = &product->variants[i];
        snprintf(variant->sku, sizeof variant->sku, "SKU-%d-%zu", number, i);
        variant->price = 100 * (1 + s_random(self, 30)); /* many are equal */
        variant->size = s_random(self, 3) > 0 ? S_ANY(self, s_sizes) : NULL;
        variant->color = s_random(self, 3) > 0 ? S_ANY(self, s_colors) : NULL;
    }
}

static void s_change(s_world_t *self, int number) {
    model_product_t *product = &self->products[number];
    if (!product->deleted && s_random(self, 6) == 0) {
        product->deleted = true;
    } else {
        s_shuffle(self, number);
        product->deleted = false;
    }
    model_put(self->index, product);
}

static void s_begin(s_world_t *self, uint64_t seed) {
    *self = (s_world_t){
        .index = catalog_index_new("EUR"), .arena = souk_arena_new(8 << 20, 0), .random = seed};
    for (int i = 0; i < 5; i++) {
        model_category(self->index, s_categories[i], s_parent_ids[i], 1, i);
    }
    for (int i = 0; i < PRODUCTS; i++) {
        s_shuffle(self, i);
        self->products[i].version = 0;
        model_put(self->index, &self->products[i]);
    }
    for (int i = 0; i < PRODUCTS; i++) {
        s_change(self, (int)s_random(self, PRODUCTS));
    }
}

static void s_end(s_world_t *self) {
    souk_arena_destroy(&self->arena);
    catalog_index_destroy(&self->index);
}

/* ---- brute force ---- */

typedef struct {
    catalog_query_t query;
    souk_pair_t options[3], attributes[3];
    souk_str_t tags[2];
} s_question_t;

static bool s_in_category(const model_product_t *product, souk_str_t wanted) {
    for (int i = 0; i < 3 && product->categories[i] != NULL; i++) {
        for (int at = 0; at < 5; at++) {
            for (int up = at; strcmp(product->categories[i], s_categories[at]) == 0 && up >= 0;
                 up = s_parents[up]) {
                if (souk_str_equal(wanted, souk_str_of(s_categories[up]))) {
                    return true;
                }
            }
        }
    }
    return false;
}

static bool s_has_tag(const model_product_t *product, souk_str_t tag) {
    for (int i = 0; i < 3 && product->tags[i] != NULL; i++) {
        if (souk_str_equal(tag, souk_str_of(product->tags[i]))) {
            return true;
        }
    }
    return false;
}

static bool s_has_value(const model_product_t *product, bool option, souk_str_t name,
                        souk_str_t value) {
    if (!option) {
        const char *own =
            souk_str_equal(name, SOUK_STR("material")) ? product->material : product->brand;
        return own != NULL && souk_str_equal(value, souk_str_of(own));
    }
    for (size_t i = 0; i < product->variants_count; i++) {
        const model_variant_t *variant = &product->variants[i];
        const char *own = souk_str_equal(name, SOUK_STR("size")) ? variant->size : variant->color;
        if (own != NULL && souk_str_equal(value, souk_str_of(own))) {
            return true;
        }
    }
    return false;
}

/* Names are AND, values of one name are OR; the name in but is left out. */
static bool s_has_pairs(const model_product_t *product, bool option, const souk_pairs_t *pairs,
                        const char *but) {
    for (size_t i = 0; i < pairs->count; i++) {
        souk_str_t name = pairs->items[i].name;
        bool any = but != NULL && souk_str_equal(name, souk_str_of(but));
        for (size_t j = 0; j < pairs->count; j++) {
            any = any || (souk_str_equal(name, pairs->items[j].name) &&
                          s_has_value(product, option, name, pairs->items[j].value));
        }
        if (!any) {
            return false;
        }
    }
    return true;
}

/* but: a facet whose own selection does not count ("category", "tag", "option.size", ...). */
static bool s_matches(const model_product_t *product, const catalog_query_t *query,
                      const char *but) {
    bool option = strncmp(but, "option.", 7) == 0, attribute = strncmp(but, "attribute.", 10) == 0;
    bool tag = query->tags_count == 0 || strcmp(but, "tag") == 0;
    for (size_t i = 0; i < query->tags_count; i++) {
        tag = tag || s_has_tag(product, query->tags[i]);
    }
    char words[300];
    snprintf(words, sizeof words, "%s %s %s", product->name, product->description,
             product->material != NULL ? product->material : "");
    return !product->deleted && tag && (query->statuses >> product->status & 1) != 0 &&
           (!query->has_price_min || model_price_min(product) >= query->price_min) &&
           (!query->has_price_max || model_price_min(product) <= query->price_max) &&
           (query->category.size == 0 || strcmp(but, "category") == 0 ||
            s_in_category(product, query->category)) &&
           s_has_pairs(product, true, &query->options, option ? but + 7 : NULL) &&
           s_has_pairs(product, false, &query->attributes, attribute ? but + 10 : NULL) &&
           (query->q.size == 0 || strstr(words, query->q.data) != NULL);
}

static void s_ask(s_world_t *self, s_question_t *ret) {
    *ret =
        (s_question_t){.query = {.statuses = s_random(self, 4) > 0 ? 2u : 1 + s_random(self, 7)}};
    catalog_query_t *query = &ret->query;
    if (s_random(self, 3) == 0) {
        query->q = souk_str_of(S_ANY(self, s_words));
    }
    if (s_random(self, 3) == 0) {
        query->category = souk_str_of(S_ANY(self, s_categories));
    }
    query->has_price_min = s_random(self, 4) == 0;
    query->has_price_max = s_random(self, 4) == 0;
    query->price_min = 100 * s_random(self, 20);
    query->price_max = query->price_min + 100 * s_random(self, 20);
    for (size_t i = 0, count = s_random(self, 3); i < count; i++) {
        ret->tags[query->tags_count++] = souk_str_of(s_tags[i]);
    }
    for (size_t i = 0, count = s_random(self, 3); i < count; i++) {
        bool size = s_random(self, 2) == 0;
        ret->options[query->options.count++] =
            (souk_pair_t){souk_str_of(size ? "size" : "color"),
                          souk_str_of(size ? S_ANY(self, s_sizes) : S_ANY(self, s_colors))};
    }
    for (size_t i = 0, count = s_random(self, 3); i < count; i++) {
        bool material = s_random(self, 2) == 0;
        ret->attributes[query->attributes.count++] =
            (souk_pair_t){souk_str_of(material ? "material" : "brand"),
                          souk_str_of(material ? S_ANY(self, s_materials) : S_ANY(self, s_brands))};
    }
    query->tags = ret->tags;
    query->options.items = ret->options;
    query->attributes.items = ret->attributes;
}

static const s_world_t *s_sorting; /* qsort takes no argument */
static catalog_sort_t s_sort;

static int s_compare(const void *a, const void *b) {
    const model_product_t *left = &s_sorting->products[*(const int *)a],
                          *right = &s_sorting->products[*(const int *)b];
    int64_t order = 0;
    switch (s_sort) {
    case CATALOG_SORT_PRICE:
    case CATALOG_SORT_MINUS_PRICE:
        order = model_price_min(left) - model_price_min(right);
        break;
    case CATALOG_SORT_NAME:
        order = strcmp(left->name, right->name);
        break;
    case CATALOG_SORT_RELEVANCE:
    case CATALOG_SORT_MINUS_CREATED_AT:
        order = left->created_at_us - right->created_at_us;
        break;
    }
    int result = order != 0 ? (order < 0 ? -1 : 1) : strcmp(left->id, right->id);
    return s_sort == CATALOG_SORT_PRICE || s_sort == CATALOG_SORT_NAME ? result : -result;
}

static size_t s_expected(const s_world_t *self, const catalog_query_t *query, catalog_sort_t sort,
                         int *ret) {
    size_t count = 0;
    for (int i = 0; i < PRODUCTS; i++) {
        if (s_matches(&self->products[i], query, "")) {
            ret[count++] = i;
        }
    }
    s_sorting = self;
    s_sort = sort;
    qsort(ret, count, sizeof ret[0], s_compare);
    return count;
}

static int s_number(souk_str_t summary) {
    souk_arena_t *arena = souk_arena_new(1 << 16, 0);
    catalog_product_summary_t product = {0};
    souk_issues_t issues;
    souk_issues_init(&issues);
    cr_assert_eq(
        souk_schema_from_mp(&catalog_product_summary_type, summary, arena, &product, &issues),
        SOUK_OK);
    char digits[40];
    snprintf(digits, sizeof digits, "%.*s", (int)product.id.size - 5, product.id.data + 5);
    souk_arena_destroy(&arena);
    return atoi(digits);
}

/* ---- tests ---- */

Test(list, pages_hold_what_brute_force_finds_in_its_order) {
    static s_world_t world;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        s_begin(&world, seed);
        for (int round = 0; round < 60; round++) {
            s_question_t question;
            s_ask(&world, &question);
            catalog_sort_t sort = (catalog_sort_t)(1 + s_random(&world, 4));
            size_t limit = 1 + s_random(&world, 30), at = 0;
            int expected[PRODUCTS];
            size_t count = s_expected(&world, &question.query, sort, expected);
            souk_str_t cursor = {0};
            do {
                catalog_list_t list = {0};
                cr_assert_eq(model_list(world.index, &question.query, sort, cursor, limit,
                                        world.arena, &list),
                             SOUK_OK);
                cr_assert_eq(list.total, (int64_t)count, "seed %d round %d: %d for %zu", (int)seed,
                             round, (int)list.total, count);
                for (size_t i = 0; i < list.count; i++) {
                    cr_assert_lt(at, count);
                    cr_assert_eq(s_number(list.data[i]), expected[at],
                                 "seed %d round %d sort %d at %zu", (int)seed, round, (int)sort,
                                 at);
                    at++;
                }
                cr_assert(list.next.data != NULL || at == count);
                cr_assert(list.next.size <= 512);
                cursor = list.next;
            } while (cursor.data != NULL);
            souk_arena_reset(world.arena);
            s_change(&world, (int)s_random(&world, PRODUCTS));
        }
        s_end(&world);
    }
}

Test(list, a_walk_meets_what_does_not_change_exactly_once) {
    static s_world_t world;
    for (uint64_t seed = 100; seed < 110; seed++) {
        for (int sort = CATALOG_SORT_RELEVANCE; sort <= CATALOG_SORT_MINUS_CREATED_AT; sort++) {
            s_begin(&world, seed);
            catalog_query_t query = {.statuses = 2u,
                                     .q = sort == CATALOG_SORT_RELEVANCE ? SOUK_STR("board")
                                                                         : (souk_str_t){0}};
            int expected[PRODUCTS];
            size_t count = s_expected(&world, &query, CATALOG_SORT_PRICE, expected);
            int seen[PRODUCTS] = {0};
            souk_str_t cursor = {0};
            do {
                catalog_list_t list = {0};
                cr_assert_eq(model_list(world.index, &query, (catalog_sort_t)sort, cursor, 7,
                                        world.arena, &list),
                             SOUK_OK);
                for (size_t i = 0; i < list.count; i++) {
                    seen[s_number(list.data[i])]++;
                }
                cursor = list.next;
                for (int i = 0; i < 20;
                     i++) { /* even numbers change and go, odd ones stay as they are */
                    s_change(&world, (int)s_random(&world, PRODUCTS / 2) * 2);
                }
            } while (cursor.data != NULL);
            for (size_t i = 0; i < count; i++) {
                cr_assert(expected[i] % 2 == 0 || seen[expected[i]] == 1,
                          "seed %d sort %d: product %d was seen %d times", (int)seed, sort,
                          expected[i], seen[expected[i]]);
            }
            s_end(&world);
        }
    }
}

static uint64_t s_brute_count(const s_world_t *self, const catalog_query_t *query,
                              const char *facet, souk_str_t value) {
    uint64_t count = 0;
    for (int i = 0; i < PRODUCTS; i++) {
        const model_product_t *product = &self->products[i];
        bool has = false;
        if (strcmp(facet, "category") == 0) { /* the value is the slug: slug-ID */
            has = s_in_category(product,
                                (souk_str_t){.data = value.data + 5, .size = value.size - 5});
        } else if (strcmp(facet, "tag") == 0) {
            has = s_has_tag(product, value);
        } else {
            bool option = facet[0] == 'o';
            has = s_has_value(product, option, souk_str_of(strchr(facet, '.') + 1), value);
        }
        count += has && s_matches(product, query, facet);
    }
    return count;
}

static void s_check_facets(const s_world_t *self, const catalog_query_t *query,
                           const catalog_products_facets_rep_t *rep) {
    uint64_t sum = 0, expected = 0;
    size_t facets_count = 0;
    const catalog_facet_t *facets = catalog_products_facets_rep_facets(rep, &facets_count);
    for (size_t f = 0; f < facets_count; f++) {
        char name[40];
        size_t count = 0;
        const catalog_facet_value_t *values = catalog_facet_values(&facets[f], &count);
        snprintf(name, sizeof name, "%.*s", (int)facets[f].name.size, facets[f].name.data);
        cr_assert_gt(count, 0);
        for (size_t i = 0; i < count; i++) {
            cr_assert_eq((uint64_t)values[i].count,
                         s_brute_count(self, query, name, values[i].value), "%s %.*s", name,
                         (int)values[i].value.size, values[i].value.data);
            cr_assert(i == 0 || values[i].count <= values[i - 1].count);
            sum += (uint64_t)values[i].count;
        }
    }
    /* Nothing is missing. */
    for (int i = 0; i < 5; i++) {
        char slug[40];
        snprintf(slug, sizeof slug, "slug-%s", s_categories[i]);
        expected += s_brute_count(self, query, "category", souk_str_of(slug));
    }
    for (size_t i = 0; i < 4; i++) {
        expected += s_brute_count(self, query, "tag", souk_str_of(s_tags[i]));
    }
    for (size_t i = 0; i < 3; i++) {
        expected += s_brute_count(self, query, "attribute.material", souk_str_of(s_materials[i]));
        expected += s_brute_count(self, query, "option.color", souk_str_of(s_colors[i]));
    }
    for (size_t i = 0; i < 2; i++) {
        expected += s_brute_count(self, query, "attribute.brand", souk_str_of(s_brands[i]));
        expected += s_brute_count(self, query, "option.size", souk_str_of(s_sizes[i]));
    }
    cr_assert_eq(sum, expected);
}

static void s_check_prices(const s_world_t *self, const catalog_query_t *query,
                           const catalog_products_facets_rep_t *rep) {
    int64_t min = INT64_MAX, max = INT64_MIN, total = 0;
    for (int i = 0; i < PRODUCTS; i++) {
        const model_product_t *product = &self->products[i];
        if (s_matches(product, query, "")) {
            total++;
            min = model_price_min(product) < min ? model_price_min(product) : min;
            max = model_price_max(product) > max ? model_price_max(product) : max;
        }
    }
    cr_assert_eq(rep->total, total);
    bool nil = souk_bits_nil(&rep->bits, CATALOG_PRODUCTS_FACETS_REP_PRICE_MIN_BIT);
    cr_assert_eq(nil, total == 0);
    cr_assert(total == 0 || (rep->price_min.amount == min && rep->price_max.amount == max));
}

Test(list, facets_count_exactly_and_are_not_narrowed_by_themselves) {
    static s_world_t world;
    for (uint64_t seed = 200; seed < 206; seed++) {
        s_begin(&world, seed);
        for (int round = 0; round < 40; round++) {
            s_question_t question;
            s_ask(&world, &question);
            catalog_match_t *match = malloc(sizeof *match);
            catalog_products_facets_rep_t rep = {0};
            cr_assert_eq(catalog_match_init(match, world.index, &question.query, NULL), SOUK_OK);
            cr_assert_eq(catalog_facet_count(match, world.arena, &rep), SOUK_OK);
            s_check_facets(&world, &question.query, &rep);
            s_check_prices(&world, &question.query, &rep);
            catalog_match_done(match);
            free(match);
            souk_arena_reset(world.arena);
            s_change(&world, (int)s_random(&world, PRODUCTS));
        }
        s_end(&world);
    }
}

Test(list, an_index_that_lost_everything_is_empty_again) {
    static s_world_t world;
    s_begin(&world, 7);
    for (int i = 0; i < PRODUCTS; i++) {
        world.products[i].deleted = true;
        model_put(world.index, &world.products[i]);
    }
    const catalog_index_t *index = world.index;
    cr_assert_eq(index->products_count, 0);
    cr_assert_eq(index->by_name.count + index->by_price.count + index->by_created.count, 0);
    cr_assert_eq(index->by_slug.count, 0);
    cr_assert_eq(index->postings.by_word.count + index->postings.by_stem.count +
                     index->postings.sorted.count,
                 0);
    cr_assert_eq(index->facets.by_value.count + index->facets.by_property.count, 0);
    for (uint32_t i = 0; i < index->tree.count; i++) {
        cr_assert(roaring_bitmap_is_empty(index->tree.nodes[i].own) &&
                  roaring_bitmap_is_empty(index->tree.nodes[i].below));
    }
    for (size_t i = 0; i < CATALOG_PRICE_BUCKETS; i++) {
        cr_assert_null(index->prices.buckets[i]);
    }
    s_end(&world);
}

Test(list, cursors_of_other_lists_and_made_up_ones_are_refused) {
    static s_world_t world;
    s_begin(&world, 9);
    catalog_query_t query = {.statuses = 2u}, other = {.statuses = 2u, .q = SOUK_STR("board")};
    catalog_list_t list = {0}, next = {0};
    cr_assert_eq(
        model_list(world.index, &query, CATALOG_SORT_PRICE, SOUK_STR(""), 5, world.arena, &list),
        SOUK_OK);
    souk_str_t cursor = list.next;
    cr_assert_eq(model_list(world.index, &query, CATALOG_SORT_PRICE, cursor, 9, world.arena, &next),
                 SOUK_OK);
    cr_assert_eq(model_list(world.index, &query, CATALOG_SORT_NAME, cursor, 5, world.arena, &next),
                 SOUK_ERR_MALFORMED);
    cr_assert_eq(model_list(world.index, &other, CATALOG_SORT_PRICE, cursor, 5, world.arena, &next),
                 SOUK_ERR_MALFORMED);
    other = (catalog_query_t){.statuses = 3u};
    cr_assert_eq(model_list(world.index, &other, CATALOG_SORT_PRICE, cursor, 5, world.arena, &next),
                 SOUK_ERR_MALFORMED);
    const char *const made_up[] = {"a", "abc", "!!!!", "kQ", "lwEBAQHEAMQAxAA", "AAAA"};
    for (size_t i = 0; i < SOUK_COUNT_OF(made_up); i++) {
        cr_assert_eq(model_list(world.index, &query, CATALOG_SORT_PRICE, souk_str_of(made_up[i]), 5,
                                world.arena, &next),
                     SOUK_ERR_MALFORMED, "%s", made_up[i]);
    }
    for (size_t i = 0; i < cursor.size; i++) { /* each character counts */
        souk_str_t bent = souk_arena_copy(world.arena, cursor);
        char *at = souk_arena_alloc(world.arena, cursor.size);
        memcpy(at, bent.data, bent.size);
        at[i] = at[i] == 'A' ? 'B' : 'A';
        cr_assert_eq(model_list(world.index, &query, CATALOG_SORT_PRICE,
                                (souk_str_t){at, cursor.size}, 5, world.arena, &next),
                     SOUK_ERR_MALFORMED, "character %zu", i);
    }
    s_end(&world);
}
