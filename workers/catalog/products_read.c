/* The reads of products. Lists and single products run on the bus thread, which alone changes the
 * index; facets run on a slot and read behind the gate (service.h). */
#include "facet_count.h"
#include "gen/catalog_handlers.h"
#include "index_impl.h"
#include "list.h"
#include "runtime/ctx.h"
#include "service.h"

/* Requests of three types have the same fields with the same names. */
#define S_QUERY_OF(req, prefix)                                                                    \
    {                                                                                              \
        .q = (req)->q, .category = (req)->category, .price_min = (req)->price_min,                 \
        .price_max = (req)->price_max,                                                             \
        .has_price_min = souk_bits_has(&(req)->bits, prefix##_PRICE_MIN_BIT),                      \
        .has_price_max = souk_bits_has(&(req)->bits, prefix##_PRICE_MAX_BIT),                      \
        .options = (req)->option, .attributes = (req)->attribute, .tags = (req)->tag.items,        \
        .tags_count = (req)->tag.count, .statuses = 1u << CATALOG_PRODUCT_STATUS_ACTIVE            \
    }
#define S_LIST_OF(req, prefix)                                                                     \
    {                                                                                              \
        .query = S_QUERY_OF(req, prefix), .sort = (catalog_sort_t)(req)->sort,                     \
        .cursor = (req)->cursor, .limit = (size_t)(req)->limit                                     \
    }

static souk_err_t s_check(souk_ctx_t *ctx, const catalog_query_t *query) {
    if (query->has_price_min && query->has_price_max && query->price_min > query->price_max) {
        return souk_ctx_fail_field(ctx, "price_min", "must not be greater than price_max");
    }
    return SOUK_OK;
}

static souk_err_t s_list(souk_ctx_t *ctx, const catalog_list_request_t *request,
                         catalog_products_list_rep_t *ret_rep) {
    const catalog_index_t *index = catalog_service_index(souk_ctx_service(ctx));
    catalog_list_t list;
    SOUK_TRY(s_check(ctx, &request->query));
    souk_err_t err = catalog_list(index, request, souk_ctx_arena(ctx), &list);
    if (err == SOUK_ERR_MALFORMED) {
        return souk_ctx_fail(
            ctx, err,
            "cursor is not page.next of this list: it goes with the same q, filters and sort");
    }
    SOUK_TRY(err);
    ret_rep->data = (souk_list_t){.items = list.data, .count = list.count};
    souk_bits_set(&ret_rep->bits, CATALOG_PRODUCTS_LIST_REP_DATA_BIT);
    souk_page_set_limit(&ret_rep->page, (int64_t)request->limit);
    souk_page_set_total(&ret_rep->page, list.total);
    souk_page_set_next(&ret_rep->page, list.next);
    if (list.next.data == NULL) {
        souk_bits_set_nil(&ret_rep->page.bits, SOUK_PAGE_NEXT_BIT);
    }
    souk_bits_set(&ret_rep->bits, CATALOG_PRODUCTS_LIST_REP_PAGE_BIT);
    catalog_products_list_rep_set_revision(ret_rep, list.revision);
    return SOUK_OK;
}

souk_err_t catalog_products_list(souk_ctx_t *ctx, const catalog_products_list_req_t *req,
                                 catalog_products_list_rep_t *ret_rep) {
    const catalog_list_request_t request = S_LIST_OF(req, CATALOG_PRODUCTS_LIST_REQ);
    return s_list(ctx, &request, ret_rep);
}

static unsigned s_statuses(const souk_list_t *names, souk_str_t *ret_unknown) {
    const souk_str_t statuses[] = {SOUK_STR("draft"), SOUK_STR("active"), SOUK_STR("archived")};
    const souk_str_t *items = names->items;
    unsigned result = 0;
    for (size_t i = 0; i < names->count; i++) {
        size_t at = 0;
        while (at < SOUK_COUNT_OF(statuses) && !souk_str_equal(statuses[at], items[i])) {
            at++;
        }
        if (at == SOUK_COUNT_OF(statuses)) {
            *ret_unknown = items[i];
            return 0;
        }
        result |= 1u << at;
    }
    return names->count > 0 ? result : CATALOG_STATUSES_ALL;
}

souk_err_t catalog_admin_products_list(souk_ctx_t *ctx,
                                       const catalog_admin_products_list_req_t *req,
                                       catalog_admin_products_list_rep_t *ret_rep) {
    souk_str_t unknown = {0};
    catalog_list_request_t request = S_LIST_OF(req, CATALOG_ADMIN_PRODUCTS_LIST_REQ);
    request.query.statuses = s_statuses(&req->status, &unknown);
    if (unknown.data != NULL) {
        return souk_ctx_fail_field(ctx, "status", "must be draft, active or archived");
    }
    catalog_products_list_rep_t rep = {0};
    SOUK_TRY(s_list(ctx, &request, &rep));
    ret_rep->data = rep.data;
    ret_rep->page = rep.page;
    souk_bits_set(&ret_rep->bits, CATALOG_ADMIN_PRODUCTS_LIST_REP_DATA_BIT);
    souk_bits_set(&ret_rep->bits, CATALOG_ADMIN_PRODUCTS_LIST_REP_PAGE_BIT);
    catalog_admin_products_list_rep_set_revision(ret_rep, rep.revision);
    return SOUK_OK;
}

/* The reply was encoded when the product changed. The public also sees what can be bought; who
 * edits the product sees the record, whose ETag is its version. */
static souk_err_t s_get(souk_ctx_t *ctx, souk_str_t key, bool any_status) {
    catalog_service_t *service = souk_ctx_service(ctx);
    const catalog_index_t *index = catalog_service_index(service);
    uint32_t product = catalog_index_product(index, key);
    if (product == CATALOG_NONE ||
        (!any_status && index->items[product].status != CATALOG_PRODUCT_STATUS_ACTIVE)) {
        return souk_ctx_fail(ctx, SOUK_ERR_NOT_FOUND, "there is no product %.*s", (int)key.size,
                             key.data);
    }
    souk_str_t document = catalog_item_document(&index->items[product]);
    souk_ctx_reply_encoded(ctx, any_status ? document : catalog_service_show(service, document));
    return SOUK_OK;
}

souk_err_t catalog_products_get(souk_ctx_t *ctx, const catalog_products_get_req_t *req,
                                catalog_products_get_rep_t *ret_rep) {
    (void)ret_rep;
    return s_get(ctx, req->key, false);
}

souk_err_t catalog_admin_products_get(souk_ctx_t *ctx, const catalog_admin_products_get_req_t *req,
                                      catalog_admin_products_get_rep_t *ret_rep) {
    (void)ret_rep;
    return s_get(ctx, req->id, true);
}

static souk_err_t s_facets(const catalog_index_t *index, const catalog_query_t *query,
                           souk_arena_t *arena, catalog_products_facets_rep_t *ret_rep) {
    catalog_match_t *match = souk_arena_alloc(arena, sizeof(*match));
    if (match == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    souk_err_t err = catalog_match_init(match, index, query, NULL);
    if (err == SOUK_OK) {
        err = catalog_facet_count(match, arena, ret_rep);
    }
    catalog_match_done(match);
    return err;
}

souk_err_t catalog_products_facets(souk_ctx_t *ctx, const catalog_products_facets_req_t *req,
                                   catalog_products_facets_rep_t *ret_rep) {
    catalog_service_t *service = souk_ctx_service(ctx);
    const catalog_query_t query = S_QUERY_OF(req, CATALOG_PRODUCTS_FACETS_REQ);
    SOUK_TRY(s_check(ctx, &query));
    catalog_read_lock(service);
    souk_err_t err = s_facets(catalog_service_index(service), &query, souk_ctx_arena(ctx), ret_rep);
    catalog_read_unlock(service);
    return err;
}
