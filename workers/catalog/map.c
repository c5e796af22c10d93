/* Open addressing with linear probing. The hash ignores the case of ASCII letters, so that keys
 * that differ only in it share a probe sequence. A taken-out entry leaves a mark; growth drops the
 * marks.
 *
 * Growth does not move everything at once: the former table stays beside the new one, each change
 * moves some of its slots (whose entries become marks there), and a search looks into both. The
 * former table is empty long before the new one is full again. */
#include "map.h"

#include <stdlib.h>
#include <sys/mman.h>

#define SLOTS_MIN ((size_t)64)
/* From here on a table is mapped by itself: its pages are zeroed as they are met, not all in the
 * change that grows it. */
#define MAPPED_SLOTS_MIN ((size_t)8192)
#define MOVES_EACH ((size_t)32)

static const char s_mark[] = "";

static inline uint8_t s_fold(char byte) {
    uint8_t value = (uint8_t)byte;
    return value >= 'A' && value <= 'Z' ? (uint8_t)(value | 0x20) : value;
}

static uint32_t s_hash(souk_str_t key) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < key.size; i++) {
        hash = (hash ^ s_fold(key.data[i])) * 0x100000001b3u;
    }
    hash ^= hash >> 32;
    return (uint32_t)((hash * 0x9e3779b97f4a7c15u) >> 32);
}

static bool s_is_mark(const catalog_map_entry_t *entry) {
    return entry->data == s_mark;
}

static catalog_map_table_t s_table_new(size_t slots) {
    catalog_map_table_t table = {.mask = slots - 1};
    size_t bytes = slots * sizeof(catalog_map_entry_t);
    if (slots < MAPPED_SLOTS_MIN) {
        table.entries = calloc(1, bytes);
        souk_assert(table.entries != NULL);
        return table;
    }
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    souk_assert(pages != MAP_FAILED);
    table.entries = pages;
    return table;
}

static void s_table_free(catalog_map_table_t *table) {
    size_t slots = table->mask + 1;
    if (table->entries != NULL && slots >= MAPPED_SLOTS_MIN) {
        (void)munmap(table->entries, slots * sizeof(catalog_map_entry_t));
    } else {
        free(table->entries);
    }
    *table = (catalog_map_table_t){0};
}

void catalog_map_init(catalog_map_t *self) {
    *self = (catalog_map_t){0};
}

void catalog_map_done(catalog_map_t *self) {
    s_table_free(&self->table);
    s_table_free(&self->old);
    *self = (catalog_map_t){0};
}

static void s_table_put(catalog_map_table_t *table, const catalog_map_entry_t *entry) {
    size_t at = entry->hash & table->mask;
    while (table->entries[at].data != NULL) {
        at = (at + 1) & table->mask;
    }
    table->entries[at] = *entry;
    table->used++;
}

static void s_move(catalog_map_t *self, size_t slots) {
    catalog_map_table_t *old = &self->old;
    for (; slots > 0 && old->entries != NULL; slots--) {
        catalog_map_entry_t *entry = &old->entries[self->moved];
        if (entry->data != NULL && !s_is_mark(entry)) {
            s_table_put(&self->table, entry);
            entry->data = s_mark;
        }
        if (self->moved++ == old->mask) {
            s_table_free(old);
        }
    }
}

static void s_grow(catalog_map_t *self) {
    s_move(self, SIZE_MAX);
    size_t slots = SLOTS_MIN;
    while (slots < self->count * 2) {
        slots *= 2;
    }
    souk_assert(slots <= UINT32_MAX);
    self->old = self->table;
    self->moved = 0;
    self->table = s_table_new(slots);
}

void catalog_map_put(catalog_map_t *self, souk_str_t key, uint32_t value) {
    souk_assert(key.size <= UINT32_MAX && key.data != NULL);
    if (self->table.entries == NULL || (self->table.used + 1) * 4 > (self->table.mask + 1) * 3) {
        s_grow(self);
    }
    s_move(self, MOVES_EACH);
    s_table_put(&self->table, &(catalog_map_entry_t){.data = key.data,
                                                     .size = (uint32_t)key.size,
                                                     .hash = s_hash(key),
                                                     .value = value});
    self->count++;
}

