/* Words: case, accents, stems, beginnings, typing mistakes, SKUs, and which product comes first. */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>

#include "index_impl.h"
#include "list.h"
#include "model.h"

typedef struct {
    catalog_index_t *index;
    souk_arena_t *arena;
    int count;
} s_shop_t;

static void s_begin(s_shop_t *self) {
    *self = (s_shop_t){.index = catalog_index_new("EUR"), .arena = souk_arena_new(4 << 20, 0)};
}

static void s_end(s_shop_t *self) {
    souk_arena_destroy(&self->arena);
    catalog_index_destroy(&self->index);
}

static model_product_t s_add(s_shop_t *self, const char *name, const char *description) {
    model_product_t product = model_product(self->count++);
    snprintf(product.name, sizeof product.name, "%s", name);
    snprintf(product.description, sizeof product.description, "%s", description);
    cr_assert_eq(model_apply(self->index, &product), SOUK_OK);
    return product;
}

/* The numbers of the products found for q, best first, such as "3 1"; "" when none. */
static const char *s_found(s_shop_t *self, const char *q, unsigned statuses) {
    catalog_match_t *match = calloc(1, sizeof *match);
    catalog_page_t *page = calloc(1, sizeof *page);
    static char text[400];
    const catalog_query_t query = {.q = souk_str_of(q), .statuses = statuses};
    cr_assert_eq(catalog_match_init(match, self->index, &query, NULL), SOUK_OK);
    catalog_rank(match, CATALOG_SORT_RELEVANCE, NULL, CATALOG_PAGE_MAX, page);
    size_t size = 0;
    text[0] = '\0';
    for (size_t i = 0; i < page->count; i++) {
        size += (size_t)snprintf(text + size, sizeof text - size, "%s%u", i > 0 ? " " : "",
                                 page->products[i]);
    }
    catalog_match_done(match);
    free(match);
    free(page);
    return text;
}

#define S_EXPECT(shop, q, expected) cr_assert_str_eq(s_found(shop, q, 2u), expected, "q is %s", q)

Test(search, case_and_accents_do_not_matter) {
    s_shop_t shop;
    s_begin(&shop);
    s_add(&shop, "Caf\xc3\xa9 Cr\xc3\xa8me bowl", "");
    s_add(&shop, "STRASSE lamp", "");
    s_add(&shop, "\xef\xac\x81ne comb", ""); /* the ligature fi */
    s_add(&shop, "\xce\xa3\xce\xbf\xcf\x86\xcf\x8c\xcf\x82 poster", "");
    S_EXPECT(&shop, "cafe creme", "0");
    S_EXPECT(&shop, "CAF\xc3\x89", "0");
    S_EXPECT(&shop, "cafe\xcc\x81", "0"); /* a combining accent */
    S_EXPECT(&shop,
             "stra\xc3\x9f"
             "e",
             "1");
    S_EXPECT(&shop, "fine", "2");
    S_EXPECT(&shop, "\xcf\x83\xce\xbf\xcf\x86\xce\xbf\xcf\x83", "3");
    s_end(&shop);
}

Test(search, stems_find_other_forms) {
    s_shop_t shop;
    s_begin(&shop);
    s_add(&shop, "Serving boards", "");
    s_add(&shop, "Women's running shoes", "");
    S_EXPECT(&shop, "board serve", "0");
    S_EXPECT(&shop, "boards served", "0");
    S_EXPECT(&shop, "run shoe", "1");
    S_EXPECT(&shop, "womens shoe", "1");
    S_EXPECT(&shop, "woman's shoe", "1"); /* by correction */
    S_EXPECT(&shop, "women shoe", "1");
    S_EXPECT(&shop, "women\xe2\x80\x99s", "1");
    s_end(&shop);
}

