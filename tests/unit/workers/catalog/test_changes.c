/* catalog.changes: what a follower is told, page by page, over an index of the test's own in place
 * of the service's. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "gen/catalog_handlers.h"
#include "model.h"
#include "runtime/invoke.h"
#include "service.h"
#include "souk/schema.h"

static catalog_index_t *s_index;
static souk_arena_t *s_arena;
static souk_ctx_t *s_ctx;
static int s_locks;

/* ---- in place of service.c ---- */

const catalog_index_t *catalog_service_index(const catalog_service_t *self) {
    (void)self;
    cr_assert_eq(s_locks, 1, "a slot reads behind the gate");
    return s_index;
}
void catalog_read_lock(catalog_service_t *self) {
    (void)self;
    s_locks++;
}
void catalog_read_unlock(catalog_service_t *self) {
    (void)self;
    s_locks--;
}

/* ---- calls ---- */

static souk_err_t s_run(souk_ctx_t *self, const void *request, void *reply) {
    return catalog_changes(self, request, reply);
}
static const souk_method_t s_method = {.name = "changes",
                                       .request = &catalog_changes_req_type,
                                       .reply = &catalog_changes_rep_type,
                                       .run = s_run,
                                       .memory_bytes_max = 16 << 20,
                                       .reply_bytes_max = 1 << 20};

static void s_changes(int64_t after, int64_t limit, catalog_changes_rep_t *ret_rep) {
    catalog_changes_req_t request = {0};
    souk_buf_t body;
    souk_buf_init(&body, 1 << 16);
    catalog_changes_req_set_after(&request, after);
    catalog_changes_req_set_limit(&request, limit);
    souk_schema_to_mp(s_method.request, &request, &body);
    const souk_req_t req = {.corr = SOUK_STR("c"), .timeout_ms = 1000, .body = souk_buf_str(&body)};
    souk_str_t outcome;
    souk_ctx_begin(s_ctx, &req, INT64_MAX);
    souk_ctx_run(s_ctx, NULL, NULL);
    cr_assert_eq(souk_ctx_outcome(s_ctx, &outcome), SOUK_OK);
    souk_issues_t issues;
    souk_issues_init(&issues);
    *ret_rep = (catalog_changes_rep_t){0};
    cr_assert_eq(souk_schema_from_mp(s_method.reply, souk_arena_copy(s_arena, outcome), s_arena,
                                     ret_rep, &issues),
                 SOUK_OK, "%s %s", issues.items[0].pointer, issues.items[0].reason);
    souk_ctx_end(s_ctx);
    souk_buf_done(&body);
}

static const catalog_change_item_t *s_items(const catalog_changes_rep_t *rep, size_t *ret_count) {
    return catalog_changes_rep_changes(rep, ret_count);
}

static void s_setup(void) {
    s_index = catalog_index_new("EUR");
    catalog_index_set_record(s_index, "0123456789abcdef0123456789abcdef");
    s_arena = souk_arena_new(64 << 20, 0);
    s_ctx = souk_ctx_new(&s_method);
}

static void s_teardown(void) {
    cr_assert_eq(s_locks, 0);
    souk_ctx_destroy(&s_ctx);
    souk_arena_destroy(&s_arena);
    catalog_index_destroy(&s_index);
}

TestSuite(changes, .init = s_setup, .fini = s_teardown);

static bool s_is(souk_str_t text, const char *expected) {
    return souk_str_equal(text, souk_str_of(expected));
}

Test(changes, a_product_is_told_with_all_its_variants) {
    model_product_t product = model_product(1);
    product.variants_count = 2;
    product.variants[1] = (model_variant_t){.sku = "SKU-B", .price = 7, .size = "large"};
    cr_assert_eq(model_apply(s_index, &product), SOUK_OK);
    catalog_changes_rep_t rep;
    size_t count = 0;
    s_changes(0, 500, &rep);
    const catalog_change_item_t *items = s_items(&rep, &count);
    cr_assert_eq(count, 1);
    cr_assert(s_is(items[0].product_id, product.id) && items[0].revision == 1);
    cr_assert(items[0].active && !items[0].deleted);
    cr_assert(s_is(items[0].slug, product.slug) && s_is(items[0].name, product.name));
    cr_assert(s_is(items[0].tax_category, "standard"), "a record from before there was one");
    const catalog_change_variant_t *variants = catalog_change_item_variants(&items[0], &count);
    cr_assert_eq(count, 2);
    cr_assert(s_is(variants[1].sku, "SKU-B") && s_is(variants[1].variant_id, "var_SKU-B"));
    cr_assert(variants[1].price == 7 && s_is(variants[1].currency, "EUR"));
    cr_assert(variants[1].option_values.count == 1 &&
              s_is(variants[1].option_values.items[0].value, "large"));
    cr_assert(!rep.more && rep.next == 1 && rep.revision == 1);
    cr_assert(s_is(rep.record, "0123456789abcdef0123456789abcdef"));
}

