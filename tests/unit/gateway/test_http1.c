#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/http1.h"

static const souk_http1_limits_t s_limits = {
    .head_bytes_max = 512, .target_bytes_max = 128, .headers_max = 8};
#define BODY_MAX 64

/* Feeds text to the parser, piece by piece, and writes down all that it finds; the same bytes must
 * give the same story however they are cut. */
typedef struct {
    souk_http1_t http1;
    souk_buf_t in;
    souk_buf_t story;
    bool over;
} reader_t;

static void s_tell_request(reader_t *self) {
    souk_http1_t *http1 = &self->http1;
    souk_str_t target = souk_http1_target(http1, &self->in);
    souk_str_t path = souk_http1_path(http1, &self->in);
    souk_str_t query = souk_http1_query(http1, &self->in);
    souk_str_t body = souk_http1_body(http1, &self->in);
    souk_buf_printf(&self->story, "%s %.*s [%.*s?%.*s] 1.%d %s",
                    souk_http_method_name(http1->method), (int)target.size, target.data,
                    (int)path.size, path.data, (int)query.size, query.data, http1->minor,
                    http1->keep_alive ? "keep" : "close");
    for (size_t i = 0; i < http1->headers_count; i++) {
        souk_str_t name = souk_http1_name(http1, &self->in, i);
        souk_str_t value = souk_http1_value(http1, &self->in, i);
        souk_buf_printf(&self->story, " %.*s=<%.*s>", (int)name.size, name.data, (int)value.size,
                        value.data);
    }
    souk_buf_printf(&self->story, " body=<%.*s>\n", (int)body.size, body.data);
}

static void s_read(reader_t *self) {
    while (!self->over) {
        switch (souk_http1_step(&self->http1, &self->in)) {
        case SOUK_HTTP1_MORE:
            return;
        case SOUK_HTTP1_HEAD:
            break;
        case SOUK_HTTP1_DONE:
            s_tell_request(self);
            souk_buf_consume(&self->in, self->http1.total);
            souk_http1_init(&self->http1, &s_limits, BODY_MAX);
            break;
        case SOUK_HTTP1_FAIL:
            souk_buf_printf(&self->story, "%u %s\n", souk_err_info(self->http1.err)->status,
                            self->http1.cause);
            self->over = true;
            break;
        }
    }
}

/* The story of text cut at offset `cut`, and into single bytes when cut is SIZE_MAX. Owned by the
 * caller. */
static char *s_story(souk_str_t text, size_t cut) {
    reader_t reader = {.over = false};
    souk_buf_init(&reader.in, 8192);
    souk_buf_init(&reader.story, 65536);
    souk_http1_init(&reader.http1, &s_limits, BODY_MAX);
    size_t at = 0;
    while (at < text.size) {
        size_t piece = cut == SIZE_MAX ? 1 : (at < cut ? cut : text.size) - at;
        souk_buf_append(&reader.in, text.data + at, piece);
        at += piece;
        s_read(&reader);
    }
    souk_buf_append_byte(&reader.story, 0);
    char *story = strdup((const char *)reader.story.data);
    souk_buf_done(&reader.in);
    souk_buf_done(&reader.story);
    return story;
}

static void s_expect(souk_str_t text, const char *expected) {
    for (size_t cut = 0; cut <= text.size; cut++) {
        char *story = s_story(text, cut == 0 ? text.size : cut);
        cr_assert_str_eq(story, expected, "cut at %zu of <%.*s>: got <%s>, expected <%s>", cut,
                         (int)text.size, text.data, story, expected);
        free(story);
    }
    char *story = s_story(text, SIZE_MAX);
    cr_assert_str_eq(story, expected, "byte by byte: <%.*s>: got <%s>", (int)text.size, text.data,
                     story);
    free(story);
}

#define EXPECT(text, expected) s_expect(SOUK_STR(text), expected)
#define HEAD "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define MALFORMED_FIELD "400 a header field is malformed\n"
#define BAD_CHUNK "400 a chunk's first line is malformed\n"
#define BAD_LENGTH "400 Content-Length is malformed\n"
#define BAD_LINE "400 a line does not end in CRLF\n"
#define BAD_TARGET "400 the request target is malformed\n"
#define BAD_HOST "400 Host is missing or malformed\n"
#define TWICE "400 a header field that may be given once is given twice\n"

