#include "gateway/http_text.h"

enum {
    TOKEN = SOUK_HTTP_TOKEN,
    VALUE = SOUK_HTTP_VALUE,
    TARGET = SOUK_HTTP_TARGET,
    HOST = SOUK_HTTP_AUTHORITY,
};
#define T (TOKEN | VALUE | TARGET)
#define H (TOKEN | VALUE | TARGET | HOST)
#define V VALUE
#define G (VALUE | TARGET)
#define P (VALUE | TARGET | HOST)
/* Token: RFC 9110, 5.6.2. Target: visible ASCII without " # < > \ (a fragment is never sent; the
 * others have to be encoded). */
static const uint8_t s_class[128] = {
    ['\t'] = V, [' '] = V,  ['!'] = H, ['"'] = V,  ['#'] = TOKEN | VALUE,
    ['$'] = H,  ['%'] = H,  ['&'] = H, ['\''] = H, ['('] = P,
    [')'] = P,  ['*'] = H,  ['+'] = H, [','] = P,  ['-'] = H,
    ['.'] = H,  ['/'] = G,  ['0'] = H, ['1'] = H,  ['2'] = H,
    ['3'] = H,  ['4'] = H,  ['5'] = H, ['6'] = H,  ['7'] = H,
    ['8'] = H,  ['9'] = H,  [':'] = P, [';'] = P,  ['<'] = V,
    ['='] = P,  ['>'] = V,  ['?'] = G, ['@'] = G,  ['A'] = H,
    ['B'] = H,  ['C'] = H,  ['D'] = H, ['E'] = H,  ['F'] = H,
    ['G'] = H,  ['H'] = H,  ['I'] = H, ['J'] = H,  ['K'] = H,
    ['L'] = H,  ['M'] = H,  ['N'] = H, ['O'] = H,  ['P'] = H,
    ['Q'] = H,  ['R'] = H,  ['S'] = H, ['T'] = H,  ['U'] = H,
    ['V'] = H,  ['W'] = H,  ['X'] = H, ['Y'] = H,  ['Z'] = H,
    ['['] = P,  ['\\'] = V, [']'] = P, ['^'] = T,  ['_'] = H,
    ['`'] = T,  ['a'] = H,  ['b'] = H, ['c'] = H,  ['d'] = H,
    ['e'] = H,  ['f'] = H,  ['g'] = H, ['h'] = H,  ['i'] = H,
    ['j'] = H,  ['k'] = H,  ['l'] = H, ['m'] = H,  ['n'] = H,
    ['o'] = H,  ['p'] = H,  ['q'] = H, ['r'] = H,  ['s'] = H,
    ['t'] = H,  ['u'] = H,  ['v'] = H, ['w'] = H,  ['x'] = H,
    ['y'] = H,  ['z'] = H,  ['{'] = G, ['|'] = T,  ['}'] = G,
    ['~'] = H,
};
#undef T
#undef H
#undef V
#undef G
#undef P

static const char *const s_method_names[SOUK_HTTP_METHODS_COUNT] = {
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS",
};

const char *souk_http_method_name(souk_http_method_t method) {
    souk_assert(method < SOUK_HTTP_METHODS_COUNT);
    return s_method_names[method];
}

bool souk_http_method_of(souk_str_t name, souk_http_method_t *ret_method) {
    for (unsigned method = 0; method < SOUK_HTTP_METHODS_COUNT; method++) {
        if (souk_str_equal(name, souk_str_of(s_method_names[method]))) {
            *ret_method = (souk_http_method_t)method;
            return true;
        }
    }
    return false;
}

static char s_lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool souk_http_equal_nocase(souk_str_t a, souk_str_t b) {
    if (a.size != b.size) {
        return false;
    }
    for (size_t i = 0; i < a.size; i++) {
        if (s_lower(a.data[i]) != s_lower(b.data[i])) {
            return false;
        }
    }
    return true;
}

souk_str_t souk_http_trim(souk_str_t text) {
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t')) {
        text.size--;
    }
    return text;
}

bool souk_http_next_element(souk_str_t *list, souk_str_t *ret_element) {
    while (list->size > 0) {
        const char *comma = memchr(list->data, ',', list->size);
        size_t size = comma != NULL ? (size_t)(comma - list->data) : list->size;
        souk_str_t element = souk_http_trim((souk_str_t){.data = list->data, .size = size});
        size_t taken = comma != NULL ? size + 1 : size;
        list->data += taken;
        list->size -= taken;
        if (element.size > 0) {
            *ret_element = element;
            return true;
        }
    }
    return false;
}

bool souk_http_is(char c, uint8_t class) {
    uint8_t byte = (uint8_t)c;
    return ((byte < sizeof(s_class) ? s_class[byte] : VALUE) & class) !=
           0; /* obs-text is a value */
}

bool souk_http_all(souk_str_t text, uint8_t class) {
    for (size_t i = 0; i < text.size; i++) {
        if (!souk_http_is(text.data[i], class)) {
            return false;
        }
    }
    return true;
}

int souk_http_hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = s_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
