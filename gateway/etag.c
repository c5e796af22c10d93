#include "gateway/etag.h"

static bool s_etag_char(char c) {
    uint8_t byte = (uint8_t)c;
    return byte == 0x21 || (byte >= 0x23 && byte != 0x7f);
}

size_t souk_etag_make(souk_str_t value, char ret_etag[SOUK_ETAG_BYTES_MAX]) {
    if (value.size == 0 || value.size + 3 > SOUK_ETAG_BYTES_MAX) {
        return 0;
    }
    for (size_t i = 0; i < value.size; i++) {
        if (!s_etag_char(value.data[i]) || (uint8_t)value.data[i] >= 0x80) {
            return 0;
        }
    }
    ret_etag[0] = '"';
    memcpy(ret_etag + 1, value.data, value.size);
    ret_etag[value.size + 1] = '"';
    ret_etag[value.size + 2] = '\0';
    return value.size + 2;
}

static void s_skip(souk_str_t *text, size_t count) {
    text->data += count;
    text->size -= count;
}

static void s_skip_separators(souk_str_t *text) {
    while (text->size > 0 &&
           (text->data[0] == ' ' || text->data[0] == '\t' || text->data[0] == ',')) {
        s_skip(text, 1);
    }
}

/* A comma may stand inside a tag, so the list is read tag by tag. */
bool souk_etag_matches(souk_str_t if_none_match, souk_str_t etag) {
    souk_str_t rest = if_none_match;
    if (rest.size == 1 && rest.data[0] == '*') {
        return true;
    }
    s_skip_separators(&rest);
    while (rest.size > 0) {
        if (rest.size > 2 && rest.data[0] == 'W' && rest.data[1] == '/') {
            s_skip(&rest, 2);
        }
        if (rest.data[0] != '"') {
            return false;
        }
        size_t size = 1;
        while (size < rest.size && s_etag_char(rest.data[size])) {
            size++;
        }
        if (size == rest.size || rest.data[size] != '"') {
            return false;
        }
        size++;
        if (souk_str_equal((souk_str_t){rest.data, size}, etag)) {
            return true;
        }
        s_skip(&rest, size);
        s_skip_separators(&rest);
    }
    return false;
}
