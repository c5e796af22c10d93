#include "search.h"

#include <stdlib.h>

#include "index_impl.h"
#include "typo.h"

/* ---- words of q ---- */

typedef struct {
    catalog_match_t *match;
} s_words_t;

static void s_add_word(void *arg, souk_str_t word) {
    catalog_match_t *match = ((s_words_t *)arg)->match;
    if (match->words_count < CATALOG_WORDS_MAX) {
        catalog_query_word_t *slot = &match->words[match->words_count++];
        *slot = (catalog_query_word_t){.size = word.size, .exact = CATALOG_NONE};
        memcpy(slot->text, word.data, word.size);
    }
}

static souk_str_t s_text(const catalog_query_word_t *word) {
    return (souk_str_t){.data = word->text, .size = word->size};
}

static void s_drop_stop_words(catalog_match_t *self) {
    size_t kept = 0;
    for (size_t i = 0; i < self->words_count; i++) {
        if (!catalog_text_is_stop_word(s_text(&self->words[i]))) {
            self->words[kept++] = self->words[i];
        }
    }
    self->words_count = kept > 0 ? kept : self->words_count;
}

/* ---- terms of a word ---- */

/* Adds a term's products to the word's, those of the first fields. */
static void s_add_term(const catalog_index_t *index, catalog_query_word_t *word, uint32_t number,
                       size_t fields_count) {
    const catalog_term_t *term = &index->postings.terms[number];
    for (size_t f = 0; f < fields_count; f++) {
        if (term->products[f] != NULL) {
            roaring_bitmap_lazy_or_inplace(word->products[f], term->products[f], false);
        }
    }
}

/* Keeps the terms that most products have, by steps of two, and of the last step the first ones. */
static size_t s_keep_frequent(const catalog_postings_t *postings, uint32_t *terms, size_t count) {
    size_t steps[33] = {0}; /* terms with a number of products of so many bits */
    for (size_t i = 0; i < count; i++) {
        steps[32 - __builtin_clz(postings->terms[terms[i]].products_count)]++;
    }
    size_t kept = 0, above = 0;
    int step = 32;
    while (step > 0 && above + steps[step] <= CATALOG_EXPANSIONS_MAX) {
        above += steps[step--];
    }
    size_t rest = CATALOG_EXPANSIONS_MAX - above;
    for (size_t i = 0; i < count; i++) {
        int own = 32 - __builtin_clz(postings->terms[terms[i]].products_count);
        if (own > step || (own == step && rest > 0)) {
            rest -= own == step;
            terms[kept++] = terms[i];
        }
    }
    return kept;
}

static void s_add_prefix(const catalog_index_t *index, catalog_query_word_t *word) {
    uint32_t *terms = malloc(CATALOG_BEGINNINGS_MAX * sizeof(terms[0]));
    souk_assert(terms != NULL);
    size_t fields_count =
        word->size < CATALOG_BEGINNING_BYTES_MIN ? CATALOG_IN_NAME + 1 : CATALOG_FIELDS_COUNT;
    size_t count =
        catalog_postings_of_prefix(&index->postings, s_text(word), terms, CATALOG_BEGINNINGS_MAX);
    if (count > CATALOG_EXPANSIONS_MAX) {
        count = s_keep_frequent(&index->postings, terms, count);
    }
    for (size_t i = 0; i < count; i++) {
        if (terms[i] != word->exact) {
            s_add_term(index, word, terms[i], fields_count);
        }
    }
    free(terms);
}

typedef struct {
    const catalog_index_t *index;
    catalog_query_word_t *word;
} s_spellings_t;

static void s_add_spelling(void *arg, souk_str_t spelling) {
    s_spellings_t *self = arg;
    uint32_t term = catalog_postings_of_word(&self->index->postings, spelling);
    if (term != CATALOG_NONE) {
        s_add_term(self->index, self->word, term, CATALOG_FIELDS_COUNT);
    }
}

static void s_repair(catalog_query_word_t *word) {
    for (size_t f = 0; f < CATALOG_FIELDS_COUNT; f++) {
        roaring_bitmap_repair_after_lazy(word->products[f]);
    }
}

static roaring_bitmap_t *s_any_field(const catalog_query_word_t *word) {
    const roaring_bitmap_t *fields[CATALOG_FIELDS_COUNT];
    memcpy(fields, word->products, sizeof(fields));
    roaring_bitmap_t *any = roaring_bitmap_or_many(CATALOG_FIELDS_COUNT, fields);
    souk_assert(any != NULL);
    return any;
}

/* 1 + twice the binary logarithm of products per product that has the word: in steps, so that one
 * more product rarely matters. */
static uint8_t s_weight(uint64_t products, uint64_t having) {
    if (having == 0 || having >= products) {
        return 1;
    }
    uint64_t ratio = products * products / (having * having);
    unsigned weight = 1 + (63 - (unsigned)__builtin_clzll(ratio | 1));
    return (uint8_t)(weight < 63 ? weight : 63);
}

