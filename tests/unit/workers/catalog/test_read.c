/* The read handlers through decode, handler and encode, over an index of the test's own in place of
 * the service's. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "gen/catalog_handlers.h"
#include "index_impl.h"
#include "model.h"
#include "runtime/invoke.h"
#include "service.h"
#include "souk/schema.h"

static catalog_index_t *index_;
static int locks; /* held now */
static int shows; /* products that the public was shown */
static souk_arena_t *arena;
static souk_ctx_t *ctx;
static size_t detail_size; /* of the last call's error */

/* ---- in place of service.c ---- */

const catalog_index_t *catalog_service_index(const catalog_service_t *self) {
    (void)self;
    return index_;
}
souk_str_t catalog_service_show(catalog_service_t *self, souk_str_t document) {
    (void)self;
    shows++;
    return document;
}
void catalog_read_lock(catalog_service_t *self) {
    (void)self;
    locks++;
}
void catalog_read_unlock(catalog_service_t *self) {
    (void)self;
    locks--;
    /* From here on the index may change: what a reply still points to must not be in it. */
    catalog_index_destroy(&index_);
}

/* ---- calls ---- */

#define S_THUNK(method)                                                                            \
    static souk_err_t s_run_##method(souk_ctx_t *self, const void *request, void *reply) {         \
        return catalog_##method(self, request, reply);                                             \
    }                                                                                              \
    static const souk_method_t s_##method = {.name = #method,                                      \
                                             .request = &catalog_##method##_req_type,              \
                                             .reply = &catalog_##method##_rep_type,                \
                                             .run = s_run_##method,                                \
                                             .memory_bytes_max = 4 << 20,                          \
                                             .reply_bytes_max = 1 << 20};
S_THUNK(products_list)
S_THUNK(products_facets)
S_THUNK(products_get)
S_THUNK(categories_list)
S_THUNK(categories_get)
S_THUNK(admin_products_list)
S_THUNK(admin_products_get)

static souk_err_t s_call(const souk_method_t *method, const void *request, void *ret_reply) {
    souk_buf_t body;
    souk_buf_init(&body, 1 << 16);
    souk_schema_to_mp(method->request, request, &body);
    const souk_req_t req = {.corr = SOUK_STR("c"), .timeout_ms = 1000, .body = souk_buf_str(&body)};
    souk_str_t outcome;
    souk_ctx_destroy(&ctx);
    ctx = souk_ctx_new(method);
    souk_ctx_begin(ctx, &req, INT64_MAX);
    souk_ctx_run(ctx, NULL, NULL);
    souk_err_t err = souk_ctx_outcome(ctx, &outcome);
    detail_size = souk_ctx_detail(ctx).size;
    if (err == SOUK_OK) {
        souk_issues_t issues;
        souk_issues_init(&issues);
        cr_assert_eq(souk_schema_from_mp(method->reply, souk_arena_copy(arena, outcome), arena,
                                         ret_reply, &issues),
                     SOUK_OK, "%s %s", issues.items[0].pointer, issues.items[0].reason);
    }
    souk_ctx_end(ctx);
    souk_buf_done(&body);
    return err;
}

static void s_setup(void) {
    index_ = catalog_index_new("EUR");
    arena = souk_arena_new(16 << 20, 0);
    model_category(index_, "cat_top", NULL, 1, 1);
    model_category(index_, "cat_middle", "cat_top", 1, 1);
    model_category(index_, "cat_leaf", "cat_middle", 1, 1);
    for (int i = 0; i < 30; i++) {
        model_product_t product = model_product(i);
        product.status = i < 20 ? CATALOG_PRODUCT_STATUS_ACTIVE : CATALOG_PRODUCT_STATUS_DRAFT;
        product.categories[0] = i % 2 == 0 ? "cat_leaf" : "cat_top";
        product.tags[0] = "new-in";
        product.material = i % 3 == 0 ? "oak" : "walnut";
        cr_assert_eq(model_apply(index_, &product), SOUK_OK);
    }
}

static void s_teardown(void) {
    souk_ctx_destroy(&ctx);
    souk_arena_destroy(&arena);
    catalog_index_destroy(&index_);
}

