#include "orders/form.h"

#include "souk/text.h"

#define LINE_POINTS_MAX 200

static void s_add(orders_form_issues_t *issues, const char *field, const char *reason) {
    souk_assert(issues->count < ORDERS_FORM_ISSUES_MAX);
    issues->items[issues->count].field = field;
    issues->items[issues->count++].reason = reason;
}

souk_err_t orders_form_address(souk_arena_t *arena, souk_address_t *address,
                               orders_form_issues_t *ret_issues) {
    const struct {
        const char *field;
        souk_str_t *text;
        unsigned bit;
    } lines[] = {
        {"name", &address->name, SOUK_ADDRESS_NAME_BIT},
        {"company", &address->company, SOUK_ADDRESS_COMPANY_BIT},
        {"line1", &address->line1, SOUK_ADDRESS_LINE1_BIT},
        {"line2", &address->line2, SOUK_ADDRESS_LINE2_BIT},
        {"postal_code", &address->postal_code, SOUK_ADDRESS_POSTAL_CODE_BIT},
        {"city", &address->city, SOUK_ADDRESS_CITY_BIT},
        {"region", &address->region, SOUK_ADDRESS_REGION_BIT},
    };
    ret_issues->count = 0;
    for (size_t i = 0; i < SOUK_COUNT_OF(lines); i++) {
        if (!souk_bits_has(&address->bits, lines[i].bit)) {
            continue;
        }
        souk_err_t err = souk_text_line(arena, *lines[i].text, LINE_POINTS_MAX, lines[i].text);
        if (err == SOUK_ERR_VALIDATION) {
            s_add(ret_issues, lines[i].field, "is no line of text");
        } else {
            SOUK_TRY(err);
        }
    }
    if (!souk_country_valid(address->country)) {
        s_add(ret_issues, "country", "must be an ISO 3166 code of two capital letters");
    }
    if (souk_bits_has(&address->bits, SOUK_ADDRESS_PHONE_BIT) &&
        !souk_phone_valid(address->phone)) {
        s_add(ret_issues, "phone", "is no phone number");
    }
    return ret_issues->count == 0 ? SOUK_OK : SOUK_ERR_VALIDATION;
}

souk_err_t orders_form_code(souk_arena_t *arena, souk_str_t code, souk_str_t *ret_code) {
    char *upper = souk_arena_alloc(arena, code.size + 1);
    if (upper == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < code.size; i++) {
        char c = code.data[i];
        upper[i] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    *ret_code = (souk_str_t){.data = upper, .size = code.size};
    return SOUK_OK;
}
