/* Characters, names and lists of HTTP (RFC 9110, 5.6). */
#ifndef SOUK_GATEWAY_HTTP_TEXT_H
#define SOUK_GATEWAY_HTTP_TEXT_H

#include "souk/base.h"

typedef enum {
    SOUK_HTTP_GET,
    SOUK_HTTP_HEAD,
    SOUK_HTTP_POST,
    SOUK_HTTP_PUT,
    SOUK_HTTP_PATCH,
    SOUK_HTTP_DELETE,
    SOUK_HTTP_OPTIONS,
    SOUK_HTTP_METHODS_COUNT,
} souk_http_method_t;

/* The upper-case name. */
const char *souk_http_method_name(souk_http_method_t method);
/* False: not one of ours. Case matters. */
bool souk_http_method_of(souk_str_t name, souk_http_method_t *ret_method);

/* What a byte may be part of. */
enum { SOUK_HTTP_TOKEN = 1, SOUK_HTTP_VALUE = 2, SOUK_HTTP_TARGET = 4, SOUK_HTTP_AUTHORITY = 8 };
bool souk_http_is(char c, uint8_t class);
bool souk_http_all(souk_str_t text, uint8_t class);

/* The value of a hexadecimal digit, -1 for another character. */
int souk_http_hex_digit(char c);

/* Without spaces and tabs around it. */
souk_str_t souk_http_trim(souk_str_t text);
/* Compares ASCII text without regard to case. */
bool souk_http_equal_nocase(souk_str_t a, souk_str_t b);
/* Takes the next element of a comma-separated list off *list, without white space around it; false
 * at the end. */
bool souk_http_next_element(souk_str_t *list, souk_str_t *ret_element);

#endif
