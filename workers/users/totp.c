#include "totp.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

uint32_t users_totp_code(souk_str_t secret, uint64_t step, unsigned digits) {
    souk_assert(digits >= 6 && digits <= 8);
    unsigned char message[8], mac[EVP_MAX_MD_SIZE];
    for (unsigned i = 0; i < sizeof(message); i++) {
        message[i] = (unsigned char)(step >> (56 - 8 * i));
    }
    unsigned mac_bytes = 0;
    const unsigned char *done =
        HMAC(EVP_sha1(), secret.data, (int)secret.size, message, sizeof(message), mac, &mac_bytes);
    souk_assert(done != NULL && mac_bytes == 20);
    unsigned at = mac[19] & 0x0f;
    uint32_t code = ((uint32_t)(mac[at] & 0x7f) << 24) | ((uint32_t)mac[at + 1] << 16) |
                    ((uint32_t)mac[at + 2] << 8) | mac[at + 3];
    static const uint32_t powers[] = {1000000, 10000000, 100000000};
    return code % powers[digits - 6];
}

static bool s_parse(souk_str_t code, uint32_t *ret_code) {
    uint32_t value = 0, digits = 0;
    for (size_t i = 0; i < code.size; i++) {
        char c = code.data[i];
        if (c == ' ') {
            continue;
        }
        if (c < '0' || c > '9' || ++digits > USERS_TOTP_DIGITS) {
            return false;
        }
        value = value * 10 + (uint32_t)(c - '0');
    }
    *ret_code = value;
    return digits == USERS_TOTP_DIGITS;
}

bool users_totp_check(souk_str_t secret, souk_str_t code, int64_t unix_s, int64_t last_step,
                      int64_t *ret_step) {
    uint32_t value;
    if (unix_s < USERS_TOTP_STEP_S || !s_parse(code, &value)) {
        return false;
    }
    int64_t now = unix_s / USERS_TOTP_STEP_S;
    bool found = false;
    for (int64_t step = now - 1; step <= now + 1; step++) {
        /* All three are computed, so that the time does not tell which one was near. */
        bool matches = users_totp_code(secret, (uint64_t)step, USERS_TOTP_DIGITS) == value;
        if (matches && step > last_step && !found) {
            *ret_step = step;
            found = true;
        }
    }
    return found;
}

void users_totp_base32(const uint8_t secret[USERS_TOTP_SECRET_BYTES],
                       char ret_text[USERS_TOTP_BASE32_CHARS]) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    for (size_t group = 0; group < USERS_TOTP_SECRET_BYTES / 5; group++) {
        uint64_t bits = 0;
        for (size_t i = 0; i < 5; i++) {
            bits = bits << 8 | secret[group * 5 + i];
        }
        for (size_t i = 0; i < 8; i++) {
            ret_text[group * 8 + i] = digits[bits >> (35 - 5 * i) & 31];
        }
    }
}

static void s_append_escaped(souk_buf_t *buf, souk_str_t text) {
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) {
            souk_buf_append_byte(buf, c);
        } else {
            souk_buf_printf(buf, "%%%02X", c);
        }
    }
}

void users_totp_uri(souk_buf_t *buf, souk_str_t issuer, souk_str_t account, souk_str_t base32) {
    souk_buf_append_str(buf, SOUK_STR("otpauth://totp/"));
    s_append_escaped(buf, issuer);
    souk_buf_append_byte(buf, ':');
    s_append_escaped(buf, account);
    souk_buf_append_str(buf, SOUK_STR("?secret="));
    souk_buf_append_str(buf, base32);
    souk_buf_append_str(buf, SOUK_STR("&issuer="));
    s_append_escaped(buf, issuer);
    souk_buf_append_str(buf, SOUK_STR("&algorithm=SHA1&digits=6&period=30"));
}
