/* The reads of categories, on the bus thread. */
#include "category_tree.h"
#include "gen/catalog_handlers.h"
#include "index_impl.h"
#include "runtime/ctx.h"
#include "service.h"
#include "souk/schema.h"

#define ANCESTORS_MAX 16
#define CHILDREN_MAX 1000
#define LIST_MAX 10000

souk_err_t catalog_categories_list(souk_ctx_t *ctx, const catalog_categories_list_req_t *req,
                                   catalog_categories_list_rep_t *ret_rep) {
    (void)req;
    const catalog_index_t *index = catalog_service_index(souk_ctx_service(ctx));
    souk_arena_t *arena = souk_ctx_arena(ctx);
    const catalog_tree_t *tree = &index->tree;
    size_t capacity = tree->count < LIST_MAX ? tree->count : LIST_MAX;
    uint32_t *nodes = souk_arena_alloc_array(arena, capacity + 1, sizeof(nodes[0]));
    if (nodes == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    size_t count = catalog_tree_walk(tree, nodes, capacity);
    souk_str_t *data = catalog_categories_list_rep_new_data(ret_rep, arena, count);
    if (data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        data[i] = catalog_tree_encoded(tree, nodes[i]);
    }
    catalog_categories_list_rep_set_revision(
        ret_rep, souk_arena_printf(arena, "%lld", (long long)index->revision));
    return SOUK_OK;
}

static souk_err_t s_decode(const catalog_tree_t *tree, uint32_t node, souk_arena_t *arena,
                           catalog_category_t *ret) {
    souk_issues_t issues;
    souk_issues_init(&issues);
    return souk_schema_from_mp(&catalog_category_type, catalog_tree_encoded(tree, node), arena, ret,
                               &issues);
}

static souk_err_t s_ancestors(const catalog_tree_t *tree, uint32_t node, souk_arena_t *arena,
                              catalog_categories_get_rep_t *ret_rep) {
    uint32_t path[ANCESTORS_MAX];
    size_t count = 0;
    for (uint32_t at = catalog_tree_parent(tree, node); at != CATALOG_NONE && count < ANCESTORS_MAX;
         at = catalog_tree_parent(tree, at)) {
        path[count++] = at;
    }
    catalog_category_t *ancestors = catalog_categories_get_rep_new_ancestors(ret_rep, arena, count);
    if (ancestors == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        SOUK_TRY(s_decode(tree, path[count - 1 - i], arena, &ancestors[i]));
    }
    return SOUK_OK;
}

souk_err_t catalog_categories_get(souk_ctx_t *ctx, const catalog_categories_get_req_t *req,
                                  catalog_categories_get_rep_t *ret_rep) {
    const catalog_index_t *index = catalog_service_index(souk_ctx_service(ctx));
    souk_arena_t *arena = souk_ctx_arena(ctx);
    const catalog_tree_t *tree = &index->tree;
    uint32_t node = catalog_tree_find_any(tree, req->key);
    if (node == CATALOG_NONE) {
        return souk_ctx_fail(ctx, SOUK_ERR_NOT_FOUND, "there is no category %.*s",
                             (int)req->key.size, req->key.data);
    }
    SOUK_TRY(s_decode(tree, node, arena, &ret_rep->category));
    souk_bits_set(&ret_rep->bits, CATALOG_CATEGORIES_GET_REP_CATEGORY_BIT);
    SOUK_TRY(s_ancestors(tree, node, arena, ret_rep));
    const catalog_nodes_t *list = &tree->nodes[node].children;
    size_t count = list->count < CHILDREN_MAX ? list->count : CHILDREN_MAX;
    catalog_category_t *children = catalog_categories_get_rep_new_children(ret_rep, arena, count);
    if (children == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        SOUK_TRY(s_decode(tree, list->nodes[i], arena, &children[i]));
    }
    catalog_categories_get_rep_set_version(ret_rep, tree->nodes[node].version);
    catalog_categories_get_rep_set_revision(
        ret_rep, souk_arena_printf(arena, "%lld", (long long)index->revision));
    return SOUK_OK;
}
