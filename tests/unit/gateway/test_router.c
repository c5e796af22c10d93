#include <criterion/criterion.h>

#include "gateway/router.h"

static const souk_route_t s_list = {.verb = "GET", .path = "/v1/products"};
static const souk_route_t s_facets = {.verb = "GET", .path = "/v1/products/facets"};
static const souk_route_t s_get = {.verb = "GET", .path = "/v1/products/{key}"};
static const souk_route_t s_update = {.verb = "PATCH", .path = "/v1/products/{id}"};
static const souk_route_t s_history = {.verb = "GET", .path = "/v1/products/{id}/revisions"};
static const souk_route_t s_facet_x = {.verb = "GET", .path = "/v1/products/facets/x"};
static const souk_route_t s_two = {.verb = "POST", .path = "/v1/{a}/items/{b}"};
static const int s_root = 1;

static souk_router_t *s_router;

static void s_setup(void) {
    static const souk_route_t *const all[] = {&s_list,    &s_facets,  &s_get, &s_update,
                                              &s_history, &s_facet_x, &s_two};
    s_router = souk_router_new();
    for (size_t i = 0; i < SOUK_COUNT_OF(all); i++) {
        souk_router_add(s_router, all[i]->verb, all[i]->path, all[i], NULL);
    }
    souk_router_add(s_router, "GET", "/", NULL, &s_root);
}

static void s_teardown(void) {
    souk_router_destroy(&s_router);
}

TestSuite(router, .init = s_setup, .fini = s_teardown);

static const souk_route_t *s_route(souk_http_method_t method, const char *path,
                                   souk_router_match_t *match) {
    bool found = souk_router_match(s_router, method, souk_str_of(path), match);
    return found && match->entry != NULL ? match->entry->route : NULL;
}

Test(router, static_segments_win_and_backtrack) {
    souk_router_match_t match;
    cr_assert_eq(s_route(SOUK_HTTP_GET, "/v1/products", &match), &s_list);
    cr_assert_eq(s_route(SOUK_HTTP_GET, "/v1/products/facets", &match), &s_facets);
    cr_assert_eq(s_route(SOUK_HTTP_GET, "/v1/products/facets/x", &match), &s_facet_x);
    cr_assert_eq(s_route(SOUK_HTTP_GET, "/v1/products/facets/revisions", &match), &s_history);
    cr_assert(souk_str_equal(match.values[0], SOUK_STR("facets")));
    cr_assert_eq(s_route(SOUK_HTTP_POST, "/v1/products/items/7", &match), &s_two);
    cr_assert(souk_str_equal(match.values[0], SOUK_STR("products")));
    cr_assert(souk_str_equal(match.values[1], SOUK_STR("7")));
    cr_assert(souk_router_match(s_router, SOUK_HTTP_GET, SOUK_STR("/"), &match));
    cr_assert_eq(match.entry->local, &s_root);
}

Test(router, names_parameters_by_the_method_s_own_template) {
    souk_router_match_t match;
    cr_assert_eq(s_route(SOUK_HTTP_GET, "/v1/products/a", &match), &s_get);
    cr_assert_eq(match.entry->params_count, 1);
    cr_assert(souk_str_equal(match.entry->params[0], SOUK_STR("key")));
    cr_assert_eq(s_route(SOUK_HTTP_PATCH, "/v1/products/a", &match), &s_update);
    cr_assert(souk_str_equal(match.entry->params[0], SOUK_STR("id")));
}

Test(router, knows_what_a_path_allows) {
    souk_router_match_t match;
    cr_assert_eq(s_route(SOUK_HTTP_HEAD, "/v1/products/a", &match), &s_get);
    cr_assert(souk_router_match(s_router, SOUK_HTTP_DELETE, SOUK_STR("/v1/products/a"), &match));
    cr_assert_null(match.entry);
    cr_assert_str_eq(match.allow, "GET, HEAD, PATCH, OPTIONS");
    cr_assert(souk_router_match(s_router, SOUK_HTTP_HEAD, SOUK_STR("/v1/x/items/y"), &match));
    cr_assert_null(match.entry);
    cr_assert_str_eq(match.allow, "POST, OPTIONS");
}

Test(router, finds_nothing_where_nothing_is) {
    souk_router_match_t match;
    const char *paths[] = {"/v1",
                           "/v1/",
                           "/v1/products/",
                           "//v1/products",
                           "/v1//products",
                           "/v1/products/a/b",
                           "/V1/products",
                           "/v1/products/../products",
                           "",
                           "*",
                           "/v1/products//revisions",
                           "/x"};
    for (size_t i = 0; i < SOUK_COUNT_OF(paths); i++) {
        cr_assert_not(souk_router_match(s_router, SOUK_HTTP_GET, souk_str_of(paths[i]), &match),
                      "%s", paths[i]);
    }
}

Test(router, decodes_segments_after_splitting) {
    souk_router_match_t match;
    cr_assert_eq(s_route(SOUK_HTTP_GET, "/v1/%70roducts/%66acets", &match), &s_facets);
    cr_assert_eq(s_route(SOUK_HTTP_GET, "/v1/products/facets%2Fx", &match), &s_get);
    cr_assert(souk_str_equal(match.values[0], SOUK_STR("facets%2Fx")));
    cr_assert_eq(s_route(SOUK_HTTP_GET, "/v1/%7product", &match), NULL);
}

static void s_decodes(const char *text, bool plus, const char *expected) {
    char out[64];
    size_t size = 99;
    bool ok = souk_http_decode(souk_str_of(text), plus, out, &size);
    cr_assert_eq(ok, expected != NULL, "%s", text);
    if (expected != NULL) {
        cr_assert(souk_str_equal((souk_str_t){out, size}, souk_str_of(expected)), "%s", text);
    }
}

Test(router, decodes_strictly) {
    s_decodes("a%20b+c", false, "a b+c");
    s_decodes("a%20b+c%2B", true, "a b c+");
    s_decodes("%C3%a9", false, "\xc3\xa9");
    s_decodes("", false, "");
    s_decodes("%", false, NULL);
    s_decodes("%2", false, NULL);
    s_decodes("%2g", false, NULL);
    s_decodes("%+2", false, NULL);
    s_decodes("%00", false, NULL);
    s_decodes("%0a", false, NULL);
    s_decodes("%7F", false, NULL);
}
