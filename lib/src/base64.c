#include "souk/base64.h"

static const char s_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void souk_base64_encode(const void *data, size_t bytes, char *ret_text) {
    const uint8_t *at = data;
    for (; bytes >= 3; bytes -= 3, at += 3, ret_text += 4) {
        uint32_t bits = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
        ret_text[0] = s_alphabet[bits >> 18];
        ret_text[1] = s_alphabet[bits >> 12 & 63];
        ret_text[2] = s_alphabet[bits >> 6 & 63];
        ret_text[3] = s_alphabet[bits & 63];
    }
    if (bytes > 0) {
        uint32_t bits = (uint32_t)at[0] << 16 | (bytes == 2 ? (uint32_t)at[1] << 8 : 0);
        ret_text[0] = s_alphabet[bits >> 18];
        ret_text[1] = s_alphabet[bits >> 12 & 63];
        if (bytes == 2) {
            ret_text[2] = s_alphabet[bits >> 6 & 63];
        }
    }
}

static int s_digit(char c) {
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

souk_err_t souk_base64_decode(souk_str_t text, void *ret_data) {
    uint8_t *to = ret_data;
    uint32_t bits = 0;
    unsigned bits_count = 0;
    if (text.size % 4 == 1) {
        return SOUK_ERR_MALFORMED;
    }
    for (size_t i = 0; i < text.size; i++) {
        int digit = s_digit(text.data[i]);
        if (digit < 0) {
            return SOUK_ERR_MALFORMED;
        }
        bits = bits << 6 | (uint32_t)digit;
        bits_count += 6;
        if (bits_count >= 8) {
            bits_count -= 8;
            *to++ = (uint8_t)(bits >> bits_count & 0xff);
        }
    }
    return (bits & ((1u << bits_count) - 1)) == 0 ? SOUK_OK : SOUK_ERR_MALFORMED;
}
