#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>

#include "gateway/address.h"

static void s_is(const souk_address_t *address, const char *text) {
    cr_assert(souk_str_equal(souk_address_text(address), souk_str_of(text)), "%.*s is not %s",
              address->text_size, address->text, text);
}

static const char *s_of(const char *text) {
    static char out[64];
    souk_address_t address;
    if (!souk_address_of_text(souk_str_of(text), &address)) {
        return "none";
    }
    snprintf(out, sizeof(out), "%.*s/%d", address.text_size, address.text, address.network_size);
    return out;
}

Test(address, of_text) {
    cr_assert_str_eq(s_of("192.0.2.1"), "192.0.2.1/4");
    cr_assert_str_eq(s_of("192.0.2.1:8080"), "192.0.2.1/4");
    cr_assert_str_eq(s_of("2001:DB8::1"), "2001:db8::1/8");
    cr_assert_str_eq(s_of("[2001:db8::1]"), "2001:db8::1/8");
    cr_assert_str_eq(s_of("[2001:db8::1]:443"), "2001:db8::1/8");
    cr_assert_str_eq(s_of("::ffff:192.0.2.7"), "192.0.2.7/4");
    cr_assert_str_eq(s_of("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"),
                     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/8");
}

Test(address, what_is_none) {
    const char *bad[] = {
        "",   "unknown",     "_hidden", "192.0.2",   "192.0.2.256", "1.2.3.4x",   "[::1",
        "[]", ":",           "::1%lo",  "012.1.1.1", "1:2",         "192.0.2.1 ", "2001:db8::1::1",
        "[",  "fe80::1%eth0"};
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        cr_assert_str_eq(s_of(bad[i]), "none", "%s", bad[i]);
    }
}

Test(address, of_a_socket) {
    struct sockaddr_storage storage = {.ss_family = AF_INET6};
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&storage;
    souk_address_t address;
    cr_assert_eq(inet_pton(AF_INET6, "2001:db8:1:2:3:4:5:6", &in6->sin6_addr), 1);
    souk_address_of_socket(&storage, &address);
    s_is(&address, "2001:db8:1:2:3:4:5:6");
    cr_assert_eq(address.network_size, 8, "one client commands a /64");
    struct sockaddr_in in4 = {.sin_family = AF_INET};
    cr_assert_eq(inet_pton(AF_INET, "198.51.100.9", &in4.sin_addr), 1);
    memcpy(&storage, &in4, sizeof(in4));
    souk_address_of_socket(&storage, &address);
    s_is(&address, "198.51.100.9");
    storage.ss_family = AF_UNIX;
    souk_address_of_socket(&storage, &address);
    cr_assert_null(souk_address_text(&address).data);
}

/* A request with these header lines, parsed; NULL: no such address. */
static const char *s_forwarded(const char *lines, int64_t hops) {
    static char out[64];
    const souk_http1_limits_t limits = {
        .head_bytes_max = 16384, .target_bytes_max = 1024, .headers_max = 64};
    souk_buf_t in;
    souk_http1_t http1;
    souk_address_t address;
    souk_buf_init(&in, 16384);
    souk_buf_printf(&in, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", lines);
    souk_http1_init(&http1, &limits, 0);
    cr_assert_eq(souk_http1_step(&http1, &in), SOUK_HTTP1_HEAD);
    bool found = souk_address_forwarded(&http1, &in, hops, &address);
    if (found) {
        snprintf(out, sizeof(out), "%.*s", address.text_size, address.text);
    }
    souk_buf_done(&in);
    return found ? out : "none";
}

Test(address, is_counted_from_the_right) {
    const char *three = "X-Forwarded-For: 10.0.0.1, 10.0.0.2,10.0.0.3\r\n";
    cr_assert_str_eq(s_forwarded(three, 1), "10.0.0.3");
    cr_assert_str_eq(s_forwarded(three, 2), "10.0.0.2");
    cr_assert_str_eq(s_forwarded(three, 3), "10.0.0.1");
    cr_assert_str_eq(s_forwarded(three, 9), "10.0.0.1", "the first one when there are fewer");
}

Test(address, may_be_spread_over_fields) {
    const char *two = "x-forwarded-for: 10.0.0.1\r\nX-Other: 10.9.9.9\r\n"
                      "X-Forwarded-For: 10.0.0.2, 10.0.0.3\r\n";
    cr_assert_str_eq(s_forwarded(two, 1), "10.0.0.3");
    cr_assert_str_eq(s_forwarded(two, 2), "10.0.0.2");
    cr_assert_str_eq(s_forwarded(two, 3), "10.0.0.1");
}

/* What the client itself wrote does not stand where a proxy of ours writes. */
Test(address, what_a_client_makes_up_stands_further_left) {
    cr_assert_str_eq(s_forwarded("X-Forwarded-For: evil, 6.6.6.6, 10.0.0.3\r\n", 1), "10.0.0.3");
    cr_assert_str_eq(s_forwarded("X-Forwarded-For: 10.0.0.3, evil\r\n", 1), "none");
    cr_assert_str_eq(s_forwarded("X-Forwarded-For:\r\n", 1), "none");
    cr_assert_str_eq(s_forwarded("X-Forwarded-For: ,,,\r\n", 1), "none");
    cr_assert_str_eq(s_forwarded("Forwarded: for=10.0.0.1\r\n", 1), "none");
    cr_assert_str_eq(s_forwarded("", 1), "none");
}
