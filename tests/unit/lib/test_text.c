/* Names and addresses: one form for each text. Bytes of other scripts are written out, so that the
 * editor's own normalisation cannot change them. */
#include <criterion/criterion.h>

#include "souk/text.h"

static souk_arena_t *s_arena;

static void s_setup(void) {
    s_arena = souk_arena_new(1 << 20, 0);
}

static void s_teardown(void) {
    souk_arena_destroy(&s_arena);
}

TestSuite(text, .init = s_setup, .fini = s_teardown);

/* "" stands for refused. */
static const char *s_line(const char *text, size_t points_max) {
    souk_str_t line;
    return souk_text_line(s_arena, souk_str_of(text), points_max, &line) == SOUK_OK
               ? souk_arena_copy(s_arena, line).data
               : "";
}

Test(text, lines_are_composed_and_trimmed) {
    cr_assert_str_eq(s_line(" \t Ada  Lovelace\xc2\xa0\xe3\x80\x80", 20), "Ada  Lovelace");
    cr_assert_str_eq(s_line("Zoe\xcc\x88", 4), "Zo\xc3\xab");
    cr_assert_str_eq(s_line("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", 1), "\xed\x95\x9c");
    cr_assert_str_eq(s_line("\xd9\x85\xd8\xad\xd9\x85\xd8\xaf", 4),
                     "\xd9\x85\xd8\xad\xd9\x85\xd8\xaf");
    cr_assert_str_eq(s_line("O\xe2\x80\x99"
                            "Brien \xf0\x9f\x98\x80",
                            9),
                     "O\xe2\x80\x99"
                     "Brien \xf0\x9f\x98\x80");
}

/* A letter of another alphabet behind it takes the text the long way. */
Test(text, ascii_has_the_same_forms_by_itself) {
    for (int c = 0; c < 0x80; c++) {
        const char text[] = {'A', (char)c, 'z', '\xc3', '\xa9'}; /* e with acute */
        souk_str_t alone = {.data = text, .size = 3}, longer = {.data = text, .size = 5};
        souk_str_t one, other;
        cr_assert_eq(souk_text_fold(s_arena, alone, &one), SOUK_OK);
        cr_assert_eq(souk_text_fold(s_arena, longer, &other), SOUK_OK);
        cr_assert(souk_str_equal(one, (souk_str_t){.data = other.data, .size = other.size - 2}));
        cr_assert_eq(souk_text_nfc(s_arena, alone, &one), SOUK_OK);
        cr_assert(souk_str_equal(one, alone));
    }
}

Test(text, lines_refuse_what_is_no_line) {
    static const char *const bad[] = {
        "",
        "  \t\n ",
        "a\nb",
        "a\x01"
        "b",
        "a\x7f"
        "b",
        "a\xc2\x85"
        "b", /* C1 */
        "a\xe2\x80\xa8"
        "b", /* line separator */
        "a\xe2\x80\xae"
        "b", /* turns the direction */
        "a\xe2\x81\xa6"
        "b", /* isolates it */
        "a\xef\xbf\xbf"
        "b", /* U+FFFF */
        "a\xc3(",
        "12345678901",
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        cr_assert_str_eq(s_line(bad[i], 10), "", "%zu", i);
    }
}

Test(text, lines_count_code_points_after_composition) {
    cr_assert_str_neq(s_line("e\xcc\x81"
                             "e\xcc\x81",
                             2),
                      "");
    /* U+0958 may not be composed: two code points in NFC. */
    cr_assert_str_eq(s_line("\xe0\xa5\x98", 1), "");
    cr_assert_str_neq(s_line("\xe0\xa5\x98", 2), "");
}

static bool s_email(const char *text, souk_email_t *ret_email) {
    return souk_text_email(s_arena, souk_str_of(text), ret_email) == SOUK_OK;
}

Test(text, emails_compare_folded_and_are_kept_as_written) {
    souk_email_t email;
    cr_assert(s_email("  Ada.Lovelace+Shop@Example.COM ", &email));
    cr_assert(souk_str_equal(email.shown, SOUK_STR("Ada.Lovelace+Shop@example.com")));
    cr_assert(souk_str_equal(email.folded, SOUK_STR("ada.lovelace+shop@example.com")));
    souk_email_t sharp, capital;
    cr_assert(s_email("stra\xc3\x9f"
                      "e@example.org",
                      &sharp));
    cr_assert(s_email("STRASSE@example.org", &capital));
    cr_assert(souk_str_equal(sharp.folded, capital.folded));
    souk_email_t composed, decomposed;
    cr_assert(s_email("ren\xc3\xa9@b\xc3\xbc"
                      "cher.example",
                      &composed));
    cr_assert(s_email("RENE\xcc\x81@BU\xcc\x88"
                      "CHER.example",
                      &decomposed));
    cr_assert(souk_str_equal(composed.folded, decomposed.folded));
    cr_assert(s_email("\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b\xe5\xad\x90.\xe6\xb5\x8b\xe8\xaf\x95",
                      &email));
    cr_assert(s_email("a@xn--bcher-kva.example", &email));
}

