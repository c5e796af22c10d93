/* The formats of strings: each check takes UTF-8 text whose length was checked before. */
#include "souk/id.h"

#include "schema_decode.h"

static bool s_is_lower(char c) {
    return c >= 'a' && c <= 'z';
}

static bool s_is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}

static bool s_is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool s_is_alnum(char c) {
    return s_is_lower(c) || s_is_upper(c) || s_is_digit(c);
}

static bool s_is_visible(char c) {
    return c > ' ' && c <= '~';
}

static bool s_is_hex(char c) {
    return s_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool s_all(souk_str_t text, bool (*is_ok)(char c)) {
    for (size_t i = 0; i < text.size; i++) {
        if (!is_ok(text.data[i])) {
            return false;
        }
    }
    return true;
}

static bool s_is_one_of(char c, const char *chars) {
    return c != '\0' && strchr(chars, c) != NULL;
}

static bool s_slug(souk_str_t text) {
    char last = '-';
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (!s_is_lower(c) && !s_is_digit(c) && (c != '-' || last == '-')) {
            return false;
        }
        last = c;
    }
    return last != '-';
}

static bool s_sku_char(char c) {
    return s_is_alnum(c) || s_is_one_of(c, "._-");
}

static bool s_etag_char(char c) {
    return s_is_visible(c) && c != '"';
}

/* Control characters are C0, DEL and C1 (in UTF-8 c2 80..9f); also lines: U+2028, U+2029 (e2 80
 * a8..a9). */
