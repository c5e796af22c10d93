#include "souk/text.h"

#include <stdlib.h>
#include <utf8proc.h>

#include "souk/json.h"

#define LOCAL_BYTES_MAX 64
#define HOST_BYTES_MAX 253
#define LABEL_BYTES_MAX 63

/* ---- forms ---- */

/* ASCII is its own NFC, and folds letter by letter: most texts, at a small part of the cost. */
static bool s_is_ascii(souk_str_t text) {
    unsigned char bits = 0;
    for (size_t i = 0; i < text.size; i++) {
        bits |= (unsigned char)text.data[i];
    }
    return bits < 0x80;
}

static souk_err_t s_map_ascii(souk_arena_t *arena, souk_str_t text, bool folds,
                              souk_str_t *ret_text) {
    char *copy = souk_arena_alloc(arena, text.size);
    if (copy == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < text.size; i++) {
        bool capital = text.data[i] >= 'A' && text.data[i] <= 'Z';
        copy[i] = folds && capital ? (char)(text.data[i] + ('a' - 'A')) : text.data[i];
    }
    *ret_text = (souk_str_t){.data = copy, .size = text.size};
    return SOUK_OK;
}

static souk_err_t s_map(souk_arena_t *arena, souk_str_t text, utf8proc_option_t options,
                        souk_str_t *ret_text) {
    if (text.size == 0) {
        *ret_text = SOUK_STR("");
        return SOUK_OK;
    }
    if (s_is_ascii(text)) {
        return s_map_ascii(arena, text, (options & UTF8PROC_CASEFOLD) != 0, ret_text);
    }
    utf8proc_uint8_t *mapped = NULL;
    utf8proc_ssize_t size = utf8proc_map((const utf8proc_uint8_t *)text.data,
                                         (utf8proc_ssize_t)text.size, &mapped, options);
    if (size < 0) {
        return size == UTF8PROC_ERROR_NOMEM ? SOUK_ERR_NO_MEMORY : SOUK_ERR_VALIDATION;
    }
    souk_str_t copy =
        souk_arena_copy(arena, (souk_str_t){.data = (const char *)mapped, .size = (size_t)size});
    free(mapped);
    if (copy.data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    *ret_text = copy;
    return SOUK_OK;
}

souk_err_t souk_text_nfc(souk_arena_t *arena, souk_str_t text, souk_str_t *ret_text) {
    return s_map(arena, text, UTF8PROC_STABLE | UTF8PROC_COMPOSE, ret_text);
}

/* Twice, as canonical caseless matching asks (Unicode, D145): what folding takes apart may fold
 * again. */
souk_err_t souk_text_fold(souk_arena_t *arena, souk_str_t text, souk_str_t *ret_folded) {
    const utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD;
    souk_str_t once;
    SOUK_TRY(s_map(arena, text, options, &once));
    return s_map(arena, once, options, ret_folded);
}

/* ---- lines ---- */

/* The code point at text's start and its bytes; 0 bytes when it is not UTF-8. */
static size_t s_point(souk_str_t text, utf8proc_int32_t *ret_point) {
    utf8proc_ssize_t bytes = utf8proc_iterate((const utf8proc_uint8_t *)text.data,
                                              (utf8proc_ssize_t)text.size, ret_point);
    return bytes > 0 ? (size_t)bytes : 0;
}

static bool s_turns_direction(utf8proc_int32_t point) {
    return (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

static bool s_is_character(utf8proc_int32_t point) {
    return (point & 0xfffe) != 0xfffe && (point < 0xfdd0 || point > 0xfdef);
}

static bool s_fits_line(utf8proc_int32_t point) {
    switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_CS:
        return false;
    default:
        return s_is_character(point) && !s_turns_direction(point);
    }
}

static bool s_is_space(utf8proc_int32_t point) {
    return point == '\t' || point == '\n' || point == '\r' ||
           utf8proc_category(point) == UTF8PROC_CATEGORY_ZS;
}

static souk_str_t s_trim(souk_str_t text) {
    utf8proc_int32_t point;
    size_t bytes;
    while (text.size > 0 && (bytes = s_point(text, &point)) > 0 && s_is_space(point)) {
        text.data += bytes;
        text.size -= bytes;
    }
    while (text.size > 0) {
        size_t at = text.size - 1;
        while (at > 0 && ((unsigned char)text.data[at] & 0xc0) == 0x80) {
            at--;
        }
        souk_str_t last = {.data = text.data + at, .size = text.size - at};
        if (s_point(last, &point) == 0 || !s_is_space(point)) {
            break;
        }
        text.size = at;
    }
    return text;
}

souk_err_t souk_text_line(souk_arena_t *arena, souk_str_t text, size_t points_max,
                          souk_str_t *ret_line) {
    souk_str_t form;
    SOUK_TRY(souk_text_nfc(arena, text, &form));
    form = s_trim(form);
    size_t points = 0;
    for (souk_str_t rest = form; rest.size > 0; points++) {
        utf8proc_int32_t point;
        size_t bytes = s_point(rest, &point);
        if (bytes == 0 || !s_fits_line(point)) {
            return SOUK_ERR_VALIDATION;
        }
        rest.data += bytes;
        rest.size -= bytes;
    }
    if (points == 0 || points > points_max) {
        return SOUK_ERR_VALIDATION;
    }
    *ret_line = form;
    return SOUK_OK;
}

/* ---- email ---- */

static bool s_is_alnum(utf8proc_int32_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Letters, their marks and digits of any script. */
static bool s_is_word(utf8proc_int32_t point) {
    switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ND:
        return true;
    default:
        return false;
    }
}

static bool s_fits_local(utf8proc_int32_t point) {
    if (point < 0x80) {
        return s_is_alnum(point) || (point > 0 && strchr("!#$%&'*+-/=?^_`{|}~", point) != NULL);
    }
    utf8proc_category_t category = utf8proc_category(point);
    return category != UTF8PROC_CATEGORY_ZS && category != UTF8PROC_CATEGORY_CF &&
           category != UTF8PROC_CATEGORY_CN && s_fits_line(point);
}

static bool s_fits_host(utf8proc_int32_t point) {
    return point < 0x80 ? s_is_alnum(point) || point == '-' : s_is_word(point);
}

/* Parts of 1 to bytes_max bytes with single dots between; returns how many, 0 when one is bad. */
static size_t s_parts(souk_str_t text, bool (*fits)(utf8proc_int32_t point), size_t bytes_max) {
    size_t parts = 1, bytes = 0;
    while (text.size > 0) {
        utf8proc_int32_t point;
        size_t size = s_point(text, &point);
        if (size == 0 || (point == '.' ? bytes == 0 : !fits(point))) {
            return 0;
        }
        parts += point == '.';
        bytes = point == '.' ? 0 : bytes + size;
        if (bytes > bytes_max) {
            return 0;
        }
        text.data += size;
        text.size -= size;
    }
    return bytes > 0 ? parts : 0;
}

static bool s_hyphens_inside(souk_str_t host) {
    char last = '.';
    for (size_t i = 0; i < host.size; i++) {
        char c = host.data[i];
        if ((c == '-' && last == '.') || (c == '.' && last == '-')) {
            return false;
        }
        last = c;
    }
    return last != '-';
}

static bool s_email_valid(souk_str_t local, souk_str_t host) {
    return local.size <= LOCAL_BYTES_MAX && s_parts(local, s_fits_local, LOCAL_BYTES_MAX) >= 1 &&
           host.size <= HOST_BYTES_MAX && s_parts(host, s_fits_host, LABEL_BYTES_MAX) >= 2 &&
           s_hyphens_inside(host);
}

souk_err_t souk_text_email(souk_arena_t *arena, souk_str_t text, souk_email_t *ret_email) {
    souk_str_t line;
    SOUK_TRY(souk_text_line(arena, text, SOUK_EMAIL_BYTES_MAX, &line));
    const char *at = memchr(line.data, '@', line.size);
    if (at == NULL) {
        return SOUK_ERR_VALIDATION;
    }
    souk_str_t local = {.data = line.data, .size = (size_t)(at - line.data)};
    souk_str_t host = {.data = at + 1, .size = line.size - local.size - 1};
    if (!s_email_valid(local, host)) {
        return SOUK_ERR_VALIDATION;
    }
    souk_email_t email;
    SOUK_TRY(souk_text_fold(arena, line, &email.folded));
    SOUK_TRY(souk_text_fold(arena, host, &host));
    email.shown = souk_arena_printf(arena, "%.*s@%.*s", (int)local.size, local.data, (int)host.size,
                                    host.data);
    if (email.shown.data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    /* Folding may lengthen, and what is shown has to be an address itself. */
    if (email.shown.size > SOUK_EMAIL_BYTES_MAX || email.folded.size > SOUK_EMAIL_BYTES_MAX ||
        !s_email_valid(local, host)) {
        return SOUK_ERR_VALIDATION;
    }
    *ret_email = email;
    return SOUK_OK;
}

/* ---- countries and phones ---- */

static const char s_countries[] =
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR "
    "BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ "
    "EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW "
    "GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY "
    "KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV "
    "MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY "
    "QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG "
    "TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM "
    "ZW ";

bool souk_country_valid(souk_str_t code) {
    for (size_t i = 0; code.size == 2 && i + 2 < sizeof(s_countries); i += 3) {
        if (memcmp(code.data, s_countries + i, 2) == 0) {
            return true;
        }
    }
    return false;
}

bool souk_phone_valid(souk_str_t phone) {
    size_t digits = 0;
    for (size_t i = 0; i < phone.size; i++) {
        char c = phone.data[i];
        if (c >= '0' && c <= '9') {
            digits++;
        } else if (!(c == '+' && i == 0) && (c == '\0' || strchr(" -./()", c) == NULL)) {
            return false;
        }
    }
    return digits >= 3 && digits <= 20;
}