TestSuite(read, .init = s_setup, .fini = s_teardown);

static bool s_is(souk_str_t text, const char *expected) {
    return souk_str_equal(text, souk_str_of(expected));
}

Test(read, the_public_list_shows_active_products_page_by_page) {
    catalog_products_list_req_t req = {0};
    souk_str_t next = {0};
    size_t seen = 0;
    do {
        catalog_products_list_rep_t rep = {0};
        catalog_products_list_req_set_limit(&req, 7);
        if (next.size > 0) {
            catalog_products_list_req_set_cursor(&req, next);
        }
        cr_assert_eq(s_call(&s_products_list, &req, &rep), SOUK_OK);
        cr_assert_eq(rep.page.total, 20);
        cr_assert_eq(rep.page.limit, 7);
        cr_assert(s_is(rep.revision, "33"));
        seen += rep.data.count;
        cr_assert_eq(souk_bits_nil(&rep.page.bits, SOUK_PAGE_NEXT_BIT), seen == 20);
        next = souk_bits_nil(&rep.page.bits, SOUK_PAGE_NEXT_BIT) ? (souk_str_t){0} : rep.page.next;
    } while (next.size > 0);
    cr_assert_eq(seen, 20);
}

Test(read, the_list_has_defaults_and_says_what_is_wrong) {
    catalog_products_list_req_t req = {0};
    catalog_products_list_rep_t rep = {0};
    cr_assert_eq(s_call(&s_products_list, &req, &rep), SOUK_OK);
    cr_assert_eq(rep.page.limit, 24);
    catalog_products_list_req_set_price_min(&req, 5);
    catalog_products_list_req_set_price_max(&req, 4);
    cr_assert_eq(s_call(&s_products_list, &req, &rep), SOUK_ERR_VALIDATION);
    req = (catalog_products_list_req_t){0};
    catalog_products_list_req_set_cursor(&req, SOUK_STR("made-up"));
    cr_assert_eq(s_call(&s_products_list, &req, &rep), SOUK_ERR_MALFORMED);
    cr_assert_gt(detail_size, 0);
    req = (catalog_products_list_req_t){0};
    catalog_products_list_req_set_category(&req, SOUK_STR("nowhere"));
    cr_assert_eq(s_call(&s_products_list, &req, &rep), SOUK_OK);
    cr_assert_eq(rep.page.total, 0);
}

Test(read, the_admin_list_shows_any_status) {
    catalog_admin_products_list_req_t req = {0};
    catalog_admin_products_list_rep_t rep = {0};
    cr_assert_eq(s_call(&s_admin_products_list, &req, &rep), SOUK_OK);
    cr_assert_eq(rep.page.total, 30);
    catalog_admin_products_list_req_new_status(&req, arena, 1)[0] = SOUK_STR("draft");
    cr_assert_eq(s_call(&s_admin_products_list, &req, &rep), SOUK_OK);
    cr_assert_eq(rep.page.total, 10);
    catalog_admin_products_list_req_new_status(&req, arena, 1)[0] = SOUK_STR("gone");
    cr_assert_eq(s_call(&s_admin_products_list, &req, &rep), SOUK_ERR_VALIDATION);
}

Test(read, a_product_is_read_by_id_and_slug_and_hidden_while_it_is_a_draft) {
    catalog_products_get_req_t req = {0};
    catalog_products_get_rep_t rep = {0};
    const model_product_t product = model_product(3), draft = model_product(25);
    catalog_products_get_req_set_key(&req, souk_str_of(product.id));
    cr_assert_eq(s_call(&s_products_get, &req, &rep), SOUK_OK);
    cr_assert(s_is(rep.slug, "product-3") && rep.version == 1);
    catalog_products_get_req_set_key(&req, SOUK_STR("product-3"));
    cr_assert_eq(s_call(&s_products_get, &req, &rep), SOUK_OK);
    cr_assert(s_is(rep.id, product.id));
    catalog_products_get_req_set_key(&req, SOUK_STR("product-25"));
    cr_assert_eq(s_call(&s_products_get, &req, &rep), SOUK_ERR_NOT_FOUND);
    catalog_products_get_req_set_key(&req, SOUK_STR("nothing"));
    cr_assert_eq(s_call(&s_products_get, &req, &rep), SOUK_ERR_NOT_FOUND);
    catalog_admin_products_get_req_t admin = {0};
    catalog_admin_products_get_rep_t found = {0};
    catalog_admin_products_get_req_set_id(&admin, souk_str_of(draft.id));
    cr_assert_eq(s_call(&s_admin_products_get, &admin, &found), SOUK_OK);
    cr_assert_eq(found.status, CATALOG_PRODUCT_STATUS_DRAFT);
    cr_assert_eq(shows, 2, "who edits sees the record");
}

