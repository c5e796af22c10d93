/* Folding, words, stems, and the spellings at one mistake against the definition of the distance.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "text.h"
#include "typo.h"

static void s_collect(void *arg, souk_str_t word) {
    char *text = arg;
    size_t size = strlen(text);
    snprintf(text + size, 200 - size, "[%.*s]", (int)word.size, word.data);
}

static const char *s_words(const char *input) {
    static char text[200];
    catalog_text_t fold;
    catalog_text_init(&fold);
    text[0] = '\0';
    catalog_text_words(&fold, souk_str_of(input), s_collect, text);
    catalog_text_done(&fold);
    return text;
}

Test(text, splits_and_folds) {
    cr_assert_str_eq(s_words("Oak-board, 30x40 cm"), "[oak][board][30x40][cm]");
    cr_assert_str_eq(s_words("  \tWomen's 'quoted' rock'n'roll' "),
                     "[women's][quoted][rock'n'roll]");
    cr_assert_str_eq(s_words("CR\xc3\x88ME br\xc3\xbbl\xc3\xa9"
                             "e"),
                     "[creme][brulee]");
    cr_assert_str_eq(s_words("x\xc2\xb2 \xe2\x85\xa3 \xef\xbc\xa1"), "[x2][iv][a]");
    cr_assert_str_eq(s_words("\xe6\x9c\xa8\xe3\x81\xae\xe6\x9d\xbf"),
                     "[\xe6\x9c\xa8\xe3\x81\xae\xe6\x9d\xbf]");
    cr_assert_str_eq(s_words("''' -- ..."), "");
    cr_assert_str_eq(s_words("broken \xc3("), "");
    char longer[100];
    memset(longer, 'a', 99);
    longer[99] = '\0';
    cr_assert_eq(strlen(s_words(longer)), CATALOG_WORD_BYTES_MAX + 2);
}

Test(text, folded_white_space_is_single) {
    catalog_text_t text;
    catalog_text_init(&text);
    cr_assert(souk_str_equal(catalog_text_fold(&text, SOUK_STR("  A \n\t B\xc2\xa0"
                                                               "C ")),
                             SOUK_STR("a b c")));
    cr_assert(souk_str_equal(catalog_text_fold(&text, SOUK_STR("  A  B ")), SOUK_STR("a b")));
    cr_assert_eq(catalog_text_fold(&text, SOUK_STR("")).size, 0);
    catalog_text_done(&text);
}

/* The restricted Damerau-Levenshtein distance, by its definition. */
static int s_distance(const char *a, const char *b) {
    int rows = (int)strlen(a), columns = (int)strlen(b), table[16][16];
    for (int i = 0; i <= rows; i++) {
        for (int j = 0; j <= columns; j++) {
            int best = i == 0 ? j : j == 0 ? i : table[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            best = i > 0 && table[i - 1][j] + 1 < best ? table[i - 1][j] + 1 : best;
            best = j > 0 && table[i][j - 1] + 1 < best ? table[i][j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                table[i - 2][j - 2] + 1 < best) {
                best = table[i - 2][j - 2] + 1;
            }
            table[i][j] = best;
        }
    }
    return table[rows][columns];
}

typedef struct {
    const char *word, *wanted;
    bool found;
} s_typo_t;

static void s_check(void *arg, souk_str_t spelling) {
    s_typo_t *self = arg;
    char text[16];
    snprintf(text, sizeof text, "%.*s", (int)spelling.size, spelling.data);
    cr_assert_leq(s_distance(self->word, text), 1, "%s", text);
    self->found = self->found || strcmp(text, self->wanted) == 0;
}

Test(typo, gives_all_spellings_at_distance_one_and_no_others) {
    uint64_t seed = 5;
    for (int round = 0; round < 2000; round++) {
        char word[16] = {0}, wanted[16] = {0};
        for (int i = 0; i < 5 + round % 4; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            word[i] = wanted[i] = "abc"[(seed >> 33) % 3];
        }
        size_t size = strlen(word), at = (size_t)(seed >> 40) % size;
        switch (round % 4) { /* a mistake */
        case 0:
            wanted[at] = 'z';
            break;
        case 1:
            memmove(wanted + at, wanted + at + 1, size - at);
            break;
        case 2:
            memmove(wanted + at + 1, wanted + at, size - at);
            wanted[at] = '7';
            break;
        default:
            at = at > 0 ? at : 1;
            wanted[at] = word[at - 1];
            wanted[at - 1] = word[at];
            break;
        }
        s_typo_t typo = {.word = word, .wanted = wanted};
        catalog_typo_each(souk_str_of(word), s_check, &typo);
        cr_assert(typo.found || strcmp(word, wanted) == 0, "%s from %s", wanted, word);
    }
}

static void s_count(void *arg, souk_str_t spelling) {
    (void)spelling;
    ++*(int *)arg;
}

Test(typo, short_words_and_bad_ones_have_none) {
    int count = 0;
    catalog_typo_each(SOUK_STR("abcd"), s_count, &count);
    catalog_typo_each(SOUK_STR("\xc3\xa4\xc3\xa4"), s_count, &count); /* two letters */
    catalog_typo_each(SOUK_STR("abcd\xff\xff"), s_count, &count);
    cr_assert_eq(count, 0);
}
