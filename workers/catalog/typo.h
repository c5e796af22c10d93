/* Spellings at one typing mistake from a word: a letter left out, added, replaced, or two
 * neighbours swapped (Damerau-Levenshtein distance 1). */
#ifndef CATALOG_TYPO_H
#define CATALOG_TYPO_H

#include "souk/base.h"

/* Words with fewer letters are never corrected. */
#define CATALOG_TYPO_LETTERS_MIN 5

/* Calls fn for each spelling, some of them twice. Letters are added and replaced from a-z and 0-9
 * only, which is what folded Latin words are made of; leaving out and swapping works for every
 * script. */
void catalog_typo_each(souk_str_t word, void (*fn)(void *arg, souk_str_t spelling), void *arg);

#endif
