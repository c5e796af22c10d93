#include "token.h"

#include <sodium.h>
#include <stdio.h>

#include "souk/base64.h"

#define SECRET_BYTES 32
#define FAMILY_BYTES 16
#define PREFIX_CHARS 4
#define REFRESH_BYTES (FAMILY_BYTES + SECRET_BYTES)

users_hash_t users_hash_of(souk_str_t text) {
    users_hash_t hash;
    crypto_hash_sha256(hash.bytes, (const unsigned char *)text.data, text.size);
    return hash;
}

bool users_hash_matches(const users_hash_t *hash, souk_str_t stored) {
    return stored.size == sizeof(hash->bytes) &&
           sodium_memcmp(hash->bytes, stored.data, sizeof(hash->bytes)) == 0;
}

void users_one_time_make(const char *prefix, char ret_text[USERS_ONE_TIME_CHARS + 1],
                         users_hash_t *ret_hash) {
    souk_assert(strlen(prefix) == PREFIX_CHARS);
    uint8_t secret[SECRET_BYTES];
    souk_random(secret, sizeof(secret));
    memcpy(ret_text, prefix, PREFIX_CHARS);
    souk_base64_encode(secret, sizeof(secret), ret_text + PREFIX_CHARS);
    ret_text[USERS_ONE_TIME_CHARS] = '\0';
    *ret_hash = users_hash_of((souk_str_t){.data = ret_text, .size = USERS_ONE_TIME_CHARS});
}

/* ---- refresh tokens ---- */

static void s_refresh_hashes(const uint8_t bytes[REFRESH_BYTES], users_refresh_t *refresh) {
    refresh->family =
        users_hash_of((souk_str_t){.data = (const char *)bytes, .size = FAMILY_BYTES});
    refresh->current = users_hash_of(
        (souk_str_t){.data = (const char *)bytes + FAMILY_BYTES, .size = SECRET_BYTES});
}

void users_refresh_make(const char *session, const uint8_t *family,
                        char ret_text[USERS_REFRESH_CHARS + 1], users_refresh_t *ret_refresh) {
    souk_assert(souk_id_valid(souk_str_of(session), "ses_"));
    uint8_t bytes[REFRESH_BYTES];
    souk_random(bytes, sizeof(bytes));
    if (family != NULL) {
        memcpy(bytes, family, FAMILY_BYTES);
    }
    memcpy(ret_text, "srt_", PREFIX_CHARS);
    memcpy(ret_text + PREFIX_CHARS, session + PREFIX_CHARS, SOUK_ULID_CHARS);
    ret_text[PREFIX_CHARS + SOUK_ULID_CHARS] = '.';
    souk_base64_encode(bytes, sizeof(bytes), ret_text + PREFIX_CHARS + SOUK_ULID_CHARS + 1);
    ret_text[USERS_REFRESH_CHARS] = '\0';
    users_refresh_t refresh = {0};
    snprintf(refresh.session, sizeof(refresh.session), "%s", session);
    s_refresh_hashes(bytes, &refresh);
    *ret_refresh = refresh;
}

bool users_refresh_parse(souk_str_t text, users_refresh_t *ret_refresh,
                         uint8_t ret_family[FAMILY_BYTES]) {
    const size_t dot = PREFIX_CHARS + SOUK_ULID_CHARS;
    if (text.size != USERS_REFRESH_CHARS || memcmp(text.data, "srt_", PREFIX_CHARS) != 0 ||
        text.data[dot] != '.') {
        return false;
    }
    users_refresh_t refresh;
    snprintf(refresh.session, sizeof(refresh.session), "ses_%.*s", SOUK_ULID_CHARS,
             text.data + PREFIX_CHARS);
    uint8_t bytes[REFRESH_BYTES];
    souk_str_t secret = {.data = text.data + dot + 1, .size = text.size - dot - 1};
    if (!souk_id_valid(souk_str_of(refresh.session), "ses_") ||
        souk_base64_decode(secret, bytes) != SOUK_OK) {
        return false;
    }
    s_refresh_hashes(bytes, &refresh);
    memcpy(ret_family, bytes, FAMILY_BYTES);
    *ret_refresh = refresh;
    return true;
}

/* ---- API keys and recovery codes ---- */

void users_api_key_make(const char *id, char ret_text[SOUK_ID_BYTES_MAX + USERS_SECRET_CHARS + 8],
                        users_hash_t *ret_hash) {
    souk_assert(souk_id_valid(souk_str_of(id), "key_"));
    uint8_t bytes[SECRET_BYTES];
    char secret[USERS_SECRET_CHARS + 1];
    souk_random(bytes, sizeof(bytes));
    souk_base64_encode(bytes, sizeof(bytes), secret);
    secret[USERS_SECRET_CHARS] = '\0';
    snprintf(ret_text, SOUK_ID_BYTES_MAX + USERS_SECRET_CHARS + 8, "souk_%s_%s", id + PREFIX_CHARS,
             secret);
    *ret_hash = users_hash_of((souk_str_t){.data = secret, .size = USERS_SECRET_CHARS});
}

static const char s_crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void users_recovery_make(char ret_text[USERS_RECOVERY_CHARS + 1]) {
    uint8_t bytes[USERS_RECOVERY_BYTES];
    souk_random(bytes, sizeof(bytes));
    size_t at = 0;
    for (size_t i = 0; i < USERS_RECOVERY_BYTES; i++) {
        if (i > 0 && i % 4 == 0) {
            ret_text[at++] = '-';
        }
        ret_text[at++] = s_crockford[bytes[i] % 32];
    }
    ret_text[at] = '\0';
}

bool users_recovery_form(souk_str_t typed, char ret_code[USERS_RECOVERY_BYTES]) {
    char code[USERS_RECOVERY_BYTES];
    size_t size = 0;
    for (size_t i = 0; i < typed.size; i++) {
        char c = typed.data[i];
        if (c == '-' || c == ' ') {
            continue;
        }
        c = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
        c = c == 'O' ? '0' : c == 'I' || c == 'L' ? '1' : c;
        if (c == '\0' || strchr(s_crockford, c) == NULL || size == sizeof(code)) {
            return false;
        }
        code[size++] = c;
    }
    if (size != sizeof(code)) {
        return false;
    }
    memcpy(ret_code, code, sizeof(code));
    return true;
}
