/* Two ways to a page. Few matches: look at each and keep the best. Many: walk the sorted order from
 * the cursor on and take what matches; about limit * products / matches steps. Both cost far less
 * than a sort of all matches. Relevance has no order of its own: each match gets a score, and the
 * first way applies.
 *
 * A score is a sum over the query's words: rarity times where the word stands, more when the stem
 * itself stands there. A name that is the query, that begins with it, and a SKU that is it come
 * first, whatever else scores. Rarity comes from the page before when there is one, so that the
 * score of a product that did not change does not change either. */
#include "rank.h"

#include <stdlib.h>

#include "index_impl.h"

#define SCORE_SKU (1u << 26)
#define SCORE_NAME_IS_QUERY (1u << 25)
#define SCORE_NAME_BEGINS (1u << 24)

static const uint32_t s_field_scores[CATALOG_FIELDS_COUNT] = {8, 4, 1};

/* ---- scores ---- */

/* Adds score to each product that is in both. */
static void s_add_score(uint32_t *scores, const roaring_bitmap_t *products,
                        const roaring_bitmap_t *matches, uint32_t score) {
    roaring_bitmap_t *both = roaring_bitmap_and(products, matches);
    souk_assert(both != NULL);
    size_t count = roaring_bitmap_get_cardinality(both);
    uint32_t *ordinals = malloc((count > 0 ? count : 1) * sizeof(ordinals[0]));
    souk_assert(ordinals != NULL);
    roaring_bitmap_to_uint32_array(both, ordinals);
    for (size_t i = 0; i < count; i++) {
        scores[ordinals[i]] += score;
    }
    free(ordinals);
    roaring_bitmap_free(both);
}

static void s_score_word(const catalog_match_t *match, const catalog_query_word_t *word,
                         uint32_t *scores) {
    for (size_t f = 0; f < CATALOG_FIELDS_COUNT; f++) {
        uint32_t score = word->weight * s_field_scores[f];
        s_add_score(scores, word->products[f], match->all, score);
        if (word->exact != CATALOG_NONE &&
            match->index->postings.terms[word->exact].products[f] != NULL) {
            s_add_score(scores, match->index->postings.terms[word->exact].products[f], match->all,
                        score);
        }
    }
}

/* Names that begin with the query lie next to each other in their order. */
static void s_score_names(const catalog_index_t *index, souk_str_t q, uint32_t *scores) {
    char text[CATALOG_NAME_KEY_BYTES_MAX + 1];
    catalog_text_t fold;
    catalog_text_init(&fold);
    souk_str_t folded = catalog_text_fold(&fold, q);
    size_t size = folded.size;
    if (size > 0 && size <= CATALOG_NAME_KEY_BYTES_MAX) {
        memcpy(text, folded.data, size);
        text[size] = (char)0xff; /* behind every letter */
        const catalog_order_t *order = &index->by_name;
        catalog_order_pos_t pos =
            catalog_order_seek(order, &(catalog_sort_key_t){.text = {text, size}}, false);
        catalog_order_pos_t end =
            catalog_order_seek(order, &(catalog_sort_key_t){.text = {text, size + 1}}, false);
        uint32_t ordinal = 0;
        bool same = true;
        while ((pos.chunk != end.chunk || pos.at != end.at) &&
               catalog_order_next(order, &pos, &ordinal)) {
            same = same && index->items[ordinal].name_key_size == size;
            scores[ordinal] += same ? SCORE_NAME_IS_QUERY : SCORE_NAME_BEGINS;
        }
    }
    catalog_text_done(&fold);
}

static uint32_t *s_scores(const catalog_match_t *match) {
    uint32_t *scores = calloc(match->index->items_count + 1, sizeof(scores[0]));
    souk_assert(scores != NULL);
    for (size_t i = 0; i < match->words_count; i++) {
        s_score_word(match, &match->words[i], scores);
    }
    s_score_names(match->index, match->q, scores);
    for (size_t i = 0; i < match->sku_owners_count; i++) {
        scores[match->sku_owners[i]] |= SCORE_SKU;
    }
    return scores;
}

/* ---- the best of few ---- */

typedef struct {
    const catalog_order_t *order;
    bool descending;
    const uint32_t *scores; /* NULL: all the same */
    const catalog_place_t *after;
    size_t capacity;
    size_t count;
    uint32_t products[CATALOG_PAGE_MAX + 1]; /* the best first */
    catalog_place_t places[CATALOG_PAGE_MAX + 1];
} s_best_t;

