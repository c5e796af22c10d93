/* RFC 6238, appendix B, and what a login makes of codes. */
#include <criterion/criterion.h>

#include "totp.h"

static const souk_str_t s_secret = {"12345678901234567890", 20};

Test(totp, codes_are_those_of_the_rfc) {
    static const struct {
        uint64_t unix_s;
        uint32_t code;
    } vectors[] = {{59, 94287082},         {1111111109, 7081804},  {1111111111, 14050471},
                   {1234567890, 89005924}, {2000000000, 69279037}, {20000000000, 65353130}};
    for (size_t i = 0; i < SOUK_COUNT_OF(vectors); i++) {
        cr_assert_eq(users_totp_code(s_secret, vectors[i].unix_s / 30, 8), vectors[i].code);
        cr_assert_eq(users_totp_code(s_secret, vectors[i].unix_s / 30, 6),
                     vectors[i].code % 1000000);
    }
}

static bool s_check(const char *code, int64_t unix_s, int64_t last_step, int64_t *ret_step) {
    return users_totp_check(s_secret, souk_str_of(code), unix_s, last_step, ret_step);
}

Test(totp, one_step_either_way_is_taken) {
    int64_t step = 0;
    const int64_t now = 1111111111; /* step 37037037; its code is 050471 */
    cr_assert(s_check("050471", now, 0, &step));
    cr_assert_eq(step, 37037037);
    cr_assert(s_check("050 471", now, 0, &step));
    cr_assert(s_check("050471", now + 30, 0, &step));
    cr_assert_eq(step, 37037037);
    cr_assert(s_check("050471", now - 30, 0, &step));
    cr_assert(!s_check("050471", now + 60, 0, &step));
    cr_assert(!s_check("050471", now - 60, 0, &step));
}

Test(totp, a_used_step_is_refused) {
    int64_t step = 0;
    cr_assert(!s_check("050471", 1111111111, 37037037, &step));
    cr_assert(!s_check("050471", 1111111111, 37037038, &step));
    cr_assert(s_check("050471", 1111111111, 37037036, &step));
}

Test(totp, what_is_no_code_is_refused) {
    int64_t step = 0;
    static const char *const bad[] = {"",       "05047",    "0504711", "05047a",
                                      "-50471", "050471\n", "+50471"};
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        cr_assert(!s_check(bad[i], 1111111111, 0, &step), "%s", bad[i]);
    }
    cr_assert(!s_check("755224", 0, -1, &step), "a clock before its time");
}

Test(totp, an_authenticator_reads_the_uri) {
    char base32[USERS_TOTP_BASE32_CHARS];
    users_totp_base32((const uint8_t *)s_secret.data, base32);
    souk_str_t text = {.data = base32, .size = sizeof(base32)};
    cr_assert(souk_str_equal(text, SOUK_STR("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")));
    souk_buf_t buf;
    souk_buf_init(&buf, 1000);
    users_totp_uri(&buf, SOUK_STR("My Souk"), SOUK_STR("ren\xc3\xa9+x@example.com"), text);
    cr_assert(souk_str_equal(
        souk_buf_str(&buf),
        SOUK_STR("otpauth://totp/My%20Souk:ren%C3%A9%2Bx%40example.com?secret="
                 "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=My%20Souk&algorithm=SHA1&digits=6"
                 "&period=30")));
    souk_buf_done(&buf);
}
