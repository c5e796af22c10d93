/* Measures the catalogue in memory (workers/catalog/index.h) by itself: changes, lists, searches,
 * facets and bytes, for catalogues of the sizes given as arguments (default 10000 100000). Prints
 * medians of processor time, so that other programs matter little.
 *
 * The catalogue is made up by a fixed seed: 4,000 words of which some are far more frequent than
 * others, 40 categories on three levels, 60 tags, four attributes, two options. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "facet_count.h"
#include "index_impl.h"
#include "list.h"
#include "souk/schema.h"

#define VOCABULARY 4000
#define CATEGORIES 40
#define ROUNDS 101
#define ARENA_BYTES ((size_t)8 * 1024 * 1024)

static uint64_t s_seed = 42;

static uint32_t s_random(uint32_t below) {
    s_seed = s_seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(s_seed >> 33) % below;
}

/* Small numbers are frequent. */
static uint32_t s_skewed(uint32_t below) {
    uint64_t a = s_random(below), b = s_random(below), c = s_random(below);
    return (uint32_t)(a * b / below * c / below);
}

static double s_now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int s_compare(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* ---- documents ---- */

static souk_str_t s_word(souk_arena_t *arena, uint32_t number) {
    static const char *const parts[] = {"ba", "ke",  "li",  "mo",  "nu",  "ra", "se",
                                        "ti", "vo",  "wa",  "do",  "fi",  "ga", "ho",
                                        "ju", "pla", "tre", "sto", "cha", "bri"};
    return souk_arena_printf(arena, "%s%s%s%s", parts[number % 20], parts[number / 20 % 20],
                             parts[number / 400 % 20],
                             number % 3 == 0   ? "n"
                             : number % 3 == 1 ? "ing"
                                               : "s");
}

static souk_str_t s_words(souk_arena_t *arena, uint32_t count) {
    souk_str_t text = s_word(arena, s_skewed(VOCABULARY));
    while (--count > 0) {
        souk_str_t next = s_word(arena, s_skewed(VOCABULARY));
        text = souk_arena_printf(arena, "%.*s %.*s", (int)text.size, text.data, (int)next.size,
                                 next.data);
    }
    return text;
}

static souk_money_t s_money(int64_t amount) {
    souk_money_t money = {0};
    souk_money_set_amount(&money, amount);
    souk_money_set_currency(&money, SOUK_STR("EUR"));
    return money;
}

static souk_pairs_t s_pairs(souk_arena_t *arena, const char *const *names, const uint32_t *values,
                            size_t count) {
    souk_pair_t *pairs = souk_arena_alloc_array(arena, count, sizeof(*pairs));
    for (size_t i = 0; i < count; i++) {
        pairs[i] = (souk_pair_t){.name = souk_str_of(names[i]),
                                 .value = s_word(arena, s_skewed(values[i]))};
    }
    return (souk_pairs_t){.items = pairs, .count = count};
}

static void s_variants(catalog_product_t *product, souk_arena_t *arena, uint32_t number) {
    static const char *const names[] = {"size", "color"};
    static const uint32_t values[] = {6, 12};
    uint32_t count = 1 + s_random(4);
    int64_t price = 500 + s_skewed(40000);
    catalog_variant_t *variants = catalog_product_new_variants(product, arena, count);
    for (uint32_t i = 0; i < count; i++) {
        catalog_variant_set_id(&variants[i], souk_arena_printf(arena, "var_%020u%06u", number, i));
        catalog_variant_set_sku(&variants[i], souk_arena_printf(arena, "SKU-%u-%u", number, i));
        variants[i].price = s_money(price + 100 * i);
        souk_bits_set(&variants[i].bits, CATALOG_VARIANT_PRICE_BIT);
        catalog_variant_set_option_values(&variants[i], s_pairs(arena, names, values, 2));
    }
    product->price_min = s_money(price);
    product->price_max = s_money(price + 100 * (count - 1));
    souk_bits_set(&product->bits, CATALOG_PRODUCT_PRICE_MIN_BIT);
    souk_bits_set(&product->bits, CATALOG_PRODUCT_PRICE_MAX_BIT);
}

static souk_str_t s_encode(const souk_type_t *type, const void *value, souk_arena_t *arena) {
    souk_buf_t buf;
    souk_buf_init(&buf, ARENA_BYTES);
    souk_schema_to_mp(type, value, &buf);
    souk_str_t copy = souk_arena_copy(arena, souk_buf_str(&buf));
    souk_buf_done(&buf);
    return copy;
}

static souk_str_t s_product(souk_arena_t *arena, uint32_t number, int64_t version) {
    static const char *const names[] = {"material", "brand", "finish", "origin"};
    static const uint32_t values[] = {20, 200, 8, 30};
    catalog_product_t product = {0};
    catalog_product_set_id(&product, souk_arena_printf(arena, "prod_%026u", number));
    catalog_product_set_version(&product, version);
    catalog_product_set_revision(&product, number + 1);
    catalog_product_set_slug(&product, souk_arena_printf(arena, "product-number-%u", number));
    catalog_product_set_name(&product, s_words(arena, 3));
    catalog_product_set_description(&product, s_words(arena, 40));
    catalog_product_set_status(&product, CATALOG_PRODUCT_STATUS_ACTIVE);
    souk_str_t *items = catalog_product_new_category_ids(&product, arena, 2);
    items[0] = souk_arena_printf(arena, "cat_%u", s_random(CATEGORIES));
    items[1] = souk_arena_printf(arena, "cat_%u", s_random(CATEGORIES));
    items = catalog_product_new_tags(&product, arena, 2);
    items[0] = s_word(arena, s_skewed(30));
    items[1] = s_word(arena, 30 + s_skewed(30));
    catalog_product_set_attributes(&product, s_pairs(arena, names, values, 4));
    catalog_media_t *media = catalog_product_new_media(&product, arena, 1);
    catalog_media_set_url(media, souk_arena_printf(arena, "/media/%u.jpg", number));
    items = catalog_product_new_options(&product, arena, 2);
    items[0] = SOUK_STR("size");
    items[1] = SOUK_STR("color");
    s_variants(&product, arena, number);
    catalog_product_set_created_at(&product, 1700000000000000 + (int64_t)number * 1000);
    catalog_product_set_updated_at(&product, 1700000000000000 + (int64_t)number * 1000);
    return s_encode(&catalog_product_type, &product, arena);
}

static void s_categories(catalog_index_t *index, souk_arena_t *arena) {
    for (uint32_t i = 0; i < CATEGORIES; i++) {
        catalog_category_t category = {0};
        souk_str_t id = souk_arena_printf(arena, "cat_%u", i);
        catalog_category_set_id(&category, id);
        catalog_category_set_version(&category, 1);
        catalog_category_set_slug(&category, souk_arena_printf(arena, "category-%u", i));
        catalog_category_set_name(&category, souk_arena_printf(arena, "Category %u", i));
        catalog_category_set_position(&category, i);
        catalog_category_set_created_at(&category, 1700000000000000);
        catalog_category_set_updated_at(&category, 1700000000000000);
        souk_bits_set_nil(&category.bits, CATALOG_CATEGORY_PARENT_ID_BIT);
        if (i >= 4) { /* 4, 12 and 24 of them on three levels */
            catalog_category_set_parent_id(
                &category, souk_arena_printf(arena, "cat_%u", i < 16 ? i % 4 : 4 + i % 12));
        }
        souk_err_t err = catalog_index_apply(
            index,
            &(catalog_change_t){.revision = i + 1,
                                .kind = CATALOG_CATEGORY,
                                .entity_id = id,
                                .version = 1,
                                .document = s_encode(&catalog_category_type, &category, arena)});
        souk_assert(err == SOUK_OK);
    }
}

/* ---- changes ---- */

static void s_report(const char *what, double *times, size_t count) {
    qsort(times, count, sizeof(times[0]), s_compare);
    printf("  %-44s %9.1f us   p99 %9.1f us   max %9.1f us\n", what, times[count / 2],
           times[count * 99 / 100], times[count - 1]);
}

/* Applies products first..first+count as version; adds up the time of the changes alone. */
static void s_apply(catalog_index_t *index, uint32_t count, int64_t version, const char *what) {
    souk_arena_t *arena = souk_arena_new(ARENA_BYTES, ARENA_BYTES);
    double *times = calloc((size_t)count + 1, sizeof(times[0]));
    souk_assert(times != NULL && count > 0);
    for (uint32_t i = 0; i < count; i++) {
        souk_arena_reset(arena);
        souk_str_t id = souk_arena_printf(arena, "prod_%026u", i);
        const catalog_change_t change = {.revision = catalog_index_revision(index) + 1,
                                         .kind = CATALOG_PRODUCT,
                                         .entity_id = id,
                                         .version = version,
                                         .document = s_product(arena, i, version)};
        double start = s_now_us();
        souk_err_t err = catalog_index_apply(index, &change);
        times[i] = s_now_us() - start;
        souk_assert(err == SOUK_OK);
    }
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += times[i];
    }
    s_report(what, times, count);
    printf("  %-44s %9.1f ms\n", "  in all", sum / 1e3);
    free(times);
    souk_arena_destroy(&arena);
}