/* Negative: a stands before b. */
static int s_compare(const s_best_t *self, const catalog_place_t *a, const catalog_place_t *b) {
    if (a->score != b->score) {
        return a->score > b->score ? -1 : 1;
    }
    int result = catalog_sort_key_compare(&a->key, &b->key);
    return self->descending ? -result : result;
}

static void s_best_offer(s_best_t *self, uint32_t ordinal) {
    catalog_place_t place = {.score = self->scores != NULL ? self->scores[ordinal] : 0};
    bool full = self->count == self->capacity;
    if ((full && place.score < self->places[self->count - 1].score) ||
        (self->after != NULL && place.score > self->after->score)) {
        return; /* decided without the key, which is a look at cold memory */
    }
    place.key = self->order->key_of(self->order->owner, ordinal);
    if ((self->after != NULL && s_compare(self, &place, self->after) <= 0) ||
        (full && s_compare(self, &place, &self->places[self->count - 1]) > 0)) {
        return;
    }
    size_t low = 0, high = self->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s_compare(self, &self->places[middle], &place) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    self->count += !full;
    memmove(&self->products[low + 1], &self->products[low],
            (self->count - 1 - low) * sizeof(self->products[0]));
    memmove(&self->places[low + 1], &self->places[low],
            (self->count - 1 - low) * sizeof(self->places[0]));
    self->products[low] = ordinal;
    self->places[low] = place;
}

static void s_best_of_matches(s_best_t *self, const roaring_bitmap_t *matches) {
    size_t count = roaring_bitmap_get_cardinality(matches);
    uint32_t *ordinals = malloc((count > 0 ? count : 1) * sizeof(ordinals[0]));
    souk_assert(ordinals != NULL);
    roaring_bitmap_to_uint32_array(matches, ordinals);
    for (size_t i = 0; i < count; i++) {
        s_best_offer(self, ordinals[i]);
    }
    free(ordinals);
}

/* ---- a walk through many ---- */

static void s_best_of_order(s_best_t *self, const roaring_bitmap_t *matches) {
    const catalog_order_t *order = self->order;
    catalog_order_pos_t pos =
        self->descending ? catalog_order_end(order) : catalog_order_begin(order);
    if (self->after != NULL) {
        pos = catalog_order_seek(order, &self->after->key, !self->descending);
    }
    uint32_t ordinal = 0;
    while (self->count < self->capacity &&
           (self->descending ? catalog_order_prev(order, &pos, &ordinal)
                             : catalog_order_next(order, &pos, &ordinal))) {
        if (roaring_bitmap_contains(matches, ordinal)) {
            self->products[self->count] = ordinal;
            self->places[self->count++].key = order->key_of(order->owner, ordinal);
        }
    }
}

static const catalog_order_t *s_order(const catalog_index_t *index, catalog_sort_t sort) {
    switch (sort) {
    case CATALOG_SORT_PRICE:
    case CATALOG_SORT_MINUS_PRICE:
        return &index->by_price;
    case CATALOG_SORT_NAME:
        return &index->by_name;
    case CATALOG_SORT_RELEVANCE:
    case CATALOG_SORT_MINUS_CREATED_AT:
        break;
    }
    return &index->by_created;
}

void catalog_rank(const catalog_match_t *match, catalog_sort_t sort, const catalog_place_t *after,
                  size_t limit, catalog_page_t *ret) {
    souk_assert(limit >= 1 && limit <= CATALOG_PAGE_MAX);
    bool by_score = sort == CATALOG_SORT_RELEVANCE && match->q.size > 0;
    uint32_t *scores = by_score ? s_scores(match) : NULL;
    s_best_t best = {.order = s_order(match->index, sort),
                     .descending = sort != CATALOG_SORT_PRICE && sort != CATALOG_SORT_NAME,
                     .scores = scores,
                     .after = after,
                     .capacity = limit + 1};
    uint64_t matches = roaring_bitmap_get_cardinality(match->all);
    if (by_score || matches * matches < (uint64_t)limit * match->index->products_count) {
        s_best_of_matches(&best, match->all);
    } else {
        s_best_of_order(&best, match->all);
    }
    free(scores);
    ret->more = best.count > limit;
    ret->count = ret->more ? limit : best.count;
    memcpy(ret->products, best.products, ret->count * sizeof(ret->products[0]));
    ret->last = ret->count > 0 ? best.places[ret->count - 1] : (catalog_place_t){0};
}
