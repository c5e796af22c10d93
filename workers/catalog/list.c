#include "list.h"

#include "cursor.h"
#include "index_impl.h"

static souk_err_t s_fill(const catalog_match_t *match, const catalog_list_request_t *request,
                         const catalog_page_t *page, souk_arena_t *arena, catalog_list_t *ret) {
    catalog_list_t list = {.count = page->count,
                           .total = (int64_t)roaring_bitmap_get_cardinality(match->all)};
    list.data = souk_arena_alloc_array(arena, page->count + 1, sizeof(list.data[0]));
    if (list.data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < page->count; i++) {
        list.data[i] = catalog_item_summary(&match->index->items[page->products[i]]);
    }
    list.revision = souk_arena_printf(arena, "%lld", (long long)match->index->revision);
    if (page->more) {
        catalog_cursor_t cursor = {.place = page->last};
        catalog_match_weights(match, &cursor.weights);
        list.next = catalog_cursor_encode(&cursor, &request->query, request->sort, arena);
    }
    if (souk_arena_overflowed(arena)) {
        return SOUK_ERR_NO_MEMORY;
    }
    *ret = list;
    return SOUK_OK;
}

souk_err_t catalog_list(const catalog_index_t *index, const catalog_list_request_t *request,
                        souk_arena_t *arena, catalog_list_t *ret) {
    catalog_cursor_t after;
    bool has_cursor = request->cursor.size > 0;
    if (has_cursor) {
        SOUK_TRY(
            catalog_cursor_decode(request->cursor, &request->query, request->sort, arena, &after));
    }
    catalog_match_t *match = souk_arena_alloc(arena, sizeof(*match));
    if (match == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    souk_err_t err =
        catalog_match_init(match, index, &request->query, has_cursor ? &after.weights : NULL);
    if (err == SOUK_OK) {
        catalog_page_t page;
        catalog_rank(match, request->sort, has_cursor ? &after.place : NULL, request->limit, &page);
        err = s_fill(match, request, &page, arena, ret);
    }
    catalog_match_done(match);
    return err;
}
