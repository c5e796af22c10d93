/* An array of small sorted chunks: a tree of two levels. A full chunk is split in halves, one that
 * becomes small is joined with its neighbour, so that chunks are at least a quarter full on average
 * and memory follows the count. */
#include "order.h"

#include <stdlib.h>

#define JOIN_AT (CATALOG_ORDER_CHUNK / 4)

static int s_compare_text(souk_str_t a, souk_str_t b) {
    size_t size = a.size < b.size ? a.size : b.size;
    int result = size > 0 ? memcmp(a.data, b.data, size) : 0;
    if (result != 0) {
        return result;
    }
    return (a.size > b.size) - (a.size < b.size);
}

int catalog_sort_key_compare(const catalog_sort_key_t *a, const catalog_sort_key_t *b) {
    if (a->number != b->number) {
        return a->number < b->number ? -1 : 1;
    }
    int result = s_compare_text(a->text, b->text);
    return result != 0 ? result : s_compare_text(a->id, b->id);
}

void catalog_order_init(catalog_order_t *self, catalog_sort_key_fn key_of, const void *owner) {
    *self = (catalog_order_t){.key_of = key_of, .owner = owner};
}

void catalog_order_done(catalog_order_t *self) {
    for (size_t i = 0; i < self->chunks_count; i++) {
        free(self->chunks[i]);
    }
    free(self->chunks);
    *self = (catalog_order_t){0};
}

/* True when the item stands before the place that is looked for. */
static bool s_before(const catalog_order_t *self, uint32_t item, const catalog_sort_key_t *key,
                     bool after) {
    const catalog_sort_key_t own = self->key_of(self->owner, item);
    int result = catalog_sort_key_compare(&own, key);
    return after ? result <= 0 : result < 0;
}

