/* Access tokens: reading any bytes ends, borrows only from the token and the arena, and what is
 * read has the form that was promised. Input that is no token is tried as header and claims,
 * separated by a line feed, so that the fuzzer need not invent base64. */
#include <openssl/evp.h>

#include "gateway/jwt.h"
#include "souk/base64.h"
#include "souk/id.h"
#include "souk/roles.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIGNATURE_CHARS 86

static void s_check_jwt(const souk_jwt_t *jwt, souk_str_t token) {
    souk_assert(jwt->kid.size >= 1 && jwt->kid.size <= SOUK_JWT_KID_BYTES_MAX);
    souk_assert(souk_id_valid(jwt->subject, "usr_") && souk_id_valid(jwt->session, "ses_"));
    souk_assert(jwt->audiences_count <= SOUK_JWT_AUDIENCES_MAX);
    souk_assert(jwt->roles >> souk_user_roles_count == 0);
    souk_assert(jwt->expires_s >= 0 && jwt->issued_s >= 0 && jwt->not_before_s >= 0);
    souk_assert(jwt->signed_part.data == token.data &&
                jwt->signed_part.size + 1 + SIGNATURE_CHARS == token.size);
    const souk_jwt_rules_t rules = {.issuer = jwt->issuer,
                                    .audience = jwt->audiences[0],
                                    .now_s = jwt->expires_s,
                                    .skew_s = 60};
    souk_jwt_verdict_t verdict = souk_jwt_judge(jwt, &rules);
    souk_assert(verdict != SOUK_JWT_EXPIRED);
}

/* A key whose private half nobody kept: nothing is signed by it. */
static EVP_PKEY *s_key(void) {
    static EVP_PKEY *key;
    if (key == NULL) {
        key = souk_jwt_key_new(SOUK_STR("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
                               SOUK_STR("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"));
        souk_assert(key != NULL);
    }
    return key;
}

static void s_try(souk_str_t token) {
    souk_arena_t *arena = souk_arena_new(SOUK_JWT_ARENA_BYTES, SOUK_JWT_ARENA_BYTES);
    souk_jwt_t jwt;
    if (souk_jwt_read(token, arena, &jwt)) {
        s_check_jwt(&jwt, token);
        souk_assert(!souk_jwt_signed_by(&jwt, s_key()));
    }
    souk_arena_destroy(&arena);
}

static size_t s_encode(char *out, souk_str_t text) {
    souk_base64_encode(text.data, text.size, out);
    return souk_base64_chars(text.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    souk_str_t text = {(const char *)data, size};
    char token[3000];
    s_try(text);
    const char *line = size > 0 ? memchr(text.data, '\n', size) : NULL;
    if (line == NULL || size > 2000) {
        return 0;
    }
    size_t header_size = (size_t)(line - text.data);
    size_t at = s_encode(token, (souk_str_t){text.data, header_size});
    token[at++] = '.';
    at += s_encode(token + at, (souk_str_t){line + 1, size - header_size - 1});
    token[at++] = '.';
    memset(token + at, 'A', SIGNATURE_CHARS);
    s_try((souk_str_t){token, at + SIGNATURE_CHARS});
    return 0;
}
