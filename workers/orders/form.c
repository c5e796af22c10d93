#include "orders/form.h"

#include "souk/text.h"

#define LINE_POINTS_MAX 200

souk_err_t orders_form_address(souk_arena_t *arena, souk_address_t *address,
                               orders_form_issue_t *ret_issue) {
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
    for (size_t i = 0; i < SOUK_COUNT_OF(lines); i++) {
        if (!souk_bits_has(&address->bits, lines[i].bit)) {
            continue;
        }
        souk_err_t err = souk_text_line(arena, *lines[i].text, LINE_POINTS_MAX, lines[i].text);
        if (err == SOUK_ERR_VALIDATION) {
            *ret_issue =
                (orders_form_issue_t){.field = lines[i].field, .reason = "is no line of text"};
        }
        SOUK_TRY(err);
    }
    if (!souk_country_valid(address->country)) {
        *ret_issue = (orders_form_issue_t){
            .field = "country", .reason = "must be an ISO 3166 code of two capital letters"};
        return SOUK_ERR_VALIDATION;
    }
    if (souk_bits_has(&address->bits, SOUK_ADDRESS_PHONE_BIT) &&
        !souk_phone_valid(address->phone)) {
        *ret_issue = (orders_form_issue_t){.field = "phone", .reason = "is no phone number"};
        return SOUK_ERR_VALIDATION;
    }
    return SOUK_OK;
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