static bool s_same(const catalog_map_entry_t *entry, souk_str_t key, uint32_t hash) {
    return entry->hash == hash && !s_is_mark(entry) && entry->size == key.size &&
           memcmp(entry->data, key.data, key.size) == 0;
}

static catalog_map_entry_t *s_table_entry(const catalog_map_table_t *table, souk_str_t key,
                                          uint32_t hash, uint32_t value) {
    if (table->entries == NULL) {
        return NULL;
    }
    for (size_t at = hash & table->mask; table->entries[at].data != NULL;
         at = (at + 1) & table->mask) {
        if (table->entries[at].value == value && s_same(&table->entries[at], key, hash)) {
            return &table->entries[at];
        }
    }
    return NULL;
}

static catalog_map_entry_t *s_entry(const catalog_map_t *self, souk_str_t key, uint32_t value) {
    uint32_t hash = s_hash(key);
    catalog_map_entry_t *entry = s_table_entry(&self->table, key, hash, value);
    if (entry == NULL) {
        entry = s_table_entry(&self->old, key, hash, value);
    }
    souk_assert(entry != NULL);
    return entry;
}

void catalog_map_remove(catalog_map_t *self, souk_str_t key, uint32_t value) {
    s_entry(self, key, value)->data = s_mark;
    self->count--;
    s_move(self, MOVES_EACH);
}

void catalog_map_set(catalog_map_t *self, souk_str_t key, uint32_t value, uint32_t new_value) {
    s_entry(self, key, value)->value = new_value;
}

static uint32_t s_table_find(const catalog_map_table_t *table, souk_str_t key, uint32_t hash) {
    if (table->entries == NULL) {
        return CATALOG_NONE;
    }
    for (size_t at = hash & table->mask; table->entries[at].data != NULL;
         at = (at + 1) & table->mask) {
        if (s_same(&table->entries[at], key, hash)) {
            return table->entries[at].value;
        }
    }
    return CATALOG_NONE;
}

uint32_t catalog_map_find(const catalog_map_t *self, souk_str_t key) {
    uint32_t hash = s_hash(key);
    uint32_t value = s_table_find(&self->table, key, hash);
    return value != CATALOG_NONE ? value : s_table_find(&self->old, key, hash);
}

static bool s_same_any_case(const catalog_map_entry_t *entry, souk_str_t key, uint32_t hash) {
    if (entry->hash != hash || s_is_mark(entry) || entry->size != key.size) {
        return false;
    }
    for (size_t i = 0; i < key.size; i++) {
        if (s_fold(entry->data[i]) != s_fold(key.data[i])) {
            return false;
        }
    }
    return true;
}

void catalog_map_find_any_case(const catalog_map_t *self, souk_str_t key,
                               void (*fn)(void *arg, uint32_t value), void *arg) {
    uint32_t hash = s_hash(key);
    const catalog_map_table_t *tables[] = {&self->table, &self->old};
    for (size_t t = 0; t < SOUK_COUNT_OF(tables); t++) {
        const catalog_map_table_t *table = tables[t];
        if (table->entries == NULL) {
            continue;
        }
        for (size_t at = hash & table->mask; table->entries[at].data != NULL;
             at = (at + 1) & table->mask) {
            if (s_same_any_case(&table->entries[at], key, hash)) {
                fn(arg, table->entries[at].value);
            }
        }
    }
}

void catalog_map_each(const catalog_map_t *self,
                      void (*fn)(void *arg, souk_str_t key, uint32_t value), void *arg) {
    const catalog_map_table_t *tables[] = {&self->table, &self->old};
    for (size_t t = 0; t < SOUK_COUNT_OF(tables); t++) {
        for (size_t at = 0; tables[t]->entries != NULL && at <= tables[t]->mask; at++) {
            const catalog_map_entry_t *entry = &tables[t]->entries[at];
            if (entry->data != NULL && !s_is_mark(entry)) {
                fn(arg, (souk_str_t){.data = entry->data, .size = entry->size}, entry->value);
            }
        }
    }
}

size_t catalog_map_bytes(const catalog_map_t *self) {
    size_t slots = (self->table.entries != NULL ? self->table.mask + 1 : 0) +
                   (self->old.entries != NULL ? self->old.mask + 1 : 0);
    return slots * sizeof(catalog_map_entry_t);
}