Test(http1, reads_a_plain_request) {
    EXPECT("GET /v1/products?q=a%20b&limit=2 HTTP/1.1\r\nHost: shop.example:8080\r\nX-A:\t b  c "
           "\r\n\r\n",
           "GET /v1/products?q=a%20b&limit=2 [/v1/products?q=a%20b&limit=2] 1.1 keep "
           "Host=<shop.example:8080> X-A=<b  c> body=<>\n");
}

Test(http1, reads_pipelined_requests_in_order) {
    EXPECT(HEAD "\r\n" POST "Content-Length: 3\r\n\r\nabc" HEAD "Connection: close\r\n\r\n",
           "GET / [/?] 1.1 keep Host=<a> body=<>\n"
           "POST / [/?] 1.1 keep Host=<a> Content-Length=<3> body=<abc>\n"
           "GET / [/?] 1.1 close Host=<a> Connection=<close> body=<>\n");
}

Test(http1, decodes_chunks_in_place) {
    EXPECT(CHUNKED
           "3\r\nabc\r\n00A;x=1;y=\"a \\\" b\";z\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n" HEAD
           "\r\n",
           "POST / [/?] 1.1 keep Host=<a> Transfer-Encoding=<chunked> body=<abc0123456789>\n"
           "GET / [/?] 1.1 keep Host=<a> body=<>\n");
}