Test(read, facets_are_labelled_in_order_and_outlive_the_lock) {
    catalog_products_facets_req_t req = {0};
    catalog_products_facets_rep_t rep = {0};
    cr_assert_eq(s_call(&s_products_facets, &req, &rep), SOUK_OK);
    cr_assert_eq(locks, 0);
    cr_assert_null(index_);
    size_t count = 0, values_count = 0;
    const catalog_facet_t *facets = catalog_products_facets_rep_facets(&rep, &count);
    cr_assert_eq(count, 3);
    cr_assert(s_is(facets[0].name, "category") && s_is(facets[1].name, "tag") &&
              s_is(facets[2].name, "attribute.material"));
    const catalog_facet_value_t *values = catalog_facet_values(&facets[0], &values_count);
    cr_assert(values_count == 3 && s_is(values[0].value, "slug-cat_top") &&
              s_is(values[0].label, "Name cat_top"));
    cr_assert(values[0].count == 20 && values[1].count == 10 && values[2].count == 10);
    cr_assert(s_is(values[1].value, "slug-cat_leaf") && s_is(values[2].value, "slug-cat_middle"));
    values = catalog_facet_values(&facets[1], &values_count);
    cr_assert(values_count == 1 && s_is(values[0].value, "new-in") &&
              s_is(values[0].label, "New in") && values[0].count == 20);
    values = catalog_facet_values(&facets[2], &values_count);
    cr_assert(values_count == 2 && s_is(values[0].value, "walnut") &&
              s_is(values[0].label, "Walnut") && values[0].count == 13);
    cr_assert(rep.total == 20 && rep.price_min.amount == 1000 && rep.price_max.amount == 1019 &&
              s_is(rep.price_min.currency, "EUR"));
}

Test(read, facets_of_nothing_have_no_prices) {
    catalog_products_facets_req_t req = {0};
    catalog_products_facets_rep_t rep = {0};
    catalog_products_facets_req_set_q(&req, SOUK_STR("nowhere"));
    cr_assert_eq(s_call(&s_products_facets, &req, &rep), SOUK_OK);
    cr_assert(rep.total == 0 && rep.facets.count == 0);
    cr_assert(souk_bits_nil(&rep.bits, CATALOG_PRODUCTS_FACETS_REP_PRICE_MIN_BIT));
}

