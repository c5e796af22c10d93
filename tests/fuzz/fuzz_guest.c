/* Guest tokens and their keys: no bytes but those of a token that we made are one, and reading a
 * list of keys ends. */
#include "souk/guest.h"

#define NOW_S 1764028800

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    souk_str_t text = {(const char *)data, size};
    souk_guest_keys_t keys = {.count = 2};
    memset(keys.keys[0], 1, SOUK_GUEST_KEY_BYTES);
    memset(keys.keys[1], 2, SOUK_GUEST_KEY_BYTES);
    souk_guest_t guest;
    /* Nobody guesses 256 bits: what passes is a token of the corpus, made with these keys. */
    souk_err_t first = souk_guest_check(&keys, text, NOW_S, &guest);
    if (first == SOUK_OK) {
        souk_assert(size == SOUK_GUEST_TOKEN_BYTES && guest.expires_s > NOW_S);
        souk_assert(strlen(guest.subject) == SOUK_GUEST_SUBJECT_BYTES);
        souk_assert(souk_guest_check(&keys, text, guest.expires_s, &guest) != SOUK_OK);
    }
    souk_guest_keys_t parsed;
    if (souk_guest_keys_parse(text, &parsed) == SOUK_OK) {
        souk_assert(parsed.count == (size + 1) / 65);
        souk_guest_keys_done(&parsed);
    }
    return 0;
}