Test(text, emails_refuse_what_mail_does_not_take) {
    static const char *const bad[] = {
        "",
        "a",
        "@",
        "a@",
        "@b.c",
        "a@b",
        "a@@b.c",
        "a@b@c.d",
        "a b@c.d",
        "a@b c.d",
        ".a@b.c",
        "a.@b.c",
        "a..b@c.d",
        "a@.c",
        "a@b.",
        "a@b..c",
        "a@-b.c",
        "a@b-.c",
        "a@b_c.d",
        "a@[1.2.3.4]",
        "\"a b\"@c.d",
        "a(x)@b.c",
        "a,b@c.d",
        "a;b@c.d",
        "a<b@c.d",
        "a\\b@c.d",
        "a\nb@c.d",
        "a@b.c\nBcc: d@e.f",
        "a\xe2\x80\x8b"
        "b@c.d", /* zero width space */
        "a\xc2\xa0"
        "b@c.d", /* no-break space */
        "a@b\xef\xbc\x8e"
        "c.d",                        /* full-width dot */
        "a@\xf0\x9f\x98\x80.example", /* a symbol is no letter */
        "12345678901234567890123456789012345678901234567890123456789012345@b.c",
        "a@1234567890123456789012345678901234567890123456789012345678901234.c",
    };
    souk_email_t email;
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        cr_assert(!s_email(bad[i], &email), "%s", bad[i]);
    }
}

Test(text, an_email_has_at_most_254_bytes_in_either_form) {
    char text[300];
    souk_email_t email;
    memset(text, 'b', sizeof(text));
    for (size_t i = 3; i < 250; i += 60) {
        text[i] = '.';
    }
    memcpy(text, "a@", 2);
    text[254] = '\0';
    cr_assert(s_email(text, &email));
    text[254] = 'c';
    text[255] = '\0';
    cr_assert(!s_email(text, &email));
    /* U+0390 folds to three code points, six bytes for two: 60 bytes become 180. */
    char longer[300] = "";
    for (size_t i = 0; i < 30; i++) {
        strcat(longer, "\xce\x90");
    }
    strcat(longer, "@");
    for (size_t i = 0; i < 3; i++) {
        strcat(longer, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbb.");
    }
    strcat(longer, "example");
    cr_assert(souk_str_of(longer).size < 254);
    bool taken = s_email(longer, &email);
    cr_assert(!taken || email.folded.size <= 254);
}

Test(text, folding_twice_is_folding_once) {
    static const char *const texts[] = {"\xce\x90",     "\xc4\xb0",         "\xef\xac\x83",
                                        "\xe1\xbe\xb4", "\xcd\x85\xcc\x81", "\xe1\xba\x9e",
                                        "\xc7\x85"};
    for (size_t i = 0; i < SOUK_COUNT_OF(texts); i++) {
        souk_str_t once, twice;
        cr_assert_eq(souk_text_fold(s_arena, souk_str_of(texts[i]), &once), SOUK_OK);
        cr_assert_eq(souk_text_fold(s_arena, once, &twice), SOUK_OK);
        cr_assert(souk_str_equal(once, twice), "%zu", i);
    }
}

Test(text, countries_are_those_of_iso_3166) {
    static const char *const good[] = {"AD", "DE", "ZW", "GB"};
    for (size_t i = 0; i < SOUK_COUNT_OF(good); i++) {
        cr_assert(souk_country_valid(souk_str_of(good[i])));
    }
    static const char *const bad[] = {"XK", "UK", "EU", "de", "D", "DEU", "", "E ", " A", "ZZ"};
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        cr_assert(!souk_country_valid(souk_str_of(bad[i])), "%s", bad[i]);
    }
}

Test(text, phones_have_digits_and_what_stands_between) {
    cr_assert(souk_phone_valid(SOUK_STR("+49 (30) 901820-0")));
    cr_assert(souk_phone_valid(SOUK_STR("112")));
    cr_assert(souk_phone_valid(SOUK_STR("030/90.18.20")));
    static const char *const bad[] = {
        "", "12", "+", "1+23", "abc123", "123456789012345678901", "12345x6", "123\n456"};
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        cr_assert(!souk_phone_valid(souk_str_of(bad[i])), "%s", bad[i]);
    }
}

/* U+1FAB folds to two code points, five bytes for three: 12 of them are a label, 60 bytes long; 13
 * are 39 bytes before and 65 after. */
Test(text, a_label_fits_after_it_was_folded) {
    char address[200] = "a@";
    souk_email_t email;
    for (size_t i = 0; i < 12; i++) {
        strcat(address, "\xe1\xbe\xab");
    }
    size_t end = strlen(address);
    strcat(address, ".example");
    cr_assert(s_email(address, &email));
    strcpy(address + end, "\xe1\xbe\xab.example");
    cr_assert(!s_email(address, &email));
}
