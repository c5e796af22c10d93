#include "seal.h"

#include <sodium.h>

#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_BYTES crypto_aead_xchacha20poly1305_ietf_ABYTES

souk_err_t users_secret_parse(const char *hex, users_secret_t *ret_secret) {
    users_secret_t secret;
    size_t bytes = 0;
    if (strlen(hex) != 2 * sizeof(secret.bytes) ||
        sodium_hex2bin(secret.bytes, sizeof(secret.bytes), hex, strlen(hex), NULL, &bytes, NULL) !=
            0 ||
        bytes != sizeof(secret.bytes)) {
        return SOUK_ERR_VALIDATION;
    }
    *ret_secret = secret;
    return SOUK_OK;
}

souk_err_t users_seal(const users_secret_t *secret, souk_str_t label, souk_str_t plain,
                      souk_arena_t *arena, souk_str_t *ret_sealed) {
    unsigned char *out = souk_arena_alloc(arena, NONCE_BYTES + plain.size + TAG_BYTES);
    if (out == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    randombytes_buf(out, NONCE_BYTES);
    unsigned long long size = 0;
    crypto_aead_xchacha20poly1305_ietf_encrypt(
        out + NONCE_BYTES, &size, (const unsigned char *)plain.data, plain.size,
        (const unsigned char *)label.data, label.size, NULL, out, secret->bytes);
    *ret_sealed = (souk_str_t){.data = (const char *)out, .size = NONCE_BYTES + (size_t)size};
    return SOUK_OK;
}

souk_err_t users_open(const users_secret_t *secret, souk_str_t label, souk_str_t sealed,
                      souk_arena_t *arena, souk_str_t *ret_plain) {
    if (sealed.size < NONCE_BYTES + TAG_BYTES) {
        return SOUK_ERR_INTERNAL;
    }
    unsigned char *out = souk_arena_alloc(arena, sealed.size);
    if (out == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    const unsigned char *in = (const unsigned char *)sealed.data;
    unsigned long long size = 0;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            out, &size, NULL, in + NONCE_BYTES, sealed.size - NONCE_BYTES,
            (const unsigned char *)label.data, label.size, in, secret->bytes) != 0) {
        return SOUK_ERR_INTERNAL;
    }
    *ret_plain = (souk_str_t){.data = (const char *)out, .size = (size_t)size};
    return SOUK_OK;
}

users_hash_t users_secret_hash(const users_secret_t *secret, souk_str_t label, souk_str_t text) {
    crypto_generichash_state state;
    users_hash_t hash;
    const unsigned char size[2] = {(unsigned char)(label.size >> 8), (unsigned char)label.size};
    crypto_generichash_init(&state, secret->bytes, sizeof(secret->bytes), sizeof(hash.bytes));
    crypto_generichash_update(&state, size, sizeof(size));
    crypto_generichash_update(&state, (const unsigned char *)label.data, label.size);
    crypto_generichash_update(&state, (const unsigned char *)text.data, text.size);
    crypto_generichash_final(&state, hash.bytes, sizeof(hash.bytes));
    return hash;
}