Test(http1, reads_many_tiny_chunks) {
    souk_buf_t text;
    souk_buf_init(&text, 4096);
    souk_buf_append_str(&text, SOUK_STR(CHUNKED));
    for (int i = 0; i < BODY_MAX; i++) {
        souk_buf_append_str(&text, SOUK_STR("1\r\nx\r\n"));
    }
    souk_buf_append_str(&text, SOUK_STR("0\r\n\r\n"));
    char expected[256];
    snprintf(expected, sizeof(expected),
             "POST / [/?] 1.1 keep Host=<a> Transfer-Encoding=<chunked> body=<%.*s>\n", BODY_MAX,
             "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    s_expect(souk_buf_str(&text), expected);
    souk_buf_done(&text);
}

Test(http1, forgives_one_empty_line_before_a_request) {
    EXPECT("\r\n" HEAD "\r\n", "GET / [/?] 1.1 keep Host=<a> body=<>\n");
    EXPECT("\r\n\r\n" HEAD "\r\n", "400 the request line is not METHOD SP TARGET SP VERSION\n");
    EXPECT("\n" HEAD "\r\n", BAD_LINE);
}

Test(http1, tells_persistence_by_version_and_connection) {
    EXPECT("GET / HTTP/1.0\r\n\r\n", "GET / [/?] 1.0 close body=<>\n");
    EXPECT("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
           "GET / [/?] 1.0 keep Connection=<Keep-Alive> body=<>\n");
    EXPECT(
        HEAD "Connection: foo, CLOSE\r\nConnection: keep-alive\r\n\r\n",
        "GET / [/?] 1.1 close Host=<a> Connection=<foo, CLOSE> Connection=<keep-alive> body=<>\n");
    EXPECT(HEAD "Connection: closed\r\n\r\n",
           "GET / [/?] 1.1 keep Host=<a> Connection=<closed> body=<>\n");
}

Test(http1, reads_nothing_behind_an_upgrade) {
    EXPECT(
        HEAD "Connection: keep-alive, Upgrade\r\nUpgrade: h2c\r\n\r\n",
        "GET / [/?] 1.1 close Host=<a> Connection=<keep-alive, Upgrade> Upgrade=<h2c> body=<>\n");
}

Test(http1, takes_absolute_form_and_asterisk) {
    EXPECT("GET http://b.example:80/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET http://b.example:80/x?y [/x?y] 1.1 keep Host=<a> body=<>\n");
    EXPECT("GET HTTPS://b?y HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET HTTPS://b?y [/?y] 1.1 keep Host=<a> body=<>\n");
    EXPECT("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * [*?] 1.1 keep Host=<a> body=<>\n");
    EXPECT("GET * HTTP/1.1\r\nHost: a\r\n\r\n", BAD_TARGET);
    EXPECT("GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", BAD_TARGET);
    EXPECT("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", BAD_TARGET);
    EXPECT("GET http://u@b/x HTTP/1.1\r\nHost: a\r\n\r\n", BAD_TARGET);
    EXPECT("GET ftp://b/x HTTP/1.1\r\nHost: a\r\n\r\n", BAD_TARGET);
}

Test(http1, refuses_bad_request_lines) {
    const char *shape = "400 the request line is not METHOD SP TARGET SP VERSION\n";
    EXPECT("GET\r\n", shape);
    EXPECT("GET /\r\n", shape);
    EXPECT("GET  / HTTP/1.1\r\n", shape);
    EXPECT(" GET / HTTP/1.1\r\n", shape);
    EXPECT("G(T / HTTP/1.1\r\n", shape);
    EXPECT("GET / HTTP/1.1 \r\n", "400 the request line does not end in an HTTP version\n");
    EXPECT("GET / http/1.1\r\n", "400 the request line does not end in an HTTP version\n");
    EXPECT("GET / x HTTP/1.1\r\n", "400 the request line does not end in an HTTP version\n");
    EXPECT("GET /\tHTTP/1.1\r\n", shape);
    EXPECT("GET /\x01 HTTP/1.1\r\n", BAD_TARGET);
    EXPECT("GET /\x80 HTTP/1.1\r\n", BAD_TARGET);
    EXPECT("GET /#x HTTP/1.1\r\n", BAD_TARGET);
    EXPECT("GET /\0 HTTP/1.1\r\n", BAD_TARGET);
    EXPECT("get / HTTP/1.1\r\n", "501 the method is not implemented\n");
    EXPECT("CONNECT a:1 HTTP/1.1\r\n", "501 the method is not implemented\n");
    EXPECT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 only HTTP/1.0 and HTTP/1.1 are spoken\n");
    EXPECT("GET / HTTP/1.2\r\n", "505 only HTTP/1.0 and HTTP/1.1 are spoken\n");
}

Test(http1, refuses_bad_line_ends) {
    EXPECT("GET / HTTP/1.1\nHost: a\n\n", BAD_LINE);
    EXPECT("GET / HTTP/1.1\r\nHost: a\n\r\n", BAD_LINE);
    EXPECT("GET / HTTP/1.1\r\nHost: a\r\n\n", BAD_LINE);
    EXPECT("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
           "400 a header field holds a control character\n");
    EXPECT("GET / HTTP/1.1\rHost: a\r\n\r\n",
           "400 the request line does not end in an HTTP version\n");
}

Test(http1, refuses_bad_fields) {
    EXPECT("GET / HTTP/1.1\r\n Host: a\r\n\r\n", MALFORMED_FIELD);
    EXPECT(HEAD " folded\r\n\r\n", MALFORMED_FIELD);
    EXPECT(HEAD "\tfolded\r\n\r\n", MALFORMED_FIELD);
    EXPECT(HEAD "X : b\r\n\r\n", MALFORMED_FIELD);
    EXPECT(HEAD "X\t: b\r\n\r\n", MALFORMED_FIELD);
    EXPECT(HEAD ": b\r\n\r\n", MALFORMED_FIELD);
    EXPECT(HEAD "no colon\r\n\r\n", MALFORMED_FIELD);
    EXPECT(HEAD "X(: b\r\n\r\n", MALFORMED_FIELD);
    EXPECT(HEAD "X\x80: b\r\n\r\n", MALFORMED_FIELD);
    EXPECT(HEAD "X: b\x01\r\n\r\n", "400 a header field holds a control character\n");
    EXPECT(HEAD "X: b\x7f\r\n\r\n", "400 a header field holds a control character\n");
    EXPECT(HEAD "X: b\0c\r\n\r\n", "400 a header field holds a control character\n");
    EXPECT(HEAD "X: \xc3\xa9\r\n\r\n", "GET / [/?] 1.1 keep Host=<a> X=<\xc3\xa9> body=<>\n");
    EXPECT(HEAD "Authorization: a\r\nauthorization: b\r\n\r\n", TWICE);
}

Test(http1, wants_one_host) {
    EXPECT("GET / HTTP/1.1\r\n\r\n", BAD_HOST);
    EXPECT(HEAD "host: a\r\n\r\n", TWICE);
    EXPECT("GET / HTTP/1.1\r\nHost:\r\n\r\n", BAD_HOST);
    EXPECT("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", BAD_HOST);
    EXPECT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", BAD_HOST);
    EXPECT("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", BAD_HOST);
    EXPECT("GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n", BAD_HOST);
    EXPECT("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", BAD_HOST);
    EXPECT("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
           "GET / [/?] 1.1 keep Host=<[::1]:80> body=<>\n");
}

Test(http1, refuses_ambiguous_lengths) {
    const char *both = "400 both Content-Length and Transfer-Encoding are given\n";
    EXPECT(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", both);
    EXPECT(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", both);
    EXPECT(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", TWICE);
    EXPECT(POST "Content-Length: +5\r\n\r\n", BAD_LENGTH);
    EXPECT(POST "Content-Length: -5\r\n\r\n", BAD_LENGTH);
    EXPECT(POST "Content-Length: 5,5\r\n\r\n", BAD_LENGTH);
    EXPECT(POST "Content-Length:  5 x\r\n\r\n", BAD_LENGTH);
    EXPECT(POST "Content-Length: 0x5\r\n\r\n", BAD_LENGTH);
    EXPECT(POST "Content-Length: 5 5\r\n\r\n", BAD_LENGTH);
    EXPECT(POST "Content-Length:\r\n\r\n", BAD_LENGTH);
    EXPECT(POST "Content-Length: 18446744073709551621\r\n\r\n", BAD_LENGTH);
}

Test(http1, takes_no_other_transfer_coding) {
    const char *unknown = "501 the only transfer coding is chunked\n";
    const char *bad = "400 Transfer-Encoding is malformed or does not belong in HTTP/1.0\n";
    EXPECT(POST "Transfer-Encoding: gzip, chunked\r\n\r\n", unknown);
    EXPECT(POST "Transfer-Encoding: chunked, chunked\r\n\r\n", unknown);
    EXPECT(POST "Transfer-Encoding: xchunked\r\n\r\n", unknown);
    EXPECT(POST "Transfer-Encoding: identity\r\n\r\n", unknown);
    EXPECT(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", TWICE);
    EXPECT(POST "Transfer-Encoding:\r\n\r\n", bad);
    EXPECT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", bad);
    EXPECT(POST "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
           "POST / [/?] 1.1 keep Host=<a> Transfer-Encoding=<CHUNKED> body=<>\n");
}

Test(http1, refuses_bad_chunks) {
    EXPECT(CHUNKED "\r\n", BAD_CHUNK);
    EXPECT(CHUNKED "g\r\n", BAD_CHUNK);
    EXPECT(CHUNKED "0x5\r\nabcde\r\n", BAD_CHUNK);
    EXPECT(CHUNKED "+5\r\nabcde\r\n", BAD_CHUNK);
    EXPECT(CHUNKED "-1\r\n", BAD_CHUNK);
    EXPECT(CHUNKED " 5\r\nabcde\r\n", BAD_CHUNK);
    EXPECT(CHUNKED "5 \r\nabcde\r\n", BAD_CHUNK);
    EXPECT(CHUNKED "5\nabcde\r\n", BAD_CHUNK);
    EXPECT(CHUNKED "00000000000000005\r\nabcde\r\n", BAD_CHUNK);
    EXPECT(CHUNKED "5;\r\nabcde\r\n", BAD_CHUNK);
    EXPECT(CHUNKED "5;a=\r\nabcde\r\n", BAD_CHUNK);
    EXPECT(CHUNKED "5;a=\"b\r\nabcde\r\n", BAD_CHUNK);
    EXPECT(CHUNKED "5; a\r\nabcde\r\n", BAD_CHUNK);
    EXPECT(CHUNKED "5;a\x01\r\nabcde\r\n", BAD_CHUNK);
    EXPECT(CHUNKED "5\r\nabcdef\r\n", "400 a chunk does not end in CRLF\n");
    EXPECT(CHUNKED "5\r\nabcde\n", "400 a chunk does not end in CRLF\n");
    EXPECT(CHUNKED "ffffffffffffffff\r\n", "413 the body is larger than this resource takes\n");
}

Test(http1, checks_trailers) {
    EXPECT(CHUNKED "0\r\nContent-Length: 5\r\n\r\n", "400 a trailer field belongs in the header\n");
    EXPECT(CHUNKED "0\r\ntransfer-encoding: chunked\r\n\r\n",
           "400 a trailer field belongs in the header\n");
    EXPECT(CHUNKED "0\r\nX : 5\r\n\r\n", MALFORMED_FIELD);
    EXPECT(CHUNKED "0\r\nX: 5\n\r\n", BAD_LINE);
    EXPECT(CHUNKED
           "0\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\n\r\n",
           "431 there are too many trailer fields\n");
}

Test(http1, knows_expectations) {
    EXPECT(POST "Expect: 200-ok\r\n\r\n", "417 the only expectation is 100-continue\n");
    souk_buf_t in;
    souk_http1_t http1;
    souk_buf_init(&in, 1024);
    souk_buf_append_str(&in, SOUK_STR(POST "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n"));
    souk_http1_init(&http1, &s_limits, BODY_MAX);
    cr_assert_eq(souk_http1_step(&http1, &in), SOUK_HTTP1_HEAD);
    cr_assert(http1.expect_continue);
    cr_assert(souk_http1_in_body(&http1));
    souk_buf_done(&in);
}

static void s_expect_repeated(const char *before, char filler, size_t count, const char *after,
                              const char *expected) {
    souk_buf_t text;
    souk_buf_init(&text, 65536);
    souk_buf_append_str(&text, souk_str_of(before));
    for (size_t i = 0; i < count; i++) {
        souk_buf_append_byte(&text, (uint8_t)filler);
    }
    souk_buf_append_str(&text, souk_str_of(after));
    s_expect(souk_buf_str(&text), expected);
    souk_buf_done(&text);
}

Test(http1, keeps_its_limits) {
    s_expect_repeated("GET /", 'a', 128, " HTTP/1.1\r\nHost: a\r\n\r\n",
                      "414 the request target is too long\n");
    s_expect_repeated("GET /", 'a', 400, " HTTP/1.1\r\nHost: a\r\n\r\n",
                      "414 the request line is too long\n");
    s_expect_repeated("", 'a', 400, "", "414 the request line is too long\n");
    s_expect_repeated(HEAD "X: ", 'a', 512 - sizeof(HEAD "X: ") + 1 - 3, "\r\n\r\n",
                      "431 the header is too large\n");
    s_expect_repeated(HEAD "X: ", 'a', 600, "\r\n\r\n", "431 the header is too large\n");
    s_expect_repeated(CHUNKED "5;a=", 'a', 300, "\r\nabcde\r\n", BAD_CHUNK);
    s_expect_repeated(CHUNKED "0\r\nX: ", 'a', 600, "\r\n\r\n", "431 the trailers are too large\n");
    EXPECT(HEAD "a: 1\r\na: 1\r\na: 1\r\na: 1\r\na: 1\r\na: 1\r\na: 1\r\na: 1\r\n\r\n",
           "431 there are too many header fields\n");
    EXPECT(POST "Content-Length: 65\r\n\r\n", "413 the body is larger than this resource takes\n");
    EXPECT(CHUNKED "20\r\n01234567890123456789012345678901\r\n21\r\n",
           "413 the body is larger than this resource takes\n");
}

Test(http1, takes_a_header_that_just_fits) {
    souk_buf_t text;
    souk_buf_init(&text, 1024);
    souk_buf_append_str(&text, SOUK_STR(HEAD "X: "));
    while (text.size < 512 - 4) {
        souk_buf_append_byte(&text, 'a');
    }
    souk_buf_append_str(&text, SOUK_STR("\r\n\r\n"));
    for (size_t cut = 1; cut <= text.size; cut++) {
        char *story = s_story(souk_buf_str(&text), cut);
        cr_assert_eq(strncmp(story, "GET / [/?] 1.1 keep Host=<a> X=<aaa", 35), 0, "cut at %zu: %s",
                     cut, story);
        free(story);
    }
    souk_buf_done(&text);
}

Test(http1, splits_lists) {
    souk_str_t list = SOUK_STR(" , a ,\tb,,c ");
    souk_str_t element;
    const char *expected[] = {"a", "b", "c"};
    size_t count = 0;
    while (souk_http_next_element(&list, &element)) {
        cr_assert(count < 3 && souk_str_equal(element, souk_str_of(expected[count])));
        count++;
    }
    cr_assert_eq(count, 3);
}