static bool s_has_control(souk_str_t text, bool is_line) {
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = (uint8_t)text.data[i];
        if (c < ' ' || c == 0x7f) {
            if (is_line || (c != '\n' && c != '\t')) {
                return true;
            }
        } else if (c == 0xc2 && i + 1 < text.size) {
            if ((uint8_t)text.data[i + 1] <= 0x9f) {
                return true;
            }
        } else if (is_line && c == 0xe2 && i + 2 < text.size) {
            if (memcmp(text.data + i + 1, "\x80\xa8", 2) == 0 ||
                memcmp(text.data + i + 1, "\x80\xa9", 2) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Labels of 1 to 63 letters, digits and inner hyphens between dots; returns how many, 0 when one is
 * bad. */
static size_t s_host_labels(souk_str_t host) {
    size_t labels = 0, size = 0;
    char last = '-';
    for (size_t i = 0; i <= host.size; i++) {
        char c = i < host.size ? host.data[i] : '.';
        if (c == '.') {
            if (size == 0 || size > 63 || last == '-') {
                return 0;
            }
            labels++;
            size = 0;
        } else if (s_is_alnum(c) || (c == '-' && size > 0)) {
            size++;
        } else {
            return 0;
        }
        last = c;
    }
    return labels;
}

/* What RFC 3986 lets stand in path, query and fragment. */
static bool s_url_tail(souk_str_t text) {
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '%') {
            if (text.size - i < 3 || !s_is_hex(text.data[i + 1]) || !s_is_hex(text.data[i + 2])) {
                return false;
            }
            i += 2;
        } else if (!s_is_alnum(c) && !s_is_one_of(c, "-._~!$&'()*+,;=:@/?#")) {
            return false;
        }
    }
    return true;
}

static bool s_host_and_port(souk_str_t text) {
    souk_str_t host = text;
    if (text.size > 0 && text.data[0] == '[') {
        const char *close = memchr(text.data, ']', text.size);
        if (close == NULL || close - text.data < 3) {
            return false;
        }
        host.size = (size_t)(close - text.data) + 1;
        for (size_t i = 1; i + 1 < host.size; i++) {
            if (!s_is_hex(host.data[i]) && !s_is_one_of(host.data[i], ":.")) {
                return false;
            }
        }
    } else {
        const char *colon = text.size > 0 ? memchr(text.data, ':', text.size) : NULL;
        host.size = colon != NULL ? (size_t)(colon - text.data) : text.size;
        if (host.size > 253 || s_host_labels(host) == 0) {
            return false;
        }
    }
    if (host.size == text.size) {
        return true;
    }
    souk_str_t port = {.data = text.data + host.size + 1, .size = text.size - host.size - 1};
    uint32_t number = 0;
    for (size_t i = 0; i < port.size && i < 6; i++) {
        number = number * 10 + (uint32_t)(port.data[i] - '0');
    }
    return text.data[host.size] == ':' && port.size >= 1 && port.size <= 5 &&
           s_all(port, s_is_digit) && number >= 1 && number <= 65535;
}

static bool s_url(souk_str_t text) {
    static const souk_str_t schemes[] = {{"https://", 8}, {"http://", 7}};
    if (text.size > 0 && text.data[0] == '/') {
        /* Two slashes would name another host. */
        return (text.size == 1 || text.data[1] != '/') && s_url_tail(text);
    }
    for (size_t i = 0; i < SOUK_COUNT_OF(schemes); i++) {
        souk_str_t scheme = schemes[i];
        if (text.size > scheme.size && memcmp(text.data, scheme.data, scheme.size) == 0) {
            souk_str_t host = {.data = text.data + scheme.size};
            while (host.size < text.size - scheme.size &&
                   !s_is_one_of(host.data[host.size], "/?#")) {
                host.size++;
            }
            souk_str_t tail = {.data = host.data + host.size,
                               .size = text.size - scheme.size - host.size};
            return s_host_and_port(host) && s_url_tail(tail);
        }
    }
    return false;
}

/* The addresses that mail systems take in practice: a dot-atom of at most 64 characters, and a host
 * name of two labels or more. */
static bool s_email(souk_str_t text) {
    const char *at = text.size > 0 ? memchr(text.data, '@', text.size) : NULL;
    if (at == NULL || text.size > 254) {
        return false;
    }
    souk_str_t local = {.data = text.data, .size = (size_t)(at - text.data)};
    souk_str_t host = {.data = at + 1, .size = text.size - local.size - 1};
    char last = '.';
    for (size_t i = 0; i < local.size; i++) {
        char c = local.data[i];
        if (!s_is_alnum(c) && !s_is_one_of(c, "!#$%&'*+-/=?^_`{|}~") && (c != '.' || last == '.')) {
            return false;
        }
        last = c;
    }
    return local.size <= 64 && last != '.' && s_host_labels(host) >= 2;
}

const char *souk_format_check(souk_format_t format, const char *format_arg, souk_str_t text) {
    switch (format) {
    case SOUK_FORMAT_NONE:
        return NULL;
    case SOUK_FORMAT_SLUG:
        return s_slug(text) ? NULL : "must be words of a-z and 0-9 joined by single hyphens";
    case SOUK_FORMAT_SKU:
        return text.size > 0 && s_all(text, s_sku_char)
                   ? NULL
                   : "must have only letters, digits, dots, underscores and hyphens";
    case SOUK_FORMAT_CURRENCY:
        return text.size == 3 && s_all(text, s_is_upper)
                   ? NULL
                   : "must be a currency code of three capital letters (ISO 4217)";
    case SOUK_FORMAT_ID:
        return souk_id_valid(text, format_arg != NULL ? format_arg : "")
                   ? NULL
                   : "must be an identifier as this API makes them";
    case SOUK_FORMAT_TOKEN:
        return text.size > 0 && s_all(text, s_is_visible)
                   ? NULL
                   : "must have only visible ASCII characters without spaces";
    case SOUK_FORMAT_ETAG:
        return text.size > 0 && s_all(text, s_etag_char) ? NULL
                                                         : "must be one strong entity tag or *";
    case SOUK_FORMAT_URL:
        return s_url(text) ? NULL : "must be an http or https URL, or a path that begins with /";
    case SOUK_FORMAT_EMAIL:
        return s_email(text) ? NULL : "must be an email address";
    case SOUK_FORMAT_LINE:
        return s_has_control(text, true) ? "must be one line without control characters" : NULL;
    case SOUK_FORMAT_TEXT:
        return s_has_control(text, false)
                   ? "must have no control characters but line feeds and tabs"
                   : NULL;
    }
    return NULL;
}