/* ---- reads ---- */

typedef struct {
    const char *name;
    catalog_query_t query;
    size_t pages; /* to skip before */
    catalog_sort_t sort;
    bool list, facets;
} s_case_t;

typedef struct {
    int64_t total;
    souk_str_t next;
} s_outcome_t;

static s_outcome_t s_read(const catalog_index_t *index, const s_case_t *read, souk_str_t cursor,
                          souk_arena_t *arena) {
    s_outcome_t outcome = {0};
    if (read->list) {
        const catalog_list_request_t request = {
            .query = read->query, .sort = read->sort, .cursor = cursor, .limit = 24};
        catalog_list_t list = {0};
        souk_err_t err = catalog_list(index, &request, arena, &list);
        souk_assert(err == SOUK_OK);
        outcome = (s_outcome_t){.total = list.total, .next = list.next};
    }
    if (read->facets) {
        catalog_match_t *match = souk_arena_alloc(arena, sizeof(*match));
        catalog_products_facets_rep_t rep = {0};
        souk_assert(match != NULL);
        souk_err_t err = catalog_match_init(match, index, &read->query, NULL);
        souk_assert(err == SOUK_OK);
        err = catalog_facet_count(match, arena, &rep);
        souk_assert(err == SOUK_OK);
        catalog_match_done(match);
        outcome.total = rep.total;
    }
    return outcome;
}