Test(search, every_word_has_to_be_there_and_the_last_may_be_a_beginning) {
    s_shop_t shop;
    s_begin(&shop);
    s_add(&shop, "Walnut serving board", "");
    s_add(&shop, "Oak board", "");
    S_EXPECT(&shop, "walnut board", "0");
    S_EXPECT(&shop, "walnut chair", "");
    S_EXPECT(&shop, "wal", "0");
    S_EXPECT(&shop, "board wal", "0");
    S_EXPECT(&shop, "wal board", "");
    S_EXPECT(&shop, "o", "1");
    S_EXPECT(&shop, "b", "1 0");
    S_EXPECT(&shop, "servin", "0");
    S_EXPECT(&shop, "the board with walnut", "0");
    S_EXPECT(&shop, "the", "");
    S_EXPECT(&shop, "...", "");
    S_EXPECT(&shop, "   ", "");
    s_end(&shop);
}

Test(search, one_typing_mistake_from_five_letters_on_when_nothing_is_exact) {
    s_shop_t shop;
    s_begin(&shop);
    s_add(&shop, "Walnut board", "");
    s_add(&shop, "Bowl", "");
    s_add(&shop, "Knife", "");
    s_add(&shop, "Knives and forks", "");
    S_EXPECT(&shop, "walnit board", "0"); /* another letter */
    S_EXPECT(&shop, "wlanut", "0");       /* swapped */
    S_EXPECT(&shop, "wallnut", "0");      /* one too many */
    S_EXPECT(&shop, "wanut", "0");        /* one missing */
    S_EXPECT(&shop, "walnit bord", "");   /* four letters are not corrected */
    S_EXPECT(&shop, "wlanit", "");        /* two mistakes */
    S_EXPECT(&shop, "bowk", "");
    S_EXPECT(&shop, "knife", "2");
    S_EXPECT(&shop, "knofe", "2");
    s_end(&shop);
}

Test(search, a_name_counts_more_than_a_label_and_that_more_than_a_description) {
    s_shop_t shop;
    s_begin(&shop);
    s_add(&shop, "Board for bread", "Made of walnut");
    model_product_t labelled = model_product(shop.count++);
    snprintf(labelled.name, sizeof labelled.name, "Board for cheese");
    labelled.material = "walnut";
    cr_assert_eq(model_apply(shop.index, &labelled), SOUK_OK);
    s_add(&shop, "Serving board, walnut", "");
    s_add(&shop, "Walnut board", "");
    s_add(&shop, "Walnut", "");
    S_EXPECT(&shop, "walnut", "4 3 2 1 0");
    S_EXPECT(&shop, "walnut board", "3 2 1 0");
    s_end(&shop);
}

Test(search, equal_scores_stand_newest_first) {
    s_shop_t shop;
    s_begin(&shop);
    for (int i = 0; i < 5; i++) {
        s_add(&shop, "Same lamp", "");
    }
    S_EXPECT(&shop, "lamp", "4 3 2 1 0");
    s_end(&shop);
}

Test(search, a_sku_finds_its_product_in_any_case_while_it_has_it) {
    s_shop_t shop;
    s_begin(&shop);
    model_product_t product = s_add(&shop, "Lamp", "");
    s_add(&shop, "Chair", "like sku 0");
    S_EXPECT(&shop, "SKU-0", "0 1");
    S_EXPECT(&shop, " sku-0 ", "0 1");
    snprintf(product.variants[0].sku, sizeof product.variants[0].sku, "OTHER.9");
    model_put(shop.index, &product);
    S_EXPECT(&shop, "SKU-0", "1");
    S_EXPECT(&shop, "other.9", "0");
    product.status = CATALOG_PRODUCT_STATUS_DRAFT;
    model_put(shop.index, &product);
    S_EXPECT(&shop, "other.9", "");
    cr_assert_str_eq(s_found(&shop, "other.9", 1u), "0");
    s_end(&shop);
}