catalog_order_pos_t catalog_order_seek(const catalog_order_t *self, const catalog_sort_key_t *key,
                                       bool after) {
    size_t low = 0, high = self->chunks_count; /* the first chunk whose last item does not stand
                                                  before the place */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const catalog_order_chunk_t *chunk = self->chunks[middle];
        if (s_before(self, chunk->items[chunk->count - 1], key, after)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    catalog_order_pos_t pos = {.chunk = low, .at = 0};
    if (low == self->chunks_count) {
        return pos;
    }
    const catalog_order_chunk_t *chunk = self->chunks[low];
    size_t end = chunk->count;
    while (pos.at < end) {
        size_t middle = pos.at + (end - pos.at) / 2;
        if (s_before(self, chunk->items[middle], key, after)) {
            pos.at = middle + 1;
        } else {
            end = middle;
        }
    }
    return pos;
}

static void s_add_chunk(catalog_order_t *self, size_t at) {
    if (self->chunks_count == self->chunks_capacity) {
        self->chunks_capacity = self->chunks_capacity > 0 ? self->chunks_capacity * 2 : 16;
        self->chunks = realloc(self->chunks, self->chunks_capacity * sizeof(self->chunks[0]));
        souk_assert(self->chunks != NULL);
    }
    catalog_order_chunk_t *chunk = malloc(sizeof(*chunk));
    souk_assert(chunk != NULL);
    chunk->count = 0;
    memmove(&self->chunks[at + 1], &self->chunks[at],
            (self->chunks_count - at) * sizeof(self->chunks[0]));
    self->chunks[at] = chunk;
    self->chunks_count++;
}

static void s_drop_chunk(catalog_order_t *self, size_t at) {
    free(self->chunks[at]);
    self->chunks_count--;
    memmove(&self->chunks[at], &self->chunks[at + 1],
            (self->chunks_count - at) * sizeof(self->chunks[0]));
}

/* Room for one more at pos, which may move to another chunk. */
static void s_make_room(catalog_order_t *self, catalog_order_pos_t *pos) {
    if (pos->chunk == self->chunks_count &&
        pos->chunk > 0) { /* behind the last: join the last chunk */
        pos->chunk--;
        pos->at = self->chunks[pos->chunk]->count;
    }
    if (self->chunks_count == 0) {
        s_add_chunk(self, 0);
        return;
    }
    catalog_order_chunk_t *chunk = self->chunks[pos->chunk];
    if (chunk->count < CATALOG_ORDER_CHUNK) {
        return;
    }
    /* Items that come in order leave full chunks behind. */
    size_t kept = pos->at == CATALOG_ORDER_CHUNK ? CATALOG_ORDER_CHUNK : CATALOG_ORDER_CHUNK / 2;
    s_add_chunk(self, pos->chunk + 1);
    catalog_order_chunk_t *next = self->chunks[pos->chunk + 1];
    next->count = (uint32_t)(CATALOG_ORDER_CHUNK - kept);
    memcpy(next->items, &chunk->items[kept], next->count * sizeof(next->items[0]));
    chunk->count = (uint32_t)kept;
    if (pos->at > kept || kept == CATALOG_ORDER_CHUNK) {
        pos->chunk++;
        pos->at -= kept;
    }
}

void catalog_order_insert(catalog_order_t *self, uint32_t item) {
    const catalog_sort_key_t key = self->key_of(self->owner, item);
    catalog_order_pos_t pos = catalog_order_seek(self, &key, false);
    s_make_room(self, &pos);
    catalog_order_chunk_t *chunk = self->chunks[pos.chunk];
    memmove(&chunk->items[pos.at + 1], &chunk->items[pos.at],
            (chunk->count - pos.at) * sizeof(chunk->items[0]));
    chunk->items[pos.at] = item;
    chunk->count++;
    self->count++;
}

static void s_join(catalog_order_t *self, size_t at) {
    if (at + 1 >= self->chunks_count) {
        return;
    }
    catalog_order_chunk_t *chunk = self->chunks[at];
    const catalog_order_chunk_t *next = self->chunks[at + 1];
    if (chunk->count + next->count <= CATALOG_ORDER_CHUNK / 2) {
        memcpy(&chunk->items[chunk->count], next->items, next->count * sizeof(next->items[0]));
        chunk->count += next->count;
        s_drop_chunk(self, at + 1);
    }
}

void catalog_order_remove(catalog_order_t *self, uint32_t item) {
    const catalog_sort_key_t key = self->key_of(self->owner, item);
    catalog_order_pos_t pos = catalog_order_seek(self, &key, false);
    souk_assert(pos.chunk < self->chunks_count);
    catalog_order_chunk_t *chunk = self->chunks[pos.chunk];
    souk_assert(chunk->items[pos.at] == item);
    chunk->count--;
    self->count--;
    memmove(&chunk->items[pos.at], &chunk->items[pos.at + 1],
            (chunk->count - pos.at) * sizeof(chunk->items[0]));
    if (chunk->count == 0) {
        s_drop_chunk(self, pos.chunk);
    } else if (chunk->count < JOIN_AT) {
        s_join(self, pos.chunk);
    }
}

catalog_order_pos_t catalog_order_begin(const catalog_order_t *self) {
    (void)self;
    return (catalog_order_pos_t){0};
}

catalog_order_pos_t catalog_order_end(const catalog_order_t *self) {
    return (catalog_order_pos_t){.chunk = self->chunks_count};
}

bool catalog_order_next(const catalog_order_t *self, catalog_order_pos_t *pos, uint32_t *ret_item) {
    if (pos->chunk == self->chunks_count) {
        return false;
    }
    const catalog_order_chunk_t *chunk = self->chunks[pos->chunk];
    *ret_item = chunk->items[pos->at];
    if (++pos->at == chunk->count) {
        pos->chunk++;
        pos->at = 0;
    }
    return true;
}

bool catalog_order_prev(const catalog_order_t *self, catalog_order_pos_t *pos, uint32_t *ret_item) {
    if (pos->at == 0) {
        if (pos->chunk == 0) {
            return false;
        }
        pos->chunk--;
        pos->at = self->chunks[pos->chunk]->count;
    }
    pos->at--;
    *ret_item = self->chunks[pos->chunk]->items[pos->at];
    return true;
}

size_t catalog_order_bytes(const catalog_order_t *self) {
    return self->chunks_count * sizeof(catalog_order_chunk_t) +
           self->chunks_capacity * sizeof(self->chunks[0]);
}
