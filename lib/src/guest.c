#include "souk/guest.h"

#include <sodium.h>

#include "souk/base64.h"
#include "souk/id.h"

#define PREFIX_BYTES (sizeof(SOUK_GUEST_PREFIX) - 1)
#define VERSION 1
#define PAYLOAD_BYTES (1 + SOUK_ULID_CHARS + 8)
#define PAYLOAD_CHARS 47
#define MAC_CHARS 43

_Static_assert(PREFIX_BYTES + PAYLOAD_CHARS + 1 + MAC_CHARS == SOUK_GUEST_TOKEN_BYTES,
               "a token has one length");
_Static_assert(crypto_auth_hmacsha256_KEYBYTES == SOUK_GUEST_KEY_BYTES, "the keys are HMAC keys");
_Static_assert(crypto_auth_hmacsha256_BYTES == 32, "43 characters are 32 bytes");

/* ---- keys ---- */

static bool s_parse_key(souk_str_t text, uint8_t ret_key[SOUK_GUEST_KEY_BYTES]) {
    size_t bytes = 0;
    return text.size == 2 * (size_t)SOUK_GUEST_KEY_BYTES &&
           sodium_hex2bin(ret_key, SOUK_GUEST_KEY_BYTES, text.data, text.size, NULL, &bytes,
                          NULL) == 0 &&
           bytes == SOUK_GUEST_KEY_BYTES;
}

static bool s_has_key(const souk_guest_keys_t *self, const uint8_t *key) {
    bool found = false;
    for (size_t i = 0; i < self->count; i++) {
        found = sodium_memcmp(self->keys[i], key, SOUK_GUEST_KEY_BYTES) == 0 || found;
    }
    return found;
}

souk_err_t souk_guest_keys_parse(souk_str_t text, souk_guest_keys_t *ret) {
    souk_guest_keys_t keys = {.count = 0};
    bool sound = true;
    bool more = text.size > 0;
    while (sound && more) {
        const char *comma = memchr(text.data, ',', text.size);
        souk_str_t one = {text.data, comma != NULL ? (size_t)(comma - text.data) : text.size};
        more = comma != NULL;
        text.data += one.size + (more ? 1 : 0);
        text.size -= one.size + (more ? 1 : 0);
        sound = keys.count < SOUK_GUEST_KEYS_MAX && s_parse_key(one, keys.keys[keys.count]) &&
                !s_has_key(&keys, keys.keys[keys.count]);
        keys.count += sound ? 1 : 0;
    }
    if (sound) {
        *ret = keys;
    }
    souk_guest_keys_done(&keys);
    return sound ? SOUK_OK : SOUK_ERR_MALFORMED;
}

void souk_guest_keys_done(souk_guest_keys_t *self) {
    sodium_memzero(self, sizeof(*self));
}

/* ---- tokens ---- */

/* Everything before the second dot. */
static souk_str_t s_signed_part(const char *token) {
    return (souk_str_t){token, PREFIX_BYTES + PAYLOAD_CHARS};
}

souk_err_t souk_guest_new(const souk_guest_keys_t *self, int64_t expires_s, souk_guest_t *ret,
                          char ret_token[SOUK_GUEST_TOKEN_BYTES + 1]) {
    if (self->count == 0) {
        return SOUK_ERR_UNAVAILABLE;
    }
    souk_assert(expires_s >= 0);
    char subject[SOUK_ID_BYTES_MAX];
    size_t size = souk_id_new("gst_", subject);
    souk_assert(size == SOUK_GUEST_SUBJECT_BYTES);
    uint8_t payload[PAYLOAD_BYTES] = {VERSION};
    memcpy(payload + 1, subject + 4, SOUK_ULID_CHARS);
    for (size_t i = 0; i < 8; i++) {
        payload[PAYLOAD_BYTES - 1 - i] = (uint8_t)((uint64_t)expires_s >> (8 * i) & 0xff);
    }
    memcpy(ret_token, SOUK_GUEST_PREFIX, PREFIX_BYTES);
    souk_base64_encode(payload, sizeof(payload), ret_token + PREFIX_BYTES);
    souk_str_t part = s_signed_part(ret_token);
    uint8_t mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256(mac, (const uint8_t *)part.data, part.size, self->keys[0]);
    ret_token[part.size] = '.';
    souk_base64_encode(mac, sizeof(mac), ret_token + part.size + 1);
    ret_token[SOUK_GUEST_TOKEN_BYTES] = '\0';
    memcpy(ret->subject, subject, SOUK_GUEST_SUBJECT_BYTES + 1);
    ret->expires_s = expires_s;
    return SOUK_OK;
}

/* Every key is tried, so that time tells nothing of which one it was. */
static bool s_signed_by_us(const souk_guest_keys_t *self, souk_str_t part, const uint8_t *mac) {
    bool good = false;
    for (size_t i = 0; i < self->count; i++) {
        good = crypto_auth_hmacsha256_verify(mac, (const uint8_t *)part.data, part.size,
                                             self->keys[i]) == 0 ||
               good;
    }
    return good;
}

souk_err_t souk_guest_check(const souk_guest_keys_t *self, souk_str_t token, int64_t now_s,
                            souk_guest_t *ret) {
    if (token.size != SOUK_GUEST_TOKEN_BYTES ||
        memcmp(token.data, SOUK_GUEST_PREFIX, PREFIX_BYTES) != 0 ||
        token.data[PREFIX_BYTES + PAYLOAD_CHARS] != '.') {
        return SOUK_ERR_UNAUTHENTICATED;
    }
    souk_str_t part = s_signed_part(token.data);
    uint8_t payload[PAYLOAD_BYTES], mac[crypto_auth_hmacsha256_BYTES];
    if (souk_base64_decode((souk_str_t){token.data + PREFIX_BYTES, PAYLOAD_CHARS}, payload) !=
            SOUK_OK ||
        souk_base64_decode((souk_str_t){part.data + part.size + 1, MAC_CHARS}, mac) != SOUK_OK ||
        !s_signed_by_us(self, part, mac) || payload[0] != VERSION) {
        return SOUK_ERR_UNAUTHENTICATED;
    }
    uint64_t expires_s = 0;
    for (size_t i = 0; i < 8; i++) {
        expires_s = expires_s << 8 | payload[1 + SOUK_ULID_CHARS + i];
    }
    souk_guest_t guest = {.subject = "gst_", .expires_s = (int64_t)expires_s};
    memcpy(guest.subject + 4, payload + 1, SOUK_ULID_CHARS);
    if (guest.expires_s <= now_s) {
        return SOUK_ERR_UNAUTHENTICATED;
    }
    *ret = guest;
    return SOUK_OK;
}
