#include "levels.h"

#include <stdio.h>

#include "souk/mp.h"

/* FNV-1a: the tag has to differ between neighbouring states of a product and to be the same on
 * every worker, no more. */
#define TAG_START 2166136261u
#define TAG_PRIME 16777619u

void catalog_levels_init(catalog_levels_t *self) {
    catalog_map_init(&self->by_sku);
    self->keys = souk_arena_new(SIZE_MAX / 2, 0);
}

void catalog_levels_done(catalog_levels_t *self) {
    catalog_map_done(&self->by_sku);
    souk_arena_destroy(&self->keys);
}

void catalog_levels_clear(catalog_levels_t *self) {
    catalog_levels_done(self);
    catalog_levels_init(self);
}

void catalog_levels_set(catalog_levels_t *self, souk_str_t sku, catalog_level_t level) {
    uint32_t known = catalog_map_find(&self->by_sku, sku);
    if (known == CATALOG_NONE) {
        souk_str_t key = souk_arena_copy(self->keys, sku);
        souk_assert(key.data != NULL);
        catalog_map_put(&self->by_sku, key, (uint32_t)level);
    } else if (known != (uint32_t)level) {
        catalog_map_set(&self->by_sku, sku, known, (uint32_t)level);
    }
}

catalog_level_t catalog_levels_get(const catalog_levels_t *self, souk_str_t sku) {
    uint32_t level = catalog_map_find(&self->by_sku, sku);
    return level != CATALOG_NONE ? (catalog_level_t)level : CATALOG_LEVEL_UNKNOWN;
}

/* ---- showing ---- */

typedef struct {
    const catalog_levels_t *levels;
    souk_mp_cursor_t in;
    souk_buf_t *out;
    uint32_t tag;
    bool any;
} show_t;

/* Skips a value and tells its bytes. */
static souk_err_t s_value(souk_mp_cursor_t *cursor, souk_str_t *ret) {
    const uint8_t *start = cursor->at;
    SOUK_TRY(souk_mp_skip(cursor));
    *ret = (souk_str_t){.data = (const char *)start, .size = (size_t)(cursor->at - start)};
    return SOUK_OK;
}

static void s_write_level(souk_buf_t *out, catalog_level_t level) {
    const souk_str_t names[] = {SOUK_STR("none"), SOUK_STR("low"), SOUK_STR("in_stock")};
    souk_mp_write_str(out, SOUK_STR("availability"));
    souk_mp_write_str(out, names[level]);
}

/* A map is copied whole behind its new head: its pairs, then one more. */
static souk_err_t s_variant(show_t *self) {
    uint32_t pairs = 0;
    souk_str_t sku = {0};
    SOUK_TRY(souk_mp_read_map(&self->in, &pairs));
    const uint8_t *start = self->in.at;
    for (uint32_t i = 0; i < pairs; i++) {
        souk_str_t name;
        SOUK_TRY(souk_mp_read_str(&self->in, &name));
        if (souk_str_equal(name, SOUK_STR("sku"))) {
            SOUK_TRY(souk_mp_read_str(&self->in, &sku));
        } else {
            SOUK_TRY(souk_mp_skip(&self->in));
        }
    }
    catalog_level_t level = catalog_levels_get(self->levels, sku);
    bool known = level != CATALOG_LEVEL_UNKNOWN;
    souk_mp_write_map(self->out, pairs + known);
    souk_buf_append(self->out, start, (size_t)(self->in.at - start));
    if (known) {
        s_write_level(self->out, level);
    }
    self->tag = (self->tag ^ (uint32_t)level) * TAG_PRIME;
    self->any = self->any || known;
    return SOUK_OK;
}

static souk_err_t s_variants(show_t *self) {
    uint32_t count = 0;
    SOUK_TRY(souk_mp_read_array(&self->in, &count));
    souk_mp_write_array(self->out, count);
    for (uint32_t i = 0; i < count; i++) {
        SOUK_TRY(s_variant(self));
    }
    return SOUK_OK;
}

static souk_err_t s_product(show_t *self, uint32_t pairs) {
    for (uint32_t i = 0; i < pairs; i++) {
        souk_str_t name, value;
        const uint8_t *start = self->in.at;
        SOUK_TRY(souk_mp_read_str(&self->in, &name));
        souk_buf_append(self->out, start, (size_t)(self->in.at - start));
        if (souk_str_equal(name, SOUK_STR("variants"))) {
            SOUK_TRY(s_variants(self));
        } else {
            SOUK_TRY(s_value(&self->in, &value));
            souk_buf_append_str(self->out, value);
        }
    }
    return SOUK_OK;
}

souk_err_t catalog_levels_show(const catalog_levels_t *self, souk_str_t document, souk_buf_t *buf) {
    show_t show = {.levels = self, .out = buf, .tag = TAG_START};
    uint32_t pairs = 0;
    size_t at = buf->size;
    souk_mp_cursor_init(&show.in, document.data, document.size);
    SOUK_TRY(souk_mp_read_map(&show.in, &pairs));
    souk_mp_write_map(buf, pairs + 1);
    SOUK_TRY(s_product(&show, pairs));
    if (show.any) {
        char tag[9];
        (void)snprintf(tag, sizeof tag, "%08x", show.tag);
        souk_mp_write_str(buf, SOUK_STR("availability_tag"));
        souk_mp_write_str(buf, souk_str_of(tag));
    } else if (!buf->overflow) { /* then nothing was added: it is the document */
        buf->size = at;
        souk_buf_append_str(buf, document);
    }
    return buf->overflow ? SOUK_ERR_TOO_LARGE : SOUK_OK;
}
