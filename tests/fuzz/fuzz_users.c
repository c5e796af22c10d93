/* What strangers send to the users service as text: tokens, codes, passwords, and JSON that the
 * database gives back. The first byte says which. */
#include <msgpack.h>
#include <stdlib.h>

#include "password.h"
#include "seal.h"
#include "souk/json_mp.h"
#include "souk/mp.h"
#include "token.h"
#include "totp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A parsed token is of exactly one text: it names its session, and one character less is none. */
static void s_refresh(souk_str_t text) {
    users_refresh_t refresh;
    uint8_t family[16];
    if (users_refresh_parse(text, &refresh, family)) {
        souk_assert(text.size == USERS_REFRESH_CHARS);
        souk_assert(souk_id_valid(souk_str_of(refresh.session), "ses_"));
        souk_assert(memcmp(refresh.session + 4, text.data + 4, SOUK_ULID_CHARS) == 0);
        text.size--;
        souk_assert(!users_refresh_parse(text, &refresh, family));
    }
}

static void s_recovery(souk_str_t text) {
    char code[USERS_RECOVERY_BYTES], again[USERS_RECOVERY_BYTES];
    if (users_recovery_form(text, code)) {
        souk_str_t form = {.data = code, .size = sizeof(code)};
        souk_assert(users_recovery_form(form, again) && memcmp(code, again, sizeof(code)) == 0);
    }
}

static void s_totp(souk_str_t text) {
    static const souk_str_t secret = {"12345678901234567890", 20};
    int64_t step = 0;
    if (users_totp_check(secret, text, 1111111111, 0, &step)) {
        souk_assert(step >= 37037036 && step <= 37037038);
        souk_assert(!users_totp_check(secret, text, 1111111111, 37037038, &step));
    }
}

/* A form is its own form, and the policy has an opinion of every one. */
static void s_password(souk_str_t text, souk_arena_t *arena) {
    souk_str_t form, again;
    if (users_password_form(arena, text, &form) == SOUK_OK) {
        souk_assert(users_password_form(arena, form, &again) != SOUK_OK ||
                    souk_str_equal(form, again));
        (void)users_password_objection(arena, form, SOUK_STR("ada@example.com"));
    }
}

static void s_json(souk_str_t text, souk_arena_t *arena) {
    souk_buf_t buf;
    souk_buf_init(&buf, 1 << 20);
    if (souk_json_to_mp(text, arena, &buf) == SOUK_OK && !buf.overflow) {
        souk_mp_cursor_t cursor;
        souk_mp_cursor_init(&cursor, buf.data, buf.size);
        souk_err_t err = souk_mp_skip(&cursor);
        souk_assert(err == SOUK_OK && souk_mp_at_end(&cursor));
        msgpack_unpacked value;
        msgpack_unpacked_init(&value);
        size_t offset = 0;
        souk_assert(msgpack_unpack_next(&value, (const char *)buf.data, buf.size, &offset) ==
                    MSGPACK_UNPACK_SUCCESS);
        msgpack_unpacked_destroy(&value);
    }
    souk_buf_done(&buf);
}

static void s_secret(souk_str_t text, souk_arena_t *arena) {
    users_secret_t secret = {{1, 2, 3}};
    souk_str_t plain;
    souk_assert(users_open(&secret, SOUK_STR("label"), text, arena, &plain) != SOUK_OK);
    souk_str_t hex = souk_arena_copy(arena, text);
    souk_assert(hex.data != NULL);
    if (users_secret_parse(hex.data, &secret) == SOUK_OK) {
        souk_assert(strlen(hex.data) == 64);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > 65536) {
        return 0;
    }
    souk_str_t text = {.data = (const char *)data + 1, .size = size - 1};
    souk_arena_t *arena = souk_arena_new(1 << 22, 0);
    switch (data[0]) {
    case 'r':
        s_refresh(text);
        break;
    case 'c':
        s_recovery(text);
        break;
    case 't':
        s_totp(text);
        break;
    case 'p':
        s_password(text, arena);
        break;
    case 'j':
        s_json(text, arena);
        break;
    default:
        s_secret(text, arena);
        break;
    }
    souk_arena_destroy(&arena);
    return 0;
}