Test(read, facets_list_the_hundred_that_most_products_have) {
    char names[150][8];
    souk_pair_t pairs[2];
    for (int i = 0; i < 150; i++) { /* property i on two products when i >= 100, else on one */
        snprintf(names[i], sizeof names[i], "p%03d", i);
    }
    for (int i = 0; i < 300; i++) {
        model_product_t product = model_product(1000 + i);
        souk_arena_t *scratch = souk_arena_new(1 << 20, 0);
        catalog_product_t whole = {0};
        souk_issues_t issues;
        souk_issues_init(&issues);
        int property = i < 150 ? i : i - 150;
        if (i >= 150 && property < 100) {
            souk_arena_destroy(&scratch);
            continue;
        }
        cr_assert_eq(souk_schema_from_mp(&catalog_product_type,
                                         model_document(&product, 1, scratch), scratch, &whole,
                                         &issues),
                     SOUK_OK);
        pairs[0] = (souk_pair_t){.name = souk_str_of(names[property]), .value = SOUK_STR("yes")};
        catalog_product_set_attributes(&whole, (souk_pairs_t){.items = pairs, .count = 1});
        souk_buf_t buf;
        souk_buf_init(&buf, 1 << 20);
        souk_schema_to_mp(&catalog_product_type, &whole, &buf);
        const catalog_change_t change = {.revision = 1000 + i,
                                         .kind = CATALOG_PRODUCT,
                                         .entity_id = souk_str_of(product.id),
                                         .version = 1,
                                         .document = souk_buf_str(&buf)};
        cr_assert_eq(catalog_index_apply(index_, &change), SOUK_OK);
        souk_buf_done(&buf);
        souk_arena_destroy(&scratch);
    }
    catalog_products_facets_req_t req = {0};
    catalog_products_facets_rep_t rep = {0};
    cr_assert_eq(s_call(&s_products_facets, &req, &rep), SOUK_OK);
    size_t count = 0;
    const catalog_facet_t *facets = catalog_products_facets_rep_facets(&rep, &count);
    cr_assert_eq(count, 100);
    cr_assert(s_is(facets[0].name, "category") && s_is(facets[1].name, "tag") &&
              s_is(facets[2].name, "attribute.material"));
    cr_assert(s_is(facets[3].name, "attribute.p000") && s_is(facets[49].name, "attribute.p046"));
    cr_assert(s_is(facets[50].name, "attribute.p100") && s_is(facets[99].name, "attribute.p149"));
}

Test(read, facet_values_are_the_two_hundred_most_frequent_then_by_value) {
    char value[16];
    for (int i = 0; i < 600; i++) {               /* v000 .. v299; from v250 on twice */
        int number = i < 300 ? 299 - i : i - 300; /* the first by value come last */
        model_product_t product = model_product(1000 + i);
        snprintf(value, sizeof value, "v%03d", number);
        product.brand = value;
        if (i < 300 || number >= 250) {
            cr_assert_eq(model_apply(index_, &product), SOUK_OK);
        }
    }
    catalog_products_facets_req_t req = {0};
    catalog_products_facets_rep_t rep = {0};
    cr_assert_eq(s_call(&s_products_facets, &req, &rep), SOUK_OK);
    size_t count = 0;
    const catalog_facet_t *facets = catalog_products_facets_rep_facets(&rep, &count);
    cr_assert(s_is(facets[2].name, "attribute.brand"));
    const catalog_facet_value_t *values = catalog_facet_values(&facets[2], &count);
    cr_assert_eq(count, 200);
    cr_assert(s_is(values[0].value, "v250") && values[0].count == 2 &&
              s_is(values[49].value, "v299"));
    cr_assert(s_is(values[50].value, "v000") && values[50].count == 1 &&
              s_is(values[199].value, "v149"));
}

Test(read, categories_come_as_a_tree_and_one_with_its_family) {
    catalog_categories_list_req_t list_req = {0};
    catalog_categories_list_rep_t list = {0};
    cr_assert_eq(s_call(&s_categories_list, &list_req, &list), SOUK_OK);
    cr_assert_eq(list.data.count, 3);
    catalog_categories_get_req_t req = {0};
    catalog_categories_get_rep_t rep = {0};
    catalog_categories_get_req_set_key(&req, SOUK_STR("slug-cat_middle"));
    cr_assert_eq(s_call(&s_categories_get, &req, &rep), SOUK_OK);
    size_t count = 0;
    cr_assert(s_is(rep.category.id, "cat_middle") && rep.category.depth == 1 &&
              rep.category.products_count == 10);
    const catalog_category_t *ancestors = catalog_categories_get_rep_ancestors(&rep, &count);
    cr_assert(count == 1 && s_is(ancestors[0].id, "cat_top") && ancestors[0].products_count == 20);
    const catalog_category_t *children = catalog_categories_get_rep_children(&rep, &count);
    cr_assert(count == 1 && s_is(children[0].id, "cat_leaf") && children[0].depth == 2);
    cr_assert(rep.version == 1 && s_is(rep.revision, "33"));
    catalog_categories_get_req_set_key(&req, SOUK_STR("cat_nowhere"));
    cr_assert_eq(s_call(&s_categories_get, &req, &rep), SOUK_ERR_NOT_FOUND);
}