static void s_measure(const catalog_index_t *index, const s_case_t *read) {
    souk_arena_t *arena = souk_arena_new(ARENA_BYTES, ARENA_BYTES);
    souk_arena_t *outer = souk_arena_new(ARENA_BYTES, ARENA_BYTES);
    double times[ROUNDS];
    s_outcome_t outcome = {0};
    souk_str_t cursor = {0};
    for (size_t i = 0; i < read->pages; i++) {
        cursor = s_read(index, read, cursor, outer).next;
    }
    for (size_t i = 0; i < ROUNDS; i++) {
        souk_arena_reset(arena);
        double start = s_now_us();
        outcome = s_read(index, read, cursor, arena);
        times[i] = s_now_us() - start;
    }
    char what[80];
    snprintf(what, sizeof(what), "%s (%lld)", read->name, (long long)outcome.total);
    s_report(what, times, ROUNDS);
    souk_arena_destroy(&arena);
    souk_arena_destroy(&outer);
}

#define S_ACTIVE .statuses = 1u << CATALOG_PRODUCT_STATUS_ACTIVE

static void s_measure_all(const catalog_index_t *index, souk_arena_t *arena) {
    souk_str_t common = s_word(arena, 0), medium = s_word(arena, 60), rare = s_word(arena, 900);
    souk_str_t two = souk_arena_printf(arena, "%.*s %.*s", (int)common.size, common.data,
                                       (int)medium.size, medium.data);
    souk_str_t beginning = {.data = rare.data, .size = 4};
    souk_str_t typo = souk_arena_printf(arena, "%.*sx%.*s", 3, medium.data, (int)medium.size - 4,
                                        medium.data + 4);
    const souk_pair_t material = {.name = SOUK_STR("material"), .value = s_word(arena, 3)};
    const souk_pairs_t materials = {.items = &material, .count = 1};
    const s_case_t cases[] = {
        {.name = "list, newest",
         .query = {S_ACTIVE},
         .sort = CATALOG_SORT_MINUS_CREATED_AT,
         .list = true},
        {.name = "list, by name, page 20",
         .query = {S_ACTIVE},
         .sort = CATALOG_SORT_NAME,
         .pages = 20,
         .list = true},
        {.name = "list, category, by price",
         .query = {S_ACTIVE, .category = SOUK_STR("category-1")},
         .sort = CATALOG_SORT_PRICE,
         .list = true},
        {.name = "list, price range, by name",
         .query = {S_ACTIVE, .has_price_min = true, .price_min = 700, .has_price_max = true,
                   .price_max = 5555},
         .sort = CATALOG_SORT_NAME,
         .list = true},
        {.name = "list, attribute, newest",
         .query = {S_ACTIVE, .attributes = materials},
         .sort = CATALOG_SORT_MINUS_CREATED_AT,
         .list = true},
        {.name = "search, frequent word", .query = {S_ACTIVE, .q = common}, .list = true},
        {.name = "search, medium word", .query = {S_ACTIVE, .q = medium}, .list = true},
        {.name = "search, two words", .query = {S_ACTIVE, .q = two}, .list = true},
        {.name = "search, beginning", .query = {S_ACTIVE, .q = beginning}, .list = true},
        {.name = "search, one letter", .query = {S_ACTIVE, .q = SOUK_STR("b")}, .list = true},
        {.name = "search, typing mistake", .query = {S_ACTIVE, .q = typo}, .list = true},
        {.name = "search, medium word, and facets",
         .query = {S_ACTIVE, .q = medium},
         .list = true,
         .facets = true},
        {.name = "search, two words, and facets",
         .query = {S_ACTIVE, .q = two},
         .list = true,
         .facets = true},
        {.name = "search, frequent word, and facets",
         .query = {S_ACTIVE, .q = common},
         .list = true,
         .facets = true},
        {.name = "facets, all", .query = {S_ACTIVE}, .facets = true},
        {.name = "facets, category and attribute",
         .query = {S_ACTIVE, .category = SOUK_STR("category-1"), .attributes = materials},
         .facets = true},
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(cases); i++) {
        s_measure(index, &cases[i]);
    }
}