Test(search, a_word_that_only_hidden_products_have_counts_as_not_found) {
    s_shop_t shop;
    s_begin(&shop);
    model_product_t hidden = s_add(&shop, "Waltut", "");
    hidden.status = CATALOG_PRODUCT_STATUS_DRAFT;
    model_put(shop.index, &hidden);
    s_add(&shop, "Walnut", "");
    S_EXPECT(&shop, "waltut", "1");
    cr_assert_str_eq(s_found(&shop, "waltut", 3u), "0");
    s_end(&shop);
}

Test(search, changed_and_deleted_products_are_found_as_they_are) {
    s_shop_t shop;
    s_begin(&shop);
    model_product_t product = s_add(&shop, "Walnut board", "oiled");
    snprintf(product.name, sizeof product.name, "Oak board");
    product.description[0] = '\0';
    model_put(shop.index, &product);
    S_EXPECT(&shop, "walnut", "");
    S_EXPECT(&shop, "oiled", "");
    S_EXPECT(&shop, "oak", "0");
    product.deleted = true;
    model_put(shop.index, &product);
    S_EXPECT(&shop, "oak", "");
    cr_assert_eq(shop.index->postings.by_word.count, 0);
    s_end(&shop);
}

Test(search, a_beginning_with_very_many_words_keeps_the_frequent_ones) {
    s_shop_t shop;
    s_begin(&shop);
    char name[40];
    for (int i = 0; i < 600; i++) { /* xyz000 .. xyz599, the last one twice */
        snprintf(name, sizeof name, "xyz%03d", i);
        s_add(&shop, name, "");
    }
    s_add(&shop, "xyz599", "");
    const catalog_query_t query = {.q = SOUK_STR("xyz"), .statuses = 2u};
    catalog_list_t list = {0};
    cr_assert_eq(
        model_list(shop.index, &query, CATALOG_SORT_RELEVANCE, SOUK_STR(""), 10, shop.arena, &list),
        SOUK_OK);
    cr_assert_eq(list.total, CATALOG_EXPANSIONS_MAX + 1);
    s_end(&shop);
}

/* One list, a product a page; between the pages the words' rarity turns round. */
Test(search, relevance_goes_on_as_it_began_while_the_catalogue_changes) {
    s_shop_t shop;
    s_begin(&shop);
    s_add(&shop, "Oak stand", "for a lamp");
    s_add(&shop, "Lamp", "made of oak");
    for (int i = 0; i < 40; i++) {
        s_add(&shop, "Lamp", "");
    }
    const catalog_query_t query = {.q = SOUK_STR("oak lamp"), .statuses = 2u};
    catalog_list_t first = {0}, second = {0};
    S_EXPECT(&shop, "oak lamp", "0 1");
    cr_assert_eq(
        model_list(shop.index, &query, CATALOG_SORT_RELEVANCE, SOUK_STR(""), 1, shop.arena, &first),
        SOUK_OK);
    for (int i = 0; i < 4000; i++) {
        s_add(&shop, "Oak", "");
    }
    S_EXPECT(&shop, "oak lamp", "1 0");
    cr_assert_eq(
        model_list(shop.index, &query, CATALOG_SORT_RELEVANCE, first.next, 1, shop.arena, &second),
        SOUK_OK);
    cr_assert_eq(second.count, 1);
    cr_assert(souk_str_equal(second.data[0], catalog_item_summary(&shop.index->items[1])));
    cr_assert_null(second.next.data);
    s_end(&shop);
}

Test(search, long_and_odd_queries_are_bounded) {
    s_shop_t shop;
    s_begin(&shop);
    s_add(&shop, "Walnut board",
          "one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
          "fifteen sixteen");
    char longest[201];
    memset(longest, 'w', 200);
    longest[200] = '\0';
    S_EXPECT(&shop, longest, "");
    S_EXPECT(&shop, "\xff\xfe walnut", ""); /* not UTF-8: folds to nothing */
    S_EXPECT(&shop,
             "one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
             "fifteen sixteen nowhere",
             "0");
    s_end(&shop);
}
