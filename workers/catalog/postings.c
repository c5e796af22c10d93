#include "postings.h"

#include <stdlib.h>

static catalog_sort_key_t s_word_key(const void *owner, uint32_t item) {
    const catalog_postings_t *self = owner;
    const catalog_word_t *word = &self->words[item];
    return (catalog_sort_key_t){.text = {.data = word->text, .size = word->size}};
}

void catalog_postings_init(catalog_postings_t *self, catalog_text_t *text) {
    *self =
        (catalog_postings_t){.text = text, .terms_free = CATALOG_NONE, .words_free = CATALOG_NONE};
    catalog_map_init(&self->by_stem);
    catalog_map_init(&self->by_word);
    catalog_order_init(&self->sorted, s_word_key, self);
}

void catalog_postings_done(catalog_postings_t *self) {
    for (uint32_t i = 0; i < self->terms_count; i++) {
        for (size_t f = 0; f < CATALOG_FIELDS_COUNT; f++) {
            if (self->terms[i].products[f] != NULL) {
                roaring_bitmap_free(self->terms[i].products[f]);
            }
        }
        free(self->terms[i].stem);
    }
    for (uint32_t i = 0; i < self->words_count; i++) {
        free(self->words[i].text);
    }
    free(self->terms);
    free(self->words);
    catalog_map_done(&self->by_stem);
    catalog_map_done(&self->by_word);
    catalog_order_done(&self->sorted);
}

static char *s_copy(souk_str_t text) {
    char *copy = malloc(text.size);
    souk_assert(copy != NULL);
    memcpy(copy, text.data, text.size);
    return copy;
}

static uint32_t s_new_term(catalog_postings_t *self, souk_str_t stem) {
    uint32_t number = self->terms_free;
    if (number != CATALOG_NONE) {
        self->terms_free = self->terms[number].first_word;
    } else {
        if (self->terms_count == self->terms_capacity) {
            self->terms_capacity = self->terms_capacity > 0 ? self->terms_capacity * 2 : 256;
            self->terms = realloc(self->terms, self->terms_capacity * sizeof(self->terms[0]));
            souk_assert(self->terms != NULL);
        }
        number = self->terms_count++;
    }
    self->terms[number] = (catalog_term_t){
        .stem = s_copy(stem), .stem_size = (uint32_t)stem.size, .first_word = CATALOG_NONE};
    catalog_map_put(&self->by_stem,
                    (souk_str_t){.data = self->terms[number].stem, .size = stem.size}, number);
    return number;
}

static void s_new_word(catalog_postings_t *self, souk_str_t text, uint32_t term) {
    uint32_t number = self->words_free;
    if (number != CATALOG_NONE) {
        self->words_free = self->words[number].next;
    } else {
        if (self->words_count == self->words_capacity) {
            self->words_capacity = self->words_capacity > 0 ? self->words_capacity * 2 : 256;
            self->words = realloc(self->words, self->words_capacity * sizeof(self->words[0]));
            souk_assert(self->words != NULL);
        }
        number = self->words_count++;
    }
    self->words[number] = (catalog_word_t){.text = s_copy(text),
                                           .size = (uint32_t)text.size,
                                           .term = term,
                                           .next = self->terms[term].first_word};
    self->terms[term].first_word = number;
    catalog_map_put(&self->by_word,
                    (souk_str_t){.data = self->words[number].text, .size = text.size}, number);
    catalog_order_insert(&self->sorted, number);
}

/* The word's term, made when it is new. */
static uint32_t s_require(catalog_postings_t *self, souk_str_t text) {
    uint32_t word = catalog_map_find(&self->by_word, text);
    if (word != CATALOG_NONE) {
        return self->words[word].term;
    }
    souk_str_t stem = catalog_text_stem(self->text, text);
    uint32_t term = catalog_map_find(&self->by_stem, stem);
    if (term == CATALOG_NONE) {
        term = s_new_term(self, stem);
    }
    s_new_word(self, text, term);
    return term;
}