/* Finds the word's terms; what has no product in match->base counts as not found. given: what the
 * page before decided, or NULL. The products with the word, owned by the caller. */
static roaring_bitmap_t *s_find_word(const catalog_match_t *match, catalog_query_word_t *word,
                                     souk_str_t stem, bool last, const uint8_t *given) {
    const catalog_index_t *index = match->index;
    for (size_t f = 0; f < CATALOG_FIELDS_COUNT; f++) {
        word->products[f] = roaring_bitmap_create();
        souk_assert(word->products[f] != NULL);
    }
    roaring_bitmap_t *any = NULL;
    if (given == NULL || (*given & 0x80) == 0) {
        word->exact = catalog_postings_of_stem(&index->postings, stem);
        if (word->exact != CATALOG_NONE) {
            s_add_term(index, word, word->exact, CATALOG_FIELDS_COUNT);
        }
        if (last) {
            s_add_prefix(index, word);
        }
        s_repair(word);
        any = s_any_field(word);
    }
    if (any == NULL || (given == NULL && !roaring_bitmap_intersect(any, match->base))) {
        if (any != NULL) {
            roaring_bitmap_free(any);
        }
        word->corrected = true;
        catalog_typo_each(s_text(word), s_add_spelling,
                          &(s_spellings_t){.index = index, .word = word});
        s_repair(word);
        any = s_any_field(word);
    }
    word->weight = given != NULL
                       ? *given & 0x7f
                       : s_weight(index->products_count, roaring_bitmap_get_cardinality(any));
    return any;
}

static void s_add_owner(void *arg, uint32_t value) {
    catalog_match_t *match = arg;
    if ((value & 1) != 0 && match->sku_owners_count < SOUK_COUNT_OF(match->sku_owners)) {
        match->sku_owners[match->sku_owners_count++] = value / 2;
    }
}

static souk_str_t s_trim(souk_str_t text) {
    while (text.size > 0 && text.data[0] == ' ') {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && text.data[text.size - 1] == ' ') {
        text.size--;
    }
    return text;
}

/* base becomes: of the products in base, those that match q. */
static souk_err_t s_match_words(catalog_match_t *self, souk_str_t q,
                                const catalog_weights_t *weights) {
    catalog_text_t text;
    catalog_text_init(&text);
    catalog_text_words(&text, q, s_add_word, &(s_words_t){.match = self});
    s_drop_stop_words(self);
    if (weights != NULL && weights->count != self->words_count) {
        catalog_text_done(&text);
        self->words_count = 0;
        return SOUK_ERR_MALFORMED;
    }
    roaring_bitmap_t *within = self->base;
    roaring_bitmap_t *found = roaring_bitmap_copy(within);
    souk_assert(found != NULL);
    if (self->words_count == 0) { /* nothing but punctuation matches nothing */
        roaring_bitmap_clear(found);
    }
    for (size_t i = 0; i < self->words_count; i++) {
        catalog_query_word_t *word = &self->words[i];
        roaring_bitmap_t *any =
            s_find_word(self, word, catalog_text_stem(&text, s_text(word)),
                        i + 1 == self->words_count, weights != NULL ? &weights->words[i] : NULL);
        roaring_bitmap_and_inplace(found, any);
        roaring_bitmap_free(any);
    }
    catalog_map_find_any_case(&self->index->by_sku, s_trim(q), s_add_owner, self);
    for (size_t i = 0; i < self->sku_owners_count; i++) {
        if (roaring_bitmap_contains(within, self->sku_owners[i])) {
            roaring_bitmap_add(found, self->sku_owners[i]);
        }
    }
    roaring_bitmap_free(within);
    self->base = found;
    catalog_text_done(&text);
    return SOUK_OK;
}

/* ---- filters ---- */

static void s_or(roaring_bitmap_t *bitmap, const roaring_bitmap_t *other) {
    if (other != NULL) {
        roaring_bitmap_or_inplace(bitmap, other);
    }
}

static roaring_bitmap_t *s_group(catalog_match_t *self, catalog_group_kind_t kind,
                                 souk_str_t name) {
    for (size_t i = 0; i < self->groups_count; i++) {
        if (self->groups[i].kind == kind && souk_str_equal(self->groups[i].name, name)) {
            return self->groups[i].products;
        }
    }
    if (self->groups_count == CATALOG_GROUPS_MAX) {
        return NULL;
    }
    catalog_group_t *group = &self->groups[self->groups_count++];
    *group = (catalog_group_t){.kind = kind, .name = name, .products = roaring_bitmap_create()};
    souk_assert(group->products != NULL);
    return group->products;
}

