/* From a string to a number (an ordinal): ids, slugs, SKUs, words, facet values. A key may stand in
 * it several times with different numbers, since a catalogue that is being loaded passes through
 * states that never were. */
#ifndef CATALOG_MAP_H
#define CATALOG_MAP_H

#include "souk/base.h"

#define CATALOG_NONE UINT32_MAX

typedef struct {
    const char *data; /* NULL: free, or (size 1) taken out */
    uint32_t size;
    uint32_t hash;
    uint32_t value;
} catalog_map_entry_t;

typedef struct {
    catalog_map_entry_t *entries;
    size_t mask; /* slots - 1; 0 when there are none */
    size_t used; /* entries, and marks of those taken out */
} catalog_map_table_t;

typedef struct {
    catalog_map_table_t table;
    catalog_map_table_t
        old; /* being moved to table, some slots with each change: no change pays for the whole */
    size_t moved; /* slots of old that are done */
    size_t count;
} catalog_map_t;

void catalog_map_init(catalog_map_t *self);
void catalog_map_done(catalog_map_t *self);

/* Adds a pair that is not there yet. The key is borrowed until it is removed. */
void catalog_map_put(catalog_map_t *self, souk_str_t key, uint32_t value);
/* Removes the pair, which has to be there; afterwards its key is no longer used. */
void catalog_map_remove(catalog_map_t *self, souk_str_t key, uint32_t value);

/* Gives the pair, which has to be there, another number. */
void catalog_map_set(catalog_map_t *self, souk_str_t key, uint32_t value, uint32_t new_value);

/* A number of the key, CATALOG_NONE when there is none. */
uint32_t catalog_map_find(const catalog_map_t *self, souk_str_t key);
/* Calls fn for every pair whose key equals key but for the case of ASCII letters. */
void catalog_map_find_any_case(const catalog_map_t *self, souk_str_t key,
                               void (*fn)(void *arg, uint32_t value), void *arg);

/* Calls fn for every pair, in no order. fn must not change the map. */
void catalog_map_each(const catalog_map_t *self,
                      void (*fn)(void *arg, souk_str_t key, uint32_t value), void *arg);

size_t catalog_map_bytes(const catalog_map_t *self);

#endif
