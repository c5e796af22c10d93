/* The formats of strings, through a parameter of each format. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "schema_thing.h"

typedef struct {
    souk_bits_t bits;
    souk_str_t text;
} text_t;

static bool s_has_format(souk_format_t format, souk_str_t text) {
    souk_field_t field = {.name = "text",
                          .name_size = 4,
                          .offset = offsetof(text_t, text),
                          .kind = SOUK_KIND_STR,
                          .source = SOUK_SOURCE_QUERY,
                          .max = 100000,
                          .format = (uint8_t)format,
                          .format_arg = "prod_"};
    souk_type_t type = {
        .name = "text", .fields = &field, .struct_bytes = sizeof(text_t), .fields_count = 1};
    souk_arena_t *arena = souk_arena_new(1024, 0);
    souk_issues_t issues;
    text_t value = {0};
    souk_issues_init(&issues);
    souk_err_t err =
        souk_schema_from_text(&type, &field, SOUK_STR(""), text, arena, &value, &issues);
    souk_arena_destroy(&arena);
    cr_assert_eq(err == SOUK_OK, issues.count == 0);
    cr_assert_eq(value.text.data != NULL, err == SOUK_OK);
    return err == SOUK_OK;
}

static void s_expect(souk_format_t format, const char *const *good, const char *const *bad) {
    for (; *good != NULL; good++) {
        cr_assert(s_has_format(format, souk_str_of(*good)), "good: %s", *good);
    }
    for (; *bad != NULL; bad++) {
        cr_assert(!s_has_format(format, souk_str_of(*bad)), "bad: %s", *bad);
    }
}
#define S_LIST(...)                                                                                \
    (const char *const[]) {                                                                        \
        __VA_ARGS__, NULL                                                                          \
    }

Test(schema_format, slug) {
    s_expect(SOUK_FORMAT_SLUG, S_LIST("a", "0", "walnut-board", "a-1-b-2", "42"),
             S_LIST("-", "-a", "a-", "a--b", "A", "a_b", "a b", "a.b", "caf\xc3\xa9",
                    "prod_01JD3YV4M8Q6T0R7ZK5N2X9W1B", "a\n"));
}

Test(schema_format, sku) {
    s_expect(SOUK_FORMAT_SKU, S_LIST("A", "WSB-L", "a.b_c-1", "-", "."),
             S_LIST("A B", "A/B", "\xc3\xa9", "A\t", "A,B"));
}

Test(schema_format, currency) {
    s_expect(SOUK_FORMAT_CURRENCY, S_LIST("EUR", "USD"),
             S_LIST("EU", "EURO", "eur", "E1R", "EU ", "E\xc3\x89"));
}

Test(schema_format, id) {
    s_expect(SOUK_FORMAT_ID, S_LIST("prod_01JD3YV4M8Q6T0R7ZK5N2X9W1B"),
             S_LIST("prod_", "01JD3YV4M8Q6T0R7ZK5N2X9W1B", "prod_01jd3yv4m8q6t0r7zk5n2x9w1b",
                    "cat_01JD3YV4M8Q6T0R7ZK5N2X9W1B", "prod_81JD3YV4M8Q6T0R7ZK5N2X9W1B"));
}

Test(schema_format, token) {
    s_expect(SOUK_FORMAT_TOKEN, S_LIST("a", "!~", "abc=/+\"\\"),
             S_LIST("a b", "a\t", "\x7f", "\xc3\xa9", "a\n"));
}

Test(schema_format, url) {
    s_expect(SOUK_FORMAT_URL,
             S_LIST("/", "/media/a.svg", "/a?b=c#d", "/a%20b", "http://a", "https://example.com",
                    "https://example.com/", "https://example.com:8080/a/b?c=d&e=f#g",
                    "http://127.0.0.1:1/", "http://[::1]/x", "http://[2001:db8::1]:443",
                    "https://a-b.example.com?x", "http://localhost#y", "/a@b:c;d,e!$&'()*+~"),
             S_LIST("a", "//evil.example", "ftp://a", "javascript:alert(1)", "http:", "http://",
                    "http:///a", "https://?x", "HTTP://a", "http://a b", "/a b", "/a\\b", "/a\"b",
                    "/a<b>", "/%", "/%4", "/%4g", "http://user@host/", "http://user:pw@host",
                    "http://a:", "http://a:0", "http://a:65536", "http://a:123456", "http://a:8x",
                    "http://[]", "http://[]:1", "http://[::1", "http://[::g]", "http://[::1]x",
                    "http://-a", "http://a-", "http://a..b", "http://.a", "http://a_b",
                    "/caf\xc3\xa9", "/\n", "/a`b", "/a|b", "/{x}", "/a^b", " /a"));
    char url[300] = "http://";
    memset(url + 7, 'a', 63);
    cr_assert(s_has_format(SOUK_FORMAT_URL, souk_str_of(url)));
    memset(url + 7, 'a', 64);
    cr_assert(!s_has_format(SOUK_FORMAT_URL, souk_str_of(url)));
    for (size_t i = 7; i < sizeof(url); i++) {
        url[i] = i % 2 == 0 ? '.' : 'a';
    }
    cr_assert(s_has_format(SOUK_FORMAT_URL, (souk_str_t){.data = url, .size = 7 + 253}));
    cr_assert(!s_has_format(SOUK_FORMAT_URL, (souk_str_t){.data = url, .size = 7 + 255}));
}

Test(schema_format, email) {
    s_expect(
        SOUK_FORMAT_EMAIL,
        S_LIST("a@b.c", "first.last+tag@example.co.uk", "o'neil@example.com", "_@a-b.de", "1@2.3"),
        S_LIST("a", "@", "a@", "@b.c", "a@b", "a@localhost", "a@@b.c", "a@b@c.d", ".a@b.c",
               "a.@b.c", "a..b@c.d", "a b@c.d", "\"a\"@b.c", "a@b_c.d", "a@-b.c", "a@b-.c",
               "a@b..c", "a@.b.c", "a@b.c.", "a@[127.0.0.1]", "a\n@b.c", "a@b.c\n", "\xc3\xa9@b.c",
               "a@b.c, d@e.f", "<a@b.c>"));
    char email[400];
    snprintf(email, sizeof(email), "%064d@b.cd", 0);
    cr_assert(s_has_format(SOUK_FORMAT_EMAIL, souk_str_of(email)));
    snprintf(email, sizeof(email), "%065d@b.cd", 0);
    cr_assert(!s_has_format(SOUK_FORMAT_EMAIL, souk_str_of(email)));
    snprintf(email, sizeof(email), "a@%060d.%060d.%060d.%060d.%08d", 0, 0, 0, 0, 0);
    cr_assert_eq(strlen(email), 254);
    cr_assert(s_has_format(SOUK_FORMAT_EMAIL, souk_str_of(email)));
    strcat(email, "0");
    cr_assert(!s_has_format(SOUK_FORMAT_EMAIL, souk_str_of(email)));
}

Test(schema_format, line_and_text) {
    static const char *const both[] = {"",
                                       " ",
                                       "plain",
                                       "caf\xc3\xa9",
                                       "\xc2\xa0",
                                       "\xe2\x82\xac",
                                       "\xf0\x9f\x98\x80",
                                       "\xe2\x80\xaa"};
    static const char *const neither[] = {"\x01",     "a\rb",     "\x1f",      "\x7f",
                                          "\xc2\x80", "\xc2\x85", "a\xc2\x9f", "\x1b[31m",
                                          "\v",       "\f",       "\b"};
    static const char *const only_text[] = {"a\nb", "\t", "\n\n", "\xe2\x80\xa8", "\xe2\x80\xa9"};
    for (size_t i = 0; i < SOUK_COUNT_OF(both); i++) {
        cr_assert(s_has_format(SOUK_FORMAT_LINE, souk_str_of(both[i])), "%zu", i);
        cr_assert(s_has_format(SOUK_FORMAT_TEXT, souk_str_of(both[i])), "%zu", i);
    }
    for (size_t i = 0; i < SOUK_COUNT_OF(neither); i++) {
        cr_assert(!s_has_format(SOUK_FORMAT_LINE, souk_str_of(neither[i])), "%zu", i);
        cr_assert(!s_has_format(SOUK_FORMAT_TEXT, souk_str_of(neither[i])), "%zu", i);
    }
    for (size_t i = 0; i < SOUK_COUNT_OF(only_text); i++) {
        cr_assert(!s_has_format(SOUK_FORMAT_LINE, souk_str_of(only_text[i])), "%zu", i);
        cr_assert(s_has_format(SOUK_FORMAT_TEXT, souk_str_of(only_text[i])), "%zu", i);
    }
}

Test(schema_format, empty_text_has_only_the_free_formats) {
    static const souk_format_t strict[] = {
        SOUK_FORMAT_SLUG,  SOUK_FORMAT_SKU,  SOUK_FORMAT_CURRENCY, SOUK_FORMAT_ID,
        SOUK_FORMAT_TOKEN, SOUK_FORMAT_ETAG, SOUK_FORMAT_URL,      SOUK_FORMAT_EMAIL};
    for (size_t i = 0; i < SOUK_COUNT_OF(strict); i++) {
        cr_assert(!s_has_format(strict[i], SOUK_STR("")), "%zu", i);
    }
    cr_assert(s_has_format(SOUK_FORMAT_NONE, SOUK_STR("")));
}