static souk_err_t s_add_pairs(catalog_match_t *self, catalog_group_kind_t kind,
                              const souk_pairs_t *pairs) {
    catalog_property_kind_t property =
        kind == CATALOG_BY_OPTION ? CATALOG_OPTION : CATALOG_ATTRIBUTE;
    for (size_t i = 0; i < pairs->count; i++) {
        roaring_bitmap_t *products = s_group(self, kind, pairs->items[i].name);
        if (products == NULL) {
            return SOUK_ERR_MALFORMED;
        }
        s_or(products, catalog_facets_find(&self->index->facets, property, pairs->items[i].name,
                                           pairs->items[i].value));
    }
    return SOUK_OK;
}

static souk_err_t s_add_groups(catalog_match_t *self, const catalog_query_t *query) {
    const catalog_index_t *index = self->index;
    if (query->category.size > 0) {
        uint32_t node = catalog_tree_find_any(&index->tree, query->category);
        roaring_bitmap_t *products = s_group(self, CATALOG_BY_CATEGORY, SOUK_STR(""));
        if (node != CATALOG_NONE) {
            s_or(products, index->tree.nodes[node].below);
        }
    }
    for (size_t i = 0; i < query->tags_count; i++) {
        s_or(s_group(self, CATALOG_BY_TAG, SOUK_STR("")),
             catalog_facets_find(&index->facets, CATALOG_TAG, SOUK_STR(""), query->tags[i]));
    }
    SOUK_TRY(s_add_pairs(self, CATALOG_BY_OPTION, &query->options));
    return s_add_pairs(self, CATALOG_BY_ATTRIBUTE, &query->attributes);
}

static int64_t s_price_of(const void *owner, uint32_t ordinal) {
    const catalog_index_t *index = owner;
    return index->items[ordinal].price_min;
}

static void s_match_status(catalog_match_t *self, unsigned statuses) {
    self->base = roaring_bitmap_create();
    souk_assert(self->base != NULL);
    for (unsigned i = 0; i < CATALOG_STATUSES; i++) {
        if ((statuses >> i & 1) != 0) {
            roaring_bitmap_or_inplace(self->base, self->index->statuses[i]);
        }
    }
}

static void s_match_price(catalog_match_t *self, const catalog_query_t *query) {
    if (query->has_price_min || query->has_price_max) {
        int64_t min = query->has_price_min ? query->price_min : 0;
        int64_t max = query->has_price_max ? query->price_max : INT64_MAX;
        roaring_bitmap_t *range =
            catalog_prices_range(&self->index->prices, min, max, s_price_of, self->index);
        roaring_bitmap_and_inplace(self->base, range);
        roaring_bitmap_free(range);
    }
}

souk_err_t catalog_match_init(catalog_match_t *ret, const catalog_index_t *index,
                              const catalog_query_t *query, const catalog_weights_t *weights) {
    ret->index = index;
    ret->q = query->q;
    ret->words_count = ret->sku_owners_count = ret->groups_count = 0;
    ret->base = ret->all = NULL;
    s_match_status(ret, query->statuses);
    s_match_price(ret, query);
    if (query->q.size > 0) {
        SOUK_TRY(s_match_words(ret, query->q, weights));
    } else if (weights != NULL && weights->count != 0) {
        return SOUK_ERR_MALFORMED;
    }
    SOUK_TRY(s_add_groups(ret, query));
    ret->all = catalog_match_without(ret, ret->groups_count);
    return SOUK_OK;
}

void catalog_match_done(catalog_match_t *self) {
    for (size_t i = 0; i < self->words_count; i++) {
        for (size_t f = 0; f < CATALOG_FIELDS_COUNT; f++) {
            roaring_bitmap_free(self->words[i].products[f]);
        }
    }
    for (size_t i = 0; i < self->groups_count; i++) {
        roaring_bitmap_free(self->groups[i].products);
    }
    roaring_bitmap_free(self->base);
    if (self->all != NULL) {
        roaring_bitmap_free(self->all);
    }
    self->words_count = self->groups_count = 0;
    self->base = self->all = NULL;
}

void catalog_match_weights(const catalog_match_t *self, catalog_weights_t *ret) {
    souk_assert(self->words_count <= CATALOG_WORDS_MAX);
    *ret = (catalog_weights_t){.count = (uint8_t)self->words_count};
    for (size_t i = 0; i < CATALOG_WORDS_MAX && i < self->words_count; i++) {
        const catalog_query_word_t *word = &self->words[i];
        ret->words[i] = (uint8_t)(word->weight | (word->corrected ? 0x80 : 0));
    }
}

roaring_bitmap_t *catalog_match_without(const catalog_match_t *self, size_t group) {
    roaring_bitmap_t *result = roaring_bitmap_copy(self->base);
    souk_assert(result != NULL);
    for (size_t i = 0; i < self->groups_count; i++) {
        if (i != group) {
            roaring_bitmap_and_inplace(result, self->groups[i].products);
        }
    }
    return result;
}