static void s_drop_term(catalog_postings_t *self, uint32_t number) {
    catalog_term_t *term = &self->terms[number];
    while (term->first_word != CATALOG_NONE) {
        uint32_t at = term->first_word;
        catalog_word_t *word = &self->words[at];
        catalog_order_remove(&self->sorted, at);
        catalog_map_remove(&self->by_word, (souk_str_t){.data = word->text, .size = word->size},
                           at);
        term->first_word = word->next;
        free(word->text);
        *word = (catalog_word_t){.next = self->words_free};
        self->words_free = at;
    }
    catalog_map_remove(&self->by_stem, (souk_str_t){.data = term->stem, .size = term->stem_size},
                       number);
    free(term->stem);
    *term = (catalog_term_t){.first_word = self->terms_free};
    self->terms_free = number;
}

static bool s_holds(const catalog_term_t *term, uint32_t product) {
    for (size_t f = 0; f < CATALOG_FIELDS_COUNT; f++) {
        if (term->products[f] != NULL && roaring_bitmap_contains(term->products[f], product)) {
            return true;
        }
    }
    return false;
}

void catalog_postings_add(catalog_postings_t *self, souk_str_t word, catalog_field_t field,
                          uint32_t product) {
    uint32_t number = s_require(self, word); /* may move the terms */
    catalog_term_t *term = &self->terms[number];
    if (term->products[field] == NULL) {
        term->products[field] = roaring_bitmap_create();
        souk_assert(term->products[field] != NULL);
    } else if (roaring_bitmap_contains(term->products[field], product)) {
        return;
    }
    term->products_count += !s_holds(term, product);
    roaring_bitmap_add(term->products[field], product);
}

void catalog_postings_remove(catalog_postings_t *self, souk_str_t word, catalog_field_t field,
                             uint32_t product) {
    uint32_t number = catalog_postings_of_word(self, word);
    if (number == CATALOG_NONE) {
        return;
    }
    catalog_term_t *term = &self->terms[number];
    if (term->products[field] == NULL ||
        !roaring_bitmap_remove_checked(term->products[field], product)) {
        return;
    }
    if (roaring_bitmap_is_empty(term->products[field])) {
        roaring_bitmap_free(term->products[field]);
        term->products[field] = NULL;
    }
    term->products_count -= !s_holds(term, product);
    if (term->products_count == 0) {
        s_drop_term(self, number);
    }
}

uint32_t catalog_postings_of_word(const catalog_postings_t *self, souk_str_t word) {
    uint32_t number = catalog_map_find(&self->by_word, word);
    return number != CATALOG_NONE ? self->words[number].term : CATALOG_NONE;
}

uint32_t catalog_postings_of_stem(const catalog_postings_t *self, souk_str_t stem) {
    return catalog_map_find(&self->by_stem, stem);
}

size_t catalog_postings_of_prefix(const catalog_postings_t *self, souk_str_t prefix,
                                  uint32_t *ret_terms, size_t capacity) {
    const catalog_sort_key_t key = {.text = prefix};
    catalog_order_pos_t pos = catalog_order_seek(&self->sorted, &key, false);
    size_t count = 0;
    uint32_t at = 0;
    while (count < capacity && catalog_order_next(&self->sorted, &pos, &at)) {
        const catalog_word_t *word = &self->words[at];
        if (word->size < prefix.size || memcmp(word->text, prefix.data, prefix.size) != 0) {
            break;
        }
        ret_terms[count++] = word->term;
    }
    return count;
}

size_t catalog_postings_bytes(const catalog_postings_t *self) {
    size_t bytes = self->terms_capacity * sizeof(self->terms[0]) +
                   self->words_capacity * sizeof(self->words[0]) +
                   catalog_map_bytes(&self->by_stem) + catalog_map_bytes(&self->by_word) +
                   catalog_order_bytes(&self->sorted);
    for (uint32_t i = 0; i < self->terms_count; i++) {
        bytes += self->terms[i].stem_size;
        for (size_t f = 0; f < CATALOG_FIELDS_COUNT; f++) {
            bytes += self->terms[i].products[f] != NULL
                         ? roaring_bitmap_size_in_bytes(self->terms[i].products[f])
                         : 0;
        }
    }
    for (uint32_t i = 0; i < self->words_count; i++) {
        bytes += self->words[i].size;
    }
    return bytes;
}
