/* Texts of people: a form is its own form, whatever came in. */
#include <stdlib.h>

#include "souk/json.h"
#include "souk/text.h"

#define POINTS_MAX 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void s_line(souk_arena_t *arena, souk_str_t text) {
    souk_str_t line, again;
    if (souk_text_line(arena, text, POINTS_MAX, &line) != SOUK_OK) {
        return;
    }
    souk_assert(line.size > 0 && souk_utf8_valid(line) && souk_utf8_count(line) <= POINTS_MAX);
    souk_assert(memchr(line.data, '\n', line.size) == NULL);
    souk_err_t err = souk_text_line(arena, line, POINTS_MAX, &again);
    souk_assert(err == SOUK_OK && souk_str_equal(line, again));
}

/* Both forms of an address are addresses, and the same one: nobody gets two accounts by writing the
 * form that the first was shown in. */
static void s_email(souk_arena_t *arena, souk_str_t text) {
    souk_email_t email, shown, folded;
    if (souk_text_email(arena, text, &email) != SOUK_OK) {
        return;
    }
    souk_assert(email.shown.size <= SOUK_EMAIL_BYTES_MAX && souk_utf8_valid(email.shown));
    souk_assert(memchr(email.shown.data, '@', email.shown.size) ==
                memrchr(email.shown.data, '@', email.shown.size));
    souk_err_t err = souk_text_email(arena, email.shown, &shown);
    souk_assert(err == SOUK_OK && souk_str_equal(shown.shown, email.shown));
    souk_assert(souk_str_equal(shown.folded, email.folded));
    if (souk_text_email(arena, email.folded, &folded) == SOUK_OK) {
        souk_assert(souk_str_equal(folded.folded, email.folded));
    }
}

static void s_fold(souk_arena_t *arena, souk_str_t text) {
    souk_str_t once, twice;
    if (souk_text_fold(arena, text, &once) == SOUK_OK) {
        souk_err_t err = souk_text_fold(arena, once, &twice);
        souk_assert(err == SOUK_OK && souk_str_equal(once, twice));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 4096) {
        return 0;
    }
    souk_str_t text = {.data = (const char *)data, .size = size};
    souk_arena_t *arena = souk_arena_new(1 << 20, 0);
    s_line(arena, text);
    s_email(arena, text);
    s_fold(arena, text);
    (void)souk_country_valid(text);
    (void)souk_phone_valid(text);
    souk_arena_destroy(&arena);
    return 0;
}