Test(changes, a_product_comes_once_at_its_newest_revision_and_a_deleted_one_too) {
    model_product_t products[3];
    for (int i = 0; i < 3; i++) {
        products[i] = model_product(i);
        cr_assert_eq(model_apply(s_index, &products[i]), SOUK_OK);
    }
    products[1].status = CATALOG_PRODUCT_STATUS_DRAFT;
    model_put(s_index, &products[1]);
    products[0].deleted = true;
    model_put(s_index, &products[0]);
    catalog_changes_rep_t rep;
    size_t count = 0;
    s_changes(0, 500, &rep);
    const catalog_change_item_t *items = s_items(&rep, &count);
    cr_assert_eq(count, 3);
    cr_assert(items[0].revision == 3 && items[1].revision == 4 && items[2].revision == 5);
    cr_assert(s_is(items[1].product_id, products[1].id) && !items[1].active && !items[1].deleted);
    cr_assert(s_is(items[2].product_id, products[0].id) && !items[2].active && items[2].deleted);
    cr_assert_eq(items[2].variants.count, 0);
    s_changes(4, 500, &rep);
    (void)s_items(&rep, &count);
    cr_assert_eq(count, 1);
    products[0].deleted = false;
    model_put(s_index, &products[0]);
    s_changes(4, 500, &rep);
    items = s_items(&rep, &count);
    cr_assert(count == 1 && items[0].active && items[0].revision == 6);
}

/* Whatever the order in which a scan of the record brings its revisions. */
Test(changes, an_older_revision_that_comes_late_moves_nothing) {
    model_product_t product = model_product(1);
    product.version = 2;
    cr_assert_eq(model_apply(s_index, &product), SOUK_OK);
    product.version = 1;
    cr_assert_eq(model_apply(s_index, &product), SOUK_OK);
    catalog_changes_rep_t rep;
    size_t count = 0;
    s_changes(0, 500, &rep);
    const catalog_change_item_t *items = s_items(&rep, &count);
    cr_assert(count == 1 && items[0].revision == 1 && rep.revision == 2 && rep.next == 2);
}

Test(changes, pages_join_without_gap_while_products_change) {
    enum { PRODUCTS = 25 };
    model_product_t products[PRODUCTS];
    for (int i = 0; i < PRODUCTS; i++) {
        products[i] = model_product(i);
        cr_assert_eq(model_apply(s_index, &products[i]), SOUK_OK);
    }
    int64_t seen[PRODUCTS] = {0}, after = 0;
    catalog_changes_rep_t rep;
    int pages = 0;
    do {
        size_t count = 0;
        s_changes(after, 4, &rep);
        const catalog_change_item_t *items = s_items(&rep, &count);
        for (size_t i = 0; i < count; i++) {
            for (int p = 0; p < PRODUCTS; p++) {
                seen[p] = s_is(items[i].product_id, products[p].id) ? items[i].revision : seen[p];
            }
            cr_assert_gt(items[i].revision, after);
            after = items[i].revision;
        }
        cr_assert(!rep.more || rep.next == after);
        after = rep.next;
        if (pages++ < 5) { /* one that was told already, one that was not */
            model_put(s_index, &products[pages]);
            model_put(s_index, &products[PRODUCTS - pages]);
        }
    } while (rep.more);
    cr_assert_eq(after, catalog_index_revision(s_index));
    for (int p = 0; p < PRODUCTS; p++) {
        catalog_entity_t entity;
        cr_assert(
            catalog_index_entity(s_index, CATALOG_PRODUCT, souk_str_of(products[p].id), &entity));
        cr_assert_eq(seen[p], entity.revision);
    }
}

static bool s_count(void *arg, const catalog_change_t *change) {
    (void)change;
    return ++*(int *)arg < 3;
}

Test(changes, a_poll_visits_nothing_that_is_not_new) {
    for (int i = 0; i < 2000; i++) {
        model_product_t product = model_product(i);
        cr_assert_eq(model_apply(s_index, &product), SOUK_OK);
    }
    int visited = 0;
    catalog_index_each_since(s_index, 2000, s_count, &visited);
    cr_assert_eq(visited, 0);
    catalog_index_each_since(s_index, INT64_MAX, s_count, &visited);
    cr_assert_eq(visited, 0);
    catalog_index_each_since(s_index, 1998, s_count, &visited);
    cr_assert_eq(visited, 2);
    catalog_index_each_since(s_index, 0, s_count, &visited);
    cr_assert_eq(visited, 3, "and ends when it is told to");
}

Test(changes, a_page_of_large_products_stays_within_the_reply) {
    enum { PRODUCTS = 120 };
    souk_arena_t *scratch = souk_arena_new(16 << 20, 0);
    char text[8001];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < PRODUCTS; i++) {
        model_product_t product = model_product(i);
        catalog_product_t whole = {0};
        souk_issues_t issues;
        souk_issues_init(&issues);
        souk_arena_reset(scratch);
        cr_assert_eq(souk_schema_from_mp(&catalog_product_type,
                                         model_document(&product, i + 1, scratch), scratch, &whole,
                                         &issues),
                     SOUK_OK);
        catalog_product_set_description(&whole, souk_str_of(text));
        souk_buf_t buf;
        souk_buf_init(&buf, 1 << 20);
        souk_schema_to_mp(&catalog_product_type, &whole, &buf);
        cr_assert_eq(
            catalog_index_apply(s_index, &(catalog_change_t){.revision = i + 1,
                                                             .kind = CATALOG_PRODUCT,
                                                             .entity_id = souk_str_of(product.id),
                                                             .version = 1,
                                                             .document = souk_buf_str(&buf)}),
            SOUK_OK);
        souk_buf_done(&buf);
    }
    catalog_changes_rep_t rep;
    size_t count = 0, seen = 0;
    int64_t after = 0;
    do {
        s_changes(after, 500, &rep);
        (void)s_items(&rep, &count);
        cr_assert(count > 0 && count < PRODUCTS);
        seen += count;
        after = rep.next;
    } while (rep.more);
    cr_assert_eq(seen, PRODUCTS);
    souk_arena_destroy(&scratch);
}