static size_t s_resident_bytes(void) {
    unsigned long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file != NULL) {
        if (fscanf(file, "%lu %lu", &total, &resident) != 2) {
            resident = 0;
        }
        fclose(file);
    }
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void s_run(uint32_t products) {
    souk_arena_t *arena = souk_arena_new(ARENA_BYTES, ARENA_BYTES);
    malloc_trim(0);
    size_t before = s_resident_bytes();
    printf("%u products\n", products);
    catalog_index_t *index = catalog_index_new("EUR");
    s_categories(index, arena);
    s_apply(index, products, 1, "new product");
    size_t bytes = s_resident_bytes() - before;
    printf("  %-44s %9zu bytes a product\n", "memory", bytes / products);
    s_apply(index, products / 10, 2, "changed product");
    s_measure_all(index, arena);
    double start = s_now_us();
    catalog_index_destroy(&index);
    printf("  %-44s %9.1f ms\n\n", "to free it", (s_now_us() - start) / 1e3);
    souk_arena_destroy(&arena);
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        unsigned long products = strtoul(argv[i], NULL, 10);
        if (products < 10 || products > 10000000) {
            fprintf(stderr, "%s: a number of products is 10 to 10000000\n", argv[0]);
            return 2;
        }
        s_run((uint32_t)products);
    }
    if (argc < 2) {
        s_run(10000);
        s_run(100000);
    }
    return 0;
}
